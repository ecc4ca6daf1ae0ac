//! `sysvinit`: a service with a script in `/etc/init.d`.

use std::path::Path;
use std::time::Duration;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::text::split_words;
use rplay_modules::{map, module};

use super::systemd::State;
use super::{apt, programs};

/// Starts and stops a service by its script in `/etc/init.d`, and lets it start with the system.
#[derive(ModuleArgs)]
struct Args {
    /// The name.
    #[arg(alias = "service")]
    name: String,
    /// The state that is wanted; `restarted` and `reloaded` act in any case.
    #[arg(choices = "started, stopped, restarted, reloaded")]
    state: Option<State>,
    /// Whether it starts with the system.
    enabled: Option<bool>,
    /// How many seconds to wait after each step of a restart.
    #[arg(default = "1")]
    sleep: u64,
    /// A text in the list of processes that tells that it runs.
    pattern: Option<String>,
    /// The run levels that `enabled` is about.
    runlevels: Option<Vec<String>>,
    /// Further arguments of the script.
    #[arg(alias = "args")]
    arguments: Option<String>,
    /// Call the script in a session of its own.
    #[arg(default = "false")]
    daemonize: bool,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The name.
    name: String,
    /// What was done for `enabled` and for the state, with what programs said.
    status: Map,
}

