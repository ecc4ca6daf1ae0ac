//! The one door to the machine: a module looks and changes through [`Machine`], and never asks
//! whether a change is performed (the real machine) or only recorded (check mode, tests).

pub mod attrs;
pub mod digest;
pub mod glob;
pub mod memory;
pub mod overlay;
pub mod real;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a machine can be asked and told.
///
/// Looks return what is there (in check mode: what would be there after the changes recorded so
/// far). Changes are atomic where the system allows it: a killed process leaves the old state or
/// the new one. Errors carry the system's error number, because messages quote it.
pub trait Machine {
    // -- looking ---------------------------------------------------------------------------

    /// The inode behind a path; `follow` looks through a last symbolic link. `None`: not there.
    ///
    /// # Errors
    /// Everything but "not found" (including a path below something that is not a directory,
    /// which counts as not found).
    fn stat(&mut self, path: &Path, follow: bool) -> io::Result<Option<Stat>>;

    /// The content of a file.
    ///
    /// # Errors
    /// The system's error.
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>>;

    /// Opens a file for reading it piece by piece, for content too large for memory.
    ///
    /// # Errors
    /// The system's error.
    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(io::Cursor::new(self.read(path)?)))
    }

    /// The names in a directory, sorted by bytes.
    ///
    /// # Errors
    /// The system's error.
    fn list(&mut self, path: &Path) -> io::Result<Vec<std::ffi::OsString>>;

    /// The target of a symbolic link, as it is written.
    ///
    /// # Errors
    /// The system's error.
    fn read_link(&mut self, path: &Path) -> io::Result<PathBuf>;

    /// The size and use of the file system that holds a path.
    ///
    /// # Errors
    /// The system's error; a machine without file systems of its own supports none.
    fn space(&mut self, path: &Path) -> io::Result<Space> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether the process may access the path.
    fn access(&mut self, path: &Path, access: Access) -> bool;

    /// A user by name.
    fn user_by_name(&mut self, name: &str) -> Option<User>;

    /// A user by number.
    fn user_by_id(&mut self, uid: u32) -> Option<User>;

    /// A group by name.
    fn group_by_name(&mut self, name: &str) -> Option<Group>;

    /// A group by number.
    fn group_by_id(&mut self, gid: u32) -> Option<Group>;

    /// All users (`/etc/passwd` and, where the system lists them, directory services).
    fn users(&mut self) -> Vec<User>;

    /// All groups.
    fn groups(&mut self) -> Vec<Group>;

    /// The process: user, groups, home, environment, temporary folder, umask.
    fn process(&mut self) -> Process;

    /// Runs a program that changes nothing, and waits for it. Runs in check mode, too.
    ///
    /// # Errors
    /// The system's error when it cannot be started or is stopped by `timeout`.
    fn query(&mut self, command: &Command) -> io::Result<Output>;

    /// The clock, in seconds since 1970.
    fn now(&mut self) -> f64;

    /// Waits. In memory it returns at once.
    fn sleep(&mut self, time: std::time::Duration);

    /// Opens a TCP connection from the machine.
    ///
    /// # Errors
    /// The system's error, also for a name that does not resolve.
    fn connect(
        &mut self,
        host: &str,
        port: u16,
        timeout: std::time::Duration,
    ) -> io::Result<Box<dyn Stream>>;

    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// The system's error.
    fn connect_unix(
        &mut self,
        path: &Path,
        timeout: std::time::Duration,
    ) -> io::Result<Box<dyn Stream>>;

    // -- changing --------------------------------------------------------------------------

    /// Replaces or creates a file in one step: a temporary file beside it, synced, renamed.
    /// The new file has the mode, owner and group in `attrs`, else those of the old file, else
    /// the process's own with 0666 under the umask. A symbolic link is replaced itself, and hands
    /// nothing down.
    ///
    /// # Errors
    /// The system's error; the old file is untouched then.
    fn write(&mut self, path: &Path, content: Content<'_>, attrs: &Attrs) -> io::Result<()>;

    /// A new file without a name on the file system of `path`, for content too large for memory;
    /// it is gone when dropped, and [`Machine::publish`] gives it a name. `None` in check mode:
    /// the content is not made then, and the module writes what later looks need to see.
    ///
    /// # Errors
    /// The system's error.
    fn scratch(&mut self, path: &Path) -> io::Result<Option<Box<dyn Scratch>>> {
        let _ = path;
        Ok(Some(Box::new(io::Cursor::new(Vec::new()))))
    }

    /// Puts a finished scratch file in place, as [`Machine::write`] does with its content.
    ///
    /// # Errors
    /// The system's error; the old file is untouched then.
    fn publish(
        &mut self,
        mut scratch: Box<dyn Scratch>,
        path: &Path,
        attrs: &Attrs,
    ) -> io::Result<()> {
        if let Some(named) = scratch.link()? {
            return self.write(path, Content::Take(&named), attrs);
        }
        let mut bytes = Vec::new();
        scratch.rewind()?;
        scratch.read_to_end(&mut bytes)?;
        self.write(path, Content::Bytes(&bytes), attrs)
    }

    /// Makes one directory.
    ///
    /// # Errors
    /// The system's error.
    fn make_dir(&mut self, path: &Path, mode: Option<u32>) -> io::Result<()>;

    /// Makes a symbolic link at `path`, replacing a link or file that is there in one step.
    ///
    /// # Errors
    /// The system's error.
    fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()>;

    /// Makes a hard link at `path`, replacing a file that is there in one step.
    ///
    /// # Errors
    /// The system's error.
    fn hard_link(&mut self, target: &Path, path: &Path) -> io::Result<()>;

    /// Removes a file, a link, or an empty directory; with `recursive` a whole tree.
    ///
    /// # Errors
    /// The system's error.
    fn remove(&mut self, path: &Path, recursive: bool) -> io::Result<()>;

    /// Renames within one file system, replacing what is there.
    ///
    /// # Errors
    /// The system's error.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;

    /// Sets permissions (never through a symbolic link unless `follow`).
    ///
    /// # Errors
    /// The system's error.
    fn chmod(&mut self, path: &Path, mode: u32, follow: bool) -> io::Result<()>;

    /// Sets owner and group, each when given.
    ///
    /// # Errors
    /// The system's error.
    fn chown(
        &mut self,
        path: &Path,
        uid: Option<u32>,
        gid: Option<u32>,
        follow: bool,
    ) -> io::Result<()>;

    /// Sets access and modification time, each when given, in seconds and nanoseconds since 1970.
    ///
    /// # Errors
    /// The system's error.
    fn set_times(
        &mut self,
        path: &Path,
        atime: Option<(i64, u32)>,
        mtime: Option<(i64, u32)>,
    ) -> io::Result<()>;

    /// Runs a program that changes something, and waits for it. In check mode it is not run:
    /// [`Ran::Predicted`] comes back, and the module says with [`Machine::assume`] what it would
    /// have changed, so that later looks see it.
    ///
    /// # Errors
    /// The system's error when it cannot be started or is stopped by `timeout`.
    fn run(&mut self, command: &Command) -> io::Result<Ran>;

    /// Whether changes are only recorded (check mode). Whoever changes something through a
    /// connection asks, and records what it would have changed with [`Machine::assume`].
    fn predicts(&self) -> bool {
        false
    }

    /// Runs a program on a terminal of its own, and talks with it: `partner` is asked again and
    /// again, with everything that was written so far. With `echo` the terminal writes what is
    /// typed. Check mode does not predict this: modules that use it are skipped there.
    ///
    /// # Errors
    /// The system's error when it cannot be started or is stopped by `timeout`.
    fn converse(
        &mut self,
        command: &Command,
        echo: bool,
        partner: &mut dyn FnMut(&[u8]) -> Turn,
    ) -> io::Result<Output> {
        let _ = (command, echo, partner);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Records what a predicted program would have changed. The real machine ignores it.
    fn assume(&mut self, change: Change);

    /// The newest fact recorded by [`Machine::assume`] under a key (`package:nginx`,
    /// `service:nginx`), empty for one that is gone; none on a real machine.
    fn assumed(&mut self, key: &str) -> Option<String>;
}

/// What is said to a program on a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing yet.
    Wait,
    /// This is typed.
    Type(Vec<u8>),
    /// It is to end.
    End,
}

