//! Whether a machine sees file systems that are not its own alone.

use std::fs::File;
use std::io::{Read, Seek};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Kinds of file systems that one machine alone has. Of any other, another machine may have the same files.
const OWN: &str = "bcachefs binfmt_misc bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs \
                   exfat ext2 ext3 ext4 f2fs fusectl hugetlbfs iso9660 jfs mqueue nsfs ntfs3 overlay proc pstore \
                   ramfs reiserfs rootfs rpc_pipefs securityfs selinuxfs squashfs sysfs tmpfs tracefs vfat xfs zfs";

/// The table of mounts of this process, `/proc/self/mountinfo`.
#[derive(Debug)]
pub struct Mounts {
    table: Option<File>,
    shared: bool,
}

impl Mounts {
    /// The table as it is now.
    #[must_use]
    pub fn new() -> Self {
        let mut table = File::open("/proc/self/mountinfo").ok();
        let shared = read(table.as_mut());
        Self { table, shared }
    }

    /// Whether there is a file system that other machines may have, too; also where nobody can tell. The
    /// table is read again only after it has changed (`proc(5)`).
    pub fn are_shared(&mut self) -> bool {
        if let Some(table) = &mut self.table {
            let mut changed = [PollFd::new(table, PollFlags::PRI)];
            let same = matches!(poll(&mut changed, Some(&Timespec::default())), Ok(0));
            if !same {
                self.shared = read(Some(table));
            }
        }
        self.shared
    }
}

impl Default for Mounts {
    fn default() -> Self {
        Self::new()
    }
}

fn read(table: Option<&mut File>) -> bool {
    let mut text = String::new();
    let read = table.map(|table| {
        table
            .rewind()
            .and_then(|()| table.read_to_string(&mut text))
    });
    !matches!(read, Some(Ok(_))) || text.lines().any(is_shared)
}

/// Whether the line of a mount is of a file system that other machines may have.
fn is_shared(line: &str) -> bool {
    let kind = line
        .split_once(" - ")
        .and_then(|(_, end)| end.split(' ').next());
    let own = kind.is_some_and(|kind| OWN.split(' ').any(|own| own == kind));
    // systemd mounts on demand what the kernel has there, and nothing else.
    !(own || kind == Some("autofs") && line.contains(" /proc/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_is_shared() {
        for line in [
            "24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
            "26 24 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw,size=4k",
            "40 25 0:35 / /proc/sys/fs/binfmt_misc rw shared:15 - autofs systemd-1 rw,fd=29",
            "41 25 0:36 / /a\\040-\\040b rw - tmpfs tmpfs rw",
        ] {
            assert!(!is_shared(line), "{line}");
        }
        for line in [
            "99 24 0:50 / /home rw,relatime shared:9 - nfs4 server:/home rw",
            "99 24 0:50 / /scratch rw - lustre mds@tcp:/scratch rw",
            "99 24 0:50 / /home rw - autofs /etc/auto.home rw,fd=7",
            "99 24 0:50 / /mnt rw - fuse.sshfs me@there: rw",
            "99 24 0:50 / /mnt rw - 9p share rw",
            "no such line",
        ] {
            assert!(is_shared(line), "{line}");
        }
    }
}
