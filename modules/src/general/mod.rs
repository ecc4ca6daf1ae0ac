//! Modules beyond `ansible.builtin` that belong to no other family.

mod alternatives;
mod apk;
mod archive;
mod capabilities;
mod filesystem;
mod gem;
mod git_config;
mod htpasswd;
mod ini_file;
mod lmod;
mod locale_gen;
mod mail;
mod make;
mod modprobe;
mod npm;
mod pacman;
mod pam_limits;
mod parted;
mod sefcontext;
mod seport;
mod singularity;
mod singularity_exec;
mod singularity_inspect;
mod singularity_instance;
mod singularity_run;
mod slack;
mod snap;
mod supervisor_config;
mod supervisorctl;
mod timezone;
mod ufw;
mod xattr;
mod xml;
mod zypper;

crate::registry::family! {
    alternatives,
    apk,
    archive,
    capabilities,
    filesystem,
    gem,
    git_config,
    htpasswd,
    ini_file,
    lmod,
    locale_gen,
    mail,
    make,
    modprobe,
    npm,
    pacman,
    pam_limits,
    parted,
    sefcontext,
    seport,
    singularity,
    singularity_exec,
    singularity_inspect,
    singularity_instance,
    singularity_run,
    slack,
    snap,
    supervisor_config,
    supervisorctl,
    timezone,
    ufw,
    xattr,
    xml,
    zypper,
}
