//! The modules of `ansible.builtin`.

mod apt;
mod async_status;
mod blockinfile;
mod command;
mod copy;
mod file;
mod find;
mod get_url;
mod getent;
mod group;
mod lineinfile;
mod package;
mod ping;
mod programs;
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
mod uri;
mod user;
mod wait_for;

crate::registry::family! {
    apt,
    async_status,
    blockinfile,
    command,
    copy,
    file,
    find,
    get_url,
    getent,
    group,
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
    uri,
    user,
    wait_for,
}
