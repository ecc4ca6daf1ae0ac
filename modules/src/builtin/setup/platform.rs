//! Facts about the kernel, names, users, clock, environment and security of a machine.

use super::Gather;
use crate::data::{Data, Map};
use crate::time::{self, Zone, micros};
use crate::{json, map};

/// `system`, `kernel`, `machine`, `hostname` and the like.
pub(super) fn platform(gather: &mut Gather<'_>) {
    let system = gather
        .text("/proc/sys/kernel/ostype")
        .unwrap_or_else(|| "Linux".to_owned());
    let kernel = gather
        .text("/proc/sys/kernel/osrelease")
        .unwrap_or_default();
    let version = gather.text("/proc/sys/kernel/version").unwrap_or_default();
    let node = gather.text("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = match gather.text("/proc/sys/kernel/arch") {
        Some(arch) if !arch.is_empty() => arch,
        _ => gather
            .ask(["uname", "-m"])
            .map(|text| text.trim().to_owned())
            .unwrap_or_default(),
    };
    let fqdn = fqdn(gather, &node);
    let userspace = userspace(gather, &machine);
    let architecture = match machine.as_str() {
        "i386" | "i486" | "i586" | "i686" => "i386".to_owned(),
        other => other.to_owned(),
    };
    gather.set("system", system);
    gather.set("kernel", kernel);
    gather.set("kernel_version", version);
    gather.set("architecture", architecture);
    gather.set(
        "userspace_bits",
        if userspace.ends_with("64") || userspace.contains("64_") || userspace == "s390x" {
            "64"
        } else {
            "32"
        },
    );
    gather.set("userspace_architecture", userspace);
    gather.set("machine", machine);
    if let Some((_, version)) = found_python(gather) {
        gather.set("python_version", version);
    }
    gather.set(
        "hostname",
        node.split('.').next().unwrap_or_default().to_owned(),
    );
    gather.set("nodename", node);
    gather.set(
        "domain",
        fqdn.split_once('.')
            .map(|(_, domain)| domain.to_owned())
            .unwrap_or_default(),
    );
    gather.set("fqdn", fqdn);
    let id = gather
        .text("/var/lib/dbus/machine-id")
        .or_else(|| gather.text("/etc/machine-id"));
    if let Some(id) = id {
        gather.set("machine_id", id);
    }
}

/// The programs' architecture: the class of an ELF file that every system has.
fn userspace(gather: &mut Gather<'_>, machine: &str) -> String {
    let narrow = !gather.exists("/lib64")
        && !gather.exists("/usr/lib64")
        && !gather.exists("/lib/ld-musl-x86_64.so.1");
    match machine {
        "x86_64" if narrow && gather.exists("/lib/ld-linux.so.2") => "i386".to_owned(),
        "i386" | "i486" | "i586" | "i686" => "i386".to_owned(),
        other => other.to_owned(),
    }
}

/// The full name as the resolver gives it: the hosts file first, then whatever it is set up to ask.
pub(super) fn fqdn(gather: &mut Gather<'_>, node: &str) -> String {
    let hosts = gather.text("/etc/hosts").unwrap_or_default();
    let lines: Vec<Vec<&str>> = hosts
        .lines()
        .map(|line| {
            line.split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace()
                .collect()
        })
        .collect();
    let address = lines
        .iter()
        .find(|line| line.iter().skip(1).any(|name| *name == node))
        .and_then(|line| line.first());
    let names: Vec<String> = match address {
        Some(address) => {
            let line = lines.iter().find(|line| line.first() == Some(address));
            line.map(|line| line.iter().skip(1).map(|name| (*name).to_owned()).collect())
                .unwrap_or_default()
        }
        None => asked_names(gather, node),
    };
    match names.iter().find(|name| name.contains('.')) {
        Some(name) => name.clone(),
        None => names.into_iter().next().unwrap_or_else(|| node.to_owned()),
    }
}

