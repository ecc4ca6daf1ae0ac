//! The lookup `merge_variables` of `community.general`.

use rplay_modules::regex::Flags;

use super::super::fault::Fault;
use super::super::filters::dict::python_type;
use super::super::filters::regex;
use super::super::interp::Interp;
use super::super::value::{Key, Value};
use super::Call;

/// Options that are refused unless they have their default.
const REFUSED: &[(&str, &str)] = &[
    ("groups", "None"),
    ("list_transformations", "[]"),
    ("dict_merge", "deep"),
    ("list_merge", "append"),
    ("default_merge", "replace"),
    ("type_conflict_merge", "replace"),
];

/// The variables whose names match, merged in the order of their names.
pub(super) fn run(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    for (name, default) in REFUSED {
        if call
            .option(name)
            .is_some_and(|value| value.text() != *default)
        {
            return Err(Fault::new(format!(
                "rplay does not have the option `{name}`"
            )));
        }
    }
    let option = |name: &str, default: &str| {
        call.option(name)
            .map_or_else(|| default.to_owned(), Value::text)
    };
    let (kind, strict) = (
        option("pattern_type", "regex"),
        option("override", "error") == "error",
    );
    let mut names = interp.scope.names();
    names.sort();
    let mut out = Vec::new();
    for term in &call.terms {
        let Value::Str(wanted) = term else {
            return Err(Fault::new(format!(
                "Non-string type '{}' passed, only 'str' types are allowed!",
                python_type(term)
            )));
        };
        let wanted = wanted.as_str().to_owned();
        let pattern = match kind.as_str() {
            "regex" => Some(regex::compile(&wanted, Flags::default())?),
            _ => None,
        };
        let fits = |name: &str| match &pattern {
            Some(pattern) => pattern.found(name) == Ok(true),
            None if kind == "prefix" => name.starts_with(&wanted),
            None => name.ends_with(&wanted),
        };
        let mut result = call.option("initial_value").cloned().unwrap_or(Value::None);
        for name in names.iter().filter(|name| fits(name)) {
            let Some(value) = interp.variable(name)? else {
                continue;
            };
            if let Value::Undefined(undefined) = &value {
                return Err(Fault::undefined(undefined));
            }
            interp.resolve(&value)?;
            result = match result {
                Value::None => value,
                result => merged(&result, &value, name, strict)?,
            };
        }
        out.push(result);
    }
    Ok(out)
}

fn merged(old: &Value, new: &Value, path: &str, strict: bool) -> Result<Value, Fault> {
    match (old, new) {
        (Value::Dict(old), Value::Dict(new)) => {
            let mut out = old.read().clone();
            for (key, value) in new.read().clone() {
                let path = format!("{path}.{}", key.0.text());
                let value = match out.get(&key) {
                    Some(held @ (Value::Dict(_) | Value::List(_))) => {
                        merged(held, &value, &path, strict)?
                    }
                    Some(held) if strict && *held != value => {
                        return Err(overwritten(&key, held, &value, &path));
                    }
                    _ => value,
                };
                out.insert(key, value);
            }
            Ok(Value::dict(out))
        }
        (Value::List(old), Value::List(new)) => {
            Ok(Value::list([old.to_vec(), new.to_vec()].concat()))
        }
        _ if !strict => Ok(new.clone()),
        _ => Err(Fault::new(
            "Unable to merge, not all variables are of the same type",
        )),
    }
}

fn overwritten(key: &Key, held: &Value, value: &Value, path: &str) -> Fault {
    Fault::new(format!(
        "The key '{}' with value '{}' will be overwritten with value '{}' from '{path}'",
        key.0.text(),
        held.text(),
        value.text()
    ))
}
