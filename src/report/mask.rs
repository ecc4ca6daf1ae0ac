//! Masking by value: known secrets become stars wherever they occur in an event.

use rplay_modules::data::{Data, Map};
use rplay_modules::outcome::{Diff, DiffSide};

use super::event::Event;

/// What stands for a secret.
const STARS: &str = "********";

/// Shorter values would blot out ordinary text.
const SHORTEST: usize = 4;

/// The secrets of a run.
#[derive(Clone, Default)]
pub struct Masker {
    /// Longest first: a secret that contains another one is masked as a whole.
    secrets: Vec<String>,
}

/// Tells how many there are, never which.
impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Masker({})", self.secrets.len())
    }
}

impl Masker {
    /// Adds a secret, and each of its lines where it has several: a key is often shown line by line.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        let lines = secret.lines().map(str::trim);
        for part in std::iter::once(secret).chain(lines.filter(|line| line.len() >= SHORTEST * 2)) {
            if part.chars().count() >= SHORTEST && !self.secrets.iter().any(|known| known == part) {
                self.secrets.push(part.to_owned());
            }
        }
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// A text without the secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        self.mask(&mut text);
        text
    }

    fn mask(&self, text: &mut String) {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), STARS);
            }
        }
    }

    /// A value without the secrets.
    pub fn data(&self, data: &mut Data) {
        match data {
            Data::Str(text) => self.mask(text),
            Data::Bytes(bytes) => self.bytes(bytes),
            Data::List(items) => items.iter_mut().for_each(|item| self.data(item)),
            Data::Map(map) => self.map(map),
            // A number may be a secret too: a PIN from a vault.
            Data::Int(number) if self.secrets.contains(&number.to_string()) => {
                *data = Data::Str(STARS.to_owned())
            }
            _ => {}
        }
    }

    fn bytes(&self, bytes: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(bytes);
        let masked = self.text(&text);
        if masked != text {
            *bytes = masked.into_bytes();
        }
    }

    fn map(&self, map: &mut Map) {
        for value in map.values_mut() {
            self.data(value);
        }
        if map.keys().any(|key| {
            self.secrets
                .iter()
                .any(|secret| key.contains(secret.as_str()))
        }) {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, value)| (self.text(&key), value))
                .collect();
        }
    }

    fn diffs(&self, diffs: &mut [Diff]) {
        for diff in diffs {
            for side in [&mut diff.before, &mut diff.after] {
                match side {
                    DiffSide::Text(text) => self.mask(text),
                    DiffSide::Attributes(map) => self.map(map),
                    DiffSide::Empty | DiffSide::Binary | DiffSide::TooLarge(_) => {}
                }
            }
            for text in [
                &mut diff.before_header,
                &mut diff.after_header,
                &mut diff.prepared,
            ] {
                text.iter_mut().for_each(|text| self.mask(text));
            }
        }
    }

    /// An event without the secrets.
    #[must_use]
    pub fn event(&self, mut event: Event) -> Event {
        if self.secrets.is_empty() {
            return event;
        }
        match &mut event {
            Event::ItemDone {
                label,
                result,
                diff,
                ..
            } => {
                self.data(label);
                self.map(result);
                self.diffs(diff);
            }
            Event::TaskDone { result, diff, .. } => {
                self.map(result);
                self.diffs(diff);
            }
            Event::Retrying { result, .. } => self.map(result),
            Event::TaskStarted { task } => {
                self.mask(&mut task.name);
                task.args.iter_mut().for_each(|args| self.map(args));
            }
            Event::Included { name, label, .. } => {
                self.mask(name);
                label.iter_mut().for_each(|label| self.data(label));
            }
            Event::Notified { handler, .. } => self.mask(handler),
            Event::PlayStarted { name, .. } => self.mask(name),
            Event::Message { text, .. } => self.mask(text),
            Event::CustomStats { stats } => self.map(stats),
            Event::RunStarted { .. }
            | Event::PlaybookStarted { .. }
            | Event::NoHostsMatched
            | Event::NoHostsRemaining
            | Event::HostStarted { .. }
            | Event::RunEnded { .. } => {}
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use rplay_modules::map;

    use super::super::event::Status;
    use super::*;

    #[test]
    fn secrets_are_masked_everywhere_in_an_event() {
        let mut masker = Masker::default();
        for secret in ["s3cret", "s3cret-long", "abc"] {
            masker.add(secret);
        }
        let event = Event::TaskDone {
            task: 1,
            host: "h".to_owned(),
            delegated_to: None,
            status: Status::Changed,
            ignored: false,
            looped: false,
            result: map! { "cmd" => vec!["login", "-p", "s3cret-long"], "s3cret" => "abc" },
            diff: vec![Diff::text("p=s3cret\n", "p=\n", "", "")],
        };
        let Event::TaskDone { result, diff, .. } = masker.event(event) else {
            panic!("the kind of an event changed")
        };
        assert_eq!(
            result,
            map! { "cmd" => vec!["login", "-p", "********"], "********" => "abc" }
        );
        assert_eq!(diff[0].before, DiffSide::Text("p=********\n".to_owned()));
    }
}
