//! The views `json` (one document at the end) and `jsonl` (one document a line while it happens) of
//! the collection `ansible.posix`.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use super::dump::{self, Layout};
use super::event::{Counts, Event, MessageKind, NO_TRACEBACK, Status, TaskInfo};
use super::output::{Output, Stream};
use super::{Settings, View, result};
use crate::config::{Config, Origin};

/// The view.
pub(crate) struct Json {
    output: Output,
    layout: Layout,
    /// Each event is written at once.
    lines: bool,
    show_stats: bool,
    stats: Map,
    plays: Vec<Play>,
    ids: Ids,
    /// The labels of the items of the tasks that run, by task and host.
    labels: Vec<(usize, String, Data)>,
}

struct Play {
    info: Map,
    times: Times,
    tasks: Vec<Task>,
}

struct Task {
    info: TaskInfo,
    id: String,
    times: Times,
    hosts: Map,
}

#[derive(Default)]
struct Times {
    start: String,
    end: Option<String>,
}

impl Times {
    fn now() -> Self {
        Self {
            start: now(),
            end: None,
        }
    }

    fn data(&self) -> Map {
        let mut times = map! { "start" => self.start.as_str() };
        if let Some(end) = &self.end {
            times.insert("end".to_owned(), Data::from(end.as_str()));
        }
        times
    }
}

/// Identifiers of plays and tasks: distinct within a run and between runs.
struct Ids {
    run: u128,
    last: u64,
}

impl Ids {
    fn next(&mut self) -> String {
        self.last += 1;
        let run = self.run;
        format!(
            "02fc0000-{:04x}-{:04x}-{:04x}-{:012x}",
            (run >> 32) & 0xffff,
            (run >> 16) & 0xffff,
            run & 0xffff,
            self.last
        )
    }
}

fn now() -> String {
    format!("{:.6}", Timestamp::now())
}

impl Json {
    pub(crate) fn new(
        lines: bool,
        config: &Config,
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        let default = if lines { 0 } else { 4 };
        let indent = match config.origin("json_indent") {
            Origin::Default => default,
            _ => config.int("json_indent").unwrap_or(default),
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            output: Output::new(settings, out, err),
            layout: Layout {
                indent: usize::try_from(indent).ok().filter(|indent| *indent > 0),
                ascii: true,
            },
            lines,
            show_stats: settings.show_custom_stats,
            stats: Map::new(),
            plays: vec![],
            ids: Ids {
                run: since.unwrap_or_default().as_micros(),
                last: 0,
            },
            labels: vec![],
        }
    }

    fn write(&mut self, document: &Map) {
        let text = dump::json_map(document, self.layout);
        // One line has no blanks between its parts.
        let text = match self.layout.indent {
            None if self.lines => compact(document),
            _ => text,
        };
        self.output.write(Stream::Out, &(text + "\n"));
    }

    /// Writes an event as a line, if that is wanted.
    fn tell(&mut self, name: &str, mut document: Map) {
        if self.lines {
            document.insert("_event".to_owned(), Data::from(name));
            document.insert("_timestamp".to_owned(), Data::from(now()));
            self.write(&document);
        }
    }

    fn play(&mut self, name: &str, path: &str) {
        let info = map! { "id" => self.ids.next(), "name" => name, "path" => path };
        let play = Play {
            info,
            times: Times::now(),
            tasks: vec![],
        };
        self.tell("v2_playbook_on_play_start", play.data());
        self.plays.push(play);
    }

    fn task(&mut self, info: &TaskInfo) {
        let task = Task {
            info: info.clone(),
            id: self.ids.next(),
            times: Times::now(),
            hosts: Map::new(),
        };
        let name = if info.handler {
            "v2_playbook_on_handler_task_start"
        } else {
            "v2_playbook_on_task_start"
        };
        self.tell(name, task.data());
        if let Some(play) = self.plays.last_mut() {
            play.tasks.push(task);
        }
    }

    fn done(&mut self, id: usize, host: &str, status: Status, result: Map) {
        let at = now();
        let (lines, Some(play)) = (self.lines, self.plays.last_mut()) else {
            return;
        };
        let Some(task) = play.tasks.iter_mut().rev().find(|task| task.info.id == id) else {
            return;
        };
        play.times.end = Some(at.clone());
        task.times.end = Some(at);
        let mut result = result;
        result.insert("action".to_owned(), Data::from(task.info.action.as_str()));
        let event = match status {
            Status::Ok | Status::Changed => "v2_runner_on_ok",
            Status::Failed => "v2_runner_on_failed",
            Status::Unreachable => "v2_runner_on_unreachable",
            Status::Skipped => "v2_runner_on_skipped",
        };
        let document = lines.then(|| {
            map! {
                "hosts" => map! { host => result.clone() },
                "task" => task.head(),
            }
        });
        task.hosts.insert(host.to_owned(), Data::Map(result));
        if let Some(document) = document {
            self.tell(event, document);
        }
    }

