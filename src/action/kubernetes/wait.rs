//! Waiting until an object is as it shall be, and telling how far it is.

use std::time::{Duration, Instant};

use rplay_modules::data::Map;
use rplay_modules::kubernetes::shared::Wait;
use serde_json::Value as Json;

use super::api::{Api, Fault, Refusal};
use super::definition::unknown_keys;

/// Nothing is told of shorter waits.
const QUIET: Duration = Duration::from_secs(5);

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(200);

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// It is ready, as its kind has it.
    Ready,
    /// One of its conditions.
    Condition {
        kind: String,
        status: String,
        reason: Option<String>,
    },
    /// It is gone.
    Gone,
}

/// How long, and for what.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    pub(super) limit: Duration,
    pub(super) pause: Duration,
    pub(super) goal: Goal,
}

/// What came of waiting.
pub(super) struct Waited {
    pub(super) reached: bool,
    /// The object as it was seen last; nothing where it is gone.
    pub(super) object: Json,
    pub(super) seconds: i64,
    /// Why the server could not be asked at the end.
    pub(super) silence: Option<String>,
}

impl Patience {
    /// What a task's arguments ask for; nothing where it does not wait.
    pub(super) fn of(wait: &Wait, absent: bool) -> Result<Option<Self>, Fault> {
        if !wait.wait {
            return Ok(None);
        }
        let goal = match &wait.wait_condition {
            _ if absent => Goal::Gone,
            Some(map) => condition(map)?.unwrap_or(Goal::Ready),
            None => Goal::Ready,
        };
        Ok(Some(Self {
            limit: Duration::from_secs(wait.wait_timeout),
            pause: Duration::from_secs(wait.wait_sleep),
            goal,
        }))
    }
}

fn condition(map: &Map) -> Result<Option<Goal>, Fault> {
    unknown_keys("wait_condition", map, &["type", "status", "reason"])?;
    let text = |key: &str| map.get(key).filter(|value| **value != Default::default());
    let Some(kind) = text("type").map(rplay_modules::data::Data::text) else {
        return Ok(None);
    };
    let status = text("status").map_or("True".to_owned(), |value| value.text());
    if !["True", "False", "Unknown"].contains(&status.as_str()) {
        return Err(Fault::new(format!(
            "value of status must be one of: True, False, Unknown, got: {status} found in wait_condition"
        )));
    }
    Ok(Some(Goal::Condition {
        kind,
        status,
        reason: text("reason").map(|value| value.text()),
    }))
}

/// Waits; `tell` gets a line when something is to be told of a longer wait.
pub(super) async fn until(
    api: &Api,
    path: &str,
    first: Option<&Json>,
    patience: &Patience,
    tell: &(dyn Fn(&str) + Send + Sync),
) -> Result<Waited, Refusal> {
    let begin = Instant::now();
    let mut told = String::new();
    let mut looked = match first {
        Some(object) => Ok(object.clone()),
        None => api.get(path).await,
    };
    let mut object = first.cloned().unwrap_or_default();
    loop {
        let mut silence = None;
        match looked {
            Ok(now) => object = now,
            Err(Refusal::Answer(404, _)) => object = Json::Null,
            Err(refusal @ Refusal::Answer(..)) => return Err(refusal),
            // It may come back while there is time.
            Err(Refusal::Silence(why)) => silence = Some(why),
        }
        let passed = begin.elapsed();
        let reached = silence.is_none() && holds(&object, &patience.goal);
        if reached || passed >= patience.limit {
            return Ok(Waited {
                reached,
                object,
                seconds: i64::try_from(passed.as_secs()).unwrap_or(i64::MAX),
                silence,
            });
        }
        let state = silence.unwrap_or_else(|| progress(&object, &patience.goal));
        if passed >= QUIET && state != told {
            let (title, seconds) = (title(&object, path), passed.as_secs());
            tell(&format!("waiting for {title}: {state} ({seconds} s)"));
            told = state;
        }
        let pause = patience.pause.max(SHORTEST);
        tokio::time::sleep(pause.min(patience.limit.saturating_sub(passed))).await;
        looked = api.get(path).await;
    }
}

