//! `helm_info`: a release, read.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Helm;

/// Reads a release, with the host's program `helm`.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// The program and its cluster.
    #[arg(flatten)]
    pub helm: Helm,
    /// The name of the release.
    #[arg(alias = "name")]
    pub release_name: String,
    /// Its namespace.
    #[arg(alias = "namespace")]
    pub release_namespace: String,
    /// The states that count: `all`, `deployed`, `failed`, `pending`, `superseded`, `uninstalled`, `uninstalling`.
    #[arg(default = "[]")]
    pub release_state: Vec<String>,
    /// Tell the chart's own values, too.
    #[arg(default = "false")]
    pub get_all_values: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Returned {
    /// The release, where there is one, with `release_values`, `manifest`, `hooks` and `notes`.
    status: Map,
}

module! {
    "kubernetes.core.helm_info", args: Args, returns: Returned, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.helm_info"],
    rules: Rules {
        mutually_exclusive: &[&["context", "ca_cert"], &["context", "validate_certs"]],
        ..Rules::NONE
    },
}
