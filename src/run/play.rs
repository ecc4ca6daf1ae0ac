//! Runs one play in linear order: the hosts of a batch go through the tasks side by side.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::task;

use indexmap::IndexMap;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedSender};

use super::again::{Taken, again};
use super::chain::{self, Further};
use super::context::to_int;
use super::cursor::{Cursor, Place, Step};
use super::free::Strategy;
use super::handlers::HandlerName;
use super::ordered::Ordered;
use super::play_check::percent;
use super::scope::{name_roles, place};
use super::spec::TaskSpec;
use super::vars_files::PlayFile;
use super::worker::{self, Done, Job, Message};
use super::{PlannedPlay, Run};
use crate::diag::{Diagnostic, Severity};
use crate::inventory::{Order, ordered};
use crate::load::keyword::Keyword;
use crate::plan::{PlanItem, PlanTask, Role};
use crate::report::event::{Event, MessageKind};
use crate::template::value::Value;
use crate::vars::HostScope;

/// What a batch leaves behind.
struct BatchEnd {
    /// Batches that follow are left out.
    play_over: bool,
    /// How many hosts failed only because another one did.
    dropped: usize,
    /// More hosts failed than the play allows.
    over_limit: bool,
}

/// State of one batch of a play.
pub(super) struct Batch<'p> {
    pub(super) play: &'p PlannedPlay,
    pub(super) name: String,
    pub(super) hosts: Vec<String>,
    pub(super) batch: Vec<String>,
    /// How many hosts the batch has with those that failed in earlier plays.
    size: usize,
    pub(super) cursors: IndexMap<String, Cursor>,
    pub(super) handlers: Arc<Vec<PlanItem>>,
    pub(super) roles: Vec<Arc<Role>>,
    /// Those and the ones that were included: the play's names of roles.
    pub(super) role_names: Vec<(String, bool)>,
    pub(super) play_files: Vec<PlayFile>,
    /// No host goes on.
    pub(super) ended: bool,
    /// Batches that follow are left out.
    pub(super) play_over: bool,
    /// Hosts that failed with no `rescue` or `always` to go to: those count against the limit.
    pub(super) lost: HashSet<String>,
    /// More of them than `max_fail_percentage` allows.
    over_limit: bool,
    /// Hosts that failed only because another one did.
    pub(super) dropped: HashSet<String>,
    pub(super) force_handlers: bool,
    /// Names of the handlers, as far as they were needed.
    pub(super) handler_names: Vec<HandlerName>,
    /// No host waits for another one; a heading is told with the first result.
    pub(super) free: bool,
    /// Hosts that end when the tasks have been told that were sent ahead to them.
    pub(super) leaving: HashSet<String>,
    /// `strategy: debug`: the run stops for failures.
    pub(super) debug: bool,
    /// The user knows that `any_errors_fatal` has no effect there.
    pub(super) warned_fatal: bool,
    /// The user is asked before each task.
    pub(super) step: bool,
}

impl Batch<'_> {
    /// Changes the cursors of hosts.
    pub(super) fn move_on(&mut self, hosts: &[String], step: impl Fn(&mut Cursor)) {
        for host in hosts {
            if let Some(cursor) = self.cursors.get_mut(host) {
                step(cursor);
            }
        }
    }

    /// Moves hosts past their task.
    pub(super) fn advance(&mut self, hosts: &[String]) {
        self.move_on(hosts, Cursor::advance);
    }
}

impl<'p> Batch<'p> {
    pub(super) fn new(
        play: &'p PlannedPlay,
        name: &str,
        hosts: &[String],
        batch: &[String],
    ) -> Self {
        let cursor = |host: &String| (host.clone(), Cursor::new(&play.plan.items));
        Self {
            play,
            name: name.to_owned(),
            hosts: hosts.to_vec(),
            batch: batch.to_vec(),
            size: batch.len(),
            cursors: batch.iter().map(cursor).collect(),
            handlers: Arc::clone(&play.plan.handlers),
            roles: play.plan.roles.clone(),
            role_names: name_roles(&play.plan.roles),
            play_files: vec![],
            ended: false,
            play_over: false,
            lost: HashSet::new(),
            over_limit: false,
            dropped: HashSet::new(),
            force_handlers: false,
            handler_names: vec![],
            free: false,
            leaving: HashSet::new(),
            debug: false,
            warned_fatal: false,
            step: false,
        }
    }
}

