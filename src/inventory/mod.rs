//! Hosts, their groups and variables, from every form of inventory; which hosts a pattern means.

mod constructed;
mod generator;
mod graph;
mod ini;
mod kubernetes;
mod layers;
mod literal;
mod pattern;
mod range;
mod source;
mod toml;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(crate) use graph::PRIORITY;
pub use layers::{Layer, LayerKind, VarsKind};
pub use pattern::{EMPTY, NO_HOSTS, NO_PLUGINS, Order, UNPARSED, ordered};

use crate::config::Config;
use crate::load::node::Node;
use crate::ordered::{OrderedMap, OrderedSet};

/// What `ansible_playbook_python` says, for playbooks that ask; nothing here runs it.
pub const PYTHON: &str = "/usr/bin/python3";

/// The names under which Ansible knows the controller without being told.
pub const LOCALHOST: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Variables with their values, in the order they were defined.
pub type Vars = OrderedMap<String, Node>;

/// Everything the inventory sources say, merged.
#[derive(Clone)]
pub struct Inventory {
    /// All hosts, in the order of their first mention.
    pub hosts: OrderedMap<String, Host>,
    /// All groups: `all`, `ungrouped`, then in the order of their first mention.
    pub groups: OrderedMap<String, Group>,
    /// The sources as `ansible_inventory_sources` lists them: absolute paths, and lists of hosts.
    pub sources: Vec<PathBuf>,
    /// The sources' directories: `group_vars` and `host_vars` are looked for here.
    directories: Vec<PathBuf>,
    naming: Naming,
    mismatch: Mismatch,
    /// The layers of groups in the order in which they are merged; others are left out.
    precedence: Vec<LayerKind>,
    renamed: bool,
    /// Whether `group_vars` and `host_vars` beside the sources are read, and those beside playbooks.
    beside: Beside,
    /// The same for a listing of the inventory.
    beside_listed: Beside,
    files: Arc<layers::Files>,
    /// The name that a play used for the controller first, where no source lists it.
    implicit: OnceLock<&'static str>,
}

/// Which `group_vars` and `host_vars` are read.
#[derive(Clone, Copy, Debug)]
struct Beside {
    sources: bool,
    playbooks: bool,
}

impl Beside {
    const NONE: Self = Self {
        sources: false,
        playbooks: false,
    };
    const SOURCES: Self = Self {
        sources: true,
        playbooks: false,
    };
    const ALL: Self = Self {
        sources: true,
        playbooks: true,
    };

    /// What is read in a run, and what for a listing of the inventory.
    fn of(config: &Config) -> (Self, Self) {
        let enabled = config.list("vars_plugins_enabled");
        let reader = |name: &String| name.rsplit('.').next() == Some("host_group_vars");
        if !enabled.iter().any(reader) {
            return (Self::NONE, Self::NONE);
        }
        match config.text("host_group_vars_stage").as_deref() {
            Some("all") => (Self::ALL, Self::ALL),
            Some("task") => (Self::ALL, Self::NONE),
            Some("inventory") => (Self::SOURCES, Self::SOURCES),
            _ if config.text("run_vars_plugins").as_deref() == Some("start") => {
                (Self::SOURCES, Self::ALL)
            }
            _ => (Self::ALL, Self::ALL),
        }
    }
}

/// A host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// `inventory_hostname`.
    pub name: String,
    /// What the inventory says of it, without its groups and its `host_vars`.
    pub vars: Arc<Vars>,
    /// The groups that list it.
    pub groups: OrderedSet<String>,
    /// The source that first named it: `inventory_file`. A list of hosts for such; none for the implicit host.
    pub file: Option<Arc<Path>>,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The hosts that it lists itself.
    pub hosts: OrderedSet<String>,
    /// The groups directly in it.
    pub children: OrderedSet<String>,
    /// The groups it is directly in.
    pub parents: OrderedSet<String>,
    /// The longest way from `all`.
    pub depth: usize,
    /// `ansible_group_priority`: among groups of one depth the greatest wins.
    pub priority: i128,
    /// Its own variables.
    pub vars: Arc<Vars>,
}

/// What happens to characters in a group's name that a variable's name cannot have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Naming {
    /// They stay, with a warning.
    #[default]
    Never,
    /// They stay.
    Ignore,
    /// They become `_`, with a warning.
    Always,
    /// They become `_`.
    Silently,
}

