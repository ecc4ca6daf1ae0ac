//! Python literals, by which an INI inventory gives its values their types.

use crate::diag::Span;
use crate::load::node::{Node, NodeKind};

/// Deepest nesting of a literal; what is deeper stays text.
const DEPTH: usize = 64;

/// The value of a text: a Python literal if it is one, else the text itself.
#[must_use]
pub(super) fn value(text: &str, span: &Span) -> Node {
    let kind = literal(text, span).unwrap_or_else(|| NodeKind::Str(text.to_owned()));
    Node {
        span: span.clone(),
        kind,
    }
}

fn literal(text: &str, span: &Span) -> Option<NodeKind> {
    let mut parser = Parser {
        rest: text,
        span,
        depth: 0,
    };
    let first = parser.expression()?;
    let kind = if parser.eat(',') {
        let mut items = vec![parser.node(first)];
        parser.items(&mut items, None)?;
        NodeKind::Seq(items)
    } else {
        first
    };
    parser.blank();
    parser.rest.is_empty().then_some(kind)
}

struct Parser<'a> {
    rest: &'a str,
    span: &'a Span,
    depth: usize,
}

impl Parser<'_> {
    fn node(&self, kind: NodeKind) -> Node {
        Node {
            span: self.span.clone(),
            kind,
        }
    }

    /// Skips spaces and a comment.
    fn blank(&mut self) {
        let newline = self.depth > 0;
        self.rest = self
            .rest
            .trim_start_matches(|c| c == ' ' || c == '\t' || (newline && c == '\n'));
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.blank();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expression(&mut self) -> Option<NodeKind> {
        if self.depth > DEPTH {
            return None;
        }
        self.blank();
        match self.rest.chars().next()? {
            '[' => self.nested('[', |parser| {
                let mut items = vec![];
                parser.items(&mut items, Some(']'))?;
                Some(NodeKind::Seq(items))
            }),
            '(' => self.nested('(', Self::tuple),
            '{' => self.nested('{', Self::braces),
            '-' => {
                self.eat('-');
                self.number(true)
            }
            '+' => {
                self.eat('+');
                self.number(false)
            }
            '0'..='9' | '.' => self.number(false),
            _ => self.string().or_else(|| self.word()),
        }
    }

    fn nested(
        &mut self,
        open: char,
        inner: impl FnOnce(&mut Self) -> Option<NodeKind>,
    ) -> Option<NodeKind> {
        self.eat(open);
        self.depth += 1;
        let kind = inner(self);
        self.depth -= 1;
        kind
    }

    /// Items up to the closing bracket, or up to the end of the text.
    fn items(&mut self, items: &mut Vec<Node>, close: Option<char>) -> Option<()> {
        loop {
            self.blank();
            let done = match close {
                Some(close) => self.eat(close),
                None => self.rest.is_empty(),
            };
            if done {
                return Some(());
            }
            let kind = self.expression()?;
            items.push(self.node(kind));
            if !self.eat(',') {
                return match close {
                    Some(close) => self.eat(close).then_some(()),
                    None => Some(()),
                };
            }
        }
    }

    fn tuple(&mut self) -> Option<NodeKind> {
        if self.eat(')') {
            return Some(NodeKind::Seq(vec![]));
        }
        let first = self.expression()?;
        if self.eat(')') {
            return Some(first);
        }
        self.eat(',').then_some(())?;
        let mut items = vec![self.node(first)];
        self.items(&mut items, Some(')'))?;
        Some(NodeKind::Seq(items))
    }

    /// A dictionary or a set.
    fn braces(&mut self) -> Option<NodeKind> {
        let mut entries: Vec<(Node, Node)> = vec![];
        if self.eat('}') {
            return Some(NodeKind::Map(entries));
        }
        loop {
            let key = self.expression()?;
            let key = self.node(key);
            if !self.eat(':') {
                let set = entries.is_empty() && (self.eat(',') || self.rest.starts_with('}'));
                let mut items = vec![key];
                return if set {
                    self.items(&mut items, Some('}'))
                        .map(|()| NodeKind::Seq(items))
                } else {
                    None
                };
            }
            let value = self.expression()?;
            let value = self.node(value);
            let same = |(other, _): &(Node, Node)| {
                key.as_str().is_some() && other.as_str() == key.as_str()
            };
            match entries.iter().position(same) {
                Some(at) => entries[at].1 = value,
                None => entries.push((key, value)),
            }
            let comma = self.eat(',');
            if self.eat('}') {
                return Some(NodeKind::Map(entries));
            }
            comma.then_some(())?;
        }
    }

    fn word(&mut self) -> Option<NodeKind> {
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let kind = match &self.rest[..end] {
            "True" => NodeKind::Bool(true),
            "False" => NodeKind::Bool(false),
            "None" => NodeKind::Null,
            _ => return None,
        };
        self.rest = &self.rest[end..];
        Some(kind)
    }

    fn number(&mut self, negative: bool) -> Option<NodeKind> {
        self.blank();
        let mut end = 0;
        let mut exponent = false;
        let hex = self.rest.starts_with("0x") || self.rest.starts_with("0X");
        for c in self.rest.chars() {
            let sign = exponent && !hex && (c == '+' || c == '-');
            if !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || sign) {
                break;
            }
            exponent = c == 'e' || c == 'E';
            end += c.len_utf8();
        }
        let digits = &self.rest[..end];
        let kind = number(digits, negative)?;
        self.rest = &self.rest[end..];
        Some(kind)
    }

    /// One or more string literals side by side.
    fn string(&mut self) -> Option<NodeKind> {
        let mut text = String::new();
        let mut count = 0;
        loop {
            let before = self.rest;
            self.blank();
            let prefix = self.rest.find(['\'', '"']).filter(|at| *at <= 2);
            let prefix = prefix
                .map(|at| &self.rest[..at])
                .filter(|prefix| is_prefix(prefix));
            let Some(prefix) = prefix else {
                self.rest = before;
                return (count > 0).then_some(NodeKind::Str(text));
            };
            let raw = prefix.contains(['r', 'R']);
            self.rest = &self.rest[prefix.len()..];
            self.quoted(raw, &mut text)?;
            count += 1;
        }
    }

    fn quoted(&mut self, raw: bool, text: &mut String) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let triple: String = [quote; 3].iter().collect();
        let close = if self.rest.starts_with(&triple) {
            triple
        } else {
            quote.to_string()
        };
        self.rest = &self.rest[close.len()..];
        loop {
            if let Some(rest) = self.rest.strip_prefix(close.as_str()) {
                self.rest = rest;
                return Some(());
            }
            let mut chars = self.rest.chars();
            let c = chars.next()?;
            self.rest = chars.as_str();
            if c == '\\' {
                self.escape(raw, text)?;
            } else {
                text.push(c);
            }
        }
    }

    fn escape(&mut self, raw: bool, text: &mut String) -> Option<()> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        let after = chars.as_str();
        self.rest = after;
        if raw {
            text.extend(['\\', c]);
            return Some(());
        }
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if digits > 0 {
            let code = u32::from_str_radix(after.get(..digits)?, 16).ok()?;
            text.push(char::from_u32(code)?);
            self.rest = &after[digits..];
            return Some(());
        }
        match c {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'v' => text.push('\x0b'),
            '\\' | '\'' | '"' => text.push(c),
            '\n' => {}
            '0'..='7' => {
                let tail = after
                    .bytes()
                    .take(2)
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count();
                let code = u32::from_str_radix(&format!("{c}{}", &after[..tail]), 8).ok()?;
                text.push(char::from_u32(code)?);
                self.rest = &after[tail..];
            }
            _ => text.extend(['\\', c]),
        }
        Some(())
    }
}

