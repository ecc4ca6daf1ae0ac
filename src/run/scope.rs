//! What tasks see: variables in their levels, values of keywords, names for views.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexSet;
use rplay_modules::data::{Data, Map};

use super::context::to_bool;
use super::play::Batch;
use super::spec::TaskSpec;
use super::{PlannedPlay, Run};
use crate::diag::Span;
use crate::load::keyword::Keyword;
use crate::plan::{Frame, Role};
use crate::report::event::TaskInfo;
use crate::secrets::STARS;
use crate::template::value::{Value, has_delimiters};
use crate::vars::{HostScope, Level, VarMap, reserved_name};

impl Run<'_> {
    pub(super) fn early_scope(&self, play: &PlannedPlay) -> HostScope {
        let mut magic = (*self.world.magic).clone();
        magic.extend(self.play_magic(&[], &[]));
        let mut scope = play.early_scope(&self.world.extra, &Arc::new(magic));
        scope.push(Level::PlayPrompt, &self.prompted);
        scope
    }

    pub(super) fn play_value(
        &self,
        play: &PlannedPlay,
        keyword: Keyword,
        scope: &HostScope,
    ) -> Option<Value> {
        let node = play.plan.play.keywords.get(&keyword)?;
        self.shared
            .templar
            .expand(
                &crate::plan::unlocked(node, self.shared.templar.secrets()),
                scope,
            )
            .ok()
    }

    pub(super) fn play_text(
        &self,
        play: &PlannedPlay,
        keyword: Keyword,
        scope: &HostScope,
    ) -> Option<String> {
        self.play_value(play, keyword, scope)
            .filter(|value| !matches!(value, Value::None))
            .map(|value| value.to_string())
    }

    pub(super) fn play_flag(
        &self,
        play: &PlannedPlay,
        keyword: Keyword,
        scope: &HostScope,
    ) -> Option<bool> {
        self.play_value(play, keyword, scope)
            .as_ref()
            .and_then(to_bool)
    }

    pub(super) fn flag(&self, spec: &TaskSpec, keyword: Keyword, scope: &HostScope) -> bool {
        let Some(raw) = spec.keyword(keyword) else {
            return keyword == Keyword::NoLog && self.shared.config.bool("no_log");
        };
        self.shared
            .templar
            .expand(raw, scope)
            .ok()
            .as_ref()
            .and_then(to_bool)
            .unwrap_or(false)
    }

    /// How views name a task.
    pub(super) fn info(&self, spec: &TaskSpec, id: usize, scope: &HostScope) -> TaskInfo {
        let name = spec.keyword(Keyword::Name).map(|raw| {
            let (name, warning) = self.shared.templar.told(raw, scope);
            warning
                .into_iter()
                .for_each(|one| self.shared.templar.note(one));
            name
        });
        let name = name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| unnamed(spec));
        let role = spec.task.frame.role.as_ref().map(|role| role.name.clone());
        // Ansible tells an `include_role` without the role that it stands in.
        let heading = role.as_ref().filter(|_| spec.action != "include_role");
        let name = match heading {
            Some(role) => format!("{role} : {name}"),
            None => name,
        };
        let check = match spec.keyword(Keyword::CheckMode) {
            Some(raw) => self
                .shared
                .templar
                .expand(raw, scope)
                .ok()
                .as_ref()
                .and_then(to_bool)
                .unwrap_or(false),
            None => self.shared.options.check,
        };
        TaskInfo {
            id,
            name,
            action: self.shown_action(spec, scope),
            path: place(spec.span()),
            role,
            handler: spec.task.handler,
            check,
            args: (!self.flag(spec, Keyword::NoLog, scope)).then(|| written_arguments(spec)),
        }
    }

    /// The action as it was written, or what its template comes to.
    fn shown_action(&self, spec: &TaskSpec, scope: &HostScope) -> String {
        let call = &spec.task.ast.call;
        if !has_delimiters(&call.name) {
            return call.name.clone();
        }
        let raw = Value::template(call.name.as_str(), Some(call.span.clone()));
        let name = self.shared.templar.expand(&raw, scope);
        name.map_or_else(|_| call.name.clone(), |name| name.to_string())
    }

    /// The variables of a task on a host.
    pub(super) fn task_scope(
        &self,
        state: &Batch<'_>,
        spec: &TaskSpec,
        host: &str,
        magic: &Arc<VarMap>,
    ) -> HostScope {
        let frame = &spec.task.frame;
        let place = || Surroundings::new(spec, &state.play.dir);
        let around = spec.surroundings.get_or_init(place);
        // The last place is the playbook's.
        let own = around
            .search_path
            .split_last()
            .map_or(&[][..], |(_, own)| own);
        let folders = self.world.vars.rules.root.folders(own);
        let base = self.world.base_for(host, folders);
        let mut scope = base.with_search_path(&around.search_path);
        scope.push(Level::Magic, magic);
        scope.push(Level::PlayVars, &state.play.vars);
        scope.push(Level::PlayPrompt, &self.prompted);
        self.push_play_files(state, &mut scope);
        for role in &state.roles {
            scope.push(Level::RoleDefaults, &role.defaults);
            scope.push(Level::RoleVars, &role.vars);
        }
        frame.push_vars(&mut scope);
        scope.push(Level::TaskVars, &spec.vars);
        scope.push(Level::Magic, &around.magic);
        self.note_reserved(&scope);
        let connection = super::target::connection_vars(&self.shared, spec, &scope, host);
        scope.push(Level::Connection, &Arc::new(connection));
        scope
    }

    /// Tells of the reserved names among the variables of a play and its roles.
    pub(super) fn note_play(&self, play: &PlannedPlay) {
        let (extra, magic) = (&self.world.extra, &self.world.magic);
        let mut scope = crate::plan::early_scope(extra, &play.vars, magic, &play.dir);
        self.note_reserved(&scope);
        // Role after role, in the order in which the play names them.
        for role in &play.plan.roles {
            scope.push(Level::RoleDefaults, &role.defaults);
            scope.push(Level::RoleVars, &role.vars);
            self.note_reserved(&scope);
        }
    }

    /// Tells of variables whose names mean something else.
    pub(super) fn note_reserved(&self, scope: &HostScope) {
        for (name, place) in scope.reserved() {
            self.shared.templar.note(reserved_name(name, place));
        }
    }

    /// Names that every task of the batch sees now.
    pub(super) fn batch_magic(&self, state: &Batch<'_>) -> Arc<VarMap> {
        let mut magic = self.play_magic(&state.hosts, &state.batch);
        magic.insert(
            "ansible_play_name".to_owned(),
            Value::str(state.name.as_str()),
        );
        magic.extend(role_names(&state.role_names));
        Arc::new(magic)
    }
}

