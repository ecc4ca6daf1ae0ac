//! JSON, base 64, addresses, identifiers, checksums.

use rplay_modules::machine::digest::hex;
use rplay_modules::text::json_string;
use rplay_modules::text::unpercent;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE};
use sha1::Sha1;
use sha2::Digest as _;

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::value::{Entries, Key, Value};
use super::super::{limits, ops, print};
use super::digests::bytes;

super::filters! {
    "to_json": "as JSON" => |_, a| to_json(a, None, false);
    "to_nice_json": "as JSON for people" => |_, a| to_json(a, Some(4), true);
    "tojson": "as JSON that is safe in HTML" => |_, a| {
        let width = a.get(1, "indent").filter(|_| !matches!(a.operand(), Value::Str(_)));
        let indent = indentation(width, None)?;
        let text = json_text(a.operand(), &Style { indent, sort: true, ascii: true, separators: None })?;
        Ok(Value::str(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027")))
    };
    "from_json": "the value that JSON text writes" => |_, a| from_json(a);
    "b64encode": "as base 64" => |_, a| {
        let engine = if a.truth(usize::MAX, "urlsafe", false) { &URL_SAFE } else { &STANDARD };
        let bytes = match (a.operand(), a.get(1, "encoding")) {
            (Value::Bytes(bytes), _) => bytes.to_vec(),
            (_, None) => bytes(a.operand()),
            (value, Some(Value::Str(encoding))) => encoded(&value.text(), encoding.as_str())?,
            (_, Some(other)) => return Err(Fault::new(format!(
                "encode() argument 'encoding' must be str, not {}",
                if matches!(other, Value::None) { "None" } else { other.type_name() }
            ))),
        };
        Ok(Value::str(engine.encode(bytes)))
    };
    "b64decode": "the text that base 64 writes" => |_, a| b64decode(a);
    "urlencode": "with characters that addresses refuse written in hexadecimal" => |i, a| Ok(Value::str(match super::dict::entries(a.operand()) {
        Some(entries) => query(entries.iter().map(|(key, value)| (key.0.text(), value.text()))),
        None => match a.operand() {
            Value::List(_) | Value::Tuple(_) => {
                let mut pairs = Vec::new();
                for pair in i.iterate(a.operand())? {
                    let parts = i.iterate(&pair).map_err(|_| {
                        Fault::new(format!("cannot unpack non-iterable {} object", pair.type_name()))
                    })?;
                    match &parts[..] {
                        [key, value] => pairs.push((key.text(), value.text())),
                        [] | [_] => return Err(Fault::new(format!(
                            "not enough values to unpack (expected 2, got {})", parts.len()
                        ))),
                        _ => return Err(Fault::new("too many values to unpack (expected 2)")),
                    }
                }
                query(pairs.into_iter())
            }
            value => percent(&value.text(), "/-_.~", "%20"),
        }
    }));
    "urldecode": "with hexadecimal characters of an address read" => |_, a| match a.operand() {
        Value::Str(text) => Ok(Value::str(unpercent(&text.as_str().replace('+', " ")))),
        other => Err(Fault::new(format!("'{}' object has no attribute 'replace'", other.type_name()))),
    };
    "urlsplit": "the parts of an address" => |_, a| urlsplit(a);
    "to_uuid": "an identifier made of it" => |_, a| to_uuid(a);
}

/// Refuses more positional arguments than a filter with free names takes.
fn at_most(args: &Args, function: &str, most: usize) -> Result<(), Fault> {
    if args.pos.len() <= most {
        return Ok(());
    }
    Err(Fault::new(format!(
        "{function}() takes from 1 to {most} positional arguments but {} were given",
        args.pos.len()
    )))
}

/// How JSON is laid out.
pub(crate) struct Style {
    /// What each level adds before a line; none for all in one line.
    pub(crate) indent: Option<String>,
    pub(crate) sort: bool,
    pub(crate) ascii: bool,
    pub(crate) separators: Option<(String, String)>,
}

fn to_json(args: &Args, indent: Option<usize>, sort: bool) -> Outcome {
    const KNOWN: [&str; 10] = [
        "indent",
        "preprocess_unsafe",
        "separators",
        "vault_to_text",
        "sort_keys",
        "ensure_ascii",
        "skipkeys",
        "check_circular",
        "allow_nan",
        "profile",
    ];
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| !KNOWN.contains(&name.as_str()))
    {
        return Err(Fault::new(format!(
            "JSONEncoder.__init__() got an unexpected keyword argument '{name}'"
        )));
    }
    if args.named("skipkeys").is_some_and(Value::is_true) {
        let text = "rplay writes JSON without the option `skipkeys`";
        return Err(Fault::new(text));
    }
    let (function, most) = if sort {
        ("to_nice_json", 3)
    } else {
        ("to_json", 4)
    };
    at_most(args, function, most)?;
    let (at, nice) = (usize::from(!sort), sort);
    let given = |index: usize, name: &str| {
        let value = args.get(index + at, name);
        value.filter(|value| value.is_true())
    };
    let width = if nice {
        args.get(1, "indent")
    } else {
        args.named("indent")
    };
    if let Some(name) = given(if nice { usize::MAX - 1 } else { 0 }, "profile") {
        if given(if nice { usize::MAX - 1 } else { 1 }, "vault_to_text").is_some() {
            let text = "Only one of `vault_to_text` or `profile` can be specified.";
            return Err(Fault::new(text));
        }
        profile(name, "writes")?;
    }
    let indent = match args.operand() {
        // What has no lines needs no width.
        Value::Str(_) => None,
        _ => indentation(width, indent)?,
    };
    let separators = match args.named("separators") {
        Some(value @ (Value::List(_) | Value::Tuple(_))) => match &ops::iterate(value)?[..] {
            [item, key] => Some((item.text(), key.text())),
            _ => None,
        },
        _ => nice.then(|| (",".to_owned(), ": ".to_owned())),
    };
    let sort = args.named("sort_keys").map_or(sort, Value::is_true);
    let ascii = args.named("ensure_ascii").is_none_or(Value::is_true);
    Ok(Value::str(json_text(
        args.operand(),
        &Style {
            indent,
            sort,
            ascii,
            separators,
        },
    )?))
}

/// Refuses the name of a way to write special values.
fn profile(name: &Value, verb: &str) -> Result<(), Fault> {
    const KNOWN: &[&str] = &[
        "cache_persistence",
        "fallback_to_str",
        "inventory_legacy",
        "legacy",
        "module_legacy_c2m",
        "module_legacy_m2c",
        "module_modern_c2m",
        "module_modern_m2c",
        "tagless",
    ];
    Err(Fault::new(match name {
        Value::Str(name) if KNOWN.contains(&name.as_str()) => {
            format!("rplay {verb} JSON without the option `profile`")
        }
        Value::Str(_) => format!("Unknown profile name {}.", name.repr()),
        other => format!(
            "Name is <class '{}'> instead of <class 'str'> or <class 'module'>.",
            other.type_name()
        ),
    }))
}

/// What each level of JSON adds: so many spaces, or a text.
fn indentation(given: Option<&Value>, default: Option<usize>) -> Result<Option<String>, Fault> {
    let width = match given {
        None => return Ok(default.map(|width| " ".repeat(width))),
        Some(Value::None) => return Ok(None),
        Some(Value::Str(text)) => return Ok(Some(text.as_str().to_owned())),
        Some(Value::List(_)) => {
            let text = "'str' object cannot be interpreted as an integer";
            return Err(Fault::new(text));
        }
        Some(value @ (Value::Int(_) | Value::Bool(_))) => whole(value).unwrap_or(0).max(0),
        Some(other) => {
            return Err(Fault::new(format!(
                "can't multiply sequence by non-int of type '{}'",
                other.type_name()
            )));
        }
    };
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    // It comes with every line.
    limits::text(width.saturating_mul(1000))?;
    Ok(Some(" ".repeat(width)))
}

/// A value as Python writes JSON.
pub(crate) fn json_text(value: &Value, style: &Style) -> Result<String, Fault> {
    let mut out = String::new();
    write_json(&mut out, value, style, 0)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Fault> {
    if depth > 200 {
        return Err(Fault::new("Circular reference detected"));
    }
    match value {
        Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
        Value::None => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) if number.is_nan() => out.push_str("NaN"),
        Value::Float(number) if number.is_infinite() => out.push_str(if *number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }),
        Value::Float(number) => out.push_str(&print::float(*number)),
        Value::Str(text) => json_string(out, text.as_str(), style.ascii),
        Value::Bytes(bytes) => json_string(out, &String::from_utf8_lossy(bytes), style.ascii),
        Value::List(list) => write_array(out, &list.to_vec(), style, depth)?,
        Value::Tuple(items) => write_array(out, items, style, depth)?,
        Value::Dict(dict) => write_object(out, dict.read().clone(), style, depth)?,
        Value::Object(object) => match (object.to_dict(), object.iterate()) {
            (Some(dict), _) => write_json(out, &dict, style, depth + 1)?,
            (None, Some(items)) => write_array(out, &items, style, depth)?,
            _ => match object.attr("isoformat").map(|method| (method, ())) {
                Some((Value::Object(method), ())) => match method.call(&[], &[]) {
                    Some(Ok(text)) => json_string(out, &text.text(), style.ascii),
                    _ => {
                        return Err(Fault::new(format!(
                            "Object of type {} is not JSON serializable",
                            value.type_name()
                        )));
                    }
                },
                _ => {
                    return Err(Fault::new(format!(
                        "Object of type {} is not JSON serializable",
                        value.type_name()
                    )));
                }
            },
        },
    }
    Ok(())
}

