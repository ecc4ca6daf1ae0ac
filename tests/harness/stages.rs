//! The stages of a case: run against its expectations, and the laws that hold for every case.

use std::path::{Path, PathBuf};

use similar::TextDiff;

use super::case::{Folder, Ran, split};
use super::page::{Case, Page};

/// What to do with the expectations.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Compare with them.
    Verify,
    /// Write them from rplay; `all` also those that Ansible can give.
    Update {
        /// Not only the cases that differ on purpose.
        all: bool,
    },
    /// Write them from Ansible's own `ansible-playbook`.
    Record(PathBuf),
    /// Set or remove the `todo` of each case by whether it passes.
    Triage,
}

/// How a case ended.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected, or impossible to run: the report.
    Failed(String),
    /// Left out: the reason.
    Skipped(String),
}

impl Mode {
    /// The mode that the environment asks for.
    pub(crate) fn from_environment() -> Self {
        if let Some(program) = std::env::var_os("RPLAY_RECORD") {
            return Self::Record(program.into());
        }
        match std::env::var("UPDATE_EXPECT").as_deref() {
            Ok("all") => Self::Update { all: true },
            Ok("triage") => Self::Triage,
            Ok("1") => Self::Update { all: false },
            _ => Self::Verify,
        }
    }
}

/// Runs a case in the mode, and rewrites its expectations if the mode says so.
pub(crate) fn run(page: &mut Page, index: usize, is_module: bool, mode: &Mode) -> Verdict {
    let case = &mut page.cases[index];
    if case.flag("needs") == Some("root") && !rustix::process::getuid().is_root() {
        return Verdict::Skipped("needs root".to_string());
    }
    let result = match mode {
        Mode::Verify => match case.flag("todo") {
            Some(reason) => return Verdict::Skipped(format!("todo: {reason}")),
            None => verify(case, is_module),
        },
        Mode::Triage => triage(case, is_module),
        Mode::Record(_) if case.flag("differs").is_some() => {
            return Verdict::Skipped("differs from Ansible on purpose".to_string());
        }
        Mode::Record(program) => record(case, program),
        Mode::Update { all } if *all || case.flag("differs").is_some() => record(case, &rplay()),
        Mode::Update { .. } => return Verdict::Skipped("recorded from Ansible".to_string()),
    };
    match result {
        Ok(()) => Verdict::Passed,
        Err(reason) => Verdict::Failed(reason),
    }
}

/// The program under test: the one just built, or `$RPLAY_BINARY`.
pub(crate) fn rplay() -> PathBuf {
    std::env::var_os("RPLAY_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_rplay").into(), PathBuf::from)
}

fn arguments(case: &Case, more: &[&str]) -> Result<Vec<String>, String> {
    let (_, line) = case.block("run").ok_or("the case has no `run` block")?;
    Ok(split(line)
        .into_iter()
        .chain(more.iter().map(ToString::to_string))
        .collect())
}

/// Writes what the program does into the case.
fn record(case: &mut Case, program: &Path) -> Result<(), String> {
    let folder = Folder::new(case)?;
    let ran = folder.run(program, &arguments(case, &[])?)?;
    let out = folder.out()?;
    let exit = if ran.code == 0 {
        String::new()
    } else {
        format!("exit={}", ran.code)
    };
    case.expect("stdout", &exit, Some(&ran.stdout));
    if case.block("stderr").is_some() || (ran.stdout.is_empty() && ran.code != 0) {
        case.expect("stderr", "", Some(&with_end(&ran.stderr)));
    }
    case.expect("tree", "", out.as_deref());
    Ok(())
}

fn with_end(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_string()
    } else {
        format!("{text}\n")
    }
}

/// Marks a failing case as `todo` with the first line of its report, and frees one that passes.
fn triage(case: &mut Case, is_module: bool) -> Result<(), String> {
    use super::page::Part;
    let result = verify(case, is_module);
    case.parts
        .retain(|part| !matches!(part, Part::Prose(line) if line.starts_with("todo: ")));
    if let Err(reason) = &result {
        let line = reason.lines().next().unwrap_or("fails");
        case.parts.insert(0, Part::Prose(String::new()));
        case.parts.insert(1, Part::Prose(format!("todo: {line}")));
    }
    while matches!(case.parts.as_slice(), [Part::Prose(first), Part::Prose(second), ..] if first.is_empty() && second.is_empty())
    {
        case.parts.remove(0);
    }
    result
}

