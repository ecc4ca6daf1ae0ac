//! `k8s_json_patch`: an object changed by the operations of a JSON patch.

use rplay_modules::data::Data;
use rplay_modules::kubernetes::k8s_json_patch::Args;

use super::api::{Fault, Refusal};
use super::objects::{Done, explained};
use super::reasons::why;
use super::wait::{self, Patience};
use super::{Job, diff, told};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Changes the object.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let patience = Patience::of(&args.wait, false)?;
    let mut job = Job::begin(context, &args.auth).await?;
    let resource = job.find(&args.api_version, &args.kind).await?;
    let path = resource.path(args.namespace.as_deref(), Some(&args.name));
    let failed = |what: &str, refusal: &Refusal| -> Fault {
        let fault = refusal.about(what);
        match refusal.code() {
            Some(code) => fault
                .with("error", i64::from(code))
                .with("status", i64::from(code)),
            None => fault,
        }
    };
    let what = format!(
        "{} {}: Failed to retrieve requested object",
        resource.kind, args.name
    );
    let before = job.cluster().api.get(&path).await;
    let before = before.map_err(|refusal| failed(&what, &refusal))?;
    let operations: Vec<Data> = args.patch.iter().cloned().map(Data::Map).collect();
    let body = Data::List(operations).to_json();
    let kind = "application/json-patch+json";
    let after = job.patch(&path, kind, &body).await;
    let after = after.map_err(|refusal| failed("Failed to patch existing object", &refusal))?;
    let changed = !diff::same(&before, &after, false);
    let mut done = Done {
        changed,
        diff: match job.context.diff {
            true => diff::diff(&before, &after, &args.hidden_fields),
            false => None,
        },
        result: after,
        ..Done::default()
    };
    if let Some(patience) = patience.filter(|_| !job.context.check) {
        let api = job.cluster().api.clone();
        let waited = wait::until(
            &api,
            &path,
            Some(&done.result),
            &patience,
            &*job.context.display,
        )
        .await;
        let waited = waited.map_err(|refusal| failed("waiting failed", &refusal))?;
        done.duration = Some(waited.seconds);
        if !waited.reached {
            let why = why(&api, &waited).await;
            let mut fault = Fault::new("Timed out waiting on resource");
            fault.more = done.map();
            return Err(explained(fault.with("changed", changed), why).into());
        }
        done.result = waited.object;
    }
    diff::hide(&mut done.result, &args.hidden_fields);
    Ok(told(vec![Ok(done)], false))
}
