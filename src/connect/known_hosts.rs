//! `known_hosts`: which keys a host may show.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate};

use super::ssh_config::{Strict, matches_pattern};

/// How far a key that may be used is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is the host's, or the first one seen.
    Known,
    /// It is another one than the file says, and the user wants no check: somebody in between could
    /// read a password, so none may be sent.
    Changed,
}

/// The lines of the files that name one host.
pub(super) struct KnownHosts {
    entries: Vec<Entry>,
    /// Where a new key is learned.
    first_file: Option<PathBuf>,
    /// Whether it is learned without the host's name to be seen.
    hashed: bool,
}

struct Entry {
    marker: Marker,
    key: PublicKey,
    file: PathBuf,
    line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Marker {
    Host,
    Authority,
    Revoked,
}

impl KnownHosts {
    /// Reads the lines for a host; files that are not there have none.
    pub(super) fn read(files: &[PathBuf], name: &str) -> Self {
        let mut entries = Vec::new();
        for file in files {
            if let Ok(text) = std::fs::read(file) {
                entries.extend(parse(&String::from_utf8_lossy(&text), file, name));
            }
        }
        Self {
            entries,
            first_file: files.first().cloned(),
            hashed: false,
        }
    }

    /// Of a host that nobody knows.
    pub(super) fn none() -> Self {
        Self::read(&[], "")
    }

    /// Whether names of new hosts are hashed.
    pub(super) fn hashes(&mut self, hashed: bool) {
        self.hashed = hashed;
    }

    /// Whether a key of this type is known.
    pub(super) fn has_type(&self, algorithm: &Algorithm) -> bool {
        self.entries.iter().any(|entry| {
            entry.marker == Marker::Host && same_type(&entry.key.algorithm(), algorithm)
        })
    }

    /// Whether a certificate can be checked.
    pub(super) fn has_authority(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.marker == Marker::Authority)
    }

    /// Whether the host may show this key; the text of the error is OpenSSH's.
    pub(super) fn check(
        &self,
        name: &str,
        offered: &PublicKeyOrCertificate,
        strict: Strict,
    ) -> Result<Trust, String> {
        let key = offered.public_key();
        let kind = type_name(&key.algorithm());
        let with = |marker: Marker| {
            self.entries
                .iter()
                .filter(move |entry| entry.marker == marker)
        };
        let is_key = |entry: &&Entry| entry.key.key_data() == key.key_data();
        if let Some(entry) = with(Marker::Revoked).find(|entry| {
            is_key(entry)
                || offered
                    .certificate()
                    .is_some_and(|certificate| certificate.signature_key() == entry.key.key_data())
        }) {
            return Err(format!(
                "The {kind} host key for {name} is marked as revoked in {}:{}\r\nHost key verification failed.",
                entry.file.display(),
                entry.line
            ));
        }
        if let Some(certificate) = offered.certificate()
            && with(Marker::Authority).any(|entry| valid(certificate, &entry.key, name))
        {
            return Ok(Trust::Known);
        }
        if with(Marker::Host).any(|entry| is_key(&entry)) {
            return Ok(Trust::Known);
        }
        if let Some(entry) = with(Marker::Host)
            .find(|entry| same_type(&entry.key.algorithm(), &key.algorithm()))
            .or_else(|| with(Marker::Host).next())
        {
            return if strict == Strict::Off {
                Ok(Trust::Changed)
            } else {
                Err(changed(name, &key, entry))
            };
        }
        match strict {
            Strict::Ask => Err("Host key verification failed.".to_owned()),
            Strict::On => Err(format!(
                "No {kind} host key is known for {name} and you have requested strict checking.\r\n\
                 Host key verification failed."
            )),
            Strict::AcceptNew | Strict::Off => {
                // As with `ssh`, a file that cannot be written does not stop the connection.
                let _ = self.learn(name, &key);
                Ok(Trust::Known)
            }
        }
    }

    fn learn(&self, name: &str, key: &PublicKey) -> std::io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let Some(file) = &self.first_file else {
            return Ok(());
        };
        let text = key.to_openssh().map_err(std::io::Error::other)?;
        let mut words = text.split(' ');
        let name = match self.hashed {
            true => hash(name)?,
            false => name.to_owned(),
        };
        let line = format!(
            "{name} {} {}\n",
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default()
        );
        if let Some(folder) = file.parent() {
            // The error of opening the file says what is wrong.
            let _ = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder);
        }
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(file)
            // One write: other connections append at the same time.
            .and_then(|mut file| file.write_all(line.as_bytes()))
    }
}

fn changed(name: &str, key: &PublicKey, entry: &Entry) -> String {
    let kind = type_name(&key.algorithm());
    let (file, line) = (entry.file.display(), entry.line);
    format!(
        "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\r\n\
         The fingerprint for the {kind} key sent by the remote host is\n{}.\r\n\
         Offending {} key in {file}:{line}\r\n\
         Host key for {name} has changed and you have requested strict checking.\r\n\
         Host key verification failed.",
        key.fingerprint(HashAlg::Sha256),
        type_name(&entry.key.algorithm()),
    )
}

