//! Inventories in TOML form: a table for each group with `hosts`, `children` and `vars`.

use std::path::Path;
use std::sync::Arc;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::ini::Broken;
use super::{Inventory, yaml};
use crate::diag::{Diagnostic, Source, Span};
use crate::load::node::{Node, NodeKind};

/// Adds what a source defines.
pub(super) fn parse(
    inventory: &mut Inventory,
    source: &Arc<Source>,
    file: &Arc<Path>,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), Broken> {
    let document = Document::parse(source.text.as_str()).map_err(|error| {
        let text = format!(
            "TOML file '{}' is invalid: {}",
            file.display(),
            error.message()
        );
        (text, place(source, error.span()))
    })?;
    let mut groups = entries(source, document.as_table() as &dyn TableLike);
    for (name, group) in &mut groups {
        check(name, group)?;
    }
    yaml::groups(inventory, &groups, file, problems)
}

/// `children` may be a list of names; `hosts` and `vars` are tables.
fn check(name: &Node, group: &mut Node) -> Result<(), Broken> {
    let NodeKind::Map(sections) = &mut group.kind else {
        return Ok(());
    };
    for (key, value) in sections {
        let section = key.as_str().unwrap_or_default();
        if section == "children"
            && let NodeKind::Seq(items) = &value.kind
        {
            let null = |item: &Node| Node {
                span: item.span.clone(),
                kind: NodeKind::Null,
            };
            let children = items.iter().map(|item| (item.clone(), null(item)));
            value.kind = NodeKind::Map(children.collect());
        }
        let wanted = ["hosts", "vars", "children"].contains(&section);
        if wanted && !matches!(value.kind, NodeKind::Map(_)) {
            let text = format!(
                "Invalid \"{section}\" entry for \"{}\" group, requires a dict, found \"{}\" instead.",
                name.as_str().unwrap_or_default(),
                value.kind_name()
            );
            return Err((text, value.span.clone()));
        }
    }
    Ok(())
}

fn place(source: &Arc<Source>, range: Option<std::ops::Range<usize>>) -> Span {
    let range = range.unwrap_or(0..0);
    Span {
        source: Arc::clone(source),
        start: range.start as u32,
        end: range.end as u32,
    }
}

fn entries(source: &Arc<Source>, table: &dyn TableLike) -> Vec<(Node, Node)> {
    let entry = |(name, item): (&str, &Item)| {
        let key = table.key(name).and_then(|key| key.span());
        let key = Node {
            span: place(source, key.or_else(|| item.span())),
            kind: NodeKind::Str(name.to_owned()),
        };
        Some((key, node(source, item)?))
    };
    table.iter().filter_map(entry).collect()
}

fn node(source: &Arc<Source>, item: &Item) -> Option<Node> {
    let span = place(source, item.span());
    let kind = match item {
        Item::None => return None,
        Item::Value(value) => return Some(value_node(source, value)),
        Item::Table(table) => NodeKind::Map(entries(source, table)),
        Item::ArrayOfTables(tables) => {
            let table = |table: &Table| Node {
                span: place(source, table.span()),
                kind: NodeKind::Map(entries(source, table)),
            };
            NodeKind::Seq(tables.iter().map(table).collect())
        }
    };
    Some(Node { span, kind })
}

fn value_node(source: &Arc<Source>, value: &Value) -> Node {
    let kind = match value {
        Value::String(text) => NodeKind::Str(text.value().clone()),
        Value::Integer(number) => NodeKind::Int((*number.value()).into()),
        Value::Float(number) => NodeKind::Float(*number.value()),
        Value::Boolean(value) => NodeKind::Bool(*value.value()),
        Value::Datetime(time) => NodeKind::Date(time.value().to_string()),
        Value::Array(items) => {
            NodeKind::Seq(items.iter().map(|item| value_node(source, item)).collect())
        }
        Value::InlineTable(table) => NodeKind::Map(entries(source, table)),
    };
    Node {
        span: place(source, value.span()),
        kind,
    }
}
