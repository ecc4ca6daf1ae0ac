//! A program that runs at the other end of a connection, with its three streams.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rplay_modules::wire::{self, Reply};
use russh::{Channel, ChannelMsg, client};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::LinkError;
use super::room::Room;

/// How much of the error stream is kept for messages.
const KEPT_ERRORS: usize = 64 << 10;

/// How long an agent may take to leave: it stops the program that it runs, first gently.
const LEAVE: Duration = Duration::from_secs(8);

/// How long a program may take to end once it was told to.
const TAKE_LEAVE: Duration = Duration::from_secs(3);

/// How many programs wait for their last word.
static STAYING: AtomicUsize = AtomicUsize::new(0);

/// The last word to a program that does not end with its input.
pub(super) struct Farewell(Vec<u8>);

impl Farewell {
    pub(super) fn new(word: Vec<u8>) -> Self {
        STAYING.fetch_add(1, Ordering::SeqCst);
        Self(word)
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        STAYING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits, a bounded time, until all programs that were dropped have got their last word.
pub(super) async fn all_left() {
    let end = tokio::time::Instant::now() + TAKE_LEAVE;
    while STAYING.load(Ordering::SeqCst) > 0 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A program that was started, and what it has written so far.
pub(super) struct Program {
    source: Source,
    input: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// What it wrote to standard output and nobody has taken yet.
    pub(super) out: Vec<u8>,
    /// What it wrote to standard error.
    pub(super) err: Vec<u8>,
    /// Its exit code; 128 and the signal's number for one that was killed.
    pub(super) code: Option<i32>,
    /// The signal that killed it.
    pub(super) signal: Option<i32>,
    /// Whether everything it writes is kept, or only the end of the error stream.
    pub(super) keep_all: bool,
    /// Whether it has a terminal, where both streams are one.
    pub(super) terminal: bool,
    /// What it is told when it is no longer needed.
    pub(super) farewell: Option<Farewell>,
    /// The descriptors that it has here.
    pub(super) room: Option<Room>,
    /// How much is missing of the frame that was begun last.
    owed: usize,
}

enum Source {
    Local(mpsc::Receiver<Piece>),
    /// Only `Drop` leaves `None` behind.
    Ssh(Option<Channel<client::Msg>>),
}

enum Piece {
    Out(Vec<u8>),
    Err(Vec<u8>),
    Code(i32),
    Signal(i32),
}

impl Program {
    /// Starts a program on this machine. An agent must not be killed when nobody waits for it any
    /// more: it stops what it runs, which its own end would leave behind.
    pub(super) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child
            .stdin
            .take()
            .map(|input| Box::new(input) as Box<dyn AsyncWrite + Send + Unpin>);
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(forward(child, sender));
        Ok(Self::new(Source::Local(receiver), input))
    }

    /// The program that was started on a channel.
    pub(super) fn on_channel(channel: Channel<client::Msg>) -> Self {
        let input = Box::new(channel.make_writer());
        Self::new(Source::Ssh(Some(channel)), Some(input))
    }

    fn new(source: Source, input: Option<Box<dyn AsyncWrite + Send + Unpin>>) -> Self {
        Self {
            source,
            input,
            out: Vec::new(),
            err: Vec::new(),
            code: None,
            signal: None,
            keep_all: false,
            terminal: false,
            farewell: None,
            room: None,
            owed: 0,
        }
    }

    /// Where it complains and asks.
    pub(super) fn said(&self) -> &[u8] {
        if self.terminal { &self.out } else { &self.err }
    }

    /// Waits until the program writes something or ends; false at the end.
    pub(super) async fn pump(&mut self) -> bool {
        let piece = self.source.piece().await;
        self.take(piece)
    }

    /// Keeps what came; false at the end.
    fn take(&mut self, piece: Option<Piece>) -> bool {
        match piece {
            Some(Piece::Out(bytes)) => self.out.extend_from_slice(&bytes),
            Some(Piece::Err(bytes)) => {
                self.err.extend_from_slice(&bytes);
                if !self.keep_all && self.err.len() > KEPT_ERRORS {
                    self.err.drain(..self.err.len() - KEPT_ERRORS);
                }
            }
            Some(Piece::Code(status)) => self.code = Some(status),
            Some(Piece::Signal(number)) => {
                self.code = Some(128 + number);
                self.signal = Some(number);
            }
            None => return false,
        }
        true
    }

    /// Writes to the program, which may have ended.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // Only who reads learns that it ended: a channel's window stays shut then.
        match self.upload(bytes).await {
            true => Ok(()),
            false => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Writes much, and reads meanwhile: a program that gives up early says why, and stops reading.
    /// False when it ended before it had everything.
    pub(super) async fn upload(&mut self, bytes: &[u8]) -> bool {
        let mut at = 0;
        loop {
            let Some(input) = &mut self.input else {
                return false;
            };
            let writing = async {
                match &bytes[at..] {
                    [] => input.flush().await.map(|()| 0),
                    rest => input.write(rest).await,
                }
            };
            let piece = tokio::select! {
                written = writing => match written {
                    Ok(_) if at == bytes.len() => return true,
                    Ok(count @ 1..) => {
                        at += count;
                        self.owed = owed(bytes, at);
                        continue;
                    }
                    _ => return false,
                },
                piece = self.source.piece() => piece,
            };
            if !self.take(piece) {
                return false;
            }
        }
    }

    /// Ends the program's standard input, after the last word.
    pub(super) async fn end_input(&mut self) {
        if let Some(farewell) = self.last_word() {
            self.upload(&farewell.0).await;
        }
        if let Some(mut input) = self.input.take() {
            // The program may be gone, and then there is nothing left to end.
            let _ = input.shutdown().await;
        }
        if let Source::Ssh(Some(channel)) = &self.source {
            let _ = channel.eof().await;
        }
    }

    /// What it is told in the end: a frame that was begun is made one that cannot be read, so that nothing
    /// of it is done.
    fn last_word(&mut self) -> Option<Farewell> {
        let mut farewell = self.farewell.take()?;
        let rest = std::iter::repeat_n(u8::MAX, self.owed);
        farewell.0.splice(..0, rest);
        Some(farewell)
    }

    /// The next reply of an agent; `None` when the stream ended.
    pub(super) async fn reply(&mut self) -> Result<Option<Reply>, LinkError> {
        let invalid = |error: std::io::Error| {
            LinkError::Protocol(format!("the agent's answer is damaged: {error}"))
        };
        loop {
            if let Some(head) = self.out.first_chunk::<4>() {
                let end = 4 + wire::frame_length(*head).map_err(invalid)?;
                if self.out.len() >= end {
                    let reply = wire::decode(&self.out[4..end]).map_err(invalid)?;
                    self.out.drain(..end);
                    return Ok(Some(reply));
                }
                self.out.reserve(end - self.out.len());
            }
            if !self.pump().await {
                return Ok(None);
            }
        }
    }

    /// The program as a stream: what is written is its standard input, what it writes is read. What it
    /// said on its error stream is there once it has ended.
    pub(super) fn into_stream(mut self) -> (DuplexStream, Arc<OnceLock<String>>) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let said = Arc::new(OnceLock::new());
        let told = Arc::clone(&said);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            let mut bytes = vec![0; 32 << 10];
            let mut open = true;
            loop {
                if !self.out.is_empty() {
                    let out = std::mem::take(&mut self.out);
                    if writer.write_all(&out).await.is_err() {
                        break;
                    }
                }
                tokio::select! {
                    more = self.pump() => if !more { break },
                    read = reader.read(&mut bytes), if open => match read {
                        Ok(count @ 1..) => {
                            // It may write at the same time, more than a pipe holds.
                            self.upload(&bytes[..count]).await;
                        }
                        _ => {
                            open = false;
                            self.end_input().await;
                        }
                    },
                }
            }
            let _ = told.set(self.errors());
            let _ = writer.shutdown().await;
        });
        (near, said)
    }

