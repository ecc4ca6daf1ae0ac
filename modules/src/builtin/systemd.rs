//! `systemd`: units of systemd, through `systemctl`.

use std::path::Path;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{map, module};

use super::{apt, programs};

/// Controls units of systemd.
#[derive(ModuleArgs)]
struct Args {
    /// The unit; a name without a suffix is a service.
    #[arg(alias = "service", alias = "unit")]
    name: Option<String>,
    /// The state that is wanted.
    state: Option<State>,
    /// Whether it starts with the system.
    enabled: Option<bool>,
    /// Whether it cannot be started at all.
    masked: Option<bool>,
    /// Replace links that are in the way when a unit is enabled.
    force: Option<bool>,
    /// Read the unit files again before anything else.
    #[arg(alias = "daemon-reload", default = "false")]
    daemon_reload: bool,
    /// Start systemd itself again before anything else.
    #[arg(alias = "daemon-reexec", default = "false")]
    daemon_reexec: bool,
    /// Whose units.
    #[arg(default = "system")]
    scope: Scope,
    /// Do not wait until the unit has started.
    #[arg(default = "false")]
    no_block: bool,
}

/// The wanted state of a service.
#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Reloaded,
    Restarted,
    Started,
    Stopped,
}

/// Whose units.
#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    System,
    User,
    Global,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The unit.
    name: String,
    /// The state that was wanted.
    state: String,
    /// Whether it starts with the system.
    enabled: bool,
    /// The properties of the unit before.
    status: Map,
}

module! { "ansible.builtin.systemd_service", args: Args, returns: Values, run: run, aliases: ["ansible.builtin.systemd"] }

/// What is wanted of a unit.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) state: Option<State>,
    pub(super) enabled: Option<bool>,
    pub(super) masked: Option<bool>,
}

/// How `systemctl` is called.
pub(super) struct Control {
    options: Vec<String>,
}

impl Control {
    pub(super) fn new(scope: Scope, no_block: bool, force: bool) -> Self {
        let mut options = Vec::new();
        if scope != Scope::System {
            options.push(format!("--{}", scope.word()));
        }
        if no_block {
            options.push("--no-block".to_owned());
        }
        if force {
            options.push("--force".to_owned());
        }
        Self { options }
    }

    fn words(&self, rest: &[&str]) -> Command {
        let words = ["systemctl"]
            .into_iter()
            .map(str::to_owned)
            .chain(self.options.clone());
        Command::new(words.chain(rest.iter().map(|word| (*word).to_owned()))).c_locale()
    }
}

/// Where unit files lie.
const UNIT_FOLDERS: &[&str] = &[
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if args.name.is_none()
        && (args.state.is_some() || args.enabled.is_some() || args.masked.is_some())
    {
        let wants = if args.state.is_some() {
            "state"
        } else if args.enabled.is_some() {
            "enabled"
        } else {
            "masked"
        };
        return Err(Failure::new(format!(
            "missing parameter(s) required by '{wants}': name"
        )));
    }
    let control = Control::new(args.scope, args.no_block, args.force == Some(true));
    for (wanted, action) in [
        (args.daemon_reload, "daemon-reload"),
        (args.daemon_reexec, "daemon-reexec"),
    ] {
        if !wanted {
            continue;
        }
        // Where no systemd answers, a question fails as the change would; a program that is not there yet says nothing.
        let output = match programs::change(machine, &control.words(&[action]))? {
            Some(output) => output,
            None => machine.query(&control.words(&["show"])).unwrap_or_default(),
        };
        if output.code != 0 {
            let text = if output.stdout.is_empty() {
                output.stderr_text()
            } else {
                output.stdout_text()
            };
            return Err(Failure::new(format!(
                "failure {} during {action}: {text}",
                output.code
            )));
        }
    }
    let wanted = Wanted {
        state: args.state,
        enabled: args.enabled,
        masked: args.masked,
    };
    match &args.name {
        Some(name) => unit(machine, name, &wanted, &control),
        None => Ok(Outcome::unchanged()
            .with("name", Data::Null)
            .with("status", Map::new())),
    }
}

