//! Jinja as Ansible has it: templates, conditions, lookups over lazily templated variables.

mod advice;
mod args;
mod ast;
mod csv;
mod eval;
mod exec;
mod fault;
mod files;
mod filters;
pub(crate) use filters::crypt;
mod format;
mod functions;
mod ini;
mod interp;
mod known;
mod lazy;
mod limits;
mod lookups;
mod methods;
mod net;
mod objects;
mod ops;
mod parse;
mod print;
mod reach;
mod refused;
mod signatures;
mod syntax;
mod tests;
#[cfg(test)]
mod unit;
pub mod value;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use fault::TemplateError;
pub(crate) use fault::{
    BROKEN_CONDITIONAL, CAUSED, ENDLESS, EXPRESSION_SYNTAX, SEALED, SYSTEM, WHILE,
};
pub use files::FileOptions;
pub(crate) use files::about;
pub(crate) use filters::encode::{Style as JsonStyle, json_text};
pub(crate) use filters::kubernetes::hashed_name;
pub(crate) use filters::path::normal;
pub(crate) use filters::toml::quoted as toml_quoted;
pub(crate) use filters::yaml::{
    ENVELOPE, document as yaml_document, final_documents as yaml_documents,
};
pub use functions::is_global;
pub(crate) use lookups::glob;
pub use parse::Syntax;
pub use value::Value;

use crate::config::Config;
use crate::diag::{Diagnostic, Severity, Source, Span};
use crate::load::vault::VaultSecrets;
use ast::{Expr, Template};
use fault::Fault;
use interp::Interp;
use objects::Frame;

/// The variables that a template sees: raw, templated when they are reached.
pub trait Scope: Send + Sync {
    /// The raw value of a variable.
    fn get(&self, name: &str) -> Option<Value>;
    /// What is to be told to whoever uses a variable.
    fn remark(&self, _name: &str) -> Option<Remark> {
        None
    }
    /// All names.
    fn names(&self) -> Vec<String>;
    /// Where files are looked for: the role's folders, the task's, the playbook's.
    fn search_path(&self) -> Vec<PathBuf>;
    /// The playbook's folder.
    fn basedir(&self) -> PathBuf;
    /// Whether this is a look ahead: then nothing that acts or takes long is evaluated.
    fn forecast(&self) -> bool {
        false
    }
}

/// Why a variable should be reached in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A fact as a variable of its own.
    InjectedFact,
    /// `vars`
    VarsDictionary,
    /// `play_hosts`
    PlayHosts,
}

impl Remark {
    /// What a user reads.
    fn diagnostic(self) -> Diagnostic {
        match self {
            Self::InjectedFact => Diagnostic::deprecation(
                "injected-fact",
                "INJECT_FACTS_AS_VARS default to `True` is deprecated, top-level facts will not be auto injected after the change.",
                "2.24",
            )
            .hint("Use `ansible_facts[\"fact_name\"]` (no `ansible_` prefix) instead."),
            Self::VarsDictionary => Diagnostic::deprecation(
                "vars-dictionary",
                "The internal \"vars\" dictionary is deprecated.",
                "2.24",
            )
            .hint("Use the `vars` and `varnames` lookups instead."),
            Self::PlayHosts => Diagnostic::deprecation(
                "play-hosts",
                "The `play_hosts` magic variable is deprecated.",
                "2.23",
            )
            .hint("Use `ansible_play_batch` instead."),
        }
    }
}

/// What a configuration says about templates.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether conditions may have results that are not booleans.
    pub allow_broken_conditionals: bool,
    /// Whether templates in constants stay text: without `allow_embedded_templates`.
    pub plain_constants: bool,
    /// Whether the user asked for facts as variables, or chose to be without them.
    pub facts_chosen: bool,
    /// The settings that the lookup `config` tells.
    pub config: Option<Arc<Config>>,
}

/// How many compiled texts are kept.
const KEPT: usize = 8192;

