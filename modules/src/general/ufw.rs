//! `ufw`: the firewall of Ubuntu and its kin.

use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::machine::{Change, Command, Machine, Output};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::builtin::programs;

/// Turns the firewall on and off, and sets its defaults, its log and its rules.
#[derive(ModuleArgs)]
struct Args {
    /// Whether the firewall is on, or loads its rules again, or forgets them and is off.
    state: Option<State>,
    /// What becomes of packets that no rule fits.
    #[arg(alias = "policy", choices = "allow, deny, reject")]
    default: Option<String>,
    /// The packets that a rule or a default is about.
    direction: Option<Direction>,
    /// How much is logged.
    #[arg(choices = "on, off, low, medium, high, full")]
    logging: Option<String>,
    /// Place of a new rule; counted as `insert_relative_to` says.
    insert: Option<i64>,
    /// From where `insert` counts.
    #[arg(default = "zero")]
    insert_relative_to: Relative,
    /// What becomes of packets that fit.
    #[arg(choices = "allow, deny, limit, reject")]
    rule: Option<String>,
    /// Log packets that fit.
    #[arg(default = "false")]
    log: bool,
    /// Where they come from.
    #[arg(alias = "from", alias = "src", default = "any")]
    from_ip: String,
    /// The port that they come from.
    from_port: Option<String>,
    /// Where they go.
    #[arg(alias = "dest", alias = "to", default = "any")]
    to_ip: String,
    /// The port that they go to.
    #[arg(alias = "port")]
    to_port: Option<String>,
    /// The protocol.
    #[arg(
        alias = "protocol",
        choices = "any, tcp, udp, ipv6, esp, ah, gre, igmp, vrrp"
    )]
    proto: Option<String>,
    /// A profile of an application.
    #[arg(alias = "app")]
    name: Option<String>,
    /// Remove the rule.
    #[arg(default = "false")]
    delete: bool,
    /// The interface, in the given `direction`.
    #[arg(alias = "if")]
    interface: Option<String>,
    /// The interface that packets come in by.
    #[arg(alias = "if_in")]
    interface_in: Option<String>,
    /// The interface that packets leave by.
    #[arg(alias = "if_out")]
    interface_out: Option<String>,
    /// The rule is about packets that pass through.
    #[arg(default = "false")]
    route: bool,
    /// A comment on the rule.
    comment: Option<String>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Disabled,
    Enabled,
    Reloaded,
    Reset,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Incoming,
    Out,
    Outgoing,
    Routed,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Relative {
    #[arg(name = "first-ipv4")]
    FirstIpv4,
    #[arg(name = "first-ipv6")]
    FirstIpv6,
    #[arg(name = "last-ipv4")]
    LastIpv4,
    #[arg(name = "last-ipv6")]
    LastIpv6,
    #[arg(name = "zero")]
    Zero,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The commands that were run.
    commands: Vec<String>,
    /// The state of the firewall afterwards.
    msg: String,
}

module! {
    "community.general.ufw", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.ufw"],
    rules: Rules {
        mutually_exclusive: &[
            &["direction", "interface_in"],
            &["direction", "interface_out"],
        ],
        required_one_of: &[&["state", "default", "rule", "logging"]],
        required_by: &[("interface", &["direction"])],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    check(&args)?;
    let mut firewall = Firewall {
        ufw: programs::required(machine, "ufw")?,
        grep: programs::required(machine, "grep")?,
        commands: Vec::new(),
        machine,
    };
    let result = firewall.ensure(&args);
    let commands = firewall.commands;
    match result {
        Ok((changed, status)) => Ok(Outcome::new(changed)
            .with("commands", commands)
            .with("msg", status.trim_end())),
        Err(failure) => Err(failure.with("commands", commands)),
    }
}

/// What is wrong with the arguments together.
fn check(args: &Args) -> Result<(), Failure> {
    use Direction::{In, Incoming, Out, Outgoing, Routed};
    if args.default.is_some() && matches!(args.direction, Some(In | Out)) {
        return Err(Failure::new(
            "For default, direction must be one of \"outgoing\", \"incoming\" and \"routed\", or direction must not be specified.",
        ));
    }
    if args.rule.is_some() {
        if matches!(args.direction, Some(Incoming | Outgoing | Routed)) {
            return Err(Failure::new(
                "For rules, direction must be one of \"in\" and \"out\", or direction must not be specified.",
            ));
        }
        if !args.route && args.interface_in.is_some() && args.interface_out.is_some() {
            let text = "Only route rules can combine interface_in and interface_out";
            return Err(Failure::new(text));
        }
    }
    Ok(())
}

/// The files that hold the rules.
const RULES: [&str; 6] = [
    "/lib/ufw/user.rules",
    "/lib/ufw/user6.rules",
    "/etc/ufw/user.rules",
    "/etc/ufw/user6.rules",
    "/var/lib/ufw/user.rules",
    "/var/lib/ufw/user6.rules",
];

/// The program, and what was done with it.
struct Firewall<'a> {
    machine: &'a mut dyn Machine,
    ufw: String,
    grep: String,
    commands: Vec<String>,
}

