//! `k8s_rollout`: a roll-out that is seen through to its end.

use std::time::Duration;

use http::Method;
use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::k8s_rollout::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::api::{Api, Fault, Refusal};
use super::discovery::{Resource, text};
use super::objects::explained;
use super::reasons::{pods, reasons, why};
use super::wait::{self, Goal, Patience};
use super::{Job, diff};
use crate::action::address::{escaped, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// One object and what has been done with it.
struct Step {
    name: String,
    path: String,
    before: Json,
    /// What makes it as it shall be; nothing where it is so.
    patch: Option<Json>,
    changed: bool,
    undone: bool,
    seconds: i64,
}

/// Rolls out.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.auth).await?;
    let resource = job.find(&args.api_version, &args.kind).await?;
    if !KINDS.contains(&resource.kind.as_str()) {
        let text = format!(
            "{} has no roll-outs; those of {} have",
            resource.kind,
            KINDS.join(", ")
        );
        return Err(ActionError::new(text));
    }
    if args.pod_by_pod && resource.kind != "StatefulSet" {
        return Err(ActionError::new(
            "pod_by_pod is about StatefulSets: their pods have numbers",
        ));
    }
    let mut steps = plan(&mut job, &resource, &args).await?;
    let mut result = TaskResult::default();
    let patience = Patience {
        limit: Duration::from_secs(args.wait_timeout),
        pause: Duration::from_secs(args.wait_sleep),
        goal: Goal::Ready,
    };
    for at in 0..steps.len() {
        let before = steps[at].before.clone();
        let Some(patch) = steps[at].patch.clone() else {
            continue;
        };
        let path = steps[at].path.clone();
        let sent = job.patch(&path, STRATEGIC, &patch).await;
        let title = wait::title(&before, &path);
        let after =
            sent.map_err(|refusal| refusal.about(&format!("Failed to roll out {title}")))?;
        steps[at].changed = true;
        if job.context.diff {
            result.diff.extend(diff::diff(&before, &after, &[]));
        }
        if job.context.check {
            continue;
        }
        let api = job.cluster().api.clone();
        let mut done = Ok(());
        if args.pod_by_pod {
            done = one_by_one(&api, &after, &patience, &mut job).await;
        }
        if done.is_ok() && args.wait {
            done = ready(&api, &mut steps[at], &after, &patience, &mut job).await;
        }
        if let Err(fault) = done {
            return Err(fail(&api, fault, &mut steps, at, &args, &patience)
                .await
                .into());
        }
    }
    result.changed = steps.iter().any(|step| step.changed);
    result.result = map! { "rollouts" => told(&steps) };
    Ok(result)
}

fn told(steps: &[Step]) -> Data {
    let one = |step: &Step| {
        Data::Map(map! {
            "name" => step.name.as_str(),
            "changed" => step.changed,
            "undone" => step.undone,
            "duration" => step.seconds,
        })
    };
    Data::List(steps.iter().map(one).collect())
}

/// What is to be done, all of it looked up before anything is.
async fn plan(job: &mut Job<'_, '_>, resource: &Resource, args: &Args) -> Result<Vec<Step>, Fault> {
    let namespace = Some(args.namespace.as_str());
    let failed = |refusal: Refusal| refusal.about("Failed to retrieve requested object");
    let mut objects = vec![];
    for name in args.name.iter().flatten() {
        let path = resource.path(namespace, Some(name));
        let found = job.look(&path).await?;
        objects.push(found.ok_or_else(|| {
            Fault::new(format!(
                "{} {}/{name} not found",
                resource.kind, args.namespace
            ))
        })?);
    }
    if let Some(selectors) = &args.label_selectors {
        let path = with_query(
            &resource.path(namespace, None),
            &[("labelSelector", selectors.join(","))],
        );
        let list = job.cluster().api.get(&path).await.map_err(failed)?;
        objects = list["items"].as_array().cloned().unwrap_or_default();
        objects.sort_by_key(|object| text(&object["metadata"]["name"]));
    }
    let now = jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let mut steps = vec![];
    for mut object in objects {
        object["kind"] = resource.kind.clone().into();
        let name = text(&object["metadata"]["name"]);
        let mut template = json!({});
        let mut change = false;
        if args.restart {
            template["metadata"] =
                json!({"annotations": {"kubectl.kubernetes.io/restartedAt": now}});
            change = true;
        }
        if let Some(images) = &args.images {
            change |= put_images(&object, images, &mut template)?;
        }
        steps.push(Step {
            path: resource.path(namespace, Some(&name)),
            patch: change.then(|| json!({"spec": {"template": template}})),
            name,
            before: object,
            changed: false,
            undone: false,
            seconds: 0,
        });
    }
    Ok(steps)
}

/// Puts images into the patch; whether one of them is another one than now.
fn put_images(object: &Json, images: &Map, template: &mut Json) -> Result<bool, Fault> {
    let spec = &object["spec"]["template"]["spec"];
    let mut known = vec![];
    let mut change = false;
    for field in ["initContainers", "containers"] {
        let mut all = vec![];
        for container in spec[field].as_array().into_iter().flatten() {
            let name = text(&container["name"]);
            if let Some(image) = images.get(&name).map(Data::text) {
                change |= container["image"] != image.as_str();
                all.push(json!({"name": name, "image": image}));
            }
            known.push(name);
        }
        if !all.is_empty() {
            template["spec"][field] = Json::Array(all);
        }
    }
    match images.keys().find(|name| !known.contains(name)) {
        None => Ok(change),
        Some(name) => Err(Fault::new(format!(
            "{} has no container `{name}`; its containers are {}",
            wait::title(object, ""),
            known.join(", ")
        ))),
    }
}

