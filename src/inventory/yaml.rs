//! Inventories in YAML and JSON form, and what inventory scripts print.

use std::path::Path;
use std::sync::Arc;

use super::graph::port_node;
use super::ini::Broken;
use super::{Inventory, range};
use crate::diag::{Diagnostic, Span};
use crate::load::node::{Node, NodeKind};
use crate::ordered::OrderedMap;
use crate::template::Value;

/// Adds the groups of a YAML inventory. Remarks go to `problems`; what cannot be understood ends it.
pub(super) fn parse(
    inventory: &mut Inventory,
    root: &Node,
    file: &Arc<Path>,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), Broken> {
    let NodeKind::Map(entries) = &root.kind else {
        let message = format!(
            "YAML inventory has invalid structure, it should be a dictionary, got: {}",
            root.kind_name()
        );
        return Err((message, root.span.clone()));
    };
    if let Some((key, _)) = root.entry("plugin") {
        let text = "Plugin configuration YAML file, not YAML inventory";
        return Err((text.to_owned(), key.span.clone()));
    }
    groups(inventory, entries, file, problems)
}

/// Adds groups, whatever text they were written in.
pub(super) fn groups(
    inventory: &mut Inventory,
    entries: &[(Node, Node)],
    file: &Arc<Path>,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), Broken> {
    let mut reader = Reader {
        inventory,
        file,
        problems,
    };
    for (key, data) in entries {
        reader.group(key, data)?;
    }
    Ok(())
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    file: &'a Arc<Path>,
    problems: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn warn(&mut self, message: String, span: &Span) {
        self.problems
            .push(Diagnostic::warning("inventory-structure", message).at(span));
    }

    /// Adds a group and all below it; nothing when it is no group.
    fn group(&mut self, key: &Node, data: &Node) -> Result<Option<String>, Broken> {
        let Some(written) = scalar(key) else {
            return Err((
                format!(
                    "Invalid group name, it must be a string, got: {}",
                    key.kind_name()
                ),
                key.span.clone(),
            ));
        };
        if !matches!(data.kind, NodeKind::Map(_) | NodeKind::Null) {
            self.warn(
                format!("Skipping '{written}' as this is not a valid group definition"),
                &key.span,
            );
            return Ok(None);
        }
        let name = self.inventory.group_name(&written);
        self.inventory.add_group(&name);
        let NodeKind::Map(entries) = &data.kind else {
            return Ok(Some(name));
        };
        for (key, value) in entries {
            self.section(&name, key, value)?;
        }
        Ok(Some(name))
    }

    fn section(&mut self, group: &str, key: &Node, value: &Node) -> Result<(), Broken> {
        let section = scalar(key).unwrap_or_default();
        if !["vars", "children", "hosts"].contains(&section.as_str()) {
            let text = match &value.kind {
                NodeKind::Map(_) | NodeKind::Null => format!(
                    "Skipping unexpected key ({section}) in group ({group}), \
                     only \"vars\", \"children\" and \"hosts\" are valid"
                ),
                _ => format!(
                    "Skipping key ({section}) in group ({group}) as it is not a mapping, it is {}",
                    value.kind_name()
                ),
            };
            self.warn(text, &key.span);
            return Ok(());
        }
        let null = Node {
            span: value.span.clone(),
            kind: NodeKind::Null,
        };
        let single;
        let entries = match &value.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => return Ok(()),
            NodeKind::Str(_) => {
                single = vec![(value.clone(), null)];
                &single
            }
            _ => {
                let message = format!(
                    "Invalid \"{section}\" entry for \"{group}\" group, requires a dictionary, found {} instead.",
                    value.kind_name()
                );
                return Err((message, value.span.clone()));
            }
        };
        for (key, value) in entries {
            match section.as_str() {
                "vars" => self.inventory.set_group_var(
                    group,
                    &scalar(key).unwrap_or_default(),
                    value.clone(),
                ),
                "children" => {
                    if let Some(child) = self.group(key, value)? {
                        self.inventory
                            .add_child(group, &child)
                            .map_err(|message| (message, key.span.clone()))?;
                    }
                }
                _ => self.host(group, key, value)?,
            }
        }
        Ok(())
    }

    fn host(&mut self, group: &str, key: &Node, vars: &Node) -> Result<(), Broken> {
        let pattern = scalar(key).unwrap_or_default();
        let expanded = range::expand(&pattern).map_err(|message| (message, key.span.clone()))?;
        let none = vec![];
        let entries = match &vars.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => &none,
            _ => {
                let message = format!(
                    "Invalid data from file, expected dictionary and got {}",
                    vars.kind_name()
                );
                return Err((message, vars.span.clone()));
            }
        };
        let port = expanded.port.map(|port| port_node(port, &key.span));
        let port = port.map(|port| ("ansible_port".to_owned(), port));
        let named = |(key, value): &(Node, Node)| (scalar(key).unwrap_or_default(), value.clone());
        let vars = Arc::new(port.into_iter().chain(entries.iter().map(named)).collect());
        for name in &expanded.names {
            self.inventory.add_host(name, group, Some(self.file));
            self.inventory.set_host_vars(name, &vars);
        }
        Ok(())
    }
}

