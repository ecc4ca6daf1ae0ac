//! The frames between controller and agent.
//!
//! A frame is a length of four bytes (big endian) and that many bytes of postcard. The agent is
//! cached by the hash of its own bytes and carried inside the controller, so both ends are always
//! of one build; [`PROTOCOL`] guards against an agent that somebody replaced.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use crate::data::Map;
use crate::machine::{Change, Kept, Process};
use crate::outcome::{Failure, Outcome};

/// The version of this protocol.
pub const PROTOCOL: u32 = 7;

/// The largest frame that either side accepts, in bytes. Larger content is sent as [`Request::Blob`]s.
pub const MAX_FRAME: usize = 32 << 20;

/// The largest piece of a [`Request::Blob`], in bytes.
pub const BLOB_PIECE: usize = 256 << 10;

/// The argument that names content that was sent before, by its number; the module gets the file's path.
pub const BLOB: &str = "_blob";

/// What the controller asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Run a module.
    Run(Box<Run>),
    /// A piece of content that is too large for the arguments of a call. It is spooled to a file
    /// that only the agent's user can read; the argument names it by its number.
    Blob {
        /// The number, chosen by the controller.
        id: u64,
        /// The bytes, in order.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// Whether the bytes are a zlib stream of the piece, which must not be longer than
        /// [`BLOB_PIECE`].
        packed: bool,
        /// With the last piece: how it ends.
        end: Option<End>,
    },
    /// Send a file of the target back in [`Reply::Blob`]s.
    Fetch {
        /// The number of the request.
        id: u64,
        /// The file.
        path: std::path::PathBuf,
        /// How many bytes of it arrived by a channel that was lost.
        from: u64,
        /// The SHA-1 of what is there already: a file that has it is not sent.
        known: Option<String>,
    },
    /// From here on, be the channel of another agent of the same user, whose own was lost. It does not
    /// begin what it has not begun.
    Join {
        /// [`Hello::name`] of the other agent.
        name: String,
        /// The calls whose answers did not arrive, in their order.
        waiting: Vec<u64>,
    },
    /// The channel ends on purpose: stop what runs, and go.
    Leave,
}

/// How content ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It is complete; the SHA-1 of all of it, in hexadecimal digits.
    Whole(String),
    /// It could not be read to its end. No call names it.
    BrokenOff,
}

/// A module call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The number of the call; its reply carries it.
    pub id: u64,
    /// The module's fully qualified name.
    pub module: String,
    /// Its arguments, validated and coerced.
    pub args: Map,
    /// Check mode: record changes instead of performing them.
    pub check: bool,
    /// Whether diffs are wanted.
    pub diff: bool,
    /// How large a content differences show, in bytes; zero: any.
    pub diff_limit: Option<u64>,
    /// Environment of the call, on top of the agent's own.
    pub env: Vec<(String, String)>,
    /// Changes recorded by other agents of the same host since this agent's last call.
    pub assumed: Vec<Change>,
    /// How long the call may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Run it in the background; the answer tells that it was started.
    pub job: Option<Job>,
    /// The number of the chain that it belongs to. After a call of a chain that fails or finds facts,
    /// the chain's further calls are answered by [`Reply::NotRun`].
    pub chain: Option<u64>,
    /// All answers to earlier calls have arrived: they need not be kept any longer.
    pub settled: bool,
    /// Tell what files were before the call changed them, with contents up to so many bytes.
    pub keep: Option<u64>,
    /// What programs of the call write is told while they run, in [`Reply::Heard`]s.
    pub hear: bool,
}

impl Run {
    /// A call of a module with arguments that were validated, and nothing else.
    #[must_use]
    pub fn new(id: u64, module: &str, args: Map) -> Self {
        Self {
            id,
            module: module.to_owned(),
            args,
            check: false,
            diff: false,
            diff_limit: None,
            env: vec![],
            assumed: vec![],
            timeout_ms: None,
            job: None,
            chain: None,
            hear: false,
            settled: false,
            keep: None,
        }
    }
}

