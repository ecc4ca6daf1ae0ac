//! `known_hosts`: a host's public key in a file of known hosts.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY};
use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::machine::attrs::{add_path_info, os_error_text};
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};
use sha1::{Digest, Sha1};

use crate::text::fits;

/// Adds and removes the public keys of hosts that SSH knows.
#[derive(ModuleArgs)]
struct Args {
    /// The host, as it stands before its key; with another port than 22 as `[HOST]:PORT`.
    #[arg(alias = "host")]
    name: String,
    /// The line of the file: host, type and key. Without one all keys of the host are removed.
    key: Option<String>,
    /// The file.
    #[arg(default = "~/.ssh/known_hosts")]
    path: PathBuf,
    /// Write the host as a hash that does not tell its name.
    #[arg(default = "false")]
    hash_host: bool,
    /// Whether the key is there or gone.
    #[arg(default = "present")]
    state: State,
}

/// What comes back, beside the arguments and what is told of files.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file.
    path: String,
    /// The host.
    name: String,
    /// The key as given.
    key: String,
}

module! { "ansible.builtin.known_hosts", args: Args, returns: Values, run: run }

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let host = args.name.to_lowercase();
    let path = args.path.clone();
    let present = args.state == State::Present;
    let key = args
        .key
        .as_deref()
        .map(str::trim)
        .filter(|key| !key.is_empty());
    if present && key.is_none() {
        return Err(Failure::new("No key specified when adding a host"));
    }
    if let Some(key) = key {
        check(&host, key)?;
    }
    let key = match (key, args.hash_host) {
        (Some(key), true) => Some(hashed(machine, &host, key)),
        (key, _) => key.map(str::to_owned),
    };
    let exists = matches!(machine.stat(&path, true), Ok(Some(_)));
    let before = match exists {
        true => read(machine, &path)?,
        false => String::new(),
    };
    let found = search(&before, &host, key.as_deref());
    let (after, changed) = edited(&before, found, key.as_deref(), present);
    if changed {
        write(machine, &path, &before, &after, key.is_none())?;
    }
    let header = path.to_string_lossy().into_owned();
    let old_header = if exists { &header } else { "/dev/null" };
    let new_header = if exists || changed {
        &header
    } else {
        "/dev/null"
    };
    let mut outcome = Outcome::new(changed)
        .with_diff(Diff::text(before, after, old_header, new_header))
        .with("name", args.name)
        .with("key", args.key)
        .with("hash_host", args.hash_host)
        .with("state", args.state.word())
        .with("path", header.as_str());
    add_path_info(machine, &path, &mut outcome.results);
    Ok(outcome)
}

fn read(machine: &mut dyn Machine, path: &Path) -> Result<String, Failure> {
    let bytes = machine.read(path).map_err(|error| {
        let (error, path) = (os_error_text(&error), path.display());
        Failure::unexpected(format!("Failed to read '{path}': {error}: '{path}'"))
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Writes the file; whole hosts are removed as `ssh-keygen` does it, which keeps the old file.
fn write(
    machine: &mut dyn Machine,
    path: &Path,
    before: &str,
    after: &str,
    keep: bool,
) -> Result<(), Failure> {
    if keep {
        let old = PathBuf::from(format!("{}.old", path.display()));
        put(machine, &old, before)?;
    }
    put(machine, path, after)
}

fn put(machine: &mut dyn Machine, path: &Path, text: &str) -> Result<(), Failure> {
    let written = machine.write(path, Content::Bytes(text.as_bytes()), &Attrs::default());
    written.map_err(|error| {
        let (error, path) = (os_error_text(&error), path.display());
        Failure::unexpected(format!(
            "Failed to write to file '{path}': {error}: '{path}'"
        ))
    })
}

/// A line of the file, taken apart.
#[derive(PartialEq)]
struct Entry<'a> {
    mark: Option<&'a str>,
    hosts: &'a str,
    kind: &'a str,
    blob: &'a str,
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let (mark, hosts) = match first.starts_with('@') {
        true => (Some(first), words.next()?),
        false => (None, first),
    };
    Some(Entry {
        mark,
        hosts,
        kind: words.next()?,
        blob: words.next()?,
    })
}

/// The key is one, and it is one of the host.
fn check(host: &str, key: &str) -> Result<(), Failure> {
    let good = entry(key).is_some_and(|entry| is_key(&entry) && names(entry.hosts, host));
    if good {
        return Ok(());
    }
    let msg = "Host parameter does not match hashed host field in supplied key";
    Err(Failure::new(msg).with("rc", 1))
}

/// Whether the key is of a type that SSH knows, and of the type that it says.
fn is_key(entry: &Entry<'_>) -> bool {
    let plain = entry.kind.trim_end_matches("@openssh.com");
    let plain = plain.trim_start_matches("sk-");
    let known = matches!(plain, "ssh-ed25519" | "ssh-rsa" | "ssh-dss")
        || plain.starts_with("ecdsa-sha2-nistp")
        || plain.ends_with("-cert-v01");
    let Ok(bytes) = BASE64.decode(entry.blob) else {
        return false;
    };
    let length = bytes
        .first_chunk::<4>()
        .map_or(0, |length| u32::from_be_bytes(*length));
    let end = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .saturating_add(4);
    known && bytes.get(4..end) == Some(entry.kind.as_bytes())
}

/// Whether the hosts of a line are those of the name: patterns, some of them negated, or a hash.
fn names(hosts: &str, host: &str) -> bool {
    if let Some(rest) = hosts.strip_prefix("|1|") {
        let Some((salt, hash)) = rest.split_once('|') else {
            return false;
        };
        return BASE64
            .decode(salt)
            .is_ok_and(|salt| BASE64.encode(hash_of(&salt, host.as_bytes())) == hash);
    }
    let mut found = false;
    for pattern in hosts.split(',') {
        let pattern = pattern.to_lowercase();
        match pattern.strip_prefix('!') {
            Some(pattern) if like(pattern, host) => return false,
            Some(_) => {}
            None => found |= like(&pattern, host),
        }
    }
    found
}

/// Brackets are letters in a host's name, and not sets as in other patterns.
fn like(pattern: &str, host: &str) -> bool {
    pattern == host || !pattern.contains('[') && fits(pattern, host)
}

/// HMAC with SHA-1, as OpenSSH hashes names.
fn hash_of(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), text)
}

