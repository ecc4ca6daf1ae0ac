//! `service_facts`: the services that there are, and how they stand, as facts.

use std::path::Path;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;

/// Tells which services there are: those of systemd, and of `service` as Debian has it.
#[derive(ModuleArgs)]
struct Args {}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// `services`: name, state, status and source of each.
    ansible_facts: Map,
}

module! { "ansible.builtin.service_facts", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, _: Args) -> Result<Outcome, Failure> {
    let mut services = Map::new();
    let found = [
        old_services(machine, &mut services)?,
        units(machine, &mut services)?,
    ];
    if found == [false, false] {
        let msg = "Failed to find any services. This can be due to privileges or some other configuration issue.";
        return Ok(Outcome {
            skipped: true,
            ..Outcome::default()
        }
        .with("msg", msg));
    }
    Ok(Outcome {
        facts: map! { "services" => services },
        ..Outcome::default()
    })
}

/// Services of init scripts.
fn old_services(machine: &mut dyn Machine, services: &mut Map) -> Result<bool, Failure> {
    if !programs::installed(machine, "service") || programs::installed(machine, "chkconfig") {
        return Ok(false);
    }
    let output = programs::ask(machine, ["service", "--status-all"])?;
    for line in output.stdout_text().lines() {
        let (state, name) = match line.trim().split_once(']') {
            Some(("[ + ", name)) => ("running", name.trim()),
            Some(("[ - ", name)) => ("stopped", name.trim()),
            _ => continue,
        };
        let entry = map! { "name" => name, "state" => state, "source" => "sysv" };
        services.insert(name.to_owned(), Data::Map(entry));
    }
    Ok(true)
}

/// What is wrong with a unit, in place of how it is enabled.
const BAD: &[&str] = &["not-found", "masked", "failed"];

fn units(machine: &mut dyn Machine, services: &mut Map) -> Result<bool, Failure> {
    let runs = matches!(
        machine.stat(Path::new("/run/systemd/system"), true),
        Ok(Some(_))
    );
    if !runs || !programs::installed(machine, "systemctl") {
        return Ok(false);
    }
    let list = |machine: &mut dyn Machine, what: &str, plain: bool| {
        let mut words = vec![
            "systemctl",
            what,
            "--no-pager",
            "--type",
            "service",
            "--all",
        ];
        words.extend(plain.then_some("--plain"));
        programs::ask(machine, words).map(|output| output.stdout_text())
    };
    let add = |services: &mut Map, name: &str, state: &str, status: &str| {
        let entry = map! {
            "name" => name, "state" => state, "status" => status, "source" => "systemd",
        };
        services.insert(name.to_owned(), Data::Map(entry));
    };
    for line in list(machine, "list-units", true)?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, _, active, sub, ..] = fields.as_slice() else {
            continue;
        };
        if !name.ends_with(".service") {
            continue;
        }
        let bad = BAD.iter().find(|bad| fields.contains(bad));
        let state = if *sub == "running" {
            "running"
        } else {
            "stopped"
        };
        add(services, name, state, bad.unwrap_or(active));
    }
    let mut unloaded = Vec::new();
    for line in list(machine, "list-unit-files", false)?.lines() {
        let mut fields = line.split_whitespace();
        let (Some(name), Some(status)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !name.ends_with(".service") {
            continue;
        }
        match services.get_mut(name) {
            Some(Data::Map(entry)) => {
                let bad = entry.get("status").and_then(Data::as_str);
                if !bad.is_some_and(|status| BAD.contains(&status)) {
                    entry.insert("status".to_owned(), status.into());
                }
            }
            _ => unloaded.push((name.to_owned(), status.to_owned())),
        }
    }
    let states = states(machine, &unloaded)?;
    for (name, status) in &unloaded {
        let state = states.get(name).and_then(Data::as_str).unwrap_or("unknown");
        add(services, name, state, status);
    }
    Ok(true)
}

/// How units stand that are not loaded; templates have no state.
fn states(machine: &mut dyn Machine, units: &[(String, String)]) -> Result<Map, Failure> {
    let names: Vec<&str> = units
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !name.contains("@."))
        .collect();
    if names.is_empty() {
        return Ok(Map::new());
    }
    let mut words = vec!["systemctl", "show", "--property=Id,ActiveState"];
    words.extend(&names);
    let output = programs::ask(machine, words)?;
    let mut states = Map::new();
    for (name, block) in names.iter().zip(output.stdout_text().split("\n\n")) {
        let mut lines = block.lines();
        if let Some(state) = lines.find_map(|line| line.strip_prefix("ActiveState=")) {
            states.insert((*name).to_owned(), state.into());
        }
    }
    Ok(states)
}
