//! `git_config`: a setting of git.

use std::path::PathBuf;

use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::builtin::programs;

/// Sets and unsets settings of git, for the system, a user, a repository, or in a file.
#[derive(ModuleArgs)]
struct Args {
    /// The setting, as `user.name`.
    name: String,
    /// The value.
    value: Option<String>,
    /// Whether it is set or not.
    #[arg(default = "present")]
    state: State,
    /// Where it is set: with `local` in `repo`, with `file` in `file`.
    scope: Option<Scope>,
    /// The repository.
    repo: Option<PathBuf>,
    /// The file.
    file: Option<PathBuf>,
    /// Put the value in place of all that are there, or beside them.
    #[arg(default = "replace-all")]
    add_mode: AddMode,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Scope {
    File,
    Local,
    Global,
    System,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum AddMode {
    Add,
    #[arg(name = "replace-all")]
    ReplaceAll,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    msg: String,
}

module! {
    "community.general.git_config", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.git_config"],
    rules: Rules {
        required_if: &[
            ("scope", "local", &["repo"], false),
            ("scope", "file", &["file"], false),
            ("state", "present", &["value"], false),
        ],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let git = programs::required(machine, "git")?;
    // Without a scope git's settings are those of the system, as in Ansible.
    let scope = args.scope.unwrap_or(Scope::System);
    let mut base = vec![git, "config".to_owned(), "--includes".to_owned()];
    match (scope, &args.file) {
        (Scope::File, Some(file)) => {
            base.extend(["-f".to_owned(), file.to_string_lossy().into_owned()]);
        }
        _ => base.push(format!("--{}", scope.word())),
    }
    let place = args.repo.as_ref().filter(|_| scope == Scope::Local);
    let mut cwd = place.map_or_else(|| PathBuf::from("/"), Clone::clone);
    if !matches!(machine.stat(&cwd, true), Ok(Some(_))) {
        // `git` says what is missing.
        cwd = PathBuf::from("/");
    }
    let key = format!("{} {} {}", base.join(" "), cwd.display(), args.name);
    let command = |words: &[&str]| {
        let mut argv = base.clone();
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        let there = Some(cwd.clone());
        Command {
            cwd: there,
            ..Command::new(argv).c_locale()
        }
    };
    let old = old(machine, &key, &command(&["--get-all", &args.name]))?;
    let value = args.value.unwrap_or_default();
    let unset = args.state == State::Absent;
    let done = match (unset, args.add_mode) {
        (true, _) => old.is_empty(),
        (false, AddMode::Add) => old.contains(&value),
        (false, AddMode::ReplaceAll) => old.len() == 1 && old[0] == value,
    };
    if done {
        return Ok(Outcome::unchanged().with("msg", ""));
    }
    let words = match (unset, args.add_mode) {
        (true, _) => vec!["--unset-all", &args.name],
        (false, AddMode::Add) => vec!["--add", &args.name, &value],
        (false, AddMode::ReplaceAll) => vec!["--replace-all", &args.name, &value],
    };
    let call = command(&words);
    let mut new = match (unset, args.add_mode) {
        (false, AddMode::Add) => old.clone(),
        _ => Vec::new(),
    };
    new.extend((!unset).then(|| value.clone()));
    match programs::change(machine, &call)? {
        Some(output) if output.code != 0 => {
            return Err(Failure::new(output.stderr_text())
                .with("rc", output.code)
                .with("cmd", call.argv));
        }
        Some(_) => {}
        None => machine.assume(Change::Fact(key, Some(new.join("\n")))),
    }
    let header = call.argv.join(" ");
    let text = |values: &[String]| format!("{}\n", values.join("\n"));
    Ok(Outcome::new(true)
        .with_diff(Diff::text(text(&old), text(&new), &header, &header))
        .with("msg", "setting changed"))
}

/// The values that are set.
fn old(machine: &mut dyn Machine, key: &str, command: &Command) -> Result<Vec<String>, Failure> {
    let text = match machine.assumed(key) {
        Some(text) => text,
        None => {
            let output = programs::query(machine, command)?;
            // One means that it is not set; a file that is not there has nothing set.
            if output.code >= 2 && !output.stderr.is_empty() {
                let line: Vec<String> = command.argv.clone();
                return Err(Failure::new(output.stderr_text())
                    .with("rc", output.code)
                    .with("cmd", line.join(" ")));
            }
            output.stdout_text()
        }
    };
    Ok(text.lines().map(str::to_owned).collect())
}
