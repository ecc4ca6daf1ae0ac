//! Programs and files of a host, by the modules that do such work there.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use crate::action::{ActionError, TaskResult};
use crate::run::context::Context;

/// What a program left.
pub(super) struct Ran {
    pub(super) code: i128,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// What the module said where it could not be started.
    pub(super) msg: String,
}

/// A program to run.
pub(super) struct Program<'a> {
    pub(super) argv: Vec<String>,
    pub(super) stdin: Option<&'a str>,
    pub(super) env: Vec<(String, String)>,
    /// The folder that it runs in.
    pub(super) chdir: Option<String>,
}

impl Program<'_> {
    pub(super) fn new(argv: &[&str]) -> Self {
        Self {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            stdin: None,
            env: vec![],
            chdir: None,
        }
    }

    /// Runs it, also in check mode: what it is used for changes nothing there.
    pub(super) async fn run(self, context: &mut Context<'_>) -> Result<Ran, ActionError> {
        let mut args = map! {
            "argv" => self.argv,
            "strip_empty_ends" => false,
        };
        if let Some(stdin) = self.stdin {
            args.insert("stdin".to_owned(), stdin.into());
            args.insert("stdin_add_newline".to_owned(), false.into());
        }
        if let Some(folder) = self.chdir {
            args.insert("chdir".to_owned(), folder.into());
        }
        let before = context.environment.clone();
        for (name, value) in self.env {
            context.environment.retain(|(known, _)| *known != name);
            context.environment.push((name, value));
        }
        let result = really(context, "ansible.builtin.command", &args).await;
        context.environment = before;
        let result = result?.result;
        let text = |name: &str| result.get(name).map(Data::text).unwrap_or_default();
        Ok(Ran {
            code: result.get("rc").and_then(Data::as_int).unwrap_or(1),
            stdout: text("stdout"),
            stderr: text("stderr"),
            msg: text("msg"),
        })
    }
}

/// Calls a module outside of check mode and without a diff.
async fn really(
    context: &mut Context<'_>,
    module: &str,
    args: &Map,
) -> Result<TaskResult, ActionError> {
    let (check, diff) = (context.check, context.diff);
    context.check = false;
    context.diff = false;
    let result = context.call_module(module, args).await;
    context.check = check;
    context.diff = diff;
    result
}

/// The user's home on the host.
pub(super) async fn home(context: &mut Context<'_>) -> Result<String, ActionError> {
    let r#become = context.r#become.clone();
    let hello = context.link()?.hello(r#become.as_ref()).await?;
    Ok(hello.process.home.display().to_string())
}

/// A path of the host with `~` and `$NAME` in it replaced.
pub(super) async fn expand(context: &mut Context<'_>, path: &str) -> Result<String, ActionError> {
    let mut path = path.to_owned();
    if path == "~" || path.starts_with("~/") {
        path = format!("{}{}", home(context).await?, &path[1..]);
    }
    while let Some(start) = path.find('$') {
        let rest = &path[start + 1..];
        let name: String = match rest.strip_prefix('{') {
            Some(inner) => inner.chars().take_while(|&c| c != '}').collect(),
            None => rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect(),
        };
        let braces = if rest.starts_with('{') { 2 } else { 0 };
        let Some(value) = super::variable(context, &name).await? else {
            break;
        };
        if value.contains('$') {
            break;
        }
        let end = (start + 1 + name.len() + braces).min(path.len());
        path.replace_range(start..end, &value);
    }
    Ok(path)
}

/// The content of a file as tasks see it: in check mode with what earlier ones would have written.
pub(super) async fn read(
    context: &mut Context<'_>,
    path: &str,
) -> Result<Option<Vec<u8>>, ActionError> {
    let args = map! { "src" => path };
    let result = context.call_module("ansible.builtin.slurp", &args).await?;
    if result.failed {
        let msg = result.result.get("msg").map(Data::text).unwrap_or_default();
        return match msg.contains("not found") || msg.contains("No such file") {
            true => Ok(None),
            false => Err(ActionError::new(msg)),
        };
    }
    let content = result.result.get("content").map(Data::text);
    let content = STANDARD.decode(content.unwrap_or_default());
    content
        .map(Some)
        .map_err(|error| ActionError::new(error.to_string()))
}

/// The content of a file as it is.
pub(super) async fn on_disk(
    context: &mut Context<'_>,
    path: &str,
) -> Result<Option<Vec<u8>>, ActionError> {
    let r#become = context.r#become.clone();
    let link = context.link()?;
    Ok(link.fetch(r#become.as_ref(), Path::new(path)).await?.ok())
}

/// Writes a file of the user's own, in one step; in check mode it is only noted.
pub(super) async fn write(
    context: &mut Context<'_>,
    path: &str,
    content: &str,
) -> Result<(), ActionError> {
    let diff = std::mem::replace(&mut context.diff, false);
    let folder = Path::new(path)
        .parent()
        .map(|folder| folder.display().to_string());
    let mut result = TaskResult::default();
    if let Some(folder) = folder {
        let args = map! { "path" => folder.clone() };
        let known = context.call_module("ansible.builtin.stat", &args).await?;
        let is_there = known.result.get("stat").and_then(|stat| stat.get("exists"));
        if is_there != Some(&Data::Bool(true)) {
            let args = map! { "path" => folder, "state" => "directory", "mode" => "0700" };
            result = context.call_module("ansible.builtin.file", &args).await?;
        }
    }
    if !result.failed {
        let args = map! { "dest" => path, "content" => content, "mode" => "0600" };
        result = context.call_module("ansible.builtin.copy", &args).await?;
    }
    context.diff = diff;
    match result.failed {
        false => Ok(()),
        true => {
            let msg = result.result.get("msg").map(Data::text).unwrap_or_default();
            Err(ActionError::new(msg))
        }
    }
}
