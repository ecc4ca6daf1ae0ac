//! Values as TOML, laid out as the Python library `tomli-w` lays them out.

use rplay_modules::text::float;

use crate::template::value::Entries;
use crate::template::{Value, toml_quoted};

/// The longest line on which a table stands inside of a list.
const INLINE: usize = 100;

/// A mapping as a document. An error names what TOML has no form for.
pub(super) fn document(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    table(&mut out, &entries(value), "", false)?;
    Ok(out)
}

fn entries(value: &Value) -> Entries {
    match value {
        Value::Dict(dict) => dict.read().clone(),
        _ => Entries::new(),
    }
}

/// One table: its plain values, then the tables in it.
fn table(out: &mut String, table_of: &Entries, name: &str, listed: bool) -> Result<(), String> {
    let (mut plain, mut tables) = (vec![], vec![]);
    for (key, value) in table_of {
        let key = self::key(&key.0.text());
        match value {
            Value::Dict(_) => tables.push((key, value.clone(), false)),
            Value::List(list) if !fits(&list.to_vec())? => {
                tables.extend(
                    list.to_vec()
                        .into_iter()
                        .map(|item| (key.clone(), item, true)),
                );
            }
            _ => plain.push((key, value)),
        }
    }
    let mut begun = false;
    if listed || !name.is_empty() && (!plain.is_empty() || tables.is_empty()) {
        begun = true;
        out.push_str(&match listed {
            true => format!("[[{name}]]\n"),
            false => format!("[{name}]\n"),
        });
    }
    for (key, value) in plain {
        begun = true;
        out.push_str(&format!("{key} = {}\n", literal(value, 0)?));
    }
    for (key, value, listed) in tables {
        if begun {
            out.push('\n');
        }
        begun = true;
        let full = match name {
            "" => key,
            name => format!("{name}.{key}"),
        };
        table(out, &entries(&value), &full, listed)?;
    }
    Ok(())
}

/// Whether a list stands on lines of its own, as opposed to a table for each item.
fn fits(items: &[Value]) -> Result<bool, String> {
    let tables = !items.is_empty() && items.iter().all(|item| matches!(item, Value::Dict(_)));
    if !tables {
        return Ok(true);
    }
    for item in items {
        let line = format!("    {},", inline(item)?);
        if line.chars().count() > INLINE || line.contains('\n') {
            return Ok(false);
        }
    }
    Ok(true)
}

fn inline(value: &Value) -> Result<String, String> {
    let entries = entries(value);
    if entries.is_empty() {
        return Ok("{}".to_owned());
    }
    let pairs = entries
        .iter()
        .map(|(name, value)| Ok(format!("{} = {}", key(&name.0.text()), literal(value, 0)?)));
    let pairs: Vec<String> = pairs.collect::<Result<_, String>>()?;
    Ok(format!("{{ {} }}", pairs.join(", ")))
}

fn literal(value: &Value, depth: usize) -> Result<String, String> {
    let none = |kind: &str| Err(format!("Object of type '{kind}' is not TOML serializable"));
    Ok(match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => float(*value).to_lowercase(),
        Value::Str(text) => toml_quoted(text.as_str(), true),
        Value::Dict(_) => inline(value)?,
        Value::List(list) => list_text(&list.to_vec(), depth)?,
        Value::Tuple(items) => list_text(items, depth)?,
        Value::Object(object) if object.attr("isoformat").is_some() => object.text(),
        other => return none(other.type_name()),
    })
}

fn list_text(items: &[Value], depth: usize) -> Result<String, String> {
    if items.is_empty() {
        return Ok("[]".to_owned());
    }
    let (inner, outer) = (" ".repeat(4 * (depth + 1)), " ".repeat(4 * depth));
    let mut text = "[\n".to_owned();
    for item in items {
        text.push_str(&format!("{inner}{},\n", literal(item, depth + 1)?));
    }
    Ok(format!("{text}{outer}]"))
}

fn key(name: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        toml_quoted(name, true)
    }
}
