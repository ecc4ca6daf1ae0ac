//! What bringing a Compose project to a state would change.

use rplay_modules::data::{Data, Map};
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::compose_hash;
use super::compose_listing::health;
use super::container_exec;
use super::engine::Ask;
use super::project::{Expected, Open};
use super::pull::{full_name, id, would_change};
use super::{Job, escaped, with_query};
use crate::action::ActionError;

/// Since this version, services are left alone when one that they need is made anew, unless they say `restart`.
const CALM: (u32, u32) = (2, 30);

/// Since this version, networks and volumes have a hash of their own, and containers that are not in their networks
/// or lack a volume are made anew.
const WATCHFUL: (u32, u32) = (2, 31);

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
    /// Whether anonymous volumes are made anew, for which containers have to be.
    pub(super) renew: bool,
    /// Whether volumes that differ are made anew, which Compose otherwise asks.
    pub(super) assume_yes: bool,
    /// Whether it waits until all are well.
    pub(super) wait: bool,
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
    /// Whether Compose has to be called although nothing is seen that it would do: to wait, to refuse, or because we
    /// do not know all that it looks at.
    unsure: bool,
}

impl Plan {
    pub(super) fn changed(&self) -> bool {
        self.pulls
            || self
                .actions
                .iter()
                .any(|(_, _, status)| status != "Pulling")
    }

