//! Settings: `ansible.cfg`, the environment and defaults in one table.

mod cfg;
mod constants;
mod table;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use indexmap::IndexMap;

pub use constants::CONSTANTS;
pub use table::{Kind, SETTINGS, Setting};

use crate::diag::{Checked, Diagnostic, Severity, Source, Span, nearest};

/// Kinds of plugins that have settings of their own.
pub(crate) const PLUGIN_TYPES: &[&str] = &[
    "become",
    "cache",
    "callback",
    "cliconf",
    "connection",
    "httpapi",
    "inventory",
    "lookup",
    "netconf",
    "shell",
    "vars",
];

/// All settings of a run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file they come from: `ansible_config_file`.
    pub file: Option<PathBuf>,
    values: IndexMap<&'static str, Value>,
    cwd: PathBuf,
    home: Option<String>,
}

#[derive(Clone, Debug)]
struct Value {
    written: Written,
    origin: Origin,
}

/// A value as it was written, with what a path in it needs.
#[derive(Clone, Debug)]
struct Written {
    text: String,
    /// The directory from which relative paths count.
    base: PathBuf,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A place in a file.
    File(Span),
    /// An environment variable.
    Environment(&'static str),
    /// The command line.
    CommandLine,
}

/// As `ansible-config dump` writes it between parentheses.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(span) => write!(f, "{}", span.path().display()),
            Self::Environment(name) => write!(f, "env: {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// The settings for a run in a directory. `env` answers for environment variables.
    pub fn load(cwd: &Path, env: Environment<'_>) -> Checked<Self> {
        let mut problems = vec![];
        let mut config = Self {
            file: None,
            values: IndexMap::new(),
            cwd: cwd.to_path_buf(),
            home: env("HOME"),
        };
        let path = find(cwd, env, &mut problems);
        let mut entries = vec![];
        if let Some(path) = path {
            let known = path
                .extension()
                .is_some_and(|ending| ["cfg", "ini"].iter().any(|known| ending == *known));
            match std::fs::read_to_string(&path) {
                Ok(_) if !known => {
                    let text = format!(
                        "Unsupported configuration file extension for {}",
                        path.display()
                    );
                    let problem = Diagnostic::error("config-read", text);
                    problems.push(problem.hint("its name ends in `.cfg` or `.ini`"));
                }
                Ok(text) => {
                    let (read, errors) = cfg::parse(&Source::new(&path, text));
                    entries = read;
                    problems.extend(errors);
                }
                Err(error) => {
                    let text = format!("cannot read the config file `{}`", path.display());
                    problems.push(Diagnostic::error("config-read", text).cause(error.to_string()));
                }
            }
            config.file = Some(path);
        }
        let base = config
            .file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(cwd)
            .to_path_buf();
        for setting in SETTINGS {
            let value = from_environment(setting, cwd, env)
                .or_else(|| from_file(setting, &entries, &base, env));
            if let Some(mut value) = value {
                value.written.text = value
                    .written
                    .text
                    .replace("{{CWD}}", &cwd.to_string_lossy());
                match check(setting, &value) {
                    None => drop(config.values.insert(setting.name, value)),
                    Some(problem) => problems.push(problem),
                }
            }
        }
        problems.extend(unknown(&entries));
        Checked {
            value: config,
            problems,
        }
    }

    /// Sets a value from the command line.
    pub fn set(&mut self, name: &'static str, text: impl Into<String>) {
        let written = Written {
            text: text.into(),
            base: self.cwd.clone(),
        };
        self.values.insert(
            name,
            Value {
                written,
                origin: Origin::CommandLine,
            },
        );
    }

    /// Where a setting comes from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        self.values
            .get(name)
            .map_or(Origin::Default, |value| value.origin.clone())
    }

    fn written(&self, name: &str) -> Option<Written> {
        if let Some(value) = self.values.get(name) {
            return Some(value.written.clone());
        }
        Some(Written {
            text: self.unsaid(name)?.into_owned(),
            base: self.cwd.clone(),
        })
    }

