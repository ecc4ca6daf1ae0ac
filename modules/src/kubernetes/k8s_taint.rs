//! `k8s_taint`: taints of a node.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Puts taints on a node, or takes them away.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The node.
    pub name: String,
    /// Whether the taints shall be there.
    #[arg(default = "present", choices = "present, absent")]
    pub state: String,
    /// Mappings with `key`, `value` and `effect`.
    pub taints: Vec<Map>,
    /// Let taints of the same key and effect take the place of others.
    #[arg(default = "false")]
    pub replace: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The node.
    result: Map,
}

module! {
    "kubernetes.core.k8s_taint", args: Args, returns: Values, run: elsewhere::<Args>,
}
