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
mod hostname;
mod known_hosts;
mod lineinfile;
mod package;
mod package_facts;
mod ping;
pub(crate) mod programs;
mod raw;
mod replace;
mod script;
mod service;
mod service_facts;
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
    hostname,
    known_hosts,
    lineinfile,
    package,
    package_facts,
    ping,
    raw,
    replace,
    script,
    service,
    service_facts,
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
