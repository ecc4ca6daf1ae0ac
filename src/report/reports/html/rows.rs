//! A difference as rows of two sides, with the words that are not alike.
//!
//! A row is an array: `["=", n, n, text]`, `["~", n, n, parts, parts]`, `["-", n, text]`, `["+", n, text]`, or
//! `["@", text]` between hunks. Parts are texts that both sides share and texts that they do not, in turn.

use serde_json::{Value, json};

use crate::report::matcher::{self, Change};
use crate::report::plan::Difference;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Lines longer than this are compared as a whole.
const LONGEST: usize = 4000;

/// Lines of which less than so many hundredths are alike are two different lines.
const ALIKE: usize = 25;

/// The names of both sides under `n`, and the rows under `r`.
pub(super) fn json(diff: &Difference) -> String {
    let mut rows = vec![];
    let (before, after) = (lines(&diff.before), lines(&diff.after));
    for hunk in matcher::hunks(&before, &after, CONTEXT) {
        add_hunk(&mut rows, &hunk, &before, &after);
    }
    if let Some(text) = &diff.prepared {
        add_prepared(&mut rows, text);
    }
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    json!({"n": [name(&diff.before_header), name(&diff.after_header)], "r": rows}).to_string()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn add_hunk(rows: &mut Vec<Value>, hunk: &[Change], before: &[String], after: &[String]) {
    let Some(first) = hunk.first() else { return };
    if first.a.0 > 0 || !rows.is_empty() {
        rows.push(json!(["@", format!("line {}", first.b.0 + 1)]));
    }
    for change in hunk {
        let (old, new) = (
            &before[change.a.0..change.a.1],
            &after[change.b.0..change.b.1],
        );
        if change.equal {
            for (at, line) in old.iter().enumerate() {
                rows.push(json!(["=", change.a.0 + at + 1, change.b.0 + at + 1, line]));
            }
        } else {
            add_change(rows, old, new, Some((change.a.0 + 1, change.b.0 + 1)));
        }
    }
}

/// Lines that were replaced by others, side by side; `from` are the numbers of the first ones.
fn add_change(rows: &mut Vec<Value>, old: &[String], new: &[String], from: Option<(usize, usize)>) {
    let number = |first: usize, at: usize| if from.is_some() { first + at } else { 0 };
    let (left, right) = from.unwrap_or_default();
    for at in 0..old.len().max(new.len()) {
        rows.push(match (old.get(at), new.get(at)) {
            (Some(old), Some(new)) => {
                let (old, new) = words(old, new);
                json!(["~", number(left, at), number(right, at), old, new])
            }
            (Some(old), None) => json!(["-", number(left, at), old]),
            (None, new) => json!(["+", number(right, at), new]),
        });
    }
}

/// A difference that is text already, with a mark before each line.
fn add_prepared(rows: &mut Vec<Value>, text: &str) {
    let (mut old, mut new) = (vec![], vec![]);
    let flush = |rows: &mut Vec<Value>, old: &mut Vec<String>, new: &mut Vec<String>| {
        add_change(rows, old, new, None);
        old.clear();
        new.clear();
    };
    for line in text.lines() {
        if line.starts_with("--- ") || line.starts_with("+++ ") {
            flush(rows, &mut old, &mut new);
            rows.push(json!(["@", line]));
        } else if let Some(line) = line.strip_prefix('-') {
            if !new.is_empty() {
                flush(rows, &mut old, &mut new);
            }
            old.push(line.to_owned());
        } else if let Some(line) = line.strip_prefix('+') {
            new.push(line.to_owned());
        } else {
            flush(rows, &mut old, &mut new);
            rows.push(match line.starts_with("@@") {
                true => json!(["@", line]),
                false => json!(["=", 0, 0, line.strip_prefix(' ').unwrap_or(line)]),
            });
        }
    }
    flush(rows, &mut old, &mut new);
}

/// Two lines in parts; whole where they have too little in common.
fn words(old: &str, new: &str) -> (Value, Value) {
    let whole = || (json!(old), json!(new));
    if old.len() > LONGEST || new.len() > LONGEST {
        return whole();
    }
    let (a, b) = (tokens(old), tokens(new));
    let hunks = matcher::hunks(&a, &b, usize::MAX / 4);
    let changes: Vec<Change> = hunks.into_iter().flatten().collect();
    let length = |words: &[String]| words.iter().map(|word| word.trim().len()).sum::<usize>();
    let equal = changes.iter().filter(|change| change.equal);
    let same: usize = equal.map(|change| length(&a[change.a.0..change.a.1])).sum();
    if same * 100 < length(&a).max(length(&b)) * ALIKE {
        return whole();
    }
    let side = |words: &[String], range: fn(&Change) -> (usize, usize)| {
        let mut parts = vec![String::new()];
        for change in &changes {
            let (start, end) = range(change);
            // Parts that are alike have even numbers.
            if parts.len() % 2 == usize::from(!change.equal) {
                parts.push(String::new());
            }
            if let Some(last) = parts.last_mut() {
                last.push_str(&words[start..end].concat());
            }
        }
        json!(parts)
    };
    (side(&a, |change| change.a), side(&b, |change| change.b))
}

/// Words, gaps, and each other letter for itself.
fn tokens(line: &str) -> Vec<String> {
    let mut out: Vec<String> = vec![];
    let mut kind = 0;
    for letter in line.chars() {
        let now = match letter {
            letter if letter.is_alphanumeric() || letter == '_' => 1,
            letter if letter.is_whitespace() => 2,
            _ => 0,
        };
        match out.last_mut().filter(|_| now != 0 && now == kind) {
            Some(word) => word.push(letter),
            None => out.push(letter.to_string()),
        }
        kind = now;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(before: &str, after: &str) -> String {
        let diff = Difference {
            before: before.to_owned(),
            after: after.to_owned(),
            ..Difference::default()
        };
        let value: Value = serde_json::from_str(&json(&diff)).unwrap();
        value["r"].to_string()
    }

    #[test]
    fn words_that_differ_are_marked() {
        assert_eq!(
            rows("a\nport = 80\n", "a\nport = 8080\n"),
            r#"[["=",1,1,"a"],["~",2,2,["port = ","80",""],["port = ","8080",""]]]"#
                .replace(r#","""#, "")
        );
        // Two lines that have nothing in common.
        assert_eq!(
            rows("alpha", "omega psi"),
            r#"[["~",1,1,"alpha","omega psi"]]"#
        );
    }

    #[test]
    fn lines_come_and_go() {
        assert_eq!(rows("", "x\n"), r#"[["+",1,"x"]]"#);
        assert_eq!(rows("x\n", ""), r#"[["-",1,"x"]]"#);
        let long: String = (0..9).map(|n| format!("{n}\n")).collect();
        let last = rows(&long, &(long.clone() + "end\n"));
        assert_eq!(
            last,
            r#"[["@","line 7"],["=",7,7,"6"],["=",8,8,"7"],["=",9,9,"8"],["+",10,"end"]]"#
        );
    }

    #[test]
    fn a_prepared_difference_is_read() {
        let diff = Difference {
            prepared: Some("--- a\n+++ b\n@@ -1 +1 @@\n same\n-x = 1\n+x = 2\n+y\n".to_owned()),
            ..Difference::default()
        };
        let value: Value = serde_json::from_str(&json(&diff)).unwrap();
        assert_eq!(
            value["r"].to_string(),
            r#"[["@","--- a"],["@","+++ b"],["@","@@ -1 +1 @@"],["=",0,0,"same"],["~",0,0,["x = ","1"],["x = ","2"]],["+",0,"y"]]"#
        );
    }
}
