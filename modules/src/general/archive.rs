//! `archive`: files and folders packed into an archive, or one file compressed.

mod pack;

use std::io;
use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{
    FileArgs, Sides, add_path_info, failed_at, os_error_text, unique_name,
};
use rplay_modules::machine::glob::glob;
use rplay_modules::machine::{Attrs, Command, Content, FileKind, Machine, Scratch};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;
use crate::builtin::unarchive::fingerprints;
use crate::text::fits;
use pack::{Packed, Sink};

/// Packs files and folders of the target into an archive, or compresses a single file.
///
/// tar, zip and gzip are written by rplay itself; `bzip2`, `xz` and `zstd` are run for the formats
/// that they make. An archive that holds the same already stays as it is.
#[derive(ModuleArgs)]
struct Args {
    /// What is packed: paths, or shell patterns of them.
    #[arg(kind = "list of path")]
    path: Vec<PathBuf>,
    /// The format: a tar archive compressed in this way, plain `tar`, or `zip`.
    #[arg(default = "gz")]
    format: Format,
    /// The archive. Needed unless a single file is compressed, which gets an ending then.
    dest: Option<PathBuf>,
    /// Paths or shell patterns of what is left out of `path`; what is in folders is packed all the same.
    #[arg(kind = "list of path", default = "[]")]
    exclude_path: Vec<PathBuf>,
    /// Shell patterns; files and folders whose whole path fits are left out.
    #[arg(kind = "list of path")]
    exclusion_patterns: Option<Vec<PathBuf>>,
    /// Make an archive of a single file, too.
    #[arg(default = "false")]
    force_archive: bool,
    /// Remove what has been packed.
    #[arg(default = "false")]
    remove: bool,
    /// Owner, group and mode of the archive.
    #[arg(flatten)]
    file: FileArgs,
}

#[derive(ArgEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Bz2,
    Gz,
    Tar,
    Xz,
    Zip,
    Zstd,
}

impl Format {
    /// The program that compresses, where rplay does not.
    fn program(self) -> Option<&'static str> {
        match self {
            Self::Bz2 => Some("bzip2"),
            Self::Xz => Some("xz"),
            Self::Zstd => Some("zstd"),
            Self::Gz | Self::Tar | Self::Zip => None,
        }
    }
}

/// What comes back, beside what is told of the archive.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The archive.
    dest: String,
    /// `archive`, `compress`, `absent`, or `incomplete` where something was missing.
    dest_state: String,
    /// Paths that were not there.
    missing: Vec<String>,
    /// Paths that are packed.
    archived: Vec<String>,
    /// The folder that names in the archive are relative to.
    arcroot: String,
    /// What `path` stands for.
    expanded_paths: Vec<String>,
    /// What `exclude_path` stands for.
    expanded_exclude_paths: Vec<String>,
}

module! {
    "community.general.archive", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.archive"],
}

/// What is to be done.
struct Plan {
    expanded: Vec<PathBuf>,
    excluded: Vec<PathBuf>,
    patterns: Vec<String>,
    /// What is there of `expanded`.
    targets: Vec<PathBuf>,
    missing: Vec<PathBuf>,
    root: String,
    /// An archive is made, not one compressed file.
    archive: bool,
    format: Format,
    dest: PathBuf,
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let plan = Plan::of(machine, &args)?;
    if matches!(machine.stat(&plan.dest, true), Ok(Some(stat)) if stat.kind == FileKind::Directory)
    {
        return Err(Failure::unexpected("[Errno 21] Is a directory"));
    }
    let (mut changed, mut packed) = (false, Packed::default());
    if !plan.targets.is_empty() {
        (changed, packed) = plan.make(machine, &args)?;
        if args.remove {
            changed |= plan.remove(machine)?;
        }
    }
    let state = plan.state(machine);
    changed |= args
        .file
        .ensure(machine, &plan.dest, &mut Sides::default())?;
    let mut outcome = Outcome::new(changed)
        .with("archived", list(&packed.paths))
        .with("dest", plan.dest.to_string_lossy().into_owned())
        .with("arcroot", plan.root.as_str())
        .with("missing", list(&plan.missing))
        .with("expanded_paths", list(&plan.expanded))
        .with("expanded_exclude_paths", list(&plan.excluded))
        .with("dest_state", state);
    add_path_info(machine, &plan.dest, &mut outcome.results);
    if state == "absent" {
        outcome.results.shift_remove("state");
    }
    Ok(outcome)
}

