//! `~/.ssh/config` and the options of OpenSSH's command line.
//!
//! As in OpenSSH the first value of an option counts: first what the inventory says, then the
//! command line, then the user's file, then the system's. Options that change nothing here
//! (multiplexing, terminals, logs) are skipped. Those that the client in this program cannot honour are
//! listed in [`Options::beyond`]: the system's `ssh` takes over.

mod algorithms;
mod read;
mod tokens;

use std::path::PathBuf;
use std::time::Duration;

pub(super) use algorithms::Choice;
use read::Raw;
pub(super) use read::matches_pattern;

use super::ssh::via_ssh;
use super::{LinkError, Target};

/// What to do about host keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strict {
    /// Unknown and changed keys are errors, because there is nobody to ask.
    Ask,
    /// The same, as it was asked for.
    On,
    /// Unknown keys are learned, changed ones are errors.
    AcceptNew,
    /// Everything but a revoked key is accepted; unknown keys are learned.
    Off,
}

/// The family of addresses to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    Inet,
    Inet6,
}

/// All options for one host.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) host_name: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) family: Family,
    pub(super) bind_address: Option<String>,
    pub(super) attempts: u32,
    pub(super) strict: Strict,
    pub(super) hash_known_hosts: bool,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) certificate_files: Vec<PathBuf>,
    pub(super) identities_only: bool,
    /// Nobody is asked for a passphrase.
    pub(super) batch: bool,
    pub(super) identity_agent: Option<PathBuf>,
    /// Whether programs on the host may use the agent, and which.
    pub(super) forward_agent: Option<PathBuf>,
    pub(super) proxy_jump: Option<String>,
    pub(super) proxy_command: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) alive_interval: Option<Duration>,
    /// Nobody says how often to ask whether the server is still there.
    pub(super) alive_unsaid: bool,
    pub(super) alive_count: Option<usize>,
    pub(super) compression: bool,
    pub(super) pubkey: bool,
    pub(super) password: bool,
    pub(super) keyboard: bool,
    /// Whether a Kerberos ticket may be used, which only the system's `ssh` can.
    pub(super) kerberos: bool,
    pub(super) ciphers: Choice,
    pub(super) macs: Choice,
    pub(super) kex: Choice,
    pub(super) host_keys: Choice,
    pub(super) user_keys: Choice,
    /// The shortest RSA key, in bits.
    pub(super) rsa_bits: u32,
    /// Variables for the programs on the host.
    pub(super) environment: Vec<(String, String)>,
    /// What only the system's `ssh` can do.
    pub(super) beyond: Vec<String>,
    host_key_alias: Option<String>,
    known_hosts: Vec<PathBuf>,
}

impl Options {
    /// The options for a target.
    pub(super) fn resolve(target: &Target) -> Result<Self, LinkError> {
        let told = || -> Result<Self, String> { finish(&read(target)?, target) };
        told().map_err(|text| LinkError::Unreachable(via_ssh(&text)))
    }

    /// The name under which `known_hosts` has the host.
    pub(super) fn known_name(&self) -> String {
        if let Some(alias) = &self.host_key_alias {
            return alias.clone();
        }
        let host = self.host_name.to_lowercase();
        if self.port == 22 {
            host
        } else {
            format!("[{host}]:{}", self.port)
        }
    }

    /// The files of known hosts; new keys go to the first.
    pub(super) fn known_hosts_files(&self, target: &Target) -> Vec<PathBuf> {
        if target.known_hosts.is_empty() {
            self.known_hosts.clone()
        } else {
            target.known_hosts.clone()
        }
    }
}

/// Everything that was written for a target.
fn read(target: &Target) -> Result<Raw, String> {
    let mut raw = Raw::new(&target.host);
    if let Some(port) = target.port {
        raw.set("port", &port.to_string());
    }
    if let Some(user) = &target.user {
        raw.set("user", user);
    }
    let file = command_line(&mut raw, &target.ssh_args)?;
    raw.read_files(file.as_deref())?;
    raw.carried();
    Ok(raw)
}

