//! Reads the files and the command line into options as they were written.
//!
//! Words, quotes, comments, blocks and errors are those of OpenSSH's `readconf.c` as its manual
//! describes them; a test compares with `ssh -G`. One difference: the user's home is `$HOME`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rplay_modules::machine::glob::glob;
use rplay_modules::machine::real::RealMachine;

use super::tokens::{self, Tokens, expand_home};

/// What an option is to us.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// One word; the first one written counts.
    Word,
    /// Yes or no.
    Flag,
    /// The rest of the line, not split into words.
    Line,
    /// Several words; the first line counts.
    Words,
    /// One word, and each line adds one.
    Each,
    /// Several words, and each line adds some.
    EachWord,
    /// A time span or a number.
    Number,
    /// Nothing that concerns a connection without terminal and logs.
    Skip,
    /// Only the system's `ssh` can do it; `no` and `none` are like not having said it.
    Carry,
}

/// Every option of OpenSSH's client, and how it is read.
fn known(name: &str) -> Option<Use> {
    Some(match name {
        "hostname"
        | "user"
        | "hostkeyalias"
        | "identityagent"
        | "addressfamily"
        | "bindaddress"
        | "ciphers"
        | "macs"
        | "kexalgorithms"
        | "hostkeyalgorithms"
        | "pubkeyacceptedalgorithms"
        | "preferredauthentications"
        | "stricthostkeychecking"
        | "ignoreunknown"
        | "forwardagent"
        | "tag" => Use::Word,
        "pubkeyacceptedkeytypes" => return known("pubkeyacceptedalgorithms"),
        "proxyjump" | "proxycommand" => Use::Line,
        "identitiesonly"
        | "compression"
        | "passwordauthentication"
        | "kbdinteractiveauthentication"
        | "pubkeyauthentication"
        | "hashknownhosts"
        | "clearallforwardings"
        | "permitlocalcommand"
        | "gssapiauthentication"
        | "tcpkeepalive"
        | "batchmode" => Use::Flag,
        "port"
        | "connecttimeout"
        | "serveraliveinterval"
        | "serveralivecountmax"
        | "connectionattempts"
        | "requiredrsasize" => Use::Number,
        "userknownhostsfile" | "globalknownhostsfile" | "setenv" => Use::Words,
        "identityfile" | "certificatefile" => Use::Each,
        "sendenv" => Use::EachWord,
        "hostbasedauthentication"
        | "pkcs11provider"
        | "smartcarddevice"
        | "proxyusefdpass"
        | "canonicalizehostname"
        | "knownhostscommand"
        | "bindinterface"
        | "revokedhostkeys"
        | "verifyhostkeydns"
        | "nohostauthenticationforlocalhost"
        | "localforward"
        | "remoteforward"
        | "dynamicforward"
        | "forwardx11"
        | "tunnel"
        | "localcommand"
        | "refuseconnection" => Use::Carry,
        name if SKIPPED.contains(&name) => Use::Skip,
        _ => return None,
    })
}

/// Options that concern nothing but terminals, multiplexing, logs and old protocols.
const SKIPPED: &[&str] = &[
    "addkeystoagent",
    "afstokenpassing",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "casignaturealgorithms",
    "challengeresponseauthentication",
    "channeltimeout",
    "checkhostip",
    "cipher",
    "compressionlevel",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fallbacktorsh",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "globalknownhostsfile2",
    "gssapiclientidentity",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "hostbasedacceptedalgorithms",
    "hostbasedkeytypes",
    "ipqos",
    "kbdinteractivedevices",
    "keepalive",
    "kerberosauthentication",
    "kerberostgtpassing",
    "loglevel",
    "logverbose",
    "numberofpasswordprompts",
    "obscurekeystroketiming",
    "permitremoteopen",
    "protocol",
    "protocolkeepalives",
    "rekeylimit",
    "remotecommand",
    "requesttty",
    "rhostsauthentication",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "securitykeyprovider",
    "sessiontype",
    "setuptimeout",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tunneldevice",
    "updatehostkeys",
    "useprivilegedport",
    "userknownhostsfile2",
    "useroaming",
    "usersh",
    "versionaddendum",
    "visualhostkey",
    "warnweakcrypto",
    "xauthlocation",
];

/// The name that counts for an option's other names.
fn real_name(name: &str) -> &str {
    match name {
        "identityfile2" => "identityfile",
        "dsaauthentication" => "pubkeyauthentication",
        "challengeresponseauthentication" | "skeyauthentication" | "tisauthentication" => {
            "kbdinteractiveauthentication"
        }
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms",
        name => name,
    }
}

