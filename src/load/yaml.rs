//! YAML text as nodes: syntax from an event parser, meaning by the YAML 1.1 rules of PyYAML and Ansible.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::node::{Node, NodeKind};
use super::resolve;
use crate::diag::{Checked, Diagnostic, Source, Span};
use crate::template::deep;

/// How many nodes aliases may add to a file; more is an attack or an accident.
const ALIAS_BUDGET: usize = 1_000_000;

/// How deep values may nest; the parser has about the same limit for brackets. Python gives up, too, some
/// hundred levels later.
const DEPTH: usize = 250;

/// How many lines of quoted texts in a file may be indented less than the parser asks for.
const MOVED: usize = 500;

/// How far to the right a line is moved at once.
const FURTHEST: usize = 1 << 12;

/// The documents of a text. A text of nothing but comments has none.
pub fn parse(source: &Arc<Source>) -> Checked<Vec<Node>> {
    if let Some(problem) = unacceptable(source) {
        return Checked {
            value: vec![],
            problems: vec![problem],
        };
    }
    let mut text = Indented {
        text: with_line_ends(&source.text),
        added: vec![],
    };
    for _ in 0..MOVED {
        let (documents, line) = read(source, &text);
        if !line.is_some_and(|place| text.indent(place)) {
            return documents;
        }
    }
    read(source, &text).0
}

/// What is said of a letter that YAML has no place for, if there is one.
fn unacceptable(source: &Arc<Source>) -> Option<Diagnostic> {
    let refused = |c: char| {
        matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}')
            || matches!(c, '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}')
    };
    let at = source.text.find(refused)?;
    let (before, after) = source.text.split_at(at);
    let code = u32::from(after.chars().next().unwrap_or_default());
    let start = u32::try_from(at).unwrap_or(u32::MAX);
    let place = Span {
        source: Arc::clone(source),
        start,
        end: start,
    };
    let text = format!(
        "YAML parsing failed: unacceptable character #x{code:04x}: control characters are not allowed in \"<unicode string>\", position {}",
        before.chars().count()
    );
    Some(Diagnostic::error("yaml-syntax", text).at(&place))
}

/// A text in which lines end as the parser knows it: YAML 1.1 has another end, which is as long as the one of two letters.
fn with_line_ends(text: &str) -> Cow<'_, str> {
    match text.contains('\u{85}') {
        true => Cow::Owned(text.replace('\u{85}', "\r\n")),
        false => Cow::Borrowed(text),
    }
}

/// A source's text in which the next lines of quoted texts stand far enough to the right. What is
/// before such a line is no part of the value: PyYAML takes any indentation, also of tabs, where the
/// parser does not.
struct Indented<'s> {
    text: Cow<'s, str>,
    /// Where blanks were added, and how many, in order.
    added: Vec<(usize, usize)>,
}

impl Indented<'_> {
    /// The place in the source of a place here.
    fn place(&self, mark: &Marker) -> u32 {
        let at = mark.byte_offset().unwrap_or_default();
        let before = self.added.iter().take_while(|(start, _)| *start < at);
        let added: usize = before
            .map(|(start, blanks)| (*blanks).min(at - start))
            .sum();
        u32::try_from(at - added).unwrap_or(u32::MAX)
    }

    /// Moves the line of a place to the right, the further the more often it is asked for; false
    /// when that is no use.
    fn indent(&mut self, at: usize) -> bool {
        let Some((before, after)) = self.text.split_at_checked(at) else {
            return false;
        };
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        // A document's mark ends a text that is still open.
        let line = &self.text[start..];
        let mark = line.get(3..).unwrap_or_default();
        if matches!(line.get(..3), Some("---" | "..."))
            && (mark.is_empty() || mark.starts_with([' ', '\t', '\n', '\r']))
        {
            return false;
        }
        let blank = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
        let head = blank(&before[start..]);
        let width = if start + head == at {
            head + blank(after)
        } else {
            head
        };
        let known = self
            .added
            .iter()
            .position(|(place, _)| (start..=at).contains(place));
        let more = known.map_or(16, |known| self.added[known].1);
        if more > FURTHEST {
            return false;
        }
        let blanks = " ".repeat(width + more);
        self.text
            .to_mut()
            .replace_range(start..start + width, &blanks);
        for (place, _) in &mut self.added {
            if *place > start {
                *place += more;
            }
        }
        match known {
            Some(known) => self.added[known] = (start, more * 2),
            None => {
                let next = self.added.partition_point(|(place, _)| *place < start);
                self.added.insert(next, (start, more));
            }
        }
        true
    }
}

/// The documents of a source by a text of it, and the place of a line that is to be moved.
fn read(source: &Arc<Source>, text: &Indented<'_>) -> (Checked<Vec<Node>>, Option<usize>) {
    let mut reader = Reader {
        source,
        text,
        parser: Parser::new_from_str(&text.text),
        anchors: HashMap::new(),
        names: HashSet::new(),
        read: 0,
        budget: ALIAS_BUDGET,
        depth: 0,
        problems: vec![],
        misplaced: None,
    };
    let mut documents = vec![];
    if let Err(problem) = reader.documents(&mut documents) {
        reader.problems.push(*problem);
    }
    let documents = Checked {
        value: documents,
        problems: reader.problems,
    };
    (documents, reader.misplaced)
}

