//! The files that belong to playbooks: what they import and include, and the roles that they use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::file::{Content, File};
use super::tasks::{self, Action};
use crate::diag::{Checked, Diagnostic};
use crate::load::actions;
use crate::load::node::{Node, NodeKind};

/// All files, in the order in which they are met.
pub(super) fn files(playbooks: &[PathBuf], roles_path: &[PathBuf]) -> Checked<Vec<File>> {
    let mut collector = Collector {
        roles_path,
        seen: BTreeSet::new(),
        files: vec![],
        problems: vec![],
    };
    for path in playbooks {
        collector.file(path, None, None);
    }
    Checked {
        value: collector.files,
        problems: collector.problems,
    }
}

struct Collector<'a> {
    roles_path: &'a [PathBuf],
    seen: BTreeSet<PathBuf>,
    files: Vec<File>,
    problems: Vec<Diagnostic>,
}

impl Collector<'_> {
    /// Reads a file and what it leads to, once. What is not there is the loader's to tell.
    fn file(&mut self, path: &Path, content: Option<Content>, role: Option<&str>) {
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !self.seen.insert(whole) {
            return;
        }
        let Ok(text) = std::fs::read_to_string(path) else {
            return;
        };
        // An encrypted file says nothing.
        if crate::load::vault::is_vaulted(text.as_bytes()) {
            return;
        }
        let shown = crate::files::from_here(path).to_path_buf();
        match File::read(shown, text, content, role.map(str::to_owned)) {
            Err(problems) => self.problems.extend(problems),
            Ok(file) => {
                let leads = leads(&file);
                self.files.push(file);
                let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
                for lead in leads {
                    self.follow(&folder, lead, role);
                }
            }
        }
    }

    fn follow(&mut self, folder: &Path, lead: Lead, role: Option<&str>) {
        match lead {
            Lead::Playbook(file) => self.file(&folder.join(file), None, None),
            Lead::Tasks(file) => {
                // A role's files are found from its folder of tasks, too.
                let beside = folder.join(&file);
                self.file(&beside, Some(Content::Tasks), role);
            }
            Lead::Role(name) => {
                let beside = folder.ancestors().take(4).map(|above| above.join("roles"));
                let near = beside.chain(self.roles_path.iter().cloned());
                let found = near
                    .map(|place| place.join(&name))
                    .find(|path| path.is_dir());
                if let Some(path) =
                    found.or_else(|| Some(folder.join(&name)).filter(|path| path.is_dir()))
                {
                    self.role(&path);
                }
            }
        }
    }

    fn role(&mut self, path: &Path) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let parts = [
            ("tasks", Content::Tasks),
            ("handlers", Content::Tasks),
            ("defaults", Content::Variables),
            ("vars", Content::Variables),
            ("meta", Content::Other),
        ];
        for (part, content) in parts {
            let walk = walkdir::WalkDir::new(path.join(part)).sort_by_file_name();
            for entry in walk.into_iter().filter_map(Result::ok) {
                let is_yaml = entry
                    .path()
                    .extension()
                    .is_some_and(|end| end == "yml" || end == "yaml");
                if is_yaml && entry.file_type().is_file() {
                    self.file(entry.path(), Some(content), Some(&name));
                }
            }
        }
    }
}

/// Something that a file leads to.
enum Lead {
    Playbook(String),
    Tasks(String),
    Role(String),
}

fn leads(file: &File) -> Vec<Lead> {
    let mut leads = vec![];
    let roots = file.documents.iter().flat_map(items);
    match file.content {
        Content::Playbook => {
            for play in roots {
                let import = ["import_playbook", "ansible.builtin.import_playbook"];
                let import = import.iter().find_map(|key| play.get(key)?.as_str());
                leads.extend(
                    import
                        .filter(|text| is_plain(text))
                        .map(|text| Lead::Playbook(text.to_owned())),
                );
                for role in play.get("roles").into_iter().flat_map(items) {
                    let name = role
                        .as_str()
                        .or_else(|| role.get("role").or_else(|| role.get("name"))?.as_str());
                    leads.extend(name.map(|name| Lead::Role(name.to_owned())));
                }
                for list in tasks::LISTS {
                    add_tasks(play.get(list), &mut leads);
                }
            }
        }
        Content::Tasks => file
            .documents
            .iter()
            .for_each(|list| add_tasks(Some(list), &mut leads)),
        Content::Variables => {}
        Content::Other => {
            let dependencies = file
                .documents
                .iter()
                .filter_map(|node| node.get("dependencies"));
            for role in dependencies.flat_map(items) {
                let name = role
                    .as_str()
                    .or_else(|| role.get("role").or_else(|| role.get("name"))?.as_str());
                leads.extend(name.map(|name| Lead::Role(name.to_owned())));
            }
        }
    }
    leads
}

fn add_tasks(list: Option<&Node>, leads: &mut Vec<Lead>) {
    for task in list.into_iter().flat_map(items) {
        for part in tasks::PARTS {
            add_tasks(task.get(part), leads);
        }
        let Some(action) = Action::of(task) else {
            continue;
        };
        let file = || {
            action
                .free()
                .map(str::to_owned)
                .or_else(|| action.text("file"))
        };
        match actions::short(action.name()) {
            "include_tasks" | "import_tasks" => {
                leads.extend(file().filter(|text| is_plain(text)).map(Lead::Tasks))
            }
            "include_role" | "import_role" => {
                leads.extend(
                    action
                        .text("name")
                        .filter(|text| is_plain(text))
                        .map(Lead::Role),
                );
            }
            _ => {}
        }
    }
}

/// Nothing in it is known only while a play runs.
fn is_plain(text: &str) -> bool {
    !text.contains("{{") && !text.contains('=')
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        NodeKind::Seq(items) => items,
        _ => &[],
    }
}
