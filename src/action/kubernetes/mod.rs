//! `kubernetes.core`: the controller speaks to the API server itself, through the host's SSH connection
//! where the play is about another machine.

mod api;
mod cluster_info;
mod connect;
mod cp;
mod definition;
mod diff;
mod discovery;
mod drain;
mod exec;
mod helm;
mod json_patch;
mod k8s;
mod k8s_info;
mod log;
mod lookup;
mod merge;
mod objects;
mod reasons;
mod road;
mod rollback;
mod rollout;
mod scale;
mod selector;
mod service;
mod taint;
mod wait;

pub(crate) use lookup::{members, query as looked_up};

use http::Method;
use rplay_modules::args::Args;
use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::shared::Auth;
use rplay_modules::registry;
use serde_json::Value as Json;

use self::api::{Api, Fault, Refusal};
use self::discovery::Discovery;
use self::objects::{Assumed, Done};
use super::{ActionError, Effect, TaskResult, as_module};
use crate::action::address::with_query;
use crate::run::context::Context;

/// Whether a name is one of these modules.
pub(super) fn is_own(name: &str) -> bool {
    registry::find(name).is_some_and(|module| {
        let collection = module
            .name
            .rsplit_once('.')
            .map_or("", |(collection, _)| collection);
        ["kubernetes.core", "rplay.kubernetes"].contains(&collection)
    })
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
        "helm" => helm::release(context, read(&args)?).await,
        "helm_info" => helm::info(context, read(&args)?).await,
        "helm_repository" => helm::repository(context, read(&args)?).await,
        "helm_template" => helm::template(context, read(&args)?).await,
        "k8s" => k8s::run(context, read(&args)?).await,
        "k8s_info" => k8s_info::run(context, read(&args)?).await,
        "k8s_cluster_info" => cluster_info::run(context, read(&args)?).await,
        "k8s_cp" => cp::run(context, read(&args)?).await,
        "k8s_drain" => drain::run(context, read(&args)?).await,
        "k8s_exec" => exec::run(context, read(&args)?).await,
        "k8s_json_patch" => json_patch::run(context, read(&args)?).await,
        "k8s_log" => log::run(context, read(&args)?).await,
        "k8s_rollback" => rollback::run(context, read(&args)?).await,
        "k8s_rollout" => rollout::run(context, read(&args)?).await,
        "k8s_scale" => scale::run(context, read(&args)?).await,
        "k8s_service" => service::run(context, read(&args)?).await,
        "k8s_taint" => taint::run(context, read(&args)?).await,
        other => Err(ActionError::new(format!("`{other}` has no code"))),
    }
}

fn read<T: Args>(args: &Map) -> Result<T, ActionError> {
    T::from_map(args).map_err(ActionError::new)
}

/// A cluster as a run knows it.
pub(crate) struct Cluster {
    pub(crate) api: Api,
    discovery: Discovery,
    assumed: Assumed,
}

/// A task's work on a cluster.
struct Job<'a, 'b> {
    context: &'a mut Context<'b>,
    key: String,
    /// Taken from what the host's worker keeps, and put back in the end.
    cluster: Option<Cluster>,
}

impl<'a, 'b> Job<'a, 'b> {
    /// Connects, or goes on with the connection of an earlier task.
    async fn begin(context: &'a mut Context<'b>, auth: &Auth) -> Result<Self, ActionError> {
        let (key, config, road) = connect::settings(context, auth).await?;
        let mut cluster = match context.links.clusters.remove(&key) {
            Some(cluster) => cluster,
            None => Cluster {
                api: connect::client(config, road)?,
                discovery: Discovery::default(),
                assumed: Assumed::new(),
            },
        };
        // What check mode assumed does not hold once something is really done.
        if !context.check {
            cluster.assumed.clear();
        }
        Ok(Self {
            context,
            key,
            cluster: Some(cluster),
        })
    }

    /// Sends a patch; in check mode the server does nothing.
    async fn patch(&mut self, path: &str, kind: &str, body: &Json) -> Result<Json, Refusal> {
        let dry = [("dryRun", "All".to_owned())];
        let path = with_query(path, if self.context.check { &dry } else { &[] });
        let api = &self.cluster().api;
        api.call(Method::PATCH, &path, kind, Some(body)).await
    }

    #[expect(clippy::expect_used, reason = "it is there until the job is dropped")]
    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().expect("a cluster")
    }

    #[expect(clippy::expect_used, reason = "it is there until the job is dropped")]
    fn cluster_mut(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a cluster")
    }
}

impl Drop for Job<'_, '_> {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            let key = std::mem::take(&mut self.key);
            self.context.links.clusters.insert(key, cluster);
        }
    }
}

/// What came of one object, or of several, as the task's result.
fn told(all: Vec<Result<Done, Fault>>, several: bool) -> TaskResult {
    let mut task = TaskResult {
        changed: all.iter().flatten().any(|done| done.changed),
        ..TaskResult::default()
    };
    let mut results = vec![];
    let mut warnings: Vec<String> = vec![];
    for one in all {
        match one {
            Ok(done) => {
                let mut map = done.map();
                if several {
                    map.insert("changed".to_owned(), done.changed.into());
                }
                results.push(map);
                task.diff.extend(done.diff);
                warnings.extend(done.warnings);
            }
            Err(fault) => {
                let mut error = fault.more;
                error.shift_remove("changed");
                error.insert("msg".to_owned(), fault.msg.into());
                let mut map = Map::new();
                map.insert("changed".to_owned(), false.into());
                map.insert("result".to_owned(), Data::Map(Map::new()));
                map.insert("error".to_owned(), Data::Map(error));
                results.push(map);
            }
        }
    }
    task.result = match several {
        false => results.pop().unwrap_or_default(),
        true => {
            let mut inner = Map::new();
            let results = results.into_iter().map(Data::Map).collect();
            inner.insert("results".to_owned(), Data::List(results));
            let mut map = Map::new();
            map.insert("result".to_owned(), Data::Map(inner));
            map
        }
    };
    if !warnings.is_empty() {
        task.result
            .insert("warnings".to_owned(), warnings.clone().into());
        task.effects
            .extend(warnings.into_iter().map(Effect::Warning));
    }
    task
}
