//! Python's `datetime`, `date`, `time` and `timedelta` as values.

use std::any::Any;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::ops::{Number, number};
use super::super::value::{Object, Value};
use super::strftime::{Written, colons, format};
use super::strptime::date;

const DAY: i128 = 86_400_000_000;

/// What of a time counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A day and a time, Python's `datetime`.
    Whole,
    /// A day, Python's `date`.
    Day,
    /// What a clock shows, Python's `time`.
    Clock,
}

/// Python's `datetime`, its `date` or its `time`.
#[derive(Clone)]
pub(crate) struct Moment {
    at: DateTime,
    /// The distance of its zone from UTC, in seconds.
    zone: Option<i32>,
    kind: Kind,
}

/// Python's `timedelta`, in microseconds.
struct Span(i128);

/// Python's `timezone`, by its distance from UTC.
struct Zone(i32);

/// The year, the week and the day that `isocalendar` gives: a tuple with names.
struct Week([i16; 3]);

struct Method {
    owner: Value,
    name: String,
}

fn unsupported(op: &str, left: &str, right: Option<&Value>) -> String {
    let right = right.map_or("NoneType", Value::long_name);
    format!("unsupported operand type(s) for {op}: '{left}' and '{right}'")
}

/// The days of a week before the first of January of the year 1.
const ORDINAL: i128 = 719_163;

impl Moment {
    pub(crate) fn new(at: DateTime, zone: Option<i32>, kind: Kind) -> Self {
        Self { at, zone, kind }
    }

    /// It as the format says.
    pub(crate) fn written(&self, text: &str) -> String {
        let name = self.zone.map(zone_name);
        let local = || {
            let zoned = self.at.to_zoned(TimeZone::system()).ok();
            zoned.map_or(0, |zoned| zoned.timestamp().as_second())
        };
        let written = Written {
            at: self.at,
            zone: self.zone.zip(name.as_deref()),
            epoch: match self.zone {
                Some(_) => i64::try_from(self.micros().div_euclid(1_000_000)).unwrap_or(0),
                None => local(),
            },
        };
        format(&written, text)
    }

    fn micro(&self) -> i32 {
        self.at.subsec_nanosecond() / 1000
    }

    /// Days since the first of January of the year 1, which is 1.
    fn ordinal(&self) -> i128 {
        let start = jiff::civil::date(1970, 1, 1);
        let days = self
            .at
            .date()
            .since(start)
            .map_or(0, |span| span.get_days());
        i128::from(days) + ORDINAL
    }

    /// Microseconds since 1970 in UTC; what has no zone counts as if it were there.
    fn micros(&self) -> i128 {
        let at = self.at;
        let clock = i128::from(at.hour()) * 3600 + i128::from(at.minute()) * 60;
        let clock = clock + i128::from(at.second()) - i128::from(self.zone.unwrap_or(0));
        (self.ordinal() - ORDINAL) * DAY + clock * 1_000_000 + i128::from(self.micro())
    }

    fn day(&self) -> String {
        let at = self.at;
        format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
    }

    /// What its clock shows, to `spec`.
    fn clock(&self, spec: &str) -> Result<String, String> {
        let at = self.at;
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let micro = self.micro();
        let shown = match (spec, micro) {
            ("auto", 0) | ("seconds", _) => format!("{hour:02}:{minute:02}:{second:02}"),
            ("auto" | "microseconds", _) => {
                format!("{hour:02}:{minute:02}:{second:02}.{micro:06}")
            }
            ("milliseconds", _) => {
                format!("{hour:02}:{minute:02}:{second:02}.{:03}", micro / 1000)
            }
            ("minutes", _) => format!("{hour:02}:{minute:02}"),
            ("hours", _) => format!("{hour:02}"),
            _ => return Err("Unknown timespec value".into()),
        };
        Ok(match self.zone {
            None => shown,
            Some(seconds) => format!("{shown}{}", colons(seconds)),
        })
    }

