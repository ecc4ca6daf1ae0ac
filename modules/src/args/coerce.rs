//! Ansible's conversions of argument values from one kind to another.

use super::literal::parse_literal;
use super::{Kind, Mode};
use crate::data::{Data, Map};

/// A value as the kind of its argument wants it.
///
/// # Errors
/// Why the value cannot be converted, in Ansible's words. For a mode the text after the colon.
pub fn coerce(kind: Kind, value: &Data) -> Result<Data, String> {
    match kind {
        Kind::Raw => Ok(value.clone()),
        Kind::Str | Kind::Path => Ok(Data::Str(value.text())),
        Kind::Bool => to_bool(value).map(Data::Bool),
        Kind::Int => to_int(value).map(Data::Int),
        Kind::Float => to_float(value).map(Data::Float),
        Kind::List(item) => to_list(value)?
            .iter()
            .map(|value| coerce(*item, value))
            .collect::<Result<_, _>>()
            .map(Data::List),
        Kind::Dict => to_dict(value).map(Data::Map),
        Kind::Json => to_json(value).map(Data::Str),
        Kind::Mode => Mode::from_value(value).map(|_| value.clone()),
        Kind::Content => Ok(to_content(value)),
    }
}

/// The default of a table, which is text in YAML, as its kind wants it.
pub(super) fn default_value(kind: Kind, text: &str) -> Result<Data, String> {
    match (kind, text) {
        (Kind::List(_), "[]") => Ok(Data::List(Vec::new())),
        (Kind::Dict, "{}") => Ok(Data::Map(Map::new())),
        _ => coerce(kind, &Data::from(text)),
    }
}

fn to_bool(value: &Data) -> Result<bool, String> {
    let word = match value {
        Data::Bool(value) => return Ok(*value),
        Data::Float(number) if *number == 0.0 => return Ok(false),
        Data::Float(number) if *number == 1.0 => return Ok(true),
        other => other.text(),
    };
    match word.trim().to_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" => Ok(true),
        "n" | "no" | "off" | "0" | "false" | "f" => Ok(false),
        _ => Err(format!(
            "The value {} is not a valid boolean. Valid booleans include: \
             'y', 'yes', 'on', '1', 'true', 't', 1, 'n', 'no', 'off', '0', 'false', 'f', 0",
            value.repr()
        )),
    }
}

fn to_int(value: &Data) -> Result<i128, String> {
    let wrong = || format!("\"{}\" cannot be converted to an int", value.repr());
    match value {
        Data::Int(number) => Ok(*number),
        Data::Bool(value) => Ok((*value).into()),
        Data::Float(number) => whole(*number).ok_or_else(wrong),
        Data::Str(text) => {
            let digits = text.trim().replace('_', "");
            let decimal = || {
                digits
                    .parse()
                    .ok()
                    .filter(|_| !digits.contains(['n', 'N']))
                    .and_then(whole)
            };
            digits.parse().ok().or_else(decimal).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers that an integer holds get there"
)]
fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() < 1e38).then_some(number as i128)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Python's float() rounds in the same way"
)]
fn to_float(value: &Data) -> Result<f64, String> {
    let wrong = || {
        format!(
            "<class '{}'> cannot be converted to a float",
            value.type_name()
        )
    };
    match value {
        Data::Float(number) => Ok(*number),
        Data::Int(number) => Ok(*number as f64),
        Data::Bool(value) => Ok(f64::from(u8::from(*value))),
        Data::Str(text) => text.trim().replace('_', "").parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// The items before their own conversion: text is split at commas, a number is one item.
pub(super) fn to_list(value: &Data) -> Result<Vec<Data>, String> {
    match value {
        Data::List(items) => Ok(items.clone()),
        Data::Str(text) => Ok(text.split(',').map(Data::from).collect()),
        Data::Int(_) | Data::Float(_) | Data::Bool(_) => Ok(vec![Data::Str(value.text())]),
        other => Err(format!(
            "<class '{}'> cannot be converted to a list",
            other.type_name()
        )),
    }
}

fn to_dict(value: &Data) -> Result<Map, String> {
    let text = match value {
        Data::Map(map) => return Ok(map.clone()),
        Data::Str(text) => text,
        other => {
            return Err(format!(
                "<class '{}'> cannot be converted to a dict",
                other.type_name()
            ));
        }
    };
    if text.trim_start().starts_with('{') {
        return match parse_literal(text) {
            Some(Data::Map(map)) => Ok(map),
            _ => Err("unable to evaluate string as dictionary".to_owned()),
        };
    }
    if !text.contains('=') {
        return Err("dictionary requested, could not parse JSON or key=value".to_owned());
    }
    let pairs = split_pairs(text).into_iter().map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), Data::from(value)))
    });
    pairs.collect::<Option<_>>().ok_or_else(|| {
        "unable to evaluate string in the \"key=value\" format as dictionary".to_owned()
    })
}

