//! INI text as Python's `configparser` reads it.

use indexmap::IndexMap;

use super::value::Value;

/// How INI text is read.
pub(crate) struct Style<'a> {
    /// What stands between a name and its value.
    pub(crate) delimiters: &'a [char],
    /// Whether names may stand alone.
    pub(crate) bare: bool,
    /// Whether repeated sections and names are refused.
    pub(crate) strict: bool,
    /// Whether names are kept in small letters.
    pub(crate) fold: bool,
}

/// A section with its names in their order.
#[derive(Default)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) entries: Vec<(String, Option<String>)>,
}

/// The sections of a text, the one that takes lines before any section under `first`.
pub(crate) fn read(
    text: &str,
    first: Option<&str>,
    style: &Style<'_>,
) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = first
        .map(|name| Section {
            name: name.to_owned(),
            entries: vec![],
        })
        .into_iter()
        .collect();
    // The indent of the last name, the empty lines since, and the section that takes lines.
    let (mut indent, mut empty, mut at) = (None, 0, 0);
    let mut wrong = String::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        if trimmed.is_empty() {
            empty += 1;
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let value = sections
            .get_mut(at)
            .and_then(|section| section.entries.last_mut())
            .and_then(|(_, value)| value.as_mut());
        if let Some(value) = value
            && indent.is_some_and(|indent| depth > indent)
        {
            value.push_str(&"\n".repeat(empty + 1));
            value.push_str(trimmed);
            empty = 0;
            continue;
        }
        empty = 0;
        if let Some(name) = header(trimmed) {
            indent = None;
            at = open(&mut sections, name, index, style)?;
            continue;
        }
        let Some(section) = sections.get_mut(at) else {
            return Err(format!(
                "File contains no section headers.\nfile: '<???>', line: {}\n{}",
                index + 1,
                Value::str(line).repr()
            ));
        };
        indent = Some(depth);
        match entry(trimmed, style) {
            Some((name, value)) if style.fold => {
                put(section, (name.to_lowercase(), value), index, style)?;
            }
            Some(entry) => put(section, entry, index, style)?,
            None => wrong.push_str(&format!(
                "\n\t[line {:2}]: {}",
                index + 1,
                Value::str(line).repr()
            )),
        }
    }
    if wrong.is_empty() {
        return Ok(sections);
    }
    Err(format!("Source contains parsing errors: '<???>'{wrong}"))
}

/// The name between brackets at the beginning of a line.
fn header(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.rsplit_once(']')?;
    (!name.is_empty()).then_some(name)
}

fn open(
    sections: &mut Vec<Section>,
    name: &str,
    line: usize,
    style: &Style<'_>,
) -> Result<usize, String> {
    match sections.iter().position(|section| section.name == name) {
        Some(_) if style.strict && name != "DEFAULT" => Err(format!(
            "While reading from '<???>' [line {:2}]: section '{name}' already exists",
            line + 1
        )),
        Some(known) => Ok(known),
        None => {
            sections.push(Section {
                name: name.to_owned(),
                entries: vec![],
            });
            Ok(sections.len() - 1)
        }
    }
}

/// A name and its value.
fn entry(line: &str, style: &Style<'_>) -> Option<(String, Option<String>)> {
    let (name, value) = match line.split_once(style.delimiters) {
        Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
        None if style.bare => (line, None),
        None => return None,
    };
    (!name.is_empty()).then(|| (name.to_owned(), value))
}

fn put(
    section: &mut Section,
    (name, value): (String, Option<String>),
    line: usize,
    style: &Style<'_>,
) -> Result<(), String> {
    if style.strict && section.entries.iter().any(|(known, _)| *known == name) {
        return Err(format!(
            "While reading from '<???>' [line {:2}]: option '{name}' in section '{}' already exists",
            line + 1,
            section.name
        ));
    }
    section.entries.push((name, value));
    Ok(())
}

/// A section as its values are read: with the names of `DEFAULT`, and values that name others put together.
pub(crate) struct View<'a> {
    section: &'a str,
    entries: IndexMap<&'a str, Option<&'a str>>,
    interpolate: bool,
}

/// How often a value may lead on to another one.
const STEPS: usize = 10;

impl<'a> View<'a> {
    /// The section of a name, if there is one.
    pub(crate) fn of(sections: &'a [Section], name: &'a str, interpolate: bool) -> Option<Self> {
        let find = |name: &str| sections.iter().find(|section| section.name == name);
        let section = find(name);
        if section.is_none() && name != "DEFAULT" {
            return None;
        }
        let defaults = find("DEFAULT").filter(|_| name != "DEFAULT");
        let entries = defaults.into_iter().chain(section);
        let entries = entries.flat_map(|section| &section.entries);
        Some(Self {
            section: name,
            entries: entries
                .map(|(name, value)| (name.as_str(), value.as_deref()))
                .collect(),
            interpolate,
        })
    }

    /// The names with what is written for them.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&&'a str, Option<&'a str>)> {
        self.entries.iter().map(|(name, value)| (name, *value))
    }

    /// What a name comes to.
    pub(crate) fn value(&self, name: &str, raw: Option<&str>) -> Result<Option<String>, String> {
        match raw {
            Some(raw) if self.interpolate => {
                let mut out = String::new();
                self.put_together(name, raw, raw, 1, &mut out)?;
                Ok(Some(out))
            }
            raw => Ok(raw.map(ToOwned::to_owned)),
        }
    }

    fn put_together(
        &self,
        name: &str,
        raw: &str,
        mut rest: &str,
        step: usize,
        out: &mut String,
    ) -> Result<(), String> {
        let section = match self.section {
            "" => "java_properties",
            section => section,
        };
        let shown = |text: &str| Value::str(text).repr();
        if step > STEPS {
            return Err(format!(
                "Recursion limit exceeded in value substitution: option '{name}' in section '{section}' contains an interpolation key which cannot be substituted in {STEPS} steps. Raw value: {}",
                shown(raw)
            ));
        }
        while let Some((before, after)) = rest.split_once('%') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('%') {
                out.push('%');
                rest = after;
                continue;
            }
            let found = &rest[before.len()..];
            let Some(inner) = after.strip_prefix('(') else {
                return Err(format!(
                    "'%' must be followed by '%' or '(', found: {}",
                    shown(found)
                ));
            };
            let Some((other, behind)) = inner
                .split_once(")s")
                .filter(|(other, _)| !other.is_empty() && !other.contains(')'))
            else {
                return Err(format!(
                    "bad interpolation variable reference {}",
                    shown(found)
                ));
            };
            let key = other.to_lowercase();
            let value = self
                .entries
                .get(other)
                .or_else(|| self.entries.get(key.as_str()));
            let Some(value) = value else {
                return Err(format!(
                    "Bad value substitution: option '{name}' in section '{section}' contains an interpolation key '{key}' which is not a valid option name. Raw value: {}",
                    shown(raw)
                ));
            };
            match value.unwrap_or_default() {
                value if value.contains('%') => {
                    self.put_together(name, raw, value, step + 1, out)?;
                }
                value => out.push_str(value),
            }
            rest = behind;
        }
        out.push_str(rest);
        Ok(())
    }
}
