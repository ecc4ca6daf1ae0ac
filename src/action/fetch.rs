//! `fetch`: files of the target to the controller.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rplay_modules::data::Data;
use rplay_modules::machine::attrs::os_error;
use rplay_modules::machine::digest::Sums;
use rplay_modules::map;

use super::{ActionError, TaskResult};
use crate::files::Part;
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
    let shown = place.display().to_string();
    let old = {
        let place = place.clone();
        let read = tokio::task::spawn_blocking(move || sums(&place));
        read.await.ok().flatten()
    };
    let known = old.as_ref().map(|(sum, _)| sum.clone());
    let r#become = context.r#become.clone();
    let mut new = New {
        place: &place,
        part: None,
        fault: None,
    };
    let read = context
        .link()?
        .fetch_into(r#become.as_ref(), Path::new(&src), known, &mut new)
        .await?;
    let untransferred = |error: io::Error| {
        let error = os_error(&error, &place);
        ActionError::new(format!("Failed to transfer file to '{shown}': {error}"))
    };
    let is_folder = flat && !dest.ends_with('/') && place.is_dir();
    let (sum, md5) = match (read, new.fault.take()) {
        (Err(reason), None) => return Ok(unread(&src, &reason, fail_on_missing)),
        _ if is_folder => {
            return Ok(TaskResult::failed(
                "dest is an existing directory, use a trailing slash if you want to fetch src into that directory",
            ));
        }
        (_, Some(fault)) => return Err(untransferred(fault)),
        (Ok(None), None) => {
            let (sum, md5) = old.unwrap_or_default();
            return Ok(TaskResult::ok(
                map! { "checksum" => sum, "dest" => shown, "file" => src, "md5sum" => md5 },
            ));
        }
        (Ok(Some(sums)), None) => sums,
    };
    new.keep().map_err(untransferred)?;
    let result = map! {
        "checksum" => sum.as_str(), "dest" => shown, "md5sum" => md5, "remote_checksum" => sum.as_str(),
        "remote_md5sum" => Data::Null,
    };
    Ok(TaskResult::changed(true, result))
}

/// The SHA-1 and MD5 of a file of the controller, if it is one that can be read. Devices and pipes have no end.
fn sums(path: &Path) -> Option<(String, String)> {
    path.metadata().ok().filter(Metadata::is_file)?;
    let mut sums = Sums::default();
    io::copy(&mut File::open(path).ok()?, &mut sums).ok()?;
    Some(sums.end())
}

/// What is fetched, once something of it has come.
struct New<'a> {
    place: &'a Path,
    part: Option<Part>,
    /// Why it cannot be written.
    fault: Option<io::Error>,
}

impl New<'_> {
    fn part(&mut self) -> io::Result<&mut Part> {
        let part = match self.part.take() {
            Some(part) => part,
            None => Part::create(self.place)?,
        };
        Ok(self.part.insert(part))
    }

    /// It is complete.
    fn keep(mut self) -> io::Result<()> {
        // An empty file has no pieces.
        self.part()?;
        self.part.map_or(Ok(()), Part::keep)
    }
}

impl Write for New<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.part().and_then(|part| part.write(bytes));
        written.map_err(|error| {
            let kind = error.kind();
            self.fault = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
