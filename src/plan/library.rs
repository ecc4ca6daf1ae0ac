//! Modules of ones own: files in `library` beside a playbook or in a role, and in the folders of
//! `--module-path` and the setting `library`. They are programs, mostly in Python, which rplay does not run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::load::actions;

/// Where such modules are looked for.
#[derive(Debug, Default)]
pub struct Library {
    /// `--module-path`, then the setting.
    paths: Vec<PathBuf>,
    found: RwLock<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The roles that were read so far: what one of them brings, all tasks may use.
    roles: Vec<PathBuf>,
    /// What may be called beside a playbook, by its folder. Every task of every host asks.
    modules: HashMap<PathBuf, Arc<HashMap<String, PathBuf>>>,
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
            found: RwLock::default(),
        }
    }

    /// Tells of a role.
    pub fn add_role(&self, folder: &Path) {
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if !found.roles.iter().any(|known| known == folder) {
            found.roles.push(folder.to_path_buf());
            found.modules.clear();
        }
    }

    /// The file of a module. A full name never means one, but for `ansible.legacy`.
    #[must_use]
    pub fn module(&self, name: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let name = name.strip_prefix("ansible.legacy.").unwrap_or(name);
        if name.contains('.') || actions::is_controllers(name) {
            return None;
        }
        self.modules(playbook_dir).get(name).cloned()
    }

    fn modules(&self, playbook_dir: &Path) -> Arc<HashMap<String, PathBuf>> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found.modules.get(playbook_dir) {
            return Arc::clone(known);
        }
        drop(found);
        let mut found = self.found.write().unwrap_or_else(PoisonError::into_inner);
        let places = found.roles.iter().map(PathBuf::as_path);
        let places = places.chain([playbook_dir]);
        let beside = places.flat_map(|place| FOLDERS.map(|folder| place.join(folder)));
        let mut modules = HashMap::new();
        for folder in beside.chain(self.paths.iter().cloned()) {
            read(&folder, &mut modules);
        }
        let modules = Arc::new(modules);
        let of = playbook_dir.to_path_buf();
        found.modules.insert(of, Arc::clone(&modules));
        modules
    }
}

/// Adds the modules of a folder whose names are new; none where it cannot be read.
fn read(folder: &Path, modules: &mut HashMap<String, PathBuf>) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
    // `name.py` is taken before `name`.
    files.sort_by(|one, other| other.cmp(one));
    for file in files.into_iter().filter(|file| file.is_file()) {
        if let Some(name) = name(&file) {
            modules.entry(name).or_insert(file);
        }
    }
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
