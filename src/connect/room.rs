//! Descriptors: every connection needs some, and a process may have so many.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::LinkError;

/// What one host may need: the pipes of an agent here and its process, or a socket; twice, for another user.
const EACH: u64 = 8;

/// What the rest of the program may need, and connections that are being made: where less is left, files of
/// keys and known hosts could not be read, which would look like another error.
const RESERVE: u64 = 48;

/// Has this process open as many files as its hosts need, as far as the system lets it. Programs that it starts
/// inherit that, so nothing changes for few hosts.
pub fn raise(hosts: usize) {
    let wanted = EACH * hosts as u64 + RESERVE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let most = limit.maximum.unwrap_or(wanted);
        let raised = Rlimit {
            current: Some(wanted.min(most)),
            maximum: limit.maximum,
        };
        // What cannot be had is told when it is missed.
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

/// Whether it is time to give up connections that nobody uses.
#[must_use]
pub fn is_scarce() -> bool {
    getrlimit(Resource::Nofile)
        .current
        .is_some_and(|limit| next() + RESERVE + limit / 8 > limit)
}

/// The number that the next file gets: the lowest that is free.
fn next() -> u64 {
    let file = File::open("/dev/null");
    let number = file
        .ok()
        .and_then(|file| u64::try_from(file.as_raw_fd()).ok());
    number.unwrap_or(u64::MAX / 2)
}

/// # Errors
/// A further connection would leave too few.
pub(super) fn needed() -> Result<(), LinkError> {
    match getrlimit(Resource::Nofile).current {
        Some(limit) if next() + RESERVE / 2 > limit => Err(LinkError::Unreachable(format!(
            "no further connection: this process may have {limit} files open, and nearly all are; `ulimit -Hn` raises that, fewer `forks` need less"
        ))),
        _ => Ok(()),
    }
}
