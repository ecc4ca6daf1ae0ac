//! Numbers.

use super::super::fault::{Fault, Outcome};
use super::super::ops::{Number, number};
use super::super::value::Value;
use super::text::amount;

super::filters! {
    "log": "its logarithm, to the base e or another" => |_, a| {
        let value = float(a.operand(), "log")?;
        let base = a.get(1, "base").map(|base| float(base, "log")).transpose()?;
        if value <= 0.0 || base.is_some_and(|base| base <= 0.0) {
            return Err(Fault::new("math domain error"));
        }
        Ok(Value::Float(match base {
            Some(1.0) => return Err(Fault::new("float division by zero")),
            Some(10.0) => value.log10(),
            Some(2.0) => value.log2(),
            Some(base) => value.ln() / base.ln(),
            None => value.ln(),
        }))
    };
    "root": "its square root, or another" => |_, a| {
        let refused = |fault: Fault| Fault::new(format!("root() can only be used on numbers: {}", fault.inner()));
        let base = a.get(1, "base").map_or(Ok(2.0), amount).map_err(refused)?;
        let value = float(a.operand(), "root")?;
        match base {
            0.0 => Err(Fault::new("float division by zero")),
            2.0 if value >= 0.0 => Ok(Value::Float(value.sqrt())),
            base => power(value, 1.0 / base).map_err(refused),
        }
    };
    "pow": "it to a power" => |_, a| power(float(a.operand(), "pow")?, float(a.need(1, "y")?, "pow")?);
}

/// Python's `math.pow`.
fn power(x: f64, y: f64) -> Outcome {
    let finite = x.is_finite() && y.is_finite();
    if finite && ((x < 0.0 && y.fract() != 0.0) || (x == 0.0 && y < 0.0)) {
        return Err(Fault::new("math domain error"));
    }
    let result = x.powf(y);
    if finite && result.is_infinite() {
        return Err(Fault::new("math range error"));
    }
    Ok(Value::Float(result))
}

fn float(value: &Value, name: &str) -> Result<f64, Fault> {
    number(value).map(Number::float).ok_or_else(|| {
        Fault::new(format!(
            "{name}() can only be used on numbers: must be real number, not {}",
            value.type_name()
        ))
    })
}
