//! `xattr`: extended attributes of a file.

use std::path::PathBuf;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Reads, sets and removes extended attributes, with `getfattr` and `setfattr`.
#[derive(ModuleArgs)]
struct Args {
    /// The file or folder.
    #[arg(alias = "name")]
    path: PathBuf,
    /// The attribute, with or without its namespace.
    key: Option<String>,
    /// The value; with one, the attribute is set.
    value: Option<String>,
    /// The namespace of the attribute.
    #[arg(default = "user")]
    namespace: String,
    /// Read an attribute, all of them or their names, or see that one is there or gone.
    #[arg(default = "read")]
    state: State,
    /// Follow links.
    #[arg(default = "true")]
    follow: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    All,
    Keys,
    Present,
    Read,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The attributes as they were.
    xattr: Map,
    /// What was done.
    msg: String,
}

module! {
    "community.general.xattr", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.xattr"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if !matches!(machine.stat(&args.path, true), Ok(Some(_))) {
        return Err(Failure::new("path not found or not accessible!"));
    }
    let state = match args.value {
        Some(_) if args.state == State::Read => State::Present,
        _ => args.state,
    };
    if matches!(state, State::Absent | State::Present) && args.key.is_none() {
        let word = state.word();
        return Err(Failure::new(format!("{word} needs a key parameter")));
    }
    let key = args.key.as_ref().map(|key| {
        // Of namespaces only the usual one is seen in a key, as in Ansible.
        match key.starts_with("user.") {
            true => key.clone(),
            false => format!("{}.{key}", args.namespace),
        }
    });
    let name = key.clone().unwrap_or_default();
    let (mut changed, msg);
    let mut found = match (&key, state) {
        (Some(key), State::Read | State::Present | State::Absent) => {
            get(machine, &args, Some(key))?
        }
        _ => get(machine, &args, None)?,
    };
    match state {
        State::Present => {
            let value = args.value.clone().unwrap_or_default();
            changed = found.get(&name).and_then(|old| old.as_str()) != Some(value.as_str());
            if changed {
                let mut words = vec!["-n", name.as_str(), "-v"];
                // Without a value the program says how it is called.
                words.extend(args.value.as_deref());
                set(machine, &args, &words)?;
                remember(machine, &args, &name, Some(value.clone()));
            }
            msg = format!("{name} set to {value}");
        }
        State::Absent => {
            changed = found.contains_key(&name);
            if changed {
                set(machine, &args, &["-x", &name])?;
                remember(machine, &args, &name, None);
            }
            msg = format!("{name} removed");
        }
        State::All => {
            changed = false;
            msg = "dumping all".to_owned();
        }
        State::Keys => {
            changed = false;
            for (_, value) in &mut found {
                *value = "".into();
            }
            msg = "returning all keys".to_owned();
        }
        State::Read => {
            changed = false;
            msg = match key {
                Some(key) => format!("returning {key}"),
                None => "dumping all".to_owned(),
            };
        }
    }
    changed &= matches!(state, State::Present | State::Absent);
    Ok(Outcome::new(changed).with("msg", msg).with("xattr", found))
}

fn fact(args: &Args, name: &str) -> String {
    format!("xattr:{}:{name}", args.path.display())
}

fn remember(machine: &mut dyn Machine, args: &Args, name: &str, value: Option<String>) {
    machine.assume(Change::Fact(fact(args, name), value));
}

/// Attributes of the file: one, or all that `getfattr` tells of.
fn get(machine: &mut dyn Machine, args: &Args, key: Option<&str>) -> Result<Map, Failure> {
    if let Some(key) = key
        && let Some(value) = machine.assumed(&fact(args, key))
    {
        let mut map = Map::new();
        if !value.is_empty() {
            map.insert(key.to_owned(), value.into());
        }
        return Ok(map);
    }
    let program = programs::required(machine, "getfattr")?;
    let path = args.path.to_string_lossy().into_owned();
    let mut argv = vec![program.as_str(), "--absolute-names"];
    argv.extend((!args.follow).then_some("-h"));
    match key {
        Some(key) => argv.extend(["-n", key]),
        None => argv.push("-d"),
    }
    argv.push(&path);
    let command = Command::new(argv).c_locale();
    let output = programs::query(machine, &command)?;
    // One that is not set, or that cannot be, is told of as an error.
    let error = output.stderr_text();
    let none = ["No such attribute", "not supported"];
    if output.code != 0 && !none.iter().any(|text| error.contains(text)) {
        return Err(programs::refused(&command, &output));
    }
    let mut map = Map::new();
    for line in output
        .stdout_text()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        map.insert(
            name.to_owned(),
            value.replace("\\\"", "\"").replace("\\\\", "\\").into(),
        );
    }
    Ok(map)
}

fn set(machine: &mut dyn Machine, args: &Args, words: &[&str]) -> Result<(), Failure> {
    let program = programs::required(machine, "setfattr")?;
    let path = args.path.to_string_lossy().into_owned();
    let mut argv = vec![program.as_str()];
    argv.extend((!args.follow).then_some("-h"));
    argv.extend(words);
    argv.push(&path);
    programs::must(machine, &Command::new(argv).c_locale())
}
