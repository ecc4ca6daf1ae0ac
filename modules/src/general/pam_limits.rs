//! `pam_limits`: a limit of users in `limits.conf`.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::attrs::{backup, os_error_text, real_path};
use rplay_modules::machine::{Access, Attrs, Content, FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, DiffSide, Failure, Outcome};

/// Sets limits of users, as PAM reads them.
#[derive(ModuleArgs)]
struct Args {
    /// A user, `@` and a group, `*`, or a range of numbers.
    domain: String,
    /// The type of limit.
    #[arg(choices = "soft, hard, -")]
    limit_type: String,
    /// What is limited.
    #[arg(
        choices = "core, data, fsize, memlock, nofile, rss, stack, cpu, nproc, as, maxlogins, maxsyslogins, priority, locks, sigpending, msgqueue, nice, rtprio, chroot"
    )]
    limit_item: String,
    /// A number, or `unlimited`, `infinity` or `-1` for none.
    value: String,
    /// Of the value and the one that is there, the larger counts.
    #[arg(default = "false")]
    use_max: bool,
    /// Of the value and the one that is there, the smaller counts.
    #[arg(default = "false")]
    use_min: bool,
    /// The file.
    #[arg(default = "/etc/security/limits.conf")]
    dest: String,
    /// What stands behind the limit as a comment.
    #[arg(default = "")]
    comment: String,
    /// Keep a copy of the file as it was.
    #[arg(default = "false")]
    backup: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The line of the limit.
    msg: String,
    /// The copy of the file as it was.
    backup_file: String,
}

module! { "community.general.pam_limits", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let path = PathBuf::from(&args.dest);
    writable(machine, &path)?;
    if args.use_max && args.use_min {
        return Err(Failure::new(
            "Cannot use use_min and use_max at the same time.",
        ));
    }
    check(&args)?;
    let target = real_path(machine, &path);
    let before = match machine.stat(&target, true) {
        Ok(Some(_)) => machine.read(&target).map_err(|error| {
            Failure::new(format!(
                "cannot read {}: {}",
                args.dest,
                os_error_text(&error)
            ))
        })?,
        _ => Vec::new(),
    };
    let before = String::from_utf8_lossy(&before).into_owned();
    let (after, line) = edited(&before, &args);
    let changed = after != before;
    let mut saved = None;
    if changed {
        if args.backup {
            saved = backup(machine, &target)?;
        }
        let written = machine.write(&target, Content::Bytes(after.as_bytes()), &Attrs::default());
        written
            .map_err(|error| format!("cannot write {}: {}", args.dest, os_error_text(&error)))?;
    }
    let outcome = Outcome::new(changed)
        .with_diff(Diff {
            before: DiffSide::Text(before),
            after: DiffSide::Text(after),
            ..Diff::default()
        })
        .with("msg", line);
    Ok(match saved {
        Some(saved) => outcome.with("backup_file", saved),
        None => outcome,
    })
}

fn writable(machine: &mut dyn Machine, path: &Path) -> Result<(), Failure> {
    let advice = "is not writable (check presence, access rights, use sudo)";
    match machine.stat(path, true) {
        Ok(Some(stat)) if stat.kind == FileKind::File => {
            match machine.access(path, Access::Write) {
                true => Ok(()),
                false => Err(Failure::new(format!("{} {advice}", path.display()))),
            }
        }
        Ok(Some(_)) => Err(Failure::new(format!(
            "{} is not visible (check presence, access rights, use sudo)",
            path.display()
        ))),
        _ => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            match machine.access(folder, Access::Write) {
                true => Ok(()),
                false => Err(Failure::new(format!(
                    "directory {} {advice}",
                    folder.display()
                ))),
            }
        }
    }
}

fn is_unlimited(value: &str) -> bool {
    matches!(value, "unlimited" | "infinity" | "-1")
}

fn check(args: &Args) -> Result<(), Failure> {
    let (value, item) = (&args.value, &args.limit_item);
    let number: Option<i64> = value.parse().ok();
    let refer = "Refer to the limits.conf(5) manual pages for more details.";
    if matches!(item.as_str(), "nice" | "priority") {
        return match number {
            Some(-20..=19) => Ok(()),
            _ => Err(Failure::new(format!(
                " Value of '{value}' for item '{item}' is invalid. Value must be a number in the range -20 to 19 inclusive. {refer}"
            ))),
        };
    }
    match number {
        _ if is_unlimited(value) => Ok(()),
        Some(0..) => Ok(()),
        _ => Err(Failure::new(format!(
            " Value of '{value}' for item '{item}' is invalid. Value must either be 'unlimited', 'infinity' or -1, all of which indicate no limit, or a limit of 0 or larger. {refer}"
        ))),
    }
}

/// The value that counts, where the file has one.
fn chosen(args: &Args, old: &str) -> String {
    let larger = |left: &str, right: &str| match (is_unlimited(left), is_unlimited(right)) {
        (true, _) => true,
        (false, true) => false,
        _ => left.parse::<i64>().unwrap_or(0) >= right.parse::<i64>().unwrap_or(0),
    };
    // Below nothing is worth more, so these are numbers like others.
    let keeps = if args.use_max {
        larger(old, &args.value)
    } else {
        args.use_min && larger(&args.value, old)
    };
    if keeps { old } else { &args.value }.to_owned()
}

/// The text with the limit, and the line of it.
fn edited(text: &str, args: &Args) -> (String, String) {
    let line = |value: &str, comment: &str| {
        let comment = match comment {
            "" => String::new(),
            comment => format!("\t#{comment}"),
        };
        let Args {
            domain,
            limit_type,
            limit_item,
            ..
        } = args;
        format!("{domain}\t{limit_type}\t{limit_item}\t{value}{comment}\n")
    };
    let (mut out, mut found) = (String::new(), None);
    for old in text.split_inclusive('\n') {
        let bare = old.split('#').next().unwrap_or_default();
        let fields: Vec<&str> = bare.split_whitespace().collect();
        let is_ours = matches!(fields.as_slice(), [domain, kind, item, _]
            if *domain == args.domain && *kind == args.limit_type && *item == args.limit_item);
        if !is_ours {
            out.push_str(old);
            continue;
        }
        if found.is_some() {
            // The last one counts for PAM; one line is enough.
            continue;
        }
        let value = chosen(args, fields[3]);
        let old_comment = old
            .split_once('#')
            .map_or("", |(_, comment)| comment.trim_end());
        let comment = match args.comment.as_str() {
            "" => old_comment,
            comment => comment,
        };
        let new = line(&value, comment);
        // Another comment alone is no change.
        let same = value == fields[3];
        found = Some(new.clone());
        out.push_str(if same { old } else { &new });
    }
    match found {
        Some(line) => (out, line),
        None => {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            let new = line(&args.value, &args.comment);
            (out + &new, new)
        }
    }
}
