//! `docker_compose_v2_pull`: images of Compose projects.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Project;

/// Pulls the images of a Compose project.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub project: Project,
    /// Whether images that are there are pulled.
    #[arg(default = "always", choices = "always, missing")]
    pub policy: String,
    /// The services; otherwise all.
    pub services: Option<Vec<String>>,
    /// Pull those of services that these need.
    #[arg(default = "false")]
    pub include_deps: bool,
    /// Leave out what is built.
    #[arg(default = "false")]
    pub ignore_buildable: bool,
    /// Go on where a pull fails.
    #[arg(default = "false")]
    pub ignore_pull_failures: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done: `what`, `id`, `status`.
    actions: Vec<Map>,
}

module! {
    "community.docker.docker_compose_v2_pull", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        mutually_exclusive: &[&["definition", "project_src"], &["definition", "files"]],
        required_one_of: &[&["definition", "project_src"]],
        required_by: &[("definition", &["project_name"])],
        ..Rules::NONE
    },
}