type Compiled<K, T> = RwLock<HashMap<K, Arc<T>>>;

tokio::task_local! {
    /// Where notes go instead, in [`apart`].
    static APART: RefCell<Vec<Diagnostic>>;
}

/// Does some work; what it notes is told only if the caller notes it again.
pub async fn apart<T>(work: impl Future<Output = T>) -> (T, Vec<Diagnostic>) {
    let noting = async { (work.await, APART.with(RefCell::take)) };
    APART.scope(RefCell::default(), noting).await
}

/// Renders templates; keeps what it has compiled.
pub struct Templar {
    settings: Settings,
    /// What opens vaulted files that lookups read.
    secrets: VaultSecrets,
    templates: Compiled<(Arc<str>, Syntax), Template>,
    plain: Compiled<Arc<str>, Template>,
    expressions: Compiled<Arc<str>, Expr>,
    /// What is to be told of the templates evaluated so far.
    notes: Mutex<Vec<Diagnostic>>,
}

impl Templar {
    /// A templar without anything compiled yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            secrets: VaultSecrets::default(),
            templates: RwLock::default(),
            plain: RwLock::default(),
            expressions: RwLock::default(),
            notes: Mutex::default(),
        }
    }

    /// Keeps something that is to be told, and is no error.
    pub fn note(&self, problem: Diagnostic) {
        if APART.try_with(|_| ()).is_ok() {
            APART.with(|notes| notes.borrow_mut().push(problem));
            return;
        }
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(problem);
    }

    /// Keeps the warnings among problems; errors are told by whoever stops at them.
    pub fn note_warnings(&self, problems: Vec<Diagnostic>) {
        let warnings = problems.into_iter();
        for warning in warnings.filter(|problem| problem.severity != Severity::Error) {
            self.note(warning);
        }
    }

    /// What was noted since the last time.
    #[must_use]
    pub fn take_notes(&self) -> Vec<Diagnostic> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *notes)
    }

    /// The same one, whose lookups open vaulted files.
    #[must_use]
    pub fn with_secrets(mut self, secrets: VaultSecrets) -> Self {
        self.secrets = secrets;
        self
    }

    /// What opens vaulted texts.
    #[must_use]
    pub fn secrets(&self) -> &VaultSecrets {
        &self.secrets
    }

    /// What it was configured with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Templates recursively. The result is final: no template, nothing lazy, nothing undefined.
    pub fn expand(&self, value: &Value, scope: &dyn Scope) -> Result<Value, TemplateError> {
        self.expand_as(value, scope, false)
    }

    /// What a variable came to is masked from now on, where its name says that it is secret.
    pub(crate) fn hide_named(&self, name: &str, value: &Value) {
        let hidden = &self.secrets.hidden;
        if hidden.is_named(name)
            && let Ok(value) = value.to_data()
        {
            hidden.add_value(&value);
        }
    }

    /// A text for views, with remarks in place of what cannot be rendered, and the warning that tells
    /// of them.
    #[must_use]
    pub fn told(&self, value: &Value, scope: &dyn Scope) -> (String, Option<Diagnostic>) {
        let text = match value {
            Value::Str(text) if text.is_pending() => text,
            Value::None => return (String::new(), None),
            other => return (other.to_string(), None),
        };
        let (told, remarks) = Interp::new(self, scope).render_told(text);
        let mut places = remarks.iter().filter_map(|(_, place)| place.as_ref());
        let place = places.next().or(text.origin());
        let lines: Vec<&str> = remarks.iter().map(|(why, _)| why.as_str()).collect();
        let warning = (!lines.is_empty()).then(|| {
            let (count, lines) = (lines.len(), lines.join("\n"));
            let plural = if count == 1 { "" } else { "s" };
            let message = format!("Encountered {count} template error{plural}.\n{lines}");
            let problem = Diagnostic::warning("template-text", message);
            match place {
                Some(place) => problem.at(place),
                None => problem,
            }
        });
        (told, warning)
    }

    /// Like [`Templar::expand`], but what is undefined stays [`Value::Undefined`].
    pub fn expand_soft(&self, value: &Value, scope: &dyn Scope) -> Result<Value, TemplateError> {
        self.expand_as(value, scope, true)
    }

    fn expand_as(
        &self,
        value: &Value,
        scope: &dyn Scope,
        soft: bool,
    ) -> Result<Value, TemplateError> {
        if matches!(
            value,
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_)
        ) {
            return Ok(value.clone());
        }
        let interp = Interp::new(self, scope);
        let done = interp.touch(value.clone());
        let done = done.and_then(|value| interp.finish(&value, soft));
        let place = || match value {
            Value::Str(text) => text.origin().cloned(),
            _ => None,
        };
        done.map_err(|fault| fault.used_at(place))
    }

    /// Whether a trusted string anywhere in it is a template.
    #[must_use]
    pub fn is_template(&self, value: &Value) -> bool {
        match value {
            Value::Str(text) => text.is_pending(),
            Value::List(list) => list.read().iter().any(|item| self.is_template(item)),
            Value::Tuple(items) => items.iter().any(|item| self.is_template(item)),
            Value::Dict(dict) => dict
                .read()
                .iter()
                .any(|(key, item)| self.is_template(&key.0) || self.is_template(item)),
            _ => false,
        }
    }

    /// A condition (`when`, `that`, `until`): an expression, a boolean, or a list that is all true.
    pub fn condition(&self, condition: &Value, scope: &dyn Scope) -> Result<bool, TemplateError> {
        let text = match condition {
            Value::Bool(value) => return Ok(*value),
            Value::List(list) => {
                for item in list.to_vec() {
                    if !self.condition(&item, scope)? {
                        return Ok(false);
                    }
                }
                return Ok(true);
            }
            Value::Str(text) => text,
            other => return self.verdict(other, None),
        };
        self.written_condition(text, scope, true)
    }

    /// A condition in words; one that is nothing but a template gives another one, or a result.
    fn written_condition(
        &self,
        text: &value::Str,
        scope: &dyn Scope,
        may_be_template: bool,
    ) -> Result<bool, TemplateError> {
        let origin = text.origin();
        if let Some(why) = text.sealed() {
            return Err(Fault::coded(BROKEN_CONDITIONAL, why).into());
        }
        if text.as_str().trim().is_empty() {
            return self.empty(origin);
        }
        let interp = Interp::new(self, scope);
        interp.embedded.set(true);
        let value = if may_be_template && text.is_template() && looks_whole(text.as_str()) {
            let template = Value::template(text.as_str().trim(), origin.cloned());
            let value = interp
                .touch(template)
                .map_err(|fault| fault.in_condition().used_at(|| origin.cloned()))?;
            match &value {
                Value::Str(inner) if inner.is_template() => {
                    return self.written_condition(inner, scope, false);
                }
                Value::Str(_) => return Err(untrusted(origin)),
                Value::None => return self.empty(None),
                Value::Undefined(_) => {}
                other if other.is_omit() => {}
                _ => interp.note_here(Diagnostic::deprecation(
                    "delimited-condition",
                    "Conditionals should not be surrounded by templating delimiters such as {{ }} or {% %}.",
                    "2.23",
                )),
            }
            value
        } else {
            self.evaluate(&interp, text.as_str(), origin)
                .map_err(|fault| fault.in_condition().used_at(|| origin.cloned()))?
        };
        if let Value::Undefined(undefined) = &value {
            return Err(Fault::undefined(undefined)
                .at(|| origin.cloned())
                .in_condition()
                .into());
        }
        self.verdict(&value, origin)
    }

    fn empty(&self, origin: Option<&Span>) -> Result<bool, TemplateError> {
        match self.settings.allow_broken_conditionals {
            true => Ok(true),
            false => Err(self.broken("Empty conditional expressions are not allowed.", origin)),
        }
    }

    fn verdict(&self, value: &Value, origin: Option<&Span>) -> Result<bool, TemplateError> {
        match value {
            Value::Bool(value) => Ok(*value),
            other if self.settings.allow_broken_conditionals => Ok(other.is_true()),
            other => {
                let verdict = if other.is_true() { "True" } else { "False" };
                let place =
                    origin.map_or_else(|| "<unknown>".to_owned(), |span| format!("'{span}'"));
                let message = format!(
                    "Conditional result ({verdict}) was derived from value of type '{}' at {place}. Conditionals must have a boolean result.",
                    other.type_name()
                );
                Err(self.broken(&message, origin))
            }
        }
    }

    fn broken(&self, message: &str, origin: Option<&Span>) -> TemplateError {
        let mut diagnostic = Diagnostic::error(BROKEN_CONDITIONAL, message)
            .hint("Broken conditionals can be temporarily allowed with the `ALLOW_BROKEN_CONDITIONALS` configuration option.");
        if let Some(span) = origin {
            diagnostic = diagnostic.at(span);
        }
        TemplateError {
            diagnostic: Box::new(diagnostic),
            undefined: false,
        }
    }

    /// The value of a bare expression.
    pub fn expression(
        &self,
        text: &str,
        origin: Option<&Span>,
        scope: &dyn Scope,
    ) -> Result<Value, TemplateError> {
        let interp = Interp::new(self, scope);
        let value = self.evaluate(&interp, text, origin)?;
        Ok(interp.finish(&value, false).map_err(Fault::in_expression)?)
    }

    /// Like [`Templar::expression`], but what is undefined stays [`Value::Undefined`].
    pub fn expression_soft(
        &self,
        text: &str,
        origin: Option<&Span>,
        scope: &dyn Scope,
    ) -> Result<Value, TemplateError> {
        let interp = Interp::new(self, scope);
        let value = self.evaluate(&interp, text, origin)?;
        Ok(interp.finish(&value, true).map_err(Fault::in_expression)?)
    }

    fn evaluate(
        &self,
        interp: &Interp<'_>,
        text: &str,
        origin: Option<&Span>,
    ) -> Result<Value, Fault> {
        let shared: Arc<str> = text.into();
        interp
            .within(&shared, origin, None, || {
                let expr = self
                    .compile_expression(&shared)
                    .map_err(|error| interp.expression_fault(&error, text))?;
                let work = || interp.eval(&expr, &Frame::root(true));
                interp.remarking(|tell| expr.reads(tell), work)
            })
            .map_err(Fault::in_expression)
    }

    /// Renders the text of a template file: to a text, unless it is nothing, or one value of another type.
    pub fn render_file(
        &self,
        path: &Path,
        text: &str,
        options: &FileOptions,
        scope: &dyn Scope,
    ) -> Result<Value, TemplateError> {
        if !files::is_template(text, options) {
            return Ok(Value::str(text));
        }
        let known = files::known(scope, self.settings.config.as_deref());
        let scope = files::Layered {
            extra: &known,
            inner: scope,
        };
        let interp = Interp::new(self, &scope);
        let (body, syntax) = files::prepare(text, options).map_err(|problem| {
            let start = Span::start_of(&Source::new(path, text));
            let text = format!("Syntax error in template: {problem}");
            TemplateError::from(Fault::coded("template-syntax", text).at(|| Some(start)))
        })?;
        interp.syntax.replace(syntax.clone());
        interp
            .folders
            .replace(files::folders(path, options, &scope));
        let source = Source::new(path, &body);
        let shared: Arc<str> = body.into();
        let file = Source::named(path, "");
        let result = interp.within(&shared, None, Some(source), || {
            let template = self
                .compile(&shared, &syntax)
                .map_err(|error| interp.syntax_fault(&error))?;
            let mut out = Vec::new();
            let ended = interp.run_template(&template, &Frame::root(true), &mut out);
            let value = interp.whole(text, out, ended, &options.newline_sequence)?;
            lazy::defined(&value)?;
            interp.finish(&value, true)
        });
        result.map_err(|fault: Fault| fault.used_at(|| Some(file)))
    }

    /// The results of a lookup plugin, as `with_*` of a task that calls `action` has them.
    pub fn lookup(
        &self,
        name: &str,
        terms: Vec<Value>,
        action: &str,
        scope: &dyn Scope,
    ) -> Result<Vec<Value>, TemplateError> {
        let interp = Interp::new(self, scope);
        if action.contains("template") {
            interp.folder.set("templates");
        } else if action.contains("var") {
            interp.folder.set("vars");
        }
        let mut ready = Vec::with_capacity(terms.len());
        for term in terms {
            let term = interp.touch(term)?;
            ready.push(interp.finish(&term, true)?);
        }
        Ok(lookups::run(&interp, name, ready, vec![])?)
    }

    fn compile(
        &self,
        text: &Arc<str>,
        syntax: &Syntax,
    ) -> Result<Arc<Template>, parse::SyntaxError> {
        if *syntax == Syntax::default() {
            return cached(&self.plain, Arc::clone(text), || whole(text, syntax));
        }
        let key = (Arc::clone(text), syntax.clone());
        cached(&self.templates, key, || whole(text, syntax))
    }

    fn compile_expression(&self, text: &Arc<str>) -> Result<Arc<Expr>, parse::SyntaxError> {
        cached(&self.expressions, Arc::clone(text), || {
            let expr = parse::expression(text)?;
            known::check_expression(&expr)?;
            Ok(expr)
        })
    }
}