/// How an object is named in messages.
pub(super) fn title(object: &Json, path: &str) -> String {
    let name = object["metadata"]["name"].as_str();
    let Some((kind, name)) = object["kind"].as_str().zip(name) else {
        return path.rsplit('/').next().unwrap_or(path).to_owned();
    };
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Whether it is as it shall be.
pub(super) fn holds(object: &Json, goal: &Goal) -> bool {
    match goal {
        Goal::Gone => object.is_null(),
        Goal::Ready => !object.is_null() && is_ready(object),
        Goal::Condition {
            kind,
            status,
            reason,
        } => conditions(object).any(|one| {
            one["type"] == kind.as_str()
                && one["status"] == status.as_str()
                && reason
                    .as_ref()
                    .is_none_or(|reason| one["reason"] == reason.as_str())
        }),
    }
}

pub(super) fn conditions(object: &Json) -> impl Iterator<Item = &Json> {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
}

fn number(json: &Json) -> i64 {
    json.as_i64().unwrap_or(0)
}

/// How many there shall be.
fn wanted(object: &Json) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

/// Whether it is ready, by its kind; what has no such state is.
pub(super) fn is_ready(object: &Json) -> bool {
    let status = &object["status"];
    let seen =
        || number(&status["observedGeneration"]) >= number(&object["metadata"]["generation"]);
    let all = |fields: &[&str], wanted: i64| {
        seen() && fields.iter().all(|field| number(&status[*field]) == wanted)
    };
    match object["kind"].as_str().unwrap_or_default() {
        "Deployment" => all(
            &["updatedReplicas", "availableReplicas", "replicas"],
            wanted(object),
        ),
        "StatefulSet" => {
            let strategy = &object["spec"]["updateStrategy"];
            let part = number(&strategy["rollingUpdate"]["partition"]);
            let rolls = strategy["type"] != "OnDelete" && part == 0;
            all(&["readyReplicas", "replicas"], wanted(object))
                && (!rolls || status["currentRevision"] == status["updateRevision"])
        }
        "DaemonSet" => match status["desiredNumberScheduled"].as_i64() {
            Some(wanted) => all(&["updatedNumberScheduled", "numberReady"], wanted),
            None => false,
        },
        "ReplicaSet" | "ReplicationController" => {
            all(&["readyReplicas", "replicas"], wanted(object))
        }
        "Pod" => {
            let containers = status["containerStatuses"].as_array();
            let ready =
                |all: &Vec<Json>| !all.is_empty() && all.iter().all(|one| one["ready"] == true);
            status["phase"] == "Succeeded" || containers.is_some_and(ready)
        }
        _ => true,
    }
}

/// How far it is, in a few words.
fn progress(object: &Json, goal: &Goal) -> String {
    let status = &object["status"];
    match goal {
        Goal::Gone => match object["metadata"]["finalizers"].as_array() {
            Some(all) if !all.is_empty() => format!("held by finalizers {}", join(all)),
            _ => "not gone yet".to_owned(),
        },
        Goal::Condition { kind, .. } => {
            let found = conditions(object).find(|one| one["type"] == kind.as_str());
            let words = found.map(|one| {
                let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                format!("{kind} is {} {}", text("status"), text("message"))
            });
            words.unwrap_or_else(|| format!("it has no condition {kind} yet"))
        }
        Goal::Ready => match object["kind"].as_str().unwrap_or_default() {
            "Pod" => status["phase"]
                .as_str()
                .unwrap_or("no state yet")
                .to_owned(),
            "DaemonSet" => format!(
                "{} of {} ready",
                number(&status["numberReady"]),
                number(&status["desiredNumberScheduled"])
            ),
            _ => format!(
                "{} of {} ready, {} updated",
                number(&status["readyReplicas"]),
                wanted(object),
                number(&status["updatedReplicas"])
            ),
        },
    }
}

fn join(all: &[Json]) -> String {
    let words: Vec<&str> = all.iter().filter_map(Json::as_str).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ready() {
        let mut one = json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2},
            "status": {"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2}});
        assert!(!is_ready(&one));
        one["status"]["observedGeneration"] = 2.into();
        assert!(is_ready(&one));
        one["status"]["replicas"] = 3.into();
        assert!(!is_ready(&one));
        let pod = json!({"kind": "Pod", "status": {"containerStatuses": [{"ready": true}, {"ready": false}]}});
        assert!(!is_ready(&pod) && is_ready(&json!({"kind": "ConfigMap"})));
    }
}
