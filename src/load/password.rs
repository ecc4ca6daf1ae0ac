//! Where vault passwords come from: files, programs, and the user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rplay_modules::machine::attrs::os_error_text;

use super::vault::{self, VaultError, VaultSecrets};
use crate::diag::{Checked, Diagnostic};
use crate::secrets::Secrets;

/// Asks the user a question without showing the answer; `None` where nobody answers.
pub type Ask<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The exit code by which a `-client` program says that it does not know a vault id.
const UNKNOWN_ID: i32 = 2;

/// The code of a source that is no file.
const NO_FILE: &str = "vault-password-file";

/// Where a password comes from, as `--vault-id` and `--vault-password-file` name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordSource {
    /// The vault id; none: the default one, and programs are not told any.
    pub id: Option<String>,
    /// A file, or a program that prints the password; `prompt` and `prompt_ask_vault_pass` mean to ask.
    pub path: PathBuf,
}

/// The passwords of some sources, in their order; each may be in a vault that an earlier one opens.
/// Those without one are told by a warning, and by an error where there is no other.
///
/// # Errors
///
/// The user gave none.
pub fn secrets(
    sources: &[PasswordSource],
    default_id: &str,
    is_new: bool,
    ask: Ask<'_>,
    hidden: &Secrets,
) -> Result<Checked<VaultSecrets>, Diagnostic> {
    let mut secrets = VaultSecrets::hiding(hidden);
    let mut problems: Vec<Diagnostic> = vec![];
    let mut last = None;
    for source in sources {
        let id = source.id.as_deref().unwrap_or(default_id);
        if source.is_prompt() {
            secrets.add(id, source.ask(id, is_new, ask)?);
            continue;
        }
        match source.read(&secrets) {
            Ok(secret) => secrets.add(id, secret),
            Err(problem) => {
                let doing = match problem.code {
                    NO_FILE => "Error getting vault password file",
                    _ => "Error in vault password file loading",
                };
                let told = source.id.as_deref().unwrap_or("None");
                let text = format!("{doing} ({told}): {}", problem.message);
                problems.push(Diagnostic::warning("vault-password", text));
                last = Some(problem);
            }
        }
    }
    problems.extend(last.filter(|_| secrets.is_empty()));
    Ok(Checked {
        value: secrets,
        problems,
    })
}

impl PasswordSource {
    /// From `LABEL@SOURCE` or `SOURCE`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (id, path) = text.split_once('@').unwrap_or(("", text));
        Self {
            id: Some(id.to_owned()).filter(|id| !id.is_empty()),
            path: path.into(),
        }
    }

    /// A file or program for the id that passwords without a name have.
    #[must_use]
    pub fn of_default(id: &str, path: impl Into<PathBuf>) -> Self {
        Self {
            id: Some(id.to_owned()),
            path: path.into(),
        }
    }

    /// A file or program, or the user, for the default id.
    #[must_use]
    pub fn unnamed(path: impl Into<PathBuf>) -> Self {
        Self {
            id: None,
            path: path.into(),
        }
    }

    /// Whether the user has to be asked.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        self.path
            .to_str()
            .is_some_and(|path| matches!(path, "prompt" | "prompt_ask_vault_pass"))
    }

    /// Asks the user; for a new password twice.
    fn ask(&self, id: &str, is_new: bool, ask: Ask<'_>) -> Result<Vec<u8>, Diagnostic> {
        let wrong = |text: String| Diagnostic::error("vault-password", text);
        // Who asks by option has one password in mind, who names a prompt may have several.
        let named = self.path.as_os_str() == "prompt";
        let question = match (named, is_new) {
            (false, false) => "Vault password: ".to_owned(),
            (false, true) => "New Vault password: ".to_owned(),
            (true, false) => format!("Vault password ({id}): "),
            (true, true) => format!("New vault password ({id}): "),
        };
        let answer = |question: &str| {
            let end = || wrong(format!("EOFError (ctrl-d) on prompt for ({id})"));
            ask(question).ok_or_else(end)
        };
        let secret = answer(&question)?;
        if secret.trim().is_empty() {
            return Err(wrong(
                "Invalid vault password was provided from prompt".to_owned(),
            ));
        }
        if is_new {
            let again = match named {
                false => "Confirm New Vault password: ".to_owned(),
                true => format!("Confirm new vault password ({id}): "),
            };
            if answer(&again)? != secret {
                return Err(wrong("Passwords do not match".to_owned()));
            }
        }
        Ok(secret.trim_ascii().as_bytes().to_vec())
    }

    /// Reads the file or runs the program.
    ///
    /// # Errors
    ///
    /// There is no such file, or no password in it.
    pub fn read(&self, earlier: &VaultSecrets) -> Result<Vec<u8>, Diagnostic> {
        let wrong = |text: String| Diagnostic::error("vault-password", text);
        let missing = |text: String| Diagnostic::error(NO_FILE, text);
        let path = full(&self.path);
        let shown = path.display();
        let metadata = std::fs::metadata(&path)
            .map_err(|_| missing(format!("The vault password file {shown} was not found")))?;
        if metadata.is_dir() {
            return Err(missing(format!(
                "The vault password file provided '{shown}' can not be a directory"
            )));
        }
        let program = is_executable(&metadata);
        let text = if program {
            run(&path, self.id.as_deref())?
        } else {
            read_file(&path, earlier)?
        };
        let secret = text.trim_ascii().to_vec();
        if secret.is_empty() {
            let what = if program { "script" } else { "file" };
            return Err(wrong(format!(
                "Invalid vault password was provided from {what} ({shown})"
            )));
        }
        Ok(secret)
    }
}

