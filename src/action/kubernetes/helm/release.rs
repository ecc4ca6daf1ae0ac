//! `helm`: the release of a chart, installed, upgraded or removed.
//!
//! Whether an upgrade would change anything is not guessed from the values: the program renders what it would
//! install (`--dry-run`), and that is compared with what the release has.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::helm::Args;
use rplay_modules::map;
use rplay_modules::outcome::Diff;
use serde_json::{Value as Json, json};

use super::{Given, Helm, bare, differences, document, documents, repository, told, values, words};
use crate::action::programs::{self, Ran};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Does it.
pub(in super::super) async fn run(
    context: &mut Context<'_>,
    args: Args,
) -> Result<TaskResult, ActionError> {
    let helm = Helm::open(context, &args.helm, Some(&args.release_namespace)).await?;
    for (given, what, least) in [
        (args.plain_http, "plain_http", (3, 13, 0)),
        (args.take_ownership, "take_ownership", (3, 17, 0)),
        (
            args.skip_schema_validation,
            "skip_schema_validation",
            (3, 16, 0),
        ),
    ] {
        if given {
            helm.needs(what, least)?;
        }
    }
    let work = Work {
        helm,
        args,
        warnings: vec![],
    };
    if work.args.update_repo_cache && !context.check {
        let update = words(["repo", "update"]);
        work.helm.run(context, &update, None).await?;
    }
    match work.args.release_state.as_str() {
        "absent" => work.absent(context).await,
        _ => work.present(context).await,
    }
}

struct Work {
    helm: Helm,
    args: Args,
    warnings: Vec<String>,
}

/// What a release is, or would be.
#[derive(Default)]
struct State {
    /// The chart's name and version, and that of the application.
    chart: (String, String),
    values: Json,
    objects: Vec<Json>,
}

impl Work {
    /// The release as `helm list` has it.
    async fn listed(
        &self,
        context: &mut Context<'_>,
        all: bool,
    ) -> Result<Option<Json>, ActionError> {
        let name = &self.args.release_name;
        let exact = format!("^{}$", regex_escaped(name));
        let mut list = words(["list", "--output=json", "--filter", &exact]);
        match (all, self.helm.is_four()) {
            (true, true) => {}
            (true, false) => list.push("--all".to_owned()),
            (false, _) => list.push("--deployed".to_owned()),
        }
        let found = self.helm.ask(context, &list).await?;
        let mut found = found.as_array().cloned().unwrap_or_default().into_iter();
        Ok(found.find(|one| one["name"] == name.as_str()))
    }

    /// What the release is.
    async fn now(&self, context: &mut Context<'_>, listed: &Json) -> Result<State, ActionError> {
        let ask = words(["status", &self.args.release_name, "--output=json"]);
        let found = self.helm.ask(context, &ask).await?;
        let word = |name: &str| listed[name].as_str().unwrap_or_default().to_owned();
        State::read(&found, (word("chart"), word("app_version")))
    }

    /// The release as results show it.
    async fn status(&self, context: &mut Context<'_>) -> Result<Data, ActionError> {
        let Some(listed) = self.listed(context, true).await? else {
            return Ok(Data::Null);
        };
        let ask = words(["get", "values", "--output=json", &self.args.release_name]);
        let own = self.helm.ask(context, &ask).await?;
        Ok(shown(listed, &own))
    }

    async fn absent(mut self, context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
        let listed = self.listed(context, true).await?;
        let state = |listed: &Json| listed["status"].as_str().unwrap_or_default().to_owned();
        let is_there = |listed: &Json| !state(listed).starts_with("uninstall");
        let Some(listed) = listed.filter(is_there) else {
            let status = self.status(context).await?;
            return Ok(self.unchanged(&[], status));
        };
        if self.args.replace {
            return Err(ActionError::new(
                "replace is not applicable when state is absent",
            ));
        }
        let command = self.removal();
        let now = self.now(context, &listed).await?;
        let diff = match context.diff {
            true => differences(&now.objects, &[]),
            false => vec![],
        };
        if context.check {
            let status = predicted(&now.values, &json!({}));
            return Ok(self.changed(&command, status, &Ran::default(), diff));
        }
        let ran = self.helm.run(context, &command, None).await?;
        let status = self.status(context).await?;
        Ok(self.changed(&command, status, &ran, diff))
    }

