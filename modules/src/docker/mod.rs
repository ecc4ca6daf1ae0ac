//! The modules of `community.docker`: their tables. What they do is the controller's work (they speak to
//! an engine, by its socket on the host), so the agent is built without this folder.

pub mod docker_compose_v2;
pub mod docker_compose_v2_exec;
pub mod docker_compose_v2_pull;
pub mod docker_compose_v2_run;
pub mod docker_container;
pub mod docker_container_exec;
pub mod docker_container_info;
pub mod docker_host_info;
pub mod docker_image;
pub mod docker_image_build;
pub mod docker_image_info;
pub mod docker_image_pull;
pub mod docker_login;
pub mod docker_network;
pub mod docker_network_info;
pub mod docker_prune;
pub mod docker_volume;
pub mod docker_volume_info;
pub mod shared;

use crate::machine::Machine;
use crate::outcome::{Failure, Outcome};

/// Stands where a module has its code.
fn elsewhere<T>(_: &mut dyn Machine, _: T) -> Result<Outcome, Failure> {
    Err(Failure::new("this module runs on the controller"))
}

crate::registry::family! {
    docker_compose_v2,
    docker_compose_v2_exec,
    docker_compose_v2_pull,
    docker_compose_v2_run,
    docker_container,
    docker_container_exec,
    docker_container_info,
    docker_host_info,
    docker_image,
    docker_image_build,
    docker_image_info,
    docker_image_pull,
    docker_login,
    docker_network,
    docker_network_info,
    docker_prune,
    docker_volume,
    docker_volume_info,
}