fn asked_names(gather: &mut Gather<'_>, node: &str) -> Vec<String> {
    let words = |text: String| {
        text.lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let Some(found) = gather.ask(["getent", "hosts", node]).map(words) else {
        return Vec::new();
    };
    let Some(address) = found.first() else {
        return Vec::new();
    };
    let back = gather
        .ask(["getent", "hosts", address.as_str()])
        .map(words)
        .unwrap_or_default();
    back.into_iter().skip(1).collect()
}

/// `user_*` and the numbers of the process.
pub(super) fn user(gather: &mut Gather<'_>) {
    let process = gather.machine.process();
    let user = gather.machine.user_by_id(process.uid).unwrap_or_default();
    gather.set("user_id", user.name);
    gather.set("user_uid", process.uid);
    gather.set("user_gid", user.gid);
    gather.set("user_gecos", user.gecos);
    gather.set("user_dir", user.home);
    gather.set("user_shell", user.shell);
    gather.set("real_user_id", process.uid);
    gather.set("effective_user_id", process.uid);
    gather.set("real_group_id", process.gid);
    gather.set("effective_group_id", process.gid);
}

/// `env`.
pub(super) fn env(gather: &mut Gather<'_>) {
    let env: Map = gather
        .machine
        .process()
        .env
        .into_iter()
        .map(|(name, value)| (name, Data::Str(value)))
        .collect();
    gather.set("env", env);
}

/// `date_time`.
pub(super) fn date_time(gather: &mut Gather<'_>) {
    let now = gather.machine.now();
    let now = micros(now);
    let local = Zone::of(gather.machine);
    let text = |format: &str| time::local(&local, now, format);
    let zone = text("%Z");
    let seconds = now.div_euclid(1_000_000).to_string();
    let date_time = map! {
        "year" => text("%Y"),
        "month" => text("%m"),
        "weekday" => text("%A"),
        "weekday_number" => text("%w"),
        "weeknumber" => text("%W"),
        "day" => text("%d"),
        "hour" => text("%H"),
        "minute" => text("%M"),
        "second" => text("%S"),
        "epoch" => seconds.clone(),
        "epoch_int" => seconds,
        "date" => text("%Y-%m-%d"),
        "time" => text("%H:%M:%S"),
        "iso8601_micro" => time::utc(now, "%Y-%m-%dT%H:%M:%S.%fZ"),
        "iso8601" => time::utc(now, "%Y-%m-%dT%H:%M:%SZ"),
        "iso8601_basic" => text("%Y%m%dT%H%M%S%f"),
        "iso8601_basic_short" => text("%Y%m%dT%H%M%S"),
        "tz" => zone.clone(),
        "tz_dst" => summer_zone(&local, now).unwrap_or(zone),
        "tz_offset" => text("%z"),
    };
    gather.set("date_time", date_time);
}

/// The name of the zone's summer time: the other name within a year.
fn summer_zone(local: &Zone, now: i64) -> Option<String> {
    let next = local.following(now.div_euclid(1_000_000));
    let summer = next.into_iter().find(|kind| kind.summer);
    summer.map(|kind| kind.name.clone())
}

/// `cmdline` and `proc_cmdline`.
pub(super) fn cmdline(gather: &mut Gather<'_>) {
    let Some(text) = gather.text("/proc/cmdline") else {
        return;
    };
    let (mut last, mut all) = (Map::new(), Map::new());
    for word in text.split_whitespace() {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Data::from(value)),
            None => (word, Data::Bool(true)),
        };
        last.insert(key.to_owned(), value.clone());
        // A word without a value means the same once more.
        match all.get_mut(key) {
            Some(_) if value == Data::Bool(true) => {}
            None => {
                all.insert(key.to_owned(), value);
            }
            Some(Data::List(values)) => values.push(value),
            Some(one) => *one = Data::List(vec![one.clone(), value]),
        }
    }
    gather.set("cmdline", last);
    gather.set("proc_cmdline", all);
}

