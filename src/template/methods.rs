//! Python's methods of text, lists and dictionaries.

use std::sync::Arc;

use super::args::{Args, whole};
use super::eval::Interp;
use super::fault::{Fault, Outcome};
use super::value::{Dict, Key, List, Value};
use super::{filters, format, limits, ops};

const TEXT: &[&str] = &[
    "split",
    "rsplit",
    "splitlines",
    "strip",
    "lstrip",
    "rstrip",
    "upper",
    "lower",
    "title",
    "capitalize",
    "swapcase",
    "startswith",
    "endswith",
    "replace",
    "format",
    "join",
    "find",
    "rfind",
    "index",
    "rindex",
    "count",
    "ljust",
    "rjust",
    "center",
    "zfill",
    "partition",
    "rpartition",
    "isdigit",
    "isalpha",
    "isalnum",
    "isnumeric",
    "isdecimal",
    "isspace",
    "isupper",
    "islower",
    "removeprefix",
    "removesuffix",
    "encode",
    "casefold",
    "expandtabs",
    "istitle",
    "isidentifier",
    "isascii",
    "format_map",
    "translate",
];
const LIST: &[&str] = &[
    "append", "extend", "insert", "pop", "remove", "index", "count", "reverse", "sort", "copy",
    "clear",
];
const DICT: &[&str] = &[
    "get",
    "items",
    "keys",
    "values",
    "update",
    "pop",
    "copy",
    "setdefault",
    "clear",
    "popitem",
    "fromkeys",
];
const TUPLE: &[&str] = &["index", "count"];
const CHANGING: &[&str] = &[
    ".append(",
    ".extend(",
    ".insert(",
    ".pop(",
    ".remove(",
    ".reverse(",
    ".sort(",
    ".clear(",
    ".update(",
    ".setdefault(",
    ".popitem(",
];

/// Whether a template's text calls a method that changes its receiver.
pub(crate) fn mutates(text: &str) -> bool {
    text.contains('.') && CHANGING.iter().any(|call| text.contains(call))
}

/// Whether a value has a method of that name.
pub(crate) fn exists(value: &Value, name: &str) -> bool {
    match value {
        Value::Str(_) => TEXT.contains(&name),
        Value::List(_) => LIST.contains(&name),
        Value::Dict(_) => DICT.contains(&name),
        Value::Tuple(_) => TUPLE.contains(&name),
        Value::Int(_) | Value::Float(_) => {
            name == "is_integer" || (name == "bit_length" && matches!(value, Value::Int(_)))
        }
        Value::Bytes(_) => name == "decode",
        Value::Object(object) => {
            matches!(name, "get" | "keys" | "items" | "values") && object.to_dict().is_some()
        }
        _ => false,
    }
}

/// Calls a method.
pub(crate) fn call(interp: &Interp<'_>, receiver: &Value, name: &str, args: &Args) -> Outcome {
    for value in &args.pos {
        if let Value::Undefined(undefined) = value
            && !matches!(
                (receiver, name),
                (Value::List(_), "append") | (Value::Dict(_), "setdefault" | "pop")
            )
        {
            return Err(Fault::undefined(undefined));
        }
    }
    match receiver {
        Value::Str(string) => text(interp, string.as_str(), name, args),
        Value::List(items) => list(interp, items, name, args),
        Value::Dict(entries) => dict(interp, entries, name, args),
        Value::Tuple(items) => list(
            interp,
            &Arc::new(List {
                items: items.to_vec().into(),
                lazy: false,
            }),
            name,
            args,
        ),
        Value::Bytes(bytes) => Ok(Value::str(String::from_utf8_lossy(bytes).into_owned())),
        Value::Object(object) => match object.to_dict() {
            Some(entries) => {
                // A single entry does not need the whole mapping.
                if name == "get" {
                    return Ok(match interp.item(receiver, args.operand())? {
                        Some(value) => value,
                        None if object.type_name() == "HostVars" && args.pos.len() == 1 => {
                            super::eval::missing(receiver, args.operand())
                        }
                        None => args.get(1, "default").cloned().unwrap_or(Value::None),
                    });
                }
                call(interp, &entries, name, args)
            }
            None => Err(Fault::new(format!(
                "'{}' object has no attribute '{name}'",
                receiver.type_name()
            ))),
        },
        Value::Float(number) if name == "is_integer" => Ok(Value::Bool(number.fract() == 0.0)),
        Value::Int(_) if name == "is_integer" => Ok(Value::Bool(true)),
        Value::Int(number) if name == "bit_length" => Ok(Value::from(i128::from(
            128 - number.unsigned_abs().leading_zeros(),
        ))),
        _ => Err(Fault::new(format!(
            "'{}' object has no attribute '{name}'",
            receiver.type_name()
        ))),
    }
}

