//! Values as templates see them: Python's kinds, shared and mutable where Python's are, strings
//! that know where they come from and whether they may be templates.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, RwLock};

use indexmap::{Equivalent, IndexMap};

use rplay_modules::data::Data;

use crate::diag::Span;
use crate::load::node::{Node, NodeKind};

/// A value.
#[derive(Clone)]
pub enum Value {
    /// Nothing there, and why.
    Undefined(Arc<Undefined>),
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A float.
    Float(f64),
    /// Text.
    Str(Str),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list. Two clones are one list, as in Python.
    List(Arc<List>),
    /// A tuple.
    Tuple(Arc<[Value]>),
    /// A dictionary. Two clones are one dictionary.
    Dict(Arc<Dict>),
    /// Anything else: `loop`, macros, `hostvars`, bound methods, `omit`, dates ...
    Object(Arc<dyn Object>),
}

/// Text with an optional tag.
#[derive(Clone)]
pub struct Str {
    text: Arc<str>,
    tag: Option<Arc<Tag>>,
}

/// What is known of a string beyond its text.
#[derive(Clone, Debug, Default)]
pub struct Tag {
    /// Where it was written or defined.
    pub origin: Option<Span>,
    /// The user's own text: `{{ }}` in it is a template. Never set on text from a target, a
    /// lookup or a command.
    pub template: bool,
    /// Masked by value wherever it appears.
    pub secret: bool,
    /// The text is an envelope that no password opened, and why: whoever uses it fails.
    pub sealed: Option<Arc<str>>,
}

/// Why something is undefined.
#[derive(Clone, Debug, Default)]
pub struct Undefined {
    /// Ansible's sentence: `'x' is undefined`, `object of type 'dict' has no attribute 'y'`.
    pub message: String,
    /// Where the expression stands, if known.
    pub span: Option<Span>,
    /// The value that was asked, and what for.
    pub(crate) asked: Option<(Value, Value)>,
}

/// See [`Value::unknown`].
pub(crate) struct Unknown {
    /// Whether it is at least certain that there will be a value.
    pub(crate) defined: bool,
}

impl Object for Unknown {
    fn type_name(&self) -> &'static str {
        "unknown"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A list.
///
/// While `lazy` is set its items may hold templates that are rendered when they are reached.
#[derive(Default)]
pub struct List {
    /// The items.
    pub items: RwLock<Vec<Value>>,
    /// Whether items may still hold templates.
    pub lazy: bool,
}

/// A dictionary; see [`List`] for `lazy`.
#[derive(Default)]
pub struct Dict {
    /// The entries, in the order of insertion.
    pub entries: RwLock<Entries>,
    /// Whether values may still hold templates.
    pub lazy: bool,
}

/// The entries of a dictionary.
pub type Entries = IndexMap<Key, Value>;

impl Drop for List {
    fn drop(&mut self) {
        release(std::mem::take(&mut *self.write()));
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        release(std::mem::take(&mut *self.write()).into_values());
    }
}

/// Frees values one after the other: what a loop has nested is deeper than a stack.
fn release(values: impl IntoIterator<Item = Value>) {
    let nested = |value: &Value| matches!(value, Value::List(_) | Value::Dict(_) | Value::Tuple(_));
    let mut left: Vec<Value> = values.into_iter().filter(nested).collect();
    while let Some(value) = left.pop() {
        match value {
            Value::List(list) => left.extend(
                Arc::into_inner(list)
                    .map(|list| std::mem::take(&mut *list.write()))
                    .into_iter()
                    .flatten()
                    .filter(nested),
            ),
            Value::Dict(dict) => left.extend(
                Arc::into_inner(dict)
                    .map(|dict| std::mem::take(&mut *dict.write()))
                    .into_iter()
                    .flat_map(Entries::into_values)
                    .filter(nested),
            ),
            Value::Tuple(mut items) => left.extend(
                Arc::get_mut(&mut items)
                    .into_iter()
                    .flatten()
                    .map(|item| std::mem::replace(item, Value::None))
                    .filter(nested),
            ),
            _ => {}
        }
    }
}

/// A hashable value, with Python's equality: `1 == 1.0 == True`.
#[derive(Clone)]
pub struct Key(pub Value);

/// A value with behaviour of its own.
pub trait Object: Any + Send + Sync {
    /// The Python name of its type.
    fn type_name(&self) -> &'static str;
    /// The same with its module, as messages have it.
    fn long_name(&self) -> &'static str {
        self.type_name()
    }
    /// An attribute (`x.name`); `None`: there is none.
    fn attr(&self, _name: &str) -> Option<Value> {
        None
    }
    /// An item (`x[key]`); `None`: there is none.
    fn item(&self, _key: &Value) -> Option<Value> {
        None
    }
    /// What is to be told to whoever uses an item.
    fn remark(&self, _name: &str) -> Option<super::Remark> {
        None
    }
    /// The items a loop runs over; `None`: it is not iterable.
    fn iterate(&self) -> Option<Vec<Value>> {
        None
    }
    /// The length; `None`: it has none.
    fn length(&self) -> Option<usize> {
        self.iterate().map(|items| items.len())
    }
    /// Whether it counts as true.
    fn truthy(&self) -> bool {
        true
    }
    /// Calls it; `None`: it is not callable. Errors are messages.
    fn call(&self, _args: &[Value], _kwargs: &[(String, Value)]) -> Option<Result<Value, String>> {
        None
    }
    /// Python's `repr`.
    fn repr(&self) -> String {
        format!("<{} object>", self.type_name())
    }
    /// Python's `str`, what it prints as.
    fn text(&self) -> String {
        self.repr()
    }
    /// Whether a variable can hold it; a macro or a method cannot be kept.
    fn storable(&self) -> bool {
        true
    }
    /// The mapping that it stands for where plain data is wanted (`hostvars['x'] | to_json`).
    fn to_dict(&self) -> Option<Value> {
        None
    }
    /// For casts back to the concrete type.
    fn as_any(&self) -> &dyn Any;
}

