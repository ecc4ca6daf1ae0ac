//! `docker_image`. Folders and archives are the host's: the `docker` program there reads them; the rest is asked
//! of the engine.

use http::Method;
use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_image::Args;
use rplay_modules::docker::shared::{Cli, Engine};
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::engine::Ask;
use super::pull::{full_name, id, is_id, pull, split, would_change};
use super::{Job, auth, escaped, only, with_query};
use crate::action::programs::{self, Program, Ran};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// The parts of `build` that work.
const BUILD: [&str; 14] = [
    "path",
    "dockerfile",
    "args",
    "nocache",
    "pull",
    "rm",
    "target",
    "labels",
    "network",
    "cache_from",
    "etc_hosts",
    "shm_size",
    "platform",
    "http_timeout",
];

/// Brings an image to its state.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    check(&args)?;
    let full = full_name(&args.name, &args.tag);
    let mut job = Job::begin(context, &args.engine).await?;
    let known = job.find("images", &full).await?;
    if args.state == "absent" {
        return absent(&mut job, &args, &full, known).await;
    }
    let mut actions = vec![];
    let mut changed = false;
    let mut stdout = None;
    let mut now = known.clone();
    let source = args.source.clone().unwrap_or_default();
    if known.is_none() && source == "local" {
        return Err(ActionError::new(format!(
            "Cannot find the image {full} locally."
        )));
    }
    if source != "local" && (known.is_none() || args.force_source) {
        let (said, is_new) = fetch(
            &mut job,
            &args,
            &full,
            &source,
            known.as_ref(),
            &mut actions,
        )
        .await?;
        stdout = said;
        changed |= is_new;
        now = match job.context.check {
            true if is_new => {
                job.assume("images", &full, Some(json!({ "Id": "(new)" })));
                known.clone()
            }
            true => known.clone(),
            false => job.find("images", &full).await?,
        };
    }
    if let Some(path) = &args.archive_path {
        changed |= archive(
            &mut job,
            &args.engine,
            path,
            &full,
            now.as_ref(),
            &mut actions,
        )
        .await?;
    }
    match &args.repository {
        Some(repository) => {
            changed |= tag(
                &mut job,
                &args,
                &full,
                repository,
                now.as_ref(),
                &mut actions,
            )
            .await?
        }
        None if args.push => changed |= push(&mut job, &full, &mut actions).await?,
        None => {}
    }
    let image = match job.context.check {
        true => now,
        false => job.find("images", &full).await?,
    };
    let image = image.as_ref().map_or(Data::Map(map! {}), Data::from_json);
    let mut result = map! { "actions" => actions, "image" => image };
    if let Some(stdout) = stdout {
        result.insert("stdout".to_owned(), stdout.into());
    }
    Ok(TaskResult::changed(changed, result))
}

fn check(args: &Args) -> Result<(), ActionError> {
    if args.state == "present" && args.source.is_none() {
        return Err(ActionError::new(
            "state is present but all of the following are missing: source",
        ));
    }
    match args.source.as_deref() {
        Some("build") if args.build.is_none() => {
            return Err(ActionError::new(
                "source is build but all of the following are missing: build",
            ));
        }
        Some("load") if args.load_path.is_none() => {
            return Err(ActionError::new(
                "source is load but all of the following are missing: load_path",
            ));
        }
        _ => {}
    }
    if let Some(build) = &args.build {
        for name in ["container_limits", "use_config_proxy"] {
            if build.contains_key(name) {
                return Err(ActionError::new(format!(
                    "build: `{name}` is not there yet"
                )));
            }
        }
        only("docker_image", "build", build, &BUILD)?;
        if !build.contains_key("path") {
            return Err(ActionError::new(
                "missing required arguments: path found in build",
            ));
        }
    }
    if let Some(given) = &args.pull {
        only("docker_image", "pull", given, &["platform"])?;
    }
    Ok(())
}

