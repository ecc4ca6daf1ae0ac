//! The test `version`: loose, strict, semantic and PEP 440 versions.

use std::cmp::Ordering;

use rplay_modules::regex::Flags;

use super::super::args::Args;
use super::super::fault::Fault;
use super::super::value::Value;

/// A part of a version.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
pub(super) enum Part {
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
    if !args.operand().is_true() || value.is_empty() {
        return Err(Fault::new("Input version value cannot be empty"));
    }
    let unknown = || {
        Fault::new(format!(
            "Invalid operator type ({op}). Must be one of '==', '=', 'eq', '<', 'lt', '<=', 'le', '>', 'gt', '>=', 'ge', '!=', '<>', 'ne'"
        ))
    };
    if super::super::tests::answers(&op, Ordering::Equal).is_none() {
        return Err(unknown());
    }
    super::super::lazy::defined(args.operand()).map_err(|fault| match args.operand() {
        Value::Undefined(_) => fault,
        _ => failed(fault.text()),
    })?;
    let kind = args
        .named("version_type")
        .map_or_else(|| args.text(4, "version_type", "loose"), |kind| kind.text());
    if args
        .get(3, "strict")
        .is_some_and(|strict| !matches!(strict, Value::None))
        && args
            .get(4, "version_type")
            .is_some_and(|kind| !matches!(kind, Value::None))
    {
        return Err(Fault::new(
            "Cannot specify both 'strict' and 'version_type'",
        ));
    }
    let kind = if args.truth(3, "strict", false) {
        "strict".to_owned()
    } else {
        kind
    };
    let order = match kind.as_str() {
        "semver" | "semantic" => {
            for text in [&value, &version] {
                whole_semantic(text)?;
            }
            semantic(&value, &version)
        }
        "strict" => strict(&value)?.cmp(&strict(&version)?),
        "pep440" => pep440(&value)?.cmp(&pep440(&version)?),
        "loose" => ordered(&loose(&value), &loose(&version)).map_err(failed)?,
        other => {
            return Err(Fault::new(format!(
                "Invalid version type ({other}). Must be one of 'loose', 'strict', 'semver', 'semantic', 'pep440'"
            )));
        }
    };
    super::super::tests::answers(&op, order).ok_or_else(unknown)
}

fn failed(problem: &str) -> Fault {
    Fault::new(format!("Version comparison failed: {problem}"))
}

/// Which of two versions is the later one. In Python a text and a number at one place do not compare.
pub(super) fn ordered(a: &[Part], b: &[Part]) -> Result<Ordering, &'static str> {
    for (a, b) in a.iter().zip(b) {
        match (a, b) {
            (Part::Text(_), Part::Number(_)) => {
                return Err("'<' not supported between instances of 'str' and 'int'");
            }
            (Part::Number(_), Part::Text(_)) => {
                return Err("'<' not supported between instances of 'int' and 'str'");
            }
            _ if a != b => return Ok(a.cmp(b)),
            _ => {}
        }
    }
    Ok(a.len().cmp(&b.len()))
}

fn whole_semantic(text: &str) -> Result<(), Fault> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let good = parts.len() == 3
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if good {
        return Ok(());
    }
    Err(failed(&format!("invalid semantic version '{text}'")))
}

/// Two or three numbers, perhaps `a1` or `b1`, which come before the version without.
fn strict(text: &str) -> Result<(Vec<u64>, (u8, u64)), Fault> {
    let wrong = || failed(&format!("invalid version number '{text}'"));
    let (core, before) = match text.find(['a', 'b']) {
        Some(at) => {
            let number = text[at + 1..].parse().map_err(|_| wrong())?;
            (&text[..at], (u8::from(text[at..].starts_with('b')), number))
        }
        None => (text, (2, 0)),
    };
    let mut numbers = core
        .split('.')
        .map(|part| part.parse().map_err(|_| wrong()))
        .collect::<Result<Vec<u64>, Fault>>()?;
    if !(2..=3).contains(&numbers.len()) {
        return Err(wrong());
    }
    numbers.resize(3, 0);
    Ok((numbers, before))
}

/// What PEP 440 compares: epoch, release, pre-release, post-release, development release, local part.
type Pep440 = (
    u64,
    Vec<u64>,
    (i8, u64),
    Option<u64>,
    (bool, u64),
    Vec<(bool, u64, String)>,
);

fn pep440(text: &str) -> Result<Pep440, Fault> {
    let pattern = super::regex::compile(
        r"\Av?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*))?(?:(?:-(\d+))|(?:[-_.]?(post|rev|r)[-_.]?(\d*)))?(?:[-_.]?(dev)[-_.]?(\d*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\Z",
        Flags {
            ignore_case: true,
            ..Flags::default()
        },
    )?;
    let lower = text.trim().to_lowercase();
    let wrong = || failed(&format!("Invalid version: '{text}'"));
    let found = pattern.captures(&lower).ok().flatten().ok_or_else(wrong)?;
    let part = |index: usize| found.get(index);
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let mut release: Vec<u64> = part(2).unwrap_or_default().split('.').map(number).collect();
    while release.len() > 1 && release.last() == Some(&0) {
        release.pop();
    }
    let post = part(5)
        .or_else(|| part(6).map(|_| part(7).unwrap_or_default()))
        .map(number);
    let development = part(8).map(|_| number(part(9).unwrap_or_default()));
    let before = match part(3) {
        Some(name) if name.starts_with("al") || name == "a" => {
            (0, number(part(4).unwrap_or_default()))
        }
        Some(name) if name.starts_with('b') => (1, number(part(4).unwrap_or_default())),
        Some(_) => (2, number(part(4).unwrap_or_default())),
        // `1.0.dev1` comes before `1.0a1`.
        None if post.is_none() && development.is_some() => (-1, 0),
        None => (3, 0),
    };
    let local = part(10).map_or_else(Vec::new, |local| {
        local
            .split(['-', '_', '.'])
            .map(|part| match part.parse() {
                Ok(number) => (true, number, String::new()),
                Err(_) => (false, 0, part.to_owned()),
            })
            .collect()
    });
    Ok((
        part(1).map_or(0, number),
        release,
        before,
        post,
        development.map_or((true, 0), |number| (false, number)),
        local,
    ))
}

/// The parts of a version without rules: numbers and words.
pub(super) fn loose(text: &str) -> Vec<Part> {
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
