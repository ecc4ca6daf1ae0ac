//! What an action may use while it runs for one host: arguments, variables, files, the connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use rplay_modules::args::{self, CheckMode};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Kept;
use rplay_modules::registry;
use rplay_modules::wire;

use super::ahead::Way;
use super::shared::{RunShared, World};
use super::spec::TaskSpec;
use super::stream;
use super::target::{Links, describe, scope_of, way_of};
use crate::action::{ActionError, Effect, TaskResult, table};
use crate::connect::{Become, Link, LinkError, Target};
use crate::diag::{Diagnostic, Span, advice, similar_file};
use crate::load::early;
use crate::report::event::KeptFiles;
use crate::template::value::{Entries, Key, Value};
use crate::template::{Scope, TemplateError};
use crate::vars::{HostScope, NotRun, VarMap};

/// The module that stands for the one of the machine's package manager.
const PACKAGE: &str = "ansible.builtin.package";

/// The module that clears away after tasks in the background.
const JOB_STATUS: &str = "ansible.builtin.async_status";

/// Modules whose differences show the content that they write.
const SHOWS: &[&str] = &[
    "ansible.builtin.blockinfile",
    "ansible.builtin.copy",
    "ansible.builtin.file",
    "ansible.builtin.lineinfile",
    "ansible.builtin.replace",
    "ansible.builtin.template",
    "community.general.ini_file",
];

/// The surroundings of an action on one host, for one item.
pub(crate) struct Context<'a> {
    pub(crate) run: &'a RunShared,
    pub(crate) spec: &'a TaskSpec,
    pub(crate) scope: &'a HostScope,
    /// The host whose task it is.
    pub(crate) host: &'a str,
    /// It is the first host of its task.
    pub(crate) first: bool,
    /// The host that does the work: another one when it is delegated.
    pub(crate) target: &'a str,
    pub(crate) links: &'a mut Links,
    /// The task runs ahead of its turn: this is its only way to the host.
    pub(crate) way: Option<&'a Way>,
    pub(crate) world: &'a World,
    /// What describes the connection where another host does the work.
    pub(crate) there: Option<&'a HostScope>,
    pub(crate) r#become: Option<Become>,
    /// This machine does the work, for the host.
    pub(crate) here: bool,
    pub(crate) check: bool,
    pub(crate) diff: bool,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) timeout_ms: Option<u64>,
    /// Modules are started in the background.
    pub(crate) job: Option<wire::Job>,
    /// Arguments still to be templated, with defaults of `module_defaults`.
    pub(crate) args: IndexMap<String, (Span, Value)>,
    pub(crate) warnings: Vec<String>,
    /// In check mode: the task on whose result this one depends and that was not run.
    pub(crate) unknown: Option<Arc<NotRun>>,
    /// The largest content of a file that is kept before it is changed; none: nothing is.
    pub(crate) keep: Option<u64>,
    /// What was kept, and whether the files that are there now may be shown.
    pub(crate) kept: Vec<(Kept, bool)>,
    /// Shows a line while the action still runs.
    pub(crate) display: Arc<dyn Fn(&str) + Send + Sync>,
    /// What programs write is shown while they run.
    pub(crate) streams: bool,
}

