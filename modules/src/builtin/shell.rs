//! `shell`: runs a command line through a shell.

use rplay_modules::args::ModuleArgs;
use rplay_modules::machine::{Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::command::{CommandArgs, Given, RULES, Values, execute, join};

/// Runs a command line through a shell (`/bin/sh`) on the targets.
#[derive(ModuleArgs)]
struct Args {
    #[arg(flatten)]
    command: CommandArgs,
    /// Without meaning: a shell expands `$VAR` and `~` itself.
    #[arg(default = "true")]
    #[expect(dead_code, reason = "Ansible has it, and ignores it too")]
    expand_argument_vars: bool,
    /// The shell, by its absolute path.
    executable: Option<String>,
}

module! { "ansible.builtin.shell", args: Args, returns: Values, run: run, free_form: "_raw_params", rules: RULES }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let shell = args.executable.unwrap_or_else(|| "/bin/sh".to_owned());
    let args = args.command;
    let (cmd, line) = match args.given() {
        Given::Words(words) => (words.clone().into(), join(&words)),
        Given::Line(line) => (line.as_str().into(), line),
    };
    let command = Command::new([shell, "-c".to_owned(), line]);
    execute(machine, &args, cmd, command)
}
