//! The lookup `collection_version` of `community.general`.

use std::path::Path;

use super::super::fault::Fault;
use super::super::interp::Interp;
use super::super::value::Value;
use super::Call;

/// The versions of collections that are installed.
pub(super) fn version(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let config = interp.templar.settings().config.as_ref();
    let folders = config.map_or_else(Vec::new, |config| config.path_list("collections_path"));
    let one = |term: &Value| {
        let Value::Str(text) = term else {
            return Err(Fault::new(format!(
                "expected string or bytes-like object, got '{}'",
                term.type_name()
            )));
        };
        let name = text.as_str();
        let Some((namespace, collection)) = full_name(name) else {
            return Err(Fault::new(format!("\"{name}\" is not a FQCN")));
        };
        let mut found = folders.iter().map(|folder| {
            let folder = match folder.ends_with("ansible_collections") {
                true => folder.clone(),
                false => folder.join("ansible_collections"),
            };
            folder.join(namespace).join(collection)
        });
        let given = |option: &str| call.option(option).cloned();
        Ok(match found.find(|folder| folder.is_dir()) {
            None => given("result_not_found").unwrap_or(Value::None),
            Some(folder) => match noted(&folder) {
                Some(version) => Value::from(version),
                None => given("result_no_version").unwrap_or_else(|| Value::str("*")),
            },
        })
    };
    call.terms.iter().map(one).collect()
}

fn full_name(name: &str) -> Option<(&str, &str)> {
    let (namespace, collection) = name.split_once('.')?;
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    (word(namespace) && word(collection)).then_some((namespace, collection))
}

/// The version in a collection's own files.
fn noted(folder: &Path) -> Option<String> {
    if let Ok(text) = std::fs::read_to_string(folder.join("MANIFEST.json")) {
        let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
        let version = manifest.get("collection_info")?.get("version")?;
        return version.as_str().map(ToOwned::to_owned);
    }
    let text = std::fs::read_to_string(folder.join("galaxy.yml")).ok()?;
    let galaxy = super::super::filters::yaml::documents(&text).ok()?;
    match galaxy.first()? {
        Value::Dict(galaxy) => galaxy.get("version")?.as_str().map(ToOwned::to_owned),
        _ => None,
    }
}
