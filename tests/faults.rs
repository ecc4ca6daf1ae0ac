//! Connections that break: schedules of harm, each made of its number, between rplay and SSH servers: some with
//! OpenSSH's, which needs a tenth of a second for a connection, the others with a stand-in. Every task appends a line to a file. What was told to be done is there once, what was told not to be
//! done is not there, and whatever nobody can know is said to be so.
//!
//! `RPLAY_FAULTS=FIRST..LAST` runs other schedules than the usual ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rplay::connect::{Content, Kind, Link, LinkError, Target};
use rplay_modules::args::prepare;
use rplay_modules::data::Map;
use rplay_modules::wire::Run;
use rplay_modules::{map, registry};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::faulty::{After, Fault, Faulty, Harm, Passed, Random};
use crate::harness::scenario::{self, Scenario, eventually};
use crate::harness::stages::Verdict;
use crate::harness::stand_in::StandIn;
use crate::ssh::Server;

const SCENARIOS: &[Scenario<Server>] = &[
    (
        "no result is lost and no task is done twice, whatever happens to the connection",
        schedules,
    ),
    (
        "a transfer goes on where its connection was lost",
        transfers,
    ),
];

/// How large what is transferred is: large beside what is under way when a connection breaks.
const LARGE: u64 = 48 << 20;

/// The usual schedules.
const USUAL: Range<u64> = 0..520;

/// One of how many is with OpenSSH's server.
const REAL: u64 = 8;

/// How many run at a time.
const TOGETHER: usize = 16;

/// How long one may take; one that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// How long the controller tries to come back. Agents stay three times as long.
const RECONNECT: Duration = Duration::from_secs(3);

pub(crate) fn all(root: &Path, wanted: &dyn Fn(&str) -> bool) -> Vec<(String, Verdict)> {
    let chosen = scenario::chosen("faults", SCENARIOS, wanted);
    if chosen.is_empty() {
        return vec![];
    }
    let config = "UsePAM no\nMaxStartups 1000\nLoginGraceTime 30\n";
    match Server::with_config(root, config) {
        Ok(server) => scenario::run("faults", &chosen, &server),
        Err(reason) => vec![("faults".to_owned(), Verdict::Skipped(reason))],
    }
}

/// What schedules share.
struct Place {
    /// OpenSSH's, and the stand-in.
    servers: [Measured; 2],
    target: Target,
    folder: PathBuf,
}

/// A server, and what passes to it and from it.
struct Measured {
    address: SocketAddr,
    /// In a schedule without faults.
    clean: (Passed, Passed),
    /// The same until the agent is there.
    start: (Passed, Passed),
}

/// What came of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// Every task was done.
    Done,
    /// There was no connection to begin with.
    Unreachable,
    /// A task may have run.
    Unknown,
}

fn schedules(server: &Server) -> Result<(), String> {
    let wanted = match std::env::var("RPLAY_FAULTS") {
        Ok(text) => range(&text)?,
        Err(_) => USUAL,
    };
    let folder = server.file("faults");
    let (real, target) = ways(server, &folder)?;
    let counts = runtime()?.block_on(run_all(real, target, &folder, wanted.clone()))?;
    println!("faults: {counts:?}");
    let count = |end: End| counts.get(&end).copied().unwrap_or_default();
    if wanted == USUAL && count(End::Done) < 350 {
        return Err(format!("too few schedules came to an end: {counts:?}"));
    }
    eventually(
        "the agents have left",
        RECONNECT * 3 + Duration::from_secs(10),
        || {
            let pattern = format!("^{}/rplay/agent-", folder.display());
            let left = Command::new("pgrep").args(["-fc", &pattern]).output();
            let left = left.map_err(|fault| fault.to_string())?.stdout;
            Ok(left == b"0\n")
        },
    )
}

/// The server's address, and the way to it of agents that are in a folder of their own.
fn ways(server: &Server, folder: &Path) -> Result<(SocketAddr, Target), String> {
    std::fs::create_dir_all(folder).map_err(|fault| fault.to_string())?;
    let port: u16 = server.port.parse().map_err(|_| "no port")?;
    let mut target = Target::new("h", Kind::Ssh, "127.0.0.1");
    target.user = Some("root".to_owned());
    target.private_key_file = Some(server.file("id_ed25519"));
    target.host_key_checking = false;
    target.known_hosts = vec![server.file("known_hosts")];
    // Where the length of a packet is garbled, the server waits for the rest of it without a word, which is found out
    // by asking: here after 15 seconds instead of 60, which would be the limit of a schedule.
    let words = "-F none -oServerAliveInterval=5 -oServerAliveCountMax=2";
    target.ssh_args = words.split(' ').map(str::to_owned).collect();
    target.reconnect = RECONNECT;
    target.remote_tmp = Some(folder.display().to_string());
    Ok((SocketAddr::from(([127, 0, 0, 1], port)), target))
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.map_err(|fault| fault.to_string())
}

