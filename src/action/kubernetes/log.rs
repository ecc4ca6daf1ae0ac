//! `k8s_log`: what containers wrote.

use rplay_modules::kubernetes::k8s_log::Args;
use rplay_modules::map;
use serde_json::Value as Json;

use super::Job;
use super::api::{Fault, Refusal};
use super::discovery::text;
use super::reasons::pods;
use crate::action::address::{escaped, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Reads the log.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.auth).await?;
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned());
    let pod = pod(&mut job, &args, &namespace).await?;
    let name = text(&pod["metadata"]["name"]);
    let mut containers = vec![args.container.clone()];
    if args.all_containers == Some(true) {
        let all = pod["spec"]["containers"].as_array().into_iter().flatten();
        containers = all.map(|one| Some(text(&one["name"]))).collect();
    }
    let mut log = String::new();
    for container in containers {
        let mut query = vec![];
        query.extend(container.map(|name| ("container", name)));
        query.extend(
            args.since_seconds
                .clone()
                .map(|since| ("sinceSeconds", since)),
        );
        query.extend(args.previous.then(|| ("previous", "true".to_owned())));
        query.extend(
            args.tail_lines
                .map(|lines| ("tailLines", lines.to_string())),
        );
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/log",
            escaped(&namespace),
            escaped(&name)
        );
        let request =
            http::Request::get(with_query(&path, &query)).body(kube::client::Body::empty());
        let request = request.map_err(|error| Fault::new(error.to_string()))?;
        let answer = job.cluster().api.send(request).await;
        log += &answer.map_err(|refusal| {
            Fault::new(format!(
                "Unable to retrieve log from Pod due to: {}",
                refusal.message()
            ))
        })?;
    }
    let lines: Vec<String> = log.split('\n').map(str::to_owned).collect();
    Ok(TaskResult::ok(map! { "log" => log, "log_lines" => lines }))
}

/// The pod whose log is meant.
async fn pod(job: &mut Job<'_, '_>, args: &Args, namespace: &str) -> Result<Json, Fault> {
    let none =
        |what: String| Fault::new(format!("No pods in namespace {namespace} matched {what}"));
    let Some(name) = &args.name else {
        if args.label_selectors.is_empty() {
            return Err(Fault::new(
                "one of the following is required: name, label_selectors",
            ));
        }
        let selector = args.label_selectors.join(",");
        let path = format!("/api/v1/namespaces/{}/pods", escaped(namespace));
        let path = with_query(&path, &[("labelSelector", selector.clone())]);
        let list = job.cluster().api.get(&path).await;
        let list = list.map_err(|refusal| refusal.about("Failed to retrieve requested object"))?;
        return list["items"]
            .get(0)
            .cloned()
            .ok_or_else(|| none(format!("selector {selector}")));
    };
    let resource = job.find(&args.api_version, &args.kind).await?;
    let path = resource.path(Some(namespace), Some(name));
    let object = match job.cluster().api.get(&path).await {
        Ok(object) => object,
        Err(Refusal::Answer(404, _)) => {
            let kind = &resource.kind;
            return Err(Fault::new(format!("{kind} {namespace}/{name} not found.")));
        }
        Err(refusal) => return Err(refusal.about("Failed to retrieve requested object")),
    };
    if resource.kind == "Pod" {
        return Ok(object);
    }
    let mut all = pods(&job.cluster().api, namespace, &object).await;
    // The oldest, which has most to tell.
    all.pop()
        .ok_or_else(|| none(format!("{} {name}", resource.kind)))
}
