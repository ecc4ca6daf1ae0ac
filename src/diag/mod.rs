//! The one type for problems that a user reads: what is wrong, where, with which values, what to do.

mod hidden;
mod render;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use render::{Style, advice, excerpt, render};

/// A text that a user wrote: a file, a command-line argument, a variable's value.
pub struct Source {
    /// The path as the user gave it, or a description such as `<extra vars>`.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
    /// Whether it was encrypted: its lines are then never shown.
    pub secret: bool,
    /// How exactly a place in it is told.
    detail: Detail,
    /// Where its lines begin; most sources are never told about.
    line_starts: OnceLock<Vec<u32>>,
}

/// How exactly places in a source are known, and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Line and column.
    Column,
    /// The line.
    Line,
    /// Nothing but its name.
    Name,
}

impl Source {
    /// A source with its text.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self::with(path.into(), text.into(), false))
    }

    /// A text that no file holds, with what it is: `<CLI option '-a'>`.
    pub fn described(what: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            detail: Detail::Name,
            ..Self::with(what.into(), text.into(), false)
        })
    }

    /// A source whose text was encrypted.
    pub fn vaulted(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self::with(path.into(), text.into(), true))
    }

    /// The same source, in which places are told as lines.
    #[must_use]
    pub fn by_lines(&self) -> Arc<Self> {
        Arc::new(Self {
            detail: Detail::Line,
            ..Self::with(self.path.clone(), self.text.clone(), self.secret)
        })
    }

    /// A place of which only the name is known, and perhaps what stands there.
    #[must_use]
    pub fn named(path: impl Into<PathBuf>, text: impl Into<String>) -> Span {
        Span::start_of(&Self::described(path, text))
    }

    /// Whether its path only describes where the text comes from.
    #[must_use]
    pub fn is_described(&self) -> bool {
        self.detail == Detail::Name
    }

    fn with(path: PathBuf, text: String, secret: bool) -> Self {
        Self {
            path,
            text,
            secret,
            detail: Detail::Column,
            line_starts: OnceLock::new(),
        }
    }

    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let bytes = self.text.bytes().enumerate();
            let ends = bytes.filter(|(_, byte)| *byte == b'\n');
            let starts = ends.map(|(at, _)| at as u32 + 1);
            std::iter::once(0).chain(starts).collect()
        })
    }

    /// Line and column, both counted from 1, columns in characters.
    #[must_use]
    pub fn line_column(&self, offset: u32) -> (usize, usize) {
        let starts = self.line_starts();
        let line = starts.partition_point(|start| *start <= offset);
        let start = starts[line - 1] as usize;
        let end = (offset as usize).clamp(start, self.text.len());
        let column = self
            .text
            .get(start..end)
            .map_or(0, |text| text.chars().count());
        (line, column + 1)
    }

    /// The offset of the first byte of a line, counted from 1.
    #[must_use]
    pub fn line_start(&self, line: usize) -> u32 {
        self.line_starts()
            .get(line - 1)
            .copied()
            .unwrap_or(self.text.len() as u32)
    }

    /// The text of a line, counted from 1, without its end.
    #[must_use]
    pub fn line(&self, line: usize) -> &str {
        let start = self
            .line_starts()
            .get(line - 1)
            .map_or(self.text.len(), |at| *at as usize);
        let rest = self.text.get(start..).unwrap_or_default();
        rest.split('\n')
            .next()
            .unwrap_or_default()
            .trim_end_matches('\r')
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.path.display())
    }
}

/// A place in a source: byte offsets, the end exclusive.
#[derive(Clone)]
pub struct Span {
    /// The text it is in.
    pub source: Arc<Source>,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The beginning of a source.
    #[must_use]
    pub fn start_of(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            start: 0,
            end: 0,
        }
    }

    /// Where the value starts that it is the text of: a block's text follows its `|` or `>`.
    #[must_use]
    pub fn opening(&self) -> Self {
        let before = self
            .source
            .text
            .get(..self.start as usize)
            .map(str::trim_end);
        let word = before.and_then(|text| text.rsplit([' ', '\n']).next());
        match (before, word) {
            (Some(before), Some(word)) if is_indicator(word) => {
                let start = (before.len() - word.len()) as u32;
                Self {
                    start,
                    ..self.clone()
                }
            }
            _ => self.clone(),
        }
    }

    /// Path of the source.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.source.path
    }

    /// Line and column of the start, both counted from 1.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.start)
    }

    /// Whether another place lies within this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.source.path == other.source.path && (self.start..=self.end).contains(&other.start)
    }
}

