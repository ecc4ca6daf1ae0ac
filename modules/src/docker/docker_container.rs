//! `docker_container`: containers.

use rplay_modules::args::{ModuleArgs, Returns, Rules};
use rplay_modules::data::{Data, Map};
use rplay_modules::module;

use super::elsewhere;
use super::shared::Engine;

/// Makes, changes, starts, stops and removes containers.
#[derive(ModuleArgs, Clone)]
pub struct Args {
    /// How the engine is reached.
    #[arg(flatten)]
    pub engine: Engine,
    /// The container's name, or its number where it is stopped or removed.
    pub name: String,
    /// What becomes of it.
    #[arg(
        default = "started",
        choices = "absent, present, healthy, stopped, started"
    )]
    pub state: String,
    /// Its image.
    pub image: Option<String>,
    /// What it runs instead of the image's command.
    pub command: Option<Data>,
    /// Whether an empty command means none; `correct` leaves lists as they are.
    #[arg(choices = "compatibility, correct")]
    pub command_handling: Option<String>,
    /// What it runs instead of the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Its environment.
    pub env: Option<Map>,
    /// A file of the host with more of it.
    #[arg(kind = "path")]
    pub env_file: Option<String>,
    /// Its labels.
    pub labels: Option<Map>,
    /// What of the host it sees: `PATH:PATH[:MODE]`, `NAME:PATH[:MODE]` or `PATH`.
    pub volumes: Option<Vec<String>>,
    /// The same as mappings: `target`, `source`, `type`, `read_only`, `labels`, `propagation`, `no_copy`, `tmpfs_mode`, `tmpfs_size`, `volume_driver`, `volume_options`, `consistency`, `create_mountpoint`, `non_recursive`, `subpath`.
    pub mounts: Option<Vec<Map>>,
    /// Ports of the host: `PORT`, `PORT:PORT`, `ADDRESS:PORT:PORT`, ranges, `/udp`; `all` for every exposed one.
    #[arg(alias = "ports")]
    pub published_ports: Option<Vec<String>>,
    /// Ports that other containers see.
    #[arg(alias = "exposed", alias = "expose")]
    pub exposed_ports: Option<Vec<String>>,
    /// Publish every exposed port.
    pub publish_all_ports: Option<bool>,
    /// The address of ports that name none.
    pub default_host_ip: Option<String>,
    /// The networks it is in: mappings with `name`, `aliases`, `links`, `ipv4_address`, `ipv6_address`, `mac_address`, `driver_opts`, `gw_priority`.
    pub networks: Option<Vec<Map>>,
    /// The network it starts in: `bridge`, `host`, `none`, `container:NAME` or a network's name.
    pub network_mode: Option<String>,
    /// Start it in the first of `networks` only.
    #[arg(default = "true")]
    pub networks_cli_compatible: bool,
    /// When it is started again.
    #[arg(choices = "no, on-failure, always, unless-stopped")]
    pub restart_policy: Option<String>,
    /// How often, on failure.
    pub restart_retries: Option<i64>,
    /// Start it again although nothing changed.
    #[arg(default = "false")]
    pub restart: bool,
    /// Make it anew although nothing changed.
    #[arg(default = "false")]
    pub recreate: bool,
    /// When the image is pulled: `never`, `missing`, `always`.
    #[arg(default = "missing", choices = "never, missing, always, True, False")]
    pub pull: String,
    /// What check mode says of a pull; it asks the registry and says what it would bring.
    #[arg(default = "image_not_present", choices = "image_not_present, always")]
    pub pull_check_mode_behavior: String,
    /// How options are compared: `strict`, `ignore` or `allow_more_present`, by option, `*` for all.
    pub comparisons: Option<Map>,
    /// Which image's settings count as given.
    #[arg(default = "desired-image", choices = "desired-image, current-image")]
    pub image_comparison: String,
    /// What another name for the same image means.
    #[arg(default = "recreate", choices = "recreate, ignore")]
    pub image_name_mismatch: String,
    /// What labels of the image mean that the container is not given.
    #[arg(default = "ignore", choices = "ignore, fail")]
    pub image_label_mismatch: String,
    /// Whether options that are not given count with their old defaults.
    #[arg(choices = "compatibility, no_defaults")]
    pub container_default_behavior: Option<String>,
    /// Leave unnamed volumes of a removed container.
    #[arg(default = "true")]
    pub keep_volumes: bool,
    /// Kill it instead of stopping it.
    #[arg(default = "false", alias = "forcekill")]
    pub force_kill: bool,
    /// The signal that kills it.
    pub kill_signal: Option<String>,
    /// Seconds between asking it to stop and killing it.
    pub stop_timeout: Option<i64>,
    /// The signal that asks it to stop.
    pub stop_signal: Option<String>,
    /// Seconds to wait for it to be gone.
    pub removal_wait_timeout: Option<f64>,
    /// Seconds to wait for it to be healthy.
    #[arg(default = "300")]
    pub healthy_wait_timeout: f64,
    /// How its health is found out: `test`, `interval`, `timeout`, `retries`, `start_period`, `start_interval`, `test_cli_compatible`.
    pub healthcheck: Option<Map>,
    /// Do not wait for its end.
    pub detach: Option<bool>,
    /// Remove it after its end, without `detach`.
    #[arg(default = "false")]
    pub cleanup: bool,
    /// Take its output into the result, without `detach`.
    #[arg(default = "false")]
    pub output_logs: bool,
    /// Whether it is paused.
    pub paused: Option<bool>,
    /// Let the engine remove it after its end.
    pub auto_remove: Option<bool>,
    /// Its host name.
    pub hostname: Option<String>,
    /// Its domain.
    pub domainname: Option<String>,
    /// The user it runs as.
    pub user: Option<String>,
    /// The folder it runs in.
    pub working_dir: Option<String>,
    /// Further groups of its processes.
    pub groups: Option<Vec<String>>,
    /// Keep its standard input open.
    pub interactive: Option<bool>,
    /// Give it a terminal.
    pub tty: Option<bool>,
    /// Run an init in it.
    pub init: Option<bool>,
    /// Let it do everything.
    pub privileged: Option<bool>,
    /// Let it write to nothing of its own.
    pub read_only: Option<bool>,
    /// Capabilities it gets.
    pub capabilities: Option<Vec<String>>,
    /// Capabilities it loses.
    pub cap_drop: Option<Vec<String>>,
    /// Options of its isolation.
    pub security_opts: Option<Vec<String>>,
    /// Devices of the host: `PATH:PATH:rwm`.
    pub devices: Option<Vec<String>>,
    /// Rules for devices.
    pub device_cgroup_rules: Option<Vec<String>>,
    /// Bytes a second that are read of devices: mappings with `path` and `rate`.
    pub device_read_bps: Option<Vec<Map>>,
    /// Bytes a second that are written to devices: mappings with `path` and `rate`.
    pub device_write_bps: Option<Vec<Map>>,
    /// Reads a second: mappings with `path` and `rate`.
    pub device_read_iops: Option<Vec<Map>>,
    /// Writes a second: mappings with `path` and `rate`.
    pub device_write_iops: Option<Vec<Map>>,
    /// Devices by what they can, such as GPUs: mappings with `capabilities`, `count`, `device_ids`, `driver` and `options`.
    pub device_requests: Option<Vec<Map>>,
    /// Its name servers.
    pub dns_servers: Option<Vec<String>>,
    /// Its search domains.
    pub dns_search_domains: Option<Vec<String>>,
    /// Options of its name resolution.
    pub dns_opts: Option<Vec<String>>,
    /// Names and addresses of its `/etc/hosts`.
    pub etc_hosts: Option<Map>,
    /// Containers that it knows by name.
    pub links: Option<Vec<String>>,
    /// Whose memory it shares.
    pub ipc_mode: Option<String>,
    /// Whose processes it sees.
    pub pid_mode: Option<String>,
    /// Whose host name it has.
    pub uts: Option<String>,
    /// Whose users it has.
    pub userns_mode: Option<String>,
    /// Whose control groups it sees.
    #[arg(choices = "host, private")]
    pub cgroupns_mode: Option<String>,
    /// The control group above its own.
    pub cgroup_parent: Option<String>,
    /// Its hardware address.
    pub mac_address: Option<String>,
    /// How much memory it may use.
    pub memory: Option<String>,
    /// How much it is left.
    pub memory_reservation: Option<String>,
    /// How much memory and swap it may use.
    pub memory_swap: Option<String>,
    /// How readily it is swapped out.
    pub memory_swappiness: Option<i64>,
    /// How much kernel memory it may use.
    pub kernel_memory: Option<String>,
    /// The size of its `/dev/shm`.
    pub shm_size: Option<String>,
    /// Whether it is killed when memory is short.
    pub oom_killer: Option<bool>,
    /// How readily.
    pub oom_score_adj: Option<i64>,
    /// How many processes it may have.
    pub pids_limit: Option<i64>,
    /// How many processors it may use.
    pub cpus: Option<f64>,
    /// The length of a share of time.
    pub cpu_period: Option<i64>,
    /// How much of it.
    pub cpu_quota: Option<i64>,
    /// Its weight.
    pub cpu_shares: Option<i64>,
    /// Its processors.
    pub cpuset_cpus: Option<String>,
    /// Its memory nodes.
    pub cpuset_mems: Option<String>,
    /// Its weight for disks.
    pub blkio_weight: Option<i64>,
    /// Its limits: `NAME:SOFT[:HARD]`.
    pub ulimits: Option<Vec<String>>,
    /// Kernel settings of its namespaces.
    pub sysctls: Option<Map>,
    /// File systems in memory: `PATH[:OPTIONS]`.
    pub tmpfs: Option<Vec<String>>,
    /// Options of its storage.
    pub storage_opts: Option<Map>,
    /// Where its output goes.
    pub log_driver: Option<String>,
    /// Options of that.
    #[arg(alias = "log_opt")]
    pub log_options: Option<Map>,
    /// What runs it.
    pub runtime: Option<String>,
    /// Its platform.
    pub platform: Option<String>,
    /// What makes its volumes.
    pub volume_driver: Option<String>,
    /// Containers whose volumes it sees.
    pub volumes_from: Option<Vec<String>>,
}

/// What comes back.
#[derive(Returns)]
#[expect(dead_code, reason = "a table of return values")]
struct Values {
    /// The container.
    container: Map,
    /// Its exit code, without `detach`.
    status: i64,
}

module! {
    "community.docker.docker_container", args: Args, returns: Values, run: elsewhere::<Args>,
    rules: Rules {
        required_if: &[("state", "present", &["image"], false)],
        ..Rules::NONE
    },
}
