//! Loops of a task: their items, what `loop_control` says, and the results added up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rplay_modules::data::Data;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::ahead::{self, Forming, Group, Joined};
use super::chain::is_one_call;
use super::context::{to_bool, to_dict, to_float};
use super::explain::condition_error;
use super::failure::{Cause, ends};
use super::play_check::{Kind, misfit};
use super::target::Links;
use super::unpredicted::told_unknown;
use super::worker::{self, ItemResult, Message, Worker, mark, status};
use crate::action::{ActionError, Effect};
use crate::diag::{Diagnostic, Source, Span};
use crate::load::keyword::Keyword;
use crate::load::{VARIABLE_NAMES, is_variable_name};
use crate::report::event::{Event, MessageKind};
use crate::template::value::{Entries, Key, Value};
use crate::template::{SEALED, Scope, Templar, TemplateError, WHILE};
use crate::vars::{HostScope, Level, VarMap};

/// Items that were sent together, with what each tells.
struct Together {
    group: Group<ItemResult>,
    told: VecDeque<UnboundedReceiver<Message>>,
}

impl Together {
    /// How many are still to be ended.
    fn len(&self) -> usize {
        self.told.len()
    }

    /// The connections.
    async fn end(self) -> Links {
        self.group.end().await
    }
}

impl Worker<'_> {
    /// The items of a loop; or the result that the task has instead.
    pub(super) fn loop_items(
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
            Some(name) => {
                let call = &self.job.spec.task.ast.call.name;
                with_items(&self.run.templar, name, items, call, scope).map(Ok)
            }
        };
        match expanded {
            Ok(Ok(items)) => Ok(items),
            Ok(Err(other)) => {
                let (message, help) = if other.is_omit() {
                    (
                        "A template was resolved to an Omit scalar.".to_owned(),
                        "Callers must be prepared to handle this value. This is most likely a bug in the code requesting templating.",
                    )
                } else {
                    (
                        format!(
                            "The `loop` value must resolve to a 'list', not '{}'.",
                            other.type_name()
                        ),
                        "Provide a list of items/templates, or a template resolving to a list.",
                    )
                };
                let mut help = help.to_owned();
                if matches!(other, Value::Dict(_)) {
                    help.push_str("\nhelp: `| dict2items` makes a list of a mapping");
                }
                if let Some(place) = other.origin().filter(|place| !span.contains(place)) {
                    help.push_str(&format!("\nthe value is defined at {place}"));
                }
                let cause = Cause {
                    help: Some(help),
                    ..Cause::new(message.as_str(), Some(span))
                };
                self.tell(&[cause]);
                Err(Box::new(ItemResult {
                    failed: true,
                    result: rplay_modules::map! { "msg" => message },
                    ..ItemResult::default()
                }))
            }
            // The lookup itself failed.
            Err(error)
                if lookup.is_some()
                    && error.diagnostic.message.starts_with("The lookup plugin '") =>
            {
                let mut cause = Cause::of(&error.diagnostic);
                cause.span = cause.span.or_else(|| Some(span.clone()));
                Err(Box::new(self.template_failed(&[cause])))
            }
            Err(error) if !error.undefined || error.diagnostic.code == SEALED => {
                Err(Box::new(self.template_failed(&ends(&error.diagnostic))))
            }
            // A task that is skipped anyway may loop over something undefined.
            Err(error) => match self.skipped_without_item(scope) {
                Some(result) => Err(Box::new(result)),
                None => Err(Box::new(self.error(error.into()))),
            },
        }
    }

    /// The skip of a task whose conditions are false without its item.
    fn skipped_without_item(&self, scope: &HostScope) -> Option<ItemResult> {
        for (condition, _) in &self.job.spec.when {
            match self.run.templar.condition(condition, scope) {
                Ok(false) => return Some(self.skip(condition)),
                Ok(true) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Runs every item of a loop and adds the results up.
    pub(super) async fn each(&mut self, items: Vec<Value>, scope: &HostScope) -> ItemResult {
        let control = match self.loop_control(scope) {
            Ok(control) => control,
            Err(result) => return *result,
        };
        let mut all = ItemResult::default();
        if items.is_empty() {
            all.skipped = true;
            all.result.insert("changed".to_owned(), Data::Bool(false));
            for name in ["skip_reason", "skipped_reason"] {
                all.result
                    .insert(name.to_owned(), Data::from("No items in the list"));
            }
            all.result.insert("results".to_owned(), Data::List(vec![]));
            return all;
        }
        self.note_taken(&control, scope);
        let mut results = vec![];
        let (count, mut skipped) = (items.len(), 0);
        // What an item sets, later ones see. One layer holds it all, however many items there are.
        let base = scope;
        let mut scope = base.clone();
        let (mut set, mut included) = (VarMap::new(), VarMap::new());
        let registered = self.registered();
        let mut together = self.may_go_together(&control).then_some(0);
        let mut group: Option<Together> = None;
        for (index, item) in items.iter().enumerate() {
            if index > 0 && control.pause > 0.0 {
                tokio::time::sleep(Duration::from_secs_f64(control.pause)).await;
            }
            if group.is_none() && together == Some(index) {
                group = self.begin_items(&control, &items, index, &scope).await;
                together = match &group {
                    Some(group) => Some(index + group.len()),
                    // The first item connects.
                    None => (index == 0).then_some(1),
                };
            }
            let vars = control.vars(&items, index, item);
            let inner = scope.with(Level::Loop, vars.clone());
            let early = match &mut group {
                Some(group) => self.end_item(group).await,
                None => None,
            };
            let ends = |one: &ItemResult| one.unreachable;
            let over = early.as_ref().is_none_or(ends);
            if let Some(done) = group.take_if(|group| group.len() == 0 || over) {
                self.job.links = done.end().await;
            }
            let mut one = match early {
                Some(one) => one,
                None => self.item(&inner, Some(&vars)).await,
            };
            let over = self.breaks(&mut one, &control, &inner);
            if let Some(around) = vars.get("ansible_loop") {
                let around = around.to_data().unwrap_or_default();
                one.result.insert("ansible_loop".to_owned(), around);
            }
            let mut one = self.item_done(one, &control, item, index, &inner);
            all.changed |= one.changed;
            all.failed |= one.failed;
            all.unreachable |= one.unreachable;
            all.unknown = all.unknown.or_else(|| one.unknown.clone());
            skipped += usize::from(one.skipped);
            all.notify.extend(one.notify);
            for effect in one.effects.iter().filter(|effect| effect.on.is_none()) {
                match &effect.effect {
                    Effect::SetFacts(vars) => set.extend(vars.clone()),
                    Effect::IncludeVars(vars) => included.extend(vars.clone()),
                    _ => continue,
                }
            }
            if let Some(name) = &registered {
                set.insert(name.clone(), to_dict(&one.result));
            }
            if !set.is_empty() || !included.is_empty() {
                scope = base
                    .with(Level::SetFacts, set.clone())
                    .with(Level::IncludeVars, included.clone());
            }
            all.effects.extend(one.effects);
            all.delegated_to = one.delegated_to.or(all.delegated_to.take());
            let unreachable = one.unreachable;
            one.result
                .entry("failed".to_owned())
                .or_insert(Data::Bool(false));
            results.push(Data::Map(one.result));
            if over || unreachable {
                break;
            }
        }
        all.skipped = skipped == count;
        // One changed item notifies for all that ran.
        if !all.changed {
            all.notify.clear();
        }
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

    /// Whether items may be sent together: nothing but their own evaluation is between them.
    fn may_go_together(&self, control: &LoopControl) -> bool {
        let spec = &self.job.spec;
        let alone = [
            Keyword::Async,
            Keyword::DelegateTo,
            Keyword::Retries,
            Keyword::Timeout,
            Keyword::Until,
        ];
        let config = &self.run.config;
        self.job.way.is_none()
            && is_one_call(spec)
            && control.break_when.is_none()
            && control.pause <= 0.0
            && config.int("task_timeout").is_none_or(|limit| limit <= 0)
            && !alone.iter().any(|keyword| spec.keyword(*keyword).is_some())
    }

    /// Sends items from one on together, as many as need nothing of each other.
    async fn begin_items(
        &mut self,
        control: &LoopControl,
        items: &[Value],
        first: usize,
        scope: &HostScope,
    ) -> Option<Together> {
        if first + 1 >= items.len() || !self.job.links.carry_more(self.run) {
            return None;
        }
        let registered = self.registered();
        let mut forming = Forming::new(std::mem::take(&mut self.job.links));
        let mut told = VecDeque::new();
        for (index, item) in items.iter().enumerate().skip(first).take(ahead::MOST) {
            let vars = control.vars(items, index, item);
            let inner = scope.with(Level::Loop, vars.clone());
            let (out, messages) = mpsc::unbounded_channel();
            let (run, job) = (Arc::clone(self.run), self.job.ahead(out));
            let unknown_list = self.unknown_list.clone();
            let work = move |way| worker::item_ahead(run, job, (inner, vars), unknown_list, way);
            let unsettled = match index == first {
                true => Arc::default(),
                false => Arc::new(registered.iter().cloned().collect()),
            };
            let action = &self.job.spec.action;
            // Items go on where one fails.
            if forming.add(action, unsettled, work, |_| false).await == Joined::No {
                break;
            }
            told.push_back(messages);
        }
        if forming.is_empty() {
            self.job.links = forming.give_up();
            return None;
        }
        let group = forming.send(false).await;
        Some(Together { group, told })
    }

    /// The next item of those that were sent together; `None`: it has to be run in its turn.
    async fn end_item(&mut self, together: &mut Together) -> Option<ItemResult> {
        let ended = together.group.next().await;
        let told = together.told.pop_front();
        let (one, notes) = ended?;
        self.run.templar.note_warnings(notes);
        if let Some(mut told) = told {
            while let Ok(message) = told.try_recv() {
                // The dispatcher is gone only when the run is over.
                let _ = self.job.out.send(message);
            }
        }
        Some(one)
    }

    /// The variable that the task registers, by the name that is written.
    fn registered(&self) -> Option<String> {
        let name = self.job.spec.keyword(Keyword::Register)?;
        name.as_str().map(str::to_owned)
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
            Some(label) => match self.run.templar.expand(label, scope) {
                Ok(label) => label.to_data().unwrap_or(shown),
                Err(error) => {
                    let mut problem = error.diagnostic;
                    problem.message =
                        format!("Failed to template loop_control label: {}", problem.message);
                    let text = super::play::problem_text(&problem);
                    self.say(MessageKind::Warning, text);
                    shown
                }
            },
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
                unknown: one.unknown.as_deref().map(told_unknown),
            });
        }
        one
    }

    /// Tells of loop variables that hide others.
    fn note_taken(&self, control: &LoopControl, scope: &HostScope) {
        let names = [
            ("loop_var", Some(&control.var)),
            ("index_var", control.index_var.as_ref()),
        ];
        for (option, name) in names {
            let Some(name) = name.filter(|name| scope.get(name).is_some()) else {
                continue;
            };
            let written = match self.job.spec.keyword(Keyword::LoopControl) {
                Some(Value::Dict(control)) => control.get(option),
                _ => None,
            };
            let place = match &written {
                Some(Value::Str(text)) => text.origin().cloned(),
                _ => None,
            };
            let place = place.unwrap_or_else(|| Source::named("<unknown>", name.as_str()));
            let text = format!("The variable '{name}' is already in use.");
            let hint = format!(
                "You should set the `{option}` value in the `loop_control` option for the task to something else to avoid variable collisions and unexpected behavior."
            );
            let problem = Diagnostic::warning("loop-variable-taken", text);
            self.run.templar.note(problem.at(&place).hint(hint));
        }
    }

    /// Whether the loop ends after an item, by `break_when`.
    fn breaks(&self, one: &mut ItemResult, control: &LoopControl, scope: &HostScope) -> bool {
        let Some(raw) = &control.break_when else {
            return false;
        };
        let conditions = match raw {
            Value::List(conditions) => conditions.to_vec(),
            one => vec![one.clone()],
        };
        let seen = self.with_result(scope, one);
        for condition in &conditions {
            match self.run.templar.condition(condition, &seen) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    let error = condition_error("break_when", error, None);
                    let ActionError::Condition { error, .. } = error else {
                        return true;
                    };
                    let mut cause = Cause::of(&error.diagnostic);
                    if error.undefined && !cause.message.starts_with(WHILE) {
                        cause.message = format!("{WHILE}: {}", cause.message);
                    }
                    cause.message = format!("A 'break_when' expression failed: {}", cause.message);
                    self.tell(&[cause]);
                    one.failed = true;
                    return true;
                }
            }
        }
        true
    }

    fn loop_control(&self, scope: &HostScope) -> Result<LoopControl, Box<ItemResult>> {
        let control = self.read_control(scope);
        let control = control.map_err(|error| Box::new(self.error(error.into())))?;
        self.check_names(&control)?;
        let Some(message) = &control.wrong_pause else {
            return Ok(control);
        };
        let span = self.job.spec.control_span("pause");
        let causes = [
            Cause::new("Error processing keyword 'pause'", span.as_ref()),
            Cause::new(message.as_str(), span.as_ref()),
        ];
        Err(Box::new(self.template_failed(&causes)))
    }

    /// What the loop calls its variables are names that variables may have.
    fn check_names(&self, control: &LoopControl) -> Result<(), Box<ItemResult>> {
        let names = [
            ("loop_var", Some(&control.var)),
            ("index_var", control.index_var.as_ref()),
        ];
        for (option, name) in names {
            let Some(name) = name.filter(|name| !is_variable_name(name)) else {
                continue;
            };
            let span = self.job.spec.control_span(option);
            let wrong = Cause::new(format!("Invalid variable name '{name}'."), span.as_ref());
            let causes = [
                Cause {
                    apart: true,
                    ..Cause::new(format!("Invalid '{option}'"), None)
                },
                Cause {
                    help: Some(VARIABLE_NAMES.to_owned()),
                    ..wrong
                },
            ];
            return Err(Box::new(self.template_failed(&causes)));
        }
        Ok(())
    }

    fn read_control(&self, scope: &HostScope) -> Result<LoopControl, TemplateError> {
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
        // An empty label is none.
        let label = entries.get("label");
        control.label = label.filter(|label| label.as_str() != Some(""));
        control.break_when = entries.get("break_when");
        if let Some(pause) = entries.get("pause") {
            let pause = self.run.templar.expand(&pause, scope)?;
            control.pause = to_float(&pause).unwrap_or_default();
            control.wrong_pause = misfit(&pause, Kind::Float);
        }
        if let Some(extended) = entries.get("extended") {
            control.extended =
                to_bool(&self.run.templar.expand(&extended, scope)?).unwrap_or(false);
        }
        if let Some(all) = entries.get("extended_allitems") {
            let all = self.run.templar.expand(&all, scope)?;
            control.without_allitems = to_bool(&all) == Some(false);
        }
        Ok(control)
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
    /// What is told of a `pause` that is no number.
    wrong_pause: Option<String>,
    extended: bool,
    /// `extended_allitems: false`
    without_allitems: bool,
}

impl LoopControl {
    pub(super) fn vars(&self, items: &[Value], index: usize, item: &Value) -> VarMap {
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
                ("index", int(index + 1)),
                ("index0", int(index)),
                ("first", Value::Bool(index == 0)),
                ("last", Value::Bool(index == last)),
                ("length", int(items.len())),
                ("revindex", int(items.len() - index)),
                ("revindex0", int(last - index)),
            ]
            .into_iter()
            .map(|(name, value)| (Key::from(name), value))
            .collect();
            if !self.without_allitems {
                entries.insert(Key::from("allitems"), Value::list(items.to_vec()));
            }
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
}

fn value_is_mapping(object: &Arc<dyn crate::template::value::Object>) -> bool {
    object.to_dict().is_some()
}

/// `with_NAME`: the lookup's result, with the terms templated.
pub(super) fn with_items(
    templar: &Templar,
    name: &str,
    items: &Value,
    action: &str,
    scope: &dyn Scope,
) -> Result<Vec<Value>, TemplateError> {
    let terms = match templar.expand(items, scope)? {
        Value::List(items) => items.to_vec(),
        other => vec![other],
    };
    templar.lookup(name, terms, action, scope)
}
