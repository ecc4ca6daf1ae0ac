//! The view for people: what changed and what failed, hosts that agree together, the rest hidden.
//!
//! A task is told when the next one begins. What is the same on many hosts is told once, with its difference; what is
//! unchanged or skipped only with `-v`. While it waits, the live line tells for whom, on a terminal.

use std::io::Write;

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Diff;

use super::event::{Counts, Event, MessageKind, RunOptions, Status, TaskInfo, Unknown};
use super::output::{Color, Output, Stream};
use super::result::is_verbose;
use super::{Settings, View, diff, dump, host_range};

/// The view.
pub(crate) struct Pretty {
    output: Output,
    settings: Settings,
    options: RunOptions,
    /// The heading of the play, until something in it is told.
    heading: Option<String>,
    /// Tasks that are not told yet, with what came of them.
    waiting: Vec<(TaskInfo, Vec<Group>)>,
    /// Tasks that have begun, for results that come after others were told.
    tasks: Vec<TaskInfo>,
}

/// A result, and the hosts that have it.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    mark: char,
    color: Color,
    /// The item, and what is said behind the name.
    about: String,
    /// Lines below.
    body: String,
    /// The difference.
    diff: Vec<Diff>,
    hosts: Vec<String>,
}

impl Pretty {
    pub(crate) fn new(
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            output: Output::new(settings, out, err),
            settings: settings.clone(),
            options: RunOptions::default(),
            heading: None,
            waiting: vec![],
            tasks: vec![],
        }
    }
}

/// Something that is done: a task on a host, or an item.
struct Done<'a> {
    status: Status,
    label: Option<&'a Data>,
    ignored: bool,
    result: &'a Map,
    diff: &'a [Diff],
    unknown: Option<&'a Unknown>,
}

impl View for Pretty {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { options } => self.options = options.clone(),
            Event::PlayStarted { name, hosts, .. } => {
                self.tell();
                self.tasks.clear();
                self.heading = Some(format!("PLAY {name}: {}", host_range(hosts, str::to_owned)));
            }
            Event::NoHostsMatched => self.output.line(Color::Skip, "no hosts matched"),
            Event::TaskStarted { task } => {
                self.tell();
                self.tasks.push(task.clone());
            }
            Event::ItemDone {
                task,
                host,
                status,
                label,
                result,
                diff,
                unknown,
                ..
            } => {
                let done = Done {
                    status: *status,
                    label: Some(label),
                    ignored: false,
                    result,
                    diff,
                    unknown: unknown.as_ref(),
                };
                self.add(*task, host, &done);
            }
            Event::TaskDone {
                task,
                host,
                status,
                ignored,
                looped,
                result,
                diff,
                unknown,
                ..
            } => {
                let done = Done {
                    status: *status,
                    label: None,
                    ignored: *ignored,
                    result,
                    diff,
                    unknown: unknown.as_ref(),
                };
                // Its items have told what there is to tell, but for a host that is gone.
                if !looped || *status == Status::Unreachable {
                    self.add(*task, host, &done);
                }
            }
            // Why a task failed stands below it.
            Event::Message {
                kind: MessageKind::TaskError,
                ..
            } if self.options.verbosity == 0 => {}
            Event::Message { kind, text } => {
                if matches!(kind, MessageKind::Question | MessageKind::Heading) {
                    self.tell();
                }
                let verbosity = self.options.verbosity;
                self.output.message(*kind, text, verbosity, Stream::Err);
            }
            Event::RunEnded { recap, .. } => {
                self.tell();
                self.end(recap);
            }
            _ => {}
        }
    }
}

impl Pretty {
    /// Puts a result to those that are the same.
    fn add(&mut self, task: usize, host: &str, done: &Done<'_>) {
        let Some(info) = self.tasks.iter().find(|known| known.id == task) else {
            return;
        };
        let Some(group) = group(done, &info.path, self.options.verbosity) else {
            return;
        };
        let at = self.waiting.iter().position(|(known, _)| known.id == task);
        let at = at.unwrap_or_else(|| {
            self.waiting.push((info.clone(), vec![]));
            self.waiting.len() - 1
        });
        let groups = &mut self.waiting[at].1;
        let same = |known: &&mut Group| {
            let alike =
                (known.mark, &known.about, &known.body) == (group.mark, &group.about, &group.body);
            alike && known.diff == group.diff
        };
        match groups.iter_mut().find(same) {
            Some(known) => known.hosts.push(host.to_owned()),
            None => groups.push(Group {
                hosts: vec![host.to_owned()],
                ..group
            }),
        }
    }

    /// Tells what waits.
    fn tell(&mut self) {
        for (task, groups) in std::mem::take(&mut self.waiting) {
            if let Some(heading) = self.heading.take() {
                self.output.line(Color::Plain, &format!("\n{heading}\n"));
            }
            let kind = if task.handler { "handler " } else { "" };
            for group in groups {
                let Group {
                    mark,
                    color,
                    about,
                    body,
                    diff,
                    mut hosts,
                } = group;
                hosts.sort();
                let line = format!(
                    "{mark} {kind}{}{about}: {}",
                    task.name,
                    host_range(&hosts, str::to_owned)
                );
                self.output.line(color, &line);
                for line in body.lines() {
                    self.output.line(color, &format!("    {line}"));
                }
                let text = diff::text(&diff, self.settings.diff_context, &self.output);
                for line in text.lines().filter(|line| !line.is_empty()) {
                    self.output.line(Color::Plain, &format!("    {line}"));
                }
            }
        }
    }

