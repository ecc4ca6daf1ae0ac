//! Descriptors: every connection needs some, and a process may have so many.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::LinkError;

/// What one host may need: the pipes of an agent here and its process, or a socket; twice, for another user.
const EACH: usize = 8;

/// The pipes of a program, and what tells of its end.
pub(super) const PROGRAM: u32 = 4;

/// A connection to a server.
pub(super) const SOCKET: u32 = 1;

/// What the rest of the program may need: files that are read, starting programs. Where that were missing, files
/// of keys and known hosts could not be read, which would look like another error.
const RESERVE: usize = 64;

/// How long a new connection may wait until others have ended.
const WAIT: Duration = Duration::from_secs(10);

/// Descriptors that a connection has, until it is dropped.
pub(super) type Room = OwnedSemaphorePermit;

/// How many there are for connections, once it is asked.
static TOTAL: LazyLock<usize> = LazyLock::new(|| limit().saturating_sub(RESERVE));

/// How many files this process may have open.
fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

static FREE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(*TOTAL)));

/// Has this process open as many files as its hosts need, as far as the system lets it. Programs that it starts
/// inherit that, so nothing changes for few hosts. It counts before the first connection.
pub fn raise(hosts: usize) {
    let wanted = (EACH * hosts + RESERVE) as u64;
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
    FREE.available_permits() < *TOTAL / 8
}

/// Waits until there are enough for something further.
///
/// # Errors
/// There are not.
pub(super) async fn take(count: u32) -> Result<Room, LinkError> {
    let waiting = Arc::clone(&FREE).acquire_many_owned(count);
    match tokio::time::timeout(WAIT, waiting).await {
        Ok(Ok(room)) => Ok(room),
        _ => Err(LinkError::Unreachable(format!(
            "no further connection: this process may have {} files open, and nearly all are; `ulimit -Hn` raises that, fewer `forks` need less",
            limit()
        ))),
    }
}
