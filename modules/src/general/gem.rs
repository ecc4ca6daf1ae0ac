//! `gem`: packages of Ruby.

use std::path::PathBuf;

use rplay_modules::args::state::PackageState as State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::cannot_run;
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::split_words;

use crate::builtin::programs;

/// Installs, updates and removes packages of Ruby with `gem`.
#[derive(ModuleArgs)]
struct Args {
    /// The package.
    name: String,
    /// The wanted state.
    #[arg(default = "present")]
    state: State,
    /// The version.
    version: Option<String>,
    /// A package file to install.
    gem_source: Option<PathBuf>,
    /// Where packages come from.
    #[arg(alias = "source")]
    repository: Option<String>,
    /// The `gem` that is used; it may have arguments.
    executable: Option<String>,
    /// Install what the package needs, too.
    #[arg(default = "true")]
    include_dependencies: bool,
    /// Install documents, too.
    #[arg(default = "false")]
    include_doc: bool,
    /// Install for the user alone.
    #[arg(default = "true")]
    user_install: bool,
    /// The folder of packages; not with `user_install`.
    install_dir: Option<PathBuf>,
    /// The folder of programs.
    bindir: Option<PathBuf>,
    /// Name the user's folder, as `gem environment` tells it, instead of `--user-install`.
    #[arg(default = "false")]
    override_platform_install_dir: bool,
    /// Take versions that are not released yet.
    #[arg(default = "false")]
    pre_release: bool,
    /// Let programs look for Ruby with `env`.
    #[arg(default = "false")]
    env_shebang: bool,
    /// Options for building.
    build_flags: Option<String>,
    /// Go on in spite of what other packages need.
    #[arg(default = "false")]
    force: bool,
    /// Read no `.gemrc`.
    #[arg(default = "true")]
    norc: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The package.
    name: String,
    /// The wanted state.
    state: String,
    /// The version, where one was asked for.
    version: String,
}

