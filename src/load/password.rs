//! Where vault passwords come from: files, programs, and the user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::vault::VaultSecrets;
use crate::diag::Diagnostic;
use crate::secrets::Secrets;

/// Asks the user a question without showing the answer; `None` where nobody answers.
pub type Ask<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The exit code by which a `-client` program says that it does not know a vault id.
const UNKNOWN_ID: i32 = 2;

/// Where a password comes from, as `--vault-id` and `--vault-password-file` name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordSource {
    /// The vault id; none: the default one.
    pub id: Option<String>,
    /// A file, or a program that prints the password; `prompt` and `prompt_ask_vault_pass` mean to ask.
    pub path: PathBuf,
}

/// The passwords of some sources, in their order, with warnings of those that have none.
///
/// # Errors
///
/// No source has a password, or the user gave none.
pub fn secrets(
    sources: &[PasswordSource],
    default_id: &str,
    is_new: bool,
    ask: Ask<'_>,
    hidden: &Secrets,
) -> Result<(VaultSecrets, Vec<Diagnostic>), Diagnostic> {
    let mut secrets = VaultSecrets::hiding(hidden);
    let mut problems: Vec<Diagnostic> = vec![];
    for source in sources {
        let id = source.id.as_deref().unwrap_or(default_id);
        if source.is_prompt() {
            secrets.add(id, source.ask(id, is_new, ask)?);
            continue;
        }
        match source.read(id) {
            Ok(secret) => secrets.add(id, secret),
            Err(problem) => problems.push(problem),
        }
    }
    if secrets.is_empty()
        && let Some(last) = problems.pop()
    {
        return Err(last);
    }
    for problem in &mut problems {
        problem.severity = crate::diag::Severity::Warning;
    }
    Ok((secrets, problems))
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
        let named = self.id.as_deref().filter(|id| *id != "default");
        let question = match (named, is_new) {
            (None, false) => "Vault password: ".to_owned(),
            (None, true) => "New Vault password: ".to_owned(),
            (Some(id), false) => format!("Vault password ({id}): "),
            (Some(id), true) => format!("New vault password ({id}): "),
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
                None => "Confirm New Vault password: ".to_owned(),
                Some(id) => format!("Confirm new vault password ({id}): "),
            };
            if answer(&again)? != secret {
                return Err(wrong("Passwords do not match".to_owned()));
            }
        }
        Ok(secret.trim_ascii().as_bytes().to_vec())
    }

    /// Reads the file or runs the program.
    pub fn read(&self, id: &str) -> Result<Vec<u8>, Diagnostic> {
        let wrong = |text: String| Diagnostic::error("vault-password", text);
        let path = full(&self.path);
        let shown = path.display();
        let metadata = std::fs::metadata(&path)
            .map_err(|_| wrong(format!("The vault password file {shown} was not found")))?;
        if metadata.is_dir() {
            return Err(wrong(format!(
                "The vault password file provided '{shown}' can not be a directory"
            )));
        }
        let program = is_executable(&metadata);
        let text = if program {
            run(&path, id)?
        } else {
            read_file(&path)?
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
        _ => path.to_path_buf(),
    };
    std::path::absolute(&path).unwrap_or(path)
}

/// A password file may be a vault that an earlier password opens; Ansible reads it as it is, and so do we.
fn read_file(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    std::fs::read(path).map_err(|error| {
        let text = format!(
            "Could not read vault password file {}: {error}",
            path.display()
        );
        Diagnostic::error("vault-password", text)
    })
}

/// Runs the program; one whose name ends in `-client` is told the vault id.
fn run(path: &Path, id: &str) -> Result<Vec<u8>, Diagnostic> {
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
    if client {
        command.args(["--vault-id", id]);
    }
    let output = command
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            wrong(format!(
                "Problem running {}{} {shown} ({error}). \
                 If this is not a script, remove the executable bit from the file.",
                what[..1].to_lowercase(),
                &what[1..]
            ))
        })?;
    match output.status.code() {
        Some(0) => Ok(output.stdout),
        Some(UNKNOWN_ID) if client => Err(wrong(format!(
            "{what} {shown} did not find a secret for vault-id={id}"
        ))),
        code => {
            let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            Err(wrong(format!("{what} {shown} returned non-zero ({code})")))
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
            let given = given.map(|(all, _)| all.first(None).map(|(_, secret)| secret.to_vec()));
            (given.map_err(|problem| problem.message), questions.take())
        };
        let (given, questions) = asked(&["a"], "prompt", false);
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
