//! From written plays to what is to be run: roles and imports read, keywords inherited, tags
//! applied. Reads the files that the plays name and nothing else; returns every problem found.

pub mod collections;
mod files;
mod frame;
pub mod library;
mod role;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diag::{Checked, Diagnostic, Span, nearest, similar_file};
use crate::load::actions;
use crate::load::ast::{self, Item, Keywords};
use crate::load::check::{no_action, no_group};
use crate::load::keyword::{Keyword, Places};
use crate::load::node::{Node, NodeKind};
use crate::template::value::Value;
use crate::template::{Scope, Templar};
use crate::vars::{HostScope, Level, VarMap};

pub use files::{Files, key_place, to_variable, to_vars, unlocked};
pub use frame::{Frame, FrameKind};
pub use role::{Role, RoleCall};

/// A play, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The written play.
    pub play: Arc<ast::Play>,
    /// What every task of the play inherits.
    pub frame: Arc<Frame>,
    /// The tasks in order: `pre_tasks`, roles, `tasks`, `post_tasks`, with the points between
    /// them at which handlers run.
    pub items: Arc<Vec<PlanItem>>,
    /// Handlers in the order in which they run.
    pub handlers: Arc<Vec<PlanItem>>,
    /// The roles under `roles` and `import_role`, whose variables the whole play sees.
    pub roles: Vec<Arc<Role>>,
    /// The play's own tags and those of the `import_playbook` around it.
    pub tags: Vec<String>,
}

/// An entry of a list of tasks.
#[derive(Clone, Debug)]
pub enum PlanItem {
    /// A task.
    Task(Arc<PlanTask>),
    /// A block.
    Block(Arc<PlanBlock>),
    /// Handlers notified so far run here.
    FlushHandlers,
    /// The tasks of a role end here.
    RoleDone(Arc<Role>),
}

/// A task with what it inherits.
#[derive(Debug)]
pub struct PlanTask {
    /// What was written.
    pub ast: Arc<ast::Task>,
    /// Where it stands.
    pub frame: Arc<Frame>,
    /// Its tags and those it inherits.
    pub tags: Vec<String>,
    /// It stands under `handlers`.
    pub handler: bool,
}

impl PlanTask {
    /// Its name as it was written; its action's where it has none.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        let name = self.ast.keywords.get(&Keyword::Name).and_then(Node::as_str);
        name.filter(|name| !name.is_empty())
            .unwrap_or(&self.ast.call.name)
    }

    /// The same with its role before it.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.frame.role {
            Some(role) => format!("{} : {}", role.name, self.shown_name()),
            None => self.shown_name().to_owned(),
        }
    }
}

/// A block with `rescue` and `always`.
#[derive(Debug)]
pub struct PlanBlock {
    /// The tasks to try.
    pub block: Arc<Vec<PlanItem>>,
    /// What runs when one of them fails.
    pub rescue: Arc<Vec<PlanItem>>,
    /// What runs in any case.
    pub always: Arc<Vec<PlanItem>>,
}

/// `--tags` and `--skip-tags`.
#[derive(Clone, Debug, Default)]
pub struct TagFilter {
    /// Tags to run; empty for all.
    pub only: Vec<String>,
    /// Tags to leave out.
    pub skip: Vec<String>,
}

impl TagFilter {
    /// Whether a task with these tags runs.
    #[must_use]
    pub fn selects(&self, tags: &[String]) -> bool {
        let has = |tag: &str| tags.iter().any(|own| own == tag);
        let any = |wanted: &[String]| wanted.iter().any(|tag| has(tag));
        let tagged = !tags.is_empty();
        let run = match () {
            () if self.only.is_empty() || self.only.iter().any(|tag| tag == "all") => {
                !has("never") || any(&self.only)
            }
            () if has("always") => true,
            () if any(&self.only) => true,
            () => {
                self.only.iter().any(|tag| tag == "tagged") && tagged && !has("never")
                    || self.only.iter().any(|tag| tag == "untagged") && !tagged
            }
        };
        if !run {
            return false;
        }
        let skipped = any(&self.skip)
            || self.skip.iter().any(|tag| tag == "tagged") && tagged
            || self.skip.iter().any(|tag| tag == "untagged") && !tagged
            || self.skip.iter().any(|tag| tag == "all")
                && (!has("always") || self.skip.iter().any(|tag| tag == "always"));
        !skipped
    }
}

