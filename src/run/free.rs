//! The strategies `free` and `host_pinned`: each host goes through the play at its own pace.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedSender};

use super::Run;
use super::again::again;
use super::cursor::{Cursor, Step};
use super::play::Batch;
use super::spec::TaskSpec;
use super::worker::{Done, Message};
use crate::action::Effect;
use crate::diag::Diagnostic;
use crate::load::actions;
use crate::load::keyword::Keyword;
use crate::plan::{PlanItem, PlanTask};
use crate::report::event::{Event, MessageKind, TaskInfo};
use crate::vars::HostScope;

/// How hosts advance through the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Side by side.
    Linear,
    /// The same, and the run stops for failures.
    Debug,
    /// Each on its own; a free place goes to the host that has waited longest.
    Free,
    /// Each on its own; a host keeps its place until it is done.
    Pinned,
}

impl Strategy {
    /// The strategy of a name.
    pub(super) fn parse(name: &str) -> Result<Self, Box<Diagnostic>> {
        match crate::action::canonical(name) {
            "linear" => return Ok(Self::Linear),
            "free" => return Ok(Self::Free),
            "host_pinned" => return Ok(Self::Pinned),
            "debug" => return Ok(Self::Debug),
            _ => {}
        }
        let message = format!("Invalid play strategy specified: {name}");
        Err(Box::new(Diagnostic::error("strategy", message)))
    }
}

/// What the dispatcher knows of hosts that are on their way.
struct Traffic {
    out: UnboundedSender<Message>,
    /// Hosts that wait for their next task, the one that has waited longest first.
    waiting: VecDeque<String>,
    /// The task that a host is busy with.
    busy: HashMap<String, Arc<TaskSpec>>,
    /// Hosts that hold a place (`host_pinned`).
    pinned: HashSet<String>,
    /// Tasks that were met, by their address, with their numbers: hosts share a heading.
    known: HashMap<usize, (Arc<TaskSpec>, TaskInfo)>,
    /// The task whose heading was told last.
    told: Option<usize>,
}

