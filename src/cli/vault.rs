//! `rplay vault VERB`, Ansible's `ansible-vault`: vaulted files and strings, made, shown and changed.

use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use rplay_modules::text::split_words;
use zeroize::Zeroizing;

use super::programs::{Call, parse};
use super::{CommandError, Exit, editor, finish, interrupt, passwords, tell};
use crate::config::Config;
use crate::diag::{Checked, Diagnostic, Severity};
use crate::load::password::{self, PasswordSource};
use crate::load::vault::{self, Opened, VaultSecrets};
use crate::run::prompt;
use crate::secrets::Secrets;

/// The name of the stream as a file: standard input, or standard output.
const STREAM: &str = "-";

/// Where vault passwords come from, as the command line says it.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct VaultOptions {
    /// Vault identity: label@prompt, label@file or label@script
    #[arg(long, value_name = "VAULT_IDS")]
    pub(super) vault_id: Vec<String>,
    /// Ask for the vault password
    #[arg(
        short = 'J',
        long = "ask-vault-password",
        visible_alias = "ask-vault-pass",
        conflicts_with = "vault_password_file"
    )]
    pub(super) ask_vault_pass: bool,
    /// File with the vault password, or a script that prints it
    #[arg(
        long,
        visible_alias = "vault-pass-file",
        value_name = "VAULT_PASSWORD_FILES"
    )]
    pub(super) vault_password_file: Vec<PathBuf>,
}

impl VaultOptions {
    /// All sources in the order in which their passwords are tried: the settings' identities,
    /// `--vault-id`, files, the question.
    pub(super) fn sources(&self, config: &Config) -> Vec<PasswordSource> {
        let identities = config.list("vault_identity_list");
        let ids = identities.iter().chain(&self.vault_id);
        let files = self.vault_password_file.iter().cloned();
        let files = files.chain(config.path("vault_password_file"));
        let default = config.text("vault_identity").unwrap_or_default();
        let question = (self.ask_vault_pass || config.bool("ask_vault_pass"))
            .then(|| PasswordSource::unnamed("prompt_ask_vault_pass"));
        ids.map(|id| PasswordSource::parse(id))
            .chain(files.map(|file| PasswordSource::of_default(&default, file)))
            .chain(question)
            .collect()
    }

    /// The passwords; warnings of sources without one are told at once.
    pub(super) fn secrets(
        &self,
        config: &Config,
        hidden: &Secrets,
    ) -> Result<VaultSecrets, CommandError> {
        read(&self.sources(config), config, false, hidden)
    }
}

fn read(
    sources: &[PasswordSource],
    config: &Config,
    is_new: bool,
    hidden: &Secrets,
) -> Result<VaultSecrets, CommandError> {
    let default_id = config.text("vault_identity").unwrap_or_default();
    let stop = |problem| CommandError::new(Exit::Error, problem);
    let read = password::secrets(sources, &default_id, is_new, &passwords::secret, hidden);
    let Checked {
        value: mut secrets,
        mut problems,
    } = read.map_err(stop)?;
    let error = problems.pop_if(|problem| problem.severity == Severity::Error);
    tell(&problems, hidden);
    if let Some(error) = error {
        return Err(stop(error));
    }
    secrets.id_match = config.bool("vault_id_match");
    Ok(secrets)
}

