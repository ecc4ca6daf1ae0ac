//! Logging in: keys of the agent, key files, questions, passwords, in OpenSSH's order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use russh::keys::{self, Algorithm, Certificate, HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind, MethodSet, SendError};

use super::keys::{Seen, look, public_half};
use super::known_hosts::type_name;
use super::ssh::{Checker, via_ssh};
use super::ssh_config::Options;
use super::{LinkError, Target};

type Signer = AgentClient<Box<dyn AgentStream + Send + Unpin>>;

/// What came of logging in.
pub(super) enum Entry {
    Granted,
    /// The server wants a key that has to be opened first. A question must not be the server's time.
    Locked(PathBuf),
}

/// Logs in with whatever works; passwords only go to a host that is known.
pub(super) async fn authenticate(
    handle: &mut Handle<Checker>,
    target: &Target,
    options: &Options,
    known: bool,
) -> Result<Entry, LinkError> {
    let mut login = Login {
        target,
        options,
        methods: MethodSet::empty(),
        notes: Vec::new(),
        answered: false,
        locked: None,
    };
    let entered = login.enter(handle, known).await?;
    match login.locked.take() {
        Some(path) => Ok(Entry::Locked(path)),
        None if entered => Ok(Entry::Granted),
        // A connection that was closed meanwhile refuses everything.
        None if handle.is_closed() => Err(broken(russh::Error::Disconnect)),
        None => Err(login.refused()),
    }
}

fn broken(error: russh::Error) -> LinkError {
    LinkError::Unreachable(via_ssh(&format!(
        "the connection broke while logging in: {error}"
    )))
}

struct Login<'a> {
    target: &'a Target,
    options: &'a Options,
    /// What the server accepts.
    methods: MethodSet,
    /// What went wrong with single keys.
    notes: Vec<String>,
    /// Whether the password has been sent.
    answered: bool,
    /// A key to open before anything else is tried.
    locked: Option<PathBuf>,
}

/// Learns whether the server would let a key in, without signing.
#[derive(Default)]
struct Probe {
    wanted: bool,
}

/// It never signs, or the connection broke.
struct Unsigned;

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self
    }
}

impl russh::Signer for Probe {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        _: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        self.wanted = true;
        Err(Unsigned)
    }
}

