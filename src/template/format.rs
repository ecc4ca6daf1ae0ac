//! Python's `%` operator and `str.format`.

use super::fault::{Fault, Outcome};
use super::lazy::defined;
use super::limits;
use super::ops::{Number, number};
use super::value::Value;

/// A conversion of the `%` operator, as it is written.
#[derive(Default)]
struct Conversion {
    minus: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// The values that conversions take one after the other.
struct Operands<'v> {
    items: &'v [Value],
    next: usize,
}

impl Operands<'_> {
    fn take(&mut self) -> Result<&Value, Fault> {
        let value = self
            .items
            .get(self.next)
            .ok_or("not enough arguments for format string")?;
        self.next += 1;
        defined(value)?;
        Ok(value)
    }

    /// The value of a `*`.
    fn star(&mut self) -> Result<i64, Fault> {
        match self.take()? {
            Value::Int(number) => Ok(i64::try_from(*number)
                .map_err(|_| "Python int too large to convert to C ssize_t")?),
            Value::Bool(truth) => Ok(i64::from(*truth)),
            _ => Err(Fault::new("* wants int")),
        }
    }
}

/// `format % values`.
pub(crate) fn percent(format: &str, values: &Value) -> Outcome {
    let single = std::slice::from_ref(values);
    let mut operands = Operands {
        items: match values {
            Value::Tuple(items) => items,
            _ => single,
        },
        next: 0,
    };
    let letters: Vec<char> = format.chars().collect();
    let (mut at, mut out, mut named) = (0, String::new(), false);
    while let Some(&letter) = letters.get(at) {
        at += 1;
        if letter != '%' {
            out.push(letter);
            continue;
        }
        if letters.get(at) == Some(&'%') {
            out.push('%');
            at += 1;
            continue;
        }
        out.push_str(&match key(&letters, &mut at)? {
            Some(key) => {
                named = true;
                let items = &[lookup(values, &key)?];
                converted(&letters, &mut at, &mut Operands { items, next: 0 })?
            }
            // One that was looked up is all there is.
            None if named => {
                let items = &[];
                converted(&letters, &mut at, &mut Operands { items, next: 0 })?
            }
            None => converted(&letters, &mut at, &mut operands)?,
        });
        limits::text(out.len())?;
    }
    // What is looked up in need not be used up.
    let mapping = matches!(
        values,
        Value::Dict(_) | Value::List(_) | Value::Object(_) | Value::Undefined(_) | Value::Bytes(_)
    );
    if !named && operands.next < operands.items.len() && !mapping {
        let text = "not all arguments converted during string formatting";
        return Err(Fault::new(text));
    }
    Ok(Value::str(out))
}

/// What a conversion makes of the next value.
fn converted(
    letters: &[char],
    at: &mut usize,
    operands: &mut Operands<'_>,
) -> Result<String, Fault> {
    let conversion = conversion(letters, at, operands)?;
    let Some(&kind) = letters.get(*at) else {
        return Err(Fault::new("incomplete format"));
    };
    *at += 1;
    let value = operands.take()?;
    if !"sracdiuoxXeEfFgG".contains(kind) {
        return Err(Fault::new(format!(
            "unsupported format character '{kind}' (0x{:x}) at index {}",
            u32::from(kind),
            *at - 1
        )));
    }
    conversion.of(kind, value)
}

/// The name in parentheses behind the sign.
fn key(letters: &[char], at: &mut usize) -> Result<Option<String>, Fault> {
    if letters.get(*at) != Some(&'(') {
        return Ok(None);
    }
    let (start, mut depth) = (*at + 1, 1);
    *at = start;
    while depth > 0 {
        match letters.get(*at) {
            None => return Err(Fault::new("incomplete format key")),
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some(_) => {}
        }
        *at += 1;
    }
    Ok(Some(letters[start..*at - 1].iter().collect()))
}