/// Turns plays, and task files that are included while a play runs, into plans.
#[derive(Clone)]
pub struct Planner {
    /// Reads files.
    pub files: Arc<Files>,
    /// Renders the names of imported files.
    pub templar: Arc<Templar>,
    /// `--tags`, `--skip-tags`.
    pub tags: TagFilter,
    /// Whether variables of roles are for themselves, unless `import_role` makes them public.
    pub private_roles: bool,
    /// Places to look for roles after those beside the playbook.
    pub roles_path: Vec<PathBuf>,
    /// Collections on disk.
    pub collections: collections::Collections,
    /// Modules on disk that are in no collection.
    pub library: Arc<library::Library>,
}

/// State of one planning pass.
pub(crate) struct Pass<'a> {
    planner: &'a Planner,
    scope: HostScope,
    playbook_dir: &'a Path,
    problems: Vec<Diagnostic>,
    roles: Vec<Arc<Role>>,
    handlers: Vec<PlanItem>,
    depth: usize,
    /// An import came back to itself. Where it does so more than once, following each would take
    /// forever, so no more is followed.
    circular: bool,
}

/// Imports and dependencies nested deeper than this are a cycle.
const MAX_DEPTH: usize = 100;

impl Planner {
    /// The file of a module that Ansible would run, and rplay does not. A short name is looked up in
    /// the collections of the frame as well.
    #[must_use]
    pub fn foreign(
        &self,
        name: &str,
        frame: Option<&Frame>,
        playbook_dir: &Path,
    ) -> Option<PathBuf> {
        self.library.module(name, playbook_dir).or_else(|| {
            if actions::is_native(name) {
                return None;
            }
            let known = &self.collections;
            if name.contains('.') {
                return known.module(name, playbook_dir);
            }
            let places = frame.map(role::collections_of).unwrap_or_default();
            let places = places.iter().map(String::as_str);
            let mut full = places
                .chain(collections::SPLIT.iter().copied())
                .map(|place| format!("{place}.{name}"));
            full.find_map(|full| known.module(&full, playbook_dir))
        })
    }

    /// Plans a play. `scope` holds the variables known before any host is: extra and play
    /// variables; `outer` is what an `import_playbook` around the play adds.
    pub fn play(
        &self,
        play: &Arc<ast::Play>,
        outer: Option<Arc<Frame>>,
        playbook_dir: &Path,
        scope: &HostScope,
    ) -> Checked<Plan> {
        // A task of the command line is in no file.
        let folder = play.span.path().parent();
        let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
        let frame = Arc::new(Frame {
            parent: outer,
            kind: FrameKind::Play,
            keywords: play.keywords.clone(),
            vars: Arc::default(),
            params: Arc::default(),
            role: None,
            dir: folder.unwrap_or(playbook_dir).to_path_buf(),
            from: None,
        });
        let mut pass = Pass::new(self, scope.clone(), playbook_dir);
        pass.check_defaults(&play.keywords);
        let mut items = pass.items(&play.pre_tasks, &frame, false);
        items.push(PlanItem::FlushHandlers);
        for entry in &play.roles {
            let role = pass.role_entry(entry, &frame);
            items.extend(role);
        }
        items.extend(pass.items(&play.tasks, &frame, false));
        items.push(PlanItem::FlushHandlers);
        items.extend(pass.items(&play.post_tasks, &frame, false));
        items.push(PlanItem::FlushHandlers);
        let own = pass.items(&play.handlers, &frame, true);
        // A role's handlers come first, so that those of the play are found before them.
        let mut handlers = std::mem::take(&mut pass.handlers);
        handlers.extend(opened(own));
        let tags = pass.tags_of(&play.keywords).into_iter();
        let outer = frame.parent.as_ref();
        let outer = outer.map(|outer| pass.tags_of(&outer.keywords));
        let tags = tags.chain(outer.into_iter().flatten()).collect();
        let plan = Plan {
            play: Arc::clone(play),
            frame,
            items: Arc::new(items),
            handlers: Arc::new(handlers),
            roles: pass.roles,
            tags,
        };
        Checked {
            value: plan,
            problems: pass.problems,
        }
    }

