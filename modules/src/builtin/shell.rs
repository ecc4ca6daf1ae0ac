//! `shell`: runs a command line through a shell.

use rplay_modules::args::ModuleArgs;
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::command::{CommandArgs, Given, RULES, Values, execute, join};

/// Runs a command line through a shell (`/bin/sh`) on the targets.
#[derive(ModuleArgs)]
struct Args {
    #[arg(flatten)]
    command: CommandArgs,
}

module! { "ansible.builtin.shell", args: Args, returns: Values, run: run, free_form: "_raw_params", rules: RULES }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let args = args.command;
    let shell = args.shell().unwrap_or("/bin/sh").to_owned();
    let (cmd, line) = match args.given() {
        Given::Words(words) => (words.clone().into(), join(&words)),
        Given::Line(line) => (line.as_str().into(), line),
    };
    execute(machine, &args, cmd, vec![shell, "-c".to_owned(), line])
}
