//! The evaluator of statements.

use std::sync::{Arc, Mutex};

use super::args::Args;
use super::ast::{self, Expr, ExprKind, For, Macro, Stmt, Template};
use super::fault::{Fault, Outcome};
use super::files;
use super::interp::Interp;
use super::limits;
use super::objects::{Frame, Loop, MacroObject, Module, Namespace, Super};
use super::value::{Entries, Key, Value};

/// How many macros may be called inside of each other; Python gives up at about as many.
const CALLS: usize = 200;

/// What a statement asks of the loop around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    Break,
    Continue,
}

impl Interp<'_> {
    /// Runs a template, and the ones it extends.
    pub(crate) fn run_template(
        &self,
        template: &Arc<Template>,
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<(), Fault> {
        for (name, body) in &template.blocks {
            self.blocks
                .borrow_mut()
                .entry(Arc::clone(name))
                .or_default()
                .push(Arc::clone(body));
        }
        let outer = self.extending.replace(template.extends);
        let above = self.top.replace(Some(Arc::clone(frame)));
        let body = &template.body;
        let work = || self.run(body, frame, out);
        let result = self.remarking(|tell| ast::reads(body, tell), work);
        self.extending.set(outer);
        self.top.replace(above);
        result?;
        if template.extends {
            let Some(Value::Str(path)) = frame.get("__parent") else {
                return Ok(());
            };
            out.clear();
            frame.set("__parent".into(), Value::None);
            let (parent, text, file) = files::load(self, path.as_str())?;
            return self.within(&text, None, Some(file), || {
                self.run_template(&parent, frame, out)
            });
        }
        Ok(())
    }

    /// Runs statements in order.
    pub(crate) fn run(
        &self,
        body: &[Stmt],
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<Flow, Fault> {
        for statement in body {
            match self.statement(statement, frame, out)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    /// What is printed is as it was then, and its tuples are lists.
    fn emitted(&self, value: Value) -> Outcome {
        match &value {
            Value::Tuple(_) | Value::List(_) | Value::Dict(_) => {
                let printed = self.finish(&value, true)?;
                Ok(if self.mutates() {
                    printed.copied()
                } else {
                    printed
                })
            }
            _ => Ok(value),
        }
    }

    fn run_to_value(&self, body: &[Stmt], frame: &Arc<Frame>) -> Outcome {
        let mut out = Vec::new();
        self.run(body, frame, &mut out)?;
        self.concat(out)
    }

    /// A flat dispatch over the kinds of statements.
    fn statement(
        &self,
        statement: &Stmt,
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<Flow, Fault> {
        match statement {
            Stmt::Raw(text) => out.push(text.clone()),
            Stmt::Emit(expr) => {
                let value = self.eval(expr, frame)?;
                out.push(self.emitted(value)?);
            }
            Stmt::For(statement) => {
                let items = self.need(&statement.items, frame)?;
                let items = self
                    .iterate(&items)
                    .map_err(|fault| fault.at(|| self.span(statement.items.place)))?;
                self.run_loop(statement, items, 0, frame, out)?;
            }
            Stmt::If(test, yes, no) => {
                let body = if self.need(test, frame)?.is_true() {
                    yes
                } else {
                    no
                };
                return self.run(body, frame, out);
            }
            Stmt::With(assignments, body) => {
                let inner = Frame::child(frame);
                for (target, value) in assignments {
                    let value = self.eval(value, frame)?;
                    self.assign(target, value, &inner)?;
                }
                return self.run(body, &inner, out);
            }
            Stmt::Set(target, value) => {
                let value = self.eval(value, frame)?;
                self.assign(target, value, frame)?;
            }
            Stmt::SetBlock(target, filter, body) => {
                let value = self.run_to_value(body, &Frame::child(frame))?;
                let value = self.filtered(filter.as_ref(), value, frame)?;
                self.assign(target, value, frame)?;
            }
            Stmt::FilterBlock(filter, body) => {
                let value = self.run_to_value(body, &Frame::child(frame))?;
                out.push(self.filtered(Some(filter), value, frame)?);
            }
            Stmt::Block {
                name,
                scoped,
                required,
            } => self.block(name, *scoped, *required, frame, out)?,
            Stmt::Import {
                path,
                target,
                context,
            } => {
                let module = self.module(path, *context, frame)?;
                self.assign(target, module, frame)?;
            }
            Stmt::FromImport {
                path,
                names,
                context,
            } => {
                let module = self.module(path, *context, frame)?;
                for (from, to) in names {
                    let found = match self.attr(&module, from)? {
                        Value::Undefined(_) => Value::undefined(format!(
                            "the template {} (imported on line 1) does not export the requested name {}",
                            module.repr(),
                            Value::str(&**from).repr()
                        )),
                        found => found,
                    };
                    frame.set(Arc::clone(to), found);
                }
            }
            Stmt::Extends(path) => {
                let path = self.need(path, frame)?;
                if matches!(frame.get("__parent"), Some(Value::Str(_))) {
                    return Err(Fault::new("extended multiple times"));
                }
                frame.set("__parent".into(), path);
            }
            Stmt::Include {
                path,
                optional,
                context,
            } => self.include(path, *optional, *context, frame, out)?,
            Stmt::Macro(definition) => {
                frame.set(
                    Arc::clone(&definition.name),
                    macro_object(definition, frame),
                );
            }
            Stmt::CallBlock { call, caller } => {
                let ExprKind::Call(callee, args) = &call.kind else {
                    return Ok(Flow::Next);
                };
                let callee = self.need(callee, frame)?;
                let mut args = self.args(None, args, frame)?;
                args.kw.push(("caller".into(), macro_object(caller, frame)));
                out.push(self.call_value(&callee, args, frame)?);
            }
            Stmt::Continue => return Ok(Flow::Continue),
            Stmt::Break => return Ok(Flow::Break),
            Stmt::Do(expr) => {
                self.eval(expr, frame)?;
            }
            Stmt::Scope(body) => return self.run(body, &Frame::child(frame), out),
        }
        Ok(Flow::Next)
    }

    /// A named block where it stands, unless another template decides where.
    fn block(
        &self,
        name: &Arc<str>,
        scoped: bool,
        required: bool,
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<(), Fault> {
        if self.extending.get() {
            return Ok(());
        }
        let alone = self
            .blocks
            .borrow()
            .get(name)
            .is_none_or(|bodies| bodies.len() == 1);
        if required && alone {
            return Err(Fault::new(format!("Required block '{name}' not found")));
        }
        let top = self.top.borrow().clone().filter(|_| !scoped);
        self.run_block(name, 0, top.as_ref().unwrap_or(frame), out)
    }

    fn filtered(&self, filter: Option<&Expr>, value: Value, frame: &Arc<Frame>) -> Outcome {
        let Some(filter) = filter else {
            return Ok(value);
        };
        let inner = Frame::child(frame);
        // A block without output is an empty text for the filter.
        let value = if matches!(value, Value::None) {
            Value::str("")
        } else {
            value
        };
        inner.set("__block".into(), value);
        self.eval(filter, &inner)
    }

    /// Binds a name, an attribute of a namespace, or several names.
    fn assign(&self, target: &Expr, value: Value, frame: &Arc<Frame>) -> Result<(), Fault> {
        match &target.kind {
            ExprKind::Name(name) => frame.set(Arc::clone(name), value),
            ExprKind::Attr(object, name) => match self.eval(object, frame)? {
                Value::Object(object) if object.as_any().is::<Namespace>() => {
                    if let Some(space) = object.as_any().downcast_ref::<Namespace>() {
                        space.0.write().insert(Key::from(&**name), value);
                    }
                }
                _ => {
                    return Err(
                        Fault::new("cannot assign attribute on non-namespace object")
                            .at(|| self.span(target.place)),
                    );
                }
            },
            ExprKind::List(targets) | ExprKind::Tuple(targets) => {
                let items = match &value {
                    Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
                    value => self.iterate(value).map_err(|_| {
                        Fault::new(format!(
                            "cannot unpack non-iterable {} object",
                            value.type_name()
                        ))
                    })?,
                };
                if items.len() > targets.len() {
                    return Err(Fault::new(format!(
                        "too many values to unpack (expected {})",
                        targets.len()
                    )));
                }
                if items.len() < targets.len() {
                    return Err(Fault::new(format!(
                        "not enough values to unpack (expected {}, got {})",
                        targets.len(),
                        items.len()
                    )));
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item, frame)?;
                }
            }
            _ => {
                return Err(
                    Fault::new("cannot assign to this expression").at(|| self.span(target.place))
                );
            }
        }
        Ok(())
    }

    /// Runs the body for each item that passes the filter.
    pub(crate) fn run_loop(
        &self,
        statement: &Arc<For>,
        items: Vec<Value>,
        depth: usize,
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<(), Fault> {
        let mut kept = items;
        if let Some(filter) = &statement.filter {
            let mut passed = Vec::new();
            for item in kept {
                let inner = Frame::child(frame);
                self.assign(&statement.target, item.clone(), &inner)?;
                if self.need(filter, &inner)?.is_true() {
                    passed.push(item);
                }
            }
            kept = passed;
        }
        if kept.is_empty() {
            self.run(&statement.otherwise, &Frame::child(frame), out)?;
            return Ok(());
        }
        let items: Arc<[Value]> = kept.into();
        let changed = Arc::new(Mutex::new(None));
        for (index, item) in items.iter().enumerate() {
            self.rounds.set(self.rounds.get() + 1);
            if self.rounds.get() > limits::ROUNDS {
                let text = format!("loops run more than {} times", limits::ROUNDS);
                return Err(Fault::new(text).at(|| self.span(statement.items.place)));
            }
            let inner = Frame::child(frame);
            self.assign(&statement.target, item.clone(), &inner)?;
            let state = Loop {
                items: Arc::clone(&items),
                index,
                depth,
                changed: Arc::clone(&changed),
                statement: Arc::clone(statement),
                frame: Arc::clone(frame),
            };
            inner.set("loop".into(), Value::object(state));
            if self.run(&statement.body, &inner, out)? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    /// Runs a named block; `level` counts from the template that overrides last.
    pub(crate) fn run_block(
        &self,
        name: &Arc<str>,
        level: usize,
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<(), Fault> {
        let body = self
            .blocks
            .borrow()
            .get(name)
            .and_then(|bodies| bodies.get(level))
            .cloned();
        let Some(body) = body else {
            return Err(Fault::coded(
                "undefined-variable",
                format!("there is no parent block called '{name}'."),
            ));
        };
        let inner = Frame::child(frame);
        inner.set(
            "super".into(),
            Value::object(Super {
                name: Arc::clone(name),
                level: level + 1,
            }),
        );
        self.run(&body, &inner, out)?;
        Ok(())
    }

    fn include(
        &self,
        path: &Expr,
        optional: bool,
        context: bool,
        frame: &Arc<Frame>,
        out: &mut Vec<Value>,
    ) -> Result<(), Fault> {
        let names = match self.need(path, frame)? {
            value @ (Value::List(_) | Value::Tuple(_)) => self.iterate(&value)?,
            value => vec![value],
        };
        if names.is_empty() && !optional {
            let text = "Tried to select from an empty list of templates.";
            return Err(Fault::new(text).at(|| self.span(path.place)));
        }
        let mut failure = None;
        for name in &names {
            match files::load(self, &name.text()) {
                Ok(loaded) => {
                    let inner = if context {
                        Frame::child(frame)
                    } else {
                        Frame::root(false)
                    };
                    let nodes = self.run_loaded(loaded, &inner)?;
                    out.push(self.concat(nodes)?);
                    return Ok(());
                }
                Err(fault) => failure = failure.or(Some(fault)),
            }
        }
        let absent = |fault: &Fault| fault.message().contains(" not found in search path");
        match failure {
            Some(fault) if !optional && names.len() > 1 && absent(&fault) => {
                let names: Vec<String> = names.iter().map(Value::text).collect();
                let text = format!(
                    "none of the templates given were found: {}",
                    names.join(", ")
                );
                Err(Fault::new(text).at(|| self.span(path.place)))
            }
            Some(fault) if !optional || fault.message().starts_with("Syntax") => {
                Err(fault.at(|| self.span(path.place)))
            }
            _ => Ok(()),
        }
    }

    /// The names that a template defines.
    fn module(&self, path: &Expr, context: bool, frame: &Arc<Frame>) -> Outcome {
        let name = self.need(path, frame)?;
        let loaded =
            files::load(self, &name.text()).map_err(|fault| fault.at(|| self.span(path.place)))?;
        // Without context a module still sees the variables: they are globals of Ansible's.
        let frame = if context {
            Frame::child(frame)
        } else {
            Frame::root(true)
        };
        self.run_loaded(loaded, &frame)?;
        Ok(Value::object(Module { frame }))
    }

    /// Runs another file's template in a frame, with blocks of its own; gives what it prints.
    fn run_loaded(
        &self,
        (template, text, file): files::Loaded,
        frame: &Arc<Frame>,
    ) -> Result<Vec<Value>, Fault> {
        let mut nodes = Vec::new();
        let blocks = self.blocks.take();
        let result = self.within(&text, None, Some(file), || {
            self.run_template(&template, frame, &mut nodes)
        });
        self.blocks.replace(blocks);
        result?;
        Ok(nodes)
    }

    /// Calls a macro.
    pub(crate) fn call_macro(&self, object: &MacroObject, args: Args) -> Outcome {
        let definition = &object.definition;
        let frame = Frame::child(&object.frame);
        let mut rest = args.pos.into_iter();
        let mut named = args.kw;
        let plain = definition.params.len() - definition.defaults.len();
        let caller = named
            .iter()
            .position(|(name, _)| name == "caller")
            .map(|at| named.remove(at).1);
        for (index, param) in definition.params.iter().enumerate() {
            let value = match rest.next() {
                Some(value) => value,
                None => match named.iter().position(|(name, _)| **name == **param) {
                    Some(at) => named.remove(at).1,
                    None if index >= plain => {
                        self.eval(&definition.defaults[index - plain], &frame)?
                    }
                    None => Value::undefined(format!("parameter '{param}' was not provided")),
                },
            };
            frame.set(Arc::clone(param), value);
        }
        let extra: Vec<Value> = rest.collect();
        // What `call` hands over has no name.
        let shown = match &*definition.name {
            "caller" => "None".to_owned(),
            name => format!("'{name}'"),
        };
        if let Some((name, _)) = named.first()
            && !object.uses_kwargs()
        {
            return Err(Fault::new(format!(
                "macro {shown} takes no keyword argument '{name}'"
            )));
        }
        if !extra.is_empty() && !object.uses_varargs() {
            return Err(Fault::new(format!(
                "macro {shown} takes not more than {} argument(s)",
                definition.params.len()
            )));
        }
        frame.set("varargs".into(), Value::list(extra));
        let entries: Entries = named
            .into_iter()
            .map(|(name, value)| (Key::from(name), value))
            .collect();
        frame.set("kwargs".into(), Value::dict(entries));
        if caller.is_some() && !definition.uses_caller {
            return Err(Fault::new(format!(
                "macro '{}' was invoked with two values for the special caller argument. This is most likely a bug.",
                definition.name
            )));
        }
        if let Some(caller) = caller {
            frame.set("caller".into(), caller);
        }
        if self.calls.get() >= CALLS {
            return Err(super::interp::recursion());
        }
        self.calls.set(self.calls.get() + 1);
        let result = self.run_to_value(&definition.body, &frame);
        self.calls.set(self.calls.get() - 1);
        result
    }
}

fn macro_object(definition: &Arc<Macro>, frame: &Arc<Frame>) -> Value {
    Value::object(MacroObject {
        definition: Arc::clone(definition),
        frame: Arc::clone(frame),
    })
}
