//! Time zones: files of the zone database, and rules as the variable `TZ` has them.

use std::path::Path;

use super::{Civil, DAY};
use crate::machine::Machine;

/// Where systems keep the zone database.
const DATABASE: &str = "/usr/share/zoneinfo";

/// The clocks of a place.
#[derive(Clone, Debug)]
pub struct Zone {
    /// When clocks were put to another kind of time, in order, and to which.
    changes: Vec<(i64, usize)>,
    kinds: Vec<Kind>,
    /// What holds after the last change.
    rule: Option<Rule>,
}

/// A kind of time: a zone's standard or summer time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Seconds east of UTC.
    pub offset: i64,
    /// Whether it is summer time.
    pub summer: bool,
    /// Its short name, such as `CEST`.
    pub name: String,
}

/// Standard time, and the time of summer with its beginning and end.
#[derive(Clone, Debug)]
struct Rule {
    standard: Kind,
    summer: Option<(Kind, Change, Change)>,
}

/// A day of every year, and the seconds after its local midnight.
#[derive(Clone, Copy, Debug)]
struct Change {
    day: Day,
    time: i64,
}

#[derive(Clone, Copy, Debug)]
enum Day {
    /// `Mm.w.d`: the weekday of a week of a month, the fifth is the last.
    Week(i64, i64, i64),
    /// `Jn`: from 1, without February 29.
    Counted(i64),
    /// `n`: from 0.
    Ordinal(i64),
}

impl Zone {
    /// Universal time.
    #[must_use]
    pub fn utc() -> Self {
        let kind = Kind {
            offset: 0,
            summer: false,
            name: "UTC".to_owned(),
        };
        Self {
            changes: Vec::new(),
            kinds: vec![kind],
            rule: None,
        }
    }

    /// The zone of a machine: what `TZ` says, else its own. UTC where they say nothing.
    pub fn of(machine: &mut dyn Machine) -> Self {
        let env = machine.process().env;
        let name = env.into_iter().find(|(name, _)| name == "TZ");
        let mut file = |path: &Path| Self::read(&machine.read(path).ok()?);
        let found = match name {
            None => file(Path::new("/etc/localtime")),
            Some((_, name)) if name.is_empty() => None,
            Some((_, name)) => {
                let name = name.strip_prefix(':').unwrap_or(&name);
                file(&Path::new(DATABASE).join(name)).or_else(|| Self::ruled(name))
            }
        };
        found.unwrap_or_else(Self::utc)
    }

