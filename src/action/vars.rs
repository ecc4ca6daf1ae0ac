//! `set_fact` and `include_vars`.

use std::path::{Path, PathBuf};

use rplay_modules::data::{Data, Map};
use rplay_modules::map;
use rplay_modules::regex::{Flags, Regex};

use super::{ActionError, Effect, TaskResult};
use crate::diag::Severity;
use crate::run::context::Context;
use crate::template::value::{Entries, Key, Value, has_delimiters};
use crate::vars::VarMap;

/// Sets variables of the host.
pub(super) fn set_fact(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let mut facts = named(context, context.all_args()?)?;
    let cacheable = facts
        .shift_remove("cacheable")
        .is_some_and(|value| value.is_true());
    if facts.is_empty() {
        return Err(ActionError::new(
            "No key/value pairs provided, at least one is required for this action to succeed",
        ));
    }
    let mut shown = Map::new();
    for (name, value) in &facts {
        if !is_variable_name(name) {
            let msg = format!(
                "The variable name '{name}' is not valid. Variables must start with a letter or underscore character, \
                 and contain only letters, numbers and underscores."
            );
            return Err(ActionError::new(msg));
        }
        shown.insert(name.clone(), context.to_data(value)?);
    }
    let mut result = TaskResult::ok(map! { "ansible_facts" => shown.clone() });
    result
        .result
        .insert("_ansible_facts_cacheable".to_owned(), Data::Bool(cacheable));
    if cacheable {
        result.effects.push(Effect::Facts(shown));
    }
    Ok(result.effect(Effect::SetFacts(facts)))
}

/// The facts with their names templated.
fn named(context: &Context<'_>, facts: VarMap) -> Result<VarMap, ActionError> {
    if !facts.keys().any(|name| has_delimiters(name)) {
        return Ok(facts);
    }
    let mut named = VarMap::new();
    for (name, value) in facts {
        let place = context.args.get(&name).map(|(place, _)| place.clone());
        let raw = Value::template(name.as_str(), place.clone());
        let name = context.expand(&raw)?.to_string();
        match place {
            Some(place) => named.declare(name, &place, value),
            None => drop(named.insert(name, value)),
        }
    }
    Ok(named)
}

fn is_variable_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Reads variables from files.
pub(super) fn include_vars(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only(&[
        "file",
        "dir",
        "name",
        "depth",
        "files_matching",
        "ignore_files",
        "extensions",
        "ignore_unknown_extensions",
        "hash_behaviour",
    ])?;
    let file = match context.value("file")? {
        Some(value) => Some(value.to_string()),
        None => context.free_form()?,
    };
    let paths = match (file, context.text("dir")?) {
        (Some(file), None) => match context.find_file("vars", &file) {
            Some(path) => vec![path],
            None => return Ok(not_found(context, &file)),
        },
        (None, Some(dir)) => files_below(context, &dir)?,
        _ => {
            return Err(ActionError::new(
                "You are mixing file only and dir only arguments, these are incompatible",
            ));
        }
    };
    let mut vars = VarMap::new();
    for path in &paths {
        let checked = context
            .run
            .planner
            .files
            .vars(path)
            .map_err(|problem| ActionError::new(problem.to_string()))?;
        if let Some(problem) = checked
            .problems
            .iter()
            .find(|problem| problem.severity == Severity::Error)
        {
            return Err(ActionError::new(problem.to_string()));
        }
        context.run.templar.note_warnings(checked.problems);
        vars.merge(checked.value);
    }
    if let Some(name) = context.text("name")? {
        let inner: Entries = vars
            .into_iter()
            .map(|(key, value)| (Key::from(key), value))
            .collect();
        vars = VarMap::new();
        let value = Value::lazy_dict(inner);
        let written = context.raw("name");
        let place = match &written {
            Some((_, Value::Str(text))) => text.origin(),
            _ => None,
        };
        match place {
            Some(place) => vars.declare(name, place, value),
            None => drop(vars.insert(name, value)),
        }
    }
    let shown: Map = vars
        .iter()
        .map(|(key, value)| {
            (
                key.clone(),
                context
                    .expand_soft(value)
                    .and_then(|value| value.to_data().ok())
                    .unwrap_or_default(),
            )
        })
        .collect();
    let files: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let result = map! { "ansible_facts" => shown, "ansible_included_var_files" => files };
    Ok(TaskResult::ok(result).effect(Effect::IncludeVars(vars)))
}

fn not_found(context: &Context<'_>, file: &str) -> TaskResult {
    let searched: Vec<String> = context
        .places("vars", file)
        .iter()
        .map(|path| format!("\t{}", path.display()))
        .collect();
    let message = format!(
        "Could not find or access '{file}'\nSearched in:\n{} on the Ansible Controller.",
        searched.join("\n")
    );
    let result = map! { "ansible_facts" => Map::new(), "ansible_included_var_files" => Data::List(vec![]), "message" => message };
    TaskResult {
        failed: true,
        ..TaskResult::ok(result)
    }
}

fn files_below(context: &mut Context<'_>, dir: &str) -> Result<Vec<PathBuf>, ActionError> {
    let root = context
        .find_dir("vars", dir)
        .ok_or_else(|| ActionError::new(format!("{dir} directory does not exist")))?;
    let depth = context.int("depth")?.unwrap_or(0);
    let matching = context.text("files_matching")?;
    let matching = matching
        .map(|pattern| Regex::new(&pattern, Flags::default()))
        .transpose();
    let matching = matching.map_err(|error| {
        ActionError::new(format!(
            "Invalid regular expression in files_matching: {error}"
        ))
    })?;
    let extensions = match context.value("extensions")? {
        Some(Value::List(items)) => items.to_vec().iter().map(ToString::to_string).collect(),
        Some(other) => vec![other.to_string()],
        None => vec!["yaml".to_owned(), "yml".to_owned(), "json".to_owned()],
    };
    let ignored = match context.value("ignore_files")? {
        Some(Value::List(items)) => items.to_vec().iter().map(ToString::to_string).collect(),
        Some(other) => vec![other.to_string()],
        None => vec![],
    };
    let mut walk = walkdir::WalkDir::new(&root).sort_by_file_name();
    if depth > 0 {
        walk = walk.max_depth(usize::try_from(depth).unwrap_or(usize::MAX));
    }
    let wanted = |path: &Path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let extension = path
            .extension()
            .map(|end| end.to_string_lossy().into_owned())
            .unwrap_or_default();
        extensions.contains(&extension)
            && !ignored.contains(&name)
            && matching
                .as_ref()
                .is_none_or(|pattern| pattern.found(&name) == Ok(true))
    };
    Ok(walk
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| wanted(path))
        .collect())
}
