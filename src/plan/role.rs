//! Roles: where they are looked for, what they bring, what they depend on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    Frame, FrameKind, MAX_DEPTH, Pass, PlanItem, collections, key_place, to_variable, to_vars,
};
use crate::diag::{Diagnostic, Span, nearest, similar_file};
use crate::load::ast::{self, Keywords, RoleEntry};
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::template::value::Value;
use crate::vars::VarMap;

/// A role that a play uses.
#[derive(Debug)]
pub struct Role {
    /// The number of this use of the role, another for each.
    pub number: u64,
    /// The name that banners show: with its collection, where it is in one.
    pub name: String,
    /// Its collection.
    pub collection: Option<String>,
    /// Collections in which its tasks look names of roles up: its own, then those of its metadata.
    pub collections: Vec<String>,
    /// Another role depends on it.
    pub dependency: bool,
    /// Its folder.
    pub path: PathBuf,
    /// `defaults/main.yml`.
    pub defaults: Arc<VarMap>,
    /// `vars/main.yml`.
    pub vars: Arc<VarMap>,
    /// Names and folders of the roles that include or import it, the nearest first.
    pub parents: Vec<(String, PathBuf)>,
    /// Equal for equal uses: a host that was through one of them is done with the others, too.
    pub key: Arc<str>,
    /// A host goes through it all the same.
    pub again: bool,
}

/// A use of a role.
#[derive(Clone, Debug, Default)]
pub struct RoleCall {
    /// Its name or path.
    pub name: String,
    /// Where the name stands.
    pub span: Option<Span>,
    /// Parameters.
    pub params: VarMap,
    /// `vars` of the entry.
    pub vars: VarMap,
    /// Keywords that its tasks inherit.
    pub keywords: Keywords,
    /// `tasks_from`, else `main`.
    pub tasks_from: Option<String>,
    /// `vars_from`, else `main`.
    pub vars_from: Option<String>,
    /// `defaults_from`, else `main`.
    pub defaults_from: Option<String>,
    /// `handlers_from`, else `main`.
    pub handlers_from: Option<String>,
    /// Whether a host goes through it again after an equal use; `None`: the role decides.
    pub again: Option<bool>,
    /// Whether the play sees its variables; none: what the settings say.
    pub public: Option<bool>,
    /// Its arguments are not checked against their specification.
    pub unchecked: bool,
}

fn in_circle(call: &RoleCall, message: &str) -> Diagnostic {
    let problem = Diagnostic::error("role-cycle", message);
    match &call.span {
        Some(span) => problem.at(span),
        None => problem,
    }
}

/// How a role depends on itself, if it does. Tasks may import their own role: conditions can end that.
fn needs_itself(path: &Path, frame: &Frame) -> Option<String> {
    let above = frame
        .chain()
        .take_while(|frame| frame.kind == FrameKind::Role);
    let roles: Vec<&Role> = above.filter_map(|frame| frame.role.as_deref()).collect();
    let at = roles.iter().position(|role| role.path == path)?;
    let mut names: Vec<&str> = roles[..=at]
        .iter()
        .rev()
        .map(|role| role.name.as_str())
        .collect();
    names.push(&roles[at].name);
    Some(format!("the dependencies are {}", names.join(" -> ")))
}

