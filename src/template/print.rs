//! Python printing of values.

use std::fmt::Write as _;

use super::limits;
use super::value::{Key, Value};

/// Python's `repr`.
pub(crate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value, 0);
    out
}

/// Python's `str`.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Object(object) => object.text(),
        other => repr(other),
    }
}

fn write_repr(out: &mut String, value: &Value, depth: usize) {
    // What is so long is refused by who asked for it: one item many times over has no end.
    if depth > 100 || limits::text(out.len()).is_err() {
        out.push_str("...");
        return;
    }
    match value {
        Value::Undefined(_) => out.push_str("Undefined"),
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => out.push_str(&float(*number)),
        Value::Str(text) => python_string(out, text.as_str()),
        Value::Bytes(bytes) => {
            // Each byte as the character of that number, with those beyond ASCII escaped.
            out.push('b');
            let mut text = String::new();
            python_string(
                &mut text,
                &bytes
                    .iter()
                    .map(|byte| char::from(*byte))
                    .collect::<String>(),
            );
            for c in text.chars() {
                if c.is_ascii() {
                    out.push(c);
                } else {
                    let _ = write!(out, "\\x{:02x}", c as u32);
                }
            }
        }
        Value::List(list) => write_items(out, &list.to_vec(), ('[', ']'), depth),
        Value::Tuple(items) => {
            if let [only] = &items[..] {
                out.push('(');
                write_repr(out, only, depth + 1);
                out.push_str(",)");
            } else {
                write_items(out, items, ('(', ')'), depth);
            }
        }
        Value::Dict(dict) => {
            out.push('{');
            let entries = dict.read().clone();
            for (index, (Key(key), value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, key, depth + 1);
                out.push_str(": ");
                write_repr(out, value, depth + 1);
            }
            out.push('}');
        }
        Value::Object(object) => out.push_str(&object.repr()),
    }
}

fn write_items(out: &mut String, items: &[Value], (open, close): (char, char), depth: usize) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_repr(out, item, depth + 1);
    }
    out.push(close);
}

use rplay_modules::text::python_string;
pub(crate) use rplay_modules::text::{float, printable};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        assert_eq!(float(1e20), "1e+20");
        assert_eq!(float(1.5e-7), "1.5e-07");
        assert_eq!(float(3.0), "3.0");
    }
}
