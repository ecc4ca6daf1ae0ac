//! What is wrong with a template's syntax, in Jinja2's words.
//!
//! The parser proper says little of a mistake. This one is asked only after that has refused a
//! text: it reads the text as Jinja2 does, builds nothing, and stops at the first mistake.

use super::parse::Syntax;

/// The first mistake in a template: the message, and where it is.
pub(crate) fn template(text: &str, syntax: &Syntax) -> Option<(String, usize)> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(inside) = rest.strip_prefix(syntax.comment_start.as_str()) {
            let Some(end) = inside.find(syntax.comment_end.as_str()) else {
                return Some(("Missing end of comment tag".into(), at));
            };
            at += syntax.comment_start.len() + end + syntax.comment_end.len();
        } else if rest.starts_with(syntax.block_start.as_str()) {
            let start = at + syntax.block_start.len();
            let mut reader = Reader::new(text, start, &syntax.block_end, "end of statement block");
            if reader.token.is_name("raw") {
                at = match raw(text, start, syntax) {
                    Some(end) => end,
                    None => return Some(("Missing end of raw directive".into(), at)),
                };
                continue;
            }
            if let Err(message) = reader.statement(&mut blocks) {
                return Some((message, reader.start));
            }
            at = reader.after;
        } else if rest.starts_with(syntax.variable_start.as_str()) {
            let start = at + syntax.variable_start.len();
            let mut reader =
                Reader::new(text, start, &syntax.variable_end, "end of print statement");
            if let Err(message) = reader.tuple().and_then(|()| reader.end()) {
                return Some((message, reader.start));
            }
            at = reader.after;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    let open = blocks.last()?;
    Some((
        format!("Unexpected end of template.{}", open.wanted()),
        text.len(),
    ))
}

/// The first mistake in a bare expression.
pub(crate) fn expression(text: &str) -> Option<(String, usize)> {
    let mut reader = Reader::new(text, 0, "", "end of expression");
    let result = reader.tuple().and_then(|()| match reader.token {
        Token::End | Token::Eof => Ok(()),
        _ => Err("chunk after expression".to_owned()),
    });
    result.err().map(|message| (message, reader.start))
}

fn raw(text: &str, start: usize, syntax: &Syntax) -> Option<usize> {
    let mut at = start;
    loop {
        at += text[at..].find(syntax.block_start.as_str())? + syntax.block_start.len();
        if text[at..]
            .trim_start_matches(['-', '+'])
            .trim_start()
            .starts_with("endraw")
        {
            return Some(at + text[at..].find(syntax.block_end.as_str())? + syntax.block_end.len());
        }
    }
}

struct Block {
    name: &'static str,
    /// The tags that may come next at its level.
    next: &'static [&'static str],
}

impl Block {
    fn wanted(&self) -> String {
        let tags: Vec<String> = self.next.iter().map(|tag| format!("'{tag}'")).collect();
        format!(
            " Jinja was looking for the following tags: {}. The innermost block that needs to be closed is '{}'.",
            tags.join(" or "),
            self.name
        )
    }
}

const BLOCKS: &[Block] = &[
    Block {
        name: "if",
        next: &["elif", "else", "endif"],
    },
    Block {
        name: "for",
        next: &["endfor", "else"],
    },
    Block {
        name: "set",
        next: &["endset"],
    },
    Block {
        name: "macro",
        next: &["endmacro"],
    },
    Block {
        name: "call",
        next: &["endcall"],
    },
    Block {
        name: "filter",
        next: &["endfilter"],
    },
    Block {
        name: "block",
        next: &["endblock"],
    },
    Block {
        name: "with",
        next: &["endwith"],
    },
    Block {
        name: "autoescape",
        next: &["endautoescape"],
    },
];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Integer,
    Float,
    Text,
    Sign(&'static str),
    /// The end of the tag.
    End,
    Eof,
    /// What no token begins with, with the lexer's message.
    Wrong(String),
}

impl Token {
    fn is_name(&self, name: &str) -> bool {
        matches!(self, Token::Name(found) if found == name)
    }
}

