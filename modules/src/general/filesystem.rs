//! `filesystem`: file systems made, grown and wiped.

use std::path::PathBuf;

use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::{Change, Command, FileKind, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::split_words;

use crate::builtin::programs;

/// Makes a file system on a device or in a file, lets it grow, or wipes it.
#[derive(ModuleArgs)]
struct Args {
    /// Whether there is a file system.
    #[arg(default = "present")]
    state: State,
    /// The kind.
    #[arg(alias = "type")]
    fstype: Option<Kind>,
    /// The device, or a file.
    #[arg(alias = "device")]
    dev: PathBuf,
    /// Make it although there is another one.
    #[arg(default = "false")]
    force: bool,
    /// Let it grow when the device is larger: ext2, ext3, ext4, xfs, btrfs and lvm can.
    #[arg(default = "false")]
    resizefs: bool,
    /// Options for making it.
    opts: Option<String>,
    /// Its name, when it is made.
    label: Option<String>,
    /// Its UUID, or `random`, `time`, `generate`, `clear` and the like, as the tools take it.
    uuid: Option<String>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bcachefs,
    Btrfs,
    Ext2,
    Ext3,
    Ext4,
    Ext4dev,
    F2fs,
    Lvm,
    Ocfs2,
    Reiserfs,
    Xfs,
    Vfat,
    Swap,
    Ufs,
    Gfs2,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What the tool said of the growth, or of the UUID.
    msg: String,
}

module! {
    "community.general.filesystem", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.filesystem"],
    rules: Rules {
        required_if: &[("state", "present", &["fstype"], false)],
        mutually_exclusive: &[&["resizefs", "uuid"]],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let dev = args.dev.to_string_lossy().into_owned();
    let Ok(Some(stat)) = machine.stat(&args.dev, true) else {
        let text = format!("Device {dev} not found.");
        return match args.state {
            State::Present => Err(Failure::new(text)),
            State::Absent => Ok(Outcome::unchanged().with("msg", text)),
        };
    };
    let now = found(machine, &dev)?;
    let Some(kind) = args.fstype.filter(|_| args.state == State::Present) else {
        if now.is_empty() {
            return Ok(Outcome::unchanged());
        }
        let program = programs::required(machine, "wipefs")?;
        programs::must(
            machine,
            &Command::new([program.as_str(), "--all", &dev]).c_locale(),
        )?;
        assume(machine, &dev, "");
        return Ok(Outcome::new(true));
    };
    if kind == Kind::Ufs {
        return Err(Failure::new(
            "fstype ufs is one of FreeBSD; rplay knows Linux",
        ));
    }
    let tool = Tool { kind, dev: &dev };
    if args.label.is_some() && tool.label().is_none() {
        return Err(unsupported("label", kind));
    }
    if args.uuid.is_some() && tool.uuid_change("").is_none() && tool.uuid_option().is_none() {
        return Err(unsupported("UUID", kind));
    }
    let same = now == tool.signature();
    if same && !args.force {
        if let Some(uuid) = &args.uuid {
            let Some(words) = tool.uuid_change(uuid) else {
                return Err(unsupported("changing UUID", kind));
            };
            let key = format!("filesystem-uuid:{dev}");
            let now = match machine.assumed(&key) {
                Some(known) => known,
                None => asked_of(machine, &dev, "UUID")?,
            };
            if now.eq_ignore_ascii_case(uuid) {
                return Ok(Outcome::unchanged());
            }
            let outcome = told(machine, &words, "")?;
            machine.assume(Change::Fact(key, Some(uuid.clone())));
            return Ok(outcome);
        }
        return match args.resizefs {
            true => grow(machine, &tool, stat.kind == FileKind::File),
            false => Ok(Outcome::unchanged()),
        };
    }
    if !now.is_empty() && !args.force {
        let text = format!("'{dev}' is already used as {now}, use force=true to overwrite");
        return Err(Failure::new(text).with("rc", 0).with("err", ""));
    }
    let mut argv = tool.make(machine, &args)?;
    argv.extend(split_words(args.opts.as_deref().unwrap_or_default())?);
    argv.push(dev.clone());
    programs::must(machine, &Command::new(argv).c_locale())?;
    if let Some(uuid) = args.uuid.as_ref().filter(|_| tool.uuid_option().is_none())
        && let Some(words) = tool.uuid_change(uuid)
    {
        told(machine, &words, "")?;
    }
    assume(machine, &dev, tool.signature());
    Ok(Outcome::new(true))
}

fn unsupported(what: &str, kind: Kind) -> Failure {
    let kind = kind.word();
    Failure::new(format!(
        "module does not support {what} option for this filesystem ({kind}) yet."
    ))
}

/// The kind of file system on a device; empty for none.
fn found(machine: &mut dyn Machine, dev: &str) -> Result<String, Failure> {
    if let Some(known) = machine.assumed(&format!("filesystem:{dev}")) {
        return Ok(known);
    }
    asked_of(machine, dev, "TYPE")
}

/// What `blkid` knows of a device.
fn asked_of(machine: &mut dyn Machine, dev: &str, what: &str) -> Result<String, Failure> {
    let blkid = programs::required(machine, "blkid")?;
    let argv = [&blkid, "-c", "/dev/null", "-o", "value", "-s", what, dev];
    let output = programs::ask(machine, argv)?;
    Ok(output.stdout_text().trim().to_owned())
}

fn assume(machine: &mut dyn Machine, dev: &str, kind: &str) {
    let key = format!("filesystem:{dev}");
    machine.assume(Change::Fact(key, Some(kind.to_owned())));
}

/// A change whose tool tells of it; in check mode `otherwise`.
fn told(machine: &mut dyn Machine, words: &[String], otherwise: &str) -> Result<Outcome, Failure> {
    let mut argv = words.to_vec();
    argv[0] = programs::required(machine, &argv[0])?;
    let command = Command::new(argv).c_locale();
    match programs::change(machine, &command)? {
        Some(output) if output.code != 0 => Err(programs::refused(&command, &output)),
        Some(output) => {
            let text = output.stdout_text();
            Ok(Outcome::new(true).with("msg", text))
        }
        None if otherwise.is_empty() => Ok(Outcome::new(true)),
        None => Ok(Outcome::new(true).with("msg", otherwise)),
    }
}

/// A file system of a kind on a device.
struct Tool<'a> {
    kind: Kind,
    dev: &'a str,
}

impl Tool<'_> {
    fn is_ext(&self) -> bool {
        matches!(
            self.kind,
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Ext4dev
        )
    }

    /// The kind as `blkid` calls it.
    fn signature(&self) -> &'static str {
        match self.kind {
            Kind::Lvm => "LVM2_member",
            kind => kind.word(),
        }
    }

    /// The name in messages.
    fn title(&self) -> String {
        let word = self.kind.word();
        match self.kind {
            Kind::Xfs | Kind::Lvm => word.to_uppercase(),
            _ => format!("{}{}", word[..1].to_uppercase(), &word[1..]),
        }
    }

    fn label(&self) -> Option<&'static str> {
        match self.kind {
            _ if self.is_ext() => Some("-L"),
            Kind::Bcachefs | Kind::Btrfs | Kind::Xfs | Kind::Ocfs2 | Kind::Swap => Some("-L"),
            Kind::F2fs | Kind::Reiserfs => Some("-l"),
            Kind::Vfat => Some("-n"),
            _ => None,
        }
    }

    /// The option that gives a UUID when the file system is made.
    fn uuid_option(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Bcachefs | Kind::Btrfs | Kind::Ocfs2 | Kind::Gfs2 => Some("-U"),
            Kind::Reiserfs => Some("-u"),
            _ => None,
        }
    }

    /// The command that changes the UUID.
    fn uuid_change(&self, uuid: &str) -> Option<Vec<String>> {
        let words: &[&str] = match self.kind {
            _ if self.is_ext() => &["tune2fs", "-U", uuid, self.dev],
            Kind::Xfs => &["xfs_admin", "-U", uuid, self.dev],
            Kind::Reiserfs => &["reiserfstune", "-u", uuid, self.dev],
            Kind::Gfs2 => &["tunegfs2", "-U", uuid, self.dev],
            Kind::Lvm => &["pvchange", "-u", self.dev],
            _ => return None,
        };
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn make(&self, machine: &mut dyn Machine, args: &Args) -> Result<Vec<String>, Failure> {
        let (program, flags): (String, &[&str]) = match self.kind {
            Kind::Swap => ("mkswap".to_owned(), &["-f"]),
            Kind::Lvm => ("pvcreate".to_owned(), &["-f"]),
            Kind::Ocfs2 => ("mkfs.ocfs2".to_owned(), &["-Fx"]),
            kind => {
                let flags: &[&str] = match kind {
                    _ if self.is_ext() => &["-F"],
                    Kind::Bcachefs => &["--force"],
                    Kind::Btrfs | Kind::Xfs | Kind::F2fs => &["-f"],
                    Kind::Reiserfs => &["-q"],
                    Kind::Gfs2 => &["-O"],
                    _ => &[],
                };
                (format!("mkfs.{}", kind.word()), flags)
            }
        };
        let mut argv = vec![programs::required(machine, &program)?];
        argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if let (Some(flag), Some(label)) = (self.label(), &args.label) {
            argv.extend([flag.to_owned(), label.clone()]);
        }
        if let (Some(flag), Some(uuid)) = (self.uuid_option(), &args.uuid) {
            argv.extend([flag.to_owned(), uuid.clone()]);
        }
        Ok(argv)
    }
}

