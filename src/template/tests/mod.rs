//! Jinja tests: `x is defined`.

mod names;
mod network;

use std::cmp::Ordering;
use std::path::PathBuf;

use super::args::Args;
use super::ast::Comparison;
use super::fault::Fault;
use super::filters::regex;
use super::interp::Interp;
use super::lazy::defined;
use super::objects::is_nothing;
use super::ops;
use super::refused::refusal;
use super::signatures::of_test;
use super::value::Value;
use crate::diag::nearest;

type Run = fn(&Interp<'_>, &Args) -> Result<bool, Fault>;

/// A test with its names.
pub(crate) struct Test {
    names: &'static [&'static str],
    /// What it says of its operand.
    doc: &'static str,
    run: Run,
}

/// Writes a table of tests.
macro_rules! tests {
    ($($($name:literal)|+ : $doc:literal => $run:expr;)*) => {
        /// The tests of this family.
        pub(super) const TESTS: &[$crate::template::tests::Test] =
            &[$($crate::template::tests::Test { names: &[$($name),+], doc: $doc, run: $run }),*];
    };
}
use tests;

tests! {
    "defined": "something is there" => |_, a| Ok(!a.operand().is_undefined() && !is_nothing(a.operand()));
    "undefined": "nothing is there" => |_, a| Ok(a.operand().is_undefined() || is_nothing(a.operand()));
    "none": "it is null" => |_, a| Ok(matches!(a.operand(), Value::None));
    "boolean": "it is true or false" => |_, a| Ok(matches!(a.operand(), Value::Bool(_)));
    "true": "it is `True` itself" => |_, a| Ok(matches!(a.operand(), Value::Bool(true)));
    "false": "it is `False` itself" => |_, a| Ok(matches!(a.operand(), Value::Bool(false)));
    "integer": "it is a whole number" => |_, a| Ok(matches!(a.operand(), Value::Int(_)));
    "float": "it is a fraction" => |_, a| Ok(matches!(a.operand(), Value::Float(_)));
    "number": "it is a number; booleans are" => |_, a| Ok(ops::number(a.operand()).is_some());
    "string": "it is text" => |_, a| Ok(matches!(a.operand(), Value::Str(_)));
    "mapping": "it is a dictionary" => |_, a| Ok(match a.operand() {
        Value::Dict(_) => true,
        Value::Object(object) => object.to_dict().is_some(),
        _ => false,
    });
    "iterable": "a loop can run over it" => |_, a| Ok(ops::iterate(a.operand()).is_ok());
    "sequence": "it has a length and items" => |_, a| Ok(matches!(a.operand(), Value::Str(_) | Value::List(_) | Value::Tuple(_) | Value::Dict(_)));
    "callable": "it can be called" => |_, a| Ok(matches!(a.operand(), Value::Object(object) if object.call(&[], &[]).is_some() || matches!(object.type_name(), "Macro" | "function" | "builtin_function_or_method")));
    "sameas": "both are one object" => |_, a| Ok(same(a.operand(), a.need(1, "other")?));
    "escaped": "it is marked as safe" => |_, _| Ok(false);
    "lower": "its letters are small" => |_, a| Ok(cased(&a.operand().text(), char::is_lowercase, char::is_uppercase));
    "upper": "its letters are capital" => |_, a| Ok(cased(&a.operand().text(), char::is_uppercase, char::is_lowercase));
    "even": "it can be halved" => |_, a| divides(a.operand(), &Value::Int(2));
    "odd": "it cannot be halved" => |_, a| Ok(ops::binary("%", a.operand(), &Value::Int(2))? == Value::Int(1));
    "divisibleby": "a number divides it" => |_, a| divides(a.operand(), a.need(1, "num")?);
    "eq" | "equalto" | "==": "both are equal" => |i, a| i.compare(Comparison::Eq, a.operand(), a.need(1, "b")?);
    "ne" | "!=": "they differ" => |i, a| i.compare(Comparison::Ne, a.operand(), a.need(1, "b")?);
    "lt" | "lessthan" | "<": "it is less" => |i, a| i.compare(Comparison::Lt, a.operand(), a.need(1, "b")?);
    "le" | "<=": "it is not more" => |i, a| i.compare(Comparison::Le, a.operand(), a.need(1, "b")?);
    "gt" | "greaterthan" | ">": "it is more" => |i, a| i.compare(Comparison::Gt, a.operand(), a.need(1, "b")?);
    "ge" | ">=": "it is not less" => |i, a| i.compare(Comparison::Ge, a.operand(), a.need(1, "b")?);
    "in": "the argument has it" => |i, a| i.compare(Comparison::In, a.operand(), a.need(1, "seq")?);
    "contains": "it has the argument" => |i, a| i.compare(Comparison::In, a.need(1, "value")?, a.operand());
    "filter": "a filter of this name exists" => |_, a| Ok(super::filters::find(&a.operand().text()).is_some());
    "test": "a test of this name exists" => |_, a| Ok(find(&a.operand().text()).is_some());
    "truthy": "it counts as true" => |_, a| truthy(a);
    "falsy": "it counts as false" => |_, a| truthy(a).map(|truth| !truth);
    "any": "one item counts as true" => |i, a| Ok(i.iterate(a.operand())?.iter().any(Value::is_true));
    "all": "all items count as true" => |i, a| Ok(i.iterate(a.operand())?.iter().all(Value::is_true));
    "subset" | "issubset": "the argument has all its items" => |i, a| subset(i, a.operand(), a.need(1, "b")?);
    "superset" | "issuperset": "it has all items of the argument" => |i, a| subset(i, a.need(1, "b")?, a.operand());
    "changed" | "change": "the task changed something" => |_, a| changed(a.operand());
    "failed" | "failure": "the task failed" => |_, a| flag(a.operand(), "failed");
    "succeeded" | "success" | "successful": "the task did not fail" => |_, a| flag(a.operand(), "failed").map(|failed| !failed);
    "skipped" | "skip": "the task was skipped" => |_, a| flag(a.operand(), "skipped");
    "unreachable": "the host was not reached" => |_, a| flag(a.operand(), "unreachable");
    "reachable": "the host was reached" => |_, a| flag(a.operand(), "unreachable").map(|missing| !missing);
    "timedout": "the task took too long" => |_, a| flag(a.operand(), "timedout");
    "started": "the asynchronous task has started" => |_, a| number_flag(a.operand(), "started");
    "finished": "the asynchronous task has finished" => |_, a| number_flag(a.operand(), "finished");
    "match": "a pattern matches its beginning" => |_, a| regex::test(a, regex::Mode::Match);
    "search": "a pattern matches in it" => |_, a| regex::test(a, regex::Mode::Search);
    "regex": "a pattern matches as asked" => |_, a| regex::test(a, regex::Mode::Asked);
    "version" | "version_compare": "its version compares as asked" => |_, a| super::filters::version::test(a);
    "exists": "the path exists on the controller" => |_, a| Ok(path(a.operand(), "stat")?.exists());
    "file" | "is_file": "the path is a file on the controller" => |_, a| Ok(path(a.operand(), "stat")?.is_file());
    "directory" | "is_dir": "the path is a folder on the controller" => |_, a| Ok(path(a.operand(), "stat")?.is_dir());
    "link" | "is_link": "the path is a link on the controller" => |_, a| Ok(path(a.operand(), "lstat")?.is_symlink());
    "link_exists": "the link exists on the controller" => |_, a| Ok(std::fs::symlink_metadata(path(a.operand(), "lstat")?).is_ok());
    "abs" | "is_abs": "the path starts at the root" => |_, a| Ok(path(a.operand(), "fspath")?.is_absolute());
    "nan" | "isnan": "it is not a number" => |_, a| Ok(matches!(a.operand(), Value::Float(number) if number.is_nan()));
    "vault_encrypted": "it is a value that only a vault's password opens" => |_, a| Ok(matches!(a.operand(), Value::Str(text) if text.is_secret()));
    "vaulted_file": "the file on the controller is a vault's envelope" => |_, a| vaulted(a);
    "mount" | "is_mount": "the path is where a file system is mounted on the controller" => |_, a| Ok(mounted(&path(a.operand(), "lstat")?));
    "same_file" | "is_same_file": "both paths are one file on the controller" => |_, a| same_file(a);
    "uri": "it has a scheme, as addresses do" => |_, a| Ok(address(a, false));
    "url": "it is the address of a place" => |_, a| Ok(address(a, true));
    "urn": "it is a name in the form of an address" => |_, a| Ok(a.operand().text().to_lowercase().starts_with("urn:"));
}

