//! `docker_image`: images.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Pulls, builds, loads, tags, pushes, saves and removes an image.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The image, perhaps with a tag, or its number.
    pub name: String,
    /// The tag, where the name has none.
    #[arg(default = "latest")]
    pub tag: String,
    /// Where it comes from.
    #[arg(choices = "build, load, pull, local")]
    pub source: Option<String>,
    /// Whether it shall be there.
    #[arg(default = "present", choices = "absent, present")]
    pub state: String,
    /// How it is built: `path`, `dockerfile`, `args`, `nocache`, `pull`, `rm`, `target`, `labels`, `network`, `cache_from`, `etc_hosts`, `shm_size`, `platform`, `http_timeout`.
    pub build: Option<Map>,
    /// How it is pulled: `platform`.
    pub pull: Option<Map>,
    /// The archive that it is loaded from.
    #[arg(kind = "path")]
    pub load_path: Option<String>,
    /// The archive that it is saved to.
    #[arg(kind = "path")]
    pub archive_path: Option<String>,
    /// Another name that it gets.
    pub repository: Option<String>,
    /// Push it to its registry.
    #[arg(default = "false")]
    pub push: bool,
    /// Fetch it although it is there.
    #[arg(default = "false")]
    pub force_source: bool,
    /// Give the name to it although another image has it.
    #[arg(default = "false")]
    pub force_tag: bool,
    /// Remove it although a container uses it.
    #[arg(default = "false")]
    pub force_absent: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The image.
    image: Map,
    /// What the builder wrote.
    stdout: String,
}

module! {
    "community.docker.docker_image", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
