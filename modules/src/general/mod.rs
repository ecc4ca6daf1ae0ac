//! Modules beyond `ansible.builtin` that belong to no other family.

crate::registry::family! {
    singularity,
}