/// The only document of a text, null when it is empty.
pub fn single(source: &Arc<Source>) -> Checked<Node> {
    let mut documents = parse(source);
    if let Some(second) = documents.value.get(1) {
        let before = source.text.get(..second.span.start as usize);
        let mark = before.and_then(|text| text.rfind("\n---"));
        // The line that begins it, if it is marked by one.
        let start = mark.map_or(second.span.start, |at| {
            u32::try_from(at + 1).unwrap_or(second.span.start)
        });
        let place = Span {
            start,
            ..second.span.clone()
        };
        let text = match mark {
            Some(_) => "Expected a single document in the stream but found another document.",
            None => "Did not find expected <document start>.",
        };
        let text = format!("YAML parsing failed: {text}");
        let problem = Diagnostic::error("yaml-syntax", text).at(&place);
        documents.problems.push(problem);
    }
    let failed = documents.has_errors();
    let first = documents.value.into_iter().next().filter(|_| !failed);
    let value = first.unwrap_or_else(|| Node {
        span: Span::start_of(source),
        kind: NodeKind::Null,
    });
    Checked {
        value,
        problems: documents.problems,
    }
}

/// Boxed, because it travels through every level of the recursion.
type Failed = Box<Diagnostic>;

struct Reader<'s> {
    source: &'s Arc<Source>,
    text: &'s Indented<'s>,
    parser: Parser<'s, StrInput<'s>>,
    anchors: HashMap<usize, Node>,
    /// The names of the document's anchors.
    names: HashSet<String>,
    /// Up to where the text was read: an anchor stands between it and its value.
    read: usize,
    budget: usize,
    depth: usize,
    problems: Vec<Diagnostic>,
    /// Where a line of a quoted text begins too far to the left for the parser.
    misplaced: Option<usize>,
}