/// Makes, shows and changes vaulted files and strings.
#[derive(Debug, Parser)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Tell more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Parser)]
#[command(infer_long_args = true)]
enum Verb {
    /// Create a vaulted file in the editor
    Create {
        #[command(flatten)]
        passwords: VaultOptions,
        #[command(flatten)]
        target: EncryptOptions,
        /// Open the editor even without a terminal
        #[arg(long)]
        skip_tty_check: bool,
        /// The file
        file_name: Vec<PathBuf>,
    },
    /// Decrypt vaulted files
    Decrypt {
        #[command(flatten)]
        passwords: VaultOptions,
        /// The file to write; `-` for standard output
        #[arg(long, value_name = "OUTPUT_FILE")]
        output: Option<PathBuf>,
        /// The files; none: standard input
        file_name: Vec<PathBuf>,
    },
    /// Change vaulted files in the editor
    Edit {
        #[command(flatten)]
        passwords: VaultOptions,
        #[command(flatten)]
        target: EncryptOptions,
        /// The files
        file_name: Vec<PathBuf>,
    },
    /// Show vaulted files
    View {
        #[command(flatten)]
        passwords: VaultOptions,
        /// The files
        file_name: Vec<PathBuf>,
    },
    /// Encrypt files
    Encrypt {
        #[command(flatten)]
        passwords: VaultOptions,
        #[command(flatten)]
        target: EncryptOptions,
        /// The file to write; `-` for standard output
        #[arg(long, value_name = "OUTPUT_FILE")]
        output: Option<PathBuf>,
        /// The files; none: standard input
        file_name: Vec<PathBuf>,
    },
    /// Encrypt strings, to be put into files of variables
    #[command(name = "encrypt_string")]
    EncryptString(EncryptString),
    /// Encrypt vaulted files with another password
    Rekey {
        #[command(flatten)]
        passwords: VaultOptions,
        #[command(flatten)]
        target: EncryptOptions,
        /// File with the new password, or a script that prints it
        #[arg(long, conflicts_with = "new_vault_id")]
        new_vault_password_file: Option<PathBuf>,
        /// The new vault identity
        #[arg(long)]
        new_vault_id: Option<String>,
        /// The files
        file_name: Vec<PathBuf>,
    },
}

#[derive(Args, Debug)]
struct EncryptOptions {
    /// The vault id to encrypt with, where there are several
    #[arg(long, value_name = "ENCRYPT_VAULT_ID")]
    encrypt_vault_id: Option<String>,
}

#[derive(Args, Debug)]
struct EncryptString {
    #[command(flatten)]
    passwords: VaultOptions,
    #[command(flatten)]
    target: EncryptOptions,
    /// The file to write; `-` for standard output
    #[arg(long, value_name = "OUTPUT_FILE")]
    output: Option<PathBuf>,
    /// Ask for the string
    #[arg(short, long)]
    prompt: bool,
    /// Show the string while it is typed
    #[arg(long)]
    show_input: bool,
    /// The name of the variable; one for each string
    #[arg(short, long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// The name of the variable with the string of standard input
    #[arg(long)]
    stdin_name: Option<String>,
    /// The strings; `-` for standard input
    string_to_encrypt: Vec<String>,
}

/// Runs the subcommand.
pub(super) fn main(call: &Call) -> Exit {
    let hidden = Secrets::default();
    match parse::<Arguments>(call) {
        Ok(arguments) => finish(run(arguments.verb, &hidden), &hidden),
        Err(exit) => exit,
    }
}

fn failed(text: impl Into<String>) -> CommandError {
    CommandError::new(Exit::Error, Diagnostic::error("vault", text))
}

fn unfinished(why: editor::Unfinished) -> CommandError {
    match why {
        editor::Unfinished::Failed(text) => failed(text),
        editor::Unfinished::Interrupted => interrupt::interrupted(),
        editor::Unfinished::Ended(signal) => CommandError::new(
            Exit::Run(interrupt::SIGNALLED + signal.as_raw_value()),
            Diagnostic::error("vault", "ended by a signal; the file is as it was"),
        ),
    }
}

fn misused(text: impl Into<String>) -> CommandError {
    CommandError::new(Exit::Options, Diagnostic::error("vault-options", text))
}

/// What a verb works with.
struct Vaults<'a> {
    config: &'a Config,
    hidden: &'a Secrets,
}

