//! Rules of the look of a text: blanks, lines, truth values, numbers.

use super::Findings;
use super::file::{File, line};
use crate::load::node::{Node, NodeKind};

/// Letters that a line may have.
const WIDTH: usize = 160;

/// Empty lines that may follow each other.
const EMPTY: usize = 2;

pub(super) fn check(out: &mut Findings<'_>) {
    let file = out.file;
    for problem in file
        .told
        .iter()
        .filter(|problem| problem.code == "duplicate-key")
    {
        let at = problem
            .labels
            .first()
            .map_or(1, |label| label.span.line_column().0);
        let key = problem.message.split('\'').nth(1).unwrap_or_default();
        out.add(
            "yaml[key-duplicates]",
            at,
            format!("Duplication of key \"{key}\" in mapping"),
        );
    }
    lines(out);
    punctuation(out);
    let step = file
        .documents
        .iter()
        .find_map(|node| step(file, node))
        .unwrap_or(2);
    for document in &file.documents {
        values(out, document, step);
    }
}

fn lines(out: &mut Findings<'_>) {
    let file = out.file;
    let count = file.lines();
    let mut empty = 0;
    for at in 1..=count {
        let text = file.source.line(at);
        if text.ends_with([' ', '\t']) {
            out.add("yaml[trailing-spaces]", at, "Trailing spaces");
        }
        let width = text.chars().count();
        let word = text
            .trim_start()
            .trim_start_matches("- ")
            .trim_start_matches("# ");
        if width > WIDTH && word.contains(' ') {
            let text = format!("Line too long ({width} > {WIDTH} characters)");
            out.add("yaml[line-length]", at, text);
        }
        if let Some((place, comment)) = file.comment(at) {
            let word = comment.trim_start_matches('#');
            let shebang = place == 0 && word.starts_with('!');
            if !shebang && !word.is_empty() && !word.starts_with([' ', '\t']) {
                out.add("yaml[comments]", at, "Missing starting space in comment");
            }
        }
        empty = if text.trim().is_empty() { empty + 1 } else { 0 };
        let last = at == count;
        let next_is_text = !last && !file.source.line(at + 1).trim().is_empty();
        let most = if last || at == empty { 0 } else { EMPTY };
        if (last || next_is_text) && empty > most {
            out.add(
                "yaml[empty-lines]",
                at,
                format!("Too many blank lines ({empty} > {most})"),
            );
        }
    }
    if count > 0 && !file.source.text.ends_with('\n') {
        out.add(
            "yaml[new-line-at-end-of-file]",
            count,
            "No new line character at the end of file",
        );
    }
}

/// Blanks around brackets, braces and commas, which are none within scalars and comments.
fn punctuation(out: &mut Findings<'_>) {
    let file = out.file;
    for at in 1..=file.lines() {
        let text = file.source.line(at);
        let start = file.source.line_start(at);
        let end = file
            .comment(at)
            .map_or(text.len(), |(place, _)| (place - start) as usize);
        for (place, letter) in text[..end].char_indices() {
            if !"{}[],".contains(letter) || file.in_scalar(start + place as u32) {
                continue;
            }
            let (before, after) = (&text[..place], &text[place + 1..]);
            let blanks_before = before.len() - before.trim_end().len();
            let blanks_after = after.len() - after.trim_start().len();
            let ends = after.trim().is_empty() || after.trim_start().starts_with('#');
            let begins = before.trim().is_empty();
            match letter {
                ',' if blanks_before > 0 && !begins => {
                    out.add("yaml[commas]", at, "Too many spaces before comma")
                }
                ',' if ends => {}
                ',' if blanks_after == 0 => {
                    out.add("yaml[commas]", at, "Too few spaces after comma")
                }
                ',' if blanks_after > 1 => {
                    out.add("yaml[commas]", at, "Too many spaces after comma")
                }
                '{' if blanks_after > 1 && !ends => {
                    out.add("yaml[braces]", at, "Too many spaces inside braces")
                }
                '}' if blanks_before > 1 && !begins => {
                    out.add("yaml[braces]", at, "Too many spaces inside braces")
                }
                '[' if after.trim_start().starts_with(']') && blanks_after > 0 => {
                    out.add(
                        "yaml[brackets]",
                        at,
                        "Too many spaces inside empty brackets",
                    );
                }
                '[' if blanks_after > 0 && !ends => {
                    out.add("yaml[brackets]", at, "Too many spaces inside brackets")
                }
                ']' if blanks_before > 0 && !begins => {
                    out.add("yaml[brackets]", at, "Too many spaces inside brackets")
                }
                _ => {}
            }
        }
    }
}

/// Whether a collection is written with brackets or braces.
fn is_flow(file: &File, node: &Node) -> bool {
    let text = file
        .source
        .text
        .get(node.span.start as usize..)
        .unwrap_or_default();
    text.starts_with(['[', '{'])
}

