//! When a private key that is there is made anew.

use rplay_modules::args::ArgEnum;

/// The argument `regenerate`.
#[derive(ArgEnum, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regenerate {
    /// A key that can be read stays.
    Never,
    /// As `Never`, and a key of another kind or size is an error.
    Fail,
    /// A key of another kind or size is replaced.
    #[arg(name = "partial_idempotence")]
    Partial,
    /// So is one that cannot be read.
    #[arg(name = "full_idempotence")]
    Full,
    /// Each time.
    Always,
}
