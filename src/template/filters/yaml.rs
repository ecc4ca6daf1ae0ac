//! YAML, read by YAML 1.1's rules and written as PyYAML lays it out.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use granit_parser::{Event, Parser, ScalarStyle};

use super::super::args::{Args, whole};
use super::super::fault::{Fault, Outcome};
use super::super::interp::Interp;
use super::super::value::{Entries, Key, Value};
use super::super::{ops, print};
use crate::diag::{Diagnostic, Source, Span};
use crate::load::is_timestamp;

super::filters! {
    "from_yaml": "the value that YAML text writes" => |interp, a| match a.operand() {
        Value::Str(text) => Ok(documents(text.as_str())?.into_iter().next().unwrap_or(Value::None)),
        other => Ok(ignored(interp, "from_yaml", other)),
    };
    "from_yaml_all": "the values of all documents of YAML text" => |interp, a| match a.operand() {
        Value::None => Ok(Value::list(vec![])),
        Value::Str(text) => Ok(Value::list(documents(text.as_str())?)),
        other => Ok(ignored(interp, "from_yaml_all", other)),
    };
    "to_yaml": "as YAML" => |_, a| dump(a, 2, None);
    "to_nice_yaml": "as YAML for people" => |_, a| dump(a, 4, Some(false));
}

/// What is no text stays as it is, and Ansible gives that up.
fn ignored(interp: &Interp<'_>, filter: &str, value: &Value) -> Value {
    if !matches!(value, Value::None | Value::Undefined(_)) {
        let kind = value.type_name();
        let what = format!("The {filter} filter ignored non-string input of type '{kind}'.");
        let place = Span::start_of(&Source::described("<unknown>", value.to_string()));
        interp.note(Diagnostic::deprecation("from-yaml", &what, "2.23").at(&place));
    }
    value.clone()
}

// ---- reading -----------------------------------------------------------------------------------

enum Open {
    List(Vec<Value>, usize),
    Map(Vec<Value>, usize),
}

/// The documents of YAML text as final data.
pub(crate) fn final_documents(text: &str) -> Result<Vec<rplay_modules::data::Data>, String> {
    let documents = documents(text).map_err(|fault| fault.text().to_owned())?;
    documents.iter().map(Value::to_data).collect()
}

/// The documents of YAML text.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, Fault> {
    let mut done = Vec::new();
    let mut stack: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, Value> = HashMap::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| Fault::new(located(&error)))?;
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = match tag {
                    Some(tag) => tagged(&tag.to_string(), &text, style)?,
                    _ if style == ScalarStyle::Plain => resolved(&text),
                    _ => Value::str(&*text),
                };
                anchors.insert(anchor, value.clone());
                value
            }
            Event::SequenceStart(_, anchor, _) => {
                stack.push(Open::List(vec![], anchor));
                continue;
            }
            Event::MappingStart(_, anchor, _) => {
                stack.push(Open::Map(vec![], anchor));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Open::List(items, anchor)) => {
                    let value = Value::list(items);
                    anchors.insert(anchor, value.clone());
                    value
                }
                Some(Open::Map(items, anchor)) => {
                    let value = mapping(items);
                    anchors.insert(anchor, value.clone());
                    value
                }
                None => continue,
            },
            Event::Alias(anchor) => anchors.get(&anchor).cloned().unwrap_or(Value::None),
            _ => continue,
        };
        match stack.last_mut() {
            Some(Open::List(items, _) | Open::Map(items, _)) => items.push(value),
            None => done.push(value),
        }
    }
    Ok(done)
}

/// A scalar with a tag of its own.
fn tagged(tag: &str, text: &str, style: ScalarStyle) -> Outcome {
    let wrong = || {
        Fault::new(format!(
            "could not determine a constructor for the tag '{tag}'"
        ))
    };
    let name = tag.rsplit([':', '!']).next().unwrap_or_default();
    if !tag.contains("yaml.org") && !tag.starts_with("!!") {
        return match name {
            "unsafe" | "vault" => Ok(Value::str(text)),
            _ => Err(wrong()),
        };
    }
    Ok(match name {
        "str" => Value::str(text),
        "binary" => {
            use base64::Engine as _;
            let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            Value::Bytes(
                bytes
                    .map_err(|_| Fault::new("failed to decode base64 data"))?
                    .into(),
            )
        }
        "int" | "float" | "bool" | "null" | "timestamp" => resolved(text),
        _ if style == ScalarStyle::Plain => resolved(text),
        _ => Value::str(text),
    })
}

