//! The table of expressions recorded from Ansible, run against ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use super::value::{Entries, Key, Value};
use super::{Scope, Settings, Templar};

struct Table(Entries);

impl Scope for Table {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().map(|key| key.0.text()).collect()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        vec![]
    }
    fn basedir(&self) -> PathBuf {
        folder()
    }
}

fn folder() -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    Path::new(root).join("tests/templates")
}

/// JSON as a user's variables: strings are templates.
fn variable(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.to_string().parse() {
            Ok(whole) => Value::Int(whole),
            Err(_) => Value::Float(number.as_f64().unwrap_or(0.0)),
        },
        Json::String(text) => Value::template(text.as_str(), None),
        Json::Array(items) => {
            let items: Vec<Value> = items.iter().map(variable).collect();
            let lazy = items.iter().any(Value::may_hold_template);
            Value::List(Arc::new(super::value::List {
                items: items.into(),
                lazy,
            }))
        }
        Json::Object(map) => {
            let entries: Entries = map
                .iter()
                .map(|(key, value)| (Key::from(key.as_str()), variable(value)))
                .collect();
            let lazy = entries.values().any(Value::may_hold_template);
            Value::Dict(Arc::new(super::value::Dict {
                entries: entries.into(),
                lazy,
            }))
        }
    }
}

/// Names of Ansible's inner types, and Python's name for what they hold. Ours say the latter: a user wrote a list,
/// not an `_AnsibleLazyTemplateList`. Everything else of such a message is compared.
const INNER: &[(&str, &str)] = &[
    ("ansible._internal._templating._lazy_containers.", ""),
    ("ansible.module_utils._internal._datatag.", ""),
    ("_AnsibleLazyTemplateList", "list"),
    ("_AnsibleLazyTemplateDict", "dict"),
    ("_AnsibleLazyAccessTuple", "tuple"),
    ("Type 'method' is", "Type 'builtin_function_or_method' is"),
    ("_AnsibleTaggedStr", "str"),
    ("_AnsibleTaggedInt", "int"),
    ("_AnsibleTaggedFloat", "float"),
];

/// A result of Ansible with the names that ours say.
fn plain(text: &str) -> String {
    let names = |text: String, (inner, name): &(&str, &str)| text.replace(inner, name);
    INNER.iter().fold(text.to_owned(), names)
}

