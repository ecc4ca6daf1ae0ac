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

/// Python's `datetime`, or its `date`.
#[derive(Clone)]
pub(crate) struct Moment {
    at: DateTime,
    zone: Option<TimeZone>,
    /// Whether it is a day without a time.
    day: bool,
}

/// The time that a YAML 1.1 timestamp writes.
pub(crate) fn timestamp(text: &str) -> Option<Value> {
    let digits = |text: &str| -> Option<i64> {
        (!text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())
            .flatten()
    };
    let small = |text: &str| digits(text).and_then(|number| i8::try_from(number).ok());
    let (date, rest) = match text.find(['T', 't', ' ', '\t']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let date = jiff::civil::Date::new(
        i16::try_from(digits(year)?).ok()?,
        small(month)?,
        small(day)?,
    )
    .ok()
    .filter(|_| year.len() == 4)?;
    if rest.is_empty() {
        return (month.len() == 2 && day.len() == 2).then(|| {
            Value::object(Moment {
                at: date.at(0, 0, 0, 0),
                zone: None,
                day: true,
            })
        });
    }
    let rest = rest.trim_start_matches(['T', 't', ' ', '\t']);
    let end = rest.find(['Z', '+', '-', ' ', '\t']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (
        small(parts.next()?)?,
        small(parts.next()?)?,
        small(parts.next()?)?,
    );
    let micro = match fraction {
        "" => 0,
        text => digits(&format!("{text:0<6}")[..6])?,
    };
    let at =
        jiff::civil::Time::new(hour, minute, second, i32::try_from(micro * 1000).ok()?).ok()?;
    let zone = match zone.trim() {
        "" => None,
        "Z" => Some(TimeZone::UTC),
        sign => {
            let (hours, minutes) = sign[1..].split_once(':').unwrap_or((&sign[1..], "0"));
            let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
            let seconds = if sign.starts_with('-') {
                -seconds
            } else {
                seconds
            };
            Some(fixed(i32::try_from(seconds).ok()?)?)
        }
    };
    Some(Value::object(Moment {
        at: date.to_datetime(at),
        zone,
        day: false,
    }))
}

fn fixed(seconds: i32) -> Option<TimeZone> {
    jiff::tz::Offset::from_seconds(seconds)
        .ok()
        .map(TimeZone::fixed)
}

/// Python's `timedelta`.
struct Span(f64);

struct Method {
    owner: Value,
    name: String,
}

/// The function `now`.
pub(crate) fn now(args: &Args) -> Outcome {
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| name != "utc" && name != "fmt")
    {
        return Err(Fault::new(format!(
            "_now() got an unexpected keyword argument '{name}'"
        )));
    }
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
        zone: None,
        day: false,
    }))
}

/// What the C library does not know stays as it is; microseconds have six digits.
fn known(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push_str("%%");
            break;
        };
        match c {
            'f' => out.push_str("%6f"),
            'Q' | 'i' | 'J' | 'K' | 'L' | 'N' | 'o' | 'q' | 'v' | 'E' | 'O' => {
                out.push_str("%%");
                out.push(c);
            }
            c => {
                out.push('%');
                out.push(c);
            }
        }
        rest = &rest[c.len_utf8()..];
    }
    out + rest
}

fn write(zoned: &Zoned, format: &str) -> Result<String, Fault> {
    let format = known(format);
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
            match args.operand() {
                Value::None => "None",
                other => other.type_name(),
            }
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
    // What a format leaves out is that of 1900-01-01 00:00:00.
    let date = parsed.to_date().or_else(|_| {
        jiff::civil::Date::new(
            parsed.year().unwrap_or(1900),
            parsed.month().unwrap_or(1),
            parsed.day().unwrap_or(1),
        )
    });
    let date = date.map_err(|_| mismatch())?;
    let at = parsed
        .to_time()
        .map_or_else(|_| date.at(0, 0, 0, 0), |time| date.to_datetime(time));
    let zone = parsed.offset().map(TimeZone::fixed);
    Ok(Value::object(Moment {
        at,
        zone,
        day: false,
    }))
}

fn unsupported(op: &str, other: Option<&Value>) -> String {
    format!(
        "unsupported operand type(s) for {op}: 'datetime.datetime' and '{}'",
        other.map_or("NoneType", Value::type_name)
    )
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
        if self.day {
            return base[..10].to_owned();
        }
        let micro = at.subsec_nanosecond() / 1000;
        let base = if micro == 0 {
            base
        } else {
            format!("{base}.{micro:06}")
        };
        match self.offset() {
            None => base,
            Some(seconds) => {
                let sign = if seconds < 0 { '-' } else { '+' };
                let seconds = seconds.abs();
                format!("{base}{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)
            }
        }
    }

    /// The distance of its zone from UTC, in seconds.
    fn offset(&self) -> Option<i32> {
        let zone = self.zone.clone()?;
        let zoned = self.at.to_zoned(zone).ok()?;
        Some(zoned.offset().seconds())
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
                day: true,
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
                    _ => return Err(unsupported("-", args.first())),
                },
                _ => return Err(unsupported("-", args.first())),
            },
            _ => match args.first() {
                Some(Value::Object(other)) if other.as_any().is::<Span>() => self.moved(
                    other
                        .as_any()
                        .downcast_ref::<Span>()
                        .map_or(0.0, |span| span.0),
                )?,
                _ => return Err(unsupported("+", args.first())),
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
            day: self.day,
        }))
    }
}

impl Object for Moment {
    fn type_name(&self) -> &'static str {
        if self.day { "date" } else { "datetime" }
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
                let owner = Value::object(self.clone());
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
        let at = self.at;
        let mut parts = vec![i32::from(at.year()), at.month().into(), at.day().into()];
        if self.day {
            return format!("datetime.date({}, {}, {})", parts[0], parts[1], parts[2]);
        }
        parts.extend([i32::from(at.hour()), at.minute().into()]);
        let micro = at.subsec_nanosecond() / 1000;
        if at.second() != 0 || micro != 0 {
            parts.push(at.second().into());
        }
        if micro != 0 {
            parts.push(micro);
        }
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        let zone = match self.offset() {
            None => String::new(),
            Some(0) => ", tzinfo=datetime.timezone.utc".into(),
            // Python writes a negative distance as a day less and the rest of the day.
            Some(seconds) if seconds < 0 => format!(
                ", tzinfo=datetime.timezone(datetime.timedelta(days=-1, seconds={}))",
                seconds + 86400
            ),
            Some(seconds) => {
                format!(", tzinfo=datetime.timezone(datetime.timedelta(seconds={seconds}))")
            }
        };
        format!("datetime.datetime({}{zone})", parts.join(", "))
    }
    fn text(&self) -> String {
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
    fn storable(&self) -> bool {
        false
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
