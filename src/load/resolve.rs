//! What a plain YAML scalar means: the YAML 1.1 rules exactly as PyYAML applies them.

use super::node::NodeKind;

/// The value of a scalar written without quotes and without a tag.
pub(super) fn plain(text: &str) -> NodeKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        _ => {}
    }
    if let Some(value) = boolean(text) {
        return NodeKind::Bool(value);
    }
    if let Some(value) = integer(text) {
        return NodeKind::Int(value);
    }
    if let Some(value) = float(text) {
        return NodeKind::Float(value);
    }
    if is_timestamp(text) {
        return NodeKind::Date(text.to_owned());
    }
    NodeKind::Str(text.to_owned())
}

/// `yes`, `no`, `true`, `false`, `on`, `off` in lower, title or upper case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// Decimal, octal with a leading zero, hexadecimal, binary and sexagesimal integers.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = split_sign(text);
    let first = *digits.as_bytes().first()?;
    if !first.is_ascii_digit() {
        return None;
    }
    let radix = |digits: &str, radix: u32| {
        let clean = digits.replace('_', "");
        let valid = !clean.is_empty() && clean.chars().all(|digit| digit.is_digit(radix));
        valid
            .then(|| i128::from_str_radix(&clean, radix).ok())
            .flatten()
    };
    let value = if let Some(rest) = digits.strip_prefix("0b") {
        radix(rest, 2)
    } else if let Some(rest) = digits.strip_prefix("0x") {
        radix(rest, 16)
    } else if first == b'0' {
        radix(digits, 8)
    } else if digits.contains(':') {
        sexagesimal(digits)
    } else {
        radix(digits, 10)
    }?;
    Some(if negative { -value } else { value })
}

fn sexagesimal(digits: &str) -> Option<i128> {
    let mut parts = digits.split(':');
    let mut value = number(parts.next()?)?;
    for part in parts {
        value = value.checked_mul(60)?.checked_add(sixtieth(part)?)?;
    }
    Some(value)
}

fn number(digits: &str) -> Option<i128> {
    let valid = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_');
    valid
        .then(|| digits.replace('_', "").parse().ok())
        .flatten()
}

/// One or two digits below sixty.
fn sixtieth(part: &str) -> Option<i128> {
    let valid = matches!(part.len(), 1 | 2) && part.bytes().all(|byte| byte.is_ascii_digit());
    valid
        .then(|| part.parse().ok())
        .flatten()
        .filter(|value| *value < 60)
}

/// Fractions (an exponent needs a point and a sign), infinities, not-a-number, sexagesimal fractions.
pub(super) fn float(text: &str) -> Option<f64> {
    let (negative, digits) = split_sign(text);
    let signed = |value: f64| if negative { -value } else { value };
    match digits {
        ".inf" | ".Inf" | ".INF" => return Some(signed(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if digits.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    let (whole, fraction) = digits.split_once('.')?;
    if whole.contains(':') {
        return sexagesimal_fraction(whole, fraction).map(signed);
    }
    if whole.is_empty()
        && (digits.len() != text.len() || !fraction.starts_with(|c: char| c.is_ascii_digit()))
    {
        return None;
    }
    if !whole.is_empty() {
        number(whole)?;
    }
    let mantissa = match fraction.split_once(['e', 'E']) {
        None => fraction,
        Some((mantissa, exponent)) => {
            let exponent = exponent.strip_prefix(['+', '-'])?;
            if exponent.is_empty() || !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            mantissa
        }
    };
    if !mantissa
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_')
    {
        return None;
    }
    digits.replace('_', "").parse().ok().map(signed)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Python adds the parts as floats as well"
)]
fn sexagesimal_fraction(whole: &str, fraction: &str) -> Option<f64> {
    let (head, last) = whole.rsplit_once(':')?;
    let mut parts = head.split(':');
    let mut value = number(parts.next()?)? as f64;
    for part in parts {
        value = value * 60.0 + sixtieth(part)? as f64;
    }
    let seconds = sixtieth(last)?;
    if !fraction
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'_')
    {
        return None;
    }
    let seconds: f64 = format!("{seconds}.{}", fraction.replace('_', ""))
        .parse()
        .ok()?;
    Some(value * 60.0 + seconds)
}

/// `2024-01-01`, or a date and a time with an optional fraction and zone.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain_date = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    plain_date || date_and_time(text).is_some()
}

