//! Playbooks, task lists and the metadata of roles: from nodes to typed entries, all mistakes at once.

use std::sync::Arc;

use indexmap::IndexMap;

use super::ast::{Block, Item, Keywords, Play, Playbook, PlaybookEntry, RoleEntry};
use super::keyword::{Keyword, Places};
use super::node::{Node, NodeKind};
use super::{actions, task, yaml};
use crate::diag::{Checked, Diagnostic, Source, Span, nearest};

/// Reads a playbook.
pub fn playbook(source: &Arc<Source>) -> Checked<Playbook> {
    checked(source, |root, reader| Playbook {
        source: Arc::clone(source),
        entries: reader.playbook(root),
    })
}

/// Reads the plays of a document that no file holds.
pub(super) fn plays(source: &Arc<Source>, root: Node) -> Checked<Playbook> {
    let mut reader = Reader {
        problems: vec![],
        unreadable: false,
    };
    let entries = reader.playbook(root);
    Checked {
        value: Playbook {
            source: Arc::clone(source),
            entries,
        },
        problems: reader.problems,
    }
}

/// A playbook without plays.
pub(super) fn nothing(source: &Arc<Source>) -> Playbook {
    Playbook {
        source: Arc::clone(source),
        entries: vec![],
    }
}

/// Reads a file of tasks.
pub fn tasks(source: &Arc<Source>) -> Checked<Vec<Item>> {
    checked(source, |root, reader| {
        reader.file_items(root, "tasks", Places::TASK)
    })
}

/// Reads a file of handlers.
pub fn handlers(source: &Arc<Source>) -> Checked<Vec<Item>> {
    checked(source, |root, reader| {
        reader.file_items(root, "handlers", Places::HANDLER)
    })
}

/// `meta/main.yml` of a role.
#[derive(Clone, Debug, Default)]
pub struct RoleMeta {
    /// Roles that run before it.
    pub dependencies: Vec<RoleEntry>,
    /// Whether the role may run more than once in a play.
    pub allow_duplicates: bool,
    /// Collections to look short names up in.
    pub collections: Option<Node>,
    /// What its entry points take.
    pub argument_specs: Option<Node>,
}

/// Reads `meta/main.yml` of a role.
pub fn role_meta(source: &Arc<Source>) -> Checked<RoleMeta> {
    checked(source, |root, reader| reader.role_meta(root))
}

/// Reads a file of variables; `None` when it is empty.
pub fn vars_file(source: &Arc<Source>) -> Checked<Option<Node>> {
    checked(source, |root, reader| match &root.kind {
        NodeKind::Null => None,
        NodeKind::Map(_) => Some(root),
        _ => {
            let text = format!(
                "{} must be stored as a dictionary/hash, but it is {}",
                source.path.display(),
                root.kind_name()
            );
            reader.error("vars-not-a-mapping", text, &root.span);
            None
        }
    })
}

fn checked<T>(source: &Arc<Source>, read: impl FnOnce(Node, &mut Reader) -> T) -> Checked<T> {
    let mut reader = Reader {
        problems: vec![],
        unreadable: false,
    };
    let document = yaml::single(source);
    reader.unreadable = document.has_errors();
    let root = document.collect(&mut reader.problems);
    let value = read(root, &mut reader);
    Checked {
        value,
        problems: reader.problems,
    }
}

/// Collects problems on the way through a document.
pub(super) struct Reader {
    pub(super) problems: Vec<Diagnostic>,
    /// The text is not YAML: an empty document is then no problem of its own.
    unreadable: bool,
}

impl Reader {
    pub(super) fn error(&mut self, code: &'static str, message: impl Into<String>, span: &Span) {
        self.problems
            .push(Diagnostic::error(code, message).at(span));
    }

