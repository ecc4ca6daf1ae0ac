//! From the sources of an inventory (files, directories, scripts, lists of hosts) to the inventory.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rplay_modules::regex::{Flags, Regex};

use super::ini::Broken;
use super::{
    Inventory, LayerKind, Naming, constructed, generator, ini, kubernetes, range, toml, yaml,
};
use crate::config::Config;
use crate::diag::{Checked, Diagnostic, Severity, Source};
use crate::load;
use crate::load::node::{Node, NodeKind};
use crate::load::vault::VaultSecrets;
use crate::load::yaml::single as load_yaml;
use crate::template::Value;

/// The plugins that there are.
const PLUGINS: [&str; 9] = [
    "advanced_host_list",
    "auto",
    "constructed",
    "generator",
    "host_list",
    "ini",
    "script",
    "toml",
    "yaml",
];

/// What to do instead of a plugin of some other program.
const FOREIGN_PLUGIN: &str = "plug-ins in Python are not run; an executable file that prints the \
                              inventory as JSON under `--list` is an inventory too";

/// Ansible's sentence for a run without any inventory.
const NOTHING: &str = "No inventory was parsed, only implicit localhost is available";

impl Inventory {
    /// Reads all sources, relative ones from the current directory. A source that cannot be read
    /// or understood is a warning, as in Ansible, unless the settings make it an error.
    pub fn load(sources: &[String], config: &Config, secrets: &VaultSecrets) -> Checked<Self> {
        let mut inventory = Self::empty();
        inventory.files = Arc::new(super::layers::Files::new(
            secrets.clone(),
            config.list("yaml_valid_extensions"),
        ));
        inventory.naming = match config.text("force_valid_group_names").as_deref() {
            Some("ignore") => Naming::Ignore,
            Some("always") => Naming::Always,
            Some("silently") => Naming::Silently,
            _ => Naming::Never,
        };
        inventory.mismatch = match config.text("host_pattern_mismatch").as_deref() {
            Some("error") => super::Mismatch::Error,
            Some("ignore") => super::Mismatch::Ignore,
            _ => super::Mismatch::Warning,
        };
        (inventory.beside, inventory.beside_listed) = super::Beside::of(config);
        let names = config.list("precedence");
        let (order, unknown) = LayerKind::order(&names);
        inventory.precedence = order;
        let ignored = |name: &&String| {
            let text = format!("Ignoring unknown variable precedence entry: {name}");
            Diagnostic::warning("precedence", text)
        };
        let mut loader = Loader {
            config,
            secrets,
            problems: unknown.iter().map(ignored).collect(),
        };
        let enabled = config.list("enable_plugins");
        if loader.plugins().is_empty() && !enabled.is_empty() {
            let text = "No inventory plugins available to generate inventory, make sure you have at least one enabled.";
            loader
                .problems
                .push(Diagnostic::error(super::NO_PLUGINS, text));
            return Checked {
                value: inventory,
                problems: loader.problems,
            };
        }
        let mut parsed = 0;
        for source in sources {
            parsed += usize::from(loader.source(&mut inventory, source));
        }
        if parsed == 0 && !sources.is_empty() {
            loader.nothing_parsed();
        }
        // Groups of sources that were not understood stay outside of `all`, as in Ansible.
        if parsed > 0 {
            inventory.reconcile();
        }
        loader.problems.extend(inventory.remarks());
        Checked {
            value: inventory,
            problems: loader.problems,
        }
    }
}

