//! The graph of groups and hosts: how it is built, walked and put in order.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{Group, Host, Inventory, LOCALHOST, Naming, Vars};
use crate::diag::{Diagnostic, Span};
use crate::load::node::{Node, NodeKind};
use crate::ordered::{Hasher, OrderedMap, OrderedSet};

/// A name in which `_` stands for what a variable's name cannot have.
pub(super) fn safe_name(written: &str) -> String {
    let odd = |c: char| !(c.is_alphanumeric() || c == '_');
    let name = written.replace(odd, "_");
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{}", name.chars().skip(1).collect::<String>()),
        false => name,
    }
}

/// The priority of groups that say nothing of it.
pub(crate) const PRIORITY: i128 = 1;

/// The port in a host's name, as the value of `ansible_port`.
pub(super) fn port_node(port: i128, span: &Span) -> Node {
    Node {
        span: span.clone(),
        kind: NodeKind::Int(port),
    }
}

impl Inventory {
    /// An inventory with nothing but the groups `all` and `ungrouped`.
    #[must_use]
    pub fn empty() -> Self {
        let mut inventory = Self {
            hosts: OrderedMap::default(),
            groups: OrderedMap::default(),
            sources: vec![],
            directories: vec![],
            naming: Naming::default(),
            mismatch: super::Mismatch::default(),
            precedence: super::LayerKind::OF_GROUPS.map(|(_, kind)| kind).to_vec(),
            renamed: false,
            beside: super::Beside::ALL,
            beside_listed: super::Beside::ALL,
            files: Arc::default(),
            implicit: OnceLock::new(),
        };
        inventory.add_group("all");
        inventory.add_group("ungrouped");
        inventory.link("all", "ungrouped");
        inventory
    }

    /// Adds a host at run time (`add_host`); its variables come from the caller.
    pub fn add_host(&mut self, name: &str, group: &str, file: Option<&Arc<Path>>) {
        let host = self.hosts.entry(name.to_owned()).or_insert_with(|| Host {
            name: name.to_owned(),
            file: file.cloned(),
            // Most hosts are in one group only, and there may be very many hosts.
            groups: OrderedSet::with_capacity_and_hasher(1, Hasher::default()),
            ..Host::default()
        });
        if host.groups.contains(group) {
            return;
        }
        host.groups.insert(group.to_owned());
        self.add_group(group);
        if let Some(group) = self.groups.get_mut(group) {
            group.hosts.insert(name.to_owned());
        }
    }

    /// Adds a group (`group_by`, `add_host`) if it is not there yet.
    pub fn add_group(&mut self, name: &str) {
        if !self.groups.contains_key(name) {
            self.groups.insert(
                name.to_owned(),
                Group {
                    name: name.to_owned(),
                    priority: PRIORITY,
                    ..Group::default()
                },
            );
        }
    }

    /// Puts a group into another. The error says that this would make a circle.
    pub fn add_child(&mut self, parent: &str, child: &str) -> Result<(), String> {
        if parent == child {
            return Err("can't add group to itself".to_owned());
        }
        if self.descendants(child).contains(parent) {
            return Err(format!(
                "Adding group '{child}' as child to '{parent}' creates a recursive dependency loop."
            ));
        }
        self.link(parent, child);
        Ok(())
    }

    fn link(&mut self, parent: &str, child: &str) {
        if let Some(group) = self.groups.get_mut(parent) {
            group.children.insert(child.to_owned());
        }
        if let Some(group) = self.groups.get_mut(child) {
            group.parents.insert(parent.to_owned());
        }
    }

    /// The name under which a group is kept.
    pub(crate) fn group_name(&mut self, written: &str) -> String {
        let safe = safe_name(written);
        if self.naming == Naming::Ignore || safe == written {
            return written.to_owned();
        }
        self.renamed = true;
        if self.naming == Naming::Never {
            written.to_owned()
        } else {
            safe
        }
    }

    pub(super) fn set_port(&mut self, host: &str, port: i128, span: &Span) {
        self.set_host_var(host, "ansible_port", port_node(port, span));
    }

