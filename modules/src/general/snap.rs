//! `snap`: packages of the Snap store.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{json, module};

use crate::builtin::programs;

/// Installs, removes and sets up snaps.
#[derive(ModuleArgs)]
struct Args {
    /// The snaps; files, too.
    name: Vec<String>,
    /// The wanted state.
    #[arg(default = "present")]
    state: State,
    /// Let it use the whole system.
    #[arg(default = "false")]
    classic: bool,
    /// The channel that it comes from.
    channel: Option<String>,
    /// Settings, `key=value` or `snap:key=value`.
    options: Option<Vec<String>>,
    /// Take a file that nobody signed.
    #[arg(default = "false")]
    dangerous: bool,
    /// Let it use what it did not ask for.
    #[arg(default = "false")]
    devmode: bool,
    /// The revision, which is then held.
    revision: Option<u64>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Present,
    Enabled,
    Disabled,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Whether they may use the whole system.
    classic: bool,
    /// The channel.
    channel: String,
    /// The revision, where one is asked for.
    revision: i64,
    /// What was run.
    cmd: String,
    /// The snaps that were installed.
    snaps_installed: Vec<String>,
    /// The snaps that were removed.
    snaps_removed: Vec<String>,
    /// The settings that were changed.
    options_changed: Vec<String>,
    /// The versions of the parts of `snap`.
    version: Map,
}

module! {
    "community.general.snap", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.snap"],
    rules: Rules { mutually_exclusive: &[&["channel", "revision"]], ..Rules::NONE },
}

/// What is to be done with a snap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Missing,
    Other,
    Unheld,
    There,
}

/// The snap that has the settings of the system, and that nobody installs.
const SYSTEM: &str = "system";

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let program = programs::required(machine, "snap")?;
    let mut snap = Snap {
        machine,
        program,
        args: &args,
        outcome: Outcome::unchanged(),
    };
    let mut version = Map::new();
    for line in snap.ask(&["version"])?.stdout_text().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, value] = *words {
            version.insert(name.to_owned(), value.into());
        }
    }
    snap.add("version", Data::Map(version));
    let real = match args.state {
        State::Present => {
            let names = snap.real_names()?;
            snap.add("snap_names", names.clone().into());
            names
        }
        _ => args.name.clone(),
    };
    let status = snap.status(&real)?;
    let named: Vec<(String, Status)> = args.name.iter().cloned().zip(status).collect();
    match args.state {
        State::Present => snap.install(&named)?,
        State::Absent => {
            let there = named
                .iter()
                .filter(|(_, status)| *status != Status::Missing);
            let there = there.map(|(name, _)| name.clone()).collect();
            snap.act("remove", "snaps_removed", there)?;
        }
        State::Enabled => snap.switch(true)?,
        State::Disabled => snap.switch(false)?,
    }
    if args.state == State::Present {
        let channel = args.channel.as_deref().unwrap_or("stable");
        snap.add("channel", channel.into());
        snap.add("classic", args.classic.into());
        snap.add("revision", args.revision.map_or(Data::Null, Data::from));
    }
    Ok(snap.outcome)
}

struct Snap<'a> {
    machine: &'a mut dyn Machine,
    program: String,
    args: &'a Args,
    outcome: Outcome,
}