/// What a task sees of its own place, the same on all hosts.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// Names of its role, its environment and the folders of its files.
    magic: Arc<VarMap>,
    search_path: Arc<Vec<PathBuf>>,
}

impl Surroundings {
    fn new(spec: &TaskSpec, playbook_dir: &Path) -> Self {
        let frame = &spec.task.frame;
        let search_path = search_path(frame, playbook_dir);
        let mut own = VarMap::new();
        if let Some(role) = &frame.role {
            let short = match &role.collection {
                Some(collection) => &role.name[collection.len() + 1..],
                None => role.name.as_str(),
            };
            own.insert("role_name".to_owned(), Value::str(short));
            let collection = role.collection.as_deref();
            own.insert(
                "ansible_collection_name".to_owned(),
                collection.map_or(Value::None, Value::str),
            );
            own.insert(
                "ansible_role_name".to_owned(),
                Value::str(role.name.as_str()),
            );
            own.insert(
                "role_path".to_owned(),
                Value::str(role.path.display().to_string()),
            );
            let id = format!("72706c61-7900-4000-8000-{:012x}", role.number);
            own.insert("role_uuid".to_owned(), Value::from(id));
            if !role.parents.is_empty() {
                let (names, paths) = role
                    .parents
                    .iter()
                    .map(|(name, path)| {
                        let path = path.display().to_string();
                        (Value::str(name.as_str()), Value::str(path))
                    })
                    .unzip();
                own.insert("ansible_parent_role_names".to_owned(), Value::list(names));
                own.insert("ansible_parent_role_paths".to_owned(), Value::list(paths));
            }
        }
        let environment = spec.environment.iter().flat_map(|one| match one {
            Value::List(parts) => parts.to_vec(),
            one => vec![one.clone()],
        });
        own.insert("environment".to_owned(), Value::list(environment.collect()));
        let places = search_path
            .iter()
            .map(|path| path.display().to_string())
            .collect::<IndexSet<_>>()
            .into_iter()
            .map(Value::str);
        own.insert(
            "ansible_search_path".to_owned(),
            Value::list(places.collect()),
        );
        Self {
            magic: Arc::new(own),
            search_path: Arc::new(search_path),
        }
    }
}

