//! What follows from a task's results: registered values, counts, failures, handlers, effects.

use std::collections::HashSet;
use std::sync::Arc;

use rplay_modules::data::{Data, Map};

use super::Run;
use super::context::to_dict;
use super::include::Inclusion;
use super::play::Batch;
use super::shared::Memory;
use super::spec::TaskSpec;
use super::worker::{Done, ItemEffect};
use crate::action::Effect;
use crate::diag::Diagnostic;
use crate::inventory::Inventory;
use crate::load::actions;
use crate::load::keyword::{KEYWORDS, Keyword, Places};
use crate::report::event::{Counts, MessageKind, NO_TRACEBACK, Status};
use crate::template::value::{Entries, Key, Value};
use crate::vars::{Level, is_reserved, is_restricted_fact, reserved_name};

impl Run<'_> {
    /// Registers results, counts them, moves the hosts on.
    pub(super) fn follow_up(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        done: Vec<Done>,
        hosts: &[String],
        run_once: bool,
        extra: bool,
    ) -> Failed {
        let mut failures = Failed::default();
        let mut includes: Vec<Inclusion> = vec![];
        for mut one in done {
            let effects = std::mem::take(&mut one.effects);
            let everywhere: Vec<String> = if run_once {
                hosts.to_vec()
            } else {
                vec![one.host.clone()]
            };
            // An action that bypasses the loop over hosts leaves its result with the first one only.
            let own = [one.host.clone()];
            let shared = self.flag_for_all(spec, Keyword::RunOnce, state);
            let registering = if shared { &everywhere[..] } else { &own[..] };
            self.register(spec, &one, registering);
            self.doubt(spec, &one, registering, &everywhere);
            let mut included = vec![];
            for effect in effects {
                match &effect.effect {
                    Effect::IncludeTasks { .. } | Effect::IncludeRole { .. } => {
                        included.push(effect)
                    }
                    Effect::Warning(_) | Effect::Verbose(_) if one.again => {}
                    _ => self.apply(effect, &one.host, &everywhere),
                }
            }
            for name in &one.notify {
                self.notify(state, spec, &one.host, name);
            }
            let failed = self.score(state, &one, spec, extra);
            failures.fatal |= failed && (run_once || self.any_errors_fatal(spec, state));
            if failed {
                failures.hosts.insert(one.host.clone());
                continue;
            }
            if !included.is_empty() {
                let further = u32::try_from(included.len() - 1).unwrap_or_default();
                self.count_new(&one, |counts| counts.ok += further);
                // With `run_once` only the first host goes there.
                let others: Vec<String> = everywhere
                    .iter()
                    .filter(|host| **host != one.host)
                    .cloned()
                    .collect();
                state.advance(&others);
                includes.push(Inclusion {
                    host: one.host.clone(),
                    task: one.task,
                    effects: included,
                    again: one.again,
                });
            } else if !extra {
                state.advance(&everywhere);
            }
        }
        self.settle();
        self.include(state, spec, includes);
        failures
    }

    /// Whether a host that fails at a task keeps the others from going on.
    pub(super) fn any_errors_fatal(&self, spec: &TaskSpec, state: &Batch<'_>) -> bool {
        self.shared.config.bool("any_errors_fatal")
            || self.flag_for_all(spec, Keyword::AnyErrorsFatal, state)
    }

    /// A keyword that is the same for all hosts, so that no variable of a host is in it.
    fn flag_for_all(&self, spec: &TaskSpec, keyword: Keyword, state: &Batch<'_>) -> bool {
        spec.keyword(keyword).is_some() && self.flag(spec, keyword, &self.early_scope(state.play))
    }

    /// `register`, on every host that shares the result.
    fn register(&mut self, spec: &TaskSpec, done: &Done, hosts: &[String]) {
        let Some(Value::Str(name)) = spec.keyword(Keyword::Register) else {
            return;
        };
        let mut shown = done.result.clone();
        shown.retain(|key, _| !key.starts_with("_ansible_"));
        if crate::load::actions::is_include(&spec.action) {
            hide_include(&mut shown);
            if let Some(Data::List(items)) = shown.get_mut("results") {
                for item in items {
                    if let Data::Map(item) = item {
                        hide_include(item);
                    }
                }
            }
        }
        shown
            .entry("failed".to_owned())
            .or_insert(Data::Bool(done.status == Status::Failed));
        let value = to_dict(&with_exception(shown));
        if let Some(place) = spec.keyword_span(Keyword::Register)
            && is_reserved(name.as_str())
        {
            let problem = reserved_name(name.as_str(), place);
            self.shared.templar.note(problem);
        }
        for host in hosts {
            let value = value.clone();
            self.remember(host, |memory| {
                Arc::make_mut(&mut memory.set).insert(name.as_str().to_owned(), value);
            });
        }
    }

    /// Remembers of which of the variables that a task sets check mode does not know the values.
    fn doubt(
        &mut self,
        spec: &TaskSpec,
        done: &Done,
        registering: &[String],
        everywhere: &[String],
    ) {
        let name = spec.keyword(Keyword::Register).and_then(Value::as_str);
        let registered = registering
            .iter()
            .flat_map(|host| name.map(|name| (host, name)));
        let facts = everywhere.iter().flat_map(|host| {
            let names = spec.args.keys().filter(|_| spec.action == "set_fact");
            names.map(move |name| (host, name.as_str()))
        });
        for (host, name) in registered.chain(facts) {
            let known = |memory: &Arc<Memory>| !memory.unknown.contains_key(name);
            if done.unknown.is_none() && self.world.memory.get(host).is_none_or(known) {
                continue;
            }
            self.remember(host, |memory| {
                let unknown = Arc::make_mut(&mut memory.unknown);
                match &done.unknown {
                    Some(cause) => unknown.insert(name.to_owned(), Arc::clone(cause)),
                    None => unknown.remove(name),
                };
            });
        }
    }

    /// Counts a result, unless a former run has.
    fn count_new(&mut self, done: &Done, count: impl FnOnce(&mut Counts)) {
        let counts = self.recap.entry(done.host.clone()).or_default();
        if !done.again {
            count(counts);
        }
    }

    /// Counts a result and handles failures. Returns whether the host failed here.
    fn score(&mut self, state: &mut Batch<'_>, done: &Done, spec: &TaskSpec, extra: bool) -> bool {
        let host = &done.host;
        let ran = !matches!(done.status, Status::Skipped | Status::Unreachable);
        if let Some(role) = &spec.task.frame.role
            && let Some(cursor) = state.cursors.get_mut(host).filter(|_| ran)
        {
            cursor.enter(role);
        }
        match done.status {
            Status::Ok | Status::Changed => {
                self.count_new(done, |counts| {
                    counts.ok += 1;
                    counts.changed += u32::from(done.status == Status::Changed);
                });
                false
            }
            Status::Skipped => {
                self.count_new(done, |counts| counts.skipped += 1);
                false
            }
            Status::Failed if done.ignored => {
                let changed = done.result.get("changed") == Some(&Data::Bool(true));
                self.count_new(done, |counts| {
                    counts.ok += 1;
                    counts.ignored += 1;
                    counts.changed += u32::from(changed);
                });
                false
            }
            Status::Unreachable if done.ignored => {
                self.count_new(done, |counts| {
                    counts.ok += 1;
                    counts.ignored += 1;
                });
                false
            }
            Status::Unreachable => {
                self.count_new(done, |counts| counts.unreachable += 1);
                self.unreachable.insert(host.clone());
                // It goes on there after `meta: clear_host_errors`.
                if let Some(cursor) = state.cursors.get_mut(host)
                    && !extra
                {
                    cursor.advance();
                }
                state.lost.insert(host.clone());
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
        let rescued = match () {
            () if extra => false,
            () if state.force_handlers => cursor.fail_but_flush(),
            () => cursor.fail(),
        };
        if rescued {
            self.count_new(done, |counts| counts.rescued += 1);
            let task = self.failed_task(host, spec);
            let result = to_dict(&with_exception(done.result.clone()));
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
        if !cursor.goes_on() {
            state.lost.insert(host.clone());
        }
        self.host_failed(host);
    }

    /// `ansible_failed_task`: the task's keywords and arguments as the host has them.
    fn failed_task(&self, host: &str, spec: &TaskSpec) -> Value {
        let mut scope = self.world.base(host);
        scope.push(Level::TaskVars, &spec.vars);
        let seen = |raw: &Value| {
            let value = self.shared.templar.expand_soft(raw, &scope).ok();
            value
                .and_then(|value| value.to_data().ok())
                .map_or(Value::None, |data| Value::from_data(&data))
        };
        let mut entries = Entries::new();
        for row in KEYWORDS
            .iter()
            .filter(|row| row.places.contains(Places::TASK))
        {
            let value = match row.keyword {
                Keyword::Action | Keyword::LocalAction | Keyword::Args => continue,
                Keyword::Name => Value::str(
                    spec.keyword(Keyword::Name)
                        .map(|name| self.shared.templar.told(name, &scope).0)
                        .unwrap_or_default(),
                ),
                Keyword::AnyErrorsFatal
                | Keyword::Become
                | Keyword::CheckMode
                | Keyword::Diff
                | Keyword::IgnoreErrors
                | Keyword::IgnoreUnreachable
                | Keyword::NoLog => Value::Bool(self.flag(spec, row.keyword, &scope)),
                Keyword::Tags => {
                    let tags = spec.task.tags.iter();
                    Value::list(tags.map(|tag| Value::str(tag.as_str())).collect())
                }
                Keyword::When => Value::list(spec.when.iter().map(|(raw, _)| seen(raw)).collect()),
                Keyword::Vars => {
                    let vars = spec.vars.iter();
                    let vars = vars.map(|(name, raw)| (Key::from(name.as_str()), seen(raw)));
                    Value::dict(vars.collect())
                }
                keyword => match spec.keyword(keyword) {
                    Some(raw) => listed(keyword, seen(raw)),
                    None => unset(keyword),
                },
            };
            if row.keyword == Keyword::Async {
                entries.insert(Key::from("async_val"), value.clone());
            }
            entries.insert(Key::from(row.name), value);
        }
        let action = spec.task.ast.call.name.as_str();
        entries.insert(Key::from("action"), Value::str(action));
        let hidden = self.flag(spec, Keyword::NoLog, &scope);
        let args = spec.args.iter().filter(|_| !hidden);
        let args = args.map(|(name, (_, raw))| (Key::from(name.as_str()), seen(raw)));
        let mut args: Entries = args.collect();
        if let Some(text) = spec.free_form.as_ref().filter(|_| !hidden) {
            args.insert(Key::from("_raw_params"), seen(text));
        }
        entries.insert(Key::from("args"), Value::dict(args));
        let lookup = spec
            .looping
            .as_ref()
            .and_then(|(lookup, ..)| lookup.as_deref());
        entries.insert(
            Key::from("loop"),
            spec.looping
                .as_ref()
                .map_or(Value::None, |(_, items, _)| seen(items)),
        );
        entries.insert(
            Key::from("loop_with"),
            lookup.map_or(Value::None, Value::str),
        );
        let full = actions::full_name(&spec.action);
        entries.insert(Key::from("_resolved_action"), Value::str(full));
        Value::dict(entries)
    }

    pub(super) fn host_failed(&mut self, host: &str) {
        self.failed.insert(host.to_owned());
    }

    /// Changes the run by what a task asked for.
    fn apply(&mut self, effect: ItemEffect, host: &str, everywhere: &[String]) {
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
                self.note_restricted(&facts);
                for host in &on {
                    self.remember(host, |memory| memory.learn(&facts));
                    self.keep_facts(host);
                }
            }
            Effect::IncludeVars(vars) => {
                let merging = self.world.vars.rules.merge;
                for host in &on {
                    self.remember(host, |memory| {
                        let included = Arc::make_mut(&mut memory.included);
                        match merging {
                            true => included.merge_within(vars.clone()),
                            false => included.extend(vars.clone()),
                        }
                    });
                }
            }
            Effect::AddHost { name, groups, vars } => {
                if !self.world.vars.inventory.hosts.contains_key(&name) {
                    self.recall_facts(&name);
                }
                self.remember(&name, |memory| {
                    Arc::make_mut(&mut memory.added).extend(vars)
                });
                self.arrivals.push(Dynamic::Host { name, groups });
            }
            Effect::GroupBy { key, parents } => {
                let member = |host: &String| Dynamic::Member {
                    host: host.clone(),
                    key: key.clone(),
                    parents: parents.clone(),
                };
                self.arrivals.extend(everywhere.iter().map(member));
            }
            Effect::Stats {
                data,
                per_host,
                aggregate,
            } => self.stats(host, data, per_host, aggregate),
            Effect::Warning(text) => self.message(MessageKind::Warning, text),
            Effect::Verbose(text) => self.message(MessageKind::Verbose(1), text),
            Effect::IncludeTasks { .. } | Effect::IncludeRole { .. } => {}
        }
    }

    /// Facts that would steer the connection are told, where facts are variables of their own.
    pub(super) fn note_restricted(&self, facts: &Map) {
        let names = facts.keys().filter(|name| is_restricted_fact(name));
        for name in names.filter(|_| self.world.vars.rules.inject) {
            let text = format!("Removed restricted key from module data: {name}");
            let warning = Diagnostic::warning("restricted-fact", text);
            self.shared.templar.note(warning);
        }
    }

    /// Brings what a task added into the inventory, for all hosts at once: each change copies it.
    fn settle(&mut self) {
        let additions = std::mem::take(&mut self.arrivals);
        if additions.is_empty() {
            return;
        }
        let known = self.world.vars.inventory.has_odd_names();
        self.change_inventory(|inventory| {
            for addition in &additions {
                addition.add_to(inventory);
            }
        });
        let inventory = &self.world.vars.inventory;
        if !known && inventory.has_odd_names() {
            let remark = inventory.remarks().into_iter().next();
            remark
                .into_iter()
                .for_each(|problem| self.tell_problem(&problem));
        }
        self.dynamic.extend(additions);
    }

    pub(super) fn change_inventory(&mut self, change: impl FnOnce(&mut Inventory)) {
        let vars = &self.world.vars;
        let mut inventory = vars.inventory.clone();
        change(&mut inventory);
        inventory.reconcile();
        let fresh = super::shared::InventoryVars::new(
            inventory,
            Arc::clone(&vars.files),
            Arc::clone(&vars.templar),
            vars.playbook_dir.clone(),
            vars.rules,
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
                // What cannot be added up stays as it is.
                (Some(Data::Float(old)), Data::Float(new)) if aggregate => *old += new,
                (Some(_), _) if aggregate => {}
                (_, value) => {
                    stats.insert(name, value);
                }
            }
        }
    }
}

