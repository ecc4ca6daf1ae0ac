//! The objects that templates make themselves: frames, loops, macros, namespaces, bound methods.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::ast::{For, Macro};
use super::value::{Dict, Object, Value};

/// Local variables, and the frame around them.
pub(crate) struct Frame {
    vars: RwLock<HashMap<Arc<str>, Value>>,
    parent: Option<Arc<Frame>>,
    scope: bool,
}

impl Frame {
    /// An outermost frame; `scope` says whether it sees the variables.
    pub(crate) fn root(scope: bool) -> Arc<Self> {
        Arc::new(Self {
            vars: RwLock::default(),
            parent: None,
            scope,
        })
    }

    /// A frame inside another.
    pub(crate) fn child(parent: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self {
            vars: RwLock::default(),
            parent: Some(Arc::clone(parent)),
            scope: parent.scope,
        })
    }

    /// A local variable.
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let mut frame = self;
        loop {
            if let Some(value) = frame
                .vars
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .get(name)
            {
                return Some(value.clone());
            }
            frame = frame.parent.as_ref()?;
        }
    }

    /// Binds a name in this frame.
    pub(crate) fn set(&self, name: Arc<str>, value: Value) {
        self.vars
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, value);
    }

    /// Whether names that are not local are variables of the scope.
    pub(crate) fn sees_scope(&self) -> bool {
        self.scope
    }

    fn own(&self, name: &str) -> Option<Value> {
        self.vars
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }
}

/// `loop`.
pub(crate) struct Loop {
    pub(crate) items: Arc<[Value]>,
    pub(crate) index: usize,
    pub(crate) depth: usize,
    pub(crate) changed: Arc<Mutex<Option<Vec<Value>>>>,
    pub(crate) statement: Arc<For>,
    pub(crate) frame: Arc<Frame>,
}

impl Loop {
    /// `loop.cycle(...)`, `loop.changed(...)`.
    fn method(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        if name == "cycle" {
            if args.is_empty() {
                return Err("no items for cycling given".into());
            }
            return Ok(args[self.index % args.len()].clone());
        }
        let mut last = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = last.as_deref() != Some(args);
        *last = Some(args.to_vec());
        Ok(Value::Bool(changed))
    }
}

