//! Filters of `community.general` that read and write CSV and INI text.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::value::{Entries, Key, Value};
use super::super::{csv, ini};
use super::dict::{entries, python_type};

super::filters! {
    "from_csv": "the rows of CSV text, each under the names of the columns" => |_, a| from_csv(a);
    "from_ini": "the sections of INI text" => |_, a| from_ini(a);
    "to_ini": "sections as INI text" => |_, a| to_ini(a);
}

fn from_csv(args: &Args) -> Outcome {
    let delimiter = match args.text(1, "dialect", "excel").as_str() {
        "excel" | "unix" => ',',
        "excel-tab" => '\t',
        other => {
            return Err(Fault::new(format!(
                "Dialect '{other}' is not supported by your version of python."
            )));
        }
    };
    args.check(
        6,
        &[
            "dialect",
            "fieldnames",
            "delimiter",
            "skipinitialspace",
            "strict",
        ],
    )?;
    let given = args
        .get(3, "delimiter")
        .filter(|value| !matches!(value, Value::None));
    let style = csv::Style {
        delimiter: given
            .and_then(|value| value.text().chars().next())
            .unwrap_or(delimiter),
        skip_blanks: args.truth(4, "skipinitialspace", false),
        strict: args.truth(5, "strict", false),
    };
    let rows = csv::rows(&args.operand().text(), style)
        .map_err(|problem| Fault::new(format!("Unable to process file: {problem}")))?;
    let mut rows = rows.into_iter();
    let names: Vec<Value> = match args.get(2, "fieldnames") {
        Some(names @ (Value::List(_) | Value::Tuple(_))) => super::super::ops::iterate(names)?,
        _ => {
            let names = rows.next().unwrap_or_default();
            names.into_iter().map(Value::from).collect()
        }
    };
    let records = rows.filter(|row| !row.is_empty()).map(|row| {
        let mut record = Entries::with_capacity(names.len());
        for (at, name) in names.iter().enumerate() {
            let cell = row
                .get(at)
                .map_or(Value::None, |cell| Value::str(cell.as_str()));
            record.insert(Key(name.clone()), cell);
        }
        if row.len() > names.len() {
            let rest = row[names.len()..]
                .iter()
                .map(|cell| Value::str(cell.as_str()));
            record.insert(Key(Value::None), Value::list(rest.collect()));
        }
        Value::dict(record)
    });
    Ok(Value::list(records.collect()))
}

fn from_ini(args: &Args) -> Outcome {
    if let Some((name, _)) = args.kw.iter().find(|(name, _)| name != "delimiters") {
        return Err(Fault::new(format!(
            "from_ini() got an unexpected keyword argument '{name}'"
        )));
    }
    let Value::Str(text) = args.operand() else {
        return Err(Fault::new(format!(
            "from_ini requires a str, got {}",
            python_type(args.operand())
        )));
    };
    let delimiters: Vec<char> = match args.get(1, "delimiters") {
        Some(value @ (Value::List(_) | Value::Tuple(_))) => super::super::ops::iterate(value)?
            .iter()
            .filter_map(|mark| mark.as_str()?.chars().next())
            .collect(),
        _ => vec!['=', ':'],
    };
    let style = ini::Style {
        delimiters: &delimiters,
        bare: false,
        strict: true,
        fold: false,
    };
    let sections = ini::read(text.as_str(), None, &style).map_err(|problem| {
        Fault::new(format!("from_ini failed to parse given string: {problem}"))
    })?;
    let filled = |section: &ini::Section, out: &mut Entries| {
        for (name, value) in &section.entries {
            let value = value.as_deref().map_or(Value::None, Value::from);
            out.insert(Key::from(name.as_str()), value);
        }
    };
    let common = sections.iter().find(|section| section.name == "DEFAULT");
    let mut out = Entries::new();
    for section in sections.iter().filter(|section| section.name != "DEFAULT") {
        let mut names = Entries::new();
        if let Some(common) = common {
            filled(common, &mut names);
        }
        filled(section, &mut names);
        out.insert(Key::from(section.name.as_str()), Value::dict(names));
    }
    if let Some(common) = common {
        let mut names = Entries::new();
        filled(common, &mut names);
        out.insert(Key::from("DEFAULT"), Value::dict(names));
    }
    Ok(Value::dict(out))
}

fn to_ini(args: &Args) -> Outcome {
    let Some(sections) = entries(args.operand()) else {
        return Err(Fault::new(format!(
            "to_ini requires a dict, got {}",
            python_type(args.operand())
        )));
    };
    if sections.is_empty() {
        return Err(Fault::new(
            "to_ini received an empty dict. An empty dict cannot be converted.",
        ));
    }
    let failed =
        |problem: String| Fault::new(format!("to_ini failed to parse given dict:{problem}"));
    let mark = if args.truth(1, "no_extra_spaces", false) {
        "="
    } else {
        " = "
    };
    let mut out = String::new();
    for (Key(name), section) in &sections {
        let Some(options) = entries(section) else {
            return Err(failed(format!(
                "'{}' object has no attribute 'items'",
                section.type_name()
            )));
        };
        out.push_str(&format!("[{}]\n", name.text()));
        for (Key(option), value) in &options {
            if matches!(value, Value::None) {
                return Err(failed("option values must be strings".to_owned()));
            }
            let value = value.text().replace('\n', "\n\t");
            out.push_str(&format!("{}{mark}{value}\n", option.text()));
        }
        out.push('\n');
    }
    out.pop();
    Ok(Value::from(out))
}
