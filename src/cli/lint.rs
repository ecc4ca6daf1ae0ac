//! `rplay lint PLAYBOOK...`: what reading tells, and rules that can be decided from the text.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

use super::options::{TaskOptions, Verbosity};
use super::playbook::check_playbook;
use super::programs::{Call, parse};
use super::session::{self, Session};
use super::{CommandError, Exit, finish};
use crate::diag::{Diagnostic, Severity};
use crate::inventory::UNPARSED;
use crate::lint::{self, Settings};
use crate::plan::TagFilter;
use crate::report::{self, findings};
use crate::run;
use crate::secrets::Secrets;

/// The exit code when something is wrong, as `ansible-lint` has it.
const FOUND: i32 = 2;

/// Tells what is wrong with playbooks, and what could be better; exits with 2 when something is.
#[derive(Debug, Parser)]
#[command(after_long_help = rules())]
pub(super) struct Linting {
    /// Playbook(s)
    #[arg(required = true)]
    playbooks: Vec<PathBuf>,
    /// The form of what is told
    #[arg(short, long, value_name = "FORM", value_enum, default_value = "text")]
    format: findings::Form,
    /// Leave out these rules, besides those of the settings
    #[arg(short = 'x', long, value_name = "RULES", value_delimiter = ',')]
    skip_list: Vec<String>,
    /// Only warn of these rules, besides those of the settings
    #[arg(short, long, value_name = "RULES", value_delimiter = ',')]
    warn_list: Vec<String>,
    /// Leave out these files and folders, besides those of the settings
    #[arg(long, value_name = "PATH")]
    exclude: Vec<String>,
    /// Settings in place of `.ansible-lint`
    #[arg(short, long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(flatten)]
    vault: super::vault::VaultOptions,
}

/// The rules, for the long help.
fn rules() -> String {
    format!("Rules: {}", lint::help())
}

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Linting>(call) {
        Ok(arguments) => finish(run(arguments, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn run(arguments: Linting, hidden: &Secrets) -> Result<Exit, CommandError> {
    for path in &arguments.playbooks {
        check_playbook(path)?;
    }
    let named = arguments.config_file.as_deref();
    let settings =
        Settings::load(named).map_err(|problem| CommandError::new(Exit::Options, problem))?;
    let mut problems = settings.problems;
    let mut settings = settings.value;
    settings.skip.extend(arguments.skip_list);
    settings.warn.extend(arguments.warn_list);
    settings.exclude.extend(arguments.exclude);
    problems.extend(settings.problems());
    let options = TaskOptions {
        verbosity: arguments.verbosity,
        vault: arguments.vault,
        ..TaskOptions::default()
    };
    let config = session::config(&mut problems);
    let roles = config.path_list("roles_path");
    let mut read = vec![];
    // Hosts are of no matter here: `localhost` needs no inventory.
    let session = session::prepare(
        &options,
        config,
        "localhost",
        TagFilter::default(),
        &mut read,
        hidden,
    )?;
    let Session { inputs, planner } = session;
    let (extra, magic) = (
        Arc::new(inputs.extra.clone()),
        Arc::new(inputs.magic.clone()),
    );
    let playbooks = arguments.playbooks.iter();
    for path in playbooks.filter(|path| lint::is_playbook(path)) {
        run::plan_playbook(path, &planner, &extra, &magic).collect(&mut read);
    }
    let linted = lint::lint(&arguments.playbooks, &roles, &settings);
    // A key that is there twice is a finding with its own rule, and no hosts are asked for.
    let told = |problem: &Diagnostic| problem.code != "duplicate-key" && problem.code != UNPARSED;
    read.retain(told);
    problems.extend(read);
    problems.extend(linted.problems);
    problems.extend(linted.value);
    let first = arguments
        .playbooks
        .first()
        .map_or_else(String::new, |path| path.display().to_string());
    let text = findings::text(&problems, arguments.format, &first);
    report::print(&hidden.text(&text));
    let wrong = |problem: &Diagnostic| problem.severity == Severity::Error;
    Ok(match problems.iter().any(wrong) {
        true => Exit::Run(FOUND),
        false => Exit::Ok,
    })
}
