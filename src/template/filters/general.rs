//! Smaller filters of `community.general`.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization as _;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::ops;
use super::super::signatures::{Signature, python};
use super::super::value::{Entries, Key, Value};
use super::dict::{entries, merge, python_type};
use super::list::deduplicated;
use super::random::Random;

super::filters! {
    "accumulate": "the sums of its first items" => |i, a| accumulate(i, a);
    "counter": "how often each item is there" => |i, a| counter(i, a);
    "crc32": "its CRC-32 checksum in hexadecimal" => |_, a| {
        Ok(Value::from(format!("{:x}", crc32(text(a.operand(), "crc32")?.as_bytes()))))
    };
    "dict": "a dictionary of pairs" => |i, a| super::super::functions::dict(i, a);
    "dict_kv": "a dictionary of it under one key" => |_, a| {
        let key = a.get(1, "key").ok_or_else(|| {
            Fault::new("dict_kv() missing 1 required positional argument: 'key'")
        })?;
        ops::hashable(key)?;
        Ok(Value::dict(Entries::from([(Key(key.clone()), a.operand().clone())])))
    };
    "groupby_as_dict": "dictionaries under the value that each has there" => |i, a| grouped(i, a);
    "unicode_normalize": "with its letters in one of Unicode's normal forms" => |_, a| normalized(a);
    "version_sort": "in the order of versions" => |i, a| version_sort(i, a);
    "reveal_ansible_type": "the name of its type, and those of its items" => |_, a| Ok(Value::from(revealed(a.operand(), a.get(1, "alias"))));
    "lists_union": "the items of all lists" => |i, a| lists(i, a, "lists_union");
    "lists_intersect": "the items that all lists have" => |i, a| lists(i, a, "lists_intersect");
    "lists_difference": "the items of the first list that no other has" => |i, a| lists(i, a, "lists_difference");
    "lists_symmetric_difference": "the items of one list and not of the one before" => |i, a| lists(i, a, "lists_symmetric_difference");
    "lists_mergeby": "dictionaries of several lists merged where a value is the same" => |i, a| merge_by(i, a);
}

/// Filters that Ansible finds without their collection.
pub(super) mod short {
    super::super::filters! {
        "random_mac": "a hardware address by chance behind a beginning" => |_, a| super::random_mac(a);
    }
}

fn normalized(args: &Args) -> Outcome {
    const SIGNATURE: Signature = python("unicode_normalize", 0, &[], &["form"]);
    SIGNATURE.check(args)?;
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "{} is not a valid input type",
            python_type(args.operand())
        )));
    };
    let text = text.as_str();
    let form = args.get(1, "form").cloned().unwrap_or_else(|| "NFC".into());
    Ok(Value::from(match form.as_str() {
        Some("NFC") => text.nfc().collect::<String>(),
        Some("NFD") => text.nfd().collect(),
        Some("NFKC") => text.nfkc().collect(),
        Some("NFKD") => text.nfkd().collect(),
        _ => {
            return Err(Fault::new(format!("{} is not a valid form", form.repr())));
        }
    }))
}

fn text<'a>(value: &'a Value, filter: &str) -> Result<&'a str, Fault> {
    value.as_str().ok_or_else(|| {
        Fault::new(format!(
            "Invalid value type ({}) for {filter} ({})",
            python_type(value),
            value.text()
        ))
    })
}

fn accumulate(interp: &Interp<'_>, args: &Args) -> Outcome {
    if !matches!(
        args.operand(),
        Value::Str(_) | Value::List(_) | Value::Tuple(_)
    ) {
        text(args.operand(), "accumulate")?;
    }
    let mut sums: Vec<Value> = Vec::new();
    for item in interp.iterate(args.operand())? {
        let sum = match sums.last() {
            Some(last) => ops::add(last, &item)?,
            None => item,
        };
        sums.push(sum);
    }
    Ok(Value::list(sums))
}

