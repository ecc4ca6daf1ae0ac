//! What the layers of an image add up to: one tree, whose files point into the unpacked layers.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Seek};

use super::{Error, Result};

/// The longest path that an image may have; Linux takes no longer ones.
const MAX_PATH: usize = 4096;
/// Symbolic links that are followed on the way to one entry.
const MAX_LINKS: usize = 64;

/// A name in a directory. Names are bytes, not text.
pub(crate) type Name = Vec<u8>;

/// A file, directory, link or device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its owner, mode and time.
    pub(crate) meta: Meta,
    /// The layer that it comes from; see [`Node::hide_below`].
    layer: usize,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Directory(BTreeMap<Name, Node>),
    /// A file in an unpacked layer.
    File {
        /// The number of the layer.
        layer: usize,
        /// Where its bytes begin.
        offset: u64,
        /// How many there are.
        size: u64,
    },
    /// A file that is made here.
    Text(Vec<u8>),
    /// A symbolic link.
    Link(Vec<u8>),
    /// A character device.
    Char(u32),
    /// A block device.
    Block(u32),
    /// A FIFO.
    Fifo,
}

/// Owner, mode and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Permission bits with set-id and sticky bits.
    pub(crate) mode: u16,
    /// The owner.
    pub(crate) uid: u32,
    /// The group.
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) mtime: u32,
}

impl Meta {
    /// Root's, with this mode.
    pub(crate) fn root(mode: u16) -> Self {
        Self {
            mode,
            uid: 0,
            gid: 0,
            mtime: 0,
        }
    }
}

impl Node {
    /// An empty directory of root's.
    pub(crate) fn directory(mode: u16) -> Self {
        Self {
            kind: Kind::Directory(BTreeMap::new()),
            meta: Meta::root(mode),
            layer: 0,
        }
    }

    /// The node at a path of names; links are not followed.
    pub(crate) fn get(&self, path: &[Name]) -> Option<&Node> {
        path.iter().try_fold(self, |node, name| match &node.kind {
            Kind::Directory(children) => children.get(name),
            _ => None,
        })
    }

    /// Adds a node unless something is there; missing directories on the way are made.
    pub(crate) fn add_missing(&mut self, path: &str, kind: Kind, mode: u16) {
        let Ok((path, name)) = self.locate(path.as_bytes()) else {
            return;
        };
        let parent = self.children_at(&path, 0);
        parent.entry(name).or_insert(Node {
            kind,
            meta: Meta::root(mode),
            layer: 0,
        });
    }

    /// Adds a node in place of what is there.
    pub(crate) fn add(&mut self, path: &str, kind: Kind, mode: u16) {
        let Ok((path, name)) = self.locate(path.as_bytes()) else {
            return;
        };
        self.children_at(&path, 0).insert(
            name,
            Node {
                kind,
                meta: Meta::root(mode),
                layer: 0,
            },
        );
    }

    /// The directory in which a path really ends, links on the way followed inside of the tree,
    /// and its last name.
    fn locate(&self, path: &[u8]) -> Result<(Vec<Name>, Name)> {
        let shown = || String::from_utf8_lossy(path).into_owned();
        let mut names = names(path)
            .ok_or_else(|| Error::new(format!("the path `{}` leads out of it", shown())))?;
        let last = names.pop().unwrap_or_default();
        let mut ahead = VecDeque::from(names);
        let mut real: Vec<Name> = Vec::new();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            match name.as_slice() {
                b"." => continue,
                b".." => {
                    real.pop();
                    continue;
                }
                _ => real.push(name),
            }
            if let Some(Node {
                kind: Kind::Link(target),
                ..
            }) = self.get(&real)
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::new(format!(
                        "the path `{}` has too many links",
                        shown()
                    )));
                }
                real.pop();
                if target.starts_with(b"/") {
                    real.clear();
                }
                for part in target
                    .split(|byte| *byte == b'/')
                    .filter(|part| !part.is_empty())
                    .rev()
                {
                    ahead.push_front(part.to_vec());
                }
            }
        }
        Ok((real, last))
    }

    /// The children of a directory; it is made, and takes the place of a file, where it must.
    fn children_at(&mut self, path: &[Name], layer: usize) -> &mut BTreeMap<Name, Node> {
        let mut children = self.children(layer);
        for name in path {
            let fresh = || Node {
                layer,
                ..Node::directory(0o755)
            };
            children = children
                .entry(name.clone())
                .or_insert_with(fresh)
                .children(layer);
        }
        children
    }

    fn children(&mut self, layer: usize) -> &mut BTreeMap<Name, Node> {
        if !matches!(self.kind, Kind::Directory(_)) {
            *self = Node {
                layer,
                ..Node::directory(0o755)
            };
        }
        match &mut self.kind {
            Kind::Directory(children) => children,
            // The line above has made it a directory.
            _ => unreachable!(),
        }
    }

    /// Drops what comes from layers below, and says whether anything is left. A whiteout hides
    /// only lower layers: its own layer's entries stay, in whichever order they come.
    fn hide_below(&mut self, layer: usize) -> bool {
        if let Kind::Directory(children) = &mut self.kind {
            children.retain(|_, child| child.hide_below(layer));
            if !children.is_empty() {
                return true;
            }
        }
        self.layer == layer
    }
}

