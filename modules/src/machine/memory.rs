//! A machine in memory: an overlay over an empty one, with fixed users, clock and process.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::overlay::Overlay;
use super::{
    Access, Attrs, Change, Command, Content, FileKind, Group, Machine, Output, Process, Ran, Stat,
    Stream, User,
};

/// A machine in memory.
pub type Memory = Overlay<Empty>;

impl Memory {
    /// A small system: the usual folders, `root` as the acting user, and a user `alice`.
    #[must_use]
    pub fn small() -> Self {
        let mut memory = Overlay::performing(Empty::default());
        for (path, mode) in [
            ("/etc", 0o755),
            ("/home", 0o755),
            ("/root", 0o700),
            ("/tmp", 0o1777),
            ("/usr", 0o755),
            ("/var", 0o755),
        ] {
            // A new machine has room for its folders.
            let _ = memory.make_dir(Path::new(path), Some(mode));
        }
        let _ = memory.make_dir(Path::new("/home/alice"), Some(0o755));
        let _ = memory.chown(Path::new("/home/alice"), Some(1000), Some(1000), false);
        memory.take_changes();
        memory
    }

    /// Lets a program answer; `line` is its arguments joined by spaces. Several answers to one line
    /// come in order, the last one for ever.
    pub fn answer(&mut self, line: &str, code: i32, stdout: &str, stderr: &str) {
        let output = Output {
            code,
            stdout: stdout.into(),
            stderr: stderr.into(),
        };
        self.below()
            .answers
            .entry(line.to_owned())
            .or_default()
            .push_back(output);
    }

    /// Lets another process act: its user, home, folder, environment.
    pub fn act_as(&mut self, process: Process) {
        self.below().process = process;
    }

    /// What was asked for and has no answer, in order: programs as lines, `connect` and an address.
    pub fn missed(&mut self) -> Vec<String> {
        self.below().missed.clone()
    }

    /// The programs that ran, as lines, in order.
    pub fn ran(&mut self) -> Vec<String> {
        self.below().ran.clone()
    }
}

/// The machine below: no files but the root folder; fixed users, clock and process.
#[derive(Debug)]
pub struct Empty {
    clock: f64,
    process: Process,
    answers: BTreeMap<String, VecDeque<Output>>,
    ran: Vec<String>,
    missed: Vec<String>,
}

impl Default for Empty {
    fn default() -> Self {
        let env = [
            ("HOME", "/root"),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("LANG", "C"),
        ];
        Self {
            clock: 1_700_000_000.0,
            process: Process {
                uid: 0,
                gid: 0,
                groups: vec![0],
                home: "/root".into(),
                cwd: "/root".into(),
                umask: 0o022,
                env: env
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
            },
            answers: BTreeMap::new(),
            ran: Vec::new(),
            missed: Vec::new(),
        }
    }
}

fn user(name: &str, uid: u32, gid: u32, home: &str) -> User {
    User {
        name: name.to_owned(),
        password: "x".to_owned(),
        uid,
        gid,
        gecos: String::new(),
        home: home.to_owned(),
        shell: "/bin/sh".to_owned(),
    }
}

impl Machine for Empty {
    fn stat(&mut self, path: &Path, _: bool) -> io::Result<Option<Stat>> {
        let time = (1_700_000_000, 0);
        Ok((path == Path::new("/")).then_some(Stat {
            kind: FileKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            size: 4096,
            dev: 1,
            ino: 1,
            nlink: 2,
            atime: time,
            mtime: time,
            ctime: time,
            blocks: 8,
            block_size: 4096,
            rdev: 0,
        }))
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        Err(if path == Path::new("/") {
            Errno::ISDIR
        } else {
            Errno::NOENT
        }
        .into())
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        if path == Path::new("/") {
            Ok(Vec::new())
        } else {
            Err(Errno::NOENT.into())
        }
    }

    fn read_link(&mut self, _: &Path) -> io::Result<PathBuf> {
        Err(Errno::NOENT.into())
    }

    fn access(&mut self, path: &Path, _: Access) -> bool {
        path == Path::new("/")
    }

    fn user_by_name(&mut self, name: &str) -> Option<User> {
        self.users().into_iter().find(|user| user.name == name)
    }

    fn user_by_id(&mut self, uid: u32) -> Option<User> {
        self.users().into_iter().find(|user| user.uid == uid)
    }

    fn group_by_name(&mut self, name: &str) -> Option<Group> {
        self.groups().into_iter().find(|group| group.name == name)
    }

    fn group_by_id(&mut self, gid: u32) -> Option<Group> {
        self.groups().into_iter().find(|group| group.gid == gid)
    }

    fn users(&mut self) -> Vec<User> {
        vec![
            user("root", 0, 0, "/root"),
            user("daemon", 1, 1, "/usr/sbin"),
            user("alice", 1000, 1000, "/home/alice"),
            user("nobody", 65534, 65534, "/nonexistent"),
        ]
    }

    fn groups(&mut self) -> Vec<Group> {
        let group = |(name, gid): (&str, u32)| Group {
            name: name.to_owned(),
            gid,
            members: Vec::new(),
        };
        [
            ("root", 0),
            ("daemon", 1),
            ("adm", 4),
            ("alice", 1000),
            ("nogroup", 65534),
        ]
        .map(group)
        .to_vec()
    }

