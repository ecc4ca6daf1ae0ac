//! Cases that change the same thing of the machine take turns.
//!
//! A page runs on the machine itself and once more through a server on it, perhaps at the same time.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};

/// Pages of modules that change, or look at, the same thing.
const SHARED: [(&str, &[&str]); 3] = [
    ("accounts", &["authorized_key", "getent", "group", "user"]),
    (
        "packages",
        &[
            "apt",
            "debconf",
            "dpkg_selections",
            "package",
            "package_facts",
        ],
    ),
    (
        "services",
        &["service", "service_facts", "systemd", "sysvinit"],
    ),
];

/// The things at which somebody is.
static TAKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static LEFT: Condvar = Condvar::new();

/// One case's turn, which ends when it is dropped.
pub(crate) struct Turn(String);

impl Turn {
    /// Waits until no other case is at what the cases of this page change.
    pub(crate) fn take(page: &str) -> Self {
        let stem = page.strip_prefix("modules/");
        let holds = |pages: &[&str]| stem.is_some_and(|stem| pages.contains(&stem));
        let shared = SHARED.iter().find(|(_, pages)| holds(pages));
        let thing = shared.map_or(page, |(thing, _)| thing).to_owned();
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = LEFT
            .wait_while(taken, |taken| taken.contains(&thing))
            .unwrap_or_else(PoisonError::into_inner);
        taken.insert(thing.clone());
        Self(thing)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.0);
        drop(taken);
        LEFT.notify_all();
    }
}
