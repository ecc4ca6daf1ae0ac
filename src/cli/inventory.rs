//! `rplay inventory`, Ansible's `ansible-inventory`: the hosts, groups and variables of an inventory.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;

use super::options::{BaseDir, ExtraVars, InventoryOptions, Verbosity};
use super::programs::{Call, parse};
use super::vault::VaultOptions;
use super::{CommandError, Exit, extra_vars, finish, toml};
use crate::config::Config;
use crate::diag::{Diagnostic, Severity};
use crate::inventory::{Inventory, Layer, PRIORITY, VarsKind};
use crate::load::node::{Node, NodeKind};
use crate::plan::{Files, unlocked};
use crate::secrets::Secrets;
use crate::template::value::{Entries, Key, Object};
use crate::template::{ENVELOPE, JsonStyle, Value, json_text, yaml_document};
use crate::vars::{RESERVED_NAME, VarMap, is_reserved, merged, reserved_name};

/// Variables that the program sets itself: they are never shown.
const INTERNAL: [&str; 18] = [
    "ansible_config_file",
    "ansible_diff_mode",
    "ansible_facts",
    "ansible_forks",
    "ansible_inventory_sources",
    "ansible_limit",
    "ansible_playbook_python",
    "ansible_run_tags",
    "ansible_skip_tags",
    "ansible_verbosity",
    "ansible_version",
    "inventory_dir",
    "inventory_file",
    "inventory_hostname",
    "inventory_hostname_short",
    "groups",
    "group_names",
    "omit",
];

/// Shows hosts, groups and variables.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// The group to begin the graph with
    group: Option<String>,
    #[command(flatten)]
    inventory: InventoryOptions,
    #[command(flatten)]
    vault: VaultOptions,
    #[command(flatten)]
    base: BaseDir,
    #[command(flatten)]
    extra: ExtraVars,
    /// Show all hosts and groups
    #[arg(long)]
    list: bool,
    /// Show the variables of a host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Show the groups as a tree
    #[arg(long)]
    graph: bool,
    /// Write YAML
    #[arg(short, long)]
    yaml: bool,
    /// Write TOML
    #[arg(long)]
    toml: bool,
    /// Show variables in the tree
    #[arg(long)]
    vars: bool,
    /// Keep variables with the groups that have them
    #[arg(long)]
    export: bool,
    /// Write to a file
    #[arg(long, value_name = "OUTPUT_FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Runs the subcommand.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(&arguments, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn misused(text: impl Into<String>) -> CommandError {
    CommandError::new(Exit::Options, Diagnostic::error("inventory-options", text))
}

/// How values are written: each form has its own words for vaulted and unsafe texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    /// JSON of one host.
    Host,
    Yaml,
    Toml,
    /// As a template would print them.
    Plain,
}

fn run(arguments: &Arguments, hidden: &Secrets) -> Result<Exit, CommandError> {
    let actions = [arguments.list, arguments.host.is_some(), arguments.graph];
    match actions.iter().filter(|wanted| **wanted).count() {
        0 => {
            return Err(misused(
                "No action selected, at least one of --host, --graph or --list needs to be specified.",
            ));
        }
        1 => {}
        _ => {
            return Err(misused(
                "Conflicting options used, only one of --host, --graph or --list can be used at the same time.",
            ));
        }
    }
    let config = super::session::settings(hidden)?;
    let files = Files::new(arguments.vault.secrets(&config, hidden)?);
    let sources = match arguments.inventory.inventory.is_empty() {
        true => config.inventory_sources(),
        false => arguments.inventory.inventory.clone(),
    };
    let mut problems = vec![];
    let inventory = Inventory::load(&sources, &config, &files.secrets).collect(&mut problems);
    super::session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    let mut odd = vec![];
    let extra = extra_vars::read(&arguments.extra.extra_vars, &files, &config, &mut odd)?;
    super::tell(&odd, hidden);
    let form = match (arguments.graph, arguments.yaml, arguments.toml) {
        (true, ..) => Form::Plain,
        (_, true, _) => Form::Yaml,
        (_, _, true) => Form::Toml,
        _ if arguments.host.is_some() => Form::Host,
        _ => Form::Json,
    };
    let mut shown = Shown {
        playbook_dir: playbook_dir(arguments, &config),
        named_dir: arguments.base.playbook_dir.is_some() || config.path("playbook_dir").is_some(),
        merge: config.text("hash_behaviour").as_deref() == Some("merge"),
        inventory: inventory.listed(),
        files,
        extra,
        form,
        export: arguments.export,
        values: HashMap::new(),
        problems: vec![],
    };
    let text = shown.text(arguments);
    // Files of variables that cannot be read end it with Ansible's code.
    let error = |problem: &&Diagnostic| problem.severity == Severity::Error;
    let exit = shown.problems.iter().find(error);
    let exit = exit.map_or(Exit::Error, super::session::fault_exit);
    super::session::stop_at_errors(&mut shown.problems, exit, hidden)?;
    let text = text?;
    let Some(path) = &arguments.output else {
        crate::report::print(&text);
        return Ok(Exit::Ok);
    };
    std::fs::write(path, text).map_err(|error| {
        let message = format!(
            "Unable to write to destination file ({}): {error}",
            path.display()
        );
        CommandError::new(Exit::Error, Diagnostic::error("inventory-output", message))
    })?;
    Ok(Exit::Ok)
}

