//! Where the cluster is and who asks: arguments, `K8S_AUTH_*`, the kubeconfig, the pod that rplay is in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::client::ConfigExt as _;
use kube::config::{AuthInfo, Config, KubeConfigOptions, Kubeconfig};
use rplay_modules::data::Data;
use rplay_modules::kubernetes::shared::Auth;
use serde_json::Value as Json;
use tower::ServiceBuilder;

use super::api::{Api, Fault};
use super::road::{Proxy, Road};
use crate::action::ActionError;
use crate::run::context::{Context, expand_home};
use crate::secrets::Secrets;

/// What Ansible says before the reason.
const FAILED: &str = "Could not create API client";

/// What an argument or a variable of the environment says.
struct Settings {
    auth: Auth,
    /// Whether the host is another machine: its kubeconfig counts.
    there: bool,
}

/// Connects. The first word is what connections that are alike have in common.
pub(super) async fn settings(
    context: &mut Context<'_>,
    auth: &Auth,
) -> Result<(String, Config, Road), ActionError> {
    let there = !context.here && !context.link()?.is_local();
    let mut settings = Settings {
        auth: auth.clone(),
        there,
    };
    settings.fill(&context.environment, context.run.hidden());
    settings.check_files(context)?;
    let tunnels = match there {
        true => Some(context.link()?.tunnels().await?),
        false => None,
    };
    let mut config = settings.config(context).await?;
    settings.override_with(&mut config)?;
    hide(context.run.hidden(), &mut config.auth_info);
    let road = Road {
        tunnels,
        proxy: settings.proxy(&config)?.map(Arc::new),
    };
    // The way is opened by `Road`.
    config.proxy_url = None;
    config.connect_timeout = Some(super::road::PATIENCE);
    Ok((key(&config, &road), config, road))
}

/// A connection from this machine, for lookups.
pub(super) async fn plain(auth: &Auth, hidden: &Secrets) -> Result<Api, Fault> {
    let mut settings = Settings {
        auth: auth.clone(),
        there: false,
    };
    settings.fill(&[], hidden);
    let told = |error: ActionError| match error {
        ActionError::Failed(failure) => Fault::new(failure.msg),
        other => Fault::new(format!("{other:?}")),
    };
    let given = settings.auth.kubeconfig.is_some() || settings.auth.context.is_some();
    let own = || Config::incluster().ok();
    let mut config = match own().filter(|_| !given) {
        _ if settings.is_enough() => {
            Config::new(address(settings.auth.host.as_deref().unwrap_or_default())?)
        }
        Some(config) => config,
        None => {
            let (kubeconfig, shown) = settings.local_kubeconfig()?;
            settings.pick(kubeconfig, &shown).await.map_err(told)?
        }
    };
    settings.override_with(&mut config).map_err(told)?;
    hide(hidden, &mut config.auth_info);
    let road = Road {
        tunnels: None,
        proxy: settings.proxy(&config).map_err(told)?.map(Arc::new),
    };
    config.proxy_url = None;
    client(config, road)
}

/// The client of a configuration.
pub(super) fn client(config: Config, road: Road) -> Result<Api, Fault> {
    let failed = |error: kube::Error| Fault::new(format!("{FAILED}: {error}"));
    let address = config.cluster_url.to_string();
    let namespace = config.default_namespace.clone();
    let connector = config
        .rustls_https_connector_with_connector(road)
        .map_err(failed)?;
    let executor = hyper_util::rt::TokioExecutor::new();
    let client: hyper_util::client::legacy::Client<_, kube::client::Body> =
        hyper_util::client::legacy::Client::builder(executor).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(failed)?)
        .layer(config.extra_headers_layer().map_err(failed)?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(Api {
        client: kube::Client::new(service, namespace),
        address: address.trim_end_matches('/').to_owned(),
    })
}

/// What makes two connections the same. It holds secrets, and stays in memory.
fn key(config: &Config, road: &Road) -> String {
    let auth = serde_json::to_string(&config.auth_info).unwrap_or_default();
    let tunnels = road.tunnels.as_ref().map(crate::connect::Tunnels::number);
    let proxy = road.proxy.as_deref();
    let proxy = proxy.map(|proxy| (&proxy.address, &proxy.headers, &proxy.except));
    format!(
        "{}|{tunnels:?}|{proxy:?}|{:?}|{}|{auth}|{}",
        config.cluster_url, config.root_cert, config.accept_invalid_certs, config.default_namespace
    )
}