    fn removal(&mut self) -> Vec<String> {
        let args = &self.args;
        let mut command = words(["uninstall"]);
        let mut flag = |given: bool, word: &str| {
            if given {
                command.push(word.to_owned());
            }
        };
        let can_wait = self.helm.version >= (3, 7, 0);
        flag(!args.purge, "--keep-history");
        flag(args.disable_hook, "--no-hooks");
        flag(args.wait && can_wait, "--wait");
        if args.wait && !can_wait {
            let text = "helm uninstall support option --wait for helm release >= 3.7.0";
            self.warnings.push(text.to_owned());
        }
        if let Some(limit) = args.wait_timeout.as_ref().or(args.timeout.as_ref()) {
            command.extend(words(["--timeout", limit]));
        }
        command.push(args.release_name.clone());
        command
    }

    async fn present(mut self, context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
        self.told_of_values();
        let chart = self.args.chart_ref.clone().unwrap_or_default();
        let chart = programs::expand(context, &chart).await?;
        let listed = self.listed(context, false).await?;
        if self.args.chart_repo_url.is_none() {
            self.helm.repositories = repository::foreseen(context, &chart).await?;
        }
        let unfetched = self.dependencies(context, &chart).await?;
        let given = values(context, &self.helm, &self.args.values).await?;
        let command = self.deployment(&chart, &given, listed.is_some())?;
        let now = match &listed {
            Some(listed) => self.now(context, listed).await?,
            None => State::default(),
        };
        // A new release is rendered where somebody looks at what would come of it.
        let wanted = listed.is_some() || context.check || context.diff;
        let then = match wanted {
            true => {
                self.rendered(context, &command, &chart, &given, unfetched)
                    .await?
            }
            false => None,
        };
        let same = listed.is_some()
            && !self.args.force
            && then.as_ref().is_some_and(|then| now.is_same(then));
        if same {
            let listed = listed.unwrap_or_default();
            let mut source = vec![];
            self.source(&mut source);
            return Ok(self.unchanged(&source, shown(listed, &now.values)));
        }
        let diff = match (&then, context.diff) {
            (Some(then), true) => now.differences(then),
            _ => vec![],
        };
        if context.check {
            let declared = then.map_or(Json::Null, |then| then.values);
            let status = predicted(&now.values, &declared);
            return Ok(self.changed(&command, status, &Ran::default(), diff));
        }
        let ran = self
            .helm
            .run(context, &command, given.stdin.as_deref())
            .await?;
        let status = self.status(context).await?;
        Ok(self.changed(&command, status, &ran, diff))
    }

    /// What does not go together, and is not followed by the program without a word.
    fn told_of_values(&mut self) {
        let args = &self.args;
        let (reuse, then) = (args.reuse_values, args.reset_then_reuse_values);
        let mut tell = |text: String| self.warnings.push(text);
        if args.replace {
            for (name, given) in [
                ("reuse_values", reuse.is_some()),
                ("reset_then_reuse_values", then),
            ] {
                if given {
                    tell(format!(
                        "{name} is ignored because replace=true deploys through 'helm install', which does not accept the flag."
                    ));
                }
            }
        } else if args.reset_values {
            for (name, given) in [
                ("reuse_values", reuse == Some(true)),
                ("reset_then_reuse_values", then),
            ] {
                if given {
                    tell(format!(
                        "{name} is ignored because reset_values is true. Set reset_values=false to make it take effect."
                    ));
                }
            }
        } else if reuse == Some(true) && then {
            tell("reset_then_reuse_values is ignored because reuse_values is true. Set reuse_values=false to make it take effect.".to_owned());
        }
    }

