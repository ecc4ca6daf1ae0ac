//! `zypper`: packages of SUSE's systems.

use std::path::Path;

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::builtin::programs;

/// Installs, updates and removes packages with `zypper`.
#[derive(ModuleArgs)]
struct Args {
    /// Names, perhaps with versions (`name>=1.2`), files or addresses; `*` with `latest` updates everything.
    #[arg(alias = "pkg")]
    name: Vec<String>,
    /// The wanted state.
    #[arg(
        default = "present",
        choices = "absent, installed, latest, present, removed, dist-upgrade"
    )]
    state: String,
    /// The kind of thing that a name means.
    #[arg(
        default = "package",
        choices = "package, patch, pattern, product, srcpackage, application"
    )]
    r#type: String,
    /// Options before the command.
    extra_args_precommand: Option<String>,
    /// Take packages that nobody signed.
    #[arg(default = "false")]
    disable_gpg_check: bool,
    /// Trust new keys of repositories.
    #[arg(default = "false")]
    auto_import_keys: bool,
    /// Leave out what is only recommended; so it is where nothing is said.
    disable_recommends: Option<bool>,
    /// Install what is only recommended, or leave it out; otherwise as it is set up.
    install_recommends: Option<bool>,
    /// Install in any case.
    #[arg(default = "false")]
    force: bool,
    /// Let zypper solve conflicts.
    #[arg(default = "false")]
    force_resolution: bool,
    /// Fetch the lists of packages first; not in check mode.
    #[arg(default = "false", alias = "refresh")]
    update_cache: bool,
    /// Let packages become older; so it is where a version is asked for.
    #[arg(default = "false")]
    oldpackage: bool,
    /// Options behind the command.
    extra_args: Option<String>,
    /// Let packages come from another vendor.
    #[arg(default = "false")]
    allow_vendor_change: bool,
    /// Replace files of other packages.
    #[arg(default = "false")]
    replacefiles: bool,
    /// Remove what nothing needs any more.
    #[arg(default = "false")]
    clean_deps: bool,
    /// Tell errors in words only.
    #[arg(default = "false")]
    simple_errors: bool,
    /// Tell less.
    #[arg(default = "true")]
    quiet: bool,
    /// Scripts of packages that fail are no error.
    #[arg(default = "false")]
    skip_post_errors: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The names.
    name: Vec<String>,
    /// The wanted state.
    state: String,
    /// Whether the lists were to be fetched.
    update_cache: bool,
    /// What was run.
    cmd: Vec<String>,
}

