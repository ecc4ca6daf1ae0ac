//! `%h` and its like, `~` and `${NAME}` in values.

use std::path::PathBuf;

use rplay_modules::machine::digest::hex;
use sha1::{Digest, Sha1};

/// What the tokens stand for.
pub(super) struct Tokens {
    pub(super) host_name: String,
    pub(super) original: String,
    pub(super) port: String,
    pub(super) user: String,
    pub(super) alias: Option<String>,
    pub(super) jump: String,
}

impl Tokens {
    /// All tokens that a file name or a command of `Match exec` may have.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let uname = rustix::system::uname();
        let here = uname.nodename().to_string_lossy().into_owned();
        let short = here.split('.').next().unwrap_or_default().to_owned();
        let home = std::env::home_dir().unwrap_or_default();
        let uid = rustix::process::getuid().as_raw().to_string();
        let own = current_user();
        let jump = match self.jump.to_lowercase().as_str() {
            "none" => "",
            _ => self.jump.as_str(),
        };
        let name = [&here, &self.host_name, &self.port, &self.user, jump].concat();
        let hash = hex(&Sha1::digest(name.as_bytes()));
        let alias = self.alias.as_ref().unwrap_or(&self.original);
        expand(
            text,
            &[
                ('C', &hash),
                ('L', &short),
                ('d', &home.to_string_lossy()),
                ('h', &self.host_name),
                ('i', &uid),
                ('j', jump),
                ('k', alias),
                ('l', &here),
                ('n', &self.original),
                ('p', &self.port),
                ('r', &self.user),
                ('u', &own),
            ],
        )
    }

    /// The tokens of the ways to a host.
    pub(super) fn expand_proxy(&self, text: &str) -> Result<String, String> {
        let alias = self.alias.as_ref().unwrap_or(&self.original);
        expand(
            text,
            &[
                ('h', &self.host_name),
                ('k', alias),
                ('n', &self.original),
                ('p', &self.port),
                ('r', &self.user),
            ],
        )
    }

    /// A file name: tokens, variables of the environment and `~`.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        Ok(expand_home(&variables(&self.expand(text)?)?))
    }
}

/// Replaces tokens; one that the option does not have is an error.
pub(super) fn expand(text: &str, known: &[(char, &str)]) -> Result<String, String> {
    let mut result = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            result.push(c);
            continue;
        }
        let token = chars.next().ok_or("percent_expand: invalid format")?;
        if token == '%' {
            result.push('%');
            continue;
        }
        let value = known.iter().find(|(name, _)| *name == token);
        let (_, value) = value.ok_or_else(|| format!("percent_expand: unknown key %{token}"))?;
        result += value;
    }
    Ok(result)
}

/// Replaces `${NAME}`.
fn variables(text: &str) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        result += &rest[..start];
        let (name, after) = rest[start + 2..]
            .split_once('}')
            .ok_or_else(|| format!("environment variable in \"{text}\" has no end"))?;
        let value = std::env::var(name).map_err(|_| format!("env var ${{{name}}} has no value"))?;
        result += &value;
        rest = after;
    }
    Ok(result + rest)
}

/// `~` is `$HOME`, and `~NAME` the home of another user.
pub(super) fn expand_home(path: &str) -> PathBuf {
    let Some(rest) = path.strip_prefix('~') else {
        return PathBuf::from(path);
    };
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    if name.is_empty() {
        return std::env::home_dir().unwrap_or_default().join(rest);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(4))?
    });
    home.map_or_else(
        || PathBuf::from(path),
        |home| PathBuf::from(home).join(rest),
    )
}

/// The name of the user of this program.
pub(super) fn current_user() -> String {
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
