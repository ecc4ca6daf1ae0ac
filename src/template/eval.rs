//! The evaluator of expressions: Python's semantics over [`Value`], variables templated when reached.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use super::args::Args;
use super::ast::{Arg, Comparison, Expr, ExprKind, Place, Stmt};
use super::fault::{EXPRESSION_SYNTAX, Fault, Outcome};
use super::objects::{
    Blocks, BoundMethod, Frame, Group, Loop, MacroObject, Namespace, Nothing, Super,
};
use super::parse::Syntax;
use super::value::{Dict, Entries, Key, List, Str, Undefined, Unknown, Value};
use super::{Remark, Scope, Templar, filters, format, functions, limits, methods, ops, tests};
use crate::diag::{Diagnostic, Source, Span};

const EMBEDDED: &str = "Jinja constant strings should not contain embedded templates. This feature will be disabled by default in ansible-core 2.23.";
const INSTEAD_OF_EMBEDDED: &str = "Use inline expressions, for example: `when: \"{{ a_var }}\" == 42` becomes `when: a_var == 42`";

/// How deep templates may refer to templates.
const DEPTH: usize = 59;

/// How deep values may nest that are told or kept.
const NESTED: usize = 200;

/// One evaluation: a template and everything that it pulls in.
pub(crate) struct Interp<'a> {
    pub(crate) templar: &'a Templar,
    pub(crate) scope: &'a dyn Scope,
    names: RefCell<HashMap<String, Value>>,
    touched: RefCell<HashSet<usize>>,
    /// Whether a template that changes containers has been seen: then containers are copied
    /// before they are reached, so that variables stay as they are.
    mutating: Cell<bool>,
    depth: Cell<usize>,
    /// Templates refer to each other in a circle. What comes of it may still go on with their other
    /// parts, which lead there again: without this a text that names itself twice never ends.
    endless: Cell<bool>,
    /// How often the bodies of loops have run.
    pub(crate) rounds: Cell<usize>,
    /// How many macros are being called inside of each other.
    pub(crate) calls: Cell<usize>,
    /// Whether strings in expressions may be templates themselves.
    pub(crate) embedded: Cell<bool>,
    place: RefCell<Vec<Text>>,
    /// The text that was evaluated last.
    last: RefCell<Option<Text>>,
    pub(crate) blocks: RefCell<HashMap<Arc<str>, Vec<Arc<Vec<Stmt>>>>>,
    pub(crate) extending: Cell<bool>,
    /// The frame of the template that runs, for blocks that see nothing else.
    pub(crate) top: RefCell<Option<Arc<Frame>>>,
    pub(crate) syntax: RefCell<Syntax>,
    /// Where included templates are looked for; none: in the folder of the playbook.
    pub(crate) folders: RefCell<Vec<PathBuf>>,
    /// What was remarked: of a kind only the first place is told.
    remarked: RefCell<Vec<Remark>>,
    /// The subfolder in which `first_found` looks.
    pub(crate) folder: Cell<&'static str>,
}

/// What is told in place of a part that cannot be rendered, and its place where it has one of its own.
pub(crate) type Remarked = (String, Option<Span>);

/// The text that is being evaluated.
#[derive(Clone)]
pub(crate) struct Text {
    text: Arc<str>,
    origin: Option<Span>,
    file: Option<Arc<Source>>,
}

impl<'a> Interp<'a> {
    pub(crate) fn new(templar: &'a Templar, scope: &'a dyn Scope) -> Self {
        Self {
            templar,
            scope,
            names: RefCell::default(),
            touched: RefCell::default(),
            mutating: Cell::new(false),
            depth: Cell::new(0),
            endless: Cell::new(false),
            rounds: Cell::new(0),
            calls: Cell::new(0),
            embedded: Cell::new(false),
            place: RefCell::default(),
            last: RefCell::default(),
            blocks: RefCell::default(),
            extending: Cell::new(false),
            top: RefCell::default(),
            syntax: RefCell::default(),
            folders: RefCell::default(),
            remarked: RefCell::default(),
            folder: Cell::new("files"),
        }
    }

