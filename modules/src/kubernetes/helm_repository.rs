//! `helm_repository`: repositories of charts.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::module;

use super::elsewhere;
use super::shared::Helm;

/// Names repositories of charts on the host, with its program `helm`.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// The program.
    #[arg(flatten)]
    pub helm: Helm,
    /// The name of the repository.
    #[arg(alias = "name")]
    pub repo_name: String,
    /// Its address.
    #[arg(alias = "url")]
    pub repo_url: Option<String>,
    /// Its user.
    #[arg(alias = "username")]
    pub repo_username: Option<String>,
    /// The user's password, which goes by standard input where the program takes it there.
    #[arg(alias = "password", secret)]
    pub repo_password: Option<String>,
    /// Whether it shall be there.
    #[arg(default = "present", choices = "present, absent", alias = "state")]
    pub repo_state: String,
    /// Give user and password to the other places that its charts are at, too.
    #[arg(default = "false")]
    pub pass_credentials: bool,
    /// Name it anew where it is there already.
    #[arg(default = "false", alias = "force")]
    pub force_update: bool,
    /// Do not check its certificate.
    #[arg(default = "false", alias = "skip_tls_certs_check")]
    pub insecure_skip_tls_verify: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Returned {
    /// The call of the program.
    command: String,
    /// What the program said.
    stdout: String,
    /// What it complained about.
    stderr: String,
}

module! {
    "kubernetes.core.helm_repository", args: Args, returns: Returned, run: elsewhere::<Args>,
    aliases: ["community.kubernetes.helm_repository"],
    rules: Rules {
        mutually_exclusive: &[&["context", "ca_cert"], &["context", "validate_certs"]],
        required_together: &[&["repo_username", "repo_password"]],
        required_if: &[("repo_state", "present", &["repo_url"], false)],
        ..Rules::NONE
    },
}
