//! Runs one play in linear order: the hosts of a batch go through the tasks side by side.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::sync::{Semaphore, mpsc};

use super::context::{to_bool, to_int};
use super::cursor::{Cursor, Place, Step};
use super::ordered::Ordered;
use super::spec::TaskSpec;
use super::worker::{self, Done, Job, Message};
use super::{PlannedPlay, Run};
use crate::diag::{Diagnostic, Severity};
use crate::inventory::{Order, ordered};
use crate::load::keyword::Keyword;
use crate::plan::{Frame, PlanItem, PlanTask, Role};
use crate::report::event::{Event, MessageKind, TaskInfo};
use crate::template::value::Value;
use crate::vars::{HostScope, Level, VarMap};

/// State of one batch of a play.
pub(super) struct Batch<'p> {
    pub(super) play: &'p PlannedPlay,
    pub(super) name: String,
    pub(super) hosts: Vec<String>,
    pub(super) batch: Vec<String>,
    pub(super) cursors: IndexMap<String, Cursor>,
    pub(super) handlers: Arc<Vec<PlanItem>>,
    pub(super) roles: Vec<Arc<Role>>,
    /// Those and the ones that were included: the play's names of roles.
    pub(super) role_names: IndexMap<String, bool>,
    pub(super) play_files: Vec<Arc<VarMap>>,
    pub(super) ended: bool,
    pub(super) force_handlers: bool,
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
            cursors: batch.iter().map(cursor).collect(),
            handlers: Arc::clone(&play.plan.handlers),
            roles: play.plan.roles.clone(),
            role_names: name_roles(&play.plan.roles),
            play_files: vec![],
            ended: false,
            force_handlers: false,
        }
    }
}

