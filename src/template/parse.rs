//! Template text to syntax tree. The only file that knows the parser: it lowers its tree into ours.
//!
//! Where that parser refuses valid Jinja2 the text is adjusted first; an edit list maps places back.

use std::cell::Cell;
use std::sync::Arc;

use indexmap::IndexMap;

use minijinja::machinery::{self, ast as mj};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

use super::ast::{Arg, Comparison, Expr, ExprKind, For, Macro, Place, Stmt, Template};
use super::value::Value;

/// The delimiters and the white-space rules of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Syntax {
    /// Removes the first newline after a block.
    pub trim_blocks: bool,
    /// Removes white space before a block on its line.
    pub lstrip_blocks: bool,
    /// Keeps the newline at the end of the text.
    pub keep_trailing_newline: bool,
    /// Opens an expression.
    pub variable_start: String,
    /// Closes an expression.
    pub variable_end: String,
    /// Opens a statement.
    pub block_start: String,
    /// Closes a statement.
    pub block_end: String,
    /// Opens a comment.
    pub comment_start: String,
    /// Closes a comment.
    pub comment_end: String,
    /// Whether backslashes in strings inside of `{{ }}` are plain characters, as in playbooks.
    pub plain_backslashes: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        Self {
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: false,
            variable_start: "{{".into(),
            variable_end: "}}".into(),
            block_start: "{%".into(),
            block_end: "%}".into(),
            comment_start: "{#".into(),
            comment_end: "#}".into(),
            plain_backslashes: true,
        }
    }
}

/// What the parser refused, and where.
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) place: Place,
    /// Something to try.
    pub(crate) hint: Option<String>,
}

/// Parses a template.
pub(crate) fn template(text: &str, syntax: &Syntax) -> Result<Template, SyntaxError> {
    let adjusted = Adjusted::template(text, syntax);
    roomy(adjusted.longest, || parse(text, syntax, &adjusted))
}

fn told(mistake: Option<(String, usize)>) -> Option<SyntaxError> {
    let (message, at) = mistake?;
    let at = u32::try_from(at).ok()?;
    Some(SyntaxError {
        message,
        place: (at, at),
        hint: None,
    })
}

/// How deep expressions may nest. `a + b + c` nests too, by one level a sum.
const NESTED: usize = 2000;

/// Runs `work` on a stack that is large enough to drop the parser's tree of so long an expression.
fn roomy<T>(longest: usize, work: impl FnOnce() -> T) -> T {
    let room = (longest.saturating_mul(1024)).clamp(256 << 10, 1 << 30);
    stacker::maybe_grow(room, room, work)
}

fn parse(text: &str, syntax: &Syntax, adjusted: &Adjusted) -> Result<Template, SyntaxError> {
    let mut builder = SyntaxConfig::builder();
    builder
        .trim_blocks(syntax.trim_blocks)
        .lstrip_blocks(syntax.lstrip_blocks)
        .keep_trailing_newline(syntax.keep_trailing_newline);
    if *syntax
        != (Syntax {
            trim_blocks: syntax.trim_blocks,
            lstrip_blocks: syntax.lstrip_blocks,
            keep_trailing_newline: syntax.keep_trailing_newline,
            plain_backslashes: syntax.plain_backslashes,
            ..Syntax::default()
        })
    {
        builder
            .variable_delimiters(syntax.variable_start.clone(), syntax.variable_end.clone())
            .block_delimiters(syntax.block_start.clone(), syntax.block_end.clone())
            .comment_delimiters(syntax.comment_start.clone(), syntax.comment_end.clone());
    }
    let config = builder.build().map_err(|error| SyntaxError {
        message: error.to_string(),
        place: (0, 0),
        hint: None,
    })?;
    let tree = machinery::parse(&adjusted.text, "", config).map_err(|error| {
        told(super::syntax::template(text, syntax)).unwrap_or_else(|| adjusted.error(&error))
    })?;
    let mut lower = Lower {
        text,
        adjusted,
        blocks: IndexMap::new(),
        extends: false,
        plain: syntax.plain_backslashes,
        raw: false,
        depth: Cell::new(0),
        too_deep: Cell::new(None),
    };
    let body = match &tree {
        mj::Stmt::Template(template) => lower.body(&template.children),
        _ => vec![],
    };
    lower.check()?;
    Ok(Template {
        body,
        blocks: lower.blocks,
        extends: lower.extends,
    })
}

