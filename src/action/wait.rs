//! `pause` and `wait_for_connection`.

use std::time::{Duration, Instant};

use rplay_modules::map;
use rplay_modules::text::float;

use super::{ActionError, TaskResult};
use crate::run::context::{Context, to_float};
use crate::template::value::Value;

/// Waits for a time, or for the user.
pub(super) async fn pause(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let minutes = time(context, "minutes")?;
    let seconds = time(context, "seconds")?;
    if minutes.is_some() && seconds.is_some() {
        let text = "parameters are mutually exclusive: minutes|seconds".to_owned();
        return Err(ActionError::Denied(text));
    }
    let echo = context.bool("echo")?.unwrap_or(true);
    let prompt = context.text("prompt")?;
    let start = crate::run::context::timestamp();
    let begin = Instant::now();
    let mut input = String::new();
    let wait = minutes.map(|minutes| minutes * 60.0).or(seconds);
    match wait {
        Some(seconds) => {
            // Whole seconds, one at least, as Ansible has it.
            let seconds = seconds.clamp(1.0, 1e9).trunc();
            let hidden = if echo { "" } else { " (output is hidden)" };
            (context.display)(&format!("Pausing for {seconds} seconds{hidden}"));
            if prompt.is_some() {
                (context.display)("(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)");
            }
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        }
        None => match answer(prompt, echo).await {
            Some(line) => input = line,
            None => context.warn("Not waiting for response to prompt as stdin is not interactive"),
        },
    }
    if !echo {
        // What must not be seen while it is typed must not be seen afterwards.
        context.run.planner.files.secrets.hidden.add(&input);
    }
    let passed = begin.elapsed().as_secs_f64();
    let round = |number: f64| float((number * 100.0).round() / 100.0);
    let shown = match minutes {
        Some(_) => format!("Paused for {} minutes", round(passed / 60.0)),
        None => format!("Paused for {} seconds", round(passed)),
    };
    Ok(TaskResult::ok(map! {
        "rc" => 0,
        "stdout" => shown.as_str(),
        "stdout_lines" => vec![shown.clone()],
        "stderr" => "",
        "stderr_lines" => Vec::<String>::new(),
        "start" => start,
        "stop" => crate::run::context::timestamp(),
        "delta" => passed as i64,
        "echo" => echo,
        "user_input" => input,
    }))
}

fn time(context: &Context<'_>, name: &str) -> Result<Option<f64>, ActionError> {
    let Some(value) = context.value(name)? else {
        return Ok(None);
    };
    to_float(&value).map(Some).ok_or_else(|| {
        let (kind, shown) = (value.type_name(), value.repr());
        ActionError::Denied(format!(
            "argument '{name}' is of type {kind} and we were unable to convert to int: invalid literal for int() with base 10: {shown}"
        ))
    })
}

/// An argument as whole seconds.
fn seconds(context: &Context<'_>, name: &str) -> Result<Option<f64>, ActionError> {
    let Some(value) = context.value(name)? else {
        return Ok(None);
    };
    let number = match &value {
        Value::Str(text) => text
            .as_str()
            .trim()
            .parse::<i64>()
            .ok()
            .map(|number| number as f64),
        other => to_float(other).map(f64::trunc),
    };
    number.map(Some).ok_or_else(|| {
        ActionError::Bare(match &value {
            Value::Str(_) => format!("invalid literal for int() with base 10: {}", value.repr()),
            other => format!(
                "int() argument must be a string, a bytes-like object or a real number, not '{}'",
                other.type_name()
            ),
        })
    })
}

/// What the user answers; `None` where nobody can be asked.
async fn answer(prompt: Option<String>, echo: bool) -> Option<String> {
    const QUESTION: &str = "Press enter to continue, Ctrl+C to interrupt";
    let question = format!("{}: ", prompt.as_deref().unwrap_or(QUESTION));
    // On a thread of its own, so that an interrupt ends the run while nobody answers.
    let ask = move || crate::run::prompt::ask(&question, echo);
    tokio::task::spawn_blocking(ask).await.ok().flatten()
}

/// Waits until the host answers.
pub(super) async fn wait_for_connection(
    context: &mut Context<'_>,
) -> Result<TaskResult, ActionError> {
    context.only_known()?;
    let connect = seconds(context, "connect_timeout")?.unwrap_or(5.0);
    let delay = seconds(context, "delay")?.unwrap_or(0.0);
    let sleep = seconds(context, "sleep")?.unwrap_or(1.0);
    let timeout = seconds(context, "timeout")?.unwrap_or(600.0);
    let begin = Instant::now();
    if context.check {
        return Ok(TaskResult {
            skipped: true,
            ..TaskResult::default()
        });
    }
    tokio::time::sleep(Duration::from_secs_f64(delay.max(0.0))).await;
    loop {
        let attempt =
            tokio::time::timeout(Duration::from_secs_f64(connect.max(0.1)), context.hello()).await;
        let error = match attempt {
            Ok(Ok(())) => break,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "timed out".to_owned(),
        };
        context.reset_link();
        if begin.elapsed().as_secs_f64() > timeout {
            return Ok(TaskResult::failed(format!(
                "timed out waiting for ping module test: {error}"
            )));
        }
        tokio::time::sleep(Duration::from_secs_f64(sleep.max(0.05))).await;
    }
    Ok(TaskResult::ok(
        map! { "elapsed" => begin.elapsed().as_secs() as i64 },
    ))
}
