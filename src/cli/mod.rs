//! Programs: for each the argument struct, then one function. Exit codes are decided here.

mod adhoc;
mod config;
mod console;
mod doc;
mod editor;
mod extra_vars;
mod graph;
mod interrupt;
mod inventory;
mod lint;
mod listing;
mod options;
mod passwords;
mod plan;
mod playbook;
mod post;
mod programs;
mod resume;
mod rollback;
mod runs;
mod session;
mod shell;
mod told;
mod toml;
mod vault;
mod version;
mod why;

pub use interrupt::is_ignored;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::config::Config;
use crate::diag::{Diagnostic, Style, render};
use crate::report;
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

/// Stops with all reasons, when there are any: `text` says what is refused, `hint` what to do instead.
pub(crate) fn refuse(
    code: &'static str,
    text: &str,
    reasons: &[String],
    hint: &str,
) -> Result<(), CommandError> {
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(refused(code, text, reasons, hint)),
    }
}

/// The error of something that is refused for these reasons.
pub(crate) fn refused(
    code: &'static str,
    text: &str,
    reasons: &[String],
    hint: &str,
) -> CommandError {
    let reasons: Vec<String> = reasons.iter().map(|one| format!("  * {one}")).collect();
    let text = format!("{text}:\n{}", reasons.join("\n"));
    CommandError::new(Exit::Error, Diagnostic::error(code, text).hint(hint))
}

/// Runs the program with its arguments, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let exit = programs::run(&args);
    // They are told without secrets, because nothing is told of values.
    tell(&report::findings::write(), &Secrets::default());
    ExitCode::from(u8::try_from(exit.code()).unwrap_or(250))
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

/// Prints problems on standard error and in the log, without secrets.
pub(crate) fn tell(problems: &[Diagnostic], hidden: &Secrets) {
    for problem in problems {
        let text = render(problem, Style::default());
        report::problem(problem.severity, &hidden.text(&text));
        report::findings::note(problem, hidden);
    }
}

/// Opens the log file that the settings name; without it the run goes on.
pub(crate) fn open_log(config: &Config, problems: &mut Vec<Diagnostic>) {
    if let Err(error) = report::open_log(config) {
        let path = config.path("log_path").unwrap_or_default();
        if path.is_dir() {
            let text = format!(
                "DEFAULT_LOG_PATH can not be a directory '{}', aborting",
                path.display()
            );
            return problems.push(Diagnostic::warning("log-file", text));
        }
        let text = format!(
            "log file at '{}' is not writeable and we cannot create it, aborting\n",
            path.display()
        );
        let problem = Diagnostic::warning("log-file", text);
        problems.push(match error.kind() {
            std::io::ErrorKind::NotFound => problem,
            _ => problem.cause(error.to_string()),
        });
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
