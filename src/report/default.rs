//! The view that Ansible calls `default`: headings, a line a host, the recap.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Diff;

use super::event::{Counts, Event, JobState, MessageKind, RunOptions, Status, TaskInfo};
use super::output::{Color, Output, Stream};
use super::{Settings, View, diff, dump, log, result};

/// Ansible's `default` callback.
pub(crate) struct Default {
    output: Output,
    settings: Settings,
    options: RunOptions,
    tasks: HashMap<usize, TaskInfo>,
    /// The task that was started last.
    started: Option<usize>,
    /// The task whose heading was shown last.
    headed: Option<usize>,
    stats: Map,
}

impl Default {
    pub(crate) fn new(
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            output: Output::new(settings, out, err),
            settings: settings.clone(),
            options: RunOptions::default(),
            tasks: HashMap::new(),
            started: None,
            headed: None,
            stats: Map::new(),
        }
    }
}

/// What one line about a host is made of.
struct Line<'a> {
    task: usize,
    host: &'a str,
    delegated_to: Option<&'a str>,
    status: Status,
    result: &'a Map,
    diff: &'a [Diff],
}

impl Line<'_> {
    /// `host`, or `host -> delegate`.
    fn name(&self) -> String {
        match self.delegated_to {
            Some(other) if other != self.host => format!("{} -> {other}", self.host),
            _ => self.host.to_owned(),
        }
    }
}

impl View for Default {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { options } => self.options = options.clone(),
            Event::PlaybookStarted { path } => self.playbook(path),
            Event::PlayStarted { name, check, .. } => self.play(name, *check),
            Event::NoHostsMatched => self.output.line(Color::Skip, "skipping: no hosts matched"),
            Event::NoHostsRemaining => self.output.banner("NO MORE HOSTS LEFT"),
            Event::TaskStarted { task } => self.task(task),
            Event::HostStarted { task, host } => self.host_started(*task, host),
            Event::ItemDone {
                task,
                host,
                delegated_to,
                status,
                label,
                result,
                diff,
                ..
            } => {
                let line = Line {
                    task: *task,
                    host,
                    delegated_to: delegated_to.as_deref(),
                    status: *status,
                    result,
                    diff,
                };
                self.item(&line, label);
            }
            Event::Retrying {
                task,
                host,
                left,
                result,
            } => self.retrying(*task, host, *left, result),
            Event::Background {
                host, job, state, ..
            } => self.background(host, job, *state),
            Event::TaskDone {
                task,
                host,
                delegated_to,
                status,
                ignored,
                looped,
                result,
                diff,
                ..
            } => {
                let line = Line {
                    task: *task,
                    host,
                    delegated_to: delegated_to.as_deref(),
                    status: *status,
                    result,
                    diff,
                };
                self.done(&line, *looped, *ignored);
            }
            Event::Included { name, hosts, label } => self.included(name, hosts, label.as_ref()),
            Event::Notified { handler, .. } => {
                let text = format!("Notification for handler {handler} has been saved.");
                self.verbose(2, &text);
            }
            Event::Message { kind, text } => {
                if *kind == MessageKind::TaskError {
                    self.head_last();
                }
                self.output
                    .message(*kind, text, self.options.verbosity, self.failures());
            }
            Event::Again { .. } | Event::Kept { .. } | Event::Reached { .. } => {}
            Event::CustomStats { stats } => self.stats.extend(stats.clone()),
            Event::RunEnded { recap, .. } => self.end(recap),
        }
    }
}

impl Default {
    fn verbose(&mut self, level: u8, text: &str) {
        let kind = MessageKind::Verbose(level);
        let failures = self.failures();
        self.output
            .message(kind, text, self.options.verbosity, failures);
    }

    fn failures(&self) -> Stream {
        if self.settings.failed_stderr {
            Stream::Err
        } else {
            Stream::Out
        }
    }

