//! Differences as text: what Ansible shows with `--diff`.

use rplay_modules::data::Map;
use rplay_modules::outcome::{Diff, DiffSide};

use super::dump::{self, Layout};
use super::matcher::{self, Change};
use super::output::{Color, Output};

/// How a line looks in its colour.
type Paint<'a> = &'a dyn Fn(Color, &str) -> String;

/// The text of all differences of a result; empty when there is nothing to show.
pub(crate) fn text(diffs: &[Diff], context: usize, output: &Output) -> String {
    painted(diffs, context, &|color, line| output.paint(color, line))
}

/// The same without colours.
pub(crate) fn plain(diffs: &[Diff], context: usize) -> String {
    painted(diffs, context, &|_, line| line.to_owned())
}

fn painted(diffs: &[Diff], context: usize, paint: Paint<'_>) -> String {
    diffs.iter().map(|diff| one(diff, context, paint)).collect()
}

fn one(diff: &Diff, context: usize, paint: Paint<'_>) -> String {
    let mut out = String::new();
    let sides = [(&diff.before, "destination"), (&diff.after, "source")];
    for (_, name) in sides.iter().filter(|(side, _)| **side == DiffSide::Binary) {
        out.push_str(&format!("diff skipped: {name} file appears to be binary\n"));
    }
    for (side, name) in sides {
        if let DiffSide::TooLarge(limit) = side {
            out.push_str(&format!(
                "diff skipped: {name} file size is greater than {limit}\n"
            ));
        }
    }
    if let (Some(before), Some(after)) = (content(&diff.before), content(&diff.after)) {
        out.push_str(&unified(diff, &before, &after, context, paint));
    }
    out.push_str(diff.prepared.as_deref().unwrap_or_default());
    out
}

/// The text of a side; none: it cannot be shown.
pub(crate) fn content(side: &DiffSide) -> Option<String> {
    match side {
        DiffSide::Empty => Some(String::new()),
        DiffSide::Text(text) => Some(text.clone()),
        DiffSide::Attributes(map) => Some(attributes(map)),
        DiffSide::Binary | DiffSide::TooLarge(_) => None,
    }
}

fn attributes(map: &Map) -> String {
    dump::json_map(
        map,
        Layout {
            indent: Some(4),
            ascii: true,
        },
    ) + "\n"
}

fn unified(diff: &Diff, before: &str, after: &str, context: usize, paint: Paint<'_>) -> String {
    let (a, b) = (lines(before), lines(after));
    let hunks = matcher::hunks(&a, &b, context);
    if hunks.is_empty() {
        return String::new();
    }
    let header = |mark: &str, word: &str, name: &Option<String>| match name {
        Some(name) if !name.is_empty() => format!("{mark} {word}: {name}\n"),
        _ => format!("{mark} {word}\n"),
    };
    let mut out = vec![
        (
            Color::DiffRemove,
            header("---", "before", &diff.before_header),
        ),
        (Color::DiffAdd, header("+++", "after", &diff.after_header)),
    ];
    for hunk in &hunks {
        write_hunk(&mut out, hunk, &a, &b);
    }
    let lines = out.into_iter().map(|(color, line)| paint(color, &line));
    lines.collect::<String>() + "\n"
}

fn write_hunk(out: &mut Vec<(Color, String)>, hunk: &[Change], a: &[String], b: &[String]) {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return;
    };
    let heading = format!(
        "@@ -{} +{} @@\n",
        range(first.a.0, last.a.1),
        range(first.b.0, last.b.1)
    );
    out.push((Color::DiffLines, heading));
    for change in hunk {
        let old = a.get(change.a.0..change.a.1).unwrap_or_default();
        if change.equal {
            out.extend(old.iter().map(|line| (Color::Plain, format!(" {line}"))));
            continue;
        }
        let new = b.get(change.b.0..change.b.1).unwrap_or_default();
        out.extend(
            old.iter()
                .map(|line| (Color::DiffRemove, format!("-{line}"))),
        );
        out.extend(new.iter().map(|line| (Color::DiffAdd, format!("+{line}"))));
    }
}

/// Lines counted from 1; an empty range names the line before it.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => (start + 1).to_string(),
        count => format!("{},{count}", start + 1),
    }
}

/// The lines with their ends, as Python splits them; a missing last end is told.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![];
    let mut line = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line.push(c);
        let ends = matches!(
            c,
            '\n' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        );
        if ends || (c == '\r' && chars.peek() != Some(&'\n')) {
            lines.push(std::mem::take(&mut line));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
        last.push_str("\n\\ No newline at end of file\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use rplay_modules::map;

    use super::*;

    fn shown(before: &str, after: &str) -> String {
        plain(&[Diff::text(before, after, "", "/f")], 3)
    }

    #[test]
    fn a_missing_last_newline_is_told() {
        assert_eq!(
            shown("", "a\nb"),
            "--- before\n+++ after: /f\n@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file\n\n"
        );
        assert_eq!(shown("a\n", "a\n"), "");
    }

    #[test]
    fn attributes_are_sorted_json() {
        let diff = Diff::attributes(
            map! { "path" => "/é", "mode" => "0644" },
            map! { "path" => "/é", "mode" => "0600" },
        );
        let expected = concat!(
            "--- before\n+++ after\n@@ -1,4 +1,4 @@\n {\n-    \"mode\": \"0644\",\n+    \"mode\": \"0600\",\n",
            "     \"path\": \"/\\u00e9\"\n }\n\n"
        );
        assert_eq!(plain(&[diff], 3), expected);
    }

    #[test]
    fn what_is_not_shown_is_said() {
        let diff = Diff {
            before: DiffSide::Binary,
            after: DiffSide::TooLarge(5),
            ..Diff::default()
        };
        let expected = "diff skipped: destination file appears to be binary\ndiff skipped: source file size is greater than 5\n";
        assert_eq!(plain(&[diff], 3), expected);
    }
}
