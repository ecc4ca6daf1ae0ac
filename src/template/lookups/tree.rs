//! The lookup `filetree` of `community.general`: the files below folders of the controller.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rplay_modules::machine::Machine as _;
use rplay_modules::machine::real::RealMachine;
use rplay_modules::regex::{Flags, Regex};

use super::super::fault::Fault;
use super::super::filters::regex;
use super::super::interp::Interp;
use super::super::value::{Entries, Key, Value};
use super::{Call, file};

/// How deep folders may nest.
const DEEPEST: usize = 100;

/// Files, folders and links below folders. A path that an earlier folder has is left out.
pub(super) fn run(interp: &Interp<'_>, call: &Call) -> Result<Vec<Value>, Fault> {
    let exclude = match call.option("exclude") {
        None => None,
        Some(pattern) => Some(regex::compile(&pattern.text(), Flags::default())?),
    };
    let mut tree = Tree {
        exclude: exclude.as_deref(),
        seen: HashSet::new(),
        out: vec![],
    };
    for term in &call.terms {
        let name = file::path_term(term)?;
        let Some(root) = file::find(interp, "files", name.trim_end_matches('/')) else {
            continue;
        };
        let root = std::path::absolute(&root).unwrap_or(root);
        if root.is_dir() {
            tree.walk(&root, Path::new(""), 0)?;
        }
    }
    Ok(tree.out)
}

struct Tree<'a> {
    exclude: Option<&'a Regex>,
    seen: HashSet<String>,
    out: Vec<Value>,
}

impl Tree<'_> {
    /// Takes in a folder, its own entries before those of its folders.
    fn walk(&mut self, root: &Path, below: &Path, depth: usize) -> Result<(), Fault> {
        let Ok(entries) = std::fs::read_dir(root.join(below)) else {
            return Ok(());
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| {
                self.exclude
                    .is_none_or(|pattern| pattern.fits_start(name) != Ok(true))
            })
            .collect();
        names.sort();
        let mut folders = Vec::new();
        for name in names {
            let path = below.join(name);
            let text = path.to_string_lossy().into_owned();
            let Ok(found) = std::fs::symlink_metadata(root.join(&path)) else {
                continue;
            };
            if found.is_dir() {
                folders.push(path);
            }
            if self.seen.contains(&text) {
                continue;
            }
            if let Some(entry) = described(root, &text, &found) {
                self.seen.insert(text);
                self.out.push(entry);
            }
        }
        super::super::limits::items(self.out.len())?;
        if depth == DEEPEST {
            return Ok(());
        }
        folders
            .iter()
            .try_for_each(|folder| self.walk(root, folder, depth + 1))
    }
}

/// What is told of a file, a folder or a link; nothing of other kinds.
fn described(root: &Path, path: &str, found: &std::fs::Metadata) -> Option<Value> {
    let full = root.join(path);
    let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
    let (state, src) = match found.file_type() {
        kind if kind.is_dir() => ("directory", None),
        kind if kind.is_symlink() => ("link", Some(text(&std::fs::read_link(&full).ok()?))),
        kind if kind.is_file() => ("file", Some(text(&full))),
        _ => return None,
    };
    let mut machine = RealMachine::new();
    let (uid, gid) = (found.uid(), found.gid());
    let id = |id: u32| Value::Int(id.into());
    let owner = machine.user_by_id(uid).map(|user| user.name);
    let group = machine.group_by_id(gid).map(|group| group.name);
    let time = |seconds: i64, nanoseconds: i64| {
        #[expect(
            clippy::cast_precision_loss,
            reason = "Python gives times of files as fractions, too"
        )]
        Value::Float(seconds as f64 + nanoseconds as f64 / 1e9)
    };
    let mut entry = Entries::from([
        (Key::from("root"), text(root)),
        (Key::from("path"), Value::str(path)),
        (Key::from("state"), Value::str(state)),
    ]);
    entry.extend(src.map(|src| (Key::from("src"), src)));
    entry.extend([
        (Key::from("uid"), id(uid)),
        (Key::from("gid"), id(gid)),
        (
            Key::from("owner"),
            owner.map_or_else(|| id(uid), Value::from),
        ),
        (
            Key::from("group"),
            group.map_or_else(|| id(gid), Value::from),
        ),
        (
            Key::from("mode"),
            Value::from(format!("{:04o}", found.mode() & 0o7777)),
        ),
        (Key::from("size"), Value::Int(i128::from(found.size()))),
        (Key::from("mtime"), time(found.mtime(), found.mtime_nsec())),
        (Key::from("ctime"), time(found.ctime(), found.ctime_nsec())),
    ]);
    Some(Value::dict(entry))
}
