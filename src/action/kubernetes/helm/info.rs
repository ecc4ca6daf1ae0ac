//! `helm_info`: a release, read.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::helm_info::Args;
use rplay_modules::map;
use serde_json::Value as Json;

use super::{Helm, documents, told, words};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// The states that the program knows; others are not passed on.
const STATES: [&str; 7] = [
    "all",
    "deployed",
    "failed",
    "pending",
    "superseded",
    "uninstalled",
    "uninstalling",
];

/// Reads it.
pub(in super::super) async fn run(
    context: &mut Context<'_>,
    args: Args,
) -> Result<TaskResult, ActionError> {
    let helm = Helm::open(context, &args.helm, Some(&args.release_namespace)).await?;
    let name = args.release_name.as_str();
    let mut list = words(["list", "--output=json"]);
    for state in &args.release_state {
        match state.as_str() {
            // Helm 4 lists all of them anyway.
            "all" if helm.is_four() => {}
            state if STATES.contains(&state) => list.push(format!("--{state}")),
            other => {
                let known = STATES.join(", ");
                let text = format!("release_state must be some of: {known}, got: {other}");
                return Err(ActionError::new(text));
            }
        }
    }
    list.extend(words(["--filter", name]));
    let all = helm.ask(context, &list).await?;
    let mut all = all.as_array().cloned().unwrap_or_default().into_iter();
    let Some(listed) = all.find(|one| one["name"] == name) else {
        return Ok(told(false, Map::new(), vec![], vec![]));
    };
    let found = helm
        .ask(context, &words(["status", name, "--output=json"]))
        .await?;
    let values = match args.get_all_values {
        true => {
            let get = words(["get", "values", "--output=json", name, "-a"]);
            helm.ask(context, &get).await?
        }
        false => found["config"].clone(),
    };
    let values = match values {
        Json::Null => Data::Map(Map::new()),
        values => Data::from_json(&values),
    };
    let objects = |text: &Json| documents(text.as_str().unwrap_or_default());
    let mut hooks = vec![];
    for hook in found["hooks"].as_array().into_iter().flatten() {
        hooks.extend(objects(&hook["manifest"])?);
    }
    let notes = match found["info"]["notes"].as_str() {
        None | Some("") => String::new(),
        Some(notes) => format!("NOTES:\n{notes}\n"),
    };
    let list = |all: Vec<Json>| Data::List(all.iter().map(Data::from_json).collect());
    let mut status = match Data::from_json(&listed) {
        Data::Map(map) => map,
        _ => Map::new(),
    };
    status.extend(map! {
        "release_values" => values.clone(),
        "values" => values,
        "manifest" => list(objects(&found["manifest"])?),
        "notes" => notes,
        "hooks" => list(hooks),
    });
    let results = map! { "status" => Data::Map(status) };
    Ok(told(false, results, vec![], vec![]))
}
