//! `timezone`: the time zone of the machine, and what its hardware clock shows.

use std::path::Path;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::attrs::{Sides, os_error_text};
use rplay_modules::machine::{Attrs, Change, Command, Content, FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Sets the time zone, through systemd where it runs, else in the files of Debian and its kin.
#[derive(ModuleArgs)]
struct Args {
    /// The time zone, as `Europe/Berlin`.
    name: Option<String>,
    /// Whether the hardware clock shows universal or local time.
    #[arg(alias = "rtc")]
    hwclock: Option<Clock>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Clock {
    #[arg(name = "local")]
    Local,
    #[arg(name = "UTC")]
    Utc,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done to files.
    msg: String,
}

module! {
    "community.general.timezone", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.timezone"],
    rules: Rules { required_one_of: &[&["hwclock", "name"]], ..Rules::NONE },
}

const ZONES: &str = "/usr/share/zoneinfo";
const LINK: &str = "/etc/localtime";
const NAME: &str = "/etc/timezone";
const ADJUST: &str = "/etc/adjtime";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if let Some(name) = &args.name {
        let zone = Path::new(ZONES).join(name);
        let is_file =
            matches!(machine.stat(&zone, true), Ok(Some(stat)) if stat.kind == FileKind::File);
        if !is_file || name.starts_with('/') || name.contains("..") {
            let text = format!("Error message:\ngiven timezone \"{name}\" is not available");
            return Err(Failure::new(text));
        }
    }
    let systemd = matches!(
        machine.stat(Path::new("/run/systemd/system"), true),
        Ok(Some(_))
    );
    let (mut sides, mut done) = (Sides::default(), Vec::new());
    if let Some(name) = &args.name {
        let old = zone(machine, systemd);
        if old.as_deref() != Some(name.as_str()) {
            sides.add(
                "name",
                old.unwrap_or_else(|| "n/a".to_owned()),
                name.as_str(),
            );
            match systemd {
                true => tell(machine, &["timedatectl", "set-timezone", name])?,
                false => done.push(write_zone(machine, name)?),
            }
            machine.assume(Change::Fact("timezone".to_owned(), Some(name.clone())));
        }
    }
    if let Some(clock) = args.hwclock {
        let old = clock_now(machine);
        if old != clock {
            sides.add("hwclock", old.word(), clock.word());
            let local = clock == Clock::Local;
            match systemd {
                true => tell(
                    machine,
                    &[
                        "timedatectl",
                        "set-local-rtc",
                        if local { "1" } else { "0" },
                    ],
                )?,
                false => {
                    let option = if local { "--localtime" } else { "--utc" };
                    tell(machine, &["hwclock", "--systohc", option])?;
                }
            }
            let fact = Change::Fact("hwclock".to_owned(), Some(clock.word().to_owned()));
            machine.assume(fact);
        }
    }
    let changed = !sides.after.is_empty();
    let outcome = Outcome::new(changed);
    if !changed {
        return Ok(outcome);
    }
    let outcome = outcome.with_diff(sides.diff());
    Ok(match done.is_empty() {
        true => outcome,
        false => outcome.with("msg", done.join("\n")),
    })
}

/// The name of the zone: with systemd what the link leads to, else what the file says, where the
/// link does not say otherwise.
fn zone(machine: &mut dyn Machine, systemd: bool) -> Option<String> {
    if let Some(name) = machine.assumed("timezone") {
        return Some(name);
    }
    let link = machine.read_link(Path::new(LINK)).ok();
    let linked = link.and_then(|target| {
        let text = target.to_string_lossy().into_owned();
        text.split_once("zoneinfo/")
            .map(|(_, name)| name.to_owned())
    });
    if systemd {
        return linked;
    }
    let file = machine.read(Path::new(NAME)).ok()?;
    let named = String::from_utf8_lossy(&file).trim().to_owned();
    match linked {
        Some(linked) if linked != named => None,
        _ => Some(named),
    }
}

/// What the hardware clock shows: the third line of a file that need not be there.
fn clock_now(machine: &mut dyn Machine) -> Clock {
    let known = machine.assumed("hwclock");
    let file = machine.read(Path::new(ADJUST)).unwrap_or_default();
    let text = String::from_utf8_lossy(&file).into_owned();
    match known.as_deref().or(text.lines().nth(2)) {
        Some("LOCAL" | "local") => Clock::Local,
        _ => Clock::Utc,
    }
}

fn tell(machine: &mut dyn Machine, words: &[&str]) -> Result<(), Failure> {
    let program = programs::required(machine, words[0])?;
    let mut argv = vec![program];
    argv.extend(words[1..].iter().map(|word| (*word).to_owned()));
    programs::must(machine, &Command::new(argv).c_locale())
}

/// Writes the files of a system without systemd.
fn write_zone(machine: &mut dyn Machine, name: &str) -> Result<String, Failure> {
    let fail = |error: std::io::Error| Failure::new(os_error_text(&error));
    let old = machine.read(Path::new(NAME)).unwrap_or_default();
    let old = String::from_utf8_lossy(&old).into_owned();
    let gone = old.lines().filter(|line| !line.trim().is_empty()).count();
    let text = format!("{name}\n");
    machine
        .write(
            Path::new(NAME),
            Content::Bytes(text.as_bytes()),
            &Attrs::default(),
        )
        .map_err(fail)?;
    machine
        .symlink(&Path::new(ZONES).join(name), Path::new(LINK))
        .map_err(fail)?;
    Ok(format!("Added 1 line and deleted {gone} line(s) on {NAME}"))
}
