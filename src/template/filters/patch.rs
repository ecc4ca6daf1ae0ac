//! JSON patches (RFC 6902): applied, and found between two values as the Python library `jsonpatch` finds them.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::signatures::{Signature, python};
use super::super::value::{Entries, Key, Value};
use super::dict::{entries, python_type};

super::filters! {
    "json_diff": "the operations that make another value of it" => |_, a| difference(a);
    "json_patch": "changed by one operation" => |_, a| one(a);
    "json_patch_recipe": "changed by a list of operations" => |_, a| recipe(a);
}

/// The value that a filter is given, or the one that its JSON text writes.
fn document(value: &Value, filter: &str, what: &str) -> Outcome {
    match value {
        Value::List(_) | Value::Dict(_) => Ok(value.copied()),
        Value::Str(text) => super::encode::parse_json(text.as_str()).map_err(|problem| {
            Fault::new(format!(
                "{filter}: could not decode JSON from {what}: {problem}"
            ))
        }),
        _ => Err(Fault::new(format!(
            "{filter}: {what} is not dictionary, list or string"
        ))),
    }
}

/// An argument that must be text.
fn text(value: Option<&Value>, filter: &str, name: &str) -> Result<String, Fault> {
    let text = value.and_then(Value::as_str).map(ToOwned::to_owned);
    text.ok_or_else(|| Fault::new(format!("{filter}: '{name}' argument is not a string")))
}

fn truth(value: Option<&Value>, filter: &str) -> Result<bool, Fault> {
    match value {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(_) => Err(Fault::new(format!(
            "{filter}: 'fail_test' argument is not a bool"
        ))),
    }
}

/// One operation.
struct Operation {
    op: String,
    path: String,
    from: Option<String>,
    value: Option<Value>,
}

impl Operation {
    fn checked(filter: &str, op: Option<&Value>, path: Option<&Value>) -> Result<Self, Fault> {
        let (op, path) = (text(op, filter, "op")?, text(path, filter, "path")?);
        if !["add", "copy", "move", "remove", "replace", "test"].contains(&op.as_str()) {
            return Err(Fault::new(format!(
                "{filter}: unsupported 'op' argument: {op}"
            )));
        }
        Ok(Self {
            op,
            path,
            from: None,
            value: None,
        })
    }

    fn with_source(mut self, filter: &str, from: Option<&Value>) -> Result<Self, Fault> {
        if !matches!(self.op.as_str(), "copy" | "move") {
            return Ok(self);
        }
        self.from = match from {
            None | Some(Value::None) => {
                return Err(Fault::new(format!(
                    "{filter}: 'from' argument missing for '{}' operation",
                    self.op
                )));
            }
            from => Some(text(from, filter, "from")?),
        };
        Ok(self)
    }
}

fn one(args: &Args) -> Outcome {
    const FILTER: &str = "json_patch";
    const SIGNATURE: Signature = python(
        "FilterModule.json_patch",
        1,
        &["op", "path"],
        &["value", "**"],
    );
    SIGNATURE.check(args)?;
    let document = document(args.operand(), FILTER, "input")?;
    let operation = Operation::checked(FILTER, args.get(1, "op"), args.get(2, "path"))?;
    let known = ["op", "path", "value", "from", "fail_test"];
    let unknown: Vec<&str> = args
        .kw
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !known.contains(name))
        .collect();
    if !unknown.is_empty() {
        return Err(Fault::new(format!(
            "{FILTER}: unexpected keywords arguments: {}",
            unknown.join(", ")
        )));
    }
    let mut operation = operation.with_source(FILTER, args.named("from"))?;
    operation.value = Some(args.get(3, "value").cloned().unwrap_or(Value::None));
    let fail = truth(args.named("fail_test"), FILTER)?;
    applied(FILTER, document, &[operation], fail)
}

