//! Requests to a container engine, and what comes of them.

use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rplay_modules::outcome::Failure;
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use super::road::Way;
use super::tls;
use crate::action::ActionError;

/// Why a request did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The engine said so.
    Answer {
        code: u16,
        /// What was asked for.
        path: String,
        /// What the engine said.
        message: String,
    },
    /// There was no answer.
    Silence(String),
}

impl Refusal {
    pub(super) fn is(&self, wanted: u16) -> bool {
        matches!(self, Self::Answer { code, .. } if *code == wanted)
    }

    /// In the words of Ansible's client.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Silence(text) => text.clone(),
            Self::Answer {
                code,
                path,
                message,
            } => {
                let side = if *code < 500 { "Client" } else { "Server" };
                let words = StatusCode::from_u16(*code).ok();
                let words = words.and_then(|code| code.canonical_reason());
                format!(
                    "{code} {side} Error for http+docker://localhost{path}: {} (\"{message}\")",
                    words.unwrap_or_default()
                )
            }
        }
    }

    /// What could not be done.
    pub(super) fn about(&self, what: &str) -> ActionError {
        ActionError::new(format!("{what}: {}", self.text()))
    }
}

impl From<Refusal> for ActionError {
    fn from(refusal: Refusal) -> Self {
        refusal.about("An unexpected Docker error occurred")
    }
}

/// One connection to an engine: a request at a time.
pub(super) struct Wire {
    sender: SendRequest<Full<Bytes>>,
    /// What carries it, which knows why it ended.
    connection: Option<JoinHandle<Result<(), hyper::Error>>>,
    /// How long the engine may be silent.
    pub(super) limit: Duration,
    /// What the engine said of itself last.
    pub(super) heard: Heard,
}

/// What every answer says of the engine.
#[derive(Clone, Default)]
pub(super) struct Heard {
    /// The version of its API.
    pub(super) version: Option<String>,
    /// Whether it is Docker, and not something that answers like it.
    pub(super) is_docker: bool,
    /// Its clock, in seconds since 1970.
    pub(super) clock: Option<i64>,
}

impl Heard {
    fn read(headers: &http::HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let clock = text("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Self {
            version: text("api-version").map(str::to_owned),
            is_docker: text("server").is_some_and(|server| server.starts_with("Docker/")),
            clock: clock.map(|date| date.timestamp().as_second()),
        }
    }
}

