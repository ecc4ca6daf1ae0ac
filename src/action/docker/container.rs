//! `docker_container`: containers brought to a state.

use std::time::{Duration, Instant};

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_container::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::engine::{Ask, failure};
use super::mounts;
use super::options::{self, Comparisons, How, LIVE, Wanted};
use super::pull::{full_name, id, is_id, pull, would_change};
use super::{Job, escaped, only, volume, with_query};
use crate::action::{ActionError, TaskResult, programs};
use crate::run::context::Context;

/// The parts of a network that a container is in.
const NETWORK: [&str; 8] = [
    "name",
    "aliases",
    "links",
    "ipv4_address",
    "ipv6_address",
    "mac_address",
    "driver_opts",
    "gw_priority",
];

/// What a task has found out on its way.
struct Work<'a, 'b> {
    job: Job<'a, 'b>,
    args: Args,
    wanted: Vec<Wanted>,
    how: Comparisons,
    changes: Changes,
    changed: bool,
    status: Option<i64>,
}

/// Brings a container to its state.
pub(super) async fn run(
    context: &mut Context<'_>,
    mut args: Args,
) -> Result<TaskResult, ActionError> {
    let how = {
        let names = rplay_modules::registry::find("community.docker.docker_container");
        let names: Vec<&str> = names
            .into_iter()
            .flat_map(|module| module.args)
            .map(|arg| arg.name)
            .collect();
        Comparisons::read(&args, &names)?
    };
    for one in args.networks.iter().flatten() {
        only("docker_container", "networks", one, &NETWORK)?;
    }
    defaults(&mut args);
    if args.state == "absent" {
        return absent(context, args, how).await;
    }
    expand_volumes(context, &mut args).await?;
    let mut wanted = options::wanted(&args)?;
    let file = env_file(context, &args).await?;
    if args.env.is_some() || !file.is_empty() {
        wanted.push(options::environment(
            args.env.as_ref().unwrap_or(&map! {}),
            &file,
        )?);
    }
    let first = args.networks.as_ref().and_then(|all| all.first());
    if let (None, true, Some(first)) = (&args.network_mode, args.networks_cli_compatible, first) {
        wanted.push(options::network_mode(
            first.get("name").map(Data::text).unwrap_or_default(),
        ));
    }
    let job = Job::begin(context, &args.engine).await?;
    mounts::known(&args, job.version())?;
    let mut work = Work {
        job,
        args,
        wanted,
        how,
        changes: Changes::default(),
        changed: false,
        status: None,
    };
    work.resolve().await?;
    let now = work.present().await?;
    Ok(work.finish(now))
}

/// Old defaults, where they are asked for.
fn defaults(args: &mut Args) {
    if args.container_default_behavior.as_deref() != Some("compatibility") {
        return;
    }
    for flag in [
        &mut args.auto_remove,
        &mut args.init,
        &mut args.interactive,
        &mut args.paused,
        &mut args.privileged,
        &mut args.read_only,
        &mut args.tty,
    ] {
        flag.get_or_insert(false);
    }
    args.detach.get_or_insert(true);
    args.memory.get_or_insert_with(|| "0".to_owned());
}

/// Paths of the host in `volumes` may be relative to the home there.
async fn expand_volumes(context: &mut Context<'_>, args: &mut Args) -> Result<(), ActionError> {
    for one in args.volumes.iter_mut().flatten() {
        if one.starts_with('~') {
            let (from, to) = one.split_once(':').unwrap_or((one.as_str(), ""));
            let (from, to) = (from.to_owned(), to.to_owned());
            *one = format!("{}:{to}", programs::expand(context, &from).await?);
        }
    }
    Ok(())
}

