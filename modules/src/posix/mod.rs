//! The modules of `ansible.posix`.

mod acl;
mod authorized_key;
mod firewalld;
mod mount;
mod seboolean;
mod selinux;
pub(crate) mod semanage;
mod sysctl;

crate::registry::family! {
    acl,
    authorized_key,
    firewalld,
    mount,
    seboolean,
    selinux,
    sysctl,
}