    /// Runs `work` inside a text: its errors get places in it.
    pub(crate) fn within<T>(
        &self,
        text: &Arc<str>,
        origin: Option<&Span>,
        file: Option<Arc<Source>>,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let depth = self.depth.get();
        if depth >= DEPTH || depth > 1 && self.endless.get() {
            self.endless.set(true);
            return Err(recursion().at(|| origin.cloned()));
        }
        if methods::mutates(text) {
            self.mutating.set(true);
        }
        self.depth.set(depth + 1);
        self.place.borrow_mut().push(Text {
            text: Arc::clone(text),
            origin: origin.cloned(),
            file,
        });
        let result = work().map_err(|fault| fault.at(|| origin.cloned()));
        let last = self.place.borrow_mut().pop();
        self.last.replace(last);
        self.depth.set(depth);
        if depth <= 1 {
            self.endless.set(false);
        }
        result
    }

    /// Tells something that is no error; a look ahead tells nothing.
    pub(crate) fn note(&self, problem: Diagnostic) {
        if !self.scope.forecast() {
            self.templar.note(problem);
        }
    }

    /// The same of the whole text that is being evaluated, or was just now.
    pub(crate) fn note_here(&self, problem: Diagnostic) {
        let whole = |text: &Text| match &text.file {
            Some(file) => Some(Source::named(&file.path, "")),
            None => text.origin.as_ref().map(Span::opening),
        };
        let (current, last) = (self.place.borrow(), self.last.borrow());
        let place = current.last().or(last.as_ref()).and_then(whole);
        self.note(match place {
            Some(place) => problem.at(&place),
            None => problem,
        });
    }

    fn remark(&self, remark: Option<Remark>) {
        let Some(remark) = remark else { return };
        if self.remarked.borrow().contains(&remark) {
            return;
        }
        if remark != Remark::InjectedFact || !self.templar.settings().facts_chosen {
            self.remarked.borrow_mut().push(remark);
            self.note_here(remark.diagnostic());
        }
    }

