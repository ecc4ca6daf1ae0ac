//! Times from text, read as Python's `strptime` reads them.

use jiff::civil::{Date, DateTime};
use rplay_modules::regex::{Captures, Flags};

use super::regex::compile;
use crate::template::value::Value;

/// A time that was read, and its distance from UTC in seconds.
pub(super) type Read = (DateTime, Option<i32>);

/// What a letter of a format fits.
fn piece(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => r"(?P<d>3[0-1]|[1-2]\d|0[1-9]|[1-9]| [1-9])",
        'f' => r"(?P<f>[0-9]{1,6})",
        'H' => r"(?P<H>2[0-3]|[0-1]\d|\d)",
        'I' => r"(?P<I>1[0-2]|0[1-9]|[1-9]| [1-9])",
        'G' => r"(?P<G>\d\d\d\d)",
        'j' => r"(?P<j>36[0-6]|3[0-5]\d|[1-2]\d\d|0[1-9]\d|00[1-9]|[1-9]\d|0[1-9]|[1-9])",
        'm' => r"(?P<m>1[0-2]|0[1-9]|[1-9])",
        'M' => r"(?P<M>[0-5]\d|\d)",
        'S' => r"(?P<S>6[0-1]|[0-5]\d|\d)",
        'U' => r"(?P<U>5[0-3]|[0-4]\d|\d)",
        'W' => r"(?P<W>5[0-3]|[0-4]\d|\d)",
        'w' => r"(?P<w>[0-6])",
        'u' => r"(?P<u>[1-7])",
        'V' => r"(?P<V>5[0-3]|0[1-9]|[1-4]\d|\d)",
        'y' => r"(?P<y>\d\d)",
        'Y' => r"(?P<Y>\d\d\d\d)",
        'z' => r"(?P<z>[+-]\d\d:?[0-5]\d(:?[0-5]\d(\.\d{1,6})?)?|(?-i:Z))",
        'A' => "(?P<A>wednesday|thursday|saturday|tuesday|monday|friday|sunday)",
        'a' => "(?P<a>mon|tue|wed|thu|fri|sat|sun)",
        'B' => {
            "(?P<B>september|february|november|december|january|october|august|march|april|june|july|may)"
        }
        'b' => "(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
        'p' => "(?P<p>am|pm)",
        'Z' => "(?P<Z>utc|gmt)",
        '%' => "%",
        _ => return None,
    })
}

