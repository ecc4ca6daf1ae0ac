//! `k8s`: objects of a cluster made, changed and removed.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Auth, Definition, Name, Wait};

/// Makes, changes and removes objects of a Kubernetes cluster, of any kind that its API server has,
/// from the controller or, where the play's host is another machine, through its SSH connection.
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
    /// How long is waited.
    #[arg(flatten)]
    pub wait: Wait,
    /// Replace an object that is there.
    #[arg(default = "false")]
    pub force: bool,
    /// The kinds of patches that are tried, in this order: `strategic-merge`, `merge`.
    #[arg(choices = "merge, strategic-merge")]
    pub merge_type: Option<Vec<String>>,
    /// Compare with what was applied before, so that what is left out now is removed.
    #[arg(default = "false")]
    pub apply: bool,
    /// Whether the objects shall be there, be gone, or be changed where they are there.
    #[arg(default = "present", choices = "absent, present, patched")]
    pub state: String,
    /// Files of templates, as paths or as mappings with `path` and what `template` takes.
    pub template: Option<Data>,
    /// Apply on the server: `field_manager`, `force_conflicts`.
    pub server_side_apply: Option<Map>,
    /// Check the definitions before anything is done: `fail_on_error`, `strict`.
    pub validate: Option<Map>,
    /// Put a hash of the content behind the names of `ConfigMap`s and `Secret`s.
    #[arg(default = "false")]
    pub append_hash: bool,
    /// What the server begins a new name with.
    pub generate_name: Option<String>,
    /// Go on with further objects after one failed.
    #[arg(default = "false")]
    pub continue_on_error: bool,
    /// For `state: absent`: `propagationPolicy`, `gracePeriodSeconds`, `preconditions`.
    pub delete_options: Option<Map>,
    /// For `state: absent` without a name: remove all objects of the kind in the namespace.
    #[arg(default = "false", alias = "all")]
    pub delete_all: bool,
    /// Only objects with these labels.
    pub label_selectors: Option<Vec<String>>,
    /// Fields that results and differences leave out.
    pub hidden_fields: Option<Vec<String>>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// How it was done: `create`, `update`, `apply`, `replace`, `delete`.
    method: String,
    /// The object; with several, `results` holds what came of each.
    result: Map,
    /// Seconds that were waited.
    duration: i64,
}

module! {
    "kubernetes.core.k8s", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s"],
    rules: Rules {
        mutually_exclusive: &[
            &["resource_definition", "src"],
            &["merge_type", "apply"],
            &["template", "resource_definition"],
            &["template", "src"],
            &["name", "generate_name"],
        ],
        ..Rules::NONE
    },
}
