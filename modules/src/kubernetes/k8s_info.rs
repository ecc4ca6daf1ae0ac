//! `k8s_info`: objects of a cluster, read.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Auth, Wait};

/// Reads objects of a Kubernetes cluster.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The version of the API, with its group.
    #[arg(default = "v1", alias = "api", alias = "version")]
    pub api_version: String,
    /// The kind, its plural or a short name.
    pub kind: String,
    /// The object's name; without one all of them.
    pub name: Option<String>,
    /// Their namespace; without one all of them.
    pub namespace: Option<String>,
    /// How long is waited.
    #[arg(flatten)]
    pub wait: Wait,
    /// Only objects with these labels.
    #[arg(default = "[]")]
    pub label_selectors: Vec<String>,
    /// Only objects with these fields.
    #[arg(default = "[]")]
    pub field_selectors: Vec<String>,
    /// Fields that results leave out.
    pub hidden_fields: Option<Vec<String>>,
    /// Ask for the metadata alone.
    #[arg(default = "false")]
    pub metadata_only: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Whether the cluster has the kind.
    api_found: bool,
    /// The objects.
    resources: Vec<Map>,
}

module! {
    "kubernetes.core.k8s_info", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_info", "kubernetes.core.k8s_facts"],
}
