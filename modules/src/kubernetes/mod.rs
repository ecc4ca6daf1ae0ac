//! The modules of `kubernetes.core`: their tables. What they do is the controller's work (they speak to
//! an API server, not to a machine), so the agent is built without this folder.

pub mod helm;
pub mod helm_info;
pub mod helm_repository;
pub mod helm_template;
pub mod k8s;
pub mod k8s_cluster_info;
pub mod k8s_cp;
pub mod k8s_drain;
pub mod k8s_exec;
pub mod k8s_info;
pub mod k8s_json_patch;
pub mod k8s_log;
pub mod k8s_rollback;
pub mod k8s_rollout;
pub mod k8s_scale;
pub mod k8s_service;
pub mod k8s_taint;
pub mod shared;

use crate::machine::Machine;
use crate::outcome::{Failure, Outcome};

/// Stands where a module has its code.
fn elsewhere<T>(_: &mut dyn Machine, _: T) -> Result<Outcome, Failure> {
    Err(Failure::new("this module runs on the controller"))
}

crate::registry::family! {
    helm,
    helm_info,
    helm_repository,
    helm_template,
    k8s,
    k8s_cluster_info,
    k8s_cp,
    k8s_drain,
    k8s_exec,
    k8s_info,
    k8s_json_patch,
    k8s_log,
    k8s_rollback,
    k8s_rollout,
    k8s_scale,
    k8s_service,
    k8s_taint,
}
