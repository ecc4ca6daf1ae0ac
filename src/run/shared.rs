//! What every worker of a run may read: options, templates, files. Nothing here changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use rplay_modules::data::{Data, Map};

use crate::config::Config;
use crate::connect::{Keys, Secret};
use crate::diag::{Diagnostic, Severity};
use crate::inventory::{Inventory, LOCALHOST};
use crate::plan::{Files, Planner, key_place, to_variable};
use crate::secrets::Secrets;
use crate::template::Templar;
use crate::template::value::{Entries, Key, Value};
use crate::vars::{HostScope, Hosts, Level, Unknowns, VarMap, is_restricted_fact, merged};

/// The command line's options for a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--check`
    pub check: bool,
    /// `--diff`
    pub diff: bool,
    /// The number of `-v`.
    pub verbosity: u8,
    /// `--forks`
    pub forks: usize,
    /// `--limit`
    pub limit: Option<String>,
    /// `--user`
    pub remote_user: Option<String>,
    /// `--private-key`
    pub private_key: Option<PathBuf>,
    /// The encrypted keys that were opened, and who is asked for passphrases.
    pub keys: Keys,
    /// `--connection`
    pub connection: Option<String>,
    /// `--timeout`, in seconds.
    pub timeout: Option<u64>,
    /// `--become`
    pub r#become: bool,
    /// `--become-user`
    pub become_user: Option<String>,
    /// `--become-method`
    pub become_method: Option<String>,
    /// Asked for by `--ask-become-pass` or read from a file.
    pub become_password: Option<Secret>,
    /// Asked for by `--ask-pass` or read from a file.
    pub password: Option<Secret>,
    /// Arguments of SSH connections.
    pub ssh_args: SshArgs,
    /// `--force-handlers`
    pub force_handlers: bool,
    /// `--start-at-task`
    pub start_at: Option<String>,
    /// `--step`
    pub step: bool,
    /// The whole plan is evaluated before anything runs.
    pub look_ahead: bool,
    /// The largest content of a file that is kept before a task changes it; none: nothing is.
    pub keep: Option<u64>,
    /// `--flush-cache`
    pub flush_cache: bool,
    /// `--tags`, `--skip-tags`
    pub tags: crate::plan::TagFilter,
}

/// Arguments of SSH connections, in the order in which they count.
#[derive(Clone, Debug, Default)]
pub struct SshArgs {
    /// The setting `ssh_args`.
    pub all: Option<String>,
    /// `--ssh-common-args`
    pub common: Option<String>,
    /// `--ssh-extra-args`
    pub extra: Option<String>,
}

/// What workers read.
#[derive(Clone)]
pub(crate) struct RunShared {
    pub(crate) options: Options,
    pub(crate) config: Config,
    pub(crate) templar: Arc<Templar>,
    pub(crate) planner: Planner,
    pub(crate) playbook_dir: PathBuf,
}

impl RunShared {
    /// What must never be shown.
    pub(crate) fn hidden(&self) -> &Secrets {
        &self.planner.files.secrets.hidden
    }
}

/// What settings say of variables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// `playbook_vars_root`: where playbooks have files of variables.
    pub(crate) root: VarsRoot,
    /// `hash_behaviour = merge`
    pub(crate) merge: bool,
    /// `inject_facts_as_vars`: facts are variables of their own too.
    pub(crate) inject: bool,
}

/// Where playbooks have `group_vars` and `host_vars`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum VarsRoot {
    /// Beside the playbook.
    #[default]
    Top,
    /// Beside the task's file, or in its role.
    Bottom,
    /// In the task's role, the roles that need it, and beside its file.
    All,
}

impl VarsRoot {
    pub(super) fn of(config: &Config) -> Self {
        match config.text("playbook_vars_root").as_deref() {
            Some("bottom") => Self::Bottom,
            Some("all") => Self::All,
            _ => Self::Top,
        }
    }

