//! A small HTTP/1.1 client over [`Machine::connect`]: GET and HEAD, redirects, chunked bodies,
//! proxies from the environment. One connection a request: the requests of a pull are few and long.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::tls::{self, Connection, Trust};
use super::{Error, Result};
use crate::machine::Machine;

/// Redirects that are followed before the server is thought to go in circles.
const MAX_REDIRECTS: usize = 10;
/// Bytes that the head of an answer may have.
const MAX_HEAD: u64 = 64 << 10;
/// Bytes that a document (a manifest, a token) may have; layers are streamed and have no limit.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// What all requests have in common.
pub(crate) struct Client {
    /// Whose certificates are good.
    pub(crate) trust: Trust,
    /// How long connecting, and each wait for bytes, may take.
    pub(crate) timeout: Duration,
    /// A Unix socket that is connected to instead of the host of the address.
    pub(crate) socket: Option<PathBuf>,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// A request without a body.
pub(crate) struct Request<'a> {
    /// `GET` or `HEAD`.
    pub(crate) method: &'a str,
    /// Where to.
    pub(crate) url: Url,
    /// The media types that are welcome.
    pub(crate) accept: &'a str,
    /// The `Authorization` header; it is not sent on to another host.
    pub(crate) authorization: Option<&'a str>,
}

/// An answer whose body has not been read.
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// The words after the status code.
    pub(crate) reason: String,
    /// The headers in their order.
    pub(crate) headers: Vec<(String, String)>,
    /// The body; an error when it ends too early.
    pub(crate) body: Body,
}

impl Response {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The whole body of a small document.
    pub(crate) fn document(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.body.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(io::Error::other(format!(
                "the document is over the limit of {MAX_DOCUMENT} bytes"
            )));
        }
        Ok(bytes)
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// Whether inside TLS.
    pub(crate) secure: bool,
    /// The host, without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The path with its query, from the slash on.
    pub(crate) path: String,
}

impl Url {
    /// Reads an absolute `http` or `https` address.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(format!(
                "`{text}` is not an address; expected `https://host/path`"
            ))
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || text.contains(|char: char| char.is_whitespace() || char.is_control())
        {
            return Err(wrong());
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// The address that a `Location` header means.
    pub(crate) fn join(&self, location: &str) -> Result<Self> {
        if location.contains("://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.scheme()));
        }
        let base = self.path.split('?').next().unwrap_or("/");
        let folder = &base[..=base.rfind('/').unwrap_or(0)];
        let path = if location.starts_with('/') {
            location.to_owned()
        } else {
            format!("{folder}{location}")
        };
        Ok(Self {
            path,
            ..self.clone()
        })
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Host and port as the `Host` header has them.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Whether the host is this machine, where nobody can listen in.
    pub(crate) fn is_loopback(host: &str) -> bool {
        host == "localhost"
            || host.ends_with(".localhost")
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}://{}{}", self.scheme(), self.authority(), self.path)
    }
}

impl Client {
    /// A client that has not connected yet.
    pub(crate) fn new(trust: Trust, timeout: Duration) -> Self {
        Self {
            trust,
            timeout,
            socket: None,
            tls: None,
        }
    }