/// Gets the image from where it comes; what was said, and whether it is another one.
async fn fetch(
    job: &mut Job<'_, '_>,
    args: &Args,
    full: &str,
    source: &str,
    known: Option<&Json>,
    actions: &mut Vec<String>,
) -> Result<(Option<String>, bool), ActionError> {
    let check = job.context.check;
    let mut said = None;
    match source {
        "pull" => {
            actions.push(format!("Pulled image {full}"));
            if check {
                return Ok((None, would_change(job, full, known).await?));
            }
            let platform = args
                .pull
                .as_ref()
                .and_then(|pull| pull.get("platform"))
                .map(Data::text);
            pull(job, full, platform.as_deref()).await?;
        }
        "build" => {
            let build = args.build.clone().unwrap_or_default();
            let part = |name: &str| {
                build
                    .get(name)
                    .filter(|value| **value != Data::Null)
                    .map(Data::text)
            };
            let path = part("path").unwrap_or_default();
            actions.push(format!("Built image {full} from {path}"));
            if check {
                return Ok((None, true));
            }
            let engine = cli(&args.engine);
            let mut words = vec!["build".to_owned(), "-t".to_owned(), full.to_owned()];
            let env = build_words(&build, &mut words);
            if part("rm").as_deref() == Some("False") || build.get("rm") == Some(&Data::Bool(false))
            {
                words.push("--rm=false".to_owned());
            }
            words.push(programs::expand(job.context, &path).await?);
            let ran = docker(job.context, &engine, &words, None, env).await?;
            said = Some(done(ran, &format!("Error building {full}"))?);
        }
        _ => {
            let path = args.load_path.clone().unwrap_or_default();
            actions.push(format!("Loaded image {full} from {path}"));
            if check {
                return Ok((None, true));
            }
            let path = programs::expand(job.context, &path).await?;
            let words = ["load".to_owned(), "-i".to_owned(), path.clone()];
            let ran = docker(job.context, &cli(&args.engine), &words, None, vec![]).await?;
            said = Some(done(ran, &format!("Error loading image {full}"))?);
            if job.find("images", full).await?.is_none() {
                return Err(ActionError::new(format!(
                    "The archive {path} did not contain image '{full}'."
                )));
            }
        }
    }
    let now = job.find("images", full).await?;
    Ok((said, id(now.as_ref()) != id(known)))
}

fn cli(engine: &Engine) -> Cli {
    Cli {
        reach: engine.reach.clone(),
        docker_cli: None,
        cli_context: None,
    }
}

