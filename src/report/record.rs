//! The events themselves, one JSON document a line.

use std::io::Write;

use serde_json::Value;

use super::View;
use super::event::Event;

/// One event a line.
pub(crate) struct Lines {
    out: Box<dyn Write + Send>,
    closed: bool,
}

impl Lines {
    pub(crate) fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, closed: false }
    }

    fn write(&mut self, text: &str) {
        if !self.closed {
            // A reader that went away does not stop the run.
            self.closed = self
                .out
                .write_all(text.as_bytes())
                .and_then(|()| self.out.flush())
                .is_err();
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
