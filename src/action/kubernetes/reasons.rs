//! Why something does not become ready: its conditions, the states of its containers, the last lines
//! they wrote, and what the cluster warns of.

use serde_json::Value as Json;

use super::api::Api;
use super::wait::{Waited, conditions};
use crate::action::address::{escaped, with_query};

/// At most so many pods are looked at.
const PODS: usize = 3;

/// So many of the last lines of a log are shown.
const LINES: usize = 5;

/// Why waiting had no success.
pub(super) async fn why(api: &Api, waited: &Waited) -> Vec<String> {
    match &waited.silence {
        Some(why) => vec![why.clone()],
        None => reasons(api, &waited.object).await,
    }
}

/// What can be told; nothing where nothing is known.
pub(super) async fn reasons(api: &Api, object: &Json) -> Vec<String> {
    let mut told = vec![];
    let Some(namespace) = object["metadata"]["namespace"].as_str() else {
        return told;
    };
    if let Some(finalizers) = object["metadata"]["finalizers"].as_array()
        && object["metadata"]["deletionTimestamp"].is_string()
    {
        let names: Vec<&str> = finalizers.iter().filter_map(Json::as_str).collect();
        told.push(format!("held by finalizers: {}", names.join(", ")));
    }
    let is_pod = object["kind"] == "Pod";
    if !is_pod {
        for one in conditions(object)
            .filter(|one| one["status"] != "True" || one["type"] == "ReplicaFailure")
        {
            told.push(format!(
                "condition {} is {}: {}",
                text(&one["type"]),
                text(&one["status"]),
                said(one)
            ));
        }
        warnings(api, namespace, object, &mut told).await;
    }
    let pods = match is_pod {
        true => vec![object.clone()],
        false => pods(api, namespace, object).await,
    };
    let is_ready =
        |pod: &Json| conditions(pod).any(|one| one["type"] == "Ready" && one["status"] == "True");
    let ill: Vec<&Json> = pods.iter().filter(|pod| !is_ready(pod)).collect();
    for pod in ill.iter().take(PODS) {
        of_pod(api, namespace, pod, &mut told).await;
    }
    if ill.len() > PODS {
        told.push(format!(
            "and {} pods more that are not ready",
            ill.len() - PODS
        ));
    }
    told
}

async fn of_pod(api: &Api, namespace: &str, pod: &Json, told: &mut Vec<String>) {
    let name = text(&pod["metadata"]["name"]);
    let status = &pod["status"];
    let before = told.len();
    for one in
        conditions(pod).filter(|one| one["type"] == "PodScheduled" && one["status"] != "True")
    {
        told.push(format!("pod {name} has no node: {}", said(one)));
    }
    let both = ["initContainerStatuses", "containerStatuses"];
    let containers = both
        .iter()
        .flat_map(|key| status[*key].as_array().into_iter().flatten());
    for one in containers.filter(|one| one["ready"] != true) {
        let container = text(&one["name"]);
        let image = text(&one["image"]);
        for (state, verb) in [("waiting", "waits"), ("terminated", "has ended")] {
            let state = &one["state"][state];
            if state.is_object() {
                let code = state["exitCode"].as_i64();
                let code = code.map_or(String::new(), |code| format!(" with exit code {code}"));
                told.push(format!(
                    "pod {name}: container {container} ({image}) {verb}{code}: {}",
                    said(state)
                ));
            }
        }
        if one["state"]["running"].is_object() {
            told.push(format!(
                "pod {name}: container {container} ({image}) runs and is not ready"
            ));
        }
        let last = &one["lastState"]["terminated"];
        if last.is_object() {
            let code = last["exitCode"].as_i64().unwrap_or(0);
            told.push(format!(
                "pod {name}: container {container} ended before with exit code {code}: {}",
                said(last)
            ));
        }
        if one["restartCount"].as_i64().unwrap_or(0) > 0 || one["state"]["terminated"].is_object() {
            log(api, namespace, &name, &container, told).await;
        }
    }
    if told.len() == before {
        let phase = text(&status["phase"]);
        told.push(format!(
            "pod {name} is {}",
            if phase.is_empty() { "new" } else { &phase }
        ));
    }
    warnings(api, namespace, pod, told).await;
}

/// The last lines of a container.
async fn log(api: &Api, namespace: &str, pod: &str, container: &str, told: &mut Vec<String>) {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/log",
        escaped(namespace),
        escaped(pod)
    );
    let query = [
        ("container", container.to_owned()),
        ("tailLines", LINES.to_string()),
    ];
    let request = http::Request::get(with_query(&path, &query)).body(kube::client::Body::empty());
    let Ok(request) = request else { return };
    if let Ok(text) = api.send(request).await {
        for line in text.lines() {
            told.push(format!("pod {pod}: {container} wrote: {line}"));
        }
    }
}

/// The pods that something stands for.
pub(super) async fn pods(api: &Api, namespace: &str, object: &Json) -> Vec<Json> {
    let labels = object["spec"]["selector"]["matchLabels"].as_object();
    let labels = labels.or_else(|| object["spec"]["selector"].as_object());
    let Some(labels) = labels.filter(|labels| !labels.is_empty()) else {
        return vec![];
    };
    let words = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let selector = words.collect::<Vec<_>>().join(",");
    let path = format!("/api/v1/namespaces/{}/pods", escaped(namespace));
    let list = api
        .get(&with_query(&path, &[("labelSelector", selector)]))
        .await;
    let list = list.unwrap_or_default();
    let mut pods = list["items"].as_array().cloned().unwrap_or_default();
    pods.sort_by_key(|pod| std::cmp::Reverse(text(&pod["metadata"]["creationTimestamp"])));
    pods
}

/// What the cluster warns of, each thing once.
async fn warnings(api: &Api, namespace: &str, object: &Json, told: &mut Vec<String>) {
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let kind = if kind.is_empty() {
        "Pod".to_owned()
    } else {
        kind
    };
    let path = format!("/api/v1/namespaces/{}/events", escaped(namespace));
    let selector = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning");
    let list = api
        .get(&with_query(&path, &[("fieldSelector", selector)]))
        .await;
    let list = list.unwrap_or_default();
    for event in list["items"].as_array().into_iter().flatten() {
        let line = format!("event of {kind} {name}: {}", said(event));
        if !told.contains(&line) {
            told.push(line);
        }
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// Reason and message of a state.
fn said(state: &Json) -> String {
    match (state["reason"].as_str(), state["message"].as_str()) {
        (Some(reason), Some(message)) => format!("{reason}: {}", message.trim()),
        (Some(text), None) | (None, Some(text)) => text.to_owned(),
        (None, None) => "no reason given".to_owned(),
    }
}