    /// Evaluates a text, and remarks on all names that it reads, in the order in which Jinja2 does:
    /// before the text, but behind what is found in the variables that come first.
    pub(crate) fn remarking<'n, T>(
        &self,
        reads: impl Fn(&mut dyn FnMut(&'n str)),
        work: impl FnOnce() -> T,
    ) -> T {
        let mut remarkable = false;
        if !self.scope.forecast() {
            reads(&mut |name| remarkable |= self.scope.remark(name).is_some());
        }
        if !remarkable {
            return work();
        }
        let mut settled = false;
        reads(&mut |name| {
            settled |= self
                .scope
                .get(name)
                .is_some_and(|raw| raw.may_hold_template());
            if !settled {
                self.remark(self.scope.remark(name));
            }
        });
        let done = work();
        if settled {
            reads(&mut |name| self.remark(self.scope.remark(name)));
        }
        done
    }

    /// Whether a template that changes containers has been seen.
    pub(crate) fn mutates(&self) -> bool {
        self.mutating.get()
    }

    /// A place in the text that is being evaluated, as a span for the user.
    pub(crate) fn span(&self, (start, end): Place) -> Option<Span> {
        let places = self.place.borrow();
        let current = places.last()?;
        if let Some(source) = &current.file {
            return Some(Span {
                source: Arc::clone(source),
                start,
                end,
            });
        }
        let origin = current.origin.as_ref()?;
        let written = origin
            .source
            .text
            .get(origin.start as usize..origin.end as usize)?;
        match written.find(&*current.text) {
            // The line counts in a long text; elsewhere a place is where its value starts.
            Some(at)
                if written[..at].contains('\n')
                    || current.text[..start as usize].contains('\n') =>
            {
                let base = origin.start + u32::try_from(at).unwrap_or(0);
                Some(Span {
                    source: Arc::clone(&origin.source),
                    start: base + start,
                    end: base + end,
                })
            }
            None if written.contains('\n') => {
                let at = inner_place(written, &current.text, start as usize, end as usize);
                Some(at.map_or_else(
                    || origin.clone(),
                    |at| {
                        let start = origin.start + u32::try_from(at).unwrap_or(0);
                        Span {
                            source: Arc::clone(&origin.source),
                            start,
                            end: start,
                        }
                    },
                ))
            }
            _ => Some(origin.clone()),
        }
    }

    /// Renders a string that may be a template.
    pub(crate) fn render_str(&self, text: &Str) -> Outcome {
        if let Some(why) = text.sealed() {
            return Err(Fault::sealed(why, text.origin()));
        }
        if !text.is_pending() {
            return Ok(Value::Str(text.clone()));
        }
        self.render_text(&lines(text.shared()), text.origin(), &Syntax::default())
    }

    /// Renders a template text to a native value.
    pub(crate) fn render_text(
        &self,
        text: &Arc<str>,
        origin: Option<&Span>,
        syntax: &Syntax,
    ) -> Outcome {
        if text.starts_with(super::files::HEADER) {
            return self.headed(text, origin, syntax);
        }
        self.within(text, origin, None, || {
            let template = self
                .templar
                .compile(text, syntax)
                .map_err(|error| self.syntax_fault(&error))?;
            let mut out = Vec::new();
            let blocks = self.blocks.take();
            let result = self.run_template(&template, &Frame::root(true), &mut out);
            self.blocks.replace(blocks);
            self.whole(text, out, result, "\n")
                .map_err(Fault::in_template)
        })
    }

    /// A text whose first line has settings of its own.
    fn headed(&self, text: &Arc<str>, origin: Option<&Span>, syntax: &Syntax) -> Outcome {
        let (body, syntax) = super::files::without_header(text, syntax).map_err(|problem| {
            let text = format!("Syntax error in template: {problem}");
            Fault::coded("template-syntax", text).at(|| origin.cloned())
        })?;
        self.render_text(&body.into(), origin, &syntax)
    }

    /// Renders a template text for a view: a remark stands in place of everything that cannot be
    /// rendered. Returns the remarks as well, each with its place.
    pub(crate) fn render_told(&self, text: &Str) -> (String, Vec<Remarked>) {
        let mut told = String::new();
        let mut remarks: Vec<Remarked> = vec![];
        let mut remark = |told: &mut String, why: &str, place: Option<Span>| {
            let why = format!("error {} - {why}", remarks.len() + 1);
            told.push_str(&format!("<< {why} >>"));
            remarks.push((why, place));
        };
        let shared = lines(text.shared());
        let syntax = Syntax::default();
        let mut out = Vec::new();
        let rendered = self.within(&shared, text.origin(), None, || {
            let template = self.templar.compile(&shared, &syntax);
            let template = template.map_err(|error| self.syntax_fault(&error))?;
            let blocks = self.blocks.take();
            let ended = self.run_template(&template, &Frame::root(true), &mut out);
            self.blocks.replace(blocks);
            ended
        });
        for node in &out {
            match node {
                Value::None => {}
                node if node.is_omit() => {}
                Value::Undefined(undefined) => {
                    remark(&mut told, &undefined.message, undefined.span.clone());
                }
                node => {
                    let written = defined(node).and_then(|()| self.write(&mut told, node));
                    if let Err(fault) = written {
                        remark(&mut told, fault.message(), None);
                    }
                }
            }
        }
        if let Err(fault) = rendered {
            let (undefined, syntax) = (
                fault.as_undefined(),
                fault.message().starts_with("Syntax error in template"),
            );
            let place = undefined.and_then(|undefined| undefined.span.clone());
            let cut = undefined.is_none() && !syntax;
            let head = if cut {
                "Error rendering template: "
            } else {
                ""
            };
            let why = fault.message();
            let head = if why.starts_with(head) { "" } else { head };
            remark(&mut told, &format!("{head}{why}"), place);
            if cut {
                remark(&mut told, "template potentially truncated", None);
            }
        }
        (told, remarks)
    }

    pub(crate) fn syntax_fault(&self, error: &super::parse::SyntaxError) -> Fault {
        Fault::coded(
            "template-syntax",
            format!("Syntax error in template: {}", error.message),
        )
        .hints(error.hint.clone())
        .at(|| self.span(error.place))
    }

    /// The same of a bare expression, in which users like to put delimiters.
    pub(crate) fn expression_fault(&self, error: &super::parse::SyntaxError, text: &str) -> Fault {
        let delimited = if super::value::has_delimiters(text) {
            ". Template delimiters are not supported in expressions"
        } else {
            ""
        };
        let message = format!("Syntax error in expression{delimited}: {}", error.message);
        let advice = || super::advice::of_expression(text).map(str::to_owned);
        Fault::coded(EXPRESSION_SYNTAX, message)
            .hints(error.hint.clone().or_else(advice))
            .at(|| self.span(error.place))
    }

    /// What a whole template gives. Its last newline is no part of it, so that what is one value keeps its type; a text
    /// gets back what it has fewer newlines at its end than the template.
    /// What is undefined stops a template where it is printed, so it is the error even if more went wrong after it.
    pub(crate) fn whole(
        &self,
        template: &str,
        nodes: Vec<Value>,
        ended: Result<(), Fault>,
        newline: &str,
    ) -> Outcome {
        if let Err(fault) = ended {
            nodes.iter().try_for_each(defined)?;
            return Err(fault);
        }
        let newlines = |text: &str| text.len() - text.trim_end_matches('\n').len();
        let value = self.concat(nodes)?;
        let Value::Str(text) = &value else {
            return Ok(value);
        };
        let missing = newlines(template).saturating_sub(newlines(text.as_str()));
        Ok(if missing == 0 {
            value
        } else {
            Value::str(format!("{}{}", text.as_str(), newline.repeat(missing)))
        })
    }

    /// What a body gives: nothing is null, one value stays as it is, several become text; something undefined makes all
    /// of it undefined.
    pub(crate) fn concat(&self, mut nodes: Vec<Value>) -> Outcome {
        for node in nodes.iter().filter(|_| nodes.len() > 1) {
            if matches!(node, Value::Undefined(_)) {
                return Ok(node.clone());
            }
            defined(node)?;
        }
        if nodes.len() > 1 {
            nodes.retain(|node| !matches!(node, Value::None) && !node.is_omit());
        }
        match nodes.len() {
            0 => Ok(Value::None),
            1 => Ok(nodes.swap_remove(0)),
            _ => {
                let mut out = String::new();
                for node in &nodes {
                    self.write(&mut out, node)?;
                }
                Ok(Value::str(out))
            }
        }
    }

    /// Appends a value as text.
    pub(crate) fn write(&self, out: &mut String, value: &Value) -> Result<(), Fault> {
        match value {
            Value::None => {}
            Value::Str(text) => out.push_str(text.as_str()),
            Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
            Value::Object(_) if value.is_omit() => {}
            value => {
                self.resolve(value)?;
                defined(value)?;
                out.push_str(&value.text());
            }
        }
        limits::text(out.len())?;
        Ok(())
    }

    // ---- reaching values ---------------------------------------------------------------------

    /// A variable.
    pub(crate) fn name(&self, name: &str, frame: &Frame) -> Outcome {
        if let Some(value) = frame.get(name) {
            return Ok(value);
        }
        if frame.sees_scope()
            && let Some(value) = self.variable(name)?
        {
            return Ok(value);
        }
        match name {
            "omit" => return Ok(Value::omit()),
            "self" => return Ok(Value::object(Blocks)),
            "lipsum" => {
                return Err(Fault::new(
                    "rplay does not make up text: it has no `lipsum`",
                ));
            }
            _ if functions::exists(name) => return Ok(functions::object(name)),
            _ => {}
        }
        Ok(Value::undefined(format!("'{name}' is undefined")))
    }

    /// A variable of the scope, templated.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<Value>, Fault> {
        if let Some(value) = self.names.borrow().get(name) {
            return Ok(Some(value.clone()));
        }
        let Some(raw) = self.scope.get(name) else {
            return Ok(None);
        };
        self.remark(self.scope.remark(name));
        let value = self.touch(raw.clone())?;
        if !matches!(value, Value::Undefined(_)) {
            self.templar.hide_named(name, &value);
        }
        if !matches!(value, Value::Undefined(_)) && (raw.may_hold_template() || self.mutating.get())
        {
            self.names
                .borrow_mut()
                .insert(name.to_owned(), value.clone());
        }
        Ok(Some(value))
    }

