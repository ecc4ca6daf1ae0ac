//! `rplay vault view FILE`: shows what a vaulted file holds.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::{CommandError, Exit, finish, usage};
use crate::load;
use crate::load::vault::VaultSecrets;
use crate::run::prompt;
use crate::secrets::Secrets;

/// Shows a vaulted file.
#[derive(Debug, Parser)]
#[command(name = "rplay vault")]
enum Arguments {
    /// Print the content of a vaulted file
    View {
        /// The file
        file: PathBuf,
        /// Vault identity: label@prompt, label@file or label@script
        #[arg(long)]
        vault_id: Vec<String>,
        /// File with the vault password, or a script that prints it
        #[arg(long, alias = "vault-pass-file")]
        vault_password_file: Vec<PathBuf>,
    },
}

/// Runs the subcommand.
pub(super) fn main(args: &[OsString]) -> Exit {
    let words = std::iter::once(OsString::from("rplay vault")).chain(args.iter().cloned());
    match Arguments::try_parse_from(words) {
        Ok(arguments) => finish(run(arguments), &Secrets::default()),
        Err(error) => usage(&error),
    }
}

/// Reads the passwords that `--vault-id` and `--vault-password-file` name.
pub(super) fn secrets(ids: &[String], hidden: &Secrets) -> Result<VaultSecrets, CommandError> {
    VaultSecrets::from_ids(ids, &|question| prompt::ask(question, false), hidden)
        .map_err(|problem| CommandError::new(Exit::Error, problem))
}

fn run(arguments: Arguments) -> Result<Exit, CommandError> {
    let Arguments::View {
        file,
        vault_id,
        vault_password_file,
    } = arguments;
    let mut ids = vault_id;
    ids.extend(
        vault_password_file
            .iter()
            .map(|path| path.display().to_string()),
    );
    let secrets = secrets(&ids, &Secrets::default())?;
    let source =
        load::read(&file, &secrets).map_err(|problem| CommandError::new(Exit::Error, problem))?;
    crate::report::print(&source.text);
    Ok(Exit::Ok)
}
