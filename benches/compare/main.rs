//! rplay beside Ansible: the same plays over SSH to the same host, in one run.
//!
//! `cargo bench --bench compare [-- OPTIONS]`, as root. It installs nothing; what is missing, it says.
//!
//! * `--runs N`: how often Ansible runs a play without delay (2); with a delay it does once. rplay
//!   runs five times as often.
//! * `--delays A,B,...`: milliseconds added to each direction (0,10,50).
//! * `--engine TEXT`: only engines whose names contain it (`rplay`, `pyinfra`, ...).
//! * `--minutes N`: no run starts later than this (40).
//! * `--save`: adds the results to those of the day in `benches/compare/results/`.
//! * Words: only the plays whose names contain one of them; `start` and `count` are the parts about
//!   starting and about processes.
//!
//! `$ANSIBLE_BIN` is `ansible-playbook` if that is not in the path, `$RPLAY_BINARY` another rplay,
//! `$MITOGEN` the folder that has `ansible_mitogen`, `$PYINFRA_BIN` pyinfra's program; without them those
//! two are left out,
//! `$SINGULARITY` the `singularity` of the host, which Lmod loads for the Setonix play.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench reports on standard output"
)]

mod count;
mod group;
#[path = "../../tests/harness/proxy.rs"]
mod proxy;
mod run;
mod start;
mod table;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use group::Group;
use run::{Engine, Play, Reads, Way};
use start::Start;
use target::Target;

/// The version that the module file of `singularity` has.
const SINGULARITY: &str = "4.1.0";

/// The size of the large file in bytes.
const LARGE: u64 = 100 << 20;

struct Options {
    runs: u32,
    delays: Vec<u64>,
    limit: Duration,
    save: bool,
    engine: String,
    words: Vec<String>,
}

/// The programs that are compared, and what else was found on this machine.
struct Machine {
    ansible: PathBuf,
    rplay: PathBuf,
    singularity: Option<PathBuf>,
    /// The folder that has `ansible_mitogen`.
    mitogen: Option<PathBuf>,
    pyinfra: Option<PathBuf>,
    begin: Instant,
}

