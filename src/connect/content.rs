//! Content that is too large for a call: read, added up and packed beside the connection that sends it, or taken
//! as it comes in.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::{Compression, write::ZlibEncoder};
use rplay_modules::machine::digest::{Sums, hex};
use rplay_modules::wire::{self, BLOB_PIECE, End, Reply, Request};
use sha1::{Digest, Sha1};
use tokio::sync::mpsc;
use zeroize::{Zeroize, Zeroizing};

use super::LinkError;
use super::program::Program;

/// How many pieces are ready before they can be sent.
const AHEAD: usize = 4;

/// After a piece that did not get smaller, so many are sent as they are.
const UNPACKED: usize = 64;

/// What is sent to a host.
pub enum Content {
    /// Bytes that are there.
    Bytes(Vec<u8>),
    /// A file of the controller, which is read while it is sent.
    File(PathBuf),
}

impl Content {
    /// The content as a stream.
    ///
    /// # Errors
    /// The system's error.
    pub fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
            Self::File(path) => Box::new(File::open(path)?),
        })
    }

    /// How long it is, in bytes.
    ///
    /// # Errors
    /// The system's error.
    pub fn size(&self) -> io::Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => Ok(path.metadata()?.len()),
        }
    }
}

/// Content that may have to be sent again.
pub(super) struct Held(pub(super) Content);

impl Drop for Held {
    fn drop(&mut self) {
        if let Content::Bytes(bytes) = &mut self.0 {
            // They may be what a vault held.
            bytes.zeroize();
        }
    }
}

/// Frames of content, in their order.
pub(super) struct Pieces {
    frames: mpsc::Receiver<Zeroizing<Vec<u8>>>,
    reading: tokio::task::JoinHandle<io::Result<String>>,
}

impl Pieces {
    /// Begins to read; the frames are of what comes `from` so many bytes on. With `packs`, pieces that get smaller
    /// by it are packed.
    pub(super) fn of(content: Arc<Held>, id: u64, from: u64, packs: bool) -> Self {
        let (sender, frames) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || {
            let mut packer = Packer {
                wanted: packs,
                rest: 0,
            };
            read(&content.0, (id, from), &mut packer, &sender)
        });
        Self { frames, reading }
    }

    /// The next frame; none after the last.
    pub(super) async fn next(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.frames.recv().await
    }

    /// The SHA-1 of all of it; or why it could not be read, which the agent was told, too.
    pub(super) async fn end(self) -> io::Result<String> {
        drop(self.frames);
        self.reading.await.map_err(io::Error::other)?
    }
}

/// A file of the host that is coming in.
pub(super) struct Fetched<'a> {
    /// The number of the request.
    pub(super) id: u64,
    /// How much has come.
    pub(super) size: u64,
    sums: Sums,
    into: &'a mut (dyn Write + Send),
    /// Why no more can be passed on. The rest is taken all the same: it is on its way.
    pub(super) fault: Option<io::Error>,
}

impl<'a> Fetched<'a> {
    /// Nothing of it has come.
    pub(super) fn new(id: u64, into: &'a mut (dyn Write + Send)) -> Self {
        Self {
            id,
            size: 0,
            sums: Sums::default(),
            into,
            fault: None,
        }
    }

    /// The SHA-1 and MD5 of what came.
    pub(super) fn sums(self) -> (String, String) {
        self.sums.end()
    }

    /// Takes pieces to the last one: the SHA-1 of the whole, or why it cannot be read. `None` when the channel
    /// was lost.
    pub(super) async fn take(
        &mut self,
        program: &mut Program,
    ) -> Result<Option<Result<String, String>>, LinkError> {
        while let Some(reply) = program.reply().await? {
            let Reply::Blob { id, bytes, sum } = reply else {
                continue;
            };
            if id != self.id {
                continue;
            }
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(why) => return Ok(Some(Err(why))),
            };
            self.size += bytes.len() as u64;
            self.sums.add(&bytes);
            if self.fault.is_none() {
                self.fault = self.into.write_all(&bytes).err();
            }
            if let Some(sum) = sum {
                return Ok(Some(Ok(sum)));
            }
        }
        Ok(None)
    }
}

/// Reads content and hands over its frames, but those of what has arrived.
fn read(
    content: &Content,
    (id, arrived): (u64, u64),
    packer: &mut Packer,
    frames: &mpsc::Sender<Zeroizing<Vec<u8>>>,
) -> io::Result<String> {
    let mut sum = Sha1::new();
    let mut piece = Zeroizing::new(Vec::with_capacity(BLOB_PIECE));
    let hand_over = |(bytes, packed), end| {
        let mut request = Request::Blob {
            id,
            bytes,
            packed,
            end,
        };
        let frame = wire::encode(&request).map(Zeroizing::new);
        if let Request::Blob { bytes, .. } = &mut request {
            bytes.zeroize();
        }
        // Nobody takes it when the connection is gone.
        Ok::<_, io::Error>(frames.blocking_send(frame?).is_ok())
    };
    let stream = match content.open() {
        Ok(stream) => stream,
        Err(error) => {
            hand_over((vec![], false), Some(End::BrokenOff))?;
            return Err(error);
        }
    };
    let mut pieces = wire::Pieces::new(stream, arrived);
    loop {
        let last = match pieces.next(&mut piece, |bytes| sum.update(bytes)) {
            Err(error) => {
                hand_over((vec![], false), Some(End::BrokenOff))?;
                return Err(error);
            }
            Ok(last) => last,
        };
        let end = last.then(|| hex(&sum.clone().finalize()));
        let last = end.clone().map(End::Whole);
        if !hand_over(packer.pack(&piece)?, last)? {
            return Ok(String::new());
        }
        if let Some(sum) = end {
            return Ok(sum);
        }
    }
}

/// Packs pieces where it pays.
struct Packer {
    wanted: bool,
    /// How many pieces are left alone.
    rest: usize,
}

impl Packer {
    /// The bytes to send for a piece, and whether they are packed.
    fn pack(&mut self, piece: &[u8]) -> io::Result<(Vec<u8>, bool)> {
        if !self.wanted || self.rest > 0 {
            self.rest = self.rest.saturating_sub(1);
            return Ok((piece.to_vec(), false));
        }
        let mut packed = ZlibEncoder::new(Vec::with_capacity(piece.len()), Compression::fast());
        packed.write_all(piece)?;
        let mut packed = packed.finish()?;
        if packed.len() < piece.len() - piece.len() / 8 {
            return Ok((packed, true));
        }
        packed.zeroize();
        self.rest = UNPACKED;
        Ok((piece.to_vec(), false))
    }
}
