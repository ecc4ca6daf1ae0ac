//! Notified handlers: which of them a name means.

use std::sync::Arc;

use super::Run;
use super::play::Batch;
use super::spec::TaskSpec;
use crate::diag::{Diagnostic, nearest};
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{PlanItem, PlanTask};
use crate::report::event::MessageKind;
use crate::template::value::Value;

/// What a handler answers to: its name without variables of a host, or why it has none.
pub(super) type HandlerName = Result<String, String>;

impl Run<'_> {
    /// Marks the handlers of a name or topic as notified.
    pub(super) fn notify(
        &mut self,
        state: &mut Batch<'_>,
        spec: &TaskSpec,
        host: &str,
        name: &str,
    ) {
        let found = self.meant(state, name);
        if found.is_empty() {
            return self.no_handler(state, spec, name);
        }
        if let Some(cursor) = state.cursors.get_mut(host) {
            if cursor.is_in_handlers() {
                cursor.notified.extend(found);
            } else if !cursor.saved.iter().any(|saved| saved == name) {
                cursor.saved.push(name.to_owned());
            }
        }
    }

    /// Sends a host into the handlers that were notified.
    pub(super) fn flush(&mut self, state: &mut Batch<'_>, host: &str) {
        self.settle_notified(state, host);
        let handlers = Arc::clone(&state.handlers);
        if let Some(cursor) = state.cursors.get_mut(host) {
            cursor.flush(&handlers);
        }
    }

    /// Decides which handlers the names mean that were notified: roles that came in later count.
    pub(super) fn settle_notified(&mut self, state: &mut Batch<'_>, host: &str) {
        let Some(cursor) = state.cursors.get_mut(host) else {
            return;
        };
        for name in std::mem::take(&mut cursor.saved) {
            for index in self.meant(state, &name) {
                let Some(cursor) = state.cursors.get_mut(host) else {
                    return;
                };
                if cursor.notified.insert(index)
                    && let Some(name) = shown_name(state, index)
                {
                    let text = format!("NOTIFIED HANDLER {name} for {host}");
                    self.message(MessageKind::Verbose(2), text);
                }
            }
        }
    }

    /// The handlers that a name or topic means.
    fn meant(&self, state: &mut Batch<'_>, name: &str) -> Vec<usize> {
        self.name_handlers(state);
        let mut found = listeners(&state.handlers, name);
        found.extend(named(&state.handlers, &state.handler_names, name));
        found
    }

    fn no_handler(&mut self, state: &Batch<'_>, spec: &TaskSpec, name: &str) {
        for (task, own) in tasks(&state.handlers).zip(&state.handler_names) {
            let Err(why) = own else { continue };
            if task.ast.keywords.contains_key(&Keyword::Listen) {
                continue;
            }
            let written = task.ast.keywords.get(&Keyword::Name).and_then(Node::as_str);
            let text = format!(
                "Handler '{}' is unusable because it has no listen topics and the name could not be templated (host-specific variables are not supported in handler names). The error: {why}",
                written.unwrap_or_default()
            );
            self.message(MessageKind::Warning, text);
        }
        let text = format!(
            "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
        );
        if self.shared.config.bool("error_on_missing_handler") {
            let mut problem = Diagnostic::error("unknown-handler", text).at(spec.span());
            let names = state
                .handler_names
                .iter()
                .filter_map(|own| own.as_deref().ok());
            if let Some(near) = nearest(name, names) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
            self.abort(problem);
        } else {
            self.message(MessageKind::Warning, text);
        }
    }

    /// Templates the names of handlers that were not seen yet.
    fn name_handlers(&self, state: &mut Batch<'_>) {
        let known = state.handler_names.len();
        let fresh: Vec<Arc<PlanTask>> = tasks(&state.handlers).skip(known).cloned().collect();
        for task in fresh {
            let name = self.handler_name(state, &task);
            state.handler_names.push(name);
        }
    }

    fn handler_name(&self, state: &Batch<'_>, task: &PlanTask) -> HandlerName {
        let Some(node) = task.ast.keywords.get(&Keyword::Name) else {
            return Ok(String::new());
        };
        let raw = Value::from_node(node);
        if !self.shared.templar.is_template(&raw) {
            return Ok(raw.to_string());
        }
        let mut scope = self.early_scope(state.play);
        task.frame.push_vars(&mut scope);
        let name = self.shared.templar.expand(&raw, &scope);
        name.map(|name| name.to_string())
            .map_err(|error| error.diagnostic.message)
    }
}

/// The name of a handler, after that of its role.
fn shown_name(state: &Batch<'_>, index: usize) -> Option<String> {
    let own = state.handler_names.get(index)?.as_ref().ok()?;
    let task = tasks(&state.handlers).nth(index)?;
    Some(match &task.frame.role {
        Some(role) => format!("{} : {own}", role.name),
        None => own.clone(),
    })
}

/// Handlers are tasks only: blocks among them were opened when they were planned.
fn tasks(handlers: &[PlanItem]) -> impl Iterator<Item = &Arc<PlanTask>> {
    handlers.iter().filter_map(|item| match item {
        PlanItem::Task(task) => Some(task),
        _ => None,
    })
}

/// The handlers that listen to a topic: all of them count.
fn listeners(handlers: &[PlanItem], topic: &str) -> Vec<usize> {
    let listens = |task: &PlanTask| match task
        .ast
        .keywords
        .get(&Keyword::Listen)
        .map(|node| &node.kind)
    {
        Some(NodeKind::Str(own)) => own == topic,
        Some(NodeKind::Seq(topics)) => topics.iter().any(|own| own.as_str() == Some(topic)),
        _ => false,
    };
    let all = tasks(handlers).enumerate();
    all.filter(|(_, task)| listens(task))
        .map(|(index, _)| index)
        .collect()
}

/// The handler of a name: in the list that was added last, the first one.
fn named(handlers: &[PlanItem], names: &[HandlerName], wanted: &str) -> Option<usize> {
    let all: Vec<&Arc<PlanTask>> = tasks(handlers).collect();
    let answers = |index: usize| {
        let Some(Ok(own)) = names.get(index).filter(|name| *name != &Ok(String::new())) else {
            return false;
        };
        let role = all[index].frame.role.as_ref();
        own == wanted
            || role.is_some_and(|role| {
                wanted
                    .strip_prefix(role.name.as_str())
                    .and_then(|rest| rest.strip_prefix(" : "))
                    == Some(own)
            })
    };
    let mut end = all.len();
    let lists = all.chunk_by(|left, right| Arc::ptr_eq(&left.frame, &right.frame));
    for list in lists.rev() {
        let start = end - list.len();
        if let Some(index) = (start..end).find(|index| answers(*index)) {
            return Some(index);
        }
        end = start;
    }
    None
}
