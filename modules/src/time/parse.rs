//! Texts as dates and times, as Python's `time.strptime` reads them.

use super::{Civil, MONTHS, WEEKDAYS};

/// The date and time that a text has by a format; nothing if it does not match, or has no date.
#[must_use]
pub fn parse(format: &str, text: &str) -> Option<Civil> {
    let mut parts = Parts {
        rest: text,
        ..Parts::default()
    };
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        if sign == '%' {
            parts.take(signs.next()?)?;
        } else if sign.is_whitespace() {
            parts.rest = parts.rest.trim_start();
        } else {
            parts.rest = parts.rest.strip_prefix(sign)?;
        }
    }
    parts.rest.is_empty().then(|| parts.civil()).flatten()
}

/// A moment of RFC 3339, `2024-02-29T12:05:07.5+01:00`, in seconds since 1970.
#[must_use]
pub fn timestamp(text: &str) -> Option<i64> {
    let (civil, mut rest) = text.split_at_checked(19)?;
    let format = match civil.as_bytes()[10] {
        b't' => "%Y-%m-%dt%H:%M:%S",
        b' ' => "%Y-%m-%d %H:%M:%S",
        _ => "%Y-%m-%dT%H:%M:%S",
    };
    let seconds = parse(format, civil)?.seconds();
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|sign: char| sign.is_ascii_digit());
    }
    if matches!(rest, "Z" | "z") {
        return Some(seconds);
    }
    let east = rest.starts_with('+');
    let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
    let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    Some(if east {
        seconds - offset
    } else {
        seconds + offset
    })
}

/// What has been read so far.
#[derive(Default)]
struct Parts<'a> {
    rest: &'a str,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    /// The day of the year, from 1.
    ordinal: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    /// Whether the hour is one of twelve, and of those after noon.
    half: Option<bool>,
}

