//! What is other than it shall be, and its diff.

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Diff;
use serde_json::Value as Json;

/// Differences by name, in the order in which they were found.
#[derive(Default)]
pub(super) struct Changes(Vec<(String, Json, Json)>);

impl Changes {
    /// Notes what something shall be and is.
    pub(super) fn add(
        &mut self,
        name: impl Into<String>,
        wanted: impl Into<Json>,
        found: impl Into<Json>,
    ) {
        self.0.push((name.into(), wanted.into(), found.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, ..)| known == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, ..)| name.as_str())
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What comes, beside something else that was before.
    pub(super) fn diff_from(&self, before: Map) -> Diff {
        let after = self.0.iter();
        let after = after.map(|one| (one.0.clone(), Data::from_json(&one.1)));
        Diff::attributes(before, after.collect())
    }

    /// Both sides, by name.
    pub(super) fn diff(&self) -> Diff {
        let side = |pick: fn(&(String, Json, Json)) -> &Json| {
            let mut all: Vec<_> = self.0.iter().collect();
            all.sort_by(|one, other| one.0.cmp(&other.0));
            let parts = all.into_iter();
            let parts = parts.map(|one| (one.0.clone(), Data::from_json(pick(one))));
            parts.collect::<Map>()
        };
        Diff::attributes(side(|one| &one.2), side(|one| &one.1))
    }
}
