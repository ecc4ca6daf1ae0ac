//! INI text as Python's `configparser` reads it.

use super::value::Value;

/// How INI text is read.
pub(crate) struct Style<'a> {
    /// What stands between a name and its value.
    pub(crate) delimiters: &'a [char],
    /// Whether names may stand alone.
    pub(crate) bare: bool,
    /// Whether repeated sections and names are refused.
    pub(crate) strict: bool,
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
