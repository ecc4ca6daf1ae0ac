//! Layers and SIF files on their way into scratch files: decompressed, counted, and checked
//! against their digests.

use std::io::{self, Read, Write};
use std::path::Path;

use super::image::{Layer, Store};
use super::{Digest, Error, Hash, Result};
use crate::machine::{Machine, Scratch};

/// How often a layer is fetched when the connection breaks.
const TRIES: usize = 3;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A new scratch file beside `dest`; an error where the machine only predicts.
pub(crate) fn scratch(machine: &mut dyn Machine, dest: &Path) -> Result<Box<dyn Scratch>> {
    let made = machine
        .scratch(dest)
        .map_err(|error| Error::io(format!("beside {}", dest.display()), &error))?;
    made.ok_or_else(|| Error::new("nothing is unpacked in check mode"))
}

/// Unpacks a layer into a scratch file that holds its tar file.
pub(crate) fn layer(
    machine: &mut dyn Machine,
    store: &mut Store,
    layer: &Layer,
    dest: &Path,
) -> Result<Box<dyn Scratch>> {
    let mut tries = TRIES;
    loop {
        let reader = store.open(machine, layer)?;
        let mut out = scratch(machine, dest)?;
        match decompress(reader, layer, &mut out) {
            Ok(()) => return Ok(out),
            Err(Broken::Connection(_)) if tries > 1 && matches!(store, Store::Registry(_)) => {
                tries -= 1
            }
            Err(broken) => return Err(broken.explain(&name(layer), dest)),
        }
    }
}

fn name(layer: &Layer) -> String {
    let name = layer.member.as_ref().unwrap_or(&layer.blob.digest);
    format!("the layer {name}")
}

/// Why a copy stopped.
enum Broken {
    /// The source ended or failed while being read.
    Connection(io::Error),
    /// The scratch file cannot take more.
    Writing(io::Error),
    /// The bytes are not what they should be.
    Content(String),
}

impl Broken {
    fn explain(self, what: &str, dest: &Path) -> Error {
        match self {
            Broken::Connection(error) => {
                Error::new(format!("{what} cannot be read to its end: {error}"))
            }
            Broken::Writing(error) => Error::io(
                format!("{what} cannot be unpacked beside {}", dest.display()),
                &error,
            ),
            Broken::Content(why) => Error::new(format!("{what} {why}")),
        }
    }
}

fn decompress(
    reader: Box<dyn Read>,
    layer: &Layer,
    out: &mut Box<dyn Scratch>,
) -> std::result::Result<(), Broken> {
    let size = layer.blob.size;
    // One byte more than there should be shows a blob that is too long without reading all of it.
    let mut counted = Counted {
        reader: reader.take(size + 1),
        hash: Hash::default(),
        count: 0,
    };
    let mut head = Vec::new();
    counted
        .by_ref()
        .take(4)
        .read_to_end(&mut head)
        .map_err(Broken::Connection)?;
    if head == ZSTD {
        return Err(Broken::Content(
            "is compressed with zstd, which is not supported; `engine: program` may know it".into(),
        ));
    }
    let gzip = head.starts_with(&GZIP);
    let mut plain = Hash::default();
    let input = io::Cursor::new(head).chain(counted);
    let counted = if gzip {
        let mut decoder = flate2::read::MultiGzDecoder::new(input);
        let copied = copy(&mut decoder, &mut plain, out);
        rest(decoder.into_inner(), copied, size)?
    } else {
        let mut input = input;
        let copied = copy(&mut input, &mut plain, out);
        rest(input, copied, size)?
    };
    if counted.count != size {
        return Err(Broken::Content(format!(
            "has {} bytes instead of {size}",
            counted.count
        )));
    }
    if layer.member.is_none() {
        expect(&layer.blob.digest, counted.hash.finish())?;
    }
    match &layer.diff_id {
        Some(id) => expect(id.as_str(), plain.finish()),
        None => Ok(()),
    }
}

/// A blob that is read, with its count and digest.
struct Counted {
    reader: io::Take<Box<dyn Read>>,
    hash: Hash,
    count: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.count += read as u64;
        Ok(read)
    }
}

