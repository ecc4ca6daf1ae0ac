//! Lookups that shape lists: `items`, `list`, `dict`, `nested`, `together`, `subelements` ...

use super::super::fault::Fault;
use super::super::filters::{self, dict, list, random};
use super::super::interp::Interp;
use super::super::limits;
use super::super::value::{Entries, Key, Value};
use super::Call;

type Results = Result<Vec<Value>, Fault>;

fn is_list(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Tuple(_))
}

/// `items`: the terms, lists opened by one level.
pub(super) fn items(interp: &Interp<'_>, call: &Call) -> Results {
    opened(interp, call.terms.clone())
}

/// `flattened`: all lists opened. The words `None` and `null` end a list, as Ansible has it.
pub(super) fn flattened(interp: &Interp<'_>, call: &Call) -> Results {
    fn open(interp: &Interp<'_>, items: &[Value], out: &mut Vec<Value>) -> Result<(), Fault> {
        for item in items {
            if matches!(item.as_str(), Some("None" | "null")) {
                break;
            }
            match is_list(item) {
                true => super::super::deep(|| open(interp, &interp.iterate(item)?, out))?,
                false => out.push(item.clone()),
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    open(interp, &call.terms, &mut out)?;
    Ok(out)
}

/// `dict`: keys and values of dictionaries.
pub(super) fn dictionary(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let Some(entries) = dict::entries(term) else {
            return Err(Fault::new(format!(
                "the 'dict' lookup plugin expects a dictionary, got '{}' of type {})",
                term.text(),
                dict::python_type(term)
            )));
        };
        interp.resolve(term)?;
        for (key, value) in entries {
            out.push(pair(key, value));
        }
    }
    Ok(out)
}

/// The items, lists among them opened by one level.
fn opened(interp: &Interp<'_>, items: Vec<Value>) -> Results {
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        match is_list(&item) {
            true => out.extend(interp.iterate(&item)?),
            false => out.push(item),
        }
    }
    Ok(out)
}

/// `nested`: all combinations.
pub(super) fn nested(interp: &Interp<'_>, call: &Call) -> Results {
    if call.terms.is_empty() {
        return Err(Fault::new(
            "with_nested requires at least one element in the nested list",
        ));
    }
    let lists = call.terms.iter().map(|term| interp.iterate(term));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    if let [only] = &lists[..] {
        let row = |item: &Value| Ok(Value::list(opened(interp, interp.iterate(item)?)?));
        return only.iter().map(row).collect();
    }
    let row = |row: Vec<Value>| Ok(Value::list(opened(interp, opened(interp, row)?)?));
    list::cross(&lists).into_iter().map(row).collect()
}

/// `cartesian`: all combinations; text is one item.
pub(super) fn cartesian(interp: &Interp<'_>, call: &Call) -> Results {
    if call.terms.is_empty() {
        return Err(Fault::new(
            "with_cartesian requires at least one element in each list",
        ));
    }
    let items = |term: &Value| match is_list(term) || matches!(term, Value::Dict(_)) {
        true => interp.iterate(term),
        false => Ok(vec![term.clone()]),
    };
    let lists = call.terms.iter().map(items);
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    let row = |row: Vec<Value>| Ok(Value::list(opened(interp, row)?));
    list::cross(&lists).into_iter().map(row).collect()
}

/// `together`: items at one place; short lists are filled with null.
pub(super) fn together(interp: &Interp<'_>, call: &Call) -> Results {
    if call.terms.is_empty() {
        return Err(Fault::new(
            "with_together requires at least one element in each list",
        ));
    }
    let lists = call.terms.iter().map(|term| interp.iterate(term));
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    let count = lists.iter().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| {
        let row = lists
            .iter()
            .map(|list| list.get(at).cloned().unwrap_or(Value::None));
        Ok(Value::list(opened(interp, row.collect())?))
    };
    (0..count).map(row).collect()
}

/// `dependent`: combinations whose parts may be computed from those before.
pub(super) fn dependent(interp: &Interp<'_>, call: &Call) -> Results {
    let mut parts: Vec<(String, Value)> = Vec::new();
    for (at, term) in call.terms.iter().enumerate() {
        let Some(entries) = dict::entries(term) else {
            return Err(Fault::new(format!(
                "Parameter {at} must be a dictionary, got {}",
                dict::python_type(term)
            )));
        };
        let mut entries = entries.into_iter();
        let (Some((key, value)), None) = (entries.next(), entries.next()) else {
            let count = dict::entries(term).map_or(0, |entries| entries.len());
            return Err(Fault::new(format!(
                "Parameter {at} must be a one-element dictionary, got {count} elements"
            )));
        };
        let name = key.0.text();
        if !matches!(value, Value::Str(_) | Value::List(_) | Value::Dict(_)) {
            return Err(Fault::new(format!(
                "Parameter '{name}' (index {at}) must have a value of type string, dictionary or list, got type {}",
                dict::python_type(&value)
            )));
        }
        if parts.iter().any(|(known, _)| *known == name) {
            return Err(Fault::new(format!(
                "The variable '{name}' appears more than once"
            )));
        }
        parts.push((name, value));
    }
    let mut out = Vec::new();
    if !parts.is_empty() {
        chosen(interp, &parts, &Entries::new(), &mut out)?;
    }
    Ok(out)
}

/// Goes on from what is chosen so far.
fn chosen(
    interp: &Interp<'_>,
    parts: &[(String, Value)],
    so_far: &Entries,
    out: &mut Vec<Value>,
) -> Result<(), Fault> {
    let Some(((name, value), rest)) = parts.split_first() else {
        out.push(Value::dict(so_far.clone()));
        limits::items(out.len())?;
        return Ok(());
    };
    let value = match value {
        Value::Str(text) => {
            let item = Value::dict(so_far.clone());
            interp.with_item(text.as_str(), &item).map_err(|fault| {
                let why = fault.inner();
                Fault::new(format!(
                    "Caught \"{why}\" while evaluating '{name}' with item == {}: {why}",
                    item.repr()
                ))
            })?
        }
        value => value.clone(),
    };
    let items = match dict::entries(&value) {
        Some(entries) => entries
            .into_iter()
            .map(|(key, value)| pair(key, value))
            .collect(),
        None if is_list(&value) || value.as_str().is_some() => interp.iterate(&value)?,
        None => {
            return Err(Fault::new(format!(
                "Did not obtain dictionary or list while evaluating '{name}' with item == {}, but {}",
                Value::dict(so_far.clone()).repr(),
                dict::python_type(&value)
            )));
        }
    };
    for item in items {
        let mut next = so_far.clone();
        next.insert(Key::from(name.as_str()), item);
        super::super::deep(|| chosen(interp, rest, &next, out))?;
    }
    Ok(())
}

/// A key and a value, as loops have them.
fn pair(key: Key, value: Value) -> Value {
    Value::dict(Entries::from([
        (Key::from("key"), key.0),
        (Key::from("value"), value),
    ]))
}

/// `indexed_items`: pairs of a place and an item.
pub(super) fn indexed(interp: &Interp<'_>, call: &Call) -> Results {
    let items = items(interp, call)?;
    Ok(items
        .into_iter()
        .enumerate()
        .map(|(at, item)| Value::list(vec![Value::from(at), item]))
        .collect())
}

/// `subelements`: pairs of an item, without the list, and each member of the list in it.
pub(super) fn subelements(interp: &Interp<'_>, call: &Call) -> Results {
    const EXPECTS: &str = "subelements lookup expects a list of two or three items,";
    let (value, path, flags) = match &call.terms[..] {
        [value, path] => (value, path, None),
        [value, path, flags] => (value, path, Some(flags)),
        _ => return Err(Fault::new(EXPECTS)),
    };
    let items: Vec<Value> = match (dict::entries(value), path) {
        (Some(entries), Value::Str(_)) => entries.into_values().collect(),
        (None, Value::Str(_)) if is_list(value) => interp.iterate(value)?,
        _ => {
            return Err(Fault::new(format!(
                "{EXPECTS} first a dict or a list, second a string pointing to the subkey"
            )));
        }
    };
    let skip = match flags {
        None | Some(Value::None) => false,
        Some(Value::Dict(flags)) => flags
            .get("skip_missing")
            .is_some_and(|value| filters::core::to_bool(&value).unwrap_or_else(|| value.is_true())),
        Some(flags) => {
            return Err(Fault::new(format!(
                "'{}' object is not iterable",
                flags.type_name()
            )));
        }
    };
    let path = path.text();
    let keys: Vec<&str> = path.split('.').collect();
    let mut out = Vec::new();
    for item in items {
        let Some(entries) = dict::entries(&item) else {
            return Err(Fault::new(format!(
                "subelements lookup expects a dictionary, got '{}'",
                item.text()
            )));
        };
        let skipped = entries.get("skipped");
        if skipped.is_some_and(|skipped| !matches!(skipped, Value::Bool(false))) {
            continue;
        }
        interp.resolve(&item)?;
        let entries = dict::entries(&item).unwrap_or(entries);
        if let Some((members, left)) = without(entries, &keys, skip)? {
            let left = Value::dict(left);
            let pairs = interp.iterate(&members)?.into_iter();
            out.extend(pairs.map(|member| Value::tuple(vec![left.clone(), member])));
        }
    }
    Ok(out)
}

/// The list at a path, and what is left of the dictionary without it.
fn without(
    mut entries: Entries,
    keys: &[&str],
    skip: bool,
) -> Result<Option<(Value, Entries)>, Fault> {
    let Some((key, rest)) = keys.split_first() else {
        return Ok(None);
    };
    let Some(value) = entries.get(*key).cloned() else {
        if skip {
            return Ok(None);
        }
        return Err(Fault::new(format!(
            "could not find '{key}' key in iterated item '{}'",
            Value::dict(entries).text()
        )));
    };
    let points = |kind: &str| {
        Err(Fault::new(format!(
            "the key {key} should point to a {kind}, got '{}'",
            value.text()
        )))
    };
    if rest.is_empty() {
        if !is_list(&value) {
            return points("list");
        }
        entries.shift_remove(*key);
        return Ok(Some((value, entries)));
    }
    let Some(inner) = dict::entries(&value) else {
        return points("dictionary");
    };
    Ok(without(inner, rest, skip)?.map(|(members, left)| {
        entries.insert(Key::from(*key), Value::dict(left));
        (members, entries)
    }))
}

/// `random_choice`: one of the terms.
pub(super) fn choice(_interp: &Interp<'_>, call: &Call) -> Results {
    let at = random::Random::new(None).below(call.terms.len() as u64);
    Ok(usize::try_from(at)
        .ok()
        .and_then(|at| call.terms.get(at).cloned())
        .into_iter()
        .collect())
}
