//! One task on one host: the loop, conditions, attempts, and what the result means.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Diff;

use super::again::again;
use super::ahead::Way;
use super::context::{Context, Shared, to_bool, to_dict, to_float, to_int};
use super::explain::condition_error;
use super::play_check::{Kind, misfit, unrendered};
use super::shared::World;
use super::spec::TaskSpec;
use super::target::{self, Links};
use super::unpredicted::told_unknown;
use crate::action::background::Background;
use crate::action::{self, ActionError, Effect, TaskResult};
use crate::diag::{Diagnostic, Span};
use crate::load::actions::full_name;
use crate::load::keyword::Keyword;
use crate::report::event::{Event, JobState, KeptFiles, MessageKind, Status};
use crate::template::value::{Value, has_delimiters};
use crate::template::{Scope, TemplateError};
use crate::vars::{HostScope, Level, NotRun, VarMap, reserved_name};

/// A task to run on a host.
pub(super) struct Job {
    pub(super) spec: Arc<TaskSpec>,
    /// The task's number in events.
    pub(super) id: usize,
    pub(super) host: String,
    /// It is the first host of the task.
    pub(super) first: bool,
    pub(super) scope: HostScope,
    pub(super) world: World,
    pub(super) links: Links,
    /// It runs ahead of its turn, and has this way to its host instead of connections.
    pub(super) way: Option<Way>,
    /// A former run did it already: it is not shown.
    pub(super) again: bool,
    pub(super) out: UnboundedSender<Message>,
}

impl Job {
    /// The same task and host, ahead of its turn; what it tells is for `out`.
    pub(super) fn ahead(&self, out: UnboundedSender<Message>) -> Self {
        Self {
            spec: Arc::clone(&self.spec),
            host: self.host.clone(),
            scope: self.scope.clone(),
            world: self.world.clone(),
            links: Links::default(),
            way: None,
            out,
            ..*self
        }
    }
}

/// What workers send to the dispatcher.
pub(super) enum Message {
    Event(String, Box<Event>),
    /// What work that was begun ahead noted for the user.
    Notes(Vec<Diagnostic>),
    Done(Box<Done>),
}

/// A task that is done on a host.
pub(super) struct Done {
    pub(super) host: String,
    /// The number of the task in its events.
    pub(super) task: usize,
    /// None where further tasks of the host are under way.
    pub(super) links: Option<Links>,
    pub(super) status: Status,
    pub(super) ignored: bool,
    pub(super) result: Map,
    pub(super) effects: Vec<ItemEffect>,
    pub(super) notify: Vec<String>,
    /// See [`ItemResult::unknown`].
    pub(super) unknown: Option<Arc<NotRun>>,
    /// A former run did it already: it does not count.
    pub(super) again: bool,
}

/// An effect with the loop variables it happened under.
#[derive(Clone)]
pub(super) struct ItemEffect {
    pub(super) effect: Effect,
    pub(super) vars: VarMap,
    pub(super) label: Option<Data>,
    /// The host that it was delegated to with `delegate_facts`.
    pub(super) on: Option<String>,
}

/// What came of one item.
#[derive(Default)]
pub(super) struct ItemResult {
    pub(super) result: Map,
    pub(super) changed: bool,
    pub(super) failed: bool,
    pub(super) skipped: bool,
    /// In check mode: the task that was not run and would have to be for this to be known.
    pub(super) unknown: Option<Arc<NotRun>>,
    pub(super) unreachable: bool,
    pub(super) diff: Vec<Diff>,
    pub(super) effects: Vec<ItemEffect>,
    pub(super) delegated_to: Option<String>,
    pub(super) notify: Vec<String>,
    pub(super) ignored: bool,
    /// The controller's part of the action failed, not a module.
    pub(super) by_action: bool,
    /// Nothing failed but what `failed_when` says.
    pub(super) by_condition: bool,
    /// The user was told why it failed.
    pub(super) told: bool,
    /// What a module says about its failure at more length than `msg`.
    pub(super) explanation: Option<String>,
}

/// Runs a job and tells the dispatcher.
pub(super) async fn work(run: Shared, job: Job) {
    let out = job.out.clone();
    let done = done(run, job).await;
    // The dispatcher is gone only when the run is over.
    let _ = out.send(Message::Done(Box::new(done)));
}

/// Runs a job ahead of its turn.
pub(super) async fn ahead(run: Shared, job: Job, way: Way) -> Done {
    let way = Some(way);
    done(run, Job { way, ..job }).await
}

/// Runs a job.
async fn done(run: Shared, mut job: Job) -> Done {
    let done = Worker::new(&run, &mut job).task().await;
    Done {
        links: Some(job.links),
        host: job.host,
        ..done
    }
}

