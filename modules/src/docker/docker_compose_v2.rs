//! `docker_compose_v2`: Compose projects.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Project;

/// Brings a Compose project to a state. Check mode compares the configuration of every service with its containers, and digests of images with the registry.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub project: Project,
    /// Seconds that containers have to stop.
    pub timeout: Option<u64>,
    /// What becomes of the project.
    #[arg(default = "present", choices = "absent, stopped, restarted, present")]
    pub state: String,
    /// The services; otherwise all.
    pub services: Option<Vec<String>>,
    /// Bring services up that these need.
    #[arg(default = "true")]
    pub dependencies: bool,
    /// When images are pulled.
    #[arg(default = "policy", choices = "always, missing, never, policy")]
    pub pull: String,
    /// When images are built.
    #[arg(default = "policy", choices = "always, never, policy")]
    pub build: String,
    /// When containers are made anew.
    #[arg(default = "auto", choices = "always, never, auto")]
    pub recreate: String,
    /// Give new containers new unnamed volumes.
    #[arg(default = "false")]
    pub renew_anon_volumes: bool,
    /// Remove images as well, when the project goes.
    #[arg(choices = "all, local")]
    pub remove_images: Option<String>,
    /// Remove volumes as well, when the project goes.
    #[arg(default = "false")]
    pub remove_volumes: bool,
    /// Remove containers of services that the project has no more.
    #[arg(default = "false")]
    pub remove_orphans: bool,
    /// How many containers services have.
    pub scale: Option<Map>,
    /// Wait until the services run, and are healthy.
    #[arg(default = "false")]
    pub wait: bool,
    /// Seconds to wait for that.
    pub wait_timeout: Option<u64>,
    /// Answer Compose's questions with yes.
    #[arg(default = "false")]
    pub assume_yes: bool,
    /// Whether a build whose result is the same is no change.
    #[arg(default = "true")]
    pub ignore_build_events: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done: `what`, `id`, `status`.
    actions: Vec<Map>,
    /// The containers.
    containers: Vec<Map>,
    /// Their images.
    images: Vec<Map>,
}

module! {
    "community.docker.docker_compose_v2", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        mutually_exclusive: &[&["definition", "project_src"], &["definition", "files"]],
        required_one_of: &[&["definition", "project_src"]],
        required_by: &[("definition", &["project_name"])],
        ..Rules::NONE
    },
}
