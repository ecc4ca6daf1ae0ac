//! `dnf`: packages of Fedora, Red Hat and their relatives, through `rpm` and `dnf`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;
use crate::order::Sorted;

/// What dnf is told.
#[derive(ModuleArgs)]
pub(super) struct Args {
    /// The packages: names, `name-version`, `name >= version`, `@group`, files, addresses, `*`.
    #[arg(alias = "pkg", default = "[]")]
    name: Vec<String>,
    /// Tell packages instead: `installed`, `updates`, `available`, `repos`, or a name.
    list: Option<String>,
    /// The wanted state.
    state: Option<State>,
    /// Repositories that are used, too.
    #[arg(default = "[]")]
    enablerepo: Vec<String>,
    /// Repositories that are not used.
    #[arg(default = "[]")]
    disablerepo: Vec<String>,
    /// The settings of dnf.
    conf_file: Option<PathBuf>,
    /// Take packages without a good signature.
    #[arg(default = "false")]
    disable_gpg_check: bool,
    /// The tree that is worked on.
    #[arg(default = "/")]
    installroot: String,
    /// The release that packages come from.
    releasever: Option<String>,
    /// Remove packages that nothing needs any more.
    #[arg(default = "false")]
    autoremove: bool,
    /// Packages that are left alone.
    #[arg(default = "[]")]
    exclude: Vec<String>,
    /// Leave out what cannot be installed.
    #[arg(default = "false")]
    skip_broken: bool,
    /// Fetch the lists of packages first.
    #[arg(alias = "expire-cache", default = "false")]
    update_cache: bool,
    /// Only update packages, install none.
    #[arg(default = "false")]
    update_only: bool,
    /// Only updates that concern security.
    #[arg(default = "false")]
    security: bool,
    /// Only updates that mend something.
    #[arg(default = "false")]
    bugfix: bool,
    /// Plugins that are used.
    #[arg(default = "[]")]
    enable_plugin: Vec<String>,
    /// Plugins that are not used.
    #[arg(default = "[]")]
    disable_plugin: Vec<String>,
    /// Whose excludes are not heeded: `all`, `main`, or a repository.
    disable_excludes: Option<String>,
    /// Whether certificates are checked.
    #[arg(default = "true")]
    validate_certs: bool,
    /// Whether certificates are checked.
    #[arg(default = "true")]
    sslverify: bool,
    /// Install older versions over newer ones.
    #[arg(default = "false")]
    allow_downgrade: bool,
    /// Install what installed packages recommend of each other.
    #[arg(default = "true")]
    install_weak_deps: bool,
    /// Only download packages.
    #[arg(default = "false")]
    download_only: bool,
    /// Where to.
    download_dir: Option<String>,
    /// How many seconds to wait for another dnf.
    #[arg(default = "30")]
    lock_timeout: i64,
    /// Remove installed packages that are in the way.
    #[arg(default = "false")]
    allowerasing: bool,
    /// Fail unless the newest versions can be had.
    best: Option<bool>,
    /// Be content with older versions.
    nobest: Option<bool>,
    /// Use the lists as they are.
    #[arg(default = "false")]
    cacheonly: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Installed,
    Latest,
    Present,
    Removed,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Auto,
    Dnf,
    Dnf4,
    Dnf5,
    Yum,
    Yum4,
}

/// Installs, updates and removes packages with dnf.
#[derive(ModuleArgs)]
struct Call {
    /// Which dnf is used; `auto` takes the one that is there.
    #[arg(default = "auto")]
    use_backend: Backend,
    /// What dnf is told.
    #[arg(flatten)]
    dnf: Args,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    results: Vec<String>,
    /// Why not.
    failures: Vec<String>,
    /// The exit code.
    rc: i32,
}

module! {
    "ansible.builtin.dnf", args: Call, returns: Values, run: run,
    aliases: ["ansible.builtin.yum"],
    rules: RULES,
}

/// What the arguments have to agree on.
pub(super) const RULES: Rules = Rules {
    mutually_exclusive: &[
        &["name", "list"],
        &["name", "autoremove"],
        &["best", "nobest"],
    ],
    ..Rules::NONE
};

fn run(machine: &mut dyn Machine, call: Call) -> Result<Outcome, Failure> {
    let program = match call.use_backend {
        Backend::Dnf5 => "dnf5",
        Backend::Dnf | Backend::Dnf4 | Backend::Yum4 => "dnf",
        Backend::Auto | Backend::Yum => {
            let known = ["dnf", "dnf5", "yum"];
            let found = known
                .into_iter()
                .find(|name| programs::installed(machine, name));
            found.unwrap_or("dnf")
        }
    };
    work(machine, &call.dnf, program)
}