/// The column of the first letter of a line, counted from 0.
fn indent(file: &File, at: usize) -> usize {
    let text = file.source.line(at);
    text.len() - text.trim_start().len()
}

/// Where the entries of a block stand below its key: their line and column; none, where they are beside it.
fn below(file: &File, key: &Node, value: &Node) -> Option<(usize, usize)> {
    let first = match &value.kind {
        NodeKind::Seq(items) => items.first()?,
        NodeKind::Map(entries) => &entries.first()?.0,
        _ => return None,
    };
    let at = line(first);
    (!is_flow(file, value) && at > line(key)).then(|| (at, indent(file, at)))
}

/// How far the first block is indented: what a file begins with, it keeps.
fn step(file: &File, node: &Node) -> Option<usize> {
    match &node.kind {
        NodeKind::Seq(items) => items.iter().find_map(|item| step(file, item)),
        NodeKind::Map(entries) => entries.iter().find_map(|(key, value)| {
            let own = key.span.line_column().1 - 1;
            let found = below(file, key, value).filter(|(_, column)| *column > own);
            found
                .map(|(_, column)| column - own)
                .or_else(|| step(file, value))
        }),
        _ => None,
    }
}

fn values(out: &mut Findings<'_>, node: &Node, step: usize) {
    let file = out.file;
    match &node.kind {
        NodeKind::Seq(items) => {
            flow(out, node, items.first());
            for item in items {
                hyphen(out, item);
                values(out, item, step);
            }
        }
        NodeKind::Map(entries) => {
            flow(out, node, entries.first().map(|(key, _)| key));
            for (key, value) in entries {
                colon(out, key);
                let wanted = key.span.line_column().1 - 1 + step;
                if let Some((at, found)) = below(file, key, value)
                    && found != wanted
                {
                    let text = format!("Wrong indentation: expected {wanted} but found {found}");
                    out.add("yaml[indentation]", at, text);
                }
                values(out, value, step);
            }
        }
        _ => scalar(out, node),
    }
}

/// Lines of a list in brackets stand where its first entry does, when that is beside the bracket.
fn flow(out: &mut Findings<'_>, node: &Node, first: Option<&Node>) {
    let file = out.file;
    let Some(first) = first.filter(|first| is_flow(file, node) && line(first) == line(node)) else {
        return;
    };
    let wanted = first.span.line_column().1 - 1;
    let last = file.source.line_column(node.span.end.saturating_sub(1)).0;
    for at in line(node) + 1..=last {
        let found = indent(file, at);
        let closes = file.source.line(at).trim_start().starts_with([']', '}']);
        if found != wanted && !closes && !file.source.line(at).trim().is_empty() {
            let text = format!("Wrong indentation: expected {wanted} but found {found}");
            return out.add("yaml[indentation]", at, text);
        }
    }
}

/// One blank follows the hyphen of an entry.
fn hyphen(out: &mut Findings<'_>, item: &Node) {
    let at = line(item);
    let text = out.file.source.line(at);
    let blanks = text
        .trim_start()
        .strip_prefix('-')
        .map(|rest| rest.len() - rest.trim_start().len());
    let column = item.span.line_column().1 - 1;
    let own =
        blanks.is_some_and(|blanks| blanks > 1 && indent(out.file, at) + 1 + blanks == column);
    if own {
        out.add("yaml[hyphens]", at, "Too many spaces after hyphen");
    }
}

fn colon(out: &mut Findings<'_>, key: &Node) {
    let rest = out
        .file
        .source
        .text
        .get(key.span.end as usize..)
        .unwrap_or_default();
    let rest = rest.lines().next().unwrap_or_default();
    let before = rest.len() - rest.trim_start().len();
    let Some(after) = rest.trim_start().strip_prefix(':') else {
        return;
    };
    let blanks = after.len() - after.trim_start().len();
    let ends = after.trim().is_empty() || after.trim_start().starts_with('#');
    if before > 0 {
        out.add("yaml[colons]", line(key), "Too many spaces before colon");
    } else if blanks > 1 && !ends {
        out.add("yaml[colons]", line(key), "Too many spaces after colon");
    }
}

fn scalar(out: &mut Findings<'_>, node: &Node) {
    let source = &out.file.source.text;
    let written = source
        .get(node.span.start as usize..node.span.end as usize)
        .unwrap_or_default();
    if matches!(node.kind, NodeKind::Bool(_)) && !matches!(written, "true" | "false") {
        let text = "Truthy value should be one of [false, true]";
        out.add("yaml[truthy]", line(node), text);
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if written.strip_prefix("0o").is_some_and(digits) {
        let text = format!("Forbidden explicit octal value \"{written}\"");
        out.add("yaml[octal-values]", line(node), text);
    } else if written.strip_prefix('0').is_some_and(digits) && !written.contains(['8', '9']) {
        let text = format!("Forbidden implicit octal value \"{written}\"");
        out.add("yaml[octal-values]", line(node), text);
    }
}
