//! Questions to the user on the terminal.

use std::io::{BufRead, IsTerminal, Write};

use crate::load::prompt::Prompt;

/// Asks for a secret on the terminal, and where there is none takes a line of standard input, as
/// Python's `getpass` does.
pub(crate) fn secret(question: &str) -> Option<String> {
    on_terminal(question, false).or_else(|| piped(question))
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
    let mut terminal = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .ok()?;
    write!(terminal, "{question}").ok()?;
    terminal.flush().ok()?;
    let before = (!echo)
        .then(|| rustix::termios::tcgetattr(&terminal).ok())
        .flatten();
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &silent)
            .ok()?;
    }
    let mut line = String::new();
    let read = std::io::BufReader::new(&terminal).read_line(&mut line);
    if let Some(before) = &before {
        rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, before)
            .ok()?;
        writeln!(&terminal).ok()?;
    }
    read.ok()?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks a question of `vars_prompt`; `None` where nobody can be asked.
pub(super) fn answer(question: &Prompt, default: Option<&str>) -> Option<String> {
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