impl Run<'_> {
    /// Runs a batch in which no host waits for another one.
    pub(super) async fn free(&mut self, state: &mut Batch<'_>, strategy: Strategy) {
        let (out, mut messages) = mpsc::unbounded_channel();
        let mut traffic = Traffic {
            out,
            waiting: state.batch.iter().cloned().collect(),
            busy: HashMap::new(),
            pinned: HashSet::new(),
            known: HashMap::new(),
            told: None,
        };
        self.gather_first(state);
        loop {
            if !state.ended && self.fault.is_none() {
                // A host that is done leaves its place to one that was asked before it.
                while self.start_waiting(state, &mut traffic, strategy) {}
            }
            if traffic.busy.is_empty() {
                return;
            }
            match messages.recv().await {
                Some(Message::Event(host, event)) => {
                    let known = matches!(*event, Event::Again { .. });
                    self.announce(&mut traffic, &host, known);
                    self.emit(*event);
                }
                Some(Message::Notes(notes)) => self.shared.templar.note_warnings(notes),
                Some(Message::Done(done)) => {
                    self.host_done(state, &mut traffic, *done).await;
                }
                None => return,
            }
        }
    }

    /// Gathering facts is the first task of each host here.
    fn gather_first(&mut self, state: &mut Batch<'_>) {
        let Some((task, hosts)) = self.gathering(state) else {
            return;
        };
        let mut items = vec![PlanItem::Task(task)];
        items.extend(state.play.plan.items.iter().cloned());
        let first = Cursor::new(&Arc::new(items));
        state.move_on(&hosts, |cursor| *cursor = first.clone());
    }

    /// Gives the free places to waiting hosts. Returns whether a pinned place became free.
    fn start_waiting(
        &mut self,
        state: &mut Batch<'_>,
        traffic: &mut Traffic,
        strategy: Strategy,
    ) -> bool {
        let places = self.shared.options.forks.max(1);
        let mut left = false;
        for _ in 0..traffic.waiting.len() {
            // A host that works on what was sent ahead has its place already; it stands at the front.
            let next = traffic.waiting.front();
            let is_ahead = next.is_some_and(|host| self.chains.contains_key(host));
            let is_full = traffic.busy.len() >= places && !is_ahead;
            if is_full || self.fault.is_some() || state.ended {
                break;
            }
            let Some(host) = traffic.waiting.pop_front() else {
                break;
            };
            let may_start = strategy != Strategy::Pinned
                || traffic.pinned.len() < places
                || traffic.pinned.contains(&host);
            if !may_start {
                traffic.waiting.push_back(host);
                continue;
            }
            match self.next_of(state, &host) {
                None => {
                    left |= traffic.pinned.remove(&host);
                }
                Some(task) if self.start_on(state, traffic, &task, &host) => {
                    if strategy == Strategy::Pinned {
                        traffic.pinned.insert(host);
                    }
                }
                Some(_) => traffic.waiting.push_back(host),
            }
        }
        left
    }

    /// The next task of a host; what needs no worker is done on the way.
    fn next_of(&mut self, state: &mut Batch<'_>, host: &str) -> Option<Arc<PlanTask>> {
        while self.fault.is_none() && !self.unreachable.contains(host) {
            let task = match state.cursors.get_mut(host)?.peek()? {
                Step::Task(task) => task,
                Step::FlushHandlers => {
                    self.flush(state, host);
                    continue;
                }
            };
            if crate::action::canonical(&task.ast.call.name) != "meta" {
                return Some(task);
            }
            let spec = self.spec(&task);
            let magic = self.batch_magic(state);
            let scope = self.task_scope(state, &spec, host, &magic);
            self.meta(state, &spec, &[(host.to_owned(), scope)]);
        }
        None
    }

    /// Starts a task on a host, unless it is busy on as many hosts as it may be.
    fn start_on(
        &mut self,
        state: &mut Batch<'_>,
        traffic: &mut Traffic,
        task: &Arc<PlanTask>,
        host: &str,
    ) -> bool {
        let address = Arc::as_ptr(task) as usize;
        let magic = self.batch_magic(state);
        let (spec, scope) = match traffic.known.get(&address) {
            Some((spec, _)) => {
                let spec = Arc::clone(spec);
                let scope = self.task_scope(state, &spec, host, &magic);
                (spec, scope)
            }
            None => {
                let spec = self.spec(task);
                let scope = self.task_scope(state, &spec, host, &magic);
                let id = self.next_task;
                self.next_task += 1;
                let info = self.info(&spec, id, &scope);
                if let Err(problem) = self.check_free(state, &spec, &scope) {
                    self.abort(*problem);
                    return false;
                }
                traffic.known.insert(address, (Arc::clone(&spec), info));
                (spec, scope)
            }
        };
        self.end_history(state, &spec, (host, &scope), false);
        let Some((_, info)) = traffic.known.get(&address) else {
            return false;
        };
        let on_it = traffic.busy.values();
        let on_it = on_it.filter(|other| Arc::ptr_eq(other, &spec)).count();
        match self.throttle(&spec, &scope) {
            Ok(limit) if on_it >= limit => return false,
            Ok(_) => {}
            Err(problem) => {
                self.abort(*problem);
                return false;
            }
        }
        let id = info.id;
        let name = host.to_owned();
        let further = match self.history.has(host) {
            true => None,
            false => self.further(state, &spec, &[&name], &magic).pop(),
        };
        let at = (name, scope);
        self.spawn(
            &spec,
            id,
            at,
            &traffic.out,
            None,
            further.unwrap_or_default(),
        );
        traffic.busy.insert(host.to_owned(), spec);
        true
    }

    /// What has no meaning where hosts do not wait for each other.
    fn check_free(
        &mut self,
        state: &mut Batch<'_>,
        spec: &TaskSpec,
        scope: &HostScope,
    ) -> Result<(), Box<Diagnostic>> {
        if self.flag(spec, Keyword::RunOnce, scope) {
            let text = "Using run_once with the free strategy is not currently supported. This task will still be executed for every host in the inventory list.";
            self.message(MessageKind::Warning, text);
        }
        if !state.warned_fatal && self.flag(spec, Keyword::AnyErrorsFatal, scope) {
            state.warned_fatal = true;
            let text = "Using any_errors_fatal with the free strategy is not supported, as tasks are executed independently on each host";
            self.message(MessageKind::Warning, text);
        }
        if actions::bypasses_hosts(&spec.action) {
            let message = format!(
                "The '{}' module bypasses the host loop, which is currently not supported in the free strategy and would instead execute for every host in the inventory list.",
                spec.task.ast.call.name
            );
            return Err(Box::new(
                Diagnostic::error("strategy", message).at(spec.span()),
            ));
        }
        Ok(())
    }

    /// Tells the heading of a host's task unless it was the last one. What is `known` is not shown.
    fn announce(&mut self, traffic: &mut Traffic, host: &str, known: bool) {
        let Some(spec) = traffic.busy.get(host) else {
            return;
        };
        let address = Arc::as_ptr(&spec.task) as usize;
        if let Some((_, task)) = traffic.known.get(&address)
            && traffic.told != Some(task.id)
        {
            let event = Event::TaskStarted { task: task.clone() };
            if known {
                return self.emit(again(event));
            }
            traffic.told = Some(task.id);
            self.emit(event);
        }
    }

    async fn host_done(&mut self, state: &mut Batch<'_>, traffic: &mut Traffic, mut done: Done) {
        let host = done.host.clone();
        let included = done.effects.iter().any(|one| {
            matches!(
                one.effect,
                Effect::IncludeTasks { .. } | Effect::IncludeRole { .. }
            )
        });
        if included {
            self.announce(traffic, &host, done.again);
        }
        self.take_back(&mut done);
        let Some(spec) = traffic.busy.remove(&host) else {
            return;
        };
        let own = std::slice::from_ref(&host);
        // What other hosts tell meanwhile waits until the user has answered.
        let id = done.task;
        let done = self.debugged(state, &spec, id, vec![done]).await;
        if self.fault.is_some() {
            return;
        }
        // Hosts that go their own way do not fail with others.
        self.follow_up(state, &spec, done, own, false, false);
        self.check_limit(state);
        if self.chains.contains_key(&host) {
            return traffic.waiting.push_front(host);
        }
        if state.leaving.remove(&host) {
            state.move_on(own, Cursor::end);
        }
        traffic.waiting.push_back(host);
    }
}
