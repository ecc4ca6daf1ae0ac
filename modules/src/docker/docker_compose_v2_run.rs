//! `docker_compose_v2_run`: commands in containers of their own.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Project;

/// Runs a command in a new container of a service.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub project: Project,
    /// The service.
    pub service: String,
    /// The command as words.
    pub argv: Option<Vec<String>>,
    /// The command, as a shell splits it into words; none runs it.
    pub command: Option<String>,
    /// The folder that it runs in.
    pub chdir: Option<String>,
    /// Do not wait for its end.
    #[arg(default = "false")]
    pub detach: bool,
    /// Its environment.
    pub env: Option<Map>,
    /// What it reads.
    pub stdin: Option<String>,
    /// Add a line break to `stdin`.
    #[arg(default = "true")]
    pub stdin_add_newline: bool,
    /// Leave out empty lines at the end of what it writes.
    #[arg(default = "true")]
    pub strip_empty_ends: bool,
    /// Give it a terminal.
    #[arg(default = "true")]
    pub tty: bool,
    /// The user that it runs as.
    pub user: Option<String>,
    /// Build the image first.
    #[arg(default = "false")]
    pub build: bool,
    /// Capabilities it gets.
    pub cap_add: Option<Vec<String>>,
    /// Capabilities it loses.
    pub cap_drop: Option<Vec<String>>,
    /// Remove the container afterwards.
    #[arg(default = "false")]
    pub cleanup: bool,
    /// What it runs instead of the image's entry point.
    pub entrypoint: Option<String>,
    /// Keep its standard input open.
    #[arg(default = "true")]
    pub interactive: bool,
    /// Labels of the container.
    pub labels: Option<Vec<String>>,
    /// The container's name.
    pub name: Option<String>,
    /// Leave alone services that this one needs.
    #[arg(default = "false")]
    pub no_deps: bool,
    /// Ports of the host.
    pub publish: Option<Vec<String>>,
    /// Pull without a word.
    #[arg(default = "false")]
    pub quiet_pull: bool,
    /// Remove containers of services that the project has no more.
    #[arg(default = "false")]
    pub remove_orphans: bool,
    /// Publish the service's ports.
    #[arg(default = "false")]
    pub service_ports: bool,
    /// Give it the service's names.
    #[arg(default = "false")]
    pub use_aliases: bool,
    /// What of the host it sees.
    pub volumes: Option<Vec<String>>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What it wrote to standard output.
    stdout: String,
    /// What it wrote to standard error.
    stderr: String,
    /// Its exit code.
    rc: i64,
    /// The container, with `detach`.
    container_id: String,
}

module! {
    "community.docker.docker_compose_v2_run", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        mutually_exclusive: &[&["definition", "project_src"], &["definition", "files"], &["argv", "command"]],
        required_one_of: &[&["definition", "project_src"]],
        required_by: &[("definition", &["project_name"])],
        check_mode: rplay_modules::args::CheckMode::Skipped,
        ..Rules::NONE
    },
}
