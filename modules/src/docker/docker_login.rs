//! `docker_login`: log-ins to registries.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Logs in to a registry and out of it, in the configuration of the `docker` program.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The registry.
    #[arg(
        default = "https://index.docker.io/v1/",
        alias = "registry",
        alias = "url"
    )]
    pub registry_url: String,
    /// The user.
    pub username: Option<String>,
    /// The user's password, or a token.
    #[arg(secret)]
    pub password: Option<String>,
    /// Ask the registry again although the log-in is there.
    #[arg(default = "false", alias = "reauth")]
    pub reauthorize: bool,
    /// The file that the log-in is kept in.
    #[arg(
        default = "~/.docker/config.json",
        alias = "dockercfg_path",
        kind = "path"
    )]
    pub config_path: String,
    /// Whether to be logged in.
    #[arg(default = "present", choices = "present, absent")]
    pub state: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What the registry said.
    login_result: Map,
}

module! {
    "community.docker.docker_login", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        required_if: &[("state", "present", &["username", "password"], false)],
        ..Rules::NONE
    },
}