/// `dns`.
pub(super) fn dns(gather: &mut Gather<'_>) {
    let mut dns = Map::new();
    for line in gather.text("/etc/resolv.conf").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let (key, rest) = (
            words.next().unwrap_or_default(),
            words.map(str::to_owned).collect::<Vec<_>>(),
        );
        match key {
            "nameserver" => {
                let list = dns
                    .entry("nameservers".to_owned())
                    .or_insert_with(|| Data::List(Vec::new()));
                if let Data::List(list) = list {
                    list.extend(rest.into_iter().map(Data::Str));
                }
            }
            "domain" if !rest.is_empty() => {
                dns.insert("domain".to_owned(), Data::from(rest.into_iter().next()));
            }
            "search" | "sortlist" => {
                dns.insert(key.to_owned(), Data::from(rest));
            }
            "options" => {
                let options = rest.iter().map(|option| match option.split_once(':') {
                    Some((name, value)) => (name.to_owned(), Data::from(value)),
                    None => (option.clone(), Data::Bool(true)),
                });
                dns.insert("options".to_owned(), Data::Map(options.collect()));
            }
            _ => {}
        }
    }
    gather.set("dns", dns);
}

/// `fips`.
pub(super) fn fips(gather: &mut Gather<'_>) {
    let on = gather
        .text("/proc/sys/crypto/fips_enabled")
        .is_some_and(|text| text == "1");
    gather.set("fips", on);
}

/// `apparmor`.
pub(super) fn apparmor(gather: &mut Gather<'_>) {
    let status = if gather.exists("/sys/kernel/security/apparmor") {
        "enabled"
    } else {
        "disabled"
    };
    gather.set("apparmor", map! { "status" => status });
}

/// `selinux`.
pub(super) fn selinux(gather: &mut Gather<'_>) {
    // Playbooks install a library when this is false; nothing here needs one.
    gather.set("selinux_python_present", true);
    if !gather.exists("/sys/fs/selinux/enforce") {
        gather.set("selinux", map! { "status" => "disabled" });
        return;
    }
    let version = gather
        .text("/sys/fs/selinux/policyvers")
        .and_then(|text| text.parse::<i64>().ok());
    let enforcing = gather
        .text("/sys/fs/selinux/enforce")
        .is_some_and(|text| text == "1");
    let config =
        super::distribution::assignments(&gather.text("/etc/selinux/config").unwrap_or_default());
    let configured = |key: &str| {
        config
            .get(key)
            .cloned()
            .unwrap_or_else(|| Data::from("unknown"))
    };
    let selinux = map! {
        "status" => "enabled",
        "policyvers" => version,
        "config_mode" => configured("SELINUX"),
        "mode" => if enforcing { "enforcing" } else { "permissive" },
        "type" => configured("SELINUXTYPE"),
    };
    gather.set("selinux", selinux);
}

/// The kernel's capabilities in the order of their numbers.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// `system_capabilities` and `system_capabilities_enforced`.
pub(super) fn capabilities(gather: &mut Gather<'_>) {
    let status = gather.text("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(bits) = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()) else {
        return;
    };
    let names: Vec<String> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, name)| format!("cap_{name}"))
        .collect();
    let all = names.len() == CAPABILITIES.len();
    gather.set(
        "system_capabilities_enforced",
        if all { "False" } else { "True" },
    );
    gather.set("system_capabilities", if all { Vec::new() } else { names });
}

/// `ssh_host_key_*`.
pub(super) fn ssh_keys(gather: &mut Gather<'_>) {
    for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
        for folder in ["/etc/ssh", "/etc/openssh", "/etc"] {
            let Some(text) = gather.text(format!("{folder}/ssh_host_{kind}_key.pub")) else {
                continue;
            };
            let mut words = text.split_whitespace();
            if let (Some(keytype), Some(key)) = (words.next(), words.next()) {
                gather.set(&format!("ssh_host_key_{kind}_public"), key);
                gather.set(&format!("ssh_host_key_{kind}_public_keytype"), keytype);
            }
            break;
        }
    }
}

/// Path and version of the machine's Python, where there is one: nothing here needs it.
fn found_python(gather: &mut Gather<'_>) -> Option<(&'static str, String)> {
    let paths = [
        "/usr/bin/python3",
        "/usr/local/bin/python3",
        "/usr/libexec/platform-python",
        "/usr/bin/python",
    ];
    let path = paths.into_iter().find(|path| gather.exists(path))?;
    if let Some(version) = gather.facts.get("python_version").and_then(Data::as_str) {
        return Some((path, version.to_owned()));
    }
    let text = gather.ask([path, "--version"])?;
    Some((path, text.trim().trim_start_matches("Python ").to_owned()))
}

