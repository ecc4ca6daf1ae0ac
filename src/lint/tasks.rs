//! Rules of tasks: names, arguments, conditions.

use super::Findings;
use super::commands;
use super::file::{line, silences};
use super::plays::variable;
use crate::load::keyword::{Keyword, Places};
use crate::load::node::{Node, NodeKind};
use crate::load::{actions, kv};

/// The lists of tasks of a play.
pub(super) const LISTS: &[&str] = &["pre_tasks", "tasks", "post_tasks", "handlers"];

/// The lists of tasks of a block.
pub(super) const PARTS: &[&str] = &["block", "rescue", "always"];

/// What is said of `become_user` alone.
pub(super) const BECOME: &str =
    "``become_user`` should have a corresponding ``become`` at the same level as itself.";

/// What a task calls.
pub(super) struct Action<'a> {
    name: String,
    /// Where its name stands.
    key: &'a Node,
    value: &'a Node,
    /// The keyword `args`.
    args: Option<&'a Node>,
    /// `name=value` words, of a text.
    words: Option<kv::Parsed>,
    /// Its text, without its name where that stands in it.
    free: Option<&'a str>,
}

impl<'a> Action<'a> {
    /// The action of a task; none, where it has none.
    pub(super) fn of(task: &'a Node) -> Option<Self> {
        let NodeKind::Map(entries) = &task.kind else {
            return None;
        };
        let is_module = |key: &str| {
            let keyword = Keyword::from_name(key);
            !keyword.is_some_and(|keyword| {
                keyword.allowed(Places::TASK) || keyword.allowed(Places::HANDLER)
            }) && !key.starts_with("with_")
        };
        let named = |(key, _): &&(Node, Node)| {
            key.as_str()
                .is_some_and(|key| matches!(key, "action" | "local_action") || is_module(key))
        };
        let (key, value) = entries
            .iter()
            .filter(named)
            .find(|(key, _)| !PARTS.contains(&key.as_str().unwrap_or_default()))?;
        let written = key.as_str()?;
        let mut name = written.to_owned();
        let mut place = key;
        let mut free = value.as_str();
        if matches!(written, "action" | "local_action") {
            match (free, value.entry("module")) {
                (Some(text), _) => {
                    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
                    name = word.to_owned();
                    free = Some(rest.trim());
                }
                (None, Some((module, text))) => {
                    name = text.as_str()?.to_owned();
                    place = module;
                }
                _ => return None,
            }
        }
        let short = actions::short(&name);
        let words = free.and_then(|text| kv::parse_kv(text, actions::is_command(short)).ok());
        Some(Self {
            name,
            key: place,
            value,
            args: task.get("args"),
            words,
            free,
        })
    }

    /// Its name as it was written.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The last word of its name.
    pub(super) fn word(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// Its text in place of a mapping.
    pub(super) fn free(&self) -> Option<&str> {
        self.free
    }

    /// An argument, unless it is a word of a text.
    pub(super) fn node(&self, name: &str) -> Option<&'a Node> {
        self.value.get(name).or_else(|| self.args?.get(name))
    }

    /// An argument as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.node(name) {
            Some(node) => Some(match &node.kind {
                NodeKind::Bool(is) => is.to_string(),
                NodeKind::Int(number) => number.to_string(),
                _ => node.as_str().unwrap_or_default().to_owned(),
            }),
            None => self.words.as_ref()?.get(name).map(str::to_owned),
        }
    }

    /// Whether an argument is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.text(name).is_some() || self.node(name).is_some()
    }

    /// Whether an argument is there and not false.
    fn is_on(&self, name: &str) -> bool {
        let off = ["false", "no", "off", "0", ""];
        self.text(name)
            .is_some_and(|text| !off.contains(&text.to_lowercase().as_str()))
    }
}

/// A task, for its rules.
pub(super) struct Task<'a> {
    pub(super) node: &'a Node,
    pub(super) action: Option<Action<'a>>,
    /// Its first line.
    pub(super) line: usize,
    /// Rules that a `# noqa` in it names.
    noqa: Vec<String>,
}

impl Task<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.node.get(key)
    }

    /// Tells of the task as a whole.
    pub(super) fn tell(
        &self,
        out: &mut Findings<'_>,
        rule: &'static str,
        message: impl Into<String>,
    ) {
        self.tell_at(out, rule, self.line, message);
    }

    /// Tells of a line of the task.
    pub(super) fn tell_at(
        &self,
        out: &mut Findings<'_>,
        rule: &'static str,
        line: usize,
        message: impl Into<String>,
    ) {
        if !silences(self.noqa.iter().map(String::as_str), rule) {
            out.add(rule, line, message);
        }
    }
}

