//! Filters over lists.

use std::cmp::Ordering;

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::limits;
use super::super::objects::Group;
use super::super::ops;
use super::super::tests;
use super::super::value::{Key, Value};
use super::random;

super::filters! {
    "list": "its items as a list" => |i, a| Ok(Value::list(i.iterate(a.operand())?));
    "join": "its items as one text" => |i, a| join(i, a);
    "first": "its first item" => |i, a| Ok(i.iterate(a.operand())?.into_iter().next().unwrap_or_else(|| Value::undefined("No first item, sequence was empty.")));
    "last": "its last item" => |i, a| match a.operand() {
        value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::None) => {
            Err(Fault::new(format!("'{}' object is not reversible", value.type_name())))
        }
        value => Ok(i.iterate(value)?.into_iter().next_back().unwrap_or_else(|| Value::undefined("No last item, sequence was empty."))),
    };
    "map": "an attribute, or the result of a filter, of each item" => |i, a| map(i, a);
    "select": "the items that pass a test" => |i, a| select(i, a, true, false);
    "reject": "the items that fail a test" => |i, a| select(i, a, false, false);
    "selectattr": "the items with an attribute that passes a test" => |i, a| select(i, a, true, true);
    "rejectattr": "the items with an attribute that fails a test" => |i, a| select(i, a, false, true);
    "sort": "in order" => |i, a| sort(i, a);
    "unique": "without repetitions" => |i, a| unique(i, a);
    "min": "the least item" => |i, a| extreme(i, a, Ordering::Less);
    "max": "the greatest item" => |i, a| extreme(i, a, Ordering::Greater);
    "sum": "the sum of its items" => |i, a| sum(i, a);
    "reverse": "from the end to the beginning" => |i, a| Ok(match a.operand() {
        value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::None) => {
            return Err(Fault::new(format!("argument must be iterable: '{}' object is not iterable", value.type_name())));
        }
        Value::Str(text) => Value::str(text.as_str().chars().rev().collect::<String>()),
        value => {
            let mut items = i.iterate(value)?;
            items.reverse();
            Value::list(items)
        }
    });
    "groupby": "pairs of a value and the items that have it" => |i, a| groupby(i, a);
    "batch": "in rows of so many items" => |i, a| batch(i, a);
    "slice": "in so many columns" => |i, a| columns(i, a);
    "flatten": "nested lists opened" => |i, a| flatten(i, a);
    "union": "the items of both" => |i, a| Ok(Value::list(united(i, a.operand(), a.need(1, "b")?)?));
    "intersect": "the items in both" => |i, a| Ok(Value::list(common(i, a.operand(), a.need(1, "b")?, true)?));
    "difference": "the items that the other has not" => |i, a| Ok(Value::list(common(i, a.operand(), a.need(1, "b")?, false)?));
    "symmetric_difference": "the items in one of both only" => |i, a| symmetric(i, a);
    "product": "all combinations with other lists" => |i, a| product(i, a);
    "zip": "tuples of the items at one place, as long as the shortest" => |i, a| zip(i, a, false);
    "zip_longest": "tuples of the items at one place, as long as the longest" => |i, a| zip(i, a, true);
    "permutations": "all orders" => |i, a| combinations(i, a, true);
    "combinations": "all choices of so many items" => |i, a| combinations(i, a, false);
    "random": "an item, or a number below it, by chance" => |i, a| random::pick(i, a);
    "shuffle": "in an order by chance" => |i, a| random::shuffle(i, a);
}

fn join(interp: &Interp<'_>, args: &Args) -> Outcome {
    let mut out = String::new();
    let mark = args.text(1, "d", "");
    for (index, mut item) in interp.iterate(args.operand())?.into_iter().enumerate() {
        if let Some(name) = args.get(2, "attribute") {
            item = attribute(interp, &item, name)?;
        }
        if let Value::Undefined(undefined) = &item {
            return Err(Fault::undefined(undefined));
        }
        if index > 0 {
            out.push_str(&mark);
        }
        out.push_str(&item.text());
        limits::text(out.len())?;
    }
    Ok(Value::str(out))
}

