//! One page: what a module or role takes and returns, as text, as JSON, as a task.

use rplay_modules::args::{Arg, Kind, Module};
use rplay_modules::registry;
use serde_json::{Map, Value as Json, json};

use crate::action::table::Row;
use crate::load::keyword::{KEYWORDS, Places};

/// What there is to say of one name.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) doc: String,
    /// The options; a role has them for each entry point.
    pub(super) parts: Vec<Part>,
    /// Names, kinds and meanings.
    returns: Vec<(String, String, String)>,
}

/// Options that belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    /// The entry point of a role; empty for a module.
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) options: Vec<OptionDoc>,
}

/// One option.
#[derive(Clone, Debug, Default)]
pub(super) struct OptionDoc {
    pub(super) name: String,
    pub(super) doc: String,
    pub(super) kind: String,
    /// The kind of a list's items.
    pub(super) elements: Option<String>,
    pub(super) required: bool,
    pub(super) default: Option<Json>,
    pub(super) choices: Vec<String>,
    pub(super) aliases: Vec<String>,
    pub(super) refused: Option<String>,
}

/// The page of a module.
pub(super) fn of_module(module: &'static Module) -> Page {
    let options = module.args.iter().filter(|arg| !arg.internal()).map(option);
    let options = options.chain(module.free_form.map(|_| free_form()));
    let returns = module.returns.iter();
    Page {
        kind: "module".to_owned(),
        name: module.name.to_owned(),
        doc: module.doc.trim().to_owned(),
        parts: vec![Part {
            options: options.collect(),
            ..Part::default()
        }],
        returns: returns
            .map(|value| {
                let doc = value.doc.trim().to_owned();
                (value.name.to_owned(), value.kind.to_owned(), doc)
            })
            .collect(),
    }
}

/// The page of what the controller does itself.
pub(super) fn of_action(row: &'static Row) -> Page {
    let rest = row.rest.and_then(|(name, without)| {
        let args = registry::find(name)?.args.iter();
        Some(args.filter(move |arg| !arg.internal() && !without.contains(&arg.name)))
    });
    let args = row.args.iter().chain(rest.into_iter().flatten());
    Page {
        parts: vec![Part {
            options: args.map(option).collect(),
            ..Part::default()
        }],
        ..Page::plain("module", row.name, row.doc)
    }
}

/// The page of a keyword.
pub(super) fn of_keyword(name: &str) -> Option<Page> {
    let row = KEYWORDS.iter().find(|row| row.name == name)?;
    Some(Page::plain("keyword", row.name, row.doc))
}

/// Where a keyword may stand.
fn applies_to(name: &str) -> Vec<&'static str> {
    const PLACES: [(Places, &str); 5] = [
        (Places::PLAY, "Play"),
        (Places::ROLE, "Role"),
        (Places::BLOCK, "Block"),
        (Places::TASK, "Task"),
        (Places::HANDLER, "Handler"),
    ];
    let row = KEYWORDS.iter().find(|row| row.name == name);
    let places = PLACES
        .into_iter()
        .filter(|(place, _)| row.is_some_and(|row| row.places.contains(*place)));
    places.map(|(_, title)| title).collect()
}

/// The text that stands in place of arguments.
fn free_form() -> OptionDoc {
    OptionDoc {
        name: "free_form".to_owned(),
        doc: "The command, as the text of the task.".to_owned(),
        kind: "str".to_owned(),
        ..OptionDoc::default()
    }
}

fn option(arg: &Arg) -> OptionDoc {
    let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    let elements = match arg.kind {
        Kind::List(item) => Some(item.name().to_owned()),
        _ => None,
    };
    OptionDoc {
        name: arg.name.to_owned(),
        doc: arg.doc.trim().to_owned(),
        kind: arg.kind.name().to_owned(),
        elements,
        required: arg.required,
        default: arg.default.map(|text| default(arg.kind, text)),
        choices: texts(arg.choices),
        aliases: texts(arg.aliases),
        refused: arg.refused.map(str::to_owned),
    }
}