/// Parses a bare expression.
pub(crate) fn expression(text: &str) -> Result<Expr, SyntaxError> {
    let adjusted = Adjusted::expression(text);
    roomy(text.len(), || {
        let tree = machinery::parse_expr(&adjusted.text).map_err(|error| {
            told(super::syntax::expression(text)).unwrap_or_else(|| adjusted.error(&error))
        })?;
        let lower = Lower {
            text,
            adjusted: &adjusted,
            blocks: IndexMap::new(),
            extends: false,
            plain: false,
            raw: false,
            depth: Cell::new(0),
            too_deep: Cell::new(None),
        };
        let expr = lower.expr(&tree);
        lower.check()?;
        Ok(expr)
    })
}

/// The text as the parser gets it.
struct Adjusted {
    text: String,
    /// Places in `text` from which on the original is at another distance.
    edits: Vec<(usize, usize)>,
    /// The length of the longest tag.
    longest: usize,
}

impl Adjusted {
    fn template(text: &str, syntax: &Syntax) -> Self {
        let mut this = Self {
            text: String::with_capacity(text.len() + 8),
            edits: vec![],
            longest: 0,
        };
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if rest.starts_with(syntax.comment_start.as_str()) {
                let end = rest
                    .find(syntax.comment_end.as_str())
                    .map_or(rest.len(), |end| end + syntax.comment_end.len());
                this.text.push_str(&rest[..end]);
                at += end;
            } else if rest.starts_with(syntax.block_start.as_str()) {
                if let Some(end) = raw_end(rest, syntax) {
                    this.text.push_str(&rest[..end]);
                    at += end;
                } else {
                    at = this.tag(text, at, &syntax.block_start, &syntax.block_end, true);
                }
            } else if rest.starts_with(syntax.variable_start.as_str()) {
                at = this.tag(
                    text,
                    at,
                    &syntax.variable_start,
                    &syntax.variable_end,
                    false,
                );
            } else {
                let step = rest.chars().next().map_or(1, char::len_utf8);
                this.text.push_str(&rest[..step]);
                at += step;
            }
        }
        this
    }

    fn expression(text: &str) -> Self {
        let mut this = Self {
            text: String::with_capacity(text.len() + 2),
            edits: vec![],
            longest: 0,
        };
        let (end, comma) = this.inside(text, 0, "");
        if comma {
            this.wrap(0, "(", end);
        }
        this
    }

    /// Copies a tag; the offset after it.
    fn tag(&mut self, text: &str, at: usize, open: &str, close: &str, statement: bool) -> usize {
        self.text.push_str(open);
        let mut at = at + open.len();
        if let Some(sign @ ('-' | '+')) = text[at..].chars().next() {
            self.text.push(sign);
            at += 1;
        }
        let started = self.text.len();
        let inner = text[at..].trim_start();
        let is_do = statement
            && inner
                .strip_prefix("do")
                .is_some_and(|rest| rest.starts_with(char::is_whitespace));
        if is_do {
            let skip = text[at..].len() - inner.len() + 3;
            self.text.push_str(&text[at..at + skip]);
            self.insert("__do(", at + skip);
            at += skip;
        }
        let (end, comma) = self.inside(text, at, close);
        if is_do {
            self.insert(")", end);
        } else if comma && !statement {
            self.wrap(started, "(", end);
        }
        let mut end = end;
        if let Some(sign @ ('-' | '+')) = text[end..].chars().next() {
            self.text.push(sign);
            end += 1;
        }
        self.longest = self.longest.max(end - at);
        if text[end..].starts_with(close) {
            self.text.push_str(close);
            end += close.len();
        }
        end
    }

    /// Adds text that the original has not.
    fn insert(&mut self, added: &str, original: usize) {
        self.text.push_str(added);
        self.edits.push((self.text.len(), original));
    }

    /// Puts what was copied since `started` in parentheses.
    fn wrap(&mut self, started: usize, open: &str, original_end: usize) {
        let original = self.original(started);
        self.text.insert_str(started, open);
        for edit in &mut self.edits {
            if edit.0 >= started {
                edit.0 += open.len();
            }
        }
        self.edits.push((started + open.len(), original));
        self.edits.sort_unstable();
        self.insert(")", original_end);
    }

    /// Copies the inside of a tag up to its end: strings with escapes become placeholders of the
    /// same length (their text is read from the original), unary plus becomes a blank. Says
    /// whether there is a comma outside of all brackets.
    fn inside(&mut self, text: &str, from: usize, close: &str) -> (usize, bool) {
        let bytes = text.as_bytes();
        let (mut at, mut depth, mut comma) = (from, 0usize, false);
        let mut operand_before = false;
        while at < bytes.len() {
            let rest = &text[at..];
            if depth == 0 && !close.is_empty() {
                let signed = rest.strip_prefix(['-', '+']).unwrap_or(rest);
                if rest.starts_with(close) || signed.starts_with(close) {
                    return (at, comma);
                }
            }
            match bytes[at] {
                quote @ (b'"' | b'\'') => {
                    let end = string_end(bytes, at, quote);
                    self.placeholder(&text[at..end]);
                    at = end;
                    operand_before = true;
                    continue;
                }
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    operand_before = false;
                }
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    operand_before = true;
                }
                b',' if depth == 0 => {
                    comma = true;
                    operand_before = false;
                }
                b'+' if !operand_before => {
                    self.text.push(' ');
                    at += 1;
                    continue;
                }
                byte if byte.is_ascii_whitespace() => {}
                byte if byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80 => {
                    let word: usize = rest
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .map(char::len_utf8)
                        .sum();
                    let word = word.max(rest.chars().next().map_or(1, char::len_utf8));
                    operand_before = !matches!(
                        &rest[..word],
                        "in" | "and" | "or" | "not" | "if" | "else" | "is" | "elif" | "for" | "set"
                    );
                    self.text.push_str(&rest[..word]);
                    at += word;
                    continue;
                }
                _ => operand_before = false,
            }
            self.text.push(char::from(bytes[at]));
            at += 1;
        }
        (at, comma)
    }

    fn placeholder(&mut self, literal: &str) {
        if !literal.contains('\\') || literal.len() < 2 {
            self.text.push_str(literal);
            return;
        }
        self.text.push_str(&literal[..1]);
        self.text
            .extend(std::iter::repeat_n('_', literal.len() - 2));
        self.text.push_str(&literal[..1]);
    }

    fn original(&self, at: usize) -> usize {
        match self
            .edits
            .partition_point(|(place, _)| *place <= at)
            .checked_sub(1)
        {
            Some(index) => self.edits[index].1 + (at - self.edits[index].0),
            None => at,
        }
    }

    fn place(&self, span: machinery::Span) -> Place {
        let map = |at: u32| u32::try_from(self.original(at as usize)).unwrap_or(u32::MAX);
        (map(span.start_offset), map(span.end_offset))
    }

    fn error(&self, error: &minijinja::Error) -> SyntaxError {
        let message = error
            .detail()
            .map_or_else(|| error.to_string(), ToOwned::to_owned);
        // The parser tells the line only.
        let line = error.line().unwrap_or(1).max(1);
        let start = self
            .text
            .split_inclusive('\n')
            .take(line - 1)
            .map(str::len)
            .sum::<usize>();
        let length = self.text[start..].lines().next().map_or(0, str::len);
        let map = |at: usize| u32::try_from(self.original(at)).unwrap_or(u32::MAX);
        let place = (map(start), map(start + length));
        SyntaxError {
            message,
            place,
            hint: None,
        }
    }
}

