//! `apt_repository`: sources of packages for apt, in files of one line a source.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::{FileArgs, Sides, make_dirs, os_error_text};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::{apt, programs};
use crate::args::Mode;

/// Adds and removes sources of packages for apt.
#[derive(ModuleArgs)]
struct Args {
    /// The source, as `deb [signed-by=/x.asc] https://host/debian stable main`.
    repo: String,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
    /// The permissions of the file.
    mode: Option<Mode>,
    /// Fetch the lists of packages after a change.
    #[arg(alias = "update-cache", default = "true")]
    update_cache: bool,
    /// How many times fetching the lists is tried again.
    #[arg(default = "5")]
    update_cache_retries: u32,
    /// How many seconds at most to wait before fetching the lists again.
    #[arg(default = "12")]
    update_cache_retry_max_delay: u64,
    /// Concerns `ppa:` only.
    #[arg(default = "true")]
    validate_certs: bool,
    /// The file, without its ending; otherwise it is named after the address.
    filename: Option<String>,
    /// Concerns `ppa:` only.
    codename: Option<String>,
    /// Install what the module itself needs; it needs nothing.
    #[arg(default = "true")]
    install_python_apt: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The source.
    repo: String,
    /// Files that are new.
    sources_added: Vec<String>,
    /// Files that are gone.
    sources_removed: Vec<String>,
}

module! { "ansible.builtin.apt_repository", args: Args, returns: Values, run: run }

/// Where apt looks for sources: the file, and the folder of further files.
fn places(machine: &mut dyn Machine) -> (PathBuf, PathBuf) {
    let words = [
        "shell",
        "L",
        "Dir::Etc::sourcelist/f",
        "P",
        "Dir::Etc::sourceparts/d",
    ];
    let asked = programs::ask(machine, ["apt-config"].into_iter().chain(words));
    let text = asked.map(|output| output.stdout_text()).unwrap_or_default();
    let find = |key: &str, or: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        PathBuf::from(line.map_or(or, |value| value.trim_matches('\'')))
    };
    (
        find("L=", "/etc/apt/sources.list"),
        find("P=", "/etc/apt/sources.list.d/"),
    )
}

/// A line of a file as apt reads it: whether it is in force, and the source.
fn source(line: &str) -> Option<(bool, String)> {
    let text = line.trim();
    let (active, text) = match text.strip_prefix('#') {
        Some(rest) => (false, rest.trim_start_matches('#').trim()),
        None => (true, text),
    };
    let text = text.split('#').next().unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let known = matches!(words.first(), Some(&("deb" | "deb-src"))) && words.len() > 1;
    known.then(|| (active, words.join(" ")))
}

/// A name for the file of a source: its address without scheme and log-in.
fn suggested(source: &str) -> String {
    let rest = match source.split_once('[') {
        Some((kind, rest)) if kind.split_whitespace().count() == 1 => {
            rest.split_once(']').map_or(rest, |(_, rest)| rest)
        }
        _ => source.split_once(' ').map_or("", |(_, rest)| rest),
    };
    let address = rest.split_whitespace().next().unwrap_or_default();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
    let words = address.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// A file of sources before and after.
struct File {
    path: PathBuf,
    before: Option<String>,
    after: String,
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let _ = (args.validate_certs, &args.codename, args.install_python_apt);
    if args.repo.trim().is_empty() {
        return Err(Failure::new(
            "Please set argument 'repo' to a non-empty value",
        ));
    }
    if args.repo.starts_with("ppa:") {
        return Err(Failure::new(
            "`ppa:` sources are not supported; give the archive's own address, as `deb [signed-by=...] https://ppa.launchpadcontent.net/OWNER/NAME/ubuntu CODENAME main`, or use `deb822_repository`",
        ));
    }
    let Some((true, wanted)) = source(&args.repo) else {
        let shown = args.repo.trim().trim_start_matches('#');
        return Err(Failure::new(format!("Invalid repository string: {shown}")));
    };
    let (list, parts) = places(machine);
    let target = match &args.filename {
        Some(name) => parts.join(format!("{name}.list")),
        None => parts.join(format!("{}.list", suggested(&wanted))),
    };
    let mut files = read(machine, list, &parts, &target)?;
    match args.state {
        State::Present => add(&mut files, &wanted, &target),
        State::Absent => {
            for file in &mut files {
                file.after = kept(&file.after, &wanted);
            }
        }
    }
    files.retain(|file| file.before.as_deref().unwrap_or_default() != file.after);
    let mut outcome = Outcome::new(!files.is_empty());
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for file in &files {
        let name = file.path.display().to_string();
        let nothing = "/dev/null".to_owned();
        let gone = file.after.is_empty();
        let headers = match &file.before {
            None => (&nothing, &name),
            Some(_) if gone => (&name, &nothing),
            Some(_) => (&name, &name),
        };
        let before = file.before.clone().unwrap_or_default();
        let diff = Diff::text(before, file.after.clone(), headers.0, headers.1);
        outcome = outcome.with_diff(diff);
        if file.before.is_none() {
            added.push(name);
        } else if gone {
            removed.push(name);
        }
    }
    put(machine, &args, &files)?;
    if args.update_cache && !files.is_empty() {
        let (retries, delay) = (args.update_cache_retries, args.update_cache_retry_max_delay);
        if let Err(failure) = apt::update_lists(machine, retries, delay) {
            back(machine, &files);
            return Err(failure);
        }
    }
    Ok(outcome
        .with("repo", args.repo)
        .with("state", args.state.word())
        .with("sources_added", added)
        .with("sources_removed", removed))
}

fn read(
    machine: &mut dyn Machine,
    list: PathBuf,
    parts: &Path,
    target: &Path,
) -> Result<Vec<File>, Failure> {
    let mut paths = vec![list];
    for name in machine.list(parts).unwrap_or_default() {
        let path = parts.join(name);
        if path.extension().is_some_and(|ending| ending == "list") {
            paths.push(path);
        }
    }
    if !paths.iter().any(|path| path == target) {
        paths.push(target.to_owned());
    }
    let mut files = Vec::new();
    for path in paths {
        let before = match machine.read(&path) {
            Ok(content) => Some(String::from_utf8_lossy(&content).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&path, &error)),
        };
        let after = before.clone().unwrap_or_default();
        files.push(File {
            path,
            before,
            after,
        });
    }
    Ok(files)
}

