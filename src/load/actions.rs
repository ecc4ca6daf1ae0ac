//! Names a task may call besides the modules of the registry, and how they read their text.

use std::path::Path;

use rplay_modules::registry;

use crate::diag::Diagnostic;

/// What the controller does itself, by short name.
pub const ACTIONS: &[&str] = &[
    "add_host",
    "apt",
    "assemble",
    "assert",
    "async_status",
    "command",
    "copy",
    "debug",
    "dnf",
    "fail",
    "fetch",
    "gather_facts",
    "group_by",
    "import_playbook",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "normal",
    "package",
    "pause",
    "raw",
    "reboot",
    "script",
    "service",
    "set_fact",
    "set_stats",
    "setup",
    "shell",
    "template",
    "unarchive",
    "uri",
    "validate_argument_spec",
    "wait_for_connection",
    "yum",
];

/// Lookups that may stand after `with_`.
pub const LOOKUPS: &[&str] = &[
    "cartesian",
    "community.general.flattened",
    "config",
    "csvfile",
    "dict",
    "env",
    "file",
    "fileglob",
    "filetree",
    "first_found",
    "flattened",
    "indexed_items",
    "ini",
    "inventory_hostnames",
    "items",
    "lines",
    "list",
    "nested",
    "password",
    "pipe",
    "random_choice",
    "redis_kv",
    "sequence",
    "subelements",
    "template",
    "together",
    "unvault",
    "url",
    "varnames",
    "vars",
];

/// The lookup that a misspelt `with_...` may mean.
pub(super) fn near_loop(keyword: &str) -> Option<&'static str> {
    let (_, lookup) = keyword.split_once('_')?;
    crate::diag::nearest(keyword, ["with_items"])
        .map(|_| "items")
        .or_else(|| crate::diag::nearest(lookup, LOOKUPS.iter().copied()))
}

/// An action of `meta`.
pub struct Meta {
    /// Its name.
    pub name: &'static str,
    /// It happens once for all hosts, and not on each of them.
    pub once: bool,
    /// What is told when its condition is false (a host's name follows a blank at the end);
    /// `None` when it takes no conditions.
    pub otherwise: Option<&'static str>,
}

const fn meta_row(name: &'static str, once: bool, otherwise: Option<&'static str>) -> Meta {
    Meta {
        name,
        once,
        otherwise,
    }
}

/// The actions of `meta`.
pub static METAS: &[Meta] = &[
    meta_row(
        "clear_facts",
        true,
        Some("not clearing facts and fact cache for "),
    ),
    meta_row(
        "clear_host_errors",
        true,
        Some("not clearing host error state for "),
    ),
    meta_row("end_batch", true, Some("continuing current batch")),
    meta_row("end_host", false, Some("continuing execution for ")),
    meta_row("end_play", true, Some("continuing play")),
    meta_row("end_role", false, Some("continuing role for ")),
    meta_row("flush_handlers", false, Some("not running handlers for ")),
    meta_row("noop", false, None),
    meta_row("refresh_inventory", true, None),
    meta_row("reset_connection", false, None),
];

/// The `meta` action of a name.
#[must_use]
pub fn meta(name: &str) -> Option<&'static Meta> {
    METAS.iter().find(|meta| meta.name == name)
}

/// The name without `ansible.builtin.` or `ansible.legacy.`.
#[must_use]
pub fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name)
}

/// The name with its collection, as messages and `_resolved_action` have it.
#[must_use]
pub fn full_name(name: &str) -> String {
    let name = short(name);
    match registry::find(name) {
        Some(module) => module.name.to_owned(),
        None if name.contains('.') => name.to_owned(),
        None => format!("ansible.builtin.{name}"),
    }
}

/// Whether a task may call a name: it is known, or it names a collection, or it is a template.
#[must_use]
pub fn is_callable(name: &str) -> bool {
    is_native(name) || name.contains("{{") || (short(name) == name && name.contains('.'))
}

/// Whether rplay itself runs what a name stands for.
#[must_use]
pub fn is_native(name: &str) -> bool {
    ACTIONS.contains(&short(name)) || registry::find(name).is_some()
}

/// The code of a problem: nothing answers to a module's name.
pub const UNKNOWN: &str = "unknown-module";

/// Whether the controller does it, whatever modules of that name there are.
#[must_use]
pub fn is_controllers(name: &str) -> bool {
    ACTIONS.contains(&name) && !matches!(name, "apt" | "async_status" | "command" | "setup")
}

