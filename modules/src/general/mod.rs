//! Modules beyond `ansible.builtin` that belong to no other family.

mod ini_file;
mod singularity;

crate::registry::family! {
    ini_file,
    singularity,
}
