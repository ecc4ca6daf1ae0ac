//! Jinja filters: one table a family.

mod compare;
pub(crate) mod core;
pub(crate) mod crypt;
pub(crate) mod dict;
mod digests;
pub(crate) mod encode;
mod general;
mod ipaddr;
mod jmespath;
mod keys;
pub(crate) mod kubernetes;
mod links;
pub(crate) mod list;
mod math;
mod moment;
mod network;
mod patch;
pub(crate) mod path;
pub(crate) mod paths;
pub(crate) mod random;
mod records;
pub(crate) mod regex;
mod strftime;
mod strptime;
pub(crate) mod text;
mod time;
pub(crate) mod toml;
mod units;
pub(crate) mod version;
mod wrap;
pub(crate) mod yaml;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::args::Args;
use super::eval::lasting;
use super::fault::{Fault, Outcome};
use super::interp::Interp;
use super::lazy::{defined, present};
use super::refused::refusal;
use super::signatures::{Signature, of_filter};
use super::value::Value;
use crate::diag::nearest;

/// A filter.
pub(crate) struct Filter {
    /// Its name without a collection.
    pub(crate) name: &'static str,
    /// What it gives.
    pub(crate) doc: &'static str,
    /// The function.
    pub(crate) run: fn(&Interp<'_>, &Args) -> Outcome,
}

/// Writes a table of filters.
macro_rules! filters {
    ($($name:literal : $doc:literal => $run:expr;)*) => {
        /// The filters of this family.
        pub(crate) const FILTERS: &[crate::template::filters::Filter] =
            &[$(crate::template::filters::Filter { name: $name, doc: $doc, run: $run }),*];
    };
}
pub(crate) use filters;

/// The filters of a family and where they come from.
struct Family {
    /// Their collections; the first one is named in messages.
    collections: &'static [&'static str],
    /// Whether they are found without their collection.
    plain: bool,
    /// Whether nothing in their arguments may be undefined.
    whole: bool,
    filters: &'static [Filter],
}

const BUILTIN: &[&str] = &["ansible.builtin", "ansible.legacy"];
const GENERAL: &[&str] = &["community.general"];
const UTILS: &[&str] = &["ansible.utils"];

const fn family(
    collections: &'static [&'static str],
    plain: bool,
    filters: &'static [Filter],
) -> Family {
    Family {
        collections,
        plain,
        whole: false,
        filters,
    }
}

/// A family of `ansible.builtin` that makes text of its operands.
const fn text_family(filters: &'static [Filter]) -> Family {
    Family {
        whole: true,
        ..family(BUILTIN, true, filters)
    }
}

const FAMILIES: &[Family] = &[
    family(BUILTIN, true, core::FILTERS),
    text_family(crypt::FILTERS),
    text_family(text::FILTERS),
    family(BUILTIN, true, list::FILTERS),
    family(BUILTIN, true, dict::FILTERS),
    text_family(regex::FILTERS),
    text_family(path::FILTERS),
    text_family(encode::FILTERS),
    text_family(digests::FILTERS),
    text_family(math::FILTERS),
    text_family(links::FILTERS),
    family(BUILTIN, true, time::FILTERS),
    family(BUILTIN, true, yaml::FILTERS),
    family(GENERAL, true, jmespath::FILTERS),
    family(GENERAL, true, general::short::FILTERS),
    family(GENERAL, false, general::FILTERS),
    family(GENERAL, false, keys::FILTERS),
    family(GENERAL, false, records::FILTERS),
    family(GENERAL, false, patch::FILTERS),
    family(GENERAL, false, toml::FILTERS),
    family(GENERAL, false, units::FILTERS),
    family(
        &["ansible.utils", "ansible.netcommon"],
        true,
        ipaddr::FILTERS,
    ),
    // Ansible found these without their collection for years, and playbooks still write so.
    family(UTILS, true, network::FILTERS),
    family(UTILS, false, paths::FILTERS),
    family(UTILS, false, compare::FILTERS),
    family(&["kubernetes.core"], false, kubernetes::FILTERS),
];

/// A filter that was found.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    filter: &'static Filter,
    family: &'static Family,
    signature: Option<&'static Signature>,
}

impl Found {
    fn new(filter: &'static Filter, family: &'static Family) -> Self {
        let builtin = family.collections == BUILTIN;
        Self {
            filter,
            family,
            signature: of_filter(filter.name).filter(|_| builtin),
        }
    }
}

