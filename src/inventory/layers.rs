//! The variables that a host has from its inventory, in layers: from the inventory itself, from
//! `group_vars` and `host_vars` beside the inventory and beside the playbook.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::{Inventory, PYTHON, Vars, yaml};
use crate::diag::{Checked, Diagnostic, Source, Span};
use crate::load;
use crate::load::node::{Node, NodeKind};
use crate::load::vault::VaultSecrets;
use crate::load::yaml::single;

/// Where a layer stands, the weakest first: the derived order is Ansible's precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerKind {
    /// `all` in the inventory.
    AllInventory,
    /// Other groups in the inventory.
    GroupInventory,
    /// `group_vars/all` beside the inventory.
    AllInventoryFiles,
    /// `group_vars/all` beside the playbook.
    AllPlaybookFiles,
    /// `group_vars/*` beside the inventory.
    GroupInventoryFiles,
    /// `group_vars/*` beside the playbook.
    GroupPlaybookFiles,
    /// The host in the inventory.
    HostInventory,
    /// `host_vars/*` beside the inventory.
    HostInventoryFiles,
    /// `host_vars/*` beside the playbook.
    HostPlaybookFiles,
}

impl LayerKind {
    /// The layers of groups by the names that `precedence` gives them, in the usual order.
    pub(super) const OF_GROUPS: [(&'static str, Self); 6] = [
        ("all_inventory", Self::AllInventory),
        ("groups_inventory", Self::GroupInventory),
        ("all_plugins_inventory", Self::AllInventoryFiles),
        ("all_plugins_play", Self::AllPlaybookFiles),
        ("groups_plugins_inventory", Self::GroupInventoryFiles),
        ("groups_plugins_play", Self::GroupPlaybookFiles),
    ];

    /// The order that `precedence` asks for, with the names in it that mean nothing.
    pub(super) fn order(names: &[String]) -> (Vec<Self>, Vec<&String>) {
        let mut order: Vec<Self> = vec![];
        let mut unknown = vec![];
        for name in names {
            match Self::OF_GROUPS.iter().find(|(known, _)| known == name) {
                Some((_, kind)) => {
                    // What is merged twice is there the second time.
                    order.retain(|other| other != kind);
                    order.push(*kind);
                }
                None => unknown.push(name),
            }
        }
        (order, unknown)
    }
}

/// Variables from one place.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Where it stands.
    pub what: LayerKind,
    /// The group or host it is for.
    pub name: String,
    /// The file it comes from; none for the inventory itself, whose values know their own.
    pub path: Option<PathBuf>,
    /// The variables.
    pub vars: Arc<Vars>,
}

/// Which of the two directories of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VarsKind {
    /// `group_vars`
    Group,
    /// `host_vars`
    Host,
}

impl VarsKind {
    fn directory(self) -> &'static str {
        match self {
            Self::Group => "group_vars",
            Self::Host => "host_vars",
        }
    }
}

/// The files of variables that were read, each once.
#[derive(Default)]
pub(super) struct Files {
    secrets: VaultSecrets,
    /// `yaml_valid_extensions`, with their dots.
    endings: Vec<String>,
    read: Mutex<HashMap<(PathBuf, VarsKind, String), Arc<Found>>>,
}

/// The files for one group or host in one directory.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, Arc<Vars>)>,
    problems: Vec<Diagnostic>,
}

impl Files {
    pub(super) fn new(secrets: VaultSecrets, endings: Vec<String>) -> Self {
        Self {
            secrets,
            endings,
            read: Mutex::default(),
        }
    }

    fn get(&self, directory: &Path, kind: VarsKind, name: &str) -> Arc<Found> {
        let key = (directory.to_path_buf(), kind, name.to_owned());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            read.entry(key)
                .or_insert_with(|| Arc::new(self.load(directory, kind, name))),
        )
    }

    fn load(&self, directory: &Path, kind: VarsKind, name: &str) -> Found {
        let mut found = Found::default();
        for path in vars_files(directory, kind, name, &self.endings) {
            let source = match load::read(&path, &self.secrets) {
                Ok(source) => source,
                Err(problem) => {
                    found.problems.push(problem);
                    continue;
                }
            };
            let root = single(&source).collect(&mut found.problems);
            match &root.kind {
                NodeKind::Map(_) => found.files.push((path, Arc::new(yaml::mapping(&root)))),
                NodeKind::Null => {}
                _ => {
                    let text = format!(
                        "a file of variables must hold a mapping of names to values, `{}` holds {}",
                        path.display(),
                        root.kind_name()
                    );
                    found
                        .problems
                        .push(Diagnostic::error("vars-not-a-mapping", text).at(&root.span));
                }
            }
        }
        found
    }
}

