//! `assemble` of files of the controller: put together here, written by `copy` on the target.

use rplay_modules::builtin::assemble::{Choice, Joined};
use rplay_modules::data::Data;

use super::{ActionError, TaskResult, copy, module};
use crate::connect::Content;
use crate::run::context::Context;

/// Puts the files of a folder together.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let (Some(src), Some(_)) = (context.text("src")?, context.text("dest")?) else {
        return Err(ActionError::Denied("src and dest are required".to_owned()));
    };
    if context.bool("remote_src")?.unwrap_or(true) {
        return module::call_named(context, "ansible.builtin.assemble").await;
    }
    let folder = context
        .find_file("files", &src)
        .ok_or_else(|| copy::missing(context, "Task failed", &src))?;
    if !folder.is_dir() {
        let text = format!("Source ({}) is not a directory", folder.display());
        return Err(ActionError::Denied(text));
    }
    let regexp = context.text("regexp")?;
    let hidden = context.bool("ignore_hidden")?.unwrap_or(false);
    let failed = |failure| ActionError::Failed(Box::new(failure));
    let choice = Choice::new(regexp.as_deref(), hidden).map_err(failed)?;
    let mut joined = Joined::new(context.text("delimiter")?.as_deref());
    for entry in walkdir::WalkDir::new(&folder)
        .min_depth(1)
        .max_depth(1)
        .follow_links(true)
        .sort_by_file_name()
    {
        let entry = entry
            .map_err(|error| ActionError::new(format!("cannot read the source folder: {error}")))?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_file() && choice.takes(&name).map_err(failed)? {
            joined.add(&copy::read_local(context, entry.path())?);
        }
    }
    let mut args = context.data_args()?;
    for name in ["src", "remote_src", "regexp", "ignore_hidden", "delimiter"] {
        args.shift_remove(name);
    }
    let label = folder.display().to_string();
    let mut result = copy::write(context, args, Content::Bytes(joined.bytes), None, &label).await?;
    result.result.insert("src".to_owned(), Data::from(label));
    Ok(result)
}