    /// Fetches the charts that a chart depends on; whether check mode left that out.
    async fn dependencies(
        &mut self,
        context: &mut Context<'_>,
        chart: &str,
    ) -> Result<bool, ActionError> {
        if !self.args.dependency_update {
            return Ok(false);
        }
        let mut show = words(["show", "chart"]);
        self.source(&mut show);
        self.access(&mut show)?;
        show.push(chart.to_owned());
        let ran = self.helm.run(context, &show, None).await?;
        let about = document(bare(&ran.stdout))?;
        let some = about["dependencies"]
            .as_array()
            .is_some_and(|all| !all.is_empty());
        if !some {
            self.args.dependency_update = false;
            self.warnings.push("There is no dependencies block defined in Chart.yaml. Dependency update will not be performed. Please consider add dependencies block or disable dependency_update to remove this warning.".to_owned());
            return Ok(false);
        }
        let is_elsewhere = chart.starts_with("http://") || chart.starts_with("https://");
        if self.args.chart_repo_url.is_some() || is_elsewhere {
            self.warnings.push("This is a not stable feature with 'chart_repo_url'. Please consider to use dependency update with on-disk charts".to_owned());
            return match self.args.replace {
                true => Ok(false),
                false => Err(ActionError::new(
                    "'--dependency-update' hasn't been supported yet with 'helm upgrade'. Please use 'helm install' instead by adding 'replace' option",
                )),
            };
        }
        self.args.dependency_update = false;
        if context.check {
            return Ok(true);
        }
        let update = words(["dependency", "update", chart]);
        self.helm.run(context, &update, None).await?;
        Ok(false)
    }

    /// Which chart of which repository.
    fn source(&self, command: &mut Vec<String>) {
        if let Some(version) = &self.args.chart_version {
            command.push(format!("--version={version}"));
        }
        if let Some(url) = &self.args.chart_repo_url {
            command.push(format!("--repo={url}"));
        }
    }

    /// How its place is spoken to.
    fn access(&self, command: &mut Vec<String>) -> Result<(), ActionError> {
        if self.args.insecure_skip_tls_verify {
            self.helm.needs("insecure_skip_tls_verify", (3, 16, 0))?;
            command.push("--insecure-skip-tls-verify".to_owned());
        }
        if self.args.plain_http {
            command.push("--plain-http".to_owned());
        }
        Ok(())
    }

    /// The call that installs or upgrades.
    fn deployment(
        &self,
        chart: &str,
        given: &Given,
        is_there: bool,
    ) -> Result<Vec<String>, ActionError> {
        let args = &self.args;
        let mut command = vec![];
        self.source(&mut command);
        match args.replace {
            true => {
                command.push("install".to_owned());
                if args.dependency_update {
                    command.push("--dependency-update".to_owned());
                }
            }
            false => self.upgrade(&mut command)?,
        }
        self.waiting(&mut command)?;
        self.conflicts(&mut command, is_there)?;
        let mut flag = |given: bool, word: &str| {
            if given {
                command.push(word.to_owned());
            }
        };
        flag(args.replace, "--replace");
        flag(args.disable_hook, "--no-hooks");
        flag(args.create_namespace, "--create-namespace");
        self.access(&mut command)?;
        for file in &given.files {
            command.push(match file.as_str() {
                "-" => "-f=-".to_owned(),
                file => format!("--values={file}"),
            });
        }
        if let Some(program) = &args.post_renderer {
            command.push(format!("--post-renderer={program}"));
        }
        if args.skip_crds {
            command.push("--skip-crds".to_owned());
        }
        if let Some(count) = args.history_max {
            command.push(format!("--history-max={count}"));
        }
        command.extend(given.set.iter().cloned());
        if args.skip_schema_validation {
            command.push("--skip-schema-validation".to_owned());
        }
        command.extend([args.release_name.clone(), chart.to_owned()]);
        Ok(command)
    }

