//! Connections (local, SSH, through programs), the agent's bootstrap, become.
//!
//! A [`Link`] is everything there is to one host: its connection, and an agent for every user that
//! tasks become. It belongs to one worker, so nothing here is shared or locked; two inventory names
//! with the same address have two connections.

mod agent_image;
mod r#become;
mod bootstrap;
mod carrier;
mod content;
mod keys;
mod known_hosts;
mod local;
mod plain;
mod program;
mod rejoin;
mod room;
mod ssh;
mod ssh_auth;
mod ssh_config;
mod target;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use rplay_modules::machine::{Change, Kept, real};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::wire::{self, Hello, Reply, Request};
use tokio::io::DuplexStream;
use zeroize::Zeroizing;

pub use carrier::Carrier;
use carrier::{OpenSsh, Started};
pub use content::Content;
use content::{Fetched, Held, Pieces};
pub use keys::Keys;
use program::Program;
pub use room::{is_scarce, raise};
pub use ssh::Tunnels;
pub use target::{Become, Kind, Secret, Target};

/// How long an agent may take beyond a call's own time limit before it counts as lost.
const GRACE: Duration = Duration::from_secs(10);

/// The shortest time that a step of the bootstrap may take; a connect timeout of a second must not
/// make a loaded host fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a host could not be asked. The texts are those that Ansible prints, where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// There is no connection.
    Unreachable(String),
    /// The host does not let the user in.
    Auth(String),
    /// The host's key is unknown or another one.
    HostKey(String),
    /// The user could not be changed.
    Become(String),
    /// The host answered, but not as expected.
    Protocol(String),
    /// No agent can run there.
    NoAgent(String),
    /// No folder can hold the agent at present.
    NoFolder(String),
    /// A step took too long.
    Timeout,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text)
            | Self::Auth(text)
            | Self::HostKey(text)
            | Self::Become(text)
            | Self::Protocol(text)
            | Self::NoAgent(text)
            | Self::NoFolder(text) => f.write_str(text),
            Self::Timeout => f.write_str("Timed out waiting for the host's answer"),
        }
    }
}

impl std::error::Error for LinkError {}

/// What a plain command left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawOutput {
    /// The exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
    /// The signal that ended it, which the code has, too.
    pub signal: Option<i32>,
}

/// One host.
pub struct Link {
    target: Target,
    connection: Option<Connection>,
    agents: Vec<Agent>,
    /// The users for whom no agent can run, with the reason.
    refused: Vec<(Option<Become>, LinkError)>,
    /// What check mode has recorded on this host, with the number of the agent that did.
    changes: Vec<(u64, Change)>,
    /// What is worth telling of the connection, until somebody takes it.
    notes: Vec<String>,
    next_number: u64,
    /// Content whose call has not been answered.
    sent: Vec<Sent>,
    /// How often the connection was lost since the host answered last.
    losses: usize,
    /// Somebody was told which machine it is.
    told: bool,
}

/// Content that was sent ahead of the call that names it.
struct Sent {
    id: u64,
    /// The number of the agent that has it.
    holder: u64,
    content: Arc<Held>,
}

/// A running agent.
struct Agent {
    /// Its number on this host; never used again.
    number: u64,
    r#become: Option<Become>,
    program: Program,
    hello: Hello,
    /// How many of the host's recorded changes it knows.
    known_changes: usize,
    /// Whether a request is under way. A caller that stopped waiting leaves it set, and then nobody
    /// knows where in the stream the next frame begins.
    busy: bool,
    /// Whether it sees files that other machines may have, too, as far as it has told.
    shared: bool,
}

impl Agent {
    /// Whether it works for the user whom a task becomes.
    fn serves(&self, r#become: Option<&Become>) -> bool {
        Become::same(self.r#become.as_ref(), r#become)
    }
}

enum Connection {
    Local,
    Ssh(Box<ssh::Session>),
    OpenSsh(Box<OpenSsh>),
    Carrier(Started),
}

impl Connection {
    /// Connects; what is worth telling goes to `notes`.
    async fn open(target: &Target, notes: &mut Vec<String>) -> Result<Self, LinkError> {
        match target.connection {
            Kind::Local => Ok(Self::Local),
            Kind::Carrier => Ok(Self::Carrier(Started::new(&target.carrier)?)),
            Kind::OpenSsh => Self::open_ssh(target).await,
            Kind::Ssh => match ssh::connect(target).await? {
                ssh::Connected::Here(session) => Ok(Self::Ssh(session)),
                ssh::Connected::NeedsOpenSsh(why) => {
                    notes.push(format!(
                        "<{}> the system's ssh makes the connection, because of: {why}",
                        target.host
                    ));
                    Self::open_ssh(target).await
                }
            },
        }
    }

