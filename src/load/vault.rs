//! Ansible Vault, formats 1.1 and 1.2: reading and writing envelopes.

use std::fmt;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use aes::Aes256;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::inputs::FilesRead;
use crate::diag::{Diagnostic, Source};
use crate::secrets::Secrets;

const HEADER: &str = "$ANSIBLE_VAULT";
const LINE: usize = 80;
const ROUNDS: u32 = 10_000;

/// Passwords with their vault ids, in the order in which they are tried.
#[derive(Clone, Default)]
pub struct VaultSecrets {
    secrets: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// Whether only passwords of the envelope's own id are tried: `vault_id_match`.
    pub id_match: bool,
    /// What must never be shown: the passwords, and what was opened with them.
    pub hidden: Secrets,
    /// The files that were read, where a plan is made.
    pub files_read: FilesRead,
}

impl VaultSecrets {
    /// No password yet; those that come, and what they open, are added to `hidden`.
    #[must_use]
    pub fn hiding(hidden: &Secrets) -> Self {
        Self {
            hidden: hidden.clone(),
            ..Self::default()
        }
    }

    /// Adds a password under a vault id (`default` when none was given).
    pub fn add(&mut self, id: impl Into<String>, secret: Vec<u8>) {
        self.hidden.add(&String::from_utf8_lossy(&secret));
        self.secrets.push((id.into(), Zeroizing::new(secret)));
    }

    /// Whether there is no password.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The ids, in the order of their passwords.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|(id, _)| id.as_str())
    }

    /// The first password, of an id where one is given, with its id.
    #[must_use]
    pub fn first(&self, id: Option<&str>) -> Option<(&str, &[u8])> {
        let mut all = self.secrets.iter();
        let found = all.find(|(label, _)| id.is_none_or(|id| id == label));
        found.map(|(label, secret)| (label.as_str(), secret.as_slice()))
    }

    /// The passwords to try: those of the id first.
    fn for_id<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let first = self.secrets.iter().filter(move |(label, _)| label == id);
        let rest = self
            .secrets
            .iter()
            .filter(move |(label, _)| !self.id_match && label != id);
        first.chain(rest).map(|(_, secret)| secret.as_slice())
    }
}

/// Names the ids only: the passwords are never shown.
impl fmt::Debug for VaultSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.secrets.iter().map(|(id, _)| id))
            .finish()
    }
}

/// Why an envelope was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultError {
    /// There are no passwords.
    NoSecrets,
    /// No password fits.
    WrongSecret,
    /// The text is no envelope.
    NotVaulted,
    /// The header names a cipher that nobody has.
    Cipher(String),
    /// The header names neither version nor cipher.
    Header,
    /// The text is not hexadecimal.
    Hex(&'static str),
    /// So many of the three parts of an envelope are there.
    Parts(usize),
    /// The text is damaged in another way.
    Malformed(&'static str),
    /// No randomness for the salt.
    Random(String),
}

/// Ansible's words, where it has any.
impl fmt::Display for VaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecrets => f.write_str("Attempting to decrypt but no vault secrets found."),
            Self::WrongSecret => {
                f.write_str("Decryption failed (no vault secrets were found that could decrypt).")
            }
            Self::NotVaulted => f.write_str("Input is not vault encrypted data."),
            Self::Cipher(name) => write!(f, "Cipher '{name}' could not be found."),
            Self::Header => f.write_str("Vault envelope format error: list index out of range"),
            Self::Hex(what) => write!(f, "Vault format unhexlify error: {what}"),
            Self::Parts(count) => write!(
                f,
                "Vault vaulttext format error: not enough values to unpack (expected 3, got {count})"
            ),
            Self::Malformed(what) => write!(f, "damaged vault text: {what}"),
            Self::Random(what) => write!(f, "no randomness for the salt: {what}"),
        }
    }
}

impl std::error::Error for VaultError {}

/// Whether a text is a vault envelope.
#[must_use]
pub fn is_vaulted(text: &[u8]) -> bool {
    text.starts_with(HEADER.as_bytes())
}

/// An envelope that was opened.
pub struct Opened {
    /// What was in it.
    pub content: Zeroizing<Vec<u8>>,
    /// The vault id of its header; none: `default`.
    pub id: Option<String>,
    /// The password that fitted.
    pub secret: Zeroizing<Vec<u8>>,
}

/// The content of an envelope.
pub fn decrypt(envelope: &str, secrets: &VaultSecrets) -> Result<Vec<u8>, VaultError> {
    Ok(unseal(envelope, secrets)?.content.to_vec())
}

