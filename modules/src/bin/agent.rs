//! The agent: runs modules on a target for the controller at the other end of its standard input
//! and output.
//!
//! 1. It writes `Hello`.
//! 2. A reader thread reads requests. Pieces of large content go straight to files of a folder that
//!    only the agent's user may enter; everything else goes to the main thread.
//! 3. The main thread serves requests in order and writes the replies.
//! 4. A request for the background starts the agent's own program once more, see `job`.
//! 5. When the controller takes leave, nobody waits for a reply any more: the program that runs is
//!    stopped, the folder is removed, and the agent ends. Standard input that ends without leave is a
//!    connection that broke: an agent that was told to stay waits for the next one, see `line`.

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[path = "agent/unneeded.rs"]
mod unneeded;

#[cfg(all(
    target_env = "gnu",
    target_feature = "crt-static",
    target_arch = "x86_64"
))]
#[path = "agent/tables.rs"]
mod tables;

#[path = "agent/job.rs"]
mod job;

#[path = "agent/line.rs"]
mod line;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flate2::read::ZlibDecoder;
use rplay_modules::args::expand_path;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{limit_diff, os_error_text};
use rplay_modules::machine::digest::{Algorithm, Sums};
use rplay_modules::machine::overlay::Overlay;
use rplay_modules::machine::real::{Mounts, RealMachine, boot, identity, stop, terminal};
use rplay_modules::machine::{Change, Kept, Machine, Process};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::registry;
use rplay_modules::wire::{
    BLOB, BLOB_PIECE, End, Hello, PROTOCOL, Pieces, Reply, Request, Run, read_frame,
};
use serde_bytes::ByteBuf;

use line::{Line, Out};

/// The argument with the content's SHA-1 and MD5.
const SUMS: &str = "_sums";

/// How long the main thread may take to end after standard input did.
const LEAVE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // No program may ask questions on the terminal of whoever started the agent. It fails where the
    // agent leads a group already, and then there is no such terminal.
    let _ = rustix::process::setsid();
    let word = std::env::args().nth(1).unwrap_or_default();
    match word.as_str() {
        job::WORD => return job::main(),
        terminal::WORD => return terminal::main(),
        _ => {}
    }
    // Any other is the time, in seconds, to stay for when the channel is lost.
    let stay = Duration::from_secs(word.parse().unwrap_or(0));
    match serve(stay) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Serves the controller until it has gone for good.
fn serve(stay: Duration) -> io::Result<()> {
    let (line, listener) = Line::new(stay);
    let mut machine = RealMachine::new();
    let spool = Arc::new(Spool::new(&machine.process()));
    let mut agent = Agent {
        machine,
        check: Overlay::new(RealMachine::new()),
        spool: Arc::clone(&spool),
        mounts: Mounts::new(),
        jobs: Vec::new(),
        broken: None,
        out: Arc::new(Mutex::new(Out::new(Arc::clone(&line))?)),
    };
    let hello = Hello {
        protocol: PROTOCOL,
        process: agent.machine.process(),
        pid: std::process::id(),
        boot: boot(),
        machine: identity(),
        name: line.name.clone(),
    };
    let (sender, requests) = channel();
    let channels = Channels {
        line: Arc::clone(&line),
        spool: Arc::clone(&spool),
        sender,
    };
    let later = channels.clone();
    std::thread::spawn(move || channels.attend(1, &mut io::stdin().lock()));
    if let Some(listener) = listener {
        let line = Arc::clone(&line);
        std::thread::spawn(move || {
            line::listen(&listener, &line, move |number, stream, waiting| {
                later.go_on(number, stream, waiting);
            });
        });
    }
    let greeted = agent.out().send(&Reply::Hello(hello));
    let served = greeted.and_then(|()| {
        spool.tidy();
        agent.serve(&requests, &line)
    });
    spool.remove();
    served
}

#[expect(
    clippy::exit,
    reason = "the main thread waits for something that does not end"
)]
fn leave(well: bool) {
    std::process::exit(i32::from(!well));
}

/// What is read from a channel, and handed over with the channel's number.
enum Task {
    Run(Run),
    Fetch(Fetch),
    /// The channel takes the place of one that was lost, from which these calls' answers are missing.
    Join {
        stream: UnixStream,
        waiting: Vec<u64>,
    },
    /// The agent that was to be joined is not there.
    Alone,
    /// There is nobody any more who waits for answers.
    Over,
}

