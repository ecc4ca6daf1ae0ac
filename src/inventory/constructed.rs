//! The inventory plugin `constructed`: variables and groups made of what the hosts have already.

use std::path::Path;
use std::sync::Arc;

use super::graph::safe_name;
use super::ini::Broken;
use super::{Inventory, Vars, yaml};
use crate::diag::Span;
use crate::load::node::{Node, NodeKind};
use crate::load::vault::VaultSecrets;
use crate::plan::{Files, unlocked};
use crate::template::{Settings, Templar, Value};
use crate::vars::{HostScope, Level, VarMap};

/// What a file says, its kinds checked.
struct Recipe<'a> {
    strict: bool,
    leading: bool,
    files_too: bool,
    compose: Vec<(String, &'a Node)>,
    groups: Vec<(String, &'a Node)>,
    keyed: Vec<&'a Node>,
}

/// Adds to the hosts that are there.
pub(super) fn parse(
    inventory: &mut Inventory,
    root: &Node,
    file: &Path,
    secrets: &VaultSecrets,
) -> Result<(), Broken> {
    let recipe = Recipe::new(root)?;
    let maker = Maker {
        recipe,
        templar: Templar::new(Settings::default()).with_secrets(secrets.clone()),
        files: Files::new(secrets.clone()),
    };
    // Depths and `ungrouped` decide what the hosts have.
    inventory.reconcile();
    let hosts: Vec<String> = inventory.hosts.keys().cloned().collect();
    for host in hosts {
        maker.host(inventory, &host).map_err(|(message, span)| {
            (
                format!("Failed to parse '{}': {message}", file.display()),
                span,
            )
        })?;
    }
    Ok(())
}

impl<'a> Recipe<'a> {
    fn new(root: &'a Node) -> Result<Self, Broken> {
        let flag = |name: &str, default: bool| match root.get(name).map(|node| (&node.kind, node)) {
            None => Ok(default),
            Some((NodeKind::Bool(value), _)) => Ok(*value),
            Some((_, node)) => Err(invalid(name, "bool", node)),
        };
        let entries = |name: &str| match root.get(name).map(|node| (&node.kind, node)) {
            None | Some((NodeKind::Null, _)) => Ok(vec![]),
            Some((NodeKind::Map(entries), _)) => Ok(entries
                .iter()
                .filter_map(|(key, value)| Some((yaml::scalar(key)?, value)))
                .collect()),
            Some((_, node)) => Err(invalid(name, "dict", node)),
        };
        let keyed = match root.get("keyed_groups").map(|node| (&node.kind, node)) {
            None | Some((NodeKind::Null, _)) => vec![],
            Some((NodeKind::Seq(items), _)) => items.iter().collect(),
            Some((_, node)) => return Err(invalid("keyed_groups", "list", node)),
        };
        Ok(Self {
            strict: flag("strict", false)?,
            leading: flag("leading_separator", true)?,
            files_too: flag("use_vars_plugins", false)?,
            compose: entries("compose")?,
            groups: entries("groups")?,
            keyed,
        })
    }
}

fn invalid(name: &str, kind: &str, node: &Node) -> Broken {
    let text = format!(
        "Config '{name}' for the inventory plugin 'constructed' has an invalid value: \
         Invalid value provided for '{kind}': {}",
        Value::from_node(node)
    );
    (text, node.span.clone())
}

struct Maker<'a> {
    recipe: Recipe<'a>,
    templar: Templar,
    files: Files,
}