/// The names of a path; nothing for one that climbs with `..`.
fn names(path: &[u8]) -> Option<Vec<Name>> {
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    parts
        .map(|part| (part != b"..").then(|| part.to_vec()))
        .collect()
}

/// Adds a layer's tar file to the tree below it.
pub(crate) fn apply(root: &mut Node, number: usize, tar: &mut (impl Read + Seek)) -> Result<()> {
    let damaged = |error: std::io::Error| Error::new(format!("its tar file is damaged: {error}"));
    tar.rewind().map_err(damaged)?;
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = entry.path_bytes().into_owned();
        if path.len() > MAX_PATH {
            return Err(Error::new("it has a path that is longer than Linux takes"));
        }
        add_entry(root, number, &path, &entry)?;
    }
    Ok(())
}

fn add_entry<R: Read>(
    root: &mut Node,
    number: usize,
    path: &[u8],
    entry: &tar::Entry<'_, R>,
) -> Result<()> {
    let (parent, name) = root.locate(path)?;
    if name.is_empty() {
        // The root itself: its mode and owner count, its children stay.
        root.meta = meta(entry)?;
        return Ok(());
    }
    if name == b".wh..wh..opq" {
        root.children_at(&parent, number)
            .retain(|_, child| child.hide_below(number));
        return Ok(());
    }
    if name.starts_with(b".wh..wh.") {
        return Ok(());
    }
    if let Some(hidden) = name.strip_prefix(b".wh.") {
        let children = root.children_at(&parent, number);
        if children
            .get_mut(hidden)
            .is_some_and(|node| !node.hide_below(number))
        {
            children.remove(hidden);
        }
        return Ok(());
    }
    let node = match entry.header().entry_type() {
        tar::EntryType::XGlobalHeader => return Ok(()),
        tar::EntryType::Directory => {
            let children = root.children_at(&parent, number);
            let node = children
                .entry(name)
                .or_insert_with(|| Node::directory(0o755));
            // A directory over a directory adds to it; over anything else it takes its place.
            node.children(number);
            node.meta = meta(entry)?;
            node.layer = number;
            return Ok(());
        }
        tar::EntryType::Link => Node {
            layer: number,
            ..linked(root, path, entry)?
        },
        _ => Node {
            kind: kind(number, path, entry)?,
            meta: meta(entry)?,
            layer: number,
        },
    };
    root.children_at(&parent, number).insert(name, node);
    Ok(())
}

/// What an entry is that is neither a directory nor a second name of a file.
fn kind<R: Read>(number: usize, path: &[u8], entry: &tar::Entry<'_, R>) -> Result<Kind> {
    let shown = || String::from_utf8_lossy(path).into_owned();
    let header = entry.header();
    let device = || -> std::io::Result<u32> {
        let (major, minor) = (
            header.device_major()?.unwrap_or(0),
            header.device_minor()?.unwrap_or(0),
        );
        // The form in which Linux writes a device number of 32 bits.
        Ok((minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12)
    };
    let damaged =
        |error: std::io::Error| Error::new(format!("its entry `{}` is damaged: {error}", shown()));
    Ok(match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File {
            layer: number,
            offset: entry.raw_file_position(),
            size: entry.size(),
        },
        tar::EntryType::Symlink => Kind::Link(target(entry)),
        tar::EntryType::Char => Kind::Char(device().map_err(damaged)?),
        tar::EntryType::Block => Kind::Block(device().map_err(damaged)?),
        tar::EntryType::Fifo => Kind::Fifo,
        other => {
            return Err(Error::new(format!(
                "its entry `{}` is of the unknown kind {other:?}",
                shown()
            )));
        }
    })
}

fn target<R: Read>(entry: &tar::Entry<'_, R>) -> Vec<u8> {
    entry
        .link_name_bytes()
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default()
}

/// The file of which an entry is a second name.
fn linked<R: Read>(root: &Node, path: &[u8], entry: &tar::Entry<'_, R>) -> Result<Node> {
    let target = target(entry);
    let (mut real, last) = root.locate(&target)?;
    real.push(last);
    let linked = root
        .get(&real)
        .filter(|node| !matches!(node.kind, Kind::Directory(_)))
        .cloned();
    linked.ok_or_else(|| {
        let (path, target) = (
            String::from_utf8_lossy(path),
            String::from_utf8_lossy(&target),
        );
        Error::new(format!(
            "its entry `{path}` links to `{target}`, which is not there"
        ))
    })
}

