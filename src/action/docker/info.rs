//! The modules that look: `docker_container_info`, `docker_image_info`, `docker_network_info`, `docker_volume_info`.

use rplay_modules::data::Data;
use rplay_modules::docker::shared::Engine;
use rplay_modules::docker::{
    docker_container_info, docker_image_info, docker_network_info, docker_volume_info,
};
use rplay_modules::map;
use serde_json::Value as Json;

use super::Job;
use super::pull::full_name;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

pub(super) async fn container(
    context: &mut Context<'_>,
    args: docker_container_info::Args,
) -> Result<TaskResult, ActionError> {
    look(context, &args.engine, "containers", "container", &args.name).await
}

pub(super) async fn network(
    context: &mut Context<'_>,
    args: docker_network_info::Args,
) -> Result<TaskResult, ActionError> {
    look(context, &args.engine, "networks", "network", &args.name).await
}

pub(super) async fn volume(
    context: &mut Context<'_>,
    args: docker_volume_info::Args,
) -> Result<TaskResult, ActionError> {
    look(context, &args.engine, "volumes", "volume", &args.name).await
}

async fn look(
    context: &mut Context<'_>,
    engine: &Engine,
    kind: &str,
    word: &str,
    name: &str,
) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, engine).await?;
    let found = job.find(kind, name).await?;
    let mut result = map! { "exists" => found.is_some() };
    let found = found.as_ref().map_or(Data::Null, Data::from_json);
    result.insert(word.to_owned(), found);
    Ok(TaskResult::ok(result))
}

pub(super) async fn images(
    context: &mut Context<'_>,
    args: docker_image_info::Args,
) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.engine).await?;
    let names = match args.name {
        Some(names) => names.iter().map(|name| full_name(name, "latest")).collect(),
        None => {
            let all = job.get("/images/json").await?;
            let ids = all.as_array().into_iter().flatten();
            ids.filter_map(|one| one["Id"].as_str().map(str::to_owned))
                .collect::<Vec<_>>()
        }
    };
    let mut images: Vec<Json> = vec![];
    for name in names {
        images.extend(job.find("images", &name).await?);
    }
    let images = images.iter().map(Data::from_json);
    Ok(TaskResult::ok(
        map! { "images" => Data::List(images.collect()) },
    ))
}
