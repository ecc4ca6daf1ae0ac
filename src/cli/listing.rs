//! `--list-hosts`, `--list-tasks`, `--list-tags`, `--syntax-check`: the plays as they would run.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use super::playbook::{Arguments, Loaded};
use crate::action;
use crate::load::keyword::Keyword;
use crate::plan::{PlanItem, PlanTask, early_scope};
use crate::run::{Inputs, PlannedPlay};
use crate::template::value::Value;

/// Prints the playbooks with what was asked for about their plays.
pub(super) fn print(loaded: &Loaded, wanted: &Arguments) {
    let listed = wanted.list_hosts || wanted.list_tasks || wanted.list_tags;
    let mut text = String::new();
    for playbook in &loaded.playbooks {
        text.push_str(&format!("\nplaybook: {}\n", playbook.path.display()));
        for (index, play) in playbook.plays.iter().enumerate().filter(|_| listed) {
            // Writing to a text does not fail.
            let _ = write_play(&mut text, index + 1, play, &loaded.inputs, wanted);
        }
    }
    crate::report::print(&loaded.inputs.files.secrets.hidden.text(&text));
}

fn write_play(
    text: &mut String,
    number: usize,
    planned: &PlannedPlay,
    inputs: &Inputs,
    wanted: &Arguments,
) -> std::fmt::Result {
    let plan = &planned.plan;
    let scope = early_scope(
        &Arc::new(inputs.extra.clone()),
        &planned.vars,
        &Arc::new(inputs.magic.clone()),
        &planned.dir,
    );
    let pattern = Value::from_node(&plan.play.hosts);
    let pattern = match inputs.templar.expand_soft(&pattern, &scope) {
        Ok(Value::List(items)) => items.to_vec().iter().map(ToString::to_string).collect(),
        Ok(value) => vec![value.to_string()],
        Err(_) => vec![],
    };
    let name = plan.play.keywords.get(&Keyword::Name).map(Value::from_node);
    let name = name.and_then(|name| inputs.templar.expand_soft(&name, &scope).ok());
    let name = name.map_or_else(|| pattern.join(","), |name| name.to_string());
    let hosts = pattern.join(",");
    let tags = plan.tags.join(",");
    writeln!(text, "\n  play #{number} ({hosts}): {name}\tTAGS: [{tags}]")?;
    if wanted.list_hosts {
        let limit = inputs.options.limit.as_deref();
        let selected = inputs.inventory.select_list(&pattern, limit);
        super::tell(&selected.problems, &inputs.files.secrets.hidden);
        let quoted: Vec<String> = pattern.iter().map(|one| format!("'{one}'")).collect();
        writeln!(text, "    pattern: [{}]", quoted.join(", "))?;
        writeln!(text, "    hosts ({}):", selected.value.len())?;
        for host in selected.value {
            writeln!(text, "      {host}")?;
        }
    }
    if wanted.list_tasks || wanted.list_tags {
        write_tasks(text, planned, wanted)?;
    }
    Ok(())
}

fn write_tasks(text: &mut String, planned: &PlannedPlay, wanted: &Arguments) -> std::fmt::Result {
    let mut tasks = vec![];
    collect(&planned.plan.items, &mut tasks);
    if wanted.list_tasks {
        writeln!(text, "    tasks:")?;
        for task in &tasks {
            let tags: BTreeSet<&str> = task.tags.iter().map(String::as_str).collect();
            // Only a name of its own is told with its role, and not that of an `include_role`.
            let named = task.ast.keywords.contains_key(&Keyword::Name);
            let name = match action::canonical(&task.ast.call.name) {
                "include_role" => task.shown_name().to_owned(),
                _ if named => task.full_name(),
                _ => task.shown_name().to_owned(),
            };
            writeln!(text, "      {name}\tTAGS: [{}]", joined(tags))?;
        }
    }
    if wanted.list_tags {
        let of_tasks = tasks.iter().flat_map(|task| &task.tags);
        let tags = planned.plan.tags.iter().chain(of_tasks);
        let tags: BTreeSet<&str> = tags.map(String::as_str).collect();
        writeln!(text, "      TASK TAGS: [{}]", joined(tags))?;
    }
    Ok(())
}

/// The tasks that run when nothing fails: `rescue` and `always` are left out.
fn collect<'a>(items: &'a [PlanItem], tasks: &mut Vec<&'a PlanTask>) {
    for item in items {
        match item {
            PlanItem::Task(task) => tasks.push(task),
            PlanItem::Block(block) => collect(&block.block, tasks),
            PlanItem::FlushHandlers => {}
        }
    }
}

fn joined(tags: BTreeSet<&str>) -> String {
    tags.into_iter().collect::<Vec<_>>().join(", ")
}
