//! The roles on the search path that say what they take, in `meta/argument_specs.yml` or `meta/main.yml`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::page::{OptionDoc, Page, Part};
use crate::diag::Source;
use crate::load::node::{Node, NodeKind};
use crate::load::yaml;

/// Pages of all roles with specifications, by name; the first folder that has a role counts.
pub(super) fn pages(folders: &[PathBuf], entry_point: Option<&str>) -> Vec<Page> {
    let mut pages: Vec<Page> = vec![];
    for folder in folders {
        let Ok(entries) = folder.read_dir() else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if pages.iter().any(|page| page.name == name) {
                continue;
            }
            if let Some(mut page) = page(&entry.path(), &name) {
                page.parts
                    .retain(|part| entry_point.is_none_or(|wanted| wanted == part.name));
                pages.push(page);
            }
        }
    }
    pages.sort_by(|left, right| left.name.cmp(&right.name));
    pages
}

/// The roles with their entry points, as a list.
pub(super) fn list(pages: &[Page], as_json: bool) -> String {
    if as_json {
        let roles = pages.iter().map(|page| {
            let points = page.parts.iter();
            let points: serde_json::Map<_, _> = points
                .map(|part| (part.name.clone(), json!(part.doc)))
                .collect();
            (
                page.name.clone(),
                json!({ "collection": "", "entry_points": points }),
            )
        });
        return super::pretty(&serde_json::Value::Object(roles.collect()));
    }
    let mut text = String::new();
    for page in pages {
        text.push_str(&format!("{}:\n  specs:\n", page.name));
        let width = page.parts.iter().map(|part| part.name.len()).max();
        let width = width.unwrap_or_default().max(20);
        for part in &page.parts {
            text.push_str(&format!("    {:<width$}: {}\n", part.name, part.doc));
        }
    }
    text
}

fn page(role: &Path, name: &str) -> Option<Page> {
    let read = |file: &str| {
        let path = role.join("meta").join(file);
        let text = std::fs::read_to_string(&path).ok()?;
        let node = yaml::single(&Source::new(path, text)).value;
        node.get("argument_specs").cloned()
    };
    let files = [
        "argument_specs.yml",
        "argument_specs.yaml",
        "main.yml",
        "main.yaml",
    ];
    let specs = files.iter().find_map(|file| read(file))?;
    let NodeKind::Map(points) = specs.kind else {
        return None;
    };
    let parts = points.iter().map(|(point, spec)| Part {
        name: text(point),
        doc: spec.get("short_description").map(text).unwrap_or_default(),
        options: spec.get("options").map(options).unwrap_or_default(),
    });
    let mut page = Page::plain("role", name, &role.display().to_string());
    page.parts = parts.collect();
    Some(page)
}

pub(super) fn options(node: &Node) -> Vec<OptionDoc> {
    let NodeKind::Map(entries) = &node.kind else {
        return vec![];
    };
    let one = |(name, spec): &(Node, Node)| OptionDoc {
        name: text(name),
        doc: spec.get("description").map(lines).unwrap_or_default(),
        kind: spec.get("type").map_or_else(|| "str".to_owned(), text),
        elements: spec.get("elements").map(text),
        required: matches!(
            spec.get("required").map(|node| &node.kind),
            Some(NodeKind::Bool(true))
        ),
        default: spec.get("default").map(value),
        choices: spec.get("choices").map(items).unwrap_or_default(),
        aliases: spec.get("aliases").map(items).unwrap_or_default(),
        refused: None,
    };
    entries.iter().map(one).collect()
}

fn items(node: &Node) -> Vec<String> {
    match &node.kind {
        NodeKind::Seq(items) => items.iter().map(text).collect(),
        _ => vec![text(node)],
    }
}

pub(super) fn lines(node: &Node) -> String {
    items(node).join("\n")
}

/// A value as JSON has it; what JSON does not have, as text.
fn value(node: &Node) -> serde_json::Value {
    let value = crate::template::value::Value::from_node(node);
    let style = crate::template::JsonStyle {
        indent: None,
        sort: false,
        ascii: false,
        separators: None,
    };
    crate::template::json_text(&value, &style)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| json!(text(node)))
}

pub(super) fn text(node: &Node) -> String {
    crate::template::value::Value::from_node(node).to_string()
}
