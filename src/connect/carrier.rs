//! Programs that carry the agent's channel: the system's `ssh`, and those that run commands in
//! containers, pods and root folders.

use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FileType, MemfdFlags, Mode};
use tokio::process::Command;
use tokio::sync::oneshot;

use super::bootstrap::{find, token};
use super::program::Program;
use super::room;
use super::ssh::{turn_of_program, via_ssh};
use super::ssh_config::Options;
use super::{LinkError, Secret, Target};

/// A program with which command lines are started elsewhere.
#[derive(Clone, Default, PartialEq)]
pub struct Carrier {
    /// The program and its arguments; `-c` and the command line follow.
    pub command: Vec<String>,
    /// Variables for the program.
    pub env: Vec<(String, String)>,
    /// A file that only this user may read; a variable names it, in front of what it names already.
    pub file: Option<(String, Secret)>,
    /// A folder that must have a shell, and whether only root may enter it.
    pub root: Option<(PathBuf, bool)>,
    /// What is there, for messages.
    pub what: String,
}

/// A connection through such a program: nothing is kept but the file.
pub(super) struct Started {
    carrier: Carrier,
    /// In memory: it is gone with this program, however that ends.
    file: Option<File>,
}

impl Started {
    pub(super) fn new(carrier: &Carrier) -> Result<Self, LinkError> {
        if let Some((root, only_root)) = &carrier.root {
            can_enter(root, *only_root).map_err(LinkError::Protocol)?;
        }
        let file = carrier.file.as_ref().map(|(_, content)| {
            let descriptor = rustix::fs::memfd_create("rplay", MemfdFlags::CLOEXEC)?;
            let mut file = File::from(descriptor);
            file.write_all(content.expose().as_bytes())?;
            Ok(file)
        });
        Ok(Self {
            carrier: carrier.clone(),
            file: file.transpose().map_err(unreachable)?,
        })
    }

    /// Starts a command line.
    pub(super) fn start(&self, line: &str) -> Result<Program, LinkError> {
        let words = &self.carrier.command;
        let (program, arguments) = words.split_first().ok_or(LinkError::Timeout)?;
        let mut command = Command::new(program);
        command.args(arguments).args(["-c", line]);
        command.envs(self.carrier.env.iter().map(|(name, value)| (name, value)));
        if let (Some((name, _)), Some(file)) = (&self.carrier.file, &self.file) {
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            let own = self.carrier.env.iter().find(|(known, _)| known == name);
            let more = own.map(|(_, value)| value.clone());
            let more = more.or_else(|| std::env::var(name).ok());
            let more = more.filter(|more| !more.is_empty());
            let value = more.map_or_else(|| path.clone(), |more| format!("{path}:{more}"));
            command.env(name, value);
        }
        Program::spawn(command.kill_on_drop(true))
            .map_err(|error| LinkError::Unreachable(format!("cannot start `{program}`: {error}")))
    }

    /// What is at the other end.
    pub(super) fn what(&self) -> &str {
        &self.carrier.what
    }
}

/// The texts are Ansible's.
fn can_enter(root: &Path, only_root: bool) -> Result<(), String> {
    if only_root && !rustix::process::geteuid().is_root() {
        return Err("chroot connection requires running as root. You can override this check with the `disable_root_check` option.".to_owned());
    }
    if !root.is_dir() {
        return Err(format!("{} is not a directory", root.display()));
    }
    // Within the folder a link may lead anywhere.
    if root.join("bin/sh").symlink_metadata().is_err() {
        let text = "does not look like a chrootable dir (/bin/sh missing)";
        return Err(format!("{} {text}", root.display()));
    }
    Ok(())
}

/// The system's `ssh`: one process is the connection, and further ones go through it.
pub(super) struct OpenSsh {
    program: String,
    /// The options and the host's name.
    arguments: Vec<String>,
    folder: Folder,
    ended: Arc<AtomicBool>,
    /// Whose end is the end of the connection.
    _end: oneshot::Sender<()>,
    has_password: bool,
}

impl OpenSsh {
    /// Connects and logs in.
    pub(super) async fn connect(target: &Target) -> Result<Self, LinkError> {
        let limit = Options::resolve(target)
            .ok()
            .and_then(|options| options.connect_timeout);
        let limit = limit.unwrap_or(target.connect_timeout);
        let folder = Folder::new()?;
        let (end, ending) = oneshot::channel();
        let mut connection = Self {
            program: target
                .ssh_executable
                .clone()
                .unwrap_or_else(|| "ssh".to_owned()),
            arguments: arguments(target, &folder, limit),
            folder,
            ended: Arc::new(AtomicBool::new(false)),
            _end: end,
            has_password: target.password.is_some(),
        };
        if let Some(password) = &target.password {
            connection.offer(password).map_err(unreachable)?;
        }
        let token = token()?;
        let turn = turn_of_program(target).await;
        // Every shell knows both words. Its input ends when this process does, and so does the rest.
        let line = format!("echo {token}; exec cat");
        let room = room::take(room::PROGRAM).await?;
        let mut master = connection.spawn(&["-oControlMaster=yes"], &line)?;
        master.room = Some(room);
        let waiting = async {
            while find(&master.out, token.as_bytes()).is_none() {
                if !master.pump().await {
                    return false;
                }
            }
            true
        };
        // The program has the same limit for connecting, and logging in may take as long again.
        let here = tokio::time::timeout(limit * 2 + Duration::from_secs(1), waiting).await;
        match here {
            Ok(true) => {}
            Ok(false) => return Err(refused(&master)),
            Err(_) => {
                return Err(LinkError::Unreachable(via_ssh(&format!(
                    "Connection timed out during banner exchange\r\nConnection to {} timed out",
                    target.host
                ))));
            }
        }
        drop(turn);
        let ended = Arc::clone(&connection.ended);
        tokio::spawn(watch(master, ending, ended));
        connection.has_password = false;
        Ok(connection)
    }

