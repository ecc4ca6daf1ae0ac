//! How much a template may make: what is larger is an error of the template, not the end of the program.

/// Bytes of one text.
const TEXT: usize = 100_000_000;

/// Items of one list.
const ITEMS: usize = 4_000_000;

/// Digits after a point; a format can have some more.
pub(crate) const DIGITS: usize = 10_000;

/// How often the bodies of all loops of a template run together; tests have no time for that many.
pub(crate) const ROUNDS: usize = if cfg!(test) { 200_000 } else { 10_000_000 };

/// Whether a text of so many bytes may be made.
pub(crate) fn text(length: usize) -> Result<(), String> {
    if length > TEXT {
        return Err(format!("the text would be longer than {TEXT} bytes"));
    }
    Ok(())
}

/// Whether a list of so many items may be made.
pub(crate) fn items(count: usize) -> Result<(), String> {
    if count > ITEMS {
        return Err(format!("the list would have more than {ITEMS} items"));
    }
    Ok(())
}

/// A text several times.
pub(crate) fn repeat(part: &str, count: usize) -> Result<String, String> {
    text(part.len().saturating_mul(count))?;
    Ok(part.repeat(count))
}

/// A text with one part replaced, at most so many times.
pub(crate) fn replace(
    whole: &str,
    from: &str,
    to: &str,
    most: Option<usize>,
) -> Result<String, String> {
    let found = whole.matches(from).count().min(most.unwrap_or(usize::MAX));
    text(whole.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(whole.replacen(from, to, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_refused_before_it_is_made() {
        assert_eq!(repeat("ab", 2), Ok("abab".to_owned()));
        assert!(repeat("ab", usize::MAX).is_err());
        assert!(items(usize::MAX).is_err());
        assert_eq!(replace("aaa", "a", "b", Some(2)), Ok("bba".to_owned()));
        assert_eq!(replace("ab", "", "-", None), Ok("-a-b-".to_owned()));
        let long = "a".repeat(20_000);
        assert!(replace(&long, "a", &long, None).is_err());
    }
}