    /// Which of a task's folders count, from its role to its file; none: the playbook's.
    pub(super) fn folders(self, places: &[PathBuf]) -> Option<&[PathBuf]> {
        match self {
            Self::Top => None,
            Self::Bottom => places.get(..1),
            Self::All => Some(places),
        }
    }
}

/// The magic variable `groups`.
pub(crate) fn groups(inventory: &Inventory) -> Value {
    // Each name is kept once, however many groups a host is in.
    let names = inventory.hosts.keys().map(|name| Value::str(name.as_str()));
    let names: Vec<Value> = names.collect();
    let list = |hosts: Vec<usize>| {
        let hosts = hosts.into_iter();
        Value::list(hosts.map(|place| names[place].clone()).collect())
    };
    let groups = inventory.members();
    let groups = groups.map(|(name, hosts)| (Key::from(name.to_owned()), list(hosts)));
    Value::dict(groups.collect())
}

/// Variables of the inventory, merged in Ansible's order, a host's on its first use.
pub(crate) struct InventoryVars {
    pub(crate) inventory: Inventory,
    pub(crate) files: Arc<Files>,
    /// Where warnings about the files go.
    pub(crate) templar: Arc<Templar>,
    pub(crate) playbook_dir: PathBuf,
    /// How values of several places come together.
    pub(crate) rules: Rules,
    /// Magic variables that are the same for all hosts, and in `hostvars`, too.
    pub(super) common: Arc<VarMap>,
    /// `ansible_facts` of a host of which none is known.
    no_facts: Arc<VarMap>,
    cache: Vec<OnceLock<HostBase>>,
}

impl InventoryVars {
    pub(crate) fn new(
        inventory: Inventory,
        files: Arc<Files>,
        templar: Arc<Templar>,
        playbook_dir: PathBuf,
        rules: Rules,
    ) -> Self {
        let dir = Value::str(playbook_dir.display().to_string());
        let common = [("groups", groups(&inventory)), ("playbook_dir", dir)];
        let common = common.map(|(name, value)| (name.to_owned(), value));
        let cache = inventory.hosts.keys().map(|_| OnceLock::new()).collect();
        Self {
            inventory,
            files,
            templar,
            playbook_dir,
            rules,
            common: Arc::new(VarMap::from(common)),
            no_facts: Arc::new(VarMap::from([(
                ANSIBLE_FACTS.to_owned(),
                Value::dict(Entries::new()),
            )])),
            cache,
        }
    }

    /// The same inventory, with the files beside another playbook.
    pub(super) fn beside(&self, playbook_dir: &Path) -> Self {
        Self::new(
            self.inventory.clone(),
            Arc::clone(&self.files),
            Arc::clone(&self.templar),
            playbook_dir.to_path_buf(),
            self.rules,
        )
    }

    /// The variables that the inventory gives a host.
    pub(super) fn vars_of(&self, host: &str) -> Arc<VarMap> {
        self.of(host).vars
    }

    /// Why files of a host's variables cannot be read.
    pub(super) fn broken(&self, host: &str) -> Arc<Vec<Diagnostic>> {
        self.of(host).broken
    }

    /// What is known of a host before anything runs.
    fn of(&self, host: &str) -> HostBase {
        let place = self.inventory.hosts.get_index_of(host);
        match place.and_then(|place| self.cache.get(place)) {
            Some(cell) => cell.get_or_init(|| self.base(host)).clone(),
            None => self.base(host),
        }
    }

    fn base(&self, host: &str) -> HostBase {
        let (vars, broken) = self.read(host, &[&self.playbook_dir]);
        HostBase {
            vars: Arc::new(vars),
            broken: Arc::new(broken),
            magic: Arc::new(self.magic(host)),
        }
    }

    /// The same, with files in these folders in place of those beside the playbook.
    fn vars_in(&self, host: &str, folders: &[PathBuf]) -> Arc<VarMap> {
        let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        Arc::new(self.read(host, &folders).0)
    }

