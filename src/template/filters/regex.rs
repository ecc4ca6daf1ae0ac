//! Regular expressions, in Python's syntax.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rplay_modules::regex::{Flags, Regex, TooLong};

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

/// The pattern that is asked for, none if it is left out.
fn pattern(args: &Args, name: &str) -> Result<String, Fault> {
    match args.get(1, name) {
        None => Ok(String::new()),
        Some(Value::Str(text)) => Ok(text.as_str().to_owned()),
        Some(Value::List(_) | Value::Tuple(_)) => Err(Fault::new("unhashable type: 'list'")),
        Some(Value::Dict(_)) => Err(Fault::new("unhashable type: 'dict'")),
        Some(_) => Err(Fault::new(
            "first argument must be string or compiled pattern",
        )),
    }
}

/// A compiled pattern, kept.
pub(crate) fn compile(pattern: &str, flags: Flags) -> Result<Arc<Regex>, Fault> {
    type Kept = RwLock<HashMap<(String, Flags), Arc<Regex>>>;
    static CACHE: LazyLock<Kept> = LazyLock::new(RwLock::default);
    let key = (pattern.to_owned(), flags);
    let kept = CACHE.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(regex) = kept.get(&key) {
        return Ok(Arc::clone(regex));
    }
    drop(kept);
    let regex = Arc::new(Regex::new(pattern, flags).map_err(Fault::new)?);
    let mut kept = CACHE.write().unwrap_or_else(PoisonError::into_inner);
    kept.insert(key, Arc::clone(&regex));
    Ok(regex)
}

/// The flags that two arguments ask for.
fn flags(args: &Args, ignore_case: usize, multi_line: usize) -> Flags {
    Flags {
        ignore_case: args.truth(ignore_case, "ignorecase", false),
        multi_line: args.truth(multi_line, "multiline", false),
        ..Flags::default()
    }
}

fn too_long(error: TooLong) -> Fault {
    Fault::new(error.to_string())
}

/// The tests `match`, `search` and `regex`.
pub(crate) fn test(args: &Args, mode: Mode) -> Result<bool, Fault> {
    let text = args.operand().text();
    let pattern = pattern(args, "pattern")?;
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
    // A mistake is told of the pattern as it was written.
    let flags = flags(args, 2, 3);
    let regex = compile(&full, flags).or_else(|_| compile(&pattern, flags))?;
    Ok(regex.captures(&text).map_err(too_long)?.is_some())
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
    let pattern = pattern(args, "pattern")?;
    let with = match args.get(2, "replacement") {
        None => String::new(),
        Some(Value::Str(text)) => text.as_str().to_owned(),
        Some(Value::List(_)) => return Err(Fault::new("unhashable type: 'list'")),
        Some(Value::Dict(_)) => return Err(Fault::new("unhashable type: 'dict'")),
        Some(other) => {
            return Err(Fault::new(format!(
                "decoding to str: need a bytes-like object, {} found",
                other.type_name()
            )));
        }
    };
    let regex = compile(&pattern, flags(args, 3, 4))?;
    let (out, count) = match usize::try_from(args.index(5, "count", 0)?) {
        Ok(most) => regex.replace(&text, &with, most).map_err(Fault::new)?,
        // Less than none is none, and none is all.
        Err(_) => (text.clone(), 0),
    };
    let wanted = args.int(6, "mandatory_count", 0)?;
    if wanted > 0 && i128::from(count as u64) != wanted {
        return Err(Fault::new(format!(
            "'{pattern}' should match {wanted} times, but matches {count} times in '{text}'"
        )));
    }
    Ok(Value::str(out))
}

fn search(args: &Args) -> Outcome {
    if args.get(1, "regex").is_none() {
        return Err(Fault::new(
            "regex_search() missing 1 required positional argument: 'regex'",
        ));
    }
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| !matches!(name.as_str(), "regex" | "ignorecase" | "multiline"))
    {
        return Err(Fault::new(format!(
            "regex_search() got an unexpected keyword argument '{name}'"
        )));
    }
    let text = args.operand().text();
    let groups = args.pos.get(2..).unwrap_or_default();
    let groups: Vec<Wanted> = groups.iter().map(wanted).collect::<Result<_, _>>()?;
    let flags = flags(args, usize::MAX, usize::MAX);
    let regex = compile(&pattern(args, "regex")?, flags)?;
    let Some(found) = regex.captures(&text).map_err(too_long)? else {
        return Ok(Value::None);
    };
    if groups.is_empty() {
        return Ok(Value::str(found.get(0).unwrap_or_default()));
    }
    let mut out = Vec::new();
    for group in groups {
        let value = match &group {
            Wanted::Number(index) if *index >= found.len() => {
                return Err(Fault::new("no such group"));
            }
            Wanted::Number(index) => found.get(*index),
            Wanted::Name(name) => match found.number(name) {
                Some(index) => found.get(index),
                None => return Err(Fault::new("no such group")),
            },
        };
        out.push(value.map_or(Value::None, Value::str));
    }
    Ok(Value::list(out))
}

/// A group that `regex_search` is asked for.
enum Wanted {
    Number(usize),
    Name(String),
}

fn wanted(group: &Value) -> Result<Wanted, Fault> {
    let unread = || Fault::new("'NoneType' object has no attribute 'group'");
    let Value::Str(text) = group else {
        return Err(Fault::new(format!(
            "'{}' object has no attribute 'startswith'",
            group.type_name()
        )));
    };
    let text = text.as_str();
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
    let regex = compile(&pattern(args, "regex")?, flags(args, 3, 2))?;
    let mut out = Vec::new();
    for found in regex.all(&text).map_err(too_long)? {
        let group = |index: usize| Value::str(found.get(index).unwrap_or_default());
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
