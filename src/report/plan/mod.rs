//! The plan of a run as a document: what each task would do on each host, and what it was made of.

mod compare;
mod show;

pub use compare::Unlike;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::{Diff, DiffSide};
use serde::{Deserialize, Serialize};

use super::View;
use super::diff::content;
use super::dump;
use super::event::{Counts, Event, MessageKind, Status, Unknown};
use crate::load::inputs::digest;

/// What the field `format` says.
const FORMAT: &str = "rplay-plan";

/// What it says for a recorded run, which is no plan to apply.
const RUN: &str = "rplay-run";

/// The version of the document that is written and read.
const VERSION: u32 = 1;

/// A plan: a run in check mode, and what it was made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The kind of document.
    pub format: String,
    /// The version of its form.
    pub version: u32,
    /// The version of rplay that made it.
    pub engine: String,
    /// When it was made: seconds since 1970.
    pub created: i64,
    /// The arguments of `rplay plan`.
    pub arguments: Vec<String>,
    /// The files that were read, with their SHA-256.
    pub inputs: BTreeMap<String, String>,
    /// The variables of the environment that are settings, with the SHA-256 of their values.
    pub environment: BTreeMap<String, String>,
    /// Which machine each host was: digests of what they call themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<String, String>,
    /// The variables that sources of the inventory and the command line gave: keyed digests, by origin.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The ids of the vault passwords that were given.
    pub vault_ids: Vec<String>,
    /// What the key is called by which secrets have their tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// The salts that were made for hashed answers to `vars_prompt`, by the place of the question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub salts: BTreeMap<String, String>,
    /// It ran in check mode.
    pub check: bool,
    /// The exit code of the run.
    pub exit_code: i32,
    /// How many changes there would be, and how much is unknown.
    pub summary: Summary,
    /// What would be done.
    pub plays: Vec<Play>,
    /// The counts of each host.
    pub recap: BTreeMap<String, Counts>,
    /// What the run warned of.
    pub warnings: Vec<String>,
}

/// Counts of the whole plan: results of tasks on hosts, items of loops each for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Results that would change something.
    pub changed: usize,
    /// Results that check mode does not know.
    pub unknown: usize,
    /// Results that failed, or whose host was unreachable.
    pub failed: usize,
}

/// A play, or one batch of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Play {
    /// Its name.
    pub name: String,
    /// `path:line` of it.
    pub path: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its tasks, in the order in which they began.
    pub tasks: Vec<Task>,
}

/// A task of a play.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its name, with that of its role.
    pub name: String,
    /// Its action.
    pub action: String,
    /// `path:line` of it.
    pub path: String,
    /// The role that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// It is a handler.
    pub handler: bool,
    /// The handlers that it notified.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifies: Vec<String>,
    /// What came of it, in the order of host names.
    pub results: Vec<HostResult>,
}

/// What came of a task on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostResult {
    /// The host.
    pub host: String,
    /// The host that it was delegated to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_to: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// When it ran.
    #[serde(default)]
    pub times: Times,
    /// The items of its loop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
}

/// When something ran, in milliseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it began.
    pub began: u64,
    /// When it ended.
    pub ended: u64,
}

/// An item of a loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// What it is called.
    pub label: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// In a word.
    pub status: Status,
    /// Why it was skipped, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Check mode does not know it because of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// What would change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<Difference>,
}

/// A difference as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Difference {
    /// What there is; attributes as JSON.
    pub before: String,
    /// What there would be.
    pub after: String,
    /// What the side before is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_header: Option<String>,
    /// What the side after is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_header: Option<String>,
    /// A difference that is already text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<String>,
}

impl Plan {
    /// What recorded events came to, also those of the run that was gone on with.
    pub(crate) fn of_events(events: &[(Event, bool)]) -> Self {
        let (mut collector, plan) = Collector::new();
        for (event, _) in events {
            collector.event(match event {
                Event::Again { what } => what,
                event => event,
            });
        }
        let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        plan.format = RUN.to_owned();
        plan
    }

    /// Whether it is what a recorded run came to.
    pub(crate) fn is_run(&self) -> bool {
        self.format == RUN
    }