    /// Sets what one line or mapping says of a host; hosts of which nothing else is known share it.
    pub(super) fn set_host_vars(&mut self, host: &str, vars: &Arc<Vars>) {
        let Some(host) = self.hosts.get_mut(host) else {
            return;
        };
        if host.vars.is_empty() {
            host.vars = Arc::clone(vars);
        } else {
            let vars = vars.iter().map(|(key, value)| (key.clone(), value.clone()));
            Arc::make_mut(&mut host.vars).extend(vars);
        }
    }

    /// Sets a variable of a host.
    pub fn set_host_var(&mut self, host: &str, key: &str, value: Node) {
        if let Some(host) = self.hosts.get_mut(host) {
            Arc::make_mut(&mut host.vars).insert(key.to_owned(), value);
        }
    }

    /// Sets a variable of a group.
    pub fn set_group_var(&mut self, group: &str, key: &str, value: Node) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        if key == "ansible_group_priority" {
            // It orders the groups and is no variable of their hosts.
            group.priority = match &value.kind {
                NodeKind::Int(number) => *number,
                NodeKind::Str(text) => text.trim().parse().unwrap_or(group.priority),
                _ => group.priority,
            };
            return;
        }
        Arc::make_mut(&mut group.vars).insert(key.to_owned(), value);
    }

    /// Brings the graph in order after a change: every group is below `all`, hosts of no other
    /// group are in `ungrouped`, depths are right.
    pub fn reconcile(&mut self) {
        let orphans: Vec<String> = self
            .groups
            .values()
            .filter(|group| group.name != "all" && group.parents.is_empty())
            .map(|group| group.name.clone())
            .collect();
        for name in orphans {
            self.link("all", &name);
        }
        if let Some(ungrouped) = self.groups.get_mut("ungrouped") {
            for host in self.hosts.values_mut() {
                let grouped = host
                    .groups
                    .iter()
                    .any(|group| group != "all" && group != "ungrouped");
                if grouped {
                    host.groups.shift_remove("ungrouped");
                    ungrouped.hosts.shift_remove(&host.name);
                } else {
                    host.groups.insert("ungrouped".to_owned());
                    ungrouped.hosts.insert(host.name.clone());
                }
            }
        }
        self.set_depths();
    }

    fn set_depths(&mut self) {
        // Longest ways in a graph without circles settle after as many rounds as it is deep.
        for _ in 0..self.groups.len() {
            let depths: Vec<usize> = self
                .groups
                .values()
                .map(|group| {
                    let above = group
                        .parents
                        .iter()
                        .filter_map(|parent| self.groups.get(parent));
                    above.map(|parent| parent.depth + 1).max().unwrap_or(0)
                })
                .collect();
            let mut changed = false;
            for (group, depth) in self.groups.values_mut().zip(depths) {
                changed |= group.depth != depth;
                group.depth = depth;
            }
            if !changed {
                return;
            }
        }
    }

    /// Whether a group has a name that is no name of a variable.
    pub(crate) fn has_odd_names(&self) -> bool {
        self.renamed
    }

    /// Warnings that only the whole shows.
    pub(crate) fn remarks(&self) -> Vec<Diagnostic> {
        let mut problems = vec![];
        if self.renamed && matches!(self.naming, Naming::Never | Naming::Always) {
            let done = if self.naming == Naming::Never {
                "but not replaced"
            } else {
                "and automatically replaced"
            };
            let text = format!(
                "Invalid characters were found in group names {done}, use -vvvv to see details"
            );
            let hint = "names of groups are made of letters, digits and `_`; \
                        `force_valid_group_names = ignore` silences this";
            problems.push(Diagnostic::warning("group-name", text).hint(hint));
        }
        let mut local = self
            .hosts
            .keys()
            .filter(|name| LOCALHOST.contains(&name.as_str()));
        if let Some(first) = local.next() {
            problems.extend(local.map(|name| {
                let text = format!(
                    "A duplicate localhost-like entry was found ({name}). First found localhost was {first}"
                );
                Diagnostic::warning("localhost-twice", text)
            }));
        }
        for name in self
            .hosts
            .keys()
            .filter(|name| self.groups.contains_key(*name))
        {
            let text = format!("Found both group and host with same name: {name}");
            problems.push(Diagnostic::warning("group-and-host", text));
        }
        problems
    }

    /// A group with all below it, the nearest first.
    pub(crate) fn descendants(&self, group: &str) -> OrderedSet<String> {
        self.reach(group, |group| &group.children)
    }

    fn reach(
        &self,
        start: &str,
        next: impl Fn(&Group) -> &OrderedSet<String>,
    ) -> OrderedSet<String> {
        let mut seen = OrderedSet::from_iter([start.to_owned()]);
        let mut queue = VecDeque::from([start.to_owned()]);
        while let Some(name) = queue.pop_front() {
            for name in self.groups.get(&name).map(&next).into_iter().flatten() {
                if seen.insert(name.clone()) {
                    queue.push_back(name.clone());
                }
            }
        }
        seen
    }

    /// The hosts of a group and of all groups below it, in Ansible's order; for `all` without the implicit host.
    #[must_use]
    pub fn group_hosts(&self, group: &str) -> OrderedSet<&str> {
        let below = self.descendants(group);
        let groups = below.iter().filter_map(|name| self.groups.get(name));
        let most = groups.clone().map(|group| group.hosts.len()).sum();
        let mut hosts = OrderedSet::with_capacity_and_hasher(most, Hasher::default());
        hosts.extend(groups.flat_map(|group| group.hosts.iter().map(String::as_str)));
        hosts
    }

    /// All groups, each with the places in `hosts` of its hosts and of those of all groups below it.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, Vec<usize>)> {
        let mut last_seen_in = vec![usize::MAX; self.hosts.len()];
        let names = self.groups.keys().map(String::as_str).enumerate();
        names.map(move |(number, name)| {
            let below = self.descendants(name);
            let groups = below.iter().filter_map(|name| self.groups.get(name));
            let hosts = groups.flat_map(|group| &group.hosts);
            let places = hosts.filter_map(|host| self.hosts.get_index_of(host));
            let new =
                |place: &usize| std::mem::replace(&mut last_seen_in[*place], number) != number;
            (name, places.filter(new).collect())
        })
    }

    /// The magic variable `group_names` of a host: sorted, without `all`.
    #[must_use]
    pub fn group_names(&self, host: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .groups_of(host)
            .into_iter()
            .filter(|name| name != "all")
            .collect();
        names.sort();
        names
    }

    /// All groups of a host in the order in which their variables are merged, the weakest first.
    #[must_use]
    pub fn groups_of(&self, host: &str) -> Vec<String> {
        let mut names = OrderedSet::default();
        for group in self
            .hosts
            .get(host)
            .into_iter()
            .flat_map(|host| &host.groups)
        {
            names.extend(self.reach(group, |group| &group.parents));
        }
        let mut groups: Vec<&Group> = names
            .iter()
            .filter_map(|name| self.groups.get(name))
            .collect();
        groups.sort_by(|a, b| (a.depth, a.priority, &a.name).cmp(&(b.depth, b.priority, &b.name)));
        groups.into_iter().map(|group| group.name.clone()).collect()
    }

    /// The host that `localhost`, `127.0.0.1` or `::1` means: a listed one, or the name that a play
    /// used first.
    #[must_use]
    pub fn localhost(&self, name: &str) -> Option<&str> {
        let named = LOCALHOST.into_iter().find(|known| *known == name)?;
        if self.hosts.contains_key(named) {
            return Some(named);
        }
        let listed = LOCALHOST.iter();
        let mut listed = listed.filter_map(|host| self.hosts.get_full(*host));
        match listed.by_ref().min_by_key(|(place, ..)| *place) {
            Some((_, host, _)) => Some(host),
            None => Some(self.implicit.get().copied().unwrap_or(named)),
        }
    }

    /// Remembers under which name plays know the controller: all its names mean this one from now on.
    pub(crate) fn note_localhost(&self, hosts: &[String]) {
        let mut used = LOCALHOST.into_iter();
        let used = used.find(|name| hosts.iter().any(|host| host == name));
        if let Some(name) = used.filter(|name| self.is_implicit(name)) {
            self.implicit.get_or_init(|| name);
        }
    }

    /// Whether a name means the controller although no source lists it: its connection is local.
    #[must_use]
    pub fn is_implicit(&self, name: &str) -> bool {
        LOCALHOST.contains(&name) && !self.hosts.contains_key(name)
    }
}