impl<'s> Reader<'s> {
    fn next(&mut self) -> Result<(Event<'s>, granit_parser::Span), Failed> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(event)) => return Ok(event),
                Some(Err(error)) => {
                    if matches!(
                        error.kind(),
                        ErrorKind::TabInIndentation | ErrorKind::InvalidQuotedScalarIndent
                    ) {
                        self.misplaced = error.marker().byte_offset();
                    }
                    return Err(Box::new(syntax_error(
                        self.source,
                        self.text.place(error.marker()),
                        &error,
                    )));
                }
                None => {
                    let end = granit_parser::Span::empty(Marker::default());
                    return Ok((Event::StreamEnd, end));
                }
            }
        }
    }

    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<(), Failed> {
        loop {
            match self.next()?.0 {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    self.names.clear();
                    let (event, span) = self.next()?;
                    documents.push(self.node(event, span)?);
                }
                _ => {}
            }
        }
    }

    /// The place of an event, from its tag on if it has one.
    fn place(&self, span: &granit_parser::Span) -> Span {
        let start = span.tag_start.map_or(self.text.place(&span.start), |tag| {
            self.text.place(&tag).min(self.text.place(&span.start))
        });
        Span {
            source: Arc::clone(self.source),
            start,
            end: self.text.place(&span.end).max(start),
        }
    }

    fn node(&mut self, event: Event<'s>, span: granit_parser::Span) -> Result<Node, Failed> {
        let place = self.place(&span);
        if self.depth > DEPTH {
            return Err(failed("Values nest too deep.", &place));
        }
        // After an error nothing more is read, so that it need not be counted down there.
        self.depth += 1;
        let node = deep(|| self.node_here(event, place))?;
        self.depth -= 1;
        Ok(node)
    }

    /// Refuses an anchor whose name another value of the document has.
    fn new_anchor(&mut self, place: &Span) -> Result<(), Failed> {
        let before = self.source.text.get(self.read..place.start as usize);
        let Some(at) = before.and_then(|text| text.rfind('&')) else {
            return Ok(());
        };
        let start = self.read + at;
        let name: String = self.source.text[start + 1..]
            .chars()
            .take_while(|c| !c.is_whitespace() && !",[]{}".contains(*c))
            .collect();
        if self.names.insert(name) {
            return Ok(());
        }
        let place = Span {
            start: u32::try_from(start).unwrap_or(place.start),
            ..place.clone()
        };
        let text = "Found duplicate anchor; first occurrence second occurrence.";
        Err(failed(text, &place))
    }

    fn node_here(&mut self, event: Event<'s>, place: Span) -> Result<Node, Failed> {
        let named = match &event {
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _) => *anchor != 0,
            _ => false,
        };
        if named {
            self.new_anchor(&place)?;
        }
        self.read = match &event {
            Event::SequenceStart(..) | Event::MappingStart(..) => place.start,
            _ => place.end,
        } as usize;
        let (anchor, node) = match event {
            Event::Alias(id) => return self.alias(id, place),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), place)?)
            }
            Event::SequenceStart(_, anchor, tag) => (anchor, self.sequence(tag.as_deref(), place)?),
            Event::MappingStart(_, anchor, tag) => (anchor, self.mapping(tag.as_deref(), place)?),
            _ => (
                0,
                Node {
                    span: place,
                    kind: NodeKind::Null,
                },
            ),
        };
        if anchor != 0 {
            // A copy of each level would cost as much as aliases do.
            self.spend(&node, &node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, place: Span) -> Result<Node, Failed> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Err(failed(
                "Found an alias inside the value it stands for.",
                &place,
            ));
        };
        self.spend(&node, &place)?;
        Ok(node)
    }

    /// Takes the copy of a node from what aliases may add.
    fn spend(&mut self, node: &Node, place: &Span) -> Result<(), Failed> {
        let Some(left) = self.budget.checked_sub(size(node)) else {
            let text = "Aliases expand to more values than a file may hold.";
            return Err(failed(text, place));
        };
        self.budget = left;
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: Span,
    ) -> Result<Node, Failed> {
        let kind = match tag.map(tag_name) {
            None if style == ScalarStyle::Plain => plain(text, &place)?,
            None => NodeKind::Str(text.to_owned()),
            Some(tag) => {
                if tag == "!vault-encrypted" {
                    let what = "Use of the YAML `!vault-encrypted` tag is deprecated.";
                    self.problems.push(
                        Diagnostic::deprecation("vault-encrypted", what, "2.23")
                            .at(&place.opening())
                            .hint("Use the `!vault` tag instead."),
                    );
                }
                tagged(&tag, text, &place)?
            }
        };
        let place = match style {
            ScalarStyle::Literal | ScalarStyle::Folded if tag.is_none() => with_header(place),
            _ => place,
        };
        Ok(Node { span: place, kind })
    }

    fn sequence(&mut self, tag: Option<&Tag>, mut place: Span) -> Result<Node, Failed> {
        let mut items = vec![];
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                place.end = closing(&place, &items, self.text.place(&span.end));
                break;
            }
            items.push(self.node(event, span)?);
        }
        match tag.map(tag_name).as_deref() {
            None | Some("tag:yaml.org,2002:seq" | "!") => {}
            Some("tag:yaml.org,2002:omap" | "tag:yaml.org,2002:pairs") => {
                let name = tag.map_or("", Tag::suffix);
                self.outdated(name.trim_start_matches("tag:yaml.org,2002:"), &place);
                let kind = if name.ends_with("omap") {
                    "an ordered map"
                } else {
                    "pairs"
                };
                items = items
                    .into_iter()
                    .map(|item| paired(item, kind))
                    .collect::<Result<_, _>>()?;
            }
            Some("!unsafe") => items.iter_mut().for_each(distrust),
            Some(tag) => return Err(unfit_tag(tag, &place, "sequence")),
        }
        Ok(Node {
            span: place,
            kind: NodeKind::Seq(items),
        })
    }

    fn mapping(&mut self, tag: Option<&Tag>, mut place: Span) -> Result<Node, Failed> {
        let mut merged = vec![];
        let mut own = vec![];
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                let last = own.last().map(|(_, value): &(Node, Node)| value);
                place.end = last
                    .map_or(self.text.place(&span.end), |node| {
                        node.span.end.max(self.text.place(&span.end))
                    })
                    .max(place.start);
                break;
            }
            let merge = match &event {
                Event::Scalar(text, ScalarStyle::Plain, _, None) => text == "<<",
                Event::Scalar(_, _, _, Some(tag)) => tag_name(tag) == "tag:yaml.org,2002:merge",
                _ => false,
            };
            if merge {
                let (event, span) = self.next()?;
                let value = self.node(event, span)?;
                merge_into(&mut merged, value)?;
                continue;
            }
            let key = self.key(event, span)?;
            let (event, span) = self.next()?;
            own.push((key, self.node(event, span)?));
        }
        let mut entries = self.without_duplicates(merged.into_iter().chain(own));
        let kind = match tag.map(tag_name).as_deref() {
            None | Some("tag:yaml.org,2002:map" | "!") => NodeKind::Map(entries),
            Some("tag:yaml.org,2002:set") => {
                NodeKind::Seq(entries.into_iter().map(|(key, _)| key).collect())
            }
            Some("!unsafe") => {
                entries.iter_mut().for_each(|(_, value)| distrust(value));
                NodeKind::Map(entries)
            }
            Some(tag) => return Err(unfit_tag(tag, &place, "mapping")),
        };
        Ok(Node { span: place, kind })
    }

    fn key(&mut self, event: Event<'s>, span: granit_parser::Span) -> Result<Node, Failed> {
        let braces = matches!(event, Event::MappingStart(..));
        if let Event::Scalar(text, ScalarStyle::Plain, 0, None) = &event
            && matches!(text.as_ref(), "" | "~")
        {
            self.some_key(&self.place(&span))?;
        }
        let key = self.node(event, span)?;
        if matches!(key.kind, NodeKind::Map(_) | NodeKind::Seq(_)) {
            let text = self
                .source
                .text
                .get(key.span.start as usize..)
                .unwrap_or_default();
            // Without a letter before it there is no second brace.
            let outer = (key.span.start as usize).wrapping_sub(1);
            if braces
                && text.starts_with('{')
                && self.source.text.as_bytes().get(outer) == Some(&b'{')
            {
                let place = Span {
                    start: key.span.start - 1,
                    ..key.span
                };
                return Err(Box::new(missing_quotes(&place)));
            }
            return Err(failed(
                "While constructing a mapping found unhashable key.",
                &key.span,
            ));
        }
        // Errors and listings name things by their keys, and a secret has no text form.
        if matches!(key.kind, NodeKind::Vault(_)) {
            let text = "The key of a mapping cannot be vaulted, only its value.";
            return Err(failed(text, &key.span));
        }
        Ok(key)
    }

    /// Refuses a colon that a line begins with: only braces and a question mark have keys of nothing.
    fn some_key(&self, place: &Span) -> Result<(), Failed> {
        let (before, after) = self.source.text.split_at(place.start as usize);
        let line = before.rsplit('\n').next().unwrap_or_default();
        if after.starts_with(':')
            && line.trim().is_empty()
            && !before.trim_end().ends_with(['{', ','])
        {
            let text = "While parsing a block mapping did not find expected key.";
            return Err(failed(text, place));
        }
        Ok(())
    }

    /// Warns of a tag that will go.
    fn outdated(&mut self, tag: &str, place: &Span) {
        let what = format!("Use of the YAML `!!{tag}` tag is deprecated.");
        let hint = match tag {
            "omap" => "Use a standard mapping instead, as key order is always preserved.",
            _ => "Use a standard mapping instead.",
        };
        let problem = Diagnostic::deprecation("deprecated-tag", &what, "2.23");
        self.problems.push(problem.at(place).hint(hint));
    }

    /// The entries with the last value of each key at the place of its first, and a warning for each repetition.
    fn without_duplicates(
        &mut self,
        entries: impl Iterator<Item = (Node, Node)>,
    ) -> Vec<(Node, Node)> {
        let mut unique: Vec<(Node, Node)> = vec![];
        let mut places: HashMap<String, usize> = HashMap::new();
        for (key, value) in entries {
            let name = identity(&key);
            if let Some(at) = places.get(&name) {
                let first = &unique[*at].0;
                let shown = name
                    .strip_prefix('s')
                    .map_or_else(|| name.clone(), |text| format!("'{text}'"));
                self.problems.push(
                    Diagnostic::warning(
                        "duplicate-key",
                        format!("Found duplicate mapping key {shown}."),
                    )
                    .at(&key.span)
                    .label(&first.span, "first defined here")
                    .hint("Using last defined value only."),
                );
                // As in Python the first key stays: `1` and `yes` are one.
                unique[*at].1 = value;
            } else {
                places.insert(name, unique.len());
                unique.push((key, value));
            }
        }
        unique
    }
}