fn needed<'a>(args: &'a Args, index: usize, method: &str) -> Result<&'a Value, Fault> {
    args.pos.get(index).ok_or_else(|| {
        Fault::new(format!(
            "{method}() takes at least {} argument ({} given)",
            index + 1,
            args.pos.len()
        ))
    })
}

fn needed_text<'a>(args: &'a Args, index: usize, method: &str) -> Result<&'a str, Fault> {
    let value = needed(args, index, method)?;
    value.as_str().ok_or_else(|| {
        Fault::new(format!(
            "{method}() argument {} must be str, not {}",
            index + 1,
            value.type_name()
        ))
    })
}

/// A flat dispatch over the methods of text.
#[expect(clippy::too_many_lines, reason = "a flat table of methods")]
fn text(interp: &Interp<'_>, text: &str, name: &str, args: &Args) -> Outcome {
    let strip_set = || -> Vec<char> {
        args.pos
            .first()
            .and_then(Value::as_str)
            .map_or_else(Vec::new, |set| set.chars().collect())
    };
    let stripping = |c: char| {
        let set = strip_set();
        if set.is_empty() {
            c.is_whitespace()
        } else {
            set.contains(&c)
        }
    };
    let all = |test: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(test));
    Ok(match name {
        "split" | "rsplit" => split(text, args, name == "rsplit")?,
        "splitlines" => {
            let keep = args.truth(0, "keepends", false);
            Value::list(lines(text, keep).into_iter().map(Value::str).collect())
        }
        "strip" => Value::str(text.trim_matches(stripping)),
        "lstrip" => Value::str(text.trim_start_matches(stripping)),
        "rstrip" => Value::str(text.trim_end_matches(stripping)),
        "upper" => Value::str(text.to_uppercase()),
        "lower" | "casefold" => Value::str(text.to_lowercase()),
        "title" => Value::str(python_title(text)),
        "capitalize" => Value::str(filters::text::capitalized(text)),
        "swapcase" => Value::str(
            text.chars()
                .flat_map(|c| {
                    if c.is_uppercase() {
                        c.to_lowercase().collect::<Vec<_>>()
                    } else {
                        c.to_uppercase().collect()
                    }
                })
                .collect::<String>(),
        ),
        "startswith" | "endswith" => {
            // The places where to begin and to end, in characters.
            let place = |index: usize| {
                args.pos.get(index).and_then(whole).map(|at| {
                    let at = if at < 0 {
                        at + text.chars().count() as i128
                    } else {
                        at
                    };
                    usize::try_from(at).unwrap_or(0)
                })
            };
            let cut: String;
            let text = if args.pos.len() > 1 {
                let (from, to) = (place(1).unwrap_or(0), place(2).unwrap_or(usize::MAX));
                cut = text.chars().take(to).skip(from).collect();
                cut.as_str()
            } else {
                text
            };
            let one = |part: &str| {
                if name == "startswith" {
                    text.starts_with(part)
                } else {
                    text.ends_with(part)
                }
            };
            match needed(args, 0, name)? {
                Value::Str(part) => Value::Bool(one(part.as_str())),
                Value::Tuple(parts) => Value::Bool(parts.iter().filter_map(Value::as_str).any(one)),
                other => {
                    return Err(Fault::new(format!(
                        "{name} first arg must be str or a tuple of str, not {}",
                        other.type_name()
                    )));
                }
            }
        }
        "replace" => {
            let (from, to) = (needed_text(args, 0, name)?, needed_text(args, 1, name)?);
            let count = args.get(2, "count").and_then(whole);
            let most = count.and_then(|count| usize::try_from(count).ok());
            Value::str(limits::replace(text, from, to, most)?)
        }
        "format" => Value::str(formatted(interp, text, args)?),
        "join" => {
            let items = interp.iterate(needed(args, 0, name)?).map_err(|fault| {
                match fault.as_undefined() {
                    Some(_) => fault,
                    None => Fault::new("can only join an iterable"),
                }
            })?;
            let mut parts = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                parts.push(item.as_str().map(ToOwned::to_owned).ok_or_else(|| {
                    Fault::new(format!(
                        "sequence item {index}: expected str instance, {} found",
                        item.type_name()
                    ))
                })?);
            }
            let length: usize = parts.iter().map(|part| part.len() + text.len()).sum();
            limits::text(length)?;
            Value::str(parts.join(text))
        }
        "find" | "rfind" | "index" | "rindex" => {
            let part = needed_text(args, 0, name)?;
            let from = args
                .pos
                .get(1)
                .and_then(whole)
                .and_then(|at| usize::try_from(at).ok())
                .unwrap_or(0);
            let skip = text
                .char_indices()
                .nth(from)
                .map_or(text.len(), |(at, _)| at);
            let found = if name.starts_with('r') {
                text[skip..].rfind(part)
            } else {
                text[skip..].find(part)
            };
            match found {
                Some(at) => Value::from(text[..skip + at].chars().count()),
                None if name.ends_with("find") => Value::Int(-1),
                None => return Err(Fault::new("substring not found")),
            }
        }
        "count" => Value::from(match needed_text(args, 0, name)? {
            "" => text.chars().count() + 1,
            part => text.matches(part).count(),
        }),
        "ljust" | "rjust" | "center" | "zfill" => justified(text, name, args)?,
        "partition" | "rpartition" => {
            let mark = needed_text(args, 0, name)?;
            let parts = if name == "partition" {
                text.split_once(mark)
            } else {
                text.rsplit_once(mark)
            };
            match (parts, name) {
                (Some((before, after)), _) => {
                    Value::tuple(vec![before.into(), mark.into(), after.into()])
                }
                (None, "partition") => Value::tuple(vec![text.into(), "".into(), "".into()]),
                _ => Value::tuple(vec!["".into(), "".into(), text.into()]),
            }
        }
        "isdigit" | "isnumeric" | "isdecimal" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(char::is_whitespace),
        "isupper" => Value::Bool(
            text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase),
        ),
        "islower" => Value::Bool(
            text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase),
        ),
        "removeprefix" => Value::str(
            text.strip_prefix(needed_text(args, 0, name)?)
                .unwrap_or(text),
        ),
        "removesuffix" => Value::str(
            text.strip_suffix(needed_text(args, 0, name)?)
                .unwrap_or(text),
        ),
        "encode" => {
            let encoding = args
                .get(0, "encoding")
                .map_or_else(|| "utf-8".into(), Value::text);
            Value::Bytes(filters::encode::encoded(text, &encoding)?.into())
        }
        "istitle" => {
            Value::Bool(text.chars().any(char::is_alphabetic) && python_title(text) == *text)
        }
        "isidentifier" => Value::Bool(
            !text.is_empty()
                && !text.starts_with(|c: char| c.is_numeric())
                && text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        "isascii" => Value::Bool(text.is_ascii()),
        "format_map" => {
            let Value::Dict(map) = needed(args, 0, name)? else {
                return Err(Fault::new("format_map() argument must be a mapping"));
            };
            let kw = map
                .read()
                .iter()
                .map(|(key, value)| (key.0.text(), value.clone()))
                .collect();
            Value::str(formatted(interp, text, &Args { pos: vec![], kw })?)
        }
        "translate" => {
            let table = needed(args, 0, name)?;
            let mut out = String::new();
            for c in text.chars() {
                match interp.item(table, &Value::Int(c as i128))? {
                    None => out.push(c),
                    Some(Value::None) => {}
                    Some(Value::Int(code)) => {
                        out.extend(u32::try_from(code).ok().and_then(char::from_u32))
                    }
                    Some(other) => out.push_str(&other.text()),
                }
            }
            Value::str(out)
        }
        "expandtabs" => Value::str(text.replace('\t', "        ")),
        _ => {
            return Err(Fault::new(format!(
                "'str' object has no attribute '{name}'"
            )));
        }
    })
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