/// The line with its host as a hash.
fn hashed(machine: &mut dyn Machine, host: &str, line: &str) -> String {
    let Some(entry) = entry(line) else {
        return line.to_owned();
    };
    if entry.hosts.starts_with("|1|") {
        return line.to_owned();
    }
    // The salt is as long as a hash, and made of what nobody can guess where there is such.
    let mut chance = Sha1::new().chain_update(machine.now().to_bits().to_be_bytes());
    for _ in 0..2 {
        let uuid = machine.read(Path::new("/proc/sys/kernel/random/uuid"));
        chance.update(uuid.unwrap_or_default());
    }
    let salt = chance.finalize();
    let hash = BASE64.encode(hash_of(&salt, host.as_bytes()));
    let hosts = format!("|1|{}|{hash}", BASE64.encode(salt));
    line.replacen(entry.hosts, &hosts, 1)
}

/// What a search came to.
#[derive(Clone, Copy, PartialEq)]
enum Found {
    /// The host has no such key.
    Nothing,
    /// This very key is in this line.
    Same(usize),
    /// Another key of the same type is in this line.
    Other(usize),
    /// The host is there; no key was asked for.
    Host,
}

fn search(text: &str, host: &str, key: Option<&str>) -> Found {
    let lines = text.lines().enumerate();
    let mut entries = lines
        .filter_map(|(at, line)| Some((at, entry(line)?)))
        .filter(|(_, entry)| is_key(entry) && names(entry.hosts, host));
    let Some(key) = key else {
        return match entries.next() {
            Some(_) => Found::Host,
            None => Found::Nothing,
        };
    };
    let Some(wanted) = entry(key) else {
        return Found::Nothing;
    };
    for (at, found) in entries {
        let both_hashed = found.hosts.starts_with("|1|") && wanted.hosts.starts_with("|1|");
        let same_hosts = both_hashed || found.hosts == wanted.hosts;
        if same_hosts
            && (found.mark, found.kind, found.blob) == (wanted.mark, wanted.kind, wanted.blob)
        {
            return Found::Same(at);
        }
        if (found.mark, found.kind) == (wanted.mark, wanted.kind) {
            return Found::Other(at);
        }
    }
    Found::Nothing
}

/// The text as it should be, and whether it differs from how it is.
fn edited(text: &str, found: Found, key: Option<&str>, present: bool) -> (String, bool) {
    let without = |at: usize| -> String {
        let lines = text.split_inclusive('\n').enumerate();
        lines
            .filter(|(line, _)| *line != at)
            .map(|(_, line)| line)
            .collect()
    };
    let added = |mut text: String| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        format!("{text}{}\n", key.unwrap_or_default())
    };
    match (found, present) {
        (Found::Nothing, true) => (added(text.to_owned()), true),
        (Found::Other(at), true) => (added(without(at)), true),
        (Found::Same(at) | Found::Other(at), false) => (without(at), true),
        _ => (text.to_owned(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let hash = "|1|w/I14Q8778FOJbfQWzLP8PfQedI=|B9oG/I1a+pKEfCHz78YpUbz2n+U=";
        assert!(names(hash, "h") && !names(hash, "x"));
        assert!(names("a,*.example", "b.example") && !names("!b.example,*.example", "b.example"));
        assert!(names("[h]:22", "[h]:22") && !names("[h]", "h"));
    }
}
