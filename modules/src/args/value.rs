//! The field types of argument structs: which kind of argument each one is, and how it is read.

use std::path::PathBuf;

use super::{Kind, coerce};
use crate::data::{Data, Map};

/// A type that can be a field of an argument struct.
pub trait ArgValue: Sized {
    /// The kind of argument.
    const KIND: Kind;
    /// The words that are allowed, empty for all.
    const CHOICES: &'static [&'static str] = &[];
    /// Whether the argument may be left out.
    const OPTIONAL: bool = false;

    /// Reads a value that is there.
    ///
    /// # Errors
    /// Why the value is none of this type.
    fn from_data(value: &Data) -> Result<Self, String>;

    /// The value of an argument that is not there.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }
}

/// An enum of fixed words; `#[derive(ArgEnum)]` writes the implementation.
pub trait ArgEnum: Sized {
    /// All words, also the further ones of a variant.
    const WORDS: &'static [&'static str];

    /// The variant of a word.
    #[must_use]
    fn from_word(word: &str) -> Option<Self>;

    /// The first word of the variant.
    #[must_use]
    fn word(&self) -> &'static str;
}

/// Reads a variant from its word.
///
/// # Errors
/// The word is none of the enum's.
pub fn read_word<T: ArgEnum>(value: &Data) -> Result<T, String> {
    let text = value.text();
    T::from_word(&text)
        .ok_or_else(|| format!("must be one of: {}, got: {text}", T::WORDS.join(", ")))
}

/// Reads one field of an argument struct.
///
/// # Errors
/// The argument is missing, or is no value of the type.
#[inline(never)]
pub fn field<T: ArgValue>(map: &Map, name: &str) -> Result<T, String> {
    match given(map, name) {
        None => T::absent().ok_or_else(|| missing(name)),
        Some(value) => T::from_data(value).map_err(|why| wrong(name, &why)),
    }
}

// What does not depend on the type is there once: every byte of the agent travels.
#[inline(never)]
fn given<'a>(map: &'a Map, name: &str) -> Option<&'a Data> {
    map.get(name).filter(|value| **value != Data::Null)
}

#[cold]
#[inline(never)]
fn missing(name: &str) -> String {
    format!("missing required arguments: {name}")
}

#[cold]
#[inline(never)]
fn wrong(name: &str, why: &str) -> String {
    format!("argument '{name}': {why}")
}

impl<T: ArgValue> ArgValue for Option<T> {
    const KIND: Kind = T::KIND;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const OPTIONAL: bool = true;

    fn from_data(value: &Data) -> Result<Self, String> {
        T::from_data(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: ArgValue> ArgValue for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);
    const CHOICES: &'static [&'static str] = T::CHOICES;

    fn from_data(value: &Data) -> Result<Self, String> {
        match coerce(Kind::List(&Kind::Raw), value)? {
            Data::List(items) => items.iter().map(T::from_data).collect(),
            other => T::from_data(&other).map(|item| vec![item]),
        }
    }
}

/// Content of a file.
impl ArgValue for Vec<u8> {
    const KIND: Kind = Kind::Content;

    fn from_data(value: &Data) -> Result<Self, String> {
        Ok(match value {
            Data::Bytes(bytes) => bytes.clone(),
            other => coerce(Kind::Content, other)?.text().into_bytes(),
        })
    }
}

impl ArgValue for bool {
    const KIND: Kind = Kind::Bool;

    fn from_data(value: &Data) -> Result<Self, String> {
        coerce(Kind::Bool, value).map(|value| value == Data::Bool(true))
    }
}

impl ArgValue for f64 {
    const KIND: Kind = Kind::Float;

    fn from_data(value: &Data) -> Result<Self, String> {
        match coerce(Kind::Float, value)? {
            Data::Float(number) => Ok(number),
            other => Err(format!(
                "\"{}\" cannot be converted to a float",
                other.repr()
            )),
        }
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {
        $(impl ArgValue for $kind {
            const KIND: Kind = Kind::Int;

            fn from_data(value: &Data) -> Result<Self, String> {
                let number = coerce(Kind::Int, value)?;
                let fits = number.as_int().and_then(|number| <$kind>::try_from(number).ok());
                fits.ok_or_else(|| format!("{} is out of range", number.repr()))
            }
        })*
    };
}

integers!(i32, i64, u16, u32, u64, usize);

impl ArgValue for String {
    const KIND: Kind = Kind::Str;

    fn from_data(value: &Data) -> Result<Self, String> {
        Ok(value.text())
    }
}

impl ArgValue for PathBuf {
    const KIND: Kind = Kind::Path;

    fn from_data(value: &Data) -> Result<Self, String> {
        Ok(value.text().into())
    }
}

impl ArgValue for Map {
    const KIND: Kind = Kind::Dict;

    fn from_data(value: &Data) -> Result<Self, String> {
        match coerce(Kind::Dict, value)? {
            Data::Map(map) => Ok(map),
            other => Err(format!(
                "<class '{}'> cannot be converted to a dict",
                other.type_name()
            )),
        }
    }
}

impl ArgValue for Data {
    const KIND: Kind = Kind::Raw;

    fn from_data(value: &Data) -> Result<Self, String> {
        Ok(value.clone())
    }
}