/// A syntax error with its place as PyYAML writes it.
fn located(error: &granit_parser::ScanError) -> String {
    let place = error.marker();
    let text = error.to_string();
    let what = text.split(" at char ").next().unwrap_or_default();
    format!(
        "{what}\n  in \"<unicode string>\", line {}, column {}",
        place.line(),
        place.col() + 1
    )
}

fn mapping(items: Vec<Value>) -> Value {
    let mut entries = Entries::new();
    let mut merged = Vec::new();
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        match (key.as_str(), &value) {
            (Some("<<"), Value::Dict(_)) => merged.push(value),
            (Some("<<"), Value::List(list)) => merged.extend(list.to_vec()),
            _ => {
                entries.insert(Key(key), value);
            }
        }
    }
    for source in merged {
        let Value::Dict(source) = source else {
            continue;
        };
        for (key, value) in source.read().iter() {
            entries.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Value::dict(entries)
}

/// A plain scalar, times as such.
fn resolved(text: &str) -> Value {
    if is_timestamp(text)
        && let Some(moment) = super::timestamp(text)
    {
        return moment;
    }
    plain(text)
}

/// A plain scalar by YAML 1.1's rules; times stay text.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::None,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    integer(text)
        .map(Value::Int)
        .or_else(|| float(text).map(Value::Float))
        .unwrap_or_else(|| Value::str(text))
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.contains(':') {
        let mut total = 0i128;
        for (index, part) in digits.split(':').enumerate() {
            let number: i128 = part
                .replace('_', "")
                .parse()
                .ok()
                .filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))?;
            if index > 0 && (number > 59 || part.len() > 2) || index == 0 && part.starts_with('0') {
                return None;
            }
            total = total * 60 + number;
        }
        return Some(sign * total);
    }
    let clean = digits.replace('_', "");
    let (base, body) = match clean.get(..2) {
        Some("0b") => (2, &clean[2..]),
        Some("0x") => (16, &clean[2..]),
        _ if clean.len() > 1 && clean.starts_with('0') => (8, &clean[1..]),
        _ => (10, clean.as_str()),
    };
    i128::from_str_radix(body, base)
        .ok()
        .map(|number| sign * number)
}

fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !body.contains('.')
        || !body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || body.len() < 2
    {
        return None;
    }
    if let Some(at) = body.find(['e', 'E'])
        && !body[at + 1..].starts_with(['-', '+'])
    {
        return None;
    }
    let clean = body.replace('_', "");
    let allowed = clean
        .chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'));
    let number: f64 = if allowed {
        clean.parse().ok()?
    } else {
        return None;
    };
    Some(if text.starts_with('-') {
        -number
    } else {
        number
    })
}

// ---- writing -----------------------------------------------------------------------------------

struct Writer {
    out: String,
    column: usize,
    width: usize,
    step: usize,
    whitespace: bool,
    indention: bool,
    /// `Some(false)`: blocks only; `None`: collections of scalars on one line.
    flow: Option<bool>,
    sort: bool,
    /// The quotes that every text gets.
    style: Option<char>,
    /// Collections that stand at several places, with their numbers; none of them: each is written out.
    anchors: HashMap<usize, (usize, bool)>,
}

/// The type name of an object that is written as `!vault` with its text.
pub(crate) const ENVELOPE: &str = "EncryptedString";

/// A value as PyYAML's own layout has it: keys sorted, collections that stand at several places
/// once with an anchor.
pub(crate) fn document(value: &Value, sort: bool) -> Result<String, Fault> {
    let mut writer = Writer {
        out: String::new(),
        column: 0,
        width: 80,
        step: 2,
        whitespace: true,
        indention: true,
        flow: Some(false),
        sort,
        style: None,
        anchors: HashMap::new(),
    };
    writer.find_shared(value, &mut HashSet::new())?;
    writer.node(value, None, false, false)?;
    if !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }
    Ok(writer.out)
}

/// What makes a collection the same one: where it lies.
fn identity(value: &Value) -> Option<usize> {
    match value {
        Value::List(list) => Some(std::sync::Arc::as_ptr(list) as usize),
        Value::Dict(dict) => Some(std::sync::Arc::as_ptr(dict) as usize),
        _ => None,
    }
}