    /// What a setting says; tasks ask often.
    fn says(&self, name: &str) -> Option<Cow<'_, str>> {
        match self.values.get(name) {
            Some(value) => Some(Cow::Borrowed(&value.written.text)),
            None => self.unsaid(name),
        }
    }

    /// What holds where nobody wrote anything.
    fn unsaid(&self, name: &str) -> Option<Cow<'static, str>> {
        const HOME: &str = "{{ANSIBLE_HOME}}";
        let text = setting(name)?.default?;
        Some(match text.contains(HOME) {
            true => {
                let home = self.path("home").unwrap_or_default();
                Cow::Owned(text.replace(HOME, &home.to_string_lossy()))
            }
            false => Cow::Borrowed(text),
        })
    }

    /// A text; none: it has no value.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.says(name).map(Cow::into_owned)
    }

    /// A text that somebody wrote; none for the default.
    #[must_use]
    pub fn chosen(&self, name: &str) -> Option<String> {
        let written = self.values.get(name)?;
        Some(written.written.text.clone()).filter(|text| !text.is_empty())
    }

    /// Makes of problems that settings speak of what these say: `duplicate_dict_key`.
    pub fn judge(&self, problems: &mut Vec<Diagnostic>) {
        let is_duplicate = |problem: &Diagnostic| problem.code == "duplicate-key";
        match self.text("duplicate_dict_key").as_deref() {
            Some("ignore") => problems.retain(|problem| !is_duplicate(problem)),
            Some("error") => problems
                .iter_mut()
                .filter(|problem| is_duplicate(problem))
                .for_each(|problem| problem.severity = Severity::Error),
            _ => {}
        }
    }

    /// Yes or no.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        self.says(name).is_some_and(|text| truth(&text))
    }

    /// `hash_behaviour = merge`: dictionaries of one name are merged, whatever defines them.
    #[must_use]
    pub fn merges_dictionaries(&self) -> bool {
        self.says("hash_behaviour").as_deref() == Some("merge")
    }

    /// A whole number; none: it has no value.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        self.says(name).and_then(|text| whole(&text))
    }

    /// Texts that were separated by commas.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.says(name).unwrap_or_default();
        text.split(',')
            .map(|item| unquote(item.trim()).to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// An absolute path; none: it has no value.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let written = self
            .written(name)
            .filter(|written| !written.text.is_empty())?;
        Some(self.resolve(&written.text, &written.base))
    }

    /// Absolute paths: of a list separated by colons, or of inventory sources.
    #[must_use]
    pub fn path_list(&self, name: &str) -> Vec<PathBuf> {
        let Some(written) = self.written(name) else {
            return vec![];
        };
        let kind = setting(name).map(|setting| setting.kind);
        let separator = if kind == Some(Kind::Sources) {
            ','
        } else {
            ':'
        };
        let items = written
            .text
            .split(separator)
            .map(str::trim)
            .filter(|item| !item.is_empty());
        items
            .map(|item| self.resolve(item, &written.base))
            .collect()
    }

    /// The inventory sources of the settings, as `-i` would give them.
    #[must_use]
    pub fn inventory_sources(&self) -> Vec<String> {
        self.path_list("inventory")
            .into_iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    /// A value as `config dump` shows it: lists in Python's way.
    #[must_use]
    pub fn shown(&self, setting: &Setting) -> String {
        let quoted = |items: Vec<String>| {
            let items: Vec<String> = items.iter().map(|item| format!("'{item}'")).collect();
            format!("[{}]", items.join(", "))
        };
        let none = || "None".to_owned();
        let paths = || {
            self.path_list(setting.name)
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect()
        };
        match setting.kind {
            _ if self.written(setting.name).is_none() => none(),
            Kind::Bool => if self.bool(setting.name) {
                "True"
            } else {
                "False"
            }
            .to_owned(),
            Kind::Int => self
                .int(setting.name)
                .map_or_else(none, |value| value.to_string()),
            Kind::List => quoted(self.list(setting.name)),
            Kind::PathList | Kind::Sources => quoted(paths()),
            Kind::Path => self
                .path(setting.name)
                .map_or_else(none, |path| path.to_string_lossy().into_owned()),
            Kind::Text | Kind::Choice(_) => self.text(setting.name).unwrap_or_default(),
        }
    }

    fn resolve(&self, text: &str, base: &Path) -> PathBuf {
        let text = unquote(text);
        let path = match (text.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                PathBuf::from(format!("{home}{rest}"))
            }
            _ => PathBuf::from(text),
        };
        let mut clean = PathBuf::new();
        for component in base.join(path).components() {
            match component {
                Component::ParentDir => drop(clean.pop()),
                Component::CurDir => {}
                _ => clean.push(component),
            }
        }
        clean
    }
}

