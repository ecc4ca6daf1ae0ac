//! `authorized_key`: keys with which a user may log in.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::Data;
use rplay_modules::machine::attrs::{add_path_info, make_dirs, os_error_text, real_path};
use rplay_modules::machine::{Attrs, Content, Machine, User};
use rplay_modules::module;
use rplay_modules::outcome::{Diff, Failure, Outcome};

use crate::http;

/// Adds and removes public keys in a user's `authorized_keys`.
#[derive(ModuleArgs)]
struct Args {
    /// The user.
    user: String,
    /// The keys, a line each; or the address of a page with them, or `file://` and a path on the
    /// target.
    key: String,
    /// The file; `.ssh/authorized_keys` in the user's home unless given.
    path: Option<PathBuf>,
    /// Whether the keys are there or gone.
    #[arg(default = "present")]
    state: State,
    /// Options of the keys, in place of those that stand before them.
    key_options: Option<String>,
    /// The comment of the keys, in place of their own.
    comment: Option<String>,
    /// All other keys go.
    #[arg(default = "false")]
    exclusive: bool,
    /// Make the folder of the file, and see to its owner and mode.
    #[arg(default = "true")]
    manage_dir: bool,
    /// Change the file that a link leads to, not the link.
    #[arg(default = "false")]
    follow: bool,
    /// Whether certificates are checked when the keys come from a page.
    #[arg(default = "true")]
    validate_certs: bool,
}

/// What comes back, beside the arguments.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The file that has the keys.
    keyfile: String,
    /// The keys as given.
    key: String,
    /// The user.
    user: String,
}

module! {
    "ansible.posix.authorized_key", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.authorized_key"],
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let user = user(machine, &args.user)?;
    let given = given(machine, &args)?;
    let mut wanted = Vec::new();
    for line in given
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let Some(mut key) = Key::parse(line) else {
            return Err(Failure::new(format!("invalid key specified: {line}")));
        };
        if let Some(options) = &args.key_options {
            key.options = options_of(options);
        }
        if let Some(comment) = &args.comment {
            key.comment.clone_from(comment);
        }
        wanted.push(key);
    }
    let file = place(machine, &args, &user);
    let before = match machine.stat(&file, true) {
        Ok(None) => String::new(),
        _ => {
            let read = machine
                .read(&file)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            read.map_err(|error| {
                let error = os_error_text(&error);
                Failure::unexpected(format!("{error}: '{}'", file.display()))
            })?
        }
    };
    let old: Vec<Line> = before.lines().map(Line::parse).collect();
    let (new, changed) = edited(old, &wanted, &args);
    let mut outcome = Outcome::new(changed);
    if changed {
        let after: String = new.iter().map(Line::text).collect();
        let header = file.to_string_lossy();
        outcome = outcome.with_diff(Diff::text(before, after.clone(), &header, &header));
        write(machine, &args, &user, &file, &after)?;
    }
    outcome = outcome
        .with("user", args.user)
        .with("key", args.key)
        .with("key_options", args.key_options)
        .with("comment", args.comment)
        .with("exclusive", args.exclusive)
        .with("manage_dir", args.manage_dir)
        .with("follow", args.follow)
        .with("validate_certs", args.validate_certs)
        .with("state", args.state.word())
        .with("keyfile", file.to_string_lossy().into_owned());
    match &args.path {
        None => Ok(outcome.with("path", Data::Null)),
        Some(path) => {
            outcome = outcome.with("path", path.to_string_lossy().into_owned());
            add_path_info(machine, path, &mut outcome.results);
            Ok(outcome)
        }
    }
}

fn user(machine: &mut dyn Machine, name: &str) -> Result<User, Failure> {
    machine.user_by_name(name).ok_or_else(|| {
        Failure::new(format!(
            "Failed to lookup user {name}: \"getpwnam(): name not found: {}\"",
            Data::from(name).repr()
        ))
    })
}

