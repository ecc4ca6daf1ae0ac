//! The two streams of a view: lines, banners, colours, and messages that are told only once.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::Ordering;

use super::Settings;
use super::event::MessageKind;
use super::log::{self, Level};
pub(crate) use super::palette::{Color, Palette};

/// What is told before a deprecation.
pub(super) const DEPRECATIONS_OFF: &str =
    "Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.";

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
    /// The colours, where they are used.
    palette: Option<Palette>,
    columns: usize,
    deprecations: bool,
    /// Verbose lines go to standard error.
    verbose: Stream,
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
            palette: settings.color.then(|| settings.palette.clone()),
            columns: settings.columns.max(super::NARROWEST),
            deprecations: settings.deprecation_warnings,
            verbose: if settings.verbose_to_stderr {
                Stream::Err
            } else {
                Stream::Out
            },
            closed: false,
            told: HashSet::new(),
        }
    }

    /// Whether colours are used.
    pub(crate) fn has_colors(&self) -> bool {
        self.palette.is_some()
    }

    /// The text in a colour, where colours are used.
    pub(crate) fn paint(&self, color: Color, text: &str) -> String {
        match &self.palette {
            Some(palette) => palette.paint(color, text),
            None => text.to_owned(),
        }
    }

    /// Shows a text as lines of its own.
    pub(crate) fn show(&mut self, stream: Stream, color: Color, text: &str) {
        log::write(Level::Info, text);
        self.show_only(stream, color, text);
    }

    /// Shows a text that the log does not get.
    pub(crate) fn show_only(&mut self, stream: Stream, color: Color, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = self.paint(color, text);
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
                if !super::HINTED.load(Ordering::Relaxed) {
                    self.tell(Stream::Err, Color::Warn, "[WARNING]", DEPRECATIONS_OFF);
                }
                self.tell(Stream::Err, Color::Deprecate, "[DEPRECATION WARNING]", text);
            }
            MessageKind::Deprecation => {}
            MessageKind::Error => self.tell(Stream::Err, Color::Error, "[ERROR]", text),
            MessageKind::TaskError => self.tell(failures, Color::Error, "[ERROR]", text),
            MessageKind::Verbose(level) if level <= verbosity => {
                self.show(self.verbose, Color::Verbose, text);
            }
            MessageKind::Verbose(level) => {
                if log::verbosity().is_some_and(|most| level <= most) {
                    log::write(Level::Info, text);
                }
            }
            MessageKind::Display => self.line(Color::Plain, text),
            MessageKind::Question => self.write(Stream::Out, text),
            MessageKind::Heading => self.banner(text),
        }
    }

    fn tell(&mut self, stream: Stream, color: Color, mark: &str, text: &str) {
        let mut text = format!("{mark}: {}\n", text.trim());
        if text.trim_end().contains('\n') {
            text.push('\n');
        }
        if self.told.insert(text.clone()) {
            let level = match color {
                Color::Error => Level::Error,
                _ => Level::Warning,
            };
            log::write(level, &text);
            self.show_only(stream, color, &text);
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
        0..0x20
        | 0x300..=0x36f
        | 0x200b..=0x200f
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f => 0,
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