fn line(out: &mut String, style: &Style, depth: usize) {
    if let Some(indent) = &style.indent {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

fn separators(style: &Style) -> (&str, &str) {
    match &style.separators {
        Some((item, key)) => (item, key),
        None if style.indent.is_some() => (",", ": "),
        None => (", ", ": "),
    }
}

fn write_array(
    out: &mut String,
    items: &[Value],
    style: &Style,
    depth: usize,
) -> Result<(), Fault> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(separators(style).0);
        }
        line(out, style, depth + 1);
        write_json(out, item, style, depth + 1)?;
    }
    if !items.is_empty() {
        line(out, style, depth);
    }
    out.push(']');
    Ok(())
}

fn write_object(
    out: &mut String,
    mut entries: Entries,
    style: &Style,
    depth: usize,
) -> Result<(), Fault> {
    if style.sort {
        entries = ops::sorted(
            entries.into_iter().collect(),
            false,
            &mut |(a, _), (b, _)| ops::less(&a.0, &b.0),
        )?
        .into_iter()
        .collect();
    }
    out.push('{');
    for (index, (Key(key), value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push_str(separators(style).0);
        }
        line(out, style, depth + 1);
        let key = match key {
            Value::None => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            other => other.text(),
        };
        json_string(out, &key, style.ascii);
        out.push_str(separators(style).1);
        write_json(out, value, style, depth + 1)?;
    }
    if !entries.is_empty() {
        line(out, style, depth);
    }
    out.push('}');
    Ok(())
}

