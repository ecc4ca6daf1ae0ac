//! `docker_image_pull`, and what pulls images for others.

use http::Method;
use rplay_modules::data::Data;
use rplay_modules::docker::docker_image_pull::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::engine::{Ask, Refusal};
use super::{Job, auth, escaped, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// The name and the tag or digest of an image.
pub(super) fn split(name: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = name.split_once('@') {
        // A tag beside a digest says nothing.
        return (name, Some(digest));
    }
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    }
}

/// Whether a name is an image's number.
pub(super) fn is_id(name: &str) -> bool {
    let bare = name.strip_prefix("sha256:");
    bare.is_some_and(|bare| bare.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A name with its tag.
pub(super) fn full_name(name: &str, tag: &str) -> String {
    match split(name) {
        _ if is_id(name) => name.to_owned(),
        (_, Some(_)) => name.to_owned(),
        (_, None) if tag.starts_with("sha256:") => format!("{name}@{tag}"),
        (_, None) => format!("{name}:{tag}"),
    }
}

/// Pulls an image.
pub(super) async fn pull(
    job: &mut Job<'_, '_>,
    full: &str,
    platform: Option<&str>,
) -> Result<(), ActionError> {
    let (name, tag) = split(full);
    let mut query = vec![];
    if let Some(tag) = tag {
        query.push(("tag", tag.to_owned()));
    }
    query.push(("fromImage", name.to_owned()));
    if let Some(platform) = platform {
        query.push(("platform", platform.to_owned()));
    }
    let path = with_query("/images/create", &query);
    let mut ask = Ask::new(Method::POST, &path);
    if let Some(header) = auth::header(job.context, full).await? {
        ask = ask.header("x-registry-auth", header);
    }
    let pulled = job.watch(ask).await;
    pulled.map_err(|refusal| {
        let text = refusal.text();
        ActionError::new(match refusal {
            // What a registry refuses arrives in the middle of the answer.
            Refusal::Silence(_) => format!("Error pulling {name} - {text}"),
            Refusal::Answer { .. } => format!("Error pulling image {full} - {text}"),
        })
    })?;
    Ok(())
}

/// Whether a pull would bring another image than the one that is there.
pub(super) async fn would_change(
    job: &mut Job<'_, '_>,
    full: &str,
    known: Option<&Json>,
) -> Result<bool, ActionError> {
    let (name, _) = split(full);
    let path = format!("/distribution/{}/json", escaped(full));
    let mut ask = Ask::new(Method::GET, &path);
    if let Some(header) = auth::header(job.context, full).await? {
        ask = ask.header("x-registry-auth", header);
    }
    let said = job.ask(ask).await;
    let said = said.map_err(|refusal| {
        ActionError::new(format!("Error pulling image {full} - {}", refusal.text()))
    })?;
    let said: Json = serde_json::from_slice(&said).unwrap_or_default();
    let Some(digest) = said["Descriptor"]["digest"].as_str() else {
        return Ok(true);
    };
    let wanted = format!("{name}@{digest}");
    let digests = known.and_then(|known| known["RepoDigests"].as_array());
    let is_same = |one: &Json| {
        one.as_str()
            .is_some_and(|one| one == wanted || one.ends_with(&format!("/{wanted}")))
    };
    Ok(!digests.into_iter().flatten().any(is_same))
}

/// Pulls.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    if is_id(&args.name) {
        return Err(ActionError::new("Cannot pull an image by ID"));
    }
    let full = full_name(&args.name, &args.tag);
    let mut job = Job::begin(context, &args.engine).await?;
    let known = match job.find("images", &full).await {
        // The pull says what is wrong with a name.
        Err(refusal) if refusal.is(400) => None,
        known => known?,
    };
    let mut actions = vec![];
    let mut changed = false;
    let mut now = known.clone();
    if known.is_none() || args.pull == "always" {
        actions.push(format!("Pulled image {full}"));
        if job.context.check {
            changed = would_change(&mut job, &full, known.as_ref()).await?;
            now = changed.then(|| json!({ "Id": "unknown" })).or(now);
            if changed {
                job.assume("images", &full, now.clone());
            }
        } else {
            pull(&mut job, &full, args.platform.as_deref()).await?;
            now = job.find("images", &full).await?;
            changed = id(now.as_ref()) != id(known.as_ref());
        }
    }
    let mut changes = Changes::default();
    let side = |image: Option<&Json>, name: &'static str| match image {
        Some(image) => (name, image["Id"].clone()),
        None => ("exists", false.into()),
    };
    let (before, after) = (side(known.as_ref(), "id"), side(now.as_ref(), "id"));
    match before.0 == after.0 {
        true => changes.add(after.0, after.1, before.1),
        false => changes.add(after.0, after.1, Json::Null),
    }
    let shown = match job.context.check && changed {
        true => known.as_ref().map_or(json!({}), Json::clone),
        false => now.unwrap_or_default(),
    };
    let result = map! { "actions" => actions, "image" => Data::from_json(&shown) };
    let mut result = TaskResult::changed(changed, result);
    result.diff.push(match known.is_some() {
        true => changes.diff(),
        false => changes.diff_from(map! { "exists" => false }),
    });
    Ok(result)
}

pub(super) fn id(image: Option<&Json>) -> Option<&str> {
    image.and_then(|image| image["Id"].as_str())
}

#[cfg(test)]
mod tests {
    use super::{full_name, split};

    #[test]
    fn names() {
        assert_eq!(split("127.0.0.1:5000/a"), ("127.0.0.1:5000/a", None));
        assert_eq!(split("127.0.0.1:5000/a:1"), ("127.0.0.1:5000/a", Some("1")));
        assert_eq!(split("a@sha256:00"), ("a", Some("sha256:00")));
        assert_eq!(full_name("a", "latest"), "a:latest");
        assert_eq!(full_name("a:1", "latest"), "a:1");
    }
}
