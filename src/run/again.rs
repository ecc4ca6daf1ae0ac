//! Going on with a run that failed or was killed: what it did is not done again.
//!
//! The run goes through its plan from the beginning. Where a host comes to a task that its record has,
//! the recorded result takes the place of the task: it is registered, its facts are learnt, its handlers
//! notified, a failure that a `rescue` caught is caught again. So every host is where it was, with
//! what it knew and with the handlers that were pending. The failure that ended its run is not
//! taken: there, or where the record ends, the host goes on.
//!
//! What only steers the run (includes, `meta`, `add_host`, `group_by`, `include_vars`, `set_stats`) is evaluated again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use rplay_modules::data::{Data, Map};
use tokio::sync::mpsc::UnboundedSender;

use super::Run;
use super::play::Batch;
use super::playbook::PlannedPlaybook;
use super::scope::place;
use super::spec::TaskSpec;
use super::worker::{Done, ItemEffect, Message};
use crate::action::{Effect, canonical};
use crate::diag::Diagnostic;
use crate::load::actions::is_include;
use crate::load::keyword::Keyword;
use crate::plan::PlanItem;
use crate::report::event::{Event, Status, TaskInfo};
use crate::template::value::Value;
use crate::vars::{HostScope, VarMap};

/// What is evaluated again because it changes nothing but the run.
const STEERING: &[&str] = &["add_host", "group_by", "include_vars", "set_stats"];

/// What changes nothing, so that it is done again where the record has no whole result.
const HARMLESS: &[&str] = &["gather_facts", "set_fact", "setup"];

/// What a former run did on its hosts, as far as this one has not come to it.
#[derive(Clone, Debug, Default)]
pub struct History {
    hosts: BTreeMap<String, VecDeque<Former>>,
    /// Files that are not what they were: lines in them say nothing.
    changed: BTreeSet<String>,
    /// The files that it read, where no other may have come.
    inputs: Option<BTreeSet<PathBuf>>,
    /// The user takes what does not fit.
    forced: bool,
    /// Hosts whose next task is run again, because its result is not in the record.
    lacking: HashSet<String>,
}

/// What came of a task on a host.
#[derive(Clone, Debug)]
struct Former {
    task: Arc<TaskInfo>,
    status: Status,
    ignored: bool,
    looped: bool,
    delegated_to: Option<String>,
    result: Map,
    notified: Vec<String>,
    /// The result is not whole: something of it is secret.
    masked: bool,
}

/// How a task that the record has is treated.
pub(super) enum Taken {
    /// It is run: the record does not have it.
    No,
    /// It is evaluated again, and not shown.
    Evaluated,
    /// Its result was told.
    Told,
}

impl History {
    /// What the events of a run tell, each with whether it lost something by being masked; and what
    /// the run had not come to of the one that it went on with.
    #[must_use]
    pub fn new(events: &[(Event, bool)], former: Self) -> Self {
        let mut history = Self::default();
        // What a host took from that one, and whether it did something of its own after that.
        let mut taken: HashMap<String, (usize, bool)> = HashMap::new();
        let mut tasks: HashMap<usize, Arc<TaskInfo>> = HashMap::new();
        let mut notified: HashMap<String, Vec<String>> = HashMap::new();
        for (event, masked) in events {
            let (event, again) = match event {
                Event::Again { what } => (&**what, true),
                event => (event, false),
            };
            match event {
                Event::TaskStarted { task } => {
                    tasks.insert(task.id, Arc::new(task.clone()));
                }
                Event::Notified { host, handler } => {
                    let known = notified.entry(host.clone()).or_default();
                    known.push(handler.clone());
                }
                Event::TaskDone {
                    task,
                    host,
                    delegated_to,
                    status,
                    ignored,
                    looped,
                    result,
                    ..
                } => {
                    let notified = notified.remove(host).unwrap_or_default();
                    let Some(task) = tasks.get(task) else {
                        continue;
                    };
                    let action = canonical(&task.action);
                    if action == "meta" || is_include(action) {
                        continue;
                    }
                    let (count, own) = taken.entry(host.clone()).or_default();
                    *count += usize::from(again);
                    *own |= !again;
                    let queue = history.hosts.entry(host.clone()).or_default();
                    queue.push_back(Former {
                        task: Arc::clone(task),
                        status: *status,
                        ignored: *ignored,
                        looped: *looped,
                        delegated_to: delegated_to.clone(),
                        masked: *masked || result.contains_key("censored"),
                        result: result.clone(),
                        notified,
                    });
                }
                _ => {}
            }
        }
        for (host, queue) in former.hosts {
            let (count, own) = taken.get(&host).copied().unwrap_or_default();
            if !own {
                let left = queue.into_iter().skip(count);
                history.hosts.entry(host).or_default().extend(left);
            }
        }
        history
    }

