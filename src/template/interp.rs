//! One evaluation of a template, with what it pulls in: what it has seen, where it is, and what it makes of texts.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::ast::{Place, Stmt};
use super::fault::{EXPRESSION_SYNTAX, Fault, Outcome};
use super::lazy::defined;
use super::objects::Frame;
use super::parse::Syntax;
use super::value::{Str, Value};
use super::{Remark, Scope, Templar, limits, methods};
use crate::diag::{Diagnostic, Source, Span};

/// How deep templates may refer to templates.
const DEPTH: usize = 59;

/// One evaluation: a template and everything that it pulls in.
pub(crate) struct Interp<'a> {
    pub(crate) templar: &'a Templar,
    pub(crate) scope: &'a dyn Scope,
    pub(super) names: RefCell<HashMap<String, Value>>,
    pub(super) touched: RefCell<HashSet<usize>>,
    /// Whether a template that changes containers has been seen: then containers are copied
    /// before they are reached, so that variables stay as they are.
    pub(super) mutating: Cell<bool>,
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

    pub(super) fn remark(&self, remark: Option<Remark>) {
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

/// A text with newlines alone between its lines.
fn lines(text: Arc<str>) -> Arc<str> {
    match text.contains('\r') {
        true => super::files::with_newlines(&text, "\n").into(),
        false => text,
    }
}

/// The error of templates that never end.
pub(crate) fn recursion() -> Fault {
    Fault::coded(
        super::ENDLESS,
        "Recursive loop detected in template: maximum recursion depth exceeded",
    )
}
