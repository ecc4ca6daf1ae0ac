//! What files were before a call changed them. Each path is noted when the call first changes it.

use std::collections::HashMap;
use std::fs::{File, Metadata, symlink_metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::machine::digest::Algorithm;
use crate::machine::{FileKind, Image, Inode, Kept};

/// How many bytes of content, and of paths, a call may keep: its answer has to fit into a frame.
const MOST_BYTES: u64 = 8 << 20;

/// How many bytes a path counts for beside its name.
const PATH: u64 = 64;

/// What a call changes.
#[derive(Debug)]
pub(super) struct Notes {
    kept: Kept,
    /// Where the images of paths are.
    places: HashMap<PathBuf, usize>,
    /// The largest content of a file that is kept.
    most: u64,
    left: u64,
}

impl Notes {
    pub(super) fn new(most: u64) -> Self {
        Self {
            kept: Kept::default(),
            places: HashMap::new(),
            most,
            left: MOST_BYTES,
        }
    }

    /// A program is run.
    pub(super) fn program(&mut self) {
        self.kept.programs = true;
    }

    /// The content of a path changes, or what it is; `below`: of all that is below, too.
    pub(super) fn content(&mut self, path: &Path, below: bool) {
        let path = absolute(path);
        let Some(at) = self.note(&path) else {
            return;
        };
        let image = &mut self.kept.images[at];
        match image.before.as_mut() {
            Some(file) if file.kind == FileKind::File && file.is.is_empty() => {
                let most = self.most.min(self.left);
                if let Some((content, sum)) = content(&path, most) {
                    self.left -= content.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    image.content = content;
                    file.is = sum;
                }
            }
            Some(folder) if folder.kind == FileKind::Directory && below => {
                let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
                let mut names: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
                crate::order::sort(&mut names);
                names.iter().for_each(|path| self.content(path, true));
            }
            _ => {}
        }
    }

    /// The mode or the owner of a path changes.
    pub(super) fn attributes(&mut self, path: &Path, follow: bool) {
        let real = if follow {
            path.canonicalize().ok()
        } else {
            None
        };
        self.note(&real.unwrap_or_else(|| absolute(path)));
    }

    /// A path is moved, with all that is below.
    pub(super) fn moved(&mut self, from: &Path, to: &Path) {
        let (from, to) = (absolute(from), absolute(to));
        self.content(&from, true);
        self.content(&to, true);
        let paths = self.kept.images.iter().map(|image| &image.path);
        let below = paths.filter_map(|path| path.strip_prefix(&from).ok());
        let below: Vec<PathBuf> = below
            .filter(|rest| !rest.as_os_str().is_empty())
            .map(|rest| to.join(rest))
            .collect();
        below.iter().for_each(|path| self.content(path, false));
    }

    /// The place of a path among the images; none where no more are kept.
    fn note(&mut self, path: &Path) -> Option<usize> {
        if let Some(at) = self.places.get(path) {
            return Some(*at);
        }
        let size = path.as_os_str().len() as u64 + PATH;
        self.kept.more |= self.left < size;
        self.left = self.left.checked_sub(size)?;
        let at = self.kept.images.len();
        self.places.insert(path.to_path_buf(), at);
        self.kept.images.push(Image {
            path: path.to_path_buf(),
            before: symlink_metadata(path).ok().map(|meta| inode(path, &meta)),
            content: None,
            after: None,
        });
        Some(at)
    }

    /// What was kept, with what there is now. What is as it was is left out.
    pub(super) fn end(mut self) -> Kept {
        for image in &mut self.kept.images {
            let path = &image.path;
            let Ok(meta) = symlink_metadata(path) else {
                continue;
            };
            let mut now = inode(path, &meta);
            let same = image.before.as_ref().is_some_and(|before| {
                before.kind == FileKind::File && before.is.is_empty() && image.content.is_none()
            });
            if now.kind == FileKind::File && !same {
                now.is = sum(path);
            }
            image.after = Some(now);
        }
        self.kept.images.retain(|image| image.before != image.after);
        self.kept
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn inode(path: &Path, meta: &Metadata) -> Inode {
    let kind = super::kind(meta.file_type());
    let target = match kind {
        FileKind::Link => std::fs::read_link(path).ok(),
        _ => None,
    };
    Inode {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        is: target.map_or_else(String::new, |target| target.to_string_lossy().into_owned()),
    }
}

/// The content of a file, where it is not larger, and its checksum.
fn content(path: &Path, most: u64) -> Option<(Option<Vec<u8>>, String)> {
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(most + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    if bytes.len() as u64 > most {
        return Some((None, sum(path)));
    }
    let sum = Algorithm::Sha1.of(&mut bytes.as_slice()).ok()?;
    Some((Some(bytes), sum))
}

fn sum(path: &Path) -> String {
    let file = File::open(path).and_then(|mut file| Algorithm::Sha1.of(&mut file));
    file.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::machine::real::RealMachine;
    use crate::machine::{Attrs, Content, FileKind, Image, Machine};

    #[test]
    fn paths_are_kept_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name);
        for (name, text) in [
            ("written", "old"),
            ("large", "too large"),
            ("mode", "same"),
            ("back", "b"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        std::fs::create_dir_all(path("tree/deep")).unwrap();
        std::fs::write(path("tree/deep/file"), "in it").unwrap();
        let mut machine = RealMachine::new();
        machine.keep(8);
        let plain = Attrs::default();
        let write = |machine: &mut RealMachine, name: &str, text: &str| {
            machine
                .write(&path(name), Content::Bytes(text.as_bytes()), &plain)
                .unwrap();
        };
        machine.chmod(&path("mode"), 0o600, true).unwrap();
        machine.chmod(&path("written"), 0o600, true).unwrap();
        for (name, text) in [
            ("written", "new"),
            ("written", "newer"),
            ("large", "x"),
            ("made", "m"),
            ("back", "c"),
            ("back", "b"),
        ] {
            write(&mut machine, name, text);
        }
        machine.remove(&path("tree"), true).unwrap();
        machine.symlink(&path("made"), &path("link")).unwrap();
        write(&mut machine, "gone", "again");
        machine.remove(&path("gone"), false).unwrap();
        let kept = machine.take_kept().unwrap();
        assert!(!kept.programs && !kept.more);
        let names: Vec<String> = kept
            .images
            .iter()
            .map(|image| {
                image
                    .path
                    .strip_prefix(&root)
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(
            names,
            [
                "mode",
                "written",
                "large",
                "made",
                "tree",
                "tree/deep",
                "tree/deep/file",
                "link"
            ]
        );
        let [mode, written, large, made, tree, _, deep, link] = kept.images.as_slice() else {
            panic!()
        };
        let was = |image: &Image| image.before.clone().unwrap();
        let is = |image: &Image| image.after.clone().unwrap();
        assert_eq!(
            (mode.content.clone(), is(mode).mode, is(mode).is),
            (None, 0o600, String::new())
        );
        assert_eq!(
            (written.content.as_deref(), was(written).mode),
            (Some(&b"old"[..]), 0o644)
        );
        assert!(
            large.content.is_none() && was(large).is != is(large).is && !was(large).is.is_empty()
        );
        assert!(made.before.is_none() && tree.after.is_none());
        assert_eq!(
            (was(tree).kind, deep.content.as_deref()),
            (FileKind::Directory, Some(&b"in it"[..]))
        );
        assert_eq!(is(link).is, path("made").display().to_string());
        assert!(machine.take_kept().is_none());
        machine.keep(8);
        machine.rename(&path("written"), &path("moved")).unwrap();
        machine
            .run(&crate::machine::Command::new(["true"]))
            .unwrap();
        let kept = machine.take_kept().unwrap();
        assert!(kept.programs && kept.images.len() == 2 && kept.images[1].before.is_none());
    }
}
