//! `rplay doc`, Ansible's `ansible-doc`: what modules and plugins take and return, from the tables that
//! run them.

mod page;
mod python;
mod role;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use rplay_modules::registry;
use serde_json::{Map, Value as Json, json};

use self::page::Page;
use super::options::{BaseDir, Verbosity};
use super::programs::{Call, parse};
use super::{CommandError, Exit, finish, session, tell};
use crate::action::table;
use crate::config::PLUGIN_TYPES;
use crate::diag::{Diagnostic, nearest};
use crate::load::keyword::KEYWORDS;
use crate::plan::collections::Collections;
use crate::plan::library::Library;
use crate::secrets::Secrets;
use crate::template;

/// Shows what modules and plugins take and return.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    /// Modules or plugins
    plugin: Vec<String>,
    #[command(flatten)]
    verbosity: Verbosity,
    /// What is meant by the names
    #[arg(short, long, value_name = "TYPE", default_value = "module", value_parser = types())]
    r#type: String,
    /// List them; names are collections then
    #[arg(short, long, group = "what")]
    list: bool,
    /// List them, with the program or file they are in
    #[arg(short = 'F', long = "list_files", group = "what")]
    list_files: bool,
    /// A task to copy
    #[arg(short, long, group = "what")]
    snippet: bool,
    /// All of every type as JSON
    #[arg(long, group = "what")]
    metadata_dump: bool,
    /// Accepted: there is nothing here that fails
    #[arg(long)]
    no_fail_on_errors: bool,
    /// Further folders of modules
    #[arg(short = 'M', long, value_name = "MODULE_PATH")]
    module_path: Vec<PathBuf>,
    /// JSON
    #[arg(short, long)]
    json: bool,
    /// Folders of roles, with colons between them
    #[arg(short, long, value_name = "ROLES_PATH")]
    roles_path: Vec<PathBuf>,
    /// This entry point of roles only
    #[arg(short, long, value_name = "ENTRY_POINT", group = "what")]
    entry_point: Option<String>,
    #[command(flatten)]
    base: BaseDir,
}

/// What there may be documents of; of some types rplay has none.
fn types() -> Vec<&'static str> {
    let further = ["module", "strategy", "test", "filter", "role", "keyword"];
    [PLUGIN_TYPES, &further].concat()
}

/// What has no table of its own.
const PLUGINS: &[(&str, &str, &str)] = &[
    ("become", "sudo", "become another user with sudo"),
    ("become", "su", "become another user with su"),
    ("become", "doas", "become another user with doas"),
    ("connection", "local", "work on this machine"),
    ("connection", "ssh", "work on a host over SSH"),
    (
        "strategy",
        "linear",
        "all hosts do a task before the next one begins",
    ),
    ("strategy", "free", "no host waits for another"),
    (
        "strategy",
        "host_pinned",
        "as many hosts as there are forks do the whole play, then the next ones",
    ),
    ("inventory", "ini", "hosts and groups of an INI file"),
    ("inventory", "yaml", "hosts and groups of a YAML file"),
    (
        "inventory",
        "script",
        "hosts and groups that a program prints",
    ),
    ("inventory", "host_list", "hosts with commas between them"),
    (
        "inventory",
        "advanced_host_list",
        "hosts with commas between them, also ranges",
    ),
    ("inventory", "toml", "hosts and groups of a TOML file"),
    (
        "inventory",
        "constructed",
        "groups and variables made of those of hosts",
    ),
    (
        "inventory",
        "generator",
        "hosts and groups made of all combinations of words",
    ),
    ("cache", "memory", "facts are kept for the run"),
    ("cache", "jsonfile", "facts are kept in files, as JSON"),
    (
        "vars",
        "host_group_vars",
        "variables in the folders group_vars and host_vars",
    ),
];

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(&arguments), &Secrets::default()),
        Err(exit) => exit,
    }
}

fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let kind = arguments.r#type.as_str();
    let pages = if kind == "role" {
        role::pages(&role_folders(arguments), arguments.entry_point.as_deref())
    } else {
        vec![]
    };
    if arguments.metadata_dump {
        crate::report::print(&pretty(&everything(arguments)));
        return Ok(Exit::Ok);
    }
    if arguments.list || arguments.list_files {
        let collections = match arguments.r#type.as_str() {
            "role" | "keyword" => vec![],
            _ => chosen_collections(arguments)?,
        };
        crate::report::print(&list(arguments, &pages, &collections));
        return Ok(Exit::Ok);
    }
    if arguments.plugin.is_empty() {
        let text = "Missing name(s), incorrect options passed for detailed documentation.";
        let problem = Diagnostic::error("doc", text).hint("`rplay doc -l` lists modules");
        return Err(CommandError::new(Exit::Options, problem));
    }
    if arguments.snippet && !matches!(kind, "inventory" | "lookup" | "module" | "role" | "keyword")
    {
        let text =
            "Snippets are only available for the following plugin types: inventory, lookup, module";
        return Err(CommandError::new(
            Exit::Error,
            Diagnostic::error("doc", text),
        ));
    }
    let mut found: Vec<(&str, Page)> = vec![];
    for name in &arguments.plugin {
        let page = match kind {
            "module" => module_page(name),
            "role" => pages.iter().find(|page| page.name == *name).cloned(),
            "keyword" => page::of_keyword(name),
            kind => plugin(kind, name),
        };
        let page = page.or_else(|| on_disk(arguments, name));
        match page {
            Some(page) => found.push((name, page)),
            None => tell(&[missing(arguments, name)], &Secrets::default()),
        }
    }
    let text = if arguments.json {
        let all: Map<String, Json> = found
            .iter()
            .map(|(name, page)| ((*name).to_owned(), page.json()))
            .collect();
        pretty(&Json::Object(all))
    } else if arguments.snippet && kind != "keyword" {
        found.iter().map(|(_, page)| page.snippet()).collect()
    } else {
        let texts: Vec<String> = found.iter().map(|(_, page)| page.text()).collect();
        texts.join(if kind == "keyword" { "" } else { "\n" })
    };
    crate::report::print(&text);
    Ok(Exit::Ok)
}

/// The page of a module, for the console.
pub(super) fn module(name: &str) -> Option<String> {
    module_page(name).map(|page| page.text())
}

/// What the controller does itself counts more: it may use a module of that name.
fn module_page(name: &str) -> Option<Page> {
    let action = table::find(name).map(page::of_action);
    action.or_else(|| registry::find(name).map(page::of_module))
}

/// The page of what rplay does not run, but finds.
fn on_disk(arguments: &Arguments, name: &str) -> Option<Page> {
    let kind = arguments.r#type.as_str();
    let config = session::config(&mut vec![]);
    let dir = arguments.base.playbook_dir.clone().unwrap_or_default();
    let collections = Collections::new(config.path_list("collections_path"));
    let file = collections.document(kind, name, &dir).or_else(|| {
        let given = arguments.module_path.iter();
        let given = given.flat_map(|paths| std::env::split_paths(paths));
        let library = Library::new(given.chain(config.path_list("library")).collect());
        (kind == "module").then(|| library.module(name, &dir))?
    });
    python::page(kind, name, &file?)
}

/// The collections that a list is of, which must be there.
fn chosen_collections(arguments: &Arguments) -> Result<Vec<String>, CommandError> {
    let wrong = |text| CommandError::new(Exit::Error, Diagnostic::error("collection", text));
    let config = session::config(&mut vec![]);
    let disk = Collections::new(config.path_list("collections_path"));
    let dir = arguments.base.playbook_dir.clone().unwrap_or_default();
    for name in &arguments.plugin {
        if !matches!(name.split('.').collect::<Vec<_>>()[..], [space, name] if !space.is_empty() && !name.is_empty())
        {
            return Err(wrong(format!(
                "Invalid collection name (must be of the form namespace.collection): {name}"
            )));
        }
        let start = format!("{name}.");
        let ours = types()
            .iter()
            .any(|kind| names(kind).iter().any(|(full, _)| full.starts_with(&start)));
        if !ours && disk.folder(name, &dir).is_none() {
            return Err(wrong(format!(
                "Cannot use supplied collection '{name}': unable to locate collection {name}"
            )));
        }
    }
    Ok(arguments.plugin.clone())
}

/// All pages by their types and names.
fn everything(arguments: &Arguments) -> Json {
    let kinds = types().into_iter().filter(|kind| *kind != "role");
    let all: Map<String, Json> = kinds
        .map(|kind| {
            let page = |name: &str| match kind {
                "module" => module_page(name),
                "keyword" => page::of_keyword(name),
                kind => plugin(kind, name),
            };
            let pages = names(kind).into_iter();
            let pages = pages.filter_map(|(name, _)| Some((name.clone(), page(&name)?.json())));
            ((*kind).to_owned(), Json::Object(pages.collect()))
        })
        .collect();
    let roles = role::pages(&role_folders(arguments), None).into_iter();
    let roles: Map<String, Json> = roles.map(|page| (page.name.clone(), page.json())).collect();
    let mut all = all;
    all.insert("role".to_owned(), Json::Object(roles));
    json!({ "all": all })
}

