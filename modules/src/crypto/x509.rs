//! Requests and certificates: what is in them, and how they are put together.

use std::net::IpAddr;

use rplay_modules::outcome::Failure;

use super::der::{self, Value};
use super::openssl::{self, Key, Openssl};

/// The identifiers of extensions, as they stand in DER.
pub(super) const SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 14];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
pub(super) const ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
pub(super) const BASIC: &[u8] = &[0x55, 0x1d, 19];
pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
pub(super) const CRL_POINTS: &[u8] = &[0x55, 0x1d, 31];
pub(super) const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 35];
pub(super) const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 37];
pub(super) const TLS_FEATURE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 24];
/// The attribute of a request that holds extensions.
const REQUESTED: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];

/// One extension.
#[derive(Clone, PartialEq)]
pub(super) struct Extension {
    pub id: Vec<u8>,
    pub critical: bool,
    pub value: Vec<u8>,
}

impl Extension {
    pub(super) fn new(id: &[u8], critical: bool, value: Vec<u8>) -> Self {
        Self {
            id: id.to_vec(),
            critical,
            value,
        }
    }

    /// The same with what has no order in an order of its own.
    pub(super) fn sorted(&self) -> Self {
        let sort = |list: &[u8]| {
            let mut items: Vec<&[u8]> = der::values(list).iter().map(|item| item.whole).collect();
            crate::order::sort(&mut items);
            items.dedup();
            items.concat()
        };
        let outer = der::values(&self.value);
        let inner = outer.first().map_or(&[] as &[u8], |value| value.inner);
        let value = match self.id.as_slice() {
            ALT_NAME | EXTENDED_USAGE => sort(inner),
            NAME_CONSTRAINTS => {
                let lists = der::values(inner);
                let lists = lists
                    .iter()
                    .map(|list| der::tagged(list.tag, &sort(list.inner)));
                lists.collect::<Vec<_>>().concat()
            }
            _ => self.value.clone(),
        };
        Self {
            value,
            ..self.clone()
        }
    }

    fn read(value: Value<'_>) -> Option<Self> {
        let parts = der::values(value.inner);
        let (id, rest) = parts.split_first()?;
        let critical = rest
            .first()
            .is_some_and(|flag| flag.tag == 1 && flag.inner != [0]);
        Some(Self::new(id.inner, critical, rest.last()?.inner.to_vec()))
    }

    fn written(&self) -> Vec<u8> {
        let critical: &[u8] = if self.critical { &[1, 1, 0xff] } else { &[] };
        let (id, value) = (der::tagged(6, &self.id), der::tagged(4, &self.value));
        der::sequence(&[&id, critical, &value])
    }
}

/// A request or a certificate.
#[derive(Default)]
pub(super) struct Signed {
    /// What is signed.
    pub body: Vec<u8>,
    pub algorithm: Vec<u8>,
    pub signature: Vec<u8>,
    pub serial: Vec<u8>,
    pub issuer: Vec<u8>,
    /// The first and the last moment, as they are written there.
    pub validity: Vec<String>,
    pub subject: Vec<u8>,
    /// The public half of the key.
    pub public: Vec<u8>,
    pub extensions: Vec<Extension>,
}

impl Signed {
    /// Reads PEM; nothing where it is neither.
    pub(super) fn read(pem: &[u8]) -> Option<Self> {
        let bytes = openssl::unarmored(pem)?;
        let outer = der::take(&mut &*bytes)?;
        let parts = der::values(outer.inner);
        let &[body, algorithm, signature] = parts.as_slice() else {
            return None;
        };
        let mut signed = Self {
            body: body.whole.to_vec(),
            algorithm: der::take(&mut &*algorithm.inner)?.inner.to_vec(),
            signature: signature.inner.get(1..)?.to_vec(),
            ..Self::default()
        };
        let fields = der::values(body.inner);
        let list = if let [_, subject, public, attributes] = *fields {
            signed.subject = subject.whole.to_vec();
            signed.public = public.whole.to_vec();
            let attributes = der::values(attributes.inner);
            let wanted = attributes.iter().find_map(|attribute| {
                let parts = der::values(attribute.inner);
                let found = parts.first()?.inner == REQUESTED;
                found.then(|| parts.get(1)?.inner.into()).flatten()
            });
            wanted.unwrap_or_default()
        } else {
            let fields = match fields.first()?.tag {
                0xa0 => &fields[1..],
                _ => &fields,
            };
            let [serial, _, issuer, validity, subject, public, rest @ ..] = fields else {
                return None;
            };
            signed.serial = serial.inner.to_vec();
            signed.issuer = issuer.whole.to_vec();
            signed.validity = der::values(validity.inner).iter().map(moment).collect();
            signed.subject = subject.whole.to_vec();
            signed.public = public.whole.to_vec();
            let extensions = rest.iter().find(|field| field.tag == 0xa3);
            extensions.map(|field| field.inner).unwrap_or_default()
        };
        let list = der::values(list);
        let list = list.first().map_or(&[] as &[u8], |list| list.inner);
        let read = der::values(list).into_iter().map(Extension::read);
        signed.extensions = read.collect::<Option<_>>()?;
        Some(signed)
    }

