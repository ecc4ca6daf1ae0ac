//! The lookups `csvfile` and `ini`: single values out of tables on the controller.

use rplay_modules::regex::Flags;

use super::super::fault::Fault;
use super::super::filters;
use super::super::interp::Interp;
use super::super::value::Value;
use super::super::{csv, ini};
use super::{Call, coding, file, options};
use crate::load::kv;

type Results = Result<Vec<Value>, Fault>;

/// An option that the term itself gives, else the lookup.
fn option(
    lookup: &str,
    call: &Call,
    inline: &[(String, String)],
    name: &str,
) -> Result<Option<Value>, Fault> {
    match inline.iter().find(|(key, _)| key == name) {
        Some((_, text)) => options::of(lookup, name, Value::str(text.as_str())).map(Some),
        None => Ok(call.option(name).cloned()),
    }
}

/// A default: a list stands for its items.
fn defaults(value: Value) -> Vec<Value> {
    match value {
        Value::List(items) => items.to_vec(),
        value => vec![value],
    }
}

/// `csvfile`: a cell of the row that a key begins.
pub(super) fn csvfile(interp: &Interp<'_>, call: &Call) -> Results {
    let no_key = || Fault::new("Search key is required but was not found");
    let terms = match &call.terms[..] {
        [] => vec![call.option("key").cloned().ok_or_else(no_key)?],
        terms => terms.to_vec(),
    };
    let mut out = Vec::new();
    for term in terms {
        if matches!(term, Value::None) {
            return Err(no_key());
        }
        let parsed = kv::parse_kv(super::text_term(&term)?, false)
            .map_err(|problem| Fault::new(problem.to_string()))?;
        let key = parsed.free_form.ok_or_else(no_key)?;
        let inline: Vec<(String, String)> = parsed
            .options
            .into_iter()
            .map(|(name, word)| (name, word.value))
            .collect();
        const NAMES: [&str; 6] = ["col", "default", "delimiter", "encoding", "file", "keycol"];
        if let Some((name, _)) = inline
            .iter()
            .find(|(name, _)| !NAMES.contains(&name.as_str()))
        {
            return Err(Fault::new(format!("'{name}' is not a valid option")));
        }
        let given = |name: &str| option("csvfile", call, &inline, name);
        let number = |name: &str, default: i128| match given(name)? {
            Some(Value::Int(number)) => Ok::<i128, Fault>(number),
            _ => Ok(default),
        };
        let text = |name: &str, default: &str| {
            Ok::<String, Fault>(
                given(name)?.map_or_else(|| default.to_owned(), |found| found.text()),
            )
        };
        let delimiter = match given("delimiter")? {
            None => '\t',
            Some(Value::Str(text)) => match text.as_str() {
                "TAB" | "t" => '\t',
                text => only(text).ok_or("\"delimiter\" must be a 1-character string")?,
            },
            Some(other) => {
                return Err(Fault::new(format!(
                    "\"delimiter\" must be string, not {}",
                    other.type_name()
                )));
            }
        };
        let name = text("file", "ansible.csv")?;
        let path = file::find(interp, "files", &name)
            .ok_or_else(|| Fault::new(format!("csvfile: file '{name}' not found")))?;
        let content = coding::decoded(&file::bytes(interp, &path)?, &text("encoding", "utf-8")?)?;
        let style = csv::Style {
            delimiter,
            skip_blanks: false,
            strict: false,
        };
        let (column, key_column) = (number("col", 1)?, number("keycol", 0)?);
        match cell(&csv::rows(&content, style)?, &key, key_column, column)? {
            Some(found) => out.push(found),
            None => out.extend(given("default")?.map(defaults).unwrap_or_default()),
        }
    }
    Ok(out)
}

fn only(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// The cell of the first row whose key is the wanted one; columns count from the end if they are negative.
fn cell(
    rows: &[Vec<String>],
    key: &str,
    key_column: i128,
    column: i128,
) -> Result<Option<Value>, Fault> {
    let at = |row: &'_ [String], column: i128| {
        let count = i128::try_from(row.len()).unwrap_or(i128::MAX);
        let place = if column < 0 { column + count } else { column };
        let place = usize::try_from(place).ok();
        let found = place.and_then(|place| row.get(place)).cloned();
        found.ok_or_else(|| Fault::new("list index out of range"))
    };
    for row in rows.iter().filter(|row| !row.is_empty()) {
        if at(row, key_column)? == key {
            return at(row, column).map(|cell| Some(Value::from(cell)));
        }
    }
    Ok(None)
}

