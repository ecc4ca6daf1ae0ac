//! Password hashes and vaults as filters.

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::ops;
use super::super::value::Value;
use super::random::Random;
use crate::load::vault;

super::filters! {
    "password_hash": "its hash as the system's password file holds it" => |_, a| password_hash(a);
    "vault": "it in a vault's envelope" => |_, a| seal(a);
    "unvault": "what a vault's envelope holds" => |i, a| open(i, a);
}

/// A way to hash a password.
pub(crate) struct Scheme {
    names: [&'static str; 2],
    /// What the hash begins with.
    mark: &'static str,
    salt: usize,
    /// Whether the salt must be as long as that.
    exact: bool,
    rounds: Option<u32>,
}

const SCHEMES: [Scheme; 4] = [
    Scheme {
        names: ["md5", "md5_crypt"],
        mark: "1",
        salt: 8,
        exact: false,
        rounds: None,
    },
    Scheme {
        names: ["blowfish", "bcrypt"],
        mark: "2b",
        salt: 22,
        exact: true,
        rounds: Some(12),
    },
    Scheme {
        names: ["sha256", "sha256_crypt"],
        mark: "5",
        salt: 16,
        exact: false,
        rounds: Some(535_000),
    },
    Scheme {
        names: ["sha512", "sha512_crypt"],
        mark: "6",
        salt: 16,
        exact: false,
        rounds: Some(656_000),
    },
];

/// The alphabet of `crypt`.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a hash is made with beside the password.
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) salt: Option<String>,
    pub(crate) salt_size: Option<usize>,
    pub(crate) rounds: Option<u32>,
    pub(crate) ident: Option<String>,
}

fn password_hash(args: &Args) -> Outcome {
    args.check(6, &["hashtype", "salt", "salt_size", "rounds", "ident"])?;
    let given = |index: usize, name: &str| args.get(index, name).filter(|value| value.is_true());
    if let Some(name) = args.get(1, "hashtype") {
        ops::hashable(name)?;
    }
    let name = args.text(1, "hashtype", "sha512");
    let wanted = Wanted {
        salt: given(2, "salt").map(salt_of).transpose()?,
        salt_size: match args.get(3, "salt_size") {
            None | Some(Value::None) => None,
            Some(size @ (Value::Int(_) | Value::Bool(_))) => {
                let size = usize::try_from(whole(size).unwrap_or(0));
                Some(size.map_err(|_| Fault::new("negative argument not allowed"))?)
            }
            Some(_) => return Err(Fault::new("salt_size must be an integer")),
        },
        rounds: given(4, "rounds").map(rounds_of).transpose()?,
        ident: given(5, "ident").map(Value::text),
    };
    let Some(scheme) = SCHEMES
        .iter()
        .find(|scheme| scheme.names.contains(&name.as_str()))
    else {
        let text = format!(
            "{name} is not in the list of supported passlib algorithms: md5, blowfish, sha256, sha512"
        );
        return Err(Fault::new(text.trim_start()));
    };
    hashed(&args.operand().text(), scheme.names[1], &wanted).map(Value::from)
}

/// A salt. Of a list, each item is looked at as a letter of it, and its text taken: what Python does.
fn salt_of(value: &Value) -> Result<String, Fault> {
    let letters = match value {
        Value::Str(text) => return Ok(text.as_str().to_owned()),
        value => ops::iterate(value)?,
    };
    let fits = |letter: &Value| {
        let letter = letter.as_str().filter(|letter| letter.len() == 1);
        letter.is_some_and(|letter| ALPHABET.contains(&letter.as_bytes()[0]))
    };
    match letters.iter().all(fits) {
        true => Ok(value.text()),
        false => Err(Fault::new("invalid characters in salt")),
    }
}

/// Rounds; those below zero are a thousand million to the system's `crypt`, which nobody waits for.
fn rounds_of(value: &Value) -> Result<u32, Fault> {
    let number = match value {
        Value::Int(_) | Value::Bool(_) => whole(value).unwrap_or(0),
        other => {
            return Err(Fault::new(format!(
                "argument 2: TypeError: '{}' object cannot be interpreted as an integer",
                other.type_name()
            )));
        }
    };
    u32::try_from(number).map_err(|_| Fault::new(format!("{number} rounds are out of range")))
}

