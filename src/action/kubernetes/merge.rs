//! What has to be changed so that an object is as its definition says.

use serde_json::{Map, Value as Json};

/// Where an object keeps what was applied last.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How lists of mappings are compared.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lists {
    /// As a strategic merge has it: by the key of their items, further items stay.
    Strategic,
    /// As a JSON merge has it: the list is the whole list.
    Whole,
}

/// The key of the items of a list, by the list's own name and the one above it.
fn key(path: &[&str]) -> Option<&'static str> {
    let (last, above) = (
        path.last()?,
        path.iter().rev().nth(1).copied().unwrap_or_default(),
    );
    Some(match (*last, above) {
        ("ports", "spec") => "port",
        ("ports", _) => "containerPort",
        ("volumeMounts", _) => "mountPath",
        ("volumeDevices", _) => "devicePath",
        ("containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes", _) => "name",
        ("imagePullSecrets" | "secrets", _) => "name",
        ("hostAliases", _) => "ip",
        ("conditions", _) => "type",
        ("topologySpreadConstraints", _) => "topologyKey",
        ("ownerReferences", _) => "uid",
        ("webhooks", _) => "name",
        _ => return None,
    })
}

/// The patch that makes `actual` as `desired`, given what was wished before: what is gone from the
/// wishes is `null` in it. Empty where nothing is to be done.
pub(super) fn patch(last: &Json, actual: &Json, desired: &Json, lists: Lists) -> Map<String, Json> {
    let empty = Map::new();
    let map = |json: &'_ Json| json.as_object().cloned().unwrap_or_default();
    let desired = desired.as_object().unwrap_or(&empty);
    maps(&map(last), &map(actual), desired, &mut vec![], lists)
}

fn maps<'a>(
    last: &Map<String, Json>,
    actual: &Map<String, Json>,
    desired: &'a Map<String, Json>,
    path: &mut Vec<&'a str>,
    lists: Lists,
) -> Map<String, Json> {
    let mut patch = Map::new();
    for key in last.keys() {
        let gone = !desired.contains_key(key) && actual.get(key).is_some_and(|now| !now.is_null());
        if gone {
            patch.insert(key.clone(), Json::Null);
        }
    }
    for (key, wish) in desired {
        let now = actual.get(key).unwrap_or(&Json::Null);
        if now == wish {
            continue;
        }
        path.push(key);
        let before = last.get(key).unwrap_or(&Json::Null);
        match (now, wish) {
            (Json::Object(now), Json::Object(wish)) => {
                let before = before.as_object().cloned().unwrap_or_default();
                let inner = maps(&before, now, wish, path, lists);
                if !inner.is_empty() {
                    patch.insert(key.clone(), Json::Object(inner));
                }
            }
            (Json::Array(now), Json::Array(wish)) => {
                let before = before.as_array().map_or(&[][..], Vec::as_slice);
                let merged = items(before, now, wish, path, lists);
                if merged != *now {
                    patch.insert(key.clone(), Json::Array(merged));
                }
            }
            // An empty mapping is what is left out, for the server.
            (Json::Null, Json::Object(wish)) if wish.is_empty() && !path.is_empty() => {}
            (Json::Null, Json::Array(wish)) if wish.is_empty() => {}
            _ => {
                patch.insert(key.clone(), wish.clone());
            }
        }
        path.pop();
    }
    patch
}

/// A list as it shall be, with what the server added to its items.
fn items<'a>(
    last: &[Json],
    actual: &[Json],
    desired: &'a [Json],
    path: &mut Vec<&'a str>,
    lists: Lists,
) -> Vec<Json> {
    let are_maps = |list: &[Json]| list.iter().all(Json::is_object);
    if lists == Lists::Whole || !are_maps(actual) || !are_maps(desired) {
        return desired.to_vec();
    }
    let by = key(path);
    let is = |one: &Json, other: &Json| match by {
        Some(by) => one.get(by).is_some() && one.get(by) == other.get(by),
        None => false,
    };
    if by.is_none() && actual.len() != desired.len() {
        return desired.to_vec();
    }
    let mut merged = vec![];
    for (place, wish) in desired.iter().enumerate() {
        let find = |list: &[Json]| match by {
            Some(_) => list.iter().find(|one| is(one, wish)).cloned(),
            None => list.get(place).cloned(),
        };
        let (Some(now), Some(map)) = (find(actual), wish.as_object()) else {
            merged.push(wish.clone());
            continue;
        };
        let before = find(last).and_then(|one| one.as_object().cloned());
        let current = now.as_object().cloned().unwrap_or_default();
        let change = maps(&before.unwrap_or_default(), &current, map, path, lists);
        merged.push(applied(&now, &Json::Object(change)));
    }
    if by.is_some() {
        // What others added stays, and what is in the right order already does, too.
        let wished = |one: &Json| desired.iter().any(|wish| is(one, wish));
        let ours = |one: &Json| last.iter().any(|before| is(one, before));
        let others = actual.iter().filter(|one| !wished(one) && !ours(one));
        merged.extend(others.cloned());
        let place = |one: &Json| {
            actual
                .iter()
                .position(|now| is(now, one))
                .unwrap_or(usize::MAX)
        };
        merged.sort_by_key(place);
    }
    merged
}

/// A value with a JSON merge patch (RFC 7386) applied.
pub(super) fn applied(value: &Json, patch: &Json) -> Json {
    let Json::Object(patch) = patch else {
        return patch.clone();
    };
    let mut map = value.as_object().cloned().unwrap_or_default();
    for (key, change) in patch {
        match change {
            Json::Null => drop(map.shift_remove(key)),
            change => {
                let before = map.get(key).cloned().unwrap_or_default();
                map.insert(key.clone(), applied(&before, change));
            }
        }
    }
    Json::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(actual: &Json, desired: &Json) -> Json {
        Json::Object(patch(&Json::Null, actual, desired, Lists::Strategic))
    }

    #[test]
    fn defaults_of_the_server_are_no_change() {
        let actual = json!({"spec": {"replicas": 1, "containers": [
            {"name": "a", "image": "i", "imagePullPolicy": "Always", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        let desired = json!({"spec": {"containers": [{"name": "a", "image": "i", "ports": [{"containerPort": 80}]}]}});
        assert_eq!(plain(&actual, &desired), json!({}));
    }

    #[test]
    fn items_by_their_keys() {
        let actual = json!({"containers": [{"name": "a", "image": "1", "x": 1}, {"name": "b", "image": "1"}]});
        let desired = json!({"containers": [{"name": "a", "image": "2"}]});
        let wanted = json!({"containers": [{"name": "a", "image": "2", "x": 1}, {"name": "b", "image": "1"}]});
        assert_eq!(plain(&actual, &desired), wanted);
        let last = json!({"containers": [{"name": "b", "image": "1"}]});
        let without = json!({"containers": [{"name": "a", "image": "2", "x": 1}]});
        let patch = patch(&last, &actual, &desired, Lists::Strategic);
        assert_eq!(Json::Object(patch), without);
    }

    #[test]
    fn what_is_no_longer_wished_goes() {
        let last = json!({"data": {"a": "1", "b": "2"}});
        let actual = json!({"data": {"a": "1", "b": "2", "c": "3"}});
        let patch = patch(
            &last,
            &actual,
            &json!({"data": {"a": "1"}}),
            Lists::Strategic,
        );
        assert_eq!(Json::Object(patch.clone()), json!({"data": {"b": null}}));
        let after = applied(&actual, &Json::Object(patch));
        assert_eq!(after, json!({"data": {"a": "1", "c": "3"}}));
    }
}