/// Options as they were written.
#[derive(Clone, Default)]
pub(super) struct Raw {
    /// What `Host` lines are compared with; in the second pass the name that `HostName` gave.
    pub(super) host: String,
    /// What the user typed.
    pub(super) original: String,
    values: Vec<(String, Vec<String>)>,
    /// Whether this is the second pass, and whether a `Match final` asked for one.
    last: bool,
    wants_last: bool,
    /// What only the system's `ssh` can do.
    pub(super) beyond: Vec<String>,
}

impl Raw {
    pub(super) fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            original: host.to_owned(),
            ..Self::default()
        }
    }

    /// The first word of an option.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.words(name).first().map(String::as_str)
    }

    /// The words of an option's first line.
    pub(super) fn words(&self, name: &str) -> &[String] {
        let line = self.values.iter().find(|(known, _)| known == name);
        line.map_or(&[], |(_, words)| words)
    }

    /// The words of all of an option's lines.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.values.iter().filter(move |(known, _)| known == name);
        lines.flat_map(|(_, words)| words.iter().map(String::as_str))
    }

    /// Sets an option that has no value yet.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.values.push((name.to_owned(), vec![value.to_owned()]));
        }
    }

    /// Adds a word to an option that may have several, unless it is there.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        if !self.all(name).any(|known| known == value) {
            self.values.push((name.to_owned(), vec![value.to_owned()]));
        }
    }

    /// Says why the system's `ssh` is needed.
    fn carry(&mut self, what: &str) {
        if !self.beyond.iter().any(|known| known == what) {
            self.beyond.push(what.to_owned());
        }
    }

    /// The user's and the system's files, or the file of `-F`; twice if `Match final` is there.
    pub(super) fn read_files(&mut self, file: Option<&str>) -> Result<(), String> {
        self.pass(file)?;
        if self.wants_last {
            self.host = canonical(&self.host_name()?);
            self.values.retain(|(name, _)| name != "hostname");
            let name = self.host.clone();
            self.set("hostname", &name);
            self.last = true;
            self.pass(file)?;
        }
        Ok(())
    }

    fn pass(&mut self, file: Option<&str>) -> Result<(), String> {
        let home = std::env::home_dir().unwrap_or_default();
        let users = |checked| Place {
            folder: home.join(".ssh"),
            depth: 0,
            users: true,
            checked,
        };
        let Some(file) = file else {
            let own = home.join(".ssh/config");
            self.read_file(&own, &users(true), &mut true)?;
            let system = Place {
                folder: PathBuf::from("/etc/ssh"),
                depth: 0,
                users: false,
                checked: false,
            };
            self.read_file(Path::new("/etc/ssh/ssh_config"), &system, &mut true)?;
            return Ok(());
        };
        if file.eq_ignore_ascii_case("none") {
            return Ok(());
        }
        let path = expand_home(file);
        if self.read_file(&path, &users(false), &mut true)? {
            return Ok(());
        }
        let why = std::fs::File::open(&path).err();
        let why = why.map_or_else(String::new, |error| super::super::ssh::system_text(&error));
        Err(format!("Can't open user config file {file}: {why}"))
    }

    /// Reads a file; whether it could be opened.
    fn read_file(
        &mut self,
        path: &Path,
        place: &Place,
        applies: &mut bool,
    ) -> Result<bool, String> {
        let Ok(text) = std::fs::read(path) else {
            return Ok(false);
        };
        if place.depth > 16 {
            return Err("Too many recursive configuration includes".to_owned());
        }
        if place.checked
            && let Ok(state) = std::fs::metadata(path)
        {
            let own = [0, rustix::process::getuid().as_raw()].contains(&state.uid());
            if !own || state.mode() & 0o022 != 0 {
                return Err(format!("Bad owner or permissions on {}", path.display()));
            }
        }
        // Within a block that does not apply, an included file has none that does.
        let never = !*applies;
        let mut bad = 0;
        let mut first = None;
        for (index, line) in String::from_utf8_lossy(&text).lines().enumerate() {
            if let Err(text) = self.read_line(line, place, applies, never) {
                bad += 1;
                first.get_or_insert(format!("{} line {}: {text}", path.display(), index + 1));
            }
        }
        match first {
            Some(text) => Err(format!(
                "{text}\r\n{}: terminating, {bad} bad configuration options",
                path.display()
            )),
            None => Ok(true),
        }
    }

    fn read_line(
        &mut self,
        line: &str,
        place: &Place,
        applies: &mut bool,
        never: bool,
    ) -> Result<(), String> {
        let Some((name, rest)) = keyword(line) else {
            return Ok(());
        };
        let rest = rest.trim_matches(BLANKS);
        let name = name.to_lowercase();
        let name = real_name(&name);
        match name {
            "host" => {
                let patterns = split(rest)?;
                *applies = !never && matches_words(&patterns, &self.host);
                Ok(())
            }
            "match" => {
                let holds = self.matches(rest)?;
                *applies = holds && !never;
                Ok(())
            }
            "include" => self.include(&split(rest)?, place, *applies),
            name => self.option(name, rest, *applies),
        }
    }

    fn include(&mut self, patterns: &[String], place: &Place, applies: bool) -> Result<(), String> {
        for pattern in patterns {
            if pattern.starts_with('~') && !place.users {
                return Err(format!("bad include path {pattern}."));
            }
            let pattern = place.folder.join(expand_home(pattern));
            let mut files = glob(&mut RealMachine::new(), &pattern);
            files.sort();
            for file in files {
                let inner = Place {
                    folder: place.folder.clone(),
                    depth: place.depth + 1,
                    checked: true,
                    ..*place
                };
                // Its blocks end with it.
                self.read_file(&file, &inner, &mut applies.clone())?;
            }
        }
        Ok(())
    }

    /// One option with what follows its name; noted if it applies and nothing was said before.
    pub(super) fn option(&mut self, name: &str, rest: &str, applies: bool) -> Result<(), String> {
        let name = real_name(name);
        let Some(kind) = known(name) else {
            let ignored = self.get("ignoreunknown").unwrap_or_default();
            if matches_list(&ignored.to_lowercase(), name) {
                return Ok(());
            }
            return Err(format!("Bad configuration option: {name}"));
        };
        if rest.is_empty() {
            return Err(format!("no argument after keyword \"{name}\""));
        }
        if kind == Use::Line {
            split(rest)?;
            return self.line(name, rest.trim_start_matches([' ', '\t', '=']), applies);
        }
        let words = split(rest)?;
        let Some(first) = words.first() else {
            return Err(format!("missing argument for {name}."));
        };
        if words.len() > 1 && matches!(kind, Use::Word | Use::Flag | Use::Number | Use::Each) {
            return Err(format!("keyword {name} extra arguments at end of line"));
        }
        let value = check(name, kind, first)?;
        if name == "setenv" && words.iter().any(|word| !word.contains('=')) {
            return Err("Invalid SetEnv.".to_owned());
        }
        // `ConnectTimeout none` is like not having said it.
        if !applies || (name == "connecttimeout" && first == "none") {
            return Ok(());
        }
        match kind {
            Use::Skip => {}
            Use::Carry => {
                if name == "localforward" || name == "remoteforward" || name == "dynamicforward" {
                    self.add(name, &words.join(" "));
                } else {
                    self.set(name, first);
                }
            }
            Use::Each => self.add(name, first),
            Use::EachWord => {
                for word in &words {
                    self.send(name, word);
                }
            }
            Use::Words if self.get(name).is_none() => {
                self.values.push((name.to_owned(), words));
            }
            Use::Words => {}
            Use::Word | Use::Flag | Use::Number | Use::Line => self.set(name, &value),
        }
        Ok(())
    }

    /// `SendEnv`: a name with `-` in front takes back what was said before.
    fn send(&mut self, name: &str, word: &str) {
        match word.strip_prefix('-') {
            Some(pattern) => self.values.retain(|(known, words)| {
                known != name || !matches_pattern(pattern, words.first().map_or("", |word| word))
            }),
            None => self.values.push((name.to_owned(), vec![word.to_owned()])),
        }
    }

    /// Of `ProxyCommand` and `ProxyJump` the first one counts; only a command may follow `ProxyJump none`.
    fn line(&mut self, name: &str, value: &str, applies: bool) -> Result<(), String> {
        let is_none = |value: &str| value.eq_ignore_ascii_case("none");
        let free = applies && self.get("proxycommand").is_none();
        if name == "proxycommand" {
            if free && self.get("proxyjump").is_none_or(is_none) {
                self.set(name, value);
            }
            return Ok(());
        }
        let value = value.split('#').next().unwrap_or_default().trim_end();
        if !is_none(value) {
            for hop in value.split(',') {
                super::hop(hop)?;
            }
        }
        if free {
            self.set(name, value);
        }
        Ok(())
    }

    /// The conditions of a `Match` line.
    fn matches(&mut self, line: &str) -> Result<bool, String> {
        let mut rest = line;
        let mut count = 0;
        let mut all = true;
        while let Some(word) = next_word(&mut rest) {
            if word.starts_with('#') {
                break;
            }
            let negated = word.starts_with('!');
            let name = word.trim_start_matches('!').to_lowercase();
            if name == "all" {
                let more = next_word(&mut rest).filter(|word| !word.starts_with('#'));
                if count > 1 || more.is_some() {
                    return Err("'all' cannot be combined with other Match attributes".to_owned());
                }
                return Ok(all && !negated);
            }
            count += 1;
            if name == "canonical" || name == "final" {
                self.wants_last |= name == "final" && !self.last;
                all &= self.last != negated;
                continue;
            }
            let Some(value) = next_word(&mut rest).filter(|word| !word.starts_with('#')) else {
                return Err(format!("Missing Match criteria for {name}"));
            };
            let own = tokens::current_user();
            let holds = match name.as_str() {
                "host" => matches_list(&value.to_lowercase(), &self.host_name()?.to_lowercase()),
                "originalhost" => {
                    matches_list(&value.to_lowercase(), &self.original.to_lowercase())
                }
                "user" => matches_list(&value, self.get("user").unwrap_or(&own)),
                "localuser" => matches_list(&value, &own),
                "tagged" => matches_list(&value, self.get("tag").unwrap_or_default()),
                "exec" if !all => continue,
                "exec" => run(&self.tokens()?.expand(&value)?)?,
                // What it depends on is known to the system's `ssh` alone.
                "localnetwork" | "sessiontype" | "command" | "version" => {
                    self.carry(&format!("Match {name}"));
                    false
                }
                _ => return Err(format!("Unsupported Match attribute {name}")),
            };
            all &= holds != negated;
        }
        if count == 0 {
            return Err("One or more attributes required for Match".to_owned());
        }
        Ok(all)
    }

    /// The name to connect to, as far as it has been said.
    pub(super) fn host_name(&self) -> Result<String, String> {
        if self.last {
            return Ok(self.host.clone());
        }
        match self.get("hostname") {
            Some(name) => tokens::expand(name, &[('h', &self.host)]),
            None => Ok(self.host.clone()),
        }
    }

    /// What stands for the tokens, as far as it has been said.
    pub(super) fn tokens(&self) -> Result<Tokens, String> {
        Ok(Tokens {
            host_name: self.host_name()?,
            original: self.original.clone(),
            port: self.get("port").unwrap_or("22").to_owned(),
            user: self
                .get("user")
                .map_or_else(tokens::current_user, str::to_owned),
            alias: self.get("hostkeyalias").map(str::to_owned),
            jump: self.get("proxyjump").unwrap_or_default().to_owned(),
        })
    }

    /// Options that were said and that only the system's `ssh` can do.
    pub(super) fn carried(&mut self) {
        let cleared = self.get("clearallforwardings").is_some_and(is_yes);
        let commands = self.get("permitlocalcommand").is_some_and(is_yes);
        let carried = |(name, words): &(String, Vec<String>)| {
            let said = !matches!(
                words.first().map(|word| word.to_lowercase()).as_deref(),
                None | Some("no" | "none" | "false" | "0")
            );
            let counts = match name.as_str() {
                "localforward" | "remoteforward" | "dynamicforward" => !cleared,
                "localcommand" => commands,
                _ => true,
            };
            (said && counts && known(name) == Some(Use::Carry)).then(|| name.clone())
        };
        let names: Vec<_> = self.values.iter().filter_map(carried).collect();
        for name in names {
            self.carry(&name);
        }
    }
}

