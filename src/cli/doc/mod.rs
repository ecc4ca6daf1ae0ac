//! `rplay doc`, Ansible's `ansible-doc`: what modules and plugins take and return, from the tables that
//! run them.

mod page;
mod role;

use std::path::PathBuf;

use clap::Parser;
use rplay_modules::registry;
use serde_json::{Map, Value as Json, json};

use self::page::Page;
use super::options::{BaseDir, Verbosity};
use super::programs::{Call, parse};
use super::{CommandError, Exit, finish, session, tell};
use crate::diag::{Diagnostic, nearest};
use crate::load::keyword::KEYWORDS;
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
    #[arg(short, long, value_name = "TYPE", default_value = "module", value_parser = TYPES.to_vec())]
    r#type: String,
    /// List them; names are collections then
    #[arg(short, long, conflicts_with = "snippet")]
    list: bool,
    /// A task to copy
    #[arg(short, long)]
    snippet: bool,
    /// JSON
    #[arg(short, long)]
    json: bool,
    /// Folders of roles, with colons between them
    #[arg(short, long, value_name = "PATH")]
    roles_path: Option<String>,
    /// This entry point of roles only
    #[arg(short, long, value_name = "ENTRY_POINT")]
    entry_point: Option<String>,
    #[command(flatten)]
    base: BaseDir,
}

/// Types that have documents here.
const TYPES: [&str; 11] = [
    "module",
    "filter",
    "test",
    "lookup",
    "callback",
    "role",
    "keyword",
    "become",
    "connection",
    "strategy",
    "inventory",
];

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
];

/// Runs the program.
pub(super) fn main(call: &Call) -> Exit {
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(&arguments), &Secrets::default()),
        Err(exit) => exit,
    }
}

fn run(arguments: &Arguments) -> Result<Exit, CommandError> {
    let pages = if arguments.r#type == "role" {
        role::pages(&role_folders(arguments), arguments.entry_point.as_deref())
    } else {
        vec![]
    };
    if arguments.list {
        crate::report::print(&list(arguments, &pages));
        return Ok(Exit::Ok);
    }
    if arguments.plugin.is_empty() {
        let text = "Missing name(s), incorrect options passed for detailed documentation.";
        let problem = Diagnostic::error("doc", text).hint("`rplay doc -l` lists modules");
        return Err(CommandError::new(Exit::Options, problem));
    }
    let mut found: Vec<(&str, Page)> = vec![];
    for name in &arguments.plugin {
        let page = match arguments.r#type.as_str() {
            "module" => registry::find(name).map(page::of_module),
            "role" => pages.iter().find(|page| page.name == *name).cloned(),
            kind => plugin(kind, name),
        };
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
    } else if arguments.snippet {
        found.iter().map(|(_, page)| page.snippet()).collect()
    } else {
        let texts: Vec<String> = found.iter().map(|(_, page)| page.text()).collect();
        texts.join("\n")
    };
    crate::report::print(&text);
    Ok(Exit::Ok)
}

/// The page of a module, for the console.
pub(super) fn module(name: &str) -> Option<String> {
    registry::find(name).map(|module| page::of_module(module).text())
}

/// Ansible goes on with a warning, and so do we, with the name that may be meant.
fn missing(arguments: &Arguments, name: &str) -> Diagnostic {
    let problem = Diagnostic::warning("unknown-plugin", format!("{name} was not found"));
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
        "module" => registry::modules()
            .map(|module| (module.name.to_owned(), first_line(module.doc)))
            .collect(),
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

fn list(arguments: &Arguments, roles: &[Page]) -> String {
    if arguments.r#type == "role" {
        return role::list(roles, arguments.json);
    }
    let mut all = names(&arguments.r#type);
    if !arguments.plugin.is_empty() {
        all.retain(|(name, _)| {
            let collection = name
                .rsplit_once('.')
                .map_or("", |(collection, _)| collection);
            arguments.plugin.iter().any(|wanted| wanted == collection)
        });
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
    match &arguments.roles_path {
        Some(paths) => folders.extend(paths.split(':').map(PathBuf::from)),
        None => folders.extend(session::config(&mut vec![]).path_list("roles_path")),
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