impl Run<'_> {
    /// Runs a play. Returns false when no host is left for further plays.
    pub(super) async fn play(&mut self, play: &PlannedPlay) -> bool {
        self.prompted = Arc::default();
        self.look_beside(&play.dir);
        self.note_play(play);
        self.prompt(play).await;
        if self.fault.is_some() {
            return false;
        }
        let mut early = self.early_scope(play);
        let templar = &self.shared.templar;
        let files = play.add_files(&mut early, templar, &self.shared.planner.files);
        let checked = play.check(templar, &early);
        let pattern = match checked.and_then(|()| play.pattern(templar, &early)) {
            Ok(pattern) => pattern,
            Err(problem) => {
                self.abort(*problem);
                return false;
            }
        };
        let name = self
            .play_text(play, Keyword::Name, &early)
            .unwrap_or(pattern.heading);
        let pattern = pattern.hosts;
        let (selected, hosts, lost) = match self.play_hosts(play, &pattern, &early) {
            Ok(found) => found,
            Err(problem) => {
                self.abort(*problem);
                return false;
            }
        };
        let index = self.next_play;
        self.next_play += 1;
        let lost = lost && hosts.iter().all(|host| self.is_out(host));
        if hosts.is_empty() || lost {
            self.emit(Event::PlayStarted {
                play: index,
                name,
                hosts: vec![],
                check: false,
                path: place(&play.plan.play.span),
            });
            if lost {
                self.emit(Event::NoHostsRemaining);
                return false;
            }
            self.emit(Event::NoHostsMatched);
            return true;
        }
        let Some(files) = self.vars_files(files) else {
            return false;
        };
        let batches = self.batches(play, &hosts, &early);
        for batch in batches {
            // Those that failed before have their places in the batch, and count in its size.
            let size = batch.len();
            let mut batch = batch;
            batch.retain(|host| !self.is_out(host));
            self.emit(Event::PlayStarted {
                play: index,
                name: name.clone(),
                hosts: batch.clone(),
                check: false,
                path: place(&play.plan.play.span),
            });
            if batch.is_empty() {
                continue;
            }
            if self.stops_at_broken(&batch) {
                return false;
            }
            let before = self.out();
            let mut state = Batch::new(play, &name, &selected, &batch);
            state.size = size;
            state.play_files = files.clone();
            let end = self.batch(&mut state).await;
            let lost = self.out() - before;
            if self.fault.is_some() {
                return false;
            }
            if end.over_limit {
                self.emit(Event::NoHostsRemaining);
                return false;
            }
            if lost + end.dropped >= size {
                return false;
            }
            if end.play_over {
                break;
            }
        }
        true
    }

    /// The hosts of a play as its pattern names them and in its order, also those that failed, and
    /// whether some of them could not begin.
    fn play_hosts(
        &mut self,
        play: &PlannedPlay,
        pattern: &[String],
        early: &HostScope,
    ) -> Result<(Vec<String>, Vec<String>, bool), Box<Diagnostic>> {
        let limit = self.shared.options.limit.clone();
        let inventory = &self.world.vars.inventory;
        let selected = inventory.select_list(pattern, limit.as_deref());
        for problem in selected.problems {
            if problem.severity == Severity::Error {
                return Err(Box::new(problem));
            }
            // Once, however many plays have the pattern.
            self.shared.templar.note(problem);
        }
        let order = match self.play_text(play, Keyword::Order, early) {
            None => Order::default(),
            Some(order) => Order::parse(&order).ok_or_else(|| {
                let message = format!("Invalid 'order' specified for inventory hosts: {order}");
                let place = play.plan.play.keywords.get(&Keyword::Order);
                let problem = Diagnostic::error("order", message);
                Box::new(place.map_or(problem.clone(), |node| problem.at(&node.span)))
            })?,
        };
        let seed = u64::from(std::process::id()) ^ jiff::Timestamp::now().as_nanosecond() as u64;
        let lost = selected.value.iter().any(|host| self.doomed.contains(host));
        self.world.vars.inventory.note_localhost(&selected.value);
        let hosts = ordered(selected.value.clone(), order, seed);
        Ok((selected.value, hosts, lost))
    }

    /// `group_vars` and `host_vars` are those beside the playbook that a play stands in.
    pub(super) fn look_beside(&mut self, playbook_dir: &Path) {
        if self.world.vars.playbook_dir != playbook_dir {
            self.world.vars = Arc::new(self.world.vars.beside(playbook_dir));
        }
    }

    /// Files of variables that cannot be read end the run, also those of later plays.
    fn stops_at_broken(&mut self, hosts: &[String]) -> bool {
        let mut broken = std::mem::take(&mut self.broken_files);
        for host in hosts {
            let of_host = self.world.vars.broken(host);
            for problem in of_host
                .iter()
                .filter(|problem| !broken.contains(problem))
                .cloned()
                .collect::<Vec<_>>()
            {
                broken.push(problem);
            }
        }
        let last = broken.pop();
        for problem in &broken {
            self.tell_problem(problem);
        }
        let stops = last.is_some();
        last.into_iter().for_each(|problem| self.abort(problem));
        stops
    }

    /// Splits the hosts by `serial`.
    fn batches(&self, play: &PlannedPlay, hosts: &[String], scope: &HostScope) -> Vec<Vec<String>> {
        let sizes = match self.play_value(play, Keyword::Serial, scope) {
            Some(Value::List(items)) => items.to_vec(),
            Some(Value::None) | None => vec![],
            Some(one) => vec![one],
        };
        let mut sizes: Vec<usize> = sizes
            .iter()
            .map(|size| batch_size(size, hosts.len()))
            .collect();
        if sizes.is_empty() {
            sizes.push(hosts.len());
        }
        let mut rest = hosts;
        let mut batches = vec![];
        let mut index = 0;
        while !rest.is_empty() {
            let size = sizes[index.min(sizes.len() - 1)];
            let size = if size == 0 {
                rest.len()
            } else {
                size.min(rest.len())
            };
            batches.push(rest[..size].to_vec());
            rest = &rest[size..];
            index += 1;
        }
        batches
    }

    /// Whether more hosts failed than `max_fail_percentage` allows.
    fn over_limit(&self, play: &PlannedPlay, lost: usize, all: usize) -> bool {
        if lost == 0
            || !play
                .plan
                .play
                .keywords
                .contains_key(&Keyword::MaxFailPercentage)
        {
            return false;
        }
        let scope = self.early_scope(play);
        let limit = self.play_value(play, Keyword::MaxFailPercentage, &scope);
        let limit = limit.as_ref().and_then(percent);
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts are small")]
        limit.is_some_and(|limit| lost as f64 / all as f64 * 100.0 > limit)
    }

    async fn batch(&mut self, state: &mut Batch<'_>) -> BatchEnd {
        let force = self.shared.options.force_handlers || self.shared.config.bool("force_handlers");
        let play = state.play;
        let early = self.early_scope(play);
        state.step = self.shared.options.step;
        state.force_handlers = self
            .play_flag(play, Keyword::ForceHandlers, &early)
            .unwrap_or(force);
        if self.start_at(state) {
            match self.strategy(play, &early) {
                Ok(strategy @ (Strategy::Linear | Strategy::Debug)) => {
                    state.debug = strategy == Strategy::Debug;
                    self.gather(state).await;
                    self.steps(state).await;
                }
                Ok(_) if state.step => {
                    let text = "`--step` is supported with the strategy `linear` only";
                    let place = play.plan.play.keywords.get(&Keyword::Strategy);
                    let problem = Diagnostic::error("unsupported-option", text);
                    self.abort(place.map_or(problem.clone(), |node| problem.at(&node.span)));
                }
                Ok(strategy) => {
                    state.free = true;
                    self.free(state, strategy).await;
                }
                Err(problem) => self.abort(problem.at(&play.plan.play.span)),
            }
        }
        BatchEnd {
            over_limit: state.over_limit,
            play_over: state.play_over,
            dropped: state
                .dropped
                .iter()
                .filter(|host| !self.is_out(host))
                .count(),
        }
    }

    fn strategy(&self, play: &PlannedPlay, early: &HostScope) -> Result<Strategy, Diagnostic> {
        let name = self.play_text(play, Keyword::Strategy, early);
        let name = name.or_else(|| self.shared.config.text("strategy"));
        name.map_or(Ok(Strategy::Linear), |name| {
            Strategy::parse(&name).map_err(|problem| *problem)
        })
    }

    /// The hosts of a batch side by side: those that are behind go first.
    async fn steps(&mut self, state: &mut Batch<'_>) {
        while !state.ended && self.fault.is_none() {
            let Some((step, hosts)) = self.next(state) else {
                break;
            };
            match step {
                Step::FlushHandlers => {
                    for host in &hosts {
                        self.flush(state, host);
                    }
                }
                Step::Task(task) => self.run_on(state, &task, &hosts, false).await,
            }
        }
    }

    /// The next step and the hosts that take it together.
    fn next(&mut self, state: &mut Batch<'_>) -> Option<(Step, Vec<String>)> {
        let mut best: Option<(Place, Step, Vec<String>)> = None;
        for host in state.batch.clone() {
            if self.unreachable.contains(&host) {
                continue;
            }
            let Some(cursor) = state.cursors.get_mut(&host) else {
                continue;
            };
            let Some(step) = cursor.peek() else { continue };
            let place = cursor.place();
            match &mut best {
                Some((least, first, hosts)) if *least == place && same(first, &step) => {
                    hosts.push(host)
                }
                Some((least, ..)) if *least <= place => {}
                _ => best = Some((place, step, vec![host])),
            }
        }
        best.map(|(_, step, hosts)| (step, hosts))
    }

    /// Runs a task on hosts and follows up on the results.
    pub(super) async fn run_on(
        &mut self,
        state: &mut Batch<'_>,
        task: &Arc<PlanTask>,
        hosts: &[String],
        extra: bool,
    ) {
        let spec = self.spec(task);
        let id = self.next_task;
        self.next_task += 1;
        let magic = self.batch_magic(state);
        let scopes: Vec<(String, HostScope)> = hosts
            .iter()
            .map(|host| (host.clone(), self.task_scope(state, &spec, host, &magic)))
            .collect();
        for (host, scope) in &scopes {
            self.end_history(state, &spec, (host, scope), extra);
        }
        let Some((first, scope)) = scopes.first() else {
            return;
        };
        if spec.action == "meta" {
            return self.meta(state, &spec, &scopes);
        }
        if state.step && !self.take_step(state, task, "").await {
            if !extra {
                state.advance(hosts);
            }
            return;
        }
        let run_once = self.flag(&spec, Keyword::RunOnce, scope)
            || crate::load::actions::bypasses_hosts(&spec.action);
        let info = self.info(&spec, id, scope);
        let limit = self.throttle(&spec, scope);
        let running: Vec<(String, HostScope)> = if run_once {
            let former = self.first_former(&spec, &scopes).cloned();
            vec![former.unwrap_or_else(|| (first.clone(), scope.clone()))]
        } else {
            scopes
        };
        let known = running.iter().all(|(host, _)| self.history.has(host));
        let started = Event::TaskStarted { task: info };
        self.emit(if known { again(started) } else { started });
        let limit = match limit {
            Ok(limit) => limit,
            Err(problem) => return self.abort(*problem),
        };
        let fresh = !running.iter().any(|(host, _)| self.history.has(host));
        let further = match !extra && !run_once && fresh {
            true => {
                let hosts: Vec<&String> = running.iter().map(|(host, _)| host).collect();
                self.further(state, &spec, &hosts, &magic)
            }
            false => vec![],
        };
        let done = self.dispatch(&spec, id, running, limit, further).await;
        let done = self.debugged(state, &spec, id, done).await;
        if self.fault.is_some() {
            return;
        }
        let failed = self.follow_up(state, &spec, done, hosts, run_once, extra);
        if failed.fatal {
            state.fail_others(&failed.hosts);
        }
        self.check_limit(state);
    }

    /// Ends the batch when more hosts failed than `max_fail_percentage` allows.
    pub(super) fn check_limit(&mut self, state: &mut Batch<'_>) {
        let (lost, all) = (state.lost.len(), state.size);
        if !state.ended && self.over_limit(state.play, lost, all) {
            self.emit(Event::NoHostsRemaining);
            state.over_limit = true;
            state.ended = true;
        }
    }

    /// A task as workers need it.
    pub(super) fn spec(&self, task: &Arc<PlanTask>) -> Arc<TaskSpec> {
        Arc::new(TaskSpec::new(task, &self.shared.planner.files))
    }

    /// Starts a worker; where hosts wait for each other, it waits for its turn and knows whether it
    /// is the first one.
    pub(super) fn spawn(
        &mut self,
        spec: &Arc<TaskSpec>,
        id: usize,
        (host, scope): (String, HostScope),
        out: &UnboundedSender<Message>,
        limit: Option<(Arc<Semaphore>, bool)>,
        further: Vec<Further>,
    ) {
        let taken = self.take_former(spec, id, (&host, &scope), out);
        if matches!(taken, Taken::Told) {
            return self.emit(again(Event::HostStarted { task: id, host }));
        }
        let known = matches!(taken, Taken::Evaluated);
        let begun = self.chained(spec, &host);
        let job = Job {
            spec: Arc::clone(spec),
            id,
            scope,
            world: self.world.clone(),
            links: self.links.remove(&host).unwrap_or_default(),
            way: None,
            again: known,
            first: limit.as_ref().is_none_or(|(_, first)| *first),
            host,
            out: out.clone(),
        };
        let started = Event::HostStarted {
            task: id,
            host: job.host.clone(),
        };
        self.emit(if known { again(started) } else { started });
        let members = self.chain(&job, further);
        let turn = limit.map(|(limit, _)| in_line(limit.acquire_owned()));
        let run = Arc::clone(&self.shared);
        while self.workers.try_join_next().is_some() {}
        self.workers.spawn(async move {
            // The semaphore is never closed.
            let _permit = match turn {
                Some(turn) => turn.await.ok(),
                None => None,
            };
            match begun {
                Some(member) => member.end(run, job).await,
                None if !members.is_empty() => chain::conduct(run, job, members).await,
                None => worker::work(run, job).await,
            }
        });
    }

    /// Runs workers and passes their events on, in the order in which they come.
    pub(super) async fn dispatch(
        &mut self,
        spec: &Arc<TaskSpec>,
        id: usize,
        scopes: Vec<(String, HostScope)>,
        limit: usize,
        further: Vec<Vec<Further>>,
    ) -> Vec<Done> {
        let (out, mut messages) = mpsc::unbounded_channel();
        let limit = Arc::new(Semaphore::new(limit));
        let count = scopes.len();
        let hosts: Vec<String> = scopes.iter().map(|(host, _)| host.clone()).collect();
        let mut further = further.into_iter();
        for (index, (host, scope)) in scopes.into_iter().enumerate() {
            let turn = (Arc::clone(&limit), index == 0);
            let further = further.next().unwrap_or_default();
            self.spawn(spec, id, (host, scope), &out, Some(turn), further);
        }
        drop(out);
        let places: HashMap<String, usize> = hosts.iter().cloned().zip(0..).collect();
        let mut order = Ordered::new(hosts);
        let mut all = Vec::with_capacity(count);
        // A worker that goes on with further tasks of its host keeps its end of the channel.
        while all.len() < count {
            let message = match tokio::time::timeout(order.patience(), messages.recv()).await {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(_) => {
                    order
                        .release_all()
                        .into_iter()
                        .for_each(|event| self.emit(event));
                    continue;
                }
            };
            let mut shown = false;
            match message {
                Message::Event(host, event) => {
                    shown = is_shown_at_once(&event);
                    order.hold(&host, *event);
                }
                Message::Notes(notes) => self.shared.templar.note_warnings(notes),
                Message::Done(mut done) => {
                    order.finish(&done.host);
                    self.take_back(&mut done);
                    all.push(*done);
                }
            }
            let next = match shown {
                true => order.release_all(),
                false => order.release(),
            };
            next.into_iter().for_each(|event| self.emit(event));
        }
        order
            .release_all()
            .into_iter()
            .for_each(|event| self.emit(event));
        // What follows from results is the same in every run, whichever host is quickest.
        all.sort_by_key(|done: &Done| places.get(&done.host).copied());
        all
    }

    /// How many hosts may run a task at once: `forks`, or less by its `throttle`.
    pub(super) fn throttle(
        &self,
        spec: &TaskSpec,
        scope: &HostScope,
    ) -> Result<usize, Box<Diagnostic>> {
        let forks = self.shared.options.forks.max(1);
        let Some(raw) = spec.keyword(Keyword::Throttle) else {
            return Ok(forks);
        };
        let value = self.shared.templar.expand(raw, scope);
        let value = value.map_err(|error| error.diagnostic)?;
        let Some(throttle) = to_int(&value) else {
            let message = format!(
                "Failed to convert the throttle value to an integer: invalid literal for int() with base 10: {}",
                value.repr()
            );
            let problem = Diagnostic::error("throttle", message);
            return Err(Box::new(match spec.keyword_span(Keyword::Throttle) {
                Some(span) => problem.at(span),
                None => problem,
            }));
        };
        let throttle = usize::try_from(throttle).unwrap_or(0);
        Ok(if throttle > 0 {
            throttle.min(forks)
        } else {
            forks
        })
    }
}

