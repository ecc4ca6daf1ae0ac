//! Check mode: a machine over another one that records changes instead of performing them.

mod tree;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;

use super::{
    Access, Attrs, Change, Command, Content, FileKind, Group, Machine, Output, Process, Ran,
    Scratch, Source, Stat, Stream, User,
};
use crate::order::Sorted;
use tree::{Entry, Node, Text};

/// Looks see the machine below with the recorded changes applied.
#[derive(Debug)]
pub struct Overlay<M> {
    below: M,
    /// By resolved path.
    nodes: BTreeMap<PathBuf, Entry>,
    users: Sorted<String, Option<User>>,
    groups: Sorted<String, Option<Group>>,
    facts: Sorted<String, Option<String>>,
    fresh: Vec<Change>,
    next_ino: u64,
    /// Whether programs that change something are predicted, not run.
    predicts: bool,
}

impl<M: Machine> Overlay<M> {
    /// Check mode over a machine; no change recorded yet.
    pub fn new(below: M) -> Self {
        Self {
            below,
            nodes: BTreeMap::new(),
            users: Sorted::default(),
            groups: Sorted::default(),
            facts: Sorted::default(),
            fresh: Vec::new(),
            // Beyond the numbers of real inodes, and different for every new one.
            next_ino: 1 << 48,
            predicts: true,
        }
    }

    /// A machine whose files live here, while programs are run by the machine below.
    pub(super) fn performing(below: M) -> Self {
        Self {
            predicts: false,
            ..Self::new(below)
        }
    }

    /// The machine below.
    pub fn below(&mut self) -> &mut M {
        &mut self.below
    }

    /// Takes over changes that another overlay of the same machine recorded.
    pub fn absorb(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.apply(change);
        }
    }

    /// What was recorded since the last time.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.fresh)
    }

    fn record(&mut self, change: Change) {
        self.fresh.push(change.clone());
        self.apply(change);
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Node {
                path,
                stat,
                content,
            } => {
                let text = content.map_or(Text::Below(path.clone()), Text::Bytes);
                self.put(path, stat, text);
            }
            Change::Gone(path) => self.hide(path),
            Change::User(user) => {
                self.users.insert(user.name.clone(), Some(user));
            }
            Change::UserGone(name) => {
                self.users.insert(name, None);
            }
            Change::Group(group) => {
                self.groups.insert(group.name.clone(), Some(group));
            }
            Change::GroupGone(name) => {
                self.groups.insert(name, None);
            }
            Change::Fact(key, value) => {
                self.facts.insert(key, value);
            }
        }
    }

    /// Changes the attributes of what is at a path.
    fn change_stat(
        &mut self,
        path: &Path,
        follow: bool,
        change: impl FnOnce(&mut Stat),
    ) -> io::Result<()> {
        let path = self.resolve(path, follow)?;
        let mut stat = self.look(&path)?.ok_or(Errno::NOENT)?;
        change(&mut stat);
        stat.ctime = self.clock();
        let text = match self.nodes.get(&path) {
            Some(Some(Node { text, .. })) => text.clone(),
            _ if stat.kind == FileKind::Link => Text::Bytes(self.target(&path)?),
            _ => Text::Below(path.clone()),
        };
        self.record_node(path, stat, text);
        Ok(())
    }

    fn clock(&mut self) -> (i64, u32) {
        let now = Duration::from_secs_f64(self.below.now().max(0.0));
        (
            i64::try_from(now.as_secs()).unwrap_or(0),
            now.subsec_nanos(),
        )
    }

    /// An inode that is new in the folder `parent`.
    fn new_stat(&mut self, parent: &Stat, kind: FileKind, mode: u32, size: usize) -> Stat {
        let (process, now) = (self.below.process(), self.clock());
        self.next_ino += 1;
        // A folder's set-group-id bit hands down the group, and to folders the bit itself.
        let inherits = parent.mode & 0o2000 != 0;
        let directory = kind == FileKind::Directory;
        let size = if directory { 4096 } else { size as u64 };
        Stat {
            kind,
            mode: if inherits && directory {
                mode | 0o2000
            } else {
                mode
            },
            uid: process.uid,
            gid: if inherits { parent.gid } else { process.gid },
            size,
            dev: parent.dev,
            ino: self.next_ino,
            nlink: if directory { 2 } else { 1 },
            atime: now,
            mtime: now,
            ctime: now,
            blocks: size.div_ceil(4096) * 8,
            block_size: 4096,
            rdev: 0,
        }
    }

    /// The content of what [`Machine::write`] is given, with its size.
    fn content(&mut self, content: Content<'_>) -> io::Result<(Text, usize)> {
        let source = match content {
            Content::Bytes(bytes) => return Ok((Text::Bytes(bytes.to_vec()), bytes.len())),
            Content::CopyOf(source) | Content::Take(source) => self.resolve(source, true)?,
        };
        let stat = self.look(&source)?.ok_or(Errno::NOENT)?;
        let text = self.text(&source)?;
        Ok((text, usize::try_from(stat.size).unwrap_or(usize::MAX)))
    }

    /// Records something new at `path`, which replaces a file or link that is there.
    fn replace(&mut self, path: PathBuf, stat: Stat, text: Text) -> io::Result<()> {
        if self
            .look(&path)?
            .is_some_and(|old| old.kind == FileKind::Directory)
        {
            return Err(Errno::ISDIR.into());
        }
        self.record_node(path, stat, text);
        Ok(())
    }
}

