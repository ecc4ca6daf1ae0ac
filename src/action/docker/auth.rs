//! Log-ins to registries, as the `docker` program keeps them on the host.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value as Json, json};

use crate::action::ActionError;
use crate::action::programs::{self, Program};
use crate::run::context::Context;

/// The name under which the usual registry is kept.
pub(super) const HUB: &str = "https://index.docker.io/v1/";

/// The registry in the name of an image, as the configuration knows it.
pub(super) fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => HUB,
    }
}

/// The configuration; an empty one where there is none.
pub(super) async fn config(context: &mut Context<'_>, path: &str) -> Result<Json, ActionError> {
    let Some(bytes) = programs::read(context, path).await? else {
        return Ok(json!({}));
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| ActionError::new(format!("Error: Unable to parse {path}: {error}")))
}

/// The program that keeps a registry's log-in, where one does.
pub(super) fn keeper(config: &Json, registry: &str) -> Option<String> {
    let own = config["credHelpers"][registry].as_str();
    let name = own.or(config["credsStore"].as_str())?;
    (!name.is_empty()).then(|| format!("docker-credential-{name}"))
}

/// Who logs in to a registry.
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// The log-in that is kept.
pub(super) async fn kept(
    context: &mut Context<'_>,
    config: &Json,
    registry: &str,
) -> Result<Option<Login>, ActionError> {
    if let Some(keeper) = keeper(config, registry) {
        let mut program = Program::new(&[&keeper, "get"]);
        program.stdin = Some(registry);
        let ran = program.run(context).await?;
        let said: Json = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let word = |name: &str| said[name].as_str().map(str::to_owned);
        return Ok(match (ran.code, word("Username"), word("Secret")) {
            (0, Some(user), Some(password)) => Some(Login { user, password }),
            _ => None,
        });
    }
    let auths = config["auths"].as_object();
    let plain = |name: &str| {
        let name = name
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        name.split('/').next().unwrap_or_default().to_owned()
    };
    let own = auths.and_then(|auths| {
        let exact = auths.get(registry);
        exact.or_else(|| {
            let same = auths
                .iter()
                .find(|(name, _)| plain(name) == plain(registry));
            same.map(|(_, one)| one)
        })
    });
    let Some(own) = own else { return Ok(None) };
    let decoded = own["auth"]
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok());
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let login = decoded.as_deref().and_then(|text| text.split_once(':'));
    Ok(login.map(|(user, password)| Login {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    }))
}

/// The header that shows the engine who pulls an image.
pub(super) async fn header(
    context: &mut Context<'_>,
    image: &str,
) -> Result<Option<String>, ActionError> {
    let folder = match programs::variable(context, "DOCKER_CONFIG").await? {
        Some(folder) => folder,
        None => format!("{}/.docker", programs::home(context).await?),
    };
    let config = config(context, &format!("{folder}/config.json")).await?;
    let registry = registry(image).to_owned();
    let Some(login) = kept(context, &config, &registry).await? else {
        return Ok(None);
    };
    context.run.hidden().add(&login.password);
    let header = json!({
        "username": login.user,
        "password": login.password,
        "serveraddress": registry,
    });
    let header = URL_SAFE.encode(header.to_string());
    context.run.hidden().add(&header);
    Ok(Some(header))
}

#[cfg(test)]
mod tests {
    use super::{HUB, registry};

    #[test]
    fn registries() {
        assert_eq!(registry("alpine:3"), HUB);
        assert_eq!(registry("user/image"), HUB);
        assert_eq!(registry("localhost/x"), "localhost");
        assert_eq!(registry("127.0.0.1:5000/x:1"), "127.0.0.1:5000");
    }
}
