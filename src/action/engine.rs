//! Actions that only concern the run itself: `debug`, `assert`, `fail`, `meta`, `add_host` ...

use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use super::{ActionError, Effect, TaskResult};
use crate::diag::{Diagnostic, Span};
use crate::load::node::NodeKind;
use crate::load::{VARIABLE_NAMES, is_variable_name};
use crate::run::context::{Context, to_bool};
use crate::template::value::{Key, Value};
use crate::template::{Templar, TemplateError};
use crate::vars::VarMap;

/// Prints a message or a variable.
pub(super) fn debug(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    if context.has("msg") && context.has("var") {
        let text = "parameters are mutually exclusive: msg|var".to_owned();
        return Err(ActionError::Denied(text));
    }
    let wanted = context.int("verbosity")?.unwrap_or(0);
    if i128::from(context.run.options.verbosity) < wanted {
        let msg = "Verbosity threshold not met.";
        return Ok(TaskResult {
            skipped: true,
            ..TaskResult::ok(map! { "skipped_reason" => msg })
        });
    }
    let mut result = Map::new();
    if let Some((_, var)) = context.raw("var") {
        let value = match &var {
            Value::Str(_) => context.expand(&var)?,
            other => other.clone(),
        };
        let (name, shown) = match &value {
            Value::Str(text) => {
                let name = text.as_str().to_owned();
                let templar = &context.run.templar;
                let found = match templar.expression_soft(&name, text.origin(), context.scope) {
                    Ok(found) => found,
                    Err(error) if error.undefined => Value::undefined(error.diagnostic.message),
                    Err(error) => {
                        return Err(ActionError::Expression {
                            what: "Error while resolving `var` expression",
                            place: text.origin().cloned(),
                            error,
                        });
                    }
                };
                let mut gaps = Gaps {
                    templar,
                    place: text.origin(),
                    count: 0,
                };
                let shown = context.to_data(&gaps.filled(&found))?;
                (name, shown)
            }
            // A list or dictionary has no name of its own.
            other => (
                format!("<class '{}'>", other.type_name()),
                context.to_data(other)?,
            ),
        };
        result.insert(name, shown);
    } else {
        let msg = match context.args.get("msg") {
            Some((_, raw)) => context.argument("msg", raw)?,
            None => Value::omit(),
        };
        // A message that is null is left out, but the result is about one.
        match msg {
            Value::None => result.insert("_ansible_null_message".to_owned(), Data::Bool(true)),
            msg if msg.is_omit() => result.insert("msg".to_owned(), Data::from("Hello world!")),
            msg => result.insert("msg".to_owned(), context.to_data(&msg)?),
        };
    }
    result.insert("_ansible_verbose_always".to_owned(), Data::Bool(true));
    Ok(TaskResult::ok(result))
}

/// Numbers what is undefined in a value, and tells the user of it.
struct Gaps<'a> {
    templar: &'a Templar,
    /// Where the value was asked for.
    place: Option<&'a Span>,
    count: usize,
}

impl Gaps<'_> {
    /// The value with a remark in place of everything that is not there.
    fn filled(&mut self, value: &Value) -> Value {
        match value {
            Value::Undefined(undefined) => {
                self.count += 1;
                let why = format!("error {} - {}", self.count, undefined.message);
                let text = format!("Encountered 1 template error.\n{why}");
                let problem = Diagnostic::warning("undefined-variable", text);
                self.templar
                    .note(match undefined.span.as_ref().or(self.place) {
                        Some(place) => problem.at(place),
                        None => problem,
                    });
                Value::str(format!("<< {why} >>"))
            }
            Value::List(list) => {
                let items = list.to_vec();
                Value::list(items.iter().map(|item| self.filled(item)).collect())
            }
            Value::Dict(dict) => {
                let entries = dict.read().clone();
                let entries = entries
                    .into_iter()
                    .map(|(key, item)| (key, self.filled(&item)));
                Value::dict(entries.collect())
            }
            other => other.clone(),
        }
    }
}