/// Variables of the controller where no source lists it.
static IMPLICIT: LazyLock<Arc<Vars>> = LazyLock::new(|| {
    let source = Source::described("<implicit localhost>", "");
    let text = |text: &str| Node {
        span: Span {
            source: Arc::clone(&source),
            start: 0,
            end: 0,
        },
        kind: NodeKind::Unsafe(text.to_owned()),
    };
    let vars = [
        ("ansible_connection", "local"),
        ("ansible_python_interpreter", PYTHON),
    ];
    Arc::new(Vars::from_iter(
        vars.map(|(name, value)| (name.to_owned(), text(value))),
    ))
});

impl Inventory {
    /// The variables of a host from its inventory and the files beside it and in these folders of
    /// playbooks, the weakest first. The caller merges them (`hash_behaviour`). Files are read
    /// once, and only for hosts asked for. Problems of a file are told each time.
    #[must_use]
    pub fn layers(&self, host: &str, playbooks: &[&Path]) -> Checked<Vec<Layer>> {
        let mut layers = vec![];
        let mut problems = vec![];
        let mut groups = self.groups_of(host);
        if !groups.iter().any(|name| name == "all") {
            groups.insert(0, "all".to_owned());
        }
        for name in &groups {
            if let Some(group) = self.groups.get(name).filter(|group| !group.vars.is_empty()) {
                let what = if name == "all" {
                    LayerKind::AllInventory
                } else {
                    LayerKind::GroupInventory
                };
                layers.push(Layer {
                    what,
                    name: name.clone(),
                    path: None,
                    vars: Arc::clone(&group.vars),
                });
            }
        }
        let (inventories, playbooks) = self.places(playbooks);
        let (all, others): (Vec<&String>, Vec<&String>) =
            groups.iter().partition(|name| *name == "all");
        let mut add = |what, directories: &[&Path], kind, names: &[&String]| {
            for directory in directories {
                for name in names {
                    let found = self.files.get(directory, kind, name);
                    problems.extend(found.problems.iter().cloned());
                    layers.extend(found.files.iter().map(|(path, vars)| Layer {
                        what,
                        name: (*name).clone(),
                        path: Some(path.clone()),
                        vars: Arc::clone(vars),
                    }));
                }
            }
        };
        let host_name = host.to_owned();
        let itself = [&host_name];
        add(
            LayerKind::AllInventoryFiles,
            &inventories,
            VarsKind::Group,
            &all,
        );
        add(
            LayerKind::AllPlaybookFiles,
            &playbooks,
            VarsKind::Group,
            &all,
        );
        add(
            LayerKind::GroupInventoryFiles,
            &inventories,
            VarsKind::Group,
            &others,
        );
        add(
            LayerKind::GroupPlaybookFiles,
            &playbooks,
            VarsKind::Group,
            &others,
        );
        add(
            LayerKind::HostInventoryFiles,
            &inventories,
            VarsKind::Host,
            &itself,
        );
        add(
            LayerKind::HostPlaybookFiles,
            &playbooks,
            VarsKind::Host,
            &itself,
        );
        if let Some(host) = self.hosts.get(host).filter(|host| !host.vars.is_empty()) {
            let (what, vars) = (LayerKind::HostInventory, Arc::clone(&host.vars));
            layers.push(Layer {
                what,
                name: host.name.clone(),
                path: None,
                vars,
            });
        }
        if self.is_implicit(host) {
            layers.push(Layer {
                what: LayerKind::HostInventory,
                name: host.to_owned(),
                path: None,
                vars: Arc::clone(&IMPLICIT),
            });
        }
        let of_group = |what: LayerKind| what < LayerKind::HostInventory;
        let place = |what: LayerKind| self.precedence.iter().position(|kind| *kind == what);
        layers.retain(|layer| !of_group(layer.what) || place(layer.what).is_some());
        layers.sort_by_key(|layer| {
            (
                of_group(layer.what)
                    .then(|| place(layer.what))
                    .flatten()
                    .unwrap_or(usize::MAX),
                layer.what,
            )
        });
        problems.dedup();
        Checked {
            value: layers,
            problems,
        }
    }
}

