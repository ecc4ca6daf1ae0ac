//! The modules of `ansible.posix`.

mod acl;
mod authorized_key;
mod firewalld;
mod mount;
mod seboolean;
mod selinux;
pub(crate) mod semanage;
mod synchronize;
mod sysctl;

crate::registry::family! {
    acl,
    authorized_key,
    firewalld,
    mount,
    seboolean,
    selinux,
    synchronize,
    sysctl,
}
