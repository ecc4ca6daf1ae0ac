//! The functions that every template has.

use std::any::Any;

use super::args::Args;
use super::fault::{Fault, Outcome};
use super::interp::Interp;
use super::lazy::present;
use super::objects::{Namespace, Turns};
use super::value::{Dict, Entries, Key, Object, Value};
use super::{filters, limits, lookups, methods};

const NAMES: &[&str] = &[
    "lookup",
    "query",
    "q",
    "range",
    "dict",
    "namespace",
    "now",
    "undef",
    "cycler",
    "joiner",
    "lipsum",
];

/// A function as a value.
pub(crate) struct Function(pub(crate) &'static str);

impl Object for Function {
    fn type_name(&self) -> &'static str {
        "function"
    }
    fn storable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether templates have a function of this name, or Jinja2 does, whose others make no sense here.
#[must_use]
pub fn is_global(name: &str) -> bool {
    exists(name) || name == "omit"
}

pub(crate) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The function as a value.
pub(crate) fn object(name: &str) -> Value {
    match NAMES.iter().find(|known| **known == name) {
        Some(name) => Value::object(Function(name)),
        None => Value::None,
    }
}

/// Calls a function.
pub(crate) fn call(interp: &Interp<'_>, name: &str, args: &Args) -> Outcome {
    match name {
        "lookup" => lookups::function(interp, args, false),
        "query" | "q" => lookups::function(interp, args, true),
        "range" => range(args),
        "dict" => {
            args.kw.iter().try_for_each(|(_, value)| present(value))?;
            dict(interp, args)
        }
        "namespace" => {
            let Value::Dict(entries) = dict(interp, args)? else {
                return Ok(Value::None);
            };
            let entries = entries.read().clone();
            Ok(Value::object(Namespace(Dict {
                entries: entries.into(),
                lazy: false,
            })))
        }
        "now" => filters::now(args),
        "lipsum" => lipsum(args),
        "cycler" if args.pos.is_empty() => Err(Fault::new("at least one item has to be provided")),
        "cycler" | "joiner" => Ok(Value::object(Turns {
            items: if name == "joiner" {
                vec![Value::from(args.text(0, "sep", ", "))]
            } else {
                args.pos.clone()
            },
            at: std::sync::Arc::default(),
            method: (name == "joiner").then_some("join"),
        })),
        _ if args.pos.len() > 1 => Err(Fault::new(format!(
            "_undef() takes from 0 to 1 positional arguments but {} were given",
            args.pos.len()
        ))),
        _ => {
            if let Some(other) = args
                .get(0, "hint")
                .filter(|hint| !matches!(hint, Value::Str(_) | Value::None))
            {
                return Err(Fault::new(format!(
                    "The 'hint' argument must be of type 'str' or 'NoneType', not '{}'.",
                    other.type_name()
                )));
            }
            let hint = args.get(0, "hint").and_then(Value::as_str);
            let hint = hint.unwrap_or("Mandatory variable has not been overridden");
            Ok(Value::undefined(hint))
        }
    }
}

/// Some paragraphs of words that mean nothing.
fn lipsum(args: &Args) -> Outcome {
    const WORDS: &[&str] = &[
        "ad",
        "aliqua",
        "amet",
        "anim",
        "aute",
        "cillum",
        "commodo",
        "consequat",
        "culpa",
        "cupidatat",
        "deserunt",
        "dolor",
        "dolore",
        "duis",
        "elit",
        "enim",
        "esse",
        "est",
        "eu",
        "ex",
        "fugiat",
        "id",
        "in",
        "irure",
        "labore",
        "laborum",
        "lorem",
        "magna",
        "minim",
        "mollit",
        "nisi",
        "non",
        "nostrud",
        "nulla",
        "occaecat",
        "officia",
        "pariatur",
        "proident",
        "quis",
        "sed",
        "sint",
        "sit",
        "sunt",
        "tempor",
        "ullamco",
        "ut",
        "velit",
        "veniam",
    ];
    const NAMES: [&str; 4] = ["n", "html", "min", "max"];
    if args.pos.len() > NAMES.len() {
        return Err(Fault::new(format!(
            "generate_lorem_ipsum() takes from 0 to 4 positional arguments but {} were given",
            args.pos.len()
        )));
    }
    args.check(4, &NAMES)
        .map_err(|fault| Fault::new(format!("generate_lorem_ipsum() {}", fault.inner())))?;
    let number = |index: usize, default: usize| match args.get(index, NAMES[index]) {
        None => Ok(default),
        Some(value @ (Value::Int(_) | Value::Bool(_))) => {
            let number = super::args::whole(value).unwrap_or(0).max(0);
            Ok(usize::try_from(number).unwrap_or(usize::MAX))
        }
        Some(other) => Err(Fault::new(format!(
            "'{}' object cannot be interpreted as an integer",
            other.type_name()
        ))),
    };
    let (count, least, most) = (number(0, 5)?, number(2, 20)?, number(3, 100)?);
    if most <= least {
        return Err(Fault::new(format!(
            "empty range in randrange({least}, {most})"
        )));
    }
    limits::text(count.saturating_mul(most.saturating_mul(10)))?;
    let html = args.truth(1, "html", true);
    let mut random = filters::random::Random::new(None);
    let mut pick = |from: usize, to: usize| from + random.below((to - from) as u64) as usize;
    let mut paragraphs = vec![];
    for _ in 0..count {
        let length = pick(least, most);
        let (mut text, mut begin) = (String::new(), true);
        for at in 0..length {
            let word = WORDS[pick(0, WORDS.len())];
            text.push_str(if at > 0 { " " } else { "" });
            match begin {
                true => text.push_str(&filters::text::capitalized(word)),
                false => text.push_str(word),
            }
            begin = at + 1 == length || pick(0, 12) == 0;
            if begin {
                text.push('.');
            } else if pick(0, 8) == 0 {
                text.push(',');
            }
        }
        paragraphs.push(if html { format!("<p>{text}</p>") } else { text });
    }
    let between = if html { "\n" } else { "\n\n" };
    Ok(Value::from(paragraphs.join(between)))
}

fn range(args: &Args) -> Outcome {
    let mut numbers = Vec::new();
    for value in &args.pos {
        match value {
            Value::Undefined(undefined) => return Err(Fault::undefined(undefined)),
            Value::Int(number) => numbers.push(*number),
            Value::Bool(value) => numbers.push(i128::from(*value)),
            other => {
                return Err(Fault::new(format!(
                    "'{}' object cannot be interpreted as an integer",
                    other.type_name()
                )));
            }
        }
    }
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        [] => return Err(Fault::new("range expected at least 1 argument, got 0")),
        _ => {
            return Err(Fault::new(format!(
                "range expected at most 3 arguments, got {}",
                numbers.len()
            )));
        }
    };
    if step == 0 {
        return Err(Fault::new("range() arg 3 must not be zero"));
    }
    let distance = if step > 0 {
        stop.saturating_sub(start)
    } else {
        start.saturating_sub(stop)
    };
    let count = u128::try_from(distance).map_or(0, |far| far.div_ceil(step.unsigned_abs()));
    limits::items(usize::try_from(count).unwrap_or(usize::MAX))?;
    let mut items = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        items.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    Ok(Value::list(items))
}

/// The function `dict`.
pub(crate) fn dict(interp: &Interp<'_>, args: &Args) -> Outcome {
    let mut entries = Entries::new();
    if args.pos.len() > 1 {
        return Err(Fault::new(format!(
            "dict expected at most 1 argument, got {}",
            args.pos.len()
        )));
    }
    if let Some(given) = args.pos.first() {
        entries.extend(methods::pairs(interp, given)?);
    }
    entries.extend(
        args.kw
            .iter()
            .map(|(name, value)| (Key::from(name.as_str()), value.clone())),
    );
    Ok(Value::dict(entries))
}
