//! The way to an engine: its socket here, the same through a host's SSH connection, or a program that the
//! user starts whom the task becomes, or one that leads to yet another machine (`ssh://`).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use rplay_modules::text::quote;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::tls::{Tls, reason};
use crate::action::ActionError;
use crate::run::context::Context;

/// How long one attempt to reach the engine may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where an engine is, seen from its host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Socket(String),
    Port(String, u16),
    /// Of another machine, which the host's `ssh` reaches.
    Ssh(Far),
}

/// What `ssh` is told of a machine with an engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Far {
    /// The address as it was written.
    text: String,
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// The engine's socket there, where it is not the usual one.
    socket: Option<String>,
}

impl Far {
    fn parse(text: &str, rest: &str) -> Result<Self, &'static str> {
        let (machine, path) = match rest.split_once('/') {
            Some((machine, path)) => (machine, path),
            None => (rest, ""),
        };
        let (user, machine) = match machine.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => {
                return Err("has a password; `ssh` takes none there, a key is what it needs");
            }
            Some((user, machine)) => (Some(user.to_owned()), machine),
            None => (None, machine),
        };
        // The colons of an address of version 6 are within brackets.
        let (host, port) = match machine.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| "has no port")?))
            }
            _ => (machine, None),
        };
        let host = host.trim_matches(['[', ']']);
        if host.is_empty() {
            return Err("names no host");
        }
        Ok(Self {
            text: text.to_owned(),
            user,
            host: host.to_owned(),
            port,
            socket: (!path.is_empty()).then(|| format!("/{path}")),
        })
    }

    /// The command line for the host's shell. Nobody is there to answer a question.
    fn line(&self) -> String {
        let mut words = vec!["exec ssh -T -o BatchMode=yes -o ConnectTimeout=15".to_owned()];
        if let Some(user) = &self.user {
            words.push(format!("-l {}", quote(user)));
        }
        if let Some(port) = self.port {
            words.push(format!("-p {port}"));
        }
        words.push(format!("-- {}", quote(&self.host)));
        let socket = match &self.socket {
            Some(path) => format!(" --host {}", quote(&format!("unix://{path}"))),
            None => String::new(),
        };
        // The shell over there takes it apart once more.
        words.push(quote(&format!("docker{socket} system dial-stdio")));
        words.join(" ")
    }
}

impl Place {
    /// Reads an address; with it, whether that asks for TLS by itself.
    pub(super) fn parse(address: &str) -> Result<(Self, bool), String> {
        // A password in it is told to nobody.
        let shown = match address.rsplit_once('@') {
            Some((_, machine)) => format!("ssh://...@{machine}"),
            None => address.to_owned(),
        };
        let bad = |why: &str| format!("the engine's address `{shown}` {why}");
        match address.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => {
                Ok((Self::Socket(path.to_owned()), false))
            }
            Some(("unix", path)) => Ok((Self::Socket(format!("/{path}")), false)),
            Some((scheme @ ("tcp" | "http" | "https"), rest)) => {
                let secure = scheme == "https";
                let usual = if secure { "2376" } else { "2375" };
                let rest = rest.trim_end_matches('/');
                let (host, port) = rest.rsplit_once(':').unwrap_or((rest, usual));
                let port = port.parse().map_err(|_| bad("has no port"))?;
                let host = host.trim_matches(['[', ']']).to_owned();
                Ok((Self::Port(host, port), secure))
            }
            Some(("ssh", rest)) => {
                let far = Far::parse(address, rest).map_err(bad)?;
                Ok((Self::Ssh(far), false))
            }
            None if address.starts_with('/') => Ok((Self::Socket(address.to_owned()), false)),
            _ => Err(bad(
                "is not understood; unix:///PATH, tcp://HOST:PORT, https://HOST:PORT and ssh://USER@HOST are",
            )),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Socket(path) => format!("unix://{path}"),
            Self::Port(host, port) => format!("tcp://{host}:{port}"),
            Self::Ssh(far) => far.text.clone(),
        }
    }
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// An open way.
pub(super) struct Way {
    stream: Box<dyn Both>,
    /// What the program said that leads there.
    said: Option<Arc<OnceLock<String>>>,
}

impl Way {
    fn new(stream: impl Both + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            said: None,
        }
    }

    /// What the program said that leads there, once it has ended.
    pub(super) fn said(&self) -> Option<String> {
        self.said.as_ref()?.get().cloned()
    }
}

