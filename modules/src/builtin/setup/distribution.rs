//! Facts about the distribution, its package manager and its service manager.

use super::Gather;
use crate::data::{Data, Map};

/// Families of distributions: what `ansible_os_family` is for each name.
const FAMILIES: &[(&str, &[&str])] = &[
    (
        "RedHat",
        &[
            "RedHat",
            "RHEL",
            "Fedora",
            "CentOS",
            "Scientific",
            "SLC",
            "Ascendos",
            "CloudLinux",
            "PSBM",
            "OracleLinux",
            "OVS",
            "OEL",
            "Amazon",
            "Amzn",
            "Virtuozzo",
            "XenServer",
            "Alibaba",
            "EulerOS",
            "openEuler",
            "AlmaLinux",
            "Rocky",
            "TencentOS",
            "EuroLinux",
            "Kylin Linux Advanced Server",
            "MIRACLE",
        ],
    ),
    (
        "Debian",
        &[
            "Debian",
            "Ubuntu",
            "Raspbian",
            "Neon",
            "KDE neon",
            "Linux Mint",
            "SteamOS",
            "Devuan",
            "Kali",
            "Cumulus Linux",
            "Pop!_OS",
            "Parrot",
            "Pardus GNU/Linux",
            "Uos",
            "Deepin",
            "OSMC",
            "Linuxmint",
        ],
    ),
    (
        "Suse",
        &[
            "SuSE",
            "SLES",
            "SLED",
            "openSUSE",
            "openSUSE Tumbleweed",
            "SLES_SAP",
            "SUSE_LINUX",
            "openSUSE Leap",
            "openSUSE MicroOS",
            "SL-Micro",
            "ALP-Dolomite",
        ],
    ),
    (
        "Archlinux",
        &["Archlinux", "Antergos", "Manjaro", "Manjaro ARM"],
    ),
    ("Mandrake", &["Mandrake", "Mandriva"]),
    (
        "Solaris",
        &["Solaris", "Nexenta", "OmniOS", "OpenIndiana", "SmartOS"],
    ),
    ("Slackware", &["Slackware"]),
    ("Altlinux", &["Altlinux"]),
    ("Gentoo", &["Gentoo", "Funtoo"]),
    ("Alpine", &["Alpine"]),
    ("ClearLinux", &["Clear Linux OS", "Clear Linux Mix"]),
    ("NixOS", &["NixOS"]),
    ("Flatcar", &["Flatcar"]),
];

/// What is found out about a distribution.
#[derive(Default)]
struct Found {
    name: String,
    version: String,
    release: String,
    minor: Option<String>,
    file: &'static str,
    variety: &'static str,
}

/// `distribution*` and `os_family`.
pub(super) fn distribution(gather: &mut Gather<'_>) {
    let system = gather
        .text("/proc/sys/kernel/ostype")
        .unwrap_or_else(|| "Linux".to_owned());
    let found = find(gather);
    let name = if found.name.is_empty() {
        system
    } else {
        found.name
    };
    let family = FAMILIES
        .iter()
        .find(|(_, members)| members.contains(&name.as_str()))
        .map_or(name.as_str(), |(family, _)| family);
    let version = if found.version.is_empty() {
        "NA".to_owned()
    } else {
        found.version
    };
    let major = version.split('.').next().unwrap_or_default().to_owned();
    gather.set("os_family", family);
    gather.set("distribution", name);
    gather.set("distribution_major_version", major);
    gather.set("distribution_version", version);
    gather.set(
        "distribution_release",
        if found.release.is_empty() {
            "NA".to_owned()
        } else {
            found.release
        },
    );
    if let Some(minor) = found.minor {
        gather.set("distribution_minor_version", minor);
    }
    if !found.file.is_empty() {
        gather.set("distribution_file_parsed", true);
        gather.set("distribution_file_path", found.file);
        gather.set("distribution_file_variety", found.variety);
    }
}

