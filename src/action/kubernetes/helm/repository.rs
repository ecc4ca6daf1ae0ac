//! `helm_repository`: repositories of charts, as the program knows them.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::helm_repository::Args;
use rplay_modules::map;
use rplay_modules::outcome::Diff;
use serde_json::{Value as Json, json};

use super::{Helm, told, words};
use crate::action::programs;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Adds or removes one.
pub(in super::super) async fn run(
    context: &mut Context<'_>,
    args: Args,
) -> Result<TaskResult, ActionError> {
    let helm = Helm::open(context, &args.helm, None).await?;
    let (name, url) = (args.repo_name.as_str(), args.repo_url.as_deref());
    let url = url.unwrap_or_default().trim_end_matches('/');
    let known = known(context, &helm, name).await?;
    let present = args.repo_state == "present";
    let known_url = known
        .as_ref()
        .map(|one| one["url"].as_str().unwrap_or_default());
    let changed = match (present, known_url) {
        (true, Some(known)) if !args.force_update => {
            if known.trim_end_matches('/') != url {
                return Err(ActionError::new(format!(
                    "Repository already have a repository named {name}"
                )));
            }
            false
        }
        (true, _) => true,
        (false, known) => known.is_some(),
    };
    if !changed {
        let shown = args.repo_url.as_ref().map(|_| url.to_owned());
        let results =
            map! { "repo_name" => name, "repo_url" => shown.map_or(Data::Null, Data::from) };
        return Ok(told(false, results, vec![], vec![]));
    }
    let diff = match context.diff {
        true => {
            let side = |url: Option<&str>| match url {
                Some(url) => map! { "name" => name, "url" => url },
                None => Map::new(),
            };
            let after = present.then_some(url);
            match known_url == after {
                true => vec![],
                false => vec![Diff::attributes(side(known_url), side(after))],
            }
        }
        false => vec![],
    };
    let key = key(context, name).await?;
    if context.check {
        let made = present.then(|| entry(&args, url));
        context.links.charts.insert(key, made);
        return Ok(told(true, Map::new(), diff, vec![]));
    }
    context.links.charts.remove(&key);
    let mut stdin = None;
    let command = match present {
        true => added(&helm, &args, url, &mut stdin),
        false => words(["repo", "rm", name]),
    };
    let ran = helm.run(context, &command, stdin.as_deref()).await?;
    let results = map! {
        "command" => helm.line(&command),
        "stdout" => ran.stdout,
        "stderr" => ran.stderr,
    };
    Ok(told(true, results, diff, vec![]))
}

/// The repositories that count for a chart, where an earlier task of this check would have added or removed its own.
pub(super) async fn foreseen(
    context: &mut Context<'_>,
    chart: &str,
) -> Result<Option<Vec<Json>>, ActionError> {
    let name = match chart.split_once('/') {
        Some((name, _)) if context.check && !context.links.charts.is_empty() => name,
        _ => return Ok(None),
    };
    let key = key(context, name).await?;
    let made = context.links.charts.get(&key);
    Ok(made.map(|made| made.iter().cloned().collect()))
}

/// A repository as the program's file has it.
fn entry(args: &Args, url: &str) -> Json {
    json!({
        "name": args.repo_name,
        "url": url,
        "username": args.repo_username.as_deref().unwrap_or_default(),
        "password": args.repo_password.as_deref().unwrap_or_default(),
        "pass_credentials_all": args.pass_credentials,
        "insecure_skip_tls_verify": args.insecure_skip_tls_verify,
    })
}

/// Whose repository of this name is meant.
async fn key(context: &mut Context<'_>, name: &str) -> Result<String, ActionError> {
    let mut key = format!("{}|", context.target);
    if let Some(r#become) = &context.r#become {
        key += &r#become.user;
    }
    for variable in ["HELM_REPOSITORY_CONFIG", "HELM_CONFIG_HOME"] {
        let value = programs::variable(context, variable).await?;
        key += &format!("|{}", value.unwrap_or_default());
    }
    Ok(key + "|" + name)
}

/// The repository as the program knows it, or as earlier tasks of this check would have left it.
async fn known(
    context: &mut Context<'_>,
    helm: &Helm,
    name: &str,
) -> Result<Option<Json>, ActionError> {
    if context.check {
        let key = key(context, name).await?;
        if let Some(made) = context.links.charts.get(&key) {
            return Ok(made.clone());
        }
    }
    let list = words(["repo", "list", "--output=json"]);
    let ran = helm.call(context, &list, None).await?;
    let all = match ran.code {
        1 if ran.stderr.contains("no repositories to show") => json!([]),
        0 => helm.read(&list, &ran)?,
        _ => return Err(helm.failed(&list, &ran)),
    };
    let mut all = all.as_array().cloned().unwrap_or_default().into_iter();
    Ok(all.find(|one| one["name"] == name))
}

fn added(helm: &Helm, args: &Args, url: &str, stdin: &mut Option<String>) -> Vec<String> {
    let mut command = words(["repo", "add", &args.repo_name, url]);
    if let (Some(user), Some(password)) = (&args.repo_username, &args.repo_password) {
        command.push(format!("--username={user}"));
        // Older programs take it as an argument only.
        match helm.version >= (3, 9, 0) {
            true => {
                command.push("--password-stdin".to_owned());
                *stdin = Some(password.clone());
            }
            false => command.push(format!("--password={password}")),
        }
    }
    for (given, word) in [
        (args.pass_credentials, "--pass-credentials"),
        (args.force_update, "--force-update"),
        (args.insecure_skip_tls_verify, "--insecure-skip-tls-verify"),
    ] {
        if given {
            command.push(word.to_owned());
        }
    }
    command
}