/// A problem as a message's text: views add their own prefix.
pub(super) fn problem_text(problem: &Diagnostic) -> String {
    let text = crate::diag::render(problem, crate::diag::Style::default());
    let text = text
        .split_once("]: ")
        .map_or(text.as_str(), |(_, text)| text);
    text.trim_end().to_owned()
}

fn same(left: &Step, right: &Step) -> bool {
    match (left, right) {
        (Step::Task(left), Step::Task(right)) => Arc::ptr_eq(left, right),
        (Step::FlushHandlers, Step::FlushHandlers) => true,
        _ => false,
    }
}

/// The number of hosts that a value of `serial` means.
fn batch_size(size: &Value, all: usize) -> usize {
    if let Value::Str(text) = size
        && text.as_str().contains('%')
    {
        let percent = percent(size).unwrap_or(100.0);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "numbers of hosts are small and positive"
        )]
        return ((all as f64 * percent / 100.0) as usize).max(1);
    }
    to_int(size)
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(0)
}

/// What a host tells while its task runs has no turn: whoever looks wants it now.
fn is_shown_at_once(event: &Event) -> bool {
    matches!(
        event,
        Event::Message {
            kind: MessageKind::Display,
            ..
        }
    )
}

/// A place in a line, which is taken at once: workers may begin in any order.
fn in_line<F: Future>(turn: F) -> impl Future<Output = F::Output> {
    let mut turn = Box::pin(turn);
    let nobody = &mut task::Context::from_waker(task::Waker::noop());
    let first = turn.as_mut().poll(nobody);
    async move {
        match first {
            task::Poll::Ready(permit) => permit,
            task::Poll::Pending => turn.await,
        }
    }
}
