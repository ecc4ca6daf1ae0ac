//! Variables: the precedence table, the scope a task sees, `hostvars` and the other magic names.

mod map;

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::diag::Span;
use crate::load::early;
use crate::template::value::{Dict, Entries, Key, Object, Value};
use crate::template::{Remark, Scope, Templar};

pub use map::{RESERVED_NAME, VarMap, is_reserved, is_restricted_fact, reserved_name};

/// Where a variable can come from, from the weakest to the strongest.
///
/// This is the whole precedence table: a scope is a list of layers sorted by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Settings of the connection, under the names that would set them (`ansible_user`).
    #[default]
    Connection,
    /// What the inventory says of every host (`inventory_hostname`): any variable may stand for it.
    Host,
    /// `defaults/main.yml` of roles.
    RoleDefaults,
    /// Groups and hosts of the inventory, with `group_vars` and `host_vars`, merged in their own order.
    Inventory,
    /// Facts of the host.
    Facts,
    /// `vars` of the play.
    PlayVars,
    /// `vars_prompt` of the play.
    PlayPrompt,
    /// `vars_files` of the play.
    PlayFiles,
    /// `vars/main.yml` of roles.
    RoleVars,
    /// `vars` of a role where it is named.
    RoleCall,
    /// `vars` of blocks.
    BlockVars,
    /// `vars` of the task.
    TaskVars,
    /// `include_vars`.
    IncludeVars,
    /// `set_fact` and `register`.
    SetFacts,
    /// Parameters of a role.
    RoleParams,
    /// `vars` of an include.
    IncludeParams,
    /// `--extra-vars`.
    Extra,
    /// Names that the engine sets.
    Magic,
    /// The loop's variables.
    Loop,
}

/// A task that check mode did not run.
#[derive(Debug)]
pub struct NotRun {
    /// Its name, or its action where it has none.
    pub task: String,
    /// Where it stands.
    pub place: Span,
}

/// The variables whose values check mode does not know, each with the task that would set it.
pub type Unknowns = HashMap<String, Arc<NotRun>>;

/// The variables that a task sees on one host.
#[derive(Clone, Default)]
pub struct HostScope {
    /// Sorted from the strongest to the weakest; layers of one level from the strongest, too.
    layers: Vec<(Level, Arc<VarMap>)>,
    search_path: Arc<Vec<PathBuf>>,
    basedir: PathBuf,
    /// `hash_behaviour = merge`: dictionaries of several layers are merged.
    merge: bool,
    unknown: Arc<Unknowns>,
}

impl HostScope {
    /// An empty scope that looks for files in these places.
    #[must_use]
    pub fn new(search_path: Vec<PathBuf>, basedir: PathBuf) -> Self {
        Self {
            layers: vec![],
            search_path: Arc::new(search_path),
            basedir,
            merge: false,
            unknown: Arc::default(),
        }
    }

    /// The same scope, in which these values are not what the run will find.
    #[must_use]
    pub fn unsure_of(self, unknown: Arc<Unknowns>) -> Self {
        Self { unknown, ..self }
    }

    /// Whether there is any such value.
    #[must_use]
    pub fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// The task that check mode did not run and that would have set a variable.
    #[must_use]
    pub fn not_run(&self, name: &str) -> Option<&Arc<NotRun>> {
        self.unknown.get(name)
    }

    /// The same scope, with dictionaries of several layers merged when asked for.
    #[must_use]
    pub fn merging(self, merge: bool) -> Self {
        Self { merge, ..self }
    }

    /// Adds a layer. Within a level the one added last is the strongest.
    pub fn push(&mut self, level: Level, vars: &Arc<VarMap>) {
        if vars.is_empty() {
            return;
        }
        let at = self.layers.partition_point(|(other, _)| *other > level);
        self.layers.insert(at, (level, Arc::clone(vars)));
    }

    /// The same scope with another layer.
    #[must_use]
    pub fn with(&self, level: Level, vars: VarMap) -> Self {
        let mut scope = self.clone();
        scope.push(level, &Arc::new(vars));
        scope
    }

    /// Reserved names among the variables, each where its weakest definition is written.
    #[must_use]
    pub fn reserved(&self) -> Vec<(&str, &Span)> {
        let mut found: Vec<(&str, &Span)> = vec![];
        for (_, vars) in self.layers.iter().rev() {
            for (name, place) in vars.reserved() {
                if !found.iter().any(|(known, _)| known == name) {
                    found.push((name, place));
                }
            }
        }
        found
    }