/// Adds what a script printed under `--list`; the answer tells whether it had `_meta`.
pub(super) fn script(
    inventory: &mut Inventory,
    root: &Node,
    file: &Arc<Path>,
    problems: &mut Vec<Diagnostic>,
) -> Result<bool, Broken> {
    let NodeKind::Map(entries) = &root.kind else {
        let message = format!(
            "Unable to get JSON decoder for inventory script result: Value is '{}' instead of 'dict'.",
            python_kind(root)
        );
        return Err((message, root.span.clone()));
    };
    for (key, data) in entries {
        let written = scalar(key).unwrap_or_default();
        if written != "_meta" {
            if !matches!(data.kind, NodeKind::Map(_)) {
                let kind = python_kind(data);
                let text = format!("Group '{written}' was converted to 'dict' from '{kind}'.");
                problems.push(script_deprecation(&text, root));
            } else if !is_group(data) {
                let text = format!(
                    "Treating malformed group '{written}' as the sole host of that group. \
                     Variables provided in this manner cannot be templated."
                );
                problems.push(script_deprecation(&text, root));
            }
            script_group(inventory, &written, data, file)?;
        }
    }
    let Some(meta) = root.get("_meta") else {
        return Ok(false);
    };
    let found = meta.get("hostvars");
    let Some(meta) = found.filter(|vars| matches!(vars.kind, NodeKind::Map(_))) else {
        let kind = found.map_or("NoneType", python_kind);
        return Err(wrong_kind("_meta.hostvars", meta, kind, "dict"));
    };
    if let NodeKind::Map(hosts) = &meta.kind {
        for (name, vars) in hosts {
            script_host(inventory, &scalar(name).unwrap_or_default(), vars);
        }
    }
    Ok(true)
}

/// What a script should no longer print.
pub(super) fn script_deprecation(what: &str, root: &Node) -> Diagnostic {
    let owner = "inventory plugin 'script'";
    Diagnostic::deprecation_of("inventory-script", owner, what, "2.23").at(&root.span)
}

/// Adds the variables of a host that a script printed.
pub(super) fn script_host(inventory: &mut Inventory, name: &str, vars: &Node) {
    for (key, value) in mapping(vars) {
        inventory.set_host_var(name, &key, value);
    }
}

/// Whether an entry has one of the keys that a group has.
fn is_group(data: &Node) -> bool {
    let keys = ["hosts", "vars", "children"];
    keys.iter().any(|key| data.get(key).is_some())
}

/// Python's name for the kind of a value.
fn python_kind(node: &Node) -> &'static str {
    Value::from_node(node).type_name()
}

fn wrong_kind(place: &str, node: &Node, found: &str, wanted: &str) -> Broken {
    let message = format!("Value contains '{place}' which is '{found}' instead of '{wanted}'.");
    (message, node.span.clone())
}

fn script_group(
    inventory: &mut Inventory,
    written: &str,
    data: &Node,
    file: &Arc<Path>,
) -> Result<(), Broken> {
    let name = inventory.group_name(written);
    inventory.add_group(&name);
    let items = |node: Option<&Node>, what: &str| match node {
        None => Ok(vec![]),
        Some(node) => match &node.kind {
            NodeKind::Seq(items) => Ok(items.iter().filter_map(scalar).collect()),
            NodeKind::Null => Ok(vec![]),
            _ => {
                let place = format!("{written}.{what}");
                Err(wrong_kind(&place, node, python_kind(node), "list"))
            }
        },
    };
    let known = is_group(data);
    let hosts: Vec<String> = match &data.kind {
        NodeKind::Map(_) if known => items(data.get("hosts"), "hosts")?,
        NodeKind::Map(_) => vec![written.to_owned()],
        _ => items(Some(data), "hosts")?,
    };
    for host in &hosts {
        inventory.add_host(host, &name, Some(file));
    }
    if matches!(data.kind, NodeKind::Map(_)) && !known {
        script_host(inventory, written, data);
        return Ok(());
    }
    if let Some(vars) = data.get("vars")
        && !matches!(vars.kind, NodeKind::Map(_) | NodeKind::Null)
    {
        let place = format!("{written}.vars");
        return Err(wrong_kind(&place, vars, python_kind(vars), "dict"));
    }
    for (key, value) in data.get("vars").map(mapping).unwrap_or_default() {
        inventory.set_group_var(&name, &key, value);
    }
    for child in items(data.get("children"), "children")? {
        let child = inventory.group_name(&child);
        inventory.add_group(&child);
        inventory
            .add_child(&name, &child)
            .map_err(|message| (message, data.span.clone()))?;
    }
    Ok(())
}

/// The entries of a mapping under text keys.
pub(super) fn mapping(node: &Node) -> OrderedMap<String, Node> {
    match &node.kind {
        NodeKind::Map(entries) => entries
            .iter()
            .filter_map(|(key, value)| Some((scalar(key)?, value.clone())))
            .collect(),
        _ => OrderedMap::default(),
    }
}

/// The text of a key: a host may be named `10` or `1.5`.
pub(super) fn scalar(node: &Node) -> Option<String> {
    match &node.kind {
        NodeKind::Int(value) => Some(value.to_string()),
        NodeKind::Float(value) => Some(value.to_string()),
        NodeKind::Bool(value) => Some(if *value { "True" } else { "False" }.to_owned()),
        NodeKind::Date(text) => Some(text.clone()),
        _ => node.as_str().map(str::to_owned),
    }
}
