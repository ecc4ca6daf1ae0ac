//! `k8s`: objects made, changed and removed.

use rplay_modules::data::Data;
use rplay_modules::kubernetes::k8s::Args;
use serde_json::Value as Json;

use super::api::Fault;
use super::definition::{Defaults, definitions, unknown_keys};
use super::discovery::text;
use super::objects::{State, Wish, perform, remove_all};
use super::wait::Patience;
use super::{Job, told};
use crate::action::address::with_query;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;
use crate::template::hashed_name;

/// Does what the task asks for.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let wish = wish(&args)?;
    let defaults = Defaults {
        version: &args.name.api_version,
        kind: args.name.kind.as_deref(),
        name: args.name.name.as_deref(),
        namespace: args.name.namespace.as_deref(),
        generate_name: args.generate_name.as_deref().filter(|_| !args.apply),
    };
    let given = args.definition.resource_definition.as_ref();
    let src = args.definition.src.as_deref();
    let mut all = definitions(context, given, src, args.template.as_ref(), &defaults).await?;
    if args.append_hash {
        for definition in &mut all {
            if let Some(name) = hashed_name(definition) {
                definition["metadata"]["name"] = name.into();
            }
        }
    }
    let mut job = Job::begin(context, &args.auth).await?;
    if let Some(validate) = &args.validate {
        let strict = validate.get("strict") != Some(&Data::Bool(false));
        let fail = validate.get("fail_on_error") == Some(&Data::Bool(true));
        for definition in &all {
            check(&mut job, definition, strict, fail).await?;
        }
    }
    let implicit = given.is_none() && src.is_none() && args.template.is_none();
    if wish.state == State::Absent && implicit && args.delete_all && args.name.name.is_none() {
        let all = remove_all(&mut job, &all[0], &wish).await?;
        return Ok(told(all.into_iter().map(Ok).collect(), true));
    }
    let several = all.len() > 1;
    let mut results = vec![];
    for definition in all {
        match perform(&mut job, definition, &wish).await {
            Err(fault) if !args.continue_on_error => return Err(fault.into()),
            Err(fault) if !several => return Err(fault.into()),
            result => results.push(result),
        }
    }
    Ok(told(results, several))
}

fn wish(args: &Args) -> Result<Wish, Fault> {
    let state = match args.state.as_str() {
        "absent" => State::Absent,
        "patched" => State::Patched,
        _ => State::Present,
    };
    if let Some(options) = &args.delete_options {
        let known = ["gracePeriodSeconds", "preconditions", "propagationPolicy"];
        unknown_keys("delete_options", options, &known)?;
    }
    if let Some(options) = &args.validate {
        unknown_keys("validate", options, &["fail_on_error", "strict", "version"])?;
        if options
            .get("version")
            .is_some_and(|version| *version != Data::Null)
        {
            let text = "validate.version: the server checks the definitions, so they are checked against its own version";
            return Err(Fault::new(text));
        }
    }
    let server_side = match &args.server_side_apply {
        Some(options) if args.apply => {
            unknown_keys(
                "server_side_apply",
                options,
                &["field_manager", "force_conflicts"],
            )?;
            let manager = options.get("field_manager").map(Data::text);
            let missing = "missing required arguments: field_manager found in server_side_apply";
            let manager = manager.ok_or_else(|| Fault::new(missing))?;
            Some((
                manager,
                options.get("force_conflicts") == Some(&Data::Bool(true)),
            ))
        }
        _ => None,
    };
    Ok(Wish {
        state,
        apply: args.apply,
        server_side,
        force: args.force,
        merge_type: args.merge_type.clone(),
        delete_options: args
            .delete_options
            .as_ref()
            .map(|map| Data::Map(map.clone()).to_json()),
        delete_all: args.delete_all,
        selectors: args.label_selectors.clone().unwrap_or_default(),
        hidden: args.hidden_fields.clone().unwrap_or_default(),
        patience: Patience::of(&args.wait, state == State::Absent)?,
    })
}

/// Has the server check a definition without doing anything.
async fn check(
    job: &mut Job<'_, '_>,
    definition: &Json,
    strict: bool,
    fail: bool,
) -> Result<(), Fault> {
    let resource = job
        .find(&text(&definition["apiVersion"]), &text(&definition["kind"]))
        .await?;
    let namespace = definition["metadata"]["namespace"].as_str();
    let Some(name) = definition["metadata"]["name"].as_str() else {
        return Ok(());
    };
    let level = if strict { "Strict" } else { "Warn" };
    let query = [
        ("dryRun", "All".to_owned()),
        ("fieldManager", "rplay-validate".to_owned()),
        ("force", "true".to_owned()),
        ("fieldValidation", level.to_owned()),
    ];
    let path = with_query(&resource.path(namespace, Some(name)), &query);
    let kind = "application/apply-patch+yaml";
    let sent = job
        .cluster()
        .api
        .call(http::Method::PATCH, &path, kind, Some(definition))
        .await;
    // A namespace that an earlier task would have made is no fault of the definition.
    let Err(refusal) = sent else { return Ok(()) };
    if refusal.code() == Some(404) {
        return Ok(());
    }
    let text = format!(
        "{} is not valid: {}",
        super::wait::title(definition, ""),
        refusal.message()
    );
    match fail {
        true => Err(Fault::new(text)),
        false => {
            job.context.warn(text);
            Ok(())
        }
    }
}