fn from_json(args: &Args) -> Outcome {
    at_most(args, "from_json", 2)?;
    let read = args.get(1, "profile");
    if let Some(name) = read.filter(|name| !matches!(name, Value::None)) {
        profile(name, "reads")?;
    }
    let text = match args.operand() {
        Value::Str(_) | Value::Bytes(_) => args.operand().text(),
        other => {
            return Err(Fault::new(format!(
                "the JSON object must be str, bytes or bytearray, not {}",
                other.type_name()
            )));
        }
    };
    if let Some((name, _)) = args.kw.iter().find(|(name, _)| name != "profile") {
        return Err(Fault::new(format!(
            "JSONDecoder.__init__() got an unexpected keyword argument '{name}'"
        )));
    }
    parse_json(&text).map_err(Fault::new)
}

/// The value that JSON text writes.
pub(crate) fn parse_json(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(json) => Ok(from_serde(&json)),
        Err(_) => rplay_modules::json::read(text).map(|data| Value::from_data(&data)),
    }
}

/// A value that serde read.
pub(super) fn from_serde(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::None,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.to_string().parse() {
            Ok(whole) => Value::Int(whole),
            Err(_) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::str(text.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_serde).collect()),
        serde_json::Value::Object(map) => Value::dict(
            map.iter()
                .map(|(key, value)| (Key::from(key.as_str()), from_serde(value)))
                .collect(),
        ),
    }
}

