//! What the lookup and the inventory plugin `kubernetes.core.k8s` ask for.

use rplay_modules::args::Args as _;
use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::shared::Auth;
use serde_json::{Value as Json, json};

use super::api::{Api, Fault, Refusal};
use super::discovery::{Discovery, text};
use crate::action::address::with_query;
use crate::secrets::Secrets;

/// What a lookup finds.
pub(crate) fn query(options: &Map, hidden: &Secrets) -> Result<Vec<Data>, String> {
    aside(|| ask(options, hidden))
}

/// The pods and services of these namespaces, or of all.
pub(crate) fn members(
    options: &Map,
    namespaces: Option<&[String]>,
    hidden: &Secrets,
) -> Result<Members, String> {
    aside(|| list_members(options, namespaces, hidden))
}

/// Asks on a thread of its own: templates and inventories know nothing of waiting.
fn aside<T: Send, F: Future<Output = Result<T, Fault>>>(
    work: impl FnOnce() -> F + Send,
) -> Result<T, String> {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.map_err(|error| error.to_string())?;
            runtime.block_on(work()).map_err(|fault| fault.msg)
        });
        work.join()
            .unwrap_or_else(|_| Err("what asks the cluster ended unexpectedly".to_owned()))
    })
}

/// A connection with the options of a lookup, by their names or their aliases.
async fn connect(options: &Map, hidden: &Secrets) -> Result<Api, Fault> {
    let mut auth = options.clone();
    for arg in Auth::ARGS {
        let written = arg.aliases.iter().filter_map(|alias| options.get(*alias));
        for value in written.filter(|value| **value != Data::Null) {
            auth.insert(arg.name.to_owned(), value.clone());
        }
    }
    let auth = Auth::from_map(&auth).map_err(Fault::new)?;
    super::connect::plain(&auth, hidden).await
}

/// What an inventory makes hosts of.
pub(crate) struct Members {
    /// The address of the API server.
    pub(crate) address: String,
    /// The namespaces in their order, each with its pods and its services.
    pub(crate) namespaces: Vec<(String, Vec<Json>, Vec<Json>)>,
}

async fn list_members(
    options: &Map,
    wanted: Option<&[String]>,
    hidden: &Secrets,
) -> Result<Members, Fault> {
    let api = connect(options, hidden).await?;
    let names = match wanted {
        Some(names) => names.to_vec(),
        None => {
            let all = items(&api, "/api/v1/namespaces", "Namespace").await?;
            all.iter()
                .map(|one| text(&one["metadata"]["name"]))
                .collect()
        }
    };
    // Two requests serve all namespaces, where whoever asks may see all of them at once.
    let mut whole = match wanted {
        Some(_) => None,
        None => match all_items(&api, "/api/v1/pods", "Pod").await? {
            Some(pods) => {
                let services = all_items(&api, "/api/v1/services", "Service").await?;
                services.map(|services| (pods, services))
            }
            None => None,
        },
    };
    let mut namespaces = vec![];
    for name in names {
        let (pods, services) = match &mut whole {
            Some((pods, services)) => {
                let own = |one: &mut Json| one["metadata"]["namespace"] == name.as_str();
                (
                    pods.extract_if(.., own).collect(),
                    services.extract_if(.., own).collect(),
                )
            }
            None => {
                let place = format!("/api/v1/namespaces/{name}");
                (
                    items(&api, &format!("{place}/pods"), "Pod").await?,
                    items(&api, &format!("{place}/services"), "Service").await?,
                )
            }
        };
        namespaces.push((name, pods, services));
    }
    Ok(Members {
        address: api.address,
        namespaces,
    })
}

/// The objects of a list.
async fn items(api: &Api, path: &str, kind: &str) -> Result<Vec<Json>, Fault> {
    let found = list(api, path).await;
    found.map_err(|refusal| unfetched(kind, &refusal))
}

/// The same of all namespaces; nothing for whoever may not see them all.
async fn all_items(api: &Api, path: &str, kind: &str) -> Result<Option<Vec<Json>>, Fault> {
    match list(api, path).await {
        Ok(found) => Ok(Some(found)),
        Err(Refusal::Answer(403, _)) => Ok(None),
        Err(refusal) => Err(unfetched(kind, &refusal)),
    }
}

async fn list(api: &Api, path: &str) -> Result<Vec<Json>, Refusal> {
    Ok(match api.get(path).await?["items"].take() {
        Json::Array(items) => items,
        _ => vec![],
    })
}

fn unfetched(kind: &str, refusal: &Refusal) -> Fault {
    let why = refusal.message();
    Fault::new(format!("Error fetching {kind} list: {why}"))
}

async fn ask(options: &Map, hidden: &Secrets) -> Result<Vec<Data>, Fault> {
    let given = |name: &str| options.get(name).filter(|value| **value != Data::Null);
    let word = |name: &str| given(name).map(Data::text);
    let api = connect(options, hidden).await?;
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
