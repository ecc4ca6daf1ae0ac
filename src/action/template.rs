//! `template`: rendered on the controller, written by `copy` on the target.

use rplay_modules::data::Data;

use super::{ActionError, TaskResult, copy};
use crate::connect::Content;
use crate::run::context::Context;
use crate::run::unpredicted::look;
use crate::template::value::Value;
use crate::template::{self, FileOptions};
use crate::vars::{Level, VarMap};

/// Arguments that decide how the file is rendered; the others go to `copy`.
const RENDERING: &[&str] = &[
    "newline_sequence",
    "block_start_string",
    "block_end_string",
    "variable_start_string",
    "variable_end_string",
    "comment_start_string",
    "comment_end_string",
    "trim_blocks",
    "lstrip_blocks",
    "output_encoding",
];

/// Renders and writes a template.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let (Some(src), Some(dest)) = (context.text("src")?, context.text("dest")?) else {
        return Err(ActionError::new("src and dest are required"));
    };
    for refused in ["content", "remote_src", "directory_mode", "local_follow"] {
        if context.has(refused) {
            return Err(ActionError::new(format!(
                "Unsupported parameters for (template) module: {refused}."
            )));
        }
    }
    let options = options(context)?;
    let path = found(context, &src)?;
    let text = rendered(context, &src, Some(&dest), &options)?;
    let mut args = context.data_args()?;
    for name in RENDERING {
        args.shift_remove(*name);
    }
    let base = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if args.get("mode").and_then(Data::as_str) == Some("preserve") {
        args.insert("mode".to_owned(), copy::local_mode(&path));
    }
    args.shift_remove("src");
    args.insert(
        "follow".to_owned(),
        args.get("follow").cloned().unwrap_or(Data::Bool(false)),
    );
    copy::write(
        context,
        args,
        Content::Bytes(text.into_bytes()),
        Some(&base),
        &path.display().to_string(),
    )
    .await
}

/// Where a template is.
fn found(context: &Context<'_>, src: &str) -> Result<std::path::PathBuf, ActionError> {
    let found = context.find_file("templates", src);
    found.ok_or_else(|| context.missing_file("templates", src))
}

/// The text that a template makes.
pub(super) fn rendered(
    context: &mut Context<'_>,
    src: &str,
    dest: Option<&str>,
    options: &FileOptions,
) -> Result<String, ActionError> {
    let path = found(context, src)?;
    let source = context
        .run
        .planner
        .files
        .read(&path)
        .map_err(|problem| ActionError::new(problem.to_string()))?;
    if source.secret {
        context.run.hidden().add_template(&source.text);
    }
    let about: VarMap = template::about(src, &path, dest)
        .into_iter()
        .map(|(name, text)| (name.to_owned(), Value::str(text)))
        .collect();
    let scope = context.scope.with(Level::TaskVars, about);
    let scope = match path.parent() {
        Some(folder) => {
            let mut places = crate::template::Scope::search_path(context.scope);
            places.push(folder.to_path_buf());
            scope.with_search_path(&std::sync::Arc::new(places))
        }
        None => scope,
    };
    let seen = look(&scope, context.spec, |look| {
        let templar = &context.run.templar;
        templar.render_file(&path, &source.text, options, look)
    });
    context.unknown = seen.and_then(|(_, cause)| cause);
    let templar = &context.run.templar;
    Ok(
        match templar.render_file(&path, &source.text, options, &scope)? {
            Value::None => String::new(),
            value => value.text(),
        },
    )
}

fn options(context: &Context<'_>) -> Result<FileOptions, ActionError> {
    let mut options = FileOptions::default();
    let set = |name: &str, field: &mut Option<String>| -> Result<(), ActionError> {
        *field = context.text(name)?;
        Ok(())
    };
    set("block_start_string", &mut options.block_start_string)?;
    set("block_end_string", &mut options.block_end_string)?;
    set("variable_start_string", &mut options.variable_start_string)?;
    set("variable_end_string", &mut options.variable_end_string)?;
    set("comment_start_string", &mut options.comment_start_string)?;
    set("comment_end_string", &mut options.comment_end_string)?;
    if let Some(text) = context.text("newline_sequence")? {
        options.newline_sequence = text.replace("\\r", "\r").replace("\\n", "\n");
    }
    if let Some(encoding) = context.text("output_encoding")?
        && !["utf-8", "utf8"].contains(&encoding.to_ascii_lowercase().as_str())
    {
        return Err(ActionError::new(format!(
            "output_encoding `{encoding}` is not supported, only utf-8"
        )));
    }
    options.beside_last = true;
    options.trim_blocks = context.bool("trim_blocks")?.unwrap_or(true);
    options.lstrip_blocks = context.bool("lstrip_blocks")?.unwrap_or(false);
    Ok(options)
}
