//! Results as YAML, laid out as Ansible's `result_format: yaml` lays them out.
//!
//! The layout is libyaml's with an indentation of four: lists stand under their key, long texts are
//! folded after column 80, and texts of several lines are literal blocks without trailing blanks.

use std::sync::LazyLock;

use rplay_modules::data::{Data, Map};
use rplay_modules::regex::{Flags, Regex};

use super::Settings;

/// The result on lines of its own.
pub(crate) fn dump(shown: &Map, settings: &Settings) -> String {
    let mut shown = shown.clone();
    // Who does not want it pretty gets PyYAML's own steps, and all that there is.
    let plain = settings.pretty == Some(false);
    for name in ["stdout", "stderr"] {
        let lines = format!("{name}_lines");
        if !plain && shown.contains_key(name) && shown.contains_key(&lines) {
            shown.insert(lines, Data::from("<omitted>"));
        }
    }
    let mut emitter = Emitter {
        out: String::new(),
        step: if plain { 2 } else { settings.indent.max(2) },
        width: settings.width,
    };
    if shown.is_empty() {
        emitter.out.push_str("{}");
    } else {
        emitter.mapping(&shown, 0, true);
    }
    let margin = " ".repeat(settings.indent);
    let lines = emitter.out.split('\n').map(|line| {
        if line.is_empty() {
            String::new()
        } else {
            format!("{margin}{line}")
        }
    });
    format!("\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

/// What stands before a value on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Key,
    Dash,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

struct Emitter {
    out: String,
    width: usize,
    step: usize,
}

impl Emitter {
    /// The entries of a mapping; `inline`: the first one goes on the line that is begun.
    fn mapping(&mut self, map: &Map, indent: usize, inline: bool) {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        for (index, (key, value)) in entries.into_iter().enumerate() {
            self.place(indent, inline && index == 0);
            self.text(key, indent, true);
            self.out.push(':');
            self.value(value, indent, After::Key);
        }
    }

    fn sequence(&mut self, items: &[Data], indent: usize, inline: bool) {
        for (index, item) in items.iter().enumerate() {
            self.place(indent, inline && index == 0);
            self.out.push('-');
            self.value(item, indent, After::Dash);
        }
    }

    fn value(&mut self, value: &Data, indent: usize, after: After) {
        let dash = after == After::Dash;
        match value {
            Data::Map(map) if !map.is_empty() => self.mapping(map, indent + self.step, dash),
            Data::List(items) if !items.is_empty() => {
                self.sequence(items, if dash { indent + self.step } else { indent }, dash);
            }
            scalar => {
                self.out.push(' ');
                self.scalar(scalar, indent + self.step);
            }
        }
    }

    /// Goes to the column of an entry, on this line or a new one.
    fn place(&mut self, indent: usize, inline: bool) {
        if !inline {
            self.out.push('\n');
        }
        let missing = indent.saturating_sub(self.column());
        self.out.push_str(&" ".repeat(missing));
    }

    fn column(&self) -> usize {
        let line = self.out.rsplit('\n').next().unwrap_or_default();
        line.chars().count()
    }

    fn scalar(&mut self, value: &Data, indent: usize) {
        match value {
            Data::Null => self.out.push_str("null"),
            Data::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Data::Int(value) => self.out.push_str(&value.to_string()),
            Data::Float(value) => self.out.push_str(&float(*value)),
            Data::Map(_) => self.out.push_str("{}"),
            Data::List(_) => self.out.push_str("[]"),
            Data::Str(text) => self.text(text, indent, false),
            Data::Bytes(bytes) => self.text(&String::from_utf8_lossy(bytes), indent, false),
        }
    }

    fn text(&mut self, text: &str, indent: usize, key: bool) {
        if !key
            && text.contains([
                '\n', '\r', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
            ])
        {
            let text = tidy(text);
            if text.is_empty() {
                self.out.push_str("\"\"");
            } else {
                self.literal(&text, indent);
            }
            return;
        }
        let special = text.chars().any(|c| !printable(c) || c == '\n');
        if special {
            self.double(text, indent, key);
        } else if text.is_empty() || !plain(text) || resolves(text) {
            self.single(text, indent, key);
        } else {
            self.plain(text, indent, key);
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with([' ', '\n']) {
            self.out.push_str(&self.step.to_string());
        }
        if !text.ends_with('\n') {
            self.out.push('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            self.out.push('+');
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.out.push('\n');
            if !line.is_empty() {
                self.out.push_str(&" ".repeat(indent));
                self.out.push_str(line);
            }
        }
    }

    /// Writes characters and folds at single blanks beyond the width; in quotes never at the ends.
    fn folded(
        &mut self,
        text: &str,
        indent: usize,
        key: bool,
        style: Style,
        write: impl Fn(&mut String, char),
    ) {
        let chars: Vec<char> = text.chars().collect();
        let mut column = self.column();
        let mut blank = false;
        for (at, c) in chars.iter().enumerate() {
            let inside = style == Style::Plain || (at > 0 && at + 1 < chars.len());
            let next = chars.get(at + 1) == Some(&' ');
            if *c == ' '
                && !key
                && !blank
                && inside
                && (style == Style::Double || !next)
                && column > self.width
            {
                self.out.push('\n');
                self.out.push_str(&" ".repeat(indent));
                column = indent;
                if next {
                    // Blanks that begin a line would be lost without it.
                    self.out.push('\\');
                    column += 1;
                }
            } else {
                let before = self.out.len();
                write(&mut self.out, *c);
                column += self.out.get(before..).map_or(0, |new| new.chars().count());
            }
            blank = *c == ' ';
        }
    }

    fn plain(&mut self, text: &str, indent: usize, key: bool) {
        self.folded(text, indent, key, Style::Plain, String::push);
    }

    fn single(&mut self, text: &str, indent: usize, key: bool) {
        self.out.push('\'');
        self.folded(text, indent, key, Style::Single, |out, c| {
            out.push(c);
            if c == '\'' {
                out.push(c);
            }
        });
        self.out.push('\'');
    }

    fn double(&mut self, text: &str, indent: usize, key: bool) {
        self.out.push('"');
        self.folded(text, indent, key, Style::Double, escape);
        self.out.push('"');
    }
}

fn escape(out: &mut String, c: char) {
    let short = match c {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if printable(c) => return out.push(c),
        c => {
            let number = c as u32;
            out.push_str(&match number {
                0..=0xff => format!("\\x{number:02X}"),
                0x100..=0xffff => format!("\\u{number:04X}"),
                _ => format!("\\U{number:08X}"),
            });
            return;
        }
    };
    out.push('\\');
    out.push(short);
}

/// What libyaml writes as it is: neither controls nor what lies beyond the basic plane.
fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// A text of several lines as it is shown: tabs expanded, without blanks at line ends and controls.
fn tidy(text: &str) -> String {
    let kept = text
        .trim_end()
        .chars()
        .filter(|c| matches!(c, '\t' | '\n' | ' '..='~') || *c >= '\u{a0}');
    let lines: String = kept.collect();
    let lines = lines
        .split('\n')
        .map(|line| expand_tabs(line).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn expand_tabs(line: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in line.chars() {
        let count = if c == '\t' { 8 - column % 8 } else { 1 };
        out.extend(std::iter::repeat_n(if c == '\t' { ' ' } else { c }, count));
        column += count;
    }
    out
}

/// Whether a text may stand without quotes, its type aside.
fn plain(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let blank_after = |at: usize| chars.get(at + 1).is_none_or(|next| *next == ' ');
    if text.starts_with(' ')
        || text.ends_with(' ')
        || text.starts_with("---")
        || text.starts_with("...")
    {
        return false;
    }
    chars.iter().enumerate().all(|(at, c)| match c {
        '#' => at > 0 && chars.get(at - 1) != Some(&' '),
        ':' => !blank_after(at),
        '?' | '-' if at == 0 => !blank_after(at),
        ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
        | '`' => at > 0,
        _ => true,
    })
}

/// Whether YAML 1.1 would read the text as something else than text.
fn resolves(text: &str) -> bool {
    static OTHER: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(concat!(
            r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF|~|null|Null|NULL|<<|=",
            r"|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
            r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            r"|[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
            r"|[0-9]{4}-[0-9]{2}-[0-9]{2}",
            r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?",
            r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$",
        ), Flags::default())
        .ok()
    });
    OTHER
        .as_ref()
        .is_some_and(|other| other.found(text) == Ok(true))
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let text = rplay_modules::text::float(number);
    if text.contains('.') {
        text
    } else {
        text.replacen('e', ".0e", 1)
    }
}

#[cfg(test)]
mod tests {
    use rplay_modules::map;

    use super::*;

    #[test]
    fn results_are_laid_out_as_ansible_does() {
        let words = "word ".repeat(20);
        let shown = map! {
            "list" => vec![Data::from("yes"), Data::from(map! { "k" => "a\nb \n", "l" => 1 })],
            "text" => format!("{words}end"),
            "stdout" => "x",
            "stdout_lines" => vec!["x"],
            "at" => "12:30",
            "none" => Data::List(vec![]),
        };
        let expected = [
            "",
            "    at: '12:30'",
            "    list:",
            "    - 'yes'",
            "    -   k: |-",
            "            a",
            "            b",
            "        l: 1",
            "    none: []",
            "    stdout: x",
            "    stdout_lines: <omitted>",
            "    text: word word word word word word word word word word word word word word word word",
            "        word word word word end",
            "",
        ];
        assert_eq!(dump(&shown, &Settings::default()), expected.join("\n"));
    }
}
