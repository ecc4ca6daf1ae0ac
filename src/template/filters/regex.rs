//! Regular expressions, in Python's syntax.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use fancy_regex::Regex;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::value::Value;

super::filters! {
    "regex_replace": "with matches replaced" => |_, a| replace(a);
    "regex_search": "the first match, or nothing" => |_, a| search(a);
    "regex_findall": "all matches" => |_, a| find_all(a);
    "regex_escape": "with special characters escaped" => |_, a| escape(a);
}

/// How a test looks for a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Match,
    Search,
    Asked,
}

/// A compiled pattern, kept.
pub(crate) fn compile(
    pattern: &str,
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
) -> Result<Arc<Regex>, Fault> {
    static CACHE: LazyLock<RwLock<HashMap<String, Arc<Regex>>>> = LazyLock::new(RwLock::default);
    let mut flags = String::new();
    flags.extend(ignore_case.then_some('i'));
    flags.extend(multi_line.then_some('m'));
    flags.extend(dot_all.then_some('s'));
    let full = if flags.is_empty() {
        translate(pattern)
    } else {
        format!("(?{flags}){}", translate(pattern))
    };
    if let Some(regex) = CACHE
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&full)
    {
        return Ok(Arc::clone(regex));
    }
    let regex = Regex::new(&full).map_err(|error| {
        // Python's words for the mistake that is made most often.
        Fault::new(match unclosed(pattern) {
            Some(place) => format!("missing ), unterminated subpattern at position {place}"),
            None => format!("invalid regular expression '{pattern}': {error}"),
        })
    })?;
    let regex = Arc::new(regex);
    CACHE
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(full, Arc::clone(&regex));
    Ok(regex)
}

/// Where the last group begins that nothing closes.
fn unclosed(pattern: &str) -> Option<usize> {
    let (mut open, mut class, mut escaped) = (Vec::new(), false, false);
    for (at, c) in pattern.chars().enumerate() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => open.push(at),
            ')' if !class => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}

/// Python's syntax in the library's: `\Z`, literal `[` in classes, `{` without a count.
fn translate(pattern: &str) -> String {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut out, mut at, mut class) = (String::with_capacity(pattern.len() + 4), 0, false);
    while at < chars.len() {
        let c = chars[at];
        match c {
            '\\' if at + 1 < chars.len() => {
                match chars[at + 1] {
                    'Z' if !class => out.push_str("\\z"),
                    next @ ('"' | '\'' | '/' | '@' | ':' | '=' | ',' | ';' | '!' | '%' | '<'
                    | '>' | '`' | '_') => {
                        if "<>".contains(next)
                            || next.is_alphanumeric()
                            || next == '_'
                            || "'\"/@:=,;!%`".contains(next)
                        {
                            out.push(next);
                        }
                    }
                    next => {
                        out.push('\\');
                        out.push(next);
                    }
                }
                at += 2;
                continue;
            }
            '[' if class => out.push_str("\\["),
            '[' => {
                class = true;
                out.push('[');
                if chars.get(at + 1) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                if chars.get(at + 1) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class && chars.get(at + 1) == Some(&c) => {
                out.push('\\');
                out.push(c);
            }
            '{' if !class && !counts(&chars[at + 1..]) => out.push_str("\\{"),
            '}' if !class && !closes(&chars[..at]) => out.push_str("\\}"),
            '$' if !class => out.push('$'),
            c => out.push(c),
        }
        at += 1;
    }
    out
}

fn counts(rest: &[char]) -> bool {
    let end = rest.iter().position(|c| *c == '}');
    end.is_some_and(|end| {
        end > 0 && rest[..end].iter().all(|c| c.is_ascii_digit() || *c == ',') && rest[0] != ','
    })
}

fn closes(before: &[char]) -> bool {
    before
        .iter()
        .rposition(|c| *c == '{')
        .is_some_and(|open| counts(&[&before[open + 1..], &['}'][..]].concat()))
}

