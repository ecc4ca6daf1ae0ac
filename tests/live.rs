//! Facts of this machine, and of namespaces on it, as Ansible and rplay find them at the same time.
//!
//! A section of `tests/facts/live/*.md` is a machine: `prepare` makes it, in a mount and a network namespace of its own,
//! and each line of `run` is a call of `ansible localhost` and `rplay adhoc localhost`. Both results are compared key
//! by key, with the types. What may differ stands in `tests/facts/live/differences.txt` with its reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Map, Value};

use crate::harness::case::{Folder, split};
use crate::harness::page::{Case, Page};
use crate::harness::stages::{Verdict, rplay};

/// What differed as it may, by the rule's line: in how many calls.
static ALLOWED: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// Compares what both find on every wanted machine.
pub(crate) fn all(
    root: &Path,
    ansible: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<(String, Verdict)> {
    let folder = root.join("tests/facts/live");
    let rules = match fs::read_to_string(folder.join("differences.txt")) {
        Ok(text) => text,
        Err(fault) => return vec![("facts/live".to_owned(), Verdict::Failed(fault.to_string()))],
    };
    let rules: Vec<Rule> = rules.lines().filter_map(Rule::read).collect();
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    paths.sort_by_key(fs::DirEntry::path);
    let mut results = vec![];
    for path in paths.into_iter().map(|entry| entry.path()) {
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let page = path.file_stem().unwrap_or_default().to_string_lossy();
        let cases = match Page::read(&path) {
            Ok(page) => page.cases,
            Err(reason) => {
                results.push((format!("facts/live/{page}"), Verdict::Failed(reason)));
                continue;
            }
        };
        for case in &cases {
            let name = format!("facts/live/{page}::{}", case.title);
            if wanted(&name) {
                results.push((name, check(case, ansible, &rules)));
            }
        }
    }
    results
}

/// The keys that differed as they may, with the reasons.
pub(crate) fn table() -> String {
    let Ok(allowed) = ALLOWED.lock() else {
        return String::new();
    };
    let mut text = String::new();
    for (rule, calls) in allowed.iter() {
        let _ = write!(text, "\n{calls:4} {rule}");
    }
    match text.is_empty() {
        true => text,
        false => format!("\nfacts that differ on this machine: calls, key, how, why{text}"),
    }
}

/// What may differ, and how: a line `KEY/KEY HOW REASON`.
struct Rule {
    keys: Vec<String>,
    how: String,
    line: String,
}

impl Rule {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let keys = words.next().filter(|key| !key.starts_with('#'))?;
        Some(Self {
            keys: keys.split('/').map(str::to_owned).collect(),
            how: words.next()?.to_owned(),
            line: line.to_owned(),
        })
    }

    fn covers(&self, place: &[String]) -> bool {
        let fits = |(key, part): (&String, &String)| match key.strip_suffix('*') {
            Some(begin) => part.starts_with(begin),
            None => key == part,
        };
        self.keys.len() <= place.len() && self.keys.iter().zip(place).all(fits)
    }

    fn allows(&self, theirs: Option<&Value>, ours: Option<&Value>) -> bool {
        let number = |value: Option<&Value>| match value? {
            Value::String(text) => text.parse::<f64>().ok(),
            value => value.as_f64(),
        };
        if self.how == "any" {
            return true;
        }
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            return false;
        };
        if std::mem::discriminant(theirs) != std::mem::discriminant(ours) {
            return false;
        }
        match self.how.as_str() {
            "order" => sorted(theirs) == sorted(ours),
            "digits" => digits(theirs) == digits(ours),
            how => match (number(Some(theirs)), number(Some(ours)), how.parse::<f64>()) {
                (Some(theirs), Some(ours), Ok(bound)) => (theirs - ours).abs() <= bound,
                _ => false,
            },
        }
    }
}

fn sorted(value: &Value) -> Option<Vec<String>> {
    let mut texts: Vec<String> = value.as_array()?.iter().map(Value::to_string).collect();
    texts.sort();
    Some(texts)
}

fn digits(value: &Value) -> String {
    let text = value.to_string();
    text.replace(|letter: char| letter.is_ascii_digit(), "0")
}

/// What a program said of one call.
struct Said {
    /// The exit code, the words before the result, warnings.
    about: String,
    result: Value,
}

fn check(case: &Case, ansible: &Path, rules: &[Rule]) -> Verdict {
    if case.block("prepare").is_some() && !rustix::process::getuid().is_root() {
        return Verdict::Skipped("needs root".to_owned());
    }
    if let Some(program) = case.flag("needs") {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = std::env::split_paths(&path).any(|folder| folder.join(program).exists());
        if !there {
            return Verdict::Skipped(format!("needs {program}"));
        }
    }
    match compare(case, ansible, rules) {
        Ok(wrong) if wrong.is_empty() => Verdict::Passed,
        Ok(wrong) | Err(wrong) => Verdict::Failed(wrong),
    }
}