/// Checks conditions.
pub(super) fn assert(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let Some((_, that)) = context.raw("that") else {
        let missing = "missing required arguments: that".to_owned();
        return Err(ActionError::Denied(missing));
    };
    let quiet = context.bool("quiet")?.unwrap_or(false);
    let failure = match message(context, "fail_msg", "fail_msg")? {
        Some(message) => Some(message),
        None => message(context, "msg", "fail_msg")?,
    };
    let success = message(context, "success_msg", "success_msg")?;
    let conditions = match &that {
        Value::List(items) => items.to_vec(),
        one => vec![one.clone()],
    };
    for condition in &conditions {
        if context.condition(condition)? {
            continue;
        }
        let mut result = Map::new();
        result.insert("evaluated_to".to_owned(), Data::Bool(false));
        result.insert("assertion".to_owned(), context.shown_condition(condition));
        let message = failure.unwrap_or_else(|| Data::from("Assertion failed"));
        result.insert("msg".to_owned(), message);
        if !quiet {
            result.insert("_ansible_verbose_always".to_owned(), Data::Bool(true));
        }
        return Ok(TaskResult {
            failed: true,
            ..TaskResult::ok(result)
        });
    }
    let message = success.unwrap_or_else(|| Data::from("All assertions passed"));
    let mut result = Map::new();
    result.insert("msg".to_owned(), message);
    if !quiet {
        result.insert("_ansible_verbose_always".to_owned(), Data::Bool(true));
    }
    Ok(TaskResult::ok(result))
}

/// A message of `assert`: a text or a list of texts.
fn message(context: &Context<'_>, name: &str, told: &str) -> Result<Option<Data>, ActionError> {
    let Some(value) = context.value(name)? else {
        return Ok(None);
    };
    let data = context.to_data(&value)?;
    let fits = match &data {
        Data::List(items) => items.iter().all(|item| matches!(item, Data::Str(_))),
        one => matches!(one, Data::Str(_)),
    };
    if fits {
        return Ok(Some(data));
    }
    Err(ActionError::Denied(format!(
        "argument '{told}' is of type {} and we were unable to convert to str_or_list_of_str: a string or list of strings is required",
        value.type_name()
    )))
}

/// Fails with a message.
pub(super) fn fail(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let msg = match context.args.get("msg") {
        Some((_, raw)) => context.argument("msg", raw)?,
        None => Value::omit(),
    };
    let msg = match msg {
        msg if msg.is_omit() => Data::from("Failed as requested from task"),
        msg => context.to_data(&msg)?,
    };
    Ok(TaskResult {
        failed: true,
        ..TaskResult::ok(map! { "msg" => msg })
    })
}

/// Adds a host to the inventory of this run.
pub(super) fn add_host(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let mut args = context.all_args()?;
    let mut take = |names: &[&str]| names.iter().find_map(|name| args.shift_remove(*name));
    let Some(name) = take(&["name", "hostname", "host"]) else {
        let text = "name, host or hostname needs to be provided".to_owned();
        return Err(ActionError::Denied(text));
    };
    let groups = take(&["groups", "groupname", "group"]);
    let groups = groups.map(|value| words(&value)).unwrap_or_default();
    let mut name = name.to_string();
    let mut vars: VarMap = args;
    // `name: host:port` sets the port, as in an inventory.
    if let Some((host, port)) = name.clone().rsplit_once(':')
        && !host.contains(':')
        && let Ok(port) = port.parse::<u16>()
    {
        name = host.to_owned();
        vars.insert("ansible_ssh_port".to_owned(), Value::Int(port.into()));
    }
    let host_vars: Map = vars
        .iter()
        .map(|(key, value)| Ok((key.clone(), context.to_data(value)?)))
        .collect::<Result<_, ActionError>>()?;
    let result = map! {
        "add_host" => map! { "host_name" => name.as_str(), "groups" => groups.clone(), "host_vars" => host_vars },
    };
    let inventory = &context.world.vars.inventory;
    let known = inventory.hosts.contains_key(&name);
    let member = inventory.group_names(&name);
    let added = context.world.memory.get(&name).map(|memory| &memory.added);
    let differs = |(key, value): (&String, &Value)| {
        let old = added.and_then(|added| added.get(key));
        old.is_none_or(|old| old.repr() != value.repr())
    };
    let changed =
        !known || groups.iter().any(|group| !member.contains(group)) || vars.iter().any(differs);
    Ok(TaskResult::changed(changed, result).effect(Effect::AddHost { name, groups, vars }))
}

