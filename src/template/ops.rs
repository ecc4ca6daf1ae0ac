//! Python's operators over values. Errors are Python's messages.

use std::cmp::Ordering;

use super::limits;
use super::value::{Key, Value};

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Str(a), Value::Str(b)) => a.as_str() == b.as_str(),
            (Value::Bytes(a), Value::Bytes(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                std::sync::Arc::ptr_eq(a, b) || a.to_vec() == b.to_vec()
            }
            (Value::Tuple(a), Value::Tuple(b)) => a == b,
            (Value::Dict(a), Value::Dict(b)) => {
                std::sync::Arc::ptr_eq(a, b) || {
                    let (a, b) = (a.read().clone(), b.read().clone());
                    a.len() == b.len() && a.iter().all(|(key, value)| b.get(key) == Some(value))
                }
            }
            (Value::Object(a), Value::Object(b)) => {
                std::sync::Arc::ptr_eq(a, b)
                    || matches!((a.to_dict(), b.to_dict()), (Some(a), Some(b)) if a == b)
                    || order(self, other) == Some(Ordering::Equal)
            }
            (Value::Object(a), Value::Dict(_)) => a.to_dict().is_some_and(|a| a == *other),
            (Value::Dict(_), Value::Object(b)) => b.to_dict().is_some_and(|b| b == *self),
            _ => match (number(self), number(other)) {
                (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
                _ => false,
            },
        }
    }
}

/// A number of either kind.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    /// Whole.
    Int(i128),
    /// Not whole.
    Float(f64),
}

impl Number {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Python's own rule for mixed arithmetic"
    )]
    pub(crate) fn float(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    /// The number as a value.
    pub(crate) fn value(self) -> Value {
        match self {
            Number::Int(number) => Value::Int(number),
            Number::Float(number) => Value::Float(number),
        }
    }

    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }
}

/// The number that a value is; booleans count.
pub(crate) fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Bool(value) => Some(Number::Int(i128::from(*value))),
        Value::Int(value) => Some(Number::Int(*value)),
        Value::Float(value) => Some(Number::Float(*value)),
        _ => None,
    }
}

/// Python's ordering; `None` for kinds that do not compare.
pub(crate) fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.as_str().cmp(b.as_str())),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::List(a), Value::List(b)) => order_items(&a.to_vec(), &b.to_vec()),
        (Value::Tuple(a), Value::Tuple(b)) => order_items(a, b),
        (Value::Object(object), _) => {
            let key = object.item(&Value::str("__order__"))?;
            let Value::Object(other) = b else { return None };
            if object.type_name() != other.type_name() || zones_differ(a, b) {
                return None;
            }
            order(&key, &other.item(&Value::str("__order__"))?)
        }
        _ => match (number(a), number(b)) {
            // NaN compares with nothing, but Python raises no error for it.
            (Some(a), Some(b)) => Some(a.compare(b).unwrap_or(Ordering::Greater)),
            _ => None,
        },
    }
}

/// Whether both are times of which only one has a zone.
fn zones_differ(a: &Value, b: &Value) -> bool {
    let zone = |value: &Value| match value {
        Value::Object(object) => object.item(&Value::str("__aware__")),
        _ => None,
    };
    matches!((zone(a), zone(b)), (Some(a), Some(b)) if a != b)
}

fn order_items(a: &[Value], b: &[Value]) -> Option<Ordering> {
    for (a, b) in a.iter().zip(b) {
        if a != b {
            return order(a, b);
        }
    }
    Some(a.len().cmp(&b.len()))
}

/// `<`, `>` ... with Python's error; nothing for what is not a number.
pub(crate) fn compare(op: &str, a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    if let (Some(x), Some(y)) = (number(a), number(b)) {
        return Ok(x.compare(y));
    }
    // Two lists are told apart by the first items that differ.
    let differing = match (a, b) {
        (Value::List(a), Value::List(b)) => first_difference(&a.to_vec(), &b.to_vec()),
        (Value::Tuple(a), Value::Tuple(b)) => first_difference(a, b),
        _ => None,
    };
    if let Some((a, b)) = differing {
        return compare(op, &a, &b);
    }
    order(a, b).map(Some).ok_or_else(|| {
        if zones_differ(a, b) {
            return "can't compare offset-naive and offset-aware datetimes".to_owned();
        }
        format!(
            "'{op}' not supported between instances of '{}' and '{}'",
            a.long_name(),
            b.long_name()
        )
    })
}

/// Whether Python finds the first less than the second; NaN is less than nothing.
pub(crate) fn less(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(compare("<", a, b)? == Some(Ordering::Less))
}

