//! Inventories in INI form: `[group]`, `[group:vars]`, `[group:children]`, hosts with `key=value`.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::graph::port_node;
use super::{Inventory, Vars, literal, range};
use crate::diag::{Source, Span};
use crate::load::node::Node;
use crate::ordered::{Hasher, OrderedMap};

/// What is wrong with a source, and where: the parser stops there, as Ansible does.
pub(super) type Broken = (String, Span);

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Hosts,
    Vars,
    Children,
}

/// Groups that a section or a list of children names before they are defined.
#[derive(Default)]
struct Pending {
    vars: OrderedMap<String, (Span, Vec<(String, Node)>)>,
    children: OrderedMap<String, Vec<(String, Span)>>,
}

/// Adds what a source defines.
pub(super) fn parse(
    inventory: &mut Inventory,
    source: &Arc<Source>,
    file: &Arc<Path>,
) -> Result<(), Broken> {
    let source = &source.by_lines();
    let mut pending = Pending::default();
    let (mut section, mut group) = (Section::Hosts, "ungrouped".to_owned());
    let mut at = 0;
    for raw in source.text.split_inclusive('\n') {
        let start = at + (raw.len() - raw.trim_start().len());
        at += raw.len();
        let line = raw.trim();
        let span = Span {
            source: Arc::clone(source),
            start: start as u32,
            end: (start + line.len()) as u32,
        };
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some((name, kind)) = header(line) {
            let name = inventory.group_name(name);
            section = open(inventory, &mut pending, &name, kind, &span)
                .map_err(|message| (message, span))?;
            group = name;
        } else if line.starts_with('[') && line.ends_with(']') {
            let message = format!(
                "Invalid section entry: '{line}'. Please make sure that there are no spaces in the section entry, \
                 and that there are no other invalid characters"
            );
            return Err((message, span));
        } else {
            let done = match section {
                Section::Hosts => host_line(inventory, &group, line, &span, file),
                Section::Vars => vars_line(inventory, &mut pending, &group, line, &span),
                Section::Children => child_line(inventory, &mut pending, &group, line, &span),
            };
            done.map_err(|message| (message, span))?;
        }
    }
    finish(pending)
}

/// `[name]` or `[name:kind]`, perhaps with a comment.
pub(super) fn header(line: &str) -> Option<(&str, Option<&str>)> {
    let (inside, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim();
    let (name, kind) = match inside.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (inside, None),
    };
    let fits = !name.is_empty()
        && !name.contains(char::is_whitespace)
        && (after.is_empty() || after.starts_with('#'));
    let word =
        |kind: &str| !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '_');
    (fits && kind.is_none_or(word)).then_some((name, kind))
}

fn open(
    inventory: &mut Inventory,
    pending: &mut Pending,
    name: &str,
    kind: Option<&str>,
    span: &Span,
) -> Result<Section, String> {
    let section = match kind {
        None | Some("hosts") => Section::Hosts,
        Some("vars") => Section::Vars,
        Some("children") => Section::Children,
        Some(kind) => return Err(format!("Section [{name}:{kind}] has unknown type: {kind}")),
    };
    if section == Section::Vars {
        if !inventory.groups.contains_key(name) {
            pending
                .vars
                .entry(name.to_owned())
                .or_insert_with(|| (span.clone(), vec![]));
        }
    } else {
        inventory.add_group(name);
        for (key, value) in pending
            .vars
            .shift_remove(name)
            .map(|(_, vars)| vars)
            .unwrap_or_default()
        {
            inventory.set_group_var(name, &key, value);
        }
        for (parent, _) in pending.children.shift_remove(name).unwrap_or_default() {
            inventory.add_child(&parent, name)?;
        }
    }
    Ok(section)
}

fn host_line(
    inventory: &mut Inventory,
    group: &str,
    line: &str,
    span: &Span,
    file: &Arc<Path>,
) -> Result<(), String> {
    let words = words(line)
        .map_err(|problem| format!("Error parsing host definition '{line}': {problem}"))?;
    let Some((first, rest)) = words.split_first() else {
        return Ok(());
    };
    let expanded = range::expand(&first.text)?;
    let mut vars = Vars::with_capacity_and_hasher(
        rest.len() + usize::from(expanded.port.is_some()),
        Hasher::default(),
    );
    if let Some(port) = expanded.port {
        vars.insert("ansible_port".to_owned(), port_node(port, span));
    }
    for word in rest {
        let Some((key, value)) = word.text.split_once('=') else {
            return Err(format!(
                "Expected key=value host variable assignment, got: {}",
                word.text
            ));
        };
        let raw = &line[word.start..word.end];
        let before = match word.text {
            Cow::Borrowed(_) => key.len(),
            Cow::Owned(_) => raw.find('=').unwrap_or(0),
        };
        let start = span.start + (word.start + before + 1) as u32;
        let place = Span {
            source: Arc::clone(&span.source),
            start,
            end: span.start + word.end as u32,
        };
        vars.insert(key.to_owned(), literal::value(value, &place));
    }
    let vars = Arc::new(vars);
    for name in &expanded.names {
        inventory.add_host(name, group, Some(file));
        inventory.set_host_vars(name, &vars);
    }
    Ok(())
}

