//! What the modules around keys, requests and certificates share: calls of the program `openssl`.
//!
//! It makes keys, reads them, signs and verifies; requests and certificates are put together here.
//! None of its calls changes anything: content goes in and comes out through pipes, so that check
//! mode foretells what the run does. Keys go in on standard input, passphrases in the environment.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
pub(super) use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::machine::attrs::{FileArgs, Sides, backup, os_error, os_error_text};
use rplay_modules::machine::{Command, Content, FileKind, Machine, Output};
use rplay_modules::outcome::{Diff, Failure, Outcome};

use super::der;
use crate::builtin::programs;

/// The program, and the machine that it is on.
pub(super) struct Openssl<'a> {
    pub machine: &'a mut dyn Machine,
    program: String,
}

/// A private key that can be read.
pub(super) struct Key {
    /// As it stands in its file.
    pub pem: Vec<u8>,
    pub passphrase: Option<String>,
    /// The public half: algorithm and key in DER.
    pub public: Vec<u8>,
}

/// Where a key or another input comes from: a file or the task.
pub(super) struct Source<'a> {
    pub path: Option<&'a Path>,
    pub content: Option<&'a str>,
}

impl Source<'_> {
    /// The content; nothing where the task names none.
    pub(super) fn read(&self, machine: &mut dyn Machine) -> Result<Option<Vec<u8>>, Failure> {
        let (Some(path), None) = (self.path, self.content) else {
            return Ok(self.content.map(|text| text.as_bytes().to_vec()));
        };
        let bytes = machine.read(path).map_err(|error| {
            let path = path.to_string_lossy();
            format!("{}: '{path}'", os_error_text(&error))
        })?;
        Ok(Some(bytes))
    }

    /// Whether it is a file that is not there.
    pub(super) fn missing(&self, machine: &mut dyn Machine) -> Option<String> {
        let path = self.path?;
        let there = matches!(machine.stat(path, true), Ok(Some(_)));
        (!there).then(|| path.to_string_lossy().into_owned())
    }
}

impl<'a> Openssl<'a> {
    pub(super) fn of(machine: &'a mut dyn Machine) -> Result<Self, Failure> {
        let program = programs::required(machine, "openssl")?;
        Ok(Self { machine, program })
    }

    /// What the program makes of some input.
    pub(super) fn ask(
        &mut self,
        words: &[&str],
        input: &[u8],
        passphrase: &str,
    ) -> Result<Output, Failure> {
        let words = std::iter::once(self.program.as_str()).chain(words.iter().copied());
        let mut command = Command::new(words).c_locale();
        command.stdin = Some(input.to_vec());
        command.env.push(secret(passphrase));
        programs::query(self.machine, &command)
    }

    /// The same, where it must get through.
    pub(super) fn must(
        &mut self,
        words: &[&str],
        input: &[u8],
        passphrase: &str,
    ) -> Result<Vec<u8>, Failure> {
        let output = self.ask(words, input, passphrase)?;
        match output.code {
            0 => Ok(output.stdout),
            _ => Err(programs::failed(complaint(&output), &output)),
        }
    }

    /// Reads a private key with its passphrase; the error is what is wrong with both.
    pub(super) fn key(&mut self, pem: Vec<u8>, passphrase: Option<&str>) -> Result<Key, Failure> {
        let text = String::from_utf8_lossy(&pem);
        let protected = text.contains("BEGIN ENCRYPTED") || text.contains("4,ENCRYPTED");
        let given = passphrase.filter(|text| !text.is_empty());
        // The program takes any passphrase for a key that has none.
        if text.contains("-----BEGIN") && protected != given.is_some() {
            let text = "Wrong or empty passphrase provided for private key";
            return Err(Failure::new(text));
        }
        let words = ["pkey", "-pubout", "-outform", "DER", "-passin", PASSPHRASE];
        let output = self.ask(&words, &pem, given.unwrap_or_default())?;
        if output.code != 0 {
            return Err(Failure::new(format!(
                "Wrong passphrase provided for private key, or private key cannot be parsed: {}",
                complaint(&output)
            )));
        }
        Ok(Key {
            pem,
            passphrase: given.map(str::to_owned),
            public: output.stdout,
        })
    }

    /// The inner bytes of the identifier of a name that `openssl` knows, or one with dots.
    pub(super) fn identifier(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        if let Some(bytes) = der::identifier(name) {
            return Ok(bytes);
        }
        let unknown = || Failure::new(format!("Cannot find OID for \"{name}\""));
        let bytes = self
            .encoded(&format!("OID:{name}"))
            .map_err(|_| unknown())?;
        let value = der::values(&bytes)
            .first()
            .map(|value| value.inner.to_vec());
        value.filter(|_| !name.is_empty()).ok_or_else(unknown)
    }

