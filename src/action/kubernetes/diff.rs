//! What is different between two states of an object, for people: without what the server keeps for
//! itself, and without the content of secrets.

use rplay_modules::data::Data;
use rplay_modules::outcome::Diff;
use serde_json::{Map, Value as Json};

use super::merge::LAST_APPLIED;

/// What nobody wrote: it changes by itself.
const OWN: &[&str] = &[
    "managedFields",
    "generation",
    "resourceVersion",
    "uid",
    "selfLink",
    "creationTimestamp",
];

/// Whether two states are the same, but for what changes by itself. `status` counts where the
/// definition is about it.
pub(super) fn same(before: &Json, after: &Json, status: bool) -> bool {
    let bare = |json: &Json| {
        let mut json = json.clone();
        if let Some(metadata) = json.get_mut("metadata").and_then(Json::as_object_mut) {
            metadata.shift_remove("generation");
            metadata.shift_remove("resourceVersion");
            // The time of a manager's last change is no change of its own.
            for one in metadata
                .get_mut("managedFields")
                .and_then(Json::as_array_mut)
                .into_iter()
                .flatten()
            {
                drop(one.as_object_mut().and_then(|one| one.shift_remove("time")));
            }
            if !status {
                // What controllers keep changes with the status.
                metadata.shift_remove("managedFields");
                if let Some(annotations) = metadata
                    .get_mut("annotations")
                    .and_then(Json::as_object_mut)
                {
                    annotations.shift_remove("deployment.kubernetes.io/revision");
                    if annotations.is_empty() {
                        metadata.shift_remove("annotations");
                    }
                }
            }
        }
        if let (false, Some(map)) = (status, json.as_object_mut()) {
            map.shift_remove("status");
        }
        json
    };
    bare(before) == bare(after)
}

/// The difference of two states; nothing where there is none to show.
pub(super) fn diff(before: &Json, after: &Json, hidden: &[String]) -> Option<Diff> {
    let is_secret = before["kind"] == "Secret" || after["kind"] == "Secret";
    let (mut left, mut right) = (shown(before, hidden), shown(after, hidden));
    if is_secret {
        mask(&mut left, &mut right);
    }
    let (left, right) = parts(&left, &right)?;
    let map = |json: Json| match Data::from_json(&json) {
        Data::Map(map) => map,
        _ => Default::default(),
    };
    Some(Diff::attributes(map(left), map(right)))
}

fn shown(json: &Json, hidden: &[String]) -> Json {
    let mut json = json.clone();
    let Some(map) = json.as_object_mut() else {
        return Json::Object(Map::new());
    };
    map.shift_remove("status");
    if let Some(metadata) = map.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|key, _| !OWN.contains(&key.as_str()));
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Json::as_object_mut)
        {
            annotations.shift_remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    hide(&mut json, hidden);
    json
}

/// The content of secrets tells only whether it is another one.
fn mask(left: &mut Json, right: &mut Json) {
    for field in ["data", "stringData"] {
        let other = right[field].clone();
        for (key, value) in left
            .get_mut(field)
            .and_then(Json::as_object_mut)
            .into_iter()
            .flatten()
        {
            *value = match other.get(key) == Some(value) {
                true => "***".into(),
                false => "*** (before)".into(),
            };
        }
        let other = left[field].clone();
        for (key, value) in right
            .get_mut(field)
            .and_then(Json::as_object_mut)
            .into_iter()
            .flatten()
        {
            *value = match other.get(key) == Some(&Json::from("***")) {
                true => "***".into(),
                false => "*** (after)".into(),
            };
        }
    }
}