    /// Sends a request and follows redirects.
    pub(crate) fn send(
        &mut self,
        machine: &mut dyn Machine,
        request: Request<'_>,
    ) -> Result<Response> {
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            // A redirect to a store of another host must not carry the registry's credentials.
            let same = url.host == request.url.host
                && url.port == request.url.port
                && url.secure == request.url.secure;
            let authorization = request.authorization.filter(|_| same);
            let response = self.once(machine, &request, &url, authorization)?;
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = response
                .header("location")
                .ok_or_else(|| Error::new(format!("{url} redirects to nowhere")))?;
            let next = url.join(location)?;
            if url.secure && !next.secure {
                return Err(Error::new(format!(
                    "{url} redirects to the unprotected address {next}; refused"
                )));
            }
            url = next;
        }
        Err(Error::new(format!(
            "{} redirects more than {MAX_REDIRECTS} times",
            request.url
        )))
    }

    fn once(
        &mut self,
        machine: &mut dyn Machine,
        request: &Request<'_>,
        url: &Url,
        authorization: Option<&str>,
    ) -> Result<Response> {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            header("User-Agent", concat!("rplay/", env!("CARGO_PKG_VERSION"))),
            header("Accept", request.accept),
        ];
        headers.extend(authorization.map(|value| header("Authorization", value)));
        self.exchange(machine, request.method, url, &headers, &[], true)
    }

    /// Sends one request with exactly these headers and this body; redirects are the caller's.
    pub(crate) fn exchange(
        &mut self,
        machine: &mut dyn Machine,
        method: &str,
        url: &Url,
        headers: &[(String, String)],
        body: &[u8],
        use_proxy: bool,
    ) -> Result<Response> {
        let proxy = if use_proxy {
            proxy_for(url, &machine.process().env)?
        } else {
            None
        };
        let mut connection = self.connect(machine, url, proxy.as_ref())?;
        let target = if proxy.is_some() && !url.secure {
            url.to_string()
        } else {
            url.path.clone()
        };
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            url.authority()
        );
        // Inside TLS the proxy has got it with the tunnel.
        if let Some(value) = proxy
            .as_ref()
            .filter(|_| !url.secure)
            .and_then(|proxy| proxy.authorization.as_ref())
        {
            head.push_str(&format!("Proxy-Authorization: {value}\r\n"));
        }
        if headers
            .iter()
            .any(|(name, value)| format!("{name}{value}").contains(['\r', '\n']))
        {
            return Err(Error::new("a header has a line break"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let failed = |error: io::Error| Error::io(url, &error);
        let sent = connection
            .write_all(head.as_bytes())
            .and_then(|()| connection.write_all(body));
        // A server may refuse, and close, before it has read everything: its answer is there all the same.
        match sent.and_then(|()| connection.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(failed(error));
            }
            _ => {}
        }
        read_response(connection, method == "HEAD").map_err(failed)
    }

    fn connect(
        &mut self,
        machine: &mut dyn Machine,
        url: &Url,
        proxy: Option<&Proxy>,
    ) -> Result<Connection> {
        let (host, port) = proxy.map_or((&url.host, url.port), |proxy| {
            (&proxy.url.host, proxy.url.port)
        });
        let mut stream = match &self.socket {
            None => machine
                .connect(host, port, self.timeout)
                .map_err(|error| Error::new(format!("cannot connect to {host}:{port}: {error}")))?,
            Some(path) => machine
                .connect_unix(path, self.timeout)
                .map_err(|error| Error::io(path.display(), &error))?,
        };
        stream
            .set_timeout(Some(self.timeout))
            .map_err(|error| Error::io(url, &error))?;
        if !url.secure {
            return Ok(Connection::Plain(stream));
        }
        if let Some(proxy) = proxy {
            proxy.open_tunnel(&mut stream, url)?;
        }
        if self.tls.is_none() {
            self.tls = Some(tls::config(machine, &self.trust)?);
        }
        let config = self
            .tls
            .as_ref()
            .ok_or_else(|| Error::new("TLS is not set up"))?;
        Ok(Connection::Tls(Box::new(tls::connect(
            config, &url.host, stream,
        )?)))
    }
}

/// A proxy on the way.
struct Proxy {
    url: Url,
    authorization: Option<String>,
}

impl Proxy {
    fn open_tunnel(&self, stream: &mut Box<dyn crate::machine::Stream>, url: &Url) -> Result<()> {
        let target = format!("{}:{}", url.host, url.port);
        let authorization = self
            .authorization
            .as_ref()
            .map(|value| format!("Proxy-Authorization: {value}\r\n"))
            .unwrap_or_default();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
        let failed =
            |error: io::Error| Error::io(format!("proxy {}", self.url.authority()), &error);
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.flush())
            .map_err(failed)?;
        // Read byte by byte: what follows the blank line belongs to TLS.
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).map_err(failed)?;
            answer.push(byte[0]);
            if answer.len() as u64 > MAX_HEAD {
                return Err(failed(invalid("its answer is too long")));
            }
        }
        let line = String::from_utf8_lossy(&answer)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        match line.split_whitespace().nth(1) {
            Some("200") => Ok(()),
            _ => Err(Error::new(format!(
                "the proxy {} refuses to connect to {target}: {line}",
                self.url.authority()
            ))),
        }
    }
}

