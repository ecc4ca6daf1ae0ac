//! The fuzz targets: what a user can write, taken through the code that a run takes it through.
//!
//! Each gets bytes and must come back: no panic, no overflow, no long wait. The engine (`main.rs`) and
//! the test suite (`tests/fuzz.rs`) both use this table.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rplay::config::Config;
use rplay::diag::{Diagnostic, Source, Style, render};
use rplay::inventory::Inventory;
use rplay::load::node::NodeKind;
use rplay::load::vault::{self, VaultSecrets};
use rplay::load::{kv, play, yaml};
use rplay::plan::collections::Collections;
use rplay::plan::{Files, Planner, TagFilter, to_vars};
use rplay::run::plan_playbook;
use rplay::template::{FileOptions, Scope, Settings, Templar, Value};
use rplay::vars::VarMap;
use rplay_modules::args::{Mode, prepare};
use rplay_modules::data::{Data, Map};
use rplay_modules::regex::{Flags, Regex};
use rplay_modules::registry;

/// A kind of input.
pub(crate) struct Target {
    /// Its name: of the corpus folder, and for `fuzz/run`.
    pub(crate) name: &'static str,
    /// Takes an input through.
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "playbook",
        run: playbook,
    },
    Target {
        name: "variables",
        run: variables,
    },
    Target {
        name: "ini",
        run: |data| inventory("hosts", data),
    },
    Target {
        name: "inventory",
        run: |data| inventory("hosts.yml", data),
    },
    Target {
        name: "literal",
        run: literal,
    },
    Target {
        name: "pattern",
        run: pattern,
    },
    Target {
        name: "kv",
        run: key_values,
    },
    Target {
        name: "template",
        run: template,
    },
    Target {
        name: "condition",
        run: condition,
    },
    Target {
        name: "vault",
        run: envelope,
    },
    Target {
        name: "regex",
        run: regex,
    },
];

/// The folder of this process: targets read files as a run does, and one input runs at a time.
pub(crate) fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("rplay-fuzz-{}", std::process::id()))
}

/// A file with this content.
fn file(name: &str, data: &[u8]) -> Option<PathBuf> {
    let path = folder().join(name);
    std::fs::create_dir_all(folder()).ok()?;
    std::fs::write(&path, data).ok()?;
    Some(path)
}

/// Problems as a user gets them. Some mistakes repeat thousands of times; the first of them show it all.
fn show(problems: &[Diagnostic]) {
    for problem in problems.iter().take(100) {
        let _ = render(problem, Style::default());
    }
}

fn secrets() -> VaultSecrets {
    let mut secrets = VaultSecrets::default();
    secrets.add("default", b"fuzz".to_vec());
    secrets
}

/// A playbook with all that it imports (itself, at most), then the same text as the other files of tasks.
fn playbook(data: &[u8]) {
    let Some(path) = file("play.yml", data) else {
        return;
    };
    let planner = Planner {
        files: Arc::new(Files::new(secrets())),
        templar: Arc::new(Templar::new(Settings::default())),
        tags: TagFilter::default(),
        roles_path: vec![],
        private_roles: false,
        collections: Collections::default(),
        library: Arc::default(),
    };
    let none = Arc::new(VarMap::new());
    show(&plan_playbook(&path, &planner, &none, &none).problems);
    let Ok(source) = planner.files.read(&path) else {
        return;
    };
    show(&play::tasks(&source).problems);
    show(&play::handlers(&source).problems);
    show(&play::role_meta(&source).problems);
}

/// A file of variables, and each of its values as a template.
fn variables(data: &[u8]) {
    let Some(path) = file("vars.yml", data) else {
        return;
    };
    match Files::new(secrets()).vars(&path) {
        Err(problem) => show(&[problem]),
        Ok(checked) => {
            show(&checked.problems);
            let templar = Templar::new(Settings::default());
            let scope = Variables(checked.value);
            for value in scope.0.values() {
                match templar.expand(value, &scope) {
                    Ok(value) => drop((value.repr(), value.to_data())),
                    Err(error) => show(&[*error.diagnostic]),
                }
            }
        }
    }
}

fn inventory(name: &str, data: &[u8]) {
    let Some(path) = file(name, data) else {
        return;
    };
    let path = path.to_string_lossy().into_owned();
    let loaded = Inventory::load(&[path], &Config::default(), &VaultSecrets::default());
    show(&loaded.problems);
    let inventory = loaded.value;
    for host in inventory.hosts.keys().take(20) {
        let _ = inventory.group_names(host);
        show(&inventory.layers(host, &[]).problems);
    }
    show(&inventory.select("all", None).problems);
}

/// A value of an INI inventory, which is a Python literal or text.
fn literal(data: &[u8]) {
    let mut text = b"[all:vars]\nvalue=".to_vec();
    text.extend_from_slice(data);
    inventory("hosts.ini", &text);
}

