//! HTTP as `get_url` and `uri` need it: log-ins, redirects, compressed bodies.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::args::ModuleArgs;
use crate::data::Map;
use crate::machine::{Machine, UNRESOLVED};
use crate::oci::http::{Client, Response, Url};
use crate::oci::tls::Trust;
use crate::outcome::Failure;

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

/// What requests of every module can be told.
#[derive(ModuleArgs)]
pub(crate) struct HttpArgs {
    /// Further headers.
    headers: Option<Map>,
    /// The password for a log-in.
    #[arg(alias = "password", secret)]
    url_password: Option<String>,
    /// Send the log-in at once, not only when the server asks.
    #[arg(default = "false")]
    force_basic_auth: bool,
    /// Ask for a fresh answer: not from a cache on the way, and also where the file is there already.
    #[arg(default = "false")]
    pub(crate) force: bool,
    /// Whether certificates are checked.
    #[arg(default = "true")]
    validate_certs: bool,
    /// Whether proxies of the environment are used.
    #[arg(default = "true")]
    use_proxy: bool,
    /// Whether `.netrc` is looked into for a log-in.
    #[arg(default = "true")]
    use_netrc: bool,
    /// What the client calls itself.
    #[arg(default = "ansible-httpget")]
    http_agent: String,
    /// Whether a compressed answer is unpacked.
    #[arg(default = "true")]
    decompress: bool,
    /// Names of headers that are not sent on after a redirect.
    #[arg(default = "[]")]
    unredirected_headers: Vec<String>,
    /// A client certificate.
    #[arg(refused = "client certificates are not supported yet")]
    client_cert: Option<PathBuf>,
    /// The key of the client certificate.
    #[arg(refused = "client certificates are not supported yet")]
    client_key: Option<PathBuf>,
    /// TLS ciphers.
    #[arg(refused = "choosing TLS ciphers is not supported")]
    ciphers: Option<Vec<String>>,
    /// Log in with Kerberos.
    #[arg(default = "false")]
    use_gssapi: bool,
}

/// One request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Headers of the module, beside those of the user, which win.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) follow: Follow,
    pub(crate) timeout: u64,
    pub(crate) user: Option<&'a str>,
    /// A file of further root certificates.
    pub(crate) roots: Option<&'a Path>,
    /// A Unix socket that is connected to instead of the host of the address.
    pub(crate) socket: Option<&'a Path>,
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

impl HttpArgs {
    /// Requests that nobody told anything but whether to check certificates.
    pub(crate) fn plain(validate_certs: bool) -> Self {
        Self {
            headers: None,
            url_password: None,
            force_basic_auth: false,
            force: false,
            validate_certs,
            use_proxy: true,
            use_netrc: true,
            http_agent: "ansible-httpget".to_owned(),
            decompress: true,
            unredirected_headers: Vec::new(),
            client_cert: None,
            client_key: None,
            ciphers: None,
            use_gssapi: false,
        }
    }

    /// Fails by name for what is not supported.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.use_gssapi {
            return Err(Failure::new("`use_gssapi` is not supported yet"));
        }
        Ok(())
    }

    /// All headers of a request but the log-in; each name once, the user's first.
    fn headers(&self, request: &Request<'_>) -> Headers {
        let mut headers = Headers(Vec::new());
        for (name, value) in self.headers.iter().flatten() {
            headers.0.push((name.clone(), value.text()));
        }
        for (name, value) in &request.headers {
            headers.add(name, value);
        }
        headers.add("User-Agent", &self.http_agent);
        if self.force {
            headers.add("cache-control", "no-cache");
        }
        headers.add("Accept-Encoding", "identity");
        headers
    }
}

/// The body of a page that is simply read; every status but those of success is an error.
pub(crate) fn get(
    machine: &mut dyn Machine,
    url: &str,
    validate_certs: bool,
) -> Result<Vec<u8>, String> {
    let args = HttpArgs::plain(validate_certs);
    let request = Request {
        method: "GET",
        url,
        headers: Vec::new(),
        body: Vec::new(),
        follow: Follow::Safe,
        timeout: 10,
        user: None,
        roots: None,
        socket: None,
    };
    let mut answer = fetch(machine, &args, request)?;
    if !(200..300).contains(&answer.status) {
        return Err(format!("HTTP Error {}: {}", answer.status, answer.reason));
    }
    read_all(&mut answer.body).map_err(|error| error.to_string())
}

