//! `apt`: packages of Debian and its relatives, through `dpkg-query` and `apt-get`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::{Attrs, Change, Command, Content, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::programs;
use crate::args::Rules;

/// Installs, updates and removes packages with apt.
#[derive(ModuleArgs, Default)]
pub(super) struct Args {
    /// The packages: names, `name=version`, `name>=version`, `name/release`, patterns.
    #[arg(name = "package", alias = "name", alias = "pkg")]
    name: Option<Vec<String>>,
    /// The wanted state.
    #[arg(default = "present")]
    state: State,
    /// Fetch the lists of packages first.
    #[arg(alias = "update-cache")]
    update_cache: Option<bool>,
    /// How many times fetching the lists is tried again.
    #[arg(default = "5")]
    update_cache_retries: u32,
    /// How many seconds at most to wait before fetching the lists again.
    #[arg(default = "12")]
    update_cache_retry_max_delay: u64,
    /// Lists that are younger than this many seconds are good enough.
    #[arg(default = "0")]
    cache_valid_time: u64,
    /// Remove configuration files, too.
    #[arg(default = "false")]
    purge: bool,
    /// The release packages come from.
    #[arg(alias = "default-release")]
    default_release: Option<String>,
    /// Install recommended packages, too; without it as the machine is set up.
    #[arg(alias = "install-recommends")]
    install_recommends: Option<bool>,
    /// Go on in spite of packages without a signature, downgrades and holds.
    #[arg(default = "false")]
    force: bool,
    /// Remove what was downloaded.
    #[arg(default = "false")]
    clean: bool,
    /// Install packages without a signature.
    #[arg(alias = "allow-unauthenticated", default = "false")]
    allow_unauthenticated: bool,
    /// Install older versions over newer ones.
    #[arg(
        alias = "allow-downgrade",
        alias = "allow_downgrades",
        alias = "allow-downgrades",
        default = "false"
    )]
    allow_downgrade: bool,
    /// Change packages that are on hold.
    #[arg(default = "false")]
    allow_change_held_packages: bool,
    /// Bring all installed packages up to date.
    #[arg(default = "no")]
    upgrade: Upgrade,
    /// Options of `dpkg`, separated by commas.
    #[arg(default = "force-confdef,force-confold")]
    dpkg_options: String,
    /// A package file.
    deb: Option<String>,
    /// Remove packages that nothing needs any more.
    #[arg(default = "false")]
    autoremove: bool,
    /// Remove downloaded packages that cannot be downloaded any more.
    #[arg(default = "false")]
    autoclean: bool,
    /// What `policy-rc.d` answers while packages are installed.
    policy_rc_d: Option<i32>,
    /// Only upgrade packages, install none.
    #[arg(default = "false")]
    only_upgrade: bool,
    /// Fail when something would be removed.
    #[arg(default = "false")]
    fail_on_autoremove: bool,
    /// Upgrade with `apt-get`; it is used in any case.
    #[arg(default = "false")]
    force_apt_get: bool,
    /// How many seconds to wait for other users of the package database.
    #[arg(default = "60")]
    lock_timeout: u64,
    /// Install what the module itself needs; it needs nothing.
    #[arg(default = "true")]
    auto_install_module_deps: bool,
}

#[derive(ArgEnum, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    Absent,
    #[arg(name = "build-dep")]
    BuildDep,
    Fixed,
    Latest,
    #[default]
    Present,
}

#[derive(ArgEnum, Clone, Copy, Default, PartialEq, Eq)]
enum Upgrade {
    Dist,
    Full,
    #[default]
    #[arg(alias = "False", alias = "false")]
    No,
    Safe,
    #[arg(alias = "True", alias = "true")]
    Yes,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Whether the lists were fetched.
    cache_updated: bool,
    /// When the lists were fetched last.
    cache_update_time: i64,
    /// What apt-get said.
    stdout: String,
    /// What apt-get complained about.
    stderr: String,
}

module! {
    "ansible.builtin.apt", args: Args, returns: Values, run: run,
    rules: RULES
}