/// Content goes to a host and comes back, over connections that are cut in the middle of it.
fn transfers(server: &Server) -> Result<(), String> {
    let folder = server.file("transfers");
    let (real, target) = ways(server, &folder)?;
    let mut random = Random(1);
    let words = std::iter::repeat_with(|| random.next().to_le_bytes());
    let content: Vec<u8> = words.take(LARGE as usize / 8).flatten().collect();
    let (there, back) = (folder.join("there"), folder.join("back"));
    let cut = |to_server| Fault {
        to_server,
        after: After::Bytes(LARGE / 2),
        harm: Harm::Cut,
    };
    let passed = runtime()?.block_on(async {
        let proxy = Faulty::start(real, vec![cut(true), cut(false)]).await;
        let proxy = proxy.map_err(|fault| fault.to_string())?;
        let mut link = link(&target, &proxy);
        let all = async {
            let sent = link.put(None, 1_000, Content::Bytes(content.clone()));
            let sent = sent.await?;
            sent.map_err(|error| LinkError::Protocol(error.to_string()))?;
            let dest = there.display().to_string();
            let args = map! { "src" => "big", "_blob" => 1_000_i128, "dest" => dest.as_str() };
            let copied = link.call(None, request(1_001, "copy", &args)).await?;
            let mut file = std::fs::File::create(&back)
                .map_err(|error| LinkError::Protocol(error.to_string()))?;
            let fetched = link.fetch_into(None, &there, None, &mut file).await?;
            Ok::<_, LinkError>((copied.result.map(|outcome| outcome.changed), fetched))
        };
        let done = all.await.map_err(|error| error.to_string())?;
        link.close().await;
        let (Ok(true), Ok(Some(_))) = done else {
            return Err(format!("{done:?}"));
        };
        Ok::<_, String>(proxy.passed())
    })?;
    for file in [there, back] {
        let same = std::fs::read(&file).is_ok_and(|bytes| bytes == content);
        if !same {
            return Err(format!("{} has another content", file.display()));
        }
    }
    // Half of it twice would be 72 MB and more, in either direction.
    let most = LARGE + LARGE / 3;
    match passed {
        (to, from) if to.bytes < most && from.bytes < most => Ok(()),
        other => Err(format!("more was sent again than was lost: {other:?}")),
    }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..");
    let ends = ends.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    let (first, last) = ends.ok_or("RPLAY_FAULTS is FIRST..LAST")?;
    Ok(first..last)
}

/// Runs the wanted schedules; how many came to which end.
async fn run_all(
    real: SocketAddr,
    target: Target,
    folder: &Path,
    wanted: Range<u64>,
) -> Result<BTreeMap<End, u64>, String> {
    let stand_in = StandIn::start([127, 0, 0, 1]).await;
    let stand_in = stand_in.map_err(|fault| fault.to_string())?;
    // The first one brings the agent.
    measure(real, &target, folder).await?;
    let place = Arc::new(Place {
        servers: [
            measure(real, &target, folder).await?,
            measure(stand_in.address, &target, folder).await?,
        ],
        target,
        folder: folder.to_owned(),
    });
    let together = Arc::new(Semaphore::new(TOGETHER));
    let mut running = JoinSet::new();
    for number in wanted {
        let (place, together) = (Arc::clone(&place), Arc::clone(&together));
        running.spawn(async move {
            let _permit = together.acquire().await;
            let server = &place.servers[usize::from(number % REAL != 0)];
            let faults = server.faults(&mut Random(number));
            let ran = place.schedule(number, server.address, faults.clone());
            let ran = tokio::time::timeout(LIMIT, ran);
            let ran = ran.await.unwrap_or_else(|_| Err("it hangs".to_owned()));
            ran.map_err(|reason| {
                format!(
                    "RPLAY_FAULTS={number}..{}: {reason}\n{faults:?}",
                    number + 1
                )
            })
        });
    }
    let mut counts = BTreeMap::new();
    let mut wrong = vec![];
    while let Some(ran) = running.join_next().await {
        match ran.map_err(|fault| fault.to_string())? {
            Ok(end) => *counts.entry(end).or_default() += 1,
            Err(reason) => wrong.push(reason),
        }
    }
    match wrong.is_empty() {
        true => Ok(counts),
        false => Err(wrong.join("\n")),
    }
}

