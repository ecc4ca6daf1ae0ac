//! `docker_prune`: what nobody uses goes.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Removes containers, images, networks, volumes and caches that are not in use.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// Remove stopped containers.
    #[arg(default = "false")]
    pub containers: bool,
    /// Which containers.
    pub containers_filters: Option<Map>,
    /// Remove images: those without a name, with the filter `dangling: false` all that no container uses.
    #[arg(default = "false")]
    pub images: bool,
    /// Which images.
    pub images_filters: Option<Map>,
    /// Remove networks.
    #[arg(default = "false")]
    pub networks: bool,
    /// Which networks.
    pub networks_filters: Option<Map>,
    /// Remove volumes: those without a name, with the filter `all: true` the others too.
    #[arg(default = "false")]
    pub volumes: bool,
    /// Which volumes.
    pub volumes_filters: Option<Map>,
    /// Remove what the builder keeps.
    #[arg(default = "false")]
    pub builder_cache: bool,
    /// Remove all of it, not only what nothing refers to.
    #[arg(default = "false")]
    pub builder_cache_all: bool,
    /// Which parts of it.
    pub builder_cache_filters: Option<Map>,
    /// How much of it is kept, such as `10GB`.
    pub builder_cache_keep_storage: Option<String>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The containers that are gone.
    containers: Vec<String>,
    /// The bytes they took.
    containers_space_reclaimed: i64,
    /// The images that are gone.
    images: Vec<Map>,
    /// The bytes they took.
    images_space_reclaimed: i64,
    /// The networks that are gone.
    networks: Vec<String>,
    /// The volumes that are gone.
    volumes: Vec<String>,
    /// The bytes they took.
    volumes_space_reclaimed: i64,
    /// The caches that are gone.
    builder_cache_caches_deleted: Vec<String>,
    /// The bytes they took.
    builder_cache_space_reclaimed: i64,
}

module! {
    "community.docker.docker_prune", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
