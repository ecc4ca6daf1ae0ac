//! rplay: an Ansible-compatible playbook engine.
//!
//! The modules in pipeline order; data flows down this list and never up:
//!
//! * [`diag`]: the one type for problems that a user reads, and its renderer
//! * [`secrets`]: values that must never be shown, and what masks them
//! * [`cli`]: one file a subcommand; exit codes
//! * [`config`]: `ansible.cfg`, environment variables and defaults in one table
//! * [`load`]: YAML to values with positions to typed plays; vault
//! * [`inventory`]: hosts, groups, patterns
//! * [`vars`]: precedence, lazy scopes, magic variables
//! * [`template`]: Jinja as Ansible has it
//! * [`plan`]: typed plays to what is to be run
//! * [`run`]: the only place with concurrency
//! * [`action`]: names that need the controller
//! * [`connect`]: local and SSH connections, the agent's bootstrap, become
//! * [`report`]: events, and the views of them
//! * `lint`: rules of good playbooks, over what `load` reads
//!
//! `files` stands beside them: it writes files of the controller in one step.

pub mod action;
pub mod cli;
pub mod config;
pub mod connect;
pub mod diag;
mod files;
pub mod inventory;
mod lint;
pub mod load;
pub mod ordered;
pub mod plan;
pub mod report;
pub mod run;
pub mod secrets;
pub mod template;
pub mod vars;