fn lookup(values: &Value, key: &str) -> Outcome {
    match values {
        Value::Dict(dict) => Ok(dict.get(key).ok_or_else(|| Value::str(key).repr())?),
        Value::Object(object) if object.to_dict().is_some() => Ok(object
            .item(&Value::str(key))
            .ok_or_else(|| Value::str(key).repr())?),
        Value::Undefined(undefined) => Err(Fault::undefined(undefined)),
        Value::List(_) => Err(Fault::new(
            "list indices must be integers or slices, not str",
        )),
        _ => Err(Fault::new("format requires a mapping")),
    }
}

/// Flags, width and precision.
fn conversion(
    letters: &[char],
    at: &mut usize,
    operands: &mut Operands<'_>,
) -> Result<Conversion, Fault> {
    let mut found = Conversion::default();
    while let Some(letter) = letters.get(*at) {
        match letter {
            '-' => found.minus = true,
            '+' => found.plus = true,
            ' ' => found.blank = true,
            '#' => found.alternate = true,
            '0' => found.zero = true,
            _ => break,
        }
        *at += 1;
    }
    let digits = |at: &mut usize| {
        let start = *at;
        *at += letters[start..]
            .iter()
            .take_while(|c| c.is_ascii_digit())
            .count();
        letters[start..*at].iter().collect::<String>()
    };
    if letters.get(*at) == Some(&'*') {
        *at += 1;
        let width = operands.star()?;
        found.minus |= width < 0;
        found.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    } else {
        let width = digits(at);
        if !width.is_empty() {
            found.width = width.parse().map_err(|_| "width too big")?;
        }
    }
    if letters.get(*at) == Some(&'.') {
        *at += 1;
        let precision = if letters.get(*at) == Some(&'*') {
            *at += 1;
            usize::try_from(operands.star()?).unwrap_or(0)
        } else {
            let precision = digits(at);
            match precision.is_empty() {
                true => 0,
                false => precision.parse().map_err(|_| "precision too big")?,
            }
        };
        found.precision = Some(precision);
    }
    if matches!(letters.get(*at), Some('h' | 'l' | 'L')) {
        *at += 1;
    }
    Ok(found)
}

impl Conversion {
    fn of(&self, kind: char, value: &Value) -> Result<String, Fault> {
        let text = match kind {
            's' => cut(value.text(), self.precision),
            'r' => cut(value.repr(), self.precision),
            'a' => cut(ascii(value), self.precision),
            'c' => letter(value)?,
            _ => return self.number(kind, value),
        };
        self.padded("", "", &text, false)
    }

    fn number(&self, kind: char, value: &Value) -> Result<String, Fault> {
        let whole = "diuoxX".contains(kind);
        let amount = match number(value) {
            Some(Number::Float(_)) if "oxX".contains(kind) => None,
            amount => amount,
        };
        let amount = amount.ok_or_else(|| {
            let name = value.type_name();
            match kind {
                'd' | 'i' | 'u' => format!("%{kind} format: a real number is required, not {name}"),
                'o' | 'x' | 'X' => format!("%{kind} format: an integer is required, not {name}"),
                _ => format!("must be real number, not {name}"),
            }
        })?;
        let (negative, mark, digits) = if whole {
            let number = match amount {
                Number::Int(number) => number,
                Number::Float(number) => cut_float(number)?,
            };
            let mut digits = radix(number.unsigned_abs(), kind);
            if let Some(precision) = self.precision {
                let zeros = precision.saturating_sub(digits.len());
                digits = limits::repeat("0", zeros)? + &digits;
            }
            (number < 0, prefix(kind, self.alternate), digits)
        } else {
            let float = amount.float();
            let text = decimal(
                float.abs(),
                kind,
                self.precision.unwrap_or(6),
                self.alternate,
            )?;
            (float.is_sign_negative() && !float.is_nan(), "", text)
        };
        let sign = match (negative, self.plus, self.blank) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        self.padded(sign, mark, &digits, self.zero)
    }

    fn padded(&self, sign: &str, mark: &str, text: &str, zero: bool) -> Result<String, Fault> {
        let width = sign.len() + mark.len() + text.chars().count();
        let fill = self.width.saturating_sub(width);
        Ok(if self.minus {
            format!("{sign}{mark}{text}{}", limits::repeat(" ", fill)?)
        } else if zero {
            format!("{sign}{mark}{}{text}", limits::repeat("0", fill)?)
        } else {
            format!("{}{sign}{mark}{text}", limits::repeat(" ", fill)?)
        })
    }
}

