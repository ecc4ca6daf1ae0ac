//! A run as one page that loads nothing: `page.html` with its style, its script, and the run as data.
//!
//! What many hosts have in common stands in it once, and what would make it too large is left out,
//! so that the page of many hosts can be opened, too.

mod rows;

use std::collections::HashMap;

use serde::Serialize;

use super::place;
use crate::report::event::Status;
use crate::report::graph::{Form, Graph, Kind, Node, Tie};
use crate::report::plan::{Difference, HostResult, Outcome, Plan, Task};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Bytes of all differences; the largest are left out beyond it.
const DIFFERENCES: usize = 4 << 20;

/// Bytes of all reasons why something failed or was skipped; they are cut short beyond it.
const REASONS: usize = 1 << 20;

/// Bytes that a reason has at most, and when there are too many of them.
const REASON: usize = 4000;
const SHORT_REASON: usize = 200;

/// The run as the page reads it.
#[derive(Serialize)]
struct Data<'a> {
    line: String,
    check: bool,
    engine: &'a str,
    created: i64,
    exit: i32,
    hosts: Vec<&'a str>,
    /// For each host: ok, changed, unreachable, failed, skipped, rescued, ignored.
    recap: Vec<[u32; 7]>,
    warnings: Vec<&'a str>,
    plays: Vec<PlayData<'a>>,
    left_out: usize,
}

#[derive(Serialize)]
struct PlayData<'a> {
    name: &'a str,
    tasks: Vec<TaskData<'a>>,
}

#[derive(Serialize)]
struct TaskData<'a> {
    name: &'a str,
    action: &'a str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    handler: bool,
    notifies: &'a [String],
    /// A letter for each host.
    cells: String,
    /// For each result: the host's number, when it began, and how long it took, in milliseconds.
    t: Vec<u64>,
    groups: Vec<Group<'a>>,
}

/// What came of a task, and the hosts where that came of it.
#[derive(Serialize)]
struct Group<'a> {
    /// The letter of the state.
    s: char,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    /// Numbers of differences.
    d: Vec<usize>,
    /// Ranges of hosts: first, last, first, last.
    on: Vec<usize>,
}

