//! Results as text: JSON as Python writes it, and Python's `repr` for loop labels.

use std::fmt::Write as _;

use rplay_modules::data::{Data, Map};
use rplay_modules::text::{float, json_string};

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Columns of each level; none: all on one line.
    pub(crate) indent: Option<usize>,
    /// Characters beyond ASCII are written as escapes.
    pub(crate) ascii: bool,
}

/// JSON with sorted keys.
pub(crate) fn json(value: &Data, layout: Layout) -> String {
    let mut out = String::new();
    write_json(&mut out, value, layout, 0);
    out
}

/// The JSON of a mapping with sorted keys.
pub(crate) fn json_map(map: &Map, layout: Layout) -> String {
    let mut out = String::new();
    write_map(&mut out, map, layout, 0);
    out
}

fn write_json(out: &mut String, value: &Data, layout: Layout, depth: usize) {
    match value {
        Data::Null => out.push_str("null"),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Data::Float(value) if value.is_nan() => out.push_str("NaN"),
        Data::Float(value) if value.is_infinite() => out.push_str(if *value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }),
        Data::Float(value) => out.push_str(&float(*value)),
        Data::Str(text) => json_string(out, text, layout.ascii),
        Data::Bytes(bytes) => json_string(out, &String::from_utf8_lossy(bytes), layout.ascii),
        Data::List(items) if items.is_empty() => out.push_str("[]"),
        Data::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index, layout, depth + 1);
                write_json(out, item, layout, depth + 1);
            }
            new_line(out, layout, depth);
            out.push(']');
        }
        Data::Map(map) => write_map(out, map, layout, depth),
    }
}

fn write_map(out: &mut String, map: &Map, layout: Layout, depth: usize) {
    if map.is_empty() {
        out.push_str("{}");
        return;
    }
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    out.push('{');
    for (index, (key, value)) in keys.into_iter().enumerate() {
        separate(out, index, layout, depth + 1);
        json_string(out, key, layout.ascii);
        out.push_str(": ");
        write_json(out, value, layout, depth + 1);
    }
    new_line(out, layout, depth);
    out.push('}');
}

fn separate(out: &mut String, index: usize, layout: Layout, depth: usize) {
    if index > 0 {
        out.push_str(if layout.indent.is_some() { "," } else { ", " });
    }
    new_line(out, layout, depth);
}

fn new_line(out: &mut String, layout: Layout, depth: usize) {
    if let Some(indent) = layout.indent {
        out.push('\n');
        out.push_str(&" ".repeat(indent * depth));
    }
}

/// What Python's `str` makes of a value.
pub(crate) fn text(value: &Data) -> String {
    match value {
        Data::Str(text) => text.clone(),
        Data::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => repr(other),
    }
}

fn repr(value: &Data) -> String {
    match value {
        Data::Null => "None".to_owned(),
        Data::Bool(true) => "True".to_owned(),
        Data::Bool(false) => "False".to_owned(),
        Data::Int(value) => value.to_string(),
        Data::Float(value) => float(*value),
        Data::Str(text) => quote(text),
        Data::Bytes(bytes) => quote(&String::from_utf8_lossy(bytes)),
        Data::List(items) => format!(
            "[{}]",
            items.iter().map(repr).collect::<Vec<_>>().join(", ")
        ),
        Data::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{}: {}", quote(key), repr(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    rplay_modules::text::python_string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use rplay_modules::map;

    use super::*;

    #[test]
    fn json_is_as_python_writes_it() {
        let value = Data::from(
            map! { "b" => vec![Data::from(1), Data::from(2.0), Data::Null], "a" => "é\u{1}\t😀", "c" => map! {} },
        );
        let line = Layout {
            indent: None,
            ascii: false,
        };
        assert_eq!(
            json(&value, line),
            "{\"a\": \"é\\u0001\\t😀\", \"b\": [1, 2.0, null], \"c\": {}}"
        );
        let ascii = Layout {
            indent: Some(1),
            ascii: true,
        };
        assert_eq!(
            json(&Data::from(vec!["é😀"]), ascii),
            "[\n \"\\u00e9\\ud83d\\ude00\"\n]"
        );
    }

    #[test]
    fn labels_are_as_python_prints_them() {
        let value = Data::from(
            map! { "a" => "it's", "b" => vec![Data::Null, Data::from(true), Data::from(1e100)] },
        );
        assert_eq!(text(&value), "{'a': \"it's\", 'b': [None, True, 1e+100]}");
    }
}
