//! Sends hosts into the files and roles that `include_tasks` and `include_role` name.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use rplay_modules::data::Data;

use super::Run;
use super::again::again;
use super::play::{Batch, problem_text};
use super::spec::TaskSpec;
use super::worker::ItemEffect;
use crate::action::Effect;
use crate::diag::{Checked, Diagnostic, Severity, Span, similar_file};
use crate::load::keyword::Keyword;
use crate::plan::{Frame, FrameKind, PlanBlock, PlanItem};
use crate::report::event::{Event, MessageKind, Status};
use crate::template::value::Value;

/// What the task of a host asked to include.
pub(super) struct Inclusion {
    pub(super) host: String,
    /// The number of the task in its events.
    pub(super) task: usize,
    pub(super) effects: Vec<ItemEffect>,
    /// A former run did it already.
    pub(super) again: bool,
}

impl Run<'_> {
    /// Reads what `include_tasks` and `include_role` named, and sends the hosts there.
    pub(super) fn include(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        includes: Vec<Inclusion>,
    ) {
        // Hosts that include the same thing share its tasks, so that they go on side by side.
        let mut parts: IndexMap<(String, usize), Part> = IndexMap::new();
        let mut wanted: Vec<(String, BTreeSet<usize>)> = vec![];
        let known = includes.iter().all(|one| one.again);
        for Inclusion {
            host,
            task,
            effects,
            ..
        } in includes
        {
            let mut own = BTreeSet::new();
            let mut times: HashMap<String, usize> = HashMap::new();
            for one in &effects {
                let text = format!("{:?} {:?}", one.effect, one.vars);
                let time = times.entry(text.clone()).or_default();
                *time += 1;
                let key = (text, *time);
                let place = match parts.get_index_of(&key) {
                    Some(place) => place,
                    None => {
                        let part = Part {
                            read: self.read_part(state, spec, one, &host),
                            name: include_name(&one.effect),
                            label: one.label.clone(),
                            hosts: vec![],
                        };
                        parts.insert_full(key, part).0
                    }
                };
                parts[place].hosts.push((host.clone(), task));
                own.insert(place);
            }
            wanted.push((host, own));
        }
        let parts: Vec<Part> = parts.into_values().collect();
        let lost = self.tell_parts(spec, &parts, known);
        let parts: Vec<Arc<Vec<PlanItem>>> = parts
            .into_iter()
            .map(|part| part.read.unwrap_or_default())
            .collect();
        let mut lists: HashMap<BTreeSet<usize>, Arc<Vec<PlanItem>>> = HashMap::new();
        for (host, own) in wanted {
            let list = match lists.get(&own) {
                Some(list) => Arc::clone(list),
                None => {
                    let list = chosen(&parts, &own);
                    lists.insert(own, Arc::clone(&list));
                    list
                }
            };
            let Some(cursor) = state.cursors.get_mut(&host) else {
                continue;
            };
            if !lost.contains(&host) {
                cursor.include(list);
                continue;
            }
            if cursor.fail() {
                cursor.begin_with(list);
                self.dropped.insert(host);
            } else {
                self.host_failed(&host);
            }
        }
    }

    /// Tells what is included, and what cannot be read, in the order of the items. Returns the hosts
    /// that fail for it. What is `known` is not shown.
    fn tell_parts(&mut self, spec: &TaskSpec, parts: &[Part], known: bool) -> BTreeSet<String> {
        let mut lost = BTreeSet::new();
        let label = |part: &Part| {
            let label = part.label.as_ref();
            label.map(|one| Value::from_data(one).to_string())
        };
        let labels: Vec<Option<String>> = parts.iter().map(label).collect();
        // Equal lines are one, for all hosts.
        let mut told: HashMap<(&str, Option<&str>), Vec<String>> = HashMap::new();
        for (part, label) in parts.iter().zip(&labels) {
            if part.read.is_ok() {
                let hosts = part.hosts.iter().map(|(host, _)| host.clone());
                let all = told.entry((&part.name, label.as_deref())).or_default();
                all.extend(hosts);
            }
        }
        for (part, label) in parts.iter().zip(&labels) {
            match &part.read {
                Ok(_) => {
                    if let Some(hosts) = told.remove(&(&*part.name, label.as_deref())) {
                        let (name, label) = (part.name.clone(), label.clone().map(Data::Str));
                        let event = Event::Included { name, hosts, label };
                        self.emit(if known { again(event) } else { event });
                    }
                }
                Err(problem) => {
                    let mut text = problem_text(problem);
                    text.push_str(&super::explain::included(&spec.task.frame));
                    self.message(MessageKind::TaskError, text);
                    for (host, id) in &part.hosts {
                        self.unread(host, *id, part.label.is_some(), problem);
                        lost.insert(host.clone());
                    }
                }
            }
        }
        lost
    }

    /// A host cannot read what it includes.
    fn unread(&mut self, host: &str, id: usize, looped: bool, problem: &Diagnostic) {
        // The item was counted as done; it is not.
        self.count(host, |counts| {
            counts.ok = counts.ok.saturating_sub(1);
            counts.failed += 1;
        });
        let message = problem.message.as_str();
        let message = message.strip_suffix(REMOTE_SRC).unwrap_or(message);
        let mut result = rplay_modules::map! { "changed" => false, "msg" => message };
        if looped {
            // Of a loop views tell the items.
            result.insert("results".to_owned(), Data::List(vec![]));
        }
        self.emit(Event::TaskDone {
            task: id,
            host: host.to_owned(),
            delegated_to: None,
            status: Status::Failed,
            ignored: false,
            looped,
            result,
            diff: vec![],
            unknown: None,
        });
    }

    fn read_part(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        one: &ItemEffect,
        host: &str,
    ) -> Result<Arc<Vec<PlanItem>>, Diagnostic> {
        let Checked { value, problems } = self.read_include(state, spec, one, host);
        let mut failed = None;
        for problem in problems {
            if problem.severity == Severity::Error && failed.is_none() {
                failed = Some(problem);
            } else {
                self.tell_problem(&problem);
            }
        }
        failed.map_or(Ok(Arc::new(value)), Err)
    }

    fn read_include(
        &mut self,
        state: &mut Batch<'_>,
        spec: &Arc<TaskSpec>,
        one: &ItemEffect,
        host: &str,
    ) -> Checked<Vec<PlanItem>> {
        let task = &spec.task;
        let mut params = one.vars.clone();
        let dir: PathBuf = state.play.dir.clone();
        let apply = task.ast.call.args.get("apply").map(|arg| &arg.value);
        let mut keywords = crate::action::applied(apply);
        // Conditions and loops of the include were decided; its other keywords are its own.
        keywords.shift_remove(&Keyword::Name);
        let (Effect::IncludeTasks { vars, .. } | Effect::IncludeRole { vars, .. }) = &one.effect
        else {
            return Checked::ok(vec![]);
        };
        params.extend(vars.clone());
        let frame = Arc::new(Frame {
            parent: Some(Arc::clone(&task.frame)),
            kind: FrameKind::Include,
            vars: Arc::new(
                keywords
                    .get(&Keyword::Vars)
                    .map(|node| crate::plan::to_vars(node, &self.shared.planner.files))
                    .unwrap_or_default(),
            ),
            keywords,
            params: Arc::new(params),
            role: task.frame.role.clone(),
            dir: task.frame.dir.clone(),
            from: Some(task.ast.span.clone()),
        });
        if frame.origins().count() > MAX_INCLUDED {
            return endless(&frame);
        }
        let magic = Arc::new(self.play_magic(&state.hosts, &state.batch));
        let scope = self.task_scope(state, spec, host, &magic);
        match &one.effect {
            Effect::IncludeTasks { file, .. } if !file.is_file() => Checked {
                value: vec![],
                problems: vec![no_task_file(file, spec)],
            },
            Effect::IncludeTasks { file, .. } => {
                self.shared
                    .planner
                    .include(file, &frame, task.handler, &dir, &scope)
            }
            Effect::IncludeRole { call, public, .. } => {
                let checked = self.shared.planner.include_role(call, &frame, &dir, &scope);
                // What a role imports is known before itself.
                let mut named = super::scope::name_roles(&checked.value.roles);
                named.sort_by_key(|(name, direct)| *direct && *name == call.name);
                state.role_names.extend(named);
                if *public {
                    state.roles.extend(checked.value.roles.iter().cloned());
                }
                if !checked.value.handlers.is_empty() {
                    let mut handlers = (*state.handlers).clone();
                    handlers.extend(checked.value.handlers);
                    state.handlers = Arc::new(handlers);
                }
                Checked {
                    value: checked.value.items,
                    problems: checked.problems,
                }
            }
            _ => Checked::ok(vec![]),
        }
    }
}