    /// Takes what does not fit, and believes no line of these files.
    #[must_use]
    pub fn forced(mut self, changed: impl IntoIterator<Item = String>) -> Self {
        self.forced = true;
        self.changed = changed.into_iter().collect();
        self
    }

    /// Takes no other files than these, which the run has read.
    #[must_use]
    pub fn reading(mut self, inputs: impl IntoIterator<Item = PathBuf>) -> Self {
        self.inputs = Some(inputs.into_iter().collect());
        self
    }

    /// How many results there are, on how many hosts.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let results = self.hosts.values().map(VecDeque::len).sum();
        (results, self.hosts.len())
    }

    /// Results that later tasks may use and that the record does not have: each with its task and host.
    #[must_use]
    pub fn lost(&self, playbooks: &[PlannedPlaybook]) -> Vec<String> {
        let mut registering = BTreeSet::new();
        let plays = playbooks.iter().flat_map(|playbook| &playbook.plays);
        for play in plays {
            note_registering(&play.plan.items, &mut registering);
            note_registering(&play.plan.handlers, &mut registering);
        }
        let mut lost: Vec<String> = vec![];
        for (host, queue) in &self.hosts {
            let secret = queue
                .iter()
                .filter(|one| one.is_lost(registering.contains(&one.task.path)));
            lost.extend(secret.map(|one| one.described(host)));
        }
        lost.sort_unstable();
        lost
    }

    /// Whether the record knows of more that a host did.
    pub(super) fn has(&self, host: &str) -> bool {
        self.front(host).is_some() && !self.lacking.contains(host)
    }

    fn front(&self, host: &str) -> Option<&Former> {
        self.hosts.get(host)?.front()
    }
}

impl Former {
    /// Whether the task is this one.
    fn is(&self, spec: &TaskSpec, name: &str, changed: &BTreeSet<String>) -> bool {
        let (own, action) = (place(spec.span()), canonical(&self.task.action));
        let file = |place: &str| place.rsplit_once(':').map(|(file, _)| file.to_owned());
        if !file(&own).is_some_and(|file| changed.contains(&file)) {
            return self.task.path == own;
        }
        // Of a task without a name nobody can tell whether it is the same one.
        let named = spec.keyword(Keyword::Name).is_some() || spec.action == "gather_facts";
        named
            && file(&self.task.path) == file(&own)
            && self.task.name == name
            && action == spec.action
    }

    /// Whether later tasks may use what the record does not have of its result.
    fn is_lost(&self, registered: bool) -> bool {
        let caught = self.status == Status::Failed && !self.ignored;
        let used = registered || caught || self.result.contains_key("ansible_facts");
        self.masked && used && !HARMLESS.contains(&canonical(&self.task.action))
    }

    fn described(&self, host: &str) -> String {
        format!("TASK [{}] {} on {host}", self.task.name, self.task.path)
    }