/// The tests `match`, `search` and `regex`.
pub(crate) fn test(args: &Args, mode: Mode) -> Result<bool, Fault> {
    let text = args.operand().text();
    let pattern = args.get(1, "pattern").map(Value::text).unwrap_or_default();
    let kind = match mode {
        Mode::Match => "match".to_owned(),
        Mode::Search => "search".to_owned(),
        Mode::Asked => args.text(4, "match_type", "search"),
    };
    if !matches!(kind.as_str(), "search" | "match" | "fullmatch") {
        return Err(Fault::new(
            "Invalid match_type specified. Expected one of: search, match, fullmatch.",
        ));
    }
    let full = match kind.as_str() {
        "match" => format!("\\A(?:{pattern})"),
        "fullmatch" => format!("\\A(?:{pattern})\\Z"),
        _ => pattern.clone(),
    };
    let (fold, lines) = (
        args.truth(2, "ignorecase", false),
        args.truth(3, "multiline", false),
    );
    // A mistake is told of the pattern as it was written.
    let regex =
        compile(&full, fold, lines, false).or_else(|_| compile(&pattern, fold, lines, false))?;
    regex
        .is_match(&text)
        .map_err(|error| Fault::new(error.to_string()))
}

/// All matches as Python finds them: an empty one may follow one that is not empty at once.
fn all<'t>(regex: &Regex, text: &'t str) -> Result<Vec<fancy_regex::Captures<'t, str>>, Fault> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at <= text.len() {
        let found = regex
            .captures_from_pos(text, at)
            .map_err(|error| Fault::new(error.to_string()))?;
        let Some(found) = found else { break };
        let Some(whole) = found.get(0) else { break };
        at = if whole.start() == whole.end() {
            whole.end() + text[whole.end()..].chars().next().map_or(1, char::len_utf8)
        } else {
            whole.end()
        };
        out.push(found);
    }
    Ok(out)
}

fn replace(args: &Args) -> Outcome {
    args.check(
        6,
        &[
            "pattern",
            "replacement",
            "ignorecase",
            "multiline",
            "count",
            "mandatory_count",
        ],
    )?;
    let text = args.operand().text();
    let (pattern, with) = (args.text(1, "pattern", ""), args.text(2, "replacement", ""));
    let regex = compile(
        &pattern,
        args.truth(3, "ignorecase", false),
        args.truth(4, "multiline", false),
        false,
    )?;
    let most = usize::try_from(args.int(5, "count", 0)?).unwrap_or(0);
    let parts = replacement(&with, &regex);
    let (mut out, mut end, mut count) = (String::new(), 0, 0);
    for found in all(&regex, &text)? {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[end..whole.start()]);
        for part in &parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Group(group) => {
                    if *group >= found.len() {
                        return Err(Fault::new(format!(
                            "invalid group reference {group} at position 1"
                        )));
                    }
                    out.push_str(found.get(*group).map_or("", |group| group.as_str()));
                }
            }
        }
        end = whole.end();
        count += 1;
        if count == most {
            break;
        }
    }
    out.push_str(&text[end..]);
    let wanted = args.int(6, "mandatory_count", 0)?;
    if wanted > 0 && i128::from(count as u64) != wanted {
        return Err(Fault::new(format!(
            "'{pattern}' should match {wanted} times, but matches {count} times in '{text}'"
        )));
    }
    Ok(Value::str(out))
}

enum Part {
    Text(String),
    Group(usize),
}

