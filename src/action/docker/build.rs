//! `docker_image_build`: the `docker` program of the host builds, with buildx.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_image_build::Args;
use rplay_modules::map;
use rplay_modules::outcome::Outcome;
use serde_json::json;

use super::engine::failure;
use super::image::{build_words, docker};
use super::pull::full_name;
use super::{Job, escaped, only};
use crate::action::programs::{self, Program};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// The module's name in what is told of its arguments.
const MODULE: &str = "docker_image_build";

/// Builds the image, unless it is there.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let full = full_name(&args.name, &args.tag);
    // What is wrong is told before anything else happens.
    let outputs = each(args.outputs.as_deref(), |given| Output::read(given, &full))?;
    let secrets = each(args.secrets.as_deref(), Secret::read)?;
    for secret in &secrets {
        if let Held::Value(value) = &secret.held {
            context.run.hidden().add(value);
        }
    }
    let mut job = Job::begin(context, &args.cli.engine()).await?;
    let known = job.find("images", &full).await?;
    if known.is_some() && args.rebuild == "never" {
        let image = known.as_ref().map_or(Data::Null, Data::from_json);
        return Ok(TaskResult::ok(map! { "image" => image }));
    }
    let path = programs::expand(job.context, &args.path).await?;
    let mut words: Vec<String> = ["buildx", "build", "--progress", "plain"]
        .map(str::to_owned)
        .to_vec();
    if outputs.is_empty() {
        words.extend(["--tag".to_owned(), full.clone()]);
    }
    let mut env = build_words(&parts(&args, &path), &mut words);
    for (at, secret) in secrets.iter().enumerate() {
        let word = secret.word(job.context, at, &mut env).await?;
        words.extend(["--secret".to_owned(), word]);
    }
    let program = args.cli.docker_cli.as_deref().unwrap_or("docker");
    let mut command = vec![program.to_owned()];
    command.extend(words.clone());
    let has_outputs = !outputs.is_empty();
    let mut files = vec![];
    for mut output in with_own(outputs, &full) {
        output.expand(job.context).await?;
        command.extend(["--output".to_owned(), output.word("")]);
        words.extend(["--output".to_owned(), output.word(PART)]);
        files.extend(output.file().map(str::to_owned));
    }
    for words in [&mut words, &mut command] {
        words.extend(["--".to_owned(), path.clone()]);
    }
    if job.context.check {
        job.assume("images", &full, Some(json!({ "Id": "(new)" })));
        return Ok(TaskResult::changed(
            true,
            map! { "image" => Data::Map(map! {}), "command" => command },
        ));
    }
    let ran = docker(job.context, &args.cli, &words, None, env).await?;
    let built = match ran.code {
        0 => put(job.context, &files, true).await,
        _ => {
            let text = format!("Building {full} failed{}", reason(&ran.stderr));
            let more = map! {
                "stdout" => ran.stdout.clone(),
                "stderr" => ran.stderr.clone(),
                "command" => command.clone(),
            };
            Err(failure(text, more))
        }
    };
    if let Err(error) = built {
        let _ = put(job.context, &files, false).await;
        // Some of what was asked for may be there, and an image that is there is not built again.
        if known.is_none() && has_outputs {
            let _ = job.delete(&format!("/images/{}", escaped(&full))).await;
        }
        return Err(error);
    }
    let now = job.find("images", &full).await?;
    let image = now.as_ref().map_or(Data::Map(map! {}), Data::from_json);
    let result = map! { "image" => image, "command" => command, "stdout" => ran.stdout, "stderr" => ran.stderr };
    let outcome = Outcome {
        changed: true,
        results: result,
        ..Default::default()
    };
    Ok(TaskResult::from(Ok(outcome)))
}

/// What a file is called until all of it is there.
const PART: &str = ".rplay-part";

/// Gives finished files their names, or takes away what there is of others.
async fn put(
    context: &mut Context<'_>,
    files: &[String],
    finished: bool,
) -> Result<(), ActionError> {
    for file in files {
        let part = format!("{file}{PART}");
        let words: &[&str] = match finished {
            true => &["mv", "-fT", "--", &part, file],
            false => &["rm", "-f", "--", &part],
        };
        let ran = Program::new(words).run(context).await?;
        if ran.code != 0 {
            return Err(ActionError::new(format!(
                "{file}: {}{}",
                ran.stderr.trim(),
                ran.msg
            )));
        }
    }
    Ok(())
}

