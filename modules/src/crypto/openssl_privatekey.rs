//! `openssl_privatekey`: a private key for TLS, made by `openssl`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rplay_modules::args::{ArgEnum, Mode, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::FileArgs;
use rplay_modules::machine::digest::Algorithm;
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::{map, module};

use super::der;
use super::openssl::{self, Key, Openssl, PASSPHRASE, State, Target};
use super::regenerate::Regenerate;

/// Makes a private key, and looks after it.
#[derive(ModuleArgs)]
struct Args {
    /// Whether the file is there.
    #[arg(default = "present")]
    state: State,
    /// Bits of an `RSA` or `DSA` key.
    #[arg(default = "4096")]
    size: u32,
    /// The kind of key.
    #[arg(
        default = "RSA",
        choices = "DSA, ECC, Ed25519, Ed448, RSA, X25519, X448, ML-DSA-44, ML-DSA-65, ML-DSA-87"
    )]
    r#type: String,
    /// The curve of an `ECC` key.
    #[arg(
        choices = "secp224r1, secp256k1, secp256r1, secp384r1, secp521r1, secp192r1, brainpoolP256r1, brainpoolP384r1, brainpoolP512r1, sect163k1, sect163r2, sect233k1, sect233r1, sect283k1, sect283r1, sect409k1, sect409r1, sect571k1, sect571r1"
    )]
    curve: Option<String>,
    /// Make a new key in any case.
    #[arg(default = "false")]
    force: bool,
    /// The file.
    path: PathBuf,
    /// What protects the key.
    #[arg(secret)]
    passphrase: Option<String>,
    /// How it is protected; only `auto`, which is AES with 256 bits.
    #[arg(default = "auto")]
    cipher: String,
    /// How the key is written; with `auto_ignore` one that is there may be written otherwise.
    #[arg(default = "auto_ignore")]
    format: Format,
    /// What becomes of a key that is written otherwise.
    #[arg(default = "regenerate")]
    format_mismatch: Mismatch,
    /// The program `openssl` makes the key, whatever this says.
    #[arg(default = "auto", choices = "auto, cryptography")]
    #[expect(dead_code, reason = "there is one way only")]
    select_crypto_backend: String,
    /// Keep a copy of what is overwritten or removed.
    #[arg(default = "false")]
    backup: bool,
    /// Return the key itself.
    #[arg(default = "false")]
    return_content: bool,
    /// When a new key is made: in no case, never but with an error, when kind or size differ, also when the key cannot be read, or always.
    #[arg(default = "full_idempotence")]
    regenerate: Regenerate,
    /// Owner, group and mode; the mode is 0600 where the task names none.
    #[arg(flatten)]
    file: FileArgs,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    Pkcs1,
    Pkcs8,
    Raw,
    Auto,
    #[arg(name = "auto_ignore")]
    AutoIgnore,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Mismatch {
    Regenerate,
    Convert,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Bits, as the task asks for.
    size: i64,
    /// The kind of key, as the task asks for.
    r#type: String,
    /// The curve, where the task asks for one.
    curve: String,
    /// The file.
    filename: String,
    /// Digests of the public half, by their algorithms.
    fingerprint: Map,
    /// The copy of what was there.
    backup_file: String,
    /// The key, where the task asks for it.
    privatekey: String,
}

