//! A real HTTP server on loopback for the cases of `get_url` and `uri`; `@http@` in a `run` block
//! is its address.
//!
//! It answers by path: `/file` and `/json` with a content, `/echo` with what it was asked, `/sums` with
//! checksums, `/status/N` with that status, `/to/PATH` and `/to307/PATH` with a redirect, `/login` and
//! `/cookie` as their names say. It sends no date, so that every answer is the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

static ADDRESS: OnceLock<String> = OnceLock::new();

/// What stands for the address in a case.
pub(crate) const PLACEHOLDER: &str = "@http@";

const CONTENT: &str = "hello\n";
const MODIFIED: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
/// SHA-256 of [`CONTENT`], and of nothing.
const SUMS: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  file\n\
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  other\n";

/// The server's address, `127.0.0.1:PORT`; starts it on first use.
pub(crate) fn address() -> Result<&'static str, String> {
    if let Some(address) = ADDRESS.get() {
        return Ok(address);
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|fault| fault.to_string())?;
    let address = listener.local_addr().map_err(|fault| fault.to_string())?;
    // Another thread may have been faster: its server is used, and this listener closes.
    if ADDRESS.set(address.to_string()).is_ok() {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
    }
    ADDRESS
        .get()
        .map(String::as_str)
        .ok_or_else(|| "no HTTP server".to_string())
}

/// The text with the placeholder where the server's address is.
pub(crate) fn mask(text: String) -> String {
    match ADDRESS.get() {
        Some(address) => text.replace(address.as_str(), PLACEHOLDER),
        None => text,
    }
}

/// A request.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads one request and answers it; a client that went away is nobody's problem.
fn serve(stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut reader = BufReader::new(stream);
    let Ok(request) = read(&mut reader) else {
        return;
    };
    let (status, headers, body) = answer(&request);
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !head.contains("Content-Length") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut stream = reader.into_inner();
    let body = if request.method == "HEAD" { "" } else { &body };
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

/// Reads a request.
pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_string);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_string()));
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: String::new(),
    };
    let length = request.header("content-length");
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    reader.take(length).read_to_string(&mut request.body)?;
    Ok(request)
}

type Answer = (String, Vec<(&'static str, String)>, String);

fn answer(request: &Request) -> Answer {
    let plain = || vec![("Content-Type", "text/plain".to_string())];
    let json = || vec![("Content-Type", "application/json".to_string())];
    let ok = || "200 OK".to_string();
    let path = request.path.split('?').next().unwrap_or_default();
    if let Some(target) = path.strip_prefix("/to/") {
        let location = vec![("Location", format!("/{target}"))];
        return ("302 Found".to_string(), location, String::new());
    }
    if let Some(target) = path.strip_prefix("/to307/") {
        let location = vec![("Location", format!("/{target}"))];
        return (
            "307 Temporary Redirect".to_string(),
            location,
            String::new(),
        );
    }
    if let Some(status) = path.strip_prefix("/status/") {
        return (format!("{status} Said So"), plain(), format!("{status}\n"));
    }
    match path {
        "/file" | "/named" => {
            let mut headers = plain();
            headers.push(("Last-Modified", MODIFIED.to_string()));
            if path == "/named" {
                let name = "attachment; filename=\"given name\"".to_string();
                headers.push(("Content-Disposition", name));
            }
            match request.header("if-modified-since") {
                Some(_) if path == "/file" => {
                    ("304 Not Modified".to_string(), headers, String::new())
                }
                _ => (ok(), headers, CONTENT.to_string()),
            }
        }
        "/json" => (ok(), json(), "{\"a\": [1, \"b\"]}".to_string()),
        "/sums" => (ok(), plain(), SUMS.to_string()),
        "/cookie" => {
            let mut headers = plain();
            headers.push(("Set-Cookie", "one=1; Path=/".to_string()));
            headers.push(("Set-Cookie", "two=2".to_string()));
            (ok(), headers, String::new())
        }
        "/login" => match request.header("authorization") {
            // user:secret
            Some("Basic dXNlcjpzZWNyZXQ=") => (ok(), plain(), "welcome\n".to_string()),
            _ => {
                let ask = vec![("WWW-Authenticate", "Basic realm=\"tests\"".to_string())];
                ("401 Unauthorized".to_string(), ask, String::new())
            }
        },
        "/echo" => (ok(), json(), echo(request)),
        _ => (
            "404 Not Found".to_string(),
            plain(),
            "nothing\n".to_string(),
        ),
    }
}

/// The request as JSON, headers by name. Who is asked is known.
fn echo(request: &Request) -> String {
    let mut headers: Vec<String> = request
        .headers
        .iter()
        .filter(|(name, _)| name != "host")
        .map(|(name, value)| format!("{name:?}: {value:?}"))
        .collect();
    headers.sort();
    format!(
        "{{\"method\": {:?}, \"path\": {:?}, \"body\": {:?}, \"headers\": {{{}}}}}",
        request.method,
        request.path,
        request.body,
        headers.join(", ")
    )
}