/// Splits `a=1, b='x y'` at commas and white space outside of quotes; quotes and backslashes go.
fn split_pairs(text: &str) -> Vec<String> {
    let (mut pairs, mut pair) = (Vec::new(), String::new());
    let (mut quote, mut escaped) = (None, false);
    for letter in text.trim().chars() {
        match letter {
            _ if escaped => {
                pair.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            _ if quote == Some(letter) => quote = None,
            _ if quote.is_some() => pair.push(letter),
            '\'' | '"' => quote = Some(letter),
            ',' | ' ' => {
                if !pair.is_empty() {
                    pairs.push(std::mem::take(&mut pair));
                }
            }
            _ => pair.push(letter),
        }
    }
    if !pair.is_empty() {
        pairs.push(pair);
    }
    pairs
}

fn to_json(value: &Data) -> Result<String, String> {
    match value {
        Data::Str(text) => Ok(text.trim().to_owned()),
        Data::List(_) | Data::Map(_) => Ok(value.json_text()),
        other => Err(format!(
            "<class '{}'> cannot be converted to a json string",
            other.type_name()
        )),
    }
}

fn to_content(value: &Data) -> Data {
    match value {
        Data::Bytes(_) => value.clone(),
        Data::List(_) | Data::Map(_) => Data::Str(value.json_text()),
        other => Data::Str(other.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn booleans_and_numbers() {
        assert_eq!(
            coerce(Kind::Bool, &Data::from(" Yes")),
            Ok(Data::Bool(true))
        );
        assert_eq!(coerce(Kind::Bool, &Data::from(0.0)), Ok(Data::Bool(false)));
        assert!(coerce(Kind::Bool, &Data::from(2)).is_err());
        assert_eq!(coerce(Kind::Int, &Data::from("1.0")), Ok(Data::Int(1)));
        assert_eq!(coerce(Kind::Int, &Data::from("1e3")), Ok(Data::Int(1000)));
        assert_eq!(
            coerce(Kind::Int, &Data::from("nan")),
            Err("\"'nan'\" cannot be converted to an int".to_owned())
        );
        assert_eq!(
            coerce(Kind::Float, &Data::from("1.5")),
            Ok(Data::Float(1.5))
        );
    }

    #[test]
    fn lists_and_dicts() {
        assert_eq!(
            coerce(Kind::List(&Kind::Int), &Data::from("1,2")),
            Ok(Data::from(vec![1, 2]))
        );
        assert_eq!(
            coerce(Kind::List(&Kind::Str), &Data::from(5)),
            Ok(Data::from(vec!["5"]))
        );
        let dict = Data::from(map! { "a" => "1", "b" => "x y" });
        assert_eq!(coerce(Kind::Dict, &Data::from("a=1, b='x y'")), Ok(dict));
        let dict = Data::from(map! { "a" => vec![1], "b" => Data::Null });
        assert_eq!(
            coerce(Kind::Dict, &Data::from("{'a': [1], \"b\": None}")),
            Ok(dict)
        );
        assert!(coerce(Kind::Dict, &Data::from("{a")).is_err());
        assert_eq!(
            coerce(Kind::Json, &Data::from(map! { "a" => 1 })),
            Ok(Data::from("{\"a\": 1}"))
        );
    }

    #[test]
    fn text_of_other_kinds() {
        assert_eq!(coerce(Kind::Str, &Data::from(true)), Ok(Data::from("True")));
        assert_eq!(
            coerce(Kind::Path, &Data::from(vec!["a"])),
            Ok(Data::from("['a']"))
        );
    }
}
