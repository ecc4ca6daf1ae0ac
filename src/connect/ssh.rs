//! Connection `ssh`: an SSH client inside this program; no `ssh` is started.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, client};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::known_hosts::{KnownHosts, Trust};
use super::program::Program;
use super::ssh_auth;
use super::ssh_config::{Options, Strict};
use super::{Kind, LinkError, Target};

/// Both directions stay busy on a long line.
const WINDOW: u32 = 8 << 20;

/// A logged-in connection.
pub(super) struct Session {
    handle: Arc<client::Handle<Checker>>,
    /// The connection that this one runs through.
    _jump: Option<Box<Session>>,
}

impl Session {
    /// Starts a command line in the login shell.
    pub(super) async fn start(&self, line: &str) -> Result<Program, LinkError> {
        let failed = |error: russh::Error| {
            LinkError::Unreachable(via_ssh(&format!("cannot open a session: {error}")))
        };
        let channel = self.handle.channel_open_session().await.map_err(failed)?;
        // A refusal arrives as an event; waiting for the consent would cost a round trip.
        channel.exec(true, line).await.map_err(failed)?;
        Ok(Program::on_channel(channel))
    }

    /// What opens streams that begin on the host.
    pub(super) fn tunnels(&self) -> Tunnels {
        Tunnels(Arc::clone(&self.handle))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    pub(super) async fn close(self) {
        // A server that is gone needs no farewell.
        let _ = self
            .handle
            .disconnect(Disconnect::ByApplication, "", "en")
            .await;
    }
}

/// Opens streams that begin on a host, as `ssh -W` does.
#[derive(Clone)]
pub struct Tunnels(Arc<client::Handle<Checker>>);

impl Tunnels {
    /// Opens a stream to a port that the host can reach.
    ///
    /// # Errors
    /// The host's reason.
    pub async fn open(
        &self,
        host: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, String> {
        let channel = self
            .0
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0)
            .await;
        match channel {
            Ok(channel) => Ok(channel.into_stream()),
            Err(error) => Err(format!("the host cannot reach {host}:{port}: {error}")),
        }
    }

    /// Opens a stream to a socket of the host, as the user that is logged in.
    ///
    /// # Errors
    /// The host's reason.
    pub async fn open_socket(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, String> {
        let channel = self.0.channel_open_direct_streamlocal(path).await;
        match channel {
            Ok(channel) => Ok(channel.into_stream()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What tells connections apart.
    pub fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// The text in front of everything that goes wrong before a program runs.
pub(super) fn via_ssh(text: &str) -> String {
    format!("Failed to connect to the host via ssh: {text}")
}

/// Connects and logs in.
pub(super) async fn connect(target: &Target) -> Result<Session, LinkError> {
    let options = Options::resolve(target)?;
    open(target, options, 0).await
}

/// `ProxyJump` comes back here; the depth ends a configuration that jumps in circles.
fn open<'a>(
    target: &'a Target,
    options: Options,
    depth: usize,
) -> Pin<Box<dyn Future<Output = Result<Session, LinkError>> + Send + 'a>> {
    Box::pin(async move {
        if depth > 8 {
            return Err(LinkError::Unreachable(via_ssh("ProxyJump goes in circles")));
        }
        let limit = options.connect_timeout.unwrap_or(target.connect_timeout);
        let timed_out = || {
            LinkError::Unreachable(via_ssh(&format!(
                "ssh: connect to host {} port {}: Connection timed out",
                options.host_name, options.port
            )))
        };
        let (stream, jump) = within(limit, transport(target, &options, depth), timed_out).await?;
        let silent = || {
            LinkError::Unreachable(via_ssh(&format!(
                "Connection timed out during banner exchange\r\nConnection to {} port {} timed out",
                options.host_name, options.port
            )))
        };
        within(limit, log_in(target, &options, stream, jump), silent).await
    })
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, LinkError>>,
    timed_out: impl Fn() -> LinkError,
) -> Result<T, LinkError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What carries the bytes to the server.
async fn transport(
    target: &Target,
    options: &Options,
    depth: usize,
) -> Result<(Box<dyn Stream>, Option<Box<Session>>), LinkError> {
    if let Some(command) = &options.proxy_command {
        return Ok((proxy_command(command)?, None));
    }
    if let Some(jump) = &options.proxy_jump {
        let (hops, last) = jump
            .rsplit_once(',')
            .map_or((None, jump.as_str()), |(hops, last)| (Some(hops), last));
        let through = jump_target(target, last)?;
        let mut hop = Options::resolve(&through)?;
        if hops.is_some() {
            hop.proxy_jump = hops.map(str::to_owned);
        }
        let session = open(&through, hop, depth + 1).await?;
        let channel = session
            .handle
            .channel_open_direct_tcpip(
                options.host_name.clone(),
                u32::from(options.port),
                "127.0.0.1",
                0,
            )
            .await
            .map_err(|error| {
                LinkError::Unreachable(via_ssh(&format!(
                    "{} cannot reach {}: {error}",
                    last, options.host_name
                )))
            })?;
        return Ok((Box::new(channel.into_stream()), Some(Box::new(session))));
    }
    Ok((Box::new(tcp(options).await?), None))
}

/// The jump host is another host: it has neither this one's user nor its password.
fn jump_target(target: &Target, hop: &str) -> Result<Target, LinkError> {
    let hop = hop.strip_prefix("ssh://").unwrap_or(hop);
    let (user, address) = hop
        .rsplit_once('@')
        .map_or((None, hop), |(user, address)| (Some(user), address));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let port = port.parse().map_err(|_| {
                LinkError::Unreachable(via_ssh(&format!(
                    "ProxyJump `{hop}`: `{port}` is not a port"
                )))
            })?;
            (host, Some(port))
        }
        _ => (address, None),
    };
    let mut jump = Target::new(&target.name, Kind::Ssh, host.trim_matches(['[', ']']));
    jump.port = port;
    jump.user = user.map(str::to_owned);
    jump.private_key_file.clone_from(&target.private_key_file);
    jump.known_hosts.clone_from(&target.known_hosts);
    jump.host_key_checking = target.host_key_checking;
    jump.connect_timeout = target.connect_timeout;
    // Of the options, only the file to read is about other hosts too.
    if let Some(at) = target.ssh_args.iter().position(|word| word == "-F") {
        jump.ssh_args = target.ssh_args.iter().skip(at).take(2).cloned().collect();
    }
    Ok(jump)
}

fn proxy_command(command: &str) -> Result<Box<dyn Stream>, LinkError> {
    let failed =
        |what: &str| LinkError::Unreachable(via_ssh(&format!("ProxyCommand `{command}`: {what}")));
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", &format!("exec {command}")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
        return Err(failed("no streams"));
    };
    // It ends when its streams do; somebody has to collect it.
    tokio::spawn(async move { child.wait().await });
    Ok(Box::new(tokio::io::join(output, input)))
}

async fn tcp(options: &Options) -> Result<TcpStream, LinkError> {
    let (host, port) = (options.host_name.as_str(), options.port);
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| {
            // The resolver's own words are behind the last colon.
            let text = error.to_string();
            let text = text.rsplit(": ").next().unwrap_or_default();
            LinkError::Unreachable(via_ssh(&format!(
                "ssh: Could not resolve hostname {host}: {text}"
            )))
        })?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small frames must not wait for the answer to earlier ones.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let reason = last.map_or_else(|| "no address".to_owned(), |error| system_text(&error));
    Err(LinkError::Unreachable(via_ssh(&format!(
        "ssh: connect to host {host} port {port}: {reason}"
    ))))
}

