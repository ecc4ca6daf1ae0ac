//! `capabilities`: what a program may do that otherwise only root may.

use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Gives capabilities to a program and takes them away, with `getcap` and `setcap`.
#[derive(ModuleArgs)]
struct Args {
    /// The file of the program.
    #[arg(alias = "key")]
    path: String,
    /// The capability, an operator and flags: `cap_net_bind_service+ep`.
    #[arg(alias = "cap")]
    capability: String,
    /// Whether the file has it.
    #[arg(default = "present")]
    state: State,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done.
    msg: String,
    /// Whether the file has it.
    state: String,
    /// What the program said.
    stdout: String,
}

module! {
    "community.general.capabilities", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.capabilities"],
}

/// A capability with its operator and flags.
#[derive(Clone)]
struct Cap {
    name: String,
    operator: char,
    flags: String,
}

impl Cap {
    /// Whether both say the same: the order of the flags means nothing.
    fn same(&self, other: &Cap) -> bool {
        let sorted = |cap: &Cap| {
            let mut flags: Vec<u8> = cap.flags.bytes().collect();
            crate::order::sort(&mut flags);
            flags
        };
        self.name == other.name
            && sorted(self) == sorted(other)
            && (self.operator == '-') == (other.operator == '-')
    }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let wanted = parse(&args.capability.to_lowercase())
        .ok_or_else(|| Failure::new("Couldn't find operator (one of: ('=', '-', '+'))"))?;
    let (getcap, setcap) = (
        programs::required(machine, "getcap")?,
        programs::required(machine, "setcap")?,
    );
    let key = format!("capabilities:{}", args.path);
    let now = match machine.assumed(&key) {
        Some(known) => known,
        None => current(machine, &getcap, &args.path)?,
    };
    let now: Vec<Cap> = now.split_whitespace().filter_map(parse).flatten().collect();
    let present = args.state == State::Present;
    let changed = match present {
        true => !wanted.iter().all(|cap| now.iter().any(|now| now.same(cap))),
        false => wanted
            .iter()
            .any(|cap| now.iter().any(|now| now.name == cap.name)),
    };
    let outcome = Outcome::new(changed).with("state", if present { "present" } else { "absent" });
    if !changed {
        return Ok(outcome);
    }
    let mut new = now;
    new.retain(|now| !wanted.iter().any(|cap| cap.name == now.name));
    if present {
        new.extend(wanted);
    }
    let words = new
        .iter()
        .map(|cap| format!("{}{}{}", cap.name, cap.operator, cap.flags));
    let text = words.collect::<Vec<_>>().join(" ");
    let command = Command::new([&setcap, &text, &args.path]).c_locale();
    let stdout = match programs::change(machine, &command)? {
        Some(output) if output.code != 0 => {
            let msg = format!("Unable to set capabilities of {}", args.path);
            return Err(Failure::new(msg)
                .with("stdout", output.stdout_text())
                .with("stderr", output.stderr_text()));
        }
        Some(output) => output.stdout_text(),
        None => {
            machine.assume(Change::Fact(key, Some(text)));
            String::new()
        }
    };
    Ok(outcome
        .with("msg", "capabilities changed")
        .with("stdout", stdout))
}

/// `cap_a,cap_b+ep`, one by one; nothing without an operator.
fn parse(text: &str) -> Option<Vec<Cap>> {
    let at = text.find(['=', '-', '+'])?;
    let operator = char::from(text.as_bytes()[at]);
    let names = text[..at].split(',');
    let caps = names.map(|name| Cap {
        name: name.to_owned(),
        operator,
        flags: text[at + 1..].to_owned(),
    });
    Some(caps.collect())
}

/// The capabilities of the file, in the program's words.
fn current(machine: &mut dyn Machine, getcap: &str, path: &str) -> Result<String, Failure> {
    let output = programs::ask(machine, [getcap, "-v", path])?;
    let (stdout, stderr) = (output.stdout_text(), output.stderr_text());
    let text = stdout.trim();
    // What is no file is told of on either side, and is no error to the program.
    if output.code != 0 || !stderr.is_empty() || text.ends_with(')') {
        return Err(
            Failure::new(format!("Unable to get capabilities of {path}"))
                .with("stdout", text)
                .with("stderr", stderr),
        );
    }
    let rest = text.strip_prefix(path).unwrap_or_default().trim_start();
    Ok(rest.strip_prefix("= ").unwrap_or(rest).to_owned())
}
