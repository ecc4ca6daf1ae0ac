//! `helm_template`: what a chart makes of its values.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::module;

use super::elsewhere;
use super::shared::Values;

/// Renders a chart, as text or into a folder, with the host's program `helm`.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// The path of the program; otherwise that of the search path.
    #[arg(kind = "path")]
    pub binary_path: Option<String>,
    /// The values of the chart.
    #[arg(flatten)]
    pub values: Values,
    /// The chart: its name in a repository, the path of its folder or archive, or its address.
    #[arg(kind = "path")]
    pub chart_ref: String,
    /// The address of the repository that has it.
    pub chart_repo_url: Option<String>,
    /// Its version; otherwise the newest.
    pub chart_version: Option<String>,
    /// Fetch the charts that it depends on before.
    #[arg(default = "false", alias = "dep_up")]
    pub dependency_update: bool,
    /// Leave out hooks.
    #[arg(default = "false")]
    pub disable_hook: bool,
    /// Render custom resource definitions, too.
    #[arg(default = "false")]
    pub include_crds: bool,
    /// The folder that the files are written to.
    #[arg(kind = "path")]
    pub output_dir: Option<String>,
    /// Do not check the certificate of the place that the chart comes from.
    #[arg(default = "false")]
    pub insecure_registry: bool,
    /// The name of the release.
    #[arg(alias = "name")]
    pub release_name: Option<String>,
    /// Its namespace.
    pub release_namespace: Option<String>,
    /// Render these templates of the chart only.
    #[arg(default = "[]")]
    pub show_only: Vec<String>,
    /// Fetch the lists of the repositories before; not in check mode.
    #[arg(default = "false")]
    pub update_repo_cache: bool,
    /// Speak HTTP with registries.
    #[arg(default = "false")]
    pub plain_http: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Returned {
    /// The call of the program; values come by its standard input.
    command: String,
    /// What was rendered, or where to.
    stdout: String,
    /// What the program complained about.
    stderr: String,
    /// Its exit code.
    rc: i64,
}

module! {
    "kubernetes.core.helm_template", args: Args, returns: Returned, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.helm_template"],
}