fn dump(args: &Args, step: usize, flow: Option<bool>) -> Outcome {
    const KNOWN: [&str; 8] = [
        "indent",
        "width",
        "sort_keys",
        "default_flow_style",
        "default_style",
        "explicit_start",
        "explicit_end",
        "allow_unicode",
    ];
    const REFUSED: [&str; 5] = ["canonical", "encoding", "line_break", "tags", "version"];
    for (name, value) in &args.kw {
        // The line break that PyYAML writes anyway is accepted.
        if REFUSED.contains(&name.as_str()) && value.is_true() && value.as_str() != Some("\n") {
            return Err(Fault::new(format!(
                "rplay writes YAML without the option `{name}`"
            )));
        }
        if !KNOWN.contains(&name.as_str()) && !REFUSED.contains(&name.as_str()) {
            return Err(Fault::new(format!(
                "dump_all() got an unexpected keyword argument '{name}'"
            )));
        }
    }
    if args.named("allow_unicode").is_some() {
        return Err(Fault::new(
            "yaml.dump() got multiple values for keyword argument 'allow_unicode'",
        ));
    }
    let number = |name: &str| {
        args.named(name)
            .and_then(whole)
            .and_then(|number| usize::try_from(number).ok())
    };
    let flow = match args.named("default_flow_style") {
        Some(Value::None) => None,
        Some(value) => Some(value.is_true()),
        None => flow,
    };
    let nice = flow.is_some();
    let indent = if nice {
        args.get(1, "indent")
    } else {
        args.named("indent")
    };
    for number in [indent, args.named("width")] {
        if let Some(Value::Str(_) | Value::List(_) | Value::Dict(_) | Value::Tuple(_)) = number {
            return Err(Fault::new("an integer is required"));
        }
    }
    let step = match indent {
        Some(Value::None) => 2,
        indent => indent
            .and_then(whole)
            .and_then(|step| usize::try_from(step).ok())
            .unwrap_or(step),
    };
    let mut writer = Writer {
        out: String::new(),
        column: 0,
        width: number("width")
            .filter(|width| *width > step * 2)
            .unwrap_or(80),
        step: if (2..10).contains(&step) { step } else { 2 },
        whitespace: true,
        indention: true,
        flow,
        sort: args.named("sort_keys").is_none_or(Value::is_true),
        style: args
            .named("default_style")
            .and_then(|style| style.as_str()?.chars().next()),
        anchors: HashMap::new(),
    };
    if args.named("explicit_start").is_some_and(Value::is_true) {
        writer.out.push_str("---");
        writer.column = 3;
        writer.whitespace = false;
        if !matches!(
            args.operand(),
            Value::List(_) | Value::Dict(_) | Value::Tuple(_)
        ) || empty(args.operand())
        {
            writer.raw(" ");
        } else {
            writer.newline();
        }
    }
    super::super::lazy::defined(args.operand())?;
    writer.node(args.operand(), None, false, false)?;
    if !writer.out.ends_with('\n') || matches!(args.operand(), Value::Str(_)) {
        writer.out.push('\n');
    }
    if args.named("explicit_end").is_some_and(Value::is_true) && !writer.out.ends_with("...\n") {
        writer.out.push_str("...\n");
    }
    Ok(Value::str(writer.out))
}

fn empty(value: &Value) -> bool {
    match value {
        Value::List(list) => list.read().is_empty(),
        Value::Tuple(items) => items.is_empty(),
        Value::Dict(dict) => dict.read().is_empty(),
        _ => false,
    }
}

impl Writer {
    /// Finds the collections that stand at several places, in the order in which that shows.
    fn find_shared(&mut self, value: &Value, seen: &mut HashSet<usize>) -> Result<(), Fault> {
        let Some(identity) = identity(value) else {
            return Ok(());
        };
        if !seen.insert(identity) {
            let number = self.anchors.len() + 1;
            self.anchors.entry(identity).or_insert((number, false));
            return Ok(());
        }
        if let Value::Dict(_) = value {
            for (_, value) in self.entries(value) {
                self.find_shared(&value, seen)?;
            }
            return Ok(());
        }
        for item in ops::iterate(value)? {
            self.find_shared(&item, seen)?;
        }
        Ok(())
    }

