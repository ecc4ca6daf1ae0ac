//! `k8s_scale`: how many of something there are.

use std::time::Duration;

use rplay_modules::kubernetes::k8s_scale::Args;
use serde_json::{Value as Json, json};

use super::api::{Fault, Refusal};
use super::definition::{Defaults, definitions};
use super::discovery::{Resource, text};
use super::objects::{Done, explained};
use super::reasons::why;
use super::wait::{self, Goal, Patience};
use super::{Job, diff, told};
use crate::action::address::with_query;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Scales what the task names.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let defaults = Defaults {
        version: &args.name.api_version,
        kind: args.name.kind.as_deref(),
        name: args.name.name.as_deref(),
        namespace: args.name.namespace.as_deref(),
        generate_name: None,
    };
    let given = args.definition.resource_definition.as_ref();
    let src = args.definition.src.as_deref();
    let all = definitions(context, given, src, None, &defaults).await?;
    let mut job = Job::begin(context, &args.auth).await?;
    let mut found = vec![];
    for definition in all {
        let (version, kind) = (text(&definition["apiVersion"]), text(&definition["kind"]));
        let resource = job.find(&version, &kind).await?;
        let objects = existing(&mut job, &resource, &definition, &args).await?;
        found.extend(objects.into_iter().map(|object| (resource.clone(), object)));
    }
    let several = found.len() > 1;
    let mut results = vec![];
    for (resource, object) in found {
        match scale(&mut job, &resource, object, &args).await {
            Err(fault) if !args.continue_on_error || !several => return Err(fault.into()),
            result => results.push(result),
        }
    }
    Ok(told(results, several))
}

/// The objects that are meant.
async fn existing(
    job: &mut Job<'_, '_>,
    resource: &Resource,
    definition: &Json,
    args: &Args,
) -> Result<Vec<Json>, Fault> {
    let namespace = definition["metadata"]["namespace"].as_str();
    let name = definition["metadata"]["name"].as_str();
    let failed = |refusal: Refusal| {
        let mut fault = refusal.about("Failed to retrieve requested object");
        fault.more.clear();
        fault
    };
    if let Some(name) = name {
        let path = resource.path(namespace, Some(name));
        if let Some(Some(known)) = job
            .cluster()
            .assumed
            .get(&path)
            .filter(|_| job.context.check)
        {
            return Ok(vec![known.clone()]);
        }
        return Ok(vec![job.cluster().api.get(&path).await.map_err(failed)?]);
    }
    let query = [("labelSelector", args.label_selectors.join(","))];
    let path = with_query(&resource.path(namespace, None), &query);
    let list = job.cluster().api.get(&path).await.map_err(failed)?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .into_iter()
        .map(|mut item| {
            item["kind"] = resource.kind.clone().into();
            item["apiVersion"] = resource.version.clone().into();
            item
        })
        .collect())
}

async fn scale(
    job: &mut Job<'_, '_>,
    resource: &Resource,
    object: Json,
    args: &Args,
) -> Result<Done, Fault> {
    let is_job = resource.kind == "Job";
    let field = if is_job { "parallelism" } else { "replicas" };
    let (name, namespace) = (
        text(&object["metadata"]["name"]),
        text(&object["metadata"]["namespace"]),
    );
    let wait = args.wait && !is_job;
    let mut done = Done {
        result: json!({}),
        duration: wait.then_some(0),
        ..Done::default()
    };
    let title = format!(
        "object kind={} name={name} namespace={namespace}",
        resource.kind
    );
    let Some(now) = object["spec"][field].as_i64() else {
        let (version, kind) = (&resource.version, &resource.kind);
        return Err(Fault::new(format!(
            "Cannot perform scale on resource of kind {version}.{kind}: it has no spec.{field}"
        )));
    };
    let version = text(&object["metadata"]["resourceVersion"]);
    if let Some(wanted) = args
        .resource_version
        .as_ref()
        .filter(|wanted| **wanted != version)
    {
        done.warnings.push(format!(
            "expected resource version {wanted} does not match with actual {version} for {title}."
        ));
        return Ok(done);
    }
    if let Some(wanted) = args.current_replicas.filter(|wanted| *wanted != now) {
        done.warnings.push(format!(
            "current replicas {wanted} does not match with actual {now} for {title}."
        ));
        return Ok(done);
    }
    done.result = object.clone();
    let path = resource.path(Some(&namespace), Some(&name));
    if now != args.replicas {
        let body = json!({"spec": {field: args.replicas}});
        let kind = "application/merge-patch+json";
        let answer = job.patch(&path, kind, &body).await;
        done.result = answer.map_err(|refusal| refusal.about("Scale request failed"))?;
        done.changed = true;
    }
    if job.context.diff {
        done.diff = diff::diff(&object, &done.result, &[]);
    }
    if wait && !job.context.check {
        let patience = Patience {
            limit: Duration::from_secs(args.wait_timeout),
            pause: Duration::from_secs(args.wait_sleep),
            goal: Goal::Ready,
        };
        let api = job.cluster().api.clone();
        let waited = wait::until(
            &api,
            &path,
            Some(&done.result),
            &patience,
            &*job.context.display,
        )
        .await;
        let waited = waited.map_err(|refusal| refusal.about("waiting failed"))?;
        done.duration = Some(waited.seconds);
        if !waited.reached {
            let why = why(&api, &waited).await;
            let mut fault = Fault::new(format!(
                "Resource scaling timed out: {} {name} is not ready after {} s",
                resource.kind, waited.seconds
            ));
            fault.more = done.map();
            return Err(explained(fault.with("changed", done.changed), why));
        }
        done.result = waited.object;
    }
    Ok(done)
}
