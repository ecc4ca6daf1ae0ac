//! Files that are being made: without a name where the file system can, so that a killed process
//! leaves nothing behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags};
use rustix::io::Errno;

use super::files;
use crate::machine::Scratch;

/// A file on the file system of the file that it is to become.
pub(super) struct ScratchFile {
    file: File,
    /// What it is to become.
    path: PathBuf,
    /// Its name for now, when it has one.
    name: Option<PathBuf>,
}

impl ScratchFile {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let options = |flags: OFlags| {
            let mut options = OpenOptions::new();
            options
                .read(true)
                .write(true)
                .mode(0o600)
                .custom_flags(flags.bits().cast_signed());
            options
        };
        let unsupported =
            [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL, Errno::NOSYS].map(Errno::raw_os_error);
        match options(OFlags::TMPFILE).open(files::parent_of(path)) {
            Ok(file) => Ok(Self {
                file,
                path: path.to_owned(),
                name: None,
            }),
            // Lustre, NFS and old overlays know no files without a name.
            Err(error)
                if error
                    .raw_os_error()
                    .is_some_and(|code| unsupported.contains(&code)) =>
            {
                let make = |path: &Path| options(OFlags::empty()).create_new(true).open(path);
                let (file, name) = files::beside(path, make)?;
                Ok(Self {
                    file,
                    path: path.to_owned(),
                    name: Some(name),
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl Read for ScratchFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for ScratchFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

impl Scratch for ScratchFile {
    fn set_len(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn link(&mut self) -> io::Result<Option<PathBuf>> {
        if self.name.is_none() {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let make = |name: &Path| {
                Ok(rustix::fs::linkat(
                    CWD,
                    own.as_str(),
                    CWD,
                    name,
                    AtFlags::SYMLINK_FOLLOW,
                )?)
            };
            self.name = Some(files::beside(&self.path, make)?.1);
        }
        Ok(self.name.clone())
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Published, it has another name by now.
            let _ = std::fs::remove_file(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::real::RealMachine;
    use crate::machine::{Attrs, Machine};

    #[test]
    fn a_scratch_file_leaves_itself_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut machine = RealMachine::new();
        let path = folder.path().join("x");
        let names = |machine: &mut RealMachine| machine.list(folder.path()).unwrap().len();

        let mut dropped = machine.scratch(&path).unwrap().unwrap();
        dropped.write_all(b"half").unwrap();
        dropped.link().unwrap();
        assert_eq!(names(&mut machine), 1);
        drop(dropped);
        assert_eq!(names(&mut machine), 0);

        let mut kept = machine.scratch(&path).unwrap().unwrap();
        kept.write_all(b"whole").unwrap();
        machine
            .publish(
                kept,
                &path,
                &Attrs {
                    mode: Some(0o640),
                    ..Attrs::default()
                },
            )
            .unwrap();
        assert_eq!(
            (machine.read(&path).unwrap(), names(&mut machine)),
            (b"whole".to_vec(), 1)
        );
        assert_eq!(machine.stat(&path, false).unwrap().unwrap().mode, 0o640);
    }
}