fn python_title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

/// `split` and `rsplit`.
pub(crate) fn split(text: &str, args: &Args, from_end: bool) -> Outcome {
    let most = args
        .get(1, "maxsplit")
        .and_then(whole)
        .and_then(|most| usize::try_from(most).ok());
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
        return text.split_whitespace().map(ToOwned::to_owned).collect();
    };
    let (mut rest, mut out) = (text, Vec::new());
    while out.len() < most {
        rest = if from_end {
            rest.trim_end()
        } else {
            rest.trim_start()
        };
        let found = if from_end {
            rest.rsplit_once(char::is_whitespace)
                .map(|(rest, part)| (part, rest))
        } else {
            rest.split_once(char::is_whitespace)
        };
        let Some((part, after)) = found else { break };
        out.push(part.to_owned());
        rest = after;
    }
    let rest = if from_end {
        rest.trim_end()
    } else {
        rest.trim_start()
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
    let width = args
        .pos
        .first()
        .and_then(whole)
        .and_then(|width| usize::try_from(width).ok())
        .unwrap_or(0);
    let fill = args.pos.get(1).map_or_else(|| " ".to_owned(), Value::text);
    let missing = width.saturating_sub(text.chars().count());
    Ok(Value::str(match name {
        "ljust" => text.to_owned() + &limits::repeat(&fill, missing)?,
        "rjust" => limits::repeat(&fill, missing)? + text,
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
            limits::repeat(&fill, left)? + text + &limits::repeat(&fill, missing - left)?
        }
    }))
}

