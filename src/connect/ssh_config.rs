//! `~/.ssh/config` and the options of OpenSSH's command line, as far as they concern us.
//!
//! As in OpenSSH the first value of an option counts: first what the inventory says, then the
//! command line, then the user's file, then the system's. Options that change nothing here
//! (multiplexing, forwarding, logs) are skipped; those that would change where or how safely one
//! connects, and are not supported, are errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// All options for one host.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) host_name: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) strict: Strict,
    pub(super) identity_files: Vec<PathBuf>,
    pub(super) identities_only: bool,
    pub(super) identity_agent: Option<PathBuf>,
    pub(super) proxy_jump: Option<String>,
    pub(super) proxy_command: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) alive_interval: Option<Duration>,
    pub(super) alive_count: Option<usize>,
    pub(super) compression: bool,
    pub(super) pubkey: bool,
    pub(super) password: bool,
    pub(super) keyboard: bool,
    host_key_alias: Option<String>,
    known_hosts: Vec<PathBuf>,
}

impl Options {
    /// The options for a target.
    pub(super) fn resolve(target: &Target) -> Result<Self, LinkError> {
        let mut raw = Raw {
            host: target.host.clone(),
            ..Raw::default()
        };
        let told = || -> Result<Raw, String> {
            if let Some(port) = target.port {
                raw.set("port", &port.to_string());
            }
            if let Some(user) = &target.user {
                raw.set("user", user);
            }
            let file = command_line(&mut raw, &target.ssh_args)?;
            let home = std::env::home_dir().unwrap_or_default();
            match file.as_deref() {
                Some("none") => {}
                Some(file) => raw.read_file(&expand_home(file), &home, 0)?,
                None => {
                    raw.read_file(&home.join(".ssh/config"), &home, 0)?;
                    raw.read_file(Path::new("/etc/ssh/ssh_config"), Path::new("/etc/ssh"), 0)?;
                }
            }
            Ok(raw)
        };
        let raw = told().map_err(|text| LinkError::Unreachable(via_ssh(&text)))?;
        raw.finish(target)
            .map_err(|text| LinkError::Unreachable(via_ssh(&text)))
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

/// Options as they were written; the first value of a name is the one that counts.
#[derive(Default)]
struct Raw {
    host: String,
    values: Vec<(String, String)>,
}

/// Options that may stand more than once.
const REPEATABLE: &[&str] = &["identityfile", "certificatefile"];

/// Options that would change where or how safely one connects.
const REFUSED: &[&str] = &[
    "pkcs11provider",
    "proxyusefdpass",
    "canonicalizehostname",
    "knownhostscommand",
    "bindaddress",
    "bindinterface",
    "hostkeyalgorithms",
    "ciphers",
    "macs",
    "kexalgorithms",
    "requiredrsasize",
    "revokedhostkeys",
];

/// Of [`REFUSED`], what the system's and the user's files may well say about algorithms: ours are a
/// subset of OpenSSH's safe ones, and a server without them is a clear error.
const TOLERATED_IN_FILES: &[&str] = &[
    "hostkeyalgorithms",
    "ciphers",
    "macs",
    "kexalgorithms",
    "requiredrsasize",
    "canonicalizehostname",
];

impl Raw {
    fn get(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        if REPEATABLE.contains(&name) || self.get(name).is_none() {
            self.values.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Reads a file that may be missing.
    fn read_file(&mut self, path: &Path, folder: &Path, depth: usize) -> Result<(), String> {
        let Ok(text) = std::fs::read(path) else {
            return Ok(());
        };
        if depth > 16 {
            return Err(format!("{}: too many levels of Include", path.display()));
        }
        // OpenSSH looks for relative names of the user's file in `~/.ssh`.
        let includes = if folder == Path::new("/etc/ssh") {
            folder.to_owned()
        } else {
            folder.join(".ssh")
        };
        let mut applies = true;
        for (index, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            let Some((name, value)) = split_line(line) else {
                continue;
            };
            let at = |text: &str| format!("{}: line {}: {text}", path.display(), index + 1);
            match name.as_str() {
                "host" => applies = matches_list(&words(&value), &self.host),
                "match" => applies = self.matches(&words(&value)).map_err(|text| at(&text))?,
                _ if !applies => {}
                "include" => {
                    for pattern in words(&value) {
                        let pattern = includes.join(expand_home(&pattern));
                        for file in glob(&pattern) {
                            self.read_file(&file, folder, depth + 1)?;
                        }
                    }
                }
                name if REFUSED.contains(&name)
                    && !TOLERATED_IN_FILES.contains(&name)
                    && self.get(name).is_none() =>
                {
                    if !matches!(value.to_lowercase().as_str(), "no" | "none") {
                        return Err(at(&format!("the option `{name}` is not supported")));
                    }
                }
                name => self.set(name, &value),
            }
        }
        Ok(())
    }

    /// The conditions of a `Match` line.
    fn matches(&self, conditions: &[String]) -> Result<bool, String> {
        let mut conditions = conditions.iter();
        let mut all = true;
        while let Some(condition) = conditions.next() {
            let (negated, name) = match condition.strip_prefix('!') {
                Some(name) => (true, name),
                None => (false, condition.as_str()),
            };
            let name = name.to_lowercase();
            let (name, inline) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (name, None),
            };
            let holds = match name.as_str() {
                "all" => true,
                // We resolve no names and pass over the file once.
                "canonical" | "final" => false,
                name => {
                    let value = inline
                        .or_else(|| conditions.next().cloned())
                        .unwrap_or_default();
                    let list: Vec<_> = value.split(',').map(str::to_owned).collect();
                    match name {
                        "host" => matches_list(&list, self.get("hostname").unwrap_or(&self.host)),
                        "originalhost" => matches_list(&list, &self.host),
                        "user" => matches_list(&list, self.get("user").unwrap_or(&current_user())),
                        "localuser" => matches_list(&list, &current_user()),
                        name => return Err(format!("`Match {name}` is not supported")),
                    }
                }
            };
            all &= holds != negated;
        }
        Ok(all)
    }

    fn finish(self, target: &Target) -> Result<Options, String> {
        let number = |name: &str| -> Result<Option<u64>, String> {
            self.get(name)
                .map(|text| {
                    text.parse()
                        .map_err(|_| format!("{name}: `{text}` is not a number"))
                })
                .transpose()
        };
        let flag = |name: &str, default: bool| {
            self.get(name)
                .map_or(default, |value| matches!(value, "yes" | "true"))
        };
        let port = match number("port")? {
            Some(port) => u16::try_from(port).map_err(|_| format!("Bad port '{port}'."))?,
            None => 22,
        };
        let host_name = self
            .get("hostname")
            .map_or_else(|| self.host.clone(), |name| name.replace("%h", &self.host));
        let user = self.get("user").map_or_else(current_user, str::to_owned);
        let expand = |text: &str| tokens(text, &host_name, &self.host, port, &user);
        let seconds = |name: &str| {
            Ok::<_, String>(
                number(name)?
                    .filter(|count| *count > 0)
                    .map(Duration::from_secs),
            )
        };
        let strict = match self
            .get("stricthostkeychecking")
            .map(str::to_lowercase)
            .as_deref()
        {
            Some("no" | "off" | "false") => Strict::Off,
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
        let files = |name: &str, default: &str| -> Vec<PathBuf> {
            let value = self.get(name).unwrap_or(default);
            words(value)
                .iter()
                .filter(|word| *word != "none")
                .map(|word| expand_home(&expand(word)))
                .collect()
        };
        let mut known_hosts = files(
            "userknownhostsfile",
            "~/.ssh/known_hosts ~/.ssh/known_hosts2",
        );
        known_hosts.extend(files(
            "globalknownhostsfile",
            "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",
        ));
        let identities = self
            .values
            .iter()
            .filter(|(name, value)| name == "identityfile" && value != "none");
        let authentications = self.get("preferredauthentications").map(str::to_owned);
        let preferred = |name: &str| {
            authentications
                .as_ref()
                .is_none_or(|list| list.split(',').any(|one| one == name))
        };
        let some = |name: &str| self.get(name).filter(|value| *value != "none").map(&expand);
        Ok(Options {
            strict,
            identity_files: identities
                .map(|(_, value)| expand_home(&expand(&unquote(value))))
                .collect(),
            identities_only: flag("identitiesonly", false),
            identity_agent: self
                .get("identityagent")
                .map(|value| expand_home(&expand(&unquote(value)))),
            proxy_jump: some("proxyjump"),
            proxy_command: some("proxycommand"),
            connect_timeout: seconds("connecttimeout")?,
            alive_interval: seconds("serveraliveinterval")?,
            alive_count: number("serveralivecountmax")?
                .and_then(|count| usize::try_from(count).ok()),
            compression: flag("compression", false),
            pubkey: flag("pubkeyauthentication", true) && preferred("publickey"),
            password: flag("passwordauthentication", true) && preferred("password"),
            keyboard: flag("kbdinteractiveauthentication", true)
                && preferred("keyboard-interactive"),
            host_key_alias: self.get("hostkeyalias").map(str::to_owned),
            known_hosts,
            host_name,
            port,
            user,
        })
    }
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
        let letter = letters
            .chars()
            .next()
            .ok_or("ssh_args: a single `-` is not an option")?;
        let takes_value = "oJpilFBbcDEeIkLmOQRSWwP".contains(letter);
        if !takes_value {
            for letter in letters.chars() {
                match letter {
                    'C' => raw.set("compression", "yes"),
                    // Nothing of this concerns a connection without terminal, forwarding and logs.
                    'q' | 'v' | 'T' | 't' | 'x' | 'X' | 'Y' | 'a' | 'A' | 'n' | 'k' | 'K' | 'M'
                    | 'N' | 'g' => {}
                    letter => {
                        return Err(format!("ssh_args: the option `-{letter}` is not supported"));
                    }
                }
            }
            continue;
        }
        let rest = &letters[letter.len_utf8()..];
        let value = if rest.is_empty() {
            args.next()
                .ok_or_else(|| format!("ssh_args: the option `-{letter}` needs a value"))?
                .as_str()
        } else {
            rest
        };
        match letter {
            'o' => option(raw, value)?,
            'J' => raw.set("proxyjump", value),
            'p' => raw.set("port", value),
            'l' => raw.set("user", value),
            'i' => raw.set("identityfile", value),
            'F' => file = Some(value.to_owned()),
            // Multiplexing, forwarding, escape characters and logs.
            'S' | 'O' | 'L' | 'R' | 'D' | 'E' | 'e' => {}
            letter => return Err(format!("ssh_args: the option `-{letter}` is not supported")),
        }
    }
    Ok(file)
}

fn option(raw: &mut Raw, text: &str) -> Result<(), String> {
    let (name, value) =
        split_line(text).ok_or_else(|| format!("ssh_args: `{text}` is not an option"))?;
    if REFUSED.contains(&name.as_str()) && !matches!(value.to_lowercase().as_str(), "no" | "none") {
        return Err(format!("ssh_args: the option `{name}` is not supported"));
    }
    raw.set(&name, &value);
    Ok(())
}

/// Name, in lower case, and value; they are separated by blanks or one `=`.
fn split_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=')?;
    let value = line[end..].trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim();
    let lists = [
        "host",
        "match",
        "include",
        "userknownhostsfile",
        "globalknownhostsfile",
        "proxycommand",
    ];
    let name = line[..end].to_lowercase();
    let value = if lists.contains(&name.as_str()) {
        value.to_owned()
    } else {
        unquote(value)
    };
    Some((name, value))
}

fn unquote(value: &str) -> String {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
        .to_owned()
}

/// Words separated by blanks; double quotes keep blanks.
fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn matches_list(patterns: &[String], name: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches_pattern(pattern, name) => return false,
            None if matches_pattern(pattern, name) => found = true,
            _ => {}
        }
    }
    found
}

