//! The test `version`: loose, strict, semantic and PEP 440 versions.

use std::cmp::Ordering;

use super::super::args::Args;
use super::super::fault::Fault;

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Part {
    Text(String),
    Number(u128),
}

/// Compares the operand with the argument.
pub(crate) fn test(args: &Args) -> Result<bool, Fault> {
    let (value, version) = (args.operand().text(), args.need(1, "version")?.text());
    let op = args.text(2, "operator", "eq");
    if version.is_empty() {
        return Err(Fault::new(
            "Version parameter to compare against cannot be empty",
        ));
    }
    if value.is_empty() {
        return Err(Fault::new("Input version value cannot be empty"));
    }
    let kind = args
        .named("version_type")
        .map_or_else(|| args.text(4, "version_type", "loose"), |kind| kind.text());
    let order = match kind.as_str() {
        "semver" | "semantic" => semantic(&value, &version),
        _ => loose(&value).cmp(&loose(&version)),
    };
    super::super::tests::answers(&op, order)
        .ok_or_else(|| Fault::new(format!("Invalid operator type ({op}). Must be one of ==, =, eq, !=, <>, ne, <, lt, <=, le, >, gt, >=, ge")))
}

fn loose(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let numeric = c.is_ascii_digit();
        let end = if numeric {
            rest.find(|c: char| !c.is_ascii_digit())
        } else if c.is_ascii_lowercase() {
            rest.find(|c: char| !c.is_ascii_lowercase())
        } else if c == '.' {
            rest = &rest[1..];
            continue;
        } else {
            rest.find(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '.')
        };
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(if numeric {
            Part::Number(part.parse().unwrap_or(u128::MAX))
        } else {
            Part::Text(part.to_owned())
        });
        rest = after;
    }
    parts
}

fn semantic(a: &str, b: &str) -> Ordering {
    let split = |text: &str| {
        let text = text.split('+').next().unwrap_or_default().to_owned();
        let (core, before) = text
            .split_once('-')
            .map_or((text.as_str(), None), |(core, before)| {
                (core, Some(before.to_owned()))
            });
        let core: Vec<u64> = core
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect();
        let before = before.map(|text| {
            text.split('.')
                .map(|part| {
                    part.parse().map_or_else(
                        |_| (1, 0, part.to_owned()),
                        |number: u64| (0, number, String::new()),
                    )
                })
                .collect::<Vec<_>>()
        });
        (core, before)
    };
    let ((a, a_before), (b, b_before)) = (split(a), split(b));
    a.cmp(&b).then_with(|| match (a_before, b_before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => a.cmp(&b),
    })
}