impl Object for Loop {
    fn type_name(&self) -> &'static str {
        "LoopContext"
    }
    fn storable(&self) -> bool {
        false
    }
    fn attr(&self, name: &str) -> Option<Value> {
        let length = self.items.len();
        Some(match name {
            "index" => Value::from(self.index + 1),
            "index0" => Value::from(self.index),
            "revindex" => Value::from(length - self.index),
            "revindex0" => Value::from(length - self.index - 1),
            "first" => Value::Bool(self.index == 0),
            "last" => Value::Bool(self.index + 1 == length),
            "length" => Value::from(length),
            "depth" => Value::from(self.depth + 1),
            "depth0" => Value::from(self.depth),
            "previtem" => match self.index.checked_sub(1) {
                Some(at) => self.items[at].clone(),
                None => Value::undefined("there is no previous item"),
            },
            "nextitem" => match self.items.get(self.index + 1) {
                Some(item) => item.clone(),
                None => Value::undefined("there is no next item"),
            },
            "cycle" | "changed" => {
                let state = Loop {
                    items: Arc::clone(&self.items),
                    index: self.index,
                    depth: self.depth,
                    changed: Arc::clone(&self.changed),
                    statement: Arc::clone(&self.statement),
                    frame: Arc::clone(&self.frame),
                };
                Value::object(LoopMethod {
                    state,
                    name: if name == "cycle" { "cycle" } else { "changed" },
                })
            }
            _ => return None,
        })
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct LoopMethod {
    state: Loop,
    name: &'static str,
}

impl Object for LoopMethod {
    fn type_name(&self) -> &'static str {
        "method"
    }
    fn storable(&self) -> bool {
        false
    }
    fn call(&self, args: &[Value], _kwargs: &[(String, Value)]) -> Option<Result<Value, String>> {
        Some(self.state.method(self.name, args))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A macro with the frame it was defined in.
pub(crate) struct MacroObject {
    pub(crate) definition: Arc<Macro>,
    pub(crate) frame: Arc<Frame>,
}

impl MacroObject {
    /// Whether its body asks for further positional arguments.
    pub(crate) fn uses_varargs(&self) -> bool {
        self.definition.uses_varargs
    }
    /// Whether its body asks for further named arguments.
    pub(crate) fn uses_kwargs(&self) -> bool {
        self.definition.uses_kwargs
    }
}

impl Object for MacroObject {
    fn type_name(&self) -> &'static str {
        "Macro"
    }
    fn storable(&self) -> bool {
        false
    }
    fn attr(&self, name: &str) -> Option<Value> {
        match name {
            "name" => Some(Value::str(&*self.definition.name)),
            "arguments" => Some(Value::tuple(
                self.definition
                    .params
                    .iter()
                    .map(|name| Value::str(&**name))
                    .collect(),
            )),
            "catch_kwargs" => Some(Value::Bool(self.definition.uses_kwargs)),
            "catch_varargs" => Some(Value::Bool(self.definition.uses_varargs)),
            "caller" => Some(Value::Bool(self.definition.uses_caller)),
            _ => None,
        }
    }
    fn repr(&self) -> String {
        match &*self.definition.name {
            // What `call` hands over has no name.
            "caller" => "<Macro anonymous>".to_owned(),
            name => format!("<Macro '{name}'>"),
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An imported template.
pub(crate) struct Module {
    pub(crate) frame: Arc<Frame>,
}

impl Object for Module {
    fn type_name(&self) -> &'static str {
        "TemplateModule"
    }
    fn attr(&self, name: &str) -> Option<Value> {
        self.frame.own(name)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `namespace(...)`.
pub(crate) struct Namespace(pub(crate) Dict);

impl Object for Namespace {
    fn type_name(&self) -> &'static str {
        "Namespace"
    }
    fn storable(&self) -> bool {
        false
    }
    fn attr(&self, name: &str) -> Option<Value> {
        self.0.get(name)
    }
    fn item(&self, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?)
    }
    fn repr(&self) -> String {
        format!("<Namespace {}>", Value::dict(self.0.read().clone()).repr())
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `self`: the blocks of a template by name.
pub(crate) struct Blocks;

impl Object for Blocks {
    fn type_name(&self) -> &'static str {
        "TemplateReference"
    }
    fn storable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A block to be called: `super()` inside a block, `self.name()`.
pub(crate) struct Super {
    pub(crate) name: Arc<str>,
    /// How many templates that extend this one are passed over.
    pub(crate) level: usize,
}

impl Object for Super {
    fn type_name(&self) -> &'static str {
        "BlockReference"
    }
    fn storable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A method that was read but not called.
pub(crate) struct BoundMethod {
    pub(crate) receiver: Value,
    pub(crate) name: Arc<str>,
}

impl Object for BoundMethod {
    fn type_name(&self) -> &'static str {
        "builtin_function_or_method"
    }
    fn storable(&self) -> bool {
        false
    }
    fn repr(&self) -> String {
        format!(
            "<built-in method {} of {} object>",
            self.name,
            self.receiver.type_name()
        )
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What `'x' if false` gives: nothing as text, an error where something is asked of it.
pub(crate) struct Nothing;

impl Nothing {
    pub(crate) const USED: &str =
        "the inline if-expression on line 1 evaluated to false and no else section was defined.";
}

impl Object for Nothing {
    fn type_name(&self) -> &'static str {
        "Undefined"
    }
    fn iterate(&self) -> Option<Vec<Value>> {
        Some(vec![])
    }
    fn truthy(&self) -> bool {
        false
    }
    fn repr(&self) -> String {
        "Undefined".into()
    }
    fn text(&self) -> String {
        String::new()
    }
    fn storable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether a value is [`Nothing`].
pub(crate) fn is_nothing(value: &Value) -> bool {
    matches!(value, Value::Object(object) if object.as_any().is::<Nothing>())
}

/// What `groupby` gives of a group: a pair whose parts have names.
pub(crate) struct Group(pub(crate) Value, pub(crate) Value);

impl Object for Group {
    fn type_name(&self) -> &'static str {
        "_GroupTuple"
    }
    fn attr(&self, name: &str) -> Option<Value> {
        match name {
            "grouper" => Some(self.0.clone()),
            "list" => Some(self.1.clone()),
            _ => None,
        }
    }
    fn item(&self, key: &Value) -> Option<Value> {
        match key {
            Value::Int(0 | -2) => Some(self.0.clone()),
            Value::Int(1 | -1) => Some(self.1.clone()),
            _ => None,
        }
    }
    fn iterate(&self) -> Option<Vec<Value>> {
        Some(vec![self.0.clone(), self.1.clone()])
    }
    fn repr(&self) -> String {
        Value::tuple(vec![self.0.clone(), self.1.clone()]).repr()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `cycler(...)` and `joiner(...)`: values in turn.
pub(crate) struct Turns {
    pub(crate) items: Vec<Value>,
    pub(crate) at: Arc<std::sync::atomic::AtomicUsize>,
    /// The method that was read of it; none for the object itself.
    pub(crate) method: Option<&'static str>,
}

impl Turns {
    fn place(&self) -> usize {
        self.at.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn go(&self, place: usize) {
        self.at.store(place, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Object for Turns {
    fn type_name(&self) -> &'static str {
        match self.method {
            Some("join") => "Joiner",
            Some(_) => "method",
            None => "Cycler",
        }
    }
    fn attr(&self, name: &str) -> Option<Value> {
        let method = match (self.method, name) {
            (None, "current") => return self.items.get(self.place()).cloned(),
            (None, "next") => "next",
            (None, "reset") => "reset",
            _ => return None,
        };
        Some(Value::object(Turns {
            items: self.items.clone(),
            at: Arc::clone(&self.at),
            method: Some(method),
        }))
    }
    fn call(&self, _args: &[Value], _kwargs: &[(String, Value)]) -> Option<Result<Value, String>> {
        let place = self.place();
        match self.method? {
            "next" => {
                self.go((place + 1) % self.items.len());
                self.items.get(place).cloned().map(Ok)
            }
            "reset" => {
                self.go(0);
                Some(Ok(Value::None))
            }
            // A joiner gives nothing at first, its separator afterwards.
            _ => {
                self.go(1);
                Some(Ok(if place == 0 {
                    Value::str("")
                } else {
                    self.items[0].clone()
                }))
            }
        }
    }
    fn storable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
