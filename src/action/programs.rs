//! Programs and files of a host, by the modules that do such work there.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use super::{ActionError, TaskResult};
use crate::run::context::Context;

/// What a program left.
#[derive(Default)]
pub(crate) struct Ran {
    pub(crate) code: i128,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// What the module said where it could not be started.
    pub(crate) msg: String,
}

/// A program to run.
pub(crate) struct Program<'a> {
    pub(crate) argv: Vec<String>,
    pub(crate) stdin: Option<&'a str>,
    pub(crate) env: Vec<(String, String)>,
    /// The folder that it runs in.
    pub(crate) chdir: Option<String>,
}

impl Program<'_> {
    pub(crate) fn new(argv: &[&str]) -> Self {
        Self {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            stdin: None,
            env: vec![],
            chdir: None,
        }
    }

    /// Runs it, also in check mode: what it is used for changes nothing there.
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Ran, ActionError> {
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

/// A line of a script that gives a command this text to read. No line of the text can end it early.
pub(crate) fn reading(command: &str, text: &str) -> String {
    let mut end = "end-of-text".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('-');
    }
    let gap = match text.is_empty() || text.ends_with('\n') {
        true => "",
        false => "\n",
    };
    format!("{command} <<'{end}'\n{text}{gap}{end}\n")
}

/// A script for `sh -s` that puts files into a folder of its user's alone, `"$d/0"` and so on, runs commands and takes
/// the folder away again, however they end.
pub(crate) fn with_files(files: &[&str], commands: &str) -> String {
    let mut script = "set -e\numask 077\nd=$(mktemp -d)\ntrap 'rm -rf \"$d\"' EXIT\ntrap 'exit 1' HUP INT TERM\n".to_owned();
    for (at, text) in files.iter().enumerate() {
        script += &reading(&format!("cat >\"$d/{at}\""), text);
    }
    script + commands
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

/// Why a module failed.
fn message(result: &TaskResult) -> String {
    result.result.get("msg").map(Data::text).unwrap_or_default()
}

/// The user's home on the host.
pub(crate) async fn home(context: &mut Context<'_>) -> Result<String, ActionError> {
    let r#become = context.r#become.clone();
    let hello = context.link()?.hello(r#become.as_ref()).await?;
    Ok(hello.process.home.display().to_string())
}

/// A variable of the task's environment, or of the user's on the host.
pub(crate) async fn variable(
    context: &mut Context<'_>,
    name: &str,
) -> Result<Option<String>, ActionError> {
    let own = context.environment.iter().find(|(known, _)| known == name);
    if let Some((_, value)) = own {
        return Ok(Some(value.clone()).filter(|value| !value.is_empty()));
    }
    let r#become = context.r#become.clone();
    let link = context.link()?;
    let found = match link.is_local() && r#become.is_none() {
        true => std::env::var(name).ok(),
        false => {
            let hello = link.hello(r#become.as_ref()).await?;
            hello.process.env.get(name).cloned()
        }
    };
    Ok(found.filter(|value| !value.is_empty()))
}

/// A path of the host with `~` and `$NAME` in it replaced.
pub(crate) async fn expand(context: &mut Context<'_>, path: &str) -> Result<String, ActionError> {
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
        let Some(value) = variable(context, &name).await? else {
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
pub(crate) async fn read(
    context: &mut Context<'_>,
    path: &str,
) -> Result<Option<Vec<u8>>, ActionError> {
    let args = map! { "src" => path };
    let result = context.call_module("ansible.builtin.slurp", &args).await?;
    if result.failed {
        let msg = message(&result);
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
pub(crate) async fn on_disk(
    context: &mut Context<'_>,
    path: &str,
) -> Result<Option<Vec<u8>>, ActionError> {
    let r#become = context.r#become.clone();
    let link = context.link()?;
    Ok(link.fetch(r#become.as_ref(), Path::new(path)).await?.ok())
}

/// Writes a file of the user's own, in one step; in check mode it is only noted.
pub(crate) async fn write(
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
        true => Err(ActionError::new(message(&result))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell makes of a script.
    fn ran(script: &str) -> String {
        let ran = std::process::Command::new("sh")
            .args(["-c", script])
            .output();
        String::from_utf8_lossy(&ran.expect("a shell").stdout).into_owned()
    }

    #[test]
    fn no_text_ends_early() {
        for text in [
            "a\nend-of-text\necho no\n",
            "end-of-text",
            "$HOME `id` \\ '\"\n",
            "",
            "a\r\nend-of-text\r\n",
            "end-of-text\nend-of-text-\n",
        ] {
            let script = with_files(
                &[text, "other\n"],
                "cat \"$d/0\"; cat \"$d/1\"; echo \"$d\"\n",
            );
            let said = ran(&script);
            let gap = if text.is_empty() || text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            let folder = said.lines().last().unwrap_or_default();
            assert_eq!(said, format!("{text}{gap}other\n{folder}\n"));
            assert!(
                folder.starts_with('/') && !Path::new(folder).exists(),
                "{folder}"
            );
        }
    }
}