/// The tests of each collection. Those of the first one are found without it.
const FAMILIES: &[(&str, &[Test])] = &[
    (BUILTIN, TESTS),
    ("ansible.utils", network::TESTS),
    ("community.general", names::TESTS),
];

const BUILTIN: &str = "ansible.builtin";

/// The test of a name, with or without its collection.
pub(crate) fn find(name: &str) -> Option<&'static Test> {
    let (collection, name) = match name.rsplit_once('.') {
        None | Some(("ansible.legacy", _)) => (BUILTIN, name),
        Some((collection, _)) => (collection, name),
    };
    let name = name.rsplit('.').next()?;
    let mut families = FAMILIES.iter();
    let (_, table) = families.find(|(of, _)| *of == collection)?;
    table.iter().find(|test| test.names.contains(&name))
}

/// The test whose name is nearest to one that is none.
pub(crate) fn similar(name: &str) -> Option<&'static str> {
    nearest(
        name,
        TESTS.iter().flat_map(|test| test.names.iter().copied()),
    )
}

/// Tests that look at all of their operand.
const WHOLE: &[&str] = &[
    "all", "any", "lower", "match", "regex", "search", "subset", "superset", "upper",
];

/// Asks a test.
pub(crate) fn apply(interp: &Interp<'_>, name: &str, args: Args) -> Result<bool, Fault> {
    let Some(test) = find(name) else {
        if let Some(fault) = refusal("test", name) {
            return Err(fault);
        }
        return Err(Fault::no_plugin("test", name, similar(name)));
    };
    let first = test.names[0];
    if let Some(undefined) = args
        .undefined()
        .filter(|_| !matches!(first, "defined" | "undefined"))
    {
        return Err(Fault::undefined(undefined));
    }
    if WHOLE.contains(&first) {
        args.pos.iter().try_for_each(defined)?;
    }
    let signature = of_test(first).filter(|_| !name.starts_with("ansible.utils."));
    let checked = signature.map_or(Ok(()), |signature| signature.check(&args));
    checked
        .and_then(|()| (test.run)(interp, &args))
        .map_err(|fault| fault.plugin("test", name.trim_start_matches("ansible.legacy.")))
}

