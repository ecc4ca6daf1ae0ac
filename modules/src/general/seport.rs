//! `seport`: the type that SELinux gives to ports.

use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::{Change, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::posix::semanage;

/// Says which type SELinux gives to ports, with `semanage`.
#[derive(ModuleArgs)]
struct Args {
    /// Ports and ranges of them, such as `8000-8010`.
    ports: Vec<String>,
    /// Their protocol.
    #[arg(choices = "tcp, udp, dccp, sctp")]
    proto: String,
    /// The type.
    setype: String,
    /// Whether they have the type.
    #[arg(default = "present")]
    state: State,
    /// Load the policy that comes of it.
    #[arg(default = "true")]
    reload: bool,
    /// Go on where SELinux is off, as in a tree that is prepared for another machine.
    #[arg(default = "false")]
    ignore_selinux_state: bool,
    /// Look at what was set on this machine only, and not at what the policy brings.
    #[arg(default = "false")]
    local: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The ports.
    ports: Vec<String>,
    /// Their protocol.
    proto: String,
    /// Their type.
    setype: String,
    /// Whether they have it.
    state: String,
}

module! {
    "community.general.seport", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.seport"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    semanage::must_be_on(machine, args.ignore_selinux_state)?;
    let all = semanage::list(machine, &["port", "-l", "-n"])?;
    let local = match args.local {
        true => semanage::list(machine, &["port", "-l", "-n", "-C"])?,
        false => all.clone(),
    };
    let present = args.state == State::Present;
    let mut changed = false;
    for port in &args.ports {
        let key = format!("seport:{}:{port}", args.proto);
        let typed = match machine.assumed(&key) {
            Some(known) => known == args.setype,
            None => types(&local, &args.proto, port).any(|kind| kind == args.setype),
        };
        if typed == present {
            continue;
        }
        changed = true;
        let known = types(&all, &args.proto, port).next().is_some();
        let verb = match (present, known) {
            (false, _) => "-d",
            (true, true) => "-m",
            (true, false) => "-a",
        };
        let words = ["port", verb, "-t", &args.setype, "-p", &args.proto, port];
        semanage::change(machine, &words, args.reload)?;
        let kind = if present {
            args.setype.clone()
        } else {
            String::new()
        };
        machine.assume(Change::Fact(key, Some(kind)));
    }
    let state = if present { "present" } else { "absent" };
    Ok(Outcome::new(changed)
        .with("ports", args.ports)
        .with("proto", args.proto)
        .with("setype", args.setype)
        .with("state", state))
}

/// The types that have exactly this port or range.
fn types<'a>(list: &'a str, proto: &'a str, port: &'a str) -> impl Iterator<Item = &'a str> {
    list.lines().filter_map(move |line| {
        let mut words = line.split_whitespace();
        let kind = words.next()?;
        let ours =
            words.next() == Some(proto) && words.any(|word| word.trim_end_matches(',') == port);
        ours.then_some(kind)
    })
}