fn playbook_dir(arguments: &Arguments, config: &Config) -> PathBuf {
    let given = arguments.base.playbook_dir.clone();
    let dir = given.or_else(|| config.path("playbook_dir"));
    let dir = dir.unwrap_or_else(|| PathBuf::from("."));
    std::path::absolute(&dir).unwrap_or(dir)
}

/// A vaulted text that stays closed.
struct Envelope(String);

impl Object for Envelope {
    fn type_name(&self) -> &'static str {
        ENVELOPE
    }

    fn text(&self) -> String {
        self.0.clone()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The inventory as it is shown.
struct Shown {
    inventory: Inventory,
    playbook_dir: PathBuf,
    /// Whether somebody named it: what is said of a group or host itself is without the folder of the call.
    named_dir: bool,
    files: Files,
    extra: VarMap,
    form: Form,
    merge: bool,
    export: bool,
    /// Values by their place: hosts share what their groups say, and YAML shows that.
    values: HashMap<(usize, u32, u32, String), Value>,
    problems: Vec<Diagnostic>,
}

impl Shown {
    fn text(&mut self, arguments: &Arguments) -> Result<String, CommandError> {
        if let Some(pattern) = &arguments.host {
            let hosts = self.select(pattern, None);
            let [host] = &hosts[..] else {
                return Err(misused(
                    "You must pass a single valid host to --host parameter",
                ));
            };
            let vars = self.host_vars(host, false);
            return self.write(&dict(vars));
        }
        if arguments.graph {
            let start = arguments.group.as_deref().unwrap_or("all");
            if !self.inventory.groups.contains_key(start) {
                return Err(misused(
                    "Pattern must be valid group name when using --graph",
                ));
            }
            let mut lines = vec![];
            self.graph(start, 0, arguments.vars, &mut lines);
            return Ok(lines.join("\n") + "\n");
        }
        let hosts = self.select("all", arguments.inventory.limit.as_deref());
        let available: BTreeSet<String> = hosts.iter().cloned().collect();
        let shown = match self.form {
            Form::Yaml => self.tree("all", &available, &mut Seen::default()),
            Form::Toml => self.tables(&available),
            _ => self.flat(&hosts, &available),
        };
        self.write(&dict(shown))
    }

    fn select(&mut self, pattern: &str, limit: Option<&str>) -> Vec<String> {
        let selected = self.inventory.select(pattern, limit);
        self.problems.extend(selected.problems);
        selected.value
    }

    fn write(&mut self, value: &Value) -> Result<String, CommandError> {
        let written = match self.form {
            Form::Yaml => {
                let text = yaml_document(value, true);
                text.map_err(|fault| fault.message().to_owned())
            }
            Form::Toml => toml::document(value),
            _ => {
                let style = JsonStyle {
                    indent: Some(" ".repeat(4)),
                    sort: true,
                    ascii: false,
                    separators: None,
                };
                json_text(value, &style)
                    .map(|text| text + "\n")
                    .map_err(|fault| fault.message().to_owned())
            }
        };
        written.map_err(|message| {
            CommandError::new(Exit::Error, Diagnostic::error("inventory-output", message))
        })
    }

    /// The variables of a host: all of them, or with `own` what is said of the host itself.
    fn host_vars(&mut self, host: &str, own: bool) -> Entries {
        let dir = self.playbook_dir.clone();
        let layers = match own {
            true => self
                .inventory
                .own_layers(VarsKind::Host, host, self.named_dir.then_some(&dir)),
            false => self.inventory.layers(host, &[&dir]),
        };
        let layers = layers.collect(&mut self.problems);
        for (name, node) in layers.iter().flat_map(|layer| layer.vars.iter()) {
            let known = |problem: &Diagnostic| {
                problem.code == RESERVED_NAME && problem.message.contains(&format!("'{name}'"))
            };
            if is_reserved(name) && !self.problems.iter().any(known) {
                self.problems.push(reserved_name(name, &node.span));
            }
        }
        let mut vars = self.merged(&layers);
        if !own {
            for (name, value) in &self.extra {
                vars.insert(Key::from(name.as_str()), value.clone());
            }
        }
        vars.retain(|key, _| !key.0.as_str().is_some_and(|name| INTERNAL.contains(&name)));
        vars
    }

    fn group_vars(&mut self, group: &str) -> Entries {
        let dir = self.playbook_dir.clone();
        let layers =
            self.inventory
                .own_layers(VarsKind::Group, group, self.named_dir.then_some(&dir));
        let layers = layers.collect(&mut self.problems);
        let mut vars = self.merged(&layers);
        let known = self.inventory.groups.get(group);
        let priority = known.map_or(PRIORITY, |group| group.priority);
        if priority != PRIORITY {
            vars.insert(Key::from("ansible_group_priority"), Value::Int(priority));
        }
        vars
    }

    fn merged(&mut self, layers: &[Layer]) -> Entries {
        let mut vars = Entries::new();
        for layer in layers {
            for (name, node) in layer.vars.iter() {
                let value = self.value(name, node);
                let key = Key::from(name.as_str());
                let value = match vars.get(&key) {
                    Some(weak) if self.merge => merged(weak, value),
                    _ => value,
                };
                vars.insert(key, value);
            }
        }
        vars
    }

    fn value(&mut self, name: &str, node: &Node) -> Value {
        let span = &node.span;
        let place = (
            Arc::as_ptr(&span.source) as usize,
            span.start,
            span.end,
            name.to_owned(),
        );
        let value = match self.form {
            Form::Plain => unlocked(node, &self.files.secrets),
            form => written(node, form),
        };
        if !matches!(value, Value::List(_) | Value::Dict(_)) {
            return value;
        }
        // Values that were made share the place of their expression, and differ.
        let known = self.values.get(&place);
        if let Some(known) = known.filter(|known| known.repr() == value.repr()) {
            return known.clone();
        }
        self.values.insert(place, value.clone());
        value
    }

    /// The JSON form: groups side by side, and the variables of all hosts under `_meta`.
    fn flat(&mut self, hosts: &[String], available: &BTreeSet<String>) -> Entries {
        let mut hostvars = Entries::new();
        for host in hosts {
            let vars = self.host_vars(host, self.export);
            if !vars.is_empty() {
                hostvars.insert(Key::from(host.as_str()), dict(vars));
            }
        }
        let mut shown = Entries::new();
        for name in self.inventory.descendants("all") {
            let mut group = Entries::new();
            if name != "all" {
                put(&mut group, "hosts", self.hosts_of(&name, available));
            }
            put(&mut group, "children", names(&self.children_of(&name)));
            if self.export {
                put(&mut group, "vars", dict(self.group_vars(&name)));
            }
            put(&mut shown, &name, dict(group));
        }
        let meta = [
            ("hostvars", dict(hostvars)),
            ("profile", Value::str("inventory_legacy")),
        ];
        let meta = meta.map(|(name, value)| (Key::from(name), value));
        shown.insert(Key::from("_meta"), Value::dict(Entries::from_iter(meta)));
        shown
    }

    fn hosts_of(&self, group: &str, available: &BTreeSet<String>) -> Value {
        let hosts = self.inventory.groups.get(group).map(|group| &group.hosts);
        let listed = hosts.into_iter().flatten();
        let listed: Vec<String> = listed
            .filter(|host| available.contains(*host))
            .cloned()
            .collect();
        names(&listed)
    }

    fn children_of(&self, group: &str) -> Vec<String> {
        let group = self.inventory.groups.get(group);
        group.map_or_else(Vec::new, |group| group.children.iter().cloned().collect())
    }

    /// The YAML form: groups inside of each other, variables with the first mention of a host.
    fn tree(&mut self, name: &str, available: &BTreeSet<String>, seen: &mut Seen) -> Entries {
        let mut group = Entries::new();
        let mut children = Entries::new();
        for child in self.children_of(name) {
            if !seen.groups.insert(child.clone()) {
                children.insert(Key::from(child.as_str()), dict(Entries::new()));
                continue;
            }
            for (key, value) in self.tree(&child, available, seen) {
                children.insert(key, value);
            }
        }
        put(&mut group, "children", dict(children));
        if name != "all" {
            let mut hosts = Entries::new();
            for host in self.listed(name, available) {
                let vars = match seen.hosts.insert(host.clone()) {
                    true => self.host_vars(&host, self.export),
                    false => Entries::new(),
                };
                hosts.insert(Key::from(host.as_str()), dict(vars));
            }
            put(&mut group, "hosts", dict(hosts));
        }
        if self.export {
            put(&mut group, "vars", dict(self.group_vars(name)));
        }
        let mut shown = Entries::new();
        put(&mut shown, name, dict(group));
        shown
    }

    fn listed(&self, group: &str, available: &BTreeSet<String>) -> Vec<String> {
        let hosts = self.inventory.groups.get(group).map(|group| &group.hosts);
        let listed = hosts.into_iter().flatten();
        let listed = listed.filter(|host| available.contains(*host));
        listed.cloned().collect()
    }

    /// The TOML form: groups side by side, with their hosts in them.
    fn tables(&mut self, available: &BTreeSet<String>) -> Entries {
        let mut shown = Entries::new();
        let mut seen = BTreeSet::new();
        for name in self.depth_first("all") {
            let mut group = Entries::new();
            let below: Vec<String> = self.children_of(&name);
            if name != "all" {
                put(&mut group, "children", names(&below));
                let mut hosts = Entries::new();
                for host in self.listed(&name, available) {
                    let vars = match seen.insert(host.clone()) {
                        true => self.host_vars(&host, self.export),
                        false => Entries::new(),
                    };
                    hosts.insert(Key::from(host.as_str()), dict(vars));
                }
                put(&mut group, "hosts", dict(hosts));
            }
            if self.export {
                put(&mut group, "vars", dict(self.group_vars(&name)));
            }
            put(&mut shown, &name, dict(group));
        }
        shown
    }

    fn depth_first(&self, start: &str) -> Vec<String> {
        let (mut found, mut left) = (vec![], vec![start.to_owned()]);
        while let Some(name) = left.pop() {
            if !found.contains(&name) {
                left.extend(self.children_of(&name).into_iter().rev());
                found.push(name);
            }
        }
        found
    }

    fn graph(&mut self, name: &str, depth: usize, vars: bool, lines: &mut Vec<String>) {
        lines.push(edge(&format!("@{name}:"), depth));
        for child in self.children_of(name) {
            self.graph(&child, depth + 1, vars, lines);
        }
        if name != "all" {
            let hosts = self.inventory.groups.get(name).map(|group| &group.hosts);
            let hosts: Vec<String> = hosts.into_iter().flatten().cloned().collect();
            for host in hosts {
                lines.push(edge(&host, depth + 1));
                if vars {
                    let vars = self.host_vars(&host, self.export);
                    leaves(vars, depth + 2, lines);
                }
            }
        }
        if vars {
            leaves(self.group_vars(name), depth + 1, lines);
        }
    }
}

/// What a tree has mentioned already.
#[derive(Default)]
struct Seen {
    groups: BTreeSet<String>,
    hosts: BTreeSet<String>,
}

fn edge(text: &str, depth: usize) -> String {
    match depth {
        0 => text.to_owned(),
        depth => format!("{}--{text}", "  |".repeat(depth)),
    }
}

fn leaves(mut vars: Entries, depth: usize, lines: &mut Vec<String>) {
    vars.sort_by(|a, _, b, _| a.0.text().cmp(&b.0.text()));
    for (name, value) in vars {
        lines.push(edge(
            &format!("{{{} = {}}}", name.0.text(), value.text()),
            depth,
        ));
    }
}

fn dict(entries: Entries) -> Value {
    Value::dict(entries)
}

fn names(names: &[String]) -> Value {
    Value::list(names.iter().map(|name| Value::str(name.as_str())).collect())
}

/// Adds what is not empty.
fn put(entries: &mut Entries, name: &str, value: Value) {
    if value.is_true() {
        entries.insert(Key::from(name), value);
    }
}

/// A value as it was written, with what a form has for vaulted and unsafe texts.
fn written(node: &Node, form: Form) -> Value {
    let marked = |key: &str, text: &str| {
        Value::dict(Entries::from_iter([(Key::from(key), Value::str(text))]))
    };
    match &node.kind {
        NodeKind::Vault(text) if matches!(form, Form::Json | Form::Host) => {
            marked("__ansible_vault", text)
        }
        NodeKind::Vault(text) => Value::object(Envelope(text.clone())),
        NodeKind::Unsafe(text) if form == Form::Json => marked("__ansible_unsafe", text),
        NodeKind::Seq(items) => Value::list(items.iter().map(|item| written(item, form)).collect()),
        NodeKind::Map(entries) => Value::dict(
            entries
                .iter()
                .map(|(key, value)| (Key(Value::from_node(key)), written(value, form)))
                .collect(),
        ),
        _ => Value::from_node(node),
    }
}
