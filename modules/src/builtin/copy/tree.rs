//! Directories: those that a destination needs, and those that are copied on the target.

use std::path::{Path, PathBuf};

use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{FileArgs, Sides, add_path_info, os_error};
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::machine::{Attrs, Content, FileKind, Machine, Stat};
use rplay_modules::outcome::{Failure, Outcome};

use super::Args;

/// The attributes of directories: those of the call, but with `directory_mode`.
fn directory_args(args: &Args) -> FileArgs {
    FileArgs {
        mode: args.directory_mode.clone(),
        ..args.file.clone()
    }
}

/// Makes what is missing of a directory's path.
pub(super) fn make_directories(
    machine: &mut dyn Machine,
    args: &Args,
    path: &Path,
) -> Result<(), Failure> {
    let attributes = directory_args(args);
    let mut folders: Vec<&Path> = path
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    folders.reverse();
    for folder in folders {
        if stat(machine, folder, true)?.is_none() {
            machine
                .make_dir(folder, None)
                .map_err(|error| os_error(&error, folder))?;
            attributes.ensure(machine, folder, &mut Sides::default())?;
        }
    }
    Ok(())
}

fn stat(machine: &mut dyn Machine, path: &Path, follow: bool) -> Result<Option<Stat>, Failure> {
    Ok(machine
        .stat(path, follow)
        .map_err(|error| os_error(&error, path))?)
}

/// Copies a directory of the target. Files keep their permissions; the destination gets
/// `directory_mode`, else `mode`.
pub(super) fn copy(machine: &mut dyn Machine, args: &Args, src: &str) -> Result<Outcome, Failure> {
    let dest = Path::new(&args.dest);
    let before = stat(machine, dest, true)?;
    if before
        .as_ref()
        .is_some_and(|stat| stat.kind != FileKind::Directory)
    {
        return Err(format!(
            "cannot copy the directory {src} over {}, which is not a directory",
            args.dest
        )
        .into());
    }
    let existed = before.is_some();
    let inside = if src.ends_with('/') {
        dest.to_owned()
    } else {
        dest.join(Path::new(src).file_name().unwrap_or_default())
    };
    let shown = match () {
        () if !existed => args.dest.clone(),
        () if src.ends_with('/') => format!("{}/", args.dest.trim_end_matches('/')),
        () => inside.to_string_lossy().into_owned(),
    };
    if existed && !args.force {
        let mut outcome = Outcome::unchanged()
            .with("msg", "file already exists")
            .with("src", src)
            .with("dest", shown.as_str());
        add_path_info(machine, Path::new(&shown), &mut outcome.results);
        return Ok(outcome);
    }
    if !existed && args.dest.ends_with('/') {
        make_directories(machine, args, dest)?;
    } else if !existed {
        let parent = dest
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if stat(machine, parent, true)?.is_none() {
            return Err(
                format!("Destination directory {} does not exist", parent.display()).into(),
            );
        }
        machine
            .make_dir(dest, None)
            .map_err(|error| os_error(&error, dest))?;
    }
    let copied = copy_below(machine, args, Path::new(src), &inside)?;
    let top = FileArgs {
        mode: args
            .directory_mode
            .clone()
            .or_else(|| args.file.mode.clone()),
        ..args.file.clone()
    };
    let changed = top.ensure(machine, Path::new(&shown), &mut Sides::default())?;
    let mut outcome = Outcome::new(!existed || copied || changed)
        .with("src", src)
        .with("dest", shown.as_str());
    outcome = outcome
        .with("checksum", Data::Null)
        .with("md5sum", Data::Null);
    add_path_info(machine, Path::new(&shown), &mut outcome.results);
    Ok(outcome)
}

/// Copies what is in a directory; returns whether something changed.
fn copy_below(
    machine: &mut dyn Machine,
    args: &Args,
    from: &Path,
    to: &Path,
) -> Result<bool, Failure> {
    let mut changed = make_like(machine, args, from, to)?;
    // What is owned and grouped in a copied tree is everything; what has a mode is its root.
    let attributes = FileArgs {
        mode: None,
        ..args.file.clone()
    };
    let mut open: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        for name in machine
            .list(&from)
            .map_err(|error| os_error(&error, &from))?
        {
            let (from, to) = (from.join(&name), to.join(&name));
            let Some(source) = stat(machine, &from, false)? else {
                continue;
            };
            changed |= match source.kind {
                FileKind::Directory => {
                    let made = make_like(machine, args, &from, &to)?;
                    open.push((from, to.clone()));
                    made
                }
                FileKind::Link => copy_link(machine, &from, &to)?,
                FileKind::File => copy_file(machine, args, &from, &to, &source)?,
                _ => {
                    return Err(format!(
                        "Cannot copy invalid source '{}': not a file",
                        from.display()
                    )
                    .into());
                }
            };
            changed |= attributes.ensure(machine, &to, &mut Sides::default())?;
        }
    }
    Ok(changed)
}

/// Makes a directory where none is, with the permissions of another.
fn make_like(
    machine: &mut dyn Machine,
    args: &Args,
    from: &Path,
    to: &Path,
) -> Result<bool, Failure> {
    if stat(machine, to, true)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
        return Ok(false);
    }
    let mode = stat(machine, from, true)?.map(|stat| stat.mode);
    machine
        .make_dir(to, mode)
        .map_err(|error| os_error(&error, to))?;
    let attributes = FileArgs {
        mode: None,
        ..args.file.clone()
    };
    attributes.ensure(machine, to, &mut Sides::default())?;
    Ok(true)
}

fn copy_link(machine: &mut dyn Machine, from: &Path, to: &Path) -> Result<bool, Failure> {
    let target = machine
        .read_link(from)
        .map_err(|error| os_error(&error, from))?;
    if machine.read_link(to).is_ok_and(|old| old == target) {
        return Ok(false);
    }
    machine
        .symlink(&target, to)
        .map_err(|error| os_error(&error, to))?;
    Ok(true)
}

fn copy_file(
    machine: &mut dyn Machine,
    args: &Args,
    from: &Path,
    to: &Path,
    source: &Stat,
) -> Result<bool, Failure> {
    let old = stat(machine, to, false)?;
    if old
        .as_ref()
        .is_some_and(|old| old.kind == FileKind::File && old.size == source.size)
    {
        let sums = [from, to].map(|path| Algorithm::Sha1.of_file(machine, path).ok());
        if sums[0] == sums[1] {
            return Ok(false);
        }
    }
    let attrs = Attrs {
        mode: Some(source.mode),
        in_place: args.file.unsafe_writes,
        ..Attrs::default()
    };
    machine
        .write(to, Content::CopyOf(from), &attrs)
        .map_err(|error| os_error(&error, to))?;
    Ok(true)
}
