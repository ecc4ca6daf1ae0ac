//! The colours of the views: which code each kind of line has, by the settings `color_*`.

use crate::config::Config;

/// What a line is; its colour follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Plain,
    Ok,
    Changed,
    Skip,
    Included,
    Error,
    Unreachable,
    Warn,
    Deprecate,
    Verbose,
    Debug,
    DiffAdd,
    DiffRemove,
    DiffLines,
    Prompt,
}

/// Each colour but the plain one with its setting, in the order of the codes of a palette.
const SETTINGS: [(Color, &str); 14] = [
    (Color::Ok, "color_ok"),
    (Color::Changed, "color_changed"),
    (Color::Skip, "color_skip"),
    (Color::Included, "color_included"),
    (Color::Error, "color_error"),
    (Color::Unreachable, "color_unreachable"),
    (Color::Warn, "color_warn"),
    (Color::Deprecate, "color_deprecate"),
    (Color::Verbose, "color_verbose"),
    (Color::Debug, "color_debug"),
    (Color::DiffAdd, "color_diff_add"),
    (Color::DiffRemove, "color_diff_remove"),
    (Color::DiffLines, "color_diff_lines"),
    (Color::Prompt, "color_console_prompt"),
];

/// The names of colours.
const NAMES: [(&str, &str); 18] = [
    ("black", "0;30"),
    ("bright gray", "0;37"),
    ("blue", "0;34"),
    ("white", "1;37"),
    ("green", "0;32"),
    ("bright blue", "1;34"),
    ("cyan", "0;36"),
    ("bright green", "1;32"),
    ("red", "0;31"),
    ("bright cyan", "1;36"),
    ("purple", "0;35"),
    ("bright red", "1;31"),
    ("yellow", "0;33"),
    ("bright purple", "1;35"),
    ("dark gray", "1;30"),
    ("bright yellow", "1;33"),
    ("magenta", "0;35"),
    ("bright magenta", "1;35"),
];

/// The codes of all colours.
#[derive(Clone, Debug)]
pub(crate) struct Palette {
    codes: [Option<String>; SETTINGS.len()],
}

impl Palette {
    /// The palette of the settings. A name that is no colour leaves the text plain.
    pub(crate) fn new(config: &Config) -> Self {
        let code = |(_, setting): &(Color, &str)| code(&config.text(setting).unwrap_or_default());
        Self {
            codes: std::array::from_fn(|at| code(&SETTINGS[at])),
        }
    }

    /// The text with the colour's codes around each of its lines.
    pub(crate) fn paint(&self, color: Color, text: &str) -> String {
        let code = SETTINGS
            .iter()
            .position(|(other, _)| *other == color)
            .and_then(|at| self.codes[at].as_ref());
        let Some(code) = code else {
            return text.to_owned();
        };
        let lines = text
            .split('\n')
            .map(|line| format!("\x1b[{code}m{line}\x1b[0m"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Default for Palette {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}

/// The code of a name: one of the named colours, `colorN`, `rgbRGB` (digits up to 5) or `grayN`.
fn code(name: &str) -> Option<String> {
    if let Some((_, code)) = NAMES.iter().find(|(other, _)| *other == name) {
        return Some((*code).to_owned());
    }
    if name == "normal" {
        return Some("0".to_owned());
    }
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u16>().ok();
    let cell = if let Some(number) = number("color") {
        number
    } else if let Some(number) = number("gray") {
        232 + number
    } else {
        let digits = name.strip_prefix("rgb")?.as_bytes();
        let [red, green, blue] = digits else {
            return None;
        };
        let part = |digit: &u8| digit.checked_sub(b'0').filter(|value| *value < 6);
        16 + 36 * u16::from(part(red)?) + 6 * u16::from(part(green)?) + u16::from(part(blue)?)
    };
    Some(format!("38;5;{cell}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_codes() {
        for (name, expected) in [
            ("bright purple", Some("1;35")),
            ("rgb123", Some("38;5;67")),
            ("color12", Some("38;5;12")),
            ("gray5", Some("38;5;237")),
            ("rgb128", None),
            ("nonsense", None),
        ] {
            assert_eq!(code(name).as_deref(), expected, "{name}");
        }
    }
}