impl Str {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Where it comes from, if known.
    #[must_use]
    pub fn origin(&self) -> Option<&Span> {
        self.tag.as_ref()?.origin.as_ref()
    }

    /// Whether it may be a template.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.tag.as_ref().is_some_and(|tag| tag.template)
    }

    /// Why the envelope that it is could not be opened.
    #[must_use]
    pub fn sealed(&self) -> Option<&str> {
        self.tag.as_ref()?.sealed.as_deref()
    }

    /// Whether using it is more than taking its text.
    pub(crate) fn is_pending(&self) -> bool {
        self.sealed().is_some() || (self.is_template() && has_delimiters(&self.text))
    }

    /// Whether it is masked wherever it appears.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.tag.as_ref().is_some_and(|tag| tag.secret)
    }

    /// The same text under another tag.
    #[must_use]
    pub fn tagged(&self, tag: Tag) -> Self {
        Self {
            text: Arc::clone(&self.text),
            tag: Some(Arc::new(tag)),
        }
    }
}

impl<T: Into<Arc<str>>> From<T> for Str {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            tag: None,
        }
    }
}

impl Value {
    /// Plain text: no template, no origin.
    pub fn str(text: impl Into<Arc<str>>) -> Self {
        Value::Str(Str::from(text))
    }

    /// The user's own text: a template if it looks like one.
    pub fn template(text: impl Into<Arc<str>>, origin: Option<Span>) -> Self {
        Value::Str(Str {
            text: text.into(),
            tag: Some(Arc::new(Tag {
                origin,
                template: true,
                ..Tag::default()
            })),
        })
    }

    /// A list of final values.
    #[must_use]
    pub fn list(items: Vec<Value>) -> Self {
        Value::List(Arc::new(List {
            items: RwLock::new(items),
            lazy: false,
        }))
    }

    /// A dictionary of final values.
    #[must_use]
    pub fn dict(entries: Entries) -> Self {
        Value::Dict(Arc::new(Dict {
            entries: RwLock::new(entries),
            lazy: false,
        }))
    }

    /// A dictionary whose values may hold templates.
    #[must_use]
    pub fn lazy_dict(entries: Entries) -> Self {
        Value::Dict(Arc::new(Dict {
            entries: RwLock::new(entries),
            lazy: true,
        }))
    }

    /// Something that is not there.
    pub fn undefined(message: impl Into<String>) -> Self {
        Value::Undefined(Arc::new(Undefined {
            message: message.into(),
            ..Undefined::default()
        }))
    }

    /// What a variable is in a look ahead when the run may set it.
    pub fn unknown() -> Self {
        Value::object(Unknown { defined: false })
    }

    /// The same of a variable that there is, though nobody knows its value.
    pub fn not_known() -> Self {
        Value::object(Unknown { defined: true })
    }