/// `a.b.0`: attributes and indices, one after the other.
pub(crate) fn attribute(interp: &Interp<'_>, item: &Value, name: &Value) -> Outcome {
    let path = match name {
        Value::Str(path) => path,
        Value::None => return Ok(item.clone()),
        name => return interp.subscript(item, name),
    };
    let mut value = item.clone();
    for part in path.as_str().split('.') {
        value = match part.parse::<i128>() {
            // Jinja2 and not Ansible looks here, in words of its own.
            Ok(index) => match interp.subscript(&value, &Value::Int(index))? {
                Value::Undefined(_) if matches!(value, Value::List(_)) => {
                    Value::undefined(format!("list object has no element {index}"))
                }
                found => found,
            },
            Err(_) => interp.subscript(&value, &Value::str(part))?,
        };
    }
    Ok(value)
}

fn map(interp: &Interp<'_>, args: &Args) -> Outcome {
    if !args.operand().is_true() {
        return Ok(Value::list(vec![]));
    }
    if args.pos.len() == 1
        && let Some(name) = args.named("attribute")
    {
        let items = interp.iterate(args.operand())?;
        let default = args.named("default");
        let mut out = Vec::with_capacity(items.len());
        for item in &items {
            let value = attribute(interp, item, name)?;
            out.push(match (&value, default) {
                (Value::Undefined(_), Some(default)) => default.clone(),
                _ => value,
            });
        }
        return Ok(Value::list(out));
    }
    let Some(name) = args.pos.get(1) else {
        return Err(Fault::new("map requires a filter argument"));
    };
    let items = interp.iterate(args.operand())?;
    let name = plugin_name("filter", name)?;
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let mut inner = Args {
            pos: vec![item],
            kw: args.kw.clone(),
        };
        inner.pos.extend_from_slice(&args.pos[2..]);
        out.push(super::apply(interp, name, inner).map_err(|fault| fault.inside("map"))?);
    }
    Ok(Value::list(out))
}

/// The name of a filter or test that another one is told to use.
fn plugin_name<'v>(kind: &str, name: &'v Value) -> Result<&'v str, Fault> {
    ops::hashable(name)?;
    name.as_str().ok_or_else(|| {
        Fault::new(format!(
            "The {kind} plugin {} failed to load: '{}' object has no attribute 'removeprefix'",
            name.text(),
            name.type_name()
        ))
    })
}

fn select(interp: &Interp<'_>, args: &Args, keep: bool, by_attribute: bool) -> Outcome {
    if !args.operand().is_true() {
        return Ok(Value::list(vec![]));
    }
    let skip = 1 + usize::from(by_attribute);
    let name = if by_attribute {
        Some(
            args.pos
                .get(1)
                .ok_or_else(|| Fault::new("Missing parameter for attribute name"))?,
        )
    } else {
        None
    };
    let items = interp.iterate(args.operand())?;
    let test = args.pos.get(skip);
    let test = test.map(|name| plugin_name("test", name)).transpose()?;
    let mut out = Vec::new();
    for item in items {
        let subject = match name {
            Some(name) => attribute(interp, &item, name)?,
            None => item.clone(),
        };
        let passed = match test {
            None => match &subject {
                Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
                subject => subject.is_true(),
            },
            Some(test) => {
                let mut inner = Args {
                    pos: vec![subject],
                    kw: args.kw.clone(),
                };
                inner.pos.extend_from_slice(&args.pos[skip + 1..]);
                let outer = match (keep, by_attribute) {
                    (true, false) => "select",
                    (false, false) => "reject",
                    (true, true) => "selectattr",
                    (false, true) => "rejectattr",
                };
                tests::apply(interp, test, inner).map_err(|fault| fault.inside(outer))?
            }
        };
        if passed == keep {
            out.push(item);
        }
    }
    Ok(Value::list(out))
}