/// Options of `ini` that a term may set.
const INI: [&str; 10] = [
    "allow_no_value",
    "allow_none",
    "case_sensitive",
    "default",
    "encoding",
    "file",
    "interpolation",
    "re",
    "section",
    "type",
];

/// The key of a term, and its options: words go to the option before them.
fn ini_term(term: &Value) -> Result<(String, Vec<(String, String)>), Fault> {
    let text = match term {
        Value::Str(text) => text.as_str(),
        Value::List(_) | Value::Dict(_) => {
            return Err(Fault::new(format!(
                "'{}' object has no attribute 'strip'",
                term.type_name()
            )));
        }
        other => {
            return Err(Fault::new(format!(
                "argument of type '{}' is not iterable",
                other.type_name()
            )));
        }
    };
    if !text.contains('=') {
        return Ok((text.to_owned(), vec![]));
    }
    let mut parts: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let name = word.split_once('=').map(|(name, _)| name);
        let known = name.filter(|name| INI.contains(name));
        let place = known.map(|name| {
            parts
                .iter()
                .position(|part| part.split_once('=').is_some_and(|(of, _)| of == name))
        });
        match place {
            Some(None) => parts.push(word.to_owned()),
            Some(Some(at)) => parts[at] = format!("{} {word}", parts[at]),
            None => {
                if let Some(last) = parts.last_mut() {
                    *last = format!("{last} {word}").trim().to_owned();
                }
            }
        }
    }
    let key = parts.remove(0);
    if key.is_empty() {
        return Err(Fault::new(format!(
            "No key to look up was provided as first term within string inline options: {text}"
        )));
    }
    if let Some((name, _)) = key.split_once('=') {
        return Err(Fault::new(format!("'{name}' is not a valid option.")));
    }
    let mut named = Vec::new();
    for part in &parts {
        match part.split('=').collect::<Vec<_>>()[..] {
            [name, value] => named.push((name.to_owned(), value.to_owned())),
            _ => {
                let all: Vec<Value> = std::iter::once(&key)
                    .chain(&parts)
                    .map(|part| Value::str(part.as_str()))
                    .collect();
                return Err(Fault::new(format!(
                    "Could not use '{part}' from {}: too many values to unpack (expected 2)",
                    Value::list(all).repr()
                )));
            }
        }
    }
    Ok((key, named))
}

/// `ini`: values of an INI or properties file.
pub(super) fn ini(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let (key, inline) = ini_term(term)?;
        let given = |name: &str| option("ini", call, &inline, name);
        let truth = |name: &str, default: bool| {
            Ok::<bool, Fault>(given(name)?.map_or(default, |found| found.is_true()))
        };
        let text = |name: &str, default: &str| {
            Ok::<String, Fault>(
                given(name)?.map_or_else(|| default.to_owned(), |found| found.text()),
            )
        };
        let name = text("file", "ansible.ini")?;
        let path = file::find(interp, "files", &name)
            .ok_or_else(|| Fault::new(format!("ini: file '{name}' not found")))?;
        let properties = text("type", "ini")? == "properties";
        let wanted = match properties {
            true => String::new(),
            false => text("section", "global")?,
        };
        let case = truth("case_sensitive", false)?;
        let style = ini::Style {
            delimiters: &['=', ':'],
            bare: truth("allow_no_value", false)? || truth("allow_none", false)?,
            strict: true,
            fold: !case,
        };
        let content = coding::decoded(&file::bytes(interp, &path)?, &text("encoding", "utf-8")?)?;
        let sections = ini::read(&content, properties.then_some(""), &style).map_err(
            |problem| match problem.contains("option '") {
                true => Fault::new(format!("Duplicate option in '{name}': {problem}")),
                false => Fault::new(problem),
            },
        )?;
        let view = ini::View::of(&sections, &wanted, truth("interpolation", true)?)
            .ok_or_else(|| Fault::new(format!("No section '{wanted}' in '{name}'.")))?;
        if truth("re", false)? {
            let pattern = filters::regex::compile(&key, Flags::default())?;
            for (name, value) in view.entries() {
                let value = view.value(name, value)?;
                if pattern.fits_start(name) == Ok(true) {
                    out.extend(value.map(Value::from));
                }
            }
            continue;
        }
        let key = if case { key } else { key.to_lowercase() };
        match view.entries().find(|(name, _)| **name == key) {
            // A key without a value counts as none at all.
            Some((name, value)) => out.extend(view.value(name, value)?.map(Value::from)),
            None => out.extend(defaults(
                given("default")?.unwrap_or_else(|| Value::str("")),
            )),
        }
    }
    Ok(out)
}
