//! The engine beside ansible-core: starting, many hosts, large inventories and templates, no connection.
//!
//! `cargo bench --bench engine [-- OPTIONS] [WORDS]`, as root (control groups tell the CPU time).
//!
//! * `--runs N`: how often rplay runs a load (5). Ansible runs it once.
//! * `--alone`: without Ansible.
//! * `--save`: writes the page `benches/engine/results/DATE.md`.
//! * Words: only the loads whose names contain one of them.
//!
//! `$ANSIBLE_BIN` is `ansible-playbook` if that is not in the path, `$RPLAY_BINARY` another rplay.
//! Where Valgrind is installed, rplay's instructions are counted too: they are the same in every run.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench reports on standard output"
)]

#[path = "../compare/group.rs"]
#[expect(dead_code, reason = "nothing is left running that must be ended")]
mod group;
mod load;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use group::Group;
use load::Load;

struct Options {
    runs: usize,
    ansible: Option<PathBuf>,
    rplay: PathBuf,
    save: bool,
    words: Vec<String>,
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    cpu: Duration,
    wall: Duration,
    /// Of the largest process, in KiB.
    memory: u64,
}

/// What is known of a load.
struct Row {
    load: Load,
    ours: Cost,
    theirs: Option<Cost>,
    instructions: Option<u64>,
}

fn main() -> ExitCode {
    match options().and_then(|options| measure(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("engine: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        runs: 5,
        ansible: found("ANSIBLE_BIN", "ansible-playbook"),
        rplay: env::var_os("RPLAY_BINARY")
            .map_or_else(|| env!("CARGO_BIN_EXE_rplay").into(), PathBuf::from),
        save: false,
        words: Vec::new(),
    };
    let mut alone = false;
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            // What Cargo adds.
            "--bench" => {}
            "--save" => options.save = true,
            "--alone" => alone = true,
            "--runs" => {
                let number = words.next().and_then(|text| text.parse().ok());
                options.runs = number.ok_or("--runs needs a number")?;
            }
            other if other.starts_with('-') => return Err(format!("unknown option `{other}`")),
            _ => options.words.push(word),
        }
    }
    if alone {
        options.ansible = None;
    } else if options.ansible.is_none() {
        return Err("no ansible-playbook in the path or in $ANSIBLE_BIN (or --alone)".to_owned());
    }
    Ok(options)
}

/// The program that the variable names, or else the one in the path.
fn found(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn measure(options: &Options) -> Result<(), String> {
    let mut rows = Vec::new();
    for load in load::all() {
        let wanted = |word: &String| load.name.contains(word.as_str());
        if !options.words.is_empty() && !options.words.iter().any(wanted) {
            continue;
        }
        let folder = tempfile::tempdir().map_err(|fault| fault.to_string())?;
        (load.write)(folder.path(), load.size).map_err(|fault| fault.to_string())?;
        let mut runs = Vec::new();
        for _ in 0..options.runs.max(1) {
            runs.push(run(&options.rplay, &load, folder.path())?);
        }
        runs.sort_by_key(|cost| cost.cpu);
        let theirs = match &options.ansible {
            Some(program) if load.both => Some(run(program, &load, folder.path())?),
            _ => None,
        };
        let row = Row {
            ours: runs[runs.len() / 2],
            theirs,
            instructions: instructions(&options.rplay, &load, folder.path()),
            load,
        };
        print!("{}", line(&row));
        rows.push(row);
    }
    finish(options, &rows)
}

/// A command that runs the load in its folder.
fn prepare(command: &mut Command, load: &Load, folder: &Path) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["ANSIBLE_", "RPLAY_", "CARGO", "PYTHON"];
        if ours.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
        .args(load.arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
}

fn run(program: &Path, load: &Load, folder: &Path) -> Result<Cost, String> {
    let group = Group::new("engine")?;
    let mut command = group.command();
    command.arg(program);
    prepare(&mut command, load, folder);
    command.stderr(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn().map_err(|fault| fault.to_string())?;
    let mut cost = Cost::default();
    let status = loop {
        for process in group.processes() {
            cost.memory = cost.memory.max(peak(process.as_raw_nonzero().get()));
        }
        if let Some(status) = child.try_wait().map_err(|fault| fault.to_string())? {
            break status;
        }
        thread::sleep(Duration::from_millis(1));
    };
    cost.wall = begin.elapsed();
    cost.cpu = group.cpu()?;
    if !status.success() {
        return Err(format!(
            "{} ends `{}` with {status}",
            program.display(),
            load.name
        ));
    }
    Ok(cost)
}

/// The most memory that a process had so far, in KiB.
fn peak(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn instructions(program: &Path, load: &Load, folder: &Path) -> Option<u64> {
    let mut command = Command::new("valgrind");
    command
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(program);
    prepare(&mut command, load, folder);
    let output = command.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).replace(',', "");
    let (_, after) = said.split_once("refs:")?;
    after.split_whitespace().next()?.parse().ok()
}

/// A line of the table.
fn line(row: &Row) -> String {
    let (load, ours) = (&row.load, &row.ours);
    let mut text = format!(
        "| {} | {} | {:.1} | {:.1} | {:.1} ",
        load.name,
        load.size,
        milliseconds(ours.cpu),
        milliseconds(ours.wall),
        mebibytes(ours.memory)
    );
    let count = |number: u64| format!("| {:.2} ", number as f64 / 1e6);
    text += &row.instructions.map_or_else(|| "| - ".to_owned(), count);
    match row.theirs {
        Some(theirs) => {
            let times = theirs.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
            let _ = write!(
                text,
                "| {:.0} | {:.0} | {:.1} | {times:.0} ",
                milliseconds(theirs.cpu),
                milliseconds(theirs.wall),
                mebibytes(theirs.memory)
            );
        }
        None => text += "| | | | ",
    }
    text + "|\n"
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

fn finish(options: &Options, rows: &[Row]) -> Result<(), String> {
    let name = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
    let mut text = format!(
        "# The engine beside ansible-core, {name}\n\n\
         Written by `cargo bench --bench engine -- --save`; what each load is stands in `load.rs`. Medians of \
         {} runs of rplay; Ansible ran once. CPU is user and system time of all processes, memory the peak of \
         the largest one. Instructions are counted by Valgrind.\n\n",
        options.runs
    );
    for (key, value) in [
        ("ansible", options.ansible.as_deref().and_then(version)),
        ("rplay", version(&options.rplay)),
        ("load at the end", fs::read_to_string("/proc/loadavg").ok()),
    ] {
        let _ = writeln!(text, "* {key}: {}", value.unwrap_or_default().trim());
    }
    text += "\n| load | size | rplay CPU ms | wall ms | MiB | million instructions | Ansible CPU ms | wall ms | MiB | times less CPU |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    text.extend(rows.iter().map(line));
    println!("\n{text}");
    if options.save {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engine/results");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(format!("{name}.md")), text))
            .map_err(|fault| fault.to_string())?;
    }
    Ok(())
}

/// The first line that a program says of its version.
fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().map(str::to_owned)
}
