//! TLS for connections that the machine opens: rustls with the machine's own root certificates.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use super::{Error, Result};
use crate::machine::Stream;

/// The settings of TLS connections; made once, since reading all root certificates takes time.
pub(crate) fn config(verify: bool) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(format!("TLS cannot be set up: {error}")))?;
    if !verify {
        let verifier = Arc::new(AcceptAll(provider));
        return Ok(Arc::new(
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth(),
        ));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
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

/// Accepts every certificate, because the user said `validate_certs: false`.
#[derive(Debug)]
struct AcceptAll(Arc<CryptoProvider>);

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
