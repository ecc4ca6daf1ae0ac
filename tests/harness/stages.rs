//! The stages of a case: run against its expectations, and the laws that hold for every case.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use similar::TextDiff;

use super::case::{Folder, Ran, Words, split};
use super::page::{Case, Page};
use super::turns::Turn;
use super::{added, http, memory, parity};

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
    /// Compare with Ansible's run of now, or without it with what was recorded; count what is alike.
    Differential(Option<PathBuf>),
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
        if let Some(program) = std::env::var_os("RPLAY_DIFFERENTIAL") {
            return Self::Differential((program != "recorded").then(|| program.into()));
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
pub(crate) fn run(page: &mut Page, index: usize, name: &str, mode: &Mode) -> Verdict {
    let is_module = name.starts_with("modules/");
    let _turn = Turn::take(name);
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
        Mode::Differential(ansible) => return parity::run(case, name, ansible.as_deref()),
        Mode::Record(_) if is_ours(case) => {
            return Verdict::Skipped("not recorded from Ansible".to_string());
        }
        Mode::Record(program) => record(case, program).and_then(|()| record_added(case)),
        Mode::Update { all } if *all || is_ours(case) => record(case, &rplay()),
        Mode::Update { .. } if case.block("added").is_some() => record_added(case),
        Mode::Update { .. } => return Verdict::Skipped("recorded from Ansible".to_string()),
    };
    match result {
        Ok(()) => Verdict::Passed,
        Err(reason) => Verdict::Failed(reason),
    }
}

/// Whether the expectations are rplay's own.
fn is_ours(case: &Case) -> bool {
    case.flag("differs")
        .or_else(|| case.flag("alone"))
        .is_some()
}

/// The program under test: the one just built, or `$RPLAY_BINARY`.
pub(crate) fn rplay() -> PathBuf {
    std::env::var_os("RPLAY_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_rplay").into(), PathBuf::from)
}

/// The views, each of which may show a secret.
const VIEWS: &[&str] = &[
    "default", "minimal", "pretty", "debug", "yaml", "json", "jsonl", "ndjson",
];

/// The reports, each of which may hold one.
pub(crate) const REPORTS: &[&str] = &[
    "codequality",
    "gitlab",
    "html",
    "json",
    "junit",
    "markdown",
    "ndjson",
    "sarif",
];

/// What lists the plan without running it.
const PLAN: &[&str] = &["--list-hosts", "--list-tasks"];

/// Cases whose plan is as expected.
static PLANNED: AtomicUsize = AtomicUsize::new(0);

/// Cases of modules that ran in check mode and in earnest, and those that told the same in both.
static CHECKED: AtomicUsize = AtomicUsize::new(0);
static FORETOLD: AtomicUsize = AtomicUsize::new(0);

/// How many cases showed what beyond passing.
pub(crate) fn counts() -> String {
    format!(
        "stage plan: {} cases as expected; check mode told all that {} of {} cases of modules then did; stage memory: {} agree with the run on a real machine, {} need more than a memory",
        PLANNED.load(Ordering::Relaxed),
        FORETOLD.load(Ordering::Relaxed),
        CHECKED.load(Ordering::Relaxed),
        memory::AGREED.load(Ordering::Relaxed),
        memory::BEYOND.load(Ordering::Relaxed),
    )
}

/// The calls of a case, one for each line, with further arguments.
pub(crate) fn arguments(case: &Case, more: &[&str]) -> Result<Vec<Words>, String> {
    let (_, text) = case.block("run").ok_or("the case has no `run` block")?;
    let text = match text.contains(http::PLACEHOLDER) {
        true => text.replace(http::PLACEHOLDER, http::address()?),
        false => text.to_string(),
    };
    let words = |line| -> Words {
        let more = more.iter().map(ToString::to_string);
        split(line).into_iter().chain(more).collect()
    };
    Ok(text.lines().map(words).collect())
}

/// Writes what the program does into the case.
fn record(case: &mut Case, program: &Path) -> Result<(), String> {
    let folder = Folder::new(case)?;
    let ran = folder.run(program, &arguments(case, &[])?)?;
    let out = folder.out()?;
    case.expect("added", "", None);
    let failed = ran.codes.iter().any(|code| *code != 0);
    if case.block("stderr").is_some() || (ran.stdout.is_empty() && failed) {
        case.expect("stderr", "", Some(&with_end(&ran.stderr)));
    }
    let info = ran.info(case.block("stderr").is_none());
    case.expect("stdout", &info, Some(&ran.stdout));
    case.expect("tree", "", out.as_deref());
    if case.block("plan").is_some() {
        let planned = Folder::new(case)?.run(program, &arguments(case, PLAN)?)?;
        case.expect("plan", "", Some(&sorted_hosts(&planned.stdout)));
    }
    Ok(())
}

