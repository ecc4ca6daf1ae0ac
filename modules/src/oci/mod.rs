//! Container images: found in a registry, an image layout or an archive, unpacked, and written as
//! one SIF file that Apptainer and Singularity run.
//!
//! In pipeline order:
//!
//! * [`reference`]: what the user wrote, `docker://`, `oci:` ... taken apart
//! * [`http`], [`tls`], [`registry`], [`credentials`]: the way to a registry
//! * [`layout`]: image layouts and archives on the machine
//! * [`image`]: manifest lists, the choice of a platform, the image's configuration
//! * [`unpack`]: layers, checked and decompressed into scratch files
//! * [`tree`]: what the layers add up to, whiteouts included
//! * [`rootfs`]: the files that Apptainer expects in a tree, and the tree as squashfs
//! * [`sif`]: the container file: reading its descriptors, writing one
//! * [`pull`]: all of it in order; [`program`]: the same by the `apptainer` program
//!
//! Everything here reaches the machine and the network through
//! [`Machine`](crate::machine::Machine), and gives the same bytes for the same image.

pub(crate) mod credentials;
pub(crate) mod document;
pub(crate) mod http;
pub(crate) mod image;
pub(crate) mod layout;
pub(crate) mod program;
pub(crate) mod pull;
pub(crate) mod reference;
pub(crate) mod registry;
pub(crate) mod rootfs;
pub(crate) mod sif;
pub(crate) mod tls;
pub(crate) mod tree;
pub(crate) mod unpack;

use std::fmt;
use std::io;

use sha2::{Digest as _, Sha256};

use crate::machine::digest::hex;
use crate::outcome::Failure;

/// Why an image cannot be had: a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error(pub(crate) String);

impl Error {
    /// An error with its message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A system error on something that the message names.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull
            || error.kind() == io::ErrorKind::QuotaExceeded
        {
            return Self(format!(
                "{what}: no space is left ({error}); nothing was changed"
            ));
        }
        Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(error.0)
    }
}

/// The result of a step on the way to an image.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// A SHA-256 digest in its written form, `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Digest(String);

impl Digest {
    /// Reads a digest as images name it; the algorithm may be left out.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(format!("sha256:{}", hex.to_ascii_lowercase())));
        }
        Err(Error::new(format!(
            "`{text}` is not a digest; expected `sha256:` and 64 hexadecimal digits"
        )))
    }

    /// The digest of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut hash = Hash::default();
        hash.update(bytes);
        hash.finish()
    }

    /// The digits without the algorithm.
    pub(crate) fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The written form.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A SHA-256 digest in the making.
#[derive(Clone, Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub(crate) fn finish(self) -> Digest {
        Digest(format!("sha256:{}", hex(&self.0.finalize())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_and_made() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").hex(), empty);
        assert_eq!(
            Digest::parse(&format!("sha256:{}", empty.to_uppercase())),
            Ok(Digest::of(b""))
        );
        assert_eq!(Digest::parse(empty), Ok(Digest::of(b"")));
        assert!(Digest::parse("sha256:12").is_err());
        assert!(Digest::parse("sha512:12").is_err());
    }
}
