//! The CPU time of a program with everything it starts, also what it leaves behind: a control group.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A control group of our own; whatever runs in it ends when it is dropped.
pub(crate) struct Group {
    folder: PathBuf,
    /// Ends what runs in the group when its input ends, so also when this program is interrupted.
    keeper: Child,
}

/// What the keeper does: it ends the processes of the group `$0`, and removes it.
const KEEP: &str = "read -r line
for signal in TERM KILL; do
    for try in 1 2 3 4 5 6 7 8 9 10; do
        processes=$(cat \"$0/cgroup.procs\") || exit
        [ -n \"$processes\" ] || break 2
        kill -$signal $processes 2>/dev/null
        sleep 0.1
    done
done
rmdir \"$0\"";

impl Group {
    /// An empty group; the reason if the kernel does not let us make one.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpuacct"]
            .into_iter()
            .map(Path::new)
            .find(|root| root.join("cgroup.procs").exists())
            .ok_or("control groups (cgroup2, or cpuacct of cgroup1) at /sys/fs/cgroup")?;
        let folder = root.join(format!("rplay-compare-{name}-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|fault| format!("a control group of our own: {fault}"))?;
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEP])
            .arg(&folder)
            .stdin(Stdio::piped())
            // An interrupt from the keyboard is not for it.
            .process_group(0)
            .spawn()
            .map_err(|fault| fault.to_string())?;
        Ok(Self { folder, keeper })
    }

    /// A command that starts a program inside the group; its arguments are the program and its.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo 0 >\"$0\" && exec \"$@\""]);
        command.arg(self.folder.join("cgroup.procs"));
        command
    }

    /// User and system time of all that ran in it.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name));
        if let Ok(text) = read("cpuacct.usage") {
            return number(&text).map(Duration::from_nanos);
        }
        let text = read("cpu.stat").map_err(|fault| fault.to_string())?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        number(line.unwrap_or_default()).map(Duration::from_micros)
    }

    /// The processes that are in it now.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let text = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
        text.lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .collect()
    }

    /// Ends what is still running in it.
    pub(crate) fn end(&self) {
        for signal in [Signal::TERM, Signal::KILL] {
            for process in self.processes() {
                // It may have ended by itself.
                let _ = kill_process(process, signal);
            }
            self.wait_for(0);
        }
    }

    /// Waits, not for long, until only so many processes are left.
    pub(crate) fn wait_for(&self, count: usize) {
        for _ in 0..100 {
            if self.processes().len() <= count {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // A group that is not empty stays; there is nobody to tell.
        let _ = self.keeper.wait();
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("the control group says `{text}`"))
}
