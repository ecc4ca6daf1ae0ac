//! What bringing a Compose project to a state would change.

use rplay_modules::data::{Data, Map};
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::container_exec;
use super::engine::Ask;
use super::project::Open;
use super::pull::{full_name, id, would_change};
use super::{Job, escaped, with_query};
use crate::action::ActionError;

/// Since this version, services are left alone when one that they need is made anew.
const CALM: (u32, u32) = (2, 30);

/// What is asked for.
pub(super) struct Intent {
    pub(super) state: String,
    pub(super) services: Vec<String>,
    pub(super) dependencies: bool,
    pub(super) pull: String,
    pub(super) build: String,
    pub(super) recreate: String,
    pub(super) scale: Map,
    pub(super) volumes: bool,
    pub(super) images: Option<String>,
    pub(super) orphans: bool,
}

/// What would be done.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) actions: Vec<(&'static str, String, String)>,
    pub(super) changes: Changes,
    /// Images by name, with their numbers before.
    images: Vec<(String, Option<String>)>,
    /// Whether another image would come.
    pulls: bool,
}

impl Plan {
    pub(super) fn changed(&self) -> bool {
        self.pulls
            || self
                .actions
                .iter()
                .any(|(_, _, status)| status != "Pulling")
    }

    fn act(&mut self, what: &'static str, id: &str, status: &str) {
        self.actions.push((what, id.to_owned(), status.to_owned()));
    }

    /// Whether something is removed.
    pub(super) fn removes(&self, id: &str) -> bool {
        self.actions
            .iter()
            .any(|(_, known, status)| known == id && status == "Removing")
    }

