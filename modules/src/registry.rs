//! Every module by its names.

use crate::args::Module;

/// All modules, family by family.
pub fn modules() -> impl Iterator<Item = &'static Module> {
    [
        crate::builtin::MODULES,
        crate::crypto::MODULES,
        #[cfg(feature = "docs")]
        crate::docker::MODULES,
        crate::general::MODULES,
        #[cfg(feature = "docs")]
        crate::kubernetes::MODULES,
        crate::posix::MODULES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The module that a user means: a fully qualified name, `ansible.legacy.NAME`, or a short name.
/// A short name finds modules of every family, so that roles written before collections run.
#[must_use]
pub fn find(name: &str) -> Option<&'static Module> {
    let short = name.strip_prefix("ansible.legacy.").unwrap_or(name);
    modules().find(|module| {
        let names = |full: &str| {
            full == name || (!short.contains('.') && full.rsplit('.').next() == Some(short))
        };
        names(module.name) || module.aliases.iter().any(|alias| names(alias))
    })
}

/// The table of a family's modules. They are declared beside it: a formatter does not look into
/// macros.
macro_rules! family {
    ($($name:ident),* $(,)?) => {
        /// The modules of this family.
        pub(crate) static MODULES: &[&$crate::args::Module] = &[$(&$name::MODULE),*];
    };
}
pub(crate) use family;
