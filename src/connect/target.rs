//! How a host is reached, and as whom work is done there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::carrier::Carrier;
use super::keys::Keys;

/// How a host is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Programs are started on this machine.
    Local,
    /// Over SSH, without the system's `ssh` unless it is needed.
    Ssh,
    /// Over SSH, with the system's `ssh`.
    OpenSsh,
    /// Through a [`Carrier`].
    Carrier,
}

/// Where a host is and how to get in.
#[derive(Clone, PartialEq)]
pub struct Target {
    /// The name in the inventory.
    pub name: String,
    /// How it is reached.
    pub connection: Kind,
    /// Its address: a name, an IP address or an alias of `~/.ssh/config`.
    pub host: String,
    /// Its port, if it was given.
    pub port: Option<u16>,
    /// The login user, if it was given.
    pub user: Option<String>,
    /// The login password, also used for keyboard-interactive questions.
    pub password: Option<Secret>,
    /// A private key to try before all others.
    pub private_key_file: Option<PathBuf>,
    /// The passphrase of `private_key_file`.
    pub private_key_passphrase: Option<Secret>,
    /// The encrypted keys that were opened, and who is asked for passphrases.
    pub keys: Keys,
    /// Files of known hosts instead of the configured ones; empty: those.
    pub known_hosts: Vec<PathBuf>,
    /// Whether an unknown host key is an error. A changed key always is, unless this is false.
    pub host_key_checking: bool,
    /// How long connecting and logging in may take.
    pub connect_timeout: Duration,
    /// How long a connection that is lost while a task runs is made again, and again; zero: it is not.
    pub reconnect: Duration,
    /// A folder on the host for the agent, instead of the user's cache folder.
    pub remote_tmp: Option<String>,
    /// Options of OpenSSH's client: `-o`, `Key=value`, `-oKey=value`, `-J host`, ...
    pub ssh_args: Vec<String>,
    /// The system's `ssh`, if it is another program.
    pub ssh_executable: Option<String>,
    /// The program of [`Kind::Carrier`].
    pub carrier: Carrier,
}

impl Target {
    /// A target with Ansible's defaults.
    #[must_use]
    pub fn new(name: &str, connection: Kind, host: &str) -> Self {
        Self {
            name: name.to_owned(),
            connection,
            host: host.to_owned(),
            port: None,
            user: None,
            password: None,
            private_key_file: None,
            private_key_passphrase: None,
            keys: Keys::default(),
            known_hosts: Vec::new(),
            host_key_checking: true,
            connect_timeout: Duration::from_secs(10),
            reconnect: Duration::from_secs(30),
            remote_tmp: None,
            ssh_args: Vec::new(),
            ssh_executable: None,
            carrier: Carrier::default(),
        }
    }

    /// The passphrase that is given for a key: one counts for the target's own key only.
    pub(super) fn passphrase(&self, key: &Path) -> Option<&Secret> {
        let own = self.private_key_file.as_deref() == Some(key);
        self.private_key_passphrase.as_ref().filter(|_| own)
    }
}

/// Another user to run as.
#[derive(Clone)]
pub struct Become {
    /// `sudo`, `su`, `doas` or `sudosu`.
    pub method: String,
    /// The user; empty: root.
    pub user: String,
    /// The password that the method may ask for.
    pub password: Option<Secret>,
    /// The program instead of the one that the method is named after.
    pub exe: Option<String>,
    /// Its flags instead of the usual ones.
    pub flags: Option<String>,
}

impl Become {
    /// Whether an agent that was started for one of them serves the other one too; none: the user
    /// who logs in.
    pub(crate) fn same(one: Option<&Self>, other: Option<&Self>) -> bool {
        let (Some(one), Some(other)) = (one, other) else {
            return one.is_none() && other.is_none();
        };
        let text = |r#become: &Self| {
            (
                r#become.method.clone(),
                r#become.user.clone(),
                r#become.exe.clone(),
                r#become.flags.clone(),
            )
        };
        // A wrong password must not pass because the right one was used before.
        let secret = |r#become: &Self| r#become.password.as_ref().map(|secret| secret.0.clone());
        text(one) == text(other) && secret(one) == secret(other)
    }
}

/// A text that is never shown, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with a line end, as programs read it.
    pub(super) fn line(&self) -> Zeroizing<Vec<u8>> {
        let mut line = Zeroizing::new(Vec::with_capacity(self.0.len() + 1));
        line.extend_from_slice(self.0.as_bytes());
        line.push(b'\n');
        line
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
