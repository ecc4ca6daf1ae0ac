//! `docker_image_info`: images.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Looks at images of a container engine.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The images, by name, name and tag, or number; all of them otherwise.
    pub name: Option<Vec<String>>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Those that are there.
    images: Vec<Map>,
}

module! {
    "community.docker.docker_image_info", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
