//! Filters over dictionaries.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::ops;
use super::super::value::{Entries, Key, Value};

super::filters! {
    "combine": "merged with others, the last one wins" => |i, a| combine(i, a);
    "dict2items": "a list of keys and values" => |i, a| dict2items(i, a);
    "items2dict": "a dictionary of keys and values" => |i, a| items2dict(i, a);
    "dictsort": "its pairs in order" => |i, a| dictsort(i, a);
    "items": "its pairs" => |i, a| Ok(match a.operand() {
        value if value.is_undefined() => Value::list(vec![]),
        value => pairs(i, value, "Can only get item pairs from a mapping.")?,
    });
    "extract": "the item of a container under it" => |i, a| extract(i, a);
    "subelements": "pairs of an item and each member of a list in it" => |i, a| Ok(Value::list(subelements(i, a.operand(), a.need(1, "subelements")?, a.truth(2, "skip_missing", false))?));
    "rekey_on_member": "under the value that each entry has there" => |i, a| rekey(i, a);
    "attr": "its attribute, never an item" => |i, a| {
        let name = a.need(1, "name")?;
        if !matches!(name, Value::Str(_)) {
            ops::hashable(name)?;
            return Err(Fault::new(format!("attribute name must be string, not '{}'", name.type_name())));
        }
        match entries(a.operand()) {
            Some(_) if !super::super::methods::exists(a.operand(), &name.text()) => {
                Ok(super::super::reach::missing(a.operand(), name))
            }
            _ => i.attr(a.operand(), &name.text()),
        }
    };
}

/// The entries of a mapping.
pub(crate) fn entries(value: &Value) -> Option<Entries> {
    match value {
        Value::Dict(dict) => Some(dict.read().clone()),
        Value::Object(object) => entries(&object.to_dict()?),
        _ => None,
    }
}

fn pairs(_interp: &Interp<'_>, value: &Value, error: &str) -> Outcome {
    let entries = entries(value).ok_or_else(|| Fault::new(error))?;
    Ok(Value::list(
        entries
            .into_iter()
            .map(|(key, value)| Value::tuple(vec![key.0, value]))
            .collect(),
    ))
}

fn not_dicts(first: &Value, second: &Value) -> Fault {
    Fault::new(format!(
        "failed to combine variables, expected dicts but got a '{}' and a '{}'.",
        first.type_name(),
        second.type_name()
    ))
}

fn combine(interp: &Interp<'_>, args: &Args) -> Outcome {
    let recursive = args.named("recursive").is_some_and(Value::is_true);
    let lists = args
        .named("list_merge")
        .map_or_else(|| "replace".to_owned(), Value::text);
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| name != "recursive" && name != "list_merge")
    {
        let _ = name;
        return Err(Fault::new(
            "'recursive' and 'list_merge' are the only valid keyword arguments",
        ));
    }
    let mut all = Vec::new();
    let terms = Value::list(args.pos.clone());
    super::list::open(interp, &terms, Some(&Value::Int(1)), true, &mut all)?;
    // Nothing to merge with is left out.
    all.iter().try_for_each(super::super::lazy::defined)?;
    if all.is_empty() {
        return Ok(Value::dict(Entries::new()));
    }
    if let [only] = &all[..] {
        return Ok(only.clone());
    }
    if !LIST_MERGES.contains(&lists.as_str()) {
        return Err(unknown_merge());
    }
    let mut result = Entries::new();
    // Ansible merges from the end, so that the last two are the first to be looked at.
    for pair in all.windows(2).rev() {
        if pair.iter().any(|value| entries(value).is_none()) {
            return Err(not_dicts(&pair[0], &pair[1]));
        }
    }
    for value in all {
        let entries = entries(&value).unwrap_or_default();
        result = merge(result, entries, recursive, &lists)?;
    }
    Ok(Value::dict(result))
}

/// What `list_merge` may be.
const LIST_MERGES: &[&str] = &[
    "replace",
    "keep",
    "append",
    "prepend",
    "append_rp",
    "prepend_rp",
];

fn unknown_merge() -> Fault {
    Fault::new(
        "merge_hash: 'list_merge' argument can only be equal to 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'",
    )
}

/// One dictionary over another.
pub(super) fn merge(
    mut into: Entries,
    from: Entries,
    recursive: bool,
    lists: &str,
) -> Result<Entries, Fault> {
    if !recursive && lists == "replace" {
        into.extend(from);
        return Ok(into);
    }
    for (key, value) in from {
        let merged = match (into.get(&key), &value) {
            (Some(Value::Dict(old)), Value::Dict(new)) if recursive => Value::dict(merge(
                old.read().clone(),
                new.read().clone(),
                recursive,
                lists,
            )?),
            (Some(Value::List(old)), Value::List(new)) => {
                Value::list(merge_lists(old.to_vec(), new.to_vec(), lists)?)
            }
            _ => value,
        };
        into.insert(key, merged);
    }
    Ok(into)
}