impl Pass<'_> {
    /// An entry of `roles` or `dependencies`.
    pub(super) fn role_entry(&mut self, entry: &RoleEntry, frame: &Arc<Frame>) -> Vec<PlanItem> {
        let Some(name) = self.text(&entry.name, frame) else {
            return vec![];
        };
        let files = Arc::clone(&self.planner.files);
        let mut params = VarMap::new();
        for (key, node) in &entry.params {
            let value = to_variable(key, node, &files);
            params.declare(key, &key_place(key, node), value);
        }
        let vars = entry.keywords.get(&crate::load::keyword::Keyword::Vars);
        let vars = vars.map(|node| to_vars(node, &files)).unwrap_or_default();
        let call = RoleCall {
            name,
            span: Some(entry.name.span.clone()),
            params,
            vars,
            keywords: entry.keywords.clone(),
            ..RoleCall::default()
        };
        self.role(&call, frame)
    }

    /// `import_role`.
    pub(super) fn import_role(&mut self, task: &ast::Task, frame: &Arc<Frame>) -> Vec<PlanItem> {
        let arg = |name: &str| task.call.args.get(name).map(|arg| &arg.value);
        let Some(name) = arg("name").or_else(|| arg("role")) else {
            // Without a template in place of the arguments it was told when the task was read.
            if let Some(template) = &task.call.args_template {
                let text = "'name' is a required field for import_role.";
                let problem = Diagnostic::error("missing-argument", text);
                self.problems.push(problem.at(&template.span));
            }
            return vec![];
        };
        let from = Some(task.span.clone());
        let below = self.child(frame, FrameKind::Import, task.keywords.clone(), from);
        let Some(role) = self.text(name, &below) else {
            return vec![];
        };
        let mut from = |key: &str| arg(key).cloned().and_then(|node| self.text(&node, &below));
        let call = RoleCall {
            name: role,
            span: Some(name.span.clone()),
            tasks_from: from("tasks_from"),
            vars_from: from("vars_from"),
            defaults_from: from("defaults_from"),
            handlers_from: from("handlers_from"),
            unchecked: from("rolespec_validate").is_some_and(|text| is_no(&text)),
            again: Some(!from("allow_duplicates").is_some_and(|text| is_no(&text))),
            public: from("public").map(|text| !is_no(&text)),
            ..RoleCall::default()
        };
        self.role(&call, &below)
    }

    /// Plans a role with its dependencies.
    pub(super) fn role(&mut self, call: &RoleCall, frame: &Arc<Frame>) -> Vec<PlanItem> {
        let Some((path, collection)) = self.find_role(call, frame) else {
            return vec![];
        };
        if let Some(chain) = needs_itself(&path, frame) {
            let message = "A recursion loop was detected with the roles specified. Make sure child roles do not have dependencies on parent roles";
            self.problems.push(in_circle(call, message).cause(chain));
            return vec![];
        }
        if self.circular {
            return vec![];
        }
        if self.depth >= MAX_DEPTH {
            self.circular = true;
            let message = format!("the role '{}' imports itself", call.name);
            self.problems.push(in_circle(call, &message));
            return vec![];
        }
        let meta = self
            .role_file(&path, "meta", "main")
            .map(|file| self.planner.files.role_meta(&file));
        let meta = match meta {
            Some(Ok(checked)) => Some(checked.collect(&mut self.problems)),
            Some(Err(problem)) => {
                self.problems.push(problem);
                None
            }
            None => None,
        };
        let own = || meta.as_ref().is_some_and(|meta| meta.allow_duplicates);
        let again = call.again.unwrap_or_else(own);
        self.depth += 1;
        let more = meta.as_ref().and_then(|meta| meta.collections.clone());
        let mut collections: Vec<String> = collection.iter().cloned().collect();
        collections.extend(more.iter().flat_map(names_in));
        self.planner.library.add_role(&path);
        let role = Arc::new(Role {
            again,
            ..self.read_role(call, &path, frame, (collection, collections))
        });
        if call.public.unwrap_or(!self.planner.private_roles) {
            self.roles.push(Arc::clone(&role));
        }
        let frame = Arc::new(Frame {
            parent: Some(Arc::clone(frame)),
            kind: FrameKind::Role,
            keywords: call.keywords.clone(),
            vars: Arc::new(call.vars.clone()),
            params: Arc::new(call.params.clone()),
            role: Some(Arc::clone(&role)),
            dir: path.join("tasks"),
            from: None,
        });
        let mut items = vec![];
        for dependency in meta.iter().flat_map(|meta| &meta.dependencies) {
            items.extend(self.role_entry(dependency, &frame));
        }
        if !call.unchecked {
            let specs = meta.and_then(|meta| meta.argument_specs);
            items.extend(self.role_check(call, &path, &frame, specs));
        }
        items.extend(self.role_tasks(call, &path, &frame));
        if !items.is_empty() {
            items.push(PlanItem::RoleDone(role));
        }
        self.depth -= 1;
        items
    }

    /// The task that checks a role's arguments, where there is a specification of its entry point.
    fn role_check(
        &mut self,
        call: &RoleCall,
        path: &Path,
        frame: &Arc<Frame>,
        written: Option<Node>,
    ) -> Vec<PlanItem> {
        let specs = match self.role_file(path, "meta", "argument_specs") {
            Some(file) => match self.planner.files.role_meta(&file) {
                Ok(checked) => checked.collect(&mut self.problems).argument_specs,
                Err(problem) => {
                    self.problems.push(problem);
                    None
                }
            },
            None => written,
        };
        let entry = call.tasks_from.as_deref().unwrap_or("main");
        let Some(spec) = specs.as_ref().and_then(|specs| specs.get(entry)) else {
            return vec![];
        };
        let role = frame.role.as_ref().map_or("", |role| role.name.as_str());
        let task = argument_check(spec, entry, role, path);
        self.task(&Arc::new(task), frame, false)
    }

    fn role_tasks(&mut self, call: &RoleCall, path: &Path, frame: &Arc<Frame>) -> Vec<PlanItem> {
        if let Some(file) = self.role_file(
            path,
            "handlers",
            call.handlers_from.as_deref().unwrap_or("main"),
        ) {
            let handlers = self.task_file(&file, frame, true, None);
            self.handlers.extend(super::opened(handlers));
        } else if let Some(wanted) = &call.handlers_from {
            self.problems.push(no_file(call, path, "handlers", wanted));
        }
        let wanted = call.tasks_from.as_deref().unwrap_or("main");
        match self.role_file(path, "tasks", wanted) {
            Some(file) => self.task_file(&file, frame, false, None),
            None if call.tasks_from.is_none() => vec![],
            None => {
                self.problems.push(no_file(call, path, "tasks", wanted));
                vec![]
            }
        }
    }

    fn read_role(
        &mut self,
        call: &RoleCall,
        path: &Path,
        frame: &Frame,
        (collection, collections): (Option<String>, Vec<String>),
    ) -> Role {
        let mut vars = |folder: &str, from: Option<&str>| {
            let mut all = VarMap::new();
            let files = role_vars_files(path, folder, from.unwrap_or("main"));
            if let Some(from) = from.filter(|_| files.is_empty()) {
                self.problems.push(no_file(call, path, folder, from));
            }
            for file in files {
                match self.planner.files.vars(&file) {
                    Ok(checked) => all.merge(checked.collect(&mut self.problems)),
                    Err(problem) => self.problems.push(problem),
                }
            }
            Arc::new(all)
        };
        let name = match &collection {
            // A role in a folder of roles is called by its own name where it is asked for in full.
            Some(own) => match call.name.strip_prefix(&format!("{own}.")) {
                Some(path) => format!("{own}.{}", path.rsplit('.').next().unwrap_or(path)),
                None => format!("{own}.{}", call.name),
            },
            None => call.name.clone(),
        };
        let mut parents = vec![];
        let dependency = frame.kind == FrameKind::Role;
        if let Some(parent) = &frame.role {
            if !dependency {
                parents.push((parent.name.clone(), parent.path.clone()));
            }
            parents.extend(parent.parents.iter().cloned());
        }
        static USES: AtomicU64 = AtomicU64::new(1);
        Role {
            number: USES.fetch_add(1, Ordering::Relaxed),
            name,
            collection,
            collections,
            dependency,
            path: path.to_path_buf(),
            defaults: vars("defaults", call.defaults_from.as_deref()),
            vars: vars("vars", call.vars_from.as_deref()),
            parents,
            key: identity(call, path, frame),
            again: false,
        }
    }

    /// The folder of a role and its collection, if a collection has it.
    fn in_collections(&self, name: &str, frame: &Frame) -> Option<(PathBuf, Option<String>)> {
        let known = &self.planner.collections;
        if let Some((collection, role)) = collections::split(name)
            && let Some(path) = known.role(collection, role, self.playbook_dir)
        {
            return Some((path, Some(collection.to_owned())));
        }
        if name.contains('/') {
            return None;
        }
        collections_of(frame).into_iter().find_map(|collection| {
            let path = known.role(&collection, name, self.playbook_dir)?;
            Some((path, Some(collection)))
        })
    }

    /// The folder of a role, and its collection: in collections, beside the playbook, in the
    /// configured paths, beside other roles.
    pub(super) fn find_role(
        &mut self,
        call: &RoleCall,
        frame: &Frame,
    ) -> Option<(PathBuf, Option<String>)> {
        if let Some(found) = self.in_collections(&call.name, frame) {
            return Some(found);
        }
        let mut places = vec![self.playbook_dir.join("roles")];
        places.extend(self.planner.roles_path.iter().cloned());
        places.push(self.playbook_dir.to_path_buf());
        places.extend(
            frame
                .role
                .as_ref()
                .and_then(|role| role.path.parent())
                .map(Path::to_path_buf),
        );
        let found = places
            .iter()
            .map(|place| place.join(&call.name))
            .find(|path| path.is_dir());
        let found = found.or_else(|| {
            Some(PathBuf::from(&call.name)).filter(|path| path.is_absolute() && path.is_dir())
        });
        if let Some(path) = found {
            return Some((path, None));
        }
        let searched: Vec<String> = places
            .iter()
            .map(|place| place.display().to_string())
            .collect();
        let message = format!(
            "The role '{}' was not found in: {}",
            call.name,
            searched.join(":")
        );
        let mut problem = Diagnostic::error("missing-role", message);
        if let Some(span) = &call.span {
            problem = problem.at(span);
        }
        let names: Vec<String> = places
            .iter()
            .flat_map(|place| folder_names(place))
            .collect();
        if let Some(near) = nearest(&call.name, names.iter().map(String::as_str)) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        self.problems.push(problem);
        None
    }

    fn role_file(&self, role: &Path, folder: &str, name: &str) -> Option<PathBuf> {
        role_vars_files(role, folder, name)
            .into_iter()
            .find(|path| path.is_file())
    }
}

