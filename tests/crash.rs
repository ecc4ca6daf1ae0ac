//! The agent, killed at every step: what it was about to change is as it was, or as it was to become.
//!
//! `strace` kills it at its first system call that changes something, then at its second, and so on,
//! until a run comes to its end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rplay_modules::args::prepare;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::digest::hex;
use rplay_modules::map;
use rplay_modules::registry;
use rplay_modules::wire::{End, Reply, Request, Run, read_frame, write_frame};
use sha1::{Digest, Sha1};

use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<tempfile::TempDir>] = &[
    ("every file is the old one or the new one", every_step),
    ("files are changed without another process", alone),
];

/// Calls at which the agent is killed: all that may change a file, and what its replies go through.
const STEPS: &[&str] = &[
    "openat",
    "write",
    "writev",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
    "splice",
    "fsync",
    "fdatasync",
    "fchmod",
    "fchmodat",
    "chmod",
    "fchown",
    "fchownat",
    "chown",
    "lchown",
    "fsetxattr",
    "setxattr",
    "lsetxattr",
    "utimensat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
];

/// More calls of a kind than any run has.
const MOST: usize = 500;

pub(crate) fn all(wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("crash", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    match tempfile::Builder::new().prefix("rplay-crash-").tempdir() {
        Ok(folder) => scenario::run("crash", &chosen, &folder),
        Err(fault) => vec![("crash".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

fn has_strace() -> Result<(), String> {
    let found = Command::new("strace").arg("-V").output();
    found
        .map(drop)
        .map_err(|_| "skip: `strace` is not installed".to_owned())
}

/// The modules that write files start no program, and no process of their own.
fn alone(place: &tempfile::TempDir) -> Result<(), String> {
    has_strace()?;
    let folder = &place.path().join("alone");
    fs::create_dir_all(folder).map_err(|fault| fault.to_string())?;
    fresh(&folder.join("files"))?;
    let log = folder.join("log");
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-e", "trace=execve,fork,vfork,clone,clone3", "-o"])
        .args([&log, &agent(folder)?]);
    let answers = run(&mut traced, folder)?;
    if answers != Some(calls(folder).len()) {
        return Err(format!("{answers:?} calls were answered"));
    }
    let log = fs::read_to_string(&log).map_err(|fault| fault.to_string())?;
    let is_call = |line: &&str| line.contains('(') && !line.contains("CLONE_THREAD");
    let started: Vec<&str> = log.lines().filter(is_call).collect();
    match started[..] {
        [only] if only.contains("execve(") => Ok(()),
        _ => Err(format!("not the agent alone: {started:#?}")),
    }
}

fn every_step(place: &tempfile::TempDir) -> Result<(), String> {
    has_strace()?;
    let folder = place.path();
    let agent = agent(folder)?;
    let files = folder.join("files");
    let old = fresh(&files)?;
    let answers = run(&mut Command::new(&agent), folder)?;
    if answers != Some(calls(folder).len()) {
        return Err(format!("{answers:?} calls were answered"));
    }
    let new = snapshot(&files)?;
    let same: Vec<_> = old
        .keys()
        .filter(|name| old.get(*name) == new.get(*name))
        .collect();
    if !same.is_empty() {
        return Err(format!("nothing changes {same:?}"));
    }
    let mut killed = 0;
    for call in STEPS {
        let mut step = 1;
        while killed_at(call, step, folder, &agent, (&old, &new))? {
            (step, killed) = (step + 1, killed + 1);
            if step > MOST {
                return Err(format!("it was still killed at {call} {step}"));
            }
        }
    }
    // Each of the twelve calls opens, writes, syncs and renames at least.
    let enough = killed >= 50;
    enough
        .then_some(())
        .ok_or_else(|| format!("only {killed} steps were found"))
}

type Files = BTreeMap<String, State>;

/// Kills the agent at one call of the system; false when there are not so many.
fn killed_at(
    call: &str,
    step: usize,
    folder: &Path,
    agent: &Path,
    (old, new): (&Files, &Files),
) -> Result<bool, String> {
    let files = folder.join("files");
    fresh(&files)?;
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    traced.arg(format!("trace={call}")).arg("-e");
    traced.arg(format!("inject={call}:signal=KILL:when={step}"));
    let answers = run(traced.arg(agent), folder)?;
    let now = snapshot(&files)?;
    for name in old.keys().chain(new.keys()) {
        let states = [old.get(name), new.get(name)];
        if !states.contains(&now.get(name)) {
            let found = now.get(name);
            return Err(format!(
                "killed at {call} {step}, `{name}` is {found:?}, not one of {states:?}"
            ));
        }
    }
    let own = |name: &&String| !old.contains_key(*name) && !name.starts_with(".ansible_tmp");
    if let Some(name) = now.keys().find(own) {
        return Err(format!("killed at {call} {step}, `{name}` was left"));
    }
    match answers {
        None => Ok(true),
        Some(_) if now == *new => Ok(false),
        Some(answers) => Err(format!("{call} {step}: it ended after {answers} answers")),
    }
}

/// The agent's program, as a run puts it on this machine.
fn agent(folder: &Path) -> Result<PathBuf, String> {
    let arguments = ["adhoc", "localhost", "-m", "ping"];
    let ran = finish(&mut scenario::command(folder, folder, &arguments))?;
    expect(ran, 0, &["pong"])?;
    let cache = fs::read_dir(folder.join(".cache/rplay")).map_err(|fault| fault.to_string())?;
    let mut programs = cache.filter_map(|entry| Some(entry.ok()?.path()));
    programs
        .next()
        .ok_or_else(|| "no agent was cached".to_owned())
}

/// What is there before: text in all files, with modes of their own.
fn fresh(files: &Path) -> Result<Files, String> {
    let _ = fs::remove_dir_all(files);
    let make = || -> std::io::Result<()> {
        fs::create_dir(files)?;
        for (name, mode) in FILES {
            fs::write(files.join(name), "[one]\na = 1\nb = 2\n")?;
            fs::set_permissions(files.join(name), fs::Permissions::from_mode(*mode))?;
        }
        std::os::unix::fs::symlink("copied", files.join("link"))
    };
    make().map_err(|fault| fault.to_string())?;
    snapshot(files)
}

const FILES: &[(&str, u32)] = &[
    ("copied", 0o640),
    ("large", 0o604),
    ("line", 0o600),
    ("block", 0o644),
    ("replaced", 0o640),
    ("ini", 0o660),
    ("elsewhere", 0o600),
    ("hard", 0o600),
    ("fetched", 0o600),
    ("mode", 0o600),
    ("gone", 0o600),
];

/// Content that is sent before the call that uses it.
const LARGE: u64 = 7;

/// The calls: whatever writes files in a way of its own.
fn calls(folder: &Path) -> Vec<(&'static str, Map)> {
    let files = folder.join("files");
    let at = |name: &str| files.join(name).display().to_string();
    let content = |text: &str| Data::Bytes(text.repeat(1000).into_bytes());
    vec![
        (
            "copy",
            map! { "dest" => at("copied"), "_content" => content("new\n"), "mode" => "0444" },
        ),
        (
            "copy",
            map! { "dest" => at("large"), "_blob" => i128::from(LARGE), "mode" => "0400" },
        ),
        (
            "lineinfile",
            map! { "path" => at("line"), "line" => "c = 3" },
        ),
        (
            "blockinfile",
            map! { "path" => at("block"), "block" => "c = 3\nd = 4" },
        ),
        (
            "replace",
            map! { "path" => at("replaced"), "regexp" => "1", "replace" => "one" },
        ),
        (
            "community.general.ini_file",
            map! { "path" => at("ini"), "section" => "one", "option" => "a", "value" => "9" },
        ),
        (
            "copy",
            map! { "dest" => at("elsewhere"), "src" => at("mode"), "remote_src" => true, "mode" => "0755" },
        ),
        (
            "file",
            map! { "path" => at("hard"), "src" => at("block"), "state" => "hard", "force" => true },
        ),
        (
            "file",
            map! { "path" => at("link"), "src" => "line", "state" => "link" },
        ),
        (
            "get_url",
            map! { "url" => format!("file://{}", at("line")), "dest" => at("fetched"), "force" => true },
        ),
        ("file", map! { "path" => at("mode"), "mode" => "0777" }),
        ("file", map! { "path" => at("gone"), "state" => "absent" }),
    ]
}

/// Sends all calls to an agent: how many it did without failing, or `None` if it was killed.
fn run(agent: &mut Command, folder: &Path) -> Result<Option<usize>, String> {
    // Whoever is killed cannot remove what was sent to it: it goes with the test's folder.
    agent.env_clear().env("HOME", folder).env("TMPDIR", folder);
    agent.current_dir(folder);
    agent.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    agent
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut agent = agent.spawn().map_err(|fault| fault.to_string())?;
    let mut requests = vec![];
    let content = b"large\n".repeat(50_000);
    let blob = Request::Blob {
        id: LARGE,
        end: Some(End::Whole(hex(&Sha1::digest(&content)))),
        bytes: content,
        packed: false,
    };
    write_frame(&mut requests, &blob).map_err(|fault| fault.to_string())?;
    let calls = calls(folder);
    let wanted = calls.len();
    for (id, (name, args)) in (1..).zip(calls) {
        write_frame(&mut requests, &call(id, name, &args)?).map_err(|fault| fault.to_string())?;
    }
    let mut input = agent.stdin.take().ok_or("no standard input")?;
    // Whoever was killed reads no more.
    let _ = input.write_all(&requests);
    let mut output = BufReader::new(agent.stdout.take().ok_or("no standard output")?);
    let mut answers = 0;
    while answers < wanted {
        match read_frame::<Reply>(&mut output) {
            Ok(Some(Reply::Done {
                result: Err(failure),
                ..
            })) => {
                return Err(format!("a call failed: {}", failure.msg));
            }
            Ok(Some(Reply::Done { .. })) => answers += 1,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    drop(input);
    let ended = agent.wait().map_err(|fault| fault.to_string())?;
    Ok(ended.code().map(|_| answers))
}

fn call(id: u64, name: &str, args: &Map) -> Result<Request, String> {
    let module = registry::find(name).ok_or_else(|| format!("no module {name}"))?;
    let prepared = prepare(module, args).map_err(|problems| format!("{name}: {problems:?}"))?;
    let run = Run::new(id, module.name, prepared.args);
    Ok(Request::Run(Box::new(run)))
}

/// What a file is: its mode, and what it holds or points to.
type State = (u32, Vec<u8>);

fn snapshot(folder: &Path) -> Result<Files, String> {
    let read = || -> std::io::Result<_> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let meta = path.symlink_metadata()?;
            let content = if meta.is_symlink() {
                fs::read_link(&path)?.into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path)?
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            all.insert(name.into_owned(), (meta.mode(), content));
        }
        Ok(all)
    };
    read().map_err(|fault| fault.to_string())
}