/// `*` stands for any text, `?` for one character.
pub(super) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what followed the last star did not match.
    let mut retry = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    p = star + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The files that a pattern of `Include` names, sorted; only its last part may have stars.
fn glob(pattern: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (
        pattern.parent(),
        pattern.file_name().and_then(|name| name.to_str()),
    ) else {
        return Vec::new();
    };
    if !name.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let Ok(list) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = list
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|file| !file.starts_with('.') && matches_pattern(name, file))
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

fn expand_home(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        None => PathBuf::from(path),
    }
}

fn tokens(text: &str, host_name: &str, alias: &str, port: u16, user: &str) -> String {
    let mut result = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        match chars.next() {
            Some('h') => result += host_name,
            Some('n') => result += alias,
            Some('p') => result += &port.to_string(),
            Some('r') => result += user,
            Some('u') => result += &current_user(),
            Some('d') => result += &std::env::home_dir().unwrap_or_default().to_string_lossy(),
            Some('%') | None => result.push('%'),
            Some(other) => {
                result.push('%');
                result.push(other);
            }
        }
    }
    result
}

/// The user that runs this program.
fn current_user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    // Users of a directory service are not in the file.
    named.or_else(|| std::env::var("USER").ok()).unwrap_or(uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Kind;

    fn read(host: &str, text: &str) -> Raw {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, text).unwrap();
        let mut raw = Raw {
            host: host.to_owned(),
            ..Raw::default()
        };
        raw.read_file(&file, folder.path(), 0).unwrap();
        raw
    }

    #[test]
    fn first_value_counts_and_blocks_apply() {
        let text = "Port=2200\nHost web* !web9\n  User \"web user\"\n\tPort 1\nHost *\nUser all\nHostName %h.example.org\n";
        let web = read("web1", text);
        assert_eq!(
            (web.get("port"), web.get("user")),
            (Some("2200"), Some("web user"))
        );
        assert_eq!(read("web9", text).get("user"), Some("all"));
        let options = web.finish(&Target::new("x", Kind::Ssh, "web1")).unwrap();
        assert_eq!(options.host_name, "web1.example.org");
        assert_eq!(options.known_name(), "[web1.example.org]:2200");
    }

    #[test]
    fn match_blocks() {
        let text = "Match host a,b user root\nPort 1\nMatch all\nPort 2\n";
        let mut raw = read("b", &format!("User root\n{text}"));
        assert_eq!(raw.get("port"), Some("1"));
        raw = read("c", text);
        assert_eq!(raw.get("port"), Some("2"));
    }

    #[test]
    fn command_line_forms() {
        let args = [
            "-o",
            "StrictHostKeyChecking=no",
            "-oPort=3",
            "-C",
            "-J",
            "jump",
            "ConnectTimeout 5",
        ];
        let target = Target {
            ssh_args: args.map(str::to_owned).to_vec(),
            ..Target::new("x", Kind::Ssh, "h")
        };
        let options = Options::resolve(&target).unwrap();
        assert_eq!(
            (options.strict, options.port, options.compression),
            (Strict::Off, 3, true)
        );
        assert_eq!(options.proxy_jump.as_deref(), Some("jump"));
        assert_eq!(options.connect_timeout, Some(Duration::from_secs(5)));
        let target = Target {
            ssh_args: vec!["-oCiphers=x".to_owned()],
            ..Target::new("x", Kind::Ssh, "h")
        };
        assert!(
            Options::resolve(&target)
                .unwrap_err()
                .to_string()
                .contains("`ciphers`")
        );
    }

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("*", ""),
            ("a*b*c", "axxbc"),
            ("?b", "ab"),
            ("*.x", "a.b.x"),
        ] {
            assert!(matches_pattern(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("?", ""), ("a*b", "abc"), ("", "a")] {
            assert!(!matches_pattern(pattern, name), "{pattern} {name}");
        }
    }
}