/// Whether a word begins a block of text: `|`, `>-`, `|2+`.
fn is_indicator(word: &str) -> bool {
    word.strip_prefix(['|', '>'])
        .is_some_and(|rest| rest.chars().all(|c| matches!(c, '+' | '-' | '1'..='9')))
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        let path = self.path().display();
        match self.source.detail {
            Detail::Column => write!(f, "{path}:{line}:{column}"),
            Detail::Line => write!(f, "{path}:{line}"),
            Detail::Name => write!(f, "{path}"),
        }
    }
}

/// Two spans are equal when they name the same bytes of a file of the same name.
impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.start == other.start && self.end == other.end && self.source.path == other.source.path
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something that works, but not for ever.
    Deprecation,
    /// Something to know; the run goes on.
    Warning,
    /// The run, or the host's part in it, cannot go on.
    Error,
}

/// A problem, complete: the renderer decides how it looks, and nothing has to be added later.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name for scripts and documents: `undefined-variable`.
    pub code: &'static str,
    /// What is wrong: one sentence, without the place. Ansible's words where it has some.
    pub message: String,
    /// Where, the most specific place first, each with what it shows.
    pub labels: Vec<Label>,
    /// What led to it, the nearest cause first.
    pub causes: Vec<String>,
    /// What to try.
    pub hints: Vec<String>,
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The remark; may be empty.
    pub text: String,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: vec![],
            causes: vec![],
            hints: vec![],
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// A deprecation without a place yet: what no longer works from a version of ansible-core on.
    pub fn deprecation(code: &'static str, what: &str, version: &str) -> Self {
        Self::deprecation_of(code, "", what, version)
    }

    /// Like [`Diagnostic::deprecation`], of something that is not ansible-core as a whole.
    pub fn deprecation_of(code: &'static str, owner: &str, what: &str, version: &str) -> Self {
        let owner = match owner {
            "" => "ansible-core".to_owned(),
            owner => format!("{owner} in ansible-core"),
        };
        let message =
            format!("{what} This feature will be removed from {owner} version {version}.");
        Self {
            severity: Severity::Deprecation,
            ..Self::error(code, message)
        }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(self, span: &Span) -> Self {
        self.label(span, "")
    }

    /// Adds a place with a remark.
    #[must_use]
    pub fn label(mut self, span: &Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span: span.clone(),
            text: text.into(),
        });
        self
    }

    /// Adds a cause.
    #[must_use]
    pub fn cause(mut self, text: impl Into<String>) -> Self {
        self.causes.push(text.into());
        self
    }

    /// Adds something to try.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hints.push(text.into());
        self
    }
}

/// The message with its first place, on one line.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.labels.first() {
            write!(f, "{}: ", label.span)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// A value together with every problem found on the way to it.
#[derive(Debug)]
pub struct Checked<T> {
    /// The value; parts with errors are left out of it.
    pub value: T,
    /// All problems, in the order of the text.
    pub problems: Vec<Diagnostic>,
}

impl<T> Checked<T> {
    /// A value without problems.
    pub fn ok(value: T) -> Self {
        Self {
            value,
            problems: vec![],
        }
    }

    /// Whether any problem is an error.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Hands the problems to a collector and returns the value.
    pub fn collect(self, problems: &mut Vec<Diagnostic>) -> T {
        problems.extend(self.problems);
        self.value
    }
}

/// The candidate nearest to what the user wrote: arguments and everything else are guessed alike.
pub use rplay_modules::args::closest as nearest;

/// A file beside the one that is not there, with nearly its name.
#[must_use]
pub fn similar_file(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Where a folder is missing, a file of that name may be meant: `staging.yml` for `staging/hosts`.
    if !folder.exists() {
        let files = ["yml", "yaml", "ini", "toml", "json"];
        let mut files = files
            .iter()
            .map(|extension| folder.with_extension(extension));
        let found = files
            .find(|file| file.is_file())
            .map(|file| file.display().to_string());
        return found.or_else(|| similar_file(folder));
    }
    let mut names: Vec<String> = folder
        .read_dir()
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let has_name = |other: &&String| {
        Path::new(other)
            .file_stem()
            .is_some_and(|stem| stem == name)
    };
    let near = names
        .iter()
        .find(has_name)
        .map(String::as_str)
        .or_else(|| nearest(name, names.iter().map(String::as_str)))
        .or_else(|| {
            // `tasks_from` and the like name files without their extension.
            let stems = names.iter().filter_map(|other| other.strip_suffix(".yml"));
            let near = nearest(name, stems)?;
            names
                .iter()
                .map(String::as_str)
                .find(|other| other.strip_suffix(".yml") == Some(near))
        })?;
    Some(path.with_file_name(near).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("a.yml", "äb\ncd\n");
        assert_eq!(source.line_column(2), (1, 2));
        assert_eq!(source.line_column(4), (2, 1));
        assert_eq!(source.line(2), "cd");
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(nearest("stats", ["stat", "state", "mode"]), Some("stat"));
        assert_eq!(nearest("zzz", ["stat", "mode"]), None);
    }
}
