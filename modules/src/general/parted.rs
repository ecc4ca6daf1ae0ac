//! `parted`: partitions of a disk.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Command, Machine, Output};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::quote;

use crate::builtin::programs;

/// Tells, makes, resizes and removes partitions of a disk with `parted`.
#[derive(ModuleArgs)]
struct Args {
    /// The disk, or a file.
    device: String,
    /// How new partitions are aligned.
    #[arg(default = "optimal")]
    align: Align,
    /// The number of the partition.
    number: Option<i64>,
    /// The unit of places and sizes.
    #[arg(
        default = "KiB",
        choices = "B, KB, MB, GB, TB, KiB, MiB, GiB, TiB, s, %, cyl, chs, compact"
    )]
    unit: String,
    /// Tell the unit as it is written here, not in small letters.
    #[arg(default = "false")]
    unit_preserve_case: bool,
    /// The kind of partition table; another one takes all partitions with it.
    #[arg(
        default = "msdos",
        choices = "aix, amiga, bsd, dvh, gpt, loop, mac, msdos, pc98, sun"
    )]
    label: String,
    /// The kind of partition, for `msdos` and `dvh`.
    #[arg(default = "primary", choices = "extended, logical, primary")]
    part_type: String,
    /// Where it begins.
    #[arg(default = "0%")]
    part_start: String,
    /// Where it ends.
    #[arg(default = "100%")]
    part_end: String,
    /// Its name.
    name: Option<String>,
    /// Its flags; others are taken away.
    flags: Option<Vec<String>>,
    /// Whether it is there; `info` only tells.
    #[arg(default = "info")]
    state: State,
    /// The kind of file system that a new one is for.
    fs_type: Option<String>,
    /// Let its end become `part_end`.
    #[arg(default = "false")]
    resize: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Align {
    Cylinder,
    Minimal,
    None,
    Optimal,
    Undefined,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Present,
    Info,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The disk.
    disk: Map,
    /// Its partitions.
    partitions: Vec<Map>,
    /// What `parted` was told.
    script: Vec<String>,
}

