//! The log file (`log_path`): what is shown, without colours, each message after its time, process
//! and user.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;

use jiff::Zoned;

use crate::config::Config;

/// The log of this process. It is set once, after the settings were read, and every message goes
/// the same way from then on: those of the command line as well as those of views.
static LOG: OnceLock<Log> = OnceLock::new();

/// An open log.
pub(crate) struct Log {
    file: File,
    user: String,
    /// `log_verbosity`: verbose lines up to this level are logged even when they are not shown.
    verbosity: Option<u8>,
}

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    Warning,
    Error,
}

/// Opens the log that the settings name. Output of tasks may be private: the owner alone reads it.
///
/// # Errors
///
/// The file cannot be opened.
pub(crate) fn open(config: &Config) -> std::io::Result<()> {
    let Some(path) = config.path("log_path") else {
        return Ok(());
    };
    let file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)?;
    let user = std::env::var("LOGNAME")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string());
    let verbosity = config
        .int("log_verbosity")
        .and_then(|level| u8::try_from(level).ok());
    // Only the first run of a process has a log of its own: there is one run a process.
    let _ = LOG.set(Log {
        file,
        user,
        verbosity,
    });
    Ok(())
}

/// The level up to which verbose lines are logged, where it is not the level of the output.
pub(crate) fn verbosity() -> Option<u8> {
    LOG.get().and_then(|log| log.verbosity)
}

/// Adds a message, if there is a log.
pub(crate) fn write(level: Level, text: &str) {
    let Some(log) = LOG.get() else { return };
    let text = text.trim_start_matches('\n');
    if text.is_empty() {
        return;
    }
    let name = match level {
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
    };
    let now = Zoned::now();
    let line = format!(
        "{},{:03} p={} u={} n=ansible {name}| {text}\n",
        now.strftime("%Y-%m-%d %H:%M:%S"),
        now.millisecond(),
        std::process::id(),
        log.user,
    );
    // A full disk is no reason to stop a deployment half way.
    drop((&log.file).write_all(line.as_bytes()));
}