/// What the arguments have to agree on.
pub(super) const RULES: Rules = Rules {
    mutually_exclusive: &[&["deb", "package", "upgrade"]],
    ..Rules::NONE
};

/// The fact of a check that packages would be installed.
const INSTALLS: &str = "packages:installed";

/// Whether an earlier task of a check would install packages, whose files nobody knows.
pub(super) fn installs(machine: &mut dyn Machine) -> bool {
    machine.assumed(INSTALLS).is_some()
}

pub(super) fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let _ = (args.force_apt_get, args.auto_install_module_deps);
    if args.clean {
        let output = apt_get(machine, &args, &["clean"])?;
        let text = output
            .map(|output| output.stdout_text())
            .unwrap_or_default();
        return Ok(Outcome::new(true)
            .with("stdout", text)
            .with("stderr", "")
            .with("msg", ""));
    }
    let updated = refresh(machine, &args)?;
    let with_cache = |outcome: Outcome, machine: &mut dyn Machine| {
        outcome
            .with("cache_updated", updated)
            .with("cache_update_time", cache_time(machine))
    };
    if args.upgrade != Upgrade::No {
        return upgrade(machine, &args);
    }
    if let Some(deb) = &args.deb {
        return package_file(machine, &args, deb);
    }
    let names: Vec<String> = args
        .name
        .iter()
        .flatten()
        .map(|name| name.trim().to_owned())
        .collect();
    let names = if names == [""] { Vec::new() } else { names };
    if names.iter().any(String::is_empty) {
        return Err(Failure::new("No package matching '' is available"));
    }
    if args.state == State::Latest && names.iter().any(|name| name == "*") {
        if names.len() > 1 {
            return Err(Failure::new(
                "unable to install additional packages when upgrading all installed packages",
            ));
        }
        return upgrade(
            machine,
            &Args {
                upgrade: Upgrade::Yes,
                ..args
            },
        );
    }
    if names.is_empty() {
        if args.autoclean || args.autoremove {
            return tidy(machine, &args);
        }
        let outcome = with_cache(Outcome::new(updated), machine);
        return Ok(outcome);
    }
    if args.state == State::Absent {
        return remove(machine, &args, &names);
    }
    match install(machine, &args, &names) {
        Ok(outcome) => Ok(with_cache(outcome, machine)),
        Err(failure) if failure.msg.starts_with(NO_CANDIDATE) => {
            let updated = failure.with("cache_updated", updated);
            Err(updated.with("cache_update_time", cache_time(machine)))
        }
        Err(failure) => Err(failure),
    }
}

/// Fetches the lists of packages when they are too old; whether there were newer ones.
fn refresh(machine: &mut dyn Machine, args: &Args) -> Result<bool, Failure> {
    let wanted = args.update_cache.unwrap_or(false)
        || (args.cache_valid_time > 0 && args.update_cache.is_none());
    if !wanted {
        return Ok(false);
    }
    let before = cache_time(machine);
    let age = machine.now() - Duration::from_secs(u64::try_from(before).unwrap_or(0)).as_secs_f64();
    if args.cache_valid_time > 0 && age <= Duration::from_secs(args.cache_valid_time).as_secs_f64()
    {
        return Ok(false);
    }
    let predicted = !fetch_lists(machine, args)?;
    // As in Ansible, where there were no lists, there are no newer ones.
    Ok(predicted || (before != 0 && cache_time(machine) != before))
}

/// Fetches the lists of packages, for modules that change where they come from.
pub(super) fn update_lists(
    machine: &mut dyn Machine,
    retries: u32,
    max_delay: u64,
) -> Result<(), Failure> {
    let args = Args {
        update_cache_retries: retries,
        update_cache_retry_max_delay: max_delay,
        lock_timeout: 60,
        ..Args::default()
    };
    fetch_lists(machine, &args).map(drop)
}

