//! Final values: what an argument holds when a module gets it, and what a result holds when it leaves.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A mapping in the order in which it was written.
pub type Map = IndexMap<String, Data>;

/// A final value: no template, no origin, nothing lazy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Data {
    /// YAML's null, Python's `None`.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer. Python's are unbounded; 128 bits hold every one seen in practice.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes that need not be text: the content of a file on its way to a target.
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    /// A sequence.
    List(Vec<Data>),
    /// A mapping with text keys.
    Map(Map),
}

impl Data {
    /// The text of a `Str`, nothing for every other kind.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Data::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a `List`, nothing for every other kind.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Data]> {
        match self {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a `Map`, nothing for every other kind.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Data::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value of a `Bool`, nothing for every other kind.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Data::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The value of an `Int`, nothing for every other kind.
    #[must_use]
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Data::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The entry of a `Map` under `key`, nothing for every other kind.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Data> {
        self.as_map()?.get(key)
    }

    /// The Python name of the kind, as Ansible's messages have it: `str`, `int`, `dict` ...
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Data::Null => "NoneType",
            Data::Bool(_) => "bool",
            Data::Int(_) => "int",
            Data::Float(_) => "float",
            Data::Str(_) => "str",
            Data::Bytes(_) => "bytes",
            Data::List(_) => "list",
            Data::Map(_) => "dict",
        }
    }
}

/// Python's texts and JSON, as Ansible's messages and files show values.
impl Data {
    /// What Python's `str()` makes of it: text as it is, everything else as [`Data::repr`].
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Data::Str(text) => text.clone(),
            Data::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => other.repr(),
        }
    }

    /// What Python's `repr()` makes of it: `'text'`, `True`, `[1, 2]`, `{'a': None}`.
    #[must_use]
    pub fn repr(&self) -> String {
        match self {
            Data::Null => "None".to_owned(),
            Data::Bool(true) => "True".to_owned(),
            Data::Bool(false) => "False".to_owned(),
            Data::Int(number) => number.to_string(),
            Data::Float(number) => crate::text::float(*number),
            Data::Str(text) => str_repr(text),
            Data::Bytes(bytes) => format!("b{}", str_repr(&String::from_utf8_lossy(bytes))),
            Data::List(items) => format!(
                "[{}]",
                items.iter().map(Data::repr).collect::<Vec<_>>().join(", ")
            ),
            Data::Map(map) => {
                let entries = map
                    .iter()
                    .map(|(key, value)| format!("{}: {}", str_repr(key), value.repr()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// The value as JSON. Bytes become text; a float that JSON cannot write becomes null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Data::Null => serde_json::Value::Null,
            Data::Bool(value) => (*value).into(),
            Data::Int(number) => {
                serde_json::Number::from_i128(*number).map_or(serde_json::Value::Null, Into::into)
            }
            Data::Float(number) => (*number).into(),
            Data::Str(text) => text.as_str().into(),
            Data::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
            Data::List(items) => items.iter().map(Data::to_json).collect(),
            Data::Map(map) => serde_json::Value::Object(
                map.iter()
                    .map(|(key, value)| (key.clone(), value.to_json()))
                    .collect(),
            ),
        }
    }

    /// The value that JSON holds. A number with a fraction or an exponent is a float, as in Python.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Data::Null,
            serde_json::Value::Bool(value) => Data::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i128() {
                Some(integer) => Data::Int(integer),
                None => Data::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Data::Str(text.clone()),
            serde_json::Value::Array(items) => {
                Data::List(items.iter().map(Data::from_json).collect())
            }
            serde_json::Value::Object(entries) => Data::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), Data::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// The value as Python's `json.dumps` writes it: `{"a": [1, 2]}`.
    #[must_use]
    pub fn json_text(&self) -> String {
        match self {
            Data::List(items) => {
                format!(
                    "[{}]",
                    items
                        .iter()
                        .map(Data::json_text)
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            }
            Data::Map(map) => {
                let entry = |(key, value): (&String, &Data)| {
                    format!("{}: {}", json_string(key), value.json_text())
                };
                format!(
                    "{{{}}}",
                    map.iter().map(entry).collect::<Vec<_>>().join(", ")
                )
            }
            Data::Str(text) => json_string(text),
            Data::Bytes(bytes) => json_string(&String::from_utf8_lossy(bytes)),
            Data::Float(number) if number.is_nan() => "NaN".to_owned(),
            Data::Float(number) if number.is_infinite() => if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            }
            .to_owned(),
            Data::Float(number) => crate::text::float(*number),
            Data::Null => "null".to_owned(),
            Data::Bool(value) => value.to_string(),
            Data::Int(number) => number.to_string(),
        }
    }
}

/// Text in JSON with everything beyond ASCII escaped, as `json.dumps` does.
fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    crate::text::json_string(&mut out, text, true);
    out
}

fn str_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => out.extend(['\\', letter]),
            _ if letter.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push(quote);
    out
}

macro_rules! from {
    ($($kind:ty => |$value:ident| $data:expr;)*) => {
        $(impl From<$kind> for Data {
            fn from($value: $kind) -> Self {
                $data
            }
        })*
    };
}

from! {
    bool => |value| Data::Bool(value);
    i32 => |value| Data::Int(value.into());
    i64 => |value| Data::Int(value.into());
    u32 => |value| Data::Int(value.into());
    u64 => |value| Data::Int(value.into());
    i128 => |value| Data::Int(value);
    f64 => |value| Data::Float(value);
    &str => |value| Data::Str(value.to_owned());
    String => |value| Data::Str(value);
    Map => |value| Data::Map(value);
}

impl<T: Into<Data>> From<Vec<T>> for Data {
    fn from(items: Vec<T>) -> Self {
        Data::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Data>> From<Option<T>> for Data {
    fn from(value: Option<T>) -> Self {
        value.map_or(Data::Null, Into::into)
    }
}

/// Builds a [`Map`]: `map! { "path" => path, "state" => "absent" }`.
#[macro_export]
macro_rules! map {
    ($($key:expr => $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "an empty map is never changed")]
        let mut map = $crate::data::Map::new();
        $(map.insert(::std::string::String::from($key), $crate::data::Data::from($value));)*
        map
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_texts() {
        let value = Data::from(
            map! { "a" => vec![1.5, 1e16, 1e-5], "b" => "it's", "c" => Data::Null, "d" => true },
        );
        assert_eq!(
            value.repr(),
            r#"{'a': [1.5, 1e+16, 1e-05], 'b': "it's", 'c': None, 'd': True}"#
        );
        assert_eq!(
            value.json_text(),
            r#"{"a": [1.5, 1e+16, 1e-05], "b": "it's", "c": null, "d": true}"#
        );
        assert_eq!(
            Data::from("ä\"\n😀").json_text(),
            r#""\u00e4\"\n\ud83d\ude00""#
        );
        assert_eq!(Data::from("a'b\"\u{1b}").repr(), r#"'a\'b"\x1b'"#);
    }

    #[test]
    fn json_keeps_integers_and_floats_apart() -> Result<(), serde_json::Error> {
        let json = serde_json::from_str(r#"{"a": 1, "b": 1.0, "c": 123456789012345678901}"#)?;
        let data = Data::from_json(&json);
        assert_eq!(
            data,
            Data::from(map! { "a" => 1, "b" => 1.0, "c" => 123_456_789_012_345_678_901_i128 })
        );
        assert_eq!(data.to_json(), json);
        Ok(())
    }
}
