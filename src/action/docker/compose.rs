//! `docker_compose_v2` and its kin. Compose itself reads a project and brings it up; what that changes is
//! found out by us: the hash of each service's configuration against the label of its containers, the
//! images against those that are there, and digests against the registry. Never by `--dry-run`, which builds.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::{
    docker_compose_v2, docker_compose_v2_exec, docker_compose_v2_pull, docker_compose_v2_run,
};
use rplay_modules::map;
use rplay_modules::text::split_words;
use serde_json::{Value as Json, json};

use super::Job;
use super::compose_listing;
use super::compose_plan::{self, Intent, Plan};
use super::container_exec::{self, Command};
use super::project::{Open, open};
use super::pull::id;
use crate::action::programs::Ran;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// What Compose calls the beginning of a change.
const CHANGES: [&str; 10] = [
    "Creating",
    "Starting",
    "Restarting",
    "Stopping",
    "Killing",
    "Removing",
    "Recreate",
    "Building",
    "Restart",
    "Built",
];

/// Brings a project to a state.
pub(super) async fn run(
    context: &mut Context<'_>,
    args: docker_compose_v2::Args,
) -> Result<TaskResult, ActionError> {
    let open = open(context, &args.project).await?;
    if args.assume_yes && open.version < (2, 32) {
        return Err(ActionError::new(format!(
            "assume_yes=true needs Docker Compose 2.32.0 or newer, not version {}",
            open.version_text
        )));
    }
    let intent = Intent {
        state: args.state.clone(),
        services: args.services.clone().unwrap_or_default(),
        dependencies: args.dependencies,
        pull: args.pull.clone(),
        build: args.build.clone(),
        recreate: args.recreate.clone(),
        scale: args.scale.clone().unwrap_or_default(),
        volumes: args.remove_volumes,
        images: args.remove_images.clone(),
        orphans: args.remove_orphans,
        renew: args.renew_anon_volumes,
        assume_yes: args.assume_yes,
        wait: args.wait,
    };
    let engine = args.project.cli.engine();
    let patience = args.timeout;
    let path = compose_plan::containers_path(&open.name);
    let (mut job, found) = Job::begin_asking(context, &engine, &path).await?;
    let all = found.as_array().cloned().unwrap_or_default();
    let shows = job.context.diff;
    let plan = compose_plan::make(&mut job, &open, &intent, &all).await?;
    let diff = (shows && !plan.changes.is_empty()).then(|| plan.changes.diff());
    let is_idle = args.state == "present" && plan.is_idle() && open.is_same_engine();
    let mut result = if job.context.check {
        predicted(&mut job, &open, plan, &all).await?
    } else if is_idle {
        // Compose would look at the same things, and do nothing.
        let (containers, images) = state(&mut job, &open, &all).await?;
        let result = map! {
            "actions" => Data::List(vec![]),
            "containers" => containers,
            "images" => images,
            "stderr" => "",
        };
        TaskResult::changed(false, result)
    } else {
        drop(job);
        act(context, &open, &engine, &commands(&args, patience), &plan).await?
    };
    result.diff.extend(diff);
    Ok(result)
}

async fn predicted(
    job: &mut Job<'_, '_>,
    open: &Open,
    plan: Plan,
    all: &[Json],
) -> Result<TaskResult, ActionError> {
    let changed = plan.changed();
    let mut result = map! { "actions" => shown(open, &plan.actions) };
    compose_plan::foresee(job, open, &plan).await?;
    let (containers, images) = state(job, open, all).await?;
    result.insert("containers".to_owned(), containers);
    result.insert("images".to_owned(), images);
    Ok(TaskResult::changed(changed, result))
}

