//! Everything of rplay that runs on a target, and the static tables that describe it.
//!
//! The controller links this library for tables, validation and documents; the agent links it
//! for the code. Nothing here knows about async runtimes, templates, inventories or variables.
//! In pipeline order:
//!
//! * [`data`]: final values, as they arrive in arguments and leave in results
//! * [`args`]: argument tables, Ansible's coercions, validation
//! * [`crypt`]: hashes of passwords
//! * [`text`]: text cut as Python and the shell cut it
//! * [`time`]: dates and times of the machine's zone
//! * [`machine`]: the one door to the machine: look, change
//! * [`jobs`]: tasks in the background and their files
//! * [`order`]: sorting, and maps in order, of few bytes
//! * [`outcome`]: what a module returns
//! * [`regex`]: Python's regular expressions
//! * [`registry`]: every module by its names
//! * [`wire`]: the frames between controller and agent

#![expect(
    clippy::result_large_err,
    reason = "a failure ends the call; moving it once costs nothing"
)]

// Lets the derives name this crate in the same way inside and outside of it.
extern crate self as rplay_modules;

pub mod args;
pub mod crypt;
pub mod data;
mod http;
pub mod jobs;
pub mod json;
pub mod machine;
pub mod order;
pub mod outcome;
pub mod regex;
pub mod registry;
pub mod text;
pub mod time;
pub mod wire;

pub mod builtin;
pub mod crypto;
#[cfg(feature = "docs")]
pub mod docker;
pub mod general;
#[cfg(feature = "docs")]
pub mod kubernetes;
mod login;
mod oci;
mod openpgp;
pub mod posix;
mod supervisor;
mod xmlrpc;

pub use oci::tls::{AcceptAll, BUNDLES};