/// Hashes a password with a method of the system's `crypt`.
pub(crate) fn hashed(password: &str, name: &str, wanted: &Wanted) -> Result<String, Fault> {
    let scheme = SCHEMES
        .iter()
        .find(|scheme| scheme.names[1] == name)
        .ok_or_else(|| Fault::new(format!("crypt does not support '{name}' algorithm")))?;
    let salt = match &wanted.salt {
        Some(salt) => salt.clone(),
        None => salt_of_size(name, wanted.salt_size),
    };
    let listed = salt.starts_with(['[', '{']);
    let wrong = if scheme.exact {
        (salt.len() != scheme.salt).then_some("expected")
    } else {
        (salt.len() > scheme.salt && !listed).then_some("expected at most")
    };
    if !listed && salt.bytes().any(|byte| !ALPHABET.contains(&byte)) {
        return Err(Fault::new("invalid characters in salt"));
    }
    if let Some(wrong) = wrong {
        return Err(Fault::new(format!(
            "invalid salt size supplied ({}), {wrong} {}",
            salt.len(),
            scheme.salt
        )));
    }
    let method = scheme.names[1];
    if password.len() >= LONGEST {
        return Err(Fault::new(format!(
            "crypt does not support '{method}' algorithm: crypt failed: invalid salt or unsupported algorithm"
        )));
    }
    let rounds = wanted.rounds.filter(|rounds| *rounds > 0);
    let mark = wanted.ident.as_deref().unwrap_or(scheme.mark);
    crypted(password, mark, &salt, rounds.or(scheme.rounds)).ok_or_else(|| {
        Fault::new(format!(
            "Failed to generate salt for '{method}' algorithm: crypt_gensalt failed: unable to generate salt"
        ))
    })
}

/// Bytes of a password that the system's `crypt` does not take any more.
const LONGEST: usize = 512;

/// A hash of the kind that a mark says, none if there is none with such a salt or so many rounds.
fn crypted(password: &str, mark: &str, salt: &str, rounds: Option<u32>) -> Option<String> {
    let password = password.as_bytes();
    if matches!(mark, "2a" | "2b" | "2y") {
        return blowfish(password, salt, rounds.unwrap_or(5), mark);
    }
    // `crypt_gensalt` takes a salt as the random bytes that a salt is made of.
    let salt = from_bytes(salt.as_bytes())?;
    let most = rounds.unwrap_or(5000).clamp(1000, 999_999_999);
    let params = sha_crypt::Params::new(most).ok()?;
    let body = match mark {
        "1" if rounds.is_none() => {
            let salt = salt.get(..8).unwrap_or(&salt);
            return Some(format!(
                "$1${salt}${}",
                md5_crypt(password, salt.as_bytes())
            ));
        }
        "5" => sha256_text(&sha_crypt::sha256_crypt(password, salt.as_bytes(), params)),
        "6" => sha512_text(&sha_crypt::sha512_crypt(password, salt.as_bytes(), params)),
        _ => return None,
    };
    let rounds = match most {
        5000 => String::new(),
        most => format!("rounds={most}$"),
    };
    Some(format!("${mark}${rounds}{salt}${body}"))
}

/// A salt by chance, as long as a way to hash takes.
pub(crate) fn salt_for(name: &str) -> String {
    let scheme = SCHEMES.iter().find(|scheme| scheme.names.contains(&name));
    chance(scheme.map_or(8, |scheme| scheme.salt))
}

/// A salt by chance for [`hashed`], of this length or of the one that the way to hash takes.
pub(crate) fn salt_of_size(name: &str, size: Option<usize>) -> String {
    let size = size.filter(|size| *size > 0);
    size.map_or_else(|| salt_for(name), chance)
}

/// A salt by chance.
fn chance(length: usize) -> String {
    let mut random = Random::new(None);
    (0..length)
        .map(|_| char::from(ALPHABET[usize::try_from(random.below(64)).unwrap_or(0)]))
        .collect()
}

/// `count` characters of a number, the lowest six bits first.
fn sixes(mut bits: u32, count: usize) -> String {
    let mut out = String::with_capacity(count);
    for _ in 0..count {
        out.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
    out
}

/// The salt that `crypt_gensalt` makes of bytes: four characters of each three, the last ones left.
fn from_bytes(bytes: &[u8]) -> Option<String> {
    if bytes.len() < 3 {
        return None;
    }
    let mut out = String::new();
    let mut at = 0;
    while at + 3 < bytes.len() && out.len() < 16 {
        let [a, b, c] = [bytes[at], bytes[at + 1], bytes[at + 2]].map(u32::from);
        out += &sixes(a | (b << 8) | (c << 16), 4);
        at += 3;
    }
    Some(out)
}

fn blowfish(password: &[u8], salt: &str, cost: u32, ident: &str) -> Option<String> {
    if !(4..=31).contains(&cost) {
        return None;
    }
    let bytes: [u8; 16] = salt.as_bytes().get(..16)?.try_into().ok()?;
    // The hash reads 72 bytes with the end mark, as the system's does.
    let mut password = password.to_vec();
    password.push(0);
    password.truncate(72);
    let hash = bcrypt::bcrypt(cost, bytes, &password);
    let text = |bytes: &[u8]| radix64(bytes);
    Some(format!(
        "${ident}${cost:02}${}{}",
        text(&bytes),
        text(&hash[..23])
    ))
}

/// Blowfish's own base 64.
fn radix64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for index in 0..=chunk.len() {
            out.push(char::from(
                LETTERS[((bits >> (18 - 6 * index)) & 63) as usize],
            ));
        }
    }
    out
}

