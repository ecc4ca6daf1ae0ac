//! Problems as text for a terminal, in the form that ansible-core gives them.

use std::fmt::Write as _;

use super::{Detail, Diagnostic, Label, Severity, Span};

/// How the text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour it.
    pub color: bool,
}

/// How wide the shown lines are.
const WIDTH: usize = 120;

/// How many lines before the place are shown.
const CONTEXT: usize = 2;

/// What stands for the rest of a text without a file.
const CUT: &str = "[...]";

/// The problem as text, with a line end after it: the message, its place with the lines around it,
/// further places, causes, and what to try.
#[must_use]
pub fn render(problem: &Diagnostic, style: Style) -> String {
    let (title, color) = match problem.severity {
        Severity::Error => ("ERROR", "\x1b[0;31m"),
        Severity::Deprecation => ("DEPRECATION WARNING", "\x1b[0;35m"),
        Severity::Warning => ("WARNING", "\x1b[1;35m"),
    };
    let mut text = format!("[{title}]: {}\n", problem.message);
    if let Some((first, rest)) = problem.labels.split_first() {
        place(&mut text, "Origin", first);
        for label in rest {
            let title = if label.text.is_empty() {
                "See also"
            } else {
                &label.text
            };
            let _ = writeln!(text, "{title}: {}\n", label.span);
        }
    }
    for cause in &problem.causes {
        let _ = writeln!(text, "<<< caused by >>>\n\n{cause}\n");
    }
    for hint in &problem.hints {
        let end = if is_sentence(hint) { "\n\n" } else { "\n" };
        text.push_str(&(advice(hint) + end));
    }
    if style.color {
        format!("{color}{}\x1b[0m\n", text.trim_end_matches('\n'))
    } else {
        text
    }
}

/// Sentences are Ansible's own and stand as they are; what we add is in lower case and marked.
#[must_use]
pub fn advice(hint: &str) -> String {
    if is_sentence(hint) {
        hint.to_owned()
    } else {
        format!("help: {hint}")
    }
}

fn is_sentence(hint: &str) -> bool {
    let first = hint.trim_start().chars().next();
    first.is_some_and(char::is_uppercase)
}

/// A place with the lines around it, for messages that are chains of causes.
#[must_use]
pub fn excerpt(span: &Span) -> String {
    let mut text = String::new();
    place(
        &mut text,
        "Origin",
        &Label {
            span: span.clone(),
            text: String::new(),
        },
    );
    text.truncate(text.trim_end_matches('\n').len() + 1);
    text
}

/// A text as it is shown: a long one ends in a mark.
fn cut(text: &str, mark: &str) -> String {
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    let start: String = text.chars().take(WIDTH - mark.len()).collect();
    start + mark
}

/// The place, the lines before it, its line, and a mark under its column.
fn place(text: &mut String, title: &str, label: &Label) {
    let (line, column) = label.span.line_column();
    let source = &label.span.source;
    let _ = writeln!(text, "{title}: {}\n", label.span);
    if source.secret {
        text.push_str("(source not shown: vaulted or hidden by no_log)\n\n");
        return;
    }
    if source.detail == Detail::Name {
        if !source.text.is_empty() {
            let _ = writeln!(text, "{}\n", cut(&source.text, CUT));
        }
        return;
    }
    if label.span.start as usize >= source.text.len() {
        text.push_str("(source not shown: file truncated)\n\n");
        return;
    }
    let width = line.to_string().len();
    for number in line.saturating_sub(CONTEXT).max(1)..=line {
        // A tab would move the line away from its mark, and other controls do more.
        let shown = match number < line && super::hidden::by_no_log(source, number) {
            true => "(hidden by no_log)".to_owned(),
            false => source.line(number).replace(char::is_control, " "),
        };
        let shown = format!("{number:width$} {shown}");
        let _ = writeln!(text, "{}", cut(&shown, "...").trim_end());
    }
    if source.detail == Detail::Line {
        let mark = "^".repeat(source.line(line).chars().count());
        let _ = writeln!(text, "{:indent$}{mark}\n", "", indent = width + 1);
        return;
    }
    // A mark below what was cut off would point at nothing.
    if width + column > WIDTH {
        text.push('\n');
        return;
    }
    let remark = if label.text.is_empty() {
        String::new()
    } else {
        format!(": {}", label.text)
    };
    let _ = writeln!(
        text,
        "{}^ column {column}{remark}\n",
        " ".repeat(width + column)
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::{Source, Span};

    #[test]
    fn a_line_is_cut_off_and_its_mark_left_out() {
        let source = Source::new("a.yml", "x".repeat(100_000));
        let (start, end) = (99_000, 99_001);
        let span = Span { source, start, end };
        let shown = render(&Diagnostic::error("x", "y").at(&span), Style::default());
        assert!(shown.contains("a.yml:1:99001\n"), "{shown}");
        assert!(!shown.contains('^') && shown.len() < 1000, "{shown}");
    }

    fn span(text: &str, part: &str) -> Span {
        let start = u32::try_from(text.find(part).unwrap()).unwrap();
        Span {
            source: Source::new("p.yml", text),
            start,
            end: start + 1,
        }
    }

    #[test]
    fn a_problem_looks_as_in_ansible() {
        let text = "- hosts: all\n  gather_facts: no\n  tasks: []\n  foo: 1\n";
        let problem = Diagnostic::error("x", "'foo' is not a valid attribute for a Play")
            .at(&span(text, "foo"));
        let expected = "[ERROR]: 'foo' is not a valid attribute for a Play\nOrigin: p.yml:4:3\n\n2   gather_facts: no\n3   tasks: []\n4   foo: 1\n    ^ column 3\n\n";
        assert_eq!(render(&problem, Style::default()), expected);
    }

    #[test]
    fn causes_hints_and_further_places_follow() {
        let text = "a: 1\na: 2\n";
        let problem = Diagnostic::warning("x", "Found duplicate mapping key 'a'.")
            .at(&span(text, "a: 2"))
            .label(&span(text, "a: 1"), "first defined here")
            .cause("because")
            .hint("did you mean `b`?")
            .hint("Using last defined value only.");
        let expected = "[WARNING]: Found duplicate mapping key 'a'.\nOrigin: p.yml:2:1\n\n1 a: 1\n2 a: 2\n  ^ column 1\n\nfirst defined here: p.yml:1:1\n\n<<< caused by >>>\n\nbecause\n\nhelp: did you mean `b`?\nUsing last defined value only.\n\n";
        assert_eq!(render(&problem, Style::default()), expected);
    }

    #[test]
    fn numbers_are_aligned_and_secrets_not_shown() {
        let text = format!("{}x: 1\n", "\n".repeat(10));
        let shown = render(
            &Diagnostic::error("x", "m").at(&span(&text, "x")),
            Style::default(),
        );
        assert!(
            shown.ends_with("\n 9\n10\n11 x: 1\n   ^ column 1\n\n"),
            "{shown}"
        );
        let vaulted = Span {
            source: Source::vaulted("v.yml", "secret: 1\n"),
            start: 0,
            end: 1,
        };
        assert!(
            !render(&Diagnostic::error("x", "m").at(&vaulted), Style::default()).contains("secret")
        );
    }
}