/// Where a file was named.
struct Place {
    /// Where relative names of `Include` are.
    folder: PathBuf,
    depth: u32,
    /// Whether it is the user's.
    users: bool,
    /// Whether others must not be able to write it.
    checked: bool,
}

const BLANKS: [char; 5] = [' ', '\t', '\r', '\n', '\x0c'];

/// The name of an option and the rest of its line; `None` for a line that says nothing.
pub(super) fn keyword(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find([' ', '\t', '=', '"']).unwrap_or(line.len());
    let rest = line[end..].trim_start_matches(BLANKS);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((&line[..end], rest.trim_start_matches(BLANKS)))
}

/// The next word of a `Match` line: blanks and one `=` separate, double quotes keep blanks.
fn next_word(rest: &mut &str) -> Option<String> {
    let text = rest.trim_start_matches(BLANKS);
    if text.is_empty() {
        *rest = "";
        return None;
    }
    let (word, after) = if let Some(quoted) = text.strip_prefix('"') {
        let end = quoted.find('"').unwrap_or(quoted.len());
        (&quoted[..end], quoted.get(end + 1..).unwrap_or_default())
    } else {
        let end = text.find([' ', '\t', '=', '"']).unwrap_or(text.len());
        (&text[..end], &text[end..])
    };
    let after = after.trim_start_matches(BLANKS);
    *rest = after.strip_prefix('=').unwrap_or(after);
    Some(word.to_owned())
}

