//! The evaluator of expressions: Python's semantics over [`Value`], variables templated when reached.

use std::cmp::Ordering;
use std::sync::Arc;

use super::args::Args;
use super::ast::{Arg, Comparison, Expr, ExprKind};
use super::fault::{Fault, Outcome};
use super::interp::Interp;
use super::lazy::defined;
use super::objects::{BoundMethod, Frame, Loop, MacroObject, Nothing, Super};
use super::value::{Entries, Key, Undefined, Value};
use super::{filters, format, functions, limits, methods, ops, tests};
use crate::diag::Diagnostic;

const EMBEDDED: &str = "Jinja constant strings should not contain embedded templates. This feature will be disabled by default in ansible-core 2.23.";
const INSTEAD_OF_EMBEDDED: &str = "Use inline expressions, for example: `when: \"{{ a_var }}\" == 42` becomes `when: a_var == 42`";

impl Interp<'_> {
    /// What `path`, the text behind a name in a template, finds in a value.
    pub(crate) fn inside(&self, value: &Value, path: &str) -> Outcome {
        let text: Arc<str> = format!("_{path}").into();
        let expr = self
            .templar
            .compile_expression(&text)
            .map_err(|error| self.expression_fault(&error, &text))?;
        let frame = Frame::root(true);
        frame.set("_".into(), value.clone());
        self.eval(&expr, &frame)
    }

    /// Evaluates an expression that may use `item`.
    pub(crate) fn with_item(&self, text: &str, item: &Value) -> Outcome {
        let text: Arc<str> = text.into();
        let expr = self
            .templar
            .compile_expression(&text)
            .map_err(|error| self.expression_fault(&error, &text))?;
        let frame = Frame::root(true);
        frame.set("item".into(), item.clone());
        match self.eval(&expr, &frame)? {
            Value::Undefined(undefined) => Err(Fault::undefined(&undefined)),
            value => Ok(value),
        }
    }

    /// Evaluates; the result may be undefined.
    pub(crate) fn eval(&self, expr: &Expr, frame: &Arc<Frame>) -> Outcome {
        let result = super::deep(|| self.eval_kind(expr, frame));
        match result {
            Err(fault) => Err(fault.at(|| self.span(expr.place))),
            Ok(Value::Undefined(undefined)) if undefined.span.is_none() => {
                let span = self.span(expr.place);
                if span.is_none() {
                    return Ok(Value::Undefined(undefined));
                }
                Ok(Value::Undefined(Arc::new(Undefined {
                    span,
                    ..(*undefined).clone()
                })))
            }
            done => done,
        }
    }

    /// Evaluates; undefined is an error.
    pub(crate) fn need(&self, expr: &Expr, frame: &Arc<Frame>) -> Outcome {
        match self.eval(expr, frame)? {
            Value::Undefined(undefined) => Err(Fault::undefined(&undefined)),
            value => Ok(value),
        }
    }

    /// A flat dispatch over the kinds of expressions.
    fn eval_kind(&self, expr: &Expr, frame: &Arc<Frame>) -> Outcome {
        match &expr.kind {
            ExprKind::Const(value) => self.constant(value),
            ExprKind::Name(name) => self.name(name, frame),
            ExprKind::Slice(value, parts) => self.eval_slice(value, parts, frame),
            ExprKind::Not(value) => Ok(Value::Bool(!self.need(value, frame)?.is_true())),
            ExprKind::Neg(value) => negated(self.need(value, frame)?),
            ExprKind::And(left, right) => {
                let left = self.need(left, frame)?;
                if left.is_true() {
                    self.eval(right, frame)
                } else {
                    Ok(left)
                }
            }
            ExprKind::Or(left, right) => {
                let left = self.need(left, frame)?;
                if left.is_true() {
                    Ok(left)
                } else {
                    self.eval(right, frame)
                }
            }
            ExprKind::Concat(left, right) => {
                let (left, right) = (self.need(left, frame)?, self.need(right, frame)?);
                let mut text = String::new();
                for value in [&left, &right] {
                    self.resolve(value)?;
                    defined(value)?;
                    text.push_str(&value.text());
                    limits::text(text.len())?;
                }
                Ok(Value::str(text))
            }
            ExprKind::Binary(op, left, right) => {
                let (left, right) = (self.need(left, frame)?, self.need(right, frame)?);
                self.resolve(&left)?;
                self.resolve(&right)?;
                match &left {
                    Value::Str(text) if *op == "%" => format::percent(text.as_str(), &right),
                    _ => Ok(ops::binary(op, &left, &right)?),
                }
            }
            ExprKind::Compare(first, rest) => self.eval_compare(first, rest, frame),
            ExprKind::If { test, yes, no } => {
                if self.need(test, frame)?.is_true() {
                    self.eval(yes, frame)
                } else if let Some(no) = no {
                    self.eval(no, frame)
                } else {
                    Ok(Value::object(Nothing))
                }
            }
            ExprKind::Filter {
                name,
                operand,
                args,
            } => {
                let operand = match operand {
                    Some(operand) => self.eval(operand, frame)?,
                    None => frame.get("__block").unwrap_or(Value::None),
                };
                let args = self.args(Some(operand), args, frame)?;
                filters::apply(self, name, args)
            }
            ExprKind::Test {
                name,
                operand,
                args,
            } => {
                let plain = matches!(operand.kind, ExprKind::Name(_));
                let operand = match self.eval(operand, frame) {
                    Err(fault) if plain && fault.is_defined() => match name.as_ref() {
                        "defined" => return Ok(Value::Bool(true)),
                        "undefined" => return Ok(Value::Bool(false)),
                        _ => return Err(fault),
                    },
                    // That is the one question which a value answers that nobody can open.
                    Err(fault) if fault.is_sealed() && name.ends_with("vault_encrypted") => {
                        return Ok(Value::Bool(true));
                    }
                    operand => operand?,
                };
                let args = self.args(Some(operand), args, frame)?;
                lasting(tests::apply(self, name, args).map(Value::Bool))
            }
            ExprKind::Attr(value, name) => {
                let value = self.eval(value, frame)?;
                self.attr(&value, name)
            }
            ExprKind::Item(value, key) => {
                let value = self.eval(value, frame)?;
                if value.is_undefined() {
                    return self.subscript(&value, &self.eval(key, frame)?);
                }
                self.subscript(&value, &self.need(key, frame)?)
            }
            ExprKind::Call(callee, args) => self.eval_call(callee, args, frame),
            ExprKind::List(items) => Ok(Value::list(self.eval_all(items, frame)?)),
            ExprKind::Tuple(items) => Ok(Value::tuple(self.eval_all(items, frame)?)),
            ExprKind::Dict(pairs) => {
                let mut entries = Entries::with_capacity(pairs.len());
                for (key, value) in pairs {
                    let key = self.need(key, frame)?;
                    ops::hashable(&key)?;
                    entries.insert(Key(key), self.eval(value, frame)?);
                }
                Ok(Value::dict(entries))
            }
        }
    }

    /// A constant; Ansible renders templates inside of a condition's strings and a lookup's
    /// arguments.
    fn constant(&self, value: &Value) -> Outcome {
        match value {
            Value::Str(text)
                if self.embedded.get()
                    && !self.templar.settings().plain_constants
                    && super::value::has_delimiters(text.as_str()) =>
            {
                self.note_here(
                    Diagnostic::warning("embedded-template", EMBEDDED).hint(INSTEAD_OF_EMBEDDED),
                );
                self.touch(Value::template(text.shared(), None))
            }
            value => Ok(value.clone()),
        }
    }

    fn eval_all(&self, items: &[Expr], frame: &Arc<Frame>) -> Result<Vec<Value>, Fault> {
        items.iter().map(|item| self.eval(item, frame)).collect()
    }

    fn eval_slice(
        &self,
        value: &Expr,
        parts: &[Option<Box<Expr>>; 3],
        frame: &Arc<Frame>,
    ) -> Outcome {
        let value = self.need(value, frame)?;
        self.resolve(&value)?;
        let mut bounds = [Ok(None), Ok(None), Ok(None)];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            let Some(part) = part else { continue };
            *bound = match self.eval(part, frame)? {
                Value::None => Ok(None),
                Value::Int(number) => Ok(Some(number)),
                Value::Bool(value) => Ok(Some(i128::from(value))),
                _ => Err("slice indices must be integers or None or have an __index__ method"),
            };
        }
        // Python looks at the step first.
        let [start, stop, step] = bounds;
        let step = step?;
        if step == Some(0) {
            return Err(Fault::new("slice step cannot be zero"));
        }
        Ok(ops::slice(&value, [start?, stop?, step])?)
    }

    fn eval_compare(
        &self,
        first: &Expr,
        rest: &[(Comparison, Expr)],
        frame: &Arc<Frame>,
    ) -> Outcome {
        let mut left = self.need(first, frame)?;
        for (op, right) in rest {
            let right = self.need(right, frame)?;
            if !self.compare(*op, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    pub(crate) fn compare(
        &self,
        op: Comparison,
        left: &Value,
        right: &Value,
    ) -> Result<bool, Fault> {
        self.resolve(left)?;
        self.resolve(right)?;
        // What is undefined within them is only asked for as far as they are looked at.
        let sought = matches!(op, Comparison::In | Comparison::NotIn);
        let one = match (left, right) {
            (Value::List(left), Value::List(right)) => Arc::ptr_eq(left, right),
            (Value::Dict(left), Value::Dict(right)) => Arc::ptr_eq(left, right),
            _ => false,
        };
        if one && !sought {
            return Ok(matches!(
                op,
                Comparison::Eq | Comparison::Le | Comparison::Ge
            ));
        }
        defined(left)?;
        if !sought {
            defined(right)?;
        } else if let Value::List(list) = right {
            let items = list.read();
            let reached = items.iter().take_while(|item| *item != left);
            reached.into_iter().try_for_each(defined)?;
        }
        Ok(match op {
            Comparison::Eq => left == right,
            Comparison::Ne => left != right,
            Comparison::Lt => ops::compare("<", left, right)? == Some(Ordering::Less),
            Comparison::Le => matches!(
                ops::compare("<=", left, right)?,
                Some(Ordering::Less | Ordering::Equal)
            ),
            Comparison::Gt => ops::compare(">", left, right)? == Some(Ordering::Greater),
            Comparison::Ge => matches!(
                ops::compare(">=", left, right)?,
                Some(Ordering::Greater | Ordering::Equal)
            ),
            Comparison::In => ops::contains(right, left)?,
            Comparison::NotIn => !ops::contains(right, left)?,
        })
    }

    /// Evaluates the arguments of a call.
    pub(crate) fn args(
        &self,
        operand: Option<Value>,
        args: &[Arg],
        frame: &Arc<Frame>,
    ) -> Result<Args, Fault> {
        let mut out = Args {
            pos: Vec::with_capacity(args.len() + 1),
            kw: vec![],
        };
        out.pos.extend(operand);
        for arg in args {
            match arg {
                Arg::Positional(expr) => out.pos.push(self.eval(expr, frame)?),
                Arg::Keyword(name, expr) => {
                    out.kw.push((name.to_string(), self.eval(expr, frame)?))
                }
                Arg::Splat(expr) => {
                    let items = self.need(expr, frame)?;
                    out.pos.extend(self.iterate(&items).map_err(
                        |fault| match fault.as_undefined() {
                            Some(_) => fault,
                            None => Fault::new(format!(
                                "Value after * must be an iterable, not {}",
                                items.type_name()
                            )),
                        },
                    )?);
                }
                Arg::KeywordSplat(expr) => match self.need(expr, frame)? {
                    Value::Dict(dict) => {
                        self.resolve(&Value::Dict(Arc::clone(&dict)))?;
                        out.kw.extend(
                            dict.read()
                                .iter()
                                .map(|(Key(key), value)| (key.text(), value.clone())),
                        );
                    }
                    other => {
                        return Err(Fault::new(format!(
                            "argument after ** must be a mapping, not {}",
                            other.type_name()
                        )));
                    }
                },
            }
        }
        for value in out.pos.iter().chain(out.kw.iter().map(|(_, value)| value)) {
            self.resolve(value)?;
        }
        Ok(out)
    }

    fn eval_call(&self, callee: &Expr, args: &[Arg], frame: &Arc<Frame>) -> Outcome {
        if let ExprKind::Attr(receiver, name) = &callee.kind {
            let receiver = self.eval(receiver, frame)?;
            if receiver.is_undefined() {
                return Ok(receiver);
            }
            if methods::exists(&receiver, name) {
                let args = self.args(None, args, frame)?;
                return lasting(methods::call(self, &receiver, name, &args));
            }
            let callee = self.attr(&receiver, name)?;
            if callee.is_undefined() {
                return Ok(callee);
            }
            return self.call_value(&callee, self.args(None, args, frame)?, frame);
        }
        if let ExprKind::Name(name) = &callee.kind
            && functions::exists(name)
            && frame.get(name).is_none()
        {
            let outer = self
                .embedded
                .replace(matches!(&**name, "lookup" | "query" | "q") || self.embedded.get());
            let args = self.args(None, args, frame);
            self.embedded.set(outer);
            let args = args?;
            return lasting(functions::call(self, name, &args));
        }
        let callee = self.eval(callee, frame)?;
        if callee.is_undefined() {
            return Ok(callee);
        }
        let args = self.args(None, args, frame)?;
        self.call_value(&callee, args, frame)
    }

    /// Calls a value.
    pub(crate) fn call_value(&self, callee: &Value, args: Args, frame: &Arc<Frame>) -> Outcome {
        let Value::Object(object) = callee else {
            return Err(Fault::new(format!(
                "'{}' object is not callable",
                callee.type_name()
            )));
        };
        let any = object.as_any();
        if let Some(macro_) = any.downcast_ref::<MacroObject>() {
            return self.call_macro(macro_, args);
        }
        if let Some(method) = any.downcast_ref::<BoundMethod>() {
            return methods::call(self, &method.receiver, &method.name, &args);
        }
        if let Some(outer) = any.downcast_ref::<Loop>() {
            if !outer.statement.recursive {
                let text = "The loop must have the 'recursive' marker to be called recursively.";
                return Err(Fault::new(text));
            }
            let items = self.iterate(args.operand())?;
            let mut out = Vec::new();
            self.run_loop(
                &outer.statement,
                items,
                outer.depth + 1,
                &outer.frame,
                &mut out,
            )?;
            return self.concat(out);
        }
        if let Some(parent) = any.downcast_ref::<Super>() {
            let mut out = Vec::new();
            self.run_block(&parent.name, parent.level, frame, &mut out)?;
            return self.concat(out);
        }
        if let Some(function) = any.downcast_ref::<functions::Function>() {
            return functions::call(self, function.0, &args);
        }
        match object.call(&args.pos, &args.kw) {
            Some(result) => Ok(result?),
            None => Err(Fault::new(format!(
                "'{}' object is not callable",
                callee.type_name()
            ))),
        }
    }
}

/// `-value`
fn negated(value: Value) -> Outcome {
    match value {
        Value::Float(number) => Ok(Value::Float(-number)),
        Value::Int(number) => Ok(Value::Int(-number)),
        Value::Bool(value) => Ok(Value::Int(-i128::from(value))),
        Value::Object(object) if object.attr("total_seconds").is_some() => {
            Ok(ops::binary("*", &Value::Object(object), &Value::Int(-1))?)
        }
        other => Err(Fault::new(format!(
            "bad operand type for unary -: '{}'",
            other.type_name()
        ))),
    }
}

/// What is made with something undefined is undefined itself, until it is used.
pub(crate) fn lasting(made: Outcome) -> Outcome {
    made.or_else(|fault| match fault.as_undefined() {
        Some(undefined) => Ok(Value::Undefined(Arc::clone(undefined))),
        None => Err(fault),
    })
}
