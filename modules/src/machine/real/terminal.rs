//! Programs on a terminal of their own, for those that ask questions there alone.
//!
//! A terminal belongs to a session, and a new session begins in the process that wants it. That
//! process is the agent's program once more: it takes the terminal, and becomes the other program.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, Mode, OFlags};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::child::{GROUP, STOPPED, dress, find_program, signal_group};
use crate::machine::{Command, Output, Turn};

/// The argument that starts the agent's program as the beginning of another one on a terminal.
pub const WORD: &str = "terminal";

/// How often the partner is asked, and an end is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// The time that a program gets between its question and the answer: some throw away what was
/// typed before they switch the echo off.
const THOUGHT: Duration = Duration::from_millis(50);

/// What every terminal of Ansible's has.
const SIZE: Winsize = Winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// See [`crate::machine::Machine::converse`].
pub(super) fn converse(
    command: &Command,
    env: &[(String, String)],
    deadline: Option<Instant>,
    echo: bool,
    partner: &mut dyn FnMut(&[u8]) -> Turn,
) -> io::Result<Output> {
    if STOPPED.load(Ordering::SeqCst) {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let name = name.to_string_lossy().into_owned();
    tcsetwinsize(&master, SIZE)?;
    let mut modes = tcgetattr(&master)?;
    modes.local_modes.set(LocalModes::ECHO, echo);
    tcsetattr(&master, OptionalActions::Now, &modes)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    let program = command.argv.first().map_or("", String::as_str);
    let program = find_program(program, command, env)?;
    // Nobody could tell later whether it was the program or its beginning that failed.
    let place = command.cwd.as_ref().map(|cwd| cwd.join(&program));
    rustix::fs::access(place.as_ref().unwrap_or(&program), Access::EXEC_OK)?;
    let mut begin = std::process::Command::new("/proc/self/exe");
    begin.args([WORD, &name]).arg(program).args(&command.argv);
    dress(&mut begin, command, env);
    begin.stdin(Stdio::null()).stdout(Stdio::null());
    // Kept open here: otherwise the terminal would be gone whenever nobody has it.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let _held = rustix::fs::open(&name, flags, Mode::empty())?;
    let mut child = begin.stderr(Stdio::null()).spawn()?;
    GROUP.store(i32::try_from(child.id()).unwrap_or(0), Ordering::SeqCst);
    let ran = attend(&mut child, master, deadline, partner);
    GROUP.store(0, Ordering::SeqCst);
    ran
}

fn attend(
    child: &mut Child,
    master: OwnedFd,
    deadline: Option<Instant>,
    partner: &mut dyn FnMut(&[u8]) -> Turn,
) -> io::Result<Output> {
    let mut master = std::fs::File::from(master);
    let mut stdout = Vec::new();
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: LOOK.subsec_nanos().into(),
    };
    let status = loop {
        let status = child.try_wait()?;
        let mut fds = [PollFd::new(&master, PollFlags::IN)];
        match poll(&mut fds, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        drain(&mut master, &mut stdout)?;
        if let Some(status) = status {
            break status;
        }
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let turn = match late || STOPPED.load(Ordering::SeqCst) {
            true => Turn::End,
            false => partner(&stdout),
        };
        match turn {
            Turn::Wait => {}
            Turn::Type(bytes) => {
                std::thread::sleep(THOUGHT);
                // A program that is gone meanwhile reads nothing.
                let _ = master.write_all(&bytes);
            }
            Turn::End => {
                signal_group(Signal::HUP);
                signal_group(Signal::KILL);
                // Its session may not have begun.
                let _ = child.kill();
                let status = child.wait()?;
                if late {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                break status;
            }
        }
    };
    let code = status
        .code()
        .unwrap_or_else(|| -status.signal().unwrap_or(1));
    Ok(Output {
        code,
        stdout,
        stderr: Vec::new(),
    })
}

/// Reads what is there.
fn drain(master: &mut std::fs::File, bytes: &mut Vec<u8>) -> io::Result<()> {
    match master.read_to_end(bytes) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        // Nobody has the terminal any more.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The beginning of a program on a terminal: the arguments are the terminal, the program's file and
/// its words. The process leads a session already.
#[must_use]
pub fn main() -> ExitCode {
    const CANNOT: u8 = 127;
    let mut words = std::env::args_os().skip(2);
    let (Some(name), Some(program), Some(first)) = (words.next(), words.next(), words.next())
    else {
        return ExitCode::from(CANNOT);
    };
    // A session without a terminal gets the first one that it opens.
    let opened = OpenOptions::new().read(true).write(true).open(name);
    let terminal = || -> io::Result<OwnedFd> {
        match &opened {
            Ok(file) => Ok(file.as_fd().try_clone_to_owned()?),
            Err(error) => Err(error.kind().into()),
        }
    };
    let (Ok(stdin), Ok(stdout), Ok(stderr)) = (terminal(), terminal(), terminal()) else {
        return ExitCode::from(CANNOT);
    };
    // It comes back only when it failed.
    let _ = std::process::Command::new(program)
        .arg0(first)
        .args(words)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .exec();
    ExitCode::from(CANNOT)
}