/// Refuses a module that is there as a file, which Ansible would run.
#[must_use]
pub fn foreign(name: &str, file: &Path) -> Diagnostic {
    let end = file.extension().and_then(|end| end.to_str());
    let what = match end {
        Some("py") => "is written in Python, which rplay does not run",
        Some("ps1") => "is written in PowerShell, which rplay does not run",
        _ => "is a program of its own, which rplay does not run",
    };
    let file = file.display();
    let text = format!("cannot run the module '{name}': `{file}` {what}");
    let problem = Diagnostic::error("foreign-module", text);
    match registry::find(short(name)) {
        Some(own) => problem.hint(format!(
            "`{}` is the module that rplay has itself",
            own.name
        )),
        None => problem.hint("rplay runs the modules that `rplay doc -l` lists"),
    }
}

/// Tells of a name that nothing answers to. `keyword` is the nearest keyword, where one may stand.
#[must_use]
pub fn unresolved(name: &str, keyword: Option<&str>) -> Diagnostic {
    let text = format!(
        "couldn't resolve module/action '{name}'. This often indicates a misspelling, missing collection, or incorrect module path."
    );
    let meant = suggestion(name).or_else(|| keyword.map(str::to_owned));
    let problem = Diagnostic::error(UNKNOWN, text);
    let word = name.rsplit('.').next().unwrap_or(name);
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == word) {
        return problem.hint(*reason);
    }
    if let Some(meant) = meant {
        problem.hint(format!("did you mean `{meant}`?"))
    } else if name.contains('.') {
        problem.hint("rplay runs the modules that `rplay doc -l` lists, and none in Python")
    } else {
        problem
    }
}

/// Modules that there will be none of, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    (
        "iso_extract",
        "rplay has no `iso_extract`: an image is read by the system's own `mount` (`opts: loop,ro`), and `copy` with `remote_src` takes files from it",
    ),
    ("helm_plugin", HELM),
    ("helm_plugin_info", HELM),
    ("helm_pull", HELM),
    ("helm_registry_auth", HELM),
    (
        "kubeconfig",
        "rplay has no `kubeconfig` yet: the modules of Kubernetes take a kubeconfig as a mapping, and `copy` writes one",
    ),
];

/// Why there are no further modules for Helm.
const HELM: &str = "rplay has `helm`, `helm_info`, `helm_repository` and `helm_template`; `ansible.builtin.command` runs what else the program can do";

/// The name that the user may have meant.
#[must_use]
pub fn suggestion(name: &str) -> Option<String> {
    let full = || {
        registry::modules().flat_map(|module| std::iter::once(&module.name).chain(module.aliases))
    };
    if let Some((collection, word)) = short(name).rsplit_once('.') {
        let parts = || full().filter_map(|full| full.rsplit_once('.'));
        let words = parts().filter(|(own, _)| *own == collection);
        let word_meant = crate::diag::nearest(word, words.map(|(_, word)| word));
        // The collection may be what is misspelt.
        let collections = parts().filter(|(_, own)| *own == word);
        let collection_meant = || crate::diag::nearest(collection, collections.map(|(own, _)| own));
        return match word_meant {
            Some(meant) => Some(format!("{collection}.{meant}")),
            None => collection_meant().map(|meant| format!("{meant}.{word}")),
        };
    }
    let modules = full();
    let names: Vec<&str> = modules
        .map(|name| name.rsplit('.').next().unwrap_or(name))
        .collect();
    let candidates = names
        .into_iter()
        .chain(ACTIONS.iter().copied().filter(|action| *action != "normal"));
    let word = name.rsplit('.').next().unwrap_or(name);
    // Of some names of Ansible's there is no module here.
    let meant = crate::diag::nearest(word, candidates);
    meant.filter(|meant| *meant != word).map(str::to_owned)
}

/// Commands: all of the text is the command but for a few options.
#[must_use]
pub fn is_command(name: &str) -> bool {
    let short = name.rsplit('.').next().unwrap_or(name);
    matches!(
        short,
        "command" | "shell" | "script" | "raw" | "win_command" | "win_shell"
    )
}

/// Everything that reads text without a `=`, such as `meta: flush_handlers`.
#[must_use]
pub fn takes_text(name: &str) -> bool {
    is_command(name)
        || matches!(
            short(name),
            "add_host"
                | "group_by"
                | "import_playbook"
                | "import_role"
                | "import_tasks"
                | "include_role"
                | "include_tasks"
                | "include_vars"
                | "meta"
                | "set_fact"
        )
}

/// Whether the action runs once for all hosts, on the first one of them.
#[must_use]
pub fn bypasses_hosts(name: &str) -> bool {
    matches!(short(name), "add_host" | "pause")
}

/// Whether the task is replaced by other tasks while the play runs.
#[must_use]
pub fn is_include(name: &str) -> bool {
    matches!(short(name), "include_tasks" | "include_role")
}
