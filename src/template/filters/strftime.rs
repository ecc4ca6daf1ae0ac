//! Times as text: the C library's `strftime` with its flags and widths, in the locale `C`.

use std::fmt::Write as _;

use jiff::civil::DateTime;
use rplay_modules::time::{MONTHS, WEEKDAYS};

/// A time to be written.
pub(super) struct Written<'a> {
    /// What the clock shows.
    pub(super) at: DateTime,
    /// The distance from UTC, in seconds, and the name of the zone.
    pub(super) zone: Option<(i32, &'a str)>,
    /// Seconds since 1970.
    pub(super) epoch: i64,
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Spec {
    /// `_`, `-` or `0`.
    pad: Option<char>,
    upper: bool,
    change: bool,
    width: usize,
    /// `E` or `O`.
    modifier: Option<char>,
}

/// Writes a time as the format says; what the C library does not know stays as it is.
pub(super) fn format(time: &Written<'_>, format: &str) -> String {
    let mut out = String::with_capacity(format.len() * 2);
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        if let (Some(after), Some((seconds, _))) = (rest.strip_prefix("%:z"), time.zone) {
            out.push_str(&colons(seconds));
            rest = after;
            continue;
        }
        let (spec, length) = Spec::read(rest);
        let Some(letter) = rest[length..].chars().next() else {
            out.push_str(rest);
            return out;
        };
        let length = length + letter.len_utf8();
        // Python writes these three itself, if they stand without flags.
        match (length, letter) {
            (2, 'f') => {
                let _ = write!(out, "{:06}", time.at.subsec_nanosecond() / 1000);
            }
            (2, 'z') => out.push_str(
                &time
                    .zone
                    .map_or_else(String::new, |(of, _)| colons(of).replace(':', "")),
            ),
            (2, 'Z') => out.push_str(time.zone.map_or("", |(_, name)| name)),
            _ => out.push_str(&spec.write(time, letter, &rest[..length])),
        }
        rest = &rest[length..];
    }
    out + rest
}

/// A distance from UTC: `+02:00`, with seconds if it has some.
pub(super) fn colons(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.abs();
    let text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    match seconds % 60 {
        0 => text,
        rest => format!("{text}:{rest:02}"),
    }
}