impl Inventory {
    /// The same, with the files of variables that a listing shows.
    #[must_use]
    pub fn listed(mut self) -> Self {
        self.beside = self.beside_listed;
        self
    }

    /// The folders that may have files of variables.
    fn places<'a>(&'a self, playbooks: &[&'a Path]) -> (Vec<&'a Path>, Vec<&'a Path>) {
        let sources = self.directories.iter().map(PathBuf::as_path);
        let playbooks = playbooks.iter().copied();
        (
            sources.filter(|_| self.beside.sources).collect(),
            playbooks.filter(|_| self.beside.playbooks).collect(),
        )
    }

    /// What is said of one group or host itself, the weakest first: the inventory, the files beside
    /// it, the files beside the playbook.
    #[must_use]
    pub fn own_layers(
        &self,
        kind: VarsKind,
        name: &str,
        playbook_dir: Option<&Path>,
    ) -> Checked<Vec<Layer>> {
        let (here, files, beside_playbook, vars) = match kind {
            VarsKind::Group => (
                LayerKind::GroupInventory,
                LayerKind::GroupInventoryFiles,
                LayerKind::GroupPlaybookFiles,
                self.groups.get(name).map(|group| &group.vars),
            ),
            VarsKind::Host => (
                LayerKind::HostInventory,
                LayerKind::HostInventoryFiles,
                LayerKind::HostPlaybookFiles,
                self.hosts.get(name).map(|host| &host.vars),
            ),
        };
        let layer = |what, path, vars: &Arc<Vars>| Layer {
            what,
            name: name.to_owned(),
            path,
            vars: Arc::clone(vars),
        };
        let mut layers: Vec<Layer> = vars
            .map(|vars| layer(here, None, vars))
            .into_iter()
            .collect();
        let mut problems = vec![];
        let (inventories, playbooks) = self.places(playbook_dir.as_slice());
        let inventories = inventories.into_iter().map(|dir| (files, dir));
        let playbooks = playbooks.into_iter().map(|dir| (beside_playbook, dir));
        for (what, directory) in inventories.chain(playbooks) {
            let found = self.files.get(directory, kind, name);
            problems.extend(found.problems.iter().cloned());
            let read = found.files.iter();
            layers.extend(read.map(|(path, vars)| layer(what, Some(path.clone()), vars)));
        }
        Checked {
            value: layers,
            problems,
        }
    }
}

/// The files with the variables of a group or host below a directory, in the order of merging:
/// the first that exists of `NAME` and `NAME` with an ending; of a directory all files in it
/// with such an ending or none, sorted.
fn vars_files(directory: &Path, kind: VarsKind, name: &str, endings: &[String]) -> Vec<PathBuf> {
    let base = directory.join(kind.directory());
    // A host's name is no way out of the directory.
    if name.contains('/') || name == ".." || !base.is_dir() {
        return vec![];
    }
    for ending in std::iter::once("").chain(endings.iter().map(String::as_str)) {
        let path = base.join(format!("{name}{ending}"));
        if path.is_dir() {
            let mut files = vec![];
            directory_files(&path, endings, &mut files);
            return files;
        }
        if path.exists() {
            return vec![path];
        }
    }
    vec![]
}

fn directory_files(directory: &Path, endings: &[String], files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let ending = path
            .extension()
            .map(|ending| format!(".{}", ending.to_string_lossy()));
        if path.is_dir() {
            if ending.is_none() {
                directory_files(&path, endings, files);
            }
        } else if ending.is_none_or(|ending| endings.contains(&ending)) {
            files.push(path);
        }
    }
}
