//! What a user wrote: YAML values, each with its place.

use crate::diag::Span;

/// A YAML value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands: for a collection from its first to its last entry.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// The kinds of YAML values after YAML 1.1 resolution, as PyYAML's safe loader and Ansible have them.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `yes`, `on` ...
    Bool(bool),
    /// Decimal, octal (`0644`), hexadecimal, binary, sexagesimal (`1:30`).
    Int(i128),
    /// Fractions, `.inf`, `.nan`, sexagesimal fractions.
    Float(f64),
    /// Text. Templates in it are trusted: it is the user's own.
    Str(String),
    /// Text under `!unsafe`: never a template.
    Unsafe(String),
    /// A date or time stamp (`2024-01-01`), as it is written; Python makes a date of it.
    Date(String),
    /// Text under `!vault`: the envelope as it is written.
    Vault(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the order it was written; duplicate keys are resolved (last one wins).
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a string (trusted or not), nothing for other kinds.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Str(text) | NodeKind::Unsafe(text) => Some(text),
            _ => None,
        }
    }

    /// What was written, without its place and with vaults closed: two of one text have one value.
    #[must_use]
    pub fn written(&self) -> String {
        match &self.kind {
            NodeKind::Seq(items) => {
                let items: Vec<String> = items.iter().map(Self::written).collect();
                format!("[{}]", items.join(", "))
            }
            NodeKind::Map(entries) => {
                let entry =
                    |(key, value): &(Self, Self)| format!("{}: {}", key.written(), value.written());
                let entries: Vec<String> = entries.iter().map(entry).collect();
                format!("{{{}}}", entries.join(", "))
            }
            plain => format!("{plain:?}"),
        }
    }

    /// The value under a text key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key and the value under a text key of a mapping.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        match &self.kind {
            NodeKind::Map(entries) => entries
                .iter()
                .find(|(name, _)| name.as_str() == Some(key))
                .map(|(name, value)| (name, value)),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.kind, NodeKind::Null)
    }

    /// How a message names the kind: `a mapping`, `a list`, `a string` ...
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "null",
            NodeKind::Bool(_) => "a boolean",
            NodeKind::Int(_) => "an integer",
            NodeKind::Float(_) => "a number",
            NodeKind::Str(_) | NodeKind::Unsafe(_) => "a string",
            NodeKind::Date(_) => "a date",
            NodeKind::Vault(_) => "a vaulted string",
            NodeKind::Seq(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }
}
