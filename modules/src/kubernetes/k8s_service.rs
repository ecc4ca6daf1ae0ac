//! `k8s_service`: services.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Auth, Definition};

/// Makes, changes and removes a Service.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The service's name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it shall be there.
    #[arg(default = "present", choices = "present, absent")]
    pub state: String,
    /// What the objects are to be like.
    #[arg(flatten)]
    pub definition: Definition,
    /// Replace an object that is there.
    #[arg(default = "false")]
    pub force: bool,
    /// The kinds of patches that are tried, in this order: `strategic-merge`, `merge`.
    #[arg(choices = "merge, strategic-merge")]
    pub merge_type: Option<Vec<String>>,
    /// Compare with what was applied before, so that what is left out now is removed.
    #[arg(default = "false")]
    pub apply: bool,
    /// Its type.
    #[arg(
        name = "type",
        choices = "NodePort, ClusterIP, LoadBalancer, ExternalName"
    )]
    pub kind: Option<String>,
    /// Its ports.
    pub ports: Option<Vec<Map>>,
    /// The labels of the pods that it stands for.
    pub selector: Option<Map>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// How it was done.
    method: String,
    /// The service.
    result: Map,
}

module! {
    "kubernetes.core.k8s_service", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_service"],
    rules: Rules {
        mutually_exclusive: &[&["resource_definition", "src"], &["merge_type", "apply"]],
        ..Rules::NONE
    },
}
