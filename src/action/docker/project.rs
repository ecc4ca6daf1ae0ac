//! A Compose project on its host: where it is, how Compose is called, and what Compose makes of its files.

use std::ops::RangeInclusive;

use rplay_modules::data::Data;
use rplay_modules::docker::shared::{Cli, Project};
use rplay_modules::text::quote;
use serde_json::{Value as Json, json};

use super::compose_hash;
use crate::action::ActionError;
use crate::action::programs::{self, Program, Ran};
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

/// The versions of Compose whose hashes and lists are known; tests have the first and the last.
pub(super) const TESTED: RangeInclusive<(u32, u32)> = (2, 26)..=(2, 40);

/// The hashes that a service may have.
pub(super) struct Expected {
    /// One of these, as far as Compose works as we know it.
    pub(super) sure: Vec<String>,
    /// What Compose tells, where we do not know.
    pub(super) perhaps: Option<String>,
}

/// A project that was read.
pub(super) struct Open {
    cli: Cli,
    /// The program: `docker compose`, or a `docker-compose` of the same kind.
    program: Vec<String>,
    /// Words of the `docker` program for an engine that speaks TLS.
    tls: Vec<String>,
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
    /// The hashes of the services' configurations, as Compose tells them without their environment.
    hashes: Vec<(String, String)>,
    /// Compose's version.
    pub(super) version: (u32, u32),
    /// The same, as it tells it.
    pub(super) version_text: String,
    /// The difference of the host's clock to UTC and the name of its zone, where they are told.
    pub(super) zone: Option<String>,
}

/// Reads a project: one call to the host, unless an earlier task of this check would have written its files.
pub(super) async fn open(context: &mut Context<'_>, args: &Project) -> Result<Open, ActionError> {
    let cli = args.cli.clone();
    let (tls, _) = super::told(context, &cli.reach).await?;
    let mut open = Open {
        cli,
        program: vec!["compose".to_owned()],
        tls,
        words: ["--ansi", "never", "--progress", "plain"]
            .map(str::to_owned)
            .to_vec(),
        folder: None,
        definition: None,
        name: String::new(),
        model: json!({}),
        hashes: vec![],
        version: (0, 0),
        version_text: String::new(),
        zone: None,
    };
    let mut sources = None;
    if let Some(definition) = &args.definition {
        let text = Data::Map(definition.clone()).to_json().to_string();
        open.definition = Some(text);
        open.words
            .extend(["--project-directory", "/", "--file", "-"].map(str::to_owned));
    } else {
        let folder = args.project_src.clone().unwrap_or_default();
        let folder = programs::expand(context, &folder).await?;
        if context.check && context.link()?.has_foreseen() {
            sources = Some(find(context, args, &folder).await?);
        }
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
    let unwritten = sources.filter(|all| all.iter().any(|source| source.differs));
    if unwritten.is_none() {
        for file in args.files.iter().flatten() {
            open.words.extend(["--file".to_owned(), file.clone()]);
        }
        for file in args.env_files.iter().flatten() {
            open.words.extend(["--env-file".to_owned(), file.clone()]);
        }
    }
    let mut told = look(context, &open, args, unwritten.as_deref()).await?;
    if told.version.is_none() {
        open.program.clear();
        told = look(context, &open, args, unwritten.as_deref()).await?;
        let known = told.version.filter(|version| version.0 >= 2);
        if known.is_some() && !open.tls.is_empty() {
            return Err(ActionError::new(
                "docker-compose alone takes no certificates; install it as the plugin `docker compose`",
            ));
        }
    }
    open.version = match told.version {
        Some(version) if version.0 >= 2 => version,
        Some(_) => {
            return Err(ActionError::new(format!(
                "the host has only docker-compose {}, whose projects Compose 2 does not share; install the plugin `docker compose` (2.18.0 or newer)",
                told.parts[0].stdout.trim()
            )));
        }
        None => {
            let name = open.cli.docker_cli.as_deref().unwrap_or("docker");
            return Err(ActionError::new(format!(
                "Docker CLI {name} does not have the compose plugin installed"
            )));
        }
    };
    open.version_text = told.parts[0].stdout.trim().to_owned();
    context.warnings.extend(told.warnings());
    told.read(&mut open, args, unwritten.is_none())?;
    Ok(open)
}

/// What the host told of a project.
struct Told {
    version: Option<(u32, u32)>,
    /// What each command came to, in their order; those after one that failed are missing.
    parts: Vec<Ran>,
}

/// Asks the host what it knows of a project: Compose's version, its files, what Compose makes of them, the
/// services' hashes, and the zone of the clock.
async fn look(
    context: &mut Context<'_>,
    open: &Open,
    args: &Project,
    unwritten: Option<&[Source]>,
) -> Result<Told, ActionError> {
    // Compose need not speak to the engine for it, although some versions would.
    let apart = Some(["--host".to_owned(), NOBODY.to_owned()]).filter(|_| !open.program.is_empty());
    let told = call(context, open, script(open, args, unwritten, apart)).await?;
    match told
        .parts
        .get(CONFIG..)
        .unwrap_or_default()
        .iter()
        .any(|part| part.code != 0)
    {
        // Whether it is the project that is wrong, or that nobody answered.
        true => call(context, open, script(open, args, unwritten, None)).await,
        false => Ok(told),
    }
}

/// An engine that is not there.
const NOBODY: &str = "unix:///dev/null";

/// The line between what two commands write.
const BETWEEN: &str = "@@rplay@@";

/// Where the first answer of `config` is, after the version, the folder and the files.
const CONFIG: usize = 3;

fn script(
    open: &Open,
    args: &Project,
    unwritten: Option<&[Source]>,
    apart: Option<[String; 2]>,
) -> String {
    let words = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
        words.join(" ")
    };
    let base = open.base(apart.as_ref().map(|words| &words[..]));
    let mut script = format!(
        "set +e
end() {{ code=$?; printf '\\n%s %s\\n' {BETWEEN} $code; echo {BETWEEN} >&2; [ $code = 0 ] || exit 0; }}
{} version --short </dev/null
end
",
        words(&base)
    );
    match open.folder.as_ref().filter(|_| unwritten.is_none()) {
        Some(folder) => {
            let names = match &args.files {
                Some(files) => words(files),
                None => USUAL.join(" "),
            };
            script += &format!("cd -- {} 2>/dev/null\nend\n", quote(folder));
            script += &format!(
                "for file in {names}; do [ ! -e \"$file\" ] || echo \"$file\"; done\nend\n"
            );
        }
        None => script += ":\nend\n:\nend\n",
    }
    let mut compose = words(&[base, open.words.clone()].concat());
    for (at, source) in unwritten.into_iter().flatten().enumerate() {
        compose += &format!(" {} \"$d/{at}\"", source.flag);
    }
    for kind in ["--format json", "--hash '*'"] {
        let command = format!("{compose} config {kind}");
        script += &match &open.definition {
            Some(text) => programs::reading(&command, text),
            None => format!("{command} </dev/null\n"),
        };
        script += "end\n";
    }
    script += "date '+%z %Z'\nprintf '%s\\n' \"${TZ-}\"\nend\n";
    let Some(sources) = unwritten else {
        return script;
    };
    let texts: Vec<_> = sources
        .iter()
        .map(|source| String::from_utf8_lossy(&source.content))
        .collect();
    let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
    programs::with_files(&texts, &script)
}