    /// Plans a task file that `include_tasks` names, below the frame of the include.
    pub fn include(
        &self,
        path: &Path,
        frame: &Arc<Frame>,
        handler: bool,
        playbook_dir: &Path,
        scope: &HostScope,
    ) -> Checked<Vec<PlanItem>> {
        let mut pass = Pass::new(self, scope.clone(), playbook_dir);
        let items = pass.task_file(path, frame, handler, None);
        Checked {
            value: items,
            problems: pass.problems,
        }
    }

    /// Looks for a role without reading it.
    ///
    /// # Errors
    /// It is nowhere.
    pub fn find_role(
        &self,
        call: &RoleCall,
        frame: &Frame,
        playbook_dir: &Path,
    ) -> Result<(), Box<Diagnostic>> {
        let mut pass = Pass::new(self, HostScope::default(), playbook_dir);
        match pass.find_role(call, frame) {
            Some(_) => Ok(()),
            None => Err(Box::new(pass.problems.pop().unwrap_or_else(|| {
                Diagnostic::error(
                    "missing-role",
                    format!("The role '{}' was not found", call.name),
                )
            }))),
        }
    }

    /// Plans a role that `include_role` names; also returns its handlers and the roles it brings.
    pub fn include_role(
        &self,
        call: &RoleCall,
        frame: &Arc<Frame>,
        playbook_dir: &Path,
        scope: &HostScope,
    ) -> Checked<IncludedRole> {
        let mut pass = Pass::new(self, scope.clone(), playbook_dir);
        let items = pass.role(call, frame);
        let included = IncludedRole {
            items,
            handlers: pass.handlers,
            roles: pass.roles,
        };
        Checked {
            value: included,
            problems: pass.problems,
        }
    }
}

/// What `include_role` brings.
#[derive(Debug)]
pub struct IncludedRole {
    /// Its tasks.
    pub items: Vec<PlanItem>,
    /// Its handlers.
    pub handlers: Vec<PlanItem>,
    /// The role and its dependencies.
    pub roles: Vec<Arc<Role>>,
}

impl<'a> Pass<'a> {
    fn new(planner: &'a Planner, scope: HostScope, playbook_dir: &'a Path) -> Self {
        Self {
            planner,
            scope,
            playbook_dir,
            problems: vec![],
            roles: vec![],
            handlers: vec![],
            depth: 0,
            circular: false,
        }
    }

    /// Plans a list of tasks.
    fn items(&mut self, items: &[Item], frame: &Arc<Frame>, handler: bool) -> Vec<PlanItem> {
        let mut planned = vec![];
        for item in items {
            match item {
                Item::Block(block) => planned.extend(self.block(block, frame, handler)),
                Item::Task(task) => planned.extend(self.task(task, frame, handler)),
            }
        }
        planned
    }

    fn block(&mut self, block: &ast::Block, frame: &Arc<Frame>, handler: bool) -> Option<PlanItem> {
        let frame = self.child(frame, FrameKind::Block, block.keywords.clone(), None);
        let planned = PlanBlock {
            block: Arc::new(self.items(&block.block, &frame, handler)),
            rescue: Arc::new(self.items(&block.rescue, &frame, handler)),
            always: Arc::new(self.items(&block.always, &frame, handler)),
        };
        let empty = planned.block.is_empty() && planned.always.is_empty();
        (!empty).then(|| PlanItem::Block(Arc::new(planned)))
    }

