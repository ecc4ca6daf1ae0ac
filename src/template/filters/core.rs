//! Filters that every playbook uses: defaults, kinds, numbers.

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::ops::{self, Number, number};
use super::super::value::Value;
use crate::diag::Diagnostic;

/// No fraction has more digits.
const FINEST: i32 = 1100;

super::filters! {
    "default": "another value if it is undefined, or false where the second argument is true" => |_, a| default(a);
    "d": "the same as `default`" => |_, a| default(a);
    "mandatory": "fails if it is undefined" => |_, a| mandatory(a);
    "bool": "the boolean that it writes" => |i, a| Ok(Value::Bool(bool_of(i, a.operand())));
    "int": "the whole number that it writes, or a default" => |_, a| int(a);
    "float": "the number that it writes, or a default" => |_, a| float(a);
    "string": "it as text" => |_, a| Ok(Value::str(a.operand().text()));
    "abs": "it without its sign" => |_, a| match a.operand() {
        Value::Float(number) => Ok(Value::Float(number.abs())),
        value @ Value::Object(_) if value.long_name() == "datetime.timedelta" => {
            let turned = ops::binary("*", value, &Value::Int(-1))?;
            Ok(if ops::less(value, &turned)? { turned } else { value.clone() })
        }
        value => match number(value) {
            Some(Number::Int(number)) => Ok(Value::Int(number.abs())),
            _ => Err(Fault::new(format!("bad operand type for abs(): '{}'", value.type_name()))),
        },
    };
    "round": "it rounded to so many digits" => |_, a| round(a);
    "ternary": "one value if true, another if false" => |_, a| ternary(a);
    "type_debug": "the name of its type" => |_, a| Ok(Value::str(match a.operand() {
        // What templates see of these two is a class of Ansible's, which scripts compare with.
        Value::Undefined(_) => "UndefinedMarker",
        omit if omit.is_omit() => "_OmitType",
        other => other.type_name(),
    }));
    "length": "how many items it has" => |_, a| Ok(Value::from(ops::length(a.operand())?));
    "count": "the same as `length`" => |_, a| Ok(Value::from(ops::length(a.operand())?));
}

fn default(args: &Args) -> Outcome {
    args.check(3, &["default_value", "boolean"])?;
    if let Some(other) = args
        .get(2, "boolean")
        .filter(|value| !matches!(value, Value::Bool(_)))
    {
        return Err(Fault::new(format!(
            "The 'boolean' argument must be of type 'bool', not '{}'.",
            other.type_name()
        )));
    }
    let operand = args.operand();
    if operand.is_undefined() || (args.truth(2, "boolean", false) && !operand.is_true()) {
        return Ok(args
            .get(1, "default_value")
            .cloned()
            .unwrap_or_else(|| Value::str("")));
    }
    Ok(operand.clone())
}

fn mandatory(args: &Args) -> Outcome {
    let Value::Undefined(undefined) = args.operand() else {
        return Ok(args.operand().clone());
    };
    if let Some(message) = args
        .get(1, "msg")
        .filter(|message| !matches!(message, Value::None))
    {
        return Err(Fault::new(message.text()));
    }
    let message = &undefined.message;
    let name = message
        .strip_suffix(" is undefined")
        .or_else(|| {
            message
                .split_once(" has no attribute ")
                .map(|(_, name)| name)
        })
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    Err(Fault::new(format!("Mandatory variable{name} not defined.")))
}

/// The boolean that a value writes, if it does.
/// The filter `bool`, which tells what it does not understand.
fn bool_of(interp: &Interp<'_>, value: &Value) -> bool {
    // Fewer words than a module's argument takes: `y`, `t` and `1.0` are false here.
    let known = match value {
        Value::Bool(value) => return *value,
        Value::Int(number @ (0 | 1)) => return *number == 1,
        Value::Str(text) => match text.as_str().to_lowercase().as_str() {
            "yes" | "on" | "1" | "true" => return true,
            "no" | "off" | "0" | "false" => return false,
            _ => false,
        },
        value => to_bool(value).unwrap_or(false),
    };
    let title = if known { "True" } else { "False" };
    let what = format!(
        "The `bool` filter coerced invalid value {} ({}) to {title}.",
        value.repr(),
        value.type_name()
    );
    interp.note(Diagnostic::deprecation("bool-filter", &what, "2.23"));
    known
}