/// Looks at a list of tasks.
pub(super) fn list(out: &mut Findings<'_>, list: &Node) {
    let NodeKind::Seq(items) = &list.kind else {
        return;
    };
    for item in items {
        let NodeKind::Map(entries) = &item.kind else {
            continue;
        };
        let Some((first, _)) = entries.first() else {
            continue;
        };
        let parts: Vec<&Node> = PARTS.iter().filter_map(|part| item.get(part)).collect();
        if !has_tag(item, "skip_ansible_lint") {
            let task = Task {
                node: item,
                action: if parts.is_empty() {
                    Action::of(item)
                } else {
                    None
                },
                line: line(first),
                noqa: noqa(out, item, &parts),
            };
            check(out, &task, entries);
        }
        for part in parts {
            self::list(out, part);
        }
    }
}

/// Rules that `# noqa` in a task's own lines names; what stands in a block's lists is for itself.
fn noqa(out: &Findings<'_>, item: &Node, parts: &[&Node]) -> Vec<String> {
    let lines = |node: &Node| {
        let source = &out.file.source;
        // A block ends where the next one begins.
        let (start, end) = (node.span.start as usize, node.span.end as usize);
        let text = source.text.get(start..end).unwrap_or_default();
        let text = text.trim_end_matches(['-', ' ', '\n']);
        line(node)..=source.line_column((start + text.len()) as u32).0
    };
    let own = lines(item).filter(|at| !parts.iter().any(|part| lines(part).contains(at)));
    own.flat_map(|at| out.file.noqa(at))
        .map(str::to_owned)
        .collect()
}

fn has_tag(task: &Node, tag: &str) -> bool {
    match task.get("tags").map(|node| &node.kind) {
        Some(NodeKind::Seq(tags)) => tags.iter().any(|one| one.as_str() == Some(tag)),
        Some(NodeKind::Str(text)) => text.split(',').any(|one| one.trim() == tag),
        _ => false,
    }
}

fn check(out: &mut Findings<'_>, task: &Task<'_>, entries: &[(Node, Node)]) {
    named(out, task);
    key_order(out, task, entries);
    conditions(out, task);
    variables(out, task);
    if task.get("become_user").is_some() && task.get("become").is_none() {
        task.tell(out, "partial-become[task]", BECOME);
    }
    if task
        .get("run_once")
        .is_some_and(|node| !matches!(node.kind, NodeKind::Bool(false)))
    {
        let text = "Using run_once may behave differently if strategy is set to free.";
        task.tell(out, "run-once[task]", text);
    }
    let Some(action) = &task.action else { return };
    if task.get("local_action").is_some() {
        let text = "Do not use 'local_action', use 'delegate_to: localhost'.";
        task.tell(out, "deprecated-local-action", text);
    }
    full_name(out, task, action);
    free_form(out, task, action);
    permissions(out, task, action);
    contents(out, task, action);
    commands::check(out, task, action);
}

fn named(out: &mut Findings<'_>, task: &Task<'_>) {
    match task.node.entry("name") {
        Some((key, value)) if value.as_str().is_some_and(|name| !name.is_empty()) => {
            let text = value.as_str().unwrap_or_default();
            let mut found = Findings {
                file: out.file,
                found: vec![],
            };
            name(&mut found, text, line(key));
            for one in found.found {
                task.tell_at(out, one.code, line(key), one.message);
            }
        }
        _ => task.tell(out, "name[missing]", "All tasks should be named."),
    }
}

/// The name of a play or a task.
pub(super) fn name(out: &mut Findings<'_>, name: &str, at: usize) {
    // A file's tasks may begin with its name.
    let stem = out
        .file
        .path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let text = name.strip_prefix(&format!("{stem} | ")).unwrap_or(name);
    if text.starts_with(char::is_lowercase) {
        out.add(
            "name[casing]",
            at,
            "All names should start with an uppercase letter.",
        );
    }
    let behind = name
        .split_once("{{")
        .and_then(|(_, rest)| rest.split_once("}}"));
    if behind.is_some_and(|(_, rest)| {
        rest.contains(|letter: char| letter.is_alphanumeric() || letter == '_')
    }) {
        out.add(
            "name[template]",
            at,
            "Jinja templates should only be at the end of 'name'",
        );
    }
}

fn key_order(out: &mut Findings<'_>, task: &Task<'_>, entries: &[(Node, Node)]) {
    let keys: Vec<&str> = entries.iter().filter_map(|(key, _)| key.as_str()).collect();
    let rank = |key: &str| match key {
        "name" => 0,
        "block" => 2,
        "rescue" => 3,
        "always" => 4,
        _ => 1,
    };
    let mut wanted = keys.clone();
    wanted.sort_by_key(|key| rank(key));
    if wanted != keys {
        let text = format!(
            "You can improve the task key order to: {}",
            wanted.join(", ")
        );
        task.tell(out, "key-order[task]", text);
    }
}