/// How the error of a connection ends whose host has no address.
pub const UNRESOLVED: &str = "does not resolve to an address";

/// A two-way byte stream.
pub trait Stream: io::Read + io::Write + Send {
    /// Sets how long one read or write may take; `None` for ever.
    ///
    /// # Errors
    /// The system's error.
    fn set_timeout(&mut self, timeout: Option<std::time::Duration>) -> io::Result<()>;
}

/// A file that is read piece by piece.
pub trait Source: io::Read + io::Seek + Send {}

impl<T: io::Read + io::Seek + Send> Source for T {}

/// A file that is being made; see [`Machine::scratch`].
pub trait Scratch: io::Read + io::Write + io::Seek + Send {
    /// Cuts or extends it to `size` bytes.
    ///
    /// # Errors
    /// The system's error.
    fn set_len(&mut self, size: u64) -> io::Result<()>;

    /// Gives it a name on its file system, for which [`Machine::write`] can take it; `None` for
    /// one in memory. Dropped, the file goes with its name.
    ///
    /// # Errors
    /// The system's error.
    fn link(&mut self) -> io::Result<Option<PathBuf>> {
        Ok(None)
    }
}

impl Scratch for io::Cursor<Vec<u8>> {
    fn set_len(&mut self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.get_mut().resize(size, 0);
        Ok(())
    }
}

