//! Connection `ssh`: an SSH client inside this program; no `ssh` is started.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use russh::client::ChannelOpenHandle;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, cipher, client, compression, kex, mac};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::known_hosts::{KnownHosts, Trust};
use super::program::Program;
use super::room::{self, Room};
use super::ssh_auth::{self, Entry};
use super::ssh_config::{self, Family, Options, Strict};
use super::{Kind, LinkError, Target};

/// Both directions stay busy on a long line.
const WINDOW: u32 = 8 << 20;

/// How often a server that says nothing is asked whether it is still there: what falls silent is lost
/// soon enough that the agent there still waits.
const ALIVE: Duration = Duration::from_secs(15);

/// How many connections to one server are being made at a time. By default it begins to turn some away
/// when ten have not logged in yet, and others may be connecting to it, too.
const AT_ONCE: usize = 6;

/// A logged-in connection.
pub(super) struct Session {
    handle: Arc<client::Handle<Checker>>,
    /// Variables for the programs.
    environment: Vec<(String, String)>,
    /// Whether they may use the keys of the agent here.
    forward_agent: bool,
    /// The connection that this one runs through.
    _jump: Option<Arc<Session>>,
    /// The descriptors that it has.
    room: Option<Room>,
}

impl Session {
    /// Starts a command line in the login shell, with a terminal if one is needed.
    pub(super) async fn start(&self, line: &str, terminal: bool) -> Result<Program, LinkError> {
        let failed = |error: russh::Error| {
            LinkError::Unreachable(via_ssh(&format!("cannot open a session: {error}")))
        };
        let channel = self.handle.channel_open_session().await.map_err(failed)?;
        // A refusal arrives as an event; waiting for the consent would cost a round trip.
        if self.forward_agent {
            channel.agent_forward(false).await.map_err(failed)?;
        }
        for (name, value) in &self.environment {
            let set = channel.set_env(false, name, value);
            set.await.map_err(failed)?;
        }
        if terminal {
            let asked = channel.request_pty(false, "dumb", 80, 24, 0, 0, &[]);
            asked.await.map_err(failed)?;
        }
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

/// What came of connecting.
pub(super) enum Connected {
    Here(Box<Session>),
    /// Only the system's `ssh` can do what the user wants; the reason.
    NeedsOpenSsh(String),
}

/// Connects and logs in.
pub(super) async fn connect(target: &Target) -> Result<Connected, LinkError> {
    let options = Options::resolve(target)?;
    let mut beyond = options.beyond.clone();
    // Who names a program of his own wants what it does.
    let own = target.ssh_executable.as_deref().map(Path::new);
    if own.is_some_and(|own| own.file_name() != Some("ssh".as_ref())) {
        beyond.push("ssh_executable".to_owned());
    }
    beyond.extend(unknown_algorithms(&options));
    beyond.extend(beyond_of_hops(target, &options)?);
    if !beyond.is_empty() {
        return Ok(Connected::NeedsOpenSsh(beyond.join(", ")));
    }
    let ticket = options.kerberos && has_ticket();
    match open(target, options, 0).await {
        Ok(session) => Ok(Connected::Here(Box::new(session))),
        Err(LinkError::Auth(_)) if ticket => {
            Ok(Connected::NeedsOpenSsh("gssapiauthentication".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// What the hosts on the way need.
fn beyond_of_hops(target: &Target, options: &Options) -> Result<Vec<String>, LinkError> {
    let mut all = Vec::new();
    let jump = options.proxy_jump.as_ref();
    for hop in jump.into_iter().flat_map(|jump| jump.split(',')) {
        let options = Options::resolve(&jump_target(target, hop)?)?;
        let beyond = options.beyond.iter().cloned();
        let beyond = beyond.chain(unknown_algorithms(&options));
        all.extend(beyond.map(|name| format!("{name} of {hop}")));
    }
    Ok(all)
}

/// Whether the user may have a ticket of Kerberos: the usual cache is there, or another one is named.
fn has_ticket() -> bool {
    let uid = rustix::process::getuid().as_raw();
    match std::env::var("KRB5CCNAME") {
        Ok(name) => name
            .strip_prefix("FILE:")
            .is_none_or(|file| Path::new(file).exists()),
        Err(_) => Path::new(&format!("/tmp/krb5cc_{uid}")).exists(),
    }
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
        let silent = || {
            LinkError::Unreachable(via_ssh(&format!(
                "Connection timed out during banner exchange\r\nConnection to {} port {} timed out",
                options.host_name, options.port
            )))
        };
        let jump = jump_session(target, &options, depth).await?.map(Arc::new);
        // Each time but the last opens one more key.
        loop {
            let server = within(limit, server(&options, jump.is_some()), timed_out).await?;
            // How long others take to log in is no time of this one.
            let turn = turn(&server).await;
            // Two pipes and a process carry it where a program makes the connection.
            let count = match (&options.proxy_command, &jump) {
                (Some(_), _) => room::PROGRAM,
                (None, Some(_)) => 0,
                (None, None) => room::SOCKET,
            };
            let room = room::take(count).await?;
            let stream = transport(&options, jump.as_deref(), &server);
            let stream = within(limit, stream, timed_out).await?;
            let entering = log_in(target, &options, stream, jump.clone());
            let locked = match within(limit, entering, silent).await? {
                LoggedIn::Here(mut session) => {
                    session.room = Some(room);
                    return Ok(session);
                }
                LoggedIn::Locked(path) => path,
            };
            drop((turn, room));
            let known = target.passphrase(&locked);
            target.keys.open(&locked, known, options.batch).await;
        }
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

/// Where a server is: its addresses, or its name where this machine does not connect to it.
enum Server {
    At(Vec<SocketAddr>),
    Beyond(String),
}

/// Looks for the server's addresses, where they are asked for.
async fn server(options: &Options, jumps: bool) -> Result<Server, LinkError> {
    if jumps || options.proxy_command.is_some() {
        let name = format!("{}:{}", options.host_name, options.port);
        return Ok(Server::Beyond(name));
    }
    Ok(Server::At(addresses(options).await?))
}

/// The servers to which connections are being made, with how many more may be. Many names may have one
/// address, and the server counts by connections.
static TURNS: LazyLock<Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

/// Waits until few enough others are connecting to the same server and logging in: it turns those away
/// that are too many (`MaxStartups`).
async fn turn(server: &Server) -> Option<OwnedSemaphorePermit> {
    let server = match server {
        Server::At(addresses) => addresses.first()?.to_string(),
        Server::Beyond(name) => name.clone(),
    };
    let turns = {
        let mut all = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Semaphore::new(AT_ONCE));
        Arc::clone(all.entry(server).or_insert_with(fresh))
    };
    // It is never closed.
    turns.acquire_owned().await.ok()
}

/// The turn of a connection that the system's `ssh` makes: at the first server on its way. What cannot be
/// found out here, it finds out itself.
pub(super) async fn turn_of_program(target: &Target) -> Option<OwnedSemaphorePermit> {
    let mut options = Options::resolve(target).ok()?;
    if options.proxy_command.is_none()
        && let Some(jump) = &options.proxy_jump
    {
        let first = jump_target(target, jump.split(',').next()?).ok()?;
        options = Options::resolve(&first).ok()?;
        options.proxy_jump = None;
    }
    let server = server(&options, false).await.ok()?;
    turn(&server).await
}

/// The host and its way of the last hop before the server.
fn last_hop(jump: &str) -> (Option<&str>, &str) {
    jump.rsplit_once(',')
        .map_or((None, jump), |(hops, last)| (Some(hops), last))
}

/// The connection that this one runs through, if there is one.
async fn jump_session(
    target: &Target,
    options: &Options,
    depth: usize,
) -> Result<Option<Session>, LinkError> {
    let jump = options.proxy_jump.as_ref();
    let Some(jump) = jump.filter(|_| options.proxy_command.is_none()) else {
        return Ok(None);
    };
    let (hops, last) = last_hop(jump);
    let through = jump_target(target, last)?;
    let mut hop = Options::resolve(&through)?;
    if hops.is_some() {
        hop.proxy_jump = hops.map(str::to_owned);
    }
    Ok(Some(open(&through, hop, depth + 1).await?))
}

/// What carries the bytes to the server.
async fn transport(
    options: &Options,
    jump: Option<&Session>,
    server: &Server,
) -> Result<Box<dyn Stream>, LinkError> {
    if let Some(command) = &options.proxy_command {
        return proxy_command(command);
    }
    if let (Some(session), Some(hops)) = (jump, &options.proxy_jump) {
        let last = last_hop(hops).1;
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
        return Ok(Box::new(channel.into_stream()));
    }
    match server {
        Server::At(addresses) => Ok(Box::new(tcp(options, addresses).await?)),
        Server::Beyond(_) => Err(LinkError::Timeout),
    }
}

/// The jump host is another host: it has neither this one's user nor its password.
fn jump_target(target: &Target, hop: &str) -> Result<Target, LinkError> {
    let (user, host, port) =
        ssh_config::hop(hop).map_err(|text| LinkError::Unreachable(via_ssh(&text)))?;
    let mut jump = Target::new(&target.name, Kind::Ssh, host);
    jump.port = port;
    jump.user = user.map(str::to_owned);
    jump.private_key_file.clone_from(&target.private_key_file);
    jump.private_key_passphrase
        .clone_from(&target.private_key_passphrase);
    jump.keys = target.keys.clone();
    jump.known_hosts.clone_from(&target.known_hosts);
    jump.host_key_checking = target.host_key_checking;
    jump.connect_timeout = target.connect_timeout;
    jump.ssh_args = ssh_config::file_option(target);
    Ok(jump)
}

/// The shell of whoever runs this program, which runs commands of the configuration.
pub(super) fn shell() -> String {
    std::env::var("SHELL")
        .ok()
        .filter(|shell| !shell.is_empty())
        .unwrap_or_else(|| "/bin/sh".to_owned())
}

fn proxy_command(command: &str) -> Result<Box<dyn Stream>, LinkError> {
    let failed =
        |what: &str| LinkError::Unreachable(via_ssh(&format!("ProxyCommand `{command}`: {what}")));
    let mut child = tokio::process::Command::new(shell())
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

/// The addresses of the server.
async fn addresses(options: &Options) -> Result<Vec<SocketAddr>, LinkError> {
    let (host, port) = (options.host_name.as_str(), options.port);
    let unresolved = |text: &str| {
        // The resolver's own words are behind the last colon.
        let text = text.rsplit(": ").next().unwrap_or_default();
        LinkError::Unreachable(via_ssh(&format!(
            "ssh: Could not resolve hostname {host}: {text}"
        )))
    };
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.map_err(|error| unresolved(&error.to_string()))?;
    let addresses: Vec<_> = addresses.filter(|one| fits(one, options.family)).collect();
    if addresses.is_empty() {
        return Err(unresolved("Address family for hostname not supported"));
    }
    Ok(addresses)
}

/// Connects to the first address that answers, as often as the user wants it tried.
async fn tcp(options: &Options, addresses: &[SocketAddr]) -> Result<TcpStream, LinkError> {
    let (host, port) = (options.host_name.as_str(), options.port);
    let mut last = None;
    for attempt in 0..options.attempts.max(1) {
        if attempt > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for address in addresses {
            match tcp_to(*address, options).await {
                Ok(stream) => {
                    // Small frames must not wait for the answer to earlier ones.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
    }
    let reason = last.map_or_else(|| "no address".to_owned(), |error| system_text(&error));
    Err(LinkError::Unreachable(via_ssh(&format!(
        "ssh: connect to host {host} port {port}: {reason}"
    ))))
}

fn fits(address: &SocketAddr, family: Family) -> bool {
    match family {
        Family::Any => true,
        Family::Inet => address.is_ipv4(),
        Family::Inet6 => address.is_ipv6(),
    }
}

async fn tcp_to(address: SocketAddr, options: &Options) -> std::io::Result<TcpStream> {
    let Some(from) = &options.bind_address else {
        return TcpStream::connect(address).await;
    };
    let mut own = tokio::net::lookup_host((from.as_str(), 0)).await?;
    let own = own.find(|own| own.is_ipv4() == address.is_ipv4());
    let own = own.ok_or_else(|| std::io::Error::other(format!("cannot bind to {from}")))?;
    let socket = match own.is_ipv4() {
        true => TcpSocket::new_v4(),
        false => TcpSocket::new_v6(),
    }?;
    socket.bind(own)?;
    socket.connect(address).await
}

/// The system's text without Rust's addition.
pub(super) fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// What came of logging in.
enum LoggedIn {
    Here(Session),
    /// A key has to be opened first.
    Locked(PathBuf),
}

async fn log_in(
    target: &Target,
    options: &Options,
    stream: Box<dyn Stream>,
    jump: Option<Arc<Session>>,
) -> Result<LoggedIn, LinkError> {
    let name = options.known_name();
    let mut known = KnownHosts::read(&options.known_hosts_files(target), &name);
    known.hashes(options.hash_known_hosts);
    let config = client::Config {
        window_size: WINDOW,
        maximum_packet_size: 65535,
        channel_buffer_size: 64,
        nodelay: true,
        keepalive_interval: options
            .alive_interval
            .or_else(|| options.alive_unsaid.then_some(ALIVE)),
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
        rsa_bits: options.rsa_bits,
        agent: forwarded(options),
    };
    let forward_agent = checker.agent.is_some();
    let mut handle = client::connect_stream(Arc::new(config), stream, checker)
        .await
        .map_err(|error| match error {
            CheckError::HostKey(text) => LinkError::HostKey(via_ssh(&text)),
            CheckError::Ssh(error) => {
                LinkError::Unreachable(via_ssh(&handshake_text(&error, options)))
            }
        })?;
    let known = !changed.load(Ordering::Relaxed);
    match ssh_auth::authenticate(&mut handle, target, options, known).await? {
        Entry::Granted => Ok(LoggedIn::Here(Session {
            handle: Arc::new(handle),
            environment: options.environment.clone(),
            forward_agent,
            _jump: jump,
            room: None,
        })),
        Entry::Locked(path) => {
            // A server that is gone needs no farewell.
            let _ = handle.disconnect(Disconnect::ByApplication, "", "en").await;
            Ok(LoggedIn::Locked(path))
        }
    }
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

/// The socket of the agent whose keys programs on the host may use.
fn forwarded(options: &Options) -> Option<PathBuf> {
    let named = options.forward_agent.clone()?;
    if named.as_os_str().is_empty() {
        return ssh_auth::agent_socket(options);
    }
    Some(named)
}

/// The kinds of algorithms for which the user's list has nothing that this client knows.
pub(super) fn unknown_algorithms(options: &Options) -> Vec<String> {
    let chosen = preferred(&KnownHosts::none(), options);
    let kinds = [
        ("ciphers", chosen.cipher.is_empty()),
        ("macs", chosen.mac.is_empty()),
        ("kexalgorithms", chosen.kex.iter().all(is_extension)),
        (
            "hostkeyalgorithms",
            chosen.key.is_empty() && chosen.host_key_certificates.is_empty(),
        ),
    ];
    let empty = kinds.into_iter().filter(|(_, empty)| *empty);
    empty.map(|(name, _)| name.to_owned()).collect()
}

/// Whether it is a word of the protocol in the list of key exchanges.
fn is_extension(name: &kex::Name) -> bool {
    name.as_ref().starts_with("ext-info-") || name.as_ref().starts_with("kex-strict-")
}

/// The types of host keys, best first; SHA-1 is never the first thing to offer.
fn host_key_types() -> Vec<Algorithm> {
    let mut keys = vec![Algorithm::Ed25519];
    for curve in [
        EcdsaCurve::NistP256,
        EcdsaCurve::NistP384,
        EcdsaCurve::NistP521,
    ] {
        keys.push(Algorithm::Ecdsa { curve });
    }
    for hash in [HashAlg::Sha512, HashAlg::Sha256] {
        keys.push(Algorithm::Rsa { hash: Some(hash) });
    }
    keys
}

/// The ciphers that are offered where nothing else is written. Where the processor has AES, that takes
/// both sides a fraction of what ChaCha20 takes, and is no weaker.
fn usual_ciphers() -> Vec<cipher::Name> {
    let mut usual = russh::Preferred::DEFAULT.cipher.into_owned();
    #[cfg(target_arch = "x86_64")]
    let has_aes = is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has_aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has_aes = false;
    if has_aes {
        usual.sort_by_key(|name| !name.as_ref().contains("-gcm@"));
    }
    usual
}

/// What is offered to the server, in the user's order if there is one.
fn preferred(known: &KnownHosts, options: &Options) -> russh::Preferred {
    let usual = russh::Preferred::DEFAULT;
    let of = |all: &[&'static kex::Name]| all.iter().map(|one| **one).collect::<Vec<_>>();
    let (extensions, exchanges): (Vec<_>, Vec<_>) =
        usual.kex.iter().copied().partition(is_extension);
    let mut kex = options.kex.pick(&exchanges, &of(kex::ALL_KEX_ALGORITHMS));
    kex.retain(|name| *name != kex::NONE);
    kex.extend(extensions);
    let ciphers: Vec<_> = cipher::ALL_CIPHERS.iter().map(|one| **one).collect();
    let mut ciphers = options.ciphers.pick(&usual_ciphers(), &ciphers);
    ciphers.retain(|name| ![cipher::CLEAR, cipher::NONE].contains(name));
    let macs: Vec<_> = mac::ALL_MAC_ALGORITHMS.iter().map(|one| **one).collect();
    let mut macs = options.macs.pick(&usual.mac, &macs);
    macs.retain(|name| *name != mac::NONE);
    let mut keys = host_key_types();
    let certificate = |key: &Algorithm| key.to_certificate_type();
    let mut certificates = Vec::new();
    if known.has_authority() {
        let names: Vec<_> = keys.iter().map(certificate).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let chosen = options.host_keys.of(&names);
        certificates.clone_from(&keys);
        certificates.retain(|key| chosen.contains(&certificate(key)));
    }
    let all = [keys.clone(), vec![Algorithm::Rsa { hash: None }]].concat();
    // The key types that are known for the host come first: a server has several keys, and one that
    // is not in the file would look like an unknown host. A stable sort: the order within both groups
    // stays.
    keys = options.host_keys.pick(&keys, &all);
    if !options.host_keys.is_own() {
        keys.sort_by_key(|algorithm| !known.has_type(algorithm));
    }
    let compression = match options.compression {
        true => vec![
            compression::ZLIB_LEGACY,
            compression::ZLIB,
            compression::NONE,
        ],
        false => vec![compression::NONE],
    };
    russh::Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Owned(certificates),
        cipher: Cow::Owned(ciphers),
        mac: Cow::Owned(macs),
        compression: Cow::Owned(compression),
    }
}

/// Decides whether the server is the one we mean.
pub(super) struct Checker {
    known: KnownHosts,
    strict: Strict,
    name: String,
    /// Set when the key is not the known one and is accepted all the same.
    changed: Arc<AtomicBool>,
    /// The shortest RSA key that counts.
    rsa_bits: u32,
    /// The socket of the agent that programs on the host may use.
    agent: Option<PathBuf>,
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
        let key = offered.public_key();
        if let Some(key) = key.key_data().rsa()
            && key.key_size() < self.rsa_bits
        {
            return Err(CheckError::HostKey(
                "Bad server host key: Invalid key length".to_owned(),
            ));
        }
        let trust = self
            .known
            .check(&self.name, offered, self.strict)
            .map_err(CheckError::HostKey)?;
        self.changed
            .store(trust == Trust::Changed, Ordering::Relaxed);
        Ok(true)
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: russh::Channel<client::Msg>,
        reply: ChannelOpenHandle,
        _session: &mut client::Session,
    ) -> Result<(), CheckError> {
        // Without leave of the user the request is dropped, which refuses it.
        let Some(socket) = self.agent.clone() else {
            return Ok(());
        };
        let Ok(mut agent) = UnixStream::connect(socket).await else {
            return Ok(());
        };
        reply.accept().await;
        tokio::spawn(async move {
            let mut channel = channel.into_stream();
            // Whoever ends first ends it.
            let _ = tokio::io::copy_bidirectional(&mut channel, &mut agent).await;
        });
        Ok(())
    }
}