    /// The error stream as text.
    pub(super) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.err).trim().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let mut source = std::mem::replace(&mut self.source, Source::Ssh(None));
        // They are free when the program is gone.
        let room = self.room.take();
        let said = self.last_word().zip(self.input.take());
        if said.is_none() && matches!(source, Source::Local(_)) {
            runtime.spawn(async move {
                // It sees its input end, and leaves.
                tokio::time::sleep(Duration::from_millis(100)).await;
                drop(room);
            });
            return;
        }
        runtime.spawn(async move {
            if let Some((farewell, mut input)) = said {
                let leaving = async {
                    // One that has gone needs no farewell.
                    let _ = input.write_all(&farewell.0).await;
                    let _ = input.shutdown().await;
                    while source.piece().await.is_some() {}
                };
                let _ = tokio::time::timeout(TAKE_LEAVE, leaving).await;
            }
            drop(room);
            // A channel whose last handle is dropped stays open on the server.
            if let Source::Ssh(Some(channel)) = source {
                let _ = channel.close().await;
            }
        });
    }
}

impl Source {
    /// What comes next; none at the end.
    async fn piece(&mut self) -> Option<Piece> {
        match self {
            Self::Local(pieces) => pieces.recv().await,
            Self::Ssh(Some(channel)) => channel_piece(channel).await,
            Self::Ssh(None) => None,
        }
    }
}

