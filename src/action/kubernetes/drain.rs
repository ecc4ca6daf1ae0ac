//! `k8s_drain`: a node made free of pods.

use std::time::{Duration, Instant};

use http::Method;
use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::k8s_drain::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::Job;
use super::api::{Api, Fault, Refusal};
use super::definition::unknown_keys;
use super::discovery::text;
use super::taint::node;
use crate::action::address::{escaped, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// How long an eviction that a disruption budget refuses is tried again, where nothing is said.
const USUAL: Duration = Duration::from_secs(60);

/// What is told of pods is of a few.
const OPTIONS: [&str; 7] = [
    "delete_emptydir_data",
    "disable_eviction",
    "force",
    "ignore_daemonsets",
    "terminate_grace_period",
    "wait_sleep",
    "wait_timeout",
];

/// Who makes a pod anew elsewhere.
const KEEPERS: [&str; 5] = [
    "ReplicationController",
    "ReplicaSet",
    "Job",
    "DaemonSet",
    "StatefulSet",
];

/// Does with the node what is asked for.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let options = &args.delete_options;
    unknown_keys("delete_options", options, &OPTIONS)?;
    let mut job = Job::begin(context, &args.auth).await?;
    let name = &args.name;
    let found = node(&job.cluster().api, name)
        .await
        .map_err(|refusal| match refusal.code() {
            Some(404) => Fault::new(format!("Node {name} not found.")),
            _ => refusal.about("Failed to retrieve requested object"),
        })?;
    let closed = found["spec"]["unschedulable"] == true;
    let close = args.state != "uncordon";
    let word = if close {
        "unschedulable"
    } else {
        "schedulable"
    };
    let mut pods = vec![];
    let mut notes = vec![];
    if args.state == "drain" {
        let all = on_node(&job.cluster().api, name, args.pod_selectors.as_deref()).await?;
        (pods, notes) = chosen(all, options)?;
    }
    let mut changed = closed != close;
    if changed {
        let path = format!("/api/v1/nodes/{}", escaped(name));
        let body = json!({"spec": {"unschedulable": close}});
        let kind = "application/strategic-merge-patch+json";
        let sent = job.patch(&path, kind, &body).await;
        sent.map_err(|refusal| refusal.about(&format!("Failed to patch node {name}")))?;
    }
    let mut result = match closed == close {
        true => format!("node {name} already marked {word}."),
        false => format!("node {name} marked {word}."),
    };
    if args.state == "drain" {
        let count = pods.len();
        changed |= count > 0;
        if count == 0 {
            // Nothing is told of none.
        } else if job.context.check {
            result +=
                &format!(" Would have deleted {count} Pod(s) from node if not in check mode.");
        } else {
            clear(&mut job, &pods, options)
                .await
                .map_err(|fault| fault.with("changed", changed))?;
            result += &format!(" {count} Pod(s) deleted from node.");
        }
    }
    for note in notes {
        job.context.warn(note);
    }
    Ok(TaskResult::changed(changed, map! { "result" => result }))
}

fn flag(options: &Map, name: &str) -> bool {
    options.get(name) == Some(&Data::Bool(true))
}

fn seconds(options: &Map, name: &str) -> Option<Duration> {
    let number = options.get(name)?.as_int()?;
    u64::try_from(number).ok().map(Duration::from_secs)
}

