//! Everything that is a module: arguments templated, checked, and sent to the target.

use rplay_modules::data::Data;

use super::{ActionError, TaskResult};
use crate::run::context::Context;

/// Runs the module of the task.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let name = context.action().to_owned();
    call_named(context, &name).await
}

/// Runs a module with the task's arguments.
pub(super) async fn call_named(
    context: &mut Context<'_>,
    name: &str,
) -> Result<TaskResult, ActionError> {
    let mut args = context.data_args()?;
    if let Some(text) = context.free_form()? {
        args.insert("_raw_params".to_owned(), Data::Str(text));
    }
    if crate::load::actions::short(name) == "shell" && !args.contains_key("executable") {
        let shell = context.variable("ansible_shell_executable")?;
        args.extend(shell.map(|shell| ("executable".to_owned(), Data::from(shell.to_string()))));
    }
    context.call_module(name, &args).await
}
