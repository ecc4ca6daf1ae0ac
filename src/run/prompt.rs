//! Questions to the user on the terminal.

use std::fs::File;
use std::io::{BufRead, ErrorKind, IsTerminal, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::load::prompt::Prompt;

/// Asks for a secret on the terminal, and where there is none takes a line of standard input, as
/// Python's `getpass` does.
pub(crate) fn secret(question: &str) -> Option<String> {
    on_terminal(question, false).or_else(|| piped(question))
}

/// Asks for the passphrase of a key while a run is under way, as `ssh` does: on the terminal, or with the
/// program that `SSH_ASKPASS` names. `None` where there is neither.
pub(crate) fn passphrase(question: &str) -> Option<String> {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = set("DISPLAY") || set("WAYLAND_DISPLAY");
    let required = std::env::var("SSH_ASKPASS_REQUIRE").unwrap_or_default();
    let (first, allowed) = match required.as_str() {
        "force" => (true, true),
        "prefer" => (display, display),
        "never" => (false, false),
        _ => (false, display),
    };
    if !first {
        let answer = on_terminal(question, false);
        if answer.is_some() {
            return answer;
        }
    }
    allowed.then(|| from_program(question)).flatten()
}

/// What the program prints that asks in the terminal's place.
fn from_program(question: &str) -> Option<String> {
    let program = std::env::var_os("SSH_ASKPASS").filter(|program| !program.is_empty());
    let output = Command::new(program.unwrap_or_else(|| "ssh-askpass".into()))
        .arg(question)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next().unwrap_or_default();
    output.status.success().then(|| line.to_owned())
}

/// The next line of standard input, for a question that a view has shown; `None` at its end.
pub(crate) fn reply() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}

/// Asks for a line on standard input, wherever that comes from.
pub(crate) fn line(question: &str) -> Option<String> {
    ask(question, true).or_else(|| piped(question))
}

/// A line of standard input, and nothing of what follows it.
fn piped(question: &str) -> Option<String> {
    let mut err = std::io::stderr();
    write!(err, "{question}").ok()?;
    let mut line = vec![];
    let mut input = std::io::stdin().lock();
    loop {
        let byte = *input.fill_buf().ok()?.first()?;
        input.consume(1);
        if byte == b'\n' {
            break;
        }
        line.push(byte);
    }
    writeln!(err).ok()?;
    String::from_utf8(line).ok()
}

/// Asks on the terminal; `None` where there is none. Without `echo` the answer is not shown.
pub(crate) fn ask(question: &str, echo: bool) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    on_terminal(question, echo)
}

fn on_terminal(question: &str, echo: bool) -> Option<String> {
    let terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()?;
    let silence = if echo {
        None
    } else {
        Some(Silence::of(&terminal)?)
    };
    write!(&terminal, "{question}").ok()?;
    let mut line = typed(&terminal, silence.as_ref())?;
    let interrupt = silence.and_then(|silence| silence.interrupt(&line));
    if let Some(signal) = interrupt {
        // As the terminal would have done it: everything that runs in the foreground is told.
        let _ = rustix::process::kill_current_process_group(signal);
        std::thread::sleep(HANDLED);
        line.clear();
    }
    let line = String::from_utf8(line).ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// How long the end of the run may take after a signal, before a question counts as answered.
const HANDLED: Duration = Duration::from_secs(5);

/// The bytes of a line, with what ended it.
fn typed(mut terminal: &File, silence: Option<&Silence<'_>>) -> Option<Vec<u8>> {
    let mut line = vec![];
    let mut part = [0; 256];
    loop {
        let count = match terminal.read(&mut part) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.ok()?,
        };
        line.extend_from_slice(&part[..count]);
        let interrupted = silence.is_some_and(|silence| silence.interrupt(&line).is_some());
        if count == 0 || line.ends_with(b"\n") || interrupted {
            return Some(line);
        }
    }
}

/// A terminal that does not show what is typed, until this is dropped.
///
/// The keys that interrupt a program end the line meanwhile instead of sending their signals: a program
/// that a signal ends cannot put the terminal back, and the user's shell would stay silent.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn of(terminal: &'a File) -> Option<Self> {
        let before = tcgetattr(terminal).ok()?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.local_modes.insert(LocalModes::IEXTEN);
        for (end, key) in KEYS {
            silent.special_codes[end] = before.special_codes[key];
        }
        tcsetattr(terminal, OptionalActions::Now, &silent).ok()?;
        Some(Self { terminal, before })
    }

    /// The signal of the key that ended a line.
    fn interrupt(&self, line: &[u8]) -> Option<Signal> {
        let code = |index| self.before.special_codes[index];
        let last = line.last().filter(|last| **last != 0)?;
        match *last {
            key if key == code(SpecialCodeIndex::VINTR) => Some(Signal::INT),
            key if key == code(SpecialCodeIndex::VQUIT) => Some(Signal::QUIT),
            _ => None,
        }
    }
}

/// What ends a line in silence, and the key that it is then.
const KEYS: [(SpecialCodeIndex, SpecialCodeIndex); 2] = [
    (SpecialCodeIndex::VEOL, SpecialCodeIndex::VINTR),
    (SpecialCodeIndex::VEOL2, SpecialCodeIndex::VQUIT),
];

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
        let mut terminal = self.terminal;
        let _ = writeln!(terminal);
    }
}

/// Asks a question of `vars_prompt`; `None` where nobody can be asked.
pub(crate) fn answer(question: &Prompt, default: Option<&str>) -> Option<String> {
    let text = match default {
        Some(default) => format!("{} [{default}]: ", question.text),
        None => format!("{}: ", question.text),
    };
    loop {
        let given = ask(&text, !question.private)?;
        if question.confirm {
            let again = ask(&format!("confirm {text}"), !question.private)?;
            if again != given {
                tell("***** VALUES ENTERED DO NOT MATCH ****");
                continue;
            }
        }
        return Some(match default {
            Some(default) if given.is_empty() => default.to_owned(),
            _ => given,
        });
    }
}

/// Shows a line on the terminal.
fn tell(line: &str) {
    if let Ok(mut terminal) = std::fs::OpenOptions::new().write(true).open("/dev/tty") {
        // The user has gone; the next question finds out.
        let _ = writeln!(terminal, "{line}");
    }
}
