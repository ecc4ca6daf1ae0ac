//! The way to the controller, and the next one when it is lost.
//!
//! An agent that was told to stay does not end with its channel: it ends the call under way and keeps
//! its answer, in memory and for a bounded time. The controller comes back through another agent of the
//! same user, which finds this one by its name and passes bytes on. Nothing is written to the disk: a
//! result may be private, and the disk may be what is full.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rplay_modules::machine::digest::hex;
use rplay_modules::wire::{Reply, Request, encode, read_frame, write_frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::rand::{GetRandomFlags, getrandom};

/// How much is kept of answers that may not have arrived; the last one is kept whatever its size.
const KEPT: usize = 16 << 20;

/// What can be written to a pipe that has room without waiting.
const PIECE: usize = 4096;

/// How often a channel that takes nothing is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long another agent may take to say what it comes for, and to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// No channel takes the place of this one.
const OVER: u64 = u64::MAX;

/// Which channel leads to the controller. They are numbered from 1; each takes the place of the one before.
pub(crate) struct Line {
    current: AtomicU64,
    /// The last one that has ended.
    ended: AtomicU64,
    /// How long the agent waits for the next one.
    stay: Duration,
    /// The name of the socket; empty: the agent leaves with its channel.
    pub(crate) name: String,
}

impl Line {
    /// The line of an agent that stays so long, and where others come to.
    pub(crate) fn new(stay: Duration) -> (Arc<Self>, Option<UnixListener>) {
        let mut bytes = [0_u8; 16];
        let random = !stay.is_zero() && getrandom(&mut bytes, GetRandomFlags::empty()).is_ok();
        let name = format!("rplay-{}", hex(&bytes));
        let listener = address(&name).and_then(|at| UnixListener::bind_addr(&at));
        let listener = listener.ok().filter(|_| random);
        let line = Self {
            current: AtomicU64::new(1),
            ended: AtomicU64::new(0),
            stay,
            name: listener.as_ref().map_or_else(String::new, |_| name),
        };
        (Arc::new(line), listener)
    }

    /// Whether calls that came by this channel are to be begun.
    pub(crate) fn serves(&self, number: u64) -> bool {
        self.is_current(number) && self.ended.load(Ordering::SeqCst) < number
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_current(OVER)
    }

    pub(crate) fn is_current(&self, number: u64) -> bool {
        self.current.load(Ordering::SeqCst) == number
    }

    /// A channel has ended. Waits for the next one, unless the controller has taken leave; whether none
    /// comes any more.
    pub(crate) fn is_last(&self, number: u64, has_left: bool) -> bool {
        self.ended.fetch_max(number, Ordering::SeqCst);
        let begin = Instant::now();
        while !has_left
            && !self.name.is_empty()
            && self.is_current(number)
            && begin.elapsed() < self.stay
        {
            std::thread::sleep(LOOK);
        }
        let last = self
            .current
            .compare_exchange(number, OVER, Ordering::SeqCst, Ordering::SeqCst);
        last.is_ok()
    }

    /// The number of the next channel, if there may be one.
    fn next(&self) -> Option<u64> {
        let next = |number| (number != OVER).then_some(number + 1);
        let before = self
            .current
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        before.ok().map(|number| number + 1)
    }
}

fn address(name: &str) -> io::Result<SocketAddr> {
    // Such names are in no folder: they work on a full disk, and go with the agent.
    SocketAddr::from_abstract_name(name)
}

/// Whether the other end is a process of the same user. Names of sockets can be seen by everybody.
fn is_own(stream: &UnixStream) -> bool {
    let other = rustix::net::sockopt::socket_peercred(stream);
    other.is_ok_and(|other| other.uid == rustix::process::geteuid())
}

/// Waits for other agents; each becomes the channel, and `serve` gets what it was asked first.
pub(crate) fn listen(
    listener: &UnixListener,
    line: &Arc<Line>,
    serve: impl Fn(u64, UnixStream, Vec<u64>) + Clone + Send + 'static,
) {
    for mut stream in listener.incoming().flatten().filter(is_own) {
        let (line, serve) = (Arc::clone(line), serve.clone());
        std::thread::spawn(move || {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let Ok(Some(Request::Join { waiting, .. })) = read_frame(&mut stream) else {
                return;
            };
            let _ = stream.set_read_timeout(None);
            if let Some(number) = line.next() {
                serve(number, stream, waiting);
            }
        });
    }
}

/// Becomes the channel of another agent until one of both ends, and then ends itself. It comes back if
/// there is no such agent.
pub(crate) fn relay(input: &mut impl Read, name: &str, waiting: Vec<u64>) {
    let connected = address(name).and_then(|at| UnixStream::connect_addr(&at));
    let Some(mut stream) = connected.ok().filter(is_own) else {
        return;
    };
    let join = Request::Join {
        name: String::new(),
        waiting,
    };
    let Ok(mut back) = stream.try_clone() else {
        return;
    };
    if write_frame(&mut stream, &join).is_err() {
        return;
    }
    let answers = std::thread::spawn(move || {
        // Whoever does not read any more has gone.
        let _ = output().and_then(|mut output| copy(&mut back, &mut output));
        super::leave(true);
    });
    let _ = copy(input, &mut stream);
    let _ = stream.shutdown(Shutdown::Write);
    // The other agent ends, unless it waits for the next channel.
    let begin = Instant::now();
    while !answers.is_finished() && begin.elapsed() < PATIENCE {
        std::thread::sleep(LOOK / 10);
    }
    super::leave(true);
}

/// Passes bytes on until one of both ends. The one of the standard library has the system do it, which
/// keeps a pipe locked while it waits for a socket.
fn copy(from: &mut impl Read, into: &mut impl Write) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            count => into.write_all(&bytes[..count])?,
        }
    }
}