/// A file that is sent back.
struct Fetch {
    id: u64,
    path: PathBuf,
    /// How much of it is there.
    from: u64,
    /// The SHA-1 that need not be sent.
    known: Option<String>,
}

/// Content that is coming in, or that came complete and waits for its call.
struct Incoming {
    file: io::Result<File>,
    sums: Sums,
    /// How many bytes have come.
    size: u64,
    /// Its SHA-1 and MD5, once it is complete; or that it is not what was sent.
    whole: Option<Result<[String; 2], String>>,
}

impl Incoming {
    /// Adds a piece. After an error nothing more is kept.
    fn add(&mut self, bytes: &[u8], packed: bool) {
        let added = match packed {
            false => self.append(bytes),
            true => {
                let mut piece = Vec::new();
                // Nobody sent more than a piece; if so, the checksum is another one.
                let mut unpacked = ZlibDecoder::new(bytes).take(BLOB_PIECE as u64);
                let read = unpacked.read_to_end(&mut piece);
                read.and_then(|_| self.append(&piece))
            }
        };
        if let Err(error) = added {
            self.file = Err(error);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Ok(file) = &mut self.file else {
            return Ok(());
        };
        self.sums.add(bytes);
        self.size += bytes.len() as u64;
        file.write_all(bytes)
    }

    /// There is no more of it; its SHA-1 must be `wanted`.
    fn end(&mut self, wanted: &str) {
        let (sha1, md5) = self.sums.clone().end();
        self.whole = Some(match &self.file {
            Err(error) => Err(error.to_string()),
            Ok(_) if sha1 == wanted => Ok([sha1, md5]),
            Ok(_) => Err("the content was damaged on its way".to_owned()),
        });
    }
}

/// What the threads that read have in common.
#[derive(Clone)]
struct Channels {
    line: Arc<Line>,
    spool: Arc<Spool>,
    sender: Sender<(u64, Task)>,
}

impl Channels {
    /// Reads a channel to its end, and ends the agent unless another one takes its place.
    fn attend(&self, number: u64, stream: &mut impl Read) {
        let read = self.read_requests(number, stream);
        // What is no frame was broken off by the controller: bytes that were lost are none.
        let has_left = match &read {
            Ok(has_left) => *has_left,
            Err(error) => error.kind() == io::ErrorKind::InvalidData,
        };
        if !self.line.is_last(number, has_left) {
            return;
        }
        // The main thread has gone already, or is told.
        let _ = self.sender.send((number, Task::Over));
        stop();
        std::thread::sleep(LEAVE);
        self.spool.remove();
        leave(read.is_ok());
    }

    /// Goes on where a channel was lost.
    fn go_on(&self, number: u64, stream: UnixStream, waiting: Vec<u64>) {
        let Ok(mut input) = stream.try_clone() else {
            return;
        };
        let join = Task::Join { stream, waiting };
        if self.sender.send((number, join)).is_ok() {
            self.attend(number, &mut input);
        }
    }

    /// Reads requests until the stream ends; whether the controller took leave.
    fn read_requests(&self, number: u64, stream: &mut impl Read) -> io::Result<bool> {
        while let Some(request) = read_frame::<Request>(stream)? {
            let task = match request {
                Request::Run(run) => Task::Run(*run),
                Request::Fetch {
                    id,
                    path,
                    from,
                    known,
                } => Task::Fetch(Fetch {
                    id,
                    path,
                    from,
                    known,
                }),
                Request::Blob {
                    id,
                    bytes,
                    packed,
                    end,
                } => {
                    let mut contents = self.spool.contents();
                    // What a lost channel still brings comes by the next one, too.
                    if self.line.is_current(number) {
                        contents.take(id, &bytes, packed, end);
                    }
                    continue;
                }
                Request::Join { name, waiting } => {
                    line::relay(stream, &name, waiting);
                    Task::Alone
                }
                Request::Leave => return Ok(true),
            };
            if self.sender.send((number, task)).is_err() {
                break;
            }
        }
        Ok(false)
    }
}

/// The folder for content that is too large for arguments; made when it is needed. It is locked while
/// its agent lives: what is left of one that was killed is nobody's.
struct Spool {
    folder: PathBuf,
    made: AtomicBool,
    lock: OnceLock<File>,
    /// What is in it, or on its way, and was not used.
    incoming: Mutex<HashMap<u64, Incoming>>,
}

/// How the names of such folders begin.
const SPOOL: &str = "rplay-spool-";

/// How old a folder must be before it counts as left: whoever makes one locks it a moment later.
const SPOOL_AGE: Duration = Duration::from_secs(60);

impl Spool {
    fn new(process: &Process) -> Self {
        let parent = process
            .env
            .get("TMPDIR")
            .filter(|folder| folder.starts_with('/'))
            .map_or("/tmp", String::as_str);
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let name = format!("{SPOOL}{}-{:x}", std::process::id(), clock.as_nanos());
        Self {
            folder: Path::new(parent).join(name),
            made: AtomicBool::new(false),
            lock: OnceLock::new(),
            incoming: Mutex::default(),
        }
    }