impl Firewall<'_> {
    /// Does all that is asked for; returns whether something changed, and the state afterwards.
    fn ensure(&mut self, args: &Args) -> Result<(bool, String), Failure> {
        let (status, rules) = (self.status()?, self.rules()?);
        let mut changed = false;
        if let Some(state) = args.state {
            changed |= self.set_state(&status, state)?;
        }
        if let Some(level) = &args.logging {
            changed |= self.set_logging(&status, level)?;
        }
        if let Some(default) = &args.default {
            changed |= self.set_default(&status, default, args.direction)?;
        }
        if args.rule.is_some() {
            changed |= self.set_rule(args, &rules)?;
        }
        let after = self.status()?;
        Ok((changed || status != after || rules != self.rules()?, after))
    }

    /// Runs a program that changes nothing.
    fn ask(&mut self, program: &str, words: &[&str]) -> Result<Output, Failure> {
        let mut argv = vec![program.to_owned()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        self.commands.push(programs::quoted(&argv));
        programs::ask(self.machine, argv)
    }

    /// Runs the program; `false`: in check mode it would have run.
    fn change(&mut self, words: &[&str]) -> Result<bool, Failure> {
        let mut argv = vec![self.ufw.clone()];
        argv.extend(words.iter().map(|word| (*word).to_owned()));
        self.commands.push(programs::quoted(&argv));
        match programs::change(self.machine, &Command::new(argv).c_locale())? {
            Some(output) if output.code != 0 => Err(refused(&output)),
            done => Ok(done.is_some()),
        }
    }

    fn status(&mut self) -> Result<String, Failure> {
        let ufw = self.ufw.clone();
        let output = self.ask(&ufw, &["status", "verbose"])?;
        match output.code {
            0 => Ok(output.stdout_text()),
            _ => Err(refused(&output)),
        }
    }

    /// The rules as the files have them.
    fn rules(&mut self) -> Result<String, Failure> {
        let grep = self.grep.clone();
        let mut words = vec!["-h", "^### tuple"];
        words.extend(RULES);
        Ok(self.ask(&grep, &words)?.stdout_text())
    }

    /// What check mode knows of a setting, else what the state says.
    fn now(&mut self, what: &str, found: Option<&str>) -> Option<String> {
        let assumed = self.machine.assumed(&format!("ufw:{what}"));
        assumed.or_else(|| found.map(str::to_owned))
    }

    fn assume(&mut self, what: &str, word: &str) {
        let key = format!("ufw:{what}");
        self.machine
            .assume(Change::Fact(key, Some(word.to_owned())));
    }

    fn set_state(&mut self, status: &str, state: State) -> Result<bool, Failure> {
        let word = match state {
            State::Enabled => "enable",
            State::Disabled => "disable",
            State::Reloaded => "reload",
            State::Reset => "reset",
        };
        let wanted = if state == State::Enabled {
            "active"
        } else {
            "inactive"
        };
        if matches!(state, State::Enabled | State::Disabled)
            && self.now("state", field(status, "Status: ")).as_deref() == Some(wanted)
        {
            return Ok(false);
        }
        self.change(&["-f", word])?;
        if state != State::Reloaded {
            self.assume("state", wanted);
        }
        Ok(true)
    }

    fn set_logging(&mut self, status: &str, level: &str) -> Result<bool, Failure> {
        let shown = field(status, "Logging: ").map(|text| match text.split_once('(') {
            Some((_, level)) => level.trim_end_matches(')'),
            None => text,
        });
        let now = self.now("logging", shown);
        // Without a level the one that was set before comes back.
        let same = match level {
            "on" => now.as_deref().is_some_and(|now| now != "off"),
            level => now.as_deref() == Some(level),
        };
        if same {
            return Ok(false);
        }
        let done = self.change(&["logging", level])?;
        self.assume("logging", level);
        // A firewall that is off does not tell its level: then nobody can say.
        Ok(!done || now.is_some())
    }

    fn set_default(
        &mut self,
        status: &str,
        default: &str,
        direction: Option<Direction>,
    ) -> Result<bool, Failure> {
        let word = match direction {
            Some(Direction::Outgoing) => "outgoing",
            Some(Direction::Routed) => "routed",
            _ => "incoming",
        };
        let ending = format!("({word})");
        let all = field(status, "Default: ").unwrap_or_default();
        let mut parts = all.split(", ");
        let shown = parts
            .find_map(|part| part.strip_suffix(&ending))
            .map(str::trim);
        let what = format!("default:{word}");
        let now = self.now(&what, shown);
        // Where packets do not pass through, there is no default for them.
        if now.as_deref() == Some(default) || now.as_deref() == Some("disabled") {
            return Ok(false);
        }
        let mut words = vec!["default", default];
        words.extend(direction.map(|_| word));
        let done = self.change(&words)?;
        self.assume(&what, default);
        Ok(!done || now.is_some())
    }

    fn set_rule(&mut self, args: &Args, rules: &str) -> Result<bool, Failure> {
        let place = match args.insert {
            Some(place) => self.place(args, place)?,
            None => None,
        };
        let words = rule(args, place);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if self.change(&words)? {
            return Ok(false);
        }
        // Check mode: the program itself says what would become of its rules.
        let mut plain = args_without_delete(&words);
        plain.insert(0, "rule");
        let (what, wanted) = (plain.join(" "), if args.delete { "gone" } else { "there" });
        if let Some(known) = self.machine.assumed(&format!("ufw:{what}")) {
            self.assume(&what, wanted);
            return Ok(known != wanted);
        }
        let mut dry = vec!["--dry-run"];
        dry.extend(&words);
        let ufw = self.ufw.clone();
        let output = self.ask(&ufw, &dry)?;
        if output.code != 0 {
            return Err(refused(&output));
        }
        self.assume(&what, wanted);
        Ok(differs(&output.stdout_text(), rules))
    }

    /// The place of a new rule, counted from the beginning; nothing where it comes last anyway.
    fn place(&mut self, args: &Args, place: i64) -> Result<Option<i64>, Failure> {
        if args.insert_relative_to == Relative::Zero || args.delete {
            return Ok(Some(place));
        }
        let ufw = self.ufw.clone();
        let output = self.ask(&ufw, &["status", "numbered"])?;
        let text = output.stdout_text();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
        let all = i64::try_from(lines.len()).unwrap_or(i64::MAX);
        let six = |line: &&&str| line.contains("(v6)") || line.matches(':').count() > 1;
        let sixes = i64::try_from(lines.iter().filter(six).count()).unwrap_or(0);
        let fours = all - sixes;
        let base = match args.insert_relative_to {
            Relative::FirstIpv4 => 1,
            Relative::LastIpv4 => fours.max(1),
            Relative::FirstIpv6 => fours + 1,
            Relative::LastIpv6 if sixes == 0 => all + 1,
            Relative::LastIpv6 => all,
            Relative::Zero => 0,
        };
        Ok(Some(base + place).filter(|place| *place <= all))
    }
}

