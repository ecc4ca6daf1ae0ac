//! The methods of Python's text.

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::value::{Entries, Key, Value};
use super::super::{filters, format, limits};
use super::{bounds, index};

/// A flat dispatch over the methods of text.
#[expect(clippy::too_many_lines, reason = "a flat table of methods")]
pub(super) fn call(interp: &Interp<'_>, text: &str, name: &str, args: &Args) -> Outcome {
    let all = |test: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(test));
    Ok(match name {
        "split" | "rsplit" => split(text, args, name == "rsplit")?,
        "splitlines" => {
            let keep = args.truth(0, "keepends", false);
            Value::list(lines(text, keep).into_iter().map(Value::str).collect())
        }
        "strip" | "lstrip" | "rstrip" => Value::str(stripped(text, name, args)?),
        "upper" => Value::str(text.to_uppercase()),
        "lower" => Value::str(text.to_lowercase()),
        "casefold" => Value::str(text.to_lowercase().replace('ß', "ss")),
        "title" => Value::str(python_title(text)),
        "capitalize" => Value::str(filters::text::capitalized(text)),
        "swapcase" => Value::str(swapped(text)),
        "startswith" | "endswith" => Value::Bool(at_edge(text, name, args)?),
        "replace" => {
            let (from, to) = (
                needed_text(args, 0, "old", name)?,
                needed_text(args, 1, "new", name)?,
            );
            let count = args.get(2, "count").map(super::integer).transpose()?;
            let most = count.and_then(|count| usize::try_from(count).ok());
            Value::str(limits::replace(text, from, to, most)?)
        }
        "format" => Value::str(formatted(interp, text, args, false)?),
        "format_map" => {
            let kw = match args.operand() {
                Value::Dict(map) => map
                    .read()
                    .iter()
                    .map(|(key, value)| (key.0.text(), value.clone()))
                    .collect(),
                _ if text.contains(['{', '}']) => {
                    return Err(Fault::new("format_map() argument must be a mapping"));
                }
                _ => vec![],
            };
            Value::str(formatted(interp, text, &Args { pos: vec![], kw }, true)?)
        }
        "join" => Value::str(joined(interp, text, args.operand())?),
        "find" | "rfind" | "index" | "rindex" => match found(text, name, args)? {
            Some(at) => Value::from(at),
            None if name.ends_with("find") => Value::Int(-1),
            None => return Err(Fault::new("substring not found")),
        },
        "count" => {
            let part = needed_text(args, 0, "", name)?;
            let inside = within(text, args)?;
            Value::from(match inside {
                None => 0,
                Some((_, inside)) if part.is_empty() => inside.chars().count() + 1,
                Some((_, inside)) => inside.matches(part).count(),
            })
        }
        "ljust" | "rjust" | "center" | "zfill" => justified(text, name, args)?,
        "partition" | "rpartition" => parted(text, name, args.operand())?,
        "isdigit" => all(|c| decimal(c) || "²³¹⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉".contains(c)),
        "isdecimal" => all(decimal),
        "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(space),
        "isprintable" => Value::Bool(text.chars().all(super::super::print::printable)),
        "isupper" => Value::Bool(
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        ),
        "islower" => Value::Bool(
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        ),
        "istitle" => Value::Bool(
            text.chars().any(|c| c.is_uppercase() || c.is_lowercase())
                && python_title(text) == *text,
        ),
        "isidentifier" => Value::Bool(
            !text.is_empty()
                && !text.starts_with(|c: char| c.is_numeric())
                && text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        "isascii" => Value::Bool(text.is_ascii()),
        "removeprefix" | "removesuffix" => {
            let part = args.operand();
            let Some(part) = part.as_str() else {
                return Err(Fault::new(format!(
                    "{name}() argument must be str, not {}",
                    part.argument_name()
                )));
            };
            let rest = match name {
                "removeprefix" => text.strip_prefix(part),
                _ => text.strip_suffix(part),
            };
            Value::str(rest.unwrap_or(text))
        }
        "encode" => {
            for (at, argument) in ["encoding", "errors"].into_iter().enumerate() {
                if let Some(value) = args
                    .get(at, argument)
                    .filter(|value| value.as_str().is_none())
                {
                    return Err(Fault::new(format!(
                        "encode() argument '{argument}' must be str, not {}",
                        value.argument_name()
                    )));
                }
            }
            let encoding = args.text(0, "encoding", "utf-8");
            Value::Bytes(filters::encode::encoded(text, &encoding)?.into())
        }
        "maketrans" => table(args)?,
        "translate" => Value::str(translated(interp, text, args.operand())?),
        "expandtabs" => {
            let width = args.get(0, "tabsize").map_or(Ok(8), super::integer)?;
            Value::str(expanded(text, usize::try_from(width).unwrap_or(0))?)
        }
        _ => return Ok(Value::None),
    })
}

