//! What goes wrong in a template: collected while it is evaluated, a diagnostic at the end.

use std::sync::Arc;

use super::value::{Undefined, Value};
use crate::diag::{Diagnostic, Label, Span};

/// A template could not be rendered.
#[derive(Clone, Debug)]
pub struct TemplateError {
    /// What a user reads.
    pub diagnostic: Box<Diagnostic>,
    /// Whether it is because a variable or an attribute is not there.
    pub undefined: bool,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for TemplateError {}

/// The inner form of an error.
#[derive(Debug)]
pub(crate) struct Fault(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: &'static str,
    message: String,
    undefined: Option<Arc<Undefined>>,
    span: Option<Span>,
    hints: Vec<String>,
    /// Whether no plugin is to be named, though one was at work.
    complete: bool,
    /// Whether it came up in a whole template, such as the value of a variable.
    in_template: bool,
}

/// What an evaluation gives.
pub(crate) type Outcome = Result<Value, Fault>;

/// What the error of a condition begins with that asks for something undefined.
pub(crate) const WHILE: &str = "Error while evaluating conditional";

/// The code of a syntax error in a bare expression.
pub(crate) const EXPRESSION_SYNTAX: &str = "expression-syntax";

/// The code of conditions whose result is no truth value.
pub(crate) const BROKEN_CONDITIONAL: &str = "broken-conditional";

/// The code of a variable that is there, and has a value that only the run will know.
const DEFINED: &str = "unknown-value";

/// The code of a filter or test that nobody has.
const UNKNOWN_PLUGIN: &str = "unknown-plugin";

/// How the error of one ends where it is only found when it is to be used.
const FOUND: &str = " found.";

/// The code of templates that refer to one another without end.
pub(crate) const ENDLESS: &str = "recursive-template";

/// The code of errors that end with a cause of its own, see [`SYSTEM`].
pub(crate) const CAUSED: &str = "system-error";

/// How such a cause begins.
pub(crate) const SYSTEM: &str = "<urlopen error ";

/// The code of a vaulted value that no password opens.
pub(crate) const SEALED: &str = "vaulted-value";

impl Fault {
    /// An error of an expression.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::coded(
            "template-error",
            format!("Error rendering template: {}", message.into()),
        )
    }

    /// What is wrong.
    pub(crate) fn text(&self) -> &str {
        &self.0.message
    }

    /// An error whose message is complete.
    pub(crate) fn coded(code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            message: message.into(),
            undefined: None,
            span: None,
            hints: vec![],
            complete: false,
            in_template: false,
        }))
    }

    /// It depends on something that only the run will know; `defined` where it is certain that
    /// there will be a value.
    pub(crate) fn unknown(defined: bool) -> Self {
        let code = if defined { DEFINED } else { "unknown-yet" };
        Self::coded(code, "only the run will know this")
    }

    /// Whether it depends on a value that there is, though only the run will know it.
    pub(crate) fn is_defined(&self) -> bool {
        self.0.code == DEFINED
    }

    /// An undefined value was used.
    pub(crate) fn undefined(undefined: &Arc<Undefined>) -> Self {
        let mut fault = Self::coded("undefined-variable", undefined.message.clone());
        fault.0.undefined = Some(Arc::clone(undefined));
        fault.0.span.clone_from(&undefined.span);
        fault
    }

    /// A value was used that is an envelope which no password opened.
    pub(crate) fn sealed(why: &str, origin: Option<&Span>) -> Self {
        let text =
            format!("Error rendering template: Attempt to use undecryptable variable: {why}");
        Self::coded(SEALED, text).at(|| origin.cloned())
    }

    /// The error for the user, with the place where such a value was used.
    pub(crate) fn used_at(self, place: impl FnOnce() -> Option<Span>) -> TemplateError {
        let sealed = self.is_sealed();
        let mut error = TemplateError::from(self);
        if sealed && let Some(place) = place() {
            let diagnostic = &mut error.diagnostic;
            if !diagnostic
                .labels
                .iter()
                .any(|label| place.contains(&label.span))
            {
                diagnostic.labels.push(Label {
                    span: place,
                    text: String::new(),
                });
            }
        }
        error
    }

    /// Whether it is such a value.
    pub(crate) fn is_sealed(&self) -> bool {
        self.0.code == SEALED
    }

    /// The same, which belongs to a whole template, whoever asked for it.
    pub(crate) fn in_template(mut self) -> Self {
        self.0.in_template = self.0.code != SEALED;
        self
    }

    /// The same in an expression without delimiters.
    pub(crate) fn in_expression(mut self) -> Self {
        let text = &self.0.message;
        if !self.0.in_template
            && let Some(rest) = text.strip_prefix("Error rendering template: ")
        {
            self.0.message = format!("Error rendering expression: {rest}");
        }
        self
    }

    /// The same, of which the end is told as a cause of its own where it is the system's.
    pub(crate) fn of_system(mut self) -> Self {
        if self.0.message.contains(SYSTEM) {
            self.0.code = CAUSED;
        }
        self
    }

    /// The same, which is told as it is wherever it comes up.
    pub(crate) fn complete(mut self) -> Self {
        self.0.complete = true;
        self
    }

    /// An error of a plugin: `The filter plugin 'ansible.builtin.x' failed: ...`.
    pub(crate) fn plugin(self, kind: &str, name: &str) -> Self {
        const PLAIN: &str = "Error rendering template: ";
        if self.0.undefined.is_some()
            || self.0.complete
            || self.0.code == SEALED
            || !self.0.message.starts_with(PLAIN)
        {
            return self;
        }
        let mut fault = self;
        let message = &fault.0.message[PLAIN.len()..];
        let name = if kind == "lookup" || name.contains('.') {
            name.to_owned()
        } else {
            format!("ansible.builtin.{name}")
        };
        fault.0.message = format!("The {kind} plugin '{name}' failed: {message}");
        fault
    }

    /// A filter or test was used that nobody has.
    pub(crate) fn no_plugin(kind: &str, name: &str, similar: Option<&str>) -> Self {
        let text = format!("Error rendering template: No {kind} named '{name}'{FOUND}");
        Self::coded(UNKNOWN_PLUGIN, text).hints(similar.map(super::advice::meant))
    }

    /// An unknown plugin that another one was told to use.
    pub(crate) fn inside(mut self, outer: &str) -> Self {
        if self.0.code == UNKNOWN_PLUGIN
            && let Some(message) = self.0.message.strip_suffix(FOUND)
        {
            self.0.message = format!("{message}.");
            self.0.complete = false;
            return self.plugin("filter", outer);
        }
        self
    }

    /// The error of a condition.
    pub(crate) fn in_condition(mut self) -> Self {
        if self.0.undefined.is_some() && !self.0.message.starts_with(WHILE) {
            self.0.message = format!("{WHILE}: {}", self.0.message);
        }
        self
    }

    /// Adds what there may be to try.
    pub(crate) fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.0.hints.extend(hints);
        self
    }

    /// Adds something to try.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// The place, unless a nearer one is known.
    pub(crate) fn at(mut self, span: impl FnOnce() -> Option<Span>) -> Self {
        if self.0.span.is_none() {
            self.0.span = span();
        }
        self
    }

    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// The message without what it begins with, for one that an error of its own is made of.
    pub(crate) fn inner(self) -> String {
        let text = &self.0.message;
        text.strip_prefix("Error rendering template: ")
            .unwrap_or(text)
            .to_owned()
    }

    /// The undefined value that was used, if that is the error.
    pub(crate) fn as_undefined(&self) -> Option<&Arc<Undefined>> {
        self.0.undefined.as_ref()
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<Fault> for TemplateError {
    fn from(fault: Fault) -> Self {
        let parts = *fault.0;
        let mut diagnostic = Diagnostic::error(parts.code, parts.message);
        if let Some(span) = &parts.span {
            diagnostic = diagnostic.at(span);
        }
        diagnostic.hints = parts.hints;
        if let Some(undefined) = &parts.undefined {
            diagnostic.hints.extend(super::advice::of(undefined));
            let asked = undefined
                .asked
                .as_ref()
                .and_then(|(value, _)| value.origin());
            if let Some(place) = asked.filter(|place| parts.span.as_ref() != Some(place)) {
                diagnostic
                    .causes
                    .push(format!("the value is defined at {place}"));
            }
        }
        Self {
            diagnostic: Box::new(diagnostic),
            undefined: parts.undefined.is_some(),
        }
    }
}