fn compare(case: &Case, ansible: &Path, rules: &[Rule]) -> Result<String, String> {
    let folder = Folder::new(case)?;
    let (_, calls) = case.block("run").ok_or("the case has no `run` block")?;
    let out = folder.home().join("said");
    fs::create_dir(&out).map_err(|fault| fault.to_string())?;
    run(case, ansible, &folder, calls, &out)?;
    let mut wrong = String::new();
    for (number, call) in calls.lines().enumerate() {
        let [theirs, ours] =
            ["theirs", "ours"].map(|who| said(&folder, &out.join(format!("{number}.{who}"))));
        let (theirs, ours) = (theirs?, ours?);
        let mut found = String::new();
        if theirs.about != ours.about {
            let _ = writeln!(found, "Ansible:\n{}\nrplay:\n{}", theirs.about, ours.about);
        }
        let mut place = vec![];
        let result = differences(&mut place, Some(&theirs.result), Some(&ours.result));
        for (place, theirs, ours) in result {
            let rule = rules.iter().find(|rule| rule.covers(&place));
            match rule.filter(|rule| rule.allows(theirs, ours)) {
                Some(rule) => count(rule),
                None => {
                    let text = |value: Option<&Value>| value.map(Value::to_string);
                    let [theirs, ours] =
                        [theirs, ours].map(|value| text(value).unwrap_or("nothing".to_owned()));
                    let place = place.join("/");
                    let _ = writeln!(found, "{place}:\n  Ansible {theirs}\n  rplay   {ours}");
                }
            }
        }
        if !found.is_empty() {
            let _ = writeln!(wrong, "{call}\n{found}");
        }
    }
    Ok(wrong)
}

fn count(rule: &Rule) {
    if let Ok(mut allowed) = ALLOWED.lock() {
        *allowed.entry(rule.line.clone()).or_default() += 1;
    }
}

/// Makes the machine and all calls on it, which leave what they said in files.
fn run(
    case: &Case,
    ansible: &Path,
    folder: &Folder,
    calls: &str,
    out: &Path,
) -> Result<(), String> {
    let prepare = case.block("prepare").map(|(_, text)| text);
    let mut script = format!("set -e\n{}\nset +e\n", prepare.unwrap_or_default());
    let (ansible, rplay) = (ansible.with_file_name("ansible"), rplay());
    let theirs = format!("{} localhost", quoted(&ansible.to_string_lossy()));
    let ours = format!("{} adhoc localhost", quoted(&rplay.to_string_lossy()));
    for (number, call) in calls.lines().enumerate() {
        let words: Vec<String> = split(call).iter().map(|word| quoted(word)).collect();
        for (who, program) in [("theirs", &theirs), ("ours", &ours)] {
            let file = out.join(format!("{number}.{who}")).display().to_string();
            let words = words.join(" ");
            let _ = writeln!(
                script,
                "{program} -i localhost, -c local {words} >{file} 2>{file}.errors; echo $? >{file}.code"
            );
        }
    }
    let mut command = match prepare {
        Some(_) => {
            let mut command = Command::new("unshare");
            command.args([
                "--mount",
                "--net",
                "--uts",
                "--propagation",
                "private",
                "sh",
            ]);
            command
        }
        None => Command::new("sh"),
    };
    let variables = case.block("env").map_or("", |(_, text)| text).lines();
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"];
    let python = python.into_iter().find(|path| Path::new(path).exists());
    let output = command
        .arg("-c")
        .arg(script)
        .current_dir(folder.files())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.home())
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_PIPELINING", "1")
        .env(
            "ANSIBLE_PYTHON_INTERPRETER",
            python.ok_or("Ansible's modules need a Python")?,
        )
        .envs(variables.filter_map(|line| line.split_once('=')))
        .output()
        .map_err(|fault| fault.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn said(folder: &Folder, file: &Path) -> Result<Said, String> {
    let read = |end: &str| {
        let path = format!("{}{end}", file.display());
        let bytes = fs::read(&path).map_err(|fault| format!("{path}: {fault}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let (text, errors, code) = (read("")?, read(".errors")?, read(".code")?);
    let (begin, json) = text.split_once("=> {").ok_or(format!("{text}\n{errors}"))?;
    let mut result: Value =
        serde_json::from_str(&format!("{{{json}")).map_err(|fault| fault.to_string())?;
    // Ansible lists a mount when a thread has looked at it.
    if let Some(Value::Array(mounts)) = result.pointer_mut("/ansible_facts/ansible_mounts") {
        mounts.sort_by_key(|mount| mount["mount"].to_string());
    }
    let mut about = format!("{begin}exit code {code}");
    for line in errors.lines().filter(|line| line.starts_with("[WARNING]")) {
        let _ = writeln!(about, "{}", folder.mask(line));
    }
    Ok(Said { about, result })
}

type Difference<'a> = (Vec<String>, Option<&'a Value>, Option<&'a Value>);

/// The deepest places that are not equal.
fn differences<'a>(
    place: &mut Vec<String>,
    theirs: Option<&'a Value>,
    ours: Option<&'a Value>,
) -> Vec<Difference<'a>> {
    let pairs: Vec<(String, Option<&Value>, Option<&Value>)> = match (theirs, ours) {
        _ if theirs == ours => return vec![],
        (Some(Value::Object(theirs)), Some(Value::Object(ours))) => {
            let missing = ours.keys().filter(|key| !theirs.contains_key(*key));
            let get = |map: &'a Map<String, Value>, key: &String| map.get(key);
            let keys = theirs.keys().chain(missing);
            keys.map(|key| (key.clone(), get(theirs, key), get(ours, key)))
                .collect()
        }
        (Some(Value::Array(theirs)), Some(Value::Array(ours)))
            if theirs.len() == ours.len() && theirs.iter().any(Value::is_object) =>
        {
            let pairs = theirs.iter().zip(ours).enumerate();
            pairs
                .map(|(at, (theirs, ours))| (at.to_string(), Some(theirs), Some(ours)))
                .collect()
        }
        _ => return vec![(place.clone(), theirs, ours)],
    };
    let mut found = vec![];
    for (key, theirs, ours) in pairs {
        place.push(key);
        found.extend(differences(place, theirs, ours));
        place.pop();
    }
    found
}