fn counter(interp: &Interp<'_>, args: &Args) -> Outcome {
    let value = args.operand();
    if !matches!(value, Value::Str(_) | Value::List(_) | Value::Tuple(_)) {
        return Err(Fault::new(format!(
            "Argument for community.general.counter must be a sequence (string or list). {} is {}",
            value.text(),
            python_type(value)
        )));
    }
    let mut counts = Entries::new();
    for item in interp.iterate(value)? {
        ops::hashable(&item).map_err(|problem| {
            Fault::new(format!(
                "community.general.counter needs a sequence with hashable elements (int, float or str) - {problem}"
            ))
        })?;
        let count = match counts.get(&Key(item.clone())) {
            Some(Value::Int(count)) => count + 1,
            _ => 1,
        };
        counts.insert(Key(item), Value::Int(count));
    }
    Ok(Value::dict(counts))
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn grouped(interp: &Interp<'_>, args: &Args) -> Outcome {
    let name = args.need(1, "attribute")?;
    if !matches!(args.operand(), Value::List(_) | Value::Tuple(_)) {
        return Err(Fault::new("Input is not a sequence"));
    }
    let mut out = Entries::new();
    for (at, item) in interp.iterate(args.operand())?.into_iter().enumerate() {
        if entries(&item).is_none() {
            return Err(Fault::new(format!(
                "Sequence element #{at} is not a mapping"
            )));
        }
        let Some(value) = interp.item(&item, name)? else {
            return Err(Fault::new(format!(
                "Attribute not contained in element #{at} of sequence"
            )));
        };
        ops::hashable(&value)?;
        if out.contains_key(&Key(value.clone())) {
            return Err(Fault::new(format!(
                "Multiple sequence entries have attribute value {}",
                value.repr()
            )));
        }
        out.insert(Key(value), item);
    }
    Ok(Value::dict(out))
}

fn version_sort(interp: &Interp<'_>, args: &Args) -> Outcome {
    let reverse = args.truth(1, "reverse", false);
    let items: Vec<(Vec<super::version::Part>, Value)> = interp
        .iterate(args.operand())?
        .into_iter()
        .map(|item| (super::version::loose(&item.text()), item))
        .collect();
    type Item = (Vec<super::version::Part>, Value);
    let mut less = |(a, _): &Item, (b, _): &Item| {
        super::version::ordered(a, b).map(|order| order == Ordering::Less)
    };
    let items = super::super::ops::sorted(items, reverse, &mut less).map_err(Fault::new)?;
    Ok(Value::list(
        items.into_iter().map(|(_, item)| item).collect(),
    ))
}

fn revealed(value: &Value, alias: Option<&Value>) -> String {
    let named = |value: &Value| {
        let name = value.type_name();
        match alias {
            Some(Value::Dict(alias)) => alias
                .get(name)
                .map_or_else(|| name.to_owned(), |name| name.text()),
            _ => name.to_owned(),
        }
    };
    let kinds = |values: Vec<Value>| {
        let mut kinds: Vec<String> = values.iter().map(named).collect();
        kinds.sort();
        kinds.dedup();
        kinds.join("|")
    };
    match value {
        Value::List(items) if !items.read().is_empty() => {
            format!("{}[{}]", named(value), kinds(items.to_vec()))
        }
        Value::Dict(dict) if !dict.read().is_empty() => {
            let entries = dict.read().clone();
            let keys = entries.keys().map(|Key(key)| key.clone()).collect();
            let values = entries.values().cloned().collect();
            format!("{}[{}, {}]", named(value), kinds(keys), kinds(values))
        }
        _ => named(value),
    }
}

/// What several lists give together, in the order of their items.
fn lists(interp: &Interp<'_>, args: &Args, name: &str) -> Outcome {
    if let Some((other, _)) = args.kw.iter().find(|(other, _)| other != "flatten") {
        return Err(Fault::new(format!(
            "{name}() got unexpected keywords arguments: {other}"
        )));
    }
    let mut all = args.pos.clone();
    if args.named("flatten").is_some_and(Value::is_true) {
        all = Vec::new();
        for list in &args.pos {
            for item in interp.iterate(list)? {
                all.push(item);
            }
        }
        if all
            .iter()
            .any(|item| !matches!(item, Value::List(_) | Value::Tuple(_)))
        {
            all.clone_from(&args.pos);
        }
    }
    if let [Value::List(_) | Value::Tuple(_)] = &all[..] {
        return Ok(all.remove(0));
    }
    let mut rest = Vec::new();
    for list in &all {
        rest.push(interp.iterate(list)?);
    }
    let mut rest = rest.into_iter();
    let mut out = rest.next().unwrap_or_default();
    for other in rest {
        out = match name {
            "lists_union" => [out, other].concat(),
            "lists_intersect" => out
                .into_iter()
                .filter(|item| other.contains(item))
                .collect(),
            "lists_difference" => out
                .into_iter()
                .filter(|item| !other.contains(item))
                .collect(),
            _ => {
                let new = other.iter().filter(|item| !out.contains(item)).cloned();
                let new: Vec<Value> = new.collect();
                out.retain(|item| !other.contains(item));
                [out, new].concat()
            }
        };
    }
    Ok(Value::list(deduplicated(out)))
}

fn merge_by(interp: &Interp<'_>, args: &Args) -> Outcome {
    if args
        .kw
        .iter()
        .any(|(name, _)| name != "recursive" && name != "list_merge")
    {
        return Err(Fault::new(
            "'recursive' and 'list_merge' are the only valid keyword arguments.",
        ));
    }
    let recursive = args.named("recursive").is_some_and(Value::is_true);
    let how = args
        .named("list_merge")
        .map_or_else(|| "replace".to_owned(), Value::text);
    super::dict::merge_lists(vec![], vec![], &how)?;
    let [lists @ .., index] = &args.pos[..] else {
        return Ok(Value::list(vec![]));
    };
    if lists.is_empty() {
        return Err(Fault::new("At least one list is needed."));
    }
    let mut rows = Vec::new();
    for list in lists {
        if !matches!(list, Value::List(_) | Value::Tuple(_)) {
            return Err(Fault::new(format!(
                "All arguments before the argument index for community.general.lists_mergeby must be lists. {} is {}",
                list.text(),
                python_type(list)
            )));
        }
        for item in interp.iterate(list)? {
            match item {
                Value::List(_) | Value::Tuple(_) => rows.extend(interp.iterate(&item)?),
                item => rows.push(item),
            }
        }
    }
    if !matches!(index, Value::Str(_)) {
        return match lists {
            [_] => Ok(Value::list(rows)),
            _ => Err(Fault::new("index must be a string")),
        };
    }
    let mut merged: Vec<(Value, Entries)> = Vec::new();
    for row in rows {
        let Some(fields) = entries(&row) else {
            return Err(Fault::new(format!(
                "Elements of list arguments for lists_mergeby must be dictionaries. {} is {}",
                row.repr(),
                python_type(&row)
            )));
        };
        let Some(key) = fields.get(&Key(index.clone())).cloned() else {
            continue;
        };
        match merged.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = merge(std::mem::take(known), fields, recursive, &how)?,
            None => merged.push((key, merge(Entries::new(), fields, recursive, &how)?)),
        }
    }
    let keyed = merged
        .into_iter()
        .map(|(key, fields)| (vec![key], Value::dict(fields)));
    Ok(Value::list(super::list::sorted_by(keyed.collect(), false)?))
}

