//! The differential run: each case by Ansible and by rplay in equal fresh folders, and the figure of parity.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use similar::{Algorithm, ChangeTag, TextDiff};

use super::added;
use super::case::{Folder, Ran};
use super::page::Case;
use super::stages::{Verdict, arguments, rplay, same};

/// Areas by name, with what came of their cases.
static AREAS: Mutex<BTreeMap<String, Area>> = Mutex::new(BTreeMap::new());

/// How the cases of an area ended.
#[derive(Debug, Default)]
struct Area {
    same: usize,
    differs: usize,
    alone: usize,
    wrong: usize,
    tasks: usize,
    tasks_same: usize,
}

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Same,
    /// On purpose.
    Differs,
    /// Ansible has nothing to compare with.
    Alone,
    /// Not meant.
    Wrong,
}

/// What one of the programs did.
struct Done {
    info: String,
    stdout: String,
    tree: String,
}

/// Runs a case with both programs, or takes Ansible's part from the page, and compares.
pub(crate) fn run(case: &Case, page: &str, ansible: Option<&Path>) -> Verdict {
    if let Some(reason) = case.flag("alone") {
        count(page, Ending::Alone, &[], &[]);
        return Verdict::Skipped(format!("not comparable: {reason}"));
    }
    match both(case, ansible) {
        Ok((theirs, ours)) => judge(case, page, &theirs, &ours, ansible.is_some()),
        Err(reason) => Verdict::Failed(reason),
    }
}

fn both(case: &Case, ansible: Option<&Path>) -> Result<(Option<Done>, Done), String> {
    let theirs = match ansible {
        Some(program) => Some(done(case, program)?),
        // What was recorded is rplay's own then.
        None if case.flag("differs").is_some() => None,
        None => Some(recorded(case)?),
    };
    Ok((theirs, done(case, &rplay())?))
}

fn done(case: &Case, program: &Path) -> Result<Done, String> {
    let folder = Folder::new(case)?;
    let ran: Ran = folder.run(program, &arguments(case, &[])?)?;
    Ok(Done {
        info: ran.info(true),
        stdout: ran.stdout,
        tree: folder.out()?.unwrap_or_default(),
    })
}

fn recorded(case: &Case) -> Result<Done, String> {
    let (info, stdout) = case.block("stdout").ok_or("the case was never recorded")?;
    Ok(Done {
        info: info.to_string(),
        stdout: stdout.to_string(),
        tree: case.block("tree").map_or("", |(_, text)| text).to_string(),
    })
}

fn judge(case: &Case, page: &str, theirs: &Option<Done>, ours: &Done, live: bool) -> Verdict {
    let found = tasks(&ours.stdout);
    let Some(theirs) = theirs else {
        count(page, Ending::Differs, &found, &[]);
        return Verdict::Skipped(format!("differs: {}", case.flag("differs").unwrap_or("")));
    };
    let expected = tasks(&theirs.stdout);
    let compared = compare(case, theirs, ours, live);
    let ending = match (&compared, case.flag("differs"), case.flag("todo")) {
        (Ok(()), ..) => Ending::Same,
        (Err(_), Some(_), _) => Ending::Differs,
        (Err(_), None, _) => Ending::Wrong,
    };
    count(page, ending, &expected, &found);
    match compared {
        Ok(()) => Verdict::Passed,
        Err(report) => match (case.flag("differs"), case.flag("todo")) {
            (Some(reason), _) => Verdict::Skipped(format!("differs: {reason}")),
            (None, Some(reason)) => Verdict::Skipped(format!("not right yet: {reason}")),
            (None, None) => Verdict::Failed(report),
        },
    }
}

fn compare(case: &Case, theirs: &Done, ours: &Done, live: bool) -> Result<(), String> {
    // Hosts of a task come in the order in which Ansible's processes end: another one in every run.
    if !(live && sorted(&theirs.stdout) == sorted(&ours.stdout)) {
        added::beyond("standard output differs", &theirs.stdout, &ours.stdout)?;
    }
    // A page that tells the messages in full has no kinds beside the exit code.
    let kinds = case.block("stderr").is_none() || live;
    let codes = |info: &str| match kinds {
        true => info.to_string(),
        false => info
            .split(' ')
            .find(|word| word.starts_with("exit="))
            .unwrap_or("")
            .to_string(),
    };
    same(
        "exit code or messages differ",
        &codes(&theirs.info),
        &codes(&ours.info),
    )?;
    same("the tree afterwards differs", &theirs.tree, &ours.tree)
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The lines that tell a task's end on a host, without its result.
fn tasks(stdout: &str) -> Vec<&str> {
    let starts = [
        "ok: [",
        "changed: [",
        "skipping: [",
        "failed: [",
        "fatal: [",
        "included: ",
    ];
    let lines = stdout
        .lines()
        .filter(|line| starts.iter().any(|start| line.starts_with(start)));
    lines
        .map(|line| line.split_once(" => ").map_or(line, |(line, _)| line))
        .collect()
}

fn count(page: &str, ending: Ending, expected: &[&str], found: &[&str]) {
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .diff_slices(expected, found);
    let alike = diff
        .iter_all_changes()
        .filter(|change| change.tag() == ChangeTag::Equal)
        .count();
    let Ok(mut areas) = AREAS.lock() else { return };
    let area = areas.entry(page.to_string()).or_default();
    match ending {
        Ending::Same => area.same += 1,
        Ending::Differs => area.differs += 1,
        Ending::Alone => area.alone += 1,
        Ending::Wrong => area.wrong += 1,
    }
    area.tasks += expected.len().max(found.len());
    area.tasks_same += alike;
}

/// The table of areas, and the figure.
pub(crate) fn table() -> String {
    let Ok(areas) = AREAS.lock() else {
        return String::new();
    };
    let mut text = format!(
        "{:<34} {:>5} {:>7} {:>7} {:>5} {:>13}\n",
        "area", "same", "differs", "no twin", "wrong", "tasks same"
    );
    let mut all = Area::default();
    for (name, area) in areas.iter() {
        row(&mut text, name, area);
        all.same += area.same;
        all.differs += area.differs;
        all.alone += area.alone;
        all.wrong += area.wrong;
        all.tasks += area.tasks;
        all.tasks_same += area.tasks_same;
    }
    row(&mut text, "all", &all);
    let cases = all.same + all.differs + all.wrong;
    let _ = writeln!(
        text,
        "parity: {} of {cases} cases the same, {} of {} tasks; {} cases differ on purpose, {} are wrong, {} have no twin",
        all.same, all.tasks_same, all.tasks, all.differs, all.wrong, all.alone
    );
    text
}

fn row(text: &mut String, name: &str, area: &Area) {
    // Writing to text cannot fail.
    let _ = writeln!(
        text,
        "{name:<34} {:>5} {:>7} {:>7} {:>5} {:>6}/{:<6}",
        area.same, area.differs, area.alone, area.wrong, area.tasks_same, area.tasks
    );
}