/// A result as later tasks see it: what failed has a key for its traceback.
fn with_exception(mut result: Map) -> Map {
    let lost = |map: &Map| {
        let is = |name| map.get(name).and_then(Data::as_bool) == Some(true);
        is("failed") || is("unreachable")
    };
    let complete = |map: &mut Map| {
        if lost(map) {
            map.entry("exception".to_owned())
                .or_insert(Data::from(NO_TRACEBACK));
        }
    };
    let Some(Data::List(items)) = result.get_mut("results") else {
        complete(&mut result);
        return result;
    };
    for item in items {
        if let Data::Map(item) = item {
            complete(item);
        }
    }
    result
}

/// What a play added to the inventory; it outlives `refresh_inventory`.
pub(super) enum Dynamic {
    /// `add_host`
    Host { name: String, groups: Vec<String> },
    /// `group_by`
    Member {
        host: String,
        key: String,
        parents: Vec<String>,
    },
}

impl Dynamic {
    pub(super) fn add_to(&self, inventory: &mut Inventory) {
        match self {
            Self::Host { name, groups } => {
                inventory.add_host(name, "all", None);
                for group in groups {
                    let group = inventory.group_name(group);
                    inventory.add_group(&group);
                    inventory.add_host(name, &group, None);
                }
            }
            Self::Member { host, key, parents } => {
                let key = &inventory.group_name(key);
                inventory.add_group(key);
                for parent in parents {
                    let parent = &inventory.group_name(parent);
                    inventory.add_group(parent);
                    // A cycle cannot come up: the group is new or was made here before.
                    let _ = inventory.add_child(parent, key);
                }
                inventory.add_host(host, key, None);
            }
        }
    }
}

