//! TLS to an engine. The files of certificates are the host's, as the engine's address is seen from there.

use std::io;
use std::sync::Arc;

use rplay_modules::docker::shared::Reach;
use rplay_modules::{AcceptAll, BUNDLES};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, RootCertStore};

use crate::action::ActionError;
use crate::action::programs::{expand, on_disk, variable};
use crate::run::context::Context;

/// How an engine is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    /// Whether the engine has to prove who it is.
    pub(super) verify: bool,
    pub(super) ca: Option<String>,
    /// The certificate and the key of the client.
    pub(super) client: Option<(String, String)>,
    /// The name that the engine's certificate has, where it is not the address.
    name: Option<String>,
}

impl Tls {
    /// What the arguments and the environment ask for; nothing where that is no TLS.
    pub(super) async fn find(
        context: &mut Context<'_>,
        args: &Reach,
        secure: bool,
    ) -> Result<Option<Self>, ActionError> {
        let verify = flag(context, args.validate_certs, "DOCKER_TLS_VERIFY").await?;
        let plain = flag(context, args.tls, "DOCKER_TLS").await?;
        if !verify && !plain && !secure {
            return Ok(None);
        }
        if args.client_cert.is_some() != args.client_key.is_some() {
            let text = "parameters are required together: client_cert, client_key";
            return Err(ActionError::new(text));
        }
        let folder = variable(context, "DOCKER_CERT_PATH").await?;
        let mut files = [
            (&args.ca_path, "ca.pem"),
            (&args.client_cert, "cert.pem"),
            (&args.client_key, "key.pem"),
        ]
        .map(|(given, usual)| {
            let given = given.as_ref().map(|path| path.display().to_string());
            given.or_else(|| folder.as_ref().map(|folder| format!("{folder}/{usual}")))
        });
        for file in files.iter_mut().flatten() {
            *file = expand(context, file).await?;
        }
        let [ca, cert, key] = files;
        let name = match &args.tls_hostname {
            Some(name) => Some(name.clone()),
            None => variable(context, "DOCKER_TLS_HOSTNAME").await?,
        };
        Ok(Some(Self {
            verify: verify || !plain,
            ca,
            client: cert.zip(key),
            name,
        }))
    }

    /// What the `docker` program is told.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec![if self.verify { "--tlsverify" } else { "--tls" }.to_owned()];
        if let Some(ca) = &self.ca {
            words.extend(["--tlscacert".to_owned(), ca.clone()]);
        }
        if let Some((cert, key)) = &self.client {
            words.extend(["--tlscert".to_owned(), cert.clone()]);
            words.extend(["--tlskey".to_owned(), key.clone()]);
        }
        words
    }

    /// The name that the engine's certificate has to have.
    pub(super) fn server(&self, host: &str) -> Result<ServerName<'static>, String> {
        let name = self.name.as_deref().unwrap_or(host).to_owned();
        let wrong = format!("`{name}` is no name that a certificate could have");
        ServerName::try_from(name).map_err(|_| wrong)
    }

    /// Reads the files.
    pub(super) async fn config(
        &self,
        context: &mut Context<'_>,
    ) -> Result<Arc<ClientConfig>, ActionError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let broken = |error: Error| bad(&error.to_string());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(broken)?;
        let builder = match self.verify {
            true => builder.with_root_certificates(self.roots(context).await?),
            false => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAll(provider))),
        };
        let Some((cert, key)) = &self.client else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = certificates(&read(context, cert).await?, cert)?;
        let bytes = zeroize::Zeroizing::new(read(context, key).await?);
        let secret = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|error| bad(&format!("{key} holds no private key: {error}")))?;
        let config = builder.with_client_auth_cert(chain, secret);
        config
            .map(Arc::new)
            .map_err(|error| bad(&format!("{cert} and {key}: {error}")))
    }

    async fn roots(&self, context: &mut Context<'_>) -> Result<RootCertStore, ActionError> {
        let mut roots = RootCertStore::empty();
        let (bytes, path) = match &self.ca {
            Some(path) => (read(context, path).await?, path.as_str()),
            None => {
                let mut found = None;
                for path in BUNDLES.iter().copied() {
                    if let Some(bytes) = on_disk(context, path).await? {
                        found = Some((bytes, path));
                        break;
                    }
                }
                found.ok_or_else(|| {
                    bad("the host has no root certificates; name those that count with `ca_path`")
                })?
            }
        };
        roots.add_parsable_certificates(certificates(&bytes, path)?);
        Ok(roots)
    }
}

/// What TLS says is wrong, and what to do where its own words do not tell; nothing of other errors.
pub(super) fn reason(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref()?;
    Some(match inner {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!("TLS: {inner}; `ca_path` names the authorities that count")
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "TLS: the engine wants a certificate: give `client_cert` and `client_key`".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate) => {
            "TLS: the engine does not take `client_cert`: it has to be from an authority that the engine knows".to_owned()
        }
        inner => format!("TLS: {inner}"),
    })
}

async fn flag(
    context: &mut Context<'_>,
    given: Option<bool>,
    name: &str,
) -> Result<bool, ActionError> {
    if let Some(given) = given {
        return Ok(given);
    }
    let said = variable(context, name).await?;
    let said = said.map(|word| word.to_lowercase());
    let no = ["0", "n", "no", "f", "false", "off", "0.0"];
    Ok(said.is_some_and(|word| !no.contains(&word.as_str())))
}

fn bad(why: &str) -> ActionError {
    ActionError::new(format!("TLS config error: {why}"))
}

async fn read(context: &mut Context<'_>, path: &str) -> Result<Vec<u8>, ActionError> {
    let found = on_disk(context, path).await?;
    found.ok_or_else(|| {
        bad(&format!(
            "there is no file {path} that could be read on the host"
        ))
    })
}

fn certificates(bytes: &[u8], path: &str) -> Result<Vec<CertificateDer<'static>>, ActionError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(bad(&format!("{path} holds no certificate"))),
        Err(error) => Err(bad(&format!("{path}: {error}"))),
    }
}