/// Runs a job for one item of its loop, ahead of its turn. `unknown_list`: see [`Worker`].
pub(super) async fn item_ahead(
    run: Shared,
    job: Job,
    (scope, vars): (HostScope, VarMap),
    unknown_list: Option<Arc<NotRun>>,
    way: Way,
) -> ItemResult {
    let way = Some(way);
    let mut job = Job { way, ..job };
    let mut worker = Worker::new(&run, &mut job);
    worker.unknown_list = unknown_list;
    worker.item(&scope, Some(&vars)).await
}

pub(super) struct Worker<'a> {
    pub(super) run: &'a Shared,
    pub(super) job: &'a mut Job,
    /// What is being done depends on the result of a task that check mode did not run: then a
    /// failure is none.
    unknown: Option<Arc<NotRun>>,
    /// The same of the items of the task's loop.
    pub(super) unknown_list: Option<Arc<NotRun>>,
}

impl<'a> Worker<'a> {
    fn new(run: &'a Shared, job: &'a mut Job) -> Self {
        Self {
            run,
            job,
            unknown: None,
            unknown_list: None,
        }
    }
}

impl Worker<'_> {
    async fn task(&mut self) -> Done {
        let spec = Arc::clone(&self.job.spec);
        let scope = self.job.scope.clone();
        self.unknown = self.unknown_items(&scope);
        self.unknown_list = self.unknown.clone();
        let items = match &spec.looping {
            None => None,
            Some((lookup, items, span)) => {
                match self.loop_items(lookup.as_deref(), items, span, &scope) {
                    Ok(items) => Some(items),
                    Err(result) => {
                        let result = match self.unknown.take() {
                            Some(cause) => self.skip_unknown(cause),
                            None => *result,
                        };
                        return self.finish(result, false);
                    }
                }
            }
        };
        match items {
            None => {
                let result = self.item(&scope, None).await;
                self.finish(result, false)
            }
            Some(items) => {
                let mut result = self.each(items, &scope).await;
                if let Some(cause) = self.unknown_list.take() {
                    self.note_unknown(&cause);
                    result.unknown = Some(cause);
                }
                // A loop that could not be steered is told like a task without items.
                let whole = result.result.contains_key("results");
                self.finish(result, whole)
            }
        }
    }

    pub(super) fn skip(&self, condition: &Value) -> ItemResult {
        let mut result = Map::new();
        result.insert("changed".to_owned(), Data::Bool(false));
        result.insert(
            "false_condition".to_owned(),
            condition.to_data().unwrap_or_default(),
        );
        result.insert(
            "skip_reason".to_owned(),
            Data::from("Conditional result was False"),
        );
        ItemResult {
            skipped: true,
            result,
            ..ItemResult::default()
        }
    }

    /// Runs the task once. What fails only because check mode did not run another task is skipped.
    pub(super) async fn item(&mut self, scope: &HostScope, item: Option<&VarMap>) -> ItemResult {
        let list = self.unknown_list.clone();
        self.unknown = list.or_else(|| self.unknown_condition(scope));
        if self.unknown.is_none() {
            self.unknown = self.unknown_work(scope);
            // Which tasks there will be cannot be shown at all.
            if let Some(cause) = &self.unknown
                && crate::load::actions::is_include(&self.job.spec.action)
            {
                return self.skip_unknown(Arc::clone(cause));
            }
        }
        let one = self.known_item(scope, item).await;
        match self.unknown.take() {
            Some(cause) => self.doubt(one, cause),
            None => one,
        }
    }

    /// The same, whatever check mode knows. Nothing is told of templates that led to an include.
    async fn known_item(&mut self, scope: &HostScope, item: Option<&VarMap>) -> ItemResult {
        if !crate::load::actions::is_include(&self.job.spec.action) {
            return self.conditioned(scope, item).await;
        }
        let (result, notes) = crate::template::apart(self.conditioned(scope, item)).await;
        if result.failed || result.skipped {
            self.run.templar.note_warnings(notes);
        }
        result
    }

    /// Conditions, then attempts.
    async fn conditioned(&mut self, scope: &HostScope, item: Option<&VarMap>) -> ItemResult {
        let spec = Arc::clone(&self.job.spec);
        for (condition, span) in &spec.when {
            match self.run.templar.condition(condition, scope) {
                Ok(true) => {}
                Ok(false) => return self.skip(condition),
                Err(error) => return self.error(condition_error("when", error, Some(span))),
            }
        }
        let mut result = match self.attempts(scope, item).await {
            Ok(result) => result,
            Err(error) => {
                let mut failed = self.error(error);
                failed.ignored = self.flag(Keyword::IgnoreErrors, scope);
                return failed;
            }
        };
        if result.failed {
            result.ignored = self.flag(Keyword::IgnoreErrors, scope);
        }
        // An item notifies where another one of its loop changed something.
        if (result.changed || item.is_some()) && !result.failed && !result.skipped {
            result.notify = self.notified(scope);
        }
        result
    }

    /// Refuses a module of ones own; only when it is reached, as a condition may keep the task from running.
    fn refuse_foreign(&self, name: &str, place: &Span) -> Result<(), ActionError> {
        let frame = Some(&*self.job.spec.task.frame);
        let found = self
            .run
            .planner
            .foreign(name, frame, &self.run.playbook_dir);
        found.map_or(Ok(()), |file| {
            Err(ActionError::Template(TemplateError {
                diagnostic: Box::new(crate::load::actions::foreign(name, &file).at(place)),
                undefined: false,
            }))
        })
    }

    /// Renders the name of the module where it is a template.
    fn resolve_action(&mut self, scope: &HostScope) -> Result<(), ActionError> {
        let call = &self.job.spec.task.ast.call;
        if !has_delimiters(&call.name) {
            return self.refuse_foreign(&call.name, &call.span);
        }
        let place = call.span.clone();
        let raw = Value::template(call.name.as_str(), Some(place.clone()));
        let name = self.run.templar.expand(&raw, scope);
        let name = name.map_err(ActionError::Template)?.to_string();
        self.refuse_foreign(&name, &place)?;
        if !crate::load::actions::is_callable(&name) {
            let text = format!("Cannot resolve '{name}' to an action or module.");
            return Err(ActionError::Template(TemplateError {
                diagnostic: Box::new(
                    Diagnostic::error(crate::load::actions::UNKNOWN, text).at(&place),
                ),
                undefined: false,
            }));
        }
        let action = crate::action::canonical(&name).to_owned();
        self.job.spec = Arc::new(TaskSpec {
            action,
            ..(*self.job.spec).clone()
        });
        Ok(())
    }

    /// Keywords that are numbers or truth values must be that.
    fn check_keywords(&self, scope: &HostScope) -> Result<(), ActionError> {
        const TYPED: &[(Keyword, Kind)] = &[
            (Keyword::AnyErrorsFatal, Kind::Bool),
            (Keyword::Become, Kind::Bool),
            (Keyword::CheckMode, Kind::Bool),
            (Keyword::DelegateFacts, Kind::Bool),
            (Keyword::Diff, Kind::Bool),
            (Keyword::IgnoreErrors, Kind::Bool),
            (Keyword::IgnoreUnreachable, Kind::Bool),
            (Keyword::NoLog, Kind::Bool),
            (Keyword::RunOnce, Kind::Bool),
            (Keyword::Port, Kind::Int),
            (Keyword::Retries, Kind::Int),
            (Keyword::Timeout, Kind::Int),
            (Keyword::Delay, Kind::Float),
        ];
        for (keyword, kind) in TYPED {
            let Some(raw) = self.job.spec.keyword(*keyword) else {
                continue;
            };
            let value = self.run.templar.expand(raw, scope);
            let value = value.map_err(|error| unrendered(keyword.name(), error))?;
            if let Some(message) = misfit(&value, *kind) {
                return Err(ActionError::Keyword {
                    name: keyword.name(),
                    place: self.job.spec.keyword_span(*keyword).cloned(),
                    message,
                });
            }
        }
        Ok(())
    }

    /// Runs the action until it succeeds or the attempts are used up.
    async fn attempts(
        &mut self,
        scope: &HostScope,
        item: Option<&VarMap>,
    ) -> Result<ItemResult, ActionError> {
        self.resolve_action(scope)?;
        let spec = Arc::clone(&self.job.spec);
        self.check_keywords(scope)?;
        let until = spec.keyword(Keyword::Until).cloned();
        let expand = |keyword| -> Result<Option<Value>, TemplateError> {
            spec.keyword(keyword)
                .map(|value| self.run.templar.expand(value, scope))
                .transpose()
        };
        let retries = expand(Keyword::Retries)?.as_ref().and_then(to_int);
        let delay = expand(Keyword::Delay)?
            .as_ref()
            .and_then(to_float)
            .unwrap_or(5.0)
            .max(0.0);
        let attempts = match (&until, retries) {
            (None, None) => 1,
            (_, retries) => retries.unwrap_or(3).clamp(0, 1_000_000) + 1,
        };
        let mut attempt = 1;
        loop {
            let mut one = self.once(scope, item).await?;
            // What was not run would only be waited for in vain.
            let not_run = one.unknown.is_some();
            let mut finished = !one.failed || not_run;
            if attempts > 1 && !not_run {
                one.result.insert("attempts".to_owned(), Data::Int(attempt));
            }
            if let Some(until) = &until
                && attempts > 1
                && !not_run
            {
                let seen = self.with_result(scope, &one);
                let met = self.run.templar.condition(until, &seen);
                let place = spec.keyword_span(Keyword::Until);
                finished = met.map_err(|error| condition_error("until", error, place))?;
            }
            if finished || attempt >= attempts {
                if !finished && attempts > 1 {
                    // There is nothing to say of a result that only was not waited for any longer.
                    one.told |= !one.failed;
                    one.failed = true;
                    one.result
                        .insert("attempts".to_owned(), Data::Int(attempt - 1));
                    mark(&mut one);
                }
                if one.failed && !one.told && !one.unreachable {
                    self.explain_failure(&mut one);
                }
                return Ok(one);
            }
            let left = u32::try_from(attempts - attempt - 1).unwrap_or(u32::MAX);
            let mut result = self.censored(&one.result, scope);
            result.insert("attempts".to_owned(), Data::Int(attempt + 1));
            result.insert("retries".to_owned(), Data::Int(attempts));
            self.send(Event::Retrying {
                task: self.job.id,
                host: self.job.host.clone(),
                left,
                result,
            });
            tokio::time::sleep(Duration::from_secs_f64(delay)).await;
            attempt += 1;
        }
    }

    /// Whether a mode holds that a keyword may set, and otherwise the run.
    fn mode(
        &self,
        keyword: Keyword,
        otherwise: bool,
        scope: &HostScope,
    ) -> Result<bool, TemplateError> {
        let Some(raw) = self.job.spec.keyword(keyword) else {
            return Ok(otherwise);
        };
        let value = self.run.templar.expand(raw, scope)?;
        Ok(to_bool(&value).unwrap_or(otherwise))
    }

    /// The largest content of a file that is kept before the task changes it.
    fn kept_size(&self, scope: &HostScope) -> Result<Option<u64>, TemplateError> {
        let shown = self.mode(Keyword::Diff, true, scope)? && !self.flag(Keyword::NoLog, scope);
        // What is done in the background outlives the call: only its own file would be kept.
        let here = self.job.spec.keyword(Keyword::Async).is_none();
        Ok(self.run.options.keep.filter(|_| shown && here))
    }

    /// Whether what programs write is shown while they run.
    fn streams(&self, scope: &HostScope) -> bool {
        self.run.config.bool("stream_output") && !self.flag(Keyword::NoLog, scope)
    }

    /// How many seconds the task may take.
    fn time_limit(&self, scope: &HostScope) -> Result<Option<i128>, TemplateError> {
        let limit = match self.job.spec.keyword(Keyword::Timeout) {
            Some(value) => to_int(&self.run.templar.expand(value, scope)?),
            None => self.run.config.int("task_timeout").map(i128::from),
        };
        Ok(limit.filter(|seconds| *seconds > 0))
    }

    /// Runs the action once, and applies `changed_when` and `failed_when`.
    async fn once(
        &mut self,
        scope: &HostScope,
        item: Option<&VarMap>,
    ) -> Result<ItemResult, ActionError> {
        let spec = Arc::clone(&self.job.spec);
        let delegated_to = self.delegate(scope)?;
        let own = self.job.host.clone();
        let target = delegated_to.clone().unwrap_or(own);
        let run = Arc::clone(self.run);
        let other = delegated_to.as_deref();
        let other = other.map(|name| target::scope_of(&self.job.world, name));
        let there = other.as_ref().filter(|_| target != self.job.host);
        target::check(&run, there.unwrap_or(scope))?;
        let check = self.mode(Keyword::CheckMode, run.options.check, scope)?;
        let diff = self.mode(Keyword::Diff, run.options.diff, scope)?;
        let scope = match &other {
            Some(other) => {
                let mut own = target::delegate_vars(other, &target, scope);
                if there.is_some() {
                    let connection = target::delegate_connection(&run, &spec, other, &target);
                    own.insert("ansible_connection".to_owned(), connection);
                }
                scope.with(Level::Connection, own)
            }
            None => scope.clone(),
        };
        let described = there.unwrap_or(&scope);
        let timeout = self.time_limit(&scope)?;
        let out = (self.job.out.clone(), self.job.host.clone());
        let display = move |text: &str| {
            let (kind, text) = (MessageKind::Display, text.to_owned());
            tell(&out, Event::Message { kind, text });
        };
        let mut context = Context {
            run: &run,
            spec: &spec,
            scope: &scope,
            host: &self.job.host,
            first: self.job.first,
            target: &target,
            keep: self.kept_size(&scope)?,
            streams: !check && self.streams(&scope),
            links: &mut self.job.links,
            way: self.job.way.as_ref(),
            world: &self.job.world,
            there,
            r#become: target::become_of(&run, &spec, &scope, (described, &target))?,
            here: false,
            check,
            diff,
            environment: environment(&run, &spec, &scope)?,
            // The agent ends what runs a little later, so that it is always told in the same words.
            timeout_ms: timeout.and_then(|seconds| u64::try_from(seconds * 1000 + 500).ok()),
            job: None,
            args: arguments(&run, &spec, &scope)?,
            warnings: vec![],
            unknown: None,
            kept: vec![],
            display: Arc::new(display),
        };
        if let Err(error) = target::check_plugins(&run, &spec, described, &target) {
            // What is wrong with the task itself comes first.
            context.data_args()?;
            return Err(error);
        }
        let background = background(&run, &spec, &scope)?;
        let ran = match (background, timeout) {
            (Some(wanted), _) => {
                let (out, task) = ((self.job.out.clone(), self.job.host.clone()), self.job.id);
                let told = move |job: &str, state: JobState| {
                    let (host, job) = (out.1.clone(), job.to_owned());
                    let event = Event::Background {
                        task,
                        host,
                        job,
                        state,
                    };
                    tell(&out, event);
                };
                action::background::run(&mut context, wanted, &told).await
            }
            (None, None) => action::run(&mut context).await,
            (None, Some(seconds)) => {
                let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
                match tokio::time::timeout(limit, action::run(&mut context)).await {
                    Ok(ran) => ran,
                    Err(_) => {
                        context.reset_link();
                        Err(ActionError::TimedOut(seconds))
                    }
                }
            }
        };
        let warnings = context.warning_effects();
        let kept = context.kept_files();
        let reached = context.links.identities();
        self.unknown = self.unknown.take().or(context.unknown.take());
        self.keep(kept, reached);
        let mut by_action = false;
        let ran = match ran {
            Ok(ran) => ran,
            Err(ActionError::Template(error)) if !error.undefined => {
                return Err(ActionError::Template(error));
            }
            Err(ActionError::Failed(failure)) => {
                by_action = true;
                TaskResult::from(Err(*failure))
            }
            Err(other) => return Err(self.warned(other, warnings)),
        };
        let mut one = self.adopt(ran, warnings, item, delegated_to, &scope)?;
        one.by_action = by_action;
        self.judge(&mut one, &scope)?;
        Ok(one)
    }

    /// Tells what was kept of files, and which machines were reached.
    fn keep(&self, kept: Vec<KeptFiles>, reached: Vec<(String, String)>) {
        for (host, machine) in reached {
            self.send(Event::Reached { host, machine });
        }
        for files in kept {
            self.send(Event::Kept {
                task: self.job.id,
                host: self.job.host.clone(),
                files: Box::new(files),
            });
        }
    }

    /// What an action warned of before it came to nothing.
    fn warned(&self, error: ActionError, warnings: Vec<Effect>) -> ActionError {
        let shown = self.run.config.bool("action_warnings");
        for warning in warnings.into_iter().filter(|_| shown) {
            if let Effect::Warning(text) = warning {
                let templar = &self.run.templar;
                templar.note(Diagnostic::warning("action", text));
            }
        }
        error
    }

    /// Turns an action's result into an item's.
    pub(super) fn adopt(
        &self,
        ran: TaskResult,
        warnings: Vec<Effect>,
        item: Option<&VarMap>,
        delegated_to: Option<String>,
        scope: &HostScope,
    ) -> Result<ItemResult, ActionError> {
        let on = delegated_to
            .clone()
            .filter(|_| self.flag(Keyword::DelegateFacts, scope));
        let shown = self.run.config.bool("action_warnings");
        for effect in &ran.effects {
            if let Effect::SetFacts(vars) | Effect::IncludeVars(vars) = effect {
                for (name, place) in vars.reserved() {
                    self.run.templar.note(reserved_name(name, place));
                }
            }
        }
        let effects = ran.effects.into_iter().chain(warnings);
        let effects = effects.filter(|effect| shown || !matches!(effect, Effect::Warning(_)));
        let effects = effects.map(|effect| ItemEffect {
            effect,
            vars: item.cloned().unwrap_or_default(),
            label: None,
            on: on.clone(),
        });
        let registered =
            super::differences::registered(&self.job.spec.action, &ran.diff, self.run.hidden());
        let mut one = ItemResult {
            result: ran.result,
            changed: ran.changed,
            failed: ran.failed,
            skipped: ran.skipped,
            unknown: ran.not_run.then(|| self.not_run(scope)),
            unreachable: ran.unreachable,
            diff: ran.diff,
            explanation: ran.explanation,
            effects: effects.collect(),
            delegated_to,
            ..ItemResult::default()
        };
        if let Some(diff) = registered {
            one.result.insert("diff".to_owned(), diff);
        }
        mark(&mut one);
        Ok(one)
    }

    /// Applies `changed_when` and `failed_when`.
    fn judge(&self, one: &mut ItemResult, scope: &HostScope) -> Result<(), ActionError> {
        let spec = &self.job.spec;
        if one.skipped || one.unreachable {
            return Ok(());
        }
        let conditions = |keyword| spec.keyword(keyword).filter(|value| !is_empty(value));
        if let Some(condition) = conditions(Keyword::ChangedWhen) {
            let seen = self.with_result(scope, one);
            one.changed = match self.run.templar.condition(condition, &seen) {
                Ok(changed) => changed,
                Err(error) => {
                    self.condition_failed(
                        one,
                        error,
                        "changed_when",
                        spec.keyword_span(Keyword::ChangedWhen),
                    );
                    return Ok(());
                }
            };
            one.result
                .insert("changed_when_result".to_owned(), Data::Bool(one.changed));
            mark(one);
        }
        if let Some(condition) = conditions(Keyword::FailedWhen) {
            let seen = self.with_result(scope, one);
            let failed = match self.run.templar.condition(condition, &seen) {
                Ok(failed) => failed,
                Err(error) => {
                    self.condition_failed(
                        one,
                        error,
                        "failed_when",
                        spec.keyword_span(Keyword::FailedWhen),
                    );
                    return Ok(());
                }
            };
            one.result
                .insert("failed_when_result".to_owned(), Data::Bool(failed));
            if failed && !one.failed {
                let text = "Action failed: A 'failed_when' expression evaluated to 'True'.";
                one.by_condition = true;
                if one
                    .result
                    .get("msg")
                    .and_then(Data::as_str)
                    .is_none_or(str::is_empty)
                {
                    one.result
                        .insert("msg".to_owned(), Data::from(format!("Task failed: {text}")));
                }
            }
            one.failed = failed;
            mark(one);
        }
        Ok(())
    }

    /// The scope with the task's own result under its registered name.
    pub(super) fn with_result(&self, scope: &HostScope, one: &ItemResult) -> HostScope {
        let mut vars = VarMap::new();
        if let Some(Value::Str(name)) = self.job.spec.keyword(Keyword::Register) {
            vars.insert(name.as_str().to_owned(), to_dict(&one.result));
        }
        // Ansible also lets conditions see the result's own keys as facts were set.
        for effect in &one.effects {
            if let Effect::SetFacts(facts) = &effect.effect {
                vars.extend(facts.clone());
            }
        }
        scope.with(Level::SetFacts, vars)
    }

    /// The host that the task is delegated to.
    pub(super) fn delegate(&self, scope: &HostScope) -> Result<Option<String>, ActionError> {
        if self.job.spec.task.ast.call.local {
            return Ok(Some("localhost".to_owned()));
        }
        let Some(raw) = self.job.spec.keyword(Keyword::DelegateTo) else {
            return Ok(None);
        };
        let value = self.run.templar.expand(raw, scope)?;
        if value.is_omit() || matches!(value, Value::None) {
            return Ok(None);
        }
        let name = value.to_string();
        if name.is_empty() {
            return Err(ActionError::new("Empty hostname produced from delegate_to"));
        }
        Ok(Some(name))
    }

    /// Names of the handlers to notify.
    fn notified(&self, scope: &HostScope) -> Vec<String> {
        let mut names = vec![];
        for raw in &self.job.spec.notify {
            match self.run.templar.expand(raw, scope) {
                Ok(Value::List(items)) => {
                    names.extend(items.to_vec().iter().map(ToString::to_string))
                }
                Ok(Value::None) => {}
                Ok(value) if value.is_omit() => {}
                Ok(value) => names.push(value.to_string()),
                Err(error) => self.say(MessageKind::Warning, error.diagnostic.to_string()),
            }
        }
        names
    }

    /// A keyword that is on or off.
    pub(super) fn flag(&self, keyword: Keyword, scope: &HostScope) -> bool {
        let Some(raw) = self.job.spec.keyword(keyword) else {
            return keyword == Keyword::NoLog && self.run.config.bool("no_log");
        };
        self.run
            .templar
            .expand(raw, scope)
            .ok()
            .and_then(|value| to_bool(&value))
            .unwrap_or(false)
    }

    /// The result as views may show it.
    pub(super) fn censored(&self, result: &Map, scope: &HostScope) -> Map {
        if !self.flag(Keyword::NoLog, scope) {
            return result.clone();
        }
        // What is said of an error is not what was to be printed: the same mistake in a visible task has to be told.
        let msg = result.get("msg").and_then(Data::as_str);
        let complains = msg.is_some_and(|msg| msg.starts_with("Task failed: "));
        let all = self.job.spec.action == "debug" && !complains;
        self.run.hidden().add_result(result, all);
        let mut shown = Map::new();
        let text = "the output has been hidden due to the fact that 'no_log: true' was specified for this result";
        shown.insert("censored".to_owned(), Data::from(text));
        for name in ["changed", "failed", "skipped", "unreachable", "attempts"] {
            shown.extend(
                result
                    .get(name)
                    .map(|value| (name.to_owned(), value.clone())),
            );
        }
        shown
    }

    /// Makes the whole task's result and tells it.
    fn finish(&mut self, mut all: ItemResult, looped: bool) -> Done {
        mark(&mut all);
        let scope = self.job.scope.clone();
        let status = status(&all);
        let ignored = match status {
            Status::Failed => self.flag(Keyword::IgnoreErrors, &scope),
            Status::Unreachable => self.flag(Keyword::IgnoreUnreachable, &scope),
            _ => false,
        };
        let included = all.effects.iter().any(|effect| {
            matches!(
                effect.effect,
                Effect::IncludeTasks { .. } | Effect::IncludeRole { .. }
            )
        });
        if !included {
            let hidden = self.flag(Keyword::NoLog, &scope);
            for handler in &all.notify {
                self.send(Event::Notified {
                    host: self.job.host.clone(),
                    handler: handler.clone(),
                });
            }
            self.send(Event::TaskDone {
                task: self.job.id,
                host: self.job.host.clone(),
                delegated_to: all.delegated_to.clone(),
                status,
                ignored,
                looped,
                result: self.censored(&all.result, &scope),
                diff: if looped || hidden {
                    vec![]
                } else {
                    std::mem::take(&mut all.diff)
                },
                unknown: all.unknown.as_deref().map(told_unknown),
            });
        }
        Done {
            host: String::new(),
            task: self.job.id,
            links: None,
            status,
            ignored,
            result: all.result,
            effects: all.effects,
            notify: all.notify,
            unknown: all.unknown,
            again: self.job.again,
        }
    }

    pub(super) fn say(&self, kind: MessageKind, mut text: String) {
        if kind == MessageKind::TaskError {
            if self.unknown.is_some() {
                return;
            }
            text.push_str(&super::explain::included(&self.job.spec.task.frame));
        }
        self.send(Event::Message { kind, text });
    }

    pub(super) fn send(&self, event: Event) {
        let event = match self.job.again {
            true => again(event),
            false => event,
        };
        // The dispatcher is gone only when the run is over.
        let _ = self
            .job
            .out
            .send(Message::Event(self.job.host.clone(), Box::new(event)));
    }
}

