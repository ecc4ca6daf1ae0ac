//! Modules that make keys and certificates, with the programs that targets have for it.

mod openssh_keypair;

crate::registry::family! {
    openssh_keypair,
}