/// Items in order, by a comparison that may fail and need not be an order: the standard library's sort panics at one
/// that is none, such as that of numbers with NaN among them. What is equal stays as it was.
pub(crate) fn sorted<T, E>(
    mut items: Vec<T>,
    reverse: bool,
    less: &mut dyn FnMut(&T, &T) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    if reverse {
        items.reverse();
    }
    let mut items = merged(items, less)?;
    if reverse {
        items.reverse();
    }
    Ok(items)
}

/// Short lists by insertion, as Python does: of several items that do not compare it names the same ones.
fn merged<T, E>(
    mut items: Vec<T>,
    less: &mut dyn FnMut(&T, &T) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    const SHORT: usize = 32;
    if items.len() > SHORT {
        let right = items.split_off(items.len() / 2);
        let mut left = merged(items, less)?.into_iter().peekable();
        let mut right = merged(right, less)?.into_iter().peekable();
        let mut out = Vec::with_capacity(left.len() + right.len());
        while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
            let later = less(second, first)?;
            out.extend(if later { right.next() } else { left.next() });
        }
        out.extend(left);
        out.extend(right);
        return Ok(out);
    }
    let mut out: Vec<T> = Vec::with_capacity(items.len());
    for item in items {
        let (mut low, mut high) = (0, out.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if less(&item, &out[middle])? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        out.insert(low, item);
    }
    Ok(out)
}

fn first_difference(a: &[Value], b: &[Value]) -> Option<(Value, Value)> {
    let (a, b) = a.iter().zip(b).find(|(a, b)| a != b)?;
    Some((a.clone(), b.clone()))
}

fn unsupported(op: &str, a: &Value, b: &Value) -> String {
    format!(
        "unsupported operand type(s) for {op}: '{}' and '{}'",
        a.type_name(),
        b.type_name()
    )
}

/// `a + b`.
pub(crate) fn add(a: &Value, b: &Value) -> Result<Value, String> {
    match (a, b) {
        (Value::Str(x), Value::Str(y)) => {
            limits::text(x.as_str().len() + y.as_str().len())?;
            Ok(Value::str([x.as_str(), y.as_str()].concat()))
        }
        (Value::Str(_), _) => Err(format!(
            "can only concatenate str (not \"{}\") to str",
            b.type_name()
        )),
        (Value::List(x), Value::List(y)) => {
            limits::items(x.read().len() + y.read().len())?;
            Ok(Value::list([x.to_vec(), y.to_vec()].concat()))
        }
        (Value::List(_), _) => Err(format!(
            "can only concatenate list (not \"{}\") to list",
            b.type_name()
        )),
        (Value::Tuple(x), Value::Tuple(y)) => Ok(Value::Tuple([&x[..], &y[..]].concat().into())),
        (Value::Tuple(_), _) => Err(format!(
            "can only concatenate tuple (not \"{}\") to tuple",
            b.type_name()
        )),
        _ => object_op("+", a, b).unwrap_or_else(|| arithmetic("+", a, b)),
    }
}

/// Arithmetic of objects (dates): asked of the left one, `None` if it has none.
fn object_op(op: &str, a: &Value, b: &Value) -> Option<Result<Value, String>> {
    let (object, other) = match (a, b) {
        (Value::Object(object), _) => (object, b),
        // The order of a product's factors does not matter.
        (_, Value::Object(object)) if op == "*" => (object, a),
        _ => return None,
    };
    match object.attr(&format!("__op{op}")) {
        Some(Value::Object(method)) => method.call(std::slice::from_ref(other), &[]),
        _ => None,
    }
}

/// `a - b`, `*`, `/`, `//`, `%`, `**`.
pub(crate) fn binary(op: &str, a: &Value, b: &Value) -> Result<Value, String> {
    match (op, a, b) {
        ("+", ..) => add(a, b),
        ("%", Value::Str(text), _) => {
            super::format::percent(text.as_str(), b).map_err(super::fault::Fault::inner)
        }
        ("*", Value::Str(_) | Value::List(_) | Value::Tuple(_), _) => several(a, b),
        ("*", _, Value::Str(_) | Value::List(_) | Value::Tuple(_)) => several(b, a),
        _ => object_op(op, a, b).unwrap_or_else(|| arithmetic(op, a, b)),
    }
}

/// A text, a list or a tuple several times.
fn several(sequence: &Value, count: &Value) -> Result<Value, String> {
    let Some(Number::Int(count)) = number(count) else {
        return Err(format!(
            "can't multiply sequence by non-int of type '{}'",
            count.long_name()
        ));
    };
    let count = i64::try_from(count).map_err(|_| "cannot fit 'int' into an index-sized integer")?;
    let count = usize::try_from(count).unwrap_or(0);
    match sequence {
        Value::Str(text) => limits::repeat(text.as_str(), count).map(Value::str),
        Value::List(list) => repeated(&list.to_vec(), count).map(Value::list),
        Value::Tuple(items) => repeated(items, count).map(Value::tuple),
        _ => Ok(Value::None),
    }
}

