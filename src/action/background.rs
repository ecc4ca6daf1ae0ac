//! `async`, `poll` and `async_status`: tasks in the background.

use std::time::Duration;

use rplay_modules::data::Data;
use rplay_modules::map;
use rplay_modules::registry;
use rplay_modules::wire;

use super::{ActionError, TaskResult};
use crate::report::event::JobState;
use crate::run::context::Context;

/// The keywords of a task in the background.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Background {
    /// `async`: how long it may take, in seconds.
    pub(crate) limit: u64,
    /// `poll`: seconds between two looks at it; 0: nobody waits for it.
    pub(crate) poll: u64,
}

/// Modules that Ansible does not run in the background, because a part of their work is done on
/// the controller.
const FOREGROUND: &[&str] = &[
    "assemble",
    "async_status",
    "copy",
    "raw",
    "script",
    "synchronize",
    "unarchive",
];

/// Starts the task's module in the background, and waits for its end where that is asked for.
pub(crate) async fn run(
    context: &mut Context<'_>,
    wanted: Background,
    tell: &(dyn Fn(&str, JobState) + Send + Sync),
) -> Result<TaskResult, ActionError> {
    let action = context.action();
    if registry::find(action).is_none() || FOREGROUND.contains(&action) {
        return Err(ActionError::Denied(format!(
            "This action ({action}) does not support async."
        )));
    }
    context.job = Some(wire::Job {
        folder: folder(context)?,
        limit: wanted.limit,
    });
    let started = super::run(context).await?;
    context.job = None;
    let id = started.result.get("ansible_job_id").and_then(Data::as_str);
    match id.map(str::to_owned) {
        Some(id) if wanted.poll > 0 && !started.failed => follow(context, wanted, &id, tell).await,
        _ => Ok(started),
    }
}

/// Looks at a task until it is done, and removes what it left behind.
async fn follow(
    context: &mut Context<'_>,
    wanted: Background,
    id: &str,
    tell: &(dyn Fn(&str, JobState) + Send + Sync),
) -> Result<TaskResult, ActionError> {
    let mut left = wanted.limit;
    let mut last = None;
    while left > 0 {
        tokio::time::sleep(Duration::from_secs(wanted.poll)).await;
        left = left.saturating_sub(wanted.poll);
        let seen = match ask(context, id, "status").await {
            Ok(seen) => seen,
            // The connection may come back, and the task goes on meanwhile.
            Err(ActionError::Unreachable(_)) if left > 0 => {
                context.reset_link();
                continue;
            }
            Err(error) => return Err(error),
        };
        let flag = |name: &str| seen.result.get(name) == Some(&Data::Bool(true));
        if flag("finished") {
            tell(
                id,
                if seen.failed {
                    JobState::Failed
                } else {
                    JobState::Ok
                },
            );
            // What cannot be removed does no harm.
            let _ = ask(context, id, "cleanup").await;
            return Ok(seen);
        }
        tell(
            id,
            JobState::Running {
                started: flag("started"),
                finished: false,
            },
        );
        last = Some(seen);
    }
    let msg = format!(
        "async task did not complete within the requested time - {}s",
        wanted.limit
    );
    tell(id, JobState::Failed);
    let mut late = TaskResult::failed(msg.as_str());
    if let Some(seen) = last {
        late.result
            .insert("async_result".to_owned(), Data::Map(seen.result));
    }
    Ok(late)
}

/// `async_status`.
pub(super) async fn status(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let Some(id) = context.text("jid")? else {
        return Err(ActionError::Denied(
            "missing required arguments: jid".to_owned(),
        ));
    };
    let mode = context.text("mode")?.unwrap_or_else(|| "status".to_owned());
    if !matches!(mode.as_str(), "status" | "cleanup") {
        return Err(ActionError::Denied(format!(
            "value of mode must be one of: status, cleanup, got: {mode}"
        )));
    }
    ask(context, &id, &mode).await
}

async fn ask(context: &mut Context<'_>, id: &str, mode: &str) -> Result<TaskResult, ActionError> {
    let args = map! { "jid" => id, "mode" => mode, "_async_dir" => folder(context)? };
    context
        .call_module("ansible.builtin.async_status", &args)
        .await
}

/// Where the target keeps the files of its tasks.
fn folder(context: &Context<'_>) -> Result<String, ActionError> {
    let own = context.variable("ansible_async_dir")?;
    let own = own.map(|value| value.to_string());
    Ok(own
        .or_else(|| context.run.config.text("async_dir"))
        .unwrap_or_else(|| "~/.ansible_async".to_owned()))
}
