//! Collections on disk: folders `ansible_collections/NAMESPACE/NAME` with roles and playbooks.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Files;
use crate::load::check::{DOCKER, K8S};
use crate::template::value::Value;

/// Groups of actions by their names, each with its members and the groups that it extends.
type Groups = HashMap<String, (Vec<String>, Vec<String>)>;

/// Where collections are looked for.
#[derive(Clone, Debug, Default)]
pub struct Collections {
    /// Folders that hold `ansible_collections`.
    paths: Vec<PathBuf>,
    /// Groups of collections that were asked for, by the collections' folders.
    groups: Arc<Mutex<HashMap<PathBuf, Arc<Groups>>>>,
}

/// The folder that holds all namespaces.
const ROOT: &str = "ansible_collections";

impl Collections {
    /// Collections of these paths; one may also be the folder `ansible_collections` itself.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            groups: Arc::default(),
        }
    }

    /// The folder of the collection `NAMESPACE.NAME`: beside the playbook, then in the paths.
    #[must_use]
    pub fn folder(&self, collection: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let (namespace, name) = collection.split_once('.')?;
        let beside = playbook_dir.join("collections");
        std::iter::once(&beside)
            .chain(&self.paths)
            .map(|path| match path.ends_with(ROOT) {
                true => path.clone(),
                false => path.join(ROOT),
            })
            .map(|root| root.join(namespace).join(name))
            .find(|folder| folder.is_dir())
    }

    /// The folder of a role of a collection.
    #[must_use]
    pub fn role(&self, collection: &str, role: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let folder = self.folder(collection, playbook_dir)?;
        let role = folder.join("roles").join(role.replace('.', "/"));
        role.is_dir().then_some(role)
    }

    /// The file of a playbook that is named with its collection.
    #[must_use]
    pub fn playbook(&self, name: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let end = [".yml", ".yaml"]
            .into_iter()
            .find(|end| name.ends_with(end));
        let bare = name.strip_suffix(end.unwrap_or_default())?;
        let (collection, rest) = split(bare)?;
        let folder = self.folder(collection, playbook_dir)?.join("playbooks");
        let rest = rest.replace('.', "/");
        let ends = end.map_or(vec![".yml", ".yaml"], |end| vec![end]);
        ends.into_iter()
            .map(|end| folder.join(format!("{rest}{end}")))
            .find(|file| file.is_file())
    }

    /// The file that says what a plugin of a collection is for.
    #[must_use]
    pub fn document(&self, kind: &str, name: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let (collection, rest) = split(name)?;
        let plugins = self.folder(collection, playbook_dir)?.join("plugins");
        let folder = match kind {
            "module" => "modules",
            other => other,
        };
        let file = plugins.join(folder).join(rest.replace('.', "/"));
        ["py", "yml", "yaml"]
            .into_iter()
            .map(|end| file.with_extension(end))
            .find(|path| path.is_file())
    }

    /// The full names of the actions in a group of `module_defaults` (`NAMESPACE.NAME.GROUP`), with
    /// those of groups that it extends; none where there is no such group.
    #[must_use]
    pub fn action_group(
        &self,
        name: &str,
        playbook_dir: &Path,
        files: &Files,
    ) -> Option<BTreeSet<String>> {
        let own = match name {
            K8S | "kubernetes.core.k8s" => Some("kubernetes.core."),
            DOCKER | "community.docker.docker" => Some("community.docker."),
            _ => None,
        };
        if let Some(own) = own {
            let names = rplay_modules::registry::modules().map(|module| module.name);
            let names = names.filter(|name| name.starts_with(own));
            return Some(names.map(str::to_owned).collect());
        }
        let mut known = BTreeSet::from([name.to_owned()]);
        let mut actions = BTreeSet::new();
        let mut open = vec![name.to_owned()];
        while let Some(one) = open.pop() {
            let group = self.own_group(&one, playbook_dir, files);
            if group.is_none() && one == name {
                return None;
            }
            let (members, extended) = group.unwrap_or_default();
            actions.extend(members);
            open.extend(extended.into_iter().filter(|one| known.insert(one.clone())));
        }
        Some(actions)
    }

    /// What stands in one group.
    fn own_group(
        &self,
        name: &str,
        playbook_dir: &Path,
        files: &Files,
    ) -> Option<(Vec<String>, Vec<String>)> {
        let (collection, group) = split(name)?;
        let folder = self.folder(collection, playbook_dir)?;
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let all = groups.entry(folder).or_insert_with_key(|folder| {
            let file = folder.join("meta").join("runtime.yml");
            Arc::new(read_groups(collection, &file, files))
        });
        all.get(group).cloned()
    }

    /// The Python file of a module that a collection has on disk.
    #[must_use]
    pub fn module(&self, name: &str, playbook_dir: &Path) -> Option<PathBuf> {
        let (collection, rest) = split(name)?;
        let plugins = self.folder(collection, playbook_dir)?.join("plugins");
        let file = format!("{}.py", rest.replace('.', "/"));
        ["modules", "action"]
            .into_iter()
            .map(|kind| plugins.join(kind).join(&file))
            .find(|path| path.is_file())
    }
}