fn run(verb: Verb, hidden: &Secrets) -> Result<Exit, CommandError> {
    let config = super::session::settings(hidden)?;
    let vaults = Vaults {
        config: &config,
        hidden,
    };
    match verb {
        Verb::Create {
            passwords,
            target,
            skip_tty_check,
            file_name,
        } => {
            let [file] = &file_name[..] else {
                return Err(misused(
                    "ansible-vault create can take only one filename argument",
                ));
            };
            if !skip_tty_check && !std::io::stdout().is_terminal() {
                return Err(misused("not a tty, editor cannot be opened"));
            }
            vaults.create(file, &passwords, &target)?;
        }
        Verb::Decrypt {
            passwords,
            output,
            file_name,
        } => {
            one_output(output.as_deref(), file_name.len())?;
            vaults.decrypt(&passwords, output.as_deref(), &file_name)?;
        }
        Verb::Edit {
            passwords,
            file_name,
            ..
        } => {
            let secrets = vaults.known(&passwords)?;
            for file in &file_name {
                vaults.edit(file, &secrets)?;
            }
        }
        Verb::View {
            passwords,
            file_name,
        } => {
            let secrets = vaults.known(&passwords)?;
            for file in &file_name {
                let opened = opened("view", file, &secrets)?;
                let mut text = String::from_utf8_lossy(&opened.content).into_owned();
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                vaults.show(&text)?;
            }
        }
        Verb::Encrypt {
            passwords,
            target,
            output,
            file_name,
        } => {
            one_output(output.as_deref(), file_name.len())?;
            vaults.encrypt(&passwords, &target, output.as_deref(), &file_name)?;
        }
        Verb::EncryptString(arguments) => vaults.encrypt_strings(&arguments)?,
        Verb::Rekey {
            passwords,
            target,
            new_vault_password_file,
            new_vault_id,
            file_name,
        } => {
            let secrets = vaults.known(&passwords)?;
            let id = new_vault_id.map(|id| PasswordSource::parse(&id));
            let default = vaults.config.text("vault_identity").unwrap_or_default();
            let file = new_vault_password_file;
            let file = file.map(|file| PasswordSource::of_default(&default, file));
            let new = id
                .or(file)
                .unwrap_or_else(|| PasswordSource::unnamed("prompt_ask_vault_pass"));
            let new = read(&[new], vaults.config, true, hidden)?;
            let (id, secret) = vaults.choose(&new, &target, false)?;
            for file in &file_name {
                vaults.rekey(file, &secrets, &id, &secret)?;
            }
            note("Rekey successful");
        }
    }
    Ok(Exit::Ok)
}

fn one_output(output: Option<&Path>, files: usize) -> Result<(), CommandError> {
    if output.is_some() && files > 1 {
        return Err(misused(
            "At most one input file may be used with the --output option",
        ));
    }
    Ok(())
}

