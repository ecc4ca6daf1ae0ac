//! What a module returns: an outcome, or a failure.

use serde::{Deserialize, Serialize};

use crate::data::{Data, Map};

/// What a module that did its work reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the machine is (in check mode: would be) different from before.
    pub changed: bool,
    /// The module did nothing on purpose; its reason is in `results["msg"]`.
    pub skipped: bool,
    /// In check mode: what the results say is not what the run will say, as nothing was done.
    pub not_run: bool,
    /// Return values, under the names that Ansible documents.
    pub results: Map,
    /// What changed, before and after; empty when nothing did or nobody asked.
    pub diff: Vec<Diff>,
    /// Sentences for the user about things that went on all the same.
    pub warnings: Vec<String>,
    /// Facts for the host's variables (`ansible_facts`).
    pub facts: Map,
}

impl Outcome {
    /// An outcome without a change.
    #[must_use]
    pub fn unchanged() -> Self {
        Self::default()
    }

    /// An outcome with or without a change.
    #[must_use]
    pub fn new(changed: bool) -> Self {
        Self {
            changed,
            ..Self::default()
        }
    }

    /// Adds a return value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Data>) -> Self {
        self.results.insert(key.to_owned(), value.into());
        self
    }

    /// Adds a diff.
    #[must_use]
    pub fn with_diff(mut self, diff: Diff) -> Self {
        self.diff.push(diff);
        self
    }
}

/// What a module that could not do its work reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong, in Ansible's words where it has some.
    pub msg: String,
    /// The same at more length, for the user's eyes: with the system's error, which `msg` has not.
    pub explanation: Option<String>,
    /// Further return values (`rc`, `stdout`, `path` ...).
    pub results: Map,
    /// What had been changed before it failed, where the module knows.
    pub changed: bool,
    /// Warnings collected on the way.
    pub warnings: Vec<String>,
}

impl Failure {
    /// A failure with its message.
    #[must_use]
    pub fn new(msg: impl Into<String>) -> Self {
        Self {
            msg: msg.into(),
            ..Self::default()
        }
    }

    /// Adds a return value.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Data>) -> Self {
        self.results.insert(key.to_owned(), value.into());
        self
    }

    /// An error that Ansible's module of this name does not expect: its result begins otherwise.
    #[must_use]
    pub fn unexpected(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            msg: format!("Task failed: Module failed: {text}"),
            explanation: Some(text),
            ..Self::default()
        }
    }

    /// Adds what caused it, as the user reads it behind `msg`.
    #[must_use]
    pub fn because(mut self, cause: &str) -> Self {
        self.explanation = Some(format!("{}: {cause}", self.msg.trim_end_matches('.')));
        self
    }
}

/// Lets `?` turn a plain message into a failure.
impl From<String> for Failure {
    fn from(msg: String) -> Self {
        Self::new(msg)
    }
}

/// One difference, before and after. Its text form is the reporter's business.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The state before; see [`DiffSide`].
    pub before: DiffSide,
    /// The state after.
    pub after: DiffSide,
    /// The name of the side before, as Ansible's `before_header`.
    pub before_header: Option<String>,
    /// The name of the side after, as Ansible's `after_header`.
    pub after_header: Option<String>,
    /// A difference that is already text (`prepared`), shown as it is; the sides are empty then.
    pub prepared: Option<String>,
}

/// One side of a difference.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum DiffSide {
    /// Nothing to show on this side.
    #[default]
    Empty,
    /// The content of a file. Ansible compares it line by line.
    Text(String),
    /// Attributes (`path`, `state`, `mode` ...), shown as sorted JSON.
    Attributes(Map),
    /// The file is binary and is not shown.
    Binary,
    /// The file is larger than Ansible's `max_diff_size` in bytes.
    TooLarge(u64),
}

impl Diff {
    /// A difference of two texts with Ansible's headers.
    #[must_use]
    pub fn text(
        before: impl Into<String>,
        after: impl Into<String>,
        before_header: &str,
        after_header: &str,
    ) -> Self {
        Self {
            before: DiffSide::Text(before.into()),
            after: DiffSide::Text(after.into()),
            before_header: Some(before_header.to_owned()),
            after_header: Some(after_header.to_owned()),
            prepared: None,
        }
    }

    /// A difference of attributes.
    #[must_use]
    pub fn attributes(before: Map, after: Map) -> Self {
        Self {
            before: DiffSide::Attributes(before),
            after: DiffSide::Attributes(after),
            ..Self::default()
        }
    }
}
