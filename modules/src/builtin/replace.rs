//! `replace`: every match of a regular expression in a file, replaced.

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::text_file::TextFileArgs;
use crate::regex::{Flags, Regex};

/// Replaces all matches of a regular expression in a text file.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(flatten)]
    text: TextFileArgs,
    /// The regular expression; `^` and `$` fit at every line.
    regexp: String,
    /// What takes the place of a match; it may have groups. Without it matches go.
    #[arg(default = "")]
    replace: String,
    /// Only what comes after a match of this expression is changed.
    after: Option<String>,
    /// Only what comes before a match of this expression is changed.
    before: Option<String>,
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
    let path = args.text.path.display().to_string();
    if !args.text.exists(machine)? {
        return Err(Failure::new(format!("Path {path} does not exist !")).with("rc", 257));
    }
    let text = args.text.read(machine)?;
    let Some((from, to)) = section(&text, args.after.as_deref(), args.before.as_deref())? else {
        let pattern = bounds(args.after.as_deref(), args.before.as_deref()).unwrap_or_default();
        let msg =
            format!("Pattern for before/after params did not match the given file: {pattern}");
        return Ok(Outcome::unchanged().with("msg", msg).with("rc", 0));
    };
    let (middle, count) = substituted(&text[from..to], &args.regexp, &args.replace)?;
    let after = format!("{}{middle}{}", &text[..from], &text[to..]);
    let changed = count > 0 && after != text;
    let msg = if changed {
        format!("{count} replacements made")
    } else {
        String::new()
    };
    let mut edited = args.text.finish(machine, Some(text), after, &msg)?;
    // As Ansible has it: the difference of the content alone, under the bare path.
    edited.outcome.diff.truncate(usize::from(changed));
    for diff in &mut edited.outcome.diff {
        diff.before_header = Some(path.clone());
        diff.after_header = Some(path.clone());
    }
    let outcome = edited.outcome.with("rc", 0);
    Ok(match edited.backup {
        Some(name) => outcome.with("backup_file", name),
        None => outcome,
    })
}

/// The part of the text that may be changed, as byte positions.
fn section(
    text: &str,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<Option<(usize, usize)>, Failure> {
    let Some(pattern) = bounds(after, before) else {
        return Ok(Some((0, text.len())));
    };
    let regex = Regex::new(
        &pattern,
        Flags {
            dot_all: true,
            ..Flags::default()
        },
    )?;
    let captures = regex
        .captures(text)
        .map_err(|error| Failure::new(error.to_string()))?;
    Ok(captures.and_then(|captures| {
        captures
            .range(captures.number("subsection")?)
            .map(|found| (found.start, found.end))
    }))
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
    let regex = Regex::new(
        pattern,
        Flags {
            multi_line: true,
            ..Flags::default()
        },
    )?;
    Ok(regex.replace(text, template, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements() {
        assert_eq!(
            section("x[a]y", Some("\\["), Some("\\]")).unwrap(),
            Some((2, 3))
        );
        assert_eq!(section("x", Some("q"), None).unwrap(), None);
    }
}
