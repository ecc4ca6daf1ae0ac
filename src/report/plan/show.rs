//! A plan as text: what changes, task by task, hosts that agree together.

use rplay_modules::outcome::Diff;

use super::{Difference, HostResult, Outcome, Plan, Summary, Task};
use crate::report::diff;
use crate::report::event::Status;

/// Lines around a change.
const CONTEXT: usize = 3;

impl Plan {
    /// The plan for a reader. What stays as it is, and what is skipped by its condition, is left out.
    #[must_use]
    pub fn to_display(&self) -> String {
        let mut out = String::new();
        for play in &self.plays {
            let tasks: Vec<String> = play.tasks.iter().filter_map(task).collect();
            if tasks.is_empty() {
                continue;
            }
            out.push_str(&format!("PLAY [{}]\n\n", play.name));
            out.push_str(&tasks.concat());
        }
        out.push_str(&self.to_line());
        out.push('\n');
        out
    }

    /// The counts in a line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let what = if self.check { "Plan" } else { "Run" };
        format!("{what}: {}", self.summary.to_words())
    }
}

impl Summary {
    /// The counts in words: `2 changes, 1 unknown`.
    #[must_use]
    pub fn to_words(&self) -> String {
        let Self {
            changed,
            unknown,
            failed,
        } = self;
        let mut line = match changed {
            0 => "no changes".to_owned(),
            1 => "1 change".to_owned(),
            _ => format!("{changed} changes"),
        };
        if *unknown > 0 {
            line.push_str(&format!(", {unknown} unknown"));
        }
        if *failed > 0 {
            line.push_str(&format!(", {failed} failed"));
        }
        line
    }
}

/// A task with what it would do; none: nothing.
fn task(task: &Task) -> Option<String> {
    // Hosts with the same result stand together, where the first of them stands.
    let mut groups: Vec<(String, Vec<&str>)> = vec![];
    for result in &task.results {
        let Some(text) = result_text(result, &task.path) else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, hosts)) => hosts.push(&result.host),
            None => groups.push((text, vec![&result.host])),
        }
    }
    if groups.is_empty() {
        return None;
    }
    let kind = if task.handler { "HANDLER" } else { "TASK" };
    let mut out = format!("{kind} [{}] ({})\n", task.name, task.action);
    for (text, hosts) in groups {
        out.push_str(&text.replacen("HOSTS", &hosts.join(", "), 1));
    }
    out.push('\n');
    Some(out)
}

fn result_text(result: &HostResult, path: &str) -> Option<String> {
    if result.items.is_empty() {
        return Some(format!("  {}", outcome("HOSTS", &result.outcome, path)?));
    }
    let items = result.items.iter().filter_map(|item| {
        let name = format!("(item={})", item.label);
        outcome(&name, &item.outcome, path).map(|text| format!("    {text}"))
    });
    let items: String = items.collect();
    (!items.is_empty()).then(|| format!("  HOSTS:\n{items}"))
}

/// A line, and the differences; none where nothing happens.
fn outcome(name: &str, outcome: &Outcome, path: &str) -> Option<String> {
    match &outcome.unknown {
        Some(cause) if cause.path == path => {
            return Some(format!("? {name}: runs then; check mode does not run it\n"));
        }
        Some(cause) => {
            return Some(format!(
                "? {name}: not known because of the task '{}' ({}), which check mode does not run\n",
                cause.task, cause.path
            ));
        }
        None => {}
    }
    let why = outcome.why.as_deref().unwrap_or("no message");
    match outcome.status {
        Status::Ok | Status::Skipped => None,
        Status::Failed => Some(format!("! {name}: fails: {why}\n")),
        Status::Unreachable => Some(format!("! {name}: unreachable: {why}\n")),
        Status::Changed => {
            let diffs = outcome.diff_text();
            let lines = diffs.lines().filter(|line| !line.is_empty());
            let diffs: String = lines.map(|line| format!("      {line}\n")).collect();
            Some(format!("~ {name}: changes\n{diffs}"))
        }
    }
}

/// A difference as `--diff` shows it.
pub(super) fn difference(one: &Difference) -> String {
    diff::plain(&[Diff::from(one)], CONTEXT)
}
