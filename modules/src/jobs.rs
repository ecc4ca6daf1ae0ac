//! Tasks in the background: the file that holds a task's state, in Ansible's own format, so that
//! either program can ask for a task that the other one started.

use std::io;
use std::path::Path;

use crate::data::{Data, Map};
use crate::machine::Machine;
use crate::outcome::{Diff, DiffSide, Failure, Outcome};
use crate::{json, map};

/// The text of a task's file while it runs.
#[must_use]
pub fn started(id: &str) -> String {
    Data::from(map! { "started" => true, "finished" => false, "ansible_job_id" => id }).json_text()
}

/// The text of a task's file when its time is used up.
#[must_use]
pub fn expired(process: u32) -> String {
    Data::from(map! { "msg" => "Timeout exceeded", "failed" => true, "child_pid" => process })
        .json_text()
}

/// The text of a task's file when it is done.
#[must_use]
pub fn finished(result: Result<Outcome, Failure>) -> String {
    let map = match result {
        Ok(outcome) => {
            let mut map = map! { "changed" => outcome.changed };
            map.extend(outcome.results);
            if outcome.skipped {
                map.insert("skipped".to_owned(), Data::Bool(true));
            }
            if !outcome.diff.is_empty() {
                let diff: Vec<Data> = outcome.diff.iter().map(diff_data).collect();
                map.insert("diff".to_owned(), Data::List(diff));
            }
            if !outcome.facts.is_empty() {
                map.insert("ansible_facts".to_owned(), Data::Map(outcome.facts));
            }
            with_warnings(map, outcome.warnings)
        }
        Err(failure) => {
            let mut map = map! { "changed" => failure.changed };
            map.extend(failure.results);
            map.insert("failed".to_owned(), Data::Bool(true));
            map.insert("msg".to_owned(), Data::Str(failure.msg));
            with_warnings(map, failure.warnings)
        }
    };
    Data::Map(map).json_text()
}

fn with_warnings(mut map: Map, warnings: Vec<String>) -> Map {
    if !warnings.is_empty() {
        map.insert("warnings".to_owned(), warnings.into());
    }
    map
}

/// What the caller gets when the task has begun.
#[must_use]
pub fn answer(id: &str, file: &Path) -> Outcome {
    Outcome::new(true)
        .with("ansible_job_id", id)
        .with("started", true)
        .with("finished", false)
        .with("results_file", file.display().to_string())
}

/// What a file's text tells of the task `id`.
///
/// # Errors
/// The task's own failure; or text that is no state of a task.
pub fn read(id: &str, file: &Path, text: &str) -> Result<Outcome, Failure> {
    let mut known = map! {
        "ansible_job_id" => id,
        "results_file" => file.display().to_string(),
        "started" => true,
        "finished" => false,
        "stdout" => "",
        "stderr" => "",
    };
    // The file is empty for a moment while it is made.
    if text.trim().is_empty() {
        return Ok(Outcome {
            results: known,
            ..Outcome::default()
        });
    }
    let Ok(Data::Map(mut told)) = json::read(text) else {
        known.insert("finished".to_owned(), Data::Bool(true));
        return Err(Failure {
            results: known,
            ..Failure::new(format!("Could not parse job output: {text}"))
        });
    };
    if !told.contains_key("started") {
        told.insert("finished".to_owned(), Data::Bool(true));
    }
    let mut flag = |name: &str| told.shift_remove(name).is_some_and(|value| truth(&value));
    let (changed, failed, skipped) = (flag("changed"), flag("failed"), flag("skipped"));
    if let Some(finished) = told.get_mut("finished") {
        *finished = Data::Bool(truth(finished));
    }
    let diff = told.shift_remove("diff").map_or_else(Vec::new, diffs);
    let warnings = match told.shift_remove("warnings") {
        Some(Data::List(items)) => items.iter().map(Data::text).collect(),
        _ => vec![],
    };
    let facts = match told.shift_remove("ansible_facts") {
        Some(Data::Map(facts)) => facts,
        _ => Map::new(),
    };
    let msg = told.get("msg").map(Data::text).unwrap_or_default();
    known.extend(told);
    known.insert("started".to_owned(), Data::Bool(true));
    if failed {
        return Err(Failure {
            msg,
            results: known,
            changed,
            warnings,
            explanation: None,
        });
    }
    Ok(Outcome {
        changed,
        skipped,
        // Whatever is in the background does its work, or is skipped by check mode.
        not_run: skipped,
        results: known,
        diff,
        warnings,
        facts,
    })
}