async fn env_file(
    context: &mut Context<'_>,
    args: &Args,
) -> Result<Vec<(String, String)>, ActionError> {
    let Some(path) = &args.env_file else {
        return Ok(vec![]);
    };
    let path = programs::expand(context, path).await?;
    let content = programs::read(context, &path).await?;
    let content = content.ok_or_else(|| ActionError::new(format!("Failed to open file {path}")))?;
    let text = String::from_utf8_lossy(&content).into_owned();
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = vec![];
    for line in lines {
        let Some((name, value)) = line.split_once('=') else {
            return Err(ActionError::new(format!(
                "Invalid line in environment file {path}: {line}"
            )));
        };
        all.push((name.to_owned(), value.to_owned()));
    }
    Ok(all)
}

/// The ports that are exposed, and those that are published, in the engine's form.
pub(super) fn ports(args: &Args) -> Result<(Option<Vec<String>>, Option<Json>), ActionError> {
    let mut exposed = vec![];
    for one in args.exposed_ports.iter().flatten() {
        let (range, protocol) = protocol(one);
        for port in span(range)? {
            exposed.push(format!("{port}/{protocol}"));
        }
    }
    let Some(published) = &args.published_ports else {
        return Ok((args.exposed_ports.is_some().then_some(exposed), None));
    };
    let usual = args.default_host_ip.as_deref().unwrap_or("0.0.0.0");
    let mut bindings = json!({});
    for one in published {
        if one == "all" || one == "ALL" {
            return Err(ActionError::new(
                "Specifying \"all\" in published_ports is no longer allowed. Set publish_all_ports to \"true\" instead to randomly assign port mappings for those not specified by published_ports.",
            ));
        }
        let (text, protocol) = protocol(one);
        let (address, rest) = match text
            .strip_prefix('[')
            .and_then(|text| text.split_once("]:"))
        {
            Some((address, rest)) => (Some(address), rest),
            None => match text.matches(':').count() {
                0 | 1 => (None, text),
                _ => text
                    .split_once(':')
                    .map_or((None, text), |(address, rest)| (Some(address), rest)),
            },
        };
        let (outer, inner) = match rest.rsplit_once(':') {
            Some((outer, inner)) => (Some(outer), inner),
            None => (None, rest),
        };
        let inner = span(inner)?;
        let outer: Vec<String> = match outer.filter(|outer| !outer.is_empty()) {
            None => inner.iter().map(|_| String::new()).collect(),
            Some(outer) => {
                let outer = span(outer)?;
                // A range for one port lets the engine choose.
                match outer.len() != inner.len() && inner.len() == 1 {
                    true => vec![format!("{}-{}", outer[0], outer[outer.len() - 1])],
                    false => outer.iter().map(u16::to_string).collect(),
                }
            }
        };
        if outer.len() != inner.len() {
            return Err(ActionError::new(format!(
                "Invalid port range in published_ports: \"{one}\""
            )));
        }
        for (inner, outer) in inner.iter().zip(outer) {
            let key = format!("{inner}/{protocol}");
            let binding = json!({ "HostIp": address.unwrap_or(usual), "HostPort": outer });
            match bindings[&key].as_array_mut() {
                Some(known) => known.push(binding),
                None => bindings[&key] = json!([binding]),
            }
            if !exposed.contains(&key) {
                exposed.push(key);
            }
        }
    }
    Ok((Some(exposed), Some(bindings)))
}

fn protocol(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or((text, "tcp"))
}

/// The ports of `80` or `80-85`.
fn span(text: &str) -> Result<Vec<u16>, ActionError> {
    let wrong = || ActionError::new(format!("Invalid port: \"{text}\""));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let first: u16 = first.parse().map_err(|_| wrong())?;
    let last: u16 = last.parse().map_err(|_| wrong())?;
    (first <= last)
        .then(|| (first..=last).collect())
        .ok_or_else(wrong)
}

/// Whether a container runs.
fn runs(container: &Json) -> bool {
    container["State"]["Running"] == true
}

