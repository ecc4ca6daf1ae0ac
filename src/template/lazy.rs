//! Values that are rendered when they are reached: items one by one, everything inside, and their final form.

use std::cell::Cell;
use std::sync::{Arc, RwLock};

use super::fault::{Fault, Outcome};
use super::interp::{Interp, recursion};
use super::objects::Group;
use super::value::{Dict, Entries, Key, List, Unknown, Value};
use super::{limits, ops};
use crate::diag::Diagnostic;

/// How deep values may nest that are told or kept.
const NESTED: usize = 200;

impl Interp<'_> {
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

    pub(super) fn list_item(&self, list: &Arc<List>, index: usize) -> Result<Option<Value>, Fault> {
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

    pub(super) fn dict_item(&self, dict: &Arc<Dict>, key: &Key) -> Result<Option<Value>, Fault> {
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

/// Counts a value that is gone through: one that holds itself, or one item many times over, has no end.
fn count(depth: usize, seen: &Cell<usize>) -> Result<(), Fault> {
    if depth > NESTED {
        return Err(recursion());
    }
    seen.set(seen.get() + 1);
    Ok(limits::items(seen.get())?)
}
