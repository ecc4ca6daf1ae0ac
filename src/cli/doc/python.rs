//! What a module or plugin in Python says of itself: the YAML in `DOCUMENTATION`, which is read without
//! running anything.

use std::path::Path;

use super::page::{Page, Part};
use super::role::{lines, options, text};
use crate::diag::Source;
use crate::load::node::Node;
use crate::load::yaml;

/// The page of a file; nothing where it has no documentation.
pub(super) fn page(kind: &str, name: &str, file: &Path) -> Option<Page> {
    let content = std::fs::read_to_string(file).ok()?;
    let written = match file.extension().and_then(|end| end.to_str()) {
        // A filter may have it in a file of its own, one level deeper.
        Some("yml" | "yaml") => content,
        _ => documentation(&content)?.to_owned(),
    };
    let node = yaml::single(&Source::new(file.to_path_buf(), written)).value;
    let node = node.get("DOCUMENTATION").cloned().unwrap_or(node);
    let doc = |key: &str, read: fn(&Node) -> String| node.get(key).map(read);
    let summary = doc("short_description", text)?;
    let about = doc("description", lines).unwrap_or_default();
    let mut page = Page::plain(kind, name, &format!("{summary}\n{about}"));
    page.parts = vec![Part {
        options: node.get("options").map(options).unwrap_or_default(),
        ..Part::default()
    }];
    Some(page)
}

/// The text of the variable: between three quotes of one kind.
fn documentation(code: &str) -> Option<&str> {
    let (_, rest) = code
        .match_indices("DOCUMENTATION")
        .find_map(|(at, word)| code[at + word.len()..].trim_start().split_once('='))?;
    let rest = rest.trim_start().trim_start_matches(['r', 'R', 'u', 'U']);
    let quotes = ["\"\"\"", "'''"]
        .into_iter()
        .find(|quotes| rest.starts_with(quotes))?;
    let (text, _) = rest[quotes.len()..].split_once(quotes)?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let code = "#!/usr/bin/python\nDOCUMENTATION = r'''\nmodule: x\n'''\nEXAMPLES = r'''\n'''";
        assert_eq!(documentation(code), Some("\nmodule: x\n"));
        assert_eq!(documentation("DOCUMENTATION = 1"), None);
        assert_eq!(documentation("import x"), None);
    }
}