/// Standard output without a buffer.
fn output() -> io::Result<File> {
    let output = io::stdout().as_fd().try_clone_to_owned();
    output.map(File::from)
}

/// Where answers go.
pub(crate) struct Out {
    line: Arc<Line>,
    channel: File,
    /// The channel's number.
    number: u64,
    /// Answers that may not have arrived, with the numbers of their calls; empty: thrown away.
    kept: VecDeque<(u64, Vec<u8>)>,
}

impl Out {
    pub(crate) fn new(line: Arc<Line>) -> io::Result<Self> {
        Ok(Self {
            line,
            channel: output()?,
            number: 1,
            kept: VecDeque::new(),
        })
    }

    /// Sends what is not asked for again.
    pub(crate) fn send(&mut self, reply: &Reply) -> io::Result<()> {
        let frame = encode(reply)?;
        self.pass(&frame)
    }

    /// Sends the answer to a call, and keeps it until it is known to have arrived.
    pub(crate) fn answer(&mut self, id: u64, reply: &Reply) -> io::Result<()> {
        let frame = encode(reply)?;
        let passed = self.pass(&frame);
        if !self.line.name.is_empty() {
            self.kept.push_back((id, frame));
            let mut size: usize = self.kept.iter().map(|(_, frame)| frame.len()).sum();
            let older = self.kept.len() - 1;
            for (_, frame) in self.kept.iter_mut().take(older) {
                if size <= KEPT {
                    break;
                }
                size -= frame.len();
                *frame = vec![];
            }
        }
        passed
    }

    /// All answers have arrived.
    pub(crate) fn settle(&mut self) {
        self.kept.clear();
    }

    /// Goes on with the next channel: what was not begun, what content is here, and the answers that did not
    /// arrive.
    pub(crate) fn join(
        &mut self,
        number: u64,
        stream: UnixStream,
        waiting: &[u64],
        contents: Vec<(u64, u64)>,
    ) -> io::Result<()> {
        (self.number, self.channel) = (number, OwnedFd::from(stream).into());
        self.kept.retain(|(id, _)| waiting.contains(id));
        let answered = |wanted: &u64| self.kept.iter().any(|(id, _)| id == wanted);
        let unrun = waiting.iter().filter(|id| !answered(id)).copied().collect();
        let whole = self.kept.iter().all(|(_, frame)| !frame.is_empty());
        self.send(&Reply::Joined {
            unrun: whole.then_some(unrun),
            contents,
        })?;
        let kept = std::mem::take(&mut self.kept);
        let passed = kept.iter().try_for_each(|(_, frame)| self.pass(frame));
        self.kept = kept;
        passed
    }

    /// Writes as long as this is the channel: one that is lost may take nothing without being closed.
    fn pass(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.line.name.is_empty() {
            return self.channel.write_all(bytes);
        }
        while !bytes.is_empty() {
            if !self.line.is_current(self.number) {
                return Ok(());
            }
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: LOOK.subsec_nanos().into(),
            };
            let mut ready = [PollFd::new(&self.channel, PollFlags::OUT)];
            if matches!(poll(&mut ready, Some(&wait)), Ok(0)) {
                continue;
            }
            let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
            if self.channel.write_all(piece).is_err() {
                // It is lost, which the thread that reads finds out, too.
                return Ok(());
            }
            bytes = rest;
        }
        Ok(())
    }
}
