//! `k8s_scale`: how many of something there are.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Auth, Definition, Name};

/// Sets the number of replicas of a Deployment, StatefulSet, ReplicaSet or ReplicationController, or the parallelism of a Job.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// Which object is meant.
    #[arg(flatten)]
    pub name: Name,
    /// What the objects are to be like.
    #[arg(flatten)]
    pub definition: Definition,
    /// How many there shall be.
    pub replicas: i64,
    /// Only if there are so many now.
    pub current_replicas: Option<i64>,
    /// Only if the object has this version.
    pub resource_version: Option<String>,
    /// Only objects with these labels.
    #[arg(default = "[]")]
    pub label_selectors: Vec<String>,
    /// Go on with further objects after one failed.
    #[arg(default = "false")]
    pub continue_on_error: bool,
    /// Wait until they are there; not for Jobs.
    #[arg(default = "true")]
    pub wait: bool,
    /// Seconds between two looks.
    #[arg(default = "5")]
    pub wait_sleep: u64,
    /// Seconds after which the task fails.
    #[arg(default = "20")]
    pub wait_timeout: u64,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The object; with several, `results` holds what came of each.
    result: Map,
    /// Seconds that were waited.
    duration: i64,
}

module! {
    "kubernetes.core.k8s_scale", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_scale"],
    rules: Rules {
        mutually_exclusive: &[&["resource_definition", "src"]],
        ..Rules::NONE
    },
}