    /// Whether nothing is to be done, for certain.
    pub(super) fn is_idle(&self) -> bool {
        self.actions.is_empty() && !self.pulls && !self.unsure
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

/// Where the engine lists all containers of a project, those of single commands among them.
pub(super) fn containers_path(project: &str) -> String {
    list_path("containers", project)
}

/// The containers of services among those of a project.
pub(super) fn of_services(all: &[Json]) -> Vec<Json> {
    let own = all.iter().filter(|one| label(one, "oneoff") != "True");
    let mut own: Vec<Json> = own.cloned().collect();
    own.sort_by_key(name);
    own
}

/// The containers of a project, without those of single commands.
pub(super) async fn containers(
    job: &mut Job<'_, '_>,
    project: &str,
) -> Result<Vec<Json>, ActionError> {
    Ok(of_services(&list(job, "containers", project).await?))
}

fn list_path(kind: &str, project: &str) -> String {
    let filters = json!({ "label": [format!("com.docker.compose.project={project}")] });
    let mut query = vec![("filters", filters.to_string())];
    if kind == "containers" {
        query.push(("all", "1".to_owned()));
        return with_query("/containers/json", &query);
    }
    with_query(&format!("/{kind}"), &query)
}

pub(super) async fn list(
    job: &mut Job<'_, '_>,
    kind: &str,
    project: &str,
) -> Result<Vec<Json>, ActionError> {
    Ok(listed(kind, job.get(&list_path(kind, project)).await?))
}

/// The objects in the engine's list of a kind.
fn listed(kind: &str, mut found: Json) -> Vec<Json> {
    if kind == "volumes" {
        found = found["Volumes"].take();
    }
    found.as_array().cloned().unwrap_or_default()
}

/// Objects by their names, in one question; in check mode as earlier tasks would have left them.
async fn by_names(
    job: &mut Job<'_, '_>,
    kind: &str,
    names: &[String],
) -> Result<Vec<Option<Json>>, ActionError> {
    let asked: Vec<&String> = names
        .iter()
        .filter(|name| job.assumed(kind, name).is_none())
        .collect();
    let mut found = vec![];
    if !asked.is_empty() {
        let filters = json!({ "name": asked });
        let path = with_query(&format!("/{kind}"), &[("filters", filters.to_string())]);
        found = listed(kind, job.get(&path).await?);
    }
    let one = |wanted: &String| match job.assumed(kind, wanted) {
        Some(known) => known.clone(),
        None => found.iter().find(|one| name(one) == *wanted).cloned(),
    };
    Ok(names.iter().map(one).collect())
}

pub(super) fn label<'a>(one: &'a Json, name: &str) -> &'a str {
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

/// Keeps what would become of containers and images, for later tasks of this check.
pub(super) async fn foresee(
    job: &mut Job<'_, '_>,
    open: &Open,
    plan: &Plan,
) -> Result<(), ActionError> {
    let services = open.model["services"].as_object();
    let services: Vec<_> = services.into_iter().flatten().collect();
    for (what, name, status) in &plan.actions {
        match (*what, status.as_str()) {
            ("container", "Removing") => job.assume("containers", name, None),
            ("image", "Removing") => job.assume("images", &full_name(name, "latest"), None),
            ("container", "Recreate" | "Creating") => {
                let own = |service: &str| {
                    let start = format!("{}-{service}-", open.name);
                    let number = name.strip_prefix(&start);
                    number.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
                };
                let found = services.iter().find(|(service, about)| {
                    own(service) || about["container_name"] == name.as_str()
                });
                let Some((service, _)) = found else {
                    continue;
                };
                let image = full_name(&image_name(open, service), "latest");
                let image = job.find("images", &image).await?;
                let made = json!({ "Name": format!("/{name}"), "State": { "Running": true }, "Image": id(image.as_ref()) });
                job.assume("containers", name, Some(made));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Finds out; `all` are the containers of the project.
pub(super) async fn make(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
    all: &[Json],
) -> Result<Plan, ActionError> {
    let mut plan = Plan::default();
    let all = of_services(all);
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
        _ => present(job, open, intent, all, &mut plan).await?,
    }
    Ok(plan)
}

async fn present(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
    mut all: Vec<Json>,
    plan: &mut Plan,
) -> Result<(), ActionError> {
    let chosen = open.chosen(&intent.services, intent.dependencies);
    plan.unsure |= !open.model["models"].is_null();
    let networks = networks(job, open, &chosen, &mut all, plan).await?;
    volumes(job, open, intent, &chosen, &mut all, plan).await?;
    let (mut anew, mut made): (Vec<String>, Vec<String>) = (vec![], vec![]);
    for service in ordered(open, &chosen) {
        let config = &open.model["services"][&service];
        plan.unsure |= is_special(config);
        let own: Vec<Json> = all
            .iter()
            .filter(|one| label(one, "service") == service)
            .cloned()
            .collect();
        let image = image(job, open, intent, &service, &own, plan).await?;
        let count = count(config, intent.scale.get(&service));
        let mut shared = vec![];
        let number = |name: &str| {
            let found = all.iter().find(|one| label(one, "service") == name);
            found.and_then(|one| Some(one["Id"].as_str()?.to_owned()))
        };
        let resolved = compose_hash::resolved(config, &number, &mut shared);
        let moved = shared.iter().any(|name| made.contains(name));
        let resolved = resolved.filter(|_| !moved);
        let needs = open.needs(&service);
        let mut work = Service {
            open,
            intent,
            service: &service,
            image: &image,
            expected: resolved.map(|config| open.expected(&service, &chosen, &config)),
            forced: open.version < CALM && needs.iter().any(|name| anew.contains(name)),
            is_named: intent.services.is_empty() || intent.services.contains(&service),
            networks: &networks,
            plan,
        };
        let (is_anew, is_made) = work.bring(&own, count);
        if is_anew {
            anew.push(service.clone());
            halt_dependents(open, &service, &chosen, &mut all, plan);
        }
        if is_made {
            made.push(service.clone());
        }
    }
    plan.unsure |= !is_settled(open, intent, &chosen, &all);
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

/// Whether Compose does more for a service than can be seen of its containers.
fn is_special(config: &Json) -> bool {
    let policies = ["", "missing", "if_not_present", "always", "never", "build"];
    let policy = config["pull_policy"].as_str().unwrap_or_default();
    let mounts = config["volumes"].as_array();
    let mut mounts = mounts.into_iter().flatten();
    ["provider", "models", "use_api_socket", "platform"]
        .iter()
        .any(|key| config.get(*key).is_some())
        || !policies.contains(&policy)
        || mounts.any(|one| one["type"] == "image")
}

/// Stops containers of services that want to be started again when one that they need is made anew.
fn halt_dependents(
    open: &Open,
    service: &str,
    chosen: &[String],
    all: &mut [Json],
    plan: &mut Plan,
) {
    if open.version < CALM {
        return;
    }
    let dependents = chosen.iter().filter(|name| {
        open.model["services"][name.as_str()]["depends_on"][service]["restart"] == true
    });
    let dependents: Vec<&str> = dependents.map(String::as_str).collect();
    halt(all, &dependents, plan);
}

/// Notes that containers of services are stopped.
fn halt(all: &mut [Json], services: &[&str], plan: &mut Plan) {
    for one in all {
        if services.contains(&label(one, "service")) && one["State"] == "running" {
            plan.act("container", &name(one), "Stopping");
            one["State"] = "exited".into();
        }
    }
}

/// Whether there is nothing that Compose would wait for, or fail over.
fn is_settled(open: &Open, intent: &Intent, chosen: &[String], all: &[Json]) -> bool {
    let well = |service: &str, healthy: bool| {
        let mut own = all.iter().filter(|one| label(one, "service") == service);
        own.all(|one| {
            let status = one["Status"].as_str().unwrap_or_default();
            match health(status) {
                "" => !healthy,
                health => health == "healthy",
            }
        })
    };
    let waits = |service: &String| {
        let needs = open.model["services"][service]["depends_on"].as_object();
        let mut needs = needs.into_iter().flatten();
        needs.all(|(name, how)| match how["condition"].as_str() {
            _ if !chosen.contains(name) => true,
            None | Some("service_started") => true,
            Some("service_healthy") => well(name, true),
            Some(_) => false,
        })
    };
    chosen
        .iter()
        .all(|service| waits(service) && (!intent.wait || well(service, false)))
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

/// A network or a volume of a project.
struct Part<'a> {
    key: &'a str,
    name: String,
    config: &'a Json,
    is_own: bool,
}

impl Part<'_> {
    /// Notes that it is not there.
    fn lacks(&self, word: &'static str, plan: &mut Plan) {
        if !self.is_own {
            // Compose says that it is missing, or finds it elsewhere.
            plan.unsure = true;
            return;
        }
        plan.act(word, &self.name, "Creating");
        plan.changes
            .add(format!("{word}.{}", self.name), "created", Json::Null);
    }

    /// Notes that it is made anew.
    fn differs(&self, word: &'static str, hashes: [&str; 2], plan: &mut Plan) {
        let [known, hash] = hashes.map(|hash| json!({ "configuration": short(hash) }));
        plan.act(word, &self.name, "Creating");
        plan.changes
            .add(format!("{word}.{}", self.name), hash, known);
    }
}

/// The networks or volumes that services use.
fn parts<'a>(open: &'a Open, kind: &str, chosen: &[String]) -> Vec<Part<'a>> {
    let all = open.model[kind].as_object().into_iter().flatten();
    let used = all.filter(|(key, _)| !users(open, kind, key, chosen).is_empty());
    let part = used.map(|(key, config)| Part {
        key,
        name: part_name(open, kind, key),
        config,
        is_own: config["external"] != true,
    });
    part.collect()
}

/// The name that the engine knows a network or a volume by.
fn part_name(open: &Open, kind: &str, key: &str) -> String {
    let own = open.model[kind][key]["name"].as_str().map(str::to_owned);
    own.unwrap_or_else(|| format!("{}_{key}", open.name))
}

/// The services that use a network or a volume.
fn users<'a>(open: &Open, kind: &str, key: &str, chosen: &'a [String]) -> Vec<&'a str> {
    let all = chosen.iter().map(String::as_str);
    all.filter(|service| uses(&open.model["services"][*service], kind, key))
        .collect()
}