module! {
    "ansible.builtin.sysvinit", args: Args, returns: Values, run: run,
    rules: Rules { required_one_of: &[&["state", "enabled"]], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let script = match args.name.starts_with('/') {
        true => args.name.clone(),
        false => format!("/etc/init.d/{}", args.name),
    };
    let there = matches!(machine.stat(Path::new(&script), true), Ok(Some(_)));
    if !there && !apt::installs(machine) {
        let text = format!("Could not find the requested service {}: ", args.name);
        return Err(Failure::new(text));
    }
    let mut outcome = Outcome::unchanged().with("name", args.name.as_str());
    let running = match args.state {
        Some(_) => args.runs(machine, &mut outcome)?,
        None => false,
    };
    let mut enabled = args.enable(machine)?;
    outcome.changed = enabled.get("changed") == Some(&Data::Bool(true));
    if let Some(levels) = args.runlevels.clone().filter(|levels| !levels.is_empty()) {
        enabled.insert("runlevels".to_owned(), levels.into());
    }
    let mut status = map! { "enabled" => Data::Map(enabled) };
    let acted = match args.state {
        Some(state) => {
            let acted = args.act(machine, &script, state, running);
            acted.map_err(|failure| Failure {
                warnings: outcome.warnings.clone(),
                ..failure
            })?
        }
        None => done(false, None),
    };
    outcome.changed |= acted.get("changed") == Some(&Data::Bool(true));
    // Ansible has this key where no state is asked for, too.
    let key = args.state.map_or("null", |state| ArgEnum::word(&state));
    status.insert(key.to_owned(), Data::Map(acted));
    Ok(outcome.with("status", Data::Map(status)))
}

/// What is told of a step.
fn done(changed: bool, output: Option<&Output>) -> Map {
    map! {
        "changed" => changed,
        "rc" => output.map_or(Data::Null, |output| output.code.into()),
        "stdout" => output.map_or(Data::Null, |output| output.stdout_text().into()),
        "stderr" => output.map_or(Data::Null, |output| output.stderr_text().into()),
    }
}

impl Args {
    /// Whether it runs, as its script says, or the list of processes.
    fn runs(&self, machine: &mut dyn Machine, outcome: &mut Outcome) -> Result<bool, Failure> {
        if let Some(state) = machine.assumed(&format!("service:{}", self.name)) {
            return Ok(state == "started");
        }
        let listed = |machine: &mut dyn Machine, text: &str| {
            let output = programs::ask(machine, ["ps", "auxww"])?;
            Ok::<_, Failure>(output.stdout_text().lines().any(|line| line.contains(text)))
        };
        if let Some(pattern) = &self.pattern {
            return listed(machine, pattern);
        }
        let output = match programs::path_of(machine, "service") {
            Some(service) => {
                let service = service.to_string_lossy().into_owned();
                programs::ask(machine, [service.as_str(), &self.name, "status"])?
            }
            None => programs::ask(machine, [&format!("/etc/init.d/{}", self.name), "status"])?,
        };
        let said = output.stdout_text();
        if self.name == "iptables" && said.contains("ACCEPT") {
            return Ok(true);
        }
        let lines = said.matches('\n').count();
        let words = said.to_lowercase().replace(&self.name.to_lowercase(), "");
        let has = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
        let stopped = [
            "stop",
            "is dead ",
            "dead but ",
            "could not access pid file",
            "inactive",
        ];
        if lines <= 1 && has(&stopped) {
            return Ok(false);
        }
        if lines <= 1 && has(&["run", "start", "active"]) && !words.contains("not ") {
            return Ok(true);
        }
        match output.code {
            0 => Ok(true),
            1..=4 | 69 => Ok(false),
            _ if listed(machine, &self.name)? => {
                outcome.warnings.push("Used ps output to match service name and determine it is up, this is very unreliable".to_owned());
                Ok(true)
            }
            _ => {
                let text = "Unable to determine if service is up, assuming it is down";
                outcome.warnings.push(text.to_owned());
                Ok(false)
            }
        }
    }

    /// Lets it start with the system, or not.
    fn enable(&self, machine: &mut dyn Machine) -> Result<Map, Failure> {
        let levels = self.runlevels.clone().unwrap_or_default();
        let wanted = match self.enabled {
            Some(wanted) => wanted,
            None => return Ok(done(false, None)),
        };
        let each: Vec<Option<&str>> = match levels.as_slice() {
            [] => vec![None],
            levels => levels.iter().map(|level| Some(level.as_str())).collect(),
        };
        let mut differs = false;
        for level in each {
            differs |= self.starts(machine, level) != wanted;
        }
        if !differs {
            return Ok(done(false, None));
        }
        let (joined, own) = (levels.concat(), levels.is_empty());
        let name = self.name.as_str();
        let mut argv = vec![];
        if programs::installed(machine, "update-rc.d") {
            let word = match (wanted, own) {
                (true, true) => "defaults",
                (true, false) => "enable",
                (false, _) => "disable",
            };
            argv.extend(["update-rc.d", name, word]);
            argv.extend(levels.iter().map(String::as_str));
        } else if programs::installed(machine, "chkconfig") {
            argv.push("chkconfig");
            if !own {
                argv.extend(["--level", &joined]);
            }
            argv.extend([name, if wanted { "on" } else { "off" }]);
        } else {
            return Err(Failure::new(
                "cannot enable or disable services: neither `update-rc.d` nor `chkconfig` is there",
            ));
        }
        let output = programs::change(machine, &Command::new(argv).c_locale())?;
        if let Some(output) = &output
            && output.stderr_text().contains("illegal runlevel specified")
        {
            let text = format!("Illegal runlevel specified for enable operation on service {name}");
            return Err(Failure::new(text));
        }
        let fact = if wanted { "yes" } else { "no" };
        // Scripts start in these levels where nothing else is said.
        let usual = ["", "2", "3", "4", "5"];
        let each: Vec<&str> = match own {
            true => usual.to_vec(),
            false => levels
                .iter()
                .map(String::as_str)
                .chain(wanted.then_some(""))
                .collect(),
        };
        for level in each {
            let key = self.key(level);
            machine.assume(Change::Fact(key, Some(fact.to_owned())));
        }
        Ok(done(true, output.as_ref()))
    }

    /// Where check mode keeps what it foretells of a run level.
    fn key(&self, level: &str) -> String {
        format!("enabled:{}{level}", self.name)
    }

    /// Whether a run level has a link that starts it; without one, whether any has.
    fn starts(&self, machine: &mut dyn Machine, level: Option<&str>) -> bool {
        if let Some(fact) = machine.assumed(&self.key(level.unwrap_or_default())) {
            return fact == "yes";
        }
        let own = matches!(machine.stat(Path::new("/etc/rc0.d"), true), Ok(Some(_)));
        let folder = if own { "/etc" } else { "/etc/init.d" };
        let levels = level.map_or("0123456S".chars().collect(), |level| {
            level.chars().collect::<Vec<_>>()
        });
        levels.iter().any(|level| {
            let folder = format!("{folder}/rc{level}.d");
            let names = machine.list(Path::new(&folder)).unwrap_or_default();
            names.iter().filter_map(|link| link.to_str()).any(|link| {
                let rest = link.strip_prefix('S').and_then(|rest| rest.get(2..));
                rest == Some(&self.name)
            })
        })
    }

    /// Starts, stops or reloads it.
    fn act(
        &self,
        machine: &mut dyn Machine,
        script: &str,
        state: State,
        running: bool,
    ) -> Result<Map, Failure> {
        let (name, actions): (_, &[&str]) = match state {
            State::Started if running => return Ok(done(false, None)),
            State::Stopped if !running => return Ok(done(false, None)),
            State::Started => ("start", &["start"]),
            State::Stopped => ("stop", &["stop"]),
            State::Reloaded => ("reload", &["reload"]),
            State::Restarted => ("restart", &["stop", "start"]),
        };
        let arguments = split_words(self.arguments.as_deref().unwrap_or_default())?;
        let mut last = None;
        for action in actions {
            let mut argv = match self.daemonize {
                true => vec!["setsid".to_owned(), "--wait".to_owned()],
                false => vec![],
            };
            argv.extend([script.to_owned(), (*action).to_owned()]);
            argv.extend(arguments.iter().cloned());
            last = programs::change(machine, &Command::new(argv))?;
            if let Some(output) = last.as_ref().filter(|output| output.code != 0) {
                let text = format!("Failed to {name} service: {}", self.name);
                return Err(programs::failed(text, output));
            }
            if actions.len() > 1 && last.is_some() && self.sleep > 0 {
                machine.sleep(Duration::from_secs(self.sleep));
            }
        }
        let now = if state == State::Stopped {
            "stopped"
        } else {
            "started"
        };
        let key = format!("service:{}", self.name);
        machine.assume(Change::Fact(key, Some(now.to_owned())));
        Ok(done(true, last.as_ref()))
    }
}