struct Loader<'a> {
    config: &'a Config,
    secrets: &'a VaultSecrets,
    problems: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn nothing_parsed(&mut self) {
        if self.config.bool("unparsed_is_failed") {
            let text = "No inventory was parsed, please check your configuration and options.";
            self.problems.push(Diagnostic::error(super::UNPARSED, text));
        } else if self.config.bool("inventory_unparsed_warning") {
            self.problems
                .push(Diagnostic::warning(super::UNPARSED, NOTHING));
        }
    }

    /// Reads one source as it is given to `-i`; the answer tells whether it was understood.
    fn source(&mut self, inventory: &mut Inventory, written: &str) -> bool {
        if written.contains(',') && !Path::new(written).exists() {
            inventory.sources.push(PathBuf::from(written));
            return self.host_list(inventory, written);
        }
        let path = absolute(Path::new(written));
        inventory.sources.push(path.clone());
        let directory = if path.is_dir() {
            Some(path.as_path())
        } else {
            path.parent()
        };
        inventory
            .directories
            .extend(directory.map(Path::to_path_buf));
        let parsed = self.path(inventory, &path);
        if !parsed {
            self.unparsed(&path);
        }
        parsed
    }

    fn unparsed(&mut self, path: &Path) {
        // The default place of the inventory may be empty: that alone deserves no remark.
        let missing = !path.exists();
        if missing && path == Path::new("/etc/ansible/hosts") {
            return;
        }
        let mut problem = if self.config.bool("any_unparsed_is_failed") {
            let text = format!(
                "Completely failed to parse inventory source {}",
                path.display()
            );
            Diagnostic::error(super::UNPARSED, text)
        } else {
            let text = format!("Unable to parse {} as an inventory source", path.display());
            Diagnostic::warning(super::UNPARSED, text)
        };
        if missing {
            problem = problem.cause("there is no such file or directory");
            if let Some(near) = crate::diag::similar_file(path) {
                problem = problem.hint(format!("did you mean `{near}`?"));
            }
        }
        self.problems.push(problem);
    }

    /// A list of hosts; `advanced_host_list`, where it is enabled before `host_list`, knows ranges.
    fn host_list(&mut self, inventory: &mut Inventory, written: &str) -> bool {
        let plugins = self.plugins();
        let first = plugins.iter().find(|name| name.ends_with("host_list"));
        let Some(plugin) = first else {
            self.unparsed(Path::new(written));
            return false;
        };
        let source = Source::new("<inventory>", written);
        let span = crate::diag::Span::start_of(&source);
        let file = Arc::from(Path::new(written));
        for item in written
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let (names, port) = if plugin == "host_list" {
                let (name, port) = range::split_port(item);
                (vec![name.to_owned()], port)
            } else {
                match range::expand(item) {
                    Ok(expanded) => (expanded.names, expanded.port),
                    Err(message) => {
                        let text = format!("Invalid data from string, could not parse: {message}");
                        let problem = broken_source(plugin, "", (text, span));
                        self.problems.push(problem);
                        self.unparsed(Path::new(written));
                        return false;
                    }
                }
            };
            for name in &names {
                inventory.add_host(name, "ungrouped", Some(&file));
                if let Some(port) = port {
                    inventory.set_port(name, port, &span);
                }
            }
        }
        true
    }

    fn path(&mut self, inventory: &mut Inventory, path: &Path) -> bool {
        if path.is_dir() {
            self.directory(inventory, path)
        } else {
            self.file(inventory, path)
        }
    }

    fn directory(&mut self, inventory: &mut Inventory, path: &Path) -> bool {
        let mut names: Vec<_> = match std::fs::read_dir(path) {
            Ok(entries) => entries
                .filter_map(Result::ok)
                .map(|entry| entry.file_name())
                .collect(),
            Err(error) => {
                let text = format!("cannot read the directory `{}`", path.display());
                self.problems
                    .push(Diagnostic::warning("inventory-read", text).cause(error.to_string()));
                return false;
            }
        };
        names.sort();
        let mut parsed = false;
        for name in names {
            let text = name.to_string_lossy();
            if self.ignored(&text) {
                continue;
            }
            let path = path.join(&name);
            let understood = self.path(inventory, &path);
            if !understood && !path.is_dir() {
                self.unparsed(&path);
            }
            parsed |= understood;
        }
        parsed
    }

    fn ignored(&mut self, name: &str) -> bool {
        if name.starts_with('.') || name == "group_vars" || name == "host_vars" {
            return true;
        }
        let endings = self.config.list("inventory_ignore_extensions");
        if endings.iter().any(|end| name.ends_with(end.as_str())) {
            return true;
        }
        let patterns = self.config.list("inventory_ignore_patterns");
        patterns.iter().any(|pattern| {
            Regex::new(pattern, Flags::default()).is_ok_and(|regex| regex.found(name) == Ok(true))
        })
    }

    /// Reads a file with the first plugin, in the order of `enable_plugins`, that understands it.
    fn file(&mut self, inventory: &mut Inventory, path: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else {
            return false;
        };
        let executable = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
        let script = executable && starts_like_a_script(path);
        let shared = Arc::from(path);
        let mut file = File {
            path: &shared,
            ending: path
                .extension()
                .map(|ending| ending.to_string_lossy().into_owned()),
            script,
            text: None,
        };
        let mut problems = vec![];
        let plugins = self.plugins();
        // Such a text is no mapping in YAML: that is tried only to tell why nothing fits.
        let later = file.ending.is_none()
            && plugins.iter().any(|name| name == "ini")
            && file.opens_as_ini(self.secrets);
        for plugin in plugins {
            if later && plugin == "yaml" {
                continue;
            }
            match self.try_plugin(&plugin, inventory, &mut file, &problems) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(problem) => {
                    // A plain text is a YAML string too: that it is no mapping helps nobody.
                    problems
                        .retain(|problem: &Diagnostic| problem.code != "inventory-not-a-mapping");
                    problems.push(problem);
                }
            }
        }
        if later
            && let Err(problem) = self.try_plugin("yaml", inventory, &mut file, &[])
            && problem.code != "inventory-not-a-mapping"
        {
            problems.insert(0, problem);
        }
        self.problems.append(&mut problems);
        false
    }

    /// The names of the enabled plugins, in short; those that are not there are told once.
    fn plugins(&mut self) -> Vec<String> {
        let written = self.config.list("enable_plugins");
        let short = |name: &String| {
            let name = name.strip_prefix("ansible.builtin.").unwrap_or(name);
            name.to_owned()
        };
        let (known, unknown): (Vec<String>, Vec<String>) = written
            .iter()
            .map(short)
            .partition(|name| PLUGINS.contains(&name.as_str()));
        for name in unknown {
            let text = format!("Failed to load inventory plugin, skipping {name}");
            let problem = Diagnostic::warning("inventory-plugin", text).hint(FOREIGN_PLUGIN);
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        known
    }

    /// `Ok(false)`: the file is none for this plugin.
    fn try_plugin(
        &mut self,
        plugin: &str,
        inventory: &mut Inventory,
        file: &mut File<'_>,
        problems: &[Diagnostic],
    ) -> Result<bool, Diagnostic> {
        let path = file.path;
        let yaml_like = file.ends_in(&["yml", "yaml", "json"]);
        match plugin {
            "script" if file.script => self.script(inventory, path).map(|()| true),
            _ if file.script => Ok(false),
            "auto" if file.ends_in(&["yml", "yaml"]) => {
                let source = file.read(self.secrets)?;
                self.configured(inventory, &source, path, None)
            }
            "constructed" | "generator" if file.ends_in(&["yml", "yaml", "config"]) => {
                let source = file.read(self.secrets)?;
                self.configured(inventory, &source, path, Some(plugin))
            }
            "yaml" if yaml_like || file.ending.is_none() => {
                let source = file.read(self.secrets)?;
                self.yaml_file(inventory, &source, path)
            }
            // Read as INI a broken YAML file would only add remarks that mislead.
            "ini" if yaml_like && !problems.is_empty() && !file.opens_as_ini(self.secrets) => {
                Ok(false)
            }
            "ini" if !file.ends_in(&["toml"]) => {
                let source = file.read(self.secrets)?;
                self.ini_file(inventory, &source, path).map(|()| true)
            }
            "toml" if file.ends_in(&["toml"]) => {
                let source = file.read(self.secrets)?;
                toml::parse(inventory, &source, path, &mut self.problems)
                    .map(|()| true)
                    .map_err(|broken| broken_source("toml", "", broken))
            }
            _ => Ok(false),
        }
    }

    fn ini_file(
        &self,
        inventory: &mut Inventory,
        source: &Arc<Source>,
        path: &Arc<Path>,
    ) -> Result<(), Diagnostic> {
        ini::parse(inventory, source, path).map_err(|broken| {
            let problem = broken_source("ini", "Failed to parse inventory: ", broken);
            match source.text.starts_with("#!") {
                true => problem.hint(
                    "the file begins with `#!` but is not executable: `chmod +x` makes it a script",
                ),
                false => problem,
            }
        })
    }

    /// A YAML file that names its plugin; `wanted`: only this one is enabled by name.
    fn configured(
        &mut self,
        inventory: &mut Inventory,
        source: &Arc<Source>,
        path: &Arc<Path>,
        wanted: Option<&str>,
    ) -> Result<bool, Diagnostic> {
        let root = load_yaml(source).value;
        let Some((key, name)) = root.entry("plugin") else {
            return Ok(false);
        };
        let written = name.as_str().unwrap_or_default();
        let short = written.strip_prefix("ansible.builtin.").unwrap_or(written);
        if wanted.is_some_and(|wanted| wanted != short) {
            return Ok(false);
        }
        let done = match short {
            "constructed" => constructed::parse(inventory, &root, path, self.secrets),
            "generator" => generator::parse(inventory, &root, path),
            "kubernetes.core.k8s" | "community.kubernetes.k8s" | "k8s" => {
                let hidden = &self.secrets.hidden;
                kubernetes::parse(inventory, &root, path, hidden, &mut self.problems)
            }
            _ => {
                let text = format!(
                    "inventory config '{}' specifies unknown plugin '{written}'",
                    path.display()
                );
                let problem = broken_source("auto", "", (text, key.span.clone()));
                return Err(problem.hint(FOREIGN_PLUGIN));
            }
        };
        done.map(|()| true)
            .map_err(|broken| broken_source(wanted.unwrap_or("auto"), "", broken))
    }

    /// Reads a YAML inventory. `Ok(false)`: there is nothing in it.
    fn yaml_file(
        &mut self,
        inventory: &mut Inventory,
        source: &Arc<Source>,
        path: &Arc<Path>,
    ) -> Result<bool, Diagnostic> {
        let Checked { value, problems } = load_yaml(source);
        if let Some(problem) = problems
            .iter()
            .find(|problem| problem.severity == Severity::Error)
        {
            let mut problem = problem.clone();
            problem.message = format!(
                "Failed to parse inventory with 'yaml' plugin: {}",
                problem.message
            );
            problem.severity = Severity::Warning;
            return Err(problem);
        }
        let root = value;
        if root.is_null() {
            return Ok(false);
        }
        if !matches!(root.kind, NodeKind::Map(_)) {
            let message = format!(
                "YAML inventory has invalid structure, it should be a dictionary, got: {}",
                root.kind_name()
            );
            let mut problem = broken_source("yaml", "", (message, root.span.clone()));
            problem.code = "inventory-not-a-mapping";
            return Err(problem);
        }
        self.problems.extend(problems);
        yaml::parse(inventory, &root, path, &mut self.problems)
            .map_err(|broken| broken_source("yaml", "", broken))?;
        Ok(true)
    }

    fn script(&mut self, inventory: &mut Inventory, path: &Arc<Path>) -> Result<(), Diagnostic> {
        let root = run_script(path, &["--list"])?;
        let hosts_before: Vec<String> = inventory.hosts.keys().cloned().collect();
        let complete = yaml::script(inventory, &root, path, &mut self.problems)
            .map_err(|broken| broken_source("script", "", broken))?;
        if !complete {
            let text = "Inventory scripts should always provide 'meta.hostvars'. Host variables will be \
                        collected by running the inventory script with the '--host' option for each host.";
            self.problems.push(yaml::script_deprecation(text, &root));
            let added: Vec<String> = inventory
                .hosts
                .keys()
                .filter(|name| !hosts_before.contains(name))
                .cloned()
                .collect();
            for name in added {
                let vars = run_script(path, &["--host", &name])?;
                if !matches!(vars.kind, NodeKind::Map(_)) {
                    let text = "Invalid data from file, expected dictionary and got:";
                    let got = Value::from_node(&vars);
                    return Err(broken_source(
                        "script",
                        "",
                        (format!("{text}\n\n{got}"), vars.span),
                    ));
                }
                yaml::script_host(inventory, &name, &vars);
            }
        }
        Ok(())
    }
}

