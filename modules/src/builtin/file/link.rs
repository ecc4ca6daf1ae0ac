//! Symbolic and hard links.

use std::io;
use std::path::{Path, PathBuf};

use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{
    Sides, failed_at, os_error, os_error_text, real_path, state_of,
};
use rplay_modules::machine::{FileKind, Machine, Stat};
use rplay_modules::outcome::{Failure, Outcome};

use super::{Args, finish, look, sides_of};

const DANGLING: &str = "Cannot set fs attributes on a non-existent symlink target. follow should be set to False to avoid this.";

pub(super) fn symbolic(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let path = &args.path;
    let before = look(machine, path)?;
    let is_link = before
        .as_ref()
        .is_some_and(|stat| stat.kind == FileKind::Link);
    if let Some(src) = &args.src {
        check_source(machine, args, src, is_link)?;
    } else if !is_link {
        return Err(Failure::new("src is required for creating new symlinks"));
    }
    let src = match &args.src {
        None if args.follow => machine.read_link(path).ok(),
        given => given.clone(),
    };
    let mut sides = sides_of(path, before.as_ref(), "link");
    let mut changed = false;
    if let Some(src) = &args.src
        && replaces(machine, args, before.as_ref(), src, &mut sides)?
    {
        make(machine, args, before.as_ref(), src)?;
        changed = true;
    }
    let target = if args.follow {
        real_path(machine, path)
    } else {
        path.clone()
    };
    let there = look(machine, &target)?.is_some();
    if there {
        changed |= args.file.ensure(machine, &target, &mut sides)?;
    }
    let mut outcome = finish(machine, "dest", path, changed, sides).with("src", text_of(src));
    if !there {
        outcome.warnings.push(DANGLING.to_owned());
    }
    Ok(outcome)
}

fn text_of(path: Option<PathBuf>) -> Data {
    path.map(|path| path.to_string_lossy().into_owned()).into()
}

/// A link to something that is missing is made by force only.
fn check_source(
    machine: &mut dyn Machine,
    args: &Args,
    src: &Path,
    is_link: bool,
) -> Result<(), Failure> {
    let path = &args.path;
    let stat = machine
        .stat(path, true)
        .map_err(|error| os_error(&error, path))?;
    let is_directory = !is_link && stat.is_some_and(|stat| stat.kind == FileKind::Directory);
    let folder = if is_directory {
        Some(path.as_path())
    } else {
        path.parent()
    };
    let absolute = folder.unwrap_or(Path::new("")).join(src);
    if args.force || machine.stat(&absolute, true).ok().flatten().is_some() {
        return Ok(());
    }
    let failure = Failure::new(format!(
        "src file does not exist, use 'force=yes' if you really want to create the link: {}",
        absolute.display()
    ));
    Err(failed_at(
        machine,
        path,
        failure.with("src", src.to_string_lossy().as_ref()),
    ))
}

/// Whether a link has to be made, and may be.
fn replaces(
    machine: &mut dyn Machine,
    args: &Args,
    before: Option<&Stat>,
    src: &Path,
    sides: &mut Sides,
) -> Result<bool, Failure> {
    let path = &args.path;
    match before.map(|stat| stat.kind) {
        None => Ok(true),
        Some(FileKind::Link) => {
            let old = machine
                .read_link(path)
                .map_err(|error| os_error(&error, path))?;
            sides.add_if_differs(
                "src",
                old.to_string_lossy().as_ref(),
                src.to_string_lossy().as_ref(),
            );
            Ok(old != src)
        }
        Some(_) if !args.force => {
            let message = format!(
                "refusing to convert from {} to symlink for {}",
                state_of(before),
                path.display()
            );
            Err(failed_at(machine, path, message.into()))
        }
        Some(FileKind::Directory) if machine.list(path).is_ok_and(|names| !names.is_empty()) => {
            let message = format!(
                "the directory {} is not empty, refusing to convert it",
                path.display()
            );
            Err(failed_at(machine, path, message.into()))
        }
        Some(_) => Ok(true),
    }
}

fn make(
    machine: &mut dyn Machine,
    args: &Args,
    before: Option<&Stat>,
    src: &Path,
) -> Result<(), Failure> {
    let is_directory = before.is_some_and(|stat| stat.kind == FileKind::Directory);
    let made = if is_directory {
        machine.remove(&args.path, false)
    } else {
        Ok(())
    };
    let made = made.and_then(|()| machine.symlink(src, &args.path));
    made.map_err(|error| cannot_link(machine, &error, src, &args.path, before.is_some()))
}

fn cannot_link(
    machine: &mut dyn Machine,
    error: &io::Error,
    src: &Path,
    path: &Path,
    replacing: bool,
) -> Failure {
    let bytes = |path: &Path| format!("b{}", Data::from(path.to_string_lossy().as_ref()).repr());
    let what = if replacing { "replacing" } else { "linking" };
    let message = format!(
        "Error while {what}: {}: {} -> {}",
        os_error_text(error),
        bytes(src),
        bytes(path)
    );
    failed_at(machine, path, message.into())
}

pub(super) fn hard(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let path = &args.path;
    let before = look(machine, path)?;
    let mut sides = sides_of(path, before.as_ref(), "hard");
    let mut changed = false;
    match &args.src {
        None if state_of(before.as_ref()) != "hard" => {
            return Err(Failure::new("src is required for creating new hardlinks"));
        }
        None => {}
        Some(src) => {
            let Some(source) = machine
                .stat(src, true)
                .map_err(|error| os_error(&error, src))?
            else {
                return Err(refused(machine, path, src, "src does not exist"));
            };
            if replaces_hard(machine, args, before.as_ref(), &source, &mut sides)? {
                let made = machine.hard_link(src, path);
                made.map_err(|error| cannot_link(machine, &error, src, path, before.is_some()))?;
                changed = true;
            }
        }
    }
    changed |= args.file.ensure(machine, path, &mut sides)?;
    Ok(finish(machine, "dest", path, changed, sides).with("src", text_of(args.src.clone())))
}

fn refused(machine: &mut dyn Machine, path: &Path, src: &Path, message: &str) -> Failure {
    let mut failure = failed_at(machine, path, Failure::new(message));
    if let Some(path) = failure.results.shift_remove("path") {
        failure.results.insert("dest".to_owned(), path);
    }
    failure.with("src", src.to_string_lossy().as_ref())
}

fn replaces_hard(
    machine: &mut dyn Machine,
    args: &Args,
    before: Option<&Stat>,
    source: &Stat,
    sides: &mut Sides,
) -> Result<bool, Failure> {
    let (path, Some(src)) = (&args.path, &args.src) else {
        return Ok(false);
    };
    let Some(old) = before else { return Ok(true) };
    let message = match state_of(before) {
        "link" => {
            let target = machine
                .read_link(path)
                .map_err(|error| os_error(&error, path))?;
            sides.add_if_differs(
                "src",
                target.to_string_lossy().as_ref(),
                src.to_string_lossy().as_ref(),
            );
            return Ok(true);
        }
        "hard" if (old.dev, old.ino) == (source.dev, source.ino) => return Ok(false),
        "hard" => "Cannot link, different hard link exists at destination",
        "directory" => {
            return Err(refused(
                machine,
                path,
                src,
                "Cannot link, a directory exists at destination",
            ));
        }
        _ => "Cannot link, file exists at destination",
    };
    if args.force {
        Ok(true)
    } else {
        Err(refused(machine, path, src, message))
    }
}