impl Parts<'_> {
    fn take(&mut self, directive: char) -> Option<()> {
        match directive {
            'Y' => self.year = Some(self.number(4, 4, 9999)?),
            'y' => {
                let year = self.number(2, 2, 99)?;
                self.year = Some(year + if year < 69 { 2000 } else { 1900 });
            }
            'm' => self.month = Some(self.number(1, 2, 12)?),
            'd' | 'e' => {
                self.rest = self.rest.strip_prefix(' ').unwrap_or(self.rest);
                self.day = Some(self.number(1, 2, 31)?);
            }
            'j' => self.ordinal = Some(self.number(1, 3, 366)?),
            'H' => self.hour = self.number(1, 2, 23)?,
            'I' => {
                self.hour = self.number(1, 2, 12)?;
                self.half = self.half.or(Some(false));
            }
            'M' => self.minute = self.number(1, 2, 59)?,
            // A minute may have a leap second, which no clock here shows.
            'S' => self.second = self.number(1, 2, 61)?.min(59),
            'f' => {
                self.number(1, 6, 999_999)?;
            }
            'p' => {
                let after = self.name(&["AM", "PM"], 2)? == 1;
                self.half = Some(after);
            }
            'b' | 'h' => self.month = Some(self.name(&MONTHS, 3)? + 1),
            'B' => self.month = Some(self.name(&MONTHS, usize::MAX)? + 1),
            'a' => {
                self.name(&WEEKDAYS, 3)?;
            }
            'A' => {
                self.name(&WEEKDAYS, usize::MAX)?;
            }
            'Z' => {
                let letters = |sign: char| !sign.is_ascii_alphabetic();
                let end = self.rest.find(letters).unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            }
            'z' => self.offset()?,
            'F' => self.all("%Y-%m-%d")?,
            'T' => self.all("%H:%M:%S")?,
            'D' => self.all("%m/%d/%y")?,
            'R' => self.all("%H:%M")?,
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    /// Takes directives that another one stands for, and what is between them.
    fn all(&mut self, format: &str) -> Option<()> {
        let mut signs = format.chars();
        while let Some(sign) = signs.next() {
            match sign {
                '%' => self.take(signs.next()?)?,
                _ => self.rest = self.rest.strip_prefix(sign)?,
            }
        }
        Some(())
    }

    /// Takes a number; of two digits only the first, where both would be too much.
    fn number(&mut self, least: usize, most: usize, limit: i64) -> Option<i64> {
        let digits = self.rest.bytes().take(most);
        let count = digits.take_while(u8::is_ascii_digit).count();
        for count in (least..=count).rev() {
            let (digits, rest) = self.rest.split_at(count);
            let number: i64 = digits.parse().ok()?;
            if number <= limit {
                self.rest = rest;
                return Some(number);
            }
        }
        None
    }

    /// Takes one of several names, or their first letters, in any case; its index.
    fn name(&mut self, names: &[&str], letters: usize) -> Option<i64> {
        let found = names.iter().position(|name| {
            let name = &name[..name.len().min(letters)];
            let start = self.rest.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        })?;
        self.rest = &self.rest[names[found].len().min(letters)..];
        i64::try_from(found).ok()
    }

    /// Takes `Z` or `±HH[:]MM`. As in Python the time is a local one all the same.
    fn offset(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        self.number(2, 2, 23)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        self.number(2, 2, 59)?;
        Some(())
    }

    fn civil(&self) -> Option<Civil> {
        let hour = match self.half {
            None => self.hour,
            Some(_) if self.hour == 0 => return None,
            Some(after) => self.hour % 12 + if after { 12 } else { 0 },
        };
        let (month, day) = match (self.month, self.day, self.ordinal) {
            (Some(month), Some(day), _) => (month, day),
            (None, None, Some(ordinal)) => {
                let first = Civil::date(self.year?, 1, 1);
                let date = Civil::of(first.seconds() + (ordinal - 1) * super::DAY);
                (date.year == first.year).then_some((date.month, date.day))?
            }
            _ => return None,
        };
        let civil = Civil {
            hour,
            minute: self.minute,
            second: self.second,
            ..Civil::date(self.year?, month, day)
        };
        civil.exists().then_some(civil)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        for text in [
            "2024-02-29T12:05:07Z",
            "2024-02-29T12:05:07.123456789Z",
            "2024-02-29T12:05:07+01:00",
            "2024-02-29 12:05:07.5-11:30",
            "2024-02-30T12:05:07Z",
            "2024-02-29T12:05:07",
            "soon",
        ] {
            let other = text.parse::<jiff::Timestamp>().ok();
            assert_eq!(
                timestamp(text),
                other.map(jiff::Timestamp::as_second),
                "{text}"
            );
        }
    }

    #[test]
    fn as_another_implementation_reads_them() {
        for (format, text) in [
            ("%Y%m%d%H%M.%S", "202402291205.07"),
            ("%Y%m%d%H%M.%S", "202302291205.07"),
            ("%Y%m%d%H%M.%S", "2024022912"),
            ("%Y-%m-%d", "2024-2-9"),
            ("%Y-%m-%d", "2024-02-09 "),
            ("%d %b %Y %I:%M %p", "01 jan 1999 12:30 am"),
            ("%d %B %Y %I:%M %p", "1 December 1999 12:30 PM"),
            ("%a %b %d %H:%M:%S %Y", "Sat Nov 21 23:16:47 2026"),
            ("%A, %F %T", "Saturday, 2026-11-21 23:16:47"),
            ("%y/%j", "24/060"),
            ("%H:%M", "10:11"),
            ("%Q", "1"),
            ("100%% %Y-%m-%d", "100% 2024-05-06"),
        ] {
            let read = jiff::fmt::strtime::parse(format, text);
            let other = read.ok().and_then(|read| {
                let time = read.to_time().unwrap_or(jiff::civil::Time::midnight());
                let date = read.to_date().ok()?.to_datetime(time);
                let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
                Some(zoned.timestamp().as_second())
            });
            assert_eq!(
                parse(format, text).map(Civil::seconds),
                other,
                "{format} {text}"
            );
        }
    }
}