    /// Where it, or the first part of it, was written.
    #[must_use]
    pub fn origin(&self) -> Option<Span> {
        match self {
            Value::Str(text) => text.origin().cloned(),
            Value::Dict(dict) => dict.read().keys().find_map(|key| key.0.origin()),
            Value::List(list) => list.read().iter().find_map(Self::origin),
            _ => None,
        }
    }

    /// An object.
    pub fn object(object: impl Object) -> Self {
        Value::Object(Arc::new(object))
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Whether it is undefined.
    #[must_use]
    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined(_))
    }
}

impl List {
    /// A copy of the items.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Value> {
        self.read().clone()
    }

    /// The items for reading. A poisoned lock is read all the same: no code panics while it writes.
    pub fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<Value>> {
        self.items
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The items for changing.
    pub fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Value>> {
        self.items
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Dict {
    /// The entries for reading.
    pub fn read(&self) -> std::sync::RwLockReadGuard<'_, Entries> {
        self.entries
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The entries for changing.
    pub fn write(&self) -> std::sync::RwLockWriteGuard<'_, Entries> {
        self.entries
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The value under a text key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.read().get(key).cloned()
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Key(Value::str(text))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Key(Value::str(text))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Str(text) => text.as_str().hash(state),
            Value::Bool(value) => i128::from(*value).hash(state),
            Value::Int(value) => value.hash(state),
            // A float that is a whole number is equal to that number.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "whole floats in range are exact"
            )]
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e18 => {
                (*value as i128).hash(state)
            }
            Value::Float(value) => value.to_bits().hash(state),
            Value::Tuple(items) => items.iter().for_each(|item| Key(item.clone()).hash(state)),
            _ => 0.hash(state),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

/// Looks up a dictionary by text without building a key.
impl Equivalent<Key> for str {
    fn equivalent(&self, key: &Key) -> bool {
        key.0.as_str() == Some(self)
    }
}

/// What `{{ value }}` prints in a text.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::print::repr(self))
    }
}

/// The value that drops its argument.
pub(crate) struct Omit;

