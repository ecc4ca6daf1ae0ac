//! `supervisorctl`: programs under supervisord. It is asked itself, over XML-RPC, so that no password
//! is in a list of processes and nothing is started.

use std::time::Duration;

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Machine};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::supervisor::{Configuration, Reach};
use crate::xmlrpc::{Server, Trouble};

/// How long the server may be silent: a program may take `stopwaitsecs` to stop.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long the state of a program that is being started is left alone.
const PAUSE: Duration = Duration::from_millis(200);

/// Codes of the server's faults.
const BAD_NAME: i128 = 10;
const STILL_RUNNING: i128 = 91;
const ALREADY_ADDED: i128 = 90;

/// How many of a program's last bytes are shown when it does not start.
const TAIL: usize = 2_000;

/// Starts, stops and adds programs of supervisord.
#[derive(ModuleArgs)]
struct Args {
    /// A program, `GROUP:PROGRAM`, all of a group (`GROUP:` or `GROUP:*`), or `all`.
    name: String,
    /// What becomes of it. `present`: what the configuration says of the group is in force;
    /// a group whose configuration has changed is stopped and started again.
    state: State,
    #[arg(flatten)]
    reach: Reach,
    /// The signal of `signalled`.
    signal: Option<String>,
    /// Stop what runs before it is removed.
    #[arg(default = "false")]
    stop_before_removing: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Present,
    Started,
    Stopped,
    Restarted,
    Absent,
    Signalled,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The name that was asked for.
    name: String,
    /// What it is now.
    state: String,
    /// The programs that were started, stopped or signalled.
    affected: Vec<String>,
}

module! {
    "community.general.supervisorctl", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.supervisorctl"],
    rules: Rules { required_if: &[("state", "signalled", &["signal"], false)], ..Rules::NONE },
}

/// The processes that a configuration describes, in the state in which they begin.
fn configured(configuration: &Configuration) -> Vec<Process> {
    let groups = configuration.groups().into_iter();
    let all = groups.flat_map(|(group, programs)| {
        let process = move |program: &str| {
            let begins = configuration.value(&format!("program:{program}"), "autostart");
            let stopped = begins.is_some_and(|word| word.eq_ignore_ascii_case("false"));
            Process {
                group: group.clone(),
                name: program.to_owned(),
                state: if stopped { "STOPPED" } else { "RUNNING" }.to_owned(),
            }
        };
        programs
            .iter()
            .map(|program| process(program))
            .collect::<Vec<_>>()
    });
    all.collect()
}

/// A process as the server tells of it.
#[derive(Clone)]
struct Process {
    group: String,
    name: String,
    state: String,
}

impl Process {
    /// As users write it: a group of one program has its name.
    fn shown(&self) -> String {
        match self.group == self.name {
            true => self.name.clone(),
            false => self.full(),
        }
    }

    fn full(&self) -> String {
        format!("{}:{}", self.group, self.name)
    }

    fn runs(&self) -> bool {
        matches!(self.state.as_str(), "RUNNING" | "STARTING")
    }
}

/// What a name means.
enum Wanted<'a> {
    All,
    Group(&'a str),
    One(&'a str),
}

impl<'a> Wanted<'a> {
    fn of(name: &'a str) -> Self {
        match name.strip_suffix('*').unwrap_or(name).strip_suffix(':') {
            _ if name == "all" => Self::All,
            Some(group) => Self::Group(group),
            None => Self::One(name),
        }
    }

    fn has(&self, process: &Process) -> bool {
        match self {
            Self::All => true,
            Self::Group(group) => process.group == *group,
            Self::One(name) => process.shown() == *name || process.full() == *name,
        }
    }

    /// The name as Ansible gives it back.
    fn shown(&self) -> &'a str {
        match self {
            Self::All => "all",
            Self::Group(name) | Self::One(name) => name,
        }
    }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let configuration = args.reach.configuration(machine)?;
    let server = args.reach.server(&configuration, PATIENCE)?;
    let mut talk = Talk {
        machine,
        server,
        configured: configured(&configuration),
        is_down: false,
        args: &args,
    };
    let told = |failure: Failure| failure.with("name", args.name.trim_end_matches(':'));
    match args.state {
        State::Present | State::Absent => talk.configure(),
        _ => talk.steer(),
    }
    .map_err(told)
}

/// A module's talk with the server.
struct Talk<'a> {
    machine: &'a mut dyn Machine,
    server: Server,
    /// The processes as the configuration alone lets expect them, for check mode.
    configured: Vec<Process>,
    /// Check mode found no server.
    is_down: bool,
    args: &'a Args,
}