/// Arguments of a build; values of the file's arguments go by the environment, which is no one's to see.
pub(super) fn build_words(build: &Map, words: &mut Vec<String>) -> Vec<(String, String)> {
    let mut env = vec![];
    let mut word = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for (name, value) in build {
        match (name.as_str(), value) {
            (_, Data::Null) => {}
            ("dockerfile", value) => {
                let folder = build.get("path").map(Data::text).unwrap_or_default();
                let file = value.text();
                let file = if file.starts_with('/') {
                    file
                } else {
                    format!("{}/{file}", folder.trim_end_matches('/'))
                };
                word("-f", file);
            }
            ("target", value) => word("--target", value.text()),
            ("network", value) => word("--network", value.text()),
            ("shm_size", value) => word("--shm-size", value.text()),
            ("platform", Data::List(all)) => {
                word(
                    "--platform",
                    all.iter().map(Data::text).collect::<Vec<_>>().join(","),
                );
            }
            ("platform", value) => word("--platform", value.text()),
            ("nocache", Data::Bool(true)) => words_flag(&mut word, "--no-cache=true"),
            ("pull", Data::Bool(true)) => words_flag(&mut word, "--pull=true"),
            ("cache_from", Data::List(all)) => {
                all.iter().for_each(|one| word("--cache-from", one.text()))
            }
            ("labels", Data::Map(all)) => all
                .iter()
                .for_each(|(name, value)| word("--label", format!("{name}={}", value.text()))),
            ("etc_hosts", Data::Map(all)) => all
                .iter()
                .for_each(|(name, value)| word("--add-host", format!("{name}:{}", value.text()))),
            ("args", Data::Map(all)) => {
                for (name, value) in all {
                    word("--build-arg", name.clone());
                    env.push((name.clone(), value.text()));
                }
            }
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    env
}

fn words_flag(word: &mut impl FnMut(&str, String), flag: &str) {
    word(flag, String::new());
}

/// Runs the `docker` program for an engine.
pub(super) async fn docker(
    context: &mut Context<'_>,
    cli: &Cli,
    words: &[String],
    stdin: Option<&str>,
    mut env: Vec<(String, String)>,
) -> Result<Ran, ActionError> {
    let program = cli
        .docker_cli
        .clone()
        .unwrap_or_else(|| "docker".to_owned());
    let mut argv = vec![program];
    match &cli.cli_context {
        Some(name) => argv.extend(["--context".to_owned(), name.clone()]),
        None => {
            let (words, address) = super::told(context, &cli.reach).await?;
            argv.extend(words);
            env.push(address);
        }
    }
    argv.extend(words.iter().cloned());
    let mut program = Program::new(&[]);
    program.argv = argv;
    program.stdin = stdin;
    program.env = env;
    program.run(context).await
}

fn done(ran: Ran, what: &str) -> Result<String, ActionError> {
    match ran.code {
        0 => Ok(ran.stdout),
        _ => Err(ActionError::new(format!(
            "{what} - {}{}",
            ran.stderr.trim(),
            if ran.stderr.is_empty() {
                ran.msg
            } else {
                String::new()
            }
        ))),
    }
}

async fn absent(
    job: &mut Job<'_, '_>,
    args: &Args,
    full: &str,
    known: Option<Json>,
) -> Result<TaskResult, ActionError> {
    let mut actions: Vec<String> = vec![];
    let mut image = map! {};
    if known.is_some() {
        let name = match is_id(full) || args.name == full {
            true => args.name.clone(),
            false => full.to_owned(),
        };
        actions.push(format!("Removed image {name}"));
        image.insert("state".to_owned(), "Deleted".into());
        if job.context.check {
            job.assume("images", full, None);
        } else {
            let query = [("force", u8::from(args.force_absent).to_string())];
            let path = with_query(&format!("/images/{}", escaped(full)), &query);
            match job.delete(&path).await {
                Err(refusal) if !refusal.is(404) => {
                    let text = format!("Error removing image {name} - {}", refusal.text());
                    return Err(ActionError::new(text));
                }
                _ => {}
            }
        }
    }
    let changed = known.is_some();
    let result = map! { "actions" => actions, "image" => Data::Map(image) };
    Ok(TaskResult::changed(changed, result))
}

/// Gives the image another name, and pushes that one.
async fn tag(
    job: &mut Job<'_, '_>,
    args: &Args,
    full: &str,
    repository: &str,
    image: Option<&Json>,
    actions: &mut Vec<String>,
) -> Result<bool, ActionError> {
    let wanted = full_name(
        repository,
        split(full)
            .1
            .filter(|tag| !tag.starts_with("sha256:"))
            .unwrap_or("latest"),
    );
    let known = job.find("images", &wanted).await?;
    let mut changed = false;
    let is_same = known.is_some() && id(known.as_ref()) == id(image);
    if known.is_none() || (args.force_tag && !is_same) {
        actions.push(format!("Tagged image {full} to {wanted}"));
        changed = true;
        if job.context.check {
            job.assume("images", &wanted, image.cloned());
        } else {
            let (name, tag) = split(&wanted);
            let query = [
                ("repo", name.to_owned()),
                ("tag", tag.unwrap_or("latest").to_owned()),
                ("force", "1".to_owned()),
            ];
            let path = with_query(&format!("/images/{}/tag", escaped(full)), &query);
            job.post(&path, None)
                .await
                .map_err(|refusal| refusal.about("Error: failed to tag image"))?;
        }
    }
    if args.push {
        changed |= push(job, &wanted, actions).await?;
    }
    Ok(changed)
}

async fn push(
    job: &mut Job<'_, '_>,
    full: &str,
    actions: &mut Vec<String>,
) -> Result<bool, ActionError> {
    let (name, tag) = split(full);
    actions.push(format!("Pushed image {name} to {full}"));
    if job.context.check {
        return Ok(true);
    }
    let header = auth::header(job.context, full).await?;
    let query = [("tag", tag.unwrap_or("latest").to_owned())];
    let path = with_query(&format!("/images/{}/push", escaped(name)), &query);
    // The engine insists on the header, also where there is no log-in.
    let ask = Ask::new(Method::POST, &path).header(
        "x-registry-auth",
        header.unwrap_or_else(|| "e30=".to_owned()),
    );
    let said = job.watch(ask).await;
    let said = said.map_err(|refusal| {
        ActionError::new(format!("Error pushing image {name}: {}", refusal.text()))
    })?;
    Ok(said.iter().any(|one| one["status"] == "Pushed"))
}

/// Saves the image, unless the archive holds it already.
async fn archive(
    job: &mut Job<'_, '_>,
    engine: &Engine,
    path: &str,
    full: &str,
    image: Option<&Json>,
    actions: &mut Vec<String>,
) -> Result<bool, ActionError> {
    let path = programs::expand(job.context, path).await?;
    let ran = Program::new(&["tar", "-xOf", &path, "manifest.json"])
        .run(job.context)
        .await?;
    let held: Json = serde_json::from_str(&ran.stdout).unwrap_or_default();
    let config = held[0]["Config"].as_str().unwrap_or_default();
    let config = config
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".json");
    let tags = held[0]["RepoTags"].as_array().cloned().unwrap_or_default();
    let number = id(image).unwrap_or_default().trim_start_matches("sha256:");
    if !number.is_empty() && config == number && tags == [json!(full)] {
        return Ok(false);
    }
    actions.push(format!(
        "Archived image {full} to {path}, {}",
        match config {
            "" => "since none present".to_owned(),
            other => format!("overwriting archive with image {other}"),
        }
    ));
    if !job.context.check {
        let words = [
            "save".to_owned(),
            "-o".to_owned(),
            path.clone(),
            full.to_owned(),
        ];
        let ran = docker(job.context, &cli(engine), &words, None, vec![]).await?;
        done(ran, &format!("Error getting image {full}"))?;
    }
    Ok(true)
}