fn full_name(out: &mut Findings<'_>, task: &Task<'_>, action: &Action<'_>) {
    let name = action.name();
    let at = line(action.key);
    let short = actions::short(name);
    if short == "yum" {
        let text = format!(
            "Use FQCN for builtin module actions ({name}). Use `ansible.builtin.dnf` or `ansible.legacy.dnf` instead."
        );
        return task.tell_at(out, "fqcn[action-core]", at, text);
    }
    if name.contains('.') || name.contains("{{") || !actions::is_native(name) {
        return;
    }
    let full = actions::full_name(name);
    match full.strip_prefix("ansible.builtin.") {
        Some(word) => {
            let text = format!(
                "Use FQCN for builtin module actions ({name}). Use `ansible.builtin.{word}` or `ansible.legacy.{word}` instead."
            );
            task.tell_at(out, "fqcn[action-core]", at, text);
        }
        None => task.tell_at(
            out,
            "fqcn[action]",
            at,
            format!("Use FQCN for module actions, such `{full}`. Action `{name}` is not FQCN."),
        ),
    }
}

fn free_form(out: &mut Findings<'_>, task: &Task<'_>, action: &Action<'_>) {
    let Some(text) = action.free() else { return };
    if task.get("local_action").is_some() || task.get("action").is_some() {
        return;
    }
    let text = text.trim();
    let is_option = |option: &&str| text.contains(&format!("{option}="));
    let found = match action.word() {
        "raw" if text.contains("executable=") => {
            let text = "Avoid embedding `executable=` inside raw calls, use explicit args dictionary instead.";
            return task.tell(out, "no-free-form[raw]", text);
        }
        "command" | "shell" | "script" => commands::OPTIONS.iter().any(is_option),
        "raw" => false,
        _ => text.contains('=') && !text.starts_with("{{"),
    };
    if found {
        let text = format!(
            "Avoid using free-form when calling module actions. ({})",
            action.name()
        );
        task.tell(out, "no-free-form", text);
    }
}

/// Modules that make files, and whether they do so only when `create` says so.
const MAKERS: &[(&str, Option<bool>)] = &[
    ("archive", None),
    ("assemble", None),
    ("blockinfile", Some(false)),
    ("copy", None),
    ("file", None),
    ("get_url", None),
    ("htpasswd", Some(true)),
    ("ini_file", Some(true)),
    ("lineinfile", Some(false)),
    ("template", None),
];

fn permissions(out: &mut Findings<'_>, task: &Task<'_>, action: &Action<'_>) {
    let word = action.word();
    if let Some(node) = action.node("mode")
        && let NodeKind::Int(mode) = node.kind
    {
        let source = &node.span.source.text;
        let written = source
            .get(node.span.start as usize..node.span.end as usize)
            .unwrap_or_default();
        // `0644` is what it looks like; whether it may be written so is another rule's.
        if !written.starts_with('0') && odd(mode) {
            let text = format!(
                "`mode: {mode}` should have a string value with leading zero `mode: \"0{mode:o}\"` or use symbolic mode."
            );
            task.tell(out, "risky-octal", text);
        }
    }
    let Some((_, create)) = MAKERS.iter().find(|(name, _)| *name == word) else {
        return;
    };
    if let Some(default) = create {
        let creates = if action.has("create") {
            action.is_on("create")
        } else {
            *default
        };
        if !creates {
            return;
        }
    }
    if word == "file" {
        let state = action.text("state");
        let harmless = matches!(state.as_deref(), None | Some("file" | "absent" | "link"));
        if harmless || action.is_on("recurse") {
            return;
        }
    }
    let mode = action.text("mode");
    let kept = mode.as_deref() == Some("preserve") && !matches!(word, "copy" | "template");
    if mode.is_none() || kept {
        task.tell(
            out,
            "risky-file-permissions",
            "File permissions unset or incorrect.",
        );
    }
}

/// Whether a number is a mode that nobody wants: others may more than the group, or write what they cannot read.
fn odd(mode: i128) -> bool {
    let [user, group, others] = [6, 3, 0].map(|shift| (mode >> shift) & 7);
    let blind = |part: i128| part == 2 || part == 3;
    let only_runs = |part: i128| part == 1 && user & 1 == 0;
    [user, group, others].into_iter().any(blind)
        || only_runs(group)
        || only_runs(others)
        || others > group
        || group > user
}

/// Modules whose arguments are text for which a tab may be right.
const TABS: &[&str] = &[
    "blockinfile",
    "copy",
    "lineinfile",
    "replace",
    "shell",
    "command",
];

