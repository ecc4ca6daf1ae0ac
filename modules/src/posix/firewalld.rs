//! `firewalld`: what a zone of the firewall daemon lets through, now and for good.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Sets services, ports and other rules of the zones of `firewalld`.
#[derive(ModuleArgs)]
struct Args {
    /// A kind of ICMP message that is blocked.
    icmp_block: Option<String>,
    /// Block all kinds of ICMP messages but those of `icmp_block`.
    icmp_block_inversion: Option<bool>,
    /// A service that is let through.
    service: Option<String>,
    /// A protocol that is let through.
    protocol: Option<String>,
    /// A port or a range of them with its protocol, such as `8080-8090/tcp`.
    port: Option<String>,
    /// A port that is handed on to another one. Only one at a time.
    port_forward: Option<Vec<Map>>,
    /// A rule in the daemon's rich language.
    rich_rule: Option<String>,
    /// A network whose packets belong to the zone.
    source: Option<String>,
    /// An interface that belongs to the zone.
    interface: Option<String>,
    /// The zone; the default one where none is given.
    zone: Option<String>,
    /// Set it for good. Without it the running firewall is changed.
    #[arg(default = "false")]
    permanent: bool,
    /// Set it in the running firewall, too, where `permanent` is on.
    #[arg(default = "false")]
    immediate: bool,
    /// `enabled` and `disabled` are for what a zone holds, `present` and `absent` for zones and their targets.
    state: State,
    /// Seconds for which the running firewall keeps it.
    #[arg(default = "0")]
    timeout: i64,
    /// Packets may go from one interface of the zone to another.
    forward: Option<bool>,
    /// Packets that leave by the zone get its address.
    masquerade: Option<bool>,
    /// Change the files where the daemon does not run, also with `immediate`.
    #[arg(default = "false")]
    offline: bool,
    /// What becomes of packets that nothing else fits.
    #[arg(choices = "default, ACCEPT, DROP, %%REJECT%%")]
    target: Option<String>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Disabled,
    Enabled,
    Present,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was done, and where.
    msg: String,
}

module! {
    "ansible.posix.firewalld", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.firewalld"],
    rules: Rules {
        mutually_exclusive: &[&[
            "icmp_block", "icmp_block_inversion", "service", "protocol", "port", "port_forward",
            "rich_rule", "interface", "forward", "masquerade", "source", "target",
        ]],
        required_by: &[("interface", &["zone"]), ("target", &["zone"])],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let running = match programs::path_of(machine, "firewall-cmd") {
        Some(_) => programs::ask(machine, ["firewall-cmd", "--state"])?.code == 0,
        None => false,
    };
    if args.offline && !args.permanent {
        return Err(Failure::new(
            "offline cannot be enabled unless permanent changes are allowed",
        ));
    }
    let mut immediate = args.immediate || !args.permanent;
    if !running && immediate {
        if !args.offline {
            return Err(Failure::new(
                "firewall is not currently running, unable to perform immediate actions without a running firewall daemon",
            ));
        }
        immediate = false;
    }
    let mut firewall = Firewall {
        running,
        permanent: args.permanent,
        immediate,
        zone: String::new(),
        messages: Vec::new(),
        machine,
    };
    let changed = firewall.ensure(&args)?;
    if !running {
        let note = "(offline operation: only on-disk configs were altered)";
        firewall.messages.push(note.to_owned());
    }
    Ok(Outcome::new(changed).with("msg", firewall.messages.join(", ")))
}

/// One thing that a zone holds or not.
struct Entry {
    /// The word of the program's options: `--add-WORD`, `--query-WORD`.
    option: &'static str,
    /// Its value; none for a switch.
    value: Option<String>,
    enabled: bool,
    message: Message,
}

/// How a change is told.
enum Message {
    /// `Changed WHAT to enabled`
    Changed(String, State),
    /// `Added WHAT to zone ZONE`
    Added(String),
    /// `Changed WHAT to zone ZONE`
    Moved(String),
}

/// What the arguments ask for inside of a zone.
fn entry(args: &Args) -> Result<Option<Entry>, Failure> {
    let enabled = args.state == State::Enabled;
    let valued = |option, word: &str, value: &String| Entry {
        option,
        value: Some(value.clone()),
        enabled,
        message: Message::Changed(format!("{word} {value}"), args.state),
    };
    // A switch that is given as false is meant the other way round.
    let switch = |option: &'static str, on: bool, message| Entry {
        option,
        value: None,
        enabled: enabled == on,
        message,
    };
    let entry = if let Some(on) = args.icmp_block_inversion {
        let word = if on { "True" } else { "False" };
        let what = format!("icmp-block-inversion {word}");
        let message = Message::Changed(what, args.state);
        switch("icmp-block-inversion", on, message)
    } else if let Some(on) = args.masquerade {
        switch("masquerade", on, Message::Added("masquerade".to_owned()))
    } else if let Some(on) = args.forward {
        switch("forward", on, Message::Added("forward".to_owned()))
    } else if let Some(kind) = &args.icmp_block {
        valued("icmp-block", "icmp-block", kind)
    } else if let Some(service) = &args.service {
        valued("service", "service", service)
    } else if let Some(protocol) = &args.protocol {
        valued("protocol", "protocol", protocol)
    } else if let Some(port) = &args.port {
        if port
            .split_once('/')
            .is_none_or(|(_, proto)| proto.is_empty())
        {
            return Err(Failure::new("improper port format (missing protocol?)"));
        }
        valued("port", "port", port)
    } else if let Some(rule) = &args.rich_rule {
        valued("rich-rule", "rich_rule", rule)
    } else if let Some(forwards) = &args.port_forward {
        let text = port_forward(forwards)?;
        valued("forward-port", "port_forward", &text)
    } else if let Some(source) = &args.source {
        Entry {
            message: Message::Added(source.clone()),
            ..valued("source", "", source)
        }
    } else if let Some(interface) = &args.interface {
        Entry {
            message: Message::Moved(interface.clone()),
            ..valued("interface", "", interface)
        }
    } else {
        return Ok(None);
    };
    Ok(Some(entry))
}