fn link(target: &Target, proxy: &Faulty) -> Link {
    Link::new(Target {
        port: Some(proxy.port),
        ..target.clone()
    })
}

/// Does everything once, without harm.
async fn measure(address: SocketAddr, target: &Target, folder: &Path) -> Result<Measured, String> {
    let proxy = Faulty::start(address, vec![]).await;
    let proxy = proxy.map_err(|fault| fault.to_string())?;
    let mut link = link(target, &proxy);
    link.hello(None).await.map_err(|error| error.to_string())?;
    let start = proxy.passed();
    let mut work = Work::new(link, &folder.join("clean"));
    work.all(&mut Random(0)).await;
    work.link.close().await;
    Ok(Measured {
        address,
        clean: proxy.passed(),
        start,
    })
}

impl Measured {
    /// Harm to up to three connections that follow each other. Most of it comes once the agent is there.
    fn faults(&self, random: &mut Random) -> Vec<Fault> {
        let count = 1 + random.below(8) / 5 + random.below(8) / 7;
        let mut faults = vec![];
        for connection in 0..count {
            let to_server = random.below(2) == 0;
            let of = |both: (Passed, Passed)| if to_server { both.0 } else { both.1 };
            let (start, clean) = (of(self.start), of(self.clean));
            let early = random.below(10) == 0;
            let mut between = |start: u64, end: u64| {
                // The first connection does everything, a later one what is left.
                let start = if early { 0 } else { start };
                let end = if connection > 0 {
                    end.min(start + start / 3)
                } else {
                    end
                };
                start + random.below(end.saturating_sub(start))
            };
            let (bytes, pieces) = (
                between(start.bytes, clean.bytes),
                between(start.pieces, clean.pieces),
            );
            let after = match random.below(2) {
                0 => After::Bytes(bytes),
                _ => After::Pieces(pieces),
            };
            let time = Duration::from_millis(random.below(600));
            let harm = match random.below(10) {
                0..=4 => Harm::Cut,
                5 | 6 => Harm::CutClient(time),
                7 => Harm::CutServer(time),
                8 => Harm::Garble,
                _ => Harm::Delay(time),
            };
            faults.push(Fault {
                to_server,
                after,
                harm,
            });
        }
        faults
    }
}

impl Place {
    async fn schedule(
        &self,
        number: u64,
        server: SocketAddr,
        faults: Vec<Fault>,
    ) -> Result<End, String> {
        let proxy = Faulty::start(server, faults).await;
        let proxy = proxy.map_err(|fault| fault.to_string())?;
        let file = self.folder.join(number.to_string());
        let mut work = Work::new(link(&self.target, &proxy), &file);
        work.all(&mut Random(number)).await;
        let end = work.end;
        // What is under way has ended before the file is read: the host still may do what is not known.
        work.link.close().await;
        if end == End::Unknown {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut found: BTreeMap<&str, usize> = BTreeMap::new();
        for line in text.lines() {
            *found.entry(line).or_default() += 1;
        }
        for (line, told) in &work.told {
            let times = found.remove(line.as_str()).unwrap_or(0);
            let right = match told {
                Told::Done => times == 1,
                Told::NotRun => times == 0,
                Told::Unknown => times <= 1,
            };
            if !right {
                return Err(format!(
                    "`{line}` is there {times} times, told was {told:?}"
                ));
            }
        }
        match found.is_empty() {
            true => Ok(end),
            false => Err(format!("nobody told of {found:?}")),
        }
    }
}

/// What is known of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    NotRun,
    Unknown,
}

/// Tasks for one host, and what was told of each.
struct Work {
    link: Link,
    file: PathBuf,
    next: u64,
    told: Vec<(String, Told)>,
    end: End,
}

impl Work {
    fn new(link: Link, file: &Path) -> Self {
        Self {
            link,
            file: file.to_owned(),
            next: 0,
            told: vec![],
            end: End::Done,
        }
    }

