//! Lists of algorithms: `Ciphers`, `KexAlgorithms`, `MACs`, `HostKeyAlgorithms` and those of users' keys.

use super::read::matches_pattern;

/// A list of algorithms as the user wrote it.
#[derive(Clone, Debug, Default)]
pub(in crate::connect) struct Choice(Option<String>);

impl Choice {
    pub(super) fn new(text: Option<&str>) -> Self {
        Self(text.map(str::to_owned))
    }

    /// Whether the list is the user's own, and not the usual one with changes.
    pub(in crate::connect) fn is_own(&self) -> bool {
        let text = self.0.as_deref().unwrap_or("+");
        !text.starts_with(['+', '-'])
    }

    /// What the list means beside the usual one: `+` adds at the end, `^` puts in front, `-` takes away
    /// what matches patterns, anything else replaces it.
    pub(in crate::connect) fn of(&self, usual: &[&str]) -> Vec<String> {
        let own = |names: &str| names.split(',').map(str::to_owned).collect::<Vec<_>>();
        let usual: Vec<String> = usual.iter().map(|name| (*name).to_owned()).collect();
        let without = |list: Vec<String>, names: &[String]| -> Vec<String> {
            let kept = list.into_iter().filter(|name| !names.contains(name));
            kept.collect()
        };
        let Some(text) = &self.0 else {
            return usual;
        };
        match (text.chars().next(), text.get(1..).unwrap_or_default()) {
            (Some('+'), names) => {
                let more = without(own(names), &usual);
                [usual, more].concat()
            }
            (Some('^'), names) => {
                let first = own(names);
                let rest = without(usual, &first);
                [first, rest].concat()
            }
            (Some('-'), names) => {
                let patterns = own(names);
                let fits = |name: &String| patterns.iter().any(|one| matches_pattern(one, name));
                usual.into_iter().filter(|name| !fits(name)).collect()
            }
            _ => own(text),
        }
    }

    /// The algorithms of these that the list has, in its order; `usual` are those without a list.
    pub(in crate::connect) fn pick<T: Clone + AsRef<str>>(&self, usual: &[T], all: &[T]) -> Vec<T> {
        let names: Vec<&str> = usual.iter().map(AsRef::as_ref).collect();
        let chosen = self.of(&names);
        let of_name = |name: &String| all.iter().find(|one| one.as_ref() == name).cloned();
        chosen.iter().filter_map(of_name).collect()
    }
}
