//! `k8s_cp`: files copied to and from pods.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Copies files and folders to a pod and back, with the `tar` that is in the container.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; the first one otherwise.
    pub container: Option<String>,
    /// The path in the container.
    #[arg(kind = "str")]
    pub remote_path: String,
    /// The file or folder on this side.
    pub local_path: Option<PathBuf>,
    /// What the file in the container shall hold.
    pub content: Option<String>,
    /// Whether it is copied into the pod or out of it.
    #[arg(default = "to_pod", choices = "to_pod, from_pod")]
    pub state: String,
    /// Leave owners and modes as the container makes them.
    #[arg(default = "false")]
    pub no_preserve: bool,
    /// Seconds after which copying into the pod fails.
    #[arg(default = "300")]
    pub copy_timeout: u64,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    result: String,
}

module! {
    "kubernetes.core.k8s_cp", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_cp"],
    rules: Rules {
        mutually_exclusive: &[&["local_path", "content"]],
        required_if: &[("state", "from_pod", &["local_path"], false)],
        required_one_of: &[&["local_path", "content"]],
        ..Rules::NONE
    },
}
