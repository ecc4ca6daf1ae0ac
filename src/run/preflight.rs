//! What is certain to fail is found before any host is touched: variables of the inventory whose
//! templates need something that nothing defines.
//!
//! Tasks are evaluated as the run would evaluate them, over a scope in which everything that the
//! run may still set is unknown. What depends on something unknown is not judged.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;

use super::looping::with_items;
use super::play::Batch;
use super::shared::VarsRoot;
use super::spec::TaskSpec;
use super::{PlannedPlay, PlannedPlaybook, Run};
use crate::diag::{Diagnostic, Span};
use crate::load::keyword::Keyword;
use crate::load::node::NodeKind;
use crate::plan::{PlanItem, PlanTask};
use crate::template::value::Value;
use crate::template::{Scope, TemplateError};
use crate::vars::{HostScope, Level, VarMap};

/// Actions after which any variable may be there.
const OPENING: &[&str] = &[
    "include_vars",
    "include_tasks",
    "include_role",
    "add_host",
    "group_by",
    "getent",
];

/// Names under `ansible_` that no fact can set.
const CONNECTION: &[&str] = &[
    "user",
    "host",
    "port",
    "password",
    "connection",
    "become",
    "ssh",
    "private_key_file",
];

/// Loops are followed for so many items.
const ITEMS: usize = 256;

/// A task that runs unless something fails before it.
struct Step {
    spec: TaskSpec,
    /// Whether a task before it may have set any variable.
    open: bool,
}

/// A scope before the run.
struct Forecast<'a> {
    scope: HostScope,
    expected: &'a HashSet<String>,
    open: bool,
}

impl Forecast<'_> {
    fn with(&self, vars: VarMap) -> Self {
        Self {
            scope: self.scope.with(Level::Loop, vars),
            ..*self
        }
    }
}

impl Scope for Forecast<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        if self.expected.contains(name) || matches!(name, "hostvars" | "vars" | "ansible_facts") {
            return Some(Value::unknown());
        }
        match self.scope.get(name) {
            None if self.open || may_be_fact(name) => Some(Value::unknown()),
            known => known,
        }
    }

    fn names(&self) -> Vec<String> {
        self.scope.names()
    }

    fn search_path(&self) -> Vec<std::path::PathBuf> {
        self.scope.search_path()
    }

    fn basedir(&self) -> std::path::PathBuf {
        self.scope.basedir()
    }

    fn forecast(&self) -> bool {
        true
    }
}