    /// Renders a value that was reached; containers stay lazy, in a copy of their own.
    pub(crate) fn touch(&self, value: Value) -> Outcome {
        match &value {
            Value::Str(text) if text.is_pending() => match self.render_str(text) {
                Err(fault) => match fault.as_undefined() {
                    Some(undefined) => Ok(Value::Undefined(Arc::clone(undefined))),
                    None => Err(fault),
                },
                done => done,
            },
            Value::List(list)
                if (list.lazy || self.mutating.get())
                    && !self.is_own(Arc::as_ptr(list) as usize) =>
            {
                let copy = Arc::new(List {
                    items: RwLock::new(list.to_vec()),
                    lazy: true,
                });
                self.own(Arc::as_ptr(&copy) as usize);
                Ok(Value::List(copy))
            }
            Value::Dict(dict)
                if (dict.lazy || self.mutating.get())
                    && !self.is_own(Arc::as_ptr(dict) as usize) =>
            {
                let copy = Arc::new(Dict {
                    entries: RwLock::new(dict.read().clone()),
                    lazy: true,
                });
                self.own(Arc::as_ptr(&copy) as usize);
                Ok(Value::Dict(copy))
            }
            Value::Object(object) => match object.as_any().downcast_ref::<Unknown>() {
                Some(unknown) => Err(Fault::unknown(unknown.defined)),
                None => Ok(value),
            },
            Value::Tuple(items) if value.may_hold_template() => {
                let items: Result<Vec<Value>, Fault> =
                    items.iter().map(|item| self.touch(item.clone())).collect();
                Ok(Value::tuple(items?))
            }
            _ => Ok(value),
        }
    }

