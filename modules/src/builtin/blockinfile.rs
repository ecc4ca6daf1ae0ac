//! `blockinfile`: a block of lines between two marker lines of a text file.

use rplay_modules::args::state::State;
use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::Machine;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::text_file::{TextFileArgs, pick};
use crate::args::Rules;
use crate::regex::{Flags, Regex};

/// Puts a block of lines between two marker lines into a text file, keeps it up to date, or removes it.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(flatten)]
    text: TextFileArgs,
    /// Whether the block is there or gone.
    #[arg(default = "present")]
    state: State,
    /// The marker lines; `{mark}` becomes `marker_begin` and `marker_end`.
    #[arg(default = "# {mark} ANSIBLE MANAGED BLOCK")]
    marker: String,
    /// The lines; an empty text removes the block.
    #[arg(alias = "content", default = "")]
    block: String,
    /// Where a new block goes: after the last line that fits, or `EOF`.
    insertafter: Option<String>,
    /// Where a new block goes: before the last line that fits, or `BOF`.
    insertbefore: Option<String>,
    /// Make the file when it is not there.
    #[arg(default = "false")]
    create: bool,
    /// What `{mark}` is in the first marker line.
    #[arg(default = "BEGIN")]
    marker_begin: String,
    /// What `{mark}` is in the last marker line.
    #[arg(default = "END")]
    marker_end: String,
    /// Put an empty line before the block.
    #[arg(default = "false")]
    prepend_newline: bool,
    /// Put an empty line after the block.
    #[arg(default = "false")]
    append_newline: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The copy of the file as it was.
    backup_file: String,
}

module! {
    "ansible.builtin.blockinfile", args: Args, returns: Values, run: run,
    rules: Rules { mutually_exclusive: &[&["insertbefore", "insertafter"]], ..Rules::NONE }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let exists = args.text.exists(machine)?;
    if !exists && !args.create {
        let msg = format!("Path {} does not exist !", args.text.path.display());
        return Err(Failure::new(msg).with("rc", 257));
    }
    let before = exists.then(|| args.text.read(machine)).transpose()?;
    let wanted = args.state == State::Present && !args.block.is_empty();
    let old = before.as_deref().unwrap_or_default();
    let after = edited(old, &args, wanted)?;
    let changed = old != after || (!exists && wanted);
    let msg = match (changed, exists, wanted) {
        (false, ..) => "",
        (true, false, _) => "File created",
        (true, true, true) => "Block inserted",
        (true, true, false) => "Block removed",
    };
    let edited = args.text.finish(machine, before, after, msg)?;
    Ok(match edited.backup {
        Some(name) => edited.outcome.with("backup_file", name),
        None => edited.outcome,
    })
}

/// The text with the block as it should be.
fn edited(text: &str, args: &Args, wanted: bool) -> Result<String, Failure> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let begin = format!("{}\n", args.marker.replace("{mark}", &args.marker_begin));
    let end = format!("{}\n", args.marker.replace("{mark}", &args.marker_end));
    let at = |mark: &str| {
        lines
            .iter()
            .rposition(|line| line.trim_end_matches(['\r', '\n']) == mark.trim_end())
    };
    let place = match (at(&begin), at(&end)) {
        (Some(from), Some(to)) => {
            let (from, to) = (from.min(to), from.max(to));
            lines.drain(from..=to);
            from
        }
        _ if !wanted => return Ok(text.to_owned()),
        _ => position(&lines, args)?,
    };
    if wanted {
        if let Some(last) = place.checked_sub(1).and_then(|index| lines.get_mut(index))
            && !last.ends_with('\n')
        {
            last.push('\n');
        }
        let blank = |line: Option<&String>| line.is_some_and(|line| line.trim().is_empty());
        let mut block = Vec::new();
        if args.prepend_newline && place > 0 && !blank(lines.get(place - 1)) {
            block.push("\n".to_owned());
        }
        block.push(begin);
        block.extend(
            args.block
                .trim_end_matches('\n')
                .split('\n')
                .map(|line| format!("{line}\n")),
        );
        block.push(end);
        if args.append_newline && place < lines.len() && !blank(lines.get(place)) {
            block.push("\n".to_owned());
        }
        lines.splice(place..place, block);
    }
    Ok(lines.concat())
}

/// Where a new block goes.
fn position(lines: &[String], args: &Args) -> Result<usize, Failure> {
    let (pattern, after) = match (args.insertafter.as_deref(), args.insertbefore.as_deref()) {
        (_, Some("BOF")) => return Ok(0),
        (None | Some("EOF"), None) => return Ok(lines.len()),
        (Some(pattern), _) => (pattern, true),
        (None, Some(pattern)) => (pattern, false),
    };
    let regex = Regex::new(pattern, Flags::default())?;
    let found = pick(lines, &regex, false)?;
    Ok(found.map_or(lines.len(), |at| if after { at + 1 } else { at }))
}
