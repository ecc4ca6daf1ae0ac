//! The syntax tree of a compiled template: owned, shared, each expression with its place.

use indexmap::IndexMap;
use std::sync::Arc;

use super::value::Value;

/// Byte offsets in the template's text.
pub(crate) type Place = (u32, u32);

/// A compiled template.
pub(crate) struct Template {
    /// What it does.
    pub(crate) body: Vec<Stmt>,
    /// Its named blocks.
    pub(crate) blocks: IndexMap<Arc<str>, Arc<Vec<Stmt>>>,
    /// Whether it has `{% extends %}`.
    pub(crate) extends: bool,
}

/// An expression.
pub(crate) struct Expr {
    /// Where it stands.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) kind: ExprKind,
}

/// The kinds of expressions.
pub(crate) enum ExprKind {
    Const(Value),
    Name(Arc<str>),
    Slice(Box<Expr>, [Option<Box<Expr>>; 3]),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    If {
        test: Box<Expr>,
        yes: Box<Expr>,
        no: Option<Box<Expr>>,
    },
    /// Without an operand inside `{% filter %}`: it is the block's text.
    Filter {
        name: Arc<str>,
        operand: Option<Box<Expr>>,
        args: Vec<Arg>,
    },
    Test {
        name: Arc<str>,
        operand: Box<Expr>,
        args: Vec<Arg>,
    },
    Attr(Box<Expr>, Arc<str>),
    Item(Box<Expr>, Box<Expr>),
    Call(Box<Expr>, Vec<Arg>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
}

/// The comparison operators.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// An argument of a call.
pub(crate) enum Arg {
    Positional(Expr),
    Keyword(Arc<str>, Expr),
    Splat(Expr),
    KeywordSplat(Expr),
}

/// A statement.
pub(crate) enum Stmt {
    Raw(Value),
    Emit(Expr),
    For(Arc<For>),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    With(Vec<(Expr, Expr)>, Vec<Stmt>),
    Set(Expr, Expr),
    SetBlock(Expr, Option<Expr>, Vec<Stmt>),
    FilterBlock(Expr, Vec<Stmt>),
    /// A named block: whether it sees the variables of what is around it, and whether another template must have it.
    Block {
        name: Arc<str>,
        scoped: bool,
        required: bool,
    },
    Import {
        path: Expr,
        target: Expr,
        context: bool,
    },
    FromImport {
        path: Expr,
        names: Vec<(Arc<str>, Arc<str>)>,
        context: bool,
    },
    Extends(Expr),
    Include {
        path: Expr,
        optional: bool,
        context: bool,
    },
    Macro(Arc<Macro>),
    CallBlock {
        call: Expr,
        caller: Arc<Macro>,
    },
    Continue,
    Break,
    Do(Expr),
    Scope(Vec<Stmt>),
}

/// `{% for %}`.
pub(crate) struct For {
    pub(crate) target: Expr,
    pub(crate) items: Expr,
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Vec<Stmt>,
    pub(crate) otherwise: Vec<Stmt>,
    /// Whether `loop(...)` runs it again.
    pub(crate) recursive: bool,
}

/// `{% macro %}`, and the body of `{% call %}`.
pub(crate) struct Macro {
    pub(crate) name: Arc<str>,
    pub(crate) params: Vec<Arc<str>>,
    /// Of the last parameters.
    pub(crate) defaults: Vec<Expr>,
    /// Whether the body names `varargs`.
    pub(crate) uses_varargs: bool,
    /// Whether its body asks for the body of a `call`.
    pub(crate) uses_caller: bool,
    /// Whether the body names `kwargs`.
    pub(crate) uses_kwargs: bool,
    pub(crate) body: Vec<Stmt>,
}
