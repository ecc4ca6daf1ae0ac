//! Files of the controller: written whole or not at all, and named from where the user is.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file of the controller in one step, with the folders that lead to it: whoever looks
/// meanwhile sees the former one or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut part = Part::create(path)?;
    part.write_all(bytes)?;
    part.keep()
}

/// Whether a new file takes the place of what is there. `/dev/null` must stay what it is.
fn is_replaced(path: &Path) -> bool {
    path.metadata()
        .map_or(true, |meta| meta.is_file() || meta.is_dir())
}

/// A file of the controller that is being written. It takes its place when it is complete; until then, and when
/// it never is, the former one is there. A device or a pipe is written to, and stays.
pub(crate) struct Part {
    file: File,
    /// Where it is meanwhile; none once it has its place.
    part: Option<PathBuf>,
    path: PathBuf,
}

impl Part {
    /// Begins one, with the folders that lead to it.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if !is_replaced(path) {
            return Ok(Self {
                file: File::options().write(true).open(path)?,
                part: None,
                path: path.to_owned(),
            });
        }
        let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let part = folder.join(format!(
            ".{}.{}-{}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            std::process::id(),
            // Several hosts may bring the same file.
            NUMBER.fetch_add(1, Ordering::Relaxed)
        ));
        Ok(Self {
            file: File::create(&part)?,
            part: Some(part),
            path: path.to_owned(),
        })
    }

    /// It is complete, and takes its place.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        if let Some(part) = &self.part {
            self.file.sync_all()?;
            std::fs::rename(part, &self.path)?;
            self.part = None;
        }
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // The error that is reported is the first one.
            let _ = std::fs::remove_file(part);
        }
    }
}

/// Whether [`write`] will be able to: tried with a file beside it, which is removed again.
pub(crate) fn writable(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if !is_replaced(path) {
        return Ok(());
    }
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let name = format!(".rplay-{}", std::process::id());
    let tried = folder.unwrap_or(Path::new(".")).join(name);
    std::fs::File::create(&tried)?;
    std::fs::remove_file(&tried)
}

/// The folder in which the user's programs keep what outlives a run; none without a home.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let home = || variable("HOME").map(|home| home.join(".local/state"));
    let state = variable("XDG_STATE_HOME").or_else(home);
    state.map(|state| state.join("rplay"))
}

/// The path from the working directory on, where it lies below: two checkouts have the same.
pub(crate) fn from_here(path: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path)
}