/// What becomes of a project's networks; their numbers by their names in the project, of those that stay.
async fn networks(
    job: &mut Job<'_, '_>,
    open: &Open,
    chosen: &[String],
    all: &mut [Json],
    plan: &mut Plan,
) -> Result<Vec<(String, String)>, ActionError> {
    let parts = parts(open, "networks", chosen);
    let mut numbers = vec![];
    let mut asked = vec![];
    for part in &parts {
        // A network that a running container is in is there.
        let mut running = all.iter().filter(|one| one["State"] == "running");
        let number = running.find_map(|one| {
            let network = &one["NetworkSettings"]["Networks"][&part.name];
            network["NetworkID"].as_str().filter(|id| !id.is_empty())
        });
        match number {
            Some(number) if !part.is_own || open.version < WATCHFUL => {
                numbers.push((part.key.to_owned(), number.to_owned()));
            }
            _ => asked.push(part),
        }
    }
    let names: Vec<String> = asked.iter().map(|part| part.name.clone()).collect();
    let found = by_names(job, "networks", &names).await?;
    for (part, found) in asked.into_iter().zip(found) {
        let Some(found) = found else {
            part.lacks("network", plan);
            continue;
        };
        let hash = compose_hash::network(part.config);
        let known = label(&found, "config-hash");
        if part.is_own && open.version >= WATCHFUL && !known.is_empty() && known != hash {
            halt(all, &users(open, "networks", part.key, chosen), plan);
            part.differs("network", [known, &hash], plan);
            continue;
        }
        // Compose refuses one that it made for something else.
        plan.unsure |= part.is_own && label(&found, "network") != part.key;
        let number = found["Id"].as_str().or(found["id"].as_str());
        numbers.extend(number.map(|number| (part.key.to_owned(), number.to_owned())));
    }
    Ok(numbers)
}

