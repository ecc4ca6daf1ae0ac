//! `service`: a service runs or not, now and after a boot.

use std::path::Path;

use rplay_modules::args::{ModuleArgs, Returns};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::systemd::{self, Scope, State, Wanted};
use super::{apt, programs};

/// Controls services, with systemd or with scripts in `/etc/init.d`.
#[derive(ModuleArgs)]
struct Args {
    /// The name.
    name: String,
    /// The state that is wanted.
    #[arg(choices = "started, stopped, reloaded, restarted")]
    state: Option<State>,
    /// Whether it starts with the system.
    enabled: Option<bool>,
    /// A pattern of the processes of a service whose script knows no `status`.
    pattern: Option<String>,
    /// How many seconds to wait between stop and start of a restart.
    sleep: Option<u64>,
    /// The run level of `OpenRC`.
    #[arg(default = "default")]
    runlevel: String,
    /// Further arguments of the script.
    #[arg(alias = "args", default = "")]
    arguments: String,
    /// The service manager; `auto` takes the machine's own.
    #[arg(default = "auto")]
    r#use: String,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The name.
    name: String,
    /// The state that was wanted.
    state: String,
    /// Whether it starts with the system.
    enabled: bool,
}

module! { "ansible.builtin.service", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    if args.state.is_none() && args.enabled.is_none() {
        return Err(Failure::new(
            "one of the following is required: state, enabled",
        ));
    }
    let booted = matches!(
        machine.stat(Path::new("/run/systemd/system"), true),
        Ok(Some(_))
    );
    match args.r#use.as_str() {
        "auto"
        | "service"
        | "sysvinit"
        | "systemd"
        | "ansible.builtin.systemd"
        | "ansible.builtin.service" => {}
        other => {
            return Err(Failure::new(format!(
                "the service manager `{other}` is not supported yet"
            )));
        }
    }
    if args.r#use.ends_with("systemd") || (booted && args.r#use == "auto") {
        let wanted = Wanted {
            state: args.state,
            enabled: args.enabled,
            ..Wanted::default()
        };
        return systemd::unit(
            machine,
            &args.name,
            &wanted,
            &systemd::Control::new(Scope::System, false, false),
        );
    }
    if args.runlevel != "default" {
        return Err(Failure::new("run levels of OpenRC are not supported yet"));
    }
    script(machine, &args)
}

/// A script in `/etc/init.d`.
fn script(machine: &mut dyn Machine, args: &Args) -> Result<Outcome, Failure> {
    let name = args.name.as_str();
    let path = format!("/etc/init.d/{name}");
    if !matches!(machine.stat(Path::new(&path), true), Ok(Some(_))) && !apt::installs(machine) {
        return Err(systemd::not_found(name));
    }
    let mut outcome = Outcome::unchanged().with("name", name);
    if let Some(enabled) = args.enabled {
        outcome.changed |= enable(machine, name, enabled)?;
        outcome = outcome.with("enabled", enabled);
    }
    if let Some(state) = args.state {
        let running = runs(machine, args)?;
        let actions: &[&str] = match (state, running) {
            (State::Started, true) | (State::Stopped, false) => &[],
            (State::Started | State::Reloaded, false) => &["start"],
            (State::Stopped, true) => &["stop"],
            (State::Reloaded, true) => &["reload"],
            (State::Restarted, true) if args.sleep.is_some() => &["stop", "start"],
            (State::Restarted, _) => &["restart"],
        };
        for (index, action) in actions.iter().enumerate() {
            if index > 0 {
                machine.sleep(std::time::Duration::from_secs(args.sleep.unwrap_or(0)));
            }
            act(machine, args, action)?;
        }
        let now = if state == State::Stopped {
            "stopped"
        } else {
            "started"
        };
        machine.assume(Change::Fact(
            format!("service:{name}"),
            Some(now.to_owned()),
        ));
        outcome.changed |= !actions.is_empty();
        outcome = outcome.with(
            "state",
            if state == State::Stopped {
                "stopped"
            } else {
                "started"
            },
        );
    }
    Ok(outcome)
}

/// The program that calls scripts with a clean environment, or the script itself.
fn call(machine: &mut dyn Machine, args: &Args, action: &str) -> Result<Vec<String>, Failure> {
    let mut argv = match programs::installed(machine, "service") {
        true => vec!["service".to_owned(), args.name.clone(), action.to_owned()],
        false => vec![format!("/etc/init.d/{}", args.name), action.to_owned()],
    };
    argv.extend(crate::text::split_words(&args.arguments)?);
    Ok(argv)
}

fn act(machine: &mut dyn Machine, args: &Args, action: &str) -> Result<(), Failure> {
    let argv = call(machine, args, action)?;
    match programs::change(machine, &Command::new(argv).c_locale())? {
        Some(output) if output.code != 0 => {
            let text = if output.stderr.is_empty() {
                output.stdout_text()
            } else {
                output.stderr_text()
            };
            Err(programs::failed(text, &output))
        }
        _ => Ok(()),
    }
}

fn runs(machine: &mut dyn Machine, args: &Args) -> Result<bool, Failure> {
    if let Some(state) = machine.assumed(&format!("service:{}", args.name)) {
        return Ok(state == "started");
    }
    if let Some(pattern) = &args.pattern {
        let listed = programs::ask(machine, ["ps", "auxww"])?.stdout_text();
        return Ok(listed.lines().any(|line| line.contains(pattern.as_str())));
    }
    let argv = call(machine, args, "status")?;
    let output = programs::ask(machine, argv)?;
    let text = output.stdout_text().to_lowercase();
    // Old scripts say it in words only and always end well.
    let stopped = [
        "not running",
        "is stopped",
        "is dead",
        "inactive",
        "no process",
    ]
    .iter()
    .any(|words| text.contains(words));
    Ok(output.code == 0 && !stopped)
}

fn enable(machine: &mut dyn Machine, name: &str, enabled: bool) -> Result<bool, Failure> {
    let key = format!("enabled:{name}");
    let now = match machine.assumed(&key) {
        Some(state) => state == "yes",
        None => starts(machine, name),
    };
    if now == enabled {
        return Ok(false);
    }
    let commands: Vec<Vec<&str>> = if programs::installed(machine, "update-rc.d") {
        if enabled {
            vec![
                vec!["update-rc.d", name, "defaults"],
                vec!["update-rc.d", name, "enable"],
            ]
        } else {
            vec![vec!["update-rc.d", name, "disable"]]
        }
    } else if programs::installed(machine, "chkconfig") {
        vec![
            vec!["chkconfig", "--add", name],
            vec!["chkconfig", name, if enabled { "on" } else { "off" }],
        ]
    } else {
        return Err(Failure::new(
            "cannot enable or disable services: neither `update-rc.d` nor `chkconfig` is there",
        ));
    };
    for argv in commands {
        if let Some(output) = programs::change(machine, &Command::new(argv).c_locale())?
            && output.code != 0
        {
            return Err(programs::failed(output.stderr_text(), &output));
        }
    }
    machine.assume(Change::Fact(
        key,
        Some(if enabled { "yes" } else { "no" }.to_owned()),
    ));
    Ok(true)
}

/// Whether a run level of the machine has a link that starts it.
fn starts(machine: &mut dyn Machine, name: &str) -> bool {
    ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"]
        .iter()
        .any(|folder| {
            let names = machine.list(Path::new(folder)).unwrap_or_default();
            names.iter().filter_map(|link| link.to_str()).any(|link| {
                link.strip_prefix('S').is_some_and(|rest| {
                    rest.trim_start_matches(|letter: char| letter.is_ascii_digit()) == name
                })
            })
        })
}
