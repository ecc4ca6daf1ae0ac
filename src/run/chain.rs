//! Chains: tasks of one host that follow each other and need nothing of each other's results are
//! sent with the first of them. The agent goes through them until one fails.
//!
//! A chain is formed only where nothing but the host's own failure can keep it from getting to the
//! chain's tasks: where it is the only host under way, up to the next handlers, include, end of a
//! role, loop, or task whose failure is decided here. Everything else waits for its turn.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::Run;
use super::ahead::{Forming, Joined};
use super::context::Shared;
use super::cursor::Step;
use super::play::Batch;
use super::spec::TaskSpec;
use super::target::Links;
use super::worker::{self, Done, Job, Message};
use crate::action::{self, Effect};
use crate::diag::Diagnostic;
use crate::load::keyword::Keyword;
use crate::plan::PlanTask;
use crate::report::event::Status;
use crate::template::value::{Value, has_delimiters};
use crate::vars::{HostScope, VarMap};

/// The most tasks of a chain.
const MOST: usize = 100;

/// What the controller does itself, and what changes nothing but variables that are named.
const OWN: &[&str] = &["assert", "debug", "set_fact"];

/// Keywords by which more than the module's result decides what follows, or where it runs.
const KEEPS_OUT: &[Keyword] = &[
    Keyword::Async,
    Keyword::Debugger,
    Keyword::Delay,
    Keyword::DelegateTo,
    Keyword::FailedWhen,
    Keyword::Poll,
    Keyword::Retries,
    Keyword::RunOnce,
    Keyword::Throttle,
    Keyword::Timeout,
    Keyword::Until,
];

/// Variables that hold what any task may change.
const OPEN: &[&str] = &[
    "ansible_play_batch",
    "ansible_play_hosts",
    "hostvars",
    "play_hosts",
    "template_run_date",
    "vars",
];

/// A task that a host comes to after the one that is started, unless that fails.
pub(super) struct Further {
    spec: Arc<TaskSpec>,
    scope: HostScope,
    /// Variables that the tasks between may set.
    unsettled: HashSet<String>,
}

/// A task that was begun with an earlier one.
pub(super) struct Member {
    task: Arc<PlanTask>,
    messages: UnboundedReceiver<Message>,
    /// The connections, where the chain broke off before it.
    unrun: oneshot::Receiver<Links>,
}

/// A task to be begun with an earlier one.
pub(super) struct Waiting {
    job: Job,
    unsettled: HashSet<String>,
    /// Where the connections go if it is not run.
    unrun: oneshot::Sender<Links>,
}

impl Member {
    /// Tells what came of the task, under the number that its turn gave it; or runs it.
    pub(super) async fn end(mut self, run: Shared, mut job: Job) {
        // What it told before its turn holds only if that comes.
        let mut told = vec![];
        while let Some(mut message) = self.messages.recv().await {
            match &mut message {
                Message::Event(_, event) => event.renumber(job.id),
                Message::Done(done) => done.task = job.id,
                Message::Notes(_) => {}
            }
            let over = matches!(message, Message::Done(_));
            match message {
                // What is noted is told before the result, as it would be in its turn.
                Message::Notes(_) => told.insert(0, message),
                _ => told.push(message),
            }
            if over {
                for message in told {
                    // The dispatcher is gone only when the run is over.
                    let _ = job.out.send(message);
                }
                return;
            }
        }
        job.links = self.unrun.await.unwrap_or_default();
        worker::work(run, job).await;
    }
}