/// One list over another, as asked.
pub(super) fn merge_lists(
    old: Vec<Value>,
    new: Vec<Value>,
    how: &str,
) -> Result<Vec<Value>, Fault> {
    let without = |items: Vec<Value>, other: &[Value]| -> Vec<Value> {
        items
            .into_iter()
            .filter(|item| !other.contains(item))
            .collect()
    };
    Ok(match how {
        "replace" => new,
        "keep" => old,
        "append" => [old, new].concat(),
        "prepend" => [new, old].concat(),
        "append_rp" => [without(old, &new), new].concat(),
        "prepend_rp" => [new.clone(), without(old, &new)].concat(),
        _ => return Err(unknown_merge()),
    })
}

fn dict2items(_interp: &Interp<'_>, args: &Args) -> Outcome {
    let name = |index: usize, name: &str, default: &'static str| {
        let given = args.get(index, name).cloned();
        Key(given.unwrap_or_else(|| Value::str(default)))
    };
    let (key_name, value_name) = (name(1, "key_name", "key"), name(2, "value_name", "value"));
    let Some(entries) = entries(args.operand()) else {
        return Err(Fault::new(format!(
            "dict2items requires a dictionary, got {} instead.",
            python_type(args.operand())
        )));
    };
    if !entries.is_empty() {
        ops::hashable(&key_name.0)?;
        ops::hashable(&value_name.0)?;
    }
    let item = |(key, value): (Key, Value)| {
        Value::dict(
            [(key_name.clone(), key.0), (value_name.clone(), value)]
                .into_iter()
                .collect(),
        )
    };
    Ok(Value::list(entries.into_iter().map(item).collect()))
}

/// A type as Python prints it.
pub(crate) fn python_type(value: &Value) -> String {
    format!("<class '{}'>", value.type_name())
}

fn items2dict(interp: &Interp<'_>, args: &Args) -> Outcome {
    let (key_name, value_name) = (
        args.text(1, "key_name", "key"),
        args.text(2, "value_name", "value"),
    );
    if !matches!(args.operand(), Value::List(_) | Value::Tuple(_)) {
        return Err(Fault::new(format!(
            "items2dict requires a list, got {} instead.",
            python_type(args.operand())
        )));
    }
    let mut out = Entries::new();
    for item in interp.iterate(args.operand())? {
        let Some(fields) = entries(&item) else {
            return Err(Fault::new(format!(
                "items2dict requires a list of dictionaries, got {} instead.",
                args.operand().repr()
            )));
        };
        let field = |name: &str| {
            fields.get(name).cloned().ok_or_else(|| {
                Fault::new(format!(
                    "items2dict requires each dictionary in the list to contain the keys '{key_name}' and '{value_name}', got {} instead.",
                    args.operand().repr()
                ))
            })
        };
        out.insert(Key(field(&key_name)?), field(&value_name)?);
    }
    Ok(Value::dict(out))
}

fn dictsort(_interp: &Interp<'_>, args: &Args) -> Outcome {
    let (case, by, reverse) = (
        args.truth(1, "case_sensitive", false),
        args.text(2, "by", "key"),
        args.truth(3, "reverse", false),
    );
    if !matches!(by.as_str(), "key" | "value") {
        return Err(Fault::new(
            "You can only sort by either \"key\" or \"value\"",
        ));
    }
    let entries = entries(args.operand()).ok_or_else(|| {
        Fault::new(format!(
            "'{}' object has no attribute 'items'",
            args.operand().type_name()
        ))
    })?;
    let fold = |value: &Value| match value {
        Value::Str(text) if !case => Value::str(text.as_str().to_lowercase()),
        other => other.clone(),
    };
    let rows: Vec<(Value, Value)> = entries
        .into_iter()
        .map(|(key, value)| {
            (
                if by == "value" {
                    fold(&value)
                } else {
                    fold(&key.0)
                },
                Value::tuple(vec![key.0, value]),
            )
        })
        .collect();
    let mut less = |(a, _): &(Value, Value), (b, _): &(Value, Value)| ops::less(a, b);
    let rows = ops::sorted(rows, reverse, &mut less)?;
    Ok(Value::list(rows.into_iter().map(|(_, row)| row).collect()))
}

