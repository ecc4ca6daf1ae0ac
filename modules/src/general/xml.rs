//! `xml`: parts of an XML document read, set and removed by XPath.

mod tree;
mod xpath;

use std::path::PathBuf;

use rplay_modules::args::state::State;
use rplay_modules::args::{ArgEnum, ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::machine::attrs::os_error;
use rplay_modules::machine::{Attrs, Content, Machine};
use rplay_modules::map;
use rplay_modules::module;
use rplay_modules::outcome::{Diff, DiffSide, Failure, Outcome};

use tree::{Node, Reading, Tree, decode, escape, split};
use xpath::{Item, Spaces, Test, Value, Wrong};

/// Reads, sets and removes elements, attributes and texts of an XML document. Of XPath there are
/// paths with names, `*`, `//`, `.`, `..`, `@name` and `text()`, and conditions with places,
/// comparisons, `and`, `or`, `not`, `contains`, `starts-with` and the like; the rest is refused.
/// Entities that the document defines itself stay as they are written.
#[derive(ModuleArgs)]
struct Args {
    /// The file.
    #[arg(alias = "dest", alias = "file")]
    path: Option<PathBuf>,
    /// The document, instead of a file; the new one comes back.
    xmlstring: Option<String>,
    /// What is meant.
    xpath: Option<String>,
    /// Namespaces of the prefixes in `xpath`.
    namespaces: Option<Map>,
    /// Whether it is there.
    #[arg(alias = "ensure", default = "present")]
    state: State,
    /// The attribute whose value is set, instead of the text.
    attribute: Option<Data>,
    /// The new text or value.
    value: Option<Data>,
    /// Make what is not there and gets a value.
    #[arg(default = "true")]
    create_if_missing: bool,
    /// Elements to add: names, or names with a text, or with attributes and, as `_`, children.
    add_children: Option<Vec<Data>>,
    /// The only elements that are to be in it.
    set_children: Option<Vec<Data>>,
    /// Add them before the first that is found, not in it.
    #[arg(default = "false")]
    insertbefore: bool,
    /// Add them after the last that is found.
    #[arg(default = "false")]
    insertafter: bool,
    /// How children are given.
    #[arg(default = "yaml")]
    input_type: Input,
    /// Tell how many are found.
    #[arg(default = "false")]
    count: bool,
    /// Tell the paths of what is found.
    #[arg(default = "false")]
    print_match: bool,
    /// Tell the attributes or the texts of what is found.
    content: Option<Telling>,
    /// Write every element on a line of its own.
    #[arg(default = "false")]
    pretty_print: bool,
    /// Write CDATA as other text.
    #[arg(default = "false")]
    strip_cdata_tags: bool,
    /// Take documents that nest very deep.
    #[arg(default = "false")]
    huge_tree: bool,
    /// Keep a copy of the file.
    #[arg(default = "false")]
    backup: bool,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Input {
    Xml,
    Yaml,
}

#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Attribute,
    Text,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// What was asked for.
    actions: Map,
    /// How many are found.
    count: i64,
    /// What is found.
    matches: Vec<Data>,
    /// What was done.
    msg: Data,
    /// The new document, where one was given.
    xmlstring: String,
    /// The copy of the file.
    backup_file: String,
}

module! {
    "community.general.xml", args: Args, returns: Values, run: run,
    aliases: ["ansible.builtin.xml"],
    rules: Rules {
        required_by: &[
            ("add_children", &["xpath"]),
            ("attribute", &["value"]),
            ("content", &["xpath"]),
            ("set_children", &["xpath"]),
            ("value", &["xpath"]),
        ],
        required_if: &[
            ("count", "True", &["xpath"], false),
            ("print_match", "True", &["xpath"], false),
            ("insertbefore", "True", &["xpath"], false),
            ("insertafter", "True", &["xpath"], false),
        ],
        required_one_of: &[
            &["path", "xmlstring"],
            &["add_children", "content", "count", "pretty_print", "print_match", "set_children", "value"],
        ],
        mutually_exclusive: &[
            &["add_children", "content", "count", "print_match", "set_children", "value"],
            &["path", "xmlstring"],
            &["insertbefore", "insertafter"],
        ],
        ..Rules::NONE
    },
}

fn run(machine: &mut dyn Machine, args: Args) -> Result<Outcome, Failure> {
    let (name, bytes) = source(machine, &args)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let reading = Reading {
        no_blanks: args.pretty_print,
        no_cdata: args.strip_cdata_tags,
        huge: args.huge_tree,
    };
    let tree = Tree::parse(&text, reading).map_err(|error| {
        // libxml2 tells the place twice.
        let line = error.rsplit_once(", line ").map_or("1", |(_, rest)| rest);
        let line = line.split(',').next().unwrap_or(line);
        let file = match &args.path {
            Some(path) => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            None => "<string>".to_owned(),
        };
        Failure::new(format!(
            "Error while parsing document: {name} ({error} ({file}, line {line}))"
        ))
    })?;
    let before = tree.write(args.pretty_print);
    let shown = tree.write(true);
    let spaces = args.namespaces.iter().flatten();
    let spaces: Spaces = spaces
        .map(|(prefix, uri)| (prefix.clone(), uri.text()))
        .collect();
    let mut document = Document {
        tree,
        spaces,
        args: &args,
    };
    let Some(path) = &args.xpath else {
        // Only the form is asked for.
        if !args.pretty_print {
            return Err(Failure::new("Don't know what to do"));
        }
        let changed = before.trim_end() != text.trim_end();
        return document.done(machine, text, changed, map! {});
    };
    let namespaces = args.namespaces.clone().unwrap_or_default();
    let actions =
        map! { "xpath" => path.as_str(), "namespaces" => namespaces, "state" => args.state.word() };
    let found = document.found(path)?;
    if args.print_match || args.count || args.content.is_some() {
        let mut told = document.told(path, &found)?.with("actions", actions);
        if args.xmlstring.is_some() {
            told = told.with("xmlstring", before);
        }
        return Ok(told);
    }
    if args.state == State::Absent {
        document.remove(&found);
    } else if let Some(children) = &args.set_children {
        document.set_children(&found, children)?;
    } else if let Some(children) = &args.add_children {
        document.add_children(&found, children)?;
    } else {
        document.set(path, found)?;
    }
    let changed = document.tree.write(args.pretty_print) != before;
    document.done(machine, shown, changed, map! { "actions" => actions })
}

/// What the document is called, and its bytes.
fn source(machine: &mut dyn Machine, args: &Args) -> Result<(String, Vec<u8>), Failure> {
    if let Some(text) = &args.xmlstring {
        return Ok(("xml_string".to_owned(), text.clone().into_bytes()));
    }
    let path = args.path.clone().unwrap_or_default();
    let shown = path.display().to_string();
    if !matches!(machine.stat(&path, true), Ok(Some(_))) {
        return Err(Failure::new(format!(
            "The target XML source '{shown}' does not exist."
        )));
    }
    let bytes = machine.read(&path).map_err(|error| {
        let error = os_error(&error, &path);
        Failure::new(format!("Could not open '{shown}': {error}"))
    })?;
    Ok((shown, bytes))
}

struct Document<'a> {
    tree: Tree,
    spaces: Spaces,
    args: &'a Args,
}

