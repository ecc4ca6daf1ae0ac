//! A live line on a terminal: what the run waits for.
//!
//! It appears when a task takes longer than two seconds and is erased before anything else is shown.
//! One thread draws; it and the view take turns by a lock, so that lines never mix. While a question stands
//! on the terminal nothing is drawn, and what the run tells waits.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::View;
use super::event::Event;

/// Shorter tasks are not worth a line.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the line is drawn.
const PACE: Duration = Duration::from_millis(500);

/// How many slow hosts are named.
const NAMED: usize = 3;

/// What is on the terminal besides what the view wrote: there is one in a process.
static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal {
    drawn: false,
    questions: 0,
});

struct Terminal {
    /// The line is there.
    drawn: bool,
    /// How many questions are.
    questions: usize,
}

fn terminal() -> MutexGuard<'static, Terminal> {
    TERMINAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the terminal for a question, until it is dropped.
pub(crate) struct Hush(());

impl Hush {
    pub(super) fn begin() -> Self {
        let mut terminal = terminal();
        if std::mem::take(&mut terminal.drawn) {
            // A terminal that is gone asks nothing.
            let _ = std::io::stderr().write_all(ERASE.as_bytes());
        }
        terminal.questions += 1;
        Self(())
    }
}

impl Drop for Hush {
    fn drop(&mut self) {
        terminal().questions -= 1;
    }
}

const ERASE: &str = "\r\x1b[K";

/// A view with a live line below it.
pub(crate) struct Progress {
    view: Box<dyn View>,
    /// What happened while a question stood.
    waiting: Vec<Event>,
    line: Arc<Mutex<Line>>,
    /// The thread ends when this is dropped.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Adds the live line to a view; without a thread to draw it the view stays as it is.
    pub(crate) fn around(view: Box<dyn View>, out: Box<dyn Write + Send>, columns: usize) -> Self {
        // Some terminals do not tell their size.
        let columns = if columns == 0 { 79 } else { columns };
        let line = Arc::new(Mutex::new(Line {
            out,
            columns,
            state: State::default(),
        }));
        let (stop, stopped) = channel();
        let shared = Arc::clone(&line);
        let draw = move || {
            while stopped.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
                lock(&shared).draw(Instant::now());
            }
        };
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(draw)
            .ok();
        Self {
            view,
            waiting: vec![],
            line,
            stop: Some(stop),
            thread,
        }
    }
}

impl View for Progress {
    fn event(&mut self, event: &Event) {
        let mut line = lock(&self.line);
        line.state.event(event, Instant::now());
        // Whoever asked goes on with an event of its own, so that nothing waits for good.
        if terminal().questions > 0 {
            self.waiting.push(event.clone());
            return;
        }
        line.erase();
        for waited in self.waiting.drain(..) {
            self.view.event(&waited);
        }
        self.view.event(event);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say; a panic in it must not become one here.
            drop(thread.join());
        }
        lock(&self.line).erase();
        for event in self.waiting.drain(..) {
            self.view.event(&event);
        }
    }
}

/// The line is only text on a terminal: it can be used even if a thread panicked with it.
fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Line {
    out: Box<dyn Write + Send>,
    columns: usize,
    state: State,
}

impl Line {
    fn draw(&mut self, now: Instant) {
        let mut terminal = terminal();
        if let Some(text) = self.state.text(now)
            && terminal.questions == 0
        {
            let text: String = text.chars().take(self.columns).collect();
            self.write(&format!("{ERASE}{text}"));
            terminal.drawn = true;
        }
    }

    fn erase(&mut self) {
        if std::mem::take(&mut terminal().drawn) {
            self.write(ERASE);
        }
    }

    fn write(&mut self, text: &str) {
        // A terminal that is gone needs no progress.
        drop(
            self.out
                .write_all(text.as_bytes())
                .and_then(|()| self.out.flush()),
        );
    }
}

/// What is being done.
#[derive(Default)]
struct State {
    hosts: BTreeSet<String>,
    task: Option<(usize, String, Instant)>,
    done: BTreeSet<String>,
}

impl State {
    fn event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PlayStarted { hosts, .. } => {
                self.hosts = hosts.iter().cloned().collect();
                self.task = None;
            }
            // It asks its own questions on this terminal.
            Event::TaskStarted { task } if task.action.ends_with("pause") => self.task = None,
            Event::TaskStarted { task } => {
                self.task = Some((task.id, task.name.clone(), now));
                self.done.clear();
            }
            Event::TaskDone {
                task, host, status, ..
            } => {
                if self.task.as_ref().is_some_and(|(id, ..)| id == task) {
                    self.done.insert(host.clone());
                }
                if *status == super::event::Status::Unreachable {
                    self.hosts.remove(host);
                }
            }
            Event::RunEnded { .. } => self.task = None,
            _ => {}
        }
    }

    fn text(&self, now: Instant) -> Option<String> {
        let (_, name, since) = self.task.as_ref()?;
        let waited = now
            .checked_duration_since(*since)
            .filter(|waited| *waited >= PATIENCE)?;
        let slow: Vec<&str> = self
            .hosts
            .difference(&self.done)
            .map(String::as_str)
            .collect();
        if slow.is_empty() {
            return None;
        }
        let total = self.hosts.len();
        let mut text = format!(
            "hosts {}/{total}, {name} ({} s), waiting for {}",
            total - slow.len(),
            waited.as_secs(),
            slow[..slow.len().min(NAMED)].join(", ")
        );
        if slow.len() > NAMED {
            text.push_str(" ...");
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Status, TaskInfo};
    use super::*;

    #[test]
    fn slow_hosts_are_named_after_a_while() {
        let start = Instant::now();
        let mut state = State::default();
        let hosts = vec!["a".to_owned(), "b".to_owned()];
        state.event(
            &Event::PlayStarted {
                play: 0,
                name: String::new(),
                hosts,
                check: false,
                path: String::new(),
            },
            start,
        );
        let task = TaskInfo {
            id: 1,
            name: "install".to_owned(),
            ..TaskInfo::default()
        };
        state.event(&Event::TaskStarted { task }, start);
        let done = Event::TaskDone {
            task: 1,
            host: "a".to_owned(),
            delegated_to: None,
            status: Status::Ok,
            ignored: false,
            looped: false,
            result: rplay_modules::data::Map::new(),
            diff: vec![],
            unknown: None,
        };
        state.event(&done, start);
        assert_eq!(state.text(start + Duration::from_secs(1)), None);
        let text = state.text(start + Duration::from_secs(3));
        assert_eq!(
            text.as_deref(),
            Some("hosts 1/2, install (3 s), waiting for b")
        );
    }
}
