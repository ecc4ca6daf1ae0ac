//! Filters and tests that nobody has: found when a template is compiled, as Jinja2 does.

use super::ast::{Arg, Expr, ExprKind, Macro, Place, Stmt, Template};
use super::parse::SyntaxError;
use super::refused::is_refused;
use super::{deep, filters, tests};

/// Refuses a template that uses an unknown filter or test. What is conditional may stay unused, so there it is only an
/// error when it runs; but a loop or a macro within is looked at again.
pub(super) fn check(template: &Template) -> Result<(), SyntaxError> {
    let blocks = template.blocks.values().map(|body| body.as_slice());
    std::iter::once(template.body.as_slice())
        .chain(blocks)
        .try_for_each(|body| all(body, false))
}

/// The same of a bare expression.
pub(super) fn check_expression(expr: &Expr) -> Result<(), SyntaxError> {
    expression(expr, false)
}

fn all(body: &[Stmt], conditional: bool) -> Result<(), SyntaxError> {
    body.iter()
        .try_for_each(|part| deep(|| statement(part, conditional)))
}

/// A flat dispatch over the kinds of statements; what is in them is looked at in the order of Jinja2's compiler.
fn statement(part: &Stmt, conditional: bool) -> Result<(), SyntaxError> {
    let look = |expr: &Expr| expression(expr, conditional);
    match part {
        Stmt::Raw(_) | Stmt::Block { .. } | Stmt::Continue | Stmt::Break => Ok(()),
        Stmt::Emit(expr) | Stmt::Do(expr) | Stmt::Extends(expr) => look(expr),
        Stmt::Include { path, .. } | Stmt::Import { path, .. } | Stmt::FromImport { path, .. } => {
            look(path)
        }
        Stmt::For(part) => {
            if let Some(filter) = &part.filter {
                expression(filter, false)?;
            }
            look(&part.items)?;
            all(&part.body, false)?;
            all(&part.otherwise, false)
        }
        Stmt::If(test, yes, no) => {
            expression(test, true)?;
            all(yes, true)?;
            all(no, true)
        }
        Stmt::With(values, body) => {
            values.iter().try_for_each(|(_, value)| look(value))?;
            all(body, false)
        }
        Stmt::Set(_, value) => look(value),
        Stmt::SetBlock(_, filter, body) => {
            all(body, false)?;
            filter
                .iter()
                .try_for_each(|filter| expression(filter, false))
        }
        Stmt::FilterBlock(filter, body) => {
            all(body, false)?;
            expression(filter, false)
        }
        Stmt::Macro(definition) => in_macro(definition),
        Stmt::CallBlock { call, caller } => {
            in_macro(caller)?;
            look(call)
        }
        Stmt::Scope(body) => all(body, false),
    }
}

fn in_macro(definition: &Macro) -> Result<(), SyntaxError> {
    let mut defaults = definition.defaults.iter();
    defaults.try_for_each(|default| expression(default, false))?;
    all(&definition.body, false)
}

fn expression(expr: &Expr, conditional: bool) -> Result<(), SyntaxError> {
    deep(|| parts(expr, conditional))
}

/// A flat dispatch over the kinds of expressions.
fn parts(expr: &Expr, conditional: bool) -> Result<(), SyntaxError> {
    let look = |expr: &Expr| expression(expr, conditional);
    let each = |args: &[Arg]| {
        args.iter().try_for_each(|arg| match arg {
            Arg::Positional(expr)
            | Arg::Keyword(_, expr)
            | Arg::Splat(expr)
            | Arg::KeywordSplat(expr) => look(expr),
        })
    };
    match &expr.kind {
        ExprKind::Const(_) | ExprKind::Name(_) => Ok(()),
        ExprKind::Slice(value, bounds) => {
            look(value)?;
            bounds.iter().flatten().try_for_each(|bound| look(bound))
        }
        ExprKind::Not(value) | ExprKind::Neg(value) | ExprKind::Attr(value, _) => look(value),
        ExprKind::And(left, right)
        | ExprKind::Or(left, right)
        | ExprKind::Concat(left, right)
        | ExprKind::Binary(_, left, right)
        | ExprKind::Item(left, right) => {
            look(left)?;
            look(right)
        }
        ExprKind::Compare(first, rest) => {
            look(first)?;
            rest.iter().try_for_each(|(_, value)| look(value))
        }
        ExprKind::If { test, yes, no } => {
            let no = no.as_deref();
            let mut parts = [test.as_ref(), yes.as_ref()].into_iter().chain(no);
            parts.try_for_each(|part| expression(part, true))
        }
        ExprKind::Filter {
            name,
            operand,
            args,
        } => {
            if !conditional && filters::find(name).is_none() && !is_refused("filter", name) {
                return Err(unknown("filter", name, filters::similar(name), expr.place));
            }
            operand.iter().try_for_each(|operand| look(operand))?;
            each(args)
        }
        ExprKind::Test {
            name,
            operand,
            args,
        } => {
            if !conditional && tests::find(name).is_none() && !is_refused("test", name) {
                return Err(unknown("test", name, tests::similar(name), expr.place));
            }
            look(operand)?;
            each(args)
        }
        ExprKind::Call(callee, args) => {
            look(callee)?;
            each(args)
        }
        ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().try_for_each(look),
        ExprKind::Dict(entries) => entries.iter().try_for_each(|(key, value)| {
            look(key)?;
            look(value)
        }),
    }
}

fn unknown(kind: &str, name: &str, similar: Option<&str>, place: Place) -> SyntaxError {
    SyntaxError {
        message: format!("No {kind} named '{name}'."),
        place,
        hint: similar.map(super::advice::meant),
    }
}
