//! The modules of `ansible.posix`.

mod authorized_key;
mod sysctl;

crate::registry::family! {
    authorized_key,
    sysctl,
}