impl Run<'_> {
    /// The hosts that cannot get through, each with the reason. Nothing is run or printed.
    pub fn preflight(&mut self, playbooks: &[PlannedPlaybook]) -> IndexMap<String, Diagnostic> {
        self.muted = true;
        let plays = || playbooks.iter().flat_map(|playbook| &playbook.plays);
        let mut expected = HashSet::new();
        for play in plays() {
            expect(play, &mut expected);
        }
        let mut doomed = IndexMap::new();
        let mut open = false;
        for play in plays() {
            self.preflight_play(play, &expected, &mut open, &mut doomed);
        }
        self.muted = false;
        // What stops the run is told when the run comes to it.
        self.fault = None;
        doomed
    }

    fn preflight_play(
        &mut self,
        play: &PlannedPlay,
        expected: &HashSet<String>,
        open: &mut bool,
        doomed: &mut IndexMap<String, Diagnostic>,
    ) {
        self.look_beside(&play.dir);
        let mut early = self.early_scope(play);
        let shared = Arc::clone(&self.shared);
        let (templar, files) = (&shared.templar, &shared.planner.files);
        // The name of a host may stand in one; otherwise there may be no need to read them.
        let named = templar.is_template(&Value::from_node(&play.plan.play.hosts));
        let found = named.then(|| play.add_files(&mut early, templar, files));
        // A pattern that cannot be read is told when the play begins.
        let Ok(pattern) = play.pattern(templar, &early) else {
            return;
        };
        let pattern = pattern.hosts;
        let limit = self.shared.options.limit.clone();
        let inventory = &self.world.vars.inventory;
        let hosts = inventory.select_list(&pattern, limit.as_deref()).value;
        for host in &hosts {
            for problem in self.world.vars.broken(host).iter() {
                if !self.broken_files.contains(problem) {
                    self.broken_files.push(problem.clone());
                }
            }
        }
        let mut tasks = vec![];
        collect(&play.plan.items, open, &mut tasks);
        // Most inventories have plain values, and then there is nothing to find.
        let vars = &self.world.vars;
        let lazy = |host: &String| {
            let vars = vars.vars_of(host);
            vars.values().any(|raw| templar.is_template(raw))
        };
        // With other roots each task has variables of its own.
        if vars.rules.root != VarsRoot::Top || !hosts.iter().any(lazy) {
            return;
        }
        let steps: Vec<Step> = tasks
            .into_iter()
            .map(|(task, open)| Step {
                spec: TaskSpec::new(&task, files),
                open,
            })
            .filter(|step| step.spec.keyword(Keyword::IgnoreErrors).is_none())
            .collect();
        let Some(first) = steps.first() else { return };
        let mut state = Batch::new(play, "", &hosts, &hosts);
        let found = found.unwrap_or_else(|| play.add_files(&mut early, templar, files));
        let Some(files) = self.vars_files(found) else {
            return;
        };
        state.play_files = files;
        let magic = Arc::new(self.play_magic(&hosts, &hosts));
        for (index, host) in hosts.iter().enumerate() {
            let forecast = |run: &Self, step: &Step| Forecast {
                scope: run.task_scope(&state, &step.spec, host, &magic),
                expected,
                open: step.open,
            };
            let broken = self.broken(host, &forecast(self, first));
            if broken.is_empty() || doomed.contains_key(host) {
                continue;
            }
            let found = steps.iter().find_map(|step| {
                let elsewhere = index > 0 && step.spec.keyword(Keyword::RunOnce).is_some();
                let seen = forecast(self, step);
                let error = (!elsewhere).then(|| self.failure(&step.spec, &seen))??;
                let span = place(&error)?;
                let (variable, _) = broken.iter().find(|(_, known)| known == span)?;
                let mut problem = explained(host, variable, span, &error, &step.spec);
                super::explain::suggest(&mut problem, &seen);
                Some(problem)
            });
            doomed.extend(found.map(|problem| (host.clone(), problem)));
        }
    }

    /// The inventory's variables of a host that cannot be rendered, with the places at fault.
    fn broken(&self, host: &str, scope: &Forecast<'_>) -> Vec<(String, Span)> {
        let templar = &self.shared.templar;
        let vars = self.world.vars.vars_of(host);
        let templates = vars.iter().filter(|(_, raw)| templar.is_template(raw));
        templates
            .filter_map(|(name, raw)| {
                let error = templar.expand(raw, scope).err()?;
                Some((name.clone(), place(&error)?.clone()))
            })
            .collect()
    }

    /// Why a task certainly fails: the undefined variable it needs.
    fn failure(&self, spec: &TaskSpec, scope: &Forecast<'_>) -> Option<TemplateError> {
        let templar = &self.shared.templar;
        let Some((lookup, items, _)) = &spec.looping else {
            return self.failure_of_item(spec, scope);
        };
        let expanded = match lookup {
            None => templar.expand(items, scope),
            Some(name) => {
                let call = &spec.task.ast.call.name;
                with_items(templar, name, items, call, scope).map(Value::list)
            }
        };
        match expanded {
            Ok(Value::List(items)) => {
                let var = match spec.keyword(Keyword::LoopControl) {
                    Some(Value::Dict(control)) => control.get("loop_var"),
                    _ => None,
                };
                let var = var.map_or_else(|| "item".to_owned(), |name| name.to_string());
                items.to_vec().into_iter().take(ITEMS).find_map(|item| {
                    let inner = scope.with(VarMap::from([(var.clone(), item)]));
                    self.failure_of_item(spec, &inner)
                })
            }
            Ok(_) => None,
            // A task that is skipped anyway may loop over something undefined.
            Err(error) => match self.conditions(spec, scope) {
                Ok(true) => undefined(error),
                _ => None,
            },
        }
    }

    fn conditions(&self, spec: &TaskSpec, scope: &Forecast<'_>) -> Result<bool, TemplateError> {
        for (condition, _) in &spec.when {
            if !self.shared.templar.condition(condition, scope)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn failure_of_item(&self, spec: &TaskSpec, scope: &Forecast<'_>) -> Option<TemplateError> {
        let templar = &self.shared.templar;
        match self.conditions(spec, scope) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => return undefined(error),
        }
        if spec.action == "assert" {
            let (_, that) = spec.args.get("that")?;
            return templar.condition(that, scope).err().and_then(undefined);
        }
        let args = spec.args.iter().filter(|(name, _)| *name != "apply");
        args.map(|(_, (_, value))| value)
            .chain(&spec.free_form)
            .chain(&spec.args_template)
            .find_map(|value| templar.expand(value, scope).err().and_then(undefined))
    }
}

