//! The host that both engines work on: an SSH server of our own on loopback, in its own control group.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::group::Group;

/// The login user's home.
const HOME: &str = "/home/rplaytest";

/// Where the results of plays wait for the end.
const ASIDE: &str = "/home/rplaytest/rplay-compare-aside";

/// A running server, see `tests/harness/sshd.sh`.
pub(crate) struct Target {
    folder: tempfile::TempDir,
    /// The server and everything that it starts.
    pub(crate) group: Group,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Target {
    /// Starts a server with these lines in its configuration.
    pub(crate) fn start(name: &str, config: &str) -> Result<Self, String> {
        // OpenSSH's client puts a socket below it, and the path of a socket is short.
        let folder = tempfile::Builder::new()
            .prefix("rb-")
            .tempdir_in("/tmp")
            .map_err(|fault| fault.to_string())?;
        let group = Group::new(name)?;
        let output = group
            .command()
            .arg(script())
            .arg("start")
            .arg(folder.path())
            // Sessions that PAM moves to a group of systemd's would not be counted.
            .env(
                "SSHD_CONFIG",
                format!("LogLevel VERBOSE\nUsePAM no\n{config}"),
            )
            .output()
            .map_err(|fault| fault.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let port = String::from_utf8_lossy(&output.stdout).trim().parse();
        let port = port.map_err(|_| "the SSH server did not start".to_owned())?;
        Ok(Self {
            folder,
            group,
            port,
        })
    }

    /// A file of the server's folder, which the login user can read.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that the plays fill.
    pub(crate) fn out() -> PathBuf {
        Path::new(HOME).join("rplay-compare")
    }

    /// Puts aside what the plays made until now. If it were removed, the next play would pay for that: ext4 looks for
    /// inodes that were not free a minute ago, one by one.
    fn put_aside() -> Result<(), String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let fault = |fault: std::io::Error| format!("{}: {fault}", Self::out().display());
        fs::create_dir_all(ASIDE).map_err(fault)?;
        match fs::rename(Self::out(), Path::new(ASIDE).join(number.to_string())) {
            Err(error) if Self::out().exists() => Err(fault(error)),
            _ => Ok(()),
        }
    }

    /// Takes away what earlier runs made; with `agent`, also what rplay keeps on the host.
    pub(crate) fn clean(agent: bool) -> Result<(), String> {
        Self::put_aside()?;
        let mut folders = vec![Path::new(HOME).join(".apptainer")];
        if agent {
            folders.push(Path::new(HOME).join(".cache/rplay"));
        }
        folders.iter().try_for_each(|folder| remove(folder))
    }

    /// Leaves nothing of any run but rplay's agent.
    pub(crate) fn leave() -> Result<(), String> {
        Self::clean(false)?;
        remove(Path::new(ASIDE))
    }

    /// Waits until every session has ended, and says how many logins and channels there were since
    /// the last call.
    pub(crate) fn sessions(&self) -> (usize, usize) {
        self.group.wait_for(1);
        thread::sleep(Duration::from_millis(20));
        let log = fs::read_to_string(self.file("log")).unwrap_or_default();
        // The server appends to it.
        let _ = fs::write(self.file("log"), "");
        let count = |word: &str| log.lines().filter(|line| line.contains(word)).count();
        (count("Accepted publickey "), count("Starting session: "))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let stopped = Command::new(script())
            .arg("stop")
            .arg(self.folder.path())
            .status();
        // The group ends whatever that left.
        let _ = stopped;
    }
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(fault) if folder.exists() => Err(format!("{}: {fault}", folder.display())),
        _ => Ok(()),
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/sshd.sh")
}

/// Makes a folder as the plays make theirs: the login user's, with mode 0750.
pub(crate) fn give_to_user(folder: &Path) -> std::io::Result<()> {
    let home = fs::metadata(HOME)?;
    std::os::unix::fs::chown(folder, Some(home.uid()), Some(home.gid()))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o750))
}

/// The end state: each path below the folder with its kind, mode, owner, group and content.
pub(crate) fn state(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.map_err(|fault| fault.to_string())?;
        let meta = entry.metadata().map_err(|fault| fault.to_string())?;
        let content = if meta.is_symlink() {
            format!("{:?}", fs::read_link(entry.path()))
        } else if meta.is_file() {
            content(entry.path())?
        } else {
            String::new()
        };
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        found.insert(
            name.display().to_string(),
            format!(
                "{:?} {:04o} {}:{} {content}",
                meta.file_type(),
                meta.permissions().mode() & 0o7777,
                meta.uid(),
                meta.gid()
            ),
        );
    }
    Ok(found)
}

/// A file's hash. Of an image only that it is one: the time of its making is in it.
fn content(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
    if bytes.get(32..42) == Some(b"SIF_MAGIC\0") {
        return Ok("an image".to_owned());
    }
    Ok(format!("{:x?}", Sha256::digest(&bytes)))
}
