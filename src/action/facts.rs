//! `gather_facts`: the modules that gather facts, one after the other, and what came of them all.

use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use super::{ActionError, Effect, TaskResult};
use crate::run::GATHERED;
use crate::run::context::Context;
use crate::template::Value;

/// What `smart` stands for.
const SETUP: &str = "ansible.legacy.setup";

/// Arguments that only `setup` takes, as warnings name them.
const OF_SETUP: [(&str, &str); 3] = [
    ("gather_subset", "subset"),
    ("gather_timeout", "timeout"),
    ("filter", "filter"),
];

/// Runs the modules; what one of them finds stays when another fails.
pub(super) async fn gather(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let mut args = context.data_args()?;
    // They run one after the other in any case: the order of the facts is the same.
    if let Some(parallel) = args.shift_remove("parallel") {
        let value = Value::from_data(&parallel);
        crate::run::context::to_bool(&value)
            .ok_or_else(|| ActionError::Bare(no_boolean(&parallel)))?;
    }
    let names = modules(context)?;
    let mut calls = vec![];
    let mut warnings = vec![];
    for name in names {
        let own = arguments(&name, &args, &mut warnings);
        calls.push((name, own));
    }
    let mut all = TaskResult::default();
    let mut facts = Map::new();
    let mut failed = Map::new();
    for (name, args) in calls {
        if rplay_modules::registry::find(&name).is_none() {
            let text = format!("The module {name} was not found in configured module paths");
            warnings.into_iter().for_each(|text| context.warn(text));
            return Err(ActionError::Bare(text));
        }
        let mut result = match context.call_module(&name, &args).await {
            Ok(result) => result,
            Err(ActionError::Arguments(problem)) => {
                let short = crate::load::actions::short(&name);
                let (short, full) = (
                    format!("for ({short}) module"),
                    format!("for ({name}) module"),
                );
                TaskResult::failed(problem.message.replace(&short, &full))
            }
            Err(other) => return Err(other),
        };
        all.changed |= result.changed;
        let of_facts = |effect: &Effect| matches!(effect, Effect::Facts(_));
        all.effects.extend(
            result
                .effects
                .into_iter()
                .filter(|effect| !of_facts(effect)),
        );
        if result.failed {
            failed.insert(name, Data::Map(failure(result.result, &warnings)));
        } else if let Some(Data::Map(found)) = result.result.shift_remove("ansible_facts") {
            facts.extend(found);
        }
    }
    facts.insert(GATHERED.to_owned(), Data::Bool(true));
    // Of a task that fails nothing is remembered.
    if failed.is_empty() {
        all.effects.push(Effect::Facts(facts.clone()));
    }
    all.result = map! { "ansible_facts" => facts };
    if !warnings.is_empty() {
        all.result
            .insert("warnings".to_owned(), warnings.clone().into());
    }
    all.effects
        .extend(warnings.into_iter().map(Effect::Warning));
    if !failed.is_empty() {
        let names: Vec<&str> = failed.keys().map(String::as_str).collect();
        let text = format!(
            "The following modules failed to execute: {}.",
            names.join(", ")
        );
        all.failed = true;
        all.result.insert("msg".to_owned(), Data::Str(text));
        all.result
            .insert("failed_modules".to_owned(), Data::Map(failed));
    }
    Ok(all)
}

/// The modules, each once: the variable, or else the setting.
fn modules(context: &Context<'_>) -> Result<Vec<String>, ActionError> {
    let written = match context.variable("ansible_facts_modules")? {
        Some(Value::List(names)) => names.to_vec().iter().map(ToString::to_string).collect(),
        Some(name) => vec![name.to_string()],
        None => context.run.config.list("facts_modules"),
    };
    let mut names: Vec<String> = vec![];
    for name in written {
        let name = match name.as_str() {
            "smart" => SETUP.to_owned(),
            _ => name,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// What a module gets of the task's arguments.
fn arguments(name: &str, args: &Map, warnings: &mut Vec<String>) -> Map {
    let mut own = args.clone();
    if crate::load::actions::short(name) != "setup" {
        for (argument, called) in OF_SETUP {
            if let Some(value) = own.shift_remove(argument) {
                let value = Value::from_data(&value);
                warnings.push(format!("Not passing {called}({value}) to {name}"));
            }
        }
    }
    own
}

/// The result of a module that failed, as Ansible keeps it.
fn failure(result: Map, warnings: &[String]) -> Map {
    let mut kept = map! {
        "changed" => false,
        "failed" => true,
        "deprecations" => Data::List(vec![]),
        "exception" => "(traceback unavailable)"
    };
    kept.extend(result);
    let own = kept.shift_remove("warnings");
    let own = own.into_iter().flat_map(|own| match own {
        Data::List(own) => own,
        one => vec![one],
    });
    let warnings = warnings.iter().map(|text| Data::from(text.as_str()));
    kept.insert(
        "warnings".to_owned(),
        Data::List(warnings.chain(own).collect()),
    );
    kept
}

fn no_boolean(value: &Data) -> String {
    let value = Value::from_data(value);
    format!("The value {} is not a valid boolean.", value.repr())
}