    /// Starts a command line in the login shell, with a terminal if one is needed.
    pub(super) fn start(&self, line: &str, terminal: bool) -> Result<Program, LinkError> {
        let own = ["-oControlMaster=no", "-tt"];
        let count = if terminal { 2 } else { 1 };
        self.spawn(&own[..count], line)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn spawn(&self, first: &[&str], line: &str) -> Result<Program, LinkError> {
        let mut command = Command::new(&self.program);
        command.args(first).args(&self.arguments);
        command.arg(line).kill_on_drop(true);
        if self.has_password {
            command.env("SSH_ASKPASS", self.folder.file("ask"));
            command.env("SSH_ASKPASS_REQUIRE", "force");
            // Older versions ask a program only where there is a display.
            command.env("DISPLAY", ":0");
        }
        let program = &self.program;
        Program::spawn(&mut command)
            .map_err(|error| LinkError::Unreachable(format!("cannot start `{program}`: {error}")))
    }

    /// Has the password in a pipe, for one question: it is in no file, argument or variable.
    fn offer(&self, password: &Secret) -> std::io::Result<()> {
        let pipe = self.folder.file("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe)?;
        file.write_all(&password.line())?;
        let script = format!(
            "#!/bin/sh\ncase $1 in *assphrase*|*yes/no*) exit 1;; esac\ncd {0} && mkdir asked 2>/dev/null || exit 1\nread -r line <pipe && printf '%s\\n' \"$line\"\n",
            self.folder.0.display()
        );
        self.folder.write("ask", &script, 0o700)?;
        // A pipe is empty once nobody has it open.
        let asked = self.folder.file("asked");
        tokio::spawn(async move {
            for _ in 0..1200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if asked.exists() || !pipe.exists() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    break;
                }
            }
            drop(file);
        });
        Ok(())
    }
}

/// Reads the connection's process until it ends, or until nobody needs it.
async fn watch(mut master: Program, mut ending: oneshot::Receiver<()>, ended: Arc<AtomicBool>) {
    loop {
        tokio::select! {
            more = master.pump() => if !more { break },
            _ = &mut ending => {
                master.end_input().await;
                while master.pump().await {}
                break;
            }
        }
    }
    ended.store(true, Ordering::Relaxed);
}

/// The options, in the order of their weight, and the host.
fn arguments(target: &Target, folder: &Folder, limit: Duration) -> Vec<String> {
    let mut all = vec![
        format!("-oControlPath={}", folder.file("s").display()),
        "-oControlPersist=no".to_owned(),
        "-oRequestTTY=no".to_owned(),
    ];
    let mut say = |option: String| all.push(format!("-o{option}"));
    if let Some(port) = target.port {
        say(format!("Port={port}"));
    }
    if let Some(user) = &target.user {
        say(format!("User=\"{user}\""));
    }
    if let Some(key) = &target.private_key_file {
        say(format!("IdentityFile=\"{}\"", key.display()));
    }
    if !target.known_hosts.is_empty() {
        let files = target.known_hosts.iter();
        let files: Vec<_> = files
            .map(|file| format!("\"{}\"", file.display()))
            .collect();
        say(format!("UserKnownHostsFile={}", files.join(" ")));
    }
    if target.password.is_some() {
        say("NumberOfPasswordPrompts=1".to_owned());
    } else {
        say("BatchMode=yes".to_owned());
    }
    all.extend(target.ssh_args.iter().cloned());
    let mut say = |option: String| all.push(format!("-o{option}"));
    if !target.host_key_checking {
        say("StrictHostKeyChecking=no".to_owned());
    }
    say(format!("ConnectTimeout={}", limit.as_secs().max(1)));
    all.push("--".to_owned());
    all.push(target.host.clone());
    all
}

/// Why `ssh` ended before it was there.
fn refused(program: &Program) -> LinkError {
    let said = program.errors();
    let text = match &*said {
        "" => format!("ssh ended (exit code {})", program.code.unwrap_or(255)),
        said => said.replace('\n', "\r\n").replace("\r\r", "\r"),
    };
    if said.contains("Permission denied") {
        LinkError::Auth(via_ssh(&text))
    } else if said.contains("Host key verification failed") {
        LinkError::HostKey(via_ssh(&text))
    } else {
        LinkError::Unreachable(via_ssh(&text))
    }
}

fn unreachable(error: std::io::Error) -> LinkError {
    LinkError::Unreachable(error.to_string())
}

/// A folder that only this user may enter, removed in the end.
struct Folder(PathBuf);

impl Folder {
    /// Sockets have short names: it is not where `TMPDIR` says.
    fn new() -> Result<Self, LinkError> {
        let random = token()?;
        let path = Path::new("/tmp").join(&random[..17]);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(unreachable)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> std::io::Result<()> {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(self.file(name))
            .and_then(|mut file| file.write_all(text.as_bytes()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Somebody else may have tidied up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