/// Tells the dispatcher of a host while its action still runs.
fn tell((out, host): &(UnboundedSender<Message>, String), event: Event) {
    // The dispatcher is gone only when the run is over.
    let _ = out.send(Message::Event(host.clone(), Box::new(event)));
}

/// A list of conditions without any says nothing.
fn is_empty(conditions: &Value) -> bool {
    matches!(conditions, Value::List(items) if items.read().is_empty())
}

/// Writes the flags of a result into it, as registered results have them.
pub(super) fn mark(one: &mut ItemResult) {
    let mut set = |name: &str, on: bool| {
        if on || one.result.contains_key(name) {
            one.result.insert(name.to_owned(), Data::Bool(on));
        }
    };
    set("failed", one.failed);
    set("skipped", one.skipped);
    set("unreachable", one.unreachable);
    one.result
        .insert("changed".to_owned(), Data::Bool(one.changed));
}

pub(super) fn status(one: &ItemResult) -> Status {
    match () {
        () if one.unreachable => Status::Unreachable,
        () if one.failed => Status::Failed,
        () if one.skipped => Status::Skipped,
        () if one.changed => Status::Changed,
        () => Status::Ok,
    }
}

/// `async` and `poll`, if the task is to run in the background.
fn background(
    run: &Shared,
    spec: &TaskSpec,
    scope: &HostScope,
) -> Result<Option<Background>, ActionError> {
    let Some(limit) = whole(run, spec, scope, Keyword::Async, "async_val")? else {
        return Ok(None);
    };
    let Some(limit) = u64::try_from(limit).ok().filter(|limit| *limit > 0) else {
        return Ok(None);
    };
    let poll = whole(run, spec, scope, Keyword::Poll, "poll")?;
    let poll = poll.unwrap_or_else(|| run.config.int("poll_interval").unwrap_or(15).into());
    Ok(Some(Background {
        limit,
        poll: u64::try_from(poll).unwrap_or(0),
    }))
}

