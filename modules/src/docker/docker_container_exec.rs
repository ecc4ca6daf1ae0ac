//! `docker_container_exec`: commands in containers.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Map;
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Runs a command in a container that runs.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The container.
    pub container: String,
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
    #[arg(default = "false")]
    pub tty: bool,
    /// The user that it runs as.
    pub user: Option<String>,
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
    /// The engine's number of it, with `detach`.
    exec_id: String,
}

module! {
    "community.docker.docker_container_exec", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        mutually_exclusive: &[&["argv", "command"]],
        required_one_of: &[&["argv", "command"]],
        check_mode: rplay_modules::args::CheckMode::Skipped,
        ..Rules::NONE
    },
}