fn find(gather: &mut Gather<'_>) -> Found {
    let os = gather
        .text("/etc/os-release")
        .or_else(|| gather.text("/usr/lib/os-release"))
        .unwrap_or_default();
    let os = assignments(&os);
    let get = |key: &str| {
        os.get(key)
            .and_then(Data::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut found = Found {
        version: get("VERSION_ID"),
        release: get("VERSION_CODENAME"),
        file: "/etc/os-release",
        ..Found::default()
    };
    match get("ID").as_str() {
        "debian" | "raspbian" => debian(gather, &mut found, &get("ID")),
        "ubuntu" => (found.name, found.variety) = ("Ubuntu".to_owned(), "Debian"),
        "rhel" | "fedora" | "centos" | "rocky" | "almalinux" | "ol" | "scientific"
        | "cloudlinux" => redhat(gather, &mut found, &get),
        "amzn" => {
            (found.name, found.variety, found.release) =
                ("Amazon".to_owned(), "Amazon", "NA".to_owned())
        }
        "alpine" => alpine(gather, &mut found),
        "arch" => {
            (found.name, found.variety, found.file) =
                ("Archlinux".to_owned(), "Archlinux", "/etc/arch-release");
            found.version = get("VERSION_ID");
        }
        id if id.contains("suse") || id.starts_with("sle") => suse(&mut found, &get),
        "" => found.file = "",
        id => other(&mut found, id, &get),
    }
    found
}

fn debian(gather: &mut Gather<'_>, found: &mut Found, id: &str) {
    found.name = if id == "debian" { "Debian" } else { "Raspbian" }.to_owned();
    found.variety = "Debian";
    // os-release has no point release; this file has, except on testing and unstable.
    let text = gather.text("/etc/debian_version").unwrap_or_default();
    if let Some((major, minor)) = text.split_once('.')
        && major.parse::<u32>().is_ok()
    {
        found.minor = Some(minor.to_owned());
        found.version.clone_from(&text);
    }
    if found.release.is_empty() {
        found.release = text.split('/').next().unwrap_or_default().to_owned();
    }
}

fn redhat(gather: &mut Gather<'_>, found: &mut Found, get: &dyn Fn(&str) -> String) {
    found.name = match get("ID").as_str() {
        "rhel" => "RedHat",
        "fedora" => "Fedora",
        "centos" => "CentOS",
        "rocky" => "Rocky",
        "almalinux" => "AlmaLinux",
        "ol" => "OracleLinux",
        "scientific" => "Scientific",
        _ => "CloudLinux",
    }
    .to_owned();
    found.variety = if found.name == "OracleLinux" {
        "OracleLinux"
    } else {
        "RedHat"
    };
    let Some(text) = gather.text("/etc/redhat-release") else {
        return;
    };
    found.file = "/etc/redhat-release";
    if let Some(version) = text
        .split(" release ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
    {
        // CentOS 7 and 8 write the build into the file, too.
        found.version = version.split('.').take(2).collect::<Vec<_>>().join(".");
    }
    found.release = match text
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
    {
        Some((name, _)) => name.to_owned(),
        None if text.starts_with("CentOS Stream") => "Stream".to_owned(),
        None => String::new(),
    };
    if found.name == "Fedora" {
        found.release = String::new();
    }
}

fn alpine(gather: &mut Gather<'_>, found: &mut Found) {
    (found.name, found.variety, found.file) =
        ("Alpine".to_owned(), "Alpine", "/etc/alpine-release");
    if let Some(version) = gather.text("/etc/alpine-release") {
        found.version = version;
    }
}

fn suse(found: &mut Found, get: &dyn Fn(&str) -> String) {
    found.variety = "SUSE";
    let id = get("ID");
    found.name = match id.as_str() {
        "sles" => "SLES".to_owned(),
        "sled" => "SLED".to_owned(),
        "sles_sap" => "SLES_SAP".to_owned(),
        "opensuse" => "openSUSE".to_owned(),
        "sl-micro" => "SL-Micro".to_owned(),
        _ => get("NAME").split_whitespace().collect::<Vec<_>>().join(" "),
    };
    found.release = found
        .version
        .split_once('.')
        .map(|(_, minor)| minor.to_owned())
        .unwrap_or_default();
}

fn other(found: &mut Found, id: &str, get: &dyn Fn(&str) -> String) {
    found.variety = "NA";
    let (name, variety) = match id {
        "kali" => ("Kali", "Debian"),
        "linuxmint" => ("Linux Mint", "Debian"),
        "devuan" => ("Devuan", "Debian"),
        "neon" => ("KDE neon", "Debian"),
        "pop" => ("Pop!_OS", "Debian"),
        "parrot" => ("Parrot", "Debian"),
        "deepin" => ("Deepin", "Debian"),
        "manjaro" => ("Manjaro", "Archlinux"),
        "gentoo" => ("Gentoo", "NA"),
        "nixos" => ("NixOS", "NA"),
        "flatcar" => ("Flatcar", "Flatcar"),
        "openEuler" => ("openEuler", "RedHat"),
        _ => ("", ""),
    };
    found.name = if name.is_empty() {
        get("NAME")
    } else {
        name.to_owned()
    };
    if !variety.is_empty() {
        found.variety = variety;
    }
}

/// `KEY="value"` lines.
pub(super) fn assignments(text: &str) -> Map {
    let pairs = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='));
    pairs
        .map(|(key, value)| {
            (
                key.trim().to_owned(),
                Data::from(value.trim().trim_matches(['"', '\''])),
            )
        })
        .collect()
}

/// `lsb`.
pub(super) fn lsb(gather: &mut Gather<'_>) {
    let mut lsb = Map::new();
    if gather.exists("/usr/bin/lsb_release") {
        let text = gather
            .ask(["/usr/bin/lsb_release", "-a"])
            .unwrap_or_default();
        for (label, name) in [
            ("LSB Version", "release"),
            ("Distributor ID", "id"),
            ("Description", "description"),
            ("Release", "release"),
            ("Codename", "codename"),
        ] {
            let found = text
                .lines()
                .find_map(|line| line.strip_prefix(label)?.trim_start().strip_prefix(':'));
            if let Some(value) = found {
                lsb.insert(name.to_owned(), Data::from(value.trim().trim_matches('"')));
            }
        }
    } else if let Some(text) = gather.text("/etc/lsb-release") {
        let values = assignments(&text);
        for (label, name) in [
            ("DISTRIB_ID", "id"),
            ("DISTRIB_RELEASE", "release"),
            ("DISTRIB_DESCRIPTION", "description"),
            ("DISTRIB_CODENAME", "codename"),
        ] {
            if let Some(value) = values.get(label) {
                lsb.insert(name.to_owned(), value.clone());
            }
        }
    }
    if let Some(release) = lsb.get("release").and_then(Data::as_str) {
        let major = release.split('.').next().unwrap_or_default().to_owned();
        lsb.insert("major_release".to_owned(), Data::Str(major));
    }
    gather.set("lsb", lsb);
}

/// Package managers by their programs, in the order in which they are preferred.
const PACKAGE_MANAGERS: &[(&str, &str)] = &[
    ("/usr/bin/rpm-ostree", "atomic_container"),
    ("/usr/bin/dnf5", "dnf5"),
    ("/usr/bin/dnf-3", "dnf"),
    ("/usr/bin/dnf", "dnf"),
    ("/usr/bin/yum", "yum"),
    ("/usr/bin/apt-get", "apt"),
    ("/usr/bin/zypper", "zypper"),
    ("/usr/sbin/urpmi", "urpmi"),
    ("/usr/bin/pacman", "pacman"),
    ("/sbin/apk", "apk"),
    ("/usr/bin/apk", "apk"),
    ("/usr/bin/xbps-install", "xbps"),
    ("/usr/bin/emerge", "portage"),
    ("/usr/bin/swupd", "swupd"),
    ("/usr/bin/eopkg", "eopkg"),
    ("/bin/opkg", "opkg"),
    ("/usr/sbin/pkg", "pkgng"),
];

/// `pkg_mgr`.
pub(super) fn pkg_mgr(gather: &mut Gather<'_>) {
    let name = package_manager(gather);
    gather.set("pkg_mgr", name);
}

fn package_manager(gather: &mut Gather<'_>) -> &'static str {
    // Hosts of one family may carry the tools of another (`apt-get` for building images).
    let debian = gather.exists("/etc/debian_version") && gather.exists("/usr/bin/apt-get");
    if debian {
        return "apt";
    }
    let found = PACKAGE_MANAGERS.iter().find(|(path, name)| {
        if *name == "atomic_container" {
            return gather.exists("/run/ostree-booted") && gather.exists(path);
        }
        gather.exists(path)
    });
    found.map_or("unknown", |(_, name)| name)
}

/// `service_mgr`.
pub(super) fn service_mgr(gather: &mut Gather<'_>) {
    let name = service_manager(gather);
    gather.set("service_mgr", name);
}

fn service_manager(gather: &mut Gather<'_>) -> String {
    let first = gather.text("/proc/1/comm").unwrap_or_default();
    let known = match first.as_str() {
        "procd" => "openwrt_init",
        "runit-init" => "runit",
        "svscan" => "svc",
        "openrc-init" => "openrc",
        name => name,
    };
    let shell = matches!(
        known,
        "" | "init"
            | "sh"
            | "bash"
            | "dash"
            | "zsh"
            | "ksh"
            | "ash"
            | "fish"
            | "python"
            | "COMMAND"
    );
    if !shell {
        return known.to_owned();
    }
    let systemctl = ["/bin/systemctl", "/usr/bin/systemctl"]
        .iter()
        .any(|path| gather.exists(path));
    if systemctl
        && ["/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"]
            .iter()
            .any(|path| gather.exists(path))
    {
        return "systemd".to_owned();
    }
    if ["/sbin/initctl", "/usr/sbin/initctl"]
        .iter()
        .any(|path| gather.exists(path))
        && gather.exists("/etc/init")
    {
        return "upstart".to_owned();
    }
    if gather.exists("/sbin/openrc") {
        return "openrc".to_owned();
    }
    let offline = gather
        .link_name("/sbin/init")
        .is_some_and(|name| name == "systemd");
    match () {
        () if systemctl && offline => "systemd",
        () if gather.exists("/etc/init.d") => "sysvinit",
        () if gather.exists("/etc/dinit.d") => "dinit",
        () => "service",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn os_release() {
        let map = assignments("# x\nID=debian\nNAME=\"Debian GNU/Linux\"\n");
        assert_eq!(map, map! { "ID" => "debian", "NAME" => "Debian GNU/Linux" });
    }
}