impl Talk<'_> {
    fn call(&mut self, method: &str, params: &[&str]) -> Result<Data, Trouble> {
        let mut params: Vec<Data> = params.iter().map(|text| Data::from(*text)).collect();
        if matches!(method, "startProcess" | "stopProcess") {
            // It is waited for.
            params.push(Data::Bool(true));
        }
        self.server
            .call(self.machine, &format!("supervisor.{method}"), &params)
    }

    /// All processes. Where check mode finds no server, an earlier task will have started it.
    fn processes(&mut self) -> Result<Vec<Process>, Failure> {
        let known = match self.call("getAllProcessInfo", &[]) {
            Ok(Data::List(known)) => known,
            Ok(_) => return Err(Failure::new("the server's answer is no list of processes")),
            Err(Trouble::Unreachable(_)) if self.machine.predicts() => {
                self.is_down = true;
                return Ok(self.with_assumed(self.configured.clone()));
            }
            Err(trouble) => return Err(Failure::new(trouble.to_string())),
        };
        let text = |process: &Map, name| process.get(name).map(Data::text).unwrap_or_default();
        let read = |process: Data| match process {
            Data::Map(process) => Some(Process {
                group: text(&process, "group"),
                name: text(&process, "name"),
                state: text(&process, "statename"),
            }),
            _ => None,
        };
        let known = known.into_iter().filter_map(read).collect();
        Ok(self.with_assumed(known))
    }

    /// The processes, with what earlier tasks of check mode would have done to them.
    fn with_assumed(&mut self, mut known: Vec<Process>) -> Vec<Process> {
        for expected in &self.configured {
            let added = self.machine.assumed(&group_key(&expected.group));
            let is_known = known.iter().any(|one| one.group == expected.group);
            if added.as_deref() == Some("present") && !is_known {
                let group = self.configured.iter();
                known.extend(group.filter(|one| one.group == expected.group).cloned());
            }
        }
        for process in &mut known {
            if let Some(state) = self.machine.assumed(&key(&process.group, &process.name)) {
                process.state = state;
            }
        }
        crate::order::sort_by(&mut known, |one, other| one.full().cmp(&other.full()));
        known
    }

    /// All processes, when those that are to be started are no longer about to: whoever waits for
    /// them to run must not be told of one that ends a moment later.
    fn settled(&mut self, wanted: &Wanted<'_>) -> Result<Vec<Process>, Failure> {
        let mut left = PATIENCE;
        loop {
            let known = self.processes()?;
            let about = |one: &Process| matches!(one.state.as_str(), "STARTING" | "BACKOFF");
            let waits = known.iter().any(|one| wanted.has(one) && about(one));
            if !waits
                || self.args.state != State::Started
                || self.machine.predicts()
                || left.is_zero()
            {
                return Ok(known);
            }
            self.machine.sleep(PAUSE);
            left = left.saturating_sub(PAUSE);
        }
    }

    /// `started`, `stopped`, `restarted` and `signalled`.
    fn steer(&mut self) -> Result<Outcome, Failure> {
        let wanted = Wanted::of(&self.args.name);
        let known = self.settled(&wanted)?;
        let mut found: Vec<Process> = known
            .iter()
            .filter(|one| wanted.has(one))
            .cloned()
            .collect();
        if found.is_empty() {
            let group = wanted.shown().split(':').next().unwrap_or_default();
            if self.machine.assumed(&group_key(group)).as_deref() == Some("present") {
                // Its programs are known when the group is.
                found.push(Process {
                    group: group.to_owned(),
                    name: wanted
                        .shown()
                        .rsplit(':')
                        .next()
                        .unwrap_or(group)
                        .to_owned(),
                    state: "STOPPED".to_owned(),
                });
            } else if !(known.is_empty() && self.machine.predicts()) {
                return Err(self.unknown(&known));
            }
        }
        let state = self.args.state;
        let due = |process: &&Process| match state {
            State::Started => !process.runs(),
            State::Restarted => true,
            _ => process.runs(),
        };
        let due: Vec<&Process> = found.iter().filter(due).collect();
        let before = listed(&found);
        for process in &due {
            self.change(process)?;
        }
        let changed = !due.is_empty() || found.is_empty();
        let mut out = self.outcome(changed);
        if changed && !self.machine.predicts() {
            let affected = due.iter().map(|process| Data::from(process.shown()));
            out = out.with("affected", Data::List(affected.collect()));
        }
        let mut after = found.clone();
        for process in after
            .iter_mut()
            .filter(|one| due.iter().any(|due| due.full() == one.full()))
        {
            process.state = match state {
                State::Stopped => "STOPPED".to_owned(),
                State::Started | State::Restarted => "RUNNING".to_owned(),
                _ => process.state.clone(),
            };
        }
        Ok(with_diff(out, before, listed(&after)))
    }

    /// Starts, stops or signals a process.
    fn change(&mut self, process: &Process) -> Result<(), Failure> {
        let state = self.args.state;
        if self.machine.predicts() {
            let assumed = match state {
                State::Stopped => "STOPPED",
                State::Signalled => return Ok(()),
                _ => "RUNNING",
            };
            let key = key(&process.group, &process.name);
            self.machine
                .assume(Change::Fact(key, Some(assumed.to_owned())));
            return Ok(());
        }
        let full = process.full();
        let failed = |trouble: Trouble| {
            let words = trouble.to_string();
            let words = words.split(':').next().unwrap_or_default().to_lowercase();
            let text = match trouble {
                Trouble::Fault(..) => {
                    format!("{}: ERROR ({})", process.shown(), words.replace('_', " "))
                }
                trouble => trouble.to_string(),
            };
            Failure::new(text)
        };
        if state == State::Stopped || state == State::Restarted && process.runs() {
            self.call("stopProcess", &[&full]).map_err(failed)?;
        }
        match state {
            State::Started | State::Restarted => match self.call("startProcess", &[&full]) {
                Ok(_) => Ok(()),
                Err(trouble) => {
                    let failure = failed(trouble);
                    Err(self.with_log(failure, &full))
                }
            },
            State::Signalled => {
                let signal = self.args.signal.clone().unwrap_or_default();
                self.call("signalProcess", &[&full, &signal])
                    .map(drop)
                    .map_err(failed)
            }
            _ => Ok(()),
        }
    }

    /// Adds what a program wrote last to the reason why it did not start.
    fn with_log(&mut self, failure: Failure, full: &str) -> Failure {
        let tail = |talk: &mut Self, method| -> String {
            let params = [Data::from(full), Data::Int(0), Data::Int(TAIL as i128)];
            let method = format!("supervisor.{method}");
            match talk.server.call(talk.machine, &method, &params) {
                Ok(Data::List(parts)) => parts.first().map(Data::text).unwrap_or_default(),
                _ => String::new(),
            }
        };
        let stdout = tail(self, "tailProcessStdoutLog");
        let stderr = tail(self, "tailProcessStderrLog");
        failure.with("stdout", stdout).with("stderr", stderr)
    }

    fn unknown(&self, known: &[Process]) -> Failure {
        let name = &self.args.name;
        let mut failure = Failure::new("ERROR (no such process)");
        if known.iter().any(|process| process.group == *name) {
            failure.explanation = Some(format!(
                "ERROR (no such process): `{name}` is a group, `{name}:*` means its programs"
            ));
        } else if !known.is_empty() {
            let names: Vec<String> = known.iter().map(Process::shown).collect();
            failure.explanation = Some(format!(
                "ERROR (no such process): `{name}`; there are {}",
                names.join(", ")
            ));
        }
        failure
    }

    /// `present` and `absent`.
    fn configure(&mut self) -> Result<Outcome, Failure> {
        let wanted = Wanted::of(&self.args.name);
        let known = self.processes()?;
        let asked = wanted.shown();
        // A program is added and removed with its group.
        let of_group = |process: &Process| process.group == asked;
        let exists = match self.machine.assumed(&group_key(asked)) {
            Some(state) => state == "present",
            None => known
                .iter()
                .any(|process| wanted.has(process) || of_group(process)),
        };
        let out = match (self.args.state, exists) {
            (State::Present, false) => self.add(asked)?,
            (State::Present, true) => self.renew(asked)?,
            (_, false) => self.outcome(false),
            (_, true) => self.remove(asked, &known)?,
        };
        let (before, after) = match (exists, self.args.state) {
            (false, State::Present) => ("absent", "present"),
            (true, State::Absent) => ("present", "absent"),
            _ => return Ok(out),
        };
        let show = |state| map! { "name" => asked, "state" => state };
        Ok(out.with_diff(Diff::attributes(show(before), show(after))))
    }

    /// The configuration read again: the groups that are new, changed and gone.
    fn reread(&mut self) -> Result<[Vec<String>; 3], Failure> {
        let told = self.call("reloadConfig", &[]);
        let told = told.map_err(|trouble| self.failure(&trouble.to_string()))?;
        let list = |data: Option<&Data>| match data {
            Some(Data::List(names)) => names.iter().map(Data::text).collect(),
            _ => vec![],
        };
        let lists = match told {
            Data::List(mut lists) if !lists.is_empty() => lists.swap_remove(0),
            other => other,
        };
        let at = |index: usize| match &lists {
            Data::List(lists) => list(lists.get(index)),
            _ => vec![],
        };
        Ok([at(0), at(1), at(2)])
    }

    fn add(&mut self, group: &str) -> Result<Outcome, Failure> {
        if self.machine.predicts() {
            let known = Change::Fact(group_key(group), Some("present".to_owned()));
            self.machine.assume(known);
            return Ok(self.outcome(true));
        }
        self.reread()?;
        match self.call("addProcessGroup", &[group]) {
            Ok(_) => Ok(self.outcome(true)),
            Err(trouble) => Err(self.refused(group, &trouble)),
        }
    }

    /// Puts the configuration of a group in force where it has changed.
    fn renew(&mut self, group: &str) -> Result<Outcome, Failure> {
        // A server that an earlier task starts has the configuration as it is.
        if self.is_down || self.machine.assumed(&group_key(group)).is_some() {
            return Ok(self.outcome(false));
        }
        let group = group.split(':').next().unwrap_or(group);
        let [_, changed, _] = self.reread()?;
        if !changed.iter().any(|name| name == group) {
            return Ok(self.outcome(false));
        }
        if !self.machine.predicts() {
            for method in ["stopProcessGroup", "removeProcessGroup", "addProcessGroup"] {
                if let Err(trouble) = self.call(method, &[group]) {
                    return Err(self.refused(group, &trouble));
                }
            }
        }
        let show = |configuration: &str| map! { "name" => group, "configuration" => configuration };
        let diff = Diff::attributes(show("in force"), show("changed, put in force"));
        Ok(self.outcome(true).with_diff(diff))
    }

    fn remove(&mut self, group: &str, known: &[Process]) -> Result<Outcome, Failure> {
        if self.machine.predicts() {
            let gone = Change::Fact(group_key(group), Some("absent".to_owned()));
            self.machine.assume(gone);
            return Ok(self.outcome(true));
        }
        self.reread()?;
        let running = known.iter().any(|one| one.group == group && one.runs());
        if self.args.stop_before_removing
            && running
            && let Err(trouble) = self.call("stopProcessGroup", &[group])
        {
            return Err(self.refused(group, &trouble));
        }
        match self.call("removeProcessGroup", &[group]) {
            Ok(_) => Ok(self.outcome(true)),
            Err(trouble) => Err(self.refused(group, &trouble)),
        }
    }

    fn refused(&self, group: &str, trouble: &Trouble) -> Failure {
        let text = match trouble {
            Trouble::Fault(BAD_NAME, _) => format!("ERROR: no such process/group: {group}\n"),
            Trouble::Fault(STILL_RUNNING, _) => {
                format!("ERROR: process/group still running: {group}\n")
            }
            Trouble::Fault(ALREADY_ADDED, _) => "ERROR: process group already active\n".to_owned(),
            trouble => trouble.to_string(),
        };
        self.failure(&text)
    }

    fn failure(&self, text: &str) -> Failure {
        Failure::new(text).with("state", self.args.state.word())
    }

    fn outcome(&self, changed: bool) -> Outcome {
        let out = Outcome::new(changed);
        if changed && self.machine.predicts() {
            return out;
        }
        let name = self.args.name.trim_end_matches(':');
        out.with("name", name).with("state", self.args.state.word())
    }
}

