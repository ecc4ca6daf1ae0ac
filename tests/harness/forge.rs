//! Doubles of the APIs of GitLab and GitHub on loopback: the few calls that `rplay report post` makes, as their
//! documentation describes them. They keep comments, give them in small pages, and refuse another token.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Request, read};

/// Which API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    GitLab,
    GitHub,
}

/// The token that may read and write.
pub(crate) const TOKEN: &str = "glpat-Zr8Kq2mX7wYb4TnP";

/// One that may only read.
pub(crate) const READER: &str = "glpat-Hc3Vd9sJ6fLa1QeU";

/// Comments on a page, whatever is asked for.
const PAGE: usize = 3;

/// A server.
pub(crate) struct Forge {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    comments: Vec<(u64, String)>,
    /// Method and path of each request.
    requests: Vec<String>,
}

impl Forge {
    /// Starts a server whose merge or pull request 7 has some comments.
    pub(crate) fn start(kind: Kind, comments: &[&str]) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|fault| fault.to_string())?;
        let address = listener.local_addr().map_err(|fault| fault.to_string())?;
        let comments = comments.iter().enumerate();
        let state = Arc::new(Mutex::new(State {
            comments: comments
                .map(|(at, text)| (at as u64 + 100, (*text).to_owned()))
                .collect(),
            requests: vec![],
        }));
        let shared = Arc::clone(&state);
        let own = address.to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, kind, &own, &shared);
            }
        });
        Ok(Self {
            address: address.to_string(),
            state,
        })
    }

    /// The comments.
    pub(crate) fn comments(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .comments
            .iter()
            .map(|(_, text)| text.clone())
            .collect()
    }

    /// The requests since the last time.
    pub(crate) fn requests(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.requests)
    }
}

/// A status, headers, and a body.
type Answer = (u16, String, Value);

fn serve(stream: TcpStream, kind: Kind, address: &str, state: &Mutex<State>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut reader = BufReader::new(stream);
    let Ok(request) = read(&mut reader) else {
        return;
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state
        .requests
        .push(format!("{} {}", request.method, request.path));
    let (status, headers, body) = answer(&request, kind, address, &mut state);
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {status} Said\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = reader.into_inner().write_all(text.as_bytes());
}

fn answer(request: &Request, kind: Kind, address: &str, state: &mut State) -> Answer {
    let none = String::new;
    let given = match kind {
        Kind::GitLab => request.header("private-token"),
        Kind::GitHub => request
            .header("authorization")
            .and_then(|text| text.strip_prefix("Bearer ")),
    };
    if given != Some(TOKEN) && given != Some(READER) {
        let message = if kind == Kind::GitLab {
            "401 Unauthorized"
        } else {
            "Bad credentials"
        };
        return (401, none(), json!({"message": message}));
    }
    if kind == Kind::GitHub
        && (request.header("user-agent").is_none()
            || request.header("accept") != Some("application/vnd.github+json"))
    {
        return (
            403,
            none(),
            json!({"message": "Request forbidden by administrative rules."}),
        );
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let (list, one) = match kind {
        Kind::GitLab => (
            "/api/v4/projects/42/merge_requests/7/notes",
            "/api/v4/projects/42/merge_requests/7/notes/",
        ),
        Kind::GitHub => (
            "/repos/acme/site/issues/7/comments",
            "/repos/acme/site/issues/comments/",
        ),
    };
    if request.method == "GET" && path == list {
        return page(kind, address, path, query, state);
    }
    let number = path
        .strip_prefix(one)
        .and_then(|number| number.parse::<u64>().ok());
    let change = if kind == Kind::GitLab { "PUT" } else { "PATCH" };
    let writes = (request.method == "POST" && path == list)
        || (request.method == change && number.is_some());
    if !writes {
        return (404, none(), json!({"message": "404 Not Found"}));
    }
    if given == Some(READER) {
        return (403, none(), json!({"error": "insufficient_scope"}));
    }
    let body: Value = match request.header("content-type") {
        Some("application/json") => serde_json::from_str(&request.body).unwrap_or_default(),
        _ => Value::Null,
    };
    let Some(text) = body["body"].as_str() else {
        return (400, none(), json!({"error": "body is missing"}));
    };
    match number {
        None => {
            let id = 100 + state.comments.len() as u64;
            state.comments.push((id, text.to_owned()));
            (201, none(), json!({"id": id, "body": text}))
        }
        Some(id) => match state.comments.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => {
                text.clone_into(known);
                (200, none(), json!({"id": id, "body": text}))
            }
            None => (404, none(), json!({"message": "404 Not Found"})),
        },
    }
}

fn page(kind: Kind, address: &str, path: &str, query: &str, state: &State) -> Answer {
    let page = query.split('&').find_map(|pair| pair.strip_prefix("page="));
    let page: usize = page.and_then(|text| text.parse().ok()).unwrap_or(1);
    let start = (page - 1) * PAGE;
    let shown = state.comments.iter().skip(start).take(PAGE);
    let comments: Value = shown
        .map(|(id, text)| json!({"id": id, "body": text, "system": text.starts_with("system ")}))
        .collect();
    let more = state.comments.len() > start + PAGE;
    let headers = match (kind, more) {
        (Kind::GitLab, true) => format!("X-Next-Page: {}\r\n", page + 1),
        (Kind::GitLab, false) => "X-Next-Page: \r\n".to_owned(),
        (Kind::GitHub, true) => format!(
            "Link: <http://{address}{path}?page={}>; rel=\"next\"\r\n",
            page + 1
        ),
        (Kind::GitHub, false) => String::new(),
    };
    (200, headers, comments)
}