impl Vaults<'_> {
    /// The passwords to decrypt with; the user is asked where none is named.
    fn known(&self, passwords: &VaultOptions) -> Result<VaultSecrets, CommandError> {
        read(&self.sources(passwords), self.config, false, self.hidden)
    }

    fn sources(&self, passwords: &VaultOptions) -> Vec<PasswordSource> {
        let mut sources = passwords.sources(self.config);
        if sources.is_empty() {
            sources.push(PasswordSource::unnamed("prompt_ask_vault_pass"));
        }
        sources
    }

    /// The vault id and the password to encrypt with.
    fn encrypting(
        &self,
        passwords: &VaultOptions,
        target: &EncryptOptions,
    ) -> Result<(String, Zeroizing<Vec<u8>>), CommandError> {
        let sources = self.sources(passwords);
        let wanted = self.wanted(target);
        if wanted.is_none() && sources.len() > 1 {
            let default = self.config.text("vault_identity").unwrap_or_default();
            let ids: Vec<&str> = sources
                .iter()
                .map(|source| source.id.as_deref().unwrap_or(&default))
                .collect();
            return Err(misused(format!(
                "The vault-ids {} are available to encrypt. Specify the vault-id to encrypt with --encrypt-vault-id",
                ids.join(",")
            )));
        }
        let secrets = read(&sources, self.config, true, self.hidden)?;
        self.choose(&secrets, target, true)
    }

    fn wanted(&self, target: &EncryptOptions) -> Option<String> {
        let wanted = target.encrypt_vault_id.clone();
        wanted.or_else(|| self.config.text("vault_encrypt_identity"))
    }

    fn choose(
        &self,
        secrets: &VaultSecrets,
        target: &EncryptOptions,
        settings: bool,
    ) -> Result<(String, Zeroizing<Vec<u8>>), CommandError> {
        let wanted = if settings {
            self.wanted(target)
        } else {
            target.encrypt_vault_id.clone()
        };
        let found = secrets.first(wanted.as_deref());
        found
            .map(|(id, secret)| (id.to_owned(), Zeroizing::new(secret.to_vec())))
            .ok_or_else(|| {
                let known: Vec<String> = secrets.ids().map(|id| format!("'{id}'")).collect();
                failed(format!(
                    "Did not find a match for --encrypt-vault-id={} in the known vault-ids [{}]",
                    wanted.unwrap_or_default(),
                    known.join(", ")
                ))
            })
    }

    fn create(
        &self,
        file: &Path,
        passwords: &VaultOptions,
        target: &EncryptOptions,
    ) -> Result<(), CommandError> {
        let (id, secret) = self.encrypting(passwords, target)?;
        if let Some(folder) = file
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        {
            let text = format!("{} does not exist, creating...", folder.display());
            tell(&[Diagnostic::warning("vault", text)], self.hidden);
            std::fs::create_dir_all(folder).map_err(|error| {
                failed(format!(
                    "cannot create the folder `{}`: {error}",
                    folder.display()
                ))
            })?;
        }
        if file.is_file() {
            return Err(failed(format!(
                "{} exists, please use 'edit' instead",
                file.display()
            )));
        }
        let content = editor::edit(self.config, file, b"").map_err(unfinished)?;
        let envelope = self.sealed(&content, &secret, &id)?;
        write(file, envelope.as_bytes(), false)
    }

    fn decrypt(
        &self,
        passwords: &VaultOptions,
        output: Option<&Path>,
        files: &[PathBuf],
    ) -> Result<(), CommandError> {
        let secrets = self.known(passwords)?;
        if files.is_empty() {
            hint_stdin("ciphertext");
        }
        for file in or_stream(files) {
            let opened = opened("decrypt", file, &secrets)?;
            let target = output.unwrap_or(file);
            put(target, &opened.content)?;
        }
        note_on_terminal("Decryption successful");
        Ok(())
    }

    fn edit(&self, file: &Path, secrets: &VaultSecrets) -> Result<(), CommandError> {
        let path = real(file);
        let opened = opened("edit", &path, secrets)?;
        let content = editor::edit(self.config, &path, &opened.content).map_err(unfinished)?;
        if content == opened.content {
            return Ok(());
        }
        let envelope = self.sealed(
            &content,
            &opened.secret,
            opened.id.as_deref().unwrap_or("default"),
        )?;
        write(&path, envelope.as_bytes(), true)
    }

    /// Shows a text: on a terminal in the user's pager, so that it does not stay there.
    fn show(&self, text: &str) -> Result<(), CommandError> {
        let pager = self.config.text("pager").unwrap_or_default();
        let words = split_words(&pager).unwrap_or_default();
        let Some((program, arguments)) = words
            .split_first()
            .filter(|_| std::io::stdout().is_terminal())
        else {
            crate::report::print(text);
            return Ok(());
        };
        let mut command = std::process::Command::new(program);
        command.args(arguments).stdin(std::process::Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            command.env("LESS", "FRSX");
        }
        let Ok(mut child) = command.spawn() else {
            crate::report::print(text);
            return Ok(());
        };
        if let Some(mut input) = child.stdin.take() {
            // The user may close the pager before its end.
            let _ = input.write_all(text.as_bytes());
        }
        let ended = child.wait();
        ended
            .map(drop)
            .map_err(|error| failed(format!("the pager `{pager}` failed: {error}")))
    }

    fn encrypt(
        &self,
        passwords: &VaultOptions,
        target: &EncryptOptions,
        output: Option<&Path>,
        files: &[PathBuf],
    ) -> Result<(), CommandError> {
        let (id, secret) = self.encrypting(passwords, target)?;
        if files.is_empty() {
            hint_stdin("plaintext");
        }
        for file in or_stream(files) {
            let content = Zeroizing::new(content_of(file)?);
            if vault::is_vaulted(&content) {
                return Err(failed("input is already encrypted"));
            }
            let envelope = self.sealed(&content, &secret, &id)?;
            put(output.unwrap_or(file), envelope.as_bytes())?;
        }
        note_on_terminal("Encryption successful");
        Ok(())
    }

    fn rekey(
        &self,
        file: &Path,
        secrets: &VaultSecrets,
        id: &str,
        secret: &[u8],
    ) -> Result<(), CommandError> {
        let path = real(file);
        let opened = opened("rekey", &path, secrets)?;
        let envelope = self.sealed(&opened.content, secret, id)?;
        write(&path, envelope.as_bytes(), true)
    }

    /// A new envelope, with the salt of the settings where they have one.
    fn sealed(&self, content: &[u8], secret: &[u8], id: &str) -> Result<String, CommandError> {
        let salt = self.config.chosen("vault_encrypt_salt");
        let envelope = match salt {
            Some(salt) => vault::encrypt_with_salt(content, secret, Some(id), salt.as_bytes()),
            None => vault::encrypt(content, secret, Some(id)),
        };
        envelope.map_err(|error| failed(error.to_string()))
    }

    fn encrypt_strings(&self, arguments: &EncryptString) -> Result<(), CommandError> {
        let given = &arguments.string_to_encrypt;
        let stream = given.iter().any(|text| text == STREAM)
            || arguments.stdin_name.is_some()
            || (given.is_empty() && !arguments.prompt);
        if arguments.prompt && stream {
            return Err(misused(
                "The --prompt option is not supported if also reading input from stdin",
            ));
        }
        one_output(arguments.output.as_deref(), given.len())?;
        let (id, secret) = self.encrypting(&arguments.passwords, &arguments.target)?;
        let strings = strings(arguments, stream)?;
        let mut text = String::new();
        for (index, string) in strings.iter().enumerate() {
            if strings.len() > 1 {
                note(&string.title(index + 1));
            }
            let envelope = self.sealed(string.text.as_bytes(), &secret, &id)?;
            let name = string.name.as_deref();
            text.push_str(&name.map_or_else(String::new, |name| format!("{name}: ")));
            text.push_str("!vault |\n");
            for line in envelope.lines() {
                text.push_str(&format!("{:10}{line}\n", ""));
            }
        }
        put(
            arguments.output.as_deref().unwrap_or(Path::new(STREAM)),
            text.as_bytes(),
        )?;
        note_on_terminal("Encryption successful");
        Ok(())
    }
}