/// What differs, on both sides; items of lists keep their names.
fn parts(left: &Json, right: &Json) -> Option<(Json, Json)> {
    if left == right {
        return None;
    }
    match (left, right) {
        (Json::Object(left), Json::Object(right)) => {
            let (mut before, mut after) = (Map::new(), Map::new());
            for key in left
                .keys()
                .chain(right.keys().filter(|key| !left.contains_key(*key)))
            {
                match (left.get(key), right.get(key)) {
                    (Some(one), Some(other)) => {
                        if let Some((one, other)) = parts(one, other) {
                            before.insert(key.clone(), one);
                            after.insert(key.clone(), other);
                        }
                    }
                    (Some(one), None) => drop(before.insert(key.clone(), one.clone())),
                    (None, Some(other)) => drop(after.insert(key.clone(), other.clone())),
                    (None, None) => {}
                }
            }
            Some((Json::Object(before), Json::Object(after)))
        }
        (Json::Array(one), Json::Array(other)) if one.len() == other.len() => {
            let named = |(one, other): (&Json, &Json)| {
                one.get("name")
                    .is_some_and(|name| other.get("name") == Some(name))
            };
            if one.is_empty() || !one.iter().zip(other).all(named) {
                return Some((left.clone(), right.clone()));
            }
            let (mut before, mut after) = (vec![], vec![]);
            for (one, other) in one.iter().zip(other) {
                if let Some((mut left, mut right)) = parts(one, other) {
                    left["name"] = one["name"].clone();
                    right["name"] = one["name"].clone();
                    before.push(left);
                    after.push(right);
                }
            }
            Some((Json::Array(before), Json::Array(after)))
        }
        _ => Some((left.clone(), right.clone())),
    }
}

/// Removes fields: `metadata.managedFields`, `spec.containers[0].env[3].value`,
/// `metadata.annotations[a.b/c]`.
pub(super) fn hide(json: &mut Json, fields: &[String]) {
    for field in fields {
        let mut words: Vec<String> = vec![];
        for part in field.split('[').enumerate() {
            match part {
                (0, part) => words.extend(part.split('.').map(str::to_owned)),
                (_, part) => {
                    let (within, rest) = part.split_once(']').unwrap_or((part, ""));
                    words.push(within.to_owned());
                    let rest = rest.trim_start_matches('.');
                    words.extend(
                        rest.split('.')
                            .filter(|word| !word.is_empty())
                            .map(str::to_owned),
                    );
                }
            }
        }
        remove(json, &words);
    }
}

fn remove(json: &mut Json, words: &[String]) {
    let Some((first, rest)) = words.split_first() else {
        return;
    };
    match (json, first.parse::<usize>()) {
        (Json::Object(map), _) if rest.is_empty() => drop(map.shift_remove(first)),
        (Json::Object(map), _) => {
            if let Some(inner) = map.get_mut(first) {
                remove(inner, rest);
            }
        }
        (Json::Array(items), Ok(place)) if place < items.len() => match rest.is_empty() {
            true => drop(items.remove(place)),
            false => remove(&mut items[place], rest),
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs() {
        let before = json!({"kind": "D", "metadata": {"name": "a", "generation": 1, "resourceVersion": "1"},
            "spec": {"replicas": 1, "containers": [{"name": "c", "image": "1", "x": 1}, {"name": "d"}]}, "status": {"a": 1}});
        let mut after = before.clone();
        after["metadata"]["generation"] = 2.into();
        after["status"]["a"] = 2.into();
        assert!(same(&before, &after, false) && diff(&before, &after, &[]).is_none());
        after["spec"]["containers"][0]["image"] = "2".into();
        let wanted = json!({"spec": {"containers": [{"image": "2", "name": "c"}]}});
        assert!(!same(&before, &after, false));
        assert_eq!(
            parts(&shown(&before, &[]), &shown(&after, &[])).map(|both| both.1),
            Some(wanted)
        );
    }

    #[test]
    fn secrets() {
        let (mut left, mut right) = (
            json!({"data": {"a": "1", "b": "2"}}),
            json!({"data": {"a": "1", "b": "3"}}),
        );
        mask(&mut left, &mut right);
        assert_eq!(right, json!({"data": {"a": "***", "b": "*** (after)"}}));
        assert_eq!(left, json!({"data": {"a": "***", "b": "*** (before)"}}));
    }

    #[test]
    fn fields() {
        let mut json =
            json!({"metadata": {"annotations": {"a.b/c": 1}, "x": 1}, "l": [{"a": 1, "b": 2}]});
        hide(
            &mut json,
            &[
                "metadata.annotations[a.b/c]".to_owned(),
                "l[0].a".to_owned(),
                "metadata.x".to_owned(),
            ],
        );
        assert_eq!(
            json,
            json!({"metadata": {"annotations": {}}, "l": [{"b": 2}]})
        );
    }
}