async fn absent(
    context: &mut Context<'_>,
    args: Args,
    how: Comparisons,
) -> Result<TaskResult, ActionError> {
    let job = Job::begin(context, &args.engine).await?;
    let mut work = Work {
        job,
        args,
        wanted: vec![],
        how,
        changes: Changes::default(),
        changed: false,
        status: None,
    };
    let name = work.args.name.clone();
    if let Some(found) = work.job.find("containers", &name).await? {
        if runs(&found) {
            work.changes.add("running", false, true);
            work.stop(&found).await?;
        }
        work.changes.add("exists", false, true);
        work.remove(&found).await?;
        work.changed = true;
    }
    Ok(work.finish(None))
}

impl Work<'_, '_> {
    fn finish(self, now: Option<Json>) -> TaskResult {
        let mut result = map! {};
        if let Some(now) = now {
            result.insert("container".to_owned(), Data::from_json(&now));
        }
        if let Some(status) = self.status {
            result.insert("status".to_owned(), status.into());
        }
        let mut result = TaskResult::changed(self.changed, result);
        if self.job.context.diff {
            result.diff.push(self.changes.diff());
        }
        result
    }

    /// Replaces names of containers by their numbers, as the engine keeps them.
    async fn resolve(&mut self) -> Result<(), ActionError> {
        for at in 0..self.wanted.len() {
            let one = &self.wanted[at];
            if !["network_mode", "ipc_mode", "pid_mode"].contains(&one.name) {
                continue;
            }
            let name = one
                .value
                .as_str()
                .and_then(|mode| mode.strip_prefix("container:"));
            let Some(name) = name.map(str::to_owned) else {
                continue;
            };
            let found = self.job.find("containers", &name).await?;
            if let Some(number) = id(found.as_ref()) {
                self.wanted[at].value = format!("container:{number}").into();
            }
        }
        Ok(())
    }

    /// The image that it is to be made of: the one that is there, or the one that is pulled.
    async fn image(&mut self, found: Option<&Json>) -> Result<Option<Json>, ActionError> {
        let Some(name) = self.args.image.clone().filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let full = full_name(&name, "latest");
        let known = self.job.find("images", &full).await?;
        let when = match self.args.pull.as_str() {
            "True" => "always",
            "False" => "missing",
            word => word,
        };
        let ignored = self.how.of("image", How::Strict) == How::Ignore;
        match (when, &known) {
            _ if is_id(&full) => match known {
                None => Err(ActionError::new(format!(
                    "Cannot find image with ID {full}"
                ))),
                known => Ok(known),
            },
            ("never", None) => Err(ActionError::new(format!(
                "Cannot find image with name {full}, and pull=never"
            ))),
            ("missing" | "never", Some(_)) => Ok(known),
            // A container that may keep its image needs no other one.
            ("missing", None) if ignored && found.is_some() => Ok(None),
            ("missing" | "always", _) if self.job.context.check => {
                let changes = would_change(&mut self.job, &full, known.as_ref()).await?;
                if !changes {
                    return Ok(known);
                }
                self.changed = true;
                let platform = self.args.platform.clone();
                let after = json!({ "Id": "(pulled)", "Config": known.map(|known| known["Config"].clone()), "Platform": platform });
                self.job.assume("images", &full, Some(after.clone()));
                Ok(Some(after))
            }
            _ => {
                pull(&mut self.job, &full, self.args.platform.as_deref()).await?;
                let now = self.job.find("images", &full).await?;
                self.changed |= id(now.as_ref()) != id(known.as_ref());
                Ok(now)
            }
        }
    }

