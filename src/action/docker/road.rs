//! The way to an engine: its socket here, the same through a host's SSH connection, or a program that the
//! user starts whom the task becomes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Waker, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::action::ActionError;
use crate::run::context::Context;

/// How long one attempt to reach the engine may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where an engine is, seen from its host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Socket(String),
    Port(String, u16),
}

impl Place {
    /// Reads an address.
    pub(super) fn parse(address: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("the engine's address `{address}` {why}");
        match address.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Socket(path.to_owned())),
            Some(("unix", path)) => Ok(Self::Socket(format!("/{path}"))),
            Some(("tcp" | "http", rest)) => {
                let rest = rest.trim_end_matches('/');
                let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "2375"));
                let port = port.parse().map_err(|_| bad("has no port"))?;
                Ok(Self::Port(host.trim_matches(['[', ']']).to_owned(), port))
            }
            Some(("ssh", _)) => Err(bad(
                "leads over SSH; make the host a host of the inventory instead",
            )),
            Some(("https", _)) => Err(bad("needs TLS, which is not there yet for engines")),
            None if address.starts_with('/') => Ok(Self::Socket(address.to_owned())),
            _ => Err(bad(
                "is not understood; unix:///PATH and tcp://HOST:PORT are",
            )),
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Socket(path) => format!("unix://{path}"),
            Self::Port(host, port) => format!("tcp://{host}:{port}"),
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
pub(super) async fn open(context: &mut Context<'_>, place: &Place) -> Result<Way, ActionError> {
    let opened = tokio::time::timeout(PATIENCE, try_open(context, place)).await;
    opened.map_err(|_| failed(place, "Connection timed out"))?
}

async fn try_open(context: &mut Context<'_>, place: &Place) -> Result<Way, ActionError> {
    let here = context.here || context.link()?.is_local();
    let shown = |error: io::Error| {
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        failed(place, text)
    };
    match (place, here) {
        (Place::Socket(path), _) if context.r#become.is_some() => program(context, path).await,
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
                Err(_) => program(context, path).await,
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
async fn program(context: &mut Context<'_>, path: &str) -> Result<Way, ActionError> {
    let quoted = format!("'{}'", path.replace('\'', "'\\''"));
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
    let r#become = context.r#become.clone();
    let (stream, said) = context.link()?.stream(r#become.as_ref(), &line).await?;
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
        let place = |text: &str| Place::parse(text).map(|place| place.text());
        assert_eq!(place("unix:///run/a"), Ok("unix:///run/a".to_owned()));
        assert_eq!(place("unix://run/a"), Ok("unix:///run/a".to_owned()));
        assert_eq!(place("tcp://h:1/"), Ok("tcp://h:1".to_owned()));
        assert_eq!(place("tcp://[::1]:1"), Ok("tcp://::1:1".to_owned()));
        assert!(place("ssh://h").is_err() && place("npipe:////x").is_err());
    }
}
