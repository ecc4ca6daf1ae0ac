//! What every module that touches files shares: owner, group, mode and the like, the standard
//! return values, and in `contents` backups and validation.

mod contents;
mod extended;

pub use contents::{
    Validated, backup, make_dirs, temporary_file, temporary_folder, unique_name, validate,
    write_text,
};
pub use extended::selinux_context;

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use super::{Attrs, FileKind, Machine, Stat};
use crate::args::{Mode, ModuleArgs};
use crate::data::{Data, Map};
use crate::map;
use crate::outcome::{Diff, DiffSide, Failure};
use crate::text::quote;
use crate::time;

/// The largest content that is shown in a diff where nothing else is asked for, in bytes.
const MAX_DIFF: u64 = 104_448;

thread_local! {
    /// The limit of the call that this thread works on.
    static DIFF_LIMIT: Cell<u64> = const { Cell::new(MAX_DIFF) };
}

/// Sets the largest content that calls of this thread show in a diff: Ansible's `max_diff_size`,
/// of which zero means any.
pub fn limit_diff(limit: Option<u64>) {
    DIFF_LIMIT.set(match limit {
        None => MAX_DIFF,
        Some(0) => u64::MAX,
        Some(limit) => limit,
    });
}

/// Owner, group, mode and further attributes of a file.
#[derive(ModuleArgs, Clone, Debug, Default)]
pub struct FileArgs {
    /// Name or number of the user who owns the file. Without it the owner stays as it is; a new file belongs to the user who acts.
    pub owner: Option<String>,
    /// Name or number of the group of the file. Without it the group stays as it is.
    pub group: Option<String>,
    /// Permissions: octal (`"0644"`, quoted or with a leading zero) or symbolic (`u=rwX,g=r,o=`). Without it those of an existing file stay, and a new file gets the system's default.
    pub mode: Option<Mode>,
    /// File-system attributes as `chattr` writes them: `+i`, `-a`, `=ie`; letters alone mean `=`.
    #[arg(alias = "attr")]
    pub attributes: Option<String>,
    /// User part of the SELinux context; `_default` asks the policy. Ignored where SELinux is off.
    pub seuser: Option<String>,
    /// Role part of the SELinux context.
    pub serole: Option<String>,
    /// Type part of the SELinux context.
    pub setype: Option<String>,
    /// Level part of the SELinux context.
    pub selevel: Option<String>,
    /// Write into the old file where the system does not let it be replaced in one step, such as a file mounted into a container. A reader may then see half of it.
    #[arg(default = "false")]
    pub unsafe_writes: bool,
}

impl FileArgs {
    /// What [`Machine::write`] gives to a new file: the attributes are in place before anybody sees
    /// it. `old` is the file that is replaced.
    ///
    /// # Errors
    /// A user or group that does not exist.
    pub fn for_write(
        &self,
        machine: &mut dyn Machine,
        old: Option<&Stat>,
    ) -> Result<Attrs, Failure> {
        self.refuse_preserve()?;
        let umask = machine.process().umask;
        let before = old.map_or(0o666 & !umask, |old| old.mode);
        Ok(Attrs {
            mode: self
                .mode
                .as_ref()
                .map(|mode| mode.apply(before, false, umask)),
            uid: self.uid(machine)?,
            gid: self.gid(machine)?,
            in_place: self.unsafe_writes,
        })
    }

    /// Makes the attributes of a path what they should be, and adds what differs to both sides of
    /// the diff; returns whether something changed. A link is not followed, and has no mode.
    ///
    /// # Errors
    /// In Ansible's words, with the standard return values of the path.
    pub fn ensure(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        let result = self.ensure_each(machine, path, sides);
        result.map_err(|failure| failed_at(machine, path, failure))
    }

    fn ensure_each(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        let context = self.ensure_context(machine, path, sides)?;
        let Some(old) = machine
            .stat(path, false)
            .map_err(|error| os_error(&error, path))?
        else {
            return Ok(context);
        };
        let owner = self.ensure_owner(machine, path, &old, sides)?;
        let group = self.ensure_group(machine, path, &old, sides)?;
        let mode = self.ensure_mode(machine, path, &old, sides)?;
        let attributes = self.ensure_attributes(machine, path, sides)?;
        Ok(context || owner || group || mode || attributes)
    }

    fn ensure_owner(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        old: &Stat,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        let Some(uid) = self.uid(machine)?.filter(|uid| *uid != old.uid) else {
            return Ok(false);
        };
        sides.add("owner", old.uid, uid);
        let done = machine.chown(path, Some(uid), None, false);
        done.map_err(|error| format!("chown failed: {}", os_error(&error, path)))?;
        Ok(true)
    }