    /// Tasks of every kind, until the host is given up.
    async fn all(&mut self, random: &mut Random) {
        let pause = random.below(2) * random.below(200);
        self.one(0).await;
        self.several(4, true).await;
        self.one(pause).await;
        self.several(4, false).await;
        self.content().await;
        self.one(0).await;
    }

    fn append(&mut self, pause: u64) -> Run {
        self.next += 1;
        let line = format!("line {}", self.next);
        let file = self.file.display().to_string();
        let pause = format!("{}.{:03}", pause / 1000, pause % 1000);
        let script = format!("sleep {pause}; echo '{line}' >>'{file}'");
        self.told.push((line, Told::NotRun));
        request(self.next, "shell", &map! { "cmd" => script.as_str() })
    }

    /// What is told of the task of this number.
    fn tell(&mut self, id: u64, told: Told) {
        if let Some((_, known)) = self.told.get_mut(usize::try_from(id - 1).unwrap_or(0)) {
            *known = told;
        }
    }

    /// The host is given up: whatever was under way may be done or not, if that is what the error says.
    fn give_up(&mut self, error: &LinkError, under_way: impl Iterator<Item = u64>) {
        let honest = error.to_string().contains("it may have run");
        for id in under_way.filter(|_| honest) {
            self.tell(id, Told::Unknown);
        }
        self.end = match honest {
            true => End::Unknown,
            false => End::Unreachable,
        };
    }

    async fn one(&mut self, pause: u64) {
        if self.end != End::Done {
            return;
        }
        let run = self.append(pause);
        let id = run.id;
        match self.link.call(None, run).await {
            Ok(answered) => self.tell(id, done(&answered.result)),
            Err(error) => self.give_up(&error, id..=id),
        }
    }

    /// Tasks that travel together; what a chain did not run is done one by one, as a run does it.
    async fn several(&mut self, count: u64, chain: bool) {
        if self.end != End::Done {
            return;
        }
        let first = self.next + 1;
        let runs: Vec<Run> = (0..count)
            .map(|_| Run {
                chain: chain.then_some(first),
                ..self.append(0)
            })
            .collect();
        let mut calls = match self.link.calls(None, runs.clone()).await {
            Ok(calls) => calls,
            Err(error) => return self.give_up(&error, first..first + count),
        };
        for (id, run) in (first..).zip(runs) {
            let answer = match self.link.answer(&mut calls).await {
                Ok(Some(answered)) => {
                    self.tell(id, done(&answered.result));
                    continue;
                }
                Ok(None) => self.link.call(None, Run { chain: None, ..run }).await,
                Err(error) => return self.give_up(&error, id..first + count),
            };
            match answer {
                Ok(answered) => self.tell(id, done(&answered.result)),
                Err(error) => return self.give_up(&error, id..=id),
            }
        }
    }

    /// Content that goes ahead of its task, and comes back.
    async fn content(&mut self) {
        if self.end != End::Done {
            return;
        }
        let bytes: Vec<u8> = (0..50_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let file = self.file.with_extension("content");
        let dest = file.display().to_string();
        let args = map! { "src" => "big", "_blob" => 1_000_i128, "dest" => dest.as_str() };
        let copy = request(1_001, "copy", &args);
        let copied = async {
            let content = Content::Bytes(bytes.clone());
            let sent = self.link.put(None, 1_000, content).await?;
            sent.map_err(|error| LinkError::Protocol(error.to_string()))?;
            self.link.call(None, copy).await
        };
        match copied.await.map(|answered| answered.result) {
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => {
                self.told
                    .push((format!("copy: {}", failure.msg), Told::Done));
                return;
            }
            Err(error) => return self.give_up(&error, 0..0),
        }
        match self.link.fetch(None, &file).await {
            Ok(Ok(back)) if back == bytes => {}
            Ok(other) => {
                let length = other.map(|bytes| bytes.len());
                self.told.push((format!("fetched {length:?}"), Told::Done));
            }
            Err(error) => self.give_up(&error, 0..0),
        }
    }
}

fn done<T, E>(result: &Result<T, E>) -> Told {
    // A task that fails has done something else.
    result.as_ref().map_or(Told::Unknown, |_| Told::Done)
}

fn request(id: u64, module: &str, args: &Map) -> Run {
    let module = registry::find(module);
    let args = module.and_then(|module| prepare(module, args).ok());
    let name = module.map_or("", |module| module.name);
    Run::new(
        id,
        name,
        args.map(|prepared| prepared.args).unwrap_or_default(),
    )
}
