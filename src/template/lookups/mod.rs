//! Lookup plugins: data from outside of the variables, one file each.

mod coding;
mod collection;
mod config;
mod file;
mod kubernetes;
mod merge;
mod options;
mod password;
mod random_string;
mod sequence;
mod shape;
mod table;
mod tree;
mod url;
mod vars;

use super::args::Args;
use super::fault::{Fault, Outcome, SYSTEM};
use super::filters::dict::python_type;
use super::filters::paths;
use super::interp::Interp;
use super::refused::refusal;
use super::value::Value;
use crate::diag::{Diagnostic, nearest};
use crate::load::early;

/// A lookup.
pub(crate) struct Lookup {
    /// Its name without a collection.
    pub(crate) name: &'static str,
    /// What it gives.
    pub(crate) doc: &'static str,
    /// The function.
    pub(crate) run: fn(&Interp<'_>, &Call) -> Result<Vec<Value>, Fault>,
}

/// The terms and the options of a lookup.
pub(crate) struct Call {
    pub(crate) terms: Vec<Value>,
    pub(crate) options: Vec<(String, Value)>,
    /// Whether options were named, if only to be null.
    pub(crate) has_options: bool,
}

impl Call {
    /// An option.
    pub(crate) fn option(&self, name: &str) -> Option<&Value> {
        self.options
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// An option that is true or false.
    pub(crate) fn truth(&self, name: &str, default: bool) -> bool {
        self.option(name).map_or(default, |value| {
            super::filters::core::to_bool(value).unwrap_or_else(|| value.is_true())
        })
    }
}

/// Writes a table of lookups.
macro_rules! lookups {
    ($table:ident: $($name:literal : $doc:literal => $run:expr;)*) => {
        const $table: &[Lookup] = &[$(Lookup { name: $name, doc: $doc, run: $run }),*];
    };
}

lookups! {
    BUILTIN:
    "env": "an environment variable of the controller" => vars::env;
    "vars": "variables by name" => vars::vars;
    "varnames": "the names of variables that a pattern matches" => vars::varnames;
    "inventory_hostnames": "the hosts of groups" => vars::hostnames;
    "file": "what a file of the controller holds" => file::file;
    "fileglob": "files of the controller that match a pattern" => file::fileglob;
    "first_found": "the first file of the controller that exists" => file::first_found;
    "template": "a rendered template file" => file::template;
    "pipe": "the output of a command on the controller" => file::pipe;
    "lines": "the lines that a command on the controller prints" => file::lines;
    "csvfile": "a cell of a CSV file" => table::csvfile;
    "ini": "a value of an INI file" => table::ini;
    "password": "a text by chance, kept in a file" => password::run;
    "items": "the terms, lists opened by one level" => shape::items;
    "list": "the terms as they are" => |_, call| Ok(call.terms.clone());
    "dict": "keys and values of a dictionary" => shape::dictionary;
    "nested": "all combinations of lists" => shape::nested;
    "together": "items of lists at one place" => shape::together;
    "indexed_items": "pairs of a place and an item" => shape::indexed;
    "subelements": "pairs of an item and each member of a list in it" => shape::subelements;
    "random_choice": "one of the terms by chance" => shape::choice;
    "sequence": "numbers from a start to an end" => sequence::sequence;
    "url": "what a web server answers" => url::url;
    "unvault": "what a file of the controller holds" => file::unvault;
    "config": "the values of settings" => config::run;
}

lookups! {
    // Ansible finds these without their collection, too.
    MOVED:
    "cartesian": "all combinations of lists" => shape::cartesian;
    "flattened": "the terms, all lists opened" => shape::flattened;
}

lookups! {
    GENERAL:
    "binary_file": "what a file of the controller holds, in base64" => file::binary;
    "collection_version": "the versions of collections" => collection::version;
    "dependent": "combinations whose parts depend on those before" => shape::dependent;
    "filetree": "the files and folders below folders of the controller" => tree::run;
    "merge_variables": "variables merged whose names match" => merge::run;
    "random_string": "a text by chance" => |_, call| random_string::run(call);
}

lookups! {
    UTILS:
    "get_path": "the value at a path" => |interp, call| as_filter(interp, call, paths::get_path);
    "index_of": "the places of the items that pass a test" => |interp, call| as_filter(interp, call, paths::index_of);
    "to_paths": "each value under its path" => |interp, call| as_filter(interp, call, paths::to_paths);
}

lookups! {
    KUBERNETES:
    "k8s": "objects of a Kubernetes cluster" => kubernetes::k8s;
    "kustomize": "what `kustomize` makes of a folder" => |_, call| kubernetes::kustomize(call);
}

/// The lookups of a collection.
struct Family {
    collection: &'static str,
    /// Whether they are found without it.
    plain: bool,
    lookups: &'static [Lookup],
}

const fn family(collection: &'static str, plain: bool, lookups: &'static [Lookup]) -> Family {
    Family {
        collection,
        plain,
        lookups,
    }
}

const FAMILIES: &[Family] = &[
    family("ansible.builtin", true, BUILTIN),
    family("community.general", true, MOVED),
    family("community.general", false, GENERAL),
    family("ansible.utils", false, UTILS),
    family("kubernetes.core", false, KUBERNETES),
];

/// The lookup of a name, with or without its collection.
fn find(name: &str) -> Option<&'static Lookup> {
    let (collection, last) = match name.rsplit_once('.') {
        Some(("ansible.builtin" | "ansible.legacy", last)) => (None, last),
        Some((collection, last)) => (Some(collection), last),
        None => (None, name),
    };
    let of = |family: &&Family| match collection {
        Some(collection) => family.collection == collection,
        None => family.plain,
    };
    FAMILIES
        .iter()
        .filter(of)
        .find_map(|family| family.lookups.iter().find(|lookup| lookup.name == last))
}

/// A lookup that is a filter, too.
fn as_filter(
    interp: &Interp<'_>,
    call: &Call,
    filter: fn(&Interp<'_>, &Args) -> Outcome,
) -> Result<Vec<Value>, Fault> {
    let args = Args {
        pos: call.terms.clone(),
        kw: call.options.clone(),
    };
    Ok(match filter(interp, &args)? {
        Value::List(found) => found.to_vec(),
        found => vec![found],
    })
}

/// A term that has to be text, for one that Python would split.
fn text_term(term: &Value) -> Result<&str, Fault> {
    term.as_str().ok_or_else(|| {
        Fault::new(format!(
            "'{}' object has no attribute 'split'",
            term.type_name()
        ))
    })
}

/// Lookups that do something, or ask somebody else.
const ACTING: &[&str] = &["kustomize", "pipe", "lines", "password", "url", "unvault"];

/// Lookups whose results hang on variables and on the contents of files that they name.
const TIMELESS: &[&str] = &[
    "cartesian",
    "config",
    "dependent",
    "dict",
    "env",
    "file",
    "flattened",
    "get_path",
    "index_of",
    "indexed_items",
    "items",
    "list",
    "nested",
    "sequence",
    "subelements",
    "template",
    "to_paths",
    "together",
    "vars",
];

/// Lookups that make text of their terms: nothing in those may be undefined, whatever `errors` says.
const WHOLE: &[&str] = &[
    "config",
    "dict",
    "file",
    "first_found",
    "ini",
    "lines",
    "pipe",
    "template",
    "unvault",
    "varnames",
];

/// Runs a lookup.
pub(crate) fn run(
    interp: &Interp<'_>,
    name: &str,
    terms: Vec<Value>,
    options: Vec<(String, Value)>,
) -> Result<Vec<Value>, Fault> {
    let lookup = known(name)?;
    if interp.scope.forecast() && ACTING.contains(&lookup.name) {
        return Err(Fault::unknown(false));
    }
    // Of those that ask the machine, only the ones that tell which files they read may come early.
    if !TIMELESS.contains(&lookup.name) && early::outside() {
        return Err(Fault::new("this lookup is not for tasks that run ahead"));
    }
    let has_options = !options.is_empty();
    let call = |options| Call {
        terms,
        options,
        has_options,
    };
    let options = options::typed(lookup.name, options);
    options
        .and_then(|options| (lookup.run)(interp, &call(options)))
        .map_err(|fault| fault.plugin("lookup", name))
}

/// The lookup of a name, or that there is none.
fn known(name: &str) -> Result<&'static Lookup, Fault> {
    if let Some(lookup) = find(name) {
        return Ok(lookup);
    }
    if let Some(fault) = refusal("lookup", name) {
        return Err(fault);
    }
    let mut fault = Fault::coded(
        "unknown-lookup",
        format!("The lookup plugin '{name}' was not found."),
    );
    let plain = name.strip_prefix("ansible.builtin.").unwrap_or(name);
    let names = FAMILIES.iter().flat_map(|family| family.lookups);
    if let Some(near) = nearest(plain, names.map(|lookup| lookup.name)) {
        fault = fault.hint(format!("did you mean `{near}`?"));
    }
    Err(fault)
}

/// The name that the first argument is.
fn called(name: &Value) -> Result<&str, Fault> {
    let unusable = |shown: String, why: String| {
        let text = format!("The lookup plugin {shown} failed to load: {why}");
        Err(Fault::coded("unknown-lookup", text))
    };
    match name {
        Value::Str(text) if !text.as_str().is_empty() => Ok(text.as_str()),
        Value::Str(_) | Value::None => {
            unusable(name.repr(), "A non-empty plugin name is required.".into())
        }
        other => unusable(
            other.repr(),
            format!("unsupported type {}", python_type(other)),
        ),
    }
}

/// The functions `lookup` and `query`.
pub(crate) fn function(interp: &Interp<'_>, args: &Args, query: bool) -> Outcome {
    let Some(name) = args.pos.first() else {
        let function = if query { "_query" } else { "_lookup" };
        return Err(Fault::new(format!(
            "{function}() missing 1 required positional argument: 'plugin_name'"
        )));
    };
    let name = called(name)?;
    let mut options = args.kw.clone();
    let mut take = |key: &str| {
        options
            .iter()
            .position(|(name, _)| name == key)
            .map(|at| options.remove(at).1)
    };
    let list = take("wantlist").is_some_and(|value| value.is_true()) || query;
    let errors = take("errors").map_or_else(|| "strict".to_owned(), |value| value.text());
    // `env` looks at its default where the variable is missing.
    let late = |option: &str| option == "default" && name.ends_with("env");
    let given = options.iter().filter(|(option, _)| !late(option));
    for value in args.pos.iter().chain(given.map(|(_, value)| value)) {
        if let Value::Undefined(undefined) = value {
            return Err(Fault::undefined(undefined));
        }
    }
    if WHOLE.contains(&known(name)?.name) {
        args.pos.iter().try_for_each(super::lazy::defined)?;
    }
    let terms = args.pos.iter().skip(1).cloned().collect();
    let results = match run(interp, name, terms, options) {
        Ok(results) => results,
        Err(fault) if matches!(errors.as_str(), "ignore" | "warn") => {
            if errors == "warn" {
                // The same words, apart from their beginning.
                let why = fault
                    .message()
                    .split_once("failed: ")
                    .map_or(fault.message(), |(_, why)| why);
                let text =
                    format!("An error occurred while running the lookup plugin '{name}': {why}");
                let warning = match text.split_once(&format!(": {SYSTEM}")) {
                    Some((text, why)) => {
                        Diagnostic::warning("lookup", text).cause(format!("{SYSTEM}{why}"))
                    }
                    None => Diagnostic::warning("lookup", text),
                };
                interp.note(warning);
            }
            return Ok(if list {
                Value::list(vec![])
            } else {
                Value::None
            });
        }
        Err(fault) => return Err(fault),
    };
    if list {
        return Ok(Value::list(results));
    }
    if let [only] = &results[..] {
        return Ok(only.clone());
    }
    if results.is_empty() {
        return Ok(Value::list(results));
    }
    if results.iter().all(|value| matches!(value, Value::Str(_))) {
        return Ok(Value::str(
            results
                .iter()
                .map(Value::text)
                .collect::<Vec<_>>()
                .join(","),
        ));
    }
    Ok(Value::list(results))
}

/// The files that a pattern matches, in order.
pub(crate) fn glob(pattern: &str) -> Vec<String> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    let Ok(entries) = std::fs::read_dir(if folder.is_empty() { "/" } else { folder }) else {
        return vec![];
    };
    let mut out: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|found| matches(name, found) && (name.starts_with('.') || !found.starts_with('.')))
        .map(|found| {
            if pattern.contains('/') {
                format!("{folder}/{found}")
            } else {
                found
            }
        })
        .collect();
    out.sort();
    out
}