fn cut(text: String, precision: Option<usize>) -> String {
    match precision {
        Some(length) => text.chars().take(length).collect(),
        None => text,
    }
}

/// Python's `ascii`.
fn ascii(value: &Value) -> String {
    let mut out = String::new();
    for c in value.repr().chars() {
        match u32::from(c) {
            0..=0x7f => out.push(c),
            code @ 0x80..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code @ 0x100..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

fn letter(value: &Value) -> Result<String, Fault> {
    match value {
        Value::Int(_) | Value::Bool(_) => Ok(character(value)?.to_string()),
        Value::Str(text) if text.as_str().chars().count() == 1 => Ok(text.as_str().to_owned()),
        _ => Err(Fault::new("%c requires int or char")),
    }
}

fn character(value: &Value) -> Result<char, String> {
    let code = match number(value) {
        Some(Number::Int(code)) => u32::try_from(code).ok(),
        _ => None,
    };
    code.and_then(char::from_u32)
        .ok_or_else(|| "%c arg not in range(0x110000)".to_owned())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "Python's int() cuts floats as well"
)]
fn cut_float(number: f64) -> Result<i128, String> {
    if number.is_nan() {
        return Err("cannot convert float NaN to integer".into());
    }
    if number.is_infinite() {
        return Err("cannot convert float infinity to integer".into());
    }
    Ok(number as i128)
}

fn radix(number: u128, kind: char) -> String {
    match kind {
        'x' => format!("{number:x}"),
        'X' => format!("{number:X}"),
        'o' => format!("{number:o}"),
        'b' => format!("{number:b}"),
        _ => number.to_string(),
    }
}

fn prefix(kind: char, alternate: bool) -> &'static str {
    match kind {
        'x' if alternate => "0x",
        'X' if alternate => "0X",
        'o' if alternate => "0o",
        'b' if alternate => "0b",
        _ => "",
    }
}

/// A float that is not negative in one of the forms `e`, `f` and `g`.
fn decimal(value: f64, kind: char, precision: usize, alternate: bool) -> Result<String, String> {
    if precision > limits::DIGITS {
        return Err("precision too big".into());
    }
    let text = if value.is_nan() {
        "nan".to_owned()
    } else if value.is_infinite() {
        "inf".to_owned()
    } else {
        match kind.to_ascii_lowercase() {
            'f' => {
                let point = if alternate && precision == 0 { "." } else { "" };
                format!("{value:.precision$}{point}")
            }
            'e' => {
                let text = exponent(value, precision);
                match alternate && precision == 0 {
                    true => text.replacen('e', ".e", 1),
                    false => text,
                }
            }
            _ => general(value, precision.max(1), alternate, false),
        }
    };
    Ok(match kind.is_ascii_uppercase() {
        true => text.to_uppercase(),
        false => text,
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

/// The shorter form of a float; `point` asks for a digit behind the point.
fn general(value: f64, precision: usize, zeros: bool, point: bool) -> String {
    let scientific = exponent(value, precision - 1);
    let power: i32 = scientific
        .split_once('e')
        .and_then(|(_, power)| power.parse().ok())
        .unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') && !zeros {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let most = i32::try_from(precision).unwrap_or(i32::MAX) - i32::from(point);
    if power < -4 || power >= most {
        let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "+00"));
        return format!("{}e{power}", trim(digits));
    }
    let decimals = i32::try_from(precision).unwrap_or(6) - 1 - power;
    let decimals = usize::try_from(decimals).unwrap_or(0);
    let text = trim(&format!("{value:.decimals$}"));
    match point && !text.contains('.') {
        true => text + ".0",
        false => text,
    }
}

/// `format.format(...)`; `field` finds the value of a replacement field's name.
pub(crate) fn braces(
    format: &str,
    field: &mut dyn FnMut(&str) -> Outcome,
) -> Result<String, Fault> {
    nested(format, field, 2)
}

fn nested(
    format: &str,
    field: &mut dyn FnMut(&str) -> Outcome,
    depth: usize,
) -> Result<String, Fault> {
    if depth == 0 {
        return Err(Fault::new("Max string recursion exceeded"));
    }
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
            return Err(Fault::new("Single '}' encountered in format string"));
        }
        let inside = replacement(&mut rest)?;
        let mut value = field(inside.name)?;
        defined(&value)?;
        value = match inside.mode {
            None => value,
            Some('r') => Value::str(value.repr()),
            Some('s') => Value::str(value.text()),
            Some('a') => Value::str(ascii(&value)),
            Some(other) => {
                return Err(Fault::new(format!("Unknown conversion specifier {other}")));
            }
        };
        let spec = match inside.spec.contains(['{', '}']) {
            true => nested(inside.spec, field, depth - 1)?,
            false => inside.spec.to_owned(),
        };
        out.push_str(&spec_format(&value, &spec)?);
        limits::text(out.len())?;
    }
    out.push_str(rest);
    Ok(out)
}