fn extract(interp: &Interp<'_>, args: &Args) -> Outcome {
    let mut value = interp.subscript(args.need(1, "container")?, args.operand())?;
    match args.get(2, "morekeys") {
        None | Some(Value::None) => {}
        Some(Value::List(keys)) => {
            for key in keys.to_vec() {
                value = interp.subscript(&value, &key)?;
            }
        }
        Some(key) => value = interp.subscript(&value, key)?,
    }
    Ok(value)
}

/// Pairs of an item and each member of a list in it.
pub(crate) fn subelements(
    interp: &Interp<'_>,
    value: &Value,
    path: &Value,
    skip: bool,
) -> Result<Vec<Value>, Fault> {
    let items = match entries(value) {
        Some(entries) => entries.into_values().collect(),
        None if !matches!(value, Value::List(_)) => {
            return Err(Fault::new("obj must be a list of dicts or a nested dict"));
        }
        None => interp.iterate(value)?,
    };
    let keys: Vec<Value> = match path {
        Value::Str(path) => path.as_str().split('.').map(Value::str).collect(),
        Value::List(keys) => keys.to_vec(),
        _ => return Err(Fault::new("subelements must be a list or a string")),
    };
    let mut out = Vec::new();
    for item in items {
        let mut inner = Some(item.clone());
        for key in &keys {
            if let Some(why) = inner.as_ref().and_then(|inner| unfit(inner, key)) {
                return Err(why);
            }
            inner = match inner {
                Some(inner) => interp.item(&inner, key)?,
                None => None,
            };
            if inner.is_none() && !skip {
                return Err(Fault::new(format!(
                    "could not find {} key in iterated item {}",
                    key.repr(),
                    item.repr()
                )));
            }
        }
        match inner {
            Some(inner @ Value::List(_)) => {
                interp.resolve(&inner)?;
                out.extend(
                    interp
                        .iterate(&inner)?
                        .into_iter()
                        .map(|member| Value::tuple(vec![item.clone(), member])),
                );
            }
            None => {}
            Some(other) => {
                let key = keys.last().unwrap_or(path);
                return Err(Fault::new(format!(
                    "the key {} should point to a list, got {}",
                    key.repr(),
                    other.repr()
                )));
            }
        }
    }
    Ok(out)
}

/// Why a value has nothing under a key, if it is not that the key is missing.
fn unfit(value: &Value, key: &Value) -> Option<Fault> {
    let why = match (value, key) {
        (Value::Dict(_) | Value::Object(_), _) => return None,
        (Value::Str(_) | Value::List(_), Value::Int(_) | Value::Bool(_)) => {
            let at = super::super::args::whole(key)?;
            let length = i128::try_from(ops::length(value).ok()?).ok()?;
            if (-length..length).contains(&at) {
                return None;
            }
            let kind = match value {
                Value::Str(_) => "string",
                _ => "list",
            };
            return Some(Fault::new(format!("{kind} index out of range")));
        }
        (Value::Str(_), _) => {
            format!("string indices must be integers, not '{}'", key.type_name())
        }
        (Value::List(_), _) => format!(
            "list indices must be integers or slices, not {}",
            key.type_name()
        ),
        _ => format!("'{}' object is not subscriptable", value.type_name()),
    };
    Some(Fault::new(format!(
        "the key {} should point to a dictionary, got '{}': {why}",
        key.text(),
        value.text()
    )))
}

fn rekey(interp: &Interp<'_>, args: &Args) -> Outcome {
    let key = args.need(1, "key")?;
    let overwrite = match args.get(2, "duplicates") {
        None => false,
        Some(how) if how.as_str() == Some("error") => false,
        Some(how) if how.as_str() == Some("overwrite") => true,
        Some(other) => {
            return Err(Fault::new(format!(
                "duplicates parameter to rekey_on_member has unknown value {}",
                other.repr()
            )));
        }
    };
    let items = match entries(args.operand()) {
        Some(entries) => entries.into_values().collect(),
        None if !matches!(args.operand(), Value::List(_) | Value::Tuple(_)) => {
            return Err(Fault::new("Type is not a valid list, set, or dict"));
        }
        None => interp.iterate(args.operand())?,
    };
    let mut out = Entries::new();
    for item in items {
        if entries(&item).is_none() {
            return Err(Fault::new("List item is not a valid dict"));
        }
        ops::hashable(key)?;
        let Some(name) = interp.item(&item, key)? else {
            return Err(Fault::new(format!("Key {} was not found.", key.repr())));
        };
        ops::hashable(&name)?;
        if out.contains_key(&Key(name.clone())) && !overwrite {
            return Err(Fault::new(format!(
                "Key {} is not unique, cannot convert to dict.",
                name.repr()
            )));
        }
        out.insert(Key(name), item);
    }
    Ok(Value::dict(out))
}
