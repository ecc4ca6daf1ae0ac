//! What `-vv` to `-vvvv` tell before a run: the program, and the options under Ansible's names.

use std::path::PathBuf;

use super::options::TaskOptions;
use super::version;
use crate::config::Config;
use crate::run::Inputs;
use crate::secrets::STARS;

/// Which file the settings are from.
pub(super) fn settings(config: &Config) -> String {
    match &config.file {
        Some(path) => format!("Using {} as config file", path.display()),
        None => "No config file found; using defaults".to_owned(),
    }
}

/// The program and where it looks.
pub(super) fn program(config: &Config) -> String {
    let file = config
        .file
        .as_ref()
        .map_or_else(|| "None".to_owned(), |path| path.display().to_string());
    let paths = config.path_list("collections_path");
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let program = std::env::current_exe().unwrap_or_default();
    format!(
        "rplay {} [core {}]\n  config file = {file}\n  collection location = {}\n  executable location = {}",
        env!("CARGO_PKG_VERSION"),
        version::ANSIBLE,
        paths.join(":"),
        program.display()
    )
}

/// The options of a run; `positional` are the arguments without a name.
pub(super) fn options(positional: &str, wanted: &TaskOptions, inputs: &Inputs) -> Vec<String> {
    let (options, config) = (&inputs.options, &inputs.config);
    let (connection, r#become) = (&wanted.connection, &wanted.r#become);
    let path = |path: &PathBuf| path.display().to_string();
    let list = |items: &[String]| match items {
        [] => None,
        [one] => Some(format!("({},)", quoted(one))),
        _ => {
            let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
            Some(format!("({})", items.join(", ")))
        }
    };
    let yes = |on: bool| on.then(|| "True".to_owned());
    let or_config = |own: Option<&String>, name: &str| own.cloned().or_else(|| config.text(name));
    let tags = if options.tags.only.is_empty() {
        vec!["all".to_owned()]
    } else {
        options.tags.only.clone()
    };
    let rows = [
        ("verbosity", Some(options.verbosity.to_string())),
        (
            "private_key_file",
            connection.private_key.as_ref().map(path),
        ),
        ("remote_user", connection.user.clone()),
        (
            "connection",
            or_config(connection.connection.as_ref(), "transport"),
        ),
        (
            "timeout",
            connection.timeout.map(|seconds| seconds.to_string()),
        ),
        ("ssh_common_args", connection.ssh_common_args.clone()),
        ("ssh_extra_args", connection.ssh_extra_args.clone()),
        ("force_handlers", yes(options.force_handlers)),
        ("become", yes(r#become.r#become)),
        (
            "become_method",
            or_config(r#become.become_method.as_ref(), "become_method"),
        ),
        ("become_user", r#become.become_user.clone()),
        ("tags", list(&tags)),
        ("skip_tags", list(&options.tags.skip)),
        ("check", yes(options.check)),
        ("diff", yes(options.diff)),
        ("inventory", list(&sources(wanted, config))),
        ("subset", options.limit.clone()),
        ("flush_cache", yes(options.flush_cache)),
        (
            "extra_vars",
            list(&without_values(&wanted.extra.extra_vars)),
        ),
        ("forks", Some(options.forks.to_string())),
        ("start_at_task", options.start_at.clone()),
    ];
    let first = ("Positional arguments", Some(positional.to_owned()));
    std::iter::once(first)
        .chain(rows)
        .filter_map(|(name, value)| Some(format!("{name}: {}", value?)))
        .collect()
}

/// The `-e` of the command line with the names of variables and files alone: at this point of a
/// run it is not known yet which value is a secret.
fn without_values(given: &[String]) -> Vec<String> {
    let shown = |text: &String| match text.split_once('=') {
        _ if text.starts_with('@') => text.clone(),
        Some((name, _)) if crate::load::is_variable_name(name) => format!("{name}={STARS}"),
        _ => STARS.to_owned(),
    };
    given.iter().map(shown).collect()
}

/// The inventory sources, files with their whole path.
fn sources(wanted: &TaskOptions, config: &Config) -> Vec<String> {
    let given = &wanted.inventory.inventory;
    if given.is_empty() {
        return config.inventory_sources();
    }
    let whole = |source: &String| match source.contains(',') {
        true => source.clone(),
        false => std::path::absolute(source)
            .map_or_else(|_| source.clone(), |path| path.display().to_string()),
    };
    given.iter().map(whole).collect()
}

/// A text as Python prints it.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    rplay_modules::text::python_string(&mut out, text);
    out
}
