//! The view that Ansible calls `oneline`: a line a result.

use std::io::Write;

use rplay_modules::data::Map;

use super::event::{Event, MessageKind, NO_TRACEBACK, RunOptions, Status};
use super::output::{Color, Output, Stream};
use super::{Settings, View, dump, minimal, result};

/// Ansible's `oneline` callback.
pub(crate) struct OneLine {
    output: Output,
    settings: Settings,
    options: RunOptions,
    /// The action of the task that runs.
    action: String,
}

impl OneLine {
    pub(crate) fn new(
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            output: Output::new(settings, out, err),
            settings: settings.clone(),
            options: RunOptions::default(),
            action: String::new(),
        }
    }

    fn done(&mut self, host: &str, status: Status, looped: bool, result: &Map) {
        let (color, word) = match status {
            Status::Ok => (Color::Ok, "SUCCESS"),
            Status::Changed => (Color::Changed, "CHANGED"),
            Status::Failed => return self.failed(host, looped, result),
            Status::Unreachable => {
                let message = result.get("msg").map(dump::text).unwrap_or_default();
                let text = format!("{host} | UNREACHABLE!: {message}");
                return self.output.line(Color::Unreachable, &text);
            }
            Status::Skipped => {
                return self.output.line(Color::Skip, &format!("{host} | SKIPPED"));
            }
        };
        let text = if minimal::is_command(&self.action, result) {
            command(host, word, result)
        } else {
            format!("{host} | {word} => {}", self.dump(result))
        };
        self.output.line(color, &text);
    }

    fn failed(&mut self, host: &str, looped: bool, result: &Map) {
        let first = if minimal::is_command(&self.action, result) {
            command(host, "FAILED", result)
        } else {
            // Ansible speaks of a traceback, which a module that fails by itself does not have.
            let how = match self.options.verbosity {
                0..3 => "To see the full traceback, use -vvv. The error was: ",
                _ => "The full traceback is:\n",
            };
            let what = "An exception occurred during task execution.";
            format!("{what} {how}{}", NO_TRACEBACK)
        };
        if !looped {
            self.output.line(Color::Error, &first);
        }
        let text = format!("{host} | FAILED! => {}", self.dump(result));
        self.output.line(Color::Error, &text);
    }

    /// JSON without line ends; results that are always shown in full keep their indentation.
    fn dump(&self, result: &Map) -> String {
        let spread =
            self.options.verbosity > 2 || result::is_true(result, "_ansible_verbose_always");
        let indent = if spread { self.settings.indent } else { 0 };
        let settings = Settings {
            pretty: Some(true),
            indent,
            yaml: false,
            ..self.settings.clone()
        };
        result::dump(
            &result::with_changed(result),
            &settings,
            self.options.verbosity,
        )
        .replace('\n', "")
    }
}

impl View for OneLine {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { options } => self.options = options.clone(),
            Event::TaskStarted { task } => self.action.clone_from(&task.action),
            Event::TaskDone {
                host,
                status,
                looped,
                result,
                ..
            } => self.done(host, *status, *looped, result),
            Event::Included { hosts, .. } => {
                let result = rplay_modules::map! { "changed" => false };
                for host in hosts {
                    self.done(host, Status::Ok, false, &result);
                }
            }
            // The result itself tells it.
            Event::Message {
                kind: MessageKind::TaskError,
                ..
            } => {}
            Event::Message { kind, text } => {
                let verbosity = self.options.verbosity;
                self.output.message(*kind, text, verbosity, Stream::Out);
            }
            _ => {}
        }
    }
}

/// What a command wrote, on one line.
fn command(host: &str, word: &str, result: &Map) -> String {
    let text = |name: &str| {
        let text = result.get(name).map(dump::text).unwrap_or_default();
        text.replace('\n', "\\n")
    };
    let code = result.get("rc").map_or_else(|| "-1".to_owned(), dump::text);
    let mut line = format!("{host} | {word} | rc={code} | (stdout) {}", text("stdout"));
    let stderr = text("stderr");
    if !stderr.is_empty() {
        line.push_str(&format!(" (stderr) {stderr}"));
    }
    line
}
