//! `uri`: a request to a web service, sent from the host.

pub(crate) mod multipart;

use std::path::PathBuf;

use rplay_modules::args::{ArgEnum, CheckMode, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::{FileArgs, Sides, add_path_info, write_text};
use rplay_modules::machine::{FileKind, Machine};
use rplay_modules::outcome::{Failure, Outcome};
use rplay_modules::{json, module};

use crate::http::{self, Answer, Follow, HttpArgs, Request};

/// Sends a request to an HTTP or HTTPS service and checks the answer.
#[derive(ModuleArgs)]
struct Args {
    /// The address.
    url: String,
    /// The method.
    #[arg(default = "GET")]
    method: String,
    /// The body.
    body: Option<Data>,
    /// How the body is written.
    #[arg(default = "raw")]
    body_format: BodyFormat,
    /// The file whose content is the body.
    src: Option<PathBuf>,
    /// Whether `src` is on the host already.
    #[arg(default = "false")]
    remote_src: bool,
    /// The file or folder that the answer is written to.
    dest: Option<PathBuf>,
    /// Return the content also when nobody asked for it by a failure.
    #[arg(default = "false")]
    return_content: bool,
    /// The status codes that are good.
    #[arg(default = "200", kind = "list of int")]
    status_code: Vec<u16>,
    /// Which redirects are followed.
    #[arg(default = "safe")]
    follow_redirects: Redirects,
    /// How many seconds the server may take.
    #[arg(default = "30")]
    timeout: u64,
    /// Do nothing when this file is there.
    creates: Option<PathBuf>,
    /// Do nothing when this file is not there.
    removes: Option<PathBuf>,
    /// The user for a log-in.
    #[arg(alias = "user")]
    url_username: Option<String>,
    /// The socket of a service on the host.
    unix_socket: Option<PathBuf>,
    /// A file of root certificates that are good beside those of the machine.
    ca_path: Option<PathBuf>,
    #[arg(flatten)]
    http: HttpArgs,
    /// Owner, group and mode of `dest`.
    #[arg(flatten)]
    file: FileArgs,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum BodyFormat {
    #[arg(name = "form-urlencoded")]
    Form,
    Json,
    Raw,
    #[arg(name = "form-multipart")]
    Multipart,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Redirects {
    #[arg(alias = "yes", alias = "True")]
    All,
    #[arg(alias = "no", alias = "False")]
    None,
    Safe,
    Urllib2,
}

/// What comes back, beside the server's headers in lower case.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The server's status, -1 without an answer.
    status: i32,
    /// The address that answered.
    url: String,
    /// Whether it was another one than asked.
    redirected: bool,
    /// The answer's body.
    content: String,
    /// The answer's body as a value, when it is JSON.
    json: Map,
    /// The server's cookies.
    cookies: Map,
    /// How many seconds it took.
    elapsed: u64,
}

module! {
    "ansible.builtin.uri", args: Args, returns: Values, run: run,
    rules: Rules { check_mode: CheckMode::SkippedFirst, ..Rules::NONE },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    args.http.check()?;
    if args.body.is_some() && args.src.is_some() {
        return Err(Failure::new("parameters are mutually exclusive: body|src"));
    }
    if args.src.is_some() && !args.remote_src {
        return Err(Failure::new(
            "a body from a file of the controller is not supported yet; set `remote_src: true` or use `body` with a lookup",
        ));
    }
    for (path, skips, state) in [
        (&args.creates, true, "exists"),
        (&args.removes, false, "does not exist"),
    ] {
        if let Some(path) = path
            && matches!(machine.stat(path, true), Ok(Some(_))) == skips
        {
            let text = format!("skipped, since '{}' {state}", path.display());
            return Ok(Outcome::unchanged().with("stdout", text));
        }
    }
    let begin = machine.now();
    let answer = send(machine, &args)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
    let elapsed = (machine.now() - begin) as i64;
    match answer {
        Ok(answer) => report(machine, &args, answer, elapsed),
        Err(why) => {
            let msg = format!(
                "Status code was -1 and not {}: Request failed: {why}",
                codes(&args)
            );
            let failure = Failure::new(msg)
                .with("status", -1)
                .with("redirected", false);
            Err(failure
                .with("url", args.url.clone())
                .with("elapsed", elapsed))
        }
    }
}

fn codes(args: &Args) -> String {
    let codes: Vec<String> = args.status_code.iter().map(u16::to_string).collect();
    format!("[{}]", codes.join(", "))
}

fn send(machine: &mut dyn Machine, args: &Args) -> Result<Result<Answer, String>, Failure> {
    let method = args.method.to_uppercase();
    let mut headers = Vec::new();
    let body = match (&args.src, &args.body) {
        (Some(src), _) => machine.read(src).map_err(|error| {
            Failure::new(format!(
                "Unable to open source file {}: {error}",
                src.display()
            ))
        })?,
        (None, Some(body)) if args.body_format == BodyFormat::Multipart => {
            let (body, kind) = multipart::written(machine, body, args.remote_src)?;
            headers.push(("Content-Type".to_owned(), kind));
            body
        }
        (None, Some(body)) => written(body, args.body_format)?,
        (None, None) => Vec::new(),
    };
    let kind = match args.body_format {
        BodyFormat::Json => Some("application/json"),
        BodyFormat::Form => Some("application/x-www-form-urlencoded"),
        BodyFormat::Multipart => None,
        _ if !body.is_empty() => Some("application/x-www-form-urlencoded"),
        _ => None,
    };
    if let Some(kind) = kind.filter(|_| !body.is_empty()) {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let follow = match args.follow_redirects {
        Redirects::All | Redirects::Urllib2 => Follow::All,
        Redirects::None => Follow::None,
        Redirects::Safe => Follow::Safe,
    };
    let request = Request {
        method: &method,
        url: &args.url,
        headers,
        body,
        follow,
        timeout: args.timeout,
        user: args.url_username.as_deref(),
        roots: args.ca_path.as_deref(),
        socket: args.unix_socket.as_deref(),
    };
    Ok(http::fetch(machine, &args.http, request))
}

fn written(body: &Data, format: BodyFormat) -> Result<Vec<u8>, Failure> {
    match (format, body) {
        (BodyFormat::Json, Data::Str(text)) => Ok(text.clone().into_bytes()),
        (BodyFormat::Json, other) => Ok(other.json_text().into_bytes()),
        (BodyFormat::Form, Data::Map(map)) => {
            let mut pairs = Vec::new();
            for (name, value) in map {
                let values = value
                    .as_list()
                    .map_or_else(|| vec![value.clone()], <[Data]>::to_vec);
                pairs.extend(
                    values
                        .iter()
                        .map(|value| format!("{}={}", encoded(name), encoded(&value.text()))),
                );
            }
            Ok(pairs.join("&").into_bytes())
        }
        (BodyFormat::Form, Data::List(_)) => Err(Failure::new(
            "failed to parse body as form_urlencoded: write it as a mapping",
        )),
        (_, Data::Bytes(bytes)) => Ok(bytes.clone()),
        (_, Data::Map(_) | Data::List(_)) => Ok(body.json_text().into_bytes()),
        (_, other) => Ok(other.text().into_bytes()),
    }
}

/// Form encoding: a space is a plus.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn report(
    machine: &mut dyn Machine,
    args: &Args,
    mut answer: Answer,
    elapsed: i64,
) -> Result<Outcome, Failure> {
    let good = args.status_code.contains(&answer.status);
    let bytes = http::read_all(&mut answer.body)
        .map_err(|error| Failure::new(format!("the answer cannot be read: {error}")))?;
    let mut results = Map::new();
    let mut add = |name: &str, value: Data| results.insert(name.to_owned(), value);
    let (mut cookies, mut pairs) = (Map::new(), Vec::new());
    for (name, value) in &answer.headers {
        let key = name.to_lowercase().replace('-', "_");
        if key == "set_cookie"
            && let Some((name, value)) = value
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
        {
            cookies.insert(name.trim().to_owned(), Data::from(value));
            pairs.push(format!("{}={value}", name.trim()));
        }
        let value = match key.as_str() {
            "location" => http::joined(&answer.url, value),
            _ => value.clone(),
        };
        add(&key, Data::Str(value));
    }
    add("status", Data::Int(answer.status.into()));
    add("url", Data::from(answer.url.clone()));
    add("redirected", Data::Bool(answer.redirected));
    add("elapsed", Data::from(elapsed));
    if good && answer.status < 400 {
        add("cookies", Data::Map(cookies));
        add("cookies_string", Data::Str(pairs.join("; ")));
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let kind = answer
        .header("content-type")
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_lowercase();
    let is_json = matches!(
        kind.as_str(),
        "application/json" | "text/json" | "text/javascript" | "application/javascript"
    ) || kind.ends_with("+json");
    if is_json && let Ok(value) = json::read(&text) {
        add("json", value);
    }
    if good && answer.status >= 400 {
        add("body", Data::from(text.as_str()));
    }
    if args.return_content {
        add("content", Data::Str(text));
    }
    let msg = match answer.status {
        200..=299 => format!(
            "OK ({} bytes)",
            answer.header("content-length").unwrap_or("unknown")
        ),
        status => format!("HTTP Error {status}: {}", answer.reason),
    };
    let mut changed = false;
    if let Some(dest) = args.dest.as_ref().filter(|_| answer.status != 304) {
        let dest = match machine.stat(dest, true) {
            Ok(Some(stat)) if stat.kind == FileKind::Directory => dest.join(
                args.url
                    .split('?')
                    .next()
                    .and_then(|url| url.rsplit('/').next())
                    .unwrap_or("index.html"),
            ),
            _ => dest.clone(),
        };
        if good && machine.read(&dest).ok().as_deref() != Some(&bytes[..]) {
            let attrs = args.file.for_write(machine, None)?;
            write_text(machine, &dest, &bytes, &attrs, None)?;
            changed = true;
        }
        changed |= args.file.ensure(machine, &dest, &mut Sides::default())?;
        results.insert("path".to_owned(), Data::from(dest.display().to_string()));
        add_path_info(machine, &dest, &mut results);
    }
    if !good {
        let msg = format!(
            "Status code was {} and not {}: {msg}",
            answer.status,
            codes(args)
        );
        return Err(Failure {
            results,
            ..Failure::new(msg)
        });
    }
    Ok(Outcome {
        changed,
        results,
        ..Outcome::default()
    }
    .with("msg", msg))
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn forms() {
        assert_eq!(encoded("y z&ä"), "y+z%26%C3%A4");
    }
}