fn formatted(interp: &Interp<'_>, text: &str, args: &Args) -> Result<String, Fault> {
    let (mut next, mut manual) = (0, false);
    let mut field = |path: &str| -> Result<Value, String> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, mut rest) = path.split_at(end);
        let mut value = if name.is_empty() {
            if manual {
                return Err(
                    "cannot switch from manual field specification to automatic field numbering"
                        .into(),
                );
            }
            next += 1;
            args.pos.get(next - 1).cloned().ok_or_else(|| {
                format!(
                    "Replacement index {} out of range for positional args tuple",
                    next - 1
                )
            })?
        } else if let Ok(index) = name.parse::<usize>() {
            if next > 0 {
                return Err(
                    "cannot switch from automatic field numbering to manual field specification"
                        .into(),
                );
            }
            manual = true;
            args.pos.get(index).cloned().ok_or_else(|| {
                format!("Replacement index {index} out of range for positional args tuple")
            })?
        } else {
            args.named(name)
                .cloned()
                .ok_or_else(|| format!("'{name}'"))?
        };
        while !rest.is_empty() {
            let (key, after) = if let Some(inside) = rest.strip_prefix('[') {
                inside
                    .split_once(']')
                    .ok_or("Missing ']' in format string")?
            } else {
                let inside = &rest[1..];
                inside.split_at(inside.find(['.', '[']).unwrap_or(inside.len()))
            };
            let found = match key.parse::<i128>() {
                Ok(index) => interp.subscript(&value, &Value::Int(index)),
                Err(_) => interp.subscript(&value, &Value::str(key)),
            };
            value = found.map_err(|fault| fault.message().to_owned())?;
            rest = after;
        }
        Ok(value)
    };
    Ok(format::braces(text, &mut field)?)
}

/// The attributes that Python's numbers have.
pub(crate) fn part(value: &Value, name: &str) -> Option<Value> {
    match (value, name) {
        (Value::Int(_), "real" | "numerator") | (Value::Float(_), "real") => Some(value.clone()),
        (Value::Int(_), "imag") => Some(Value::Int(0)),
        (Value::Int(_), "denominator") => Some(Value::Int(1)),
        (Value::Float(_), "imag") => Some(Value::Float(0.0)),
        _ => None,
    }
}

fn list(interp: &Interp<'_>, list: &Arc<List>, name: &str, args: &Args) -> Outcome {
    let at = |index: i128, length: usize| -> Option<usize> {
        let length = i128::try_from(length).ok()?;
        usize::try_from(if index < 0 { index + length } else { index }).ok()
    };
    Ok(match name {
        "append" => {
            let value = needed(args, 0, name)?.clone();
            list.write().push(value);
            Value::None
        }
        "extend" => {
            let items = interp.iterate(needed(args, 0, name)?)?;
            list.write().extend(items);
            Value::None
        }
        "insert" => {
            let index = whole(needed(args, 0, name)?).unwrap_or(0);
            let value = needed(args, 1, name)?.clone();
            let mut items = list.write();
            let index = at(index, items.len()).unwrap_or(0).min(items.len());
            items.insert(index, value);
            Value::None
        }
        "pop" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let mut items = list.write();
            let index = at(args.pos.first().and_then(whole).unwrap_or(-1), items.len());
            match index {
                Some(index) if index < items.len() => items.remove(index),
                _ if items.is_empty() => return Err(Fault::new("pop from empty list")),
                _ => return Err(Fault::new("pop index out of range")),
            }
        }
        "remove" | "index" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let value = needed(args, 0, name)?;
            let found = list.read().iter().position(|item| item == value);
            match (found, name) {
                (Some(index), "remove") => {
                    list.write().remove(index);
                    Value::None
                }
                (Some(index), _) => Value::from(index),
                (None, "remove") => return Err(Fault::new("list.remove(x): x not in list")),
                _ => return Err(Fault::new(format!("{} is not in list", value.repr()))),
            }
        }
        "count" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let value = needed(args, 0, name)?;
            Value::from(list.read().iter().filter(|item| *item == value).count())
        }
        "reverse" => {
            list.write().reverse();
            Value::None
        }
        "sort" => {
            interp.resolve(&Value::List(Arc::clone(list)))?;
            let sorted =
                filters::list::sorted(list.to_vec(), args.truth(usize::MAX, "reverse", false))?;
            *list.write() = sorted;
            Value::None
        }
        "copy" => Value::List(Arc::new(List {
            items: list.to_vec().into(),
            lazy: list.lazy,
        })),
        "clear" => {
            list.write().clear();
            Value::None
        }
        _ => {
            return Err(Fault::new(format!(
                "'list' object has no attribute '{name}'"
            )));
        }
    })
}

