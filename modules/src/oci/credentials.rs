//! Credentials for a registry: given, from the environment, or from a log-in that a tool has left.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reference::Name;
use super::{Error, Result};
use crate::data::Data;
use crate::json;
use crate::machine::Machine;

/// A user and a password; without `Debug`, so that neither can slip into a message.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The user.
    pub(crate) username: String,
    /// The password or access token.
    pub(crate) password: String,
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        basic_text(&format!("{}:{}", self.username, self.password))
    }
}

/// The value of an `Authorization` header for `user:password`.
pub(crate) fn basic_text(userinfo: &str) -> String {
    format!("Basic {}", STANDARD.encode(userinfo))
}

/// Files in which tools keep log-ins, below the home directory, in order of precedence.
const FILES: [&str; 4] = [
    ".apptainer/docker-config.json",
    ".singularity/docker-config.json",
    ".config/containers/auth.json",
    ".docker/config.json",
];

/// The credentials to offer to a registry, if there are any beside those in the arguments.
pub(crate) fn find(machine: &mut dyn Machine, name: &Name) -> Result<Option<Credentials>> {
    let process = machine.process();
    for prefix in ["APPTAINER", "SINGULARITY"] {
        let get = |part: &str| process.env.get(&format!("{prefix}_DOCKER_{part}")).cloned();
        if let (Some(username), Some(password)) = (get("USERNAME"), get("PASSWORD")) {
            return Ok(Some(Credentials { username, password }));
        }
    }
    for file in FILES {
        let path = process.home.join(file);
        let Ok(bytes) = machine.read(&path) else {
            continue;
        };
        let config = json::read_bytes(&bytes).map_err(|error| {
            Error::new(format!(
                "{} is not a list of log-ins: {error}",
                path.display()
            ))
        })?;
        if let Some(found) = best(&config, name) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The entry with the longest name that covers the image.
fn best(config: &Data, name: &Name) -> Option<Credentials> {
    let hub = name.registry == "docker.io";
    let image = format!("{}/{}", name.registry, name.repository);
    let covers = |key: &str| {
        let key = key
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        if hub && key.trim_end_matches('/').starts_with("index.docker.io") {
            return true;
        }
        let key = key
            .trim_end_matches('/')
            .trim_end_matches("/v2")
            .trim_end_matches("/v1");
        image
            .strip_prefix(key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let entries = config.get("auths")?.as_map()?.iter();
    let log_ins = entries
        .filter(|(key, _)| covers(key))
        .filter_map(|(key, entry)| Some((key, entry.get("auth")?.as_str()?)))
        .filter(|(_, auth)| !auth.is_empty());
    let (_, auth) = log_ins.max_by_key(|(key, _)| key.len())?;
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Credentials {
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::reference::{Source, parse};

    fn user(config: &str, image: &str) -> Option<String> {
        let config = json::read(&config.replace('\'', "\"")).unwrap();
        let Ok(Source::Registry(name)) = parse(image) else {
            panic!("{image}")
        };
        best(&config, &name).map(|found| found.username)
    }

    #[test]
    fn the_longest_entry_that_covers_the_image_wins() {
        // `a:x` and `b:x`.
        let config = "{'auths':{'ghcr.io':{'auth':'YTp4'},'ghcr.io/team':{'auth':'Yjp4'},'https://index.docker.io/v1/':{'auth':'YTp4'}}}";
        assert_eq!(user(config, "docker://ghcr.io/x/y").as_deref(), Some("a"));
        assert_eq!(
            user(config, "docker://ghcr.io/team/y").as_deref(),
            Some("b")
        );
        assert_eq!(
            user(config, "docker://ghcr.io/teams/y").as_deref(),
            Some("a")
        );
        assert_eq!(user(config, "docker://alpine").as_deref(), Some("a"));
        assert_eq!(user(config, "docker://quay.io/x").as_deref(), None);
    }
}
