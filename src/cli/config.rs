//! `rplay config`, Ansible's `ansible-config`: the settings, where they come from, what they may be.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, ValueEnum};

use super::programs::{Call, parse};
use super::{CommandError, Exit, finish};
use crate::config::{CONSTANTS, Config, Kind, Origin, SETTINGS, Setting};
use crate::diag::{Diagnostic, Severity, nearest};
use crate::secrets::Secrets;
use crate::template::value::{Entries, Key};
use crate::template::{JsonStyle, Value, json_text, yaml_document};

/// Shows and checks settings.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Tell more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Parser)]
enum Verb {
    /// Describe all settings
    List {
        #[command(flatten)]
        common: Common,
        /// The form of the output
        #[arg(short, long, default_value = "yaml")]
        format: Listing,
    },
    /// Show the values of settings
    Dump {
        #[command(flatten)]
        common: Common,
        /// Only those that somebody set
        #[arg(long, visible_alias = "changed-only")]
        only_changed: bool,
        /// The form of the output
        #[arg(short, long, default_value = "display")]
        format: Form,
    },
    /// Show the configuration file
    View {
        #[command(flatten)]
        common: Common,
    },
    /// Write a configuration file with all settings
    Init {
        #[command(flatten)]
        common: Common,
        /// The form of the output
        #[arg(short, long, default_value = "ini")]
        format: Template,
        /// Put every setting into a comment
        #[arg(long)]
        disabled: bool,
    },
    /// Check the configuration file and the environment
    Validate {
        #[command(flatten)]
        common: Common,
        /// What is checked
        #[arg(short, long, default_value = "ini")]
        format: Checked,
    },
}

#[derive(Args, Debug)]
struct Common {
    /// The configuration file
    #[arg(short, long, value_name = "CONFIG_FILE")]
    config: Option<PathBuf>,
    /// Which settings: those of plugins have no names in Ansible's list
    #[arg(
        short = 't',
        long = "type",
        value_name = "TYPE",
        default_value = "base"
    )]
    kind: Which,
    /// Only these settings, in `list` and `dump`
    args: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    All,
    Base,
    Become,
    Cache,
    Callback,
    Cliconf,
    Connection,
    Httpapi,
    Inventory,
    Lookup,
    Netconf,
    Shell,
    Vars,
}