/// What becomes of a project's volumes, and of the containers that have to go with one.
async fn volumes(
    job: &mut Job<'_, '_>,
    open: &Open,
    intent: &Intent,
    chosen: &[String],
    all: &mut Vec<Json>,
    plan: &mut Plan,
) -> Result<(), ActionError> {
    let may_differ = intent.assume_yes && open.version >= WATCHFUL;
    // A volume that a container has is there.
    let asked = parts(open, "volumes", chosen).into_iter().filter(|part| {
        let is_there = all.iter().any(|one| has_volume(one, &part.name));
        !is_there || (part.is_own && may_differ)
    });
    let asked: Vec<Part<'_>> = asked.collect();
    let names: Vec<String> = asked.iter().map(|part| part.name.clone()).collect();
    let found = by_names(job, "volumes", &names).await?;
    for (part, found) in asked.into_iter().zip(found) {
        let Some(found) = found else {
            part.lacks("volume", plan);
            continue;
        };
        let hash = compose_hash::volume(part.config);
        let known = label(&found, "config-hash");
        if !part.is_own || !may_differ || known.is_empty() || known == hash {
            continue;
        }
        let users = users(open, "volumes", part.key, chosen);
        halt(all, &users, plan);
        let is_user = |one: &Json| users.contains(&label(one, "service"));
        for one in all.iter().filter(|one| is_user(one)) {
            plan.act("container", &name(one), "Removing");
        }
        all.retain(|one| !is_user(one));
        part.differs("volume", [known, &hash], plan);
    }
    Ok(())
}