/// Lets a file system grow where its device is larger.
fn grow(machine: &mut dyn Machine, tool: &Tool<'_>, file: bool) -> Result<Outcome, Failure> {
    let dev = tool.dev;
    let mounted = mount_point(machine, dev);
    let needs_mount = matches!(tool.kind, Kind::Xfs | Kind::Btrfs);
    if needs_mount && mounted.is_none() {
        let text = format!("{dev} needs to be mounted for xfs operations");
        let text = text.replace("xfs", tool.kind.word());
        return Err(Failure::new(text));
    }
    let place = mounted.as_deref().unwrap_or(dev);
    let whole = size_of_device(machine, dev, file)?;
    let used = match tool.kind {
        _ if tool.is_ext() => {
            let text = asked(machine, "dumpe2fs", &["-h", dev])?;
            product(&text, ("Block count:", 1), ("Block size:", 1))
        }
        Kind::Xfs => {
            let text = asked(machine, "xfs_info", &[place])?;
            xfs_size(&text)
        }
        Kind::Btrfs => {
            let text = asked(machine, "btrfs", &["filesystem", "show", "--raw", dev])?;
            let size = |line: &str| line.split_once(" size ")?.1.split(' ').next()?.parse().ok();
            text.lines().find_map(size)
        }
        Kind::Lvm => {
            let text = asked(
                machine,
                "pvs",
                &[
                    "--noheadings",
                    "--nosuffix",
                    "--units",
                    "b",
                    "-o",
                    "pv_size",
                    dev,
                ],
            )?;
            text.trim().parse().ok()
        }
        kind => {
            let kind = kind.word();
            let text = format!("module does not support resizing {kind} filesystem yet");
            return Err(Failure::new(text));
        }
    };
    let title = tool.title();
    if used.is_some_and(|used| used >= whole) {
        let text = format!("{title} filesystem is using the whole device {dev}");
        return Ok(Outcome::unchanged().with("msg", text));
    }
    let words: &[&str] = match tool.kind {
        _ if tool.is_ext() => &["resize2fs", dev],
        Kind::Xfs => &["xfs_growfs", place],
        Kind::Btrfs => &["btrfs", "filesystem", "resize", "max", place],
        _ => &["pvresize", dev],
    };
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    told(
        machine,
        &words,
        &format!("resizing filesystem {title} on device {dev}"),
    )
}