impl<M: Machine> Machine for Overlay<M> {
    fn stat(&mut self, path: &Path, follow: bool) -> io::Result<Option<Stat>> {
        let path = match self.resolve(path, follow) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            resolved => resolved?,
        };
        self.look(&path)
    }

    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.resolve(path, true)?;
        match self.look(&path)?.ok_or(Errno::NOENT)?.kind {
            FileKind::Directory => Err(Errno::ISDIR.into()),
            _ => match self.text(&path)? {
                Text::Bytes(bytes) => Ok(bytes),
                Text::Below(path) => self.below.read(&path),
            },
        }
    }

    fn open(&mut self, path: &Path) -> io::Result<Box<dyn Source>> {
        let resolved = self.resolve(path, true)?;
        let is_directory = self.look(&resolved)?.ok_or(Errno::NOENT)?.kind == FileKind::Directory;
        match self.text(&resolved) {
            Ok(Text::Below(path)) if !is_directory => self.below.open(&path),
            _ => Ok(Box::new(io::Cursor::new(self.read(path)?))),
        }
    }

    fn list(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        let path = self.resolve(path, true)?;
        self.names(&path)
    }

    fn read_link(&mut self, path: &Path) -> io::Result<PathBuf> {
        let path = self.resolve(path, false)?;
        match self.look(&path)?.ok_or(Errno::NOENT)?.kind {
            FileKind::Link => self.target(&path).map(tree::path_of),
            _ => Err(Errno::INVAL.into()),
        }
    }

    fn access(&mut self, path: &Path, access: Access) -> bool {
        let Ok(path) = self.resolve(path, true) else {
            return false;
        };
        if !self.nodes.contains_key(&path) && self.shows_below(&path) {
            return self.below.access(&path, access);
        }
        let process = self.below.process();
        self.look(&path)
            .ok()
            .flatten()
            .is_some_and(|stat| tree::permits(&stat, &process, access))
    }

    fn user_by_name(&mut self, name: &str) -> Option<User> {
        self.users
            .get(name)
            .cloned()
            .unwrap_or_else(|| self.below.user_by_name(name))
    }

    fn user_by_id(&mut self, uid: u32) -> Option<User> {
        let known = self
            .users
            .values()
            .flatten()
            .find(|user| user.uid == uid)
            .cloned();
        known.or_else(|| {
            self.below
                .user_by_id(uid)
                .filter(|user| !self.users.contains_key(&user.name))
        })
    }

    fn group_by_name(&mut self, name: &str) -> Option<Group> {
        self.groups
            .get(name)
            .cloned()
            .unwrap_or_else(|| self.below.group_by_name(name))
    }

    fn group_by_id(&mut self, gid: u32) -> Option<Group> {
        let known = self
            .groups
            .values()
            .flatten()
            .find(|group| group.gid == gid)
            .cloned();
        known.or_else(|| {
            self.below
                .group_by_id(gid)
                .filter(|group| !self.groups.contains_key(&group.name))
        })
    }

    fn users(&mut self) -> Vec<User> {
        let mut users = self.below.users();
        users.retain(|user| !self.users.contains_key(&user.name));
        users.extend(self.users.values().flatten().cloned());
        users
    }

    fn groups(&mut self) -> Vec<Group> {
        let mut groups = self.below.groups();
        groups.retain(|group| !self.groups.contains_key(&group.name));
        groups.extend(self.groups.values().flatten().cloned());
        groups
    }

    fn process(&mut self) -> Process {
        self.below.process()
    }

    fn query(&mut self, command: &Command) -> io::Result<Output> {
        self.below.query(command)
    }

    fn now(&mut self) -> f64 {
        self.below.now()
    }

    fn sleep(&mut self, time: Duration) {
        self.below.sleep(time);
    }

    fn connect(&mut self, host: &str, port: u16, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        self.below.connect(host, port, timeout)
    }

    fn connect_unix(&mut self, path: &Path, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        self.below.connect_unix(path, timeout)
    }

    fn write(&mut self, path: &Path, content: Content<'_>, attrs: &Attrs) -> io::Result<()> {
        let (text, size) = self.content(content)?;
        let old = self
            .stat(path, false)?
            .filter(|old| old.kind == FileKind::File);
        let (path, parent) = self.place(path)?;
        let umask = self.below.process().umask;
        let mode = attrs
            .mode
            .or(old.as_ref().map(|old| old.mode))
            .unwrap_or(0o666 & !umask);
        let mut stat = self.new_stat(&parent, FileKind::File, mode, size);
        if let Some(old) = old {
            (stat.uid, stat.gid) = (old.uid, old.gid);
        }
        stat.uid = attrs.uid.unwrap_or(stat.uid);
        stat.gid = attrs.gid.unwrap_or(stat.gid);
        self.replace(path, stat, text)?;
        match content {
            Content::Take(source) if self.below.stat(source, false)?.is_none() => {
                self.remove(source, false)
            }
            // A real file is left alone, also by prediction: whoever made it clears it away.
            _ => Ok(()),
        }
    }

    fn scratch(&mut self, _: &Path) -> io::Result<Option<Box<dyn Scratch>>> {
        Ok((!self.predicts).then(|| Box::new(io::Cursor::new(Vec::new())) as Box<dyn Scratch>))
    }

    fn make_dir(&mut self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        let (path, parent) = self.place(path)?;
        if self.look(&path)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        let umask = self.below.process().umask;
        let mut stat = self.new_stat(&parent, FileKind::Directory, 0o777 & !umask, 0);
        stat.mode = mode.unwrap_or(stat.mode);
        self.record_node(path, stat, Text::Bytes(Vec::new()));
        Ok(())
    }

    fn symlink(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        let (path, parent) = self.place(path)?;
        let target = tree::bytes_of(target);
        let stat = self.new_stat(&parent, FileKind::Link, 0o777, target.len());
        self.replace(path, stat, Text::Bytes(target))
    }

    fn hard_link(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        let target = self.resolve(target, false)?;
        let mut stat = self.look(&target)?.ok_or(Errno::NOENT)?;
        if stat.kind == FileKind::Directory {
            return Err(Errno::PERM.into());
        }
        let text = if stat.kind == FileKind::Link {
            Text::Bytes(self.target(&target)?)
        } else {
            self.text(&target)?
        };
        let (path, _) = self.place(path)?;
        stat.nlink += 1;
        self.replace(path, stat.clone(), text.clone())?;
        self.record_node(target, stat, text);
        Ok(())
    }

    fn remove(&mut self, path: &Path, recursive: bool) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        let stat = self.look(&path)?.ok_or(Errno::NOENT)?;
        if stat.kind == FileKind::Directory && !recursive && !self.names(&path)?.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        self.record(Change::Gone(path));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let from = self.resolve(from, false)?;
        let (to, _) = self.place(to)?;
        let stat = self.look(&from)?.ok_or(Errno::NOENT)?;
        match self.look(&to)?.map(|old| old.kind) {
            Some(_) if from == to => return Ok(()),
            Some(FileKind::Directory) if stat.kind != FileKind::Directory => {
                return Err(Errno::ISDIR.into());
            }
            Some(FileKind::Directory) if !self.names(&to)?.is_empty() => {
                return Err(Errno::NOTEMPTY.into());
            }
            Some(kind) if kind != FileKind::Directory && stat.kind == FileKind::Directory => {
                return Err(Errno::NOTDIR.into());
            }
            _ if to.starts_with(&from) => return Err(Errno::INVAL.into()),
            _ => {}
        }
        let tree = self.collect(&from)?;
        self.record(Change::Gone(to.clone()));
        for (path, stat, text) in tree {
            let path = path
                .strip_prefix(&from)
                .map_or_else(|_| to.clone(), |rest| to.join(rest));
            // Joining an empty rest leaves a slash at the end.
            self.record_node(path.components().collect(), stat, text);
        }
        self.record(Change::Gone(from));
        Ok(())
    }

    fn chmod(&mut self, path: &Path, mode: u32, follow: bool) -> io::Result<()> {
        if !follow
            && self
                .stat(path, false)?
                .is_some_and(|stat| stat.kind == FileKind::Link)
        {
            return Err(Errno::OPNOTSUPP.into());
        }
        self.change_stat(path, true, |stat| stat.mode = mode & 0o7777)
    }

    fn chown(
        &mut self,
        path: &Path,
        uid: Option<u32>,
        gid: Option<u32>,
        follow: bool,
    ) -> io::Result<()> {
        self.change_stat(path, follow, |stat| {
            if (uid, gid) != (None, None) && stat.kind == FileKind::File {
                // As the system does: set-id bits do not survive a new owner.
                stat.mode &= if stat.mode & 0o010 == 0 {
                    !0o4000
                } else {
                    !0o6000
                };
            }
            stat.uid = uid.unwrap_or(stat.uid);
            stat.gid = gid.unwrap_or(stat.gid);
        })
    }

    fn set_times(
        &mut self,
        path: &Path,
        atime: Option<(i64, u32)>,
        mtime: Option<(i64, u32)>,
    ) -> io::Result<()> {
        self.change_stat(path, true, |stat| {
            stat.atime = atime.unwrap_or(stat.atime);
            stat.mtime = mtime.unwrap_or(stat.mtime);
        })
    }

    fn run(&mut self, command: &Command) -> io::Result<Ran> {
        if self.predicts {
            Ok(Ran::Predicted)
        } else {
            self.below.run(command)
        }
    }

    fn predicts(&self) -> bool {
        true
    }

    fn assume(&mut self, change: Change) {
        self.record(change);
    }

    fn assumed(&mut self, key: &str) -> Option<String> {
        self.facts
            .get(key)
            .map(|value| value.clone().unwrap_or_default())
    }
}
