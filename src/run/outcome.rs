//! What follows from a task's results: registered values, counts, failures, handlers, effects.

use std::sync::Arc;

use rplay_modules::data::{Data, Map};

use super::Run;
use super::context::to_dict;
use super::cursor::{Cursor, Step};
use super::play::Batch;
use super::spec::TaskSpec;
use super::worker::{self, Done, ItemEffect};
use crate::action::Effect;
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{PlanItem, PlanTask};
use crate::report::event::{Event, MessageKind, Status};
use crate::template::value::{Entries, Key, Value};
use crate::vars::HostScope;

impl Run<'_> {
    /// Registers results, counts them, moves the hosts on. Returns whether the play must end.
    pub(super) fn follow_up(
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
            fatal |= failed && (run_once || self.any_errors_fatal(spec, state));
            if failed {
                continue;
            }
            if !included.is_empty() {
                let further = u32::try_from(included.len() - 1).unwrap_or_default();
                self.count(&one.host, |counts| counts.ok += further);
                includes.extend(
                    everywhere
                        .iter()
                        .map(|host| (host.clone(), included.clone())),
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

    fn any_errors_fatal(&self, spec: &TaskSpec, state: &Batch<'_>) -> bool {
        self.shared.config.bool("any_errors_fatal")
            || self.flag(spec, Keyword::AnyErrorsFatal, &self.early_scope(state.play))
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
                self.unreachable.insert(host.clone());
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
            let notified = std::mem::take(&mut cursor.notified);
            *cursor = Cursor::new(&Arc::new(vec![PlanItem::FlushHandlers]));
            cursor.notified = notified;
        }
        self.host_failed(host);
    }

    pub(super) fn host_failed(&mut self, host: &str) {
        self.failed.insert(host.to_owned());
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
                    self.remember(host, |memory| memory.learn(&facts));
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
                    self.remember(host, super::shared::Memory::forget);
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
}

/// Why a handler answers to a notification.
enum Answer {
    Name,
    Topic,
}
