//! `rplay why HOST VARIABLE [PLAYBOOK...]`: every definition of a variable of a host, the strongest first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;

use super::options::TaskOptions;
use super::programs::{Call, parse};
use super::session::{self, Session};
use super::{CommandError, Exit, finish};
use crate::diag::{Diagnostic, Span, nearest};
use crate::inventory::{Inventory, LayerKind};
use crate::plan::TagFilter;
use crate::report;
use crate::run::{self, PlannedPlay};
use crate::secrets::{STARS, Secrets};
use crate::template::value::Value;
use crate::vars::VarMap;

/// Lists every definition of a variable of a host in order of precedence, with file and line.
#[derive(Debug, Parser)]
pub(super) struct Why {
    /// The host
    host: String,
    /// The variable
    variable: String,
    /// Playbooks whose plays and roles count, too
    playbooks: Vec<PathBuf>,
    #[command(flatten)]
    options: TaskOptions,
}

/// One definition.
struct Definition {
    /// Which of the levels of precedence it is, and of what.
    level: String,
    /// Where it is written.
    place: String,
    /// The value as text; of what a vault holds only that it is secret.
    value: String,
}

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Why>(call) {
        Ok(arguments) => finish(run(&arguments, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn run(arguments: &Why, hidden: &Secrets) -> Result<Exit, CommandError> {
    let mut problems = vec![];
    let config = session::config(&mut problems);
    let tags = TagFilter::default();
    let Session { inputs, planner } = session::prepare(
        &arguments.options,
        config,
        "all",
        tags,
        &mut problems,
        hidden,
    )?;
    let extra = Arc::new(inputs.extra.clone());
    let magic = Arc::new(inputs.magic.clone());
    let mut plays: Vec<PlannedPlay> = vec![];
    for path in &arguments.playbooks {
        let planned = run::plan_playbook(path, &planner, &extra, &magic);
        plays.extend(planned.collect(&mut problems).plays);
    }
    session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    let host = &arguments.host;
    if !inputs.inventory.hosts.contains_key(host) && !inputs.inventory.is_implicit(host) {
        let text = format!("there is no host '{host}' in the inventory");
        return Err(unknown(text, host, inputs.inventory.hosts.keys()));
    }
    let mut dirs: Vec<&Path> = plays.iter().map(|play| play.dir.as_path()).collect();
    dirs.dedup();
    let name = arguments.variable.as_str();
    let mut found = given(&inputs.extra, name);
    for play in &plays {
        found.extend(of_play(play, name));
    }
    found.extend(of_inventory(
        &inputs.inventory,
        host,
        &dirs,
        name,
        &mut problems,
    ));
    for play in &plays {
        found.extend(of_defaults(play, name));
    }
    session::stop_at_errors(&mut problems, Exit::Error, hidden)?;
    if found.is_empty() {
        let layers = inputs.inventory.layers(host, &dirs).value;
        let names = layers.iter().flat_map(|layer| layer.vars.keys());
        let names: Vec<&String> = names.chain(inputs.extra.keys()).collect();
        let text = format!("nothing defines '{name}' for the host '{host}'");
        return Err(unknown(text, name, names));
    }
    let mut text = String::new();
    for (at, one) in found.iter().enumerate() {
        let mark = if at == 0 { '*' } else { ' ' };
        text.push_str(&format!("{mark} {}\n    {}\n", one.level, one.place));
        text.push_str(&format!("    {name}: {}\n", one.value));
    }
    let note = "What tasks set while they run (facts, register, set_fact, include_vars, vars of tasks) is known then only.\n";
    report::print(&hidden.text(&(text + note)));
    Ok(Exit::Ok)
}

fn unknown<'a>(
    text: String,
    name: &str,
    names: impl IntoIterator<Item = &'a String>,
) -> CommandError {
    let mut problem = Diagnostic::error("why", text);
    if let Some(near) = nearest(name, names.into_iter().map(String::as_str)) {
        problem = problem.hint(format!("did you mean `{near}`?"));
    }
    CommandError::new(Exit::Error, problem)
}

/// `-e`.
fn given(extra: &VarMap, name: &str) -> Vec<Definition> {
    let value = extra.get(name);
    value
        .map(|value| definition("--extra-vars".to_owned(), "the command line", value))
        .into_iter()
        .collect()
}

fn definition(level: String, file: &str, value: &Value) -> Definition {
    let place = value.origin();
    Definition {
        level,
        value: shown(value, place.as_ref()),
        place: place.map_or_else(|| file.to_owned(), |place| place.to_string()),
    }
}

fn shown(value: &Value, place: Option<&Span>) -> String {
    match place.is_some_and(|place| place.source.secret) {
        true => STARS.to_owned(),
        false => value.repr(),
    }
}

/// What a play and the variables of its roles say, the strongest first.
fn of_play(play: &PlannedPlay, name: &str) -> Vec<Definition> {
    let mut found = vec![];
    for role in play.plan.roles.iter().rev() {
        if let Some(value) = role.vars.get(name) {
            let file = role.path.join("vars");
            let level = format!("vars of the role {}", role.name);
            found.push(definition(level, &file.display().to_string(), value));
        }
    }
    if let Some(value) = play.vars.get(name) {
        let place = play.plan.play.span.to_string();
        found.push(definition("vars of the play".to_owned(), &place, value));
    }
    found
}

/// What the defaults of a play's roles say.
fn of_defaults(play: &PlannedPlay, name: &str) -> Vec<Definition> {
    let roles = play.plan.roles.iter().rev();
    roles
        .filter_map(|role| {
            let file = role.path.join("defaults");
            let level = format!("defaults of the role {}", role.name);
            let value = role.defaults.get(name)?;
            Some(definition(level, &file.display().to_string(), value))
        })
        .collect()
}

/// What the inventory and the files beside it and beside the playbooks say, the strongest first.
fn of_inventory(
    inventory: &Inventory,
    host: &str,
    dirs: &[&Path],
    name: &str,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Definition> {
    let layers = inventory.layers(host, dirs).collect(problems);
    let found = layers.iter().rev().filter_map(|layer| {
        let node = layer.vars.get(name)?;
        let level = match layer.what {
            LayerKind::AllInventory | LayerKind::GroupInventory => {
                format!("group {} in the inventory", layer.name)
            }
            LayerKind::AllInventoryFiles | LayerKind::GroupInventoryFiles => {
                format!("group_vars of {} beside the inventory", layer.name)
            }
            LayerKind::AllPlaybookFiles | LayerKind::GroupPlaybookFiles => {
                format!("group_vars of {} beside the playbook", layer.name)
            }
            LayerKind::HostInventory => format!("host {} in the inventory", layer.name),
            LayerKind::HostInventoryFiles => "host_vars beside the inventory".to_owned(),
            LayerKind::HostPlaybookFiles => "host_vars beside the playbook".to_owned(),
        };
        Some(Definition {
            level,
            place: node.span.to_string(),
            value: shown(&Value::from_node(node), Some(&node.span)),
        })
    });
    let mut found: Vec<Definition> = found.collect();
    // A playbook beside its inventory shares its files.
    found.dedup_by(|weaker, stronger| weaker.place == stronger.place);
    found
}