fn repeated(items: &[Value], count: usize) -> Result<Vec<Value>, String> {
    limits::items(items.len().saturating_mul(count))?;
    if items.is_empty() {
        return Ok(vec![]);
    }
    Ok((0..count).flat_map(|_| items.iter().cloned()).collect())
}

fn arithmetic(op: &str, a: &Value, b: &Value) -> Result<Value, String> {
    let (Some(x), Some(y)) = (number(a), number(b)) else {
        let name = if op == "**" { "** or pow()" } else { op };
        return Err(unsupported(name, a, b));
    };
    if let (Number::Int(x), Number::Int(y)) = (x, y) {
        return whole(op, x, y);
    }
    let (x, y) = (x.float(), y.float());
    if y == 0.0 && matches!(op, "/" | "//" | "%") {
        return Err(match op {
            "%" => "float modulo by zero".into(),
            "//" => "float floor division by zero".into(),
            _ => "float division by zero".into(),
        });
    }
    Ok(Value::Float(match op {
        "+" => x + y,
        "-" => x - y,
        "*" => x * y,
        "/" => x / y,
        "//" => floor_division(x, y).0,
        "%" => floor_division(x, y).1,
        _ => return power(x, y),
    }))
}

/// Quotient and rest of a division of floats, as Python rounds them.
fn floor_division(x: f64, y: f64) -> (f64, f64) {
    let mut rest = x % y;
    let mut quotient = (x - rest) / y;
    if rest == 0.0 {
        rest = 0.0_f64.copysign(y);
    } else if (y < 0.0) != (rest < 0.0) {
        rest += y;
        quotient -= 1.0;
    }
    let floor = quotient.floor();
    let floor = if quotient - floor > 0.5 {
        floor + 1.0
    } else {
        floor
    };
    let floor = if quotient == 0.0 {
        0.0_f64.copysign(x / y)
    } else {
        floor
    };
    (floor, rest)
}

/// `x ** y` of floats.
fn power(x: f64, y: f64) -> Result<Value, String> {
    if x == 0.0 && y < 0.0 {
        return Err("0.0 cannot be raised to a negative power".into());
    }
    if x < 0.0 && x.is_finite() && y.is_finite() && y.fract() != 0.0 {
        return Err("Type 'complex' is unsupported for variable storage.".into());
    }
    let result = x.powf(y);
    if result.is_infinite() && x.is_finite() && y.is_finite() {
        return Err("(34, 'Numerical result out of range')".into());
    }
    Ok(Value::Float(result))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Python's true division gives a float"
)]
fn whole(op: &str, x: i128, y: i128) -> Result<Value, String> {
    if y == 0 && matches!(op, "/" | "//" | "%") {
        return Err(match op {
            "%" => "integer modulo by zero".into(),
            "//" => "integer division or modulo by zero".into(),
            _ => "division by zero".into(),
        });
    }
    let result = match op {
        "+" => x.checked_add(y),
        "-" => x.checked_sub(y),
        "*" => x.checked_mul(y),
        "/" => return Ok(Value::Float(x as f64 / y as f64)),
        // The least number divided by -1 is no number.
        "//" => x
            .checked_div_euclid(y)
            .map(|whole| whole - i128::from(y < 0 && x.rem_euclid(y) != 0)),
        "%" => {
            let rest = x.checked_rem_euclid(y).unwrap_or(0);
            Some(if y < 0 && rest != 0 { rest + y } else { rest })
        }
        _ if y < 0 => return power(x as f64, y as f64),
        _ => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
    };
    result
        .map(Value::Int)
        .ok_or_else(|| "integer too large".to_owned())
}

/// `item in container`.
pub(crate) fn contains(container: &Value, item: &Value) -> Result<bool, String> {
    match container {
        Value::Str(text) => match item {
            Value::Str(part) => Ok(text.as_str().contains(part.as_str())),
            _ => Err(format!(
                "'in <string>' requires string as left operand, not {}",
                item.type_name()
            )),
        },
        Value::List(list) => Ok(list.read().contains(item)),
        Value::Tuple(items) => Ok(items.contains(item)),
        Value::Dict(dict) => {
            if !matches!(item, Value::Tuple(_)) {
                hashable(item)?;
            }
            Ok(dict.read().contains_key(&Key(item.clone())))
        }
        Value::Object(object) => match object.iterate() {
            Some(items) => Ok(object.item(item).is_some() || items.contains(item)),
            None => Err(format!(
                "argument of type '{}' is not iterable",
                container.type_name()
            )),
        },
        _ => Err(format!(
            "argument of type '{}' is not iterable",
            container.type_name()
        )),
    }
}

