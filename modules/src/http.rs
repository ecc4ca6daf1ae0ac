//! HTTP as `get_url` and `uri` need it: log-ins, redirects, compressed bodies.

use std::io::{self, Read};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::data::Map;
use crate::machine::Machine;
use crate::oci::http::{Client, Response, Url};

/// Redirects that are followed before the server is thought to go in circles.
const MAX_REDIRECTS: usize = 10;

/// Which redirects are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// All.
    All,
    /// None.
    None,
    /// Those of GET and HEAD.
    Safe,
}

/// One request.
pub(crate) struct Fetch<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) follow: Follow,
    pub(crate) verify: bool,
    pub(crate) timeout: u64,
    pub(crate) use_proxy: bool,
    pub(crate) use_netrc: bool,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    /// Send the log-in at once, not only when the server asks.
    pub(crate) force_basic: bool,
    pub(crate) decompress: bool,
}

/// An answer; every status is one.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) url: String,
    pub(crate) redirected: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Box<dyn Read>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Headers of an argument as pairs.
pub(crate) fn headers(map: &Map) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| (name.clone(), value.text()))
        .collect()
}

/// Sends a request; an error says why there is no answer, in Python's words where they are known.
pub(crate) fn fetch(machine: &mut dyn Machine, fetch: Fetch<'_>) -> Result<Answer, String> {
    let mut client = Client::new(fetch.verify, Duration::from_secs(fetch.timeout));
    let mut url = Url::parse(fetch.url).map_err(|error| error.to_string())?;
    let first = url.clone();
    let mut login = login(machine, &fetch, &url);
    let (mut method, mut body, mut redirected) =
        (fetch.method.to_owned(), fetch.body.clone(), false);
    let mut send_login = fetch.force_basic;
    for _ in 0..=MAX_REDIRECTS {
        let mut headers = fetch.headers.clone();
        let mut add = |name: &str, value: String| {
            if !headers
                .iter()
                .any(|(key, _)| key.eq_ignore_ascii_case(name))
            {
                headers.push((name.to_owned(), value));
            }
        };
        add("Accept-Encoding", "identity".to_owned());
        if !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            add("Content-Length", body.len().to_string());
        }
        if let Some(value) = login.as_ref().filter(|_| send_login) {
            add("Authorization", value.clone());
        }
        let response = client
            .exchange(machine, &method, &url, &headers, &body, fetch.use_proxy)
            .map_err(|error| explained(&error.to_string()))?;
        if response.status == 401 && login.is_some() && !send_login {
            send_login = true;
            continue;
        }
        let location = response.header("location").map(str::to_owned);
        let safe = matches!(method.as_str(), "GET" | "HEAD");
        let follows = fetch.follow == Follow::All || (fetch.follow == Follow::Safe && safe);
        let (true, true, Some(location)) = (
            matches!(response.status, 301 | 302 | 303 | 307 | 308),
            follows,
            location,
        ) else {
            return answer(response, &url, redirected, fetch.decompress);
        };
        let next = url.join(&location).map_err(|error| error.to_string())?;
        if (next.host != first.host || next.port != first.port) && login.is_some() {
            // A log-in is for the host that the user named.
            login = None;
        }
        if matches!(response.status, 301..=303) && !safe {
            method = "GET".to_owned();
            body = Vec::new();
        }
        redirected = true;
        url = next;
    }
    Err("The HTTP server returned a redirect error that would lead to an infinite loop.".to_owned())
}

fn answer(
    response: Response,
    url: &Url,
    redirected: bool,
    decompress: bool,
) -> Result<Answer, String> {
    let zipped = decompress
        && response
            .header("content-encoding")
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    let Response {
        status,
        reason,
        headers,
        body,
    } = response;
    let body: Box<dyn Read> = if zipped {
        Box::new(flate2::read::MultiGzDecoder::new(body))
    } else {
        Box::new(body)
    };
    Ok(Answer {
        status,
        reason,
        url: url.to_string(),
        redirected,
        headers,
        body,
    })
}

/// The words of Python's library for the errors that users know.
fn explained(error: &str) -> String {
    let number = error
        .rsplit_once("(os error ")
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    match number {
        Some("111") => "<urlopen error [Errno 111] Connection refused>".to_owned(),
        Some("113") => "<urlopen error [Errno 113] No route to host>".to_owned(),
        Some("101") => "<urlopen error [Errno 101] Network is unreachable>".to_owned(),
        _ => format!("<urlopen error {error}>"),
    }
}

/// The log-in: the arguments', the address's, or that of `.netrc`.
fn login(machine: &mut dyn Machine, fetch: &Fetch<'_>, url: &Url) -> Option<String> {
    let basic = |user: &str, password: &str| {
        format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
    };
    if let Some(user) = fetch.user {
        return Some(basic(user, fetch.password.unwrap_or_default()));
    }
    let authority = fetch.url.split_once("://")?.1.split(['/', '?']).next()?;
    if let Some((userinfo, _)) = authority.rsplit_once('@') {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        return Some(basic(user, password));
    }
    if !fetch.use_netrc {
        return None;
    }
    let process = machine.process();
    let path = process
        .env
        .get("NETRC")
        .map_or_else(|| process.home.join(".netrc"), std::path::PathBuf::from);
    let text = String::from_utf8(machine.read(&path).ok()?).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words
        .windows(2)
        .position(|pair| pair == ["machine", url.host.as_str()])?;
    let entry: Vec<&str> = words[at + 2..]
        .iter()
        .take_while(|word| !matches!(**word, "machine" | "default"))
        .copied()
        .collect();
    let after = |key: &str| {
        entry
            .windows(2)
            .find(|pair| pair[0] == key)
            .map(|pair| pair[1])
    };
    Some(basic(
        after("login")?,
        after("password").unwrap_or_default(),
    ))
}

/// The whole body; an error says why it cannot be read.
pub(crate) fn read_all(body: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(bytes)
}