fn recipe(args: &Args) -> Outcome {
    const FILTER: &str = "json_patch_recipe";
    const SIGNATURE: Signature = python(
        "FilterModule.json_patch_recipe",
        1,
        &["operations"],
        &["fail_test"],
    );
    SIGNATURE.check(args)?;
    let document = document(args.operand(), FILTER, "input")?;
    let Some(Value::List(list)) = args.get(1, "operations") else {
        return Err(Fault::new(format!(
            "{FILTER}: 'operations' needs to be a list"
        )));
    };
    let fail = truth(args.get(2, "fail_test"), FILTER)?;
    let mut operations = vec![];
    for item in list.to_vec() {
        let Some(fields) = entries(&item) else {
            return Err(Fault::new(format!(
                "argument of type '{}' is not iterable",
                item.type_name()
            )));
        };
        let mut operation = Operation::checked(FILTER, fields.get("op"), fields.get("path"))?
            .with_source(FILTER, fields.get("from"))?;
        operation.value = fields.get("value").cloned();
        operations.push(operation);
    }
    applied(FILTER, document, &operations, fail)
}

/// What ends a patch.
enum Stop {
    /// A test that failed.
    Test(String),
    Wrong(String),
}

impl From<String> for Stop {
    fn from(text: String) -> Self {
        Stop::Wrong(text)
    }
}

fn applied(filter: &str, document: Value, operations: &[Operation], fail: bool) -> Outcome {
    let mut document = document;
    for operation in operations {
        document = match apply(document, operation) {
            Ok(document) => document,
            Err(Stop::Test(_)) if !fail => return Ok(Value::None),
            Err(Stop::Test(why)) => {
                return Err(Fault::new(format!(
                    "{filter}: test operation failed: {why}"
                )));
            }
            Err(Stop::Wrong(why)) => {
                return Err(Fault::new(format!("{filter}: patch failed: {why}")));
            }
        };
    }
    Ok(document)
}

fn apply(document: Value, operation: &Operation) -> Result<Value, Stop> {
    let path = pointer(&operation.path)?;
    let value = || {
        let value = operation.value.clone();
        value.ok_or_else(|| "The operation does not contain a 'value' member".to_owned())
    };
    match operation.op.as_str() {
        "add" => Ok(add(document, &path, value()?)?),
        "remove" => {
            remove(&document, &path)?;
            Ok(document)
        }
        "replace" => Ok(replace(document, &path, value()?)?),
        "test" => {
            let found = resolve(&document, &path).map_err(Stop::Test)?;
            let wanted = value()?;
            if found == wanted {
                return Ok(document);
            }
            Err(Stop::Test(format!(
                "{} ({}) is not equal to tested value {} ({})",
                found.text(),
                python_type(&found),
                wanted.text(),
                python_type(&wanted)
            )))
        }
        op => {
            let from = pointer(operation.from.as_deref().unwrap_or_default())?;
            if op == "move" && path.len() > from.len() && path.starts_with(&from) {
                let text = "Cannot move values into their own children";
                return Err(text.to_owned().into());
            }
            let value = source(&document, &from)?;
            if op == "copy" {
                return Ok(add(document, &path, value.copied())?);
            }
            if from == path {
                return Ok(document);
            }
            remove(&document, &from)?;
            Ok(add(document, &path, value)?)
        }
    }
}

/// The parts of a JSON pointer.
fn pointer(path: &str) -> Result<Vec<String>, String> {
    if path.is_empty() {
        return Ok(vec![]);
    }
    let Some(rest) = path.strip_prefix('/') else {
        return Err("Location must start with /".to_owned());
    };
    let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
    Ok(rest.split('/').map(part).collect())
}

/// A list's place.
fn place(part: &str) -> Result<usize, String> {
    let proper = part == "0" || !part.starts_with('0') && part.bytes().all(|c| c.is_ascii_digit());
    let number = part.parse().ok().filter(|_| proper && !part.is_empty());
    number.ok_or_else(|| format!("'{part}' is not a valid sequence index"))
}

/// One step down.
fn step(value: &Value, part: &str) -> Result<Value, String> {
    match value {
        Value::Dict(dict) => dict
            .get(part)
            .ok_or_else(|| format!("member '{part}' not found in {}", value.repr())),
        Value::List(list) => {
            let at = place(part)?;
            let found = list.read().get(at).cloned();
            found.ok_or_else(|| format!("list index '{at}' out of bounds"))
        }
        other => Err(format!(
            "Document '{}' does not support indexing, must be a mapping/sequence or support __getitem__",
            python_type(other)
        )),
    }
}

