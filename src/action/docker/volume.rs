//! `docker_volume`: volumes.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_volume::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::{Job, escaped};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Makes or removes it.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.engine).await?;
    let name = args.volume_name.clone();
    let found = job.find("volumes", &name).await?;
    let mut changes = Changes::default();
    let mut actions = vec![];
    let present = args.state == "present";
    changes.add("exists", present, found.is_some());
    let mut changed = false;
    if present {
        let differs = found
            .as_ref()
            .map(|found| compare(&args, found))
            .unwrap_or_default();
        let anew = found.is_some()
            && match args.recreate.as_str() {
                "always" => true,
                "never" => false,
                _ => !differs.is_empty(),
            };
        changes.merge(differs);
        if anew {
            remove(&mut job, &name, &mut actions).await?;
        }
        if anew || found.is_none() {
            actions.push(format!("Created volume {name} with driver {}", args.driver));
            make(&mut job, &args).await?;
            changed = true;
        }
    } else if found.is_some() {
        remove(&mut job, &name, &mut actions).await?;
        changed = true;
    }
    let mut result = map! {};
    if job.context.check || !present {
        result.insert("actions".to_owned(), actions.into());
    }
    if present {
        let now = match job.context.check {
            true => found,
            false => job.find("volumes", &name).await?,
        };
        let now = now.as_ref().map_or(Data::Null, Data::from_json);
        result.insert("volume".to_owned(), now);
    }
    let mut result = TaskResult::changed(changed, result);
    if job.context.diff {
        result.diff.push(changes.diff());
    }
    Ok(result)
}

async fn remove(
    job: &mut Job<'_, '_>,
    name: &str,
    actions: &mut Vec<String>,
) -> Result<(), ActionError> {
    actions.push(format!("Removed volume {name}"));
    if job.context.check {
        job.assume("volumes", name, None);
        return Ok(());
    }
    let removed = job.delete(&format!("/volumes/{}", escaped(name))).await;
    removed.map_err(|refusal| ActionError::new(refusal.text()))?;
    Ok(())
}

async fn make(job: &mut Job<'_, '_>, args: &Args) -> Result<(), ActionError> {
    let mut body = json!({
        "Name": args.volume_name,
        "Driver": args.driver,
        "DriverOpts": words(&args.driver_options),
    });
    if let Some(labels) = &args.labels {
        body["Labels"] = words(labels);
    }
    if job.context.check {
        job.assume("volumes", &args.volume_name, Some(body));
        return Ok(());
    }
    let made = job.post("/volumes/create", Some(&body)).await;
    made.map_err(|refusal| ActionError::new(refusal.text()))?;
    Ok(())
}

/// A mapping of words.
pub(super) fn words(map: &Map) -> Json {
    let all = map.iter();
    let all = all.map(|(name, value)| (name.clone(), Json::String(value.text())));
    Json::Object(all.collect())
}

fn compare(args: &Args, found: &Json) -> Changes {
    let mut changes = Changes::default();
    if found["Driver"] != args.driver.as_str() {
        changes.add("driver", args.driver.clone(), found["Driver"].clone());
    }
    let options = found["Options"].as_object().cloned().unwrap_or_default();
    if !args.driver_options.is_empty() {
        if options.is_empty() {
            changes.add("driver_options", words(&args.driver_options), json!({}));
        } else {
            for (name, value) in &args.driver_options {
                let known = options.get(name).cloned().unwrap_or_default();
                if known != value.text().as_str() {
                    changes.add(format!("driver_options.{name}"), value.text(), known);
                }
            }
        }
    }
    for (name, value) in args.labels.iter().flatten() {
        let known = found["Labels"][name].clone();
        if known != value.text().as_str() {
            changes.add(format!("labels.{name}"), value.text(), known);
        }
    }
    changes
}
