//! Files of plays, read once: task files, variables, role metadata.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::diag::{Checked, Diagnostic, Source, Span};
use crate::load::ast::Item;
use crate::load::node::{Node, NodeKind};
use crate::load::play::RoleMeta;
use crate::load::vault::VaultSecrets;
use crate::load::{self, play};
use crate::secrets::Secrets;
use crate::template::value::{Dict, Entries, Key, List, Str, Tag, Value};
use crate::vars::VarMap;

/// Reads files, each once.
#[derive(Default)]
pub struct Files {
    /// What opens vaulted files and values.
    pub secrets: VaultSecrets,
    /// By path, and whether they were read as handlers.
    tasks: Mutex<HashMap<(PathBuf, bool), Arc<Vec<Item>>>>,
}

impl Files {
    /// Files opened with these secrets.
    #[must_use]
    pub fn new(secrets: VaultSecrets) -> Self {
        Self {
            secrets,
            tasks: Mutex::default(),
        }
    }

    /// The text of a file, decrypted where it is vaulted.
    ///
    /// # Errors
    /// The file cannot be read or decrypted.
    pub fn read(&self, path: &Path) -> Result<Arc<Source>, Diagnostic> {
        load::read(path, &self.secrets)
    }

    /// A list of tasks, or of handlers. Problems are told the first time only.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn tasks(
        &self,
        path: &Path,
        handlers: bool,
    ) -> Result<Checked<Arc<Vec<Item>>>, Diagnostic> {
        let mut cache = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (path.to_path_buf(), handlers);
        if let Some(items) = cache.get(&key) {
            return Ok(Checked::ok(Arc::clone(items)));
        }
        let read = if handlers {
            play::handlers
        } else {
            play::tasks
        };
        let checked = read(&self.read(path)?);
        let items = Arc::new(checked.value);
        cache.insert(key, Arc::clone(&items));
        Ok(Checked {
            value: items,
            problems: checked.problems,
        })
    }

    /// A file of variables.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn vars(&self, path: &Path) -> Result<Checked<VarMap>, Diagnostic> {
        let checked = play::vars_file(&self.read(path)?);
        let vars = checked.value.map(|node| to_vars(&node, self));
        Ok(Checked {
            value: vars.unwrap_or_default(),
            problems: checked.problems,
        })
    }

    /// `meta/main.yml` of a role.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn role_meta(&self, path: &Path) -> Result<Checked<RoleMeta>, Diagnostic> {
        Ok(play::role_meta(&self.read(path)?))
    }
}

/// The entries of a mapping as variables.
pub fn to_vars(node: &Node, files: &Files) -> VarMap {
    match &node.kind {
        NodeKind::Map(entries) => entries
            .iter()
            .fold(VarMap::new(), |mut vars, (key, value)| {
                let name = key_text(key);
                let value = to_variable(&name, value, files);
                vars.declare(name, &key.span, value);
                vars
            }),
        // The loader has told of what is no mapping.
        _ => VarMap::new(),
    }
}

fn key_text(key: &Node) -> String {
    match key.as_str() {
        Some(text) => text.to_owned(),
        None => Value::from_node(key).to_string(),
    }
}

/// Where the name of a variable stands of which only the value is kept: right before it.
#[must_use]
pub fn key_place(name: &str, value: &Node) -> Span {
    let span = &value.span;
    let before = span.source.text.get(..span.start as usize);
    let Some(at) = before.and_then(|text| text.rfind(name)) else {
        return span.clone();
    };
    Span {
        source: Arc::clone(&span.source),
        start: at as u32,
        end: (at + name.len()) as u32,
    }
}

/// The value of a variable. One that is written in a vaulted file, or whose name says that it is a
/// password, is masked from now on.
pub fn to_variable(name: &str, node: &Node, files: &Files) -> Value {
    let hidden = &files.secrets.hidden;
    if node.span.source.secret || hidden.is_named(name) {
        hide(node, hidden);
    }
    unlocked(node, &files.secrets)
}

/// Masks every text and number of a written value.
fn hide(node: &Node, hidden: &Secrets) {
    match &node.kind {
        NodeKind::Str(text) => hidden.add_template(text),
        NodeKind::Unsafe(text) => hidden.add(text),
        NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Date(_) => {
            hidden.add(&Value::from_node(node).to_string());
        }
        NodeKind::Seq(items) => items.iter().for_each(|item| hide(item, hidden)),
        NodeKind::Map(entries) => entries.iter().for_each(|(_, value)| hide(value, hidden)),
        // An envelope is masked when it is opened.
        NodeKind::Vault(_) | NodeKind::Null | NodeKind::Bool(_) => {}
    }
}

/// A written value whose vaulted texts are opened with these secrets. What is wrong with one of
/// them is told where the value is used.
#[must_use]
pub fn unlocked(node: &Node, secrets: &VaultSecrets) -> Value {
    if !has_vault(node) {
        return Value::from_node(node);
    }
    match &node.kind {
        NodeKind::Vault(envelope) => match load::vault::decrypt(envelope, secrets) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                secrets.hidden.add_template(&text);
                let tag = Tag {
                    origin: Some(node.span.clone()),
                    template: true,
                    secret: true,
                    sealed: None,
                };
                Value::Str(Str::from(text).tagged(tag))
            }
            Err(error) => {
                // It may be needed nowhere: where it is, its use fails.
                let tag = Tag {
                    origin: Some(node.span.opening()),
                    sealed: Some(error.to_string().into()),
                    ..Tag::default()
                };
                Value::Str(Str::from(envelope.as_str()).tagged(tag))
            }
        },
        NodeKind::Seq(items) => {
            let items = items.iter().map(|item| unlocked(item, secrets)).collect();
            Value::List(Arc::new(List {
                items: std::sync::RwLock::new(items),
                lazy: true,
            }))
        }
        NodeKind::Map(entries) => {
            let entries: Entries = entries
                .iter()
                .map(|(key, value)| (Key(Value::from_node(key)), unlocked(value, secrets)))
                .collect();
            Value::Dict(Arc::new(Dict {
                entries: std::sync::RwLock::new(entries),
                lazy: true,
            }))
        }
        _ => Value::from_node(node),
    }
}

fn has_vault(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Vault(_) => true,
        NodeKind::Seq(items) => items.iter().any(has_vault),
        NodeKind::Map(entries) => entries.iter().any(|(_, value)| has_vault(value)),
        _ => false,
    }
}