/// A string to encrypt.
struct Plain {
    text: Zeroizing<String>,
    name: Option<String>,
    from: &'static str,
}

impl Plain {
    fn new(text: String, name: Option<String>, from: &'static str) -> Self {
        Self {
            text: Zeroizing::new(text),
            name,
            from,
        }
    }

    fn title(&self, number: usize) -> String {
        let from = self.from;
        match &self.name {
            Some(name) => format!(
                "# The encrypted version of variable (\"{name}\", the string #{number} from {from})."
            ),
            None => format!("# The encrypted version of the string #{number} from {from}.)"),
        }
    }
}

/// The strings in the order in which they are written: the answer of the user, standard input, arguments.
fn strings(arguments: &EncryptString, stream: bool) -> Result<Vec<Plain>, CommandError> {
    let mut strings = vec![];
    if arguments.prompt {
        let unanswered = || failed("the prompt has no answer");
        let name = prompt::line("Variable name (enter for no name): ").ok_or_else(unanswered)?;
        let text = if arguments.show_input {
            prompt::line("String to encrypt: ")
        } else {
            passwords::secret("String to encrypt (hidden): ")
        };
        let text = text.ok_or_else(unanswered)?;
        if text.is_empty() {
            return Err(misused(
                "The plaintext provided from the prompt was empty, not encrypting",
            ));
        }
        let name = Some(name).filter(|name| !name.is_empty());
        strings.push(Plain::new(text, name, "the interactive prompt"));
    }
    if stream {
        hint_stdin("plaintext");
        let text = text_of_stream()?;
        if text.is_empty() {
            return Err(misused("stdin was empty, not encrypting"));
        }
        strings.push(Plain::new(text, arguments.stdin_name.clone(), "stdin"));
    }
    let given: Vec<&String> = arguments
        .string_to_encrypt
        .iter()
        .filter(|text| *text != STREAM)
        .collect();
    if let Some(last) = arguments.names.last()
        && arguments.names.len() < given.len()
    {
        note(&format!(
            "The number of --name options do not match the number of args.\n\
             The last named variable will be \"{last}\". The rest will not have names."
        ));
    }
    for (index, text) in given.into_iter().enumerate() {
        if text.is_empty() {
            return Err(misused(
                "The plaintext provided from the command line args was empty, not encrypting",
            ));
        }
        let name = arguments.names.get(index).cloned();
        strings.push(Plain::new(text.clone(), name, "the command line args"));
    }
    Ok(strings)
}

