//! `set_fact` and `include_vars`.

use std::path::{Path, PathBuf};

use rplay_modules::data::{Data, Map};
use rplay_modules::map;
use rplay_modules::regex::{Flags, Regex};

use super::engine::not_a_name;
use super::{ActionError, Effect, TaskResult};
use crate::diag::{Severity, Span};
use crate::load::is_variable_name;
use crate::run::context::Context;
use crate::template::Scope;
use crate::template::value::{Entries, Key, Value, has_delimiters};
use crate::vars::{VarMap, merged};

/// Sets variables of the host.
pub(super) fn set_fact(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let mut facts = named(context, context.all_args()?)?;
    let cacheable = facts
        .shift_remove("cacheable")
        .is_some_and(|value| value.is_true());
    if facts.is_empty() {
        let text =
            "No key/value pairs provided, at least one is required for this action to succeed";
        return Err(ActionError::Denied(text.to_owned()));
    }
    let mut shown = Map::new();
    for (name, value) in &facts {
        context.run.templar.hide_named(name, value);
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

/// The facts with their names templated, which have to be names of variables.
fn named(context: &Context<'_>, facts: VarMap) -> Result<VarMap, ActionError> {
    let fits = |name: &str, place: Option<&Span>| {
        let place = place.unwrap_or(&context.spec.task.ast.call.span);
        let fits = is_variable_name(name);
        fits.then_some(()).ok_or_else(|| not_a_name(name, place))
    };
    let place_of = |name: &String| context.args.get(name).map(|(place, _)| place.clone());
    if !facts.keys().any(|name| has_delimiters(name)) {
        for name in facts.keys() {
            fits(name, place_of(name).as_ref())?;
        }
        return Ok(facts);
    }
    let mut named = VarMap::new();
    for (name, value) in facts {
        let place = place_of(&name);
        let raw = Value::template(name.as_str(), place.clone());
        let name = context.expand(&raw)?.to_string();
        fits(&name, place.as_ref())?;
        match place {
            Some(place) => named.declare(name, &place, value),
            None => drop(named.insert(name, value)),
        }
    }
    Ok(named)
}

/// Reads variables from files.
pub(super) fn include_vars(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let file = match context.value("file")? {
        Some(value) => Some(value.to_string()),
        None => context.free_form()?,
    };
    let paths = match (file, context.text("dir")?) {
        (Some(file), None) => match context.find_file("vars", &file) {
            Some(path) => vec![path],
            None => return Ok(stopped(not_found(context, &file), &[])),
        },
        (None, Some(dir)) => match files_below(context, &dir)? {
            Ok(paths) => paths,
            Err(stopped) => return Ok(*stopped),
        },
        _ => {
            let text = "You are mixing file only and dir only arguments, these are incompatible";
            return Err(ActionError::Bare(text.to_owned()));
        }
    };
    let mut vars = VarMap::new();
    for (at, path) in paths.iter().enumerate() {
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
            if problem.code == "vars-not-a-mapping" {
                let path = path.display();
                let message = format!("'{path}' must be stored as a dictionary/hash");
                return Ok(stopped(message, &paths[..at]));
            }
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
    if context.text("hash_behaviour")?.as_deref() == Some("merge") {
        let names: Vec<String> = vars.keys().cloned().collect();
        for name in names {
            let (known, value) = (context.scope.get(&name), vars.get(&name));
            if let (Some(known), Some(value)) = (known, value.cloned()) {
                vars.insert(name, merged(&known, value));
            }
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

fn not_found(context: &Context<'_>, file: &str) -> String {
    crate::run::context::nowhere(file, &context.places("vars", file))
}

/// A failure after some files were read: none of their variables is set.
fn stopped(message: String, read: &[PathBuf]) -> TaskResult {
    let read = read.iter().map(|path| path.display().to_string());
    let read: Vec<String> = read.collect();
    let result = map! { "ansible_facts" => Map::new(), "ansible_included_var_files" => read, "message" => message };
    TaskResult {
        failed: true,
        ..TaskResult::ok(result)
    }
}

/// The files of variables in a folder and below it, or why they are not read.
fn files_below(
    context: &mut Context<'_>,
    dir: &str,
) -> Result<Result<Vec<PathBuf>, Box<TaskResult>>, ActionError> {
    let stop = |message: String, read: &[PathBuf]| Ok(Err(Box::new(stopped(message, read))));
    let Some(root) = context.find_dir("vars", dir) else {
        let places = context.places("vars", dir);
        if let Some(file) = places.iter().find(|path| path.exists()) {
            return stop(format!("{} is not a directory", file.display()), &[]);
        }
        let place = places.last().map_or(Path::new(dir), PathBuf::as_path);
        return stop(format!("{} directory does not exist", place.display()), &[]);
    };
    let depth = context.int("depth")?.unwrap_or(0);
    let pattern = |text: &str, option: &str| {
        Regex::new(text, Flags::default()).map_err(|error| {
            ActionError::new(format!("Invalid regular expression in {option}: {error}"))
        })
    };
    let matching = context.text("files_matching")?;
    let matching = matching.map(|text| pattern(&text, "files_matching"));
    let matching = matching.transpose()?;
    let extensions = texts(context.value("extensions")?)
        .unwrap_or_else(|| ["yaml", "yml", "json"].map(str::to_owned).to_vec());
    let strangers = context.bool("ignore_unknown_extensions")?.unwrap_or(false);
    let ignored = texts(context.value("ignore_files")?).unwrap_or_default();
    let ignored = ignored
        .iter()
        .map(|text| pattern(&format!("{text}$"), "ignore_files"));
    let ignored = ignored.collect::<Result<Vec<Regex>, ActionError>>()?;
    let mut walk = walkdir::WalkDir::new(&root).sort_by_file_name();
    if depth > 0 {
        walk = walk.max_depth(usize::try_from(depth).unwrap_or(usize::MAX));
    }
    let files = walk.into_iter().flatten();
    let mut found = vec![];
    for entry in files.filter(|entry| entry.file_type().is_file()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let matches = |pattern: &Regex| pattern.found(&name) == Ok(true);
        if matching.as_ref().is_some_and(|pattern| !matches(pattern)) || ignored.iter().any(matches)
        {
            continue;
        }
        let path = entry.into_path();
        let extension = path.extension().map(|end| end.to_string_lossy());
        if extension.is_some_and(|end| extensions.iter().any(|known| *known == end)) {
            found.push(path);
        } else if !strangers {
            let message = format!(
                "'{}' does not have a valid extension: {}",
                path.display(),
                extensions.join(", ")
            );
            return stop(message, &found);
        }
    }
    Ok(Ok(found))
}

/// A list of texts, or one.
fn texts(value: Option<Value>) -> Option<Vec<String>> {
    Some(match value? {
        Value::List(items) => items.to_vec().iter().map(ToString::to_string).collect(),
        other => vec![other.to_string()],
    })
}
