//! Whether something shall be there, as most modules ask.

use super::ArgEnum;

/// `absent` or `present`, told in this order.
#[derive(ArgEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It shall not be there.
    Absent,
    /// It shall be there.
    Present,
}

/// `present`, `absent` or `latest`: packages of which there are newer versions.
#[derive(ArgEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// Some version shall be there.
    Present,
    /// No version shall be there.
    Absent,
    /// The newest version shall be there.
    Latest,
}

/// [`State`] where Ansible tells the words the other way round.
#[derive(ArgEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentFirst {
    /// It shall be there.
    Present,
    /// It shall not be there.
    Absent,
}
