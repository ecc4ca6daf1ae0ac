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
pub struct FilesRead(Option<Arc<Mutex<BTreeMap<PathBuf, String>>>>);

impl FilesRead {
    /// From now on files are kept.
    #[must_use]
    pub fn kept() -> Self {
        Self(Some(Arc::default()))
    }

    /// Keeps a file as it lies on the disk.
    pub fn add(&self, path: &Path, bytes: &[u8]) {
        super::early::file(path);
        if let Some(files) = &self.0 {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.insert(path.to_path_buf(), digest(bytes));
        }
    }

    /// Keeps a file that is too large to be read at once.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn add_large(&self, path: &Path) -> io::Result<()> {
        super::early::file(path);
        if let Some(files) = &self.0 {
            let digest = Algorithm::Sha256.of(&mut File::open(path)?)?;
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            files.insert(path.to_path_buf(), digest);
        }
        Ok(())
    }

    /// The files with their digests.
    #[must_use]
    pub fn all(&self) -> BTreeMap<PathBuf, String> {
        let files = self.0.as_ref();
        let files = files.map(|files| files.lock().unwrap_or_else(PoisonError::into_inner));
        files.map(|files| files.clone()).unwrap_or_default()
    }
}

/// The SHA-256 of bytes in hexadecimal.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
