//! `sefcontext`: the context that SELinux gives to files of a path.

use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::Data;
use rplay_modules::machine::{Change, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::posix::semanage;

/// Says which context SELinux gives to the files of a path, with `semanage`. Files that are there keep theirs until `restorecon` runs.
#[derive(ModuleArgs)]
struct Args {
    /// The path, a regular expression.
    #[arg(alias = "path")]
    target: String,
    /// The kind of files: all of them (`a`), block devices, character devices, directories, regular files, links, pipes, sockets.
    #[arg(default = "a", choices = "a, b, c, d, f, l, p, s")]
    ftype: String,
    /// The type.
    setype: Option<String>,
    /// A path whose files have the context that those of `target` get.
    #[arg(alias = "equal")]
    substitute: Option<String>,
    /// The user.
    seuser: Option<String>,
    /// The level.
    #[arg(alias = "serange")]
    selevel: Option<String>,
    /// Whether the policy says so.
    #[arg(default = "present")]
    state: State,
    /// Load the policy that comes of it.
    #[arg(default = "true")]
    reload: bool,
    /// Go on where SELinux is off, as in a tree that is prepared for another machine.
    #[arg(default = "false")]
    ignore_selinux_state: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The path.
    target: String,
    /// The kind of files.
    ftype: String,
    /// The type.
    setype: String,
    /// The other path.
    substitute: String,
    /// The user.
    seuser: String,
    /// The level.
    serange: String,
    /// Whether the policy says so.
    state: String,
}

module! {
    "community.general.sefcontext", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.sefcontext"],
    rules: Rules {
        mutually_exclusive: &[
            &["setype", "substitute"],
            &["substitute", "ftype"],
            &["substitute", "seuser"],
            &["substitute", "selevel"],
        ],
        required_if: &[("state", "present", &["setype", "substitute"], true)],
        ..Rules::NONE
    },
}

/// How `semanage` names the kinds of files.
const KINDS: [(&str, &str); 8] = [
    ("a", "all files"),
    ("b", "block device"),
    ("c", "character device"),
    ("d", "directory"),
    ("f", "regular file"),
    ("l", "symbolic link"),
    ("p", "named pipe"),
    ("s", "socket"),
];

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    semanage::must_be_on(machine, args.ignore_selinux_state)?;
    let present = args.state == State::Present;
    let key = match args.substitute {
        Some(_) => format!("sefcontext:={}", args.target),
        None => format!("sefcontext:{}:{}", args.ftype, args.target),
    };
    let old = match machine.assumed(&key) {
        Some(known) => Some(known).filter(|known| !known.is_empty()),
        None => {
            let all = semanage::list(machine, &["fcontext", "-l", "-n"])?;
            match args.substitute {
                Some(_) => equal(&all, &args.target),
                None => context(&all, &args),
            }
        }
    };
    let wanted = wanted(&args, old.as_deref());
    let new = if present { Some(wanted.clone()) } else { None };
    let changed = old != new;
    if changed {
        set(machine, &args, old.as_deref(), &wanted)?;
        let fact = Change::Fact(key, Some(new.clone().unwrap_or_default()));
        machine.assume(fact);
    }
    let text = |value: Option<&str>| value.map_or(Data::Null, Data::from);
    let mut outcome = Outcome::new(changed)
        .with("ftype", args.ftype.as_str())
        .with("setype", text(args.setype.as_deref()))
        .with("state", if present { "present" } else { "absent" })
        .with("substitute", text(args.substitute.as_deref()))
        .with("target", args.target.as_str());
    if present {
        let mut parts = wanted.splitn(4, ':');
        let (user, level) = (parts.next(), parts.nth(2));
        let given = |part| text(part).clone();
        let plain = args.substitute.is_none();
        outcome = outcome
            .with("seuser", given(user.filter(|_| plain)))
            .with("serange", given(level.filter(|_| plain)));
    }
    if changed {
        outcome = outcome.with_diff(shown(&args, old.as_deref(), new.as_deref()));
    }
    Ok(outcome)
}

/// The path whose files have the context of those of `target`.
fn equal(list: &str, target: &str) -> Option<String> {
    let mut pairs = list.lines().filter_map(|line| line.split_once(" = "));
    let found = pairs.find(|(path, _)| path.trim() == target)?;
    Some(found.1.trim().to_owned())
}

/// The context of the path and kind of files; the last that was said counts.
fn context(list: &str, args: &Args) -> Option<String> {
    let kind = KINDS.iter().find(|(letter, _)| *letter == args.ftype)?.1;
    let mut found = list.lines().filter_map(|line| {
        let rest = line.strip_prefix(args.target.as_str())?;
        let rest = rest.trim_start().strip_prefix(kind)?;
        Some(rest.trim().to_owned())
    });
    found.next_back()
}

/// What the policy should say: what the task leaves open stays, or is the usual.
fn wanted(args: &Args, old: Option<&str>) -> String {
    if let Some(path) = &args.substitute {
        return path.clone();
    }
    let mut parts = old.unwrap_or_default().splitn(4, ':');
    let (old_user, old_level) = (parts.next(), parts.nth(2));
    let user = args
        .seuser
        .as_deref()
        .or(old_user.filter(|old| !old.is_empty()));
    let level = args.selevel.as_deref().or(old_level);
    format!(
        "{}:object_r:{}:{}",
        user.unwrap_or("system_u"),
        args.setype.as_deref().unwrap_or_default(),
        level.unwrap_or("s0")
    )
}

fn set(
    machine: &mut dyn Machine,
    args: &Args,
    old: Option<&str>,
    wanted: &str,
) -> Result<(), Failure> {
    let mut change = |words: &[&str]| {
        let mut all = vec!["fcontext"];
        all.extend(words);
        all.push(&args.target);
        semanage::change(machine, &all, args.reload)
    };
    let present = args.state == State::Present;
    if args.substitute.is_some() {
        // The program cannot change one that is there.
        if let Some(old) = old {
            change(&["-d", "-e", old])?;
        }
        return match present {
            true => change(&["-a", "-e", wanted]),
            false => Ok(()),
        };
    }
    let parts: Vec<&str> = wanted.splitn(4, ':').collect();
    let verb = if old.is_some() { "-m" } else { "-a" };
    match parts.as_slice() {
        [user, _, kind, level] if present => {
            change(&[verb, "-f", &args.ftype, "-t", kind, "-s", user, "-r", level])
        }
        _ => change(&["-d", "-f", &args.ftype]),
    }
}

fn shown(args: &Args, old: Option<&str>, new: Option<&str>) -> Diff {
    let what = match args.substitute {
        Some(_) => "path substitutions",
        None => "mappings",
    };
    let done = match (old, new) {
        (None, _) => "Addition",
        (_, None) => "Deletion",
        _ => "Change",
    };
    let mut text = format!("# {done} to semanage file context {what}\n");
    for (sign, side) in [('-', old), ('+', new)] {
        if let Some(side) = side {
            let (target, kind) = (&args.target, &args.ftype);
            text.push_str(&match args.substitute {
                Some(_) => format!("{sign}{target} = {side}\n"),
                None => format!("{sign}{target}      {kind}      {side}\n"),
            });
        }
    }
    Diff {
        prepared: Some(text),
        ..Diff::default()
    }
}
