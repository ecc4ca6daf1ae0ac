//! The lookup `sequence`: numbers from a start to an end.

use super::super::fault::Fault;
use super::super::filters::format_percent;
use super::super::interp::Interp;
use super::super::limits;
use super::super::value::Value;
use super::{Call, options};
use crate::load::kv;

type Fields = Vec<(String, Value)>;

/// Names that a term may set, in the order in which they are looked at.
const NAMES: [&str; 5] = ["end", "start", "count", "stride", "format"];

pub(super) fn sequence(_interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let mut out = Vec::new();
    if call.terms.is_empty() && call.has_options {
        numbers(&call.options, &mut out)?;
    }
    for term in &call.terms {
        let Value::Str(text) = term else {
            return Err(Fault::new(format!(
                "unknown error parsing with_sequence arguments: {}. Error was: expected string or bytes-like object, got '{}'",
                term.text(),
                term.type_name()
            )));
        };
        let mut fields = match short(text.as_str()) {
            Some(fields) => fields,
            None => long(text.as_str())?,
        };
        for name in NAMES.iter().filter(|name| **name != "format") {
            if let Some((_, value)) = fields.iter_mut().find(|(key, _)| key == name) {
                *value = options::of("sequence", name, value.clone())?;
            }
        }
        fields.extend(call.options.iter().cloned());
        numbers(&fields, &mut out)?;
    }
    Ok(out)
}

/// The form `start-end/stride:format`, of which only the end must be there.
fn short(text: &str) -> Option<Fields> {
    let (range, format) = match text.split_once(':') {
        Some((_, "")) => return None,
        Some((range, format)) => (range, Some(format)),
        None => (text, None),
    };
    let (range, stride) = match range.split_once('/') {
        Some((range, stride)) => (range, Some(stride)),
        None => (range, None),
    };
    let (start, end) = match range.split_once('-') {
        Some((start, end)) => (Some(start), Some(end)),
        None => (None, Some(range)),
    };
    let number = |text: &&str| {
        let digits = text.strip_prefix('0').unwrap_or(text);
        let digits = digits.strip_prefix('x').unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let numbers = [start, end, stride];
    numbers.iter().flatten().all(number).then_some(())?;
    let given = [
        ("start", start),
        ("end", end),
        ("stride", stride),
        ("format", format),
    ];
    Some(
        given
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), Value::str(text?))))
            .collect(),
    )
}

/// The form `start=1 end=3`.
fn long(text: &str) -> Result<Fields, Fault> {
    let parsed = kv::parse_kv(text, false).map_err(|problem| {
        Fault::new(format!(
            "unknown error parsing with_sequence arguments: {}. Error was: {problem}",
            Value::str(text).text()
        ))
    })?;
    let mut unknown: Vec<&str> = parsed
        .options
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    unknown.retain(|name| !NAMES.contains(name));
    unknown.extend(parsed.free_form.as_ref().map(|_| "_raw_params"));
    if let Some(first) = unknown.first() {
        let text = format!("unrecognized arguments to with_sequence: ['{first}']");
        return Err(Fault::new(text));
    }
    Ok(parsed
        .options
        .into_iter()
        .map(|(name, word)| (name, Value::from(word.value)))
        .collect())
}

fn numbers(fields: &[(String, Value)], out: &mut Vec<Value>) -> Result<(), Fault> {
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    };
    let number = |name: &str| match field(name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let start = number("start").unwrap_or(1);
    let stride = number("stride").unwrap_or(1);
    let end = match (number("count"), number("end")) {
        (Some(_), Some(_)) => {
            return Err(Fault::new(
                "can't specify both count and end in with_sequence",
            ));
        }
        (None, None) => return Err(Fault::new("must specify count or end in with_sequence")),
        (Some(0), None) => return Ok(()),
        (Some(count), None) => count
            .checked_mul(stride)
            .and_then(|far| start.checked_add(far))
            .and_then(|far| far.checked_sub(1))
            .ok_or("the numbers are too large")?,
        (None, Some(end)) => end,
    };
    if stride > 0 && end < start {
        return Err(Fault::new("to count backwards make stride negative"));
    }
    if stride < 0 && end > start {
        return Err(Fault::new("to count forward don't make stride negative"));
    }
    if stride == 0 {
        return Ok(());
    }
    let count = end.abs_diff(start) / stride.unsigned_abs();
    limits::items(usize::try_from(count).unwrap_or(usize::MAX))?;
    let format = field("format").map_or_else(|| "%d".to_owned(), Value::text);
    if format.matches('%').count() != 1 {
        let text = format!("bad formatting string: {format}");
        return Err(Fault::new(text.trim_end()));
    }
    let mut at = start;
    while (stride > 0 && at <= end) || (stride < 0 && at >= end) {
        let text = format_percent(&format, &Value::Int(at));
        out.push(text.map_err(|_| {
            Fault::new(format!(
                "problem formatting {at} with {}",
                Value::str(format.as_str()).repr()
            ))
        })?);
        let Some(next) = at.checked_add(stride) else {
            break;
        };
        at = next;
    }
    Ok(())
}
