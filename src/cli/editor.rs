//! A secret in the user's editor: a temporary file of his own that is overwritten and removed
//! whatever happens, and files that are replaced whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rplay_modules::text::split_words;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::Config;

/// How long a signal is waited for that an editor may have ended by.
const LATE: Duration = Duration::from_millis(50);

/// Why there is nothing new to keep.
pub(super) enum Unfinished {
    /// The editor failed, or there is none.
    Failed(String),
    /// It ended after the key that interrupts.
    Interrupted,
    /// This program was asked to end by a signal.
    Ended(SignalKind),
}

/// Opens a content in the editor; the answer is what the user made of it.
pub(super) fn edit(
    config: &Config,
    file: &Path,
    content: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Unfinished> {
    let folder = config.path("local_tmp").unwrap_or_else(std::env::temp_dir);
    let private = Private::new(&folder, file, content).map_err(|error| {
        Unfinished::Failed(format!(
            "cannot create a temporary file in `{}`: {error}",
            folder.display()
        ))
    })?;
    let editor = config.text("editor").unwrap_or_else(|| "vi".to_owned());
    let words = split_words(&editor).unwrap_or_else(|_| vec![editor.clone()]);
    let shown = format!("{editor} {}", private.file.display());
    let failed = |why: String| {
        Unfinished::Failed(format!("Unable to execute the command \"{shown}\": {why}"))
    };
    let (status, signal) =
        wait(&words, &private.file).map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        match signal {
            Some(signal) if signal == SignalKind::interrupt() => {
                return Err(Unfinished::Interrupted);
            }
            Some(signal) => return Err(Unfinished::Ended(signal)),
            None => {}
        }
        let why = match status.code() {
            Some(code) => format!("it returned non-zero exit status {code}."),
            None => format!("it ended by a signal ({status})."),
        };
        return Err(failed(why));
    }
    let mut text = Zeroizing::new(vec![]);
    File::open(&private.file)
        .and_then(|mut file| file.read_to_end(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    Ok(text)
}

/// Runs the editor. Signals that end programs are caught meanwhile, so that the file goes too; the
/// last one that came is told.
fn wait(words: &[String], file: &Path) -> io::Result<(ExitStatus, Option<SignalKind>)> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no editor is set"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    super::interrupt::leave_all();
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .arg(file)
            .kill_on_drop(true)
            .spawn()?;
        let mut interrupted = None;
        let end = loop {
            tokio::select! {
                // The editor has got it too, and decides.
                _ = interrupt.recv() => interrupted = Some(SignalKind::interrupt()),
                _ = terminate.recv() => break SignalKind::terminate(),
                _ = hangup.recv() => break SignalKind::hangup(),
                status = child.wait() => {
                    let status = status?;
                    // The key that ended the editor may be heard of after its end.
                    if !status.success()
                        && interrupted.is_none()
                        && timeout(LATE, interrupt.recv()).await.is_ok()
                    {
                        interrupted = Some(SignalKind::interrupt());
                    }
                    return Ok((status, interrupted));
                }
            }
        };
        child.start_kill()?;
        Ok((child.wait().await?, Some(end)))
    })
}

/// A temporary file in a folder that only this user may enter; both are gone when it is dropped.
struct Private {
    folder: PathBuf,
    file: PathBuf,
}

impl Private {
    fn new(parent: &Path, named: &Path, content: &[u8]) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
        let folder = parent.join(format!("rplay-{}", random()?));
        DirBuilder::new().mode(0o700).create(&folder)?;
        // Editors choose colours and rules by the ending.
        let ending = named.extension().map(|ending| ending.to_string_lossy());
        let name = ending.map_or_else(|| "vault".to_owned(), |ending| format!("vault.{ending}"));
        let private = Self {
            file: folder.join(name),
            folder,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&private.file)?;
        file.write_all(content)?;
        Ok(private)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // What editors leave beside the file (copies, swap files) holds the secret too.
        for entry in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            // There is nobody left to tell; the folder is the user's own.
            let _ = shred(&entry.path());
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Overwrites a file, then removes it.
fn shred(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    file.rewind()?;
    let zeros = [0; 4096];
    while left > 0 {
        let length = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all(&zeros[..length])?;
        left -= length as u64;
    }
    file.sync_all()?;
    std::fs::remove_file(path)
}

/// Replaces a file as one step. With `keep` it has mode and owner of the file before; otherwise
/// only its owner may read it.
pub(super) fn replace(path: &Path, bytes: &[u8], keep: bool) -> io::Result<()> {
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = folder
        .unwrap_or(Path::new("."))
        .join(format!(".{name}.{}", random()?));
    let before = std::fs::metadata(path).ok().filter(|_| keep);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            if let Some(before) = &before {
                let mine = file.metadata()?;
                if (mine.uid(), mine.gid()) != (before.uid(), before.gid()) {
                    std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()))?;
                }
                file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))?;
            }
            file.sync_all()?;
            std::fs::rename(&part, path)
        });
    if written.is_err() {
        // The error that is reported is the first one.
        let _ = std::fs::remove_file(&part);
    }
    written
}

fn random() -> io::Result<String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_file_is_private_and_goes_with_all_beside_it() {
        let parent = tempfile::tempdir().unwrap();
        let private = Private::new(parent.path(), Path::new("a/b.yml"), b"secret").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&private.folder), mode(&private.file)), (0o700, 0o600));
        assert!(private.file.ends_with("vault.yml"));
        std::fs::write(private.folder.join("vault.yml~"), "secret").unwrap();
        drop(private);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_or_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mode = || std::fs::metadata(&path).unwrap().mode() & 0o777;
        replace(&path, b"new", true).unwrap();
        assert_eq!(mode(), 0o640);
        replace(&path, b"new", false).unwrap();
        assert_eq!(mode(), 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
