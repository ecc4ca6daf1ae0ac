//! Passwords of the connection and of the change of user: asked for, or read from a file; and answers that
//! are kept, because a program that runs twice asks once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::options::{BecomeOptions, ConnectionOptions};
use super::{CommandError, Exit, interrupt};
use crate::config::Config;
use crate::connect::{Keys, Secret};
use crate::diag::Diagnostic;
use crate::load::prompt::Prompt;
use crate::run::prompt;
use crate::secrets::Secrets;
use crate::template::crypt;

/// The two passwords.
pub(super) struct Passwords {
    pub(super) connection: Option<Secret>,
    pub(super) r#become: Option<Secret>,
}

/// Reads the passwords that options and settings ask for. A question comes before a file that only the
/// settings name.
pub(super) fn read(
    connection: &ConnectionOptions,
    r#become: &BecomeOptions,
    config: &Config,
    hidden: &Secrets,
) -> Result<Passwords, CommandError> {
    let ask_pass = connection.ask_pass
        || (config.bool("ask_pass") && connection.connection_password_file.is_none());
    let ask_become = r#become.ask_become_pass
        || (config.bool("become_ask_pass") && r#become.become_password_file.is_none());
    let first = match &connection.connection_password_file {
        _ if ask_pass => ask("SSH password: "),
        Some(path) => Some(from_file(path, "connection")?),
        None => from_setting(config, "connection_password_file")?,
    };
    let question = if ask_pass {
        "BECOME password[defaults to SSH password]: "
    } else {
        "BECOME password: "
    };
    let second = match &r#become.become_password_file {
        _ if ask_become => ask(question).or_else(|| first.clone().filter(|_| ask_pass)),
        Some(path) => Some(from_file(path, "become")?),
        None => from_setting(config, "become_password_file")?,
    };
    for password in first.iter().chain(&second) {
        hidden.add(password.expose());
    }
    Ok(Passwords {
        connection: first,
        r#become: second,
    })
}

/// The keys that hosts ask for, which are opened once in the life of this program. What opens them is
/// asked for in the middle of a run.
pub(super) fn keys(hidden: &Secrets) -> Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    let hidden = hidden.clone();
    let ask = move |question: &str| {
        let quiet = crate::report::hush();
        let answer = prompt::passphrase(question)?;
        drop(quiet);
        hidden.add(&answer);
        Some(Secret::from(answer))
    };
    KEYS.get_or_init(|| Keys::asking(ask)).clone()
}

/// What was answered, by the question; nothing unless answers are kept.
static ANSWERS: Mutex<Option<BTreeMap<String, Option<Secret>>>> = Mutex::new(None);

/// A question that comes once more has the answer that it had.
pub(super) fn keep_answers() {
    let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    answers.get_or_insert_default();
}

/// The answer to a question, which is only asked for where it is not known.
fn remembered(question: &str, ask: impl FnOnce() -> Option<String>) -> Option<String> {
    let lock = || ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = lock()
        .as_ref()
        .and_then(|answers| answers.get(question).cloned());
    if let Some(answer) = found {
        return answer.map(|answer| answer.expose().to_owned());
    }
    let answer = ask();
    if let Some(answers) = &mut *lock() {
        let kept = answer.as_deref().map(Secret::from);
        answers.insert(question.to_owned(), kept);
    }
    answer
}

/// The answer to a secret question.
pub(super) fn secret(question: &str) -> Option<String> {
    remembered(question, || interrupt::secret(question))
}

/// The answer to a question of `vars_prompt`; it is the same question where it stands at the same place.
pub(super) fn answer(question: &Prompt, default: Option<&str>) -> Option<String> {
    let key = format!("{} {} {default:?}", place(question), question.text);
    remembered(&key, || prompt::answer(question, default))
}

/// The salts of hashed answers, by the place of the question; nothing unless they are kept.
static SALTS: Mutex<Option<BTreeMap<String, String>>> = Mutex::new(None);

/// From now on a question whose answer is hashed has the salt that it has here, or else one by chance
/// that it keeps: a plan and the run of it come to the same hash.
pub(super) fn keep_salts(salts: BTreeMap<String, String>) {
    *SALTS.lock().unwrap_or_else(PoisonError::into_inner) = Some(salts);
}

/// The salts that were kept.
pub(super) fn salts() -> BTreeMap<String, String> {
    let salts = SALTS.lock().unwrap_or_else(PoisonError::into_inner);
    salts.clone().unwrap_or_default()
}

/// The salt for an answer that is hashed, where salts are kept.
pub(super) fn salt(question: &Prompt) -> Option<String> {
    let way = question.encrypt.as_deref()?;
    let mut salts = SALTS.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || crypt::salt_of_size(way, question.salt_size);
    let salt = salts.as_mut()?.entry(place(question)).or_insert_with(new);
    Some(salt.clone())
}

/// Where a question of `vars_prompt` stands.
fn place(question: &Prompt) -> String {
    let place = &question.place;
    let file = crate::files::from_here(&place.source.path);
    format!("{}:{}", file.display(), place.start)
}

/// An empty answer is no password.
fn ask(question: &str) -> Option<Secret> {
    let answer = secret(question).filter(|answer| !answer.is_empty());
    answer.map(Secret::from)
}

fn from_setting(config: &Config, name: &str) -> Result<Option<Secret>, CommandError> {
    config
        .path(name)
        .map(|path| from_file(&path, name))
        .transpose()
}

/// The first line of standard input for `-`, what a program prints, or what a file holds; `what` the
/// password is for.
fn from_file(path: &Path, what: &str) -> Result<Secret, CommandError> {
    let wrong =
        |text: String| CommandError::new(Exit::Error, Diagnostic::error("password-file", text));
    if path == Path::new("-") {
        let mut fault = None;
        let line = remembered(&format!("standard input: {what}"), || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            fault = read.err();
            Some(line)
        });
        return match fault {
            None => Ok(Secret::from(line.unwrap_or_default().trim())),
            Some(error) => Err(wrong(format!("cannot read standard input: {error}"))),
        };
    }
    let path = full(path);
    let shown = path.display();
    let metadata = std::fs::metadata(&path)
        .map_err(|_| wrong(format!("The password file {shown} was not found")))?;
    let program = metadata.is_file() && metadata.permissions().mode() & 0o111 != 0;
    let text = if program {
        printed(&path).map_err(wrong)?
    } else {
        let mut text = vec![];
        let read = std::fs::File::open(&path).and_then(|mut file| file.read_to_end(&mut text));
        read.map_err(|error| wrong(format!("Could not read password file {shown}: {error}")))?;
        text
    };
    let text = String::from_utf8_lossy(&text);
    match text.trim() {
        "" => Err(wrong(format!(
            "Empty password was provided from file ({shown})"
        ))),
        text => Ok(Secret::from(text)),
    }
}

fn printed(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let output = Command::new(path)
        .stdin(Stdio::inherit())
        .output()
        .map_err(|error| {
            format!(
                "Problem occurred when trying to run the password script {shown} ({error}). \
                 If this is not a script, remove the executable bit from the file."
            )
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let code = output.status.code();
    let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "The password script {shown} returned an error (rc={code}): {}",
        said.trim_end()
    ))
}

/// The absolute path, with `~` filled in.
fn full(path: &Path) -> PathBuf {
    let path = crate::run::context::expand_home(&path.to_string_lossy());
    std::path::absolute(&path).unwrap_or(path)
}