fn has_volume(one: &Json, name: &str) -> bool {
    let mounts = one["Mounts"].as_array();
    let mut mounts = mounts.into_iter().flatten();
    mounts.any(|mount| mount["Type"] == "volume" && mount["Name"] == name)
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

/// The image of a service as it is written, or as Compose calls one that it builds.
fn image_name(open: &Open, service: &str) -> String {
    let own = open.model["services"][service]["image"].as_str();
    own.map_or_else(|| format!("{}-{service}", open.name), str::to_owned)
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
    own: &[Json],
    plan: &mut Plan,
) -> Result<Image, ActionError> {
    let config = &open.model["services"][service];
    let built = !config["build"].is_null();
    let written = image_name(open, service);
    let name = full_name(&written, "latest");
    let policy = config["pull_policy"].as_str().unwrap_or_default();
    let when = if intent.pull == "policy" {
        policy
    } else {
        &intent.pull
    };
    let mut is_new = false;
    let check = job.context.check;
    let mut known = None;
    if when != "always" && job.heard().is_docker && job.assumed("images", &name).is_none() {
        known = same_image(&written, own);
    }
    if known.is_none() {
        known = job.find("images", &name).await?;
    }
    let number = id(known.as_ref()).map(str::to_owned);
    plan.images.push((name.clone(), number.clone()));
    if built
        && (intent.build == "always"
            || policy == "build"
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

/// The image of containers, where its name still means the one that they were made of: Docker shows a name only
/// that long.
fn same_image(name: &str, own: &[Json]) -> Option<Json> {
    let found = own
        .iter()
        .find(|one| one["Image"] == name && one["ImageID"] == label(one, "image"));
    found.map(|one| json!({ "Id": one["ImageID"] }))
}

/// One service on its way to a state.
struct Service<'a> {
    open: &'a Open,
    intent: &'a Intent,
    service: &'a str,
    image: &'a Image,
    /// Nothing where it shares something with a container that is not there yet.
    expected: Option<Expected>,
    forced: bool,
    is_named: bool,
    networks: &'a [(String, String)],
    plan: &'a mut Plan,
}

impl Service<'_> {
    fn config(&self) -> &Json {
        &self.open.model["services"][self.service]
    }

    /// Whether a container would be made anew.
    fn differs(&mut self, one: &Json) -> bool {
        match self.intent.recreate.as_str() {
            "never" => return false,
            "always" if self.is_named => return true,
            _ if self.is_named && self.intent.renew && self.open.version >= CALM => return true,
            _ => {}
        }
        let Some(expected) = &self.expected else {
            return true;
        };
        let known = label(one, "config-hash");
        let is_sure = expected.sure.iter().any(|hash| hash == known);
        if !is_sure && expected.perhaps.as_deref() != Some(known) {
            return true;
        }
        self.plan.unsure |= !is_sure;
        let image = match (self.image.is_new, &self.image.number) {
            (true, _) => true,
            (false, Some(number)) => label(one, "image") != number,
            (false, None) => false,
        };
        self.forced || image || (self.open.version >= WATCHFUL && self.is_detached(one))
    }

    /// Whether a container lacks a network or a volume.
    fn is_detached(&self, one: &Json) -> bool {
        let within = one["NetworkSettings"]["Networks"].as_object();
        let is_within = |number: &String| {
            let mut within = within.into_iter().flatten();
            within.any(|(_, network)| network["NetworkID"] == number.as_str())
        };
        let wanted = self.config()["networks"].as_object();
        let mut wanted = wanted.into_iter().flatten().map(|(key, _)| key);
        let is_out = wanted.any(|key| {
            let known = self.networks.iter().find(|(known, _)| known == key);
            known.is_none_or(|(_, number)| !is_within(number))
        });
        let mounts = self.config()["volumes"].as_array();
        let mut mounts = mounts.into_iter().flatten();
        (one["State"] == "running" && is_out)
            || mounts.any(|mount| {
                let Some(key) = mount["source"]
                    .as_str()
                    .filter(|_| mount["type"] == "volume")
                else {
                    return false;
                };
                !has_volume(one, &part_name(self.open, "volumes", key))
            })
    }

    /// Notes what would become of the containers; whether one is made anew, and whether one is new in any way.
    fn bring(&mut self, own: &[Json], count: usize) -> (bool, bool) {
        let start = self.intent.state == "present";
        let (mut is_anew, mut is_new) = (false, false);
        let hash = self
            .expected
            .as_ref()
            .map(|expected| short(&expected.sure[0]));
        let number = |one: &Json| label(one, "container-number").parse().unwrap_or(0_usize);
        let mut own: Vec<(bool, &Json)> = own.iter().map(|one| (self.differs(one), one)).collect();
        // Which ones go where there are too many.
        let late = self.open.version >= CALM;
        own.sort_by_key(|(differs, one)| (*differs == late, number(one)));
        let after = |state: &str| json!({ "image": self.image.name, "configuration": hash, "state": state });
        let state = if start { "running" } else { "stopped" };
        let mut changes = vec![];
        let mut acts: Vec<(String, &str)> = vec![];
        for (at, (differs, one)) in own.iter().copied().enumerate() {
            let (name, runs) = (name(one), one["State"] == "running");
            if at >= count {
                acts.push((name.clone(), "Stopping"));
                acts.push((name.clone(), "Removing"));
                changes.push((name, Json::Null, shown(one)));
            } else if differs {
                is_anew = true;
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
        let usual = self.config()["container_name"].as_str().map(str::to_owned);
        let last = own.iter().map(|(_, one)| number(one)).max().unwrap_or(0);
        for number in last + 1..last + 1 + count.saturating_sub(own.len()) {
            let name = match &usual {
                Some(name) => name.clone(),
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
        (is_anew, is_anew || is_new)
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
            if which == "local" && config["image"].is_string() {
                continue;
            }
            let image = full_name(&image_name(open, service), "latest");
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
