//! Dates and times.

use std::any::Any;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::ops::{Number, number};
use super::super::value::{Object, Value};

super::filters! {
    "strftime": "a time written as the format says" => |_, a| strftime(a);
    "to_datetime": "the time that a text writes" => |_, a| to_datetime(a);
}

/// Python's `datetime`, without a zone.
pub(crate) struct Moment {
    at: DateTime,
    zone: Option<TimeZone>,
}

/// Python's `timedelta`.
struct Span(f64);

struct Method {
    owner: Value,
    name: String,
}

/// The function `now`.
pub(crate) fn now(args: &Args) -> Outcome {
    let zoned = if args.truth(0, "utc", false) {
        Zoned::now().with_time_zone(TimeZone::UTC)
    } else {
        Zoned::now()
    };
    let format = args.text(1, "fmt", "");
    if !format.is_empty() {
        return Ok(Value::str(write(&zoned, &format)?));
    }
    Ok(Value::object(Moment {
        at: zoned.datetime(),
        zone: Some(zoned.time_zone().clone()),
    }))
}

fn write(zoned: &Zoned, format: &str) -> Result<String, Fault> {
    let format = format.replace("%f", "%6f");
    jiff::fmt::strtime::format(&format, zoned)
        .map_err(|error| Fault::new(format!("Invalid format string: {error}")))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "fractions of nanoseconds do not matter"
)]
fn strftime(args: &Args) -> Outcome {
    let format = args.operand().text();
    let moment = match args
        .get(1, "second")
        .filter(|second| !matches!(second, Value::None))
    {
        None => Timestamp::now(),
        Some(second) => {
            let seconds = match second {
                Value::Str(text) => text.as_str().trim().parse().ok(),
                value => number(value).map(Number::float),
            };
            let seconds: f64 = seconds.ok_or_else(|| {
                Fault::new(format!("Invalid value for epoch value ({})", second.text()))
            })?;
            Timestamp::from_nanosecond((seconds * 1e9) as i128)
                .map_err(|error| Fault::new(error.to_string()))?
        }
    };
    let zone = if args.truth(2, "utc", false) {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    Ok(Value::str(write(&moment.to_zoned(zone), &format)?))
}

fn to_datetime(args: &Args) -> Outcome {
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "strptime() argument 1 must be str, not {}",
            args.operand().type_name()
        )));
    };
    let format = args.text(1, "format", "%Y-%m-%d %H:%M:%S");
    let mismatch = || {
        Fault::new(format!(
            "time data {} does not match format {}",
            args.operand().repr(),
            Value::str(format.as_str()).repr()
        ))
    };
    let parsed = jiff::fmt::strtime::parse(&format, text.as_str()).map_err(|_| mismatch())?;
    let at = match parsed.to_datetime() {
        Ok(at) => at,
        Err(_) => parsed.to_date().map_err(|_| mismatch())?.at(0, 0, 0, 0),
    };
    Ok(Value::object(Moment { at, zone: None }))
}

impl Moment {
    fn seconds(&self) -> f64 {
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        self.at
            .to_zoned(zone)
            .map_or(0.0, |zoned| zoned.timestamp().as_nanosecond() as f64 / 1e9)
    }

