//! Names that need the controller: what they do before, instead of, or after a module's work.

pub(crate) mod address;
mod argspec;
mod assemble;
pub(crate) mod background;
mod copy;
pub(crate) mod docker;
mod engine;
mod facts;
mod fetch;
mod include;
pub(crate) use include::applied;
pub(crate) mod kubernetes;
mod module;
mod programs;
pub(crate) mod reboot;
mod script;
mod synchronize;
pub(crate) mod table;
mod template;
mod unarchive;
mod vars;
mod wait;

use rplay_modules::data::{Data, Map};
use rplay_modules::map;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::connect::LinkError;
use crate::diag::{Diagnostic, Span};
use crate::run::context::Context;
use crate::template::TemplateError;
use crate::vars::VarMap;

pub use crate::load::actions::short as canonical;

/// What came of running a task once (for one item).
#[derive(Clone, Debug, Default)]
pub(crate) struct TaskResult {
    /// The result as it is registered, without `changed`, `failed` and the like.
    pub(crate) result: Map,
    pub(crate) changed: bool,
    pub(crate) failed: bool,
    pub(crate) skipped: bool,
    /// In check mode nothing was done, and nobody knows what would have come of it.
    pub(crate) not_run: bool,
    pub(crate) unreachable: bool,
    pub(crate) diff: Vec<Diff>,
    /// What a module says about its failure at more length than `msg`.
    pub(crate) explanation: Option<String>,
    /// What the dispatcher has to do with it.
    pub(crate) effects: Vec<Effect>,
}

/// What a task changes in the run itself.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// `set_fact`.
    SetFacts(VarMap),
    /// Facts, with their `ansible_` prefix.
    Facts(Map),
    /// `include_vars`.
    IncludeVars(VarMap),
    /// `add_host`.
    AddHost {
        name: String,
        groups: Vec<String>,
        vars: VarMap,
    },
    /// `group_by`.
    GroupBy { key: String, parents: Vec<String> },
    /// `set_stats`.
    Stats {
        data: Map,
        per_host: bool,
        aggregate: bool,
    },
    /// `include_tasks`.
    IncludeTasks {
        file: std::path::PathBuf,
        vars: VarMap,
    },
    /// `include_role`.
    IncludeRole {
        call: Box<crate::plan::RoleCall>,
        public: bool,
        vars: VarMap,
    },
    /// Something to tell the user.
    Warning(String),
    /// The same, with `-v`.
    Verbose(String),
}

/// An argument that no action on the controller takes.
pub(crate) const NOT_AN_OPTION: &str = "unknown-option";

/// Why a task could not be run to its end.
#[derive(Debug)]
pub(crate) enum ActionError {
    /// A template or condition is wrong.
    Template(TemplateError),
    /// An argument's template is wrong.
    Argument {
        name: String,
        place: Option<Span>,
        error: TemplateError,
    },
    /// A plugin that the connection needs is nowhere.
    NoPlugin(String),
    /// An expression is wrong that an argument names.
    Expression {
        what: &'static str,
        place: Option<Span>,
        error: TemplateError,
    },
    /// The template in place of the arguments gives no mapping.
    NoMapping {
        kind: &'static str,
        place: Option<Span>,
    },
    /// A condition is wrong.
    Condition {
        keyword: String,
        place: Option<Span>,
        error: TemplateError,
    },
    /// The arguments are not what the module takes.
    Arguments(Box<Diagnostic>),
    /// Nothing was done, for a reason that is no failure of the action.
    Refused {
        /// What the reason is introduced by; empty for most actions.
        what: &'static str,
        message: String,
        /// What the user may try.
        help: Option<String>,
    },
    /// The task cannot be run as it is written.
    Bare(String),
    /// The action does not do what is asked for; its words are all that is told.
    Denied(String),
    /// A keyword has a value of the wrong kind.
    Keyword {
        /// As messages name it.
        name: &'static str,
        place: Option<Span>,
        message: String,
    },
    /// It took longer than its `timeout`, in seconds.
    TimedOut(i128),
    /// The host cannot be reached.
    Unreachable(String),
    /// Anything else, with further results.
    Failed(Box<Failure>),
}

impl ActionError {
    /// The error of a template that it comes from.
    pub(crate) fn template(&mut self) -> Option<&mut TemplateError> {
        match self {
            Self::Template(error)
            | Self::Argument { error, .. }
            | Self::Condition { error, .. } => Some(error),
            _ => None,
        }
    }

    pub(crate) fn new(msg: impl Into<String>) -> Self {
        Self::Failed(Box::new(Failure::new(msg)))
    }
}

impl From<TemplateError> for ActionError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}

impl From<LinkError> for ActionError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Become(msg) | LinkError::Protocol(msg) | LinkError::NoAgent(msg) => {
                Self::new(msg)
            }
            LinkError::Timeout => Self::new("timed out waiting for the host's answer"),
            other => Self::Unreachable(other.to_string()),
        }
    }
}

impl TaskResult {
    pub(crate) fn ok(result: Map) -> Self {
        Self {
            result,
            ..Self::default()
        }
    }

    pub(crate) fn changed(changed: bool, result: Map) -> Self {
        Self {
            result,
            changed,
            ..Self::default()
        }
    }

    pub(crate) fn failed(msg: impl Into<String>) -> Self {
        Self {
            result: map! { "msg" => msg.into() },
            failed: true,
            ..Self::default()
        }
    }