/// The file without the lines of the source; nothing when nothing but blank lines is left.
fn kept(text: &str, gone: &str) -> String {
    let keeps = |line: &&str| !matches!(source(line), Some((true, found)) if found == gone);
    let kept: String = text.split_inclusive('\n').filter(keeps).collect();
    match kept.trim().is_empty() && kept != text {
        true => String::new(),
        false => kept,
    }
}

/// Brings the source into force where it stands already, or adds it to the target.
fn add(files: &mut [File], wanted: &str, target: &Path) {
    let stands = |line: &str| source(line).filter(|(_, found)| found == wanted);
    let mut lines = files.iter().flat_map(|file| file.after.lines());
    if lines.any(|line| matches!(stands(line), Some((true, _)))) {
        return;
    }
    for file in files.iter_mut() {
        let Some(line) = file.after.lines().find(|line| stands(line).is_some()) else {
            continue;
        };
        let line = line.to_owned();
        let active = line
            .trim_start()
            .trim_start_matches('#')
            .trim_start()
            .to_owned();
        file.after = file.after.replacen(&line, &active, 1);
        return;
    }
    if let Some(file) = files.iter_mut().find(|file| file.path == target) {
        if !file.after.is_empty() && !file.after.ends_with('\n') {
            file.after.push('\n');
        }
        file.after += &format!("{wanted}\n");
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: '{}'", os_error_text(error), path.display()))
}

fn put(machine: &mut dyn Machine, args: &Args, files: &[File]) -> Result<(), Failure> {
    for file in files {
        if file.after.is_empty() {
            machine
                .remove(&file.path, false)
                .map_err(|error| failed(&file.path, &error))?;
            continue;
        }
        if let Some(folder) = file.path.parent() {
            make_dirs(machine, folder)?;
        }
        let attrs = Attrs {
            mode: file.before.is_none().then_some(0o644),
            ..Attrs::default()
        };
        machine
            .write(&file.path, Content::Bytes(file.after.as_bytes()), &attrs)
            .map_err(|error| failed(&file.path, &error))?;
        let mode = FileArgs {
            mode: args.mode.clone(),
            ..FileArgs::default()
        };
        mode.ensure(machine, &file.path, &mut Sides::default())?;
    }
    Ok(())
}

/// Puts everything back as it was: without its lists a source is of no use.
fn back(machine: &mut dyn Machine, files: &[File]) {
    for file in files {
        // The failure that led here is the one to tell.
        let _ = match &file.before {
            Some(text) => {
                let content = Content::Bytes(text.as_bytes());
                machine.write(&file.path, content, &Attrs::default())
            }
            None => machine.remove(&file.path, false),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = "deb   [arch=amd64  trusted=yes] http://x/y  stable   main # why";
        let plain = "deb [arch=amd64 trusted=yes] http://x/y stable main".to_owned();
        assert_eq!(source(line), Some((true, plain.clone())));
        assert_eq!(source(&format!("# {line}")), Some((false, plain.clone())));
        assert_eq!(source("# the deb below"), None);
        assert_eq!(suggested(&plain), "x_y");
        assert_eq!(suggested("deb http://u:p@a.b/c stable"), "a_b_c");
        assert_eq!(kept("\n deb http://x y #c\n", "deb http://x y"), "");
    }
}
