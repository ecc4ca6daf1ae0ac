//! Text of files in the encodings that lookups are told.

use super::super::fault::Fault;
use super::super::value::Value;

/// The text that bytes are in an encoding.
pub(super) fn decoded(bytes: &[u8], encoding: &str) -> Result<String, Fault> {
    match encoding.to_lowercase().replace('_', "-").as_str() {
        "utf-8" | "utf8" | "u8" => utf8(bytes),
        "utf-8-sig" => utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
        "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "l1" => {
            Ok(bytes.iter().copied().map(char::from).collect())
        }
        "ascii" | "us-ascii" => match bytes.iter().position(|byte| !byte.is_ascii()) {
            None => utf8(bytes),
            Some(at) => Err(Fault::new(format!(
                "'ascii' codec can't decode byte {:#04x} in position {at}: ordinal not in range(128)",
                bytes[at]
            ))),
        },
        "utf-16" | "utf-32" | "cp1252" | "windows-1252" | "cp437" | "iso-8859-15" | "cp850" => {
            Err(Fault::new(format!(
                "rplay does not read the encoding {}",
                Value::str(encoding).repr()
            )))
        }
        _ => Err(Fault::new(format!("unknown encoding: {encoding}"))),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Fault> {
    let problem = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.to_owned()),
        Err(problem) => problem,
    };
    let at = problem.valid_up_to();
    let byte = bytes.get(at).copied().unwrap_or_default();
    let why = match problem.error_len() {
        None => "unexpected end of data",
        Some(_) if (0x80..0xc2).contains(&byte) || byte > 0xf4 => "invalid start byte",
        Some(_) => "invalid continuation byte",
    };
    Err(Fault::new(format!(
        "'utf-8' codec can't decode byte {byte:#04x} in position {at}: {why}"
    )))
}
