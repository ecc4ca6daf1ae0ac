//! Files of the controller: written whole or not at all, and named from where the user is.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a file of the controller in one step, with the folders that lead to it: whoever looks
/// meanwhile sees the former one or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let part = folder.join(format!(
        ".{}.{}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let written = std::fs::File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    });
    if written.is_err() {
        // The error that is reported is the first one.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Whether [`write`] will be able to: tried with a file beside it, which is removed again.
pub(crate) fn writable(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
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
