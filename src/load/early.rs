//! What a task asks for while it is evaluated before those that go before it are done.
//!
//! Tasks that need nothing of each other travel to their host together. Whether one needs something
//! is not guessed from its text: it is evaluated, and what it asks for meanwhile is noted here.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

tokio::task_local! {
    static EARLY: Arc<Early>;
}

/// Notes of one evaluation.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// Variables that tasks before this one may still set.
    unsettled: Arc<HashSet<String>>,
    /// One of them was asked for, or something outside whose answer is another one later.
    asked: AtomicBool,
    /// Files of the controller that were read or looked for.
    files: Mutex<Vec<PathBuf>>,
}

impl Early {
    /// Notes of an evaluation before these variables have their values.
    pub(crate) fn new(unsettled: Arc<HashSet<String>>) -> Arc<Self> {
        Arc::new(Self {
            unsettled,
            ..Self::default()
        })
    }

    /// Does some work and notes what it asks for.
    pub(crate) async fn watch<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        EARLY.scope(self, work).await
    }

    /// Whether what came of it so far would be the same later, but for files.
    pub(crate) fn is_settled(&self) -> bool {
        !self.asked.load(Ordering::Relaxed)
    }

    /// The files that it asked for.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let files = self.files.lock();
        files.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn note(what: impl FnOnce(&Early)) {
    // Most work is not done early.
    let _ = EARLY.try_with(|early| what(early));
}

/// A variable is asked for.
pub(crate) fn variable(name: &str) {
    note(|early| {
        if early.unsettled.contains(name) {
            early.asked.store(true, Ordering::Relaxed);
        }
    });
}

/// The names of all variables are asked for.
pub(crate) fn all_variables() {
    note(|early| {
        if !early.unsettled.is_empty() {
            early.asked.store(true, Ordering::Relaxed);
        }
    });
}

/// A file of the controller is read or looked for.
pub(crate) fn file(path: &Path) {
    note(|early| {
        let files = early.files.lock();
        let mut files = files.unwrap_or_else(PoisonError::into_inner);
        files.push(path.to_path_buf());
    });
}

/// Something outside is about to be asked or done, if only the clock. True where it is too early.
pub(crate) fn outside() -> bool {
    let noted = EARLY.try_with(|early| early.asked.store(true, Ordering::Relaxed));
    noted.is_ok()
}
