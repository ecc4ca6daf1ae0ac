//! A file that rules look at: its text, its values, its comments.

use std::path::PathBuf;
use std::sync::Arc;

use crate::diag::{Diagnostic, Source, Span};
use crate::load::node::{Node, NodeKind};
use crate::load::yaml;

/// What stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Plays.
    Playbook,
    /// Tasks or handlers.
    Tasks,
    /// Variables.
    Variables,
    /// Anything else.
    Other,
}

/// A file.
pub(super) struct File {
    /// Its path as it is shown.
    pub(super) path: PathBuf,
    /// Its text.
    pub(super) source: Arc<Source>,
    /// Its documents.
    pub(super) documents: Vec<Node>,
    /// What stands in it.
    pub(super) content: Content,
    /// The role that it belongs to.
    pub(super) role: Option<String>,
    /// Where its scalars stand, in order: nothing in them is punctuation or a comment.
    pub(super) scalars: Vec<(u32, u32)>,
    /// What its reading has told: keys that are there twice.
    pub(super) told: Vec<Diagnostic>,
    /// For each line the place of its comment.
    comments: Vec<Option<u32>>,
}

impl File {
    /// Reads a text; the problem, where it is no YAML.
    pub(super) fn read(
        path: PathBuf,
        text: String,
        content: Option<Content>,
        role: Option<String>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let source = Source::new(path.clone(), text);
        let parsed = yaml::parse(&source);
        let is_error = |problem: &Diagnostic| problem.severity == crate::diag::Severity::Error;
        if parsed.problems.iter().any(is_error) {
            return Err(parsed.problems);
        }
        let content = content.unwrap_or_else(|| guess(&parsed.value));
        let mut scalars = vec![];
        for document in &parsed.value {
            add_scalars(document, &source, &mut scalars);
        }
        scalars.sort_unstable();
        let mut file = Self {
            path,
            documents: parsed.value,
            content,
            role,
            scalars,
            told: parsed.problems,
            comments: vec![],
            source,
        };
        file.comments = (1..=file.lines())
            .map(|line| file.find_comment(line))
            .collect();
        Ok(file)
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.source.text.lines().count()
    }

    /// Whether a place is within a scalar.
    pub(super) fn in_scalar(&self, at: u32) -> bool {
        let next = self.scalars.partition_point(|(start, _)| *start <= at);
        // Scalars do not nest, but a key that is a collection may hold some.
        self.scalars[..next]
            .iter()
            .rev()
            .take(4)
            .any(|(_, end)| at < *end)
    }

    /// The comment of a line, from its `#`.
    pub(super) fn comment(&self, line: usize) -> Option<(u32, &str)> {
        let at = (*self.comments.get(line.checked_sub(1)?)?)?;
        let start = self.source.line_start(line);
        Some((at, &self.source.line(line)[(at - start) as usize..]))
    }

    fn find_comment(&self, line: usize) -> Option<u32> {
        let start = self.source.line_start(line);
        let text = self.source.line(line);
        let mut places = text.match_indices('#').map(|(at, _)| at);
        let begins = |at: &usize| *at == 0 || text[..*at].ends_with([' ', '\t']);
        let at = places.find(|at| begins(at) && !self.in_scalar(start + *at as u32))?;
        Some(start + at as u32)
    }

    /// The rules that a line's `# noqa` names.
    pub(super) fn noqa(&self, line: usize) -> impl Iterator<Item = &str> {
        let comment = self.comment(line).map_or("", |(_, text)| text);
        let words = comment.split_once("noqa").map_or("", |(_, words)| words);
        words.trim_start_matches(':').split_whitespace()
    }

    /// The first letter of a line that is not blank.
    pub(super) fn line_span(&self, line: usize) -> Span {
        let text = self.source.line(line);
        let indent = text.len() - text.trim_start().len();
        let start = self.source.line_start(line) + indent as u32;
        Span {
            source: Arc::clone(&self.source),
            start,
            end: start + text.trim().len() as u32,
        }
    }
}

/// Whether words of a `# noqa` are about a rule.
pub(super) fn silences<'a>(mut words: impl Iterator<Item = &'a str>, rule: &str) -> bool {
    words.any(|word| covers(word, rule))
}

/// Whether the name of a rule, or of a family of rules, is about a rule.
pub(super) fn covers(word: &str, rule: &str) -> bool {
    let family = rule.split('[').next().unwrap_or(rule);
    word == rule || word == family
}

/// The line of a value, counted from 1.
pub(super) fn line(node: &Node) -> usize {
    node.span.line_column().0
}

/// Plays have hosts, other lists are of tasks, and mappings of variables.
pub(super) fn guess(documents: &[Node]) -> Content {
    match documents.first().map(|node| &node.kind) {
        Some(NodeKind::Seq(items)) => {
            let is_play = |item: &Node| {
                [
                    "hosts",
                    "import_playbook",
                    "ansible.builtin.import_playbook",
                ]
                .iter()
                .any(|key| item.get(key).is_some())
            };
            match items.iter().any(is_play) {
                true => Content::Playbook,
                false => Content::Tasks,
            }
        }
        Some(NodeKind::Map(_)) => Content::Variables,
        _ => Content::Other,
    }
}

fn add_scalars(node: &Node, source: &Arc<Source>, out: &mut Vec<(u32, u32)>) {
    match &node.kind {
        NodeKind::Seq(items) => items.iter().for_each(|item| add_scalars(item, source, out)),
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                add_scalars(key, source, out);
                add_scalars(value, source, out);
            }
        }
        _ if Arc::ptr_eq(&node.span.source, source) => out.push((node.span.start, node.span.end)),
        _ => {}
    }
}
