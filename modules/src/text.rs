//! Text cut and joined as Python and the shell do it.

use std::fmt::Write as _;

/// The words of a command line, as Python's `shlex.split` finds them.
///
/// # Errors
/// A quotation or an escape is not closed.
pub fn split_words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                quoted(&mut letters, '\'', word)?;
            }
            '"' => {
                let word = word.get_or_insert_default();
                quoted(&mut letters, '"', word)?;
            }
            '\\' => {
                let escaped = letters.next().ok_or("No escaped character")?;
                word.get_or_insert_default().push(escaped);
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Takes letters up to the closing quote. A backslash is itself in single quotes; in double quotes
/// it escapes a quote or a backslash.
fn quoted(letters: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Result<(), String> {
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter == quote => return Ok(()),
            '\\' if quote == '"' => match letters.next().ok_or("No escaped character")? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
    Err("No closing quotation".to_owned())
}

/// One word for the shell, quoted where it has to be, as Python's `shlex.quote` does.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "@%+=:,./-_".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

/// Whether a name fits a shell pattern with `*`, `?` and `[...]`, as Python's `fnmatch` has it.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it covers so far.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            Some(_) if n < name.len() => one(&pattern[p..], name[n]),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => (p, n) = (p + width, n + 1),
            (None, Some((at, covered))) if covered < name.len() => {
                star = Some((at, covered + 1));
                (p, n) = (at + 1, covered + 1);
            }
            _ => return false,
        }
    }
}

/// How many letters of the pattern fit one letter of the name.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '[' => {
            let negated = usize::from(pattern.get(1) == Some(&'!'));
            let start = 1 + negated;
            // A bracket right at the beginning is a member of the set.
            let Some(end) = (start + 1..pattern.len()).find(|at| pattern[*at] == ']') else {
                return (letter == '[').then_some(1);
            };
            let (mut at, mut found) = (start, false);
            while at < end {
                if at + 2 < end && pattern[at + 1] == '-' {
                    found |= (pattern[at]..=pattern[at + 2]).contains(&letter);
                    at += 3;
                } else {
                    found |= pattern[at] == letter;
                    at += 1;
                }
            }
            (found != (negated == 1)).then_some(end + 1)
        }
        other => (other == letter).then_some(1),
    }
}

/// Whether Python writes a letter as it is: controls, formats, spaces but one, and private letters are escaped.
/// Letters that Unicode has not given out yet count as printable.
pub fn printable(letter: char) -> bool {
    !matches!(letter as u32,
        0..=0x1f | 0x7f..=0xa0 | 0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x890 | 0x891 | 0x8e2 | 0x1680
        | 0x180e | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f | 0x3000 | 0xe000..=0xf8ff | 0xfdd0..=0xfdef
        | 0xfeff | 0xfff0..=0xfffb | 0xfffe | 0xffff | 0x110bd | 0x110cd | 0x13430..=0x1343f | 0x1bca0..=0x1bca3
        | 0x1d173..=0x1d17a | 0xe0000..=0xe00ff | 0xe01f0..=0x0010_ffff)
}

/// A string literal as Python writes it.
pub fn python_string(out: &mut String, text: &str) {
    let mark = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            c if printable(c) => out.push(c),
            c => {
                let _ = match c as u32 {
                    code @ 0..=0xff => write!(out, "\\x{code:02x}"),
                    code @ 0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(mark);
}

/// Writes text as JSON, as Python's `json.dumps` does; with `ascii` everything beyond it is escaped.
pub fn json_string(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if letter < ' ' || (ascii && letter > '~') => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

/// A float as Python's `repr` writes it: the shortest digits that read back as the same number.
#[must_use]
pub fn float(number: f64) -> String {
    if !number.is_finite() {
        return format!("{number}").to_lowercase();
    }
    if number != 0.0 && !(1e-4..1e16).contains(&number.abs()) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent
            .strip_prefix('-')
            .map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = format!("{number}");
    if text.contains('.') {
        text
    } else {
        text + ".0"
    }
}

/// The lines of a text, as Python's `str.splitlines` finds them.
#[must_use]
pub fn lines(text: &str) -> Vec<String> {
    const ENDS: [char; 10] = [
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ENDS) {
        lines.push(rest[..at].to_owned());
        let end = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(1, char::len_utf8)
        };
        rest = &rest[at + end..];
    }
    if !rest.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// A text with its `%XX` read; what is no such number stays.
#[must_use]
pub fn unpercent(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = text
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit() {
        assert!(fits("*.log", "a.log") && !fits("*.log", "a.log.1"));
        assert!(fits("a?c*e", "abcde") && fits("*", ""));
        assert!(fits("[a-c]x[!0-9]", "bxz") && !fits("[a-c]x[!0-9]", "bx1"));
        assert!(fits("[]]", "]") && fits("[x", "[x"));
    }

    #[test]
    fn words() {
        assert_eq!(
            split_words("visudo -cf '%s' \"a b\" c\\ d ''").unwrap(),
            ["visudo", "-cf", "%s", "a b", "c d", ""]
        );
        assert_eq!(
            split_words("  echo \"a b\" 'c\\d' e\\ f \"x\\\"\\n\" '' ").unwrap(),
            ["echo", "a b", "c\\d", "e f", "x\"\\n", ""]
        );
        assert_eq!(split_words("a 'b").unwrap_err(), "No closing quotation");
        assert_eq!(
            ["a b", "", "it's", "-x=1"].map(quote),
            ["'a b'", "''", "'it'\"'\"'s'", "-x=1"]
        );
    }

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("*", ""),
            ("a*b*c", "aXbYbc"),
            ("?[a-c]!", "xb!"),
            ("[!a]", "b"),
            ("[]]", "]"),
            ("[", "["),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", ""),
            ("a*c", "ab"),
            ("[!a]", "a"),
            ("?", ""),
            ("*.py", "a.pyc"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn line_ends() {
        assert_eq!(
            lines("a\r\nb\rc\u{2028}d\n\ne"),
            ["a", "b", "c", "d", "", "e"]
        );
        assert_eq!(lines("a\n"), ["a"]);
        assert!(lines("").is_empty());
    }
}
