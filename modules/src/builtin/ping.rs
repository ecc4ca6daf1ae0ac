//! `ping`: answers, so that a play knows that the agent works.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

/// Tries to connect to a host, verifies that the agent runs there, and returns `pong`.
#[derive(ModuleArgs)]
struct Args {
    /// What to return as `ping`. With `crash` the module fails.
    #[arg(default = "pong")]
    data: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The value of `data`.
    ping: String,
}

module! { "ansible.builtin.ping", args: Args, returns: Values, run: run }

fn run(_: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if args.data == "crash" {
        return Err(Failure::new("boom"));
    }
    Ok(Outcome::unchanged().with("ping", args.data))
}