/// White space as Python has it.
fn space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// A decimal digit of any script, as far as the digits of a script stand together from a place ending in 0 or 6.
fn decimal(c: char) -> bool {
    let code = u32::from(c);
    if c.is_ascii() {
        return c.is_ascii_digit();
    }
    let block = |start: u32| (start..start + 10).contains(&code);
    DIGITS.iter().any(|start| block(*start))
}

/// Where the ten decimal digits of each script begin.
#[rustfmt::skip]
const DIGITS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
    0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
    0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
    0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950, 0x1fbf0,
];

fn needed_text<'a>(
    args: &'a Args,
    at: usize,
    argument: &str,
    method: &str,
) -> Result<&'a str, Fault> {
    let value = args.get(at, argument).unwrap_or(&Value::None);
    value.as_str().ok_or_else(|| {
        Fault::new(format!(
            "{method}() argument {} must be str, not {}",
            at + 1,
            value.argument_name()
        ))
    })
}

/// The text between the places of the second and the third argument, and its first character's place.
fn within<'t>(text: &'t str, args: &Args) -> Result<Option<(usize, &'t str)>, Fault> {
    if args.pos.len() < 2 {
        return Ok(Some((0, text)));
    }
    let Some((from, to)) = bounds(args, text.chars().count(), true)? else {
        return Ok(None);
    };
    let byte = |place: usize| {
        let mut places = text.char_indices().map(|(at, _)| at);
        places.nth(place).unwrap_or(text.len())
    };
    Ok(text.get(byte(from)..byte(to)).map(|part| (from, part)))
}

fn found(text: &str, name: &str, args: &Args) -> Result<Option<usize>, Fault> {
    let part = needed_text(args, 0, "", name)?;
    let Some((from, inside)) = within(text, args)? else {
        return Ok(None);
    };
    let at = match name.starts_with('r') {
        true => inside.rfind(part),
        false => inside.find(part),
    };
    Ok(at.map(|at| from + inside[..at].chars().count()))
}

fn at_edge(text: &str, name: &str, args: &Args) -> Result<bool, Fault> {
    let inside = within(text, args)?.map(|(_, inside)| inside);
    let one = |part: &str| match name {
        "startswith" => inside.is_some_and(|text| text.starts_with(part)),
        _ => inside.is_some_and(|text| text.ends_with(part)),
    };
    match args.operand() {
        Value::Str(part) => Ok(one(part.as_str())),
        Value::Tuple(parts) => {
            let mut any = false;
            for part in parts.iter() {
                let Some(part) = part.as_str() else {
                    return Err(Fault::new(format!(
                        "tuple for {name} must only contain str, not {}",
                        part.type_name()
                    )));
                };
                any |= one(part);
            }
            Ok(any)
        }
        other => Err(Fault::new(format!(
            "{name} first arg must be str or a tuple of str, not {}",
            other.type_name()
        ))),
    }
}

fn stripped<'t>(text: &'t str, name: &str, args: &Args) -> Result<&'t str, Fault> {
    let set = match args.pos.first() {
        None | Some(Value::None) => None,
        Some(Value::Str(set)) => Some(set.as_str()),
        Some(_) => return Err(Fault::new(format!("{name} arg must be None or str"))),
    };
    let drop = |c: char| set.map_or_else(|| space(c), |set| set.contains(c));
    Ok(match name {
        "strip" => text.trim_matches(drop),
        "lstrip" => text.trim_start_matches(drop),
        _ => text.trim_end_matches(drop),
    })
}

