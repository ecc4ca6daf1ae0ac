//! `dpkg_selections`: what dpkg is told to do with a package, as to hold it.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;

/// Sets what dpkg does with a package.
#[derive(ModuleArgs)]
struct Args {
    /// The package.
    name: String,
    /// What is done with it.
    selection: Selection,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Selection {
    Install,
    Hold,
    Deinstall,
    Purge,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done with it.
    before: String,
    /// What is done with it.
    after: String,
}

module! { "ansible.builtin.dpkg_selections", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let dpkg = programs::required(machine, "dpkg")?;
    let key = format!("selection:{}", args.name);
    let after = args.selection.word();
    let before = match machine.assumed(&key) {
        Some(word) => word,
        None => {
            let asked = programs::ask(machine, [&dpkg, "--get-selections", &args.name])?;
            let text = asked.stdout_text();
            let words = text.split_whitespace().nth(1);
            match words {
                Some(word) => word.to_owned(),
                // What an earlier task of a check installs is there in the run.
                None if machine
                    .assumed(&format!("package:{}", args.name))
                    .is_some_and(|version| !version.is_empty()) =>
                {
                    "install".to_owned()
                }
                None => {
                    return Err(Failure::new(format!(
                        "Failed to find package '{}' to perform selection '{after}'.",
                        args.name
                    )));
                }
            }
        }
    };
    let changed = before != after;
    if changed {
        let stdin = Some(format!("{} {after}", args.name).into_bytes());
        let command = Command {
            stdin,
            ..Command::new([dpkg.as_str(), "--set-selections"]).c_locale()
        };
        programs::must(machine, &command)?;
        machine.assume(Change::Fact(key, Some(after.to_owned())));
    }
    Ok(Outcome::new(changed)
        .with("before", before)
        .with("after", after))
}