/// The failures of one step.
#[derive(Default)]
pub(super) struct Failed {
    /// The hosts that failed.
    pub(super) hosts: HashSet<String>,
    /// All other hosts fail with them.
    pub(super) fatal: bool,
}

impl Batch<'_> {
    /// A failure that is fatal for all: the other hosts go to their `rescue` and `always`, too.
    pub(super) fn fail_others(&mut self, failed: &HashSet<String>) {
        for host in self.batch.clone() {
            if !failed.contains(&host) {
                self.fail_host(&host);
            }
        }
    }

    /// A host fails because another one did.
    pub(super) fn fail_host(&mut self, host: &str) {
        let force = self.force_handlers;
        if let Some(cursor) = self.cursors.get_mut(host)
            && !cursor.is_over()
            && !match force {
                true => cursor.fail_but_flush(),
                false => cursor.fail(),
            }
        {
            self.dropped.insert(host.to_owned());
        }
    }
}

/// What an include names is no part of what it registers.
fn hide_include(result: &mut Map) {
    for name in ["include", "include_args", "include_role"] {
        result.shift_remove(name);
    }
}

/// A keyword of a failed task whose value is a list, also where one thing was written.
fn listed(keyword: Keyword, value: Value) -> Value {
    match keyword {
        Keyword::ChangedWhen | Keyword::FailedWhen | Keyword::Until
            if !matches!(value, Value::List(_)) =>
        {
            Value::list(vec![value])
        }
        _ => value,
    }
}

/// What a keyword of a failed task is that nobody wrote.
fn unset(keyword: Keyword) -> Value {
    let nothing = || Value::dict(Entries::new());
    match keyword {
        Keyword::ChangedWhen
        | Keyword::Collections
        | Keyword::FailedWhen
        | Keyword::ModuleDefaults
        | Keyword::Until => Value::list(vec![]),
        Keyword::Async | Keyword::Throttle | Keyword::Timeout => Value::Int(0),
        Keyword::Poll => Value::Int(15),
        Keyword::Delay => Value::Float(5.0),
        Keyword::Environment => Value::list(vec![nothing()]),
        Keyword::BecomeMethod => Value::str("sudo"),
        Keyword::LoopControl => {
            let entries = [
                ("loop_var", Value::str("item")),
                ("index_var", Value::None),
                ("label", Value::None),
                ("pause", Value::Float(0.0)),
                ("extended", Value::None),
                ("extended_allitems", Value::Bool(true)),
                ("break_when", Value::list(vec![])),
            ];
            let entries = entries.map(|(name, value)| (Key::from(name), value));
            Value::dict(entries.into_iter().collect())
        }
        _ => Value::None,
    }
}
