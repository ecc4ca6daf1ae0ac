//! Signals that end a program. While a password is asked for, the terminal is put back first; once
//! something runs, `session` tells the hosts.

use std::fs::File;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{CommandError, Exit, finish};
use crate::diag::Diagnostic;
use crate::run::prompt;
use crate::secrets::Secrets;

/// Somebody else answers interrupts from now on.
static INTERRUPTS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Somebody else answers the signals that end programs, too.
static ENDS_TAKEN: AtomicBool = AtomicBool::new(false);

/// What a shell tells of a program that a signal has ended, less the signal's number.
pub(super) const SIGNALLED: i32 = 128;

/// The run handles interrupts itself.
pub(super) fn leave_interrupts() {
    INTERRUPTS_TAKEN.store(true, Ordering::SeqCst);
}

/// All signals are handled elsewhere.
pub(super) fn leave_all() {
    leave_interrupts();
    ENDS_TAKEN.store(true, Ordering::SeqCst);
}

/// The error of an interrupted program.
pub(super) fn interrupted() -> CommandError {
    let problem = Diagnostic::error("interrupted", "User interrupted execution");
    CommandError::new(Exit::Interrupted, problem)
}

/// Asks for a secret; signals meanwhile end the program with the terminal as it was.
pub(super) fn secret(question: &str) -> Option<String> {
    static WATCH: Once = Once::new();
    // Without the thread, signals do what they do by default.
    WATCH.call_once(|| start().unwrap_or_default());
    prompt::secret(question)
}

/// Starts the thread that waits for signals until the program ends: a handler, once there, cannot be
/// taken away again.
fn start() -> std::io::Result<()> {
    let terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ready, started) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let signals = Signals::new();
                // The other side waits for this, or has gone.
                let _ = ready.send(());
                if let Ok(signals) = signals {
                    watch(signals, &terminal, &before).await;
                }
            });
        })?;
    // The thread tells, or has ended without being able to watch.
    let _ = started.recv();
    Ok(())
}

/// The signals that end a program.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None under `nohup`.
    hangup: Option<Signal>,
}

impl Signals {
    /// From here on they do nothing by themselves.
    pub(super) fn new() -> std::io::Result<Self> {
        let hangup = SignalKind::hangup();
        let heeded = !is_ignored(hangup.as_raw_value());
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: heeded.then(|| signal(hangup)).transpose()?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = hangup => SignalKind::hangup(),
        }
    }
}

/// Whether whoever started this program had a signal of this number ignored, as programs have that it
/// starts in turn.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// What an interrupted run comes to. Other signals end the program, as they would have at once.
pub(super) fn after(kind: SignalKind) -> CommandError {
    if kind == SignalKind::interrupt() {
        return interrupted();
    }
    // It comes back only for signals that cannot end a program.
    let _ = signal_hook::low_level::emulate_default_handler(kind.as_raw_value());
    let problem = Diagnostic::error("interrupted", "ended by a signal");
    CommandError::new(Exit::Run(SIGNALLED + kind.as_raw_value()), problem)
}

async fn watch(mut signals: Signals, terminal: &File, before: &Termios) {
    loop {
        let kind = signals.next().await;
        let taken = match kind == SignalKind::interrupt() {
            true => &INTERRUPTS_TAKEN,
            false => &ENDS_TAKEN,
        };
        if !taken.load(Ordering::SeqCst) {
            // Nothing can be done about a terminal that has gone.
            let _ = tcsetattr(terminal, OptionalActions::Now, before);
            end(kind);
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the thread that asks waits for the terminal and cannot be told"
)]
fn end(kind: SignalKind) {
    let code = match kind == SignalKind::interrupt() {
        true => finish(Err(interrupted()), &Secrets::default()).code(),
        false => SIGNALLED + kind.as_raw_value(),
    };
    std::process::exit(code)
}
