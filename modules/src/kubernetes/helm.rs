//! `helm`: releases of charts.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::{Helm, Values};

/// Installs, upgrades and removes the release of a chart, with the host's program `helm`.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// The program and its cluster.
    #[arg(flatten)]
    pub helm: Helm,
    /// The values of the chart.
    #[arg(flatten)]
    pub values: Values,
    /// The chart: its name in a repository, the path of its folder or archive, or its address.
    #[arg(kind = "path")]
    pub chart_ref: Option<String>,
    /// The address of the repository that has it.
    pub chart_repo_url: Option<String>,
    /// Its version; otherwise the newest.
    pub chart_version: Option<String>,
    /// Fetch the charts that it depends on before.
    #[arg(default = "false", alias = "dep_up")]
    pub dependency_update: bool,
    /// The name of the release.
    #[arg(alias = "name")]
    pub release_name: String,
    /// Its namespace.
    #[arg(alias = "namespace")]
    pub release_namespace: String,
    /// Whether it shall be there.
    #[arg(default = "present", choices = "present, absent", alias = "state")]
    pub release_state: String,
    /// Fetch the lists of the repositories before; not in check mode.
    #[arg(default = "false")]
    pub update_repo_cache: bool,
    /// Keep the values of the last release, below those that are given; `reset_values: false` has to be said, too.
    pub reuse_values: Option<bool>,
    /// Begin with the values of the chart.
    #[arg(default = "true")]
    pub reset_values: bool,
    /// Begin with the values of the chart, then those of the last release; `reset_values: false` has to be said, too.
    #[arg(default = "false")]
    pub reset_then_reuse_values: bool,
    /// Run no hooks.
    #[arg(default = "false")]
    pub disable_hook: bool,
    /// Replace objects that cannot be changed; the release is upgraded in any case.
    #[arg(default = "false")]
    pub force: bool,
    /// Forget a removed release; otherwise its history is kept.
    #[arg(default = "true")]
    pub purge: bool,
    /// Wait until the objects are ready, or gone.
    #[arg(default = "false")]
    pub wait: bool,
    /// Wait until the jobs are done, too.
    #[arg(default = "false")]
    pub wait_for_jobs: bool,
    /// How long: `5m30s`; `timeout` is the same without `wait`.
    pub wait_timeout: Option<String>,
    /// How long anything that is asked of the cluster may take.
    pub timeout: Option<String>,
    /// Undo it where it fails.
    #[arg(default = "false")]
    pub atomic: bool,
    /// Remove what a failed upgrade made anew.
    #[arg(default = "false")]
    pub cleanup_on_fail: bool,
    /// Whether the server merges the objects (Helm 4).
    #[arg(choices = "auto, true, false")]
    pub server_side: Option<String>,
    /// Take fields that others manage (Helm 4).
    #[arg(default = "false")]
    pub force_conflicts: bool,
    /// Make the namespace.
    #[arg(default = "false")]
    pub create_namespace: bool,
    /// A program that the objects go through (a plugin's name in Helm 4).
    pub post_renderer: Option<String>,
    /// Take the name of a removed release that is still in the history.
    #[arg(default = "false")]
    pub replace: bool,
    /// Leave out custom resource definitions.
    #[arg(default = "false")]
    pub skip_crds: bool,
    /// How many revisions are kept.
    pub history_max: Option<i64>,
    /// Do not check the certificate of the place that the chart comes from.
    #[arg(default = "false", alias = "skip_tls_certs_check")]
    pub insecure_skip_tls_verify: bool,
    /// Speak HTTP with registries.
    #[arg(default = "false")]
    pub plain_http: bool,
    /// Take objects that belong to no release, or to another one.
    #[arg(default = "false")]
    pub take_ownership: bool,
    /// Do not hold the values against the chart's schema.
    #[arg(default = "false")]
    pub skip_schema_validation: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Returned {
    /// The call of the program; values come by its standard input.
    command: String,
    /// The release: `name`, `namespace`, `revision`, `status`, `chart`, `app_version`, `updated`, `release_values`.
    status: Map,
    /// What the program said.
    stdout: String,
    /// What it complained about.
    stderr: String,
}

module! {
    "kubernetes.core.helm", args: Args, returns: Returned, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.helm"],
    rules: Rules {
        mutually_exclusive: &[
            &["context", "ca_cert"],
            &["replace", "history_max"],
            &["wait_timeout", "timeout"],
            &["force", "server_side"],
            &["force", "force_conflicts"],
        ],
        required_if: &[("release_state", "present", &["release_name", "chart_ref"], false)],
        ..Rules::NONE
    },
}
