//! Modules beyond `ansible.builtin` that belong to no other family.

mod alternatives;
mod archive;
mod capabilities;
mod filesystem;
mod gem;
mod git_config;
mod htpasswd;
mod ini_file;
mod locale_gen;
mod make;
mod modprobe;
mod npm;
mod pam_limits;
mod parted;
mod sefcontext;
mod seport;
mod singularity;
mod supervisorctl;
mod timezone;
mod ufw;
mod xattr;
mod xml;

crate::registry::family! {
    alternatives,
    archive,
    capabilities,
    filesystem,
    gem,
    git_config,
    htpasswd,
    ini_file,
    locale_gen,
    make,
    modprobe,
    npm,
    pam_limits,
    parted,
    sefcontext,
    seport,
    singularity,
    supervisorctl,
    timezone,
    ufw,
    xattr,
    xml,
}
