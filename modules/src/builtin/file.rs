//! `file`: files, directories and links, with their attributes.

mod link;
mod times;

use std::path::{Path, PathBuf};

use crate::order::Sorted;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{
    FileArgs, Sides, add_path_info, failed_at, os_error, os_error_text, real_path, state_of,
};
use rplay_modules::machine::{Attrs, Content, FileKind, Machine, Stat};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use times::Times;

/// Sets attributes of files, symbolic links and directories, and creates or removes them.
#[derive(ModuleArgs)]
struct Args {
    /// The path that is managed.
    #[arg(alias = "dest", alias = "name")]
    path: PathBuf,
    /// What the path should be. `absent` removes files, links and whole directories; `directory` creates all missing directories of the path; `file` changes attributes of a file that is there and creates none; `hard` and `link` create or change a link; `touch` creates an empty file or sets the times of what is there. Without it the path stays what it is; one that is missing is a `directory` with `recurse`, else a `file`.
    state: Option<State>,
    /// What a link leads to. A relative path of a symbolic link is relative to the folder of the link, as with `ln -s`.
    src: Option<PathBuf>,
    /// Set the attributes for everything below a directory, too.
    #[arg(default = "false")]
    recurse: bool,
    /// Create a symbolic link although its target is missing, and replace a file by a link.
    #[arg(default = "false")]
    force: bool,
    /// Where the path is a symbolic link, set the attributes of what it leads to.
    #[arg(default = "true")]
    follow: bool,
    /// The modification time: `preserve`, `now`, or a time in `modification_time_format`. With `touch` it is `now` unless it is given, else `preserve`.
    modification_time: Option<String>,
    /// The format of `modification_time`, as Python's `strptime` reads it.
    #[arg(default = "%Y%m%d%H%M.%S")]
    modification_time_format: String,
    /// The access time: `preserve`, `now`, or a time in `access_time_format`.
    access_time: Option<String>,
    /// The format of `access_time`, as Python's `strptime` reads it.
    #[arg(default = "%Y%m%d%H%M.%S")]
    access_time_format: String,
    #[arg(flatten)]
    file: FileArgs,
}

#[derive(ArgEnum, Clone, Copy, Debug, PartialEq)]
enum State {
    Absent,
    Directory,
    File,
    Hard,
    Link,
    Touch,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The path, with `state` `link`, `hard` and `touch`.
    dest: String,
    /// The path, with every other `state`.
    path: String,
    /// What the link leads to.
    src: String,
    /// What the path is now: `file`, `directory`, `link`, `hard` or `absent`.
    state: String,
    /// Permissions, `0644`.
    mode: String,
    /// Name of the owner.
    owner: String,
    /// Name of the group.
    group: String,
    /// Number of the owner.
    uid: i64,
    /// Number of the group.
    gid: i64,
    /// Size in bytes.
    size: i64,
}

module! { "ansible.builtin.file", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    let before = look(machine, &args.path)?;
    let state = args.state.unwrap_or(match state_of(before.as_ref()) {
        "absent" if args.recurse => State::Directory,
        "absent" => State::File,
        other => State::from_word(other).unwrap_or(State::File),
    });
    if !matches!(state, State::Link | State::Absent) {
        enter_directory(machine, &mut args)?;
    }
    if args.recurse && state != State::Directory {
        return Err(failed_at(
            machine,
            &args.path,
            Failure::new("recurse option requires state to be 'directory'"),
        ));
    }
    if args.src.is_some() && !matches!(state, State::Link | State::Hard) {
        let failure = Failure::new("src option requires state to be 'link' or 'hard'");
        return Err(failed_at(machine, &args.path, failure));
    }
    let times = Times::of(
        machine,
        &args,
        if state == State::Touch {
            "now"
        } else {
            "preserve"
        },
    )?;
    match state {
        State::Absent => absent(machine, &args.path),
        State::Directory => directory(machine, &args, &times),
        State::File => file(machine, &args, &times),
        State::Touch => touch(machine, &args, &times),
        State::Link => link::symbolic(machine, &args),
        State::Hard => link::hard(machine, &args),
    }
}

