//! The filters `hash`, `checksum`, `sha1` and `md5`: hashes under the names that Python's `hashlib` knows.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::ops;
use super::super::value::Value;
use rplay_modules::machine::digest::hex;
use sha2::Digest as _;

super::filters! {
    "hash": "its hash in hexadecimal" => |_, a| match a.get(1, "hashtype") {
        None => hash("sha1", &bytes(a.operand())),
        Some(Value::Str(kind)) => hash(kind.as_str(), &bytes(a.operand())),
        Some(other) => {
            ops::hashable(other)?;
            Err(Fault::new("name must be a string"))
        }
    };
    "checksum": "its SHA-1 hash in hexadecimal" => |_, a| sha1(a);
    "sha1": "its SHA-1 hash in hexadecimal" => |_, a| sha1(a);
    "md5": "its MD5 hash in hexadecimal" => |_, a| hash("md5", &bytes(a.operand()));
}

fn sha1(args: &Args) -> Outcome {
    match args.get(1, "hash_func") {
        // There it is a function of Python, which no template has.
        Some(other) => Err(Fault::new(format!(
            "'{}' object is not callable",
            other.type_name()
        ))),
        None => hash("sha1", &bytes(args.operand())),
    }
}

pub(super) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.to_vec(),
        other => other.text().into_bytes(),
    }
}

/// A flat table: Python's names as they are written, OpenSSL's in any case.
fn hash(kind: &str, bytes: &[u8]) -> Outcome {
    let own = match kind {
        "blake2b" => "blake2b512",
        "blake2s" => "blake2s256",
        kind if kind.starts_with("sha3_") || kind.starts_with("shake_") => &kind.replace('_', "-"),
        kind => kind,
    };
    let name = own.to_lowercase();
    Ok(Value::str(match name.as_str() {
        "md5" | "ssl3-md5" => hex(&md5::Md5::digest(bytes)),
        "sha1" | "sha-1" | "ssl3-sha1" => hex(&sha1::Sha1::digest(bytes)),
        "md5-sha1" => hex(&md5::Md5::digest(bytes)) + &hex(&sha1::Sha1::digest(bytes)),
        "sha224" | "sha-224" | "sha2-224" => hex(&sha2::Sha224::digest(bytes)),
        "sha256" | "sha-256" | "sha2-256" => hex(&sha2::Sha256::digest(bytes)),
        "sha384" | "sha-384" | "sha2-384" => hex(&sha2::Sha384::digest(bytes)),
        "sha512" | "sha-512" | "sha2-512" => hex(&sha2::Sha512::digest(bytes)),
        "sha512_224" | "sha512-224" | "sha-512/224" | "sha2-512/224" => {
            hex(&sha2::Sha512_224::digest(bytes))
        }
        "sha512_256" | "sha512-256" | "sha-512/256" | "sha2-512/256" => {
            hex(&sha2::Sha512_256::digest(bytes))
        }
        "sha3-224" => hex(&sha3::Sha3_224::digest(bytes)),
        "sha3-256" => hex(&sha3::Sha3_256::digest(bytes)),
        "sha3-384" => hex(&sha3::Sha3_384::digest(bytes)),
        "sha3-512" => hex(&sha3::Sha3_512::digest(bytes)),
        "blake2b512" | "blake2b-512" => hex(&blake2::Blake2b512::digest(bytes)),
        "blake2s256" | "blake2s-256" => hex(&blake2::Blake2s256::digest(bytes)),
        "ripemd160" | "ripemd-160" | "ripemd" | "rmd160" => hex(&ripemd::Ripemd160::digest(bytes)),
        "sm3" => hex(&sm3::Sm3::digest(bytes)),
        "shake-128" | "shake128" | "shake-256" | "shake256" => {
            return Err(Fault::new(
                "hexdigest() missing required argument 'length' (pos 1)",
            ));
        }
        _ => {
            let text = format!("unsupported hash type {kind}");
            return Err(Fault::new(text.trim_end()));
        }
    }))
}
