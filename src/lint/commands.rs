//! Rules of tasks that run commands.

use super::Findings;
use super::tasks::{Action, Task};

/// Programs, the modules that do the same, and first arguments for which there is no module.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("apt-get", "apt-get", &[]),
    ("chkconfig", "service", &[]),
    ("curl", "get_url or uri", &[]),
    ("git", "git", &["branch", "lfs", "log", "rev-parse"]),
    ("hg", "hg", &[]),
    ("letsencrypt", "acme_certificate", &[]),
    ("mktemp", "tempfile", &[]),
    ("mount", "mount", &[]),
    ("patch", "patch", &[]),
    ("rpm", "yum or rpm_key", &[]),
    ("rsync", "synchronize", &[]),
    ("sed", "template, replace or lineinfile", &[]),
    ("service", "service", &[]),
    ("supervisorctl", "supervisorctl", &[]),
    ("svn", "subversion", &[]),
    (
        "systemctl",
        "systemd",
        &[
            "--version",
            "get-default",
            "kill",
            "reset-failed",
            "set-default",
            "set-property",
            "show-environment",
            "status",
        ],
    ),
    ("tar", "unarchive", &[]),
    ("unzip", "unarchive", &[]),
    ("wget", "get_url or uri", &[]),
    ("yum", "yum", &["clean"]),
];

/// Arguments that stand in the text of a command.
pub(super) const OPTIONS: &[&str] = &["chdir", "creates", "executable", "removes", "stdin"];

pub(super) fn check(out: &mut Findings<'_>, task: &Task<'_>, action: &Action<'_>) {
    let word = action.word();
    if !matches!(word, "command" | "shell" | "raw") {
        return;
    }
    let told = ["creates", "removes"].iter().any(|name| action.has(name));
    let checked = task.get("changed_when").is_some() || told;
    // What goes on in the background has no result that could say so.
    let background = task.get("async").is_some();
    if !checked && !background {
        task.tell(
            out,
            "no-changed-when",
            "Commands should not change things if nothing needs doing.",
        );
    }
    let Some(command) = text(action) else { return };
    let plain = without_templates(&command);
    if word == "shell" {
        shell(out, task, action, &plain);
    }
    if word == "raw" {
        return;
    }
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let name = program.split_once('=').map(|(name, _)| name);
    let sets = name.is_some_and(|name| !OPTIONS.contains(&name) && !name.contains("{{"));
    if word == "command" && sets {
        let text = "Command module does not accept setting environment variables inline.";
        task.tell(out, "inline-env-var", text);
    }
    let program = program.rsplit('/').next().unwrap_or(program);
    let first = words.next().unwrap_or_default();
    let known = PROGRAMS.iter().find(|(name, ..)| *name == program);
    if let Some((_, module, _)) = known.filter(|(_, _, without)| !without.contains(&first)) {
        let text = format!("{program} used in place of {module} module");
        task.tell(out, "command-instead-of-module", text);
    }
}

fn shell(out: &mut Findings<'_>, task: &Task<'_>, action: &Action<'_>, plain: &str) {
    let executable = action.text("executable");
    // Newlines within the text are commands one after the other.
    let needs = |letter: char| "&|<>;$*[]{}?`!\n".contains(letter);
    if !plain.contains(needs) && executable.is_none() {
        task.tell(
            out,
            "command-instead-of-shell",
            "Use shell only when shell functionality is required.",
        );
    }
    let powershell = executable
        .as_deref()
        .is_some_and(|program| program.ends_with("pwsh"));
    let ignored = task.get("ignore_errors").is_some();
    if has_pipe(plain) && !has_pipefail(plain) && !powershell && !ignored {
        task.tell(
            out,
            "risky-shell-pipe",
            "Shells that use pipes should set the pipefail option.",
        );
    }
}

/// The command.
fn text(action: &Action<'_>) -> Option<String> {
    if let Some(text) = action.free().filter(|text| !text.trim().is_empty()) {
        return Some(text.to_owned());
    }
    // A list of words is the exact call of a program.
    action.text("cmd")
}

/// The text with a letter in place of each template.
fn without_templates(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        out.push('x');
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// A `|` that is not one of `||`.
fn has_pipe(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let lone = |at: usize| {
        letters[at] == '|'
            && letters.get(at + 1) != Some(&'|')
            && (at == 0 || letters[at - 1] != '|')
    };
    (0..letters.len()).any(lone)
}

/// A line that begins with `set` and turns `pipefail` on.
fn has_pipefail(text: &str) -> bool {
    text.lines()
        .map(str::trim_start)
        .any(|line| line.starts_with("set") && line.contains("pipefail"))
}
