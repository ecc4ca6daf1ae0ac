//! The `apptainer` or `singularity` program as an engine, for what only it can do.

use std::io;
use std::path::{Path, PathBuf};

use super::http::Url;
use super::pull::{self, Wanted};
use super::reference::Source;
use super::sif::{self, Record};
use super::{Error, unpack};
use crate::machine::{Access, Attrs, Command, Content, Machine, Ran};
use crate::outcome::Failure;

/// Which program, and what makes it available.
pub(crate) struct Program {
    /// Its name or path; found in `PATH` where it is not given.
    pub(crate) executable: Option<String>,
    /// Lmod modules that are loaded before.
    pub(crate) modules: Vec<String>,
    /// The architecture, where one was asked for.
    pub(crate) arch: Option<String>,
}

/// Loads modules in a log-in shell, which is where sites define `module`, and becomes the program.
const LOAD: &str = "n=$1; shift
while [ \"$n\" -gt 0 ]; do module load \"$1\" || exit 1; shift; n=$((n - 1)); done
if [ -z \"$1\" ]; then
    shift
    for name in apptainer singularity; do
        if command -v \"$name\" > /dev/null; then exec \"$name\" \"$@\"; fi
    done
    echo 'neither apptainer nor singularity is there' >&2
    exit 127
fi
exec \"$@\"";

/// Names under which the program is looked for.
const NAMES: [&str; 2] = ["apptainer", "singularity"];

/// Pulls with the program beside the destination, adds the record of layers, and puts the file in
/// place; says whether it is another file than before.
pub(crate) fn pull(
    machine: &mut dyn Machine,
    program: &Program,
    wanted: &Wanted,
    record: &Record,
    dest: &Path,
    attrs: &Attrs,
) -> Result<bool, Failure> {
    let temporary = temporary(machine, dest);
    let mut command = Command::new(argv(machine, program, wanted, &temporary)?);
    command.env = environment(wanted);
    let ran = machine
        .run(&command)
        .map_err(|error| Error::io(&command.argv[0], &error))?;
    let output = match ran {
        Ran::Predicted => return Ok(pull::stand_in(machine, record, dest, attrs).map(|()| true)?),
        Ran::Done(output) => output,
    };
    let result = match output.code {
        0 => finish(machine, wanted, record, &temporary, dest, attrs),
        code => {
            let said = output.stderr_text();
            Err(Failure::new(format!(
                "pulling {} failed with code {code}: {}",
                wanted.text,
                reason(&said)
            ))
            .with("rc", code)
            .with("cmd", command.argv.clone())
            .with("stdout", output.stdout_text())
            .with("stderr", said.clone()))
        }
    };
    if matches!(machine.stat(&temporary, false), Ok(Some(_))) {
        // It is there only when something went wrong, which is what the user should read.
        let _ = machine.remove(&temporary, false);
    }
    result
}

/// The line of what a program said that tells what is wrong.
fn reason(said: &str) -> &str {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = lines().find(|line| line.starts_with("FATAL") || line.starts_with("ERROR"));
    marked
        .or_else(|| lines().find(|line| !line.starts_with("INFO") && !line.starts_with("WARNING")))
        .unwrap_or_default()
}

fn temporary(machine: &mut dyn Machine, dest: &Path) -> PathBuf {
    let name = dest
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let unique = (machine.now() * 1e6).rem_euclid(1e12);
    dest.with_file_name(format!(".{name}.{unique:.0}.sif"))
}

fn argv(
    machine: &mut dyn Machine,
    program: &Program,
    wanted: &Wanted,
    temporary: &Path,
) -> Result<Vec<String>, Error> {
    let mut pull = vec!["pull".to_owned()];
    if let Some(arch) = &program.arch {
        pull.extend(["--arch".to_owned(), arch.clone()]);
    }
    pull.extend([
        temporary.to_string_lossy().into_owned(),
        wanted.text.clone(),
    ]);
    if !program.modules.is_empty() {
        let mut argv: Vec<String> = ["/bin/bash", "-lc", LOAD, "rplay"]
            .map(str::to_owned)
            .into();
        argv.push(program.modules.len().to_string());
        argv.extend(program.modules.iter().cloned());
        argv.push(program.executable.clone().unwrap_or_default());
        argv.extend(pull);
        return Ok(argv);
    }
    let executable = match &program.executable {
        Some(executable) => executable.clone(),
        None => find(machine)?,
    };
    Ok([vec![executable], pull].concat())
}

fn find(machine: &mut dyn Machine) -> Result<String, Error> {
    let process = machine.process();
    let found = NAMES.iter().find(|name| {
        let mut folders = process.search_path();
        folders.any(|folder| machine.access(&Path::new(folder).join(name), Access::Execute))
    });
    found.map(|name| (*name).to_owned()).ok_or_else(|| {
        Error::new(
            "neither `apptainer` nor `singularity` is in `PATH`; name it with `executable`, or the Lmod module that \
             brings it with `module`",
        )
    })
}

/// Log-in and plain http by environment: arguments of a process are visible to every user.
fn environment(wanted: &Wanted) -> Vec<(String, Option<String>)> {
    let mut env = Vec::new();
    for prefix in ["APPTAINER", "SINGULARITY"] {
        if let Some(credentials) = &wanted.access.credentials {
            env.push((
                format!("{prefix}_DOCKER_USERNAME"),
                Some(credentials.username.clone()),
            ));
            env.push((
                format!("{prefix}_DOCKER_PASSWORD"),
                Some(credentials.password.clone()),
            ));
        }
        let loopback = match &wanted.source {
            Source::Registry(name) | Source::Oras(name) => {
                Url::parse(&format!("http://{}/", name.registry))
                    .is_ok_and(|url| Url::is_loopback(&url.host))
            }
            _ => false,
        };
        if wanted.access.plain_http.unwrap_or(loopback) {
            env.push((format!("{prefix}_NOHTTPS"), Some("true".to_owned())));
        }
    }
    env
}

fn finish(
    machine: &mut dyn Machine,
    wanted: &Wanted,
    record: &Record,
    temporary: &Path,
    dest: &Path,
    attrs: &Attrs,
) -> Result<bool, Failure> {
    let failed = |error: io::Error| Error::io(dest.display(), &error);
    // A SIF file that somebody made, and perhaps signed, stays as it is.
    let layers = matches!(
        wanted.source,
        Source::Registry(_) | Source::Layout(_) | Source::OciArchive(_) | Source::DockerArchive(_)
    );
    if !layers {
        let file = machine.open(temporary).map_err(failed)?;
        let (found, _) = unpack::digest(file, &wanted.text)?;
        if let Some(expected) = wanted
            .digest
            .as_ref()
            .filter(|expected| **expected != found)
        {
            return Err(Failure::new(format!(
                "{} has the wrong digest: expected {expected}, found {found}",
                wanted.text
            )));
        }
        if machine
            .open(dest)
            .is_ok_and(|old| unpack::digest(old, "").is_ok_and(|(old, _)| old == found))
        {
            return Ok(false);
        }
        machine
            .write(dest, Content::Take(temporary), attrs)
            .map_err(failed)?;
        return Ok(true);
    }
    let mut out = unpack::scratch(machine, dest)?;
    let file = machine.open(temporary).map_err(failed)?;
    unpack::file(file, &wanted.text, dest, &mut out)?;
    let size = out.seek(io::SeekFrom::End(0)).map_err(failed)?;
    sif::add_record(&mut out, size, record)?;
    machine.publish(out, dest, attrs).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_line_that_says_so() {
        assert_eq!(
            reason("INFO:  x\nFATAL:  While pulling\n\nusage\n"),
            "FATAL:  While pulling"
        );
        assert_eq!(
            reason("Lmod has detected an error: no such module\nmore\n"),
            "Lmod has detected an error: no such module"
        );
        assert_eq!(reason(""), "");
    }
}
