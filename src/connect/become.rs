//! Becoming another user: the command lines of `sudo`, `su` and `doas`, and their questions.

use super::bootstrap::find;
use super::program::Program;
use super::{Become, LinkError};

/// A command line that runs a script as another user, on a terminal if there is one.
///
/// Messages come in English, because some are read here; the script takes the variable back.
pub(super) fn command(
    r#become: &Become,
    token: &str,
    script: &str,
    terminal: bool,
) -> Result<String, LinkError> {
    let method = short(&r#become.method);
    let exe = r#become.exe.clone().filter(|exe| !exe.is_empty());
    let exe = exe.unwrap_or_else(|| match method {
        "sudosu" => "sudo".to_owned(),
        method => method.to_owned(),
    });
    let user = if r#become.user.is_empty() {
        "root"
    } else {
        &r#become.user
    };
    let user = quote(user);
    let script = format!("unset LANGUAGE; {script}");
    let flags = |default: &str| r#become.flags.clone().unwrap_or_else(|| default.to_owned());
    let inner = || quote(&format!("exec sh -c {}", quote(&script)));
    let words = match method {
        "sudo" | "sudosu" => {
            let mut words = format!("{exe}{}", without_n(&flags("-H -S -n"), r#become));
            if r#become.password.is_some() {
                // Without `-S` it would ask on a terminal, and mostly there is none.
                words += &format!(" -S -p {}", prompt(token));
            }
            let script = match starts_shell(&words) {
                true => spelled(&script),
                false => script.clone(),
            };
            match method {
                "sudo" => format!("{words} -u {user} sh -c {}", quote(&script)),
                _ => format!("{words} su -l {user} -c {}", inner()),
            }
        }
        "su" => {
            let flags = flags("");
            let space = if flags.is_empty() { "" } else { " " };
            format!("{exe}{space}{flags} {user} -c {}", inner())
        }
        "doas" => {
            let flags = without_n(&flags("-n"), r#become);
            format!("{exe}{flags} -u {user} sh -c {}", quote(&script))
        }
        _ => {
            return Err(LinkError::Become(format!(
                "Invalid become method specified, could not find matching plugin: '{}'. Supported are sudo, su, doas and sudosu.",
                r#become.method
            )));
        }
    };
    // Bytes go through it as they are, and nothing that is written comes back.
    let raw = if terminal { "stty raw -echo; " } else { "" };
    Ok(format!("{raw}env LANGUAGE=C {words}"))
}

/// The method without its collection, as messages name it.
fn short(method: &str) -> &str {
    match method {
        "community.general.doas" => "doas",
        "community.general.sudosu" => "sudosu",
        method => method.strip_prefix("ansible.builtin.").unwrap_or(method),
    }
}

/// Whether `sudo` hands the command to the other user's shell: it escapes everything but `$`.
fn starts_shell(words: &str) -> bool {
    words.split_whitespace().any(|flag| {
        let letters = flag.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        matches!(flag, "--login" | "--shell")
            || letters.is_some_and(|letters| letters.contains(['i', 's']))
    })
}

/// A script that has no letter which means anything to a shell, and becomes the script.
fn spelled(script: &str) -> String {
    let spell = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("\\0{byte:03o}"),
    };
    let text: String = script.bytes().map(spell).collect();
    format!("eval \"`printf %b '{text}'`\"")
}

/// Flags, each with a blank in front. With a password at hand the program may ask for it.
fn without_n(flags: &str, r#become: &Become) -> String {
    let kept = flags
        .split_whitespace()
        .filter(|flag| r#become.password.is_none() || !matches!(*flag, "-n" | "--non-interactive"));
    kept.map(|flag| format!(" {flag}")).collect()
}

/// Whether the method asks for the password on a terminal only.
pub(super) fn needs_terminal(r#become: &Become) -> bool {
    short(&r#become.method) == "doas" && r#become.password.is_some()
}

/// Whether it failed for want of a terminal, which old rules of `sudo` ask for.
pub(super) fn wants_terminal(error: &LinkError) -> bool {
    matches!(error, LinkError::Become(text) if text.contains("must have a tty"))
}

/// A word as an argument for any shell.
pub(super) fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The prompt of our choice. It is not the token itself, which begins the script's lines.
fn prompt(token: &str) -> String {
    format!("password-{}:", token.trim_start_matches("rplay"))
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

    fn method(&self) -> &str {
        self.r#become.map_or("", |r#become| short(&r#become.method))
    }

    /// What the method has said and nobody has looked at.
    fn said<'p>(&self, program: &'p Program) -> &'p [u8] {
        let said = program.said();
        &said[self.seen.min(said.len())..]
    }

    /// Answers a question that has come; an error for one that comes again.
    pub(super) async fn look(&mut self, program: &mut Program) -> Result<(), LinkError> {
        let Some(r#become) = self.r#become else {
            return Ok(());
        };
        let said = self.said(program);
        let asked = match self.method() {
            "sudo" | "sudosu" => find(said, self.prompt.as_bytes()).is_some(),
            // The others have no prompt of our choice, and `su`'s words depend on the language.
            "su" | "doas" => {
                let text = String::from_utf8_lossy(said);
                let line = text.lines().last().unwrap_or_default().trim();
                // Their names are the beginning of an error.
                line.ends_with([':', '：']) && line.strip_suffix(':') != Some(self.method())
            }
            _ => false,
        };
        if !asked {
            return Ok(());
        }
        self.seen = program.said().len();
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
        let errors = String::from_utf8_lossy(program.said()).replace(&self.prompt, "");
        let errors = errors.trim();
        if self.r#become.is_none() {
            return super::bootstrap::ended(program, "the host cannot run the bootstrap script");
        }
        if self.answered && (self.method() != "su" || program.code == Some(1)) && asks_again(errors)
        {
            return LinkError::Become(format!("Incorrect {} password", self.method()));
        }
        let missing = [
            "password is required",
            "Authentication required",
            "authentication is required",
            "Authorization required",
        ];
        if missing.iter().any(|text| errors.contains(text)) {
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
        "authentication failed",
        "maximum 3 incorrect",
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
        let line = command(&sudo(None), "rplaytok", "script", false).unwrap();
        assert_eq!(
            line,
            "env LANGUAGE=C sudo -H -S -n -u 'o'\\''neil' sh -c 'unset LANGUAGE; script'"
        );
        let line = command(&sudo(Some("x")), "rplaytok", "script", true).unwrap();
        assert_eq!(
            line,
            "stty raw -echo; env LANGUAGE=C sudo -H -S -S -p password-tok: -u 'o'\\''neil' sh -c 'unset LANGUAGE; script'"
        );
    }

    #[test]
    fn unknown_methods_are_refused_by_name() {
        let r#become = Become {
            method: "runas".to_owned(),
            ..sudo(None)
        };
        assert!(
            command(&r#become, "t", "s", false)
                .unwrap_err()
                .to_string()
                .contains("'runas'")
        );
    }
}
