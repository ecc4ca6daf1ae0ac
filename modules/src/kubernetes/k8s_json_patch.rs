//! `k8s_json_patch`: an object changed by JSON patch.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Auth, Wait};

/// Changes an object by the operations of a JSON patch (RFC 6902).
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The version of the API, with its group.
    #[arg(default = "v1", alias = "api", alias = "version")]
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// The operations: mappings with `op`, `path`, and `value` or `from`.
    pub patch: Vec<Map>,
    /// Fields that results and differences leave out.
    #[arg(default = "[]")]
    pub hidden_fields: Vec<String>,
    /// How long is waited.
    #[arg(flatten)]
    pub wait: Wait,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The object afterwards.
    result: Map,
    /// Seconds that were waited.
    duration: i64,
}

module! {
    "kubernetes.core.k8s_json_patch", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_json_patch"],
}
