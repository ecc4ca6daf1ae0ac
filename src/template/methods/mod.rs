//! Python's methods of text, lists, dictionaries and numbers.

mod arity;
mod containers;
mod number;
mod text;

use std::sync::Arc;

use super::args::{Args, whole};
use super::fault::{Fault, Outcome};
use super::interp::Interp;
use super::value::{List, Value};

pub(in crate::template) use containers::pairs;
pub(crate) use number::part;
pub(crate) use text::{lines, split};

const CHANGING: &[&str] = &[
    ".append(",
    ".extend(",
    ".insert(",
    ".pop(",
    ".remove(",
    ".reverse(",
    ".sort(",
    ".clear(",
    ".update(",
    ".setdefault(",
    ".popitem(",
];

/// Whether a template's text calls a method that changes its receiver.
pub(crate) fn mutates(text: &str) -> bool {
    text.contains('.') && CHANGING.iter().any(|call| text.contains(call))
}

/// Whether a value has a method of that name.
pub(crate) fn exists(value: &Value, name: &str) -> bool {
    arity::of(value, name).is_some()
}

/// Calls a method.
pub(crate) fn call(interp: &Interp<'_>, receiver: &Value, name: &str, args: &Args) -> Outcome {
    let keeps = matches!(
        (receiver, name),
        (Value::List(_), "append") | (Value::Dict(_), "setdefault" | "pop")
    );
    if let Some(undefined) = args.undefined().filter(|_| !keeps) {
        return Err(Fault::undefined(undefined));
    }
    let Some(arity) = arity::of(receiver, name) else {
        return Err(Fault::new(format!(
            "'{}' object has no attribute '{name}'",
            receiver.type_name()
        )));
    };
    arity.check(receiver, name, args)?;
    match receiver {
        Value::Str(string) => text::call(interp, string.as_str(), name, args),
        Value::List(items) => containers::list(interp, items, name, args),
        Value::Dict(entries) => containers::dict(interp, entries, name, args),
        Value::Tuple(items) => {
            let list = Arc::new(List {
                items: items.to_vec().into(),
                lazy: false,
            });
            let found = containers::list(interp, &list, name, args);
            let absent = |fault: Fault| match fault.message().ends_with("is not in list") {
                true => Fault::new("tuple.index(x): x not in tuple"),
                false => fault,
            };
            if name == "index" {
                found.map_err(absent)
            } else {
                found
            }
        }
        Value::Object(object) => {
            let Some(entries) = object.to_dict() else {
                return Ok(Value::None);
            };
            if name != "get" {
                return call(interp, &entries, name, args);
            }
            // A single entry does not need the whole mapping.
            Ok(match interp.item(receiver, args.operand())? {
                Some(value) => value,
                None if object.type_name() == "HostVars" && args.pos.len() == 1 => {
                    super::reach::missing(receiver, args.operand())
                }
                None => args.get(1, "default").cloned().unwrap_or(Value::None),
            })
        }
        _ => number::call(receiver, name, args),
    }
}

/// The argument at a position that is a whole number, if it is given.
fn index(args: &Args, at: usize) -> Result<Option<i128>, Fault> {
    args.pos.get(at).map(integer).transpose()
}

/// The whole number that a value is.
fn integer(value: &Value) -> Result<i128, Fault> {
    match value {
        Value::Int(_) | Value::Bool(_) => whole(value).ok_or_else(|| Fault::new("")),
        _ => Err(Fault::new(format!(
            "'{}' object cannot be interpreted as an integer",
            value.type_name()
        ))),
    }
}

/// The place that an index means, which counts from the end where it is negative.
fn place(at: i128, length: usize) -> usize {
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let at = if at < 0 {
        at.saturating_add(length)
    } else {
        at
    };
    usize::try_from(at.clamp(0, length)).unwrap_or(0)
}

/// What stands between the second and the third argument, as `start` and `end` of Python's methods do.
fn bounds(args: &Args, length: usize, null: bool) -> Result<Option<(usize, usize)>, Fault> {
    let edge = |at: usize, default: usize| match args.pos.get(at) {
        None => Ok(default),
        Some(Value::None) if null => Ok(default),
        Some(value @ (Value::Int(_) | Value::Bool(_))) => {
            // A start behind the end finds nothing, not even the empty text.
            let at = whole(value).unwrap_or(0);
            let past = usize::try_from(at).is_ok_and(|at| at > length);
            Ok(if past { length + 1 } else { place(at, length) })
        }
        Some(_) => Err(Fault::new(if null {
            "slice indices must be integers or None or have an __index__ method"
        } else {
            "slice indices must be integers or have an __index__ method"
        })),
    };
    let (from, to) = (edge(1, 0)?, edge(2, length)?.min(length));
    Ok((from <= to).then_some((from, to)))
}
