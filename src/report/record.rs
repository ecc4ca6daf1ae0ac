//! The events themselves, one JSON document a line.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::View;
use super::event::Event;
use crate::diag::Severity;

/// One event a line.
pub(crate) struct Lines {
    out: Box<dyn Write + Send>,
    /// The file, where it is a report.
    file: Option<PathBuf>,
    closed: bool,
}

impl Lines {
    pub(crate) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            file: None,
            closed: false,
        }
    }

    /// Into a file, which is there at once.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn into_file(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            file: Some(path.to_path_buf()),
            ..Self::new(Box::new(File::create(path)?))
        })
    }

    fn write(&mut self, text: &str) {
        if self.closed {
            return;
        }
        let written = self.out.write_all(text.as_bytes());
        let Err(error) = written.and_then(|()| self.out.flush()) else {
            return;
        };
        // A reader that went away does not stop the run, and a full disk neither.
        self.closed = true;
        if let Some(file) = &self.file {
            let file = file.display();
            let text = format!("[WARNING]: the report '{file}' is incomplete: {error}\n");
            super::problem(Severity::Warning, &text);
        }
    }
}

impl View for Lines {
    fn event(&mut self, event: &Event) {
        if let Some(text) = text(event) {
            self.write(&(text + "\n"));
        }
    }
}

fn text(event: &Event) -> Option<String> {
    Some(Value::Object(fields(event)?).to_string())
}

/// An event as one flat object, its kind under `event`. Serde's own way to do this buffers what it
/// reads and loses the type of numbers.
pub(super) fn fields(event: &Event) -> Option<serde_json::Map<String, Value>> {
    let (kind, fields) = match serde_json::to_value(event).ok()? {
        Value::Object(one) => one.into_iter().next()?,
        Value::String(kind) => (kind, Value::Null),
        _ => return None,
    };
    let mut flat = serde_json::Map::new();
    flat.insert("event".to_owned(), Value::String(kind));
    if let Value::Object(fields) = fields {
        flat.extend(fields);
    }
    Some(flat)
}

/// Reads what the view `ndjson` wrote.
///
/// # Errors
///
/// The number of the line that is no event, and why.
pub fn read(text: &str) -> Result<Vec<Event>, String> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| one(line).map_err(|error| format!("line {}: {error}", at + 1)))
        .collect()
}

fn one(line: &str) -> Result<Event, serde_json::Error> {
    event(serde_json::from_str(line)?)
}

/// The event that [`fields`] took apart.
pub(super) fn event(
    mut fields: serde_json::Map<String, Value>,
) -> Result<Event, serde_json::Error> {
    let kind = fields.shift_remove("event").unwrap_or_default();
    let Value::String(name) = &kind else {
        return serde_json::from_value(kind);
    };
    let event = if fields.is_empty() {
        kind
    } else {
        serde_json::json!({ name.as_str(): fields })
    };
    serde_json::from_value(event)
}

#[cfg(test)]
mod tests {
    use rplay_modules::map;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stats = map! { "n" => 1, "big" => i128::MAX, "f" => 2.5, "s" => "é" };
        for event in [Event::CustomStats { stats }, Event::NoHostsMatched] {
            let line = text(&event).unwrap();
            assert!(line.starts_with("{\"event\":\""));
            assert_eq!(read(&line), Ok(vec![event]));
        }
    }
}
