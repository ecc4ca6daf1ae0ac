//! Filters of `community.general` that keep, remove and rename keys of dictionaries in a list.

use std::sync::Arc;

use rplay_modules::regex::{Flags, Regex};

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::value::{Entries, Key, Value};
use super::dict::{entries, python_type};

super::filters! {
    "keep_keys": "dictionaries with only the keys that match" => |_, a| chosen(a, true);
    "remove_keys": "dictionaries without the keys that match" => |_, a| chosen(a, false);
    "replace_keys": "dictionaries with keys that match renamed" => |_, a| renamed(a);
}

/// How keys are compared with what is wanted.
enum Matcher {
    Equal(String),
    Start(String),
    End(String),
    Pattern(Arc<Regex>),
}

impl Matcher {
    fn fits(&self, key: &str) -> bool {
        match self {
            Matcher::Equal(text) => key == text,
            Matcher::Start(text) => key.starts_with(text.as_str()),
            Matcher::End(text) => key.ends_with(text.as_str()),
            Matcher::Pattern(pattern) => pattern.fits_start(key) == Ok(true),
        }
    }
}

fn way(args: &Args) -> Result<String, Fault> {
    let way = args.text(2, "matching_parameter", "equal");
    if ["equal", "starts_with", "ends_with", "regex"].contains(&way.as_str()) {
        return Ok(way);
    }
    Err(Fault::new(format!(
        "The matching_parameter must be one of ['equal', 'starts_with', 'ends_with', 'regex']. matching_parameter={}",
        Value::from(way).repr()
    )))
}

fn matcher(way: &str, wanted: &Value) -> Result<Matcher, Fault> {
    let text = wanted.text();
    Ok(match way {
        "equal" => Matcher::Equal(text),
        "starts_with" => Matcher::Start(text),
        "ends_with" => Matcher::End(text),
        _ => {
            let compiled = super::regex::compile(&text, Flags::default());
            Matcher::Pattern(compiled.map_err(|fault| {
                let problem = fault.message().trim_start_matches("Error rendering template: ");
                Fault::new(format!(
                    "The target must be a valid regex if matching_parameter=regex. target is {text}: {problem}"
                ))
            })?)
        }
    })
}

/// The dictionaries of the list, whose keys have to be text.
fn rows(args: &Args) -> Result<Vec<Entries>, Fault> {
    let Value::List(items) = args.operand() else {
        return Err(Fault::new(format!(
            "First argument must be a list. {} is {}",
            args.operand().repr(),
            python_type(args.operand())
        )));
    };
    let mut rows = Vec::new();
    for item in items.to_vec() {
        let Some(row) = entries(&item) else {
            return Err(Fault::new(format!(
                "The data items must be dictionaries. {} is {}",
                item.repr(),
                python_type(&item)
            )));
        };
        if row.keys().any(|Key(key)| key.as_str().is_none()) {
            let keys = row.keys().map(|Key(key)| key.clone()).collect();
            return Err(Fault::new(format!(
                "Top level keys must be strings. keys: {}",
                Value::list(keys).repr()
            )));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn chosen(args: &Args, keep: bool) -> Outcome {
    args.check(3, &["target", "matching_parameter"])?;
    let rows = rows(args)?;
    let way = way(args)?;
    let target = args.get(1, "target").unwrap_or(&Value::None);
    let wanted = match target {
        Value::Str(_) => vec![target.clone()],
        Value::List(items) => items.to_vec(),
        other => {
            return Err(Fault::new(format!(
                "The target must be a string or a list. target is {}.",
                python_type(other)
            )));
        }
    };
    if wanted.is_empty() {
        return Err(Fault::new("The target can't be empty."));
    }
    if way == "regex" && wanted.len() > 1 {
        return Err(Fault::new(
            "Single item is required in the target list if matching_parameter=regex.",
        ));
    }
    let matchers = wanted
        .iter()
        .map(|wanted| matcher(&way, wanted))
        .collect::<Result<Vec<_>, _>>()?;
    let fits = |key: &str| matchers.iter().any(|matcher| matcher.fits(key));
    let rows = rows.into_iter().map(|mut row| {
        row.retain(|Key(key), _| fits(key.as_str().unwrap_or_default()) == keep);
        Value::dict(row)
    });
    Ok(Value::list(rows.collect()))
}

fn renamed(args: &Args) -> Outcome {
    args.check(3, &["target", "matching_parameter"])?;
    let rows = rows(args)?;
    let way = way(args)?;
    let target = args.get(1, "target").unwrap_or(&Value::None);
    let Value::List(items) = target else {
        return Err(Fault::new(format!(
            "The target must be a list. target is {} of type {}.",
            target.repr(),
            python_type(target)
        )));
    };
    let mut renames = Vec::new();
    for item in items.to_vec() {
        let Some(pair) = entries(&item) else {
            return Err(Fault::new(format!(
                "The target items must be dictionaries. {} is {}",
                item.repr(),
                python_type(&item)
            )));
        };
        let (Some(before), Some(after)) = (pair.get("before"), pair.get("after")) else {
            return Err(Fault::new(
                "All dictionaries in target must include attributes: after, before.",
            ));
        };
        renames.push((matcher(&way, before)?, after.clone()));
    }
    if renames.is_empty() {
        return Err(Fault::new("The target can't be empty."));
    }
    let rows = rows.into_iter().map(|row| {
        let mut out = Entries::with_capacity(row.len());
        for (Key(key), value) in row {
            let text = key.as_str().unwrap_or_default();
            let new = renames.iter().find(|(matcher, _)| matcher.fits(text));
            let key = new.map_or_else(|| key.clone(), |(_, after)| after.clone());
            out.insert(Key(key), value);
        }
        Value::dict(out)
    });
    Ok(Value::list(rows.collect()))
}