    fn ensure_group(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        old: &Stat,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        let Some(gid) = self.gid(machine)?.filter(|gid| *gid != old.gid) else {
            return Ok(false);
        };
        sides.add("group", old.gid, gid);
        let done = machine.chown(path, None, Some(gid), false);
        done.map_err(|error| format!("chgrp failed: {}", os_error(&error, path)))?;
        Ok(true)
    }

    fn ensure_mode(
        &self,
        machine: &mut dyn Machine,
        path: &Path,
        old: &Stat,
        sides: &mut Sides,
    ) -> Result<bool, Failure> {
        self.refuse_preserve()?;
        let Some(mode) = &self.mode else {
            return Ok(false);
        };
        if old.kind == FileKind::Link {
            return Ok(false);
        }
        let umask = machine.process().umask;
        let wanted = mode.apply(old.mode, old.kind == FileKind::Directory, umask);
        if wanted != old.mode {
            sides.add("mode", mode_text(old.mode), mode_text(wanted));
        }
        // A new owner may have cleared the set-id bits, which is no difference to tell.
        let now = machine
            .stat(path, false)
            .ok()
            .flatten()
            .map_or(old.mode, |now| now.mode);
        if wanted != now {
            let done = machine.chmod(path, wanted, false);
            done.map_err(|error| format!("chmod failed: {}", os_error(&error, path)))?;
        }
        Ok(wanted != old.mode)
    }

    /// Modules that copy a file know its mode and put it here before; for others there is none.
    fn refuse_preserve(&self) -> Result<(), Failure> {
        if self.mode != Some(Mode::Preserve) {
            return Ok(());
        }
        let failure = Failure::new("mode must be in octal or symbolic form");
        Err(failure.with("details", "bad symbolic permission for mode: preserve"))
    }

    fn uid(&self, machine: &mut dyn Machine) -> Result<Option<u32>, Failure> {
        let Some(owner) = &self.owner else {
            return Ok(None);
        };
        if let Ok(uid) = owner.parse() {
            return Ok(Some(uid));
        }
        let user = machine.user_by_name(owner);
        user.map(|user| Some(user.uid))
            .ok_or_else(|| Failure::new(format!("chown failed: failed to look up user {owner}")))
    }

    fn gid(&self, machine: &mut dyn Machine) -> Result<Option<u32>, Failure> {
        let Some(name) = &self.group else {
            return Ok(None);
        };
        if let Ok(gid) = name.parse() {
            return Ok(Some(gid));
        }
        let group = machine.group_by_name(name);
        group
            .map(|group| Some(group.gid))
            .ok_or_else(|| Failure::new(format!("chgrp failed: failed to look up group {name}")))
    }
}

/// Both sides of a difference of attributes.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// Before.
    pub before: Map,
    /// After.
    pub after: Map,
}

impl Sides {
    /// Two sides that name the path.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let mut sides = Self::default();
        let path = path.to_string_lossy();
        sides.add("path", path.as_ref(), path.as_ref());
        sides
    }

    /// Adds one attribute.
    pub fn add(&mut self, name: &str, before: impl Into<Data>, after: impl Into<Data>) {
        self.before.insert(name.to_owned(), before.into());
        self.after.insert(name.to_owned(), after.into());
    }

    /// Adds an attribute when its sides differ.
    pub fn add_if_differs(&mut self, name: &str, before: impl Into<Data>, after: impl Into<Data>) {
        let (before, after) = (before.into(), after.into());
        if before != after {
            self.add(name, before, after);
        }
    }

    /// The difference.
    #[must_use]
    pub fn diff(self) -> Diff {
        Diff::attributes(self.before, self.after)
    }
}

/// Permission bits as Ansible writes them: `0644`, `01777`.
#[must_use]
pub fn mode_text(mode: u32) -> String {
    format!("0{:03o}", mode & 0o7777)
}

