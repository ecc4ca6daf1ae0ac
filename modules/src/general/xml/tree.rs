//! A document in memory: elements with the text in them and the text behind them, so that what is
//! not touched is written as it was.

use std::fmt::Write as _;

/// How deep elements may nest; `huge_tree` allows more.
const DEPTH: usize = 256;
/// How deep at most.
const HUGE: usize = 5000;

/// A document.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) root: usize,
    /// Comments, instructions and the type before the root.
    before: Vec<String>,
    /// Comments and instructions behind it.
    after: Vec<String>,
}

/// An element; or a comment or an instruction, which have a raw text alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) parent: Option<usize>,
    /// The name with its prefix; empty for what is no element.
    pub(super) name: String,
    pub(super) attrs: Vec<(String, String)>,
    pub(super) children: Vec<usize>,
    /// The text before the first child, escaped; the whole of what is no element.
    pub(super) text: String,
    /// The text behind the element, escaped.
    pub(super) tail: String,
}

/// How a document is read.
#[derive(Clone, Copy, Default)]
pub(super) struct Reading {
    /// Blanks between elements go.
    pub(super) no_blanks: bool,
    /// The marks of CDATA go.
    pub(super) no_cdata: bool,
    /// Elements may nest deeper.
    pub(super) huge: bool,
}

impl Tree {
    /// Reads a document.
    ///
    /// # Errors
    /// Why it is none, in libxml2's words where it has some.
    pub(super) fn parse(text: &str, reading: Reading) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let mut reader = Reader {
            text: &text,
            at: 0,
            reading,
            tree: Self::default(),
            open: vec![],
            done: false,
        };
        reader.document()?;
        let mut tree = reader.tree;
        if reading.no_blanks {
            tree.drop_blanks();
        }
        Ok(tree)
    }

    pub(super) fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn is_element(&self, id: usize) -> bool {
        !self.nodes[id].name.is_empty()
    }

    /// The namespace of a prefix at an element; the empty prefix is the default one.
    pub(super) fn namespace(&self, id: usize, prefix: &str) -> &str {
        let wanted = match prefix {
            "xml" => return "http://www.w3.org/XML/1998/namespace",
            "" => "xmlns".to_owned(),
            prefix => format!("xmlns:{prefix}"),
        };
        let mut at = Some(id);
        while let Some(id) = at {
            let node = &self.nodes[id];
            if let Some((_, uri)) = node.attrs.iter().find(|(name, _)| *name == wanted) {
                return uri;
            }
            at = node.parent;
        }
        ""
    }

    /// The name of an element as ElementTree has it: `{namespace}name`.
    pub(super) fn tag(&self, id: usize) -> String {
        let (prefix, local) = split(&self.nodes[id].name);
        match self.namespace(id, prefix) {
            "" => local.to_owned(),
            uri => format!("{{{uri}}}{local}"),
        }
    }

    /// Takes a node, with the text behind it, out of its place.
    pub(super) fn detach(&mut self, id: usize) {
        if let Some(parent) = self.nodes[id].parent.take() {
            self.nodes[parent].children.retain(|child| *child != id);
        }
    }

    /// Blanks between the children of an element that has no other text go.
    fn drop_blanks(&mut self) {
        for id in 0..self.nodes.len() {
            let children = self.nodes[id].children.clone();
            let blank = |text: &str| text.trim().is_empty();
            let all = !children.is_empty()
                && blank(&self.nodes[id].text)
                && children.iter().all(|child| blank(&self.nodes[*child].tail));
            if all {
                self.nodes[id].text.clear();
                children
                    .iter()
                    .for_each(|child| self.nodes[*child].tail.clear());
            }
        }
    }

    /// The document as text.
    pub(super) fn write(&self, pretty: bool) -> String {
        let mut out = "<?xml version='1.0' encoding='UTF-8'?>\n".to_owned();
        for item in &self.before {
            out.push_str(item);
            // Comments and the root are on lines of their own only when that is asked for, as in Ansible.
            if pretty || item.starts_with("<!DOCTYPE") {
                out.push('\n');
            }
        }
        self.element(self.root, pretty.then_some(0), &mut out);
        for item in &self.after {
            if pretty {
                out.push('\n');
            }
            out.push_str(item);
        }
        if pretty {
            out.push('\n');
        }
        out
    }

    /// An element as text, without what is behind it.
    pub(super) fn element(&self, id: usize, indent: Option<usize>, out: &mut String) {
        let node = &self.nodes[id];
        if !self.is_element(id) {
            out.push_str(&node.text);
            return;
        }
        let _ = write!(out, "<{}", node.name);
        for (name, value) in &node.attrs {
            let _ = write!(out, " {name}=\"{}\"", escape(value, true));
        }
        if node.text.is_empty() && node.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&node.text);
        let plain = node.text.is_empty()
            && node
                .children
                .iter()
                .all(|child| self.nodes[*child].tail.is_empty());
        let inner = indent.filter(|_| plain && !node.children.is_empty());
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        };
        for child in &node.children {
            if let Some(depth) = inner {
                line(out, depth + 1);
            }
            self.element(*child, inner.map(|depth| depth + 1), out);
            out.push_str(&self.nodes[*child].tail);
        }
        if let Some(depth) = inner {
            line(out, depth);
        }
        let _ = write!(out, "</{}>", node.name);
    }

    /// All text in an element.
    pub(super) fn string(&self, id: usize, out: &mut String) {
        if !self.is_element(id) {
            return;
        }
        out.push_str(&decode(&self.nodes[id].text));
        for child in &self.nodes[id].children {
            self.string(*child, out);
            out.push_str(&decode(&self.nodes[*child].tail));
        }
    }
}