/// A file of a role that a task names is not there.
fn no_file(call: &RoleCall, path: &Path, folder: &str, name: &str) -> Diagnostic {
    let message = match path.join(folder).is_dir() {
        true => format!("Could not find specified file in role: {folder}/{name}"),
        false => {
            format!("Could not find specified file in role, its '{folder}/' is not usable.")
        }
    };
    let mut problem = Diagnostic::error("missing-role-file", message);
    if let Some(span) = &call.span {
        problem = problem.at(span);
    }
    if let Some(near) = similar_file(&path.join(folder).join(name)) {
        problem = problem.hint(format!("did you mean `{near}`?"));
    }
    problem
}

/// The task that checks the arguments of a role's entry point.
fn argument_check(spec: &Node, entry: &str, role: &str, path: &Path) -> ast::Task {
    let node = |kind: NodeKind| Node {
        span: spec.span.clone(),
        kind,
    };
    let text = |text: &str| node(NodeKind::Unsafe(text.to_owned()));
    let options = spec.get("options").cloned();
    let options = options.unwrap_or_else(|| node(NodeKind::Map(vec![])));
    let path = path.display().to_string();
    let about = [
        ("argument_spec_name", entry),
        ("name", role),
        ("path", path.as_str()),
        ("type", "role"),
    ];
    let about = about.map(|(key, value)| (text(key), text(value)));
    let arg = |value: Node| ast::CallArg {
        key: spec.span.clone(),
        value,
    };
    let call = ast::Call {
        name: "ansible.builtin.validate_argument_spec".to_owned(),
        span: spec.span.clone(),
        args: [
            ("argument_spec".to_owned(), arg(options)),
            (
                "validate_args_context".to_owned(),
                arg(node(NodeKind::Map(about.to_vec()))),
            ),
        ]
        .into_iter()
        .collect(),
        free_form: None,
        args_template: None,
        local: false,
    };
    let short = spec.get("short_description").and_then(Node::as_str);
    let short = short.map_or_else(String::new, |short| format!(" - {short}"));
    let mut keywords = Keywords::new();
    let name = format!("Validating arguments against arg spec '{entry}'{short}");
    keywords.insert(Keyword::Name, text(&name));
    keywords.insert(Keyword::Tags, text("always"));
    ast::Task {
        span: spec.span.clone(),
        call,
        looping: None,
        keywords,
    }
}