impl AsyncRead for Way {
    fn poll_read(
        mut self: Pin<&mut Self>,
        waker: &mut Waker<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(waker, buffer);
        // The end of a program that has something to say is no ordinary end.
        if matches!(read, Poll::Ready(Ok(())))
            && buffer.filled().len() == before
            && let Some(said) = self.said().filter(|said| !said.is_empty())
        {
            return Poll::Ready(Err(io::Error::other(said)));
        }
        read
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        mut self: Pin<&mut Self>,
        waker: &mut Waker<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(waker, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(waker)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(waker)
    }
}

/// Opens a way.
pub(super) async fn open(
    context: &mut Context<'_>,
    place: &Place,
    tls: Option<&Tls>,
) -> Result<Way, ActionError> {
    let opened = async {
        let way = try_open(context, place).await?;
        match (tls, place) {
            (Some(tls), Place::Port(host, _)) => secured(context, way, place, host, tls).await,
            _ => Ok(way),
        }
    };
    let opened = tokio::time::timeout(PATIENCE, opened).await;
    opened.map_err(|_| failed(place, "Connection timed out"))?
}

async fn secured(
    context: &mut Context<'_>,
    way: Way,
    place: &Place,
    host: &str,
    tls: &Tls,
) -> Result<Way, ActionError> {
    let config = tls.config(context).await?;
    let name = tls.server(host).map_err(|why| failed(place, &why))?;
    let stream = tokio_rustls::TlsConnector::from(config)
        .connect(name, way)
        .await
        .map_err(|error| failed(place, &reason(&error).unwrap_or_else(|| error.to_string())))?;
    Ok(Way::new(stream))
}

async fn try_open(context: &mut Context<'_>, place: &Place) -> Result<Way, ActionError> {
    let here = context.here || context.link()?.is_local();
    let shown = |error: io::Error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        failed(place, text)
    };
    match (place, here) {
        (Place::Ssh(far), _) => program(context, &far.line()).await,
        (Place::Socket(path), _) if context.r#become.is_some() => handed_on(context, path).await,
        (Place::Socket(path), true) => {
            let stream = UnixStream::connect(path).await.map_err(shown)?;
            Ok(Way::new(stream))
        }
        (Place::Port(host, port), true) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await;
            let stream = stream.map_err(shown)?;
            let _ = stream.set_nodelay(true);
            Ok(Way::new(stream))
        }
        (Place::Socket(path), false) => {
            let tunnels = context.link()?.tunnels().await?;
            match tunnels.open_socket(path).await {
                Ok(stream) => Ok(Way::new(stream)),
                // The server may forbid it; a program of the user reaches the same.
                Err(_) => handed_on(context, path).await,
            }
        }
        (Place::Port(host, port), false) => {
            let tunnels = context.link()?.tunnels().await?;
            let stream = tunnels.open(host, *port).await;
            Ok(Way::new(stream.map_err(|why| failed(place, &why))?))
        }
    }
}

fn failed(place: &Place, why: &str) -> ActionError {
    let text = format!(
        "Error connecting: Error while fetching server API version: {}: {why}",
        place.text()
    );
    let mut more = rplay_modules::data::Map::new();
    more.insert("can_talk_to_docker".to_owned(), false.into());
    super::engine::failure(text, more)
}

/// A program of the host that hands bytes on, as the user whom the task becomes: the socket is often root's.
async fn handed_on(context: &mut Context<'_>, path: &str) -> Result<Way, ActionError> {
    let quoted = quote(path);
    let missing = "neither docker, podman, socat nor nc is there to reach the socket with";
    let line = format!(
        "exec sh -c 'P=$1; \
         [ -S \"$P\" ] || {{ echo \"$P: No such file or directory\" >&2; exit 1; }}; \
         has() {{ command -v \"$1\" >/dev/null 2>&1; }}; \
         if has docker; then exec docker -H \"unix://$P\" system dial-stdio; \
         elif has socat; then exec socat - \"UNIX-CONNECT:$P\"; \
         elif has nc; then exec nc -U \"$P\"; \
         elif has podman; then exec podman --url \"unix://$P\" system dial-stdio; fi; \
         echo \"{missing}\" >&2; exit 127' sh {quoted}"
    );
    program(context, &line).await
}

/// A program of the host that a way leads through.
async fn program(context: &mut Context<'_>, line: &str) -> Result<Way, ActionError> {
    let r#become = context.r#become.clone();
    let (stream, said) = context.link()?.stream(r#become.as_ref(), line).await?;
    Ok(Way {
        stream: Box::new(stream),
        said: Some(said),
    })
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn addresses() {
        let place = |text: &str| Place::parse(text).map(|(place, _)| place.text());
        assert_eq!(place("unix:///run/a"), Ok("unix:///run/a".to_owned()));
        assert_eq!(place("unix://run/a"), Ok("unix:///run/a".to_owned()));
        assert_eq!(place("tcp://h:1/"), Ok("tcp://h:1".to_owned()));
        assert_eq!(place("tcp://[::1]:1"), Ok("tcp://::1:1".to_owned()));
        assert!(
            Place::parse("https://h")
                .is_ok_and(|(place, secure)| secure && place.text() == "tcp://h:2376")
        );
        assert_eq!(place("ssh://h"), Ok("ssh://h".to_owned()));
        assert!(place("npipe:////x").is_err());
    }

    #[test]
    fn command_lines_of_ssh() {
        let line = |text: &str| match Place::parse(text) {
            Ok((Place::Ssh(far), false)) => far.line(),
            other => format!("{other:?}"),
        };
        let ssh = "exec ssh -T -o BatchMode=yes -o ConnectTimeout=15";
        assert_eq!(
            line("ssh://h"),
            format!("{ssh} -- h 'docker system dial-stdio'")
        );
        assert_eq!(
            line("ssh://me@[::1]:2022/run/d.sock"),
            format!(
                "{ssh} -l me -p 2022 -- ::1 'docker --host unix:///run/d.sock system dial-stdio'"
            )
        );
        assert!(line("ssh://-oProxyCommand=x/").contains("-- -oProxyCommand=x "));
        for wrong in ["ssh://", "ssh://me@", "ssh://me:secret@h", "ssh://h:x"] {
            let told = Place::parse(wrong);
            assert!(told.is_err_and(|why| !why.contains("secret")), "{wrong}");
        }
    }
}