fn finish(raw: &Raw, target: &Target) -> Result<Options, String> {
    let number = |name: &str| raw.get(name).and_then(|text| text.parse::<u64>().ok());
    let seconds = |name: &str| number(name).filter(|n| *n > 0).map(Duration::from_secs);
    let flag = |name: &str, default| raw.get(name).map_or(default, |value| value == "yes");
    let mut tokens = raw.tokens()?;
    tokens.host_name = read::canonical(&tokens.host_name);
    tokens.alias = tokens.alias.map(|alias| alias.to_lowercase());
    let strict = match raw.get("stricthostkeychecking") {
        Some("no") => Strict::Off,
        Some("accept-new") => Strict::AcceptNew,
        Some("ask") | None => Strict::Ask,
        Some(_) => Strict::On,
    };
    // The inventory's word is weaker than the command line's and stronger than the files'.
    let strict = if target.host_key_checking || said_on_command_line(target) {
        strict
    } else {
        Strict::Off
    };
    let said = |name: &str| raw.get(name).filter(|v| !v.eq_ignore_ascii_case("none"));
    let paths = |words: &mut dyn Iterator<Item = &str>| -> Result<Vec<PathBuf>, String> {
        let named = words.filter(|word| !word.eq_ignore_ascii_case("none"));
        named.map(|word| tokens.path(word)).collect()
    };
    let list = |name: &str, usual: [&str; 2]| -> Result<Vec<PathBuf>, String> {
        match raw.words(name) {
            [] => paths(&mut usual.into_iter()),
            words => paths(&mut words.iter().map(String::as_str)),
        }
    };
    let mut known_hosts = list(
        "userknownhostsfile",
        ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"],
    )?;
    known_hosts.extend(list(
        "globalknownhostsfile",
        ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"],
    )?);
    let preferred = |name: &str| {
        let list = raw.get("preferredauthentications");
        list.is_none_or(|list| list.split(',').any(|one| one == name))
    };
    let proxy = |name: &str| said(name).map(|text| tokens.expand_proxy(text)).transpose();
    let agent = |name: &str| match said(name) {
        Some("SSH_AUTH_SOCK") | None => Ok(None),
        Some(text) => tokens.path(text).map(Some),
    };
    Ok(Options {
        strict,
        family: match raw.get("addressfamily") {
            Some("inet") => Family::Inet,
            Some("inet6") => Family::Inet6,
            _ => Family::Any,
        },
        bind_address: said("bindaddress").map(str::to_owned),
        attempts: number("connectionattempts")
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(1),
        hash_known_hosts: flag("hashknownhosts", false),
        identity_files: paths(&mut raw.all("identityfile"))?,
        certificate_files: paths(&mut raw.all("certificatefile"))?,
        identities_only: flag("identitiesonly", false),
        batch: flag("batchmode", false),
        identity_agent: match raw.get("identityagent") {
            Some("none") => Some(PathBuf::from("none")),
            _ => agent("identityagent")?,
        },
        forward_agent: match raw.get("forwardagent").map(str::to_lowercase).as_deref() {
            None | Some("no" | "false") => None,
            Some("yes" | "true") => Some(PathBuf::new()),
            Some(_) => agent("forwardagent")?,
        },
        proxy_jump: proxy("proxyjump")?,
        proxy_command: proxy("proxycommand")?,
        connect_timeout: seconds("connecttimeout"),
        alive_interval: seconds("serveraliveinterval"),
        alive_unsaid: raw.get("serveraliveinterval").is_none(),
        alive_count: number("serveralivecountmax").and_then(|count| usize::try_from(count).ok()),
        compression: flag("compression", false),
        pubkey: flag("pubkeyauthentication", true) && preferred("publickey"),
        password: flag("passwordauthentication", true) && preferred("password"),
        keyboard: flag("kbdinteractiveauthentication", true) && preferred("keyboard-interactive"),
        kerberos: flag("gssapiauthentication", false) && preferred("gssapi-with-mic"),
        ciphers: Choice::new(raw.get("ciphers")),
        macs: Choice::new(raw.get("macs")),
        kex: Choice::new(raw.get("kexalgorithms")),
        host_keys: Choice::new(raw.get("hostkeyalgorithms")),
        user_keys: Choice::new(raw.get("pubkeyacceptedalgorithms")),
        rsa_bits: number("requiredrsasize")
            .and_then(|bits| u32::try_from(bits).ok())
            .unwrap_or(1024),
        environment: environment(raw),
        host_key_alias: tokens.alias.clone(),
        known_hosts,
        host_name: tokens.host_name.clone(),
        port: number("port")
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(22),
        user: tokens.user.clone(),
        beyond: raw.beyond.clone(),
    })
}

/// The variables that `SendEnv` names and those that `SetEnv` says, which win.
fn environment(raw: &Raw) -> Vec<(String, String)> {
    let patterns: Vec<&str> = raw.all("sendenv").collect();
    let sent = std::env::vars().filter(|(name, _)| {
        patterns
            .iter()
            .any(|pattern| matches_pattern(pattern, name))
    });
    let mut all: Vec<(String, String)> = Vec::new();
    for word in raw.words("setenv") {
        if let Some((name, value)) = word.split_once('=')
            && !all.iter().any(|(known, _)| known == name)
        {
            all.push((name.to_owned(), value.to_owned()));
        }
    }
    let set: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    all.extend(sent.filter(|(name, _)| !set.contains(name)));
    all
}

