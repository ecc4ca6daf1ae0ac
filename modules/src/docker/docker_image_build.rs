//! `docker_image_build`: images made.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Cli;

/// Builds an image with the `docker` program.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub cli: Cli,
    /// The image's name, perhaps with a tag.
    pub name: String,
    /// The tag, where the name has none.
    #[arg(default = "latest")]
    pub tag: String,
    /// The folder of the host that it is built from.
    #[arg(kind = "path")]
    pub path: String,
    /// The file that says how, below the folder.
    pub dockerfile: Option<String>,
    /// Whether it is built although it is there.
    #[arg(default = "never", choices = "never, always")]
    pub rebuild: String,
    /// Values of the file's arguments.
    pub args: Option<Map>,
    /// Images that count as a cache.
    pub cache_from: Option<Vec<String>>,
    /// Names and addresses during the build.
    pub etc_hosts: Option<Map>,
    /// Labels of the image.
    pub labels: Option<Map>,
    /// The network during the build.
    pub network: Option<String>,
    /// Take nothing from the cache.
    #[arg(default = "false")]
    pub nocache: bool,
    /// Where the result goes, mappings of `type` (`local`, `tar`, `oci`, `docker`, `image`), `dest`, `context`, `name`
    /// and `push`. The image is given its own name in any case.
    pub outputs: Option<Vec<Map>>,
    /// The platforms.
    pub platform: Option<Vec<String>>,
    /// Pull the images that it begins with.
    #[arg(default = "false")]
    pub pull: bool,
    /// Secrets during the build, mappings of `id`, `type` (`file`, `env`, `value`), `src`, `env` and `value`. A value
    /// is handed to `docker` in its environment.
    pub secrets: Option<Vec<Map>>,
    /// The size of `/dev/shm` during the build.
    pub shm_size: Option<String>,
    /// The stage that is built.
    pub target: Option<String>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The image.
    image: Map,
    /// What was run.
    command: Vec<String>,
}

module! {
    "community.docker.docker_image_build", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules::NONE,
}
