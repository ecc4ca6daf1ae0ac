//! A task as a worker needs it: every keyword that applies, inherited and added up, as values that
//! are still to be templated for each host.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::scope::Surroundings;
use crate::diag::Span;
use crate::load::keyword::Keyword;
use crate::load::node::{Node, NodeKind};
use crate::ordered::Hasher;
use crate::plan::{Files, PlanTask, task_vars, unlocked};
use crate::template::value::Value;
use crate::vars::VarMap;

/// A task, ready for any number of hosts.
#[derive(Clone, Debug)]
pub(crate) struct TaskSpec {
    /// The plan's task.
    pub(crate) task: Arc<PlanTask>,
    /// The action's full name.
    pub(crate) action: String,
    /// Arguments with the places of their names.
    pub(crate) args: IndexMap<String, (Span, Value)>,
    /// Free-form text.
    pub(crate) free_form: Option<Value>,
    /// A template in place of the arguments.
    pub(crate) args_template: Option<Value>,
    /// The loop's lookup (`None`: `loop`) and items.
    pub(crate) looping: Option<(Option<String>, Value, Span)>,
    /// Conditions from the play down to the task.
    pub(crate) when: Vec<(Value, Span)>,
    /// Environments from the play down to the task.
    pub(crate) environment: Vec<Value>,
    /// Module defaults from the play down to the task.
    pub(crate) module_defaults: Vec<Value>,
    /// Handlers to notify, from the play down to the task.
    pub(crate) notify: Vec<Value>,
    /// `vars` of the task.
    pub(crate) vars: Arc<VarMap>,
    /// Every other keyword: its nearest value.
    pub(super) keywords: HashMap<Keyword, (Value, Span), Hasher>,
    /// What it sees of its place, once a scope was made for it.
    pub(super) surroundings: OnceLock<Surroundings>,
}

/// Keywords that add up instead of being overridden.
const ADDING: &[Keyword] = &[
    Keyword::When,
    Keyword::Environment,
    Keyword::ModuleDefaults,
    Keyword::Notify,
    Keyword::Vars,
    Keyword::Tags,
];

/// Keywords that only a task's own text sets.
const OWN: &[Keyword] = &[
    Keyword::Register,
    Keyword::ChangedWhen,
    Keyword::FailedWhen,
    Keyword::Until,
    Keyword::Retries,
    Keyword::Delay,
    Keyword::LoopControl,
    Keyword::Listen,
    Keyword::Name,
    Keyword::Async,
    Keyword::Poll,
];

impl TaskSpec {
    /// Collects everything that applies to a task.
    pub(crate) fn new(task: &Arc<PlanTask>, files: &Files) -> Self {
        let ast = &task.ast;
        let mut value = |node: &Node| unlocked(node, &files.secrets);
        let own_and_inherited = |keyword: Keyword| {
            let mut nodes = task.frame.keywords(keyword);
            nodes.extend(ast.keywords.get(&keyword));
            nodes
        };
        let mut keywords = HashMap::default();
        for frame in task.frame.chain().collect::<Vec<_>>().into_iter().rev() {
            for (keyword, node) in &frame.keywords {
                if !ADDING.contains(keyword) && !OWN.contains(keyword) {
                    keywords.insert(*keyword, (value(node), node.span.clone()));
                }
            }
        }
        for (keyword, node) in &ast.keywords {
            if !ADDING.contains(keyword) {
                keywords.insert(*keyword, (value(node), node.span.clone()));
            }
        }
        let spec = Self {
            action: crate::action::canonical(&ast.call.name).to_owned(),
            args: ast
                .call
                .args
                .iter()
                .map(|(name, arg)| (name.clone(), (arg.key.clone(), value(&arg.value))))
                .collect(),
            free_form: ast.call.free_form.as_ref().map(&mut value),
            args_template: ast.call.args_template.as_ref().map(&mut value),
            looping: ast
                .looping
                .as_ref()
                .map(|it| (it.lookup.clone(), value(&it.items), it.items.span.clone())),
            when: own_and_inherited(Keyword::When)
                .into_iter()
                .flat_map(|node| each(node, &mut value))
                .collect(),
            environment: own_and_inherited(Keyword::Environment)
                .into_iter()
                .map(&mut value)
                .collect(),
            module_defaults: own_and_inherited(Keyword::ModuleDefaults)
                .into_iter()
                .map(&mut value)
                .collect(),
            notify: own_and_inherited(Keyword::Notify)
                .into_iter()
                .map(&mut value)
                .collect(),
            vars: Arc::default(),
            keywords,
            surroundings: OnceLock::new(),
            task: Arc::clone(task),
        };
        Self {
            vars: Arc::new(task_vars(task, files)),
            ..spec
        }
    }

    /// The nearest value of a keyword, untemplated.
    pub(crate) fn keyword(&self, keyword: Keyword) -> Option<&Value> {
        self.keywords.get(&keyword).map(|(value, _)| value)
    }

    /// Where the nearest value of a keyword stands.
    pub(crate) fn keyword_span(&self, keyword: Keyword) -> Option<&Span> {
        self.keywords.get(&keyword).map(|(_, span)| span)
    }

    /// Where an entry of `loop_control` stands.
    pub(crate) fn control_span(&self, name: &str) -> Option<Span> {
        let control = self.task.ast.keywords.get(&Keyword::LoopControl)?;
        control.get(name).map(|node| node.span.clone())
    }

    /// Where the template in place of the arguments stands.
    pub(crate) fn args_place(&self) -> Option<&Span> {
        let template = self.task.ast.call.args_template.as_ref();
        template.map(|node| &node.span)
    }

    /// Where the task stands.
    pub(crate) fn span(&self) -> &Span {
        &self.task.ast.span
    }
}

/// The items of a list, or the node itself.
fn each(node: &Node, value: &mut impl FnMut(&Node) -> Value) -> Vec<(Value, Span)> {
    match &node.kind {
        NodeKind::Seq(items) => items
            .iter()
            .map(|item| (value(item), item.span.clone()))
            .collect(),
        NodeKind::Null => vec![],
        _ => vec![(value(node), node.span.clone())],
    }
}