    async fn open_ssh(target: &Target) -> Result<Self, LinkError> {
        Ok(Self::OpenSsh(Box::new(OpenSsh::connect(target).await?)))
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Ssh(session) => session.is_closed(),
            Self::OpenSsh(session) => session.is_closed(),
            Self::Local | Self::Carrier(_) => false,
        }
    }

    /// Starts a command line; what interprets it is the login shell, or `sh` here.
    async fn start(&self, line: &str, terminal: bool) -> Result<Program, LinkError> {
        let room = match self {
            Self::Ssh(_) => None,
            _ => Some(room::take(room::PROGRAM).await?),
        };
        let mut program = match self {
            Self::Local | Self::Carrier(_) if terminal => {
                return Err(LinkError::Become(
                    "the way to become another user asks on a terminal, and only connections by SSH have one".to_owned(),
                ));
            }
            Self::Local => local::shell(line),
            Self::Ssh(session) => session.start(line, terminal).await,
            Self::OpenSsh(session) => session.start(line, terminal),
            Self::Carrier(started) => started.start(line),
        }?;
        program.terminal = terminal;
        program.room = room;
        Ok(program)
    }

    /// The error for a connection that broke while it was used.
    fn lost(&self, target: &Target, program: &Program) -> LinkError {
        let errors = program.errors();
        let colon = if errors.is_empty() { "" } else { ": " };
        match self {
            Self::Local => {
                LinkError::Unreachable(format!("the agent ended unexpectedly{colon}{errors}"))
            }
            Self::Carrier(started) => LinkError::Unreachable(format!(
                "the connection to {} ended unexpectedly{colon}{errors}",
                started.what()
            )),
            Self::Ssh(_) | Self::OpenSsh(_) => LinkError::Unreachable(format!(
                "Failed to connect to the host via ssh: Shared connection to {} closed.{colon}{errors}",
                target.host
            )),
        }
    }
}