/// An installed package: name, epoch, version, release, architecture.
type Package = [String; 5];

/// What one call of dnf would do: what it would bring, and what goes.
#[derive(Default)]
struct Plan {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    downgrades: bool,
}

/// Does what the arguments say with the program of this name.
pub(super) fn work(
    machine: &mut dyn Machine,
    args: &Args,
    program: &str,
) -> Result<Outcome, Failure> {
    let dnf = Dnf {
        program: programs::required(machine, program)?,
        args,
    };
    if let Some(what) = &args.list {
        return dnf.list(machine, what);
    }
    if args.autoremove && !matches!(args.state, None | Some(State::Absent | State::Removed)) {
        let msg = "Autoremove should be used alone or with state=absent";
        return Err(Failure::new(msg).with("results", Data::List(Vec::new())));
    }
    let names: Vec<&str> = args.name.iter().map(|name| name.trim()).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if args.update_cache {
        let command = dnf.command(&["makecache"], &[]);
        dnf.act(machine, &command)?;
        if names.is_empty() && !args.autoremove {
            return Ok(done(false, "Cache updated", Vec::new()));
        }
    }
    let installed = dnf.installed(machine)?;
    let (calls, mut notes) = dnf.calls(machine, &names, &installed)?;
    let (mut changed, mut foretold) = (false, false);
    for (words, names) in calls {
        let plan = dnf.plan(machine, &words, &names, &installed)?;
        let nothing = plan.added.is_empty() && plan.removed.is_empty();
        if nothing || plan.downgrades && !args.allow_downgrade {
            continue;
        }
        changed = true;
        foretold |= dnf.act(machine, &dnf.command(&words, &names))?.is_none();
        let verb = if args.download_only {
            "Downloaded"
        } else {
            "Installed"
        };
        notes.extend(plan.added.iter().map(|name| format!("{verb}: {name}")));
        if !args.download_only {
            notes.extend(plan.removed.iter().map(|name| format!("Removed: {name}")));
            assume(machine, &plan);
        }
    }
    let msg = match (changed, foretold) {
        (false, _) => "Nothing to do",
        (true, true) => "Check mode: No changes made, but would have if not in check mode",
        (true, false) => "",
    };
    Ok(done(changed, msg, notes))
}

fn done(changed: bool, msg: &str, results: Vec<String>) -> Outcome {
    let outcome = Outcome::new(changed).with("msg", msg).with("rc", 0);
    outcome.with("results", results)
}

fn failed(msg: impl Into<String>, results: Vec<String>) -> Failure {
    let failure = Failure::new(msg).with("rc", 1);
    failure.with("results", results)
}

/// `name-version-release.arch`, with the epoch where it says something.
fn shown(package: &Package) -> String {
    let [name, epoch, version, release, arch] = package;
    match epoch.as_str() {
        "0" => format!("{name}-{version}-{release}.{arch}"),
        _ => format!("{name}-{epoch}:{version}-{release}.{arch}"),
    }
}

/// Whether a package is the one that a name means.
fn is_named(package: &Package, wanted: &str) -> bool {
    let [name, epoch, version, release, arch] = package;
    let forms = [
        name.clone(),
        format!("{name}.{arch}"),
        format!("{name}-{version}"),
        format!("{name}-{version}-{release}"),
        format!("{name}-{version}-{release}.{arch}"),
        format!("{name}-{epoch}:{version}-{release}"),
        format!("{name}-{epoch}:{version}-{release}.{arch}"),
    ];
    forms.iter().any(|form| crate::text::fits(wanted, form))
}

/// Remembers what a check foretells, for this module and others.
fn assume(machine: &mut dyn Machine, plan: &Plan) {
    let known = machine.assumed(FORETOLD).unwrap_or_default();
    let mut lines: Vec<String> = known.lines().map(str::to_owned).collect();
    for name in &plan.removed {
        lines.retain(|line| line[1..] != **name);
        lines.push(format!("-{name}"));
    }
    for name in &plan.added {
        lines.retain(|line| line[1..] != **name);
        lines.push(format!("+{name}"));
    }
    machine.assume(Change::Fact(FORETOLD.to_owned(), Some(lines.join("\n"))));
}

const FORETOLD: &str = "dnf";
const MISSING: &str = "Failed to install some of the specified packages";

/// The parts of `name-epoch:version-release.arch`.
fn parts(nevra: &str) -> Option<Package> {
    let (rest, arch) = nevra.rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let (epoch, version) = version.split_once(':').unwrap_or(("0", version));
    Some([name, epoch, version, release, arch].map(str::to_owned))
}

