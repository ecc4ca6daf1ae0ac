//! `modprobe`: a module of the kernel, loaded or not, now and when the machine starts.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;
use crate::text::split_words;

/// Loads and unloads modules of the kernel.
#[derive(ModuleArgs)]
struct Args {
    /// The module.
    name: String,
    /// What the module is loaded with.
    #[arg(default = "")]
    params: String,
    /// Whether it is loaded.
    #[arg(default = "present")]
    state: State,
    /// Whether it is loaded when the machine starts: files in `/etc/modules-load.d` and
    /// `/etc/modprobe.d` say so (`present`), or their lines become comments (`absent`).
    #[arg(default = "disabled")]
    persistent: Persistent,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Persistent {
    Disabled,
    Present,
    Absent,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The module.
    name: String,
    /// What it is loaded with.
    params: String,
    /// Whether it is loaded.
    state: String,
}

module! {
    "community.general.modprobe", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.modprobe"],
}

/// Names of modules that are loaded when the machine starts.
const LOADED: &str = "/etc/modules-load.d";
/// What modules are loaded with.
const OPTIONS: &str = "/etc/modprobe.d";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let told = |failure: Failure| {
        failure
            .with("name", args.name.as_str())
            .with("params", args.params.as_str())
            .with("state", args.state.word())
    };
    let changed = ensure(machine, &args).map_err(told)?;
    Ok(Outcome::new(changed)
        .with("name", args.name.as_str())
        .with("params", args.params.as_str())
        .with("state", args.state.word()))
}

fn ensure(machine: &mut dyn Machine, args: &Args) -> Result<bool, Failure> {
    let params = split_words(&args.params)?;
    let present = args.state == State::Present;
    let key = format!("kernel-module:{}", plain(&args.name));
    let mut changed = false;
    if is_loaded(machine, &args.name, &key)? != present {
        let mut argv = vec!["modprobe"];
        match present {
            true => {
                argv.push(&args.name);
                argv.extend(params.iter().map(String::as_str));
            }
            false => argv.extend(["-r", &args.name]),
        }
        match programs::change(machine, &Command::new(argv).c_locale())? {
            Some(output) if output.code != 0 => {
                return Err(programs::failed(output.stderr_text(), &output));
            }
            _ => {}
        }
        machine.assume(Change::Fact(key, Some(args.state.word().to_owned())));
        changed = true;
    }
    Ok(match args.persistent {
        Persistent::Disabled => changed,
        Persistent::Absent => {
            let loaded = comment_out(machine, LOADED, |line| names(line, &args.name))?;
            let options =
                comment_out(machine, OPTIONS, |line| options(line, &args.name).is_some())?;
            changed || loaded || options
        }
        Persistent::Present => keep(machine, &args.name, &params)? || changed,
    })
}

