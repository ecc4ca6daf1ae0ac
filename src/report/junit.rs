//! The view `junit`: a report for build servers, a test case for each task of a host.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rplay_modules::data::{Data, Map};

use super::dump::{self, Layout};
use super::event::{Event, MessageKind, Status, TaskInfo};
use super::{View, result};
use crate::config::Config;

/// What the environment asks for.
struct Wanted {
    folder: PathBuf,
    class_is_file: bool,
    relative_to: Option<PathBuf>,
    out_of_tree: Option<String>,
    fail_on_change: bool,
    fail_on_ignore: bool,
    setup: bool,
    hide_arguments: bool,
    prefix: Option<String>,
}

/// The view.
pub(crate) struct Junit {
    wanted: Wanted,
    /// One file for the whole run, instead of one for each playbook below a folder.
    file: Option<PathBuf>,
    playbook: String,
    play: String,
    tasks: Vec<(TaskInfo, Instant)>,
    /// What was told of the last failure.
    told: String,
    cases: Vec<Case>,
}

struct Case {
    /// The task, so that cases of one task stay together.
    task: usize,
    class: String,
    name: String,
    seconds: f64,
    outcome: Outcome,
}

enum Outcome {
    Done(String),
    Skipped(String),
    Failed { message: String, text: String },
    Error { message: String, text: String },
}

impl Junit {
    pub(crate) fn new(config: &Config) -> Self {
        let text = |name: &str| {
            let text = config.text(name).filter(|text| !text.is_empty());
            text.filter(|text| text != "none")
        };
        Self {
            wanted: Wanted {
                folder: config.path("junit_output_dir").unwrap_or_default(),
                class_is_file: config.bool("junit_task_class"),
                relative_to: text("junit_task_relative_path")
                    .and_then(|path| std::path::absolute(path).ok()),
                out_of_tree: text("junit_replace_out_of_tree_path"),
                fail_on_change: config.bool("junit_fail_on_change"),
                fail_on_ignore: config.bool("junit_fail_on_ignore"),
                setup: config.bool("junit_include_setup_tasks_in_report"),
                hide_arguments: config.bool("junit_hide_task_arguments"),
                prefix: text("junit_test_case_prefix"),
            },
            file: None,
            playbook: String::new(),
            play: String::new(),
            tasks: vec![],
            told: String::new(),
            cases: vec![],
        }
    }

    /// The view that writes this file.
    pub(crate) fn into_file(config: &Config, file: &Path) -> Self {
        Self {
            file: Some(file.to_path_buf()),
            ..Self::new(config)
        }
    }

    fn add(&mut self, id: usize, host: &str, outcome: Outcome) {
        let found = self.tasks.iter().rev().find(|(task, _)| task.id == id);
        let Some((task, begin)) = found else { return };
        let failed = matches!(outcome, Outcome::Error { .. } | Outcome::Failed { .. });
        let named = |prefix: &String| task.name.starts_with(prefix.as_str());
        let hidden = !self.wanted.setup && short(&task.action) == "setup";
        if hidden || !(failed || self.wanted.prefix.as_ref().is_none_or(named)) {
            return;
        }
        self.cases.push(Case {
            task: id,
            class: self.wanted.class(&task.path),
            name: format!("[{host}] {}: {}", self.play, self.wanted.name(task)),
            seconds: begin.elapsed().as_secs_f64(),
            outcome,
        });
    }

    fn done(&mut self, id: usize, host: &str, status: Status, ignored: bool, result: &Map) {
        let shown = || {
            let always = result::is_true(result, "_ansible_verbose_always");
            let layout = Layout {
                indent: Some(if always { 4 } else { 0 }),
                ascii: false,
            };
            let mut shown = result::visible(result, 0);
            if let Some(Data::List(items)) = shown.get_mut("results") {
                items.iter_mut().for_each(|item| {
                    if let Data::Map(item) = item {
                        result::clean_item(item);
                    }
                });
            }
            dump::json_map(&shown, layout)
        };
        let text = |name: &str| result.get(name).map(dump::text);
        let outcome = match status {
            Status::Skipped => {
                Outcome::Skipped(text("skip_reason").unwrap_or_else(|| "skipped".to_owned()))
            }
            Status::Failed | Status::Unreachable if !ignored || self.wanted.fail_on_ignore => {
                let told = std::mem::take(&mut self.told);
                let first = told.lines().next().unwrap_or_default();
                Outcome::Error {
                    message: match first {
                        "" => text("msg").unwrap_or_default(),
                        first => first.to_owned(),
                    },
                    text: told,
                }
            }
            Status::Changed if self.wanted.fail_on_change => Outcome::Failed {
                message: text("msg")
                    .filter(|msg| !msg.is_empty())
                    .or_else(|| text("rc").map(|code| format!("rc={code}")))
                    .unwrap_or_default(),
                text: shown(),
            },
            _ => Outcome::Done(shown()),
        };
        self.add(id, host, outcome);
    }

    fn included(&mut self, name: &str, hosts: &[String]) {
        let Some(id) = self.tasks.last().map(|(task, _)| task.id) else {
            return;
        };
        for host in hosts {
            self.add(
                id,
                host,
                Outcome::Done("{\n\"changed\": false\n}".to_owned()),
            );
        }
        let text = format!("{name} (args={{}} vars={{}}): [{}]", hosts.join(", "));
        self.add(id, "include", Outcome::Done(text));
    }

