//! The machine that the process runs on.

mod accounts;
mod before;
mod child;
mod files;
mod mounts;
mod network;
mod scratch;
pub mod terminal;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use super::{
    Access, Attrs, Change, Command, Content, FileKind, Group, Kept, Machine, Output, Process, Ran,
    Scratch, Source, Space, Stat, Stream, Turn, User,
};
use accounts::Accounts;
pub use child::stop;
pub use mounts::Mounts;

/// What the kernel calls this start of the machine: two that say the same may share their files.
/// Empty where it does not say.
#[must_use]
pub fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

/// What the machine calls itself for as long as it is installed (`machine-id(5)`); empty where it has no such name.
#[must_use]
pub fn identity() -> String {
    let id = std::fs::read_to_string("/etc/machine-id");
    id.unwrap_or_default().trim().to_owned()
}

/// The machine that the process runs on: looks and changes are system calls.
#[derive(Debug)]
pub struct RealMachine {
    accounts: Accounts,
    env: Vec<(String, String)>,
    deadline: Option<Instant>,
    umask: u32,
    /// What files were before the call changed them, where that is wanted.
    before: Option<before::Notes>,
    /// Who is told what programs write, while they run.
    hear: Option<Hear>,
}

/// Takes what a program has just written.
pub type Listener = Box<dyn FnMut(&[u8]) + Send>;

struct Hear(Listener);

impl std::fmt::Debug for Hear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hear")
    }
}

impl Default for RealMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl RealMachine {
    /// The machine as the process sees it.
    #[must_use]
    pub fn new() -> Self {
        let umask = umask();
        Self {
            accounts: Accounts::default(),
            env: Vec::new(),
            deadline: None,
            umask,
            before: None,
            hear: None,
        }
    }

    /// Begins a call: its environment on top of the process's own, and how long it may take.
    pub fn begin_call(&mut self, env: Vec<(String, String)>, timeout: Option<Duration>) {
        self.env = env;
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
        self.before = None;
        self.hear = None;
    }

    /// From here to the end of the call, tells what the programs write that it runs.
    pub fn hear(&mut self, listener: Listener) {
        self.hear = Some(Hear(listener));
    }

    /// From here to the end of the call, keeps what files were before they are changed: content up to
    /// `most` bytes a file.
    pub fn keep(&mut self, most: u64) {
        self.before = Some(before::Notes::new(most));
    }

    /// What was kept of the call, with what there is now.
    pub fn take_kept(&mut self) -> Option<Kept> {
        self.before.take().map(before::Notes::end)
    }

    /// Notes what is at a path before its content changes, `below` it as well.
    fn changes(&mut self, path: &Path, below: bool) {
        if let Some(before) = &mut self.before {
            before.content(path, below);
        }
    }

    /// Notes whom a path belongs to and its mode before they change.
    fn changes_attributes(&mut self, path: &Path, follow: bool) {
        if let Some(before) = &mut self.before {
            before.attributes(path, follow);
        }
    }
}

/// The mask of new files. The system call sets it, which other threads would notice, so that the kernel's
/// table is asked first.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    if let Some(mask) = line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()) {
        return mask;
    }
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask.bits() & 0o777
}

