//! The methods of Python's numbers and bytes.

use rplay_modules::machine::digest;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::filters::encode;
use super::super::value::Value;
use super::integer;

/// Calls a method of a number or of bytes.
pub(super) fn call(value: &Value, name: &str, args: &Args) -> Outcome {
    match value {
        Value::Int(number) => int(*number, name, args),
        Value::Bool(truth) => int(i128::from(*truth), name, args),
        Value::Float(number) => float(*number, name),
        Value::Bytes(bytes) if name == "hex" => Ok(Value::str(digest::hex(bytes))),
        Value::Bytes(bytes) => encode::decoded(bytes, args.get(0, "encoding")),
        _ => Ok(Value::None),
    }
}

fn int(number: i128, name: &str, args: &Args) -> Outcome {
    Ok(match name {
        "as_integer_ratio" => Value::list(vec![Value::Int(number), Value::Int(1)]),
        "bit_count" => Value::Int(number.unsigned_abs().count_ones().into()),
        "bit_length" => Value::Int((128 - number.unsigned_abs().leading_zeros()).into()),
        "is_integer" => Value::Bool(true),
        "to_bytes" => to_bytes(number, args)?,
        _ => Value::Int(number),
    })
}

fn to_bytes(number: i128, args: &Args) -> Outcome {
    let length = args.get(0, "length").map_or(Ok(1), integer)?;
    let order = match args.get(1, "byteorder") {
        None => "big",
        Some(Value::Str(order)) => order.as_str(),
        Some(other) => {
            return Err(Fault::new(format!(
                "to_bytes() argument 'byteorder' must be str, not {}",
                other.argument_name()
            )));
        }
    };
    if !matches!(order, "big" | "little") {
        return Err(Fault::new("byteorder must be either 'little' or 'big'"));
    }
    let signed = args.truth(2, "signed", false);
    let length =
        usize::try_from(length).map_err(|_| Fault::new("length argument must be non-negative"))?;
    if number < 0 && !signed {
        return Err(Fault::new("can't convert negative int to unsigned"));
    }
    super::super::limits::text(length)?;
    let all = number.to_be_bytes();
    let filler = if number < 0 { 0xff } else { 0 };
    let (cut, kept) = all.split_at(all.len().saturating_sub(length));
    let sign = kept.first().is_some_and(|first| first & 0x80 != 0);
    let wrong_sign = signed && length > 0 && length < all.len() && sign != (number < 0);
    if cut.iter().any(|byte| *byte != filler) || wrong_sign || number < 0 && length == 0 {
        return Err(Fault::new("int too big to convert"));
    }
    let mut bytes = vec![filler; length - kept.len()];
    bytes.extend(kept);
    if order == "little" {
        bytes.reverse();
    }
    Ok(Value::Bytes(bytes.into()))
}

fn float(number: f64, name: &str) -> Outcome {
    match name {
        "as_integer_ratio" => ratio(number),
        "hex" => Ok(Value::str(hex(number))),
        "is_integer" => Ok(Value::Bool(number.fract() == 0.0)),
        _ => Ok(Value::Float(number)),
    }
}

/// Mantissa and power of two of a finite number.
fn parts(number: f64) -> (u64, i32) {
    let bits = number.to_bits();
    let power = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    let fraction = bits & ((1 << 52) - 1);
    match power {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, power - 1075),
    }
}

fn ratio(number: f64) -> Outcome {
    if !number.is_finite() {
        let what = if number.is_nan() { "NaN" } else { "Infinity" };
        return Err(Fault::new(format!(
            "cannot convert {what} to integer ratio"
        )));
    }
    let (mut mantissa, mut power) = parts(number);
    let zeros = mantissa.trailing_zeros().min(63);
    if mantissa == 0 {
        power = 0;
    } else {
        mantissa >>= zeros;
        power += i32::try_from(zeros).unwrap_or(0);
    }
    let shifted = |value: i128, by: i32| {
        let by = u32::try_from(by).ok()?;
        value.checked_mul(1_i128.checked_shl(by).filter(|one| *one > 0)?)
    };
    let sign = if number < 0.0 { -1 } else { 1 };
    let above = shifted(sign * i128::from(mantissa), power.max(0));
    let below = shifted(1, (-power).max(0));
    match (above, below) {
        (Some(above), Some(below)) => Ok(Value::list(vec![Value::Int(above), Value::Int(below)])),
        _ => Err(Fault::new("integer too large")),
    }
}

/// Python's hexadecimal form of a float.
fn hex(number: f64) -> String {
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return format!("{sign}inf");
    }
    if number == 0.0 {
        return format!("{sign}0x0.0p+0");
    }
    let (mantissa, power) = parts(number);
    let fraction = mantissa & ((1 << 52) - 1);
    format!(
        "{sign}0x{}.{fraction:013x}p{:+}",
        mantissa >> 52,
        power + 52
    )
}

/// The attributes that Python's numbers have.
pub(crate) fn part(value: &Value, name: &str) -> Option<Value> {
    let value = match value {
        Value::Bool(truth) => &Value::Int((*truth).into()),
        value => value,
    };
    match (value, name) {
        (Value::Int(_), "real" | "numerator") | (Value::Float(_), "real") => Some(value.clone()),
        (Value::Int(_), "imag") => Some(Value::Int(0)),
        (Value::Int(_), "denominator") => Some(Value::Int(1)),
        (Value::Float(_), "imag") => Some(Value::Float(0.0)),
        _ => None,
    }
}
