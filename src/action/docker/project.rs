//! A Compose project on its host: where it is, how Compose is called, and what Compose makes of its files.

use rplay_modules::data::Data;
use rplay_modules::docker::shared::{Cli, Project};
use serde_json::{Value as Json, json};

use super::files::{self, Program, Ran};
use super::image::docker;
use crate::action::ActionError;
use crate::run::context::Context;

/// The files that are looked for, in this order.
const USUAL: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// What adds to them.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// A project that was read.
pub(super) struct Open {
    cli: Cli,
    /// The program: `docker compose`, or a `docker-compose` of the same kind.
    program: Vec<String>,
    /// Arguments before the command.
    words: Vec<String>,
    /// Its folder, which names of files are relative to.
    folder: Option<String>,
    /// The project as text, where it is no folder.
    definition: Option<String>,
    /// Its name.
    pub(super) name: String,
    /// What Compose makes of it.
    pub(super) model: Json,
    /// The hashes of the services' configurations.
    pub(super) hashes: Vec<(String, String)>,
    /// Compose's version.
    pub(super) version: (u32, u32),
}

/// Reads a project.
pub(super) async fn open(context: &mut Context<'_>, args: &Project) -> Result<Open, ActionError> {
    let cli = args.cli.clone();
    let (program, version) = program(context, &cli).await?;
    let mut open = Open {
        cli,
        program,
        words: ["--ansi", "never", "--progress", "plain"]
            .map(str::to_owned)
            .to_vec(),
        folder: None,
        definition: None,
        name: String::new(),
        model: json!({}),
        hashes: vec![],
        version,
    };
    let mut sources = vec![];
    if let Some(definition) = &args.definition {
        let text = Data::Map(definition.clone()).to_json().to_string();
        open.definition = Some(text);
        open.words
            .extend(["--project-directory", "/", "--file", "-"].map(str::to_owned));
    } else {
        let folder = args.project_src.clone().unwrap_or_default();
        let folder = files::expand(context, &folder).await?;
        sources = find(context, args, &folder).await?;
        open.words
            .extend(["--project-directory".to_owned(), folder.clone()]);
        open.folder = Some(folder);
    }
    if let Some(name) = &args.project_name {
        open.words
            .extend(["--project-name".to_owned(), name.clone()]);
    }
    for profile in args.profiles.iter().flatten() {
        open.words.extend(["--profile".to_owned(), profile.clone()]);
    }
    let mut files = vec![];
    for file in args.files.iter().flatten() {
        files.extend(["--file".to_owned(), file.clone()]);
    }
    for file in args.env_files.iter().flatten() {
        files.extend(["--env-file".to_owned(), file.clone()]);
    }
    let unwritten = context.check && sources.iter().any(|source| source.differs);
    let (model, hashes) = match unwritten {
        true => unsaved(context, &open, &sources).await?,
        false => {
            open.words.extend(files);
            let config = ["config", "--format", "json"].map(str::to_owned);
            let model = good(open.compose(context, &config).await?)?;
            let config = ["config", "--hash", "*"].map(str::to_owned);
            (model, good(open.compose(context, &config).await?)?)
        }
    };
    open.model = serde_json::from_str(&model).map_err(|error| {
        ActionError::new(format!(
            "Cannot read what Compose makes of the project: {error}"
        ))
    })?;
    open.hashes = hashes
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, hash)| (name.to_owned(), hash.trim().to_owned()))
        .collect();
    open.name = open.model["name"].as_str().unwrap_or_default().to_owned();
    Ok(open)
}

fn good(ran: Ran) -> Result<String, ActionError> {
    match ran.code {
        0 => Ok(ran.stdout),
        _ => {
            let said = ran
                .stderr
                .lines()
                .rfind(|line| !line.trim().is_empty() && !line.starts_with("time="));
            let said = said.map_or(ran.msg, str::to_owned);
            let more = rplay_modules::map! { "rc" => ran.code, "stderr" => ran.stderr.clone() };
            Err(super::engine::failure(
                format!("General error: {said}"),
                more,
            ))
        }
    }
}