/// What the modules `stat` and `find` both tell of a file.
#[must_use]
pub fn stat_facts(path: &Path, stat: &Stat) -> Map {
    let mut facts = map! {
        "path" => path.to_string_lossy().as_ref(),
        "mode" => format!("{:04o}", stat.mode & 0o7777),
        "isdir" => stat.kind == FileKind::Directory,
        "ischr" => stat.kind == FileKind::Char,
        "isblk" => stat.kind == FileKind::Block,
        "isreg" => stat.kind == FileKind::File,
        "isfifo" => stat.kind == FileKind::Fifo,
        "islnk" => stat.kind == FileKind::Link,
        "issock" => stat.kind == FileKind::Socket,
        "uid" => stat.uid,
        "gid" => stat.gid,
        "size" => stat.size,
        "inode" => stat.ino,
        "dev" => stat.dev,
        "nlink" => stat.nlink,
        "atime" => seconds(stat.atime),
        "mtime" => seconds(stat.mtime),
        "ctime" => seconds(stat.ctime),
        "blocks" => stat.blocks,
        "disk_usage_bytes" => stat.blocks * 512,
        "isuid" => stat.mode & 0o4000 != 0,
        "isgid" => stat.mode & 0o2000 != 0,
    };
    for (who, shift) in [("usr", 6), ("grp", 3), ("oth", 0)] {
        for (letter, bit) in [("r", 4), ("w", 2), ("x", 1)] {
            let set = (stat.mode >> shift) & bit != 0;
            facts.insert(format!("{letter}{who}"), set.into());
        }
    }
    facts
}

/// A time as Python has it.
#[expect(
    clippy::cast_precision_loss,
    reason = "Python's times are floating-point numbers, too"
)]
#[must_use]
pub fn seconds(time: (i64, u32)) -> f64 {
    time.0 as f64 + f64::from(time.1) * 1e-9
}

/// What kind of thing a path is, in the words of Ansible's `state`.
#[must_use]
pub fn state_of(stat: Option<&Stat>) -> &'static str {
    match stat {
        None => "absent",
        Some(stat) => match stat.kind {
            FileKind::Link => "link",
            FileKind::Directory => "directory",
            _ if stat.nlink > 1 => "hard",
            _ => "file",
        },
    }
}

/// Adds the standard return values of a path (`uid`, `gid`, `owner`, `group`, `mode`, `state`,
/// `size`); of a path that is not there only `state`. A link is described itself, and only when it
/// leads somewhere.
pub fn add_path_info(machine: &mut dyn Machine, path: &Path, results: &mut Map) {
    let leads_somewhere = matches!(machine.stat(path, true), Ok(Some(_)));
    let stat = machine.stat(path, false).ok().flatten();
    let Some(stat) = stat.filter(|_| leads_somewhere) else {
        results.insert("state".to_owned(), state_of(None).into());
        return;
    };
    let owner = machine
        .user_by_id(stat.uid)
        .map_or_else(|| stat.uid.to_string(), |user| user.name);
    let group = machine
        .group_by_id(stat.gid)
        .map_or_else(|| stat.gid.to_string(), |group| group.name);
    let mut add = |name: &str, value: Data| results.insert(name.to_owned(), value);
    add("uid", stat.uid.into());
    add("gid", stat.gid.into());
    add("owner", owner.into());
    add("group", group.into());
    add("mode", mode_text(stat.mode).into());
    add("state", state_of(Some(&stat)).into());
    add("size", stat.size.into());
    if let Some(context) = selinux_context(machine, path) {
        results.insert("secontext".to_owned(), context.into());
    }
}

/// A failure at a path, with the path's standard return values.
#[must_use]
pub fn failed_at(machine: &mut dyn Machine, path: &Path, mut failure: Failure) -> Failure {
    failure
        .results
        .insert("path".to_owned(), path.to_string_lossy().as_ref().into());
    // Of a path that is not there a failure tells nothing.
    if matches!(machine.stat(path, true), Ok(Some(_))) {
        add_path_info(machine, path, &mut failure.results);
    }
    failure
}

/// An error of the system as Python writes it: `[Errno 2] No such file or directory: b'/x'`.
#[must_use]
pub fn os_error(error: &io::Error, path: &Path) -> String {
    format!(
        "{}: b{}",
        os_error_text(error),
        Data::from(path.to_string_lossy().as_ref()).repr()
    )
}

/// An error of the system as Python writes it, without a path.
#[must_use]
pub fn os_error_text(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        return error.to_string();
    };
    let text = io::Error::from_raw_os_error(number).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("[Errno {number}] {text}")
}

/// The path without symbolic links, as Python's `os.path.realpath`: what is missing stays as written.
pub fn real_path(machine: &mut dyn Machine, path: &Path) -> PathBuf {
    let mut real = if path.is_absolute() {
        PathBuf::new()
    } else {
        machine.process().cwd
    };
    let mut rest: Vec<PathBuf> = vec![path.to_owned()];
    let mut links = 0;
    while let Some(part) = rest.pop() {
        let mut parts = part.components();
        let Some(first) = parts.next() else { continue };
        rest.push(parts.as_path().to_owned());
        match first {
            std::path::Component::Normal(name) => {
                let next = real.join(name);
                match machine.read_link(&next) {
                    Ok(target) if links < 40 => {
                        links += 1;
                        rest.push(target);
                    }
                    _ => real = next,
                }
            }
            std::path::Component::ParentDir => {
                real.pop();
            }
            std::path::Component::RootDir => real = PathBuf::from("/"),
            _ => {}
        }
    }
    real
}