fn resolve(document: &Value, path: &[String]) -> Result<Value, String> {
    path.iter()
        .try_fold(document.clone(), |value, part| step(&value, part))
}

/// What a value is taken from, with Python's words for what is not there.
fn source(document: &Value, path: &[String]) -> Result<Value, String> {
    let Some((last, before)) = path.split_last() else {
        return Ok(document.clone());
    };
    match resolve(document, before)? {
        Value::Dict(dict) => dict
            .get(last)
            .ok_or_else(|| Value::str(last.as_str()).repr()),
        Value::List(list) => {
            let found = list.read().get(place(last)?).cloned();
            found.ok_or_else(|| "list index out of range".to_owned())
        }
        other => step(&other, last),
    }
}

fn add(document: Value, path: &[String], value: Value) -> Result<Value, String> {
    let Some((last, before)) = path.split_last() else {
        return Ok(value);
    };
    match resolve(&document, before)? {
        Value::Dict(dict) => {
            dict.write().insert(Key::from(last.as_str()), value);
        }
        Value::List(list) => {
            let mut items = list.write();
            let at = if last == "-" {
                items.len()
            } else {
                place(last)?
            };
            if at > items.len() {
                return Err("can't insert outside of list".to_owned());
            }
            items.insert(at, value);
        }
        other => return Err(no_place(&other, last)),
    }
    Ok(document)
}

fn no_place(value: &Value, part: &str) -> String {
    format!(
        "unable to fully resolve json pointer {}, part {part}",
        value.text()
    )
}

fn remove(document: &Value, path: &[String]) -> Result<(), String> {
    let absent = |part: &str| format!("can't remove a non-existent object '{part}'");
    let Some((last, before)) = path.split_last() else {
        return Err(absent("None"));
    };
    match resolve(document, before)? {
        Value::Dict(dict) => {
            let removed = dict.write().shift_remove(last.as_str());
            removed.map(|_| ()).ok_or_else(|| absent(last))
        }
        Value::List(list) => {
            let at = place(last)?;
            let mut items = list.write();
            if at >= items.len() {
                return Err(absent(last));
            }
            items.remove(at);
            Ok(())
        }
        other => step(&other, last).map(|_| ()),
    }
}

fn replace(document: Value, path: &[String], value: Value) -> Result<Value, String> {
    let Some((last, before)) = path.split_last() else {
        return Ok(value);
    };
    match resolve(&document, before)? {
        Value::Dict(dict) => {
            let absent = || format!("can't replace a non-existent object '{last}'");
            let mut entries = dict.write();
            *entries.get_mut(last.as_str()).ok_or_else(absent)? = value;
        }
        Value::List(list) => {
            let at = place(last)?;
            let mut items = list.write();
            *items.get_mut(at).ok_or("can't replace outside of list")? = value;
        }
        other => return Err(no_place(&other, last)),
    }
    Ok(document)
}

fn difference(args: &Args) -> Outcome {
    const FILTER: &str = "json_diff";
    const SIGNATURE: Signature = python("FilterModule.json_diff", 1, &["target"], &[]);
    SIGNATURE.check(args)?;
    let from = document(args.operand(), FILTER, "input")?;
    let to = document(args.need(1, "target")?, FILTER, "target")?;
    let mut changes = Changes {
        target: to.clone(),
        all: vec![],
        added: vec![],
        removed: vec![],
    };
    changes.values("", None, &from, &to)?;
    Ok(changes.operations())
}

/// A change while the differences are collected; the last part of a path is a number only in a list.
#[derive(Clone)]
struct Change {
    kind: Kind,
    path: String,
    key: Part,
    value: Value,
}

#[derive(Clone)]
enum Kind {
    Add,
    Remove,
    Replace,
    /// From a path and its last part.
    Move(String, Part),
}

/// The last part of a path.
#[derive(Clone, PartialEq)]
enum Part {
    Root,
    Name(String),
    At(i64),
}

impl Part {
    fn at(&self) -> i64 {
        match self {
            Part::At(at) => *at,
            _ => 0,
        }
    }