    fn task(&mut self, task: &Arc<ast::Task>, frame: &Arc<Frame>, handler: bool) -> Vec<PlanItem> {
        match crate::action::canonical(&task.call.name) {
            "import_tasks" => return self.import_tasks(task, frame, handler),
            "import_role" => return self.import_role(task, frame),
            _ => {}
        }
        self.check_module(task, frame, handler);
        self.check_defaults(&task.keywords);
        self.check_meta(task, frame, handler);
        let own = self.tags_of(&task.keywords);
        let mut tags = frame.tags(self);
        tags.extend(own);
        // Handlers run when they are notified, whatever tags were asked for.
        if !handler && !self.planner.tags.selects(&tags) {
            return vec![];
        }
        vec![PlanItem::Task(Arc::new(PlanTask {
            ast: Arc::clone(task),
            frame: Arc::clone(frame),
            tags,
            handler,
        }))]
    }

    /// What `module_defaults` are for must be there: modules, also those that only Ansible would
    /// run, and groups of collections.
    fn check_defaults(&mut self, keywords: &Keywords) {
        let maps = match keywords.get(&Keyword::ModuleDefaults) {
            Some(Node {
                kind: NodeKind::Seq(maps),
                ..
            }) => maps.as_slice(),
            Some(node) => std::slice::from_ref(node),
            None => return,
        };
        for map in maps {
            let NodeKind::Map(entries) = &map.kind else {
                continue;
            };
            for (key, _) in entries {
                let Some(name) = key.as_str() else { continue };
                let Some(group) = name.strip_prefix("group/") else {
                    if !self.resolves(name, None) {
                        self.problems.push(no_action(name, &key.span));
                    }
                    continue;
                };
                if !group.contains('.') {
                    continue;
                }
                let (known, files) = (&self.planner.collections, &self.planner.files);
                if known
                    .action_group(group, self.playbook_dir, files)
                    .is_none()
                {
                    self.problems.push(no_group(group, &key.span));
                }
            }
        }
    }

    fn resolves(&self, name: &str, frame: Option<&Frame>) -> bool {
        let disk = || self.planner.foreign(name, frame, self.playbook_dir);
        actions::is_native(name) || name.contains("{{") || disk().is_some()
    }

    /// A name must be a module that is here, or one on disk: those are written in
    /// Python and fail when they are reached, which a `when` may prevent.
    fn check_module(&mut self, task: &ast::Task, frame: &Frame, handler: bool) {
        let name = &task.call.name;
        if !self.resolves(name, Some(frame)) {
            let place = if handler {
                Places::HANDLER
            } else {
                Places::TASK
            };
            let full = name.contains('.');
            let keyword = (!full).then(|| nearest(name, Keyword::names(place)));
            let problem = actions::unresolved(name, keyword.flatten());
            self.problems.push(problem.at(&task.call.span));
        }
    }