/// A replacement field in its parts.
struct Replacement<'f> {
    name: &'f str,
    mode: Option<char>,
    spec: &'f str,
}

/// The field that a text begins with, behind its brace; the text goes on behind it.
fn replacement<'f>(rest: &mut &'f str) -> Result<Replacement<'f>, &'static str> {
    if rest.is_empty() {
        return Err("Single '{' encountered in format string");
    }
    // Brackets of a name may hold anything.
    let (mut bracket, mut end) = (false, None);
    for (at, c) in rest.char_indices() {
        match c {
            '[' => bracket = true,
            ']' => bracket = false,
            '{' if !bracket => return Err("unexpected '{' in field name"),
            '}' | ':' | '!' if !bracket => {
                end = Some(at);
                break;
            }
            _ => {}
        }
    }
    let end = end.ok_or("expected '}' before end of string")?;
    let (name, after) = rest.split_at(end);
    let mut letters = after.chars();
    let (mut mode, mut next) = (None, letters.next());
    if next == Some('!') {
        mode = match letters.next() {
            None => return Err("end of string while looking for conversion specifier"),
            Some('}') => return Err("unmatched '{' in format spec"),
            mode => mode,
        };
        next = letters.next();
        match next {
            None => return Err("unmatched '{' in format spec"),
            Some(':' | '}') => {}
            Some(_) => return Err("expected ':' after conversion specifier"),
        }
    }
    let after = letters.as_str();
    if next == Some('}') {
        *rest = after;
        return Ok(Replacement {
            name,
            mode,
            spec: "",
        });
    }
    let mut depth = 1;
    for (at, c) in after.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            *rest = &after[at + 1..];
            let spec = &after[..at];
            return Ok(Replacement { name, mode, spec });
        }
    }
    Err("unmatched '{' in format spec")
}