fn valid(certificate: &Certificate, authority: &PublicKey, name: &str) -> bool {
    let host = name
        .strip_prefix('[')
        .and_then(|name| name.split(']').next())
        .unwrap_or(name);
    let principals = certificate.valid_principals();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    certificate.cert_type() == CertType::Host
        && (principals.is_empty()
            || principals
                .iter()
                .any(|principal| matches_pattern(principal, host)))
        && certificate
            .validate_at(now, [&authority.fingerprint(HashAlg::Sha256)])
            .is_ok()
}

fn parse(text: &str, file: &Path, name: &str) -> Vec<Entry> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| parse_line(line, file, index + 1, name))
        .collect()
}

/// A line that names the host; others, comments and keys of unknown types are `None`.
fn parse_line(line: &str, file: &Path, number: usize, name: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    let mut first = words.next().filter(|word| !word.starts_with('#'))?;
    let marker = match first {
        "@revoked" => Marker::Revoked,
        "@cert-authority" => Marker::Authority,
        _ => Marker::Host,
    };
    if marker != Marker::Host {
        first = words.next()?;
    }
    if !names(first, name) {
        return None;
    }
    let key = PublicKey::from_openssh(&format!("{} {}", words.next()?, words.next()?)).ok()?;
    Some(Entry {
        marker,
        key,
        file: file.to_owned(),
        line: number,
    })
}

/// Whether the list of patterns names the host; a negated pattern that matches forbids it.
fn names(list: &str, name: &str) -> bool {
    if let Some(hashed) = list.strip_prefix("|1|") {
        return hash_matches(hashed, name).unwrap_or(false);
    }
    let name = name.to_lowercase();
    let mut found = false;
    for pattern in list.split(',') {
        let pattern = pattern.to_lowercase();
        match pattern.strip_prefix('!') {
            Some(pattern) if matches_pattern(pattern, &name) => return false,
            None if matches_pattern(&pattern, &name) => found = true,
            _ => {}
        }
    }
    found
}

/// A name that only somebody who knows it can find.
fn hash(name: &str) -> std::io::Result<String> {
    use std::io::Read;
    let mut salt = [0; 20];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut salt)?;
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&salt).map_err(std::io::Error::other)?;
    mac.update(name.as_bytes());
    let hash = mac.finalize().into_bytes();
    Ok(format!(
        "|1|{}|{}",
        STANDARD.encode(salt),
        STANDARD.encode(hash)
    ))
}

fn hash_matches(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&STANDARD.decode(salt).ok()?).ok()?;
    mac.update(name.to_lowercase().as_bytes());
    Some(mac.verify_slice(&STANDARD.decode(hash).ok()?).is_ok())
}

/// Whether keys are of one type; how an RSA key signs is not part of it.
fn same_type(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// The type as OpenSSH's messages name it.
pub(super) fn type_name(algorithm: &Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "ED25519",
        Algorithm::Ecdsa { .. } => "ECDSA",
        Algorithm::Rsa { .. } => "RSA",
        Algorithm::SkEd25519 => "ED25519-SK",
        Algorithm::SkEcdsaSha2NistP256 => "ECDSA-SK",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const TWO: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";

    fn check(lines: &str, name: &str, strict: Strict) -> Result<Trust, String> {
        let known = KnownHosts {
            entries: parse(lines, Path::new("/k"), name),
            first_file: None,
            hashed: false,
        };
        known.check(name, &PublicKey::from_openssh(ONE).unwrap().into(), strict)
    }

    #[test]
    fn names_patterns_and_ports() {
        for list in ["h", "a,h", "*", "H", "h?,h", "x*,*h"] {
            assert_eq!(
                check(&format!("{list} {ONE}"), "h", Strict::On),
                Ok(Trust::Known),
                "{list}"
            );
        }
        for list in ["a", "!h,*", "[h]:22", "h?"] {
            assert!(
                check(&format!("{list} {ONE}"), "h", Strict::On)
                    .unwrap_err()
                    .contains("No ED25519"),
                "{list}"
            );
        }
        assert_eq!(
            check(&format!("[h]:2222\t{ONE} comment"), "[h]:2222", Strict::On),
            Ok(Trust::Known)
        );
        assert_eq!(
            check("", "h", Strict::Ask).unwrap_err(),
            "Host key verification failed."
        );
    }

    #[test]
    fn hashed_names() {
        // Made by ssh-keygen -H for `example.org`.
        let line = format!("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {ONE}");
        assert!(check(&line, "192.168.1.61", Strict::On).is_ok());
        assert!(check(&line, "192.168.1.62", Strict::On).is_err());
    }

    #[test]
    fn changed_and_revoked_keys() {
        let lines = format!("# comment\nh {TWO}");
        assert!(
            check(&lines, "h", Strict::On)
                .unwrap_err()
                .contains("Offending ED25519 key in /k:2")
        );
        assert!(check(&lines, "h", Strict::AcceptNew).is_err());
        assert_eq!(check(&lines, "h", Strict::Off), Ok(Trust::Changed));
        assert!(check(&format!("h {TWO}\nh {ONE}"), "h", Strict::On).is_ok());
        let revoked = format!("h {ONE}\n@revoked * {ONE}");
        assert!(
            check(&revoked, "h", Strict::Off)
                .unwrap_err()
                .contains("revoked in /k:2")
        );
    }
}