    /// Whether images are other ones than before.
    pub(super) async fn images_differ(&self, job: &mut Job<'_, '_>) -> Result<bool, ActionError> {
        for (name, known) in &self.images {
            let now = job.find("images", name).await?;
            if now.is_some() && id(now.as_ref()) != known.as_deref() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The containers of a project, without those of single commands.
pub(super) async fn containers(
    job: &mut Job<'_, '_>,
    project: &str,
) -> Result<Vec<Json>, ActionError> {
    let all = list(job, "containers", project).await?;
    let own = all.into_iter().filter(|one| label(one, "oneoff") != "True");
    let mut own: Vec<Json> = own.collect();
    own.sort_by_key(name);
    Ok(own)
}

async fn list(job: &mut Job<'_, '_>, kind: &str, project: &str) -> Result<Vec<Json>, ActionError> {
    let filters = json!({ "label": [format!("com.docker.compose.project={project}")] });
    let mut query = vec![("filters", filters.to_string())];
    if kind == "containers" {
        query.push(("all", "1".to_owned()));
    }
    let path = if kind == "containers" {
        "/containers/json".to_owned()
    } else {
        format!("/{kind}")
    };
    let mut found = job.get(&with_query(&path, &query)).await?;
    if kind == "volumes" {
        found = found["Volumes"].take();
    }
    Ok(found.as_array().cloned().unwrap_or_default())
}

fn label<'a>(one: &'a Json, name: &str) -> &'a str {
    one["Labels"][format!("com.docker.compose.{name}")]
        .as_str()
        .unwrap_or_default()
}

fn name(one: &Json) -> String {
    match one["Names"][0].as_str() {
        Some(name) => name.trim_start_matches('/').to_owned(),
        None => one["Name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// Finds out.
pub(super) async fn make(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
) -> Result<Plan, ActionError> {
    let mut plan = Plan::default();
    let all = containers(job, &open.name).await?;
    for service in &intent.services {
        if open.model["services"].get(service).is_none() {
            let text = format!("General error: no such service: {service}");
            return Err(super::engine::failure(
                text,
                rplay_modules::map! { "rc" => 1 },
            ));
        }
    }
    match intent.state.as_str() {
        "absent" => absent(job, open, intent, &all, &mut plan).await?,
        "restarted" => {
            let chosen = open.chosen(&intent.services, false);
            let own = all
                .iter()
                .filter(|one| chosen.iter().any(|name| label(one, "service") == name));
            for one in own {
                plan.act("container", &name(one), "Restarting");
            }
        }
        _ => present(job, open, intent, &all, &mut plan).await?,
    }
    Ok(plan)
}

async fn present(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
    all: &[Json],
    plan: &mut Plan,
) -> Result<(), ActionError> {
    let chosen = open.chosen(&intent.services, intent.dependencies);
    surroundings(job, open, &chosen, plan).await?;
    let mut anew: Vec<String> = vec![];
    for service in ordered(open, &chosen) {
        let config = &open.model["services"][&service];
        let image = image(job, open, intent, &service, plan).await?;
        let own: Vec<&Json> = all
            .iter()
            .filter(|one| label(one, "service") == service)
            .collect();
        let count = count(config, intent.scale.get(&service));
        let forced =
            anew.iter().any(|name| open.needs(&service).contains(name)) && open.version < CALM;
        let is_named = intent.services.is_empty() || intent.services.contains(&service);
        let mut work = Service {
            open,
            intent,
            service: &service,
            image: &image,
            forced,
            is_named,
            plan,
        };
        if work.bring(&own, count) {
            anew.push(service.clone());
        }
    }
    if intent.orphans {
        let known = open.model["services"].as_object();
        let orphans = all
            .iter()
            .filter(|one| known.is_none_or(|known| known.get(label(one, "service")).is_none()));
        for one in orphans {
            plan.act("container", &name(one), "Stopping");
            plan.act("container", &name(one), "Removing");
            plan.changes
                .add(format!("container.{}", name(one)), Json::Null, shown(one));
        }
    }
    Ok(())
}

/// Services after those that they need.
fn ordered(open: &Open, chosen: &[String]) -> Vec<String> {
    let mut done: Vec<String> = vec![];
    let mut left: Vec<String> = chosen.to_vec();
    while !left.is_empty() {
        let is_free = |name: &String| !open.needs(name).iter().any(|need| left.contains(need));
        let next = left.iter().position(is_free).unwrap_or(0);
        done.push(left.remove(next));
    }
    done
}

/// How many containers a service shall have.
fn count(config: &Json, asked: Option<&Data>) -> usize {
    let asked = asked.and_then(|count| count.text().parse().ok());
    let number = |value: &Json| value.as_u64().and_then(|count| usize::try_from(count).ok());
    asked
        .or_else(|| number(&config["scale"]))
        .or_else(|| number(&config["deploy"]["replicas"]))
        .unwrap_or(1)
}

/// The networks and volumes that are not there yet.
async fn surroundings(
    job: &mut Job<'_, '_>,
    open: &Open,
    chosen: &[String],
    plan: &mut Plan,
) -> Result<(), ActionError> {
    for (kind, word) in [("networks", "network"), ("volumes", "volume")] {
        for (key, one) in open.model[kind].as_object().into_iter().flatten() {
            let is_used = chosen
                .iter()
                .any(|service| uses(&open.model["services"][service], kind, key));
            if one["external"] == true || !is_used {
                continue;
            }
            let usual = format!("{}_{key}", open.name);
            let name = one["name"].as_str().unwrap_or(&usual).to_owned();
            if job.find(kind, &name).await?.is_none() {
                plan.act(word, &name, "Creating");
                plan.changes
                    .add(format!("{word}.{name}"), "created", Json::Null);
            }
        }
    }
    Ok(())
}

fn uses(service: &Json, kind: &str, key: &str) -> bool {
    match kind {
        "networks" => service["networks"].get(key).is_some(),
        _ => {
            let mounts = service["volumes"].as_array();
            mounts
                .into_iter()
                .flatten()
                .any(|one| one["type"] == "volume" && one["source"] == key)
        }
    }
}

/// The image of a service: its name and number, the number unknown where another one would come.
struct Image {
    name: String,
    number: Option<String>,
    is_new: bool,
}

async fn image(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
    service: &str,
    plan: &mut Plan,
) -> Result<Image, ActionError> {
    let config = &open.model["services"][service];
    let built = !config["build"].is_null();
    let usual = format!("{}-{service}", open.name);
    let name = full_name(config["image"].as_str().unwrap_or(&usual), "latest");
    let known = job.find("images", &name).await?;
    let number = id(known.as_ref()).map(str::to_owned);
    plan.images.push((name.clone(), number.clone()));
    let own = config["pull_policy"].as_str().unwrap_or_default();
    let when = if intent.pull == "policy" {
        own
    } else {
        &intent.pull
    };
    let mut is_new = false;
    let check = job.context.check;
    if built
        && (intent.build == "always"
            || own == "build"
            || (known.is_none() && intent.build != "never"))
    {
        plan.act("service", service, "Building");
        // What a build comes to is only known once it is done; a cache may give the same again.
        is_new = known.is_none();
        plan.pulls |= is_new;
    } else if !built && (when == "always" || (known.is_none() && when != "never")) {
        plan.act("service", service, "Pulling");
        // The run itself sees what it gets; looking ahead is for check mode.
        if check {
            is_new = would_change(job, &name, known.as_ref()).await?;
            plan.pulls |= is_new;
        } else {
            is_new = known.is_none();
        }
    }
    Ok(Image {
        name,
        number,
        is_new,
    })
}

/// One service on its way to a state.
struct Service<'a> {
    open: &'a Open,
    intent: &'a Intent,
    service: &'a str,
    image: &'a Image,
    forced: bool,
    is_named: bool,
    plan: &'a mut Plan,
}

impl Service<'_> {
    /// Whether a container would be made anew.
    fn differs(&self, one: &Json) -> bool {
        let policy = match (self.is_named, self.intent.recreate.as_str()) {
            (true, policy) => policy,
            (false, _) => "auto",
        };
        match policy {
            "never" => false,
            "always" => true,
            _ => {
                let hash = self
                    .open
                    .hashes
                    .iter()
                    .find(|(name, _)| name == self.service);
                let other = hash.is_some_and(|(_, hash)| label(one, "config-hash") != hash);
                let made_of = label(one, "image");
                let image = match (self.image.is_new, &self.image.number) {
                    (true, _) => true,
                    (false, Some(number)) => !made_of.is_empty() && made_of != number,
                    (false, None) => false,
                };
                self.forced || other || image
            }
        }
    }

    /// Notes what would become of the containers; whether one is new.
    fn bring(&mut self, own: &[&Json], count: usize) -> bool {
        let start = self.intent.state == "present";
        let mut is_new = false;
        let hash = self
            .open
            .hashes
            .iter()
            .find(|(name, _)| name == self.service);
        let hash = hash.map(|(_, hash)| short(hash)).unwrap_or_default();
        let after = |state: &str| json!({ "image": self.image.name, "configuration": hash, "state": state });
        let state = if start { "running" } else { "stopped" };
        let mut changes = vec![];
        let mut acts: Vec<(String, &str)> = vec![];
        for (at, one) in own.iter().enumerate() {
            let (name, runs) = (name(one), one["State"] == "running");
            if at >= count {
                acts.push((name.clone(), "Stopping"));
                acts.push((name.clone(), "Removing"));
                changes.push((name, Json::Null, shown(one)));
            } else if self.differs(one) {
                is_new = true;
                acts.push((name.clone(), "Recreate"));
                if start {
                    acts.push((name.clone(), "Starting"));
                }
                let mut after = after(state);
                if self.image.is_new {
                    after["image"] = format!("{} (pulled)", self.image.name).into();
                }
                if after == shown(one) {
                    after["state"] = format!("{state} (made anew)").into();
                }
                changes.push((name, after, shown(one)));
            } else if start && !runs {
                acts.push((name.clone(), "Starting"));
                changes.push((name, after("running"), shown(one)));
            } else if !start && runs {
                acts.push((name.clone(), "Stopping"));
                changes.push((name, after("stopped"), shown(one)));
            }
        }
        let usual = self.open.model["services"][self.service]["container_name"].as_str();
        let mut numbers: Vec<usize> = own
            .iter()
            .filter_map(|one| label(one, "container-number").parse().ok())
            .collect();
        for _ in own.len()..count {
            let number = (1..).find(|number| !numbers.contains(number)).unwrap_or(1);
            numbers.push(number);
            let name = match usual {
                Some(name) => name.to_owned(),
                None => format!("{}-{}-{number}", self.open.name, self.service),
            };
            is_new = true;
            acts.push((name.clone(), "Creating"));
            if start {
                acts.push((name.clone(), "Starting"));
            }
            changes.push((name, after(state), Json::Null));
        }
        for (name, status) in acts {
            self.plan.act("container", &name, status);
        }
        for (name, after, before) in changes {
            self.plan
                .changes
                .add(format!("container.{name}"), after, before);
        }
        is_new
    }
}

/// The beginning of a hash, which is enough to tell two apart.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// A container as the diff shows it: nothing of its environment, which holds secrets.
fn shown(one: &Json) -> Json {
    let state = one["State"].as_str().unwrap_or_default();
    json!({
        "image": one["Image"],
        "configuration": short(label(one, "config-hash")),
        "state": if state == "exited" || state == "created" { "stopped" } else { state },
    })
}

async fn absent(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
    all: &[Json],
    plan: &mut Plan,
) -> Result<(), ActionError> {
    let chosen = open.chosen(&intent.services, false);
    let whole = intent.services.is_empty();
    for one in all {
        let service = label(one, "service");
        let known = open.model["services"].get(service).is_some();
        let is_meant = (known && chosen.iter().any(|name| name == service))
            || (!known && intent.orphans && whole);
        if !is_meant {
            continue;
        }
        if one["State"] == "running" {
            plan.act("container", &name(one), "Stopping");
        }
        plan.act("container", &name(one), "Removing");
        plan.changes
            .add(format!("container.{}", name(one)), Json::Null, shown(one));
    }
    if !whole {
        return Ok(());
    }
    if intent.volumes {
        for one in list(job, "volumes", &open.name).await? {
            plan.act("volume", &name(&one), "Removing");
            plan.changes
                .add(format!("volume.{}", name(&one)), Json::Null, "there");
        }
    }
    for one in list(job, "networks", &open.name).await? {
        plan.act("network", &name(&one), "Removing");
        plan.changes
            .add(format!("network.{}", name(&one)), Json::Null, "there");
    }
    if let Some(which) = &intent.images {
        for (service, config) in open.model["services"].as_object().into_iter().flatten() {
            let named = config["image"].as_str();
            if which == "local" && named.is_some() {
                continue;
            }
            let usual = format!("{}-{service}", open.name);
            let image = full_name(named.unwrap_or(&usual), "latest");
            if job.find("images", &image).await?.is_some() {
                plan.act("image", &image, "Removing");
                plan.changes
                    .add(format!("image.{image}"), Json::Null, "there");
            }
        }
    }
    Ok(())
}

/// What containers say that are not healthy: their checks, or they themselves.
pub(super) async fn ill(job: &mut Job<'_, '_>, project: &str) -> Vec<String> {
    let mut told = vec![];
    for one in containers(job, project).await.unwrap_or_default() {
        let number = one["Id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/containers/{}/json", escaped(&number));
        let found = job.get(&path).await.unwrap_or_default();
        let state = &found["State"];
        let status = state["Health"]["Status"].as_str();
        let Some(status) = status.filter(|status| *status != "healthy") else {
            continue;
        };
        let name = name(&one);
        let log = state["Health"]["Log"].as_array();
        let check = log
            .and_then(|log| log.last())
            .filter(|_| state["Restarting"] != true);
        if let Some(check) = check {
            let said = check["Output"].as_str().unwrap_or_default().trim();
            let said = match said {
                "" => format!("ends with {}", check["ExitCode"]),
                said => format!("says: {said}"),
            };
            told.push(format!("{name} is {status}: its check {said}"));
            continue;
        }
        let path = format!("/containers/{number}/logs?stdout=1&stderr=1&tail=3");
        let log = job.ask(Ask::new(http::Method::GET, &path)).await;
        let log = container_exec::joined(&log.unwrap_or_default(), found["Config"]["Tty"] == true);
        let log: Vec<&str> = log.lines().collect();
        let code = &state["ExitCode"];
        told.push(format!("{name} ends with {code}: {}", log.join("; ")));
    }
    told
}
