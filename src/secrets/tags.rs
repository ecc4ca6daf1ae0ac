//! Short tags that stand behind the stars of a secret in plans, so that another secret in the same
//! place is seen without being shown.
//!
//! A tag is a piece of a keyed hash. The key is not in the plan: who has the plan alone can try no
//! guesses against its tags. Both who plans and who applies have it: it comes from the vault's
//! password, or else from a file of random bytes in the user's own folder. Each plan names
//! the key by a tag of its own; tags by different keys are not compared.

use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rplay_modules::machine::digest::hex;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::STARS;

/// As many rounds as a vault has: a tag is no easier way to its password.
const ROUNDS: u32 = 10_000;

/// Hexadecimal digits of a tag: enough to differ, too few to tell a secret by.
const DIGITS: usize = 6;

/// Makes tags.
pub struct Tags {
    key: Zeroizing<[u8; 32]>,
}

/// Never shows the key.
impl std::fmt::Debug for Tags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tags({})", self.id())
    }
}

impl Tags {
    /// By a key made of a password.
    #[must_use]
    pub fn of_password(password: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password, b"rplay tags of secrets", ROUNDS, &mut *key);
        Self { key }
    }

    /// By a key in a file that only its owner reads; it is made where it is not there.
    ///
    /// # Errors
    /// It can neither be read nor made.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        match std::fs::File::open(path) {
            Ok(mut file) => file.read_exact(&mut *key)?,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                std::fs::File::open("/dev/urandom")?.read_exact(&mut *key)?;
                if let Some(folder) = path.parent() {
                    let mut builder = std::fs::DirBuilder::new();
                    builder.mode(0o700).recursive(true).create(folder)?;
                }
                let mut options = std::fs::OpenOptions::new();
                let file = options.write(true).create_new(true).mode(0o600).open(path);
                file?.write_all(&*key)?;
            }
            Err(fault) => return Err(fault),
        }
        Ok(Self { key })
    }

    /// What the key is called.
    #[must_use]
    pub fn id(&self) -> String {
        self.hash("key")
    }

    /// What stands for a secret.
    pub(super) fn mark(&self, secret: &str) -> String {
        format!("{STARS}[{}]", self.hash(&format!("secret {secret}")))
    }

    /// A digest that nobody can try guesses against who has not the key.
    #[must_use]
    pub fn digest(&self, text: &str) -> String {
        self.keyed(text, 32)
    }

    fn hash(&self, text: &str) -> String {
        self.keyed(text, DIGITS)
    }

    fn keyed(&self, text: &str, length: usize) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.key) else {
            return String::new();
        };
        mac.update(text.as_bytes());
        let mut digits = hex(&mac.finalize().into_bytes());
        digits.truncate(length);
        digits
    }
}

/// A text with stars alone in place of secrets.
#[must_use]
pub fn untagged(text: &str) -> String {
    let mut pieces = text.split(STARS);
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push_str(STARS);
        let tag = piece
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'));
        let hexadecimal = |tag: &str| tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.push_str(match tag {
            Some((tag, rest)) if tag.len() == DIGITS && hexadecimal(tag) => rest,
            _ => piece,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Secrets;
    use super::*;

    #[test]
    fn a_tag_changes_with_the_secret_and_with_the_key() {
        let tagged = |password: &[u8], secret: &str| {
            let all = Secrets::default();
            all.add(secret);
            let tags = Arc::new(Tags::of_password(password));
            let matcher = all.matcher().unwrap().tagged(&tags);
            matcher.masked(&format!("a {secret}!")).unwrap()
        };
        let first = tagged(b"one", "s3cret-a");
        assert_eq!(first.len(), "a ********[123456]!".len());
        assert_eq!(first, tagged(b"one", "s3cret-a"));
        assert_ne!(first, tagged(b"one", "s3cret-b"));
        assert_ne!(first, tagged(b"two", "s3cret-a"));
        assert_eq!(untagged(&first), "a ********!");
        let others = "******** ********[12345g] ********[123456]";
        assert_eq!(untagged(others), "******** ********[12345g] ********");
    }

    #[test]
    fn a_key_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/rplay/tag-key");
        let first = Tags::of_file(&path).unwrap().id();
        assert_eq!(Tags::of_file(&path).unwrap().id(), first);
        std::fs::write(&path, "short").unwrap();
        assert!(Tags::of_file(&path).is_err());
    }
}
