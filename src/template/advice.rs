//! What may be meant by an expression that fails.

use super::value::{Dict, Undefined, Value};
use crate::diag::nearest;

/// Of shorter names every other one is near.
const LONG_ENOUGH: usize = 3;

/// What to try instead of something that a value has not.
pub(crate) fn of(undefined: &Undefined) -> Option<String> {
    let (value, key) = undefined.asked.as_ref()?;
    let Value::Str(key) = key else {
        return None;
    };
    let key = key.as_str();
    match value {
        Value::Dict(dict) => of_result(dict, key).or_else(|| near(key, value)),
        Value::Object(_) => near(key, value),
        Value::List(_) => Some(format!(
            "it is a list: `| map(attribute='{key}')` asks each of its items, `[0]` takes the first"
        )),
        _ => None,
    }
}

/// What is particular to the result of a task that was skipped or looped.
fn of_result(dict: &Dict, key: &str) -> Option<String> {
    let entries = dict.read();
    let get = |name: &str| entries.get(name).cloned();
    get("changed")?;
    if let Some(Value::List(results)) = get("results") {
        let items = results.to_vec();
        let has = |item: &Value| matches!(item, Value::Dict(item) if item.read().contains_key(key));
        return items.iter().any(has).then(|| {
            format!("the result of a loop has a list, `results`, whose items have `{key}`")
        });
    }
    let skipped = matches!(get("skipped"), Some(Value::Bool(true)));
    skipped.then(|| {
        format!("its task was skipped, so that it has no `{key}`; `is skipped` tells that")
    })
}

/// The name in a mapping that may be meant.
fn near(key: &str, value: &Value) -> Option<String> {
    if key.len() < LONG_ENOUGH {
        return None;
    }
    let names: Vec<String> = match value {
        Value::Dict(dict) => dict.read().keys().map(|name| name.0.text()).collect(),
        Value::Object(object) => object.iterate()?.iter().map(Value::text).collect(),
        _ => return None,
    };
    let near = nearest(key, names.iter().map(String::as_str))?;
    (near.len() >= LONG_ENOUGH).then(|| meant(near))
}

/// The advice to take a name that is near.
pub(super) fn meant(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// What to try instead of a condition or another bare expression that cannot be read.
pub(super) fn of_expression(text: &str) -> Option<&'static str> {
    if super::value::has_delimiters(text) {
        return Some("this is an expression already: leave out `{{` and `}}`");
    }
    let bytes = text.as_bytes();
    let alone = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let after = bytes.get(at + 1);
        !matches!(before, Some(b'=' | b'!' | b'<' | b'>')) && after != Some(&b'=')
    };
    let single = bytes
        .iter()
        .enumerate()
        .any(|(at, byte)| *byte == b'=' && alone(at));
    if single {
        return Some("`==` compares");
    }
    (text.contains("&&") || text.contains("||")).then_some("the words are `and`, `or` and `not`")
}
