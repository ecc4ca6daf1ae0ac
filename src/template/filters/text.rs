//! Filters over text.

use std::cmp::Ordering;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::format;
use super::super::limits;
use super::super::methods;
use super::super::ops;
use super::super::value::Value;

super::filters! {
    "upper": "capital letters" => |_, a| Ok(Value::str(a.operand().text().to_uppercase()));
    "lower": "small letters" => |_, a| Ok(Value::str(a.operand().text().to_lowercase()));
    "capitalize": "the first letter capital, the others small" => |_, a| Ok(Value::str(capitalized(&a.operand().text())));
    "title": "each word capital" => |_, a| Ok(Value::str(title(&a.operand().text())));
    "trim": "without white space, or the given characters, around it" => |_, a| trim(a);
    "replace": "with one text in place of another" => |_, a| replace(a);
    "quote": "quoted for a shell" => |_, a| Ok(Value::str(match a.operand() { Value::None => "''".to_owned(), value => quote(&value.text()) }));
    "split": "its parts between separators" => |_, a| split(a);
    "indent": "with lines moved to the right" => |_, a| indent(a);
    "comment": "as a comment" => |_, a| comment(a);
    "format": "with `%` placeholders filled" => |_, a| {
        let values = if a.kw.is_empty() { Value::tuple(a.pos[1..].to_vec()) } else {
            Value::dict(a.kw.iter().map(|(key, value)| (key.as_str().into(), value.clone())).collect())
        };
        format::percent(&a.operand().text(), &values)
    };
    "center": "in the middle of a width" => |i, a| methods::call(i, &Value::str(a.operand().text()), "center", &Args { pos: vec![Value::Int(a.index(1, "width", 80)?)], kw: vec![] });
    "truncate": "cut to a length" => |_, a| truncate(a);
    "wordcount": "how many words it has" => |_, a| Ok(Value::from(a.operand().text().split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()));
    "wordwrap": "with lines of a width" => |_, a| super::wrap::wordwrap(a);
    "escape": "with HTML's special characters written as entities" => |_, a| Ok(Value::str(escaped(&a.operand().text())));
    "e": "the same as `escape`" => |_, a| Ok(Value::str(escaped(&a.operand().text())));
    "forceescape": "the same as `escape`" => |_, a| Ok(Value::str(escaped(&a.operand().text())));
    "safe": "as text: nothing is escaped of itself" => |_, a| Ok(Value::from(a.operand().text()));
    "striptags": "without HTML's tags" => |_, a| striptags(a);
    "xmlattr": "as attributes of an XML tag" => |_, a| xmlattr(a);
    "pprint": "as Python prints it" => |_, a| Ok(Value::str(a.operand().repr()));
    "filesizeformat": "a size for people" => |_, a| filesize(a);
    "human_readable": "a size for people" => |_, a| human_readable(a);
    "human_to_bytes": "the number that a size for people means" => |_, a| human_to_bytes(a);
}

fn split(args: &Args) -> Outcome {
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "descriptor 'split' for 'str' objects doesn't apply to a '{}' object",
            args.operand().type_name()
        )));
    };
    let given = args.pos.len() + args.kw.len() - 1;
    if given > 2 {
        return Err(Fault::new(format!(
            "split() takes at most 2 arguments ({given} given)"
        )));
    }
    let known = |name: &str| matches!(name, "sep" | "maxsplit");
    if let Some((name, _)) = args.kw.iter().find(|(name, _)| !known(name)) {
        return Err(Fault::new(format!(
            "split() got an unexpected keyword argument '{name}'"
        )));
    }
    let args = Args {
        pos: args.pos[1..].to_vec(),
        kw: args.kw.clone(),
    };
    methods::split(text.as_str(), &args, false)
}

/// Python's `capitalize`.
pub(crate) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first
            .to_uppercase()
            .chain(chars.flat_map(char::to_lowercase))
            .collect()
    })
}