    /// Brings it to its state; what it is then.
    async fn present(&mut self) -> Result<Option<Json>, ActionError> {
        let name = self.args.name.clone();
        let found = self.job.find("containers", &name).await?;
        // Before anything is done: networks that are not there end the task.
        for one in self.args.networks.clone().unwrap_or_default() {
            self.network_id(&one).await?;
        }
        let image = self.image(found.as_ref()).await?;
        let was_running = found.as_ref().is_some_and(runs);
        let mut current = match &found {
            None => {
                self.changes.add("exists", true, false);
                Some(self.create(image.as_ref()).await?)
            }
            Some(found) => self.adapt(found, image.as_ref()).await?,
        };
        let anew =
            current.as_ref().map(|now| &now["Id"]) != found.as_ref().map(|found| &found["Id"]);
        let is_running = current.as_ref().is_some_and(runs);
        match self.args.state.as_str() {
            "started" | "healthy" => {
                let restart = self.args.restart && was_running && !anew;
                if !is_running || restart {
                    self.changes.add("running", true, was_running);
                }
                if restart {
                    self.changes.add("restarted", true, false);
                    self.act(&name, "restart").await?;
                    self.changed = true;
                } else if !is_running {
                    self.start(&mut current).await?;
                    self.changed = true;
                }
                if self.args.state == "healthy" {
                    self.healthy().await?;
                }
            }
            "stopped" if is_running => {
                self.changes.add("running", false, was_running);
                if let Some(current) = &current {
                    let current = current.clone();
                    self.stop(&current).await?;
                }
                self.changed = true;
            }
            "stopped" => {}
            // A container made anew that ran before runs again.
            _ if anew && was_running => {
                self.changes.add("running", true, true);
                self.start(&mut current).await?;
            }
            _ => {}
        }
        self.pause(&current).await?;
        match (self.job.context.check, self.status.is_some()) {
            (false, false) => Ok(self.job.find("containers", &name).await?),
            (false, true) => Ok(current),
            (true, _) => Ok(found),
        }
    }