    fn read(&self, host: &str, playbooks: &[&Path]) -> (VarMap, Vec<Diagnostic>) {
        let mut problems = vec![];
        let layers = self
            .inventory
            .layers(host, playbooks)
            .collect(&mut problems);
        let broken = problems.extract_if(.., |problem| problem.severity == Severity::Error);
        let broken = broken.collect();
        let mut all = VarMap::new();
        for layer in layers {
            for (name, node) in layer.vars.iter() {
                let value = to_variable(name, node, &self.files);
                let value = match all.get(name) {
                    Some(weak) if self.rules.merge => merged(weak, value),
                    _ => value,
                };
                all.declare(name, &key_place(name, node), value);
            }
        }
        self.templar.note_warnings(problems);
        (all, broken)
    }

    fn magic(&self, host: &str) -> VarMap {
        let inventory = &self.inventory;
        let short = host.split('.').next().unwrap_or(host);
        let groups = inventory
            .group_names(host)
            .into_iter()
            .map(Value::str)
            .collect();
        let mut magic = VarMap::from([
            ("inventory_hostname".to_owned(), Value::str(host)),
            ("inventory_hostname_short".to_owned(), Value::str(short)),
            ("group_names".to_owned(), Value::list(groups)),
        ]);
        if !inventory.is_implicit(host) {
            for name in ["inventory_file", "inventory_dir"] {
                magic.insert(name.to_owned(), Value::None);
            }
        }
        if let Some(source) = inventory.hosts.get(host).and_then(|host| host.file.clone()) {
            let source = std::path::absolute(&source).unwrap_or_else(|_| source.to_path_buf());
            let dir = if source.is_dir() {
                Some(source.as_path())
            } else {
                source.parent()
            };
            magic.insert(
                "inventory_file".to_owned(),
                Value::str(source.display().to_string()),
            );
            if let Some(dir) = dir {
                magic.insert(
                    "inventory_dir".to_owned(),
                    Value::str(dir.display().to_string()),
                );
            }
        }
        magic
    }
}

/// A host's variables from the inventory and its magic ones.
#[derive(Clone, Debug)]
struct HostBase {
    vars: Arc<VarMap>,
    magic: Arc<VarMap>,
    broken: Arc<Vec<Diagnostic>>,
}

/// What a host has learnt during the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// Facts with their prefix, as top-level variables.
    pub(crate) facts: Arc<VarMap>,
    /// Facts that are no variables of their own.
    restricted: Arc<VarMap>,
    /// Facts without it, as the variable `ansible_facts`.
    plain_facts: Arc<VarMap>,
    /// Those that are variables of their own in any case.
    local_facts: Arc<VarMap>,
    /// `set_fact` and `register`.
    pub(crate) set: Arc<VarMap>,
    /// Those of them that only the run will know.
    pub(crate) unknown: Arc<Unknowns>,
    /// `include_vars`.
    pub(crate) included: Arc<VarMap>,
    /// Variables of a host that `add_host` made.
    pub(crate) added: Arc<VarMap>,
}

impl Memory {
    /// The facts under the names that they came with, as they are kept between runs.
    pub(crate) fn facts_data(&self) -> Map {
        let mut all: Map = self
            .facts
            .iter()
            .chain(self.restricted.iter())
            .filter_map(|(name, value)| Some((name.clone(), value.to_data().ok()?)))
            .collect();
        if self.gathered() {
            all.insert(GATHERED.to_owned(), Data::Bool(true));
        }
        all
    }

    /// Whether the host's facts were gathered, and not only set.
    pub(crate) fn gathered(&self) -> bool {
        matches!(self.plain_facts.get(ANSIBLE_FACTS), Some(Value::Dict(facts)) if facts.read().contains_key(GATHERED))
    }