    /// What its result means for the run.
    fn effects(&self, on: Option<&String>) -> Vec<ItemEffect> {
        let own = [&self.result];
        let items = match self.result.get("results") {
            Some(Data::List(items)) if self.looped => {
                items.iter().filter_map(Data::as_map).collect()
            }
            _ => own.to_vec(),
        };
        let mut effects = vec![];
        for result in items {
            let failed = result.get("failed").and_then(Data::as_bool) == Some(true);
            let Some(Data::Map(facts)) = result.get("ansible_facts").filter(|_| !failed) else {
                continue;
            };
            let cached = result
                .get("_ansible_facts_cacheable")
                .and_then(Data::as_bool);
            if canonical(&self.task.action) != "set_fact" || cached == Some(true) {
                effects.push(Effect::Facts(facts.clone()));
            }
            if canonical(&self.task.action) == "set_fact" {
                let facts = facts.iter();
                let facts = facts.map(|(name, value)| (name.clone(), Value::from_data(value)));
                effects.push(Effect::SetFacts(facts.collect()));
            }
        }
        let one = |effect| ItemEffect {
            effect,
            vars: VarMap::new(),
            label: None,
            on: on.cloned(),
        };
        effects.into_iter().map(one).collect()
    }
}

/// The places of the tasks that register their results.
fn note_registering(items: &[PlanItem], places: &mut BTreeSet<String>) {
    for item in items {
        match item {
            PlanItem::Task(task) if task.ast.keywords.contains_key(&Keyword::Register) => {
                places.insert(place(&task.ast.span));
            }
            PlanItem::Block(block) => {
                for items in [&block.block, &block.rescue, &block.always] {
                    note_registering(items, places);
                }
            }
            _ => {}
        }
    }
}

/// An event of what is not done again: records have it, and no view shows it.
pub(super) fn again(event: Event) -> Event {
    Event::Again {
        what: Box::new(event),
    }
}