fn swapped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c.is_uppercase() {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
    }
    out
}

fn joined(interp: &Interp<'_>, text: &str, items: &Value) -> Result<String, Fault> {
    let items = interp
        .iterate(items)
        .map_err(|fault| match fault.as_undefined() {
            Some(_) => fault,
            None => Fault::new("can only join an iterable"),
        })?;
    let mut parts = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if let Value::Undefined(undefined) = item {
            return Err(Fault::undefined(undefined));
        }
        parts.push(item.as_str().map(ToOwned::to_owned).ok_or_else(|| {
            Fault::new(format!(
                "sequence item {index}: expected str instance, {} found",
                item.type_name()
            ))
        })?);
    }
    let length: usize = parts.iter().map(|part| part.len() + text.len()).sum();
    limits::text(length)?;
    Ok(parts.join(text))
}

fn parted(text: &str, name: &str, mark: &Value) -> Outcome {
    let Some(mark) = mark.as_str() else {
        return Err(Fault::new(format!("must be str, not {}", mark.type_name())));
    };
    if mark.is_empty() {
        return Err(Fault::new("empty separator"));
    }
    let parts = match name {
        "partition" => text.split_once(mark),
        _ => text.rsplit_once(mark),
    };
    Ok(match (parts, name) {
        (Some((before, after)), _) => Value::tuple(vec![before.into(), mark.into(), after.into()]),
        (None, "partition") => Value::tuple(vec![text.into(), "".into(), "".into()]),
        _ => Value::tuple(vec!["".into(), "".into(), text.into()]),
    })
}

/// What `maketrans` makes: the letters' numbers and what they become.
fn table(args: &Args) -> Outcome {
    let code = |c: char| Key(Value::Int(i128::from(u32::from(c))));
    let mut entries = Entries::new();
    let Some(to) = args.pos.get(1) else {
        let Value::Dict(map) = args.operand() else {
            let text = "if you give only one argument to maketrans it must be a dict";
            return Err(Fault::new(text));
        };
        for (key, value) in map.read().iter() {
            let key = match &key.0 {
                Value::Int(_) | Value::Bool(_) => key.clone(),
                Value::Str(text) => {
                    let mut letters = text.as_str().chars();
                    match (letters.next(), letters.next()) {
                        (Some(c), None) => code(c),
                        _ => {
                            let text = "string keys in translate table must be of length 1";
                            return Err(Fault::new(text));
                        }
                    }
                }
                _ => {
                    let text = "keys in translate table must be strings or integers";
                    return Err(Fault::new(text));
                }
            };
            entries.insert(key, value.clone());
        }
        return Ok(Value::dict(entries));
    };
    let to = to
        .as_str()
        .map_or_else(|| needed_text(args, 1, "", "maketrans"), Ok)?;
    let Some(from) = args.operand().as_str() else {
        let text = "first maketrans argument must be a string if there is a second argument";
        return Err(Fault::new(text));
    };
    if from.chars().count() != to.chars().count() {
        let text = "the first two maketrans arguments must have equal length";
        return Err(Fault::new(text));
    }
    for (from, to) in from.chars().zip(to.chars()) {
        entries.insert(code(from), code(to).0);
    }
    if args.pos.len() > 2 {
        for dropped in needed_text(args, 2, "", "maketrans")?.chars() {
            entries.insert(code(dropped), Value::None);
        }
    }
    Ok(Value::dict(entries))
}

fn translated(interp: &Interp<'_>, text: &str, table: &Value) -> Result<String, Fault> {
    if !text.is_empty()
        && !matches!(
            table,
            Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Str(_) | Value::Object(_)
        )
    {
        let kind = table.type_name();
        return Err(Fault::new(format!("'{kind}' object is not subscriptable")));
    }
    let mut out = String::new();
    for c in text.chars() {
        match interp.item(table, &Value::Int(c as i128))? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Int(code)) => out.extend(u32::try_from(code).ok().and_then(char::from_u32)),
            Some(other) => out.push_str(&other.text()),
        }
    }
    Ok(out)
}