/// The filter of a name, with or without its collection.
pub(crate) fn find(name: &str) -> Option<Found> {
    static PLAIN: LazyLock<HashMap<&str, Found>> = LazyLock::new(|| {
        let plain = FAMILIES.iter().filter(|family| family.plain);
        plain
            .flat_map(|family| family.filters.iter().map(move |filter| (filter, family)))
            .map(|(filter, family)| (filter.name, Found::new(filter, family)))
            .collect()
    });
    let Some((collection, last)) = name.rsplit_once('.') else {
        return PLAIN.get(name).copied();
    };
    FAMILIES
        .iter()
        .filter(|family| {
            // What is found without its collection came from Ansible's own once.
            let own = family.plain && BUILTIN.contains(&collection);
            own || family.collections.contains(&collection)
        })
        .find_map(|family| {
            let filter = family.filters.iter().find(|filter| filter.name == last)?;
            Some(Found::new(filter, family))
        })
}

/// The filter whose name is nearest to one that is none.
pub(crate) fn similar(name: &str) -> Option<&'static str> {
    let families = FAMILIES.iter();
    let names = families.flat_map(|family| family.filters.iter().map(|filter| filter.name));
    nearest(name, names)
}

/// Applies a filter to its operand, the first argument.
pub(crate) fn apply(interp: &Interp<'_>, name: &str, args: Args) -> Outcome {
    let Some(found) = find(name) else {
        if let Some(fault) = refusal("filter", name) {
            return Err(fault);
        }
        return Err(Fault::no_plugin("filter", name, similar(name)));
    };
    let filter = found.filter;
    let tolerant = match filter.name {
        "default" | "d" | "mandatory" | "type_debug" => true,
        "ternary" => {
            let signature = found.signature;
            let wrong = signature.is_some_and(|signature| signature.check(&args).is_err());
            wrong || !args.operand().is_undefined()
        }
        _ => false,
    };
    // What is undefined stays so, with its cause: `(x | upper) | default('y')` gives `y`.
    if let Some(undefined) = args.undefined().filter(|_| !tolerant) {
        return Ok(Value::Undefined(Arc::clone(undefined)));
    }
    let result = match found.signature {
        Some(signature) => signature.check(&args),
        None => Ok(()),
    };
    let result = result.and_then(|()| {
        if args.pos.len() > 1 || filter.name != "combinations" {
            let mut given = args.pos.iter();
            given.try_for_each(|arg| reached(filter.name, arg))?;
        }
        if found.family.whole || WHOLE.contains(&filter.name) {
            args.pos
                .iter()
                .try_for_each(defined)
                .map_err(|undefined| refused_anyway(filter, interp, &args).unwrap_or(undefined))?;
        }
        (filter.run)(interp, &args)
    });
    lasting(result.map_err(|fault| {
        let collection = found.family.collections[0];
        fault.plugin("filter", &format!("{collection}.{}", filter.name))
    }))
}

/// What a filter says of an operand that it would not take whatever it holds: of that it speaks before it looks inside.
fn refused_anyway(filter: &Filter, interp: &Interp<'_>, args: &Args) -> Option<Fault> {
    let mut args = args.clone();
    let operand = args.pos.first_mut()?;
    *operand = match operand {
        Value::List(_) if !matches!(filter.name, "commonpath" | "path_join" | "regex_replace") => {
            Value::list(vec![])
        }
        // That one makes a text of its operand before it looks at anything else.
        Value::Dict(_) if filter.name != "regex_replace" => {
            Value::dict(super::value::Entries::new())
        }
        _ => return None,
    };
    (filter.run)(interp, &args).err()
}

/// Refuses a list in which a filter would come upon something undefined.
fn reached(filter: &str, value: &Value) -> Result<(), Fault> {
    let items = match value {
        Value::List(list) => list.to_vec(),
        Value::Tuple(items) => items.to_vec(),
        _ => return Ok(()),
    };
    if THROUGH.contains(&filter) {
        return items.iter().try_for_each(defined);
    }
    if ITEMS.contains(&filter) {
        return items.iter().try_for_each(present);
    }
    Ok(())
}

/// Filters that look at each item of a list.
const ITEMS: &[&str] = &[
    "batch",
    "combinations",
    "list",
    "permutations",
    "product",
    "reverse",
    "shuffle",
    "slice",
    "sum",
    "zip",
    "zip_longest",
];

/// Filters that look at each item of a list, and into it.
const THROUGH: &[&str] = &[
    "difference",
    "flatten",
    "intersect",
    "join",
    "max",
    "min",
    "sort",
    "symmetric_difference",
    "union",
    "unique",
];

/// Filters that look at all of their operand, in families of which others do not.
const WHOLE: &[&str] = &["bool", "dict2items", "items2dict", "string"];

pub(crate) use time::{now, timestamp};

/// `format % value`, for lookups.
pub(crate) fn format_percent(format: &str, value: &Value) -> Outcome {
    super::format::percent(format, value)
}

/// Whole names of the filters with what they give, for the reference.
pub(crate) fn documents() -> impl Iterator<Item = (String, &'static str)> {
    FAMILIES.iter().flat_map(|family| {
        let named = |filter: &'static Filter| {
            (
                format!("{}.{}", family.collections[0], filter.name),
                filter.doc,
            )
        };
        family.filters.iter().map(named)
    })
}
