//! Numbers.

use super::super::fault::Fault;
use super::super::ops::{Number, number};
use super::super::value::Value;

super::filters! {
    "log": "its logarithm, to the base e or another" => |_, a| {
        let value = float(a.operand(), "log")?;
        let base = a.get(1, "base").map(|base| float(base, "log")).transpose()?;
        if value <= 0.0 || base.is_some_and(|base| base <= 0.0) {
            return Err(Fault::new("math domain error"));
        }
        Ok(Value::Float(match base {
            Some(10.0) => value.log10(),
            Some(2.0) => value.log2(),
            Some(base) => value.ln() / base.ln(),
            None => value.ln(),
        }))
    };
    "root": "its square root, or another" => |_, a| {
        let value = float(a.operand(), "root")?;
        let base = a.get(1, "base").map_or(Ok(2.0), |base| float(base, "root"))?;
        if value < 0.0 && base == 2.0 {
            return Err(Fault::new("root() can only be used on numbers: math domain error"));
        }
        Ok(Value::Float(if base == 2.0 { value.sqrt() } else { value.powf(1.0 / base) }))
    };
    "pow": "it to a power" => |_, a| Ok(Value::Float(float(a.operand(), "pow")?.powf(float(a.need(1, "y")?, "pow")?)));
}

fn float(value: &Value, name: &str) -> Result<f64, Fault> {
    number(value).map(Number::float).ok_or_else(|| {
        Fault::new(format!(
            "{name}() can only be used on numbers: must be real number, not {}",
            value.type_name()
        ))
    })
}
