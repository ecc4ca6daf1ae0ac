//! Replacements with groups, as Python's `re.sub` fills them.

use super::{Captures, Regex};

impl Regex {
    /// The text with the first `most` matches replaced (0: all), and how many there were.
    ///
    /// # Errors
    /// What is wrong with the replacement, in Python's words; or the search takes too long.
    pub fn replace(
        &self,
        text: &str,
        template: &str,
        most: usize,
    ) -> Result<(String, usize), String> {
        let (mut out, mut last, mut count) = (String::new(), 0, 0);
        for captures in self.all(text).map_err(|error| error.to_string())? {
            let Some(whole) = captures.range(0) else {
                continue;
            };
            out.push_str(&text[last..whole.start]);
            out.push_str(&captures.expand(template)?);
            last = whole.end;
            count += 1;
            if count == most {
                break;
            }
        }
        out.push_str(&text[last..]);
        Ok((out, count))
    }
}

impl Captures<'_> {
    /// Fills the groups into a replacement: `\1`, `\g<1>`, `\g<name>`, `\n` ...
    ///
    /// # Errors
    /// What is wrong with the replacement, in Python's words.
    pub fn expand(&self, template: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let before = &template[..template.len() - rest.len()];
            let (piece, left) = self.escape(rest, before.chars().count())?;
            out.push_str(&piece);
            rest = left;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// What stands for an escape whose backslash is the letter before `place`, and what follows it.
    fn escape<'a>(&self, rest: &'a str, place: usize) -> Result<(String, &'a str), String> {
        let number = |text: &str, place: usize| -> Result<String, String> {
            let index = text.parse().ok().filter(|index| *index < self.len());
            let index = index
                .ok_or_else(|| format!("invalid group reference {text} at position {place}"))?;
            Ok(self.get(index).unwrap_or_default().to_owned())
        };
        if let Some((name, left)) = rest
            .strip_prefix("g<")
            .and_then(|inner| inner.split_once('>'))
        {
            if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
                return Ok((number(name, place + 2)?, left));
            }
            let index = self
                .number(name)
                .ok_or_else(|| format!("unknown group name '{name}'"))?;
            return Ok((self.get(index).unwrap_or_default().to_owned(), left));
        }
        let digits = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if digits > 0 && !rest.starts_with('0') {
            return Ok((number(&rest[..digits], place)?, &rest[digits..]));
        }
        let mut letters = rest.chars();
        let piece = match letters.next() {
            Some('n') => "\n".to_owned(),
            Some('t') => "\t".to_owned(),
            Some('r') => "\r".to_owned(),
            Some('a') => "\u{7}".to_owned(),
            Some('b') => "\u{8}".to_owned(),
            Some('f') => "\u{c}".to_owned(),
            Some('v') => "\u{b}".to_owned(),
            Some('\\') => "\\".to_owned(),
            Some('0') => "\0".to_owned(),
            Some(letter) if letter.is_ascii_alphabetic() => {
                return Err(format!("bad escape \\{letter} at position {}", place - 1));
            }
            Some(letter) => format!("\\{letter}"),
            None => {
                return Err(format!(
                    "bad escape (end of pattern) at position {}",
                    place - 1
                ));
            }
        };
        Ok((piece, letters.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use crate::regex::{Flags, Regex};

    #[test]
    fn replacements() {
        let regex = Regex::new(r"^(?P<k>b)=(.*)\Z", Flags::default()).unwrap();
        let captures = regex.captures("b=2").unwrap().unwrap();
        assert_eq!(captures.expand(r"\1=\g<2>0\g<k>\n").unwrap(), "b=20b\n");
        assert_eq!(
            captures.expand(r"x\7").unwrap_err(),
            "invalid group reference 7 at position 2"
        );
        let lines = Regex::new(
            r"^a=(\d)$",
            Flags {
                multi_line: true,
                ..Flags::default()
            },
        )
        .unwrap();
        assert_eq!(
            lines.replace("a=1\na=2\n", r"b=\1", 0).unwrap(),
            ("b=1\nb=2\n".to_owned(), 2)
        );
        assert_eq!(
            lines.replace("a=1\na=2\n", "", 1).unwrap(),
            ("\na=2\n".to_owned(), 1)
        );
    }
}
