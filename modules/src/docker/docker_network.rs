//! `docker_network`: networks of containers.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Makes and removes networks, and connects containers to them.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The network's name.
    #[arg(alias = "network_name")]
    pub name: String,
    /// The containers that are connected; with `appends` at least these.
    #[arg(default = "[]", alias = "containers")]
    pub connected: Vec<String>,
    /// Leave other containers connected.
    #[arg(default = "false", alias = "incremental")]
    pub appends: bool,
    /// Its driver.
    #[arg(default = "bridge")]
    pub driver: String,
    /// Options of the driver.
    #[arg(default = "{}")]
    pub driver_options: Map,
    /// Make it anew although it is as it shall be.
    #[arg(default = "false")]
    pub force: bool,
    /// Whether containers may be attached by hand.
    pub attachable: Option<bool>,
    /// The network that it takes its configuration from.
    pub config_from: Option<String>,
    /// Whether it is only a configuration for others.
    pub config_only: Option<bool>,
    /// Whether it has IPv4.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6.
    pub enable_ipv6: Option<bool>,
    /// Whether it is the routing mesh of a swarm.
    pub ingress: Option<bool>,
    /// Whether it has no way out.
    pub internal: Option<bool>,
    /// Its subnets: mappings with `subnet`, `gateway`, `iprange`, `aux_addresses`.
    pub ipam_config: Option<Vec<Map>>,
    /// What gives out addresses.
    pub ipam_driver: Option<String>,
    /// Options of it.
    pub ipam_driver_options: Option<Map>,
    /// Its labels.
    #[arg(default = "{}")]
    pub labels: Map,
    /// Where it is.
    #[arg(choices = "local, global, swarm")]
    pub scope: Option<String>,
    /// Whether it shall be there.
    #[arg(default = "present", choices = "absent, present")]
    pub state: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The network.
    network: Map,
}

module! {
    "community.docker.docker_network", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