fn list(paths: &[PathBuf]) -> Data {
    let text = |path: &PathBuf| Data::from(path.to_string_lossy().as_ref());
    Data::List(paths.iter().map(text).collect())
}

fn joined(paths: &[PathBuf]) -> String {
    let all: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    all.join(", ")
}

/// The paths that patterns stand for; what is no pattern stays.
fn expand(machine: &mut dyn Machine, paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in paths {
        match path.to_string_lossy().contains(['*', '?', '[']) {
            true => all.extend(glob(machine, path)),
            false => all.push(path.clone()),
        }
    }
    all
}

impl Plan {
    fn of(machine: &mut dyn Machine, args: &Args) -> Result<Self, Failure> {
        let (expanded, excluded) = (
            expand(machine, &args.path),
            expand(machine, &args.exclude_path),
        );
        let wanted: Vec<&PathBuf> = expanded
            .iter()
            .filter(|path| !excluded.contains(path))
            .collect();
        let (mut targets, mut missing) = (Vec::new(), Vec::new());
        for path in &wanted {
            match machine.stat(path, false) {
                Ok(Some(_)) => targets.push((*path).clone()),
                _ => missing.push((*path).clone()),
            }
        }
        let fail = |machine: &mut dyn Machine, failure: Failure| {
            let path = joined(&args.path);
            failed_at(
                machine,
                Path::new(&path),
                failure.with("path", path.as_str()),
            )
        };
        if wanted.is_empty() {
            let failure = Failure::new("Error, no source paths were found")
                .with("expanded_paths", joined(&expanded))
                .with("expanded_exclude_paths", joined(&excluded));
            return Err(fail(machine, failure));
        }
        let archive = args.force_archive
            || expanded.len() > 1
            || targets.iter().any(|path| {
                matches!(machine.stat(path, true), Ok(Some(stat)) if stat.kind == FileKind::Directory)
            });
        let dest = match &args.dest {
            Some(dest) => dest.clone(),
            None if !archive => {
                let mut name = expanded[0].clone().into_os_string();
                name.push(format!(".{}", args.format.word()));
                name.into()
            }
            None => {
                let text = "Error, must specify \"dest\" when archiving multiple files or trees";
                return Err(fail(machine, Failure::new(text).with("dest", "None")));
            }
        };
        if args.remove && archive && targets.iter().any(|path| dest.starts_with(path)) {
            let text =
                "Error, created archive can not be contained in source paths when remove=true";
            return Err(fail(machine, Failure::new(text)));
        }
        let patterns = args.exclusion_patterns.iter().flatten();
        Ok(Self {
            root: common_root(&expanded),
            patterns: patterns
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
            expanded,
            excluded,
            targets,
            missing,
            archive: archive || args.format == Format::Zip,
            format: args.format,
            dest,
        })
    }

    /// Whether a path is left out.
    fn leaves_out(&self, path: &Path) -> bool {
        let text = path.to_string_lossy();
        path == self.dest || self.patterns.iter().any(|pattern| fits(pattern, &text))
    }

    /// Makes the archive, and puts it in place when it differs from what is there.
    fn make(&self, machine: &mut dyn Machine, args: &Args) -> Result<(bool, Packed), Failure> {
        let old = machine.stat(&self.dest, true).ok().flatten();
        let attrs = args.file.for_write(machine, old.as_ref())?;
        let scratch = machine
            .scratch(&self.dest)
            .map_err(|error| self.unwritable(machine, &args.path, &error))?;
        let mut sink = Sink::new(scratch);
        let packed = match self.archive {
            true => pack::archive(machine, self, &mut sink)?,
            false => pack::single(machine, self, &mut sink)
                .map_err(|error| self.unwritable(machine, &args.path, &error))?,
        };
        let same = old.is_some() && self.before(machine) == Some(packed.prints.clone());
        if !same {
            self.publish(machine, sink, &attrs)
                .map_err(|error| match error {
                    Trouble::Io(error) => self.unwritable(machine, &args.path, &error),
                    Trouble::Program(failure) => failure,
                })?;
        }
        Ok((!same, packed))
    }