/// A name's prefix and the rest.
pub(super) fn split(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    reading: Reading,
    tree: Tree,
    /// The elements that are open, with their lines.
    open: Vec<(usize, usize)>,
    done: bool,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn line(&self) -> usize {
        self.text[..self.at].matches('\n').count() + 1
    }

    /// An error at this place.
    fn wrong(&self, what: &str) -> String {
        let column = self.at - self.text[..self.at].rfind('\n').map_or(0, |at| at + 1) + 1;
        let line = self.line();
        format!("{what}, line {line}, column {column}")
    }

    /// What goes to `end`, which is taken, too.
    fn until(&mut self, end: &str, what: &str) -> Result<&'t str, String> {
        let rest = self.rest();
        let length = rest.find(end).ok_or_else(|| self.wrong(what))? + end.len();
        self.at += length;
        Ok(&rest[..length])
    }

    fn document(&mut self) -> Result<(), String> {
        if self.rest().starts_with("<?xml") {
            self.until("?>", "parsing XML declaration: '?>' expected")?;
        }
        while !self.rest().is_empty() {
            let rest = self.rest();
            let next = rest.find('<').unwrap_or(rest.len());
            if next > 0 {
                self.characters(&rest[..next])?;
                self.at += next;
            } else if rest.starts_with("<!--") {
                let item = self.until("-->", "Comment not terminated")?;
                self.other(item);
            } else if rest.starts_with("<![CDATA[") {
                let item = self.until("]]>", "CData section not finished")?;
                match self.reading.no_cdata {
                    true => self.push(&escape(&item[9..item.len() - 3], false)),
                    false => self.push(item),
                }
            } else if rest.starts_with("<?") {
                let item = self.until("?>", "ParsePI: PI never end ...")?;
                self.other(item);
            } else if rest.starts_with("<!DOCTYPE") && self.tree.nodes.is_empty() {
                self.doctype()?;
            } else if rest.starts_with("</") {
                self.close()?;
            } else {
                self.start()?;
            }
        }
        match (self.done, self.open.last()) {
            (_, Some((id, line))) => {
                let name = self.tree.nodes[*id].name.clone();
                let what = format!("Premature end of data in tag {name} line {line}");
                Err(self.wrong(&what))
            }
            (false, None) => Err(self.wrong("Document is empty")),
            (true, None) => Ok(()),
        }
    }

    fn doctype(&mut self) -> Result<(), String> {
        let (rest, mut depth) = (self.rest(), 0);
        for (at, letter) in rest.char_indices() {
            match letter {
                '[' => depth += 1,
                ']' => depth -= 1,
                '>' if depth == 0 => {
                    self.at += at + 1;
                    self.tree.before.push(rest[..=at].to_owned());
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(self.wrong("DOCTYPE improperly terminated"))
    }

    /// A comment or an instruction.
    fn other(&mut self, item: &str) {
        match self.open.last() {
            Some((parent, _)) => {
                let parent = *parent;
                let id = self.tree.add(Node {
                    parent: Some(parent),
                    text: item.to_owned(),
                    ..Node::default()
                });
                self.tree.nodes[parent].children.push(id);
            }
            None if self.done => self.tree.after.push(item.to_owned()),
            None => self.tree.before.push(item.to_owned()),
        }
    }

    fn characters(&mut self, text: &str) -> Result<(), String> {
        if self.open.is_empty() {
            return match text.trim().is_empty() {
                true => Ok(()),
                false if self.done => Err(self.wrong("Extra content at the end of the document")),
                false => Err(self.wrong("Start tag expected, '<' not found")),
            };
        }
        self.push(&normal(text));
        Ok(())
    }

    fn push(&mut self, escaped: &str) {
        let Some((parent, _)) = self.open.last() else {
            return;
        };
        match self.tree.nodes[*parent].children.last().copied() {
            Some(child) => self.tree.nodes[child].tail.push_str(escaped),
            None => self.tree.nodes[*parent].text.push_str(escaped),
        }
    }

    fn name(&mut self) -> Result<&'t str, String> {
        let rest = self.rest();
        let end = rest.find(|letter: char| letter.is_whitespace() || "/><=\"'&".contains(letter));
        let name = &rest[..end.unwrap_or(rest.len())];
        if name.is_empty()
            || name.starts_with(|first: char| first.is_ascii_digit() || "-.!".contains(first))
        {
            return Err(self.wrong("StartTag: invalid element name"));
        }
        self.at += name.len();
        Ok(name)
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn start(&mut self) -> Result<(), String> {
        if self.done {
            return Err(self.wrong("Extra content at the end of the document"));
        }
        let limit = if self.reading.huge { HUGE } else { DEPTH };
        if self.open.len() >= limit {
            return Err(self.wrong(&format!("Excessive depth in document: {limit}")));
        }
        let line = self.line();
        self.at += 1;
        let mut node = Node {
            name: self.name()?.to_owned(),
            parent: self.open.last().map(|(id, _)| *id),
            ..Node::default()
        };
        let closed = loop {
            self.blanks();
            if self.rest().starts_with("/>") {
                self.at += 2;
                break true;
            }
            if self.rest().starts_with('>') {
                self.at += 1;
                break false;
            }
            let (name, value) = self.attribute()?;
            if node.attrs.iter().any(|(known, _)| *known == name) {
                return Err(self.wrong(&format!("Attribute {name} redefined")));
            }
            node.attrs.push((name, value));
        };
        let parent = node.parent;
        let id = self.tree.add(node);
        match parent {
            Some(parent) => self.tree.nodes[parent].children.push(id),
            None => self.tree.root = id,
        }
        match closed {
            false => self.open.push((id, line)),
            true => self.done = self.open.is_empty(),
        }
        Ok(())
    }

    fn attribute(&mut self) -> Result<(String, String), String> {
        let name = self
            .name()
            .map_err(|_| self.wrong("attributes construct error"))?
            .to_owned();
        self.blanks();
        if !self.rest().starts_with('=') {
            let what = format!("Specification mandates value for attribute {name}");
            return Err(self.wrong(&what));
        }
        self.at += 1;
        self.blanks();
        let quote = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => quote,
            _ => return Err(self.wrong("AttValue: \" or ' expected")),
        };
        self.at += 1;
        let mut end = [0; 1];
        let value = self.until(quote.encode_utf8(&mut end), "AttValue: ' expected")?;
        let value = value[..value.len() - 1].replace(['\n', '\t'], " ");
        if value.contains('<') {
            return Err(self.wrong("Unescaped '<' not allowed in attributes values"));
        }
        Ok((name, decode(&value)))
    }

    fn close(&mut self) -> Result<(), String> {
        let close = self.until(">", "expected '>'")?;
        let close = close[2..close.len() - 1].trim_end();
        let Some((id, line)) = self.open.pop() else {
            return Err(self.wrong("Extra content at the end of the document"));
        };
        let name = &self.tree.nodes[id].name;
        if name != close {
            let what = format!("Opening and ending tag mismatch: {name} line {line} and {close}");
            return Err(self.wrong(&what));
        }
        self.done = self.open.is_empty();
        Ok(())
    }
}

/// Text as it is written between elements.
pub(super) fn escape(text: &str, attribute: bool) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            '\n' if attribute => out.push_str("&#10;"),
            '\t' if attribute => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            letter => out.push(letter),
        }
    }
    out
}

