//! `pacman`: packages of Arch Linux.

use std::collections::BTreeMap;

use crate::order::Sorted;
use std::path::PathBuf;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, DiffSide, Failure, Outcome};
use rplay_modules::text::split_words;

use crate::builtin::programs;

/// Installs, updates and removes packages with `pacman`.
#[derive(ModuleArgs)]
struct Args {
    /// Names, groups, files or addresses of packages.
    #[arg(alias = "pkg", alias = "package")]
    name: Option<Vec<String>>,
    /// The wanted state.
    #[arg(
        default = "present",
        choices = "present, installed, latest, absent, removed"
    )]
    state: String,
    /// Remove without looking at what needs the package; fetch the lists in any case.
    #[arg(default = "false")]
    force: bool,
    /// Keep no changed configuration of what is removed.
    #[arg(default = "false")]
    remove_nosave: bool,
    /// The program.
    #[arg(default = "pacman")]
    executable: String,
    /// Further options for installing and removing.
    #[arg(default = "")]
    extra_args: String,
    /// The root of another system.
    root: Option<PathBuf>,
    /// Where packages are kept that were fetched for it.
    cachedir: Option<PathBuf>,
    /// The configuration.
    config: Option<PathBuf>,
    /// Update everything.
    upgrade: Option<bool>,
    /// Further options for that.
    #[arg(default = "")]
    upgrade_extra_args: String,
    /// Fetch the lists of packages first.
    update_cache: Option<bool>,
    /// Further options for that.
    #[arg(default = "")]
    update_cache_extra_args: String,
    /// Why the packages are there.
    #[arg(choices = "explicit, dependency")]
    reason: Option<String>,
    /// Whether that is said of new packages or of all.
    #[arg(default = "new")]
    reason_for: ReasonFor,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum ReasonFor {
    New,
    All,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The packages that are changed.
    packages: Vec<String>,
    /// Whether the lists are others than before.
    cache_updated: bool,
}

module! {
    "community.general.pacman", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.pacman"],
    rules: Rules {
        required_one_of: &[&["name", "update_cache", "upgrade"]],
        mutually_exclusive: &[&["name", "upgrade"]],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let mut base = vec![programs::required(machine, &args.executable)?];
    let mut add = |flag: &str, path: Option<&PathBuf>| {
        if let Some(path) = path {
            base.extend([flag.to_owned(), path.to_string_lossy().into_owned()]);
        }
    };
    add("--config", args.config.as_ref());
    add("--root", args.root.as_ref());
    add(
        "--cachedir",
        args.cachedir.as_ref().filter(|_| args.root.is_some()),
    );
    let mut pacman = Pacman {
        machine,
        base,
        args: &args,
        known: Known::default(),
        outcome: Outcome::unchanged(),
        told: Told::default(),
    };
    let (upgrade, refresh) = (args.upgrade == Some(true), args.update_cache == Some(true));
    if refresh {
        pacman.refresh()?;
    }
    let names = args.name.as_deref().filter(|names| !names.is_empty());
    if names.is_some() || upgrade || !refresh {
        pacman.look()?;
        match names {
            _ if upgrade => pacman.upgrade()?,
            None => pacman.told.messages.push("Nothing to do".to_owned()),
            Some(names) => {
                let packages = pacman.resolve(names)?;
                match args.absent() {
                    true => pacman.remove(&packages)?,
                    false => pacman.install(&packages)?,
                }
            }
        }
    }
    let (mut outcome, told) = (pacman.outcome, pacman.told);
    for (name, texts) in [("stdout", told.stdout), ("stderr", told.stderr)] {
        if !texts.is_empty() {
            outcome = outcome.with(name, texts.join("\n"));
        }
    }
    Ok(outcome.with("msg", told.messages.join("\n")))
}

impl Args {
    fn absent(&self) -> bool {
        matches!(self.state.as_str(), "absent" | "removed")
    }
}

/// What the result says in words.
#[derive(Default)]
struct Told {
    messages: Vec<String>,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

/// What pacman knows of packages.
#[derive(Default)]
struct Known {
    installed: BTreeMap<String, String>,
    available: BTreeMap<String, String>,
    groups: Vec<(String, String)>,
    /// Versions that are there, and newer ones.
    upgrades: Vec<(String, String, String)>,
    reasons: Sorted<String, &'static str>,
}

/// A package that the task names, and how.
struct Package {
    name: String,
    source: String,
    /// It is a file or an address.
    file: bool,
}

struct Pacman<'a> {
    machine: &'a mut dyn Machine,
    base: Vec<String>,
    args: &'a Args,
    known: Known,
    outcome: Outcome,
    told: Told,
}

/// The first two words of each line.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    })
}

