//! The modules of `ansible.builtin`.

mod programs;
mod text_file;

crate::registry::family! {
    apt,
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