/// A mapping of one entry as a list of its key and its value.
fn paired(node: Node, kind: &str) -> Result<Node, Failed> {
    let problem = match &node.kind {
        NodeKind::Map(entries) if entries.len() == 1 => None,
        NodeKind::Map(entries) => Some(format!(
            "expected a single mapping item, but found {} items",
            entries.len()
        )),
        other => Some(format!(
            "expected a mapping of length 1, but found {}",
            if matches!(other, NodeKind::Seq(_)) {
                "sequence"
            } else {
                "scalar"
            }
        )),
    };
    if let Some(problem) = problem {
        let text = format!("While constructing {kind} {problem}.");
        return Err(failed(&text, &node.span));
    }
    Ok(match node.kind {
        NodeKind::Map(entries) => {
            let pair = entries.into_iter().flat_map(|(key, value)| [key, value]);
            Node {
                kind: NodeKind::Seq(pair.collect()),
                ..node
            }
        }
        _ => node,
    })
}

fn closing(place: &Span, items: &[Node], end: u32) -> u32 {
    let last = items.last().map_or(0, |node| node.span.end);
    end.max(last).max(place.start)
}

/// How many nodes a node is made of, long texts counted as several.
fn size(node: &Node) -> usize {
    1 + match &node.kind {
        NodeKind::Str(text)
        | NodeKind::Unsafe(text)
        | NodeKind::Date(text)
        | NodeKind::Vault(text) => text.len() / 64,
        NodeKind::Seq(items) => items.iter().map(size).sum(),
        NodeKind::Map(entries) => entries.iter().map(|(_, value)| 1 + size(value)).sum(),
        _ => 0,
    }
}

