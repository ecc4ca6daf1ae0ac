//! Modules beyond `ansible.builtin` that belong to no other family.

mod alternatives;
mod archive;
mod git_config;
mod htpasswd;
mod ini_file;
mod npm;
mod make;
mod modprobe;
mod pam_limits;
mod singularity;
mod timezone;
mod ufw;
mod xattr;

crate::registry::family! {
    alternatives,
    archive,
    git_config,
    htpasswd,
    ini_file,
    npm,
    make,
    modprobe,
    pam_limits,
    singularity,
    timezone,
    ufw,
    xattr,
}