/// Tabs as blanks up to the next column that a tab reaches.
fn expanded(text: &str, width: usize) -> Result<String, Fault> {
    let (mut out, mut column) = (String::new(), 0);
    for c in text.chars() {
        match c {
            '\t' if width > 0 => {
                let blanks = width - column % width;
                out.push_str(&limits::repeat(" ", blanks)?);
                column += blanks;
                limits::text(out.len())?;
            }
            '\t' => {}
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(out)
}

/// Lines as Python splits them.
pub(crate) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find([
            '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
            '\u{2029}',
        ]);
        let Some(at) = end else {
            out.push(rest);
            break;
        };
        let width = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        out.push(if keep {
            &rest[..at + width]
        } else {
            &rest[..at]
        });
        rest = &rest[at + width..];
    }
    out
}

/// A letter as words begin: where its capital form is several letters, only the first of them is one.
pub(crate) fn titled(c: char) -> String {
    let mut upper = c.to_uppercase();
    let first = upper.next().into_iter();
    first.chain(upper.flat_map(char::to_lowercase)).collect()
}

fn python_title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&titled(c));
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `split` and `rsplit`.
pub(crate) fn split(text: &str, args: &Args, from_end: bool) -> Outcome {
    let most = match args.get(1, "maxsplit") {
        Some(most @ (Value::Int(_) | Value::Bool(_))) => whole(most),
        Some(other) => Some(super::integer(other)?),
        None => None,
    };
    let most = most.and_then(|most| usize::try_from(most).ok());
    let parts: Vec<String> = match args.get(0, "sep") {
        None | Some(Value::None) => split_space(text, most, from_end),
        Some(Value::Str(mark)) if mark.as_str().is_empty() => {
            return Err(Fault::new("empty separator"));
        }
        Some(Value::Str(mark)) => match (most, from_end) {
            (None, _) => text.split(mark.as_str()).map(ToOwned::to_owned).collect(),
            (Some(most), false) => text
                .splitn(most + 1, mark.as_str())
                .map(ToOwned::to_owned)
                .collect(),
            (Some(most), true) => {
                let mut parts: Vec<String> = text
                    .rsplitn(most + 1, mark.as_str())
                    .map(ToOwned::to_owned)
                    .collect();
                parts.reverse();
                parts
            }
        },
        Some(other) => {
            return Err(Fault::new(format!(
                "must be str or None, not {}",
                other.type_name()
            )));
        }
    };
    Ok(Value::list(parts.into_iter().map(Value::from).collect()))
}

fn split_space(text: &str, most: Option<usize>, from_end: bool) -> Vec<String> {
    let Some(most) = most else {
        return text
            .split(space)
            .filter(|part| !part.is_empty())
            .map(ToOwned::to_owned)
            .collect();
    };
    let (mut rest, mut out) = (text, Vec::new());
    while out.len() < most {
        rest = if from_end {
            rest.trim_end_matches(space)
        } else {
            rest.trim_start_matches(space)
        };
        let found = if from_end {
            rest.rsplit_once(space).map(|(rest, part)| (part, rest))
        } else {
            rest.split_once(space)
        };
        let Some((part, after)) = found else { break };
        out.push(part.to_owned());
        rest = after;
    }
    let rest = if from_end {
        rest.trim_end_matches(space)
    } else {
        rest.trim_start_matches(space)
    };
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
    if from_end {
        out.reverse();
    }
    out
}