/// The content of a file as one side of a diff. `None`: the file is not there.
#[must_use]
pub fn content_side(content: Option<&[u8]>) -> DiffSide {
    let Some(content) = content else {
        return DiffSide::Text(String::new());
    };
    let (size, limit) = (content.len() as u64, DIFF_LIMIT.get());
    match std::str::from_utf8(content) {
        _ if size > limit => DiffSide::TooLarge(limit),
        // As Ansible does: binary is what has a NUL near its beginning.
        _ if content.iter().take(1024).any(|byte| *byte == 0) => DiffSide::Binary,
        Ok(text) => DiffSide::Text(text.to_owned()),
        Err(_) => DiffSide::Text(String::from_utf8_lossy(content).into_owned()),
    }
}

/// The content of a file of the machine as one side of a diff; `None` as well when it cannot be read.
#[must_use]
pub fn file_side(machine: &mut dyn Machine, path: &Path) -> DiffSide {
    let limit = DIFF_LIMIT.get();
    match machine.stat(path, true) {
        Ok(Some(stat)) if stat.size > limit => DiffSide::TooLarge(limit),
        _ => content_side(machine.read(path).ok().as_deref()),
    }
}

/// The machine's clock in its time zone, as `strftime` writes it.
pub fn local_time(machine: &mut dyn Machine, format: &str) -> String {
    let now = time::micros(machine.now());
    time::local(&time::Zone::of(machine), now, format)
}

/// The failure of a program that cannot be started, as Ansible's modules report it.
#[must_use]
pub fn cannot_run(argv: &[String], error: &io::Error) -> Failure {
    let line = argv
        .iter()
        .map(|word| quote(word))
        .collect::<Vec<_>>()
        .join(" ");
    let program = Path::new(argv.first().map_or("", String::as_str));
    Failure::new("Error executing command.")
        .because(&os_error(error, program))
        .with("rc", error.raw_os_error().unwrap_or(257))
        .with("cmd", line)
        .with("stdout", "")
        .with("stdout_lines", Data::List(Vec::new()))
        .with("stderr", "")
        .with("stderr_lines", Data::List(Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::super::memory::Memory;
    use super::*;
    use crate::map;

    #[test]
    fn real_paths() {
        let mut machine = Memory::small();
        machine
            .symlink(Path::new("../var/./x"), Path::new("/etc/l"))
            .unwrap();
        assert_eq!(
            real_path(&mut machine, Path::new("/etc/l/a/../b")),
            Path::new("/var/x/b")
        );
        assert_eq!(
            real_path(&mut machine, Path::new("f/.")),
            Path::new("/root/f")
        );
    }

    #[test]
    fn attributes_are_ensured_once() {
        let mut machine = Memory::small();
        let path = Path::new("/tmp/f");
        machine
            .write(path, Content::Bytes(b""), &Attrs::default())
            .unwrap();
        let args = FileArgs {
            owner: Some("alice".to_owned()),
            group: Some("4".to_owned()),
            mode: Mode::parse("u=rw,g=s,o=").ok(),
            ..FileArgs::default()
        };
        let mut sides = Sides::of(path);
        assert!(args.ensure(&mut machine, path, &mut sides).unwrap());
        assert_eq!(
            sides.before,
            map! { "path" => "/tmp/f", "owner" => 0, "group" => 0, "mode" => "0644" }
        );
        assert_eq!(
            sides.after,
            map! { "path" => "/tmp/f", "owner" => 1000, "group" => 4, "mode" => "02600" }
        );
        assert!(
            !args
                .ensure(&mut machine, path, &mut Sides::default())
                .unwrap()
        );
        let mut info = Map::new();
        add_path_info(&mut machine, path, &mut info);
        assert_eq!(info["owner"], Data::from("alice"));
        assert_eq!(info["mode"], Data::from("02600"));
    }

    #[test]
    fn unknown_users_and_errors() {
        let mut machine = Memory::small();
        let args = FileArgs {
            owner: Some("nosuch".to_owned()),
            ..FileArgs::default()
        };
        let failure = args
            .ensure(&mut machine, Path::new("/tmp"), &mut Sides::default())
            .unwrap_err();
        assert_eq!(failure.msg, "chown failed: failed to look up user nosuch");
        assert_eq!(failure.results["state"], Data::from("directory"));
        let error = io::Error::from_raw_os_error(13);
        assert_eq!(
            os_error(&error, Path::new("/x")),
            "[Errno 13] Permission denied: b'/x'"
        );
    }
}
