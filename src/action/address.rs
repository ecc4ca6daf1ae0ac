//! Addresses of requests, put together from words that may hold anything.

/// A word of an address, with everything escaped that has a meaning there.
pub(crate) fn escaped(word: &str) -> String {
    escaped_but(word, b"")
}

/// The same; these signs stay as they are.
pub(crate) fn escaped_but(word: &str, kept: &[u8]) -> String {
    let stays =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || kept.contains(byte);
    let one = |byte: u8| match stays(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    word.bytes().map(one).collect()
}

/// A path with a query of these parts.
pub(super) fn with_query(path: &str, parts: &[(&str, String)]) -> String {
    let parts = parts.iter();
    let parts: Vec<String> = parts
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    match parts.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", parts.join("&")),
    }
}