    /// Writes the anchor or the alias of a shared collection; true: nothing more is to be written.
    fn anchor(&mut self, value: &Value) -> bool {
        let found = identity(value).and_then(|identity| self.anchors.get_mut(&identity));
        let Some((number, begun)) = found else {
            return false;
        };
        let written = std::mem::replace(begun, true);
        let mark = if written { '*' } else { '&' };
        let text = format!("{mark}id{number:03}");
        self.mark(&text, true, false, false);
        written
    }

    /// A text as a literal block.
    fn literal(&mut self, text: &str, indent: usize) {
        for line in text.lines() {
            self.newline();
            self.raw(&" ".repeat(indent));
            self.raw(line);
        }
        self.whitespace = false;
        self.indention = false;
    }

    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
        self.whitespace = text.ends_with(' ');
        self.indention = self.indention && self.whitespace;
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.whitespace = true;
        self.indention = true;
    }

    fn indent(&mut self, indent: usize) {
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.newline();
        }
        if self.column < indent {
            self.out.push_str(&" ".repeat(indent - self.column));
            self.column = indent;
            self.whitespace = true;
        }
    }

    /// A marker such as `-` or `[`.
    fn mark(&mut self, mark: &str, gap: bool, whitespace: bool, indention: bool) {
        if gap && !self.whitespace {
            self.out.push(' ');
            self.column += 1;
        }
        self.out.push_str(mark);
        self.column += mark.len();
        self.whitespace = whitespace;
        self.indention = self.indention && indention;
    }

    fn node(
        &mut self,
        value: &Value,
        indent: Option<usize>,
        in_mapping: bool,
        in_flow: bool,
    ) -> Result<(), Fault> {
        if self.anchor(value) {
            return Ok(());
        }
        match value {
            Value::Object(object) if object.type_name() == ENVELOPE => {
                self.mark("!vault |", true, false, false);
                self.literal(
                    &object.text(),
                    indent.map_or(self.step, |indent| indent + self.step),
                );
                Ok(())
            }
            Value::Object(object) => match (object.to_dict(), object.iterate()) {
                (Some(dict), _) => self.node(&dict, indent, in_mapping, in_flow),
                (None, Some(items)) => self.node(&Value::list(items), indent, in_mapping, in_flow),
                _ => {
                    self.mark(&object.text(), true, false, false);
                    Ok(())
                }
            },
            Value::List(_) | Value::Tuple(_) | Value::Dict(_) => {
                if in_flow
                    || empty(value)
                    || self.flow == Some(true)
                    || (self.flow.is_none() && flat(value))
                {
                    return self.flow_node(value, indent);
                }
                self.block(value, indent, in_mapping)
            }
            scalar => {
                self.scalar(
                    scalar,
                    indent.map_or(self.step, |indent| indent + self.step),
                    in_flow,
                    false,
                );
                Ok(())
            }
        }
    }

    fn entries(&self, value: &Value) -> Entries {
        let Value::Dict(dict) = value else {
            return Entries::new();
        };
        let mut entries = dict.read().clone();
        if self.sort {
            // PyYAML leaves keys that do not compare where they are.
            let pairs = entries.clone().into_iter().collect();
            let sorted = ops::sorted(pairs, false, &mut |(a, _): &(Key, Value), (b, _)| {
                ops::less(&a.0, &b.0)
            });
            if let Ok(sorted) = sorted {
                entries = sorted.into_iter().collect();
            }
        }
        entries
    }

    fn block(
        &mut self,
        value: &Value,
        indent: Option<usize>,
        in_mapping: bool,
    ) -> Result<(), Fault> {
        if let Value::Dict(_) = value {
            let inner = indent.map_or(0, |indent| indent + self.step);
            for (Key(key), value) in self.entries(value) {
                self.indent(inner);
                self.scalar(&key, inner + self.step, false, true);
                self.mark(":", false, false, false);
                self.node(&value, Some(inner), true, false)?;
            }
            return Ok(());
        }
        let indentless = in_mapping && !self.indention;
        let inner = match indent {
            None => 0,
            Some(indent) if indentless => indent,
            Some(indent) => indent + self.step,
        };
        for item in ops::iterate(value)? {
            self.indent(inner);
            self.mark("-", true, false, true);
            self.node(&item, Some(inner), false, false)?;
        }
        Ok(())
    }

    fn flow_node(&mut self, value: &Value, indent: Option<usize>) -> Result<(), Fault> {
        let inner = indent.map_or(self.step, |indent| indent + self.step);
        if let Value::Dict(_) = value {
            self.mark("{", true, true, false);
            for (index, (Key(key), value)) in self.entries(value).into_iter().enumerate() {
                if index > 0 {
                    self.mark(",", false, false, false);
                }
                if self.column > self.width {
                    self.indent(inner);
                }
                self.scalar(&key, inner, true, true);
                self.mark(":", false, false, false);
                self.node(&value, Some(inner), true, true)?;
            }
            self.mark("}", false, false, false);
            return Ok(());
        }
        self.mark("[", true, true, false);
        for (index, item) in ops::iterate(value)?.iter().enumerate() {
            if index > 0 {
                self.mark(",", false, false, false);
            }
            if self.column > self.width {
                self.indent(inner);
            }
            self.node(item, Some(inner), false, true)?;
        }
        self.mark("]", false, false, false);
        Ok(())
    }

    fn scalar(&mut self, value: &Value, indent: usize, in_flow: bool, key: bool) {
        let text = match value {
            Value::None => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Float(number) if number.is_nan() => ".nan".to_owned(),
            Value::Float(number) if number.is_infinite() => {
                if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
            }
            Value::Float(number) => {
                let text = print::float(*number);
                if !text.contains('.') && text.contains('e') {
                    text.replacen('e', ".0e", 1)
                } else {
                    text
                }
            }
            Value::Str(text) => return self.text(text.as_str(), indent, in_flow, key),
            other => other.text(),
        };
        self.mark(&text, true, false, false);
    }

    fn text(&mut self, text: &str, indent: usize, in_flow: bool, key: bool) {
        let look = Look::new(text);
        let implicit = matches!(plain(text), Value::Str(_))
            && !is_timestamp(text)
            && !matches!(text, "=" | "<<");
        let allowed = if in_flow {
            look.flow_plain
        } else {
            look.block_plain
        };
        if !self.whitespace {
            self.out.push(' ');
            self.column += 1;
        }
        self.whitespace = false;
        self.indention = false;
        let split = !key;
        if self.style == Some('"') {
            self.double(text, indent, split);
        } else if self.style == Some('\'') && look.single && !(key && look.breaks) {
            self.single(text, indent, split);
        } else if !text.is_empty() && implicit && allowed && !(key && look.breaks) {
            self.plain(text, indent, split);
        } else if look.single && !(key && look.breaks) {
            self.single(text, indent, split);
        } else {
            self.double(text, indent, split);
        }
    }

    fn plain(&mut self, text: &str, indent: usize, split: bool) {
        let words: Vec<&str> = text.split(' ').collect();
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                let alone = !word.is_empty() && !words[index - 1].is_empty();
                if split && alone && self.column > self.width {
                    self.indent(indent);
                    self.whitespace = false;
                    self.indention = false;
                } else {
                    self.out.push(' ');
                    self.column += 1;
                }
            }
            self.out.push_str(word);
            self.column += word.chars().count();
            self.whitespace = false;
            self.indention = false;
        }
    }

    fn single(&mut self, text: &str, indent: usize, split: bool) {
        self.out.push('\'');
        self.column += 1;
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let c = chars[at];
            if c == ' ' {
                let end = (at..chars.len())
                    .find(|at| chars[*at] != ' ')
                    .unwrap_or(chars.len());
                if end - at == 1
                    && self.column > self.width
                    && split
                    && at != 0
                    && end != chars.len()
                {
                    self.whitespace = false;
                    self.indention = false;
                    self.indent(indent);
                } else {
                    self.out.push_str(&" ".repeat(end - at));
                    self.column += end - at;
                }
                at = end;
            } else if is_break(c) {
                let end = (at..chars.len())
                    .find(|at| !is_break(chars[*at]))
                    .unwrap_or(chars.len());
                if c == '\n' {
                    self.newline();
                }
                for _ in at..end {
                    self.newline();
                }
                self.indent(indent);
                at = end;
            } else {
                if c == '\'' {
                    self.out.push('\'');
                    self.column += 1;
                }
                self.out.push(c);
                self.column += 1;
                at += 1;
            }
        }
        self.out.push('\'');
        self.column += 1;
        self.whitespace = false;
        self.indention = false;
    }

    fn double(&mut self, text: &str, indent: usize, split: bool) {
        self.out.push('"');
        self.column += 1;
        let chars: Vec<char> = text.chars().collect();
        for (at, c) in chars.iter().enumerate() {
            let inside = at > 0 && at + 1 < chars.len();
            if inside && *c == ' ' && split && self.column > self.width {
                self.out.push('\\');
                self.whitespace = false;
                self.indention = false;
                self.indent(indent);
                // A line must not begin with a blank of its own.
                self.out.push('\\');
                self.column += 1;
            }
            let before = self.out.len();
            let code = *c as u32;
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\0' => self.out.push_str("\\0"),
                '\u{7}' => self.out.push_str("\\a"),
                '\u{8}' => self.out.push_str("\\b"),
                '\t' => self.out.push_str("\\t"),
                '\n' => self.out.push_str("\\n"),
                '\u{b}' => self.out.push_str("\\v"),
                '\u{c}' => self.out.push_str("\\f"),
                '\r' => self.out.push_str("\\r"),
                '\u{1b}' => self.out.push_str("\\e"),
                '\u{85}' => self.out.push_str("\\N"),
                '\u{a0}' => self.out.push_str("\\_"),
                '\u{2028}' => self.out.push_str("\\L"),
                '\u{2029}' => self.out.push_str("\\P"),
                c if printable(*c) => self.out.push(*c),
                _ => {
                    let _ = match code {
                        0..=0xff => write!(self.out, "\\x{code:02X}"),
                        0x100..=0xffff => write!(self.out, "\\u{code:04X}"),
                        _ => write!(self.out, "\\U{code:08X}"),
                    };
                }
            }
            self.column += self.out[before..].chars().count();
        }
        self.out.push('"');
        self.column += 1;
        self.whitespace = false;
        self.indention = false;
    }
}