/// A request.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: vec![],
            body: vec![],
        }
    }

    pub(super) fn json(mut self, body: &Json) -> Self {
        self.body = body.to_string().into_bytes();
        self.headers
            .push(("content-type", "application/json".to_owned()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Wire {
    /// Speaks HTTP over a stream.
    pub(super) async fn new(way: Way, limit: Duration) -> Result<Self, String> {
        let said = way.said();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(way))
            .await
            .map_err(|error| told(&error, said))?;
        let connection = Some(tokio::spawn(connection.with_upgrades()));
        Ok(Self {
            sender,
            connection,
            limit,
            heard: Heard::default(),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends; the head of the answer.
    async fn send(&mut self, ask: Ask<'_>) -> Result<http::Response<Incoming>, Refusal> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(ask.path)
            .header("host", "docker")
            .header("user-agent", concat!("rplay/", env!("CARGO_PKG_VERSION")));
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let silent = |text: String| Refusal::Silence(text);
        let request = request.body(Full::new(Bytes::from(ask.body)));
        let request = request.map_err(|error| silent(format!("{}: {error}", ask.path)))?;
        if let Err(error) = self.sender.ready().await {
            return Err(self.lost(error).await);
        }
        let answer = tokio::time::timeout(self.limit, self.sender.send_request(request)).await;
        let late = || {
            silent(format!(
                "Read timed out. (read timeout={})",
                self.limit.as_secs()
            ))
        };
        match answer.map_err(|_| late())? {
            Ok(answer) => {
                self.heard = Heard::read(answer.headers());
                Ok(answer)
            }
            Err(error) => Err(self.lost(error).await),
        }
    }

    /// Why a request came to nothing. Where the connection ended before it, the request knows only that.
    async fn lost(&mut self, error: hyper::Error) -> Refusal {
        if (error.is_closed() || error.is_canceled())
            && let Some(connection) = self.connection.take()
            && let Ok(Ok(Err(cause))) =
                tokio::time::timeout(Duration::from_secs(1), connection).await
        {
            return Refusal::Silence(told(&cause, None));
        }
        Refusal::Silence(told(&error, None))
    }

    /// Sends; the whole answer of a request that succeeded.
    pub(super) async fn fetch(&mut self, ask: Ask<'_>) -> Result<Vec<u8>, Refusal> {
        let path = ask.path.to_owned();
        let answer = self.send(ask).await?;
        let code = answer.status().as_u16();
        let bytes = self.body(answer.into_body()).await?;
        match code {
            // 304: it is that way already.
            200..=304 => Ok(bytes),
            _ => Err(refused(code, path, &bytes)),
        }
    }

    /// The rest of an answer; what is silent for too long is given up.
    async fn body(&self, mut body: Incoming) -> Result<Vec<u8>, Refusal> {
        let mut all = vec![];
        loop {
            let frame = tokio::time::timeout(self.limit, body.frame()).await;
            let frame = frame.map_err(|_| {
                Refusal::Silence(format!(
                    "Read timed out. (read timeout={})",
                    self.limit.as_secs()
                ))
            })?;
            match frame {
                None => return Ok(all),
                Some(Ok(frame)) => {
                    if let Some(bytes) = frame.data_ref() {
                        all.extend_from_slice(bytes);
                    }
                }
                Some(Err(error)) => return Err(Refusal::Silence(told(&error, None))),
            }
        }
    }

    /// Turns the connection into the two streams of a program.
    pub(super) async fn hijack(mut self, ask: Ask<'_>) -> Result<TokioIo<Upgraded>, Refusal> {
        let path = ask.path.to_owned();
        let ask = ask
            .header("connection", "Upgrade".to_owned())
            .header("upgrade", "tcp".to_owned());
        let answer = self.send(ask).await?;
        let code = answer.status().as_u16();
        if code != 101 {
            let bytes = self.body(answer.into_body()).await?;
            return Err(refused(code, path, &bytes));
        }
        let upgraded = hyper::upgrade::on(answer).await;
        upgraded
            .map(TokioIo::new)
            .map_err(|error| Refusal::Silence(told(&error, None)))
    }
}

fn refused(code: u16, path: String, bytes: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(bytes);
    let json: Json = serde_json::from_str(&text).unwrap_or_default();
    let message = json["message"].as_str().map(str::to_owned);
    Refusal::Answer {
        code,
        path,
        message: message.unwrap_or_else(|| text.trim().to_owned()),
    }
}

/// The reason of an error of HTTP, or what the program said that leads to the engine.
fn told(error: &hyper::Error, said: Option<String>) -> String {
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        return said;
    }
    if error.is_parse() {
        return format!("what answers is no engine: {error}");
    }
    // An error of HTTP says little of the one that it is about.
    let first: &dyn std::error::Error = error;
    let causes = || std::iter::successors(Some(first), |one| one.source());
    let broken = causes().find_map(|one| tls::reason(one.downcast_ref()?));
    broken.unwrap_or_else(|| causes().last().map(ToString::to_string).unwrap_or_default())
}

/// The objects of a stream of progress; the last error in it.
pub(super) fn progress(bytes: &[u8]) -> (Vec<Json>, Option<String>) {
    let stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Json>();
    let all: Vec<Json> = stream.map_while(Result::ok).collect();
    let error = all.iter().find_map(|one| one["error"].as_str());
    let error = error.map(str::to_owned);
    (all, error)
}

/// A failure with further results.
pub(super) fn failure(msg: impl Into<String>, more: rplay_modules::data::Map) -> ActionError {
    let mut failure = Failure::new(msg);
    failure.results = more;
    ActionError::Failed(Box::new(failure))
}