    fn is_own(&self, pointer: usize) -> bool {
        self.touched.borrow().contains(&pointer)
    }

    fn own(&self, pointer: usize) {
        self.touched.borrow_mut().insert(pointer);
    }

    /// Renders everything inside, in place.
    pub(crate) fn resolve(&self, value: &Value) -> Result<(), Fault> {
        self.resolve_at(value, 0, &Cell::new(0))
    }

    fn resolve_at(&self, value: &Value, depth: usize, seen: &Cell<usize>) -> Result<(), Fault> {
        count(depth, seen)?;
        let inner = |item: &Value| self.resolve_at(item, depth + 1, seen);
        match value {
            Value::List(list) if list.lazy => {
                let length = list.read().len();
                for index in 0..length {
                    if let Some(item) = self.list_item(list, index)? {
                        inner(&item)?;
                    }
                }
            }
            Value::Dict(dict) if dict.lazy => {
                let keys: Vec<Key> = dict.read().keys().cloned().collect();
                for key in keys {
                    if let Some(item) = self.dict_item(dict, &key)? {
                        inner(&item)?;
                    }
                }
            }
            Value::List(list) => {
                for item in list.to_vec() {
                    inner(&item)?;
                }
            }
            Value::Dict(dict) => {
                let items: Vec<Value> = dict
                    .read()
                    .values()
                    .filter(|item| is_container(item))
                    .cloned()
                    .collect();
                for item in items {
                    inner(&item)?;
                }
            }
            Value::Tuple(items) => {
                for item in items.iter() {
                    inner(item)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn list_item(&self, list: &Arc<List>, index: usize) -> Result<Option<Value>, Fault> {
        let Some(item) = list.read().get(index).cloned() else {
            return Ok(None);
        };
        if !list.lazy || !needs_touch(&item) {
            return Ok(Some(item));
        }
        let value = self.touch(item)?;
        if let Some(slot) = list.write().get_mut(index) {
            *slot = value.clone();
        }
        Ok(Some(value))
    }

    fn dict_item(&self, dict: &Arc<Dict>, key: &Key) -> Result<Option<Value>, Fault> {
        let Some(item) = dict.read().get(key).cloned() else {
            return Ok(None);
        };
        if !dict.lazy || !needs_touch(&item) {
            return Ok(Some(item));
        }
        let value = self.touch(item)?;
        if let Some(slot) = dict.write().get_mut(key) {
            *slot = value.clone();
        }
        Ok(Some(value))
    }

    /// The items for a loop, each rendered.
    pub(crate) fn iterate(&self, value: &Value) -> Result<Vec<Value>, Fault> {
        match value {
            Value::Undefined(undefined) => Err(Fault::undefined(undefined)),
            Value::List(list) if list.lazy => {
                let mut items = Vec::new();
                let length = list.read().len();
                for index in 0..length {
                    items.extend(self.list_item(list, index)?);
                }
                Ok(items)
            }
            _ => Ok(ops::iterate(value)?
                .into_iter()
                .map(|item| self.touch(item))
                .collect::<Result<_, _>>()?),
        }
    }

    /// `value[key]` without falling back to attributes.
    pub(crate) fn item(&self, value: &Value, key: &Value) -> Result<Option<Value>, Fault> {
        match (value, key) {
            (Value::Dict(dict), _) => self.dict_item(dict, &Key(key.clone())),
            (Value::List(list), Value::Int(_) | Value::Bool(_)) => {
                // The lock must be free again when the item is rendered.
                let length = list.read().len();
                index(key, length).map_or(Ok(None), |at| self.list_item(list, at))
            }
            (Value::Tuple(items), Value::Int(_) | Value::Bool(_)) => {
                match index(key, items.len()) {
                    Some(at) => self.touch(items[at].clone()).map(Some),
                    None => Ok(None),
                }
            }
            (Value::Str(text), Value::Int(_) | Value::Bool(_)) => {
                let chars: Vec<char> = text.as_str().chars().collect();
                Ok(index(key, chars.len()).map(|at| Value::str(chars[at].to_string())))
            }
            (Value::Object(object), _) => {
                self.remark(key.as_str().and_then(|name| object.remark(name)));
                object.item(key).map(|item| self.touch(item)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// `value.name`: attribute, then item.
    pub(crate) fn attr(&self, value: &Value, name: &str) -> Outcome {
        if let Value::Undefined(_) = value {
            return Ok(value.clone());
        }
        if methods::exists(value, name) {
            return Ok(Value::object(BoundMethod {
                receiver: value.clone(),
                name: name.into(),
            }));
        }
        if guarded(value, name) {
            return Ok(unsafe_attribute(value, name));
        }
        if let Value::Object(object) = value
            && let Some(found) = object.attr(name)
        {
            self.remark(object.remark(name));
            return self.touch(found);
        }
        if let Some(found) = self.item(value, &Value::str(name))? {
            return Ok(found);
        }
        if let Value::Object(object) = value
            && object.as_any().is::<Blocks>()
            && self.blocks.borrow().contains_key(name)
        {
            let name = name.into();
            return Ok(Value::object(Super { name, level: 0 }));
        }
        if let Some(part) = methods::part(value, name) {
            return Ok(part);
        }
        if let Value::Object(object) = value
            && object.as_any().is::<Nothing>()
        {
            return Err(Fault::new(Nothing::USED));
        }
        Ok(missing(value, &Value::str(name)))
    }

    /// `value[key]`: item, then attribute.
    pub(crate) fn subscript(&self, value: &Value, key: &Value) -> Outcome {
        if let Value::Undefined(_) = value {
            return Ok(value.clone());
        }
        if let Value::Undefined(_) = key {
            return Ok(key.clone());
        }
        if let Some(found) = self.item(value, key)? {
            return Ok(found);
        }
        if let Value::Str(name) = key {
            if methods::exists(value, name.as_str()) {
                return self.attr(value, name.as_str());
            }
            if let Value::Object(object) = value
                && let Some(found) = object.attr(name.as_str())
            {
                return self.touch(found);
            }
            if guarded(value, name.as_str()) {
                return Ok(unsafe_attribute(value, name.as_str()));
            }
        }
        Ok(missing(value, key))
    }

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

    // ---- expressions -------------------------------------------------------------------------

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

    // ---- results -----------------------------------------------------------------------------

    /// The final form of a value: nothing lazy, no tuples, omitted entries dropped.
    pub(crate) fn finish(&self, value: &Value, soft: bool) -> Outcome {
        self.finish_at(value, soft, 0, &Cell::new(0))
    }

    fn finish_at(&self, value: &Value, soft: bool, depth: usize, seen: &Cell<usize>) -> Outcome {
        count(depth, seen)?;
        let child = |item: &Value| -> Result<Option<Value>, Fault> {
            let item = self.finish_at(&self.touch(item.clone())?, soft, depth + 1, seen)?;
            Ok((!item.is_omit()).then_some(item))
        };
        Ok(match value {
            Value::Undefined(undefined) if !soft => return Err(Fault::undefined(undefined)),
            Value::List(list) => {
                let items = list.to_vec();
                if !list.lazy && items.iter().all(is_plain) {
                    return Ok(value.clone());
                }
                Value::list(
                    items
                        .iter()
                        .filter_map(|item| child(item).transpose())
                        .collect::<Result<_, _>>()?,
                )
            }
            Value::Tuple(items) => Value::list(
                items
                    .iter()
                    .filter_map(|item| child(item).transpose())
                    .collect::<Result<_, _>>()?,
            ),
            Value::Dict(dict) => {
                let entries = dict.read().clone();
                if !dict.lazy
                    && entries.values().all(is_plain)
                    && entries.keys().all(|key| is_plain_key(&key.0))
                {
                    return Ok(value.clone());
                }
                let mut out = Entries::with_capacity(entries.len());
                for (key, item) in &entries {
                    if let Some(item) = child(item)? {
                        // Only values are templates.
                        out.insert(Key(untagged(&key.0)), item);
                    }
                }
                Value::dict(out)
            }
            Value::Str(_) => untagged(value),
            Value::Object(object) if !value.is_omit() => match (object.to_dict(), object.iterate())
            {
                (Some(dict), _) => self.finish_at(&dict, soft, depth + 1, seen)?,
                (None, Some(items)) if object.storable() => {
                    if object.as_any().is::<Group>() {
                        let text = "Type 'GroupTuple' is unsupported in variable storage, converting to 'list'.";
                        self.note_here(Diagnostic::warning("unsupported-type", text));
                    }
                    self.finish_at(&Value::list(items), soft, depth + 1, seen)?
                }
                _ if object.storable() => value.clone(),
                _ => {
                    return Err(Fault::new(format!(
                        "Type '{}' is unsupported for variable storage.",
                        value.type_name()
                    )));
                }
            },
            other => other.clone(),
        })
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

/// A text that cannot be a template any more keeps its origin only.
fn untagged(value: &Value) -> Value {
    match value {
        Value::Str(text) if text.is_pending() => {
            let tag = super::value::Tag {
                origin: text.origin().cloned(),
                template: false,
                secret: text.is_secret(),
                sealed: None,
            };
            Value::Str(text.tagged(tag))
        }
        other => other.clone(),
    }
}

/// Where a part of a text stands in what was written: lines of a block are indented there, or folded.
fn inner_place(written: &str, text: &str, start: usize, end: usize) -> Option<usize> {
    let part = text.get(start..end)?.lines().next()?;
    if part.is_empty() {
        return None;
    }
    let before = text.get(..start)?.matches(part).count();
    let (at, _) = written.match_indices(part).nth(before)?;
    Some(at)
}

/// Whether a value has an attribute of this name that templates must not reach.
fn guarded(value: &Value, name: &str) -> bool {
    const OBJECT: &[&str] = &[
        "class",
        "delattr",
        "dir",
        "doc",
        "eq",
        "format",
        "ge",
        "getattribute",
        "getstate",
        "gt",
        "hash",
        "init",
        "init_subclass",
        "le",
        "lt",
        "ne",
        "new",
        "reduce",
        "reduce_ex",
        "repr",
        "setattr",
        "sizeof",
        "str",
        "subclasshook",
    ];
    const CONTAINER: &[&str] = &[
        "class_getitem",
        "contains",
        "delitem",
        "getitem",
        "iter",
        "len",
        "setitem",
    ];
    const LIST: &[&str] = &["add", "iadd", "imul", "mul", "reversed", "rmul"];
    const DICT: &[&str] = &["ior", "or", "reversed", "ror"];
    const TEXT: &[&str] = &[
        "add",
        "contains",
        "getitem",
        "getnewargs",
        "iter",
        "len",
        "mod",
        "mul",
        "rmod",
        "rmul",
    ];
    let Some(inner) = name.strip_prefix('_') else {
        return false;
    };
    if let Value::Object(object) = value
        && object.as_any().is::<Namespace>()
        && object.attr(name).is_some()
    {
        return true;
    }
    let Some(inner) = inner
        .strip_prefix('_')
        .and_then(|name| name.strip_suffix("__"))
    else {
        return false;
    };
    const FUNCTION: &[&str] = &[
        "annotations",
        "builtins",
        "call",
        "closure",
        "code",
        "defaults",
        "dict",
        "get",
        "globals",
        "kwdefaults",
        "module",
        "name",
        "qualname",
    ];
    const METHOD: &[&str] = &[
        "call",
        "module",
        "name",
        "qualname",
        "self",
        "text_signature",
    ];
    let own: &[&[&str]] = match value {
        Value::Object(object) if object.as_any().is::<functions::Function>() => &[FUNCTION],
        Value::Object(object) if object.as_any().is::<BoundMethod>() => &[METHOD],
        Value::List(_) => &[CONTAINER, LIST],
        Value::Dict(_) => &[CONTAINER, DICT],
        Value::Str(_) => &[TEXT],
        _ => &[],
    };
    own.iter()
        .chain([&OBJECT])
        .any(|names| names.contains(&inner))
}

/// The undefined value for what nobody may reach.
fn unsafe_attribute(value: &Value, name: &str) -> Value {
    Value::undefined(format!(
        "access to attribute '{name}' of '{}' object is unsafe.",
        value.type_name()
    ))
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Bytes(_) => true,
        Value::Str(text) => !text.is_pending(),
        _ => false,
    }
}

fn is_plain_key(value: &Value) -> bool {
    !value.may_hold_template()
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Dict(_) | Value::Tuple(_))
}

fn needs_touch(value: &Value) -> bool {
    match value {
        Value::Str(text) => text.is_pending(),
        other => is_container(other),
    }
}

/// A text with newlines alone between its lines.
fn lines(text: Arc<str>) -> Arc<str> {
    match text.contains('\r') {
        true => super::files::with_newlines(&text, "\n").into(),
        false => text,
    }
}

/// What is made with something undefined is undefined itself, until it is used.
pub(crate) fn lasting(made: Outcome) -> Outcome {
    made.or_else(|fault| match fault.as_undefined() {
        Some(undefined) => Ok(Value::Undefined(Arc::clone(undefined))),
        None => Err(fault),
    })
}

/// Refuses what is undefined itself.
pub(crate) fn present(value: &Value) -> Result<(), Fault> {
    match value {
        Value::Undefined(undefined) => Err(Fault::undefined(undefined)),
        _ => Ok(()),
    }
}

/// Refuses containers with something undefined in them.
pub(crate) fn defined(value: &Value) -> Result<(), Fault> {
    match value {
        Value::Undefined(undefined) => Err(Fault::undefined(undefined)),
        Value::List(list) => list.read().iter().try_for_each(defined),
        Value::Tuple(items) => items.iter().try_for_each(defined),
        Value::Dict(dict) => dict.read().values().try_for_each(defined),
        _ => Ok(()),
    }
}

/// The undefined value for what an object has not.
pub(crate) fn missing(value: &Value, key: &Value) -> Value {
    let message = match (value, key) {
        (Value::Object(object), _) if object.type_name() == "HostVars" => {
            format!("hostvars[{}]", key.repr())
        }
        _ if key.is_true() => format!(
            "object of type '{}' has no attribute {}",
            value.type_name(),
            key.repr()
        ),
        // Of empty keys Jinja2 itself speaks.
        _ => {
            let whose = match value {
                Value::None => "None".to_owned(),
                _ => format!("{} object", value.type_name()),
            };
            match key {
                Value::Str(_) => format!("'{whose}' has no attribute ''"),
                _ => format!("{whose} has no element {}", key.repr()),
            }
        }
    };
    Value::Undefined(Arc::new(Undefined {
        message,
        span: None,
        asked: Some((value.clone(), key.clone())),
    }))
}

fn index(key: &Value, length: usize) -> Option<usize> {
    let Some(ops::Number::Int(at)) = ops::number(key) else {
        return None;
    };
    let length = i128::try_from(length).ok()?;
    let at = if at < 0 { at + length } else { at };
    (0..length)
        .contains(&at)
        .then(|| usize::try_from(at).ok())
        .flatten()
}

/// The error of templates that never end.
/// Counts a value that is gone through: one that holds itself, or one item many times over, has no end.
fn count(depth: usize, seen: &Cell<usize>) -> Result<(), Fault> {
    if depth > NESTED {
        return Err(recursion());
    }
    seen.set(seen.get() + 1);
    Ok(limits::items(seen.get())?)
}

pub(crate) fn recursion() -> Fault {
    Fault::coded(
        super::ENDLESS,
        "Recursive loop detected in template: maximum recursion depth exceeded",
    )
}