/// The kind of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// An inode, as `stat(2)` tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// The kind.
    pub kind: FileKind,
    /// Permission bits with set-id and sticky bits (`0o7777`).
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Number of hard links.
    pub nlink: u64,
    /// Access time: seconds and nanoseconds since 1970.
    pub atime: (i64, u32),
    /// Modification time.
    pub mtime: (i64, u32),
    /// Change time of the inode.
    pub ctime: (i64, u32),
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred block size.
    pub block_size: u64,
    /// The device's number for device files.
    pub rdev: u64,
}

/// The size and use of a file system, as `statvfs(3)` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// The unit of the block numbers, in bytes.
    pub block_size: u64,
    /// All blocks.
    pub blocks: u64,
    /// Blocks that are free for root.
    pub blocks_free: u64,
    /// Blocks that are free for others.
    pub blocks_available: u64,
    /// All inodes.
    pub inodes: u64,
    /// Inodes that are free for others.
    pub inodes_available: u64,
}

/// What [`Machine::access`] asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Executing, or searching a directory.
    Execute,
}

/// A user of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Log-in name.
    pub name: String,
    /// The password field, mostly `x`.
    pub password: String,
    /// Number.
    pub uid: u32,
    /// Number of the primary group.
    pub gid: u32,
    /// Comment (GECOS).
    pub gecos: String,
    /// Home directory.
    pub home: String,
    /// Log-in shell.
    pub shell: String,
}

/// A group of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Names of the members.
    pub members: Vec<String>,
}

/// The process that acts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The user's home directory.
    pub home: PathBuf,
    /// The working directory.
    pub cwd: PathBuf,
    /// The file-mode creation mask.
    pub umask: u32,
    /// The environment, in the order of its names.
    pub env: std::collections::BTreeMap<String, String>,
}

impl Process {
    /// The folders of `PATH`.
    pub fn search_path(&self) -> impl Iterator<Item = &str> {
        let path = self.env.get("PATH").map_or("", String::as_str);
        path.split(':').filter(|folder| !folder.is_empty())
    }
}

/// A program to run.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// The program and its arguments; the program is searched in `PATH` unless it has a slash.
    pub argv: Vec<String>,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// Changes to the environment: a value, or `None` to remove the name.
    pub env: Vec<(String, Option<String>)>,
    /// What it reads.
    pub stdin: Option<Vec<u8>>,
    /// The file-mode creation mask.
    pub umask: Option<u32>,
    /// How long it may take.
    pub timeout: Option<std::time::Duration>,
    /// It only judges what is about to be done, whatever it is that judges.
    pub judges: bool,
}

impl Command {
    /// A program with its arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Runs it with a fixed locale, for programs whose output is read.
    #[must_use]
    pub fn c_locale(mut self) -> Self {
        for name in ["LANG", "LC_ALL", "LC_MESSAGES", "LC_CTYPE"] {
            self.env.push((name.to_owned(), Some("C".to_owned())));
        }
        self
    }
}

/// What a program left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit code; minus the signal's number when a signal ended it, as Python has it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// What became of a program that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It ran.
    Done(Output),
    /// Check mode: it would have run.
    Predicted,
}

/// The content that [`Machine::write`] puts in place.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A copy of this file, which stays.
    CopyOf(&'a Path),
    /// This file (a finished download on the same machine); it may be moved away.
    Take(&'a Path),
}

/// Attributes of a file that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attrs {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Write into the old file where it cannot be replaced in one step (a mounted file), as
    /// Ansible's `unsafe_writes` allows.
    pub in_place: bool,
}

/// One recorded change: what check mode hands on to later looks, also to those of another agent
/// on the same host (another become user).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// The path is this inode now, with this content where it is a file or a link. A content of
    /// `None` for a file: unchanged (only attributes differ).
    Node {
        /// The absolute path.
        path: PathBuf,
        /// The inode.
        stat: Stat,
        /// Content of a file, target of a link.
        #[serde(with = "serde_bytes")]
        content: Option<Vec<u8>>,
    },
    /// The path, with everything below it, is gone.
    Gone(PathBuf),
    /// The user exists in this form.
    User(User),
    /// The user is gone.
    UserGone(String),
    /// The group exists in this form.
    Group(Group),
    /// The group is gone.
    GroupGone(String),
    /// Anything else that modules look for by a key (`package:nginx` is `1.22-1`).
    Fact(String, Option<String>),
}

/// What a call changed in files, so that it can be undone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The paths, in the order in which they were changed first.
    pub images: Vec<Image>,
    /// It ran programs, which may have changed anything.
    pub programs: bool,
    /// It changed more paths than are kept.
    pub more: bool,
}

/// A path before and after a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The absolute path.
    pub path: PathBuf,
    /// What it was; none: it was not there.
    pub before: Option<Inode>,
    /// The content of a file before; none where only attributes changed, and where it was too large.
    #[serde(with = "serde_bytes")]
    pub content: Option<Vec<u8>>,
    /// What it is now.
    pub after: Option<Inode>,
}

/// What of an inode can be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inode {
    /// The kind.
    pub kind: FileKind,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The SHA-1 of a file's content, where that may have changed; the target of a link.
    pub is: String,
}