    /// Whether something would change, or may.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.summary.changed + self.summary.unknown > 0
    }

    /// The document as it is written, with a digest over everything else.
    ///
    /// # Errors
    /// A value that JSON does not have.
    pub fn to_text(&self) -> Result<String, serde_json::Error> {
        let mut document = serde_json::to_value(self)?;
        document["digest"] = digest(document.to_string().as_bytes()).into();
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// Why it is no plan that can be used: no JSON, another kind or version, edited.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut document: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            format!("it is no plan, or was cut off: it cannot be read as JSON ({error})")
        })?;
        if document["format"] != FORMAT {
            return Err(format!("it is no plan: its `format` is not `{FORMAT}`"));
        }
        if document["version"] != VERSION {
            let found = &document["version"];
            return Err(format!(
                "it has version {found} of the form of plans; this rplay reads version {VERSION}"
            ));
        }
        let object = document.as_object_mut();
        let told = object.and_then(|object| object.shift_remove("digest"));
        if told != Some(digest(document.to_string().as_bytes()).into()) {
            return Err("it was edited: its digest does not fit its content".to_owned());
        }
        serde_json::from_value(document).map_err(|error| format!("it is damaged: {error}"))
    }

    /// The files that are not what they were when the plan was made, each with what is wrong.
    #[must_use]
    pub fn changed_inputs(&self) -> Vec<String> {
        let changed =
            self.inputs
                .iter()
                .filter_map(|(path, known)| match std::fs::read(Path::new(path)) {
                    Ok(bytes) if digest(&bytes) == *known => None,
                    Ok(_) => Some(format!("{path} has changed")),
                    Err(error) => Some(format!("{path} cannot be read: {error}")),
                });
        changed.collect()
    }
}

impl Plan {
    /// What came of each task on each host, and of each item: the task, the host with the item's
    /// label, and the outcome.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&Task, String, &Outcome)> {
        let tasks = self.plays.iter().flat_map(|play| &play.tasks);
        let results = tasks.flat_map(|task| task.results.iter().map(move |one| (task, one)));
        results.flat_map(|(task, one)| {
            let name = |label: &str| match label {
                "" => one.host.clone(),
                label => format!("{} (item={label})", one.host),
            };
            let parts = one.parts().into_iter();
            parts.map(move |(label, outcome)| (task, name(label), outcome))
        })
    }
}

impl Plan {
    /// The counts of each host, in the order of their names.
    pub(crate) fn by_host(&self) -> BTreeMap<&str, Summary> {
        let hosts = self.recap.keys();
        let mut counts: BTreeMap<&str, Summary> = hosts
            .map(|host| (host.as_str(), Summary::default()))
            .collect();
        let tasks = self.plays.iter().flat_map(|play| &play.tasks);
        for result in tasks.flat_map(|task| &task.results) {
            let summary = counts.entry(&result.host).or_default();
            for (_, outcome) in result.parts() {
                summary.add(outcome);
            }
        }
        counts
    }
}

impl HostResult {
    /// The result, or those of the items of its loop with their labels.
    pub(crate) fn parts(&self) -> Vec<(&str, &Outcome)> {
        if self.items.is_empty() {
            return vec![("", &self.outcome)];
        }
        let items = self.items.iter();
        items
            .map(|item| (item.label.as_str(), &item.outcome))
            .collect()
    }
}

impl Outcome {
    /// Its differences as `--diff` shows them.
    pub(crate) fn diff_text(&self) -> String {
        self.diff.iter().map(show::difference).collect()
    }
}

/// Collects a run into a plan; the events must have been masked.
pub(crate) struct Collector {
    plan: Arc<Mutex<Plan>>,
    /// Where a task of this number stands: the numbers of its play and of it in there.
    places: BTreeMap<usize, (usize, usize)>,
    /// Items of loops that are not over.
    items: BTreeMap<(usize, String), Vec<Item>>,
    /// When the run began.
    start: Instant,
    /// When a task began on a host where it is not over.
    began: BTreeMap<(usize, String), u64>,
    /// Handlers that the task which a host is at has notified.
    notified: BTreeMap<String, Vec<String>>,
}

