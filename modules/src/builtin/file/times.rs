//! Access and modification times.

use std::path::Path;

use rplay_modules::data::Data;
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::{Sides, failed_at, os_error, os_error_text, seconds};
use rplay_modules::outcome::Failure;
use rplay_modules::time::{self, Zone};

use super::Args;

/// A time in seconds and nanoseconds since 1970.
type Stamp = (i64, u32);

/// The times that a path should have.
pub(super) struct Times {
    modification: Wanted,
    access: Wanted,
}

enum Wanted {
    Preserve,
    Now,
    At(Stamp),
}

impl Times {
    /// Reads the arguments; `default` is what they mean when they are not given.
    pub(super) fn of(
        machine: &mut dyn Machine,
        args: &Args,
        default: &str,
    ) -> Result<Self, Failure> {
        let mut wanted = |text: &Option<String>, format| {
            Wanted::parse(machine, text.as_deref().unwrap_or(default), format)
        };
        Ok(Self {
            modification: wanted(&args.modification_time, &args.modification_time_format)?,
            access: wanted(&args.access_time, &args.access_time_format)?,
        })
    }

    /// Makes the times what they should be; returns whether something changed.
    pub(super) fn ensure(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        if matches!(
            (&self.modification, &self.access),
            (Wanted::Preserve, Wanted::Preserve)
        ) {
            return Ok(false);
        }
        let Some(stat) = machine
            .stat(path, true)
            .map_err(|error| os_error(&error, path))?
        else {
            return Ok(false);
        };
        let now = machine.now();
        let mtime = self.modification.differing(stat.mtime, now);
        let atime = self.access.differing(stat.atime, now);
        for (name, before, after) in [("mtime", stat.mtime, mtime), ("atime", stat.atime, atime)] {
            if let Some(after) = after {
                sides.add(name, seconds(before), seconds(after));
            }
        }
        if (mtime, atime) == (None, None) {
            return Ok(false);
        }
        machine.set_times(path, atime, mtime).map_err(|error| {
            let message = format!(
                "Error while updating modification or access time: {}",
                os_error_text(&error)
            );
            failed_at(machine, path, message.into())
        })?;
        Ok(true)
    }
}

impl Wanted {
    fn parse(machine: &mut dyn Machine, text: &str, format: &str) -> Result<Self, Failure> {
        match text {
            "preserve" => Ok(Self::Preserve),
            "now" => Ok(Self::Now),
            _ => match local_seconds(machine, text, format) {
                Some(seconds) => Ok(Self::At((seconds, 0))),
                None => {
                    let (data, shape) = (Data::from(text).repr(), Data::from(format).repr());
                    Err(format!(
                        "Error while obtaining timestamp for time {text} using format {format}: \
                         time data {data} does not match format {shape}"
                    )
                    .into())
                }
            },
        }
    }

    /// The new time, where it is another one.
    fn differing(&self, old: Stamp, now: f64) -> Option<Stamp> {
        let wanted = match self {
            Self::Preserve => return None,
            Self::At(stamp) => *stamp,
            Self::Now => {
                let now = std::time::Duration::from_secs_f64(now.max(0.0));
                (
                    i64::try_from(now.as_secs()).unwrap_or(0),
                    now.subsec_nanos(),
                )
            }
        };
        (matches!(self, Self::Now) || wanted != old).then_some(wanted)
    }
}

/// A time of the machine's time zone; parts that the format does not have are those of midnight.
fn local_seconds(machine: &mut dyn Machine, text: &str, format: &str) -> Option<i64> {
    Some(Zone::of(machine).seconds(time::parse(format, text)?))
}