fn look(machine: &mut dyn Machine, path: &Path) -> Result<Option<Stat>, Failure> {
    Ok(machine
        .stat(path, false)
        .map_err(|error| os_error(&error, path))?)
}

/// With a source, a path that is a directory means the file of that name in it.
fn enter_directory(machine: &mut dyn Machine, args: &mut Args) -> Result<(), Failure> {
    let Some(name) = args.src.as_ref().and_then(|src| src.file_name()) else {
        return Ok(());
    };
    let there = machine
        .stat(&args.path, true)
        .map_err(|error| os_error(&error, &args.path))?;
    if there.is_some_and(|stat| stat.kind == FileKind::Directory) {
        args.path.push(name);
    }
    Ok(())
}

/// Both sides of the difference that a state makes.
fn sides_of(path: &Path, before: Option<&Stat>, state: &str) -> Sides {
    let mut sides = Sides::of(path);
    sides.add_if_differs("state", state_of(before), state);
    sides
}

/// The path that attributes are set for: what a link leads to, when links are followed.
fn attributes_path(
    machine: &mut dyn Machine,
    args: &Args,
    path: &Path,
) -> Result<PathBuf, Failure> {
    let is_link = look(machine, path)?.is_some_and(|stat| stat.kind == FileKind::Link);
    Ok(if args.follow && is_link {
        real_path(machine, path)
    } else {
        path.to_owned()
    })
}

/// The result, with the standard return values of a path under `key`.
fn finish(
    machine: &mut dyn Machine,
    key: &str,
    path: &Path,
    changed: bool,
    sides: Sides,
) -> Outcome {
    let mut outcome = Outcome::new(changed)
        .with(key, path.to_string_lossy().as_ref())
        .with_diff(sides.diff());
    add_path_info(machine, path, &mut outcome.results);
    outcome
}

fn absent(machine: &mut dyn Machine, path: &Path) -> Result<Outcome, Failure> {
    let before = look(machine, path)?;
    let outcome = |changed| {
        Outcome::new(changed)
            .with("path", path.to_string_lossy().as_ref())
            .with("state", "absent")
    };
    let Some(stat) = &before else {
        return Ok(outcome(false));
    };
    let mut sides = sides_of(path, before.as_ref(), "absent");
    if stat.kind == FileKind::Directory {
        sides.before.insert(
            "path_content".to_owned(),
            Data::Map(content_of(machine, path)),
        );
        machine.remove(path, true).map_err(|error| {
            let path = Data::from(path.to_string_lossy().as_ref()).repr();
            format!("rmtree failed: {}: {path}", os_error_text(&error))
        })?;
    } else {
        let removed = machine.remove(path, false);
        removed.map_err(|error| {
            failed_at(
                machine,
                path,
                format!("Unlinking failed. {}", os_error(&error, path)).into(),
            )
        })?;
    }
    Ok(outcome(true).with_diff(sides.diff()))
}

/// What is below a directory, as the difference of its removal shows it.
fn content_of(machine: &mut dyn Machine, path: &Path) -> Map {
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    let mut open = std::collections::VecDeque::from([path.to_owned()]);
    while let Some(folder) = open.pop_front() {
        for name in machine.list(&folder).unwrap_or_default() {
            let child = folder.join(name);
            let kind = machine
                .stat(&child, false)
                .ok()
                .flatten()
                .map(|stat| stat.kind);
            let text = Data::from(child.to_string_lossy().as_ref());
            if kind == Some(FileKind::Directory) {
                directories.push(text);
                open.push_back(child);
            } else {
                files.push(text);
            }
        }
    }
    rplay_modules::map! { "directories" => Data::List(directories), "files" => Data::List(files) }
}

/// The path, or what it leads to with `follow`, and what is there.
fn followed(machine: &mut dyn Machine, args: &Args) -> Result<(PathBuf, Option<Stat>), Failure> {
    let before = look(machine, &args.path)?;
    let is_link = |stat: &Stat| stat.kind == FileKind::Link;
    if !(args.follow && before.as_ref().is_some_and(is_link)) {
        return Ok((args.path.clone(), before));
    }
    let path = real_path(machine, &args.path);
    let before = look(machine, &path)?;
    Ok((path, before))
}

