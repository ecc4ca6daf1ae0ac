//! TOML read, and written as the Python library `tomlkit` writes it.

use toml_edit::{Document, Item, TableLike};

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::print::float;
use super::super::value::{Entries, Key, Value};
use super::dict::{entries, python_type};

super::filters! {
    "from_toml": "the value that TOML text writes" => |_, a| read(a);
    "to_toml": "as TOML" => |_, a| write(a);
}

fn read(args: &Args) -> Outcome {
    args.check(1, &[])?;
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new("from_toml only accepts strings."));
    };
    let document =
        Document::parse(text.as_str()).map_err(|error| error.message().trim().to_owned())?;
    Ok(table(document.as_table()))
}

fn table(table: &dyn TableLike) -> Value {
    let entry = |(name, item): (&str, &Item)| (Key::from(name), of_item(item));
    Value::dict(table.iter().map(entry).collect())
}

fn of_item(item: &Item) -> Value {
    match item {
        Item::None => Value::None,
        Item::Value(value) => of_value(value),
        Item::Table(inner) => table(inner),
        Item::ArrayOfTables(tables) => {
            Value::list(tables.iter().map(|inner| table(inner)).collect())
        }
    }
}

fn of_value(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::str(text.value().as_str()),
        toml_edit::Value::Integer(number) => Value::Int((*number.value()).into()),
        toml_edit::Value::Float(number) => Value::Float(*number.value()),
        toml_edit::Value::Boolean(truth) => Value::Bool(*truth.value()),
        toml_edit::Value::Datetime(time) => {
            let text = time.value().to_string();
            super::timestamp(&text).unwrap_or_else(|| Value::str(text))
        }
        toml_edit::Value::Array(items) => Value::list(items.iter().map(of_value).collect()),
        toml_edit::Value::InlineTable(inner) => table(inner),
    }
}

fn write(args: &Args) -> Outcome {
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| name != "redact_sensitive_values")
    {
        return Err(Fault::new(format!(
            "to_toml() got an unexpected keyword argument '{name}'"
        )));
    }
    args.check(1, &["redact_sensitive_values"])?;
    if args.truth(usize::MAX, "redact_sensitive_values", false) {
        return Err(Fault::new(
            "rplay does not have `redact_sensitive_values` of to_toml",
        ));
    }
    let Some(entries) = entries(args.operand()) else {
        return Err(Fault::new("to_toml only accepts dictionaries."));
    };
    let mut out = Writer::default();
    out.body(&entries, "")?;
    Ok(Value::from(out.text))
}

#[derive(Default)]
struct Writer {
    text: String,
    /// Whether the last line begins an item of a list of tables, after which no line is left empty.
    item: bool,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
        self.item = false;
    }

    fn heading(&mut self, line: &str) {
        if !self.text.is_empty() && !self.item {
            self.text.push('\n');
        }
        self.line(line);
    }

    /// What stands in a table: plain values, then the tables.
    fn body(&mut self, entries: &Entries, name: &str) -> Result<(), Fault> {
        let full = |key: &str| match name {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        };
        for (key, value) in entries.iter().filter(|(_, value)| tables(value).is_none()) {
            let line = format!("{} = {}", written_key(key), literal(value)?);
            self.line(&line);
        }
        for (key, value) in entries {
            let Some((tables, listed)) = tables(value) else {
                continue;
            };
            let name = full(&written_key(key));
            for inner in &tables {
                if listed {
                    self.heading(&format!("[[{name}]]"));
                    self.item = true;
                } else if inner.is_empty()
                    || inner.values().any(|value| self::tables(value).is_none())
                {
                    self.heading(&format!("[{name}]"));
                }
                super::super::deep(|| self.body(inner, &name))?;
            }
        }
        Ok(())
    }
}

/// The tables that a value is written as, and whether they are the items of a list.
fn tables(value: &Value) -> Option<(Vec<Entries>, bool)> {
    match value {
        Value::List(list) => {
            let items: Option<Vec<Entries>> = list.read().iter().map(entries).collect();
            Some((items.filter(|items| !items.is_empty())?, true))
        }
        other => Some((vec![entries(other)?], false)),
    }
}

fn literal(value: &Value) -> Result<String, Fault> {
    let joined = |items: &[Value]| {
        let items = items
            .iter()
            .map(|item| super::super::deep(|| literal(item)));
        let items: Result<Vec<String>, Fault> = items.collect();
        Ok::<_, Fault>(format!("[{}]", items?.join(", ")))
    };
    Ok(match value {
        Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Str(text) => quoted(text.as_str(), false),
        Value::List(list) => joined(&list.to_vec())?,
        Value::Tuple(items) => joined(items)?,
        Value::Object(object) if object.attr("isoformat").is_some() => {
            object.text().replacen(' ', "T", 1)
        }
        other => match entries(other) {
            Some(entries) => {
                let pairs = entries
                    .iter()
                    .map(|(key, value)| Ok(format!("{} = {}", written_key(key), literal(value)?)));
                let pairs: Result<Vec<String>, Fault> = pairs.collect();
                format!("{{{}}}", pairs?.join(", "))
            }
            None => {
                return Err(Fault::new(format!(
                    "Unable to convert an object of {} to a TOML item",
                    python_type(other)
                )));
            }
        },
    })
}

fn written_key(key: &Key) -> String {
    let text = key.0.text();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !text.is_empty() && text.chars().all(bare) {
        true => text,
        false => quoted(&text, false),
    }
}

/// A text in quotation marks. Tabs may stand in it as they are.
pub(crate) fn quoted(text: &str, tabs: bool) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' if !tabs => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c != '\t' && c < ' ' || c == '\u{7f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
