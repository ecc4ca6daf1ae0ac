//! `k8s_rollback`: the revision before.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::k8s_rollback::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::Job;
use super::api::{Api, Fault, Refusal};
use super::discovery::{Resource, text};
use crate::action::address::{escaped, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// Puts objects back.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.auth).await?;
    let Some(kind) = &args.name.kind else {
        return Err(ActionError::new("missing required arguments: kind"));
    };
    let resource = job.find(&args.name.api_version, kind).await?;
    let mut query = vec![];
    let mut fields = args.field_selectors.clone();
    fields.extend(
        args.name
            .name
            .iter()
            .map(|name| format!("metadata.name={name}")),
    );
    for (name, all) in [
        ("labelSelector", &args.label_selectors),
        ("fieldSelector", &fields),
    ] {
        if !all.is_empty() {
            query.push((name, all.join(",")));
        }
    }
    let path = with_query(&resource.path(args.name.namespace.as_deref(), None), &query);
    let list = job.cluster().api.get(&path).await;
    let list = list.map_err(|refusal| refusal.about("Failed to retrieve requested object"))?;
    let (mut told, mut changed) = (vec![], false);
    for object in list["items"].as_array().into_iter().flatten() {
        let one = one(&mut job, &resource, object).await?;
        changed |= one.get("changed") == Some(&Data::Bool(true));
        told.push(Data::Map(one));
    }
    Ok(TaskResult::changed(
        changed,
        map! { "rollback_info" => Data::List(told) },
    ))
}

async fn one(job: &mut Job<'_, '_>, resource: &Resource, object: &Json) -> Result<Map, Fault> {
    let api = job.cluster().api.clone();
    let (namespace, name) = (
        text(&object["metadata"]["namespace"]),
        text(&object["metadata"]["name"]),
    );
    let Some(body) = undo(&api, resource, object).await? else {
        let text = match resource.kind.as_str() {
            "Deployment" | "DaemonSet" | "StatefulSet" => format!(
                "No rollout history found for resource kind={},name={name},namespace={namespace}",
                resource.kind
            ),
            kind => format!("Cannot perform rollback on resource of kind {kind}"),
        };
        job.context.warn(text.clone());
        return Ok(map! { "changed" => false, "msg" => text });
    };
    let path = resource.path(Some(&namespace), Some(&name));
    let kind = "application/json-patch+json";
    let sent = job.patch(&path, kind, &body).await;
    let after = sent.map_err(|refusal| refusal.about("Failed to patch object"))?;
    Ok(map! {
        "changed" => true,
        "method" => "patch",
        "body" => Data::from_json(&body),
        "resources" => Data::from_json(&after),
    })
}

/// The JSON patch to the revision before; nothing where there is none.
pub(super) async fn undo(
    api: &Api,
    resource: &Resource,
    object: &Json,
) -> Result<Option<Json>, Fault> {
    let failed = |refusal: Refusal| refusal.about("Failed to retrieve the revisions");
    let namespace = escaped(&text(&object["metadata"]["namespace"]));
    let plural = match resource.kind.as_str() {
        "Deployment" => "replicasets",
        "DaemonSet" | "StatefulSet" => "controllerrevisions",
        _ => return Ok(None),
    };
    let list = api
        .get(&format!("/apis/apps/v1/namespaces/{namespace}/{plural}"))
        .await
        .map_err(failed)?;
    let owner = &object["metadata"]["uid"];
    let own = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|one| {
            let owners = one["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|one| one["uid"] == *owner))
        });
    if resource.kind == "Deployment" {
        let number = |one: &Json| {
            one["metadata"]["annotations"][REVISION]
                .as_str()?
                .parse::<i64>()
                .ok()
        };
        let mut own: Vec<(i64, &Json)> = own.filter_map(|one| Some((number(one)?, one))).collect();
        own.sort_by_key(|(number, _)| -number);
        let current = number(object).unwrap_or(i64::MAX);
        let Some((number, before)) = own.into_iter().find(|(number, _)| *number < current) else {
            return Ok(None);
        };
        let mut template = before["spec"]["template"].clone();
        if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
            labels.shift_remove("pod-template-hash");
        }
        let mut annotations = object["metadata"]["annotations"].clone();
        if !annotations.is_object() {
            annotations = json!({});
        }
        annotations[REVISION] = number.to_string().into();
        return Ok(Some(json!([
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "replace", "path": "/metadata/annotations", "value": annotations},
        ])));
    }
    let mut own: Vec<(i64, &Json)> = own
        .filter_map(|one| Some((one["revision"].as_i64()?, one)))
        .collect();
    own.sort_by_key(|(number, _)| -number);
    let Some((_, before)) = own.get(1) else {
        return Ok(None);
    };
    let mut template = before["data"]["spec"]["template"].clone();
    if let Some(map) = template.as_object_mut() {
        map.shift_remove("$patch");
    }
    Ok(Some(
        json!([{"op": "replace", "path": "/spec/template", "value": template}]),
    ))
}
