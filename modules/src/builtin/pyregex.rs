//! Replacements with groups, as Python's `re.sub` fills them.

use crate::regex::Captures;

/// Fills the groups of a match into a replacement: `\1`, `\g<1>`, `\g<name>`, `\n` ...
pub(crate) fn expand(template: &str, captures: &Captures<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (piece, left) = escape(rest, captures)?;
        out.push_str(&piece);
        rest = left;
    }
    out.push_str(rest);
    Ok(out)
}

fn escape<'a>(rest: &'a str, captures: &Captures<'_>) -> Result<(String, &'a str), String> {
    let number = |text: &str| -> Result<String, String> {
        let index: usize = text
            .parse()
            .map_err(|_| format!("invalid group reference {text}"))?;
        if index >= captures.len() {
            return Err(format!("invalid group reference {index}"));
        }
        Ok(captures.get(index).unwrap_or_default().to_owned())
    };
    if let Some((name, left)) = rest
        .strip_prefix("g<")
        .and_then(|inner| inner.split_once('>'))
    {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok((number(name)?, left));
        }
        let index = captures
            .number(name)
            .ok_or_else(|| format!("unknown group name '{name}'"))?;
        return Ok((captures.get(index).unwrap_or_default().to_owned(), left));
    }
    let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
    if digits > 0 && !rest.starts_with('0') {
        return Ok((number(&rest[..digits])?, &rest[digits..]));
    }
    let mut letters = rest.chars();
    let piece = match letters.next() {
        Some('n') => "\n".to_owned(),
        Some('t') => "\t".to_owned(),
        Some('r') => "\r".to_owned(),
        Some('\\') => "\\".to_owned(),
        Some('0') => "\0".to_owned(),
        Some(letter) if letter.is_ascii_alphabetic() => {
            return Err(format!("bad escape \\{letter}"));
        }
        Some(letter) => format!("\\{letter}"),
        None => "\\".to_owned(),
    };
    Ok((piece, letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::{Flags, Regex};

    #[test]
    fn replacements() {
        let regex = Regex::new(r"^(?P<k>b)=(.*)\Z", Flags::default()).unwrap();
        let captures = regex.captures("b=2").unwrap().unwrap();
        assert_eq!(expand(r"\1=\g<2>0\g<k>\n", &captures).unwrap(), "b=20b\n");
        assert!(expand(r"\7", &captures).is_err());
    }
}
