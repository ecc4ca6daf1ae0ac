//! How many arguments Python's methods take and by which names, and what Python says of others.

use super::super::args::Args;
use super::super::fault::Fault;
use super::super::value::Value;

/// What a method takes.
pub(super) enum Arity {
    /// Nothing.
    None,
    /// One argument without a name.
    One,
    /// So many arguments without names.
    Some(usize, usize),
    /// At least so many arguments without names; all may have these names.
    Named(usize, &'static [&'static str]),
    /// Names only.
    Only(&'static [&'static str]),
    /// At most so many arguments without names, and any names.
    Open(usize),
}

use Arity::{Named, None as Nothing, One, Only, Open, Some as Several};

type Table = [(&'static str, Arity)];

#[rustfmt::skip]
const TEXT: &Table = &[
    ("capitalize", Nothing), ("casefold", Nothing), ("center", Several(1, 2)), ("count", Several(1, 3)),
    ("encode", Named(0, &["encoding", "errors"])), ("endswith", Several(1, 3)), ("expandtabs", Named(0, &["tabsize"])),
    ("find", Several(1, 3)), ("format", Open(usize::MAX)), ("format_map", One), ("index", Several(1, 3)),
    ("isalnum", Nothing), ("isalpha", Nothing), ("isascii", Nothing), ("isdecimal", Nothing), ("isdigit", Nothing),
    ("isidentifier", Nothing), ("islower", Nothing), ("isnumeric", Nothing), ("isprintable", Nothing),
    ("isspace", Nothing), ("istitle", Nothing), ("isupper", Nothing), ("join", One), ("ljust", Several(1, 2)),
    ("lower", Nothing), ("lstrip", Several(0, 1)), ("maketrans", Several(1, 3)), ("partition", One),
    ("removeprefix", One), ("removesuffix", One), ("replace", Named(2, &["old", "new", "count"])),
    ("rfind", Several(1, 3)), ("rindex", Several(1, 3)), ("rjust", Several(1, 2)), ("rpartition", One),
    ("rsplit", Named(0, &["sep", "maxsplit"])), ("rstrip", Several(0, 1)), ("split", Named(0, &["sep", "maxsplit"])),
    ("splitlines", Named(0, &["keepends"])), ("startswith", Several(1, 3)), ("strip", Several(0, 1)),
    ("swapcase", Nothing), ("title", Nothing), ("translate", One), ("upper", Nothing), ("zfill", One),
];

#[rustfmt::skip]
const LIST: &Table = &[
    ("append", One), ("clear", Nothing), ("copy", Nothing), ("count", One), ("extend", One), ("index", Several(1, 3)),
    ("insert", Several(2, 2)), ("pop", Several(0, 1)), ("remove", One), ("reverse", Nothing),
    ("sort", Only(&["key", "reverse"])),
];

#[rustfmt::skip]
const DICT: &Table = &[
    ("clear", Nothing), ("copy", Nothing), ("fromkeys", Several(1, 2)), ("get", Several(1, 2)), ("items", Nothing),
    ("keys", Nothing), ("pop", Several(1, 2)), ("popitem", Nothing), ("setdefault", Several(1, 2)), ("update", Open(1)),
    ("values", Nothing),
];

#[rustfmt::skip]
const INT: &Table = &[
    ("as_integer_ratio", Nothing), ("bit_count", Nothing), ("bit_length", Nothing), ("conjugate", Nothing),
    ("is_integer", Nothing), ("to_bytes", Named(0, &["length", "byteorder", "signed"])),
];

#[rustfmt::skip]
const FLOAT: &Table = &[
    ("as_integer_ratio", Nothing), ("conjugate", Nothing), ("hex", Nothing), ("is_integer", Nothing),
];

const TUPLE: &Table = &[("count", One), ("index", Several(1, 3))];
const BYTES: &Table = &[
    ("decode", Named(0, &["encoding", "errors"])),
    ("hex", Several(0, 2)),
];
/// Of what stands for a mapping, such as `hostvars`.
const MAPPING: &Table = &[
    ("get", Named(1, &["key", "default"])),
    ("items", Nothing),
    ("keys", Nothing),
    ("values", Nothing),
];

/// What a value's method takes, if it has one of that name.
pub(super) fn of(value: &Value, name: &str) -> Option<&'static Arity> {
    let table: &Table = match value {
        Value::Str(_) => TEXT,
        Value::List(_) => LIST,
        Value::Dict(_) => DICT,
        Value::Tuple(_) => TUPLE,
        Value::Int(_) | Value::Bool(_) => INT,
        Value::Float(_) => FLOAT,
        Value::Bytes(_) => BYTES,
        // All of an object's entries are worth their time only for a name that is a method's.
        Value::Object(object) if is_method(MAPPING, name) && object.to_dict().is_some() => MAPPING,
        _ => return None,
    };
    let (_, arity) = table.iter().find(|(known, _)| *known == name)?;
    Some(arity)
}

fn is_method(table: &Table, name: &str) -> bool {
    table.iter().any(|(known, _)| *known == name)
}

impl Arity {
    /// Refuses arguments that the method does not take.
    pub(super) fn check(&self, value: &Value, name: &str, args: &Args) -> Result<(), Fault> {
        let (given, named) = (args.pos.len(), args.kw.len());
        let whole = || format!("{}.{name}()", value.type_name());
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let problem = match self {
            Nothing | One | Several(..) if named > 0 => {
                format!("{} takes no keyword arguments", whole())
            }
            Nothing if given > 0 => format!("{} takes no arguments ({given} given)", whole()),
            One if given != 1 => {
                format!("{} takes exactly one argument ({given} given)", whole())
            }
            Several(least, most) if given < *least || given > *most => {
                let (bound, count) = match (given < *least, least == most) {
                    (_, true) => ("", least),
                    (true, _) => ("at least ", least),
                    (false, _) => ("at most ", most),
                };
                format!(
                    "{name} expected {bound}{count} argument{}, got {given}",
                    plural(*count)
                )
            }
            Open(most) if given > *most => {
                format!(
                    "{name} expected at most {most} argument{}, got {given}",
                    plural(*most)
                )
            }
            Only(names) | Named(_, names) if given + named > names.len() => {
                let most = names.len();
                format!(
                    "{name}() takes at most {most} argument{} ({} given)",
                    plural(most),
                    given + named
                )
            }
            Only(_) if given > 0 => format!("{name}() takes no positional arguments"),
            Named(least, _) if given < *least => format!(
                "{name}() takes at least {least} positional argument{} ({given} given)",
                plural(*least)
            ),
            Only(names) | Named(_, names) => return unknown_names(name, names, args),
            _ => return Ok(()),
        };
        Err(Fault::new(problem))
    }
}

/// Refuses names that the method does not know, and those that come twice.
fn unknown_names(method: &str, names: &[&str], args: &Args) -> Result<(), Fault> {
    for (name, _) in &args.kw {
        match names.iter().position(|known| known == name) {
            Some(at) if at < args.pos.len() => {
                return Err(Fault::new(format!(
                    "argument for {method}() given by name ('{name}') and position ({})",
                    at + 1
                )));
            }
            Some(_) => {}
            None => {
                return Err(Fault::new(format!(
                    "{method}() got an unexpected keyword argument '{name}'"
                )));
            }
        }
    }
    Ok(())
}
