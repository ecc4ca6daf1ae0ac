//! The `diff` of a registered result, in the form that Ansible gives it.

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::{Diff, DiffSide};

use crate::secrets::{STARS, Secrets};

/// Modules whose differences are a list, even a single one.
const LISTS: &[&str] = &["assemble", "blockinfile", "copy", "lineinfile", "template"];

/// Modules that tell of attributes beside the content, also where there is nothing to tell.
const WITH_ATTRIBUTES: &[&str] = &["blockinfile", "lineinfile"];

/// What follows the file's name in the header of its content, and of its attributes.
const PARTS: [&str; 2] = [" (content)", " (file attributes)"];

/// The differences as a task registers them; nothing where there are none.
pub(super) fn registered(action: &str, diffs: &[Diff], hidden: &Secrets) -> Option<Data> {
    let name = action.rsplit('.').next().unwrap_or(action);
    let mut all: Vec<Data> = diffs
        .iter()
        .map(|diff| Data::Map(entry(diff, hidden)))
        .collect();
    if let [only] = diffs
        && WITH_ATTRIBUTES.contains(&name)
    {
        all.extend(attributes(only).map(Data::Map));
    }
    let listed = LISTS.contains(&name)
        && !diffs
            .iter()
            .any(|diff| matches!(diff.after, DiffSide::Attributes(_)));
    match all.len() {
        0 => None,
        1 if !listed => all.pop(),
        _ => Some(Data::List(all)),
    }
}

fn entry(diff: &Diff, hidden: &Secrets) -> Map {
    let mut entry = Map::new();
    if let Some(text) = &diff.prepared {
        entry.insert("prepared".to_owned(), Data::from(text.clone()));
        return entry;
    }
    let headers = [
        ("before_header", &diff.before_header),
        ("after_header", &diff.after_header),
    ];
    for (key, header) in headers {
        if let Some(header) = header {
            entry.insert(key.to_owned(), Data::from(header.clone()));
        }
    }
    side(&mut entry, "before", "dst", &diff.before);
    side(&mut entry, "after", "src", &diff.after);
    former(&mut entry, diff, hidden);
    entry
}

fn side(entry: &mut Map, key: &str, short: &str, side: &DiffSide) {
    let (key, value) = match side {
        DiffSide::Empty => (key.to_owned(), Data::from("")),
        DiffSide::Text(text) => (key.to_owned(), Data::from(text.clone())),
        DiffSide::Attributes(map) => (key.to_owned(), Data::Map(map.clone())),
        DiffSide::Binary => (format!("{short}_binary"), Data::Int(1)),
        DiffSide::TooLarge(limit) => (format!("{short}_larger"), Data::Int(i128::from(*limit))),
    };
    entry.insert(key, value);
}

/// What a secret replaces is likely the former one, which nobody has told us.
fn former(entry: &mut Map, diff: &Diff, hidden: &Secrets) {
    let DiffSide::Text(after) = &diff.after else {
        return;
    };
    let matcher = hidden.matcher();
    if matcher.is_some_and(|matcher| matcher.masked(after).is_some()) {
        entry.insert("before".to_owned(), Data::from(STARS));
    }
}

/// The entry of attributes that did not change.
fn attributes(content: &Diff) -> Option<Map> {
    let file = content.after_header.as_deref()?.strip_suffix(PARTS[0])?;
    let header = Data::from(format!("{file}{}", PARTS[1]));
    let names = ["before_header", "after_header"];
    Some(names.map(|name| (name.to_owned(), header.clone())).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_secret_replaces_is_not_registered() {
        let hidden = Secrets::default();
        hidden.add("new-password");
        let diff = Diff::text("pass=old-one\n", "pass=new-password\n", "a", "a");
        let found = registered("template", &[diff], &hidden);
        let text = format!("{found:?}");
        assert!(!text.contains("old-one"), "{text}");
    }
}
