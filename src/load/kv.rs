//! Arguments as text: `src=a dest="b c"`, split as Ansible splits them.

use std::fmt;

/// Options that command modules take out of their text; other `k=v` words belong to the command.
const COMMAND_OPTIONS: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "warn",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
];

/// A text split into options and the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// `k=v` words in order; a repeated name keeps its first place and its last value.
    pub options: Vec<(String, Word)>,
    /// The words without `=`, with the space between them.
    pub free_form: Option<String>,
}

/// The value of an option and where its word stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without quotes and escapes.
    pub value: String,
    /// First byte of the word.
    pub start: usize,
    /// One past its last byte.
    pub end: usize,
}

impl Parsed {
    /// The value of an option.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.options
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, word)| word.value.as_str())
    }

    fn set(&mut self, name: String, word: Word) {
        match self.options.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = word,
            None => self.options.push((name, word)),
        }
    }
}

/// A quote or a template block does not end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbalanced(String);

impl fmt::Display for Unbalanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed at splitting arguments, either an unbalanced jinja2 block or quotes: {}",
            self.0
        )
    }
}

impl std::error::Error for Unbalanced {}

/// The options and the rest of a text. For a command only the few options of command modules count.
pub fn parse_kv(text: &str, command: bool) -> Result<Parsed, Unbalanced> {
    let mut parsed = Parsed::default();
    let mut rest: Vec<String> = vec![];
    for piece in split(text)? {
        match option(&decode_escapes(&piece.text)) {
            Some((name, value)) if !command || COMMAND_OPTIONS.contains(&name.as_str()) => {
                parsed.set(
                    name,
                    Word {
                        value: unquote(value.trim()).to_owned(),
                        start: piece.start,
                        end: piece.end,
                    },
                );
            }
            Some(_) => rest.push(piece.text),
            None => rest.push(piece.text.replace("\\=", "=")),
        }
    }
    if rest.iter().any(|word| !word.trim().is_empty()) {
        parsed.free_form = Some(join(&rest));
    }
    Ok(parsed)
}

/// Name and value around the first `=` without a backslash; a word cannot begin with `=`.
fn option(word: &str) -> Option<(String, String)> {
    let at = word
        .match_indices('=')
        .map(|(at, _)| at)
        .find(|at| !word[..*at].ends_with('\\'))?;
    (at > 0).then(|| (word[..at].trim().to_owned(), word[at + 1..].to_owned()))
}

/// The text without a pair of quotes around all of it.
#[must_use]
pub fn unquote(text: &str) -> &str {
    let quoted = |quote: char| {
        text.len() > 1
            && text.starts_with(quote)
            && text.ends_with(quote)
            && !text.ends_with(['\\'])
    };
    let escaped = text.len() > 2 && text.as_bytes()[text.len() - 2] == b'\\';
    if (quoted('"') || quoted('\'')) && !escaped {
        &text[1..text.len() - 1]
    } else {
        text
    }
}

struct Piece {
    text: String,
    start: usize,
    end: usize,
}

/// Splits at blanks outside of quotes and template blocks. Further blanks stay with the word before
/// them and line ends with the word they follow, so that joining gives the text back.
fn split(text: &str) -> Result<Vec<Piece>, Unbalanced> {
    let mut pieces = Pieces::default();
    let mut state = State::default();
    let bytes = text.as_bytes();
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        if state.is_open() || !matches!(bytes[at], b' ' | b'\n') {
            at += state.step(bytes, at);
            continue;
        }
        pieces.word(&text[start..at], start, bytes[at] == b'\n');
        at += 1;
        start = at;
    }
    if state.is_open() {
        return Err(Unbalanced(text.to_owned()));
    }
    pieces.word(&text[start..], start, false);
    Ok(pieces.done)
}

struct Pieces {
    done: Vec<Piece>,
    /// The next word is the first of its line.
    line_start: bool,
    /// The line before ended in a backslash of its own.
    continued: bool,
}

impl Default for Pieces {
    fn default() -> Self {
        Self {
            done: vec![],
            line_start: true,
            continued: false,
        }
    }
}

impl Pieces {
    fn word(&mut self, word: &str, start: usize, ends_line: bool) {
        if word == "\\" && ends_line {
            (self.line_start, self.continued) = (true, true);
            return;
        }
        match self.done.last_mut() {
            Some(last) if word.is_empty() && !self.line_start => last.text.push(' '),
            _ if word.is_empty() && self.continued => {}
            _ => self.done.push(Piece {
                text: word.to_owned(),
                start,
                end: start + word.len(),
            }),
        }
        if let Some(last) = self.done.last_mut().filter(|_| ends_line) {
            last.text.push('\n');
        }
        self.continued &= word.is_empty() && !ends_line && !self.line_start;
        self.line_start = ends_line;
    }
}

