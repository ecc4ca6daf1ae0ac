//! `iptables`: rules, chains and policies of the kernel's packet filter.

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::{Change, Command, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use super::programs;

/// Adds and removes rules, makes and removes chains, and sets policies, with `iptables` and `ip6tables`.
///
/// Nothing is kept for the next start of the machine. An exclamation mark before a value negates it.
#[derive(ModuleArgs)]
struct Args {
    /// The table.
    #[arg(default = "filter", choices = "filter, nat, mangle, raw, security")]
    table: String,
    /// Whether the rule or chain is there or gone.
    #[arg(default = "present")]
    state: State,
    /// Whether a new rule comes last, or first (or at `rule_num`).
    #[arg(default = "append")]
    action: Action,
    /// The place of an inserted rule.
    rule_num: Option<String>,
    /// The program: for IPv4, IPv6, or both.
    #[arg(default = "ipv4")]
    ip_version: Version,
    /// The chain.
    chain: Option<String>,
    /// The protocol.
    protocol: Option<String>,
    /// Where packets come from.
    source: Option<String>,
    /// Where packets go.
    destination: Option<String>,
    /// TCP flags that are looked at, and those of them that are set.
    #[arg(kind = "dict")]
    tcp_flags: Option<Map>,
    /// Extensions that the rule uses.
    #[arg(name = "match", default = "[]")]
    match_: Vec<String>,
    /// What becomes of packets that fit.
    jump: Option<String>,
    /// Where `TEE` sends a copy.
    gateway: Option<String>,
    /// What lines of the log begin with; the target is `LOG` then.
    log_prefix: Option<String>,
    /// How important lines of the log are; the target is `LOG` then.
    #[arg(
        choices = "0, 1, 2, 3, 4, 5, 6, 7, emerg, alert, crit, error, warning, notice, info, debug"
    )]
    log_level: Option<String>,
    /// The chain where it goes on, without coming back.
    goto: Option<String>,
    /// The interface that packets come in by.
    in_interface: Option<String>,
    /// The interface that packets leave by.
    out_interface: Option<String>,
    /// Further fragments of packets.
    fragment: Option<String>,
    /// Numbers of packets and bytes that the rule begins with.
    set_counters: Option<String>,
    /// The port that packets come from.
    source_port: Option<String>,
    /// The port that packets go to.
    destination_port: Option<String>,
    /// Several ports and ranges that packets go to.
    #[arg(default = "[]")]
    destination_ports: Vec<String>,
    /// Ports that `REDIRECT` and the like lead to.
    to_ports: Option<String>,
    /// Where `DNAT` leads to.
    to_destination: Option<String>,
    /// What `SNAT` has packets come from.
    to_source: Option<String>,
    /// Whether only packets that open a connection are meant, or all others.
    #[arg(default = "ignore")]
    syn: Syn,
    /// The mark that `DSCP` sets.
    set_dscp_mark: Option<String>,
    /// The class that `DSCP` sets.
    set_dscp_mark_class: Option<String>,
    /// A comment in the rule.
    comment: Option<String>,
    /// States of connections.
    #[arg(default = "[]")]
    ctstate: Vec<String>,
    /// A range that packets come from.
    src_range: Option<String>,
    /// A range that packets go to.
    dst_range: Option<String>,
    /// A set of addresses, as `ipset` makes it.
    match_set: Option<String>,
    /// Which address is looked up in the set.
    match_set_flags: Option<SetFlags>,
    /// How often the rule fits at most.
    limit: Option<String>,
    /// How often it fits at once.
    limit_burst: Option<String>,
    /// The user whose packets are meant.
    uid_owner: Option<String>,
    /// The group whose packets are meant.
    gid_owner: Option<String>,
    /// What `REJECT` answers; the target is `REJECT` then.
    reject_with: Option<String>,
    /// The kind of ICMP packets.
    icmp_type: Option<String>,
    /// Remove all rules of the chain, or of all chains.
    #[arg(default = "false")]
    flush: bool,
    /// What becomes of packets that no rule of the chain decides.
    #[arg(choices = "ACCEPT, DROP, QUEUE, RETURN")]
    policy: Option<String>,
    /// How many seconds another run of the program is waited for.
    wait: Option<String>,
    /// Make the chain, or remove it, where no rule is given.
    #[arg(default = "false")]
    chain_management: bool,
    /// List chains without looking names up.
    #[arg(default = "false")]
    numeric: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Action {
    Append,
    Insert,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Syn {
    Ignore,
    Match,
    Negate,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum SetFlags {
    Src,
    Dst,
    #[arg(name = "src,dst")]
    SrcDst,
    #[arg(name = "dst,src")]
    DstSrc,
    #[arg(name = "src,src")]
    SrcSrc,
    #[arg(name = "dst,dst")]
    DstDst,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Version {
    Ipv4,
    Ipv6,
    Both,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The rule in the program's words.
    rule: String,
    /// The chain.
    chain: String,
    /// The table.
    table: String,
    /// Whether it is there or gone.
    state: String,
}

module! {
    "ansible.builtin.iptables", args: Args, returns: Values, run: run,
    rules: Rules {
        mutually_exclusive: &[
            &["set_dscp_mark", "set_dscp_mark_class"],
            &["flush", "policy"],
        ],
        required_by: &[("set_dscp_mark", &["jump"]), ("set_dscp_mark_class", &["jump"])],
        required_if: &[
            ("jump", "TEE", &["gateway"], false),
            ("flush", "False", &["chain"], false),
        ],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    let written = args.jump.clone();
    targets(&mut args)?;
    let versions: &[(&str, &str)] = match args.ip_version {
        Version::Ipv4 => &[("iptables", "--icmp-type")],
        Version::Ipv6 => &[("ip6tables", "--icmpv6-type")],
        Version::Both => &[("iptables", "--icmp-type"), ("ip6tables", "--icmpv6-type")],
    };
    let mut changed = false;
    let mut shown = String::new();
    for (index, (program, icmp)) in versions.iter().enumerate() {
        let rule = self::rule(&args, icmp)?;
        if index == 0 {
            // As Ansible tells it: without the target that options for the log stand for.
            let target = std::mem::replace(&mut args.jump, written.clone());
            shown = self::rule(&args, icmp)?.join(" ");
            args.jump = target;
        }
        let filter = Filter {
            program: programs::required(machine, program)?,
            args: &args,
            rule,
        };
        changed |= filter.ensure(machine)?;
    }
    let text = |value: &Option<String>| value.as_deref().map_or(Data::Null, Data::from);
    Ok(Outcome::new(changed)
        .with("chain", text(&args.chain))
        .with("chain_management", args.chain_management)
        .with("flush", args.flush)
        .with("ip_version", args.ip_version.word())
        .with("rule", shown)
        .with("state", args.state.word())
        .with("table", args.table.as_str())
        .with("wait", text(&args.wait)))
}

/// Targets that other arguments stand for.
fn targets(args: &mut Args) -> Result<(), Failure> {
    if args.log_prefix.is_some() || args.log_level.is_some() {
        let jump = args.jump.get_or_insert_with(|| "LOG".to_owned());
        if jump != "LOG" {
            let text = "Logging options can only be used with the LOG jump target.";
            return Err(Failure::new(text));
        }
    }
    let tee = |jump: &String| jump.eq_ignore_ascii_case("tee");
    if args.gateway.is_some() && !args.jump.as_ref().is_some_and(tee) {
        return Err(Failure::new("`gateway` needs the jump target `TEE`"));
    }
    if args.match_set.is_some() && args.match_set_flags.is_none() {
        return Err(Failure::new("`match_set` needs `match_set_flags`"));
    }
    Ok(())
}

/// The words of a rule.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn all(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    fn plain(&mut self, option: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.all(&[option, value]);
        }
    }

    /// An option whose value may be negated.
    fn value(&mut self, option: &str, value: Option<&String>) {
        let Some(value) = value else { return };
        match value.strip_prefix('!') {
            Some(value) => self.all(&["!", option, value]),
            None => self.all(&[option, value]),
        }
    }

    /// Names the extension that options need, unless the user did.
    fn extension(&mut self, args: &Args, name: &str) {
        if !args.match_.iter().any(|given| given == name) {
            self.all(&["-m", name]);
        }
    }
}

/// The rule as the program takes it, in Ansible's order: a list of options, so it is long.
fn rule(args: &Args, icmp: &str) -> Result<Vec<String>, Failure> {
    let mut words = Words::default();
    words.value("-p", args.protocol.as_ref());
    words.value("-s", args.source.as_ref());
    words.value("-d", args.destination.as_ref());
    for name in &args.match_ {
        words.all(&["-m", name]);
    }
    tcp_flags(&mut words, args)?;
    words.plain("-j", args.jump.as_ref());
    words.plain("--gateway", args.gateway.as_ref());
    words.plain("--log-prefix", args.log_prefix.as_ref());
    words.plain("--log-level", args.log_level.as_ref());
    words.plain("--to-destination", args.to_destination.as_ref());
    if !args.destination_ports.is_empty() {
        words.extension(args, "multiport");
        words.all(&["--dports", &args.destination_ports.join(",")]);
    }
    words.plain("--to-source", args.to_source.as_ref());
    words.plain("-g", args.goto.as_ref());
    words.value("-i", args.in_interface.as_ref());
    words.value("-o", args.out_interface.as_ref());
    words.value("-f", args.fragment.as_ref());
    words.plain("-c", args.set_counters.as_ref());
    words.value("--source-port", args.source_port.as_ref());
    words.value("--destination-port", args.destination_port.as_ref());
    words.plain("--to-ports", args.to_ports.as_ref());
    words.plain("--set-dscp", args.set_dscp_mark.as_ref());
    words.plain("--set-dscp-class", args.set_dscp_mark_class.as_ref());
    let marks = args.set_dscp_mark.is_some() || args.set_dscp_mark_class.is_some();
    let marker = |jump: &String| jump.eq_ignore_ascii_case("dscp");
    if marks && !args.jump.as_ref().is_some_and(marker) {
        words.all(&["-j", "DSCP"]);
    }
    match args.syn {
        Syn::Ignore => {}
        Syn::Match => words.all(&["--syn"]),
        Syn::Negate => words.all(&["!", "--syn"]),
    }
    if !args.ctstate.is_empty() {
        let state = args.match_.iter().any(|name| name == "state");
        if !state {
            words.extension(args, "conntrack");
        }
        let option = if state { "--state" } else { "--ctstate" };
        words.all(&[option, &args.ctstate.join(",")]);
    }
    if args.src_range.is_some() || args.dst_range.is_some() {
        words.extension(args, "iprange");
        words.value("--src-range", args.src_range.as_ref());
        words.value("--dst-range", args.dst_range.as_ref());
    }
    if args.match_set.is_some() {
        words.extension(args, "set");
        words.value("--match-set", args.match_set.as_ref());
        words
            .0
            .extend(args.match_set_flags.map(|flags| flags.word().to_owned()));
    }
    if args.limit.is_some() || args.limit_burst.is_some() {
        words.extension(args, "limit");
        words.value("--limit", args.limit.as_ref());
        words.value("--limit-burst", args.limit_burst.as_ref());
    }
    if args.uid_owner.is_some() || args.gid_owner.is_some() {
        words.extension(args, "owner");
        words.value("--uid-owner", args.uid_owner.as_ref());
        words.value("--gid-owner", args.gid_owner.as_ref());
    }
    if args.reject_with.is_some() && args.jump.is_none() {
        words.all(&["-j", "REJECT"]);
    }
    words.plain("--reject-with", args.reject_with.as_ref());
    words.value(icmp, args.icmp_type.as_ref());
    if let Some(comment) = &args.comment {
        words.extension(args, "comment");
        words.all(&["--comment", comment]);
    }
    Ok(words.0)
}

fn tcp_flags(words: &mut Words, args: &Args) -> Result<(), Failure> {
    let Some(flags) = &args.tcp_flags else {
        return Ok(());
    };
    if let Some(name) = flags
        .keys()
        .find(|name| !matches!(name.as_str(), "flags" | "flags_set"))
    {
        return Err(Failure::new(format!(
            "Unsupported parameters for (iptables) module: tcp_flags.{name}. Supported parameters include: flags, flags_set."
        )));
    }
    let list = |name: &str| match flags.get(name) {
        Some(Data::List(items)) => Some(items.iter().map(Data::text).collect::<Vec<_>>().join(",")),
        Some(Data::Null) | None => None,
        Some(other) => Some(other.text()),
    };
    match (list("flags"), list("flags_set")) {
        (Some(seen), Some(set)) => {
            words.all(&["--tcp-flags", &seen, &set]);
            Ok(())
        }
        (None, None) => Ok(()),
        _ => Err(Failure::new(
            "`tcp_flags` needs both `flags` and `flags_set`",
        )),
    }
}

/// One program with what it has to do.
struct Filter<'a> {
    program: String,
    args: &'a Args,
    rule: Vec<String>,
}

