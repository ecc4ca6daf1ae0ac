//! `validate_argument_spec`: checks variables against the specification of a role's arguments.

use rplay_modules::args::spec;
use rplay_modules::data::{Data, Map};
use rplay_modules::map;
use rplay_modules::outcome::Failure;

use super::{ActionError, TaskResult};
use crate::run::context::Context;
use crate::template::Scope;

/// Checks what the task gives and the host's variables of the same names.
pub(super) fn validate(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let args = context.data_args()?;
    let Some(wanted) = args.get("argument_spec") else {
        return Err(ActionError::Denied(format!(
            "\"argument_spec\" arg is required in args: {}",
            Data::Map(args).repr()
        )));
    };
    let wanted = mapping("argument_spec", wanted)?;
    let mut given = from_variables(context, &wanted)?;
    if let Some(provided) = args
        .get("provided_arguments")
        .filter(|data| **data != Data::Null)
    {
        given.extend(mapping("provided_arguments", provided)?);
    }
    let about = args.get("validate_args_context").cloned();
    let about = about.unwrap_or_else(|| Data::Map(Map::new()));
    let found = spec::validate(&wanted, &given);
    for secret in &found.secrets {
        context.run.hidden().add(secret);
    }
    if found.problems.is_empty() {
        let msg = "The arg spec validation passed";
        return Ok(TaskResult::ok(
            map! { "msg" => msg, "validate_args_context" => about },
        ));
    }
    let msg = format!(
        "Validation of arguments failed:\n{}",
        found.problems.join("\n")
    );
    let failure = Failure::new(msg)
        .with("argument_errors", found.problems)
        .with("argument_spec_data", Data::Map(wanted))
        .with("validate_args_context", about);
    Err(ActionError::Failed(Box::new(failure)))
}

fn mapping(name: &str, data: &Data) -> Result<Map, ActionError> {
    data.as_map().cloned().ok_or_else(|| {
        ActionError::Denied(format!(
            "Incorrect type for {name}, expected dict and got <class '{}'>",
            data.type_name()
        ))
    })
}

/// The host's variables that the specification names.
fn from_variables(context: &Context<'_>, wanted: &Map) -> Result<Map, ActionError> {
    let mut given = Map::new();
    for name in wanted.keys() {
        let Some(raw) = context.scope.get(name) else {
            continue;
        };
        let value = context.expand(&raw).map_err(ActionError::Template)?;
        if !value.is_omit() {
            given.insert(name.clone(), context.to_data(&value)?);
        }
    }
    Ok(given)
}