pub(crate) fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Str(text) => match text.as_str().trim().to_lowercase().as_str() {
            "yes" | "on" | "1" | "true" | "y" | "t" | "1.0" => Some(true),
            "no" | "off" | "0" | "false" | "n" | "f" | "0.0" => Some(false),
            _ => None,
        },
        other => match number(other)?.float() {
            1.0 => Some(true),
            0.0 => Some(false),
            _ => None,
        },
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "Python's int() cuts as well"
)]
fn int(args: &Args) -> Outcome {
    args.check(3, &["default", "base"])?;
    let fallback = || Ok(args.get(1, "default").cloned().unwrap_or(Value::Int(0)));
    match args.operand() {
        Value::Str(text) => {
            // What is no base is like a text that is no whole number.
            let base = match args.get(2, "base") {
                None => Some(10),
                Some(Value::Int(base)) => u32::try_from(*base).ok(),
                Some(_) => None,
            };
            let base = base.filter(|base| *base == 0 || (2..=36).contains(base));
            let text = text.as_str().trim().replace('_', "");
            let (sign, digits) = text
                .strip_prefix('-')
                .map_or((1, text.as_str()), |digits| (-1, digits));
            let digits = digits.strip_prefix('+').unwrap_or(digits).to_lowercase();
            let (base, digits) = match (base, digits.get(..2)) {
                (Some(16 | 0), Some("0x")) => (Some(16), &digits[2..]),
                (Some(8 | 0), Some("0o")) => (Some(8), &digits[2..]),
                (Some(2 | 0), Some("0b")) => (Some(2), &digits[2..]),
                (Some(0), _) => (Some(10), digits.as_str()),
                (base, _) => (base, digits.as_str()),
            };
            let number = base.map(|base| i128::from_str_radix(digits, base));
            if let Some(Ok(number)) = number {
                return Ok(Value::Int(sign * number));
            }
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Value::Int(number as i128)),
                _ => fallback(),
            }
        }
        Value::Float(number) if !number.is_finite() => fallback(),
        value @ (Value::Int(_) | Value::Float(_) | Value::Bool(_)) => {
            Ok(whole(value).map_or(Value::Int(0), Value::Int))
        }
        _ => fallback(),
    }
}

fn float(args: &Args) -> Outcome {
    let found = match args.operand() {
        Value::Str(text) => text.as_str().trim().replace('_', "").parse().ok(),
        value => number(value).map(Number::float),
    };
    Ok(match found {
        Some(number) => Value::Float(number),
        None => args.get(1, "default").cloned().unwrap_or(Value::Float(0.0)),
    })
}

fn round(args: &Args) -> Outcome {
    if let Some(method) = args.get(2, "method") {
        ops::hashable(method)?;
    }
    let method = args.text(2, "method", "common");
    let up = match method.as_str() {
        "common" => return rounded(args),
        "ceil" => true,
        "floor" => false,
        _ => return Err(Fault::new("method must be common, ceil or floor")),
    };
    let none = Value::Int(0);
    let precision = args.get(1, "precision").unwrap_or(&none);
    let factor = ops::binary("**", &Value::Int(10), precision)?;
    let scaled = ops::binary("*", args.operand(), &factor)?;
    let whole = match number(&scaled) {
        Some(whole @ Number::Int(_)) => whole,
        Some(Number::Float(number)) if up => Number::Float(number.ceil()),
        Some(Number::Float(number)) => Number::Float(number.floor()),
        None => {
            let text = format!("must be real number, not {}", scaled.type_name());
            return Err(Fault::new(text));
        }
    };
    Ok(ops::binary("/", &whole.value(), &factor)?)
}

/// Rounded as Python's `round` does.
#[expect(clippy::cast_possible_truncation, reason = "a rounded whole number")]
fn rounded(args: &Args) -> Outcome {
    let Some(number) = number(args.operand()) else {
        return Err(Fault::new(format!(
            "type {} doesn't define __round__ method",
            args.operand().type_name()
        )));
    };
    let number = match (number, args.get(1, "precision")) {
        (Number::Float(number), Some(Value::None)) if number.is_nan() => {
            return Err(Fault::new("cannot convert float NaN to integer"));
        }
        (Number::Float(number), Some(Value::None)) if number.is_infinite() => {
            return Err(Fault::new("cannot convert float infinity to integer"));
        }
        (Number::Float(number), Some(Value::None)) => {
            return Ok(Value::Int(number.round_ties_even() as i128));
        }
        (Number::Int(number), Some(Value::None)) => return Ok(Value::Int(number)),
        (number, _) => number,
    };
    let digits = i32::try_from(args.index(1, "precision", 0)?).unwrap_or(0);
    Ok(match number {
        Number::Int(number) if digits >= 0 => Value::Int(number),
        Number::Float(number) if digits >= 0 => {
            let digits = usize::try_from(digits.min(FINEST)).unwrap_or(0);
            Value::Float(format!("{number:.digits$}").parse().unwrap_or(number))
        }
        number => {
            let factor = 10f64.powi(digits);
            let rounded = (number.float() * factor).round_ties_even() / factor;
            match number {
                Number::Int(_) => Value::Int(rounded as i128),
                Number::Float(_) => Value::Float(rounded),
            }
        }
    })
}

fn ternary(args: &Args) -> Outcome {
    let missing: Vec<&str> = [(1, "true_val"), (2, "false_val")]
        .into_iter()
        .filter(|(index, name)| args.get(*index, name).is_none())
        .map(|(_, name)| name)
        .collect();
    match missing[..] {
        [a, b] => {
            return Err(Fault::new(format!(
                "ternary() missing 2 required positional arguments: '{a}' and '{b}'"
            )));
        }
        [a] => {
            return Err(Fault::new(format!(
                "ternary() missing 1 required positional argument: '{a}'"
            )));
        }
        _ => {}
    }
    if matches!(args.operand(), Value::None)
        && let Some(value) = args.get(3, "none_val")
        && !matches!(value, Value::None)
    {
        return Ok(value.clone());
    }
    Ok(if args.operand().is_true() {
        args.need(1, "true_val")?
    } else {
        args.need(2, "false_val")?
    }
    .clone())
}