fn join(words: &[String]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// What is open at a place of the text.
#[derive(Default)]
struct State {
    quote: Option<u8>,
    blocks: [u32; 3],
}

impl State {
    fn is_open(&self) -> bool {
        self.quote.is_some() || self.in_block()
    }

    fn in_block(&self) -> bool {
        self.blocks.iter().any(|depth| *depth > 0)
    }

    /// Takes in one character or delimiter and returns its length.
    fn step(&mut self, bytes: &[u8], at: usize) -> usize {
        const PAIRS: [(&[u8], &[u8]); 3] = [(b"{{", b"}}"), (b"{%", b"%}"), (b"{#", b"#}")];
        let rest = &bytes[at..];
        for (depth, (open, close)) in self.blocks.iter_mut().zip(PAIRS) {
            if rest.starts_with(open) {
                *depth += 1;
                return 2;
            }
            if *depth > 0 && rest.starts_with(close) {
                *depth -= 1;
                return 2;
            }
        }
        if !self.in_block() && matches!(rest[0], b'"' | b'\'') && !escaped(bytes, at) {
            match self.quote {
                Some(quote) if quote == rest[0] => self.quote = None,
                None => self.quote = Some(rest[0]),
                Some(_) => {}
            }
        }
        1
    }
}

fn escaped(bytes: &[u8], at: usize) -> bool {
    at > 0 && bytes[at - 1] == b'\\'
}

/// Python's string escapes; unknown ones stay as they are.
fn decode_escapes(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        match escape(rest) {
            Some((letter, length)) => {
                decoded.push(letter);
                rest = &rest[length..];
            }
            None => {
                decoded.push('\\');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// The letter of an escape at the start of a text, and the length of the escape.
fn escape(text: &str) -> Option<(char, usize)> {
    let letter = match *text.as_bytes().get(1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'a' => '\x07',
        b'b' => '\x08',
        b'f' => '\x0c',
        b'v' => '\x0b',
        quote @ (b'\\' | b'\'' | b'"') => char::from(quote),
        b'x' => return hexadecimal(text, 2),
        b'u' => return hexadecimal(text, 4),
        b'U' => return hexadecimal(text, 8),
        _ => return None,
    };
    Some((letter, 2))
}

fn hexadecimal(text: &str, digits: usize) -> Option<(char, usize)> {
    let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
    Some((char::from_u32(code)?, 2 + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, command: bool) -> String {
        match parse_kv(text, command) {
            Err(_) => "unbalanced".to_owned(),
            Ok(parsed) => {
                let mut words: Vec<String> = parsed
                    .options
                    .iter()
                    .map(|(name, word)| format!("{name}={:?}", word.value))
                    .collect();
                words.extend(parsed.free_form.map(|text| format!("{text:?}")));
                words.join(", ")
            }
        }
    }

    /// Recorded from ansible-core's splitter.
    const TABLE: &[(&str, bool, &str)] = &[
        ("a=1 b=2", false, r#"a="1", b="2""#),
        ("a=1 b=2", true, r#""a=1 b=2""#),
        ("a=\"x y\" b='z w'", false, r#"a="x y", b="z w""#),
        ("ls -l creates=/x", true, r#"creates="/x", "ls -l""#),
        (
            "a={{ x y }} b={% if a %}c{% endif %}",
            false,
            r#"a="{{ x y }}", b="{% if a %}c{% endif %}""#,
        ),
        ("a=b=c", false, r#"a="b=c""#),
        ("echo a\\=b", true, r#""echo a=b""#),
        ("ls  -l   \"a  b\"", true, r#""ls  -l   \"a  b\"""#),
        ("line1\nline2 a=1", false, r#"a="1", "line1\nline2""#),
        ("line1\nline2 a=1", true, r#""line1\nline2 a=1""#),
        ("a=\"x\\ny\"", false, r#"a="x\ny""#),
        ("a=\\x41 b", false, r#"a="A", "b""#),
        ("echo \"a=b\"", true, r#""echo \"a=b\"""#),
        (
            "a=\"{{ x | default('y z') }}\"",
            false,
            r#"a="{{ x | default('y z') }}""#,
        ),
        (
            "msg=hello {{ a[\"b c\"] }} x",
            false,
            r#"msg="hello", "{{ a[\"b c\"] }} x""#,
        ),
        ("foo.yml a=1", false, r#"a="1", "foo.yml""#),
        ("a= b", false, r#"a="", "b""#),
        ("=b", false, r#""=b""#),
        ("a=\"unbalanced", false, "unbalanced"),
        ("a={{ b", false, "unbalanced"),
        ("echo it\\'s", true, r#""echo it\\'s""#),
        ("chdir=/tmp ls chdir=/x", true, r#"chdir="/x", "ls""#),
        (
            "executable=/bin/bash echo a=b c",
            true,
            r#"executable="/bin/bash", "echo a=b c""#,
        ),
        ("a=\"it's\"", false, r#"a="it's""#),
        ("a=x\"y z\"w", false, r#"a="x\"y z\"w""#),
        ("a=\\\"x\\\"", false, r#"a="x""#),
        ("a={# c d #}x", false, r##"a="{# c d #}x""##),
        ("ls\n\n-l", true, r#""ls\n\n-l""#),
        ("a\tb c=1\td=2", false, r#"c="1\td=2", "a\tb""#),
        (
            "regexp=\\d+\\s a=C:\\new",
            false,
            r#"regexp="\\d+\\s", a="C:\new""#,
        ),
        ("echo foo \\\n  bar", true, r#""echo foo  bar""#),
        ("echo \"a\n  b\"  c", true, r#""echo \"a\n  b\"  c""#),
        ("a=\"\"", false, r#"a="""#),
        ("a\n  b", true, r#""a\n  b""#),
        ("a  \n  b", true, r#""a  \n  b""#),
        ("a \\\n   b", true, r#""a   b""#),
        ("ls x=1  a", true, r#""ls x=1  a""#),
        (
            "cat <<E\n  a\n\n  b\nE",
            true,
            r#""cat <<E\n  a\n\n  b\nE""#,
        ),
        ("a\n \nb", true, r#""a\n \nb""#),
        ("ls\nchdir=/x\nb\n", true, r#"chdir="/x", "ls\nb\n""#),
    ];

    #[test]
    fn texts_split_as_in_ansible() {
        for (text, command, expected) in TABLE {
            assert_eq!(
                shown(text, *command),
                *expected,
                "{text:?} command={command}"
            );
        }
    }
}