/// Whether a shell pattern (`*`, `?`, `[...]`) matches a whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    matches_from(&pattern, &name)
}

fn matches_from(pattern: &[char], name: &[char]) -> bool {
    match pattern.first() {
        None => name.is_empty(),
        Some('*') => (0..=name.len()).any(|at| matches_from(&pattern[1..], &name[at..])),
        Some('?') => !name.is_empty() && matches_from(&pattern[1..], &name[1..]),
        Some('[') if pattern[1..].contains(&']') && !name.is_empty() => {
            let end = pattern
                .iter()
                .skip(2)
                .position(|c| *c == ']')
                .map_or(pattern.len() - 1, |at| at + 2);
            let mut class = &pattern[1..end];
            let negated = class.first() == Some(&'!');
            if negated {
                class = &class[1..];
            }
            let mut hit = class.contains(&name[0]);
            for window in class.windows(3) {
                hit |= window[1] == '-' && (window[0]..=window[2]).contains(&name[0]);
            }
            hit != negated && matches_from(&pattern[end + 1..], &name[1..])
        }
        Some(c) => name.first() == Some(c) && matches_from(&pattern[1..], &name[1..]),
    }
}

/// Whole names of the lookups with what they give, for the reference.
pub(crate) fn documents() -> impl Iterator<Item = (String, &'static str)> {
    FAMILIES.iter().flat_map(|family| {
        let named = |lookup: &'static Lookup| {
            (format!("{}.{}", family.collection, lookup.name), lookup.doc)
        };
        family.lookups.iter().map(named)
    })
}