/// The absolute path, with `~` filled in.
fn full(path: &Path) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let path = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ if path.as_os_str().is_empty() => PathBuf::from("."),
        _ => path.to_path_buf(),
    };
    std::path::absolute(&path).unwrap_or(path)
}

/// A password file may be a vault that an earlier password opens.
fn read_file(path: &Path, earlier: &VaultSecrets) -> Result<Vec<u8>, Diagnostic> {
    let wrong = |text: String| Diagnostic::error("vault-password", text);
    let bytes = std::fs::read(path).map_err(|error| {
        wrong(format!(
            "Could not read vault password file {}: {}",
            path.display(),
            python_error(&error, path)
        ))
    })?;
    if !vault::is_vaulted(&bytes) {
        return Ok(bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    vault::decrypt(&text, earlier).map_err(|error| {
        wrong(match error {
            VaultError::NoSecrets => {
                "A vault password must be specified to decrypt data.".to_owned()
            }
            error => error.to_string(),
        })
    })
}

/// An error of the system in Python's words: `[Errno 2] No such file or directory: '/x'`.
#[must_use]
pub fn python_error(error: &std::io::Error, path: &Path) -> String {
    format!("{}: '{}'", os_error_text(error), path.display())
}

/// Runs the program; one whose name ends in `-client` is told the vault id, if there is one.
fn run(path: &Path, id: Option<&str>) -> Result<Vec<u8>, Diagnostic> {
    let shown = path.display();
    let wrong = |text: String| Diagnostic::error("vault-password", text);
    let client = path
        .file_stem()
        .and_then(|stem| stem.to_str())
        .is_some_and(|stem| stem.ends_with("-client"));
    let what = if client {
        "Vault password client script"
    } else {
        "Vault password script"
    };
    let mut command = Command::new(path);
    if client && let Some(id) = id {
        command.args(["--vault-id", id]);
    }
    let told = id.unwrap_or("None");
    let output = command
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            wrong(format!(
                "Problem running {}{} {shown} ({}). \
                 If this is not a script, remove the executable bit from the file.",
                what[..1].to_lowercase(),
                &what[1..],
                python_error(&error, path)
            ))
        })?;
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(UNKNOWN_ID) if client => Err(wrong(format!(
            "{what} {shown} did not find a secret for vault-id={told}"
        ))),
        code => {
            let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            let asked = match client {
                true => format!(" when getting secret for vault-id={told}"),
                // Ansible's words: the program's errors go to the terminal.
                false => ": None".to_owned(),
            };
            Err(wrong(format!(
                "{what} {shown} returned non-zero ({code}){asked}"
            )))
        }
    }
}

fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_passwords() {
        let source = PasswordSource::parse("dev@/x/y");
        assert_eq!(
            (source.id.as_deref(), source.path.to_str()),
            (Some("dev"), Some("/x/y"))
        );
        assert!(PasswordSource::parse("dev@prompt").is_prompt());
        assert_eq!(PasswordSource::parse("@prompt").id, None);
    }

    #[test]
    fn a_new_password_is_asked_for_twice() {
        let asked = |answers: &'static [&'static str], id: &str, is_new| {
            let left = std::cell::RefCell::new(answers.iter());
            let questions = std::cell::RefCell::new(vec![]);
            let source = PasswordSource::parse(id);
            let given = secrets(
                &[source],
                "default",
                is_new,
                &|question| {
                    questions.borrow_mut().push(question.to_owned());
                    left.borrow_mut().next().map(|answer| (*answer).to_owned())
                },
                &Secrets::default(),
            );
            let given = given.map(|all| all.value.first(None).map(|(_, secret)| secret.to_vec()));
            (given.map_err(|problem| problem.message), questions.take())
        };
        let (given, questions) = asked(&["a"], "prompt_ask_vault_pass", false);
        assert_eq!(given, Ok(Some(b"a".to_vec())));
        assert_eq!(questions, ["Vault password: "]);
        let (given, questions) = asked(&["a", "b"], "dev@prompt", true);
        assert_eq!(given, Err("Passwords do not match".to_owned()));
        assert_eq!(
            questions,
            [
                "New vault password (dev): ",
                "Confirm new vault password (dev): "
            ]
        );
        let (given, _) = asked(&[], "dev@prompt", false);
        assert_eq!(
            given,
            Err("EOFError (ctrl-d) on prompt for (dev)".to_owned())
        );
    }
}
