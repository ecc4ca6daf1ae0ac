//! `docker_prune`: what nobody uses goes. Check mode looks for it.

use http::Method;
use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_prune::Args;
use rplay_modules::map;
use rplay_modules::outcome::Diff;
use serde_json::{Value as Json, json};

use super::engine::Ask;
use super::{Job, filters, sizes, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// One kind of objects that can be pruned.
struct Kind<'a> {
    name: &'static str,
    wanted: bool,
    filters: Option<&'a Map>,
    /// The member of the engine's answer with what went.
    gone: &'static str,
    /// Whether the engine tells how much space that took.
    sized: bool,
}

/// Removes, or looks for what would be removed.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.engine).await?;
    let kinds = [
        Kind {
            name: "containers",
            wanted: args.containers,
            filters: args.containers_filters.as_ref(),
            gone: "ContainersDeleted",
            sized: true,
        },
        Kind {
            name: "images",
            wanted: args.images,
            filters: args.images_filters.as_ref(),
            gone: "ImagesDeleted",
            sized: true,
        },
        Kind {
            name: "networks",
            wanted: args.networks,
            filters: args.networks_filters.as_ref(),
            gone: "NetworksDeleted",
            sized: false,
        },
        Kind {
            name: "volumes",
            wanted: args.volumes,
            filters: args.volumes_filters.as_ref(),
            gone: "VolumesDeleted",
            sized: true,
        },
    ];
    let mut result = map! {};
    let mut changed = false;
    let mut going = map! {};
    // Containers that check mode has seen go.
    let mut gone = vec![];
    for kind in kinds.iter().filter(|kind| kind.wanted) {
        if job.context.check {
            let names = predict(&mut job, kind, &gone).await?;
            if kind.name == "containers" {
                gone.clone_from(&names);
            }
            changed |= !names.is_empty();
            if !names.is_empty() {
                going.insert(kind.name.to_owned(), names.clone().into());
            }
            result.insert(kind.name.to_owned(), names.into());
            continue;
        }
        let query: Vec<_> = filters(kind.filters)
            .map(|filters| ("filters", filters))
            .into_iter()
            .collect();
        let path = with_query(&format!("/{}/prune", kind.name), &query);
        let said = job.post(&path, None).await?;
        let gone = said[kind.gone].as_array().cloned().unwrap_or_default();
        let space = said["SpaceReclaimed"].as_i64().unwrap_or(0);
        changed |= !gone.is_empty() || (kind.sized && space > 0);
        if !gone.is_empty() {
            let gone = gone.iter().map(|one| match one.as_object() {
                None => Data::from_json(one),
                Some(parts) => {
                    let parts = parts.iter();
                    let parts = parts
                        .map(|(how, what)| format!("{how}: {}", what.as_str().unwrap_or_default()));
                    parts.collect::<Vec<_>>().join(", ").into()
                }
            });
            going.insert(kind.name.to_owned(), Data::List(gone.collect()));
        }
        result.insert(kind.name.to_owned(), Data::from_json(&Json::Array(gone)));
        if kind.sized {
            result.insert(format!("{}_space_reclaimed", kind.name), space.into());
        }
    }
    if args.builder_cache {
        if job.context.check {
            return Ok(TaskResult::not_run(
                "the engine does not tell what of its builder's cache would go",
            ));
        }
        changed |= cache(&mut job, &args, &mut result).await?;
    }
    let mut result = TaskResult::changed(changed, result);
    if !going.is_empty() && job.context.diff {
        result.diff.push(Diff::attributes(going, map! {}));
    }
    Ok(result)
}