impl Filter<'_> {
    fn ensure(&self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        let args = self.args;
        if args.flush {
            self.change(machine, "-F", &self.waiting())?;
            let count = self.flushes(machine).len() + 1;
            self.assume(machine, "flush", &"x".repeat(count));
            return Ok(true);
        }
        if let Some(policy) = &args.policy {
            return self.set_policy(machine, policy);
        }
        let present = args.state == State::Present;
        if args.chain_management && self.rule.is_empty() {
            let there = self.chain_is_there(machine)?;
            if there != present {
                let word = if present { "-N" } else { "-X" };
                self.change(machine, word, &self.waiting())?;
                self.assume(machine, "chain", args.state.word());
            }
            return Ok(there != present);
        }
        // A rule belongs to what the chain was since it was emptied last.
        let what = format!("{}rule:{}", self.flushes(machine), self.rule.join(" "));
        let mut words = self.waiting();
        words.extend(self.rule.iter().cloned());
        let there = match self.assumed(machine, &what) {
            Some(word) => word == "present",
            None if !self.flushes(machine).is_empty() => false,
            None => programs::query(machine, &self.command("-C", &words))?.code == 0,
        };
        if there != present {
            let insert = present && args.action == Action::Insert;
            if let Some(number) = args.rule_num.iter().find(|_| insert) {
                words.insert(0, number.clone());
            }
            let word = match (present, insert) {
                (false, _) => "-D",
                (true, true) => "-I",
                (true, false) => "-A",
            };
            self.change(machine, word, &words)?;
            self.assume(machine, &what, args.state.word());
        }
        Ok(there != present)
    }

    fn waiting(&self) -> Vec<String> {
        let wait = self.args.wait.iter();
        wait.flat_map(|wait| ["-w".to_owned(), wait.clone()])
            .collect()
    }

    fn set_policy(&self, machine: &mut dyn Machine, policy: &str) -> Result<bool, Failure> {
        let now = match self.assumed(machine, "policy") {
            Some(now) => now,
            None => {
                let command = self.listing();
                let output = programs::query(machine, &command)?;
                if output.code != 0 {
                    return Err(programs::refused(&command, &output));
                }
                let text = output.stdout_text();
                let first = text.split_once("(policy ").map(|(_, rest)| rest);
                let word = first.and_then(|rest| rest.split([' ', ')']).next());
                word.ok_or_else(|| Failure::new("Can't detect current policy"))?
                    .to_owned()
            }
        };
        if now == policy {
            return Ok(false);
        }
        let mut words = vec![policy.to_owned()];
        words.extend(self.waiting());
        self.change(machine, "-P", &words)?;
        self.assume(machine, "policy", policy);
        Ok(true)
    }

    fn chain_is_there(&self, machine: &mut dyn Machine) -> Result<bool, Failure> {
        Ok(match self.assumed(machine, "chain") {
            Some(word) => word == "present",
            None => programs::query(machine, &self.listing())?.code == 0,
        })
    }

    fn listing(&self) -> Command {
        let mut words = self.waiting();
        words.extend(self.args.numeric.then(|| "--numeric".to_owned()));
        self.command("-L", &words)
    }

    fn command(&self, word: &str, words: &[String]) -> Command {
        let mut argv = vec![
            self.program.clone(),
            "-t".to_owned(),
            self.args.table.clone(),
            word.to_owned(),
        ];
        argv.extend(self.args.chain.clone());
        argv.extend(words.iter().cloned());
        Command::new(argv).c_locale()
    }

    fn change(
        &self,
        machine: &mut dyn Machine,
        word: &str,
        words: &[String],
    ) -> Result<(), Failure> {
        programs::must(machine, &self.command(word, words))
    }

    fn key(&self, what: &str) -> String {
        let (table, chain) = (&self.args.table, self.args.chain.as_deref().unwrap_or(""));
        format!("{}:{table}:{chain}:{what}", self.program)
    }

    fn assume(&self, machine: &mut dyn Machine, what: &str, word: &str) {
        machine.assume(Change::Fact(self.key(what), Some(word.to_owned())));
    }

    fn assumed(&self, machine: &mut dyn Machine, what: &str) -> Option<String> {
        machine.assumed(&self.key(what))
    }

    /// A mark for each time that check mode has emptied the chain.
    fn flushes(&self, machine: &mut dyn Machine) -> String {
        let all = machine.assumed(&format!("{}:{}::flush", self.program, self.args.table));
        let own = self.assumed(machine, "flush");
        match self.args.chain {
            Some(_) => all.unwrap_or_default() + &own.unwrap_or_default(),
            None => all.unwrap_or_default(),
        }
    }
}
