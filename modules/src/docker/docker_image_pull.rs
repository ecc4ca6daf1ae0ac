//! `docker_image_pull`: images from registries.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Pulls an image from its registry.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The image, perhaps with a tag or a digest.
    pub name: String,
    /// The tag, where the name has none.
    #[arg(default = "latest")]
    pub tag: String,
    /// The platform.
    pub platform: Option<String>,
    /// Whether an image that is there is pulled.
    #[arg(default = "always", choices = "always, not_present")]
    pub pull: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The image.
    image: Map,
}

module! {
    "community.docker.docker_image_pull", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