/// Opens an envelope.
pub fn unseal(envelope: &str, secrets: &VaultSecrets) -> Result<Opened, VaultError> {
    let mut lines = envelope.trim_end().lines().map(str::trim);
    let header = lines.next().filter(|_| envelope.starts_with(HEADER));
    // The version decides nothing: both forms of the header are read alike.
    let mut fields = header.ok_or(VaultError::NotVaulted)?.split(';').skip(1);
    let (Some(_), Some(cipher)) = (fields.next(), fields.next().map(str::trim)) else {
        return Err(VaultError::Header);
    };
    if cipher != "AES256" {
        return Err(VaultError::Cipher(cipher.to_owned()));
    }
    let id = fields.next().map(|id| id.trim().to_owned());
    if secrets.is_empty() {
        return Err(VaultError::NoSecrets);
    }
    let inner = hex_decode(&lines.collect::<String>())?;
    let inner =
        String::from_utf8(inner).map_err(|_| VaultError::Malformed("the content is not text"))?;
    let parts: Vec<&str> = inner.splitn(3, '\n').collect();
    let [salt, tag, data] = parts[..] else {
        return Err(VaultError::Parts(parts.len()));
    };
    let (salt, tag, data) = (hex_decode(salt)?, hex_decode(tag)?, hex_decode(data)?);
    let label = id.as_deref().unwrap_or("default");
    let (secret, content) = secrets
        .for_id(label)
        .find_map(|secret| Some((secret, open(secret, &salt, &tag, &data)?)))
        .ok_or(VaultError::WrongSecret)?;
    Ok(Opened {
        content: Zeroizing::new(content?),
        secret: Zeroizing::new(secret.to_vec()),
        id,
    })
}

/// The content if the password fits.
fn open(
    secret: &[u8],
    salt: &[u8],
    tag: &[u8],
    data: &[u8],
) -> Option<Result<Vec<u8>, VaultError>> {
    let keys = Keys::derive(secret, salt);
    keys.mac(data)?.verify_slice(tag).ok()?;
    let mut text = data.to_vec();
    keys.apply(&mut text)?;
    let padding = usize::from(text.last().copied().unwrap_or_default());
    if padding == 0 || padding > 16 || padding > text.len() {
        return Some(Err(VaultError::Malformed("the padding is wrong")));
    }
    text.truncate(text.len() - padding);
    Some(Ok(text))
}

/// An envelope for a content; format 1.2 when there is a vault id, as Ansible writes it.
pub fn encrypt(content: &[u8], secret: &[u8], id: Option<&str>) -> Result<String, VaultError> {
    let mut salt = [0; 32];
    let random =
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut salt));
    random.map_err(|error| VaultError::Random(error.to_string()))?;
    encrypt_with_salt(content, secret, id, &salt)
}

/// [`encrypt`] with a salt that the caller chose, so that equal contents give equal envelopes.
pub fn encrypt_with_salt(
    content: &[u8],
    secret: &[u8],
    id: Option<&str>,
    salt: &[u8],
) -> Result<String, VaultError> {
    let keys = Keys::derive(secret, salt);
    let padding = 16 - content.len() % 16;
    let mut data = content.to_vec();
    data.resize(content.len() + padding, u8::try_from(padding).unwrap_or(16));
    keys.apply(&mut data)
        .ok_or(VaultError::Malformed("the content is too long"))?;
    let mac = keys
        .mac(&data)
        .ok_or(VaultError::Malformed("the key has the wrong length"))?;
    let tag = mac.finalize().into_bytes();
    let inner = format!(
        "{}\n{}\n{}",
        hex_encode(salt),
        hex_encode(&tag),
        hex_encode(&data)
    );
    let body = hex_encode(inner.as_bytes());
    let mut text = match id.filter(|id| *id != "default") {
        Some(id) => format!("{HEADER};1.2;AES256;{id}\n"),
        None => format!("{HEADER};1.1;AES256\n"),
    };
    for at in (0..body.len()).step_by(LINE) {
        text.push_str(&body[at..body.len().min(at + LINE)]);
        text.push('\n');
    }
    Ok(text)
}

/// Cipher key, authentication key and counter, derived from a password.
struct Keys([u8; 80]);

impl Keys {
    fn derive(secret: &[u8], salt: &[u8]) -> Self {
        let mut keys = [0; 80];
        pbkdf2::pbkdf2_hmac::<Sha256>(secret, salt, ROUNDS, &mut keys);
        Self(keys)
    }