fn flat(value: &Value) -> bool {
    let scalar = |value: &Value| {
        !matches!(value, Value::List(_) | Value::Tuple(_) | Value::Dict(_))
            && !matches!(value, Value::Object(object) if object.iterate().is_some() || object.to_dict().is_some())
    };
    match value {
        Value::List(list) => list.read().iter().all(scalar),
        Value::Tuple(items) => items.iter().all(scalar),
        Value::Dict(dict) => dict.read().values().all(scalar),
        _ => false,
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
        && !is_break(c)
}

/// What a text allows of the styles.
struct Look {
    flow_plain: bool,
    block_plain: bool,
    single: bool,
    breaks: bool,
}

impl Look {
    fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let space_at = |at: usize| {
            chars
                .get(at)
                .is_none_or(|c| matches!(c, ' ' | '\t' | '\r' | '\0') || is_break(*c))
        };
        let marker = text.starts_with("---") || text.starts_with("...");
        let (mut block, mut flow, mut breaks, mut special) = (marker, marker, false, false);
        let (mut break_space, mut space_break) = (false, false);
        for (at, c) in chars.iter().enumerate() {
            let first = at == 0;
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                | '%' | '@' | '`'
                    if first =>
                {
                    (flow, block) = (true, true);
                }
                '?' | ':' if first => {
                    flow = true;
                    block |= space_at(1);
                }
                '-' if first && space_at(1) => (flow, block) = (true, true),
                ',' | '?' | '[' | ']' | '{' | '}' => flow = true,
                ':' => {
                    flow = true;
                    block |= space_at(at + 1);
                }
                '#' if at > 0 && space_at(at - 1) => (flow, block) = (true, true),
                _ => {}
            }
            if is_break(*c) {
                breaks = true;
                space_break |= at > 0 && chars[at - 1] == ' ';
            } else if !printable(*c) {
                special = true;
            }
            break_space |= *c == ' ' && at > 0 && is_break(chars[at - 1]);
        }
        let edge = |c: Option<&char>| c.is_some_and(|c| *c == ' ' || is_break(*c));
        let edges = edge(chars.first()) || edge(chars.last());
        let bad = edges || break_space || space_break || special || breaks;
        Self {
            flow_plain: !bad && !flow,
            block_plain: !bad && !block,
            single: !space_break && !special,
            breaks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_yaml_1_1() {
        assert_eq!(plain("014"), Value::Int(12));
        assert_eq!(plain("0o14"), Value::str("0o14"));
        assert_eq!(plain("1:30"), Value::Int(90));
        assert_eq!(plain("n"), Value::str("n"));
        assert_eq!(plain("1e3"), Value::str("1e3"));
    }
}
