//! `k8s_info`: objects read.

use rplay_modules::data::Data;
use rplay_modules::kubernetes::k8s_info::Args;
use rplay_modules::map;
use serde_json::Value as Json;

use super::Job;
use super::api::{Fault, Refusal};
use super::diff;
use super::objects::explained;
use super::reasons::why;
use super::wait::{self, Patience};
use crate::action::address::with_query;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// What is asked for the metadata alone.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Reads.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let patience = Patience::of(&args.wait, false)?;
    let hidden = args.hidden_fields.clone().unwrap_or_default();
    let mut job = Job::begin(context, &args.auth).await?;
    let Ok(resource) = job.find(&args.api_version, &args.kind).await else {
        // Whether the server does not have the kind or does not answer is not the same.
        let cluster = job.cluster_mut();
        let asked = cluster
            .discovery
            .version(&cluster.api, &args.api_version)
            .await;
        asked.map_err(|refusal| refusal.about("Failed to find the kinds of the cluster"))?;
        let (version, kind) = (&args.api_version, &args.kind);
        let msg = format!(
            "Failed to find API for resource with apiVersion \"{version}\" and kind \"{kind}\""
        );
        return Ok(TaskResult::ok(map! {
            "msg" => msg,
            "api_found" => false,
            "resources" => Data::List(vec![]),
        }));
    };
    let namespace = args.namespace.as_deref();
    let by_path = args
        .name
        .as_deref()
        .filter(|_| namespace.is_some() || !resource.namespaced);
    let mut parts = vec![];
    if !args.label_selectors.is_empty() {
        parts.push(("labelSelector", args.label_selectors.join(",")));
    }
    let mut fields = args.field_selectors.clone();
    if let (Some(name), None) = (&args.name, by_path) {
        fields.push(format!("metadata.name={name}"));
    }
    if !fields.is_empty() {
        parts.push(("fieldSelector", fields.join(",")));
    }
    let path = resource.path(namespace, by_path);
    let accept = match (args.metadata_only, by_path) {
        (false, _) => "application/json",
        (true, Some(_)) => METADATA,
        (true, None) => METADATA_LIST,
    };
    let begin = std::time::Instant::now();
    let mut found = list(&mut job, &path, &parts, accept, by_path.is_some()).await?;
    if let Some(patience) = &patience {
        for object in &mut found {
            let namespace = object["metadata"]["namespace"].as_str();
            let path = resource.path(namespace, object["metadata"]["name"].as_str());
            let left = patience.limit.saturating_sub(begin.elapsed());
            let patience = Patience {
                limit: left,
                ..patience.clone()
            };
            let api = job.cluster().api.clone();
            let waited =
                wait::until(&api, &path, Some(object), &patience, &*job.context.display).await;
            let waited = waited.map_err(|refusal| refusal.about("waiting failed"))?;
            if !waited.reached {
                let title = wait::title(object, &path);
                let text = format!(
                    "Failed to gather information about {title} even after waiting for {} seconds",
                    args.wait.wait_timeout
                );
                let why = why(&api, &waited).await;
                let fault = Fault::new(text).with("api_found", true);
                return Err(explained(fault, why).into());
            }
            *object = waited.object;
        }
    }
    let resources = found.into_iter().map(|mut object| {
        diff::hide(&mut object, &hidden);
        Data::from_json(&object)
    });
    Ok(TaskResult::ok(map! {
        "resources" => Data::List(resources.collect()),
        "api_found" => true,
    }))
}

/// The objects of a path.
async fn list(
    job: &mut Job<'_, '_>,
    path: &str,
    parts: &[(&str, String)],
    accept: &str,
    single: bool,
) -> Result<Vec<Json>, Fault> {
    if single
        && let Some(Some(known)) = job
            .cluster()
            .assumed
            .get(path)
            .filter(|_| job.context.check)
    {
        return Ok(vec![known.clone()]);
    }
    let api = &job.cluster().api;
    let read = api.get_as(&with_query(path, parts), accept).await;
    let answer = match read {
        Ok(answer) => answer,
        Err(Refusal::Answer(404, _)) => return Ok(vec![]),
        Err(refusal) => {
            return Err(refusal
                .about("Failed to retrieve requested object")
                .with("api_found", true));
        }
    };
    let Some(items) = answer["items"].as_array() else {
        return Ok(vec![answer]);
    };
    // Items of a list do not say what they are.
    let kind = answer["kind"]
        .as_str()
        .unwrap_or_default()
        .trim_end_matches("List");
    let version = answer["apiVersion"].clone();
    let items = items.iter().map(|item| {
        let mut object = serde_json::Map::new();
        object.insert("apiVersion".to_owned(), version.clone());
        object.insert("kind".to_owned(), kind.into());
        object.extend(item.as_object().cloned().unwrap_or_default());
        Json::Object(object)
    });
    Ok(items.collect())
}
