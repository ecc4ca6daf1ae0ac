//! `find`: files by name, age, size, mode and content.

use std::path::{Path, PathBuf};

use rplay_modules::args::{ArgEnum, Mode, ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{seconds, stat_facts};
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::machine::{FileKind, Machine, Stat};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::map;
use crate::regex::{Flags, Regex, TooLong};

/// Lists files that fit all given conditions.
#[derive(ModuleArgs)]
struct Args {
    /// The folders to search in.
    #[arg(alias = "name", alias = "path", kind = "list of path")]
    paths: Vec<PathBuf>,
    /// Patterns of file names; without one every name fits.
    #[arg(alias = "pattern", default = "[]")]
    patterns: Vec<String>,
    /// Patterns of file names that are left out.
    #[arg(alias = "exclude")]
    excludes: Option<Vec<String>>,
    /// A regular expression that a line of the file begins with.
    contains: Option<String>,
    /// Look for `contains` anywhere in the whole file.
    #[arg(default = "false")]
    read_whole_file: bool,
    /// The encoding of files for `contains`.
    encoding: Option<String>,
    /// The kind of file.
    #[arg(default = "file")]
    file_type: FileType,
    /// Descend into folders.
    #[arg(default = "false")]
    recurse: bool,
    /// How many levels to descend.
    depth: Option<i64>,
    /// At least this old (`2d`); with a minus sign at most.
    age: Option<String>,
    /// Which time `age` means.
    #[arg(default = "mtime")]
    age_stamp: Stamp,
    /// At least this large (`10m`); with a minus sign at most.
    size: Option<String>,
    /// Permissions.
    mode: Option<Mode>,
    /// The permissions are exactly `mode`, not at least.
    #[arg(default = "true")]
    exact_mode: bool,
    /// Also names that begin with a dot.
    #[arg(default = "false")]
    hidden: bool,
    /// Descend through symbolic links.
    #[arg(default = "false")]
    follow: bool,
    /// Return a checksum of each file.
    #[arg(default = "false")]
    get_checksum: bool,
    /// The algorithm of the checksum.
    #[arg(alias = "checksum", alias = "checksum_algo", default = "sha1")]
    checksum_algorithm: Algorithm,
    /// Patterns are regular expressions.
    #[arg(default = "false")]
    use_regex: bool,
    /// Stop after this many.
    limit: Option<usize>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum FileType {
    Any,
    Directory,
    File,
    Link,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    Atime,
    Ctime,
    Mtime,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The files, each with what `stat` says.
    files: Vec<Map>,
    /// How many fit.
    matched: u32,
    /// How many were looked at.
    examined: u32,
    /// Folders that could not be searched, each with the reason.
    skipped_paths: Map,
}

module! { "ansible.builtin.find", args: Args, returns: Values, run: run }

/// The conditions in the form in which they are tested.
struct Search {
    args: Args,
    age: Option<f64>,
    size: Option<i128>,
    names: Option<Names>,
    excludes: Option<Names>,
    contains: Option<Regex>,
    now: f64,
    files: Vec<Data>,
    examined: i64,
}

enum Names {
    Globs(Vec<String>),
    Expressions(Vec<Regex>),
}

impl Names {
    fn new(patterns: &[String], regex: bool) -> Result<Self, Failure> {
        if !regex {
            return Ok(Names::Globs(patterns.to_vec()));
        }
        let compile = |pattern: &String| Regex::new(pattern, Flags::default());
        Ok(Names::Expressions(
            patterns.iter().map(compile).collect::<Result<_, _>>()?,
        ))
    }

    fn fit(&self, name: &str) -> Result<bool, TooLong> {
        match self {
            Names::Globs(globs) => Ok(globs.iter().any(|glob| crate::text::fits(glob, name))),
            Names::Expressions(all) => any(all, |regex| regex.fits_start(name)),
        }
    }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let age = match &args.age {
        Some(text) => Some(
            age(text)
                .ok_or_else(|| Failure::new("failed to process age").with("age", text.clone()))?,
        ),
        None => None,
    };
    let size = match &args.size {
        Some(text) => Some(
            size(text)
                .ok_or_else(|| Failure::new("failed to process size").with("size", text.clone()))?,
        ),
        None => None,
    };
    if let Some(encoding) = args
        .encoding
        .as_deref()
        .filter(|name| !matches!(name.to_lowercase().as_str(), "utf-8" | "utf8"))
    {
        return Err(Failure::new(format!(
            "the encoding `{encoding}` is not supported, only utf-8 is"
        )));
    }
    let names = if args.patterns.is_empty() {
        None
    } else {
        Some(Names::new(&args.patterns, args.use_regex)?)
    };
    let excludes = args
        .excludes
        .as_ref()
        .map(|patterns| Names::new(patterns, args.use_regex))
        .transpose()?;
    let contains = args
        .contains
        .as_ref()
        .map(|pattern| Regex::new(pattern, Flags::default()))
        .transpose()?;
    let now = machine.now();
    let mut search = Search {
        age,
        size,
        names,
        excludes,
        contains,
        now,
        files: Vec::new(),
        examined: 0,
        args,
    };
    let (mut skipped, mut warnings) = (Map::new(), Vec::new());
    for path in search.args.paths.clone() {
        if let Err(why) = search.begin(machine, &path) {
            let path = path.display().to_string();
            warnings.push(
                format!("Skipped '{path}' path due to this access issue: {why}\n")
                    .trim_end()
                    .to_owned(),
            );
            skipped.insert(path, Data::Str(why));
        }
    }
    let msg = if skipped.is_empty() {
        "All paths examined"
    } else {
        "Not all paths examined, check warnings for details"
    };
    let matched = i64::try_from(search.files.len()).unwrap_or(i64::MAX);
    let outcome = Outcome {
        warnings,
        ..Outcome::unchanged()
    };
    Ok(outcome
        .with("files", search.files)
        .with("msg", msg)
        .with("matched", matched)
        .with("examined", search.examined)
        .with("skipped_paths", skipped))
}

/// Whether a condition that may fail holds for one of them.
fn any<T>(
    all: impl IntoIterator<Item = T>,
    holds: impl Fn(T) -> Result<bool, TooLong>,
) -> Result<bool, TooLong> {
    for one in all {
        if holds(one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Search {
    fn begin(&mut self, machine: &mut dyn Machine, path: &Path) -> Result<(), String> {
        match machine.stat(path, true) {
            Ok(Some(stat)) if stat.kind == FileKind::Directory => {}
            Err(error) => return Err(error.to_string()),
            Ok(_) => return Err(format!("'{}' is not a directory", path.display())),
        }
        Ok(self.walk(machine, path, 1)?)
    }

    fn full(&self) -> bool {
        self.args
            .limit
            .is_some_and(|limit| self.files.len() >= limit)
    }

    /// One folder: its entries first, then the folders in it.
    fn walk(
        &mut self,
        machine: &mut dyn Machine,
        folder: &Path,
        level: i64,
    ) -> Result<(), TooLong> {
        let Ok(names) = machine.list(folder) else {
            return Ok(());
        };
        self.examined += i64::try_from(names.len()).unwrap_or(0);
        let mut deeper = Vec::new();
        for name in names {
            let path = folder.join(&name);
            let Ok(Some(stat)) = machine.stat(&path, false) else {
                continue;
            };
            let through = self.args.follow && stat.kind == FileKind::Link;
            let is_dir = stat.kind == FileKind::Directory
                || (through
                    && matches!(machine.stat(&path, true), Ok(Some(target)) if target.kind == FileKind::Directory));
            if is_dir {
                deeper.push(path.clone());
            }
            let name = name.to_string_lossy().into_owned();
            if name.starts_with('.') && !self.args.hidden {
                continue;
            }
            self.consider(machine, &path, &name, &stat)?;
            if self.full() {
                return Ok(());
            }
        }
        if !self.args.recurse
            || self
                .args
                .depth
                .is_some_and(|depth| depth > 0 && level >= depth)
        {
            return Ok(());
        }
        for path in deeper {
            self.walk(machine, &path, level + 1)?;
            if self.full() {
                break;
            }
        }
        Ok(())
    }

    fn consider(
        &mut self,
        machine: &mut dyn Machine,
        path: &Path,
        name: &str,
        stat: &Stat,
    ) -> Result<(), TooLong> {
        let kind = match self.args.file_type {
            FileType::Any => true,
            FileType::Directory => stat.kind == FileKind::Directory,
            FileType::File => stat.kind == FileKind::File,
            FileType::Link => stat.kind == FileKind::Link,
        };
        let fits = |names: &Option<Names>| names.as_ref().map(|names| names.fit(name)).transpose();
        let named = fits(&self.names)?.unwrap_or(true) && !fits(&self.excludes)?.unwrap_or(false);
        if !kind || !named || !self.old_enough(stat) || !self.permitted(machine, stat) {
            return Ok(());
        }
        let is_file = stat.kind == FileKind::File;
        if self.args.file_type == FileType::File
            && !(self.large_enough(stat) && self.contained(machine, path)?)
        {
            return Ok(());
        }
        if self.args.file_type == FileType::Any && is_file && !self.large_enough(stat) {
            return Ok(());
        }
        let mut entry = facts(machine, path, stat);
        if is_file && self.args.get_checksum {
            let sum = self.args.checksum_algorithm.of_file(machine, path).ok();
            entry.insert("checksum".to_owned(), Data::from(sum));
        }
        self.files.push(Data::Map(entry));
        Ok(())
    }

    fn old_enough(&self, stat: &Stat) -> bool {
        let time = match self.args.age_stamp {
            Stamp::Atime => stat.atime,
            Stamp::Ctime => stat.ctime,
            Stamp::Mtime => stat.mtime,
        };
        match self.age {
            None => true,
            Some(age) if age >= 0.0 => self.now - seconds(time) >= age,
            Some(age) => self.now - seconds(time) <= -age,
        }
    }

    fn large_enough(&self, stat: &Stat) -> bool {
        match self.size {
            None => true,
            Some(size) if size >= 0 => i128::from(stat.size) >= size,
            Some(size) => i128::from(stat.size) <= -size,
        }
    }

    fn permitted(&self, machine: &mut dyn Machine, stat: &Stat) -> bool {
        let Some(mode) = &self.args.mode else {
            return true;
        };
        let umask = machine.process().umask;
        let wanted = mode.apply(0, stat.kind == FileKind::Directory, umask);
        if self.args.exact_mode {
            stat.mode == wanted
        } else {
            stat.mode & wanted == wanted
        }
    }

    fn contained(&self, machine: &mut dyn Machine, path: &Path) -> Result<bool, TooLong> {
        let Some(regex) = &self.contains else {
            return Ok(true);
        };
        let Ok(bytes) = machine.read(path) else {
            return Ok(false);
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return Ok(false);
        };
        match self.args.read_whole_file {
            true => regex.found(&text),
            false => any(text.lines(), |line| regex.fits_start(line)),
        }
    }
}

fn facts(machine: &mut dyn Machine, path: &Path, stat: &Stat) -> Map {
    let group = machine.group_by_id(stat.gid).map(|group| group.name);
    let user = machine.user_by_id(stat.uid).map(|user| user.name);
    let mut facts = stat_facts(path, stat);
    facts.extend(map! {
        "gr_name" => group.unwrap_or_default(),
        "pw_name" => user.unwrap_or_default(),
    });
    facts
}

/// A number with a unit, `None` when it is none.
fn scaled(text: &str, units: &[(char, i128)]) -> Option<i128> {
    let text = text.trim().to_lowercase();
    let (digits, scale) = match text.chars().last()? {
        last if last.is_ascii_digit() => (text.as_str(), 1),
        last => (
            &text[..text.len() - last.len_utf8()],
            units.iter().find(|(unit, _)| *unit == last)?.1,
        ),
    };
    let number = digits.strip_prefix('-').unwrap_or(digits);
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
    digits.parse::<i128>().ok()?.checked_mul(scale)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ages are compared as floating-point numbers"
)]
fn age(text: &str) -> Option<f64> {
    scaled(
        text,
        &[
            ('s', 1),
            ('m', 60),
            ('h', 3600),
            ('d', 86400),
            ('w', 604_800),
        ],
    )
    .map(|seconds| seconds as f64)
}

fn size(text: &str) -> Option<i128> {
    scaled(
        text,
        &[
            ('b', 1),
            ('k', 1 << 10),
            ('m', 1 << 20),
            ('g', 1 << 30),
            ('t', 1 << 40),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes() {
        assert_eq!(age("-2d"), Some(-172_800.0));
        assert_eq!(size("10K"), Some(10240));
        assert_eq!((size("x"), size(""), size("1.5m")), (None, None, None));
    }
}
