//! The modules of `ansible.builtin`.

mod apt;
pub mod assemble;
mod async_status;
mod blockinfile;
mod command;
mod copy;
mod cron;
mod file;
mod find;
mod get_url;
mod getent;
mod git;
mod group;
mod known_hosts;
mod lineinfile;
mod package;
mod ping;
pub(crate) mod programs;
mod raw;
mod replace;
mod script;
mod service;
mod setup;
mod shell;
mod slurp;
mod stat;
mod systemd;
mod tempfile;
mod text_file;
mod unarchive;
mod uri;
mod user;
mod wait_for;

crate::registry::family! {
    apt,
    assemble,
    async_status,
    blockinfile,
    command,
    copy,
    cron,
    file,
    find,
    get_url,
    getent,
    git,
    group,
    known_hosts,
    lineinfile,
    package,
    ping,
    raw,
    replace,
    script,
    service,
    setup,
    shell,
    slurp,
    stat,
    systemd,
    tempfile,
    unarchive,
    uri,
    user,
    wait_for,
}