/// What buildx says at its end.
fn reason(said: &str) -> String {
    let error = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("ERROR: "));
    error.map(|error| format!(": {error}")).unwrap_or_default()
}

/// What `docker_image` has as its `build`.
fn parts(args: &Args, path: &str) -> Map {
    let mut parts = map! { "path" => path };
    let mut part = |name: &str, value: Option<Data>| {
        if let Some(value) = value {
            parts.insert(name.to_owned(), value);
        }
    };
    part("dockerfile", args.dockerfile.clone().map(Data::from));
    part("target", args.target.clone().map(Data::from));
    part("network", args.network.clone().map(Data::from));
    part("shm_size", args.shm_size.clone().map(Data::from));
    part("platform", args.platform.clone().map(Data::from));
    part("nocache", Some(args.nocache.into()));
    part("pull", Some(args.pull.into()));
    part("cache_from", args.cache_from.clone().map(Data::from));
    part("labels", args.labels.clone().map(Data::Map));
    part("etc_hosts", args.etc_hosts.clone().map(Data::Map));
    part("args", args.args.clone().map(Data::Map));
    parts
}

fn each<T>(
    given: Option<&[Map]>,
    read: impl Fn(&Map) -> Result<T, ActionError>,
) -> Result<Vec<T>, ActionError> {
    given.into_iter().flatten().map(read).collect()
}

/// One mapping of a list, checked as Ansible checks it.
struct Part<'a> {
    argument: &'static str,
    given: &'a Map,
}

impl<'a> Part<'a> {
    fn new(
        argument: &'static str,
        given: &'a Map,
        known: &[&str],
        alone: &[&[&str]],
    ) -> Result<Self, ActionError> {
        only(MODULE, argument, given, known)?;
        let part = Self { argument, given };
        let both = alone.iter().filter(|names| {
            let there = names.iter().filter(|name| part.get(name).is_some());
            there.count() > 1
        });
        let both: Vec<String> = both.map(|names| names.join("|")).collect();
        match both.is_empty() {
            true => Ok(part),
            false => Err(part.wrong(&format!(
                "parameters are mutually exclusive: {}",
                both.join(", ")
            ))),
        }
    }

    fn wrong(&self, what: &str) -> ActionError {
        ActionError::new(format!("{what} found in {}", self.argument))
    }

    fn get(&self, name: &str) -> Option<&'a Data> {
        self.given.get(name).filter(|value| **value != Data::Null)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(Data::text)
    }

    fn required(&self, name: &str) -> Result<String, ActionError> {
        let missing = || self.wrong(&format!("missing required arguments: {name}"));
        self.text(name).ok_or_else(missing)
    }

    /// Its `type`, one of these words.
    fn kind(&self, words: &[&str]) -> Result<String, ActionError> {
        let kind = self.required("type")?;
        match words.contains(&kind.as_str()) {
            true => Ok(kind),
            false => Err(self.wrong(&format!(
                "value of type must be one of: {}, got: {kind}",
                words.join(", ")
            ))),
        }
    }

    /// What this kind has to have.
    fn of(&self, kind: &str, name: &str) -> Result<String, ActionError> {
        let missing = || {
            self.wrong(&format!(
                "type is {kind} but all of the following are missing: {name}"
            ))
        };
        self.text(name).ok_or_else(missing)
    }
}

/// Where the result goes.
enum Output {
    /// A file or a folder of the host.
    File(String, String),
    /// The engine, or that of another context; or a file for it.
    Docker(Option<String>, Option<String>),
    /// The engine's images, under these names, and perhaps their registries.
    Image(Vec<String>, bool),
}

impl Output {
    fn read(given: &Map, full: &str) -> Result<Self, ActionError> {
        let part = Part::new(
            "outputs",
            given,
            &["context", "dest", "name", "push", "type"],
            &[
                &["dest", "name"],
                &["dest", "push"],
                &["context", "name"],
                &["context", "push"],
            ],
        )?;
        let kind = part.kind(&["local", "tar", "oci", "docker", "image"])?;
        Ok(match kind.as_str() {
            "docker" => Self::Docker(part.text("dest"), part.text("context")),
            "image" => {
                let names = match part.get("name") {
                    Some(Data::List(all)) => all.iter().map(Data::text).collect(),
                    Some(one) => one.text().split(',').map(str::to_owned).collect(),
                    None => vec![],
                };
                let names = match names.is_empty() {
                    true => vec![full.to_owned()],
                    false => names,
                };
                Self::Image(names, truth(&part, "push")?)
            }
            _ => {
                let dest = part.of(&kind, "dest")?;
                Self::File(kind, dest)
            }
        })
    }