    /// A value in DER of a text such as `UTF8:text`.
    pub(super) fn encoded(&mut self, text: &str) -> Result<Vec<u8>, Failure> {
        let words = [
            "asn1parse",
            "-noout",
            "-genstr",
            text,
            "-out",
            "/dev/stdout",
        ];
        self.must(&words, b"", "")
    }

    /// The signature of a key over some bytes.
    pub(super) fn sign(
        &mut self,
        key: &Key,
        digest: &str,
        data: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let digest = format!("-{digest}");
        let words = match needs_digest(&key.public) {
            true => vec![
                "dgst",
                &digest,
                "-passin",
                PASSPHRASE,
                "-sign",
                "/dev/stdin",
                "data",
            ],
            false => vec![
                "pkeyutl",
                "-sign",
                "-rawin",
                "-passin",
                PASSPHRASE,
                "-inkey",
                "/dev/stdin",
                "-in",
                "data",
            ],
        };
        let passphrase = key.passphrase.as_deref().unwrap_or_default();
        let output = self.over(&words, data, &[], &key.pem, passphrase)?;
        match output.code {
            0 => Ok(output.stdout),
            _ => Err(programs::failed(complaint(&output), &output)),
        }
    }

    /// Whether a public key made this signature.
    pub(super) fn verifies(
        &mut self,
        public: &[u8],
        digest: &str,
        data: &[u8],
        signature: &[u8],
    ) -> Result<bool, Failure> {
        let digest = format!("-{digest}");
        let words = match needs_digest(public) {
            true => vec![
                "dgst",
                &digest,
                "-verify",
                "/dev/stdin",
                "-signature",
                "signature",
                "data",
            ],
            false => vec![
                "pkeyutl",
                "-verify",
                "-rawin",
                "-pubin",
                "-inkey",
                "/dev/stdin",
                "-sigfile",
                "signature",
                "-in",
                "data",
            ],
        };
        let output = self.over(&words, data, signature, &armored("PUBLIC KEY", public), "")?;
        Ok(output.code == 0)
    }

    /// Runs the program beside files of what is signed and its signature: it reads several inputs,
    /// and some of them from files only. They are public, and gone when it ends.
    fn over(
        &mut self,
        words: &[&str],
        data: &[u8],
        signature: &[u8],
        key: &[u8],
        passphrase: &str,
    ) -> Result<Output, Failure> {
        const SCRIPT: &str = "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && cd \"$d\" && \
            printf %s \"$RPLAY_DATA\" | \"$0\" base64 -d -A >data && \
            printf %s \"$RPLAY_SIGNATURE\" | \"$0\" base64 -d -A >signature && \"$0\" \"$@\"";
        let shell = ["/bin/sh", "-c", SCRIPT, &self.program];
        let mut command = Command::new(shell.iter().chain(words).copied()).c_locale();
        command.stdin = Some(key.to_vec());
        command.env.push(secret(passphrase));
        for (name, bytes) in [("RPLAY_DATA", data), ("RPLAY_SIGNATURE", signature)] {
            let value = Some(BASE64.encode(bytes));
            command.env.push((name.to_owned(), value));
        }
        programs::query(self.machine, &command)
    }
}

/// How a passphrase is named in arguments.
pub(super) const PASSPHRASE: &str = "env:RPLAY_PASSPHRASE";

fn secret(passphrase: &str) -> (String, Option<String>) {
    ("RPLAY_PASSPHRASE".to_owned(), Some(passphrase.to_owned()))
}

/// What the program says is wrong: its last reason.
fn complaint(output: &Output) -> String {
    let text = output.stderr_text();
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default();
    // `40A7...:error:1E08010C:DECODER routines:OSSL_DECODER_from_bio:unsupported:file.c:101:`
    let reason = line.split(":error:").nth(1);
    let reason = reason.and_then(|rest| rest.split(':').nth(3));
    reason.unwrap_or(line).to_owned()
}

/// The algorithm of a public half: the inner bytes of its identifier, and of its parameters.
pub(super) fn algorithm(public: &[u8]) -> Option<(&[u8], &[u8])> {
    let outer = der::take(&mut &*public)?;
    let parts = der::values(der::take(&mut &*outer.inner)?.inner);
    let parameters = parts.get(1).map_or(&[] as &[u8], |value| value.inner);
    Some((parts.first()?.inner, parameters))
}

/// The key itself of a public half.
pub(super) fn key_bits(public: &[u8]) -> &[u8] {
    let outer = der::take(&mut &*public).map_or(&[] as &[u8], |value| value.inner);
    let parts = der::values(outer);
    parts
        .get(1)
        .and_then(|bits| bits.inner.get(1..))
        .unwrap_or_default()
}

/// RSA, DSA and keys on a curve sign a digest; the others sign what they are given.
pub(super) fn needs_digest(public: &[u8]) -> bool {
    matches!(kind(public), "RSA" | "DSA" | "ECC")
}