/// A keyword that is a whole number; `name` is what messages call it.
fn whole(
    run: &Shared,
    spec: &TaskSpec,
    scope: &HostScope,
    keyword: Keyword,
    name: &'static str,
) -> Result<Option<i128>, ActionError> {
    let Some(raw) = spec.keyword(keyword) else {
        return Ok(None);
    };
    let value = run.templar.expand(raw, scope)?;
    if value.is_omit() || matches!(value, Value::None) {
        return Ok(None);
    }
    to_int(&value)
        .map(Some)
        .ok_or_else(|| ActionError::Keyword {
            name,
            place: spec.keyword_span(keyword).cloned(),
            message: format!(
                "The value {} could not be converted to 'int'.",
                value.repr()
            ),
        })
}

/// The environment of the task: outer ones first, inner ones override.
fn environment(
    run: &Shared,
    spec: &TaskSpec,
    scope: &HostScope,
) -> Result<Vec<(String, String)>, ActionError> {
    let mut parts = vec![];
    for raw in &spec.environment {
        let value = run.templar.expand(raw, scope);
        let value = value.map_err(|error| unrendered(Keyword::Environment.name(), error))?;
        match value {
            Value::List(items) => parts.extend(items.to_vec()),
            other => parts.push(other),
        }
    }
    let mut all: indexmap::IndexMap<String, String> = indexmap::IndexMap::new();
    for part in &parts {
        match part {
            Value::Dict(entries) => {
                for (key, value) in entries.read().iter() {
                    all.insert(key.0.to_string(), value.to_string());
                }
            }
            Value::None => {}
            part if part.is_omit() => {}
            _ => {
                let all = Value::list(parts.clone()).repr();
                let text = format!("could not parse environment value, skipping: {all}");
                run.templar.note(Diagnostic::warning("environment", text));
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// The defaults that concern a task's module: those of groups, then its own. What stands further
/// inside takes the whole place of what stands further outside.
fn module_defaults(
    run: &Shared,
    spec: &TaskSpec,
    scope: &HostScope,
) -> Result<Vec<Value>, ActionError> {
    if spec.module_defaults.is_empty() {
        return Ok(vec![]);
    }
    let own = full_name(&spec.action);
    // What gathers facts hands its arguments on.
    let inner = (own == "ansible.builtin.gather_facts").then_some("ansible.builtin.setup");
    let mut of_inner = None;
    let mut groups = indexmap::IndexMap::new();
    let mut defaults = None;
    // What is for other modules is not evaluated, and the arguments only with the task's own.
    let text = |value: Value| match value {
        Value::Str(_) => run.templar.expand_soft(&value, scope),
        value => Ok(value),
    };
    for raw in &spec.module_defaults {
        let layers = match text(raw.clone())? {
            Value::List(layers) => layers.to_vec(),
            one => vec![one],
        };
        for layer in layers {
            let Value::Dict(layer) = text(layer)? else {
                continue;
            };
            for (key, value) in layer.read().iter() {
                let key = key.0.to_string();
                match key.strip_prefix("group/") {
                    Some(group) => drop(groups.insert(group.to_owned(), value.clone())),
                    None if full_name(&key) == own => defaults = Some(value.clone()),
                    None if Some(full_name(&key).as_str()) == inner => {
                        of_inner = Some(value.clone());
                    }
                    None => {}
                }
            }
        }
    }
    let planner = &run.planner;
    groups.retain(|group, _| {
        let actions = planner
            .collections
            .action_group(group, &run.playbook_dir, &planner.files);
        actions.is_some_and(|actions| actions.contains(&own))
    });
    let all = groups.into_values().chain(of_inner).chain(defaults);
    let whole = |value: Value| match value {
        Value::Str(_) => run.templar.expand(&value, scope),
        value => Ok(value),
    };
    Ok(all.map(whole).collect::<Result<_, _>>()?)
}

/// The arguments before templating: defaults, then the task's own.
fn arguments(
    run: &Shared,
    spec: &TaskSpec,
    scope: &HostScope,
) -> Result<indexmap::IndexMap<String, (Span, Value)>, ActionError> {
    let span = spec.task.ast.call.span.clone();
    let mut all = indexmap::IndexMap::new();
    let mut add = |value: Value| {
        if let Value::Dict(entries) = value {
            for (key, value) in entries.read().iter() {
                all.insert(key.0.to_string(), (span.clone(), value.clone()));
            }
        }
    };
    for defaults in module_defaults(run, spec, scope)? {
        add(defaults);
    }
    if let Some(template) = &spec.args_template {
        match run.templar.expand(template, scope)? {
            value @ Value::Dict(_) => add(value),
            Value::None => {}
            other => {
                return Err(ActionError::NoMapping {
                    kind: other.type_name(),
                    place: spec.args_place().cloned(),
                });
            }
        }
    }
    all.extend(
        spec.args
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Ok(all)
}

/// Reads a name for views: softly, an error leaves the text as it was written.
pub(super) fn shown_name(run: &Shared, raw: &Value, scope: &dyn Scope) -> String {
    match run.templar.expand_soft(raw, scope) {
        Ok(Value::None) => String::new(),
        Ok(value) if !value.is_undefined() => value.to_string(),
        _ => raw.as_str().unwrap_or_default().to_owned(),
    }
}
