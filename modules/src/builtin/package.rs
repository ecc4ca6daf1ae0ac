//! `package`: packages with whatever package manager the machine has.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::{apt, programs};

/// Installs, updates and removes packages with the machine's own package manager.
#[derive(ModuleArgs)]
struct Args {
    /// The packages.
    name: Vec<String>,
    /// The wanted state, in the package manager's words.
    state: String,
    /// The package manager; `auto` takes the machine's own.
    #[arg(default = "auto")]
    r#use: String,
}

/// What comes back.
#[derive(Returns)]
struct Values {}

module! { "ansible.builtin.package", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let manager = match args.r#use.trim_start_matches("ansible.builtin.") {
        "auto" => ["apt-get", "dnf", "yum", "zypper", "pacman", "apk"]
            .into_iter()
            .find(|program| programs::installed(machine, program))
            .map(|program| if program == "apt-get" { "apt" } else { program })
            .ok_or_else(|| Failure::new("Could not detect which package manager to use. Try gathering facts or setting the \"use\" option."))?
            .to_owned(),
        other => other.to_owned(),
    };
    match manager.as_str() {
        "apt" => apt::packages(machine, args.name, &args.state),
        other => Err(Failure::new(format!("the package manager `{other}` is not supported yet"))),
    }
}
