//! The modules of `ansible.posix`.

mod acl;
mod authorized_key;
mod firewalld;
mod mount;
mod sysctl;

crate::registry::family! {
    acl,
    authorized_key,
    firewalld,
    mount,
    sysctl,
}
