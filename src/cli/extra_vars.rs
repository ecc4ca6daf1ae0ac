//! `--extra-vars` in every form: `a=1 b=2`, JSON or YAML, `@file`.

use std::path::Path;
use std::sync::Arc;

use super::{CommandError, Exit};
use crate::config::Config;
use crate::diag::{Checked, Diagnostic, Severity, Source, Span, similar_file};
use crate::load::node::{Node, NodeKind};
use crate::load::{kv, yaml};
use crate::plan::{Files, to_vars};
use crate::template::value::Value;
use crate::vars::VarMap;

/// What places in the options are called.
const OPTION: &str = "<CLI option '-e'>";

/// Reads the options in their order; later ones win.
///
/// What is odd in them goes to `warnings`. With `hash_behaviour = merge` dictionaries of one name are merged.
pub(super) fn read(
    options: &[String],
    files: &Files,
    config: &Config,
    warnings: &mut Vec<Diagnostic>,
) -> Result<VarMap, CommandError> {
    let merging = config.merges_dictionaries();
    let mut vars = VarMap::new();
    for option in options {
        let one = read_one(option.trim_start(), files, warnings)?;
        if merging {
            vars.merge_within(one);
        } else {
            vars.merge(one);
        }
    }
    Ok(vars)
}

fn read_one(
    option: &str,
    files: &Files,
    warnings: &mut Vec<Diagnostic>,
) -> Result<VarMap, CommandError> {
    if let Some(path) = option.strip_prefix('@') {
        let shown = std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_path_buf());
        let file = shown.clone();
        let shown = shown.display();
        if !Path::new(path).exists() {
            let message = format!(
                "Unable to retrieve file contents. Could not find or access '{shown}' on the Ansible Controller: [Errno 2] No such file or directory: '{shown}'"
            );
            let problem = Diagnostic::error("missing-file", message);
            let problem = match similar_file(Path::new(path)) {
                Some(near) => problem.hint(format!("did you mean `-e @{near}`?")),
                None => problem,
            };
            return Err(CommandError::new(Exit::Error, problem));
        }
        let source = files.read(&file).map_err(|problem| {
            let exit = match problem.code {
                "vault" => Exit::Error,
                _ => Exit::Parse,
            };
            CommandError::new(exit, problem)
        })?;
        return mapping(&source, &format!("@{shown}"), files, warnings);
    }
    let source = Source::new(OPTION, option);
    if option.starts_with(['{', '[', '/', '.']) {
        return mapping(&source, option, files, warnings);
    }
    match kv::parse_kv(option, false) {
        Ok(parsed) => {
            Ok(parsed
                .options
                .into_iter()
                .fold(VarMap::new(), |mut vars, (name, word)| {
                    files.secrets.hidden.add_named(&name, &word.value);
                    let place = Source::named(OPTION, name.as_str());
                    vars.declare(name, &place, Value::template(word.value, None));
                    vars
                }))
        }
        Err(error) => {
            let problem = Diagnostic::error("extra-vars", error.to_string());
            let problem = problem.at(&Span::start_of(&source));
            Err(CommandError::new(Exit::Options, problem))
        }
    }
}

/// The variables of a text that must be a mapping.
fn mapping(
    source: &Arc<Source>,
    shown: &str,
    files: &Files,
    warnings: &mut Vec<Diagnostic>,
) -> Result<VarMap, CommandError> {
    let nodes = sound(yaml::parse(source), warnings)?;
    match nodes.into_iter().next() {
        Some(
            node @ Node {
                kind: NodeKind::Map(_),
                ..
            },
        ) => Ok(to_vars(&node, files)),
        _ => {
            let message = format!(
                "Invalid extra vars data supplied. '{shown}' could not be made into a dictionary"
            );
            let problem = Diagnostic::error("extra-vars", message);
            Err(CommandError::new(Exit::Options, problem))
        }
    }
}

/// A value without errors.
fn sound<T>(checked: Checked<T>, warnings: &mut Vec<Diagnostic>) -> Result<T, CommandError> {
    let (errors, more): (Vec<_>, Vec<_>) = checked
        .problems
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    warnings.extend(more);
    if errors.is_empty() {
        Ok(checked.value)
    } else {
        Err(CommandError {
            exit: Exit::Parse,
            problems: errors,
        })
    }
}
