//! `docker_host_info`: what an engine says of itself and what it has.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_host_info::Args;
use rplay_modules::map;
use serde_json::{Value as Json, json};

use super::{Job, filters, with_query};
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Asks.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.engine).await?;
    let mut result = map! { "can_talk_to_docker" => true };
    let info = job.get("/info").await?;
    result.insert("host_info".to_owned(), Data::from_json(&info));
    if args.disk_usage {
        let usage = job.get("/system/df").await?;
        let usage = match args.verbose_output {
            true => usage,
            false => json!({ "LayersSize": usage["LayersSize"] }),
        };
        result.insert("disk_usage".to_owned(), Data::from_json(&usage));
    }
    let lists: [(&str, bool, Option<&Map>, &[&str]); 4] = [
        (
            "containers",
            args.containers,
            args.containers_filters.as_ref(),
            &[
                "Id", "Image", "Command", "Created", "Status", "Ports", "Names",
            ],
        ),
        (
            "images",
            args.images,
            args.images_filters.as_ref(),
            &["Id", "RepoTags", "Created", "Size"],
        ),
        (
            "networks",
            args.networks,
            args.networks_filters.as_ref(),
            &["Id", "Driver", "Name", "Scope"],
        ),
        (
            "volumes",
            args.volumes,
            args.volumes_filters.as_ref(),
            &["Driver", "Name"],
        ),
    ];
    for (kind, is_wanted, given, shown) in lists {
        if !is_wanted {
            continue;
        }
        let mut query = vec![];
        if kind == "containers" && args.containers_all {
            query.push(("all", "1".to_owned()));
        }
        query.extend(filters(given).map(|filters| ("filters", filters)));
        let path = match kind {
            "containers" | "images" => format!("/{kind}/json"),
            _ => format!("/{kind}"),
        };
        let mut list = job.get(&with_query(&path, &query)).await?;
        if kind == "volumes" {
            list = list["Volumes"].take();
        }
        let list = list.as_array().into_iter().flatten();
        let list = list.map(|one| match args.verbose_output {
            true => Data::from_json(one),
            false => Data::from_json(&part(one, shown)),
        });
        result.insert(kind.to_owned(), Data::List(list.collect()));
    }
    Ok(TaskResult::ok(result))
}

fn part(one: &Json, names: &[&str]) -> Json {
    let names = names.iter().filter(|&&name| one.get(name).is_some());
    let parts = names.map(|&name| (name.to_owned(), one[name].clone()));
    Json::Object(parts.collect())
}