/// All stages; the report of the first that fails.
fn verify(case: &Case, is_module: bool) -> Result<(), String> {
    let (info, stdout) = case
        .block("stdout")
        .ok_or("the case was never recorded: tests/record")?;
    let code: i32 = info
        .strip_prefix("exit=")
        .map_or(Ok(0), str::parse)
        .map_err(|_| "bad exit= of `stdout`")?;
    let folder = Folder::new(case)?;
    let ran = folder.run(&rplay(), &arguments(case, &[])?)?;
    no_secrets(case, &ran)?;
    same("standard output differs", stdout, &ran.stdout)
        .map_err(|report| format!("{report}\nstandard error:\n{}", ran.stderr))?;
    if let Some((_, stderr)) = case.block("stderr") {
        same("standard error differs", stderr, &with_end(&ran.stderr))?;
    }
    if ran.code != code {
        return Err(format!(
            "exit code {} instead of {code}\n{}",
            ran.code, ran.stderr
        ));
    }
    let expected = case.block("tree").map(|(_, text)| text.to_string());
    same(
        "the tree afterwards differs",
        expected.as_deref().unwrap_or(""),
        &folder.out()?.unwrap_or_default(),
    )?;
    laws(case, is_module, &folder)
}

/// The case's run on a real connection, with the same expectations.
pub(crate) fn over_ssh(case: &Case, connection: &[String]) -> Verdict {
    if let Some(reason) = case.flag("todo").or_else(|| case.flag("local")) {
        return Verdict::Skipped(reason.to_string());
    }
    let run = || -> Result<(), String> {
        let (_, stdout) = case.block("stdout").ok_or("the case was never recorded")?;
        let folder = Folder::new(case)?;
        let mut words = arguments(case, &[])?;
        if let Some(place) = words.iter().position(|word| word == "-c") {
            words.drain(place..place + 2);
        }
        words.extend_from_slice(connection);
        let ran = folder.run(&rplay(), &words)?;
        no_secrets(case, &ran)?;
        same("standard output differs over SSH", stdout, &ran.stdout)
            .map_err(|report| format!("{report}\n{}", ran.stderr))?;
        let expected = case.block("tree").map_or("", |(_, text)| text);
        same(
            "the tree differs over SSH",
            expected,
            &folder.out()?.unwrap_or_default(),
        )
    };
    match run() {
        Ok(()) => Verdict::Passed,
        Err(reason) => Verdict::Failed(reason),
    }
}

/// Check mode changes nothing and tells the truth; a second run changes nothing.
fn laws(case: &Case, is_module: bool, done: &Folder) -> Result<(), String> {
    if arguments(case, &[])?
        .iter()
        .any(|word| word.starts_with("--list") || word == "--syntax-check")
    {
        return Ok(());
    }
    let folder = Folder::new(case)?;
    let before = folder.everything()?;
    let predicted = folder.run(&rplay(), &arguments(case, &["--check", "--diff"])?)?;
    no_secrets(case, &predicted)?;
    if case.flag("check-writes").is_none() {
        same("check mode changed files", &before, &folder.everything()?)?;
    }
    if !is_module {
        return Ok(());
    }
    if case.flag("check").is_none() {
        let ran = Folder::new(case)?.run(&rplay(), &arguments(case, &["--diff"])?)?;
        same(
            "check mode predicted something else than the run did",
            &ran.stdout,
            &predicted.stdout,
        )?;
        no_secrets(case, &ran)?;
    }
    if case.flag("changes").is_none() {
        let again = done.run(&rplay(), &arguments(case, &[])?)?;
        no_secrets(case, &again)?;
        if let Some(line) = again
            .stdout
            .lines()
            .find(|line| line.starts_with("changed: ["))
        {
            return Err(format!(
                "the second run changes something: {line}\n{}",
                again.stdout
            ));
        }
    }
    Ok(())
}

/// No secret of the case is in the output.
fn no_secrets(case: &Case, ran: &Ran) -> Result<(), String> {
    let Some((_, secrets)) = case.block("secrets") else {
        return Ok(());
    };
    match secrets.lines().find(|secret| ran.raw.contains(secret)) {
        Some(secret) => Err(format!(
            "the secret `{secret}` is in the output:\n{}",
            ran.raw
        )),
        None => Ok(()),
    }
}

fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let diff = TextDiff::from_lines(expected, found);
    Err(format!(
        "{what}\n{}",
        diff.unified_diff()
            .context_radius(2)
            .header("expected", "found")
    ))
}
