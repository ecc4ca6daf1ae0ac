//! Modules of ones own: files in `library` beside a playbook or in a role, and in the folders of
//! `--module-path` and the setting `library`. They are programs, mostly in Python, which rplay does not run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::load::actions;

/// Where such modules are looked for.
#[derive(Debug, Default)]
pub struct Library {
    /// `--module-path`, then the setting.
    paths: Vec<PathBuf>,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The roles that were read so far: what one of them brings, all tasks may use.
    roles: Vec<PathBuf>,
    /// The modules of a folder by their names.
    folders: HashMap<PathBuf, Arc<HashMap<String, PathBuf>>>,
}

/// Folders beside a playbook, and in a role.
const FOLDERS: [&str; 2] = ["library", "action_plugins"];

/// Files that stand beside modules and are none.
const NO_MODULES: [&str; 12] = [
    "bak", "cfg", "ini", "json", "md", "orig", "pyc", "rst", "swp", "txt", "yaml", "yml",
];

impl Library {
    /// Modules of these folders.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            found: Mutex::default(),
        }
    }

    /// Tells of a role.
    pub fn add_role(&self, folder: &Path) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.roles.iter().any(|known| known == folder) {
            found.roles.push(folder.to_path_buf());
        }
    }

    /// The file of a module. A full name never means one, but for `ansible.legacy`.
    #[must_use]
    pub fn module(&self, name: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let name = name.strip_prefix("ansible.legacy.").unwrap_or(name);
        if name.contains('.') || actions::is_controllers(name) {
            return None;
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let places = found.roles.clone();
        let places = places.iter().map(PathBuf::as_path).chain([playbook_dir]);
        let beside = places.flat_map(|place| FOLDERS.map(|folder| place.join(folder)));
        beside
            .chain(self.paths.iter().cloned())
            .find_map(|folder| found.folder(folder).get(name).cloned())
    }
}

impl Found {
    fn folder(&mut self, folder: PathBuf) -> Arc<HashMap<String, PathBuf>> {
        let read = |folder: &PathBuf| Arc::new(modules(folder));
        let known = self.folders.entry(folder);
        Arc::clone(known.or_insert_with_key(read))
    }
}

/// The modules of a folder; none where it cannot be read.
fn modules(folder: &Path) -> HashMap<String, PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    files.sort();
    let named = files.into_iter().filter(|file| file.is_file());
    named
        .filter_map(|file| Some((name(&file)?, file)))
        .collect()
}

fn name(file: &Path) -> Option<String> {
    let name = file.file_stem()?.to_str()?;
    let end = file.extension().and_then(|end| end.to_str());
    let other = end.is_some_and(|end| end.ends_with('~') || NO_MODULES.contains(&end));
    // A deprecated module begins with `_`, and is called without it.
    let name = name.strip_prefix('_').unwrap_or(name);
    (!other && !name.starts_with(['.', '_'])).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let of = |file: &str| name(Path::new(file));
        assert_eq!(of("/x/my_mod.py").as_deref(), Some("my_mod"));
        assert_eq!(of("/x/_old.py").as_deref(), Some("old"));
        assert_eq!(of("/x/binary").as_deref(), Some("binary"));
        assert_eq!(of("/x/README.md"), None);
        assert_eq!(of("/x/__init__.py"), None);
        assert_eq!(of("/x/.hidden"), None);
    }
}