impl Run<'_> {
    /// Stops where the run has read files that the former one had not.
    pub(super) fn check_inputs(&mut self) {
        let Some(known) = self.history.inputs.take() else {
            return;
        };
        let read = self.shared.planner.files.secrets.files_read.all();
        let read = read
            .keys()
            .filter_map(|path| std::path::absolute(path).ok());
        let new: Vec<String> = read
            .filter(|path| !known.contains(path))
            .map(|path| format!("  * {} is new", crate::files::from_here(&path).display()))
            .collect();
        if !new.is_empty() {
            let text = format!("the run cannot be resumed:\n{}", new.join("\n"));
            let problem = Diagnostic::error("resume", text);
            self.abort(problem.hint("run the playbook again, or see `rplay resume --help`"));
        }
    }

    /// Forgets what the record has of a host from the failure on that ended its run, or from where it
    /// does not fit any more.
    pub(super) fn end_history(
        &mut self,
        state: &Batch<'_>,
        spec: &TaskSpec,
        (host, scope): (&str, &HostScope),
        extra: bool,
    ) {
        let Some(former) = self.history.front(host) else {
            return;
        };
        // The record has neither.
        if spec.action == "meta" || is_include(&spec.action) {
            return;
        }
        let ended = match former.status {
            _ if !self.is_former(former, spec, scope) => self.history.forced,
            Status::Unreachable => !former.ignored,
            Status::Failed if former.ignored => false,
            Status::Failed => {
                let cursor = state.cursors.get(host).cloned();
                extra || !cursor.is_some_and(|mut cursor| cursor.fail())
            }
            Status::Ok | Status::Changed | Status::Skipped => false,
        };
        let registered = spec.keyword(Keyword::Register).is_some();
        let lacking = self.history.forced && !ended && former.is_lost(registered);
        if ended {
            self.history.hosts.remove(host);
        }
        if lacking {
            self.history.lacking.insert(host.to_owned());
        }
    }

    fn is_former(&self, former: &Former, spec: &TaskSpec, scope: &HostScope) -> bool {
        let changed = &self.history.changed;
        let name = match changed.is_empty() {
            true => String::new(),
            false => self.info(spec, 0, scope).name,
        };
        former.is(spec, &name, changed)
    }

    /// The first of the hosts whose record has the task.
    pub(super) fn first_former<'s>(
        &self,
        spec: &TaskSpec,
        scopes: &'s [(String, HostScope)],
    ) -> Option<&'s (String, HostScope)> {
        scopes.iter().find(|(host, scope)| {
            let former = self.history.front(host);
            former.is_some_and(|former| self.is_former(former, spec, scope))
        })
    }

    /// Takes the result of a task on a host from the record, where it has one.
    pub(super) fn take_former(
        &mut self,
        spec: &TaskSpec,
        id: usize,
        (host, scope): (&str, &HostScope),
        out: &UnboundedSender<Message>,
    ) -> Taken {
        let Some(former) = self.history.front(host) else {
            return Taken::No;
        };
        if is_include(&spec.action) {
            return Taken::Evaluated;
        }
        if !self.is_former(former, spec, scope) {
            let text = format!(
                "the record does not fit: {host} came to {} then",
                former.described(host)
            );
            let problem = Diagnostic::error("resume", text).at(spec.span());
            self.abort(problem.hint("run the playbook again from its beginning"));
            return given_up(id, host, out);
        }
        let queue = self.history.hosts.get_mut(host);
        let Some(former) = queue.and_then(VecDeque::pop_front) else {
            return Taken::No;
        };
        if self.history.lacking.remove(host) {
            return Taken::No;
        }
        let action = spec.action.as_str();
        if STEERING.contains(&action) || former.masked && HARMLESS.contains(&action) {
            return Taken::Evaluated;
        }
        if former.is_lost(spec.keyword(Keyword::Register).is_some()) {
            self.abort(lost(&[former.described(host)]).at(spec.span()));
            return given_up(id, host, out);
        }
        let on = former.delegated_to.as_ref();
        let on = on.filter(|_| self.flag(spec, Keyword::DelegateFacts, scope));
        let effects = former.effects(on);
        self.tell_former(id, host, former, effects, out);
        Taken::Told
    }

    /// Tells a result of the record as a worker would.
    fn tell_former(
        &self,
        id: usize,
        host: &str,
        former: Former,
        effects: Vec<ItemEffect>,
        out: &UnboundedSender<Message>,
    ) {
        let notified = former.notified.iter().map(|handler| Event::Notified {
            host: host.to_owned(),
            handler: handler.clone(),
        });
        let done = Event::TaskDone {
            task: id,
            host: host.to_owned(),
            delegated_to: former.delegated_to.clone(),
            status: former.status,
            ignored: former.ignored,
            looped: former.looped,
            result: former.result.clone(),
            diff: vec![],
            unknown: None,
        };
        for event in notified.chain([done]) {
            let event = Box::new(again(event));
            // The dispatcher is gone only when the run is over.
            let _ = out.send(Message::Event(host.to_owned(), event));
        }
        let _ = out.send(Message::Done(Box::new(Done {
            host: host.to_owned(),
            task: id,
            links: None,
            status: former.status,
            ignored: former.ignored,
            result: former.result,
            effects,
            notify: former.notified,
            unknown: None,
            again: true,
        })));
    }
}

/// The run ends here: nothing comes of the task.
fn given_up(id: usize, host: &str, out: &UnboundedSender<Message>) -> Taken {
    // The dispatcher is gone only when the run is over.
    let _ = out.send(Message::Done(Box::new(Done {
        host: host.to_owned(),
        task: id,
        links: None,
        status: Status::Skipped,
        ignored: false,
        result: Map::new(),
        effects: vec![],
        notify: vec![],
        unknown: None,
        again: true,
    })));
    Taken::Told
}

/// What is said of results that the record does not have.
pub(crate) fn lost(results: &[String]) -> Diagnostic {
    let text = format!(
        "the record lacks results that later tasks may use, because they are secret:\n{}",
        results
            .iter()
            .map(|one| format!("  * {one}"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    Diagnostic::error("resume", text).hint("`--force` runs these tasks again")
}
