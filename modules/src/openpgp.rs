//! Public keys of OpenPGP, as far as package managers ask: the bytes out of their armor, the keys in
//! them, and the numbers that tell them apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::machine::digest::Algorithm;

/// A key with everything that belongs to it.
pub(crate) struct Key {
    /// Its packets: the key, its names, signatures and further keys.
    pub(crate) packets: Vec<u8>,
    /// The fingerprints in capital hexadecimal digits, the key's own first.
    pub(crate) fingerprints: Vec<String>,
}

impl Key {
    /// The last eight digits of the fingerprint.
    pub(crate) fn short(&self) -> &str {
        tail(&self.fingerprints[0], 8)
    }

    /// Whether an identifier of any length, with or without `0x` and blanks, means it.
    pub(crate) fn answers_to(&self, id: &str) -> bool {
        let id = identifier(id);
        self.fingerprints.iter().any(|print| print.ends_with(&id))
    }
}

/// The end of a text of single-byte letters.
pub(crate) fn tail(text: &str, length: usize) -> &str {
    &text[text.len().saturating_sub(length)..]
}

/// An identifier in capital digits without `0x` and blanks.
pub(crate) fn identifier(id: &str) -> String {
    let text: String = id.split_whitespace().collect::<String>().to_uppercase();
    text.strip_prefix("0X").map_or(text.clone(), str::to_owned)
}

/// Whether a text is an identifier, and no path or address.
pub(crate) fn is_identifier(text: &str) -> bool {
    let id = identifier(text);
    [8, 16, 40].contains(&id.len()) && id.chars().all(|letter| letter.is_ascii_hexdigit())
}

/// The keys of a file, armored or not; nothing where it is none.
pub(crate) fn keys(content: &[u8]) -> Option<Vec<Key>> {
    let text = String::from_utf8_lossy(content);
    let bytes = match text.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        true => unarmored(&text)?,
        false => content.to_vec(),
    };
    let (mut keys, mut rest) = (Vec::<Key>::new(), bytes.as_slice());
    while !rest.is_empty() {
        let (tag, body, whole) = packet(rest)?;
        let (this, next) = rest.split_at(whole);
        rest = next;
        match tag {
            PUBLIC_KEY => keys.push(Key {
                packets: this.to_vec(),
                fingerprints: vec![fingerprint(body)?],
            }),
            _ => {
                let key = keys.last_mut()?;
                key.packets.extend_from_slice(this);
                if tag == PUBLIC_SUBKEY {
                    key.fingerprints.extend(fingerprint(body));
                }
            }
        }
    }
    Some(keys).filter(|keys| !keys.is_empty())
}

const PUBLIC_KEY: u8 = 6;
const PUBLIC_SUBKEY: u8 = 14;

/// The bytes of all blocks of a text: lines of base64 between headers and a checksum.
fn unarmored(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for block in text.split("-----BEGIN PGP PUBLIC KEY BLOCK-----").skip(1) {
        let (block, _) = block.split_once("-----END PGP PUBLIC KEY BLOCK-----")?;
        let digits: String = block
            .lines()
            .map(str::trim)
            .filter(|line| !line.contains(':') && !line.starts_with('='))
            .collect();
        bytes.extend(STANDARD.decode(digits).ok()?);
    }
    Some(bytes)
}

/// Keys as a text.
pub(crate) fn armored(packets: &[u8]) -> String {
    let digits = STANDARD.encode(packets);
    let mut text = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n".to_owned();
    for line in digits.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + "-----END PGP PUBLIC KEY BLOCK-----\n"
}

/// The first packet: its tag, its body, and how long it is with its head.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let number = |range: &[u8]| {
        range
            .iter()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte))
    };
    let first = *bytes.first()?;
    if first & 0x80 == 0 {
        return None;
    }
    let (tag, head, length) = if first & 0x40 == 0 {
        let size = 1 << (first & 3);
        // The fourth kind of an old length is "to the end", which keys do not have.
        let length = (size < 8).then(|| bytes.get(1..=size))??;
        ((first >> 2) & 15, 1 + size, number(length))
    } else {
        let (head, length) = match *bytes.get(1)? {
            short @ 0..=191 => (2, usize::from(short)),
            high @ 192..=223 => {
                let low = usize::from(*bytes.get(2)?);
                (3, ((usize::from(high) - 192) << 8) + low + 192)
            }
            255 => (6, number(bytes.get(2..6)?)),
            _ => return None,
        };
        (first & 63, head, length)
    };
    let end = head.checked_add(length)?;
    Some((tag, bytes.get(head..end)?, end))
}

/// The fingerprint of a key by its version: SHA-1 or SHA-256 over it with a head.
fn fingerprint(body: &[u8]) -> Option<String> {
    let length = u32::try_from(body.len()).ok()?.to_be_bytes();
    let (algorithm, head) = match *body.first()? {
        4 => (Algorithm::Sha1, vec![0x99, length[2], length[3]]),
        5 => (Algorithm::Sha256, [&[0x9a], length.as_slice()].concat()),
        6 => (Algorithm::Sha256, [&[0x9b], length.as_slice()].concat()),
        _ => return None,
    };
    let text = algorithm
        .of(&mut [head.as_slice(), body].concat().as_slice())
        .ok()?;
    Some(text.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_names() {
        // A key of version 4 with a body of five bytes, a name, and a second key.
        let bytes = [
            0x98, 5, 4, 1, 2, 3, 4, 0xb4, 1, b'x', 0xc6, 5, 4, 1, 2, 3, 5,
        ];
        let found = keys(&bytes).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].packets.len(), 10);
        assert_eq!(found[0].fingerprints[0].len(), 40);
        let short = found[0].short().to_lowercase();
        assert!(found[0].answers_to(&format!("0x{short}")) && !found[1].answers_to(&short));
        assert!(is_identifier("DE03 A9FC") && !is_identifier("nonsense"));
        assert!(keys(b"root:x:0:0").is_none() && keys(&[0x98, 200]).is_none());
        let armored = format!(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\n{}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----",
            STANDARD.encode(bytes)
        );
        assert_eq!(keys(armored.as_bytes()).unwrap().len(), 2);
    }
}