/// What an item of an include comes to, and for whom.
struct Part {
    read: Result<Arc<Vec<PlanItem>>, Diagnostic>,
    name: String,
    label: Option<Data>,
    /// Hosts, with the numbers of their tasks.
    hosts: Vec<(String, usize)>,
}

/// What Ansible says of every file that is not there, in the end.
const REMOTE_SRC: &str = " If you are using a module and expect the file to exist on the remote, see the remote_src option.";

/// The file that `include_tasks` names is not there.
fn no_task_file(file: &Path, spec: &TaskSpec) -> Diagnostic {
    let path = file.display();
    let message = format!(
        "Unable to retrieve file contents. Could not find or access '{path}' on the Ansible Controller: \
         [Errno 2] No such file or directory: '{path}'{REMOTE_SRC}"
    );
    let problem = Diagnostic::error("missing-file", message).at(spec.span());
    match similar_file(file) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// Files included by one another more deeply than this never end. It is deeper than Ansible can go.
const MAX_INCLUDED: usize = 500;

/// Includes that never end, with the last of them.
fn endless(frame: &Frame) -> Checked<Vec<PlanItem>> {
    let message = format!("files include each other without end: {MAX_INCLUDED} times");
    let mut problem = Diagnostic::error("include-cycle", message);
    let mut files: Vec<&Span> = vec![];
    for place in frame.origins() {
        if files.contains(&place) {
            break;
        }
        files.push(place);
    }
    for place in files {
        let remark = if problem.labels.is_empty() {
            ""
        } else {
            "included at"
        };
        problem = problem.label(place, remark);
    }
    Checked {
        value: vec![],
        problems: vec![problem.hint("a condition has to end it: `when`")],
    }
}

/// What a host runs of all that a task includes: at one place for all hosts, so that those that
/// include it go through it together.
fn chosen(parts: &[Arc<Vec<PlanItem>>], own: &BTreeSet<usize>) -> Arc<Vec<PlanItem>> {
    if let [only] = parts {
        return Arc::clone(only);
    }
    let block = |part: &Arc<Vec<PlanItem>>| {
        PlanItem::Block(Arc::new(PlanBlock {
            block: Arc::clone(part),
            rescue: Arc::default(),
            always: Arc::default(),
        }))
    };
    let nothing = block(&Arc::default());
    let places = parts.iter().enumerate();
    let chosen = places.map(|(place, part)| match own.contains(&place) {
        true => block(part),
        false => nothing.clone(),
    });
    Arc::new(chosen.collect())
}

/// What the `included:` line shows.
fn include_name(effect: &Effect) -> String {
    match effect {
        Effect::IncludeTasks { file, .. } => file.display().to_string(),
        Effect::IncludeRole { call, .. } => call.name.clone(),
        _ => String::new(),
    }
}