/// The configuration file: `ANSIBLE_CONFIG`, `./ansible.cfg`, `~/.ansible.cfg`, `/etc/ansible/ansible.cfg`.
fn find(cwd: &Path, env: Environment<'_>, problems: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    let home = env("HOME").unwrap_or_default();
    if let Some(named) = env("ANSIBLE_CONFIG").filter(|named| !named.is_empty()) {
        let named = named
            .strip_prefix("~/")
            .map_or_else(|| named.clone(), |rest| format!("{home}/{rest}"));
        let mut path = cwd.join(expand(&named, env));
        if path.is_dir() {
            path.push("ansible.cfg");
        }
        if path.is_file() {
            return Some(path);
        }
    }
    let here = cwd.join("ansible.cfg");
    if here.is_file() {
        let open =
            std::fs::metadata(cwd).is_ok_and(|metadata| metadata.permissions().mode() & 0o002 != 0);
        if !open {
            return Some(here);
        }
        let text = format!(
            "Ansible is being run in a world writable directory ({}), ignoring it as an ansible.cfg source. \
             For more information see \
             https://docs.ansible.com/ansible/devel/reference_appendices/config.html#cfg-in-world-writable-dir",
            cwd.display()
        );
        let hint = "name the file in `ANSIBLE_CONFIG` to use it all the same";
        problems.push(Diagnostic::warning("world-writable-config", text).hint(hint));
    }
    let others = [
        PathBuf::from(home).join(".ansible.cfg"),
        PathBuf::from("/etc/ansible/ansible.cfg"),
    ];
    others
        .into_iter()
        .find(|path| path.is_absolute() && path.is_file())
}

fn from_environment(setting: &Setting, cwd: &Path, env: Environment<'_>) -> Option<Value> {
    let (name, text) = setting
        .env
        .iter()
        .rev()
        .find_map(|name| Some((*name, env(name)?)))
        .filter(|(_, text)| !text.is_empty() || !matches!(setting.kind, Kind::Int))?;
    Some(Value {
        written: written(setting, text, cwd, env),
        origin: Origin::Environment(name),
    })
}

fn from_file(
    setting: &Setting,
    entries: &[cfg::Entry],
    base: &Path,
    env: Environment<'_>,
) -> Option<Value> {
    let entry = setting.ini.iter().rev().find_map(|(section, key)| {
        entries
            .iter()
            .find(|entry| entry.section == *section && entry.key == *key)
    })?;
    let text = unquote(&entry.value).to_owned();
    Some(Value {
        written: written(setting, text, base, env),
        origin: Origin::File(entry.span.clone()),
    })
}

/// A value as it was written; paths have their variables filled in.
fn written(setting: &Setting, text: String, base: &Path, env: Environment<'_>) -> Written {
    let text = if holds_paths(setting.kind) {
        expand(&text, env)
    } else {
        text
    };
    Written {
        text,
        base: base.to_path_buf(),
    }
}

fn holds_paths(kind: Kind) -> bool {
    matches!(kind, Kind::Path | Kind::PathList | Kind::Sources)
}

