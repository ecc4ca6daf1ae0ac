//! `script` and `raw`.

use rplay_modules::data::{Data, Map};
use rplay_modules::map;
use rplay_modules::text::split_words;

use super::{ActionError, TaskResult, copy};
use crate::run::context::Context;

/// Runs a script of the controller on the target.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let line = match context.text("cmd")? {
        Some(line) => Some(line),
        None => context.free_form()?,
    };
    let Some(line) = line else {
        return Err(ActionError::new("no command given"));
    };
    let mut words = split_words(&line).map_err(ActionError::new)?;
    if words.is_empty() {
        return Err(ActionError::new("no command given"));
    }
    let name = words.remove(0);
    let path = context
        .find_file("files", &name)
        .ok_or_else(|| context.missing_file("files", &name))?;
    let script = copy::local(context, &path)?;
    let mut args = map! { "_argv" => Data::from(words) };
    copy::send(context, &mut args, script).await?;
    for name in ["chdir", "creates", "removes", "executable"] {
        args.extend(
            context
                .text(name)?
                .map(|text| (name.to_owned(), Data::Str(text))),
        );
    }
    context.call_module("ansible.builtin.script", &args).await
}

/// Runs a line in the target's shell, without the agent.
pub(super) async fn raw(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let Some(line) = context.free_form()? else {
        return Err(ActionError::new("no command given"));
    };
    let executable = context.text("executable")?;
    let executable = executable.or_else(|| context.run.config.chosen("executable"));
    if context.check {
        return Ok(TaskResult {
            skipped: true,
            not_run: true,
            ..TaskResult::default()
        });
    }
    let r#become = context.r#become.clone();
    let output = context
        .link()?
        .raw(r#become.as_ref(), &line, executable.as_deref())
        .await?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
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
