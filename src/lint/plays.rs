//! Rules of plays and of variables; tasks go to `tasks`.

use super::Findings;
use super::file::{Content, line};
use super::tasks;
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};

/// Looks at the plays, tasks or variables of a file.
pub(super) fn check(out: &mut Findings<'_>) {
    let file = out.file;
    for document in &file.documents {
        match (file.content, &document.kind) {
            (Content::Playbook, NodeKind::Seq(plays)) => {
                plays.iter().for_each(|one| play(out, one))
            }
            (Content::Tasks, _) => tasks::list(out, document),
            (Content::Variables, NodeKind::Map(entries)) => {
                for (name, _) in entries {
                    let what = format!("vars: {}", name.as_str().unwrap_or_default());
                    variable(out, name, line(name), &what);
                }
            }
            _ => {}
        }
    }
}

fn play(out: &mut Findings<'_>, play: &Node) {
    let NodeKind::Map(entries) = &play.kind else {
        return;
    };
    let Some((first, _)) = entries.first() else {
        return;
    };
    let at = line(first);
    let name = play.entry("name");
    match name
        .and_then(|(_, name)| name.as_str())
        .filter(|name| !name.is_empty())
    {
        None if name.is_none() => out.add("name[play]", at, "All plays should be named."),
        None => {}
        Some(text) => {
            let place = name.map_or(at, |(key, _)| line(key));
            tasks::name(out, text, place);
        }
    }
    if name.is_some() && first.as_str() != Some("name") {
        let keys = entries.iter().filter_map(|(key, _)| key.as_str());
        let rest: Vec<&str> = keys.filter(|key| *key != "name").collect();
        let text = format!(
            "You can improve the play key order to: name, {}",
            rest.join(", ")
        );
        out.add("key-order[play]", at, text);
    }
    if play.get("become_user").is_some() && play.get("become").is_none() {
        out.add("partial-become[play]", at, tasks::BECOME);
    }
    if play
        .get("strategy")
        .and_then(Node::as_str)
        .is_some_and(|text| text.ends_with("free"))
    {
        out.add("run-once[play]", 1, "Play uses strategy: free");
    }
    variables(out, play.get("vars"), None);
    if let Some(NodeKind::Seq(roles)) = play.get("roles").map(|node| &node.kind) {
        for role in roles {
            variables(out, role.get("vars"), Some("vars"));
        }
    }
    for part in tasks::LISTS {
        if let Some(list) = play.get(part) {
            tasks::list(out, list);
        }
    }
}

/// The names of a mapping of variables, each at its own place.
fn variables(out: &mut Findings<'_>, vars: Option<&Node>, prefix: Option<&str>) {
    if let Some(NodeKind::Map(entries)) = vars.map(|node| &node.kind) {
        for (name, _) in entries {
            let text = name.as_str().unwrap_or_default();
            let what = prefix.map_or_else(|| text.to_owned(), |prefix| format!("{prefix}: {text}"));
            variable(out, name, line(name), &what);
        }
    }
}

/// Variables that Ansible sets and nobody else may.
const READ_ONLY: &[&str] = &[
    "ansible_check_mode",
    "ansible_collection_name",
    "ansible_config_file",
    "ansible_dependent_role_names",
    "ansible_diff_mode",
    "ansible_forks",
    "ansible_index_var",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_local",
    "ansible_loop",
    "ansible_loop_var",
    "ansible_parent_role_names",
    "ansible_parent_role_paths",
    "ansible_play_batch",
    "ansible_play_hosts",
    "ansible_play_hosts_all",
    "ansible_play_name",
    "ansible_play_role_names",
    "ansible_playbook_python",
    "ansible_role_name",
    "ansible_role_names",
    "ansible_run_tags",
    "ansible_search_path",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "group_names",
    "groups",
    "hostvars",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "omit",
    "play_hosts",
    "playbook_dir",
    "role_name",
    "role_names",
    "role_path",
];

/// The name of a variable. What a role defines begins with its name, so that roles do not meet.
pub(super) fn variable(out: &mut Findings<'_>, name: &Node, at: usize, what: &str) {
    let Some(name) = name.as_str().filter(|name| !name.contains("{{")) else {
        return;
    };
    let small = |letter: char| letter.is_ascii_lowercase() || letter == '_';
    let fits = name.starts_with(small)
        && name
            .chars()
            .all(|letter| small(letter) || letter.is_ascii_digit());
    if !fits {
        let text = format!("Variables names should match ^[a-z_][a-z0-9_]*$ regex. ({what})");
        out.add("var-naming[pattern]", at, text);
    } else if READ_ONLY.contains(&name) {
        out.add(
            "var-naming[read-only]",
            at,
            format!("This special variable is read-only. ({what})"),
        );
    } else if Keyword::from_name(name).is_some() {
        let text = format!("Variables names must not be Ansible reserved names. ({what})");
        out.add("var-naming[no-reserved]", at, text);
    } else if let Some(role) = &out.file.role {
        let prefix = format!("{}_", role.replace('-', "_"));
        if !name.trim_start_matches('_').starts_with(&prefix) && !name.starts_with("__") {
            let text = format!(
                "Variables names from within roles should use {prefix} as a prefix. ({what})"
            );
            out.add("var-naming[no-role-prefix]", at, text);
        }
    }
}