/// Words and names of one call of dnf.
type Words<'a> = (Vec<&'static str>, Vec<&'a str>);

struct Dnf<'a> {
    program: String,
    args: &'a Args,
}

impl Dnf<'_> {
    fn command(&self, words: &[&str], names: &[&str]) -> Command {
        let args = self.args;
        let mut argv = vec![self.program.clone(), "-y".to_owned()];
        let mut add = |word: String| argv.push(word);
        if let Some(file) = &args.conf_file {
            add(format!("--config={}", file.display()));
        }
        if args.installroot != "/" {
            add(format!("--installroot={}", args.installroot));
        }
        let options = [
            ("releasever", &args.releasever),
            ("disableexcludes", &args.disable_excludes),
            ("downloaddir", &args.download_dir),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                add(format!("--{option}={value}"));
            }
        }
        let lists = [
            ("disablerepo", &args.disablerepo),
            ("enablerepo", &args.enablerepo),
            ("exclude", &args.exclude),
            ("disableplugin", &args.disable_plugin),
            ("enableplugin", &args.enable_plugin),
        ];
        for (option, values) in lists {
            for value in values {
                add(format!("--{option}={value}"));
            }
        }
        let best = args.best.or(args.nobest.map(|nobest| !nobest));
        let flags = [
            (args.disable_gpg_check, "--nogpgcheck"),
            (args.skip_broken, "--skip-broken"),
            (args.security, "--security"),
            (args.bugfix, "--bugfix"),
            (args.allowerasing, "--allowerasing"),
            (best == Some(true), "--best"),
            (best == Some(false), "--nobest"),
            (args.cacheonly, "--cacheonly"),
            (args.download_only, "--downloadonly"),
            (
                !(args.sslverify && args.validate_certs),
                "--setopt=sslverify=False",
            ),
            (!args.install_weak_deps, "--setopt=install_weak_deps=False"),
            (
                !args.autoremove,
                "--setopt=clean_requirements_on_remove=False",
            ),
        ];
        for (given, flag) in flags {
            if given {
                add(flag.to_owned());
            }
        }
        // Whether another dnf is at work is told at once; how long to wait is the task's business.
        add("--setopt=exit_on_lock=True".to_owned());
        argv.extend(words.iter().chain(names).map(|word| (*word).to_owned()));
        let mut command = Command::new(argv).c_locale();
        // Names of packages are cut off at the edge of a screen.
        command
            .env
            .push(("COLUMNS".to_owned(), Some("1000".to_owned())));
        command
    }

    /// Runs dnf, and waits while another one has the lock; `None`: in check mode it would have run.
    fn act(&self, machine: &mut dyn Machine, command: &Command) -> Result<Option<Output>, Failure> {
        let mut waited = 0;
        loop {
            let output = match programs::change(machine, command)? {
                Some(output) if output.code != 0 => output,
                fine => return Ok(fine),
            };
            if !locked(&output) {
                return Err(self.refused(&output));
            }
            self.wait(machine, &mut waited)?;
        }
    }

    fn wait(&self, machine: &mut dyn Machine, waited: &mut i64) -> Result<(), Failure> {
        if *waited >= self.args.lock_timeout {
            let msg = "dnf lockfile is held by another process";
            return Err(failed(msg, Vec::new()));
        }
        *waited += 1;
        machine.sleep(Duration::from_secs(1));
        Ok(())
    }

    /// What dnf complains about, in Ansible's words.
    fn refused(&self, output: &Output) -> Failure {
        let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
        let all = format!("{stdout}\n{stderr}");
        for line in all.lines() {
            let group = line.trim().strip_prefix("Module or Group '");
            if let Some((name, _)) = group.and_then(|rest| rest.split_once("' is not available")) {
                return failed(format!("No group {name} available."), Vec::new());
            }
        }
        let missing: Vec<String> = all
            .lines()
            .filter_map(|line| line.trim().strip_prefix("No match for argument: "))
            .map(|name| format!("No package {name} available."))
            .collect();
        if !missing.is_empty() {
            return failed(MISSING, Vec::new()).with("failures", missing);
        }
        let error = stderr
            .split_once("Error:")
            .map_or(stderr.as_str(), |(_, rest)| rest);
        let error = error.trim();
        match error.starts_with("Problem") {
            true => failed(format!("Depsolve Error occurred: {error}"), Vec::new()),
            false => failed(error, Vec::new()),
        }
    }

    /// What is installed, in check mode with what earlier tasks foretold.
    fn installed(&self, machine: &mut dyn Machine) -> Result<Sorted<Package, ()>, Failure> {
        const FORMAT: &str = "%{NAME}\\t%{EPOCHNUM}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\n";
        let rpm = programs::required(machine, "rpm")?;
        let root = &self.args.installroot;
        let words = [rpm.as_str(), "--root", root, "-qa", "--queryformat", FORMAT];
        let output = programs::ask(machine, words)?;
        if output.code != 0 {
            return Err(failed(output.stderr_text(), Vec::new()));
        }
        let package = |line: &str| {
            let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
            Package::try_from(fields).ok()
        };
        let mut all = Sorted::default();
        let text = output.stdout_text();
        text.lines()
            .filter_map(package)
            .for_each(|one| all.insert(one, ()));
        for line in machine.assumed(FORETOLD).unwrap_or_default().lines() {
            let (Some(sign), Some(package)) = (line.chars().next(), parts(&line[1..])) else {
                continue;
            };
            match sign {
                '+' => all.insert(package, ()),
                _ => all.remove(&package),
            };
        }
        Ok(all)
    }

    /// The calls of dnf that lead to the wanted state, and what is told beside.
    fn calls<'n>(
        &self,
        machine: &mut dyn Machine,
        names: &[&'n str],
        installed: &Sorted<Package, ()>,
    ) -> Result<(Vec<Words<'n>>, Vec<String>), Failure> {
        let is_there = |name: &str| installed.keys().any(|package| is_named(package, name));
        let (mut calls, mut notes) = (Vec::new(), Vec::new());
        let state = match self.args.state {
            None if self.args.autoremove => State::Absent,
            state => state.unwrap_or(State::Present),
        };
        match state {
            State::Absent | State::Removed => {
                let (there, gone): (Vec<&str>, Vec<&str>) = names
                    .iter()
                    .partition(|name| is_there(name) || name.contains(['/', '@', ' ']));
                notes.extend(
                    gone.iter()
                        .map(|name| format!("No match for argument: {name}")),
                );
                if !there.is_empty() {
                    calls.push((vec!["remove"], there));
                } else if self.args.autoremove {
                    calls.push((vec!["autoremove"], Vec::new()));
                }
            }
            State::Latest => {
                let (mut newer, mut new) = (Vec::new(), Vec::new());
                for name in names {
                    match *name {
                        "*" => calls.push((vec!["upgrade"], Vec::new())),
                        name if is_there(name) => newer.push(name),
                        name if self.args.update_only => notes.push(format!(
                            "Packages providing {name} not installed due to update_only specified"
                        )),
                        name => new.push(name),
                    }
                }
                calls.extend((!newer.is_empty()).then_some((vec!["upgrade"], newer)));
                calls.extend((!new.is_empty()).then_some((vec!["install"], new)));
            }
            State::Present | State::Installed => {
                let mut wanted = Vec::new();
                for name in names {
                    if name.ends_with(".rpm") && !name.contains("://") {
                        if !matches!(machine.stat(Path::new(name), true), Ok(Some(_))) {
                            let msg = format!(
                                "Error occurred attempting remote rpm operation: Could not open: {name}"
                            );
                            return Err(failed(msg, Vec::new()));
                        }
                        notes.push(format!("Installed {name}"));
                        wanted.push(*name);
                    } else if !is_there(name) {
                        wanted.push(*name);
                    }
                }
                calls.extend((!wanted.is_empty()).then_some((vec!["install"], wanted)));
            }
        }
        Ok((calls, notes))
    }

    /// What a call would do: dnf is asked, and told not to.
    fn plan(
        &self,
        machine: &mut dyn Machine,
        words: &[&str],
        names: &[&str],
        installed: &Sorted<Package, ()>,
    ) -> Result<Plan, Failure> {
        if words == ["remove"] && machine.assumed(FORETOLD).is_some() {
            // dnf does not know what an earlier task of a check would bring.
            let named = |package: &&Package| names.iter().any(|name| is_named(package, name));
            let removed = installed.keys().filter(named).map(shown).collect();
            return Ok(Plan {
                removed,
                ..Plan::default()
            });
        }
        let mut command = self.command(words, names);
        command.argv.insert(2, "--assumeno".to_owned());
        command.argv.remove(1);
        let mut waited = 0;
        let output = loop {
            let output = programs::query(machine, &command)?;
            if !locked(&output) {
                break output;
            }
            self.wait(machine, &mut waited)?;
        };
        let stderr = output.stderr_text();
        let refused = output.code != 0 && stderr.contains("Error:");
        if stderr.contains("There are no enabled repositories") {
            let failures: Vec<String> = names
                .iter()
                .map(|name| format!("No package {name} available."))
                .collect();
            return Err(failed(MISSING, Vec::new()).with("failures", failures));
        }
        if refused || stderr.contains("No match for argument") {
            return Err(self.refused(&output));
        }
        Ok(read_plan(&output.stdout_text(), installed))
    }

    fn list(&self, machine: &mut dyn Machine, what: &str) -> Result<Outcome, Failure> {
        const FORMAT: &str = "%{name}|%{epoch}|%{version}|%{release}|%{arch}|%{reponame}\\n";
        let format = format!("--queryformat={FORMAT}");
        let mut results = Vec::new();
        if what == "repos" || what == "repositories" {
            let output = programs::query(machine, &self.command(&["-q", "repolist"], &[]))?;
            for line in output.stdout_text().lines().skip(1) {
                let id = line.split_whitespace().next().unwrap_or_default();
                results.push(Data::Map(map! { "repoid" => id, "state" => "enabled" }));
            }
            return Ok(Outcome::unchanged()
                .with("msg", "")
                .with("results", Data::List(results)));
        }
        let kinds: &[(&str, &str, Option<&str>)] = match what {
            "installed" => &[("--installed", "installed", None)],
            "updates" | "upgrades" => &[("--upgrades", "available", None)],
            "available" => &[("--available", "available", None)],
            _ => &[
                ("--installed", "installed", Some("")),
                ("--available", "available", Some("")),
            ],
        };
        for (kind, state, named) in kinds {
            let words = ["-q", "repoquery", kind, &format];
            let names: Vec<&str> = named.iter().map(|_| what).collect();
            let output = programs::query(machine, &self.command(&words, &names))?;
            if output.code != 0 {
                return Err(self.refused(&output));
            }
            for line in output.stdout_text().lines().filter(|line| !line.is_empty()) {
                let fields: Vec<&str> = line.split('|').collect();
                let [name, epoch, version, release, arch, repo] = fields.as_slice() else {
                    continue;
                };
                let nevra = format!("{epoch}:{name}-{version}-{release}.{arch}");
                results.push(Data::Map(map! {
                    "name" => *name, "epoch" => *epoch, "version" => *version,
                    "release" => *release, "arch" => *arch, "repo" => *repo,
                    "envra" => nevra.as_str(), "nevra" => nevra.as_str(), "yumstate" => *state,
                }));
            }
        }
        Ok(Outcome::unchanged()
            .with("msg", "")
            .with("results", Data::List(results)))
    }
}

