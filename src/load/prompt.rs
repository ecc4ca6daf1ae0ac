//! `vars_prompt`: the questions of a play.

use super::node::{Node, NodeKind};
use super::resolve;
use crate::diag::{Diagnostic, Span, nearest};

/// A question.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The variable that gets the answer.
    pub name: String,
    /// Where its name stands.
    pub place: Span,
    /// What the user reads; its name where nothing is written.
    pub text: String,
    /// Counts when the answer is empty, and where nobody can be asked.
    pub default: Option<Node>,
    /// The answer is not shown while it is typed.
    pub private: bool,
    /// The answer is never a template.
    pub is_unsafe: bool,
    /// The answer must be given twice.
    pub confirm: bool,
    /// The way in which the answer is hashed.
    pub encrypt: Option<String>,
    /// The salt of the hash.
    pub salt: Option<String>,
    /// The length of a salt by chance.
    pub salt_size: Option<usize>,
}

const OPTIONS: &[&str] = &[
    "name",
    "prompt",
    "default",
    "private",
    "confirm",
    "encrypt",
    "salt_size",
    "salt",
    "unsafe",
];

/// The questions under `vars_prompt`: a list, or a single one.
pub fn prompts(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Prompt> {
    let entries = match &node.kind {
        NodeKind::Null => &[],
        NodeKind::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    entries
        .iter()
        .filter_map(|entry| match prompt(entry) {
            Ok(prompt) => Some(prompt),
            Err(problem) => {
                problems.push(*problem);
                None
            }
        })
        .collect()
}

fn prompt(entry: &Node) -> Result<Prompt, Box<Diagnostic>> {
    let wrong = |message: String| Diagnostic::error("vars-prompt", message).at(&entry.span);
    let NodeKind::Map(options) = &entry.kind else {
        let kind = entry.kind_name();
        let message = format!("Invalid vars_prompt data structure, expected a mapping, got {kind}");
        return Err(Box::new(wrong(message)));
    };
    let get = |name: &str| entry.get(name).filter(|value| !value.is_null());
    let Some((name, place)) =
        get("name").and_then(|node| Some((node.as_str()?, node.span.clone())))
    else {
        let message = "Invalid vars_prompt data structure, missing 'name' key";
        return Err(Box::new(wrong(message.to_owned())));
    };
    for (key, _) in options {
        let key = key.as_str().unwrap_or_default();
        if !OPTIONS.contains(&key) {
            let message =
                format!("Invalid vars_prompt data structure, found unsupported key '{key}'");
            let mut problem = wrong(message);
            if let Some(near) = nearest(key, OPTIONS.iter().copied()) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
            return Err(Box::new(problem));
        }
    }
    let flag = |option: &str, otherwise: bool| {
        let Some(node) = get(option) else {
            return Ok(otherwise);
        };
        let value = match &node.kind {
            NodeKind::Bool(on) => Some(*on),
            NodeKind::Int(0) => Some(false),
            NodeKind::Int(1) => Some(true),
            NodeKind::Str(text) => resolve::boolean(text),
            _ => None,
        };
        value.ok_or_else(|| {
            let text = format!("`{option}` of vars_prompt is not a valid boolean");
            Box::new(Diagnostic::error("vars-prompt", text).at(&node.span))
        })
    };
    Ok(Prompt {
        name: name.to_owned(),
        place,
        text: get("prompt")
            .and_then(Node::as_str)
            .unwrap_or(name)
            .to_owned(),
        default: get("default").cloned(),
        private: flag("private", true)?,
        is_unsafe: flag("unsafe", false)?,
        confirm: flag("confirm", false)?,
        encrypt: get("encrypt").and_then(Node::as_str).map(str::to_owned),
        salt: get("salt").and_then(Node::as_str).map(str::to_owned),
        salt_size: get("salt_size").and_then(|node| match &node.kind {
            NodeKind::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        }),
    })
}