    pub(super) fn extension(&self, id: &[u8]) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.id == id)
    }

    /// Whether this public key made the signature. An algorithm that is not known here is believed.
    pub(super) fn signed_by(
        &self,
        openssl: &mut Openssl<'_>,
        public: &[u8],
    ) -> Result<bool, Failure> {
        let known = DIGESTS.iter().find(|(_, names)| {
            let ids = names.iter().filter_map(|name| der::identifier(name));
            ids.into_iter().any(|id| id == self.algorithm)
        });
        match known {
            None if openssl::needs_digest(public) => Ok(true),
            _ => {
                let digest = known.map_or("", |(digest, _)| digest);
                openssl.verifies(public, digest, &self.body, &self.signature)
            }
        }
    }
}

/// A moment as a certificate has it, with four digits of its year.
fn moment(value: &Value<'_>) -> String {
    let text = String::from_utf8_lossy(value.inner);
    match (value.tag, text.as_bytes().first()) {
        (0x17, Some(b'5'..)) => format!("19{text}"),
        (0x17, _) => format!("20{text}"),
        _ => text.into_owned(),
    }
}

/// The parts of a name: identifiers and texts, whatever kind of text they are.
pub(super) fn parts_of(name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let outer = der::values(name);
    let sets = outer.first().map_or(&[] as &[u8], |name| name.inner);
    let mut parts = vec![];
    for set in der::values(sets) {
        for part in der::values(set.inner) {
            if let [id, text] = *der::values(part.inner) {
                parts.push((id.inner.to_vec(), text.inner.to_vec()));
            }
        }
    }
    parts
}

/// Digests, and the algorithms that sign them: with RSA, on a curve, with DSA.
const DIGESTS: &[(&str, [&str; 3])] = &[
    (
        "sha256",
        [
            "1.2.840.113549.1.1.11",
            "1.2.840.10045.4.3.2",
            "2.16.840.1.101.3.4.3.2",
        ],
    ),
    (
        "sha384",
        [
            "1.2.840.113549.1.1.12",
            "1.2.840.10045.4.3.3",
            "2.16.840.1.101.3.4.3.3",
        ],
    ),
    (
        "sha512",
        [
            "1.2.840.113549.1.1.13",
            "1.2.840.10045.4.3.4",
            "2.16.840.1.101.3.4.3.4",
        ],
    ),
    (
        "sha1",
        [
            "1.2.840.113549.1.1.5",
            "1.2.840.10045.4.1",
            "1.2.840.10040.4.3",
        ],
    ),
    ("md5", ["1.2.840.113549.1.1.4", "", ""]),
];

/// The algorithm that a key signs with, in DER; nothing for a digest that there is not.
pub(super) fn algorithm(key: &Key, digest: &str) -> Option<Vec<u8>> {
    if !openssl::needs_digest(&key.public) {
        // The others have one, with the name of the key's own.
        let id = openssl::algorithm(&key.public)?.0;
        return Some(der::sequence(&[&der::tagged(6, id)]));
    }
    let (_, names) = DIGESTS.iter().find(|(name, _)| *name == digest)?;
    let (name, rest): (&str, &[u8]) = match openssl::kind(&key.public) {
        "RSA" => (names[0], &[5, 0]),
        "ECC" => (names[1], &[]),
        _ => (names[2], &[]),
    };
    Some(der::sequence(&[
        &der::tagged(6, &der::identifier(name)?),
        rest,
    ]))
}

/// A body with its signature, as PEM.
pub(super) fn signed(
    openssl: &mut Openssl<'_>,
    key: &Key,
    (digest, algorithm): (&str, &[u8]),
    label: &str,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    let signature = openssl.sign(key, digest, body)?;
    let signature = der::tagged(3, &[&[0], &*signature].concat());
    let whole = der::sequence(&[body, algorithm, &signature]);
    Ok(openssl::armored(label, &whole))
}

/// Fails where a key cannot sign.
pub(super) fn may_sign(key: &Key) -> Result<(), Failure> {
    match openssl::kind(&key.public) {
        kind @ ("X25519" | "X448" | "unknown") => Err(Failure::new(format!(
            "Key of type {kind} not supported for issuing certificates"
        ))),
        _ => Ok(()),
    }
}

