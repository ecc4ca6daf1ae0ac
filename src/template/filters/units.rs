//! Filters of `community.general` that read lengths of time.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::ops::{Number, number};
use super::super::value::Value;

super::filters! {
    "to_time_unit": "a length of time in a unit" => |_, a| counted(a, None);
    "to_milliseconds": "a length of time in milliseconds" => |_, a| counted(a, Some("ms"));
    "to_seconds": "a length of time in seconds" => |_, a| counted(a, Some("s"));
    "to_minutes": "a length of time in minutes" => |_, a| counted(a, Some("m"));
    "to_hours": "a length of time in hours" => |_, a| counted(a, Some("h"));
    "to_days": "a length of time in days" => |_, a| counted(a, Some("d"));
    "to_weeks": "a length of time in weeks" => |_, a| counted(a, Some("w"));
    "to_months": "a length of time in months" => |_, a| counted(a, Some("mo"));
    "to_years": "a length of time in years" => |_, a| counted(a, Some("y"));
}

const DAY: f64 = 86_400_000.0;

/// The milliseconds of a unit.
fn unit(name: &str, month: f64, year: f64) -> Option<f64> {
    let long = |name: &str| {
        Some(match name {
            "millisecond" | "msec" | "msecond" => 1.0,
            "sec" | "second" => 1000.0,
            "min" | "minute" => 60_000.0,
            "hour" => 3_600_000.0,
            "day" => DAY,
            "week" => 7.0 * DAY,
            "month" => month * DAY,
            "year" => year * DAY,
            _ => return None,
        })
    };
    Some(match name {
        "ms" => 1.0,
        "s" => 1000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => DAY,
        "w" => 7.0 * DAY,
        "mo" => month * DAY,
        "y" => year * DAY,
        name => return long(name).or_else(|| long(name.strip_suffix('s')?)),
    })
}

fn counted(args: &Args, fixed: Option<&str>) -> Outcome {
    const KNOWN: [&str; 3] = ["month", "year", "unit"];
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| !KNOWN.contains(&name.as_str()))
    {
        return Err(Fault::new(format!(
            "to_time_unit() got unknown keyword arguments: {name}"
        )));
    }
    let days = |name: &str, default: f64| {
        args.named(name)
            .and_then(number)
            .map_or(default, Number::float)
    };
    let (month, year) = (days("month", 30.0), days("year", 365.0));
    let wanted = fixed.map_or_else(|| args.text(1, "unit", "ms"), str::to_owned);
    let Some(length) = unit(&wanted, month, year) else {
        return Err(Fault::new(format!(
            "to_time_unit() can not convert to the following unit: {wanted}. Available units (singular or plural):millisecond, msec, msecond, sec, second, hour, min, minute, day, week, month, year. Available short units: ms, s, m, h, d, w, mo, y"
        )));
    };
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "'{}' object has no attribute 'split'",
            args.operand().type_name()
        )));
    };
    let mut total = 0.0;
    for part in text.as_str().split(' ').filter(|part| !part.is_empty()) {
        let digits = part.strip_prefix('-').unwrap_or(part);
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let count: Option<f64> = digits[..end].parse().ok();
        let Some((count, length)) = count.zip(unit(&digits[end..], month, year)) else {
            return Err(Fault::new(format!(
                "to_time_unit() can not interpret following string: {}",
                text.as_str()
            )));
        };
        total += if digits.len() < part.len() {
            -count
        } else {
            count
        } * length;
    }
    let rounded = format!("{:.12}", total / length).parse().unwrap_or(total);
    Ok(Value::Float(rounded))
}
