//! A folder's state as text: names, kinds, modes and contents.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// One line for each entry, in the order of their names: mode, path, and content or target.
pub(crate) fn tree(folder: &Path) -> Result<String, String> {
    let mut text = String::new();
    let walk = walkdir::WalkDir::new(folder)
        .min_depth(1)
        .sort_by_file_name();
    for entry in walk {
        let entry = entry.map_err(|fault| fault.to_string())?;
        let name = entry
            .path()
            .strip_prefix(folder)
            .unwrap_or(entry.path())
            .display()
            .to_string();
        let meta = entry.metadata().map_err(|fault| fault.to_string())?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(|fault| fault.to_string())?;
            text.push_str(&format!("link {name} -> {}\n", target.display()));
        } else if meta.is_dir() {
            text.push_str(&format!("{mode:04o} {name}/\n"));
        } else if meta.is_file() {
            let bytes = fs::read(entry.path()).map_err(|fault| format!("{name}: {fault}"))?;
            text.push_str(&format!(
                "{mode:04o} {name} {:?}\n",
                String::from_utf8_lossy(&bytes)
            ));
        } else {
            text.push_str(&format!("{mode:04o} {name} (special)\n"));
        }
    }
    Ok(text)
}
