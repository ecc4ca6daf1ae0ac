//! TLS for connections that the machine opens: rustls with the machine's own root certificates.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{DEFAULT_KX_GROUPS, cipher_suite};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::SigningKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use webpki::ring as webpki;

use super::{Error, Result};
use crate::machine::{Machine, Stream};

/// Where systems keep their root certificates in one file.
pub const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cert.pem",
];

/// Whose certificates are good.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// Those that the machine's root certificates vouch for.
    #[default]
    Machine,
    /// Those that the machine's root certificates or the ones of a file vouch for.
    MachineAnd(PathBuf),
    /// All, because the user said `validate_certs: false`.
    Everybody,
}

impl Trust {
    /// What `validate_certs` and `ca_path` say.
    pub(crate) fn of(verify: bool, more: Option<&Path>) -> Self {
        match more {
            _ if !verify => Self::Everybody,
            None => Self::Machine,
            Some(path) => Self::MachineAnd(path.to_owned()),
        }
    }
}

/// The settings of TLS connections; made once, since reading all root certificates takes time.
pub(crate) fn config(machine: &mut dyn Machine, trust: &Trust) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(format!("TLS cannot be set up: {error}")))?;
    if matches!(trust, Trust::Everybody) {
        let verifier = Arc::new(AcceptAll(provider));
        return Ok(Arc::new(
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth(),
        ));
    }
    let mut roots = RootCertStore::empty();
    let mut certificates = machine_roots(machine);
    if let Trust::MachineAnd(path) = trust {
        let text = machine
            .read(path)
            .map_err(|error| Error::io(path.display(), &error))?;
        certificates.extend(parsed(&text));
    }
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(Error::new(
            "this machine has no root certificates to check a registry's certificate against; install \
             `ca-certificates`, or set `SSL_CERT_FILE`",
        ));
    }
    Ok(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// What both sides may agree on. It is less than rustls would offer, because every target gets a copy
/// of the code: whoever speaks TLS 1.2 or 1.3 speaks AES-GCM, and the agent has no key to sign with.
/// It is spelled out, as whatever `default_provider` names would be linked.
fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        kx_groups: DEFAULT_KX_GROUPS.to_vec(),
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Kernel,
        key_provider: &NoKeys,
    }
}

/// The signatures of certificates and servers that are understood: all that webpki can check.
static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        webpki::ECDSA_P256_SHA256,
        webpki::ECDSA_P256_SHA384,
        webpki::ECDSA_P384_SHA256,
        webpki::ECDSA_P384_SHA384,
        webpki::ED25519,
        webpki::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        webpki::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        webpki::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        webpki::RSA_PKCS1_2048_8192_SHA256,
        webpki::RSA_PKCS1_2048_8192_SHA384,
        webpki::RSA_PKCS1_2048_8192_SHA512,
        webpki::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
        webpki::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
        webpki::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    ],
    // TLS 1.2 leaves the curve of an ECDSA key open; TLS 1.3 takes the first of each list.
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[webpki::ECDSA_P384_SHA384, webpki::ECDSA_P256_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[webpki::ECDSA_P256_SHA256, webpki::ECDSA_P384_SHA256],
        ),
        (SignatureScheme::ED25519, &[webpki::ED25519]),
        (
            SignatureScheme::RSA_PSS_SHA512,
            &[webpki::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA384,
            &[webpki::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PSS_SHA256,
            &[webpki::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA512,
            &[webpki::RSA_PKCS1_2048_8192_SHA512],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA384,
            &[webpki::RSA_PKCS1_2048_8192_SHA384],
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA256,
            &[webpki::RSA_PKCS1_2048_8192_SHA256],
        ),
    ],
};

/// Random numbers of the kernel.
#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, bytes: &mut [u8]) -> std::result::Result<(), GetRandomFailed> {
        let mut done = 0;
        while done < bytes.len() {
            match getrandom(&mut bytes[done..], GetRandomFlags::empty()) {
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(_) => return Err(GetRandomFailed),
            }
        }
        Ok(())
    }
}

/// Loads no private key: client certificates are refused before a connection is made.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(
        &self,
        _: PrivateKeyDer<'static>,
    ) -> std::result::Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("no key can be used".to_owned()))
    }
}

/// The root certificates of the machine: where `SSL_CERT_FILE` and `SSL_CERT_DIR` say, or where
/// its system keeps them.
fn machine_roots(machine: &mut dyn Machine) -> Vec<CertificateDer<'static>> {
    let env = machine.process().env;
    let mut files: Vec<PathBuf> = env
        .get("SSL_CERT_FILE")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    let folders = env.get("SSL_CERT_DIR").map_or("", String::as_str);
    for folder in folders.split(':').filter(|folder| !folder.is_empty()) {
        let names = machine.list(Path::new(folder)).unwrap_or_default();
        files.extend(names.into_iter().map(|name| Path::new(folder).join(name)));
    }
    if files.is_empty() {
        let is_there = |path: &&&str| matches!(machine.stat(Path::new(path), true), Ok(Some(_)));
        files.extend(BUNDLES.iter().find(is_there).map(PathBuf::from));
    }
    let mut read = |path: PathBuf| machine.read(&path).map(|text| parsed(&text));
    files
        .into_iter()
        .filter_map(|path| read(path).ok())
        .flatten()
        .collect()
}

/// The certificates of a PEM file; what is none is left out.
fn parsed(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text)
        .filter_map(std::result::Result::ok)
        .collect()
}

/// Shakes hands with `host` over an open connection.
pub(crate) fn connect(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<StreamOwned<ClientConnection, Box<dyn Stream>>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::new(format!(
            "`{host}` is not a name that a certificate can carry"
        ))
    })?;
    let connection = ClientConnection::new(config.clone(), name)
        .map_err(|error| Error::new(format!("TLS with {host} cannot be set up: {error}")))?;
    let mut stream = StreamOwned::new(connection, stream);
    // Shaken at once, so that a certificate problem is not reported as one of reading.
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .map_err(|error| Error::io(format!("TLS with {host}"), &error))?;
    }
    Ok(stream)
}

/// Either kind of connection.
pub(crate) enum Connection {
    /// As it is.
    Plain(Box<dyn Stream>),
    /// Inside TLS.
    Tls(Box<StreamOwned<ClientConnection, Box<dyn Stream>>>),
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.read(buffer),
            Connection::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Connection::Plain(stream) => stream.write(bytes),
            Connection::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Connection::Plain(stream) => stream.flush(),
            Connection::Tls(stream) => stream.flush(),
        }
    }
}

/// Accepts every certificate, because the user asked for that; signatures are checked as this provider does.
#[derive(Debug)]
pub struct AcceptAll(pub Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