/// Ansible goes on with a warning, and so do we, with the name that may be meant.
fn missing(arguments: &Arguments, name: &str) -> Diagnostic {
    let text = match arguments.r#type.as_str() {
        "keyword" => format!("Skipping invalid keyword '{name}': '{name}'"),
        _ => format!("{name} was not found"),
    };
    let problem = Diagnostic::warning("unknown-plugin", text);
    let known = names(&arguments.r#type);
    let short = known
        .iter()
        .map(|(known, _)| known.rsplit('.').next().unwrap_or(known));
    match nearest(name, short) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

/// All names of a type in their order, with what they are.
fn names(kind: &str) -> Vec<(String, String)> {
    let builtin = |name: &str| match name.contains('.') {
        true => name.to_owned(),
        false => format!("ansible.builtin.{name}"),
    };
    let mut all: Vec<(String, String)> = match kind {
        "module" => {
            let modules = registry::modules().map(|module| (module.name, module.doc));
            let actions = table::ACTIONS.iter().map(|row| (row.name, row.doc));
            let all: BTreeMap<&str, &str> = modules.chain(actions).collect();
            let line = |(name, doc): (&str, &str)| (name.to_owned(), first_line(doc));
            all.into_iter().map(line).collect()
        }
        "keyword" => KEYWORDS
            .iter()
            .map(|row| (row.name.to_owned(), row.doc.to_owned()))
            .collect(),
        "callback" => crate::report::VIEWS
            .iter()
            .map(|(name, doc)| (builtin(name), (*doc).to_owned()))
            .collect(),
        "filter" | "test" | "lookup" => template::documents(kind)
            .into_iter()
            .map(|(name, doc)| (name, doc.to_owned()))
            .collect(),
        _ => PLUGINS
            .iter()
            .filter(|(of, ..)| *of == kind)
            .map(|(_, name, doc)| (builtin(name), (*doc).to_owned()))
            .collect(),
    };
    all.sort();
    all
}

fn plugin(kind: &str, name: &str) -> Option<Page> {
    let (full, doc) = names(kind)
        .into_iter()
        .find(|(full, _)| full == name || full.strip_prefix("ansible.builtin.") == Some(name))?;
    Some(Page::plain(kind, &full, &doc))
}

fn list(arguments: &Arguments, roles: &[Page], collections: &[String]) -> String {
    if arguments.r#type == "role" {
        return role::list(roles, arguments.json);
    }
    let mut all = names(&arguments.r#type);
    if !collections.is_empty() {
        all.retain(|(name, _)| {
            let collection = name
                .rsplit_once('.')
                .map_or("", |(collection, _)| collection);
            collections.iter().any(|wanted| wanted == collection)
        });
    }
    if arguments.r#type == "keyword" && !arguments.json {
        return all
            .iter()
            .map(|(name, doc)| format!("{name}: {doc}\n"))
            .collect();
    }
    if arguments.list_files {
        let program = std::env::current_exe().unwrap_or_default();
        for (_, doc) in &mut all {
            *doc = program.display().to_string();
        }
    }
    if arguments.json {
        let all: Map<String, Json> = all
            .into_iter()
            .map(|(name, doc)| (name, json!(doc)))
            .collect();
        return pretty(&Json::Object(all));
    }
    let width = all.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = all
        .iter()
        .map(|(name, doc)| format!("{name:<width$} {doc}\n"));
    lines.collect()
}

fn role_folders(arguments: &Arguments) -> Vec<PathBuf> {
    let base = arguments.base.playbook_dir.clone();
    let mut folders = vec![base.unwrap_or_default().join("roles")];
    let given = arguments.roles_path.iter();
    folders.extend(given.flat_map(|paths| std::env::split_paths(paths)));
    if arguments.roles_path.is_empty() {
        folders.extend(session::config(&mut vec![]).path_list("roles_path"));
    }
    folders
}

fn pretty(value: &Json) -> String {
    let mut text = vec![];
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, indent);
    // Writing into memory does not fail.
    let _ = serde::Serialize::serialize(value, &mut writer);
    text.push(b'\n');
    String::from_utf8_lossy(&text).into_owned()
}

fn first_line(doc: &str) -> String {
    doc.trim().lines().next().unwrap_or_default().to_owned()
}
