//! `unarchive`: an archive of the controller, or one that the target has.

use rplay_modules::data::Data;

use super::{ActionError, TaskResult, copy};
use crate::run::context::Context;

/// Unpacks an archive.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    let remote = match (context.bool("copy")?, context.bool("remote_src")?) {
        (Some(_), Some(_)) => {
            let text = "parameters are mutually exclusive: ('copy', 'remote_src')";
            return Err(ActionError::Denied(text.to_owned()));
        }
        (Some(copy), None) => !copy,
        (None, remote) => remote.unwrap_or(false),
    };
    let (Some(src), Some(_)) = (context.text("src")?, context.text("dest")?) else {
        let text = "src (or content) and dest are required";
        return Err(ActionError::Denied(text.to_owned()));
    };
    let mut args = context.data_args()?;
    args.shift_remove("copy");
    args.shift_remove("remote_src");
    if !remote {
        let file = context
            .find_file("files", &src)
            .ok_or_else(|| copy::missing(context, "Task failed", &src))?;
        let content = copy::local(context, &file)?;
        copy::send(context, &mut args, content).await?;
        args.insert("src".to_owned(), Data::from(file.display().to_string()));
    }
    let result = context
        .call_module("ansible.builtin.unarchive", &args)
        .await?;
    let msg = result.result.get("msg").and_then(Data::as_str);
    match msg.filter(|msg| result.failed && msg.starts_with("dest '")) {
        // Ansible looks at the folder before it runs the module.
        Some(msg) => Err(ActionError::Denied(msg.to_owned())),
        None => Ok(result),
    }
}
