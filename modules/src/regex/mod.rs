//! Regular expressions as Python's `re` has them, because that is what Ansible's users write.
//!
//! A pattern is parsed into a tree (`parse`), the tree becomes a program (`program`), and the program
//! is run with backtracking (`run`), as Python does it. A general engine's tables would be a large
//! part of the agent, and its syntax, its `$` and its empty matches are not Python's.

mod letters;
mod parse;
mod program;
mod replace;
mod run;

use std::ops::Range;
use std::sync::Arc;

use program::Program;

/// The flags of `re` that change how a pattern is read; letters in a pattern (`(?i)`) set them too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// `re.IGNORECASE`
    pub ignore_case: bool,
    /// `re.MULTILINE`: `^` and `$` fit at every line.
    pub multi_line: bool,
    /// `re.DOTALL`: `.` fits a newline.
    pub dot_all: bool,
    /// `re.VERBOSE`: white space and comments in the pattern mean nothing.
    pub verbose: bool,
    /// `re.ASCII`: `\w`, `\d`, `\s` and `\b` know ASCII only.
    pub ascii: bool,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Regex {
    program: Arc<Program>,
}

/// A search took more steps than can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl std::fmt::Display for TooLong {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the regular expression needs too many steps on this text")
    }
}

impl From<TooLong> for String {
    fn from(error: TooLong) -> Self {
        error.to_string()
    }
}

impl From<TooLong> for crate::outcome::Failure {
    fn from(error: TooLong) -> Self {
        Self::new(error.to_string())
    }
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it, in Python's words.
    pub fn new(pattern: &str, flags: Flags) -> Result<Self, String> {
        let parsed = parse::parse(pattern, flags)?;
        let program = Arc::new(program::build(&parsed)?);
        Ok(Self { program })
    }

    /// Whether it fits anywhere.
    ///
    /// # Errors
    /// The search takes too long.
    pub fn found(&self, text: &str) -> Result<bool, TooLong> {
        Ok(self.captures(text)?.is_some())
    }

    /// Whether it fits at the start (`re.match`).
    ///
    /// # Errors
    /// The search takes too long.
    pub fn fits_start(&self, text: &str) -> Result<bool, TooLong> {
        Ok(run::at_start(&self.program, text)?.is_some())
    }

    /// The first place where it fits, with the groups.
    ///
    /// # Errors
    /// The search takes too long.
    pub fn captures<'t>(&self, text: &'t str) -> Result<Option<Captures<'t>>, TooLong> {
        self.search(text, 0, false)
    }

    /// All places where it fits, one after the other, as `re.sub` replaces them.
    ///
    /// # Errors
    /// The search takes too long.
    pub fn all<'t>(&self, text: &'t str) -> Result<Vec<Captures<'t>>, TooLong> {
        let (mut all, mut from, mut advance) = (Vec::new(), 0, false);
        while let Some(captures) = self.search(text, from, advance)? {
            let whole = captures.range(0).unwrap_or_default();
            // An empty match may follow another one at once, but not another empty one.
            advance = whole.is_empty();
            from = whole.end;
            all.push(captures);
        }
        Ok(all)
    }

    /// The names of the groups, the whole match first; most have none.
    pub fn names(&self) -> impl Iterator<Item = Option<&str>> {
        self.program.names.iter().map(Option::as_deref)
    }

    fn search<'t>(
        &self,
        text: &'t str,
        from: usize,
        advance: bool,
    ) -> Result<Option<Captures<'t>>, TooLong> {
        let slots = run::search(&self.program, text, from, advance)?;
        Ok(slots.map(|slots| Captures {
            text,
            slots,
            program: Arc::clone(&self.program),
        }))
    }
}

/// What the groups of a match hold.
#[derive(Clone, Debug)]
pub struct Captures<'t> {
    text: &'t str,
    slots: Vec<Option<usize>>,
    program: Arc<Program>,
}

impl<'t> Captures<'t> {
    /// The text of a group; none when it took no part in the match.
    #[must_use]
    pub fn get(&self, group: usize) -> Option<&'t str> {
        self.range(group).map(|range| &self.text[range])
    }

    /// Where a group is, in bytes.
    #[must_use]
    pub fn range(&self, group: usize) -> Option<Range<usize>> {
        match (self.slots.get(2 * group), self.slots.get(2 * group + 1)) {
            (Some(Some(start)), Some(Some(end))) => Some(*start..*end),
            _ => None,
        }
    }

    /// The number of a named group.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        let names = &self.program.names;
        names.iter().position(|one| one.as_deref() == Some(name))
    }

    /// How many groups there are, with the whole match.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "the whole match is always there"
    )]
    pub fn len(&self) -> usize {
        self.program.names.len()
    }
}

#[cfg(test)]
mod tests;