/// Fetches the lists, unless this is check mode; whether it did.
fn fetch_lists(machine: &mut dyn Machine, args: &Args) -> Result<bool, Failure> {
    let mut why = String::new();
    let attempts = args.update_cache_retries.max(1);
    for attempt in 0..attempts {
        match apt_get(machine, args, &["update"])? {
            Some(output) if output.code != 0 || incomplete(&output.stderr_text()) => {
                why = output.stderr_text();
            }
            output => return Ok(output.is_some()),
        }
        if attempt + 1 < attempts {
            let delay = (1_u64 << attempt.min(10)).min(args.update_cache_retry_max_delay);
            machine.sleep(Duration::from_secs(delay));
        }
    }
    Err(Failure::new(format!(
        "Failed to update apt cache after {} retries: {}",
        args.update_cache_retries,
        why.trim()
    )))
}

/// Whether apt-get went on without a list that it could not fetch: it calls that a success.
fn incomplete(told: &str) -> bool {
    told.contains("Some index files failed to download")
}

/// When the lists were fetched last.
fn cache_time(machine: &mut dyn Machine) -> i64 {
    [
        "/var/lib/apt/periodic/update-success-stamp",
        "/var/lib/apt/lists",
    ]
    .iter()
    .find_map(|path| machine.stat(Path::new(path), true).ok().flatten())
    .map_or(0, |stat| stat.mtime.0)
}

/// `apt-get` with the words that every call has.
fn command(args: &Args, simulate: bool, words: &[&str]) -> Command {
    let mut argv = vec!["apt-get".to_owned(), "-y".to_owned()];
    for option in args
        .dpkg_options
        .split(',')
        .filter(|option| !option.is_empty())
    {
        argv.extend([
            "-o".to_owned(),
            format!("Dpkg::Options::=--{}", option.trim_start_matches('-')),
        ]);
    }
    argv.extend([
        "-o".to_owned(),
        format!("DPkg::Lock::Timeout={}", args.lock_timeout),
    ]);
    if simulate {
        argv.push("--simulate".to_owned());
    }
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    let mut command = Command::new(argv).c_locale();
    for (name, value) in [
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBIAN_PRIORITY", "critical"),
    ] {
        command.env.push((name.to_owned(), Some(value.to_owned())));
    }
    command
}

/// Runs `apt-get`, and waits while another program has the lists or the database.
fn apt_get(
    machine: &mut dyn Machine,
    args: &Args,
    words: &[&str],
) -> Result<Option<Output>, Failure> {
    let end = machine.now() + Duration::from_secs(args.lock_timeout).as_secs_f64();
    loop {
        let output = programs::change(machine, &command(args, false, words))?;
        let locked = output.as_ref().is_some_and(|output| {
            output.code != 0 && output.stderr_text().contains("Could not get lock")
        });
        if !locked || machine.now() >= end {
            return Ok(output);
        }
        machine.sleep(Duration::from_secs(1));
    }
}

/// Options of installing and removing.
fn options(args: &Args) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let flags = [
        (args.force, "--allow-unauthenticated"),
        (args.force || args.allow_downgrade, "--allow-downgrades"),
        (args.force, "--allow-remove-essential"),
        (
            args.force || args.allow_change_held_packages,
            "--allow-change-held-packages",
        ),
        (args.autoremove, "--auto-remove"),
        (args.purge, "--purge"),
        (args.only_upgrade, "--only-upgrade"),
        (args.fail_on_autoremove, "--no-remove"),
        (args.state == State::Fixed, "--fix-broken"),
        (
            args.allow_unauthenticated && !args.force,
            "--allow-unauthenticated",
        ),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, word)| (*word).to_owned()),
    );
    if let Some(release) = &args.default_release {
        words.extend(["-t".to_owned(), release.clone()]);
    }
    if let Some(wanted) = args.install_recommends {
        words.extend([
            "-o".to_owned(),
            format!(
                "APT::Install-Recommends={}",
                if wanted { "yes" } else { "no" }
            ),
        ]);
    }
    words
}

/// A package as it is installed.
struct Installed {
    name: String,
    arch: String,
    status: String,
    version: String,
    /// Check mode alone has installed it.
    foretold: bool,
}

