//! Options that several programs share: each group once, flattened into their argument structs.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::vault::VaultOptions;
use crate::load::inputs::FilesRead;

/// What every program that runs tasks takes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TaskOptions {
    #[command(flatten)]
    pub(crate) verbosity: Verbosity,
    #[command(flatten)]
    pub(crate) inventory: InventoryOptions,
    #[command(flatten)]
    pub(crate) extra: ExtraVars,
    #[command(flatten)]
    pub(crate) how: RunOptions,
    #[command(flatten)]
    pub(crate) vault: VaultOptions,
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) r#become: BecomeOptions,
    /// Where the files that are read are kept, for a plan.
    #[arg(skip)]
    pub(crate) files_read: FilesRead,
}

/// How much is told.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Verbosity {
    /// Tell more (-vvv for more still)
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// Which hosts.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InventoryOptions {
    /// Inventory: a file, a directory, or a list of hosts with commas
    #[arg(
        short,
        long = "inventory",
        visible_alias = "inventory-file",
        value_name = "INVENTORY"
    )]
    pub(crate) inventory: Vec<String>,
    /// Run on these hosts only
    #[arg(short, long, value_name = "SUBSET")]
    pub(crate) limit: Option<String>,
    /// Forget what is cached of the hosts
    #[arg(long)]
    pub(crate) flush_cache: bool,
}

/// Variables of the command line.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ExtraVars {
    /// Set variables: key=value, JSON or YAML, or @file
    #[arg(short, long, value_name = "EXTRA_VARS")]
    pub(crate) extra_vars: Vec<String>,
}

/// As whom and how to connect.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct ConnectionOptions {
    /// Private key of the connection
    #[arg(long, visible_alias = "key-file", value_name = "PRIVATE_KEY_FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Connect as this user
    #[arg(short, long, value_name = "REMOTE_USER")]
    pub(crate) user: Option<String>,
    /// Connection type
    #[arg(short, long, value_name = "CONNECTION")]
    pub(crate) connection: Option<String>,
    /// Time-out of the connection in seconds
    #[arg(short = 'T', long, value_name = "TIMEOUT")]
    pub(crate) timeout: Option<u64>,
    /// Arguments of every SSH connection
    #[arg(long, allow_hyphen_values = true, value_name = "SSH_COMMON_ARGS")]
    pub(crate) ssh_common_args: Option<String>,
    /// Arguments of sftp: accepted, nothing is sent with sftp
    #[arg(long, allow_hyphen_values = true, value_name = "SFTP_EXTRA_ARGS")]
    pub(crate) sftp_extra_args: Option<String>,
    /// Arguments of scp: accepted, nothing is sent with scp
    #[arg(long, allow_hyphen_values = true, value_name = "SCP_EXTRA_ARGS")]
    pub(crate) scp_extra_args: Option<String>,
    /// Further arguments of SSH connections
    #[arg(long, allow_hyphen_values = true, value_name = "SSH_EXTRA_ARGS")]
    pub(crate) ssh_extra_args: Option<String>,
    /// Ask for the connection's password
    #[arg(short = 'k', long, conflicts_with = "connection_password_file")]
    pub(crate) ask_pass: bool,
    /// File with the connection's password, or a script that prints it
    #[arg(
        long,
        visible_alias = "conn-pass-file",
        value_name = "CONNECTION_PASSWORD_FILE"
    )]
    pub(crate) connection_password_file: Option<PathBuf>,
}

/// Whom to become.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Privilege escalation options")]
pub(crate) struct BecomeOptions {
    /// Become another user
    #[arg(short = 'b', long)]
    pub(crate) r#become: bool,
    /// How to become that user
    #[arg(long, value_name = "BECOME_METHOD")]
    pub(crate) become_method: Option<String>,
    /// The user to become
    #[arg(long, value_name = "BECOME_USER")]
    pub(crate) become_user: Option<String>,
    /// Ask for the password to become that user
    #[arg(short = 'K', long, conflicts_with = "become_password_file")]
    pub(crate) ask_become_pass: bool,
    /// File with the password to become that user, or a script that prints it
    #[arg(
        long,
        visible_alias = "become-pass-file",
        value_name = "BECOME_PASSWORD_FILE"
    )]
    pub(crate) become_password_file: Option<PathBuf>,
}

/// How tasks are run.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RunOptions {
    /// Change nothing, tell what would change
    #[arg(short = 'C', long)]
    pub(crate) check: bool,
    /// Show the differences
    #[arg(short = 'D', long)]
    pub(crate) diff: bool,
    /// Number of hosts worked on at a time
    #[arg(short, long, value_name = "FORKS", value_parser = forks)]
    pub(crate) forks: Option<usize>,
    /// Further folders of modules; what is in Python there fails when a task reaches it
    #[arg(short = 'M', long, value_name = "MODULE_PATH")]
    pub(crate) module_path: Vec<PathBuf>,
}

/// What stands for the playbook's folder where there is no playbook.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct BaseDir {
    /// Folder that stands for the playbook's: `group_vars`, `roles` and files are looked for there
    #[arg(long, value_name = "BASEDIR")]
    pub(crate) playbook_dir: Option<PathBuf>,
}

/// A number of hosts worked on at a time: at least one.
fn forks(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) => Err("The number of processes (--forks) must be >= 1".to_owned()),
        Ok(forks) => Ok(forks),
        Err(_) => Err(format!("invalid int value: '{text}'")),
    }
}