    /// Keeps facts in both forms.
    pub(crate) fn learn(&mut self, facts: &Map) {
        let top = Arc::make_mut(&mut self.facts);
        let mut plain = match self.plain_facts.get(ANSIBLE_FACTS) {
            Some(Value::Dict(known)) => known.read().clone(),
            _ => Entries::new(),
        };
        for (name, value) in facts {
            let value = Value::from_data(value);
            // Local facts keep their prefix, as Ansible has it.
            let short = match name.as_str() {
                LOCAL => LOCAL,
                name => name.strip_prefix("ansible_").unwrap_or(name),
            };
            plain.insert(short.into(), value.clone());
            if short == LOCAL {
                self.local_facts = Arc::new(VarMap::from([(LOCAL.to_owned(), value.clone())]));
            }
            if is_restricted_fact(name) {
                Arc::make_mut(&mut self.restricted).insert(name.clone(), value);
            } else if name != GATHERED {
                top.insert(name.clone(), value);
            }
        }
        self.plain_facts = Arc::new(VarMap::from([(
            ANSIBLE_FACTS.to_owned(),
            Value::dict(plain),
        )]));
    }

    /// `meta: clear_facts`.
    pub(crate) fn forget(&mut self) {
        self.facts = Arc::default();
        self.restricted = Arc::default();
        self.plain_facts = Arc::default();
        self.local_facts = Arc::default();
    }
}

const ANSIBLE_FACTS: &str = "ansible_facts";
const LOCAL: &str = "ansible_local";

/// The fact that tells that others were gathered.
pub(crate) const GATHERED: &str = "_ansible_facts_gathered";

/// All hosts at one moment.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) vars: Arc<InventoryVars>,
    pub(crate) memory: Arc<IndexMap<String, Arc<Memory>>>,
    pub(crate) extra: Arc<VarMap>,
    pub(crate) magic: Arc<VarMap>,
    pub(crate) playbook_dir: PathBuf,
}

impl World {
    /// The part of a host's scope that does not depend on a play.
    pub(crate) fn base(&self, host: &str) -> HostScope {
        self.base_for(host, None)
    }

    /// The same, with files of variables in these folders in place of those beside the playbook.
    pub(super) fn base_for(&self, host: &str, folders: Option<&[PathBuf]>) -> HostScope {
        let places = vec![self.playbook_dir.clone()];
        let mut scope =
            HostScope::new(places, self.playbook_dir.clone()).merging(self.vars.rules.merge);
        scope.push(Level::Extra, &self.extra);
        let base = self.vars.of(host);
        match folders {
            Some(folders) => scope.push(Level::Inventory, &self.vars.vars_in(host, folders)),
            None => scope.push(Level::Inventory, &base.vars),
        }
        scope.push(Level::Magic, &self.magic);
        scope.push(Level::Magic, &self.vars.common);
        scope.push(Level::Host, &base.magic);
        scope.push(Level::Facts, &self.vars.no_facts);
        if let Some(memory) = self.memory.get(host) {
            scope.push(Level::Inventory, &memory.added);
            scope.push(Level::Facts, &memory.plain_facts);
            if self.vars.rules.inject {
                scope.push(Level::Facts, &memory.facts);
            } else {
                scope.push(Level::Facts, &memory.local_facts);
            }
            scope.push(Level::IncludeVars, &memory.included);
            scope.push(Level::SetFacts, &memory.set);
            return scope.unsure_of(Arc::clone(&memory.unknown));
        }
        scope
    }
}

impl Hosts for World {
    fn names(&self) -> Vec<String> {
        self.vars.inventory.hosts.keys().cloned().collect()
    }

    fn scope(&self, host: &str) -> Option<HostScope> {
        let inventory = &self.vars.inventory;
        if inventory.hosts.contains_key(host) {
            return Some(self.base(host));
        }
        // All its names mean one host.
        let own = LOCALHOST.contains(&host).then_some(LOCALHOST[0])?;
        inventory.localhost(own).map(|host| self.base(host))
    }
}
