//! Arguments of filters, tests, functions and lookups, by position or name.

use std::sync::Arc;

use super::fault::Fault;
use super::ops::{Number, number};
use super::value::{Undefined, Value};

/// The arguments of a call. For filters and tests the first one is the operand.
#[derive(Clone, Default)]
pub(crate) struct Args {
    pub(crate) pos: Vec<Value>,
    pub(crate) kw: Vec<(String, Value)>,
}

impl Args {
    /// The operand.
    pub(crate) fn operand(&self) -> &Value {
        static NONE: Value = Value::None;
        self.pos.first().unwrap_or(&NONE)
    }

    /// The first argument that is undefined.
    pub(crate) fn undefined(&self) -> Option<&Arc<Undefined>> {
        let values = self
            .pos
            .iter()
            .chain(self.kw.iter().map(|(_, value)| value));
        values.into_iter().find_map(|value| match value {
            Value::Undefined(undefined) => Some(undefined),
            _ => None,
        })
    }

    /// The argument at a position (the operand is 0) or under a name.
    pub(crate) fn get(&self, index: usize, name: &str) -> Option<&Value> {
        self.pos.get(index).or_else(|| self.named(name))
    }

    /// The argument under a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Value> {
        self.kw
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// An argument that must be there.
    pub(crate) fn need(&self, index: usize, name: &str) -> Result<&Value, Fault> {
        self.get(index, name)
            .ok_or_else(|| Fault::new(format!("missing 1 required positional argument: '{name}'")))
    }

    /// Refuses more positional arguments than `most` and names that are not listed.
    pub(crate) fn check(&self, most: usize, names: &[&str]) -> Result<(), Fault> {
        if self.pos.len() > most {
            return Err(Fault::new(format!(
                "takes at most {most} positional arguments but {} were given",
                self.pos.len()
            )));
        }
        match self
            .kw
            .iter()
            .find(|(name, _)| !names.contains(&name.as_str()))
        {
            Some((name, _)) => Err(Fault::new(format!(
                "got an unexpected keyword argument '{name}'"
            ))),
            None => Ok(()),
        }
    }

    /// A text, `default` if not given.
    pub(crate) fn text(&self, index: usize, name: &str, default: &str) -> String {
        self.get(index, name)
            .map_or_else(|| default.to_owned(), Value::text)
    }

    /// A truth, `default` if not given.
    pub(crate) fn truth(&self, index: usize, name: &str, default: bool) -> bool {
        self.get(index, name).map_or(default, Value::is_true)
    }

    /// What Python takes as an index, `default` if not given.
    pub(crate) fn index(&self, index: usize, name: &str, default: i128) -> Result<i128, Fault> {
        match self.get(index, name) {
            None => Ok(default),
            Some(Value::Int(number)) => Ok(*number),
            Some(Value::Bool(value)) => Ok((*value).into()),
            Some(other) => Err(Fault::new(format!(
                "'{}' object cannot be interpreted as an integer",
                other.type_name()
            ))),
        }
    }

    /// A whole number, `default` if not given or null.
    pub(crate) fn int(&self, index: usize, name: &str, default: i128) -> Result<i128, Fault> {
        match self.get(index, name) {
            None | Some(Value::None) => Ok(default),
            Some(value) => whole(value).ok_or_else(|| {
                Fault::new(format!(
                    "'{}' object cannot be interpreted as an integer",
                    value.type_name()
                ))
            }),
        }
    }
}

/// The whole number that a value is or writes.
pub(crate) fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Str(text) => text.as_str().trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "Python's int() cuts as well"
        )]
        _ => number(value).map(|number| match number {
            Number::Int(value) => value,
            Number::Float(value) => value as i128,
        }),
    }
}