/// Runs a task, and with it those after it that need nothing of it.
pub(super) async fn conduct(run: Shared, mut first: Job, members: Vec<Waiting>) {
    let mut forming = Forming::new(std::mem::take(&mut first.links));
    let mut told: VecDeque<(UnboundedSender<Message>, Option<oneshot::Sender<Links>>)> =
        VecDeque::new();
    let (own, mut buffered) = mpsc::unbounded_channel();
    let action = first.spec.action.clone();
    let (shared, job) = (Arc::clone(&run), first.ahead(own.clone()));
    let work = move |way| worker::ahead(shared, job, way);
    let mut joined = forming.add(&action, HashSet::new(), work, failed).await;
    if joined == Joined::No {
        // Whatever it said is said again.
        first.links = forming.give_up();
        return worker::work(run, first).await;
    }
    told.push_back((own, None));
    for member in members {
        if joined != Joined::Yes {
            break;
        }
        let out = member.job.out.clone();
        let action = member.job.spec.action.clone();
        let (shared, job) = (Arc::clone(&run), member.job);
        let work = move |way| worker::ahead(shared, job, way);
        joined = forming.add(&action, member.unsettled, work, failed).await;
        if joined == Joined::Yes {
            told.push_back((out, Some(member.unrun)));
        }
    }
    let mut group = forming.send(true).await;
    while let Some((out, unrun)) = told.pop_front() {
        let Some((done, notes)) = group.next().await else {
            let links = group.end().await;
            match unrun {
                // Nobody waits for it when the run is over.
                Some(unrun) => drop(unrun.send(links)),
                // The connection was lost before the host began. Whatever it said is said again.
                None => {
                    first.links = links;
                    worker::work(run, first).await;
                }
            }
            return;
        };
        let over = failed(&done) || told.is_empty();
        let finds = |one: &worker::ItemEffect| matches!(one.effect, Effect::Facts(_));
        let facts = done.effects.iter().any(finds);
        let out = if unrun.is_none() { &first.out } else { &out };
        // The dispatcher is gone only when the run is over.
        let _ = out.send(Message::Notes(notes));
        let mut done = Box::new(Done {
            links: None,
            ..done
        });
        if unrun.is_none() {
            // It is the task whose turn it is.
            while let Ok(message) = buffered.try_recv() {
                let _ = first.out.send(message);
            }
        }
        if over {
            done.links = Some(group.end().await);
            let _ = out.send(Message::Done(done));
            return;
        }
        let _ = out.send(Message::Done(done));
        // What comes after facts may ask for them; the agent has stopped there, too.
        if facts && let Some(unrun) = told.pop_front().and_then(|(_, unrun)| unrun) {
            let _ = unrun.send(group.end().await);
            return;
        }
    }
}

/// Whether a host does not go on to its next task.
fn failed(done: &Done) -> bool {
    matches!(done.status, Status::Failed | Status::Unreachable)
}

