//! Modules beyond `ansible.builtin` that belong to no other family.

mod singularity;

crate::registry::family! {
    singularity,
}