/// Parses a template, whose filters and tests have to be there.
fn whole(text: &str, syntax: &Syntax) -> Result<Template, parse::SyntaxError> {
    let template = parse::template(text, syntax)?;
    known::check(&template)?;
    Ok(template)
}

/// Runs one level of a recursion over what a user wrote, on more stack if little is left.
pub(crate) fn deep<T>(level: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(256 << 10, 4 << 20, level)
}

/// Whether a condition is nothing but a template.
fn looks_whole(text: &str) -> bool {
    let text = text.trim();
    (text.starts_with("{{") && text.ends_with("}}")) || text.starts_with("{%")
}

/// What a condition gives that is a template of a text from elsewhere.
fn untrusted(origin: Option<&Span>) -> TemplateError {
    let message = "Encountered untrusted template or expression.";
    let mut diagnostic = Diagnostic::error(BROKEN_CONDITIONAL, message).hint(
        "Templates and expressions must be defined by trusted sources such as playbooks or roles, not untrusted sources such as module results.",
    );
    if let Some(span) = origin {
        diagnostic = diagnostic.at(span);
    }
    TemplateError {
        diagnostic: Box::new(diagnostic),
        undefined: false,
    }
}

fn cached<K: Eq + std::hash::Hash, T>(
    cache: &Compiled<K, T>,
    key: K,
    make: impl FnOnce() -> Result<T, parse::SyntaxError>,
) -> Result<Arc<T>, parse::SyntaxError> {
    if let Some(found) = cache
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
    {
        return Ok(Arc::clone(found));
    }
    let made = Arc::new(make()?);
    let mut cache = cache.write().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= KEPT {
        cache.clear();
    }
    cache.insert(key, Arc::clone(&made));
    Ok(made)
}

/// Names of the filters, tests or lookups with what they do, for the reference.
pub(crate) fn documents(kind: &str) -> Vec<(String, &'static str)> {
    match kind {
        "filter" => filters::documents().collect(),
        "test" => tests::documents().collect(),
        "lookup" => lookups::documents().collect(),
        _ => vec![],
    }
}