impl Run<'_> {
    /// Runs a play. Returns false when no host is left for further plays.
    pub(super) async fn play(&mut self, play: &PlannedPlay) -> bool {
        let early = self.early_scope(play);
        let pattern = self.pattern(play, &early);
        let limit = self.shared.options.limit.clone();
        let selected = self
            .world
            .vars
            .inventory
            .select_list(&pattern, limit.as_deref());
        for problem in &selected.problems {
            let kind = if problem.severity == Severity::Error {
                MessageKind::Error
            } else {
                MessageKind::Warning
            };
            self.message(kind, problem.message.clone());
        }
        let order = self
            .play_text(play, Keyword::Order, &early)
            .and_then(|order| Order::parse(&order))
            .unwrap_or_default();
        let seed = u64::from(std::process::id()) ^ jiff::Timestamp::now().as_nanosecond() as u64;
        let lost = selected.value.iter().any(|host| self.doomed.contains(host));
        let hosts: Vec<String> = ordered(selected.value, order, seed)
            .into_iter()
            .filter(|host| !self.is_out(host))
            .collect();
        let name = self
            .play_text(play, Keyword::Name, &early)
            .unwrap_or_else(|| pattern.join(","));
        let index = self.next_play;
        self.next_play += 1;
        if hosts.is_empty() {
            self.emit(Event::PlayStarted {
                play: index,
                name,
                hosts: vec![],
                check: false,
            });
            if lost {
                self.emit(Event::NoHostsRemaining);
                return false;
            }
            self.emit(Event::NoHostsMatched);
            return true;
        }
        let batches = self.batches(play, &hosts, &early);
        for batch in batches {
            self.emit(Event::PlayStarted {
                play: index,
                name: name.clone(),
                hosts: batch.clone(),
                check: false,
            });
            let before = self.failed.len() + self.unreachable.len();
            self.batch(play, &name, &hosts, &batch).await;
            let lost = self.failed.len() + self.unreachable.len() - before;
            if self.over_limit(play, lost, batch.len()) {
                self.emit(Event::NoHostsRemaining);
                return false;
            }
            if lost > 0 && self.play_flag(play, Keyword::AnyErrorsFatal, &early) == Some(true) {
                return false;
            }
            if lost == batch.len() {
                return false;
            }
        }
        true
    }

    pub(super) fn early_scope(&self, play: &PlannedPlay) -> HostScope {
        let mut magic = (*self.world.magic).clone();
        magic.extend(self.play_magic(play, &[], &[]));
        crate::plan::early_scope(&self.world.extra, &play.vars, &Arc::new(magic), &play.dir)
    }

    /// `hosts`: a text or a list, templated.
    pub(super) fn pattern(&mut self, play: &PlannedPlay, scope: &HostScope) -> Vec<String> {
        let raw = Value::from_node(&play.plan.play.hosts);
        match self.shared.templar.expand(&raw, scope) {
            Ok(Value::List(items)) => items.to_vec().iter().map(ToString::to_string).collect(),
            Ok(value) => vec![value.to_string()],
            Err(error) => {
                let text = problem_text(&error.diagnostic);
                self.message(MessageKind::Error, text);
                vec![]
            }
        }
    }

    fn play_value(&self, play: &PlannedPlay, keyword: Keyword, scope: &HostScope) -> Option<Value> {
        let node = play.plan.play.keywords.get(&keyword)?;
        self.shared
            .templar
            .expand(&Value::from_node(node), scope)
            .ok()
    }

    fn play_text(&self, play: &PlannedPlay, keyword: Keyword, scope: &HostScope) -> Option<String> {
        self.play_value(play, keyword, scope)
            .filter(|value| !matches!(value, Value::None))
            .map(|value| value.to_string())
    }

    pub(super) fn play_flag(
        &self,
        play: &PlannedPlay,
        keyword: Keyword,
        scope: &HostScope,
    ) -> Option<bool> {
        self.play_value(play, keyword, scope)
            .as_ref()
            .and_then(to_bool)
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
        let limit = limit.as_ref().and_then(super::context::to_float);
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts are small")]
        limit.is_some_and(|limit| lost as f64 / all as f64 * 100.0 > limit)
    }

    async fn batch(&mut self, play: &PlannedPlay, name: &str, hosts: &[String], batch: &[String]) {
        let force = self.shared.options.force_handlers || self.shared.config.bool("force_handlers");
        let early = self.early_scope(play);
        let mut state = Batch::new(play, name, hosts, batch);
        state.force_handlers = self
            .play_flag(play, Keyword::ForceHandlers, &early)
            .unwrap_or(force);
        if !self.vars_files(&mut state, &early) {
            return;
        }
        self.gather(&mut state).await;
        while !state.ended {
            let Some((step, hosts)) = self.next(&mut state) else {
                break;
            };
            match step {
                Step::FlushHandlers => {
                    for host in &hosts {
                        if let Some(cursor) = state.cursors.get_mut(host) {
                            let handlers = Arc::clone(&state.handlers);
                            cursor.flush(&handlers);
                        }
                    }
                }
                Step::Task(task) => self.run_on(&mut state, &task, &hosts, false).await,
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
        let mut problems = vec![];
        let spec = Arc::new(TaskSpec::new(
            task,
            &self.shared.planner.files,
            &mut problems,
        ));
        for problem in problems {
            let text = problem_text(&problem);
            self.message(MessageKind::Warning, text);
        }
        let id = self.next_task;
        self.next_task += 1;
        let mut magic = self.play_magic(state.play, &state.hosts, &state.batch);
        magic.insert(
            "ansible_play_name".to_owned(),
            Value::str(state.name.as_str()),
        );
        magic.extend(role_names(&state.role_names));
        let magic = Arc::new(magic);
        let scopes: Vec<(String, HostScope)> = hosts
            .iter()
            .map(|host| (host.clone(), self.task_scope(state, &spec, host, &magic)))
            .collect();
        let Some((first, scope)) = scopes.first() else {
            return;
        };
        let run_once = self.flag(&spec, Keyword::RunOnce, scope);
        let info = self.info(&spec, id, scope);
        self.emit(Event::TaskStarted { task: info });
        let running: Vec<(String, HostScope)> = if run_once {
            vec![(first.clone(), scope.clone())]
        } else {
            scopes
        };
        let done = self.dispatch(&spec, id, running).await;
        let fatal = self.follow_up(state, &spec, done, hosts, run_once, extra);
        let lost = state.batch.iter().filter(|host| self.is_out(host)).count();
        if fatal {
            state.ended = true;
        } else if self.over_limit(state.play, lost, state.batch.len()) {
            self.emit(Event::NoHostsRemaining);
            state.ended = true;
        }
    }

    /// Runs workers and passes their events on, in the order in which they come.
    async fn dispatch(
        &mut self,
        spec: &Arc<TaskSpec>,
        id: usize,
        scopes: Vec<(String, HostScope)>,
    ) -> Vec<Done> {
        let (out, mut messages) = mpsc::unbounded_channel();
        let limit = Arc::new(Semaphore::new(self.forks(spec)));
        let count = scopes.len();
        let hosts: Vec<String> = scopes.iter().map(|(host, _)| host.clone()).collect();
        for (host, scope) in scopes {
            let links = self.links.remove(&host).unwrap_or_default();
            let (spec, out, world) = (Arc::clone(spec), out.clone(), self.world.clone());
            let (run, limit) = (Arc::clone(&self.shared), Arc::clone(&limit));
            tokio::spawn(async move {
                // The semaphore is never closed.
                let _permit = limit.acquire().await;
                worker::work(
                    run,
                    Job {
                        spec,
                        id,
                        host,
                        scope,
                        world,
                        links,
                        out,
                    },
                )
                .await;
            });
        }
        drop(out);
        let mut order = Ordered::new(hosts);
        let mut all = Vec::with_capacity(count);
        loop {
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
            match message {
                Message::Event(host, event) => order.hold(&host, *event),
                Message::Done(mut done) => {
                    order.finish(&done.host);
                    self.links
                        .insert(done.host.clone(), std::mem::take(&mut done.links));
                    all.push(*done);
                }
            }
            order
                .release()
                .into_iter()
                .for_each(|event| self.emit(event));
        }
        order
            .release_all()
            .into_iter()
            .for_each(|event| self.emit(event));
        all
    }

    fn forks(&self, spec: &TaskSpec) -> usize {
        let throttle = spec
            .keyword(Keyword::Throttle)
            .and_then(to_int)
            .and_then(|limit| usize::try_from(limit).ok());
        let forks = self.shared.options.forks.max(1);
        throttle
            .filter(|limit| *limit > 0)
            .map_or(forks, |limit| limit.min(forks))
    }

    pub(super) fn flag(&self, spec: &TaskSpec, keyword: Keyword, scope: &HostScope) -> bool {
        let Some(raw) = spec.keyword(keyword) else {
            return false;
        };
        self.shared
            .templar
            .expand(raw, scope)
            .ok()
            .as_ref()
            .and_then(to_bool)
            .unwrap_or(false)
    }

    /// How views name a task.
    fn info(&self, spec: &TaskSpec, id: usize, scope: &HostScope) -> TaskInfo {
        let name = spec
            .keyword(Keyword::Name)
            .map(|raw| worker::shown_name(&self.shared, raw, scope));
        let name = name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| self.unnamed(spec, scope));
        let role = spec.task.frame.role.as_ref().map(|role| role.name.clone());
        let name = role.map_or(name.clone(), |role| format!("{role} : {name}"));
        let span = spec.span();
        let check = match spec.keyword(Keyword::CheckMode) {
            Some(raw) => self
                .shared
                .templar
                .expand(raw, scope)
                .ok()
                .as_ref()
                .and_then(to_bool)
                .unwrap_or(false),
            None => self.shared.options.check,
        };
        let path = format!("{}:{}", span.path().display(), span.line_column().0);
        TaskInfo {
            id,
            name,
            action: spec.task.ast.call.name.clone(),
            path,
            handler: spec.task.handler,
            check,
            args: None,
        }
    }

    /// What banners show for a task without a name.
    fn unnamed(&self, spec: &TaskSpec, scope: &HostScope) -> String {
        let action = spec.task.ast.call.name.clone();
        let role = spec.args.get("name").or_else(|| spec.args.get("role"));
        match role.filter(|_| spec.action == "include_role") {
            Some((_, raw)) => format!(
                "{action} : {}",
                worker::shown_name(&self.shared, raw, scope)
            ),
            None => action,
        }
    }

    /// The variables of a task on a host.
    pub(super) fn task_scope(
        &self,
        state: &Batch<'_>,
        spec: &TaskSpec,
        host: &str,
        magic: &Arc<VarMap>,
    ) -> HostScope {
        let frame = &spec.task.frame;
        let mut scope = self
            .world
            .base(host)
            .with_search_path(search_path(frame, &state.play.dir));
        scope.push(Level::Magic, magic);
        scope.push(Level::PlayVars, &state.play.vars);
        for vars in &state.play_files {
            scope.push(Level::PlayFiles, vars);
        }
        for role in &state.roles {
            scope.push(Level::RoleDefaults, &role.defaults);
            scope.push(Level::RoleVars, &role.vars);
        }
        frame.push_vars(&mut scope);
        scope.push(Level::TaskVars, &spec.vars);
        let mut own = VarMap::new();
        if let Some(role) = &frame.role {
            let parents = role
                .parents
                .iter()
                .map(|name| Value::str(name.as_str()))
                .collect();
            own.insert("role_name".to_owned(), Value::str(role.name.as_str()));
            own.insert(
                "ansible_role_name".to_owned(),
                Value::str(role.name.as_str()),
            );
            own.insert(
                "role_path".to_owned(),
                Value::str(role.path.display().to_string()),
            );
            own.insert("ansible_parent_role_names".to_owned(), Value::list(parents));
        }
        let places = search_path(frame, &state.play.dir)
            .into_iter()
            .map(|path| Value::str(path.display().to_string()));
        own.insert(
            "ansible_search_path".to_owned(),
            Value::list(places.collect()),
        );
        scope.push(Level::Magic, &Arc::new(own));
        let connection = super::target::connection_vars(&self.shared, spec, &scope, host);
        scope.push(Level::Connection, &Arc::new(connection));
        scope
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
        && let Some(percent) = text.as_str().trim().strip_suffix('%')
    {
        let percent: f64 = percent.trim().parse().unwrap_or(100.0);
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

/// Where a task's files are looked for: its role, the folder of its file, the playbook.
fn search_path(frame: &Frame, playbook_dir: &std::path::Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = vec![];
    for role in frame.chain().filter_map(|one| one.role.as_ref()) {
        if !places.contains(&role.path) {
            places.push(role.path.clone());
        }
    }
    places.push(frame.dir.clone());
    places.push(playbook_dir.to_path_buf());
    places
}

/// Roles by name, and whether a play or include names them: others are dependencies.
pub(super) fn name_roles(roles: &[Arc<Role>]) -> IndexMap<String, bool> {
    let named = roles
        .iter()
        .map(|role| (role.name.clone(), role.parents.is_empty()));
    named.collect()
}

/// The magic names of a play's roles: all, those that it names, those that other roles need.
fn role_names(roles: &IndexMap<String, bool>) -> VarMap {
    let names = |wanted: &dyn Fn(bool) -> bool| {
        let names = roles.iter().filter(|(_, direct)| wanted(**direct));
        Value::list(names.map(|(name, _)| Value::str(name.as_str())).collect())
    };
    let direct = names(&|direct| direct);
    VarMap::from([
        ("ansible_role_names".to_owned(), names(&|_| true)),
        ("ansible_play_role_names".to_owned(), direct.clone()),
        ("role_names".to_owned(), direct),
        (
            "ansible_dependent_role_names".to_owned(),
            names(&|direct| !direct),
        ),
    ])
}
