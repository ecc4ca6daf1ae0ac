//! `npm`: packages of Node.js, in a folder or for the whole system, through `npm`.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::PackageState as State;
use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{cannot_run, make_dirs};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{json, module};

use crate::builtin::programs;

/// Installs, updates and removes packages of Node.js.
#[derive(ModuleArgs)]
struct Args {
    /// The package; without one those that `package.json` names.
    name: Option<String>,
    /// The folder.
    path: Option<PathBuf>,
    /// The version.
    version: Option<String>,
    /// Install for the whole system.
    #[arg(default = "false")]
    global: bool,
    /// The `npm` that is used.
    executable: Option<PathBuf>,
    /// Run no scripts of packages.
    #[arg(default = "false")]
    ignore_scripts: bool,
    /// Let scripts run as root.
    #[arg(default = "false")]
    unsafe_perm: bool,
    /// Install exactly what `package-lock.json` names.
    #[arg(default = "false")]
    ci: bool,
    /// Leave out what is for development only.
    #[arg(default = "false")]
    production: bool,
    /// Where packages come from.
    registry: Option<String>,
    /// The wanted state.
    #[arg(default = "present")]
    state: State,
    /// Leave out what is optional.
    #[arg(default = "false")]
    no_optional: bool,
    /// Make no links to programs.
    #[arg(default = "false")]
    no_bin_links: bool,
    /// Go on in spite of conflicts.
    #[arg(default = "false")]
    force: bool,
}

/// What comes back.
#[derive(Returns)]
struct Values {}

module! {
    "community.general.npm", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.npm"],
    rules: Rules {
        required_if: &[
            ("state", "absent", &["name"], false),
            ("global", "False", &["path"], false),
        ],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let program = match &args.executable {
        Some(path) => path.display().to_string(),
        None => programs::required(machine, "npm")?,
    };
    let npm = Npm {
        program,
        args: &args,
    };
    if args.ci {
        npm.act(machine, "ci", false)?;
        return Ok(Outcome::new(true));
    }
    let (installed, missing) = npm.list(machine)?;
    let changed = match args.state {
        State::Present => {
            if missing {
                npm.act(machine, "install", true)?;
            }
            missing
        }
        State::Latest => {
            let outdated = !missing && npm.outdated(machine)?;
            if missing {
                npm.act(machine, "install", true)?;
            } else if outdated {
                npm.act(machine, "update", true)?;
            }
            missing || outdated
        }
        State::Absent => {
            if installed {
                npm.act(machine, "uninstall", true)?;
            }
            installed
        }
    };
    if changed && let Some(name) = &args.name {
        let version = match args.state {
            State::Absent => String::new(),
            _ => format!("@{}", args.version.clone().unwrap_or_default()),
        };
        machine.assume(Change::Fact(npm.key(name), Some(version)));
    }
    Ok(Outcome::new(changed))
}

struct Npm<'a> {
    program: String,
    args: &'a Args,
}

impl Npm<'_> {
    fn folder(&self) -> Option<&Path> {
        self.args.path.as_deref().filter(|_| !self.args.global)
    }

    /// Where check mode keeps what it foretells of a package.
    fn key(&self, name: &str) -> String {
        let folder = self.folder().unwrap_or(Path::new("-g"));
        format!("npm {} {name}", folder.display())
    }

    fn command(&self, words: &[&str], with_name: bool) -> Command {
        let args = self.args;
        let changes = words.first().is_some_and(|word| *word != "list");
        let mut argv = vec![self.program.clone()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        let mut add = |given: bool, flag: &str| argv.extend(given.then(|| flag.to_owned()));
        add(args.global, "--global");
        add(args.production && changes, "--production");
        add(args.ignore_scripts, "--ignore-scripts");
        add(args.unsafe_perm, "--unsafe-perm");
        if with_name && let Some(name) = &args.name {
            let version = args.version.as_ref().filter(|_| words != ["uninstall"]);
            argv.push(match version {
                Some(version) => format!("{name}@{version}"),
                None => name.clone(),
            });
        }
        if let Some(registry) = &args.registry {
            argv.extend(["--registry".to_owned(), registry.clone()]);
        }
        let mut add = |given: bool, flag: &str| argv.extend(given.then(|| flag.to_owned()));
        add(args.no_optional, "--no-optional");
        add(args.no_bin_links, "--no-bin-links");
        add(args.force, "--force");
        let cwd = self.folder().map(Path::to_owned);
        Command {
            cwd,
            ..Command::new(argv).c_locale()
        }
    }

    fn act(&self, machine: &mut dyn Machine, word: &str, named: bool) -> Result<(), Failure> {
        if let Some(folder) = self.folder() {
            make_dirs(machine, folder)?;
        }
        programs::must(machine, &self.command(&[word], named))
    }

    /// Whether the package is installed, and whether something is missing.
    fn list(&self, machine: &mut dyn Machine) -> Result<(bool, bool), Failure> {
        let known = self
            .args
            .name
            .as_ref()
            .and_then(|name| machine.assumed(&self.key(name)));
        if let Some(known) = known {
            let other = self
                .args
                .version
                .as_ref()
                .is_some_and(|version| known[1.min(known.len())..] != *version);
            return Ok((!known.is_empty(), known.is_empty() || other));
        }
        let folder = self.folder();
        if let Some(folder) = folder
            && !matches!(machine.stat(folder, true), Ok(Some(_)))
        {
            return Ok((false, true));
        }
        let command = self.command(&["list", "--json", "--long"], false);
        let asked = machine.query(&command);
        let output = asked.map_err(|error| cannot_run(&command.argv, &error))?;
        let tree = json::read_bytes(&output.stdout).unwrap_or_default();
        let Some(packages) = tree.get("dependencies").and_then(Data::as_map) else {
            return Ok((false, true));
        };
        let absent =
            |package: &Data| package.get("missing").is_some() || package.get("invalid").is_some();
        let Some(name) = &self.args.name else {
            return Ok((true, packages.values().any(absent)));
        };
        // A file or an address goes by the name of what is in it.
        let found = packages.iter().find(|(key, package)| {
            let resolved = package.get("resolved").and_then(|from| from.as_str());
            *key == name || resolved.is_some_and(|from| from.trim_start_matches("file:") == name)
        });
        let Some((_, package)) = found.filter(|(_, package)| !absent(package)) else {
            return Ok((false, true));
        };
        let version = package.get("version").and_then(|version| version.as_str());
        let other = self.args.version.is_some() && version != self.args.version.as_deref();
        Ok((true, other))
    }

    /// Whether there is a newer version.
    fn outdated(&self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        let output = programs::query(machine, &self.command(&["outdated"], true))?;
        let text = output.stdout_text();
        let mut rows = text
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next());
        Ok(match &self.args.name {
            Some(name) => rows.any(|row| row == name),
            None => rows.next().is_some(),
        })
    }
}
