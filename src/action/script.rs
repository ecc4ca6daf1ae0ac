//! `script` and `raw`.

use rplay_modules::data::{Data, Map};
use rplay_modules::map;

use super::{ActionError, TaskResult};
use crate::run::context::{Context, timestamp};

/// Runs a script of the controller on the target.
pub(super) async fn script(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only(&[
        "cmd",
        "chdir",
        "creates",
        "removes",
        "executable",
        "decrypt",
    ])?;
    let line = match context.text("cmd")? {
        Some(line) => Some(line),
        None => context.free_form()?,
    };
    let Some(line) = line else {
        return Err(ActionError::new("no command given"));
    };
    let mut words = split_words(&line);
    if words.is_empty() {
        return Err(ActionError::new("no command given"));
    }
    let name = words.remove(0);
    let path = context
        .find_file("files", &name)
        .ok_or_else(|| context.missing_file("files", &name))?;
    let source = context
        .run
        .planner
        .files
        .read(&path)
        .map_err(|problem| ActionError::new(problem.to_string()))?;
    let mut args = map! { "_script" => Data::Bytes(source.text.clone().into_bytes()) };
    args.insert("_argv".to_owned(), Data::from(words));
    for name in ["chdir", "creates", "removes", "executable"] {
        args.extend(
            context
                .text(name)?
                .map(|text| (name.to_owned(), Data::Str(text))),
        );
    }
    context.call_module("ansible.builtin.script", &args).await
}

pub(super) use script as run;

/// Runs a line in the target's shell, without the agent.
pub(super) async fn raw(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only(&["executable"])?;
    let Some(line) = context.free_form()? else {
        return Err(ActionError::new("no command given"));
    };
    let executable = context.text("executable")?;
    if context.check {
        return Ok(TaskResult {
            skipped: true,
            ..TaskResult::default()
        });
    }
    let start = timestamp();
    let r#become = context.r#become.clone();
    let output = context
        .link()?
        .raw(r#become.as_ref(), &line, executable.as_deref())
        .await?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let _ = start;
    let mut result: Map =
        map! { "rc" => output.code, "stdout" => stdout.as_str(), "stderr" => stderr.as_str() };
    result.insert("stdout_lines".to_owned(), lines(&stdout));
    result.insert("stderr_lines".to_owned(), lines(&stderr));
    if output.code != 0 {
        result.insert("msg".to_owned(), Data::from("non-zero return code"));
    }
    Ok(TaskResult {
        failed: output.code != 0,
        ..TaskResult::changed(true, result)
    })
}

fn lines(text: &str) -> Data {
    text.lines().map(str::to_owned).collect::<Vec<_>>().into()
}

/// Splits a line at blanks outside of quotes.
pub(crate) fn split_words(line: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') | (Some('"'), '\\') => word.get_or_insert_default().extend(letters.next()),
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