/// Text with escapes as they are written here; those of the document's own stay.
fn normal(text: &str) -> String {
    each(
        text,
        |entity| entity.map_or_else(|own| format!("&{own};"), |text| escape(&text, false)),
        |text| text.replace('>', "&gt;"),
    )
}

/// Text without escapes and marks of CDATA.
pub(super) fn decode(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<![CDATA[") {
        let (data, after) = after.split_once("]]>").unwrap_or((after, ""));
        out.push_str(&plain(before));
        out.push_str(data);
        rest = after;
    }
    out.push_str(&plain(rest));
    out
}

fn plain(text: &str) -> String {
    each(
        text,
        |entity| entity.unwrap_or_else(|own| format!("&{own};")),
        str::to_owned,
    )
}

/// Goes over a text: `entity` gets the text of each escape, or the name of an unknown one.
fn each(
    text: &str,
    entity: impl Fn(Result<String, &str>) -> String,
    other: impl Fn(&str) -> String,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&other(&rest[..at]));
        let after = &rest[at + 1..];
        let Some((name, behind)) = after.split_once(';') else {
            out.push_str("&amp;");
            rest = after;
            continue;
        };
        let number = |digits: &str, radix| {
            u32::from_str_radix(digits, radix)
                .ok()
                .and_then(char::from_u32)
        };
        let letter = match (name, name.strip_prefix("#x"), name.strip_prefix('#')) {
            ("amp", ..) => Some('&'),
            ("lt", ..) => Some('<'),
            ("gt", ..) => Some('>'),
            ("quot", ..) => Some('"'),
            ("apos", ..) => Some('\''),
            (_, Some(digits), _) => number(digits, 16),
            (_, None, Some(digits)) => number(digits, 10),
            _ => None,
        };
        out.push_str(&entity(letter.map(String::from).ok_or(name)));
        rest = behind;
    }
    out.push_str(&other(rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_stay_as_they_are() {
        let text = "<!-- c --><a x=\"1 &amp; 2\">t &lt; <b/> &own;<![CDATA[<]]><!-- in --></a>";
        let tree = Tree::parse(text, Reading::default()).unwrap();
        let head = "<?xml version='1.0' encoding='UTF-8'?>\n";
        assert_eq!(tree.write(false), format!("{head}{text}"));
        let mut all = String::new();
        tree.string(tree.root, &mut all);
        assert_eq!(all, "t <  &own;<");
        let pretty = Reading {
            no_blanks: true,
            ..Reading::default()
        };
        let tree = Tree::parse("<a> <b>x</b><c> <d/></c> </a>", pretty).unwrap();
        assert_eq!(
            tree.write(true),
            format!("{head}<a>\n  <b>x</b>\n  <c>\n    <d/>\n  </c>\n</a>\n")
        );
    }

    #[test]
    fn mistakes() {
        let wrong = |text: &str| Tree::parse(text, Reading::default()).unwrap_err();
        let text = "Opening and ending tag mismatch: b line 1 and a, line 1, column 11";
        assert_eq!(wrong("<a><b></a>"), text);
        assert!(wrong("").starts_with("Document is empty"));
        assert!(wrong("<a>").starts_with("Premature end of data in tag a line 1"));
        assert!(wrong("<a/><b/>").starts_with("Extra content"));
        assert!(wrong("<a b=1/>").starts_with("AttValue"));
        assert!(wrong(&"<a>".repeat(300)).starts_with("Excessive depth"));
    }
}
