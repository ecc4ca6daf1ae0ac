//! What the modules that edit a text file share: its arguments, reading it, and putting it back.

use std::path::PathBuf;

use rplay_modules::args::ModuleArgs;
use rplay_modules::machine::attrs::{
    FileArgs, Sides, backup, make_dirs, os_error, os_error_text, real_path, write_text,
};
use rplay_modules::machine::{Attrs, FileKind, Machine};
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::regex::Regex;

/// The file that is edited, and how it is put back.
#[derive(ModuleArgs)]
pub(crate) struct TextFileArgs {
    /// The file.
    #[arg(alias = "dest", alias = "destfile", alias = "name")]
    pub(crate) path: PathBuf,
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

/// The first or last line in which an expression is found; a line's end is not part of it.
pub(crate) fn pick(lines: &[String], regex: &Regex, first: bool) -> Result<Option<usize>, Failure> {
    for step in 0..lines.len() {
        let at = if first { step } else { lines.len() - 1 - step };
        if regex.found(bare(&lines[at]))? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// A line without the end that `$` stands before.
pub(crate) fn bare(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// What became of the file.
pub(crate) struct Edited {
    /// The result so far: `changed`, `msg` and the differences.
    pub(crate) outcome: Outcome,
    /// The copy of the file as it was.
    pub(crate) backup: Option<String>,
}

impl TextFileArgs {
    /// Whether the file is there; a directory is an error.
    pub(crate) fn exists(&self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        let known = ["utf-8", "utf8", "ascii", "us-ascii"];
        if !known.contains(&self.encoding.to_lowercase().as_str()) {
            let encoding = &self.encoding;
            let msg = format!("the encoding `{encoding}` is not supported, only utf-8 is");
            return Err(msg.into());
        }
        let stat = machine
            .stat(&self.path, true)
            .map_err(|error| os_error(&error, &self.path))?;
        if stat
            .as_ref()
            .is_some_and(|stat| stat.kind == FileKind::Directory)
        {
            let msg = format!("Path {} is a directory !", self.path.display());
            return Err(Failure::new(msg).with("rc", 256));
        }
        Ok(stat.is_some())
    }

    /// The text of the file.
    pub(crate) fn read(&self, machine: &mut dyn Machine) -> Result<String, Failure> {
        let path = self.path.display();
        let bytes = machine.read(&self.path).map_err(|error| {
            let error = os_error_text(&error);
            format!("Unable to read the contents of {path}: {error}")
        })?;
        String::from_utf8(bytes)
            .map_err(|_| format!("Failed to process {path}: it is not utf-8 text").into())
    }

    /// Puts the new text in place when `msg` says that something changed, then the attributes, and
    /// reports both. `before` is the old text, if there was a file.
    pub(crate) fn finish(
        &self,
        machine: &mut dyn Machine,
        before: Option<String>,
        after: String,
        msg: &str,
    ) -> Result<Edited, Failure> {
        let path = self.path.display();
        let (mut outcome, mut saved) = (Outcome::new(!msg.is_empty()), None);
        if outcome.changed {
            if before.is_none()
                && let Some(folder) = self.path.parent()
            {
                make_dirs(machine, folder)?;
            }
            if self.backup {
                saved = backup(machine, &self.path)?;
            }
            let attrs = Attrs {
                in_place: self.file.unsafe_writes,
                ..Attrs::default()
            };
            let command = self.validate.as_deref();
            write_text(machine, &self.path, after.as_bytes(), &attrs, command)?;
            let header = format!("{path} (content)");
            let before = before.unwrap_or_default();
            if before != after {
                outcome = outcome.with_diff(Diff::text(before, after, &header, &header));
            }
        }
        let mut msg = msg.to_owned();
        let mut sides = Sides::default();
        // The attributes are those of the file that is edited, not of a link to it.
        let target = real_path(machine, &self.path);
        if self.file.ensure(machine, &target, &mut sides)? {
            msg.push_str(if outcome.changed { " and " } else { "" });
            msg.push_str("ownership, perms or SE linux context changed");
            outcome.changed = true;
            let header = Some(format!("{path} (file attributes)"));
            outcome = outcome.with_diff(Diff {
                before_header: header.clone(),
                after_header: header,
                ..sides.diff()
            });
        }
        Ok(Edited {
            outcome: outcome.with("msg", msg),
            backup: saved,
        })
    }
}