fn dict(interp: &Interp<'_>, dict: &Arc<Dict>, name: &str, args: &Args) -> Outcome {
    let whole_dict = Value::Dict(Arc::clone(dict));
    Ok(match name {
        "get" => match interp.item(&whole_dict, needed(args, 0, name)?)? {
            Some(value) => value,
            None => args.get(1, "default").cloned().unwrap_or(Value::None),
        },
        "items" => {
            interp.resolve(&whole_dict)?;
            Value::list(
                dict.read()
                    .iter()
                    .map(|(key, value)| Value::tuple(vec![key.0.clone(), value.clone()]))
                    .collect(),
            )
        }
        "keys" => Value::list(dict.read().keys().map(|key| key.0.clone()).collect()),
        "values" => {
            interp.resolve(&whole_dict)?;
            Value::list(dict.read().values().cloned().collect())
        }
        "update" => {
            let mut added = Vec::new();
            match args.pos.first() {
                Some(Value::Dict(other)) => added.extend(
                    other
                        .read()
                        .iter()
                        .map(|(key, value)| (key.clone(), value.clone())),
                ),
                Some(other) => {
                    for pair in interp.iterate(other)? {
                        let pair = interp.iterate(&pair)?;
                        let [key, value] = &pair[..] else {
                            return Err(Fault::new(
                                "dictionary update sequence element #0 has the wrong length; 2 is required",
                            ));
                        };
                        added.push((Key(key.clone()), value.clone()));
                    }
                }
                None => {}
            }
            added.extend(
                args.kw
                    .iter()
                    .map(|(key, value)| (Key::from(key.as_str()), value.clone())),
            );
            dict.write().extend(added);
            Value::None
        }
        "pop" => {
            let key = needed(args, 0, name)?;
            let found = interp.item(&whole_dict, key)?;
            dict.write().shift_remove(&Key(key.clone()));
            match (found, args.pos.get(1)) {
                (Some(value), _) => value,
                (None, Some(default)) => default.clone(),
                (None, None) => return Err(Fault::new(key.repr())),
            }
        }
        "setdefault" => {
            let key = needed(args, 0, name)?;
            match interp.item(&whole_dict, key)? {
                Some(value) => value,
                None => {
                    let value = args.pos.get(1).cloned().unwrap_or(Value::None);
                    dict.write().insert(Key(key.clone()), value.clone());
                    value
                }
            }
        }
        "copy" => Value::Dict(Arc::new(Dict {
            entries: dict.read().clone().into(),
            lazy: dict.lazy,
        })),
        "clear" => {
            dict.write().clear();
            Value::None
        }
        "popitem" => match dict.write().pop() {
            Some((key, value)) => Value::tuple(vec![key.0, value]),
            None => return Err(Fault::new("popitem(): dictionary is empty")),
        },
        "fromkeys" => {
            let default = args.pos.get(1).cloned().unwrap_or(Value::None);
            Value::dict(
                ops::iterate(needed(args, 0, name)?)?
                    .into_iter()
                    .map(|key| (Key(key), default.clone()))
                    .collect(),
            )
        }
        _ => {
            return Err(Fault::new(format!(
                "'dict' object has no attribute '{name}'"
            )));
        }
    })
}
