//! `rplay doc [MODULE]`: prints a module's table, or the list of modules.

use std::ffi::OsString;

use clap::Parser;

use rplay_modules::args::{Kind, Module};
use rplay_modules::registry;

use super::{CommandError, Exit, finish, usage};
use crate::diag::{Diagnostic, nearest};
use crate::secrets::Secrets;

/// Shows what a module takes and returns.
#[derive(Debug, Parser)]
#[command(name = "rplay doc")]
struct Arguments {
    /// The module; without it all modules are listed
    module: Option<String>,
}

/// Runs the subcommand.
pub(super) fn main(args: &[OsString]) -> Exit {
    let words = std::iter::once(OsString::from("rplay doc")).chain(args.iter().cloned());
    match Arguments::try_parse_from(words) {
        Ok(arguments) => finish(run(&arguments), &Secrets::default()),
        Err(error) => usage(&error),
    }
}

fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let Some(name) = &arguments.module else {
        let mut lines: Vec<String> = registry::modules()
            .map(|module| format!("{:<40} {}", module.name, first_sentence(module.doc)))
            .collect();
        lines.sort();
        crate::report::print(&(lines.join("\n") + "\n"));
        return Ok(Exit::Ok);
    };
    let Some(module) = registry::find(name) else {
        let mut problem = Diagnostic::error("unknown-module", format!("module {name} not found"));
        if let Some(near) = nearest(name, registry::modules().map(Module::short_name)) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        return Err(CommandError::new(Exit::Error, problem));
    };
    crate::report::print(&page(module));
    Ok(Exit::Ok)
}

fn page(module: &Module) -> String {
    let mut text = format!("{}\n\n{}\n\nArguments\n", module.name, module.doc.trim());
    for arg in module.args.iter().filter(|arg| !arg.name.starts_with('_')) {
        let mut facts = vec![kind_name(arg.kind)];
        if arg.required {
            facts.push("required".to_owned());
        }
        facts.extend(arg.default.map(|default| format!("default: {default}")));
        if !arg.choices.is_empty() {
            facts.push(format!("one of: {}", arg.choices.join(", ")));
        }
        if !arg.aliases.is_empty() {
            facts.push(format!("also: {}", arg.aliases.join(", ")));
        }
        facts.extend(arg.refused.map(|why| format!("refused: {why}")));
        text.push_str(&format!(
            "  {} ({})\n      {}\n",
            arg.name,
            facts.join("; "),
            arg.doc.trim().replace('\n', "\n      ")
        ));
    }
    text.push_str("\nReturns\n");
    for value in module.returns {
        text.push_str(&format!(
            "  {} ({})\n      {}\n",
            value.name,
            value.kind,
            value.doc.trim().replace('\n', "\n      ")
        ));
    }
    text
}

fn kind_name(kind: Kind) -> String {
    match kind {
        Kind::List(item) => format!("list of {}", kind_name(*item)),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn first_sentence(doc: &str) -> &str {
    doc.trim().split('\n').next().unwrap_or_default()
}