/// Writes what rplay adds to Ansible's lines into the case; a case that differs otherwise stays as it is.
fn record_added(case: &mut Case) -> Result<(), String> {
    let ran = Folder::new(case)?.run(&rplay(), &arguments(case, &[])?)?;
    if let Ok(lines) = beyond(case, &ran) {
        case.expect(
            "added",
            "",
            Some(lines.as_str()).filter(|lines| !lines.is_empty()),
        );
    }
    Ok(())
}

/// The lines that a run has beyond the expected output; all others must be as expected.
fn beyond(case: &Case, ran: &Ran) -> Result<String, String> {
    let stdout = case.block("stdout").map_or("", |(_, text)| text);
    let mut lines = beyond_output(case, "standard output differs", stdout, &ran.stdout)
        .map_err(|report| format!("{report}\nstandard error:\n{}", ran.stderr))?;
    if let Some((_, stderr)) = case.block("stderr") {
        let found = with_end(&ran.stderr);
        lines += &beyond_output(case, "standard error differs", stderr, &found)?;
    }
    Ok(lines)
}

/// The lines beyond one stream's; what is recorded from rplay has none.
fn beyond_output(case: &Case, what: &str, expected: &str, found: &str) -> Result<String, String> {
    match is_ours(case) {
        true => same(what, expected, found).map(|()| String::new()),
        false => added::beyond(what, expected, found),
    }
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
    planned(case)?;
    let folder = Folder::new(case)?;
    let ran = run_case(case, &folder, &[])?;
    let lines = beyond(case, &ran)?;
    let expected = case.block("added").map_or("", |(_, text)| text);
    same("the lines beyond Ansible's differ", expected, &lines)?;
    let found = ran.info(case.block("stderr").is_none());
    if found != info {
        return Err(format!(
            "exit code and messages: `{found}` instead of `{info}`\n{}",
            ran.stderr
        ));
    }
    let expected = case.block("tree").map(|(_, text)| text.to_string());
    same(
        "the tree afterwards differs",
        expected.as_deref().unwrap_or(""),
        &folder.out()?.unwrap_or_default(),
    )?;
    in_every_view(case)?;
    laws(case, is_module, &folder)?;
    if is_module {
        in_memory(case, stdout)?;
    }
    Ok(())
}

/// The plan is as expected: plays, hosts, and tasks in order, without running.
fn planned(case: &Case) -> Result<(), String> {
    let Some((_, plan)) = case.block("plan") else {
        return Ok(());
    };
    let planned = Folder::new(case)?.run(&rplay(), &arguments(case, PLAN)?)?;
    same("the plan differs", plan, &sorted_hosts(&planned.stdout))
        .map_err(|report| format!("{report}\n{}", planned.stderr))?;
    PLANNED.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// A list of hosts has no order in Ansible: another one in every run.
fn sorted_hosts(text: &str) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut at = 0;
    while at < lines.len() {
        let first = at + 1;
        if lines[at].starts_with("    hosts (") {
            let count = lines[first..]
                .iter()
                .take_while(|line| line.starts_with("      "))
                .count();
            lines[first..first + count].sort_unstable();
        }
        at = first;
    }
    lines.concat()
}

/// Runs a case with further arguments; no secret may be shown.
fn run_case(case: &Case, folder: &Folder, more: &[&str]) -> Result<Ran, String> {
    let secrets = secrets(case);
    let ran = folder.watched(&rplay(), &arguments(case, more)?, &[], &secrets)?;
    no_secrets(case, &ran)?;
    not_recorded(&folder.records()?, &secrets)?;
    Ok(ran)
}

/// No secret is in the records of runs.
fn not_recorded(records: &[u8], secrets: &[&str]) -> Result<(), String> {
    let text = String::from_utf8_lossy(records);
    let found = secrets.iter().find(|secret| text.contains(**secret));
    found.map_or(Ok(()), |secret| {
        let line = text.lines().find(|line| line.contains(*secret));
        Err(format!(
            "the secret `{secret}` is in the record: {}",
            line.unwrap_or_default()
        ))
    })
}

/// No view shows a secret, however much it is asked to tell.
fn in_every_view(case: &Case) -> Result<(), String> {
    if secrets(case).is_empty() {
        return Ok(());
    }
    for view in VIEWS {
        for more in [&["-vvv", "--diff"][..], &["-vvv", "--diff", "--check"]] {
            let mut words = vec!["--output", *view];
            words.extend_from_slice(more);
            run_case(case, &Folder::new(case)?, &words)?;
        }
    }
    in_every_report(case)
}