/// Python's format mini-language, as it is written.
struct Spec {
    fill: char,
    align: Option<char>,
    sign: Option<char>,
    no_negative_zero: bool,
    alternate: bool,
    width: usize,
    comma: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// A value by Python's format mini-language.
pub(crate) fn spec_format(value: &Value, spec: &str) -> Result<String, Fault> {
    if spec.is_empty() {
        return Ok(value.text());
    }
    match value {
        Value::Str(text) => {
            let spec = Spec::read(spec, "str")?;
            let text = spec.text(text.as_str())?;
            Ok(spec.aligned("", &text, '<')?)
        }
        Value::Int(_) | Value::Bool(_) | Value::Float(_) => {
            let spec = Spec::read(spec, value.type_name())?;
            Ok(spec.number(value)?)
        }
        Value::Object(object) => match object.attr("strftime") {
            Some(Value::Object(method)) => match method.call(&[Value::str(spec)], &[]) {
                Some(text) => Ok(text?.text()),
                None => Ok(value.text()),
            },
            _ => Err(no_format(value)),
        },
        _ => Err(no_format(value)),
    }
}

fn no_format(value: &Value) -> Fault {
    Fault::new(format!(
        "unsupported format string passed to {}.__format__",
        value.type_name()
    ))
}

impl Spec {
    fn read(spec: &str, name: &str) -> Result<Self, String> {
        let chars: Vec<char> = spec.chars().collect();
        let (mut at, mut fill, mut align) = (0, ' ', None);
        if chars.get(1).is_some_and(|c| "<>^=".contains(*c)) {
            (fill, align, at) = (chars[0], Some(chars[1]), 2);
        } else if "<>^=".contains(chars[0]) {
            (align, at) = (Some(chars[0]), 1);
        }
        let filled = at == 2;
        let mut take = |set: &str| {
            let found = chars.get(at).copied().filter(|c| set.contains(*c));
            at += usize::from(found.is_some());
            found
        };
        let sign = take("+- ");
        let no_negative_zero = take("z").is_some();
        let alternate = take("#").is_some();
        if !filled && take("0").is_some() {
            fill = '0';
            if align.is_none() && name != "str" {
                align = Some('=');
            }
        }
        let digits = |take: &mut dyn FnMut(&str) -> Option<char>| {
            let mut digits = String::new();
            while let Some(c) = take("0123456789") {
                digits.push(c);
            }
            digits
        };
        let width = digits(&mut take);
        let comma = take(",_");
        if let Some(first) = comma
            && let Some(second) = take(",_")
        {
            return Err(match first == second {
                true => format!("Cannot specify '{first}' with '{second}'."),
                false => "Cannot specify both ',' and '_'.".to_owned(),
            });
        }
        let mut precision = None;
        if take(".").is_some() {
            let digits = digits(&mut take);
            if digits.is_empty() {
                return Err("Format specifier missing precision".into());
            }
            let too_many = |_| "Too many decimal digits in format string".to_owned();
            precision = Some(digits.parse().map_err(too_many)?);
        }
        let rest = &chars[at..];
        if rest.len() > 1 {
            return Err(format!(
                "Invalid format specifier '{spec}' for object of type '{name}'"
            ));
        }
        let too_many = |_| "Too many decimal digits in format string".to_owned();
        let spec = Self {
            fill,
            align,
            sign,
            no_negative_zero,
            alternate,
            width: match width.is_empty() {
                true => 0,
                false => width.parse().map_err(too_many)?,
            },
            comma,
            precision,
            kind: rest.first().copied(),
        };
        if let Some(comma) = spec.comma {
            let kind = spec.kind.unwrap_or(if name == "str" { 's' } else { 'd' });
            let known = "defgEGF%".contains(kind) || comma == '_' && "boxX".contains(kind);
            if !known {
                return Err(format!("Cannot specify '{comma}' with '{kind}'."));
            }
        }
        Ok(spec)
    }

    fn unknown(&self, kind: char, name: &str) -> String {
        format!("Unknown format code '{kind}' for object of type '{name}'")
    }

    fn text(&self, text: &str) -> Result<String, String> {
        if let Some(kind) = self.kind.filter(|kind| *kind != 's') {
            return Err(self.unknown(kind, "str"));
        }
        let problem = match (self.sign, self.align) {
            (Some(' '), _) => "Space not allowed in string format specifier",
            (Some(_), _) => "Sign not allowed in string format specifier",
            _ if self.no_negative_zero => {
                "Negative zero coercion (z) not allowed in string format specifier"
            }
            _ if self.alternate => "Alternate form (#) not allowed in string format specifier",
            (_, Some('=')) => "'=' alignment not allowed in string format specifier",
            _ => return Ok(cut(text.to_owned(), self.precision)),
        };
        Err(problem.into())
    }