/// Why there is no such date, in Python's words.
pub(super) fn impossible(text: &str) -> Option<&'static str> {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map_while(|part| part.parse::<u32>().ok());
    let (year, month, day) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year == 0 {
        return Some("year 0 is out of range");
    }
    if !(1..=12).contains(&month) {
        return Some("month must be in 1..12");
    }
    if !(1..=days).contains(&day) {
        return Some("day is out of range for month");
    }
    let limits = [
        (23, "hour must be in 0..23"),
        (59, "minute must be in 0..59"),
        (59, "second must be in 0..59"),
    ];
    let wrong = limits.into_iter().zip(numbers);
    let mut wrong = wrong.filter(|((most, _), number)| number > most);
    wrong.next().map(|((_, why), _)| why)
}

fn date_and_time(text: &str) -> Option<()> {
    let rest = digits(text, 4, 4)?.strip_prefix('-')?;
    let rest = digits(rest, 1, 2)?.strip_prefix('-')?;
    let rest = digits(rest, 1, 2)?;
    let time = rest.strip_prefix(['T', 't']).or_else(|| blanks(rest))?;
    let rest = digits(time, 1, 2)?.strip_prefix(':')?;
    let rest = digits(rest, 2, 2)?.strip_prefix(':')?;
    let mut rest = digits(rest, 2, 2)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    if rest.is_empty() {
        return Some(());
    }
    let zone = rest.trim_start_matches([' ', '\t']);
    if zone == "Z" {
        return Some(());
    }
    let rest = digits(zone.strip_prefix(['+', '-'])?, 1, 2)?;
    let rest = match rest.strip_prefix(':') {
        Some(minutes) => digits(minutes, 2, 2)?,
        None => rest,
    };
    rest.is_empty().then_some(())
}

fn blanks(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches([' ', '\t']);
    (rest.len() < text.len()).then_some(rest)
}

/// What follows `least` to `most` digits.
fn digits(text: &str, least: usize, most: usize) -> Option<&str> {
    let count = text
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    (count >= least).then(|| &text[count..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match plain(text) {
            NodeKind::Null => "null".to_owned(),
            NodeKind::Bool(value) => format!("bool {value}"),
            NodeKind::Int(value) => format!("int {value}"),
            NodeKind::Float(value) => format!("float {value:?}"),
            NodeKind::Date(_) => "date".to_owned(),
            _ => "str".to_owned(),
        }
    }

    /// Recorded from PyYAML 6.
    const TABLE: &[(&str, &str)] = &[
        ("0644", "int 420"),
        ("012", "int 10"),
        ("08", "str"),
        ("0o644", "str"),
        ("1:30", "int 90"),
        ("12:30:45", "int 45045"),
        ("1_000", "int 1000"),
        ("0b11", "int 3"),
        (".5", "float 0.5"),
        ("1e3", "str"),
        ("1e+3", "str"),
        ("1.5e+3", "float 1500.0"),
        ("1.e+3", "float 1000.0"),
        ("1.", "float 1.0"),
        ("-.inf", "float -inf"),
        (".NaN", "float NaN"),
        ("+.Inf", "float inf"),
        ("yes", "bool true"),
        ("On", "bool true"),
        ("off", "bool false"),
        ("TRUE", "bool true"),
        ("y", "str"),
        ("n", "str"),
        ("~", "null"),
        ("Null", "null"),
        ("", "null"),
        ("2024-01-01", "date"),
        ("2024-1-1", "str"),
        ("2001-12-14t21:59:43.10-05:00", "date"),
        ("0x1F", "int 31"),
        ("-0x1f", "int -31"),
        ("+12", "int 12"),
        ("-0", "int 0"),
        ("00", "int 0"),
        ("0_", "int 0"),
        ("1__2", "int 12"),
        ("_1", "str"),
        ("1:60", "str"),
        ("1:59.5", "float 119.5"),
        ("190:20:30.15", "float 685230.15"),
        ("0.", "float 0.0"),
        (".5e+1", "float 5.0"),
        ("._1", "str"),
        (".", "str"),
        ("1.5_0", "float 1.5"),
        ("0b", "str"),
        ("0b1_0", "int 2"),
        ("0x", "str"),
        ("0b_1", "int 1"),
        ("--", "str"),
        ("12e03", "str"),
        ("685.230_15e+03", "float 685230.15"),
        ("1_", "int 1"),
        ("-1:30", "int -90"),
        ("+.5", "str"),
        ("-.5", "str"),
        ("099", "str"),
        ("0:0", "str"),
        ("0:00:01", "str"),
        ("0_7", "int 7"),
        ("2024-01-01T10:00:00Z", "date"),
        ("tRue", "str"),
        ("nan", "str"),
        ("1,000", "str"),
        ("1.5e3", "str"),
        ("+0b1", "int 1"),
        ("-012", "int -10"),
        ("2001-12-14_21:59:43", "str"),
    ];

    #[test]
    fn plain_scalars_resolve_as_in_pyyaml() {
        for (text, expected) in TABLE {
            assert_eq!(shown(text), *expected, "{text}");
        }
    }
}
