//! `docker_login`: the engine asks the registry, and the log-in is kept in the user's file or by the program
//! that the file names. The password goes through streams only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rplay_modules::data::Data;
use rplay_modules::docker::docker_login::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::{Job, auth};
use crate::action::programs::{self, Program};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Logs in or out.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let path = programs::expand(context, &args.config_path).await?;
    let config = auth::config(context, &path).await?;
    if args.state == "absent" {
        return out(context, &args, &path, config).await;
    }
    let user = args.username.clone().unwrap_or_default();
    let password = args.password.clone().unwrap_or_default();
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    context.run.hidden().add(&password);
    context.run.hidden().add(&encoded);
    let registry = args.registry_url.clone();
    let known = auth::kept(context, &config, &registry).await?;
    let is_same = known.is_some_and(|known| known.user == user && known.password == password);
    let said;
    if !is_same || args.reauthorize {
        let asked = json!({
            "username": user,
            "password": password,
            "email": null,
            "serveraddress": registry,
        });
        let mut job = Job::begin(context, &args.engine).await?;
        let answer = job.post("/auth", Some(&asked)).await;
        said = answer.map_err(|refusal| {
            let what = format!("Logging into {registry} for user {user} failed - ");
            ActionError::new(format!("{what}{}", refusal.text()))
        })?;
        if let Some(token) = said["IdentityToken"].as_str() {
            job.context.run.hidden().add(token);
        }
    } else {
        Job::begin(context, &args.engine).await?;
        said = json!({ "username": user, "email": null, "serveraddress": registry });
    }
    if !is_same {
        store(
            context,
            &path,
            config,
            &registry,
            (&user, &password, &encoded),
        )
        .await?;
    }
    let result = map! { "login_result" => shown(&said) };
    Ok(TaskResult::changed(!is_same || args.reauthorize, result))
}

/// What the registry said, without tokens.
fn shown(said: &Json) -> Data {
    let mut said = said.clone();
    if let Some(map) = said.as_object_mut() {
        map.remove("password");
    }
    match said {
        Json::Null => Data::Map(map! {}),
        said => Data::from_json(&said),
    }
}

/// Keeps a log-in.
async fn store(
    context: &mut Context<'_>,
    path: &str,
    mut config: Json,
    registry: &str,
    (user, password, encoded): (&str, &str, &str),
) -> Result<(), ActionError> {
    if let Some(keeper) = auth::keeper(&config, registry) {
        if context.check {
            return Ok(());
        }
        let secret = json!({ "ServerURL": registry, "Username": user, "Secret": password });
        return keep(context, &keeper, "store", &secret.to_string()).await;
    }
    if !config["auths"].is_object() {
        config["auths"] = json!({});
    }
    config["auths"][registry] = json!({ "auth": encoded });
    write(context, path, &config).await
}

async fn keep(
    context: &mut Context<'_>,
    keeper: &str,
    verb: &str,
    input: &str,
) -> Result<(), ActionError> {
    let mut program = Program::new(&[keeper, verb]);
    program.stdin = Some(input);
    let ran = program.run(context).await?;
    match ran.code {
        0 => Ok(()),
        _ => Err(ActionError::new(format!(
            "{keeper} {verb} failed: {}{}{}",
            ran.stdout, ran.stderr, ran.msg
        ))),
    }
}

async fn write(context: &mut Context<'_>, path: &str, config: &Json) -> Result<(), ActionError> {
    let mut bytes = vec![];
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, form);
    serde::Serialize::serialize(config, &mut writer)
        .map_err(|error| ActionError::new(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    programs::write(context, path, &text).await
}

async fn out(
    context: &mut Context<'_>,
    args: &Args,
    path: &str,
    mut config: Json,
) -> Result<TaskResult, ActionError> {
    let registry = args.registry_url.clone();
    Job::begin(context, &args.engine).await?;
    let is_kept = auth::kept(context, &config, &registry).await?.is_some();
    if is_kept {
        match auth::keeper(&config, &registry) {
            Some(_) if context.check => {}
            Some(keeper) => keep(context, &keeper, "erase", &registry).await?,
            None => {
                if let Some(auths) = config["auths"].as_object_mut() {
                    auths.shift_remove(&registry);
                }
                write(context, path, &config).await?;
            }
        }
    }
    let result = map! { "login_result" => Data::Map(map! {}) };
    Ok(TaskResult::changed(is_kept, result))
}