    fn under(&self, path: &str) -> String {
        match self {
            Part::Root => String::new(),
            Part::Name(name) => format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")),
            Part::At(at) => format!("{path}/{at}"),
        }
    }
}

/// The changes in their order, and where those stand that a later one may be joined with to a move.
struct Changes {
    target: Value,
    all: Vec<Option<Change>>,
    added: Vec<(Value, usize)>,
    removed: Vec<(Value, usize)>,
}

impl Changes {
    fn push(&mut self, kind: Kind, path: &str, key: Part, value: Value) -> usize {
        let path = path.to_owned();
        self.all.push(Some(Change {
            kind,
            path,
            key,
            value,
        }));
        self.all.len() - 1
    }

    fn take(stored: &mut Vec<(Value, usize)>, value: &Value) -> Option<usize> {
        let same =
            |(known, _): &(Value, usize)| known == value && known.type_name() == value.type_name();
        let at = stored.iter().rposition(same)?;
        Some(stored.remove(at).1)
    }

    fn added(&mut self, path: &str, key: Part, value: &Value) {
        let Some(index) = Self::take(&mut self.removed, value) else {
            let index = self.push(Kind::Add, path, key, value.clone());
            self.added.push((value.clone(), index));
            return;
        };
        let Some(mut gone) = self.all[index].take() else {
            return;
        };
        if matches!((&gone.key, &key), (Part::At(_), Part::At(_))) {
            for change in self.all[index..].iter_mut().flatten() {
                gone.key = Part::At(change.undo_remove(&gone.path, gone.key.at()));
            }
        }
        if gone.key.under(&gone.path) != key.under(path) {
            self.push(Kind::Move(gone.path, gone.key), path, key, Value::None);
        }
    }

    fn removed(&mut self, path: &str, key: Part, value: &Value) {
        let Some(index) = Self::take(&mut self.added, value) else {
            let index = self.push(Kind::Remove, path, key, Value::None);
            self.removed.push((value.clone(), index));
            return;
        };
        let Some(mut there) = self.all[index].take() else {
            return;
        };
        let parts = pointer(&there.path).unwrap_or_default();
        if matches!(resolve(&self.target, &parts), Ok(Value::List(_))) {
            // The removal itself comes behind the others, and counts, too.
            let mut this = Change {
                kind: Kind::Remove,
                path: path.to_owned(),
                key: key.clone(),
                value: Value::None,
            };
            for change in self.all[index..].iter_mut().flatten() {
                there.key = Part::At(change.undo_add(&there.path, there.key.at()));
            }
            there.key = Part::At(this.undo_add(&there.path, there.key.at()));
            if this.key.under(path) != there.key.under(&there.path) {
                let from = Kind::Move(path.to_owned(), this.key);
                self.push(from, &there.path, there.key, Value::None);
            }
            return;
        }
        if key.under(path) != there.key.under(&there.path) {
            self.push(
                Kind::Move(path.to_owned(), key),
                &there.path,
                there.key,
                Value::None,
            );
        }
    }

    fn values(
        &mut self,
        path: &str,
        key: Option<&Part>,
        from: &Value,
        to: &Value,
    ) -> Result<(), Fault> {
        let key = key.unwrap_or(&Part::Root);
        let below = key.under(path);
        match (from, to) {
            (Value::Dict(from), Value::Dict(to)) => {
                let (from, to) = (from.read().clone(), to.read().clone());
                super::super::deep(|| self.dicts(&below, &from, &to))
            }
            (Value::List(from), Value::List(to)) => {
                let (from, to) = (from.to_vec(), to.to_vec());
                super::super::deep(|| self.lists(&below, &from, &to))
            }
            _ if from.repr() == to.repr() => Ok(()),
            _ => {
                self.push(Kind::Replace, path, key.clone(), to.clone());
                Ok(())
            }
        }
    }