/// `python`.
pub(super) fn python(gather: &mut Gather<'_>) {
    let Some((path, version)) = found_python(gather) else {
        return;
    };
    let numbers: Vec<i64> = version
        .split('.')
        .map(|part| {
            part.trim_end_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .unwrap_or(0)
        })
        .collect();
    let [major, minor, micro] = [0, 1, 2].map(|index| numbers.get(index).copied().unwrap_or(0));
    let info = vec![
        Data::from(major),
        Data::from(minor),
        Data::from(micro),
        Data::from("final"),
        Data::from(0),
    ];
    let python = map! {
        "version" => map! { "major" => major, "minor" => minor, "micro" => micro, "releaselevel" => "final", "serial" => 0 },
        "version_info" => info,
        "executable" => path,
        "type" => "cpython",
        "has_sslcontext" => true,
    };
    gather.set("python", python);
}

/// `is_chroot`.
pub(super) fn chroot(gather: &mut Gather<'_>) {
    let marked = gather.machine.process().env.contains_key("debian_chroot");
    let own = gather
        .machine
        .stat(std::path::Path::new("/"), true)
        .ok()
        .flatten();
    let first = gather
        .machine
        .stat(std::path::Path::new("/proc/1/root/."), true)
        .ok()
        .flatten();
    let differs = match (own, first) {
        (Some(own), Some(first)) => (own.ino, own.dev) != (first.ino, first.dev),
        _ => false,
    };
    gather.set("is_chroot", marked || differs);
}

/// `iscsi_iqn`.
pub(super) fn iscsi(gather: &mut Gather<'_>) {
    let text = gather
        .text("/etc/iscsi/initiatorname.iscsi")
        .unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("InitiatorName="))
        .unwrap_or_default()
        .to_owned();
    gather.set("iscsi_iqn", name);
}

/// `hostnqn`.
pub(super) fn nvme(gather: &mut Gather<'_>) {
    let text = gather.text("/etc/nvme/hostnqn").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("nqn."));
    gather.set("hostnqn", name.unwrap_or_default());
}

/// `fibre_channel_wwn`.
pub(super) fn fibre_channel(gather: &mut Gather<'_>) {
    let mut names = Vec::new();
    for host in gather.names("/sys/class/fc_host") {
        let name = gather.text(format!("/sys/class/fc_host/{host}/port_name"));
        names.extend(name.map(|name| name.trim_start_matches("0x").to_owned()));
    }
    gather.set("fibre_channel_wwn", names);
}

/// `systemd`.
pub(super) fn systemd(gather: &mut Gather<'_>) {
    if !gather.exists("/run/systemd/system") {
        return;
    }
    let Some(text) = gather.ask(["systemctl", "--version"]) else {
        return;
    };
    let mut lines = text.lines();
    let version = lines
        .next()
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<i64>().ok());
    let features = lines.next().unwrap_or_default().to_owned();
    gather.set(
        "systemd",
        map! { "version" => version, "features" => features },
    );
}

/// `facter_*`: what Puppet's program knows, where there is one.
pub(super) fn facter(gather: &mut Gather<'_>) {
    let text = gather.ask(["facter", "--puppet", "--json"]);
    let text = text.or_else(|| gather.ask(["facter", "--json"]));
    foreign(gather, "facter", text);
}

/// `ohai_*`: what Chef's program knows, where there is one.
pub(super) fn ohai(gather: &mut Gather<'_>) {
    let text = gather.ask(["ohai"]);
    foreign(gather, "ohai", text);
}

fn foreign(gather: &mut Gather<'_>, program: &str, text: Option<String>) {
    let Some(text) = text else {
        return;
    };
    let Ok(Data::Map(facts)) = json::read(&text) else {
        let what = if program == "facter" {
            "parse"
        } else {
            "gather"
        };
        gather
            .warnings
            .push(format!("Failed to {what} {program} facts"));
        return;
    };
    for (name, value) in facts {
        let name = format!("{program}_{}", name.replace('-', "_"));
        gather.foreign.insert(name, value);
    }
}
