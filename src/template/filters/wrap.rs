//! The filter `wordwrap`: lines broken as Python's `textwrap` breaks them.

use std::cmp::Ordering;

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::methods;
use super::super::ops;
use super::super::value::Value;

/// How lines are broken.
struct Style {
    width: usize,
    /// Whether the width is a whole number, without which no word can be broken.
    whole: bool,
    /// Whether words that are longer than a line are broken.
    long_words: bool,
    /// Whether words are broken behind their hyphens.
    hyphens: bool,
}

pub(super) fn wordwrap(args: &Args) -> Outcome {
    let mark = match args.get(3, "wrapstring") {
        None | Some(Value::None) => "\n",
        Some(Value::Str(mark)) => mark.as_str(),
        Some(other) => return Err(lacks(other, "join")),
    };
    let Value::Str(text) = args.operand() else {
        return Err(lacks(args.operand(), "splitlines"));
    };
    if text.as_str().is_empty() {
        return Ok(Value::str(""));
    }
    let width = args.get(1, "width").cloned().unwrap_or(Value::Int(79));
    if ops::compare("<=", &width, &Value::Int(0))? != Some(Ordering::Greater) {
        let width = width.text();
        return Err(Fault::new(format!("invalid width {width} (must be > 0)")));
    }
    let width_below = whole(&width).unwrap_or(0);
    let style = Style {
        width: usize::try_from(width_below).unwrap_or(usize::MAX).max(1),
        whole: width_below == 0 || !matches!(width, Value::Float(_)),
        long_words: args.truth(2, "break_long_words", true),
        hyphens: args.truth(4, "break_on_hyphens", true),
    };
    let mut out = Vec::new();
    for line in methods::lines(text.as_str(), false) {
        out.push(wrapped(line, &style)?.join(mark));
    }
    Ok(Value::from(out.join(mark)))
}

fn lacks(value: &Value, name: &str) -> Fault {
    let kind = value.type_name();
    Fault::new(format!("'{kind}' object has no attribute '{name}'"))
}

/// One line as several.
fn wrapped(line: &str, style: &Style) -> Result<Vec<String>, Fault> {
    let mut chunks: Vec<String> = chunks(line, style.hyphens);
    chunks.reverse();
    let mut lines: Vec<String> = Vec::new();
    while !chunks.is_empty() {
        if !lines.is_empty() && chunks.last().is_some_and(|chunk| blank(chunk)) {
            chunks.pop();
        }
        let (mut current, mut length) = (Vec::<String>::new(), 0);
        while let Some(chunk) = chunks.pop_if(|chunk| length + size(chunk) <= style.width) {
            length += size(&chunk);
            current.push(chunk);
        }
        if let Some(long) = chunks.pop_if(|chunk| size(chunk) > style.width) {
            if style.long_words && !style.whole {
                return Err(Fault::new(
                    "slice indices must be integers or None or have an __index__ method",
                ));
            }
            if style.long_words {
                let (head, tail) = broken(&long, style.width - length, style.hyphens);
                current.push(head);
                chunks.push(tail);
            } else if current.is_empty() {
                current.push(long);
            } else {
                chunks.push(long);
            }
        }
        if current.last().is_some_and(|chunk| blank(chunk)) {
            current.pop();
        }
        if !current.is_empty() {
            lines.push(current.concat());
        }
    }
    Ok(lines)
}

fn size(text: &str) -> usize {
    text.chars().count()
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// A long word in two: at its last hyphen that fits, otherwise where the line ends.
fn broken(word: &str, room: usize, hyphens: bool) -> (String, String) {
    let chars: Vec<char> = word.chars().collect();
    let mut end = room.min(chars.len());
    if hyphens
        && let Some(at) = chars[..end].iter().rposition(|c| *c == '-')
        && chars[..at].iter().any(|c| *c != '-')
    {
        end = at + 1;
    }
    (chars[..end].iter().collect(), chars[end..].iter().collect())
}

/// Words and the blanks between them; words end behind a hyphen between letters.
fn chunks(line: &str, hyphens: bool) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    let letter = |at: Option<usize>| {
        let c = at.and_then(|at| chars.get(at));
        c.is_some_and(|c| c.is_alphabetic() || *c == '_')
    };
    let ends_here = |at: usize| {
        let before = letter(at.checked_sub(1))
            && (letter(at.checked_sub(2))
                || (at >= 3 && chars[at - 2] == '-' && letter(at.checked_sub(3))));
        let after = letter(Some(at + 1))
            && (letter(Some(at + 2)) || (chars.get(at + 2) == Some(&'-') && letter(Some(at + 3))));
        hyphens && chars[at] == '-' && before && after
    };
    // Several hyphens between words are a word of their own.
    let dashes = |from: usize| {
        let count = chars[from..].iter().take_while(|c| **c == '-').count();
        let word = |c: &char| c.is_alphanumeric() || *c == '_';
        let before = from.checked_sub(1).map(|at| chars[at]);
        let inside = before.is_some_and(|c| word(&c) || "!\"'&.,?".contains(c))
            && chars.get(from + count).is_some_and(word);
        (hyphens && count > 1 && inside).then_some(count)
    };
    let mut out: Vec<String> = Vec::new();
    let mut ended = true;
    let mut dashed = 0;
    for (at, c) in chars.iter().enumerate() {
        if dashed == 0
            && let Some(count) = dashes(at)
        {
            dashed = count;
            ended = true;
        }
        let same = out
            .last()
            .is_some_and(|chunk| blank(chunk) == c.is_whitespace());
        if let (true, false, Some(chunk)) = (same, ended, out.last_mut()) {
            chunk.push(*c);
        } else {
            out.push(c.to_string());
        }
        ended = ends_here(at) || dashed == 1;
        dashed = dashed.saturating_sub(1);
    }
    out
}
