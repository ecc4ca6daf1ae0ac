//! Scenarios: tests that need more than a page, because they watch, signal or prepare something.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
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

/// Where `tests/run` has prepared a component.
pub(crate) fn prepared(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    folder.join(name)
}

/// Starts a script of `components/`, which lives until its standard input ends: the process, and the line that it says
/// when it is ready.
pub(crate) fn component(script: &mut Command) -> Result<(Child, String), String> {
    let name = script.get_program().display().to_string();
    let mut process = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|fault| format!("{name}: {fault}"))?;
    let mut said = String::new();
    if let Some(out) = process.stdout.take() {
        let read = BufReader::new(out).read_line(&mut said);
        read.map_err(|fault| fault.to_string())?;
    }
    if !said.trim().is_empty() {
        return Ok((process, said.trim().to_owned()));
    }
    drop(process.stdin.take());
    let output = process.wait_with_output();
    Err(output.map_or_else(|fault| fault.to_string(), |output| outcome(&output).1))
}

/// Runs rplay on a terminal of its own, on which `typed` is typed: the exit code and what was shown. With
/// `piped`, standard output goes elsewhere, as with `| tee`.
pub(crate) fn on_terminal(
    folder: &Path,
    words: &[&str],
    typed: &str,
    piped: bool,
) -> Result<(i32, String), String> {
    let fault = |fault: rustix::io::Errno| fault.to_string();
    let (screen, line) = crate::program::pseudo()?;
    let copy = || line.try_clone().map_err(|fault| fault.to_string());
    rustix::io::write(&screen, typed.as_bytes()).map_err(fault)?;
    let reader = std::thread::spawn(move || {
        let mut text = vec![0; 1 << 16];
        let mut shown = String::new();
        while let Ok(count) = rustix::io::read(&screen, &mut text) {
            shown.push_str(&String::from_utf8_lossy(&text[..count]));
        }
        shown
    });
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(rplay()).args(words);
    command.current_dir(folder).env("HOME", folder);
    command.env("NO_COLOR", "1").env_remove("XDG_STATE_HOME");
    command.stdin(copy()?).stderr(copy()?);
    match piped {
        true => command.stdout(Stdio::null()),
        false => command.stdout(copy()?),
    };
    let status = command.status().map_err(|fault| fault.to_string())?;
    drop((command, line));
    let shown = reader.join().map_err(|_| "the terminal is gone")?;
    Ok((status.code().unwrap_or(-1), shown.replace("\r\n", "\n")))
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

/// Requires that what is measured fits at least once in five times: on a busy machine it may come to more, or to less
/// where it is a difference, but never five times.
pub(crate) fn one_of_five<T: std::fmt::Debug>(
    what: &str,
    mut measure: impl FnMut() -> Result<T, String>,
    fits: impl Fn(&T) -> bool,
) -> Result<(), String> {
    let mut found = vec![];
    for _ in 0..5 {
        let one = measure()?;
        if fits(&one) {
            return Ok(());
        }
        found.push(one);
    }
    Err(format!("{what}: {found:?}"))
}

/// What takes no longer by itself is done in this time at least once in five times; what waits for something never is.
pub(crate) fn once_within(
    limit: Duration,
    mut work: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let took = || {
        let begin = Instant::now();
        work().map(|()| begin.elapsed())
    };
    one_of_five("it took", took, |took| *took < limit)
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