fn group(bytes: &[u8], places: [Option<usize>; 3], count: usize) -> String {
    let byte = |at: Option<usize>| at.map_or(0, |at| u32::from(bytes[at]));
    let [a, b, c] = places;
    sixes((byte(a) << 16) | (byte(b) << 8) | byte(c), count)
}

fn sha512_text(bytes: &[u8; 64]) -> String {
    let (mut a, mut b, mut c, mut out) = (0, 21, 42, String::new());
    for _ in 0..21 {
        out += &group(bytes, [Some(a), Some(b), Some(c)], 4);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    out + &group(bytes, [None, None, Some(63)], 2)
}

fn sha256_text(bytes: &[u8; 32]) -> String {
    let (mut a, mut b, mut c, mut out) = (0, 10, 20, String::new());
    for _ in 0..10 {
        out += &group(bytes, [Some(a), Some(b), Some(c)], 4);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    out + &group(bytes, [None, Some(31), Some(30)], 3)
}

/// The part behind the salt.
fn md5_crypt(password: &[u8], salt: &[u8]) -> String {
    let hash = rplay_modules::crypt::md5_crypt(password, salt, "$1$");
    hash.rsplit('$').next().unwrap_or_default().to_owned()
}

fn secret(args: &Args, function: &str) -> Result<Vec<u8>, Fault> {
    match args.get(1, "secret") {
        Some(Value::Str(text)) => Ok(text.as_str().as_bytes().to_vec()),
        Some(Value::Bytes(bytes)) => Ok(bytes.to_vec()),
        Some(other) => Err(Fault::new(format!(
            "Secret passed is required to be a string, instead we got {}.",
            super::dict::python_type(other)
        ))),
        None => Err(Fault::new(format!(
            "{function}() missing 1 required positional argument: 'secret'"
        ))),
    }
}

fn seal(args: &Args) -> Outcome {
    args.check(5, &["secret", "salt", "vault_id", "vaultid", "wrap_object"])?;
    let secret = secret(args, "do_vault")?;
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "Can only vault strings, instead we got {}.",
            super::dict::python_type(args.operand())
        )));
    };
    let id = args
        .get(3, "vault_id")
        .or_else(|| args.named("vaultid"))
        .map_or_else(|| "filter_default".to_owned(), Value::text);
    let salt = args
        .get(2, "salt")
        .filter(|salt| !matches!(salt, Value::None))
        .map(Value::text);
    if args.truth(4, "wrap_object", false) {
        // Reading it gives the plain text, which is what the wrapped value is.
        return Ok(args.operand().clone());
    }
    let content = text.as_str().as_bytes();
    let envelope = match salt {
        Some(salt) => vault::encrypt_with_salt(content, &secret, Some(&id), salt.as_bytes()),
        None => vault::encrypt(content, &secret, Some(&id)),
    };
    envelope
        .map(Value::from)
        .map_err(|error| Fault::new(format!("Unable to encrypt: {error}")))
}

fn open(interp: &Interp<'_>, args: &Args) -> Outcome {
    args.check(4, &["secret", "vault_id", "vaultid"])?;
    let secret = secret(args, "do_unvault")?;
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "Vault should be in the form of a string, instead we got {}.",
            super::dict::python_type(args.operand())
        )));
    };
    if !vault::is_vaulted(text.as_str().as_bytes()) {
        return Ok(args.operand().clone());
    }
    let mut secrets = vault::VaultSecrets::hiding(&interp.templar.secrets.hidden);
    secrets.add("filter_default", secret);
    let content = vault::decrypt(text.as_str(), &secrets).map_err(|_| {
        Fault::new("Unable to decrypt: Decryption failed (no vault secrets were found that could decrypt).")
    })?;
    let text = String::from_utf8_lossy(&content).into_owned();
    secrets.hidden.add(&text);
    Ok(Value::str(text))
}