/// A call in the background.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The folder of the task's file; `~` is the home of the agent's user.
    pub folder: String,
    /// How long it may take, in seconds.
    pub limit: u64,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The first frame, sent without being asked.
    Hello(Hello),
    /// A module call ended.
    Done {
        /// The number of the call.
        id: u64,
        /// What came of it.
        result: Result<Outcome, Failure>,
        /// In check mode: what the call recorded, for the host's other agents.
        changes: Vec<Change>,
        /// What files were before, where it was asked for.
        kept: Option<Kept>,
        /// Whether the agent sees files that other machines may have, too.
        shared: bool,
    },
    /// A call of a chain that was broken off before it.
    NotRun {
        /// The number of the call.
        id: u64,
    },
    /// A piece of a fetched file.
    Blob {
        /// The number of the request.
        id: u64,
        /// The bytes, in order; or why it cannot be read, which is the last that comes.
        bytes: Result<ByteBuf, String>,
        /// With the last piece: the SHA-1 of the whole file, in hexadecimal digits.
        sum: Option<String>,
    },
    /// The answer to [`Request::Join`], once the call under way is over. The answers that did not arrive follow.
    Joined {
        /// The calls that were never begun, in their order. None: the agent is not there any more, or has
        /// thrown away an answer that was too large to be kept.
        unrun: Option<Vec<u64>>,
        /// The numbers of content that no call has used, with how many bytes of it have arrived.
        contents: Vec<(u64, u64)>,
    },
    /// What a program of a call has just written.
    Heard {
        /// The number of the call.
        id: u64,
        /// The bytes.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
}

/// Who the agent is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the agent.
    pub protocol: u32,
    /// The process: user, home, environment.
    pub process: Process,
    /// The process's number on the target.
    pub pid: u32,
    /// What the kernel calls this start of the machine; empty where it does not tell.
    pub boot: String,
    /// What the machine calls itself for as long as it is installed; empty where it has no such name.
    pub machine: String,
    /// Under which name it can be joined when its channel is lost; empty: it leaves with its channel.
    pub name: String,
}

/// Content in pieces of [`BLOB_PIECE`], without those that arrived by a channel that was lost.
#[derive(Debug)]
pub struct Pieces<R> {
    stream: R,
    /// How many bytes are there already.
    arrived: u64,
}

impl<R: Read> Pieces<R> {
    /// The stream from its beginning; the other end has so many bytes of it.
    pub fn new(stream: R, arrived: u64) -> Self {
        Self { stream, arrived }
    }

    /// Reads the next piece that is to be sent, and says whether it is the last; that may be empty. All that is
    /// read is added up, also what is not to be sent.
    ///
    /// # Errors
    /// The stream's error.
    pub fn next(&mut self, piece: &mut Vec<u8>, mut add: impl FnMut(&[u8])) -> io::Result<bool> {
        loop {
            piece.clear();
            let most = match self.arrived {
                0 => BLOB_PIECE as u64,
                some => some.min(BLOB_PIECE as u64),
            };
            let count = (&mut self.stream).take(most).read_to_end(piece)? as u64;
            add(piece);
            let last = count < most;
            if self.arrived > 0 {
                self.arrived -= count;
                piece.clear();
                if !last {
                    continue;
                }
            }
            return Ok(last);
        }
    }
}

/// Writes one frame and flushes.
///
/// # Errors
/// The stream's error; `InvalidData` for a message over [`MAX_FRAME`].
pub fn write_frame<T: Serialize>(stream: &mut impl Write, message: &T) -> io::Result<()> {
    stream.write_all(&encode(message)?)?;
    stream.flush()
}

/// A frame as bytes, length included.
///
/// # Errors
/// `InvalidData` for a message over [`MAX_FRAME`].
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = postcard::to_extend(message, vec![0; 4]).map_err(invalid)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(invalid(format!(
            "a frame of {length} bytes is over the limit of {MAX_FRAME}"
        )));
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).map_err(invalid)?.to_be_bytes());
    Ok(bytes)
}

/// Reads one frame; `None` when the stream ended between frames.
///
/// # Errors
/// The stream's error; `InvalidData` for bytes that are no frame.
pub fn read_frame<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => stream.read_exact(&mut length[1..])?,
    }
    let length = frame_length(length)?;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    decode(&bytes).map(Some)
}

/// The length that a frame's first four bytes announce.
///
/// # Errors
/// `InvalidData` when it is over [`MAX_FRAME`].
pub fn frame_length(head: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(head) as usize;
    if length > MAX_FRAME {
        return Err(invalid(format!(
            "a frame of {length} bytes is over the limit of {MAX_FRAME}"
        )));
    }
    Ok(length)
}

/// The message in a frame's body.
///
/// # Errors
/// `InvalidData` for bytes that are no message.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    postcard::from_bytes(body).map_err(invalid)
}

fn invalid(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