    /// A zone that only has a rule, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn ruled(text: &str) -> Option<Self> {
        let rule = Rule::parse(text)?;
        Some(Self {
            changes: Vec::new(),
            kinds: vec![rule.standard.clone()],
            rule: Some(rule),
        })
    }

    /// A file of the database (RFC 9636). The numbers of its first version have four bytes, and are
    /// repeated with eight.
    fn read(bytes: &[u8]) -> Option<Self> {
        let first = Counts::of(bytes)?;
        let (bytes, counts, width) = match *bytes.get(4)? {
            0 => (bytes, first, 4),
            _ => {
                let rest = bytes.get(HEADER + first.length(4)?..)?;
                (rest, Counts::of(rest)?, 8)
            }
        };
        let body = bytes.get(HEADER..)?;
        let (times, rest) = body.split_at_checked(counts.times.checked_mul(width)?)?;
        let (indexes, rest) = rest.split_at_checked(counts.times)?;
        let (kinds, rest) = rest.split_at_checked(counts.kinds.checked_mul(6)?)?;
        let names = rest.get(..counts.names)?;
        let kinds = kinds
            .chunks_exact(6)
            .map(|kind| {
                let name = names.get(usize::from(kind[5])..)?;
                let name = name.split(|byte| *byte == 0).next()?;
                Some(Kind {
                    offset: number(&kind[..4]),
                    summer: kind[4] != 0,
                    name: String::from_utf8_lossy(name).into_owned(),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let times = times.chunks_exact(width).map(number);
        let changes: Vec<_> = times
            .zip(indexes.iter().copied().map(usize::from))
            .collect();
        if kinds.is_empty() || changes.iter().any(|(_, kind)| *kind >= kinds.len()) {
            return None;
        }
        let footer = (width == 8)
            .then(|| body.get(counts.length(8)?..))
            .flatten();
        let rule = footer
            .and_then(|footer| std::str::from_utf8(footer).ok())
            .and_then(|footer| Rule::parse(footer.trim_matches('\n')));
        Some(Self {
            changes,
            kinds,
            rule,
        })
    }

    /// The kind of time at a moment.
    #[must_use]
    pub fn at(&self, seconds: i64) -> &Kind {
        let past = self.changes.partition_point(|(time, _)| *time <= seconds);
        let last = past == self.changes.len();
        match (&self.rule, past.checked_sub(1)) {
            (Some(rule), _) if last => rule.at(seconds),
            (_, Some(index)) => &self.kinds[self.changes[index].1],
            _ => {
                let standard = self.kinds.iter().find(|kind| !kind.summer);
                standard.unwrap_or(&self.kinds[0])
            }
        }
    }

    /// The moment at which clocks show a time: the earlier one where they show it twice, and what a
    /// clock that nobody had changed would show where they skip it.
    #[must_use]
    pub fn seconds(&self, civil: Civil) -> i64 {
        let shown = civil.seconds();
        let [before, after] = [-DAY, DAY].map(|days| shown - self.at(shown + days).offset);
        let shows = |moment: i64| moment + self.at(moment).offset == shown;
        if !shows(before) && shows(after) {
            after
        } else {
            before
        }
    }

    /// The kinds of time that clocks are put to after a moment, the next two.
    #[must_use]
    pub fn following(&self, seconds: i64) -> Vec<&Kind> {
        let changes = self.changes.iter().filter(|(time, _)| *time > seconds);
        let mut kinds: Vec<_> = changes.map(|(_, kind)| &self.kinds[*kind]).collect();
        let last = self.changes.last().map_or(i64::MIN, |(time, _)| *time);
        if let Some(rule) = &self.rule {
            let year = Civil::of(seconds.max(last)).year;
            let ruled = (year..year + 3).flat_map(|year| rule.changes(year));
            let later = ruled.filter(|(time, _)| *time > seconds.max(last));
            kinds.extend(later.map(|(_, kind)| kind));
        }
        kinds.truncate(2);
        kinds
    }
}

/// How long the head of a file of the database is.
const HEADER: usize = 44;

/// What a head counts.
struct Counts {
    utc: usize,
    standard: usize,
    leaps: usize,
    times: usize,
    kinds: usize,
    names: usize,
}

impl Counts {
    fn of(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEADER)?;
        let counts = head.strip_prefix(b"TZif")?.get(16..)?;
        let count = |index: usize| usize::try_from(number(&counts[index * 4..][..4])).ok();
        Some(Self {
            utc: count(0)?,
            standard: count(1)?,
            leaps: count(2)?,
            times: count(3)?,
            kinds: count(4)?,
            names: count(5)?,
        })
    }

    /// The bytes of what is counted, with numbers of `width`.
    fn length(&self, width: usize) -> Option<usize> {
        [
            (self.times, width + 1),
            (self.kinds, 6),
            (self.names, 1),
            (self.leaps, width + 4),
            (self.standard, 1),
            (self.utc, 1),
        ]
        .into_iter()
        .try_fold(0_usize, |sum, (count, size)| {
            sum.checked_add(count.checked_mul(size)?)
        })
    }
}

/// A signed number, its highest byte first.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|byte| *byte >= 128) {
        -1
    } else {
        0
    };
    bytes
        .iter()
        .fold(sign, |number, byte| number << 8 | i64::from(*byte))
}

