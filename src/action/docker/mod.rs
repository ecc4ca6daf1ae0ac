//! `community.docker`: the controller speaks to the engine of a host by its socket, through the host's
//! SSH connection where it is another machine.

mod auth;
mod build;
mod changes;
mod compose;
mod compose_hash;
mod compose_listing;
mod compose_plan;
mod container;
mod container_exec;
mod engine;
mod host_info;
mod image;
mod info;
mod login;
mod mounts;
mod network;
mod options;
mod project;
mod prune;
mod pull;
mod road;
mod sizes;
mod tls;
mod volume;

use std::collections::HashMap;
use std::time::Duration;

use http::Method;
use rplay_modules::args::Args;
use rplay_modules::data::{Data, Map};
use rplay_modules::docker::shared::{Engine, Reach};
use rplay_modules::registry;
use serde_json::Value as Json;

use self::engine::{Ask, Refusal, Wire, progress};
use self::road::Place;
use self::tls::Tls;
use super::address::{escaped_but, with_query};
use super::programs::variable;
use super::{ActionError, TaskResult, as_module};
use crate::run::context::Context;

/// The address that counts where none is given.
const USUAL: &str = "unix:///var/run/docker.sock";

/// Whether a name is one of these modules.
pub(super) fn is_own(name: &str) -> bool {
    registry::find(name).is_some_and(|module| module.name.starts_with("community.docker."))
}

/// Runs one of these modules.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    as_module(dispatch(context).await)
}

async fn dispatch(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let Some(module) = registry::find(context.action()) else {
        return Err(ActionError::new("no such module"));
    };
    let given = context.data_args()?;
    let args = context.prepare(module.name, &given)?;
    match module.short_name() {
        "docker_compose_v2" => compose::run(context, read(&args)?).await,
        "docker_compose_v2_exec" => compose::exec(context, read(&args)?).await,
        "docker_compose_v2_pull" => compose::pull(context, read(&args)?).await,
        "docker_compose_v2_run" => compose::run_once(context, read(&args)?).await,
        "docker_container" => container::run(context, read(&args)?).await,
        "docker_container_exec" => container_exec::run(context, read(&args)?).await,
        "docker_container_info" => info::container(context, read(&args)?).await,
        "docker_host_info" => host_info::run(context, read(&args)?).await,
        "docker_image" => image::run(context, read(&args)?).await,
        "docker_image_build" => build::run(context, read(&args)?).await,
        "docker_image_info" => info::images(context, read(&args)?).await,
        "docker_image_pull" => pull::run(context, read(&args)?).await,
        "docker_login" => login::run(context, read(&args)?).await,
        "docker_network" => network::run(context, read(&args)?).await,
        "docker_network_info" => info::network(context, read(&args)?).await,
        "docker_prune" => prune::run(context, read(&args)?).await,
        "docker_volume" => volume::run(context, read(&args)?).await,
        "docker_volume_info" => info::volume(context, read(&args)?).await,
        other => Err(ActionError::new(format!("`{other}` has no code"))),
    }
}

fn read<T: Args>(args: &Map) -> Result<T, ActionError> {
    T::from_map(args).map_err(ActionError::new)
}

/// An engine as a run knows it.
pub(crate) struct Kept {
    wire: Wire,
    /// The version of its API that is spoken.
    version: String,
    /// What check mode made of its objects; nothing where it removed one.
    assumed: HashMap<String, Option<Json>>,
}

/// A task's work on an engine.
struct Job<'a, 'b> {
    context: &'a mut Context<'b>,
    place: Place,
    tls: Option<Tls>,
    key: String,
    limit: Duration,
    kept: Option<Kept>,
}

/// The address of an engine.
async fn address(
    context: &mut Context<'_>,
    args: &Reach,
) -> Result<(Place, Option<Tls>), ActionError> {
    let address = match &args.docker_host {
        Some(address) => address.clone(),
        None => variable(context, "DOCKER_HOST")
            .await?
            .unwrap_or_else(|| USUAL.to_owned()),
    };
    let (place, secure) = Place::parse(&address).map_err(ActionError::new)?;
    // A socket is the kernel's to protect, and SSH protects itself.
    let tls = match &place {
        Place::Socket(_) | Place::Ssh(_) => None,
        Place::Port(..) => Tls::find(context, args, secure).await?,
    };
    Ok((place, tls))
}

/// How the `docker` program finds an engine: words before its command, and its environment.
async fn told(
    context: &mut Context<'_>,
    args: &Reach,
) -> Result<(Vec<String>, (String, String)), ActionError> {
    let (place, tls) = address(context, args).await?;
    let words = tls.map(|tls| tls.words()).unwrap_or_default();
    Ok((words, ("DOCKER_HOST".to_owned(), place.text())))
}