    fn mac(&self, data: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.0[32..64]).ok()?;
        mac.update(data);
        Some(mac)
    }

    fn apply(&self, data: &mut [u8]) -> Option<()> {
        let mut cipher =
            ctr::Ctr128BE::<Aes256>::new_from_slices(&self.0[..32], &self.0[64..]).ok()?;
        cipher.try_apply_keystream(data).ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

fn hex_encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn hex_decode(text: &str) -> Result<Vec<u8>, VaultError> {
    if !text.len().is_multiple_of(2) {
        return Err(VaultError::Hex("Odd-length string"));
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect::<Option<_>>()
        .ok_or(VaultError::Hex("Non-hexadecimal digit found"))
}

/// Reads a text file, and decrypts it when it is vaulted.
pub fn read(path: &Path, secrets: &VaultSecrets) -> Result<Arc<Source>, Diagnostic> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Diagnostic::error(
            "file-not-found",
            format!("Could not find or access '{shown}'"),
        )
        .cause(error.to_string()),
        _ => Diagnostic::error(
            "file-unreadable",
            format!("Unable to read the file '{shown}'"),
        )
        .cause(error.to_string()),
    };
    let mut bytes = std::fs::read(path).map_err(unreadable)?;
    secrets.files_read.add(path, &bytes);
    let vaulted = is_vaulted(&bytes);
    if vaulted {
        let text = String::from_utf8_lossy(&bytes);
        bytes = decrypt(&text, secrets).map_err(|error| {
            let problem = Diagnostic::error("vault", error.to_string())
                .at(&crate::diag::Span::start_of(&Source::new(path, text)));
            match error {
                VaultError::NoSecrets => problem.hint(
                    "give a password with --ask-vault-pass, --vault-password-file or --vault-id",
                ),
                _ => problem,
            }
        })?;
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        Diagnostic::error("not-utf8", format!("The file '{shown}' is not UTF-8 text"))
            .cause(error.to_string())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(if vaulted {
        Source::vaulted(path, text)
    } else {
        Source::new(path, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with ansible-vault.
    const PLAIN: &str = "$ANSIBLE_VAULT;1.1;AES256\n\
        61386537363935633831653133346633646536656239663937316433633661643633396237376666\n\
        3738643664336262346437383135333337323534393639640a396661633630356631643962346439\n\
        34633534346563346239646437613739356261393061313833313831636430316666613531343664\n\
        6133623334663731650a646536633862333134306236663565623836373931666433366161623239\n\
        6132\n";

    /// Made with ansible-vault.
    const LABELLED: &str = "$ANSIBLE_VAULT;1.2;AES256;dev\n\
        65343136303063396362386566343363373934653236333463623762363336666664376136613264\n\
        3032383330386430363063656134633635613830633861610a313263656161306238663434663737\n\
        39363333313739396362646134313730326532653431633361373936623831636130373962353332\n\
        3234656361373230340a653865353731383139393964643334353765386262393537363235306261\n\
        6530\n";

    fn secrets(list: &[(&str, &str)]) -> VaultSecrets {
        let mut secrets = VaultSecrets::default();
        list.iter()
            .for_each(|(id, secret)| secrets.add(*id, secret.as_bytes().to_vec()));
        secrets
    }

    #[test]
    fn envelopes_of_ansible_open() {
        assert_eq!(
            decrypt(PLAIN, &secrets(&[("default", "hunter2")])).unwrap(),
            b"secret text\n"
        );
        assert_eq!(
            decrypt(
                LABELLED,
                &secrets(&[("other", "wrong"), ("dev", "hunter2")])
            )
            .unwrap(),
            b"secret text\n"
        );
    }

    #[test]
    fn what_is_encrypted_decrypts() {
        for length in [0, 1, 15, 16, 17, 1000] {
            let content = vec![b'x'; length];
            let envelope = encrypt(&content, b"p", Some("dev")).unwrap();
            assert!(envelope.starts_with("$ANSIBLE_VAULT;1.2;AES256;dev\n"));
            assert_eq!(
                decrypt(&envelope, &secrets(&[("a", "p")])).unwrap(),
                content
            );
        }
    }

    #[test]
    fn failures_have_the_words_of_ansible() {
        assert_eq!(decrypt(PLAIN, &secrets(&[])), Err(VaultError::NoSecrets));
        assert_eq!(
            decrypt(PLAIN, &secrets(&[("default", "wrong")])),
            Err(VaultError::WrongSecret)
        );
        for (text, message) in [
            (
                "zz\n",
                "Vault format unhexlify error: Non-hexadecimal digit found",
            ),
            ("6\n", "Vault format unhexlify error: Odd-length string"),
            (
                "",
                "Vault vaulttext format error: not enough values to unpack (expected 3, got 1)",
            ),
            (
                "61\n",
                "Vault vaulttext format error: not enough values to unpack (expected 3, got 1)",
            ),
        ] {
            let envelope = format!("$ANSIBLE_VAULT;1.1;AES256\n{text}");
            let error = decrypt(&envelope, &secrets(&[("a", "b")])).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let old = decrypt("$ANSIBLE_VAULT;1.0;AES\n61\n", &secrets(&[("a", "b")]));
        assert_eq!(old, Err(VaultError::Cipher("AES".to_owned())));
    }

    #[test]
    fn with_id_match_only_the_password_of_the_id_is_tried() {
        let mut strict = secrets(&[("other", "hunter2")]);
        assert!(decrypt(LABELLED, &strict).is_ok() && decrypt(PLAIN, &strict).is_ok());
        strict.id_match = true;
        assert_eq!(decrypt(LABELLED, &strict), Err(VaultError::WrongSecret));
        assert_eq!(decrypt(PLAIN, &strict), Err(VaultError::WrongSecret));
        strict.add("dev", b"hunter2".to_vec());
        let opened = unseal(LABELLED, &strict).unwrap();
        assert_eq!(opened.id.as_deref(), Some("dev"));
    }
}