/// Puts the host into a group named by its variables.
pub(super) fn group_by(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let Some(key) = context.value("key")? else {
        return Err(ActionError::new(
            "the 'key' param is required when using group_by",
        ));
    };
    // Only the result, and the names of the parents, are without blanks.
    let key = key.to_string();
    let parents = context
        .value("parents")?
        .map_or(vec!["all".to_owned()], |value| words(&value));
    let parents: Vec<String> = parents
        .into_iter()
        .map(|name| name.replace(' ', "-"))
        .collect();
    let result = map! { "add_group" => key.replace(' ', "-"), "parent_groups" => parents.clone() };
    let inventory = &context.world.vars.inventory;
    let member = inventory.group_names(context.host).contains(&key);
    // New parents are the work of the host that comes first.
    let below = |parent: &String| {
        let group = inventory.groups.get(&key);
        group.is_some_and(|group| group.parents.contains(parent))
    };
    let changed = !member || (context.first && !parents.iter().all(below));
    Ok(TaskResult::changed(changed, result).effect(Effect::GroupBy { key, parents }))
}

/// Hands values to the end of the run.
pub(super) fn set_stats(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let data = match context.raw("data") {
        Some((_, raw)) => match context.to_data(&named(context, raw)?)? {
            Data::Map(data) => data,
            _ => {
                let msg = "The 'data' option needs to be a dictionary/hash";
                return Err(ActionError::new(msg));
            }
        },
        None => Map::new(),
    };
    for name in data.keys() {
        if !is_variable_name(name) {
            return Err(wrong_name(context, name));
        }
    }
    // What is neither true nor false counts as false here.
    let flag = |name| -> Result<Option<bool>, ActionError> {
        let value = context.value(name)?;
        Ok(value.map(|value| to_bool(&value).unwrap_or(false)))
    };
    let per_host = flag("per_host")?.unwrap_or(false);
    let aggregate = flag("aggregate")?.unwrap_or(true);
    let stats = map! { "data" => data.clone(), "per_host" => per_host, "aggregate" => aggregate };
    let result = map! { "ansible_stats" => stats };
    Ok(TaskResult::ok(result).effect(Effect::Stats {
        data,
        per_host,
        aggregate,
    }))
}

/// The values, templated as well as their names.
fn named(context: &Context<'_>, data: Value) -> Result<Value, ActionError> {
    let Value::Dict(entries) = data else {
        return context.argument("data", &data);
    };
    let entries = entries.read().clone().into_iter();
    let named = entries.map(|(key, value)| Ok((Key(context.expand(&key.0)?), value)));
    let named = Value::dict(named.collect::<Result<_, ActionError>>()?);
    context.argument("data", &named)
}

/// A name in `data` that no variable may have.
fn wrong_name(context: &Context<'_>, name: &str) -> ActionError {
    let call = &context.spec.task.ast.call;
    let data = call.args.get("data").map(|arg| &arg.value);
    let key = data.and_then(|data| match &data.kind {
        NodeKind::Map(entries) => {
            let mut keys = entries.iter().map(|(key, _)| key);
            keys.find(|key| key.as_str() == Some(name))
        }
        _ => None,
    });
    not_a_name(name, key.or(data).map_or(&call.span, |node| &node.span))
}

/// A name that no variable may have, and where it stands.
pub(super) fn not_a_name(name: &str, place: &Span) -> ActionError {
    let text = format!("Invalid variable name '{name}'.");
    let problem = Diagnostic::error("variable-name", text).at(place);
    ActionError::Template(TemplateError {
        diagnostic: Box::new(problem.hint(VARIABLE_NAMES)),
        undefined: false,
    })
}

/// A list, or a text with commas.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.to_vec().iter().map(ToString::to_string).collect(),
        other => other
            .to_string()
            .split(',')
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect(),
    }
}