async fn channel_piece(channel: &mut Channel<client::Msg>) -> Option<Piece> {
    loop {
        return Some(match channel.wait().await? {
            ChannelMsg::Data { data } => Piece::Out(data.to_vec()),
            ChannelMsg::ExtendedData { data, .. } => Piece::Err(data.to_vec()),
            ChannelMsg::ExitStatus { exit_status } => {
                Piece::Code(i32::try_from(exit_status).unwrap_or(255))
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                Piece::Signal(signal_number(&signal_name))
            }
            // Refused: the server runs no programs for this user.
            ChannelMsg::Failure | ChannelMsg::Close => return None,
            _ => continue,
        });
    }
}

fn signal_number(signal: &russh::Sig) -> i32 {
    use russh::Sig;
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        _ => 15,
    }
}

/// How much is missing of a frame of which the bytes up to `at` were written.
fn owed(frames: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at {
        let head = frames[end..].first_chunk::<4>();
        let length = head.and_then(|head| wire::frame_length(*head).ok());
        // What is no frame is the agent itself, or a password.
        end += 4 + length.unwrap_or(frames.len());
    }
    (end - at).min(frames.len() - at)
}

/// Hands over what a child writes; the exit code comes last.
async fn forward(mut child: Child, sender: mpsc::Sender<Piece>) {
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return;
    };
    let reading = async {
        tokio::join!(
            read_all(out, &sender, Piece::Out),
            read_all(err, &sender, Piece::Err)
        )
    };
    tokio::select! {
        _ = reading => {}
        () = sender.closed() => {
            // Nobody waits for it. An agent has seen its input end and leaves by itself; anything
            // else is stopped.
            if tokio::time::timeout(LEAVE, child.wait()).await.is_err() {
                let _ = child.start_kill();
            }
        }
    }
    let end = child.wait().await.map_or(Piece::Code(255), |status| {
        use std::os::unix::process::ExitStatusExt;
        match status.code() {
            Some(code) => Piece::Code(code),
            None => Piece::Signal(status.signal().unwrap_or(0)),
        }
    });
    let _ = sender.send(end).await;
}

async fn read_all(
    mut stream: impl AsyncRead + Unpin,
    sender: &mpsc::Sender<Piece>,
    piece: fn(Vec<u8>) -> Piece,
) {
    loop {
        let mut bytes = Vec::with_capacity(64 << 10);
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {
                if sender.send(piece(bytes)).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_ends_the_frame_that_was_begun() {
        let frames = [&[0, 0, 0, 3, 1, 2, 3][..], &[0, 0, 0, 1, 9]].concat();
        let all: Vec<usize> = (0..=frames.len()).map(|at| owed(&frames, at)).collect();
        assert_eq!(all, [0, 6, 5, 4, 3, 2, 1, 0, 4, 3, 2, 1, 0]);
    }
}
