//! `k8s_log`: what containers wrote.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Reads the log of a pod, or of the pods of what has some.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the API server is reached.
    #[arg(flatten)]
    pub auth: Auth,
    /// The version of the API, with its group.
    #[arg(default = "v1", alias = "api", alias = "version")]
    pub api_version: String,
    /// The kind.
    #[arg(default = "Pod")]
    pub kind: String,
    /// The object's name.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Pods with these labels, instead of a name.
    #[arg(default = "[]")]
    pub label_selectors: Vec<String>,
    /// The container; needed where there are several.
    pub container: Option<String>,
    /// All containers.
    pub all_containers: Option<bool>,
    /// What was written in the last so many seconds.
    pub since_seconds: Option<String>,
    /// The log of the container's run before this one.
    #[arg(default = "false")]
    pub previous: bool,
    /// Only so many lines at its end.
    pub tail_lines: Option<i64>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The text.
    log: String,
    /// Its lines.
    log_lines: Vec<String>,
}

module! {
    "kubernetes.core.k8s_log", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_log"],
    rules: Rules {
        mutually_exclusive: &[&["container", "all_containers"], &["name", "label_selectors"]],
        ..Rules::NONE
    },
}
