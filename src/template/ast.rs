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

impl Expr {
    /// Tells every name that is read, also where it may never be evaluated: Jinja2 reads all names of
    /// a text before it begins.
    pub(crate) fn reads<'a>(&'a self, tell: &mut dyn FnMut(&'a str)) {
        match &self.kind {
            ExprKind::Const(_) => {}
            ExprKind::Name(name) => tell(name),
            ExprKind::Slice(value, parts) => {
                value.reads(tell);
                parts.iter().flatten().for_each(|part| part.reads(tell));
            }
            ExprKind::Not(one) | ExprKind::Neg(one) | ExprKind::Attr(one, _) => one.reads(tell),
            ExprKind::And(left, right)
            | ExprKind::Or(left, right)
            | ExprKind::Concat(left, right)
            | ExprKind::Binary(_, left, right)
            | ExprKind::Item(left, right) => {
                left.reads(tell);
                right.reads(tell);
            }
            ExprKind::Compare(first, others) => {
                first.reads(tell);
                others.iter().for_each(|(_, other)| other.reads(tell));
            }
            ExprKind::If { test, yes, no } => {
                test.reads(tell);
                yes.reads(tell);
                no.iter().for_each(|no| no.reads(tell));
            }
            ExprKind::Filter { operand, args, .. } => {
                operand.iter().for_each(|operand| operand.reads(tell));
                args.iter().for_each(|arg| arg.reads(tell));
            }
            ExprKind::Test { operand, args, .. } | ExprKind::Call(operand, args) => {
                operand.reads(tell);
                args.iter().for_each(|arg| arg.reads(tell));
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                items.iter().for_each(|item| item.reads(tell));
            }
            ExprKind::Dict(entries) => {
                for (key, value) in entries {
                    key.reads(tell);
                    value.reads(tell);
                }
            }
        }
    }
}

impl Arg {
    fn reads<'a>(&'a self, tell: &mut dyn FnMut(&'a str)) {
        let (Self::Positional(value)
        | Self::Keyword(_, value)
        | Self::Splat(value)
        | Self::KeywordSplat(value)) = self;
        value.reads(tell);
    }
}

/// Tells every name that a template reads and does not set itself, see [`Expr::reads`].
pub(crate) fn reads<'a>(body: &'a [Stmt], tell: &mut dyn FnMut(&'a str)) {
    let sets = |one: &'a Stmt| match one {
        Stmt::Set(target, _) | Stmt::SetBlock(target, ..) => match &target.kind {
            ExprKind::Name(name) => Some(&**name),
            _ => None,
        },
        _ => None,
    };
    let own: Vec<&str> = body.iter().filter_map(sets).collect();
    let mut foreign = |name| {
        if !own.contains(&name) {
            tell(name);
        }
    };
    body.iter().for_each(|one| one.reads(&mut foreign));
}

impl Stmt {
    /// Like [`Expr::reads`]. The bodies of loops and macros have names of their own.
    fn reads<'a>(&'a self, tell: &mut dyn FnMut(&'a str)) {
        match self {
            Self::Emit(value) | Self::Do(value) | Self::Set(_, value) => value.reads(tell),
            Self::If(test, yes, no) => {
                test.reads(tell);
                yes.iter().chain(no).for_each(|one| one.reads(tell));
            }
            Self::For(one) => {
                one.items.reads(tell);
                one.filter.iter().for_each(|filter| filter.reads(tell));
            }
            Self::With(values, body) => {
                values.iter().for_each(|(_, value)| value.reads(tell));
                body.iter().for_each(|one| one.reads(tell));
            }
            Self::FilterBlock(filter, body) => {
                filter.reads(tell);
                body.iter().for_each(|one| one.reads(tell));
            }
            _ => {}
        }
    }
}