/// What dpkg knows of packages; patterns list all that fit.
fn installed(machine: &mut dyn Machine, names: &[String]) -> Result<Vec<Installed>, Failure> {
    let mut argv: Vec<String> = [
        "dpkg-query",
        "-W",
        "-f",
        "${Package}\\t${Architecture}\\t${db:Status-Status}\\t${Version}\\n",
    ]
    .map(str::to_owned)
    .to_vec();
    argv.extend(names.iter().map(|name| bare(name).to_owned()));
    let output = programs::ask(machine, argv)?;
    let mut found: Vec<Installed> = output
        .stdout_text()
        .lines()
        .filter_map(|line| {
            let [name, arch, status, version] = line.split('\t').collect::<Vec<_>>()[..] else {
                return None;
            };
            let own = str::to_owned;
            Some(Installed {
                name: own(name),
                arch: own(arch),
                status: own(status),
                version: own(version),
                foretold: false,
            })
        })
        .collect();
    for name in names
        .iter()
        .map(|name| bare(name).split(':').next().unwrap_or_default())
    {
        let Some(version) = machine.assumed(&format!("package:{name}")) else {
            continue;
        };
        let foretold = !found
            .iter()
            .any(|one| one.name == name && one.status == "installed");
        found.retain(|one| one.name != name);
        if !version.is_empty() {
            let (name, status) = (name.to_owned(), "installed".to_owned());
            found.push(Installed {
                name,
                arch: String::new(),
                status,
                version,
                foretold,
            });
        }
    }
    Ok(found)
}

/// A package's name without version and release.
fn bare(spec: &str) -> &str {
    spec.split(['=', '/', '>']).next().unwrap_or(spec).trim()
}

/// Whether an installed package is what the specification asks for.
fn satisfies(spec: &str, one: &Installed) -> bool {
    let (name, arch) = bare(spec)
        .split_once(':')
        .map_or((bare(spec), None), |(name, arch)| (name, Some(arch)));
    let version = spec
        .split_once('=')
        .filter(|(name, _)| !name.ends_with('>'))
        .map(|(_, version)| version);
    crate::text::fits(name, &one.name)
        && arch.is_none_or(|arch| arch == one.arch || arch == "any" || one.arch.is_empty())
        && one.status == "installed"
        && version.is_none_or(|version| crate::text::fits(version, &one.version))
}

fn install(machine: &mut dyn Machine, args: &Args, names: &[String]) -> Result<Outcome, Failure> {
    let found = installed(machine, names)?;
    let mut there = Vec::new();
    for spec in names {
        let mut is_there = false;
        for one in found.iter().filter(|one| satisfies(spec, one)) {
            is_there |= is_new_enough(machine, spec, &one.version)?;
        }
        there.extend(is_there.then_some(spec.as_str()));
    }
    let there = |spec: &str| there.contains(&spec);
    let known = |spec: &str| {
        found
            .iter()
            .any(|one| one.status == "installed" && crate::text::fits(bare(spec), &one.name))
    };
    let wanted: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|spec| match args.state {
            State::Latest => !args.only_upgrade || known(spec),
            State::BuildDep | State::Fixed => true,
            _ => !there(spec) && (!args.only_upgrade || known(spec)),
        })
        .collect();
    if wanted.is_empty() {
        return Ok(Outcome::unchanged());
    }
    let mut words = options(args);
    words.push(
        if args.state == State::BuildDep {
            "build-dep"
        } else {
            "install"
        }
        .to_owned(),
    );
    words.extend(
        wanted
            .iter()
            .map(|spec| spec.split(">=").next().unwrap_or(spec).trim().to_owned()),
    );
    act(machine, args, &words, &wanted)
}

/// Whether a version is at least what `name>=version` asks for; every other specification is content.
fn is_new_enough(machine: &mut dyn Machine, spec: &str, version: &str) -> Result<bool, Failure> {
    let Some((_, least)) = spec.split_once(">=") else {
        return Ok(true);
    };
    Ok(programs::ask(
        machine,
        ["dpkg", "--compare-versions", version, "ge", least.trim()],
    )?
    .code
        == 0)
}