    /// What is here of the controller's content, for whoever holds this alone.
    fn contents(&self) -> Contents<'_> {
        let incoming = self.incoming.lock();
        Contents {
            spool: self,
            incoming: incoming.unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Removes what agents of this user left behind.
    fn tidy(&self) {
        let own = rustix::process::geteuid().as_raw();
        let parent = self.folder.parent().map(std::fs::read_dir);
        for entry in parent.into_iter().flatten().flatten().flatten() {
            let path = entry.path();
            let is_left = entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(SPOOL.as_bytes())
                && std::fs::symlink_metadata(&path).is_ok_and(|state| {
                    let age = state.modified().ok().and_then(|at| at.elapsed().ok());
                    state.is_dir() && state.uid() == own && age.is_some_and(|age| age > SPOOL_AGE)
                })
                && File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
            if is_left {
                // Another agent may be doing the same.
                let _ = std::fs::remove_dir_all(path);
            }
        }
    }

    fn path(&self, id: u64) -> PathBuf {
        self.folder.join(id.to_string())
    }

    fn create(&self, id: u64) -> io::Result<File> {
        if !self.made.load(Ordering::Relaxed) {
            // A folder that is there already is not ours.
            DirBuilder::new().mode(0o700).create(&self.folder)?;
            if let Ok(folder) = File::open(&self.folder)
                && folder.try_lock().is_ok()
            {
                let _ = self.lock.set(folder);
            }
            self.made.store(true, Ordering::Relaxed);
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(id))
    }

    fn remove(&self) {
        if self.made.load(Ordering::Relaxed) {
            // The other thread may have removed it in the same moment.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// The content in a spool.
struct Contents<'a> {
    spool: &'a Spool,
    incoming: MutexGuard<'a, HashMap<u64, Incoming>>,
}

impl Contents<'_> {
    /// Takes a piece.
    fn take(&mut self, id: u64, bytes: &[u8], packed: bool, end: Option<End>) {
        let incoming = self.incoming.entry(id).or_insert_with(|| Incoming {
            file: self.spool.create(id),
            sums: Sums::default(),
            size: 0,
            whole: None,
        });
        incoming.add(bytes, packed);
        match end {
            None => {}
            Some(End::Whole(sum)) => incoming.end(&sum),
            Some(End::BrokenOff) => {
                self.incoming.remove(&id);
                // What cannot be removed now goes with the folder.
                let _ = std::fs::remove_file(self.spool.path(id));
            }
        }
    }

    /// The numbers, and how much has come. What could not be kept is forgotten, so that it is sent again.
    fn sizes(&mut self) -> Vec<(u64, u64)> {
        self.incoming
            .retain(|_, content| content.file.is_ok() && !matches!(content.whole, Some(Err(_))));
        let sizes = self.incoming.iter();
        sizes.map(|(id, content)| (*id, content.size)).collect()
    }
}

struct Agent {
    machine: RealMachine,
    /// The machine of check mode. It lives as long as the agent, so that later calls see what
    /// earlier ones would have changed.
    check: Overlay<RealMachine>,
    spool: Arc<Spool>,
    mounts: Mounts,
    /// Calls in the background, until they end.
    jobs: Vec<std::process::Child>,
    /// The chain that was broken off last.
    broken: Option<u64>,
    /// Shared with what tells what programs write.
    out: Arc<Mutex<Out>>,
}

impl Agent {
    /// Serves requests until nobody is there any longer who waits for answers.
    fn serve(&mut self, tasks: &Receiver<(u64, Task)>, line: &Line) -> io::Result<()> {
        for (number, task) in tasks {
            if line.is_over() {
                break;
            }
            self.jobs
                .retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            match task {
                Task::Join { stream, waiting } => {
                    let contents = self.spool.contents().sizes();
                    self.out().join(number, stream, &waiting, contents)?;
                }
                // What a lost channel brought is not begun: the next one asks for it again.
                _ if !line.serves(number) => {}
                Task::Run(run) => self.answer(run)?,
                Task::Fetch(wanted) => self.fetch(&wanted)?,
                Task::Alone => self.out().send(&Reply::Joined {
                    unrun: None,
                    contents: vec![],
                })?,
                Task::Over => break,
            }
        }
        Ok(())
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        lock(&self.out)
    }

    /// Runs a call and sends what comes of it.
    fn answer(&mut self, run: Run) -> io::Result<()> {
        let (id, chain) = (run.id, run.chain);
        if run.settled {
            self.out().settle();
        }
        if chain.is_some() && chain == self.broken {
            return self.out().send(&Reply::NotRun { id });
        }
        let (result, changes) = match run.job {
            Some(_) => self.start(run),
            None => self.run(run),
        };
        let kept = self.machine.take_kept();
        let plain = result
            .as_ref()
            .is_ok_and(|outcome| outcome.facts.is_empty());
        if !self.done(id, result, changes, kept)? || !plain {
            self.broken = chain.or(self.broken);
        }
        Ok(())
    }

    /// Sends a result; one that does not fit into a frame is replaced by a failure that says so: then
    /// it returns false.
    fn done(
        &mut self,
        id: u64,
        result: Result<Outcome, Failure>,
        changes: Vec<Change>,
        kept: Option<Kept>,
    ) -> io::Result<bool> {
        let mut reply = Reply::Done {
            id,
            result,
            changes,
            kept,
            shared: self.mounts.are_shared(),
        };
        loop {
            let sent = self.out().answer(id, &reply);
            match (sent, &mut reply) {
                // The files that were kept must not be what a result fails by.
                (
                    Err(error),
                    Reply::Done {
                        kept: Some(kept), ..
                    },
                ) if error.kind() == io::ErrorKind::InvalidData && !kept.images.is_empty() => {
                    kept.images.clear();
                    kept.more = true;
                }
                (Err(error), _) if error.kind() == io::ErrorKind::InvalidData => {
                    let reply = Reply::Done {
                        id,
                        result: Err(Failure::new(format!("the result cannot be sent: {error}"))),
                        changes: vec![],
                        kept: None,
                        shared: true,
                    };
                    return self.out().answer(id, &reply).map(|()| false);
                }
                (sent, _) => return sent.map(|()| true),
            }
        }
    }

    /// Sends a file in pieces.
    fn fetch(&mut self, wanted: &Fetch) -> io::Result<()> {
        let id = wanted.id;
        if let Err(error) = self.send_file(wanted)? {
            let bytes = Err(os_error_text(&error));
            let sum = None;
            self.out().send(&Reply::Blob { id, bytes, sum })?;
        }
        Ok(())
    }

    /// The inner error is that of the file.
    fn send_file(&mut self, wanted: &Fetch) -> io::Result<io::Result<()>> {
        let id = wanted.id;
        let file = match File::open(&wanted.path) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        if wanted.known.is_some() {
            let sum = Algorithm::Sha1.of(&mut &file);
            let rewound = sum.and_then(|sum| (&file).rewind().map(|()| sum));
            match rewound {
                Err(error) => return Ok(Err(error)),
                Ok(sum) if wanted.known.as_ref() == Some(&sum) => {
                    let bytes = Ok(ByteBuf::new());
                    let sum = Some(sum);
                    return self.out().send(&Reply::Blob { id, bytes, sum }).map(Ok);
                }
                Ok(_) => {}
            }
        }
        let mut sums = Sums::default();
        let mut pieces = Pieces::new(&file, wanted.from);
        loop {
            let mut bytes = Vec::new();
            let last = match pieces.next(&mut bytes, |bytes| sums.add(bytes)) {
                Ok(last) => last,
                Err(error) => return Ok(Err(error)),
            };
            let bytes = Ok(bytes.into());
            let sum = last.then(|| sums.clone().end().0);
            self.out().send(&Reply::Blob { id, bytes, sum })?;
            if last {
                return Ok(Ok(()));
            }
        }
    }

    fn run(&mut self, mut run: Run) -> (Result<Outcome, Failure>, Vec<Change>) {
        let blob = match self.resolve_blob(&mut run.args) {
            Ok(blob) => blob,
            Err(why) => return (Err(Failure::new(why)), Vec::new()),
        };
        let timeout = run.timeout_ms.map(Duration::from_millis);
        limit_diff(run.diff_limit);
        let (mut result, changes) = if run.check {
            self.check.below().begin_call(run.env, timeout);
            self.check.absorb(run.assumed);
            let result = call(&run.module, &mut self.check, &run.args);
            (result, self.check.take_changes())
        } else {
            self.machine.begin_call(run.env, timeout);
            if let Some(most) = run.keep {
                self.machine.keep(most);
            }
            if run.hear {
                let (out, id) = (Arc::clone(&self.out), run.id);
                self.machine.hear(Box::new(move |bytes| {
                    let bytes = bytes.to_vec();
                    // A channel that is lost is found out by the answer.
                    let _ = lock(&out).send(&Reply::Heard { id, bytes });
                }));
            }
            (call(&run.module, &mut self.machine, &run.args), Vec::new())
        };
        if let Ok(outcome) = &mut result
            && !run.diff
        {
            outcome.diff.clear();
        }
        if let Some(blob) = blob {
            // A module may have moved it into place.
            let _ = std::fs::remove_file(blob);
        }
        (result, changes)
    }

    /// Starts a call in the background. In check mode it is done at once and leaves its file in the
    /// overlay, so that later calls find it.
    fn start(&mut self, mut run: Run) -> (Result<Outcome, Failure>, Vec<Change>) {
        let Some(wanted) = run.job.take() else {
            return self.run(run);
        };
        self.machine.begin_call(run.env.clone(), None);
        let folder = expand_path(&mut self.machine, &wanted.folder);
        let folder = Path::new(&folder);
        if run.check {
            let (result, mut changes) = self.run(run);
            let left = job::predict(&mut self.check, folder, result);
            changes.extend(self.check.take_changes());
            return (left, changes);
        }
        let started = job::spawn(&mut self.machine, folder, wanted.limit, run);
        let result = started.map(|(child, outcome)| {
            self.jobs.push(child);
            outcome
        });
        (result, Vec::new())
    }

    /// Puts the file of a blob in the place of its number, and its checksums beside it.
    fn resolve_blob(&mut self, args: &mut Map) -> Result<Option<PathBuf>, String> {
        // Validation has made text of the number where it saw it.
        let Some(id) = args.get(BLOB).and_then(|id| id.text().parse().ok()) else {
            return Ok(None);
        };
        let content = self.spool.contents().incoming.remove(&id);
        let sums = content
            .and_then(|content| content.whole)
            .ok_or_else(|| format!("content {id} was not sent"))??;
        let path = self.spool.path(id);
        args.insert(
            BLOB.to_owned(),
            Data::Str(path.to_string_lossy().into_owned()),
        );
        args.insert(SUMS.to_owned(), Data::List(sums.map(Data::Str).to_vec()));
        Ok(Some(path))
    }
}

fn lock(out: &Mutex<Out>) -> MutexGuard<'_, Out> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a module; one that panics fails.
fn call(name: &str, machine: &mut dyn Machine, args: &Map) -> Result<Outcome, Failure> {
    let module = registry::find(name)
        .ok_or_else(|| Failure::new(format!("the agent has no module `{name}`")))?;
    catch_unwind(AssertUnwindSafe(|| (module.run)(machine, args))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref().copied());
        Err(Failure::new(format!(
            "the module crashed: {}",
            text.unwrap_or("no reason given")
        )))
    })
}
