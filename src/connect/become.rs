//! Becoming another user: the command lines of `sudo`, `su` and `doas`, and their questions.

use super::bootstrap::find;
use super::program::Program;
use super::{Become, LinkError};

/// A command line that runs a script as another user.
pub(super) fn command(r#become: &Become, token: &str, script: &str) -> Result<String, LinkError> {
    let exe = |name: &str| {
        r#become
            .exe
            .clone()
            .filter(|exe| !exe.is_empty())
            .unwrap_or_else(|| name.to_owned())
    };
    let user = if r#become.user.is_empty() {
        "root"
    } else {
        &r#become.user
    };
    let flags = |default: &str| r#become.flags.clone().unwrap_or_else(|| default.to_owned());
    match r#become.method.as_str() {
        "sudo" | "ansible.builtin.sudo" => {
            let mut line = exe("sudo");
            for flag in flags("-H -S -n").split_whitespace() {
                // With a password at hand it may ask.
                if r#become.password.is_some() && matches!(flag, "-n" | "--non-interactive") {
                    continue;
                }
                line += &format!(" {flag}");
            }
            if r#become.password.is_some() {
                // Without `-S` it would ask on a terminal, and there is none.
                line += &format!(" -S -p {}", prompt(token));
            }
            Ok(format!("{line} -u {} sh -c {}", quote(user), quote(script)))
        }
        "su" | "ansible.builtin.su" => {
            let inner = format!("exec sh -c {}", quote(script));
            let flags = flags("");
            let space = if flags.is_empty() { "" } else { " " };
            Ok(format!(
                "{}{space}{flags} {} -c {}",
                exe("su"),
                quote(user),
                quote(&inner)
            ))
        }
        "doas" | "community.general.doas" => {
            if r#become.password.is_some() {
                return Err(LinkError::Become(
                    "become_method `doas` asks for passwords on a terminal only; use `nopass` in doas.conf".to_owned(),
                ));
            }
            Ok(format!(
                "{} {} -u {} sh -c {}",
                exe("doas"),
                flags("-n"),
                quote(user),
                quote(script)
            ))
        }
        method => Err(LinkError::Become(format!(
            "Invalid become method specified, could not find matching plugin: '{method}'. Supported are sudo, su and doas."
        ))),
    }
}

/// A word as an argument for any shell.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn prompt(token: &str) -> String {
    format!("password-{token}:")
}

/// Watches the error stream for questions, and answers one.
pub(super) struct Watch<'a> {
    r#become: Option<&'a Become>,
    prompt: String,
    /// How much of the error stream has been looked at.
    seen: usize,
    answered: bool,
}

impl<'a> Watch<'a> {
    pub(super) fn new(r#become: Option<&'a Become>, token: &str) -> Self {
        Self {
            r#become,
            prompt: prompt(token),
            seen: 0,
            answered: false,
        }
    }

    /// The method without its collection, as messages name it.
    fn method(&self) -> &str {
        self.r#become.map_or("", |r#become| {
            r#become.method.rsplit('.').next().unwrap_or_default()
        })
    }

    /// Answers a question that has come; an error for one that comes again.
    pub(super) async fn look(&mut self, program: &mut Program) -> Result<(), LinkError> {
        let Some(r#become) = self.r#become else {
            return Ok(());
        };
        let asked = match self.method() {
            "sudo" => find(
                &program.err[self.seen.min(program.err.len())..],
                self.prompt.as_bytes(),
            )
            .is_some(),
            // `su` has no prompt of our choice, and its words depend on the language.
            "su" => {
                let text = program.err[self.seen.min(program.err.len())..].trim_ascii_end();
                text.ends_with(b":") || text.ends_with("：".as_bytes())
            }
            _ => false,
        };
        if !asked {
            return Ok(());
        }
        self.seen = program.err.len();
        match &r#become.password {
            _ if self.answered => Err(LinkError::Become(format!(
                "Incorrect {} password",
                self.method()
            ))),
            None => Err(LinkError::Become(format!(
                "Missing {} password",
                self.method()
            ))),
            Some(password) => {
                self.answered = true;
                let line = password.line();
                program.write(&line).await.map_err(|_| self.ended(program))
            }
        }
    }

    /// The error for a program that ended before the script could speak.
    pub(super) fn ended(&self, program: &Program) -> LinkError {
        let errors = program.errors().replace(&self.prompt, "");
        let errors = errors.trim();
        if self.r#become.is_none() {
            return super::bootstrap::ended(program, "the host cannot run the bootstrap script");
        }
        if self.answered && (self.method() != "su" || program.code == Some(1)) && asks_again(errors)
        {
            return LinkError::Become(format!("Incorrect {} password", self.method()));
        }
        if errors.contains("password is required") || errors.contains("Authentication required") {
            return LinkError::Become(format!("Missing {} password", self.method()));
        }
        let code = program
            .code
            .map_or_else(String::new, |code| format!(" (exit code {code})"));
        LinkError::Become(format!("{} failed{code}: {errors}", self.method()))
    }

    pub(super) fn timed_out(&self) -> LinkError {
        if self.r#become.is_some() {
            return LinkError::Become(
                "Timed out waiting for become success or become password prompt".to_owned(),
            );
        }
        LinkError::Timeout
    }
}

fn asks_again(errors: &str) -> bool {
    let errors = errors.to_lowercase();
    [
        "sorry, try again",
        "incorrect password",
        "authentication failure",
        "permission denied",
        "no password was provided",
    ]
    .iter()
    .any(|text| errors.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sudo(password: Option<&str>) -> Become {
        Become {
            method: "sudo".to_owned(),
            user: "o'neil".to_owned(),
            password: password.map(crate::connect::Secret::from),
            exe: None,
            flags: None,
        }
    }

    #[test]
    fn sudo_asks_only_with_a_password() {
        let line = command(&sudo(None), "tok", "script").unwrap();
        assert_eq!(line, "sudo -H -S -n -u 'o'\\''neil' sh -c 'script'");
        let line = command(&sudo(Some("x")), "tok", "script").unwrap();
        assert_eq!(
            line,
            "sudo -H -S -S -p password-tok: -u 'o'\\''neil' sh -c 'script'"
        );
    }

    #[test]
    fn unknown_methods_are_refused_by_name() {
        let r#become = Become {
            method: "runas".to_owned(),
            ..sudo(None)
        };
        assert!(
            command(&r#become, "t", "s")
                .unwrap_err()
                .to_string()
                .contains("'runas'")
        );
    }
}
