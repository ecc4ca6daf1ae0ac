//! Filters of `kubernetes.core`, and the hash that they share with its modules.

use rplay_modules::data::Data;
use rplay_modules::machine::digest::hex;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::value::Value;
use super::encode::{Style, json_text};

super::filters! {
    "k8s_config_resource_name": "the name that `append_hash` gives a ConfigMap or a Secret" => |_, a| name(a);
}

fn name(args: &Args) -> Outcome {
    let object = args.operand().to_data().map_err(Fault::new)?.to_json();
    let name = object["metadata"]["name"].as_str();
    let (Some(name), Some(kind)) = (name, object["kind"].as_str()) else {
        let text = "resource must have a metadata.name key to generate a resource name";
        return Err(Fault::new(text));
    };
    match hashed_name(&object) {
        Some(hashed) => Ok(Value::str(hashed)),
        None => Err(Fault::new(format!(
            "only a ConfigMap or a Secret has a name with a hash, not `{kind}` `{name}`"
        ))),
    }
}

/// The name of a `ConfigMap` or `Secret` with the hash of its content behind it, as kubernetes.core 6.6.0 makes it: of
/// the fields `data` and `type` as Python writes JSON. Others have none.
pub(crate) fn hashed_name(object: &Json) -> Option<String> {
    let fields: &[&str] = match object["kind"].as_str()? {
        "ConfigMap" => &["data", "kind"],
        "Secret" => &["data", "kind", "type"],
        _ => return None,
    };
    let name = object["metadata"]["name"].as_str()?;
    let mut content = Map::new();
    content.insert("name".to_owned(), name.into());
    for field in fields {
        let value = object.get(*field).cloned();
        content.insert((*field).to_owned(), value.unwrap_or_else(|| "".into()));
    }
    let style = Style {
        indent: None,
        sort: true,
        ascii: true,
        separators: Some((",".to_owned(), ":".to_owned())),
    };
    let content = Value::from_data(&Data::from_json(&Json::Object(content)));
    let digits = hex(&Sha256::digest(json_text(&content, &style).ok()?));
    // Without vowels and what looks like them, so that no word comes of it.
    let word = digits.chars().take(10).map(|letter| match letter {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    });
    Some(format!("{name}-{}", word.collect::<String>()))
}