impl Page {
    /// A page of a name that takes no options.
    pub(super) fn plain(kind: &str, name: &str, doc: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            doc: doc.to_owned(),
            ..Self::default()
        }
    }

    /// The page as text.
    pub(super) fn text(&self) -> String {
        if self.kind == "keyword" {
            let places = applies_to(&self.name).into_iter();
            let places: String = places.map(|place| format!("  - {place}\n")).collect();
            let (name, doc) = (&self.name, &self.doc);
            return format!("{name}:\n  applies_to:\n{places}  description: {doc}\n");
        }
        let mut text = format!(
            "> {} {}\n\n{}\n",
            self.kind.to_uppercase(),
            self.name,
            indented(&self.doc, 2)
        );
        for part in &self.parts {
            if !part.name.is_empty() {
                text.push_str(&format!(
                    "\nENTRY POINT: {}\n\n{}\n",
                    part.name,
                    indented(&part.doc, 2)
                ));
            }
            if !part.options.is_empty() {
                text.push_str("\nOPTIONS (= is mandatory):\n");
            }
            for option in &part.options {
                text.push_str(&option.text());
            }
        }
        if !self.returns.is_empty() {
            text.push_str("\nRETURN VALUES:\n");
        }
        for (name, kind, doc) in &self.returns {
            text.push_str(&format!(
                "\n- {name}\n{}\n        type: {kind}\n",
                indented(doc, 8)
            ));
        }
        text
    }

    /// A task with all options, to be copied.
    pub(super) fn snippet(&self) -> String {
        if self.kind == "lookup" {
            let name = self.name.trim_start_matches("ansible.builtin.");
            return format!("lookup('{name}', < _terms >)\n");
        }
        let summary = self.doc.lines().next().unwrap_or_default();
        let short = self
            .name
            .strip_prefix("ansible.builtin.")
            .unwrap_or(&self.name);
        let mut text = format!("- name: {summary}\n  {short}:\n");
        let mut options: Vec<&OptionDoc> =
            self.parts.iter().flat_map(|part| &part.options).collect();
        options.sort_by(|left, right| left.name.cmp(&right.name));
        for option in options {
            let required = if option.required { "(required) " } else { "" };
            let about = option.doc.lines().collect::<Vec<_>>().join(" ");
            let key = format!("{}:", option.name);
            text.push_str(&format!("      {key:<20}   # {required}{about}\n"));
        }
        text
    }

    /// The page as data.
    pub(super) fn json(&self) -> Json {
        if self.kind == "keyword" {
            return json!({ "applies_to": applies_to(&self.name), "description": self.doc });
        }
        if self.kind == "role" {
            let points: Map<String, Json> = self
                .parts
                .iter()
                .map(|part| {
                    let point =
                        json!({ "short_description": part.doc, "options": options(&part.options) });
                    (part.name.clone(), point)
                })
                .collect();
            return json!({ "entry_points": points, "path": self.doc });
        }
        let (collection, short) = self.name.rsplit_once('.').unwrap_or(("", &self.name));
        let lines: Vec<&str> = self.doc.lines().collect();
        let returns: Map<String, Json> = self
            .returns
            .iter()
            .map(|(name, kind, doc)| (name.clone(), json!({ "description": doc, "type": kind })))
            .collect();
        let all: Vec<OptionDoc> = self
            .parts
            .iter()
            .flat_map(|part| part.options.clone())
            .collect();
        json!({
            "doc": {
                "collection": collection,
                "description": lines,
                "name": short,
                "options": options(&all),
                "plugin_name": self.name,
                "short_description": lines.first(),
            },
            "examples": null,
            "metadata": null,
            "return": returns,
        })
    }
}

fn options(all: &[OptionDoc]) -> Map<String, Json> {
    all.iter()
        .map(|option| (option.name.clone(), option.json()))
        .collect()
}

impl OptionDoc {
    fn text(&self) -> String {
        let mark = if self.required { '=' } else { '-' };
        let mut text = format!("\n{mark} {}\n{}\n", self.name, indented(&self.doc, 8));
        let mut fact = |name: &str, value: &str| {
            text.push_str(&format!("        {name}: {value}\n"));
        };
        let list = |all: &[String]| format!("[{}]", all.join(", "));
        if !self.aliases.is_empty() {
            fact("aliases", &list(&self.aliases));
        }
        if !self.choices.is_empty() {
            fact("choices", &list(&self.choices));
        }
        if let Some(default) = &self.default {
            fact("default", &shown(default));
        }
        if let Some(elements) = &self.elements {
            fact("elements", elements);
        }
        if let Some(why) = &self.refused {
            fact("refused", why);
        }
        if !self.kind.is_empty() {
            fact("type", &self.kind);
        }
        text
    }

    fn json(&self) -> Json {
        let mut all = Map::new();
        let lines: Vec<&str> = self.doc.lines().collect();
        all.insert("description".to_owned(), json!(lines));
        if !self.aliases.is_empty() {
            all.insert("aliases".to_owned(), json!(self.aliases));
        }
        if !self.choices.is_empty() {
            all.insert("choices".to_owned(), json!(self.choices));
        }
        if let Some(default) = &self.default {
            all.insert("default".to_owned(), default.clone());
        }
        for (name, value) in [("elements", &self.elements), ("refused", &self.refused)] {
            if let Some(value) = value {
                all.insert(name.to_owned(), json!(value));
            }
        }
        if self.required {
            all.insert("required".to_owned(), json!(true));
        }
        all.insert("type".to_owned(), json!(self.kind));
        Json::Object(all)
    }
}

/// A default as the value that it is.
fn default(kind: Kind, text: &str) -> Json {
    let items = text
        .trim_start_matches('[')
        .trim_end_matches(']')
        .split(',');
    match kind {
        Kind::List(item) => items
            .filter(|text| !text.is_empty())
            .map(|text| default(*item, text.trim()))
            .collect(),
        Kind::Bool | Kind::Int | Kind::Float => {
            serde_json::from_str(text).unwrap_or_else(|_| json!(text))
        }
        _ => json!(text),
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn indented(text: &str, columns: usize) -> String {
    let lines = text
        .trim()
        .lines()
        .map(|line| format!("{:columns$}{line}", ""));
    lines.collect::<Vec<_>>().join("\n")
}