fn mounted(path: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let look = |path: &std::path::Path| {
        std::fs::symlink_metadata(path)
            .ok()
            .filter(|found| !found.is_symlink())
            .map(|found| (found.dev(), found.ino()))
    };
    match (look(path), look(&path.join(".."))) {
        (Some((device, file)), Some((outer, parent))) => device != outer || file == parent,
        _ => false,
    }
}

/// Whether it can be read as an address, of one of the schemes if some are given.
fn address(args: &Args, place: bool) -> bool {
    let text = match args.operand() {
        Value::Str(text) => text.as_str().to_owned(),
        value if value.is_true() => return false,
        _ => String::new(),
    };
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), text.as_str()),
    };
    let host = rest.strip_prefix("//").map_or("", |rest| {
        rest.split(['/', '?', '#']).next().unwrap_or_default()
    });
    let wanted = match args.get(1, "schemes") {
        None | Some(Value::None) => true,
        Some(Value::Str(known)) => known.as_str() == scheme,
        Some(known) => {
            ops::iterate(known).is_ok_and(|known| known.iter().any(|known| known.text() == scheme))
        }
    };
    let whole = host.contains('[') == host.contains(']');
    wanted && whole && (!place || !host.is_empty() || scheme == "file")
}

/// Whether a file is a vault's envelope.
fn vaulted(args: &Args) -> Result<bool, Fault> {
    let name = args.operand().text();
    match std::fs::read(&name) {
        Ok(bytes) => Ok(crate::load::vault::is_vaulted(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Fault::new(format!(
            "Cannot test if the file '{name}' is a vault: [Errno 2] No such file or directory: {}",
            Value::Bytes(name.as_bytes().into()).repr()
        ))),
        Err(error) => Err(Fault::new(format!(
            "Cannot test if the file '{name}' is a vault: {error}"
        ))),
    }
}

/// The path that a test of the file system gets; `call` refuses other kinds in its own words.
fn path(value: &Value, call: &str) -> Result<PathBuf, Fault> {
    let wanted = match (call, value) {
        (_, Value::Str(_) | Value::Bytes(_)) | ("stat", Value::Int(_) | Value::Bool(_)) => {
            return Ok(PathBuf::from(value.text()));
        }
        ("stat", _) => "stat: path should be string, bytes, os.PathLike or integer",
        ("lstat", _) => "lstat: path should be string, bytes or os.PathLike",
        _ => "expected str, bytes or os.PathLike object",
    };
    Err(Fault::new(format!("{wanted}, not {}", value.type_name())))
}

/// Whether two paths are one file; both have to be there.
fn same_file(args: &Args) -> Result<bool, Fault> {
    let mut files = Vec::new();
    for value in [args.operand(), args.need(1, "f2")?] {
        let path = path(value, "stat")?;
        files.push(std::fs::canonicalize(path).map_err(|_| {
            Fault::new(format!(
                "[Errno 2] No such file or directory: {}",
                value.repr()
            ))
        })?);
    }
    Ok(files[0] == files[1])
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::List(a), Value::List(b)) => std::sync::Arc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => std::sync::Arc::ptr_eq(a, b),
        _ => a.type_name() == b.type_name() && a == b,
    }
}