impl Object for Omit {
    fn type_name(&self) -> &'static str {
        "_OmitType"
    }
    fn repr(&self) -> String {
        "<<Omit>>".into()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Value {
    /// The value that drops the argument it is given to.
    #[must_use]
    pub fn omit() -> Self {
        static OMIT: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| Value::object(Omit));
        OMIT.clone()
    }

    /// Whether it is [`Value::omit`].
    #[must_use]
    pub fn is_omit(&self) -> bool {
        matches!(self, Value::Object(object) if object.as_any().is::<Omit>())
    }

    /// What a user wrote: strings are templates with their place.
    #[must_use]
    pub fn from_node(node: &Node) -> Self {
        match &node.kind {
            NodeKind::Null => Value::None,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Int(value) => Value::Int(*value),
            NodeKind::Float(value) => Value::Float(*value),
            NodeKind::Str(text) => Value::template(text.as_str(), Some(node.span.clone())),
            NodeKind::Date(text) => {
                super::filters::timestamp(text).unwrap_or_else(|| Value::str(text.as_str()))
            }
            NodeKind::Unsafe(text) | NodeKind::Vault(text) => {
                let tag = Tag {
                    origin: Some(node.span.clone()),
                    ..Tag::default()
                };
                Value::Str(Str::from(text.as_str()).tagged(tag))
            }
            NodeKind::Seq(nodes) => {
                let items: Vec<Value> = nodes.iter().map(Self::from_node).collect();
                let lazy = items.iter().any(Self::may_hold_template);
                Value::List(Arc::new(List {
                    items: RwLock::new(items),
                    lazy,
                }))
            }
            NodeKind::Map(nodes) => {
                let mut entries = Entries::with_capacity(nodes.len());
                for (key, value) in nodes {
                    entries.insert(Key(Self::from_node(key)), Self::from_node(value));
                }
                let lazy = entries.values().any(Self::may_hold_template);
                Value::Dict(Arc::new(Dict {
                    entries: RwLock::new(entries),
                    lazy,
                }))
            }
        }
    }

    /// Whether it is, or a lazy container that may hold, a template.
    pub(crate) fn may_hold_template(&self) -> bool {
        match self {
            Value::Str(text) => text.is_pending(),
            Value::List(list) => list.lazy,
            Value::Dict(dict) => dict.lazy,
            Value::Tuple(items) => items.iter().any(Self::may_hold_template),
            _ => false,
        }
    }

    /// A result, a fact: never a template.
    #[must_use]
    pub fn from_data(data: &Data) -> Self {
        match data {
            Data::Null => Value::None,
            Data::Bool(value) => Value::Bool(*value),
            Data::Int(value) => Value::Int(*value),
            Data::Float(value) => Value::Float(*value),
            Data::Str(text) => Value::str(text.as_str()),
            Data::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
            Data::List(items) => Value::list(items.iter().map(Self::from_data).collect()),
            Data::Map(map) => Value::dict(
                map.iter()
                    .map(|(key, value)| (Key::from(key.as_str()), Self::from_data(value)))
                    .collect(),
            ),
        }
    }

    /// The final form. An error names what has none.
    pub fn to_data(&self) -> Result<Data, String> {
        Ok(match self {
            Value::Undefined(undefined) => return Err(undefined.message.clone()),
            Value::None => Data::Null,
            Value::Bool(value) => Data::Bool(*value),
            Value::Int(value) => Data::Int(*value),
            Value::Float(value) => Data::Float(*value),
            Value::Str(text) => Data::Str(text.as_str().to_owned()),
            Value::Bytes(bytes) => Data::Bytes(bytes.to_vec()),
            Value::List(list) => Data::List(
                list.to_vec()
                    .iter()
                    .map(Self::to_data)
                    .collect::<Result<_, _>>()?,
            ),
            Value::Tuple(items) => {
                Data::List(items.iter().map(Self::to_data).collect::<Result<_, _>>()?)
            }
            Value::Dict(dict) => {
                let entries = dict.read().clone();
                let pairs = entries.iter().map(|(key, value)| {
                    // As JSON has them; nothing else is written so.
                    let key = match &key.0 {
                        Value::Bool(key) => key.to_string(),
                        key => key.text(),
                    };
                    Ok((key, value.to_data()?))
                });
                Data::Map(pairs.collect::<Result<_, String>>()?)
            }
            Value::Object(object) => match (object.to_dict(), object.iterate()) {
                (Some(dict), _) => dict.to_data()?,
                (None, Some(items)) => Value::list(items).to_data()?,
                // A time goes to a module as JSON has it.
                _ => match object.attr("isoformat") {
                    Some(Value::Object(method)) => match method.call(&[], &[]) {
                        Some(Ok(text)) => text.to_data()?,
                        _ => Data::Str(object.text()),
                    },
                    _ => Data::Str(object.text()),
                },
            },
        })
    }

    /// Python's truth.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text) => !text.as_str().is_empty(),
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::List(list) => !list.read().is_empty(),
            Value::Tuple(items) => !items.is_empty(),
            Value::Dict(dict) => !dict.read().is_empty(),
            Value::Object(object) => object.truthy(),
        }
    }

    /// The Python name of its type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Object(object) => object.type_name(),
        }
    }

    /// The name of its type with the module, as messages about operands have it.
    pub(crate) fn long_name(&self) -> &'static str {
        match self {
            Value::Object(object) => object.long_name(),
            other => other.type_name(),
        }
    }

    /// The name of its type as messages about arguments have it.
    pub(crate) fn argument_name(&self) -> &'static str {
        match self {
            Value::None => "None",
            other => other.long_name(),
        }
    }

    /// Python's `str()`.
    #[must_use]
    pub fn text(&self) -> String {
        super::print::text(self)
    }

    /// Python's `repr()`.
    #[must_use]
    pub fn repr(&self) -> String {
        super::print::repr(self)
    }

    /// Python's ordering; nothing for kinds that do not compare.
    #[must_use]
    pub fn order(&self, other: &Self) -> Option<std::cmp::Ordering> {
        super::ops::order(self, other)
    }

    /// The same value in containers of its own.
    pub(crate) fn copied(&self) -> Self {
        match self {
            Value::List(list) => Value::list(list.read().iter().map(Self::copied).collect()),
            Value::Dict(dict) => {
                let entries = dict.read();
                let copies = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.copied()));
                Value::dict(copies.collect())
            }
            other => other.clone(),
        }
    }

    /// A tuple.
    #[must_use]
    pub fn tuple(items: Vec<Value>) -> Self {
        Value::Tuple(items.into())
    }
}

/// Whether a text can be a template at all.
pub(crate) fn has_delimiters(text: &str) -> bool {
    text.contains("{{")
        || text.contains("{%")
        || text.contains("{#")
        || text.starts_with(super::files::HEADER)
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i128> for Value {
    fn from(value: i128) -> Self {
        Value::Int(value)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Value::Int(value as i128)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::str(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::str(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Value::list(items)
    }
}