/// The pods of a node.
async fn on_node(api: &Api, node: &str, selectors: Option<&[String]>) -> Result<Vec<Json>, Fault> {
    let mut query = vec![("fieldSelector", format!("spec.nodeName={node}"))];
    query.extend(selectors.map(|all| ("labelSelector", all.join(","))));
    let list = api.get(&with_query("/api/v1/pods", &query)).await;
    let list = list.map_err(|refusal| refusal.about("Failed to list the pods"))?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Those that go, and what is to be told of others.
fn chosen(pods: Vec<Json>, options: &Map) -> Result<(Vec<Json>, Vec<String>), Fault> {
    let (mut go, mut stay, mut local, mut own, mut alone) =
        (vec![], vec![], vec![], vec![], vec![]);
    for pod in pods {
        let metadata = &pod["metadata"];
        let title = format!(
            "{}/{}",
            text(&metadata["namespace"]),
            text(&metadata["name"])
        );
        if metadata["annotations"]["kubernetes.io/config.mirror"].is_string() {
            continue;
        }
        if ["Succeeded", "Failed"]
            .iter()
            .any(|phase| pod["status"]["phase"] == *phase)
        {
            go.push(pod);
            continue;
        }
        let owners = metadata["ownerReferences"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let kept_by = |kind: &str| owners.iter().any(|owner| owner["kind"] == kind);
        if kept_by("DaemonSet") {
            match flag(options, "ignore_daemonsets") {
                true => stay.push(title),
                false => own.push(title),
            }
            continue;
        }
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        if volumes.any(|volume| volume.get("emptyDir").is_some())
            && !flag(options, "delete_emptydir_data")
        {
            local.push(title);
            continue;
        }
        if !KEEPERS.iter().any(|kind| kept_by(kind)) && !flag(options, "force") {
            alone.push(title);
            continue;
        }
        go.push(pod);
    }
    let errors = [
        (local, "cannot delete Pods with local storage"),
        (
            own,
            "cannot delete DaemonSet-managed Pods (use option ignore_daemonsets set to yes)",
        ),
        (
            alone,
            "cannot delete Pods not managed by ReplicationController, ReplicaSet, Job, DaemonSet or StatefulSet (use option force set to yes)",
        ),
    ];
    let errors = errors.iter().filter(|(titles, _)| !titles.is_empty());
    let errors: Vec<String> = errors
        .map(|(titles, text)| format!("{text}: {}.", titles.join(",")))
        .collect();
    if !errors.is_empty() {
        return Err(Fault::new(format!(
            "Pod deletion errors: {}",
            errors.join(" ")
        )));
    }
    let notes = match stay.is_empty() {
        true => vec![],
        false => vec![format!(
            "Ignoring DaemonSet-managed Pods: {}.",
            stay.join(",")
        )],
    };
    Ok((go, notes))
}

/// Has the pods go, and waits for it where that is asked for.
async fn clear(job: &mut Job<'_, '_>, pods: &[Json], options: &Map) -> Result<(), Fault> {
    let api = job.cluster().api.clone();
    let version = match flag(options, "disable_eviction") {
        true => None,
        false => Some(eviction(&api).await?),
    };
    let mut how = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
    if let Some(grace) = options.get("terminate_grace_period").and_then(Data::as_int) {
        how["gracePeriodSeconds"] = i64::try_from(grace).unwrap_or(0).into();
    }
    let limit = seconds(options, "wait_timeout");
    // Zero seconds mean any time.
    let end = |usual: Duration| match limit {
        Some(Duration::ZERO) => None,
        limit => Some(Instant::now() + limit.unwrap_or(usual)),
    };
    let pause = seconds(options, "wait_sleep")
        .unwrap_or(Duration::from_secs(5))
        .max(Duration::from_millis(200));
    let until = end(USUAL);
    for pod in pods {
        let (namespace, name, path) = place(pod);
        loop {
            let sent = match &version {
                None => {
                    api.call(Method::DELETE, &path, "application/json", Some(&how))
                        .await
                }
                Some(version) => {
                    let body = json!({"apiVersion": version, "kind": "Eviction",
                        "metadata": {"name": name, "namespace": namespace}, "deleteOptions": how});
                    api.call(
                        Method::POST,
                        &format!("{path}/eviction"),
                        "application/json",
                        Some(&body),
                    )
                    .await
                }
            };
            match sent {
                Ok(_) | Err(Refusal::Answer(404, _)) => break,
                // A disruption budget: others have to be ready first.
                Err(Refusal::Answer(429, _))
                    if until.is_none_or(|until| Instant::now() < until) =>
                {
                    tokio::time::sleep(pause).await;
                }
                Err(refusal) => {
                    return Err(
                        refusal.about(&format!("Failed to delete pod {namespace}/{name} due to"))
                    );
                }
            }
        }
    }
    if limit.is_none() {
        return Ok(());
    }
    let until = end(USUAL);
    for pod in pods {
        let (namespace, name, path) = place(pod);
        loop {
            match api.get(&path).await {
                Err(Refusal::Answer(404, _)) => break,
                Ok(now) if now["metadata"]["uid"] != pod["metadata"]["uid"] => break,
                _ => {}
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(Fault::new(format!(
                    "Timeout reached while pods were still running: {namespace}/{name}"
                )));
            }
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

/// Namespace, name and path of a pod.
fn place(pod: &Json) -> (String, String, String) {
    let word = |key: &str| text(&pod["metadata"][key]);
    let (namespace, name) = (word("namespace"), word("name"));
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}",
        escaped(&namespace),
        escaped(&name)
    );
    (namespace, name, path)
}

/// The version of evictions that the server has.
async fn eviction(api: &Api) -> Result<String, Fault> {
    let list = api.get("/api/v1").await;
    let list = list.map_err(|refusal| refusal.about("Failed to find the kinds of the cluster"))?;
    let mut all = list["resources"].as_array().into_iter().flatten();
    let found = all.find(|one| one["name"] == "pods/eviction");
    let version = found
        .map(|one| text(&one["version"]))
        .filter(|version| !version.is_empty());
    Ok(format!(
        "policy/{}",
        version.unwrap_or_else(|| "v1".to_owned())
    ))
}
