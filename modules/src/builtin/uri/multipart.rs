//! A body of several parts, as web forms send files.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::Machine;
use rplay_modules::machine::attrs::os_error;
use rplay_modules::outcome::Failure;

/// The kinds of files that everybody knows by their ending.
const KINDS: &[(&str, &str)] = &[
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("py", "text/x-python"),
    ("sh", "application/x-sh"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("txt", "text/plain"),
    ("xml", "text/xml"),
    ("zip", "application/zip"),
];

/// The body and its type. Files are read where `remote` says that they are the machine's own.
pub(super) fn written(
    machine: &mut dyn Machine,
    body: &Data,
    remote: bool,
) -> Result<(Vec<u8>, String), Failure> {
    let Some(fields) = body.as_map() else {
        let kind = body.type_name();
        return Err(Failure::new(format!(
            "body must be mapping, cannot be type {kind}"
        )));
    };
    let mut fields: Vec<(&String, &Data)> = fields.iter().collect();
    crate::order::sort_by(&mut fields, |one, other| one.0.cmp(other.0));
    let mut parts = Vec::new();
    for (name, value) in fields {
        parts.push(part(machine, name, value, remote)?);
    }
    let boundary = boundary(machine, &parts);
    let mut text = Vec::new();
    for part in &parts {
        text.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        text.extend_from_slice(part);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((
        text,
        format!("multipart/form-data; boundary=\"{boundary}\""),
    ))
}

/// One field with its headers.
fn part(
    machine: &mut dyn Machine,
    name: &str,
    value: &Data,
    remote: bool,
) -> Result<Vec<u8>, Failure> {
    if let Some(text) = value.as_str() {
        return Ok(assembled(name, None, "text/plain", None, text.as_bytes()));
    }
    let problem =
        |text: String| Failure::new(format!("failed to parse body as form-multipart: {text}"));
    let Some(field) = value.as_map() else {
        let kind = value.type_name();
        return Err(problem(format!(
            "value must be a string, or mapping, cannot be type {kind}"
        )));
    };
    let (path, content) = (text(field, "filename"), text(field, "content"));
    let file = path.as_deref().and_then(|path| Path::new(path).file_name());
    let file = file.map(|name| name.to_string_lossy().into_owned());
    let known = file
        .as_deref()
        .and_then(kind_of)
        .unwrap_or("application/octet-stream");
    let kind = text(field, "mime_type").unwrap_or_else(|| known.to_owned());
    let kind = if kind.contains('/') {
        kind
    } else {
        format!("{kind}/")
    };
    match (content, path) {
        (Some(content), _) => {
            let content = content.as_bytes();
            Ok(assembled(name, file.as_deref(), &kind, None, content))
        }
        (None, Some(_)) if !remote => Err(Failure::new(
            "a file of the controller in a form is not supported yet; set `remote_src: true` or give `content` with a lookup",
        )),
        (None, Some(path)) => {
            let path = Path::new(&path);
            let bytes = machine.read(path);
            let bytes = bytes.map_err(|error| problem(os_error(&error, path)))?;
            let (encoding, bytes) = match text(field, "multipart_encoding").as_deref() {
                None | Some("base64") => ("base64", wrapped(&bytes)),
                Some("7or8bit") if bytes.is_ascii() => ("7bit", with_crlf(&bytes)),
                Some("7or8bit") => ("8bit", with_crlf(&bytes)),
                Some(other) => {
                    return Err(problem(format!(
                        "multipart_encoding must be one of base64, 7or8bit, got {other}"
                    )));
                }
            };
            Ok(assembled(
                name,
                file.as_deref(),
                &kind,
                Some(encoding),
                &bytes,
            ))
        }
        (None, None) => Err(problem(
            "at least one of filename or content must be provided".to_owned(),
        )),
    }
}

fn text(field: &Map, name: &str) -> Option<String> {
    let value = field.get(name).filter(|value| **value != Data::Null);
    value.map(Data::text)
}

pub(crate) fn kind_of(file: &str) -> Option<&'static str> {
    let ending = file.rsplit_once('.')?.1.to_lowercase();
    let found = KINDS.iter().find(|(known, _)| *known == ending);
    found.map(|(_, kind)| *kind)
}

fn assembled(
    name: &str,
    file: Option<&str>,
    kind: &str,
    encoding: Option<&str>,
    content: &[u8],
) -> Vec<u8> {
    let mut text = String::new();
    if let Some(encoding) = encoding {
        text.push_str(&format!("Content-Transfer-Encoding: {encoding}\r\n"));
    }
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let name = quoted(name);
    text.push_str(&format!(
        "Content-Type: {kind}\r\nContent-Disposition: form-data; name=\"{name}\""
    ));
    if let Some(file) = file {
        text.push_str(&format!("; filename=\"{}\"", quoted(file)));
    }
    text.push_str("\r\n\r\n");
    let mut text = text.into_bytes();
    text.extend_from_slice(content);
    text
}

/// Lines with the ends that they have in mail.
fn with_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if *byte == b'\n' && lines.last() != Some(&b'\r') {
            lines.push(b'\r');
        }
        lines.push(*byte);
    }
    lines
}

/// Base64 in lines, as mail has it.
pub(crate) fn wrapped(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for chunk in bytes.chunks(57) {
        lines.extend_from_slice(BASE64.encode(chunk).as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// A line that is in none of the parts.
fn boundary(machine: &mut dyn Machine, parts: &[Vec<u8>]) -> String {
    let mut number = machine.now().to_bits();
    loop {
        let line = format!("==============={number:019}==");
        let taken = |part: &Vec<u8>| part.windows(line.len()).any(|at| at == line.as_bytes());
        if !parts.iter().any(taken) {
            return line;
        }
        number = number.wrapping_add(1);
    }
}