async fn call(context: &mut Context<'_>, open: &Open, script: String) -> Result<Told, ActionError> {
    let mut program = Program::new(&["sh", "-s"]);
    program.stdin = Some(&script);
    program.env = open.env(context).await?;
    let ran = program.run(context).await?;
    let mut parts = vec![];
    let between = format!("{BETWEEN}\n");
    let mut stderr = ran.stderr.split(&between).map(str::to_owned);
    let mut stdout = String::new();
    for line in ran.stdout.lines() {
        match line.strip_prefix(BETWEEN).map(str::trim) {
            Some(code) => parts.push(Ran {
                code: code.parse().unwrap_or(1),
                stdout: std::mem::take(&mut stdout),
                stderr: stderr.next().unwrap_or_default(),
                msg: String::new(),
            }),
            None => stdout.extend([line, "\n"]),
        }
    }
    if parts.is_empty() {
        parts.push(ran);
    }
    let version = Some(&parts[0]).filter(|ran| ran.code == 0);
    let version = version.and_then(|ran| version_of(&ran.stdout));
    Ok(Told { version, parts })
}

impl Told {
    /// What Compose warns of when it reads the project, such as variables that nobody has set.
    fn warnings(&self) -> Vec<String> {
        let stderr = self.parts.get(CONFIG).map_or("", |part| &part.stderr);
        let lines = stderr.lines().filter(|line| line.starts_with("time="));
        let told = lines.filter_map(|line| {
            let (_, text) = line.split_once(" level=warning msg=")?;
            // A text of several words is quoted as JSON is.
            Some(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()))
        });
        told.collect()
    }

    /// Reads what comes after the version.
    fn read(self, open: &mut Open, args: &Project, listed: bool) -> Result<(), ActionError> {
        let mut parts = self.parts.into_iter().skip(1);
        let mut next = || parts.next().unwrap_or_default();
        let folder = open.folder.clone().unwrap_or_default();
        if next().code != 0 {
            return Err(no_folder(&folder));
        }
        let found = next();
        if listed && open.folder.is_some() {
            let found: Vec<&str> = found
                .stdout
                .lines()
                .filter(|line| !line.is_empty())
                .collect();
            missing(args, &folder, &found)?;
        }
        let model = good(next())?;
        let model = serde_json::from_str(&model).map_err(|error| {
            ActionError::new(format!(
                "Cannot read what Compose makes of the project: {error}"
            ))
        })?;
        open.model = compose_hash::plain(model);
        open.hashes = good(next())?
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(name, hash)| (name.to_owned(), hash.trim().to_owned()))
            .collect();
        let date = next().stdout;
        let mut date = date.lines();
        let zone = date.next().map(str::to_owned);
        // What Compose and the C library make of other words is not the same.
        let word = date.next().unwrap_or_default();
        let is_clear = word.is_empty() || word == "UTC" || word.contains('/');
        open.zone = zone.filter(|_| is_clear);
        open.name = open.model["name"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }
}