impl Collector {
    /// A view, and the plan that it fills.
    pub(crate) fn new() -> (Self, Arc<Mutex<Plan>>) {
        let plan = Arc::new(Mutex::new(Plan {
            format: FORMAT.to_owned(),
            version: VERSION,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            ..Plan::default()
        }));
        let collector = Self {
            plan: Arc::clone(&plan),
            places: BTreeMap::new(),
            items: BTreeMap::new(),
            start: Instant::now(),
            began: BTreeMap::new(),
            notified: BTreeMap::new(),
        };
        (collector, plan)
    }

    /// Milliseconds since the run began.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The result of a task on a host, where it belongs.
    fn add(&mut self, plan: &mut Plan, task: usize, mut one: HostResult) {
        let key = (task, one.host.clone());
        one.items = self.items.remove(&key).unwrap_or_default();
        let ended = self.now();
        let began = self.began.remove(&key).unwrap_or(ended);
        one.times = Times { began, ended };
        if one.items.is_empty() {
            plan.summary.add(&one.outcome);
        }
        let notified = self.notified.remove(&one.host).unwrap_or_default();
        let Some((play, at)) = self.places.get(&task) else {
            return;
        };
        let task = &mut plan.plays[*play].tasks[*at];
        for handler in notified {
            if !task.notifies.contains(&handler) {
                task.notifies.push(handler);
            }
        }
        let results = &mut task.results;
        results.insert(results.partition_point(|other| other.host <= one.host), one);
    }
}

impl View for Collector {
    fn event(&mut self, event: &Event) {
        let shared = Arc::clone(&self.plan);
        let mut plan = shared.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { options } => {
                plan.check = options.check;
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                plan.created =
                    now.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
            }
            Event::PlayStarted {
                name, hosts, path, ..
            } => plan.plays.push(Play {
                name: name.clone(),
                path: path.clone(),
                hosts: hosts.clone(),
                tasks: vec![],
            }),
            Event::TaskStarted { task } => {
                let play = plan.plays.len().saturating_sub(1);
                if let Some(found) = plan.plays.last_mut() {
                    self.places.insert(task.id, (play, found.tasks.len()));
                    found.tasks.push(Task {
                        name: task.name.clone(),
                        action: task.action.clone(),
                        path: task.path.clone(),
                        role: task.role.clone(),
                        handler: task.handler,
                        notifies: vec![],
                        results: vec![],
                    });
                }
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
                let item = Item {
                    label: dump::text(label),
                    outcome: outcome(*status, result, diff, unknown.as_ref()),
                };
                plan.summary.add(&item.outcome);
                let key = (*task, host.clone());
                self.items.entry(key).or_default().push(item);
            }
            Event::TaskDone {
                task,
                host,
                delegated_to,
                status,
                result,
                diff,
                unknown,
                ..
            } => {
                let one = HostResult {
                    host: host.clone(),
                    delegated_to: delegated_to.clone(),
                    outcome: outcome(*status, result, diff, unknown.as_ref()),
                    times: Times::default(),
                    items: vec![],
                };
                self.add(&mut plan, *task, one);
            }
            Event::HostStarted { task, host } => {
                self.began.insert((*task, host.clone()), self.now());
            }
            Event::Notified { host, handler } => {
                let known = self.notified.entry(host.clone()).or_default();
                known.push(handler.clone());
            }
            Event::Message {
                kind: MessageKind::Warning,
                text,
            } => plan.warnings.push(text.clone()),
            Event::Reached { host, machine } => {
                plan.targets.insert(host.clone(), machine.clone());
            }
            Event::RunEnded { recap, exit_code } => {
                plan.recap = recap.iter().cloned().collect();
                plan.exit_code = *exit_code;
            }
            _ => {}
        }
    }
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        match outcome.status {
            Status::Failed | Status::Unreachable => self.failed += 1,
            _ if outcome.unknown.is_some() => self.unknown += 1,
            Status::Changed => self.changed += 1,
            Status::Ok | Status::Skipped => {}
        }
    }
}

fn outcome(status: Status, result: &Map, diff: &[Diff], unknown: Option<&Unknown>) -> Outcome {
    let text = |key: &str| result.get(key).map(Data::text);
    let why = match status {
        Status::Skipped => text("skip_reason").or_else(|| text("msg")),
        Status::Failed | Status::Unreachable => text("msg"),
        Status::Ok | Status::Changed => None,
    };
    Outcome {
        status,
        why,
        unknown: unknown.cloned(),
        diff: diff.iter().map(difference).collect(),
    }
}