/// Fails when the plan would install less than the specifications ask for.
fn check_versions(machine: &mut dyn Machine, plan: &str, wanted: &[&str]) -> Result<(), Failure> {
    for spec in wanted.iter().filter(|spec| spec.contains(">=")) {
        let key = format!("package:{}", bare(spec).trim());
        for change in changes(plan) {
            let Change::Fact(name, Some(version)) = change else {
                continue;
            };
            if name == key && !is_new_enough(machine, spec, &version)? {
                return Err(Failure::new(format!("{NO_CANDIDATE} {spec}")));
            }
        }
    }
    Ok(())
}

const NO_CANDIDATE: &str = "no available installation candidate for";

/// Simulates; when something would change, does it.
fn act(
    machine: &mut dyn Machine,
    args: &Args,
    words: &[String],
    wanted: &[&str],
) -> Result<Outcome, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let simulated = programs::query(machine, &command(args, true, &words))?;
    if simulated.code != 0 {
        let mut failure = explained(&simulated, &words, wanted);
        // Of what is only foretold, another version was asked for.
        let foretold = wanted.iter().find(|spec| {
            let known = machine.assumed(&format!("package:{}", bare(spec)));
            spec.contains('=') && known.is_some_and(|version| !version.is_empty())
        });
        if let Some(spec) = foretold.filter(|_| failure.msg.starts_with("No package matching")) {
            failure.msg = format!("{NO_CANDIDATE} {spec}");
        }
        return Err(failure);
    }
    let plan = simulated.stdout_text();
    if nothing(&plan) {
        return Ok(Outcome::unchanged());
    }
    check_versions(machine, &plan, wanted)?;
    let guard = Policy::begin(machine, args)?;
    let ran = apt_get(machine, args, &words);
    guard.end(machine);
    let output = match ran? {
        Some(output) if output.code != 0 => return Err(explained(&output, &words, wanted)),
        Some(output) => output,
        None => simulated,
    };
    for change in changes(&plan) {
        machine.assume(change);
    }
    if plan.lines().any(|line| line.starts_with("Inst ")) {
        machine.assume(Change::Fact(INSTALLS.to_owned(), Some(String::new())));
    }
    Ok(reported(Outcome::new(true), &output))
}

fn reported(outcome: Outcome, output: &Output) -> Outcome {
    let text = output.stdout_text();
    let diff = difference(&text);
    let outcome = outcome
        .with("stdout", text)
        .with("stderr", output.stderr_text());
    match diff {
        Some(prepared) => outcome.with_diff(Diff {
            prepared: Some(prepared),
            ..Diff::default()
        }),
        None => outcome,
    }
}

/// The part of apt-get's output that says what changes.
fn difference(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let read = |line: &&str| line.starts_with("Reading state information");
    let start = lines.iter().position(read)? + 1;
    let end = lines.iter().position(|line| summary(line))?;
    (start <= end).then(|| format!("{}\n", lines[start..=end].join("\n")))
}

fn summary(line: &str) -> bool {
    line.contains(" upgraded, ") && line.contains(" newly installed, ")
}

fn nothing(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("0 upgraded, 0 newly installed, 0 to remove"))
        && !text
            .lines()
            .any(|line| line.starts_with("Conf ") || line.starts_with("Inst "))
}

/// What the lines of a simulation mean for later looks.
fn changes(plan: &str) -> Vec<Change> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (verb, name) = (words.next()?, words.next()?);
        let version = match verb {
            "Inst" => words
                .find_map(|word| word.strip_prefix('('))
                .unwrap_or("installed")
                .to_owned(),
            "Remv" | "Purg" => String::new(),
            _ => return None,
        };
        Some(Change::Fact(
            format!("package:{}", name.split(':').next().unwrap_or(name)),
            Some(version),
        ))
    };
    plan.lines().filter_map(line).collect()
}