fn b64decode(args: &Args) -> Outcome {
    let text = args.operand().text();
    let text = if args.truth(2, "urlsafe", false) {
        text.replace('-', "+").replace('_', "/")
    } else {
        text
    };
    // Python passes over what is not of the alphabet.
    let known = |c: &char| c.is_ascii_alphanumeric() || "+/=".contains(*c);
    let text: String = text.chars().filter(known).collect();
    // An encoding is looked up where there is something to decode.
    if text.is_empty() && matches!(args.get(1, "encoding"), None | Some(Value::Str(_))) {
        return Ok(Value::str(""));
    }
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&base64::alphabet::STANDARD, config);
    let bytes = engine
        .decode(text.as_bytes())
        .map_err(|_| {
            let data = text.chars().filter(|c| *c != '=').count();
            Fault::new(if data % 4 == 1 {
                format!("Invalid base64-encoded string: number of data characters ({data}) cannot be 1 more than a multiple of 4")
            } else {
                "Incorrect padding".to_owned()
            })
        })?;
    decoded(&bytes, args.get(1, "encoding"))
}

fn query(pairs: impl Iterator<Item = (String, String)>) -> String {
    pairs
        .map(|(key, value)| {
            format!(
                "{}={}",
                percent(&key, "-_.~", "+"),
                percent(&value, "-_.~", "+")
            )
        })
        .collect::<Vec<_>>()
        .join("&")
}

