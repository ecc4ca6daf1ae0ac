//! `dnf5`: packages of Fedora and its relatives, through `dnf5`.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::dnf;

/// Installs, updates and removes packages with dnf5.
#[derive(ModuleArgs)]
struct Args {
    /// Install what the module itself needs; it needs nothing.
    #[arg(default = "true")]
    auto_install_module_deps: bool,
    /// What dnf is told.
    #[arg(flatten)]
    dnf: dnf::Args,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    results: Vec<String>,
    /// Why not.
    failures: Vec<String>,
    /// The exit code.
    rc: i32,
}

module! { "ansible.builtin.dnf5", args: Args, returns: Values, run: run, rules: dnf::RULES }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let _ = args.auto_install_module_deps;
    dnf::work(machine, &args.dnf, "dnf5")
}
