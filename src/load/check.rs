//! What is wrong with a keyword's value before anything is templated.

use super::actions;
use super::ast::{Block, Call, Item};
use super::keyword::{Keyword, Places};
use super::node::{Node, NodeKind};
use super::play::Reader;
use crate::diag::{Diagnostic, Span, nearest};

/// Groups of actions that Ansible itself once named, for modules that are in collections now.
const LEGACY_GROUPS: [&str; 9] = [
    "acme",
    "aws",
    "azure",
    "cpm",
    "gcp",
    "os",
    "ovirt",
    "testgroup",
    "vmware",
];

/// The group of the modules of `kubernetes.core`.
pub(crate) const K8S: &str = "k8s";

/// The group of the modules of `community.docker`.
pub(crate) const DOCKER: &str = "docker";

/// What names of variables are.
pub(crate) const VARIABLE_NAMES: &str = "Variable names must be strings starting with a letter or underscore character, and contain only letters, numbers and underscores.";

impl Reader {
    pub(super) fn check_vars(&mut self, value: &Node, place: Places) {
        match &value.kind {
            NodeKind::Null => {}
            NodeKind::Map(entries) => {
                for (key, _) in entries {
                    self.check_variable_name(key);
                }
            }
            _ => {
                let title = if place == Places::ROLE {
                    "Role"
                } else {
                    place.title()
                };
                self.error(
                    "vars-not-a-mapping",
                    format!("Vars in a {title} must be specified as a dictionary."),
                    &value.span,
                );
            }
        }
    }

    pub(super) fn check_variable_name(&mut self, key: &Node) {
        let text = match key.as_str() {
            Some(name) if is_variable_name(name) => return,
            Some(name) => format!("Invalid variable name '{name}'."),
            None => format!(
                "Invalid variable name: {} is not a string.",
                key.kind_name()
            ),
        };
        self.problems.push(
            Diagnostic::error("variable-name", text)
                .at(&key.span)
                .hint(VARIABLE_NAMES),
        );
    }

    /// What a result is registered as is the name of a variable.
    pub(super) fn check_register(&mut self, value: &Node) {
        let Some(name) = value.as_str() else { return };
        if is_variable_name(name) {
            return;
        }
        let text = format!("Invalid 'register' specified: Invalid variable name '{name}'.");
        self.problems.push(
            Diagnostic::error("register-name", text)
                .at(&value.span)
                .hint(VARIABLE_NAMES),
        );
    }

