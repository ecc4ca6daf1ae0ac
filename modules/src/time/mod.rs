//! Dates and times: the calendar, and the formats of `strftime` and `strptime`.
//!
//! A library for this would be a fifteenth of the agent, most of it messages about mistakes that no module
//! shows. What modules need is little: moments as text, texts as moments, and the machine's zone.

mod parse;
mod zone;

pub use self::parse::{parse, timestamp};
pub use self::zone::{Kind, Zone};

/// A day in seconds.
const DAY: i64 = 86_400;

/// The days of the week, Sunday first.
pub const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// The months of the year.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date and a time of day, without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year; 0 is the one before 1.
    pub year: i64,
    /// From 1 to 12.
    pub month: i64,
    /// From 1 to 31.
    pub day: i64,
    /// From 0 to 23.
    pub hour: i64,
    /// From 0 to 59.
    pub minute: i64,
    /// From 0 to 59.
    pub second: i64,
}

impl Civil {
    /// The date and time that are so many seconds after the beginning of 1970.
    #[must_use]
    pub fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Years begin with March here, so that the day that some have is the last one; 400 of them have
        // always as many days.
        let since = days + 719_468;
        let (era, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        Self {
            year: year + era * 400 + i64::from(month >= 10),
            month: if month < 10 { month + 3 } else { month - 9 },
            day: day - (153 * month + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// How many seconds after the beginning of 1970 it is.
    #[must_use]
    pub fn seconds(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
        let day = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        let days = era * 146_097 + year * 365 + year / 4 - year / 100 + day - 719_468;
        days * DAY + self.hour * 3600 + self.minute * 60 + self.second
    }

    /// Whether there is such a date and time.
    #[must_use]
    pub fn exists(self) -> bool {
        (1..=12).contains(&self.month) && Self::of(self.seconds()) == self
    }

    /// Midnight of a date.
    fn date(year: i64, month: i64, day: i64) -> Self {
        Self {
            year,
            month,
            day,
            hour: 0,
            minute: 0,
            second: 0,
        }
    }

    /// The day of the week, 0 is Sunday.
    fn weekday(self) -> i64 {
        (self.seconds().div_euclid(DAY) + 4).rem_euclid(7)
    }

    /// The day of the year, from 0.
    fn ordinal(self) -> i64 {
        (self.seconds() - Self::date(self.year, 1, 1).seconds()).div_euclid(DAY)
    }
}

/// Seconds since 1970 as whole microseconds.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "microseconds fit for 290,000 years, and then the number stays at its end"
)]
pub fn micros(seconds: f64) -> i64 {
    (seconds * 1e6) as i64
}

/// A moment as `strftime` writes it in UTC, `micros` after the beginning of 1970.
#[must_use]
pub fn utc(micros: i64, format: &str) -> String {
    local(&Zone::utc(), micros, format)
}

/// A moment as `strftime` writes it in a zone, `micros` after the beginning of 1970. `%f` are
/// microseconds; of the rest it knows what modules write.
#[must_use]
pub fn local(zone: &Zone, micros: i64, format: &str) -> String {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let kind = zone.at(seconds);
    let civil = Civil::of(seconds + kind.offset);
    let mut text = String::new();
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            text.push(sign);
            continue;
        }
        let two = |number: i64| format!("{number:02}");
        let name = |names: &[&str], index: i64| {
            let name = usize::try_from(index).ok().and_then(|at| names.get(at));
            name.map_or_else(String::new, |name| (*name).to_owned())
        };
        text += &match signs.next() {
            Some('Y') => format!("{:04}", civil.year),
            Some('m') => two(civil.month),
            Some('d') => two(civil.day),
            Some('H') => two(civil.hour),
            Some('M') => two(civil.minute),
            Some('S') => two(civil.second),
            Some('f') => format!("{micros:06}"),
            Some('A') => name(&WEEKDAYS, civil.weekday()),
            Some('a') => name(&WEEKDAYS, civil.weekday())[..3].to_owned(),
            Some('b') => name(&MONTHS, civil.month - 1)[..3].to_owned(),
            Some('w') => civil.weekday().to_string(),
            // Weeks begin on Monday; the days before the first one are in week 0.
            Some('W') => two((civil.ordinal() + 7 - (civil.weekday() + 6) % 7) / 7),
            Some('Z') => kind.name.clone(),
            Some('z') => {
                let minutes = kind.offset.abs() / 60;
                let sign = if kind.offset < 0 { '-' } else { '+' };
                format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            Some(other) => other.to_string(),
            None => String::new(),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_hundred_years() {
        for day in -75_000..75_000 {
            let civil = Civil::of(day * DAY + 3_723);
            assert_eq!(civil.seconds(), day * DAY + 3_723);
            let stamp = jiff::Timestamp::from_second(day * DAY + 3_723).unwrap();
            let other = stamp.to_zoned(jiff::tz::TimeZone::UTC);
            let format = "%Y-%m-%dT%H:%M:%S %A %a %b %w %W";
            assert_eq!(
                utc((day * DAY + 3_723) * 1_000_000, format),
                other.strftime(format).to_string()
            );
        }
    }

    #[test]
    fn dates_that_there_are_not() {
        assert!(Civil::date(2024, 2, 29).exists());
        for (year, month, day) in [
            (2023, 2, 29),
            (2024, 13, 1),
            (2024, 0, 1),
            (2024, 4, 31),
            (2024, 4, 0),
        ] {
            assert!(!Civil::date(year, month, day).exists());
        }
    }

    #[test]
    fn parts_of_a_second() {
        assert_eq!(utc(-1, "%Y %S.%f %Z %z"), "1969 59.999999 UTC +0000");
    }
}
