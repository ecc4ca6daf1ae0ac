//! `acl`: entries of a file's access control list.

use std::path::PathBuf;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::{Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Reads, sets and removes entries of access control lists, with `getfacl` and `setfacl`.
#[derive(ModuleArgs)]
struct Args {
    /// The file or folder.
    #[arg(alias = "name")]
    path: PathBuf,
    /// Read the list, or see that an entry is there or gone.
    #[arg(default = "query")]
    state: State,
    /// Whom the entry is for.
    etype: Option<Kind>,
    /// The user or group.
    #[arg(default = "")]
    entity: String,
    /// What they may do: `r`, `w`, `x`, `X`.
    permissions: Option<String>,
    /// The entry as one text, `TYPE:ENTITY:PERMISSIONS`, in place of the three above.
    entry: Option<String>,
    /// The entry is for what will be made in the folder.
    #[arg(default = "false")]
    default: bool,
    /// Follow links.
    #[arg(default = "true")]
    follow: bool,
    /// Also everything below the folder.
    #[arg(alias = "recurse", default = "false")]
    recursive: bool,
    /// Whether the mask of effective rights is reckoned anew.
    #[arg(default = "default")]
    recalculate_mask: Reckon,
    /// Use the lists of NFS 4.
    #[arg(
        default = "false",
        choices = "false, no, False",
        refused = "lists of NFS 4 are not supported yet"
    )]
    use_nfsv4_acls: Option<String>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Present,
    Query,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Group,
    Mask,
    Other,
    User,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Reckon {
    Default,
    Mask,
    NoMask,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The list as it is now.
    acl: Vec<String>,
    /// What was done.
    msg: String,
}

module! {
    "ansible.posix.acl", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.acl"],
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    if !matches!(machine.stat(&args.path, true), Ok(Some(_))) {
        return Err(Failure::new("Path not found or not accessible."));
    }
    check(&args)?;
    let (mut entry, mut default) = (String::new(), args.default);
    if let Some(text) = args.entry.take() {
        let mut parts: Vec<&str> = text.split(':').collect();
        if matches!(parts.first(), Some(&("d" | "default"))) && parts.len() > 1 {
            default = true;
            parts.remove(0);
        }
        let kind = match *parts.first().unwrap_or(&"") {
            "u" | "user" => "user",
            "g" | "group" => "group",
            "m" | "mask" => "mask",
            "o" | "other" => "other",
            other => other,
        };
        let rest = parts.get(1..).unwrap_or_default();
        let count = if args.state == State::Present { 2 } else { 1 };
        entry = std::iter::once(kind)
            .chain(rest.iter().take(count).copied())
            .collect::<Vec<_>>()
            .join(":");
    } else if let Some(kind) = args.etype {
        entry = format!("{}:{}", kind.word(), args.entity);
        if let Some(permissions) = args.permissions.as_ref().filter(|text| !text.is_empty()) {
            entry = format!("{entry}:{permissions}");
        }
    }
    let (changed, msg) = match args.state {
        State::Query => (false, "current acl".to_owned()),
        State::Present => {
            let words = ["-m", entry.as_str()];
            (
                set(machine, &args, default, &words)?,
                format!("{entry} is present"),
            )
        }
        State::Absent => {
            let words = ["-x", entry.as_str()];
            (
                set(machine, &args, default, &words)?,
                format!("{entry} is absent"),
            )
        }
    };
    Ok(Outcome::new(changed)
        .with("msg", msg)
        .with("acl", list(machine, &args)?))
}

fn check(args: &Args) -> Result<(), Failure> {
    let fail = |msg: &str| Err(Failure::new(msg));
    if args.state == State::Query {
        if args.recursive {
            return fail("'recursive' MUST NOT be set when 'state=query'.");
        }
        if args.recalculate_mask != Reckon::Default {
            return fail(
                "'recalculate_mask' MUST NOT be set to 'mask' or 'no_mask' when 'state=query'.",
            );
        }
    }
    let Some(entry) = &args.entry else {
        if args.state != State::Query && args.etype.is_none() {
            return Err(Failure::new(format!(
                "'etype' MUST be set when 'state={}'.",
                args.state.word()
            )));
        }
        return Ok(());
    };
    if args.etype.is_some() || !args.entity.is_empty() || args.permissions.is_some() {
        return fail("'entry' MUST NOT be set when 'entity', 'etype' or 'permissions' are set.");
    }
    let parts = entry.matches(':').count() + 1;
    if args.state == State::Present && !(3..=4).contains(&parts) {
        return fail("'entry' MUST have 3 or 4 sections divided by ':' when 'state=present'.");
    }
    if args.state == State::Absent && !(2..=3).contains(&parts) {
        return fail("'entry' MUST have 2 or 3 sections divided by ':' when 'state=absent'.");
    }
    if args.state == State::Query {
        return fail("'entry' MUST NOT be set when 'state=query'.");
    }
    Ok(())
}

/// Sets or removes an entry where that changes something.
fn set(
    machine: &mut dyn Machine,
    args: &Args,
    default: bool,
    words: &[&str],
) -> Result<bool, Failure> {
    let program = programs::required(machine, "setfacl")?;
    let path = args.path.to_string_lossy().into_owned();
    let mut rest: Vec<&str> = Vec::new();
    if args.recursive {
        rest.push("--recursive");
    }
    match args.recalculate_mask {
        Reckon::Mask => rest.push("--mask"),
        Reckon::NoMask => rest.push("--no-mask"),
        Reckon::Default => {}
    }
    if !args.follow {
        rest.push("--physical");
    }
    if default {
        rest.push("-d");
    }
    rest.extend(words);
    rest.push(&path);
    let command = |test: bool| {
        let mut argv = vec![program.as_str()];
        argv.extend(test.then_some("--test"));
        argv.extend(&rest);
        Command::new(argv).c_locale()
    };
    let test = command(true);
    let output = programs::query(machine, &test)?;
    if output.code != 0 {
        return Err(programs::refused(&test, &output));
    }
    // A line that ends with these two stars is one without a change.
    let text = output.stdout_text();
    if text.lines().all(|line| line.ends_with("*,*")) {
        return Ok(false);
    }
    programs::must(machine, &command(false)).map(|()| true)
}

/// The list as it is.
fn list(machine: &mut dyn Machine, args: &Args) -> Result<Vec<String>, Failure> {
    let program = programs::required(machine, "getfacl")?;
    let path = args.path.to_string_lossy().into_owned();
    let mut argv = vec![program.as_str(), "--omit-header", "--absolute-names"];
    if !args.follow {
        argv.push("--physical");
    }
    argv.push(&path);
    let command = Command::new(argv).c_locale();
    let output = programs::query(machine, &command)?;
    if output.code != 0 {
        return Err(programs::refused(&command, &output));
    }
    let text = output.stdout_text();
    let lines = text.lines().filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}