struct Headers(Vec<(String, String)>);

impl Headers {
    /// Adds a header that is not there.
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
            self.0.push((name.to_owned(), value.to_owned()));
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

/// Sends a request; an error says why there is no answer, in Python's words where they are known.
pub(crate) fn fetch(
    machine: &mut dyn Machine,
    args: &HttpArgs,
    request: Request<'_>,
) -> Result<Answer, String> {
    let trust = Trust::of(args.validate_certs, request.roots);
    let mut client = Client::new(trust, Duration::from_secs(request.timeout));
    client.socket = request.socket.map(Path::to_owned);
    let mut url = Url::parse(request.url).map_err(|error| error.to_string())?;
    let first = url.clone();
    let given = login(args, &request);
    let stored = match given {
        Some(_) => None,
        None => stored_login(machine, args, &url),
    };
    let mut lasting = args.headers(&request);
    let (mut method, mut body) = (request.method.to_owned(), request.body);
    // What `.netrc` has is sent at once, the arguments' when the server asks for it.
    let (mut redirected, mut send_login) = (false, args.force_basic_auth || stored.is_some());
    let mut login = given.or(stored);
    for _ in 0..=MAX_REDIRECTS {
        let mut headers = Headers(lasting.0.clone());
        if !body.is_empty() || matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
            headers.add("Content-Length", &body.len().to_string());
        }
        if let Some(value) = login.as_ref().filter(|_| send_login) {
            headers.add("Authorization", value);
        }
        let response = client
            .exchange(machine, &method, &url, &headers.0, &body, args.use_proxy)
            .map_err(|error| explained(&error.to_string()))?;
        if response.status == 401 && login.is_some() && !send_login {
            send_login = true;
            continue;
        }
        let location = response.header("location").map(str::to_owned);
        let safe = matches!(method.as_str(), "GET" | "HEAD");
        let follows = request.follow == Follow::All || (request.follow == Follow::Safe && safe);
        let (true, true, Some(location)) = (
            matches!(response.status, 301 | 302 | 303 | 307 | 308),
            follows,
            location,
        ) else {
            return answer(response, &url, redirected, args.decompress);
        };
        let next = url.join(&location).map_err(|error| error.to_string())?;
        if (next.host != first.host || next.port != first.port) && login.is_some() {
            // A log-in is for the host that the user named.
            login = None;
        }
        args.unredirected_headers
            .iter()
            .for_each(|name| lasting.remove(name));
        if matches!(response.status, 301..=303) && !safe {
            method = "GET".to_owned();
            body = Vec::new();
            lasting.remove("Content-Type");
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
    if error.ends_with(UNRESOLVED) {
        return "<urlopen error [Errno -2] Name or service not known>".to_owned();
    }
    let last = error.rsplit(": ").next().unwrap_or(error);
    let system = last
        .strip_suffix(')')
        .and_then(|last| last.split_once(" (os error "));
    match system {
        Some((text, number)) => format!("<urlopen error [Errno {number}] {text}>"),
        None => format!("<urlopen error {error}>"),
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The log-in of the arguments or the address.
fn login(args: &HttpArgs, request: &Request<'_>) -> Option<String> {
    if let Some(user) = request.user {
        return Some(basic(
            user,
            args.url_password.as_deref().unwrap_or_default(),
        ));
    }
    let authority = request.url.split_once("://")?.1.split(['/', '?']).next()?;
    let (userinfo, _) = authority.rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Some(basic(user, password))
}

/// The log-in that `.netrc` has for a host.
fn stored_login(machine: &mut dyn Machine, args: &HttpArgs, url: &Url) -> Option<String> {
    if !args.use_netrc {
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

/// An address that another one may leave out parts of.
pub(crate) fn joined(base: &str, address: &str) -> String {
    let full = Url::parse(base).and_then(|base| base.join(address));
    full.map_or_else(|_| address.to_owned(), |url| url.to_string())
}

/// The whole body; an error says why it cannot be read.
pub(crate) fn read_all(body: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(bytes)
}