    /// Writes the report of a playbook.
    fn write(&mut self) -> std::io::Result<()> {
        let tasks = &self.tasks;
        let order = |case: &Case| tasks.iter().position(|(task, _)| task.id == case.task);
        self.cases.sort_by_key(order);
        let text = report(&self.playbook, &self.cases);
        if let Some(file) = &self.file {
            return crate::files::write(file, text.as_bytes());
        }
        self.cases.clear();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let stamp = since.unwrap_or_default().as_micros();
        let name = format!(
            "{}-{}.{:06}.xml",
            self.playbook,
            stamp / 1_000_000,
            stamp % 1_000_000
        );
        crate::files::write(&self.wanted.folder.join(name), text.as_bytes())
    }
}

impl Wanted {
    /// What stands for the class of a test: the place of the task.
    fn class(&self, path: &str) -> String {
        let mut path = path.to_owned();
        if let Some(base) = &self.relative_to {
            path = relative(Path::new(&path), base);
            if let Some(other) = self
                .out_of_tree
                .as_ref()
                .filter(|_| path.starts_with("../"))
            {
                let name = path.rsplit('/').next().unwrap_or_default();
                path = format!("{}/{name}", other.trim_end_matches('/'));
            }
        }
        match path.rsplit_once(".yml:") {
            Some((file, _)) if self.class_is_file => file.to_owned(),
            _ => path,
        }
    }

    fn name(&self, task: &TaskInfo) -> String {
        let name = task.name.trim();
        match &task.args {
            Some(args) if !self.hide_arguments && !args.is_empty() => {
                let args: Vec<String> = args
                    .iter()
                    .map(|(key, value)| format!("{key}={}", dump::text(value)))
                    .collect();
                format!("{name} {}", args.join(", "))
            }
            _ => name.to_owned(),
        }
    }
}

fn short(action: &str) -> &str {
    action.rsplit('.').next().unwrap_or(action)
}

/// A path seen from a folder.
fn relative(path: &Path, base: &Path) -> String {
    let (path, base): (Vec<_>, Vec<_>) = (path.components().collect(), base.components().collect());
    let common = path.iter().zip(&base).take_while(|(a, b)| a == b).count();
    let up = base[common..]
        .iter()
        .map(|_| std::path::Component::ParentDir);
    let parts: PathBuf = up.chain(path[common..].iter().copied()).collect();
    parts.display().to_string()
}

fn report(name: &str, cases: &[Case]) -> String {
    let count =
        |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
    let errors = count(|outcome| matches!(outcome, Outcome::Error { .. }));
    let failures = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    let tests = cases.len();
    let mut out = String::from("<?xml version=\"1.0\" ?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<testsuites disabled=\"0\" errors=\"{errors}\" failures=\"{failures}\" tests=\"{tests}\" time=\"{seconds:.6}\">"
    );
    let _ = writeln!(
        out,
        "\t<testsuite disabled=\"0\" errors=\"{errors}\" failures=\"{failures}\" name=\"{}\" skipped=\"{skipped}\" tests=\"{tests}\" time=\"{seconds:.6}\">",
        attribute(name)
    );
    for case in cases {
        let _ = writeln!(
            out,
            "\t\t<testcase classname=\"{}\" name=\"{}\" time=\"{:.6}\">",
            attribute(&case.class),
            attribute(&case.name),
            case.seconds
        );
        let inside = match &case.outcome {
            Outcome::Done(text) => format!("<system-out>{}</system-out>", content(text)),
            Outcome::Skipped(why) => format!("<skipped>{}</skipped>", content(why)),
            Outcome::Failed { message, text } => element("failure", message, text),
            Outcome::Error { message, text } => element("error", message, text),
        };
        let _ = writeln!(out, "\t\t\t{inside}\n\t\t</testcase>");
    }
    out + "\t</testsuite>\n</testsuites>\n"
}

fn element(kind: &str, message: &str, text: &str) -> String {
    format!(
        "<{kind} message=\"{}\" type=\"{kind}\">{}</{kind}>",
        attribute(message),
        content(text)
    )
}

/// Text between tags. XML has no way to write most control characters.
fn content(text: &str) -> String {
    let kept = |c: &char| !c.is_control() || matches!(c, '\n' | '\t' | '\r');
    let text: String = text.chars().filter(kept).collect();
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Text between quotation marks.
pub(super) fn attribute(text: &str) -> String {
    content(text)
        .replace('"', "&quot;")
        .replace('\n', "&#10;")
        .replace('\t', "&#9;")
        .replace('\r', "&#13;")
}

impl View for Junit {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlaybookStarted { path } => {
                let stem = Path::new(path).file_stem().unwrap_or_default();
                self.playbook = stem.to_string_lossy().into_owned();
            }
            Event::PlayStarted { name, .. } => name.trim().clone_into(&mut self.play),
            Event::TaskStarted { task } => self.tasks.push((task.clone(), Instant::now())),
            Event::TaskDone {
                task,
                host,
                status,
                ignored,
                result,
                ..
            } => self.done(*task, host, *status, *ignored, result),
            Event::Included { name, hosts, .. } => self.included(name, hosts),
            Event::Message {
                kind: MessageKind::TaskError,
                text,
            } => self.told.clone_from(text),
            Event::RunEnded { .. } => {
                if let Err(error) = self.write() {
                    let text = match &self.file {
                        Some(file) => {
                            let file = file.display();
                            format!("the report '{file}' cannot be written: {error}")
                        }
                        None => {
                            let folder = self.wanted.folder.display();
                            format!("cannot write the JUnit report below {folder}: {error}")
                        }
                    };
                    let text = format!("[WARNING]: {text}\n");
                    super::problem(crate::diag::Severity::Warning, &text);
                }
            }
            _ => {}
        }
    }
}
