//! The methods of Python's lists and dictionaries.

use std::sync::Arc;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::lazy::{defined, present};
use super::super::value::{Dict, Key, List, Value};
use super::super::{filters, ops};
use super::{bounds, index, integer, place};

/// Calls a method of a list.
pub(super) fn list(interp: &Interp<'_>, list: &Arc<List>, name: &str, args: &Args) -> Outcome {
    Ok(match name {
        "append" => {
            let value = args.operand().clone();
            list.write().push(value);
            Value::None
        }
        "extend" => {
            let items = interp.iterate(args.operand())?;
            list.write().extend(items);
            Value::None
        }
        "insert" => {
            let index = integer(args.operand())?;
            let value = args.pos.get(1).cloned().unwrap_or(Value::None);
            let mut items = list.write();
            let index = place(index, items.len());
            items.insert(index, value);
            Value::None
        }
        "pop" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let mut items = list.write();
            let length = i128::try_from(items.len()).unwrap_or(i128::MAX);
            let inside = |at: &i128| (-length..length).contains(at);
            match index(args, 0)?.or(Some(-1)).filter(inside) {
                Some(at) => {
                    let at = place(at, items.len());
                    items.remove(at)
                }
                None if items.is_empty() => return Err(Fault::new("pop from empty list")),
                None => return Err(Fault::new("pop index out of range")),
            }
        }
        "remove" | "index" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let value = args.operand();
            let items = list.to_vec();
            let found = bounds(args, items.len(), false)?.and_then(|(from, to)| {
                let inside = items.get(from..to)?;
                inside
                    .iter()
                    .position(|item| item == value)
                    .map(|at| from + at)
            });
            match (found, name) {
                (Some(index), "remove") => {
                    list.write().remove(index);
                    Value::None
                }
                (Some(index), _) => Value::from(index),
                (None, "remove") => return Err(Fault::new("list.remove(x): x not in list")),
                _ => return Err(Fault::new(format!("{} is not in list", value.repr()))),
            }
        }
        "count" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let value = args.operand();
            Value::from(list.read().iter().filter(|item| *item == value).count())
        }
        "reverse" => {
            list.write().reverse();
            Value::None
        }
        "sort" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            if let Some(key) = args.named("key").filter(|key| !matches!(key, Value::None)) {
                let kind = key.type_name();
                return Err(Fault::new(match key {
                    Value::Object(_) => "rplay does not sort lists in place by a key".to_owned(),
                    _ => format!("'{kind}' object is not callable"),
                }));
            }
            let sorted =
                filters::list::sorted(list.to_vec(), args.truth(usize::MAX, "reverse", false))?;
            *list.write() = sorted;
            Value::None
        }
        "copy" => Value::List(Arc::new(List {
            items: list.to_vec().into(),
            lazy: list.lazy,
        })),
        "clear" => {
            list.write().clear();
            Value::None
        }
        _ => Value::None,
    })
}

/// Calls a method of a dictionary.
pub(super) fn dict(interp: &Interp<'_>, dict: &Arc<Dict>, name: &str, args: &Args) -> Outcome {
    let whole_dict = Value::Dict(Arc::clone(dict));
    Ok(match name {
        "get" if matches!(args.operand(), Value::List(_) | Value::Dict(_)) => {
            ops::hashable(args.operand())?;
            Value::None
        }
        "get" => match interp.item(&whole_dict, args.operand())? {
            Some(value) => value,
            None => args.get(1, "default").cloned().unwrap_or(Value::None),
        },
        "items" => {
            interp.resolve(&whole_dict)?;
            dict.read().values().try_for_each(present)?;
            Value::list(
                dict.read()
                    .iter()
                    .map(|(key, value)| Value::tuple(vec![key.0.clone(), value.clone()]))
                    .collect(),
            )
        }
        "keys" => Value::list(dict.read().keys().map(|key| key.0.clone()).collect()),
        "values" => {
            interp.resolve(&whole_dict)?;
            dict.read().values().try_for_each(present)?;
            Value::list(dict.read().values().cloned().collect())
        }
        "update" => {
            let mut added = match args.pos.first() {
                Some(given) => pairs(interp, given)?,
                None => vec![],
            };
            added.extend(
                args.kw
                    .iter()
                    .map(|(key, value)| (Key::from(key.as_str()), value.clone())),
            );
            dict.write().extend(added);
            Value::None
        }
        "pop" => {
            let key = args.operand();
            defined(key)?;
            if !matches!(key, Value::Tuple(_)) {
                ops::hashable(key)?;
            }
            let found = interp.item(&whole_dict, key)?;
            dict.write().shift_remove(&Key(key.clone()));
            match (found, args.pos.get(1)) {
                (Some(value), _) => value,
                (None, Some(default)) => default.clone(),
                (None, None) => return Err(Fault::new(key.repr())),
            }
        }
        "setdefault" => {
            let key = args.operand();
            defined(key)?;
            ops::hashable(key)?;
            match interp.item(&whole_dict, key)? {
                Some(value) => value,
                None => {
                    let value = args.pos.get(1).cloned().unwrap_or(Value::None);
                    dict.write().insert(Key(key.clone()), value.clone());
                    value
                }
            }
        }
        "copy" => Value::Dict(Arc::new(Dict {
            entries: dict.read().clone().into(),
            lazy: dict.lazy,
        })),
        "clear" => {
            dict.write().clear();
            Value::None
        }
        "popitem" => match dict.write().pop() {
            Some((key, value)) => Value::tuple(vec![key.0, value]),
            None => return Err(Fault::new("'popitem(): dictionary is empty'")),
        },
        "fromkeys" => {
            let default = args.pos.get(1).cloned().unwrap_or(Value::None);
            Value::dict(
                ops::iterate(args.operand())?
                    .into_iter()
                    .map(|key| (Key(key), default.clone()))
                    .collect(),
            )
        }
        _ => Value::None,
    })
}

/// The entries that a dictionary is made of or updated with: another one's, or pairs.
pub(in super::super) fn pairs(
    interp: &Interp<'_>,
    given: &Value,
) -> Result<Vec<(Key, Value)>, Fault> {
    if let Value::Dict(other) = given {
        let entries = other.read();
        return Ok(entries
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect());
    }
    let mut out = Vec::new();
    for (at, pair) in interp.iterate(given)?.iter().enumerate() {
        let pair = interp.iterate(pair).map_err(|_| {
            Fault::new(format!(
                "cannot convert dictionary update sequence element #{at} to a sequence"
            ))
        })?;
        let [key, value] = &pair[..] else {
            return Err(Fault::new(format!(
                "dictionary update sequence element #{at} has length {}; 2 is required",
                pair.len()
            )));
        };
        ops::hashable(key)?;
        out.push((Key(key.clone()), value.clone()));
    }
    Ok(out)
}
