//! Reads a page of cases, and writes changed expectations back into it.

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown page: a heading of the second level opens a case.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    /// Lines before the first case.
    head: Vec<String>,
    /// The cases in their order.
    pub(crate) cases: Vec<Case>,
}

/// One case, as the page has it.
#[derive(Debug)]
pub(crate) struct Case {
    /// The heading's text.
    pub(crate) title: String,
    /// Prose lines and blocks in order.
    pub(crate) parts: Vec<Part>,
}

/// A piece of a case.
#[derive(Debug)]
pub(crate) enum Part {
    /// A line of prose.
    Prose(String),
    /// A fenced block: its info string and its text.
    Block {
        /// What stands behind the opening fence.
        info: String,
        /// The lines between the fences, each with its end.
        text: String,
    },
}

impl Page {
    /// Reads a page.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text =
            fs::read_to_string(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
        let mut page = Self {
            path: path.to_path_buf(),
            head: Vec::new(),
            cases: Vec::new(),
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(title) = line.strip_prefix("## ") {
                page.cases.push(Case {
                    title: title.to_string(),
                    parts: Vec::new(),
                });
                continue;
            }
            let Some(case) = page.cases.last_mut() else {
                page.head.push(line.to_string());
                continue;
            };
            let Some((fence, info)) = fence(line) else {
                case.parts.push(Part::Prose(line.to_string()));
                continue;
            };
            let mut text = String::new();
            loop {
                let line = lines
                    .next()
                    .ok_or_else(|| format!("the block `{info}` has no end"))?;
                if line == fence {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            case.parts.push(Part::Block {
                info: info.to_string(),
                text,
            });
        }
        Ok(page)
    }

    /// Writes the page back.
    pub(crate) fn write(&self) -> Result<(), String> {
        let mut text = String::new();
        for line in &self.head {
            text.push_str(line);
            text.push('\n');
        }
        for case in &self.cases {
            text.push_str(&format!("## {}\n", case.title));
            for part in &case.parts {
                match part {
                    Part::Prose(line) => text.push_str(&format!("{line}\n")),
                    Part::Block { info, text: inner } => {
                        let fence = if inner.contains("```") { "````" } else { "```" };
                        text.push_str(&format!("{fence}{info}\n{inner}{fence}\n"));
                    }
                }
            }
        }
        fs::write(&self.path, text).map_err(|fault| format!("{}: {fault}", self.path.display()))
    }
}

/// The closing fence that an opening line asks for, and its info string.
fn fence(line: &str) -> Option<(&'static str, &str)> {
    ["````", "```"]
        .into_iter()
        .find_map(|fence| line.strip_prefix(fence).map(|info| (fence, info)))
}

impl Case {
    /// The first block whose info string begins with this word: the rest of the info, and the text.
    pub(crate) fn block(&self, word: &str) -> Option<(&str, &str)> {
        self.parts.iter().find_map(|part| match part {
            Part::Block { info, text } => {
                let (first, rest) = info.split_once(' ').unwrap_or((info, ""));
                (first == word).then_some((rest, text.as_str()))
            }
            Part::Prose(_) => None,
        })
    }

    /// The reason behind `flag: reason` on a line of its own.
    pub(crate) fn flag(&self, flag: &str) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Prose(line) => line.strip_prefix(flag)?.strip_prefix(": "),
            Part::Block { .. } => None,
        })
    }

    /// Replaces, adds or (without text) removes an expectation.
    pub(crate) fn expect(&mut self, word: &str, info: &str, text: Option<&str>) {
        let place = self.parts.iter().position(|part| match part {
            Part::Block { info, .. } => info.split(' ').next() == Some(word),
            Part::Prose(_) => false,
        });
        let Some(text) = text else {
            if let Some(place) = place {
                self.parts.remove(place);
                if matches!(self.parts.get(place), Some(Part::Prose(line)) if line.is_empty()) {
                    self.parts.remove(place);
                }
            }
            return;
        };
        let info = if info.is_empty() {
            word.to_string()
        } else {
            format!("{word} {info}")
        };
        let block = Part::Block {
            info,
            text: text.to_string(),
        };
        match place {
            Some(place) => self.parts[place] = block,
            None => {
                while matches!(self.parts.last(), Some(Part::Prose(line)) if line.is_empty()) {
                    self.parts.pop();
                }
                self.parts.extend([
                    Part::Prose(String::new()),
                    block,
                    Part::Prose(String::new()),
                ]);
            }
        }
    }
}
