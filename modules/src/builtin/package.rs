//! `package`: packages with whatever package manager the machine has.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::{apt, programs};

/// Installs, updates and removes packages with the machine's own package manager, which gets all
/// other arguments.
#[derive(ModuleArgs)]
struct Args {
    /// The package manager; `auto` takes the machine's own.
    #[arg(default = "auto")]
    r#use: String,
    // The controller calls other managers by their own names; see `FOUND_MANAGER`.
    #[arg(flatten)]
    apt: apt::Args,
}

/// What comes back.
#[derive(Returns)]
struct Values {}

module! { "ansible.builtin.package", args: Args, returns: Values, run: run, rules: apt::RULES }

/// Programs that tell the package manager, and the module for it.
const MANAGERS: &[(&str, &str)] = &[
    ("apt-get", "apt"),
    ("dnf5", "dnf5"),
    ("dnf", "dnf"),
    ("yum", "yum"),
    ("zypper", "zypper"),
    ("pacman", "pacman"),
    ("apk", "apk"),
];

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let manager = match args.r#use.trim_start_matches("ansible.builtin.") {
        "auto" => MANAGERS
            .iter()
            .find(|(program, _)| programs::installed(machine, program))
            .map(|(_, manager)| *manager)
            .ok_or_else(|| Failure::new("Could not detect which package manager to use. Try gathering facts or setting the \"use\" option."))?,
        other => other,
    };
    if manager == "apt" {
        return apt::run(machine, args.apt);
    }
    Err(match MANAGERS.iter().any(|(_, known)| *known == manager) {
        // The controller calls that module then.
        true => Failure::new(format!("the package manager is `{manager}`"))
            .with(super::FOUND_MANAGER, manager),
        false => Failure::new(format!(
            "Could not find a matching action for the \"{manager}\" package manager."
        )),
    })
}