    /// The counts, hosts that have the same ones together.
    fn end(&mut self, recap: &[(String, Counts)]) {
        let mut groups: Vec<(Counts, Vec<String>)> = vec![];
        for (host, counts) in recap {
            match groups.iter_mut().find(|(known, _)| known == counts) {
                Some((_, hosts)) => hosts.push(host.clone()),
                None => groups.push((*counts, vec![host.clone()])),
            }
        }
        // The worst comes last, where one looks first.
        groups.sort_by_key(|(counts, _)| (counts.failed + counts.unreachable, counts.changed));
        self.output.line(Color::Plain, "");
        if groups.is_empty() {
            self.output.line(Color::Skip, "nothing was run");
        }
        for (counts, hosts) in groups {
            let (mark, color) = match counts {
                Counts { failed: 1.., .. } => ('!', Color::Error),
                Counts {
                    unreachable: 1.., ..
                } => ('x', Color::Unreachable),
                Counts { changed: 1.., .. } => ('~', Color::Changed),
                _ => ('=', Color::Ok),
            };
            let line = format!(
                "{mark} {}: {}",
                host_range(&hosts, str::to_owned),
                words(&counts)
            );
            self.output.line(color, &line);
        }
    }
}

/// The counts in words, without those that are nothing.
fn words(counts: &Counts) -> String {
    let all = [
        (counts.ok, "ok"),
        (counts.changed, "changed"),
        (counts.unreachable, "unreachable"),
        (counts.failed, "failed"),
        (counts.skipped, "skipped"),
        (counts.rescued, "rescued"),
        (counts.ignored, "ignored"),
    ];
    let some = all.iter().filter(|(count, _)| *count > 0);
    let some: Vec<String> = some
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match some.len() {
        0 => "nothing".to_owned(),
        _ => some.join(", "),
    }
}

/// A result for one host, of the task at a place; none, where it is not told.
fn group(done: &Done<'_>, path: &str, verbosity: u8) -> Option<Group> {
    // What `debug` says is told always.
    let says = is_verbose(done.result, 0, 0);
    let (mark, color, note) = match (done.status, done.unknown) {
        (Status::Failed, _) if done.ignored => ('!', Color::Error, " (ignored)".to_owned()),
        (Status::Failed, _) => ('!', Color::Error, String::new()),
        (Status::Unreachable, _) => ('x', Color::Unreachable, String::new()),
        (_, Some(cause)) if cause.path == path => {
            ('?', Color::Skip, " (check mode does not run it)".to_owned())
        }
        (_, Some(cause)) => {
            let note = format!(" (not known because of '{}')", cause.task);
            ('?', Color::Skip, note)
        }
        (Status::Changed, None) => ('~', Color::Changed, String::new()),
        (Status::Ok, None) if says => ('>', Color::Debug, String::new()),
        (Status::Ok, None) => ('=', Color::Ok, String::new()),
        (Status::Skipped, None) => ('-', Color::Skip, String::new()),
    };
    if matches!(mark, '=' | '-') && verbosity == 0 {
        return None;
    }
    let body = match mark {
        '!' | 'x' => why(done.result),
        '>' | '~' if says => said(done.result),
        _ => String::new(),
    };
    let label = done
        .label
        .map(|label| format!(" (item={})", dump::text(label)));
    Some(Group {
        mark,
        color,
        about: label.unwrap_or_default() + &note,
        body,
        diff: done.diff.to_vec(),
        hosts: vec![],
    })
}

/// Why something failed: its message, and what its command wrote.
fn why(result: &Map) -> String {
    let text = |key: &str| {
        let text = result.get(key).map(Data::text);
        text.filter(|text| !text.trim().is_empty())
    };
    let mut told = text("msg").unwrap_or_else(|| "no message".to_owned());
    for written in ["stderr", "stdout"].iter().filter_map(|key| text(key)) {
        if !told.contains(written.trim()) {
            told.push_str(&format!("\n{}", written.trim_end()));
        }
    }
    told
}

/// What `debug` says: its message as it is, and other values as JSON.
fn said(result: &Map) -> String {
    if let Some(Data::Str(text)) = result.get("msg") {
        return text.clone();
    }
    let own = |key: &str| key.starts_with("_ansible") || key.ends_with("_when_result");
    let shown = result
        .iter()
        .filter(|(key, _)| !own(key) && !["changed", "failed"].contains(&key.as_str()));
    let shown = shown.map(|(key, value)| (key.clone(), value.clone()));
    let layout = dump::Layout {
        indent: Some(4),
        ascii: false,
    };
    dump::json_map(&Map::from_iter(shown), layout)
}