fn check(setting: &Setting, value: &Value) -> Option<Diagnostic> {
    let text = &value.written.text;
    let wrong = match setting.kind {
        Kind::Int if whole(text).is_none() => {
            format!("Invalid value provided for 'integer': '{text}'")
        }
        Kind::Choice(names) if !names.contains(&text.as_str()) => {
            format!(
                "Invalid value \"{text}\", the valid values are: {}",
                names.join(", ")
            )
        }
        _ => return unsupported(setting, value),
    };
    let message = format!(
        "Config '{}' from '{}' has an invalid value: {wrong}",
        setting.constant(),
        value.origin
    );
    let problem = Diagnostic::error("config-value", message);
    Some(match &value.origin {
        Origin::File(span) => problem.at(span),
        _ => problem,
    })
}

/// A value whose meaning is missing here: better said than overlooked.
fn unsupported(setting: &Setting, value: &Value) -> Option<Diagnostic> {
    let (only, why) = setting.only?;
    let text = &value.written.text;
    let same = match setting.kind {
        Kind::Bool => truth(text) == truth(only),
        Kind::Int => whole(text) == whole(only),
        _ => text == only,
    };
    if same {
        return None;
    }
    let message = format!(
        "the setting `{}` has no other value than `{only}` in rplay, got `{text}` from {}",
        setting.name, value.origin
    );
    let problem = Diagnostic::error("unsupported-setting", message).hint(why);
    Some(match &value.origin {
        Origin::File(span) => problem.at(span),
        _ => problem,
    })
}

/// Keys of the file that no setting has.
fn unknown(entries: &[cfg::Entry]) -> Vec<Diagnostic> {
    let known = |entry: &cfg::Entry| {
        let foreign = table::FOREIGN_SECTIONS.contains(&entry.section.as_str())
            || entry.section.starts_with("galaxy_server.")
            || entry.section.starts_with("callback_");
        let same = |(section, key): &(&str, &str)| *section == entry.section && *key == entry.key;
        foreign || SETTINGS.iter().any(|setting| setting.ini.iter().any(same))
    };
    let remark = |entry: &cfg::Entry| {
        let text = format!(
            "unknown setting `{}` in section `{}`",
            entry.key, entry.section
        );
        let problem = Diagnostic::warning("unknown-setting", text).at(&entry.span);
        if let Some((_, name)) = table::RENAMED.iter().find(|(old, _)| *old == entry.key) {
            return problem.hint(format!("Ansible does not read it; its name is `{name}`"));
        }
        let elsewhere = SETTINGS
            .iter()
            .flat_map(|setting| setting.ini)
            .find(|(_, key)| *key == entry.key);
        if let Some((section, key)) = elsewhere {
            return problem.hint(format!("`{key}` belongs into section `[{section}]`"));
        }
        let here = SETTINGS
            .iter()
            .flat_map(|setting| setting.ini)
            .filter(|(section, _)| *section == entry.section);
        match nearest(&entry.key, here.map(|(_, key)| *key)) {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => problem,
        }
    };
    entries
        .iter()
        .filter(|entry| !known(entry))
        .map(remark)
        .collect()
}

/// Everything that is not one of the words for yes means no, as in Ansible.
/// The setting of this name.
fn setting(name: &str) -> Option<&'static Setting> {
    static BY_NAME: LazyLock<HashMap<&str, &Setting>> =
        LazyLock::new(|| SETTINGS.iter().map(|one| (one.name, one)).collect());
    let found = BY_NAME.get(name).copied();
    debug_assert!(found.is_some(), "`{name}` is no setting");
    found
}

fn truth(text: &str) -> bool {
    matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "y" | "yes" | "on" | "1" | "true" | "t" | "1.0"
    )
}

fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    let number = text.parse().ok();
    // `30.0` is whole, too.
    number.or_else(|| {
        text.parse::<f64>()
            .ok()
            .filter(|float| float.fract() == 0.0)
            .map(|float| float as i64)
    })
}

fn unquote(text: &str) -> &str {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(b'"'), Some(b'"')) | (Some(b'\''), Some(b'\'')) if bytes.len() > 1 => {
            &text[1..text.len() - 1]
        }
        _ => text,
    }
}

/// Replaces `$NAME` and `${NAME}`; unset ones stay.
pub(crate) fn expand(text: &str, env: Environment<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, end) = match after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match env(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + end]),
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

