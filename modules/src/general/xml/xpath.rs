//! XPath: paths with names, `*`, `//`, `.`, `..`, `@name`, `text()` and conditions. Axes that are
//! written out, variables, arithmetic but `+` and `-`, and further functions are refused by name.

use super::tree::{Tree, decode, split};

/// Prefixes and their namespaces.
pub(super) type Spaces = Vec<(String, String)>;

/// A thing that a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The document.
    Document,
    /// An element, a comment or an instruction.
    Node(usize),
    /// An attribute of an element, by its place.
    Attr(usize, usize),
    /// The text in an element before its first child, or behind it.
    Text { node: usize, tail: bool },
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Items(Vec<Item>),
    Text(String),
    Number(f64),
    Bool(bool),
}

/// Why an expression has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is no XPath.
    Syntax,
    /// A prefix is unknown.
    Prefix,
    /// This is not known here.
    Unknown(String),
}

#[derive(Clone, Debug)]
enum Expr {
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Path(Path),
    Text(String),
    Number(f64),
    Call(String, Vec<Expr>),
}

/// A path.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    pub(super) absolute: bool,
    pub(super) steps: Vec<Step>,
}

/// A step of a path.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// `//` stands before it.
    pub(super) deep: bool,
    pub(super) test: Test,
    conditions: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Here,
    Parent,
    Element(String),
    Attribute(String),
    Text,
    Node,
    Comment,
}

