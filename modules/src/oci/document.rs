//! The fields of a JSON document that somebody else has written: absent, of the right kind, or a
//! mistake that names them.

use std::collections::BTreeMap;

use crate::data::{Data, Map};

/// What was read; the error names the field.
pub(super) type Parsed<T> = std::result::Result<T, String>;

/// A field; nothing where it is absent or null.
type Field<T> = Parsed<Option<T>>;

fn field<'d>(data: &'d Data, key: &str) -> Option<&'d Data> {
    data.get(key).filter(|value| **value != Data::Null)
}

fn wrong<T>(key: &str, kind: &str) -> Parsed<T> {
    Err(format!("`{key}` is not {kind}"))
}

/// A text.
pub(super) fn text(data: &Data, key: &str) -> Field<String> {
    match field(data, key) {
        None => Ok(None),
        Some(Data::Str(text)) => Ok(Some(text.clone())),
        Some(_) => wrong(key, "a text"),
    }
}

/// A number of bytes, or a version.
pub(super) fn number(data: &Data, key: &str) -> Field<u64> {
    let Some(value) = field(data, key) else {
        return Ok(None);
    };
    let number = value.as_int().and_then(|number| number.try_into().ok());
    number.map_or_else(|| wrong(key, "a number"), |number| Ok(Some(number)))
}

/// A list.
pub(super) fn list<'d>(data: &'d Data, key: &str) -> Field<&'d [Data]> {
    match field(data, key) {
        None => Ok(None),
        Some(Data::List(items)) => Ok(Some(items)),
        Some(_) => wrong(key, "a list"),
    }
}

/// A list of texts.
pub(super) fn texts(data: &Data, key: &str) -> Field<Vec<String>> {
    let Some(items) = list(data, key)? else {
        return Ok(None);
    };
    let texts: Option<Vec<String>> = items
        .iter()
        .map(|item| item.as_str().map(str::to_owned))
        .collect();
    texts.map_or_else(|| wrong(key, "a list of texts"), |texts| Ok(Some(texts)))
}

/// Names with texts.
pub(super) fn names(data: &Data, key: &str) -> Field<BTreeMap<String, String>> {
    let Some(value) = field(data, key) else {
        return Ok(None);
    };
    let names: Option<BTreeMap<String, String>> = value.as_map().and_then(|map| {
        let entries = map.iter();
        entries
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    });
    names.map_or_else(|| wrong(key, "a mapping of texts"), |names| Ok(Some(names)))
}

/// Names with texts as a value.
pub(super) fn mapping(names: &BTreeMap<String, String>) -> Map {
    let entries = names.iter();
    entries
        .map(|(name, text)| (name.clone(), Data::from(text.as_str())))
        .collect()
}
