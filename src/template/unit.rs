//! The table of expressions recorded from Ansible, run against ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::value::{Entries, Key, Value};
use super::{Scope, Settings, Templar};

struct Table(Entries);

impl Scope for Table {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().map(|key| key.0.text()).collect()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        vec![]
    }
    fn basedir(&self) -> PathBuf {
        folder()
    }
}

fn folder() -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    Path::new(root).join("tests/templates")
}

/// JSON as a user's variables: strings are templates.
fn variable(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.to_string().parse() {
            Ok(whole) => Value::Int(whole),
            Err(_) => Value::Float(number.as_f64().unwrap_or(0.0)),
        },
        Json::String(text) => Value::template(text.as_str(), None),
        Json::Array(items) => {
            let items: Vec<Value> = items.iter().map(variable).collect();
            let lazy = items.iter().any(Value::may_hold_template);
            Value::List(Arc::new(super::value::List {
                items: items.into(),
                lazy,
            }))
        }
        Json::Object(map) => {
            let entries: Entries = map
                .iter()
                .map(|(key, value)| (Key::from(key.as_str()), variable(value)))
                .collect();
            let lazy = entries.values().any(Value::may_hold_template);
            Value::Dict(Arc::new(super::value::Dict {
                entries: entries.into(),
                lazy,
            }))
        }
    }
}

#[test]
fn expressions_give_what_ansible_gives() {
    let text = std::fs::read_to_string(folder().join("expressions.json")).unwrap();
    let table: Json = serde_json::from_str(&text).unwrap();
    let Value::Dict(vars) = variable(&table["variables"]) else {
        panic!("variables are a mapping")
    };
    let scope = Table(vars.read().clone());
    let templar = Templar::new(Settings::default());
    let known = std::fs::read_to_string(folder().join("differences.txt")).unwrap();
    let known: Vec<&str> = known.split("\n%%\n").map(str::trim).collect();
    let (mut failures, mut total) = (vec![], 0);
    for case in table["cases"].as_array().unwrap() {
        let template = case["template"].as_str().unwrap();
        let ours = templar.expand(&Value::template(template, None), &scope);
        let (ours, expected) = match (&ours, case.get("error")) {
            (Ok(value), None) => (value.repr(), case["result"].as_str().unwrap().to_owned()),
            (Err(error), Some(expected)) => {
                (error.to_string(), expected.as_str().unwrap().to_owned())
            }
            (Ok(value), Some(expected)) => (value.repr(), format!("error: {expected}")),
            (Err(error), None) => (
                format!("error: {error}"),
                case["result"].as_str().unwrap().to_owned(),
            ),
        };
        total += 1;
        if ours != expected && !known.contains(&template) {
            failures.push(format!(
                "{template}\n  ours:    {ours}\n  ansible: {expected}"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {total} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
