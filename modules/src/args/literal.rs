//! Literals of JSON and Python, for dictionaries that users write as text.

use crate::data::{Data, Map};

/// How deep lists and dictionaries may nest.
const MAX_DEPTH: u32 = 64;

/// The value of a text that is one literal; nothing for any other text.
pub(super) fn parse_literal(text: &str) -> Option<Data> {
    let mut rest = text;
    let value = value(&mut rest, MAX_DEPTH)?;
    rest.trim().is_empty().then_some(value)
}

fn value(rest: &mut &str, depth: u32) -> Option<Data> {
    let depth = depth.checked_sub(1)?;
    skip_space(rest);
    match rest.chars().next()? {
        '{' => dict(rest, depth),
        '[' => list(rest, ']', depth),
        '(' => list(rest, ')', depth),
        '"' | '\'' => text(rest).map(Data::Str),
        _ => word(rest),
    }
}

fn skip_space(rest: &mut &str) {
    *rest = rest.trim_start();
}

/// Takes one character when it is the next, white space skipped.
fn take(rest: &mut &str, letter: char) -> bool {
    skip_space(rest);
    let found = rest.strip_prefix(letter);
    *rest = found.unwrap_or(rest);
    found.is_some()
}

fn dict(rest: &mut &str, depth: u32) -> Option<Data> {
    let mut map = Map::new();
    take(rest, '{');
    while !take(rest, '}') {
        let key = value(rest, depth)?;
        if !take(rest, ':') {
            return None;
        }
        map.insert(key.text(), value(rest, depth)?);
        if !take(rest, ',') {
            return take(rest, '}').then_some(Data::Map(map));
        }
    }
    Some(Data::Map(map))
}

fn list(rest: &mut &str, end: char, depth: u32) -> Option<Data> {
    let mut items = Vec::new();
    *rest = &rest[1..];
    while !take(rest, end) {
        items.push(value(rest, depth)?);
        if !take(rest, ',') {
            return take(rest, end).then_some(Data::List(items));
        }
    }
    Some(Data::List(items))
}

fn text(rest: &mut &str) -> Option<String> {
    let mut letters = rest.char_indices();
    let (_, quote) = letters.next()?;
    let mut out = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => {
                *rest = &rest[at + 1..];
                return Some(out);
            }
            '\\' => match letters.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let digits: String = letters.by_ref().take(4).map(|(_, digit)| digit).collect();
                    out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

fn word(rest: &mut &str) -> Option<Data> {
    let end = rest
        .find(|letter: char| !(letter.is_alphanumeric() || "+-._".contains(letter)))
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    match word {
        "None" | "null" => Some(Data::Null),
        "True" | "true" => Some(Data::Bool(true)),
        "False" | "false" => Some(Data::Bool(false)),
        _ if !word
            .starts_with(|letter: char| letter.is_ascii_digit() || "+-.".contains(letter)) =>
        {
            None
        }
        _ => word
            .parse()
            .map(Data::Int)
            .or_else(|_| word.parse().map(Data::Float))
            .ok(),
    }
}