impl Machine for RealMachine {
    fn stat(&mut self, path: &Path, follow: bool) -> io::Result<Option<Stat>> {
        let meta = if follow {
            std::fs::metadata(path)
        } else {
            std::fs::symlink_metadata(path)
        };
        match meta {
            Ok(meta) => Ok(Some(stat(&meta))),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Source>> {
        let file = std::fs::File::open(path)?;
        // Opening a directory works, reading it does not; `read` tells at once.
        if file.metadata()?.is_dir() {
            return Err(rustix::io::Errno::ISDIR.into());
        }
        Ok(Box::new(file))
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        let mut names = std::fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        crate::order::sort(&mut names);
        Ok(names)
    }

    fn read_link(&mut self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn space(&mut self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            block_size: found.f_frsize,
            blocks: found.f_blocks,
            blocks_free: found.f_bfree,
            blocks_available: found.f_bavail,
            inodes: found.f_files,
            inodes_available: found.f_favail,
        })
    }

    fn access(&mut self, path: &Path, access: Access) -> bool {
        let access = match access {
            Access::Read => rustix::fs::Access::READ_OK,
            Access::Write => rustix::fs::Access::WRITE_OK,
            Access::Execute => rustix::fs::Access::EXEC_OK,
        };
        rustix::fs::access(path, access).is_ok()
    }

    fn user_by_name(&mut self, name: &str) -> Option<User> {
        self.accounts.user(name, |user| user.name == name)
    }

    fn user_by_id(&mut self, uid: u32) -> Option<User> {
        self.accounts.user(&uid.to_string(), |user| user.uid == uid)
    }

    fn group_by_name(&mut self, name: &str) -> Option<Group> {
        self.accounts.group(name, |group| group.name == name)
    }

    fn group_by_id(&mut self, gid: u32) -> Option<Group> {
        self.accounts
            .group(&gid.to_string(), |group| group.gid == gid)
    }

    fn users(&mut self) -> Vec<User> {
        self.accounts.users()
    }

    fn groups(&mut self) -> Vec<Group> {
        self.accounts.groups()
    }

    fn process(&mut self) -> Process {
        let mut env: std::collections::BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        env.extend(self.env.iter().cloned());
        let uid = rustix::process::geteuid().as_raw();
        let home = match env.get("HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => self
                .user_by_id(uid)
                .map_or_else(|| PathBuf::from("/"), |user| PathBuf::from(user.home)),
        };
        let groups = rustix::process::getgroups().unwrap_or_default();
        Process {
            uid,
            gid: rustix::process::getegid().as_raw(),
            groups: groups.into_iter().map(|gid| gid.as_raw()).collect(),
            home,
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            umask: self.umask,
            env,
        }
    }

    fn query(&mut self, command: &Command) -> io::Result<Output> {
        child::execute(command, &self.env, self.deadline, None)
    }

    fn now(&mut self) -> f64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |time| time.as_secs_f64())
    }

    fn sleep(&mut self, time: Duration) {
        child::sleep(time, self.deadline);
    }

    fn connect(&mut self, host: &str, port: u16, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        network::connect(self, host, port, timeout)
    }

    fn connect_unix(&mut self, path: &Path, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        network::connect_unix(path, timeout)
    }

    fn write(&mut self, path: &Path, content: Content<'_>, attrs: &Attrs) -> io::Result<()> {
        self.changes(path, false);
        files::write(path, content, attrs, self.umask)
    }

    fn scratch(&mut self, path: &Path) -> io::Result<Option<Box<dyn Scratch>>> {
        Ok(Some(Box::new(scratch::ScratchFile::new(path)?)))
    }

    fn make_dir(&mut self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        self.changes(path, false);
        std::fs::create_dir(path)?;
        match mode {
            Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        self.changes(path, false);
        files::replace(path, |path| std::os::unix::fs::symlink(target, path))
    }

    fn hard_link(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        self.changes(path, false);
        files::replace(path, |path| std::fs::hard_link(target, path))
    }

    fn remove(&mut self, path: &Path, recursive: bool) -> io::Result<()> {
        self.changes(path, recursive);
        match std::fs::symlink_metadata(path)?.is_dir() {
            true if recursive => std::fs::remove_dir_all(path),
            true => std::fs::remove_dir(path),
            false => std::fs::remove_file(path),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(before) = &mut self.before {
            before.moved(from, to);
        }
        std::fs::rename(from, to)
    }

    fn chmod(&mut self, path: &Path, mode: u32, follow: bool) -> io::Result<()> {
        self.changes_attributes(path, follow);
        // Linux has no permissions of a link; chmod(2) would change what it points to.
        if !follow && std::fs::symlink_metadata(path)?.is_symlink() {
            return Err(rustix::io::Errno::OPNOTSUPP.into());
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }

    fn chown(
        &mut self,
        path: &Path,
        uid: Option<u32>,
        gid: Option<u32>,
        follow: bool,
    ) -> io::Result<()> {
        self.changes_attributes(path, follow);
        if follow {
            std::os::unix::fs::chown(path, uid, gid)
        } else {
            std::os::unix::fs::lchown(path, uid, gid)
        }
    }

    fn set_times(
        &mut self,
        path: &Path,
        atime: Option<(i64, u32)>,
        mtime: Option<(i64, u32)>,
    ) -> io::Result<()> {
        let time = |time: Option<(i64, u32)>| match time {
            Some((seconds, nanoseconds)) => Timespec {
                tv_sec: seconds,
                tv_nsec: nanoseconds.into(),
            },
            None => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
        };
        let times = Timestamps {
            last_access: time(atime),
            last_modification: time(mtime),
        };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?)
    }

    fn run(&mut self, command: &Command) -> io::Result<Ran> {
        if let Some(before) = &mut self.before
            && !command.judges
        {
            before.program();
        }
        let hear = self.hear.as_mut().map(|hear| &mut hear.0);
        let output = child::execute(command, &self.env, self.deadline, hear)?;
        self.accounts.forget();
        Ok(Ran::Done(output))
    }

    fn converse(
        &mut self,
        command: &Command,
        echo: bool,
        partner: &mut dyn FnMut(&[u8]) -> Turn,
    ) -> io::Result<Output> {
        if let Some(before) = &mut self.before {
            before.program();
        }
        terminal::converse(command, &self.env, self.deadline, echo, partner)
    }

    fn assume(&mut self, _: Change) {}

    fn assumed(&mut self, _: &str) -> Option<String> {
        None
    }
}

fn stat(meta: &std::fs::Metadata) -> Stat {
    let nanoseconds = |value: i64| u32::try_from(value).unwrap_or(0);
    Stat {
        kind: kind(meta.file_type()),
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.size(),
        dev: meta.dev(),
        ino: meta.ino(),
        nlink: meta.nlink(),
        atime: (meta.atime(), nanoseconds(meta.atime_nsec())),
        mtime: (meta.mtime(), nanoseconds(meta.mtime_nsec())),
        ctime: (meta.ctime(), nanoseconds(meta.ctime_nsec())),
        blocks: meta.blocks(),
        block_size: meta.blksize(),
        rdev: meta.rdev(),
    }
}

fn kind(kind: std::fs::FileType) -> FileKind {
    match () {
        () if kind.is_dir() => FileKind::Directory,
        () if kind.is_symlink() => FileKind::Link,
        () if kind.is_fifo() => FileKind::Fifo,
        () if kind.is_socket() => FileKind::Socket,
        () if kind.is_char_device() => FileKind::Char,
        () if kind.is_block_device() => FileKind::Block,
        () => FileKind::File,
    }
}
