//! `rplay completions SHELL` and `rplay man`: what shells and readers are told of the options, from the
//! same table that reads them.

use clap::{Command, Parser};
use clap_complete::Shell;

use super::programs::{Call, PROGRAMS, parse};
use super::{CommandError, Exit, finish};
use crate::diag::Diagnostic;
use crate::secrets::Secrets;

/// Prints the completions of a shell.
#[derive(Debug, Parser)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
    /// For one of Ansible's names, such as `ansible-playbook`, by which this program is called
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
}

/// Prints the manual page.
#[derive(Debug, Parser)]
pub(super) struct Manual {
    /// The program: `playbook`, `adhoc`, ...; without it all of them
    program: Option<String>,
}

/// Runs `completions`.
pub(super) fn completions(call: &Call) -> Exit {
    match parse::<Completions>(call) {
        Ok(wanted) => finish(complete(&wanted), &Secrets::default()),
        Err(exit) => exit,
    }
}

/// Runs `man`.
pub(super) fn manual(call: &Call) -> Exit {
    match parse::<Manual>(call) {
        Ok(wanted) => finish(page(&wanted), &Secrets::default()),
        Err(exit) => exit,
    }
}

/// The whole program: every option of every word.
pub(super) fn whole() -> Command {
    let words = PROGRAMS
        .iter()
        .map(|program| (program.command)().name(program.word));
    (PROGRAMS[0].command)()
        .name("rplay")
        .bin_name("rplay")
        .about("Runs Ansible playbooks; and the other programs of Ansible, by their words")
        .version(env!("CARGO_PKG_VERSION"))
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .disable_help_subcommand(true)
        .subcommands(words)
}

fn complete(wanted: &Completions) -> Result<Exit, CommandError> {
    let (name, mut command) = match &wanted.program {
        None => ("rplay", whole()),
        Some(name) => {
            let program = PROGRAMS.iter().find(|program| program.ansible == name);
            let program = program.ok_or_else(|| unknown(name))?;
            (program.ansible, (program.command)().name(program.ansible))
        }
    };
    let mut text = vec![];
    clap_complete::generate(wanted.shell, &mut command, name, &mut text);
    crate::report::print(&String::from_utf8_lossy(&text));
    Ok(Exit::Ok)
}

fn page(wanted: &Manual) -> Result<Exit, CommandError> {
    let command = match &wanted.program {
        None => whole(),
        Some(word) => {
            let program = PROGRAMS.iter().find(|program| program.word == word);
            let program = program.ok_or_else(|| unknown(word))?;
            (program.command)()
                .name(program.name)
                .version(env!("CARGO_PKG_VERSION"))
        }
    };
    let mut text = vec![];
    // Writing into memory does not fail.
    let _ = clap_mangen::Man::new(command).render(&mut text);
    crate::report::print(&String::from_utf8_lossy(&text));
    Ok(Exit::Ok)
}

fn unknown(name: &str) -> CommandError {
    let text = format!("there is no program `{name}`");
    CommandError::new(Exit::Usage, Diagnostic::error("unknown-program", text))
}