    /// What a `meta` task does must be known, and `end_role` needs a role to end.
    fn check_meta(&mut self, task: &ast::Task, frame: &Frame, handler: bool) {
        if crate::action::canonical(&task.call.name) != "meta" {
            return;
        }
        let name = task.call.meta().unwrap_or("None");
        let message = match name {
            _ if actions::meta(name).is_none() => format!("invalid meta action requested: {name}"),
            "end_role" if handler => "Cannot execute 'end_role' from a handler".to_owned(),
            "end_role" if frame.role.is_none() => {
                "Cannot execute 'end_role' from outside of a role".to_owned()
            }
            _ => return,
        };
        let mut problem = Diagnostic::error("meta", message).at(&task.span);
        if let Some(near) = nearest(name, actions::METAS.iter().map(|meta| meta.name))
            && near != name
        {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        self.problems.push(problem);
    }

    fn import_tasks(
        &mut self,
        task: &ast::Task,
        frame: &Arc<Frame>,
        handler: bool,
    ) -> Vec<PlanItem> {
        let Some(file) = task
            .call
            .free_form
            .as_ref()
            .or_else(|| task.call.args.get("file").map(|arg| &arg.value))
        else {
            self.problems.push(
                Diagnostic::error("missing-argument", "No file specified for import_tasks")
                    .at(&task.call.span),
            );
            return vec![];
        };
        let from = Some(task.span.clone());
        let below = self.child(frame, FrameKind::Import, task.keywords.clone(), from);
        let Some(name) = self.text(file, &below) else {
            return vec![];
        };
        let Some(path) = self.find_task_file(&name, frame) else {
            self.problems.push(missing_file(&name, file));
            return vec![];
        };
        self.task_file(&path, &below, handler, Some(file))
    }

    /// Reads and plans a task file. `from` is the place that names it.
    fn task_file(
        &mut self,
        path: &Path,
        frame: &Arc<Frame>,
        handler: bool,
        from: Option<&Node>,
    ) -> Vec<PlanItem> {
        if self.circular {
            return vec![];
        }
        if self.depth >= MAX_DEPTH {
            self.circular = true;
            let mut problem = Diagnostic::error(
                "import-cycle",
                format!("`{}` imports itself", path.display()),
            );
            if let Some(from) = from {
                problem = problem.at(&from.span);
            }
            self.problems.push(problem);
            return vec![];
        }
        let tasks = match self.planner.files.tasks(path, handler) {
            Ok(checked) => checked,
            Err(problem) => {
                self.problems.push(match from {
                    Some(from) => problem.label(&from.span, "named here"),
                    None => problem,
                });
                return vec![];
            }
        };
        let tasks = tasks.collect(&mut self.problems);
        let frame = Arc::new(Frame {
            dir: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            ..(**frame).clone()
        });
        self.depth += 1;
        let items = self.items(&tasks, &frame, handler);
        self.depth -= 1;
        items
    }

    /// A task file beside the file that names it, in the role's `tasks` folder, or beside the playbook.
    fn find_task_file(&self, name: &str, frame: &Frame) -> Option<std::path::PathBuf> {
        find_task_file(name, frame, self.playbook_dir)
    }

    /// A frame below another one, with the `vars` of its own keywords.
    fn child(
        &mut self,
        parent: &Arc<Frame>,
        kind: FrameKind,
        keywords: Keywords,
        from: Option<Span>,
    ) -> Arc<Frame> {
        self.check_defaults(&keywords);
        let vars = keywords
            .get(&Keyword::Vars)
            .map(|node| to_vars(node, &self.planner.files));
        Arc::new(Frame {
            parent: Some(Arc::clone(parent)),
            kind,
            keywords,
            vars: Arc::new(vars.unwrap_or_default()),
            params: Arc::default(),
            role: parent.role.clone(),
            dir: parent.dir.clone(),
            from,
        })
    }

    /// A name that may be a template of variables known before any host is.
    fn text(&mut self, node: &Node, frame: &Frame) -> Option<String> {
        let mut scope = self.scope.clone();
        frame.push_vars(&mut scope);
        let value = unlocked(node, &self.planner.files.secrets);
        match self.planner.templar.expand(&value, &scope) {
            Ok(value) => Some(value.to_string()),
            Err(error) => {
                let hint = "an import is read before any host is known; `include_tasks` and `include_role` may use facts and host variables";
                self.problems
                    .push(error.diagnostic.label(&node.span, "").hint(hint));
                None
            }
        }
    }

    /// `tags` of a set of keywords: a text with commas, a list, templates in either.
    fn tags_of(&mut self, keywords: &Keywords) -> Vec<String> {
        let Some(node) = keywords.get(&Keyword::Tags) else {
            return vec![];
        };
        let value = unlocked(node, &self.planner.files.secrets);
        let value = self
            .planner
            .templar
            .expand_soft(&value, &self.scope)
            .unwrap_or(Value::None);
        let mut tags = vec![];
        let mut add = |text: String| {
            tags.extend(
                text.split(',')
                    .map(|tag| tag.trim().to_owned())
                    .filter(|tag| !tag.is_empty()),
            )
        };
        match &value {
            Value::List(items) => items
                .to_vec()
                .into_iter()
                .for_each(|item| add(item.to_string())),
            Value::None => {}
            other => add(other.to_string()),
        }
        tags
    }
}

/// A task file beside the file that names it, in the role's `tasks` folder, or beside the playbook.
#[must_use]
pub fn find_task_file(
    name: &str,
    frame: &Frame,
    playbook_dir: &Path,
) -> Option<std::path::PathBuf> {
    let mut places = vec![frame.dir.clone()];
    if let Some(role) = &frame.role {
        places.push(role.path.join("tasks"));
        places.push(role.path.clone());
    }
    places.extend([playbook_dir.join("tasks"), playbook_dir.to_path_buf()]);
    places
        .into_iter()
        .map(|place| place.join(name))
        .find(|path| path.is_file())
}

/// Handlers without the blocks around them: each is notified by its own name.
fn opened(handlers: Vec<PlanItem>) -> Vec<PlanItem> {
    let mut tasks = vec![];
    for item in handlers {
        match item {
            PlanItem::Block(block) => tasks.extend(opened(block.block.to_vec())),
            PlanItem::RoleDone(_) => {}
            other => tasks.push(other),
        }
    }
    tasks
}

fn missing_file(name: &str, at: &Node) -> Diagnostic {
    let problem = Diagnostic::error(
        "missing-file",
        format!("Could not find or access '{name}' on the Ansible Controller."),
    )
    .at(&at.span);
    let beside = at.span.path().with_file_name(name);
    let problem = match similar_file(&beside) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    };
    problem
        .hint("the path is looked for beside the file that names it, then in the role, then beside the playbook")
}