    fn marker(&self, check: bool) -> &'static str {
        if check && self.settings.check_markers {
            " [CHECK MODE]"
        } else {
            ""
        }
    }

    fn playbook(&mut self, path: &str) {
        if self.options.verbosity > 1 {
            let name = path.rsplit('/').next().unwrap_or(path);
            self.output.banner(&format!("PLAYBOOK: {name}"));
        }
        if self.options.verbosity > 3 {
            for line in self.options.arguments.clone() {
                self.output.line(Color::Verbose, &line);
            }
        }
        if self.options.check && self.settings.check_markers {
            self.output.banner("DRY RUN");
        }
    }

    fn play(&mut self, name: &str, check: bool) {
        let marker = self.marker(check || self.options.check);
        let name = name.trim();
        if name.is_empty() {
            self.output.banner(&format!("PLAY{marker}"));
        } else {
            self.output.banner(&format!("PLAY [{name}]{marker}"));
        }
        self.tasks.clear();
        self.headed = None;
    }

    fn task(&mut self, task: &TaskInfo) {
        self.started = Some(task.id);
        self.tasks.insert(task.id, task.clone());
        if self.settings.display_ok && self.settings.display_skipped {
            self.head(task.id);
        }
    }

    fn host_started(&mut self, task: usize, host: &str) {
        if !self.settings.per_host_start {
            return;
        }
        if let Some(task) = self.tasks.get(&task) {
            let prefix = if task.handler { "HANDLER" } else { "TASK" };
            self.output.line(
                Color::Ok,
                &format!(" [started {prefix}: {} on {host}]", task.name.trim()),
            );
        }
    }

    /// Shows the heading of a task unless it is the last one that was shown.
    fn head(&mut self, id: usize) {
        if self.headed == Some(id) {
            return;
        }
        self.headed = Some(id);
        let Some(task) = self.tasks.get(&id) else {
            return;
        };
        let prefix = if task.handler {
            "RUNNING HANDLER"
        } else {
            "TASK"
        };
        let arguments = match &task.args {
            Some(args) if self.settings.display_args => {
                let shown = args
                    .iter()
                    .map(|(key, value)| format!("{key}={}", dump::text(value)));
                format!(" {}", shown.collect::<Vec<_>>().join(", "))
            }
            _ => String::new(),
        };
        let marker = self.marker(task.check || self.options.check);
        let path = format!("task path: {}", task.path);
        self.output.banner(&format!(
            "{prefix} [{}{arguments}]{marker}",
            task.name.trim()
        ));
        if self.options.verbosity > 1 {
            self.output.line(Color::Debug, &path);
        }
    }

    /// A task's error comes before its result, and needs the heading too.
    fn head_last(&mut self) {
        if let Some(id) = self.started {
            self.head(id);
        }
    }

    fn shows(&self, status: Status) -> bool {
        match status {
            Status::Ok => self.settings.display_ok,
            Status::Skipped => self.settings.display_skipped,
            _ => true,
        }
    }

    fn item(&mut self, line: &Line<'_>, label: &Data) {
        self.differences(line);
        if !self.shows(line.status) {
            return;
        }
        self.head(line.task);
        let (name, label) = (line.name(), label_text(label, line.result));
        let (color, mut text) = match line.status {
            Status::Ok => (Color::Ok, format!("ok: [{name}] => (item={label})")),
            Status::Changed => (
                Color::Changed,
                format!("changed: [{name}] => (item={label})"),
            ),
            Status::Skipped => (
                Color::Skip,
                format!("skipping: [{}] => (item={label}) ", line.host),
            ),
            Status::Failed | Status::Unreachable => {
                let text = format!(
                    "failed: [{name}] (item={label}) => {}",
                    self.dump(line.task, line.result)
                );
                self.output.show(self.failures(), Color::Error, &text);
                return;
            }
        };
        if result::is_verbose(line.result, self.options.verbosity, 0) {
            text.push_str(" => ");
            text.push_str(&self.dump(line.task, line.result));
        }
        self.output.line(color, &text);
    }

    fn done(&mut self, line: &Line<'_>, looped: bool, ignored: bool) {
        if !looped {
            self.differences(line);
        }
        match line.status {
            Status::Ok | Status::Changed if looped => {}
            Status::Ok => self.plain(line, Color::Ok, "ok"),
            Status::Changed => self.plain(line, Color::Changed, "changed"),
            Status::Skipped => {
                // The items were told one by one.
                let result = result::without(line.result, "results");
                self.plain(
                    &Line {
                        result: &result,
                        ..*line
                    },
                    Color::Skip,
                    "skipping",
                );
            }
            Status::Failed => {
                self.head(line.task);
                // Of a loop of `debug`, no items are left to tell.
                if !looped || !self.named(line.task, line.result).contains_key("results") {
                    self.task_path(line.task);
                    let text = format!(
                        "fatal: [{}]: FAILED! => {}",
                        line.name(),
                        self.dump(line.task, line.result)
                    );
                    self.output.show(self.failures(), Color::Error, &text);
                }
            }
            Status::Unreachable => {
                self.head(line.task);
                let text = format!(
                    "fatal: [{}]: UNREACHABLE! => {}",
                    line.name(),
                    self.dump(line.task, line.result)
                );
                self.output.show(self.failures(), Color::Unreachable, &text);
            }
        }
        if ignored && matches!(line.status, Status::Failed | Status::Unreachable) {
            self.output.line(Color::Skip, "...ignoring");
        }
    }

    fn plain(&mut self, line: &Line<'_>, color: Color, word: &str) {
        if !self.shows(line.status) {
            return;
        }
        self.head(line.task);
        let name = match line.status {
            Status::Skipped => line.host.to_owned(),
            _ => line.name(),
        };
        let mut text = format!("{word}: [{name}]");
        if result::is_verbose(line.result, self.options.verbosity, 0) {
            text.push_str(" => ");
            text.push_str(&self.dump(line.task, line.result));
        }
        self.output.line(color, &text);
    }

    fn task_path(&mut self, id: usize) {
        if !self.settings.task_path_on_failure || self.options.verbosity > 1 {
            return;
        }
        if let Some(task) = self.tasks.get(&id) {
            self.output
                .line(Color::Debug, &format!("task path: {}", task.path));
        }
    }

    fn differences(&mut self, line: &Line<'_>) {
        if line.diff.is_empty()
            || (line.status == Status::Ok && !result::is_true(line.result, "changed"))
        {
            return;
        }
        let text = diff::text(line.diff, self.settings.diff_context, &self.output);
        if !text.is_empty() {
            self.head(line.task);
            self.output.line(Color::Plain, &text);
        }
    }

    fn retrying(&mut self, task: usize, host: &str, left: u32, result: &Map) {
        let name = self.tasks.get(&task).map_or("", |task| task.name.trim());
        let mut text = format!("FAILED - RETRYING: [{host}]: {name} ({left} retries left).");
        if result::is_verbose(result, self.options.verbosity, 2) {
            text.push_str("Result was: ");
            // All of it is shown, also what `debug` keeps to itself.
            let shown = result::dump(result, &self.settings, self.options.verbosity);
            text.push_str(&shown);
        }
        self.output.line(Color::Debug, &text);
    }

    fn background(&mut self, host: &str, job: &str, state: JobState) {
        self.head_last();
        let python = |on: bool| if on { "True" } else { "False" };
        let text = match state {
            JobState::Running { started, finished } => format!(
                "ASYNC POLL on {host}: jid={job} started={} finished={}",
                python(started),
                python(finished)
            ),
            JobState::Ok => format!("ASYNC OK on {host}: jid={job}"),
            JobState::Failed => format!("ASYNC FAILED on {host}: jid={job}"),
        };
        self.output.line(Color::Debug, &text);
    }

    fn included(&mut self, name: &str, hosts: &[String], label: Option<&Data>) {
        if !self.settings.display_included {
            return;
        }
        self.head_last();
        let mut text = format!("included: {name} for {}", hosts.join(", "));
        if let Some(label) = label {
            text.push_str(&format!(" => (item={})", dump::text(label)));
        }
        self.output.line(Color::Included, &text);
    }

    fn dump(&self, task: usize, result: &Map) -> String {
        let named = self.named(task, result);
        result::dump(&named, &self.settings, self.options.verbosity)
    }

    fn named<'r>(&self, task: usize, result: &'r Map) -> Cow<'r, Map> {
        let task = self.tasks.get(&task);
        result::named(task.map_or("", |task| &task.action), result)
    }

    fn end(&mut self, recap: &[(String, Counts)]) {
        self.output.banner("PLAY RECAP");
        for (host, counts) in recap {
            self.recap_line(host, counts);
        }
        self.output.line(Color::Plain, "");
        if self.settings.show_custom_stats && !self.stats.is_empty() {
            self.custom_stats();
        }
        if self.options.check && self.settings.check_markers {
            self.output.banner("DRY RUN");
        }
    }

    fn recap_line(&mut self, host: &str, counts: &Counts) {
        log::write(
            log::Level::Info,
            &recap_line(host, counts, 26, &|_, text| text.to_owned()),
        );
        // Codes count into Ansible's padding, which is wider by just as much.
        let width = if self.output.has_colors() { 37 } else { 26 };
        let line = recap_line(host, counts, width, &|color, text| {
            self.output.paint(color, text)
        });
        self.output.show_only(Stream::Out, Color::Plain, &line);
    }

    fn custom_stats(&mut self) {
        self.output.banner("CUSTOM STATS:");
        let layout = dump::Layout {
            indent: Some(1),
            ascii: false,
        };
        let mut stats: Vec<_> = self
            .stats
            .iter()
            .filter(|(name, _)| *name != "_run")
            .collect();
        stats.sort_by_key(|(name, _)| *name);
        let flat = |value: &Data| dump::json(value, layout).replace('\n', "");
        let mut lines: Vec<_> = stats
            .into_iter()
            .map(|(name, value)| format!("\t{name}: {}", flat(value)))
            .collect();
        if let Some(run) = self.stats.get("_run") {
            lines.push(format!("\n\tRUN: {}", flat(run)));
        }
        lines.push(String::new());
        for line in lines {
            self.output.line(Color::Plain, &line);
        }
    }
}