/// No report holds a secret.
fn in_every_report(case: &Case) -> Result<(), String> {
    let calls = arguments(case, &[])?;
    // Programs beside playbooks write none.
    let is_play = |words: &Vec<String>| words.iter().any(|word| word.ends_with(".yml"));
    if !calls.iter().all(is_play) {
        return Ok(());
    }
    let folder = Folder::new(case)?;
    let asked = REPORTS
        .iter()
        .map(|kind| format!("--report={kind}=report.{kind}"));
    let asked: Vec<String> = std::iter::once("--diff".to_owned()).chain(asked).collect();
    let words: Vec<&str> = asked.iter().map(String::as_str).collect();
    run_case(case, &folder, &words)?;
    for kind in REPORTS {
        let file = folder.files().join(format!("report.{kind}"));
        // What fails before it runs has reports of problems alone.
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(fault) if *kind == "sarif" => return Err(format!("the report {kind}: {fault}")),
            Err(_) => continue,
        };
        if let Some(secret) = secrets(case)
            .into_iter()
            .find(|secret| text.contains(secret))
        {
            return Err(format!(
                "the secret `{secret}` is in the report {kind}:\n{text}"
            ));
        }
    }
    Ok(())
}

/// A machine in memory comes to the same results and the same tree, and leaves the real one alone.
fn in_memory(case: &Case, stdout: &str) -> Result<(), String> {
    // The memory knows no other users.
    if case.flag("memory").is_some() || !rustix::process::getuid().is_root() {
        memory::count(false);
        return Ok(());
    }
    let folder = Folder::new(case)?;
    let before = folder.everything()?;
    let outcome = memory::run(&folder, &rplay(), &arguments(case, &[])?)?;
    let memory::Outcome::Done(ran, tree) = outcome else {
        memory::count(false);
        return Ok(());
    };
    beyond_output(
        case,
        "standard output differs in memory",
        stdout,
        &ran.stdout,
    )
    .map_err(|report| format!("{report}\nstandard error:\n{}", ran.stderr))?;
    let expected = case.block("tree").map_or("", |(_, text)| text);
    same("the tree differs in memory", expected, &tree)?;
    same(
        "a run in memory changed files",
        &before,
        &folder.everything()?,
    )?;
    memory::count(true);
    Ok(())
}

/// The run of a page's case on a real connection, with the same expectations.
pub(crate) fn over_ssh(page: &str, case: &Case, connection: &[String]) -> Verdict {
    if let Some(reason) = case.flag("todo").or_else(|| case.flag("local")) {
        return Verdict::Skipped(reason.to_string());
    }
    let _turn = Turn::take(page);
    let run = || -> Result<(), String> {
        let (_, stdout) = case.block("stdout").ok_or("the case was never recorded")?;
        let folder = Folder::new(case)?;
        let mut calls = arguments(case, &[])?;
        for words in &mut calls {
            if let Some(place) = words.iter().position(|word| word == "-c") {
                words.drain(place..place + 2);
            }
            words.extend_from_slice(connection);
        }
        let ran = folder.run(&rplay(), &calls)?;
        no_secrets(case, &ran)?;
        beyond_output(
            case,
            "standard output differs over SSH",
            stdout,
            &ran.stdout,
        )
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
    if !arguments(case, &[])?.iter().all(|words| is_play(words)) {
        return Ok(());
    }
    let folder = Folder::new(case)?;
    let before = folder.everything()?;
    let predicted = run_case(case, &folder, &["--check", "--diff"])?;
    if case.flag("check-writes").is_none() {
        same("check mode changed files", &before, &folder.everything()?)?;
    }
    if !is_module {
        return Ok(());
    }
    CHECKED.fetch_add(1, Ordering::Relaxed);
    if case.flag("check").is_none() {
        let ran = run_case(case, &Folder::new(case)?, &["--diff"])?;
        same(
            "check mode predicted something else than the run did",
            &ran.stdout,
            &predicted.stdout,
        )?;
        FORETOLD.fetch_add(1, Ordering::Relaxed);
    }
    if case.flag("changes").is_none() {
        let again = run_case(case, done, &[])?;
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

/// Whether a call runs playbooks, and does not only look at them.
fn is_play(words: &[String]) -> bool {
    let first = words.first().map_or("", String::as_str);
    let looks = |word: &String| word.starts_with("--list") || word == "--syntax-check";
    (first.starts_with('-') || first.ends_with(".yml")) && !words.iter().any(looks)
}

fn secrets(case: &Case) -> Vec<&str> {
    case.block("secrets")
        .map_or_else(Vec::new, |(_, text)| text.lines().collect())
}

/// No secret of the case is in the output or among the arguments of a process.
fn no_secrets(case: &Case, ran: &Ran) -> Result<(), String> {
    if let Some(line) = ran.shown.as_ref().filter(|_| case.flag("argv").is_none()) {
        return Err(format!("a process has a secret in its arguments: {line}"));
    }
    let found = secrets(case)
        .into_iter()
        .find(|secret| ran.raw.contains(secret));
    found.map_or(Ok(()), |secret| {
        Err(format!(
            "the secret `{secret}` is in the output:\n{}",
            ran.raw
        ))
    })
}

pub(crate) fn same(what: &str, expected: &str, found: &str) -> Result<(), String> {
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
