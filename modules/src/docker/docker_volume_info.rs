//! `docker_volume_info`: a volume.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Looks at a volume of a container engine.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The volume's name or number.
    #[arg(alias = "volume_name")]
    pub name: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Whether it is there.
    exists: bool,
    /// The volume; nothing where it is not there.
    volume: Map,
}

module! {
    "community.docker.docker_volume_info", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
