//! One measured run of a play by one engine, through the proxy.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::group::Group;
use crate::proxy::Proxy;
use crate::target::{self, Target};

/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(900);

/// What an engine reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Playbooks.
    Playbook,
    /// The same tasks as a deployment of pyinfra, beside the playbook.
    Pyinfra,
    /// The same tasks as a script that calls `ssh` for each, beside the playbook.
    Script,
    /// A file to copy.
    File,
}

/// A program that runs plays, in one of its ways.
#[derive(Clone)]
pub(crate) struct Engine {
    /// Its name in the results.
    pub(crate) name: &'static str,
    /// What it reads.
    pub(crate) reads: Reads,
    /// The program.
    pub(crate) program: PathBuf,
    /// What is set in its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Whether the host has never seen it.
    pub(crate) first_contact: bool,
    /// What the program is started by.
    pub(crate) prefix: Vec<String>,
}

/// What is run.
pub(crate) struct Play {
    /// Its name in the results.
    pub(crate) name: &'static str,
    /// The playbook.
    pub(crate) file: PathBuf,
    /// Variables of the host.
    pub(crate) variables: String,
    /// Whether the end state of the run before is kept.
    pub(crate) again: bool,
    /// On how many hosts at once, each with a folder of its own; none: on one, in the folder itself.
    pub(crate) hosts: Option<usize>,
}

impl Play {
    /// The file that an engine reads for it, if there is one.
    pub(crate) fn source(&self, engine: &Engine) -> Option<PathBuf> {
        let file = match engine.reads {
            Reads::Playbook | Reads::File => return Some(self.file.clone()),
            Reads::Pyinfra => self.file.with_extension("py"),
            Reads::Script => self.file.with_extension("sh"),
        };
        file.exists().then_some(file)
    }
}

/// What a run came to.
pub(crate) struct Outcome {
    /// The line of the results.
    pub(crate) record: Value,
    /// The end state.
    pub(crate) state: BTreeMap<String, String>,
}

/// Takes everything that would make two machines differ out of the environment.
pub(crate) fn clean_environment(command: &mut Command, home: &Path) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["ANSIBLE_", "RPLAY_", "SSH_", "CARGO", "PYTHON"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null());
}

/// How a play is run.
pub(crate) struct Way<'a> {
    /// The host.
    pub(crate) target: &'a Target,
    /// Where the engine runs.
    pub(crate) controller: &'a Group,
    /// What is added to each direction of the line.
    pub(crate) delay: Duration,
}