impl<'a, 'b> Job<'a, 'b> {
    /// Connects, or goes on with the connection of an earlier task.
    async fn begin(context: &'a mut Context<'b>, args: &Engine) -> Result<Self, ActionError> {
        Ok(Self::begin_with(context, args, None).await?.0)
    }

    /// The same with a question, which need not wait until the engine was asked for the version of its API: every
    /// answer tells it.
    async fn begin_asking(
        context: &'a mut Context<'b>,
        args: &Engine,
        path: &str,
    ) -> Result<(Self, Json), ActionError> {
        let (mut job, found) = Self::begin_with(context, args, Some(path)).await?;
        match found {
            Some(found) => Ok((job, found)),
            None => {
                let found = job.get(path).await?;
                Ok((job, found))
            }
        }
    }

    async fn begin_with(
        context: &'a mut Context<'b>,
        args: &Engine,
        path: Option<&str>,
    ) -> Result<(Self, Option<Json>), ActionError> {
        let (place, tls) = address(context, &args.reach).await?;
        let limit = match args.timeout {
            Some(seconds) => seconds,
            None => variable(context, "DOCKER_TIMEOUT")
                .await?
                .and_then(|text| text.parse().ok())
                .unwrap_or(60),
        };
        let version = match &args.reach.api_version {
            Some(version) => Some(version.clone()),
            None => variable(context, "DOCKER_API_VERSION").await?,
        };
        let version = version.filter(|version| version != "auto");
        let user = context.r#become.as_ref().map(|r#become| &r#become.user);
        let key = format!(
            "{}|{}|{tls:?}|{user:?}|{version:?}|{limit}",
            context.target,
            place.text()
        );
        let limit = Duration::from_secs(limit.max(1));
        let known = context.links.engines.remove(&key);
        let mut job = Self {
            context,
            place,
            tls,
            key,
            limit,
            kept: known,
        };
        let mut found = None;
        if job.kept.as_ref().is_none_or(|kept| !kept.wire.is_open()) {
            let assumed = job.kept.take().map(|kept| kept.assumed).unwrap_or_default();
            found = job.connect(version, assumed, path).await?;
        }
        // What check mode assumed does not hold once something is really done.
        if !job.context.check {
            job.kept_mut().assumed.clear();
        }
        Ok((job, found))
    }

    async fn connect(
        &mut self,
        version: Option<String>,
        assumed: HashMap<String, Option<Json>>,
        path: Option<&str>,
    ) -> Result<Option<Json>, ActionError> {
        let place = self.place.text();
        let unreachable = |refusal: Refusal| {
            let text = "Error connecting: Error while fetching server API version";
            match &refusal {
                Refusal::Silence(_) => refusal.about(&format!("{text}: {place}")),
                Refusal::Answer { .. } => refusal.about(text),
            }
        };
        let mut wire = self.wire().await?;
        if let Some(path) = path {
            let whole = match &version {
                Some(version) => format!("/v{version}{path}"),
                None => path.to_owned(),
            };
            match wire.fetch(Ask::new(Method::GET, &whole)).await {
                Ok(found) => {
                    let known = version.clone().or_else(|| wire.heard.version.clone());
                    if let Some(version) = known {
                        self.kept = Some(Kept {
                            wire,
                            version,
                            assumed,
                        });
                        return Ok(Some(serde_json::from_slice(&found).unwrap_or_default()));
                    }
                }
                Err(refusal @ Refusal::Silence(_)) => return Err(unreachable(refusal)),
                // Who wants to be asked otherwise is.
                Err(_) => wire = self.wire().await?,
            }
        }
        let own = wire.fetch(Ask::new(Method::GET, "/version")).await;
        let own: Json = serde_json::from_slice(&own.map_err(unreachable)?).unwrap_or_default();
        let own = own["ApiVersion"].as_str().unwrap_or("1.40");
        self.kept = Some(Kept {
            wire,
            version: version.unwrap_or_else(|| own.to_owned()),
            assumed,
        });
        Ok(None)
    }

    /// A connection of its own.
    async fn wire(&mut self) -> Result<Wire, ActionError> {
        let way = road::open(self.context, &self.place, self.tls.as_ref()).await?;
        Wire::new(way, self.limit).await.map_err(ActionError::new)
    }

    #[expect(clippy::expect_used, reason = "it is there once the job has begun")]
    fn kept_mut(&mut self) -> &mut Kept {
        self.kept.as_mut().expect("an engine")
    }

    /// The version of the API that is spoken.
    fn version(&self) -> &str {
        self.kept.as_ref().map_or("", |kept| &kept.version)
    }

    fn path(&self, path: &str) -> String {
        format!("/v{}{path}", self.version())
    }

