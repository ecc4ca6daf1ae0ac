//! `--list-hosts`, `--list-tasks`, `--list-tags`, `--syntax-check`: the plays as they would run.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::playbook::{Arguments, Loaded};
use super::{CommandError, Exit};
use crate::action;
use crate::diag::Diagnostic;
use crate::load::keyword::Keyword;
use crate::load::node::Node;
use crate::plan::{PlanItem, PlanTask};
use crate::run::{Inputs, Pattern, PlannedPlay, groups};

/// Prints the playbooks with what was asked for about their plays.
pub(super) fn print(loaded: &Loaded, wanted: &Arguments) -> Result<(), CommandError> {
    let listed = wanted.list_hosts || wanted.list_tasks || wanted.list_tags;
    let mut text = String::new();
    let mut told = HashSet::new();
    for playbook in &loaded.playbooks {
        text.push_str(&format!("\nplaybook: {}\n", playbook.path.display()));
        for (index, play) in playbook.plays.iter().enumerate().filter(|_| listed) {
            let written = add_play(
                &mut text,
                index + 1,
                play,
                &loaded.inputs,
                wanted,
                &mut told,
            );
            written.map_err(|problem| CommandError::new(Exit::Parse, *problem))?;
        }
    }
    crate::report::print(&loaded.inputs.files.secrets.hidden.text(&text));
    Ok(())
}

fn add_play(
    text: &mut String,
    number: usize,
    planned: &PlannedPlay,
    inputs: &Inputs,
    wanted: &Arguments,
    told: &mut HashSet<String>,
) -> Result<(), Box<Diagnostic>> {
    let plan = &planned.plan;
    let mut magic = inputs.magic.clone();
    magic.insert("groups".to_owned(), groups(&inputs.inventory));
    let mut scope = planned.early_scope(&Arc::new(inputs.extra.clone()), &Arc::new(magic));
    planned.add_files(&mut scope, &inputs.templar, &inputs.files);
    planned.check(&inputs.templar, &scope)?;
    let Pattern {
        hosts: pattern,
        heading,
    } = planned.pattern(&inputs.templar, &scope)?;
    let name = plan.play.keywords.get(&Keyword::Name);
    let name = name.map(|name| crate::plan::unlocked(name, inputs.templar.secrets()));
    let name = name.and_then(|name| inputs.templar.expand_soft(&name, &scope).ok());
    let name = name.map_or_else(|| heading, |name| name.to_string());
    let hosts = pattern.join(",");
    let tags = plan.tags.join(",");
    text.push_str(&format!(
        "\n  play #{number} ({hosts}): {name}\tTAGS: [{tags}]\n"
    ));
    let limit = inputs.options.limit.as_deref();
    let mut selected = inputs.inventory.select_list(&pattern, limit);
    // Each pattern once, however many plays have it.
    let new = |problem: &Diagnostic| told.insert(problem.message.clone());
    selected.problems.retain(new);
    super::tell(&selected.problems, &inputs.files.secrets.hidden);
    if wanted.list_hosts {
        let quoted: Vec<String> = pattern.iter().map(|one| format!("'{one}'")).collect();
        text.push_str(&format!("    pattern: [{}]\n", quoted.join(", ")));
        text.push_str(&format!("    hosts ({}):\n", selected.value.len()));
        for host in selected.value {
            text.push_str(&format!("      {host}\n"));
        }
    }
    if wanted.list_tasks || wanted.list_tags {
        add_tasks(text, planned, wanted);
    }
    Ok(())
}

fn add_tasks(text: &mut String, planned: &PlannedPlay, wanted: &Arguments) {
    let mut tasks = vec![];
    collect(&planned.plan.items, &mut tasks);
    if wanted.list_tasks {
        text.push_str("    tasks:\n");
        for task in &tasks {
            let tags: BTreeSet<&str> = task.tags.iter().map(String::as_str).collect();
            // Only a name of its own is told with its role, and not that of an `include_role`.
            let named = task.ast.keywords.get(&Keyword::Name).and_then(Node::as_str);
            let name = match action::canonical(&task.ast.call.name) {
                "include_role" => task.shown_name().to_owned(),
                _ if named.is_some_and(|name| !name.is_empty()) => task.full_name(),
                _ => task.shown_name().to_owned(),
            };
            text.push_str(&format!("      {name}\tTAGS: [{}]\n", joined(tags)));
        }
    }
    if wanted.list_tags {
        let of_tasks = tasks.iter().flat_map(|task| &task.tags);
        let tags = planned.plan.tags.iter().chain(of_tasks);
        let tags: BTreeSet<&str> = tags.map(String::as_str).collect();
        text.push_str(&format!("      TASK TAGS: [{}]\n", joined(tags)));
    }
}

/// The tasks that run when nothing fails: `rescue` and `always` are left out.
fn collect<'a>(items: &'a [PlanItem], tasks: &mut Vec<&'a PlanTask>) {
    for item in items {
        match item {
            PlanItem::Task(task) => tasks.push(task),
            PlanItem::Block(block) => collect(&block.block, tasks),
            PlanItem::FlushHandlers | PlanItem::RoleDone(_) => {}
        }
    }
}

fn joined(tags: BTreeSet<&str>) -> String {
    tags.into_iter().collect::<Vec<_>>().join(", ")
}
