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

/// The same without the playbooks: clap's scripts take the first word for a playbook or for a program,
/// not for what fits. [`first_word`] mends that.
fn without_playbooks() -> Command {
    let whole = whole();
    let options = whole.get_arguments().filter(|arg| !arg.is_positional());
    Command::new("rplay")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(options.cloned().collect::<Vec<_>>())
        .subcommands(whole.get_subcommands().cloned().collect::<Vec<_>>())
}

/// Has a first word that names no program mean a playbook, which files stand for.
fn first_word(shell: Shell, script: &str) -> String {
    let words: Vec<&str> = PROGRAMS.iter().map(|program| program.word).collect();
    match shell {
        Shell::Bash => {
            let begin = "_rplay() {\n";
            let files = "_rplay() {\n    _rplay_words \"$@\"\n    if [[ ${COMP_CWORD} -eq 1 && ${COMP_WORDS[1]} != -* ]]; then\n        COMPREPLY+=( $(compgen -f -- \"${COMP_WORDS[1]}\") )\n    fi\n}\n\n_rplay_words() {\n";
            script.replacen(begin, files, 1)
        }
        Shell::Zsh => {
            let begin = "_rplay() {\n";
            let words = words.join("|");
            let insert = format!(
                "_rplay() {{\n    if (( CURRENT > 2 )) && [[ $words[2] != ({words}) ]]; then\n        words=(rplay playbook \"${{(@)words[2,-1]}}\")\n        (( CURRENT += 1 ))\n    fi\n"
            );
            let describe = "'rplay commands' commands \"$@\"\n";
            script.replacen(begin, &insert, 1).replacen(
                describe,
                &format!("{describe}    _files\n"),
                1,
            )
        }
        Shell::Fish => {
            let any = "if set -q argv[1]\n";
            let known = format!(
                "if set -q argv[1]; and contains -- $argv[1] {}\n",
                words.join(" ")
            );
            script.replacen(any, &known, 1)
                + "complete -c rplay -n \"__fish_rplay_needs_command\" -F\n"
        }
        _ => script.to_owned(),
    }
}

fn complete(wanted: &Completions) -> Result<Exit, CommandError> {
    let (name, mut command) = match &wanted.program {
        None => ("rplay", without_playbooks()),
        Some(name) => {
            let program = PROGRAMS.iter().find(|program| program.ansible == name);
            let program = program.ok_or_else(|| unknown(name))?;
            (program.ansible, (program.command)().name(program.ansible))
        }
    };
    let mut text = vec![];
    clap_complete::generate(wanted.shell, &mut command, name, &mut text);
    let script = String::from_utf8_lossy(&text);
    let script = match wanted.program {
        None => first_word(wanted.shell, &script),
        Some(_) => script.into_owned(),
    };
    crate::report::print(&script);
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
