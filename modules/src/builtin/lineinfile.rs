//! `lineinfile`: one line of a text file is there, replaced, or gone.

use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::text_file::{TextFileArgs, bare, pick};
use crate::args::Rules;
use crate::regex::{Flags, Regex};

/// Makes sure that a line is in a text file, replaces a line by a regular expression, or removes lines.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(flatten)]
    text: TextFileArgs,
    /// The regular expression that finds the line, or the lines to remove.
    #[arg(alias = "regex")]
    regexp: Option<String>,
    /// The text that finds the line, or the lines to remove.
    search_string: Option<String>,
    /// Whether the line is there or gone.
    #[arg(default = "present")]
    state: State,
    /// The line. With `backrefs` it may have groups of `regexp`.
    #[arg(alias = "value")]
    line: Option<String>,
    /// Fill groups of `regexp` into `line`; change nothing when it is not found.
    #[arg(default = "false")]
    backrefs: bool,
    /// Where a new line goes: after the last line that fits, or `EOF`.
    insertafter: Option<String>,
    /// Where a new line goes: before the last line that fits, or `BOF`.
    insertbefore: Option<String>,
    /// Make the file when it is not there.
    #[arg(default = "false")]
    create: bool,
    /// Take the first line that fits, not the last.
    #[arg(default = "false")]
    firstmatch: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file with the content as it was; empty without one.
    backup: String,
    /// How many lines were removed.
    found: u32,
}

module! {
    "ansible.builtin.lineinfile", args: Args, returns: Values, run: run,
    rules: Rules {
        mutually_exclusive: &[&["insertbefore", "insertafter"], &["regexp", "search_string"], &["backrefs", "search_string"]],
        ..Rules::NONE
    }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let exists = args.text.exists(machine)?;
    let mut warnings = Vec::new();
    if args.regexp.as_deref() == Some("") {
        warnings.push(EMPTY_PATTERN.to_owned());
    }
    if args.search_string.as_deref() == Some("") {
        warnings.push(EMPTY_PATTERN.replace("regular expression", "search string"));
    }
    let mut outcome = match args.state {
        State::Present => present(machine, &args, exists),
        State::Absent => absent(machine, &args, exists),
    }?;
    outcome.warnings = warnings;
    Ok(outcome)
}

const EMPTY_PATTERN: &str = "The regular expression is an empty string, which will match every line in the file. This may have unintended \
     consequences, such as replacing the last line in the file rather than appending. If this is desired, use '^' to match every line \
     in the file and avoid this warning.";

fn present(machine: &mut dyn Machine, args: &Args, exists: bool) -> Result<Outcome, Failure> {
    if args.backrefs && args.regexp.is_none() {
        return Err(Failure::new("regexp is required with backrefs=true"));
    }
    let Some(line) = &args.line else {
        return Err(Failure::new("line is required with state=present"));
    };
    if !exists && !args.create {
        return Err(Failure::new(format!(
            "Destination {} does not exist !",
            args.text.path.display()
        ))
        .with("rc", 257));
    }
    let before = exists.then(|| args.text.read(machine)).transpose()?;
    let (lines, msg) = placed(lines(before.as_deref().unwrap_or_default()), line, args)?;
    let edited = args.text.finish(machine, before, lines.concat(), &msg)?;
    Ok(edited
        .outcome
        .with("backup", edited.backup.unwrap_or_default()))
}

fn absent(machine: &mut dyn Machine, args: &Args, exists: bool) -> Result<Outcome, Failure> {
    if args.regexp.is_none() && args.search_string.is_none() && args.line.is_none() {
        return Err(Failure::new(
            "one of line, search_string, or regexp is required with state=absent",
        ));
    }
    if !exists {
        return Ok(Outcome::unchanged().with("msg", "file not present"));
    }
    let before = args.text.read(machine)?;
    let regex = args
        .regexp
        .as_deref()
        .map(|pattern| Regex::new(pattern, Flags::default()))
        .transpose()?;
    let goes = |line: &str| match (&regex, &args.search_string, &args.line) {
        (Some(regex), ..) => regex.found(bare(line)),
        (None, Some(text), _) => Ok(line.contains(text.as_str())),
        (None, None, Some(text)) => Ok(line.trim_end_matches(['\r', '\n']) == text.as_str()),
        (None, None, None) => Ok(false),
    };
    let (mut kept, mut found) = (String::with_capacity(before.len()), 0_i64);
    for line in before.split_inclusive('\n') {
        match goes(line)? {
            true => found += 1,
            false => kept.push_str(line),
        }
    }
    let msg = if found > 0 {
        format!("{found} line(s) removed")
    } else {
        String::new()
    };
    let edited = args.text.finish(machine, Some(before), kept, &msg)?;
    let outcome = edited
        .outcome
        .with("backup", edited.backup.unwrap_or_default());
    Ok(outcome.with("found", found))
}

/// Lines with their ends.
fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// The lines with the wanted one in its place, and what was done (nothing: empty).
fn placed(
    mut lines: Vec<String>,
    line: &str,
    args: &Args,
) -> Result<(Vec<String>, String), Failure> {
    let regex = args
        .regexp
        .as_deref()
        .map(|pattern| Regex::new(pattern, Flags::default()))
        .transpose()?;
    let matched = match (&regex, &args.search_string) {
        (Some(regex), _) => pick(&lines, regex, args.firstmatch)?,
        (None, Some(text)) => {
            let fits = |one: &String| one.contains(text.as_str());
            match args.firstmatch {
                true => lines.iter().position(fits),
                false => lines.iter().rposition(fits),
            }
        }
        (None, None) => None,
    };
    let exact = || {
        lines
            .iter()
            .rposition(|one| one.trim_end_matches(['\r', '\n']) == line)
    };
    if let Some(at) = matched.or_else(exact) {
        let new = match (&regex, args.backrefs && matched.is_some()) {
            (Some(regex), true) => filled(regex, bare(&lines[at]), line)?,
            _ => line.to_owned(),
        };
        let new = if new.ends_with('\n') {
            new
        } else {
            format!("{new}\n")
        };
        if lines[at] == new {
            return Ok((lines, String::new()));
        }
        // Only the missing end of the last line: the line itself is there.
        if matched.is_none() {
            return Ok((lines, String::new()));
        }
        lines[at] = new;
        return Ok((lines, "line replaced".to_owned()));
    }
    if args.backrefs {
        return Ok((lines, String::new()));
    }
    let at = position(&lines, args)?;
    if at == lines.len()
        && let Some(last) = lines.last_mut()
        && !last.ends_with('\n')
    {
        last.push('\n');
    }
    lines.insert(at, format!("{line}\n"));
    Ok((lines, "line added".to_owned()))
}

fn filled(regex: &Regex, old: &str, template: &str) -> Result<String, Failure> {
    match regex.captures(old) {
        Ok(Some(captures)) => Ok(captures.expand(template)?),
        _ => Ok(template.to_owned()),
    }
}

/// Where a new line goes.
fn position(lines: &[String], args: &Args) -> Result<usize, Failure> {
    let (pattern, after) = match (args.insertafter.as_deref(), args.insertbefore.as_deref()) {
        (Some("BOF"), _) | (_, Some("BOF")) => return Ok(0),
        (Some("EOF"), _) | (None, None) => return Ok(lines.len()),
        (Some(pattern), _) => (pattern, true),
        (None, Some(pattern)) => (pattern, false),
    };
    let regex = Regex::new(pattern, Flags::default())?;
    let at = pick(lines, &regex, args.firstmatch)?;
    Ok(at.map_or(lines.len(), |at| if after { at + 1 } else { at }))
}
