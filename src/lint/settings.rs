//! `.ansible-lint`: which rules count, which only warn, which files are left out.

use std::path::{Path, PathBuf};

use super::file::covers;
use super::{Profile, RULES};
use crate::diag::{Checked, Diagnostic, Severity, Source, nearest};
use crate::load::node::{Node, NodeKind};
use crate::load::yaml;

/// The names that the file may have.
const NAMES: &[&str] = &[
    ".ansible-lint",
    ".ansible-lint.yml",
    ".ansible-lint.yaml",
    ".config/ansible-lint.yml",
    ".config/ansible-lint.yaml",
];

/// Settings of `ansible-lint` that change nothing here: they are about its output, its downloads, and rules that rplay
/// does not have.
const IDLE: &[&str] = &[
    "cache_dir",
    "colored",
    "display_relative_path",
    "enable_list",
    "extra_vars",
    "format",
    "kinds",
    "loop_var_prefix",
    "max_block_depth",
    "max_tasks",
    "mock_filters",
    "mock_modules",
    "mock_roles",
    "offline",
    "only_builtins_allow_collections",
    "only_builtins_allow_modules",
    "parseable",
    "progressive",
    "project_dir",
    "quiet",
    "rules",
    "rulesdir",
    "sarif_file",
    "skip_action_validation",
    "strict",
    "supported_ansible_also",
    "task_name_prefix",
    "use_default_rules",
    "var_naming_pattern",
    "verbosity",
    "write_exclude_list",
    "write_list",
];

/// Rules of `ansible-lint` that rplay does not have, and words that stand for some of them: they may be left out.
const OTHERS: &[&str] = &[
    "args",
    "autofix",
    "avoid-implicit",
    "complexity",
    "core",
    "deprecated-bare-vars",
    "deprecated-module",
    "empty-string-compare",
    "experimental",
    "galaxy",
    "galaxy-version-incorrect",
    "internal-error",
    "jinja",
    "jinja-template-extension",
    "load-failure",
    "loop-var-prefix",
    "meta-incorrect",
    "meta-no-tags",
    "meta-runtime",
    "meta-video-links",
    "metadata",
    "no-log-password",
    "no-prompting",
    "no-same-owner",
    "only-builtins",
    "opt-in",
    "parser-error",
    "playbook-extension",
    "role-argument-spec",
    "role-name",
    "sanity",
    "schema",
    "security",
    "syntax-check",
    "unskippable",
    "warning",
];

/// Words that stand for several rules.
const TAGS: &[(&str, &[&str])] = &[
    (
        "command-shell",
        &[
            "command-instead-of-module",
            "command-instead-of-shell",
            "inline-env-var",
            "no-changed-when",
            "risky-shell-pipe",
        ],
    ),
    (
        "deprecations",
        &["deprecated-local-action", "no-jinja-when"],
    ),
    (
        "formatting",
        &["fqcn", "key-order", "no-tabs", "risky-octal", "yaml"],
    ),
    (
        "idempotency",
        &["latest", "no-changed-when", "package-latest"],
    ),
    (
        "idiom",
        &[
            "command-instead-of-module",
            "command-instead-of-shell",
            "inline-env-var",
            "literal-compare",
            "name",
            "no-handler",
            "no-relative-paths",
            "run-once",
            "var-naming",
        ],
    ),
    ("risk", &["no-free-form"]),
    ("syntax", &["no-free-form"]),
    (
        "unpredictability",
        &["ignore-errors", "partial-become", "risky-file-permissions"],
    ),
];

/// Whether a word of a list is about a rule.
fn about(word: &str, rule: &str) -> bool {
    let tag = TAGS.iter().find(|(tag, _)| *tag == word);
    covers(word, rule)
        || tag.is_some_and(|(_, families)| families.iter().any(|family| covers(family, rule)))
}

/// What is said of words that are about nothing.
fn unknown(words: &[String]) -> Vec<Diagnostic> {
    let families = OTHERS
        .iter()
        .copied()
        .chain(TAGS.iter().map(|(tag, _)| *tag));
    let known: Vec<&str> = RULES
        .iter()
        .map(|(name, ..)| *name)
        .chain(families)
        .collect();
    // `ansible-lint` has more of some families.
    let family = |rule: &str| rule.split('[').next().unwrap_or_default().to_owned();
    let is_known = |word: &str| known.iter().any(|rule| family(rule) == family(word));
    let words = words
        .iter()
        .map(String::as_str)
        .filter(|word| !is_known(word));
    let told = words.map(|word| {
        let problem = Diagnostic::warning("lint-settings", format!("there is no rule '{word}'"));
        match nearest(word, known.iter().copied()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    });
    told.collect()
}

/// What counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Rules that do not count.
    pub(crate) skip: Vec<String>,
    /// Rules that only warn.
    pub(crate) warn: Vec<String>,
    /// Files and folders that are left out, or patterns of them.
    pub(crate) exclude: Vec<String>,
    profile: Option<Profile>,
}