impl Run<'_> {
    /// Takes the connections back that a task gives up.
    pub(super) fn take_back(&mut self, done: &mut Done) {
        if let Some(mut links) = done.links.take() {
            // What others need more is not kept until the host's next task.
            if crate::connect::is_scarce() {
                links.rest();
            }
            self.links.insert(done.host.clone(), links);
            self.chains.remove(&done.host);
        }
    }

    /// The task, where it was begun with an earlier one of its host.
    pub(super) fn chained(&mut self, spec: &TaskSpec, host: &str) -> Option<Member> {
        let member = self.chains.get_mut(host)?.pop_front()?;
        if Arc::ptr_eq(&member.task, &spec.task) {
            return Some(member);
        }
        let text = "a task was sent ahead whose turn did not come";
        let problem = Diagnostic::error("ahead", text).at(&member.task.ast.span);
        self.abort(problem.hint("this is a fault of rplay; the setting `send_ahead` turns it off"));
        None
    }

    /// The tasks that a host comes to after one that is about to start, as far as they may be sent
    /// with it.
    pub(super) fn further(
        &self,
        state: &Batch<'_>,
        first: &Arc<TaskSpec>,
        host: &str,
        magic: &Arc<VarMap>,
    ) -> Vec<Further> {
        let mut further = vec![];
        let config = &self.shared.config;
        let links = self.links.get(host);
        let carried = links.is_some_and(|links| links.carry_more(&self.shared));
        let debugged = state.debug || state.step || config.bool("enable_task_debugger");
        if !carried || debugged || !self.is_alone(state, host) {
            return further;
        }
        // Which handlers there are to run, handlers decide.
        let cursor = state.cursors.get(host);
        let Some(mut cursor) = cursor.filter(|at| !at.is_in_handlers()).cloned() else {
            return further;
        };
        let mut unsettled: HashSet<String> = OPEN.iter().map(|name| (*name).to_owned()).collect();
        let mut before = Arc::clone(first);
        let limited = config.int("task_timeout").is_some_and(|limit| limit > 0);
        while !limited
            && further.len() < MOST
            && leads_on(&before)
            && settles(&before, &mut unsettled)
        {
            if let Some(role) = &before.task.frame.role {
                cursor.enter(role);
            }
            cursor.advance();
            let roles = cursor.roles_ended();
            let Some(Step::Task(task)) = cursor.peek() else {
                break;
            };
            // Where a role ends, it counts which of its tasks ran.
            if cursor.roles_ended() != roles {
                break;
            }
            let spec = self.spec(&task);
            if !may_come_early(&spec) {
                break;
            }
            further.push(Further {
                scope: self.task_scope(state, &spec, host, magic),
                spec: Arc::clone(&spec),
                unsettled: unsettled.clone(),
            });
            before = spec;
        }
        further
    }

    /// Whether no other host of the batch is under way.
    fn is_alone(&self, state: &Batch<'_>, host: &str) -> bool {
        let others = state.cursors.iter().filter(|(other, _)| *other != host);
        let mut others = others.filter(|(other, _)| !self.unreachable.contains(*other));
        others.all(|(_, cursor)| cursor.is_over())
    }

    /// Notes tasks that are begun with this one.
    pub(super) fn chain(&mut self, first: &Job, further: Vec<Further>) -> Vec<Waiting> {
        let mut waiting = Vec::with_capacity(further.len());
        let mut members = VecDeque::with_capacity(further.len());
        for one in further {
            let (out, messages) = mpsc::unbounded_channel();
            let (unrun, links) = oneshot::channel();
            members.push_back(Member {
                task: Arc::clone(&one.spec.task),
                messages,
                unrun: links,
            });
            waiting.push(Waiting {
                unsettled: one.unsettled,
                unrun,
                job: Job {
                    spec: one.spec,
                    id: first.id,
                    host: first.host.clone(),
                    first: true,
                    scope: one.scope,
                    world: first.world.clone(),
                    links: Links::default(),
                    way: None,
                    again: false,
                    out,
                },
            });
        }
        if !members.is_empty() {
            self.chains.insert(first.host.clone(), members);
        }
        waiting
    }
}

/// Whether a task may be begun before its turn, by what is written in it.
fn may_come_early(spec: &TaskSpec) -> bool {
    let kept_out = |keyword: &Keyword| spec.keyword(*keyword).is_some();
    (OWN.contains(&spec.action.as_str()) || is_one_call(spec))
        && spec.looping.is_none()
        && !KEEPS_OUT.iter().any(kept_out)
}

/// Whether it asks its host nothing but one call of a module.
pub(super) fn is_one_call(spec: &TaskSpec) -> bool {
    let call = &spec.task.ast.call;
    !call.local && !has_delimiters(&call.name) && action::is_one_call(&spec.action)
}

/// Whether only the module's own failure keeps a host from what comes after a task.
fn leads_on(spec: &TaskSpec) -> bool {
    let plain = |value: &Value| matches!(value, Value::Bool(_));
    may_come_early(spec) && spec.keyword(Keyword::ChangedWhen).is_none_or(plain)
}

/// Adds the variables that a task sets. False where their names are not known.
fn settles(spec: &TaskSpec, unsettled: &mut HashSet<String>) -> bool {
    let mut known = true;
    if let Some(name) = spec.keyword(Keyword::Register) {
        known &= name.as_str().is_some_and(|name| !has_delimiters(name));
        unsettled.extend(name.as_str().map(str::to_owned));
    }
    if spec.action == "set_fact" {
        known &= spec.args_template.is_none() && spec.free_form.is_none();
        // Those are facts, too.
        known &= !spec.args.contains_key("cacheable");
        known &= spec.args.keys().all(|name| !has_delimiters(name));
        unsettled.extend(spec.args.keys().cloned());
    }
    known
}
