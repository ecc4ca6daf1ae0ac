//! Chains: tasks of one host that follow each other and need nothing of each other's results are
//! sent with the first of them. The agent goes through them until one fails.
//!
//! A chain is formed only where nothing but the host's own failure can keep it from getting to the
//! chain's tasks: up to the next handlers, include, end of a role, loop, or task whose failure is
//! decided here. Everything else waits for its turn.
//!
//! Under the strategies `free` and `host_pinned` no host waits for another one anyway, and each has a chain of its own.
//! Hosts that go through a play side by side may rely on each other having done what goes before. So
//! where several are under way, a chain has only tasks that see nothing but files of their own host, and
//! the hosts must have their files alone: then no host can tell how far the others are. It ends where
//! hosts may part.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::Run;
use super::ahead::{Forming, Joined};
use super::context::Shared;
use super::cursor::{Cursor, Step};
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

/// The most tasks that are ahead on all hosts together, for the memory that they take.
const MOST_OF_ALL: usize = 4096;

/// What sees nothing of its host but files, or nothing at all.
const SEES_FILES: &[&str] = &[
    "ansible.builtin.assert",
    "ansible.builtin.blockinfile",
    "ansible.builtin.copy",
    "ansible.builtin.debug",
    "ansible.builtin.file",
    "ansible.builtin.find",
    "ansible.builtin.lineinfile",
    "ansible.builtin.ping",
    "ansible.builtin.replace",
    "ansible.builtin.set_fact",
    "ansible.builtin.slurp",
    "ansible.builtin.stat",
    "ansible.builtin.tempfile",
    "ansible.builtin.template",
    "ansible.posix.acl",
    "community.general.ini_file",
    "community.general.pam_limits",
    "community.general.xml",
];

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
    unsettled: Arc<HashSet<String>>,
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
    unsettled: Arc<HashSet<String>>,
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
    let mut joined = forming.add(&action, Arc::default(), work, failed).await;
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

    /// The tasks that each of these hosts comes to after one that is about to start, as far as they may be
    /// sent with it. Nothing at all where none may.
    pub(super) fn further(
        &self,
        state: &Batch<'_>,
        first: &Arc<TaskSpec>,
        hosts: &[&String],
        magic: &Arc<VarMap>,
    ) -> Vec<Vec<Further>> {
        // Most tasks that several hosts come to are none of a chain, and this is asked for each.
        let apart = hosts.len() > 1;
        if !leads_on(first) || apart && !self.keeps_together(state, first) {
            return vec![];
        }
        let config = &self.shared.config;
        let links = |host: &&String| self.links.get(host.as_str());
        let carried = |host| links(host).is_some_and(|links| links.carry_more(&self.shared));
        let waits = state.debug || state.step || config.bool("enable_task_debugger");
        let limited = config.int("task_timeout").is_some_and(|limit| limit > 0);
        if waits || limited || !hosts.iter().all(carried) || !self.are_all(state, hosts) {
            return vec![];
        }
        if apart && !self.have_own_files(hosts) {
            return vec![];
        }
        let tasks = self.ahead_of(state, first, hosts, apart);
        let of_host = |host: &&String| {
            let further = |(spec, unsettled): &(Arc<TaskSpec>, Arc<HashSet<String>>)| Further {
                scope: self.task_scope(state, spec, host, magic),
                spec: Arc::clone(spec),
                unsettled: Arc::clone(unsettled),
            };
            tasks.iter().map(further).collect()
        };
        match tasks.is_empty() {
            true => vec![],
            false => hosts.iter().map(of_host).collect(),
        }
    }

    /// The tasks that these hosts come to after the first one, which leads on to them, whatever becomes of them meanwhile, each with
    /// the variables that those before it may set. `apart`: no host may notice that another one is ahead.
    fn ahead_of(
        &self,
        state: &Batch<'_>,
        first: &Arc<TaskSpec>,
        hosts: &[&String],
        apart: bool,
    ) -> Vec<(Arc<TaskSpec>, Arc<HashSet<String>>)> {
        let cursors = hosts.iter().filter_map(|host| state.cursors.get(*host));
        let mut cursors: Vec<Cursor> = cursors.cloned().collect();
        // Which handlers there are to run, handlers decide.
        if cursors.iter().any(Cursor::is_in_handlers) {
            return vec![];
        }
        let beside = match state.free {
            true => self.shared.options.forks,
            false => hosts.len(),
        };
        let most = MOST.min(MOST_OF_ALL / beside.max(1));
        let mut unsettled: HashSet<String> = OPEN.iter().map(|name| (*name).to_owned()).collect();
        let mut tasks = vec![];
        let mut before = Arc::clone(first);
        while tasks.len() < most && leads_on(&before) && settles(&before, &mut unsettled) {
            let steps = cursors
                .iter_mut()
                .map(|cursor| follows(cursor, &before, apart));
            let Some(steps) = steps.collect::<Option<Vec<_>>>() else {
                break;
            };
            let Some((task, others)) = steps.split_first() else {
                break;
            };
            let spec = self.spec(task);
            let all = others.iter().all(|other| Arc::ptr_eq(task, other));
            let may_part = apart && !self.keeps_together(state, &spec);
            if !all || !may_come_early(&spec) || may_part {
                break;
            }
            tasks.push((Arc::clone(&spec), Arc::new(unsettled.clone())));
            before = spec;
        }
        tasks
    }

    /// Whether no host of the batch but these is under way, or none waits for another one; and none ends with
    /// another one.
    fn are_all(&self, state: &Batch<'_>, hosts: &[&String]) -> bool {
        let keywords = &state.play.plan.play.keywords;
        let is_limited = keywords.contains_key(&Keyword::MaxFailPercentage);
        if is_limited && (state.free || hosts.len() > 1) {
            return false;
        }
        if state.free {
            return true;
        }
        let over =
            |host: &String, cursor: &Cursor| self.unreachable.contains(host) || cursor.is_over();
        let left = state
            .cursors
            .iter()
            .filter(|(host, cursor)| !over(host, cursor));
        left.count() == hosts.len()
    }

    /// Whether no host sees files of another one.
    fn have_own_files(&self, hosts: &[&String]) -> bool {
        if self.shared.config.text("send_ahead").as_deref() == Some("always") {
            return true;
        }
        let own = |host: &&String| self.links.get(host.as_str())?.own_machine(host);
        let machines: Option<HashSet<&str>> = hosts.iter().map(own).collect();
        machines.is_some_and(|machines| machines.len() == hosts.len())
    }

    /// Whether hosts that work on a task side by side cannot tell how far the others are.
    fn keeps_together(&self, state: &Batch<'_>, spec: &TaskSpec) -> bool {
        let action = crate::load::actions::full_name(&spec.action);
        SEES_FILES.contains(&action.as_str())
            // That runs a program, and so could what stands where it cannot be seen.
            && !spec.args.contains_key("validate")
            && spec.args_template.is_none()
            && spec.module_defaults.is_empty()
            && !self.any_errors_fatal(spec, state)
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
                    first: first.first,
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

/// Moves a host past a task, and says what it comes to then; `None` where the next thing is no task, or the
/// end of a role, which counts which of its tasks ran. `apart`: also at the end of a block after which hosts
/// that failed in it do something else.
fn follows(cursor: &mut Cursor, before: &TaskSpec, apart: bool) -> Option<Arc<PlanTask>> {
    if let Some(role) = &before.task.frame.role {
        cursor.enter(role);
    }
    let (roles, guard) = (cursor.roles_ended(), cursor.guard());
    cursor.advance();
    let Some(Step::Task(task)) = cursor.peek() else {
        return None;
    };
    let goes_on = cursor.roles_ended() == roles && (!apart || cursor.is_within(&guard));
    goes_on.then_some(task)
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