fn difference(diff: &Diff) -> Difference {
    let side = |side: &DiffSide| match side {
        DiffSide::Binary => "(binary)\n".to_owned(),
        DiffSide::TooLarge(limit) => format!("(larger than {limit} bytes)\n"),
        side => content(side).unwrap_or_default(),
    };
    Difference {
        before: side(&diff.before),
        after: side(&diff.after),
        before_header: diff.before_header.clone(),
        after_header: diff.after_header.clone(),
        prepared: diff.prepared.clone(),
    }
}

impl From<&Difference> for Diff {
    fn from(one: &Difference) -> Self {
        Diff {
            before: DiffSide::Text(one.before.clone()),
            after: DiffSide::Text(one.after.clone()),
            before_header: one.before_header.clone(),
            after_header: one.after_header.clone(),
            prepared: one.prepared.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let task = Task {
            name: "größe".to_owned(),
            results: vec![HostResult {
                host: "one".to_owned(),
                delegated_to: None,
                outcome: Outcome {
                    status: Status::Changed,
                    why: None,
                    unknown: None,
                    diff: vec![Difference {
                        after: "a \"b\"\n\t".to_owned(),
                        ..Difference::default()
                    }],
                },
                times: Times::default(),
                items: vec![],
            }],
            ..Task::default()
        };
        Plan {
            format: FORMAT.to_owned(),
            version: VERSION,
            engine: "0.1.0".to_owned(),
            arguments: vec!["play.yml".to_owned()],
            plays: vec![Play {
                tasks: vec![task],
                ..Play::default()
            }],
            salts: BTreeMap::from([("play.yml:4:7".to_owned(), "abcdefgh".to_owned())]),
            ..Plan::default()
        }
    }

    /// Each byte is replaced by one of each kind, taken away and doubled, and the text is cut off
    /// everywhere: what is read is the same plan, or nothing.
    #[test]
    fn an_edited_plan_is_refused_or_the_same() {
        let plan = plan();
        let text = plan.to_text().unwrap();
        assert_eq!(Plan::from_text(&text).as_ref(), Ok(&plan));
        let judge = |what: String, edited: &str| match Plan::from_text(edited) {
            Err(why) => assert!(
                why.starts_with("it is ")
                    || why.starts_with("it was edited")
                    || why.starts_with("it has version"),
                "{what}: {why}"
            ),
            Ok(read) => assert_eq!(read, plan, "{what}"),
        };
        let mut refused = 0;
        for (at, letter) in text.char_indices() {
            let (before, after) = (&text[..at], &text[at + letter.len_utf8()..]);
            for other in [
                "a", "7", "\"", "\\", "{", "]", ",", ":", " ", "\n", "\0", "é", "-", "", "00",
            ] {
                let edited = format!("{before}{other}{after}");
                refused += usize::from(Plan::from_text(&edited).is_err());
                judge(format!("{other:?} at {at}"), &edited);
            }
            judge(format!("cut off at {at}"), before);
            judge(
                format!("{letter:?} twice at {at}"),
                &format!("{before}{letter}{letter}{after}"),
            );
        }
        assert!(refused > text.len(), "only {refused} edits were refused");
        // A key that stands twice: what counts is what the digest is of.
        let twice = text.replacen("\"engine\":", "\"engine\": \"other\", \"engine\":", 1);
        judge("a key twice".to_owned(), &twice);
        let later = text.replacen("\"exit_code\": 0", "\"exit_code\": 0, \"exit_code\": 1", 1);
        assert!(
            Plan::from_text(&later)
                .unwrap_err()
                .starts_with("it was edited")
        );
    }

    #[test]
    fn other_versions_are_named() {
        for (version, told) in [
            ("0", "version 0"),
            ("2", "version 2"),
            ("\"1\"", "version \"1\""),
            ("null", "version null"),
            ("1.5", "version 1.5"),
        ] {
            let text = plan().to_text().unwrap();
            let text = text.replacen("\"version\": 1", &format!("\"version\": {version}"), 1);
            let why = Plan::from_text(&text).unwrap_err();
            assert!(
                why.contains(told) && why.contains("reads version 1"),
                "{why}"
            );
        }
    }
}
