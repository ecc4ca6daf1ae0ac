//! Connection `local`: programs and the agent on this machine.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rplay_modules::wire::{Hello, PROTOCOL, Reply};
use tokio::process::Command;

use super::LinkError;
use super::agent_image::{self, Image};
use super::bootstrap::{ended, token};
use super::program::Program;
use super::room;

/// Starts a command line with `sh`.
pub(super) fn shell(line: &str) -> Result<Program, LinkError> {
    Program::spawn(
        Command::new("/bin/sh")
            .arg("-c")
            .arg(line)
            .kill_on_drop(true),
    )
    .map_err(|error| LinkError::Unreachable(format!("cannot start `/bin/sh`: {error}")))
}

/// Starts the agent from the cache, where it is put first if it is not there yet.
pub(super) async fn agent(patience: Duration) -> Result<(Program, Hello), LinkError> {
    let image = agent_image::local().ok_or_else(|| {
        LinkError::Protocol(format!(
            "this program has no agent for `{}`; see RPLAY_AGENT_DIR",
            std::env::consts::ARCH
        ))
    })?;
    let mut reasons = Vec::new();
    let room = room::take(room::PROGRAM).await?;
    for folder in folders() {
        let started =
            cached(&folder, &image).and_then(|path| Program::spawn(&mut Command::new(path)));
        let mut program = match started {
            Ok(program) => program,
            Err(error) => {
                reasons.push(format!("`{}`: {error}", folder.display()));
                continue;
            }
        };
        return match tokio::time::timeout(patience, program.reply()).await {
            Ok(Ok(Some(Reply::Hello(hello)))) if hello.protocol == PROTOCOL => {
                program.room = Some(room);
                Ok((program, hello))
            }
            Ok(Ok(None)) => Err(ended(&program, "the agent did not start")),
            Ok(Err(error)) => Err(error),
            Ok(Ok(Some(_))) => Err(LinkError::Protocol(
                "the agent speaks another version of the protocol".to_owned(),
            )),
            Err(_) => Err(LinkError::Timeout),
        };
    }
    Err(LinkError::Unreachable(format!(
        "cannot start the agent: {}",
        reasons.join("; ")
    )))
}

/// The same folders as on other hosts, in the same order.
fn folders() -> Vec<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache =
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let mut folders: Vec<_> = cache.into_iter().map(|cache| cache.join("rplay")).collect();
    let name = format!(".rplay-{}", rustix::process::geteuid().as_raw());
    let shared = ["/tmp", "/var/tmp", "/dev/shm"];
    folders.extend(shared.map(|folder| Path::new(folder).join(&name)));
    folders
}

/// The agent's file in a folder that only this user may enter.
fn cached(folder: &Path, image: &Image) -> io::Result<PathBuf> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let state = fs::symlink_metadata(folder)?;
    if !state.is_dir() || state.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "not a folder of this user",
        ));
    }
    if state.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    let path = folder.join(format!("agent-{}", image.sha256));
    if fs::read(&path).is_ok_and(|bytes| bytes == *image.bytes) {
        return Ok(path);
    }
    let random = token().map_err(|error| io::Error::other(error.to_string()))?;
    let new = folder.join(format!("up-{random}"));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(&new)
        .and_then(|mut file| file.write_all(&image.bytes))
        .and_then(|()| fs::rename(&new, &path));
    if let Err(error) = written {
        // The error that matters is the first.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    remove_old(folder);
    Ok(path)
}

/// Keeps the newest agents: other versions of this program may be in use, but not many.
fn remove_old(folder: &Path) {
    let Ok(list) = fs::read_dir(folder) else {
        return;
    };
    let mut agents: Vec<_> = list
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"agent-"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    agents.sort();
    let surplus = agents.len().saturating_sub(3);
    for (_, path) in &agents[..surplus] {
        // Another run may have removed it.
        let _ = fs::remove_file(path);
    }
}
