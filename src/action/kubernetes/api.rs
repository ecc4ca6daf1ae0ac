//! Requests to the API server, and what comes of them.

use std::error::Error as _;
use std::time::Duration;

use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request};
use kube::client::Body;
use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::Failure;
use serde_json::Value as Json;

use crate::action::ActionError;

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Why something could not be done.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// What is told.
    pub(super) msg: String,
    /// Further results.
    pub(super) more: Map,
    /// The same at more length, for the user's eyes.
    pub(super) explanation: Option<String>,
}

impl Fault {
    pub(super) fn new(msg: impl Into<String>) -> Self {
        Self {
            msg: msg.into(),
            more: Map::new(),
            explanation: None,
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Data>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl From<String> for Fault {
    fn from(msg: String) -> Self {
        Self::new(msg)
    }
}

impl From<Fault> for ActionError {
    fn from(fault: Fault) -> Self {
        let mut failure = Failure::new(fault.msg);
        failure.changed = fault.more.get("changed") == Some(&Data::Bool(true));
        failure.results = fault.more;
        failure.explanation = fault.explanation;
        failure.results.shift_remove("changed");
        Self::Failed(Box::new(failure))
    }
}

/// Why a request did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The server said so: status, and the text of its answer.
    Answer(u16, String),
    /// There was no answer.
    Silence(String),
}

impl Refusal {
    /// The status.
    pub(super) fn code(&self) -> Option<u16> {
        match self {
            Self::Answer(code, _) => Some(*code),
            Self::Silence(_) => None,
        }
    }

    /// What the server said, as JSON.
    pub(super) fn status(&self) -> Json {
        match self {
            Self::Answer(_, text) => serde_json::from_str(text).unwrap_or_default(),
            Self::Silence(_) => Json::Null,
        }
    }

    /// The reason in the server's own words.
    pub(super) fn message(&self) -> String {
        match self {
            Self::Answer(_, text) => match self.status()["message"].as_str() {
                Some(message) => message.to_owned(),
                None => text.clone(),
            },
            Self::Silence(text) => text.clone(),
        }
    }

    /// What could not be done, in Ansible's words: the server's answer stands in them as it came.
    pub(super) fn about(&self, what: &str) -> Fault {
        match self {
            Self::Silence(text) => Fault::new(format!("{what}: {text}")),
            Self::Answer(code, text) => {
                let fault = Fault::new(format!("{what}: {text}"));
                match phrase(*code) {
                    Some(reason) => fault.with("reason", reason),
                    None => fault,
                }
            }
        }
    }
}

/// The words of a status.
pub(super) fn phrase(code: u16) -> Option<&'static str> {
    http::StatusCode::from_u16(code).ok()?.canonical_reason()
}

/// A cluster that is connected.
#[derive(Clone)]
pub(crate) struct Api {
    pub(super) client: kube::Client,
    /// The server's address, for messages.
    pub(super) address: String,
}

impl Api {
    /// Sends a request; the answer's text.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<String, Refusal> {
        // The server names managers of fields by it.
        let agent = HeaderValue::from_static(concat!("rplay/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let path = request.uri().path().to_owned();
        let answer = async {
            let answer = self.client.send(request).await?;
            let code = answer.status().as_u16();
            let bytes = answer.into_body().collect_bytes().await?;
            Ok::<_, kube::Error>((code, String::from_utf8_lossy(&bytes).into_owned()))
        };
        let answer = tokio::time::timeout(LIMIT, answer).await;
        let (code, text) = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let why = root(&error);
                let address = &self.address;
                let text = format!("the Kubernetes API at {address} cannot be reached: {why}");
                return Err(Refusal::Silence(text));
            }
            Err(_) => {
                return Err(Refusal::Silence(format!(
                    "the Kubernetes API at {} did not answer {path} within {} s",
                    self.address,
                    LIMIT.as_secs()
                )));
            }
        };
        match code {
            200..=299 => Ok(text),
            _ => Err(Refusal::Answer(code, text)),
        }
    }

    /// Sends a request with a body of a kind; the answer as JSON.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Json>,
    ) -> Result<Json, Refusal> {
        let bytes = body.map_or(vec![], |body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/json")
            .header("content-type", kind)
            .body(Body::from(bytes));
        let request = request.map_err(|error| Refusal::Silence(format!("{path}: {error}")))?;
        let text = self.send(request).await?;
        serde_json::from_str(&text)
            .map_err(|error| Refusal::Silence(format!("{path}: no JSON: {error}")))
    }

    /// Reads.
    pub(super) async fn get(&self, path: &str) -> Result<Json, Refusal> {
        self.get_as(path, "application/json").await
    }

    /// Reads in a form.
    pub(super) async fn get_as(&self, path: &str, form: &str) -> Result<Json, Refusal> {
        let request = Request::get(path)
            .header("accept", form)
            .body(Body::empty());
        let request = request.map_err(|error| Refusal::Silence(format!("{path}: {error}")))?;
        let text = self.send(request).await?;
        serde_json::from_str(&text)
            .map_err(|error| Refusal::Silence(format!("{path}: no JSON: {error}")))
    }
}

/// The last of an error's causes, which is the one that says something.
pub(super) fn root(error: &kube::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    let mut cause = error.source();
    // Some layers do not show what is within them as a source.
    if let kube::Error::Service(inner) = error {
        cause = Some(inner.as_ref());
    }
    while let Some(next) = cause {
        last = next;
        cause = next.source();
        if let Some(error) = next.downcast_ref::<std::io::Error>()
            && let Some(inner) = error.get_ref()
        {
            last = inner;
            cause = inner.source();
        }
    }
    let text = last.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