    async fn ask(&mut self, mut ask: Ask<'_>) -> Result<Vec<u8>, Refusal> {
        let path = self.path(ask.path);
        ask.path = &path;
        // An engine closes connections that are idle.
        if !self.kept_mut().wire.is_open() {
            let wire = self.wire().await;
            self.kept_mut().wire = wire.map_err(|error| match error {
                ActionError::Failed(failure) => Refusal::Silence(failure.msg),
                other => Refusal::Silence(format!("{other:?}")),
            })?;
        }
        self.kept_mut().wire.fetch(ask).await
    }

    async fn get(&mut self, path: &str) -> Result<Json, Refusal> {
        let bytes = self.ask(Ask::new(Method::GET, path)).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn post(&mut self, path: &str, body: Option<&Json>) -> Result<Json, Refusal> {
        let mut ask = Ask::new(Method::POST, path);
        if let Some(body) = body {
            ask = ask.json(body);
        }
        let bytes = self.ask(ask).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// A request whose answer may take any time.
    async fn forever(&mut self, path: &str) -> Result<Json, Refusal> {
        let wire = self.wire().await;
        let mut wire = wire.map_err(|_| Refusal::Silence("the engine is gone".to_owned()))?;
        wire.limit = Duration::from_secs(u64::from(u32::MAX));
        let path = self.path(path);
        let bytes = wire.fetch(Ask::new(Method::POST, &path)).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn delete(&mut self, path: &str) -> Result<Json, Refusal> {
        let bytes = self.ask(Ask::new(Method::DELETE, path)).await?;
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// A request whose answer tells of progress; what it told.
    async fn watch(&mut self, ask: Ask<'_>) -> Result<Vec<Json>, Refusal> {
        let bytes = self.ask(ask).await?;
        match progress(&bytes) {
            (all, None) => Ok(all),
            (_, Some(error)) => Err(Refusal::Silence(error)),
        }
    }

    /// An object by name; in check mode as earlier tasks would have left it.
    async fn find(&mut self, kind: &str, name: &str) -> Result<Option<Json>, Refusal> {
        let path = match kind {
            "volumes" | "networks" => format!("/{kind}/{}", escaped(name)),
            _ => format!("/{kind}/{}/json", escaped(name)),
        };
        if let Some(known) = self.assumed(kind, name) {
            return Ok(known.clone());
        }
        match self.get(&path).await {
            Ok(found) => Ok(Some(found)),
            Err(refusal) if refusal.is(404) => Ok(None),
            // Podman says so of names that cannot be.
            Err(refusal) => Err(refusal),
        }
    }

    /// What every answer of the engine says of it, as of the last one.
    fn heard(&self) -> engine::Heard {
        let kept = self.kept.as_ref();
        kept.map(|kept| kept.wire.heard.clone()).unwrap_or_default()
    }

    /// What check mode made of an object, if it made anything of it.
    fn assumed(&self, kind: &str, name: &str) -> Option<&Option<Json>> {
        let known = self.kept.as_ref().filter(|_| self.context.check)?;
        known.assumed.get(&format!("{kind}/{name}"))
    }

    /// Keeps what check mode made of an object.
    fn assume(&mut self, kind: &str, name: &str, object: Option<Json>) {
        let key = format!("{kind}/{name}");
        self.kept_mut().assumed.insert(key, object);
    }
}

impl Drop for Job<'_, '_> {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            let key = std::mem::take(&mut self.key);
            self.context.links.engines.insert(key, kept);
        }
    }
}

/// A word of an address; names of images keep their slashes.
fn escaped(word: &str) -> String {
    escaped_but(word, b"/:@")
}

/// Filters of a list as the engine takes them: words, and lists of words.
fn filters(given: Option<&Map>) -> Option<String> {
    let given = given.filter(|given| !given.is_empty())?;
    let word = |value: &Data| match value {
        Data::Bool(value) => value.to_string(),
        other => other.text(),
    };
    let all = given.iter().map(|(name, value)| {
        let values: Vec<Json> = match value {
            Data::List(values) => values.iter().map(|value| word(value).into()).collect(),
            value => vec![word(value).into()],
        };
        (name.clone(), Json::Array(values))
    });
    Some(Json::Object(all.collect()).to_string())
}

/// Refuses parts of an argument that Ansible does not know.
fn only(module: &str, argument: &str, part: &Map, known: &[&str]) -> Result<(), ActionError> {
    let wrong: Vec<String> = part
        .keys()
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| format!("{argument}.{name}"))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut known = known.to_vec();
    known.sort_unstable();
    Err(ActionError::new(format!(
        "Unsupported parameters for (community.docker.{module}) module: {}. Supported parameters include: {}.",
        wrong.join(", "),
        known.join(", ")
    )))
}
