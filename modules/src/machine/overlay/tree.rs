//! The tree of files that an overlay shows: recorded nodes over the tree of the machine below.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::Overlay;
use crate::machine::{Access, Change, FileKind, Machine, Process, Stat};

/// How many symbolic links one path may lead through, as in Linux.
const MAX_LINKS: u32 = 40;

/// The largest content that is handed on to the host's other agents, in bytes.
const MAX_SHARED: usize = 4 << 20;

/// What is recorded for a path; `None`: it is gone, with everything below it.
pub(super) type Entry = Option<Node>;

/// A recorded inode.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) stat: Stat,
    pub(super) text: Text,
    /// A directory that is new: what the machine below has there does not show through.
    opaque: bool,
}

/// The content of a file, or the target of a link.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the machine below has at this path.
    Below(PathBuf),
}

impl<M: Machine> Overlay<M> {
    /// The path without links, dots and relative parts. What is missing is appended as written.
    pub(super) fn resolve(&mut self, path: &Path, follow: bool) -> io::Result<PathBuf> {
        let mut links = 0;
        // A slash at the end asks for a directory.
        let wants_directory = path.as_os_str().as_bytes().ends_with(b"/");
        let follow = follow || wants_directory;
        let path = if path.is_absolute() {
            path.to_owned()
        } else {
            self.below.process().cwd.join(path)
        };
        let mut rest: Vec<OsString> = parts(&path);
        let mut resolved = PathBuf::from("/");
        while let Some(part) = rest.pop() {
            if part == ".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&part);
            let kind = self.look(&next)?.map(|stat| stat.kind);
            if kind == Some(FileKind::Link) && (follow || !rest.is_empty()) {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                let target = path_of(self.target(&next)?);
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                rest.extend(parts(&target));
                continue;
            }
            if (!rest.is_empty() || wants_directory)
                && kind.is_some_and(|kind| kind != FileKind::Directory)
            {
                return Err(Errno::NOTDIR.into());
            }
            resolved = next;
        }
        Ok(resolved)
    }

    /// Where something new at `path` goes, and the folder that it goes to.
    pub(super) fn place(&mut self, path: &Path) -> io::Result<(PathBuf, Stat)> {
        let path = self.resolve(path, false)?;
        let parent = path.parent().ok_or(Errno::EXIST)?.to_owned();
        let stat = self.look(&parent)?.ok_or(Errno::NOENT)?;
        if stat.kind == FileKind::Directory {
            Ok((path, stat))
        } else {
            Err(Errno::NOTDIR.into())
        }
    }

    /// The inode at a resolved path.
    pub(super) fn look(&mut self, path: &Path) -> io::Result<Option<Stat>> {
        match self.nodes.get(path) {
            Some(entry) => Ok(entry.as_ref().map(|node| node.stat.clone())),
            None if self.shows_below(path) => self.below.stat(path, false),
            None => Ok(None),
        }
    }

    /// Whether the folders of a resolved path let the machine below show through.
    pub(super) fn shows_below(&self, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .all(|folder| match self.nodes.get(folder) {
                None => true,
                Some(None) => false,
                Some(Some(node)) => node.stat.kind == FileKind::Directory && !node.opaque,
            })
    }

    /// The content of a file at a resolved path.
    pub(super) fn text(&mut self, path: &Path) -> io::Result<Text> {
        match self.nodes.get(path) {
            Some(Some(node)) => Ok(node.text.clone()),
            Some(None) => Err(Errno::NOENT.into()),
            None => Ok(Text::Below(path.to_owned())),
        }
    }

    /// The target of a link at a resolved path.
    pub(super) fn target(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        match self.text(path)? {
            Text::Bytes(bytes) => Ok(bytes),
            Text::Below(path) => self.below.read_link(&path).map(|target| bytes_of(&target)),
        }
    }

