//! Subcommands: for each the argument struct, then one function. Exit codes are decided here.

mod config;
mod doc;
mod editor;
mod extra_vars;
mod inventory;
mod listing;
mod playbook;
mod toml;
mod vault;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::Config;
use crate::diag::{Diagnostic, Severity, Style, render};
use crate::secrets::Secrets;

/// Ansible's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything went well.
    Ok,
    /// An error that has no code of its own: a missing playbook, no hosts.
    Error,
    /// Options that do not fit.
    Usage,
    /// A playbook, role or inventory cannot be read.
    Parse,
    /// Bad options (Ansible's `AnsibleOptionsError`).
    Options,
    /// The user interrupted the run.
    Interrupted,
    /// A fault of the program.
    Unexpected,
    /// What the run came to.
    Run(i32),
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Exit::Ok => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::Parse => 4,
            Exit::Options => 5,
            Exit::Interrupted => 99,
            Exit::Unexpected => 250,
            Exit::Run(code) => code,
        }
    }
}

/// What a command that failed says, and its exit code.
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    pub(crate) problems: Vec<Diagnostic>,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, problem: Diagnostic) -> Self {
        Self {
            exit,
            problems: vec![problem],
        }
    }
}

/// Runs the program with its arguments, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let exit = match args.get(1).and_then(|word| word.to_str()) {
        Some("doc") => doc::main(&args[2..]),
        Some("config") => config::main(&args[2..]),
        Some("inventory") => inventory::main(&args[2..]),
        Some("vault") => vault::main(&args[2..]),
        _ => match playbook::Arguments::try_parse_from(&args) {
            Ok(arguments) => {
                let hidden = Secrets::default();
                finish(playbook::run(arguments, &hidden), &hidden)
            }
            Err(error) => usage(&error),
        },
    };
    ExitCode::from(u8::try_from(exit.code()).unwrap_or(250))
}

/// The settings for a run in this folder; warnings of them are told at once.
pub(crate) fn settings(hidden: &Secrets) -> Result<Config, CommandError> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let mut problems = vec![];
    let config = Config::load(&cwd, &|name| std::env::var(name).ok()).collect(&mut problems);
    stop_at_errors(&mut problems, Exit::Options, hidden)?;
    Ok(config)
}

/// Tells warnings; stops when there are errors, which are told together.
pub(crate) fn stop_at_errors(
    problems: &mut Vec<Diagnostic>,
    exit: Exit,
    hidden: &Secrets,
) -> Result<(), CommandError> {
    let found = std::mem::take(problems);
    let (errors, warnings): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    tell(&warnings, hidden);
    if errors.is_empty() {
        Ok(())
    } else {
        Err(CommandError {
            exit,
            problems: errors,
        })
    }
}

/// Prints what went wrong.
pub(crate) fn finish(result: Result<Exit, CommandError>, hidden: &Secrets) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(error) => {
            tell(&error.problems, hidden);
            error.exit
        }
    }
}

/// Prints problems on standard error, without secrets.
pub(crate) fn tell(problems: &[Diagnostic], hidden: &Secrets) {
    let mut err = std::io::stderr().lock();
    for problem in problems {
        let text = render(problem, Style::default());
        // Nobody reads standard error then.
        let _ = err.write_all(hidden.text(&text).as_bytes());
    }
}

/// Prints what the option parser says; help is no error.
pub(crate) fn usage(error: &clap::Error) -> Exit {
    // Nobody reads the output then.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
        _ => Exit::Usage,
    }
}