impl Step {
    /// `[@name='text']` conditions, where there are no others.
    pub(super) fn attributes(&self) -> Option<Vec<(String, String)>> {
        let one = |condition: &Expr| match condition {
            Expr::Binary("=", left, right) => match (&**left, &**right) {
                (Expr::Path(path), Expr::Text(text)) if !path.absolute => match &path.steps[..] {
                    [
                        Step {
                            test: Test::Attribute(name),
                            ..
                        },
                    ] => Some((name.clone(), text.clone())),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        self.conditions.iter().map(one).collect()
    }
}

/// Evaluates an expression at the root element.
pub(super) fn evaluate(tree: &Tree, text: &str, spaces: &Spaces) -> Result<Value, Wrong> {
    let expr = parse(text)?;
    let at = At {
        tree,
        spaces,
        item: Item::Node(tree.root),
        place: 1,
        size: 1,
    };
    at.value(&expr)
}

/// The path that a text is.
pub(super) fn path(text: &str) -> Option<Path> {
    match parse(text) {
        Ok(Expr::Path(path)) => Some(path),
        _ => None,
    }
}

/// What a path leads to.
pub(super) fn items(tree: &Tree, path: &Path, spaces: &Spaces) -> Result<Vec<Item>, Wrong> {
    let at = At {
        tree,
        spaces,
        item: Item::Node(tree.root),
        place: 1,
        size: 1,
    };
    at.path(path)
}

// -- reading -------------------------------------------------------------------------------

struct Reader<'t> {
    words: Vec<&'t str>,
    at: usize,
    depth: usize,
}

fn parse(text: &str) -> Result<Expr, Wrong> {
    let mut reader = Reader {
        words: words(text)?,
        at: 0,
        depth: 0,
    };
    let expr = reader.binary(0)?;
    match reader.at == reader.words.len() {
        true => Ok(expr),
        false => Err(Wrong::Syntax),
    }
}

fn words(text: &str) -> Result<Vec<&str>, Wrong> {
    let is_name = |letter: char| letter.is_alphanumeric() || "_-.:".contains(letter);
    let (mut words, mut rest) = (vec![], text.trim_start());
    while let Some(first) = rest.chars().next() {
        let two = rest.get(..2).unwrap_or_default();
        let length = if matches!(first, '\'' | '"') {
            rest[1..].find(first).ok_or(Wrong::Syntax)? + 2
        } else if ["//", "..", "!=", "<=", ">="].contains(&two) {
            2
        } else if first.is_ascii_digit() {
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')
                .unwrap_or(rest.len())
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
            // `a:*` is a name, too; `a::` is an axis.
            end + usize::from(rest[..end].ends_with(':') && rest[end..].starts_with('*'))
        } else if "/.@[]()*,|=<>+-".contains(first) {
            1
        } else if first == '$' {
            return Err(Wrong::Unknown("variables".to_owned()));
        } else {
            return Err(Wrong::Syntax);
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

/// Operators, from the weakest on.
const OPERATORS: [&[&str]; 6] = [
    &["or"],
    &["and"],
    &["=", "!="],
    &["<", "<=", ">", ">="],
    &["+", "-"],
    &["|"],
];

/// How deep conditions may nest.
const DEPTH: usize = 50;

impl<'t> Reader<'t> {
    fn next(&self) -> &'t str {
        self.words.get(self.at).copied().unwrap_or_default()
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.next() == word && !word.is_empty();
        self.at += usize::from(found);
        found
    }

    fn needed(&mut self, word: &str) -> Result<(), Wrong> {
        self.take(word).then_some(()).ok_or(Wrong::Syntax)
    }

    fn binary(&mut self, level: usize) -> Result<Expr, Wrong> {
        let Some(operators) = OPERATORS.get(level) else {
            return self.primary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = operators.iter().find(|word| **word == self.next()) {
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        if matches!(self.next(), "*" | "div" | "mod") && level == 0 {
            return Err(Wrong::Unknown(format!("the operator `{}`", self.next())));
        }
        Ok(left)
    }

    fn primary(&mut self) -> Result<Expr, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Wrong::Unknown("expressions that nest so deep".to_owned()));
        }
        let expr = self.inner();
        self.depth -= 1;
        expr
    }

    fn inner(&mut self) -> Result<Expr, Wrong> {
        let word = self.next();
        if self.take("(") {
            let expr = self.binary(0)?;
            self.needed(")")?;
            return Ok(expr);
        }
        if word.starts_with(['\'', '"']) {
            self.at += 1;
            return Ok(Expr::Text(word[1..word.len() - 1].to_owned()));
        }
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            self.at += 1;
            return word.parse().map(Expr::Number).map_err(|_| Wrong::Syntax);
        }
        let is_test = matches!(word, "text" | "node" | "comment" | "processing-instruction");
        if self.words.get(self.at + 1) == Some(&"(") && !is_test {
            self.at += 2;
            let mut all = vec![];
            if !self.take(")") {
                loop {
                    all.push(self.binary(0)?);
                    if !self.take(",") {
                        break;
                    }
                }
                self.needed(")")?;
            }
            return known(word).map(|()| Expr::Call(word.to_owned(), all));
        }
        self.steps().map(Expr::Path)
    }

    fn steps(&mut self) -> Result<Path, Wrong> {
        let mut path = Path {
            absolute: matches!(self.next(), "/" | "//"),
            steps: vec![],
        };
        let mut deep = self.take("//");
        if path.absolute && !deep {
            self.at += 1;
            if !self.begins() {
                return Ok(path);
            }
        }
        loop {
            path.steps.push(self.step(deep)?);
            deep = self.next() == "//";
            if !deep && self.next() != "/" {
                return Ok(path);
            }
            self.at += 1;
        }
    }

    /// Whether a step begins here.
    fn begins(&self) -> bool {
        let word = self.next();
        matches!(word, "." | ".." | "@" | "*")
            || word.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }

    fn step(&mut self, deep: bool) -> Result<Step, Wrong> {
        if !self.begins() {
            return Err(Wrong::Syntax);
        }
        let word = self.next();
        self.at += 1;
        let test = match word {
            "." => Test::Here,
            ".." => Test::Parent,
            "*" => Test::Element("*".to_owned()),
            "@" => {
                let name = self.next();
                if name != "*" && !self.begins() {
                    return Err(Wrong::Syntax);
                }
                self.at += 1;
                Test::Attribute(name.to_owned())
            }
            "text" | "node" | "comment" if self.take("(") => {
                self.needed(")")?;
                match word {
                    "text" => Test::Text,
                    "node" => Test::Node,
                    _ => Test::Comment,
                }
            }
            name if name.contains("::") => {
                return Err(Wrong::Unknown(format!("the axis of `{name}`")));
            }
            name if self.next() == "(" => return Err(Wrong::Unknown(format!("`{name}()`"))),
            name => Test::Element(name.to_owned()),
        };
        let mut conditions = vec![];
        while self.take("[") {
            conditions.push(self.binary(0)?);
            self.needed("]")?;
        }
        Ok(Step {
            deep,
            test,
            conditions,
        })
    }
}

fn known(function: &str) -> Result<(), Wrong> {
    const KNOWN: [&str; 12] = [
        "last",
        "position",
        "count",
        "not",
        "contains",
        "starts-with",
        "normalize-space",
        "string-length",
        "string",
        "name",
        "local-name",
        "true",
    ];
    match KNOWN.contains(&function) {
        true => Ok(()),
        false => Err(Wrong::Unknown(format!("the function `{function}`"))),
    }
}

// -- evaluating ----------------------------------------------------------------------------

/// A place in the document where an expression is evaluated.
struct At<'t> {
    tree: &'t Tree,
    spaces: &'t Spaces,
    item: Item,
    place: usize,
    size: usize,
}

impl At<'_> {
    fn value(&self, expr: &Expr) -> Result<Value, Wrong> {
        Ok(match expr {
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Number(number) => Value::Number(*number),
            Expr::Path(path) => Value::Items(self.path(path)?),
            Expr::Call(name, all) => self.call(name, all)?,
            Expr::Binary(operator, left, right) => {
                let left = self.value(left)?;
                match *operator {
                    "or" if self.truth(&left) => return Ok(Value::Bool(true)),
                    "and" if !self.truth(&left) => return Ok(Value::Bool(false)),
                    _ => {}
                }
                let right = self.value(right)?;
                match (*operator, left, right) {
                    ("or" | "and", _, right) => Value::Bool(self.truth(&right)),
                    ("|", Value::Items(mut all), Value::Items(more)) => {
                        all.extend(more);
                        let mut all = unique(all);
                        let places = self.places();
                        crate::order::sort_by(&mut all, |one, other| {
                            place_of(one, &places).cmp(&place_of(other, &places))
                        });
                        Value::Items(all)
                    }
                    ("|", ..) => return Err(Wrong::Syntax),
                    ("+", left, right) => Value::Number(self.number(&left) + self.number(&right)),
                    ("-", left, right) => Value::Number(self.number(&left) - self.number(&right)),
                    (operator, left, right) => Value::Bool(self.compare(operator, &left, &right)),
                }
            }
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "no document has so many nodes")]
    fn call(&self, name: &str, all: &[Expr]) -> Result<Value, Wrong> {
        let values: Vec<Value> = all
            .iter()
            .map(|one| self.value(one))
            .collect::<Result<_, _>>()?;
        let text = |index: usize| match values.get(index) {
            Some(value) => self.text(value),
            None => self.string(&self.item),
        };
        let first = match values.first() {
            Some(Value::Items(items)) => items.first().cloned(),
            Some(_) => None,
            None => Some(self.item.clone()),
        };
        let needs = match name {
            "contains" | "starts-with" => 2..=2,
            "count" | "not" => 1..=1,
            "last" | "position" | "true" => 0..=0,
            _ => 0..=1,
        };
        if !needs.contains(&values.len()) {
            return Err(Wrong::Syntax);
        }
        Ok(match (name, values.first()) {
            ("last", _) => Value::Number(self.size as f64),
            ("position", _) => Value::Number(self.place as f64),
            ("true", _) => Value::Bool(true),
            ("count", Some(Value::Items(items))) => Value::Number(items.len() as f64),
            ("count", _) => return Err(Wrong::Syntax),
            ("not", Some(value)) => Value::Bool(!self.truth(value)),
            ("contains", _) => Value::Bool(text(0).contains(&text(1))),
            ("starts-with", _) => Value::Bool(text(0).starts_with(&text(1))),
            ("string-length", _) => Value::Number(text(0).chars().count() as f64),
            ("normalize-space", _) => {
                Value::Text(text(0).split_whitespace().collect::<Vec<_>>().join(" "))
            }
            ("name" | "local-name", _) => {
                let full = match first {
                    Some(Item::Node(id)) => self.tree.nodes[id].name.as_str(),
                    Some(Item::Attr(id, at)) => self.tree.nodes[id].attrs[at].0.as_str(),
                    _ => "",
                };
                Value::Text(if name == "name" { full } else { split(full).1 }.to_owned())
            }
            _ => Value::Text(text(0)),
        })
    }

    fn path(&self, path: &Path) -> Result<Vec<Item>, Wrong> {
        let mut items = vec![if path.absolute {
            Item::Document
        } else {
            self.item.clone()
        }];
        for step in &path.steps {
            let mut found = vec![];
            for item in &items {
                let mut from = vec![item.clone()];
                if step.deep {
                    self.below(item, &mut from);
                }
                for item in from {
                    let mut all = self.step(step, &item)?;
                    for condition in &step.conditions {
                        all = self.kept(all, condition)?;
                    }
                    found.extend(all);
                }
            }
            items = unique(found);
        }
        Ok(items)
    }

    fn kept(&self, items: Vec<Item>, condition: &Expr) -> Result<Vec<Item>, Wrong> {
        let (mut kept, size) = (vec![], items.len());
        for (index, item) in items.into_iter().enumerate() {
            let at = At {
                tree: self.tree,
                spaces: self.spaces,
                item,
                place: index + 1,
                size,
            };
            let holds = match at.value(condition)? {
                #[expect(clippy::cast_precision_loss, reason = "no document has so many nodes")]
                Value::Number(number) => (number - at.place as f64).abs() < f64::EPSILON,
                value => at.truth(&value),
            };
            if holds {
                kept.push(at.item);
            }
        }
        Ok(kept)
    }

    fn children(&self, item: &Item) -> Vec<usize> {
        match item {
            Item::Document => vec![self.tree.root],
            Item::Node(id) => self.tree.nodes[*id].children.clone(),
            _ => vec![],
        }
    }

    /// The nodes in the order of the document.
    fn places(&self) -> Vec<usize> {
        let mut all = vec![];
        self.below(&Item::Document, &mut all);
        let mut places = vec![0; self.tree.nodes.len()];
        for (place, item) in all.iter().enumerate() {
            if let Item::Node(id) = item {
                places[*id] = place + 1;
            }
        }
        places
    }

    /// All elements below, in their order.
    fn below(&self, item: &Item, all: &mut Vec<Item>) {
        for child in self.children(item) {
            all.push(Item::Node(child));
            self.below(&Item::Node(child), all);
        }
    }

    fn step(&self, step: &Step, item: &Item) -> Result<Vec<Item>, Wrong> {
        let tree = self.tree;
        Ok(match (&step.test, item) {
            (Test::Here, item) => vec![item.clone()],
            (Test::Parent, Item::Node(id)) => match tree.nodes[*id].parent {
                Some(parent) => vec![Item::Node(parent)],
                None => vec![Item::Document],
            },
            (Test::Parent, Item::Attr(id, _)) => vec![Item::Node(*id)],
            (Test::Parent, Item::Text { node, tail }) => match (tail, tree.nodes[*node].parent) {
                (true, Some(parent)) => vec![Item::Node(parent)],
                _ => vec![Item::Node(*node)],
            },
            (Test::Parent, Item::Document) => vec![],
            (Test::Element(name), item) => {
                let mut all = self.children(item);
                all.retain(|id| tree.is_element(*id));
                let wanted = self.wanted(name)?;
                let fits = |id: &usize| {
                    fits(&wanted, &tree.nodes[*id].name, |prefix| {
                        tree.namespace(*id, prefix)
                    })
                };
                all.retain(fits);
                all.into_iter().map(Item::Node).collect()
            }
            (Test::Attribute(name), Item::Node(id)) => {
                let wanted = self.wanted(name)?;
                let space = |prefix: &str| {
                    if prefix.is_empty() {
                        ""
                    } else {
                        tree.namespace(*id, prefix)
                    }
                };
                let all = tree.nodes[*id].attrs.iter().enumerate();
                let own = all.filter(|(_, (name, _))| !name.starts_with("xmlns"));
                let fit = own.filter(|(_, (name, _))| fits(&wanted, name, space));
                fit.map(|(at, _)| Item::Attr(*id, at)).collect()
            }
            (Test::Text | Test::Node, Item::Node(id)) if tree.is_element(*id) => {
                let text = |node: usize, tail: bool| {
                    let has = if tail {
                        &tree.nodes[node].tail
                    } else {
                        &tree.nodes[node].text
                    };
                    (!has.is_empty()).then_some(Item::Text { node, tail })
                };
                let mut all: Vec<Item> = text(*id, false).into_iter().collect();
                for child in &tree.nodes[*id].children {
                    all.extend((step.test == Test::Node).then_some(Item::Node(*child)));
                    all.extend(text(*child, true));
                }
                all
            }
            (Test::Node, Item::Document) => vec![Item::Node(tree.root)],
            (Test::Comment, item) => {
                let mut all = self.children(item);
                all.retain(|id| tree.nodes[*id].text.starts_with("<!--") && !tree.is_element(*id));
                all.into_iter().map(Item::Node).collect()
            }
            _ => vec![],
        })
    }

    /// The namespace and the name that are looked for; `None` for any.
    fn wanted(&self, name: &str) -> Result<(Option<String>, Option<String>), Wrong> {
        if name == "*" {
            return Ok((None, None));
        }
        let (prefix, local) = split(name);
        let uri = match prefix {
            "" => String::new(),
            prefix => match self.spaces.iter().find(|(known, _)| known == prefix) {
                Some((_, uri)) => uri.clone(),
                None => return Err(Wrong::Prefix),
            },
        };
        Ok((Some(uri), (local != "*").then(|| local.to_owned())))
    }

    fn string(&self, item: &Item) -> String {
        let mut text = String::new();
        match item {
            Item::Document => self.tree.string(self.tree.root, &mut text),
            Item::Node(id) => self.tree.string(*id, &mut text),
            Item::Attr(id, at) => text.clone_from(&self.tree.nodes[*id].attrs[*at].1),
            Item::Text { node, tail: true } => text = decode(&self.tree.nodes[*node].tail),
            Item::Text { node, .. } => text = decode(&self.tree.nodes[*node].text),
        }
        text
    }

    fn text(&self, value: &Value) -> String {
        match value {
            Value::Items(items) => items
                .first()
                .map_or(String::new(), |item| self.string(item)),
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
        }
    }

    fn number(&self, value: &Value) -> f64 {
        match value {
            Value::Number(number) => *number,
            Value::Bool(truth) => f64::from(u8::from(*truth)),
            value => self.text(value).trim().parse().unwrap_or(f64::NAN),
        }
    }

    fn truth(&self, value: &Value) -> bool {
        match value {
            Value::Items(items) => !items.is_empty(),
            Value::Text(text) => !text.is_empty(),
            Value::Number(number) => *number != 0.0 && !number.is_nan(),
            Value::Bool(truth) => *truth,
        }
    }

    /// Whether it holds for one of the items.
    fn compare(&self, operator: &str, left: &Value, right: &Value) -> bool {
        if let Value::Items(items) = left {
            let text = |item| Value::Text(self.string(item));
            return items
                .iter()
                .any(|item| self.compare(operator, &text(item), right));
        }
        if let Value::Items(items) = right {
            let text = |item| Value::Text(self.string(item));
            return items
                .iter()
                .any(|item| self.compare(operator, left, &text(item)));
        }
        let (a, b) = (self.number(left), self.number(right));
        let texts = matches!((left, right), (Value::Text(_), Value::Text(_)));
        let bools = matches!(left, Value::Bool(_)) || matches!(right, Value::Bool(_));
        let equal = match (texts, bools) {
            (true, _) => self.text(left) == self.text(right),
            (_, true) => self.truth(left) == self.truth(right),
            _ => (a - b).abs() < f64::EPSILON,
        };
        match operator {
            "=" => equal,
            "!=" => !equal,
            "<" => a < b,
            "<=" => a <= b,
            ">" => a > b,
            _ => a >= b,
        }
    }
}

fn fits<'t>(
    wanted: &(Option<String>, Option<String>),
    name: &str,
    space: impl Fn(&str) -> &'t str,
) -> bool {
    let (prefix, local) = split(name);
    wanted.0.as_deref().is_none_or(|uri| uri == space(prefix))
        && wanted.1.as_deref().is_none_or(|wanted| wanted == local)
}