    fn number(&self, value: &Value) -> Result<String, String> {
        let name = value.type_name();
        let Some(amount) = number(value) else {
            return Ok(value.text());
        };
        let (negative, mark, digits) = match (amount, self.kind) {
            (Number::Int(whole), None | Some('b' | 'c' | 'd' | 'o' | 'x' | 'X' | 'n')) => {
                self.whole(value, whole)?
            }
            (_, Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%'))
            | (Number::Float(_), None | Some('n')) => {
                let (negative, digits) = self.float(value, amount.float())?;
                (negative, "", digits)
            }
            (_, Some(kind)) => return Err(self.unknown(kind, name)),
        };
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (_, Some('+')) => "+",
            (_, Some(' ')) => " ",
            _ => "",
        };
        let head = format!("{sign}{mark}");
        let digits = match self.comma {
            Some(separator) => {
                let size = if self.kind.is_some_and(|kind| "boxX".contains(kind)) {
                    4
                } else {
                    3
                };
                let zeros = self.fill == '0' && self.align == Some('=');
                let least = if zeros {
                    self.width.saturating_sub(head.len())
                } else {
                    0
                };
                limits::text(least)?;
                grouped(&digits, separator, size, least)
            }
            None => digits,
        };
        self.aligned(&head, &digits, '>')
    }

    fn whole(&self, value: &Value, number: i128) -> Result<(bool, &'static str, String), String> {
        if self.precision.is_some() {
            return Err("Precision not allowed in integer format specifier".into());
        }
        if self.no_negative_zero {
            let text = "Negative zero coercion (z) not allowed in integer format specifier";
            return Err(text.into());
        }
        let kind = self.kind.unwrap_or('d');
        if kind == 'c' {
            if self.sign.is_some() {
                let text = "Sign not allowed with integer format specifier 'c'";
                return Err(text.into());
            }
            if self.alternate {
                let text = "Alternate form (#) not allowed with integer format specifier 'c'";
                return Err(text.into());
            }
            return Ok((false, "", character(value)?.to_string()));
        }
        let digits = radix(number.unsigned_abs(), kind);
        Ok((number < 0, prefix(kind, self.alternate), digits))
    }

    fn float(&self, value: &Value, number: f64) -> Result<(bool, String), String> {
        let size = number.abs();
        let text = match (self.kind, self.precision) {
            (None, None) => value.text().trim_start_matches('-').to_owned(),
            (None, Some(precision)) if size.is_finite() => {
                if precision > limits::DIGITS {
                    return Err("precision too big".into());
                }
                general(size, precision.max(1), self.alternate, true)
            }
            (Some('%'), precision) => {
                decimal(size * 100.0, 'f', precision.unwrap_or(6), self.alternate)? + "%"
            }
            (kind, precision) => {
                let kind = kind.filter(|kind| *kind != 'n').unwrap_or('g');
                decimal(size, kind, precision.unwrap_or(6), self.alternate)?
            }
        };
        let zero = !text.contains(|c| matches!(c, '1'..='9' | 'a'..='d' | 'i' | 'n' | 'I' | 'N'));
        let negative = number.is_sign_negative() && !number.is_nan();
        Ok((negative && !(self.no_negative_zero && zero), text))
    }

    fn aligned(&self, head: &str, text: &str, default: char) -> Result<String, String> {
        let width = head.len() + text.chars().count();
        let missing = self.width.saturating_sub(width);
        let padding = |count: usize| limits::repeat(&self.fill.to_string(), count);
        Ok(match self.align.unwrap_or(default) {
            '<' => format!("{head}{text}{}", padding(missing)?),
            '^' => format!(
                "{}{head}{text}{}",
                padding(missing / 2)?,
                padding(missing - missing / 2)?
            ),
            '=' => format!("{head}{}{text}", padding(missing)?),
            _ => format!("{}{head}{text}", padding(missing)?),
        })
    }
}

/// Digits in groups, with zeros before them up to a width.
fn grouped(text: &str, separator: char, size: usize, width: usize) -> String {
    let end = text
        .find(|c: char| !c.is_ascii_hexdigit() || size == 3 && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (whole, tail) = text.split_at(end);
    let mut whole = whole.to_owned();
    let groups = |digits: usize| digits + digits.saturating_sub(1) / size;
    while groups(whole.len()) + tail.len() < width {
        whole.insert(0, '0');
    }
    let mut out = String::new();
    for (index, c) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(size) {
            out.push(separator);
        }
        out.push(c);
    }
    out + tail
}
