//! Dates and times.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::ops::{Number, number};
use super::super::value::Value;
use super::moment::{Kind, Moment};
use super::strftime::{Written, format};
use super::strptime;
use crate::load::early;

super::filters! {
    "strftime": "a time written as the format says" => |_, a| strftime(a);
    "to_datetime": "the time that a text writes" => |_, a| to_datetime(a);
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
        return (month.len() == 2 && day.len() == 2)
            .then(|| Value::object(Moment::new(date.at(0, 0, 0, 0), None, Kind::Day)));
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
        text if !text.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        text => digits(&format!("{text:0<6}")[..6])?,
    };
    let at =
        jiff::civil::Time::new(hour, minute, second, i32::try_from(micro * 1000).ok()?).ok()?;
    let zone = match zone.trim() {
        "" => None,
        "Z" => Some(0),
        sign => {
            let offset = sign.strip_prefix(['+', '-'])?;
            let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "0"));
            let seconds = digits(hours)? * 3600 + digits(minutes)? * 60;
            let seconds = if sign.starts_with('-') {
                -seconds
            } else {
                seconds
            };
            Some(i32::try_from(seconds).ok()?)
        }
    };
    let at = date.to_datetime(at);
    Some(Value::object(Moment::new(at, zone, Kind::Whole)))
}

/// The function `now`.
pub(crate) fn now(args: &Args) -> Outcome {
    if args.pos.len() > 2 {
        return Err(Fault::new(format!(
            "_now() takes from 0 to 2 positional arguments but {} were given",
            args.pos.len()
        )));
    }
    if let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| name != "utc" && name != "fmt")
    {
        return Err(Fault::new(format!(
            "_now() got an unexpected keyword argument '{name}'"
        )));
    }
    let zone = if args.truth(0, "utc", false) {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    early::outside();
    let micro = Timestamp::now().as_microsecond();
    let now = Timestamp::from_microsecond(micro).map_err(|error| Fault::new(error.to_string()))?;
    let moment = Moment::new(now.to_zoned(zone).datetime(), None, Kind::Whole);
    match args.get(1, "fmt") {
        Some(Value::Str(format)) if !format.as_str().is_empty() => {
            Ok(Value::str(moment.written(format.as_str())))
        }
        Some(other) if other.is_true() => Err(not_text(other)),
        _ => Ok(Value::object(moment)),
    }
}

fn not_text(value: &Value) -> Fault {
    Fault::new(format!(
        "strftime() argument 1 must be str, not {}",
        none_or_type(value)
    ))
}

fn none_or_type(value: &Value) -> &'static str {
    match value {
        Value::None => "None",
        other => other.type_name(),
    }
}

/// The filter `strftime`.
fn strftime(args: &Args) -> Outcome {
    let second = args.get(1, "second");
    let moment = match second.filter(|second| !matches!(second, Value::None)) {
        None => {
            early::outside();
            Timestamp::now()
        }
        Some(second) => {
            let seconds = match second {
                Value::Str(text) => text.as_str().trim().parse().ok(),
                value => number(value).map(Number::float),
            };
            let seconds = seconds.ok_or_else(|| {
                Fault::new(format!("Invalid value for epoch value ({})", second.text()))
            })?;
            at_epoch(seconds)?
        }
    };
    let Value::Str(text) = args.operand() else {
        return Err(not_text(args.operand()));
    };
    let utc = args.truth(2, "utc", false);
    let zone = if utc {
        TimeZone::UTC
    } else {
        TimeZone::system()
    };
    let written = Written {
        at: moment.to_zoned(zone).datetime(),
        zone: utc.then_some((0, "UTC")),
        epoch: moment.as_second() - i64::from(moment.subsec_nanosecond() < 0),
    };
    Ok(Value::str(format(&written, text.as_str())))
}

/// The time so many seconds after 1970, to the microsecond.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what does not fit is refused before"
)]
fn at_epoch(seconds: f64) -> Result<Timestamp, Fault> {
    const YEAR: f64 = 31_556_952.0;
    if seconds.is_nan() {
        return Err(Fault::new("Invalid value NaN (not a number)"));
    }
    if seconds.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(Fault::new("timestamp out of range for platform time_t"));
    }
    if seconds.abs() > YEAR * 2_147_483_648.0 {
        return Err(Fault::new(
            "[Errno 75] Value too large for defined data type",
        ));
    }
    let whole = seconds.floor();
    let micro = ((seconds - whole) * 1e6).round_ties_even();
    let micros = whole as i128 * 1_000_000 + micro as i128;
    let timestamp = i64::try_from(micros).ok().and_then(|micros| {
        // Python's years begin with 1 and end with 9999.
        let known = (-62_135_596_800_000_000..253_402_207_200_000_000).contains(&micros);
        known.then(|| Timestamp::from_microsecond(micros).ok())?
    });
    timestamp.ok_or_else(|| {
        let year = year_of(whole as i64);
        Fault::new(format!("year {year} is out of range"))
    })
}

/// The year of a second that no calendar of ours has.
fn year_of(second: i64) -> i64 {
    const ERA_DAYS: i64 = 146_097;
    let days = second.div_euclid(86_400) + 719_468;
    let (era, day) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    // Years of this count begin in March.
    era * 400 + year + i64::from(in_year >= 306)
}

/// The filter `to_datetime`.
fn to_datetime(args: &Args) -> Outcome {
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "strptime() argument 1 must be str, not {}",
            none_or_type(args.operand())
        )));
    };
    let format = match args.get(1, "format") {
        None => "%Y-%m-%d %H:%M:%S",
        Some(Value::Str(format)) => format.as_str(),
        Some(other) => {
            return Err(Fault::new(format!(
                "strptime() argument 2 must be str, not {}",
                none_or_type(other)
            )));
        }
    };
    let (at, zone): (DateTime, _) = strptime::parse(text.as_str(), format).map_err(Fault::new)?;
    Ok(Value::object(Moment::new(at, zone, Kind::Whole)))
}