impl Snap<'_> {
    fn add(&mut self, name: &str, value: Data) {
        self.outcome.results.insert(name.to_owned(), value);
    }

    fn command(&self, words: &[&str]) -> Command {
        let program = std::iter::once(self.program.as_str());
        Command::new(program.chain(words.iter().copied())).c_locale()
    }

    fn ask(&mut self, words: &[&str]) -> Result<Output, Failure> {
        let command = self.command(words);
        programs::query(self.machine, &command)
    }

    /// The names of snaps, of which files may be given.
    fn real_names(&mut self) -> Result<Vec<String>, Failure> {
        let given: Vec<&str> = self.args.name.iter().map(String::as_str).collect();
        let real: Vec<&str> = given
            .iter()
            .copied()
            .filter(|name| *name != SYSTEM)
            .collect();
        if real.is_empty() {
            return Ok(self.args.name.clone());
        }
        let output = self.ask(&[&["info"], &*real].concat())?;
        let (text, errors) = (output.stdout_text(), output.stderr_text());
        // Of one snap it is told as an error, of several as a warning between the others.
        let said = if real.len() == 1 { &errors } else { &text };
        let missing = said.lines().filter_map(|line| {
            let line = line
                .strip_prefix("warning: ")
                .or_else(|| line.strip_prefix("error: "))?;
            line.strip_prefix("no snap found for \"")?
                .split('"')
                .next()
                .map(str::to_owned)
        });
        let missing: Vec<String> = missing.collect();
        if !missing.is_empty() {
            let list = Data::from(missing).repr();
            return Err(Failure::new(format!("Snaps not found: {list}.")));
        }
        let names = text.lines().filter_map(|line| line.strip_prefix("name:"));
        let mut names = names.map(|name| name.trim().to_owned());
        let each = given.iter().map(|name| match *name {
            SYSTEM => Some(SYSTEM.to_owned()),
            _ => names.next(),
        });
        let wrong = || programs::failed("cannot read what `snap info` tells", &output);
        each.collect::<Option<_>>().ok_or_else(wrong)
    }

    fn key(name: &str) -> String {
        format!("snap {name}")
    }

    fn status(&mut self, names: &[String]) -> Result<Vec<Status>, Failure> {
        let command = self.command(&["list"]);
        let output = programs::query(self.machine, &command)?;
        if output.code != 0 {
            return Err(programs::refused(&command, &output));
        }
        let text = output.stdout_text();
        let mut all = vec![];
        for name in names {
            let found = text
                .lines()
                .skip(1)
                .map(|line| line.split_whitespace().collect::<Vec<_>>());
            let found = found
                .into_iter()
                .find(|words| words.len() > 5 && words[0] == name);
            all.push(match (self.machine.assumed(&Self::key(name)), found) {
                _ if name == SYSTEM => Status::There,
                (Some(fact), _) if fact.is_empty() => Status::Missing,
                (Some(_), _) => Status::There,
                (None, None) => Status::Missing,
                (None, Some(words)) => self.fits(&words),
            });
        }
        Ok(all)
    }

    /// Whether a line of `snap list` has the channel and the revision.
    fn fits(&self, words: &[&str]) -> Status {
        let revision = self.args.revision.map(|revision| revision.to_string());
        if revision
            .as_ref()
            .is_some_and(|revision| revision != words[2])
        {
            return Status::Other;
        }
        if let Some(channel) = self
            .args
            .channel
            .as_ref()
            .filter(|channel| !channel.is_empty())
            && words[3] != channel
            && words[3].strip_prefix("latest/") != Some(channel)
        {
            return Status::Other;
        }
        match revision {
            Some(_) if !words[5].split(',').any(|note| note == "held") => Status::Unheld,
            _ => Status::There,
        }
    }

    fn install(&mut self, named: &[(String, Status)]) -> Result<(), Failure> {
        let with = |wanted: Status| -> Vec<String> {
            let some = named.iter().filter(|(_, status)| *status == wanted);
            some.map(|(name, _)| name.clone()).collect()
        };
        let (other, missing) = (with(Status::Other), with(Status::Missing));
        for (word, names) in [("refresh", &other), ("install", &missing)] {
            if !names.is_empty() {
                self.bring(word, names)?;
            }
        }
        if self.args.revision.is_some() {
            for name in missing.iter().chain(&other).chain(&with(Status::Unheld)) {
                self.outcome.changed = true;
                let command = self.command(&["refresh", "--hold", name]);
                if let Some(output) = programs::change(self.machine, &command)?
                    && output.code != 0
                {
                    let why = output.stderr_text();
                    return Err(Failure::new(format!(
                        "Snap hold failed for '{name}': {why}"
                    )));
                }
            }
        }
        self.set(named)
    }

    fn bring(&mut self, word: &str, names: &[String]) -> Result<(), Failure> {
        let args = self.args;
        let mut words = vec![word.to_owned()];
        words.extend(args.classic.then(|| "--classic".to_owned()));
        if let Some(channel) = args.channel.as_ref().filter(|channel| *channel != "stable") {
            words.extend(["--channel".to_owned(), channel.clone()]);
        }
        if let Some(revision) = args.revision {
            words.extend(["--revision".to_owned(), revision.to_string()]);
        }
        words.extend(args.dangerous.then(|| "--dangerous".to_owned()));
        words.extend(args.devmode.then(|| "--devmode".to_owned()));
        let single = args.classic || args.channel.as_deref() != Some("stable");
        let kinds = [
            "state",
            "classic",
            "channel",
            "revision",
            "dangerous",
            "devmode",
        ];
        self.each("snaps_installed", &kinds, &words, names, single, |error, cmd| {
            let classic = error.strip_prefix("error: This revision of snap \"");
            let classic = classic.and_then(|rest| {
                rest.split_once("\" was published using classic confinement").map(|(name, _)| name)
            });
            match classic {
                Some(name) => format!("Couldn't install {name} because it requires classic confinement"),
                None => format!(
                    "Ooops! Snap installation failed while executing '{cmd}', please examine logs and error output for more details."
                ),
            }
        })
    }

    /// Removes or switches snaps.
    fn act(&mut self, word: &str, result: &str, names: Vec<String>) -> Result<(), Failure> {
        if names.is_empty() {
            return Ok(());
        }
        let mut words = vec![];
        words.extend(self.args.classic.then(|| "--classic".to_owned()));
        if let Some(channel) = self
            .args
            .channel
            .as_ref()
            .filter(|channel| *channel != "stable")
        {
            words.extend(["--channel".to_owned(), channel.clone()]);
        }
        words.push(word.to_owned());
        let kinds = ["classic", "channel", "state"];
        self.each(result, &kinds, &words, &names, false, |_, cmd| {
            format!(
                "Ooops! Snap operation failed while executing '{cmd}', please examine logs and error output for more details."
            )
        })
    }

    /// Runs one command for all snaps, or one for each.
    fn each(
        &mut self,
        result: &str,
        kinds: &[&str],
        words: &[String],
        names: &[String],
        single: bool,
        wrong: impl Fn(&str, &str) -> String,
    ) -> Result<(), Failure> {
        self.outcome.changed = true;
        self.add(result, names.to_vec().into());
        let parts: Vec<&[String]> = match single && names.len() > 1 {
            true => names.chunks(1).collect(),
            false => vec![names],
        };
        let shown = parts.iter().map(|part| {
            let kinds = kinds.iter().map(|kind| (*kind).to_owned());
            Data::from(kinds.chain(part.iter().cloned()).collect::<Vec<String>>()).repr()
        });
        let shown = shown.collect::<Vec<_>>().join("; ");
        let (mut ran, mut failed) = (false, None);
        for part in parts {
            let all: Vec<&str> = words.iter().chain(part).map(String::as_str).collect();
            let command = self.command(&all);
            if let Some(output) = programs::change(self.machine, &command)? {
                ran = true;
                if output.code != 0 && failed.is_none() {
                    failed = Some(output);
                }
            }
        }
        if ran {
            self.add("cmd", shown.as_str().into());
        }
        if let Some(output) = failed {
            let text = wrong(output.stderr_text().trim(), &shown);
            return Err(Failure::new(text).with("cmd", shown));
        }
        let fact = if result == "snaps_removed" {
            ""
        } else {
            "there"
        };
        for name in names.iter().filter(|_| !result.ends_with("abled")) {
            let fact = Change::Fact(Self::key(name), Some(fact.to_owned()));
            self.machine.assume(fact);
        }
        Ok(())
    }

    /// Lets snaps run, or not.
    fn switch(&mut self, on: bool) -> Result<(), Failure> {
        let mut names = vec![];
        for name in &self.args.name {
            let output = self.ask(&["list", name])?;
            let text = output.stdout_text();
            let notes = text
                .lines()
                .nth(1)
                .and_then(|line| line.split_whitespace().nth(5));
            // One that is not there is no snap that runs.
            let now = output.code == 0
                && match notes {
                    Some(notes) => !notes.split(',').any(|note| note == "disabled"),
                    None => {
                        let text = format!("Unable to parse 'snap list {name}' output:\n{text}");
                        return Err(Failure::new(text));
                    }
                };
            if now != on {
                names.push(name.clone());
            }
        }
        match on {
            true => self.act("enable", "snaps_enabled", names),
            false => self.act("disable", "snaps_disabled", names),
        }
    }

    /// Sets what differs.
    fn set(&mut self, named: &[(String, Status)]) -> Result<(), Failure> {
        let mut changed = vec![];
        for (name, _) in named
            .iter()
            .filter(|(_, status)| *status != Status::Missing)
        {
            let mut now = Map::new();
            let output = match self.args.options {
                None => return Ok(()),
                Some(_) => self.ask(&["get", "-d", name])?,
            };
            let text = output.stdout_text();
            let empty = text
                .lines()
                .next()
                .is_none_or(|line| line.contains("has no configuration"));
            if output.code == 0 && !empty {
                let now_set = json::read(&text).map_err(|error| {
                    format!("Parsing option map returned by 'snap get {name}' triggers exception '{error}', output:\n'{text}'")
                })?;
                flatten(&now_set, "", &mut now);
            }
            let mut differing = vec![];
            for option in self.args.options.iter().flatten() {
                let split = option
                    .split_once('=')
                    .map(|(key, value)| (key.trim(), value.trim()));
                let Some((key, value)) =
                    split.filter(|(key, value)| !key.is_empty() && !value.is_empty())
                else {
                    return Err(Failure::new(format!("Cannot parse set option '{option}'")));
                };
                let (owner, key) = match key.rsplit_once(':') {
                    Some((owner, key)) => (Some(owner), key),
                    None => (None, key),
                };
                if owner.is_some_and(|owner| !self.args.name.iter().any(|name| name == owner)) {
                    return Err(Failure::new(format!(
                        "Snap option '{option}' refers to snap which is not in the list of snap names"
                    )));
                }
                let same = now.get(key).and_then(Data::as_str) == Some(value);
                if owner.is_none_or(|owner| owner == name) && !same {
                    differing.push(format!("{key}={value}"));
                    changed.push(match owner {
                        Some(_) => option.clone(),
                        None => format!("{name}:{option}"),
                    });
                }
            }
            if !differing.is_empty() {
                self.configure(name, &differing)?;
            }
        }
        if !changed.is_empty() {
            self.add("options_changed", changed.into());
        }
        Ok(())
    }

    fn configure(&mut self, name: &str, options: &[String]) -> Result<(), Failure> {
        self.outcome.changed = true;
        let mut words = vec!["set", name];
        words.extend(options.iter().map(String::as_str));
        let command = self.command(&words);
        let Some(output) = programs::change(self.machine, &command)? else {
            return Ok(());
        };
        let error = output.stderr_text();
        match output.code {
            0 => Ok(()),
            _ if error.contains("has no \"configure\" hook") => Err(Failure::new(format!(
                "Snap '{name}' does not have any configurable options"
            ))),
            _ => Err(Failure::new(format!(
                "Cannot set options '{}' for snap '{name}': error={error}",
                options.join(" ")
            ))),
        }
    }
}

/// Settings by their whole names, in Python's words.
fn flatten(value: &Data, path: &str, all: &mut Map) {
    match value {
        Data::Map(map) => {
            for (name, value) in map {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(value, &path, all);
            }
        }
        other => {
            all.insert(path.to_owned(), other.text().into());
        }
    }
}
