//! One task on one host: the loop, conditions, attempts, and what the result means.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Diff;

use super::context::{Context, Shared, to_bool, to_dict, to_float, to_int};
use super::failure::{Cause, explain, joined};
use super::shared::World;
use super::spec::TaskSpec;
use super::target::{self, Links};
use crate::action::{self, ActionError, Effect, TaskResult};
use crate::diag::Span;
use crate::load::keyword::Keyword;
use crate::report::event::{Event, MessageKind, Status};
use crate::template::value::{Entries, Key, Value};
use crate::template::{Scope, TemplateError};
use crate::vars::{HostScope, Level, VarMap};

/// A task to run on a host.
pub(super) struct Job {
    pub(super) spec: Arc<TaskSpec>,
    /// The task's number in events.
    pub(super) id: usize,
    pub(super) host: String,
    pub(super) scope: HostScope,
    pub(super) world: World,
    pub(super) links: Links,
    pub(super) out: UnboundedSender<Message>,
}

/// What workers send to the dispatcher.
pub(super) enum Message {
    Event(String, Box<Event>),
    Done(Box<Done>),
}

/// A task that is done on a host.
pub(super) struct Done {
    pub(super) host: String,
    pub(super) links: Links,
    pub(super) status: Status,
    pub(super) ignored: bool,
    pub(super) result: Map,
    pub(super) effects: Vec<ItemEffect>,
    pub(super) notify: Vec<String>,
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
struct ItemResult {
    result: Map,
    changed: bool,
    failed: bool,
    skipped: bool,
    unreachable: bool,
    diff: Vec<Diff>,
    effects: Vec<ItemEffect>,
    delegated_to: Option<String>,
    notify: Vec<String>,
    ignored: bool,
    /// It failed before anything ran: its result has no `changed`.
    bare: bool,
    /// The controller's part of the action failed, not a module.
    by_action: bool,
    /// The user was told why it failed.
    told: bool,
    /// What a module says about its failure at more length than `msg`.
    explanation: Option<String>,
}

/// Runs a job and tells the dispatcher.
pub(super) async fn work(run: Shared, mut job: Job) {
    let done = Worker {
        run: &run,
        job: &mut job,
    }
    .task()
    .await;
    let Job {
        links, host, out, ..
    } = job;
    let done = Done {
        links,
        host,
        ..done
    };
    // The dispatcher is gone only when the run is over.
    let _ = out.send(Message::Done(Box::new(done)));
}

struct Worker<'a> {
    run: &'a Shared,
    job: &'a mut Job,
}