    fn iso(&self, mark: char) -> String {
        let at = self.at;
        let base = format!(
            "{:04}-{:02}-{:02}{mark}{:02}:{:02}:{:02}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        );
        let micro = at.subsec_nanosecond() / 1000;
        if micro == 0 {
            base
        } else {
            format!("{base}.{micro:06}")
        }
    }

    fn method(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        Ok(match name {
            "strftime" => {
                let zoned = self
                    .at
                    .to_zoned(self.zone.clone().unwrap_or_else(TimeZone::system))
                    .map_err(|error| error.to_string())?;
                let format = args.first().map(Value::text).unwrap_or_default();
                Value::str(write(&zoned, &format).map_err(|fault| fault.message().to_owned())?)
            }
            "isoformat" => Value::str(self.iso('T')),
            "timestamp" => {
                let zoned = self
                    .at
                    .to_zoned(self.zone.clone().unwrap_or_else(TimeZone::system))
                    .map_err(|error| error.to_string())?;
                Value::Float(zoned.timestamp().as_nanosecond() as f64 / 1e9)
            }
            "date" => Value::object(Moment {
                at: self.at.date().at(0, 0, 0, 0),
                zone: None,
            }),
            "weekday" => Value::Int(i128::from(self.at.weekday().to_monday_zero_offset())),
            "isoweekday" => Value::Int(i128::from(self.at.weekday().to_monday_one_offset())),
            "__op-" => match args.first() {
                Some(Value::Object(other)) => match (
                    other.as_any().downcast_ref::<Moment>(),
                    other.as_any().downcast_ref::<Span>(),
                ) {
                    (Some(other), _) => Value::object(Span(self.seconds() - other.seconds())),
                    (_, Some(span)) => self.moved(-span.0)?,
                    _ => return Err("unsupported operand type(s) for -".into()),
                },
                _ => return Err("unsupported operand type(s) for -".into()),
            },
            _ => match args.first() {
                Some(Value::Object(other)) if other.as_any().is::<Span>() => self.moved(
                    other
                        .as_any()
                        .downcast_ref::<Span>()
                        .map_or(0.0, |span| span.0),
                )?,
                _ => return Err("unsupported operand type(s) for +".into()),
            },
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "microseconds fit")]
    fn moved(&self, seconds: f64) -> Result<Value, String> {
        let span = jiff::Span::new()
            .try_microseconds((seconds * 1e6) as i64)
            .map_err(|error| error.to_string())?;
        let at = self
            .at
            .checked_add(span)
            .map_err(|error| error.to_string())?;
        Ok(Value::object(Moment {
            at,
            zone: self.zone.clone(),
        }))
    }
}

impl Object for Moment {
    fn type_name(&self) -> &'static str {
        "datetime"
    }
    fn attr(&self, name: &str) -> Option<Value> {
        Some(match name {
            "year" => Value::Int(self.at.year().into()),
            "month" => Value::Int(self.at.month().into()),
            "day" => Value::Int(self.at.day().into()),
            "hour" => Value::Int(self.at.hour().into()),
            "minute" => Value::Int(self.at.minute().into()),
            "second" => Value::Int(self.at.second().into()),
            "microsecond" => Value::Int((self.at.subsec_nanosecond() / 1000).into()),
            "strftime" | "isoformat" | "timestamp" | "date" | "weekday" | "isoweekday"
            | "__op-" | "__op+" => {
                let owner = Value::object(Moment {
                    at: self.at,
                    zone: self.zone.clone(),
                });
                Value::object(Method {
                    owner,
                    name: name.to_owned(),
                })
            }
            _ => return None,
        })
    }
    fn item(&self, key: &Value) -> Option<Value> {
        (key.as_str() == Some("__order__")).then(|| Value::Float(self.seconds()))
    }
    fn repr(&self) -> String {
        self.iso(' ')
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Span {
    fn type_name(&self) -> &'static str {
        "timedelta"
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "days and seconds are whole"
    )]
    fn attr(&self, name: &str) -> Option<Value> {
        Some(match name {
            "days" => Value::Int((self.0 / 86400.0).floor() as i128),
            "seconds" => Value::Int(self.0.rem_euclid(86400.0).floor() as i128),
            "microseconds" => Value::Int((self.0.fract().abs() * 1e6).round() as i128),
            "total_seconds" => Value::object(Method {
                owner: Value::object(Span(self.0)),
                name: name.to_owned(),
            }),
            _ => return None,
        })
    }
    fn item(&self, key: &Value) -> Option<Value> {
        (key.as_str() == Some("__order__")).then_some(Value::Float(self.0))
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "days, hours and so on are whole"
    )]
    fn repr(&self) -> String {
        let days = (self.0 / 86400.0).floor() as i64;
        let rest = self.0.rem_euclid(86400.0) as i64;
        let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
        match days {
            0 => clock,
            1 | -1 => format!("{days} day, {clock}"),
            _ => format!("{days} days, {clock}"),
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Method {
    fn type_name(&self) -> &'static str {
        "method"
    }
    fn call(&self, args: &[Value], _kwargs: &[(String, Value)]) -> Option<Result<Value, String>> {
        let Value::Object(owner) = &self.owner else {
            return None;
        };
        if let Some(moment) = owner.as_any().downcast_ref::<Moment>() {
            return Some(moment.method(&self.name, args));
        }
        owner
            .as_any()
            .downcast_ref::<Span>()
            .map(|span| Ok(Value::Float(span.0)))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