    /// All variables as a mapping that holds itself as `vars`, so many times inside of each other.
    #[must_use]
    pub fn whole(&self, depth: usize) -> Value {
        let scope = self.clone();
        Value::object(VarsObject { scope, depth })
    }

    /// What a task that `self` describes would see on another host: all that its play, role, blocks
    /// and itself give it, with what `there` knows of the host.
    #[must_use]
    pub fn on(&self, there: &Self) -> Self {
        let of_host = |level: Level| {
            matches!(
                level,
                Level::Host
                    | Level::Inventory
                    | Level::Facts
                    | Level::IncludeVars
                    | Level::SetFacts
                    | Level::Extra
            )
        };
        let given = |(level, _): &&(Level, _)| {
            !of_host(*level) && !matches!(level, Level::Loop | Level::Connection)
        };
        let mut layers: Vec<(Level, Arc<VarMap>)> =
            self.layers.iter().filter(given).cloned().collect();
        let of_there = there.layers.iter().filter(|(level, _)| of_host(*level));
        layers.extend(of_there.cloned());
        layers.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        Self {
            layers,
            ..self.clone()
        }
    }

    /// The same scope with another search path.
    #[must_use]
    pub fn with_search_path(&self, search_path: &Arc<Vec<PathBuf>>) -> Self {
        Self {
            search_path: Arc::clone(search_path),
            ..self.clone()
        }
    }
}

impl Scope for HostScope {
    fn get(&self, name: &str) -> Option<Value> {
        early::variable(name);
        if name == "vars" {
            return Some(self.whole(1));
        }
        let mut found = self
            .layers
            .iter()
            .filter_map(|(level, vars)| Some((level, vars.get(name)?)));
        let (level, strongest) = found.next()?;
        if !self.merge || *level >= Level::Magic {
            return Some(strongest.clone());
        }
        // Of a task and its blocks the nearest counts, whatever else is merged.
        let of_task = |level: &Level| matches!(level, Level::BlockVars | Level::TaskVars);
        let mut seen = of_task(level);
        let mut value = strongest.clone();
        for (level, weak) in found {
            if of_task(level) && std::mem::replace(&mut seen, true) {
                continue;
            }
            value = merged(weak, value);
        }
        Some(value)
    }

    fn remark(&self, name: &str) -> Option<Remark> {
        match name {
            "vars" => return Some(Remark::VarsDictionary),
            "play_hosts" => return Some(Remark::PlayHosts),
            // They are not to be injected, they stay.
            "ansible_local" | "ansible_facts" => return None,
            _ => {}
        }
        let has = |(_, vars): &(Level, Arc<VarMap>)| vars.contains_key(name);
        let stronger = self
            .layers
            .partition_point(|(level, _)| *level > Level::Facts);
        let (level, facts) = self.layers.get(stronger)?;
        let injected = *level == Level::Facts
            && facts.contains_key(name)
            && !self.layers[..stronger].iter().any(has);
        injected.then_some(Remark::InjectedFact)
    }

    fn names(&self) -> Vec<String> {
        early::all_variables();
        let mut names = IndexMap::new();
        for (_, vars) in self.layers.iter().rev() {
            names.extend(vars.keys().map(|name| (name.clone(), ())));
        }
        names.into_keys().collect()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        self.search_path.to_vec()
    }

    fn basedir(&self) -> PathBuf {
        self.basedir.clone()
    }
}

/// Two values of one variable under `hash_behaviour = merge`: dictionaries are merged key by key,
/// of anything else the stronger one counts.
#[must_use]
pub fn merged(weak: &Value, strong: Value) -> Value {
    let (Value::Dict(under), Value::Dict(over)) = (weak, &strong) else {
        return strong;
    };
    let mut entries = under.read().clone();
    for (key, value) in over.read().iter() {
        let value = match entries.get(key) {
            Some(weak) => merged(weak, value.clone()),
            None => value.clone(),
        };
        entries.insert(key.clone(), value);
    }
    Value::Dict(Arc::new(Dict {
        entries: std::sync::RwLock::new(entries),
        lazy: under.lazy || over.lazy,
    }))
}

/// The magic variable `vars`: the whole scope as a mapping.
struct VarsObject {
    scope: HostScope,
    /// How often it still holds itself, as `vars`.
    depth: usize,
}