/// apt-get's complaint in Ansible's words where it has some.
fn explained(output: &Output, words: &[&str], wanted: &[&str]) -> Failure {
    let text = output.stderr_text();
    for spec in wanted {
        let name = bare(spec);
        let unknown = text.contains(&format!("Unable to locate package {name}\n"))
            || text.contains(&format!("Package '{name}' has no installation candidate"))
            || text.contains(&format!("Couldn't find any package by glob '{name}'"));
        if unknown {
            return Failure::new(format!("No package matching '{name}' is available"));
        }
        if text.contains(&format!("for '{name}' was not found")) {
            return Failure::new(format!("{NO_CANDIDATE} {spec}"));
        }
    }
    programs::failed(
        format!("'apt-get {}' failed: {text}", words.join(" ")),
        output,
    )
}

fn remove(machine: &mut dyn Machine, args: &Args, names: &[String]) -> Result<Outcome, Failure> {
    let found = installed(machine, names)?;
    let there = |spec: &str| {
        found.iter().any(|one| {
            let left = args.purge
                && one.status == "config-files"
                && crate::text::fits(bare(spec), &one.name);
            left || satisfies(bare(spec), one)
                || (one.status.starts_with("half") && crate::text::fits(bare(spec), &one.name))
        })
    };
    let wanted: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|spec| there(spec))
        .collect();
    if wanted.is_empty() {
        return Ok(Outcome::unchanged());
    }
    // apt-get knows nothing of what is only foretold.
    let foretold: Vec<&str> = found
        .iter()
        .filter(|one| one.foretold)
        .map(|one| one.name.as_str())
        .collect();
    let (foretold, wanted): (Vec<&str>, Vec<&str>) = wanted
        .into_iter()
        .partition(|spec| foretold.contains(&bare(spec).split(':').next().unwrap_or_default()));
    let mut words = options(args);
    words.push("remove".to_owned());
    words.extend(wanted.iter().map(|spec| bare(spec).to_owned()));
    let outcome = match wanted.is_empty() {
        false => act(machine, args, &words, &wanted)?,
        true => Outcome::unchanged(),
    };
    Ok(match foretold.is_empty() {
        true => outcome,
        false => removed(machine, args, &foretold, outcome),
    })
}

/// What removing packages will say that check mode alone has installed.
fn removed(machine: &mut dyn Machine, args: &Args, names: &[&str], outcome: Outcome) -> Outcome {
    let mark = if args.purge { "*" } else { "" };
    let mut list = String::new();
    for name in names.iter().map(|name| bare(name)) {
        list.push_str(&format!(" {name}{mark}"));
        let key = format!("package:{}", name.split(':').next().unwrap_or(name));
        machine.assume(Change::Fact(key, Some(String::new())));
    }
    let count = names.len();
    let text = format!(
        "Reading state information...\nThe following packages will be REMOVED:\n {list}\n\
         0 upgraded, 0 newly installed, {count} to remove and 0 not upgraded.\n"
    );
    let output = Output {
        stdout: text.into_bytes(),
        ..Output::default()
    };
    match outcome.changed {
        true => outcome,
        false => reported(Outcome::new(true), &output),
    }
}

fn upgrade(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let mut words = options(args);
    match args.upgrade {
        Upgrade::Dist | Upgrade::Full => words.push("dist-upgrade".to_owned()),
        _ => words.extend(["--with-new-pkgs".to_owned(), "upgrade".to_owned()]),
    }
    let outcome = act(machine, args, &words, &[])?;
    let text = outcome.results.get("stdout").cloned();
    Ok(match text {
        Some(text) => outcome.with("msg", text),
        None => outcome,
    })
}

