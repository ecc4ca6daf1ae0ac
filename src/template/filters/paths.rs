//! Filters of `ansible.utils` that find values in nested data, which are lookups as well.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::tests;
use super::super::value::{Entries, Key, Value};

super::filters! {
    "get_path": "the value at a path in it" => |i, a| get_path(i, a);
    "to_paths": "each value in it under its path" => |i, a| to_paths(i, a);
    "index_of": "the places of the items that pass a test" => |i, a| index_of(i, a);
}

fn listed(value: Value, args: &Args) -> Value {
    if args.named("wantlist").is_some_and(Value::is_true) {
        Value::list(vec![value])
    } else {
        value
    }
}

/// A path is what would follow a name in a template.
pub(in super::super) fn get_path(interp: &Interp<'_>, args: &Args) -> Outcome {
    let Some(path) = args.get(1, "path") else {
        return Err(Fault::new("['missing required arguments: path']"));
    };
    let path = path.text();
    let path = path.trim();
    let mark = if path.starts_with('[') { "" } else { "." };
    let value = interp.inside(args.operand(), &format!("{mark}{path}"))?;
    match value {
        Value::Undefined(undefined) => Err(Fault::undefined(&undefined)),
        value => Ok(listed(value, args)),
    }
}

pub(in super::super) fn to_paths(_: &Interp<'_>, args: &Args) -> Outcome {
    let mut out = Entries::new();
    let start = match args.get(1, "prepend") {
        None | Some(Value::None) => Value::str(""),
        Some(start) => start.clone(),
    };
    spread(args.operand(), start, &mut out)?;
    Ok(listed(Value::dict(out), args))
}

fn spread(value: &Value, path: Value, out: &mut Entries) -> Result<(), Fault> {
    let start = path.text();
    match value {
        Value::Dict(dict) if !dict.read().is_empty() => {
            for (key, value) in dict.read().clone() {
                let next = match &key.0 {
                    Value::Str(name) if is_name(name.as_str()) => {
                        Value::from(if start.is_empty() {
                            name.as_str().to_owned()
                        } else {
                            format!("{start}.{}", name.as_str())
                        })
                    }
                    key if start.is_empty() => key.clone(),
                    key => Value::from(format!("{start}[{}]", key.repr())),
                };
                super::super::deep(|| spread(&value, next, out))?;
            }
        }
        Value::List(list) if !list.read().is_empty() => {
            for (at, value) in list.to_vec().iter().enumerate() {
                let next = Value::from(format!("{start}[{at}]"));
                super::super::deep(|| spread(value, next, out))?;
            }
        }
        value => {
            out.insert(Key(path), value.clone());
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(in super::super) fn index_of(interp: &Interp<'_>, args: &Args) -> Outcome {
    let Some(test) = args.get(1, "test") else {
        return Err(Fault::new("['missing required arguments: test']"));
    };
    let test = test.text();
    let (negated, name) = match test.strip_prefix('!').or_else(|| test.strip_prefix("not ")) {
        Some(name) if test != "!=" => (true, name),
        _ => (false, test.as_str()),
    };
    let wanted = args.get(2, "value");
    let key = args.get(3, "key").filter(|key| !matches!(key, Value::None));
    let must = args.get(4, "fail_on_missing").is_some_and(Value::is_true);
    let failed = |why: String| Fault::new(format!("Error when using plugin 'index_of': {why}"));
    let mut places = Vec::new();
    for (at, item) in interp.iterate(args.operand())?.into_iter().enumerate() {
        let subject = match key {
            None => item,
            Some(key) => match interp.item(&item, key)? {
                Some(found) => found,
                None if must => {
                    return Err(failed(format!(
                        " and {} was not found in '{}' at [{at}]. fail_on_missing=True",
                        key.repr(),
                        item.text()
                    )));
                }
                None => continue,
            },
        };
        if tests::find(name).is_none() {
            let kind = |value: &Value| format!("'{}' (type={})", value.text(), value.type_name());
            return Err(failed(format!(
                "Error encountered when testing value {} against {} with '{test}'.  Error was: the test '{name}' was not found.",
                kind(&subject),
                kind(wanted.unwrap_or(&Value::None))
            )));
        }
        let mut pos = vec![subject];
        pos.extend(wanted.cloned());
        if tests::apply(interp, name, Args { pos, kw: vec![] })? != negated {
            places.push(Value::from(at));
        }
    }
    if places.len() == 1 && !args.named("wantlist").is_some_and(Value::is_true) {
        return Ok(places.remove(0));
    }
    Ok(Value::list(places))
}