impl VarsObject {
    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "vars" if self.depth == 0 => None,
            "vars" => Some(self.scope.whole(self.depth - 1)),
            _ => self.scope.get(name),
        }
    }

    /// The names of what a task may use, without what the engine adds to it for its own work.
    fn names(&self) -> Vec<String> {
        const OWN: [&str; 2] = ["ansible_search_path", "ansible_managed"];
        let layers = self.scope.layers.iter().rev();
        let layers = layers.filter(|(level, _)| !matches!(level, Level::Connection | Level::Loop));
        let names = layers.flat_map(|(_, vars)| vars.keys().map(String::as_str));
        let names = names.filter(|name| !OWN.contains(name));
        let itself = (self.depth > 0).then_some("vars");
        let names: IndexSet<&str> = names.chain(itself).collect();
        names.into_iter().map(str::to_owned).collect()
    }
}

impl Object for VarsObject {
    fn type_name(&self) -> &'static str {
        "dict"
    }

    fn item(&self, key: &Value) -> Option<Value> {
        self.get(key.as_str()?)
    }

    fn attr(&self, name: &str) -> Option<Value> {
        self.get(name)
    }

    fn iterate(&self) -> Option<Vec<Value>> {
        Some(self.names().into_iter().map(Value::str).collect())
    }

    fn to_dict(&self) -> Option<Value> {
        let names = self.names().into_iter();
        let entries = names.filter_map(|name| Some((Key::from(name.as_str()), self.get(&name)?)));
        Some(Value::lazy_dict(entries.collect()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Gives the scope of any host of the inventory, as `hostvars` shows it: without the variables of
/// the play, its roles and tasks.
pub trait Hosts: Send + Sync {
    /// The names, in the order of the inventory.
    fn names(&self) -> Vec<String>;
    /// The scope of a host; `None` for an unknown one.
    fn scope(&self, host: &str) -> Option<HostScope>;
}

/// The magic variable `hostvars`.
pub struct HostVars {
    /// The hosts.
    pub hosts: Arc<dyn Hosts>,
    /// Templates are rendered with the variables of the host they belong to.
    pub templar: Arc<Templar>,
}

impl Object for HostVars {
    fn type_name(&self) -> &'static str {
        "HostVars"
    }

    fn item(&self, key: &Value) -> Option<Value> {
        let scope = self.hosts.scope(key.as_str()?)?;
        Some(Value::object(VarsOfHost {
            scope,
            templar: Arc::clone(&self.templar),
        }))
    }

    fn attr(&self, name: &str) -> Option<Value> {
        self.item(&Value::str(name))
    }

    fn iterate(&self) -> Option<Vec<Value>> {
        Some(self.hosts.names().into_iter().map(Value::str).collect())
    }

    fn to_dict(&self) -> Option<Value> {
        let entries = self.hosts.names().into_iter().filter_map(|name| {
            let value = self.item(&Value::str(name.as_str()))?;
            Some((Key::from(name), value))
        });
        Some(Value::dict(entries.collect::<Entries>()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// One entry of `hostvars`.
struct VarsOfHost {
    scope: HostScope,
    templar: Arc<Templar>,
}

impl VarsOfHost {
    fn resolve(&self, name: &str) -> Option<Value> {
        let raw = self.scope.get(name)?;
        Some(
            self.templar
                .expand_soft(&raw, &self.scope)
                .unwrap_or_else(|error| Value::undefined(error.diagnostic.message)),
        )
    }
}

impl Object for VarsOfHost {
    fn type_name(&self) -> &'static str {
        "HostVarsVars"
    }

    fn remark(&self, name: &str) -> Option<Remark> {
        self.scope.remark(name)
    }

    fn item(&self, key: &Value) -> Option<Value> {
        self.resolve(key.as_str()?)
    }

    fn attr(&self, name: &str) -> Option<Value> {
        self.resolve(name)
    }

    fn iterate(&self) -> Option<Vec<Value>> {
        Some(self.scope.names().into_iter().map(Value::str).collect())
    }

    fn to_dict(&self) -> Option<Value> {
        let entries = self.scope.names().into_iter().filter_map(|name| {
            let value = self.resolve(&name)?;
            Some((Key::from(name), value))
        });
        Some(Value::dict(entries.collect::<Entries>()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
