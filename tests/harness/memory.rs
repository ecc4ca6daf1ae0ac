//! The stage `memory`: a case with a machine in memory as its host. No process, no file.
//!
//! rplay starts the agent that `RPLAY_AGENT_DIR` holds. Here it is a script that starts this test
//! program once more, which then speaks the agent's protocol and runs the modules on
//! `rplay_modules::machine::memory`. What the case's folder holds is in the memory to begin with.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use rplay_modules::data::Data;
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::machine::memory::Memory;
use rplay_modules::machine::overlay::Overlay;
use rplay_modules::machine::real::RealMachine;
use rplay_modules::machine::{Attrs, Content, FileKind, Machine};
use rplay_modules::outcome::Failure;
use rplay_modules::registry;
use rplay_modules::wire::{Hello, PROTOCOL, Reply, Request, Run, read_frame, write_frame};

use super::case::{Folder, Ran, Words};

/// The folder that the memory begins with.
const SEED: &str = "RPLAY_MEMORY_SEED";

/// The folder for what the agents leave: the tree below `out`, and the programs asked for.
const LEFT: &str = "RPLAY_MEMORY_LEFT";

/// Cases that came to the same in memory.
pub(crate) static AGREED: AtomicUsize = AtomicUsize::new(0);

/// Cases that need what a memory has not: programs, several hosts with one disk.
pub(crate) static BEYOND: AtomicUsize = AtomicUsize::new(0);

/// What a run in memory came to.
pub(crate) enum Outcome {
    /// The run, and the tree below `out`.
    Done(Ran, String),
    /// It cannot be compared: it needs programs, or several hosts share a disk.
    Beyond,
}

/// Runs a case with a memory as its host.
pub(crate) fn run(folder: &Folder, program: &Path, calls: &[Words]) -> Result<Outcome, String> {
    let fault = |fault: io::Error| fault.to_string();
    let left = tempfile::tempdir().map_err(fault)?;
    let agents = tempfile::tempdir().map_err(fault)?;
    let machine = rustix::system::uname();
    let agent = agents.path().join(format!(
        "rplay-agent-{}",
        machine.machine().to_string_lossy()
    ));
    let this = std::env::current_exe().map_err(fault)?;
    fs::write(&agent, format!("#!/bin/sh\nexec '{}'\n", this.display())).map_err(fault)?;
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).map_err(fault)?;
    let seed = folder.files();
    let environment = [
        ("RPLAY_AGENT_DIR", agents.path()),
        (SEED, &seed),
        (LEFT, left.path()),
    ];
    let ran = folder.watched(program, calls, &environment, &[])?;
    let (mut trees, mut programs) = (vec![], false);
    for entry in fs::read_dir(left.path()).map_err(fault)?.flatten() {
        let text = fs::read_to_string(entry.path()).map_err(fault)?;
        match entry.path().extension() {
            Some(_) => programs = true,
            None => trees.push(text),
        }
    }
    if programs || trees.len() > 1 {
        return Ok(Outcome::Beyond);
    }
    let tree = match trees.pop() {
        Some(tree) => folder.mask(&tree),
        // No module was called.
        None => folder.out()?.unwrap_or_default(),
    };
    Ok(Outcome::Done(ran, tree))
}