fn vars_line(
    inventory: &mut Inventory,
    pending: &mut Pending,
    group: &str,
    line: &str,
    span: &Span,
) -> Result<(), String> {
    let Some((key, value)) = line.split_once('=') else {
        return Err(format!("Expected key=value, got: {line}"));
    };
    let text = value.trim();
    let start = span.end - value.trim_start().len() as u32;
    let place = Span {
        source: Arc::clone(&span.source),
        start,
        end: span.end,
    };
    let (key, value) = (key.trim(), literal::value(text, &place));
    match pending.vars.get_mut(group) {
        Some((_, vars)) => vars.push((key.to_owned(), value)),
        None => inventory.set_group_var(group, key, value),
    }
    Ok(())
}

fn child_line(
    inventory: &mut Inventory,
    pending: &mut Pending,
    group: &str,
    line: &str,
    span: &Span,
) -> Result<(), String> {
    let (name, comment) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let comment = comment.trim_start();
    if name.contains([':', ']']) || !(comment.is_empty() || comment.starts_with('#')) {
        return Err(format!("Expected group name, got: {line}"));
    }
    let name = inventory.group_name(name.split('#').next().unwrap_or(name));
    if inventory.groups.contains_key(&name) {
        return inventory.add_child(group, &name);
    }
    pending
        .children
        .entry(name)
        .or_default()
        .push((group.to_owned(), span.clone()));
    Ok(())
}

fn finish(pending: Pending) -> Result<(), Broken> {
    if let Some((name, parents)) = pending.children.into_iter().next() {
        let (parent, span) = &parents[0];
        return Err((
            format!("Section [{parent}:children] includes undefined group: {name}"),
            span.clone(),
        ));
    }
    if let Some((name, (span, _))) = pending.vars.into_iter().next() {
        return Err((
            format!("Section [{name}:vars] not valid for undefined group '{name}'."),
            span,
        ));
    }
    Ok(())
}

/// A word of a host line: its text without quotes, and its place in the line.
#[derive(Debug, PartialEq)]
struct Word<'a> {
    text: Cow<'a, str>,
    start: usize,
    end: usize,
}

/// Splits a line as a POSIX shell does; `#` begins a comment, inside of a word too.
fn words(line: &str) -> Result<Vec<Word<'_>>, &'static str> {
    let special = |byte| matches!(byte, b'#' | b'\\' | b'\'' | b'"');
    if !line.bytes().any(special) {
        return Ok(plain_words(line));
    }
    let mut words = vec![];
    let mut current: Option<(String, usize, usize)> = None;
    let word = |(text, start, end)| Word {
        text: Cow::Owned(text),
        start,
        end,
    };
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '#' {
            break;
        }
        if c.is_ascii_whitespace() {
            words.extend(current.take().map(word));
            continue;
        }
        let (text, _, end) = current.get_or_insert_with(|| (String::new(), at, at));
        *end = match c {
            '\\' => {
                let (at, escaped) = chars.next().ok_or("No escaped character")?;
                text.push(escaped);
                at + escaped.len_utf8()
            }
            '\'' | '"' => quoted(&mut chars, c, text)?,
            _ => {
                text.push(c);
                at + c.len_utf8()
            }
        };
    }
    words.extend(current.map(word));
    Ok(words)
}

/// The words of a line in which nothing is quoted: most lines of an inventory.
fn plain_words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::with_capacity(4);
    let mut start = 0;
    for (end, byte) in line.bytes().chain([b' ']).enumerate() {
        if byte.is_ascii_whitespace() {
            if start < end {
                words.push(Word {
                    text: Cow::Borrowed(&line[start..end]),
                    start,
                    end,
                });
            }
            start = end + 1;
        }
    }
    words
}

/// Reads up to the closing quote and returns the place after it.
fn quoted(
    chars: &mut std::str::CharIndices<'_>,
    quote: char,
    text: &mut String,
) -> Result<usize, &'static str> {
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok(at + 1);
        }
        if c == '\\' && quote == '"' {
            let (_, escaped) = chars.next().ok_or("No escaped character")?;
            if escaped != '"' && escaped != '\\' {
                text.push('\\');
            }
            text.push(escaped);
        } else {
            text.push(c);
        }
    }
    Err("No closing quotation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_as_a_shell_splits_them() {
        let texts = |line: &str| {
            words(line).map(|words| {
                words
                    .into_iter()
                    .map(|word| word.text.into_owned())
                    .collect::<Vec<_>>()
            })
        };
        for (line, expected) in [
            ("h0 j=foo#bar k=yes", vec!["h0", "j=foo"]),
            (
                "h a=\"x\\\"y\" b=x\\ y c='a\\b' d=\"a\\b\"",
                vec!["h", "a=x\"y", "b=x y", "c=a\\b", "d=a\\b"],
            ),
            ("h p=\"a # b\" # comment", vec!["h", "p=a # b"]),
            ("h k5='it''s' a=", vec!["h", "k5=its", "a="]),
        ] {
            assert_eq!(texts(line).unwrap(), expected, "{line}");
        }
        assert_eq!(texts("h a=\\"), Err("No escaped character"));
        assert_eq!(texts("h a=\"x"), Err("No closing quotation"));
    }
}
