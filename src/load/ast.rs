//! Plays, blocks and tasks as they were written: checked against the keyword table, nothing
//! templated, nothing inherited, no file looked for.

use std::sync::Arc;

use indexmap::IndexMap;

use super::keyword::Keyword;
use super::node::Node;
use crate::diag::{Source, Span};

/// A playbook file.
#[derive(Clone, Debug)]
pub struct Playbook {
    /// Its text.
    pub source: Arc<Source>,
    /// What stands in it, in order.
    pub entries: Vec<PlaybookEntry>,
}

/// An entry of a playbook's list.
#[derive(Clone, Debug)]
pub enum PlaybookEntry {
    /// A play.
    Play(Arc<Play>),
    /// `import_playbook`, with `when`, `vars` and `tags` among its keywords.
    Import {
        /// The file, maybe a template.
        file: Node,
        /// Its keywords.
        keywords: Keywords,
    },
}

/// Keywords with their values, in the order they were written.
pub type Keywords = IndexMap<Keyword, Node>;

/// A play.
#[derive(Clone, Debug)]
pub struct Play {
    /// The whole play.
    pub span: Span,
    /// `hosts`.
    pub hosts: Node,
    /// Everything else but the lists below: `name`, `become`, `vars`, `vars_files`, `serial` ...
    pub keywords: Keywords,
    /// `roles`.
    pub roles: Vec<RoleEntry>,
    /// `pre_tasks`.
    pub pre_tasks: Vec<Item>,
    /// `tasks`.
    pub tasks: Vec<Item>,
    /// `post_tasks`.
    pub post_tasks: Vec<Item>,
    /// `handlers`.
    pub handlers: Vec<Item>,
}

/// An entry of `roles` or of a role's `dependencies`.
#[derive(Clone, Debug)]
pub struct RoleEntry {
    /// The entry.
    pub span: Span,
    /// The role's name or path, maybe a template.
    pub name: Node,
    /// Keywords that its tasks inherit (`when`, `tags`, `become`, `vars` ...).
    pub keywords: Keywords,
    /// Everything that is no keyword: role parameters.
    pub params: IndexMap<String, Node>,
}

/// An entry of a list of tasks.
#[derive(Clone, Debug)]
pub enum Item {
    /// A task.
    Task(Arc<Task>),
    /// A block.
    Block(Arc<Block>),
}

/// A block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The whole block.
    pub span: Span,
    /// `name`, `when`, `become`, `vars` ...
    pub keywords: Keywords,
    /// `block`.
    pub block: Vec<Item>,
    /// `rescue`.
    pub rescue: Vec<Item>,
    /// `always`.
    pub always: Vec<Item>,
}

/// A task or handler.
#[derive(Clone, Debug)]
pub struct Task {
    /// The whole task.
    pub span: Span,
    /// What it calls.
    pub call: Call,
    /// The loop, if any.
    pub looping: Option<Loop>,
    /// All keywords but `action`, `local_action`, `args`, `loop` and `with_*`.
    pub keywords: Keywords,
}

/// The module or action a task calls.
#[derive(Clone, Debug)]
pub struct Call {
    /// The name as it was written: `copy`, `ansible.builtin.copy`; maybe a template.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// The arguments by name: from the mapping, from `k=v` words, and from `args`.
    pub args: IndexMap<String, CallArg>,
    /// The free-form text (`command: ls -l`), without the `k=v` options split off it.
    pub free_form: Option<Node>,
    /// A whole template in place of the arguments (`copy: "{{ options }}"` or `args: "{{ options }}"`).
    pub args_template: Option<Node>,
    /// `local_action`: delegated to localhost.
    pub local: bool,
}

impl Call {
    /// The action that a `meta` task names.
    #[must_use]
    pub fn meta(&self) -> Option<&str> {
        self.free_form.as_ref().and_then(Node::as_str)
    }
}

/// One argument.
#[derive(Clone, Debug)]
pub struct CallArg {
    /// Where its name stands.
    pub key: Span,
    /// Its value.
    pub value: Node,
}

/// `loop` or `with_*`.
#[derive(Clone, Debug)]
pub struct Loop {
    /// `None` for `loop`; the lookup's name for `with_NAME`.
    pub lookup: Option<String>,
    /// Where the keyword stands.
    pub span: Span,
    /// What it runs over.
    pub items: Node,
}
