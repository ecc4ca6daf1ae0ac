//! `k8s_exec`: a command in a pod.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::module;

use super::elsewhere;
use super::shared::Auth;

/// Runs a command in a container of a pod. In check mode it is not run.
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
    /// The command, as a shell splits it into words; none runs it.
    pub command: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What it wrote to standard output.
    stdout: String,
    /// The same as lines.
    stdout_lines: Vec<String>,
    /// What it wrote to standard error.
    stderr: String,
    /// The same as lines.
    stderr_lines: Vec<String>,
    /// Its exit code.
    rc: i64,
    /// The same.
    return_code: i64,
}

module! {
    "kubernetes.core.k8s_exec", args: Args, returns: Values, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.k8s_exec"],
    rules: Rules {
        check_mode: rplay_modules::args::CheckMode::Skipped,
        ..Rules::NONE
    },
}