    /// Skipped by check mode, with the reason.
    pub(crate) fn not_run(msg: impl Into<String>) -> Self {
        Self {
            result: map! { "msg" => msg.into() },
            skipped: true,
            not_run: true,
            ..Self::default()
        }
    }

    /// Skipped by check mode: the module, by its full name, has none.
    pub(crate) fn without_check_mode(module: &str) -> Self {
        Self::not_run(format!(
            "remote module ({module}) does not support check mode"
        ))
    }

    pub(crate) fn effect(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }
}

impl From<Result<Outcome, Failure>> for TaskResult {
    fn from(result: Result<Outcome, Failure>) -> Self {
        let mut task = match result {
            Ok(outcome) => {
                let mut task = TaskResult {
                    result: outcome.results,
                    changed: outcome.changed,
                    skipped: outcome.skipped,
                    not_run: outcome.not_run,
                    diff: outcome.diff,
                    ..TaskResult::default()
                };
                task.add_warnings(outcome.warnings);
                if !outcome.facts.is_empty() {
                    task.result
                        .insert("ansible_facts".to_owned(), Data::Map(outcome.facts.clone()));
                    task.effects.push(Effect::Facts(outcome.facts));
                }
                task
            }
            Err(failure) => {
                let mut result = failure.results;
                result.insert("msg".to_owned(), Data::Str(failure.msg));
                let mut task = TaskResult {
                    result,
                    failed: true,
                    changed: failure.changed,
                    explanation: failure.explanation,
                    ..TaskResult::default()
                };
                task.add_warnings(failure.warnings);
                task
            }
        };
        task.add_lines();
        task
    }
}

impl TaskResult {
    /// Adds `stdout_lines` and `stderr_lines` where a module gave the text alone.
    fn add_lines(&mut self) {
        for name in ["stdout", "stderr"] {
            let key = format!("{name}_lines");
            if let Some(Data::Str(text)) = self.result.get(name)
                && !self.result.contains_key(&key)
            {
                let lines = rplay_modules::text::lines(text);
                self.result.insert(key, lines.into());
            }
        }
    }

    fn add_warnings(&mut self, warnings: Vec<String>) {
        if !warnings.is_empty() {
            self.result
                .insert("warnings".to_owned(), warnings.clone().into());
            self.effects
                .extend(warnings.into_iter().map(Effect::Warning));
        }
    }
}

/// Whether an action takes text that is no named argument.
fn check_text(action: &str) -> Result<(), ActionError> {
    let module = rplay_modules::registry::find(action);
    let takes = match action {
        "include_tasks" | "include_role" | "include_vars" | "script" | "raw" | "set_fact" => true,
        _ => module.is_some_and(|module| module.free_form.is_some()),
    };
    match action {
        _ if takes => Ok(()),
        "group_by" => Err(ActionError::Denied(
            "Invalid options for group_by: _raw_params".to_owned(),
        )),
        _ => {
            let own = || format!("ansible.builtin.{action}");
            let full = module.map_or_else(own, |module| module.name.to_owned());
            let message = format!("Action '{full}' does not support raw params.");
            Err(ActionError::Bare(message))
        }
    }
}

/// What the controller found out itself counts as what a module says, also where it failed.
fn as_module(result: Result<TaskResult, ActionError>) -> Result<TaskResult, ActionError> {
    match result {
        Err(ActionError::Failed(failure)) => Ok(TaskResult::from(Err(*failure))),
        result => result,
    }
}

/// Whether an action comes to one call of a module on its host, after which the controller only
/// passes on what the module says. Facts are not among them: what follows may ask for them.
pub(crate) fn is_one_call(name: &str) -> bool {
    match name {
        "copy" | "template" => true,
        "async_status" | "assemble" | "fetch" | "reboot" | "script" | "setup" | "synchronize"
        | "unarchive" => false,
        _ if docker::is_own(name) || kubernetes::is_own(name) => false,
        _ => rplay_modules::registry::find(name).is_some(),
    }
}

/// Runs the action of a task once.
pub(crate) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    if context.spec.free_form.is_some() {
        check_text(context.action())?;
    }
    match context.action() {
        "async_status" => background::status(context).await,
        "validate_argument_spec" => argspec::validate(context),
        "debug" => engine::debug(context),
        "assert" => engine::assert(context),
        "fail" => engine::fail(context),
        "add_host" => engine::add_host(context),
        "group_by" => engine::group_by(context),
        "set_stats" => engine::set_stats(context),
        "pause" => wait::pause(context).await,
        "wait_for_connection" => wait::wait_for_connection(context).await,
        "set_fact" => vars::set_fact(context),
        "include_vars" => vars::include_vars(context),
        "include_tasks" => include::tasks(context),
        "include_role" => include::role(context),
        "template" => template::run(context).await,
        "assemble" => assemble::run(context).await,
        "copy" => copy::run(context).await,
        "unarchive" => unarchive::run(context).await,
        "fetch" => fetch::run(context).await,
        "script" => script::run(context).await,
        "reboot" => reboot::run(context).await,
        "synchronize" => synchronize::run(context).await,
        "raw" => script::raw(context).await,
        "gather_facts" => facts::gather(context).await,
        name if docker::is_own(name) => Box::pin(docker::run(context)).await,
        name if kubernetes::is_own(name) => Box::pin(kubernetes::run(context)).await,
        _ => module::run(context).await,
    }
}