impl Login<'_> {
    /// Tries all methods, until one is accepted or a key has to be opened.
    async fn enter(
        &mut self,
        handle: &mut Handle<Checker>,
        known: bool,
    ) -> Result<bool, LinkError> {
        // The question costs a round trip and tells which methods are worth trying.
        let first = handle
            .authenticate_none(&self.options.user)
            .await
            .map_err(broken)?;
        if self.accepted(&first) {
            return Ok(true);
        }
        if self.allows(MethodKind::PublicKey) && self.options.pubkey && self.keys(handle).await? {
            return Ok(true);
        }
        if self.locked.is_some() {
            return Ok(false);
        }
        if self.allows(MethodKind::KeyboardInteractive)
            && self.options.keyboard
            && known
            && self.questions(handle).await?
        {
            return Ok(true);
        }
        if !known && self.target.password.is_some() {
            self.notes.push(
                "Password authentication is disabled to avoid man-in-the-middle attacks: the host key has changed.\r\n"
                    .to_owned(),
            );
        }
        if let Some(password) = &self.target.password
            && self.allows(MethodKind::Password)
            && self.options.password
            && known
            // Wrong once is enough: servers lock accounts.
            && !self.answered
        {
            let result = handle
                .authenticate_password(&self.options.user, password.expose())
                .await
                .map_err(broken)?;
            if self.accepted(&result) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn allows(&self, method: MethodKind) -> bool {
        self.methods.contains(&method)
    }

    fn accepted(&mut self, result: &AuthResult) -> bool {
        if let AuthResult::Failure {
            remaining_methods, ..
        } = result
        {
            // A connection that was closed names none.
            if !remaining_methods.is_empty() {
                self.methods = remaining_methods.clone();
            }
        }
        result.success()
    }

    fn refused(&self) -> LinkError {
        let names: Vec<&str> = self.methods.iter().map(<&str>::from).collect();
        let mut text = self.notes.concat();
        text += &format!(
            "{}@{}: Permission denied ({}).",
            self.options.user,
            self.options.host_name,
            names.join(",")
        );
        LinkError::Auth(via_ssh(&text))
    }

    /// Tries keys: those of the agent that are configured, the configured files, the others.
    async fn keys(&mut self, handle: &mut Handle<Checker>) -> Result<bool, LinkError> {
        let files = self.key_files();
        let mut agent = self.agent().await;
        let identities = match &mut agent {
            Some(agent) => agent.request_identities().await.unwrap_or_default(),
            None => Vec::new(),
        };
        let configured: Vec<PublicKey> = files
            .iter()
            .filter_map(|(path, _)| public_half(path))
            .collect();
        let is_configured = |identity: &AgentIdentity| {
            configured
                .iter()
                .any(|key| key.key_data() == identity.public_key().key_data())
        };
        if let Some(agent) = &mut agent {
            let (mut first, rest): (Vec<_>, Vec<_>) = identities
                .iter()
                .partition(|identity| is_configured(identity));
            if !self.options.identities_only {
                first.extend(rest);
            }
            for identity in first {
                if self.agent_key(handle, agent, identity).await? {
                    return Ok(true);
                }
            }
        }
        for (path, explicit) in files {
            let in_agent = public_half(&path).is_some_and(|key| {
                identities
                    .iter()
                    .any(|identity| identity.public_key().key_data() == key.key_data())
            });
            if !in_agent && self.key_file(handle, &path, explicit).await? {
                return Ok(true);
            }
            if self.locked.is_some() {
                break;
            }
        }
        Ok(false)
    }

    /// The files to try, and whether the user named them.
    fn key_files(&self) -> Vec<(PathBuf, bool)> {
        let mut files: Vec<_> = self
            .target
            .private_key_file
            .iter()
            .map(|path| (path.clone(), true))
            .collect();
        files.extend(
            self.options
                .identity_files
                .iter()
                .map(|path| (path.clone(), true)),
        );
        if files.is_empty()
            && let Some(home) = std::env::home_dir()
        {
            let names = [
                "id_rsa",
                "id_ecdsa",
                "id_ecdsa_sk",
                "id_ed25519",
                "id_ed25519_sk",
            ];
            files.extend(
                names
                    .iter()
                    .map(|name| (home.join(".ssh").join(name), false)),
            );
        }
        files
    }

    async fn agent(&self) -> Option<Signer> {
        // An agent that has ended leaves its variable behind.
        AgentClient::connect_uds(agent_socket(self.options)?)
            .await
            .ok()
            .map(AgentClient::dynamic)
    }

    async fn agent_key(
        &mut self,
        handle: &mut Handle<Checker>,
        agent: &mut Signer,
        identity: &AgentIdentity,
    ) -> Result<bool, LinkError> {
        let user = &self.options.user;
        let algorithm = identity.public_key().algorithm();
        let Some(hash) = hash_for(handle, self.options, &algorithm).await? else {
            return Ok(false);
        };
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                handle
                    .authenticate_publickey_with(user, key.clone(), hash, agent)
                    .await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                handle
                    .authenticate_certificate_with(user, certificate.clone(), hash, agent)
                    .await
            }
        };
        match result {
            Ok(result) => Ok(self.accepted(&result)),
            Err(error) => {
                let why = match error {
                    AgentAuthError::Key(keys::Error::AgentFailure) => {
                        "agent refused operation".to_owned()
                    }
                    other => other.to_string(),
                };
                let (AgentIdentity::PublicKey { comment, .. }
                | AgentIdentity::Certificate { comment, .. }) = identity;
                self.notes.push(format!(
                    "sign_and_send_pubkey: signing failed for {} \"{comment}\" from agent: {why}\r\n",
                    type_name(&algorithm)
                ));
                Ok(false)
            }
        }
    }

    async fn key_file(
        &mut self,
        handle: &mut Handle<Checker>,
        path: &Path,
        explicit: bool,
    ) -> Result<bool, LinkError> {
        let key = match look(path) {
            Ok(Seen::Open(key)) => Ok(Arc::from(key)),
            Ok(Seen::Locked(public)) => {
                match self.target.keys.opened(path, self.target.passphrase(path)) {
                    Some(opened) => opened,
                    None => {
                        if self.would_open(handle, path, public).await? {
                            self.locked = Some(path.to_owned());
                        }
                        return Ok(false);
                    }
                }
            }
            Err(why) => Err(why),
        };
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                let path_text = path.display();
                if path.exists() {
                    self.notes
                        .push(format!("Load key \"{path_text}\": {why}\r\n"));
                } else if explicit {
                    self.notes.push(format!(
                        "no such identity: {path_text}: No such file or directory\r\n"
                    ));
                }
                return Ok(false);
            }
        };
        let user = &self.options.user;
        for certificate in self.certificates(path, &key.public_key().clone()) {
            let result = handle
                .authenticate_openssh_cert(user, Arc::clone(&key), certificate)
                .await
                .map_err(broken)?;
            if self.accepted(&result) {
                return Ok(true);
            }
        }
        let Some(hash) = hash_for(handle, self.options, &key.algorithm()).await? else {
            return Ok(false);
        };
        let result = handle
            .authenticate_publickey(user, PrivateKeyWithHashAlg::new(key, hash))
            .await
            .map_err(broken)?;
        Ok(self.accepted(&result))
    }

    /// The certificates of a key, that beside it last.
    fn certificates(&self, path: &Path, key: &PublicKey) -> Vec<Certificate> {
        let own = path.with_file_name(format!(
            "{}-cert.pub",
            path.file_name().unwrap_or_default().to_string_lossy()
        ));
        let files = self.options.certificate_files.iter().chain([&own]);
        let read = files.filter_map(|file| keys::load_openssh_certificate(file).ok());
        read.filter(|certificate| certificate.public_key() == key.key_data())
            .collect()
    }

    /// Whether a key that is encrypted would let the user in, or nobody can know before it is opened.
    async fn would_open(
        &mut self,
        handle: &mut Handle<Checker>,
        path: &Path,
        public: Option<PublicKey>,
    ) -> Result<bool, LinkError> {
        let Some(public) = public.or_else(|| public_half(path)) else {
            return Ok(true);
        };
        let user = &self.options.user;
        let hash = hash_for(handle, self.options, &public.algorithm()).await?;
        let mut probe = Probe::default();
        for certificate in self.certificates(path, &public) {
            let hash = hash.flatten();
            let asked = handle.authenticate_certificate_with(user, certificate, hash, &mut probe);
            if let Ok(result) = asked.await {
                self.accepted(&result);
            }
            if probe.wanted {
                return Ok(true);
            }
        }
        let Some(hash) = hash else {
            return Ok(false);
        };
        let asked = handle.authenticate_publickey_with(user, public, hash, &mut probe);
        if let Ok(result) = asked.await {
            self.accepted(&result);
        }
        Ok(probe.wanted)
    }

    /// Keyboard-interactive: the password answers the one hidden question.
    async fn questions(&mut self, handle: &mut Handle<Checker>) -> Result<bool, LinkError> {
        let Some(password) = &self.target.password else {
            return Ok(false);
        };
        let mut response = handle
            .authenticate_keyboard_interactive_start(&self.options.user, None::<String>)
            .await
            .map_err(broken)?;
        loop {
            match response {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods, ..
                } => {
                    if !remaining_methods.is_empty() {
                        self.methods = remaining_methods;
                    }
                    return Ok(false);
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    if self.answered && !prompts.is_empty() {
                        // The same password again would be wrong again.
                        return Ok(false);
                    }
                    self.answered |= prompts.iter().any(|prompt| !prompt.echo);
                    let answers = prompts.iter().map(|prompt| {
                        if prompt.echo {
                            String::new()
                        } else {
                            password.expose().to_owned()
                        }
                    });
                    response = handle
                        .authenticate_keyboard_interactive_respond(answers.collect())
                        .await
                        .map_err(broken)?;
                }
            }
        }
    }
}