impl Rule {
    /// `NAME OFFSET [NAME [OFFSET] [,BEGIN,END]]` without the spaces.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let standard = Kind {
            name: name(&mut rest)?,
            offset: -clock(&mut rest)?,
            summer: false,
        };
        if rest.is_empty() {
            let summer = None;
            return Some(Self { standard, summer });
        }
        let name = name(&mut rest)?;
        let offset = match rest.is_empty() || rest.starts_with(',') {
            true => standard.offset + 3600,
            false => -clock(&mut rest)?,
        };
        if rest.is_empty() {
            // POSIX leaves open when summer is; libraries take the rule of the United States.
            rest = ",M3.2.0,M11.1.0";
        }
        let begin = Change::parse(&mut rest)?;
        let end = Change::parse(&mut rest)?;
        let kind = Kind {
            name,
            offset,
            summer: true,
        };
        rest.is_empty().then_some(Self {
            standard,
            summer: Some((kind, begin, end)),
        })
    }

    fn at(&self, seconds: i64) -> &Kind {
        let Some((kind, begin, end)) = &self.summer else {
            return &self.standard;
        };
        let year = Civil::of(seconds + self.standard.offset).year;
        let begin = begin.seconds(year) - self.standard.offset;
        let end = end.seconds(year) - kind.offset;
        let summer = match begin < end {
            true => (begin..end).contains(&seconds),
            // In the south a year begins and ends in summer.
            false => !(end..begin).contains(&seconds),
        };
        if summer { kind } else { &self.standard }
    }

    /// The changes of a year, in order.
    fn changes(&self, year: i64) -> Vec<(i64, &Kind)> {
        let Some((kind, begin, end)) = &self.summer else {
            return Vec::new();
        };
        let mut changes = vec![
            (begin.seconds(year) - self.standard.offset, kind),
            (end.seconds(year) - kind.offset, &self.standard),
        ];
        crate::order::sort_by(&mut changes, |one, other| one.0.cmp(&other.0));
        changes
    }
}

impl Change {
    /// `,DAY[/TIME]`.
    fn parse(rest: &mut &str) -> Option<Self> {
        *rest = rest.strip_prefix(',')?;
        let day = if skip(rest, 'M') {
            let month = digits(rest)?;
            let week = skip(rest, '.').then(|| digits(rest)).flatten()?;
            let weekday = skip(rest, '.').then(|| digits(rest)).flatten()?;
            Day::Week(month, week, weekday)
        } else if skip(rest, 'J') {
            Day::Counted(digits(rest)?)
        } else {
            Day::Ordinal(digits(rest)?)
        };
        let time = match skip(rest, '/') {
            true => clock(rest)?,
            false => 2 * 3600,
        };
        let good = match day {
            Day::Week(month, week, weekday) => {
                (1..=12).contains(&month) && (1..=5).contains(&week) && weekday < 7
            }
            Day::Counted(day) => (1..=365).contains(&day),
            Day::Ordinal(day) => day < 366,
        };
        good.then_some(Self { day, time })
    }

    /// When it is in a year, in seconds of the local clock.
    fn seconds(self, year: i64) -> i64 {
        let january = Civil::date(year, 1, 1);
        let days = match self.day {
            Day::Week(month, week, weekday) => {
                let first = Civil::date(year, month, 1);
                let day = 1 + (weekday - first.weekday()).rem_euclid(7) + 7 * (week - 1);
                let date = Civil::date(year, month, day);
                let date = if date.exists() {
                    date
                } else {
                    Civil::date(year, month, day - 7)
                };
                return date.seconds() + self.time;
            }
            Day::Counted(day) => {
                day - 1 + i64::from(day >= 60 && Civil::date(year, 2, 29).exists())
            }
            Day::Ordinal(day) => day,
        };
        january.seconds() + days * DAY + self.time
    }
}