    fn dicts(&mut self, path: &str, from: &Entries, to: &Entries) -> Result<(), Fault> {
        let name = |key: &Key| Part::Name(key.0.text());
        for (key, value) in from.iter().filter(|(key, _)| !to.contains_key(*key)) {
            self.removed(path, name(key), value);
        }
        for (key, value) in to.iter().filter(|(key, _)| !from.contains_key(*key)) {
            self.added(path, name(key), value);
        }
        for (key, value) in from {
            if let Some(other) = to.get(key) {
                self.values(path, Some(&name(key)), value, other)?;
            }
        }
        Ok(())
    }

    fn lists(&mut self, path: &str, from: &[Value], to: &[Value]) -> Result<(), Fault> {
        for at in 0..from.len().max(to.len()) {
            let key = |at: usize| Part::At(i64::try_from(at).unwrap_or(i64::MAX));
            match (from.get(at), to.get(at)) {
                (Some(old @ Value::Dict(_)), Some(new @ Value::Dict(_)))
                | (Some(old @ Value::List(_)), Some(new @ Value::List(_))) => {
                    self.values(path, Some(&key(at)), old, new)?;
                }
                (Some(old), Some(new)) if old.repr() == new.repr() => {}
                (Some(old), Some(new)) => {
                    self.removed(path, key(at), old);
                    self.added(path, key(at), new);
                }
                (Some(old), None) => self.removed(path, key(to.len()), old),
                (None, Some(new)) => self.added(path, key(at), new),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// The operations; what is removed and added at one place is replaced.
    fn operations(self) -> Value {
        let changes: Vec<Change> = self.all.into_iter().flatten().collect();
        let mut out = vec![];
        let mut rest = changes.as_slice();
        while let [first, after @ ..] = rest {
            rest = after;
            let mut change = first.clone();
            if let (Kind::Remove, [next, after @ ..]) = (&first.kind, after)
                && matches!(next.kind, Kind::Add)
                && next.key.under(&next.path) == first.key.under(&first.path)
            {
                change = next.clone();
                change.kind = Kind::Replace;
                rest = after;
            }
            out.push(change.operation());
        }
        Value::list(out)
    }
}

impl Change {
    fn operation(self) -> Value {
        let path = Value::from(self.key.under(&self.path));
        let mut entries = Entries::new();
        let mut set = |name: &str, value: Value| entries.insert(Key::from(name), value);
        let op = match &self.kind {
            Kind::Add => "add",
            Kind::Remove => "remove",
            Kind::Replace => "replace",
            Kind::Move(..) => "move",
        };
        set("op", op.into());
        if let Kind::Move(from, key) = &self.kind {
            set("from", key.under(from).into());
        }
        set("path", path);
        if matches!(self.kind, Kind::Add | Kind::Replace) {
            set("value", self.value);
        }
        Value::dict(entries)
    }

    fn shift(key: &mut Part, by: i64) {
        if let Part::At(at) = key {
            *at += by;
        }
    }

    /// The place that something before had in a list if it had not been removed, and this change so, too.
    fn undo_remove(&mut self, path: &str, mut at: i64) -> i64 {
        if let Kind::Move(from, key) = &mut self.kind
            && from == path
        {
            if key.at() >= at {
                Self::shift(key, 1);
            } else {
                at -= 1;
            }
        }
        let here = self.path == path;
        match self.kind {
            Kind::Remove if here && self.key.at() >= at => Self::shift(&mut self.key, 1),
            Kind::Remove if here => at -= 1,
            Kind::Add | Kind::Move(..) if here && self.key.at() > at => {
                Self::shift(&mut self.key, 1);
            }
            Kind::Add | Kind::Move(..) if here => at += 1,
            _ => {}
        }
        at
    }

    /// The same for something that had not been added.
    fn undo_add(&mut self, path: &str, mut at: i64) -> i64 {
        if let Kind::Move(from, key) = &mut self.kind
            && from == path
        {
            if key.at() > at {
                Self::shift(key, -1);
            } else {
                at -= 1;
            }
        }
        let here = self.path == path;
        match self.kind {
            Kind::Remove | Kind::Add | Kind::Move(..) if here && self.key.at() > at => {
                Self::shift(&mut self.key, -1);
            }
            Kind::Remove if here => at -= 1,
            Kind::Add | Kind::Move(..) if here => at += 1,
            _ => {}
        }
        at
    }
}
