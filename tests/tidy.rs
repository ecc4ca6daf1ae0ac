//! The invariants of ARCHITECTURE.md that the compiler does not enforce.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::stages::Verdict;

/// A rule: its name, and what breaks it.
type Rule = (&'static str, fn(&Path) -> Result<Vec<String>, String>);

const RULES: &[Rule] = &[
    (
        "target code has no async runtime, template engine or SSH",
        target_dependencies,
    ),
    ("workers share no locks", no_locks_in_run),
    ("modules reach the machine only through Machine", one_door),
    ("every module has a page of cases", module_pages),
    ("every file opens with its purpose", purposes),
    ("no tracked file names somebody's machine", machine_paths),
    ("the agent stays small", agent_size),
    (
        "every setting has an effect, or says why not",
        idle_settings,
    ),
];

/// Checks every rule.
pub(crate) fn all(root: &Path) -> Vec<(String, Verdict)> {
    let check = |(name, rule): &Rule| {
        let verdict = match rule(root) {
            Ok(breaches) if breaches.is_empty() => Verdict::Passed,
            Ok(breaches) => Verdict::Failed(breaches.join("\n")),
            Err(reason) => Verdict::Skipped(reason),
        };
        (format!("tidy::{name}"), verdict)
    };
    RULES.iter().map(check).collect()
}

/// Settings that are read and used nowhere, and are not marked as without meaning.
fn idle_settings(root: &Path) -> Result<Vec<String>, String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|fault| fault.to_string());
    let table = root.join("src/config/table.rs");
    let mut users = String::new();
    for path in sources(&root.join("src")) {
        let text = read(&path)?;
        if path != table && !path.ends_with("constants.rs") && text.contains("config") {
            users.push_str(&text);
        }
    }
    let text = read(&table)?;
    let mut idle = Vec::new();
    for entry in text.split("\n    setting(").skip(1) {
        let name = entry.split('"').nth(1).unwrap_or_default();
        let marked = entry.contains(".accepted(") || entry.contains(".only(");
        if !marked && !users.contains(&format!("\"{name}\"")) {
            idle.push(format!("the setting `{name}` is used nowhere"));
        }
    }
    Ok(idle)
}

fn target_dependencies(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "-p",
            "rplay-modules",
            "-e",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(root)
        .output()
        .map_err(|fault| format!("cargo tree: {fault}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let banned = ["tokio", "minijinja", "russh"];
    let breach = |line: &str| {
        let name = line.split(' ').next()?;
        banned
            .contains(&name)
            .then(|| format!("rplay-modules depends on {name}"))
    };
    Ok(text.lines().filter_map(breach).collect())
}

fn no_locks_in_run(root: &Path) -> Result<Vec<String>, String> {
    find_words(&sources(&root.join("src/run")), &["Mutex", "RwLock"])
}

fn one_door(root: &Path) -> Result<Vec<String>, String> {
    let base = root.join("modules/src");
    let inside = |path: &PathBuf| {
        !["machine", "bin"]
            .iter()
            .any(|folder| path.starts_with(base.join(folder)))
    };
    let files: Vec<PathBuf> = sources(&base).into_iter().filter(inside).collect();
    find_words(&files, &["std::fs", "std::process", "std::env"])
}

/// The lines, outside comments and unit tests, that contain one of the words.
fn find_words(files: &[PathBuf], words: &[&str]) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for path in files {
        if path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(path).map_err(|fault| fault.to_string())?;
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("#[cfg(test)]") {
                break;
            }
            let code = line.trim_start();
            if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{}: {code}", path.display(), number + 1));
            }
        }
    }
    Ok(found)
}

/// Whether a playbook of `tests/kubernetes` or `tests/docker` calls a module, or the scenarios beside it do.
fn names(folder: &Path, collection: &str, module: &str) -> Result<bool, String> {
    let list = fs::read_dir(folder).map_err(|fault| fault.to_string())?;
    let files = list.flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "yml"));
    let call = format!("{collection}.{module}:");
    for file in files.chain([folder.with_extension("rs")]) {
        let text = fs::read_to_string(&file).map_err(|fault| fault.to_string())?;
        if text.contains(&call) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn module_pages(root: &Path) -> Result<Vec<String>, String> {
    let mut missing = BTreeSet::new();
    for path in sources(&root.join("modules/src")) {
        let text = fs::read_to_string(&path).map_err(|fault| fault.to_string())?;
        let is_module = text.contains("\nmodule! {");
        let stem = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default();
        // What needs a cluster or an engine is tested by playbooks and scenarios of its own.
        let mut is_tested = false;
        for (family, collection) in [
            ("kubernetes", "kubernetes.core"),
            ("docker", "community.docker"),
        ] {
            is_tested |= path.starts_with(root.join("modules/src").join(family))
                && names(&root.join("tests").join(family), collection, &stem)?;
        }
        if is_module
            && !is_tested
            && !root
                .join(format!("tests/cases/modules/{stem}.md"))
                .is_file()
            && stem != "mod"
        {
            missing.insert(stem);
        }
    }
    let breach = |name: &String| format!("`{name}` has no page tests/cases/modules/{name}.md");
    Ok(missing.iter().map(breach).collect())
}

fn purposes(root: &Path) -> Result<Vec<String>, String> {
    let mut breaches = Vec::new();
    for folder in ["src", "modules", "tests", "benches"] {
        for path in sources(&root.join(folder)) {
            let text = fs::read_to_string(&path).map_err(|fault| fault.to_string())?;
            if !text.starts_with("//! ") {
                breaches.push(format!(
                    "{} does not open with `//! ` and its purpose",
                    path.display()
                ));
            }
        }
    }
    Ok(breaches)
}

fn machine_paths(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args(["grep", "-nIE", "/(root|home/[a-z]+)/\\.(cache|cargo|pyenv|rustup)|/work/(shared|main)|/tmp/(wt|target)"])
        .args(["--", ".", ":!tests/tidy.rs"])
        .current_dir(root)
        .output()
        .map_err(|fault| format!("git: {fault}"))?;
    // The login user of the tests is made by the tests.
    let theirs = |line: &&str| !line.contains("/home/rplaytest/");
    match output.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(theirs)
            .map(str::to_string)
            .collect()),
        Some(1) => Ok(Vec::new()),
        _ => Err("not in a git checkout".to_string()),
    }
}

fn agent_size(_root: &Path) -> Result<Vec<String>, String> {
    const LIMIT: u64 = 3 * 1024 * 1024;
    let agent = option_env!("RPLAY_SHIPPED_AGENT").ok_or(
        "a debug build's agent is larger; RPLAY_SHIPPED_AGENT=1 has it built as users get it",
    )?;
    let size = fs::metadata(agent)
        .map_err(|fault| fault.to_string())?
        .len();
    Ok((size >= LIMIT)
        .then(|| format!("the agent has {size} bytes, the limit is {LIMIT}"))
        .into_iter()
        .collect())
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect();
    found.sort();
    found
}
