//! The modules of `ansible.builtin`.

mod apt;
mod apt_key;
mod apt_repository;
pub mod assemble;
mod async_status;
mod blockinfile;
pub(crate) mod command;
mod copy;
mod cron;
mod deb822_repository;
mod debconf;
mod dnf;
mod dnf5;
mod dpkg_selections;
mod expect;
mod file;
mod find;
mod get_url;
mod getent;
mod git;
mod group;
mod hostname;
mod iptables;
mod known_hosts;
mod lineinfile;
mod package;
mod package_facts;
mod ping;
mod pip;
pub(crate) mod programs;
mod raw;
mod replace;
mod rpm_key;
mod script;
mod service;
mod service_facts;
mod setup;
mod shell;
mod slurp;
mod stat;
mod subversion;
mod systemd;
mod sysvinit;
mod tempfile;
mod text_file;
pub(crate) mod unarchive;
pub(crate) mod uri;
mod user;
mod wait_for;
mod yum_repository;

/// The value of a failure of `package` that names the manager whose module is to be called instead.
pub const FOUND_MANAGER: &str = "_package_manager";

crate::registry::family! {
    apt,
    apt_key,
    apt_repository,
    assemble,
    async_status,
    blockinfile,
    command,
    copy,
    cron,
    deb822_repository,
    debconf,
    dnf,
    dnf5,
    dpkg_selections,
    expect,
    file,
    find,
    get_url,
    getent,
    git,
    group,
    hostname,
    iptables,
    known_hosts,
    lineinfile,
    package,
    package_facts,
    ping,
    pip,
    raw,
    replace,
    rpm_key,
    script,
    service,
    service_facts,
    setup,
    shell,
    slurp,
    stat,
    subversion,
    systemd,
    sysvinit,
    tempfile,
    unarchive,
    uri,
    user,
    wait_for,
    yum_repository,
}
