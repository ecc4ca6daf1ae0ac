//! Files put in place in one step: a killed process leaves the old one or the new one.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::machine::{Attrs, Content};

/// Replaces or creates a file; see `Machine::write`.
pub(super) fn write(
    path: &Path,
    content: Content<'_>,
    attrs: &Attrs,
    umask: u32,
) -> io::Result<()> {
    let old = std::fs::symlink_metadata(path)
        .ok()
        .filter(Metadata::is_file);
    let wanted = Wanted {
        mode: attrs
            .mode
            .or(old.as_ref().map(|old| old.mode() & 0o7777))
            .unwrap_or(0o666 & !umask),
        attrs,
        old: old.as_ref().map(|old| (path, old)),
    };
    match put(path, content, &wanted) {
        Err(error) if attrs.in_place && irreplaceable(&error) => overwrite(path, content, &wanted),
        result => result,
    }
}

/// Makes something at `path` with `make`; what is there already is replaced in one step.
pub(super) fn replace(path: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    match make(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let temporary = beside(path, &make)?.1;
    let renamed = std::fs::rename(&temporary, path);
    // Renaming one name of an inode to another one of it does nothing, so the name may be left.
    let _ = std::fs::remove_file(&temporary);
    renamed
}

/// The attributes that the new file gets.
struct Wanted<'a> {
    mode: u32,
    attrs: &'a Attrs,
    old: Option<(&'a Path, &'a Metadata)>,
}

impl Wanted<'_> {
    /// Sets them. Owner first: changing it clears the set-id bits and capabilities.
    fn set(&self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        let differs = |wanted: Option<u32>, now: u32| wanted.filter(|wanted| *wanted != now);
        let (uid, gid) = (
            differs(self.attrs.uid, now.uid()),
            differs(self.attrs.gid, now.gid()),
        );
        if let Some((_, old)) = self.old {
            let keep = |given: Option<u32>, old: u32, now: u32| {
                differs(given.is_none().then_some(old), now)
            };
            let kept = (
                keep(self.attrs.uid, old.uid(), now.uid()),
                keep(self.attrs.gid, old.gid(), now.gid()),
            );
            if kept != (None, None) {
                match std::os::unix::fs::fchown(file, kept.0, kept.1) {
                    // Who may not give files away still may replace them, as Ansible does.
                    Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {}
                    result => result?,
                }
            }
        }
        if (uid, gid) != (None, None) {
            std::os::unix::fs::fchown(file, uid, gid)?;
        }
        if let Some((path, _)) = self.old {
            keep_extended(path, file);
        }
        file.set_permissions(Permissions::from_mode(self.mode))
    }
}

/// Gives a new file the extended attributes of the old one: its access list, its SELinux label, its
/// capabilities, what users attached.
fn keep_extended(old: &Path, file: &File) {
    let mut names = Vec::with_capacity(65_536);
    if rustix::fs::llistxattr(old, spare_capacity(&mut names)).is_err() {
        return;
    }
    let mut value = Vec::with_capacity(65_536);
    let kept = names.split(|byte| *byte == 0);
    for name in kept.filter(|name| !name.is_empty()) {
        value.clear();
        if rustix::fs::lgetxattr(old, name, spare_capacity(&mut value)).is_ok() {
            // Without the right to do so what the folder gives to new files stays.
            let flags = rustix::fs::XattrFlags::empty();
            let _ = rustix::fs::fsetxattr(file, name, &value, flags);
        }
    }
}

/// Whether a file cannot be replaced although it may be possible to write into it.
fn irreplaceable(error: &io::Error) -> bool {
    [
        Errno::BUSY,
        Errno::PERM,
        Errno::ACCESS,
        Errno::XDEV,
        Errno::TXTBSY,
        Errno::ROFS,
    ]
    .iter()
    .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn put(path: &Path, content: Content<'_>, wanted: &Wanted<'_>) -> io::Result<()> {
    if let Content::Take(source) = content {
        match take(source, path, wanted) {
            Err(error) if irreplaceable(&error) => {}
            result => return result,
        }
    }
    let (mut file, temporary) = beside(path, |path| {
        // Nobody else reads it before its attributes are right.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    })?;
    let done = fill(&mut file, content)
        .and_then(|()| wanted.set(&file))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path));
    if done.is_err() {
        // The first error is the one that tells what is wrong.
        let _ = std::fs::remove_file(&temporary);
    } else if let Content::Take(source) = content {
        let _ = std::fs::remove_file(source);
    }
    done
}

/// Moves a file into place; fails with `XDEV` across file systems.
fn take(source: &Path, path: &Path, wanted: &Wanted<'_>) -> io::Result<()> {
    let file = File::open(source)?;
    if std::fs::symlink_metadata(source)?.dev() != parent_of(path).metadata()?.dev() {
        return Err(Errno::XDEV.into());
    }
    wanted.set(&file)?;
    file.sync_all()?;
    std::fs::rename(source, path)
}

fn overwrite(path: &Path, content: Content<'_>, wanted: &Wanted<'_>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    fill(&mut file, content)?;
    wanted.set(&file)?;
    file.sync_all()
}

fn fill(file: &mut File, content: Content<'_>) -> io::Result<()> {
    match content {
        Content::Bytes(bytes) => file.write_all(bytes),
        Content::CopyOf(source) | Content::Take(source) => {
            io::copy(&mut File::open(source)?, file).map(|_| ())
        }
    }
}

pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes something under a fresh name in the folder of `path`.
pub(super) fn beside<T>(
    path: &Path,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(T, PathBuf)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or(Errno::ISDIR)?.to_string_lossy();
    // File names end at 255 bytes; the end of the name is what helps to recognise it.
    let mut start = name.len().saturating_sub(200);
    while !name.is_char_boundary(start) {
        start += 1;
    }
    for _ in 0..100 {
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let unique = format!(
            "{:x}{:x}{:x}",
            std::process::id(),
            clock.subsec_nanos(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let temporary = parent_of(path).join(format!(".ansible_tmp{unique}{}", &name[start..]));
        match make(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|made| (made, temporary)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_with_their_attributes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let mode = || std::fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
        write(
            &path,
            Content::Bytes(b"one"),
            &Attrs {
                mode: Some(0o4711),
                ..Attrs::default()
            },
            0o022,
        )
        .unwrap();
        assert_eq!(mode(), 0o4711);
        write(&path, Content::Bytes(b"two"), &Attrs::default(), 0o022).unwrap();
        assert_eq!(
            (std::fs::read(&path).unwrap(), mode()),
            (b"two".to_vec(), 0o4711)
        );
        let (copy, taken) = (folder.path().join("copy"), folder.path().join("taken"));
        write(&copy, Content::CopyOf(&path), &Attrs::default(), 0o027).unwrap();
        write(&taken, Content::Take(&copy), &Attrs::default(), 0o027).unwrap();
        assert!(!copy.exists() && std::fs::metadata(&taken).unwrap().mode() & 0o7777 == 0o640);
        assert!(
            write(
                folder.path(),
                Content::Bytes(b"x"),
                &Attrs::default(),
                0o022
            )
            .is_err()
        );
        replace(&path, |path| std::fs::hard_link(&taken, path)).unwrap();
        replace(&path, |path| std::fs::hard_link(&taken, path)).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