/// A file while plugins look at it.
struct File<'a> {
    path: &'a Arc<Path>,
    ending: Option<String>,
    script: bool,
    text: Option<Arc<Source>>,
}

impl File<'_> {
    fn ends_in(&self, endings: &[&str]) -> bool {
        let ending = self.ending.as_deref();
        ending.is_some_and(|ending| endings.contains(&ending))
    }

    /// Whether the first line that counts is the head of a section.
    fn opens_as_ini(&mut self, secrets: &VaultSecrets) -> bool {
        let Ok(source) = self.read(secrets) else {
            return false;
        };
        let mut lines = source.text.lines().map(str::trim);
        let first = lines.find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        first.is_some_and(|line| ini::header(line).is_some())
    }

    /// The text, decrypted where it is vaulted.
    fn read(&mut self, secrets: &VaultSecrets) -> Result<Arc<Source>, Diagnostic> {
        if let Some(text) = &self.text {
            return Ok(Arc::clone(text));
        }
        let text = load::read(self.path, secrets).map_err(|problem| Diagnostic {
            severity: Severity::Warning,
            ..problem
        })?;
        self.text = Some(Arc::clone(&text));
        Ok(text)
    }
}

fn broken_source(plugin: &str, prefix: &str, (message, span): Broken) -> Diagnostic {
    let text = format!("Failed to parse inventory with '{plugin}' plugin: {prefix}{message}");
    Diagnostic::warning("inventory-parse", text).at(&span)
}