/// Operators, longer ones first.
const SIGNS: &[&str] = &[
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";",
];

struct Reader<'t> {
    text: &'t str,
    /// Where the next token is read.
    at: usize,
    /// Where the current token begins.
    start: usize,
    /// One past the end of the tag, when that has been reached.
    after: usize,
    close: &'t str,
    end_name: &'static str,
    token: Token,
    open: Vec<&'static str>,
    depth: usize,
}

type Read = Result<(), String>;

impl<'t> Reader<'t> {
    fn new(text: &'t str, at: usize, close: &'t str, end_name: &'static str) -> Self {
        let at = at + usize::from(text[at..].starts_with(['-', '+']) && !close.is_empty());
        let mut reader = Self {
            text,
            at,
            start: at,
            after: text.len(),
            close,
            end_name,
            token: Token::Eof,
            open: vec![],
            depth: 0,
        };
        reader.step();
        reader
    }

    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        self.start = self.at;
        self.token = self.lex(trimmed);
    }

    fn lex(&mut self, rest: &str) -> Token {
        let Some(c) = rest.chars().next() else {
            return Token::Eof;
        };
        if self.open.is_empty() && !self.close.is_empty() {
            let signed = usize::from(rest.starts_with(['-', '+']));
            for skip in [0, signed] {
                if rest[skip..].starts_with(self.close) {
                    self.after = self.at + skip + self.close.len();
                    return Token::End;
                }
            }
        }
        if c.is_alphabetic() || c == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            self.at += end;
            return Token::Name(rest[..end].to_owned());
        }
        if c.is_ascii_digit() {
            return self.number(rest);
        }
        if c == '"' || c == '\'' {
            let mut escaped = false;
            for (at, found) in rest.char_indices().skip(1) {
                if escaped {
                    escaped = false;
                } else if found == '\\' {
                    escaped = true;
                } else if found == c {
                    self.at += at + 1;
                    return Token::Text;
                }
            }
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.at += sign.len();
            return self.balanced(sign);
        }
        let quote = if c == '\'' { '"' } else { '\'' };
        Token::Wrong(format!("unexpected char {quote}{c}{quote} at {}", self.at))
    }

    fn number(&mut self, rest: &str) -> Token {
        let digits = |text: &str| {
            text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(text.len())
        };
        if rest.starts_with("0x") || rest.starts_with("0o") || rest.starts_with("0b") {
            self.at += digits(rest);
            return Token::Integer;
        }
        let whole = rest
            .find(|c: char| !c.is_ascii_digit() && c != '_')
            .unwrap_or(rest.len());
        let fraction = rest[whole..].strip_prefix('.').map_or(0, |rest| {
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())
        });
        let power = rest[whole..].starts_with(['e', 'E'])
            && rest[whole + 1..].starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
        if fraction > 0 || power {
            let mantissa = if fraction > 0 {
                whole + 1 + fraction
            } else {
                whole
            };
            let mut end = mantissa;
            if rest[mantissa..].starts_with(['e', 'E']) {
                let tail = rest[mantissa + 1..].trim_start_matches(['+', '-']);
                end = rest.len() - tail.len()
                    + tail
                        .find(|c: char| !c.is_ascii_digit())
                        .unwrap_or(tail.len());
            }
            self.at += end;
            return Token::Float;
        }
        // A whole number does not begin with a naught: what follows is another token.
        let end = if rest.starts_with('0') {
            rest.find(|c: char| c != '0' && c != '_')
                .unwrap_or(rest.len())
                .min(whole)
        } else {
            whole
        };
        self.at += end;
        Token::Integer
    }

    fn balanced(&mut self, sign: &'static str) -> Token {
        match sign {
            "(" => self.open.push(")"),
            "[" => self.open.push("]"),
            "{" => self.open.push("}"),
            ")" | "]" | "}" => match self.open.pop() {
                None => return Token::Wrong(format!("unexpected '{sign}'")),
                Some(wanted) if wanted != sign => {
                    return Token::Wrong(format!("unexpected '{sign}', expected '{wanted}'"));
                }
                Some(_) => {}
            },
            _ => {}
        }
        Token::Sign(sign)
    }

    fn described(&self) -> String {
        match &self.token {
            Token::Name(name) => name.clone(),
            Token::Integer => "integer".into(),
            Token::Float => "float".into(),
            Token::Text => "string".into(),
            Token::Sign(sign) => (*sign).into(),
            Token::End => self.end_name.into(),
            Token::Eof | Token::Wrong(_) => "end of template".into(),
        }
    }

    /// The message for a token that is not the wanted one.
    fn not(&self, wanted: &str) -> String {
        match &self.token {
            Token::Wrong(message) => message.clone(),
            Token::Eof => format!("unexpected end of template, expected '{wanted}'."),
            _ => format!("expected token '{wanted}', got '{}'", self.described()),
        }
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.token, Token::Sign(found) if found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.step();
        }
        found
    }

    fn take_name(&mut self, name: &str) -> bool {
        let found = self.token.is_name(name);
        if found {
            self.step();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Read {
        if self.take(sign) {
            Ok(())
        } else {
            Err(self.not(sign))
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match &self.token {
            Token::Name(name) => {
                let name = name.clone();
                self.step();
                Ok(name)
            }
            _ => Err(self.not("name")),
        }
    }

    fn end(&mut self) -> Read {
        if self.token == Token::End {
            Ok(())
        } else {
            Err(self.not(self.end_name))
        }
    }

    // ---- statements --------------------------------------------------------------------------

    #[expect(clippy::too_many_lines, reason = "a flat table of statements")]
    fn statement(&mut self, blocks: &mut Vec<Block>) -> Read {
        let Token::Name(name) = &self.token else {
            return Err(match &self.token {
                Token::Wrong(message) => message.clone(),
                _ => "tag name expected".into(),
            });
        };
        let name = name.clone();
        let expected = blocks
            .last()
            .is_some_and(|block| block.next.contains(&name.as_str()));
        let known = BLOCKS.iter().find(|block| block.name == name);
        let plain = matches!(
            name.as_str(),
            "include" | "import" | "from" | "extends" | "do" | "continue" | "break"
        );
        if !expected && known.is_none() && !plain {
            let context = blocks.last().map(Block::wanted).unwrap_or_default();
            return Err(format!("Encountered unknown tag '{name}'.{context}"));
        }
        self.step();
        if expected {
            return self.next_part(&name, blocks);
        }
        let mut opens = true;
        match name.as_str() {
            "if" => self.tuple()?,
            "for" => {
                if self.token.is_name("loop") {
                    let text = "Can't assign to special loop variable in for-loop target";
                    return Err(text.into());
                }
                self.targets()?;
                if !self.take_name("in") {
                    return Err(self.not("in"));
                }
                self.tuple_of(false)?;
                if self.take_name("if") {
                    self.expression()?;
                }
                self.take_name("recursive");
            }
            "set" => {
                self.targets()?;
                if self.take("=") {
                    self.tuple()?;
                    opens = false;
                } else {
                    while self.is("|") {
                        self.filter()?;
                    }
                }
            }
            "macro" => {
                self.name()?;
                self.parameters()?;
            }
            "call" => {
                if self.is("(") {
                    self.parameters()?;
                }
                self.something()?;
                self.expression()?;
                if !self.text[..self.start].trim_end().ends_with(')') {
                    return Err("expected call".into());
                }
            }
            "filter" => {
                self.dotted()?;
                if self.is("(") {
                    self.arguments()?;
                }
                while self.is("|") {
                    self.filter()?;
                }
            }
            "autoescape" => {
                self.something()?;
                self.skip()?;
            }
            "import" | "from" => {
                self.something()?;
                self.expression()?;
                let word = if name == "import" { "as" } else { "import" };
                if !self.take_name(word) {
                    return Err(self.not(word));
                }
                self.name()?;
                self.skip()?;
                opens = false;
            }
            "block" => {
                self.name()?;
                while matches!(self.token, Token::Name(_)) {
                    self.step();
                }
            }
            "do" => {
                self.tuple()?;
                opens = false;
            }
            "continue" | "break" => opens = false,
            // Their parts are read loosely: what is wrong in them is told by the parser proper.
            "include" | "extends" => {
                self.something()?;
                self.skip()?;
                opens = false;
            }
            _ => self.skip()?,
        }
        self.end()?;
        if opens && let Some(block) = known {
            blocks.push(Block {
                name: block.name,
                next: block.next,
            });
        }
        Ok(())
    }

    /// Something must stand here.
    fn something(&self) -> Read {
        match self.token {
            Token::End => Err(format!("unexpected '{}'", self.end_name)),
            _ => Ok(()),
        }
    }

    /// The parameters of a macro.
    fn parameters(&mut self) -> Read {
        let mut defaults = false;
        self.expect("(")?;
        while !self.is(")") {
            self.name()?;
            if self.take("=") {
                self.expression()?;
                defaults = true;
            } else if defaults {
                return Err("non-default argument follows default argument".into());
            }
            if !self.is(")") {
                self.expect(",")?;
            }
        }
        self.step();
        Ok(())
    }

    /// `elif`, `else` and the end of a block.
    fn next_part(&mut self, name: &str, blocks: &mut Vec<Block>) -> Read {
        match name {
            "elif" => self.tuple()?,
            "else" => {
                if let Some(block) = blocks.last_mut() {
                    block.next = if block.name == "if" {
                        &["endif"]
                    } else {
                        &["endfor"]
                    };
                }
            }
            _ => {
                blocks.pop();
                while matches!(self.token, Token::Name(_)) {
                    self.step();
                }
            }
        }
        self.end()
    }

    fn skip(&mut self) -> Read {
        loop {
            match &self.token {
                Token::End | Token::Eof => return Ok(()),
                Token::Wrong(message) => return Err(message.clone()),
                _ => self.step(),
            }
        }
    }

    fn targets(&mut self) -> Read {
        loop {
            if self.take("(") {
                self.targets()?;
                self.expect(")")?;
            } else {
                match &self.token {
                    Token::Name(_) => {
                        self.step();
                        if self.take(".") {
                            self.name()?;
                        }
                    }
                    Token::Integer | Token::Float | Token::Text => {
                        return Err("can't assign to 'const'".into());
                    }
                    Token::Wrong(message) => return Err(message.clone()),
                    _ => {
                        return Err(format!(
                            "Expected an expression, got '{}'",
                            self.described()
                        ));
                    }
                }
            }
            if !self.take(",") {
                return Ok(());
            }
        }
    }

    // ---- expressions -------------------------------------------------------------------------

    fn tuple(&mut self) -> Read {
        self.tuple_of(true)
    }

    fn tuple_of(&mut self, conditions: bool) -> Read {
        if let Token::End = self.token {
            return Err(format!(
                "Expected an expression, got '{}'",
                self.described()
            ));
        }
        loop {
            if conditions {
                self.expression()?
            } else {
                self.either()?
            }
            if !self.take(",") || matches!(self.token, Token::End | Token::Eof) || self.is(")") {
                return Ok(());
            }
        }
    }

    fn expression(&mut self) -> Read {
        self.depth += 1;
        if self.depth > 500 {
            return Err("the expression nests too deep".into());
        }
        let result = super::deep(|| {
            self.either()?;
            while self.take_name("if") {
                self.either()?;
                if self.take_name("else") {
                    self.expression()?;
                }
            }
            Ok(())
        });
        self.depth -= 1;
        result
    }

    /// `or`, `and`, `not` and comparisons: as one level, since nothing is built.
    fn either(&mut self) -> Read {
        loop {
            while self.take_name("not") {}
            self.sum()?;
            loop {
                if self.token.is_name("in")
                    || ["==", "!=", "<", "<=", ">", ">="]
                        .iter()
                        .any(|sign| self.is(sign))
                {
                    self.step();
                } else if self.token.is_name("not") {
                    self.step();
                    if !self.take_name("in") {
                        return Err(self.not("in"));
                    }
                } else {
                    break;
                }
                self.sum()?;
            }
            if !self.take_name("or") && !self.take_name("and") {
                return Ok(());
            }
        }
    }

    fn sum(&mut self) -> Read {
        self.operand()?;
        while ["+", "-", "*", "/", "//", "%", "**", "~"]
            .iter()
            .any(|sign| self.is(sign))
        {
            self.step();
            self.operand()?;
        }
        Ok(())
    }

    fn operand(&mut self) -> Read {
        while self.is("-") || self.is("+") {
            self.step();
        }
        match &self.token {
            Token::Name(_) | Token::Integer | Token::Float => self.step(),
            Token::Text => {
                while self.token == Token::Text {
                    self.step();
                }
            }
            Token::Sign("(") => {
                self.step();
                if !self.is(")") {
                    self.tuple()?;
                }
                self.expect(")")?;
            }
            Token::Sign("[") => {
                self.step();
                while !self.is("]") {
                    self.expression()?;
                    if !self.is("]") {
                        self.expect(",")?;
                    }
                }
                self.step();
            }
            Token::Sign("{") => {
                self.step();
                while !self.is("}") {
                    self.expression()?;
                    self.expect(":")?;
                    self.expression()?;
                    if !self.is("}") {
                        self.expect(",")?;
                    }
                }
                self.step();
            }
            Token::Wrong(message) => return Err(message.clone()),
            _ => return Err(format!("unexpected '{}'", self.described())),
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Read {
        loop {
            if self.take(".") {
                match &self.token {
                    Token::Name(_) | Token::Integer => self.step(),
                    Token::Wrong(message) => return Err(message.clone()),
                    _ => return Err("expected name or number".into()),
                }
            } else if self.take("[") {
                while !self.is("]") {
                    if !self.take(":") {
                        self.expression()?;
                    }
                    if !self.is("]") && !self.take(",") && !self.is(":") {
                        return Err(self.not("]"));
                    }
                }
                self.step();
            } else if self.is("(") {
                self.arguments()?;
            } else if self.is("|") {
                self.filter()?;
            } else if self.take_name("is") {
                self.take_name("not");
                self.dotted()?;
                if self.is("(") {
                    self.arguments()?;
                } else if self.starts_operand() {
                    self.operand()?;
                }
            } else {
                return Ok(());
            }
        }
    }

    /// Whether the argument of a test without parentheses begins here.
    fn starts_operand(&self) -> bool {
        match &self.token {
            Token::Name(name) => !matches!(
                name.as_str(),
                "else" | "or" | "and" | "is" | "if" | "not" | "in" | "recursive"
            ),
            Token::Integer | Token::Float | Token::Text => true,
            Token::Sign(sign) => matches!(*sign, "[" | "{"),
            _ => false,
        }
    }

    fn dotted(&mut self) -> Read {
        self.name()?;
        while self.take(".") {
            self.name()?;
        }
        Ok(())
    }

    fn filter(&mut self) -> Read {
        self.step();
        self.dotted()?;
        if self.is("(") {
            self.arguments()
        } else {
            Ok(())
        }
    }

    fn arguments(&mut self) -> Read {
        self.expect("(")?;
        let (mut named, mut starred, mut double) = (false, false, false);
        while !self.is(")") {
            let sound = if self.take("**") {
                self.expression()?;
                !std::mem::replace(&mut double, true)
            } else if self.take("*") {
                self.expression()?;
                !std::mem::replace(&mut starred, true) && !double
            } else {
                self.expression()?;
                if self.take("=") {
                    self.expression()?;
                    named = true;
                    !double
                } else {
                    !named && !starred && !double
                }
            };
            if !sound {
                return Err("invalid syntax for function call expression".into());
            }
            if !self.is(")") {
                self.expect(",")?;
            }
        }
        self.step();
        Ok(())
    }
}
