//! The inventory plugin `generator`: hosts and groups from every combination of some layers.

use std::path::Path;
use std::sync::Arc;

use super::ini::Broken;
use super::{Inventory, yaml};
use crate::load::node::{Node, NodeKind};
use crate::template::{Settings, Templar, Value};
use crate::vars::{HostScope, Level, VarMap};

/// The most combinations that a file may ask for.
const MOST: usize = 1_000_000;

/// The deepest nesting of `parents`.
const DEPTH: usize = 64;

/// Adds all hosts and their groups.
pub(super) fn parse(
    inventory: &mut Inventory,
    root: &Node,
    file: &Arc<Path>,
) -> Result<(), Broken> {
    let missing = |what: &str| (format!("the generator has no `{what}`"), root.span.clone());
    let hosts = root.get("hosts").ok_or_else(|| missing("hosts"))?;
    let layers = layers(root.get("layers").ok_or_else(|| missing("layers"))?)?;
    let count = layers
        .iter()
        .try_fold(1usize, |count, (_, values)| count.checked_mul(values.len()))
        .filter(|count| *count <= MOST);
    let Some(count) = count else {
        let text = format!("the layers have more than {MOST} combinations");
        return Err((text, root.span.clone()));
    };
    let maker = Maker {
        templar: Templar::new(Settings::default()),
        file,
    };
    for index in 0..count {
        let scope = combination(&layers, index);
        let name = maker.name(hosts, &scope)?;
        inventory.add_host(&name, "ungrouped", Some(file));
        maker.parents(inventory, hosts, &scope, Child::Host(&name), 0)?;
    }
    Ok(())
}

fn layers(node: &Node) -> Result<Vec<(String, Vec<Value>)>, Broken> {
    let wrong = |what: &str, node: &Node| {
        let text = format!("{what}, found {}", node.kind_name());
        (text, node.span.clone())
    };
    let NodeKind::Map(entries) = &node.kind else {
        return Err(wrong("`layers` must be a mapping of names to lists", node));
    };
    let layer = |(key, values): &(Node, Node)| match &values.kind {
        NodeKind::Seq(items) => Ok((
            yaml::scalar(key).unwrap_or_default(),
            items.iter().map(Value::from_node).collect(),
        )),
        _ => Err(wrong("a layer must be a list", values)),
    };
    entries.iter().map(layer).collect()
}

/// The values of one combination: the last layer changes fastest.
fn combination(layers: &[(String, Vec<Value>)], mut index: usize) -> HostScope {
    let mut vars = VarMap::new();
    for (name, values) in layers.iter().rev() {
        if let Some(value) = values.get(index % values.len().max(1)) {
            vars.insert(name.clone(), value.clone());
        }
        index /= values.len().max(1);
    }
    let dir = std::env::current_dir().unwrap_or_default();
    HostScope::new(vec![], dir).with(Level::Inventory, vars)
}

/// Who gets into a group.
#[derive(Clone, Copy)]
enum Child<'a> {
    Host(&'a str),
    Group(&'a str),
}

struct Maker<'a> {
    templar: Templar,
    file: &'a Arc<Path>,
}

impl Maker<'_> {
    fn text(&self, node: &Node, scope: &HostScope) -> Result<String, Broken> {
        let value = self.templar.expand(&Value::from_node(node), scope);
        value
            .map(|value| value.text())
            .map_err(|error| (error.diagnostic.message.clone(), node.span.clone()))
    }

    fn name(&self, entry: &Node, scope: &HostScope) -> Result<String, Broken> {
        match entry.get("name") {
            Some(name) => self.text(name, scope),
            None => {
                let text = format!("Element {} has no name element.", Value::from_node(entry));
                Err((text, entry.span.clone()))
            }
        }
    }

    /// Puts a child into the groups of an entry's `parents`, and these into theirs.
    fn parents(
        &self,
        inventory: &mut Inventory,
        entry: &Node,
        scope: &HostScope,
        child: Child<'_>,
        depth: usize,
    ) -> Result<(), Broken> {
        let Some(NodeKind::Seq(parents)) = entry.get("parents").map(|node| &node.kind) else {
            return Ok(());
        };
        if depth > DEPTH {
            let text = format!("`parents` are nested more than {DEPTH} deep");
            return Err((text, entry.span.clone()));
        }
        for parent in parents {
            if parent.get("name").is_none() {
                let (Child::Host(name) | Child::Group(name)) = child;
                let text = format!("Element {name} has a parent with no name.");
                return Err((text, parent.span.clone()));
            }
            let written = self.name(parent, scope)?;
            let group = inventory.group_name(&written);
            inventory.add_group(&group);
            if let Some(NodeKind::Map(vars)) = parent.get("vars").map(|node| &node.kind) {
                for (key, value) in vars {
                    let value = self.value(value, scope)?;
                    inventory.set_group_var(&group, &yaml::scalar(key).unwrap_or_default(), value);
                }
            }
            match child {
                Child::Host(name) => inventory.add_host(name, &group, Some(self.file)),
                Child::Group(name) => inventory
                    .add_child(&group, name)
                    .map_err(|message| (message, parent.span.clone()))?,
            }
            self.parents(inventory, parent, scope, Child::Group(&group), depth + 1)?;
        }
        Ok(())
    }

    /// A variable of a group: its value is known now, and no template any more.
    fn value(&self, node: &Node, scope: &HostScope) -> Result<Node, Broken> {
        match &node.kind {
            NodeKind::Str(text) if crate::template::value::has_delimiters(text) => {
                let made = self.templar.expand(&Value::from_node(node), scope);
                let made =
                    made.map_err(|error| (error.diagnostic.message.clone(), node.span.clone()))?;
                Ok(super::constructed::data_node(&made, &node.span))
            }
            _ => Ok(node.clone()),
        }
    }
}