fn percent(text: &str, safe: &str, space: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push_str(space),
            byte if byte.is_ascii_alphanumeric() || safe.as_bytes().contains(&byte) => {
                out.push(char::from(byte))
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A text as bytes of an encoding that Python names.
pub(in super::super) fn encoded(text: &str, encoding: &str) -> Result<Vec<u8>, Fault> {
    let name = encoding.to_lowercase().replace('_', "-");
    let narrow = |limit: u32, name: &str| {
        let one = |(at, c): (usize, char)| {
            u8::try_from(u32::from(c)).ok().filter(|byte| u32::from(*byte) < limit).ok_or_else(|| {
                let c = u32::from(c);
                let code = match c {
                    0..=0xff => format!("\\x{c:02x}"),
                    0x100..=0xffff => format!("\\u{c:04x}"),
                    _ => format!("\\U{c:08x}"),
                };
                Fault::new(format!(
                    "'{name}' codec can't encode character '{code}' in position {at}: ordinal not in range({limit})"
                ))
            })
        };
        text.chars().enumerate().map(one).collect()
    };
    let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    match name.as_str() {
        "utf-8" | "utf8" => Ok(text.as_bytes().to_vec()),
        "ascii" | "us-ascii" => narrow(128, "ascii"),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => narrow(256, "latin-1"),
        "utf-16-le" | "utf-16le" => Ok(wide(u16::to_le_bytes)),
        "utf-16-be" | "utf-16be" => Ok(wide(u16::to_be_bytes)),
        "utf-16" | "utf16" => Ok([vec![0xff, 0xfe], wide(u16::to_le_bytes)].concat()),
        _ => Err(no_encoding(encoding)),
    }
}

/// The text that bytes are in an encoding of Python's; what is none is replaced.
pub(in super::super) fn decoded(bytes: &[u8], encoding: Option<&Value>) -> Outcome {
    let name = match encoding {
        None => "utf-8".to_owned(),
        Some(Value::Str(name)) => name.as_str().to_lowercase().replace('_', "-"),
        Some(other) => {
            return Err(Fault::new(format!(
                "decode() argument 'encoding' must be str, not {}",
                other.argument_name()
            )));
        }
    };
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes
            .chunks(2)
            .map(|pair| match pair {
                [first, second] => unit([*first, *second]),
                _ => 0xfffd,
            })
            .collect();
        String::from_utf16_lossy(&units)
    };
    Ok(Value::str(match name.as_str() {
        "utf-8" | "utf8" | "ascii" | "us-ascii" => String::from_utf8_lossy(bytes).into_owned(),
        "utf-8-sig" => {
            String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
                .into_owned()
        }
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" => {
            bytes.iter().copied().map(char::from).collect()
        }
        "utf-16-le" | "utf-16le" => wide(bytes, u16::from_le_bytes),
        "utf-16-be" | "utf-16be" => wide(bytes, u16::from_be_bytes),
        "utf-16" | "utf16" => match bytes {
            [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
            [0xff, 0xfe, rest @ ..] | rest => wide(rest, u16::from_le_bytes),
        },
        _ => return Err(no_encoding(&name)),
    }))
}

/// What is said of an encoding that is not known: Python has many more.
fn no_encoding(name: &str) -> Fault {
    const OTHERS: &[&str] = &[
        "big5", "cp", "euc", "gb", "hz", "idna", "iso", "johab", "koi8", "kz", "mac", "ptcp",
        "punycode", "raw", "rot", "shift", "tis", "unicode", "utf", "windows",
    ];
    let lower = name.to_lowercase();
    Fault::new(match OTHERS.iter().any(|known| lower.starts_with(known)) {
        true => format!("rplay does not have the encoding {name}"),
        false => format!("unknown encoding: {name}"),
    })
}

fn urlsplit(args: &Args) -> Outcome {
    let kind = args.operand().type_name();
    match args.operand() {
        Value::Str(_) => {}
        Value::List(_) | Value::Dict(_) => {
            return Err(Fault::new(format!("unhashable type: '{kind}'")));
        }
        _ => {
            let text = format!("'{kind}' object has no attribute 'decode'");
            return Err(Fault::new(text));
        }
    }
    let text = args.operand().text();
    let (rest, fragment) = text.split_once('#').unwrap_or((&text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let named = rest.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let (scheme, rest) = named.map_or((String::new(), rest), |(scheme, rest)| {
        (scheme.to_lowercase(), rest)
    });
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (user, host) = netloc
        .rsplit_once('@')
        .map_or((None, netloc), |(user, host)| (Some(user), host));
    let (username, password) = user.map_or((None, None), |user| {
        user.split_once(':')
            .map_or((Some(user), None), |(user, word)| (Some(user), Some(word)))
    });
    let (hostname, port) = match host
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        Some((inner, rest)) => (inner, rest.strip_prefix(':')),
        None => host
            .split_once(':')
            .map_or((host, None), |(host, port)| (host, Some(port))),
    };
    if port
        .and_then(|port| port.parse::<u64>().ok())
        .is_some_and(|port| port > 65535)
    {
        return Err(Fault::new("Port out of range 0-65535"));
    }
    let optional = |text: Option<&str>| text.map_or(Value::None, Value::str);
    let hostname = if hostname.is_empty() {
        Value::None
    } else {
        Value::str(hostname.to_lowercase())
    };
    let parts = [
        ("fragment", Value::str(fragment)),
        ("hostname", hostname),
        ("netloc", Value::str(netloc)),
        ("password", optional(password)),
        ("path", Value::str(path)),
        (
            "port",
            port.and_then(|port| port.parse().ok())
                .map_or(Value::None, Value::Int),
        ),
        ("query", Value::str(query)),
        ("scheme", Value::str(scheme)),
        ("username", optional(username)),
    ];
    let Some(wanted) = args.get(1, "query").filter(|wanted| wanted.is_true()) else {
        return Ok(Value::dict(
            parts
                .into_iter()
                .map(|(name, value)| (Key::from(name), value))
                .collect(),
        ));
    };
    ops::hashable(wanted)?;
    let wanted = wanted.text();
    if let Some((_, value)) = parts.into_iter().find(|(name, _)| *name == wanted) {
        return Ok(value);
    }
    let alias = args.get(2, "alias").cloned();
    let alias = alias.unwrap_or_else(|| Value::str("urlsplit"));
    let rest = Value::from(format!(": unknown URL component: {wanted}"));
    Err(Fault::new(ops::add(&alias, &rest)?.text()))
}

fn to_uuid(args: &Args) -> Outcome {
    let space = args.text(1, "namespace", "361E6D51-FAEC-444A-9079-341386DA8E2E");
    let digits: String = space.chars().filter(char::is_ascii_hexdigit).collect();
    let space = u128::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| digits.len() == 32)
        .ok_or_else(|| {
            Fault::new(format!(
                "Invalid value '{space}' for 'namespace': badly formed hexadecimal UUID string"
            ))
        })?;
    let mut hash = Sha1::new();
    hash.update(space.to_be_bytes());
    hash.update(args.operand().text().as_bytes());
    let mut id: Vec<u8> = hash.finalize()[..16].to_vec();
    id[6] = (id[6] & 0x0f) | 0x50;
    id[8] = (id[8] & 0x3f) | 0x80;
    let text = hex(&id);
    Ok(Value::str(format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )))
}