impl Maker<'_> {
    fn host(&self, inventory: &mut Inventory, host: &str) -> Result<(), Broken> {
        // What is composed is seen by groups, not by other composed variables.
        let scope = self.scope(inventory, host);
        for (name, written) in &self.recipe.compose {
            match self.value(written, &scope) {
                Ok(value) => {
                    let node = node_of(&value, &written.span);
                    inventory.set_host_var(host, name, node);
                }
                Err(why) if self.recipe.strict => {
                    let text = format!("Could not set {name} for host {host}: {why}");
                    return Err((text, written.span.clone()));
                }
                Err(_) => {}
            }
        }
        let scope = self.scope(inventory, host);
        for (name, written) in &self.recipe.groups {
            match self.templar.condition(&Value::from_node(written), &scope) {
                Ok(true) => {
                    let group = safe_name(name);
                    self.join(inventory, &group, host);
                }
                Ok(false) => {}
                Err(error) if self.recipe.strict => {
                    let text = format!(
                        "Could not add host {host} to group {name}: {}",
                        error.diagnostic.message
                    );
                    return Err((text, written.span.clone()));
                }
                Err(_) => {}
            }
        }
        for entry in &self.recipe.keyed {
            self.keyed(inventory, host, entry, &scope)
                .map_err(|message| (message, entry.span.clone()))?;
        }
        Ok(())
    }

    /// What expressions see: the host's variables and its names.
    fn scope(&self, inventory: &Inventory, host: &str) -> HostScope {
        let mut layers = vec![];
        if self.recipe.files_too {
            layers.extend(
                inventory
                    .layers(host, &[])
                    .value
                    .into_iter()
                    .map(|layer| layer.vars),
            );
        } else {
            let groups = inventory.groups_of(host);
            let groups = groups.iter().filter_map(|name| inventory.groups.get(name));
            layers.extend(groups.map(|group| Arc::clone(&group.vars)));
            layers.extend(inventory.hosts.get(host).map(|host| Arc::clone(&host.vars)));
        }
        let mut vars = VarMap::new();
        for layer in layers {
            vars.extend(self.variables(&layer));
        }
        let names = inventory.group_names(host).into_iter().map(Value::str);
        let short = host.split('.').next().unwrap_or(host);
        vars.extend([
            ("inventory_hostname".to_owned(), Value::str(host)),
            ("inventory_hostname_short".to_owned(), Value::str(short)),
            ("group_names".to_owned(), Value::list(names.collect())),
        ]);
        let dir = std::env::current_dir().unwrap_or_default();
        HostScope::new(vec![], dir).with(Level::Inventory, vars)
    }

    fn variables(&self, vars: &Vars) -> VarMap {
        // What cannot be decrypted is undefined here; whoever uses it hears why.
        vars.iter()
            .map(|(name, node)| (name.clone(), unlocked(node, &self.files.secrets)))
            .collect()
    }

    fn value(&self, written: &Node, scope: &HostScope) -> Result<Value, String> {
        match written.as_str() {
            Some(text) => self
                .templar
                .expression(text, Some(&written.span), scope)
                .map_err(|error| error.diagnostic.message.clone()),
            None => {
                let kind = Value::from_node(written).type_name().to_owned();
                Err(format!(
                    "Expressions must be <class 'str'>, got <class '{kind}'>."
                ))
            }
        }
    }

    fn join(&self, inventory: &mut Inventory, group: &str, host: &str) {
        inventory.add_group(group);
        inventory.add_host(host, group, None);
    }

    /// One entry of `keyed_groups`. Errors are messages.
    fn keyed(
        &self,
        inventory: &mut Inventory,
        host: &str,
        entry: &Node,
        scope: &HostScope,
    ) -> Result<(), String> {
        if !matches!(entry.kind, NodeKind::Map(_)) {
            let shown = Value::from_node(entry);
            return Err(format!(
                "Invalid keyed group entry, it must be a dictionary: {shown}"
            ));
        }
        let strict = self.recipe.strict;
        let text = |name: &str| entry.get(name).and_then(yaml::scalar);
        let default = text("default_value");
        let trailing = entry.get("trailing_separator").map(|node| match node.kind {
            NodeKind::Bool(value) => value,
            _ => true,
        });
        if default.is_some() && trailing.is_some() {
            return Err("parameters are mutually exclusive for keyed groups: \
                        default_value|trailing_separator"
                .to_owned());
        }
        let written = text("key").unwrap_or_else(|| "None".to_owned());
        let key = match entry.get("key").map(|key| self.value(key, scope)) {
            Some(Ok(key)) => key,
            None | Some(Err(_)) if !strict => return Ok(()),
            other => {
                let why = match other {
                    Some(Err(why)) => why,
                    _ => "it has no key".to_owned(),
                };
                return Err(format!(
                    "Could not generate group for host {host} from {written} entry: {why}"
                ));
            }
        };
        let blank = key.as_str() == Some("");
        let named = key.is_true() || (blank && default.is_some());
        if !named {
            return match strict {
                true => Err(format!(
                    "No key or key resulted empty for {written} in host {host}, invalid entry"
                )),
                false => Ok(()),
            };
        }
        let separator = text("separator").unwrap_or_else(|| "_".to_owned());
        let prefix = text("prefix").unwrap_or_default();
        let parent = match entry.get("parent_group") {
            None => None,
            Some(node) => Some(self.parent(node, scope)?),
        };
        let lead = match prefix.is_empty() && !self.recipe.leading {
            true => "",
            false => separator.as_str(),
        };
        for name in names(
            &key,
            &separator,
            default.as_deref(),
            trailing.unwrap_or(true),
        )? {
            let group = safe_name(&format!("{prefix}{lead}{name}"));
            self.join(inventory, &group, host);
            if let Some(parent) = &parent {
                let parent = safe_name(parent);
                inventory.add_group(&parent);
                if parent != "all" {
                    inventory.add_child(&parent, &group)?;
                }
            }
        }
        Ok(())
    }

    fn parent(&self, node: &Node, scope: &HostScope) -> Result<String, String> {
        let value = self.templar.expand(&Value::from_node(node), scope);
        value
            .map(|value| value.text())
            .map_err(|error| error.diagnostic.message.clone())
    }
}

