//! Private keys that are encrypted: each is opened once a run, and its passphrase asked for once.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{self, PrivateKey, PublicKey};
use tokio::sync::OnceCell;

use super::Secret;

/// How often a passphrase may be wrong, as with OpenSSH.
const TRIES: usize = 3;

/// Asks the user; none: nobody can be asked, or there was no answer.
type Ask = dyn Fn(&str) -> Option<Secret> + Send + Sync;

/// What came of a key: itself, or why it cannot be used.
type Opened = Result<Arc<PrivateKey>, String>;
type Cell = Arc<OnceCell<Opened>>;

/// The encrypted keys of a run, and who can be asked for their passphrases. Clones are one collection.
#[derive(Clone, Default)]
pub struct Keys {
    ask: Option<Arc<Ask>>,
    /// By file, and by the passphrase that a host gives: hosts may give different ones.
    opened: Arc<Mutex<HashMap<PathBuf, Vec<(Option<Secret>, Cell)>>>>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

/// Two targets do not differ by what is known of their keys.
impl PartialEq for Keys {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Keys {
    /// Keys whose passphrases this asks for.
    #[must_use]
    pub fn asking(ask: impl Fn(&str) -> Option<Secret> + Send + Sync + 'static) -> Self {
        Self {
            ask: Some(Arc::new(ask)),
            ..Self::default()
        }
    }

    /// What came of opening a key, if somebody has done so.
    pub(super) fn opened(&self, path: &Path, known: Option<&Secret>) -> Option<Opened> {
        self.cell(path, known).get().cloned()
    }

    /// Opens a key, unless that was done; whoever needs the same one waits.
    pub(super) async fn open(&self, path: &Path, known: Option<&Secret>, batch: bool) {
        let (path, known, ask) = (path.to_owned(), known.cloned(), self.ask.clone());
        let cell = self.cell(&path, known.as_ref());
        cell.get_or_init(|| async move {
            // Questions and key derivation both take long.
            let ask = ask.filter(|_| !batch);
            let opening = move || open(&path, known.as_ref(), ask.as_deref(), batch);
            let opened = tokio::task::spawn_blocking(opening).await;
            opened.unwrap_or_else(|error| Err(error.to_string()))
        })
        .await;
    }

    fn cell(&self, path: &Path, known: Option<&Secret>) -> Cell {
        let mut all = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let cells = all.entry(path.to_owned()).or_default();
        if let Some((_, cell)) = cells.iter().find(|(own, _)| own.as_ref() == known) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        cells.push((known.cloned(), Arc::clone(&cell)));
        cell
    }
}

fn open(path: &Path, known: Option<&Secret>, ask: Option<&Ask>, batch: bool) -> Opened {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let decode = |passphrase: &Secret| keys::decode_secret_key(&text, Some(passphrase.expose()));
    let wrong = || "incorrect passphrase supplied to decrypt private key".to_owned();
    if let Some(known) = known {
        return decode(known).map(Arc::new).map_err(|_| wrong());
    }
    let Some(ask) = ask else {
        let why = if batch {
            "`BatchMode` forbids to ask for it"
        } else {
            "nobody can be asked for it"
        };
        return Err(format!(
            "the key is encrypted, no passphrase was given, and {why}; add the key to ssh-agent"
        ));
    };
    let shown: String = path.display().to_string().chars().take(100).collect();
    let mut tries = 0;
    while tries < TRIES {
        let answer = ask(&format!("Enter passphrase for key '{shown}': "));
        let Some(answer) = answer.filter(|answer| !answer.expose().is_empty()) else {
            break;
        };
        if let Ok(key) = decode(&answer) {
            return Ok(Arc::new(key));
        }
        tries += 1;
    }
    Err(match tries {
        0 => "the key is encrypted and no passphrase was given; add it to ssh-agent".to_owned(),
        _ => wrong(),
    })
}

/// What a file of a key holds.
#[derive(Debug)]
pub(super) enum Seen {
    Open(Box<PrivateKey>),
    /// With its public half, where that is not encrypted, too.
    Locked(Option<PublicKey>),
}

/// Reads a key that nobody else may read.
pub(super) fn look(path: &Path) -> Result<Seen, String> {
    use std::os::unix::fs::MetadataExt;
    let state = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if state.uid() == rustix::process::geteuid().as_raw() && state.mode() & 0o077 != 0 {
        return Err(format!(
            "bad permissions: {:04o} is too open",
            state.mode() & 0o7777
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    see(&text)
}

fn see(text: &str) -> Result<Seen, String> {
    if let Ok(key) = PrivateKey::from_openssh(text) {
        return Ok(match key.is_encrypted() {
            true => Seen::Locked(Some(key.public_key().clone())),
            false => Seen::Open(Box::new(key)),
        });
    }
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    if let Some(cipher) = line("DEK-Info: ") {
        let cipher = cipher.split(',').next().unwrap_or_default();
        let kind = line("-----BEGIN ").unwrap_or_default();
        if cipher != "AES-128-CBC" || !kind.starts_with("RSA ") {
            let kind = kind.trim_end_matches("-----").to_lowercase();
            return Err(format!(
                "a PEM file with an {kind} that is encrypted with {cipher} cannot be read; `ssh-keygen -p -f` writes it in OpenSSH's format"
            ));
        }
        return Ok(Seen::Locked(None));
    }
    let locked = text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || line("Encryption: ").is_some_and(|cipher| cipher != "none");
    if locked {
        return Ok(Seen::Locked(None));
    }
    let key = keys::decode_secret_key(text, None).map_err(|error| error.to_string())?;
    Ok(Seen::Open(Box::new(key)))
}

/// The public half of a key: beside it, or in its file.
pub(super) fn public_half(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    if let Ok(key) = keys::load_public_key(name) {
        return Some(key);
    }
    match look(path).ok()? {
        Seen::Open(key) => Some(key.public_key().clone()),
        Seen::Locked(public) => public,
    }
}