/// Refuses what Python refuses as a key of a dictionary.
pub(crate) fn hashable(value: &Value) -> Result<(), String> {
    match value {
        Value::Dict(_) => Err("unhashable type: 'dict'".into()),
        // A tuple of a template is a list to Ansible.
        Value::List(_) | Value::Tuple(_) => Err("unhashable type: 'list'".into()),
        _ => Ok(()),
    }
}

/// The items a loop runs over.
pub(crate) fn iterate(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::List(list) => Ok(list.to_vec()),
        Value::Tuple(items) => Ok(items.to_vec()),
        Value::Dict(dict) => Ok(dict.read().keys().map(|Key(key)| key.clone()).collect()),
        Value::Str(text) => Ok(text
            .as_str()
            .chars()
            .map(|c| Value::str(c.to_string()))
            .collect()),
        Value::Object(object) => object
            .iterate()
            .ok_or_else(|| format!("'{}' object is not iterable", value.long_name())),
        _ => Err(format!("'{}' object is not iterable", value.long_name())),
    }
}

/// The length, if it has one.
pub(crate) fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::List(list) => Ok(list.read().len()),
        Value::Tuple(items) => Ok(items.len()),
        Value::Dict(dict) => Ok(dict.read().len()),
        Value::Str(text) => Ok(text.as_str().chars().count()),
        Value::Bytes(bytes) => Ok(bytes.len()),
        Value::Object(object) if object.length().is_some() => Ok(object.length().unwrap_or(0)),
        _ => Err(format!(
            "object of type '{}' has no len()",
            value.long_name()
        )),
    }
}

/// `value[start:stop:step]`.
pub(crate) fn slice(value: &Value, parts: [Option<i128>; 3]) -> Result<Value, String> {
    let pick = |length: usize| -> Result<Vec<usize>, String> { slice_indices(length, parts) };
    match value {
        Value::Str(text) => {
            let chars: Vec<char> = text.as_str().chars().collect();
            Ok(Value::str(
                pick(chars.len())?
                    .into_iter()
                    .map(|at| chars[at])
                    .collect::<String>(),
            ))
        }
        Value::List(list) => {
            let items = list.to_vec();
            Ok(Value::list(
                pick(items.len())?
                    .into_iter()
                    .map(|at| items[at].clone())
                    .collect(),
            ))
        }
        Value::Tuple(items) => Ok(Value::Tuple(
            pick(items.len())?
                .into_iter()
                .map(|at| items[at].clone())
                .collect(),
        )),
        _ => Err(format!(
            "'{}' object is not subscriptable",
            value.type_name()
        )),
    }
}

fn slice_indices(
    length: usize,
    [start, stop, step]: [Option<i128>; 3],
) -> Result<Vec<usize>, String> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err("slice step cannot be zero".into());
    }
    let length = i128::try_from(length).unwrap_or(i128::MAX);
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let fix = |at: Option<i128>, default: i128| {
        at.map_or(default, |at| {
            (if at < 0 { at + length } else { at }).clamp(low, high)
        })
    };
    let (mut at, stop) = if step > 0 {
        (fix(start, 0), fix(stop, length))
    } else {
        (fix(start, length - 1), fix(stop, -1))
    };
    let mut indices = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        indices.extend(usize::try_from(at));
        at += step;
    }
    Ok(indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_without_an_order_are_no_panic() {
        let items: Vec<u32> = (0..1000).map(|at| at * 7919 % 1009).collect();
        let mut odd = |a: &u32, b: &u32| Ok::<_, ()>((a * b).is_multiple_of(3));
        assert_eq!(
            sorted(items.clone(), false, &mut odd).map(|all| all.len()),
            Ok(1000)
        );
        let mut down = items.clone();
        down.sort_by(|a, b| b.cmp(a));
        assert_eq!(
            sorted(items, true, &mut |a, b| Ok::<_, ()>(a < b)),
            Ok(down)
        );
    }

    #[test]
    fn floor_division_rounds_down() {
        for (x, y, quotient, rest) in [(-7, 2, -4, 1), (7, -2, -4, -1), (-7, -2, 3, -1)] {
            assert_eq!(whole("//", x, y), Ok(Value::Int(quotient)));
            assert_eq!(whole("%", x, y), Ok(Value::Int(rest)));
        }
    }
}