    fn iso(&self, mark: &str, spec: &str) -> Result<String, String> {
        Ok(match self.kind {
            Kind::Day => self.day(),
            Kind::Clock => self.clock(spec)?,
            Kind::Whole => format!("{}{mark}{}", self.day(), self.clock(spec)?),
        })
    }

    /// A flat dispatch over the methods.
    fn method(
        &self,
        name: &str,
        args: &[Value],
        kwargs: &[(String, Value)],
    ) -> Result<Value, String> {
        let argument = |at: usize, name: &str| {
            let named = kwargs.iter().find(|(known, _)| known == name);
            args.get(at).or(named.map(|(_, value)| value))
        };
        Ok(match name {
            "strftime" => match argument(0, "format") {
                Some(Value::Str(format)) => Value::str(self.written(format.as_str())),
                Some(other) => {
                    return Err(format!(
                        "strftime() argument 1 must be str, not {}",
                        match other {
                            Value::None => "None",
                            other => other.type_name(),
                        }
                    ));
                }
                None => return Err("strftime() missing required argument 'format' (pos 1)".into()),
            },
            "isoformat" => {
                let mark = match argument(0, "sep") {
                    None => "T",
                    Some(Value::Str(mark)) if mark.as_str().chars().count() == 1 => mark.as_str(),
                    Some(other) => {
                        return Err(format!(
                            "isoformat() argument 1 must be a unicode character, not {}",
                            other.type_name()
                        ));
                    }
                };
                let spec = argument(1, "timespec").map_or("auto".to_owned(), Value::text);
                Value::str(self.iso(mark, &spec)?)
            }
            "replace" => self.replaced(args, kwargs)?,
            "astimezone" => match (argument(0, "tz"), args.len() + kwargs.len()) {
                (_, 2..) => {
                    let count = args.len() + kwargs.len();
                    return Err(format!(
                        "astimezone() takes at most 1 argument ({count} given)"
                    ));
                }
                (None, 1) => return Err("astimezone() got an unexpected keyword argument".into()),
                (None | Some(Value::None), _) => Value::object(self.seen_from(self.local_zone()?)?),
                (Some(Value::Object(object)), _) if object.as_any().is::<Zone>() => {
                    let zone = object.as_any().downcast_ref::<Zone>();
                    Value::object(self.seen_from(zone.map_or(0, |zone| zone.0))?)
                }
                (Some(other), _) => {
                    return Err(format!(
                        "tzinfo argument must be None or of a tzinfo subclass, not type '{}'",
                        other.type_name()
                    ));
                }
            },
            _ if name.starts_with("__op") => self.calculated(&name[4..], args.first())?,
            _ if !args.is_empty() || !kwargs.is_empty() => {
                return Err(format!(
                    "{}.{name}() takes no arguments ({} given)",
                    self.type_name(),
                    args.len() + kwargs.len()
                ));
            }
            "timestamp" => self.timestamp()?,
            "timetz" => Value::object(Self {
                kind: Kind::Clock,
                ..self.clone()
            }),
            "utctimetuple" => self.seen_from(0)?.tuple(0),
            "date" => Value::object(Self {
                at: self.at.date().at(0, 0, 0, 0),
                zone: None,
                kind: Kind::Day,
            }),
            "time" => Value::object(Self {
                zone: None,
                kind: Kind::Clock,
                ..self.clone()
            }),
            "weekday" => Value::Int(self.at.weekday().to_monday_zero_offset().into()),
            "isoweekday" => Value::Int(self.at.weekday().to_monday_one_offset().into()),
            "isocalendar" => {
                let week = self.at.date().iso_week_date();
                let day = week.weekday().to_monday_one_offset();
                Value::object(Week([week.year(), week.week().into(), day.into()]))
            }
            "timetuple" => self.tuple(-1),
            "ctime" => Value::str(self.written("%c")),
            "toordinal" => Value::Int(self.ordinal()),
            "utcoffset" => self.zone.map_or(Value::None, |seconds| {
                Value::object(Span(i128::from(seconds) * 1_000_000))
            }),
            "tzname" => self
                .zone
                .map_or(Value::None, |seconds| Value::str(zone_name(seconds))),
            _ => Value::None,
        })
    }