/// What makes two keys the same key; text is told from numbers by its first letter.
fn identity(key: &Node) -> String {
    match &key.kind {
        NodeKind::Str(text) | NodeKind::Unsafe(text) => format!("s{text}"),
        NodeKind::Null => "None".to_owned(),
        NodeKind::Bool(value) => if *value { "1" } else { "0" }.to_owned(),
        NodeKind::Int(value) => value.to_string(),
        NodeKind::Float(value) => value.to_string(),
        NodeKind::Date(text) => format!("d{text}"),
        NodeKind::Vault(text) => format!("v{text}"),
        NodeKind::Seq(_) | NodeKind::Map(_) => String::new(),
    }
}

/// Adds the entries of a merge key: of several mappings the first wins, all yield to the mapping itself.
fn merge_into(merged: &mut Vec<(Node, Node)>, value: Node) -> Result<(), Failed> {
    match value.kind {
        NodeKind::Map(entries) => merged.extend(entries),
        NodeKind::Seq(items) => {
            for item in items.into_iter().rev() {
                let NodeKind::Map(entries) = item.kind else {
                    return Err(failed(
                        "While constructing a mapping expected a mapping for merging.",
                        &item.span,
                    ));
                };
                merged.extend(entries);
            }
        }
        _ => {
            let text =
                "While constructing a mapping expected a mapping or list of mappings for merging.";
            return Err(failed(text, &value.span));
        }
    }
    Ok(())
}

fn tag_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn plain(text: &str, place: &Span) -> Result<NodeKind, Failed> {
    match text {
        "=" => Err(unknown_tag("tag:yaml.org,2002:value", place)),
        "<<" => Err(unknown_tag("tag:yaml.org,2002:merge", place)),
        _ => match resolve::plain(text) {
            NodeKind::Date(_) => match resolve::impossible(text) {
                Some(why) => Err(failed(why, place)),
                None => Ok(resolve::plain(text)),
            },
            kind => Ok(kind),
        },
    }
}

/// The value of a scalar with a tag.
fn tagged(tag: &str, text: &str, place: &Span) -> Result<NodeKind, Failed> {
    if is_vault(tag) && text.is_empty() {
        return Err(unknown_tag(tag, place));
    }
    let invalid = |what: &str| failed(&format!("Invalid value {text:?} for {what}."), place);
    match tag.strip_prefix("tag:yaml.org,2002:").unwrap_or(tag) {
        "!" | "str" => Ok(NodeKind::Str(text.to_owned())),
        // Also what stands in quotes is looked at.
        "!unsafe" => Ok(match plain(text, place)? {
            NodeKind::Str(text) => NodeKind::Unsafe(text),
            kind => kind,
        }),
        "!vault" | "!vault-encrypted" => Ok(NodeKind::Vault(text.to_owned())),
        "null" => Ok(NodeKind::Null),
        "bool" => {
            let lower = text.to_ascii_lowercase();
            resolve::boolean(&lower)
                .map(NodeKind::Bool)
                .ok_or_else(|| invalid("a boolean"))
        }
        "int" => {
            let clean = text.replace('_', "");
            resolve::integer(&clean)
                .map(NodeKind::Int)
                .ok_or_else(|| invalid("an integer"))
        }
        "float" => {
            let clean = text.replace('_', "").to_ascii_lowercase();
            let value = resolve::float(&clean).or_else(|| clean.parse().ok());
            value
                .map(NodeKind::Float)
                .ok_or_else(|| invalid("a number"))
        }
        "timestamp" if resolve::is_timestamp(text) => Ok(NodeKind::Date(text.to_owned())),
        "timestamp" => Err(invalid("a date")),
        "binary" => binary(text)
            .map(NodeKind::Str)
            .ok_or_else(|| invalid("base64 text")),
        _ => Err(unknown_tag(tag, place)),
    }
}

fn binary(text: &str) -> Option<String> {
    use base64::Engine as _;
    let clean: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(clean)
        .ok()?;
    String::from_utf8(bytes).ok()
}

/// Marks every text in a value as never a template.
fn distrust(node: &mut Node) {
    match &mut node.kind {
        NodeKind::Str(text) => node.kind = NodeKind::Unsafe(std::mem::take(text)),
        NodeKind::Seq(items) => items.iter_mut().for_each(distrust),
        NodeKind::Map(entries) => entries.iter_mut().for_each(|(_, value)| distrust(value)),
        _ => {}
    }
}

/// The place of a block from its `|` or `>` on.
fn with_header(place: Span) -> Span {
    let before = place.source.text.as_str().get(..place.start as usize);
    let line = before.map(str::trim_end).unwrap_or_default();
    let first = line.rfind('\n').map_or(0, |at| at + 1);
    let is_header = |rest: &str| {
        let rest = rest.trim_start_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        rest.is_empty() || rest.trim_start().starts_with('#')
    };
    let mut marks = line[first..].match_indices(['|', '>']);
    match marks.find(|(at, _)| is_header(&line[first + at + 1..])) {
        Some((at, _)) => Span {
            start: u32::try_from(first + at).unwrap_or(place.start),
            ..place
        },
        None => place,
    }
}

