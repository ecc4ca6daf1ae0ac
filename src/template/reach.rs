//! Reaching values: names, items and attributes, and which of them nobody may reach.

use std::sync::Arc;

use super::fault::{Fault, Outcome};
use super::interp::Interp;
use super::objects::{Blocks, BoundMethod, Frame, Namespace, Nothing, Super};
use super::value::{Key, Undefined, Value};
use super::{functions, methods, ops};

impl Interp<'_> {
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
