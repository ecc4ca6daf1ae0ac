//! Looks at the list of processes while a program runs: no secret may stand in anybody's arguments.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often it looks. A process that lives shorter may be missed; the cases run some that do not.
const PACE: Duration = Duration::from_millis(5);

/// A look-out.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<String>>>,
}

impl Watch {
    /// Begins to look, where there are secrets.
    pub(crate) fn start(secrets: &[&str]) -> Self {
        Self::at(&["cmdline"], secrets)
    }

    /// Begins to look at the environment too, where no task puts a secret.
    pub(crate) fn everywhere(secrets: &[&str]) -> Self {
        Self::at(&["cmdline", "environ"], secrets)
    }

    fn at(places: &'static [&str], secrets: &[&str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let wanted = !secrets.is_empty();
        let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
        let watch = move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(found) = look(places, &secrets) {
                    return Some(found);
                }
                thread::sleep(PACE);
            }
            None
        };
        Self {
            stop,
            thread: wanted.then(|| thread::spawn(watch)),
        }
    }

    /// Ends it: the arguments that had a secret, if there were any.
    pub(crate) fn end(mut self) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()?
    }
}

/// What of a process contains a secret.
fn look(places: &[&str], secrets: &[String]) -> Option<String> {
    let list = fs::read_dir("/proc").ok()?;
    list.flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        // A process may be gone already.
        .flat_map(|entry| places.iter().map(move |place| entry.path().join(place)))
        .filter_map(|path| fs::read(path).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .find(|line| secrets.iter().any(|secret| line.contains(secret.as_str())))
}
