//! `--version`: what this is, and what it reads.

use super::{Exit, session};

/// The ansible-core whose behaviour this program has.
pub(super) const ANSIBLE: &str = "2.21.5";

/// Prints the version. Under Ansible's names the first line is the one that tools look at.
pub(super) fn tell(name: &str) -> Exit {
    let own = env!("CARGO_PKG_VERSION");
    let first = match name.starts_with("ansible") {
        true => format!("{name} [core {ANSIBLE}]\n  rplay version = {own}\n"),
        false => format!("rplay {own}\n  compatible with = ansible-core {ANSIBLE}\n"),
    };
    // What is wrong with the settings is told by what uses them.
    let config = session::config(&mut vec![]);
    let file = config.file.as_ref().map(|path| path.display().to_string());
    let exe = std::env::current_exe().map(|path| path.display().to_string());
    crate::report::print(&format!(
        "{first}  config file = {}\n  executable location = {}\n",
        file.unwrap_or_else(|| "None".to_owned()),
        exe.unwrap_or_default()
    ));
    Exit::Ok
}
