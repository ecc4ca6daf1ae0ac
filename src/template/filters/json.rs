//! JSON as Python's reader takes it, for what the fast reader refuses: `NaN`, and mistakes in Python's words.

use super::super::value::{Entries, Key, Value};

/// How deep lists and objects may nest.
const DEPTH: usize = 500;

/// Reads a text; the message of a mistake ends with its place.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("Extra data", reader.at));
    }
    Ok(value)
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

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        const WORDS: [(&str, Value); 6] = [
            ("null", Value::None),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        if depth > DEPTH {
            return Err(self.error("Too many levels", self.at));
        }
        for (word, value) in WORDS {
            if self.take(word) {
                return Ok(value);
            }
        }
        let start = self.at;
        match self.rest().chars().next() {
            Some('"') => self.string().map(Value::from),
            Some('[') => self.list(depth),
            Some('{') => self.object(depth),
            Some(c) if c == '-' || c.is_ascii_digit() => {
                let rest = self.rest();
                let end = rest
                    .find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c))
                    .unwrap_or(rest.len());
                // The longest beginning that is a number counts; what follows is told by the caller.
                for length in (1..=end).rev() {
                    if let Ok(json) = serde_json::from_str(&rest[..length]) {
                        self.at += length;
                        return Ok(super::encode::from_serde(&json));
                    }
                }
                Err(self.error("Expecting value", start))
            }
            _ => Err(self.error("Expecting value", start)),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        let mut escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == '"' {
                let written = &self.text[start..=start + at];
                self.at += at + 1;
                return serde_json::from_str(written)
                    .map_err(|_| self.error("Invalid \\escape", start));
            } else if (c as u32) < 0x20 {
                return Err(self.error("Invalid control character at", start + at));
            }
        }
        Err(self.error("Unterminated string starting at", start))
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.take("]") {
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Value::list(items));
            }
            let comma = self.at;
            if !self.take(",") {
                return Err(self.error("Expecting ',' delimiter", comma));
            }
            self.space();
            if self.rest().starts_with(']') {
                return Err(self.error("Illegal trailing comma before end of array", comma));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let mut entries = Entries::new();
        self.at += 1;
        self.space();
        if self.take("}") {
            return Ok(Value::dict(entries));
        }
        loop {
            if !self.rest().starts_with('"') {
                return Err(
                    self.error("Expecting property name enclosed in double quotes", self.at)
                );
            }
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(self.error("Expecting ':' delimiter", self.at));
            }
            self.space();
            let value = self.value(depth + 1)?;
            entries.insert(Key::from(key), value);
            self.space();
            if self.take("}") {
                return Ok(Value::dict(entries));
            }
            let comma = self.at;
            if !self.take(",") {
                return Err(self.error("Expecting ',' delimiter", comma));
            }
            self.space();
            if self.rest().starts_with('}') {
                return Err(self.error("Illegal trailing comma before end of object", comma));
            }
        }
    }
}