/// Words separated by blanks; quotes of both kinds and backslashes keep what is special, and a `#`
/// at the beginning of a word ends the line.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.peek() {
                    Some('\'' | '"' | '\\') => word.extend(chars.next()),
                    Some(' ') if quote.is_none() => word.extend(chars.next()),
                    _ => word.push('\\'),
                },
                ' ' | '\t' if quote.is_none() => break,
                '"' | '\'' if quote.is_none() => quote = Some(c),
                c if quote == Some(c) => quote = None,
                c => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("invalid quotes".to_owned());
        }
        words.push(word);
    }
}

/// A name in small letters, as OpenSSH connects to it.
pub(super) fn canonical(host: &str) -> String {
    match host.parse::<std::net::IpAddr>() {
        Ok(_) => host.to_owned(),
        Err(_) => host.to_lowercase(),
    }
}

fn is_yes(value: &str) -> bool {
    value.eq_ignore_ascii_case("yes") || value.eq_ignore_ascii_case("true")
}

/// A value in the form in which it is used.
fn check(name: &str, kind: Use, value: &str) -> Result<String, String> {
    let lower = value.to_lowercase();
    let unsupported = || Err(format!("unsupported option \"{value}\"."));
    match (name, kind) {
        ("pubkeyauthentication", _) if matches!(&*lower, "unbound" | "host-bound") => {
            Ok("yes".to_owned())
        }
        (_, Use::Flag) => match &*lower {
            "true" | "false" if name == "compression" => unsupported(),
            "yes" | "true" => Ok("yes".to_owned()),
            "no" | "false" => Ok("no".to_owned()),
            _ => unsupported(),
        },
        ("stricthostkeychecking", _) => match &*lower {
            "yes" | "true" => Ok("yes".to_owned()),
            "no" | "false" | "off" => Ok("no".to_owned()),
            "ask" | "accept-new" => Ok(lower),
            _ => unsupported(),
        },
        ("addressfamily", _) => match &*lower {
            "inet" | "inet6" | "any" => Ok(lower),
            _ => unsupported(),
        },
        ("port", _) => match value.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port.to_string()),
            _ => Err(format!("Bad number '{value}'.")),
        },
        ("connecttimeout", _) if value == "none" => Ok("0".to_owned()),
        ("connecttimeout" | "serveraliveinterval", _) => {
            let seconds = seconds(value).ok_or("invalid time value.")?;
            Ok(seconds.to_string())
        }
        (_, Use::Number) => match value.parse::<i32>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err("integer value missing or invalid.".to_owned()),
        },
        _ => Ok(value.to_owned()),
    }
}

/// A time span: numbers with `s`, `m`, `h`, `d` or `w`, added up.
fn seconds(text: &str) -> Option<u32> {
    let mut total = 0_u32;
    let mut number = None::<u32>;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let so_far = number.unwrap_or(0);
            number = Some(so_far.checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    let total = total.checked_add(number.unwrap_or(0))?;
    (!text.is_empty() && i32::try_from(total).is_ok()).then_some(total)
}

/// Whether a command succeeds, in the user's shell.
fn run(command: &str) -> Result<bool, String> {
    let status = Command::new(super::super::ssh::shell())
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let status = status.map_err(|error| format!("Match exec '{command}': {error}"))?;
    Ok(status.success())
}

fn matches_words(patterns: &[String], name: &str) -> bool {
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

/// A list of patterns with commas; a negated one that matches forbids.
fn matches_list(list: &str, name: &str) -> bool {
    let patterns: Vec<_> = list.split(',').map(str::to_owned).collect();
    matches_words(&patterns, name)
}

/// `*` stands for any text, `?` for one character.
pub(in crate::connect) fn matches_pattern(pattern: &str, name: &str) -> bool {
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