/// Whether `ssh_args` say something about host keys.
fn said_on_command_line(target: &Target) -> bool {
    target
        .ssh_args
        .iter()
        .any(|word| word.to_lowercase().contains("stricthostkeychecking"))
}

/// Options of the command line; the file of `-F`, if there is one.
fn command_line(raw: &mut Raw, args: &[String]) -> Result<Option<String>, String> {
    let mut file = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(letters) = arg.strip_prefix('-') else {
            option(raw, arg)?;
            continue;
        };
        if letters.is_empty() {
            return Err("ssh_args: a single `-` is not an option".to_owned());
        }
        // Letters without a value may stand together, and the last one may have a value.
        for (at, letter) in letters.char_indices() {
            if !"BbcDEeFIiJLlmOopQRSWwP".contains(letter) {
                plain_letter(raw, letter)?;
                continue;
            }
            let rest = &letters[at + letter.len_utf8()..];
            let value = match rest {
                "" => args
                    .next()
                    .ok_or_else(|| format!("ssh_args: the option `-{letter}` needs a value"))?,
                rest => rest,
            };
            match letter {
                'F' => file = Some(value.to_owned()),
                letter => letter_with_value(raw, letter, value)?,
            }
            break;
        }
    }
    Ok(file)
}

fn plain_letter(raw: &mut Raw, letter: char) -> Result<(), String> {
    match letter {
        'C' => raw.set("compression", "yes"),
        'A' => raw.set("forwardagent", "yes"),
        'a' => raw.set("forwardagent", "no"),
        '4' => raw.set("addressfamily", "inet"),
        '6' => raw.set("addressfamily", "inet6"),
        'K' => raw.set("gssapiauthentication", "yes"),
        'k' => raw.set("gssapidelegatecredentials", "no"),
        'X' | 'Y' => raw.set("forwardx11", "yes"),
        'x' => raw.set("forwardx11", "no"),
        // Nothing of this concerns a connection without terminal and logs.
        'q' | 'v' | 'T' | 't' | 'n' | 'M' | 'N' | 'g' | 'f' | 's' | 'y' => {}
        letter => return Err(format!("ssh_args: the option `-{letter}` is not supported")),
    }
    Ok(())
}

fn letter_with_value(raw: &mut Raw, letter: char, value: &str) -> Result<(), String> {
    let name = match letter {
        'o' => return option(raw, value),
        'i' => {
            raw.add("identityfile", value);
            return Ok(());
        }
        'J' => "proxyjump",
        'p' => "port",
        'l' => "user",
        'b' => "bindaddress",
        'B' => "bindinterface",
        'c' => "ciphers",
        'm' => "macs",
        'I' => "pkcs11provider",
        'P' => "tag",
        'L' => "localforward",
        'R' => "remoteforward",
        'D' => "dynamicforward",
        'w' => "tunnel",
        // Multiplexing, escape characters and logs.
        'S' | 'O' | 'E' | 'e' => return Ok(()),
        letter => return Err(format!("ssh_args: the option `-{letter}` is not supported")),
    };
    raw.option(name, value, true)
        .map_err(|text| format!("ssh_args: {text}"))
}

fn option(raw: &mut Raw, text: &str) -> Result<(), String> {
    let (name, rest) =
        read::keyword(text).ok_or_else(|| format!("ssh_args: `{text}` is not an option"))?;
    raw.option(&name.to_lowercase(), rest, true)
        .map_err(|text| format!("command-line: line 0: {text}"))
}

/// A host to jump through: user, host, port.
pub(super) fn hop(text: &str) -> Result<(Option<&str>, &str, Option<u16>), String> {
    let invalid = || format!("Invalid ProxyJump \"{text}\"");
    let hop = text
        .strip_prefix("ssh://")
        .unwrap_or(text)
        .trim_end_matches('/');
    let (user, address) = hop
        .rsplit_once('@')
        .map_or((None, hop), |(user, address)| (Some(user), address));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port = port.parse().map_err(|_| invalid())?;
            (host, Some(port))
        }
        _ => (address, None),
    };
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() || user == Some("") {
        return Err(invalid());
    }
    Ok((user, host, port))
}

/// The files of `-F` for hops: of the options, only the file to read is about other hosts too.
pub(super) fn file_option(target: &Target) -> Vec<String> {
    let mut args = target.ssh_args.iter();
    while let Some(arg) = args.next() {
        if arg == "-F" {
            return args
                .next()
                .map_or_else(Vec::new, |file| vec![arg.clone(), file.clone()]);
        }
        if arg.starts_with("-F") {
            return vec![arg.clone()];
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests;