module! {
    "community.crypto.openssl_privatekey", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.openssl_privatekey"],
    rules: Rules { required_if: &[("type", "ECC", &["curve"], false)], ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, mut args: Args) -> Result<Outcome, Failure> {
    if args.file.mode.is_none() {
        args.file.mode = Mode::parse("0600").ok();
    }
    if args.force {
        args.regenerate = Regenerate::Always;
    }
    let target = Target {
        path: &args.path,
        file: &args.file,
        backup: args.backup,
        mode: None,
    };
    let old = target.read(machine)?;
    let mut outcome = Outcome::unchanged()
        .with("filename", args.path.to_string_lossy().as_ref())
        .with("size", args.size)
        .with("type", args.r#type.as_str());
    if args.r#type == "ECC" {
        let curve = args.curve.clone().unwrap_or_default();
        outcome = outcome.with("curve", curve);
    }
    let (mut after, mut now) = (None, None);
    if args.state == State::Absent {
        target.remove(machine, &mut outcome)?;
    } else {
        let mut openssl = Openssl::of(machine)?;
        let (key, content) = args.ensure(&mut openssl, old.as_deref(), &mut outcome)?;
        target.ensure(openssl.machine, content.as_deref(), &mut outcome)?;
        after = Some(key);
        now = content.or(old);
    }
    let public = after.map(|key| fingerprints(&key.public));
    outcome = outcome.with("fingerprint", public.map_or(Data::Null, Data::Map));
    if args.return_content {
        let text = now.map_or(Data::Null, |bytes| match written_as(&bytes) {
            Some(Format::Raw) => BASE64.encode(bytes).into(),
            _ => String::from_utf8_lossy(&bytes).as_ref().into(),
        });
        outcome = outcome.with("privatekey", text);
    }
    Ok(outcome)
}

/// What a diff shows of a key: what check mode knows of one that is not made yet.
fn side(content: Option<&[u8]>, key: Option<&Key>) -> Map {
    let Some(content) = content else {
        return Map::new();
    };
    let mut side = map! { "can_parse_key" => key.is_some() };
    if let Some(key) = key {
        side.insert("type".to_owned(), openssl::kind(&key.public).into());
        side.insert("passphrase".to_owned(), key.passphrase.is_some().into());
        if let Some(size) = bits(&key.public) {
            side.insert("size".to_owned(), size.into());
        }
        let format = written_as(content).map_or("unknown", |format| format.word());
        side.insert("format".to_owned(), format.into());
    }
    side
}

/// How a key is written; nothing for blocks of other names.
fn written_as(content: &[u8]) -> Option<Format> {
    let text = std::str::from_utf8(content).ok();
    let label = text.and_then(|text| text.split_once("-----BEGIN "));
    let Some((label, _)) = label.and_then(|(_, rest)| rest.split_once("-----")) else {
        return Some(Format::Raw);
    };
    match label {
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => Some(Format::Pkcs8),
        _ if label.ends_with(" PRIVATE KEY") => Some(Format::Pkcs1),
        _ => None,
    }
}

/// The bits of the number that an RSA or DSA key is made of.
fn bits(public: &[u8]) -> Option<u32> {
    let first = match openssl::kind(public) {
        "RSA" => der::take(&mut openssl::key_bits(public))?.inner,
        "DSA" => openssl::algorithm(public)?.1,
        _ => return None,
    };
    let number = der::take(&mut &*first)?.inner;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let high = number.get(zeros)?.leading_zeros();
    Some(u32::try_from(number.len() - zeros).ok()? * 8 - high)
}

fn fingerprints(public: &[u8]) -> Map {
    let mut sums = Map::new();
    for algorithm in [
        Algorithm::Md5,
        Algorithm::Sha1,
        Algorithm::Sha224,
        Algorithm::Sha256,
        Algorithm::Sha384,
        Algorithm::Sha512,
    ] {
        let sum = algorithm.of(&mut &*public).unwrap_or_default();
        let pairs: Vec<&str> = sum
            .as_bytes()
            .chunks(2)
            .filter_map(|pair| std::str::from_utf8(pair).ok())
            .collect();
        sums.insert(algorithm.word().to_owned(), pairs.join(":").into());
    }
    sums
}

/// What stands before the bytes of a key that is written raw.
const RAW: &[(&str, &[u8])] = &[
    (
        "X25519",
        &[
            0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 34, 4, 32,
        ],
    ),
    (
        "Ed25519",
        &[
            0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 34, 4, 32,
        ],
    ),
    (
        "X448",
        &[
            0x30, 70, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6f, 4, 58, 4, 56,
        ],
    ),
    (
        "Ed448",
        &[
            0x30, 71, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x71, 4, 59, 4, 57,
        ],
    ),
];

impl Args {
    /// The key as it is to be, and what is to be written for that.
    fn ensure(
        &self,
        openssl: &mut Openssl<'_>,
        old: Option<&[u8]>,
        outcome: &mut Outcome,
    ) -> Result<(Key, Option<Vec<u8>>), Failure> {
        let before = old.and_then(|pem| self.read(openssl, pem.to_vec()));
        let fresh = self.wanted(openssl, old.is_some(), before.as_ref())?;
        let before_side = side(old, before.as_ref());
        let key = match before {
            Some(key) if !fresh => {
                let converts = self.format_mismatch == Mismatch::Convert;
                if !converts || self.well_written(&key.pem) {
                    return Ok((key, None));
                }
                key
            }
            _ => self.make(openssl)?,
        };
        let content = self.written(openssl, &key)?;
        let after_side = side(Some(&content), Some(&key));
        outcome.diff.push(Diff::attributes(before_side, after_side));
        Ok((key, Some(content)))
    }

    /// The key in a file; nothing where the passphrase is another one or it is no key.
    fn read(&self, openssl: &mut Openssl<'_>, content: Vec<u8>) -> Option<Key> {
        let passphrase = self.passphrase.as_deref();
        if written_as(&content) != Some(Format::Raw) {
            return openssl.key(content, passphrase).ok();
        }
        let fits = |head: &[u8]| usize::from(head[head.len() - 1]) == content.len();
        let mut heads = RAW.iter().filter(|(_, head)| fits(head));
        let first = heads.clone().next();
        let (_, head) = heads.find(|(kind, _)| *kind == self.r#type).or(first)?;
        let pem = openssl::armored("PRIVATE KEY", &[head, &*content].concat());
        let mut key = openssl.key(pem, passphrase.filter(|_| false)).ok()?;
        key.pem = content;
        // A key that is written raw cannot be protected.
        passphrase.is_none().then_some(key)
    }

    /// Whether a key is written as the task asks for.
    fn well_written(&self, content: &[u8]) -> bool {
        self.format == Format::AutoIgnore || written_as(content) == Some(self.form())
    }

    fn form(&self) -> Format {
        match self.format {
            Format::Auto | Format::AutoIgnore => {
                if matches!(self.r#type.as_str(), "RSA" | "DSA" | "ECC") {
                    Format::Pkcs1
                } else {
                    Format::Pkcs8
                }
            }
            format => format,
        }
    }

    /// Whether a new key is to be made.
    fn wanted(
        &self,
        openssl: &mut Openssl<'_>,
        there: bool,
        old: Option<&Key>,
    ) -> Result<bool, Failure> {
        const HOW: &str =
            " Will not proceed. To force regeneration, call the module with `generate` set to ";
        if self.regenerate == Regenerate::Always || !there {
            return Ok(true);
        }
        let Some(old) = old else {
            return match self.regenerate {
                Regenerate::Full => Ok(true),
                _ => Err(Failure::new(format!(
                    "Unable to read the key. The key is protected with a another passphrase / no passphrase or broken.{HOW}`full_idempotence` or `always`, or with `force=true`."
                ))),
            };
        };
        let partly = "`partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.";
        let wrong = if !self.same_kind(openssl, old)? {
            format!("Key has wrong type and/or size.{HOW}{partly}")
        } else if self.format_mismatch == Mismatch::Regenerate && !self.well_written(&old.pem) {
            format!(
                "Key has wrong format.{HOW}{partly} To convert the key, set `format_mismatch` to `convert`."
            )
        } else {
            return Ok(false);
        };
        match self.regenerate {
            Regenerate::Never => Ok(false),
            Regenerate::Fail => Err(Failure::new(wrong)),
            _ => Ok(true),
        }
    }

    fn same_kind(&self, openssl: &mut Openssl<'_>, old: &Key) -> Result<bool, Failure> {
        let kind = openssl::kind(&old.public);
        Ok(kind == self.r#type
            && match kind {
                "RSA" | "DSA" => bits(&old.public) == Some(self.size),
                "ECC" => {
                    let wanted = openssl.identifier(self.curve())?;
                    openssl::algorithm(&old.public).is_some_and(|(_, curve)| curve == wanted)
                }
                _ => true,
            })
    }

    /// The curve's name in `openssl`.
    fn curve(&self) -> &str {
        match self.curve.as_deref().unwrap_or_default() {
            "secp192r1" => "prime192v1",
            "secp256r1" => "prime256v1",
            other => other,
        }
    }

    /// Makes a key.
    fn make(&self, openssl: &mut Openssl<'_>) -> Result<Key, Failure> {
        let size = format!(
            "{}_bits:{}",
            if self.r#type == "DSA" {
                "dsa_paramgen"
            } else {
                "rsa_keygen"
            },
            self.size
        );
        let curve = format!("ec_paramgen_curve:{}", self.curve());
        let words: &[&str] = match self.r#type.as_str() {
            "RSA" => &["genpkey", "-algorithm", "RSA", "-pkeyopt", &size],
            "DSA" => &[
                "genpkey",
                "-genparam",
                "-algorithm",
                "DSA",
                "-pkeyopt",
                &size,
            ],
            "ECC" => &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                &curve,
                "-pkeyopt",
                "ec_param_enc:named_curve",
            ],
            kind => &["genpkey", "-algorithm", kind],
        };
        let mut pem = openssl.must(words, b"", "")?;
        if self.r#type == "DSA" {
            pem = openssl.must(&["genpkey", "-paramfile", "/dev/stdin"], &pem, "")?;
        }
        let mut key = openssl.key(pem, None)?;
        key.passphrase = self.passphrase.clone().filter(|text| !text.is_empty());
        Ok(key)
    }

    /// A key in the form that the task asks for. A new one is not protected yet.
    fn written(&self, openssl: &mut Openssl<'_>, key: &Key) -> Result<Vec<u8>, Failure> {
        let passphrase = key.passphrase.as_deref();
        if passphrase.is_some() && self.cipher != "auto" {
            let text = "Cryptography backend can only use \"auto\" for cipher option.";
            return Err(Failure::new(text));
        }
        let raw = RAW
            .iter()
            .find(|(kind, _)| *kind == openssl::kind(&key.public));
        let format = self.form();
        let fits = match format {
            Format::Raw => raw.is_some() && passphrase.is_none(),
            Format::Pkcs1 => openssl::needs_digest(&key.public),
            _ => true,
        };
        if !fits {
            return Err(Failure::new(format!(
                "Cryptography backend cannot serialize the private key in the required format \"{}\"",
                self.format.word()
            )));
        }
        let pem = match raw {
            Some((_, head)) if written_as(&key.pem) == Some(Format::Raw) => {
                openssl::armored("PRIVATE KEY", &[head, &*key.pem].concat())
            }
            _ => key.pem.clone(),
        };
        let mut words = vec!["pkey", "-passin", PASSPHRASE];
        match format {
            Format::Raw => words.extend(["-outform", "DER"]),
            Format::Pkcs1 => words.push("-traditional"),
            _ => {}
        }
        if passphrase.is_some() {
            words.extend(["-aes256", "-passout", PASSPHRASE]);
        }
        let written = openssl.must(&words, &pem, passphrase.unwrap_or_default())?;
        Ok(match raw {
            Some((_, head)) if format == Format::Raw => written[head.len()..].to_vec(),
            _ => written,
        })
    }
}