/// What a file or standard input holds, decrypted.
fn opened(verb: &str, file: &Path, secrets: &VaultSecrets) -> Result<Opened, CommandError> {
    let bytes = content_of(file)?;
    let text = String::from_utf8_lossy(&bytes);
    vault::unseal(&text, secrets).map_err(|error| {
        let place = match is_stream(file) {
            true => "<stdin>".to_owned(),
            false => real(file).display().to_string(),
        };
        // `decrypt` names the file in full, as Ansible has it.
        let shown = match verb {
            "decrypt" if !is_stream(file) => place.clone(),
            _ => file.display().to_string(),
        };
        failed(format!(
            "Failed to {verb} '{shown}': {error}\nOrigin: {place}"
        ))
    })
}

/// No file: standard input.
fn or_stream(files: &[PathBuf]) -> Vec<&Path> {
    if files.is_empty() {
        return vec![Path::new(STREAM)];
    }
    files.iter().map(PathBuf::as_path).collect()
}

fn is_stream(file: &Path) -> bool {
    file.as_os_str() == STREAM
}

fn content_of(file: &Path) -> Result<Vec<u8>, CommandError> {
    if is_stream(file) {
        let mut bytes = vec![];
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        return match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(failed(format!("cannot read standard input: {error}"))),
        };
    }
    std::fs::read(file).map_err(|error| {
        let path = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
        failed(format!(
            "Unable to read source file ({}): {}",
            path.display(),
            password::python_error(&error, &path)
        ))
    })
}

fn text_of_stream() -> Result<String, CommandError> {
    String::from_utf8(content_of(Path::new(STREAM))?)
        .map_err(|error| failed(format!("standard input is not UTF-8 text: {error}")))
}

/// The file behind links: they stay.
fn real(file: &Path) -> PathBuf {
    let found = std::fs::canonicalize(file);
    found.unwrap_or_else(|_| std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()))
}

/// Writes to a file, or to standard output for `-`.
fn put(target: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    if !is_stream(target) {
        return write(&real(target), bytes, false);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| failed(format!("cannot write to standard output: {error}")))
}

fn write(path: &Path, bytes: &[u8], keep: bool) -> Result<(), CommandError> {
    editor::replace(path, bytes, keep).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            let folder = path.parent().unwrap_or(path).display();
            failed(format!("Destination '{folder}' not writable"))
        }
        _ => failed(format!("cannot write `{}`: {error}", path.display())),
    })
}

/// Tells what is read from the terminal, so that nobody waits for nothing.
fn hint_stdin(what: &str) {
    if std::io::stdin().is_terminal() {
        note(&format!(
            "Reading {what} input from stdin. (ctrl-d to end input, twice if your content does not already have a newline)"
        ));
    }
}

fn note_on_terminal(text: &str) {
    if std::io::stdout().is_terminal() {
        note(text);
    }
}

fn note(text: &str) {
    // Nobody reads standard error then.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
