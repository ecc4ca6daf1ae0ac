//! `append_hash`: a hash of the content behind an object's name, as `kubectl` makes it.

use rplay_modules::machine::digest::hex;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

/// Puts the hash behind the name of a `ConfigMap` or `Secret`.
pub(super) fn append(definition: &mut Json) {
    let fields: &[&str] = match definition["kind"].as_str() {
        Some("ConfigMap") => &["data", "kind", "name"],
        Some("Secret") => &["data", "kind", "name", "type"],
        _ => return,
    };
    let mut content = Map::new();
    if definition["kind"] == "ConfigMap"
        && definition["binaryData"]
            .as_object()
            .is_some_and(|data| !data.is_empty())
    {
        content.insert("binaryData".to_owned(), sorted(&definition["binaryData"]));
    }
    for field in fields {
        let value = match *field {
            "name" => definition["metadata"]["name"].clone(),
            field => definition.get(field).map_or_else(|| "".into(), sorted),
        };
        content.insert((*field).to_owned(), value);
    }
    let digest = Sha256::digest(Json::Object(content).to_string());
    // Without vowels and what looks like them, so that no word comes of it.
    let digits = hex(&digest);
    let word = digits.chars().take(10).map(|letter| match letter {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    });
    let word: String = word.collect();
    if let Some(name) = definition["metadata"]["name"].as_str() {
        definition["metadata"]["name"] = format!("{name}-{word}").into();
    }
}

fn sorted(json: &Json) -> Json {
    let Some(map) = json.as_object() else {
        return json.clone();
    };
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| key.as_str());
    let entries = entries
        .into_iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    Json::Object(entries.collect())
}
