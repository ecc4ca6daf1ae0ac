//! `wait_for`: waits for a port, a file, or text in either.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rplay_modules::args::{ArgEnum, CheckMode, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::add_path_info;
use rplay_modules::module;
use rplay_modules::outcome::{Failure, Outcome};

use crate::regex::{Flags, Regex};

/// Waits for a condition before going on.
#[derive(ModuleArgs)]
struct Args {
    /// The host that is connected to.
    #[arg(default = "127.0.0.1")]
    host: String,
    /// The port that is polled.
    port: Option<u16>,
    /// The file that must be there (or gone).
    path: Option<PathBuf>,
    /// A regular expression that the file or the port's answer must have.
    search_regex: Option<String>,
    /// What is waited for.
    #[arg(default = "started")]
    state: State,
    /// How many seconds to wait at most.
    #[arg(default = "300")]
    timeout: u64,
    /// How many seconds one connection may take.
    #[arg(default = "5")]
    connect_timeout: u64,
    /// How many seconds to wait before the first look.
    #[arg(default = "0")]
    delay: u64,
    /// How many seconds to wait between looks.
    #[arg(default = "1")]
    sleep: u64,
    /// The message instead of the ordinary one when it takes too long.
    msg: Option<String>,
    /// States of connections that count as active with `drained`.
    #[arg(default = "ESTABLISHED,FIN_WAIT1,FIN_WAIT2,SYN_RECV,SYN_SENT,TIME_WAIT")]
    active_connection_states: Vec<String>,
    /// Hosts whose connections do not count with `drained`.
    exclude_hosts: Option<Vec<String>>,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum State {
    Absent,
    Drained,
    Present,
    Started,
    Stopped,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// How many seconds it took.
    elapsed: u64,
    /// The groups of `search_regex`.
    match_groups: Vec<String>,
    /// The named groups of `search_regex`.
    match_groupdict: Map,
}

module! {
    "ansible.builtin.wait_for", args: Args, returns: Values, run: run,
    rules: Rules { check_mode: CheckMode::Skipped, ..Rules::NONE },
}

/// The groups of a match.
#[derive(Default)]
struct Matched {
    groups: Vec<Data>,
    named: Map,
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    check(&args)?;
    let regex = args
        .search_regex
        .as_deref()
        .map(|pattern| {
            Regex::new(
                pattern,
                Flags {
                    multi_line: true,
                    ..Flags::default()
                },
            )
        })
        .transpose()?;
    let begin = machine.now();
    machine.sleep(Duration::from_secs(args.delay));
    if args.port.is_none() && args.path.is_none() && args.state != State::Drained {
        machine.sleep(Duration::from_secs(args.timeout));
        return Ok(outcome(machine, &args, begin, Matched::default()));
    }
    let end = begin + Duration::from_secs(args.timeout).as_secs_f64();
    while machine.now() < end {
        if let Some(matched) = look(machine, &args, regex.as_ref(), end)? {
            return Ok(outcome(machine, &args, begin, matched));
        }
        machine.sleep(Duration::from_secs(args.sleep));
    }
    let msg = args.msg.clone().unwrap_or_else(|| too_late(&args));
    Err(Failure::new(msg).with("elapsed", elapsed(machine, begin)))
}

fn check(args: &Args) -> Result<(), Failure> {
    let wrong = |msg: &str| Err(Failure::new(msg).with("elapsed", 0));
    let (port, path) = (args.port.is_some(), args.path.is_some());
    match args.state {
        _ if port && path => wrong("port and path parameter can not both be passed to wait_for"),
        State::Stopped if path => {
            wrong("state=stopped should only be used for checking a port in the wait_for module")
        }
        State::Drained if path => {
            wrong("state=drained should only be used for checking a port in the wait_for module")
        }
        _ if args.exclude_hosts.is_some() && args.state != State::Drained => {
            wrong("exclude_hosts should only be with state=drained")
        }
        _ => Ok(()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole seconds of a wait")]
fn elapsed(machine: &mut dyn Machine, begin: f64) -> i64 {
    (machine.now() - begin) as i64
}

fn outcome(machine: &mut dyn Machine, args: &Args, begin: f64, matched: Matched) -> Outcome {
    let mut outcome = Outcome::unchanged()
        .with("state", args.state.word())
        .with("port", args.port.map(u32::from))
        .with("search_regex", args.search_regex.clone())
        .with("match_groups", Data::List(matched.groups))
        .with("match_groupdict", matched.named)
        .with(
            "path",
            args.path.as_ref().map(|path| path.display().to_string()),
        )
        .with("elapsed", elapsed(machine, begin));
    if let Some(path) = &args.path {
        add_path_info(machine, path, &mut outcome.results);
    }
    outcome
}

fn too_late(args: &Args) -> String {
    let place = args.port.map(|port| format!("{}:{port}", args.host));
    let path = args.path.as_ref().map(|path| path.display().to_string());
    match (args.state, place, path, &args.search_regex) {
        (State::Absent | State::Stopped, Some(place), ..) => {
            format!("Timeout when waiting for {place} to stop.")
        }
        (State::Absent | State::Stopped, None, Some(path), _) => {
            format!("Timeout when waiting for {path} to be absent.")
        }
        (State::Drained, Some(place), ..) => format!("Timeout when waiting for {place} to drain"),
        (_, Some(place), _, Some(regex)) => {
            format!("Timeout when waiting for search string {regex} in {place}")
        }
        (_, Some(place), _, None) => format!("Timeout when waiting for {place}"),
        (_, None, Some(path), Some(regex)) => {
            format!("Timeout when waiting for search string {regex} in {path}")
        }
        (_, None, Some(path), None) => format!("Timeout when waiting for file {path}"),
        (_, None, None, _) => "Timeout".to_owned(),
    }
}

/// One look: the match when the condition holds.
fn look(
    machine: &mut dyn Machine,
    args: &Args,
    regex: Option<&Regex>,
    end: f64,
) -> Result<Option<Matched>, Failure> {
    let found = match (args.state, args.port, &args.path) {
        (State::Drained, port, _) => drained(machine, args, port)?.then(Matched::default),
        (State::Absent | State::Stopped, Some(port), _) => machine
            .connect(&args.host, port, Duration::from_secs(args.connect_timeout))
            .is_err()
            .then(Matched::default),
        (State::Absent | State::Stopped, None, Some(path)) => {
            matches!(machine.stat(path, true), Ok(None)).then(Matched::default)
        }
        (_, Some(port), _) => answered(machine, args, port, regex, end),
        (_, None, Some(path)) => in_file(machine, path, regex),
        (_, None, None) => Some(Matched::default()),
    };
    Ok(found)
}

fn in_file(machine: &mut dyn Machine, path: &Path, regex: Option<&Regex>) -> Option<Matched> {
    let Some(regex) = regex else {
        return matches!(machine.stat(path, true), Ok(Some(_))).then(Matched::default);
    };
    let bytes = machine.read(path).ok()?;
    search(regex, &bytes)
}

fn search(regex: &Regex, bytes: &[u8]) -> Option<Matched> {
    let text: &str = &String::from_utf8_lossy(bytes);
    let captures = regex.captures(text).ok().flatten()?;
    let value = |found: Option<&str>| Data::from(found.map(str::to_owned));
    let groups = (1..captures.len())
        .map(|index| value(captures.get(index)))
        .collect();
    let named = regex
        .names()
        .flatten()
        .map(|name| {
            (
                name.to_owned(),
                value(captures.number(name).and_then(|index| captures.get(index))),
            )
        })
        .collect();
    Some(Matched { groups, named })
}

/// Connects, and reads until the expression is found or the other end closes.
fn answered(
    machine: &mut dyn Machine,
    args: &Args,
    port: u16,
    regex: Option<&Regex>,
    end: f64,
) -> Option<Matched> {
    let wait = Duration::from_secs(args.connect_timeout);
    let mut stream = machine.connect(&args.host, port, wait).ok()?;
    let Some(regex) = regex else {
        return Some(Matched::default());
    };
    stream.set_timeout(Some(wait)).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    while machine.now() < end {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(&buffer[..count]);
        if let Some(matched) = search(regex, &answer) {
            return Some(matched);
        }
    }
    None
}

/// The states of TCP connections in the kernel's table.
const STATES: [(&str, &str); 11] = [
    ("ESTABLISHED", "01"),
    ("SYN_SENT", "02"),
    ("SYN_RECV", "03"),
    ("FIN_WAIT1", "04"),
    ("FIN_WAIT2", "05"),
    ("TIME_WAIT", "06"),
    ("CLOSE", "07"),
    ("CLOSE_WAIT", "08"),
    ("LAST_ACK", "09"),
    ("LISTEN", "0A"),
    ("CLOSING", "0B"),
];

fn drained(machine: &mut dyn Machine, args: &Args, port: Option<u16>) -> Result<bool, Failure> {
    let Some(port) = port else { return Ok(true) };
    let mut active = Vec::new();
    for name in &args.active_connection_states {
        let state = STATES.iter().find(|(word, _)| word == name);
        active.push(
            state
                .ok_or_else(|| {
                    Failure::new(format!("unknown active_connection_state ({name}) defined"))
                        .with("elapsed", 0)
                })?
                .1,
        );
    }
    let local = hex_addresses(machine, &args.host);
    let mut ignored = Vec::new();
    for host in args.exclude_hosts.iter().flatten() {
        ignored.extend(hex_addresses(machine, host));
    }
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = machine.read(Path::new(table)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let busy = text.lines().skip(1).any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (Some(here), Some(there), Some(state)) = (words.get(1), words.get(2), words.get(3))
            else {
                return false;
            };
            let Some((address, number)) = here.split_once(':') else {
                return false;
            };
            let Some((peer, _)) = there.split_once(':') else {
                return false;
            };
            let any = local.iter().any(|one| one.bytes().all(|byte| byte == b'0'));
            number == format!("{port:04X}")
                && active.contains(state)
                && (any || local.iter().any(|one| one == address))
                && !ignored.iter().any(|one| one == peer)
        });
        if busy {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The addresses of a host as the kernel's tables write them.
fn hex_addresses(machine: &mut dyn Machine, host: &str) -> Vec<String> {
    let mut found: Vec<std::net::IpAddr> = host.parse().into_iter().collect();
    if found.is_empty() {
        let command = crate::machine::Command::new(["getent", "ahosts", host]);
        let text = machine
            .query(&command)
            .map(|output| output.stdout_text())
            .unwrap_or_default();
        found = text
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
    }
    let words = |bytes: &[u8]| -> String {
        bytes
            .chunks_exact(4)
            .map(|word| {
                format!(
                    "{:02X}{:02X}{:02X}{:02X}",
                    word[3], word[2], word[1], word[0]
                )
            })
            .collect()
    };
    found
        .into_iter()
        .flat_map(|address| match address {
            std::net::IpAddr::V4(four) => vec![
                words(&four.octets()),
                words(&four.to_ipv6_mapped().octets()),
            ],
            std::net::IpAddr::V6(six) => vec![words(&six.octets())],
        })
        .collect()
}