/// Where the agent with the user's keys listens.
pub(super) fn agent_socket(options: &Options) -> Option<PathBuf> {
    let named = match &options.identity_agent {
        Some(path) if path.as_os_str() == "none" => return None,
        Some(path) => path.display().to_string(),
        None => "$SSH_AUTH_SOCK".to_owned(),
    };
    match named.strip_prefix('$') {
        Some(variable) => std::env::var_os(variable)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
        None => Some(PathBuf::from(named)),
    }
}

/// RSA keys sign with what the server understands and the user accepts; a server that does not say so
/// knows SHA-512, unless the user accepts SHA-1 for old ones. `None`: no signature is accepted.
async fn hash_for(
    handle: &Handle<Checker>,
    options: &Options,
    algorithm: &Algorithm,
) -> Result<Option<Option<HashAlg>>, LinkError> {
    let usual = [
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    let accepted = options.user_keys.of(&usual);
    let accepts = |name: &str| accepted.iter().any(|one| one == name);
    if !matches!(algorithm, Algorithm::Rsa { .. }) {
        return Ok(accepts(algorithm.as_str()).then_some(None));
    }
    let told = handle.best_supported_rsa_hash().await.map_err(broken)?;
    let old = accepts("ssh-rsa");
    let hashes = match told {
        Some(best) => vec![best, Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
        None if old => vec![None],
        None => vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
    };
    let name = |hash: &Option<HashAlg>| match hash {
        Some(HashAlg::Sha512) => "rsa-sha2-512",
        Some(HashAlg::Sha256) => "rsa-sha2-256",
        _ => "ssh-rsa",
    };
    Ok(hashes.into_iter().find(|hash| accepts(name(hash))))
}