#[test]
fn expressions_give_what_ansible_gives() {
    let other = std::env::var_os("RPLAY_EXPRESSIONS");
    let path = other.map_or_else(|| folder().join("expressions.json"), PathBuf::from);
    let text = std::fs::read_to_string(path).unwrap();
    let table: Json = serde_json::from_str(&text).unwrap();
    let Value::Dict(vars) = variable(&table["variables"]) else {
        panic!("variables are a mapping")
    };
    let scope = Table(vars.read().clone());
    let config = crate::config::Config::load(&folder(), &|_| None).value;
    let templar = Templar::new(Settings {
        config: Some(config.into()),
        ..Settings::default()
    });
    let known = std::fs::read_to_string(folder().join("differences.txt")).unwrap();
    // A paragraph that begins with `# ` is the reason of those that follow it.
    let known: Vec<&str> = known
        .split("\n%%\n")
        .map(|part| part.trim_matches('\n'))
        .filter(|part| !part.starts_with("# "))
        .collect();
    let (mut failures, mut total) = (vec![], 0);
    for case in table["cases"].as_array().unwrap() {
        let template = case["template"].as_str().unwrap();
        let ours = templar.expand(&Value::template(template, None), &scope);
        let (ours, expected) = match (&ours, case.get("error")) {
            (Ok(value), None) => (value.repr(), case["result"].as_str().unwrap().to_owned()),
            (Err(error), Some(expected)) => (error.to_string(), plain(expected.as_str().unwrap())),
            (Ok(value), Some(expected)) => (value.repr(), format!("error: {expected}")),
            (Err(error), None) => (
                format!("error: {error}"),
                case["result"].as_str().unwrap().to_owned(),
            ),
        };
        total += 1;
        if ours == expected && known.contains(&template) {
            failures.push(format!(
                "{template}\n  is the same: remove it from differences.txt"
            ));
        }
        if ours != expected && !known.contains(&template) {
            failures.push(format!(
                "{template}\n  ours:    {ours}\n  ansible: {expected}"
            ));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {total} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

fn rendered(template: &str) -> Result<Value, String> {
    let templar = Templar::new(Settings::default());
    let mut vars = Entries::new();
    for (name, text) in [("a", "{{ b }}"), ("b", "{{ c }}"), ("c", "x{{ a }}")] {
        vars.insert(Key::from(name), Value::template(text, None));
    }
    templar
        .expand(&Value::template(template, None), &Table(vars))
        .map_err(|error| error.to_string())
}

#[test]
fn large_loops_and_texts_are_rendered() {
    let loops = "{% for i in range(100000) %}{{ i % 10 }}{% endfor %}";
    assert_eq!(rendered(loops).unwrap().text().len(), 100_000);
    let text = "{{ ('0123456789' * 524288) | upper | length }}";
    assert_eq!(rendered(text), Ok(Value::Int(5_242_880)));
}

#[test]
fn endless_and_deep_templates_are_errors() {
    let endless = "Recursive loop detected in template: maximum recursion depth exceeded";
    assert_eq!(rendered("{{ a }}"), Err(endless.into()));
    let macros = "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}";
    assert_eq!(rendered(macros), Err(endless.into()));
    for deep in [
        format!("{{{{ {}1{} }}}}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{{{{ {}1 }}}}", "[".repeat(10_000)),
        format!("{{{{ {}true }}}}", "not ".repeat(10_000)),
        format!("{{{{ 1{} }}}}", " + 1".repeat(100_000)),
        format!("{{{{ x{} }}}}", "|upper".repeat(100_000)),
        format!("{{{{ x{} }}}}", ".a".repeat(100_000)),
        "{% if true %}".repeat(10_000),
    ] {
        let error = rendered(&deep).unwrap_err();
        assert!(error.starts_with("Syntax error in template: "), "{error}");
    }
    assert_eq!(
        rendered(&format!("{{{{ 0{} }}}}", " + 1".repeat(1000))),
        Ok(Value::Int(1000))
    );
}

#[test]
fn what_a_template_makes_is_bounded() {
    for (template, expected) in [
        ("{{ range(10**30) | length }}", "more than 4000000 items"),
        ("{{ [1] * 10**12 }}", "more than 4000000 items"),
        (
            "{{ [1, 2] | product(repeat=40) }}",
            "more than 4000000 items",
        ),
        (
            "{{ range(60) | combinations(20) }}",
            "more than 4000000 items",
        ),
        (
            "{{ range(-170141183460469231731687303715884105727, 170141183460469231731687303715884105727) }}",
            "more than 4000000 items",
        ),
        (
            "{{ lookup('sequence', 'end=9999999999') }}",
            "more than 4000000 items",
        ),
        (
            "{{ ('a' * 10**7) * 10**15 }}",
            "longer than 100000000 bytes",
        ),
        ("{{ 'a'.ljust(10**15) }}", "longer than 100000000 bytes"),
        ("{{ 'a' | indent(10**15) }}", "longer than 100000000 bytes"),
        ("{{ '%999999999999d' % 1 }}", "longer than 100000000 bytes"),
        (
            "{{ '{:>999999999999}'.format(1) }}",
            "longer than 100000000 bytes",
        ),
        (
            "{{ 'a' | comment(prefix_count=10**15) }}",
            "longer than 100000000 bytes",
        ),
        (
            "{{ ('a' * 10**6) | replace('a', 'b' * 10**6) }}",
            "longer than 100000000 bytes",
        ),
        (
            "{{ ('a' * 10**6).replace('a', 'b' * 10**6) }}",
            "longer than 100000000 bytes",
        ),
        (
            "{{ (['a' * 10**6] * 1000) | join }}",
            "longer than 100000000 bytes",
        ),
        (
            "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
            "loops run more than",
        ),
        ("{{ '%.99999f' % 1 }}", "precision too big"),
        ("{{ '{:.99999e}'.format(1.5) }}", "precision too big"),
        (
            "{{ (-170141183460469231731687303715884105727 - 1) // -1 }}",
            "integer too large",
        ),
    ] {
        let error = rendered(template).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
    assert_eq!(rendered("{{ 1.5 | round(99999) }}"), Ok(Value::Float(1.5)));
    assert_eq!(
        rendered("{{ (-170141183460469231731687303715884105727 - 1) % -1 }}"),
        Ok(Value::Int(0))
    );
    assert_eq!(
        rendered("{{ range(1000000) | length }}"),
        Ok(Value::Int(1_000_000))
    );
}

#[test]
fn values_that_nest_without_end_are_errors() {
    let start = "{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}";
    let deep = format!("{start}{{% set ns.x = [ns.x] %}}{{% endfor %}}");
    assert_eq!(rendered(&format!("{deep}{{{{ 1 }}}}")), Ok(Value::Int(1)));
    let endless = "Recursive loop detected in template: maximum recursion depth exceeded";
    assert_eq!(
        rendered(&format!("{deep}{{{{ ns.x }}}}")),
        Err(endless.into())
    );
    assert_eq!(
        rendered(&format!("{deep}a{{{{ ns.x }}}}")),
        Err(endless.into())
    );
    let itself = "{% set l = [] %}{% do l.append(l) %}{{ l }}";
    assert_eq!(rendered(itself), Err(endless.into()));
    let doubled = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    for end in ["{{ ns.x }}", "a{{ ns.x }}", "{{ ns.x ~ 1 }}"] {
        let error = rendered(&format!("{doubled}{end}")).unwrap_err();
        assert!(error.contains("more than 4000000 items"), "{error}");
    }
}

#[test]
fn a_template_is_parsed_once() {
    let templar = Templar::new(Settings::default());
    let scope = Table(Entries::new());
    for _ in 0..3 {
        templar
            .expand(&Value::template("{{ 1 + 1 }}", None), &scope)
            .unwrap();
    }
    assert_eq!(templar.plain.read().unwrap().len(), 1);
}