/// Reads what the decoder left, and tells a short blob from a damaged one.
fn rest(
    input: io::Chain<io::Cursor<Vec<u8>>, Counted>,
    copied: std::result::Result<(), Broken>,
    size: u64,
) -> std::result::Result<Counted, Broken> {
    let (_, mut counted) = input.into_inner();
    match copied {
        Err(Broken::Connection(error))
            if error.kind() == io::ErrorKind::UnexpectedEof && counted.count < size =>
        {
            Err(Broken::Connection(io::Error::new(
                error.kind(),
                format!(
                    "it is truncated: {} of {size} bytes are there",
                    counted.count
                ),
            )))
        }
        Err(Broken::Connection(error))
            if counted.count >= size
                || matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
                ) =>
        {
            Err(Broken::Content(format!("is damaged: {error}")))
        }
        Err(broken) => Err(broken),
        Ok(()) => {
            io::copy(&mut counted, &mut io::sink()).map_err(Broken::Connection)?;
            Ok(counted)
        }
    }
}

fn expect(expected: &str, found: Digest) -> std::result::Result<(), Broken> {
    if expected == found.as_str() {
        return Ok(());
    }
    Err(Broken::Content(format!(
        "has the wrong digest: expected {expected}, found {found}"
    )))
}

/// Copies to the end, telling apart which side failed.
fn copy(
    reader: &mut impl Read,
    hash: &mut Hash,
    out: &mut Box<dyn Scratch>,
) -> std::result::Result<(), Broken> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Connection(error)),
        };
        hash.update(&buffer[..read]);
        out.write_all(&buffer[..read]).map_err(Broken::Writing)?;
    }
}

/// Copies a whole file into a scratch file and gives its digest.
pub(crate) fn file(
    mut reader: impl Read,
    what: &str,
    dest: &Path,
    out: &mut Box<dyn Scratch>,
) -> Result<Digest> {
    let mut hash = Hash::default();
    copy(&mut reader, &mut hash, out).map_err(|broken| broken.explain(what, dest))?;
    Ok(hash.finish())
}

/// The digest and size of what a reader gives.
pub(crate) fn digest(mut reader: impl Read, what: &str) -> Result<(Digest, u64)> {
    let mut hash = Hash::default();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((hash.finish(), size)),
            Ok(read) => {
                hash.update(&buffer[..read]);
                size += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(what, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::image::Descriptor;

    fn try_layer(
        bytes: &[u8],
        size: u64,
        digest: &str,
        diff_id: Option<&[u8]>,
    ) -> std::result::Result<Vec<u8>, String> {
        let blob = Descriptor::bare(digest, size);
        let layer = Layer {
            blob,
            member: None,
            diff_id: diff_id.map(Digest::of),
        };
        let mut out: Box<dyn Scratch> = Box::new(io::Cursor::new(Vec::new()));
        decompress(Box::new(io::Cursor::new(bytes.to_vec())), &layer, &mut out)
            .map_err(|broken| broken.explain("the layer", Path::new("/d")).0)?;
        let mut text = Vec::new();
        io::Seek::rewind(&mut out).unwrap();
        out.read_to_end(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn layers_are_decompressed_and_checked() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        let gzip = encoder.finish().unwrap();
        let size = gzip.len() as u64;
        let digest = Digest::of(&gzip).as_str().to_owned();
        assert_eq!(try_layer(&gzip, size, &digest, Some(&text)).unwrap(), text);
        assert_eq!(
            try_layer(
                &text,
                text.len() as u64,
                Digest::of(&text).as_str(),
                Some(&text)
            )
            .unwrap(),
            text
        );

        let short = try_layer(&gzip[..1000], size, &digest, None).unwrap_err();
        assert!(
            short.contains(&format!("truncated: 1000 of {size} bytes")),
            "{short}"
        );
        let long = try_layer(&[&gzip[..], b"xyz"].concat(), size, &digest, None).unwrap_err();
        assert!(
            long.contains("instead of") || long.contains("damaged"),
            "{long}"
        );
        let other = try_layer(&gzip, size, Digest::of(b"").as_str(), None).unwrap_err();
        assert!(
            other.contains("wrong digest: expected sha256:e3b0"),
            "{other}"
        );
        let inside = try_layer(&gzip, size, &digest, Some(b"x")).unwrap_err();
        assert!(inside.contains("wrong digest"), "{inside}");
        let zstd = try_layer(&ZSTD, 4, &digest, None).unwrap_err();
        assert!(zstd.contains("zstd"), "{zstd}");
    }
}