impl Document<'_> {
    fn found(&self, path: &str) -> Result<Vec<Item>, Failure> {
        match xpath::evaluate(&self.tree, path, &self.spaces) {
            Ok(Value::Items(items)) => Ok(items),
            Ok(_) => Err(Failure::new(format!(
                "Xpath {path} does not reference a node!"
            ))),
            Err(wrong) => Err(wrong_path(path, &wrong)),
        }
    }

    /// Answers to questions.
    fn told(&self, path: &str, found: &[Item]) -> Result<Outcome, Failure> {
        let nodes: Vec<usize> = found.iter().filter_map(node_of).collect();
        if self.args.count {
            let count = i64::try_from(found.len()).unwrap_or(i64::MAX);
            let msg = format!("found {count} nodes");
            return Ok(Outcome::unchanged().with("count", count).with("msg", msg));
        }
        if self.args.print_match {
            let paths: Vec<String> = nodes.iter().map(|id| self.path_of(*id)).collect();
            let quoted: Vec<String> = paths.iter().map(|path| format!("\"{path}\"")).collect();
            let msg = format!("selector '{path}' match: [{}]", quoted.join(", "));
            return Ok(Outcome::unchanged().with("matches", paths).with("msg", msg));
        }
        if nodes.is_empty() {
            return Err(Failure::new(format!(
                "Xpath {path} does not reference a node!"
            )));
        }
        let mut matches = vec![];
        for id in nodes {
            let node = &self.tree.nodes[id];
            let value = match self.args.content {
                Some(Telling::Attribute) => {
                    let own = node
                        .attrs
                        .iter()
                        .filter(|(name, _)| !name.starts_with("xmlns"));
                    let one = |(name, value): &(String, String)| {
                        let (prefix, local) = split(name);
                        let uri = if prefix.is_empty() {
                            ""
                        } else {
                            self.tree.namespace(id, prefix)
                        };
                        let name = if uri.is_empty() {
                            local.to_owned()
                        } else {
                            format!("{{{uri}}}{local}")
                        };
                        (name, Data::from(value.as_str()))
                    };
                    Data::Map(own.map(one).collect())
                }
                _ if node.text.is_empty() => Data::Null,
                _ => decode(&node.text).into(),
            };
            matches.push(Data::Map(
                [(self.tree.tag(id), value)].into_iter().collect(),
            ));
        }
        let count = i64::try_from(matches.len()).unwrap_or(i64::MAX);
        Ok(Outcome::unchanged()
            .with("count", count)
            .with("msg", count)
            .with("matches", Data::List(matches)))
    }

    /// The path of an element, with places where there are several of a name.
    fn path_of(&self, id: usize) -> String {
        let node = &self.tree.nodes[id];
        let (prefix, _) = split(&node.name);
        let plain = prefix.is_empty() && !self.tree.namespace(id, "").is_empty();
        let name = if plain { "*" } else { node.name.as_str() };
        let Some(parent) = node.parent else {
            return format!("/{name}");
        };
        let siblings: Vec<usize> = self.tree.nodes[parent].children.clone();
        let alike = |other: &&usize| match plain {
            true => self.tree.is_element(**other),
            false => self.tree.nodes[**other].name == node.name,
        };
        let all: Vec<&usize> = siblings.iter().filter(alike).collect();
        let place = all.iter().position(|other| **other == id).unwrap_or(0) + 1;
        let place = if all.len() > 1 {
            format!("[{place}]")
        } else {
            String::new()
        };
        format!("{}/{name}{place}", self.path_of(parent))
    }

    fn remove(&mut self, found: &[Item]) {
        // From behind, so that the places of attributes stay right.
        for item in found.iter().rev() {
            match item {
                Item::Node(id) => self.tree.detach(*id),
                Item::Attr(id, at) => {
                    self.tree.nodes[*id].attrs.remove(*at);
                }
                Item::Text { node, tail: true } => self.tree.nodes[*node].tail.clear(),
                Item::Text { node, .. } => self.tree.nodes[*node].text.clear(),
                Item::Document => {}
            }
        }
    }

    fn set_children(&mut self, found: &[Item], children: &[Data]) -> Result<(), Failure> {
        for id in found.iter().filter_map(node_of) {
            let old = self.tree.nodes[id].children.clone();
            let new = self.build(children, id)?;
            let written = |ids: &[usize]| -> Vec<String> {
                let one = |id: &usize| {
                    let mut text = String::new();
                    self.tree.element(*id, None, &mut text);
                    text
                };
                ids.iter().map(one).collect()
            };
            if written(&old) == written(&new) {
                continue;
            }
            self.tree.nodes[id].children = new;
        }
        Ok(())
    }

    fn add_children(&mut self, found: &[Item], children: &[Data]) -> Result<(), Failure> {
        let nodes: Vec<usize> = found.iter().filter_map(node_of).collect();
        if self.args.insertbefore || self.args.insertafter {
            let end = if self.args.insertbefore {
                nodes.first()
            } else {
                nodes.last()
            };
            let Some(id) = end.copied() else {
                return Ok(());
            };
            let Some(parent) = self.tree.nodes[id].parent else {
                return Err(Failure::new("the root has nothing beside it"));
            };
            let new = self.build(children, parent)?;
            let siblings = &self.tree.nodes[parent].children;
            let at = siblings.iter().position(|child| *child == id).unwrap_or(0);
            let at = at + usize::from(self.args.insertafter);
            self.tree.nodes[parent].children.splice(at..at, new);
            return Ok(());
        }
        for id in nodes {
            let new = self.build(children, id)?;
            self.tree.nodes[id].children.extend(new);
        }
        Ok(())
    }

    /// New elements for a parent.
    fn build(&mut self, children: &[Data], parent: usize) -> Result<Vec<usize>, Failure> {
        let mut all = vec![];
        for child in children {
            let id = match self.args.input_type {
                Input::Xml => self.adopt(&child.text())?,
                Input::Yaml => self.element(child)?,
            };
            self.tree.nodes[id].parent = Some(parent);
            all.push(id);
        }
        Ok(all)
    }

    /// An element that is given as XML.
    fn adopt(&mut self, text: &str) -> Result<usize, Failure> {
        let other = Tree::parse(text, Reading::default())
            .map_err(|error| Failure::new(format!("Error while parsing child element: {error}")))?;
        let first = self.tree.nodes.len();
        for mut node in other.nodes {
            node.parent = node.parent.map(|id| id + first);
            node.children.iter_mut().for_each(|id| *id += first);
            self.tree.nodes.push(node);
        }
        Ok(first + other.root)
    }

    /// An element that is given as a name, or with what is in it.
    fn element(&mut self, child: &Data) -> Result<usize, Failure> {
        let invalid = || {
            let text = "Invalid child type. Children must be either strings or hashes.";
            Failure::new(text)
        };
        let (name, value) = match child {
            Data::Str(name) => (name, None),
            Data::Map(map) if map.len() == 1 => {
                let (name, value) = map.first().ok_or_else(invalid)?;
                (name, Some(value))
            }
            Data::Map(_) => {
                let text = "Can only create children from hashes with one key";
                return Err(Failure::new(text));
            }
            _ => return Err(invalid()),
        };
        let id = self.tree.add(Node {
            name: self.name(name)?,
            ..Node::default()
        });
        match value {
            Some(Data::Map(inner)) => {
                for (key, value) in inner {
                    if key == "_" {
                        let Data::List(children) = value else {
                            return Err(invalid());
                        };
                        for child in children {
                            let child = self.element(child)?;
                            self.tree.nodes[child].parent = Some(id);
                            self.tree.nodes[id].children.push(child);
                        }
                        continue;
                    }
                    let name = self.name(key)?;
                    self.tree.nodes[id].attrs.push((name, text_of(value)?));
                }
            }
            Some(value) => self.tree.nodes[id].text = escape(&text_of(value)?, false),
            None => {}
        }
        Ok(id)
    }

    /// A name as it is written: a prefix of `namespaces` becomes the document's own.
    fn name(&self, name: &str) -> Result<String, Failure> {
        let (prefix, local) = split(name);
        let odd = |letter: char| letter.is_whitespace() || "<>&\"'/=[]()@".contains(letter);
        if local.is_empty() || name.contains(odd) {
            return Err(Failure::unexpected(format!("Invalid tag name '{name}'")));
        }
        let Some((_, uri)) = self.spaces.iter().find(|(known, _)| known == prefix) else {
            return Ok(name.to_owned());
        };
        let attrs = &self.tree.nodes[self.tree.root].attrs;
        let declared = attrs
            .iter()
            .find(|(name, value)| value == uri && name.starts_with("xmlns"));
        Ok(match declared.map(|(name, _)| split(name)) {
            Some(("", _)) => local.to_owned(),
            Some((_, own)) => format!("{own}:{local}"),
            None => name.to_owned(),
        })
    }

    /// Sets a text or an attribute, or sees to it that something is there.
    fn set(&mut self, path: &str, mut found: Vec<Item>) -> Result<(), Failure> {
        let value = match &self.args.value {
            Some(Data::Str(text)) => Some(text.clone()),
            Some(other) => {
                let what = match &self.args.attribute {
                    Some(name) => format!("attribute '{}'", name.text()),
                    None => "element text".to_owned(),
                };
                return Err(Failure::new(format!(
                    "A non-string value {} was parsed for {what} at xpath '{path}'. YAML values for booleans, octals, floats may not yield the string you intended. Quote the value to be explicit, like `value: \"yes\"`.",
                    other.text()
                )));
            }
            None => None,
        };
        if found.is_empty() {
            if !self.args.create_if_missing {
                return Ok(());
            }
            let wanted = xpath::path(path).filter(|path| path.absolute);
            let made = wanted.and_then(|wanted| self.make(&wanted).ok());
            let Some(made) = made else {
                return Err(Failure::new(format!(
                    "Can't process Xpath {path} in order to spawn nodes!"
                )));
            };
            found = vec![made];
        }
        let Some(value) = value else {
            return Ok(());
        };
        for item in found {
            match (&self.args.attribute, item) {
                (Some(name), Item::Node(id)) => {
                    let name = self.name(&name.text())?;
                    self.attribute(id, name, value.clone());
                }
                (None, Item::Attr(id, at)) => self.tree.nodes[id].attrs[at].1.clone_from(&value),
                (None, Item::Text { node, tail: true }) => {
                    self.tree.nodes[node].tail = escape(&value, false);
                }
                (None, Item::Node(node) | Item::Text { node, .. }) => {
                    // A text with CDATA stays as it is when it says the same.
                    if decode(&self.tree.nodes[node].text) != value {
                        self.tree.nodes[node].text = escape(&value, false);
                    }
                }
                _ => {
                    let text = format!("Xpath {path} does not reference a node!");
                    return Err(Failure::new(text));
                }
            }
        }
        Ok(())
    }

    fn attribute(&mut self, id: usize, name: String, value: String) {
        let attrs = &mut self.tree.nodes[id].attrs;
        match attrs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => attrs.push((name, value)),
        }
    }

    /// Makes what a path names, and what is above it.
    fn make(&mut self, path: &xpath::Path) -> Result<Item, Failure> {
        let no = || Failure::new("no such path can be made");
        let (last, above) = path.steps.split_last().ok_or_else(no)?;
        if last.deep || above.is_empty() {
            return Err(no());
        }
        let above = xpath::Path {
            absolute: path.absolute,
            steps: above.to_vec(),
        };
        let parents = xpath::items(&self.tree, &above, &self.spaces).map_err(|_| no())?;
        let parent = match parents.first() {
            Some(item) => node_of(item),
            None => node_of(&self.make(&above)?),
        };
        let parent = parent.ok_or_else(no)?;
        let conditions = last.attributes().ok_or_else(no)?;
        match &last.test {
            Test::Attribute(name) if conditions.is_empty() && name != "*" => {
                let name = self.name(name)?;
                self.attribute(parent, name, String::new());
                Ok(Item::Attr(parent, self.tree.nodes[parent].attrs.len() - 1))
            }
            Test::Element(name) if name != "*" => {
                let name = self.name(name)?;
                let id = self.tree.add(Node {
                    name,
                    parent: Some(parent),
                    ..Node::default()
                });
                for (name, value) in conditions {
                    let name = self.name(&name)?;
                    self.attribute(id, name, value);
                }
                self.tree.nodes[parent].children.push(id);
                Ok(Item::Node(id))
            }
            _ => Err(no()),
        }
    }

    /// Writes the document, where it is another one.
    fn done(
        &self,
        machine: &mut dyn Machine,
        before: String,
        changed: bool,
        results: Map,
    ) -> Result<Outcome, Failure> {
        let after = self.tree.write(self.args.pretty_print);
        let mut outcome = Outcome {
            results,
            ..Outcome::new(changed)
        };
        if self.args.xmlstring.is_some() {
            outcome = outcome.with("xmlstring", after.as_str());
        }
        if !changed {
            return Ok(outcome);
        }
        if let Some(path) = &self.args.path {
            if self.args.backup {
                let copy = rplay_modules::machine::attrs::backup(machine, path)?;
                outcome = match copy {
                    Some(copy) => outcome.with("backup_file", copy),
                    None => outcome,
                };
            }
            let written = machine.write(path, Content::Bytes(after.as_bytes()), &Attrs::default());
            written.map_err(|error| {
                let (place, error) = (path.display(), os_error(&error, path));
                Failure::new(format!("Could not write '{place}': {error}"))
            })?;
        }
        Ok(outcome.with_diff(Diff {
            before: DiffSide::Text(before),
            // Shown with every element on a line of its own, as far as there is no text around it.
            after: DiffSide::Text(self.tree.write(true)),
            ..Diff::default()
        }))
    }
}

fn node_of(item: &Item) -> Option<usize> {
    match item {
        Item::Node(id) => Some(*id),
        _ => None,
    }
}

/// The text of an attribute or an element.
fn text_of(value: &Data) -> Result<String, Failure> {
    match value {
        Data::Str(text) => Ok(text.clone()),
        Data::Null => Ok(String::new()),
        Data::Int(_) | Data::Float(_) | Data::Bool(_) => Ok(value.text()),
        other => Err(Failure::unexpected(format!(
            "Argument must be bytes or unicode, got '{}'",
            other.type_name()
        ))),
    }
}

fn wrong_path(path: &str, wrong: &Wrong) -> Failure {
    match wrong {
        Wrong::Syntax => Failure::new(format!(
            "Syntax error in xpath expression: {path} (Invalid expression)"
        )),
        Wrong::Prefix => Failure::new(format!(
            "Syntax error in xpath expression: {path} (Undefined namespace prefix)"
        )),
        Wrong::Unknown(what) => Failure::new(format!(
            "xpath: rplay does not know {what} of XPath (in {path})"
        )),
    }
}