    /// Python's `struct_time`, as a tuple.
    fn tuple(&self, summer: i16) -> Value {
        let at = self.at;
        let day = at.weekday().to_monday_zero_offset();
        let parts = [
            at.year(),
            at.month().into(),
            at.day().into(),
            at.hour().into(),
            at.minute().into(),
            at.second().into(),
            day.into(),
            at.date().day_of_year(),
            summer,
        ];
        Value::tuple(
            parts
                .iter()
                .map(|part| Value::Int((*part).into()))
                .collect(),
        )
    }

    /// Microseconds since 1970 in UTC; what has no zone is a time of this machine's.
    fn instant(&self) -> Result<i128, String> {
        if self.zone.is_some() {
            return Ok(self.micros());
        }
        let zoned = self.at.to_zoned(TimeZone::system());
        let zoned = zoned.map_err(|error| error.to_string())?;
        Ok(zoned.timestamp().as_microsecond().into())
    }

    fn timestamp(&self) -> Result<Value, String> {
        Ok(Value::Float(self.instant()? as f64 / 1e6))
    }

    /// The distance from UTC that this machine's zone has then.
    fn local_zone(&self) -> Result<i32, String> {
        let micros = i64::try_from(self.instant()?).map_err(|error| error.to_string())?;
        let at = jiff::Timestamp::from_microsecond(micros).map_err(|error| error.to_string())?;
        Ok(TimeZone::system().to_offset(at).seconds())
    }

    /// The same instant on the clocks of another zone.
    fn seen_from(&self, zone: i32) -> Result<Self, String> {
        let micros = self.instant()? + i128::from(zone) * 1_000_000;
        let out = || "date value out of range".to_owned();
        let micros = i64::try_from(micros).map_err(|_| out())?;
        let span = jiff::Span::new()
            .try_microseconds(micros)
            .map_err(|_| out())?;
        let at = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        let at = at.checked_add(span).map_err(|_| out())?;
        Ok(Self {
            at,
            zone: Some(zone),
            kind: self.kind,
        })
    }

    /// With some of its parts replaced.
    fn replaced(&self, args: &[Value], kwargs: &[(String, Value)]) -> Result<Value, String> {
        const NAMES: [&str; 8] = [
            "year",
            "month",
            "day",
            "hour",
            "minute",
            "second",
            "microsecond",
            "tzinfo",
        ];
        let names = match self.kind {
            Kind::Whole => &NAMES[..],
            Kind::Day => &NAMES[..3],
            Kind::Clock => &NAMES[3..],
        };
        let at = self.at;
        let mut zone = self.zone;
        let mut parts: [i32; 7] = [
            at.year().into(),
            at.month().into(),
            at.day().into(),
            at.hour().into(),
            at.minute().into(),
            at.second().into(),
            self.micro(),
        ];
        let named = kwargs.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in names.iter().copied().zip(args).chain(named) {
            let place = NAMES.iter().position(|known| *known == name);
            let Some(place) = place.filter(|_| names.contains(&name)) else {
                return Err(format!(
                    "replace() got an unexpected keyword argument '{name}'"
                ));
            };
            match (parts.get_mut(place), value) {
                (Some(part), Value::Int(number)) => {
                    *part = i32::try_from(*number)
                        .map_err(|_| "Python int too large to convert to C int".to_owned())?;
                }
                (Some(_), other) => {
                    return Err(format!(
                        "'{}' object cannot be interpreted as an integer",
                        other.type_name()
                    ));
                }
                (None, Value::None) => zone = None,
                (None, Value::Object(object)) if object.as_any().is::<Zone>() => {
                    zone = object.as_any().downcast_ref::<Zone>().map(|zone| zone.0);
                }
                (None, other) => {
                    return Err(format!(
                        "tzinfo argument must be None or of a tzinfo subclass, not type '{}'",
                        other.type_name()
                    ));
                }
            }
        }
        let [year, month, day, hour, minute, second, micro] = parts;
        let date = date(year, month, day)?;
        for (part, most, name) in [
            (hour, 23, "hour"),
            (minute, 59, "minute"),
            (second, 59, "second"),
            (micro, 999_999, "microsecond"),
        ] {
            if !(0..=most).contains(&part) {
                return Err(format!("{name} must be in 0..{most}"));
            }
        }
        let small = |part: i32| i8::try_from(part).unwrap_or(0);
        Ok(Value::object(Self {
            at: date.at(small(hour), small(minute), small(second), micro * 1000),
            zone,
            kind: self.kind,
        }))
    }

