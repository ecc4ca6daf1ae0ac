//! The options of a container: what the arguments ask for in the engine's words, what a container has, and
//! whether that is the same. One table serves making and comparing.

use rplay_modules::data::{Data, Map};
use rplay_modules::docker::docker_container::Args;
use rplay_modules::text::split_words;
use serde_json::{Value as Json, json};

use super::changes::Changes;
use super::mounts;
use super::sizes::{bytes, nanoseconds};
use super::{only, volume};
use crate::action::ActionError;

/// How values are alike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Value,
    List,
    Set,
    Dict,
}

/// How an option is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Strict,
    Ignore,
    More,
}

/// One option that is asked for.
pub(super) struct Wanted {
    pub(super) name: &'static str,
    shape: Shape,
    /// Where it stands in the engine's configuration of a container.
    place: &'static [&'static str],
    pub(super) value: Json,
}

/// Options that a running container can be given.
pub(super) const LIVE: [&str; 11] = [
    "blkio_weight",
    "cpu_period",
    "cpu_quota",
    "cpu_shares",
    "cpuset_cpus",
    "cpuset_mems",
    "kernel_memory",
    "memory",
    "memory_reservation",
    "memory_swap",
    "restart_policy",
];

/// Names that `comparisons` may hold beside the options.
const FURTHER: [&str; 4] = ["*", "image", "networks", "volumes"];

pub(super) fn bad(text: String) -> ActionError {
    ActionError::new(text)
}

/// Everything that the arguments ask for.
pub(super) fn wanted(args: &Args) -> Result<Vec<Wanted>, ActionError> {
    let mut all = vec![];
    texts(args, &mut all);
    numbers(args, &mut all);
    sizes(args, &mut all)?;
    lists(args, &mut all);
    commands(args, &mut all)?;
    mappings(args, &mut all)?;
    limits(args, &mut all)?;
    mounted(args, &mut all)?;
    if let Some(text) = &args.restart_policy {
        put(
            &mut all,
            "restart_policy",
            Shape::Value,
            &["HostConfig", "RestartPolicy", "Name"],
            text.clone(),
        );
    }
    if let Some(count) = args.restart_retries {
        put(
            &mut all,
            "restart_retries",
            Shape::Value,
            &["HostConfig", "RestartPolicy", "MaximumRetryCount"],
            count,
        );
    }
    Ok(all)
}

fn put(
    all: &mut Vec<Wanted>,
    name: &'static str,
    shape: Shape,
    place: &'static [&'static str],
    value: impl Into<Json>,
) {
    let value = value.into();
    all.push(Wanted {
        name,
        shape,
        place,
        value,
    });
}

