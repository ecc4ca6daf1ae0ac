//! Files that a run has read, with their digests: what a plan was made of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rplay_modules::machine::digest::{Algorithm, hex};
use sha2::{Digest as _, Sha256};

/// The files read so far; it only grows. Nothing is kept unless somebody asked for it.
#[derive(Clone, Debug, Default)]
pub struct FilesRead(Option<Arc<Mutex<Known>>>);

#[derive(Debug, Default)]
struct Known {
    /// Large files are noted by size and time, so that nobody has to read them whole.
    stamps: bool,
    digests: BTreeMap<PathBuf, String>,
    /// Those, and further contents of the same files, in the order in which they were read.
    order: Vec<(PathBuf, String)>,
}

impl FilesRead {
    /// From now on files are kept.
    #[must_use]
    pub fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// The same, but large files are noted by their size and time.
    #[must_use]
    pub fn stamped() -> Self {
        Self(Some(Arc::new(Mutex::new(Known {
            stamps: true,
            ..Known::default()
        }))))
    }

    /// Keeps a file as it lies on the disk.
    pub fn add(&self, path: &Path, bytes: &[u8]) {
        super::early::file(path);
        if self.is_kept() {
            self.keep(path, digest(bytes));
        }
    }

    /// Keeps a file that is too large to be read at once.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn add_large(&self, path: &Path) -> io::Result<()> {
        super::early::file(path);
        if let Some(files) = &self.0 {
            let stamps = files.lock().unwrap_or_else(PoisonError::into_inner).stamps;
            let digest = match stamps {
                true => stamp(path)?,
                false => Algorithm::Sha256.of(&mut File::open(path)?)?,
            };
            self.keep(path, digest);
        }
        Ok(())
    }

    fn keep(&self, path: &Path, digest: String) {
        if let Some(files) = &self.0 {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            let former = files.digests.insert(path.to_path_buf(), digest.clone());
            if former.as_ref() != Some(&digest) {
                files.order.push((path.to_path_buf(), digest));
            }
        }
    }

    /// Whether files are kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// What was added after the first `count` of them.
    #[must_use]
    pub fn after(&self, count: usize) -> Vec<(PathBuf, String)> {
        let files = self.0.as_ref();
        let files = files.map(|files| files.lock().unwrap_or_else(PoisonError::into_inner));
        let new = files.and_then(|files| files.order.get(count..).map(<[_]>::to_vec));
        new.unwrap_or_default()
    }

    /// The files with their digests.
    #[must_use]
    pub fn all(&self) -> BTreeMap<PathBuf, String> {
        let files = self.0.as_ref();
        let files = files.map(|files| files.lock().unwrap_or_else(PoisonError::into_inner));
        files.map(|files| files.digests.clone()).unwrap_or_default()
    }
}

/// What stands for the content of a large file.
fn stamp(path: &Path) -> io::Result<String> {
    let data = path.metadata()?;
    let (size, time) = (data.len(), data.modified()?);
    let since = time.duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = since.unwrap_or_default().as_nanos();
    Ok(format!("{SIZE}{size}, time {nanoseconds}"))
}

/// How stamps begin.
const SIZE: &str = "size ";

/// Whether a file is what it was when it was kept.
///
/// # Errors
/// It cannot be read.
pub(crate) fn is_same(path: &Path, known: &str) -> io::Result<bool> {
    match known.starts_with(SIZE) {
        true => stamp(path).map(|stamp| stamp == known),
        false => std::fs::read(path).map(|bytes| digest(&bytes) == known),
    }
}

/// The SHA-256 of bytes in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_told_by_size_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, "a").unwrap();
        let read = FilesRead::stamped();
        read.add_large(&path).unwrap();
        read.add(&folder.path().join("small"), b"b");
        assert!(read.is_kept() && !FilesRead::default().is_kept());
        let all = read.after(0);
        assert_eq!(
            (all.len(), read.after(1).len(), read.after(2).len()),
            (2, 1, 0)
        );
        assert!(is_same(&path, &all[0].1).unwrap());
        std::fs::write(&path, "longer").unwrap();
        assert!(!is_same(&path, &all[0].1).unwrap());
    }
}