/// Sorted with Python's ordering; kinds that do not compare are an error.
pub(crate) fn sorted(items: Vec<Value>, reverse: bool) -> Result<Vec<Value>, Fault> {
    sorted_by(
        items
            .into_iter()
            .map(|item| (vec![item.clone()], item))
            .collect(),
        reverse,
    )
}

/// Sorted by the values beside the items.
pub(super) fn sorted_by(
    items: Vec<(Vec<Value>, Value)>,
    reverse: bool,
) -> Result<Vec<Value>, Fault> {
    let mut less = |(a, _): &(Vec<Value>, Value), (b, _): &(Vec<Value>, Value)| {
        let differing = a.iter().zip(b).find(|(a, b)| a != b);
        differing.map_or(Ok(false), |(a, b)| ops::less(a, b))
    };
    let items = ops::sorted(items, reverse, &mut less)?;
    Ok(items.into_iter().map(|(_, item)| item).collect())
}

fn folded(value: Value, case_sensitive: bool) -> Value {
    match &value {
        Value::Str(text) if !case_sensitive => Value::str(text.as_str().to_lowercase()),
        _ => value,
    }
}

/// The value that an item is compared by.
fn key(interp: &Interp<'_>, item: &Value, name: Option<&Value>, case_sensitive: bool) -> Outcome {
    let value = match name {
        Some(Value::None) | None => item.clone(),
        Some(name) => attribute(interp, item, name)?,
    };
    match value {
        Value::Undefined(undefined) => Err(Fault::undefined(&undefined)),
        value => Ok(folded(value, case_sensitive)),
    }
}

fn sort(interp: &Interp<'_>, args: &Args) -> Outcome {
    let (reverse, case) = (
        args.truth(1, "reverse", false),
        args.truth(2, "case_sensitive", false),
    );
    let names: Vec<Value> = match args.get(3, "attribute") {
        Some(Value::Str(names)) => names
            .as_str()
            .split(',')
            .map(|name| Value::str(name.trim()))
            .collect(),
        Some(Value::None) | None => vec![],
        Some(other) => vec![other.clone()],
    };
    let mut keyed = Vec::new();
    for item in interp.iterate(args.operand())? {
        let keys = if names.is_empty() {
            vec![key(interp, &item, None, case)?]
        } else {
            names
                .iter()
                .map(|name| key(interp, &item, Some(name), case))
                .collect::<Result<_, _>>()?
        };
        keyed.push((keys, item));
    }
    Ok(Value::list(sorted_by(keyed, reverse)?))
}

fn hashable(value: &Value) -> bool {
    match value {
        Value::List(_) | Value::Dict(_) => false,
        Value::Tuple(items) => items.iter().all(hashable),
        _ => true,
    }
}

/// Without repetitions, the first one stays.
#[expect(
    clippy::mutable_key_type,
    reason = "a list is no key: Python refuses it, and so do we"
)]
pub(super) fn deduplicated(items: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    let mut out: Vec<Value> = Vec::new();
    for item in items {
        let new = if hashable(&item) {
            seen.insert(Key(item.clone()))
        } else {
            !out.contains(&item)
        };
        if new {
            out.push(item);
        }
    }
    out
}

fn unique(interp: &Interp<'_>, args: &Args) -> Outcome {
    let case = args.truth(1, "case_sensitive", false);
    let mut seen: Vec<Value> = Vec::new();
    let items = interp.iterate(args.operand())?;
    if args.get(2, "attribute").is_none() && case {
        return Ok(Value::list(deduplicated(items)));
    }
    let mut out = Vec::new();
    for item in items {
        let key = key(interp, &item, args.get(2, "attribute"), case)?;
        if !seen.contains(&key) {
            seen.push(key);
            out.push(item);
        }
    }
    Ok(Value::list(out))
}

