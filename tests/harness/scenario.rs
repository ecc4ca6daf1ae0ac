//! Scenarios: tests that need more than a page, because they watch, signal or prepare something.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::stages::{Verdict, rplay};

/// A scenario: its name, and what it checks. A reason that starts with `skip: ` leaves it out.
pub(crate) type Scenario<T> = (&'static str, fn(&T) -> Result<(), String>);

/// The scenarios whose names, `AREA::NAME`, are asked for.
pub(crate) fn chosen<T>(
    area: &str,
    scenarios: &[Scenario<T>],
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<Scenario<T>> {
    scenarios
        .iter()
        .filter(|(name, _)| wanted(&format!("{area}::{name}")))
        .copied()
        .collect()
}

/// Runs scenarios one after the other on what they share.
pub(crate) fn run<T>(area: &str, scenarios: &[Scenario<T>], shared: &T) -> Vec<(String, Verdict)> {
    let one = |(name, scenario): &Scenario<T>| {
        let verdict = match scenario(shared) {
            Ok(()) => Verdict::Passed,
            Err(reason) => match reason.strip_prefix("skip: ") {
                Some(reason) => Verdict::Skipped(reason.to_string()),
                None => Verdict::Failed(reason),
            },
        };
        (format!("{area}::{name}"), verdict)
    };
    scenarios.iter().map(one).collect()
}

/// What is passed on of the environment: whether tasks travel together, which no result may show.
pub(crate) const AHEAD: &str = "RPLAY_SEND_AHEAD";

/// rplay in a folder, with nothing of the environment of whoever runs the tests.
pub(crate) fn command(folder: &Path, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(rplay());
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .envs(std::env::var_os(AHEAD).map(|value| (AHEAD, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Whether whoever started the tests had a signal ignored, as programs started here have then, too.
pub(crate) fn is_ignored(signal: rustix::process::Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    ignored.is_some_and(|bits| bits >> (signal.as_raw() - 1) & 1 == 1)
}

/// The exit code (minus the number of a signal) and both streams.
pub(crate) fn outcome(output: &Output) -> (i32, String) {
    use std::os::unix::process::ExitStatusExt;
    let signal = output.status.signal().unwrap_or(1);
    (
        output.status.code().unwrap_or(-signal),
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    )
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Result<(i32, String), String> {
    let output = command.output().map_err(|fault| fault.to_string())?;
    Ok(outcome(&output))
}

/// Requires an exit code and texts of the output.
pub(crate) fn expect(
    (code, output): (i32, String),
    wanted: i32,
    texts: &[&str],
) -> Result<(), String> {
    if code != wanted {
        return Err(format!("exit code {code} instead of {wanted}\n{output}"));
    }
    match texts.iter().find(|text| !output.contains(**text)) {
        Some(text) => Err(format!("`{text}` is not in the output:\n{output}")),
        None => Ok(()),
    }
}

/// Requires something to become true within a time.
pub(crate) fn eventually(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        if done()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("not after {} s: {what}", limit.as_secs()))
}
