//! Validation over an argument specification that is data: those of roles, which users write.

use super::{Kind, coerce};
use crate::data::{Data, Map};

/// What validation found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Everything that is wrong, in Ansible's words.
    pub problems: Vec<String>,
    /// Values of arguments with `no_log`.
    pub secrets: Vec<String>,
}

/// Checks arguments by a specification.
#[must_use]
pub fn validate(spec: &Map, given: &Map) -> Findings {
    let mut check = Check::default();
    check.level(spec, &Map::new(), given, &mut vec![]);
    if let Some(supported) = check.supported.take() {
        crate::order::sort(&mut check.unknown);
        let unknown = check.unknown.join(", ");
        check.found.problems.push(format!(
            "{unknown}. Supported parameters include: {supported}."
        ));
    }
    check.found
}

#[derive(Default)]
struct Check {
    found: Findings,
    /// Names that no specification knows, with the arguments around them.
    unknown: Vec<String>,
    /// The names of the last specification that did not know one.
    supported: Option<String>,
}

impl Check {
    /// One mapping of arguments; `around` names the arguments that it is in.
    fn level(&mut self, spec: &Map, rules: &Map, given: &Map, around: &mut Vec<String>) {
        let given = self.resolve(spec, given, around);
        let place = match around.is_empty() {
            true => String::new(),
            false => format!(" found in {}", around.join(" -> ")),
        };
        let has = |name: &str| given.contains_key(name);
        for group in groups(rules, "mutually_exclusive") {
            if group.iter().filter(|name| has(name)).count() > 1 {
                let group = group.join("|");
                self.problem(format!("parameters are mutually exclusive: {group}{place}"));
            }
        }
        let required = spec.iter().filter(|(_, option)| flag(option, "required"));
        let missing: Vec<&str> = required
            .map(|(name, _)| name.as_str())
            .filter(|name| !has(name))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            self.problem(format!("missing required arguments: {missing}{place}"));
        }
        let values = self.convert(spec, &given, around);
        self.choices(spec, &values, &place);
        self.conditions(rules, &values, &place);
        self.inner(spec, &values, around);
    }

    fn problem(&mut self, text: String) {
        self.found.problems.push(text);
    }

    /// The arguments under their own names; unknown ones are noted.
    fn resolve(&mut self, spec: &Map, given: &Map, around: &[String]) -> Map {
        let mut all = Map::new();
        for (name, value) in given {
            let known = spec.iter().find(|(own, option)| {
                *own == name
                    || texts(option.get("aliases"))
                        .iter()
                        .any(|alias| alias == name)
            });
            let Some((own, option)) = known else {
                let mut path = around.to_vec();
                path.push(name.clone());
                self.unknown.push(path.join("."));
                let mut names: Vec<&str> = spec.keys().map(String::as_str).collect();
                crate::order::sort(&mut names);
                self.supported = Some(names.join(", "));
                continue;
            };
            if flag(option, "no_log") {
                self.found.secrets.push(value.text());
            }
            all.insert(own.clone(), value.clone());
        }
        all
    }

    /// The values as their kinds want them; one that cannot be converted is left out.
    fn convert(&mut self, spec: &Map, given: &Map, around: &[String]) -> Map {
        let place = match around.is_empty() {
            true => String::new(),
            false => format!(" found in '{}'.", around.join(" -> ")),
        };
        let mut values = Map::new();
        for (name, value) in given {
            let Some(option) = spec.get(name).filter(|_| *value != Data::Null) else {
                continue;
            };
            let kind = option.get("type").and_then(Data::as_str).unwrap_or("str");
            let elements = option.get("elements").and_then(Data::as_str);
            let converted = match kind_of(kind) {
                Some(kind) => coerce(kind, value),
                None => Err("no such type".to_owned()),
            };
            let converted = match converted {
                Ok(converted) => converted,
                Err(why) => {
                    let from = value.type_name();
                    self.problem(format!(
                        "argument '{name}' is of type {from}{place} and we were unable to convert to {kind}: {why}"
                    ));
                    // Ansible goes on with what was given.
                    if option.get("options").is_some()
                        && value.as_list().is_none()
                        && value.as_map().is_none()
                    {
                        self.problem(format!(
                            "value of '{name}' must be of type dict or list of dicts"
                        ));
                    }
                    continue;
                }
            };
            let converted = match (converted, elements) {
                (Data::List(items), Some(elements)) => {
                    match self.elements(name, items, elements, &place) {
                        Some(items) => Data::List(items),
                        None => continue,
                    }
                }
                (converted, _) => converted,
            };
            values.insert(name.clone(), converted);
        }
        values
    }

    fn elements(
        &mut self,
        name: &str,
        items: Vec<Data>,
        wanted: &str,
        place: &str,
    ) -> Option<Vec<Data>> {
        let kind = kind_of(wanted);
        let mut all = Vec::with_capacity(items.len());
        for item in &items {
            let converted = match kind {
                Some(kind) => coerce(kind, item),
                None => Err("no such type".to_owned()),
            };
            match converted {
                Ok(item) => all.push(item),
                Err(why) => {
                    let from = item.type_name();
                    self.problem(format!(
                        "Elements value for option '{name}' is of type {from}{place} and we were unable to convert to {wanted}: {why}"
                    ));
                    return None;
                }
            }
        }
        Some(all)
    }

    fn choices(&mut self, spec: &Map, values: &Map, place: &str) {
        for (name, value) in values {
            let option = spec.get(name);
            let Some(Data::List(choices)) = option.and_then(|option| option.get("choices")) else {
                continue;
            };
            let allowed = |value: &Data| choices.iter().any(|choice| choice.text() == value.text());
            let shown: Vec<String> = choices.iter().map(Data::text).collect();
            let shown = shown.join(", ");
            match value {
                Data::List(items) => {
                    let wrong: Vec<String> = items
                        .iter()
                        .filter(|item| !allowed(item))
                        .map(Data::text)
                        .collect();
                    if !wrong.is_empty() {
                        let wrong = wrong.join(", ");
                        self.problem(format!(
                            "value of {name} must be one or more of: {shown}. Got no match for: {wrong}{place}"
                        ));
                    }
                }
                value if !allowed(value) => {
                    let got = value.text();
                    self.problem(format!(
                        "value of {name} must be one of: {shown}, got: {got}{place}"
                    ));
                }
                _ => {}
            }
        }
    }

    /// Conditions between the arguments of one mapping.
    fn conditions(&mut self, rules: &Map, values: &Map, place: &str) {
        let has = |name: &String| values.contains_key(name);
        for group in groups(rules, "required_together") {
            if group.iter().any(has) && !group.iter().all(has) {
                let group = group.join(", ");
                self.problem(format!("parameters are required together: {group}{place}"));
            }
        }
        for group in groups(rules, "required_one_of") {
            if !group.iter().any(has) {
                let group = group.join(", ");
                self.problem(format!("one of the following is required: {group}{place}"));
            }
        }
        for rule in rules
            .get("required_if")
            .and_then(Data::as_list)
            .unwrap_or_default()
        {
            let Some([name, value, needed, rest @ ..]) = rule.as_list() else {
                continue;
            };
            let any = matches!(rest.first(), Some(Data::Bool(true)));
            let needed = texts(Some(needed));
            let missing: Vec<&String> = needed.iter().filter(|name| !has(name)).collect();
            let met = if any {
                missing.len() < needed.len()
            } else {
                missing.is_empty()
            };
            let is = values.get(&name.text()).is_some_and(|own| own == value);
            if is && !met {
                let which = if any { "any" } else { "all" };
                let missing: Vec<&str> = missing.into_iter().map(String::as_str).collect();
                self.problem(format!(
                    "{} is {} but {which} of the following are missing: {}{place}",
                    name.text(),
                    value.text(),
                    missing.join(", ")
                ));
            }
        }
        for (name, needed) in rules
            .get("required_by")
            .and_then(Data::as_map)
            .into_iter()
            .flatten()
        {
            let needed = texts(Some(needed));
            let missing: Vec<&str> = needed
                .iter()
                .filter(|name| !has(name))
                .map(String::as_str)
                .collect();
            if has(name) && !missing.is_empty() {
                let missing = missing.join(", ");
                self.problem(format!(
                    "missing parameter(s) required by '{name}': {missing}{place}"
                ));
            }
        }
    }

    /// The specifications of mappings, and of mappings in lists.
    fn inner(&mut self, spec: &Map, values: &Map, around: &mut Vec<String>) {
        for (name, value) in values {
            let Some(rules) = spec.get(name).and_then(Data::as_map) else {
                continue;
            };
            let Some(Data::Map(options)) = rules.get("options") else {
                continue;
            };
            around.push(name.clone());
            match value {
                Data::Map(inner) => self.level(options, rules, inner, around),
                Data::List(items) => {
                    for inner in items.iter().filter_map(Data::as_map) {
                        self.level(options, rules, inner, around);
                    }
                }
                _ => self.problem(format!(
                    "value of '{name}' must be of type dict or list of dicts"
                )),
            }
            around.pop();
        }
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    Some(match name {
        "str" => Kind::Str,
        "bool" => Kind::Bool,
        "int" | "bits" | "bytes" => Kind::Int,
        "float" => Kind::Float,
        "path" => Kind::Path,
        "raw" => Kind::Raw,
        "list" => Kind::List(&Kind::Raw),
        "dict" => Kind::Dict,
        "json" | "jsonarg" => Kind::Json,
        _ => return None,
    })
}

fn flag(option: &Data, name: &str) -> bool {
    matches!(option.get(name), Some(Data::Bool(true)))
}

/// A text or a list of texts.
fn texts(data: Option<&Data>) -> Vec<String> {
    match data {
        Some(Data::List(items)) => items.iter().map(Data::text).collect(),
        Some(Data::Null) | None => vec![],
        Some(one) => vec![one.text()],
    }
}

/// Groups of names; one group may stand for itself.
fn groups(rules: &Map, name: &str) -> Vec<Vec<String>> {
    let Some(Data::List(items)) = rules.get(name) else {
        return vec![];
    };
    if items.iter().all(|item| item.as_list().is_none()) && !items.is_empty() {
        return vec![texts(rules.get(name))];
    }
    items.iter().map(|item| texts(Some(item))).collect()
}