fn meta<R: Read>(entry: &tar::Entry<'_, R>) -> Result<Meta> {
    let damaged = |error: std::io::Error| Error::new(format!("its tar file is damaged: {error}"));
    let header = entry.header();
    // Some writers leave these fields blank, which means zero.
    let number = |field: std::io::Result<u64>| {
        field
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0)
    };
    Ok(Meta {
        mode: (header.mode().map_err(damaged)? & 0o7777) as u16,
        uid: number(header.uid()),
        gid: number(header.gid()),
        mtime: number(header.mtime()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dir/`, `file=text`, `link>target`, `hard=>target`, in order.
    fn layer(entries: &[&str]) -> std::io::Cursor<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(0);
            if let Some((path, target)) = entry.split_once("=>") {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            } else if let Some((path, target)) = entry.split_once('>') {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            } else if entry.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                builder.append_data(&mut header, entry, &b""[..]).unwrap();
            } else {
                let (path, text) = entry.split_once('=').unwrap_or((entry, ""));
                header.set_size(text.len() as u64);
                builder
                    .append_data(&mut header, path, text.as_bytes())
                    .unwrap();
            }
        }
        std::io::Cursor::new(builder.into_inner().unwrap())
    }

    fn list(node: &Node, prefix: &str, out: &mut Vec<String>) {
        let Kind::Directory(children) = &node.kind else {
            return;
        };
        for (name, child) in children {
            let path = format!("{prefix}{}", String::from_utf8_lossy(name));
            match &child.kind {
                Kind::Directory(_) => {
                    out.push(format!("{path}/"));
                    list(child, &format!("{path}/"), out);
                }
                Kind::Link(target) => {
                    out.push(format!("{path}>{}", String::from_utf8_lossy(target)))
                }
                Kind::File { layer, size, .. } => out.push(format!("{path}@{layer}:{size}")),
                other => out.push(format!("{path} {other:?}")),
            }
        }
    }

    fn tree(layers: &[&[&str]]) -> Result<String> {
        let mut root = Node::directory(0o755);
        for (number, entries) in layers.iter().enumerate() {
            apply(&mut root, number, &mut layer(entries))?;
        }
        let mut out = Vec::new();
        list(&root, "", &mut out);
        Ok(out.join(" "))
    }

    #[test]
    fn layers_add_replace_and_hide() {
        assert_eq!(
            tree(&[&["a/", "a/x=1", "a/y=1"], &["a/x=22", "a/.wh.y"]]).unwrap(),
            "a/ a/x@1:2"
        );
        // The file that takes the whiteout's place stays, whichever comes first.
        assert_eq!(tree(&[&["y=1"], &["y=22", ".wh.y"]]).unwrap(), "y@1:2");
        assert_eq!(
            tree(&[&["a/", "a/x=1"], &["a/new=1", "a/.wh..wh..opq"]]).unwrap(),
            "a/ a/new@1:1"
        );
        assert_eq!(tree(&[&["a/", "a/b/", "a/b/c=1"], &[".wh.a"]]).unwrap(), "");
        // A file over a directory, and a directory over a file.
        assert_eq!(tree(&[&["a/", "a/x=1"], &["a=1"]]).unwrap(), "a@1:1");
        assert_eq!(tree(&[&["a=1"], &["a/", "a/x=1"]]).unwrap(), "a/ a/x@1:1");
        assert_eq!(tree(&[&["a/", "a/x=1"], &["a/"]]).unwrap(), "a/ a/x@0:1");
    }

    #[test]
    fn links_are_followed_inside_of_the_tree_only() {
        assert_eq!(
            tree(&[&["usr/", "usr/lib/", "lib>usr/lib"], &["lib/x=1"]]).unwrap(),
            "lib>usr/lib usr/ usr/lib/ usr/lib/x@1:1"
        );
        assert_eq!(
            tree(&[&["out>/../../etc"], &["out/x=1"]]).unwrap(),
            "etc/ etc/x@1:1 out>/../../etc"
        );
        assert_eq!(
            tree(&[&["a=1", "b=>a"], &["c=>./b"]]).unwrap(),
            "a@0:1 b@0:1 c@0:1"
        );
        assert!(
            tree(&[&["a>b", "b>a"], &["a/x=1"]])
                .unwrap_err()
                .0
                .contains("too many links")
        );
        assert!(
            tree(&[&["b=>a"]])
                .unwrap_err()
                .0
                .contains("links to `a`, which is not there")
        );
    }

    #[test]
    fn paths_that_climb_are_refused() {
        let mut root = Node::directory(0o755);
        assert!(
            root.locate(b"a/../../b")
                .unwrap_err()
                .0
                .contains("leads out of it")
        );
        let mut damaged = layer(&["a=1"]).into_inner();
        damaged[0..100].fill(b'x');
        assert!(
            apply(&mut root, 0, &mut std::io::Cursor::new(damaged))
                .unwrap_err()
                .0
                .contains("damaged")
        );
    }
}
