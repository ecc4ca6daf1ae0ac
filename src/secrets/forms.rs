//! The forms in which a secret turns up in other texts: escaped, quoted, encoded.
//!
//! Not covered, because there is no end to it: changed case, reversed or cut text, hashes,
//! compression, and encodings of encodings.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A piece of base64 shorter than this is found in ordinary text by chance.
const ENCODED: usize = 8;

/// Every other form of a secret.
pub(super) fn of(secret: &str) -> Vec<String> {
    let json = json(secret, false);
    let mut forms = vec![
        json.replace('/', "\\/"),
        json,
        self::json(secret, true),
        python(secret),
        secret.replace('\'', "''"),
        secret.replace('\'', "'\\''"),
        secret.replace('\'', "'\"'\"'"),
        secret.replace('\n', "\r\n"),
        percent(secret, b"/", "%20"),
        percent(secret, b"", "%20"),
        percent(secret, b"", "+"),
        html(secret),
    ];
    forms.extend(base64(secret.as_bytes()));
    forms.retain(|form| form != secret);
    forms
}

/// As JSON writes it between its quotes; `ascii` as Python's `json.dumps` does.
fn json(text: &str, ascii: bool) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inner = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if !ascii {
        return inner.to_owned();
    }
    let mut escaped = String::new();
    for letter in inner.chars() {
        if letter.is_ascii() {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// As Python's `repr` writes it in single quotes.
fn python(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\'', "\\'")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t")
}

/// As addresses and forms have it.
fn percent(text: &str, safe: &[u8], space: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push_str(space),
            _ if byte.is_ascii_alphanumeric()
                || b"-_.~".contains(&byte)
                || safe.contains(&byte) =>
            {
                out.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

/// What base64 makes of it within a longer text: three bytes become four letters, so it may begin
/// at three places. Letters that also depend on what stands around it are left out.
fn base64(secret: &[u8]) -> Vec<String> {
    let mut forms = vec![STANDARD.encode(secret)];
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret);
        let first = (before * 8).div_ceil(6);
        let end = bytes.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            forms.extend(text.get(first..end).map(str::to_owned));
        }
    }
    forms.retain(|form| form.len() >= ENCODED);
    forms
}

/// The bytes that base64 stands for; nothing for other text.
pub(super) fn unbase64(text: &str) -> Vec<u8> {
    STANDARD.decode(text.trim()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::Secrets;
    use super::*;

    #[test]
    fn every_form_is_found() {
        let secret = "pä'ss \"w/rd\"\\<1>";
        let all = Secrets::default();
        all.add(secret);
        for encoded in [
            serde_json::to_string(secret).unwrap(),
            json(secret, true),
            format!("'{}'", python(secret)),
            format!("'{}'", secret.replace('\'', "''")),
            format!("'{}'", secret.replace('\'', "'\"'\"'")),
            percent(secret, b"", "+"),
            percent(secret, b"/", "%20"),
            html(secret),
            STANDARD.encode(secret),
            STANDARD.encode(format!("user:{secret}")),
            STANDARD.encode(format!("u:{secret}:tail")),
            STANDARD.encode(format!("{secret}\n")),
            URL_SAFE_NO_PAD.encode(format!("xyz{secret}")),
        ] {
            assert!(all.text(&encoded).contains("********"), "{encoded}");
        }
    }
}