fn contents(out: &mut Findings<'_>, task: &Task<'_>, action: &Action<'_>) {
    let word = action.word();
    if !TABS.contains(&word) {
        let values: Vec<&Node> = match &action.value.kind {
            NodeKind::Map(entries) => entries.iter().map(|(_, value)| value).collect(),
            _ => vec![action.value],
        };
        for value in values {
            if value.as_str().is_some_and(|text| text.contains('\t')) {
                task.tell_at(
                    out,
                    "no-tabs",
                    line(value),
                    "Most files should not contain tabs.",
                );
            }
        }
    }
    let parent = match word {
        "copy" => "../files",
        "template" => "../templates",
        _ => "",
    };
    if !parent.is_empty()
        && action
            .text("src")
            .is_some_and(|src| src.starts_with(parent))
    {
        task.tell(
            out,
            "no-relative-paths",
            "The src argument should not use a relative path.",
        );
    }
    let packages = [
        "apk", "apt", "dnf", "dnf5", "gem", "homebrew", "package", "pacman", "pip", "pkgng",
        "portage", "yum", "zypper",
    ];
    if packages.contains(&word) && action.text("state").as_deref() == Some("latest") {
        let only = ["download_only", "only_upgrade", "update_only"];
        if !only.iter().any(|name| action.is_on(name)) {
            task.tell(
                out,
                "package-latest",
                "Package installs should not use latest.",
            );
        }
    }
    if word == "git" && matches!(action.text("version").as_deref(), None | Some("HEAD")) {
        task.tell(
            out,
            "latest[git]",
            "Result of the command may vary on subsequent runs.",
        );
    }
}

/// A condition, or all of a list of them.
fn texts(node: &Node) -> Vec<&str> {
    match &node.kind {
        NodeKind::Seq(items) => items.iter().filter_map(Node::as_str).collect(),
        _ => node.as_str().into_iter().collect(),
    }
}

fn conditions(out: &mut Findings<'_>, task: &Task<'_>) {
    let when = task.get("when").map(texts).unwrap_or_default();
    if when.iter().any(|text| text.contains("{{")) {
        task.tell(out, "no-jinja-when", "No Jinja2 in when.");
    }
    if when.iter().any(|text| compares(text)) {
        task.tell(
            out,
            "literal-compare",
            "Don't compare to literal True/False.",
        );
    }
    if let [text] = when.as_slice()
        && is_changed(text)
    {
        let at = task.get("when").map_or(task.line, line);
        let text = "Tasks that run when changed should likely be handlers.";
        task.tell_at(out, "no-handler", at, text);
    }
    let ignores = task
        .get("ignore_errors")
        .is_some_and(|node| match &node.kind {
            NodeKind::Bool(is) => *is,
            NodeKind::Str(text) => !text.contains("ansible_check_mode"),
            _ => false,
        });
    if ignores && task.get("register").is_none() {
        task.tell(
            out,
            "ignore-errors",
            "Use failed_when and specify error conditions instead of using ignore_errors.",
        );
    }
}

/// Whether something is compared with a truth value.
fn compares(text: &str) -> bool {
    let after = ["==", "!="]
        .iter()
        .flat_map(|sign| text.split(sign).skip(1));
    after.map(str::trim_start).any(|rest| {
        ["True", "true", "False", "false"].iter().any(|word| {
            rest.strip_prefix(word)
                .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
    })
}

/// Whether a condition is that one thing has changed.
fn is_changed(text: &str) -> bool {
    let text = text.trim().trim_matches(['(', ')']);
    let several = [" and ", " or ", "not "]
        .iter()
        .any(|word| text.contains(word));
    let ends = [
        ".changed",
        "|changed",
        "| changed",
        "['changed']",
        "[\"changed\"]",
        " is changed",
    ];
    !several && ends.iter().any(|end| text.ends_with(end))
}

fn variables(out: &mut Findings<'_>, task: &Task<'_>) {
    let mut found = Findings {
        file: out.file,
        found: vec![],
    };
    if let Some(name) = task.get("register") {
        let what = name.as_str().unwrap_or_default();
        variable(&mut found, name, task.line, &format!("register: {what}"));
    }
    let facts = task
        .action
        .as_ref()
        .filter(|action| action.word() == "set_fact")
        .map(|action| action.value);
    // In a role the variables of a task are no business of others.
    let own = task.get("vars").filter(|_| out.file.role.is_none());
    for (vars, word) in [(facts, "set_fact"), (own, "vars")] {
        let Some(NodeKind::Map(entries)) = vars.map(|node| &node.kind) else {
            continue;
        };
        for (name, _) in entries
            .iter()
            .filter(|(name, _)| name.as_str() != Some("cacheable"))
        {
            let what = name.as_str().unwrap_or_default();
            let at = if word == "vars" {
                line(name)
            } else {
                task.line
            };
            variable(&mut found, name, at, &format!("{word}: {what}"));
        }
    }
    for one in found.found {
        let place = one.labels.first().map(|label| label.span.line_column().0);
        task.tell_at(out, one.code, place.unwrap_or(task.line), one.message);
    }
}