/// What a pattern that matches nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mismatch {
    /// Worth a warning.
    #[default]
    Warning,
    /// An error.
    Error,
    /// Nothing to speak of.
    Ignore,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::diag::Checked;
    use crate::inventory::literal::tests::json;

    fn load(files: &[(&str, &str)], source: &str) -> (tempfile::TempDir, Checked<Inventory>) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = directory.path().join(source).to_string_lossy().into_owned();
        let inventory = Inventory::load(&[source], &Config::default(), &Default::default());
        (directory, inventory)
    }

    fn vars(inventory: &Inventory, host: &str, playbook: Option<&Path>) -> String {
        let mut merged = Vars::default();
        for layer in inventory.layers(host, playbook.as_slice()).value {
            merged.extend(
                layer
                    .vars
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
        let entries: Vec<String> = merged
            .iter()
            .map(|(key, value)| format!("{key}={}", json(value)))
            .collect();
        entries.join(" ")
    }

    /// Recorded from `ansible-inventory --list`.
    #[test]
    fn an_ini_inventory_has_ansible_s_hosts_groups_and_values() {
        let text = "h0 a=1 b='x y' d=True e=[1,2] h=0644 j=foo#bar k=yes\nh1:2222 z=a=b\n\
                    [p:children]\nweb\n[web:vars]\nn=1\nc=foo # not comment\nl=[1, 2]\nr9=1 # c\n\
                    [web]\nw[01:02] x=1\n[fe80::1]:22\n";
        let (_directory, loaded) = load(&[("hosts", text)], "hosts");
        assert_eq!(loaded.problems, []);
        let inventory = loaded.value;
        assert_eq!(
            vars(&inventory, "h0", None),
            r#"a=1 b="x y" d=true e=[1, 2] h="0644" j="foo""#
        );
        assert_eq!(vars(&inventory, "h1", None), r#"ansible_port=2222 z="a=b""#);
        assert_eq!(
            vars(&inventory, "w02", None),
            r#"n=1 c="foo # not comment" l=[1, 2] r9=1 x=1"#
        );
        assert_eq!(
            *inventory.group_hosts("p").as_slice(),
            ["w01", "w02", "fe80::1"]
        );
        assert_eq!(inventory.group_names("w01"), ["p", "web"]);
        assert_eq!(inventory.group_names("h0"), ["ungrouped"]);
        let place = |host: &str, name: &str| inventory.hosts[host].vars[name].span.line_column();
        assert_eq!([place("h0", "b"), place("h1", "z")], [(1, 10), (2, 11)]);
    }

    #[test]
    fn a_broken_source_is_a_warning_with_ansible_s_words() {
        for (text, message) in [
            (
                "h0 a=1 y\n",
                "Expected key=value host variable assignment, got: y",
            ),
            (
                "[g:vars]\na=1\n",
                "Section [g:vars] not valid for undefined group 'g'.",
            ),
            ("[g:foo]\nh\n", "Section [g:foo] has unknown type: foo"),
            (
                "[g:children]\nnope\n",
                "Section [g:children] includes undefined group: nope",
            ),
            (
                "[p:children]\na\n[a:children]\np\n",
                "Adding group 'p' as child to 'a' creates a recursive dependency loop.",
            ),
            (
                "h a=\"x\n",
                "Error parsing host definition 'h a=\"x': No closing quotation",
            ),
        ] {
            let (directory, loaded) = load(&[("hosts.ini", text)], "hosts.ini");
            let messages: Vec<&str> = loaded
                .problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect();
            let start = "Failed to parse inventory with 'ini' plugin: Failed to parse inventory: ";
            assert_eq!(messages[0], format!("{start}{message}"));
            let path = directory.path().join("hosts.ini");
            assert_eq!(
                messages[1],
                format!("Unable to parse {} as an inventory source", path.display())
            );
            assert_eq!(
                messages[2],
                "No inventory was parsed, only implicit localhost is available"
            );
        }
    }

    #[test]
    fn a_yaml_inventory_has_ansible_s_hosts_groups_and_order() {
        let text = "all:\n  hosts:\n    h1: {a: 1}\n    h2:\n    w[1:2].x: {b: 2}\n  vars: {v: 1}\n  children:\n\
                    \x20   web:\n      hosts: {h1: {c: 3}}\n    db:\nother:\n  hosts: h9\n";
        let (_directory, loaded) = load(&[("hosts.yml", text)], "hosts.yml");
        assert_eq!(loaded.problems, []);
        let inventory = loaded.value;
        assert_eq!(
            *inventory.group_hosts("all").as_slice(),
            ["h1", "h2", "w1.x", "w2.x", "h9"]
        );
        assert_eq!(
            *inventory.group_hosts("ungrouped").as_slice(),
            ["h2", "w1.x", "w2.x"]
        );
        assert_eq!(vars(&inventory, "h1", None), "v=1 a=1 c=3");
    }

    /// Recorded from a play that shows its variables.
    #[test]
    fn layers_are_in_ansible_s_order() {
        let files = [
            (
                "inv/hosts",
                "h1\n[all:vars]\na=1\nb=1\nc=1\nd=1\n[par:vars]\nv=par\nw=par\n[par:children]\nweb\nabc\n\
                 [web]\nh1\n[abc]\nh1\n[web:vars]\nb=invgrp\nc=invgrp\nv=web\nz=web\n[abc:vars]\nz=abc\n",
            ),
            ("inv/group_vars/all", "c: gv_all_inv\n"),
            ("inv/group_vars/web/b.yml", "m: a\nx: 1\n"),
            ("inv/group_vars/web/noext", "x: 2\n"),
            ("inv/group_vars/web/sub/c.yml", "y: sub\n"),
            ("inv/group_vars/web/.h.yml", "x: 3\n"),
            ("inv/group_vars/web/zz~", "x: 4\n"),
            ("inv/group_vars/web.yml", "x: 5\n"),
            ("inv/host_vars/h1.yml", ""),
            ("pb/group_vars/all.yml", "d: pb_all\n"),
            ("pb/group_vars/par.yml", "v: gvpar\n"),
        ];
        let (directory, loaded) = load(&files, "inv/hosts");
        let playbook = directory.path().join("pb");
        assert_eq!(
            vars(&loaded.value, "h1", Some(&playbook)),
            r#"a=1 b="invgrp" c="gv_all_inv" d="pb_all" v="gvpar" w="par" z="web" m="a" x=2 y="sub""#
        );
        assert_eq!(
            vars(&loaded.value, "localhost", Some(&playbook)),
            r#"a=1 b=1 c="gv_all_inv" d="pb_all" ansible_connection="local" ansible_python_interpreter="/usr/bin/python3""#
        );
    }

    #[test]
    fn a_missing_source_names_its_neighbour() {
        let (_directory, loaded) = load(&[("hosts.ini", "h1\n")], "hosts");
        assert!(
            loaded.problems[0]
                .message
                .ends_with("hosts as an inventory source")
        );
        assert!(loaded.problems[0].hints[0].ends_with("hosts.ini`?"));
    }
}