/// Runs an inventory script and reads what it prints.
fn run_script(path: &Path, arguments: &[&str]) -> Result<Node, Diagnostic> {
    let failed = |text: String| {
        let text = format!("Failed to parse inventory with 'script' plugin: {text}");
        Diagnostic::warning("inventory-script", text).cause(format!(
            "`{} {}`",
            path.display(),
            arguments.join(" ")
        ))
    };
    let output = Command::new(path)
        .args(arguments)
        .output()
        .map_err(|error| failed(format!("Failed to execute inventory script: {error}")))?;
    if !output.status.success() {
        let status = output
            .status
            .code()
            .map_or_else(|| output.status.to_string(), |code| code.to_string());
        let mut problem = failed(format!(
            "Inventory script returned non-zero exit code {status}."
        ));
        let errors = String::from_utf8_lossy(&output.stderr);
        if !errors.trim().is_empty() {
            problem = problem.cause(format!(
                "Standard error from inventory script: {}",
                errors.trim()
            ));
        }
        return Err(problem);
    }
    let text = String::from_utf8(output.stdout).map_err(|error| {
        failed(format!(
            "Inventory script result contained characters that cannot be interpreted as UTF-8: {}",
            error.utf8_error()
        ))
    })?;
    if text.trim().is_empty() && arguments.first() == Some(&"--host") {
        let source = Source::new("<inventory script output>", "");
        return Ok(Node {
            span: crate::diag::Span::start_of(&source),
            kind: NodeKind::Map(vec![]),
        });
    }
    if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
        return Err(failed(format!(
            "Unable to get JSON decoder for inventory script result: {error}"
        )));
    }
    let source = Source::new(
        format!("<inventory script output from '{}'>", path.display()),
        text,
    );
    Ok(load_yaml(&source).value)
}

fn starts_like_a_script(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read(&mut start));
    read.is_ok_and(|count| {
        start[..count].starts_with(b"#!") || start[..count].starts_with(b"\x7fELF")
    })
}

/// An absolute path without `.` and `..`, links unresolved.
pub(super) fn absolute(path: &Path) -> PathBuf {
    use std::path::Component;
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut clean = PathBuf::new();
    for component in full.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            _ => clean.push(component),
        }
    }
    clean
}