fn main() -> ExitCode {
    match options().and_then(|options| compare(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("compare: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        runs: 2,
        delays: vec![0, 10, 50],
        limit: Duration::from_secs(40 * 60),
        save: false,
        engine: String::new(),
        words: Vec::new(),
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let number = |text: Option<String>| -> Result<u64, String> {
            let text = text.ok_or_else(|| format!("{word} needs a number"))?;
            text.parse()
                .map_err(|_| format!("{word} {text}: not a number"))
        };
        match word.as_str() {
            // What Cargo adds.
            "--bench" => {}
            "--save" => options.save = true,
            "--engine" => options.engine = words.next().unwrap_or_default(),
            "--runs" => options.runs = u32::try_from(number(words.next())?).unwrap_or(u32::MAX),
            "--minutes" => options.limit = Duration::from_secs(60 * number(words.next())?),
            "--delays" => {
                let list = words.next().unwrap_or_default();
                let numbers = list.split(',').map(|text| number(Some(text.to_owned())));
                options.delays = numbers.collect::<Result<_, _>>()?;
            }
            other if other.starts_with('-') => return Err(format!("unknown option `{other}`")),
            _ => options.words.push(word),
        }
    }
    Ok(options)
}

impl Options {
    /// How often a play is run. What takes little time is easily disturbed, and costs little.
    fn times(&self, engine: &Engine, delay: Duration) -> u32 {
        let runs = if delay.is_zero() { self.runs } else { 1 };
        match engine.name {
            name if !name.contains(&self.engine) => 0,
            name if name.starts_with("rplay") => runs * 5,
            _ => runs,
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }
}

/// Runs everything; whether all of it succeeded with the same end state.
fn compare(options: &Options) -> Result<bool, String> {
    let machine = Machine::look()?;
    let mut records = vec![json!({ "meta": machine.describe(options) })];
    let mut results = Results::default();
    if options.wants("start") {
        for start in machine.starts() {
            let home = tempfile::tempdir().map_err(|fault| fault.to_string())?;
            records.push(tell(start::measure(&start, home.path())?));
        }
    }
    let plain = Target::start("target", "MaxStartups 300\n")?;
    // What a bench that was killed made.
    Target::leave()?;
    let controller = Group::new("controller")?;
    for delay in &options.delays {
        let delay = Duration::from_millis(*delay);
        let way = Way {
            target: &plain,
            controller: &controller,
            delay,
        };
        for engine in machine.engines() {
            for _ in 0..options.times(&engine, delay) {
                let mut plays = file_plays(delay);
                // The second run is no first contact.
                plays.retain(|play| !(play.again && engine.first_contact));
                for play in plays {
                    results.run(&machine, options, &engine, &play, &way);
                }
            }
        }
        copies(&machine, options, &way, &mut results)?;
        many(&machine, options, &way, &mut results);
    }
    if options.wants("count") && in_path("strace").is_some() {
        let engines = machine.engines().into_iter();
        for engine in engines.filter(|engine| options.times(engine, Duration::ZERO) > 0) {
            let record = count_processes(engine, &plain, &controller)?;
            results.records.push(tell(record));
        }
    }
    drop(plain);
    setonix(&machine, options, &controller, &mut results)?;
    Target::leave()?;
    records.append(&mut results.records);
    finish(options, &records)?;
    for failure in &results.failures {
        eprintln!("FAILED: {failure}");
    }
    Ok(results.failures.is_empty())
}

/// Runs the hundred tasks once more, traced: the figures of such a run are no good for anything else.
fn count_processes(
    mut engine: Engine,
    target: &Target,
    controller: &Group,
) -> Result<Value, String> {
    let folders = [tempfile::tempdir(), tempfile::tempdir()];
    let [mine, theirs] = folders.map(|folder| folder.map_err(|fault| fault.to_string()));
    let (mine, theirs) = (mine?, theirs?);
    let server = target.group.processes();
    let server = server.first().ok_or("the SSH server has ended")?;
    engine.prefix = vec!["strace".to_owned(), "--seccomp-bpf".to_owned()];
    engine.prefix.extend(count::arguments(mine.path()));
    let attached = count::Attached::to(*server, theirs.path())?;
    let way = Way {
        target,
        controller,
        delay: Duration::ZERO,
    };
    let files = file_plays(way.delay).swap_remove(1);
    let ran = run::run(&engine, &files, &way);
    attached.end();
    ran?;
    count::record(engine.name, mine.path(), theirs.path())
}

fn tell(record: Value) -> Value {
    println!("{record}");
    record
}

/// Prints the page; with `--save` that of all records of the day, and both are kept.
fn finish(options: &Options, records: &[Value]) -> Result<(), String> {
    let name = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
    if !options.save {
        println!("\n{}", table::page(&name, records));
        return Ok(());
    }
    let folder = here().join("results");
    let lines = folder.join(format!("{name}.ndjson"));
    let mut text = fs::read_to_string(&lines).unwrap_or_default();
    text.extend(records.iter().map(|record| format!("{record}\n")));
    let all = text.lines().map(serde_json::from_str);
    let all: Vec<Value> = all
        .collect::<Result<_, _>>()
        .map_err(|fault| format!("{}: {fault}", lines.display()))?;
    let page = table::page(&name, &all);
    println!("\n{page}");
    fs::write(&lines, text)
        .and_then(|()| fs::write(folder.join(format!("{name}.md")), page))
        .map_err(|fault| format!("{}: {fault}", folder.display()))
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare")
}

/// What has been measured so far.
#[derive(Default)]
struct Results {
    records: Vec<Value>,
    failures: Vec<String>,
    /// The end state that a play is expected to have: the first one's.
    states: HashMap<&'static str, BTreeMap<String, String>>,
}

impl Results {
    fn run(
        &mut self,
        machine: &Machine,
        options: &Options,
        engine: &Engine,
        play: &Play,
        way: &Way<'_>,
    ) {
        if !options.wants(play.name) || play.source(engine).is_none() {
            return;
        }
        if machine.begin.elapsed() > options.limit {
            let what = format!("{} of {}: no time left", play.name, engine.name);
            return self.failures.push(what);
        }
        match run::run(engine, play, way) {
            Ok(mut outcome) => {
                let expected = self
                    .states
                    .entry(play.name)
                    .or_insert_with(|| outcome.state.clone());
                let difference = difference(expected, &outcome.state);
                if let Some(path) = &difference {
                    let what = format!("{} of {}: another `{path}`", play.name, engine.name);
                    self.failures.push(what);
                }
                outcome.record["state"] = difference
                    .map_or_else(|| "same".to_owned(), |path| format!("another `{path}`"))
                    .into();
                self.records.push(tell(outcome.record));
            }
            Err(reason) => {
                eprintln!("{reason}");
                self.failures
                    .push(reason.lines().next().unwrap_or_default().to_owned());
            }
        }
    }
}

/// The first path that is not the same in both states.
fn difference(
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
) -> Option<String> {
    let paths = expected.keys().chain(found.keys());
    let mut different = paths.filter(|path| expected.get(*path) != found.get(*path));
    different.next().cloned()
}

/// One task, a hundred tasks, and the hundred again when nothing is left to do.
fn file_plays(delay: Duration) -> Vec<Play> {
    let play = |name, file: &str, again| Play {
        name,
        file: here().join("plays").join(file),
        variables: String::new(),
        again,
        hosts: None,
    };
    let mut plays = vec![
        play("one", "one.yml", false),
        play("files", "files.yml", false),
    ];
    if delay.is_zero() {
        plays.push(play("files again", "files.yml", true));
    }
    plays.push(play("commands", "commands.yml", false));
    plays.push(play("items of a loop", "loop.yml", false));
    plays
}

/// A large file beside `scp`, and a tree of a thousand small ones, each also when it is there.
fn copies(
    machine: &Machine,
    options: &Options,
    way: &Way<'_>,
    results: &mut Results,
) -> Result<(), String> {
    let fault = |fault: std::io::Error| fault.to_string();
    let (large, tree) = (way.target.file("large"), way.target.file("tree"));
    if !large.exists() {
        // Nothing can pack it.
        let noise = |number: u64| Sha256::digest(number.to_be_bytes());
        let bytes: Vec<u8> = (0..LARGE / 32).flat_map(noise).collect();
        fs::write(&large, bytes).map_err(fault)?;
        for number in 0..1000 {
            let folder = tree.join(format!("d{}", number % 40));
            fs::create_dir_all(&folder).map_err(fault)?;
            let text = format!("file {number}\n");
            fs::write(folder.join(format!("f{number}")), text).map_err(fault)?;
        }
    }
    let play = |name, source: String, again| Play {
        name,
        file: here().join("plays/large.yml"),
        variables: format!("source={source}\n"),
        again,
        hosts: None,
    };
    let source = large.display().to_string();
    for engine in machine.engines().into_iter().chain([scp()]) {
        let own = engine.program == machine.rplay;
        let is_further = matches!(engine.reads, Reads::Pyinfra | Reads::Script);
        if engine.first_contact || is_further || engine.name.contains("one by one") {
            continue;
        }
        for _ in 0..options.times(&engine, way.delay) {
            let mut plays = vec![play("a large file", source.clone(), false)];
            if own {
                let tree = format!("{}/", tree.display());
                plays.push(play("a large file again", source.clone(), true));
                plays.push(play("a tree", tree.clone(), false));
                plays.push(play("a tree again", tree, true));
            }
            for play in plays {
                results.run(machine, options, &engine, &play, way);
            }
        }
    }
    Ok(())
}

/// Twenty hosts with twenty tasks, a hundred with ten, what connecting to them costs alone, and facts.
fn many(machine: &Machine, options: &Options, way: &Way<'_>, results: &mut Results) {
    let play = |name, file: &str, hosts| Play {
        name,
        file: here().join("plays").join(file),
        variables: String::new(),
        again: false,
        hosts: Some(hosts),
    };
    // All of them are this machine. Where each is one of its own, tasks that see only files travel together.
    let mut engines = machine.engines();
    let apart = engines.iter().find(|engine| engine.name == "rplay");
    let apart = apart.map(|engine| Engine {
        name: "rplay, hosts apart",
        environment: vec![("RPLAY_SEND_AHEAD", "always".to_owned())],
        ..engine.clone()
    });
    engines.extend(apart);
    for engine in engines {
        let is_slow = engine.name == "ansible" || engine.first_contact;
        if engine.reads != Reads::Playbook || is_slow {
            continue;
        }
        for _ in 0..options.times(&engine, way.delay) {
            for play in [
                play("20 hosts, connecting", "connect.yml", 20),
                play("20 hosts, 20 tasks", "many20.yml", 20),
                play("20 hosts, facts", "facts.yml", 20),
                play("100 hosts, connecting", "connect.yml", 100),
                play("100 hosts, 10 tasks", "many10.yml", 100),
            ] {
                results.run(machine, options, &engine, &play, way);
            }
        }
    }
}

/// OpenSSH's copy, which a file's way is measured by.
fn scp() -> Engine {
    Engine {
        name: "scp",
        reads: Reads::File,
        program: "/usr/bin/scp".into(),
        environment: Vec::new(),
        first_contact: false,
        prefix: Vec::new(),
    }
}

/// The Setonix deployment with Lmod and `singularity`, and rplay's own form of it.
fn setonix(
    machine: &Machine,
    options: &Options,
    controller: &Group,
    results: &mut Results,
) -> Result<(), String> {
    if !options.wants("setonix") && !options.wants("setonix, own module") {
        return Ok(());
    }
    let lmod = "/etc/profile.d/lmod.sh";
    let with_shell = machine
        .singularity
        .as_ref()
        .filter(|_| Path::new(lmod).exists());
    if with_shell.is_none() {
        println!("left out: setonix with the shell, which needs {lmod} and $SINGULARITY");
    }
    let modules = tempfile::Builder::new().prefix("rb-").tempdir_in("/tmp");
    let modules = modules.map_err(|fault| fault.to_string())?;
    // The system's profile sets these on the real machine. A `bash` of the first level that knows of
    // an SSH connection would not read BASH_ENV.
    let config = format!(
        "SetEnv SHLVL=1 BASH_ENV={lmod} MODULEPATH={}\n",
        modules.path().display()
    );
    let target = Target::start("setonix", &config)?;
    let prepared = prepare_setonix(&target, modules.path(), with_shell);
    prepared.map_err(|fault| fault.to_string())?;
    let play = |name, file: &str| Play {
        name,
        file: target.file("setonix").join(file),
        variables: format!(
            "env=staging\nversion=1.0.0\nbase_dir={}\nsingularity_version={SINGULARITY}\n{}",
            Target::out().display(),
            // Apptainer takes no tag of a layout with several images.
            if file == "deploy-shell.yml" {
                "remote_image=oci:{{ playbook_dir }}/files/image\n"
            } else {
                ""
            }
        ),
        again: false,
        hosts: None,
    };
    for delay in &options.delays {
        let delay = Duration::from_millis(*delay);
        let way = Way {
            target: &target,
            controller,
            delay,
        };
        for engine in machine.engines() {
            if engine.reads != Reads::Playbook {
                continue;
            }
            for _ in 0..options.times(&engine, delay) {
                let mut plays = Vec::new();
                if with_shell.is_some() {
                    plays.push(play("setonix", "deploy-shell.yml"));
                }
                if engine.program == machine.rplay {
                    plays.push(play("setonix, own module", "deploy.yml"));
                }
                for play in plays {
                    results.run(machine, options, &engine, &play, &way);
                }
            }
        }
    }
    Ok(())
}

/// The playbooks where the login user can read them, and a module file for `singularity`.
fn prepare_setonix(
    target: &Target,
    modules: &Path,
    singularity: Option<&PathBuf>,
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let playbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks/setonix");
    Command::new("cp")
        .arg("-r")
        .arg(playbooks)
        .arg(target.file("setonix"))
        .status()?;
    only_image(&target.file("setonix/files/image/index.json"))?;
    fs::set_permissions(modules, fs::Permissions::from_mode(0o755))?;
    let Some(program) = singularity else {
        return Ok(());
    };
    let (bin, lua) = (modules.join("bin"), modules.join("singularity"));
    fs::create_dir(&bin)?;
    fs::create_dir(&lua)?;
    std::os::unix::fs::symlink(program, bin.join("singularity"))?;
    fs::write(
        lua.join(format!("{SINGULARITY}.lua")),
        format!("prepend_path(\"PATH\", \"{}\")\n", bin.display()),
    )
}

/// Leaves the first image of a layout only.
fn only_image(index: &Path) -> std::io::Result<()> {
    let mut content: Value = serde_json::from_slice(&fs::read(index)?)?;
    if let Some(images) = content["manifests"].as_array_mut() {
        images.truncate(1);
    }
    fs::write(index, content.to_string())
}

impl Machine {
    /// Looks for everything that is needed, and names all that is missing.
    fn look() -> Result<Self, String> {
        let mut missing = Vec::new();
        if !rustix::process::getuid().is_root() {
            missing.push("root (login users and control groups are made)".to_owned());
        }
        for program in [
            "/usr/sbin/sshd",
            "/usr/bin/ssh",
            "/usr/bin/sudo",
            "/usr/bin/python3",
        ] {
            if !Path::new(program).exists() {
                missing.push(program.to_owned());
            }
        }
        if let Err(reason) = Group::new("probe") {
            missing.push(reason);
        }
        let ansible = found("ANSIBLE_BIN", "ansible-playbook");
        if ansible.is_none() {
            missing.push("ansible-playbook in the path, or its path in $ANSIBLE_BIN".to_owned());
        }
        let Some(ansible) = ansible.filter(|_| missing.is_empty()) else {
            return Err(format!("missing: {}", missing.join("; ")));
        };
        Ok(Self {
            ansible,
            rplay: env::var_os("RPLAY_BINARY")
                .map_or_else(|| env!("CARGO_BIN_EXE_rplay").into(), PathBuf::from),
            singularity: found("SINGULARITY", "singularity"),
            mitogen: env::var_os("MITOGEN").map(PathBuf::from),
            pyinfra: found("PYINFRA_BIN", "pyinfra"),
            begin: Instant::now(),
        })
    }

    /// The ways to run a play.
    fn engines(&self) -> Vec<Engine> {
        let engine = |name, program: &PathBuf, environment: &[(&'static str, &str)]| Engine {
            name,
            reads: Reads::Playbook,
            program: program.clone(),
            environment: environment
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            first_contact: false,
            prefix: Vec::new(),
        };
        let of = |reads, engine| Engine { reads, ..engine };
        let pipelining = [("ANSIBLE_PIPELINING", "1")];
        let mut engines = vec![
            engine("ansible", &self.ansible, &[]),
            engine("ansible, pipelining", &self.ansible, &pipelining),
        ];
        if let Some(mitogen) = &self.mitogen {
            let folder = mitogen.display().to_string();
            let strategies = format!("{folder}/ansible_mitogen/plugins/strategy");
            let environment = [
                ("PYTHONPATH", folder.as_str()),
                ("ANSIBLE_STRATEGY_PLUGINS", &strategies),
                ("ANSIBLE_STRATEGY", "mitogen_linear"),
            ];
            engines.push(engine("ansible, Mitogen", &self.ansible, &environment));
        }
        if let Some(pyinfra) = &self.pyinfra {
            engines.push(of(Reads::Pyinfra, engine("pyinfra", pyinfra, &[])));
        }
        let shell = PathBuf::from("/bin/sh");
        engines.push(of(Reads::Script, engine("ssh, a call a task", &shell, &[])));
        engines.push(Engine {
            first_contact: true,
            ..engine("rplay, first contact", &self.rplay, &[])
        });
        engines.push(engine("rplay", &self.rplay, &[]));
        let never = [("RPLAY_SEND_AHEAD", "never")];
        engines.push(engine("rplay, one by one", &self.rplay, &never));
        engines
    }

    /// The command lines whose start is measured.
    fn starts(&self) -> Vec<Start> {
        let plays = here().join("plays");
        let local = |file: &str| {
            let file = plays.join(file).display().to_string();
            // The same Python as on the host over SSH.
            let variables = "out=. ansible_python_interpreter=/usr/bin/python3";
            let words = [&file, "-i", "localhost,", "-c", "local", "-e", variables];
            words.map(str::to_owned).to_vec()
        };
        let start = |name, program: &PathBuf, arguments, times, counted| Start {
            name,
            program: program.clone(),
            arguments,
            times,
            counted,
        };
        let version = || vec!["--version".to_owned()];
        vec![
            start("true", &"/bin/true".into(), Vec::new(), 200, false),
            start("rplay --version", &self.rplay, version(), 200, true),
            start(
                "rplay, no task, local",
                &self.rplay,
                local("empty.yml"),
                200,
                true,
            ),
            start(
                "rplay, one task, local",
                &self.rplay,
                local("one.yml"),
                50,
                true,
            ),
            start("ansible --version", &self.ansible, version(), 5, false),
            start(
                "ansible, no task, local",
                &self.ansible,
                local("empty.yml"),
                5,
                false,
            ),
            start(
                "ansible, one task, local",
                &self.ansible,
                local("one.yml"),
                5,
                false,
            ),
        ]
    }

    /// Where and with what the figures were made.
    fn describe(&self, options: &Options) -> Value {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpus = read("/proc/cpuinfo");
        let models = cpus.lines().filter(|line| line.starts_with("model name"));
        let model = models
            .clone()
            .next()
            .and_then(|line| line.split(": ").nth(1));
        let kernel = read("/proc/sys/kernel/osrelease");
        let size = fs::metadata(&self.rplay).map(|meta| meta.len()).ok();
        json!({
            "date": jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string(),
            "ansible": said(&self.ansible, "--version"),
            "rplay": said(&self.rplay, "--version"),
            "rplay's size": size,
            "Mitogen": self.mitogen.as_deref().and_then(mitogen_version),
            "pyinfra": self.pyinfra.as_deref().map(|path| said(path, "--version")),
            "python on the target": said(Path::new("/usr/bin/python3"), "--version"),
            "ssh": said(Path::new("/usr/bin/ssh"), "-V"),
            "singularity": self.singularity.as_deref().map(|path| said(path, "--version")),
            "kernel": kernel.trim(),
            "cpu": model,
            "cores": models.count(),
            "load at the start": read("/proc/loadavg").split(' ').next(),
            "delays in ms": options.delays,
        })
    }
}

/// The version of Mitogen in a folder of packages.
fn mitogen_version(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let version = |name: String| {
        let rest = name.strip_prefix("mitogen-")?;
        Some(rest.strip_suffix(".dist-info")?.to_owned())
    };
    names.filter_map(version).next()
}

/// The program that the variable names, or else the one in the path.
fn found(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    in_path(name)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The first line that a program says.
fn said(program: &Path, arguments: &str) -> Option<String> {
    let mut command = Command::new(program);
    let output = command
        .args(arguments.split(' '))
        .current_dir(here())
        .output()
        .ok()?;
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&all).into_owned();
    text.lines().next().map(str::to_owned)
}
