//! What starting costs: time, CPU, and where Valgrind is installed, instructions and allocations.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::group::Group;
use crate::run::clean_environment;

/// A command line whose start is measured.
pub(crate) struct Start {
    /// Its name in the results.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// How often it is started.
    pub(crate) times: u32,
    /// Whether instructions and allocations are counted. Valgrind sees no children.
    pub(crate) counted: bool,
}

/// Measures one command line; `home` is an existing folder.
pub(crate) fn measure(start: &Start, home: &Path) -> Result<Value, String> {
    let mut walls = Vec::new();
    for _ in 0..start.times {
        let mut command = Command::new(&start.program);
        prepare(&mut command, start, home);
        let begin = Instant::now();
        let status = command.status().map_err(|fault| fault.to_string())?;
        walls.push(begin.elapsed());
        if !status.success() {
            return Err(format!("{} ends with {status}", start.name));
        }
    }
    walls.sort_unstable();
    let mut record = json!({
        "start": start.name,
        "times": start.times,
        "wall_ms_median": milliseconds(walls[walls.len() / 2]),
        "wall_ms_least": milliseconds(walls[0]),
        "cpu_ms": cpu(start, home)?,
    });
    if start.counted {
        record["instructions"] = instructions(start, home).into();
        record["allocations"] = allocations(start, home).into();
    }
    Ok(record)
}

fn prepare(command: &mut Command, start: &Start, home: &Path) {
    clean_environment(command, home);
    command
        .args(&start.arguments)
        .current_dir(home)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
}

/// The CPU time of one start: that of a loop in a shell, less the same loop around `true`.
fn cpu(start: &Start, home: &Path) -> Result<f64, String> {
    let empty = Start {
        name: "true",
        program: "/bin/true".into(),
        arguments: Vec::new(),
        times: start.times,
        counted: false,
    };
    let whole = looped(start, home)?;
    Ok(milliseconds(
        whole.saturating_sub(looped(&empty, home)?) / start.times,
    ))
}

fn looped(start: &Start, home: &Path) -> Result<Duration, String> {
    let group = Group::new("start")?;
    let mut command = group.command();
    command
        .arg("/bin/sh")
        .args([
            "-c",
            "n=$0; while [ $n -gt 0 ]; do \"$@\" || exit; n=$((n - 1)); done",
        ])
        .arg(start.times.to_string())
        .arg(&start.program);
    prepare(&mut command, start, home);
    crate::run::finish(command)?;
    group.cpu()
}

/// Runs the command line in a tool of Valgrind's, and returns what the tool says.
fn valgrind(start: &Start, home: &Path, tool: &[&str]) -> Option<String> {
    let mut command = Command::new("valgrind");
    command.args(tool).arg(&start.program);
    prepare(&mut command, start, home);
    let output = command.stderr(Stdio::piped()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stderr).replace(',', ""))
}

fn instructions(start: &Start, home: &Path) -> Option<u64> {
    let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let said = valgrind(start, home, &tool)?;
    let (_, after) = said.split_once("Collected : ")?;
    after.split_whitespace().next()?.parse().ok()
}

fn allocations(start: &Start, home: &Path) -> Option<u64> {
    let said = valgrind(start, home, &["--tool=memcheck", "--leak-check=no"])?;
    let (_, after) = said.split_once("total heap usage: ")?;
    after.split_whitespace().next()?.parse().ok()
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100_000.0).round() / 100.0
}
