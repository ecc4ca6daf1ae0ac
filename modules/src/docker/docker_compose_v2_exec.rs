//! `docker_compose_v2_exec`: commands in services.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Project;

/// Runs a command in a container of a service.
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
    /// Which container of the service.
    pub index: Option<i64>,
    /// Let it do everything.
    #[arg(default = "false")]
    pub privileged: bool,
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
}

module! {
    "community.docker.docker_compose_v2_exec", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        mutually_exclusive: &[&["definition", "project_src"], &["definition", "files"], &["argv", "command"]],
        required_one_of: &[&["definition", "project_src"], &["argv", "command"]],
        required_by: &[("definition", &["project_name"])],
        check_mode: rplay_modules::args::CheckMode::Skipped,
        ..Rules::NONE
    },
}