    /// A sum or a difference.
    fn calculated(&self, op: &str, other: Option<&Value>) -> Result<Value, String> {
        let refused = || unsupported(op, self.long_name(), other);
        let Some(Value::Object(object)) = other else {
            return Err(refused());
        };
        let any = object.as_any();
        match (op, any.downcast_ref::<Self>(), any.downcast_ref::<Span>()) {
            ("-", Some(other), _) if other.kind == self.kind && self.kind != Kind::Clock => {
                if other.zone.is_some() != self.zone.is_some() {
                    return Err("can't subtract offset-naive and offset-aware datetimes".into());
                }
                Ok(Value::object(Span(self.micros() - other.micros())))
            }
            ("-", _, Some(span)) if self.kind != Kind::Clock => self.moved(-span.0),
            ("+", _, Some(span)) if self.kind != Kind::Clock => self.moved(span.0),
            _ => Err(refused()),
        }
    }

    fn moved(&self, micros: i128) -> Result<Value, String> {
        let micros = match self.kind {
            Kind::Day => micros.div_euclid(DAY) * DAY,
            _ => micros,
        };
        let out = |_| "date value out of range".to_owned();
        let span = i64::try_from(micros).map_err(|error| error.to_string())?;
        let span = jiff::Span::new()
            .try_microseconds(span)
            .map_err(|error| error.to_string())?;
        let at = self.at.checked_add(span).map_err(out)?;
        match at.year() {
            1..=9999 => Ok(Value::object(Self { at, ..self.clone() })),
            _ => Err("date value out of range".into()),
        }
    }
}

fn zone_name(seconds: i32) -> String {
    match seconds {
        0 => "UTC".to_owned(),
        _ => format!("UTC{}", colons(seconds)),
    }
}

fn method(owner: impl Object, name: &str) -> Value {
    Value::object(Method {
        owner: Value::object(owner),
        name: name.to_owned(),
    })
}