/// Extensions as a list.
pub(super) fn list(extensions: &[Extension]) -> Vec<u8> {
    let written: Vec<Vec<u8>> = extensions.iter().map(Extension::written).collect();
    der::sequence(&[&written.concat()])
}

/// The body of a request.
pub(super) fn request(subject: &[u8], public: &[u8], extensions: &[Extension]) -> Vec<u8> {
    let wanted = if extensions.is_empty() {
        vec![]
    } else {
        let id = der::tagged(6, REQUESTED);
        der::sequence(&[&id, &der::tagged(0x31, &list(extensions))])
    };
    der::sequence(&[&[2, 1, 0], subject, public, &der::tagged(0xa0, &wanted)])
}

/// The identifier that a public key has by its digest.
pub(super) fn key_identifier(public: &[u8]) -> Vec<u8> {
    use rplay_modules::machine::digest::Algorithm;
    let sum = Algorithm::Sha1.of(&mut openssl::key_bits(public));
    unhex(&sum.unwrap_or_default()).unwrap_or_default()
}

/// Bytes of hexadecimal digits, with colons between them or without.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|letter| *letter != ':')
        .map(|letter| u8::try_from(letter.to_digit(16)?).ok())
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// One part of a name.
pub(super) fn part(openssl: &mut Openssl<'_>, name: &str, text: &str) -> Result<Vec<u8>, Failure> {
    let id = openssl.identifier(name)?;
    let tag = match id.as_slice() {
        // Country, serial number, qualifier: plain letters.
        [0x55, 4, 6] => {
            if text.chars().count() != 2 {
                let text = "Country name must be a 2 character country code";
                return Err(Failure::new(text));
            }
            0x13
        }
        [0x55, 4, 5 | 46] | [.., 0x82, 0x37, 60, 2, 1, 3] => 0x13,
        // Mail addresses and components of domains: ASCII.
        [0x2a, .., 1, 9, 1] | [.., 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => 0x16,
        _ => 0x0c,
    };
    Ok(der::sequence(&[
        &der::tagged(6, &id),
        &der::tagged(tag, text.as_bytes()),
    ]))
}

/// A name of its parts, each of which stands alone.
pub(super) fn name(parts: &[Vec<u8>]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = parts.iter().map(|part| der::tagged(0x31, part)).collect();
    der::sequence(&[&sets.concat()])
}

/// One of several kinds of names, such as `DNS:example.org`.
pub(super) fn general_name(
    openssl: &mut Openssl<'_>,
    written: &str,
    what: &str,
) -> Result<Vec<u8>, Failure> {
    let wrong = |why: &str| Failure::new(format!("Cannot parse {what} \"{written}\"{why}"));
    let Some((kind, text)) = written.split_once(':') else {
        return Err(wrong(" (forgot \"DNS:\" prefix?)"));
    };
    let ascii = |tag| match text.is_ascii() {
        true => Ok(der::tagged(tag, text.as_bytes())),
        false => Err(wrong(": only ASCII letters; write it as `xn--...`")),
    };
    match kind {
        "DNS" => ascii(0x82),
        "email" => ascii(0x81),
        "URI" => ascii(0x86),
        "IP" => match address(text) {
            Ok(bytes) => Ok(der::tagged(0x87, &bytes)),
            Err(why) => Err(wrong(&format!(": {why}"))),
        },
        "RID" => match der::identifier(text) {
            Some(id) => Ok(der::tagged(0x88, &id)),
            None => Err(wrong(&format!(": Cannot parse {what} \"{written}\""))),
        },
        "dirName" => {
            let parts = distinguished(openssl, text);
            let mut parts = parts.map_err(|failure| wrong(&format!(": {}", failure.msg)))?;
            parts.reverse();
            Ok(der::tagged(0xa4, &name(&parts)))
        }
        "otherName" => {
            let (id, value) = text.split_once(';').ok_or_else(|| {
                wrong(&format!(": Cannot parse {what} otherName \"{text}\", must be in the format \"otherName:<OID>;<ASN.1 OpenSSL Encoded String>\" or \"otherName:<OID>;<hex string>\""))
            })?;
            let id = der::tagged(6, &openssl.identifier(id)?);
            let value = match unhex(value) {
                Some(bytes) => bytes,
                None => openssl.encoded(value)?,
            };
            Ok(der::tagged(0xa0, &[id, der::tagged(0xa0, &value)].concat()))
        }
        _ => Err(wrong(" (potentially unsupported by cryptography backend)")),
    }
}

/// Several of them in a row.
pub(super) fn general_names(
    openssl: &mut Openssl<'_>,
    names: &[String],
    what: &str,
) -> Result<Vec<u8>, Failure> {
    let mut all = vec![];
    for name in names {
        all.extend(general_name(openssl, name, what)?);
    }
    Ok(all)
}

/// An address, or a network with its mask.
fn address(text: &str) -> Result<Vec<u8>, String> {
    let bytes = |text: &str| match text.parse() {
        Ok(IpAddr::V4(address)) => Some(address.octets().to_vec()),
        Ok(IpAddr::V6(address)) => Some(address.octets().to_vec()),
        Err(_) => None,
    };
    let no_address = || {
        let kind = if text.contains('/') {
            "network"
        } else {
            "address"
        };
        format!("'{text}' does not appear to be an IPv4 or IPv6 {kind}")
    };
    let Some((network, mask)) = text.split_once('/') else {
        return bytes(text).ok_or_else(no_address);
    };
    let ones = |length: usize, index: usize| {
        let ones = length.saturating_sub(index * 8).min(8);
        u32::try_from(ones).unwrap_or(8)
    };
    let mut network = bytes(network).ok_or_else(no_address)?;
    let mask = match mask.parse::<usize>() {
        Ok(length) if length <= network.len() * 8 => (0..network.len())
            .map(|index| !(0xff_u8.checked_shr(ones(length, index)).unwrap_or(0)))
            .collect(),
        _ => bytes(mask)
            .filter(|mask| mask.len() == network.len())
            .ok_or_else(no_address)?,
    };
    if network
        .iter()
        .zip(&mask)
        .any(|(byte, mask)| byte & !mask != 0)
    {
        return Err(format!("{text} has host bits set"));
    }
    network.extend(mask);
    Ok(network)
}

/// The parts of a written name, `CN=Test, O=Something` or `/O=Something/CN=Test`.
fn distinguished(openssl: &mut Openssl<'_>, written: &str) -> Result<Vec<Vec<u8>>, Failure> {
    let text = written.trim_start();
    let (text, sign) = match text.strip_prefix('/') {
        Some(rest) => (rest, '/'),
        None => (text, ','),
    };
    let (mut pieces, mut escaped) = (vec![String::new()], false);
    for letter in text.chars() {
        match (letter, pieces.last_mut()) {
            (letter, _) if letter == sign && !escaped => pieces.push(String::new()),
            (letter, Some(piece)) => piece.push(letter),
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    let mut parts = vec![];
    for piece in pieces {
        let found = relative(openssl, &piece, true);
        parts.push(found.map_err(|failure| {
            Failure::new(format!(
                "Error while parsing distinguished name '{written}': {}",
                failure.msg
            ))
        })?);
    }
    Ok(parts)
}

/// One part of a written name; with `escapes` a backslash stands before signs and digits of bytes.
pub(super) fn relative(
    openssl: &mut Openssl<'_>,
    piece: &str,
    escapes: bool,
) -> Result<Vec<u8>, Failure> {
    let split = piece.split_once('=');
    let Some((name, text)) = split.filter(|(name, _)| !name.trim().is_empty()) else {
        return Err(Failure::new(format!("cannot start part in \"{piece}\"")));
    };
    let text = text.trim_start();
    let text = match (escapes, text.strip_prefix('#')) {
        (false, _) => text.to_owned(),
        (true, Some(digits)) => {
            let bytes = unhex(digits);
            let bytes = bytes.ok_or_else(|| format!("Invalid hex sequence entry \"{digits}\""))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        (true, None) => unescaped(text)?,
    };
    part(openssl, name.trim(), &text)
}

fn unescaped(text: &str) -> Result<String, Failure> {
    let (mut bytes, mut rest) = (vec![], text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        (rest, bytes) = match (first, tail) {
            (b'\\', [high, low, tail @ ..]) if high.is_ascii_hexdigit() => {
                let pair = String::from_utf8_lossy(&[*high, *low]).into_owned();
                let byte = unhex(&pair).ok_or_else(|| {
                    format!("Hex escape sequence \"\\{pair}\" has invalid second letter")
                })?;
                (tail, [bytes, byte].concat())
            }
            (b'\\', [sign, tail @ ..]) => (tail, [bytes, vec![*sign]].concat()),
            _ => (tail, [bytes, vec![*first]].concat()),
        };
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("10.0.0.1").unwrap(), [10, 0, 0, 1]);
        assert_eq!(
            address("10.16.0.0/12").unwrap(),
            [10, 16, 0, 0, 255, 240, 0, 0]
        );
        assert_eq!(
            address("10.0.0.0/255.0.0.0").unwrap(),
            [10, 0, 0, 0, 255, 0, 0, 0]
        );
        assert_eq!(address("::1").unwrap().len(), 16);
        assert_eq!(
            address("10.0.0.1/8").unwrap_err(),
            "10.0.0.1/8 has host bits set"
        );
        assert!(address("10.0.0.0/33").is_err());
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped(r"a\,b\c3\a4").unwrap(), "a,bä");
        assert!(unescaped(r"\cx").is_err());
    }
}