fn justified(text: &str, name: &str, args: &Args) -> Outcome {
    let width = index(args, 0)?.and_then(|width| usize::try_from(width).ok());
    let width = width.unwrap_or(0);
    let fill = match args.pos.get(1) {
        None => " ",
        Some(Value::Str(fill)) if fill.as_str().chars().count() == 1 => fill.as_str(),
        Some(Value::Str(_)) => {
            let text = "The fill character must be exactly one character long";
            return Err(Fault::new(text));
        }
        Some(other) => {
            return Err(Fault::new(format!(
                "The fill character must be a unicode character, not {}",
                other.type_name()
            )));
        }
    };
    let missing = width.saturating_sub(text.chars().count());
    Ok(Value::str(match name {
        "ljust" => text.to_owned() + &limits::repeat(fill, missing)?,
        "rjust" => limits::repeat(fill, missing)? + text,
        "zfill" => {
            let at = usize::from(text.starts_with(['-', '+']));
            format!(
                "{}{}{}",
                &text[..at],
                limits::repeat("0", missing)?,
                &text[at..]
            )
        }
        _ => {
            let left = missing / 2 + (missing & width & 1);
            limits::repeat(fill, left)? + text + &limits::repeat(fill, missing - left)?
        }
    }))
}

fn formatted(interp: &Interp<'_>, text: &str, args: &Args, map: bool) -> Result<String, Fault> {
    let (mut next, mut manual) = (0, false);
    let mut field = |path: &str| -> Outcome {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, rest) = path.split_at(end);
        let number = name.parse::<usize>();
        if map && (name.is_empty() || number.is_ok()) {
            return Err(Fault::new("Format string contains positional fields"));
        }
        let at = |index: usize| {
            args.pos.get(index).cloned().ok_or_else(|| {
                format!("Replacement index {index} out of range for positional args tuple")
            })
        };
        let value = if name.is_empty() {
            if manual {
                let text =
                    "cannot switch from manual field specification to automatic field numbering";
                return Err(Fault::new(text));
            }
            next += 1;
            at(next - 1)?
        } else if let Ok(index) = number {
            if next > 0 {
                let text =
                    "cannot switch from automatic field numbering to manual field specification";
                return Err(Fault::new(text));
            }
            manual = true;
            at(index)?
        } else {
            args.named(name)
                .cloned()
                .ok_or_else(|| Value::str(name).repr())?
        };
        followed(interp, value, rest)
    };
    format::braces(text, &mut field)
}

/// What the attributes and items behind a field's name come to.
fn followed(interp: &Interp<'_>, mut value: Value, mut rest: &str) -> Outcome {
    while !rest.is_empty() {
        let Some(inside) = rest.strip_prefix('[') else {
            let inside = rest
                .strip_prefix('.')
                .ok_or("Only '.' or '[' may follow ']' in format field specifier")?;
            let end = inside.find(['.', '[']).unwrap_or(inside.len());
            let (name, after) = inside.split_at(end);
            if name.is_empty() {
                return Err(Fault::new("Empty attribute in format string"));
            }
            let whole = matches!(&value, Value::Dict(dict) if dict.get(name).is_some());
            value = match interp.attr(&value, name)? {
                found if !found.is_undefined() || whole => found,
                _ => {
                    let kind = value.type_name();
                    return Err(Fault::new(format!(
                        "'{kind}' object has no attribute '{name}'"
                    )));
                }
            };
            rest = after;
            continue;
        };
        let (key, after) = inside
            .split_once(']')
            .ok_or("Missing ']' in format string")?;
        if key.is_empty() {
            return Err(Fault::new("Empty attribute in format string"));
        }
        let index = key.parse::<usize>().ok().map(Value::from);
        let name = value.type_name();
        value = match (&value, &index) {
            (Value::Str(_), None) => {
                return Err(Fault::new("string indices must be integers, not 'str'"));
            }
            (Value::List(_) | Value::Tuple(_), None) => {
                return Err(Fault::new(format!(
                    "{name} indices must be integers or slices, not str"
                )));
            }
            (Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_), _) => {
                return Err(Fault::new(format!("'{name}' object is not subscriptable")));
            }
            (value, _) => {
                let key = index.unwrap_or_else(|| Value::str(key));
                match interp.subscript(value, &key)? {
                    Value::Undefined(_) => {
                        return Err(Fault::new(match value {
                            Value::Dict(_) => key.repr(),
                            Value::Str(_) => "string index out of range".to_owned(),
                            _ => format!("{name} index out of range"),
                        }));
                    }
                    found => found,
                }
            }
        };
        rest = after;
    }
    Ok(value)
}