fn is_no(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "no" | "false" | "off" | "0" | "n" | "f"
    )
}

/// Names in a text or a list of texts.
fn names_in(node: &Node) -> Vec<String> {
    match &node.kind {
        NodeKind::Seq(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => node.as_str().map(str::to_owned).into_iter().collect(),
    }
}

/// What makes two uses of a role one: its name, files, parameters and variables. Conditions and tags
/// count where an entry of `roles` has them; those of an import or include are of that task.
fn identity(call: &RoleCall, path: &Path, frame: &Frame) -> Arc<str> {
    let written: Vec<String> = [Keyword::When, Keyword::Tags]
        .iter()
        .filter_map(|keyword| call.keywords.get(keyword))
        .map(|node| Value::from_node(node).repr())
        .collect();
    let of_task = match frame.kind {
        FrameKind::Import => Some(&frame.vars),
        FrameKind::Include => Some(&frame.params),
        _ => None,
    };
    let texts = |vars: &VarMap| -> Vec<(String, String)> {
        let text = |(name, value): (&String, &Value)| (name.clone(), value.repr());
        vars.iter().map(text).collect()
    };
    let text = format!(
        "{} {} {written:?} {:?} {:?} {:?} {:?}",
        call.name,
        path.display(),
        texts(&call.params),
        texts(&call.vars),
        of_task.map(|vars| texts(vars)),
        (
            &call.tasks_from,
            &call.vars_from,
            &call.defaults_from,
            &call.handlers_from
        ),
    );
    text.into()
}

/// The files of a part of a role: `NAME.yml`, `NAME.yaml`, `NAME.json`, `NAME`, or all in the folder `NAME`.
fn role_vars_files(role: &Path, folder: &str, name: &str) -> Vec<PathBuf> {
    let base = role.join(folder);
    let file = ["", ".yml", ".yaml", ".json"]
        .iter()
        .map(|end| base.join(format!("{name}{end}")))
        .find(|path| path.is_file());
    if let Some(file) = file {
        return vec![file];
    }
    let dir = base.join(name);
    let mut files: Vec<PathBuf> = folder_names(&dir)
        .into_iter()
        .map(|name| dir.join(name))
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn folder_names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return vec![];
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The collections in which a short name of a role or a module is looked up.
pub(super) fn collections_of(frame: &Frame) -> Vec<String> {
    for frame in frame.chain() {
        if let (FrameKind::Role, Some(role)) = (frame.kind, &frame.role) {
            return role.collections.clone();
        }
        let own = match frame.kind {
            FrameKind::Play => collections::owner(&frame.dir.join("play")),
            _ => None,
        };
        let written = frame.keywords.get(&Keyword::Collections);
        if own.is_some() || written.is_some() {
            return own
                .into_iter()
                .chain(written.iter().flat_map(|node| names_in(node)))
                .collect();
        }
    }
    vec![]
}
