//! A call in the background: the agent's own program once more, in a session of its own, so that it
//! outlives the connection. It reads the call from its standard input, runs the module and leaves
//! the result in a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rplay_modules::jobs;
use rplay_modules::machine::attrs::os_error_text;
use rplay_modules::machine::real::{RealMachine, stop};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::wire::{Run, read_frame, write_frame};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

/// The argument that starts the program as a call in the background.
pub(crate) const WORD: &str = "job";

/// What the new process is to do.
#[derive(Serialize, Deserialize)]
struct Order {
    run: Run,
    file: PathBuf,
    limit: u64,
}

/// Starts a call; the outcome tells its number and file.
pub(crate) fn spawn(
    machine: &mut dyn Machine,
    folder: &Path,
    limit: u64,
    run: Run,
) -> Result<(Child, Outcome), Failure> {
    let cannot = |error: io::Error| {
        Failure::new(format!(
            "cannot start the task in the background: {}",
            os_error_text(&error)
        ))
    };
    jobs::make_folder(machine, folder).map_err(|error| {
        Failure::new(format!(
            "could not create directory {}: {}",
            folder.display(),
            os_error_text(&error)
        ))
    })?;
    let mut child = Command::new("/proc/self/exe")
        .arg(WORD)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    let id = number(child.id());
    let file = folder.join(&id);
    write(machine, &file, &jobs::started(&id)).map_err(cannot)?;
    let order = Order {
        run,
        file: file.clone(),
        limit,
    };
    if let Some(mut stdin) = child.stdin.take() {
        write_frame(&mut stdin, &order).map_err(cannot)?;
    }
    Ok((child, jobs::answer(&id, &file)))
}

/// Leaves the result of a call that check mode has predicted.
pub(crate) fn predict(
    machine: &mut dyn Machine,
    folder: &Path,
    result: Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let id = number(std::process::id());
    let file = folder.join(&id);
    jobs::make_folder(machine, folder)
        .and_then(|()| write(machine, &file, &jobs::finished(result)))
        .map_err(|error| format!("cannot write {}: {}", file.display(), os_error_text(&error)))?;
    Ok(jobs::answer(&id, &file))
}

/// A number that no other task has, in the form that Ansible gives them.
fn number(process: u32) -> String {
    let mut bytes = [0; 8];
    // Where there is no randomness, the process's number tells tasks apart.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    format!(
        "j{}.{process}",
        u64::from_le_bytes(bytes) % 1_000_000_000_000
    )
}

fn write(machine: &mut dyn Machine, file: &Path, text: &str) -> io::Result<()> {
    let attrs = Attrs {
        mode: Some(0o600),
        ..Attrs::default()
    };
    machine.write(file, Content::Bytes(text.as_bytes()), &attrs)
}

/// The new process.
pub(crate) fn main() -> ExitCode {
    let Ok(Some(order)) = read_frame::<Order>(&mut io::stdin().lock()) else {
        return ExitCode::FAILURE;
    };
    let over = Arc::new(AtomicBool::new(false));
    let watched = (Arc::clone(&over), order.file.clone());
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(order.limit));
        let (over, file) = watched;
        if !over.swap(true, Ordering::SeqCst) {
            let left = replace(&file, &jobs::expired(std::process::id()));
            stop();
            super::leave(left.is_ok());
        }
    });
    let mut machine = RealMachine::new();
    machine.begin_call(order.run.env, None);
    let mut result = super::call(&order.run.module, &mut machine, &order.run.args);
    if let Ok(outcome) = &mut result
        && !order.run.diff
    {
        outcome.diff.clear();
    }
    if over.swap(true, Ordering::SeqCst) {
        // The other thread ends the process.
        loop {
            std::thread::park();
        }
    }
    match replace(&order.file, &jobs::finished(result)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Writes a file in one step. A task whose file was removed meanwhile leaves none.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let new = file.with_extension(format!("{}.tmp", std::process::id()));
    let mut open = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let written = open
        .write(true)
        .create_new(true)
        .open(&new)
        .and_then(|mut open| open.write_all(text.as_bytes()));
    match written {
        Ok(()) if file.exists() => std::fs::rename(&new, file),
        other => {
            let _ = std::fs::remove_file(&new);
            other
        }
    }
}