/// The system's text without Rust's addition.
fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

async fn log_in(
    target: &Target,
    options: &Options,
    stream: Box<dyn Stream>,
    jump: Option<Box<Session>>,
) -> Result<Session, LinkError> {
    let name = options.known_name();
    let known = KnownHosts::read(&options.known_hosts_files(target), &name);
    let config = client::Config {
        window_size: WINDOW,
        maximum_packet_size: 65535,
        channel_buffer_size: 64,
        nodelay: true,
        keepalive_interval: options.alive_interval,
        keepalive_max: options.alive_count.unwrap_or(3),
        preferred: preferred(&known, options),
        ..client::Config::default()
    };
    let changed = Arc::new(AtomicBool::new(false));
    let checker = Checker {
        known,
        strict: options.strict,
        name,
        changed: Arc::clone(&changed),
    };
    let mut handle = client::connect_stream(Arc::new(config), stream, checker)
        .await
        .map_err(|error| match error {
            CheckError::HostKey(text) => LinkError::HostKey(via_ssh(&text)),
            CheckError::Ssh(error) => {
                LinkError::Unreachable(via_ssh(&handshake_text(&error, options)))
            }
        })?;
    ssh_auth::authenticate(
        &mut handle,
        target,
        options,
        !changed.load(Ordering::Relaxed),
    )
    .await?;
    Ok(Session {
        handle: Arc::new(handle),
        _jump: jump,
    })
}

fn handshake_text(error: &russh::Error, options: &Options) -> String {
    match error {
        russh::Error::HUP | russh::Error::Disconnect => {
            format!(
                "Connection closed by {} port {}",
                options.host_name, options.port
            )
        }
        russh::Error::IO(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!(
                "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by {} port {}",
                options.host_name, options.port
            )
        }
        russh::Error::IO(error) => system_text(error),
        russh::Error::NoCommonAlgo { kind, theirs, .. } => format!(
            "Unable to negotiate with {} port {}: no matching {kind:?} algorithm found. Their offer: {}",
            options.host_name,
            options.port,
            theirs.join(",")
        ),
        error => error.to_string(),
    }
}

/// The key types that are known for the host come first: a server has several keys, and one that
/// is not in the file would look like an unknown host.
fn preferred(known: &KnownHosts, options: &Options) -> russh::Preferred {
    let mut keys = vec![Algorithm::Ed25519];
    for curve in [
        EcdsaCurve::NistP256,
        EcdsaCurve::NistP384,
        EcdsaCurve::NistP521,
    ] {
        keys.push(Algorithm::Ecdsa { curve });
    }
    keys.push(Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    });
    keys.push(Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    });
    // A stable sort: the order within both groups stays.
    keys.sort_by_key(|algorithm| !known.has_type(algorithm));
    let certificates = if known.has_authority() {
        keys.clone()
    } else {
        Vec::new()
    };
    let compression = if options.compression {
        russh::Preferred::COMPRESSED.compression
    } else {
        russh::Preferred::DEFAULT.compression
    };
    russh::Preferred {
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Owned(certificates),
        compression,
        ..russh::Preferred::DEFAULT
    }
}

/// Decides whether the server is the one we mean.
pub(super) struct Checker {
    known: KnownHosts,
    strict: Strict,
    name: String,
    /// Set when the key is not the known one and is accepted all the same.
    changed: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) enum CheckError {
    HostKey(String),
    Ssh(russh::Error),
}

impl From<russh::Error> for CheckError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Checker {
    type Error = CheckError;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, CheckError> {
        let trust = self
            .known
            .check(&self.name, offered, self.strict)
            .map_err(CheckError::HostKey)?;
        self.changed
            .store(trust == Trust::Changed, Ordering::Relaxed);
        Ok(true)
    }
}
