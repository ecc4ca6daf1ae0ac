//! Rules of good playbooks that can be decided from the text: those of `ansible-lint` that are met most.
//!
//! `collect` finds the files that belong to playbooks, `file` reads one, `tasks`, `commands`, `plays` and `layout` hold the
//! rules, `settings` is `.ansible-lint`. Names, words and places are those of `ansible-lint`, so that its settings, its
//! `# noqa` and what is known of it hold here as well.

mod collect;
mod commands;
mod file;
mod layout;
mod plays;
mod settings;
mod tasks;

use std::path::PathBuf;

pub(crate) use settings::Settings;

use crate::diag::{Checked, Diagnostic};
use file::{Content, File};

/// How much a project asks of itself; each level has the rules of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Profile {
    Min,
    Basic,
    Moderate,
    Safety,
    Shared,
    Production,
}

/// The rules, with the first profile that has them.
const RULES: &[(&str, Profile, &str)] = &[
    (
        "command-instead-of-module",
        Profile::Basic,
        "a command does what a module does",
    ),
    (
        "command-instead-of-shell",
        Profile::Basic,
        "`shell` where `command` would do",
    ),
    ("deprecated-local-action", Profile::Basic, "`local_action`"),
    (
        "fqcn[action]",
        Profile::Production,
        "a module of a collection by its short name",
    ),
    (
        "fqcn[action-core]",
        Profile::Production,
        "a module of Ansible by its short name",
    ),
    ("ignore-errors", Profile::Shared, "all errors are ignored"),
    (
        "inline-env-var",
        Profile::Basic,
        "`NAME=value` before a command",
    ),
    (
        "key-order[play]",
        Profile::Basic,
        "`name` is not the first key",
    ),
    (
        "key-order[task]",
        Profile::Basic,
        "`name` is not the first key, or a block not the last one",
    ),
    ("latest[git]", Profile::Safety, "no version of a repository"),
    ("literal-compare", Profile::Basic, "`== true`"),
    (
        "name[casing]",
        Profile::Moderate,
        "a name begins with a small letter",
    ),
    ("name[missing]", Profile::Basic, "a task without a name"),
    ("name[play]", Profile::Basic, "a play without a name"),
    (
        "name[template]",
        Profile::Moderate,
        "a template within a name",
    ),
    (
        "no-changed-when",
        Profile::Shared,
        "a command that is always a change",
    ),
    ("no-free-form", Profile::Basic, "arguments as `name=value`"),
    (
        "no-free-form[raw]",
        Profile::Basic,
        "`executable=` of `raw`",
    ),
    (
        "no-handler",
        Profile::Shared,
        "a task that ought to be a handler",
    ),
    ("no-jinja-when", Profile::Basic, "a template in `when`"),
    (
        "no-relative-paths",
        Profile::Shared,
        "`src` leads out of its folder",
    ),
    ("no-tabs", Profile::Basic, "a tab in an argument"),
    ("package-latest", Profile::Safety, "`state: latest`"),
    (
        "partial-become[play]",
        Profile::Basic,
        "`become_user` without `become`",
    ),
    (
        "partial-become[task]",
        Profile::Basic,
        "`become_user` without `become`",
    ),
    (
        "risky-file-permissions",
        Profile::Safety,
        "a file without a mode",
    ),
    (
        "risky-octal",
        Profile::Safety,
        "a mode that is another number than it looks",
    ),
    (
        "risky-shell-pipe",
        Profile::Safety,
        "a pipe without `pipefail`",
    ),
    ("run-once[play]", Profile::Production, "`strategy: free`"),
    ("run-once[task]", Profile::Production, "`run_once`"),
    (
        "var-naming[no-reserved]",
        Profile::Basic,
        "a variable is called like a keyword",
    ),
    (
        "var-naming[no-role-prefix]",
        Profile::Basic,
        "a variable of a role without its name",
    ),
    (
        "var-naming[pattern]",
        Profile::Basic,
        "other letters in the name of a variable",
    ),
    (
        "var-naming[read-only]",
        Profile::Basic,
        "a variable that Ansible sets",
    ),
    ("yaml[braces]", Profile::Basic, "the look of the text"),
    ("yaml[brackets]", Profile::Basic, "the look of the text"),
    ("yaml[colons]", Profile::Basic, "the look of the text"),
    ("yaml[commas]", Profile::Basic, "the look of the text"),
    ("yaml[comments]", Profile::Basic, "the look of the text"),
    ("yaml[empty-lines]", Profile::Basic, "the look of the text"),
    ("yaml[hyphens]", Profile::Basic, "the look of the text"),
    ("yaml[indentation]", Profile::Basic, "the look of the text"),
    ("yaml[key-duplicates]", Profile::Basic, "a key twice"),
    ("yaml[line-length]", Profile::Basic, "the look of the text"),
    (
        "yaml[new-line-at-end-of-file]",
        Profile::Basic,
        "the look of the text",
    ),
    (
        "yaml[octal-values]",
        Profile::Basic,
        "a number with a zero before it",
    ),
    (
        "yaml[trailing-spaces]",
        Profile::Basic,
        "the look of the text",
    ),
    (
        "yaml[truthy]",
        Profile::Basic,
        "another truth value than true and false",
    ),
];

/// The rules with what each looks for, for the help.
pub(crate) fn help() -> String {
    let rows = RULES
        .iter()
        .map(|(name, _, about)| format!("{name}: {about}"));
    rows.collect::<Vec<_>>().join("; ")
}

/// What the rules find in playbooks and in what belongs to them. The problems are those of
/// reading; a file that cannot be read as YAML has no findings.
pub(crate) fn lint(
    playbooks: &[PathBuf],
    roles_path: &[PathBuf],
    settings: &Settings,
) -> Checked<Vec<Diagnostic>> {
    let files = collect::files(playbooks, roles_path);
    let mut found = vec![];
    for file in files
        .value
        .iter()
        .filter(|file| !settings.excludes(&file.path))
    {
        let mut out = Findings {
            file,
            found: vec![],
        };
        plays::check(&mut out);
        layout::check(&mut out);
        found.extend(settings.judge(out.found));
    }
    Checked {
        value: found,
        problems: files.problems,
    }
}

/// Whether a file holds plays, as far as one can tell; a file of tasks or variables has no plan.
pub(crate) fn is_playbook(path: &std::path::Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else {
        return true;
    };
    let documents = crate::load::yaml::parse(&crate::diag::Source::new(path, text)).value;
    let content = file::guess(&documents);
    !matches!(content, Content::Tasks | Content::Variables)
}

/// What is found in a file, each rule once a line.
struct Findings<'a> {
    file: &'a File,
    found: Vec<Diagnostic>,
}

impl Findings<'_> {
    /// Tells of a line, where no `# noqa` of it says otherwise.
    fn add(&mut self, rule: &'static str, line: usize, message: impl Into<String>) {
        if file::silences(self.file.noqa(line), rule) {
            return;
        }
        let at = self.file.line_span(line);
        let known = |other: &Diagnostic| {
            other.code == rule && other.labels.iter().any(|label| label.span == at)
        };
        if !self.found.iter().any(known) {
            self.found.push(Diagnostic::error(rule, message).at(&at));
        }
    }
}
