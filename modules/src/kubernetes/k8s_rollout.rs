//! `k8s_rollout`: a roll-out that is seen through to its end.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Restarts what has pods, or gives it other images, one object after the other, waits until each is
/// ready, and undoes it where one does not become ready. Ansible has no such module.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The version of the API, with its group.
    #[arg(default = "apps/v1", alias = "api", alias = "version")]
    pub api_version: String,
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    #[arg(default = "Deployment")]
    pub kind: String,
    /// The objects, in the order in which they are rolled out.
    pub name: Option<Vec<String>>,
    /// Their namespace.
    pub namespace: String,
    /// All objects with these labels, in the order of their names.
    pub label_selectors: Option<Vec<String>>,
    /// Images by the names of their containers. Where all are in force already, nothing is done.
    pub images: Option<Map>,
    /// Start all pods anew, whatever is in force.
    #[arg(default = "false")]
    pub restart: bool,
    /// Delete the pods of a StatefulSet one by one instead, highest number first, and wait for each.
    #[arg(default = "false")]
    pub pod_by_pod: bool,
    /// Wait until each object is ready before the next one begins.
    #[arg(default = "true")]
    pub wait: bool,
    /// Seconds after which an object counts as not ready.
    #[arg(default = "300")]
    pub wait_timeout: u64,
    /// Seconds between two looks.
    #[arg(default = "2")]
    pub wait_sleep: u64,
    /// Where one does not become ready: put it back, and those that were rolled out before it.
    #[arg(default = "true")]
    pub undo: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done with each object: `name`, `changed`, `undone`, `duration`.
    rollouts: Vec<Map>,
}

module! {
    "rplay.kubernetes.k8s_rollout", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["kubernetes.core.k8s_rollout"],
    rules: Rules {
        required_one_of: &[&["name", "label_selectors"], &["images", "restart"]],
        mutually_exclusive: &[&["name", "label_selectors"]],
        ..Rules::NONE
    },
}