impl Context<'_> {
    /// The action's name.
    pub(crate) fn action(&self) -> &str {
        &self.spec.action
    }

    /// Refuses arguments that the action does not have.
    pub(crate) fn only_known(&self) -> Result<(), ActionError> {
        let args = table::find(self.action()).map_or(&[][..], |row| row.args);
        let names = args.iter().filter(|arg| arg.name != "free_form");
        let known: Vec<&str> = names
            .flat_map(|arg| std::iter::once(arg.name).chain(arg.aliases.iter().copied()))
            .collect();
        let fits = |name: &&String| !known.contains(&name.as_str());
        let wrong: Vec<&str> = self.args.keys().filter(fits).map(String::as_str).collect();
        let Some(first) = wrong.first() else {
            return Ok(());
        };
        let (action, all) = (self.action(), wrong.join(", "));
        let message = match action {
            "fail" | "group_by" | "reboot" | "set_stats" | "wait_for_connection" => {
                format!("Invalid options for {action}: {}", wrong.join(","))
            }
            "include_vars" => {
                let text = format!("{first} is not a valid option in include_vars");
                let mut problem = Diagnostic::error("unknown-argument", text);
                if let Some((place, _)) = self.args.get(*first) {
                    problem = problem.at(place);
                }
                return Err(ActionError::Template(TemplateError {
                    diagnostic: Box::new(problem),
                    undefined: false,
                }));
            }
            _ => {
                let mut names = known.clone();
                names.sort_unstable();
                if action == "assert" {
                    names = vec!["fail_msg", "quiet", "success_msg", "that (msg)"];
                }
                format!(
                    "Unsupported parameters for ({action}) module: {all}. Supported parameters include: {}.",
                    names.join(", ")
                )
            }
        };
        let code = match action {
            // Modules on the target have the last word there.
            "fetch" => "unknown-argument",
            _ => crate::action::NOT_AN_OPTION,
        };
        let mut problem = Diagnostic::error(code, message);
        if let Some((span, _)) = self.args.get(*first) {
            problem = problem.at(span);
        }
        if let Some(near) = crate::diag::nearest(first, known.iter().copied()) {
            problem = problem.hint(format!("did you mean `{near}`?"));
        }
        Err(ActionError::Arguments(Box::new(problem)))
    }

    /// Whether an argument was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.args.contains_key(name)
    }

    /// An argument before templating, with the place of its name.
    pub(crate) fn raw(&self, name: &str) -> Option<(Span, Value)> {
        self.args.get(name).cloned()
    }

    /// An argument; `None` when it is not given, null or omitted.
    pub(crate) fn value(&self, name: &str) -> Result<Option<Value>, ActionError> {
        let Some((_, raw)) = self.args.get(name) else {
            return Ok(None);
        };
        let value = self.argument(name, raw)?;
        Ok((!value.is_omit() && !matches!(value, Value::None)).then_some(value))
    }

    /// An argument as text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ActionError> {
        Ok(self.value(name)?.map(|value| value.to_string()))
    }

    /// An argument as a boolean, by Ansible's rules.
    pub(crate) fn bool(&self, name: &str) -> Result<Option<bool>, ActionError> {
        self.value(name)?
            .map(|value| to_bool(&value).ok_or_else(|| not_a(name, &value, "bool")))
            .transpose()
    }

    /// An argument as an integer.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i128>, ActionError> {
        self.value(name)?
            .map(|value| to_int(&value).ok_or_else(|| not_a(name, &value, "int")))
            .transpose()
    }

    /// The free-form text.
    pub(crate) fn free_form(&self) -> Result<Option<String>, ActionError> {
        self.spec
            .free_form
            .as_ref()
            .map(|raw| Ok(self.argument("_raw_params", raw)?.to_string()))
            .transpose()
    }

    /// All arguments, templated; omitted ones left out.
    pub(crate) fn all_args(&self) -> Result<VarMap, ActionError> {
        let mut all = VarMap::new();
        let first = self.args.first().map(|(_, (place, _))| place);
        for (name, (place, raw)) in &self.args {
            let value = self.argument(name, raw)?;
            if !value.is_omit() {
                // Arguments in one text are all where it starts.
                let written = place.source.text.get(place.start as usize..);
                let after = written.and_then(|text| text.strip_prefix(name.as_str()));
                let in_text = after.is_some_and(|after| after.starts_with('='));
                let place = first.filter(|_| in_text).unwrap_or(place);
                all.declare(name.as_str(), place, value);
            }
        }
        Ok(all)
    }

    /// Templates an argument.
    pub(crate) fn argument(&self, name: &str, raw: &Value) -> Result<Value, ActionError> {
        self.expand(raw).map_err(|error| {
            let place = match raw {
                Value::Str(text) => text.origin().cloned(),
                _ => None,
            };
            ActionError::Argument {
                name: name.to_owned(),
                place,
                error,
            }
        })
    }

    /// Templates a value.
    pub(crate) fn expand(&self, value: &Value) -> Result<Value, TemplateError> {
        self.run.templar.expand(value, self.scope)
    }

    /// A variable, templated; `None` when it is not set or null.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<Value>, TemplateError> {
        let Some(raw) = self.scope.get(name) else {
            return Ok(None);
        };
        let value = self.expand(&raw)?;
        Ok((!value.is_omit() && !matches!(value, Value::None)).then_some(value))
    }

    /// Templates a value as far as possible.
    pub(crate) fn expand_soft(&self, value: &Value) -> Option<Value> {
        self.run.templar.expand_soft(value, self.scope).ok()
    }

    /// Evaluates a condition.
    pub(crate) fn condition(&self, condition: &Value) -> Result<bool, TemplateError> {
        self.run.templar.condition(condition, self.scope)
    }

    /// A condition as results show it.
    pub(crate) fn shown_condition(&self, condition: &Value) -> Data {
        match condition {
            Value::Str(text)
                if self.run.templar.is_template(condition)
                    && !self.run.templar.settings().plain_constants =>
            {
                self.expand_soft(condition)
                    .map_or(Data::from(text.as_str()), |value| {
                        value.to_data().unwrap_or_default()
                    })
            }
            other => other.to_data().unwrap_or_default(),
        }
    }

    /// A value as final data.
    pub(crate) fn to_data(&self, value: &Value) -> Result<Data, ActionError> {
        value.to_data().map_err(ActionError::new)
    }

    /// Notes something for the user.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Where a file of a kind (`files`, `templates`, `vars`) is looked for, in order.
    pub(crate) fn places(&self, kind: &str, name: &str) -> Vec<PathBuf> {
        let path = expand_home(name);
        if path.is_absolute() {
            early::file(&path);
            return vec![path];
        }
        let mut places = vec![];
        let named = path.starts_with(kind);
        for folder in self.scope.search_path() {
            if !named {
                places.push(folder.join(kind).join(&path));
            }
            places.push(folder.join(&path));
        }
        places.iter().for_each(|place| early::file(place));
        places
    }

    /// Finds a file of a kind.
    pub(crate) fn find_file(&self, kind: &str, name: &str) -> Option<PathBuf> {
        self.places(kind, name)
            .into_iter()
            .find(|path| path.exists())
    }

    /// Finds a folder of a kind.
    pub(crate) fn find_dir(&self, kind: &str, name: &str) -> Option<PathBuf> {
        self.places(kind, name)
            .into_iter()
            .find(|path| path.is_dir())
    }

    /// The error for a file that is nowhere.
    pub(crate) fn missing_file(&self, kind: &str, name: &str) -> ActionError {
        let places = self.places(kind, name);
        let near = places.iter().find_map(|path| similar_file(path));
        ActionError::Refused {
            what: "",
            message: nowhere(name, &places),
            help: near.map(|near| advice(&format!("did you mean `{near}`?"))),
        }
    }

    /// Arguments as final data.
    pub(crate) fn data_args(&self) -> Result<Map, ActionError> {
        self.all_args()?
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.to_data(value)?)))
            .collect()
    }

    /// Checks the arguments and runs a module on the target; `package` is the module of the
    /// machine's package manager.
    pub(crate) async fn call_module(
        &mut self,
        name: &str,
        given: &Map,
    ) -> Result<TaskResult, ActionError> {
        if registry::find(name).is_none_or(|module| module.name != PACKAGE) {
            return self.call_one(name, given).await;
        }
        let mut others = given.clone();
        let named = others.shift_remove("use").map(|name| name.text());
        let named = named.filter(|name| name != "auto");
        let manager = match named {
            Some(name) => Some(name),
            None => self.known_manager()?,
        };
        if let Some(module) = manager.as_deref().and_then(registry::find) {
            return self.call_one(module.name, &others).await;
        }
        let result = self.call_one(PACKAGE, given).await?;
        let found = result
            .result
            .get(rplay_modules::builtin::FOUND_MANAGER)
            .map(Data::text);
        match found.as_deref().and_then(registry::find) {
            Some(module) => self.call_one(module.name, &others).await,
            None => Ok(result),
        }
    }

    /// The package manager, where the facts tell it.
    fn known_manager(&self) -> Result<Option<String>, ActionError> {
        let Some(Value::Dict(facts)) = self.variable("ansible_facts")? else {
            return Ok(None);
        };
        let Some(manager) = facts.get("pkg_mgr") else {
            return Ok(None);
        };
        let name = self.to_data(&manager)?.text();
        Ok(Some(name).filter(|name| name != "unknown"))
    }

    async fn call_one(&mut self, name: &str, given: &Map) -> Result<TaskResult, ActionError> {
        let Some(module) = registry::find(name) else {
            return Err(self.unknown_module(name));
        };
        let skips = |mode| self.check && module.rules.check_mode == mode;
        let called = self.spec.task.ast.call.name.as_str();
        if skips(CheckMode::SkippedFirst) {
            let text = format!("This action ({called}) does not support check mode.");
            return Ok(TaskResult::not_run(text));
        }
        let skipped = skips(CheckMode::Skipped).then(|| TaskResult::without_check_mode(called));
        let args = self.prepare(name, given)?;
        if let Some(skipped) = skipped {
            return Ok(skipped);
        }
        let shows = self.keep.is_some() && self.shows(&args);
        let id = self.links.next_id();
        let request = wire::Run {
            check: self.check,
            diff: self.diff,
            diff_limit: self
                .run
                .config
                .int("max_diff_size")
                .and_then(|limit| u64::try_from(limit).ok()),
            env: self.environment.clone(),
            timeout_ms: self.timeout_ms,
            job: self.job.clone(),
            keep: self
                .keep
                .filter(|_| !self.check && module.name != JOB_STATUS),
            hear: self.streams,
            ..wire::Run::new(id, module.name, args)
        };
        let r#become = self.r#become.clone();
        let answered = match self.way {
            Some(way) => {
                let there = self.there.unwrap_or(self.scope);
                let target = describe(self.run, self.spec, there, self.target)?;
                way.call(target, r#become, request).await?
            }
            None => {
                let hear = self
                    .streams
                    .then(|| stream::lines(self.host, &self.display));
                self.link()?
                    .call_heard(r#become.as_ref(), request, hear)
                    .await?
            }
        };
        self.kept.extend(answered.kept.map(|kept| (kept, shows)));
        Ok(TaskResult::from(answered.result))
    }

    /// Whether the files that a call leaves may be shown as far as anybody knows: it shows what it writes,
    /// and no secret is in that.
    fn shows(&self, args: &Map) -> bool {
        let action = crate::load::actions::full_name(self.action());
        SHOWS.contains(&action.as_str())
            && !args.contains_key(wire::BLOB)
            && !args.values().any(|value| self.run.hidden().is_in(value))
    }

    /// Arguments of a module as the agent takes them, for calls that another call carries.
    pub(crate) fn prepare(&mut self, name: &str, given: &Map) -> Result<Map, ActionError> {
        let Some(module) = registry::find(name) else {
            return Err(self.unknown_module(name));
        };
        let prepared =
            args::prepare(module, given).map_err(|problems| self.bad_arguments(&problems))?;
        for secret in &prepared.secrets {
            self.run.hidden().add(secret);
        }
        self.warnings.extend(prepared.warnings);
        Ok(prepared.args)
    }

    fn unknown_module(&self, name: &str) -> ActionError {
        let call = &self.spec.task.ast.call;
        let problem = crate::load::actions::unresolved(name, None).at(&call.span);
        ActionError::Template(TemplateError {
            diagnostic: Box::new(problem),
            undefined: false,
        })
    }

    fn bad_arguments(&self, problems: &[args::ArgProblem]) -> ActionError {
        let Some(first) = problems.first() else {
            return ActionError::new("bad arguments");
        };
        let mut problem = Diagnostic::error("bad-argument", &first.message);
        let span = first
            .arguments
            .iter()
            .find_map(|name| self.args.get(name))
            .map(|(span, _)| span);
        problem = problem.at(span.unwrap_or(&self.spec.task.ast.call.span));
        problem.hints.extend(first.hints.iter().cloned());
        for other in &problems[1..] {
            problem = problem.cause(other.message.clone());
        }
        ActionError::Arguments(Box::new(problem))
    }

    /// The connection to the target.
    pub(crate) fn link(&mut self) -> Result<&mut Link, ActionError> {
        if self.way.is_some() {
            early::outside();
            return Err(ActionError::new("a task that runs ahead has one call only"));
        }
        if self.here {
            return Ok(self.links.here());
        }
        self.links.get(
            self.run,
            self.spec,
            self.there.unwrap_or(self.scope),
            self.target,
        )
    }

    /// How the task's own host is reached, whoever does the work.
    pub(crate) fn own_target(&self) -> Result<Target, ActionError> {
        let own = self.there.map(|_| scope_of(self.world, self.host));
        let scope = own.as_ref().unwrap_or(self.scope);
        describe(self.run, self.spec, scope, self.host)
    }

    /// Connects and starts the agent.
    pub(crate) async fn hello(&mut self) -> Result<(), LinkError> {
        let r#become = self.r#become.clone();
        match self.link() {
            Ok(link) => link.hello(r#become.as_ref()).await.map(|_| ()),
            Err(_) => Err(LinkError::Protocol(
                "the connection's settings are wrong".to_owned(),
            )),
        }
    }

    /// Forgets the connection; the next use connects again.
    pub(crate) fn reset_link(&mut self) {
        self.links.forget(self.target);
    }

    /// What was kept of files before they were changed, for the record.
    pub(crate) fn kept_files(&mut self) -> Vec<KeptFiles> {
        let mut all = vec![];
        for (kept, shows) in std::mem::take(&mut self.kept) {
            let there = self.there.unwrap_or(self.scope);
            let mut way = way_of(self.run, self.spec, there, self.target).unwrap_or_default();
            let r#become = self.r#become.as_ref();
            way.r#become = r#become.map(|other| (other.method.clone(), other.user.clone()));
            all.extend(KeptFiles::of(kept, self.target, way, shows));
        }
        all
    }

    /// Effects for the warnings collected on the way, and for what connecting had to tell.
    pub(crate) fn warning_effects(&mut self) -> Vec<Effect> {
        let notes = self.links.notes().into_iter().map(Effect::Verbose);
        let warnings = self.warnings.drain(..).map(Effect::Warning);
        warnings.chain(notes).collect()
    }
}

fn not_a(name: &str, value: &Value, kind: &str) -> ActionError {
    let why = match kind {
        "int" => format!("\"{}\" cannot be converted to an int", value.repr()),
        _ => value.to_string(),
    };
    ActionError::Denied(format!(
        "argument '{name}' is of type {} and we were unable to convert to {kind}: {why}",
        value.type_name()
    ))
}

/// `~/` at the start of a path on the controller.
pub(crate) fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

/// A boolean by Ansible's rules.
pub(crate) fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Str(text) => match text.as_str().to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" | "1.0" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// An integer, also from text.
pub(crate) fn to_int(value: &Value) -> Option<i128> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Bool(value) => Some((*value).into()),
        Value::Str(text) => text.as_str().trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a fraction is cut off, as Python's int() does"
        )]
        Value::Float(value) => Some(*value as i128),
        _ => None,
    }
}

