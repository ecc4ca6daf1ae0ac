//! `group`: a group of users is there or gone.

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::{Change, Command, Group, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;

/// Makes, changes and removes groups.
#[derive(ModuleArgs)]
struct Args {
    /// The name.
    name: String,
    /// The number.
    gid: Option<u32>,
    /// Whether it is there or gone.
    #[arg(default = "present")]
    state: State,
    /// Remove it also when it is the primary group of a user.
    #[arg(default = "false")]
    force: bool,
    /// A new group is one of the system's.
    #[arg(default = "false")]
    system: bool,
    /// Use the commands for local groups where a directory service has others.
    #[arg(default = "false")]
    local: bool,
    /// The number may belong to another group, too.
    #[arg(default = "false")]
    non_unique: bool,
    /// The lowest number for a new group.
    gid_min: Option<u32>,
    /// The highest number for a new group.
    gid_max: Option<u32>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The name.
    name: String,
    /// The number.
    gid: u32,
    /// Whether it is one of the system's.
    system: bool,
    /// Whether it is there.
    state: String,
}

module! {
    "ansible.builtin.group", args: Args, returns: Values, run: run,
    rules: Rules { required_if: &[("non_unique", "True", &["gid"], false)], ..Rules::NONE }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let old = machine.group_by_name(&args.name);
    let outcome = match (args.state, &old) {
        (State::Absent, None) => Outcome::unchanged(),
        (State::Absent, Some(_)) => {
            let mut argv = words(&args, "groupdel");
            if args.force {
                argv.push("-f".to_owned());
            }
            change(machine, &args, argv)?;
            machine.assume(Change::GroupGone(args.name.clone()));
            Outcome::new(true)
        }
        (State::Present, None) => {
            change(machine, &args, add(&args))?;
            let gid = args.gid.unwrap_or_else(|| free_number(machine, &args));
            machine.assume(Change::Group(Group {
                name: args.name.clone(),
                gid,
                members: Vec::new(),
            }));
            Outcome::new(true)
        }
        (State::Present, Some(group)) => match args.gid.filter(|gid| *gid != group.gid) {
            None => Outcome::unchanged(),
            Some(gid) => {
                let mut argv = words(&args, "groupmod");
                argv.extend(["-g".to_owned(), gid.to_string()]);
                if args.non_unique {
                    argv.push("-o".to_owned());
                }
                change(machine, &args, argv)?;
                machine.assume(Change::Group(Group {
                    gid,
                    ..group.clone()
                }));
                Outcome::new(true)
            }
        },
    };
    let outcome = outcome
        .with("name", args.name.clone())
        .with("state", args.state.word());
    if args.state == State::Absent {
        return Ok(outcome);
    }
    let gid = machine
        .group_by_name(&args.name)
        .map(|group| group.gid)
        .or(args.gid);
    Ok(outcome.with("system", args.system).with("gid", gid))
}

/// The program, or its sister for local groups only.
fn words(args: &Args, program: &str) -> Vec<String> {
    vec![if args.local {
        format!("l{program}")
    } else {
        program.to_owned()
    }]
}

fn add(args: &Args) -> Vec<String> {
    let mut argv = words(args, "groupadd");
    if let Some(gid) = args.gid {
        argv.extend(["-g".to_owned(), gid.to_string()]);
        if args.non_unique {
            argv.push("-o".to_owned());
        }
    }
    if args.system {
        argv.push("-r".to_owned());
    }
    for (key, value) in [("GID_MIN", args.gid_min), ("GID_MAX", args.gid_max)] {
        if let Some(value) = value {
            argv.extend(["-K".to_owned(), format!("{key}={value}")]);
        }
    }
    argv
}

fn change(machine: &mut dyn Machine, args: &Args, mut argv: Vec<String>) -> Result<(), Failure> {
    let refused = machine.predicts().then(|| refusal(machine, args)).flatten();
    if let Some(why) = refused {
        let msg = format!("{}: {why}\n", argv[0]);
        return Err(Failure::new(msg).with("name", args.name.clone()));
    }
    argv.push(args.name.clone());
    match programs::change(machine, &Command::new(argv).c_locale())? {
        Some(output) if output.code != 0 => {
            Err(Failure::new(output.stderr_text()).with("name", args.name.clone()))
        }
        _ => Ok(()),
    }
}

/// Why the program would refuse, in its own words.
fn refusal(machine: &mut dyn Machine, args: &Args) -> Option<String> {
    if args.state == State::Present {
        let gid = args.gid.filter(|_| !args.non_unique)?;
        machine.group_by_id(gid)?;
        return Some(format!("GID '{gid}' already exists"));
    }
    let group = machine.group_by_name(&args.name).filter(|_| !args.force)?;
    let user = machine
        .users()
        .into_iter()
        .find(|user| user.gid == group.gid)?;
    Some(format!(
        "cannot remove the primary group of user '{}'",
        user.name
    ))
}

/// The number that the system would most likely give, for later tasks of a check.
fn free_number(machine: &mut dyn Machine, args: &Args) -> u32 {
    let taken: Vec<u32> = machine.groups().iter().map(|group| group.gid).collect();
    let (low, high) = if args.system {
        (100, 999)
    } else {
        (1000, 60000)
    };
    let (low, high) = (args.gid_min.unwrap_or(low), args.gid_max.unwrap_or(high));
    if args.system {
        return (low..=high)
            .rev()
            .find(|gid| !taken.contains(gid))
            .unwrap_or(high);
    }
    let next = taken
        .iter()
        .filter(|gid| (low..=high).contains(*gid))
        .max()
        .map_or(low, |gid| gid + 1);
    next.min(high)
}
