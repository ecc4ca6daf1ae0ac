//! `docker_volume`: volumes.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Makes and removes volumes.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The volume's name.
    #[arg(alias = "name")]
    pub volume_name: String,
    /// Its driver.
    #[arg(default = "local")]
    pub driver: String,
    /// Options of the driver.
    #[arg(default = "{}")]
    pub driver_options: Map,
    /// Its labels.
    pub labels: Option<Map>,
    /// When one that is there is removed and made anew.
    #[arg(default = "never", choices = "always, never, options-changed")]
    pub recreate: String,
    /// Whether it shall be there.
    #[arg(default = "present", choices = "absent, present")]
    pub state: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The volume.
    volume: Map,
}

module! {
    "community.docker.docker_volume", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