fn directory(machine: &mut dyn Machine, args: &Args, times: &Times) -> Result<Outcome, Failure> {
    let (path, before) = followed(machine, args)?;
    let mut sides = sides_of(&path, before.as_ref(), "directory");
    let mut changed = false;
    match &before {
        None => {
            make_directories(machine, args, times, &path, &mut sides)?;
            changed = true;
        }
        Some(stat) if stat.kind != FileKind::Directory => {
            let message = format!(
                "{} already exists as a {}",
                path.display(),
                state_of(before.as_ref())
            );
            return Err(failed_at(machine, &path, message.into()));
        }
        Some(_) => {}
    }
    changed |= args.file.ensure(machine, &path, &mut sides)?;
    changed |= times.ensure(machine, &path, &mut sides)?;
    if args.recurse {
        changed |= recurse(machine, args, times, &path, &mut Sorted::default())?;
    }
    Ok(finish(machine, "path", &path, changed, sides))
}

/// Makes what is missing of a path. Every new directory gets the attributes.
fn make_directories(
    machine: &mut dyn Machine,
    args: &Args,
    times: &Times,
    path: &Path,
    sides: &mut Sides,
) -> Result<(), Failure> {
    let mut folders: Vec<&Path> = path
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    folders.reverse();
    for folder in folders {
        if machine
            .stat(folder, true)
            .map_err(|error| os_error(&error, folder))?
            .is_some()
        {
            continue;
        }
        if let Err(error) = machine.make_dir(folder, None) {
            // Another host may be this machine, too, and may have made it meanwhile.
            let now = machine.stat(folder, true).ok().flatten();
            let made = now.is_some_and(|stat| stat.kind == FileKind::Directory);
            if !made {
                let message = format!(
                    "There was an issue creating {} as requested: {}",
                    folder.display(),
                    os_error(&error, folder)
                );
                return Err(failed_at(machine, path, message.into()));
            }
        }
        let last = folder == path;
        let mut own = Sides::default();
        args.file
            .ensure(machine, folder, if last { &mut *sides } else { &mut own })?;
        times.ensure(machine, folder, if last { &mut *sides } else { &mut own })?;
    }
    Ok(())
}

/// Sets the attributes for everything below a directory; `seen` ends the circles that links make.
fn recurse(
    machine: &mut dyn Machine,
    args: &Args,
    times: &Times,
    path: &Path,
    seen: &mut Sorted<(u64, u64), ()>,
) -> Result<bool, Failure> {
    let Some(stat) = look(machine, path)? else {
        return Ok(false);
    };
    if seen.contains_key(&(stat.dev, stat.ino)) {
        return Ok(false);
    }
    seen.insert((stat.dev, stat.ino), ());
    let mut changed = false;
    for name in machine.list(path).map_err(|error| os_error(&error, path))? {
        let child = path.join(name);
        let Some(stat) = look(machine, &child)? else {
            continue;
        };
        changed |= args.file.ensure(machine, &child, &mut Sides::default())?;
        let inner = if stat.kind == FileKind::Link {
            if !args.follow || machine.stat(&child, true).ok().flatten().is_none() {
                continue;
            }
            let target = real_path(machine, &child);
            changed |= args.file.ensure(machine, &target, &mut Sides::default())?;
            target
        } else {
            child
        };
        changed |= times.ensure(machine, &inner, &mut Sides::default())?;
        if look(machine, &inner)?.is_some_and(|stat| stat.kind == FileKind::Directory) {
            changed |= recurse(machine, args, times, &inner, seen)?;
        }
    }
    Ok(changed)
}

fn file(machine: &mut dyn Machine, args: &Args, times: &Times) -> Result<Outcome, Failure> {
    let (path, before) = followed(machine, args)?;
    let state = state_of(before.as_ref());
    if !matches!(state, "file" | "hard") {
        let failure = Failure::new(format!(
            "file ({}) is {state}, cannot continue",
            path.display()
        ));
        return Err(failed_at(machine, &path, failure.with("state", state)));
    }
    let mut sides = sides_of(&path, before.as_ref(), "file");
    let changed = args.file.ensure(machine, &path, &mut sides)?;
    let changed = times.ensure(machine, &path, &mut sides)? || changed;
    Ok(finish(machine, "path", &path, changed, sides))
}