/// Whether another dnf is at work.
fn locked(output: &Output) -> bool {
    output.code == 200 || output.stderr_text().contains("Existing lock")
}

/// The table of a transaction: sections with a line for each package.
fn read_plan(text: &str, installed: &Sorted<Package, ()>) -> Plan {
    let mut plan = Plan::default();
    let mut section = "";
    for line in text.lines() {
        if line.starts_with("Transaction Summary") {
            break;
        }
        if !line.starts_with(' ') {
            section = line.trim_end();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, arch, version, _, ..] = words.as_slice() else {
            continue;
        };
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let Some((version, release)) = rest.rsplit_once('-') else {
            continue;
        };
        // dnf5 says what it replaces in a line of its own.
        if *name == "replacing" {
            continue;
        }
        let package = [name, epoch, version, release, arch].map(str::to_owned);
        if section.starts_with("Remov") {
            plan.removed.insert(shown(&package));
            continue;
        }
        let replaces = ["Upgrading", "Downgrading"]
            .iter()
            .any(|word| section.starts_with(word));
        plan.downgrades |= section.starts_with("Downgrading");
        if replaces {
            let same = |one: &&Package| one[0] == package[0] && one[4] == package[4];
            plan.removed
                .extend(installed.keys().filter(same).map(shown));
        }
        plan.added.insert(shown(&package));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        let text = "Dependencies resolved.\n=====\n Package  Arch  Version  Repository  Size\n=====\nInstalling:\n a   noarch  1.0-1   case  5 k\nUpgrading:\n b   x86_64  2:2.0-1   case  5 k\nRemoving unused dependencies:\n c   noarch   1-1   @case   0\n\nTransaction Summary\n";
        let old = parts("b-2:1.0-1.x86_64").unwrap();
        let mut installed = Sorted::default();
        installed.insert(old.clone(), ());
        let plan = read_plan(text, &installed);
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(list(&plan.added), "a-1.0-1.noarch b-2:2.0-1.x86_64");
        assert_eq!(list(&plan.removed), "b-2:1.0-1.x86_64 c-1-1.noarch");
        assert!(is_named(&old, "b-1*") && is_named(&old, "b") && !is_named(&old, "b-2.0"));
    }
}
