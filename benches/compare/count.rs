//! How many programs and processes a run takes on either side, where `strace` is installed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// What is traced; one file for each thread, so that no line is torn.
const TRACE: &[&str] = &[
    "-f",
    "-ff",
    "-qq",
    "-e",
    "trace=execve,fork,vfork,clone,clone3",
];

/// Programs and processes that were started.
#[derive(Default)]
struct Started {
    programs: usize,
    processes: usize,
}

/// The arguments of `strace` that run a program and write below the folder.
pub(crate) fn arguments(folder: &Path) -> Vec<String> {
    let mut words: Vec<String> = TRACE.iter().copied().map(str::to_owned).collect();
    words.push("-o".to_owned());
    words.push(folder.join("trace").display().to_string());
    words
}

/// A `strace` of a process that runs already.
pub(crate) struct Attached {
    strace: Child,
}

impl Attached {
    /// Traces the process and all that it starts from now on.
    pub(crate) fn to(process: Pid, folder: &Path) -> Result<Self, String> {
        let strace = Command::new("strace")
            .args(arguments(folder))
            .arg("-p")
            .arg(process.as_raw_nonzero().to_string())
            .stdin(Stdio::null())
            .spawn()
            .map_err(|fault| format!("strace: {fault}"))?;
        // There is no sign that it has attached.
        thread::sleep(Duration::from_millis(500));
        Ok(Self { strace })
    }

    /// Lets go of the processes.
    pub(crate) fn end(mut self) {
        if let Some(process) = Pid::from_raw(i32::try_from(self.strace.id()).unwrap_or_default()) {
            let _ = kill_process(process, Signal::TERM);
        }
        let _ = self.strace.wait();
    }
}

/// The line of the results.
pub(crate) fn record(engine: &str, controller: &Path, target: &Path) -> Result<Value, String> {
    let (mut mine, theirs) = (count(controller)?, count(target)?);
    // Nobody forked the first one in the sight of `strace`.
    mine.processes += 1;
    Ok(json!({
        "count": engine,
        "controller_programs": mine.programs,
        "controller_processes": mine.processes,
        "target_programs": theirs.programs,
        "target_processes": theirs.processes,
    }))
}

fn count(folder: &Path) -> Result<Started, String> {
    let mut started = Started::default();
    let files = fs::read_dir(folder).map_err(|fault| fault.to_string())?;
    for file in files.flatten() {
        let text = fs::read(file.path()).map_err(|fault| fault.to_string())?;
        for line in String::from_utf8_lossy(&text).lines() {
            let Some((call, result)) = line.rsplit_once(" = ") else {
                continue;
            };
            let done = result.parse::<u32>();
            if call.starts_with("execve(") {
                started.programs += usize::from(done == Ok(0));
            } else if !call.contains("CLONE_THREAD") {
                started.processes += usize::from(done.is_ok());
            }
        }
    }
    Ok(started)
}