/// Where a `{% raw %}` block that starts here ends.
fn raw_end(rest: &str, syntax: &Syntax) -> Option<usize> {
    let inner = rest.strip_prefix(syntax.block_start.as_str())?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
    let after = inner.strip_prefix("raw")?.trim_start();
    let after = after.strip_prefix('-').unwrap_or(after);
    after.strip_prefix(syntax.block_end.as_str())?;
    let mut at = 0;
    while let Some(found) = rest[at..].find(syntax.block_start.as_str()) {
        let start = at + found + syntax.block_start.len();
        let inner = rest[start..]
            .strip_prefix(['-', '+'])
            .unwrap_or(&rest[start..])
            .trim_start();
        if inner.starts_with("endraw") {
            let end = rest[start..].find(syntax.block_end.as_str())?;
            return Some(start + end + syntax.block_end.len());
        }
        at = start;
    }
    None
}

/// One past the closing quote.
fn string_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The text of one or more adjacent string literals, with Python's escapes.
fn literals(source: &str, raw: bool) -> Option<String> {
    let bytes = source.as_bytes();
    let (mut at, mut out, mut found) = (0, String::new(), false);
    while at < bytes.len() {
        let quote = bytes[at];
        if quote != b'"' && quote != b'\'' {
            at += 1;
            continue;
        }
        let end = string_end(bytes, at, quote);
        let inside = source.get(at + 1..end.saturating_sub(1).max(at + 1))?;
        if raw {
            out.push_str(inside);
        } else {
            unescape(inside, &mut out);
        }
        (at, found) = (end, true);
    }
    found.then_some(out)
}