    fn upgrade(&self, command: &mut Vec<String>) -> Result<(), ActionError> {
        let args = &self.args;
        command.extend(words(["upgrade", "-i"]));
        if args.take_ownership {
            command.push("--take-ownership".to_owned());
        }
        if args.reset_values {
            command.push("--reset-values".to_owned());
        }
        if let Some(reuse) = args.reuse_values {
            let word = if reuse { "True" } else { "False" };
            command.push(format!("--reuse-values={word}"));
        }
        if args.reset_then_reuse_values {
            self.helm.needs("reset_then_reuse_values", (3, 14, 0))?;
            command.push("--reset-then-reuse-values".to_owned());
        }
        Ok(())
    }

    fn waiting(&self, command: &mut Vec<String>) -> Result<(), ActionError> {
        let args = &self.args;
        if args.wait {
            command.push("--wait".to_owned());
            if args.wait_for_jobs {
                self.helm.needs("wait_for_jobs", (3, 5, 0))?;
                command.push("--wait-for-jobs".to_owned());
            }
            if let Some(limit) = &args.wait_timeout {
                command.extend(words(["--timeout", limit]));
            }
        }
        if args.atomic {
            let word = match self.helm.is_four() {
                true => "--rollback-on-failure",
                false => "--atomic",
            };
            command.push(word.to_owned());
        }
        if args.cleanup_on_fail {
            if args.replace {
                return Err(ActionError::new(
                    "cleanup_on_fail is only supported by 'helm upgrade' and cannot be used with replace=true",
                ));
            }
            command.push("--cleanup-on-fail".to_owned());
        }
        if let Some(limit) = &args.timeout {
            command.extend(words(["--timeout", limit]));
        }
        Ok(())
    }

    /// Who wins where the cluster is otherwise.
    fn conflicts(&self, command: &mut Vec<String>, is_there: bool) -> Result<(), ActionError> {
        let args = &self.args;
        if let Some(word) = &args.server_side {
            self.helm.needs("server_side", (4, 0, 0))?;
            command.push(format!("--server-side={word}"));
        }
        if args.force_conflicts {
            self.helm.needs("force_conflicts", (4, 0, 0))?;
            if args.server_side.as_deref() == Some("false") {
                return Err(ActionError::new(
                    "force_conflicts requires server-side apply to be enabled and cannot be used with server_side=false",
                ));
            }
            command.push("--force-conflicts".to_owned());
        }
        if args.force && is_there {
            match self.helm.is_four() {
                true => command.extend(words(["--server-side=false", "--force-replace"])),
                false => command.push("--force".to_owned()),
            }
        }
        Ok(())
    }

    /// What the call would install; nothing where check mode cannot know it.
    async fn rendered(
        &mut self,
        context: &mut Context<'_>,
        command: &[String],
        chart: &str,
        given: &Given,
        unfetched: bool,
    ) -> Result<Option<State>, ActionError> {
        let mut look = command.to_vec();
        look.push(match self.helm.version >= (3, 13, 0) {
            true => "--dry-run=server".to_owned(),
            false => "--dry-run".to_owned(),
        });
        look.push("--output=json".to_owned());
        let ran = self
            .helm
            .call(context, &look, given.stdin.as_deref())
            .await?;
        if ran.code == 0 {
            let found = self.helm.read(&look, &ran)?;
            let about = &found["chart"]["metadata"];
            let word = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
            let chart = format!("{}-{}", word("name"), word("version"));
            return State::read(&found, (chart, word("appVersion"))).map(Some);
        }
        let why = match unfetched {
            true => "check mode does not fetch the charts that it depends on",
            false if context.check && is_foreseen(context, chart).await? => {
                "an earlier task of this check would have written it"
            }
            false => return Err(self.helm.failed(&look, &ran)),
        };
        let text = format!("what the chart {chart} would make cannot be told: {why}");
        self.warnings.push(text);
        Ok(None)
    }

