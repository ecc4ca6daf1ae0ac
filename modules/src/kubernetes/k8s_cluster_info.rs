//! `k8s_cluster_info`: what a cluster offers.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Tells the versions and kinds that an API server has.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// Ask anew, although this run asked before.
    #[arg(default = "true")]
    pub invalidate_cache: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Kinds below their version.
    apis: Map,
    /// How the server was reached.
    connection: Map,
    /// `server` and `client`.
    version: Map,
}

module! {
    "kubernetes.core.k8s_cluster_info", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_cluster_info"],
}
