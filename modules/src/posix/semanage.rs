//! What the modules of SELinux share: whether it is on, and the program that keeps its policy.

use std::path::Path;

use rplay_modules::machine::{Command, Machine};
use rplay_modules::outcome::Failure;

use crate::builtin::programs;

/// Where the kernel tells whether the policy is enforced; not there while SELinux is off.
pub(crate) const ENFORCE: &str = "/sys/fs/selinux/enforce";

/// Whether SELinux is on.
pub(crate) fn enabled(machine: &mut dyn Machine) -> bool {
    matches!(machine.stat(Path::new(ENFORCE), true), Ok(Some(_)))
}

/// Fails where SELinux is off, unless that does not matter to the task.
pub(crate) fn must_be_on(machine: &mut dyn Machine, ignore: bool) -> Result<(), Failure> {
    match ignore || enabled(machine) {
        true => Ok(()),
        false => Err(Failure::new("SELinux is disabled on this host.")),
    }
}

/// What `semanage` lists.
pub(crate) fn list(machine: &mut dyn Machine, words: &[&str]) -> Result<String, Failure> {
    let command = command(words);
    let output = programs::query(machine, &command)?;
    match output.code {
        0 => Ok(output.stdout_text()),
        _ => Err(Failure::new(output.stderr_text())),
    }
}

/// Changes the policy with `semanage`; without `reload` the running one stays.
pub(crate) fn change(
    machine: &mut dyn Machine,
    words: &[&str],
    reload: bool,
) -> Result<(), Failure> {
    let mut command = command(words);
    if !reload {
        command.argv.insert(2, "-N".to_owned());
    }
    match programs::change(machine, &command)? {
        Some(output) if output.code != 0 => {
            // Other lines warn of users and the like.
            let text = output.stderr_text();
            let error = text
                .lines()
                .rev()
                .find(|line| line.starts_with("ValueError"));
            Err(Failure::new(match error {
                Some(line) => format!("{line}\n"),
                None => text,
            }))
        }
        _ => Ok(()),
    }
}

fn command(words: &[&str]) -> Command {
    Command::new(std::iter::once("semanage").chain(words.iter().copied())).c_locale()
}