fn is_prefix(prefix: &str) -> bool {
    let known = ["", "r", "u", "b", "rb", "br"];
    known.iter().any(|name| prefix.eq_ignore_ascii_case(name))
}

fn number(digits: &str, negative: bool) -> Option<NodeKind> {
    if digits.starts_with(|c: char| matches!(c, '1'..='9'))
        && let Ok(value) = digits.parse::<i128>()
    {
        return Some(NodeKind::Int(if negative { -value } else { value }));
    }
    if digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let lower = plain.to_ascii_lowercase();
    let radix = match lower.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    if radix != 10 {
        let value = i128::from_str_radix(&lower[2..], radix).ok()?;
        return Some(NodeKind::Int(if negative { -value } else { value }));
    }
    if lower.bytes().all(|byte| byte.is_ascii_digit()) {
        // `0644` is no number in Python 3; `00` is.
        if lower.starts_with('0') && lower.bytes().any(|byte| byte != b'0') {
            return None;
        }
        let value: i128 = lower.parse().ok()?;
        return Some(NodeKind::Int(if negative { -value } else { value }));
    }
    let shape = lower
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
    let value: f64 = lower.parse().ok().filter(|_| shape)?;
    Some(NodeKind::Float(if negative { -value } else { value }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::diag::Source;

    /// A value as JSON has it, for comparisons with Ansible's output.
    pub(in crate::inventory) fn json(node: &Node) -> String {
        match &node.kind {
            NodeKind::Null => "null".to_owned(),
            NodeKind::Bool(value) => value.to_string(),
            NodeKind::Int(value) => value.to_string(),
            NodeKind::Float(value) => format!("{value:?}"),
            NodeKind::Str(text)
            | NodeKind::Unsafe(text)
            | NodeKind::Date(text)
            | NodeKind::Vault(text) => serde_json::to_string(text).unwrap(),
            NodeKind::Seq(items) => format!(
                "[{}]",
                items.iter().map(json).collect::<Vec<_>>().join(", ")
            ),
            NodeKind::Map(entries) => {
                let entries: Vec<_> = entries
                    .iter()
                    .map(|(k, v)| format!("{}: {}", json(k), json(v)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// Texts and what Ansible makes of them.
    #[test]
    fn values_get_the_types_that_python_gives_them() {
        for (text, expected) in [
            ("+5", "5"),
            ("()", "[]"),
            ("1.", "1.0"),
            ("inf", r#""inf""#),
            ("{}", "{}"),
            ("1,2", "[1, 2]"),
            ("{'a': [1,{'b':None}]}", r#"{"a": [1, {"b": null}]}"#),
            ("0b11", "3"),
            ("00", "0"),
            ("0644", r#""0644""#),
            ("1if", r#""1if""#),
            ("true", r#""true""#),
            ("True", "true"),
            ("1_000", "1000"),
            ("0o17", "15"),
            ("  x ", r#""  x ""#),
            ("' y '", r#"" y ""#),
            (" 5", "5"),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            (".5", "0.5"),
            ("0x1F", "31"),
            ("True,", "[true]"),
            (r"'a\nb'", r#""a\nb""#),
            ("{1:2}", "{1: 2}"),
            ("- 5", "-5"),
            ("--5", r#""--5""#),
            ("1 # x", "1"),
            ("[1,]", "[1]"),
            ("0_1", r#""0_1""#),
            ("1__0", r#""1__0""#),
            ("'''x'''", r#""x""#),
            (r#""a" "b""#, r#""ab""#),
            ("f'x'", r#""f'x'""#),
            ("-True", r#""-True""#),
            ("5 5", r#""5 5""#),
            ("[1 2]", r#""[1 2]""#),
            ("[a]", r#""[a]""#),
            (r"'\x41\u00e9'", "\"A\u{e9}\""),
            ("1+2", r#""1+2""#),
            ("{'a'}", r#"["a"]"#),
            ("\"x\"y", r#""\"x\"y""#),
            ("foo\\nbar", r#""foo\\nbar""#),
            ("", r#""""#),
        ] {
            let span = Span::start_of(&Source::new("t", ""));
            assert_eq!(json(&value(text, &span)), expected, "{text}");
        }
    }
}