module! {
    "community.general.gem", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.gem"],
    rules: Rules { mutually_exclusive: &[&["gem_source", "repository"], &["gem_source", "version"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    if args.gem_source.is_some() && args.state == State::Latest {
        let text = "Cannot maintain state=latest when installing from local source";
        return Err(Failure::new(text));
    }
    if args.user_install && args.install_dir.is_some() {
        return Err(Failure::new("install_dir requires user_install=false"));
    }
    let program = match &args.executable {
        Some(line) => split_words(line)?,
        None => vec![programs::required(machine, "gem")?],
    };
    let gem = Gem::of(machine, program, &args)?;
    if args.override_platform_install_dir && args.user_install {
        let folder = gem.user_folder(machine)?;
        args.bindir = args.bindir.or_else(|| Some(folder.join("bin")));
        args.install_dir = Some(folder);
        args.user_install = false;
    }
    let installed = gem.versions(machine, &args, false)?;
    if args.state == State::Latest && args.version.is_none() {
        args.version = gem.versions(machine, &args, true)?.first().cloned();
    }
    let there = match &args.version {
        Some(version) => installed.contains(version),
        None => !installed.is_empty(),
    };
    let present = args.state != State::Absent;
    if there != present {
        programs::must(machine, &gem.change(&args)?)?;
        let mut versions = installed;
        match (&args.version, present) {
            (Some(version), true) => versions.insert(0, version.clone()),
            (None, true) => versions.push("?".to_owned()),
            (Some(version), false) => versions.retain(|known| known != version),
            (None, false) => versions.clear(),
        }
        machine.assume(Change::Fact(gem.key(&args), Some(versions.join(" "))));
    }
    let mut outcome = Outcome::new(there != present)
        .with("name", args.name)
        .with("state", args.state.word());
    if let Some(version) = args.version {
        outcome = outcome.with("version", version);
    }
    Ok(outcome)
}

struct Gem {
    program: Vec<String>,
    /// Whether it knows `--norc`.
    norc: bool,
}

impl Gem {
    fn of(machine: &mut dyn Machine, program: Vec<String>, args: &Args) -> Result<Self, Failure> {
        let mut argv = program.clone();
        argv.push("--version".to_owned());
        let command = Command::new(argv).c_locale();
        let output = machine.query(&command);
        let output = output.map_err(|error| cannot_run(&command.argv, &error))?;
        if output.code != 0 {
            return Err(programs::refused(&command, &output));
        }
        let text = output.stdout_text();
        let version: Vec<u32> = text
            .trim()
            .split('.')
            .map_while(|part| part.parse().ok())
            .collect();
        Ok(Self {
            program,
            norc: args.norc && version.as_slice() >= [2, 5, 2].as_slice(),
        })
    }

    fn key(&self, args: &Args) -> String {
        let folder = args.install_dir.as_deref();
        let folder = folder.map_or("", |folder| folder.to_str().unwrap_or_default());
        format!("gem {} {folder} {}", self.program.join(" "), args.name)
    }

    fn command(&self, args: &Args, words: &[&str]) -> Command {
        let mut argv = self.program.clone();
        argv.push(words[0].to_owned());
        argv.extend(self.norc.then(|| "--norc".to_owned()));
        argv.extend(words[1..].iter().map(|word| (*word).to_owned()));
        let mut command = Command::new(argv).c_locale();
        if let Some(folder) = &args.install_dir {
            let folder = folder.to_string_lossy().into_owned();
            command.env.push(("GEM_HOME".to_owned(), Some(folder)));
        }
        command
    }

    /// The user's folder.
    fn user_folder(&self, machine: &mut dyn Machine) -> Result<PathBuf, Failure> {
        let mut argv = self.program.clone();
        argv.push("environment".to_owned());
        let output = programs::query(machine, &Command::new(argv).c_locale())?;
        let text = output.stdout_text();
        let folder = text
            .lines()
            .find_map(|line| line.split_once("USER INSTALLATION DIRECTORY:"));
        match folder {
            Some((_, folder)) => Ok(folder.trim().into()),
            None => Err(programs::failed(
                "Unable to determine the user gem installation directory",
                &output,
            )),
        }
    }

    /// The versions that are installed, or that there are elsewhere, newest first.
    fn versions(
        &self,
        machine: &mut dyn Machine,
        args: &Args,
        remote: bool,
    ) -> Result<Vec<String>, Failure> {
        if !remote && let Some(known) = machine.assumed(&self.key(args)) {
            return Ok(known
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect());
        }
        let pattern = format!("^{}$", args.name);
        let mut words = vec!["list"];
        if remote {
            words.push("--remote");
            if let Some(repository) = &args.repository {
                words.extend(["--source", repository]);
            }
        }
        words.push(&pattern);
        let command = self.command(args, &words);
        let output = programs::query(machine, &command)?;
        if output.code != 0 {
            return Err(programs::refused(&command, &output));
        }
        Ok(listed(&output.stdout_text(), &args.name))
    }

    /// Installs or removes.
    fn change(&self, args: &Args) -> Result<Command, Failure> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut words = vec![];
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([flag.to_owned(), value]);
            }
        };
        let folder = args.install_dir.as_ref().map(path);
        let bin = args.bindir.as_ref().map(path);
        if args.state == State::Absent {
            add("--install-dir", folder);
            add("--bindir", bin);
            match &args.version {
                Some(version) => add("--version", Some(version.clone())),
                None => words.push("--all".to_owned()),
            }
            words.push("--executable".to_owned());
            words.extend(args.force.then(|| "--force".to_owned()));
            words.push(args.name.clone());
            let mut all = vec!["uninstall"];
            all.extend(words.iter().map(String::as_str));
            return Ok(self.command(args, &all));
        }
        add("--version", args.version.clone());
        add("--source", args.repository.clone());
        words.extend((!args.include_dependencies).then(|| "--ignore-dependencies".to_owned()));
        let user = if args.user_install {
            "--user-install"
        } else {
            "--no-user-install"
        };
        words.push(user.to_owned());
        let mut add = |flag: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([flag.to_owned(), value]);
            }
        };
        add("--install-dir", folder);
        add("--bindir", bin);
        words.extend(args.pre_release.then(|| "--pre".to_owned()));
        words.extend((!args.include_doc).then(|| "--no-document".to_owned()));
        words.extend(args.env_shebang.then(|| "--env-shebang".to_owned()));
        words.extend(args.force.then(|| "--force".to_owned()));
        words.push(args.gem_source.as_ref().map_or(args.name.clone(), path));
        if let Some(flags) = &args.build_flags {
            words.push("--".to_owned());
            words.extend(split_words(flags)?);
        }
        let mut all = vec!["install"];
        all.extend(words.iter().map(String::as_str));
        Ok(self.command(args, &all))
    }
}

/// The versions in a line such as `name (1.1, default: 1.0 ruby x86)`.
fn listed(text: &str, name: &str) -> Vec<String> {
    let mut versions = vec![];
    for line in text.lines() {
        let Some(rest) = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(" ("))
        else {
            continue;
        };
        for part in rest.trim_end_matches(')').split(", ") {
            let part = part.strip_prefix("default: ").unwrap_or(part);
            versions.extend(part.split(' ').next().map(str::to_owned));
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions() {
        let text = "*** LOCAL GEMS ***\n\nabc (2.0, default: 1.0 ruby)\nabcd (3)\n";
        assert_eq!(super::listed(text, "abc"), ["2.0", "1.0"]);
    }
}