/// The regular expression that a format stands for.
fn pattern(format: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {
                while chars.next_if(|next| next.is_whitespace()).is_some() {}
                out.push_str(r"\s+");
            }
            '%' => {
                let Some(letter) = chars.next() else {
                    return Err(format!("stray % in format '{format}'"));
                };
                match letter {
                    'c' => out.push_str(&pattern("%a %b %d %H:%M:%S %Y")?),
                    'x' => out.push_str(&pattern("%m/%d/%y")?),
                    'X' => out.push_str(&pattern("%H:%M:%S")?),
                    _ => out.push_str(piece(letter).ok_or_else(|| {
                        format!("'{letter}' is a bad directive in format '{format}'")
                    })?),
                }
            }
            c if r"\.^$*+?(){}[]|".contains(c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Reads a time.
pub(super) fn parse(text: &str, format: &str) -> Result<Read, String> {
    let regex = compile(
        &format!("(?:{})", pattern(format)?),
        Flags {
            ignore_case: true,
            ..Flags::default()
        },
    )
    .map_err(|fault| fault.inner())?;
    let found = regex.captures(text).map_err(|_| "too long".to_owned())?;
    let found = found.filter(|found| found.range(0).is_some_and(|range| range.start == 0));
    let Some(found) = found else {
        return Err(format!(
            "time data {} does not match format {}",
            Value::str(text).repr(),
            Value::str(format).repr()
        ));
    };
    let end = found.range(0).map_or(0, |range| range.end);
    if end < text.len() {
        return Err(format!("unconverted data remains: {}", &text[end..]));
    }
    Parts { found }.read()
}

struct Parts<'t> {
    found: Captures<'t>,
}

impl Parts<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let group = self.found.number(name)?;
        self.found.get(group)
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.text(name)?.trim().parse().ok()
    }

    fn read(&self) -> Result<Read, String> {
        let hour = match (self.number("I"), self.text("p")) {
            (Some(hour), Some(half)) if half.eq_ignore_ascii_case("pm") => hour % 12 + 12,
            (Some(hour), Some(_)) => hour % 12,
            (Some(12), None) => 0,
            (Some(hour), None) => hour,
            (None, _) => self.number("H").unwrap_or(0),
        };
        let second = self.number("S").unwrap_or(0);
        let micro: i32 = self
            .text("f")
            .and_then(|digits| format!("{digits:0<6}").parse().ok())
            .unwrap_or(0);
        let date = self.date()?;
        if second > 59 {
            return Err("second must be in 0..59".into());
        }
        let small = |number: i32| i8::try_from(number).unwrap_or(0);
        let minute = self.number("M").unwrap_or(0);
        let at = date.at(small(hour), small(minute), small(second), micro * 1000);
        Ok((at, self.text("z").map(seconds_of)))
    }

    /// The day of the week from Monday on.
    fn weekday(&self) -> Option<i32> {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let named = self.text("A").or_else(|| self.text("a"));
        let named = named.and_then(|name| {
            let name = name.to_lowercase();
            DAYS.iter().position(|day| name.starts_with(day))
        });
        let counted = || self.number("w").map(|day| (day + 6) % 7);
        let iso = || self.number("u").map(|day| day - 1);
        named
            .and_then(|day| i32::try_from(day).ok())
            .or_else(counted)
            .or_else(iso)
    }

    fn month(&self) -> Option<i32> {
        const MONTHS: [&str; 12] = [
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ];
        let named = self.text("B").or_else(|| self.text("b"))?;
        let named = named.to_lowercase();
        let at = MONTHS.iter().position(|month| named.starts_with(month))?;
        i32::try_from(at + 1).ok()
    }

    fn date(&self) -> Result<Date, String> {
        let year = self.number("Y").or_else(|| {
            let year = self.number("y")?;
            Some(if year <= 68 { year + 2000 } else { year + 1900 })
        });
        self.iso_problem(year.is_some())?;
        let (weekday, julian) = (self.weekday(), self.number("j"));
        let known = year.unwrap_or(1900);
        let week = match (self.number("U"), self.number("W")) {
            (Some(week), _) => Some((week, true)),
            (_, Some(week)) => Some((week, false)),
            _ => None,
        };
        let julian = match (julian, weekday, week) {
            (Some(day), ..) => Some(day),
            (None, Some(weekday), Some((week, sunday))) if year.is_some() => {
                Some(day_of(known, week, weekday, sunday)?)
            }
            _ => None,
        };
        if let (Some(iso), Some(week), Some(weekday)) =
            (self.number("G"), self.number("V"), weekday)
        {
            return iso_date(iso, week, weekday);
        }
        if let Some(julian) = julian {
            let first = date(known, 1, 1)?;
            return first
                .checked_add(jiff::Span::new().days(julian - 1))
                .map_err(|_| "date value out of range".to_owned());
        }
        let month = self.month().or_else(|| self.number("m")).unwrap_or(1);
        date(known, month, self.number("d").unwrap_or(1))
    }

    /// What of ISO weeks does not go together.
    fn iso_problem(&self, year: bool) -> Result<(), String> {
        const DAY: &str = "('%A', '%a', '%w', or '%u')";
        let (iso, week) = (self.text("G").is_some(), self.text("V").is_some());
        let (weekday, julian) = (self.weekday().is_some(), self.text("j").is_some());
        let problem = if iso && julian {
            "Day of the year directive '%j' is not compatible with ISO year directive '%G'. Use '%Y' instead."
                .to_owned()
        } else if iso && (!week || !weekday) {
            format!(
                "ISO year directive '%G' must be used with the ISO week directive '%V' and a weekday directive {DAY}."
            )
        } else if week && !iso && (!year || !weekday) {
            format!(
                "ISO week directive '%V' must be used with the ISO year directive '%G' and a weekday directive {DAY}."
            )
        } else if week && !iso {
            "ISO week directive '%V' is incompatible with the year directive '%Y'. Use the ISO year '%G' instead."
                .to_owned()
        } else {
            return Ok(());
        };
        Err(problem)
    }
}

/// A day that there is.
pub(super) fn date(year: i32, month: i32, day: i32) -> Result<Date, String> {
    let small = |number: i32| i8::try_from(number).unwrap_or(-1);
    if !(1..=9999).contains(&year) {
        return Err(format!("year {year} is out of range"));
    }
    if !(1..=12).contains(&month) {
        return Err("month must be in 1..12".into());
    }
    Date::new(i16::try_from(year).unwrap_or(0), small(month), small(day))
        .map_err(|_| "day is out of range for month".to_owned())
}

/// The day of the year that a week and a day of it are.
fn day_of(year: i32, week: i32, weekday: i32, sunday: bool) -> Result<i32, String> {
    let first = i32::from(date(year, 1, 1)?.weekday().to_monday_zero_offset());
    let (first, weekday) = match sunday {
        true => ((first + 1) % 7, (weekday + 1) % 7),
        false => (first, weekday),
    };
    let before = (7 - first) % 7;
    Ok(match week {
        0 => 1 + weekday - first,
        _ => 1 + before + 7 * (week - 1) + weekday,
    })
}

fn iso_date(year: i32, week: i32, weekday: i32) -> Result<Date, String> {
    let small = |number: i32| i8::try_from(number).unwrap_or(0);
    let day = jiff::civil::Weekday::from_monday_zero_offset(small(weekday));
    let day = day.map_err(|error| error.to_string())?;
    let year = i16::try_from(year).unwrap_or(0);
    jiff::civil::ISOWeekDate::new(year, small(week), day)
        .map(|date| date.date())
        .map_err(|_| format!("Invalid week: {week}"))
}

/// The seconds that a distance from UTC writes.
fn seconds_of(text: &str) -> i32 {
    if text.eq_ignore_ascii_case("z") {
        return 0;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let part = |from: usize| {
        let part = digits.get(from..from + 2);
        part.and_then(|part| part.parse::<i32>().ok()).unwrap_or(0)
    };
    let seconds = part(0) * 3600 + part(2) * 60 + part(4);
    if text.starts_with('-') {
        -seconds
    } else {
        seconds
    }
}
