//! What of a result is shown, and in which form.

use std::borrow::Cow;

use rplay_modules::data::{Data, Map};

use super::Settings;
use super::dump::{self, Layout};
use super::event::NO_TRACEBACK;

/// Whether a flag of a result is on.
pub(crate) fn is_true(result: &Map, name: &str) -> bool {
    result.get(name).and_then(Data::as_bool) == Some(true)
}

/// The result without one of its entries.
pub(crate) fn without(result: &Map, name: &str) -> Map {
    result
        .iter()
        .filter(|(key, _)| *key != name)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Whether the result is shown where only its status must be.
pub(crate) fn is_verbose(result: &Map, verbosity: u8, above: u8) -> bool {
    let asked = verbosity > above || is_true(result, "_ansible_verbose_always");
    asked && !result.contains_key("_ansible_verbose_override")
}

/// The result as the settings ask for it.
pub(crate) fn dump(result: &Map, settings: &Settings, verbosity: u8) -> String {
    if settings.unescaped {
        return unescaped(result, settings, verbosity);
    }
    let always = is_true(result, "_ansible_verbose_always");
    let pretty = settings
        .pretty
        .unwrap_or(settings.yaml || always || verbosity > 2);
    let shown = visible(result, verbosity);
    if settings.yaml {
        return super::yaml::dump(&shown, settings);
    }
    let layout = Layout {
        indent: pretty.then_some(settings.indent),
        ascii: false,
    };
    dump::json_map(&shown, layout)
}

/// The result without what commands wrote, which follows as it was written: the `debug` callback.
fn unescaped(result: &Map, settings: &Settings, verbosity: u8) -> String {
    const TEXTS: [&str; 7] = [
        "stdout",
        "stderr",
        "msg",
        "module_stdout",
        "module_stderr",
        "stdout_lines",
        "stderr_lines",
    ];
    let mut rest = result.clone();
    rest.retain(|key, _| !TEXTS.contains(&key.as_str()));
    rest.insert("_ansible_verbose_always".to_owned(), Data::Bool(true));
    let mut out = dump(
        &rest,
        &Settings {
            unescaped: false,
            ..settings.clone()
        },
        verbosity,
    );
    for name in &TEXTS[..5] {
        let text = result.get(*name).map(dump::text).unwrap_or_default();
        if !text.is_empty() {
            out.push_str(&format!("\n\n{}:\n\n{text}\n", name.to_uppercase()));
        }
    }
    out
}

/// The entries of a result that users see.
pub(crate) fn visible(result: &Map, verbosity: u8) -> Map {
    let mut shown = without_private(result);
    for flag in ["failed", "skipped"] {
        if matches!(shown.get(flag), Some(Data::Bool(_))) {
            shown.shift_remove(flag);
        }
    }
    if verbosity < 3 {
        shown.shift_remove("invocation");
        shown.shift_remove("diff");
    }
    for told in ["exception", "warnings", "deprecations"] {
        shown.shift_remove(told);
    }
    shown
}

/// Leaves out of an item's result what the status of its task says.
pub(crate) fn clean_item(item: &mut Map) {
    item.retain(|key, _| !matches!(key.as_str(), "failed" | "skipped"));
}

fn without_private(map: &Map) -> Map {
    let kept = map.iter().filter(|(key, _)| !key.starts_with("_ansible_"));
    kept.map(|(key, value)| (key.clone(), clean(value)))
        .collect()
}

fn clean(value: &Data) -> Data {
    match value {
        Data::Map(map) => Data::Map(without_private(map)),
        Data::List(items) => Data::List(items.iter().map(clean).collect()),
        other => other.clone(),
    }
}

/// The result with `changed`, which Ansible adds to every one that it shows in full, and with items
/// of a loop as it leaves them.
pub(crate) fn with_changed(result: &Map) -> Cow<'_, Map> {
    let looped = matches!(result.get("results"), Some(Data::List(_)));
    if result.contains_key("changed") && !looped {
        return Cow::Borrowed(result);
    }
    let mut result = result.clone();
    result
        .entry("changed".to_owned())
        .or_insert(Data::Bool(false));
    if let Some(Data::List(items)) = result.get_mut("results") {
        for item in items {
            if let Data::Map(item) = item {
                if is_true(item, "failed") {
                    item.insert("exception".to_owned(), Data::from(NO_TRACEBACK));
                }
                clean_item(item);
            }
        }
    }
    Cow::Owned(result)
}

/// The result of an action as callbacks get it: of `debug` only what it was asked for is left.
pub(crate) fn named<'a>(action: &str, result: &'a Map) -> Cow<'a, Map> {
    if !matches!(
        action,
        "debug" | "ansible.builtin.debug" | "ansible.legacy.debug"
    ) {
        return Cow::Borrowed(result);
    }
    let message = result.contains_key("msg") || result.contains_key("_ansible_null_message");
    let dropped = [
        "changed",
        "failed",
        "skipped",
        "invocation",
        "ansible_loop_var",
        "skip_reason",
    ];
    let kept = result.iter().filter(|(key, _)| {
        key.starts_with("_ansible_")
            || if message {
                *key == "msg"
            } else {
                !dropped.contains(&key.as_str())
            }
    });
    Cow::Owned(
        kept.map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}