/// Where an item stands, by its node and then by its kind.
fn place_of(item: &Item, places: &[usize]) -> (usize, usize) {
    match item {
        Item::Document => (0, 0),
        Item::Node(id) => (places[*id], 0),
        Item::Attr(id, at) => (places[*id], at + 1),
        Item::Text { node, tail } => (
            places[*node],
            if *tail { usize::MAX } else { usize::MAX - 1 },
        ),
    }
}

/// Every item once.
fn unique(items: Vec<Item>) -> Vec<Item> {
    let mut all: Vec<Item> = Vec::with_capacity(items.len());
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::tree::Reading;
    use super::*;

    #[test]
    fn paths() {
        let text = "<r><a n='1'>x</a><b><a n='2'>y</a><a>z</a></b><p:c xmlns:p='u'/></r>";
        let tree = Tree::parse(text, Reading::default()).unwrap();
        let spaces = vec![("q".to_owned(), "u".to_owned())];
        let count = |path: &str| match evaluate(&tree, path, &spaces) {
            Ok(Value::Items(items)) => items.len(),
            other => panic!("{path}: {other:?}"),
        };
        for (path, number) in [
            ("/r/a", 1),
            ("//a", 3),
            ("//a[1]", 2),
            ("(//a)", 3),
            ("/r/b/a[last()]", 1),
            ("/r/b/a[position()=last()-1]", 1),
            ("//a[@n]", 2),
            ("//a[@n='2']/..", 1),
            ("//a[text()='z']", 1),
            ("//a[.='z' or @n=\"1\"]", 2),
            ("//a[not(@n) and starts-with(., 'z')]", 1),
            ("/r/*", 3),
            ("/r/q:c", 1),
            ("//@n", 2),
            ("//a/text()", 3),
            ("/r/b[a='y']", 1),
            ("/r/a | /r/b", 2),
            ("//a[@n>1]", 1),
            ("a", 1),
            ("/", 1),
            ("//*[local-name()='c']", 1),
        ] {
            assert_eq!(count(path), number, "{path}");
        }
        let wrong = |path: &str| evaluate(&tree, path, &spaces).unwrap_err();
        assert_eq!(wrong("/r["), Wrong::Syntax);
        assert_eq!(wrong("/x:r"), Wrong::Prefix);
        assert!(matches!(wrong("sum(//a)"), Wrong::Unknown(_)));
        assert!(matches!(wrong("child::a"), Wrong::Unknown(_)));
        let step = path("/r/a[@n='3']").unwrap().steps.pop().unwrap();
        assert_eq!(
            step.attributes(),
            Some(vec![("n".to_owned(), "3".to_owned())])
        );
    }
}
