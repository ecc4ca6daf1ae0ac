//! Variables by name, and which of their names mean something else to the engine.

use std::ops::{Deref, DerefMut};

use super::merged;
use crate::diag::{Diagnostic, Span};
use crate::load::keyword::Keyword;
use crate::ordered::OrderedMap;
use crate::template::is_global;
use crate::template::value::Value;

/// Variables by name, untemplated.
#[derive(Clone, Debug, Default)]
pub struct VarMap {
    entries: OrderedMap<String, Value>,
    /// Reserved names among them, with the places where a user wrote them.
    reserved: Vec<(String, Span)>,
}

impl VarMap {
    /// No variables yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable whose name a user wrote.
    pub fn declare(&mut self, name: impl Into<String>, place: &Span, value: Value) {
        let name = name.into();
        if is_reserved(&name) {
            self.reserved.push((name.clone(), place.clone()));
        }
        self.entries.insert(name, value);
    }

    /// Reserved names among them, with their places.
    #[must_use]
    pub fn reserved(&self) -> &[(String, Span)] {
        &self.reserved
    }

    /// The same variables; what was written is forgotten for these names.
    #[must_use]
    pub fn without_reserved(mut self, names: &[&str]) -> Self {
        self.reserved
            .retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// Adds all of another map's; dictionaries of one name are merged.
    pub fn merge_within(&mut self, other: Self) {
        self.reserved.extend(other.reserved);
        for (name, value) in other.entries {
            let value = match self.entries.get(&name) {
                Some(weak) => merged(weak, value),
                None => value,
            };
            self.entries.insert(name, value);
        }
    }

    /// Adds all of another map's.
    pub fn merge(&mut self, other: Self) {
        self.reserved.extend(other.reserved);
        self.entries.extend(other.entries);
    }
}

impl Deref for VarMap {
    type Target = OrderedMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.entries
    }
}

impl DerefMut for VarMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.entries
    }
}

impl FromIterator<(String, Value)> for VarMap {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(entries: T) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            reserved: vec![],
        }
    }
}

impl<const N: usize> From<[(String, Value); N]> for VarMap {
    fn from(entries: [(String, Value); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl IntoIterator for VarMap {
    type Item = (String, Value);
    type IntoIter = indexmap::map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a VarMap {
    type Item = (&'a String, &'a Value);
    type IntoIter = indexmap::map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

/// Names of the engine that no row of the keyword table has.
const MORE_RESERVED: &[&str] = &["async_val", "loop_with", "with_"];

/// Keywords that are fine as names of variables.
const NOT_RESERVED: &[Keyword] = &[
    Keyword::GatherSubset,
    Keyword::ImportPlaybook,
    Keyword::Listen,
    Keyword::Vars,
];

/// Whether a variable of this name is confusing: it is a keyword, or a function of templates.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    match Keyword::from_name(name) {
        Some(keyword) => !NOT_RESERVED.contains(&keyword),
        None => MORE_RESERVED.contains(&name) || is_global(name),
    }
}

/// The code of the warning about such a name.
pub const RESERVED_NAME: &str = "reserved-name";

/// What is told of such a name.
#[must_use]
pub fn reserved_name(name: &str, place: &Span) -> Diagnostic {
    Diagnostic::warning(
        RESERVED_NAME,
        format!("Found variable using reserved name '{name}'."),
    )
    .at(place)
}
/// Whether a fact is no variable of its own, because it would steer the connection.
#[must_use]
pub fn is_restricted_fact(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        "become",
        "connection",
        "connection_user",
        "docker_extra_args",
        "host",
        "module_compression",
        "network_os",
        "password",
        "pipelining",
        "port",
        "private_key_file",
        "scp_extra_args",
        "sftp_extra_args",
        "shell_executable",
        "shell_type",
        "timeout",
    ];
    const STARTS: [&str; 5] = ["become_", "local_", "psrp_", "ssh_", "winrm_"];
    let Some(name) = name.strip_prefix("ansible_") else {
        return false;
    };
    name == "user"
        || NAMES.contains(&name)
        || name.ends_with("_interpreter")
        || STARTS.iter().any(|start| name.starts_with(start)) && !name.starts_with("ssh_host_key_")
}