impl Link {
    /// A host; nothing is connected yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            connection: None,
            agents: Vec::new(),
            refused: Vec::new(),
            changes: Vec::new(),
            notes: Vec::new(),
            next_number: 0,
            sent: Vec::new(),
            losses: 0,
            told: false,
        }
    }

    /// Runs a module. `assumed` of the request is filled in here.
    ///
    /// # Errors
    /// When the host cannot be asked; a module that fails is no such error.
    pub async fn call(
        &mut self,
        r#become: Option<&Become>,
        request: wire::Run,
    ) -> Result<Answered, LinkError> {
        self.call_heard(r#become, request, None).await
    }

    /// Runs a module; `hear` gets what its programs write meanwhile, where the request says so.
    ///
    /// # Errors
    /// As those of [`Self::call`].
    pub async fn call_heard(
        &mut self,
        r#become: Option<&Become>,
        request: wire::Run,
        hear: Option<Hear>,
    ) -> Result<Answered, LinkError> {
        match self.agent(r#become).await {
            Err(LinkError::NoAgent(why) | LinkError::NoFolder(why)) if plain::works(&request) => {
                self.notes.push(format!(
                    "<{}> the host's plain shell runs the command, because of: {why}",
                    self.target.host
                ));
                let limit = request.timeout_ms.map(Duration::from_millis);
                // Whatever it changes, nobody sees it.
                let kept = request.keep.map(|_| Kept {
                    programs: true,
                    ..Kept::default()
                });
                let result = within(limit, Box::pin(plain::call(self, r#become, request))).await?;
                return Ok(Answered {
                    result,
                    changes: vec![],
                    kept,
                    shared: true,
                });
            }
            there => there?,
        };
        let limit = request
            .timeout_ms
            .map(|limit| Duration::from_millis(limit) + GRACE);
        let reply = async {
            let mut calls = self.calls(r#become, vec![request]).await?;
            calls.hear = hear;
            self.answer(&mut calls).await
        };
        // Futures of others hold this one, and a copy of it would be in each.
        let reply = within(limit, Box::pin(reply)).await?;
        Ok(reply.unwrap_or_else(not_run))
    }

    /// Tells an agent what the host's other agents would have changed.
    fn assume(&mut self, index: usize, request: &mut wire::Run) {
        let agent = &mut self.agents[index];
        if !request.check {
            return;
        }
        let unknown = &self.changes[agent.known_changes..];
        let others = unknown.iter().filter(|(number, _)| *number != agent.number);
        request
            .assumed
            .extend(others.map(|(_, change)| change.clone()));
        agent.known_changes = self.changes.len();
    }

    /// Keeps what a call would have changed, for the host's other agents.
    fn keep(&mut self, index: usize, changes: &[Change]) {
        let number = self.agents[index].number;
        let changes = changes.iter().map(|change| (number, change.clone()));
        self.changes.extend(changes);
    }

    /// Sends several calls at once, which run one after the other. None of them has a time limit.
    /// All answers have to be taken; an agent whose answers nobody took is not asked again.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn calls(
        &mut self,
        r#become: Option<&Become>,
        mut requests: Vec<wire::Run>,
    ) -> Result<Calls, LinkError> {
        let index = self.agent(r#become).await?;
        if let Some(first) = requests.first_mut() {
            self.assume(index, first);
            first.settled = true;
        }
        let mut frames = Zeroizing::new(vec![]);
        let mut waiting = VecDeque::with_capacity(requests.len());
        for request in requests {
            let call = Waiting::new(request)?;
            frames.extend(call.frame.iter());
            waiting.push_back(call);
        }
        let number = self.agents[index].number;
        for blob in waiting.iter().filter_map(|call| call.blob) {
            // Another agent may have taken the place of the one that has it.
            let has = |sent: &Sent| (sent.holder != number).then_some(0);
            Box::pin(self.put_again(index, blob, has)).await;
        }
        let agent = &mut self.agents[index];
        agent.busy = true;
        // Answers come while requests are still on their way. Where the channel is lost meanwhile, they
        // do not come.
        agent.program.upload(&frames).await;
        Ok(Calls {
            agent: number,
            waiting,
            hear: None,
        })
    }

    /// The answer to the next of several calls; `None`: it was not run.
    ///
    /// # Errors
    /// When the host cannot be asked any longer.
    pub async fn answer(&mut self, calls: &mut Calls) -> Result<Answer, LinkError> {
        loop {
            let asked = |agent: &Agent| agent.number == calls.agent;
            let index = self.agents.iter().position(asked);
            let Some(wanted) = calls.waiting.front().map(|call| call.id) else {
                return Ok(None);
            };
            let Some(index) = index else {
                let text = "the agent left before it had answered";
                return Err(LinkError::Unreachable(text.to_owned()));
            };
            match said(&mut self.agents[index].program, wanted).await? {
                Said::Answer(answered) => {
                    self.losses = 0;
                    let call = calls.waiting.pop_front();
                    let blob = call.and_then(|call| call.blob);
                    self.sent.retain(|sent| Some(sent.id) != blob);
                    self.agents[index].busy = calls.is_open();
                    if let Some(answered) = &*answered {
                        self.agents[index].shared = answered.shared;
                        self.keep(index, &answered.changes);
                    }
                    return Ok(*answered);
                }
                Said::Joined(unrun, contents) => {
                    Box::pin(self.resume(index, calls, unrun, &contents)).await?;
                }
                Said::Heard(bytes) => {
                    if let Some(hear) = &mut calls.hear {
                        hear(&bytes);
                    }
                }
                Said::Lost => Box::pin(self.rejoin(index, calls)).await?,
            }
            // A chain is not sent again.
            if calls.waiting.front().is_none_or(|call| call.id != wanted) {
                return Ok(None);
            }
        }
    }

    /// Whether an agent is there, which is asked next.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        !self.agents.is_empty()
    }

    /// The folder in which a user's agent works, where there is one.
    #[must_use]
    pub fn folder(&self, r#become: Option<&Become>) -> Option<&Path> {
        let agent = self.agents.iter().find(|agent| agent.serves(r#become))?;
        Some(&agent.hello.process.cwd)
    }

    /// Whose machine it is, where it has a name of its own and nobody was told yet: a digest of it, because the
    /// name itself is nobody else's business (`machine-id(5)`).
    pub fn take_identity(&mut self) -> Option<(String, String)> {
        if self.told {
            return None;
        }
        let hello = &self.agents.first()?.hello;
        self.told = true;
        let named = (!hello.machine.is_empty()).then(|| format!("rplay {}", hello.machine));
        named.map(|name| {
            (
                self.target.name.clone(),
                crate::load::inputs::digest(name.as_bytes()),
            )
        })
    }

    /// Whether the host may share its files with this machine.
    #[must_use]
    pub fn may_be_here(&self) -> bool {
        let boots = self.agents.iter().map(|agent| agent.hello.boot.as_str());
        let apart = |boot: &str| !boot.is_empty() && boot != *BOOT;
        !boots.clone().all(apart) || self.agents.is_empty()
    }

    /// What the kernel calls this start of the host's machine, where the host has its files alone: they are
    /// neither on this machine nor, as far as its mounts tell, on a third one.
    #[must_use]
    pub fn own_machine(&self) -> Option<&str> {
        let shares = self.may_be_here() || self.agents.iter().any(|agent| agent.shared);
        let first = self.agents.first().filter(|_| !shares);
        first.map(|agent| agent.hello.boot.as_str())
    }

    /// Sends content that a later call names by its number: its SHA-1 in hexadecimal digits, or why
    /// it cannot be read. Nothing is waited for.
    ///
    /// # Errors
    /// When the host cannot be reached.
    pub async fn put(
        &mut self,
        r#become: Option<&Become>,
        id: u64,
        content: Content,
    ) -> Result<std::io::Result<String>, LinkError> {
        let mut index = self.agent(r#become).await?;
        let content = Arc::new(Held(content));
        let mut from = 0;
        let sum = loop {
            if let Some(sum) = self.try_put(index, (id, from), &content).await {
                break sum;
            }
            // Nothing is done with it yet, so that what did not arrive is sent again.
            let contents;
            (index, contents) = Box::pin(self.renew(index)).await?;
            from = rejoin::arrived(&contents, id);
        };
        if sum.is_ok() {
            self.sent.push(Sent {
                id,
                holder: self.agents[index].number,
                content,
            });
        }
        Ok(sum)
    }

    /// Sends content from some byte on, and says its SHA-1 or why it cannot be read; `None` when the channel
    /// was lost.
    async fn try_put(
        &mut self,
        index: usize,
        (id, from): (u64, u64),
        content: &Arc<Held>,
    ) -> Option<std::io::Result<String>> {
        let mut pieces = Pieces::of(Arc::clone(content), id, from, !self.is_local());
        let agent = &mut self.agents[index];
        agent.busy = true;
        while let Some(frame) = pieces.next().await {
            agent.program.write(&frame).await.ok()?;
        }
        agent.busy = false;
        Some(pieces.end().await)
    }

    /// Reads a file of the host; the inner error says why it cannot be read.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn fetch(
        &mut self,
        r#become: Option<&Become>,
        path: &Path,
    ) -> Result<Result<Vec<u8>, String>, LinkError> {
        let mut content = Vec::new();
        let read = self.fetch_into(r#become, path, None, &mut content);
        Ok(read.await?.map(|_| content))
    }

    /// Reads a file of the host and passes it on as it comes. The outcome is its SHA-1 and MD5; none where its
    /// SHA-1 is the `known` one, and then nothing is sent. The inner error says why it cannot be read or passed
    /// on.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn fetch_into(
        &mut self,
        r#become: Option<&Become>,
        path: &Path,
        known: Option<String>,
        into: &mut (dyn Write + Send),
    ) -> Result<Result<Option<(String, String)>, String>, LinkError> {
        let mut index = self.agent(r#become).await?;
        self.next_number += 1;
        let mut fetched = Fetched::new(self.next_number, into);
        let read = loop {
            let agent = &mut self.agents[index];
            let request = Request::Fetch {
                id: fetched.id,
                path: path.to_owned(),
                from: fetched.size,
                known: known.clone().filter(|_| fetched.size == 0),
            };
            if send(agent, &request).await.is_ok()
                && let Some(read) = fetched.take(&mut agent.program).await?
            {
                agent.busy = false;
                break read;
            }
            (index, _) = Box::pin(self.renew(index)).await?;
        };
        if let Some(fault) = fetched.fault {
            return Ok(Err(fault.to_string()));
        }
        let is_known = |sum: &String| known.as_ref() == Some(sum);
        let sums = fetched.sums();
        Ok(match read {
            Err(why) => Err(why),
            Ok(sum) if is_known(&sum) => Ok(None),
            Ok(sum) if sum == sums.0 => Ok(Some(sums)),
            Ok(_) => Err("it changed while it was read".to_owned()),
        })
    }

    /// Runs a command without an agent: in the user's login shell, or in `executable`.
    ///
    /// # Errors
    /// When the host cannot be reached or the user cannot be changed.
    pub async fn raw(
        &mut self,
        r#become: Option<&Become>,
        command: &str,
        executable: Option<&str>,
    ) -> Result<RawOutput, LinkError> {
        let wrapped = match executable {
            Some(executable) => format!("{executable} -c {}", r#become::quote(command)),
            None => command.to_owned(),
        };
        self.finish(r#become, &wrapped, &[]).await
    }

    /// Runs a script in `sh`, which nobody sees among the arguments, and gives it something to read.
    async fn feed(
        &mut self,
        r#become: Option<&Become>,
        script: &str,
        input: Option<Vec<u8>>,
    ) -> Result<RawOutput, LinkError> {
        let read = plain::input(script, input.as_deref());
        self.finish(r#become, &plain::line(script), &read).await
    }

    async fn finish(
        &mut self,
        r#become: Option<&Become>,
        line: &str,
        input: &[u8],
    ) -> Result<RawOutput, LinkError> {
        let mut program = self.begin(r#become, line).await?;
        // It need not read what it gets.
        program.upload(input).await;
        program.end_input().await;
        while program.pump().await {}
        let code = match (program.code, &self.connection) {
            (Some(code), _) => code,
            (None, Some(connection)) => {
                let error = connection.lost(&self.target, &program);
                self.disconnect();
                return Err(error);
            }
            (None, None) => return Err(LinkError::Timeout),
        };
        Ok(RawOutput {
            code,
            signal: program.signal,
            stdout: std::mem::take(&mut program.out),
            stderr: std::mem::take(&mut program.err),
        })
    }

    /// Who the agent is: user, home, environment. Starts it if need be.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn hello(&mut self, r#become: Option<&Become>) -> Result<Hello, LinkError> {
        let index = self.agent(r#become).await?;
        Ok(self.agents[index].hello.clone())
    }

    /// What is worth telling of the connection since it was asked last, for `-v`.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Ends the agents and the connection.
    pub async fn close(mut self) {
        for agent in &mut self.agents {
            agent.program.end_input().await;
        }
        // The end of a terminal's input is not told; a farewell is, and the end of the channel.
        self.agents
            .retain(|agent| !agent.program.terminal || !agent.hello.name.is_empty());
        for agent in &mut self.agents {
            // It leaves by itself; waiting lets it remove its folder first.
            let _ = tokio::time::timeout(Duration::from_secs(2), async {
                while agent.program.pump().await {}
            })
            .await;
        }
        if let Some(Connection::Ssh(session)) = self.connection.take() {
            session.close().await;
        }
    }

    /// Forgets the connection and its agents; the next request connects again (after a reboot).
    pub fn disconnect(&mut self) {
        self.agents.clear();
        self.refused.clear();
        self.connection = None;
    }

    /// Starts a command as a stream: its standard input and output.
    ///
    /// # Errors
    /// When the host cannot be reached or the user cannot be changed.
    pub async fn stream(
        &mut self,
        r#become: Option<&Become>,
        command: &str,
    ) -> Result<(DuplexStream, Arc<OnceLock<String>>), LinkError> {
        let mut program = self.begin(r#become, command).await?;
        // Only the end of what it complains about is of use.
        program.keep_all = false;
        Ok(program.into_stream())
    }

    /// Starts a command as a user, and has answered what was asked for that.
    async fn begin(
        &mut self,
        r#become: Option<&Become>,
        command: &str,
    ) -> Result<Program, LinkError> {
        let terminal = r#become.is_some_and(r#become::needs_terminal);
        match self.try_begin(r#become, command, terminal).await {
            Err(error) if !terminal && r#become::wants_terminal(&error) => {
                self.try_begin(r#become, command, true).await
            }
            begun => begun,
        }
    }

    async fn try_begin(
        &mut self,
        r#become: Option<&Become>,
        command: &str,
        terminal: bool,
    ) -> Result<Program, LinkError> {
        let token = bootstrap::token()?;
        let line = match r#become {
            // What became another user says so first: everything before is the method's own.
            Some(r#become) => {
                let script = format!("echo {token}; {command}");
                r#become::command(r#become, &token, &script, terminal)?
            }
            None => command.to_owned(),
        };
        let mut program = self.connection().await?.start(&line, terminal).await?;
        program.keep_all = true;
        if r#become.is_some() {
            let mut watch = r#become::Watch::new(r#become, &token);
            bootstrap::await_token(&mut program, &token, &mut watch, self.patience()).await?;
        }
        Ok(program)
    }

    fn patience(&self) -> Duration {
        self.target.connect_timeout.max(PATIENCE)
    }

    /// What opens streams that begin on the host; connects if need be.
    ///
    /// # Errors
    /// When the host cannot be reached, or is this machine.
    pub async fn tunnels(&mut self) -> Result<Tunnels, LinkError> {
        match self.connection().await? {
            Connection::Ssh(session) => Ok(session.tunnels()),
            Connection::OpenSsh(_) => Err(LinkError::Protocol(
                "the system's ssh makes the connection, and opens no streams for others".to_owned(),
            )),
            Connection::Local | Connection::Carrier(_) => Err(LinkError::Protocol(
                "no connection to go through".to_owned(),
            )),
        }
    }

    /// Whether check mode has recorded changes on this host, which are not there in truth.
    #[must_use]
    pub fn has_foreseen(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether the host is this machine, without a connection.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.target.connection == Kind::Local
    }

    async fn connection(&mut self) -> Result<&Connection, LinkError> {
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.disconnect();
        }
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.target, &mut self.notes).await?);
        }
        self.connection.as_ref().ok_or(LinkError::Timeout)
    }

    /// The agent of a user, started if there is none yet; its place in the list.
    async fn agent(&mut self, r#become: Option<&Become>) -> Result<usize, LinkError> {
        self.agents.retain(|agent| !agent.busy);
        self.connection().await?;
        let serves = |agent: &Agent| agent.serves(r#become);
        if let Some(index) = self.agents.iter().position(serves) {
            return Ok(index);
        }
        let refuses =
            |(user, _): &&(Option<Become>, LinkError)| Become::same(user.as_ref(), r#become);
        if let Some((_, why)) = self.refused.iter().find(refuses) {
            return Err(why.clone());
        }
        // What is seldom needed takes no room in every task.
        let started = Box::pin(self.start_agent(r#become)).await;
        if let Err(why @ LinkError::NoAgent(_)) = &started {
            self.refused.push((r#become.cloned(), why.clone()));
        }
        Ok(self.keep_agent(r#become, started?))
    }

    async fn start_agent(
        &mut self,
        r#become: Option<&Become>,
    ) -> Result<(Program, Hello), LinkError> {
        let terminal = r#become.is_some_and(r#become::needs_terminal);
        let started = match self.try_agent(r#become, terminal).await {
            Err(error) if !terminal && r#become::wants_terminal(&error) => {
                self.try_agent(r#become, true).await
            }
            started => started,
        };
        started.map(|(mut program, hello)| {
            program.farewell = rejoin::farewell(&hello);
            (program, hello)
        })
    }

    async fn try_agent(
        &mut self,
        r#become: Option<&Become>,
        terminal: bool,
    ) -> Result<(Program, Hello), LinkError> {
        let patience = self.patience();
        let target = self.target.clone();
        let connection = self.connection().await?;
        if let (Connection::Local, None) = (connection, r#become) {
            return local::agent(patience).await;
        }
        let token = bootstrap::token()?;
        let images = agent_image::all();
        let script = bootstrap::script(&token, &images, &target)?;
        let line = match r#become {
            Some(r#become) => r#become::command(r#become, &token, &script, terminal)?,
            None => format!("exec sh -c {}", r#become::quote(&script)),
        };
        let what = match connection {
            Connection::Carrier(started) => Some(started.what().to_owned()),
            _ => None,
        };
        let mut program = connection.start(&line, terminal).await?;
        let watch = r#become::Watch::new(r#become, &token);
        let hello = bootstrap::run(&mut program, &token, &images, watch, patience).await;
        let hello = hello.map_err(|error| match (what, error) {
            // Then it is the program that speaks: there is no such container, or no shell in it.
            (Some(what), LinkError::Protocol(text)) if text.starts_with("the host cannot run") => {
                LinkError::Unreachable(format!("cannot reach {what}: {}", program.errors()))
            }
            (_, error) => error,
        })?;
        // What came before the agent says nothing about its end.
        program.err.clear();
        Ok((program, hello))
    }

    /// The error for an agent that ended.
    fn lost(&self, agent: &Agent) -> LinkError {
        match &self.connection {
            Some(connection) => connection.lost(&self.target, &agent.program),
            None => LinkError::Timeout,
        }
    }
}

/// What an agent says to a call: a result with what it would have changed, or that it was not run.
/// Outside of that: `None` when the agent is gone.
pub type Answer = Option<Answered>;

/// What came of a call.
#[derive(Debug)]
pub struct Answered {
    /// The result.
    pub result: Result<Outcome, Failure>,
    /// What check mode recorded.
    pub changes: Vec<Change>,
    /// What files were before, where that was asked for.
    pub kept: Option<Kept>,
    /// Whether the host sees files that other machines may have, too.
    pub shared: bool,
}

/// Calls that were sent together to one agent, and whose answers were not yet taken, in their order.
pub struct Calls {
    agent: u64,
    waiting: VecDeque<Waiting>,
    hear: Option<Hear>,
}

/// Takes what programs of a call write, while they run.
pub type Hear = Box<dyn FnMut(&[u8]) + Send>;

/// A call whose answer is waited for.
struct Waiting {
    id: u64,
    in_chain: bool,
    /// The number of the content that it names.
    blob: Option<u64>,
    /// The request, in case it does not arrive. Arguments may hold passwords.
    frame: Zeroizing<Vec<u8>>,
}

impl Waiting {
    fn new(request: wire::Run) -> Result<Self, LinkError> {
        let blob = request.args.get(wire::BLOB);
        Ok(Self {
            id: request.id,
            in_chain: request.chain.is_some(),
            blob: blob.and_then(|id| id.text().parse().ok()),
            frame: Zeroizing::new(frame(&Request::Run(Box::new(request)))?),
        })
    }
}

impl Calls {
    /// Whether answers are still to be taken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// This start of the machine, as agents tell of theirs.
static BOOT: LazyLock<String> = LazyLock::new(real::boot);

/// What comes next of an agent that was asked.
enum Said {
    Answer(Box<Answer>),
    /// It was joined; the calls that it never began, and the content that it has.
    Joined(Option<Vec<u64>>, Vec<(u64, u64)>),
    /// What a program has just written.
    Heard(Vec<u8>),
    Lost,
}

async fn said(program: &mut Program, wanted: u64) -> Result<Said, LinkError> {
    loop {
        return Ok(match program.reply().await? {
            Some(Reply::Done {
                id,
                result,
                changes,
                kept,
                shared,
            }) if id == wanted => Said::Answer(Box::new(Some(Answered {
                result,
                changes,
                kept,
                shared,
            }))),
            Some(Reply::NotRun { id }) if id == wanted => Said::Answer(Box::new(None)),
            Some(Reply::Joined { unrun, contents }) => Said::Joined(unrun, contents),
            Some(Reply::Heard { id, bytes }) if id == wanted => Said::Heard(bytes),
            Some(_) => continue,
            None => Said::Lost,
        });
    }
}

/// An answer that must come within a time.
async fn within<T>(
    limit: Option<Duration>,
    answer: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let Some(limit) = limit else {
        return answer.await;
    };
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or(Err(LinkError::Timeout))
}

/// A call of no chain is always run.
fn not_run() -> Answered {
    Answered {
        result: Err(Failure::new("the agent did not run the task")),
        changes: vec![],
        kept: None,
        shared: true,
    }
}

fn frame(request: &Request) -> Result<Vec<u8>, LinkError> {
    wire::encode(request)
        .map_err(|error| LinkError::Protocol(format!("cannot send the task: {error}")))
}

async fn send(agent: &mut Agent, request: &Request) -> Result<(), LinkError> {
    agent.busy = true;
    let frame = frame(request)?;
    let written = agent.program.write(&frame).await;
    written.map_err(|error| LinkError::Unreachable(error.to_string()))
}

/// Waits, a bounded time, until the agents of links that were dropped have been told to leave.
pub async fn all_left() {
    program::all_left().await;
}