module! {
    "community.general.parted", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.parted"],
    rules: Rules {
        required_if: &[
            ("state", "present", &["number"], false),
            ("state", "absent", &["number"], false),
        ],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let program = programs::required(machine, "parted")?;
    let number = args.number.unwrap_or(0);
    if args.state != State::Info && number < 1 {
        return Err(Failure::new("The partition number must be greater then 0."));
    }
    for place in [&args.part_start, &args.part_end] {
        if args.state == State::Present && size(place.trim_start_matches('-')).is_none() {
            return Err(Failure::new(format!(
                "Error interpreting parted size output: '{place}'"
            )));
        }
    }
    let parted = Parted {
        program,
        args: &args,
    };
    let mut disk = parted.look(machine)?;
    let mut script: Vec<String> = vec![];
    match args.state {
        State::Info => script = words(&["unit", &args.unit, "print"]),
        State::Absent => {
            if disk.find(number).is_some() {
                script = words(&["rm", &number.to_string()]);
                disk = parted.change(machine, &script, disk)?;
            }
        }
        State::Present => {
            let make = parted.made(&disk, number);
            if !make.is_empty() {
                script.extend(make.iter().cloned());
                disk = parted.change(machine, &make, disk)?;
            }
            // In check mode there is no partition that could be asked.
            if disk.find(number).is_some() {
                let more = parted.formed(&disk, number);
                if !more.is_empty() {
                    script.extend(more.iter().cloned());
                    disk = parted.change(machine, &more, disk)?;
                }
            }
        }
    }
    let changed = args.state != State::Info && !script.is_empty();
    Ok(Outcome::new(changed)
        .with("disk", disk.about)
        .with(
            "partitions",
            Data::List(disk.partitions.into_iter().map(Data::Map).collect()),
        )
        .with("script", script))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A disk with its partitions.
#[derive(Clone)]
struct Disk {
    about: Map,
    partitions: Vec<Map>,
}

impl Disk {
    fn find(&self, number: i64) -> Option<&Map> {
        let has = |map: &&Map| map.get("num") == Some(&Data::from(number));
        self.partitions.iter().find(has)
    }
}

struct Parted<'a> {
    program: String,
    args: &'a Args,
}

impl Parted<'_> {
    /// What is on the disk; one without a table has no partitions.
    fn look(&self, machine: &mut dyn Machine) -> Result<Disk, Failure> {
        let (device, unit) = (self.args.device.as_str(), self.args.unit.as_str());
        let argv = [
            &self.program,
            "-s",
            "-m",
            device,
            "--",
            "unit",
            unit,
            "print",
        ];
        let output = programs::ask(machine, argv)?;
        let unlabelled = output.stderr_text().contains("unrecognised disk label");
        if output.code != 0 && !unlabelled {
            let line = format!("{} -s -m {device} -- unit {unit} print", self.program);
            return Err(self.failed(
                &format!("Error while getting device information with parted script: '{line}'"),
                &output,
            ));
        }
        self.read(&output.stdout_text())
    }

    fn failed(&self, msg: &str, output: &Output) -> Failure {
        Failure::new(msg)
            .with("rc", output.code)
            .with("out", output.stdout_text())
            .with("err", output.stderr_text())
    }

    /// What `parted -m` prints: fields between colons, a line for the disk, one for each partition.
    fn read(&self, text: &str) -> Result<Disk, Failure> {
        let lines: Vec<&str> = text
            .lines()
            .map(|line| line.trim_end_matches(';'))
            .collect();
        let chs = self.args.unit == "chs";
        let odd =
            |text: &str| Failure::new(format!("Error interpreting parted size output: '{text}'"));
        let begin = lines
            .iter()
            .position(|line| matches!(*line, "BYT" | "CHS" | "CYL"));
        let Some(rest) = begin.and_then(|at| lines.get(at + 1..)) else {
            return Err(odd(text));
        };
        let Some((first, mut rest)) = rest.split_first() else {
            return Err(odd(text));
        };
        let field = |line: &str, at: usize| line.split(':').nth(at).unwrap_or_default().to_owned();
        let whole = field(first, 1);
        let (_, found) = size(&whole).ok_or_else(|| odd(&whole)).or_else(|error| {
            if chs {
                Ok((0.0, "chs".to_owned()))
            } else {
                Err(error)
            }
        })?;
        let unit = match self.args.unit.as_str() {
            "compact" => found,
            unit => unit.to_owned(),
        };
        let unit = if self.args.unit_preserve_case {
            unit
        } else {
            unit.to_lowercase()
        };
        let place = |text: &str| -> Result<Data, Failure> {
            if chs {
                return Ok(triple(text));
            }
            Ok(Data::Float(size(text).ok_or_else(|| odd(text))?.0))
        };
        let number = |text: String| Data::from(text.parse::<i64>().unwrap_or(0));
        let mut about = map! {
            "dev" => field(first, 0), "size" => place(&whole)?, "unit" => unit.as_str(),
            "table" => field(first, 5), "model" => field(first, 6),
            "logical_block" => number(field(first, 3)), "physical_block" => number(field(first, 4)),
        };
        if matches!(self.args.unit.as_str(), "chs" | "cyl") {
            let line = rest.first().copied().unwrap_or_default();
            let (size, size_unit) = size(&field(line, 3)).unwrap_or((0.0, String::new()));
            // `kB` is what is called `KB` among the units.
            let size_unit = size_unit.replace("kB", "KB");
            about.insert(
                "chs_info".to_owned(),
                Data::Map(map! {
                    "cylinders" => number(field(line, 0)), "heads" => number(field(line, 1)),
                    "sectors" => number(field(line, 2)), "cyl_size" => Data::Float(size),
                    "cyl_size_unit" => if self.args.unit_preserve_case { size_unit } else { size_unit.to_lowercase() },
                }),
            );
            rest = rest.get(1..).unwrap_or_default();
        }
        let mut partitions = vec![];
        for line in rest.iter().filter(|line| line.contains(':')) {
            // Without its size a partition has a field less.
            let (size_field, more) = if chs {
                (String::new(), 3)
            } else {
                (field(line, 3), 4)
            };
            let flags = field(line, more + 2);
            let flags: Vec<&str> = flags.split(", ").filter(|flag| !flag.is_empty()).collect();
            partitions.push(map! {
                "num" => number(field(line, 0)), "begin" => place(&field(line, 1))?,
                "end" => place(&field(line, 2))?,
                "size" => if chs { Data::from("") } else { place(&size_field)? },
                "fstype" => field(line, more), "name" => field(line, more + 1),
                "flags" => Data::from(flags), "unit" => unit.as_str(),
            });
        }
        Ok(Disk { about, partitions })
    }

    /// The words that make the partition, and the table before it.
    fn made(&self, disk: &Disk, number: i64) -> Vec<String> {
        let args = self.args;
        let mut script = vec![];
        let table = disk.about.get("table").map(Data::text).unwrap_or_default();
        if table != args.label {
            script.extend(words(&["mklabel", &args.label]));
        }
        if table != args.label || disk.find(number).is_none() {
            script.extend(words(&["mkpart"]));
            script.push(args.part_type.clone());
            script.extend(args.fs_type.clone());
            script.extend([args.part_start.clone(), args.part_end.clone()]);
        } else if args.resize {
            let number = number.to_string();
            return words(&["resizepart", &number, &args.part_end]);
        }
        if !script.is_empty() {
            script.splice(0..0, words(&["unit", &args.unit]));
        }
        script
    }

    /// The words that give it its name and flags.
    fn formed(&self, disk: &Disk, number: i64) -> Vec<String> {
        let (args, number_text) = (self.args, number.to_string());
        let Some(partition) = disk.find(number) else {
            return vec![];
        };
        let mut script = vec![];
        if let Some(name) = &args.name
            && partition.get("name").map(Data::text).as_ref() != Some(name)
        {
            script.extend(words(&["name", &number_text, &format!("\"{name}\"")]));
        }
        if let Some(flags) = &args.flags {
            let now: Vec<String> = match partition.get("flags") {
                Some(Data::List(all)) => all.iter().map(Data::text).collect(),
                _ => vec![],
            };
            for flag in flags.iter().filter(|flag| !now.contains(flag)) {
                script.extend(words(&["set", &number_text, flag, "on"]));
            }
            for flag in now.iter().filter(|flag| !flags.contains(flag)) {
                // These two mean the same on some tables.
                let implied =
                    |one: &str, other: &str| flag == one && flags.iter().any(|flag| flag == other);
                if !implied("esp", "boot") && !implied("boot", "esp") {
                    script.extend(words(&["set", &number_text, flag, "off"]));
                }
            }
        }
        if !script.is_empty() {
            script.splice(0..0, words(&["unit", &args.unit]));
        }
        script
    }

    /// Has `parted` do it; what is on the disk then.
    fn change(
        &self,
        machine: &mut dyn Machine,
        script: &[String],
        disk: Disk,
    ) -> Result<Disk, Failure> {
        let mut argv = words(&[&self.program, "-s", "-f", "-m"]);
        if !has_option(machine, &self.program)? {
            argv.remove(2);
        }
        if self.args.align != Align::Undefined {
            argv.extend(words(&["-a", self.args.align.word()]));
        }
        argv.extend(words(&[&self.args.device, "--"]));
        // `parted` takes the quotes itself: a name may have blanks.
        argv.extend(script.iter().cloned());
        match programs::change(machine, &Command::new(argv.clone()).c_locale())? {
            Some(output) if output.code != 0 => {
                let plain = |word: &String| match word.starts_with('"') {
                    true => word.clone(),
                    false => quote(word),
                };
                let line: Vec<String> = argv
                    .iter()
                    .map(|word| {
                        if word == "--" {
                            word.clone()
                        } else {
                            plain(word)
                        }
                    })
                    .collect();
                let msg = format!("Error while running parted script: {}", line.join(" "));
                Err(self.failed(&msg, &output))
            }
            Some(_) => self.look(machine),
            None => Ok(disk),
        }
    }
}

/// Whether `parted` knows `-f`, which lets it mend a table first.
fn has_option(machine: &mut dyn Machine, program: &str) -> Result<bool, Failure> {
    let output = programs::ask(machine, [program, "-h"])?;
    Ok(output.stdout_text().contains("--fix"))
}

/// A number and its unit.
fn size(text: &str) -> Option<(f64, String)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    Some((number.parse().ok()?, unit.to_owned()))
}

/// Cylinder, head and sector.
fn triple(text: &str) -> Data {
    let mut numbers = text.split(',').map(|part| part.parse::<i64>().unwrap_or(0));
    let mut next = || Data::from(numbers.next().unwrap_or(0));
    Data::Map(map! { "cylinder" => next(), "head" => next(), "sector" => next() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("20480kiB"), Some((20480.0, "kiB".to_owned())));
        assert_eq!(size("12.5%"), Some((12.5, "%".to_owned())));
        assert_eq!(size("odd"), None);
    }
}
