//! The inventory plugin: pods and services as hosts, compared with what Ansible made of the same cluster.

use serde_json::Value as Json;

use super::Cluster;
use crate::harness::scenario::{expect, finish};

/// What is another in every cluster; the function of this name in `record.py` does the same.
fn bare(value: &mut Json) {
    const DROP: &[&str] = &[
        "kubectl.kubernetes.io/last-applied-configuration",
        "pod_ip",
        "pod_resource_version",
        "pod_uid",
        "profile",
        "resource_version",
        "uid",
    ];
    match value {
        Json::Object(map) => {
            map.retain(|key, _| !DROP.contains(&key.as_str()));
            map.values_mut().for_each(bare);
        }
        Json::Array(items) => items.iter_mut().for_each(bare),
        // Braces cannot be read as a template again; Ansible's own output does not say so.
        _ => {}
    }
    if let Some(text) = value.get_mut("__ansible_unsafe") {
        *value = text.take();
    }
}

fn listed(cluster: &Cluster, source: &str) -> Result<Json, String> {
    let folder = cluster.root.join("tests/kubernetes");
    let mut command = cluster.rplay(&folder, &["inventory", "-i", source, "--list"]);
    let output = command.output().map_err(|fault| fault.to_string())?;
    let mut found: Json = serde_json::from_slice(&output.stdout)
        .map_err(|fault| format!("{fault}: {}", String::from_utf8_lossy(&output.stderr)))?;
    bare(&mut found);
    Ok(found)
}

pub(super) fn members(cluster: &Cluster) -> Result<(), String> {
    let folder = cluster.root.join("tests/kubernetes");
    let manifest = folder.join("members.yaml").display().to_string();
    cluster.kubectl(&["apply", "-f", &manifest])?;
    let ready = ["-n", "shop", "--for=condition=Ready", "--timeout=30s"];
    let pods = ["wait", "pod/web", "pod/bare"];
    cluster.kubectl(&[&pods[..], &ready[..]].concat())?;
    let found = listed(cluster, "members.k8s.yml")?;
    let expected = std::fs::read_to_string(folder.join("members.json"));
    let expected: Json = serde_json::from_str(&expected.map_err(|fault| fault.to_string())?)
        .map_err(|fault| fault.to_string())?;
    if found != expected {
        return Err(format!("{found:#}\n  instead of\n{expected:#}"));
    }
    whole(cluster)?;
    let away = ["delete", "-f", &manifest, "--wait=false"];
    cluster.kubectl(&away)?;
    refused(cluster)
}

/// Without connections all namespaces are looked at, in three requests.
fn whole(cluster: &Cluster) -> Result<(), String> {
    cluster.write("all.k8s.yml", "plugin: kubernetes.core.k8s\n")?;
    let counted = || -> Result<usize, String> {
        let log = cluster.read("run/audit.log")?;
        Ok(log.lines().filter(|line| line.contains("rplay/")).count())
    };
    let before = counted()?;
    let file = cluster.file("all.k8s.yml").display().to_string();
    let found = listed(cluster, &file)?;
    let count = counted()? - before;
    if count != 3 {
        return Err(format!("{count} requests instead of 3"));
    }
    let name = format!("127-0-0-1_{}", cluster.port);
    let groups = found[&name]["children"].as_array().map_or(0, Vec::len);
    let has = |host: &str| found["_meta"]["hostvars"].get(host).is_some();
    match groups >= 5 && has("web_server") && has("kubernetes") {
        true => Ok(()),
        false => Err(format!("not all of the cluster: {found:#}")),
    }
}

fn refused(cluster: &Cluster) -> Result<(), String> {
    let weak = cluster.read("run/weak-token")?;
    let weak = weak.trim();
    let ca = cluster.file("run/ca.crt").display().to_string();
    let server = format!(
        "host: 'https://127.0.0.1:{}', ca_cert: {ca}, api_key: {weak}",
        cluster.port
    );
    for (connections, texts) in [
        (
            "{a: b}".to_owned(),
            vec!["Expecting connections to be a list."],
        ),
        (
            "[here]".to_owned(),
            vec!["Expecting connection to be a dictionary."],
        ),
        (
            "[{namespace: shop}]".to_owned(),
            vec!["a connection has no `namespace`; it has name, namespaces"],
        ),
        (
            "[{host: 'https://127.0.0.1:1', api_key: x, namespaces: [shop]}]".to_owned(),
            vec!["Error fetching Pod list", "Connection refused"],
        ),
        (
            format!("[{{{server}}}]"),
            vec!["Error fetching Namespace list: namespaces is forbidden"],
        ),
        (
            format!("[{{{server}, namespaces: [kube-system]}}]"),
            vec!["Error fetching Pod list: pods is forbidden"],
        ),
    ] {
        let text = format!("plugin: kubernetes.core.k8s\nconnections: {connections}\n");
        cluster.write("bad.k8s.yml", &text)?;
        let words = ["inventory", "-i", "bad.k8s.yml", "--list"];
        let mut command = cluster.rplay(cluster.folder.path(), &words);
        command.env("ANSIBLE_INVENTORY_UNPARSED_FAILED", "true");
        let (code, text) = finish(&mut command)?;
        if text.contains(weak) {
            return Err(format!("a token is told:\n{text}"));
        }
        expect((code, text), 1, &texts)?;
    }
    Ok(())
}