/// A port that is handed on, in the program's words.
fn port_forward(given: &[Map]) -> Result<String, Failure> {
    let [one] = given else {
        return Err(Failure::new("Only one port forward supported at a time"));
    };
    let mut words = Vec::new();
    for name in ["port", "proto", "toport", "toaddr"] {
        let value = one.get(name).filter(|value| **value != Data::Null);
        if value.is_none() && name != "toaddr" {
            let text = format!("{name} must be specified for port forward");
            return Err(Failure::new(text));
        }
        words.push(format!(
            "{name}={}",
            value.map(Data::text).unwrap_or_default()
        ));
    }
    Ok(words.join(":"))
}

/// The daemon, or its files where it does not run.
struct Firewall<'a> {
    machine: &'a mut dyn Machine,
    running: bool,
    permanent: bool,
    immediate: bool,
    zone: String,
    /// What was done, as the user reads it.
    messages: Vec<String>,
}

impl Firewall<'_> {
    fn ensure(&mut self, args: &Args) -> Result<bool, Failure> {
        let entry = entry(args)?;
        let of_zones = matches!(args.state, State::Present | State::Absent);
        if entry.is_some() && of_zones {
            return Err(Failure::new(
                "absent and present state can only be used in zone level operations",
            ));
        }
        self.zone = match &args.zone {
            Some(zone) => zone.clone(),
            None => self.told(&["--get-default-zone"])?,
        };
        let there = matches!(args.state, State::Present | State::Enabled);
        match (entry, &args.target) {
            (Some(entry), _) => self.ensure_entry(&entry, args.timeout),
            (None, Some(target)) => self.ensure_target(target, there),
            (None, None) if of_zones => self.ensure_zone(there),
            (None, None) => Ok(false),
        }
    }

    fn ensure_entry(&mut self, entry: &Entry, timeout: i64) -> Result<bool, Failure> {
        self.messages.push(self.place().to_owned());
        let mut changed = false;
        for lasting in [true, false] {
            let asked = if lasting {
                self.permanent
            } else {
                self.immediate
            };
            if asked && self.holds(entry, lasting)? != entry.enabled {
                self.set(entry, lasting, timeout)?;
                changed = true;
            }
        }
        if changed {
            let zone = &self.zone;
            self.messages.push(match (&entry.message, entry.enabled) {
                (Message::Changed(what, State::Enabled), _) => format!("Changed {what} to enabled"),
                (Message::Changed(what, _), _) => format!("Changed {what} to disabled"),
                (Message::Added(what), true) => format!("Added {what} to zone {zone}"),
                (Message::Moved(what), true) => format!("Changed {what} to zone {zone}"),
                (Message::Added(what) | Message::Moved(what), false) => {
                    format!("Removed {what} from zone {zone}")
                }
            });
        }
        Ok(changed)
    }

    /// Where things are changed.
    fn place(&self) -> &'static str {
        match (self.permanent, self.immediate) {
            (true, true) => "Permanent and Non-Permanent(immediate) operation",
            (true, false) => "Permanent operation",
            _ => "Non-permanent operation",
        }
    }

    /// Whether the zone holds it, also as check mode knows.
    fn holds(&mut self, entry: &Entry, lasting: bool) -> Result<bool, Failure> {
        if let Some(known) = self.machine.assumed(&self.key(entry, lasting)) {
            return Ok(known == self.zone);
        }
        if self.machine.assumed(&self.zone_key()).as_deref() == Some("present") {
            return Ok(false);
        }
        let option = option("query", entry);
        let output = self.ask(&self.words(lasting, &[&option]))?;
        // No is said on standard output; an error is not.
        match output.code {
            0 => Ok(true),
            _ if output.stderr.is_empty() || !output.stdout.is_empty() => Ok(false),
            _ => Err(self.refused(&output)),
        }
    }

    fn set(&mut self, entry: &Entry, lasting: bool, timeout: i64) -> Result<(), Failure> {
        let verb = match (&entry.message, entry.enabled) {
            (Message::Moved(_), true) => "change",
            (_, true) => "add",
            (_, false) => "remove",
        };
        let mut word = option(verb, entry);
        if !self.running && word.starts_with("--remove-service=") {
            // Without this, the program of the files means a default of its forerunner.
            word = word.replacen('=', "-from-zone=", 1);
        }
        let mut words = vec![word];
        let timed = !matches!(
            entry.option,
            "source" | "interface" | "forward" | "icmp-block-inversion"
        );
        if !lasting && entry.enabled && timed && timeout > 0 {
            words.push(format!("--timeout={timeout}"));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if !self.change(&self.words(lasting, &words))? {
            let zone = if entry.enabled {
                self.zone.clone()
            } else {
                String::new()
            };
            let fact = Change::Fact(self.key(entry, lasting), Some(zone));
            self.machine.assume(fact);
        }
        Ok(())
    }

    /// Zones and their targets are set for good only.
    fn lasting_only(&mut self) -> Result<(), Failure> {
        if self.immediate || !self.permanent {
            return Err(Failure::new(
                "Zone operations must be permanent. Make sure you didn't set the 'permanent' flag to 'false' or the 'immediate' flag to 'true'.",
            ));
        }
        self.messages.push(self.place().to_owned());
        Ok(())
    }

    fn ensure_target(&mut self, target: &str, there: bool) -> Result<bool, Failure> {
        self.lasting_only()?;
        let key = format!("firewalld:target:{}", self.zone);
        let now = match self.machine.assumed(&key) {
            Some(known) => known,
            None => self.told(&self.words(true, &["--get-target"]))?,
        };
        if there == (now.trim_matches('%') == target.trim_matches('%')) {
            return Ok(false);
        }
        let wanted = if there { target } else { "default" };
        let word = wanted.trim_matches('%');
        if !self.change(&self.words(true, &[&format!("--set-target={word}")]))? {
            let fact = Change::Fact(key, Some(wanted.to_owned()));
            self.machine.assume(fact);
        }
        let zone = &self.zone;
        self.messages.push(match there {
            true => format!("Set zone {zone} target to {target}"),
            false => format!("Reset zone {zone} target to default"),
        });
        Ok(true)
    }

    fn ensure_zone(&mut self, there: bool) -> Result<bool, Failure> {
        self.lasting_only()?;
        let now = match self.machine.assumed(&self.zone_key()) {
            Some(known) => known == "present",
            None => {
                let zones = self.told(&self.flags(true, &["--get-zones"]))?;
                zones.split_whitespace().any(|zone| zone == self.zone)
            }
        };
        if now == there {
            return Ok(false);
        }
        let verb = if there { "new" } else { "delete" };
        let word = if there { "present" } else { "absent" };
        let option = format!("--{verb}-zone={}", self.zone);
        if !self.change(&self.flags(true, &[&option]))? {
            let fact = Change::Fact(self.zone_key(), Some(word.to_owned()));
            self.machine.assume(fact);
        }
        let done = if there { "Added" } else { "Removed" };
        self.messages.push(format!("{done} zone {}", self.zone));
        self.messages
            .push(format!("Changed zone {} to {word}", self.zone));
        Ok(true)
    }

    fn zone_key(&self) -> String {
        format!("firewalld:zone:{}", self.zone)
    }

    /// The fact that tells check mode the zone of an interface, or of what a zone may hold.
    fn key(&self, entry: &Entry, lasting: bool) -> String {
        let zone = match entry.message {
            Message::Moved(_) => "",
            _ => &self.zone,
        };
        // Quotes in a rich rule mean nothing.
        let what = option("", entry).replace('"', "");
        format!("firewalld:{lasting}:{zone}:{what}")
    }

    /// Options with the zone.
    fn words(&self, lasting: bool, options: &[&str]) -> Vec<String> {
        let mut words = self.flags(lasting, options);
        words.push(format!("--zone={}", self.zone));
        words
    }

    fn flags(&self, lasting: bool, options: &[&str]) -> Vec<String> {
        let lasting = (lasting && self.running).then_some("--permanent");
        let words = lasting.into_iter().chain(options.iter().copied());
        words.map(str::to_owned).collect()
    }

    fn command<S: AsRef<str>>(&self, words: &[S]) -> Command {
        let program = match self.running {
            true => "firewall-cmd",
            false => "firewall-offline-cmd",
        };
        let words = words.iter().map(AsRef::as_ref);
        Command::new(std::iter::once(program).chain(words)).c_locale()
    }

    fn ask<S: AsRef<str>>(&mut self, words: &[S]) -> Result<Output, Failure> {
        let command = self.command(words);
        programs::query(self.machine, &command)
    }

    /// What the program answers.
    fn told<S: AsRef<str>>(&mut self, words: &[S]) -> Result<String, Failure> {
        let output = self.ask(words)?;
        match output.code {
            0 => Ok(output.stdout_text().trim().to_owned()),
            _ => Err(self.refused(&output)),
        }
    }

    /// Runs the program; `false`: in check mode it would have run.
    fn change(&mut self, words: &[String]) -> Result<bool, Failure> {
        let command = self.command(words);
        match programs::change(self.machine, &command)? {
            Some(output) if output.code != 0 => Err(self.refused(&output)),
            done => Ok(done.is_some()),
        }
    }

    fn refused(&self, output: &Output) -> Failure {
        let error = output.stderr_text();
        let error = error.trim_end();
        let error = error.strip_prefix("Error: ").unwrap_or(error);
        // Rules are read before the daemon is asked.
        let from = match self.running && !error.starts_with("INVALID_RULE") {
            true => "org.fedoraproject.FirewallD1.Exception: ",
            false => "",
        };
        let mut text = format!("ERROR: Exception caught: {from}{error}");
        let early = ["INVALID_ZONE", "INVALID_RULE"];
        if !early.iter().any(|start| error.starts_with(start)) {
            text = format!("{text} {}", self.messages.join(", "));
        }
        if error.starts_with("INVALID_SERVICE") {
            text.push_str(", Services are defined by port/tcp relationship and named as they are in /etc/services (on most systems)");
        }
        Failure::new(text)
    }
}

/// An option of the program: `--add-port=80/tcp`.
fn option(verb: &str, entry: &Entry) -> String {
    let (option, value) = (entry.option, &entry.value);
    match value {
        Some(value) => format!("--{verb}-{option}={value}"),
        None => format!("--{verb}-{option}"),
    }
}
