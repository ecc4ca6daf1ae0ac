//! `apk`: packages of Alpine Linux.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::os_error;
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Installs, updates and removes packages with `apk`.
#[derive(ModuleArgs)]
struct Args {
    /// The packages.
    name: Option<Vec<String>>,
    /// The wanted state.
    #[arg(
        default = "present",
        choices = "present, installed, absent, removed, latest"
    )]
    state: String,
    /// Keep nothing that is fetched.
    #[arg(default = "false")]
    no_cache: bool,
    /// Take packages from these repositories only.
    repository: Option<Vec<String>>,
    /// Fetch the lists of packages first.
    #[arg(default = "false")]
    update_cache: bool,
    /// Update everything.
    #[arg(default = "false")]
    upgrade: bool,
    /// Replace what no repository has any more.
    #[arg(default = "false")]
    available: bool,
    /// The file that names what is installed on purpose.
    #[arg(default = "/etc/apk/world")]
    world: PathBuf,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The packages that are changed.
    packages: Vec<String>,
}

module! {
    "community.general.apk", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.apk"],
    rules: Rules {
        mutually_exclusive: &[&["name", "upgrade"]],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let program = programs::required(machine, "apk")?;
    let names = args.name.clone().unwrap_or_default();
    if names.iter().any(|name| name.trim().is_empty()) {
        let text = "Package name(s) cannot be empty or whitespace-only";
        return Err(Failure::new(text));
    }
    if names.is_empty() && !args.upgrade && !args.update_cache {
        return Err(Failure::new(
            "one of the following is required: name, update_cache, upgrade",
        ));
    }
    let mut apk = Apk {
        machine,
        program,
        args: &args,
    };
    if args.update_cache {
        let output = apk.change(&["update"], &[])?;
        if output.code != 0 {
            return Err(without_code("could not update package db", &output, None));
        }
        if names.is_empty() && !args.upgrade {
            return Ok(told(true, "updated repository indexes", &output, None));
        }
    }
    match args.state.as_str() {
        _ if args.upgrade => apk.upgrade(),
        "absent" | "removed" => apk.remove(&names),
        _ => apk.install(&names),
    }
}

/// The packages that lines such as `(1/2) Installing name (1.0-r0)` tell of.
fn packages(output: &Output) -> Vec<String> {
    let text = output.stdout_text();
    let line = |line: &str| {
        let (count, rest) = line.strip_prefix('(')?.split_once(')')?;
        let (number, all) = count.split_once('/')?;
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let name = rest.split_whitespace().nth(1)?;
        (digits(number.trim()) && digits(all)).then(|| name.to_owned())
    };
    text.lines().filter_map(line).collect()
}

fn told(changed: bool, text: &str, output: &Output, packages: Option<Vec<String>>) -> Outcome {
    let mut outcome = Outcome::new(changed)
        .with("msg", text)
        .with("stdout", output.stdout_text())
        .with("stderr", output.stderr_text());
    if let Some(packages) = packages {
        outcome = outcome.with("packages", packages);
    }
    outcome
}

fn without_code(text: &str, output: &Output, packages: Option<Vec<String>>) -> Failure {
    let results = told(false, text, output, packages).results;
    let mut failure = Failure {
        results,
        ..Failure::new(text)
    };
    failure.results.shift_remove("msg");
    failure
}

/// Names as Python shows a list of them.
fn listed(names: &[String]) -> String {
    Data::from(names.to_vec()).repr()
}

struct Apk<'a> {
    machine: &'a mut dyn Machine,
    program: String,
    args: &'a Args,
}