    /// The result with what only this view shows of it.
    fn complete(
        &mut self,
        task: usize,
        host: &str,
        delegated: Option<&str>,
        status: Status,
        result: &Map,
    ) -> Map {
        let mut result = result.clone();
        let mut labels = vec![];
        self.labels.retain(|(other, name, label)| {
            let mine = *other == task && name == host;
            if mine {
                labels.push(label.clone());
            }
            !mine
        });
        if let Some(Data::List(items)) = result.get_mut("results") {
            for (item, label) in items.iter_mut().zip(labels) {
                if let Data::Map(item) = item {
                    if result::is_true(item, "failed") {
                        item.insert("exception".to_owned(), Data::from(NO_TRACEBACK));
                    }
                    result::clean_item(item);
                    item.insert("_ansible_item_label".to_owned(), label);
                }
            }
        }
        if result.contains_key("censored") {
            result.insert("_ansible_no_log".to_owned(), Data::Bool(true));
        }
        if let Some(name) = delegated.filter(|name| *name != host) {
            let vars = map! { "ansible_delegated_host" => name };
            result.insert("_ansible_delegated_vars".to_owned(), Data::Map(vars));
        }
        for (name, is) in [
            ("failed", status == Status::Failed),
            ("skipped", status == Status::Skipped),
        ] {
            if is {
                result.insert(name.to_owned(), Data::Bool(true));
            } else {
                result.shift_remove(name);
            }
        }
        result
            .entry("changed".to_owned())
            .or_insert(Data::Bool(false));
        if status == Status::Failed && !result.contains_key("results") {
            result.insert("exception".to_owned(), Data::from(NO_TRACEBACK));
        }
        result
    }

    fn end(&mut self, recap: &[(String, Counts)]) {
        let stats: Map = recap
            .iter()
            .map(|(host, counts)| (host.clone(), Data::Map(counted(counts))))
            .collect();
        let mut custom = if self.show_stats {
            self.stats.clone()
        } else {
            Map::new()
        };
        let global = custom
            .shift_remove("_run")
            .unwrap_or_else(|| Data::Map(Map::new()));
        let mut document =
            map! { "custom_stats" => custom, "global_custom_stats" => global, "stats" => stats };
        if self.lines {
            return self.tell("v2_playbook_on_stats", document);
        }
        let plays = self
            .plays
            .iter()
            .map(|play| Data::Map(play.data()))
            .collect();
        document.insert("plays".to_owned(), Data::List(plays));
        self.write(&document);
    }
}

impl Play {
    fn data(&self) -> Map {
        let mut info = self.info.clone();
        info.insert("duration".to_owned(), Data::Map(self.times.data()));
        let tasks = self.tasks.iter().map(|task| Data::Map(task.data()));
        map! { "play" => info, "tasks" => Data::List(tasks.collect()) }
    }
}

impl Task {
    fn head(&self) -> Map {
        map! {
            "duration" => self.times.data(),
            "id" => self.id.as_str(),
            "name" => self.info.name.as_str(),
            "path" => self.info.path.as_str(),
        }
    }

    fn data(&self) -> Map {
        map! { "hosts" => self.hosts.clone(), "task" => self.head() }
    }
}

fn counted(counts: &Counts) -> Map {
    map! {
        "changed" => i128::from(counts.changed),
        "failures" => i128::from(counts.failed),
        "ignored" => i128::from(counts.ignored),
        "ok" => i128::from(counts.ok),
        "rescued" => i128::from(counts.rescued),
        "skipped" => i128::from(counts.skipped),
        "unreachable" => i128::from(counts.unreachable),
    }
}

/// JSON without blanks.
fn compact(document: &Map) -> String {
    let mut sorted = serde_json::Value::from_iter(
        document
            .iter()
            .map(|(key, value)| (key.clone(), plain(value))),
    );
    sorted.sort_all_objects();
    let mut out = String::new();
    // Characters beyond ASCII stand in texts only, where an escape means the same.
    for c in sorted.to_string().chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn plain(value: &Data) -> serde_json::Value {
    let line = Layout {
        indent: None,
        ascii: true,
    };
    serde_json::from_str(&dump::json(value, line)).unwrap_or_default()
}

impl View for Json {
    fn event(&mut self, event: &Event) {
        match event {
            Event::PlayStarted { name, path, .. } => self.play(name.trim(), path),
            Event::TaskStarted { task } => self.task(task),
            Event::ItemDone {
                task, host, label, ..
            } => self.labels.push((*task, host.clone(), label.clone())),
            Event::TaskDone {
                task,
                host,
                delegated_to,
                status,
                result,
                ..
            } => {
                let result = self.complete(*task, host, delegated_to.as_deref(), *status, result);
                self.done(*task, host, *status, result);
            }
            Event::Included { hosts, .. } => {
                let id = self.plays.last().and_then(|play| play.tasks.last());
                let Some(id) = id.map(|task| task.info.id) else {
                    return;
                };
                for host in hosts {
                    let result = map! { "changed" => false };
                    self.done(id, host, Status::Ok, result);
                }
            }
            Event::CustomStats { stats } => self.stats.extend(stats.clone()),
            Event::Message { kind, text }
                if matches!(
                    kind,
                    MessageKind::Warning | MessageKind::Deprecation | MessageKind::Error
                ) =>
            {
                self.output.message(*kind, text, 0, Stream::Err);
            }
            Event::RunEnded { recap, .. } => self.end(recap),
            _ => {}
        }
    }
}
