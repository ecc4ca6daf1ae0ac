//! Running programs from modules: the same errors everywhere.

use std::path::{Path, PathBuf};

use rplay_modules::machine::{Command, Machine, Output, Ran};
use rplay_modules::outcome::Failure;
use rplay_modules::text::quote;

/// Asks a program that changes nothing.
pub(crate) fn ask<S: Into<String>>(
    machine: &mut dyn Machine,
    argv: impl IntoIterator<Item = S>,
) -> Result<Output, Failure> {
    query(machine, &Command::new(argv).c_locale())
}

/// [`ask`] with a command that is there already.
pub(crate) fn query(machine: &mut dyn Machine, command: &Command) -> Result<Output, Failure> {
    let name = command.argv.first().cloned().unwrap_or_default();
    machine
        .query(command)
        .map_err(|error| missing(&name, &error))
}

/// Runs a program that changes something; `None`: in check mode it would have run.
pub(crate) fn change(
    machine: &mut dyn Machine,
    command: &Command,
) -> Result<Option<Output>, Failure> {
    let name = command.argv.first().cloned().unwrap_or_default();
    match machine
        .run(command)
        .map_err(|error| missing(&name, &error))?
    {
        Ran::Done(output) => Ok(Some(output)),
        Ran::Predicted => Ok(None),
    }
}

fn missing(name: &str, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Failure::new(format!(
            "Failed to find required executable \"{name}\" in paths"
        ));
    }
    Failure::new(format!("cannot run `{name}`: {error}"))
}

/// Whether a program is in one of the usual folders.
pub(crate) fn installed(machine: &mut dyn Machine, name: &str) -> bool {
    path_of(machine, name).is_some()
}

/// The path of a program in one of the usual folders.
pub(crate) fn path_of(machine: &mut dyn Machine, name: &str) -> Option<PathBuf> {
    [
        "/usr/bin",
        "/bin",
        "/usr/sbin",
        "/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
    ]
    .iter()
    .map(|folder| Path::new(folder).join(name))
    .find(|path| matches!(machine.stat(path, true), Ok(Some(_))))
}

/// The path of a program that has to be there: by `PATH`, then in the usual folders.
pub(crate) fn required(machine: &mut dyn Machine, name: &str) -> Result<String, Failure> {
    let process = machine.process();
    let folders: Vec<&str> = process.search_path().collect();
    let found = folders
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| matches!(machine.stat(path, true), Ok(Some(_))));
    match found.or_else(|| path_of(machine, name)) {
        Some(path) => Ok(path.to_string_lossy().into_owned()),
        None => {
            let sbin = ["/sbin", "/usr/sbin", "/usr/local/sbin"];
            let further = sbin.into_iter().filter(|folder| !folders.contains(folder));
            let all: Vec<&str> = folders.iter().copied().chain(further).collect();
            Err(Failure::new(format!(
                "Failed to find required executable \"{name}\" in paths: {}",
                all.join(":")
            )))
        }
    }
}

/// A failure with what the program left.
pub(crate) fn failed(msg: impl Into<String>, output: &Output) -> Failure {
    Failure::new(msg)
        .with("rc", output.code)
        .with("stdout", output.stdout_text())
        .with("stderr", output.stderr_text())
}

/// A failure in a program's own words.
pub(crate) fn refused(command: &Command, output: &Output) -> Failure {
    failed(output.stderr_text().trim_end(), output).with("cmd", quoted(&command.argv))
}

/// All that a program said, for messages that hold both.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", output.stdout_text(), output.stderr_text())
}

/// A program's words as a shell would take them.
pub(crate) fn quoted(argv: &[String]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// Runs a program that changes something, and that must get through.
pub(crate) fn must(machine: &mut dyn Machine, command: &Command) -> Result<(), Failure> {
    match change(machine, command)? {
        Some(output) if output.code != 0 => Err(refused(command, &output)),
        _ => Ok(()),
    }
}
