//! The inventory plugin `kubernetes.core.k8s`: the containers of pods, and services, as hosts.

use std::path::Path;
use std::sync::Arc;

use rplay_modules::args::Args as _;
use rplay_modules::data::{Data, Map};
use rplay_modules::kubernetes::shared::Auth;
use serde_json::{Value as Json, json};

use super::ini::Broken;
use super::{Inventory, constructed, yaml};
use crate::action::kubernetes::members;
use crate::diag::{Diagnostic, Span};
use crate::load::node::{Node, NodeKind};
use crate::secrets::Secrets;
use crate::template::Value;

/// What a connection may say: its own names, and who asks.
fn known() -> impl Iterator<Item = &'static str> {
    let auth = Auth::ARGS.iter();
    let auth = auth.flat_map(|arg| [&[arg.name], arg.aliases].concat());
    ["name", "namespaces"].into_iter().chain(auth)
}

/// Adds what each cluster has.
pub(super) fn parse(
    inventory: &mut Inventory,
    root: &Node,
    file: &Arc<Path>,
    hidden: &Secrets,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), Broken> {
    if let NodeKind::Map(entries) = &root.kind {
        for (key, _) in entries {
            let name = yaml::scalar(key).unwrap_or_default();
            if !["plugin", "connections", "name"].contains(&name.as_str()) {
                let text = format!("the inventory plugin kubernetes.core.k8s has no `{name}`");
                problems.push(Diagnostic::warning("inventory-option", text).at(&key.span));
            }
        }
    }
    let place = root.get("connections").unwrap_or(root);
    let mut maker = Maker {
        inventory,
        file,
        span: &place.span,
    };
    match root.get("connections").map(|node| &node.kind) {
        None | Some(NodeKind::Null) => maker.cluster(None, hidden),
        Some(NodeKind::Seq(connections)) if connections.is_empty() => maker.cluster(None, hidden),
        Some(NodeKind::Seq(connections)) => connections.iter().try_for_each(|connection| {
            maker.span = &connection.span;
            maker.cluster(Some(connection), hidden)
        }),
        Some(_) => Err((
            "Expecting connections to be a list.".to_owned(),
            place.span.clone(),
        )),
    }
}

struct Maker<'a> {
    inventory: &'a mut Inventory,
    file: &'a Arc<Path>,
    span: &'a Span,
}