/// The names that a key yields: itself, the items of a list, pairs of a mapping.
fn names(
    key: &Value,
    separator: &str,
    default: Option<&str>,
    trailing: bool,
) -> Result<Vec<String>, String> {
    let or_default = |text: String| match default {
        Some(default) if text.is_empty() => default.to_owned(),
        _ => text,
    };
    Ok(match key {
        Value::Str(text) => vec![or_default(text.as_str().to_owned())],
        Value::List(list) => list
            .to_vec()
            .iter()
            .map(|item| or_default(item.text()))
            .collect(),
        Value::Tuple(items) => items.iter().map(|item| or_default(item.text())).collect(),
        Value::Dict(dict) => {
            let entries = dict.read().clone();
            let pairs = entries.iter().map(|(name, value)| {
                let (name, value) = (name.0.text(), or_default(value.text()));
                match value.is_empty() && !trailing {
                    true => name,
                    false => format!("{name}{separator}{value}"),
                }
            });
            pairs.collect()
        }
        other => {
            return Err(format!(
                "Invalid group name format, expected a string or a list of them or dictionary, got: {}",
                other.type_name()
            ));
        }
    })
}

/// A value that is data as if it were written at a place: only braces in it must not be read as templates.
pub(super) fn data_node(value: &Value, span: &Span) -> Node {
    let mut node = node_of(value, span);
    readable(&mut node);
    node
}

/// Texts without braces are what they are, in any case.
fn readable(node: &mut Node) {
    match &mut node.kind {
        NodeKind::Unsafe(text) if !crate::template::value::has_delimiters(text) => {
            node.kind = NodeKind::Str(std::mem::take(text));
        }
        NodeKind::Seq(items) => items.iter_mut().for_each(readable),
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                readable(key);
                readable(value);
            }
        }
        _ => {}
    }
}

/// A made value as if it were written at a place. Its texts are no templates.
pub(super) fn node_of(value: &Value, span: &Span) -> Node {
    let kind = match value {
        Value::None | Value::Undefined(_) => NodeKind::Null,
        Value::Bool(value) => NodeKind::Bool(*value),
        Value::Int(value) => NodeKind::Int(*value),
        Value::Float(value) => NodeKind::Float(*value),
        Value::List(list) => NodeKind::Seq(
            list.to_vec()
                .iter()
                .map(|item| node_of(item, span))
                .collect(),
        ),
        Value::Tuple(items) => {
            NodeKind::Seq(items.iter().map(|item| node_of(item, span)).collect())
        }
        Value::Dict(dict) => NodeKind::Map(
            dict.read()
                .iter()
                .map(|(key, value)| (node_of(&key.0, span), node_of(value, span)))
                .collect(),
        ),
        // What somebody wrote stays what it is.
        Value::Str(text) if text.is_template() => NodeKind::Str(text.as_str().to_owned()),
        other => NodeKind::Unsafe(other.text()),
    };
    Node {
        span: span.clone(),
        kind,
    }
}