    fn playbook(&mut self, root: Node) -> Vec<PlaybookEntry> {
        let path = root.span.path().display().to_string();
        match root.kind {
            NodeKind::Seq(items) if !items.is_empty() => items
                .into_iter()
                .filter_map(|item| self.entry(item))
                .collect(),
            NodeKind::Null if self.unreadable => vec![],
            NodeKind::Null | NodeKind::Seq(_) => {
                let problem = Diagnostic::error(
                    "empty-playbook",
                    format!("Empty playbook, nothing to do: {path}"),
                );
                self.problems.push(problem);
                vec![]
            }
            _ => {
                let text = format!(
                    "A playbook must be a list of plays, got {} instead: {path}",
                    root.kind_name()
                );
                self.error("not-a-playbook", text, &root.span);
                vec![]
            }
        }
    }

    fn entry(&mut self, item: Node) -> Option<PlaybookEntry> {
        let NodeKind::Map(entries) = item.kind else {
            let text =
                "playbook entries must be either valid plays or 'import_playbook' statements";
            self.error("not-a-play", text, &item.span);
            return None;
        };
        let import =
            |(key, _): &(Node, Node)| key.as_str().map(actions::short) == Some("import_playbook");
        if entries.iter().any(import) {
            return self.import(entries, import);
        }
        Some(PlaybookEntry::Play(Arc::new(
            self.play(item.span, entries)?,
        )))
    }