async fn cache(job: &mut Job<'_, '_>, args: &Args, result: &mut Map) -> Result<bool, ActionError> {
    let mut query = vec![];
    if args.builder_cache_all {
        query.push(("all", "true".to_owned()));
    }
    if let Some(text) = &args.builder_cache_keep_storage {
        let size = sizes::bytes(text).ok_or_else(|| {
            ActionError::new(format!(
                "Error while parsing value of builder_cache_keep_storage: {text}"
            ))
        })?;
        query.push(("keep-storage", size.to_string()));
    }
    query.extend(filters(args.builder_cache_filters.as_ref()).map(|filters| ("filters", filters)));
    let path = with_query("/build/prune", &query);
    let said = job.ask(Ask::new(Method::POST, &path)).await?;
    let said: Json = serde_json::from_slice(&said).unwrap_or_default();
    let gone = said["CachesDeleted"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let space = said["SpaceReclaimed"].as_i64().unwrap_or(0);
    let changed = !gone.is_empty() || space > 0;
    result.insert(
        "builder_cache_caches_deleted".to_owned(),
        Data::from_json(&Json::Array(gone)),
    );
    result.insert("builder_cache_space_reclaimed".to_owned(), space.into());
    Ok(changed)
}

/// What would go, by name. `gone` are the containers that would have gone before.
async fn predict(
    job: &mut Job<'_, '_>,
    kind: &Kind<'_>,
    gone: &[String],
) -> Result<Vec<String>, ActionError> {
    let mut given = kind.filters.cloned().unwrap_or_default();
    let word = |given: &mut Map, name: &str| {
        given
            .shift_remove(name)
            .map(|value| value.text().to_lowercase())
    };
    let all = word(&mut given, "all").is_some_and(|word| ["true", "1"].contains(&word.as_str()));
    let dangling = word(&mut given, "dangling");
    let dangling = dangling.is_none_or(|word| !["false", "0"].contains(&word.as_str()));
    if kind.name == "containers" {
        let status: Vec<Data> = ["created", "exited", "dead"].map(Data::from).to_vec();
        given.insert("status".to_owned(), Data::List(status));
    }
    let mut query: Vec<_> = filters(Some(&given))
        .map(|filters| ("filters", filters))
        .into_iter()
        .collect();
    if kind.name == "containers" {
        query.push(("all", "1".to_owned()));
    }
    let path = match kind.name {
        "containers" | "images" => format!("/{}/json", kind.name),
        _ => format!("/{}", kind.name),
    };
    let mut list = job.get(&with_query(&path, &query)).await?;
    if kind.name == "volumes" {
        list = list["Volumes"].take();
    }
    let list = list.as_array().cloned().unwrap_or_default();
    let rest = match kind.name {
        "images" | "volumes" => rest(job, gone).await?,
        _ => Rest::default(),
    };
    let assumed = assumed(job, kind.name);
    let mut names = vec![];
    for one in list {
        let id = one["Id"].as_str().unwrap_or_default().to_owned();
        let name = one["Name"].as_str().unwrap_or_default().to_owned();
        match kind.name {
            "images" if rest.images.contains(&id) => {}
            "images" => {
                let tags = one["RepoTags"].as_array().cloned().unwrap_or_default();
                let tags = tags.iter().filter_map(|tag| tag.as_str());
                // An earlier task of this check gives the name to another image, or takes it away.
                let moved = |tag: &str| {
                    let known = assumed.iter().find(|(name, _)| name == tag);
                    known
                        .is_some_and(|(_, to)| to.as_ref().is_none_or(|to| to["Id"] != id.as_str()))
                };
                let all: Vec<_> = tags.filter(|tag| *tag != "<none>:<none>").collect();
                let tags: Vec<_> = all.iter().copied().filter(|tag| !moved(tag)).collect();
                let is_removed =
                    |tag: &&str| assumed.iter().any(|(name, to)| name == tag && to.is_none());
                // What was removed has gone already.
                let is_left = tags.is_empty() && !all.is_empty() && all.iter().all(is_removed);
                if !is_left && (!dangling || tags.is_empty()) {
                    names.push(if tags.is_empty() { id } else { tags.join(", ") });
                }
            }
            "containers" => {
                let own = one["Names"][0].as_str().unwrap_or_default();
                let own = own.trim_start_matches('/');
                if !assumed.iter().any(|(name, _)| name == own) {
                    names.push(id);
                }
            }
            "volumes" => {
                // Since version 1.42 the others stay unless all are meant.
                let is_used = rest.volumes.contains(&name);
                let is_gone = assumed.iter().any(|(known, _)| *known == name);
                let unnamed = one["Labels"].get("com.docker.volume.anonymous").is_some()
                    || (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()));
                if !is_used && !is_gone && (all || unnamed) {
                    names.push(name);
                }
            }
            _ => {
                let own = ["bridge", "host", "none", "podman"].contains(&name.as_str());
                let found = if own {
                    None
                } else {
                    job.find("networks", &id).await?
                };
                let found = found.unwrap_or(json!({"Containers": {"": ""}}));
                if found["Containers"]
                    .as_object()
                    .is_none_or(serde_json::Map::is_empty)
                {
                    names.push(name);
                }
            }
        }
    }
    Ok(names)
}

/// What the containers use that are left.
#[derive(Default)]
struct Rest {
    images: Vec<String>,
    volumes: Vec<String>,
}

/// What containers use, those left out that have gone, and as earlier tasks of this check leave them.
async fn rest(job: &mut Job<'_, '_>, gone: &[String]) -> Result<Rest, ActionError> {
    let all = job.get("/containers/json?all=1").await?;
    let assumed = assumed(job, "containers");
    let mut rest = Rest::default();
    for one in all.as_array().into_iter().flatten() {
        let id = one["Id"].as_str().unwrap_or_default();
        let name = one["Names"][0].as_str().unwrap_or_default();
        let name = name.trim_start_matches('/');
        let known = assumed.iter().find(|(known, _)| known == name);
        if gone.iter().any(|gone| gone == id) || known.is_some_and(|(_, now)| now.is_none()) {
            continue;
        }
        // One that is made anew keeps its volumes, and has the image that it is made of then.
        if known.is_none() {
            rest.images
                .extend(one["ImageID"].as_str().map(str::to_owned));
        }
        let mounts = one["Mounts"].as_array().into_iter().flatten();
        rest.volumes
            .extend(mounts.filter_map(|mount| mount["Name"].as_str().map(str::to_owned)));
    }
    let made = assumed.iter().filter_map(|(_, now)| now.as_ref());
    rest.images
        .extend(made.filter_map(|now| now["Image"].as_str().map(str::to_owned)));
    Ok(rest)
}

/// What earlier tasks of this check made of objects, by name.
fn assumed(job: &mut Job<'_, '_>, kind: &str) -> Vec<(String, Option<Json>)> {
    let known = job.kept_mut().assumed.iter();
    let mut all: Vec<_> = known
        .filter_map(|(key, now)| Some((key.strip_prefix(kind)?.strip_prefix('/')?, now)))
        .map(|(name, now)| (name.to_owned(), now.clone()))
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}