/// Brings one unit into the wanted state.
pub(super) fn unit(
    machine: &mut dyn Machine,
    name: &str,
    wanted: &Wanted,
    control: &Control,
) -> Result<Outcome, Failure> {
    let shown = programs::query(machine, &control.words(&["show", name]))?;
    if shown.code != 0 {
        let program = programs::path_of(machine, "systemctl");
        let program =
            program.map_or_else(|| "systemctl".to_owned(), |path| path.display().to_string());
        return Err(programs::failed(shown.stderr_text().trim(), &shown).with("cmd", program));
    }
    let mut status = properties(&shown.stdout_text());
    let predicted = text_of(&status, "LoadState") == "not-found" && is_predicted(machine, name);
    if predicted {
        status = map! { "LoadState" => "loaded", "ActiveState" => "inactive", "UnitFileState" => "disabled" };
    }
    let property = |key: &str| text_of(&status, key).to_owned();
    let script = matches!(
        machine.stat(&Path::new("/etc/init.d").join(name), true),
        Ok(Some(_))
    );
    let missing = property("LoadState") == "not-found" && !script;
    if missing && (wanted.state.is_some() || wanted.enabled.is_some()) {
        return Err(not_found(name));
    }
    let mut outcome = Outcome::unchanged().with("name", name);
    if let Some(masked) = wanted.masked {
        let now =
            assumed(machine, "masked", name).unwrap_or_else(|| property("LoadState") == "masked");
        if now != masked {
            act(
                machine,
                control,
                if masked { "mask" } else { "unmask" },
                name,
            )?;
            assume(machine, "masked", name, masked);
            outcome.changed = true;
        }
        if missing && !masked {
            return Err(not_found(name));
        }
    }
    if let Some(enabled) = wanted.enabled {
        let now = match assumed(machine, "enabled", name) {
            Some(now) => now,
            None if predicted => property("UnitFileState") == "enabled",
            None => is_enabled(machine, control, name)?,
        };
        if now != enabled {
            act(
                machine,
                control,
                if enabled { "enable" } else { "disable" },
                name,
            )?;
            assume(machine, "enabled", name, enabled);
            outcome.changed = true;
        }
        outcome = outcome.with("enabled", enabled);
    }
    if let Some(state) = wanted.state {
        let active = property("ActiveState");
        if active.is_empty() {
            return Err(Failure::new("Service is in unknown state").with("status", status));
        }
        let running = assumed(machine, "active", name)
            .unwrap_or(matches!(active.as_str(), "active" | "activating"));
        let action = match (state, running) {
            (State::Started, true) => None,
            (State::Stopped, false) if active != "deactivating" => None,
            (State::Stopped, _) => Some("stop"),
            (State::Started | State::Reloaded | State::Restarted, false) => Some("start"),
            (State::Reloaded, true) => Some("reload"),
            (State::Restarted, true) => Some("restart"),
        };
        if let Some(action) = action {
            act(machine, control, action, name)?;
            assume(machine, "active", name, state != State::Stopped);
            outcome.changed = true;
        }
        outcome = outcome.with(
            "state",
            if state == State::Stopped {
                "stopped"
            } else {
                "started"
            },
        );
    }
    Ok(outcome.with("status", status))
}

/// The failure for a service that there is not.
pub(super) fn not_found(name: &str) -> Failure {
    Failure::new(format!("Could not find the requested service {name}: host"))
}

/// Whether an earlier task of a check would bring a unit that systemd does not know: in a package,
/// or as a file that is only predicted.
fn is_predicted(machine: &mut dyn Machine, name: &str) -> bool {
    if apt::installs(machine) {
        return true;
    }
    let file = if name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.service")
    };
    let mut is_there = |folder: &str| {
        matches!(
            machine.stat(&Path::new(folder).join(&file), true),
            Ok(Some(_))
        )
    };
    UNIT_FOLDERS.iter().any(|folder| is_there(folder))
}

fn text_of<'a>(status: &'a Map, key: &str) -> &'a str {
    status.get(key).and_then(Data::as_str).unwrap_or_default()
}

fn assumed(machine: &mut dyn Machine, what: &str, name: &str) -> Option<bool> {
    machine
        .assumed(&format!("unit:{what}:{name}"))
        .map(|state| state == "yes")
}

fn assume(machine: &mut dyn Machine, what: &str, name: &str, state: bool) {
    let value = if state { "yes" } else { "no" };
    machine.assume(Change::Fact(
        format!("unit:{what}:{name}"),
        Some(value.to_owned()),
    ));
}

fn is_enabled(machine: &mut dyn Machine, control: &Control, name: &str) -> Result<bool, Failure> {
    let output = programs::query(machine, &control.words(&["is-enabled", name]))?;
    let word = output
        .stdout_text()
        .lines()
        .last()
        .unwrap_or_default()
        .trim()
        .to_owned();
    // `alias` and the like end well although nothing starts the unit by itself.
    Ok(output.code == 0 && !matches!(word.as_str(), "alias" | "indirect" | "disabled" | "linked"))
}

fn act(
    machine: &mut dyn Machine,
    control: &Control,
    action: &str,
    name: &str,
) -> Result<(), Failure> {
    match programs::change(machine, &control.words(&[action, name]))? {
        Some(output) if output.code != 0 => Err(Failure::new(format!(
            "Unable to {action} service {name}: {}",
            output.stderr_text()
        ))),
        _ => Ok(()),
    }
}

/// `Key=value` lines; a value in braces may go on over lines.
fn properties(text: &str) -> Map {
    let mut found = Map::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        if let Some((key, mut value)) = open.take() {
            value.push('\n');
            value.push_str(line);
            if line.trim_end().ends_with('}') {
                found.insert(key, Data::Str(value));
            } else {
                open = Some((key, value));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let starts =
            key.starts_with("Exec") && value.starts_with('{') && !value.trim_end().ends_with('}');
        if starts {
            open = Some((key.to_owned(), value.to_owned()));
        } else {
            found.insert(key.to_owned(), Data::from(value));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_over_lines() {
        let found = properties("A=1\nExecStart={ path=/x ; argv=a\nb }\nB=x=y\n");
        assert_eq!(
            found,
            map! { "A" => "1", "ExecStart" => "{ path=/x ; argv=a\nb }", "B" => "x=y" }
        );
    }
}