fn random_mac(args: &Args) -> Outcome {
    args.check(2, &["seed"])?;
    let start = text(args.operand(), "random_mac")?.to_lowercase();
    let refused = |why: String| {
        Err(Fault::new(format!(
            "Invalid value ({start}) for random_mac: {why}"
        )))
    };
    let parts: Vec<&str> = start.split(':').collect();
    if parts.len() > 5 {
        return refused("5 colon(:) separated items max".to_owned());
    }
    for part in &parts {
        if part.is_empty() {
            return refused("empty item".to_owned());
        }
        let bytes = part.as_bytes();
        if bytes.len() < 2 || !bytes[..2].iter().all(u8::is_ascii_hexdigit) {
            return refused(format!("{part} not hexa byte"));
        }
    }
    const LEAST: u64 = 1 << 36;
    const MOST: u64 = (1 << 40) - 1;
    let mut random = Random::new(
        args.get(1, "seed")
            .filter(|seed| !matches!(seed, Value::None)),
    );
    let digits = format!("{:010x}", LEAST + random.below(MOST - LEAST + 1));
    let mut out = start.clone();
    for at in 0..6 - parts.len() {
        out.push(':');
        out.push_str(&digits[2 * at..2 * at + 2]);
    }
    Ok(Value::from(out))
}
