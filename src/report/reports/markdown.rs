//! A run for a comment of a merge request: a table of hosts, and each change folded with its
//! difference. It fits into a comment: what is largest is left out first, and said so.

use crate::report::event::Status;
use crate::report::host_range;
use crate::report::plan::{Outcome, Plan, Task};

/// Characters that a comment may have; GitHub and GitLab take 65,536 at least.
const LIMIT: usize = 65_000;

/// A change, and the hosts that have it.
struct Entry {
    heading: String,
    hosts: Vec<String>,
    /// The difference; empty where there is none.
    body: String,
    /// The difference stays out.
    folded: bool,
}

/// The text.
pub(super) fn text(run: &Plan) -> String {
    let head = head(run);
    let mut entries = entries(run);
    let length = |entries: &[Entry]| {
        entries
            .iter()
            .map(|entry| shown(entry).len())
            .sum::<usize>()
    };
    // Where the differences are not the most of it, entries at the end are left out.
    let mut total = head.len() + length(&entries);
    while total > LIMIT {
        let largest = entries.iter_mut().filter(|entry| !entry.folded);
        let Some(largest) = largest.max_by_key(|entry| entry.body.len()) else {
            break;
        };
        total -= shown(largest).len();
        largest.folded = true;
        total += shown(largest).len();
    }
    let mut out = head;
    for (at, entry) in entries.iter().enumerate() {
        let shown = shown(entry);
        if out.len() + shown.len() > LIMIT {
            let left = entries.len() - at;
            out.push_str(&format!("\n{left} more are left out{}.\n", artifact()));
            break;
        }
        out.push_str(&shown);
    }
    out
}

fn head(run: &Plan) -> String {
    let mut out = format!("## rplay: {}\n", run.to_line());
    out.push_str("\n| host | ok | changed | failed | unreachable | skipped |\n");
    out.push_str("| --- | ---: | ---: | ---: | ---: | ---: |\n");
    // A thousand hosts that agree are no table.
    const ROWS: usize = 50;
    for (host, counts) in run.recap.iter().take(ROWS) {
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            inline(host),
            counts.ok,
            counts.changed,
            counts.failed,
            counts.unreachable,
            counts.skipped
        ));
    }
    if run.recap.len() > ROWS {
        out.push_str(&format!("\n{} more hosts.\n", run.recap.len() - ROWS));
    }
    for warning in run.warnings.iter().take(20) {
        let line = warning.lines().next().unwrap_or_default();
        out.push_str(&format!("\n> **Warning:** {}\n", inline(line)));
    }
    out.push('\n');
    out
}

/// The changes; hosts and items with the same one stand together.
fn entries(run: &Plan) -> Vec<Entry> {
    let mut entries: Vec<(*const Task, Entry)> = vec![];
    for (task, host, outcome) in run.outcomes() {
        let Some((what, body)) = told(outcome) else {
            continue;
        };
        let heading = format!("{what} {}", inline(&task.name));
        let same = |(of, entry): &&mut (*const Task, Entry)| {
            std::ptr::eq(*of, task) && entry.heading == heading && entry.body == body
        };
        match entries.iter_mut().find(same) {
            Some((_, entry)) if entry.hosts.contains(&host) => {}
            Some((_, entry)) => entry.hosts.push(host),
            None => entries.push((
                task,
                Entry {
                    heading,
                    hosts: vec![host],
                    body,
                    folded: false,
                },
            )),
        }
    }
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// The mark and the text of what happened; none where nothing did.
fn told(outcome: &Outcome) -> Option<(&'static str, String)> {
    if let Some(cause) = &outcome.unknown {
        return Some((
            "❔",
            format!("not known because of the task '{}'\n", cause.task),
        ));
    }
    let why = || outcome.why.clone().unwrap_or_default() + "\n";
    match outcome.status {
        Status::Ok | Status::Skipped => None,
        Status::Failed => Some(("❌", why())),
        Status::Unreachable => Some(("📵", why())),
        Status::Changed => Some(("🟡", outcome.diff_text())),
    }
}

fn shown(entry: &Entry) -> String {
    let Entry {
        heading,
        hosts,
        body,
        folded,
    } = entry;
    let hosts = host_range(hosts, inline);
    if body.trim().is_empty() {
        return format!("* {heading}: {hosts}\n\n");
    }
    if *folded {
        let lines = body.trim_end().lines().count();
        return format!(
            "* {heading}: {hosts}; {lines} lines are left out{}\n\n",
            artifact()
        );
    }
    let fence = fence(body);
    format!(
        "<details><summary>{heading}: {hosts}</summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>\n\n",
        body.trim_end_matches('\n')
    )
}

/// A fence that is longer than any in the text.
fn fence(text: &str) -> String {
    let mut longest = 2;
    let mut run = 0;
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest + 1)
}

/// Where all of it is: the job that the environment names.
fn artifact() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let github = || {
        let (server, repository, run) = (
            variable("GITHUB_SERVER_URL")?,
            variable("GITHUB_REPOSITORY")?,
            variable("GITHUB_RUN_ID")?,
        );
        Some(format!("{server}/{repository}/actions/runs/{run}"))
    };
    let job = variable("CI_JOB_URL").map(|url| format!("{url}/artifacts/browse"));
    job.or_else(github)
        .map_or_else(String::new, |url| format!(" ([all of it]({url}))"))
}

/// A name in running text: nothing in it is markup.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => out.extend(['\\', letter]),
            letter => out.push(letter),
        }
    }
    out
}
