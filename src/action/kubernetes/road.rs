//! The way to the API server: straight, through a proxy, or through the SSH connection of a host.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::connect::Tunnels;

/// How long one attempt to reach the server may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How streams to the server are opened.
#[derive(Clone)]
pub(super) struct Road {
    /// The host that they begin on; none: this machine.
    pub(super) tunnels: Option<Tunnels>,
    pub(super) proxy: Option<Arc<Proxy>>,
}

/// A proxy.
pub(super) struct Proxy {
    pub(super) address: Uri,
    /// Headers of `CONNECT`, with their names.
    pub(super) headers: Vec<(String, String)>,
    /// What is reached without it.
    pub(super) except: Vec<String>,
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// An open way.
pub(super) struct Way(Box<dyn Both>);

impl Connection for Way {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Way {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

impl tower::Service<Uri> for Road {
    type Response = TokioIo<Way>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let road = self.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(PATIENCE, road.open(&server)).await;
            let timed_out = || io::Error::new(io::ErrorKind::TimedOut, "Connection timed out");
            Ok(TokioIo::new(opened.map_err(|_| timed_out())??))
        })
    }
}

impl Road {
    async fn open(&self, server: &Uri) -> io::Result<Way> {
        let (host, port) = place(server)?;
        let Some(proxy) = self.proxy.as_ref().filter(|proxy| !proxy.spares(&host)) else {
            return self.stream(&host, port).await;
        };
        let (through, entry) = place(&proxy.address)?;
        let mut way = self.stream(&through, entry).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the proxy {through}:{entry}: {error}"),
            )
        })?;
        match proxy.address.scheme_str() {
            Some("socks5" | "socks5h") => socks(&mut way, &proxy.address, &host, port).await?,
            _ => connect(&mut way, proxy, &host, port).await?,
        }
        Ok(way)
    }

    async fn stream(&self, host: &str, port: u16) -> io::Result<Way> {
        let bare = host.trim_matches(['[', ']']);
        if let Some(tunnels) = &self.tunnels {
            let stream = tunnels.open(bare, port).await.map_err(io::Error::other)?;
            return Ok(Way(Box::new(stream)));
        }
        let stream = TcpStream::connect((bare, port)).await?;
        let _ = stream.set_nodelay(true);
        Ok(Way(Box::new(stream)))
    }
}

/// Host and port of an address.
fn place(address: &Uri) -> io::Result<(String, u16)> {
    let host = address.host().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{address}` names no host"),
        )
    })?;
    let usual = match address.scheme_str() {
        Some("https") | None => 443,
        Some("socks5" | "socks5h") => 1080,
        _ => 80,
    };
    Ok((host.to_owned(), address.port_u16().unwrap_or(usual)))
}

impl Proxy {
    /// Whether a host is reached without it.
    fn spares(&self, host: &str) -> bool {
        let bare = host.trim_matches(['[', ']']);
        self.except.iter().any(|rule| spared(rule, bare))
    }
}

/// Whether a rule of `no_proxy` is about a host: its name, a domain, an address or a network.
fn spared(rule: &str, host: &str) -> bool {
    if let (Some((network, bits)), Ok(host)) = (rule.split_once('/'), host.parse::<IpAddr>()) {
        let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
            return false;
        };
        return match (network, host) {
            (IpAddr::V4(network), IpAddr::V4(host)) => {
                let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
                network.to_bits() & mask == host.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(host)) => {
                let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
                network.to_bits() & mask == host.to_bits() & mask
            }
            _ => false,
        };
    }
    let rule = rule.trim_start_matches("*.").trim_start_matches('.');
    rule == "*"
        || host == rule
        || host
            .strip_suffix(rule)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Asks an HTTP proxy for the way.
async fn connect(way: &mut Way, proxy: &Proxy, host: &str, port: u16) -> io::Result<()> {
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some((user, _)) = proxy
        .address
        .authority()
        .and_then(|at| at.as_str().rsplit_once('@'))
    {
        request += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user));
    }
    for (name, value) in &proxy.headers {
        request += &format!("{name}: {value}\r\n");
    }
    way.write_all(format!("{request}\r\n").as_bytes()).await?;
    let mut answer = vec![];
    // Byte by byte: what follows the head belongs to TLS.
    while !answer.ends_with(b"\r\n\r\n") && answer.len() < 16_384 {
        answer.push(way.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(io::Error::other(format!("the proxy refuses: {line}"))),
    }
}

/// Asks a SOCKS5 proxy (RFC 1928) for the way.
async fn socks(way: &mut Way, proxy: &Uri, host: &str, port: u16) -> io::Result<()> {
    let refused = |what: &str| io::Error::other(format!("the proxy refuses: {what}"));
    let login = proxy
        .authority()
        .and_then(|at| at.as_str().rsplit_once('@'));
    let login = login.map(|(login, _)| login.split_once(':').unwrap_or((login, "")));
    way.write_all(&[5, 1, if login.is_some() { 2 } else { 0 }])
        .await?;
    let mut answer = [0; 2];
    way.read_exact(&mut answer).await?;
    match (answer[1], login) {
        (0, _) => {}
        (2, Some((user, password))) => {
            let part = |text: &str| {
                let length = u8::try_from(text.len()).map_err(|_| refused("a long name"))?;
                Ok::<_, io::Error>([&[length], text.as_bytes()].concat())
            };
            let message = [vec![1], part(user)?, part(password)?].concat();
            way.write_all(&message).await?;
            way.read_exact(&mut answer).await?;
            if answer[1] != 0 {
                return Err(refused("wrong user or password"));
            }
        }
        _ => return Err(refused("it wants to know who we are")),
    }
    let length = u8::try_from(host.len()).map_err(|_| refused("a long name"))?;
    let mut request = vec![5, 1, 0, 3, length];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    way.write_all(&request).await?;
    let mut head = [0; 4];
    way.read_exact(&mut head).await?;
    if head[1] != 0 {
        return Err(refused(&format!("code {}", head[1])));
    }
    let rest = match head[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(way.read_u8().await?),
    };
    let mut bound = vec![0; rest + 2];
    way.read_exact(&mut bound).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::spared;

    #[test]
    fn without_proxy() {
        assert!(spared("10.0.0.0/8", "10.1.2.3") && !spared("10.0.0.0/8", "11.1.2.3"));
        assert!(spared(".local", "a.local") && spared("example.com", "x.example.com"));
        assert!(!spared("example.com", "badexample.com") && spared("localhost", "localhost"));
        assert!(spared("0.0.0.0/0", "1.2.3.4") && spared("fe80::/10", "fe80::1"));
    }
}
