//! What the lookup `kubernetes.core.k8s` asks for.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::shared::Auth;
use serde_json::{Value as Json, json};

use super::api::{Fault, Refusal};
use super::discovery::{Discovery, text};
use crate::action::address::with_query;
use crate::secrets::Secrets;

/// Asks, on a thread of its own: templates know nothing of waiting.
pub(crate) fn query(options: &Map, hidden: &Secrets) -> Result<Vec<Data>, String> {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            runtime
                .block_on(ask(options, hidden))
                .map_err(|fault| fault.msg)
        });
        work.join()
            .unwrap_or_else(|_| Err("the lookup ended unexpectedly".to_owned()))
    })
}

async fn ask(options: &Map, hidden: &Secrets) -> Result<Vec<Data>, Fault> {
    let given = |name: &str| options.get(name).filter(|value| **value != Data::Null);
    let word = |name: &str| given(name).map(Data::text);
    let mut auth = options.clone();
    for (alias, name) in [
        ("verify_ssl", "validate_certs"),
        ("ssl_ca_cert", "ca_cert"),
        ("cert_file", "client_cert"),
        ("key_file", "client_key"),
    ] {
        if let Some(value) = given(alias) {
            auth.insert(name.to_owned(), value.clone());
        }
    }
    let auth = <Auth as rplay_modules::args::Args>::from_map(&auth).map_err(Fault::new)?;
    let api = super::connect::plain(&auth, hidden).await?;
    let mut discovery = Discovery::default();
    let failed = |refusal: Refusal| refusal.about("Failed to find the kinds of the cluster");
    match word("cluster_info").as_deref() {
        None => {}
        Some("version") => {
            let version = api.get("/version").await.map_err(failed)?;
            return Ok(vec![Data::from_json(&json!({"kubernetes": version}))]);
        }
        Some("api_groups") => {
            let groups = api.get("/apis").await.map_err(failed)?;
            let names = groups["groups"].as_array().into_iter().flatten();
            let names =
                std::iter::once(String::new()).chain(names.map(|group| text(&group["name"])));
            return Ok(vec![Data::List(names.map(Data::from).collect())]);
        }
        Some(other) => {
            let text = format!("cluster_info must be `version` or `api_groups`, not `{other}`");
            return Err(Fault::new(text));
        }
    }
    let mut definition = Json::Null;
    let source = match word("src") {
        Some(path) => Some(Data::from(
            std::fs::read_to_string(&path)
                .map_err(|error| Fault::new(format!("Error accessing {path}: {error}")))?,
        )),
        None => given("resource_definition").cloned(),
    };
    if let Some(source) = source {
        let data = match source {
            Data::Str(text) => {
                let all = crate::template::yaml_documents(&text);
                let all = all.map_err(|error| {
                    Fault::new(format!("Failed to load resource definition: {error}"))
                })?;
                all.into_iter().next().unwrap_or_default()
            }
            other => other,
        };
        definition = data.to_json();
    }
    let or = |own: &Json, name: &str| own.as_str().map(str::to_owned).or_else(|| word(name));
    let kind = or(&definition["kind"], "kind");
    let kind = kind.ok_or_else(|| {
        Fault::new("Error: no Kind specified. Use the 'kind' parameter, or provide an object YAML configuration using the 'resource_definition' parameter.")
    })?;
    let version = or(&definition["apiVersion"], "api_version").unwrap_or_else(|| "v1".to_owned());
    let name = or(&definition["metadata"]["name"], "resource_name");
    let namespace = or(&definition["metadata"]["namespace"], "namespace");
    let resource = discovery.find(&api, &version, &kind).await?;
    let mut parts = vec![];
    for (option, part) in [
        ("label_selector", "labelSelector"),
        ("field_selector", "fieldSelector"),
    ] {
        if let (None, Some(selector)) = (&name, given(option)) {
            parts.push((
                part,
                match selector {
                    Data::List(items) => items.iter().map(Data::text).collect::<Vec<_>>().join(","),
                    one => one.text(),
                },
            ));
        }
    }
    let path = with_query(
        &resource.path(namespace.as_deref(), name.as_deref()),
        &parts,
    );
    let answer = match api.get(&path).await {
        Ok(answer) => answer,
        Err(Refusal::Answer(404, _)) => return Ok(vec![]),
        Err(refusal) => return Err(refusal.about("Failed to retrieve requested object")),
    };
    let Some(items) = answer["items"].as_array() else {
        return Ok(vec![Data::from_json(&answer)]);
    };
    Ok(items
        .iter()
        .map(|item| {
            let mut object = serde_json::Map::new();
            object.insert("apiVersion".to_owned(), resource.version.clone().into());
            object.insert("kind".to_owned(), resource.kind.clone().into());
            object.extend(item.as_object().cloned().unwrap_or_default());
            Data::from_json(&Json::Object(object))
        })
        .collect())
}