/// The proxy that the environment names for an address, in curl's way.
fn proxy_for(url: &Url, env: &std::collections::BTreeMap<String, String>) -> Result<Option<Proxy>> {
    let get = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let named = match url.secure {
        true => get("https_proxy").or_else(|| get("HTTPS_PROXY")),
        // Upper-case HTTP_PROXY is what a web server makes of a client's `Proxy:` header.
        false => get("http_proxy"),
    };
    let Some(text) = named
        .or_else(|| get("all_proxy"))
        .or_else(|| get("ALL_PROXY"))
    else {
        return Ok(None);
    };
    let exceptions = get("no_proxy")
        .or_else(|| get("NO_PROXY"))
        .map(String::as_str)
        .unwrap_or_default();
    if Url::is_loopback(&url.host) || excepted(&url.host, exceptions) {
        return Ok(None);
    }
    let full = if text.contains("://") {
        text.clone()
    } else {
        format!("http://{text}")
    };
    let proxy = Url::parse(&full)?;
    if proxy.secure {
        return Err(Error::new(format!(
            "the proxy `{}` wants https, which is not supported",
            proxy.authority()
        )));
    }
    let userinfo = full
        .split("://")
        .nth(1)
        .and_then(|rest| rest.split('/').next()?.rsplit_once('@'));
    Ok(Some(Proxy {
        url: proxy,
        authorization: userinfo.map(|(user, _)| super::credentials::basic_text(user)),
    }))
}

fn excepted(host: &str, exceptions: &str) -> bool {
    exceptions
        .split([',', ' '])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .any(|part| {
            let part = part.trim_start_matches('.');
            part == "*"
                || host == part
                || host
                    .strip_suffix(part)
                    .is_some_and(|rest| rest.ends_with('.'))
        })
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn read_response(connection: Connection, head_only: bool) -> io::Result<Response> {
    let mut reader = BufReader::with_capacity(64 << 10, connection);
    loop {
        let mut left = MAX_HEAD;
        let line = read_line(&mut reader, &mut left)?;
        let status = line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok())
            .ok_or_else(|| invalid("the answer is not HTTP"))?;
        let reason = line
            .splitn(3, ' ')
            .nth(2)
            .unwrap_or_default()
            .trim()
            .to_owned();
        let mut headers = Vec::new();
        loop {
            let line = read_line(&mut reader, &mut left)?;
            if line.is_empty() {
                break;
            }
            if let Some((key, value)) = line.split_once(':') {
                headers.push((key.to_owned(), value.trim().to_owned()));
            }
        }
        if (100..200).contains(&status) {
            continue;
        }
        let empty = head_only || matches!(status, 204 | 304);
        let extent = extent(&headers, empty)?;
        return Ok(Response {
            status,
            reason,
            headers,
            body: Body { reader, extent },
        });
    }
}

fn extent(headers: &[(String, String)], empty: bool) -> io::Result<Extent> {
    if empty {
        return Ok(Extent::Left(0));
    }
    let get = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    };
    if get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
    {
        return Ok(Extent::Chunk {
            left: 0,
            first: true,
        });
    }
    match get("content-length") {
        Some(value) => value
            .parse()
            .map(Extent::Left)
            .map_err(|_| invalid("the answer's length is not a number")),
        None => Ok(Extent::UntilClose),
    }
}

fn read_line(reader: &mut impl BufRead, left: &mut u64) -> io::Result<String> {
    let mut line = Vec::new();
    let read = reader.by_ref().take(*left).read_until(b'\n', &mut line)?;
    *left -= read as u64;
    if line.pop() != Some(b'\n') {
        return Err(match *left {
            0 => invalid("the head of the answer is too long"),
            _ => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ),
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The body of an answer.
pub(crate) struct Body {
    reader: BufReader<Connection>,
    extent: Extent,
}

enum Extent {
    Left(u64),
    Chunk { left: u64, first: bool },
    UntilClose,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Extent::Chunk { left: 0, first } = self.extent {
            self.extent = next_chunk(&mut self.reader, first)?;
        }
        let left = match &mut self.extent {
            Extent::UntilClose => return self.reader.read(buffer),
            Extent::Left(left) | Extent::Chunk { left, .. } => left,
        };
        let limit = buffer
            .len()
            .min(usize::try_from(*left).unwrap_or(usize::MAX));
        if limit == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..limit])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the connection closed with {left} bytes missing"),
            ));
        }
        *left -= read as u64;
        Ok(read)
    }
}

