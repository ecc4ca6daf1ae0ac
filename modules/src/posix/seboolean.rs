//! `seboolean`: a switch of the SELinux policy.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::semanage;
use crate::builtin::programs;

/// Turns switches of the SELinux policy on and off, with `setsebool` or, for good, `semanage`.
#[derive(ModuleArgs)]
struct Args {
    /// The switch.
    name: String,
    /// Keep it over a restart.
    #[arg(default = "false")]
    persistent: bool,
    /// Whether it is on.
    state: bool,
    /// Go on where SELinux is off, as in a tree that is prepared for another machine.
    #[arg(default = "false")]
    ignore_selinux_state: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The switch.
    name: String,
    /// Whether it is kept over a restart.
    persistent: bool,
    /// Whether it is on.
    state: bool,
}

module! {
    "ansible.posix.seboolean", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.seboolean"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    semanage::must_be_on(machine, args.ignore_selinux_state)?;
    let key = format!("seboolean:{}:{}", args.persistent, args.name);
    let word = if args.state { "on" } else { "off" };
    let now = match machine.assumed(&key) {
        Some(known) => Some(known),
        None if args.persistent => Some(lasting(machine, &args.name)?),
        None => running(machine, &args.name)?,
    };
    // Where SELinux is off there is nothing to turn.
    let changed = now.is_some_and(|now| now != word);
    if changed {
        match args.persistent {
            true => {
                let option = format!("--{word}");
                let words = ["boolean", "-m", &option, &args.name];
                semanage::change(machine, &words, true)?;
            }
            false => {
                let command = Command::new(["setsebool", &args.name, word]).c_locale();
                programs::must(machine, &command)?;
            }
        }
        machine.assume(Change::Fact(key, Some(word.to_owned())));
    }
    Ok(Outcome::new(changed)
        .with("name", args.name)
        .with("persistent", args.persistent)
        .with("state", args.state))
}

/// What the switch will be after a restart.
fn lasting(machine: &mut dyn Machine, name: &str) -> Result<String, Failure> {
    let all = semanage::list(machine, &["boolean", "-l", "-n"])?;
    let ours = |line: &&str| line.split_whitespace().next() == Some(name);
    let states = all.lines().find(ours).and_then(|line| {
        let states = line.split_once('(')?.1.split_once(')')?.0;
        Some(states.split_once(',')?.1.trim().to_owned())
    });
    states.ok_or_else(|| {
        Failure::new(format!(
            "SELinux boolean {name} is not defined in persistent policy"
        ))
    })
}

/// What the switch is now; nothing where SELinux is off.
fn running(machine: &mut dyn Machine, name: &str) -> Result<Option<String>, Failure> {
    if !semanage::enabled(machine) {
        return Ok(None);
    }
    let output = programs::ask(machine, ["getsebool", name])?;
    let text = output.stdout_text();
    match text.trim().rsplit_once("--> ") {
        Some((_, state)) if output.code == 0 => {
            let state = state.split_whitespace().next().unwrap_or_default();
            Ok(Some(state.to_owned()))
        }
        _ => Err(Failure::new(format!(
            "SELinux boolean {name} does not exist."
        ))),
    }
}