/// A variable `K8S_AUTH_*` of the task's environment, or of that of rplay.
pub(super) fn variable(environment: &[(String, String)], name: &str) -> Option<String> {
    let name = format!("K8S_AUTH_{name}");
    let own = environment.iter().find(|(known, _)| *known == name);
    own.map(|(_, value)| value.clone())
        .or_else(|| std::env::var(&name).ok())
        .filter(|value| !value.is_empty())
}

/// Whether such a variable says yes.
pub(super) fn yes(word: &str) -> bool {
    let word = word.to_lowercase();
    !["false", "no", "off", "0", "n", "f"].contains(&&*word)
}

impl Settings {
    /// What is not given comes from the environment of the task, then from that of rplay.
    fn fill(&mut self, environment: &[(String, String)], hidden: &Secrets) {
        let look = |name: &str| variable(environment, name);
        let auth = &mut self.auth;
        let text = |field: &mut Option<String>, name: &str| {
            if field.is_none() {
                *field = look(name);
            }
        };
        text(&mut auth.context, "CONTEXT");
        text(&mut auth.host, "HOST");
        text(&mut auth.api_key, "API_KEY");
        text(&mut auth.username, "USERNAME");
        text(&mut auth.password, "PASSWORD");
        text(&mut auth.proxy, "PROXY");
        text(&mut auth.no_proxy, "NO_PROXY");
        text(&mut auth.impersonate_user, "IMPERSONATE_USER");
        for secret in [&auth.api_key, &auth.password].into_iter().flatten() {
            hidden.add(secret);
        }
        let path = |field: &mut Option<PathBuf>, name: &str| {
            if field.is_none() {
                *field = look(name).map(PathBuf::from);
            }
        };
        path(&mut auth.ca_cert, "SSL_CA_CERT");
        path(&mut auth.client_cert, "CERT_FILE");
        path(&mut auth.client_key, "KEY_FILE");
        if auth.kubeconfig.is_none() {
            auth.kubeconfig = look("KUBECONFIG").map(Data::from);
        }
        if auth.impersonate_groups.is_none() {
            let groups = look("IMPERSONATE_GROUPS");
            auth.impersonate_groups = groups.map(|groups| {
                let groups = groups.split(',');
                groups.map(|group| group.trim().to_owned()).collect()
            });
        }
        if let (None, Some(word)) = (auth.validate_certs, look("VERIFY_SSL")) {
            auth.validate_certs = Some(yes(&word));
        }
        for (name, key) in [
            ("PROXY_HEADERS_PROXY_BASIC_AUTH", "proxy_basic_auth"),
            ("PROXY_HEADERS_BASIC_AUTH", "basic_auth"),
            ("PROXY_HEADERS_USER_AGENT", "user_agent"),
        ] {
            let headers = auth.proxy_headers.get_or_insert_default();
            if let (false, Some(value)) = (headers.contains_key(key), look(name)) {
                headers.insert(key.to_owned(), value.into());
            }
        }
    }

    /// Files of arguments have to be there.
    fn check_files(&mut self, context: &Context<'_>) -> Result<(), ActionError> {
        let auth = &mut self.auth;
        for file in [
            &mut auth.ca_cert,
            &mut auth.client_cert,
            &mut auth.client_key,
        ] {
            if let (Some(path), false) = (&mut *file, self.there) {
                let name = path.to_string_lossy().into_owned();
                let found = context.find_file("files", &name);
                *path = found.ok_or_else(|| context.missing_file("files", &name))?;
            }
        }
        Ok(())
    }

    /// Whether the arguments alone say where and who.
    fn is_enough(&self) -> bool {
        let auth = &self.auth;
        auth.host.is_some()
            && (auth.api_key.is_some()
                || (auth.username.is_some() && auth.password.is_some())
                || (auth.client_cert.is_some() && auth.client_key.is_some()))
    }

    async fn config(&self, context: &mut Context<'_>) -> Result<Config, ActionError> {
        if self.is_enough() {
            let host = self.auth.host.as_deref().unwrap_or_default();
            return Ok(Config::new(address(host)?));
        }
        let given = self.auth.kubeconfig.is_some() || self.auth.context.is_some();
        if !given
            && !self.there
            && let Ok(config) = Config::incluster()
        {
            return Ok(config);
        }
        let (kubeconfig, shown) = self.kubeconfig(context).await?;
        self.pick(kubeconfig, &shown).await
    }