fn truth(value: &Data) -> bool {
    matches!(value, Data::Bool(true)) || matches!(value, Data::Int(number) if *number != 0)
}

/// Makes the folder of the files, for this user only.
///
/// # Errors
/// The system's error.
pub fn make_folder(machine: &mut dyn Machine, folder: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = vec![];
    for path in folder.ancestors() {
        if machine.stat(path, true)?.is_some() {
            break;
        }
        missing.push(path);
    }
    for path in missing.into_iter().rev() {
        machine.make_dir(path, Some(0o700))?;
    }
    Ok(())
}

/// A difference as Ansible's modules return it.
fn diff_data(diff: &Diff) -> Data {
    let mut map = Map::new();
    if let Some(prepared) = &diff.prepared {
        map.insert("prepared".to_owned(), Data::from(prepared.as_str()));
        return Data::Map(map);
    }
    let sides = [
        ("before", &diff.before, &diff.before_header),
        ("after", &diff.after, &diff.after_header),
    ];
    for (name, side, header) in sides {
        match side {
            DiffSide::Empty => map.insert(name.to_owned(), Data::from("")),
            DiffSide::Text(text) => map.insert(name.to_owned(), Data::from(text.as_str())),
            DiffSide::Attributes(entries) => {
                map.insert(name.to_owned(), Data::Map(entries.clone()))
            }
            DiffSide::Binary => map.insert(binary(name), Data::Bool(true)),
            DiffSide::TooLarge(size) => map.insert(too_large(name), Data::from(*size)),
        };
        if let Some(header) = header {
            map.insert(format!("{name}_header"), Data::from(header.as_str()));
        }
    }
    Data::Map(map)
}

/// Differences as Ansible's modules return them: one or a list.
fn diffs(data: Data) -> Vec<Diff> {
    match data {
        Data::List(items) => items.iter().filter_map(diff_from).collect(),
        one => diff_from(&one).into_iter().collect(),
    }
}

fn diff_from(data: &Data) -> Option<Diff> {
    let map = data.as_map()?;
    let text = |name: &str| map.get(name).and_then(Data::as_str).map(str::to_owned);
    let side = |name: &str| match (map.get(name), map.get(&too_large(name))) {
        (Some(Data::Map(entries)), _) => DiffSide::Attributes(entries.clone()),
        (_, Some(Data::Int(size))) => DiffSide::TooLarge(u64::try_from(*size).unwrap_or_default()),
        _ if map.contains_key(&binary(name)) => DiffSide::Binary,
        (Some(value), _) => DiffSide::Text(value.text()),
        (None, _) => DiffSide::Empty,
    };
    Some(Diff {
        before: side("before"),
        after: side("after"),
        before_header: text("before_header"),
        after_header: text("after_header"),
        prepared: text("prepared"),
    })
}

/// The key under which Ansible says that a side is binary.
fn binary(side: &str) -> String {
    if side == "before" {
        "dst_binary"
    } else {
        "src_binary"
    }
    .to_owned()
}

/// The key under which Ansible says that a side is too large to show.
fn too_large(side: &str) -> String {
    if side == "before" {
        "dst_larger"
    } else {
        "src_larger"
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_survives_its_file() {
        let outcome = Outcome {
            diff: vec![Diff::text("a\n", "b\n", "old", "new")],
            facts: map! { "one" => 1 },
            ..Outcome::new(true).with("rc", 0)
        };
        let text = finished(Ok(outcome.clone()));
        let read = read("j1.2", Path::new("/x/j1.2"), &text).unwrap();
        assert_eq!(
            (read.changed, &read.diff, &read.facts),
            (true, &outcome.diff, &outcome.facts)
        );
        assert_eq!(read.results["finished"], Data::Bool(true));
    }

    #[test]
    fn ansible_s_files_are_understood() {
        let file = Path::new("/x/j1.2");
        let running = read("j1.2", file, &started("j1.2")).unwrap();
        assert_eq!(running.results["finished"], Data::Bool(false));
        let older = r#"{"started": 1, "finished": 0, "ansible_job_id": "j1.2"}"#;
        assert_eq!(
            read("j1.2", file, older).unwrap().results["finished"],
            Data::Bool(false)
        );
        let failed = read("j1.2", file, &expired(7)).unwrap_err();
        assert_eq!(failed.msg, "Timeout exceeded");
        assert!(read("j1.2", file, "{").is_err());
    }
}
