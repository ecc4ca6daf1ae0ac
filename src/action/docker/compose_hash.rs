//! What Compose compares to see whether something has to be made anew: hashes over what it made of the files.
//! It labels containers with the hash of a service whose environment it has looked up, which `config --hash`
//! does not do, so that the two are only the same for services without `env_file` and the like.

use serde_json::{Map, Value as Json};

use crate::load::inputs::digest;

/// What a service's hash leaves out in every version.
const NEVER: [&str; 3] = ["build", "pull_policy", "scale"];

/// What it leaves out in newer ones.
const NEWLY: [&str; 2] = ["depends_on", "profiles"];

/// A project as it is; `config` doubles each `$`, so that what it prints may be read again.
pub(super) fn plain(model: Json) -> Json {
    let single = |text: String| match text.contains("$$") {
        true => text.replace("$$", "$"),
        false => text,
    };
    match model {
        Json::String(text) => Json::String(single(text)),
        Json::Array(all) => Json::Array(all.into_iter().map(plain).collect()),
        Json::Object(all) => {
            let all = all.into_iter();
            Json::Object(all.map(|(key, one)| (single(key), plain(one))).collect())
        }
        other => other,
    }
}

/// The hash of JSON as Go writes it.
fn hash(value: &Json) -> String {
    let mut text = value.to_string();
    for (sign, written) in [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ] {
        if text.contains(sign) {
            text = text.replace(sign, written);
        }
    }
    digest(text.as_bytes())
}

/// The hash of a network.
pub(super) fn network(config: &Json) -> String {
    hash(config)
}

/// The hash of a volume, whose driver has a name.
pub(super) fn volume(config: &Json) -> String {
    let mut whole = Map::new();
    let driver = Json::from("local");
    for key in ["name", "driver"] {
        let usual = (key == "driver").then_some(&driver);
        if let Some(value) = config.get(key).or(usual) {
            whole.insert(key.to_owned(), value.clone());
        }
    }
    for (key, value) in config.as_object().into_iter().flatten() {
        whole.entry(key.clone()).or_insert_with(|| value.clone());
    }
    hash(&Json::Object(whole))
}

/// The two hashes that a service may have: with what it depends on, of which `is_meant` tells whether it is a part
/// of this call, and without, as newer versions have it.
pub(super) fn service(config: &Json, is_meant: &dyn Fn(&str) -> bool) -> [String; 2] {
    let mut bare = config.as_object().cloned().unwrap_or_default();
    for name in NEVER {
        bare.shift_remove(name);
    }
    if let Some(deploy) = bare.get_mut("deploy").and_then(Json::as_object_mut) {
        deploy.shift_remove("replicas");
    }
    let mut whole = bare.clone();
    if let Some(needs) = whole.get_mut("depends_on").and_then(Json::as_object_mut) {
        needs.retain(|name, _| is_meant(name));
        if needs.is_empty() {
            whole.shift_remove("depends_on");
        }
    }
    for name in NEWLY {
        bare.shift_remove(name);
    }
    [hash(&Json::Object(whole)), hash(&Json::Object(bare))]
}

/// The service with the containers that it shares namespaces or volumes with, by number, instead of their services;
/// nothing where one of them has none yet. The names of such services go to `shared`.
pub(super) fn resolved(
    config: &Json,
    number: &dyn Fn(&str) -> Option<String>,
    shared: &mut Vec<String>,
) -> Option<Json> {
    let mut config = config.clone();
    let mut is_known = true;
    let mut find = |service: &str| {
        shared.push(service.to_owned());
        let found = number(service);
        is_known &= found.is_some();
        found.unwrap_or_default()
    };
    for key in ["network_mode", "ipc", "pid"] {
        let service = config[key]
            .as_str()
            .and_then(|mode| mode.strip_prefix("service:"));
        if let Some(service) = service.map(str::to_owned) {
            config[key] = format!("container:{}", find(&service)).into();
        }
    }
    for from in config
        .get_mut("volumes_from")
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
    {
        let text = from.as_str().unwrap_or_default().to_owned();
        let mut parts = text.split(':');
        *from = match (parts.next(), parts.next()) {
            (Some("container"), Some(name)) => name.into(),
            (name, _) => find(name.unwrap_or_default()).into(),
        };
    }
    is_known.then_some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Json {
        plain(serde_json::from_str(text).expect("JSON"))
    }

    /// Labels that Compose 2.26.1 and 2.40.3 gave.
    #[test]
    fn labels() {
        let one = read(
            r#"{"name": "p_net", "driver_opts": {"a": "b"}, "ipam": {}, "labels": {"x": "1"}}"#,
        );
        assert_eq!(
            network(&one),
            "97e96affef4ebdfff0790069594146c0eda8e5d37a884c2b9392a031503bab57"
        );
        let one = read(r#"{"name": "p_store", "labels": {"a": "b$$\u003cc\u003e"}}"#);
        assert_eq!(
            volume(&one),
            "a9a1f21c109b1d66dc1f11f0a100ba374ad9b143a360a735e6ca1a90d6eafa08"
        );
        let one = read(
            r#"{"command": null, "configs": [{"source": "conf", "target": "/etc/conf"}], "entrypoint": null,
                "environment": {"A": "b\u003c\u0026\u003eé", "FROM_FILE": "1", "M": "x$$y", "PASS": null},
                "image": "127.0.0.1:5001/demo:1.0.0", "networks": {"net": null},
                "volumes": [{"type": "volume", "source": "store", "target": "/store", "volume": {}}]}"#,
        );
        let known = "62116287de978628eb55cd83997aced4efa8037fdc10e2c0f4e60184ca42ce51";
        assert_eq!(service(&one, &|_| true), [known, known]);
        let one = read(
            r#"{"command": ["sleep", "1000"],
                "depends_on": {"web": {"condition": "service_started", "required": true}},
                "deploy": {"replicas": 1, "resources": {"limits": {"memory": "52428800"}}, "placement": {}},
                "entrypoint": null, "image": "127.0.0.1:5001/demo:1.0.0", "networks": {"default": {}, "net": {}}}"#,
        );
        assert_eq!(
            service(&one, &|_| true),
            [
                "dd4dc3fe5c523873561b31c749822b9477b59ab7844fffb0595e2806174fcbfd",
                "c7062e45d542e28d88172a8f1ac6c6d60b9ca5a2d6e93ebf2dfb369d68e774b4"
            ]
        );
    }
}
