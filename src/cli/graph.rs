//! `rplay graph PLAYBOOK...`: plays, roles and tasks as they would run, as a graph.

use std::path::Path;
use std::sync::Arc;

use clap::Parser;

use super::playbook::{self, Loaded};
use super::programs::{Call, parse};
use super::{CommandError, Exit, finish};
use crate::diag::Diagnostic;
use crate::load::keyword::Keyword;
use crate::load::node::{Node as Written, NodeKind};
use crate::plan::{FrameKind, PlanItem, PlanTask};
use crate::report::graph::{Form, Graph, Kind, Node, Tie};
use crate::run::PlannedPlay;
use crate::secrets::Secrets;

/// Prints the graph of plays, roles and tasks.
#[derive(Debug, Parser)]
pub(super) struct Drawing {
    #[command(flatten)]
    run: playbook::Arguments,
    /// The form of the graph
    #[arg(long, value_name = "FORM", value_enum, default_value = "dot")]
    form: Form,
}

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Drawing>(call) {
        Ok(arguments) => finish(run(&arguments, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn run(arguments: &Drawing, hidden: &Secrets) -> Result<Exit, CommandError> {
    if arguments.run.only_lists() || arguments.run.step || arguments.run.has_reports() {
        let text = "nothing is run for a graph: --syntax-check, --list-hosts, --list-tasks, --list-tags, --step and --report have no place in it";
        let problem = Diagnostic::error("usage", text);
        return Err(CommandError::new(Exit::Options, problem));
    }
    let Loaded { playbooks, .. } = playbook::load_for_nobody(&arguments.run, hidden)?;
    let mut graph = Graph::default();
    for playbook in &playbooks {
        let path = crate::files::from_here(&playbook.path)
            .display()
            .to_string();
        let top = graph.add(None, Node::new(Kind::Playbook, path, ""));
        for play in &playbook.plays {
            add_play(&mut graph, top, play);
        }
    }
    crate::report::print(&hidden.text(&graph.to_text(arguments.form)));
    Ok(Exit::Ok)
}

fn add_play(graph: &mut Graph, top: usize, planned: &PlannedPlay) {
    let play = &planned.plan.play;
    let hosts = texts(&play.hosts).join(",");
    let name = play.keywords.get(&Keyword::Name).and_then(Written::as_str);
    let label = name.unwrap_or(&hosts).to_owned();
    let node = Node::new(Kind::Play, label, format!("hosts: {hosts}"));
    let top = graph.add(Some(top), node);
    let mut tasks = vec![];
    add_items(graph, top, &planned.plan.items, &mut tasks);
    let mut handlers = vec![];
    if !planned.plan.handlers.is_empty() {
        let part = graph.add(Some(top), Node::new(Kind::Part, "handlers", ""));
        add_items(graph, part, &planned.plan.handlers, &mut handlers);
    }
    // Handlers notify each other, too.
    for (from, task) in tasks.iter().chain(&handlers) {
        let notified = task.ast.keywords.get(&Keyword::Notify).into_iter();
        for name in notified
            .chain(task.frame.keywords(Keyword::Notify))
            .flat_map(texts)
        {
            let mut heard = handlers
                .iter()
                .filter(|(_, handler)| listens(handler, &name));
            // The last one of a name counts, and all of a topic.
            let by_name = handlers
                .iter()
                .rev()
                .find(|(_, handler)| is_called(handler, &name));
            for (to, _) in by_name.into_iter().chain(heard.by_ref()) {
                graph.tie(*from, *to, Tie::Notifies);
            }
        }
    }
}

fn add_items<'a>(
    graph: &mut Graph,
    parent: usize,
    items: &'a [PlanItem],
    tasks: &mut Vec<(usize, &'a Arc<PlanTask>)>,
) {
    for item in items {
        match item {
            PlanItem::Task(task) => {
                let parent = role_of(graph, parent, task);
                let kind = if task.handler {
                    Kind::Handler
                } else {
                    Kind::Task
                };
                let node = Node::new(kind, task.shown_name(), note(task));
                tasks.push((graph.add(Some(parent), node), task));
            }
            PlanItem::Block(block) => {
                let first = first_task(&block.block);
                let parent = first.map_or(parent, |task| role_of(graph, parent, task));
                let frame = first.map(|task| &task.frame);
                let frame = frame.filter(|frame| frame.kind == FrameKind::Block);
                let name = frame.and_then(|frame| frame.keywords.get(&Keyword::Name)?.as_str());
                let label = name.unwrap_or("block");
                let part = graph.add(Some(parent), Node::new(Kind::Part, label, "block"));
                add_items(graph, part, &block.block, tasks);
                for (label, items) in [("rescue", &block.rescue), ("always", &block.always)] {
                    if !items.is_empty() {
                        let part = graph.add(Some(part), Node::new(Kind::Part, label, ""));
                        add_items(graph, part, items, tasks);
                    }
                }
            }
            PlanItem::FlushHandlers | PlanItem::RoleDone(_) => {}
        }
    }
}

/// The node of a task's role, where its parent is not in that already.
fn role_of(graph: &mut Graph, parent: usize, task: &PlanTask) -> usize {
    match &task.frame.role {
        Some(role) if !graph.within(parent, &role.name) => {
            let note = crate::files::from_here(Path::new(&role.path))
                .display()
                .to_string();
            graph.last_or_add(parent, Node::new(Kind::Role, &role.name, note))
        }
        _ => parent,
    }
}

fn first_task(items: &[PlanItem]) -> Option<&Arc<PlanTask>> {
    items.iter().find_map(|item| match item {
        PlanItem::Task(task) => Some(task),
        _ => None,
    })
}

/// The action, and what decides whether and how often it runs.
fn note(task: &PlanTask) -> String {
    let action = task.ast.call.name.as_str();
    // A task without a name is called by its action.
    let mut words = vec![];
    if task.shown_name() != action {
        words.push(action);
    }
    let includes = crate::load::actions::short(action).starts_with("include_");
    let file = task.ast.call.free_form.as_ref().filter(|_| includes);
    words.extend(file.and_then(Written::as_str));
    for (is, word) in [
        (task.ast.looping.is_some(), "loop"),
        (task.ast.keywords.contains_key(&Keyword::When), "when"),
        (
            task.ast.keywords.contains_key(&Keyword::DelegateTo),
            "delegated",
        ),
    ] {
        if is {
            words.push(word);
        }
    }
    words.join(", ")
}

fn is_called(handler: &PlanTask, name: &str) -> bool {
    handler.shown_name() == name || handler.full_name() == name
}

fn listens(handler: &PlanTask, name: &str) -> bool {
    let topics = handler.ast.keywords.get(&Keyword::Listen).map(texts);
    topics.is_some_and(|topics| topics.iter().any(|topic| topic == name))
}

/// A text, or all texts of a list.
fn texts(node: &Written) -> Vec<String> {
    match &node.kind {
        NodeKind::Seq(items) => items.iter().flat_map(texts).collect(),
        _ => node.as_str().map(str::to_owned).into_iter().collect(),
    }
}