impl Spec {
    /// What follows a `%`, and how long it is with it.
    fn read(text: &str) -> (Self, usize) {
        let (mut spec, mut at) = (Self::default(), 1);
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'_' | b'-' | b'0' => spec.pad = Some(char::from(*byte)),
                b'^' => spec.upper = true,
                b'#' => spec.change = true,
                _ => break,
            }
            at += 1;
        }
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            // Nobody wants more; the text has to stay small.
            spec.width = (spec.width * 10 + usize::from(digit - b'0')).min(10_000);
            at += 1;
        }
        if let Some(byte @ (b'E' | b'O')) = bytes.get(at)
            && at + 1 < bytes.len()
        {
            spec.modifier = Some(char::from(*byte));
            at += 1;
        }
        (spec, at)
    }

    /// A flat table of the letters.
    fn write(&self, time: &Written<'_>, letter: char, whole: &str) -> String {
        let at = time.at;
        let (weekday, day_of_year) = (
            i32::from(at.weekday().to_sunday_zero_offset()),
            i32::from(at.date().day_of_year()),
        );
        let iso = at.date().iso_week_date();
        let hour = i64::from(at.hour());
        let twelve = (hour + 11) % 12 + 1;
        let half = if hour < 12 { "AM" } else { "PM" };
        let inner = |format_: &str| self.padded(&self.cased(format(time, format_), false));
        let day = WEEKDAYS[usize::try_from(weekday).unwrap_or(0)];
        let month = MONTHS[usize::try_from(at.month() - 1).unwrap_or(0)];
        if !self.fits(letter) {
            return self.padded(&self.cased(whole.to_owned(), false));
        }
        match letter {
            'a' => self.padded(&self.cased(day[..3].to_owned(), true)),
            'A' => self.padded(&self.cased(day.to_owned(), true)),
            'b' | 'h' => self.padded(&self.cased(month[..3].to_owned(), true)),
            'B' => self.padded(&self.cased(month.to_owned(), true)),
            'c' => inner("%a %b %e %H:%M:%S %Y"),
            'C' => self.number(i64::from(at.year()).div_euclid(100), 2),
            'd' => self.number(at.day().into(), 2),
            'D' | 'x' => inner("%m/%d/%y"),
            'e' => self.spaced(at.day().into()),
            'F' => inner("%Y-%m-%d"),
            'g' => self.number(i64::from(iso.year()).rem_euclid(100), 2),
            'G' => self.number(iso.year().into(), 1),
            'H' => self.number(hour, 2),
            'I' => self.number(twelve, 2),
            'j' => self.number(day_of_year.into(), 3),
            'k' => self.spaced(hour),
            'l' => self.spaced(twelve),
            'm' => self.number(at.month().into(), 2),
            'M' => self.number(at.minute().into(), 2),
            'n' => self.padded("\n"),
            'p' if self.change => self.padded(&half.to_lowercase()),
            'p' => self.padded(&self.cased(half.to_owned(), false)),
            'P' => self.padded(&half.to_lowercase()),
            'r' => inner("%I:%M:%S %p"),
            'R' => inner("%H:%M"),
            's' if self.pad.is_none() => self.padded(&time.epoch.to_string()),
            's' => self.number(time.epoch, 1),
            'S' => self.number(at.second().into(), 2),
            't' => self.padded("\t"),
            'T' | 'X' => inner("%H:%M:%S"),
            'u' => self.number(((weekday + 6) % 7 + 1).into(), 1),
            'U' => self.number(((day_of_year - 1 - weekday + 7) / 7).into(), 2),
            'V' => self.number(iso.week().into(), 2),
            'w' => self.number(weekday.into(), 1),
            'W' => self.number(((day_of_year - 1 - (weekday + 6) % 7 + 7) / 7).into(), 2),
            'y' => self.number(i64::from(at.year()).rem_euclid(100), 2),
            'Y' => self.number(at.year().into(), 1),
            // The C library gets no zone from Python.
            'z' => String::new(),
            'Z' => self.padded(""),
            '%' => self.padded("%"),
            _ => self.padded(&self.cased(whole.to_owned(), false)),
        }
    }

    /// Whether a letter takes the modifier.
    fn fits(&self, letter: char) -> bool {
        let refused = match self.modifier {
            None => return true,
            Some('E') => "aAbBhdDeFgGHIjklmMSUVwW",
            Some(_) => "aAcDFxXY",
        };
        !refused.contains(letter)
    }

    fn cased(&self, text: String, name: bool) -> String {
        match self.upper || (name && self.change) {
            true => text.to_uppercase(),
            false => text,
        }
    }

    /// At least as wide as asked.
    fn padded(&self, text: &str) -> String {
        let fill = if self.pad == Some('0') { "0" } else { " " };
        let missing = self.width.saturating_sub(text.chars().count());
        fill.repeat(missing) + text
    }

    /// A number of so many digits.
    fn number(&self, number: i64, digits: usize) -> String {
        let text = number.unsigned_abs().to_string();
        let sign = if number < 0 { "-" } else { "" };
        let missing = digits
            .max(self.width)
            .saturating_sub(text.len() + sign.len());
        match self.pad {
            Some('-') => self.padded(&format!("{sign}{text}")),
            Some('_') => format!("{}{sign}{text}", " ".repeat(missing)),
            _ => format!("{sign}{}{text}", "0".repeat(missing)),
        }
    }

    /// A number of two digits, whose first may be a space.
    fn spaced(&self, number: i64) -> String {
        let pad = self.pad.or(Some('_'));
        let width = self.width;
        Self {
            pad,
            width,
            ..Self::default()
        }
        .number(number, 2)
    }
}