    fn unchanged(self, words: &[String], status: Data) -> TaskResult {
        let results = map! {
            "command" => self.helm.line(words).trim_end(),
            "status" => status,
            "stdout" => "",
            "stderr" => "",
        };
        told(false, results, vec![], self.warnings)
    }

    fn changed(self, command: &[String], status: Data, ran: &Ran, diff: Vec<Diff>) -> TaskResult {
        let results = map! {
            "command" => self.helm.line(command),
            "status" => status,
            "stdout" => ran.stdout.clone(),
            "stderr" => ran.stderr.clone(),
        };
        told(true, results, diff, self.warnings)
    }
}

impl State {
    /// Out of what the program prints of a release.
    fn read(found: &Json, chart: (String, String)) -> Result<Self, ActionError> {
        let mut objects = documents(found["manifest"].as_str().unwrap_or_default())?;
        for hook in found["hooks"].as_array().into_iter().flatten() {
            objects.extend(documents(hook["manifest"].as_str().unwrap_or_default())?);
        }
        let values = match &found["config"] {
            Json::Null => json!({}),
            values => values.clone(),
        };
        Ok(Self {
            chart,
            values,
            objects,
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        let sorted = |all: &[Json]| {
            let mut all: Vec<String> = all.iter().map(Json::to_string).collect();
            all.sort_unstable();
            all
        };
        self.chart == other.chart
            && self.values == other.values
            && sorted(&self.objects) == sorted(&other.objects)
    }

    /// For people: values may hold secrets, so only the objects are shown, and which chart they are of.
    fn differences(&self, then: &Self) -> Vec<Diff> {
        let mut all = vec![];
        if self.chart != then.chart {
            let side = |chart: &(String, String)| match chart.0.is_empty() {
                true => map! {},
                false => map! { "chart" => chart.0.as_str(), "app_version" => chart.1.as_str() },
            };
            all.push(Diff::attributes(side(&self.chart), side(&then.chart)));
        }
        all.extend(differences(&self.objects, &then.objects));
        all
    }
}

/// The release, with its values.
fn shown(listed: Json, values: &Json) -> Data {
    let own = match values {
        Json::Null => Data::Map(Map::new()),
        values => Data::from_json(values),
    };
    let mut status = match Data::from_json(&listed) {
        Data::Map(map) => map,
        _ => Map::new(),
    };
    for name in ["release_values", "values"] {
        status.insert(name.to_owned(), own.clone());
    }
    Data::Map(status)
}

/// In check mode: the values as they are, and as they would be.
fn predicted(current: &Json, declared: &Json) -> Data {
    let one = |json: &Json| match json {
        Json::Null => Data::Map(Map::new()),
        json => Data::from_json(json),
    };
    let both = Data::Map(map! { "current" => one(current), "declared" => one(declared) });
    Data::Map(map! { "values" => both.clone(), "release_values" => both })
}

/// Whether a path is there for the tasks of this check, and not on the disk.
async fn is_foreseen(context: &mut Context<'_>, chart: &str) -> Result<bool, ActionError> {
    let args = map! { "path" => chart, "get_checksum" => false };
    let known = context.call_module("ansible.builtin.stat", &args).await?;
    let stat = known.result.get("stat");
    if stat.and_then(|stat| stat.get("exists")) != Some(&Data::Bool(true)) {
        return Ok(false);
    }
    let real = programs::Program::new(&["test", "-e", chart])
        .run(context)
        .await?;
    Ok(real.code != 0)
}

/// A name as an expression that fits it alone.
fn regex_escaped(name: &str) -> String {
    let mut all = String::new();
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() && letter != '-' {
            all.push('\\');
        }
        all.push(letter);
    }
    all
}
