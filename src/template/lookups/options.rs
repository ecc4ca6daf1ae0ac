//! Types of the lookups' options.

use super::super::args::whole;
use super::super::fault::Fault;
use super::super::filters::core::to_bool;
use super::super::value::Value;
use crate::config::PLUGIN_TYPES;

/// What an option takes.
#[derive(Clone, Copy)]
enum Kind {
    /// With the name of the type in messages.
    Int(&'static str),
    Float,
    Bool,
    Text,
    List,
    Dict(&'static str),
    Choice(&'static [&'static str]),
}

/// Options that are not taken as they come.
const OPTIONS: &[(&str, &str, Kind)] = &[
    (
        "config",
        "on_missing",
        Kind::Choice(&["error", "warn", "skip"]),
    ),
    ("config", "plugin_type", Kind::Choice(PLUGIN_TYPES)),
    ("config", "show_origin", Kind::Bool),
    ("csvfile", "col", Kind::Int("int")),
    ("csvfile", "keycol", Kind::Int("int")),
    ("file", "lstrip", Kind::Bool),
    ("file", "rstrip", Kind::Bool),
    ("first_found", "files", Kind::List),
    ("first_found", "paths", Kind::List),
    ("first_found", "skip", Kind::Bool),
    ("ini", "allow_no_value", Kind::Bool),
    ("ini", "allow_none", Kind::Bool),
    ("ini", "case_sensitive", Kind::Bool),
    ("ini", "interpolation", Kind::Bool),
    ("ini", "re", Kind::Bool),
    ("ini", "type", Kind::Choice(&["ini", "properties"])),
    ("password", "chars", Kind::List),
    ("password", "length", Kind::Int("integer")),
    ("password", "seed", Kind::Text),
    ("sequence", "start", Kind::Int("integer")),
    ("sequence", "end", Kind::Int("integer")),
    ("sequence", "count", Kind::Int("integer")),
    ("sequence", "stride", Kind::Int("integer")),
    ("template", "template_vars", Kind::Dict("dict")),
    ("template", "trim_blocks", Kind::Bool),
    ("url", "headers", Kind::Dict("dictionary")),
    ("url", "timeout", Kind::Float),
    (
        "url",
        "follow_redirects",
        Kind::Choice(&["urllib2", "all", "yes", "safe", "none", "no"]),
    ),
];

/// Options of a lookup in the kinds that they have; null is as good as not given.
pub(super) fn typed(
    lookup: &str,
    options: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, Fault> {
    let typed = |(name, value): (String, Value)| {
        let value = of(lookup, &name, value)?;
        Ok((name, value))
    };
    options
        .into_iter()
        .filter(|(_, value)| !matches!(value, Value::None))
        .map(typed)
        .collect()
}

/// The value of an option in the kind that it has.
pub(super) fn of(lookup: &str, name: &str, value: Value) -> Result<Value, Fault> {
    let kind = OPTIONS
        .iter()
        .find(|(of, option, _)| *of == lookup && *option == name)
        .map(|(.., kind)| *kind);
    let wrong = |kind: &str| {
        Err(Fault::new(format!(
            "Config '{name}' for '{lookup}' lookup plugin from 'Direct' has an invalid value: Invalid value provided for '{kind}': {}",
            value.repr()
        )))
    };
    Ok(match kind {
        None => value,
        Some(Kind::Bool) => Value::Bool(to_bool(&value).unwrap_or(false)),
        Some(Kind::Int(kind)) => match integer(&value) {
            Some(number) => Value::Int(number),
            None => return wrong(kind),
        },
        Some(Kind::Float) => match &value {
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => value,
            Value::Str(text) => match text.as_str().trim().parse() {
                Ok(number) => Value::Float(number),
                Err(_) => return wrong("float"),
            },
            _ => return wrong("float"),
        },
        Some(Kind::Text) => match &value {
            Value::Str(_) => value,
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => Value::from(value.text()),
            _ => return wrong("str"),
        },
        Some(Kind::List) => match &value {
            Value::List(_) | Value::Tuple(_) | Value::Str(_) => value,
            _ => return wrong("list"),
        },
        Some(Kind::Dict(kind)) => match &value {
            Value::Dict(_) => value,
            _ => return wrong(kind),
        },
        Some(Kind::Choice(choices)) => {
            let text = value.text();
            if !choices.contains(&text.as_str()) {
                return Err(Fault::new(format!(
                    "Invalid value '{text}' for config '{name}' for '{lookup}' lookup plugin."
                )));
            }
            Value::from(text)
        }
    })
}

/// The whole number that a value is or writes; `1.0` is one, too.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Float(number) if number.fract() != 0.0 => None,
        Value::Str(text) => {
            let text = text.as_str().trim();
            let (number, rest) = text.split_once('.').unwrap_or((text, ""));
            rest.bytes().all(|digit| digit == b'0').then_some(())?;
            number.parse().ok()
        }
        other => whole(other),
    }
}