fn asked(machine: &mut dyn Machine, program: &str, words: &[&str]) -> Result<String, Failure> {
    let mut argv = vec![programs::required(machine, program)?];
    argv.extend(words.iter().map(|word| (*word).to_owned()));
    let command = Command::new(argv).c_locale();
    let output = programs::query(machine, &command)?;
    match output.code {
        0 => Ok(output.stdout_text()),
        _ => Err(programs::refused(&command, &output)),
    }
}

/// Where a device is mounted.
fn mount_point(machine: &mut dyn Machine, dev: &str) -> Option<String> {
    let mounts = machine.read("/proc/self/mounts".as_ref()).ok()?;
    let text = String::from_utf8_lossy(&mounts);
    let point = |line: &str| {
        let mut words = line.split(' ');
        (words.next() == Some(dev)).then(|| words.next().unwrap_or_default().to_owned())
    };
    text.lines().find_map(point)
}

fn size_of_device(machine: &mut dyn Machine, dev: &str, file: bool) -> Result<u64, Failure> {
    if file {
        let stat = machine.stat(dev.as_ref(), true).ok().flatten();
        return Ok(stat.map_or(0, |stat| stat.size));
    }
    let text = asked(machine, "blockdev", &["--getsize64", dev])?;
    Ok(text.trim().parse().unwrap_or(0))
}

/// The product of two numbers that stand behind their names.
fn product(text: &str, one: (&str, u64), other: (&str, u64)) -> Option<u64> {
    let number = |(name, factor): (&str, u64)| -> Option<u64> {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))?;
        line.trim().parse::<u64>().ok()?.checked_mul(factor)
    };
    number(one)?.checked_mul(number(other)?)
}

/// The size in `data = bsize=4096 blocks=65536, ...`.
fn xfs_size(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("data"))?;
    let number = |name: &str| -> Option<u64> {
        let rest = line.split_once(name)?.1;
        rest.split([',', ' ']).next()?.parse().ok()
    };
    number("bsize=")?.checked_mul(number("blocks=")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let text = "Filesystem\nBlock count:              20480\nBlock size:               1024\n";
        let size = product(text, ("Block count:", 1), ("Block size:", 1));
        assert_eq!(size, Some(20480 * 1024));
        let text = "meta-data=/dev/x isize=512\ndata     =                       bsize=4096   blocks=65536, imaxpct=25\n";
        assert_eq!(xfs_size(text), Some(65536 * 4096));
    }
}
