//! Checksums of content.

use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::Machine;
use crate::args::ArgEnum;

/// An algorithm, by the name that Ansible has for it.
#[derive(ArgEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5.
    Md5,
    /// SHA-1, which Ansible uses where none is named.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The checksum of a stream, in hexadecimal digits.
    ///
    /// # Errors
    /// The stream's error.
    pub fn of(self, stream: &mut dyn Read) -> io::Result<String> {
        match self {
            Self::Md5 => digest::<Md5>(stream),
            Self::Sha1 => digest::<Sha1>(stream),
            Self::Sha224 => digest::<Sha224>(stream),
            Self::Sha256 => digest::<Sha256>(stream),
            Self::Sha384 => digest::<Sha384>(stream),
            Self::Sha512 => digest::<Sha512>(stream),
        }
    }

    /// The checksum of a file.
    ///
    /// # Errors
    /// The system's error.
    pub fn of_file(self, machine: &mut dyn Machine, path: &Path) -> io::Result<String> {
        self.of(&mut *machine.open(path)?)
    }
}

/// The checksums of a file that Ansible tells, made while its pieces come in.
#[derive(Clone, Default)]
pub struct Sums {
    sha1: Sha1,
    md5: Md5,
}

impl Sums {
    /// Adds a piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.sha1.update(piece);
        self.md5.update(piece);
    }

    /// SHA-1 and MD5 of all pieces, in hexadecimal digits.
    #[must_use]
    pub fn end(self) -> (String, String) {
        (hex(&self.sha1.finalize()), hex(&self.md5.finalize()))
    }
}

impl io::Write for Sums {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.add(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

fn digest<D: Digest>(stream: &mut dyn Read) -> io::Result<String> {
    let mut digest = D::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => digest.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        let sum = |algorithm: Algorithm| algorithm.of(&mut b"hello\n".as_slice()).unwrap();
        assert_eq!(
            sum(Algorithm::Sha1),
            "f572d396fae9206628714fb2ce00f72e94f2258f"
        );
        assert_eq!(sum(Algorithm::Md5), "b1946ac92492d2347c6235b4d2611184");
        let empty = |algorithm: Algorithm| algorithm.of(&mut b"".as_slice()).unwrap();
        assert_eq!(
            empty(Algorithm::Sha1),
            "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        );
        assert_eq!(empty(Algorithm::Md5), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(
            sum(Algorithm::Sha512)
                .starts_with("e7c22b994c59d9cf2b48e549b1e24666636045930d3da7c1acb299d1c3b7f931")
        );
    }
}