fn unescape(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let digits = |skip: usize, count: usize| {
            rest.get(skip..skip + count)
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .and_then(char::from_u32)
        };
        let (piece, used) = match c {
            'n' => (Some('\n'), 1),
            't' => (Some('\t'), 1),
            'r' => (Some('\r'), 1),
            'a' => (Some('\u{7}'), 1),
            'b' => (Some('\u{8}'), 1),
            'f' => (Some('\u{c}'), 1),
            'v' => (Some('\u{b}'), 1),
            '\\' | '\'' | '"' => (Some(c), 1),
            '\n' => (None, 1),
            'x' if digits(1, 2).is_some() => (digits(1, 2), 3),
            'u' if digits(1, 4).is_some() => (digits(1, 4), 5),
            'U' if digits(1, 8).is_some() => (digits(1, 8), 9),
            '0'..='7' => {
                let count = rest
                    .chars()
                    .take(3)
                    .take_while(|c| ('0'..='7').contains(c))
                    .count();
                (
                    u32::from_str_radix(&rest[..count], 8)
                        .ok()
                        .and_then(char::from_u32),
                    count,
                )
            }
            _ => {
                out.push('\\');
                (Some(c), c.len_utf8())
            }
        };
        out.extend(piece);
        rest = &rest[used..];
    }
    out.push_str(rest);
}

struct Lower<'a> {
    text: &'a str,
    adjusted: &'a Adjusted,
    blocks: IndexMap<Arc<str>, Arc<Vec<Stmt>>>,
    extends: bool,
    /// Whether backslashes in `{{ }}` are plain characters.
    plain: bool,
    /// Whether this is such an expression.
    raw: bool,
    /// How deep the expression at hand nests.
    depth: Cell<usize>,
    /// Where that is more than allowed.
    too_deep: Cell<Option<Place>>,
}

