//! `singularity_run`: what a container is made for.

use rplay_modules::args::ModuleArgs;
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::singularity_exec::{CallArgs, RUN_RULES, call};
use crate::builtin::command::Values;

/// Runs the run script of a container with `apptainer` or `singularity`; the command's words are its
/// arguments.
#[derive(ModuleArgs)]
struct Args {
    #[arg(flatten)]
    call: CallArgs,
}

module! {
    "rplay.general.singularity_run", args: Args, returns: Values, run: run,
    aliases: ["rplay.general.apptainer_run"],
    rules: RUN_RULES,
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    call(machine, args.call, "run")
}
