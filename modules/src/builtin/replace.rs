//! `replace`: every match of a regular expression in a file, replaced.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::{FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::permissions::{self, FileArgs};
use crate::regex::{Flags, Regex};

/// Replaces all matches of a regular expression in a text file.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(alias = "dest", alias = "destfile", alias = "name")]
    path: PathBuf,
    /// The regular expression; `^` and `$` fit at every line.
    regexp: String,
    /// What takes the place of a match; it may have groups. Without it matches go.
    #[arg(default = "")]
    replace: String,
    /// Only what comes after a match of this expression is changed.
    after: Option<String>,
    /// Only what comes before a match of this expression is changed.
    before: Option<String>,
    /// Keep a copy of the file as it was.
    #[arg(default = "false")]
    backup: bool,
    /// A program that looks at the new content before it is put in place; `%s` is its file.
    validate: Option<String>,
    /// The encoding of the file.
    #[arg(default = "utf-8")]
    encoding: String,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The copy of the file as it was.
    backup_file: String,
}

module! { "ansible.builtin.replace", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if !matches!(args.encoding.to_lowercase().as_str(), "utf-8" | "utf8" | "ascii" | "us-ascii") {
        return Err(Failure::new(format!("the encoding `{}` is not supported, only utf-8 is", args.encoding)));
    }
    let path = args.path.display().to_string();
    match machine.stat(&args.path, true).map_err(|error| Failure::new(error.to_string()))? {
        None => return Err(Failure::new(format!("Path {path} does not exist !")).with("rc", 257)),
        Some(stat) if stat.kind == FileKind::Directory => {
            return Err(Failure::new(format!("Path {path} is a directory !")).with("rc", 256));
        }
        Some(_) => {}
    }
    let bytes = machine.read(&args.path).map_err(|error| Failure::new(format!("Unable to read the contents of {path}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::new(format!("Failed to process {path}: it is not utf-8 text")))?;
    let Some((from, to)) = section(&text, args.after.as_deref(), args.before.as_deref())? else {
        let pattern = bounds(args.after.as_deref(), args.before.as_deref()).unwrap_or_default();
        let msg = format!("Pattern for before/after params did not match the given file: {pattern}");
        return Ok(Outcome::unchanged().with("msg", msg).with("rc", 0));
    };
    let (middle, count) = substituted(&text[from..to], &args.regexp, &args.replace)?;
    let after = format!("{}{middle}{}", &text[..from], &text[to..]);
    let mut changed = count > 0 && after != text;
    let mut msg = if changed { format!("{count} replacements made") } else { String::new() };
    let mut outcome = Outcome::unchanged().with("rc", 0);
    if changed {
        if args.backup && let Some(backup) = permissions::backup(machine, &args.path)? {
            outcome = outcome.with("backup_file", backup);
        }
        permissions::write(machine, &args.path, after.as_bytes(), &args.file.attrs(), args.validate.as_deref())?;
        outcome = outcome.with_diff(Diff::text(text, after, &path, &path));
    }
    if permissions::apply(machine, &args.path, &args.file)?.any() {
        msg.push_str(if changed { " and " } else { "" });
        msg.push_str("ownership, perms or SE linux context changed");
        changed = true;
    }
    outcome.changed = changed;
    Ok(outcome.with("msg", msg))
}

/// The part of the text that may be changed, as byte positions.
fn section(text: &str, after: Option<&str>, before: Option<&str>) -> Result<Option<(usize, usize)>, Failure> {
    let Some(pattern) = bounds(after, before) else { return Ok(Some((0, text.len()))) };
    let regex = Regex::new(&pattern, Flags { dot_all: true, ..Flags::default() })?;
    let captures = regex.captures(text).map_err(|error| Failure::new(error.to_string()))?;
    Ok(captures.and_then(|captures| captures.range(captures.number("subsection")?).map(|found| (found.start, found.end))))
}

/// The expression of the part between two others.
fn bounds(after: Option<&str>, before: Option<&str>) -> Option<String> {
    match (after, before) {
        (None, None) => None,
        (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
        (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
        (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
    }
}

fn substituted(text: &str, pattern: &str, template: &str) -> Result<(String, usize), Failure> {
    let regex = Regex::new(pattern, Flags { multi_line: true, ..Flags::default() })?;
    Ok(regex.replace(text, template, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements() {
        assert_eq!(section("x[a]y", Some("\\["), Some("\\]")).unwrap(), Some((2, 3)));
        assert_eq!(section("x", Some("q"), None).unwrap(), None);
    }
}