impl Pacman<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let words = words.iter().map(|word| (*word).to_owned());
        Command::new(self.base.iter().cloned().chain(words)).c_locale()
    }

    fn ask(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let command = self.command(words);
        programs::query(self.machine, &command)
    }

    fn listed(&mut self, words: &[&str]) -> Result<String, Failure> {
        let command = self.command(words);
        let output = programs::query(self.machine, &command)?;
        match output.code {
            0 => Ok(output.stdout_text()),
            // No group at all is no error.
            1 if output.stdout.is_empty() && output.stderr.is_empty() => Ok(String::new()),
            _ => Err(programs::refused(&command, &output)),
        }
    }

    /// A failure with what was told so far.
    fn failure(&self, text: impl Into<String>, words: &[&str], output: &Output) -> Failure {
        let mut messages = self.told.messages.clone();
        messages.push(text.into());
        let join = |texts: &[String], text: String| {
            let text = Some(text).filter(|text| !text.is_empty());
            texts
                .iter()
                .cloned()
                .chain(text)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let mut failure = Failure::new(messages.join("\n")).with("cmd", self.command(words).argv);
        for (name, text) in [
            ("stdout", join(&self.told.stdout, output.stdout_text())),
            ("stderr", join(&self.told.stderr, output.stderr_text())),
        ] {
            if !text.is_empty() {
                failure = failure.with(name, text);
            }
        }
        failure
    }

    /// Runs what changes something; false in check mode.
    fn change(&mut self, words: &[&str], wrong: &str) -> Result<bool, Failure> {
        let command = self.command(words);
        let Some(output) = programs::change(self.machine, &command)? else {
            return Ok(false);
        };
        if output.code != 0 {
            return Err(self.failure(wrong, words, &output));
        }
        let add = |texts: &mut Vec<String>, text: String| {
            texts.extend(Some(text).filter(|text| !text.is_empty()));
        };
        add(&mut self.told.stdout, output.stdout_text());
        add(&mut self.told.stderr, output.stderr_text());
        Ok(true)
    }

    /// Fetches the lists of packages.
    fn refresh(&mut self) -> Result<(), Failure> {
        let list = ["--sync", "--list"];
        let extra = split_words(&self.args.update_cache_extra_args)?;
        let mut words = vec!["--sync", "--refresh"];
        words.extend(extra.iter().map(String::as_str));
        let force = self.args.force;
        let before = if force {
            String::new()
        } else {
            self.listed(&list)?
        };
        if force {
            words.push("--refresh");
        }
        let ran = self.change(&words, "could not update package db")?;
        let message = if ran {
            "Updated package db"
        } else {
            "Would have updated the package db"
        };
        self.told.messages.push(message.to_owned());
        let updated = !ran || force || {
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                crate::order::sort(&mut lines);
                lines
            };
            sorted(&before) != sorted(&self.listed(&list)?)
        };
        self.outcome.changed |= updated;
        let value = updated.into();
        self.outcome
            .results
            .insert("cache_updated".to_owned(), value);
        Ok(())
    }

    /// Asks what there is.
    fn look(&mut self) -> Result<(), Failure> {
        self.known.installed = pairs(&self.listed(&["--query"])?).collect();
        let list = self.listed(&["--sync", "--list"])?;
        let words = list
            .lines()
            .map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
        let words = words.filter(|words| words.len() > 1);
        self.known.available = words
            .map(|words| (words[0].to_owned(), words[1].to_owned()))
            .collect();
        self.known.groups = pairs(&self.listed(&["--sync", "--groups", "--groups"])?).collect();
        let output = self.ask(&["--query", "--upgrades"])?;
        let text = output.stdout_text();
        let lines = text.lines().filter(|line| {
            !line.trim().is_empty()
                && !line.contains("[ignored]")
                && !line.contains("Avoid running")
        });
        for line in lines {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Some helpers put an age behind it.
            let [name, old, "->", new] = words[..words.len().min(4)] else {
                return Err(Failure::new(format!("Invalid line: {line}")));
            };
            let upgrade = (name.to_owned(), old.to_owned(), new.to_owned());
            self.known.upgrades.push(upgrade);
        }
        for (flag, reason) in [("--explicit", "explicit"), ("--deps", "dependency")] {
            for (name, _) in pairs(&self.listed(&["--query", flag])?) {
                self.known.reasons.insert(name, reason);
            }
        }
        self.foretold();
        Ok(())
    }

    /// What check mode knows of earlier tasks.
    fn foretold(&mut self) {
        let names: Vec<String> = self.args.name.iter().flatten().cloned().collect();
        for name in names {
            match self.machine.assumed(&self.key(&name)) {
                Some(version) if version.is_empty() => {
                    self.known.installed.remove(&name);
                }
                Some(version) => {
                    self.known.upgrades.retain(|(known, _, _)| *known != name);
                    self.known.installed.insert(name.clone(), version);
                    if !self.known.reasons.contains_key(&name) {
                        self.known.reasons.insert(name, "explicit");
                    }
                }
                None => {}
            }
        }
    }

    fn key(&self, name: &str) -> String {
        format!("pacman {} {name}", self.base[1..].join(" "))
    }

    fn assume(&mut self, name: &str, version: &str) {
        let key = self.key(name);
        self.machine
            .assume(Change::Fact(key, Some(version.to_owned())));
    }

    /// The packages that names stand for.
    fn resolve(&mut self, names: &[String]) -> Result<Vec<Package>, Failure> {
        let mut packages = vec![];
        let mut add = |name: &str, source: &str, file: bool| {
            packages.push(Package {
                name: name.to_owned(),
                source: source.to_owned(),
                file,
            });
        };
        for name in names.iter().filter(|name| !name.is_empty()) {
            let members = self.known.groups.iter().filter(|(group, _)| group == name);
            let members: Vec<String> = members.map(|(_, member)| member.clone()).collect();
            if !members.is_empty() {
                members.iter().for_each(|member| add(member, member, false));
            } else if self.known.available.contains_key(name)
                || self.known.installed.contains_key(name)
            {
                add(name, name, false);
            } else {
                // `REPOSITORY/NAME`, a file or an address.
                let mut words = ["--sync", "--print-format", "%n", name];
                let mut output = self.ask(&words)?;
                let file = output.code != 0;
                if file {
                    words[0] = "--upgrade";
                    output = self.ask(&words)?;
                }
                if output.code != 0 {
                    if self.args.absent() {
                        continue;
                    }
                    let text = format!("Failed to list package {name}");
                    let failure = self.failure(text, &words, &output);
                    return Err(failure.with("rc", output.code));
                }
                let text = output.stdout_text();
                add(text.lines().last().unwrap_or_default().trim(), name, file);
            }
        }
        Ok(packages)
    }

    fn install(&mut self, packages: &[Package]) -> Result<(), Failure> {
        let known = &self.known;
        let latest = self.args.state == "latest";
        let newer = |name: &str| known.upgrades.iter().any(|(known, _, _)| known == name);
        let marked: Vec<&str> = packages
            .iter()
            .filter(
                |package| match (&self.args.reason, known.reasons.get(&package.name)) {
                    (None, _) => false,
                    (Some(_), None) => true,
                    (Some(wanted), Some(reason)) => {
                        self.args.reason_for == ReasonFor::All && wanted != reason
                    }
                },
            )
            .map(|package| package.name.as_str())
            .collect();
        let wanted = |package: &&Package| {
            let there = known.installed.contains_key(&package.name);
            package.file || !there || (latest && newer(&package.name))
        };
        let wanted: Vec<&Package> = packages.iter().filter(wanted).collect();
        let sources = |file: bool| -> Vec<String> {
            let some = wanted.iter().filter(|package| package.file == file);
            some.map(|package| package.source.clone()).collect()
        };
        let extra = split_words(&self.args.extra_args)?;
        let mut base = vec!["--noconfirm", "--noprogressbar", "--needed"];
        base.extend(extra.iter().map(String::as_str));
        let lists = [("--sync", sources(false)), ("--upgrade", sources(true))];
        let mut plan = vec![];
        for (verb, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            let words = joined(&base, &[verb, "--print-format", "%n %v"], list);
            let output = self.ask(&words)?;
            if output.code != 0 {
                return Err(self.failure("Failed to list package(s) to install", &words, &output));
            }
            let text = output.stdout_text();
            let lines = text.lines().filter(|line| {
                let noise = [
                    "loading packages",
                    "there is nothing to do",
                    "Avoid running",
                ];
                !noise.iter().any(|noise| line.contains(noise))
            });
            plan.extend(pairs(&lines.collect::<Vec<_>>().join("\n")));
        }
        let mut names: Vec<String> = plan.iter().map(|(name, _)| name.clone()).collect();
        let others = marked
            .iter()
            .filter(|name| !names.iter().any(|known| known == *name));
        let others: Vec<String> = others.map(|name| (*name).to_owned()).collect();
        names.extend(others);
        crate::order::sort(&mut names);
        let count = names.len();
        self.results(&names);
        if names.is_empty() {
            let text = "package(s) already installed";
            self.told.messages.push(text.to_owned());
            return Ok(());
        }
        self.show(&plan, &marked);
        let mut ran = true;
        let wrong = "Failed to install package(s)";
        for (verb, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            ran &= self.change(&joined(&base, &[verb], list), wrong)?;
        }
        if !marked.is_empty() {
            let flag = match self.args.reason.as_deref() {
                Some("dependency") => "--asdeps",
                _ => "--asexplicit",
            };
            let mut words = vec!["--noconfirm", "--database", flag];
            words.extend(&marked);
            ran &= self.change(&words, wrong)?;
        }
        for (name, version) in &plan {
            self.assume(name, version);
        }
        self.told.messages.push(match ran {
            true => format!("Installed {count} package(s)"),
            false => format!("Would have installed {count} packages"),
        });
        Ok(())
    }

    /// The difference that installing makes.
    fn show(&mut self, plan: &[(String, String)], marked: &[&str]) {
        let (mut before, mut after) = (vec![], vec![]);
        for (name, version) in plan {
            let reason = self.known.reasons.get(name);
            if let Some(old) = self.known.installed.get(name) {
                before.push(format!("{name}-{old}-{}", reason.unwrap_or(&"")));
            }
            let wanted = self.args.reason.as_deref();
            after.push(match (wanted, reason) {
                (Some(wanted), _) if marked.contains(&name.as_str()) => {
                    format!("{name}-{version}-{wanted}")
                }
                (_, Some(reason)) => format!("{name}-{version}-{reason}"),
                _ => format!("{name}-{version}"),
            });
        }
        crate::order::sort(&mut before);
        crate::order::sort(&mut after);
        self.difference(&before, &after);
    }

    fn difference(&mut self, before: &[String], after: &[String]) {
        let text = |lines: &[String]| {
            lines
                .iter()
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        self.outcome.diff.push(Diff {
            before: DiffSide::Text(text(before)),
            after: DiffSide::Text(text(after)),
            ..Diff::default()
        });
        self.outcome.changed = true;
    }

    fn results(&mut self, names: &[String]) {
        let names = names.to_vec().into();
        self.outcome.results.insert("packages".to_owned(), names);
    }

    fn remove(&mut self, packages: &[Package]) -> Result<(), Failure> {
        let there = packages.iter().map(|package| package.name.clone());
        let there: Vec<String> = there
            .filter(|name| self.known.installed.contains_key(name))
            .collect();
        if there.is_empty() {
            self.results(&[]);
            self.told
                .messages
                .push("package(s) already absent".to_owned());
            return Ok(());
        }
        let extra = split_words(&self.args.extra_args)?;
        let mut base = vec!["--remove", "--noconfirm", "--noprogressbar"];
        base.extend(extra.iter().map(String::as_str));
        if self.args.force {
            base.extend(["--nodeps", "--nodeps"]);
        }
        let words = joined(&base, &["--print-format", "%n-%v"], &there);
        let output = self.ask(&words)?;
        let gone: Vec<String> = if output.code == 0 {
            output
                .stdout_text()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        } else {
            return Err(self.failure("failed to list package(s) to remove", &words, &output));
        };
        self.results(&gone);
        self.difference(&gone, &[]);
        let nosave: &[&str] = if self.args.remove_nosave {
            &["--nosave"]
        } else {
            &[]
        };
        let words = joined(&base, nosave, &there);
        let ran = self.change(&words, "failed to remove package(s)")?;
        for name in &there {
            self.assume(name, "");
        }
        let count = gone.len();
        self.told.messages.push(match ran {
            true => format!("Removed {count} package(s)"),
            false => format!("Would have removed {count} packages"),
        });
        Ok(())
    }

    fn upgrade(&mut self) -> Result<(), Failure> {
        let upgrades = std::mem::take(&mut self.known.upgrades);
        if upgrades.is_empty() {
            self.told.messages.push("Nothing to upgrade".to_owned());
            return Ok(());
        }
        let line = |(name, version): (&String, &String)| format!("{name}-{version}");
        let before: Vec<String> = upgrades
            .iter()
            .map(|(name, old, _)| line((name, old)))
            .collect();
        let after: Vec<String> = upgrades
            .iter()
            .map(|(name, _, new)| line((name, new)))
            .collect();
        self.difference(&before, &after);
        let names: Vec<String> = upgrades.iter().map(|(name, _, _)| name.clone()).collect();
        self.results(&names);
        let extra = split_words(&self.args.upgrade_extra_args)?;
        let mut words = vec!["--sync", "--sysupgrade", "--quiet", "--noconfirm"];
        words.extend(extra.iter().map(String::as_str));
        let ran = self.change(&words, "Could not upgrade")?;
        self.told.messages.push(match ran {
            true => "System upgraded".to_owned(),
            false => format!("{} packages would have been upgraded", names.len()),
        });
        Ok(())
    }
}

/// Three lists of words as one.
fn joined<'a>(first: &[&'a str], second: &[&'a str], third: &'a [String]) -> Vec<&'a str> {
    let words = first.iter().chain(second).copied();
    words.chain(third.iter().map(String::as_str)).collect()
}