/// The text of the keys.
fn given(machine: &mut dyn Machine, args: &Args) -> Result<String, Failure> {
    let key = &args.key;
    let bytes = if let Some(path) = key.strip_prefix("file://") {
        let path = Path::new(path);
        if !matches!(machine.stat(path, true), Ok(Some(_))) {
            let msg = format!("Path to a key file not found: {}", path.display());
            return Err(Failure::new(msg));
        }
        machine
            .read(path)
            .map_err(|error| format!("Error reading key file {key}: {}", os_error_text(&error)))?
    } else if key.starts_with("http") {
        http::get(machine, key, args.validate_certs)
            .map_err(|_| format!("Error getting key from: {key}"))?
    } else {
        return Ok(key.clone());
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The file.
fn place(machine: &mut dyn Machine, args: &Args, user: &User) -> PathBuf {
    let file = args
        .path
        .clone()
        .unwrap_or_else(|| Path::new(&user.home).join(".ssh").join("authorized_keys"));
    match args.follow {
        true => real_path(machine, &file),
        false => file,
    }
}

/// The lines as they should be, and whether something changed.
fn edited(mut lines: Vec<Line>, wanted: &[Key], args: &Args) -> (Vec<Line>, bool) {
    let mut changed = false;
    for key in wanted {
        let old = lines.iter().position(|line| match line {
            Line::Key(old) => old.blob == key.blob,
            Line::Other(_) => false,
        });
        match (args.state, old) {
            (State::Absent, Some(at)) => {
                lines.remove(at);
            }
            (State::Absent, None) => continue,
            (State::Present, Some(at)) => {
                if matches!(&lines[at], Line::Key(old) if old == key) {
                    continue;
                }
                lines.remove(at);
                lines.push(Line::Key(key.clone()));
            }
            (State::Present, None) => lines.push(Line::Key(key.clone())),
        }
        changed = true;
    }
    if args.exclusive && args.state == State::Present {
        let count = lines.len();
        lines.retain(|line| match line {
            Line::Key(old) => wanted.iter().any(|key| key.blob == old.blob),
            Line::Other(_) => false,
        });
        changed |= lines.len() != count;
    }
    (lines, changed)
}

fn write(
    machine: &mut dyn Machine,
    args: &Args,
    user: &User,
    file: &Path,
    text: &str,
) -> Result<(), Failure> {
    let fail = |error: std::io::Error, path: &Path| {
        let error = os_error_text(&error);
        Failure::unexpected(format!("{error}: '{}'", path.display()))
    };
    if let Some(folder) = file.parent() {
        let there = matches!(machine.stat(folder, true), Ok(Some(_)));
        if args.manage_dir {
            if !there {
                if let Some(above) = folder.parent() {
                    make_dirs(machine, above)?;
                }
                machine
                    .make_dir(folder, Some(0o700))
                    .map_err(|error| fail(error, folder))?;
            }
            machine
                .chown(folder, Some(user.uid), Some(user.gid), true)
                .and_then(|()| machine.chmod(folder, 0o700, true))
                .map_err(|error| fail(error, folder))?;
        } else if !there {
            make_dirs(machine, folder)?;
        }
    }
    let attrs = Attrs {
        mode: Some(0o600),
        uid: Some(user.uid),
        gid: Some(user.gid),
        ..Attrs::default()
    };
    machine
        .write(file, Content::Bytes(text.as_bytes()), &attrs)
        .map_err(|error| fail(error, file))
}

/// A line of the file.
enum Line {
    Key(Key),
    /// A comment, a blank line, or something that is no key.
    Other(String),
}

impl Line {
    fn parse(line: &str) -> Self {
        let key = Some(line).filter(|line| !line.trim_start().starts_with('#'));
        match key.and_then(Key::parse) {
            Some(key) => Self::Key(key),
            None => Self::Other(line.to_owned()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Other(text) => format!("{text}\n"),
            Self::Key(key) => {
                let options: Vec<String> = key
                    .options
                    .iter()
                    .map(|(name, value)| match value {
                        Some(value) => format!("{name}={value}"),
                        None => name.clone(),
                    })
                    .collect();
                let options = options.join(",");
                let space = if options.is_empty() { "" } else { " " };
                format!(
                    "{options}{space}{} {} {}\n",
                    key.kind, key.blob, key.comment
                )
            }
        }
    }
}

/// A public key with what stands around it.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    options: Vec<(String, Option<String>)>,
    kind: String,
    blob: String,
    comment: String,
}

/// What a key's type may be.
const KINDS: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-dss",
    "ssh-rsa",
    "ssh-xmss@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-ed25519-cert-v01@openssh.com",
    "ssh-rsa-cert-v01@openssh.com",
    "ssh-xmss-cert-v01@openssh.com",
];

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let words = pieces(line, |letter| letter == ' ' || letter == '\t');
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let at = words.iter().take(2).position(|word| KINDS.contains(word))?;
        Some(Self {
            options: match at {
                0 => Vec::new(),
                _ => options_of(words[0]),
            },
            kind: words[at].to_owned(),
            blob: (*words.get(at + 1)?).to_owned(),
            comment: words[at + 2..].join(" "),
        })
    }
}

/// Options with their values, in their order.
fn options_of(text: &str) -> Vec<(String, Option<String>)> {
    let mut options: Vec<(String, Option<String>)> = Vec::new();
    for part in pieces(text, |letter| letter == ',') {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (part, None),
        };
        if name.is_empty() {
            continue;
        }
        // Some options may stand several times.
        let repeats = matches!(name, "environment" | "permitopen" | "permitlisten");
        match options.iter_mut().find(|(old, _)| old == name && !repeats) {
            Some(old) => old.1 = value,
            None => options.push((name.to_owned(), value)),
        }
    }
    options
}

/// The parts of a text between separators outside of double quotes.
fn pieces(text: &str, separates: impl Fn(char) -> bool) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !escaped => quoted = !quoted,
            letter if !quoted && separates(letter) => {
                parts.push(&text[start..at]);
                start = at + letter.len_utf8();
            }
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let line = r#"command="a \"b\", c",no-pty,environment="A=1",environment="B=2" ssh-rsa AAAA  me  you"#;
        let key = Key::parse(line).unwrap();
        assert_eq!(key.options.len(), 4);
        assert_eq!(
            Line::Key(key).text(),
            "command=\"a \\\"b\\\", c\",no-pty,environment=\"A=1\",environment=\"B=2\" ssh-rsa AAAA me you\n"
        );
        assert_eq!(Key::parse("nonsense here"), None);
    }
}