/// A number, also from text.
pub(crate) fn to_float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(value) => Some(*value),
        Value::Str(text) => text.as_str().trim().parse().ok(),
        #[expect(clippy::cast_precision_loss, reason = "times in seconds are small")]
        other => to_int(other).map(|value| value as f64),
    }
}

/// The local time as Ansible's results show it.
pub(crate) fn timestamp() -> String {
    jiff::Zoned::now()
        .strftime("%Y-%m-%d %H:%M:%S.%6f")
        .to_string()
}

/// A mapping of final data as a dictionary for templates.
pub(crate) fn to_dict(map: &Map) -> Value {
    let entries: Entries = map
        .iter()
        .map(|(key, value)| (Key::from(key.as_str()), Value::from_data(value)))
        .collect();
    Value::dict(entries)
}

/// The run's shared state is handed to every worker.
pub(crate) type Shared = Arc<RunShared>;

/// What is said of a file that is in none of these places.
pub(crate) fn nowhere(name: &str, places: &[PathBuf]) -> String {
    let searched: String = match places {
        [only] if expand_home(name) == *only => String::new(),
        places => {
            let lines = places.iter().map(|path| format!("\n\t{}", path.display()));
            format!("\nSearched in:{}", lines.collect::<String>())
        }
    };
    format!("Could not find or access '{name}'{searched} on the Ansible Controller.")
}