/// The type of plugin that a setting without a name in Ansible's list belongs to.
fn plugin_type(setting: &Setting) -> Option<Which> {
    let of_ssh = |(section, _): &(&str, &str)| *section == "ssh_connection";
    match setting.name {
        "allow_world_readable_tmpfiles" | "async_dir" | "remote_tmp" | "system_tmpdirs" => {
            Some(Which::Shell)
        }
        "check_mode_markers" | "json_indent" => Some(Which::Callback),
        name if ["callback_", "display_", "junit_", "profile_", "show_"]
            .iter()
            .any(|start| name.starts_with(start)) =>
        {
            Some(Which::Callback)
        }
        _ => setting.ini.iter().any(of_ssh).then_some(Which::Connection),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Json,
    Yaml,
    Display,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Listing {
    Json,
    Yaml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    Ini,
    Env,
    Vars,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Checked {
    Ini,
    Env,
}

/// Settings that a variable may have for a host or a task, with the variable.
const VARIABLES: &[(&str, &str)] = &[
    ("module_compression", "ansible_module_compression"),
    ("no_target_syslog", "ansible_no_target_syslog"),
    ("deprecation_warnings", "ansible_deprecation_warnings"),
    ("facts_modules", "ansible_facts_modules"),
    ("inject_invocation", "ansible_inject_invocation"),
    ("interpreter_python", "ansible_python_interpreter"),
    (
        "python_module_rlimit_nofile",
        "ansible_python_module_rlimit_nofile",
    ),
    ("target_log_info", "ansible_target_log_info"),
    (
        "worker_session_isolation",
        "ansible_worker_session_isolation",
    ),
    (
        "win_async_startup_timeout",
        "ansible_win_async_startup_timeout",
    ),
];

/// Runs the subcommand.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(&arguments.verb), &hidden),
        Err(exit) => exit,
    }
}

fn run(verb: &Verb) -> Result<Exit, CommandError> {
    let (Verb::List { common, .. }
    | Verb::Dump { common, .. }
    | Verb::View { common }
    | Verb::Init { common, .. }
    | Verb::Validate { common, .. }) = verb;
    if let Some(path) = common.config.as_ref().filter(|path| !path.exists()) {
        let text = format!(
            "The provided configuration file is missing or not accessible: {}",
            std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
        );
        return Err(CommandError::new(
            Exit::Options,
            Diagnostic::error("config", text),
        ));
    }
    let (config, mut problems) = load(common.config.as_deref());
    if let Verb::Validate { format, .. } = verb {
        return validate(&config, problems, *format);
    }
    // Which keys are unknown is what `validate` tells.
    problems.retain(|problem| problem.code != "unknown-setting");
    super::session::stop_at_errors(&mut problems, Exit::Options, &Secrets::default())?;
    let text = match verb {
        Verb::List { format, .. } => {
            let form = match format {
                Listing::Json => Form::Json,
                Listing::Yaml => Form::Yaml,
            };
            list(common, form)?
        }
        Verb::Dump {
            only_changed,
            format,
            ..
        } => dump(&config, common, *only_changed, *format)?,
        Verb::View { .. } => view(&config)?,
        Verb::Init {
            format, disabled, ..
        } => init(common, *format, *disabled),
        Verb::Validate { .. } => String::new(),
    };
    crate::report::print(&text);
    Ok(Exit::Ok)
}

/// The settings of this folder, or those of a file.
fn load(file: Option<&Path>) -> (Config, Vec<Diagnostic>) {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let file = file.map(|file| file.to_string_lossy().into_owned());
    let loaded = Config::load(&cwd, &|name| match (name, &file) {
        ("ANSIBLE_CONFIG", Some(file)) => Some(file.clone()),
        _ => std::env::var(name).ok(),
    });
    (loaded.value, loaded.problems)
}

/// The settings with the names that they are shown under.
fn chosen(common: &Common) -> Vec<(String, &'static Setting)> {
    let which = common.kind;
    let named = |name: &str| CONSTANTS.iter().find(|(_, ours)| *ours == name);
    let mut all: Vec<(String, &Setting)> = SETTINGS
        .iter()
        .filter_map(|setting| match (named(setting.name), which) {
            (Some((name, _)), Which::All | Which::Base) => Some(((*name).to_owned(), setting)),
            (None, Which::All) => Some((setting.name.to_owned(), setting)),
            (None, kind) if plugin_type(setting) == Some(kind) => {
                Some((setting.name.to_owned(), setting))
            }
            _ => None,
        })
        .filter(|(name, _)| common.args.is_empty() || common.args.contains(name))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn entries<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.map(|(name, value)| (Key::from(name), value));
    Value::dict(Entries::from_iter(pairs))
}

fn written(value: &Value, form: Form) -> Result<String, CommandError> {
    let style = JsonStyle {
        indent: Some(" ".repeat(4)),
        sort: true,
        ascii: true,
        separators: None,
    };
    let text = match form {
        Form::Yaml => yaml_document(value, true),
        _ => json_text(value, &style).map(|text| text + "\n"),
    };
    text.map_err(|fault| {
        CommandError::new(Exit::Error, Diagnostic::error("config", fault.message()))
    })
}

fn list(common: &Common, form: Form) -> Result<String, CommandError> {
    let mut all = Entries::new();
    for (name, setting) in chosen(common) {
        let text = |text: &str| Value::str(text);
        let variable = |name: &&str| entries([("name", text(name))]);
        let env = setting.env.iter().map(variable).collect();
        let key = |(section, key): &(&str, &str)| {
            entries([("key", text(key)), ("section", text(section))])
        };
        let ini = setting.ini.iter().map(key).collect();
        let mut row = Entries::from_iter([
            (
                Key::from("default"),
                setting.default.map_or(Value::None, text),
            ),
            (Key::from("description"), text(setting.doc)),
            (Key::from("env"), Value::list(env)),
            (Key::from("ini"), Value::list(ini)),
            (Key::from("type"), text(kind(setting.kind))),
        ]);
        if let Kind::Choice(names) = setting.kind {
            let names = names.iter().map(|name| text(name)).collect();
            row.insert(Key::from("choices"), Value::list(names));
        }
        if let Some(why) = setting.accepted {
            row.insert(Key::from("accepted"), text(why));
        }
        if let Some((only, why)) = setting.only {
            row.insert(Key::from("only"), text(&format!("{only}: {why}")));
        }
        all.insert(Key::from(name.as_str()), Value::dict(row));
    }
    written(&Value::dict(all), form)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "boolean",
        Kind::Int => "integer",
        Kind::Text => "string",
        Kind::Choice(_) => "choices",
        Kind::List => "list",
        Kind::Path => "path",
        Kind::PathList => "pathspec",
        Kind::Sources => "pathlist",
    }
}

