//! Jinja filters: one table a family.

pub(crate) mod core;
pub(crate) mod crypt;
pub(crate) mod dict;
pub(crate) mod encode;
mod jmespath;
mod json;
pub(crate) mod list;
mod math;
pub(crate) mod path;
pub(crate) mod random;
pub(crate) mod regex;
pub(crate) mod text;
mod time;
pub(crate) mod version;
pub(crate) mod yaml;

use std::sync::Arc;

use super::args::Args;
use super::eval::Interp;
use super::fault::{Fault, Outcome};
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

const FAMILIES: &[&[Filter]] = &[
    core::FILTERS,
    crypt::FILTERS,
    jmespath::FILTERS,
    text::FILTERS,
    list::FILTERS,
    dict::FILTERS,
    regex::FILTERS,
    path::FILTERS,
    encode::FILTERS,
    math::FILTERS,
    time::FILTERS,
    yaml::FILTERS,
];

/// The filter of a name, with or without its collection.
pub(crate) fn find(name: &str) -> Option<&'static Filter> {
    static BY_NAME: std::sync::LazyLock<std::collections::HashMap<&'static str, &'static Filter>> =
        std::sync::LazyLock::new(|| {
            FAMILIES
                .iter()
                .flat_map(|family| family.iter())
                .map(|filter| (filter.name, filter))
                .collect()
        });
    let plain = [
        "ansible.builtin.",
        "ansible.legacy.",
        "community.general.",
        "ansible.utils.",
    ];
    let name = plain
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    BY_NAME.get(name).copied()
}

/// Applies a filter to its operand, the first argument.
pub(crate) fn apply(interp: &Interp<'_>, name: &str, args: Args) -> Outcome {
    let Some(filter) = find(name) else {
        let mut fault = Fault::coded(
            "unknown-filter",
            format!("Syntax error in template: No filter named '{name}'."),
        );
        let names = FAMILIES
            .iter()
            .flat_map(|family| family.iter())
            .map(|filter| filter.name);
        if let Some(near) = nearest(name, names) {
            fault = fault.hint(format!("did you mean `{near}`?"));
        }
        return Err(fault);
    };
    let tolerant = match filter.name {
        "default" | "d" | "mandatory" | "type_debug" => true,
        "ternary" => !args.operand().is_undefined(),
        _ => false,
    };
    // What is undefined stays so, with its cause: `(x | upper) | default('y')` gives `y`.
    if let Some(undefined) = args.undefined().filter(|_| !tolerant) {
        return Ok(Value::Undefined(Arc::clone(undefined)));
    }
    let name = if filter.name == "json_query" {
        "community.general.json_query"
    } else {
        name
    };
    (filter.run)(interp, &args).map_err(|fault| fault.plugin("filter", name))
}

pub(crate) use time::{now, timestamp};

/// `format % value`, for lookups.
pub(crate) fn format_percent(format: &str, value: &Value) -> Outcome {
    Ok(super::format::percent(format, value)?)
}

/// Names of the filters with what they give, for the reference.
pub(crate) fn documents() -> impl Iterator<Item = (&'static str, &'static str)> {
    FAMILIES
        .iter()
        .flat_map(|family| family.iter())
        .map(|filter| (filter.name, filter.doc))
}