    /// Changes one that is there, or makes it anew.
    async fn adapt(
        &mut self,
        found: &Json,
        image: Option<&Json>,
    ) -> Result<Option<Json>, ActionError> {
        let base = match (self.args.image_comparison.as_str(), image) {
            ("desired-image", Some(image)) => image.clone(),
            _ => {
                let number = found["Image"].as_str().unwrap_or_default().to_owned();
                self.job.find("images", &number).await?.unwrap_or_default()
            }
        };
        let mut differs = options::compare(&self.wanted, found, &base, &self.how);
        let live = |name: &str| LIVE.contains(&name);
        let mut anew = self.args.recreate || differs.names().any(|name| !live(name));
        if self.how.of("image", How::Strict) == How::Strict
            && let Some(image) = image
        {
            let name = full_name(self.args.image.as_deref().unwrap_or_default(), "latest");
            let given = self.args.image.clone().unwrap_or_default();
            let known = found["Config"]["Image"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if image["Id"] != found["Image"] {
                differs.add("image", image["Id"].clone(), found["Image"].clone());
                anew = true;
            }
            if known != given && known != name && self.args.image_name_mismatch == "recreate" {
                differs.add("image_name", given, known);
                anew = true;
            }
        }
        self.labels_of(image, found)?;
        if anew {
            self.changes.merge(differs);
            if runs(found) {
                self.stop(found).await?;
            }
            self.remove(found).await?;
            self.changed = true;
            // Without one in the arguments it is made of what it was made of.
            let number = base["Id"].clone();
            let base = image
                .cloned()
                .unwrap_or_else(|| json!({ "Id": number, "Config": base["Config"] }));
            if self.args.image.is_none() {
                self.args.image = found["Config"]["Image"].as_str().map(str::to_owned);
            }
            return Ok(Some(self.create(Some(&base)).await?));
        }
        if !differs.is_empty() {
            self.update(found, &differs).await?;
            self.changes.merge(differs);
            self.changed = true;
        }
        self.networks(found).await?;
        Ok(Some(found.clone()))
    }

    /// Labels that the image brings and nobody asked for.
    fn labels_of(&self, image: Option<&Json>, _: &Json) -> Result<(), ActionError> {
        let (Some(image), "fail") = (image, self.args.image_label_mismatch.as_str()) else {
            return Ok(());
        };
        let given = self.args.labels.clone().unwrap_or_default();
        let own = image["Config"]["Labels"].as_object().into_iter().flatten();
        let extra: Vec<String> = own
            .filter(|(name, _)| !given.contains_key(name.as_str()))
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        match extra.is_empty() {
            true => Ok(()),
            false => Err(ActionError::new(format!(
                "Some labels should be removed but are present in the base image. You can set image_label_mismatch to 'ignore' to ignore this error. Labels: {}",
                extra.join(", ")
            ))),
        }
    }

    /// Gives it what can be changed while it is there.
    async fn update(&mut self, found: &Json, differs: &Changes) -> Result<(), ActionError> {
        if self.job.context.check {
            return Ok(());
        }
        let parts: Vec<&Wanted> = self
            .wanted
            .iter()
            .filter(|one| differs.has(one.name))
            .collect();
        let mut body = json!({});
        for one in parts {
            let all = options::body(std::slice::from_ref(one));
            for (name, value) in all["HostConfig"].as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
        }
        if let (Some(_), Some(count)) = (body.get("RestartPolicy"), self.args.restart_retries) {
            body["RestartPolicy"]["MaximumRetryCount"] = count.into();
        }
        let path = format!(
            "/containers/{}/update",
            found["Id"].as_str().unwrap_or_default()
        );
        let done = self.job.post(&path, Some(&body)).await;
        let name = &self.args.name;
        done.map_err(|refusal| refusal.about(&format!("Error updating container {name}")))?;
        Ok(())
    }

    async fn create(&mut self, image: Option<&Json>) -> Result<Json, ActionError> {
        let Some(image) = image else {
            return Err(ActionError::new(
                "Cannot create container when image is not specified!",
            ));
        };
        self.labels_of(Some(image), image)?;
        self.changed = true;
        let mut body = options::body(&self.wanted);
        body["Image"] = self.args.image.clone().into();
        let attached = self.args.detach == Some(false) && self.args.interactive == Some(true);
        body["AttachStdin"] = attached.into();
        body["AttachStdout"] = true.into();
        body["AttachStderr"] = true.into();
        body["StdinOnce"] = attached.into();
        let mut query = vec![("name", self.args.name.clone())];
        if let Some(platform) = body
            .as_object_mut()
            .and_then(|body| body.remove("Platform"))
        {
            query.push(("platform", platform.as_str().unwrap_or_default().to_owned()));
        }
        let networks = self.args.networks.clone().unwrap_or_default();
        for one in &networks {
            self.network_id(one).await?;
        }
        let first = networks
            .first()
            .filter(|_| self.args.networks_cli_compatible);
        if let Some(first) = first {
            let name = first.get("name").map(Data::text).unwrap_or_default();
            body["NetworkingConfig"] = json!({ "EndpointsConfig": { name: endpoint(first) } });
        }
        let name = self.args.name.clone();
        if self.job.context.check {
            let shown = json!({ "Id": "", "Name": format!("/{name}"), "State": { "Running": false }, "Config": { "Image": body["Image"] }, "Image": image["Id"] });
            self.job.assume("containers", &name, Some(shown.clone()));
            return Ok(shown);
        }
        let made = self
            .job
            .post(&with_query("/containers/create", &query), Some(&body))
            .await;
        let made = made.map_err(|refusal| refusal.about("Error creating container"))?;
        let number = made["Id"].as_str().unwrap_or_default().to_owned();
        for one in networks.iter().skip(usize::from(first.is_some())) {
            self.connect(&number, one).await?;
        }
        if self.args.networks.is_some()
            && first.is_none()
            && self.how.of("networks", How::More) == How::Strict
        {
            self.leave_others(&number).await?;
        }
        let now = self.job.find("containers", &number).await?;
        Ok(now.unwrap_or_default())
    }

    async fn network_id(&mut self, one: &Map) -> Result<String, ActionError> {
        let name = one.get("name").map(Data::text).unwrap_or_default();
        let found = self.job.find("networks", &name).await?;
        let found = found.ok_or_else(|| {
            ActionError::new(format!(
                "Parameter error: network named {name} could not be found. Does it exist?"
            ))
        })?;
        Ok(found["Id"].as_str().unwrap_or_default().to_owned())
    }

    /// Connects it to the networks that it is to be in.
    async fn networks(&mut self, found: &Json) -> Result<(), ActionError> {
        let networks = self.args.networks.clone().unwrap_or_default();
        let number = found["Id"].as_str().unwrap_or_default().to_owned();
        for one in &networks {
            let name = one.get("name").map(Data::text).unwrap_or_default();
            let network = self.network_id(one).await?;
            let known = &found["NetworkSettings"]["Networks"][&name];
            let mut shown = json!({ "id": network });
            for part in NETWORK {
                shown[part] = one.get(part).map_or(Json::Null, Data::to_json);
            }
            if known.is_null() {
                self.changes
                    .add(format!("network.{name}"), shown, Json::Null);
            } else {
                let (wanted, is) = other_parts(one, known, found);
                if wanted.as_object().is_none_or(serde_json::Map::is_empty) {
                    continue;
                }
                self.changes.add(format!("network.{name}"), wanted, is);
                self.leave(&number, &name).await?;
            }
            self.changed = true;
            if !self.job.context.check {
                self.connect(&number, one).await?;
            }
        }
        if self.args.networks.is_some() && self.how.of("networks", How::More) == How::Strict {
            let wanted: Vec<String> = networks
                .iter()
                .filter_map(|one| one.get("name").map(Data::text))
                .collect();
            let all = found["NetworkSettings"]["Networks"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            for (name, _) in all.iter().filter(|(name, _)| !wanted.contains(name)) {
                self.changes
                    .add(format!("network.{name}"), Json::Null, true);
                self.changed = true;
                self.leave(&number, name).await?;
            }
        }
        Ok(())
    }

    async fn leave_others(&mut self, number: &str) -> Result<(), ActionError> {
        let wanted = self.args.networks.clone().unwrap_or_default();
        let wanted: Vec<String> = wanted
            .iter()
            .filter_map(|one| one.get("name").map(Data::text))
            .collect();
        let found = self
            .job
            .find("containers", number)
            .await?
            .unwrap_or_default();
        let all = found["NetworkSettings"]["Networks"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, _) in all.iter().filter(|(name, _)| !wanted.contains(name)) {
            self.leave(number, name).await?;
        }
        Ok(())
    }

    async fn leave(&mut self, number: &str, network: &str) -> Result<(), ActionError> {
        if !self.job.context.check {
            let path = format!("/networks/{}/disconnect", escaped(network));
            let left = self
                .job
                .post(&path, Some(&json!({ "Container": number })))
                .await;
            left.map_err(|refusal| {
                refusal.about(&format!(
                    "Error disconnecting container from network {network}"
                ))
            })?;
        }
        Ok(())
    }

    async fn connect(&mut self, number: &str, one: &Map) -> Result<(), ActionError> {
        let name = one.get("name").map(Data::text).unwrap_or_default();
        let body = json!({ "Container": number, "EndpointConfig": endpoint(one) });
        let path = format!("/networks/{}/connect", escaped(&name));
        let joined = self.job.post(&path, Some(&body)).await;
        joined.map_err(|refusal| {
            refusal.about(&format!("Error connecting container to network {name}"))
        })?;
        Ok(())
    }

    /// Tells the engine to do something with it.
    async fn act(&mut self, number: &str, verb: &str) -> Result<(), ActionError> {
        if self.job.context.check {
            return Ok(());
        }
        let mut query = vec![];
        if let ("stop" | "restart", Some(seconds)) = (verb, self.args.stop_timeout) {
            query.push(("t", seconds.to_string()));
        }
        if let ("kill", Some(signal)) = (verb, &self.args.kill_signal) {
            query.push(("signal", signal.clone()));
        }
        let path = with_query(&format!("/containers/{}/{verb}", escaped(number)), &query);
        let done = self.job.post(&path, None).await;
        let word = match verb {
            "stop" => "stopping",
            "kill" => "killing",
            "pause" => "pausing",
            "unpause" => "unpausing",
            "restart" => "restarting",
            _ => "starting",
        };
        done.map_err(|refusal| refusal.about(&format!("Error {word} container {number}")))?;
        Ok(())
    }

    async fn stop(&mut self, found: &Json) -> Result<(), ActionError> {
        let number = found["Id"].as_str().unwrap_or_default().to_owned();
        // One that is paused cannot be stopped gently.
        if found["State"]["Paused"] == true && !self.args.force_kill {
            self.act(&number, "unpause").await?;
        }
        let verb = if self.args.force_kill { "kill" } else { "stop" };
        self.act(&number, verb).await
    }

    async fn remove(&mut self, found: &Json) -> Result<(), ActionError> {
        let name = self.args.name.clone();
        if self.job.context.check {
            self.job.assume("containers", &name, None);
            return Ok(());
        }
        let number = found["Id"].as_str().unwrap_or_default().to_owned();
        let volumes = u8::from(!self.args.keep_volumes);
        let query = [
            ("v", volumes.to_string()),
            ("link", "0".to_owned()),
            ("force", "0".to_owned()),
        ];
        let path = with_query(&format!("/containers/{number}"), &query);
        for _ in 0..20 {
            match self.job.delete(&path).await {
                Ok(_) => break,
                Err(refusal) if refusal.is(404) => break,
                // The engine has begun to remove it by itself.
                Err(refusal) if refusal.is(409) && refusal.text().contains("in progress") => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                Err(refusal) => {
                    return Err(refusal.about(&format!("Error removing container {number}")));
                }
            }
        }
        let limit =
            Duration::from_secs_f64(self.args.removal_wait_timeout.unwrap_or(300.0).max(0.0));
        let begin = Instant::now();
        while self.job.find("containers", &number).await?.is_some() {
            if begin.elapsed() > limit {
                return Err(ActionError::new(format!(
                    "Timeout while waiting for container removal (id: {number})"
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Starts it, and waits for its end where that is asked for.
    async fn start(&mut self, current: &mut Option<Json>) -> Result<(), ActionError> {
        let number = current
            .as_ref()
            .and_then(|now| now["Id"].as_str())
            .unwrap_or_default()
            .to_owned();
        self.act(&number, "start").await?;
        if self.args.detach != Some(false) || self.job.context.check {
            return Ok(());
        }
        let ended = self
            .job
            .forever(&format!("/containers/{number}/wait"))
            .await;
        let ended = ended
            .map_err(|refusal| refusal.about(&format!("Error waiting for container {number}")))?;
        let status = ended["StatusCode"].as_i64().unwrap_or(0);
        self.status = Some(status);
        let mut now = self
            .job
            .find("containers", &number)
            .await?
            .unwrap_or_default();
        let driver = now["HostConfig"]["LogConfig"]["Type"]
            .as_str()
            .unwrap_or_default();
        let output = match driver {
            "json-file" | "journald" | "local" | "k8s-file" => {
                self.logs(&number, now["Config"]["Tty"] == true).await?
            }
            driver => format!("Result logged using `{driver}` driver"),
        };
        if self.args.cleanup {
            self.remove(&now).await?;
            now = json!({});
        }
        now["Output"] = output.clone().into();
        let shown = Data::from_json(&now);
        *current = Some(now);
        match status {
            0 => Ok(()),
            _ => Err(changed(failure(
                output,
                map! { "status" => status, "container" => shown },
            ))),
        }
    }

    async fn logs(&mut self, number: &str, tty: bool) -> Result<String, ActionError> {
        let path = format!("/containers/{number}/logs?stdout=1&stderr=1");
        let bytes = self.job.ask(Ask::new(http::Method::GET, &path)).await?;
        Ok(super::container_exec::joined(&bytes, tty))
    }

    async fn pause(&mut self, current: &Option<Json>) -> Result<(), ActionError> {
        let Some(wanted) = self.args.paused else {
            return Ok(());
        };
        let is = current
            .as_ref()
            .is_some_and(|now| now["State"]["Paused"] == true);
        if is == wanted || self.args.state == "stopped" {
            return Ok(());
        }
        self.changes.add("paused", wanted, is);
        self.changed = true;
        let name = self.args.name.clone();
        self.act(&name, if wanted { "pause" } else { "unpause" })
            .await
    }

    async fn healthy(&mut self) -> Result<(), ActionError> {
        if self.job.context.check {
            return Ok(());
        }
        let limit = self.args.healthy_wait_timeout;
        let begin = Instant::now();
        let name = self.args.name.clone();
        loop {
            let now = self
                .job
                .find("containers", &name)
                .await?
                .unwrap_or_default();
            let health = now["State"]["Health"]["Status"].as_str().map(str::to_owned);
            match health.as_deref() {
                Some("healthy") => return Ok(()),
                None | Some("none") => {
                    let text = format!(
                        "Encountered unexpected state \"{}\" while waiting for container \"{name}\"",
                        now["State"]["Status"].as_str().unwrap_or_default()
                    );
                    return Err(ActionError::new(text));
                }
                Some(_) => {}
            }
            if limit > 0.0 && begin.elapsed().as_secs_f64() > limit {
                let said = now["State"]["Health"]["Log"]
                    .as_array()
                    .and_then(|all| all.last());
                let said = said
                    .and_then(|last| last["Output"].as_str())
                    .unwrap_or_default()
                    .trim();
                let said = if said.is_empty() {
                    String::new()
                } else {
                    format!("; its check says: {said}")
                };
                return Err(ActionError::new(format!(
                    "Timeout while waiting for container \"{name}\" to become healthy: it is {}{said}",
                    health.unwrap_or_default()
                )));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn changed(error: ActionError) -> ActionError {
    match error {
        ActionError::Failed(mut failure) => {
            failure.changed = true;
            ActionError::Failed(failure)
        }
        other => other,
    }
}

/// How a container is in a network.
fn endpoint(one: &Map) -> Json {
    let part = |name: &str| one.get(name).filter(|value| **value != Data::Null);
    let mut out = json!({});
    for (name, member) in [
        ("aliases", "Aliases"),
        ("links", "Links"),
        ("gw_priority", "GwPriority"),
    ] {
        if let Some(value) = part(name) {
            out[member] = value.to_json();
        }
    }
    for (name, member) in [
        ("ipv4_address", "IPv4Address"),
        ("ipv6_address", "IPv6Address"),
    ] {
        if let Some(value) = part(name) {
            out["IPAMConfig"][member] = value.text().into();
        }
    }
    if let Some(value) = part("mac_address") {
        out["MacAddress"] = value.text().into();
    }
    if let Some(options) = part("driver_opts").and_then(Data::as_map) {
        out["DriverOpts"] = volume::words(options);
    }
    out
}

/// What of a network that it is in is other.
fn other_parts(one: &Map, known: &Json, container: &Json) -> (Json, Json) {
    let wanted = endpoint(one);
    let (mut other, mut is) = (json!({}), json!({}));
    let number = container["Id"].as_str().unwrap_or_default();
    for (name, member, place) in [
        ("ipv4_address", "IPv4Address", "IPAMConfig"),
        ("ipv6_address", "IPv6Address", "IPAMConfig"),
        ("mac_address", "MacAddress", ""),
    ] {
        let pick = |from: &Json| match place {
            "" => from[member].clone(),
            place => from[place][member].clone(),
        };
        if !pick(&wanted).is_null() && pick(&wanted) != pick(known) {
            other[name] = pick(&wanted);
            is[name] = pick(known);
        }
    }
    for (name, member) in [("aliases", "Aliases"), ("links", "Links")] {
        let words = |from: &Json| -> Vec<String> {
            let all = from[member].as_array().into_iter().flatten();
            all.filter_map(|one| one.as_str().map(str::to_owned))
                .collect()
        };
        let known: Vec<String> = words(known)
            .into_iter()
            .filter(|one| !number.starts_with(one.as_str()))
            .collect();
        if words(&wanted).iter().any(|one| !known.contains(one)) {
            other[name] = words(&wanted).into();
            is[name] = known.into();
        }
    }
    (other, is)
}
