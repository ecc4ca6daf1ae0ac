//! The `apptainer` or `singularity` program as an engine, for what only it can do.

use std::io;
use std::path::{Path, PathBuf};

use super::http::Url;
use super::pull::{self, Wanted};
use super::reference::Source;
use super::sif::{self, Record};
use super::{Error, unpack};
use crate::login::{self, Step};
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
    let mut command = program.command(machine, words(program, wanted, &temporary))?;
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
                login::reason(&said)
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

fn temporary(machine: &mut dyn Machine, dest: &Path) -> PathBuf {
    let name = dest
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let unique = (machine.now() * 1e6).rem_euclid(1e12);
    dest.with_file_name(format!(".{name}.{unique:.0}.sif"))
}

impl Program {
    /// A call of the program, in a log-in shell where modules have to be loaded.
    pub(crate) fn command(
        &self,
        machine: &mut dyn Machine,
        words: Vec<String>,
    ) -> Result<Command, Error> {
        let name = match &self.executable {
            Some(executable) => executable.clone(),
            None if !self.modules.is_empty() => String::new(),
            None => find(machine)?,
        };
        let argv = [vec![name], words].concat();
        if self.modules.is_empty() {
            return Ok(Command::new(argv));
        }
        let steps: Vec<Step<'_>> = self
            .modules
            .iter()
            .map(|name| ("load", name.as_str()))
            .collect();
        Ok(login::command(&steps, argv))
    }
}

/// Pulls, or builds what a definition says.
fn words(program: &Program, wanted: &Wanted, temporary: &Path) -> Vec<String> {
    let build = matches!(wanted.source, Source::Definition(_));
    let mut words = vec![if build { "build" } else { "pull" }.to_owned()];
    if let Some(arch) = &program.arch {
        words.extend(["--arch".to_owned(), arch.clone()]);
    }
    if let Some(library) = &wanted.library {
        words.extend(["--library".to_owned(), library.clone()]);
    }
    words.extend([
        temporary.to_string_lossy().into_owned(),
        wanted.text.clone(),
    ]);
    words
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
        Source::Registry(_)
            | Source::Layout(_)
            | Source::OciArchive(_)
            | Source::DockerArchive(_)
            | Source::Definition(_)
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