/// The groups of actions that a collection's `meta/runtime.yml` defines. What is no group there is
/// for its authors to mend.
fn read_groups(collection: &str, file: &Path, files: &Files) -> Groups {
    let full = |name: &str| match split(name) {
        Some(_) => name.to_owned(),
        None => format!("{collection}.{name}"),
    };
    let names = |value: Option<Value>| -> Vec<String> {
        let items = match value {
            Some(Value::List(items)) => items.to_vec(),
            other => other.into_iter().collect(),
        };
        let texts = items.iter().filter_map(Value::as_str);
        texts.map(full).collect()
    };
    let read = files.vars(file).map(|checked| checked.value);
    let vars = read.unwrap_or_default();
    let Some(Value::Dict(groups)) = vars.get("action_groups") else {
        return Groups::new();
    };
    let mut all = Groups::new();
    for (name, value) in groups.read().iter() {
        let Value::List(items) = value else { continue };
        let mut extended = vec![];
        for item in items.to_vec() {
            if let Value::Dict(entry) = item
                && let Some(Value::Dict(metadata)) = entry.get("metadata")
            {
                extended.extend(names(metadata.get("extend_group")));
            }
        }
        all.insert(name.0.to_string(), (names(Some(value.clone())), extended));
    }
    all
}

/// The collection of a full name and the rest of it.
#[must_use]
pub fn split(name: &str) -> Option<(&str, &str)> {
    let (dot, _) = name.match_indices('.').nth(1)?;
    let (collection, rest) = (&name[..dot], &name[dot + 1..]);
    let words = collection.split('.').chain(rest.split('.'));
    let fits = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    words.into_iter().all(fits).then_some((collection, rest))
}

/// The collections that took over modules of Ansible 2.9: there a short name is looked up, too.
pub(super) const SPLIT: &[&str] = &[
    "amazon.aws",
    "ansible.netcommon",
    "ansible.posix",
    "ansible.windows",
    "arista.eos",
    "awx.awx",
    "azure.azcollection",
    "check_point.mgmt",
    "chocolatey.chocolatey",
    "cisco.aci",
    "cisco.asa",
    "cisco.intersight",
    "cisco.ios",
    "cisco.iosxr",
    "cisco.meraki",
    "cisco.mso",
    "cisco.nso",
    "cisco.nxos",
    "cisco.ucs",
    "cloudscale_ch.cloud",
    "community.aws",
    "community.azure",
    "community.crypto",
    "community.digitalocean",
    "community.docker",
    "community.fortios",
    "community.general",
    "community.google",
    "community.grafana",
    "community.hrobot",
    "community.kubevirt",
    "community.libvirt",
    "community.mongodb",
    "community.mysql",
    "community.network",
    "community.postgresql",
    "community.proxysql",
    "community.rabbitmq",
    "community.routeros",
    "community.skydive",
    "community.vmware",
    "community.windows",
    "community.zabbix",
    "containers.podman",
    "cyberark.pas",
    "dellemc.openmanage",
    "dellemc.os10",
    "dellemc.os6",
    "dellemc.os9",
    "f5networks.f5_modules",
    "fortinet.fortios",
    "frr.frr",
    "gluster.gluster",
    "google.cloud",
    "hetzner.hcloud",
    "infinidat.infinibox",
    "junipernetworks.junos",
    "kubernetes.core",
    "mellanox.onyx",
    "netapp.aws",
    "netapp.elementsw",
    "netapp.ontap",
    "netapp_eseries.santricity",
    "netbox.netbox",
    "ngine_io.cloudstack",
    "ngine_io.exoscale",
    "ngine_io.vultr",
    "openstack.cloud",
    "openvswitch.openvswitch",
    "ovirt.ovirt",
    "purestorage.flasharray",
    "purestorage.flashblade",
    "servicenow.servicenow",
    "vmware.vmware_rest",
    "vyos.vyos",
    "wti.remote",
];

/// The collection that a file belongs to.
#[must_use]
pub fn owner(file: &Path) -> Option<String> {
    let words: Vec<_> = file.iter().map(|word| word.to_string_lossy()).collect();
    let root = words.iter().rposition(|word| word == ROOT)?;
    let (namespace, name) = (words.get(root + 1)?, words.get(root + 2)?);
    // The last word is the file's own name.
    (root + 3 < words.len()).then(|| format!("{namespace}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(split("my.coll.one"), Some(("my.coll", "one")));
        assert_eq!(split("my.coll.sub.one"), Some(("my.coll", "sub.one")));
        assert_eq!(split("my.coll"), None);
        assert_eq!(split("a/b.c.d"), None);
        let file = Path::new("/x/ansible_collections/my/coll/playbooks/a.yml");
        assert_eq!(owner(file).as_deref(), Some("my.coll"));
        assert_eq!(owner(Path::new("/x/play.yml")), None);
    }
}