/// The names that the tasks of a play give to results and facts, and what it asks the user for.
fn expect(play: &PlannedPlay, names: &mut HashSet<String>) {
    let mut visit = |task: &PlanTask| {
        let call = &task.ast.call;
        let register = task.ast.keywords.get(&Keyword::Register);
        names.extend(register.and_then(|node| node.as_str()).map(str::to_owned));
        if crate::action::canonical(&call.name) == "set_fact" {
            names.extend(call.args.keys().cloned());
        }
    };
    each_task(&play.plan.items, &mut visit);
    each_task(&play.plan.handlers, &mut visit);
    let prompts = play.plan.play.keywords.get(&Keyword::VarsPrompt);
    if let Some(NodeKind::Seq(prompts)) = prompts.map(|node| &node.kind) {
        let name = |prompt| crate::load::node::Node::get(prompt, "name");
        let asked = prompts.iter().filter_map(|prompt| name(prompt)?.as_str());
        names.extend(asked.map(str::to_owned));
    }
}

fn each_task(items: &[PlanItem], visit: &mut impl FnMut(&PlanTask)) {
    for item in items {
        match item {
            PlanItem::Task(task) => visit(task),
            PlanItem::Block(block) => {
                each_task(&block.block, visit);
                each_task(&block.rescue, visit);
                each_task(&block.always, visit);
            }
            PlanItem::FlushHandlers | PlanItem::RoleDone(_) => {}
        }
    }
}

/// The tasks whose failure nothing catches, up to one that may end the play. Returns whether
/// there is such a one.
fn collect(items: &[PlanItem], open: &mut bool, tasks: &mut Vec<(Arc<PlanTask>, bool)>) -> bool {
    for item in items {
        match item {
            PlanItem::Task(task) => {
                let action = crate::action::canonical(&task.ast.call.name);
                if action == "meta" {
                    let what = task.ast.call.meta();
                    if what.is_none_or(|what| what.starts_with("end_")) {
                        return true;
                    }
                }
                tasks.push((Arc::clone(task), *open));
                *open |= opens(action);
            }
            PlanItem::Block(block) => {
                if block.rescue.is_empty() {
                    if collect(&block.block, open, tasks) {
                        return true;
                    }
                } else {
                    let mut visit = |task: &PlanTask| {
                        *open |= opens(crate::action::canonical(&task.ast.call.name));
                    };
                    each_task(&block.block, &mut visit);
                    each_task(&block.rescue, &mut visit);
                }
                if collect(&block.always, open, tasks) {
                    return true;
                }
            }
            PlanItem::FlushHandlers | PlanItem::RoleDone(_) => {}
        }
    }
    false
}

/// Whether any variable may be there after this action.
fn opens(action: &str) -> bool {
    OPENING.contains(&action) || action.ends_with("_facts") && action != "gather_facts"
}

/// Whether gathering facts may set the name.
fn may_be_fact(name: &str) -> bool {
    name.strip_prefix("ansible_").is_some_and(|name| {
        let first = name.split('_').next().unwrap_or(name);
        !CONNECTION
            .iter()
            .any(|known| *known == name || *known == first && first != "user")
    })
}

fn undefined(error: TemplateError) -> Option<TemplateError> {
    error.undefined.then_some(error)
}

/// Where something undefined was used.
fn place(error: &TemplateError) -> Option<&Span> {
    let label = error.diagnostic.labels.first();
    label.map(|label| &label.span).filter(|_| error.undefined)
}

fn explained(
    host: &str,
    variable: &str,
    span: &Span,
    error: &TemplateError,
    spec: &TaskSpec,
) -> Diagnostic {
    let cause = error
        .diagnostic
        .message
        .rsplit(": ")
        .next()
        .unwrap_or_default();
    let message = format!("`{variable}` of {host} cannot be rendered: {cause}");
    let task = match spec.keyword(Keyword::Name) {
        Some(name) => format!("the task `{name}` needs it"),
        None => "this task needs it".to_owned(),
    };
    Diagnostic::error("undefined-host-variable", message)
        .at(span)
        .label(spec.span(), task)
        .hint("define it in the inventory or with `-e`; nothing was done on this host")
}
