//! `docker_host_info`: what an engine says of itself and what it has.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Asks a container engine about itself, its containers, images, networks and volumes.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// List containers.
    #[arg(default = "false")]
    pub containers: bool,
    /// List stopped containers as well.
    #[arg(default = "false")]
    pub containers_all: bool,
    /// Which containers.
    pub containers_filters: Option<Map>,
    /// List images.
    #[arg(default = "false")]
    pub images: bool,
    /// Which images.
    pub images_filters: Option<Map>,
    /// List networks.
    #[arg(default = "false")]
    pub networks: bool,
    /// Which networks.
    pub networks_filters: Option<Map>,
    /// List volumes.
    #[arg(default = "false")]
    pub volumes: bool,
    /// Which volumes.
    pub volumes_filters: Option<Map>,
    /// Tell how much space is used.
    #[arg(default = "false")]
    pub disk_usage: bool,
    /// Tell everything about what is listed.
    #[arg(default = "false")]
    pub verbose_output: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Whether the engine answered.
    can_talk_to_docker: bool,
    /// The engine.
    host_info: Map,
    /// Its containers.
    containers: Vec<Map>,
    /// Its images.
    images: Vec<Map>,
    /// Its networks.
    networks: Vec<Map>,
    /// Its volumes.
    volumes: Vec<Map>,
    /// The space in use.
    disk_usage: Map,
}

module! {
    "community.docker.docker_host_info", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