fn touch(machine: &mut dyn Machine, args: &Args, times: &Times) -> Result<Outcome, Failure> {
    let path = &args.path;
    let before = look(machine, path)?;
    let mut changed = false;
    if before.is_none() {
        let written = machine.write(path, Content::Bytes(b""), &Attrs::default());
        written.map_err(|error| {
            let message = format!("Error, could not touch target. {}", os_error(&error, path));
            failed_at(machine, path, message.into())
        })?;
        changed = true;
    }
    let mut sides = sides_of(path, before.as_ref(), "touch");
    let target = attributes_path(machine, args, path)?;
    changed |= args.file.ensure(machine, &target, &mut sides)?;
    changed |= times.ensure(machine, path, &mut sides)?;
    Ok(finish(machine, "dest", path, changed, sides))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rplay_modules::args::prepare;
    use rplay_modules::machine::memory::Memory;
    use rplay_modules::map;

    fn call(machine: &mut Memory, args: Map) -> Result<Outcome, Failure> {
        let prepared = prepare(&MODULE, &args)
            .map_err(|problems| Failure::new(problems[0].message.clone()))?;
        (MODULE.run)(machine, &prepared.args)
    }

    #[test]
    fn directories_links_and_removal() {
        let mut machine = Memory::small();
        let made = call(
            &mut machine,
            map! { "path" => "/tmp/a/b", "state" => "directory", "mode" => "0750" },
        )
        .unwrap();
        assert!(made.changed);
        assert_eq!(made.results["mode"], Data::from("0750"));
        assert_eq!(
            machine
                .stat(Path::new("/tmp/a"), true)
                .unwrap()
                .unwrap()
                .mode,
            0o750
        );
        assert!(
            !call(
                &mut machine,
                map! { "path" => "/tmp/a/b", "state" => "directory" }
            )
            .unwrap()
            .changed
        );
        let failure = call(
            &mut machine,
            map! { "path" => "/tmp/l", "src" => "nowhere", "state" => "link" },
        )
        .unwrap_err();
        assert!(failure.msg.starts_with("src file does not exist"));
        assert!(
            call(
                &mut machine,
                map! { "path" => "/tmp/l", "src" => "a/b", "state" => "link" }
            )
            .unwrap()
            .changed
        );
        assert!(
            !call(
                &mut machine,
                map! { "path" => "/tmp/l", "src" => "a/b", "state" => "link" }
            )
            .unwrap()
            .changed
        );
        let owned = call(
            &mut machine,
            map! { "path" => "/tmp/a", "owner" => "alice", "recurse" => true },
        )
        .unwrap();
        assert!(owned.changed);
        assert_eq!(
            machine
                .stat(Path::new("/tmp/l"), true)
                .unwrap()
                .unwrap()
                .uid,
            1000
        );
        assert!(
            call(
                &mut machine,
                map! { "path" => "/tmp/a", "state" => "absent" }
            )
            .unwrap()
            .changed
        );
        assert!(
            !call(
                &mut machine,
                map! { "path" => "/tmp/a", "state" => "absent" }
            )
            .unwrap()
            .changed
        );
    }

    #[test]
    fn touch_and_times() {
        let mut machine = Memory::small();
        assert!(
            call(
                &mut machine,
                map! { "path" => "/tmp/f", "state" => "touch" }
            )
            .unwrap()
            .changed
        );
        let keep = map! { "path" => "/tmp/f", "state" => "touch", "access_time" => "preserve", "modification_time" => "preserve" };
        assert!(!call(&mut machine, keep).unwrap().changed);
        let set = map! { "path" => "/tmp/f", "modification_time" => "2020-01-02", "modification_time_format" => "%Y-%m-%d" };
        assert!(call(&mut machine, set.clone()).unwrap().changed);
        assert!(!call(&mut machine, set).unwrap().changed);
        let failure = call(
            &mut machine,
            map! { "path" => "/tmp/f", "modification_time" => "xx" },
        )
        .unwrap_err();
        assert!(
            failure
                .msg
                .contains("time data 'xx' does not match format '%Y%m%d%H%M.%S'")
        );
    }
}
