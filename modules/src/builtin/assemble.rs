//! `assemble`: a file put together from the files of a folder.

use std::path::PathBuf;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{
    FileArgs, Sides, add_path_info, backup, os_error, os_error_text, write_text,
};
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::machine::{FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::regex::{Flags, Regex};

/// Puts the files of a folder together, in the order of their names.
#[derive(ModuleArgs)]
struct Args {
    /// The folder.
    src: PathBuf,
    /// The file to be.
    dest: PathBuf,
    /// What stands between the files.
    delimiter: Option<String>,
    /// Only files in whose name this regular expression is found.
    regexp: Option<String>,
    /// Leave out files whose name begins with a dot.
    #[arg(default = "false")]
    ignore_hidden: bool,
    /// The folder is on the target; otherwise on the controller.
    #[arg(default = "true")]
    remote_src: bool,
    /// Open vaulted files of the controller.
    #[arg(default = "true")]
    decrypt: bool,
    /// Keep a copy of the file as it was.
    #[arg(default = "false")]
    backup: bool,
    /// A program that looks at the new content before it is put in place; `%s` is its file.
    validate: Option<String>,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

/// What comes back, beside what is told of files.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file.
    dest: String,
    /// The folder.
    src: String,
    /// The SHA-1 sum of the file.
    checksum: String,
    /// The MD5 sum of the file.
    md5sum: String,
    /// The copy of the file as it was.
    backup_file: String,
}

module! { "ansible.builtin.assemble", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    // Where the files are decides who puts them together; here they are on the target.
    let _ = (args.remote_src, args.decrypt);
    let src = args.src.display();
    match machine.stat(&args.src, true) {
        Ok(Some(stat)) if stat.kind == FileKind::Directory => {}
        Ok(Some(_)) => return Err(Failure::new(format!("Source ({src}) is not a directory"))),
        _ => return Err(Failure::new(format!("Source ({src}) does not exist"))),
    }
    let choice = Choice::new(args.regexp.as_deref(), args.ignore_hidden)?;
    let mut joined = Joined::new(args.delimiter.as_deref());
    for name in machine
        .list(&args.src)
        .map_err(|error| os_error(&error, &args.src))?
    {
        let file = args.src.join(&name);
        let is_file =
            matches!(machine.stat(&file, true), Ok(Some(stat)) if stat.kind == FileKind::File);
        if is_file && choice.takes(&name.to_string_lossy())? {
            let piece = machine
                .read(&file)
                .map_err(|error| Failure::unexpected(os_error(&error, &file)))?;
            joined.add(&piece);
        }
    }
    place(machine, &args, &joined.bytes)
}

fn place(machine: &mut dyn Machine, args: &Args, bytes: &[u8]) -> Result<Outcome, Failure> {
    let sum = |algorithm: Algorithm, mut bytes: &[u8]| {
        algorithm
            .of(&mut bytes)
            .map_err(|error| Failure::new(os_error_text(&error)))
    };
    let old = machine.read(&args.dest).ok();
    let differs = old.as_deref() != Some(bytes);
    let mut saved = None;
    if differs {
        if args.backup {
            saved = backup(machine, &args.dest)?;
        }
        let attrs =
            args.file
                .for_write(machine, None)
                .map(|attrs| rplay_modules::machine::Attrs {
                    mode: None,
                    ..attrs
                })?;
        write_text(machine, &args.dest, bytes, &attrs, args.validate.as_deref())?;
    }
    let attributes = args
        .file
        .ensure(machine, &args.dest, &mut Sides::default())?;
    let mut outcome = Outcome::new(differs || attributes)
        .with("src", args.src.to_string_lossy().into_owned())
        .with("dest", args.dest.to_string_lossy().into_owned())
        .with("checksum", sum(Algorithm::Sha1, bytes)?)
        .with("md5sum", sum(Algorithm::Md5, bytes)?)
        .with("msg", "OK");
    add_path_info(machine, &args.dest, &mut outcome.results);
    match saved {
        Some(saved) => Ok(outcome.with("backup_file", Data::from(saved))),
        None => Ok(outcome),
    }
}

/// Which files are taken.
#[derive(Debug)]
pub struct Choice {
    regexp: Option<Regex>,
    ignore_hidden: bool,
}

impl Choice {
    /// By a regular expression, and whether hidden files count.
    ///
    /// # Errors
    /// The regular expression is none.
    pub fn new(regexp: Option<&str>, ignore_hidden: bool) -> Result<Self, Failure> {
        let compiled = regexp.map(|pattern| {
            Regex::new(pattern, Flags::default())
                .map_err(|error| Failure::new(format!("Invalid Regexp ({error}) in \"{pattern}\"")))
        });
        Ok(Self {
            regexp: compiled.transpose()?,
            ignore_hidden,
        })
    }

    /// Whether the file of this name is taken.
    ///
    /// # Errors
    /// The search takes too long.
    pub fn takes(&self, name: &str) -> Result<bool, Failure> {
        if self.ignore_hidden && name.starts_with('.') {
            return Ok(false);
        }
        match &self.regexp {
            Some(regexp) => Ok(regexp.found(name)?),
            None => Ok(true),
        }
    }
}

/// Files put together.
#[derive(Debug)]
pub struct Joined {
    /// The content so far.
    pub bytes: Vec<u8>,
    delimiter: Option<Vec<u8>>,
    first: bool,
}

impl Joined {
    /// Nothing yet; the delimiter may have escapes as in C.
    #[must_use]
    pub fn new(delimiter: Option<&str>) -> Self {
        Self {
            bytes: Vec::new(),
            delimiter: delimiter.filter(|text| !text.is_empty()).map(unescaped),
            first: true,
        }
    }

    /// Adds the next file, on a new line.
    pub fn add(&mut self, piece: &[u8]) {
        if !self.first {
            if self.bytes.last().is_some_and(|last| *last != b'\n') {
                self.bytes.push(b'\n');
            }
            if let Some(delimiter) = &self.delimiter {
                self.bytes.extend(delimiter);
                if delimiter.last() != Some(&b'\n') {
                    self.bytes.push(b'\n');
                }
            }
        }
        self.first = false;
        self.bytes.extend(piece);
    }
}

/// A text with the escapes of Python's byte strings.
fn unescaped(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let next = bytes.get(at + 1).filter(|_| *byte == b'\\');
        at += 1 + usize::from(next.is_some());
        let Some(next) = next else {
            out.push(*byte);
            continue;
        };
        let digits = |at: usize, count: usize, radix: u32| {
            let end = (at..bytes.len().min(at + count))
                .find(|at| !char::from(bytes[*at]).is_digit(radix))
                .unwrap_or(bytes.len().min(at + count));
            let number = text
                .get(at..end)
                .and_then(|digits| u8::from_str_radix(digits, radix).ok());
            number.map(|number| (number, end))
        };
        match next {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'\n' => {}
            b'\\' | b'\'' | b'"' => out.push(*next),
            b'x' => match digits(at, 2, 16) {
                Some((number, end)) => {
                    out.push(number);
                    at = end;
                }
                None => out.extend([b'\\', b'x']),
            },
            b'0'..=b'7' => {
                at -= 1;
                if let Some((number, end)) = digits(at, 3, 8) {
                    out.push(number);
                    at = end;
                }
            }
            other => out.extend([b'\\', *other]),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        let mut joined = Joined::new(Some("-\\t\\x41\\101"));
        for piece in ["one", "two\n", "three"] {
            joined.add(piece.as_bytes());
        }
        assert_eq!(joined.bytes, b"one\n-\tAA\ntwo\n-\tAA\nthree");
    }
}
