//! Paths that fit a shell pattern.

use std::path::{Path, PathBuf};

use super::Machine;
use crate::text::fits;

/// The paths that are there and fit a pattern, as Python's `glob.glob` finds them: a name with a
/// leading dot fits only a pattern that has one.
pub fn glob(machine: &mut dyn Machine, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = part.as_os_str();
        let text = part.to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in found {
            let look = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                &folder
            };
            for name in machine.list(look).unwrap_or_default() {
                let shown = name.to_string_lossy();
                if (text.starts_with('.') || !shown.starts_with('.')) && fits(&text, &shown) {
                    next.push(folder.join(&name));
                }
            }
        }
        found = next;
    }
    found.retain(|path| machine.stat(path, false).is_ok_and(|stat| stat.is_some()));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::memory::Memory;
    use crate::machine::{Attrs, Content};

    #[test]
    fn patterns() {
        let mut machine = Memory::small();
        for name in ["a.conf", "b.conf", ".c.conf"] {
            machine
                .write(
                    &Path::new("/etc").join(name),
                    Content::Bytes(b""),
                    &Attrs::default(),
                )
                .unwrap();
        }
        assert_eq!(glob(&mut machine, Path::new("/e*/*.conf")).len(), 2);
        assert_eq!(glob(&mut machine, Path::new("/etc/.*")).len(), 1);
        assert_eq!(glob(&mut machine, Path::new("/etc/a.conf")).len(), 1);
        assert!(glob(&mut machine, Path::new("/etc/none")).is_empty());
    }
}