    fn unwritable(
        &self,
        machine: &mut dyn Machine,
        paths: &[PathBuf],
        error: &io::Error,
    ) -> Failure {
        let (path, dest) = (joined(paths), self.dest.to_string_lossy().into_owned());
        let what = match self.archive {
            true => format!("{} archive", self.format.word()),
            false => "compressed file".to_owned(),
        };
        let text = format!(
            "Unable to write to {what}: {}: '{dest}'",
            os_error_text(error)
        );
        let failure = Failure::new(text)
            .with("path", path.as_str())
            .with("dest", dest);
        failed_at(machine, Path::new(&path), failure)
    }

    /// What the archive holds that is there; nothing where it cannot be read.
    fn before(&self, machine: &mut dyn Machine) -> Option<pack::Prints> {
        match self.archive {
            true => fingerprints(machine, &self.dest).ok(),
            false => pack::content_of(machine, self.format, &self.dest),
        }
    }

    fn publish(&self, machine: &mut dyn Machine, sink: Sink, attrs: &Attrs) -> Result<(), Trouble> {
        let (scratch, kept) = sink.into_parts();
        let Some(mut scratch) = scratch else {
            // Check mode: what is small enough is there for later tasks.
            let content = Content::Bytes(&kept);
            return Ok(machine.write(&self.dest, content, attrs)?);
        };
        match self.format.program() {
            None => Ok(machine.publish(scratch, &self.dest, attrs)?),
            Some(program) => self.compress(machine, program, &mut *scratch, attrs),
        }
    }

    /// Has a program compress what was packed.
    fn compress(
        &self,
        machine: &mut dyn Machine,
        program: &str,
        scratch: &mut dyn Scratch,
        attrs: &Attrs,
    ) -> Result<(), Trouble> {
        let program = programs::required(machine, program).map_err(Trouble::Program)?;
        let unpacked = scratch.link()?.unwrap_or_default();
        let folder = self.dest.parent().unwrap_or(Path::new("/")).to_owned();
        let made = unique_name(machine, &folder, ".ansible_tmp", "");
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let script = "umask 077; exec \"$1\" -c <\"$2\" >\"$3\"";
        let (from, to) = (text(&unpacked), text(&made));
        let argv = ["/bin/sh", "-c", script, "sh", &program, &from, &to];
        let ran = programs::must(machine, &Command::new(argv).c_locale());
        let written = match ran {
            Ok(()) => machine
                .write(&self.dest, Content::Take(&made), attrs)
                .map_err(Trouble::Io),
            Err(failure) => Err(Trouble::Program(failure)),
        };
        let _ = machine.remove(&made, false);
        written
    }

    /// Removes what was packed.
    fn remove(&self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        for path in &self.targets {
            machine.remove(path, true).map_err(|error| {
                let text = os_error_text(&error);
                let path = path.display();
                format!("Unable to remove source file '{path}': {text}")
            })?;
        }
        Ok(true)
    }

    fn state(&self, machine: &mut dyn Machine) -> &'static str {
        if !matches!(machine.stat(&self.dest, true), Ok(Some(_))) {
            return "absent";
        }
        match self.targets.is_empty() {
            true if fingerprints(machine, &self.dest).is_ok() => "archive",
            true => "compress",
            false if !self.archive => "compress",
            false if !self.missing.is_empty() => "incomplete",
            false => "archive",
        }
    }

    /// The name of a path in the archive.
    fn name(&self, path: &Path) -> String {
        let text = path.to_string_lossy().into_owned();
        let name = text.strip_prefix(&self.root).unwrap_or(&text);
        name.trim_start_matches('/').to_owned()
    }
}

/// What can go wrong with an archive that is finished.
enum Trouble {
    Io(io::Error),
    Program(Failure),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The folder that all paths have in common, with a slash at its end.
fn common_root(paths: &[PathBuf]) -> String {
    let folder = |path: &PathBuf| {
        let text = path.to_string_lossy();
        text.rsplit_once('/')
            .map_or(String::new(), |(folder, _)| folder.to_owned())
    };
    let folders: Vec<String> = paths.iter().map(folder).collect();
    let mut parts: Vec<&str> = folders
        .first()
        .map(|first| first.split('/').collect())
        .unwrap_or_default();
    for folder in &folders {
        let same = parts
            .iter()
            .zip(folder.split('/'))
            .take_while(|(a, b)| **a == *b);
        let count = same.count();
        parts.truncate(count);
    }
    format!("{}/", parts.join("/"))
}
