//! The systems of the README's table that run on this machine, from an empty place to the teardown.

use std::path::{Path, PathBuf};

use crate::harness::case::split;
use crate::harness::scenario::{self, Scenario, expect, finish};
use crate::harness::stages::Verdict;

const SCENARIOS: &[Scenario<Place>] = &[(
    "JAWS: services under two supervisords, updated, broken, mended, removed",
    jaws,
)];

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("systems", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    let known = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&known).any(|folder| folder.join("supervisord").exists()) {
        let skipped = Verdict::Skipped("needs supervisord".to_owned());
        return vec![("systems".to_owned(), skipped)];
    }
    let folder = tempfile::Builder::new().prefix("rplay-systems-").tempdir();
    match folder {
        Ok(folder) => {
            let home = folder.path().to_path_buf();
            let root = root.to_owned();
            scenario::run("systems", &chosen, &Place { root, home })
        }
        Err(fault) => vec![("systems".to_owned(), Verdict::Failed(fault.to_string()))],
    }
}

/// Where a system is deployed.
struct Place {
    /// The repository.
    root: PathBuf,
    home: PathBuf,
}

impl Place {
    /// The command in the README's row of a system, without the program.
    fn command(&self, system: &str) -> Result<Vec<String>, String> {
        let text = std::fs::read_to_string(self.root.join("README.md"));
        let text = text.map_err(|fault| fault.to_string())?;
        let begin = format!("| {system} |");
        let row = text.lines().find(|line| line.starts_with(&begin));
        let command = row.and_then(|row| row.split("`rplay ").nth(1)?.split('`').next());
        command
            .map(split)
            .ok_or_else(|| format!("the README has no command for {system}"))
    }

    fn run(&self, words: &[String], more: &[&str]) -> Result<(i32, String), String> {
        let words = words.iter().map(String::as_str).chain(more.iter().copied());
        let words: Vec<&str> = words.collect();
        finish(&mut scenario::command(&self.root, &self.home, &words))
    }
}

/// The command with another playbook of the same folder, and another version.
fn other(command: &[String], playbook: &str, version: &str) -> Vec<String> {
    let playbook = command[0].replace("deploy.yml", playbook);
    let words = command
        .iter()
        .skip(1)
        .map(|word| match word.starts_with("version=") {
            true => format!("version={version}"),
            false => word.clone(),
        });
    std::iter::once(playbook).chain(words).collect()
}

fn jaws(place: &Place) -> Result<(), String> {
    let deploy = place.command("JAWS")?;
    let base = place.home.join(".cache/rplay/jaws/cori-staging");
    let done = try_jaws(place, &deploy, &base);
    // Whatever happened, nothing stays behind.
    let removed = expect(
        place.run(&other(&deploy, "teardown.yml", "1.0.0"), &[])?,
        0,
        &["failed=0"],
    );
    done.and(removed)?;
    match base.exists() {
        true => Err(format!("{} is still there", base.display())),
        false => Ok(()),
    }
}

fn try_jaws(place: &Place, deploy: &[String], base: &Path) -> Result<(), String> {
    let at = |version: &str| other(deploy, "deploy.yml", version);
    let test = |version: &str| place.run(&other(deploy, "test.yml", version), &[]);
    // What is shown for an empty place is what the run then does.
    let (code, planned) = place.run(&at("1.0.0"), &["--check", "--diff"])?;
    let recap = |text: &str| {
        let line = text.lines().rev().find(|line| line.contains("ok="));
        line.map(str::to_owned).unwrap_or_default()
    };
    let looked = (code, planned.clone());
    expect(
        looked,
        0,
        &["+id = CORI", "+queue = cori_staging", "failed=0"],
    )?;
    if base.exists() {
        return Err("the look made the folder".to_owned());
    }
    let (code, made) = place.run(&at("1.0.0"), &[])?;
    expect((code, made.clone()), 0, &["failed=0"])?;
    if recap(&planned) != recap(&made) {
        let (planned, made) = (recap(&planned), recap(&made));
        return Err(format!("planned and done differ:\n{planned}\n{made}"));
    }
    expect(test("1.0.0")?, 0, &["failed=0"])?;
    expect(place.run(&at("1.0.0"), &[])?, 0, &["changed=0"])?;
    // An update changes what runs.
    expect(
        place.run(&at("1.1.0"), &["--check", "--diff"])?,
        0,
        &["+1.1.0"],
    )?;
    expect(test("1.0.0")?, 0, &["failed=0"])?;
    expect(place.run(&at("1.1.0"), &[])?, 0, &["failed=0"])?;
    expect(test("1.1.0")?, 0, &["failed=0"])?;
    // A release that does not start leaves the former one in force.
    let broken = base.join("releases/1.2.0");
    std::fs::create_dir_all(&broken)
        .and_then(|()| std::fs::write(broken.join("refuse"), ""))
        .map_err(|fault| fault.to_string())?;
    expect(
        place.run(&at("1.2.0"), &[])?,
        2,
        &[
            "1.2.0 does not start",
            "the former release is in force again",
        ],
    )?;
    let current = std::fs::read_link(base.join("current")).map_err(|fault| fault.to_string())?;
    if !current.ends_with("releases/1.1.0") {
        return Err(format!("{} is in force", current.display()));
    }
    expect(test("1.1.0")?, 0, &["failed=0"])?;
    // Mended, it goes on.
    std::fs::remove_file(broken.join("refuse")).map_err(|fault| fault.to_string())?;
    expect(place.run(&at("1.2.0"), &[])?, 0, &["failed=0"])?;
    expect(test("1.2.0")?, 0, &["failed=0"])
}
