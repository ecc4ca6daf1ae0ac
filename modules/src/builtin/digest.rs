//! Checksums by the names of their algorithms.

use md5::{Digest, Md5};

/// The checksum in hexadecimal; nothing for an unknown algorithm.
pub(crate) fn hex(algorithm: &str, bytes: &[u8]) -> Option<String> {
    Some(match algorithm.to_lowercase().as_str() {
        "md5" => text(&Md5::digest(bytes)),
        "sha1" => text(&sha1::Sha1::digest(bytes)),
        "sha224" => text(&sha2::Sha224::digest(bytes)),
        "sha256" => text(&sha2::Sha256::digest(bytes)),
        "sha384" => text(&sha2::Sha384::digest(bytes)),
        "sha512" => text(&sha2::Sha512::digest(bytes)),
        _ => return None,
    })
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_sums() {
        assert_eq!(
            super::hex("sha1", b"").as_deref(),
            Some("da39a3ee5e6b4b0d3255bfef95601890afd80709")
        );
        assert_eq!(
            super::hex("md5", b"").as_deref(),
            Some("d41d8cd98f00b204e9800998ecf8427e")
        );
        assert_eq!(super::hex("crc", b""), None);
    }
}
