//! Programs: started in a process group of their own, read to their end, stopped in time.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::Listener;
use crate::machine::{Command, Output};

/// How long a program may go on after it was asked to end.
const GRACE: Duration = Duration::from_secs(2);
/// How long output is awaited from descendants of a program that ended, as Ansible has it.
const LINGER: Duration = Duration::from_secs(1);
/// How often an end is looked for on systems that cannot wait for one together with output.
const LOOK: Duration = Duration::from_millis(20);

/// How much of what a program writes is told at once, in bytes.
const MOST_TOLD: usize = 64 << 10;

/// The process group of the program that runs, 0 when none does.
pub(super) static GROUP: AtomicI32 = AtomicI32::new(0);
/// Nobody waits for results any more.
pub(super) static STOPPED: AtomicBool = AtomicBool::new(false);

/// Ends the program that runs, if any, and refuses to start others. It may be called from another
/// thread, and waits until the program had time to end in order.
pub fn stop() {
    STOPPED.store(true, Ordering::SeqCst);
    signal_group(Signal::TERM);
    let begin = Instant::now();
    while GROUP.load(Ordering::SeqCst) != 0 && begin.elapsed() < GRACE {
        std::thread::sleep(LOOK);
    }
    signal_group(Signal::KILL);
}

pub(super) fn signal_group(signal: Signal) {
    if let Some(group) = Pid::from_raw(GROUP.load(Ordering::SeqCst)) {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, signal);
    }
}

/// Waits, but not longer than until the deadline or until [`stop`].
pub(super) fn sleep(time: Duration, deadline: Option<Instant>) {
    let mut end = Instant::now() + time;
    if let Some(deadline) = deadline {
        end = end.min(deadline);
    }
    while !STOPPED.load(Ordering::SeqCst) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
}

/// Runs a program to its end; `hear` is told what it writes, as it comes.
pub(super) fn execute(
    command: &Command,
    env: &[(String, String)],
    deadline: Option<Instant>,
    hear: Option<&mut Listener>,
) -> io::Result<Output> {
    let own = command.timeout.map(|timeout| Instant::now() + timeout);
    let deadline = match (deadline, own) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    if STOPPED.load(Ordering::SeqCst) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let mut child = spawn(command, env)?;
    let group = i32::try_from(child.id()).unwrap_or(0);
    GROUP.store(group, Ordering::SeqCst);
    if STOPPED.load(Ordering::SeqCst) {
        signal_group(Signal::KILL);
    }
    let output = attend(
        &mut child,
        command.stdin.clone().unwrap_or_default(),
        deadline,
        hear,
    );
    GROUP.store(0, Ordering::SeqCst);
    output
}

fn spawn(command: &Command, env: &[(String, String)]) -> io::Result<Child> {
    let Some(program) = command.argv.first() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no program is named",
        ));
    };
    let mut std_command = std::process::Command::new(find_program(program, command, env)?);
    std_command
        .arg0(program)
        .args(&command.argv[1..])
        .process_group(0);
    dress(&mut std_command, command, env);
    std_command.stdin(if command.stdin.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    });
    std_command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // The mask is inherited. Only this thread makes files, so it can be set for a moment.
    let mode = |mask: u32| rustix::fs::Mode::from_raw_mode(mask & 0o777);
    let old = command.umask.map(|mask| rustix::process::umask(mode(mask)));
    let child = std_command.spawn();
    if let Some(old) = old {
        rustix::process::umask(old);
    }
    child
}

/// The environment and the folder of a program.
pub(super) fn dress(
    std_command: &mut std::process::Command,
    command: &Command,
    env: &[(String, String)],
) {
    std_command.envs(env.iter().map(|(name, value)| (name, value)));
    for (name, value) in &command.env {
        match value {
            Some(value) => std_command.env(name, value),
            None => std_command.env_remove(name),
        };
    }
    if let Some(cwd) = &command.cwd {
        std_command.current_dir(cwd);
    }
}

/// The file of a program: as it is with a slash, else searched in the `PATH` that it will see.
pub(super) fn find_program(
    program: &str,
    command: &Command,
    env: &[(String, String)],
) -> io::Result<PathBuf> {
    if program.contains('/') {
        return Ok(program.into());
    }
    let own = command
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.clone());
    let call = || {
        env.iter()
            .rev()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| Some(value.clone()))
    };
    let path = own
        .or_else(call)
        .unwrap_or_else(|| std::env::var("PATH").ok());
    let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".to_owned());
    let mut denied = false;
    for folder in path.split(':').filter(|folder| !folder.is_empty()) {
        let file = Path::new(folder).join(program);
        if file.is_file() {
            if rustix::fs::access(&file, rustix::fs::Access::EXEC_OK).is_ok() {
                return Ok(file);
            }
            denied = true;
        }
    }
    Err(if denied {
        rustix::io::Errno::ACCESS
    } else {
        rustix::io::Errno::NOENT
    }
    .into())
}