impl Settings {
    /// The settings of a file, or of the one in the working directory.
    ///
    /// # Errors
    /// The file that was named cannot be read.
    pub(crate) fn load(named: Option<&Path>) -> Result<Checked<Self>, Diagnostic> {
        let found = || NAMES.iter().map(PathBuf::from).find(|path| path.is_file());
        let Some(path) = named.map(Path::to_path_buf).or_else(found) else {
            return Ok(Checked {
                value: Self::default(),
                problems: vec![],
            });
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let text = format!("the settings '{}' cannot be read", path.display());
            Diagnostic::error("lint-settings", text).cause(error.to_string())
        })?;
        let parsed = yaml::parse(&Source::new(path, text));
        let mut settings = Self::default();
        let mut problems = parsed.problems;
        let entries = match parsed.value.first().map(|node| &node.kind) {
            Some(NodeKind::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        for (key, value) in entries {
            settings.set(key, value, &mut problems);
        }
        Ok(Checked {
            value: settings,
            problems,
        })
    }

    fn set(&mut self, key: &Node, value: &Node, problems: &mut Vec<Diagnostic>) {
        let name = key.as_str().unwrap_or_default();
        match name {
            "skip_list" => self.skip.extend(texts(value)),
            "warn_list" => self.warn.extend(texts(value)),
            "exclude_paths" => self.exclude.extend(texts(value)),
            "profile" => match profile(value.as_str().unwrap_or_default()) {
                Some(profile) => self.profile = Some(profile),
                None if value.is_null() => {}
                None => problems.push(
                    Diagnostic::warning("lint-settings", "there is no such profile")
                        .at(&value.span),
                ),
            },
            _ if IDLE.contains(&name) => {}
            _ => {
                let known = ["skip_list", "warn_list", "exclude_paths", "profile"];
                let problem =
                    Diagnostic::warning("lint-settings", format!("there is no setting '{name}'"))
                        .at(&key.span);
                problems.push(match nearest(name, known.iter().chain(IDLE).copied()) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                });
            }
        }
    }

    /// What is said of rules that are named and that there are none of.
    pub(crate) fn problems(&self) -> Vec<Diagnostic> {
        unknown(&[self.skip.as_slice(), &self.warn].concat())
    }

    /// Whether a file is left out.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        let shown = path.display().to_string();
        let hit = |pattern: &String| {
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            path.starts_with(pattern) || crate::template::glob(pattern).contains(&shown)
        };
        self.exclude.iter().any(hit)
    }

    /// The findings that count, some of them only as warnings.
    pub(super) fn judge(&self, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let in_list = |list: &[String], rule: &str| list.iter().any(|word| about(word, rule));
        let level = |rule: &str| {
            RULES
                .iter()
                .find(|(name, ..)| *name == rule)
                .map(|(_, level, _)| *level)
        };
        let counts = |one: &Diagnostic| {
            let profile = self
                .profile
                .is_none_or(|most| level(one.code).is_none_or(|level| level <= most));
            profile && !in_list(&self.skip, one.code)
        };
        let judged = found.into_iter().filter(counts).map(|mut one| {
            if in_list(&self.warn, one.code) {
                one.severity = Severity::Warning;
            }
            one
        });
        judged.collect()
    }
}

fn profile(name: &str) -> Option<Profile> {
    Some(match name {
        "min" => Profile::Min,
        "basic" => Profile::Basic,
        "moderate" => Profile::Moderate,
        "safety" => Profile::Safety,
        "shared" => Profile::Shared,
        "production" => Profile::Production,
        _ => return None,
    })
}

fn texts(node: &Node) -> Vec<String> {
    match &node.kind {
        NodeKind::Seq(items) => items
            .iter()
            .filter_map(Node::as_str)
            .map(str::to_owned)
            .collect(),
        _ => node.as_str().map(str::to_owned).into_iter().collect(),
    }
}