/// A name as the kernel has it.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether the module is loaded, or part of the kernel.
fn is_loaded(machine: &mut dyn Machine, name: &str, key: &str) -> Result<bool, Failure> {
    if let Some(word) = machine.assumed(key) {
        return Ok(word == "present");
    }
    let file = "/proc/modules";
    let text = machine
        .read(Path::new(file))
        .map_err(|error| format!("{}: '{file}'", os_error_text(&error)))?;
    let name = plain(name);
    let text = String::from_utf8_lossy(&text).into_owned();
    if text
        .lines()
        .any(|line| line.split(' ').next() == Some(&name))
    {
        return Ok(true);
    }
    let mut read = |path: &str| {
        let bytes = machine.read(Path::new(path)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let release = read("/proc/sys/kernel/osrelease");
    let builtin = read(&format!("/lib/modules/{}/modules.builtin", release.trim()));
    let is = |line: &str| {
        let file = line.rsplit('/').next().unwrap_or_default();
        file.split(".ko").next().map(plain).as_deref() == Some(&name)
    };
    Ok(builtin.lines().any(is))
}

/// Whether a line of `/etc/modules-load.d` names the module.
fn names(line: &str, name: &str) -> bool {
    line.split(['#', ';']).next().map(str::trim) == Some(name)
}

/// What a line of `/etc/modprobe.d` has the module loaded with.
fn options<'a>(line: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut words = line.split('#').next()?.split_whitespace();
    let is = words.next() == Some("options") && words.next() == Some(name);
    is.then(|| words.collect())
}

/// The files of a folder, with their texts.
fn files(machine: &mut dyn Machine, folder: &str) -> Vec<(PathBuf, String)> {
    let names = machine.list(Path::new(folder)).unwrap_or_default();
    let paths = names.into_iter().map(|name| Path::new(folder).join(name));
    let read = |path: PathBuf| {
        let bytes = machine.read(&path).ok()?;
        Some((path, String::from_utf8_lossy(&bytes).into_owned()))
    };
    paths.filter_map(read).collect()
}

/// Makes comments of the lines in a folder's files that are meant.
fn comment_out(
    machine: &mut dyn Machine,
    folder: &str,
    meant: impl Fn(&str) -> bool,
) -> Result<bool, Failure> {
    let mut changed = false;
    for (path, text) in files(machine, folder) {
        if !text.lines().any(&meant) {
            continue;
        }
        let line = |line: &str| match meant(line) {
            true => format!("#{line}\n"),
            false => format!("{line}\n"),
        };
        let text: String = text.lines().map(line).collect();
        write(machine, &path, &text)?;
        changed = true;
    }
    Ok(changed)
}

/// Has the module loaded, with these options, when the machine starts.
fn keep(machine: &mut dyn Machine, name: &str, params: &[String]) -> Result<bool, Failure> {
    let mut changed = false;
    let loaded = files(machine, LOADED);
    if !loaded
        .iter()
        .any(|(_, text)| text.lines().any(|line| names(line, name)))
    {
        let path = Path::new(LOADED).join(format!("{name}.conf"));
        write(machine, &path, &format!("{name}\n"))?;
        changed = true;
    }
    let files = files(machine, OPTIONS);
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    let old: Vec<&str> = lines
        .filter_map(|line| options(line, name))
        .flatten()
        .collect();
    let holds = |word: &String| old.contains(&word.as_str());
    let same = params.iter().all(holds) && old.iter().all(|word| params.iter().any(|p| p == word));
    if !same {
        comment_out(machine, OPTIONS, |line| options(line, name).is_some())?;
        if !params.is_empty() {
            let line = |param: &String| format!("options {name} {param}\n");
            let text: String = params.iter().map(line).collect();
            let path = Path::new(OPTIONS).join(format!("{name}.conf"));
            write(machine, &path, &text)?;
        }
    }
    Ok(changed || !same)
}

fn write(machine: &mut dyn Machine, path: &Path, text: &str) -> Result<(), Failure> {
    let content = Content::Bytes(text.as_bytes());
    let written = machine.write(path, content, &Attrs::default());
    Ok(written.map_err(|error| format!("{}: '{}'", os_error_text(&error), path.display()))?)
}

/// Not every kernel has modules, so these are no cases; results as recorded from Ansible, in a
/// mount namespace with a `/proc/modules` of its own.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory::Memory;

    fn machine() -> Memory {
        let mut machine = Memory::small();
        for folder in ["/proc", "/etc/modules-load.d", "/etc/modprobe.d"] {
            machine.make_dir(Path::new(folder), None).unwrap();
        }
        write(
            &mut machine,
            Path::new("/proc/modules"),
            "dm_mod 1 0 - Live 0x0\n",
        )
        .unwrap();
        machine
    }

    fn task(
        machine: &mut Memory,
        state: State,
        persistent: Persistent,
        name: &str,
        params: &str,
    ) -> bool {
        let args = Args {
            name: name.to_owned(),
            params: params.to_owned(),
            state,
            persistent,
        };
        run(machine, args).unwrap().changed
    }

    fn text(machine: &mut Memory, path: &str) -> String {
        String::from_utf8(machine.read(Path::new(path)).unwrap()).unwrap()
    }

    #[test]
    fn loaded_and_unloaded() {
        let mut machine = machine();
        let no = Persistent::Disabled;
        assert!(!task(&mut machine, State::Present, no, "dm-mod", ""));
        machine.answer("modprobe dm-crypt a=1 b", 0, "", "");
        assert!(task(&mut machine, State::Present, no, "dm-crypt", "a=1 b"));
        machine.answer("modprobe -r dm-mod", 0, "", "");
        assert!(task(&mut machine, State::Absent, no, "dm-mod", ""));
        assert!(!task(&mut machine, State::Absent, no, "nosuch", ""));
    }

    #[test]
    fn kept() {
        let mut machine = machine();
        let yes = Persistent::Present;
        assert!(task(&mut machine, State::Present, yes, "dm-mod", "a=1 b"));
        assert_eq!(
            text(&mut machine, "/etc/modules-load.d/dm-mod.conf"),
            "dm-mod\n"
        );
        let options = "/etc/modprobe.d/dm-mod.conf";
        assert_eq!(
            text(&mut machine, options),
            "options dm-mod a=1\noptions dm-mod b\n"
        );
        assert!(!task(&mut machine, State::Present, yes, "dm-mod", "a=1 b"));
        assert!(task(&mut machine, State::Present, yes, "dm-mod", "a=2"));
        assert_eq!(text(&mut machine, options), "options dm-mod a=2\n");
        let gone = Persistent::Absent;
        assert!(task(&mut machine, State::Present, gone, "dm-mod", ""));
        assert!(!task(&mut machine, State::Present, gone, "dm-mod", ""));
        assert_eq!(text(&mut machine, options), "#options dm-mod a=2\n");
    }

    #[test]
    fn refused() {
        let mut machine = machine();
        machine.answer("modprobe nosuch", 1, "", "modprobe: FATAL: no\n");
        let args = Args {
            name: "nosuch".to_owned(),
            params: String::new(),
            state: State::Present,
            persistent: Persistent::Disabled,
        };
        let failure = run(&mut machine, args).unwrap_err();
        assert_eq!(failure.msg, "modprobe: FATAL: no\n");
        assert_eq!(failure.results["params"].as_str(), Some(""));
    }
}