/// Waits for one object.
async fn ready(
    api: &Api,
    step: &mut Step,
    after: &Json,
    patience: &Patience,
    job: &mut Job<'_, '_>,
) -> Result<(), Fault> {
    let waited = wait::until(
        api,
        &step.path,
        Some(after),
        patience,
        &*job.context.display,
    )
    .await;
    let waited =
        waited.map_err(|refusal| refusal.about(&format!("waiting for {} failed", step.name)))?;
    step.seconds = waited.seconds;
    if waited.reached {
        return Ok(());
    }
    let why = why(api, &waited).await;
    let title = wait::title(&waited.object, &step.path);
    Err(explained(
        Fault::new(format!("{title} is not ready after {} s", waited.seconds)),
        why,
    ))
}

/// Deletes the pods of a StatefulSet, the highest number first, and waits for each new one.
async fn one_by_one(
    api: &Api,
    object: &Json,
    patience: &Patience,
    job: &mut Job<'_, '_>,
) -> Result<(), Fault> {
    let (namespace, name) = (
        text(&object["metadata"]["namespace"]),
        text(&object["metadata"]["name"]),
    );
    let count = object["spec"]["replicas"].as_i64().unwrap_or(1);
    for number in (0..count).rev() {
        let pod = format!("{name}-{number}");
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}",
            escaped(&namespace),
            escaped(&pod)
        );
        let failed =
            |refusal: Refusal| refusal.about(&format!("Failed to delete pod {namespace}/{pod}"));
        let old = match api.get(&path).await {
            Ok(old) => old["metadata"]["uid"].clone(),
            Err(Refusal::Answer(404, _)) => Json::Null,
            Err(refusal) => return Err(failed(refusal)),
        };
        match api
            .call(Method::DELETE, &path, "application/json", None)
            .await
        {
            Ok(_) | Err(Refusal::Answer(404, _)) => {}
            Err(refusal) => return Err(failed(refusal)),
        }
        let begin = std::time::Instant::now();
        loop {
            let now = api.get(&path).await.unwrap_or_default();
            if now["metadata"]["uid"] != old && wait::is_ready(&now) && now["kind"] == "Pod" {
                break;
            }
            if begin.elapsed() >= patience.limit {
                let why = match now.is_null() {
                    true => vec![],
                    false => reasons(api, &now).await,
                };
                let text = format!(
                    "Pod {namespace}/{pod} is not ready after {} s",
                    begin.elapsed().as_secs()
                );
                return Err(explained(Fault::new(text), why));
            }
            tokio::time::sleep(
                patience
                    .pause
                    .clamp(Duration::from_millis(200), patience.limit),
            )
            .await;
        }
        (job.context.display)(&format!("rolled out {namespace}/{pod}"));
    }
    Ok(())
}

/// Puts back what has been rolled out, newest first, and tells it.
async fn fail(
    api: &Api,
    fault: Fault,
    steps: &mut [Step],
    at: usize,
    args: &Args,
    patience: &Patience,
) -> Fault {
    let mut notes = vec![];
    if args.undo {
        for step in steps[..=at].iter_mut().rev().filter(|step| step.changed) {
            let template = &step.before["spec"]["template"];
            let body = json!([{"op": "replace", "path": "/spec/template", "value": template}]);
            let kind = "application/json-patch+json";
            match api.call(Method::PATCH, &step.path, kind, Some(&body)).await {
                Ok(object) => {
                    step.undone = true;
                    notes.push(step.name.clone());
                    replace_stuck(api, &object).await;
                    let _ = wait::until(api, &step.path, Some(&object), patience, &|_| {}).await;
                }
                Err(refusal) => notes.push(format!(
                    "{} (not put back: {})",
                    step.name,
                    refusal.message()
                )),
            }
        }
    }
    let mut fault = fault;
    if !notes.is_empty() {
        let text = format!("; put back: {}", notes.join(", "));
        let short = fault.msg.clone();
        fault.msg += &text;
        let full = fault.msg.clone();
        fault.explanation = fault
            .explanation
            .map(|told| told.replacen(&short, &full, 1));
    }
    fault
        .with("rollouts", told(steps))
        .with("changed", !args.undo)
}

/// A StatefulSet does not replace a pod that never became ready.
async fn replace_stuck(api: &Api, object: &Json) {
    if object["kind"] != "StatefulSet" {
        return;
    }
    let namespace = text(&object["metadata"]["namespace"]);
    for pod in pods(api, &namespace, object).await {
        let mut pod = pod;
        pod["kind"] = "Pod".into();
        if !wait::is_ready(&pod) {
            let name = text(&pod["metadata"]["name"]);
            let path = format!(
                "/api/v1/namespaces/{}/pods/{}",
                escaped(&namespace),
                escaped(&name)
            );
            let _ = api
                .call(Method::DELETE, &path, "application/json", None)
                .await;
        }
    }
}
