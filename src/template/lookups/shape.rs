//! Lookups that shape lists: `items`, `list`, `dict`, `nested`, `together`, `sequence`, `subelements` ...

use super::super::args::whole;
use super::super::eval::Interp;
use super::super::fault::Fault;
use super::super::filters::{dict, format_percent, list, random};
use super::super::limits;
use super::super::value::{Key, Value};
use super::Call;

type Results = Result<Vec<Value>, Fault>;

fn is_list(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Tuple(_))
}

/// `items`: the terms, lists opened by one level.
pub(super) fn items(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        if is_list(term) {
            out.extend(interp.iterate(term)?)
        } else {
            out.push(term.clone())
        }
    }
    Ok(out)
}

/// `flattened`: all lists opened.
pub(super) fn flattened(interp: &Interp<'_>, call: &Call) -> Results {
    fn open(interp: &Interp<'_>, value: &Value, out: &mut Vec<Value>) -> Result<(), Fault> {
        if !is_list(value) {
            out.push(value.clone());
            return Ok(());
        }
        interp
            .iterate(value)?
            .iter()
            .try_for_each(|item| open(interp, item, out))
    }
    let mut out = Vec::new();
    call.terms
        .iter()
        .try_for_each(|term| open(interp, term, &mut out))?;
    Ok(out)
}

/// `dict`: keys and values of dictionaries.
pub(super) fn dictionary(interp: &Interp<'_>, call: &Call) -> Results {
    let mut out = Vec::new();
    for term in &call.terms {
        let Some(entries) = dict::entries(term) else {
            if is_list(term) {
                out.extend(dictionary(
                    interp,
                    &Call {
                        terms: interp.iterate(term)?,
                        options: vec![],
                    },
                )?);
                continue;
            }
            return Err(Fault::new(format!(
                "the 'dict' lookup plugin expects a dictionary, got '{}' of type <class '{}'>)",
                term.text(),
                term.type_name()
            )));
        };
        interp.resolve(term)?;
        for (key, value) in entries {
            out.push(Value::dict(
                [(Key::from("key"), key.0), (Key::from("value"), value)]
                    .into_iter()
                    .collect(),
            ));
        }
    }
    Ok(out)
}

fn lists(interp: &Interp<'_>, call: &Call) -> Result<Vec<Vec<Value>>, Fault> {
    call.terms
        .iter()
        .map(|term| {
            if is_list(term) {
                interp.iterate(term)
            } else {
                Ok(vec![term.clone()])
            }
        })
        .collect()
}

/// `nested`, `cartesian`: all combinations.
pub(super) fn nested(interp: &Interp<'_>, call: &Call) -> Results {
    if call.terms.is_empty() {
        return Err(Fault::new(
            "with_nested requires at least one element in the nested list",
        ));
    }
    Ok(list::cross(&lists(interp, call)?)
        .into_iter()
        .map(Value::list)
        .collect())
}

