//! What objects are to be like, from all the forms in which a task may say it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rplay_modules::data::{Data, Map};
use serde_json::Value as Json;

use super::api::Fault;
use crate::action::ActionError;
use crate::action::template::rendered;
use crate::run::context::Context;
use crate::template::{FileOptions, yaml_documents};

/// What arguments say of every object, where its definition does not.
#[derive(Default)]
pub(super) struct Defaults<'a> {
    pub(super) version: &'a str,
    pub(super) kind: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) namespace: Option<&'a str>,
    pub(super) generate_name: Option<&'a str>,
}

/// What Ansible says before the reason.
const FAILED: &str = "Failed to load resource definition";

/// The objects of `resource_definition`, `src` and `template`; the one that the other arguments
/// describe where there is none.
pub(super) async fn definitions(
    context: &mut Context<'_>,
    given: Option<&Data>,
    src: Option<&str>,
    templates: Option<&Data>,
    defaults: &Defaults<'_>,
) -> Result<Vec<Json>, ActionError> {
    let mut found = vec![];
    let is_given = given.is_some() || src.is_some() || templates.is_some();
    if let Some(data) = given {
        add(&mut found, data)?;
    }
    if let Some(src) = src {
        let text = source(context, src).await?;
        add(&mut found, &Data::Str(text))?;
    }
    for one in match templates {
        Some(Data::List(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    } {
        let (path, options) = template(one)?;
        let text = rendered(context, &path, None, &options)?;
        add(&mut found, &Data::Str(text))?;
    }
    let mut all = vec![];
    for one in found {
        open(&mut all, one);
    }
    if all.is_empty() && !is_given {
        all.push(Json::Object(serde_json::Map::new()));
    }
    for one in &mut all {
        fill(one, defaults)?;
        normalise(one);
    }
    Ok(all)
}

/// Adds the objects that a value holds.
fn add(found: &mut Vec<Json>, data: &Data) -> Result<(), Fault> {
    match data {
        Data::Null => {}
        Data::Map(_) => found.push(data.to_json()),
        Data::List(items) => {
            for item in items {
                add(found, item)?;
            }
        }
        Data::Str(text) => {
            let documents = yaml_documents(text).map_err(|error| {
                let error = error.trim_start_matches("Error rendering template: ");
                Fault::new(format!("{FAILED}: {error}"))
            })?;
            for document in documents {
                match &document {
                    Data::Str(_) => {
                        let text = "the text is no mapping, but one word; is it the name of a file for `src`?";
                        return Err(Fault::new(format!("{FAILED}: {text}")));
                    }
                    other => add(found, other)?,
                }
            }
        }
        other => {
            let kind = other.type_name();
            return Err(Fault::new(format!("{FAILED}: a {kind} is no definition")));
        }
    }
    Ok(())
}

/// Opens lists of objects.
fn open(all: &mut Vec<Json>, one: Json) {
    let is_list = one["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match &one["items"] {
        Json::Array(items) if is_list => {
            for item in items.clone() {
                open(all, item);
            }
        }
        _ => all.push(one),
    }
}

/// What the definition leaves out comes from the arguments.
fn fill(one: &mut Json, defaults: &Defaults<'_>) -> Result<(), Fault> {
    let Json::Object(object) = one else {
        return Err(Fault::new(format!("{FAILED}: it is no mapping")));
    };
    let set = |object: &mut serde_json::Map<String, Json>, key: &str, value: Option<&str>| {
        if let Some(value) = value
            && object.get(key).is_none_or(Json::is_null)
        {
            object.insert(key.to_owned(), value.into());
        }
    };
    set(object, "apiVersion", Some(defaults.version));
    set(object, "kind", defaults.kind);
    if object.get("kind").is_none_or(Json::is_null) {
        let text = "the definition names no kind, and the argument `kind` is not given";
        return Err(Fault::new(text));
    }
    let metadata = object
        .entry("metadata")
        .or_insert_with(|| Json::Object(Default::default()));
    let Json::Object(metadata) = metadata else {
        return Err(Fault::new(format!("{FAILED}: `metadata` is no mapping")));
    };
    set(metadata, "name", defaults.name);
    set(metadata, "namespace", defaults.namespace);
    if metadata.get("name").is_none_or(Json::is_null) {
        set(metadata, "generateName", defaults.generate_name);
    }
    Ok(())
}

/// `stringData` is what the server makes of it, so that it can be compared.
fn normalise(one: &mut Json) {
    if one["kind"] != "Secret" {
        return;
    }
    let Some(object) = one.as_object_mut() else {
        return;
    };
    let Some(Json::Object(plain)) = object.remove("stringData") else {
        return;
    };
    let data = object
        .entry("data")
        .or_insert_with(|| Json::Object(Default::default()));
    if let Json::Object(data) = data {
        for (key, value) in plain {
            let text = match &value {
                Json::String(text) => text.clone(),
                // The server says what is wrong with it.
                _ => {
                    data.insert(key, value);
                    continue;
                }
            };
            data.insert(key, STANDARD.encode(text).into());
        }
    }
}

/// The text of `src`.
async fn source(context: &mut Context<'_>, src: &str) -> Result<String, ActionError> {
    if src.starts_with("http://") || src.starts_with("https://") {
        let url = src.to_owned();
        let read = tokio::task::spawn_blocking(move || download(&url)).await;
        let read = read.map_err(|error| Fault::new(error.to_string()))?;
        return read.map_err(|why| Fault::new(format!("Failed loading {src}: {why}")).into());
    }
    if let Some(path) = context.find_file("files", src) {
        let read = context.run.planner.files.read(&path);
        let source = read.map_err(|problem| ActionError::new(problem.to_string()))?;
        return Ok(source.text.clone());
    }
    if context.here || context.link()?.is_local() {
        return Err(context.missing_file("files", src));
    }
    let r#become = context.r#become.clone();
    let path = std::path::PathBuf::from(src);
    let read = context.link()?.fetch(r#become.as_ref(), &path).await?;
    let bytes = read.map_err(|why| Fault::new(format!("Error accessing {src}. {why}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a web server answers.
fn download(url: &str) -> Result<String, String> {
    let Some(module) = rplay_modules::registry::find("ansible.builtin.uri") else {
        return Err("no module `uri`".to_owned());
    };
    let given = rplay_modules::map! { "url" => url, "return_content" => true };
    let prepared = rplay_modules::args::prepare(module, &given);
    let prepared = prepared.map_err(|_| "the address is no address".to_owned())?;
    let mut machine = rplay_modules::machine::real::RealMachine::new();
    match (module.run)(&mut machine, &prepared.args) {
        Ok(outcome) => Ok(outcome
            .results
            .get("content")
            .map_or(String::new(), Data::text)),
        Err(failure) => Err(failure.msg),
    }
}

/// A template's path and options.
fn template(one: &Data) -> Result<(String, FileOptions), Fault> {
    let mut options = FileOptions {
        beside_last: true,
        trim_blocks: true,
        ..FileOptions::default()
    };
    let Data::Map(map) = one else {
        return Ok((one.text(), options));
    };
    let Some(path) = map.get("path").map(Data::text) else {
        return Err(Fault::new("Please specify path for template."));
    };
    for (key, value) in map {
        let text = || Some(value.text());
        match key.as_str() {
            "path" => {}
            "newline_sequence" => {
                options.newline_sequence = value.text().replace("\\r", "\r").replace("\\n", "\n");
            }
            "block_start_string" => options.block_start_string = text(),
            "block_end_string" => options.block_end_string = text(),
            "variable_start_string" => options.variable_start_string = text(),
            "variable_end_string" => options.variable_end_string = text(),
            "trim_blocks" => options.trim_blocks = value == &Data::Bool(true),
            "lstrip_blocks" => options.lstrip_blocks = value == &Data::Bool(true),
            other => {
                let text = format!("Unsupported parameters for (k8s) module: template.{other}.");
                return Err(Fault::new(text));
            }
        }
    }
    Ok((path, options))
}

/// A mapping's number, boolean or text.
pub(super) fn unknown_keys(name: &str, map: &Map, known: &[&str]) -> Result<(), Fault> {
    match map.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Fault::new(format!(
            "Unsupported parameters for {name}: {key}. Supported parameters include: {}.",
            known.join(", ")
        ))),
    }
}
