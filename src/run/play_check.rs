//! What keywords must be. Those of a play are checked when it begins, after its questions were answered.

use super::PlannedPlay;
use super::context::{to_bool, to_float, to_int};
use super::failure::{Cause, explain};
use crate::action::ActionError;
use crate::diag::Diagnostic;
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::template::value::Value;
use crate::template::{Templar, TemplateError};
use crate::vars::HostScope;

/// What a keyword has to be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Any,
    Bool,
    Int,
    Float,
    Percent,
    Sizes,
}

const KEYWORDS: &[(Keyword, Kind)] = &[
    (Keyword::Name, Kind::Any),
    (Keyword::GatherFacts, Kind::Bool),
    (Keyword::GatherSubset, Kind::Any),
    (Keyword::GatherTimeout, Kind::Int),
    (Keyword::FactPath, Kind::Any),
    (Keyword::ForceHandlers, Kind::Bool),
    (Keyword::MaxFailPercentage, Kind::Percent),
    (Keyword::Serial, Kind::Sizes),
    (Keyword::Strategy, Kind::Any),
    (Keyword::Order, Kind::Any),
];

/// The problem of a keyword that is not what it must be.
pub(crate) const WRONG: &str = "play-keyword";

impl PlannedPlay {
    /// Checks the keywords that tasks do not inherit.
    ///
    /// # Errors
    ///
    /// The first that cannot be rendered or is of the wrong kind.
    pub fn check(&self, templar: &Templar, scope: &HostScope) -> Result<(), Box<Diagnostic>> {
        for (keyword, kind) in KEYWORDS {
            let Some(node) = self.plan.play.keywords.get(keyword) else {
                continue;
            };
            let value = keyword_value(templar, keyword.name(), node, scope)?;
            if *keyword == Keyword::GatherSubset {
                texts(keyword.name(), &value, node, |item| {
                    matches!(item, Value::Str(_))
                })?;
            }
            if let Some(text) = misfit(&value, *kind) {
                return Err(wrong(keyword.name(), &text, node));
            }
        }
        Ok(())
    }

    /// `hosts`: a text or a list of texts, templated.
    ///
    /// # Errors
    ///
    /// It cannot be rendered, or has other things than texts.
    pub fn pattern(
        &self,
        templar: &Templar,
        scope: &HostScope,
    ) -> Result<Pattern, Box<Diagnostic>> {
        let node = &self.plan.play.hosts;
        let value = keyword_value(templar, "hosts", node, scope)?;
        if !matches!(value, Value::List(_)) {
            let heading = value.to_string();
            return Ok(Pattern {
                hosts: vec![heading.clone()],
                heading,
            });
        }
        let hosts = texts("hosts", &value, node, |item| {
            matches!(item, Value::Str(_) | Value::Int(_))
        })?;
        // A play without a name has that of a text as it comes out, of a list as it is written.
        let heading = match &node.kind {
            NodeKind::Seq(items) => {
                let written = items.iter().zip(&hosts);
                let written = written.map(|(item, host)| item.as_str().unwrap_or(host));
                written.collect::<Vec<_>>().join(",")
            }
            _ => value.to_string(),
        };
        Ok(Pattern { hosts, heading })
    }
}

/// The hosts of a play, as patterns.
pub struct Pattern {
    /// One after the other.
    pub hosts: Vec<String>,
    /// How a play without a name is called.
    pub heading: String,
}

/// The items of a keyword's list, or the one that stands for it.
fn texts(
    name: &str,
    value: &Value,
    node: &Node,
    fits: impl Fn(&Value) -> bool,
) -> Result<Vec<String>, Box<Diagnostic>> {
    let items = match value {
        Value::List(items) => items.to_vec(),
        one => vec![one.clone()],
    };
    let text = |(index, item): (usize, &Value)| {
        if fits(item) {
            return Ok(item.to_string());
        }
        let kind = item.type_name();
        let text = format!("Keyword '{name}' items must be of type 'str', not '{kind}'.");
        match &node.kind {
            NodeKind::Seq(items) => {
                let inside = items.get(index).unwrap_or(node);
                Err(wrong_at(name, &text, node, inside))
            }
            _ => Err(Box::new(
                Diagnostic::error(WRONG, processing(name, &text)).at(&node.span),
            )),
        }
    };
    items.iter().enumerate().map(text).collect()
}

fn keyword_value(
    templar: &Templar,
    name: &str,
    node: &Node,
    scope: &HostScope,
) -> Result<Value, Box<Diagnostic>> {
    let value = templar.expand(&crate::plan::unlocked(node, templar.secrets()), scope);
    value.map_err(|error| {
        let text = processing(name, &error.diagnostic.message);
        Box::new(Diagnostic::error(WRONG, text).at(&node.span))
    })
}

/// What is told of a keyword that cannot be rendered.
fn processing(name: &str, why: &str) -> String {
    format!("Error processing keyword '{name}': {why}")
}

/// A keyword of a task, or a variable in its place, whose template is wrong.
pub(super) fn unrendered(name: &str, mut error: TemplateError) -> ActionError {
    error.diagnostic.message = processing(name, &error.diagnostic.message);
    ActionError::Template(error)
}

/// What is told of a value that is not what it should be. No value is none of any kind.
pub(super) fn misfit(value: &Value, kind: Kind) -> Option<String> {
    if matches!(value, Value::None) || value.is_omit() {
        return None;
    }
    let (fits, wanted) = match kind {
        Kind::Any => (true, ""),
        Kind::Bool => (to_bool(value).is_some(), "bool"),
        Kind::Int => (to_int(value).is_some(), "int"),
        Kind::Float => (to_float(value).is_some(), "float"),
        Kind::Percent => (percent(value).is_some(), "percent"),
        Kind::Sizes => match value {
            Value::List(items) => (items.to_vec().iter().all(is_size), "list"),
            one => (is_size(one), "list"),
        },
    };
    (!fits).then(|| {
        let shown = value.repr();
        format!("The value {shown} could not be converted to '{wanted}'.")
    })
}

/// A number of hosts, or a share of them.
fn is_size(value: &Value) -> bool {
    to_int(value).is_some() || matches!(value, Value::Str(_)) && percent(value).is_some()
}

/// A number that may have a percent sign.
pub(super) fn percent(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => {
            let text = text.as_str().trim();
            text.strip_suffix('%').unwrap_or(text).trim().parse().ok()
        }
        other => to_float(other),
    }
}

/// A keyword's value is of the wrong kind; told as Ansible tells it, as a chain of causes.
fn wrong(name: &str, why: &str, node: &Node) -> Box<Diagnostic> {
    wrong_at(name, why, node, node)
}

/// The same for a part of the value.
fn wrong_at(name: &str, why: &str, node: &Node, inside: &Node) -> Box<Diagnostic> {
    let what = format!("Error processing keyword '{name}'");
    let chain = [
        Cause::new(what, Some(&node.span)),
        Cause::new(why, Some(&inside.span)),
    ];
    let text = explain(&chain);
    Box::new(Diagnostic::error(WRONG, text))
}