/// A host pattern and, on a second line, a limit.
fn pattern(data: &[u8]) {
    static HOSTS: LazyLock<Inventory> = LazyLock::new(|| {
        let text = "web[01:20].example.org\n[db]\ndb-[a:e] ansible_port=22\n[fe80::1]\n\
                    [west:children]\ndb\n[east]\nweb01.example.org\n10.0.0.1\n";
        let path = file("pattern.ini", text.as_bytes());
        let path = path.unwrap_or_default().to_string_lossy().into_owned();
        Inventory::load(&[path], &Config::default(), &VaultSecrets::default()).value
    });
    let text = String::from_utf8_lossy(data);
    let (pattern, limit) = match text.split_once('\n') {
        // `@` reads a file: which one is not the parser's matter.
        Some((pattern, limit)) => (pattern, Some(limit).filter(|text| !text.contains('@'))),
        None => (&*text, None),
    };
    show(&HOSTS.select(pattern, limit).problems);
    let sources = [format!("{pattern},")];
    let listed = Inventory::load(&sources, &Config::default(), &VaultSecrets::default());
    show(&listed.value.select("all", limit).problems);
}

/// `k=v` text as arguments of a few modules, as free form, and as `--extra-vars`.
fn key_values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = kv::parse_kv(&text, true);
    let _ = kv::unquote(&text);
    let _ = Mode::parse(&text);
    if let Ok(parsed) = kv::parse_kv(&text, false) {
        let mut given: Map = parsed
            .options
            .into_iter()
            .map(|(name, word)| (name, Data::Str(kv::unquote(&word.value).to_owned())))
            .collect();
        if let Some(free) = parsed.free_form {
            given.insert("_raw_params".to_owned(), Data::Str(free));
        }
        for name in ["file", "copy", "command", "user", "apt", "uri"] {
            if let Some(module) = registry::find(name) {
                let _ = prepare(module, &given);
            }
        }
    }
    let files = Files::new(secrets());
    let checked = yaml::parse(&Source::new("<extra vars>", &*text));
    show(&checked.problems);
    for node in checked.value {
        if matches!(node.kind, NodeKind::Map(_)) {
            to_vars(&node, &files);
        }
    }
}

/// Variables that templates see. Nothing acts: it is a look ahead, in a folder without files.
struct Variables(VarMap);

impl Scope for Variables {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.get(name).cloned()
    }
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
    fn search_path(&self) -> Vec<PathBuf> {
        vec![]
    }
    fn basedir(&self) -> PathBuf {
        PathBuf::from("/nonexistent")
    }
    fn forecast(&self) -> bool {
        true
    }
}

/// A few variables of every kind, templates among them.
fn few() -> Variables {
    let text = "a: 1\nb: [1, 2.5, {x: y}]\nc: {k: v, n: {m: [1]}}\nd: text\ne: '{{ a }}'\n\
                f: ['{{ e }}', '{{ nope }}']\ng: '{{ g }}'\nh: null\ni: true\nj: 2024-01-01\n";
    let source = Source::new("vars.yml", text);
    let node = yaml::single(&source).value;
    Variables(to_vars(&node, &Files::default()))
}

/// Whether a template orders work that takes seconds by design: keys derived with many rounds.
fn derives_keys(text: &str) -> bool {
    ["password_hash", "vault"]
        .iter()
        .any(|word| text.contains(word))
}

/// A template in a playbook, and a template file.
fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if derives_keys(&text) {
        return;
    }
    let (templar, scope) = (Templar::new(Settings::default()), few());
    match templar.expand(&Value::template(&*text, None), &scope) {
        Ok(value) => drop((value.repr(), value.to_data())),
        Err(error) => show(&[*error.diagnostic]),
    }
    let path = Path::new("/nonexistent/file.j2");
    if let Err(error) = templar.render_file(path, &text, &FileOptions::default(), &scope) {
        show(&[*error.diagnostic]);
    }
}

/// `when`, and a bare expression.
fn condition(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if derives_keys(&text) {
        return;
    }
    let (templar, scope) = (Templar::new(Settings::default()), few());
    let source = Source::new("play.yml", &*text);
    let span = rplay::diag::Span {
        end: u32::try_from(text.len()).unwrap_or(u32::MAX),
        ..rplay::diag::Span::start_of(&source)
    };
    let condition = Value::template(&*text, Some(span.clone()));
    if let Err(error) = templar.condition(&condition, &scope) {
        show(&[*error.diagnostic]);
    }
    if let Err(error) = templar.expression(&text, Some(&span), &scope) {
        show(&[*error.diagnostic]);
    }
}

/// A vaulted file, and an envelope inside of a file.
fn envelope(data: &[u8]) {
    let secrets = secrets();
    if let Some(path) = file("vaulted", data)
        && let Err(problem) = vault::read(&path, &secrets)
    {
        show(&[problem]);
    }
    let text = String::from_utf8_lossy(data);
    let _ = vault::decrypt(&text, &secrets);
    let _ = vault::decrypt(&text, &VaultSecrets::default());
}

/// A pattern on the first line, on the second what replaces it, then the text.
fn regex(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (pattern, replacement, text) = (part(), part(), part());
    let loose = Flags {
        ignore_case: true,
        multi_line: true,
        dot_all: true,
        verbose: true,
        ascii: true,
    };
    for flags in [Flags::default(), loose] {
        let Ok(regex) = Regex::new(pattern, flags) else {
            continue;
        };
        let _ = regex.fits_start(text);
        for captures in regex.all(text).unwrap_or_default() {
            for group in 0..captures.len() {
                let _ = captures.get(group);
            }
            let _ = captures.expand(replacement);
        }
        let _ = regex.replace(text, replacement, 0);
    }
}
