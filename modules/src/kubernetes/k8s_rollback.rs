//! `k8s_rollback`: the revision before.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Auth, Name};

/// Puts a Deployment or DaemonSet back to the revision before.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// Which object is meant.
    #[arg(flatten)]
    pub name: Name,
    /// Only objects with these labels.
    #[arg(default = "[]")]
    pub label_selectors: Vec<String>,
    /// Only objects with these fields.
    #[arg(default = "[]")]
    pub field_selectors: Vec<String>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The object as it is afterwards; with several, a list.
    rollback_info: Map,
    /// How it was done.
    method: String,
}

module! {
    "kubernetes.core.k8s_rollback", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_rollback"],
}