impl Lower<'_> {
    fn body(&mut self, statements: &[mj::Stmt<'_>]) -> Vec<Stmt> {
        statements
            .iter()
            .map(|statement| self.stmt(statement))
            .collect()
    }

    /// A flat dispatch over the kinds of statements.
    fn stmt(&mut self, statement: &mj::Stmt<'_>) -> Stmt {
        match statement {
            mj::Stmt::Template(s) => Stmt::Scope(self.body(&s.children)),
            mj::Stmt::EmitExpr(s) => {
                self.raw = self.plain;
                let expr = self.expr(&s.expr);
                self.raw = false;
                Stmt::Emit(expr)
            }
            mj::Stmt::EmitRaw(s) => Stmt::Raw(Value::str(s.raw)),
            mj::Stmt::ForLoop(s) => Stmt::For(Arc::new(For {
                target: self.expr(&s.target),
                items: self.expr(&s.iter),
                filter: s.filter_expr.as_ref().map(|expr| self.expr(expr)),
                body: self.body(&s.body),
                otherwise: self.body(&s.else_body),
                recursive: s.recursive,
            })),
            mj::Stmt::IfCond(s) => Stmt::If(
                self.expr(&s.expr),
                self.body(&s.true_body),
                self.body(&s.false_body),
            ),
            mj::Stmt::WithBlock(s) => Stmt::With(
                s.assignments
                    .iter()
                    .map(|(target, value)| (self.expr(target), self.expr(value)))
                    .collect(),
                self.body(&s.body),
            ),
            mj::Stmt::Set(s) => Stmt::Set(self.expr(&s.target), self.expr(&s.expr)),
            mj::Stmt::SetBlock(s) => Stmt::SetBlock(
                self.expr(&s.target),
                s.filter.as_ref().map(|expr| self.expr(expr)),
                self.body(&s.body),
            ),
            mj::Stmt::AutoEscape(s) => Stmt::Scope(self.body(&s.body)),
            mj::Stmt::FilterBlock(s) => Stmt::FilterBlock(self.expr(&s.filter), self.body(&s.body)),
            mj::Stmt::Block(s) => {
                let body = Arc::new(self.body(&s.body));
                let name: Arc<str> = s.name.into();
                self.blocks.insert(Arc::clone(&name), body);
                Stmt::Block {
                    name,
                    scoped: self.scoped(s.span()),
                    required: s.required,
                }
            }
            mj::Stmt::Import(s) => Stmt::Import {
                path: self.expr(&s.expr),
                target: self.expr(&s.name),
                context: self.context(s.span(), false),
            },
            mj::Stmt::FromImport(s) => {
                let name = |expr: &mj::Expr<'_>| -> Arc<str> {
                    match expr {
                        mj::Expr::Var(var) => var.id.into(),
                        _ => "".into(),
                    }
                };
                Stmt::FromImport {
                    path: self.expr(&s.expr),
                    names: s
                        .names
                        .iter()
                        .map(|(from, to)| (name(from), name(to.as_ref().unwrap_or(from))))
                        .collect(),
                    context: self.context(s.span(), false),
                }
            }
            mj::Stmt::Extends(s) => {
                self.extends = true;
                Stmt::Extends(self.expr(&s.name))
            }
            mj::Stmt::Include(s) => Stmt::Include {
                path: self.expr(&s.name),
                optional: s.ignore_missing,
                context: self.context(s.span(), true),
            },
            mj::Stmt::Macro(s) => Stmt::Macro(self.macro_(s, s.span())),
            mj::Stmt::CallBlock(s) => {
                let call =
                    ExprKind::Call(Box::new(self.expr(&s.call.expr)), self.args(&s.call.args));
                Stmt::CallBlock {
                    call: Expr {
                        place: self.adjusted.place(s.call.span()),
                        kind: call,
                    },
                    caller: self.macro_(&s.macro_decl, s.span()),
                }
            }
            mj::Stmt::Continue(_) => Stmt::Continue,
            mj::Stmt::Break(_) => Stmt::Break,
            mj::Stmt::Do(s) => match (&s.call.expr, &s.call.args[..]) {
                (mj::Expr::Var(var), [mj::CallArg::Pos(expr)]) if var.id == "__do" => {
                    Stmt::Do(self.expr(expr))
                }
                _ => Stmt::Do(Expr {
                    place: self.adjusted.place(s.call.span()),
                    kind: ExprKind::Call(
                        Box::new(self.expr(&s.call.expr)),
                        self.args(&s.call.args),
                    ),
                }),
            },
        }
    }

    /// Whether a block says `scoped`; the parser drops that.
    fn scoped(&self, span: machinery::Span) -> bool {
        let (start, _) = self.adjusted.place(span);
        let written = self.text.get(start as usize..).unwrap_or_default();
        let mut words = written.split(|c: char| !c.is_alphanumeric() && c != '_');
        let mut after = words.by_ref().skip_while(|word| *word != "block").skip(1);
        let mut named = after.by_ref().filter(|word| !word.is_empty());
        named.next().is_some() && named.next() == Some("scoped")
    }

    /// Whether an import or include says `with context`; the parser drops that.
    fn context(&self, span: machinery::Span, default: bool) -> bool {
        let (start, end) = self.adjusted.place(span);
        let words: Vec<&str> = self
            .text
            .get(start as usize..end as usize)
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let at = words.iter().position(|word| *word == "context");
        match at.and_then(|at| at.checked_sub(1)).map(|at| words[at]) {
            Some("with") => true,
            Some("without") => false,
            _ => default,
        }
    }

    fn macro_(&mut self, macro_: &mj::Macro<'_>, span: machinery::Span) -> Arc<Macro> {
        let (start, end) = self.adjusted.place(span);
        let written = self
            .text
            .get(start as usize..end as usize)
            .unwrap_or_default();
        let (uses_varargs, uses_kwargs) = (written.contains("varargs"), written.contains("kwargs"));
        let name = |expr: &mj::Expr<'_>| match expr {
            mj::Expr::Var(var) => Arc::from(var.id),
            _ => Arc::from(""),
        };
        Arc::new(Macro {
            name: macro_.name.into(),
            params: macro_.args.iter().map(name).collect(),
            defaults: macro_.defaults.iter().map(|expr| self.expr(expr)).collect(),
            uses_varargs,
            uses_caller: written.contains("caller"),
            uses_kwargs,
            body: self.body(&macro_.body),
        })
    }

    fn boxed(&self, expr: &mj::Expr<'_>) -> Box<Expr> {
        Box::new(self.expr(expr))
    }

    fn exprs(&self, exprs: &[mj::Expr<'_>]) -> Vec<Expr> {
        exprs.iter().map(|expr| self.expr(expr)).collect()
    }

    fn expr(&self, expr: &mj::Expr<'_>) -> Expr {
        let place = self.adjusted.place(expr.span());
        if self.depth.get() >= NESTED {
            self.too_deep.set(Some(place));
            return Expr {
                place,
                kind: ExprKind::Const(Value::None),
            };
        }
        self.depth.set(self.depth.get() + 1);
        let kind = super::deep(|| self.kind(expr, place));
        self.depth.set(self.depth.get() - 1);
        Expr { place, kind }
    }

    /// A flat dispatch over the kinds of expressions.
    fn kind(&self, expr: &mj::Expr<'_>, place: Place) -> ExprKind {
        match expr {
            mj::Expr::Var(e) => ExprKind::Name(e.id.into()),
            mj::Expr::Const(e) => ExprKind::Const(self.constant(&e.value, place)),
            mj::Expr::Slice(e) => {
                let part = |expr: &Option<mj::Expr<'_>>| expr.as_ref().map(|expr| self.boxed(expr));
                ExprKind::Slice(
                    self.boxed(&e.expr),
                    [part(&e.start), part(&e.stop), part(&e.step)],
                )
            }
            mj::Expr::UnaryOp(e) => match e.op {
                mj::UnaryOpKind::Not => ExprKind::Not(self.boxed(&e.expr)),
                mj::UnaryOpKind::Neg => ExprKind::Neg(self.boxed(&e.expr)),
            },
            mj::Expr::BinOp(e) => self.binary(e),
            mj::Expr::Compare(e) => {
                let ops = e
                    .ops
                    .iter()
                    .map(|op| (comparison(op.op), self.expr(&op.expr)))
                    .collect();
                ExprKind::Compare(self.boxed(&e.expr), ops)
            }
            mj::Expr::IfExpr(e) => ExprKind::If {
                test: self.boxed(&e.test_expr),
                yes: self.boxed(&e.true_expr),
                no: e.false_expr.as_ref().map(|expr| self.boxed(expr)),
            },
            mj::Expr::Filter(e) => ExprKind::Filter {
                name: e.name.into(),
                operand: e.expr.as_ref().map(|expr| self.boxed(expr)),
                args: self.args(&e.args),
            },
            mj::Expr::Test(e) => ExprKind::Test {
                name: e.name.into(),
                operand: self.boxed(&e.expr),
                args: self.args(&e.args),
            },
            mj::Expr::GetAttr(e) => ExprKind::Attr(self.boxed(&e.expr), e.name.into()),
            mj::Expr::GetItem(e) => {
                ExprKind::Item(self.boxed(&e.expr), self.boxed(&e.subscript_expr))
            }
            mj::Expr::Call(e) => ExprKind::Call(self.boxed(&e.expr), self.args(&e.args)),
            mj::Expr::List(e) => ExprKind::List(self.exprs(&e.items)),
            mj::Expr::Tuple(e) => ExprKind::Tuple(self.exprs(&e.items)),
            mj::Expr::Map(e) => ExprKind::Dict(
                e.keys
                    .iter()
                    .zip(&e.values)
                    .map(|(key, value)| (self.expr(key), self.expr(value)))
                    .collect(),
            ),
        }
    }

    fn check(&self) -> Result<(), SyntaxError> {
        match self.too_deep.get() {
            Some(place) => Err(SyntaxError {
                message: "the expression nests too deep".into(),
                place,
                hint: None,
            }),
            None => Ok(()),
        }
    }

    fn binary(&self, e: &mj::BinOp<'_>) -> ExprKind {
        let (left, right) = (self.boxed(&e.left), self.boxed(&e.right));
        let compare = |op, left, right: Box<Expr>| ExprKind::Compare(left, vec![(op, *right)]);
        match e.op {
            mj::BinOpKind::Eq => compare(Comparison::Eq, left, right),
            mj::BinOpKind::Ne => compare(Comparison::Ne, left, right),
            mj::BinOpKind::Lt => compare(Comparison::Lt, left, right),
            mj::BinOpKind::Lte => compare(Comparison::Le, left, right),
            mj::BinOpKind::Gt => compare(Comparison::Gt, left, right),
            mj::BinOpKind::Gte => compare(Comparison::Ge, left, right),
            mj::BinOpKind::In => compare(Comparison::In, left, right),
            mj::BinOpKind::ScAnd => ExprKind::And(left, right),
            mj::BinOpKind::ScOr => ExprKind::Or(left, right),
            mj::BinOpKind::Concat => ExprKind::Concat(left, right),
            mj::BinOpKind::Add => ExprKind::Binary("+", left, right),
            mj::BinOpKind::Sub => ExprKind::Binary("-", left, right),
            mj::BinOpKind::Mul => ExprKind::Binary("*", left, right),
            mj::BinOpKind::Div => ExprKind::Binary("/", left, right),
            mj::BinOpKind::FloorDiv => ExprKind::Binary("//", left, right),
            mj::BinOpKind::Rem => ExprKind::Binary("%", left, right),
            mj::BinOpKind::Pow => ExprKind::Binary("**", left, right),
        }
    }

    fn constant(&self, value: &minijinja::Value, (start, end): Place) -> Value {
        match value.kind() {
            ValueKind::Bool => Value::Bool(value.is_true()),
            ValueKind::Number if value.is_integer() => i128::try_from(value.clone()).map_or_else(
                |_| Value::Float(f64::try_from(value.clone()).unwrap_or(0.0)),
                Value::Int,
            ),
            ValueKind::Number => Value::Float(f64::try_from(value.clone()).unwrap_or(0.0)),
            ValueKind::String => {
                let source = self
                    .text
                    .get(start as usize..end as usize)
                    .unwrap_or_default();
                let text = literals(source, self.raw)
                    .unwrap_or_else(|| value.as_str().unwrap_or_default().to_owned());
                Value::str(text)
            }
            _ => Value::None,
        }
    }

    fn args(&self, args: &[mj::CallArg<'_>]) -> Vec<Arg> {
        args.iter()
            .map(|arg| match arg {
                mj::CallArg::Pos(expr) => Arg::Positional(self.expr(expr)),
                mj::CallArg::Kwarg(name, expr) => Arg::Keyword((*name).into(), self.expr(expr)),
                mj::CallArg::PosSplat(expr) => Arg::Splat(self.expr(expr)),
                mj::CallArg::KwargSplat(expr) => Arg::KeywordSplat(self.expr(expr)),
            })
            .collect()
    }
}

fn comparison(op: mj::CompareOpKind) -> Comparison {
    match op {
        mj::CompareOpKind::Eq => Comparison::Eq,
        mj::CompareOpKind::Ne => Comparison::Ne,
        mj::CompareOpKind::Lt => Comparison::Lt,
        mj::CompareOpKind::Lte => Comparison::Le,
        mj::CompareOpKind::Gt => Comparison::Gt,
        mj::CompareOpKind::Gte => Comparison::Ge,
        mj::CompareOpKind::In => Comparison::In,
        mj::CompareOpKind::NotIn => Comparison::NotIn,
    }
}