fn failed(text: &str, place: &Span) -> Failed {
    Box::new(Diagnostic::error("yaml-value", format!("YAML parsing failed: {text}")).at(place))
}

fn unknown_tag(tag: &str, place: &Span) -> Failed {
    if is_vault(tag) {
        return failed(&format!("The '{tag}' tag requires a string value."), place);
    }
    failed(
        &format!("Could not determine a constructor for the tag '{tag}'."),
        place,
    )
}

/// What is said of a tag that is for another kind of value.
fn unfit_tag(tag: &str, place: &Span, found: &str) -> Failed {
    let expected = match tag.strip_prefix("tag:yaml.org,2002:") {
        Some("map" | "set") => "mapping",
        Some("seq") => "sequence",
        Some("str" | "int" | "float" | "bool" | "null" | "binary" | "timestamp") => "scalar",
        Some("omap" | "pairs") => "sequence",
        _ => return unknown_tag(tag, place),
    };
    let text = match tag {
        "tag:yaml.org,2002:omap" => {
            format!("While constructing an ordered map expected a sequence, but found {found}.")
        }
        "tag:yaml.org,2002:pairs" => {
            format!("While constructing pairs expected a sequence, but found {found}.")
        }
        _ => format!("Expected a {expected} node, but found {found}."),
    };
    failed(&text, place)
}

fn is_vault(tag: &str) -> bool {
    matches!(tag, "!vault" | "!vault-encrypted")
}

fn missing_quotes(place: &Span) -> Diagnostic {
    Diagnostic::error(
        "yaml-syntax",
        "YAML parsing failed: This may be an issue with missing quotes around a template block.",
    )
    .at(place)
    .hint("\nFor example:\n\n    raw: {{ some_var }}\n\nShould be:\n\n    raw: \"{{ some_var }}\"")
}

/// A syntax error in the words Ansible has for it, with its hints for the usual mistakes.
fn syntax_error(source: &Arc<Source>, at: u32, error: &ScanError) -> Diagnostic {
    let length = u32::try_from(source.text.len()).unwrap_or(u32::MAX);
    // PyYAML names what follows the backslash or the asterisk.
    let after = ["unknown escape character", "expected alphabetic"];
    let after = u32::from(after.iter().any(|text| error.info().contains(text)));
    let at = at.saturating_add(after).min(length);
    let place = Span {
        source: Arc::clone(source),
        start: at,
        end: at,
    };
    let (number, column) = place.line_column();
    let line = source.line(number);
    let value = value_of(line);
    let problem = |text: &str| {
        Diagnostic::error("yaml-syntax", format!("YAML parsing failed: {text}")).at(&place)
    };
    if value.starts_with("{{") && !matches!(error.kind(), ErrorKind::UnclosedQuotedScalar) {
        return missing_quotes(&value_place(source, number, value));
    }
    if matches!(error.kind(), ErrorKind::InvalidQuotedScalarIndent) && line.starts_with(['-', '.'])
    {
        return problem("While scanning a quoted scalar found unexpected document indicator.");
    }
    if matches!(error.kind(), ErrorKind::UnexpectedEofBlockMapping)
        && source.text[at as usize..].starts_with([',', ']', '}'])
    {
        return problem("While parsing a block node did not find expected node content.");
    }
    let hyphen = matches!(error.kind(), ErrorKind::InvalidBlockEntryWhitespace)
        && line.trim_start_matches(' ').starts_with("-\t");
    // What the tab spoils may be noticed at the line before it.
    let next = source.line(number + 1);
    let (number, line) = match (is_tab(error.kind()), tabbed(line), tabbed(next)) {
        (true, false, true) => (number + 1, next),
        _ => (number, line),
    };
    if tabbed(line) || is_tab(error.kind()) || hyphen {
        let indent = line.trim_start_matches(' ');
        let indent = if hyphen { &indent[1..] } else { indent };
        let start = source.line_start(number)
            + u32::try_from(line.len() - indent.len()).unwrap_or_default();
        let place = if indent.starts_with('\t') {
            Span {
                source: Arc::clone(source),
                start,
                end: start,
            }
        } else {
            place
        };
        return Diagnostic::error(
            "yaml-syntax",
            "YAML parsing failed: Tabs are usually invalid in YAML.",
        )
        .at(&place);
    }
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\''))
        && value.len() > 1
        && !value.trim_end().ends_with(quote)
        && value[1..].contains(quote)
    {
        let other = if quote == '"' { '\'' } else { '"' };
        let text =
            "YAML parsing failed: Values starting with a quote must end with the same quote.";
        return Diagnostic::error("yaml-syntax", text).at(&value_place(source, number, value)).hint(format!(
            "\nFor example:\n\n    raw: {quote}foo{quote} in bar\n\nShould be:\n\n    raw: {other}{quote}foo{quote} in bar{other}"
        ));
    }
    // A colon of the key itself ends a text that began on an earlier line.
    let in_value = line.rfind(value).is_some_and(|at| column > at);
    if is_colon(error.kind()) && in_value && line.chars().nth(column - 1) == Some(':')
        || is_colon(error.kind()) && value.contains(": ")
    {
        let at = line.find(value).unwrap_or_default() + value.find(": ").unwrap_or_default();
        let start = source.line_start(number) + u32::try_from(at).unwrap_or_default();
        let place = if value.contains(": ") {
            Span {
                source: Arc::clone(source),
                start,
                end: start,
            }
        } else {
            place
        };
        let text = "YAML parsing failed: Colons in unquoted values must be followed by a non-space character.";
        return Diagnostic::error("yaml-syntax", text)
            .at(&place)
            .hint("\nFor example:\n\n    raw: echo 'name: ansible'\n\nShould be:\n\n    raw: \"echo 'name: ansible'\"");
    }
    problem(&words(error))
}