    /// The names in the folder at a resolved path.
    pub(super) fn names(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        if self.look(path)?.ok_or(Errno::NOENT)?.kind != FileKind::Directory {
            return Err(Errno::NOTDIR.into());
        }
        let shows = match self.nodes.get(path) {
            Some(Some(node)) => !node.opaque && self.shows_below(path),
            _ => true,
        };
        let mut names = if shows {
            self.list_below(path)?
        } else {
            Vec::new()
        };
        names.retain(|name| !self.nodes.contains_key(&path.join(name)));
        let recorded = self
            .nodes
            .range(path.to_owned()..)
            .take_while(|(child, _)| child.starts_with(path));
        let present =
            recorded.filter(|(child, entry)| entry.is_some() && child.parent() == Some(path));
        names.extend(
            present
                .filter_map(|(child, _)| child.file_name())
                .map(OsStr::to_owned),
        );
        crate::order::sort(&mut names);
        Ok(names)
    }

    /// A folder that was recorded for its attributes alone may be missing below.
    fn list_below(&mut self, path: &Path) -> io::Result<Vec<OsString>> {
        match self.below.list(path) {
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && self.nodes.contains_key(path) =>
            {
                Ok(Vec::new())
            }
            names => names,
        }
    }

    /// Everything at and below a resolved path, folders before what they hold.
    pub(super) fn collect(&mut self, path: &Path) -> io::Result<Vec<(PathBuf, Stat, Text)>> {
        let mut tree = Vec::new();
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let stat = self.look(&path)?.ok_or(Errno::NOENT)?;
            let text = match stat.kind {
                FileKind::Directory => {
                    open.extend(self.names(&path)?.into_iter().map(|name| path.join(name)));
                    Text::Bytes(Vec::new())
                }
                FileKind::Link => Text::Bytes(self.target(&path)?),
                _ => self.text(&path)?,
            };
            tree.push((path, stat, text));
        }
        Ok(tree)
    }

    /// Records an inode, here and for the host's other agents.
    pub(super) fn record_node(&mut self, path: PathBuf, stat: Stat, text: Text) {
        let content = match &text {
            Text::Bytes(bytes) => Some(bytes.clone()),
            Text::Below(source) if *source == path => None,
            Text::Below(_) if stat.size > MAX_SHARED as u64 => None,
            Text::Below(source) => self.below.read(source).ok(),
        };
        let content = content.filter(|bytes| bytes.len() <= MAX_SHARED);
        self.fresh.push(Change::Node {
            path: path.clone(),
            stat: stat.clone(),
            content,
        });
        self.put(path, stat, text);
    }

    /// Shows an inode at a path.
    pub(super) fn put(&mut self, path: PathBuf, stat: Stat, text: Text) {
        let opaque = match self.nodes.get(&path) {
            Some(None) => true,
            Some(Some(node)) => node.opaque || node.stat.kind != FileKind::Directory,
            None => false,
        };
        self.nodes.insert(path, Some(Node { stat, text, opaque }));
    }

    /// Shows nothing at a path and below it.
    pub(super) fn hide(&mut self, path: PathBuf) {
        let children = self
            .nodes
            .range(path.clone()..)
            .take_while(|(child, _)| child.starts_with(&path));
        let children: Vec<PathBuf> = children.map(|(child, _)| child.clone()).collect();
        for child in children {
            self.nodes.remove(&child);
        }
        self.nodes.insert(path, None);
    }
}

/// Whether an inode's permission bits let the process through.
pub(super) fn permits(stat: &Stat, process: &Process, access: Access) -> bool {
    let bit = match access {
        Access::Read => 4,
        Access::Write => 2,
        Access::Execute => 1,
    };
    if process.uid == 0 {
        return access != Access::Execute
            || stat.kind == FileKind::Directory
            || stat.mode & 0o111 != 0;
    }
    let shift = match () {
        () if stat.uid == process.uid => 6,
        () if stat.gid == process.gid || process.groups.contains(&stat.gid) => 3,
        () => 0,
    };
    (stat.mode >> shift) & bit != 0
}

/// The parts of a path in reverse, so that the next one is popped.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.collect()
}

/// A path from the bytes of a link.
pub(super) fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// The bytes of a path.
pub(super) fn bytes_of(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