/// `together`: items at one place; short lists are filled with null.
pub(super) fn together(interp: &Interp<'_>, call: &Call) -> Results {
    if call.terms.is_empty() {
        return Err(Fault::new(
            "with_together requires at least one element in each list",
        ));
    }
    let lists = call
        .terms
        .iter()
        .map(|term| match term {
            Value::Str(_) => interp.iterate(term),
            _ if is_list(term) => interp.iterate(term),
            _ => Ok(vec![term.clone()]),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = lists.iter().map(Vec::len).max().unwrap_or(0);
    let row = |at: usize| {
        Value::list(
            lists
                .iter()
                .map(|list| list.get(at).cloned().unwrap_or(Value::None))
                .collect(),
        )
    };
    Ok((0..count).map(row).collect())
}

/// `indexed_items`: pairs of a place and an item.
pub(super) fn indexed(interp: &Interp<'_>, call: &Call) -> Results {
    let items = items(interp, call)?;
    Ok(items
        .into_iter()
        .enumerate()
        .map(|(at, item)| Value::list(vec![Value::from(at), item]))
        .collect())
}

/// `subelements`: pairs of an item and each member of a list in it.
pub(super) fn subelements(interp: &Interp<'_>, call: &Call) -> Results {
    let [value, path, rest @ ..] = &call.terms[..] else {
        return Err(Fault::new(
            "subelements lookup expects a list of two or three items,",
        ));
    };
    let skip = match rest.first() {
        Some(Value::Dict(flags)) => flags
            .get("skip_missing")
            .is_some_and(|value| value.is_true()),
        _ => false,
    };
    // The lookup, unlike the filter, leaves the list out of the item.
    let pairs = dict::subelements(interp, value, path, skip)?;
    let last = path.text();
    pairs
        .into_iter()
        .map(
            |pair| match (&interp.iterate(&pair)?[..], last.contains('.')) {
                ([Value::Dict(item), member], false) => {
                    let mut entries = item.read().clone();
                    entries.shift_remove(last.as_str());
                    Ok(Value::tuple(vec![Value::dict(entries), member.clone()]))
                }
                _ => Ok(pair),
            },
        )
        .collect()
}

/// `random_choice`: one of the terms.
pub(super) fn choice(_interp: &Interp<'_>, call: &Call) -> Results {
    let at = random::Random::new(None).below(call.terms.len() as u64);
    Ok(usize::try_from(at)
        .ok()
        .and_then(|at| call.terms.get(at).cloned())
        .into_iter()
        .collect())
}

/// `sequence`: numbers from a start to an end.
pub(super) fn sequence(_interp: &Interp<'_>, call: &Call) -> Results {
    let terms = if call.terms.is_empty() {
        vec![Value::str("")]
    } else {
        call.terms.clone()
    };
    let mut out = Vec::new();
    for term in terms {
        let text = term.text();
        let mut fields: Vec<(String, String)> = call
            .options
            .iter()
            .map(|(name, value)| (name.clone(), value.text()))
            .collect();
        let mut format = "%d".to_owned();
        if text.contains('=') {
            fields.extend(
                text.split_whitespace()
                    .filter_map(|word| word.split_once('='))
                    .map(|(key, value)| (key.to_owned(), value.to_owned())),
            );
        } else if !text.is_empty() {
            let (range, given) = text.split_once(':').unwrap_or((&text, "%d"));
            given.clone_into(&mut format);
            let (range, stride) = range.split_once('/').unwrap_or((range, "1"));
            fields.push(("stride".into(), stride.to_owned()));
            match range.split_once('-') {
                Some((start, end)) => fields.extend([
                    ("start".into(), start.to_owned()),
                    ("end".into(), end.to_owned()),
                ]),
                None => fields.push(("end".into(), range.to_owned())),
            }
        }
        let number = |name: &str| -> Result<Option<i128>, Fault> {
            let Some((_, text)) = fields.iter().find(|(key, _)| key == name) else {
                return Ok(None);
            };
            let parsed = text.strip_prefix("0x").map_or_else(
                || whole(&Value::str(text.as_str())),
                |hex| i128::from_str_radix(hex, 16).ok(),
            );
            parsed
                .map(Some)
                .ok_or_else(|| Fault::new(format!("can't parse {name}={text} as integer")))
        };
        if let Some((_, given)) = fields.iter().find(|(key, _)| key == "format") {
            format.clone_from(given);
        }
        const KNOWN: [&str; 5] = ["start", "end", "count", "stride", "format"];
        let mut unknown = fields.iter().map(|(key, _)| key.as_str());
        if let Some(key) = unknown.find(|key| !KNOWN.contains(key)) {
            let key = Value::str(key).repr();
            let text = format!("unrecognized arguments to with_sequence: [{key}]");
            return Err(Fault::new(text));
        }
        let start = number("start")?.unwrap_or(1);
        let (count, end) = (number("count")?, number("end")?);
        let mut stride = number("stride")?.unwrap_or(1);
        let end = match (count, end) {
            (Some(_), Some(_)) => {
                return Err(Fault::new(
                    "can't specify both count and end in with_sequence",
                ));
            }
            (None, None) => return Err(Fault::new("must specify count or end in with_sequence")),
            (Some(0), None) => continue,
            (Some(count), None) => count
                .checked_sub(1)
                .and_then(|steps| steps.checked_mul(stride))
                .and_then(|far| start.checked_add(far))
                .ok_or("the numbers are too large")?,
            (None, Some(end)) => end,
        };
        if stride > 0 && end < start && !fields.iter().any(|(key, _)| key == "stride") {
            stride = 1;
        }
        if stride > 0 && end < start {
            return Err(Fault::new("to count backwards make stride negative"));
        }
        if stride < 0 && end > start {
            return Err(Fault::new("to count forward don't make stride negative"));
        }
        if stride != 0 {
            let count = end.abs_diff(start) / stride.unsigned_abs();
            limits::items(usize::try_from(count).unwrap_or(usize::MAX))?;
        }
        let mut at = start;
        while stride != 0 && ((stride > 0 && at <= end) || (stride < 0 && at >= end)) {
            let text = format_percent(&format, &Value::Int(at))
                .map_err(|_| Fault::new(format!("bad formatting string: {format}")))?;
            out.push(text);
            let Some(next) = at.checked_add(stride) else {
                break;
            };
            at = next;
        }
    }
    Ok(out)
}