fn next_chunk(reader: &mut BufReader<Connection>, first: bool) -> io::Result<Extent> {
    let mut limit = MAX_HEAD;
    if !first {
        read_line(reader, &mut limit)?;
    }
    let line = read_line(reader, &mut limit)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let left =
        u64::from_str_radix(size, 16).map_err(|_| invalid("a chunk's length is not a number"))?;
    // The trailer after the last chunk is left unread: the connection ends here anyway.
    Ok(if left == 0 {
        Extent::Left(0)
    } else {
        Extent::Chunk { left, first: false }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_joined() {
        let url = Url::parse("https://u:p@Host.example:8443/a/b?c=d#e").unwrap();
        assert_eq!(url.to_string(), "https://Host.example:8443/a/b?c=d");
        assert_eq!(
            url.join("/x").unwrap().to_string(),
            "https://Host.example:8443/x"
        );
        assert_eq!(
            url.join("x?y").unwrap().to_string(),
            "https://Host.example:8443/a/x?y"
        );
        assert_eq!(url.join("//cdn/x").unwrap().to_string(), "https://cdn/x");
        assert_eq!(url.join("http://z").unwrap().to_string(), "http://z/");
        assert_eq!(
            Url::parse("http://[::1]:5000/v2/").unwrap().authority(),
            "[::1]:5000"
        );
        assert!(Url::parse("ftp://a/").is_err());
        assert!(Url::parse("http://a b/").is_err());
    }

    #[test]
    fn the_environment_names_proxies_and_exceptions() {
        let env = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let url = Url::parse("https://ghcr.io/v2/").unwrap();
        let found = proxy_for(&url, &env(&[("https_proxy", "u:p@proxy:3128")]))
            .unwrap()
            .unwrap();
        assert_eq!((found.url.host.as_str(), found.url.port), ("proxy", 3128));
        assert_eq!(found.authorization.as_deref(), Some("Basic dTpw"));
        assert!(
            proxy_for(
                &url,
                &env(&[("HTTPS_PROXY", "p:1"), ("no_proxy", "x,.ghcr.io")])
            )
            .unwrap()
            .is_none()
        );
        assert!(
            proxy_for(&url, &env(&[("http_proxy", "p:1")]))
                .unwrap()
                .is_none()
        );
        let local = Url::parse("http://127.0.0.1:5000/").unwrap();
        assert!(
            proxy_for(&local, &env(&[("http_proxy", "p:1")]))
                .unwrap()
                .is_none()
        );
    }

    struct Canned(io::Cursor<Vec<u8>>);
    impl Read for Canned {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }
    impl Write for Canned {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl crate::machine::Stream for Canned {
        fn set_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
            Ok(())
        }
    }

    fn body(text: &str) -> io::Result<String> {
        let canned = Canned(io::Cursor::new(text.as_bytes().to_vec()));
        let mut response = read_response(Connection::Plain(Box::new(canned)), false)?;
        let mut text = String::new();
        response.body.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn bodies_of_every_kind_are_read_and_short_ones_refused() {
        assert_eq!(
            body("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").unwrap(),
            "ab"
        );
        assert_eq!(body("HTTP/1.0 200 OK\r\n\r\nabc").unwrap(), "abc");
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(
            body(&format!("{chunked}2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n")).unwrap(),
            "abc"
        );
        assert_eq!(
            body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx").unwrap(),
            "x"
        );
        let short = body("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").unwrap_err();
        assert!(short.to_string().contains("6 bytes missing"), "{short}");
        assert!(body(&format!("{chunked}5\r\nab")).is_err());
        assert!(
            body("SSH-2.0\r\n")
                .unwrap_err()
                .to_string()
                .contains("not HTTP")
        );
    }
}
