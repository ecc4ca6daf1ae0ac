//! The two streams of a view: lines, banners, colours, and messages that are told only once.

use std::collections::HashSet;
use std::io::Write;

use super::Settings;
use super::event::MessageKind;

/// The colours of Ansible, as their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Plain,
    Ok,
    Changed,
    Skip,
    Error,
    Unreachable,
    Warn,
    Deprecate,
    Verbose,
    Debug,
}

impl Color {
    fn code(self) -> Option<&'static str> {
        Some(match self {
            Color::Plain => return None,
            Color::Ok => "0;32",
            Color::Changed => "0;33",
            Color::Skip => "0;36",
            Color::Error => "0;31",
            Color::Unreachable => "1;31",
            Color::Warn => "1;35",
            Color::Deprecate => "0;35",
            Color::Verbose => "0;34",
            Color::Debug => "1;30",
        })
    }

    /// The text with the colour's codes around each of its lines.
    pub(crate) fn paint(self, text: &str) -> String {
        let Some(code) = self.code() else {
            return text.to_owned();
        };
        let lines = text
            .split('\n')
            .map(|line| format!("\x1b[{code}m{line}\x1b[0m"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Where a view writes.
pub(crate) struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    pub(crate) color: bool,
    columns: usize,
    deprecations: bool,
    /// Nobody reads standard output any more; the run goes on without it.
    closed: bool,
    told: HashSet<String>,
}

impl Output {
    pub(crate) fn new(
        settings: &Settings,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            out,
            err,
            color: settings.color,
            columns: settings.columns.max(79),
            deprecations: settings.deprecation_warnings,
            closed: false,
            told: HashSet::new(),
        }
    }

    /// Shows a text as lines of its own.
    pub(crate) fn show(&mut self, stream: Stream, color: Color, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = if self.color {
            color.paint(text)
        } else {
            text.to_owned()
        };
        self.write(stream, &(text + "\n"));
    }

    /// Shows a text on standard output.
    pub(crate) fn line(&mut self, color: Color, text: &str) {
        self.show(Stream::Out, color, text);
    }

    /// An empty line, then a heading filled up with stars.
    pub(crate) fn banner(&mut self, text: &str) {
        let text = text.trim();
        let stars = self.columns.saturating_sub(width(text)).max(3);
        self.line(Color::Plain, &format!("\n{text} {}", "*".repeat(stars)));
    }

    /// Shows a message of the run; `failures` tells where failed results go.
    pub(crate) fn message(
        &mut self,
        kind: MessageKind,
        text: &str,
        verbosity: u8,
        failures: Stream,
    ) {
        match kind {
            MessageKind::Warning => self.tell(Stream::Err, Color::Warn, "[WARNING]", text),
            MessageKind::Deprecation if self.deprecations => {
                let hint = "Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.";
                self.tell(Stream::Err, Color::Warn, "[WARNING]", hint);
                self.tell(Stream::Err, Color::Deprecate, "[DEPRECATION WARNING]", text);
            }
            MessageKind::Deprecation => {}
            MessageKind::Error => self.tell(Stream::Err, Color::Error, "[ERROR]", text),
            MessageKind::TaskError => self.tell(failures, Color::Error, "[ERROR]", text),
            MessageKind::Verbose if verbosity > 0 => self.line(Color::Verbose, text),
            MessageKind::Verbose => {}
            MessageKind::Display => self.line(Color::Plain, text),
            MessageKind::Question => self.write(Stream::Out, text),
            MessageKind::Heading => self.banner(text),
        }
    }

    fn tell(&mut self, stream: Stream, color: Color, mark: &str, text: &str) {
        let mut text = format!("{mark}: {}", text.trim());
        if text.contains('\n') {
            text.push_str("\n\n");
        }
        if self.told.insert(text.clone()) {
            self.show(stream, color, &text);
        }
    }

    /// Writes a text as it is.
    pub(crate) fn write(&mut self, stream: Stream, text: &str) {
        match stream {
            Stream::Out if self.closed => {}
            Stream::Out => {
                let written = self
                    .out
                    .write_all(text.as_bytes())
                    .and_then(|()| self.out.flush());
                self.closed = written.is_err();
            }
            // There is nowhere left to say that standard error is gone.
            Stream::Err => drop(
                self.err
                    .write_all(text.as_bytes())
                    .and_then(|()| self.err.flush()),
            ),
        }
    }
}

/// The columns that a text takes on a terminal: wide characters take two, combining ones none.
fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    match c as u32 {
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(width("naïve"), 5);
        assert_eq!(width("日本"), 4);
    }
}
