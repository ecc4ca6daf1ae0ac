//! Filters over dictionaries.

use super::super::args::Args;
use super::super::eval::Interp;
use super::super::fault::{Fault, Outcome};
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
                Ok(super::super::eval::missing(a.operand(), name))
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

fn combine(_interp: &Interp<'_>, args: &Args) -> Outcome {
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
    for value in &args.pos {
        spread(value, &mut all);
    }
    // Nothing to merge with is left out.
    all.iter().try_for_each(super::super::eval::defined)?;
    if let [only] = &all[..]
        && !matches!(only, Value::None)
    {
        return Ok(only.clone());
    }
    let first_pair = all.get(..2).map(<[Value]>::to_vec);
    all.retain(Value::is_true);
    if all.is_empty() {
        return Ok(Value::dict(Entries::new()));
    }
    if let [only] = &all[..] {
        if let (None, Some([first, second])) = (entries(only), first_pair.as_deref()) {
            return Err(not_dicts(first, second));
        }
        return Ok(only.clone());
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

fn spread(value: &Value, out: &mut Vec<Value>) {
    match value {
        Value::List(list) => list.to_vec().iter().for_each(|item| spread(item, out)),
        other => out.push(other.clone()),
    }
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
        _ => {
            return Err(Fault::new(
                "merge_hash: 'list_merge' argument can only be equal to 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'",
            ));
        }
    })
}

fn dict2items(_interp: &Interp<'_>, args: &Args) -> Outcome {
    let (key_name, value_name) = (
        args.text(1, "key_name", "key"),
        args.text(2, "value_name", "value"),
    );
    let Some(entries) = entries(args.operand()) else {
        return Err(Fault::new(format!(
            "dict2items requires a dictionary, got {} instead.",
            python_type(args.operand())
        )));
    };
    let item = |(key, value): (Key, Value)| {
        Value::dict(
            [
                (Key::from(key_name.as_str()), key.0),
                (Key::from(value_name.as_str()), value),
            ]
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
    let entries = entries(args.operand()).ok_or_else(|| {
        Fault::new(format!(
            "'{}' object has no attribute 'items'",
            args.operand().type_name()
        ))
    })?;
    if !matches!(by.as_str(), "key" | "value") {
        return Err(Fault::new(
            "You can only sort by either \"key\" or \"value\"",
        ));
    }
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
        None if !matches!(value, Value::List(_) | Value::Tuple(_)) => {
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
            if let Some(other) = &inner
                && !matches!(
                    other,
                    Value::Dict(_) | Value::Object(_) | Value::List(_) | Value::Str(_)
                )
            {
                return Err(Fault::new(format!(
                    "the key {} should point to a dictionary, got '{}': '{}' object is not subscriptable",
                    key.text(),
                    other.text(),
                    other.type_name()
                )));
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
                return Err(Fault::new(format!(
                    "the key {} should point to a list, got {}",
                    path.repr(),
                    other.repr()
                )));
            }
        }
    }
    Ok(out)
}

fn rekey(interp: &Interp<'_>, args: &Args) -> Outcome {
    let key = args.need(1, "key")?;
    let overwrite = match args.text(2, "duplicates", "error").as_str() {
        "overwrite" => true,
        "error" => false,
        other => {
            return Err(Fault::new(format!(
                "duplicates parameter to rekey_on_member has unknown value '{other}'"
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
        let Some(name) = interp.item(&item, key)? else {
            return Err(Fault::new(format!("Key {} was not found.", key.repr())));
        };
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