/// What a command of Compose printed, or why it could not.
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

fn version_of(text: &str) -> Option<(u32, u32)> {
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
    let mut found: Vec<&str> = vec![];
    match &args.files {
        Some(files) => {
            for file in files {
                if let Some(source) = source(context, "--file", &absolute(file)).await? {
                    sources.push(source);
                    found.push(file);
                }
            }
        }
        None => {
            for (names, is_first) in [(USUAL, true), (OVERRIDES, false)] {
                for name in names {
                    if let Some(source) = source(context, "--file", &absolute(name)).await? {
                        found.extend(is_first.then_some(name));
                        sources.push(source);
                        break;
                    }
                }
            }
        }
    }
    if found.is_empty() && !folder_exists(context, folder).await? {
        return Err(no_folder(folder));
    }
    missing(args, folder, &found)?;
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
    let Some(content) = programs::read(context, path).await? else {
        return Ok(None);
    };
    let differs =
        context.check && programs::on_disk(context, path).await?.as_ref() != Some(&content);
    Ok(Some(Source {
        flag,
        content,
        differs,
    }))
}

fn no_folder(folder: &str) -> ActionError {
    ActionError::new(format!("\"{folder}\" is not a directory"))
}

/// Refuses a project without the files that it shall be made of.
fn missing(args: &Project, folder: &str, found: &[&str]) -> Result<(), ActionError> {
    let mut files = args.files.iter().flatten();
    if let Some(file) = files.find(|file| !found.contains(&file.as_str())) {
        return Err(ActionError::new(format!(
            "Cannot find Compose file \"{file}\" relative to project directory \"{folder}\""
        )));
    }
    if args.files.is_none() && found.is_empty() && args.check_files_existing {
        return Err(ActionError::new(format!(
            "\"{folder}\" does not contain compose.yaml, compose.yml, docker-compose.yaml, or docker-compose.yml"
        )));
    }
    Ok(())
}

impl Open {
    /// The program, with what says which engine is meant, or another one instead.
    fn base(&self, other: Option<&[String]>) -> Vec<String> {
        if self.program.is_empty() {
            return vec!["docker-compose".to_owned()];
        }
        let mut argv = vec![
            self.cli
                .docker_cli
                .clone()
                .unwrap_or_else(|| "docker".to_owned()),
        ];
        match (other, &self.cli.cli_context) {
            (Some(other), _) => argv.extend(other.iter().cloned()),
            (None, Some(name)) => argv.extend(["--context".to_owned(), name.clone()]),
            (None, None) => argv.extend(self.tls.iter().cloned()),
        }
        argv.extend(self.program.iter().cloned());
        argv
    }

    /// What is called, without the command.
    fn argv(&self) -> Vec<String> {
        let mut argv = self.base(None);
        argv.extend(self.words.iter().cloned());
        argv
    }

    /// Whether the engine that Compose speaks to is the one that we do.
    pub(super) fn is_same_engine(&self) -> bool {
        self.cli.cli_context.is_none()
    }

    /// The hashes that containers of a service have where nothing has changed. `resolved` is the service with the
    /// numbers of containers that it shares things with.
    pub(super) fn expected(&self, service: &str, chosen: &[String], resolved: &Json) -> Expected {
        let told = |name: &str| {
            let known = self.hashes.iter().find(|(known, _)| known == name);
            known.map(|(_, hash)| hash.clone())
        };
        // Whether dependencies are a part of it, this version tells by any service that has some.
        let services = self.model["services"].as_object();
        let mut kinds = services.into_iter().flatten().filter_map(|(name, config)| {
            let both = compose_hash::service(config, &|_| true);
            let told = told(name)?;
            let kind = both.iter().position(|hash| *hash == told)?;
            (both[0] != both[1]).then_some(kind)
        });
        let is_meant = |name: &str| chosen.iter().any(|known| known == name);
        let both = compose_hash::service(resolved, &is_meant);
        let sure = match kinds.next() {
            Some(kind) => vec![both[kind].clone()],
            None => both.to_vec(),
        };
        let perhaps = told(service).filter(|_| !TESTED.contains(&self.version));
        Expected { sure, perhaps }
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
        let (_, address) = super::told(context, &self.cli.reach).await?;
        Ok(vec![address])
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
