//! `openssh_keypair`: a key of OpenSSH with its public half, made by `ssh-keygen`.

use std::path::{Path, PathBuf};

use rplay_modules::args::state::PresentFirst as State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns};
use rplay_modules::data::Map;
use rplay_modules::machine::attrs::{FileArgs, Sides, os_error, temporary_folder, unique_name};
use rplay_modules::machine::{Attrs, Change, Command, Content, FileKind, Machine};
use rplay_modules::outcome::{Diff, Failure, Outcome};
use rplay_modules::{map, module};

use super::regenerate::Regenerate;
use crate::builtin::programs;

/// Makes a key for OpenSSH and the file of its public half, and looks after them.
#[derive(ModuleArgs)]
struct Args {
    /// Whether the files are there.
    #[arg(default = "present")]
    state: State,
    /// Bits of the key. Without it 4096 for `rsa`, 1024 for `dsa` and 256 for the others.
    size: Option<i64>,
    /// The kind of key.
    #[arg(default = "rsa", choices = "rsa, dsa, rsa1, ecdsa, ed25519, mldsa44")]
    r#type: String,
    /// Make a new key in any case.
    #[arg(default = "false")]
    force: bool,
    /// The file of the private half; the public one has `.pub` behind it.
    path: PathBuf,
    /// The comment in the public half.
    comment: Option<String>,
    /// What protects the private half.
    #[arg(secret)]
    passphrase: Option<String>,
    /// How the private half is written.
    #[arg(default = "auto")]
    private_key_format: Format,
    /// The program `ssh-keygen` makes the key, whatever this says.
    #[arg(default = "auto", choices = "auto, cryptography, opensshbin")]
    backend: String,
    /// When a new key is made: in no case, never but with an error, when kind or size differ, also when the key cannot be read, or always.
    #[arg(default = "partial_idempotence")]
    regenerate: Regenerate,
    /// Owner, group and mode.
    #[arg(flatten)]
    file: FileArgs,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Format {
    Auto,
    Pkcs1,
    Pkcs8,
    Ssh,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// Bits of the key, as the task asks for.
    size: i64,
    /// The kind of key, as the task asks for.
    r#type: String,
    /// The file of the private half.
    filename: String,
    /// The fingerprint.
    fingerprint: String,
    /// The public half.
    public_key: String,
    /// Its comment.
    comment: String,
}

module! {
    "community.crypto.openssh_keypair", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.openssh_keypair"],
}

/// What is known of a key.
#[derive(Clone, Default, PartialEq)]
struct Key {
    kind: String,
    size: i64,
    fingerprint: String,
    /// Kind and number, without the comment.
    public: String,
    comment: String,
    format: &'static str,
}

impl Key {
    fn side(&self) -> Map {
        map! {
            "comment" => self.comment.as_str(),
            "fingerprint" => self.fingerprint.as_str(),
            "format" => self.format,
            "public_key" => self.public.split(' ').nth(1).unwrap_or_default(),
            "size" => self.size,
            "type" => self.kind.as_str(),
        }
    }
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let size = size(&args)?;
    if args.backend == "opensshbin" && args.private_key_format != Format::Auto {
        return Err(Failure::new(
            "'auto' is the only valid option for 'private_key_format' when 'backend' is not 'cryptography'",
        ));
    }
    let mut pair = Pair {
        keygen: String::new(),
        public_path: PathBuf::from(format!("{}.pub", args.path.display())),
        size,
        args,
        machine,
    };
    let there = pair.look()?;
    pair.keygen = programs::required(pair.machine, "ssh-keygen")?;
    match pair.args.state {
        State::Absent => pair.remove(there),
        State::Present => pair.ensure(there),
    }
}

/// The bits that are asked for.
fn size(args: &Args) -> Result<i64, Failure> {
    let wrong = match (args.r#type.as_str(), args.size) {
        ("rsa" | "rsa1", size) => match size.unwrap_or(4096) {
            size if size >= 1024 => return Ok(size),
            _ => {
                "For RSA keys, the minimum size is 1024 bits and the default is 4096 bits. Attempting to use bit lengths under 1024 will cause the module to fail."
            }
        },
        ("dsa", None | Some(1024)) => return Ok(1024),
        ("dsa", _) => "DSA keys must be exactly 1024 bits as specified by FIPS 186-2.",
        ("ecdsa", size) => match size.unwrap_or(256) {
            size @ (256 | 384 | 521) => return Ok(size),
            _ => {
                "For ECDSA keys, size determines the key length by selecting from one of three elliptic curve sizes: 256, 384 or 521 bits. Attempting to use bit lengths other than these three values for ECDSA keys will cause this module to fail."
            }
        },
        // The others have one size only.
        _ => return Ok(256),
    };
    Err(Failure::new(wrong))
}

struct Pair<'a> {
    machine: &'a mut dyn Machine,
    keygen: String,
    args: Args,
    size: i64,
    public_path: PathBuf,
}