impl Apk<'_> {
    fn command(&self, words: &[&str], names: &[String]) -> Command {
        let mut argv = vec![self.program.as_str()];
        argv.extend(self.args.no_cache.then_some("--no-cache"));
        for repository in self.args.repository.iter().flatten() {
            argv.extend([
                "--repository",
                repository,
                "--repositories-file",
                "/dev/null",
            ]);
        }
        argv.extend(words);
        argv.extend(names.iter().map(String::as_str));
        Command::new(argv).c_locale()
    }

    fn ask(&mut self, words: &[&str], name: &str) -> Result<Output, Failure> {
        let command = self.command(words, &[name.to_owned()]);
        programs::query(self.machine, &command)
    }

    /// Runs what changes something; in check mode apk itself tells what it would do.
    fn change(&mut self, words: &[&str], names: &[String]) -> Result<Output, Failure> {
        let mut all = words.to_vec();
        let command = self.command(words, names);
        if let Some(output) = programs::change(self.machine, &command)? {
            return Ok(output);
        }
        if words == ["update"] {
            return Ok(Output::default());
        }
        all.push("--simulate");
        let command = self.command(&all, names);
        programs::query(self.machine, &command)
    }

    fn key(name: &str) -> String {
        format!("apk {name}")
    }

    /// Tells later tasks of a check whether packages are there, and are the newest.
    fn assume(&mut self, names: &[String], there: bool) {
        let fact = if there { "new" } else { "" };
        for name in names {
            let fact = Change::Fact(Self::key(name), Some(fact.to_owned()));
            self.machine.assume(fact);
        }
    }

    /// Whether there is nothing newer.
    fn newest(&mut self, name: &str) -> Result<bool, Failure> {
        if self.machine.assumed(&Self::key(name)).as_deref() == Some("new") {
            return Ok(true);
        }
        let text = self.ask(&["version"], name)?.stdout_text();
        // `name-1.0-r0   <   1.1-r0`
        Ok(!text.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let rest = words.first().and_then(|word| word.strip_prefix(name));
            let version = rest.and_then(|rest| rest.strip_prefix('-'));
            version.is_some_and(|version| version.matches('-').count() == 1)
                && words.get(1) == Some(&"<")
        }))
    }

    /// Whether the file of what is installed on purpose has it.
    fn on_purpose(&mut self, name: &str) -> Result<bool, Failure> {
        if let Some(fact) = self.machine.assumed(&Self::key(name)) {
            return Ok(!fact.is_empty());
        }
        let world = &self.args.world;
        let bytes = self
            .machine
            .read(world)
            .map_err(|error| os_error(&error, world))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(text
            .split_whitespace()
            .any(|word| match word.strip_prefix(name) {
                Some(rest) => {
                    rest.is_empty()
                        || (rest.len() > 1 && rest.starts_with(['@', '=', '<', '>', '~']))
                }
                None => false,
            }))
    }

    fn install(&mut self, names: &[String]) -> Result<Outcome, Failure> {
        let latest = self.args.state == "latest";
        let (mut missing, mut old) = (vec![], vec![]);
        for name in names {
            let text = self
                .ask(&["-v", "info", "--description"], name)?
                .stdout_text();
            if text.starts_with(&format!("{name}: virtual meta package")) {
                let text = self.ask(&["-v", "info", "--depends"], name)?.stdout_text();
                for needed in text.split_whitespace().skip(1).filter(|_| latest) {
                    if !self.newest(needed)? {
                        old.push(needed.to_owned());
                    }
                }
            } else if !self.on_purpose(name)? {
                missing.push(name.clone());
            } else if latest && !self.newest(name)? {
                old.push(name.clone());
            }
        }
        if missing.is_empty() && old.is_empty() {
            return Ok(Outcome::unchanged().with("msg", "package(s) already installed"));
        }
        let words: &[&str] = if old.is_empty() {
            &["add"]
        } else {
            &["add", "--upgrade"]
        };
        missing.extend(old);
        let output = self.change(words, &missing)?;
        let changed = packages(&output);
        if output.code != 0 {
            let text = format!("failed to install {}", listed(&missing));
            return Err(without_code(&text, &output, Some(changed)));
        }
        self.assume(&missing, true);
        let text = format!("installed {} package(s)", listed(&missing));
        Ok(told(true, &text, &output, Some(changed)))
    }

    fn there(&mut self, name: &str) -> Result<bool, Failure> {
        if let Some(fact) = self.machine.assumed(&Self::key(name)) {
            return Ok(!fact.is_empty());
        }
        Ok(self.ask(&["-v", "info", "--installed"], name)?.code == 0)
    }

    fn remove(&mut self, names: &[String]) -> Result<Outcome, Failure> {
        let mut there = vec![];
        for name in names {
            if self.there(name)? {
                there.push(name.clone());
            }
        }
        if there.is_empty() {
            return Ok(Outcome::unchanged().with("msg", "package(s) already removed"));
        }
        let output = self.change(&["del", "--purge"], &there)?;
        let changed = packages(&output);
        let mut failed = output.code != 0;
        if !failed {
            self.assume(&there, false);
        }
        for name in &there {
            // Something that needs it keeps it.
            failed = failed || self.there(name)?;
        }
        if failed {
            let text = format!("failed to remove {} package(s)", listed(&there));
            return Err(without_code(&text, &output, Some(changed)));
        }
        let text = format!("removed {} package(s)", listed(&there));
        Ok(told(true, &text, &output, Some(changed)))
    }

    fn upgrade(&mut self) -> Result<Outcome, Failure> {
        let words: &[&str] = match self.args.available {
            true => &["upgrade", "--available"],
            false => &["upgrade"],
        };
        let output = self.change(words, &[])?;
        let changed = packages(&output);
        if output.code != 0 {
            let text = "failed to upgrade packages";
            return Err(without_code(text, &output, Some(changed)));
        }
        self.assume(&changed, true);
        let text = match changed.is_empty() {
            true => "packages already upgraded",
            false => "upgraded packages",
        };
        Ok(told(!changed.is_empty(), text, &output, Some(changed)))
    }
}