/// What check mode remembers of a process.
fn key(group: &str, name: &str) -> String {
    format!("supervisor:{group}:{name}")
}

/// What check mode remembers of a group.
fn group_key(group: &str) -> String {
    format!("supervisor-group:{group}")
}

fn listed(processes: &[Process]) -> Map {
    let state = |one: &Process| (one.shown(), Data::from(one.state.as_str()));
    processes.iter().map(state).collect()
}

fn with_diff(out: Outcome, before: Map, after: Map) -> Outcome {
    match before == after {
        true => out,
        false => out.with_diff(Diff::attributes(before, after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_programs_groups_and_all() {
        let process = |group: &str, name: &str| Process {
            group: group.to_owned(),
            name: name.to_owned(),
            state: "RUNNING".to_owned(),
        };
        let (one, two) = (process("one", "one"), process("grp", "g1"));
        let has = |name: &str| [&one, &two].map(|process| Wanted::of(name).has(process));
        assert_eq!(has("all"), [true, true]);
        assert_eq!(has("one"), [true, false]);
        assert_eq!(has("grp"), [false, false]);
        assert_eq!(has("grp:"), [false, true]);
        assert_eq!(has("grp:*"), [false, true]);
        assert_eq!(has("grp:g1"), [false, true]);
        assert_eq!(has("g1"), [false, false]);
    }
}