/// Words; the function is a flat table, as the next one is.
fn texts(args: &Args, all: &mut Vec<Wanted>) {
    let texts: [(&'static str, &Option<String>, &'static [&'static str]); 19] = [
        (
            "cgroup_parent",
            &args.cgroup_parent,
            &["HostConfig", "CgroupParent"],
        ),
        (
            "cgroupns_mode",
            &args.cgroupns_mode,
            &["HostConfig", "CgroupnsMode"],
        ),
        (
            "cpuset_cpus",
            &args.cpuset_cpus,
            &["HostConfig", "CpusetCpus"],
        ),
        (
            "cpuset_mems",
            &args.cpuset_mems,
            &["HostConfig", "CpusetMems"],
        ),
        ("domainname", &args.domainname, &["Config", "Domainname"]),
        ("hostname", &args.hostname, &["Config", "Hostname"]),
        ("ipc_mode", &args.ipc_mode, &["HostConfig", "IpcMode"]),
        (
            "log_driver",
            &args.log_driver,
            &["HostConfig", "LogConfig", "Type"],
        ),
        ("mac_address", &args.mac_address, &["Config", "MacAddress"]),
        (
            "network_mode",
            &args.network_mode,
            &["HostConfig", "NetworkMode"],
        ),
        ("pid_mode", &args.pid_mode, &["HostConfig", "PidMode"]),
        ("platform", &args.platform, &["Platform"]),
        ("runtime", &args.runtime, &["HostConfig", "Runtime"]),
        ("stop_signal", &args.stop_signal, &["Config", "StopSignal"]),
        ("user", &args.user, &["Config", "User"]),
        (
            "userns_mode",
            &args.userns_mode,
            &["HostConfig", "UsernsMode"],
        ),
        ("uts", &args.uts, &["HostConfig", "UTSMode"]),
        (
            "volume_driver",
            &args.volume_driver,
            &["HostConfig", "VolumeDriver"],
        ),
        ("working_dir", &args.working_dir, &["Config", "WorkingDir"]),
    ];
    for (name, value, place) in texts {
        if let Some(value) = value {
            put(all, name, Shape::Value, place, value.clone());
        }
    }
}

/// Flags and numbers.
fn numbers(args: &Args, all: &mut Vec<Wanted>) {
    let flags: [(&'static str, Option<bool>, &'static [&'static str]); 8] = [
        (
            "auto_remove",
            args.auto_remove,
            &["HostConfig", "AutoRemove"],
        ),
        ("init", args.init, &["HostConfig", "Init"]),
        ("interactive", args.interactive, &["Config", "OpenStdin"]),
        (
            "oom_killer",
            args.oom_killer,
            &["HostConfig", "OomKillDisable"],
        ),
        ("privileged", args.privileged, &["HostConfig", "Privileged"]),
        (
            "publish_all_ports",
            args.publish_all_ports,
            &["HostConfig", "PublishAllPorts"],
        ),
        (
            "read_only",
            args.read_only,
            &["HostConfig", "ReadonlyRootfs"],
        ),
        ("tty", args.tty, &["Config", "Tty"]),
    ];
    for (name, value, place) in flags {
        if let Some(value) = value {
            put(all, name, Shape::Value, place, value);
        }
    }
    let numbers: [(&'static str, Option<i64>, &'static [&'static str]); 8] = [
        (
            "blkio_weight",
            args.blkio_weight,
            &["HostConfig", "BlkioWeight"],
        ),
        ("cpu_period", args.cpu_period, &["HostConfig", "CpuPeriod"]),
        ("cpu_quota", args.cpu_quota, &["HostConfig", "CpuQuota"]),
        ("cpu_shares", args.cpu_shares, &["HostConfig", "CpuShares"]),
        (
            "memory_swappiness",
            args.memory_swappiness,
            &["HostConfig", "MemorySwappiness"],
        ),
        (
            "oom_score_adj",
            args.oom_score_adj,
            &["HostConfig", "OomScoreAdj"],
        ),
        ("pids_limit", args.pids_limit, &["HostConfig", "PidsLimit"]),
        (
            "stop_timeout",
            args.stop_timeout,
            &["Config", "StopTimeout"],
        ),
    ];
    for (name, value, place) in numbers {
        if let Some(value) = value {
            put(all, name, Shape::Value, place, value);
        }
    }
}

fn sizes(args: &Args, all: &mut Vec<Wanted>) -> Result<(), ActionError> {
    let sizes: [(&'static str, &Option<String>, &'static [&'static str]); 5] = [
        (
            "kernel_memory",
            &args.kernel_memory,
            &["HostConfig", "KernelMemory"],
        ),
        ("memory", &args.memory, &["HostConfig", "Memory"]),
        (
            "memory_reservation",
            &args.memory_reservation,
            &["HostConfig", "MemoryReservation"],
        ),
        (
            "memory_swap",
            &args.memory_swap,
            &["HostConfig", "MemorySwap"],
        ),
        ("shm_size", &args.shm_size, &["HostConfig", "ShmSize"]),
    ];
    for (name, text, place) in sizes {
        let Some(text) = text else { continue };
        let size = match text.as_str() {
            "unlimited" | "-1" if name == "memory_swap" => Some(-1),
            text => bytes(text),
        };
        let size = size.ok_or_else(|| {
            bad(format!(
                "Failed to convert {name} to bytes: human_to_bytes() can't interpret following string: {text}"
            ))
        })?;
        put(all, name, Shape::Value, place, size);
    }
    if let Some(cpus) = args.cpus {
        #[expect(clippy::cast_possible_truncation, reason = "billionths of a processor")]
        let nano = (cpus * 1e9).round() as i64;
        put(all, "cpus", Shape::Value, &["HostConfig", "NanoCpus"], nano);
    }
    Ok(())
}

fn lists(args: &Args, all: &mut Vec<Wanted>) {
    let lists: [(
        &'static str,
        &Option<Vec<String>>,
        Shape,
        &'static [&'static str],
    ); 10] = [
        (
            "capabilities",
            &args.capabilities,
            Shape::Set,
            &["HostConfig", "CapAdd"],
        ),
        (
            "cap_drop",
            &args.cap_drop,
            Shape::Set,
            &["HostConfig", "CapDrop"],
        ),
        (
            "device_cgroup_rules",
            &args.device_cgroup_rules,
            Shape::Set,
            &["HostConfig", "DeviceCgroupRules"],
        ),
        (
            "dns_opts",
            &args.dns_opts,
            Shape::Set,
            &["HostConfig", "DnsOptions"],
        ),
        (
            "dns_search_domains",
            &args.dns_search_domains,
            Shape::List,
            &["HostConfig", "DnsSearch"],
        ),
        (
            "dns_servers",
            &args.dns_servers,
            Shape::List,
            &["HostConfig", "Dns"],
        ),
        (
            "groups",
            &args.groups,
            Shape::Set,
            &["HostConfig", "GroupAdd"],
        ),
        ("links", &args.links, Shape::Set, &["HostConfig", "Links"]),
        (
            "security_opts",
            &args.security_opts,
            Shape::Set,
            &["HostConfig", "SecurityOpt"],
        ),
        (
            "volumes_from",
            &args.volumes_from,
            Shape::Set,
            &["HostConfig", "VolumesFrom"],
        ),
    ];
    for (name, value, shape, place) in lists {
        if let Some(value) = value {
            put(all, name, shape, place, value.clone());
        }
    }
    if let Some(hosts) = &args.etc_hosts {
        let hosts = hosts
            .iter()
            .map(|(name, address)| format!("{name}:{}", address.text()));
        put(
            all,
            "etc_hosts",
            Shape::Set,
            &["HostConfig", "ExtraHosts"],
            hosts.collect::<Vec<_>>(),
        );
    }
}

fn commands(args: &Args, all: &mut Vec<Wanted>) -> Result<(), ActionError> {
    if let Some(command) = &args.command {
        let words = match command {
            Data::List(words) => words.iter().map(Data::text).collect(),
            other => split_words(&other.text()).map_err(ActionError::new)?,
        };
        if !(words.is_empty() && args.command_handling.as_deref() == Some("compatibility")) {
            put(all, "command", Shape::List, &["Config", "Cmd"], words);
        }
    }
    if let Some(entry) = &args.entrypoint {
        put(
            all,
            "entrypoint",
            Shape::List,
            &["Config", "Entrypoint"],
            entry.clone(),
        );
    }
    Ok(())
}

fn mappings(args: &Args, all: &mut Vec<Wanted>) -> Result<(), ActionError> {
    let maps: [(&'static str, &Option<Map>, &'static [&'static str]); 4] = [
        ("labels", &args.labels, &["Config", "Labels"]),
        (
            "log_options",
            &args.log_options,
            &["HostConfig", "LogConfig", "Config"],
        ),
        (
            "storage_opts",
            &args.storage_opts,
            &["HostConfig", "StorageOpt"],
        ),
        ("sysctls", &args.sysctls, &["HostConfig", "Sysctls"]),
    ];
    for (name, value, place) in maps {
        if let Some(value) = value {
            put(all, name, Shape::Dict, place, volume::words(value));
        }
    }
    if let Some(tmpfs) = &args.tmpfs {
        let all_of = tmpfs.iter().map(|one| {
            let (path, options) = one.split_once(':').unwrap_or((one, ""));
            (path.to_owned(), Json::from(options))
        });
        put(
            all,
            "tmpfs",
            Shape::Dict,
            &["HostConfig", "Tmpfs"],
            Json::Object(all_of.collect()),
        );
    }
    if let Some(limits) = &args.ulimits {
        let mut found = vec![];
        for one in limits {
            let mut parts = one.split([':', '=']);
            let name = parts.next().unwrap_or_default();
            let mut number = || parts.next().map(str::parse::<i64>);
            let wrong = || bad(format!("Error parsing ulimits value: {one}"));
            let soft = number().ok_or_else(wrong)?.map_err(|_| wrong())?;
            let hard = number().unwrap_or(Ok(soft)).map_err(|_| wrong())?;
            found.push(json!({ "Name": name, "Soft": soft, "Hard": hard }));
        }
        put(
            all,
            "ulimits",
            Shape::Set,
            &["HostConfig", "Ulimits"],
            found,
        );
    }
    if let Some(devices) = &args.devices {
        let devices = devices.iter().map(|one| {
            let parts: Vec<&str> = one.split(':').collect();
            json!({
                "PathOnHost": parts[0],
                "PathInContainer": parts.get(1).copied().unwrap_or(parts[0]),
                "CgroupPermissions": parts.get(2).copied().unwrap_or("rwm"),
            })
        });
        put(
            all,
            "devices",
            Shape::Set,
            &["HostConfig", "Devices"],
            devices.collect::<Vec<_>>(),
        );
    }
    if let Some(health) = &args.healthcheck {
        put(
            all,
            "healthcheck",
            Shape::Dict,
            &["Config", "Healthcheck"],
            healthcheck(health)?,
        );
    }
    Ok(())
}

/// Limits of devices, and requests for them.
fn limits(args: &Args, all: &mut Vec<Wanted>) -> Result<(), ActionError> {
    let limits: [(&'static str, &Option<Vec<Map>>, &'static [&'static str]); 4] = [
        (
            "device_read_bps",
            &args.device_read_bps,
            &["HostConfig", "BlkioDeviceReadBps"],
        ),
        (
            "device_write_bps",
            &args.device_write_bps,
            &["HostConfig", "BlkioDeviceWriteBps"],
        ),
        (
            "device_read_iops",
            &args.device_read_iops,
            &["HostConfig", "BlkioDeviceReadIOps"],
        ),
        (
            "device_write_iops",
            &args.device_write_iops,
            &["HostConfig", "BlkioDeviceWriteIOps"],
        ),
    ];
    for (name, given, place) in limits {
        let Some(given) = given else { continue };
        let rates = given.iter().map(|one| rate(name, one));
        let rates = rates.collect::<Result<Vec<_>, _>>()?;
        put(all, name, Shape::Set, place, rates);
    }
    if let Some(requests) = &args.device_requests {
        let requests = requests
            .iter()
            .map(request)
            .collect::<Result<Vec<_>, _>>()?;
        let place = &["HostConfig", "DeviceRequests"];
        put(all, "device_requests", Shape::Set, place, requests);
    }
    Ok(())
}

fn rate(name: &str, given: &Map) -> Result<Json, ActionError> {
    only("docker_container", name, given, &["path", "rate"])?;
    let part = |part: &str| {
        let found = given.get(part).filter(|value| **value != Data::Null);
        let missing = || {
            bad(format!(
                "missing required arguments: {part} found in {name}"
            ))
        };
        found.map(Data::text).ok_or_else(missing)
    };
    let (path, text) = (part("path")?, part("rate")?);
    let (rate, kind) = match name.ends_with("_bps") {
        true => (bytes(&text), "a number of bytes"),
        false => (text.parse().ok(), "a number"),
    };
    let rate =
        rate.ok_or_else(|| bad(format!("{name}: the rate `{text}` of {path} is not {kind}")))?;
    Ok(json!({ "Path": path, "Rate": rate }))
}

/// A request for devices, without what is not asked for.
fn request(given: &Map) -> Result<Json, ActionError> {
    let known = ["capabilities", "count", "device_ids", "driver", "options"];
    only("docker_container", "device_requests", given, &known)?;
    let part = |name: &str| given.get(name).filter(|value| **value != Data::Null);
    let wrong = |name: &str, kind: &str| bad(format!("device_requests: `{name}` has to be {kind}"));
    let texts = |value: &Data| match value {
        Data::List(all) => all.iter().map(Data::text).collect(),
        one => vec![one.text()],
    };
    let mut out = json!({});
    if let Some(driver) = part("driver") {
        out["Driver"] = driver.text().into();
    }
    if let Some(count) = part("count") {
        let count: i64 = count
            .text()
            .parse()
            .map_err(|_| wrong("count", "a number"))?;
        out["Count"] = count.into();
    }
    if let Some(ids) = part("device_ids") {
        out["DeviceIDs"] = texts(ids).into();
    }
    if let Some(all) = part("capabilities") {
        let Data::List(all) = all else {
            return Err(wrong("capabilities", "a list of lists"));
        };
        let all: Vec<Vec<String>> = all.iter().map(texts).collect();
        out["Capabilities"] = json!(all);
    }
    if let Some(options) = part("options") {
        let options = options
            .as_map()
            .ok_or_else(|| wrong("options", "a mapping"))?;
        out["Options"] = volume::words(options);
    }
    Ok(out)
}

fn healthcheck(given: &Map) -> Result<Json, ActionError> {
    let times = [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ];
    let known = [
        "test",
        "retries",
        "test_cli_compatible",
        "interval",
        "timeout",
        "start_period",
        "start_interval",
    ];
    only("docker_container", "healthcheck", given, &known)?;
    let mut out = json!({});
    let strict = given.get("test_cli_compatible").and_then(Data::as_bool) == Some(true);
    match given.get("test") {
        None | Some(Data::Null) => {}
        Some(Data::List(words)) => {
            let words: Vec<String> = words.iter().map(Data::text).collect();
            out["Test"] = words.into();
        }
        Some(text) => out["Test"] = json!(["CMD-SHELL", text.text()]),
    }
    if out["Test"] == json!(["NONE"]) || (out["Test"].is_null() && !strict) {
        return Ok(json!({ "Test": ["NONE"] }));
    }
    for (name, member) in times {
        let Some(value) = given.get(name).filter(|value| **value != Data::Null) else {
            continue;
        };
        let time = nanoseconds(&value.text())
            .ok_or_else(|| bad(format!("Invalid time duration - {}", value.text())))?;
        out[member] = time.into();
    }
    if let Some(retries) = given.get("retries").filter(|value| **value != Data::Null) {
        let count: i64 = retries.text().parse().map_err(|_| {
            bad(format!(
                "Cannot parse number of retries for healthcheck. Expected an integer, got \"{}\".",
                retries.text()
            ))
        })?;
        out["Retries"] = count.into();
    }
    Ok(out)
}

fn mounted(args: &Args, all: &mut Vec<Wanted>) -> Result<(), ActionError> {
    if let Some(volumes) = &args.volumes {
        let (binds, unnamed): (Vec<_>, Vec<_>) = volumes.iter().partition(|one| one.contains(':'));
        let binds = binds.into_iter().map(|one| {
            let parts: Vec<&str> = one.split(':').collect();
            match parts.as_slice() {
                [from, to] => format!("{from}:{to}:rw"),
                _ => one.clone(),
            }
        });
        put(
            all,
            "volume_binds",
            Shape::Set,
            &["HostConfig", "Binds"],
            binds.collect::<Vec<_>>(),
        );
        let unnamed = unnamed.into_iter().map(|path| (path.clone(), json!({})));
        put(
            all,
            "volumes",
            Shape::Dict,
            &["Config", "Volumes"],
            Json::Object(unnamed.collect()),
        );
    }
    if let Some(mounts) = &args.mounts {
        let mounts = mounts
            .iter()
            .map(mounts::read)
            .collect::<Result<Vec<_>, _>>()?;
        put(all, "mounts", Shape::Set, &["HostConfig", "Mounts"], mounts);
    }
    let (exposed, published) = super::container::ports(args)?;
    if let Some(exposed) = exposed {
        let exposed = exposed.into_iter().map(|port| (port, json!({})));
        put(
            all,
            "exposed_ports",
            Shape::Set,
            &["Config", "ExposedPorts"],
            Json::Object(exposed.collect()),
        );
    }
    if let Some(published) = published {
        put(
            all,
            "published_ports",
            Shape::Dict,
            &["HostConfig", "PortBindings"],
            published,
        );
    }
    Ok(())
}

/// Puts the options into what makes a container.
pub(super) fn body(all: &[Wanted]) -> Json {
    let mut body = json!({ "HostConfig": {} });
    for one in all {
        // What the engine calls `Config` stands at the top there.
        let place = one.place.strip_prefix(&["Config"]).unwrap_or(one.place);
        let mut at = &mut body;
        for name in place {
            at = &mut at[*name];
        }
        *at = one.value.clone();
    }
    body
}

/// How options are compared.
pub(super) struct Comparisons {
    given: Vec<(String, How)>,
    /// Whether options that are not asked for count where they are compared strictly.
    all: Option<How>,
}

impl Comparisons {
    pub(super) fn read(args: &Args, options: &[&str]) -> Result<Self, ActionError> {
        let mut all = Self {
            given: vec![],
            all: None,
        };
        for (name, how) in args.comparisons.iter().flatten() {
            let known = options.contains(&name.as_str()) || FURTHER.contains(&name.as_str());
            if !known {
                return Err(bad(format!(
                    "Unknown module option '{name}' in comparisons dict!"
                )));
            }
            let how = match how.text().as_str() {
                "strict" => How::Strict,
                "ignore" => How::Ignore,
                "allow_more_present" => How::More,
                other => return Err(bad(format!("Unknown comparison mode '{other}'!"))),
            };
            match name.as_str() {
                "*" if how == How::More => {
                    return Err(bad("The wildcard can only be used with comparison modes 'strict' and 'ignore'!".to_owned()));
                }
                "*" => all.all = Some(how),
                _ => all.given.push((name.clone(), how)),
            }
        }
        Ok(all)
    }

    pub(super) fn of(&self, name: &str, usual: How) -> How {
        let name = if name == "volume_binds" {
            "volumes"
        } else {
            name
        };
        let own = self.given.iter().find(|(known, _)| known == name);
        own.map(|(_, how)| *how).or(self.all).unwrap_or(usual)
    }
}

/// What of a container is other than it is asked for. `image` is what the container is to be made of.
pub(super) fn compare(
    all: &[Wanted],
    container: &Json,
    image: &Json,
    how: &Comparisons,
) -> Changes {
    let mut changes = Changes::default();
    for one in all {
        let usual = match one.shape {
            // It matters to who stops it, not to the container.
            _ if one.name == "stop_timeout" => How::Ignore,
            Shape::Value | Shape::List => How::Strict,
            Shape::Set | Shape::Dict => How::More,
        };
        let how = how.of(one.name, usual);
        let mut found = container;
        for name in one.place {
            found = &found[*name];
        }
        let wanted = expected(one, image);
        let found = match one.name {
            "volume_binds" => plain(one, &as_asked(&wanted, found)),
            _ => plain(one, found),
        };
        if how == How::Ignore || same(&wanted, &found, one.shape, how) {
            continue;
        }
        changes.add(one.name, wanted, found);
    }
    changes
}

/// What a container has when it is made as asked for: the image adds to it.
fn expected(one: &Wanted, image: &Json) -> Json {
    let config = &image["Config"];
    let mut wanted = one.value.clone();
    match one.name {
        "env" => {
            let own = wanted.as_array().cloned().unwrap_or_default();
            let name = |text: &Json| {
                text.as_str()
                    .and_then(|text| text.split('=').next())
                    .map(str::to_owned)
            };
            let set: Vec<_> = own.iter().filter_map(name).collect();
            let mut merged = own.clone();
            for more in config["Env"].as_array().into_iter().flatten() {
                if name(more).is_some_and(|name| !set.contains(&name)) {
                    merged.push(more.clone());
                }
            }
            wanted = Json::Array(merged);
        }
        "labels" | "exposed_ports" | "volumes" => {
            let member = match one.name {
                "labels" => "Labels",
                "volumes" => "Volumes",
                _ => "ExposedPorts",
            };
            for (name, value) in config[member].as_object().into_iter().flatten() {
                if wanted.get(name).is_none() {
                    wanted[name] = value.clone();
                }
            }
        }
        _ => {}
    }
    plain(one, &wanted)
}

/// Binds without the options that Podman adds by itself to those that were asked for.
fn as_asked(wanted: &Json, found: &Json) -> Json {
    const ADDED: [&str; 4] = ["nodev", "nosuid", "rbind", "rprivate"];
    let parts = |bind: &str| {
        let (place, options) = bind.rsplit_once(':')?;
        let options: Vec<String> = options.split(',').map(str::to_owned).collect();
        Some((place.to_owned(), options))
    };
    let asked: Vec<&str> = wanted
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let meant = |bind: &str| {
        let (place, options) = parts(bind)?;
        asked.iter().find(|asked| {
            parts(asked).is_some_and(|(own, words)| {
                let known = |word: &String| words.contains(word) || ADDED.contains(&word.as_str());
                own == place
                    && options.iter().all(known)
                    && words.iter().all(|word| options.contains(word))
            })
        })
    };
    let Json::Array(binds) = found else {
        return found.clone();
    };
    let one = |bind: &Json| match bind.as_str().and_then(meant) {
        Some(asked) => (*asked).into(),
        None => bind.clone(),
    };
    binds.iter().map(one).collect()
}

/// A value in the form that is compared and shown.
fn plain(one: &Wanted, value: &Json) -> Json {
    match (one.name, value) {
        ("exposed_ports", Json::Object(ports)) => {
            let mut ports: Vec<String> = ports.keys().cloned().collect();
            ports.sort();
            ports.into()
        }
        ("mounts", Json::Array(mounts)) => {
            let mut mounts: Vec<Json> = mounts.iter().map(mounts::shown).collect();
            mounts.sort_by_key(Json::to_string);
            Json::Array(mounts)
        }
        ("device_requests", Json::Array(requests)) => {
            let bare = |one: &Json| {
                let parts = one.as_object().into_iter().flatten();
                let nothing = [json!(null), json!(""), json!(0), json!([]), json!({})];
                let parts = parts.filter(|(_, value)| !nothing.contains(value));
                Json::Object(
                    parts
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                )
            };
            requests.iter().map(bare).collect()
        }
        ("healthcheck", Json::Object(health)) if health.get("Test").is_none() => {
            json!({ "Test": ["NONE"] })
        }
        (
            "env" | "volume_binds" | "etc_hosts" | "capabilities" | "cap_drop",
            Json::Array(words),
        ) => {
            let mut words = words.clone();
            words.sort_by_key(Json::to_string);
            Json::Array(words)
        }
        _ => value.clone(),
    }
}

fn same(wanted: &Json, found: &Json, shape: Shape, how: How) -> bool {
    let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
    match shape {
        Shape::Value => {
            // The engine leaves out what has its usual value.
            let nothing =
                |value: &Json| value.is_null() || *value == json!(false) || *value == json!("");
            wanted == found || (nothing(wanted) && nothing(found))
        }
        Shape::List if how == How::More => {
            let found = list(found);
            let mut rest = found.iter();
            list(wanted)
                .iter()
                .all(|one| rest.any(|other| other == one))
        }
        Shape::List => list(wanted) == list(found),
        Shape::Set => {
            let (wanted, found) = (list(wanted), list(found));
            wanted.iter().all(|one| found.contains(one))
                && (how == How::More || found.iter().all(|one| wanted.contains(one)))
        }
        Shape::Dict => {
            let all = |one: &Json, other: &Json| {
                let parts = one.as_object().into_iter().flatten();
                parts
                    .into_iter()
                    .all(|(name, value)| other.get(name) == Some(value))
            };
            all(wanted, found) && (how == How::More || all(found, wanted))
        }
    }
}

/// Environment as the engine takes it.
pub(super) fn environment(given: &Map, file: &[(String, String)]) -> Result<Wanted, ActionError> {
    let mut all: Vec<(String, String)> = file.to_vec();
    for (name, value) in given {
        let Data::Str(value) = value else {
            return Err(bad(format!(
                "Non-string value found for env option. Ambiguous env options must be wrapped in quotes to avoid them being interpreted when directly specified in YAML, or explicitly converted to strings when the option is templated. Key: {name}"
            )));
        };
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), value.clone()));
    }
    all.sort();
    let all: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(Wanted {
        name: "env",
        shape: Shape::Set,
        place: &["Config", "Env"],
        value: all.into(),
    })
}

/// The network that a container starts in.
pub(super) fn network_mode(mode: String) -> Wanted {
    Wanted {
        name: "network_mode",
        shape: Shape::Value,
        place: &["HostConfig", "NetworkMode"],
        value: mode.into(),
    }
}