fn title(text: &str) -> String {
    let mut start = true;
    let mut out = String::new();
    for c in text.chars() {
        if start {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        start = c.is_whitespace() || "-({[<".contains(c);
    }
    out
}

fn trim(args: &Args) -> Outcome {
    let text = args.operand().text();
    Ok(match args.get(1, "chars") {
        Some(Value::Str(set)) => Value::str(text.trim_matches(|c| set.as_str().contains(c))),
        None | Some(Value::None) => Value::str(text.trim()),
        Some(_) => return Err(Fault::new("strip arg must be None or str")),
    })
}

fn replace(args: &Args) -> Outcome {
    let text = args.operand().text();
    let (from, to) = (args.need(1, "old")?.text(), args.need(2, "new")?.text());
    let most = usize::try_from(args.int(3, "count", -1)?).ok();
    Ok(Value::str(limits::replace(&text, &from, &to, most)?))
}

/// Quoted for a shell, as Python's `shlex.quote`.
pub(crate) fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn indent(args: &Args) -> Outcome {
    let pad = match args.get(1, "width") {
        Some(Value::Str(pad)) => pad.as_str().to_owned(),
        Some(Value::List(_)) => {
            return Err(Fault::new(
                "'str' object cannot be interpreted as an integer",
            ));
        }
        width => {
            let width = width.cloned().unwrap_or(Value::Int(4));
            ops::binary("*", &Value::str(" "), &width)?.text()
        }
    };
    let text = match args.operand() {
        Value::Str(text) => text.as_str().to_owned(),
        Value::List(_) => {
            return Err(Fault::new("'list' object has no attribute 'splitlines'"));
        }
        Value::Tuple(_) => {
            return Err(Fault::new(
                "can only concatenate tuple (not \"str\") to tuple",
            ));
        }
        other => {
            return Err(Fault::new(format!(
                "unsupported operand type(s) for +=: '{}' and 'str'",
                other.type_name()
            )));
        }
    };
    let (first, blank) = (args.truth(2, "first", false), args.truth(3, "blank", false));
    let text = text + "\n";
    let lines = methods::lines(&text, false);
    limits::text(lines.len().saturating_mul(pad.len()))?;
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let pads = if index == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        if pads {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(Value::str(out))
}

fn comment(args: &Args) -> Outcome {
    let style = args.text(1, "style", "plain");
    const STYLES: &[&str] = &["plain", "erlang", "c", "cblock", "xml"];
    if let Some(given) = args.get(1, "style")
        && !STYLES.contains(&given.as_str().unwrap_or_default())
    {
        ops::hashable(given)?;
        return Err(Fault::new(format!("Invalid style {}.", given.repr())));
    }
    let Value::Str(_) = args.operand() else {
        return Err(Fault::new(format!(
            "'{}' object has no attribute 'replace'",
            args.operand().type_name()
        )));
    };
    let (decoration, beginning, end) = match style.as_str() {
        "plain" => ("# ", "", ""),
        "erlang" => ("% ", "", ""),
        "c" => ("// ", "", ""),
        "cblock" => (" * ", "/*", " */"),
        _ => (" - ", "<!--", "-->"),
    };
    let option = |name: &str, default: &str| {
        args.named(name)
            .map_or_else(|| default.to_owned(), Value::text)
    };
    let decoration = option("decoration", decoration);
    let (beginning, end) = (option("beginning", beginning), option("end", end));
    let newline = option("newline", "\n");
    let (prefix, postfix) = (
        option("prefix", decoration.trim_end()),
        option("postfix", decoration.trim_end()),
    );
    let count = |name: &str| {
        args.named(name)
            .and_then(super::super::args::whole)
            .map_or(1, |count| {
                usize::try_from(count.max(0)).unwrap_or(usize::MAX)
            })
    };
    let mut out = String::new();
    if !beginning.is_empty() {
        out += &format!("{beginning}{newline}");
    }
    if !prefix.is_empty() || args.named("prefix").is_none() {
        out += &limits::repeat(&format!("{prefix}{newline}"), count("prefix_count"))?;
    }
    let body = args.operand().text();
    let lines = body
        .split(newline.as_str())
        .map(|line| format!("{decoration}{line}"));
    out += &lines.collect::<Vec<String>>().join(&newline);
    if !postfix.is_empty() || args.named("postfix").is_none() {
        out += &newline;
        limits::text((postfix.len() + newline.len() + 24).saturating_mul(count("postfix_count")))?;
        out += &vec![postfix; count("postfix_count")].join(&newline);
    }
    if !end.is_empty() {
        out += &format!("{newline}{end}");
    }
    Ok(Value::str(out))
}

fn truncate(args: &Args) -> Outcome {
    let (value, length) = (args.operand(), args.get(1, "length"));
    let (length, end) = (
        length.cloned().unwrap_or(Value::Int(255)),
        args.get(3, "end").cloned(),
    );
    let end = end.unwrap_or_else(|| Value::str("..."));
    let leeway = match args.get(4, "leeway") {
        None | Some(Value::None) => Value::Int(5),
        Some(leeway) => leeway.clone(),
    };
    let least = |name: &str, value: &Value, least: usize| match ops::compare(
        ">=",
        value,
        &Value::from(least),
    )? {
        Some(Ordering::Less) => Err(Fault::new(format!(
            "expected {name} >= {least}, got {}",
            value.text()
        ))),
        _ => Ok(()),
    };
    least("length", &length, ops::length(&end)?)?;
    least("leeway", &leeway, 0)?;
    let most = ops::add(&length, &leeway)?;
    if ops::compare("<=", &Value::from(ops::length(value)?), &most)? != Some(Ordering::Greater) {
        return Ok(value.clone());
    }
    let kept = ops::binary("-", &length, &Value::from(ops::length(&end)?))?;
    let Value::Int(kept) = kept else {
        return Err(Fault::new(
            "slice indices must be integers or None or have an __index__ method",
        ));
    };
    if matches!(value, Value::Dict(_)) {
        return Err(Fault::new(format!("slice(None, {kept}, None)")));
    }
    let cut = ops::slice(value, [None, Some(kept), None])?;
    let cut = match &cut {
        _ if args.truth(2, "killwords", false) => cut,
        Value::Str(text) => {
            let text = text.as_str();
            Value::str(text.rsplit_once(' ').map_or(text, |(before, _)| before))
        }
        other => {
            let name = other.type_name();
            return Err(Fault::new(format!(
                "'{name}' object has no attribute 'rsplit'"
            )));
        }
    };
    Ok(ops::add(&cut, &end)?)
}

/// With HTML's special characters written as entities.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

fn striptags(args: &Args) -> Outcome {
    let text = args.operand().text();
    let (mut out, mut inside) = (String::new(), false);
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    let joined = out.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Value::str(
        joined
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&#34;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
    ))
}

fn xmlattr(args: &Args) -> Outcome {
    let entries = super::dict::entries(args.operand()).ok_or_else(|| {
        Fault::new(format!(
            "'{}' object has no attribute 'items'",
            args.operand().type_name()
        ))
    })?;
    let parts = entries
        .iter()
        .filter(|(_, value)| !matches!(value, Value::None) && !value.is_undefined());
    let parts: Vec<String> = parts
        .map(|(key, value)| format!("{}=\"{}\"", escaped(&key.0.text()), escaped(&value.text())))
        .collect();
    let lead = if args.truth(1, "autospace", true) && !parts.is_empty() {
        " "
    } else {
        ""
    };
    Ok(Value::str(format!("{lead}{}", parts.join(" "))))
}

/// What Python's `float` makes of a value.
pub(super) fn amount(value: &Value) -> Result<f64, Fault> {
    match value {
        Value::Str(text) => text.as_str().trim().parse().ok(),
        value => ops::number(value).map(ops::Number::float),
    }
    .ok_or_else(|| {
        Fault::new(match value {
            Value::Str(_) => format!("could not convert string to float: {}", value.repr()),
            other => format!(
                "float() argument must be a string or a real number, not '{}'",
                other.type_name()
            ),
        })
    })
}

fn filesize(args: &Args) -> Outcome {
    let bytes = amount(args.operand())?;
    let binary = args.truth(1, "binary", false);
    let base: f64 = if binary { 1024.0 } else { 1000.0 };
    let units = if binary {
        ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    } else {
        ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
    };
    if bytes == 1.0 {
        return Ok(Value::str("1 Byte"));
    }
    if bytes < base {
        return Ok(Value::str(format!("{:.0} Bytes", bytes.trunc())));
    }
    let mut unit = base * base;
    for (index, name) in units.iter().enumerate() {
        if bytes < unit || index + 1 == units.len() {
            return Ok(Value::str(format!("{:.1} {name}", base * bytes / unit)));
        }
        unit *= base;
    }
    Ok(Value::None)
}

const SIZES: [(char, u32); 8] = [
    ('Y', 80),
    ('Z', 70),
    ('E', 60),
    ('P', 50),
    ('T', 40),
    ('G', 30),
    ('M', 20),
    ('K', 10),
];

fn human_readable(args: &Args) -> Outcome {
    let asked = args
        .get(2, "unit")
        .filter(|unit| !matches!(unit, Value::None));
    if let Some(other) = asked.filter(|unit| !matches!(unit, Value::Str(_))) {
        return Err(Fault::new(format!(
            "human_readable() can't interpret the input: '{}' object has no attribute 'upper'",
            other.type_name()
        )));
    }
    if ops::number(args.operand()).is_none() {
        let zero = Value::Int(0);
        let problem = match asked {
            Some(_) => ops::binary("/", args.operand(), &zero).err(),
            None => ops::compare(">=", args.operand(), &zero).err(),
        };
        let problem = problem.unwrap_or_default();
        return Err(Fault::new(format!(
            "human_readable() failed on bad input: {problem}"
        )));
    }
    let size = amount(args.operand())?;
    let bits = args.truth(1, "isbits", false);
    let (unit, base) = if bits { ("b", "bits") } else { ("B", "Bytes") };
    let wanted = asked.map(|unit| unit.text().to_uppercase());
    for (letter, power) in SIZES {
        let limit = 2f64.powi(i32::try_from(power).unwrap_or(0));
        let hit = match &wanted {
            Some(wanted) => wanted.chars().eq([letter]),
            None => size >= limit,
        };
        if hit {
            return Ok(Value::str(format!("{:.2} {letter}{unit}", size / limit)));
        }
    }
    Ok(Value::str(format!("{size:.2} {base}")))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes are rounded to whole bytes"
)]
fn human_to_bytes(args: &Args) -> Outcome {
    let text = args.operand().text();
    let refused = |why: String| {
        let text = format!("human_to_bytes() can't interpret the input: {why}");
        Fault::new(text.trim_end())
    };
    let unread = || {
        refused(format!(
            "human_to_bytes() can't interpret following string: {text}"
        ))
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.trim_matches(' ');
    if digits.ends_with('.') || !unit.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(unread());
    }
    let number: f64 = digits.parse().map_err(|_| unread())?;
    let unit = match (unit, args.get(1, "default_unit")) {
        ("", None | Some(Value::None)) => "B".to_owned(),
        ("", Some(Value::Str(unit))) => unit.as_str().to_owned(),
        ("", Some(other)) => {
            return Err(Fault::new(format!(
                "human_to_bytes() failed on bad input: '{}' object is not subscriptable",
                other.type_name()
            )));
        }
        (unit, _) => unit.to_owned(),
    };
    let Some(letter) = unit
        .chars()
        .next()
        .map(|letter| letter.to_ascii_uppercase())
    else {
        return Err(refused("string index out of range".to_owned()));
    };
    let power = match SIZES.iter().find(|(name, _)| *name == letter) {
        Some((_, power)) => *power,
        None if letter == 'B' => 0,
        None => {
            return Err(refused(format!(
                "human_to_bytes() failed to convert {text} (unit = {unit}). The suffix must be one of Y, Z, E, P, T, G, M, K, B"
            )));
        }
    };
    if let Some(expected) = wrong_unit(&unit, letter, args.truth(2, "isbits", false)) {
        return Err(refused(format!(
            "human_to_bytes() failed to convert {text}. Value is not a valid string (expect {expected})"
        )));
    }
    Ok(Value::Int(
        (number * 2f64.powi(i32::try_from(power).unwrap_or(0))).round_ties_even() as i128,
    ))
}

/// What is expected instead of a unit that is more than its letter: a unit of bits has a small b, one of bytes a capital
/// one, or both are written out.
fn wrong_unit(unit: &str, letter: char, bits: bool) -> Option<String> {
    const WORDS: [(char, &str); 8] = [
        ('Y', "yotta"),
        ('Z', "zeta"),
        ('E', "exa"),
        ('P', "peta"),
        ('T', "tera"),
        ('G', "giga"),
        ('M', "mega"),
        ('K', "kilo"),
    ];
    let (class, word) = if bits { ('b', "bit") } else { ('B', "byte") };
    let prefix = WORDS.iter().find(|(name, _)| *name == letter);
    let prefix = prefix.map_or("", |(_, prefix)| prefix);
    let written = unit.to_lowercase();
    let fits = written.strip_prefix(prefix) == Some(word);
    let short = !prefix.is_empty() && unit.chars().eq([letter, class]);
    if unit.len() == 1 || fits || short {
        return None;
    }
    Some(match prefix {
        "" => format!("{class} or {word}"),
        _ => format!("{letter}{class} or {letter}"),
    })
}