/// Whether the files that the program would write hold other rules than those that are there: it
/// shows a file of IPv4 rules, one of IPv6 rules, or both in this order.
fn differs(shown: &str, rules: &str) -> bool {
    let six = |line: &&str| line.contains(':');
    let tuples = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("### tuple"));
        lines.map(str::to_owned).collect()
    };
    let files: Vec<&str> = shown.split("*filter").skip(1).collect();
    let known = tuples(rules);
    let (sixes, fours): (Vec<String>, Vec<String>) =
        known.into_iter().partition(|line| six(&line.as_str()));
    files.iter().enumerate().any(|(index, file)| {
        let new = tuples(file);
        let is_six = index == 1
            || new.iter().any(|line| six(&line.as_str()))
            || !file.contains("RATE LIMITING");
        new != *(if is_six { &sixes } else { &fours })
    })
}

/// The line of the state that begins so.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name))
}

/// A rule without `delete`, as check mode keeps it.
fn args_without_delete<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut kept: Vec<&str> = Vec::new();
    let mut skip = 0;
    for word in words {
        match *word {
            _ if skip > 0 => skip -= 1,
            "delete" => {}
            "insert" => skip = 1,
            "comment" => break,
            word => kept.push(word),
        }
    }
    kept
}

/// The rule in the program's words.
fn rule(args: &Args, place: Option<i64>) -> Vec<String> {
    let mut words: Vec<&str> = Vec::new();
    words.extend(args.route.then_some("route"));
    words.extend(args.delete.then_some("delete"));
    let place = place
        .filter(|_| !args.delete)
        .map(|place| place.to_string());
    if let Some(place) = &place {
        words.extend(["insert", place]);
    }
    words.extend(args.rule.as_deref());
    match args.direction {
        Some(Direction::In) => words.push("in"),
        Some(Direction::Out) => words.push("out"),
        _ => {}
    }
    if let Some(name) = &args.interface {
        words.extend(["on", name]);
    }
    if let Some(name) = &args.interface_in {
        words.extend(["in", "on", name]);
    }
    if let Some(name) = &args.interface_out {
        words.extend(["out", "on", name]);
    }
    words.extend(args.log.then_some("log"));
    words.extend(["from", &args.from_ip]);
    if let Some(port) = &args.from_port {
        words.extend(["port", port]);
    }
    words.extend(["to", &args.to_ip]);
    for (name, value) in [
        ("port", &args.to_port),
        ("proto", &args.proto),
        ("app", &args.name),
        ("comment", &args.comment),
    ] {
        if let Some(value) = value {
            words.extend([name, value]);
        }
    }
    words.into_iter().map(str::to_owned).collect()
}

fn refused(output: &Output) -> Failure {
    Failure::new(match output.stderr.is_empty() {
        true => output.stdout_text(),
        false => output.stderr_text(),
    })
}
