//! A file's content put in place: the copy of the old one, the check of the new one, folders and names.

use std::path::{Path, PathBuf};

use super::{cannot_run, local_time, os_error, os_error_text, real_path};
use crate::machine::{Attrs, Command, Content, Machine, Output, Ran};
use crate::outcome::Failure;
use crate::text::split_words;

/// Copies a file to a name with the time in it, `path.PID.YYYY-MM-DD@HH:MM:SS~`; returns the name,
/// or nothing when there is no file.
///
/// # Errors
/// The copy cannot be written.
pub fn backup(machine: &mut dyn Machine, path: &Path) -> Result<Option<String>, Failure> {
    let Some(stat) = machine
        .stat(path, true)
        .map_err(|error| os_error(&error, path))?
    else {
        return Ok(None);
    };
    let now = local_time(machine, "%Y-%m-%d@%H:%M:%S");
    let name = format!("{}.{}.{now}~", path.to_string_lossy(), std::process::id());
    let attrs = Attrs {
        mode: Some(stat.mode),
        ..Attrs::default()
    };
    let target = PathBuf::from(&name);
    let copied = machine
        .write(&target, Content::CopyOf(path), &attrs)
        .and_then(|()| {
            // Only root may give files away; the copy is good without it.
            let _ = machine.chown(&target, Some(stat.uid), Some(stat.gid), false);
            machine.set_times(&target, Some(stat.atime), Some(stat.mtime))
        });
    match copied {
        Ok(()) => Ok(Some(name)),
        Err(error) => {
            let path = path.to_string_lossy();
            Err(format!(
                "Could not make backup of {path} to {name}: {}",
                os_error_text(&error)
            )
            .into())
        }
    }
}

/// What a validation command said.
#[derive(Debug)]
pub enum Validated {
    /// The content is good, or the command could only be predicted.
    Good,
    /// The command refused the content.
    Bad(Output),
}

/// Runs a validation command (`visudo -cf %s`) over content that is about to be put in place.
///
/// # Errors
/// The command has no `%s`, cannot be split, or cannot be started.
pub fn validate(
    machine: &mut dyn Machine,
    command: &str,
    content: Content<'_>,
) -> Result<Validated, Failure> {
    if !command.contains("%s") {
        return Err(format!("validate must contain %s: {command}").into());
    }
    let file = temporary_file(machine, ".ansible_tmp", "validate", content)?;
    let ran = run_validation(machine, &command.replace("%s", &file.to_string_lossy()));
    // It is only a copy; the verdict matters more than a rest in the temporary folder.
    let _ = machine.remove(&file, false);
    match ran? {
        Ran::Done(output) if output.code != 0 => Ok(Validated::Bad(output)),
        _ => Ok(Validated::Good),
    }
}

fn run_validation(machine: &mut dyn Machine, line: &str) -> Result<Ran, Failure> {
    let words = split_words(line)?;
    machine
        .run(&Command {
            judges: true,
            ..Command::new(words.clone())
        })
        .map_err(|error| cannot_run(&words, &error))
}

/// Puts a text in place, after a command of the user found it good. A link stays a link: what it
/// leads to gets the text.
///
/// # Errors
/// The command refused the text, or it cannot be written.
pub fn write_text(
    machine: &mut dyn Machine,
    path: &Path,
    content: &[u8],
    attrs: &Attrs,
    command: Option<&str>,
) -> Result<(), Failure> {
    if let Some(command) = command
        && let Validated::Bad(output) = validate(machine, command, Content::Bytes(content))?
    {
        let (code, error) = (output.code, output.stderr_text());
        return Err(format!("failed to validate: rc:{code} error:{error}").into());
    }
    let target = real_path(machine, path);
    let written = machine.write(&target, Content::Bytes(content), attrs);
    Ok(written.map_err(|error| {
        let path = path.display();
        format!("Could not replace file: {path}: {}", os_error_text(&error))
    })?)
}

/// Makes a directory with those above it that are missing.
///
/// # Errors
/// One of them cannot be made.
pub fn make_dirs(machine: &mut dyn Machine, path: &Path) -> Result<(), Failure> {
    let is_missing = |folder: &&Path| !matches!(machine.stat(folder, true), Ok(Some(_)));
    let missing: Vec<&Path> = path
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty())
        .take_while(is_missing)
        .collect();
    for folder in missing.into_iter().rev() {
        machine.make_dir(folder, None).map_err(|error| {
            let error = os_error_text(&error);
            format!("Error creating {}: {error}", folder.display())
        })?;
    }
    Ok(())
}

/// The folder for temporary files.
#[must_use]
pub fn temporary_folder(machine: &mut dyn Machine) -> PathBuf {
    let env = machine.process().env;
    let named = ["TMPDIR", "TEMP", "TMP"]
        .iter()
        .filter_map(|name| env.get(*name))
        .find(|folder| folder.starts_with('/'));
    PathBuf::from(named.map_or("/tmp", String::as_str))
}

/// Writes a file of the temporary folder that nobody else can read; returns its path.
///
/// # Errors
/// It cannot be written.
pub fn temporary_file(
    machine: &mut dyn Machine,
    prefix: &str,
    suffix: &str,
    content: Content<'_>,
) -> Result<PathBuf, String> {
    let folder = temporary_folder(machine);
    let file = unique_name(machine, &folder, prefix, suffix);
    let attrs = Attrs {
        mode: Some(0o600),
        ..Attrs::default()
    };
    machine
        .write(&file, content, &attrs)
        .map_err(|error| os_error(&error, &file))?;
    Ok(file)
}

/// A path that nobody has yet and nobody can guess, where the machine has a source of chance.
pub fn unique_name(
    machine: &mut dyn Machine,
    folder: &Path,
    prefix: &str,
    suffix: &str,
) -> PathBuf {
    loop {
        let path = folder.join(format!("{prefix}{}{suffix}", random_letters(machine)));
        if !matches!(machine.stat(&path, false), Ok(Some(_))) {
            return path;
        }
    }
}

fn random_letters(machine: &mut dyn Machine) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
    let chance = machine
        .read(Path::new("/proc/sys/kernel/random/uuid"))
        .unwrap_or_default();
    let hex: String = String::from_utf8_lossy(&chance)
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    let clock = u128::from(machine.now().to_bits());
    let mut number = u128::from_str_radix(&hex, 16).unwrap_or(clock);
    let mut name = String::new();
    for _ in 0..8 {
        let index = usize::try_from(number % LETTERS.len() as u128).unwrap_or(0);
        name.push(char::from(LETTERS[index]));
        number /= LETTERS.len() as u128;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Data;
    use crate::machine::memory::Memory;

    #[test]
    fn backups_and_validation() {
        let mut machine = Memory::small();
        let path = Path::new("/tmp/f");
        assert_eq!(backup(&mut machine, path).unwrap(), None);
        machine
            .write(
                path,
                Content::Bytes(b"x"),
                &Attrs {
                    mode: Some(0o640),
                    ..Attrs::default()
                },
            )
            .unwrap();
        let name = backup(&mut machine, path).unwrap().unwrap();
        assert_eq!(
            machine.stat(Path::new(&name), true).unwrap().unwrap().mode,
            0o640
        );
        let failure = validate(&mut machine, "true", Content::Bytes(b"")).unwrap_err();
        assert_eq!(failure.msg, "validate must contain %s: true");
        let failure = validate(&mut machine, "nosuch %s", Content::Bytes(b"")).unwrap_err();
        assert_eq!(failure.results["rc"], Data::from(2));
        assert_eq!(machine.list(Path::new("/tmp")).unwrap().len(), 2);
    }
}
