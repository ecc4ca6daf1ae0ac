//! `fetch`: files of the target to the controller.

use std::path::{Path, PathBuf};

use rplay_modules::data::Data;
use rplay_modules::machine::attrs::os_error;
use rplay_modules::machine::digest::Sums;
use rplay_modules::map;

use super::{ActionError, TaskResult};
use crate::run::context::{Context, expand_home};

/// Fetches one file.
pub(super) async fn run(context: &mut Context<'_>) -> Result<TaskResult, ActionError> {
    if context.check {
        // What it would bring may not be there yet.
        let text = "check mode not (yet) supported for this module";
        return Ok(TaskResult::not_run(text));
    }
    context.only_known()?;
    let (Some(src), Some(dest)) = (context.text("src")?, context.text("dest")?) else {
        return Err(ActionError::new("src and dest are required"));
    };
    let flat = context.bool("flat")?.unwrap_or(false);
    let fail_on_missing = context.bool("fail_on_missing")?.unwrap_or(true);
    let place = destination(context, &src, &dest, flat);
    let r#become = context.r#become.clone();
    let bytes = match context
        .link()?
        .fetch(r#become.as_ref(), Path::new(&src))
        .await?
    {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(unread(&src, &reason, fail_on_missing)),
    };
    if flat && !dest.ends_with('/') && place.is_dir() {
        return Ok(TaskResult::failed(
            "dest is an existing directory, use a trailing slash if you want to fetch src into that directory",
        ));
    }
    let mut sums = Sums::default();
    sums.add(&bytes);
    let (sum, md5) = sums.end();
    let shown = place.display().to_string();
    if std::fs::read(&place).is_ok_and(|old| old == bytes) {
        return Ok(TaskResult::ok(
            map! { "checksum" => sum, "dest" => shown, "file" => src, "md5sum" => md5 },
        ));
    }
    crate::files::write(&place, &bytes).map_err(|error| {
        let error = os_error(&error, &place);
        ActionError::new(format!("Failed to transfer file to '{shown}': {error}"))
    })?;
    let result = map! {
        "checksum" => sum.as_str(), "dest" => shown, "md5sum" => md5, "remote_checksum" => sum.as_str(),
        "remote_md5sum" => Data::Null,
    };
    Ok(TaskResult::changed(true, result))
}

/// The result for a file that cannot be read, for the system's reason.
fn unread(src: &str, reason: &str, fail_on_missing: bool) -> TaskResult {
    const GOES_ON: &str = ", not transferring, ignored";
    let missing = reason.contains("No such file") || reason.contains("not found");
    let msg = match missing {
        true => format!("the remote file does not exist{GOES_ON}"),
        false if reason.contains("Is a directory") => {
            "remote file is a directory, fetch cannot work on directories".to_owned()
        }
        false => format!("the remote file is not readable: {reason}"),
    };
    if !fail_on_missing {
        let msg = format!("{}{GOES_ON}", msg.trim_end_matches(GOES_ON));
        return TaskResult::ok(map! { "msg" => msg, "file" => src });
    }
    let shown = Data::from(src).repr();
    let explanation =
        || format!("File not found: {src}: [Errno 2] No such file or directory: {shown}");
    TaskResult {
        explanation: missing.then(explanation),
        ..TaskResult::failed(msg)
    }
}

/// Where the file goes: under the host's name, or with `flat` as `dest` says.
fn destination(context: &Context<'_>, src: &str, dest: &str, flat: bool) -> PathBuf {
    let base = if Path::new(dest).is_absolute() || dest.starts_with("~/") {
        expand_home(dest)
    } else {
        context.run.playbook_dir.join(dest)
    };
    match (flat, dest.ends_with('/')) {
        (true, true) => base.join(Path::new(src).file_name().unwrap_or_default()),
        (true, false) => base,
        (false, _) => base.join(context.host).join(src.trim_start_matches('/')),
    }
}