/// Python's replacement text: `\1`, `\g<name>`, escapes.
fn replacement(with: &str, regex: &Regex) -> Vec<Part> {
    let names: Vec<Option<&str>> = regex.capture_names().collect();
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), with);
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits: String = rest
            .chars()
            .take(2)
            .take_while(char::is_ascii_digit)
            .collect();
        if let Ok(group) = digits.parse::<usize>() {
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Group(group));
            rest = &rest[digits.len()..];
        } else if let Some((name, after)) = rest
            .strip_prefix("g<")
            .and_then(|rest| rest.split_once('>'))
        {
            let group = name
                .parse()
                .ok()
                .or_else(|| names.iter().position(|known| *known == Some(name)))
                .unwrap_or(usize::MAX);
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Group(group));
            rest = after;
        } else {
            let c = rest.chars().next();
            match c {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('r') => text.push('\r'),
                Some('\\') | None => text.push('\\'),
                Some(c) => {
                    text.push('\\');
                    text.push(c);
                }
            }
            rest = c.map_or("", |c| &rest[c.len_utf8()..]);
        }
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    parts
}

fn search(args: &Args) -> Outcome {
    let text = args.operand().text();
    let regex = compile(
        &args.text(1, "regex", ""),
        args.truth(usize::MAX, "ignorecase", false),
        args.truth(usize::MAX, "multiline", false),
        false,
    )?;
    let groups = args
        .pos
        .get(2..)
        .unwrap_or_default()
        .iter()
        .map(|group| wanted(&group.text()))
        .collect::<Result<Vec<Wanted>, Fault>>()?;
    let Some(found) = regex
        .captures(&text)
        .map_err(|error| Fault::new(error.to_string()))?
    else {
        return Ok(Value::None);
    };
    if groups.is_empty() {
        return Ok(Value::str(found.get(0).map_or("", |found| found.as_str())));
    }
    let mut out = Vec::new();
    for group in groups {
        let value = match &group {
            Wanted::Number(index) if *index >= found.len() => {
                return Err(Fault::new("no such group"));
            }
            Wanted::Number(index) => found.get(*index),
            Wanted::Name(name) if !regex.capture_names().flatten().any(|known| known == name) => {
                return Err(Fault::new("no such group"));
            }
            Wanted::Name(name) => found.name(name),
        };
        out.push(value.map_or(Value::None, |value| Value::str(value.as_str())));
    }
    Ok(Value::list(out))
}

/// A group that `regex_search` is asked for.
enum Wanted {
    Number(usize),
    Name(String),
}

fn wanted(text: &str) -> Result<Wanted, Fault> {
    let unread = || Fault::new("'NoneType' object has no attribute 'group'");
    let Some(rest) = text.strip_prefix('\\') else {
        return Err(Fault::new("Unknown argument"));
    };
    if rest.starts_with('g') {
        let name = rest
            .strip_prefix("g<")
            .and_then(|name| name.split_once('>'));
        let (name, _) = name
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(unread)?;
        return Ok(name
            .parse()
            .map_or_else(|_| Wanted::Name(name.to_owned()), Wanted::Number));
    }
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().map(Wanted::Number).map_err(|_| unread())
}

fn find_all(args: &Args) -> Outcome {
    let text = args.operand().text();
    let regex = compile(
        &args.text(1, "regex", ""),
        args.truth(3, "ignorecase", false),
        args.truth(2, "multiline", false),
        false,
    )?;
    let mut out = Vec::new();
    for found in all(&regex, &text)? {
        let group = |index: usize| Value::str(found.get(index).map_or("", |group| group.as_str()));
        out.push(match found.len() {
            1 => group(0),
            2 => group(1),
            count => Value::tuple((1..count).map(group).collect()),
        });
    }
    Ok(Value::list(out))
}

fn escape(args: &Args) -> Outcome {
    let text = args.operand().text();
    let special = match args.text(1, "re_type", "python").as_str() {
        "python" => "\\.^$*+?{}[]|()-&#~ \t\n\r\u{b}\u{c}",
        "posix_basic" => "[].^$*\\",
        "posix_extended" => {
            return Err(Fault::new(
                "Regex type (posix_extended) not yet implemented",
            ));
        }
        other => return Err(Fault::new(format!("Invalid regex type ({other})"))),
    };
    let mut out = String::new();
    for c in text.chars() {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(Value::str(out))
}