/// The variables of a keyword `vars` of a task.
#[must_use]
pub fn task_vars(task: &PlanTask, files: &Files) -> VarMap {
    task.ast
        .keywords
        .get(&Keyword::Vars)
        .map(|node| to_vars(node, files).without_reserved(&["tags", "when"]))
        .unwrap_or_default()
}

/// Play variables: `vars` of the play, as a layer for planning.
#[must_use]
pub fn play_vars(play: &ast::Play, files: &Files) -> VarMap {
    match play.keywords.get(&Keyword::Vars) {
        Some(Node {
            kind: NodeKind::Seq(parts),
            ..
        }) => parts.iter().fold(VarMap::new(), |mut vars, part| {
            vars.merge(to_vars(part, files));
            vars
        }),
        Some(node) => to_vars(node, files),
        None => VarMap::new(),
    }
}

/// The scope of planning: what is known before any host is.
#[must_use]
pub fn early_scope(
    extra: &Arc<VarMap>,
    play: &Arc<VarMap>,
    magic: &Arc<VarMap>,
    playbook_dir: &Path,
) -> HostScope {
    let mut scope = HostScope::new(vec![playbook_dir.to_path_buf()], playbook_dir.to_path_buf());
    scope.push(Level::Extra, extra);
    scope.push(Level::PlayVars, play);
    scope.push(Level::Magic, magic);
    scope
}

/// Reads a variable that may be a template in a scope, softly: an undefined one is `None`.
pub fn known(templar: &Templar, scope: &dyn Scope, name: &str) -> Option<Value> {
    let raw = scope.get(name)?;
    templar
        .expand_soft(&raw, scope)
        .ok()
        .filter(|value| !value.is_undefined())
}