/// What is called to bring a project to a state.
fn commands(args: &docker_compose_v2::Args, patience: Option<u64>) -> Vec<Vec<String>> {
    let mut patience_words = vec![];
    if let Some(seconds) = patience {
        patience_words.extend(["--timeout".to_owned(), seconds.to_string()]);
    }
    let services = args.services.clone().unwrap_or_default();
    let finish = |mut words: Vec<String>| {
        words.push("--".to_owned());
        words.extend(services.iter().cloned());
        words
    };
    let word = |text: &str| text.to_owned();
    let mut up: Vec<String> = ["up", "--detach", "--no-color", "--quiet-pull"]
        .map(str::to_owned)
        .to_vec();
    if args.pull != "policy" {
        up.extend([word("--pull"), args.pull.clone()]);
    }
    let flags = [
        (args.remove_orphans, "--remove-orphans"),
        (args.recreate == "always", "--force-recreate"),
        (args.recreate == "never", "--no-recreate"),
        (args.renew_anon_volumes, "--renew-anon-volumes"),
        (!args.dependencies, "--no-deps"),
        (args.build == "always", "--build"),
        (args.build == "never", "--no-build"),
        (args.assume_yes, "-y"),
    ];
    up.extend(
        flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, flag)| word(flag)),
    );
    up.extend(patience_words.clone());
    for (service, count) in args.scale.iter().flatten() {
        up.extend([word("--scale"), format!("{service}={}", count.text())]);
    }
    match args.state.as_str() {
        "present" => {
            if args.wait {
                up.push(word("--wait"));
                if let Some(seconds) = args.wait_timeout {
                    up.extend([word("--wait-timeout"), seconds.to_string()]);
                }
            }
            vec![finish(up)]
        }
        "stopped" => {
            up.retain(|word| word != "--detach");
            up.push(word("--no-start"));
            let mut stop = vec![word("stop")];
            stop.extend(patience_words);
            vec![finish(up), finish(stop)]
        }
        "restarted" => {
            let mut restart = vec![word("restart")];
            restart.extend(patience_words);
            if !args.dependencies {
                restart.push(word("--no-deps"));
            }
            vec![finish(restart)]
        }
        _ => {
            let mut down = vec![word("down")];
            if args.remove_orphans {
                down.push(word("--remove-orphans"));
            }
            if let Some(which) = &args.remove_images {
                down.extend([word("--rmi"), which.clone()]);
            }
            if args.remove_volumes {
                down.push(word("--volumes"));
            }
            down.extend(patience_words);
            vec![finish(down)]
        }
    }
}

/// Has Compose do it, and tells what came of it.
async fn act(
    context: &mut Context<'_>,
    open: &Open,
    engine: &rplay_modules::docker::shared::Engine,
    commands: &[Vec<String>],
    plan: &Plan,
) -> Result<TaskResult, ActionError> {
    let mut events: Vec<Event> = vec![];
    let (mut stdout, mut stderr) = (String::new(), String::new());
    for words in commands {
        // Compose stops what is stopped, and says so.
        if words[0] == "stop" && !any_runs(context, open, engine).await? {
            continue;
        }
        let ran = open.compose(context, words).await?;
        stdout += &ran.stdout;
        stderr += &ran.stderr;
        events.extend(ran.stderr.lines().filter_map(event));
        if ran.code != 0 {
            return Err(failed(context, open, engine, ran, words, &events).await);
        }
    }
    let mut job = Job::begin(context, engine).await?;
    let is_new = plan.images_differ(&mut job).await?;
    let mut actions = events
        .iter()
        .filter(|event| event.is_change() || event.status == "Pulling");
    let mut changed = is_new;
    let mut told = vec![];
    for event in actions.by_ref() {
        // Removing what is not there is no change, although Compose says so.
        let phantom =
            event.what == "volume" && event.status == "Removing" && !plan.removes(&event.id);
        if !phantom {
            changed |= event.is_change();
            told.push((event.what, event.id.clone(), event.status.clone()));
        }
    }
    let all = compose_plan::list(&mut job, "containers", &open.name).await?;
    let (containers, images) = state(&mut job, open, &all).await?;
    let mut result = map! {
        "actions" => shown(open, &told),
        "containers" => containers,
        "images" => images,
        "stderr" => stderr,
    };
    if !stdout.is_empty() {
        result.insert("stdout".to_owned(), stdout.into());
    }
    let outcome = rplay_modules::outcome::Outcome {
        changed,
        results: result,
        ..Default::default()
    };
    Ok(TaskResult::from(Ok(outcome)))
}

