//! The file format of `ansible.cfg`, as Python's configparser reads it.

use std::sync::Arc;

use crate::diag::{Diagnostic, Source, Span};

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) section: String,
    /// In lower case: keys have none.
    pub(super) key: String,
    pub(super) value: String,
    pub(super) span: Span,
}

/// All entries. A file with an error yields what was right in it, and the errors.
pub(super) fn parse(source: &Arc<Source>) -> (Vec<Entry>, Vec<Diagnostic>) {
    let mut entries: Vec<Entry> = vec![];
    let mut problems = vec![];
    let mut sections: Vec<String> = vec![];
    let (mut at, mut key_indent, mut open) = (0, 0, false);
    for raw in source.text.split_inclusive('\n') {
        let indent = raw.len() - raw.trim_start().len();
        let line = without_comment(raw).trim();
        let start = at + indent;
        at += raw.len();
        let span = Span {
            source: Arc::clone(source),
            start: start as u32,
            end: (start + line.len()) as u32,
        };
        if line.is_empty() {
            // An empty line ends nothing; the value goes on if an indented line follows.
            continue;
        }
        if let Some(entry) = entries.last_mut().filter(|_| open && indent > key_indent) {
            entry.value.push('\n');
            entry.value.push_str(line);
            continue;
        }
        key_indent = indent;
        open = false;
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .map(|(name, _)| name)
        {
            if sections.iter().any(|other| other == name) {
                problems.push(broken(format!("section '{name}' already exists"), &span));
            } else {
                sections.push(name.to_owned());
            }
            sections.sort_by_key(|other| other == name);
            continue;
        }
        let Some(section) = sections.last() else {
            problems.push(broken(
                "File contains no section headers.".to_owned(),
                &span,
            ));
            return (entries, problems);
        };
        let Some(cut) = line.find(['=', ':']) else {
            problems.push(broken(format!("the line has no `=`: {line}"), &span));
            continue;
        };
        let key = line[..cut].trim().to_lowercase();
        if entries
            .iter()
            .any(|entry| entry.section == *section && entry.key == key)
        {
            problems.push(broken(
                format!("option '{key}' in section '{section}' already exists"),
                &span,
            ));
            continue;
        }
        entries.push(Entry {
            section: section.clone(),
            key,
            value: line[cut + 1..].trim().to_owned(),
            span,
        });
        open = true;
    }
    (entries, problems)
}

fn broken(message: String, span: &Span) -> Diagnostic {
    let path = span.path().display();
    Diagnostic::error(
        "config-syntax",
        format!("Error reading config file ({path}): {message}"),
    )
    .at(span)
}

/// A line without a comment: `#` and `;` begin one at the start of a line, `;` after a space too.
fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let ends = line.match_indices(';').map(|(at, _)| at);
    let end = ends
        .into_iter()
        .find(|at| line[..*at].ends_with(char::is_whitespace));
    &line[..end.unwrap_or(line.len())]
}
