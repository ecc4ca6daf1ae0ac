//! JSON as Python's reader takes it: `NaN` and infinities are numbers, and a mistake is told in
//! Python's words with its place.
//!
//! The one reader on a target: serde_json with a typed reader for every document costs the agent
//! 57 KiB. The controller reads with serde_json first, which is faster, and asks here for what that
//! refuses.

use crate::data::{Data, Map};

/// How deep lists and objects may nest.
const DEPTH: usize = 500;

/// Reads a document.
///
/// # Errors
/// What is wrong and where, as Python says it: `Expecting value: line 1 column 4 (char 3)`.
pub fn read(text: &str) -> Result<Data, String> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("Extra data", reader.at));
    }
    Ok(value)
}

/// Reads a document from bytes.
///
/// # Errors
/// As [`read`], and for bytes that are not UTF-8.
pub fn read_bytes(bytes: &[u8]) -> Result<Data, String> {
    read(std::str::from_utf8(bytes).map_err(|error| error.to_string())?)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at += rest.len() - trimmed.len();
    }

    fn error(&self, what: &str, at: usize) -> String {
        let before = &self.text[..at.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        format!(
            "{what}: line {line} column {column} (char {})",
            before.chars().count()
        )
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len();
        }
        found
    }

    fn value(&mut self, depth: usize) -> Result<Data, String> {
        const WORDS: [(&str, Data); 6] = [
            ("null", Data::Null),
            ("true", Data::Bool(true)),
            ("false", Data::Bool(false)),
            ("NaN", Data::Float(f64::NAN)),
            ("Infinity", Data::Float(f64::INFINITY)),
            ("-Infinity", Data::Float(f64::NEG_INFINITY)),
        ];
        if depth > DEPTH {
            return Err(self.error("Too many levels", self.at));
        }
        match self.rest().bytes().next() {
            Some(b'"') => self.string().map(Data::Str),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            _ => {
                let word = WORDS.into_iter().find(|(word, _)| self.take(word));
                let value = word.map(|(_, value)| value).or_else(|| self.number());
                value.ok_or_else(|| self.error("Expecting value", self.at))
            }
        }
    }

    /// The longest beginning that is a number; what follows is told by the caller.
    fn number(&mut self) -> Option<Data> {
        let rest = &self.text[self.at..];
        let bytes = rest.as_bytes();
        let digits = |from: usize| {
            let after = bytes.iter().skip(from);
            after.take_while(|byte| byte.is_ascii_digit()).count()
        };
        let mut end = usize::from(bytes.first() == Some(&b'-'));
        end += match bytes.get(end) {
            Some(b'0') => 1,
            _ => digits(end),
        };
        if !bytes[..end].last()?.is_ascii_digit() {
            return None;
        }
        let whole = end;
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            if digits(end + 1 + sign) > 0 {
                end += 1 + sign + digits(end + 1 + sign);
            }
        }
        self.at += end;
        let text = &rest[..end];
        let integer = text.parse().ok().filter(|_| end == whole).map(Data::Int);
        integer.or_else(|| text.parse().ok().map(Data::Float))
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        let unterminated = |reader: &Self| reader.error("Unterminated string starting at", start);
        let mut out = String::new();
        self.at += 1;
        loop {
            let rest = self.rest();
            let Some(plain) = rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ') else {
                return Err(unterminated(self));
            };
            let sign = rest.as_bytes()[plain];
            out.push_str(&rest[..plain]);
            let at = self.at + plain;
            self.at = at + 1;
            match sign {
                b'"' => return Ok(out),
                b'\\' => {}
                _ => return Err(self.error("Invalid control character at", at)),
            }
            let letter = match self.rest().chars().next() {
                None => return Err(unterminated(self)),
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('u') => {
                    self.at += 1;
                    out.push(self.unicode()?);
                    continue;
                }
                Some(same @ ('"' | '\\' | '/')) => same,
                Some(_) => return Err(self.error("Invalid \\escape", at)),
            };
            out.push(letter);
            self.at += 1;
        }
    }

    /// The letter after `\u`. Half of a pair, which Python keeps, is no text here: it is told.
    fn unicode(&mut self) -> Result<char, String> {
        let start = self.at;
        let first = self.unit();
        let units = match first {
            Some(0xd800..=0xdbff) if self.take("\\u") => [first, self.unit()],
            _ => [first, None],
        };
        let mut letters = char::decode_utf16(units.into_iter().flatten());
        match letters.next() {
            Some(Ok(letter)) if letters.next().is_none() => Ok(letter),
            _ => Err(self.error("Invalid \\uXXXX escape", start - 1)),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4)?;
        let sign = digits.starts_with('+');
        let unit = u16::from_str_radix(digits, 16).ok().filter(|_| !sign);
        self.at += 4;
        unit
    }

    fn list(&mut self, depth: usize) -> Result<Data, String> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.take("]") {
            return Ok(Data::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.ends("]", "array")? {
                return Ok(Data::List(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Data, String> {
        let mut entries = Map::new();
        self.at += 1;
        self.space();
        if self.take("}") {
            return Ok(Data::Map(entries));
        }
        loop {
            if !self.rest().starts_with('"') {
                let what = "Expecting property name enclosed in double quotes";
                return Err(self.error(what, self.at));
            }
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(self.error("Expecting ':' delimiter", self.at));
            }
            self.space();
            entries.insert(key, self.value(depth + 1)?);
            if self.ends("}", "object")? {
                return Ok(Data::Map(entries));
            }
        }
    }

    /// Whether the closing sign follows; otherwise a comma, and what comes after it, must.
    fn ends(&mut self, sign: &str, what: &str) -> Result<bool, String> {
        self.space();
        if self.take(sign) {
            return Ok(true);
        }
        let comma = self.at;
        if !self.take(",") {
            return Err(self.error("Expecting ',' delimiter", comma));
        }
        self.space();
        if self.rest().starts_with(sign) {
            return Err(self.error(
                &format!("Illegal trailing comma before end of {what}"),
                comma,
            ));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn documents_are_read_as_python_reads_them() {
        let text = r#" {"a": [1, -0, 1.0, 1e3, 123456789012345678901],
            "b": {"c": null, "d": true}, "e": "\u00e9\ud83d\ude00\"\/\n", "a": [-2.5E-1, 1E400]} "#;
        let expected = map! {
            "a" => vec![Data::Float(-0.25), Data::Float(f64::INFINITY)],
            "b" => map! { "c" => Data::Null, "d" => true },
            "e" => "é😀\"/\n",
        };
        assert_eq!(read(text), Ok(Data::Map(expected)));
        assert_eq!(
            read("[1, -0, 1.0, 123456789012345678901, -Infinity]"),
            Ok(Data::List(vec![
                Data::Int(1),
                Data::Int(0),
                Data::Float(1.0),
                Data::Int(123_456_789_012_345_678_901),
                Data::Float(f64::NEG_INFINITY),
            ]))
        );
        assert!(matches!(read("NaN"), Ok(Data::Float(number)) if number.is_nan()));
        assert!(read_bytes(b"\"\xff\"").is_err());
    }

    #[test]
    fn mistakes_are_told_in_pythons_words() {
        for (text, message) in [
            (r#""a\xb""#, r"Invalid \escape: line 1 column 3 (char 2)"),
            (
                r#""a\u12""#,
                r"Invalid \uXXXX escape: line 1 column 4 (char 3)",
            ),
            (
                r#""a\u+123""#,
                r"Invalid \uXXXX escape: line 1 column 4 (char 3)",
            ),
            (
                r#""a\u"#,
                r"Invalid \uXXXX escape: line 1 column 4 (char 3)",
            ),
            (
                r#""\ud800""#,
                r"Invalid \uXXXX escape: line 1 column 3 (char 2)",
            ),
            (
                r#""a\"#,
                "Unterminated string starting at: line 1 column 1 (char 0)",
            ),
            (
                "\"a\u{1}b\"",
                "Invalid control character at: line 1 column 3 (char 2)",
            ),
            (
                "[1,]",
                "Illegal trailing comma before end of array: line 1 column 3 (char 2)",
            ),
            (
                "{\"a\" 1}",
                "Expecting ':' delimiter: line 1 column 6 (char 5)",
            ),
            (
                "{a:1}",
                "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
            ),
            (
                "{\"a\":1",
                "Expecting ',' delimiter: line 1 column 7 (char 6)",
            ),
            ("", "Expecting value: line 1 column 1 (char 0)"),
            ("-NaN", "Expecting value: line 1 column 1 (char 0)"),
            ("01", "Extra data: line 1 column 2 (char 1)"),
            ("1.e5", "Extra data: line 1 column 2 (char 1)"),
            ("\n 1e", "Extra data: line 2 column 3 (char 3)"),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err_and(|error| error.starts_with("Too many levels")));
    }
}
