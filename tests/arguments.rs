//! The arguments of modules, beside the options that Ansible documents for the modules of the same names:
//! `tests/arguments/ansible.txt`, which `tests/arguments/record` writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::stages::{Verdict, rplay};

/// The name of the only test.
const NAME: &str = "arguments::every option that Ansible documents is known";

/// What an option has: aliases (`=alias`), whether it is required (`!`), choices (`<choice>`).
type Traits = BTreeSet<String>;

/// Options by the names of their module and their own.
type Options = BTreeMap<(String, String), Traits>;

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    if !wanted(NAME) {
        return vec![];
    }
    let verdict = match check(&root.join("tests/arguments")) {
        Ok(breaches) if breaches.is_empty() => Verdict::Passed,
        Ok(breaches) => Verdict::Failed(breaches.join("\n")),
        Err(reason) => Verdict::Failed(reason),
    };
    vec![(NAME.to_owned(), verdict)]
}

fn check(folder: &Path) -> Result<Vec<String>, String> {
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).map_err(|fault| format!("{name}: {fault}"))
    };
    let (recorded, excused) = (read("ansible.txt")?, read("differences.txt")?);
    let theirs: Options = recorded.lines().filter_map(option).collect();
    let mut excuses: BTreeMap<&str, &str> = excused
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let modules: BTreeSet<&str> = theirs.keys().map(|(module, _)| module.as_str()).collect();
    let ours = documented(&modules)?;
    let mut breaches = vec![];
    for (key, their) in &theirs {
        let what = match ours.get(key) {
            None => "is not known".to_owned(),
            Some(our) => {
                let required = |option: &Traits| option.contains("!");
                let missing: Vec<&str> = their.difference(our).map(String::as_str).collect();
                match (missing.is_empty(), required(our) == required(their)) {
                    (true, true) => continue,
                    (true, false) => "is required here alone".to_owned(),
                    (false, _) => format!("lacks {}", missing.join(" ")),
                }
            }
        };
        let name = format!("{} {}", key.0, key.1);
        if excuses.remove(name.as_str()).is_none() {
            breaches.push(format!("{name} {what}"));
        }
    }
    let unused = excuses.keys().map(|name| format!("{name} does not differ"));
    breaches.extend(unused);
    Ok(breaches)
}

/// An option of a line.
fn option(line: &str) -> Option<((String, String), Traits)> {
    let mut words = line.split(' ').map(str::to_owned);
    Some(((words.next()?, words.next()?), words.collect()))
}

/// What `rplay doc` tells of modules.
fn documented(modules: &BTreeSet<&str>) -> Result<Options, String> {
    let output = Command::new(rplay())
        .args(["doc", "-j"])
        .args(modules)
        .output()
        .map_err(|fault| fault.to_string())?;
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|fault| fault.to_string())?;
    let mut options = Options::new();
    for (module, doc) in told.as_object().into_iter().flatten() {
        let all = doc.pointer("/doc/options").and_then(Value::as_object);
        for (name, about) in all.into_iter().flatten() {
            let list = |what: &str| {
                about
                    .get(what)
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
            };
            let mut option: Traits = list("aliases")
                .filter_map(Value::as_str)
                .map(|alias| format!("={alias}"))
                .collect();
            // Numbers are texts in our documents.
            let word = |choice: &Value| choice.to_string().replace('"', "");
            option.extend(list("choices").map(|choice| format!("<{}>", word(choice))));
            if about.get("required") == Some(&Value::Bool(true)) {
                option.insert("!".to_owned());
            }
            options.insert((module.clone(), name.clone()), option);
        }
    }
    Ok(options)
}