module! {
    "community.general.zypper", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.zypper"],
    rules: Rules { mutually_exclusive: &[&["disable_recommends", "install_recommends"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    args.name.retain(|name| !name.is_empty());
    let mut zypper = Zypper {
        program: programs::required(machine, "zypper")?,
        transactional: transactional(machine),
        machine,
        args: &args,
        oldpackage: args.oldpackage,
        done: None,
    };
    if args.update_cache {
        let command = zypper.command("refresh", &[]);
        if let Some(output) = programs::change(zypper.machine, &command)? {
            zypper.read(&command, output, true)?;
        }
    }
    let all = args.name == ["*"];
    let solvables = match args.state.as_str() {
        "latest" | "dist-upgrade" if all => zypper.update()?,
        "dist-upgrade" => {
            return Err(Failure::new("Can not dist-upgrade specific packages."));
        }
        "absent" | "removed" => zypper.remove()?,
        _ => zypper.install()?,
    };
    let mut outcome = Outcome::unchanged()
        .with("name", args.name.clone())
        .with("state", args.state.as_str())
        .with("update_cache", args.update_cache);
    let mut code = 0;
    if let Some((command, output)) = zypper.done {
        code = output.code;
        outcome.changed = matches!(code, 0 | 102) && !solvables.is_empty();
        outcome = outcome.with("cmd", command.argv);
        if outcome.changed || !matches!(code, 0 | 102) {
            let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
            outcome = outcome.with("stdout", stdout).with("stderr", stderr);
        }
    }
    outcome = outcome.with("rc", code);
    if !matches!(code, 0 | 102) {
        let results = outcome.results;
        return Err(Failure {
            results,
            ..Failure::new("Zypper run failed.")
        });
    }
    let prepared = Diff {
        prepared: Some(told(&solvables)),
        ..Diff::default()
    };
    Ok(outcome.with_diff(prepared))
}

/// Whether the system is changed in snapshots that a start puts in force.
fn transactional(machine: &mut dyn Machine) -> bool {
    let program = Path::new("/usr/sbin/transactional-update");
    if !matches!(machine.stat(program, true), Ok(Some(_))) {
        return false;
    }
    let mounts = machine.read(Path::new("/proc/mounts")).unwrap_or_default();
    String::from_utf8_lossy(&mounts).lines().any(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words.len() > 3
            && words[1..3] == ["/", "btrfs"]
            && words[3].split(',').any(|word| word == "ro")
    })
}

/// A package in zypper's answers.
struct Solvable {
    name: String,
    version: String,
    old: String,
    group: String,
}

/// What a difference shows.
fn told(solvables: &[Solvable]) -> String {
    let mut text = String::new();
    for (word, group) in [
        ("installed", "to-install"),
        ("removed", "to-remove"),
        ("upgraded", "to-upgrade"),
    ] {
        let some = solvables.iter().filter(|one| one.group == group);
        let names: Vec<String> = some
            .map(|one| match group {
                "to-upgrade" => format!("{} ({} => {})", one.name, one.old, one.version),
                _ => one.name.clone(),
            })
            .collect();
        if !names.is_empty() {
            text += &format!("{word}: {}\n", names.join(", "));
        }
    }
    text
}

/// What the task says of one package: whether it is to be there, its name, the version.
struct Wanted {
    there: bool,
    name: String,
    version: String,
}

impl Wanted {
    fn read(text: &str, remove: bool) -> Self {
        let (sign, rest) = match text.strip_prefix(['+', '-', '~']) {
            Some(rest) => (&text[..1], rest),
            None => ("", text),
        };
        let at = rest.find(['<', '>', '=']).unwrap_or(rest.len());
        let (name, version) = rest.split_at(at);
        Self {
            there: match sign {
                "+" => true,
                "" => !remove,
                _ => false,
            },
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }
}

struct Zypper<'a> {
    program: String,
    transactional: bool,
    machine: &'a mut dyn Machine,
    args: &'a Args,
    oldpackage: bool,
    /// What was run last, and what it left.
    done: Option<(Command, Output)>,
}

impl Zypper<'_> {
    fn command(&self, word: &str, rest: &[String]) -> Command {
        let args = self.args;
        let mut argv: Vec<&str> = vec![];
        if self.transactional {
            let words = ["transactional-update", "--continue", "--drop-if-no-change"];
            argv.extend(words);
            argv.extend(["--quiet", "run"]);
        }
        argv.extend([self.program.as_str(), "--non-interactive", "--xmlout"]);
        let mut add = |wanted: bool, flag| argv.extend(wanted.then_some(flag));
        let installs = matches!(word, "install" | "update" | "patch" | "dist-upgrade");
        add(args.quiet, "--quiet");
        argv.extend(
            args.extra_args_precommand
                .iter()
                .flat_map(|line| line.split_whitespace()),
        );
        let mut add = |wanted: bool, flag| argv.extend(wanted.then_some(flag));
        add(
            (installs || word == "refresh") && args.disable_gpg_check,
            "--no-gpg-checks",
        );
        add(installs && args.auto_import_keys, "--gpg-auto-import-keys");
        add(word == "search", "--disable-repositories");
        add(true, word);
        if !matches!(word, "patch" | "dist-upgrade" | "refresh") {
            argv.extend(["--type", &args.r#type]);
        }
        let mut add = |wanted: bool, flag| argv.extend(wanted.then_some(flag));
        add(self.machine.predicts() && word != "search", "--dry-run");
        if installs {
            add(true, "--auto-agree-with-licenses");
            match args.install_recommends {
                Some(true) => add(true, "--recommends"),
                Some(false) => add(true, "--no-recommends"),
                None => add(args.disable_recommends != Some(false), "--no-recommends"),
            }
            add(args.force, "--force");
            add(args.force_resolution, "--force-resolution");
            add(self.oldpackage, "--oldpackage");
            add(args.replacefiles, "--replacefiles");
        }
        add(word == "remove" && args.clean_deps, "--clean-deps");
        add(
            word == "dist-upgrade" && args.allow_vendor_change,
            "--allow-vendor-change",
        );
        argv.extend(args.extra_args.iter().flat_map(|line| line.split(' ')));
        let words = argv.into_iter().map(str::to_owned);
        Command::new(words.chain(rest.iter().cloned())).c_locale()
    }

    /// Runs what changes something; in check mode zypper itself tells what it would do.
    fn change(&mut self, word: &str, rest: &[String]) -> Result<Vec<Solvable>, Failure> {
        let command = self.command(word, rest);
        let output = match self.machine.predicts() {
            true => programs::query(self.machine, &command)?,
            false => programs::change(self.machine, &command)?.unwrap_or_default(),
        };
        let mut solvables = self.read(&command, output, true)?;
        // Zypper was renewed itself, or a script failed: the same again does the rest.
        let code = self.done.as_ref().map_or(0, |(_, output)| output.code);
        if code == 103 || (code == 107 && self.args.skip_post_errors) {
            let output = programs::change(self.machine, &command)?.unwrap_or_default();
            solvables.extend(self.read(&command, output, true)?);
        }
        for one in &solvables {
            let version = if one.group == "to-remove" {
                ""
            } else {
                &one.version
            };
            let fact = Change::Fact(format!("zypper {}", one.name), Some(version.to_owned()));
            self.machine.assume(fact);
        }
        Ok(solvables)
    }

    /// The packages in an answer; errors are those that zypper tells.
    fn read(
        &mut self,
        command: &Command,
        mut output: Output,
        must_find: bool,
    ) -> Result<Vec<Solvable>, Failure> {
        let text = output.stdout_text();
        let (solvables, messages) = parsed(&text);
        let failure = |text: String, output: &Output| {
            programs::failed(text, output).with("cmd", command.argv.clone())
        };
        if self.args.simple_errors && !messages.is_empty() && output.code != 104 {
            output.stdout = messages.join(" \n").into_bytes();
        }
        match output.code {
            104 if must_find => {
                let text = messages.last().cloned().unwrap_or_default();
                return Err(failure(text, &output));
            }
            0 | 102 | 103 | 104 | 106 | 107 => {}
            code => {
                let text = format!("Zypper run command failed with return code {code}.");
                return Err(failure(text, &output));
            }
        }
        self.done = Some((command.clone(), output));
        Ok(solvables)
    }

    /// Those of some packages that are there.
    fn installed(&mut self, wanted: &[Wanted]) -> Result<Vec<String>, Failure> {
        let words = ["--match-exact", "--details", "--installed-only"];
        let names = wanted.iter().map(|one| one.name.clone());
        let rest: Vec<String> = words
            .iter()
            .map(|word| (*word).to_owned())
            .chain(names)
            .collect();
        let command = self.command("search", &rest);
        let output = programs::query(self.machine, &command)?;
        let solvables = self.read(&command, output, false)?;
        self.done = None;
        let mut there: Vec<String> = solvables.into_iter().map(|one| one.name).collect();
        for one in wanted {
            match self.machine.assumed(&format!("zypper {}", one.name)) {
                Some(version) if version.is_empty() => there.retain(|name| *name != one.name),
                Some(_) => there.push(one.name.clone()),
                None => {}
            }
        }
        Ok(there)
    }

    /// What the names mean: packages, and files or addresses.
    fn wanted(&self, remove: bool) -> (Vec<Wanted>, Vec<String>) {
        let names = self.args.name.iter();
        let (files, names): (Vec<&String>, Vec<&String>) =
            names.partition(|name| name.contains("://") || name.ends_with(".rpm"));
        let names = names.iter().map(|name| Wanted::read(name, remove));
        (names.collect(), files.into_iter().cloned().collect())
    }

    fn install(&mut self) -> Result<Vec<Solvable>, Failure> {
        let (mut wanted, files) = self.wanted(false);
        self.oldpackage |= wanted.iter().any(|one| !one.version.is_empty());
        if self.args.state != "latest" {
            let mut there = vec![];
            let plain = wanted.iter().filter(|one| one.version.is_empty());
            let plain: Vec<Wanted> = plain.map(|one| Wanted::read(&one.name, false)).collect();
            if !plain.is_empty() {
                there = self.installed(&plain)?;
            }
            wanted.retain(|one| one.there != there.contains(&one.name));
        }
        if wanted.is_empty() && files.is_empty() {
            return Ok(vec![]);
        }
        let mut rest = vec!["--".to_owned()];
        rest.extend(files);
        rest.extend(wanted.iter().map(|one| {
            let sign = if one.there { '+' } else { '-' };
            format!("{sign}{}{}", one.name, one.version)
        }));
        self.change("install", &rest)
    }

    fn remove(&mut self) -> Result<Vec<Solvable>, Failure> {
        let (mut wanted, files) = self.wanted(true);
        let wrong = if wanted.iter().any(|one| one.there) {
            "Can not combine '+' prefix with state=remove/absent."
        } else if !files.is_empty() {
            "Can not remove via URL."
        } else if self.args.r#type == "patch" {
            "Can not remove patches."
        } else {
            ""
        };
        if !wrong.is_empty() {
            return Err(Failure::new(wrong));
        }
        let there = self.installed(&wanted)?;
        wanted.retain(|one| there.contains(&one.name));
        if wanted.is_empty() {
            return Ok(vec![]);
        }
        let rest = wanted
            .iter()
            .map(|one| format!("{}{}", one.name, one.version));
        let rest: Vec<String> = rest.collect();
        self.change("remove", &rest)
    }

    fn update(&mut self) -> Result<Vec<Solvable>, Failure> {
        let word = match self.args.state.as_str() {
            _ if self.args.r#type == "patch" => "patch",
            "dist-upgrade" => "dist-upgrade",
            _ => "update",
        };
        self.change(word, &[])
    }
}

/// Packages and messages of an answer in XML.
fn parsed(text: &str) -> (Vec<Solvable>, Vec<String>) {
    let (mut solvables, mut messages, mut group) = (vec![], vec![], "");
    for piece in text.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap_or((piece, ""));
        let name = tag.split([' ', '/', '\n']).next().unwrap_or_default();
        match name {
            "solvable" => solvables.push(Solvable {
                name: attribute(tag, "name"),
                version: attribute(tag, "edition"),
                old: attribute(tag, "edition-old"),
                group: group.to_owned(),
            }),
            "message" => messages.push(plain(rest)),
            other if other.starts_with("to-") => group = other,
            // Descriptions and what is asked stand between.
            _ => {}
        }
    }
    (solvables, messages)
}

fn attribute(tag: &str, name: &str) -> String {
    let value = tag.split_once(&format!(" {name}=\"")).map(|(_, rest)| rest);
    let value = value.and_then(|rest| rest.split('"').next());
    plain(value.unwrap_or_default())
}

/// Text without the names of signs.
fn plain(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let text = "<?xml version='1.0'?><stream><message type=\"error\">No &apos;x&apos;.</message>\
            <install-summary><to-upgrade><solvable type=\"package\" name=\"a\" edition=\"2-1\" edition-old=\"1-1\"/>\
            </to-upgrade></install-summary></stream>";
        let (solvables, messages) = parsed(text);
        assert_eq!(messages, ["No 'x'."]);
        assert_eq!(told(&solvables), "upgraded: a (1-1 => 2-1)\n");
    }
}