    fn process(&mut self) -> Process {
        self.process.clone()
    }

    fn query(&mut self, command: &Command) -> io::Result<Output> {
        let line = command.argv.join(" ");
        let Some(answers) = self.answers.get_mut(&line) else {
            self.missed.push(line);
            return Err(Errno::NOENT.into());
        };
        self.ran.push(line);
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        answer.ok_or_else(|| Errno::NOENT.into())
    }

    fn now(&mut self) -> f64 {
        self.clock
    }

    fn sleep(&mut self, time: Duration) {
        self.clock += time.as_secs_f64();
    }

    fn connect(&mut self, host: &str, port: u16, _: Duration) -> io::Result<Box<dyn Stream>> {
        self.missed.push(format!("connect {host}:{port}"));
        Err(Errno::CONNREFUSED.into())
    }

    fn connect_unix(&mut self, path: &Path, _: Duration) -> io::Result<Box<dyn Stream>> {
        self.missed.push(format!("connect {}", path.display()));
        Err(Errno::CONNREFUSED.into())
    }

    fn write(&mut self, _: &Path, _: Content<'_>, _: &Attrs) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn make_dir(&mut self, _: &Path, _: Option<u32>) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn symlink(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn hard_link(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn remove(&mut self, _: &Path, _: bool) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn rename(&mut self, _: &Path, _: &Path) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn chmod(&mut self, _: &Path, _: u32, _: bool) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn chown(&mut self, _: &Path, _: Option<u32>, _: Option<u32>, _: bool) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn set_times(
        &mut self,
        _: &Path,
        _: Option<(i64, u32)>,
        _: Option<(i64, u32)>,
    ) -> io::Result<()> {
        Err(Errno::ROFS.into())
    }

    fn run(&mut self, command: &Command) -> io::Result<Ran> {
        self.query(command).map(Ran::Done)
    }

    fn assume(&mut self, _: Change) {}

    fn assumed(&mut self, _: &str) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(machine: &mut Memory, path: &str) -> Option<(FileKind, u32)> {
        machine
            .stat(Path::new(path), true)
            .unwrap()
            .map(|stat| (stat.kind, stat.mode))
    }

    #[test]
    fn files_folders_and_links() {
        let mut machine = Memory::small();
        let path = Path::new("/tmp/a/f");
        assert_eq!(
            machine
                .write(path, Content::Bytes(b"x"), &Attrs::default())
                .unwrap_err()
                .raw_os_error(),
            Some(2)
        );
        machine.make_dir(Path::new("/tmp/a"), None).unwrap();
        machine
            .write(
                path,
                Content::Bytes(b"x"),
                &Attrs {
                    mode: Some(0o600),
                    ..Attrs::default()
                },
            )
            .unwrap();
        machine
            .symlink(Path::new("a"), Path::new("/tmp/l"))
            .unwrap();
        assert_eq!(machine.read(Path::new("/tmp/l/../a/./f")).unwrap(), b"x");
        assert_eq!(
            show(&mut machine, "/tmp/l/f"),
            Some((FileKind::File, 0o600))
        );
        assert_eq!(show(&mut machine, "/tmp/l/f/x"), None);
        assert!(machine.remove(Path::new("/tmp/a"), false).is_err());
        machine
            .rename(Path::new("/tmp/a"), Path::new("/tmp/b"))
            .unwrap();
        assert_eq!(machine.list(Path::new("/tmp")).unwrap(), ["b", "l"]);
        assert_eq!(machine.read(Path::new("/tmp/b/f")).unwrap(), b"x");
        machine.remove(Path::new("/tmp/b"), true).unwrap();
        machine.make_dir(Path::new("/tmp/b"), None).unwrap();
        assert!(machine.list(Path::new("/tmp/b")).unwrap().is_empty());
    }

    #[test]
    fn check_mode_over_memory_changes_nothing_below() {
        let mut below = Memory::small();
        below.make_dir(Path::new("/tmp/d"), None).unwrap();
        below
            .write(
                Path::new("/tmp/d/f"),
                Content::Bytes(b"old"),
                &Attrs::default(),
            )
            .unwrap();
        let mut check = Overlay::new(below);
        check.chmod(Path::new("/tmp/d"), 0o700, true).unwrap();
        check
            .write(
                Path::new("/tmp/d/g"),
                Content::CopyOf(Path::new("/tmp/d/f")),
                &Attrs::default(),
            )
            .unwrap();
        assert_eq!(check.list(Path::new("/tmp/d")).unwrap(), ["f", "g"]);
        assert_eq!(check.read(Path::new("/tmp/d/g")).unwrap(), b"old");
        check.remove(Path::new("/tmp/d"), true).unwrap();
        check.make_dir(Path::new("/tmp/d"), None).unwrap();
        assert!(check.list(Path::new("/tmp/d")).unwrap().is_empty());
        let changes = check.take_changes();
        assert_eq!(check.below().list(Path::new("/tmp/d")).unwrap(), ["f"]);
        let mut other = Overlay::new(Memory::small());
        other.absorb(changes);
        assert!(other.list(Path::new("/tmp/d")).unwrap().is_empty());
        assert_eq!(check.run(&Command::new(["true"])).unwrap(), Ran::Predicted);
    }
}