/// Takes a sign that may stand there.
fn skip(rest: &mut &str, sign: char) -> bool {
    match rest.strip_prefix(sign) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

/// Takes a name: letters, or anything within `<` and `>`.
fn name(rest: &mut &str) -> Option<String> {
    let (name, after) = match rest.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?,
        None => {
            let end = rest.find(|sign: char| !sign.is_ascii_alphabetic());
            rest.split_at(end.unwrap_or(rest.len()))
        }
    };
    *rest = after;
    (name.len() >= 3).then(|| name.to_owned())
}

/// Takes `[+-]HH[:MM[:SS]]`, in seconds.
fn clock(rest: &mut &str) -> Option<i64> {
    let negative = skip(rest, '-');
    if !negative {
        skip(rest, '+');
    }
    let mut seconds = digits(rest)? * 3600;
    for unit in [60, 1] {
        if skip(rest, ':') {
            seconds += digits(rest)? * unit;
        }
    }
    Some(if negative { -seconds } else { seconds })
}

/// Takes a number of up to three digits.
fn digits(rest: &mut &str) -> Option<i64> {
    let end = rest.find(|sign: char| !sign.is_ascii_digit());
    let (digits, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    (digits.len() <= 3).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a zone with what another implementation makes of the same.
    fn agrees(ours: &Zone, other: &jiff::tz::TimeZone, what: &str) {
        // Steps of a prime number of seconds over two hundred years.
        for step in -25_000..35_000 {
            let moment = step * 106_033;
            let stamp = jiff::Timestamp::from_second(moment).unwrap();
            let (kind, info) = (ours.at(moment), other.to_offset_info(stamp));
            assert_eq!(
                kind.offset,
                i64::from(info.offset().seconds()),
                "{what} {moment}"
            );
            assert_eq!(kind.name, info.abbreviation(), "{what} {moment}");
            assert_eq!(kind.summer, info.dst().is_dst(), "{what} {moment}");
            let civil = Civil::of(moment);
            let text = super::super::utc(moment * 1_000_000, "%Y-%m-%dT%H:%M:%S");
            let zoned = text.parse::<jiff::civil::DateTime>().unwrap();
            let zoned = zoned.to_zoned(other.clone()).unwrap();
            assert_eq!(
                ours.seconds(civil),
                zoned.timestamp().as_second(),
                "{what} {text}"
            );
        }
    }

    #[test]
    fn zones_of_the_database() {
        for name in [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Perth",
            "Australia/Sydney",
            "Asia/Kathmandu",
            "America/St_Johns",
            "Europe/Dublin",
            "Etc/UTC",
        ] {
            let Ok(bytes) = std::fs::read(Path::new(DATABASE).join(name)) else {
                continue;
            };
            let ours = Zone::read(&bytes).unwrap();
            agrees(
                &ours,
                &jiff::tz::TimeZone::tzif(name, &bytes).unwrap(),
                name,
            );
        }
    }

    #[test]
    fn rules() {
        for rule in [
            "UTC0",
            "<+0545>-5:45",
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "EST5EDT,M3.2.0,M11.1.0",
            "AEST-10AEDT,M10.1.0,M4.1.0/3",
            "XXX3YYY,J60/1,J300",
            "XXX3YYY2:30,59,364/-1",
        ] {
            let ours = Zone::ruled(rule).unwrap();
            agrees(&ours, &jiff::tz::TimeZone::posix(rule).unwrap(), rule);
        }
        for wrong in [
            "",
            "UT",
            "UTC",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,M13.5.0,M10.5.0",
            "CET-1 ",
        ] {
            assert!(Zone::ruled(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_next_changes() {
        let zone = Zone::ruled("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let names = |seconds| {
            let kinds = zone.following(seconds).into_iter();
            kinds.map(|kind| kind.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names(1_700_000_000), ["CEST", "CET"]);
        assert_eq!(names(1_720_000_000), ["CET", "CEST"]);
    }

    #[test]
    fn files_that_are_cut_off() {
        let Ok(bytes) = std::fs::read(Path::new(DATABASE).join("Europe/Berlin")) else {
            return;
        };
        for end in 0..bytes.len() {
            let _ = Zone::read(&bytes[..end]);
        }
    }
}