fn label_text(label: &Data, result: &Map) -> String {
    match result.get("censored") {
        Some(_) => "(censored due to no_log)".to_owned(),
        None => dump::text(label),
    }
}

fn host_color(counts: &Counts) -> Color {
    match counts {
        counts if counts.failed > 0 || counts.unreachable > 0 => Color::Error,
        counts if counts.changed > 0 => Color::Changed,
        _ => Color::Ok,
    }
}

/// The line of a host; `paint` adds colours, `width` is that of the name with its codes.
fn recap_line(
    host: &str,
    counts: &Counts,
    width: usize,
    paint: &dyn Fn(Color, &str) -> String,
) -> String {
    let count = |name: &str, number: u32, color: Color| {
        let text = format!("{name}={number:<4}");
        if number > 0 {
            paint(color, &text)
        } else {
            text
        }
    };
    format!(
        "{:<width$} : {} {} {} {} {} {} {}",
        paint(host_color(counts), host),
        count("ok", counts.ok, Color::Ok),
        count("changed", counts.changed, Color::Changed),
        count("unreachable", counts.unreachable, Color::Unreachable),
        count("failed", counts.failed, Color::Error),
        count("skipped", counts.skipped, Color::Skip),
        count("rescued", counts.rescued, Color::Ok),
        count("ignored", counts.ignored, Color::Warn),
    )
}