/// The kind of a key, in the words of `openssl_privatekey`.
pub(super) fn kind(public: &[u8]) -> &'static str {
    match algorithm(public).unwrap_or_default().0 {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1] => "RSA",
        [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1] => "DSA",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] => "ECC",
        [0x2b, 0x65, 0x6e] => "X25519",
        [0x2b, 0x65, 0x6f] => "X448",
        [0x2b, 0x65, 0x70] => "Ed25519",
        [0x2b, 0x65, 0x71] => "Ed448",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17] => "ML-DSA-44",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18] => "ML-DSA-65",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19] => "ML-DSA-87",
        _ => "unknown",
    }
}

/// DER between the lines of PEM.
pub(super) fn armored(label: &str, bytes: &[u8]) -> Vec<u8> {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(bytes).as_bytes().chunks(64) {
        text += &String::from_utf8_lossy(line);
        text.push('\n');
    }
    text += &format!("-----END {label}-----\n");
    text.into_bytes()
}

/// The bytes of the first block of PEM.
pub(super) fn unarmored(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    BASE64.decode(body).ok()
}

/// The file that a module looks after.
pub(super) struct Target<'a> {
    pub path: &'a Path,
    pub file: &'a FileArgs,
    pub backup: bool,
    /// What a new file's permissions are where the task names none.
    pub mode: Option<u32>,
}

impl Target<'_> {
    /// What is in the file; nothing where it is not there.
    pub(super) fn read(&self, machine: &mut dyn Machine) -> Result<Option<Vec<u8>>, Failure> {
        let parent = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let folder = machine.stat(parent, true).ok().flatten();
        if folder.is_none_or(|stat| stat.kind != FileKind::Directory) {
            let name = parent.display().to_string();
            return Err(Failure::new(format!(
                "The directory {name} does not exist or the file is not a directory"
            ))
            .with("name", name));
        }
        match machine.stat(self.path, true) {
            Ok(None) => Ok(None),
            _ => match machine.read(self.path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) => {
                    let path = self.path.to_string_lossy();
                    let text = os_error_text(&error);
                    let text = format!("Error while loading {path} - {text}: '{path}'");
                    Err(Failure::new(text))
                }
            },
        }
    }

    /// Puts new content in place, or leaves the file as it is, and looks after its attributes.
    pub(super) fn ensure(
        &self,
        machine: &mut dyn Machine,
        content: Option<&[u8]>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        if let Some(content) = content {
            self.keep_copy(machine, outcome)?;
            let old = machine.stat(self.path, true).ok().flatten();
            let mut attrs = self.file.for_write(machine, old.as_ref())?;
            attrs.mode = attrs.mode.or(self.mode.filter(|_| old.is_none()));
            let written = machine.write(self.path, Content::Bytes(content), &attrs);
            written.map_err(|error| {
                format!(
                    "Error while writing result: {}",
                    os_error(&error, self.path)
                )
            })?;
            outcome.changed = true;
        }
        let mut sides = Sides::default();
        outcome.changed |= self.file.ensure(machine, self.path, &mut sides)?;
        if !sides.after.is_empty() {
            outcome.diff.push(sides.diff());
        }
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(
        &self,
        machine: &mut dyn Machine,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        if let Ok(Some(_)) = machine.stat(self.path, false) {
            self.keep_copy(machine, outcome)?;
            let removed = machine.remove(self.path, false);
            removed.map_err(|error| os_error(&error, self.path))?;
            let mut sides = Sides::of(self.path);
            sides.add("state", "file", "absent");
            outcome.diff.push(sides.diff());
            outcome.changed = true;
        }
        Ok(())
    }

    fn keep_copy(&self, machine: &mut dyn Machine, outcome: &mut Outcome) -> Result<(), Failure> {
        if self.backup
            && let Some(name) = backup(machine, self.path)?
        {
            outcome
                .results
                .insert("backup_file".to_owned(), name.into());
        }
        Ok(())
    }
}

/// The difference of two requests or certificates, in the words of `openssl`.
pub(super) fn difference(
    openssl: &mut Openssl<'_>,
    words: &[&str],
    old: &[u8],
    new: &[u8],
) -> Result<Diff, Failure> {
    let mut text = |bytes: &[u8]| match bytes {
        [] => Ok(String::new()),
        _ => {
            let output = openssl.ask(words, bytes, "")?;
            Ok::<_, Failure>(output.stdout_text())
        }
    };
    Ok(Diff::text(text(old)?, text(new)?, "before", "after"))
}

/// An optional path as a result has it.
pub(super) fn shown(path: Option<&PathBuf>) -> rplay_modules::data::Data {
    path.map_or(rplay_modules::data::Data::Null, |path| {
        path.to_string_lossy().as_ref().into()
    })
}