async fn any_runs(
    context: &mut Context<'_>,
    open: &Open,
    engine: &rplay_modules::docker::shared::Engine,
) -> Result<bool, ActionError> {
    let mut job = Job::begin(context, engine).await?;
    let all = compose_plan::containers(&mut job, &open.name).await?;
    Ok(all.iter().any(|one| one["State"] == "running"))
}

/// Since this version Ansible reads what Compose tells as JSON, in which a pull names no kind, and any error is general.
const AS_JSON: (u32, u32) = (2, 29);

fn shown(open: &Open, actions: &[(&'static str, String, String)]) -> Data {
    let all = actions.iter().map(|(what, id, status)| {
        let what = match status == "Pulling" && open.version >= AS_JSON {
            true => "image",
            false => what,
        };
        Data::Map(map! { "what" => what, "id" => id.clone(), "status" => status.clone() })
    });
    Data::List(all.collect())
}

/// What Compose says of one thing.
pub(super) struct Event {
    what: &'static str,
    pub(super) id: String,
    status: String,
    message: String,
}

impl Event {
    fn is_change(&self) -> bool {
        CHANGES.contains(&self.status.as_str())
    }
}

/// Reads a line such as ` Container web-1  Starting`.
fn event(line: &str) -> Option<Event> {
    let line = line.strip_prefix(' ')?;
    let known = [
        "Creating",
        "Created",
        "Starting",
        "Started",
        "Restarting",
        "Restarted",
        "Stopping",
        "Stopped",
        "Killing",
        "Killed",
        "Removing",
        "Removed",
        "Recreate",
        "Recreated",
        "Running",
        "Waiting",
        "Healthy",
        "Exited",
        "Pulling",
        "Pulled",
        "Skipped",
        "Error",
        "Warning",
        "Building",
        "Built",
        "Interrupted",
    ];
    let kinds = [
        ("Container ", "container"),
        ("Network ", "network"),
        ("Volume ", "volume"),
        ("Image ", "image"),
    ];
    let kind = kinds
        .iter()
        .find_map(|(word, what)| Some((*what, line.strip_prefix(word)?)));
    let (what, rest) = kind.unwrap_or(("service", line));
    let (id, rest) = rest.split_once(' ')?;
    let rest = rest.trim();
    let (status, message) = rest.split_once(' ').unwrap_or((rest, ""));
    known.contains(&status).then(|| Event {
        what,
        id: id.trim_matches('"').to_owned(),
        status: status.to_owned(),
        message: message.trim().trim_start_matches("- ").to_owned(),
    })
}

/// Why Compose failed, in Ansible's words, and what a container that is not healthy says.
async fn failed(
    context: &mut Context<'_>,
    open: &Open,
    engine: &rplay_modules::docker::shared::Engine,
    ran: Ran,
    words: &[String],
    events: &[Event],
) -> ActionError {
    let mut lines: Vec<String> = events
        .iter()
        .filter(|event| event.status == "Error")
        .map(|event| match event.what {
            "service" => format!("Error when processing {}: {}", event.id, event.message),
            what => format!(
                "Error when processing {what} {}: {}",
                event.id, event.message
            ),
        })
        .collect();
    let plain = ran
        .stderr
        .lines()
        .filter(|line| event(line).is_none() && !line.trim().is_empty());
    let plain: Vec<&str> = plain.filter(|line| !line.starts_with("time=")).collect();
    if let Some(last) = plain.last() {
        let is_named = open.version < AS_JSON && (!lines.is_empty() || last.starts_with("Error"));
        lines.push(if is_named {
            (*last).to_owned()
        } else {
            format!("General error: {last}")
        });
    }
    if lines.is_empty() {
        lines.push(format!(
            "{} ended with exit code {}{}",
            words.join(" "),
            ran.code,
            ran.msg
        ));
    }
    let mut actions = vec![];
    for event in events
        .iter()
        .filter(|event| event.is_change() || event.status == "Pulling")
    {
        actions.push((event.what, event.id.clone(), event.status.clone()));
    }
    let (mut containers, mut images) = (Data::List(vec![]), Data::List(vec![]));
    if let Ok(mut job) = Job::begin(context, engine).await {
        for why in compose_plan::ill(&mut job, &open.name).await {
            lines.push(why);
        }
        let all = compose_plan::list(&mut job, "containers", &open.name).await;
        if let Ok(found) = state(&mut job, open, &all.unwrap_or_default()).await {
            (containers, images) = found;
        }
    }
    let mut failure = rplay_modules::outcome::Failure::new(lines.join("\n"));
    failure.changed = events.iter().any(Event::is_change);
    failure.results = map! {
        "actions" => shown(open, &actions),
        "cmd" => open.line(words),
        "rc" => ran.code,
        "stdout" => ran.stdout,
        "stderr" => ran.stderr,
    };
    failure.results.insert("containers".to_owned(), containers);
    failure.results.insert("images".to_owned(), images);
    ActionError::Failed(Box::new(failure))
}

/// The containers and images of a project, as Compose lists them.
async fn state(
    job: &mut Job<'_, '_>,
    open: &Open,
    all: &[Json],
) -> Result<(Data, Data), ActionError> {
    let (containers, images) = compose_listing::both(job, open, all).await?;
    let containers = containers.into_iter().map(container);
    let containers = containers.map(|one| Data::from_json(&one)).collect();
    let images = images.iter().map(Data::from_json).collect();
    Ok((Data::List(containers), Data::List(images)))
}

/// A container with its lists as lists.
fn container(mut one: Json) -> Json {
    if let Some(labels) = one["Labels"].as_str() {
        let labels = labels.split(',').filter_map(|part| part.split_once('='));
        let labels = labels.map(|(name, value)| (name.to_owned(), Json::from(value)));
        one["Labels"] = Json::Object(labels.collect());
    }
    for name in ["Names", "Networks"] {
        if let Some(text) = one[name].as_str() {
            one[name] = text.split(',').collect::<Vec<_>>().into();
        }
    }
    if one["Publishers"].is_null() {
        one["Publishers"] = json!([]);
    }
    one
}

/// Pulls the images of a project.
pub(super) async fn pull(
    context: &mut Context<'_>,
    args: docker_compose_v2_pull::Args,
) -> Result<TaskResult, ActionError> {
    let open = open(context, &args.project).await?;
    let engine = args.project.cli.engine();
    let services = args.services.clone().unwrap_or_default();
    let chosen = open.chosen(&services, args.include_deps);
    let mut job = Job::begin(context, &engine).await?;
    let mut before = vec![];
    let mut actions = vec![];
    let mut changed = false;
    for service in chosen {
        let config = &open.model["services"][&service];
        let Some(image) = config["image"].as_str().map(str::to_owned) else {
            continue;
        };
        if args.ignore_buildable && !config["build"].is_null() {
            continue;
        }
        let full = super::pull::full_name(&image, "latest");
        let known = job.find("images", &full).await?;
        if job.context.check && (known.is_none() || args.policy == "always") {
            actions.push(("service", service.clone(), "Pulling".to_owned()));
            let ahead = super::pull::would_change(&mut job, &full, known.as_ref()).await;
            match ahead {
                Err(_) if args.ignore_pull_failures => {}
                ahead => changed |= ahead?,
            }
        }
        before.push((full, id(known.as_ref()).map(str::to_owned)));
    }
    if job.context.check {
        return Ok(TaskResult::changed(
            changed,
            map! { "actions" => shown(&open, &actions) },
        ));
    }
    drop(job);
    let mut words = vec!["pull".to_owned()];
    if args.policy != "always" {
        words.extend(["--policy".to_owned(), args.policy.clone()]);
    }
    for (on, flag) in [
        (args.ignore_buildable, "--ignore-buildable"),
        (args.include_deps, "--include-deps"),
        (args.ignore_pull_failures, "--ignore-pull-failures"),
    ] {
        if on {
            words.push(flag.to_owned());
        }
    }
    words.push("--".to_owned());
    words.extend(services);
    let ran = open.compose(context, &words).await?;
    let events: Vec<Event> = ran.stderr.lines().filter_map(event).collect();
    if ran.code != 0 {
        return Err(failed(context, &open, &engine, ran, &words, &events).await);
    }
    let mut job = Job::begin(context, &engine).await?;
    for (full, known) in before {
        let now = job.find("images", &full).await?;
        changed |= id(now.as_ref()) != known.as_deref();
    }
    for event in events.iter().filter(|event| event.status == "Pulling") {
        actions.push((event.what, event.id.clone(), event.status.clone()));
    }
    let result = map! { "actions" => shown(&open, &actions), "stderr" => ran.stderr };
    let outcome = rplay_modules::outcome::Outcome {
        changed,
        results: result,
        ..Default::default()
    };
    Ok(TaskResult::from(Ok(outcome)))
}

fn command(argv: Option<&Vec<String>>, text: Option<&String>) -> Result<Vec<String>, ActionError> {
    match (argv, text) {
        (Some(words), _) => Ok(words.clone()),
        (None, Some(text)) => split_words(text).map_err(ActionError::new),
        (None, None) => Ok(vec![]),
    }
}

/// Runs a command in a container of a service: in the engine, so that its environment is in no process's
/// arguments.
pub(super) async fn exec(
    context: &mut Context<'_>,
    args: docker_compose_v2_exec::Args,
) -> Result<TaskResult, ActionError> {
    if context.check {
        let name = "community.docker.docker_compose_v2_exec";
        return Ok(TaskResult::without_check_mode(name));
    }
    let open = open(context, &args.project).await?;
    let words = command(args.argv.as_ref(), args.command.as_ref())?;
    let mut job = Job::begin(context, &args.project.cli.engine()).await?;
    let all = compose_plan::containers(&mut job, &open.name).await?;
    let wanted = args.index.map(|index| index.to_string());
    let label = |one: &Json, name: &str| {
        one["Labels"][format!("com.docker.compose.{name}")]
            .as_str()
            .map(str::to_owned)
    };
    let found = all.iter().find(|one| {
        label(one, "service").as_deref() == Some(&args.service)
            && one["State"] == "running"
            && wanted
                .as_ref()
                .is_none_or(|wanted| label(one, "container-number").as_ref() == Some(wanted))
    });
    let Some(container) = found.and_then(|one| one["Id"].as_str()).map(str::to_owned) else {
        let msg = match open.model["services"].get(&args.service) {
            None => format!("no such service: {}", args.service),
            Some(_) => format!("service \"{}\" is not running", args.service),
        };
        let more = map! { "rc" => 1, "stdout" => "", "stderr" => msg.clone() };
        return Err(super::engine::failure(msg, more));
    };
    let command = Command {
        words,
        env: args.env.clone().unwrap_or_default(),
        stdin: args.stdin.clone(),
        newline: args.stdin_add_newline,
        strip: args.strip_empty_ends,
        // There is no terminal to hand through.
        tty: false,
        detach: args.detach,
        user: args.user.clone(),
        chdir: args.chdir.clone(),
        privileged: args.privileged,
    };
    container_exec::command(&mut job, &container, &container, command).await
}

/// Runs a command in a new container of a service.
pub(super) async fn run_once(
    context: &mut Context<'_>,
    args: docker_compose_v2_run::Args,
) -> Result<TaskResult, ActionError> {
    if context.check {
        let name = "community.docker.docker_compose_v2_run";
        return Ok(TaskResult::without_check_mode(name));
    }
    if args.stdin.is_some() && args.project.definition.is_some() {
        return Err(ActionError::new(
            "`stdin` and `definition` cannot go together here: Compose reads the definition from there",
        ));
    }
    let open = open(context, &args.project).await?;
    let mut words = vec!["run".to_owned()];
    let flags = [
        (args.build, "--build"),
        (args.detach, "--detach"),
        (args.no_deps, "--no-deps"),
        (args.quiet_pull, "--quiet-pull"),
        (args.remove_orphans, "--remove-orphans"),
        (args.cleanup, "--rm"),
        (args.service_ports, "--service-ports"),
        (args.use_aliases, "--use-aliases"),
        (!args.interactive, "--interactive=false"),
        (true, "--no-TTY"),
    ];
    words.extend(
        flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, flag)| (*flag).to_owned()),
    );
    let mut word = |name: &str, value: &String| words.extend([name.to_owned(), value.clone()]);
    let texts = [
        ("--workdir", &args.chdir),
        ("--entrypoint", &args.entrypoint),
        ("--name", &args.name),
        ("--user", &args.user),
    ];
    for (flag, value) in texts {
        value.iter().for_each(|value| word(flag, value));
    }
    let lists = [
        ("--cap-add", &args.cap_add),
        ("--cap-drop", &args.cap_drop),
        ("--label", &args.labels),
        ("--publish", &args.publish),
        ("--volume", &args.volumes),
    ];
    for (flag, values) in lists {
        values.iter().flatten().for_each(|value| word(flag, value));
    }
    // By name alone: the value comes from the environment, which is no one's to see.
    let mut env = vec![];
    for (name, value) in args.env.iter().flatten() {
        word("--env", name);
        env.push((name.clone(), value.text()));
    }
    words.extend(["--".to_owned(), args.service.clone()]);
    words.extend(command(args.argv.as_ref(), args.command.as_ref())?);
    let stdin = args.stdin.clone().map(|text| {
        if args.stdin_add_newline {
            text + "\n"
        } else {
            text
        }
    });
    let ran = open
        .compose_with(context, &words, stdin.as_deref(), env)
        .await?;
    let strip = |text: String| match args.strip_empty_ends {
        true => text.trim_end_matches(['\r', '\n']).to_owned(),
        false => text,
    };
    let mut result: Map = map! {};
    if args.detach {
        result.insert("container_id".to_owned(), ran.stdout.trim().into());
    } else {
        result.insert("stdout".to_owned(), strip(ran.stdout).into());
        result.insert("stderr".to_owned(), strip(ran.stderr).into());
        result.insert("rc".to_owned(), ran.code.into());
    }
    let outcome = rplay_modules::outcome::Outcome {
        changed: true,
        results: result,
        ..Default::default()
    };
    let mut result = TaskResult::from(Ok(outcome));
    result.failed = ran.code != 0;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn lines() {
        let read = |line| event(line).map(|event| (event.what, event.id, event.status));
        let some = |what, id: &str, status: &str| Some((what, id.to_owned(), status.to_owned()));
        assert_eq!(
            read(" Container a-1  Starting"),
            some("container", "a-1", "Starting")
        );
        assert_eq!(read(" web Pulling "), some("service", "web", "Pulling"));
        assert_eq!(
            read(" Volume \"v\"  Creating"),
            some("volume", "v", "Creating")
        );
        assert_eq!(read("no such service: x"), None);
        let error = event(" web Error manifest unknown");
        assert_eq!(
            error.map(|event| event.message).as_deref(),
            Some("manifest unknown")
        );
    }
}
