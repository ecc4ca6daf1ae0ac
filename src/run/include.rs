//! Sends hosts into the files and roles that `include_tasks` and `include_role` name.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use rplay_modules::data::Data;

use super::Run;
use super::cursor::Cursor;
use super::play::{Batch, problem_text};
use super::spec::TaskSpec;
use super::worker::ItemEffect;
use crate::action::Effect;
use crate::diag::{Checked, Diagnostic, Severity, Span};
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
        let mut parts: IndexMap<(String, usize), Result<Arc<Vec<PlanItem>>, Diagnostic>> =
            IndexMap::new();
        let mut announced: IndexMap<(String, Option<String>), Vec<String>> = IndexMap::new();
        let mut wanted: Vec<(String, BTreeSet<usize>)> = vec![];
        for Inclusion {
            host,
            task,
            effects,
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
                        let read = self.read_part(state, spec, one, &host);
                        parts.insert_full(key, read).0
                    }
                };
                own.insert(place);
            }
            let failed = own.iter().find_map(|place| parts[*place].as_ref().err());
            if let Some(problem) = failed.cloned() {
                self.unread(state, task, &host, &problem);
                continue;
            }
            for one in &effects {
                let label = one
                    .label
                    .as_ref()
                    .map(|label| Value::from_data(label).to_string());
                announced
                    .entry((include_name(&one.effect), label))
                    .or_default()
                    .push(host.clone());
            }
            wanted.push((host, own));
        }
        let parts: Vec<Arc<Vec<PlanItem>>> =
            parts.into_values().map(Result::unwrap_or_default).collect();
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
            if let Some(cursor) = state.cursors.get_mut(&host) {
                cursor.include(list);
            }
        }
        for ((name, label), hosts) in announced {
            let label = label.map(Data::Str);
            self.emit(Event::Included { name, hosts, label });
        }
    }

    /// A host fails because what it includes cannot be read; it goes on in `rescue`.
    fn unread(&mut self, state: &mut Batch<'_>, id: usize, host: &str, problem: &Diagnostic) {
        self.message(MessageKind::TaskError, problem_text(problem));
        // The task was counted as done; it is not.
        self.count(host, |counts| {
            counts.ok = counts.ok.saturating_sub(1);
            counts.failed += 1;
        });
        self.emit(Event::TaskDone {
            task: id,
            host: host.to_owned(),
            delegated_to: None,
            status: Status::Failed,
            ignored: false,
            looped: false,
            result: rplay_modules::map! { "changed" => false, "msg" => problem.message.as_str() },
            diff: vec![],
        });
        let rescued = state.cursors.get_mut(host).is_some_and(Cursor::fail);
        if !rescued {
            self.host_failed(host);
        }
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
                    .map(|node| crate::plan::to_vars(node, &self.shared.planner.files, &mut vec![]))
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
        let magic = Arc::new(self.play_magic(state.play, &state.hosts, &state.batch));
        let scope = self.task_scope(state, spec, host, &magic);
        match &one.effect {
            Effect::IncludeTasks { file, .. } => {
                self.shared
                    .planner
                    .include(file, &frame, task.handler, &dir, &scope)
            }
            Effect::IncludeRole { call, public, .. } => {
                let mut call = call.clone();
                call.known = state.role_names.iter().any(|(name, _)| *name == call.name);
                let checked = self
                    .shared
                    .planner
                    .include_role(&call, &frame, &dir, &scope);
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