/// What banners show for a task without a name: an included role as it was written.
fn unnamed(spec: &TaskSpec) -> String {
    let call = &spec.task.ast.call;
    let role = call.args.get("name").or_else(|| call.args.get("role"));
    let role = role.filter(|_| spec.action == "include_role");
    match role.and_then(|arg| arg.value.as_str()) {
        Some(role) => format!("{} : {role}", call.name),
        None => call.name.clone(),
    }
}

/// `path:line`, as views name places.
pub(super) fn place(span: &Span) -> String {
    format!("{}:{}", span.path().display(), span.line_column().0)
}

/// The arguments of a task as they were written, its text in one piece under `_raw_params`.
fn written_arguments(spec: &TaskSpec) -> Map {
    let named = spec
        .args
        .iter()
        .map(|(name, (_, value))| (name.as_str(), value));
    let text = spec.free_form.iter().map(|text| ("_raw_params", text));
    let module = rplay_modules::registry::find(&spec.action);
    let hidden = |name: &str| {
        let mut args = module.into_iter().flat_map(|module| module.args);
        args.any(|arg| arg.secret && arg.answers_to(name))
    };
    named
        .chain(text)
        .filter_map(|(name, value)| {
            let value = match hidden(name) {
                true => Data::from(STARS),
                false => value.to_data().ok()?,
            };
            Some((name.to_owned(), value))
        })
        .collect()
}

/// Where a task's files are looked for: its role, the folder of its file, the playbook.
fn search_path(frame: &Frame, playbook_dir: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = vec![];
    for role in frame.chain().filter_map(|one| one.role.as_ref()) {
        if !places.contains(&role.path) {
            places.push(role.path.clone());
        }
    }
    places.push(frame.dir.clone());
    places.push(playbook_dir.to_path_buf());
    places
}

/// Roles by name, and whether a play, import or include names them: others are dependencies.
pub(super) fn name_roles(roles: &[Arc<Role>]) -> Vec<(String, bool)> {
    let named = roles
        .iter()
        .map(|role| (role.name.clone(), !role.dependency));
    named.collect()
}

/// The magic names of a play's roles: all, those that it names, those that other roles need.
///
/// What the play names is a list in which each inclusion counts; the others have each name once.
fn role_names(roles: &[(String, bool)]) -> VarMap {
    let list = |names: &mut dyn Iterator<Item = &String>| {
        Value::list(names.map(|name| Value::str(name.as_str())).collect())
    };
    let once = |wanted: &dyn Fn(bool) -> bool| {
        let names = roles.iter().filter(|(_, direct)| wanted(*direct));
        let names: IndexSet<&String> = names.map(|(name, _)| name).collect();
        list(&mut names.into_iter())
    };
    let named = roles.iter().filter(|(_, direct)| *direct);
    let direct = list(&mut named.map(|(name, _)| name));
    VarMap::from([
        ("ansible_role_names".to_owned(), once(&|_| true)),
        ("ansible_play_role_names".to_owned(), direct.clone()),
        ("role_names".to_owned(), direct),
        (
            "ansible_dependent_role_names".to_owned(),
            once(&|direct| !direct),
        ),
    ])
}
