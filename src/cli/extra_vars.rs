//! `--extra-vars` in every form: `a=1 b=2`, JSON or YAML, `@file`.

use std::path::Path;

use crate::diag::{Diagnostic, Severity, Source, Span};
use crate::load::{kv, yaml};
use crate::plan::{Files, to_vars};
use crate::template::value::Value;
use crate::vars::VarMap;

/// Reads the options in their order; later ones win.
pub(super) fn read(options: &[String], files: &Files, problems: &mut Vec<Diagnostic>) -> VarMap {
    let mut vars = VarMap::new();
    for option in options {
        vars.extend(read_one(option, files, problems));
    }
    vars
}

fn read_one(option: &str, files: &Files, problems: &mut Vec<Diagnostic>) -> VarMap {
    let option = option.trim_start();
    if let Some(path) = option.strip_prefix('@') {
        return match files.vars(Path::new(path)) {
            Ok(checked) => checked.collect(problems),
            Err(problem) => {
                problems.push(problem);
                VarMap::new()
            }
        };
    }
    if option.starts_with(['{', '[', '/', '.']) {
        let source = Source::new("<extra vars>", option);
        let mut nodes = yaml::parse(&source).collect(problems);
        if problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
            || nodes.is_empty()
        {
            return VarMap::new();
        }
        return to_vars(&nodes.swap_remove(0), files, problems);
    }
    let source = Source::new("<extra vars>", option);
    match kv::parse_kv(option, false) {
        Ok(parsed) => parsed
            .options
            .into_iter()
            .map(|(name, word)| (name, Value::template(word.value, None)))
            .collect(),
        Err(error) => {
            problems.push(
                Diagnostic::error("extra-vars", error.to_string()).at(&Span::start_of(&source)),
            );
            VarMap::new()
        }
    }
}