impl Worker<'_> {
    async fn task(&mut self) -> Done {
        let spec = Arc::clone(&self.job.spec);
        let scope = self.job.scope.clone();
        let items = match &spec.looping {
            None => None,
            Some((lookup, items, span)) => {
                match self.loop_items(lookup.as_deref(), items, span, &scope) {
                    Ok(items) => Some(items),
                    Err(result) => return self.finish(*result, false),
                }
            }
        };
        match items {
            None => {
                let result = self.item(&scope, None).await;
                self.finish(result, false)
            }
            Some(items) => {
                let result = self.each(items, &scope).await;
                self.finish(result, true)
            }
        }
    }

    /// The items of a loop; or the result that the task has instead.
    fn loop_items(
        &self,
        lookup: Option<&str>,
        items: &Value,
        span: &Span,
        scope: &HostScope,
    ) -> Result<Vec<Value>, Box<ItemResult>> {
        let expanded = match lookup {
            None => self
                .run
                .templar
                .expand(items, scope)
                .map(|value| match value {
                    Value::List(items) => Ok(items.to_vec()),
                    Value::Tuple(items) => Ok(items.to_vec()),
                    Value::Object(object)
                        if object.iterate().is_some() && !value_is_mapping(&object) =>
                    {
                        Ok(object.iterate().unwrap_or_default())
                    }
                    other => Err(other),
                }),
            Some(name) => self.with_items(name, items, scope).map(Ok),
        };
        match expanded {
            Ok(Ok(items)) => Ok(items),
            Ok(Err(other)) => {
                let message = format!(
                    "The `loop` value must resolve to a 'list', not '{}'.",
                    other.type_name()
                );
                let help = "Provide a list of items/templates, or a template resolving to a list.";
                let cause = Cause {
                    message: message.clone(),
                    span: Some(span.clone()),
                    help: Some(help.to_owned()),
                };
                self.say(MessageKind::TaskError, explain(&[cause]));
                Err(Box::new(ItemResult {
                    failed: true,
                    bare: true,
                    result: rplay_modules::map! { "msg" => message },
                    ..ItemResult::default()
                }))
            }
            // A task that is skipped anyway may loop over something undefined.
            Err(error) => match self.skipped_without_item(scope) {
                Some(result) => Err(Box::new(result)),
                None => Err(Box::new(self.error(error.into()))),
            },
        }
    }

    /// `with_NAME`: the lookup's result, with the terms templated.
    fn with_items(
        &self,
        name: &str,
        items: &Value,
        scope: &HostScope,
    ) -> Result<Vec<Value>, TemplateError> {
        let terms = self.run.templar.expand(items, scope)?;
        let terms = match terms {
            Value::List(items) => items.to_vec(),
            other => vec![other],
        };
        self.run.templar.lookup(name, terms, vec![], scope)
    }

    /// The skip of a task whose conditions are false without its item.
    fn skipped_without_item(&self, scope: &HostScope) -> Option<ItemResult> {
        for (condition, _) in &self.job.spec.when {
            match self.run.templar.condition(condition, scope) {
                Ok(false) => return Some(self.skip(condition, scope)),
                Ok(true) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn skip(&self, condition: &Value, _scope: &HostScope) -> ItemResult {
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

    /// Runs every item of a loop and adds the results up.
    async fn each(&mut self, items: Vec<Value>, scope: &HostScope) -> ItemResult {
        let control = match self.loop_control(scope) {
            Ok(control) => control,
            Err(error) => return self.error(error.into()),
        };
        let mut all = ItemResult::default();
        if items.is_empty() {
            all.skipped = true;
            all.result.insert("changed".to_owned(), Data::Bool(false));
            all.result.insert(
                "skipped_reason".to_owned(),
                Data::from("No items in the list"),
            );
            all.result.insert("results".to_owned(), Data::List(vec![]));
            return all;
        }
        let mut results = vec![];
        let (count, mut skipped) = (items.len(), 0);
        // What an item sets, later ones see.
        let mut scope = scope.clone();
        for (index, item) in items.iter().enumerate() {
            if index > 0 && control.pause > 0.0 {
                tokio::time::sleep(Duration::from_secs_f64(control.pause)).await;
            }
            let vars = control.vars(&items, index, item);
            let inner = scope.with(Level::Loop, vars.clone());
            let one = self.item(&inner, Some(&vars)).await;
            let one = self.item_done(one, &control, item, index, &inner);
            all.changed |= one.changed;
            all.failed |= one.failed;
            all.unreachable |= one.unreachable;
            skipped += usize::from(one.skipped);
            all.notify.extend(one.notify);
            for effect in one.effects.iter().filter(|effect| effect.on.is_none()) {
                match &effect.effect {
                    Effect::SetFacts(vars) => scope.push(Level::SetFacts, &Arc::new(vars.clone())),
                    Effect::IncludeVars(vars) => {
                        scope.push(Level::IncludeVars, &Arc::new(vars.clone()));
                    }
                    _ => {}
                }
            }
            all.effects.extend(one.effects);
            all.delegated_to = one.delegated_to.or(all.delegated_to.take());
            results.push(Data::Map(one.result));
            if control.breaks(self.run, &inner) || one.unreachable {
                break;
            }
        }
        all.skipped = skipped == count;
        let msg = match () {
            () if all.failed => "One or more items failed",
            () if all.skipped => "All items skipped",
            () => "All items completed",
        };
        all.result
            .insert("changed".to_owned(), Data::Bool(all.changed));
        all.result.insert("msg".to_owned(), Data::from(msg));
        all.result.insert("results".to_owned(), Data::List(results));
        all
    }

    /// Completes an item's result and tells it.
    fn item_done(
        &self,
        mut one: ItemResult,
        control: &LoopControl,
        item: &Value,
        index: usize,
        scope: &HostScope,
    ) -> ItemResult {
        let shown = item.to_data().unwrap_or_default();
        one.result.insert(control.var.clone(), shown.clone());
        one.result.insert(
            "ansible_loop_var".to_owned(),
            Data::from(control.var.as_str()),
        );
        if let Some(name) = &control.index_var {
            one.result.insert(name.clone(), Data::Int(index as i128));
            one.result
                .insert("ansible_index_var".to_owned(), Data::from(name.as_str()));
        }
        mark(&mut one);
        let hidden_by_no_log = self.flag(Keyword::NoLog, scope);
        let label = match &control.label {
            _ if hidden_by_no_log => Data::from("(censored due to no_log)"),
            Some(label) => self
                .run
                .templar
                .expand_soft(label, scope)
                .ok()
                .and_then(|label| label.to_data().ok())
                .unwrap_or(shown),
            None => shown,
        };
        for effect in &mut one.effects {
            effect.label = Some(label.clone());
        }
        let hidden =
            self.job.spec.action == "include_tasks" || self.job.spec.action == "include_role";
        if !(hidden && !one.failed && !one.skipped) {
            self.send(Event::ItemDone {
                task: self.job.id,
                host: self.job.host.clone(),
                delegated_to: one.delegated_to.clone(),
                status: status(&one),
                label,
                result: self.censored(&one.result, scope),
                diff: std::mem::take(&mut one.diff),
            });
        }
        one
    }

    fn loop_control(&self, scope: &HostScope) -> Result<LoopControl, TemplateError> {
        let mut control = LoopControl {
            var: "item".to_owned(),
            ..LoopControl::default()
        };
        let Some(Value::Dict(entries)) = self.job.spec.keyword(Keyword::LoopControl) else {
            return Ok(control);
        };
        let text = |name: &str| -> Result<Option<String>, TemplateError> {
            entries
                .get(name)
                .map(|value| Ok(self.run.templar.expand(&value, scope)?.to_string()))
                .transpose()
        };
        control.var = text("loop_var")?.unwrap_or(control.var);
        control.index_var = text("index_var")?;
        control.label = entries.get("label");
        control.break_when = entries.get("break_when");
        if let Some(pause) = entries.get("pause") {
            control.pause = to_float(&self.run.templar.expand(&pause, scope)?).unwrap_or(0.0);
        }
        if let Some(extended) = entries.get("extended") {
            control.extended =
                to_bool(&self.run.templar.expand(&extended, scope)?).unwrap_or(false);
        }
        Ok(control)
    }

    /// Runs the task once: conditions, then attempts.
    async fn item(&mut self, scope: &HostScope, item: Option<&VarMap>) -> ItemResult {
        let spec = Arc::clone(&self.job.spec);
        for (condition, span) in &spec.when {
            match self.run.templar.condition(condition, scope) {
                Ok(true) => {}
                Ok(false) => return self.skip(condition, scope),
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
        if result.changed && !result.failed {
            result.notify = self.notified(scope);
        }
        result
    }

    /// Runs the action until it succeeds or the attempts are used up.
    async fn attempts(
        &mut self,
        scope: &HostScope,
        item: Option<&VarMap>,
    ) -> Result<ItemResult, ActionError> {
        let spec = Arc::clone(&self.job.spec);
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
            let mut finished = !one.failed;
            if attempts > 1 {
                one.result.insert("attempts".to_owned(), Data::Int(attempt));
            }
            if let Some(until) = &until
                && attempts > 1
            {
                let seen = self.with_result(scope, &one);
                finished = self.run.templar.condition(until, &seen)?;
            }
            if finished || attempt >= attempts {
                if !finished && attempts > 1 {
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
            let result = self.censored(&one.result, scope);
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
        let check = match spec.keyword(Keyword::CheckMode) {
            Some(value) => to_bool(&run.templar.expand(value, scope)?).unwrap_or(run.options.check),
            None => run.options.check,
        };
        let diff = match spec.keyword(Keyword::Diff) {
            Some(value) => to_bool(&run.templar.expand(value, scope)?).unwrap_or(run.options.diff),
            None => run.options.diff,
        };
        let scope = scope.with(
            Level::Magic,
            VarMap::from([("ansible_check_mode".to_owned(), Value::Bool(check))]),
        );
        let scope = match &delegated_to {
            Some(name) => {
                let own = target::delegate_vars(&self.job.world, name);
                scope.with(Level::Connection, own)
            }
            None => scope,
        };
        let timeout = match spec.keyword(Keyword::Timeout) {
            Some(value) => {
                to_int(&run.templar.expand(value, &scope)?).filter(|seconds| *seconds > 0)
            }
            None => None,
        };
        let (out, own) = (self.job.out.clone(), self.job.host.clone());
        let display = move |text: &str| {
            let (kind, text) = (MessageKind::Display, text.to_owned());
            // The dispatcher is gone only when the run is over.
            let _ = out.send(Message::Event(
                own.clone(),
                Box::new(Event::Message { kind, text }),
            ));
        };
        let mut context = Context {
            run: &run,
            spec: &spec,
            scope: &scope,
            host: &self.job.host,
            target: &target,
            links: &mut self.job.links,
            world: &self.job.world,
            r#become: target::become_of(&run, &spec, &scope)?,
            check,
            diff,
            environment: environment(&run, &spec, &scope)?,
            timeout_ms: timeout.and_then(|seconds| u64::try_from(seconds * 1000).ok()),
            args: arguments(&run, &spec, &scope)?,
            warnings: vec![],
            display: &display,
        };
        if spec
            .keyword(Keyword::Async)
            .is_some_and(|value| !matches!(value, Value::Int(0) | Value::None))
        {
            return Err(ActionError::new("`async` is not supported yet"));
        }
        let ran = match timeout {
            None => action::run(&mut context).await,
            Some(seconds) => {
                let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX));
                match tokio::time::timeout(limit, action::run(&mut context)).await {
                    Ok(ran) => ran,
                    Err(_) => {
                        context.reset_link();
                        Err(ActionError::new(format!(
                            "The {} action failed to execute in the expected time frame ({seconds}) and was terminated",
                            spec.action
                        )))
                    }
                }
            }
        };
        let warnings = context.warning_effects();
        let mut by_action = false;
        let ran = match ran {
            Ok(ran) => ran,
            Err(ActionError::Failed(failure)) => {
                by_action = true;
                TaskResult::from(Err(*failure))
            }
            Err(other) => return Err(other),
        };
        let mut one = self.adopt(ran, warnings, item, delegated_to, &scope)?;
        one.by_action = by_action;
        self.judge(&mut one, &scope)?;
        Ok(one)
    }

    /// Turns an action's result into an item's.
    fn adopt(
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
        let effects = ran.effects.into_iter().chain(warnings);
        let effects = effects.map(|effect| ItemEffect {
            effect,
            vars: item.cloned().unwrap_or_default(),
            label: None,
            on: on.clone(),
        });
        let mut one = ItemResult {
            result: ran.result,
            changed: ran.changed,
            failed: ran.failed,
            skipped: ran.skipped,
            unreachable: ran.unreachable,
            diff: ran.diff,
            explanation: ran.explanation,
            effects: effects.collect(),
            delegated_to,
            ..ItemResult::default()
        };
        mark(&mut one);
        Ok(one)
    }

    /// Tells why a module or action failed, with the place of its task.
    fn explain_failure(&self, one: &mut ItemResult) {
        let Some(msg) = one.result.get("msg").and_then(Data::as_str) else {
            let text = "Task failed: Action failed: Unknown error.";
            one.result.insert("msg".to_owned(), Data::from(text));
            return self.say(
                MessageKind::TaskError,
                explain(&[Cause::new(text, Some(&self.action_span()))]),
            );
        };
        if self.job.spec.action == "include_tasks" {
            let help = "If you are using a module and expect the file to exist on the remote, see the remote_src option.";
            return self.say(MessageKind::TaskError, format!("{msg} {help}"));
        }
        let is_module = rplay_modules::registry::find(&self.job.spec.action).is_some();
        let who = if one.explanation.is_some() || (is_module && !one.by_action) {
            "Module"
        } else {
            "Action"
        };
        // The message of a module is as much its result as the rest.
        let msg = match self.flag(Keyword::NoLog, &self.job.scope) {
            true => "(censored due to no_log)",
            false => one.explanation.as_deref().unwrap_or(msg),
        };
        let cause = Cause::new(
            format!("Task failed: {who} failed: {msg}"),
            Some(&self.action_span()),
        );
        self.say(MessageKind::TaskError, explain(&[cause]));
    }

    /// Where Ansible points for a task: its action.
    fn action_span(&self) -> Span {
        let span = self.job.spec.task.ast.span.clone();
        if !self.flag(Keyword::NoLog, &self.job.scope) {
            return span;
        }
        // The task's own text may hold what `no_log` hides.
        let path = span.path().to_path_buf();
        let blank = crate::diag::Source::vaulted(path, span.source.text.as_str());
        Span {
            source: blank,
            ..span
        }
    }

    /// Applies `changed_when` and `failed_when`.
    fn judge(&self, one: &mut ItemResult, scope: &HostScope) -> Result<(), ActionError> {
        let spec = &self.job.spec;
        if one.skipped || one.unreachable {
            return Ok(());
        }
        if let Some(condition) = spec.keyword(Keyword::ChangedWhen) {
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
        if let Some(condition) = spec.keyword(Keyword::FailedWhen) {
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
                let cause = Cause::new(format!("Task failed: {text}"), Some(&self.action_span()));
                self.say(MessageKind::TaskError, explain(&[cause]));
                one.told = true;
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

    fn condition_failed(
        &self,
        one: &mut ItemResult,
        error: TemplateError,
        keyword: &str,
        span: Option<&Span>,
    ) {
        one.failed = true;
        one.told = true;
        one.result.insert(
            format!("{keyword}_result"),
            Data::from(error.diagnostic.message.as_str()),
        );
        let failed = self.error_after(
            "Task failed: Action failed",
            condition_error(keyword, error, span),
        );
        one.result.extend(failed.result);
        mark(one);
    }

    /// The scope with the task's own result under its registered name.
    fn with_result(&self, scope: &HostScope, one: &ItemResult) -> HostScope {
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

    /// A failed result with its explanation.
    fn error(&self, error: ActionError) -> ItemResult {
        self.error_after("Task failed", error)
    }

    /// A failed result with its explanation, which begins with `what`.
    fn error_after(&self, what: &str, error: ActionError) -> ItemResult {
        let mut one = ItemResult::default();
        match error {
            ActionError::Unreachable(msg) => {
                one.unreachable = true;
                one.ignored = self.flag(Keyword::IgnoreUnreachable, &self.job.scope);
                one.result = rplay_modules::map! { "changed" => false, "msg" => format!("Task failed: {msg}"), "unreachable" => true };
                let cause = Cause::new(format!("Task failed: {msg}"), Some(&self.action_span()));
                self.say(MessageKind::TaskError, explain(&[cause]));
            }
            ActionError::Failed(failure) => {
                one = self
                    .adopt(
                        TaskResult::from(Err(*failure)),
                        vec![],
                        None,
                        None,
                        &self.job.scope,
                    )
                    .unwrap_or_default();
            }
            ActionError::Arguments(problem) => {
                one.failed = true;
                let mut cause = Cause::new(
                    format!("Task failed: Module failed: {}", problem.message),
                    Some(&self.action_span()),
                );
                let mut help: Vec<String> = problem
                    .hints
                    .iter()
                    .map(|hint| format!("help: {hint}"))
                    .collect();
                help.extend(problem.causes.iter().map(|cause| format!("also: {cause}")));
                cause.help = (!help.is_empty()).then(|| help.join("\n"));
                self.say(MessageKind::TaskError, explain(&[cause]));
                one.result =
                    rplay_modules::map! { "changed" => false, "msg" => problem.message.as_str() };
            }
            ActionError::Bare(message) => {
                let cause =
                    Cause::new(format!("Task failed: {message}"), Some(&self.action_span()));
                one = self.template_failed(&[cause]);
            }
            ActionError::Refused {
                what,
                message,
                help,
            } => {
                one.failed = true;
                one.result = self.refused(what, &message, help);
            }
            ActionError::Argument { name, place, error } => {
                let failed = format!(
                    "Finalization of task args for '{}' failed",
                    self.full_name()
                );
                let mut causes = vec![
                    Cause::new("Task failed", None),
                    Cause::new(failed, Some(&self.action_span())),
                ];
                // Without a name it is about all arguments together.
                let all = name.is_empty();
                let reason = Cause::of(&error.diagnostic);
                causes.extend(match all {
                    true => vec![reason],
                    false => links(
                        format!("Error while resolving value for '{name}'"),
                        place,
                        reason,
                    ),
                });
                one = self.template_failed(&causes);
                if all {
                    one.result.insert("changed".to_owned(), Data::Bool(false));
                }
            }
            ActionError::Condition {
                keyword,
                place,
                error,
            } => {
                const WHILE: &str = "Error while evaluating conditional";
                let mut cause = Cause::of(&error.diagnostic);
                if let Some((_, inner)) = cause.message.split_once(&format!("{WHILE}: ")) {
                    cause.message = inner.to_owned();
                }
                let failed = format!("A '{keyword}' expression failed: {WHILE}");
                let mut causes = vec![Cause::new(what, Some(&self.action_span()))];
                causes.extend(links(failed, place, cause));
                one = self.template_failed(&causes);
            }
            ActionError::NoMapping { kind, place } => {
                let failed = format!(
                    "Finalization of task args for '{}' failed",
                    self.full_name()
                );
                let wrong = format!("Task args must resolve to a 'dict' not '{kind}'.");
                let causes = [
                    Cause::new("Task failed", None),
                    Cause::new(failed, Some(&self.action_span())),
                    Cause::new(wrong, place.as_ref()),
                ];
                one = self.template_failed(&causes);
            }
            ActionError::Template(error) => {
                let causes = [
                    Cause::new(what, Some(&self.action_span())),
                    Cause::of(&error.diagnostic),
                ];
                one = self.template_failed(&causes);
            }
        }
        one.result
            .insert("failed".to_owned(), Data::Bool(one.failed));
        one
    }

    /// Tells why nothing was done, and what the user may try.
    fn refused(&self, what: &str, message: &str, help: Option<&str>) -> Map {
        let (head, msg) = match what {
            "" => ("Task failed".to_owned(), message.to_owned()),
            what => (format!("Task failed: {what}"), format!("{what}: {message}")),
        };
        let mut reason = Cause::new(message, None);
        reason.help = help.map(str::to_owned);
        let head = Cause::new(head, Some(&self.action_span()));
        self.say(MessageKind::TaskError, explain(&[head, reason]));
        rplay_modules::map! { "changed" => false, "msg" => msg }
    }

    /// A failure before anything ran.
    fn template_failed(&self, causes: &[Cause]) -> ItemResult {
        let text = joined(causes);
        self.say(MessageKind::TaskError, explain(causes));
        let ignored = self.flag(Keyword::IgnoreErrors, &self.job.scope);
        ItemResult {
            failed: true,
            bare: true,
            ignored,
            result: rplay_modules::map! { "msg" => text },
            ..ItemResult::default()
        }
    }

    /// The action's name as messages have it.
    fn full_name(&self) -> String {
        let action = &self.job.spec.action;
        match rplay_modules::registry::find(action) {
            Some(module) => module.name.to_owned(),
            None if action.contains('.') => action.clone(),
            None => format!("ansible.builtin.{action}"),
        }
    }

    /// The host that the task is delegated to.
    fn delegate(&self, scope: &HostScope) -> Result<Option<String>, ActionError> {
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
                Ok(value) => names.push(value.to_string()),
                Err(error) => self.say(MessageKind::Warning, error.diagnostic.to_string()),
            }
        }
        names
    }

    /// A keyword that is on or off.
    fn flag(&self, keyword: Keyword, scope: &HostScope) -> bool {
        let Some(raw) = self.job.spec.keyword(keyword) else {
            return false;
        };
        self.run
            .templar
            .expand(raw, scope)
            .ok()
            .and_then(|value| to_bool(&value))
            .unwrap_or(false)
    }

    /// The result as views may show it.
    fn censored(&self, result: &Map, scope: &HostScope) -> Map {
        if !self.flag(Keyword::NoLog, scope) {
            return result.clone();
        }
        let all = self.job.spec.action == "debug";
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
            });
        }
        Done {
            host: String::new(),
            links: Links::default(),
            status,
            ignored,
            result: all.result,
            effects: all.effects,
            notify: all.notify,
        }
    }

    fn say(&self, kind: MessageKind, text: String) {
        self.send(Event::Message { kind, text });
    }

    fn send(&self, event: Event) {
        // The dispatcher is gone only when the run is over.
        let _ = self
            .job
            .out
            .send(Message::Event(self.job.host.clone(), Box::new(event)));
    }
}

fn value_is_mapping(object: &Arc<dyn crate::template::value::Object>) -> bool {
    object.to_dict().is_some()
}

/// The error of a condition, at the condition.
fn condition_error(keyword: &str, error: TemplateError, place: Option<&Span>) -> ActionError {
    ActionError::Condition {
        keyword: keyword.to_owned(),
        place: place.cloned(),
        error,
    }
}

/// What failed at a place of the playbook, and why: one link when the cause is there, too, two when
/// it is in another variable.
fn links(what: String, place: Option<Span>, cause: Cause) -> Vec<Cause> {
    match (&place, &cause.span) {
        (Some(value), Some(inside)) if !value.contains(inside) => {
            vec![Cause::new(what, Some(value)), cause]
        }
        _ => vec![Cause {
            message: format!("{what}: {}", cause.message),
            span: nearest_place(place, cause.span),
            help: cause.help,
        }],
    }
}

/// The place that Ansible names is where the value starts; within a long text the line is worth more.
fn nearest_place(value: Option<Span>, inside: Option<Span>) -> Option<Span> {
    match (value, inside) {
        (Some(value), Some(inside)) => {
            let same_line = value.line_column().0 == inside.line_column().0;
            Some(if same_line { value } else { inside })
        }
        (value, inside) => value.or(inside),
    }
}

/// Writes the flags of a result into it, as registered results have them.
fn mark(one: &mut ItemResult) {
    let mut set = |name: &str, on: bool| {
        if on || one.result.contains_key(name) {
            one.result.insert(name.to_owned(), Data::Bool(on));
        }
    };
    set("failed", one.failed);
    set("skipped", one.skipped);
    set("unreachable", one.unreachable);
    if !one.bare || one.changed {
        one.result
            .insert("changed".to_owned(), Data::Bool(one.changed));
    }
}

fn status(one: &ItemResult) -> Status {
    match () {
        () if one.unreachable => Status::Unreachable,
        () if one.failed => Status::Failed,
        () if one.skipped => Status::Skipped,
        () if one.changed => Status::Changed,
        () => Status::Ok,
    }
}

/// `loop_control`.
#[derive(Default)]
struct LoopControl {
    var: String,
    index_var: Option<String>,
    label: Option<Value>,
    break_when: Option<Value>,
    pause: f64,
    extended: bool,
}

impl LoopControl {
    fn vars(&self, items: &[Value], index: usize, item: &Value) -> VarMap {
        let mut vars = VarMap::from([
            (self.var.clone(), item.clone()),
            ("ansible_loop_var".to_owned(), Value::str(self.var.as_str())),
        ]);
        if let Some(name) = &self.index_var {
            vars.insert(name.clone(), Value::Int(index as i128));
            vars.insert("ansible_index_var".to_owned(), Value::str(name.as_str()));
        }
        if self.extended {
            let last = items.len() - 1;
            let int = |value: usize| Value::Int(value as i128);
            let mut entries: Entries = [
                ("allitems", Value::list(items.to_vec())),
                ("index", int(index + 1)),
                ("index0", int(index)),
                ("revindex", int(items.len() - index)),
                ("revindex0", int(last - index)),
                ("first", Value::Bool(index == 0)),
                ("last", Value::Bool(index == last)),
                ("length", int(items.len())),
            ]
            .into_iter()
            .map(|(name, value)| (Key::from(name), value))
            .collect();
            if index > 0 {
                entries.insert(Key::from("previtem"), items[index - 1].clone());
            }
            if index < last {
                entries.insert(Key::from("nextitem"), items[index + 1].clone());
            }
            vars.insert("ansible_loop".to_owned(), Value::dict(entries));
        }
        vars
    }

    fn breaks(&self, run: &Shared, scope: &HostScope) -> bool {
        self.break_when
            .as_ref()
            .is_some_and(|condition| run.templar.condition(condition, scope).unwrap_or(false))
    }
}

/// The environment of the task: outer ones first, inner ones override.
fn environment(
    run: &Shared,
    spec: &TaskSpec,
    scope: &HostScope,
) -> Result<Vec<(String, String)>, TemplateError> {
    let mut all: indexmap::IndexMap<String, String> = indexmap::IndexMap::new();
    for raw in &spec.environment {
        let parts = match run.templar.expand(raw, scope)? {
            Value::List(items) => items.to_vec(),
            other => vec![other],
        };
        for part in parts {
            if let Value::Dict(entries) = part {
                for (key, value) in entries.read().iter() {
                    all.insert(key.0.to_string(), value.to_string());
                }
            }
        }
    }
    Ok(all.into_iter().collect())
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
    for raw in &spec.module_defaults {
        let Value::Dict(defaults) = run.templar.expand_soft(raw, scope)? else {
            continue;
        };
        let defaults = defaults.read();
        let full = rplay_modules::registry::find(&spec.action).map_or_else(
            || format!("ansible.builtin.{}", spec.action),
            |module| module.name.to_owned(),
        );
        for name in [spec.action.as_str(), full.as_str()] {
            if let Some(value) = defaults.get(name) {
                add(value.clone());
            }
        }
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
        Ok(value) if !value.is_undefined() => value.to_string(),
        _ => raw.as_str().unwrap_or_default().to_owned(),
    }
}