/// The page.
pub(super) fn text(run: &Plan) -> String {
    let hosts = hosts(run);
    let mut maker = Maker {
        numbers: hosts
            .iter()
            .enumerate()
            .map(|(at, host)| (*host, at))
            .collect(),
        differences: vec![],
        known: HashMap::new(),
        reasons: 0,
    };
    let plays = run.plays.iter().map(|play| PlayData {
        name: &play.name,
        tasks: play.tasks.iter().map(|task| maker.task(task)).collect(),
    });
    let plays: Vec<PlayData> = plays.collect();
    let recap = hosts.iter().map(|host| {
        let counts = run.recap.get(*host).copied().unwrap_or_default();
        [
            counts.ok,
            counts.changed,
            counts.unreachable,
            counts.failed,
            counts.skipped,
            counts.rescued,
            counts.ignored,
        ]
    });
    let left_out = leave_out(&mut maker.differences, DIFFERENCES);
    let data = Data {
        line: run.to_line(),
        check: run.check,
        engine: &run.engine,
        created: run.created,
        exit: run.exit_code,
        recap: recap.collect(),
        warnings: run.warnings.iter().take(50).map(String::as_str).collect(),
        plays,
        left_out,
        hosts,
    };
    let text = serde_json::to_string(&data).unwrap_or_else(|_| "{}".to_owned());
    let text = text.strip_suffix('}').unwrap_or_default();
    let text = format!("{text},\"diffs\":[{}]}}", maker.differences.join(","));
    // Within a script element nothing but `<` is read as markup, and in JSON it is in texts only.
    let text = text.replace('<', "\\u003c");
    let graph = graph(run).to_text(Form::Svg);
    let parts = [
        ("style", STYLE),
        ("graph", &graph),
        ("data", &text),
        ("script", SCRIPT),
    ];
    let mut page = String::with_capacity(text.len() + graph.len() + 80_000);
    let mut rest = PAGE;
    for (name, part) in parts {
        let (before, after) = rest
            .split_once(&format!("@@{name}@@"))
            .unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page + rest
}

/// All hosts, in the order of their names.
fn hosts(run: &Plan) -> Vec<&str> {
    let named = run.plays.iter().flat_map(|play| &play.hosts);
    let mut hosts: Vec<&str> = run.recap.keys().chain(named).map(String::as_str).collect();
    let tasks = run.plays.iter().flat_map(|play| &play.tasks);
    hosts.extend(
        tasks
            .flat_map(|task| &task.results)
            .map(|one| one.host.as_str()),
    );
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// Makes the data of tasks, and collects differences, each of them once.
struct Maker<'a> {
    numbers: HashMap<&'a str, usize>,
    /// Each as JSON.
    differences: Vec<String>,
    known: HashMap<&'a Difference, usize>,
    /// Bytes of reasons so far.
    reasons: usize,
}

impl<'a> Maker<'a> {
    fn task(&mut self, task: &'a Task) -> TaskData<'a> {
        let mut cells = vec!['.'; self.numbers.len()];
        let mut times = vec![];
        let mut groups: Vec<Group<'a>> = vec![];
        let mut found: HashMap<_, usize> = HashMap::new();
        for result in &task.results {
            let Some(host) = self.numbers.get(result.host.as_str()).copied() else {
                continue;
            };
            cells[host] = worst(result);
            let lasted = result.times.ended.saturating_sub(result.times.began);
            times.extend([host as u64, result.times.began, lasted]);
            for (label, outcome) in result.parts() {
                let differences: Vec<usize> = outcome
                    .diff
                    .iter()
                    .map(|diff| self.difference(diff))
                    .collect();
                let to = result.delegated_to.as_deref();
                let key = (
                    label,
                    to,
                    letter(outcome),
                    &outcome.why,
                    &outcome.unknown,
                    differences,
                );
                let at = match found.get(&key) {
                    Some(at) => *at,
                    None => {
                        let group = self.group(task, outcome, label, to, key.5.clone());
                        groups.push(group);
                        found.insert(key, groups.len() - 1);
                        groups.len() - 1
                    }
                };
                join(&mut groups[at].on, host);
            }
        }
        TaskData {
            name: &task.name,
            action: &task.action,
            path: shown(&task.path),
            role: task.role.as_deref(),
            handler: task.handler,
            notifies: &task.notifies,
            cells: cells.into_iter().collect(),
            t: times,
            groups,
        }
    }

    fn group(
        &mut self,
        task: &Task,
        outcome: &Outcome,
        label: &'a str,
        to: Option<&'a str>,
        d: Vec<usize>,
    ) -> Group<'a> {
        let unknown = outcome
            .unknown
            .as_ref()
            .map(|cause| match cause.path == task.path {
                true => "check mode does not run it".to_owned(),
                false => format!(
                    "not known because of the task '{}' ({}), which check mode does not run",
                    cause.task,
                    shown(&cause.path)
                ),
            });
        Group {
            s: letter(outcome),
            label,
            to,
            why: outcome.why.as_ref().map(|why| self.reason(why)),
            unknown,
            d,
            on: vec![],
        }
    }

    fn reason(&mut self, why: &str) -> String {
        let most = if self.reasons > REASONS {
            SHORT_REASON
        } else {
            REASON
        };
        let mut end = why.len().min(most);
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        self.reasons += end;
        let cut = if end < why.len() { " ..." } else { "" };
        format!("{}{cut}", &why[..end])
    }

    /// The number of a difference.
    fn difference(&mut self, diff: &'a Difference) -> usize {
        *self.known.entry(diff).or_insert_with(|| {
            self.differences.push(rows::json(diff));
            self.differences.len() - 1
        })
    }
}

/// The letter of a state.
fn letter(outcome: &Outcome) -> char {
    match outcome.status {
        Status::Failed => 'f',
        Status::Unreachable => 'u',
        _ if outcome.unknown.is_some() => 'q',
        Status::Changed => 'c',
        Status::Ok => 'o',
        Status::Skipped => 's',
    }
}

/// The letter of a whole result, in whose loop something may be unknown.
fn worst(result: &HostResult) -> char {
    let unknown = result
        .parts()
        .iter()
        .any(|(_, part)| part.unknown.is_some());
    match letter(&result.outcome) {
        state @ ('f' | 'u') => state,
        _ if unknown => 'q',
        state => state,
    }
}

/// Adds a host to ranges; hosts come in the order of their numbers, some of them more than once.
fn join(ranges: &mut Vec<usize>, host: usize) {
    match ranges.last_mut() {
        Some(last) if *last == host => {}
        Some(last) if *last + 1 == host => *last = host,
        _ => ranges.extend([host, host]),
    }
}

/// Leaves out the largest until the rest fits; how many that were.
fn leave_out(differences: &mut [String], most: usize) -> usize {
    let mut total: usize = differences.iter().map(String::len).sum();
    let mut by_size: Vec<usize> = (0..differences.len()).collect();
    by_size.sort_by_key(|at| std::cmp::Reverse(differences[*at].len()));
    let mut count = 0;
    for at in by_size {
        if total <= most {
            break;
        }
        total -= differences[at].len();
        "null".clone_into(&mut differences[at]);
        count += 1;
    }
    count
}

/// `path:line` as it is from here.
fn shown(path: &str) -> String {
    let (file, line) = place(path);
    match path.contains(':') {
        true => format!("{file}:{line}"),
        false => file,
    }
}

/// Plays, roles and tasks as they ran.
fn graph(run: &Plan) -> Graph {
    let mut graph = Graph::default();
    let mut number = 0;
    for play in &run.plays {
        let top = graph.add(
            None,
            Node::new(Kind::Play, &play.name, hosts_of(play.hosts.len())),
        );
        let mut tasks: Vec<(usize, &Task)> = vec![];
        for task in &play.tasks {
            let (parent, prefix) = match &task.role {
                Some(role) => (
                    graph.last_or_add(top, Node::new(Kind::Role, role, "")),
                    format!("{role} : "),
                ),
                None => (top, String::new()),
            };
            let name = task.name.strip_prefix(&prefix).unwrap_or(&task.name);
            let kind = if task.handler {
                Kind::Handler
            } else {
                Kind::Task
            };
            let mut node = Node::new(kind, name, &task.action);
            node.task = Some((number, class(task)));
            tasks.push((graph.add(Some(parent), node), task));
            number += 1;
        }
        for (at, task) in &tasks {
            let is = |other: &Task, name: &String| {
                other.handler
                    && (other.name == *name || other.name.ends_with(&format!(" : {name}")))
            };
            for name in &task.notifies {
                let handler = tasks.iter().find(|(_, other)| is(other, name));
                if let Some((handler, _)) = handler {
                    graph.tie(*at, *handler, Tie::Notifies);
                }
            }
            let causes = task
                .results
                .iter()
                .filter_map(|one| one.outcome.unknown.as_ref());
            for cause in causes.filter(|cause| cause.path != task.path) {
                let source = tasks.iter().find(|(_, other)| other.path == cause.path);
                if let Some((source, _)) = source {
                    graph.tie(*source, *at, Tie::Unknown);
                }
            }
        }
    }
    graph
}

fn hosts_of(count: usize) -> String {
    match count {
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    }
}

/// What came of a task on the host where most came of it.
fn class(task: &Task) -> &'static str {
    let states: Vec<char> = task.results.iter().map(worst).collect();
    let order = [('f', "f"), ('u', "u"), ('c', "c"), ('q', "q"), ('o', "o")];
    let found = order.iter().find(|(state, _)| states.contains(state));
    found.map_or("s", |(_, class)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_in_ranges() {
        let mut ranges = vec![];
        [0, 1, 1, 2, 5, 7, 8]
            .iter()
            .for_each(|host| join(&mut ranges, *host));
        assert_eq!(ranges, [0, 2, 5, 5, 7, 8]);
    }

    #[test]
    fn the_largest_is_left_out_first() {
        let mut texts = ["aa", "bbbb", "c"].map(str::to_owned);
        assert_eq!(leave_out(&mut texts, 3), 1);
        assert_eq!(texts, ["aa", "null", "c"]);
    }

    #[test]
    fn nothing_in_the_data_ends_its_element() {
        let warnings = vec![
            "</script><script>alert(1)</script>".to_owned(),
            "@@script@@".to_owned(),
        ];
        let page = text(&Plan {
            warnings,
            ..Plan::default()
        });
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(page.contains("\\u003c/script>\\u003cscript>alert(1)"));
        assert!(
            page.contains(
                "[\"\\u003c/script>\\u003cscript>alert(1)\\u003c/script>\",\"@@script@@\"]"
            )
        );
    }

    /// Two hundred hosts with a hundred tasks, where no two differences and no two reasons are alike.
    #[test]
    fn a_page_has_a_limit() {
        let result = |task: usize, host: usize| HostResult {
            host: format!("h{host:03}"),
            delegated_to: None,
            outcome: Outcome {
                status: Status::Failed,
                why: Some(format!("{task} {host} {}", "because ".repeat(1000))),
                unknown: None,
                diff: vec![Difference {
                    after: format!("{task} {host}\n{}", "line\n".repeat(100)),
                    ..Difference::default()
                }],
            },
            times: crate::report::plan::Times::default(),
            items: vec![],
        };
        let tasks = (0..100).map(|task| Task {
            results: (0..200).map(|host| result(task, host)).collect(),
            ..Task::default()
        });
        let play = crate::report::plan::Play {
            tasks: tasks.collect(),
            ..Default::default()
        };
        let page = text(&Plan {
            plays: vec![play],
            ..Plan::default()
        });
        assert!(page.len() < 12_000_000, "{} bytes", page.len());
        assert!(page.contains("\"left_out\":1"));
    }
}
