//! `k8s_drain`: a node made free of pods.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Makes a node free of pods, or lets it take none, or some again.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The node.
    pub name: String,
    /// What is to be done with it.
    #[arg(default = "drain", choices = "cordon, drain, uncordon")]
    pub state: String,
    /// Only pods with these labels.
    #[arg(alias = "label_selectors")]
    pub pod_selectors: Option<Vec<String>>,
    /// `terminate_grace_period`, `force`, `ignore_daemonsets`, `delete_emptydir_data`,
    /// `disable_eviction`, `wait_timeout`, `wait_sleep`.
    #[arg(default = "{}")]
    pub delete_options: Map,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    result: String,
}

module! {
    "kubernetes.core.k8s_drain", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_drain"],
}