/// The program, and its version.
async fn program(
    context: &mut Context<'_>,
    cli: &Cli,
) -> Result<(Vec<String>, (u32, u32)), ActionError> {
    let words = ["compose", "version", "--short"].map(str::to_owned);
    let ran = docker(context, cli, &words, None, vec![]).await?;
    let name = cli
        .docker_cli
        .clone()
        .unwrap_or_else(|| "docker".to_owned());
    if ran.code == 0
        && let Some(version) = version(&ran.stdout)
    {
        return Ok((vec!["compose".to_owned()], version));
    }
    let alone = Program::new(&["docker-compose", "version", "--short"])
        .run(context)
        .await?;
    match version(&alone.stdout).filter(|_| alone.code == 0) {
        Some(version) if version.0 >= 2 => Ok((vec![], version)),
        Some(_) => Err(ActionError::new(format!(
            "the host has only docker-compose {}, whose projects Compose 2 does not share; install the plugin `docker compose` (2.18.0 or newer)",
            alone.stdout.trim()
        ))),
        None => Err(ActionError::new(format!(
            "Docker CLI {name} does not have the compose plugin installed"
        ))),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// A file that a project is made of.
struct Source {
    /// `--file` or `--env-file`.
    flag: &'static str,
    content: Vec<u8>,
    /// Whether an earlier task of this check would have written it.
    differs: bool,
}

/// The files of a project, as they would be.
async fn find(
    context: &mut Context<'_>,
    args: &Project,
    folder: &str,
) -> Result<Vec<Source>, ActionError> {
    let absolute = |name: &str| match name.starts_with('/') {
        true => name.to_owned(),
        false => format!("{}/{name}", folder.trim_end_matches('/')),
    };
    let mut sources = vec![];
    let mut found = 0;
    match &args.files {
        Some(files) => {
            for file in files {
                let Some(source) = source(context, "--file", &absolute(file)).await? else {
                    return Err(ActionError::new(format!(
                        "Cannot find Compose file \"{file}\" relative to project directory \"{folder}\""
                    )));
                };
                sources.push(source);
            }
        }
        None => {
            for (names, is_first) in [(USUAL, true), (OVERRIDES, false)] {
                for name in names {
                    if let Some(source) = source(context, "--file", &absolute(name)).await? {
                        found += usize::from(is_first);
                        sources.push(source);
                        break;
                    }
                }
            }
            if found == 0 && args.check_files_existing {
                let is_folder = folder_exists(context, folder).await?;
                return Err(ActionError::new(match is_folder {
                    false => format!("\"{folder}\" is not a directory"),
                    true => format!(
                        "\"{folder}\" does not contain compose.yaml, compose.yml, docker-compose.yaml, or docker-compose.yml"
                    ),
                }));
            }
        }
    }
    match &args.env_files {
        Some(files) => {
            for file in files {
                sources.extend(source(context, "--env-file", &absolute(file)).await?);
            }
        }
        None => sources.extend(source(context, "--env-file", &absolute(".env")).await?),
    }
    Ok(sources)
}

async fn folder_exists(context: &mut Context<'_>, folder: &str) -> Result<bool, ActionError> {
    let args = rplay_modules::map! { "path" => folder };
    let known = context.call_module("ansible.builtin.stat", &args).await?;
    let is = known.result.get("stat").and_then(|stat| stat.get("isdir"));
    Ok(is == Some(&Data::Bool(true)))
}

async fn source(
    context: &mut Context<'_>,
    flag: &'static str,
    path: &str,
) -> Result<Option<Source>, ActionError> {
    let Some(content) = files::read(context, path).await? else {
        return Ok(None);
    };
    let differs = context.check && files::on_disk(context, path).await?.as_ref() != Some(&content);
    Ok(Some(Source {
        flag,
        content,
        differs,
    }))
}

/// What Compose makes of files that an earlier task of this check would have written: they are handed to it in
/// a folder of their own, which is gone again afterwards.
async fn unsaved(
    context: &mut Context<'_>,
    open: &Open,
    sources: &[Source],
) -> Result<(String, String), ActionError> {
    let quote = |word: &str| format!("'{}'", word.replace('\'', "'\\''"));
    let end = "@@end-of-file@@";
    let between = "@@hashes@@";
    let mut script = "set -e\numask 077\nd=$(mktemp -d)\ntrap 'rm -rf \"$d\"' EXIT\n".to_owned();
    let mut words = vec![];
    for (at, source) in sources.iter().enumerate() {
        let text = String::from_utf8_lossy(&source.content);
        script += &format!(
            "cat >\"$d/{at}\" <<'{end}'\n{}\n{end}\n",
            text.trim_end_matches('\n')
        );
        words.push(format!("{} \"$d/{at}\"", source.flag));
    }
    let mut compose: Vec<String> = open.argv().iter().map(|word| quote(word)).collect();
    compose.extend(words);
    let compose = compose.join(" ");
    script +=
        &format!("{compose} config --format json\necho '{between}'\n{compose} config --hash '*'\n");
    let mut program = Program::new(&["sh", "-s"]);
    program.stdin = Some(&script);
    program.env = open.env(context).await?;
    let said = good(program.run(context).await?)?;
    let (model, hashes) = said.split_once(between).unwrap_or((&said, ""));
    Ok((model.to_owned(), hashes.trim_start().to_owned()))
}

impl Open {
    /// What is called, without the command.
    fn argv(&self) -> Vec<String> {
        let mut argv = match self.program.is_empty() {
            true => vec!["docker-compose".to_owned()],
            false => {
                let name = self
                    .cli
                    .docker_cli
                    .clone()
                    .unwrap_or_else(|| "docker".to_owned());
                let mut argv = vec![name];
                if let Some(name) = &self.cli.cli_context {
                    argv.extend(["--context".to_owned(), name.clone()]);
                }
                argv.extend(self.program.iter().cloned());
                argv
            }
        };
        argv.extend(self.words.iter().cloned());
        argv
    }

    /// The call as messages show it.
    pub(super) fn line(&self, words: &[String]) -> String {
        let mut argv = self.argv();
        argv.extend(words.iter().cloned());
        argv.join(" ")
    }

    async fn env(&self, context: &mut Context<'_>) -> Result<Vec<(String, String)>, ActionError> {
        if self.cli.cli_context.is_some() {
            return Ok(vec![]);
        }
        let place = super::address(context, &self.cli.reach).await?;
        Ok(vec![("DOCKER_HOST".to_owned(), place.text())])
    }

    /// Calls Compose.
    pub(super) async fn compose(
        &self,
        context: &mut Context<'_>,
        words: &[String],
    ) -> Result<Ran, ActionError> {
        self.compose_with(context, words, None, vec![]).await
    }

    /// Calls Compose, with something to read and more environment.
    pub(super) async fn compose_with(
        &self,
        context: &mut Context<'_>,
        words: &[String],
        stdin: Option<&str>,
        env: Vec<(String, String)>,
    ) -> Result<Ran, ActionError> {
        let mut program = Program::new(&[]);
        program.argv = self.argv();
        program.argv.extend(words.iter().cloned());
        program.chdir.clone_from(&self.folder);
        program.stdin = stdin.or(self.definition.as_deref());
        program.env = self.env(context).await?;
        program.env.extend(env);
        program.run(context).await
    }

    /// The services that are meant, with those that they need.
    pub(super) fn chosen(&self, services: &[String], dependencies: bool) -> Vec<String> {
        let all = self.model["services"].as_object();
        if services.is_empty() {
            return all
                .into_iter()
                .flatten()
                .map(|(name, _)| name.clone())
                .collect();
        }
        let mut chosen = vec![];
        let mut open: Vec<String> = services.to_vec();
        while let Some(name) = open.pop() {
            if chosen.contains(&name) {
                continue;
            }
            if dependencies {
                open.extend(self.needs(&name));
            }
            chosen.push(name);
        }
        chosen
    }

    /// The services that a service needs.
    pub(super) fn needs(&self, service: &str) -> Vec<String> {
        let depends = self.model["services"][service]["depends_on"].as_object();
        depends
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    }
}