fn dump(
    config: &Config,
    common: &Common,
    changed: bool,
    form: Form,
) -> Result<String, CommandError> {
    let file = config.file.as_ref().map(|path| path.display().to_string());
    let mut lines = vec![];
    let mut rows = vec![];
    let base = matches!(common.kind, Which::All | Which::Base);
    if base && (changed || form == Form::Display) {
        let shown = file.clone().unwrap_or_else(|| "None".to_owned());
        lines.push(("CONFIG_FILE".to_owned(), format!("CONFIG_FILE() = {shown}")));
    }
    let row = |name: &str, origin: &str, value: Value| {
        entries([
            ("name", Value::str(name)),
            ("origin", Value::str(origin)),
            ("value", value),
        ])
    };
    if base {
        rows.push((
            "CONFIG_FILE".to_owned(),
            row("CONFIG_FILE", "", file.map_or(Value::None, Value::str)),
        ));
    }
    for (name, setting) in chosen(common) {
        let origin = config.origin(setting.name);
        if changed && origin == Origin::Default {
            continue;
        }
        let shown = config.shown(setting);
        lines.push((name.clone(), format!("{name}({origin}) = {shown}")));
        let value = value(config, setting);
        rows.push((name.clone(), row(&name, &origin.to_string(), value)));
    }
    if form == Form::Display {
        lines.sort();
        let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        return Ok(text + if base { "\nGALAXY_SERVERS:\n" } else { "\n" });
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let mut rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    if base {
        rows.push(entries([("GALAXY_SERVERS", Value::dict(Entries::new()))]));
    }
    written(&Value::list(rows), form)
}

fn value(config: &Config, setting: &Setting) -> Value {
    let texts = |items: Vec<String>| Value::list(items.into_iter().map(Value::str).collect());
    let paths = |items: Vec<PathBuf>| {
        texts(
            items
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
        )
    };
    if config.text(setting.name).is_none() {
        return Value::None;
    }
    match setting.kind {
        Kind::Bool => Value::Bool(config.bool(setting.name)),
        Kind::Int => config
            .int(setting.name)
            .map_or(Value::None, |number| Value::Int(number.into())),
        Kind::List => texts(config.list(setting.name)),
        Kind::PathList | Kind::Sources => paths(config.path_list(setting.name)),
        Kind::Path | Kind::Text | Kind::Choice(_) => Value::str(config.shown(setting)),
    }
}

fn view(config: &Config) -> Result<String, CommandError> {
    let failed = |text: String| CommandError::new(Exit::Error, Diagnostic::error("config", text));
    let Some(path) = &config.file else {
        return Err(failed("Invalid or no config file was supplied".to_owned()));
    };
    let text = std::fs::read_to_string(path);
    let mut text =
        text.map_err(|error| failed(format!("cannot read `{}`: {error}", path.display())))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A file, or lines for the environment, with every setting and its default.
fn init(common: &Common, form: Template, disabled: bool) -> String {
    let settings = chosen(common);
    let describe = |setting: &Setting| format!("# ({}) {}\n", kind(setting.kind), setting.doc);
    let mark = |comment: &str| {
        if disabled {
            comment.to_owned()
        } else {
            String::new()
        }
    };
    if form == Template::Env {
        let line = |(_, setting): &(String, &Setting)| {
            let name = setting.env.first()?;
            let default = setting.default.unwrap_or_default();
            Some(format!(
                "{}{}{name}={default}\n\n",
                describe(setting),
                mark("#")
            ))
        };
        return settings.iter().filter_map(line).collect();
    }
    if form == Template::Vars {
        let line = |(_, setting): &(String, &Setting)| {
            let (_, name) = VARIABLES.iter().find(|(ours, _)| *ours == setting.name)?;
            let default = match (setting.kind, setting.default) {
                (_, None | Some("")) => "''".to_owned(),
                (Kind::Bool, Some(text)) => text.to_lowercase(),
                (Kind::List, Some(text)) => format!("[{}]", text.replace(',', ", ")),
                (_, Some(text)) => text.to_owned(),
            };
            let mark = mark("#");
            Some(format!("{}{mark}{name}: {default}\n\n", describe(setting)))
        };
        return settings.iter().filter_map(line).collect();
    }
    let mut sections: Vec<(&str, String)> = vec![];
    for (_, setting) in &settings {
        let Some((section, key)) = setting.ini.first() else {
            continue;
        };
        let default = setting.default.unwrap_or_default();
        let text = format!("{}{}{key}={default}\n\n", describe(setting), mark(";"));
        match sections.iter_mut().find(|(name, _)| name == section) {
            Some((_, all)) => all.push_str(&text),
            None => sections.push((section, text)),
        }
    }
    let section = |(name, text): &(&str, String)| format!("[{name}]\n{text}\n");
    sections.iter().map(section).collect()
}

/// Variables of the environment that look like settings and are none.
fn unknown_variables() -> Vec<Diagnostic> {
    /// These are for Ansible itself, and no settings of their own.
    const OTHERS: &[&str] = &["ANSIBLE_CONFIG"];
    let is_known = |name: &str| {
        OTHERS.contains(&name) || SETTINGS.iter().any(|setting| setting.env.contains(&name))
    };
    let mut names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("ANSIBLE_") && !is_known(name))
        .collect();
    names.sort();
    let all = || SETTINGS.iter().flat_map(|setting| setting.env).copied();
    let tell = |name: &String| {
        let text = format!("Found unknown environment variable '{name}'.");
        let problem = Diagnostic::error("unknown-variable", text);
        match nearest(name, all()) {
            Some(near) => problem.hint(format!("did you mean `{near}`?")),
            None => problem,
        }
    };
    names.iter().map(tell).collect()
}

/// Every problem of the file and the environment is an error here.
fn validate(
    config: &Config,
    mut problems: Vec<Diagnostic>,
    format: Checked,
) -> Result<Exit, CommandError> {
    if format == Checked::Env {
        problems.retain(|problem| problem.code != "unknown-setting");
        problems.extend(unknown_variables());
    }
    if problems.is_empty() {
        crate::report::print("All configurations seem valid!\n");
        return Ok(Exit::Ok);
    }
    let file = config.file.as_ref().map(|path| path.display().to_string());
    let problems = problems.into_iter().map(|mut problem| {
        problem.severity = Severity::Error;
        if problem.code == "unknown-setting"
            && let Some(file) = &file
        {
            problem.message = problem
                .message
                .replace("unknown setting `", "Found unknown key '")
                .replace("` in section `", "' in section '")
                .replace('`', "'");
            problem.message.push_str(&format!(" in '{file}."));
        }
        problem
    });
    Err(CommandError {
        exit: Exit::Error,
        problems: problems.collect(),
    })
}