/// Runs the play once.
pub(crate) fn run(engine: &Engine, play: &Play, way: &Way<'_>) -> Result<Outcome, String> {
    let Way {
        target,
        controller,
        delay,
    } = *way;
    if !play.again {
        Target::clean(engine.first_contact)?;
    }
    let proxy = Proxy::start(([127, 0, 0, 1], target.port).into(), delay);
    let proxy = proxy.map_err(|fault| format!("the proxy: {fault}"))?;
    let inventory = inventory(target, play, proxy.port).map_err(|fault| fault.to_string())?;
    let source = play.source(engine).ok_or("it has no such play")?;
    target.sessions();
    let log = target.file("out");
    let output = fs::File::create(&log).map_err(|fault| fault.to_string())?;
    let errors = output.try_clone().map_err(|fault| fault.to_string())?;
    let mut command = controller.command();
    command.args(&engine.prefix).arg(&engine.program);
    clean_environment(&mut command, &target.file("c"));
    if engine.reads != Reads::Playbook {
        // Ansible gives the folder above the mode of those below.
        let out = Target::out();
        fs::create_dir_all(&out)
            .and_then(|()| target::give_to_user(&out))
            .map_err(|fault| fault.to_string())?;
    }
    match engine.reads {
        Reads::File => scp(&mut command, target, play, proxy.port)?,
        Reads::Playbook => {
            command.arg(source).arg("-i").arg(inventory);
            if let Some(hosts) = play.hosts {
                command.arg("-f").arg(hosts.to_string());
            }
        }
        Reads::Pyinfra => {
            let hosts = hosts_of_pyinfra(target, proxy.port).map_err(|fault| fault.to_string())?;
            command.arg("-y").arg(hosts).arg(source);
        }
        Reads::Script => {
            let known = target.file("known").display().to_string();
            let key = target.file("id_ed25519").display().to_string();
            let port = proxy.port;
            let ssh = format!(
                "ssh -q -F none -o UserKnownHostsFile={known} -i {key} -p {port} rplaytest@127.0.0.1"
            );
            command.arg(source).env("ssh", ssh);
        }
    }
    command
        .env("out", Target::out())
        .envs(engine.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(target.file("c"))
        .stdout(output)
        .stderr(errors);
    let before = (controller.cpu()?, target.group.cpu()?);
    let begin = Instant::now();
    let finished = finish(command);
    let wall = begin.elapsed();
    // A client that is kept for later runs is this run's cost, and none of the next one's.
    controller.end();
    let (logins, channels) = target.sessions();
    let cpu = (controller.cpu()? - before.0, target.group.cpu()? - before.1);
    let text = fs::read_to_string(&log).unwrap_or_default();
    let recap = finished.and_then(|()| match engine.reads {
        Reads::Playbook => recap(&text).map(|(ok, changed)| (json!(ok), json!(changed))),
        // Its end state has to tell.
        _ => Ok((Value::Null, Value::Null)),
    });
    let recap =
        recap.map_err(|reason| format!("{} of {}: {reason}\n{text}", play.name, engine.name))?;
    let counts = proxy.counts();
    let record = json!({
        "play": play.name,
        "engine": engine.name,
        "delay_ms": milliseconds(delay),
        "wall_ms": milliseconds(wall),
        "controller_cpu_ms": milliseconds(cpu.0),
        "target_cpu_ms": milliseconds(cpu.1),
        "connections": counts.connections,
        "logins": logins,
        "channels": channels,
        "turns": counts.turns,
        "bytes_to_target": counts.to_server,
        "bytes_from_target": counts.to_client,
        "ok": recap.0,
        "changed": recap.1,
    });
    Ok(Outcome {
        record,
        state: target::state(&Target::out())?,
    })
}

/// The same file to the same place with the same mode.
fn scp(command: &mut Command, target: &Target, play: &Play, port: u16) -> Result<(), String> {
    let source = play.variables.trim_start_matches("source=").trim_end();
    let out = Target::out();
    let known = format!("UserKnownHostsFile={}", target.file("known").display());
    fs::set_permissions(source, fs::Permissions::from_mode(0o640))
        .map_err(|fault| fault.to_string())?;
    command
        .args(["-q", "-p", "-F", "none", "-o", &known, "-P"])
        .arg(port.to_string())
        .arg("-i")
        .arg(target.file("id_ed25519"))
        .arg(source)
        .arg(format!("rplaytest@127.0.0.1:{}/", out.display()));
    Ok(())
}

/// The host as pyinfra reads it.
fn hosts_of_pyinfra(target: &Target, port: u16) -> std::io::Result<PathBuf> {
    let path = target.file("hosts.py");
    let text = format!(
        "hosts = [('127.0.0.1', {{'ssh_port': {port}, 'ssh_user': 'rplaytest', 'ssh_key': '{}', \
         'ssh_known_hosts_file': '{}', 'ssh_strict_host_key_checking': 'yes'}})]\n",
        target.file("id_ed25519").display(),
        target.file("known").display(),
    );
    fs::write(&path, text)?;
    Ok(path)
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}

/// The inventory that both engines read; the host is behind the proxy.
fn inventory(target: &Target, play: &Play, port: u16) -> std::io::Result<PathBuf> {
    fs::create_dir_all(target.file("c"))?;
    let known = fs::read_to_string(target.file("known_hosts"))?;
    let key = known.split_once(' ').map_or("", |(_, key)| key);
    fs::write(target.file("known"), format!("[127.0.0.1]:{port} {key}"))?;
    let path = target.file("hosts.ini");
    let (names, out) = match play.hosts {
        None => ("h".to_owned(), Target::out().display().to_string()),
        Some(hosts) => (
            format!("h[1:{hosts}]"),
            format!("{}/{{{{ inventory_hostname }}}}", Target::out().display()),
        ),
    };
    let text = format!(
        "[staging]\n{names}\n\n[staging:vars]\nansible_host=127.0.0.1\nansible_port={port}\n\
         ansible_user=rplaytest\nansible_ssh_private_key_file={}\n\
         ansible_ssh_common_args=-F none -o UserKnownHostsFile={}\nout={out}\n{}",
        target.file("id_ed25519").display(),
        target.file("known").display(),
        play.variables
    );
    fs::write(&path, text)?;
    Ok(path)
}

/// Waits for a command, but not for ever.
pub(crate) fn finish(mut command: Command) -> Result<(), String> {
    let mut child = command.spawn().map_err(|fault| fault.to_string())?;
    let begin = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        match child.try_wait().map_err(|fault| fault.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if begin.elapsed() > LIMIT => {
                // The group ends what it has started.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("took longer than {} s", LIMIT.as_secs()));
            }
            None => thread::sleep(pause),
        }
        // Looking rarely costs a long run nothing.
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// How many tasks were fine and changed something, on all hosts.
fn recap(text: &str) -> Result<(u64, u64), String> {
    let mut all = None;
    for line in text.lines().filter(|line| line.contains(" unreachable=")) {
        let number = |word: &str| {
            let field = line.split(' ').find_map(|field| field.strip_prefix(word));
            let number = field.and_then(|digits| digits.parse::<u64>().ok());
            number.ok_or_else(|| format!("no totals in `{line}`"))
        };
        if number("unreachable=")? + number("failed=")? > 0 {
            return Err(format!("it did not succeed: `{line}`"));
        }
        let (ok, changed) = all.unwrap_or_default();
        all = Some((ok + number("ok=")?, changed + number("changed=")?));
    }
    all.ok_or_else(|| "it did not succeed".to_owned())
}
