//! From YAML text to typed plays, each value with its place.

pub mod actions;
pub mod adhoc;
pub mod ast;
pub(crate) mod check;
pub(crate) mod early;
pub mod inputs;
pub mod keyword;
pub mod kv;
pub mod node;
pub mod password;
pub mod play;
pub mod prompt;
mod resolve;
mod task;
pub mod vault;
pub mod yaml;

pub(crate) use check::{VARIABLE_NAMES, is_variable_name};
pub(crate) use resolve::is_timestamp;
pub use vault::read;
