//! What programs on hosts write, shown line by line while they run.

use std::sync::Arc;

use crate::connect::Hear;

/// A line that is longer is shown in parts of so many bytes.
const LONGEST: usize = 16 << 10;

/// Shows each line with its host, when it is complete or the call is over.
pub(super) fn lines(host: &str, display: &Arc<dyn Fn(&str) + Send + Sync>) -> Hear {
    let mut lines = Lines {
        host: host.to_owned(),
        display: Arc::clone(display),
        rest: vec![],
    };
    Box::new(move |bytes| lines.take(bytes))
}

struct Lines {
    host: String,
    display: Arc<dyn Fn(&str) + Send + Sync>,
    /// A line that is not complete.
    rest: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") || self.rest.len() > LONGEST {
                self.show();
            }
        }
    }

    fn show(&mut self) {
        let line = String::from_utf8_lossy(&self.rest);
        let line = line.trim_end_matches(['\n', '\r']);
        // What steers a terminal is not for the program's user to see.
        let shown = |c: char| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        };
        let line: String = line.chars().map(shown).collect();
        (self.display)(&format!("{} | {line}", self.host));
        self.rest.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.rest.is_empty() {
            self.show();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_whole() {
        let (told, heard) = std::sync::mpsc::channel();
        let display: Arc<dyn Fn(&str) + Send + Sync> =
            Arc::new(move |line| told.send(line.to_owned()).unwrap());
        let mut hear = lines("h", &display);
        hear(b"one\ntw");
        hear(b"o\r\n\n\x1b[2J\xff");
        drop(hear);
        drop(display);
        let heard: Vec<String> = heard.iter().collect();
        assert_eq!(
            heard,
            ["h | one", "h | two", "h | ", "h | \u{fffd}[2J\u{fffd}"]
        );
    }
}