/// Feeds the child, reads what it says, and waits for its end.
fn attend(
    child: &mut Child,
    input: Vec<u8>,
    deadline: Option<Instant>,
    mut hear: Option<&mut Listener>,
) -> io::Result<Output> {
    let mut pipes = Pipes {
        stdin: child.stdin.take().map(|stdin| (stdin, input, 0)),
        outputs: [
            Reader::new(child.stdout.take().map(OwnedFd::from))?,
            Reader::new(child.stderr.take().map(OwnedFd::from))?,
        ],
    };
    if let Some((stdin, ..)) = &pipes.stdin {
        rustix::io::ioctl_fionbio(stdin, true)?;
    }
    let pidfd = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0))
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let mut stopping = Stopping {
        deadline,
        asked: None,
    };
    let mut status: Option<ExitStatus> = None;
    loop {
        if status.is_none() {
            status = child.try_wait()?;
        }
        if pipes.done() && status.is_some() {
            break;
        }
        stopping.check(status.is_some())?;
        let wait = if status.is_some() {
            LINGER
        } else {
            stopping.wait(pidfd.is_some())
        };
        let end = pidfd.as_ref().filter(|_| status.is_none()).map(AsFd::as_fd);
        let active = pipes.pump(end, wait)?;
        if let Some(hear) = &mut hear {
            pipes
                .outputs
                .iter_mut()
                .for_each(|reader| reader.tell(hear));
        }
        if status.is_some() && !active {
            break;
        }
    }
    let [stdout, stderr] = pipes.outputs.map(|reader| reader.bytes);
    if stopping.asked.is_some() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let code = status.map_or(-1, |status| {
        status
            .code()
            .unwrap_or_else(|| -status.signal().unwrap_or(1))
    });
    Ok(Output {
        code,
        stdout,
        stderr,
    })
}

/// When a program is asked, and then made, to end.
struct Stopping {
    deadline: Option<Instant>,
    asked: Option<Instant>,
}

impl Stopping {
    fn check(&mut self, ended: bool) -> io::Result<()> {
        let now = Instant::now();
        match (self.asked, self.deadline) {
            (Some(asked), _) if now >= asked + GRACE => {
                signal_group(Signal::KILL);
                // Descendants that left the group may keep the pipes open for ever.
                if ended {
                    Err(io::ErrorKind::TimedOut.into())
                } else {
                    Ok(())
                }
            }
            (None, Some(deadline)) if now >= deadline => {
                self.asked = Some(now);
                signal_group(Signal::TERM);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How long the next poll may take.
    fn wait(&self, sees_end: bool) -> Duration {
        let far = if sees_end {
            Duration::from_secs(60)
        } else {
            LOOK
        };
        let next = self.asked.map(|asked| asked + GRACE).or(self.deadline);
        let until = next.map_or(far, |next| next.saturating_duration_since(Instant::now()));
        // Never zero: a deadline that just passed is seen by the next check.
        until.clamp(Duration::from_millis(1), far)
    }
}

struct Pipes {
    /// What is fed, and how far.
    stdin: Option<(ChildStdin, Vec<u8>, usize)>,
    outputs: [Reader; 2],
}

struct Reader {
    pipe: Option<std::fs::File>,
    bytes: Vec<u8>,
    /// How much of it has been told.
    told: usize,
}

impl Reader {
    fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Self {
            pipe: pipe.map(std::fs::File::from),
            bytes: Vec::new(),
            told: 0,
        })
    }

    /// Tells what has come since the last time.
    fn tell(&mut self, hear: &mut Listener) {
        let new = &self.bytes[self.told..];
        new.chunks(MOST_TOLD).for_each(hear);
        self.told = self.bytes.len();
    }

    /// Reads what is there; closes at the end.
    fn drain(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(());
        };
        match pipe.read_to_end(&mut self.bytes) {
            Ok(_) => self.pipe = None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Pipes {
    fn done(&self) -> bool {
        self.outputs.iter().all(|reader| reader.pipe.is_none())
    }

    /// Waits until a pipe (or the end of the program) is ready and serves it; whether one was.
    fn pump(&mut self, end: Option<BorrowedFd<'_>>, wait: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(60),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(4);
        let readers = self
            .outputs
            .iter()
            .filter_map(|reader| reader.pipe.as_ref());
        fds.extend(readers.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(
            self.stdin
                .iter()
                .map(|(stdin, ..)| PollFd::new(stdin, PollFlags::OUT)),
        );
        fds.extend(end.map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drop(fds);
        self.feed();
        self.outputs.iter_mut().try_for_each(Reader::drain)?;
        Ok(true)
    }

    /// Writes as much as the child takes. A child that reads nothing is no error.
    fn feed(&mut self) {
        let Some((stdin, bytes, at)) = &mut self.stdin else {
            return;
        };
        while *at < bytes.len() {
            match stdin.write(&bytes[*at..]) {
                Ok(count) if count > 0 => *at += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        self.stdin = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // One test: the process group that runs is one of the process.
    #[test]
    fn programs() {
        let run = |script: &str, command: Command| {
            execute(
                &Command {
                    argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
                    ..command
                },
                &[],
                None,
                None,
            )
        };
        let output = run(
            "cat; echo e >&2; exit 3",
            Command {
                stdin: Some(b"in".to_vec()),
                ..Command::default()
            },
        )
        .unwrap();
        assert_eq!(
            output,
            Output {
                code: 3,
                stdout: b"in".to_vec(),
                stderr: b"e\n".to_vec()
            }
        );
        assert_eq!(run("kill -9 $$", Command::default()).unwrap().code, -9);
        let big = run(
            "cat | cat",
            Command {
                stdin: Some(vec![b'x'; 1 << 20]),
                ..Command::default()
            },
        )
        .unwrap();
        assert_eq!(big.stdout.len(), 1 << 20);
        let begin = Instant::now();
        let timeout = Some(Duration::from_millis(100));
        let error = run(
            "sleep 60 & sleep 60",
            Command {
                timeout,
                ..Command::default()
            },
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let umask = run(
            "umask",
            Command {
                umask: Some(0o027),
                ..Command::default()
            },
        )
        .unwrap();
        assert_eq!(umask.stdout_text().trim().trim_start_matches('0'), "27");
        assert!(
            run("sleep 5 & echo x", Command::default()).is_ok_and(|output| output.stdout == b"x\n")
        );
        assert!(begin.elapsed() < Duration::from_secs(40));
        let missing =
            execute(&Command::new(["no-such-program-here"]), &[], None, None).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(2));
    }
}
