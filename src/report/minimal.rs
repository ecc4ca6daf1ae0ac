//! The view that Ansible calls `minimal`: a block a result, no headings.

use std::io::Write;

use rplay_modules::data::Map;
use rplay_modules::outcome::Diff;

use super::event::{Event, MessageKind, RunOptions, Status};
use super::output::{Color, Output, Stream};
use super::{Settings, View, diff, dump, result};

/// Ansible's `minimal` callback.
pub(crate) struct Minimal {
    output: Output,
    settings: Settings,
    options: RunOptions,
    /// The action of the task that runs.
    action: String,
    /// Why the task failed: told with its result, not for each item of a loop.
    reasons: Vec<String>,
}

impl Minimal {
    pub(crate) fn new(
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        let settings = Settings {
            pretty: settings.pretty.or(Some(true)),
            ..settings.clone()
        };
        let output = Output::new(&settings, out, err);
        Self {
            output,
            settings,
            options: RunOptions::default(),
            action: String::new(),
            reasons: vec![],
        }
    }
}

impl View for Minimal {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { options } => self.options = options.clone(),
            Event::TaskStarted { task } => self.action.clone_from(&task.action),
            Event::TaskDone {
                host,
                status,
                looped,
                result,
                diff,
                ..
            } => {
                if !looped {
                    self.differences(diff);
                }
                for reason in std::mem::take(&mut self.reasons) {
                    self.message(MessageKind::TaskError, &reason);
                }
                self.done(host, *status, result);
            }
            Event::Included { hosts, .. } => {
                let result = rplay_modules::map! { "changed" => false };
                for host in hosts {
                    self.done(host, Status::Ok, &result);
                }
            }
            Event::ItemDone { diff, .. } => {
                self.reasons.clear();
                self.differences(diff);
            }
            Event::Message {
                kind: MessageKind::TaskError,
                text,
            } => self.reasons.push(text.clone()),
            Event::Message { kind, text } => self.message(*kind, text),
            Event::RunEnded { .. } => {
                for reason in std::mem::take(&mut self.reasons) {
                    self.message(MessageKind::TaskError, &reason);
                }
            }
            _ => {}
        }
    }
}

impl Minimal {
    fn message(&mut self, kind: MessageKind, text: &str) {
        let verbosity = self.options.verbosity;
        self.output.message(kind, text, verbosity, Stream::Out);
    }

    fn done(&mut self, host: &str, status: Status, result: &Map) {
        let (color, word) = match status {
            Status::Ok => (Color::Ok, "SUCCESS"),
            Status::Changed => (Color::Changed, "CHANGED"),
            Status::Failed => (Color::Error, "FAILED"),
            Status::Unreachable => (Color::Unreachable, "UNREACHABLE"),
            Status::Skipped => return self.output.line(Color::Skip, &format!("{host} | SKIPPED")),
        };
        let written = is_command(&self.action, result) && status != Status::Unreachable;
        let text = if written {
            command(host, word, result)
        } else {
            let mark = if matches!(status, Status::Failed | Status::Unreachable) {
                "!"
            } else {
                ""
            };
            let shown = match status {
                Status::Failed => result::with_changed(result),
                _ => result::named(&self.action, result),
            };
            format!(
                "{host} | {word}{mark} => {}",
                result::dump(&shown, &self.settings, self.options.verbosity)
            )
        };
        self.output.line(color, &text);
    }

    fn differences(&mut self, diffs: &[Diff]) {
        if !diffs.is_empty() {
            let text = diff::text(diffs, self.settings.diff_context, &self.output);
            self.output.line(Color::Plain, &text);
        }
    }
}

/// Whether what the action ran is shown as it was written; a job in the background is more than that.
pub(super) fn is_command(action: &str, result: &Map) -> bool {
    let name = action.rsplit('.').next();
    matches!(name, Some("command" | "shell" | "raw" | "script"))
        && !result.contains_key("ansible_job_id")
}

/// What a command wrote, without a frame.
fn command(host: &str, word: &str, result: &Map) -> String {
    let text = |name: &str| result.get(name).map(dump::text).unwrap_or_default();
    let code = result.get("rc").map_or_else(|| "-1".to_owned(), dump::text);
    format!(
        "{host} | {word} | rc={code} >>\n{}{}{}\n",
        text("stdout"),
        text("stderr"),
        text("msg")
    )
}