    /// The configuration of a kubeconfig's context.
    async fn pick(&self, kubeconfig: Kubeconfig, shown: &str) -> Result<Config, ActionError> {
        let failed =
            |text: String| Fault::new(format!("{FAILED}: Invalid kube-config file. {text}"));
        let wanted = self.auth.context.clone();
        let named = wanted.as_ref().or(kubeconfig.current_context.as_ref());
        let Some(named) = named.filter(|name| !name.is_empty()).cloned() else {
            let text = "Expected key current-context in";
            let text = format!("{text} {shown}; name one of its contexts with `context`");
            return Err(failed(text).into());
        };
        let known: Vec<_> = kubeconfig
            .contexts
            .iter()
            .map(|one| one.name.clone())
            .collect();
        if !known.contains(&named) {
            let mut text = format!("Expected object with name {named} in {shown}/contexts list");
            if let Some(near) = crate::diag::nearest(&named, known.iter().map(String::as_str)) {
                text += &format!(" (did you mean `{near}`?)");
            }
            return Err(failed(text).into());
        }
        let options = KubeConfigOptions {
            context: Some(named),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        config.map_err(|error| failed(format!("{error} ({shown})")).into())
    }

    /// The kubeconfig, and how it is named in messages.
    async fn kubeconfig(
        &self,
        context: &mut Context<'_>,
    ) -> Result<(Kubeconfig, String), ActionError> {
        let broken = |shown: &str, text: String| {
            Fault::new(format!(
                "{FAILED}: Invalid kube-config file {shown}: {text}"
            ))
        };
        let files = match &self.auth.kubeconfig {
            Some(Data::Map(map)) => {
                let json = Data::Map(map.clone()).to_json();
                let read = serde_json::from_value(json);
                let shown = "the given mapping".to_owned();
                return match read {
                    Ok(read) => Ok((read, shown)),
                    Err(error) => Err(broken(&shown, error.to_string()).into()),
                };
            }
            Some(text) => {
                let text = text.text();
                let parts = text.split(':').filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect::<Vec<_>>()
            }
            None => self.usual(context).await?,
        };
        let mut all: Option<Kubeconfig> = None;
        for file in &files {
            let Some(one) = self.read(context, file).await? else {
                continue;
            };
            let one = one.map_err(|text| broken(file, text))?;
            all = Some(match all {
                None => one,
                Some(all) => all
                    .merge(one)
                    .map_err(|error| broken(file, error.to_string()))?,
            });
        }
        match all {
            Some(all) => Ok((all, files.join(":"))),
            None => Err(Fault::new(format!(
                "{FAILED}: Invalid kube-config file. No configuration found. (looked for {})",
                files.join(", ")
            ))
            .into()),
        }
    }

    /// The kubeconfig of this machine.
    fn local_kubeconfig(&self) -> Result<(Kubeconfig, String), Fault> {
        let broken = |shown: &str, text: String| {
            Fault::new(format!(
                "{FAILED}: Invalid kube-config file {shown}: {text}"
            ))
        };
        if let Some(map @ Data::Map(_)) = &self.auth.kubeconfig {
            let shown = "the given mapping".to_owned();
            let read = serde_json::from_value(map.to_json());
            return match read {
                Ok(read) => Ok((read, shown)),
                Err(error) => Err(broken(&shown, error.to_string())),
            };
        }
        let given = self.auth.kubeconfig.as_ref().map(Data::text);
        let list = given
            .or_else(|| std::env::var("KUBECONFIG").ok())
            .filter(|list| !list.is_empty());
        let list = list.unwrap_or_else(|| "~/.kube/config".to_owned());
        let mut all: Option<Kubeconfig> = None;
        for file in list
            .split(':')
            .map(expand_home)
            .filter(|path| path.exists())
        {
            let shown = file.display().to_string();
            let one =
                Kubeconfig::read_from(&file).map_err(|error| broken(&shown, error.to_string()))?;
            all = Some(match all {
                None => one,
                Some(all) => all
                    .merge(one)
                    .map_err(|error| broken(&shown, error.to_string()))?,
            });
        }
        let none = || {
            Fault::new(format!(
                "{FAILED}: Invalid kube-config file. No configuration found. (looked for {list})"
            ))
        };
        Ok((all.ok_or_else(none)?, list))
    }

    /// The files that count where none is named.
    async fn usual(&self, context: &mut Context<'_>) -> Result<Vec<String>, ActionError> {
        let own = context
            .environment
            .iter()
            .find(|(name, _)| name == "KUBECONFIG");
        let own = own.map(|(_, value)| value.clone());
        let list = match self.there {
            true => own,
            false => own.or_else(|| std::env::var("KUBECONFIG").ok()),
        };
        let list = list.filter(|list| !list.is_empty());
        let list = list.unwrap_or_else(|| "~/.kube/config".to_owned());
        Ok(list
            .split(':')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// A kubeconfig of this machine or of the host; nothing where it is not there and need not be.
    async fn read(
        &self,
        context: &mut Context<'_>,
        file: &str,
    ) -> Result<Option<Result<Kubeconfig, String>>, ActionError> {
        let named = self.auth.kubeconfig.is_some();
        if let (true, Some(path)) = (named || !self.there, context.find_file("files", file)) {
            return Ok(Some(
                Kubeconfig::read_from(path).map_err(|error| error.to_string()),
            ));
        }
        if !self.there {
            return match named {
                true => Err(context.missing_file("files", file)),
                false => Ok(None),
            };
        }
        let r#become = context.r#become.clone();
        let link = context.link()?;
        let hello = link.hello(r#become.as_ref()).await?;
        let home = hello.process.home;
        let path = match file.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => home.join(file),
        };
        let content = match link.fetch(r#become.as_ref(), &path).await? {
            Ok(content) => content,
            Err(_) if !named => return Ok(None),
            Err(why) => {
                let text = format!("{FAILED}: {} of the host: {why}", path.display());
                return Err(Fault::new(text).into());
            }
        };
        let text = String::from_utf8_lossy(&content);
        let mut read = match Kubeconfig::from_yaml(&text) {
            Ok(read) => read,
            Err(error) => return Ok(Some(Err(error.to_string()))),
        };
        let folder = path.parent().unwrap_or(&home).to_path_buf();
        self.take_files(context, &mut read, &folder).await?;
        Ok(Some(Ok(read)))
    }

    /// Puts the content of the host's files that a kubeconfig names into it.
    async fn take_files(
        &self,
        context: &mut Context<'_>,
        read: &mut Kubeconfig,
        folder: &Path,
    ) -> Result<(), ActionError> {
        for named in &mut read.clusters {
            if let Some(cluster) = &mut named.cluster
                && let Some(file) = cluster.certificate_authority.take()
            {
                let bytes = there(context, &folder.join(file)).await?;
                cluster.certificate_authority_data = Some(STANDARD.encode(bytes));
            }
        }
        for named in &mut read.auth_infos {
            let Some(user) = &mut named.auth_info else {
                continue;
            };
            if let Some(file) = user.client_certificate.take() {
                let bytes = there(context, &folder.join(file)).await?;
                user.client_certificate_data = Some(STANDARD.encode(bytes));
            }
            if let Some(file) = user.client_key.take() {
                let bytes = there(context, &folder.join(file)).await?;
                user.client_key_data = Some(STANDARD.encode(bytes).into());
            }
            if let Some(file) = user.token_file.take() {
                let bytes = there(context, &folder.join(file)).await?;
                let token = String::from_utf8_lossy(&bytes).trim().to_owned();
                user.token = Some(token.into());
            }
        }
        Ok(())
    }

    /// What arguments say instead of the kubeconfig.
    fn override_with(&self, config: &mut Config) -> Result<(), ActionError> {
        let auth = &self.auth;
        if let Some(host) = &auth.host {
            config.cluster_url = address(host)?;
        }
        let who = &mut config.auth_info;
        if let Some(token) = &auth.api_key {
            *who = AuthInfo::default();
            who.token = Some(token.clone().into());
        }
        if auth.username.is_some() {
            who.username.clone_from(&auth.username);
        }
        if let Some(password) = &auth.password {
            who.password = Some(password.clone().into());
        }
        let shown = |path: &PathBuf| path.display().to_string();
        if let Some(path) = &auth.client_cert {
            who.client_certificate = Some(shown(path));
            who.client_certificate_data = None;
        }
        if let Some(path) = &auth.client_key {
            who.client_key = Some(shown(path));
            who.client_key_data = None;
        }
        if let Some(path) = &auth.ca_cert {
            let text = read_here(path)?;
            config.root_cert = Some(certificates(&text).ok_or_else(|| {
                Fault::new(format!(
                    "{FAILED}: `{}` holds no certificate",
                    path.display()
                ))
            })?);
            config.root_cert_file = None;
        }
        if let Some(check) = auth.validate_certs {
            config.accept_invalid_certs = !check;
        }
        if auth.impersonate_user.is_some() {
            who.impersonate.clone_from(&auth.impersonate_user);
        }
        if auth.impersonate_groups.is_some() {
            who.impersonate_groups.clone_from(&auth.impersonate_groups);
        }
        Ok(())
    }

    fn proxy(&self, config: &Config) -> Result<Option<Proxy>, ActionError> {
        // That of the environment is not meant, as for Ansible; that of the kubeconfig is.
        let environment = ["HTTPS_PROXY", "https_proxy"];
        let usual = environment.iter().find_map(|name| std::env::var(name).ok());
        let usual = usual.and_then(|text| text.parse().ok());
        let own = config
            .proxy_url
            .clone()
            .filter(|url| Some(url) != usual.as_ref());
        let address =
            match &self.auth.proxy {
                Some(text) => Some(text.parse().map_err(|error| {
                    Fault::new(format!("{FAILED}: the proxy `{text}`: {error}"))
                })?),
                None => own,
            };
        let Some(address) = address else {
            return Ok(None);
        };
        let mut headers = vec![];
        for (key, value) in self.auth.proxy_headers.iter().flatten() {
            let basic = || format!("Basic {}", STANDARD.encode(value.text()));
            headers.push(match key.as_str() {
                "proxy_basic_auth" => ("Proxy-Authorization".to_owned(), basic()),
                "basic_auth" => ("Authorization".to_owned(), basic()),
                "user_agent" => ("User-Agent".to_owned(), value.text()),
                other => {
                    let known = "basic_auth, proxy_basic_auth, user_agent";
                    let text = format!(
                        "Unsupported parameters for proxy_headers: {other}. Supported parameters include: {known}."
                    );
                    return Err(ActionError::new(text));
                }
            });
        }
        let list = self.auth.no_proxy.as_deref().unwrap_or_default();
        let rules = list
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty());
        Ok(Some(Proxy {
            address,
            headers,
            except: rules.map(str::to_owned).collect(),
        }))
    }
}

fn address(host: &str) -> Result<http::Uri, Fault> {
    let url = match host.contains("://") {
        true => host.to_owned(),
        false => format!("https://{host}"),
    };
    let parsed = url.parse::<http::Uri>();
    parsed.map_err(|error| Fault::new(format!("{FAILED}: the host `{host}`: {error}")))
}

/// A file of the host.
async fn there(context: &mut Context<'_>, path: &Path) -> Result<Vec<u8>, ActionError> {
    let r#become = context.r#become.clone();
    let read = context.link()?.fetch(r#become.as_ref(), path).await?;
    read.map_err(|why| {
        Fault::new(format!("{FAILED}: {} of the host: {why}", path.display())).into()
    })
}

fn read_here(path: &Path) -> Result<String, Fault> {
    let path = expand_home(&path.to_string_lossy());
    let read = std::fs::read_to_string(&path);
    read.map_err(|error| Fault::new(format!("{FAILED}: `{}`: {error}", path.display())))
}

/// The certificates of PEM text; nothing where there is none.
fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut all = vec![];
    for part in text.split(BEGIN).skip(1) {
        let body: String = part.split(END).next()?.split_whitespace().collect();
        all.push(STANDARD.decode(body).ok()?);
    }
    (!all.is_empty()).then_some(all)
}

/// The token of a file. What an editor adds at its end is no part of it; kube would send that, too, so such a file is
/// not left to it.
fn token_of_file(auth: &mut AuthInfo) -> Option<String> {
    let text = std::fs::read_to_string(auth.token_file.as_ref()?).ok()?;
    let token = text.trim();
    if token != text {
        auth.token_file = None;
        auth.token = Some(token.to_owned().into());
    }
    Some(token.to_owned())
}

/// What tells who we are is in no output.
fn hide(hidden: &Secrets, auth: &mut AuthInfo) {
    if let Some(token) = token_of_file(auth) {
        hidden.add(&token);
    }
    hide_in(hidden, &serde_json::to_value(auth).unwrap_or_default());
}

/// The same, of a user as a kubeconfig has it.
pub(super) fn hide_in(hidden: &Secrets, json: &Json) {
    for name in ["password", "token", "client-key-data"] {
        if let Some(Json::String(secret)) = json.get(name) {
            hidden.add(secret);
        }
    }
}
