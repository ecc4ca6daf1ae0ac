//! `meta`: what steers the run itself, decided by the dispatcher for each host or once for all.

use std::sync::Arc;

use rplay_modules::data::Map;

use super::Run;
use super::cursor::{Cursor, Step};
use super::play::Batch;
use super::spec::TaskSpec;
use crate::diag::Diagnostic;
use crate::inventory::Inventory;
use crate::load::actions::{self, Meta};
use crate::plan::{Frame, FrameKind, PlanItem, PlanTask};
use crate::report::event::{Event, MessageKind, Status};
use crate::vars::HostScope;

impl Run<'_> {
    /// Runs a `meta` task on the hosts that have come to it. Each host gets a heading of its own.
    pub(super) fn meta(
        &mut self,
        state: &mut Batch<'_>,
        spec: &TaskSpec,
        scopes: &[(String, HostScope)],
    ) {
        let Some(meta) = spec.task.ast.call.meta().and_then(actions::meta) else {
            return;
        };
        let hosts: Vec<String> = scopes.iter().map(|(host, _)| host.clone()).collect();
        if meta.otherwise.is_none() && !spec.when.is_empty() {
            let text = format!("{} task does not support when conditional", meta.name);
            self.message(MessageKind::Warning, text);
        }
        let count = if meta.once { 1 } else { scopes.len() };
        for (host, scope) in &scopes[..count] {
            let id = self.next_task;
            self.next_task += 1;
            let task = self.info(spec, id, scope);
            let silent = state.free;
            if !silent {
                self.emit(Event::TaskStarted { task: task.clone() });
            }
            let concerned = if meta.once {
                hosts.as_slice()
            } else {
                std::slice::from_ref(host)
            };
            if meta.name == "flush_handlers" && spec.task.handler {
                let text = "flush_handlers cannot be used as a handler";
                return self.abort(Diagnostic::error("meta", text).at(spec.span()));
            }
            match self.holds(meta, spec, scope) {
                Ok(true) => {
                    if meta.name == "flush_handlers" {
                        self.settle_notified(state, host);
                    }
                    let text = done_text(meta.name, host);
                    let moved = self.steer(state, meta.name, concerned);
                    if !moved {
                        state.advance(concerned);
                    }
                    if let Some(text) = text {
                        self.message(MessageKind::Verbose(2), format!("META: {text}"));
                    }
                }
                Ok(false) => {
                    if silent {
                        self.emit(Event::TaskStarted { task });
                    }
                    self.tell_kept(meta, id, host);
                    state.advance(concerned);
                }
                Err(problem) => return self.abort(*problem),
            }
        }
    }

    fn holds(
        &self,
        meta: &Meta,
        spec: &TaskSpec,
        scope: &HostScope,
    ) -> Result<bool, Box<Diagnostic>> {
        if meta.otherwise.is_none() {
            return Ok(true);
        }
        for (condition, _) in &spec.when {
            let holds = self.shared.templar.condition(condition, scope);
            if !holds.map_err(|error| error.diagnostic)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The line of an action whose condition is false; it is not counted.
    fn tell_kept(&mut self, meta: &Meta, task: usize, host: &str) {
        let name = meta.name;
        let mut otherwise = meta.otherwise.unwrap_or_default().to_owned();
        if otherwise.ends_with(' ') {
            otherwise.push_str(host);
        }
        let msg = if name == "end_host" {
            format!("{name} conditional evaluated to false, {otherwise}")
        } else {
            name.to_owned()
        };
        let reason = format!("{name} conditional evaluated to False, {otherwise}");
        self.message(MessageKind::Verbose(2), format!("META: {reason}"));
        let result: Map = rplay_modules::map! {
            "changed" => false, "msg" => msg, "skip_reason" => reason, "skipped" => true
        };
        self.emit(Event::TaskDone {
            task,
            host: host.to_owned(),
            delegated_to: None,
            status: Status::Skipped,
            ignored: false,
            looped: false,
            result,
            diff: vec![],
            unknown: None,
        });
    }

    /// Does the action for hosts. Returns whether it moved them itself.
    fn steer(&mut self, state: &mut Batch<'_>, action: &str, hosts: &[String]) -> bool {
        match action {
            "flush_handlers" => {
                state.move_on(hosts, |cursor| {
                    cursor.include(Arc::new(vec![PlanItem::FlushHandlers]));
                });
                true
            }
            "clear_facts" => {
                for host in hosts {
                    self.remember(host, super::shared::Memory::forget);
                    self.keep_facts(host);
                }
                false
            }
            "clear_host_errors" => {
                self.failed.clear();
                self.dropped.clear();
                self.unreachable.clear();
                false
            }
            "end_play" | "end_batch" => {
                state.play_over |= action == "end_play";
                for (host, cursor) in &mut state.cursors {
                    // What a host does that did not wait for the others is told before it ends.
                    match self.chains.contains_key(host) {
                        true => drop(state.leaving.insert(host.clone())),
                        false => cursor.end(),
                    }
                }
                true
            }
            "end_host" => {
                state.move_on(hosts, Cursor::end);
                true
            }
            "end_role" => {
                state.move_on(hosts, leave_role);
                true
            }
            "reset_connection" => {
                for host in hosts {
                    self.links.remove(host);
                }
                false
            }
            "refresh_inventory" => {
                self.refresh_inventory();
                false
            }
            _ => false,
        }
    }

    /// Reads the inventory's sources again.
    fn refresh_inventory(&mut self) {
        let vars = Arc::clone(&self.world.vars);
        let sources: Vec<String> = vars
            .inventory
            .sources
            .iter()
            .map(|source| source.display().to_string())
            .collect();
        let checked = Inventory::load(&sources, &self.shared.config, &vars.files.secrets);
        for problem in checked.problems {
            self.tell_problem(&problem);
        }
        let mut fresh = checked.value;
        for addition in &self.dynamic {
            addition.add_to(&mut fresh);
        }
        self.change_inventory(|inventory| *inventory = fresh);
    }
}

/// What is said of an action that was done.
fn done_text(action: &str, host: &str) -> Option<String> {
    Some(match action {
        "clear_facts" => "facts cleared".to_owned(),
        "clear_host_errors" => "cleared host errors".to_owned(),
        "flush_handlers" => format!("triggered running handlers for {host}"),
        "refresh_inventory" => "inventory successfully refreshed".to_owned(),
        "reset_connection" => "reset connection".to_owned(),
        "end_play" => "ending play".to_owned(),
        "end_batch" => "ending batch".to_owned(),
        "end_host" => format!("ending play for {host}"),
        "end_role" => return None,
        other => other.to_owned(),
    })
}

/// Moves past the tasks of the role that the host is in.
fn leave_role(cursor: &mut Cursor) {
    // The same role may follow at once: it is another frame.
    fn roles(task: &PlanTask) -> impl Iterator<Item = *const Frame> {
        let frames = task.frame.chain();
        let roles = frames.filter(|frame| frame.kind == FrameKind::Role);
        roles.map(std::ptr::from_ref)
    }
    if let Some(Step::Task(task)) = cursor.peek()
        && let Some(role) = roles(&task).next()
    {
        cursor.leave_while(|task| roles(task).any(|one| one == role));
    }
}