    /// Puts in what a path of the host has of variables.
    async fn expand(&mut self, context: &mut Context<'_>) -> Result<(), ActionError> {
        if let Self::File(_, dest) | Self::Docker(Some(dest), _) = self {
            *dest = programs::expand(context, dest).await?;
        }
        Ok(())
    }

    /// The file that it writes; `-` is buildx's standard output.
    fn file(&self) -> Option<&str> {
        match self {
            Self::File(kind, dest) if kind != "local" && dest != "-" => Some(dest),
            Self::Docker(Some(dest), _) if dest != "-" => Some(dest),
            _ => None,
        }
    }

    /// What buildx is told, with this behind the name of a file.
    fn word(&self, end: &str) -> String {
        let end = if self.file().is_some() { end } else { "" };
        let mut fields = vec![];
        match self {
            Self::File(kind, dest) => {
                fields.push(format!("type={kind}"));
                fields.push(format!("dest={dest}{end}"));
            }
            Self::Docker(dest, other) => {
                fields.push("type=docker".to_owned());
                fields.extend(dest.iter().map(|dest| format!("dest={dest}{end}")));
                fields.extend(other.iter().map(|name| format!("context={name}")));
            }
            Self::Image(names, push) => {
                fields.push("type=image".to_owned());
                fields.push(format!("name={}", names.join(",")));
                fields.extend(push.then(|| "push=true".to_owned()));
            }
        }
        csv(&fields)
    }
}

fn truth(part: &Part<'_>, name: &str) -> Result<bool, ActionError> {
    match part.text(name).map(|word| word.to_lowercase()).as_deref() {
        None | Some("false" | "no" | "off" | "0") => Ok(false),
        Some("true" | "yes" | "on" | "1") => Ok(true),
        Some(other) => Err(part.wrong(&format!("`{name}: {other}` is neither true nor false"))),
    }
}

/// buildx forgets the image's own name where something else is asked for, so that stands among it.
fn with_own(mut outputs: Vec<Output>, full: &str) -> Vec<Output> {
    let own = |output: &Output| matches!(output, Output::Image(names, _) if names.iter().any(|name| name == full));
    if !outputs.is_empty() && !outputs.iter().any(own) {
        outputs.push(Output::Image(vec![full.to_owned()], false));
    }
    outputs
}

/// Something that a build may see, and the image does not keep.
struct Secret {
    id: String,
    held: Held,
}

/// Where it is.
enum Held {
    File(String),
    Environment(String),
    Value(String),
}

impl Secret {
    fn read(given: &Map) -> Result<Self, ActionError> {
        let part = Part::new(
            "secrets",
            given,
            &["env", "id", "src", "type", "value"],
            &[&["src", "env", "value"]],
        )?;
        let id = part.required("id")?;
        let kind = part.kind(&["file", "env", "value"])?;
        let held = match kind.as_str() {
            "file" => Held::File(part.of(&kind, "src")?),
            "env" => Held::Environment(part.of(&kind, "env")?),
            _ => Held::Value(part.of(&kind, "value")?),
        };
        Ok(Self { id, held })
    }

    /// What buildx is told; a value goes by its environment, which is no one's to see.
    async fn word(
        &self,
        context: &mut Context<'_>,
        at: usize,
        env: &mut Vec<(String, String)>,
    ) -> Result<String, ActionError> {
        let mut fields = vec![format!("id={}", self.id)];
        match &self.held {
            Held::File(path) => {
                let path = programs::expand(context, path).await?;
                fields.extend(["type=file".to_owned(), format!("src={path}")]);
            }
            Held::Environment(name) => {
                fields.extend(["type=env".to_owned(), format!("env={name}")]);
            }
            Held::Value(value) => {
                let name = format!("RPLAY_BUILD_SECRET_{at}");
                fields.extend(["type=env".to_owned(), format!("env={name}")]);
                env.push((name, value.clone()));
            }
        }
        Ok(csv(&fields))
    }
}

/// Fields as buildx reads them.
fn csv(fields: &[String]) -> String {
    let field = |text: &String| match text.trim() != text || text.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    fields.iter().map(field).collect::<Vec<_>>().join(",")
}
