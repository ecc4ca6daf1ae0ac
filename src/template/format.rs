//! Python's `%` operator and `str.format`.

use super::limits;
use super::ops::{Number, number};
use super::value::Value;

/// `format % values`.
pub(crate) fn percent(format: &str, values: &Value) -> Result<Value, String> {
    let items: Vec<Value> = match values {
        Value::Tuple(items) => items.to_vec(),
        other => vec![other.clone()],
    };
    let (mut next, mut out, mut named) = (0, String::new(), false);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let mut value = None;
        if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            let Value::Dict(dict) = values else {
                return Err("format requires a mapping".into());
            };
            value = Some(dict.get(name).ok_or_else(|| format!("'{name}'"))?);
            (rest, named) = (after, true);
        }
        let length = rest
            .find(|c: char| c.is_ascii_alphabetic())
            .ok_or("incomplete format")?;
        let (spec, kind) = (
            &rest[..length],
            rest[length..].chars().next().unwrap_or('s'),
        );
        rest = &rest[length + 1..];
        let mut spec = spec.to_owned();
        for _ in 0..spec.matches('*').count() {
            let width = items
                .get(next)
                .ok_or("not enough arguments for format string")?;
            next += 1;
            spec = spec.replacen('*', &width.text(), 1);
        }
        let value = match value {
            Some(value) => value,
            None => {
                next += 1;
                items
                    .get(next - 1)
                    .cloned()
                    .ok_or("not enough arguments for format string")?
            }
        };
        out.push_str(&conversion(&spec, kind, &value)?);
    }
    out.push_str(rest);
    if !named && next < items.len() && !matches!(values, Value::Dict(_)) {
        return Err("not all arguments converted during string formatting".into());
    }
    Ok(Value::str(out))
}

fn conversion(spec: &str, kind: char, value: &Value) -> Result<String, String> {
    let flags: String = spec.chars().take_while(|c| "-+ #0".contains(*c)).collect();
    let (width, precision) = spec[flags.len()..]
        .split_once('.')
        .unwrap_or((&spec[flags.len()..], ""));
    let width: usize = width.parse().unwrap_or(0);
    let body = match kind {
        's' => cut(value.text(), precision),
        'r' | 'a' => cut(value.repr(), precision),
        'c' => match value {
            Value::Int(code) => u32::try_from(*code)
                .ok()
                .and_then(char::from_u32)
                .ok_or("%c arg not in range(0x110000)")?
                .to_string(),
            other => other.text(),
        },
        _ => {
            let amount = number(value).ok_or_else(|| {
                if matches!(kind, 'd' | 'i' | 'u') {
                    format!(
                        "%{kind} format: a real number is required, not {}",
                        value.type_name()
                    )
                } else if matches!(kind, 'x' | 'X' | 'o') {
                    format!(
                        "%{kind} format: an integer is required, not {}",
                        value.type_name()
                    )
                } else {
                    format!("must be real number, not {}", value.type_name())
                }
            })?;
            let sign = if flags.contains('+') {
                "+"
            } else if flags.contains(' ') {
                " "
            } else {
                ""
            };
            let body = numeric(amount, kind, precision.parse().ok(), flags.contains('#'))?;
            if body.starts_with('-') {
                body
            } else {
                format!("{sign}{body}")
            }
        }
    };
    let fill = width.saturating_sub(body.chars().count());
    Ok(if flags.contains('-') {
        body + &limits::repeat(" ", fill)?
    } else if flags.contains('0') && !matches!(kind, 's' | 'r' | 'c') {
        let at = usize::from(body.starts_with(['-', '+', ' ']));
        format!(
            "{}{}{}",
            &body[..at],
            limits::repeat("0", fill)?,
            &body[at..]
        )
    } else {
        limits::repeat(" ", fill)? + &body
    })
}

fn cut(text: String, precision: &str) -> String {
    match precision.parse() {
        Ok(length) => text.chars().take(length).collect(),
        Err(_) => text,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "%d cuts floats as Python does"
)]
fn numeric(
    amount: Number,
    kind: char,
    precision: Option<usize>,
    alternate: bool,
) -> Result<String, String> {
    if precision.is_some_and(|digits| digits > limits::DIGITS) {
        return Err("precision too big".into());
    }
    let whole = match amount {
        Number::Int(value) => value,
        Number::Float(value) => value as i128,
    };
    let (sign, magnitude) = (if whole < 0 { "-" } else { "" }, whole.unsigned_abs());
    let mark = |mark: &str| {
        if alternate {
            mark.to_owned()
        } else {
            String::new()
        }
    };
    Ok(match kind {
        'd' | 'i' | 'u' | 'n' => match precision {
            Some(width) => format!("{sign}{magnitude:0>width$}"),
            None => whole.to_string(),
        },
        'x' => format!("{sign}{}{magnitude:x}", mark("0x")),
        'X' => format!("{sign}{}{magnitude:X}", mark("0X")),
        'o' => format!("{sign}{}{magnitude:o}", mark("0o")),
        'b' => format!("{sign}{}{magnitude:b}", mark("0b")),
        'f' | 'F' => format!("{:.*}", precision.unwrap_or(6), amount.float()),
        '%' => format!("{:.*}%", precision.unwrap_or(6), amount.float() * 100.0),
        'e' | 'E' => {
            let text = exponent(amount.float(), precision.unwrap_or(6));
            if kind == 'E' {
                text.to_uppercase()
            } else {
                text
            }
        }
        'g' | 'G' => general(amount.float(), precision.unwrap_or(6).max(1)),
        other => return Err(format!("unsupported format character '{other}'")),
    })
}

fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

fn general(value: f64, precision: usize) -> String {
    let scientific = exponent(value, precision - 1);
    let power: i32 = scientific
        .split_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if power < -4 || power >= i32::try_from(precision).unwrap_or(i32::MAX) {
        let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
        return format!("{}e{power}", trim(digits));
    }
    let decimals = usize::try_from(i32::try_from(precision).unwrap_or(6) - 1 - power).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

/// `format.format(...)`; `field` finds the value of a replacement field's name.
pub(crate) fn braces(
    format: &str,
    field: &mut dyn FnMut(&str) -> Result<Value, String>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err("Single '}' encountered in format string".into());
        }
        let (mut depth, mut end) = (1, None);
        for (index, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = Some(index);
                break;
            }
        }
        let end = end.ok_or(if rest.is_empty() {
            "Single '{' encountered in format string"
        } else {
            "expected '}' before end of string"
        })?;
        let inside = &rest[..end];
        rest = &rest[end + 1..];
        let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
        let (name, mode) = name.split_once('!').unwrap_or((name, ""));
        let mut value = field(name)?;
        if mode == "r" {
            value = Value::str(value.repr());
        } else if mode == "s" {
            value = Value::str(value.text());
        }
        let spec = if spec.contains('{') {
            braces(spec, field)?
        } else {
            spec.to_owned()
        };
        out.push_str(&spec_format(&value, &spec)?);
    }
    out.push_str(rest);
    Ok(out)
}

/// Python's format mini-language.
pub(crate) fn spec_format(value: &Value, spec: &str) -> Result<String, String> {
    if spec.is_empty() {
        return Ok(value.text());
    }
    let chars: Vec<char> = spec.chars().collect();
    let (mut at, mut fill, mut align) = (0, ' ', None);
    if chars.len() > 1 && "<>^=".contains(chars[1]) {
        (fill, align, at) = (chars[0], Some(chars[1]), 2);
    } else if "<>^=".contains(chars[0]) {
        (align, at) = (Some(chars[0]), 1);
    }
    let mut take = |set: &str| {
        let found = chars.get(at).copied().filter(|c| set.contains(*c));
        at += usize::from(found.is_some());
        found
    };
    let sign = take("+- ");
    let alternate = take("#").is_some();
    if take("0").is_some() && align.is_none() {
        (fill, align) = ('0', Some('='));
    }
    let mut digits = String::new();
    while let Some(c) = take("0123456789") {
        digits.push(c);
    }
    let comma = take(",_");
    let mut precision = None;
    if take(".").is_some() {
        let mut digits = String::new();
        while let Some(c) = take("0123456789") {
            digits.push(c);
        }
        precision = digits.parse().ok();
    }
    let kind = chars.get(at).copied();
    let mut body = match (number(value), kind) {
        (Some(amount), _) if !matches!(kind, Some('s')) => {
            let kind = kind.unwrap_or(match amount {
                Number::Int(_) => 'd',
                Number::Float(_) if precision.is_some() => 'g',
                Number::Float(_) => ' ',
            });
            if kind == ' ' {
                value.text()
            } else {
                numeric(
                    amount,
                    kind,
                    if kind == 'd' { None } else { precision },
                    alternate,
                )?
            }
        }
        (None, None | Some('s')) => precision.map_or_else(
            || value.text(),
            |length| value.text().chars().take(length).collect(),
        ),
        (_, Some(kind)) => {
            return Err(format!(
                "Unknown format code '{kind}' for object of type '{}'",
                value.type_name()
            ));
        }
        (Some(_), None) => value.text(),
    };
    if let Some(separator) = comma {
        body = grouped(&body, separator);
    }
    if let Some(sign @ ('+' | ' ')) = sign
        && !body.starts_with('-')
        && number(value).is_some()
    {
        body.insert(0, sign);
    }
    let missing = digits
        .parse::<usize>()
        .unwrap_or(0)
        .saturating_sub(body.chars().count());
    let padding = |count: usize| limits::repeat(&fill.to_string(), count);
    Ok(
        match align.unwrap_or(if number(value).is_some() { '>' } else { '<' }) {
            '<' => body + &padding(missing)?,
            '^' => padding(missing / 2)? + &body + &padding(missing - missing / 2)?,
            '=' => {
                let split = usize::from(body.starts_with(['-', '+', ' ']));
                format!("{}{}{}", &body[..split], padding(missing)?, &body[split..])
            }
            _ => padding(missing)? + &body,
        },
    )
}

fn grouped(text: &str, separator: char) -> String {
    let (sign, rest) = text
        .strip_prefix('-')
        .map_or(("", text), |rest| ("-", rest));
    let (whole, tail) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    let mut out = String::new();
    for (index, c) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    format!("{sign}{out}{tail}")
}