fn cased(text: &str, good: fn(char) -> bool, bad: fn(char) -> bool) -> bool {
    text.chars().any(good) && !text.chars().any(bad)
}

fn divides(value: &Value, by: &Value) -> Result<bool, Fault> {
    Ok(ops::binary("%", value, by)? == Value::Int(0))
}

fn truthy(args: &Args) -> Result<bool, Fault> {
    let value = args.operand();
    if args.truth(1, "convert_bool", false) {
        return Ok(super::filters::core::to_bool(value).unwrap_or_else(|| value.is_true()));
    }
    Ok(value.is_true())
}

fn subset(interp: &Interp<'_>, a: &Value, b: &Value) -> Result<bool, Fault> {
    let (a, b) = (interp.iterate(a)?, interp.iterate(b)?);
    Ok(a.iter().all(|item| b.contains(item)))
}

fn result_of<'a>(
    value: &'a Value,
    test: &str,
) -> Result<&'a std::sync::Arc<super::value::Dict>, Fault> {
    match value {
        Value::Dict(dict) => Ok(dict),
        _ => Err(Fault::new(format!(
            "The '{test}' test expects a dictionary"
        ))),
    }
}

fn flag(value: &Value, name: &str) -> Result<bool, Fault> {
    Ok(result_of(value, name)?.get(name).is_some_and(|value| {
        super::filters::core::to_bool(&value).unwrap_or_else(|| value.is_true())
    }))
}

fn number_flag(value: &Value, name: &str) -> Result<bool, Fault> {
    Ok(result_of(value, name)?
        .get(name)
        .is_none_or(|value| value.is_true()))
}

fn changed(value: &Value) -> Result<bool, Fault> {
    let result = result_of(value, "changed")?;
    if let Some(changed) = result.get("changed") {
        return Ok(changed.is_true());
    }
    let Some(Value::List(results)) = result.get("results") else {
        return Ok(false);
    };
    Ok(results.to_vec().iter().any(|item| matches!(item, Value::Dict(item) if item.get("changed").is_some_and(|value| value.is_true()))))
}

/// Kept for readers: how an ordering answers a comparison's name.
pub(crate) fn answers(op: &str, order: Ordering) -> Option<bool> {
    Some(match op {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        _ => return None,
    })
}

/// Whole names of the tests with what they say, for the reference. Operators are none there.
pub(crate) fn documents() -> impl Iterator<Item = (String, &'static str)> {
    FAMILIES.iter().flat_map(|(collection, tests)| {
        tests.iter().flat_map(move |test| {
            let words = test
                .names
                .iter()
                .filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()));
            words.map(move |name| (format!("{collection}.{name}"), test.doc))
        })
    })
}