/// What stands after `key: ` or `- ` on a line.
fn value_of(line: &str) -> &str {
    let text = line.trim_start();
    let text = text.strip_prefix("- ").unwrap_or(text).trim_start();
    match text.find(": ") {
        Some(at) if !text.starts_with(['"', '\'', '{', '[']) => text[at + 2..].trim_start(),
        _ => text,
    }
}

fn value_place(source: &Arc<Source>, number: usize, value: &str) -> Span {
    let line = source.line(number);
    let column = line.len()
        - line
            .rfind(value)
            .map_or(line.len(), |at| line.len() - at)
            .min(line.len());
    let start = source.line_start(number) + u32::try_from(column).unwrap_or_default();
    Span {
        source: Arc::clone(source),
        start,
        end: start + u32::try_from(value.len()).unwrap_or_default(),
    }
}

/// Whether a tab is in a line's indentation.
fn tabbed(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with('\t')
}

fn is_tab(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInPlainScalar
    )
}

fn is_colon(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MappingValueNotAllowed
            | ErrorKind::InvalidColonPlacement
            | ErrorKind::InvalidMappingValueWhitespace
            | ErrorKind::SimpleKeyExpected
    )
}

/// The error in PyYAML's words where it has some.
fn words(error: &ScanError) -> String {
    let known = match error.kind() {
        ErrorKind::RecursionLimitExceeded => "Values nest too deep.",
        ErrorKind::UnknownAnchor => "Found undefined alias.",
        ErrorKind::ExpectedBlockMappingKey => {
            "While parsing a block mapping did not find expected key."
        }
        ErrorKind::ExpectedBlockSequenceEntry => {
            "While parsing a block collection did not find expected '-' indicator."
        }
        ErrorKind::UnclosedQuotedScalar => {
            "While scanning a quoted scalar found unexpected end of stream."
        }
        ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnclosedFlowCollection { open: '[' } => {
            "While parsing a flow sequence did not find expected ',' or ']'."
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnclosedFlowCollection { open: '{' } => {
            "While parsing a flow mapping did not find expected ',' or '}'."
        }
        ErrorKind::UnsupportedYamlMajorVersion => "Found incompatible YAML document.",
        ErrorKind::DuplicateVersionDirective => "Found duplicate %YAML directive.",
        ErrorKind::InvalidDocumentEnd | ErrorKind::ExpectedDocumentStart => {
            "Did not find expected <document start>."
        }
        ErrorKind::UndeclaredTagHandle => "While parsing a node found undefined tag handle.",
        ErrorKind::SimpleKeyExpected => "While scanning a simple key could not find expected ':'.",
        ErrorKind::ExpectedNodeContent | ErrorKind::MisplacedFlowCollectionEnd => {
            "While parsing a block node did not find expected node content."
        }
        ErrorKind::UnexpectedEofImplicitFlowMapping => {
            "While parsing a flow node did not find expected node content."
        }
        ErrorKind::UnexpectedCharacter { .. } => {
            "While scanning for the next token found character that cannot start any token."
        }
        // As PyYAML spells it.
        _ => {
            let text = error.info().replacen(", ", " ", 1);
            return sentence(&text.replace("hexadecimal", "hexdecimal"));
        }
    };
    known.to_owned()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Checked<Vec<Node>> {
        parse(&Source::new("a.yml", text))
    }

    fn problem(text: &str) -> String {
        load(text)
            .problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    #[test]
    fn spans_are_byte_offsets() {
        let documents = load("ä: öx\nb: [1, 2]\n").value;
        let value = documents[0].get("ä").unwrap();
        assert_eq!((value.span.start, value.span.end), (4, 7));
        let list = documents[0].get("b").unwrap();
        assert_eq!(list.span.line_column(), (2, 4));
        assert_eq!(
            &list.span.source.text[list.span.start as usize..list.span.end as usize],
            "[1, 2]"
        );
    }

    #[test]
    fn merge_keys_yield_to_the_mapping_and_first_in_a_list_wins() {
        let text = "- &b {x: 1, y: 2}\n- &c {x: 3, z: 4}\n- <<: [*b, *c]\n  z: 9\n";
        let documents = load(text).value;
        let NodeKind::Seq(items) = &documents[0].kind else {
            panic!()
        };
        let get = |key| match items[2].get(key).unwrap().kind {
            NodeKind::Int(value) => value,
            _ => panic!(),
        };
        assert_eq!((get("x"), get("y"), get("z")), (1, 2, 9));
    }

    #[test]
    fn duplicates_warn_and_the_last_wins() {
        let checked = load("a: 1\nb: 2\na: 3\n");
        assert_eq!(
            checked.problems[0].message,
            "Found duplicate mapping key 'a'."
        );
        assert_eq!(checked.problems[0].labels[0].span.line_column(), (3, 1));
        assert_eq!(checked.problems[0].labels[1].span.line_column(), (1, 1));
        assert!(matches!(
            checked.value[0].get("a").unwrap().kind,
            NodeKind::Int(3)
        ));
    }

    #[test]
    fn tags_of_ansible() {
        let documents = load("a: !unsafe '{{ x }}'\nb: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\nc: !!str 1\nd: !!int '2'\n").value;
        assert!(
            matches!(&documents[0].get("a").unwrap().kind, NodeKind::Unsafe(text) if text == "{{ x }}")
        );
        assert!(
            matches!(&documents[0].get("b").unwrap().kind, NodeKind::Vault(text) if text.starts_with("$ANSIBLE"))
        );
        assert!(matches!(
            &documents[0].get("c").unwrap().kind,
            NodeKind::Str(_)
        ));
        assert!(matches!(
            &documents[0].get("d").unwrap().kind,
            NodeKind::Int(2)
        ));
    }

    #[test]
    fn empty_texts_and_documents() {
        assert!(load("").value.is_empty());
        assert!(load("# only a comment\n").value.is_empty());
        assert_eq!(load("---\n").value.len(), 1);
        assert_eq!(load("a: 1\n---\nb: 2\n").value.len(), 2);
    }

    #[test]
    fn aliases_cannot_explode() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let last = level - 1;
            text += &format!(
                "a{level}: &a{level} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"
            );
        }
        assert!(problem(&text).contains("Aliases expand"));
    }

    #[test]
    fn long_texts_and_anchors_in_anchors_cannot_explode_either() {
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(100_000),
            "*a,".repeat(1000)
        );
        assert!(problem(&long).contains("Aliases expand"));
        let open: String = (0..200).map(|level| format!("&a{level} [")).collect();
        let nested = format!("{open}{}{}", "1,".repeat(10_000), "]".repeat(200));
        assert!(problem(&nested).contains("Aliases expand"));
    }

    #[test]
    fn a_mapping_as_key_at_the_very_start() {
        let message =
            "a.yml:1:1: YAML parsing failed: While constructing a mapping found unhashable key.";
        assert_eq!(problem("{}: 1\n"), message);
        assert!(problem("{{ a }}: 1\n").contains("missing quotes"));
    }

    #[test]
    fn values_nest_a_few_hundred_levels_deep() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(problem(&nested(200)), "");
        assert!(problem(&nested(1000)).ends_with("YAML parsing failed: Values nest too deep."));
        assert!(problem(&"[".repeat(100_000)).contains("too deep"));
        assert!(problem(&"- ".repeat(100_000)).contains("too deep"));
    }

    #[test]
    fn mistakes_have_a_place_and_the_words_of_ansible() {
        let table = [
            (
                "a:\n  b: {{ foo }} b\n",
                "a.yml:2:6: YAML parsing failed: This may be an issue with missing quotes around a template block.",
            ),
            (
                "a:\n\t- b\n",
                "a.yml:2:1: YAML parsing failed: Tabs are usually invalid in YAML.",
            ),
            (
                "- name: foo: bar\n",
                "a.yml:1:12: YAML parsing failed: Colons in unquoted values must be followed by a non-space character.",
            ),
            (
                "a: \"foo\" bar\n",
                "a.yml:1:4: YAML parsing failed: Values starting with a quote must end with the same quote.",
            ),
            (
                "a: *nope\n",
                "a.yml:1:4: YAML parsing failed: Found undefined alias.",
            ),
            (
                "a: !foo bar\n",
                "a.yml:1:4: YAML parsing failed: Could not determine a constructor for the tag '!foo'.",
            ),
            (
                "a: =\n",
                "a.yml:1:4: YAML parsing failed: Could not determine a constructor for the tag 'tag:yaml.org,2002:value'.",
            ),
            (
                "a: 2001-02-29\n",
                "a.yml:1:4: YAML parsing failed: day is out of range for month",
            ),
            (
                "a: 2001-02-28 24:00:00\n",
                "a.yml:1:4: YAML parsing failed: hour must be in 0..23",
            ),
            (
                "a: \"\\q\"\n",
                "a.yml:1:5: YAML parsing failed: While parsing a quoted scalar found unknown escape character.",
            ),
            (
                "a: @foo\n",
                "a.yml:1:4: YAML parsing failed: While scanning for the next token found character that cannot start any token.",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(problem(text), expected, "{text}");
        }
    }
}
