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

/// A program that runs playbooks, in one of its ways.
pub(crate) struct Engine {
    /// Its name in the results.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// What is set in its environment.
    pub(crate) environment: &'static [(&'static str, &'static str)],
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
    target.sessions();
    let log = target.file("out");
    let output = fs::File::create(&log).map_err(|fault| fault.to_string())?;
    let errors = output.try_clone().map_err(|fault| fault.to_string())?;
    let mut command = controller.command();
    command.args(&engine.prefix).arg(&engine.program);
    clean_environment(&mut command, &target.file("c"));
    match engine.name {
        "scp" => scp(&mut command, target, play, proxy.port)?,
        _ => drop(command.arg(&play.file).arg("-i").arg(inventory)),
    }
    command
        .envs(engine.environment.iter().copied())
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
    let recap = finished.and_then(|()| match engine.name {
        "scp" => Ok((1, 1)),
        _ => recap(&text),
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
    let source = play.variables.trim_start_matches("source=");
    let out = Target::out();
    let known = format!("UserKnownHostsFile={}", target.file("known").display());
    fs::create_dir_all(&out)
        .and_then(|()| target::give_to_user(&out))
        .map_err(|fault| fault.to_string())?;
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
    let text = format!(
        "[staging]\nh ansible_host=127.0.0.1 ansible_port={port} ansible_user=rplaytest \
         ansible_ssh_private_key_file={} \
         ansible_ssh_common_args='-F none -o UserKnownHostsFile={}' out={} {}\n",
        target.file("id_ed25519").display(),
        target.file("known").display(),
        Target::out().display(),
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

/// How many tasks were fine and changed something, of the last line of the output.
fn recap(text: &str) -> Result<(u64, u64), String> {
    let line = text
        .lines()
        .rfind(|line| line.contains("unreachable=0") && line.contains("failed=0"))
        .ok_or("it did not succeed")?;
    let number = |word: &str| {
        let field = line.split(' ').find_map(|field| field.strip_prefix(word));
        field.and_then(|digits| digits.parse().ok())
    };
    number("ok=")
        .zip(number("changed="))
        .ok_or_else(|| format!("no totals in `{line}`"))
}