impl Pair<'_> {
    /// Whether there is a private half.
    fn look(&mut self) -> Result<bool, Failure> {
        let path = self.args.path.clone();
        let parent = path.parent().unwrap_or(Path::new("/"));
        let folder = self.machine.stat(parent, true).ok().flatten();
        if folder.is_none_or(|stat| stat.kind != FileKind::Directory) {
            let name = parent.display().to_string();
            return Err(Failure::new(format!(
                "The directory {name} does not exist or the file is not a directory"
            ))
            .with("name", name));
        }
        match self.machine.stat(&path, true) {
            Ok(Some(stat)) if stat.kind == FileKind::Directory => Err(Failure::new(format!(
                "{} is a directory. Please specify a path to a file.",
                path.display()
            ))),
            Ok(Some(_)) => Ok(true),
            _ => Ok(false),
        }
    }

    fn ensure(&mut self, there: bool) -> Result<Outcome, Failure> {
        let old = if there { self.read() } else { None };
        let mut changed = self.wanted(there, old.as_ref())?;
        let key = match &old {
            Some(old) if !changed => old.clone(),
            _ if changed => self.generate()?,
            _ => return Err(unreadable()),
        };
        let mut key = key;
        changed |= self.ensure_public(&mut key)?;
        let (path, public) = (self.args.path.clone(), self.public_path.clone());
        let file = self.args.file.clone();
        changed |= file.ensure(self.machine, &path, &mut Sides::default())?;
        let others = FileArgs { mode: None, ..file };
        changed |= others.ensure(self.machine, &public, &mut Sides::default())?;
        let before = old.as_ref().map(Key::side).unwrap_or_default();
        Ok(self.told(changed, &key, before, key.side()))
    }

    /// Whether a new key is to be made.
    fn wanted(&self, there: bool, old: Option<&Key>) -> Result<bool, Failure> {
        let mode = self.args.regenerate;
        if !there || self.args.force || mode == Regenerate::Always {
            return Ok(true);
        }
        let Some(old) = old else {
            return match mode {
                Regenerate::Full => Ok(true),
                _ => Err(unreadable()),
            };
        };
        let format = match self.args.private_key_format {
            Format::Auto => old.format,
            Format::Pkcs1 => "PKCS1",
            Format::Pkcs8 => "PKCS8",
            Format::Ssh => "SSH",
        };
        let fits =
            (old.kind == self.args.r#type, old.size, old.format) == (true, self.size, format);
        match mode {
            _ if fits => Ok(false),
            Regenerate::Never => Ok(false),
            Regenerate::Fail => Err(Failure::new(
                "Key has wrong type and/or size. Will not proceed. To force regeneration, call the module with `generate` set to `partial_idempotence`, `full_idempotence` or `always`, or with `force=true`.",
            )),
            _ => Ok(true),
        }
    }

    /// The fact that tells check mode of a key that would have been made.
    fn fact(&self) -> String {
        format!("openssh_keypair:{}", self.args.path.display())
    }

    /// A command that is given the passphrase. The program asks another one for it, with its
    /// question as argument; `printenv` answers from the environment, so that the passphrase is in
    /// no file and no process's arguments.
    fn command(&self, words: &[&str], passphrase: &str) -> Command {
        let words = words.iter().copied();
        let mut command =
            Command::new(std::iter::once(self.keygen.as_str()).chain(words)).c_locale();
        command.stdin = Some(Vec::new());
        let mut set = |name: &str, value: &str| {
            command.env.push((name.to_owned(), Some(value.to_owned())));
        };
        set("SSH_ASKPASS", "/usr/bin/printenv");
        set("SSH_ASKPASS_REQUIRE", "force");
        set("DISPLAY", ":0");
        let path = self.args.path.display();
        for question in ["Enter passphrase", "Enter old passphrase"] {
            set(&format!("{question}: "), passphrase);
            set(&format!("{question} for \"{path}\": "), passphrase);
        }
        command
    }

    /// What is there; nothing where the passphrase is wrong or the file is no key.
    fn read(&mut self) -> Option<Key> {
        if let Some(known) = self.machine.assumed(&self.fact()) {
            let (kind, size) = known.split_once(':')?;
            return Some(Key {
                kind: kind.to_owned(),
                size: size.parse().ok()?,
                comment: self.args.comment.clone().unwrap_or_default(),
                ..Key::default()
            });
        }
        let path = self.args.path.to_string_lossy().into_owned();
        let plain = self.command(&["-y", "-P", "", "-f", &path], "");
        let passphrase = self.args.passphrase.clone().filter(|text| !text.is_empty());
        let output = programs::query(self.machine, &plain).ok()?;
        let output = match (&passphrase, output.code) {
            (None, 0) => output,
            // It is protected by nothing, although it should be.
            (Some(_), 0) | (None, _) => return None,
            (Some(text), _) => {
                let asked = self.command(&["-y", "-f", &path], text);
                programs::query(self.machine, &asked).ok()?
            }
        };
        if output.code != 0 {
            return None;
        }
        let line = output.stdout_text();
        let public: Vec<&str> = line.split_whitespace().take(2).collect();
        let public = public.join(" ");
        let mut list = self.command(&["-l", "-f", "-"], "");
        list.stdin = Some(format!("{public}\n").into_bytes());
        let listed = programs::query(self.machine, &list).ok()?.stdout_text();
        let mut words = listed.split_whitespace();
        let (size, fingerprint) = (words.next()?, words.next()?);
        let kind = words.next_back()?.trim_matches(['(', ')']).to_lowercase();
        Some(Key {
            size: size.parse().ok()?,
            fingerprint: fingerprint.to_owned(),
            kind,
            comment: self.comment().unwrap_or_default(),
            format: self.format(),
            public,
        })
    }

    /// The comment in the file of the public half.
    fn comment(&mut self) -> Option<String> {
        let bytes = self.machine.read(&self.public_path).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let comment = text.trim().splitn(3, ' ').nth(2)?;
        Some(comment.to_owned())
    }

    /// How the private half is written; only told where the task asks for it.
    fn format(&mut self) -> &'static str {
        if self.args.private_key_format == Format::Auto && self.args.backend != "cryptography" {
            return "";
        }
        let bytes = self.machine.read(&self.args.path).unwrap_or_default();
        match String::from_utf8_lossy(&bytes) {
            text if text.contains("BEGIN OPENSSH") => "SSH",
            text if text.contains("BEGIN PRIVATE") || text.contains("BEGIN ENCRYPTED") => "PKCS8",
            _ => "PKCS1",
        }
    }

    /// Makes a key in a folder of its own, and puts it in place.
    fn generate(&mut self) -> Result<Key, Failure> {
        let folder = temporary_folder(self.machine);
        let folder = unique_name(self.machine, &folder, "rplay-", "");
        let made = self.machine.make_dir(&folder, Some(0o700));
        made.map_err(|error| os_error(&error, &folder))?;
        let result = self.generate_in(&folder.join("key"));
        let removed = self.machine.remove(&folder, true);
        let key = result?;
        removed.map_err(|error| os_error(&error, &folder))?;
        Ok(key)
    }

    fn generate_in(&mut self, file: &Path) -> Result<Key, Failure> {
        let (size, path) = (self.size.to_string(), file.to_string_lossy().into_owned());
        let comment = self.args.comment.clone().unwrap_or_default();
        let kind = self.args.r#type.clone();
        let passphrase = self.args.passphrase.clone().unwrap_or_default();
        let mut words = vec!["-q", "-t", &kind, "-C", &comment, "-f", &path];
        if !matches!(kind.as_str(), "ed25519" | "mldsa44") {
            words.extend(["-b", &size]);
        }
        match self.args.private_key_format {
            Format::Pkcs1 => words.extend(["-m", "PEM"]),
            Format::Pkcs8 => words.extend(["-m", "PKCS8"]),
            _ => {}
        }
        if passphrase.is_empty() {
            words.extend(["-N", ""]);
        }
        let mut command = self.command(&words, &passphrase);
        for question in [
            "Enter passphrase (empty for no passphrase): ".to_owned(),
            format!("Enter passphrase for \"{path}\" (empty for no passphrase): "),
            "Enter same passphrase again: ".to_owned(),
        ] {
            command.env.push((question, Some(passphrase.clone())));
        }
        let done = programs::change(self.machine, &command)?;
        let (private, public) = match done {
            Some(output) if output.code != 0 => return Err(programs::refused(&command, &output)),
            Some(_) => {
                let mut read = |path: &Path| {
                    let bytes = self.machine.read(path);
                    bytes.map_err(|error| Failure::new(os_error(&error, path)))
                };
                (read(file)?, read(&PathBuf::from(format!("{path}.pub")))?)
            }
            None => {
                let fact = format!("{kind}:{size}");
                self.machine.assume(Change::Fact(self.fact(), Some(fact)));
                (Vec::new(), Vec::new())
            }
        };
        let (path, public_path) = (self.args.path.clone(), self.public_path.clone());
        self.write(&path, &private, 0o600)?;
        self.write(&public_path, &public, 0o644)?;
        self.read().ok_or_else(unreadable)
    }

    fn write(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
        let attrs = Attrs {
            mode: Some(mode),
            in_place: self.args.file.unsafe_writes,
            ..Attrs::default()
        };
        let written = self.machine.write(path, Content::Bytes(content), &attrs);
        written.map_err(|error| os_error(&error, path).into())
    }

    /// Makes the file of the public half what it should be; returns whether it was not.
    fn ensure_public(&mut self, key: &mut Key) -> Result<bool, Failure> {
        if key.public.is_empty() {
            return Ok(false);
        }
        let comment = self.args.comment.clone();
        let comment = comment.unwrap_or_else(|| key.comment.clone());
        let line = format!("{} {comment}", key.public);
        let bytes = self.machine.read(&self.public_path).unwrap_or_default();
        if String::from_utf8_lossy(&bytes).trim() == line.trim() {
            return Ok(false);
        }
        if key.comment != comment {
            let path = self.args.path.to_string_lossy().into_owned();
            let passphrase = self.args.passphrase.clone().unwrap_or_default();
            let mut words = vec!["-q", "-c", "-C", &comment, "-f", &path];
            if passphrase.is_empty() {
                words.extend(["-P", ""]);
            }
            // Some ways to write a key have no place for a comment; then it is in the public half.
            let command = self.command(&words, &passphrase);
            programs::change(self.machine, &command)?;
            key.comment = comment;
        }
        let path = self.public_path.clone();
        self.write(&path, format!("{line}\n").as_bytes(), 0o644)?;
        Ok(true)
    }

    fn remove(&mut self, there: bool) -> Result<Outcome, Failure> {
        let old = if there { self.read() } else { None };
        let before = old.as_ref().map(Key::side).unwrap_or_default();
        let mut changed = false;
        for path in [self.args.path.clone(), self.public_path.clone()] {
            if let Ok(Some(_)) = self.machine.stat(&path, false) {
                let removed = self.machine.remove(&path, false);
                removed.map_err(|error| os_error(&error, &path))?;
                changed = true;
            }
        }
        Ok(self.told(changed, &old.unwrap_or_default(), before, Map::new()))
    }

    fn told(&self, changed: bool, key: &Key, before: Map, after: Map) -> Outcome {
        let outcome = Outcome::new(changed)
            .with("comment", key.comment.as_str())
            .with("filename", self.args.path.to_string_lossy().as_ref())
            .with("fingerprint", key.fingerprint.as_str())
            .with("public_key", key.public.as_str())
            .with("size", self.size)
            .with("type", self.args.r#type.as_str());
        match changed {
            true => outcome.with_diff(Diff::attributes(before, after)),
            false => outcome,
        }
    }
}

fn unreadable() -> Failure {
    Failure::new(
        "Unable to read the key. The key is protected with a passphrase or broken. Will not proceed. To force regeneration, call the module with `generate` set to `full_idempotence` or `always`, or with `force=true`.",
    )
}
