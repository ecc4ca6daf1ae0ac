//! `k8s_cluster_info`: what a cluster offers.

use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::k8s_cluster_info::Args;
use rplay_modules::map;

use super::Job;
use super::api::Refusal;
use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// Tells it.
pub(super) async fn run(context: &mut Context<'_>, args: Args) -> Result<TaskResult, ActionError> {
    let mut job = Job::begin(context, &args.auth).await?;
    let cluster = job.cluster_mut();
    if args.invalidate_cache {
        cluster.discovery.forget();
    }
    let failed = |refusal: Refusal| refusal.about("Failed to find the kinds of the cluster");
    let versions = cluster
        .discovery
        .versions(&cluster.api)
        .await
        .map_err(failed)?;
    let mut apis = Map::new();
    for (version, preferred) in versions.iter() {
        let kinds = cluster
            .discovery
            .version(&cluster.api, version)
            .await
            .map_err(failed)?;
        let kinds = kinds.iter().map(|kind| {
            let about: Map = map! {
                "categories" => kind.categories.clone(),
                "name" => kind.plural.as_str(),
                "namespaced" => kind.namespaced,
                "preferred" => *preferred,
                "short_names" => kind.short.clone(),
                "singular_name" => kind.singular.as_str(),
            };
            (kind.kind.clone(), Data::Map(about))
        });
        apis.insert(version.clone(), Data::Map(kinds.collect()));
    }
    let server = cluster.api.get("/version").await.map_err(failed)?;
    let host = cluster.api.address.clone();
    let auth = &args.auth;
    let path = |path: &Option<std::path::PathBuf>| match path {
        Some(path) => Data::from(path.display().to_string()),
        None => Data::Null,
    };
    let text = |text: &Option<String>| text.clone().map_or(Data::Null, Data::from);
    Ok(TaskResult::ok(map! {
        "apis" => Data::Map(apis),
        "connection" => Data::Map(map! {
            "cert_file" => path(&auth.client_cert),
            "host" => host,
            "password" => Data::Null,
            "proxy" => text(&auth.proxy),
            "ssl_ca_cert" => path(&auth.ca_cert),
            "username" => text(&auth.username),
            "verify_ssl" => auth.validate_certs.unwrap_or(true),
        }),
        "version" => Data::Map(map! {
            "client" => env!("CARGO_PKG_VERSION"),
            "server" => Data::Map(map! { "kubernetes" => Data::from_json(&server) }),
        }),
    }))
}
