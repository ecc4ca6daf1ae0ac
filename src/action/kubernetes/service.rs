//! `k8s_service`: services.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::k8s_service::Args;
use serde_json::{Value as Json, json};

use super::definition::{Defaults, definitions};
use super::objects::{State, Wish, perform};
use super::{Job, told};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Makes, changes or removes the service.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let defaults = Defaults {
        version: "v1",
        kind: Some("Service"),
        name: Some(&args.name),
        namespace: Some(&args.namespace),
        generate_name: None,
    };
    let given = args.definition.resource_definition.as_ref();
    let src = args.definition.src.as_deref();
    let mut all = definitions(context, given, src, None, &defaults).await?;
    let Some(mut definition) = all.pop() else {
        return Err(ActionError::new("the definition is empty"));
    };
    definition["kind"] = "Service".into();
    let map = |map: &Map| Data::Map(map.clone()).to_json();
    let mut set = |key: &str, value: Option<Json>| {
        if let Some(value) = value {
            if !definition["spec"].is_object() {
                definition["spec"] = json!({});
            }
            definition["spec"][key] = value;
        }
    };
    set("type", args.kind.clone().map(Json::from));
    set("selector", args.selector.as_ref().map(map));
    let ports = args
        .ports
        .as_ref()
        .map(|ports| ports.iter().map(map).collect());
    set("ports", ports);
    let wish = Wish {
        state: if args.state == "absent" {
            State::Absent
        } else {
            State::Present
        },
        apply: args.apply,
        force: args.force,
        merge_type: args.merge_type.clone(),
        ..Wish::default()
    };
    let mut job = Job::begin(context, &args.auth).await?;
    let done = perform(&mut job, definition, &wish).await?;
    Ok(told(vec![Ok(done)], false))
}
