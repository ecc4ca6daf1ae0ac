//! Images that lie on the machine: OCI image layouts (a folder, or a tar file of one) and the
//! archives that `docker save` writes.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::http::MAX_DOCUMENT;
use super::{Error, Result};
use crate::machine::{Machine, Source};
use crate::order::Sorted;

/// Files by their name inside of a layout or archive.
#[derive(Debug)]
pub(crate) struct Layout {
    path: PathBuf,
    /// For a tar file: where each member's bytes are.
    members: Option<Sorted<String, Member>>,
}

/// Where the bytes of an archive's member are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    Bytes { offset: u64, size: u64 },
    Link(String),
}

impl Layout {
    /// A folder.
    pub(crate) fn folder(machine: &mut dyn Machine, path: &Path) -> Result<Self> {
        let there = machine
            .stat(path, true)
            .map_err(|error| Error::io(path.display(), &error))?;
        match there {
            Some(stat) if stat.kind == crate::machine::FileKind::Directory => {}
            Some(_) => {
                return Err(Error::new(format!(
                    "{} is not an image layout: it is not a folder",
                    path.display()
                )));
            }
            None => {
                return Err(Error::new(format!(
                    "the image layout {} does not exist",
                    path.display()
                )));
            }
        }
        let marker = machine.stat(&path.join("oci-layout"), true).ok().flatten();
        if marker.is_none() {
            return Err(Error::new(format!(
                "{} is not an image layout: it has no file `oci-layout`",
                path.display()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            members: None,
        })
    }

    /// A tar file.
    pub(crate) fn archive(machine: &mut dyn Machine, path: &Path) -> Result<Self> {
        let mut file = machine
            .open(path)
            .map_err(|error| Error::io(path.display(), &error))?;
        let mut magic = [0; 2];
        if file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b] {
            return Err(Error::new(format!(
                "{} is compressed as a whole; unpack it with `gunzip` first",
                path.display()
            )));
        }
        file.rewind()
            .map_err(|error| Error::io(path.display(), &error))?;
        let members = index(file).map_err(|error| {
            Error::new(format!(
                "{} is not a complete tar file: {error}",
                path.display()
            ))
        })?;
        Ok(Self {
            path: path.to_owned(),
            members: Some(members),
        })
    }

    /// The name for messages.
    pub(crate) fn display(&self) -> String {
        self.path.display().to_string()
    }

    /// The whole of a small document.
    pub(crate) fn document(&self, machine: &mut dyn Machine, name: &str) -> Result<Vec<u8>> {
        let (reader, size) = self.open(machine, name)?;
        if size > MAX_DOCUMENT {
            return Err(Error::new(format!(
                "{name} in {} is over the limit of {MAX_DOCUMENT} bytes",
                self.display()
            )));
        }
        let mut bytes = Vec::new();
        reader
            .take(MAX_DOCUMENT)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io(format!("{name} in {}", self.display()), &error))?;
        Ok(bytes)
    }

    /// A file, with its size.
    pub(crate) fn open(
        &self,
        machine: &mut dyn Machine,
        name: &str,
    ) -> Result<(Box<dyn Read>, u64)> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::new(format!("{} lacks the file {name}", self.display()))
            }
            _ => Error::io(format!("{name} in {}", self.display()), &error),
        };
        let Some(members) = &self.members else {
            let path = self.path.join(name);
            let size = machine
                .stat(&path, true)
                .map_err(failed)?
                .map_or(0, |stat| stat.size);
            return Ok((Box::new(machine.open(&path).map_err(failed)?), size));
        };
        let (offset, size) =
            find(members, name).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let mut file = machine.open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        Ok((Box::new(file.take(size)), size))
    }
}

/// Old archives of `docker save` link equal layers to each other.
fn find(members: &Sorted<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = clean(Path::new(name));
    for _ in 0..8 {
        match members.get(&name)? {
            Member::Bytes { offset, size } => return Some((*offset, *size)),
            Member::Link(target) => name.clone_from(target),
        }
    }
    None
}

fn index(file: Box<dyn Source>) -> io::Result<Sorted<String, Member>> {
    let mut members = Sorted::default();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let path = entry.path()?.into_owned();
        let kind = entry.header().entry_type();
        let member = if kind.is_file() {
            Member::Bytes {
                offset: entry.raw_file_position(),
                size: entry.size(),
            }
        } else if kind.is_symlink() || kind.is_hard_link() {
            let Some(target) = entry.link_name()? else {
                continue;
            };
            let base = if kind.is_symlink() {
                path.parent()
            } else {
                None
            };
            Member::Link(clean(&base.unwrap_or(Path::new("")).join(target)))
        } else {
            continue;
        };
        members.insert(clean(&path), member);
    }
    Ok(members)
}

/// A path inside of the archive without `.` and `..`; it is only ever looked up, never opened.
fn clean(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_indexed_and_links_followed() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(3);
        builder
            .append_data(&mut header, "./a/layer.tar", &b"abc"[..])
            .unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder
            .append_link(&mut header, "b/layer.tar", "../a/layer.tar")
            .unwrap();
        let members = index(Box::new(io::Cursor::new(builder.into_inner().unwrap()))).unwrap();
        assert_eq!(find(&members, "a/layer.tar"), Some((512, 3)));
        assert_eq!(find(&members, "b/layer.tar"), Some((512, 3)));
        assert_eq!(find(&members, "c"), None);
    }
}