    fn import(
        &mut self,
        entries: Vec<(Node, Node)>,
        import: impl Fn(&(Node, Node)) -> bool,
    ) -> Option<PlaybookEntry> {
        let (imports, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(import);
        let keywords = self.keywords(rest, Places::IMPORT);
        let (key, file) = imports.into_iter().next()?;
        if file.as_str().is_none_or(|text| text.trim().is_empty()) {
            self.error(
                "import-without-file",
                "import_playbook requires the name of a playbook",
                &key.span,
            );
            return None;
        }
        Some(PlaybookEntry::Import { file, keywords })
    }

    /// The keywords among entries; the others are problems.
    fn keywords(&mut self, entries: Vec<(Node, Node)>, place: Places) -> Keywords {
        let mut keywords = Keywords::new();
        for (key, value) in entries {
            match key
                .as_str()
                .and_then(Keyword::from_name)
                .filter(|keyword| keyword.allowed(place))
            {
                Some(keyword) => self.keyword(&mut keywords, keyword, value, place),
                None => self.unknown(&key, place, place.title()),
            }
        }
        keywords
    }

    /// Notes a keyword after the checks that need no variables.
    pub(super) fn keyword(
        &mut self,
        keywords: &mut Keywords,
        keyword: Keyword,
        value: Node,
        place: Places,
    ) {
        match keyword {
            Keyword::Vars => self.check_vars(&value, place),
            Keyword::ModuleDefaults => self.check_module_defaults(&value),
            Keyword::VarsPrompt => {
                super::prompt::prompts(&value, &mut self.problems);
            }
            Keyword::Register => self.check_register(&value),
            Keyword::LoopControl => self.check_loop_control(&value),
            Keyword::Tags
                if !matches!(
                    value.kind,
                    NodeKind::Seq(_) | NodeKind::Str(_) | NodeKind::Int(_)
                ) =>
            {
                self.error(
                    "tags-not-a-list",
                    "tags must be specified as a list",
                    &value.span,
                );
            }
            _ => {}
        }
        keywords.insert(keyword, value);
    }

    /// Reports a key that is no keyword where it stands.
    pub(super) fn unknown(&mut self, key: &Node, place: Places, title: &str) {
        let name = key
            .as_str()
            .map_or_else(|| key.kind_name().to_owned(), str::to_owned);
        let text = format!("'{name}' is not a valid attribute for a {title}");
        let mut problem = Diagnostic::error("unknown-keyword", text).at(&key.span);
        if let Some(meant) = nearest(&name, Keyword::names(place)) {
            problem = problem.hint(format!("did you mean `{meant}`?"));
        } else if let Some(meant) = super::actions::near_loop(&name) {
            problem = problem.hint(format!("did you mean `with_{meant}`?"));
        } else if Keyword::from_name(&name).is_some() {
            problem = problem.hint(format!("`{name}` is a keyword, but it cannot stand here"));
        }
        self.problems.push(problem);
    }

    fn play(&mut self, span: Span, entries: Vec<(Node, Node)>) -> Option<Play> {
        let missing = Node {
            span: span.clone(),
            kind: NodeKind::Null,
        };
        let mut play = Play {
            span,
            hosts: missing,
            keywords: Keywords::new(),
            roles: vec![],
            pre_tasks: vec![],
            tasks: vec![],
            post_tasks: vec![],
            handlers: vec![],
        };
        let mut named = false;
        for (key, value) in entries {
            match key
                .as_str()
                .and_then(Keyword::from_name)
                .filter(|keyword| keyword.allowed(Places::PLAY))
            {
                Some(Keyword::Hosts) => {
                    named = true;
                    play.hosts = value;
                }
                Some(Keyword::Roles) => play.roles = self.roles(value),
                Some(Keyword::PreTasks) => {
                    play.pre_tasks = self.items(value, "pre_tasks", Places::TASK)
                }
                Some(Keyword::Tasks) => play.tasks = self.items(value, "tasks", Places::TASK),
                Some(Keyword::PostTasks) => {
                    play.post_tasks = self.items(value, "post_tasks", Places::TASK)
                }
                Some(Keyword::Handlers) => {
                    play.handlers = self.items(value, "handlers", Places::HANDLER)
                }
                Some(Keyword::User) => {
                    self.keyword(&mut play.keywords, Keyword::RemoteUser, value, Places::PLAY)
                }
                Some(keyword) => self.keyword(&mut play.keywords, keyword, value, Places::PLAY),
                None => self.unknown(&key, Places::PLAY, "Play"),
            }
        }
        if !named {
            self.error(
                "hosts-missing",
                "The field 'hosts' is required but was not set.",
                &play.span,
            );
            return None;
        }
        self.check_hosts(&play.hosts).then_some(play)
    }

    /// A list of tasks and blocks.
    pub(super) fn items(&mut self, value: Node, what: &str, place: Places) -> Vec<Item> {
        match value.kind {
            NodeKind::Null => vec![],
            NodeKind::Seq(items) => items
                .into_iter()
                .filter_map(|item| self.item(item, what, place))
                .collect(),
            _ => {
                let kind = value.kind_name();
                let text = format!(
                    "A malformed block was encountered while loading {what}: it should be a list or None but is {kind}"
                );
                self.error("malformed-block", text, &value.span);
                vec![]
            }
        }
    }

    /// The tasks of a whole file.
    fn file_items(&mut self, root: Node, what: &str, place: Places) -> Vec<Item> {
        if matches!(root.kind, NodeKind::Seq(_) | NodeKind::Null) {
            return self.items(root, what, place);
        }
        let text = "included task files must contain a list of tasks";
        self.error("malformed-block", text, &root.span);
        vec![]
    }

    fn item(&mut self, item: Node, what: &str, place: Places) -> Option<Item> {
        let kind = item.kind_name();
        let NodeKind::Map(entries) = item.kind else {
            let text = format!(
                "A malformed block was encountered while loading {what}: a task should be a dict but was {kind}"
            );
            self.error("malformed-task", text, &item.span);
            return None;
        };
        let has = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key.as_str() == Some(name))
                .map(|(key, _)| key.span.clone())
        };
        if has("block").is_some() {
            return Some(Item::Block(Arc::new(self.block(item.span, entries, place))));
        }
        for name in ["rescue", "always"] {
            if let Some(span) = has(name) {
                self.error(
                    "block-missing",
                    format!("'{name}' keyword cannot be used without 'block'"),
                    &span,
                );
                return None;
            }
        }
        task::read(self, item.span, entries, place).map(|task| Item::Task(Arc::new(task)))
    }

    fn block(&mut self, span: Span, entries: Vec<(Node, Node)>, place: Places) -> Block {
        let mut block = Block {
            span,
            keywords: Keywords::new(),
            block: vec![],
            rescue: vec![],
            always: vec![],
        };
        for (key, value) in entries {
            match key
                .as_str()
                .and_then(Keyword::from_name)
                .filter(|keyword| keyword.allowed(Places::BLOCK))
            {
                Some(Keyword::Block) => block.block = self.items(value, "block", place),
                Some(Keyword::Rescue) => block.rescue = self.items(value, "rescue", place),
                Some(Keyword::Always) => block.always = self.items(value, "always", place),
                Some(keyword) => self.keyword(&mut block.keywords, keyword, value, Places::BLOCK),
                None => self.unknown(&key, Places::BLOCK, "Block"),
            }
        }
        if place == Places::HANDLER {
            self.check_handlers(&block);
        }
        block
    }

    fn roles(&mut self, value: Node) -> Vec<RoleEntry> {
        match value.kind {
            NodeKind::Null => vec![],
            NodeKind::Seq(items) => items
                .into_iter()
                .filter_map(|item| self.role(item))
                .collect(),
            _ => {
                let text = format!(
                    "A malformed role declaration was encountered: roles should be a list but is {}",
                    value.kind_name()
                );
                self.error("malformed-roles", text, &value.span);
                vec![]
            }
        }
    }

    fn role(&mut self, item: Node) -> Option<RoleEntry> {
        let span = item.span.clone();
        let entries = match item.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Str(_) | NodeKind::Unsafe(_) | NodeKind::Int(_) | NodeKind::Float(_) => {
                return Some(RoleEntry {
                    span,
                    name: item,
                    keywords: Keywords::new(),
                    params: IndexMap::new(),
                });
            }
            _ => {
                let text = format!(
                    "role definitions must be a name or a mapping, got {}",
                    item.kind_name()
                );
                self.error("malformed-role", text, &span);
                return None;
            }
        };
        let name = ["role", "name", "src"].into_iter().find_map(|name| {
            entries
                .iter()
                .position(|(key, _)| key.as_str() == Some(name))
        });
        let Some(at) = name else {
            self.error(
                "role-without-name",
                "role definitions must contain a role name",
                &span,
            );
            return None;
        };
        let mut entry = RoleEntry {
            span,
            name: entries[at].1.clone(),
            keywords: Keywords::new(),
            params: IndexMap::new(),
        };
        for (key, value) in entries {
            match key.as_str() {
                Some("role" | "name") => {}
                Some(name) => {
                    match Keyword::from_name(name).filter(|keyword| keyword.allowed(Places::ROLE)) {
                        Some(keyword) => {
                            self.keyword(&mut entry.keywords, keyword, value, Places::ROLE)
                        }
                        None => {
                            entry.params.insert(name.to_owned(), value);
                        }
                    }
                }
                None => self.check_variable_name(&key),
            }
        }
        Some(entry)
    }

    fn role_meta(&mut self, root: Node) -> RoleMeta {
        let mut meta = RoleMeta::default();
        let entries = match root.kind {
            NodeKind::Null => return meta,
            NodeKind::Map(entries) => entries,
            _ => {
                let text = format!(
                    "the 'meta/main.yml' for role {} is not a dictionary",
                    root.span.path().display()
                );
                self.error("role-meta", text, &root.span);
                return meta;
            }
        };
        for (key, value) in entries {
            match key.as_str() {
                Some("dependencies") => meta.dependencies = self.roles(value),
                Some("allow_duplicates") => meta.allow_duplicates = self.boolean(&value),
                Some("collections") => meta.collections = Some(value),
                Some("argument_specs") => meta.argument_specs = Some(value),
                Some("galaxy_info" | "standalone") => {}
                name => {
                    let text = format!(
                        "'{}' is not a valid attribute for a RoleMetadata",
                        name.unwrap_or_default()
                    );
                    self.error("unknown-keyword", text, &key.span);
                }
            }
        }
        meta
    }

    fn boolean(&mut self, value: &Node) -> bool {
        match &value.kind {
            NodeKind::Bool(value) => return *value,
            NodeKind::Int(number @ (0 | 1)) => return *number == 1,
            NodeKind::Str(text) => match text.to_ascii_lowercase().as_str() {
                "yes" | "true" | "on" | "y" | "t" | "1" => return true,
                "no" | "false" | "off" | "n" | "f" | "0" => return false,
                _ => {}
            },
            _ => {}
        }
        self.error(
            "not-a-boolean",
            format!("the value must be a boolean, got {}", value.kind_name()),
            &value.span,
        );
        false
    }
}

#[cfg(test)]
#[path = "tests/play.rs"]
mod tests;
