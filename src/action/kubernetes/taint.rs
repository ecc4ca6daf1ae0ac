//! `k8s_taint`: taints of a node.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::k8s_taint::Args;
use serde_json::{Value as Json, json};

use super::api::{Api, Fault, Refusal};
use super::definition::unknown_keys;
use super::objects::Done;
use super::{Job, diff, told};
use crate::action::address::escaped;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

const EFFECTS: [&str; 3] = ["NoSchedule", "NoExecute", "PreferNoSchedule"];

/// Puts taints on the node or takes them away.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let wished = args
        .taints
        .iter()
        .map(taint)
        .collect::<Result<Vec<_>, _>>()?;
    let mut job = Job::begin(context, &args.auth).await?;
    let path = format!("/api/v1/nodes/{}", escaped(&args.name));
    let before = node(&job.cluster().api, &args.name).await;
    let before = before.map_err(|refusal| match refusal.code() {
        Some(404) => Fault::new(format!("Node '{}' has not been found.", args.name)),
        _ => refusal.about("Failed to retrieve requested object"),
    })?;
    let now = before["spec"]["taints"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let after = match args.state.as_str() {
        "absent" => now
            .iter()
            .filter(|one| !wished.iter().any(|wish| fits(one, wish)))
            .cloned()
            .collect(),
        _ if args.replace => wished,
        _ => {
            let mut all: Vec<Json> = now.clone();
            for wish in wished {
                match all
                    .iter_mut()
                    .find(|one| one["key"] == wish["key"] && one["effect"] == wish["effect"])
                {
                    Some(one) if same(one, &wish) => {}
                    Some(one) => *one = wish,
                    None => all.push(wish),
                }
            }
            all
        }
    };
    let changed = now.len() != after.len()
        || !now
            .iter()
            .all(|one| after.iter().any(|other| same(one, other)));
    let mut done = Done {
        changed,
        result: before.clone(),
        ..Done::default()
    };
    if changed {
        let body = json!({"spec": {"taints": after}});
        let kind = "application/merge-patch+json";
        let answer = job.patch(&path, kind, &body).await;
        done.result = answer.map_err(|refusal| refusal.about("Failed to patch node due to"))?;
        if job.context.diff {
            done.diff = diff::diff(&before, &done.result, &[]);
        }
        if args.state == "absent" {
            done.result = json!({});
        }
    }
    Ok(told(vec![Ok(done)], false))
}

/// A taint as the server has it.
fn taint(map: &Map) -> Result<Json, Fault> {
    unknown_keys("taints", map, &["effect", "key", "value"])?;
    let text = |key: &str| {
        map.get(key)
            .filter(|value| **value != Data::Null)
            .map(Data::text)
    };
    let Some(key) = text("key") else {
        return Err(Fault::new(
            "missing required arguments: key found in taints",
        ));
    };
    let mut taint = json!({"key": key});
    if let Some(effect) = text("effect") {
        if !EFFECTS.contains(&effect.as_str()) {
            return Err(Fault::new(format!(
                "value of effect must be one of: {}, got: {effect} found in taints",
                EFFECTS.join(", ")
            )));
        }
        taint["effect"] = effect.into();
    }
    if let Some(value) = text("value") {
        taint["value"] = value.into();
    }
    Ok(taint)
}

/// Whether a taint is one that shall go.
fn fits(one: &Json, wish: &Json) -> bool {
    ["key", "effect", "value"]
        .iter()
        .all(|key| wish[*key].is_null() || wish[*key] == one[*key])
}

fn same(one: &Json, other: &Json) -> bool {
    ["key", "effect", "value"]
        .iter()
        .all(|key| one[*key] == other[*key])
}

/// A node.
pub(super) async fn node(api: &Api, name: &str) -> Result<Json, Refusal> {
    api.get(&format!("/api/v1/nodes/{}", escaped(name))).await
}