/// The agent, where this process was started as one.
pub(crate) fn agent() -> Option<ExitCode> {
    let seed = PathBuf::from(std::env::var_os(SEED)?);
    let left = PathBuf::from(std::env::var_os(LEFT)?);
    Some(match serve(&seed, &left) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

fn serve(seed: &Path, left: &Path) -> io::Result<()> {
    // Who acts, and in which environment, is the same as in the run on the real machine.
    let process = RealMachine::new().process();
    let mut memory = Memory::small();
    memory.act_as(process.clone());
    plant(&mut memory, seed)?;
    let _ = memory.make_dir(&process.home, None);
    memory.take_changes();
    let mut machine = Overlay::new(memory);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let hello = Hello {
        protocol: PROTOCOL,
        process,
        pid: std::process::id(),
        boot: String::new(),
        machine: String::new(),
        name: String::new(),
    };
    write_frame(&mut output, &Reply::Hello(hello))?;
    let (mut blobs, mut broken): (HashMap<u64, Vec<u8>>, Option<u64>) = Default::default();
    while let Some(request) = read_frame::<Request>(&mut input)? {
        let reply = match request {
            Request::Run(run) if run.chain.is_some() && run.chain == broken => {
                Reply::NotRun { id: run.id }
            }
            Request::Run(run) => {
                let chain = run.chain;
                let reply = call(&mut machine, *run, &mut blobs);
                if let Reply::Done { result, .. } = &reply
                    && !result
                        .as_ref()
                        .is_ok_and(|outcome| outcome.facts.is_empty())
                {
                    broken = chain.or(broken);
                }
                reply
            }
            Request::Blob { packed: true, .. } => {
                return Err(io::Error::other("packed content is for other machines"));
            }
            Request::Blob { id, bytes, .. } => {
                blobs.entry(id).or_default().extend(bytes);
                continue;
            }
            Request::Fetch { id, path, .. } => {
                let read = machine.below().read(&path);
                let sum = |bytes: &Vec<u8>| Algorithm::Sha1.of(&mut bytes.as_slice()).ok();
                Reply::Blob {
                    id,
                    sum: read.as_ref().ok().and_then(sum),
                    bytes: read.map(Into::into).map_err(|error| error.to_string()),
                }
            }
            Request::Join { .. } => Reply::Joined {
                unrun: None,
                contents: vec![],
            },
            Request::Leave => break,
        };
        leave(machine.below(), seed, left)?;
        write_frame(&mut output, &reply)?;
        output.flush()?;
    }
    Ok(())
}

/// Puts a real folder into the memory.
fn plant(memory: &mut Memory, folder: &Path) -> io::Result<()> {
    let above: Vec<&Path> = folder.ancestors().collect();
    for path in above.into_iter().rev() {
        if memory.stat(path, true)?.is_none() {
            memory.make_dir(path, Some(0o755))?;
        }
    }
    for entry in walkdir::WalkDir::new(folder).min_depth(1) {
        let entry = entry.map_err(io::Error::other)?;
        let (path, meta) = (entry.path(), entry.metadata().map_err(io::Error::other)?);
        let mode = Some(meta.permissions().mode() & 0o7777);
        if meta.is_symlink() {
            memory.symlink(&fs::read_link(path)?, path)?;
        } else if meta.is_dir() {
            memory.make_dir(path, mode)?;
        } else {
            let attrs = Attrs {
                mode,
                ..Attrs::default()
            };
            memory.write(path, Content::Bytes(&fs::read(path)?), &attrs)?;
        }
    }
    Ok(())
}

fn call(machine: &mut Overlay<Memory>, mut run: Run, blobs: &mut HashMap<u64, Vec<u8>>) -> Reply {
    let blob = run.args.get("_blob").and_then(|id| id.text().parse().ok());
    if let Some(bytes) = blob.and_then(|id: u64| blobs.remove(&id)) {
        run.args.shift_remove("_blob");
        run.args.insert("_content".to_owned(), Data::Bytes(bytes));
    }
    let (mut result, changes) = match registry::find(&run.module) {
        None => (Err(Failure::new("the agent has no such module")), vec![]),
        Some(module) if run.check => {
            machine.absorb(run.assumed);
            let result = (module.run)(machine, &run.args);
            (result, machine.take_changes())
        }
        Some(module) => ((module.run)(machine.below(), &run.args), vec![]),
    };
    if let Ok(outcome) = &mut result
        && !run.diff
    {
        outcome.diff.clear();
    }
    Reply::Done {
        id: run.id,
        result,
        changes,
        kept: None,
        shared: false,
    }
}

/// Writes down how things stand: nobody tells an agent that its last call was the last.
fn leave(memory: &mut Memory, seed: &Path, left: &Path) -> io::Result<()> {
    let name = left.join(std::process::id().to_string());
    let mut text = String::new();
    let out = seed.join("out");
    if memory.stat(&out, true)?.is_some() {
        tree(memory, &out, "", &mut text)?;
    }
    fs::write(&name, text)?;
    let missed = memory.missed();
    if !missed.is_empty() {
        fs::write(name.with_extension("programs"), missed.join("\n"))?;
    }
    Ok(())
}

/// The folder's state in the form of `snapshot::tree`.
fn tree(memory: &mut Memory, folder: &Path, above: &str, text: &mut String) -> io::Result<()> {
    for name in memory.list(folder)? {
        let path = folder.join(&name);
        let shown = format!("{above}{}", name.to_string_lossy());
        let Some(stat) = memory.stat(&path, false)? else {
            continue;
        };
        let mode = stat.mode;
        // Writing to a string does not fail.
        let _ = match stat.kind {
            FileKind::Link => {
                let target = memory.read_link(&path)?;
                writeln!(text, "link {shown} -> {}", target.display())
            }
            FileKind::Directory => writeln!(text, "{mode:04o} {shown}/"),
            FileKind::File => {
                let bytes = memory.read(&path)?;
                writeln!(
                    text,
                    "{mode:04o} {shown} {:?}",
                    String::from_utf8_lossy(&bytes)
                )
            }
            _ => writeln!(text, "{mode:04o} {shown} (special)"),
        };
        if stat.kind == FileKind::Directory {
            tree(memory, &path, &format!("{shown}/"), text)?;
        }
    }
    Ok(())
}

/// Counts a case, and tells whether it may be compared.
pub(crate) fn count(agreed: bool) {
    let counter = if agreed { &AGREED } else { &BEYOND };
    counter.fetch_add(1, Ordering::Relaxed);
}