/// A configuration without any file or environment.
impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            values: IndexMap::new(),
            cwd: PathBuf::from("/"),
            home: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        text: &str,
        env: &'static [(&'static str, &'static str)],
    ) -> (tempfile::TempDir, Checked<Config>) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ansible.cfg"), text).unwrap();
        let lookup = move |name: &str| {
            let home = [("HOME", "/home/me")];
            env.iter()
                .chain(&home)
                .find(|(other, _)| *other == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let config = Config::load(directory.path(), &lookup);
        (directory, config)
    }

    /// Recorded from `ansible-config dump --only-changed`.
    #[test]
    fn a_file_means_what_it_means_to_ansible() {
        let text = "# c\n[defaults]\nroles_path = ./roles:{{CWD}}/x:~/r:$HOME/q\nforks = 20 ; inline\n\
                    inventory = hosts.ini,b\nhost_key_checking = no\ntimeout: 30\nnope_setting = 1\n\
                    ansible_managed = a %% b\nGathering = smart\nlog_path = logs/x\nretry_files_enabled=\n\
                    [ssh_connection]\nssh_args = -C -o ControlMaster=auto\n   -o X=y\n";
        let (directory, config) = load(text, &[("ANSIBLE_FORKS", "7")]);
        let here = |path: &str| directory.path().join(path);
        let value = config.value;
        assert_eq!(
            value.path_list("roles_path"),
            [
                here("roles"),
                here("x"),
                "/home/me/r".into(),
                "/home/me/q".into()
            ]
        );
        assert_eq!(value.int("forks"), Some(7));
        assert_eq!(value.origin("forks").to_string(), "env: ANSIBLE_FORKS");
        assert_eq!(value.path_list("inventory"), [here("hosts.ini"), here("b")]);
        assert!(!value.bool("host_key_checking") && !value.bool("retry_files_enabled"));
        assert_eq!(value.int("timeout"), Some(30));
        assert_eq!(value.text("ansible_managed").as_deref(), Some("a %% b"));
        assert_eq!(value.text("gathering").as_deref(), Some("smart"));
        assert_eq!(value.path("log_path"), Some(here("logs/x")));
        assert_eq!(
            value.text("ssh_args").as_deref(),
            Some("-C -o ControlMaster=auto\n-o X=y")
        );
        assert_eq!(config.problems.len(), 1);
        assert_eq!(
            config.problems[0].message,
            "unknown setting `nope_setting` in section `defaults`"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, message) in [
            ("forks=3\n", "File contains no section headers."),
            (
                "[defaults]\nforks=3\nforks=4\n",
                "option 'forks' in section 'defaults' already exists",
            ),
            (
                "[defaults]\nforks=%(x)s\n",
                "Invalid value provided for 'integer': '%(x)s'",
            ),
            (
                "[defaults]\nforks\nverbosity=1\n",
                "the line has no `=`: forks",
            ),
            ("[defaults]\ngathering=samrt\n", "Invalid value \"samrt\""),
        ] {
            let (_directory, config) = load(text, &[]);
            assert!(
                config.problems[0].message.contains(message),
                "{text}: {:?}",
                config.problems
            );
            assert!(!config.problems[0].labels.is_empty(), "{text}");
        }
    }

    #[test]
    fn every_default_fits_its_kind_and_no_name_is_there_twice() {
        let config = Config::default();
        for (at, setting) in SETTINGS.iter().enumerate() {
            assert!(
                SETTINGS[..at]
                    .iter()
                    .all(|other| other.name != setting.name),
                "{}",
                setting.name
            );
            if let Some(text) = setting.default {
                let written = Written {
                    text: text.to_owned(),
                    base: PathBuf::new(),
                };
                assert!(
                    check(
                        setting,
                        &Value {
                            written,
                            origin: Origin::Default
                        }
                    )
                    .is_none(),
                    "{}",
                    setting.name
                );
            }
            assert!(!config.shown(setting).contains("{{"), "{}", setting.name);
        }
    }
}