/// `autoremove` and `autoclean` alone.
fn tidy(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let verb = if args.autoclean {
        "autoclean"
    } else {
        "autoremove"
    };
    let mut words = if args.purge {
        vec!["--purge"]
    } else {
        Vec::new()
    };
    words.push(verb);
    let simulated = programs::query(machine, &command(args, true, &words))?;
    if simulated.code != 0 {
        return Err(programs::failed(
            format!("'apt-get {verb}' failed: {}", simulated.stderr_text()),
            &simulated,
        ));
    }
    let text = simulated.stdout_text();
    let some = text.lines().any(|line| line.starts_with("Del "))
        || (verb == "autoremove" && !nothing(&text));
    if !some {
        return Ok(reported(Outcome::unchanged(), &simulated));
    }
    let output = match apt_get(machine, args, &words)? {
        Some(output) if output.code != 0 => {
            return Err(programs::failed(
                format!("'apt-get {verb}' failed: {}", output.stderr_text()),
                &output,
            ));
        }
        Some(output) => output,
        None => simulated,
    };
    for change in changes(&text) {
        machine.assume(change);
    }
    Ok(reported(Outcome::new(true), &output))
}

fn package_file(machine: &mut dyn Machine, args: &Args, deb: &str) -> Result<Outcome, Failure> {
    if deb.contains("://") {
        return Err(Failure::new(
            "a package file at an address is not supported yet; download it with `get_url` first",
        ));
    }
    let path = PathBuf::from(deb);
    if !matches!(machine.stat(&path, true), Ok(Some(_))) {
        return Err(Failure::new(format!(
            "Unable to install package: E:Could not open file {deb} - open (2: No such file or directory)"
        )));
    }
    let path = if path.is_absolute() {
        path
    } else {
        machine.process().cwd.join(path)
    };
    let shown = path.display().to_string();
    let output = programs::ask(
        machine,
        ["dpkg-deb", "-f", shown.as_str(), "Package", "Version"],
    )?;
    if output.code != 0 {
        return Err(Failure::new(format!(
            "Unable to install package: {}",
            output.stderr_text().trim()
        )));
    }
    let text = output.stdout_text();
    let field = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let spec = format!("{}={}", field("Package:"), field("Version:"));
    let found = installed(machine, std::slice::from_ref(&spec))?;
    if found
        .iter()
        .any(|one| one.status == "installed" && spec == format!("{}={}", one.name, one.version))
    {
        return Ok(Outcome::unchanged().with("stdout", "").with("stderr", ""));
    }
    let mut words = options(args);
    words.extend(["install".to_owned(), shown]);
    act(machine, args, &words, &[])
}

/// The file that keeps services from starting while packages are installed.
struct Policy {
    wrote: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl Policy {
    fn begin(machine: &mut dyn Machine, args: &Args) -> Result<Self, Failure> {
        let Some(code) = args.policy_rc_d else {
            return Ok(Self { wrote: false });
        };
        if matches!(machine.stat(Path::new(POLICY), true), Ok(Some(_))) {
            return Err(Failure::new(format!(
                "Fail to create {POLICY}: it is there already"
            )));
        }
        let text = format!("#!/bin/sh\nexit {code}\n");
        let attrs = Attrs {
            mode: Some(0o755),
            ..Attrs::default()
        };
        machine
            .write(Path::new(POLICY), Content::Bytes(text.as_bytes()), &attrs)
            .map_err(|error| Failure::new(format!("Fail to create {POLICY}: {error}")))?;
        Ok(Self { wrote: true })
    }

    fn end(self, machine: &mut dyn Machine) {
        if self.wrote {
            // What apt-get did is reported; a file that is gone is what is wanted.
            let _ = machine.remove(Path::new(POLICY), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output() {
        let plan = "Reading state information...\nThe following NEW packages will be installed:\n  hello\n0 upgraded, 1 newly installed, 0 to remove and 1 not upgraded.\nInst hello (2.10-3 Debian:12 [amd64])\n";
        assert!(!nothing(plan));
        assert_eq!(difference(plan).unwrap().lines().count(), 3);
        assert_eq!(
            changes(plan),
            [Change::Fact(
                "package:hello".to_owned(),
                Some("2.10-3".to_owned())
            )]
        );
        assert!(nothing(
            "0 upgraded, 0 newly installed, 0 to remove and 131 not upgraded.\n"
        ));
        assert_eq!(bare("a=1*"), "a");
    }
}
