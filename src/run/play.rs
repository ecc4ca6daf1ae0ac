//! Runs one play in linear order: the hosts of a batch go through the tasks side by side.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use tokio::sync::{Semaphore, mpsc};

use rplay_modules::data::{Data, Map};

use super::context::{to_bool, to_dict, to_int};
use super::cursor::{Cursor, Place, Step};
use super::ordered::Ordered;
use super::spec::TaskSpec;
use super::worker::{self, Done, ItemEffect, Job, Message};
use super::{PlannedPlay, Run};
use crate::action::Effect;
use crate::diag::{Checked, Diagnostic, Severity};
use crate::inventory::{Order, ordered};
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{Frame, FrameKind, PlanItem, PlanTask, Role};
use crate::report::event::{Event, MessageKind, Status, TaskInfo};
use crate::template::value::{Entries, Key, Value};
use crate::vars::{HostScope, Level, VarMap};

/// State of one batch of a play.
struct Batch<'p> {
    play: &'p PlannedPlay,
    name: String,
    hosts: Vec<String>,
    batch: Vec<String>,
    cursors: IndexMap<String, Cursor>,
    handlers: Arc<Vec<PlanItem>>,
    roles: Vec<Arc<Role>>,
    play_files: Vec<Arc<VarMap>>,
    ended: bool,
    force_handlers: bool,
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
            if self.over_limit(play, lost, batch.len(), &early) {
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

    fn early_scope(&self, play: &PlannedPlay) -> HostScope {
        let mut magic = (*self.world.magic).clone();
        magic.extend(self.play_magic(play, &[], &[]));
        crate::plan::early_scope(&self.world.extra, &play.vars, &Arc::new(magic), &play.dir)
    }

    /// `hosts`: a text or a list, templated.
    fn pattern(&mut self, play: &PlannedPlay, scope: &HostScope) -> Vec<String> {
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

    fn play_flag(&self, play: &PlannedPlay, keyword: Keyword, scope: &HostScope) -> Option<bool> {
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
    fn over_limit(&self, play: &PlannedPlay, lost: usize, all: usize, scope: &HostScope) -> bool {
        let limit = self.play_value(play, Keyword::MaxFailPercentage, scope);
        let limit = limit.as_ref().and_then(super::context::to_float);
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts are small")]
        limit.is_some_and(|limit| lost as f64 / all as f64 * 100.0 > limit)
    }

    async fn batch(&mut self, play: &PlannedPlay, name: &str, hosts: &[String], batch: &[String]) {
        let force = self.shared.options.force_handlers || self.shared.config.bool("force_handlers");
        let early = self.early_scope(play);
        let mut state = Batch {
            play,
            name: name.to_owned(),
            hosts: hosts.to_vec(),
            batch: batch.to_vec(),
            cursors: batch
                .iter()
                .map(|host| (host.clone(), Cursor::new(&play.plan.items)))
                .collect(),
            handlers: Arc::clone(&play.plan.handlers),
            roles: play.plan.roles.clone(),
            play_files: vec![],
            ended: false,
            force_handlers: self
                .play_flag(play, Keyword::ForceHandlers, &early)
                .unwrap_or(force),
        };
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
                Step::Task(task) => self.task(&mut state, &task, &hosts).await,
            }
        }
    }

    /// `vars_files`: each a file, or a list of which the first that exists counts.
    fn vars_files(&mut self, state: &mut Batch<'_>, scope: &HostScope) -> bool {
        let Some(node) = state.play.plan.play.keywords.get(&Keyword::VarsFiles) else {
            return true;
        };
        let entries = match &node.kind {
            NodeKind::Seq(items) => items.clone(),
            NodeKind::Null => vec![],
            _ => vec![node.clone()],
        };
        for entry in &entries {
            match self.vars_file(state.play, entry, scope) {
                Ok(vars) => state.play_files.push(Arc::new(vars)),
                Err(problem) => {
                    let text = problem_text(&problem);
                    self.message(MessageKind::Error, text);
                    for host in state.batch.clone() {
                        self.host_failed(&host);
                    }
                    return false;
                }
            }
        }
        true
    }

    fn vars_file(
        &mut self,
        play: &PlannedPlay,
        entry: &Node,
        scope: &HostScope,
    ) -> Result<VarMap, Box<Diagnostic>> {
        let alternatives = match &entry.kind {
            NodeKind::Seq(items) => items.clone(),
            _ => vec![entry.clone()],
        };
        let mut tried = vec![];
        for node in &alternatives {
            let name = self
                .shared
                .templar
                .expand(&Value::from_node(node), scope)
                .map_err(|error| error.diagnostic)?;
            let name = name.to_string();
            let places = [play.dir.join("vars").join(&name), play.dir.join(&name)];
            if let Some(path) = places.iter().find(|path| path.is_file()) {
                let checked = self.shared.planner.files.vars(path).map_err(Box::new)?;
                if let Some(problem) = checked
                    .problems
                    .iter()
                    .find(|problem| problem.severity == Severity::Error)
                {
                    return Err(Box::new(problem.clone()));
                }
                return Ok(checked.value);
            }
            tried.push(name);
        }
        let message = match tried.as_slice() {
            [one] => format!("vars file {one} was not found"),
            many => format!("vars files were not found: {}", many.join(", ")),
        };
        self.message(MessageKind::Warning, message);
        Ok(VarMap::new())
    }

    /// The implicit `Gathering Facts`.
    async fn gather(&mut self, state: &mut Batch<'_>) {
        let scope = self.early_scope(state.play);
        let wanted = self.play_flag(state.play, Keyword::GatherFacts, &scope);
        let policy = self
            .shared
            .config
            .text("gathering")
            .unwrap_or_else(|| "implicit".to_owned());
        let wanted = wanted.unwrap_or(policy != "explicit");
        let tags = ["always".to_owned(), "all".to_owned()];
        if !wanted || !self.shared.options.tags.selects(&tags) {
            return;
        }
        let known = |run: &Self, host: &str| {
            run.world
                .memory
                .get(host)
                .is_some_and(|memory| !memory.facts.is_empty())
        };
        let smart = policy == "smart"
            && self
                .play_flag(state.play, Keyword::GatherFacts, &scope)
                .is_none();
        let hosts: Vec<String> = state
            .batch
            .iter()
            .filter(|host| !(self.is_out(host) || smart && known(self, host)))
            .cloned()
            .collect();
        if hosts.is_empty() {
            return;
        }
        let task = gathering_task(&state.play.plan.frame, state.play);
        self.run_on(state, &task, &hosts, true).await;
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

    async fn task(&mut self, state: &mut Batch<'_>, task: &Arc<PlanTask>, hosts: &[String]) {
        self.run_on(state, task, hosts, false).await;
    }

    /// Runs a task on hosts and follows up on the results.
    async fn run_on(
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
        let early = self.early_scope(state.play);
        if fatal {
            state.ended = true;
        } else if self.over_limit(state.play, lost, state.batch.len(), &early) {
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

    fn flag(&self, spec: &TaskSpec, keyword: Keyword, scope: &HostScope) -> bool {
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
    fn task_scope(
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
        scope
    }

    /// Registers results, counts them, moves the hosts on. Returns whether the play must end.
    fn follow_up(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        done: Vec<Done>,
        hosts: &[String],
        run_once: bool,
        extra: bool,
    ) -> bool {
        let mut fatal = false;
        let mut includes: Vec<(String, Vec<ItemEffect>)> = vec![];
        for mut one in done {
            let effects = std::mem::take(&mut one.effects);
            let everywhere: Vec<String> = if run_once {
                hosts.to_vec()
            } else {
                vec![one.host.clone()]
            };
            self.register(spec, &one, &everywhere);
            let mut included = vec![];
            let mut moved = false;
            for effect in effects {
                // These two move the hosts themselves.
                moved |= matches!(&effect.effect, Effect::Meta(action) if action == "flush_handlers" || action == "end_role");
                match &effect.effect {
                    Effect::IncludeTasks { .. } | Effect::IncludeRole { .. } => {
                        included.push(effect)
                    }
                    _ => self.apply(state, effect, &one.host, &everywhere),
                }
            }
            for name in &one.notify {
                self.notify(state, &one.host, name);
            }
            let failed = self.score(state, &one, spec, extra);
            fatal |= failed && (run_once || self.any_errors_fatal(spec, &one.host, state));
            if failed {
                continue;
            }
            if !included.is_empty() {
                let further = u32::try_from(included.len() - 1).unwrap_or_default();
                self.count(&one.host, |counts| counts.ok += further);
                includes.extend(
                    everywhere
                        .iter()
                        .map(|host| (host.clone(), clone_effects(&included))),
                );
            } else if !extra && !moved {
                for host in &everywhere {
                    if let Some(cursor) = state.cursors.get_mut(host) {
                        cursor.advance();
                    }
                }
            }
        }
        self.include(state, spec, includes);
        fatal
    }

    fn any_errors_fatal(&self, spec: &TaskSpec, _host: &str, state: &Batch<'_>) -> bool {
        let scope = self.early_scope(state.play);
        self.flag(spec, Keyword::AnyErrorsFatal, &scope)
            || self.shared.config.bool("any_errors_fatal")
    }

    /// `register`, on every host that shares the result.
    fn register(&mut self, spec: &TaskSpec, done: &Done, hosts: &[String]) {
        let Some(Value::Str(name)) = spec.keyword(Keyword::Register) else {
            return;
        };
        let mut shown = done.result.clone();
        shown.retain(|key, _| !key.starts_with("_ansible_"));
        shown
            .entry("failed".to_owned())
            .or_insert(Data::Bool(done.status == Status::Failed));
        let value = to_dict(&shown);
        for host in hosts {
            let value = value.clone();
            self.remember(host, |memory| {
                Arc::make_mut(&mut memory.set).insert(name.as_str().to_owned(), value);
            });
        }
    }

    /// Counts a result and handles failures. Returns whether the host failed here.
    fn score(&mut self, state: &mut Batch<'_>, done: &Done, spec: &TaskSpec, extra: bool) -> bool {
        let host = &done.host;
        match done.status {
            Status::Ok | Status::Changed => {
                let silent = spec.action == "meta";
                self.count(host, |counts| {
                    counts.ok += u32::from(!silent);
                    counts.changed += u32::from(done.status == Status::Changed);
                });
                false
            }
            Status::Skipped => {
                self.count(host, |counts| counts.skipped += 1);
                false
            }
            Status::Failed if done.ignored => {
                let changed = done.result.get("changed") == Some(&Data::Bool(true));
                self.count(host, |counts| {
                    counts.ok += 1;
                    counts.ignored += 1;
                    counts.changed += u32::from(changed);
                });
                false
            }
            Status::Unreachable if done.ignored => {
                self.count(host, |counts| {
                    counts.skipped += 1;
                    counts.ignored += 1;
                });
                false
            }
            Status::Unreachable => {
                self.count(host, |counts| counts.unreachable += 1);
                self.unreachable.push(host.clone());
                if let Some(cursor) = state.cursors.get_mut(host) {
                    cursor.end();
                }
                true
            }
            Status::Failed => {
                self.task_failed(state, done, spec, extra);
                true
            }
        }
    }

    fn task_failed(&mut self, state: &mut Batch<'_>, done: &Done, spec: &TaskSpec, extra: bool) {
        let host = &done.host;
        let Some(cursor) = state.cursors.get_mut(host) else {
            return;
        };
        let handlers_left =
            state.force_handlers && !cursor.notified.is_empty() && !cursor.in_handlers();
        if !extra && cursor.fail() {
            self.count(host, |counts| counts.rescued += 1);
            let task = Value::dict(Entries::from([
                (
                    Key::from("name"),
                    Value::str(
                        spec.keyword(Keyword::Name)
                            .map(|name| {
                                worker::shown_name(&self.shared, name, &HostScope::default())
                            })
                            .unwrap_or_default(),
                    ),
                ),
                (
                    Key::from("action"),
                    Value::str(spec.task.ast.call.name.as_str()),
                ),
            ]));
            let result = to_dict(&done.result);
            self.remember(host, |memory| {
                let set = Arc::make_mut(&mut memory.set);
                set.insert("ansible_failed_task".to_owned(), task);
                set.insert("ansible_failed_result".to_owned(), result);
            });
            return;
        }
        self.count(host, |counts| counts.failed += 1);
        if extra {
            cursor.end();
        }
        if handlers_left {
            let handlers = Arc::clone(&state.handlers);
            let notified = std::mem::take(&mut cursor.notified);
            *cursor = Cursor::new(&Arc::new(vec![PlanItem::FlushHandlers]));
            cursor.notified = notified;
            let _ = handlers;
        }
        self.host_failed(host);
    }

    fn host_failed(&mut self, host: &str) {
        if !self.failed.iter().any(|name| name == host) {
            self.failed.push(host.to_owned());
        }
    }

    /// Marks the handlers of a name or topic as notified.
    fn notify(&mut self, state: &mut Batch<'_>, host: &str, name: &str) {
        let mut found = vec![];
        let mut named = None;
        for (index, item) in state.handlers.iter().enumerate() {
            let PlanItem::Task(task) = item else { continue };
            match self.answers_to(task, name) {
                Some(Answer::Name) => named = Some(index),
                Some(Answer::Topic) => found.push(index),
                None => {}
            }
        }
        found.extend(named);
        // Of several handlers of one name the last one counts; every listener of a topic does.
        if found.is_empty() {
            let text = format!(
                "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
            );
            self.message(MessageKind::Error, text);
            return self.host_failed_at(state, host);
        }
        if let Some(cursor) = state.cursors.get_mut(host) {
            cursor.notified.extend(found);
        }
        self.emit(Event::Notified {
            host: host.to_owned(),
            handler: name.to_owned(),
        });
    }

    fn host_failed_at(&mut self, state: &mut Batch<'_>, host: &str) {
        if let Some(cursor) = state.cursors.get_mut(host) {
            cursor.end();
        }
        self.count(host, |counts| counts.failed += 1);
        self.host_failed(host);
    }

    fn answers_to(&self, task: &PlanTask, name: &str) -> Option<Answer> {
        let keywords = &task.ast.keywords;
        let role = task.frame.role.as_ref().map(|role| role.name.as_str());
        let own = keywords
            .get(&Keyword::Name)
            .and_then(Node::as_str)
            .map(str::to_owned)
            .unwrap_or_default();
        let own = self
            .shared
            .templar
            .expand_soft(&Value::template(own.as_str(), None), &HostScope::default())
            .map_or(own, |name| name.to_string());
        let listens = match keywords.get(&Keyword::Listen).map(|node| &node.kind) {
            Some(NodeKind::Str(topic)) => topic == name,
            Some(NodeKind::Seq(topics)) => topics.iter().any(|topic| topic.as_str() == Some(name)),
            _ => false,
        };
        if own == name || role.is_some_and(|role| format!("{role} : {own}") == name) {
            return Some(Answer::Name);
        }
        listens.then_some(Answer::Topic)
    }

    /// Changes the run by what a task asked for.
    fn apply(
        &mut self,
        state: &mut Batch<'_>,
        effect: ItemEffect,
        host: &str,
        everywhere: &[String],
    ) {
        let on = effect
            .on
            .map_or_else(|| everywhere.to_vec(), |other| vec![other]);
        match effect.effect {
            Effect::SetFacts(vars) => {
                for host in &on {
                    self.remember(host, |memory| {
                        Arc::make_mut(&mut memory.set).extend(vars.clone())
                    });
                }
            }
            Effect::Facts(facts) => {
                for host in &on {
                    self.remember(host, |memory| add_facts(memory, &facts));
                }
            }
            Effect::IncludeVars(vars) => {
                for host in &on {
                    self.remember(host, |memory| {
                        Arc::make_mut(&mut memory.included).extend(vars.clone())
                    });
                }
            }
            Effect::AddHost { name, groups, vars } => {
                self.change_inventory(|inventory| {
                    inventory.add_host(&name, "all", None);
                    for group in &groups {
                        inventory.add_group(group);
                        inventory.add_host(&name, group, None);
                    }
                });
                self.remember(&name, |memory| {
                    Arc::make_mut(&mut memory.added).extend(vars)
                });
            }
            Effect::GroupBy { key, parents } => {
                for host in everywhere {
                    self.change_inventory(|inventory| {
                        inventory.add_group(&key);
                        for parent in &parents {
                            inventory.add_group(parent);
                            // A cycle cannot come up: the group is new or was made here before.
                            let _ = inventory.add_child(parent, &key);
                        }
                        inventory.add_host(host, &key, None);
                    });
                }
            }
            Effect::Stats {
                data,
                per_host,
                aggregate,
            } => self.stats(host, data, per_host, aggregate),
            Effect::Meta(action) => self.meta(state, &action, host, everywhere),
            Effect::Warning(text) => self.message(MessageKind::Warning, text),
            Effect::IncludeTasks { .. } | Effect::IncludeRole { .. } => {}
        }
    }

    fn change_inventory(&mut self, change: impl FnOnce(&mut crate::inventory::Inventory)) {
        let vars = &self.world.vars;
        let mut inventory = vars.inventory.clone();
        change(&mut inventory);
        inventory.reconcile();
        let fresh = super::shared::InventoryVars::new(
            inventory,
            Arc::clone(&vars.files),
            vars.playbook_dir.clone(),
        );
        self.world.vars = Arc::new(fresh);
    }

    fn stats(&mut self, host: &str, data: Map, per_host: bool, aggregate: bool) {
        let place = if per_host { host } else { "_run" };
        let stats = self.stats.entry(place.to_owned()).or_default();
        for (name, value) in data {
            match (stats.get_mut(&name), value) {
                (Some(Data::Int(old)), Data::Int(new)) if aggregate => *old += new,
                (Some(Data::Str(old)), Data::Str(new)) if aggregate => old.push_str(&new),
                (Some(Data::List(old)), Data::List(new)) if aggregate => old.extend(new),
                (Some(Data::Map(old)), Data::Map(new)) if aggregate => old.extend(new),
                (_, value) => {
                    stats.insert(name, value);
                }
            }
        }
    }

    fn meta(&mut self, state: &mut Batch<'_>, action: &str, host: &str, everywhere: &[String]) {
        match action {
            "flush_handlers" => {
                for host in everywhere {
                    if let Some(cursor) = state.cursors.get_mut(host) {
                        cursor.include(Arc::new(vec![PlanItem::FlushHandlers]), 0);
                    }
                }
            }
            "clear_facts" => {
                for host in everywhere {
                    self.remember(host, |memory| {
                        memory.facts = Arc::default();
                        memory.plain_facts = Arc::default();
                    });
                }
            }
            "clear_host_errors" => {
                self.failed.clear();
                self.unreachable.clear();
            }
            "end_play" | "end_batch" => {
                for cursor in state.cursors.values_mut() {
                    cursor.end();
                }
            }
            "end_host" => {
                if let Some(cursor) = state.cursors.get_mut(host) {
                    cursor.end();
                }
            }
            "end_role" => {
                if let Some(cursor) = state.cursors.get_mut(host)
                    && let Some(Step::Task(task)) = cursor.peek()
                {
                    let role = task.frame.role.as_ref().map(|role| role.path.clone());
                    cursor.leave_while(|task| {
                        task.frame.role.as_ref().map(|role| role.path.clone()) == role
                    });
                }
            }
            "reset_connection" => {
                self.links.remove(host);
            }
            _ => {}
        }
    }

    /// Reads what `include_tasks` and `include_role` named, and sends the hosts there.
    fn include(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        includes: Vec<(String, Vec<ItemEffect>)>,
    ) {
        // Hosts that include the same things share the list, so that they go on side by side.
        let mut lists: Vec<(String, Arc<Vec<PlanItem>>)> = vec![];
        let mut announced: IndexMap<(String, Option<String>), Vec<String>> = IndexMap::new();
        for (host, effects) in includes {
            let key = format!(
                "{:?}",
                effects
                    .iter()
                    .map(|one| (format!("{:?}", one.effect), format!("{:?}", one.vars)))
                    .collect::<Vec<_>>()
            );
            for one in &effects {
                let label = one
                    .label
                    .as_ref()
                    .map(|label| Value::from_data(label).to_string());
                announced
                    .entry((include_name(&one.effect), label))
                    .or_default()
                    .push(host.clone());
            }
            if !lists.iter().any(|(known, _)| *known == key) {
                let (items, failed) = self.read_includes(state, spec, &effects, &host);
                if failed {
                    if let Some(cursor) = state.cursors.get_mut(&host) {
                        cursor.fail();
                    }
                    self.count(&host, |counts| counts.failed += 1);
                    self.host_failed(&host);
                    continue;
                }
                lists.push((key.clone(), Arc::new(items)));
            }
            let number = lists
                .iter()
                .position(|(known, _)| *known == key)
                .unwrap_or(0);
            if let (Some(cursor), Some((_, items))) =
                (state.cursors.get_mut(&host), lists.get(number))
            {
                cursor.include(Arc::clone(items), number);
            }
        }
        for ((name, label), hosts) in announced {
            {
                self.emit(Event::Included {
                    name,
                    hosts,
                    label: label.map(Data::Str),
                });
            }
        }
    }

    fn read_includes(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        effects: &[ItemEffect],
        host: &str,
    ) -> (Vec<PlanItem>, bool) {
        let mut items = vec![];
        let mut failed = false;
        for one in effects {
            let Checked { value, problems } = self.read_include(state, spec, one, host);
            for problem in problems {
                let text = problem_text(&problem);
                failed |= problem.severity == Severity::Error;
                let kind = if problem.severity == Severity::Error {
                    MessageKind::Error
                } else {
                    MessageKind::Warning
                };
                self.message(kind, text);
            }
            items.extend(value);
        }
        (items, failed)
    }

    fn read_include(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        one: &ItemEffect,
        host: &str,
    ) -> Checked<Vec<PlanItem>> {
        let task = &spec.task;
        let mut params = one.vars.clone();
        let dir: PathBuf = state.play.dir.clone();
        let apply = task.ast.call.args.get("apply").map(|arg| &arg.value);
        let mut keywords = crate::action::applied(apply);
        // Conditions and loops of the include were decided; its other keywords are its own.
        keywords.shift_remove(&Keyword::Name);
        let (Effect::IncludeTasks { vars, .. } | Effect::IncludeRole { vars, .. }) = &one.effect
        else {
            return Checked::ok(vec![]);
        };
        params.extend(vars.clone());
        let frame = Arc::new(Frame {
            parent: Some(Arc::clone(&task.frame)),
            kind: FrameKind::Include,
            vars: Arc::new(
                keywords
                    .get(&Keyword::Vars)
                    .map(|node| crate::plan::to_vars(node, &self.shared.planner.files, &mut vec![]))
                    .unwrap_or_default(),
            ),
            keywords,
            params: Arc::new(params),
            role: task.frame.role.clone(),
            dir: task.frame.dir.clone(),
        });
        let magic = Arc::new(self.play_magic(state.play, &state.hosts, &state.batch));
        let scope = self.task_scope(state, spec, host, &magic);
        match &one.effect {
            Effect::IncludeTasks { file, .. } => {
                self.shared
                    .planner
                    .include(file, &frame, task.handler, &dir, &scope)
            }
            Effect::IncludeRole { call, public, .. } => {
                let checked = self.shared.planner.include_role(call, &frame, &dir, &scope);
                if *public {
                    state.roles.extend(checked.value.roles.iter().cloned());
                }
                if !checked.value.handlers.is_empty() {
                    let mut handlers = (*state.handlers).clone();
                    handlers.extend(checked.value.handlers);
                    state.handlers = Arc::new(handlers);
                }
                Checked {
                    value: checked.value.items,
                    problems: checked.problems,
                }
            }
            _ => Checked::ok(vec![]),
        }
    }
}

/// A problem as a message's text: views add their own prefix.
fn problem_text(problem: &Diagnostic) -> String {
    let text = crate::diag::render(problem, crate::diag::Style::default());
    let text = text
        .split_once("]: ")
        .map_or(text.as_str(), |(_, text)| text);
    text.trim_end().to_owned()
}

/// Why a handler answers to a notification.
enum Answer {
    Name,
    Topic,
}

/// What the `included:` line shows.
fn include_name(effect: &Effect) -> String {
    match effect {
        Effect::IncludeTasks { file, .. } => file.display().to_string(),
        Effect::IncludeRole { call, .. } => call.name.clone(),
        _ => String::new(),
    }
}

fn clone_effects(effects: &[ItemEffect]) -> Vec<ItemEffect> {
    effects
        .iter()
        .map(|one| ItemEffect {
            effect: one.effect.clone(),
            vars: one.vars.clone(),
            label: one.label.clone(),
            on: one.on.clone(),
        })
        .collect()
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

/// Keeps facts in both forms.
fn add_facts(memory: &mut super::Memory, facts: &Map) {
    let top = Arc::make_mut(&mut memory.facts);
    let plain = Arc::make_mut(&mut memory.plain_facts);
    for (name, value) in facts {
        let value = Value::from_data(value);
        let short = name.strip_prefix("ansible_").unwrap_or(name);
        plain.insert(short.to_owned(), value.clone());
        top.insert(name.clone(), value);
    }
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

/// The task behind `gather_facts`.
fn gathering_task(frame: &Arc<Frame>, play: &PlannedPlay) -> Arc<PlanTask> {
    use crate::load::ast::{Call, CallArg, Keywords, Task};
    let span = play.plan.play.span.clone();
    let mut args = IndexMap::new();
    for (keyword, name) in [
        (Keyword::GatherSubset, "gather_subset"),
        (Keyword::GatherTimeout, "gather_timeout"),
        (Keyword::FactPath, "fact_path"),
    ] {
        if let Some(node) = play.plan.play.keywords.get(&keyword) {
            args.insert(
                name.to_owned(),
                CallArg {
                    key: node.span.clone(),
                    value: node.clone(),
                },
            );
        }
    }
    let call = Call {
        name: "gather_facts".to_owned(),
        span: span.clone(),
        args,
        free_form: None,
        args_template: None,
        local: false,
    };
    let mut keywords = Keywords::new();
    keywords.insert(
        Keyword::Name,
        Node {
            span: span.clone(),
            kind: NodeKind::Str("Gathering Facts".to_owned()),
        },
    );
    let ast = Task {
        span,
        call,
        looping: None,
        keywords,
    };
    Arc::new(PlanTask {
        ast: Arc::new(ast),
        frame: Arc::clone(frame),
        tags: vec!["always".to_owned()],
        handler: false,
    })
}