fn extreme(interp: &Interp<'_>, args: &Args, wanted: Ordering) -> Outcome {
    let case = args.truth(1, "case_sensitive", false);
    let name = args.get(2, "attribute");
    let mut best: Option<(Value, Value)> = None;
    for item in interp.iterate(args.operand())? {
        let key = key(interp, &item, name, case)?;
        let better = match &best {
            None => true,
            Some((held, _)) => {
                ops::compare(if wanted == Ordering::Less { "<" } else { ">" }, &key, held)?
                    == Some(wanted)
            }
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(
        || Value::undefined("No aggregated item, sequence was empty."),
        |(_, item)| item,
    ))
}

fn sum(interp: &Interp<'_>, args: &Args) -> Outcome {
    let items = interp.iterate(args.operand())?;
    let mut total = args.get(2, "start").cloned().unwrap_or(Value::Int(0));
    if let Value::Str(_) = total {
        let text = "sum() can't sum strings [use ''.join(seq) instead]";
        return Err(Fault::new(text));
    }
    for item in items {
        let item = key(interp, &item, args.get(1, "attribute"), true)?;
        total = ops::add(&total, &item)?;
    }
    Ok(total)
}

fn groupby(interp: &Interp<'_>, args: &Args) -> Outcome {
    let name = args.need(1, "attribute")?;
    let case = args.truth(3, "case_sensitive", false);
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for item in interp.iterate(args.operand())? {
        let value = match (attribute(interp, &item, name)?, args.get(2, "default")) {
            (Value::Undefined(_), Some(default)) => default.clone(),
            (Value::Undefined(undefined), None) => return Err(Fault::undefined(&undefined)),
            (value, _) => value,
        };
        let key = folded(value.clone(), case);
        match groups.iter_mut().find(|(known, ..)| *known == key) {
            Some((_, _, items)) => items.push(item),
            None => groups.push((key, value, vec![item])),
        }
    }
    let keyed = groups
        .into_iter()
        .map(|(key, value, items)| (vec![key], Value::object(Group(value, Value::list(items)))))
        .collect();
    Ok(Value::list(sorted_by(keyed, false)?))
}

fn batch(interp: &Interp<'_>, args: &Args) -> Outcome {
    let wanted = args.get(1, "linecount").unwrap_or(&Value::None);
    let items = interp.iterate(args.operand())?;
    let fill = args
        .get(2, "fill_with")
        .filter(|fill| !matches!(fill, Value::None));
    let (mut rows, mut row) = (vec![], vec![]);
    for item in items {
        // Nothing but the same number ends a row, and none is so long before it begins.
        if Value::from(row.len()) == *wanted {
            rows.push(Value::list(std::mem::take(&mut row)));
        }
        row.push(item);
    }
    if !row.is_empty() {
        if let Some(fill) = fill {
            let short = ops::compare("<", &Value::from(row.len()), wanted)?;
            if short == Some(Ordering::Less) {
                let count = usize::try_from(args.int(1, "linecount", 1)?).unwrap_or(0);
                limits::items(count)?;
                row.resize(count, fill.clone());
            }
        }
        rows.push(Value::list(row));
    }
    Ok(Value::list(rows))
}

fn columns(interp: &Interp<'_>, args: &Args) -> Outcome {
    let items = interp.iterate(args.operand())?;
    let slices = args.need(1, "slices")?;
    ops::binary("//", &Value::from(items.len()), slices)?;
    let count = usize::try_from(args.index(1, "slices", 1)?).unwrap_or(0);
    limits::items(count)?;
    let fill = args
        .get(2, "fill_with")
        .filter(|fill| !matches!(fill, Value::None));
    if count == 0 {
        return Ok(Value::list(vec![]));
    }
    let (each, extra) = (items.len() / count, items.len() % count);
    let (mut at, mut out) = (0, Vec::new());
    for index in 0..count {
        let size = each + usize::from(index < extra);
        let mut column = items[at..at + size].to_vec();
        at += size;
        if let Some(fill) = fill
            && index >= extra
        {
            column.push(fill.clone());
        }
        out.push(Value::list(column));
    }
    Ok(Value::list(out))
}

fn flatten(interp: &Interp<'_>, args: &Args) -> Outcome {
    let levels = args
        .get(1, "levels")
        .filter(|levels| !matches!(levels, Value::None));
    let skip = args.truth(2, "skip_nulls", true);
    let mut out = Vec::new();
    open(interp, args.operand(), levels, skip, &mut out)?;
    Ok(Value::list(out))
}

/// The items of a list, and of the lists in it so many levels deep.
pub(super) fn open(
    interp: &Interp<'_>,
    value: &Value,
    levels: Option<&Value>,
    skip: bool,
    out: &mut Vec<Value>,
) -> Result<(), Fault> {
    for item in interp.iterate(value)? {
        let null = matches!(&item, Value::None)
            || item
                .as_str()
                .is_some_and(|text| text == "None" || text == "null");
        if skip && null {
            continue;
        }
        match (&item, levels) {
            (Value::List(_) | Value::Tuple(_), None) => open(interp, &item, None, skip, out)?,
            (Value::List(_) | Value::Tuple(_), Some(levels)) => {
                let one = Value::Int(1);
                match ops::compare(">=", levels, &one)? {
                    Some(Ordering::Less) => out.push(item),
                    _ => {
                        let levels = ops::binary("-", levels, &one)?;
                        open(interp, &item, Some(&levels), skip, out)?;
                    }
                }
            }
            _ => out.push(item),
        }
    }
    Ok(())
}

/// The items of a value if all of them may be keys, as a set has them.
fn set(interp: &Interp<'_>, value: &Value) -> Option<Vec<Value>> {
    let items = interp.iterate(value).ok()?;
    items.iter().all(hashable).then_some(items)
}

/// The items of both; what is no set has to be a list, as the other.
fn united(interp: &Interp<'_>, a: &Value, b: &Value) -> Result<Vec<Value>, Fault> {
    Ok(deduplicated(match (set(interp, a), set(interp, b)) {
        (Some(a), Some(b)) => [a, b].concat(),
        _ => interp.iterate(&ops::add(a, b)?)?,
    }))
}

/// The items of the first one that the second has too, or has not.
fn common(interp: &Interp<'_>, a: &Value, b: &Value, wanted: bool) -> Result<Vec<Value>, Fault> {
    let mut out = vec![];
    if let (Some(a), Some(b)) = (set(interp, a), set(interp, b)) {
        let b = deduplicated(b);
        out.extend(a.into_iter().filter(|item| b.contains(item) == wanted));
    } else {
        for item in interp.iterate(a)? {
            if ops::contains(b, &item)? == wanted {
                out.push(item);
            }
        }
    }
    Ok(deduplicated(out))
}

fn symmetric(interp: &Interp<'_>, args: &Args) -> Outcome {
    let (a, b) = (args.operand(), args.need(1, "b")?);
    let both = common(interp, a, b, true)?;
    let all = united(interp, a, b)?;
    let single = all.into_iter().filter(|item| !both.contains(item));
    Ok(Value::list(single.collect()))
}

/// Refuses names but one.
fn only(args: &Args, function: &str, known: &str) -> Result<(), Fault> {
    match args.kw.iter().find(|(name, _)| name != known) {
        Some((name, _)) => Err(Fault::new(format!(
            "{function}() got an unexpected keyword argument '{name}'"
        ))),
        None => Ok(()),
    }
}

fn product(interp: &Interp<'_>, args: &Args) -> Outcome {
    only(args, "product", "repeat")?;
    let lists: Vec<Vec<Value>> = args
        .pos
        .iter()
        .map(|list| interp.iterate(list))
        .collect::<Result<_, _>>()?;
    let repeat = args.named("repeat").and_then(whole).unwrap_or(1);
    let repeat = usize::try_from(repeat.clamp(0, 1000)).unwrap_or(0);
    limits::items(
        lists
            .iter()
            .map(Vec::len)
            .sum::<usize>()
            .saturating_mul(repeat),
    )?;
    let lists: Vec<Vec<Value>> = (0..repeat).flat_map(|_| lists.iter().cloned()).collect();
    let rows = lists
        .iter()
        .fold(1usize, |rows, list| rows.saturating_mul(list.len()));
    limits::items(rows.saturating_mul(lists.len().max(1)))?;
    Ok(Value::list(
        cross(&lists).into_iter().map(Value::tuple).collect(),
    ))
}

/// All combinations of one item of each list.
pub(crate) fn cross(lists: &[Vec<Value>]) -> Vec<Vec<Value>> {
    let mut rows: Vec<Vec<Value>> = vec![vec![]];
    for list in lists {
        rows = rows
            .iter()
            .flat_map(|row| {
                list.iter()
                    .map(move |item| [&row[..], std::slice::from_ref(item)].concat())
            })
            .collect();
    }
    rows
}

fn zip(interp: &Interp<'_>, args: &Args, longest: bool) -> Outcome {
    if longest && args.kw.iter().any(|(name, _)| name != "fillvalue") {
        return Err(Fault::new(
            "zip_longest() got an unexpected keyword argument",
        ));
    }
    if !longest {
        only(args, "zip", "strict")?;
    }
    let lists: Vec<Vec<Value>> = args
        .pos
        .iter()
        .map(|list| interp.iterate(list))
        .collect::<Result<_, _>>()?;
    let fill = args.named("fillvalue").cloned().unwrap_or(Value::None);
    let lengths = lists.iter().map(Vec::len);
    let count = if longest {
        lengths.max()
    } else {
        lengths.min()
    }
    .unwrap_or(0);
    if let Some(at) = lists.iter().position(|list| list.len() != lists[0].len())
        && args.named("strict").is_some_and(Value::is_true)
    {
        let than = if lists[at].len() < lists[0].len() {
            "shorter"
        } else {
            "longer"
        };
        let others = if at == 1 {
            " 1".to_owned()
        } else {
            format!("s 1-{at}")
        };
        return Err(Fault::new(format!(
            "zip() argument {} is {than} than argument{others}",
            at + 1
        )));
    }
    let row = |at: usize| {
        Value::tuple(
            lists
                .iter()
                .map(|list| list.get(at).cloned().unwrap_or_else(|| fill.clone()))
                .collect(),
        )
    };
    Ok(Value::list((0..count).map(row).collect()))
}

fn combinations(interp: &Interp<'_>, args: &Args, ordered: bool) -> Outcome {
    let function = if ordered {
        "permutations"
    } else {
        "combinations"
    };
    if args.pos.len() > 2 {
        return Err(Fault::new(format!(
            "{function}() takes at most 2 arguments ({} given)",
            args.pos.len()
        )));
    }
    if !ordered && args.get(1, "r").is_none() {
        return Err(Fault::new(
            "combinations() missing required argument 'r' (pos 2)",
        ));
    }
    only(args, function, "r")?;
    if !ordered {
        args.index(1, "r", 0)?;
    }
    let items = interp.iterate(args.operand())?;
    match args.get(1, "r") {
        None | Some(Value::Bool(_)) => {}
        Some(Value::Int(size)) if *size < 0 => {
            return Err(Fault::new("r must be non-negative"));
        }
        Some(Value::None) if ordered => {}
        Some(Value::Int(_)) => {}
        Some(_) => return Err(Fault::new("Expected int as r")),
    }
    let size = args
        .get(1, "r")
        .and_then(whole)
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(items.len());
    let mut rows: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..size {
        let longer = |row: &Vec<usize>| -> Vec<Vec<usize>> {
            let from = if ordered {
                0
            } else {
                row.last().map_or(0, |last| last + 1)
            };
            (from..items.len())
                .filter(|at| !row.contains(at))
                .map(|at| [&row[..], &[at]].concat())
                .collect()
        };
        let next = rows.len().saturating_mul(items.len());
        limits::items(next.saturating_mul(rows.first().map_or(1, |row| row.len() + 1)))?;
        rows = rows.iter().flat_map(longer).collect();
        if rows.is_empty() {
            break;
        }
    }
    Ok(Value::list(
        rows.into_iter()
            .map(|row| Value::tuple(row.into_iter().map(|at| items[at].clone()).collect()))
            .collect(),
    ))
}