impl Object for Moment {
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Whole => "datetime",
            Kind::Day => "date",
            Kind::Clock => "time",
        }
    }
    fn long_name(&self) -> &'static str {
        match self.kind {
            Kind::Whole => "datetime.datetime",
            Kind::Day => "datetime.date",
            Kind::Clock => "datetime.time",
        }
    }
    fn attr(&self, name: &str) -> Option<Value> {
        let (day, clock) = (self.kind != Kind::Clock, self.kind != Kind::Day);
        Some(match name {
            "year" if day => Value::Int(self.at.year().into()),
            "month" if day => Value::Int(self.at.month().into()),
            "day" if day => Value::Int(self.at.day().into()),
            "hour" if clock => Value::Int(self.at.hour().into()),
            "minute" if clock => Value::Int(self.at.minute().into()),
            "second" if clock => Value::Int(self.at.second().into()),
            "microsecond" if clock => Value::Int(self.micro().into()),
            "fold" if clock => Value::Int(0),
            "tzinfo" if clock => self
                .zone
                .map_or(Value::None, |seconds| Value::object(Zone(seconds))),
            "strftime" | "isoformat" | "replace" => method(self.clone(), name),
            "weekday" | "isoweekday" | "isocalendar" | "ctime" | "toordinal" | "timetuple"
                if day =>
            {
                method(self.clone(), name)
            }
            "utcoffset" | "tzname" | "dst" if clock => method(self.clone(), name),
            "timestamp" | "date" | "time" | "astimezone" | "timetz" | "utctimetuple"
                if day && clock =>
            {
                method(self.clone(), name)
            }
            _ if name.starts_with("__op") => method(self.clone(), name),
            _ => return None,
        })
    }
    fn item(&self, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "__order__" => Some(Value::Int(self.micros())),
            "__aware__" if self.kind != Kind::Day => Some(Value::Bool(self.zone.is_some())),
            _ => None,
        }
    }
    fn repr(&self) -> String {
        let at = self.at;
        let mut parts = vec![];
        if self.kind != Kind::Clock {
            parts.extend([i32::from(at.year()), at.month().into(), at.day().into()]);
        }
        if self.kind != Kind::Day {
            parts.extend([i32::from(at.hour()), at.minute().into()]);
            if at.second() != 0 || self.micro() != 0 {
                parts.push(at.second().into());
            }
            if self.micro() != 0 {
                parts.push(self.micro());
            }
        }
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        let zone = self.zone.map_or_else(String::new, |seconds| {
            format!(", tzinfo={}", Zone(seconds).repr())
        });
        format!("{}({}{zone})", self.long_name(), parts.join(", "))
    }
    fn text(&self) -> String {
        self.iso(" ", "auto").unwrap_or_default()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Week {
    fn items(&self) -> Vec<Value> {
        self.0
            .iter()
            .map(|part| Value::Int((*part).into()))
            .collect()
    }
}

impl Object for Week {
    fn type_name(&self) -> &'static str {
        "IsoCalendarDate"
    }
    fn attr(&self, name: &str) -> Option<Value> {
        let at = ["year", "week", "weekday"]
            .iter()
            .position(|known| *known == name)?;
        Some(Value::Int(self.0[at].into()))
    }
    fn item(&self, key: &Value) -> Option<Value> {
        let Value::Int(at) = key else { return None };
        let at = if *at < 0 { at + 3 } else { *at };
        let part = self.0.get(usize::try_from(at).ok()?)?;
        Some(Value::Int((*part).into()))
    }
    fn iterate(&self) -> Option<Vec<Value>> {
        Some(self.items())
    }
    fn repr(&self) -> String {
        let [year, week, weekday] = self.0;
        format!("datetime.IsoCalendarDate(year={year}, week={week}, weekday={weekday})")
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Zone {
    fn type_name(&self) -> &'static str {
        "timezone"
    }
    fn storable(&self) -> bool {
        false
    }
    fn repr(&self) -> String {
        match self.0 {
            0 => "datetime.timezone.utc".to_owned(),
            seconds => format!(
                "datetime.timezone({})",
                Span(i128::from(seconds) * 1_000_000).repr()
            ),
        }
    }
    fn text(&self) -> String {
        zone_name(self.0)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Span {
    /// Days, seconds and microseconds; only the days may be negative.
    fn parts(&self) -> (i128, i128, i128) {
        let rest = self.0.rem_euclid(DAY);
        (self.0.div_euclid(DAY), rest / 1_000_000, rest % 1_000_000)
    }

    /// A sum, a product and so on.
    fn calculated(&self, op: &str, other: Option<&Value>) -> Result<Value, String> {
        let refused = || unsupported(op, "datetime.timedelta", other);
        let span = |micros: i128| Ok(Value::object(Self(micros)));
        if let Some(Value::Object(object)) = other {
            let any = object.as_any();
            return match (op, any.downcast_ref::<Self>(), any.downcast_ref::<Moment>()) {
                ("+", Some(other), _) => span(self.0 + other.0),
                ("-", Some(other), _) => span(self.0 - other.0),
                ("+", _, Some(moment)) if moment.kind != Kind::Clock => moment.moved(self.0),
                ("/" | "//" | "%", Some(Self(0)), _) => Err("division by zero".into()),
                ("/", Some(other), _) => Ok(Value::Float(self.0 as f64 / other.0 as f64)),
                ("//", Some(other), _) => Ok(Value::Int(floored(self.0, other.0))),
                ("%", Some(other), _) => span(self.0 - floored(self.0, other.0) * other.0),
                _ => Err(refused()),
            };
        }
        let Some(other) = other.and_then(number) else {
            return Err(refused());
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "spans are bounded by years"
        )]
        match (op, other) {
            ("*", Number::Int(times)) => span(self.0.saturating_mul(times)),
            ("*", Number::Float(times)) => span((self.0 as f64 * times).round_ties_even() as i128),
            ("/" | "//", Number::Int(0)) => Err("division by zero".into()),
            ("/", Number::Float(0.0)) => Err("division by zero".into()),
            ("/", other) => span((self.0 as f64 / other.float()).round_ties_even() as i128),
            ("//", Number::Int(other)) => span(floored(self.0, other)),
            _ => Err(refused()),
        }
    }
}

fn floored(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    quotient - i128::from(a % b != 0 && (a < 0) != (b < 0))
}

impl Object for Span {
    fn type_name(&self) -> &'static str {
        "timedelta"
    }
    fn long_name(&self) -> &'static str {
        "datetime.timedelta"
    }
    fn storable(&self) -> bool {
        false
    }
    fn truthy(&self) -> bool {
        self.0 != 0
    }
    fn attr(&self, name: &str) -> Option<Value> {
        let (days, seconds, micros) = self.parts();
        Some(match name {
            "days" => Value::Int(days),
            "seconds" => Value::Int(seconds),
            "microseconds" => Value::Int(micros),
            _ if name == "total_seconds" || name.starts_with("__op") => method(Self(self.0), name),
            _ => return None,
        })
    }
    fn item(&self, key: &Value) -> Option<Value> {
        (key.as_str() == Some("__order__")).then_some(Value::Int(self.0))
    }
    fn repr(&self) -> String {
        let (days, seconds, micros) = self.parts();
        let parts = [
            ("days", days),
            ("seconds", seconds),
            ("microseconds", micros),
        ];
        let parts = parts.iter().filter(|(_, count)| *count != 0);
        let parts: Vec<String> = parts
            .map(|(name, count)| format!("{name}={count}"))
            .collect();
        let parts = if parts.is_empty() {
            "0".to_owned()
        } else {
            parts.join(", ")
        };
        format!("datetime.timedelta({parts})")
    }
    fn text(&self) -> String {
        let (days, rest, micros) = self.parts();
        let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
        let clock = match micros {
            0 => clock,
            _ => format!("{clock}.{micros:06}"),
        };
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
        "builtin_function_or_method"
    }
    fn storable(&self) -> bool {
        false
    }
    fn call(&self, args: &[Value], kwargs: &[(String, Value)]) -> Option<Result<Value, String>> {
        let Value::Object(owner) = &self.owner else {
            return None;
        };
        if let Some(moment) = owner.as_any().downcast_ref::<Moment>() {
            return Some(moment.method(&self.name, args, kwargs));
        }
        let span = owner.as_any().downcast_ref::<Span>()?;
        Some(match self.name.strip_prefix("__op") {
            Some(op) => span.calculated(op, args.first()),
            None => Ok(Value::Float(span.0 as f64 / 1e6)),
        })
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
