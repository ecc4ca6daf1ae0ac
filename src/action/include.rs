//! `include_tasks` and `include_role`: what is to be read is decided here, the dispatcher reads it.

use std::path::PathBuf;

use rplay_modules::data::Map;
use rplay_modules::map;

use super::{ActionError, Effect, TaskResult};
use crate::diag::Span;
use crate::load::ast::Keywords;
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::plan::{RoleCall, find_task_file};
use crate::run::context::Context;
use crate::template::normal;
use crate::template::value::has_delimiters;

/// `include_tasks`.
pub(super) fn tasks(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let name = match context.text("file")? {
        Some(name) => Some(name),
        None => context.free_form()?,
    };
    let Some(name) = name else {
        return Err(ActionError::new("No file specified for include_tasks"));
    };
    let frame = &context.spec.task.frame;
    let found = find_task_file(&name, frame, &context.run.playbook_dir);
    let file = found.unwrap_or_else(|| frame.dir.join(&name));
    let file = PathBuf::from(normal(&file.to_string_lossy()));
    let result = map! { "include" => name.as_str(), "include_args" => Map::new() };
    let vars = (*context.spec.vars).clone();
    Ok(TaskResult::ok(result).effect(Effect::IncludeTasks { file, vars }))
}

/// `include_role`.
pub(super) fn role(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let name = match context.text("name")? {
        Some(name) => Some(name),
        None => context.text("role")?,
    };
    let Some(name) = name else {
        return Err(ActionError::new(
            "'name' is a required field for include_role.",
        ));
    };
    let public = context.bool("public")?.unwrap_or(false);
    let mut call = RoleCall {
        // What the play sees of it is decided when it comes in.
        public: Some(true),
        name: name.clone(),
        span: Some(role_place(context)),
        again: Some(context.bool("allow_duplicates")?.unwrap_or(true)),
        ..RoleCall::default()
    };
    call.tasks_from = context.text("tasks_from")?;
    call.vars_from = context.text("vars_from")?;
    call.defaults_from = context.text("defaults_from")?;
    call.handlers_from = context.text("handlers_from")?;
    call.unchecked = !context.bool("rolespec_validate")?.unwrap_or(true);
    let vars = (*context.spec.vars).clone();
    let result = map! { "include_role" => name };
    Ok(TaskResult::ok(result).effect(Effect::IncludeRole {
        call: Box::new(call),
        public,
        vars,
    }))
}

/// Where Ansible points for a role: what a template of its name comes to, the name, or the text of
/// all arguments.
fn role_place(context: &Context<'_>) -> Span {
    let args = &context.spec.task.ast.call.args;
    let Some((key, arg)) = args
        .get_key_value("name")
        .or_else(|| args.get_key_value("role"))
    else {
        return context.spec.span().clone();
    };
    if arg.value.as_str().is_some_and(has_delimiters)
        && let Ok(Some(name)) = context.value(key)
        && let Some(place) = name.origin()
    {
        return place;
    }
    let rest = arg.key.source.text.get(arg.key.end as usize..);
    if rest.is_some_and(|rest| rest.starts_with('=')) {
        return arg.key.clone();
    }
    arg.value.span.clone()
}

/// The keywords under `apply`, which the included tasks inherit.
pub(crate) fn applied(node: Option<&Node>) -> Keywords {
    let Some(Node {
        kind: NodeKind::Map(entries),
        ..
    }) = node
    else {
        return Keywords::new();
    };
    entries
        .iter()
        .filter_map(|(key, value)| Some((Keyword::from_name(key.as_str()?)?, value.clone())))
        .collect()
}