    /// Whose defaults they are must be known.
    pub(super) fn check_module_defaults(&mut self, value: &Node) {
        let maps = match &value.kind {
            NodeKind::Seq(maps) => maps.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for map in maps {
            if matches!(map.kind, NodeKind::Str(_)) {
                let text = "The field 'module_defaults' is supposed to be a dictionary or list of dictionaries, the keys of which must be static action, module, or group names. Only the values may contain templates. For example: {'ping': \"{{ ping_defaults }}\"}";
                self.error("module-defaults", text, &map.span);
            }
        }
        let entries = maps.iter().filter_map(|map| match &map.kind {
            NodeKind::Map(entries) => Some(entries),
            _ => None,
        });
        for (key, _) in entries.flatten() {
            let Some(name) = key.as_str() else { continue };
            match name.strip_prefix("group/") {
                // Names of one word that Ansible gave to the groups of collections which it once had.
                Some(group) if LEGACY_GROUPS.contains(&group) => {
                    let text = format!(
                        "no module that is known here belongs to the module_defaults group {group}"
                    );
                    let problem = Diagnostic::warning("module-defaults", text);
                    self.problems.push(problem.at(&key.span));
                }
                // Those of these whose modules rplay has.
                Some(K8S | DOCKER) => {}
                // Modules and groups of collections are looked up when the play is planned.
                Some(group) if group.contains('.') => {}
                None => {}
                Some(group) => self
                    .problems
                    .push(no_group(&format!("ansible.builtin.{group}"), &key.span)),
            }
        }
    }

    pub(super) fn check_loop_control(&mut self, value: &Node) {
        const NAMES: [&str; 7] = [
            "loop_var",
            "index_var",
            "label",
            "pause",
            "extended",
            "extended_allitems",
            "break_when",
        ];
        let NodeKind::Map(entries) = &value.kind else {
            let text = "the `loop_control` value must be specified as a dictionary and cannot be a variable itself (though it can contain variables)";
            self.error("loop-control", text, &value.span);
            return;
        };
        for (key, value) in entries {
            let name = key.as_str().unwrap_or_default();
            if name == "label" && matches!(value.kind, NodeKind::Map(_) | NodeKind::Seq(_)) {
                let text = format!(
                    "The field 'label' is supposed to be a string type, however the incoming data structure is a {}",
                    value.kind_name()
                );
                self.error("loop-control", text, &value.span);
            }
            if !NAMES.contains(&name) {
                let text = format!("'{name}' is not a valid attribute for a LoopControl");
                let mut problem = Diagnostic::error("unknown-keyword", text).at(&key.span);
                if let Some(meant) = nearest(name, NAMES) {
                    problem = problem.hint(format!("did you mean `{meant}`?"));
                }
                self.problems.push(problem);
            }
        }
    }

    pub(super) fn check_hosts(&mut self, hosts: &Node) -> bool {
        let text = match &hosts.kind {
            NodeKind::Null => "Hosts list cannot be empty. Please check your playbook",
            NodeKind::Str(text) | NodeKind::Unsafe(text) if text.is_empty() => {
                "Hosts list cannot be empty. Please check your playbook"
            }
            NodeKind::Seq(items) if items.is_empty() => {
                "Hosts list cannot be empty. Please check your playbook"
            }
            NodeKind::Seq(items) if items.iter().any(Node::is_null) => {
                "Hosts list cannot contain values of 'None'. Please check your playbook"
            }
            NodeKind::Str(_) | NodeKind::Unsafe(_) | NodeKind::Seq(_) | NodeKind::Vault(_) => {
                return true;
            }
            _ => "Hosts list must be a sequence or string. Please check your playbook.",
        };
        self.error("hosts", text, &hosts.span);
        false
    }

    /// A block only groups handlers: each of them is notified by its own name.
    pub(super) fn check_handlers(&mut self, block: &Block) {
        for item in &block.block {
            if let Item::Block(inner) = item {
                let text = "Using a block as a handler is not supported.";
                self.error("block-as-handler", text, &inner.span);
            }
        }
        for (name, list) in [("rescue", &block.rescue), ("always", &block.always)] {
            if !list.is_empty() {
                let text = format!("`{name}` has no effect on a block of handlers");
                self.error("unsupported-keyword", text, &block.span);
            }
        }
    }

    /// What includes and imports take is known before anything runs.
    pub(super) fn check_reuse(&mut self, call: &Call, place: &Span) {
        const ROLE: &[&str] = &[
            "name",
            "role",
            "tasks_from",
            "vars_from",
            "defaults_from",
            "handlers_from",
            "allow_duplicates",
            "public",
            "rolespec_validate",
        ];
        let name = actions::short(&call.name);
        let (known, applies): (&[&str], bool) = match name {
            "import_tasks" => (&["file"], false),
            "include_tasks" => (&["file"], true),
            "import_role" => (ROLE, false),
            "include_role" => (ROLE, true),
            _ => return,
        };
        let fits = |one: &str| known.contains(&one) || applies && one == "apply";
        let names = call.args.keys().map(String::as_str);
        let others: Vec<&str> = names.filter(|one| !fits(one)).collect();
        if !others.is_empty() {
            let text = format!("Invalid options for {name}: {}", others.join(","));
            let mut problem = Diagnostic::error("unknown-argument", text).at(place);
            if let Some(near) = nearest(others[0], known.iter().copied()) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
            self.problems.push(problem);
        }
        let named = call.args.contains_key("name") || call.args.contains_key("role");
        if name.ends_with("_role") && !named && call.args_template.is_none() {
            let text = format!("'name' is a required field for {name}.");
            self.error("missing-argument", text, place);
        }
        match call.args.get("apply").map(|arg| &arg.value) {
            Some(apply) if applies => self.check_apply(apply, place),
            _ => {}
        }
    }

    /// `apply` has the keywords of a block.
    fn check_apply(&mut self, apply: &Node, place: &Span) {
        let NodeKind::Map(entries) = &apply.kind else {
            let kind = apply.kind_name();
            let text = format!("Expected a dict for apply but got {kind} instead");
            return self.error("apply-not-a-mapping", text, place);
        };
        for (key, _) in entries {
            let keyword = key.as_str().and_then(Keyword::from_name);
            if !keyword.is_some_and(|keyword| keyword.allowed(Places::BLOCK)) {
                self.unknown(key, Places::BLOCK, Places::BLOCK.title());
            }
        }
    }
}

/// Whether a variable may have this name.
#[must_use]
pub(crate) fn is_variable_name(name: &str) -> bool {
    /// What begins an expression of templates. Python's other words can be variables of Ansible's.
    const RESERVED: [&str; 7] = ["False", "None", "True", "false", "none", "not", "true"];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

/// A module of `module_defaults` is not there.
pub(crate) fn no_action(name: &str, place: &Span) -> Diagnostic {
    let full = match name.contains('.') {
        true => name.to_owned(),
        false => format!("ansible.legacy.{name}"),
    };
    let text = format!("Could not resolve action {full} in module_defaults");
    let problem = Diagnostic::error("module-defaults", text).at(place);
    match actions::suggestion(name) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// A group of `module_defaults` is not there.
pub(crate) fn no_group(full: &str, place: &Span) -> Diagnostic {
    let text = format!(
        "Error loading module_defaults: could not resolve the module_defaults group {full}"
    );
    Diagnostic::error("module-defaults", text).at(place)
}
