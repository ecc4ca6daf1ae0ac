//! What check mode cannot know: results of tasks that it does not run, and all that depends on them.
//!
//! A command that check mode skips leaves an empty result. A later task that asks for it is told
//! with the task that was not run, and what only fails because of it is skipped.

use std::sync::{Arc, OnceLock};

use rplay_modules::map;

use super::looping::with_items;
use super::scope::place;
use super::spec::TaskSpec;
use super::worker::{ItemResult, Worker, shown_name};
use crate::diag::Diagnostic;
use crate::load::keyword::Keyword;
use crate::report::event;
use crate::template::value::Value;
use crate::template::{Scope, TemplateError};
use crate::vars::{HostScope, NotRun};

/// Keywords in whose values a result may be asked for; a task's own result is no older one.
const KEYWORDS: &[Keyword] = &[Keyword::DelegateTo, Keyword::BecomeUser];

/// Those whose values are conditions.
const CONDITIONS: &[Keyword] = &[Keyword::ChangedWhen, Keyword::FailedWhen, Keyword::Until];

/// A scope in which the results of tasks that were not run are unknown.
pub(crate) struct Look<'a> {
    scope: &'a HostScope,
    /// The name under which the task keeps its own result.
    own: Option<&'a str>,
    /// The task whose result was asked for first.
    met: OnceLock<Arc<NotRun>>,
}

/// Evaluates something as it would be without the results of tasks that were not run: what comes
/// of it, and the task without which nothing can. `None` where everything is known.
pub(crate) fn look<T>(
    scope: &HostScope,
    spec: &TaskSpec,
    evaluate: impl FnOnce(&Look<'_>) -> Result<T, TemplateError>,
) -> Option<(Result<T, TemplateError>, Option<Arc<NotRun>>)> {
    if !scope.has_unknown() {
        return None;
    }
    let look = Look {
        scope,
        own: spec.keyword(Keyword::Register).and_then(Value::as_str),
        met: OnceLock::new(),
    };
    let evaluated = evaluate(&look);
    let cause = look.met.into_inner().filter(|_| evaluated.is_err());
    Some((evaluated, cause))
}

impl Scope for Look<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let unknown = self.scope.not_run(name).filter(|_| self.own != Some(name));
        let Some(task) = unknown else {
            return self.scope.get(name);
        };
        self.met.get_or_init(|| Arc::clone(task));
        Some(Value::not_known())
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

/// The task that was not run, as events tell it.
pub(super) fn told_unknown(cause: &NotRun) -> event::Unknown {
    event::Unknown {
        task: cause.task.clone(),
        path: place(&cause.place),
    }
}

impl Worker<'_> {
    /// The task that was not run on whose result the items of the loop depend.
    pub(super) fn unknown_items(&self, scope: &HostScope) -> Option<Arc<NotRun>> {
        let spec = &self.job.spec;
        let (lookup, items, _) = spec.looping.as_ref()?;
        let templar = &self.run.templar;
        let expand = |look: &Look<'_>| match lookup {
            None => templar.expand(items, look).map(drop),
            Some(name) => {
                let call = &spec.task.ast.call.name;
                with_items(templar, name, items, call, look).map(drop)
            }
        };
        look(scope, spec, expand)?.1
    }

    /// The task that was not run on whose result it depends whether this one runs.
    pub(super) fn unknown_condition(&self, scope: &HostScope) -> Option<Arc<NotRun>> {
        let spec = &self.job.spec;
        for (condition, _) in &spec.when {
            let holds = |look: &Look<'_>| self.run.templar.condition(condition, look);
            match look(scope, spec, holds)? {
                (Ok(true), _) => {}
                (_, cause) => return cause,
            }
        }
        None
    }

    /// The task that was not run on whose result it depends what this one does.
    pub(super) fn unknown_work(&self, scope: &HostScope) -> Option<Arc<NotRun>> {
        if !scope.has_unknown() {
            return None;
        }
        let spec = &self.job.spec;
        let templar = &self.run.templar;
        let args = spec.args.iter().map(|(_, (_, value))| value);
        let keywords = KEYWORDS.iter().filter_map(|name| spec.keyword(*name));
        let mut values = args
            .chain(&spec.free_form)
            .chain(&spec.args_template)
            .chain(&spec.environment)
            .chain(keywords);
        let that = spec.args.get("that").map(|(_, that)| that);
        let conditions = CONDITIONS.iter().filter_map(|name| spec.keyword(*name));
        let mut conditions = conditions.chain(that.filter(|_| spec.action == "assert"));
        values
            .find_map(|value| look(scope, spec, |look| templar.expand(value, look))?.1)
            .or_else(|| {
                conditions.find_map(|one| look(scope, spec, |look| templar.condition(one, look))?.1)
            })
    }

    /// This task as one that was not run.
    pub(super) fn not_run(&self, scope: &HostScope) -> Arc<NotRun> {
        let spec = &self.job.spec;
        let name = spec.keyword(Keyword::Name);
        let name = name.map_or_else(String::new, |raw| shown_name(self.run, raw, scope));
        let task = match name.is_empty() {
            true => spec.action.clone(),
            false => name,
        };
        let place = spec.span().clone();
        Arc::new(NotRun { task, place })
    }

    /// Tells that what this task does is unknown.
    pub(super) fn note_unknown(&self, cause: &NotRun) {
        let text = format!(
            "Check mode cannot know what this task does: it depends on the task '{}', which check mode does not run.",
            cause.task
        );
        let warning = Diagnostic::warning("not-known-in-check-mode", text);
        let warning = warning
            .at(self.job.spec.span())
            .label(&cause.place, "this task is not run");
        self.run.templar.note(warning);
    }

    /// Marks a result that depends on what check mode does not know.
    pub(super) fn doubt(&self, one: ItemResult, cause: Arc<NotRun>) -> ItemResult {
        if one.failed && !one.unreachable {
            return self.skip_unknown(cause);
        }
        // What is only shown changes nothing.
        if self.job.spec.action != "debug" {
            self.note_unknown(&cause);
        }
        ItemResult {
            unknown: one.unknown.or(Some(cause)),
            ..one
        }
    }

    /// The result in place of a failure that only comes from what check mode does not know.
    pub(super) fn skip_unknown(&self, cause: Arc<NotRun>) -> ItemResult {
        self.note_unknown(&cause);
        let text = format!(
            "Unknown because of the task '{}', which check mode does not run",
            cause.task
        );
        ItemResult {
            skipped: true,
            result: map! { "changed" => false, "msg" => text },
            unknown: Some(cause),
            ..ItemResult::default()
        }
    }
}