impl Maker<'_> {
    fn cluster(&mut self, connection: Option<&Node>, hidden: &Secrets) -> Result<(), Broken> {
        let options = match connection {
            Some(node) => self.options(node)?,
            None => Map::new(),
        };
        let namespaces = match options.get("namespaces") {
            None | Some(Data::Null) => None,
            Some(Data::List(names)) if names.is_empty() => None,
            Some(Data::List(names)) => Some(names.iter().map(Data::text).collect::<Vec<_>>()),
            Some(_) => return Err(self.broken("`namespaces` must be a list")),
        };
        let found = members(&options, namespaces.as_deref(), hidden);
        let found = found.map_err(|why| self.broken(why))?;
        let cluster = options.get("name").map(Data::text);
        let cluster = cluster.unwrap_or_else(|| usual_name(&found.address));
        let cluster = self.group(&cluster);
        for (namespace, pods, services) in &found.namespaces {
            let own = self.group(&format!("namespace_{namespace}"));
            self.within(&cluster, &own)?;
            let group = self.group(&format!("namespace_{namespace}_pods"));
            self.within(&own, &group)?;
            pods.iter().for_each(|pod| self.pod(&group, namespace, pod));
            let group = self.group(&format!("namespace_{namespace}_services"));
            self.within(&own, &group)?;
            services
                .iter()
                .for_each(|service| self.service(&group, service));
        }
        Ok(())
    }

    fn broken(&self, why: impl Into<String>) -> Broken {
        (why.into(), self.span.clone())
    }

    fn options(&self, node: &Node) -> Result<Map, Broken> {
        let NodeKind::Map(entries) = &node.kind else {
            return Err(self.broken("Expecting connection to be a dictionary."));
        };
        let mut options = Map::new();
        for (key, value) in entries {
            let name = yaml::scalar(key).unwrap_or_default();
            if !known().any(|known| known == name) {
                let known: Vec<&str> = known().collect();
                let text = format!("a connection has no `{name}`; it has {}", known.join(", "));
                return Err((text, key.span.clone()));
            }
            let data = Value::from_node(value).to_data();
            options.insert(name, data.map_err(|why| (why, value.span.clone()))?);
        }
        Ok(options)
    }

    fn group(&mut self, written: &str) -> String {
        let group = self.inventory.group_name(written);
        self.inventory.add_group(&group);
        group
    }

    fn within(&mut self, parent: &str, child: &str) -> Result<(), Broken> {
        let added = self.inventory.add_child(parent, child);
        added.map_err(|why| self.broken(why))
    }

    /// The groups of the labels that a thing has.
    fn labels(&mut self, about: &Json) -> Vec<String> {
        let labels = about["labels"].as_object().into_iter().flatten();
        let label = |(key, value): (&String, &Json)| {
            self.group(&format!(
                "label_{key}_{}",
                value.as_str().unwrap_or_default()
            ))
        };
        labels.map(label).collect()
    }

    /// A host, in its group and in those of its labels.
    fn host(&mut self, name: &str, group: &str, labels: &[String], vars: Vec<(&str, Json)>) {
        self.inventory.add_host(name, group, Some(self.file));
        for label in labels {
            self.inventory.add_host(name, label, Some(self.file));
        }
        for (key, value) in vars {
            // What stands in a cluster is no template.
            let value = Value::from_data(&Data::from_json(&value));
            let value = constructed::data_node(&value, self.span);
            self.inventory.set_host_var(name, key, value);
        }
    }

    /// The containers of a pod that have a state.
    fn pod(&mut self, group: &str, namespace: &str, pod: &Json) {
        let (about, status) = (&pod["metadata"], &pod["status"]);
        let pod_name = about["name"].as_str().unwrap_or_default();
        let containers = status["containerStatuses"].as_array();
        // They are there for a pod without containers, too.
        let labels = self.labels(about);
        for container in containers.into_iter().flatten() {
            let own = container["name"].as_str().unwrap_or_default();
            let mut vars = vec![("object_type", json!("pod"))];
            vars.extend(described(about));
            vars.extend([
                ("pod_node_name", pod["spec"]["nodeName"].clone()),
                // Ansible looks for the name where a pod has none.
                ("pod_name", pod["spec"]["name"].clone()),
                ("pod_host_ip", status["hostIP"].clone()),
                ("pod_phase", status["phase"].clone()),
                ("pod_ip", status["podIP"].clone()),
                ("pod_self_link", about["selfLink"].clone()),
                ("pod_resource_version", about["resourceVersion"].clone()),
                ("pod_uid", about["uid"].clone()),
                ("container_name", container["image"].clone()),
                ("container_image", container["image"].clone()),
                ("container_ready", container["ready"].clone()),
                ("ansible_remote_tmp", json!("/tmp/")),
                ("ansible_connection", json!("kubernetes.core.kubectl")),
                ("ansible_kubectl_pod", json!(pod_name)),
                ("ansible_kubectl_container", json!(own)),
                ("ansible_kubectl_namespace", json!(namespace)),
            ]);
            for (state, word) in [
                ("running", "Running"),
                ("terminated", "Terminated"),
                ("waiting", "Waiting"),
            ] {
                if !container["state"][state].is_null() {
                    vars.push(("container_state", json!(word)));
                }
            }
            self.host(&format!("{pod_name}_{own}"), group, &labels, vars);
        }
    }

    fn service(&mut self, group: &str, service: &Json) {
        let (about, spec) = (&service["metadata"], &service["spec"]);
        let ports = spec["ports"].as_array().into_iter().flatten();
        let ports = ports.map(|port| {
            let words = ["name", "port", "protocol", "targetPort", "nodePort"];
            let parts = words.map(|word| (word.to_owned(), port[word].clone()));
            Json::Object(parts.into_iter().collect())
        });
        let mut vars = vec![("object_type", json!("service"))];
        vars.extend(described(about));
        vars.extend([
            ("ports", Json::Array(ports.collect())),
            ("type", spec["type"].clone()),
            ("self_link", about["selfLink"].clone()),
            ("resource_version", about["resourceVersion"].clone()),
            ("uid", about["uid"].clone()),
        ]);
        for (name, part) in [
            ("external_traffic_policy", "externalTrafficPolicy"),
            ("external_ips", "externalIPs"),
            ("external_name", "externalName"),
            ("health_check_node_port", "healthCheckNodePort"),
            ("load_balancer_ip", "loadBalancerIP"),
            ("selector", "selector"),
        ] {
            if !spec[part].is_null() {
                vars.push((name, spec[part].clone()));
            }
        }
        let ingress = service["status"]["loadBalancer"]["ingress"].as_array();
        if let Some(ingress) = ingress.filter(|all| !all.is_empty()) {
            let told = ingress
                .iter()
                .map(|one| json!({ "hostname": one["hostname"], "ip": one["ip"] }));
            vars.push(("load_balancer", told.collect()));
        }
        let name = about["name"].as_str().unwrap_or_default();
        let labels = self.labels(about);
        self.host(name, group, &labels, vars);
    }
}

/// What pods and services have alike.
fn described(about: &Json) -> [(&'static str, Json); 3] {
    let or_empty = |part: &Json| match part {
        Json::Null => json!({}),
        part => part.clone(),
    };
    [
        ("labels", or_empty(&about["labels"])),
        ("annotations", or_empty(&about["annotations"])),
        ("cluster_name", about["clusterName"].clone()),
    ]
}

/// The name of a cluster that has none: its address.
fn usual_name(address: &str) -> String {
    address
        .replace("https://", "")
        .replace("http://", "")
        .replace('.', "-")
        .replace(':', "_")
}
