//! `docker_network_info`: a network.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Looks at a network of a container engine.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The network's name or number.
    pub name: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Whether it is there.
    exists: bool,
    /// The network; nothing where it is not there.
    network: Map,
}

module! {
    "community.docker.docker_network_info", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
