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
            "Linux Mint Debian Edition",
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
    ("Archlinux", &["Archlinux", "Antergos", "Manjaro"]),
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
    version: Option<String>,
    release: Option<String>,
    major: Option<String>,
    minor: Option<String>,
    /// The text that told the distribution, where the file is not read any further.
    word: Option<&'static str>,
}

/// What the release files say before anything is known of their dialects.
#[derive(Default)]
struct Base {
    id: String,
    version: Option<String>,
    codename: Option<String>,
    values: Map,
}

impl Base {
    fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Data::as_str)
    }

    fn owned(&self, key: &str) -> Option<String> {
        self.get(key).map(str::to_owned)
    }
}

/// A release file with the distribution that it may tell.
struct Release {
    path: &'static str,
    variety: &'static str,
    read: fn(&mut Gather<'_>, &str, &Base) -> Option<Found>,
}

const fn release(
    path: &'static str,
    variety: &'static str,
    read: fn(&mut Gather<'_>, &str, &Base) -> Option<Found>,
) -> Release {
    Release {
        path,
        variety,
        read,
    }
}

/// The release files in the order in which Ansible asks them; the first that is understood wins.
const RELEASES: &[Release] = &[
    release("/etc/altlinux-release", "Altlinux", |_, text, _| {
        word("Altlinux", "ALT", text)
    }),
    release("/etc/oracle-release", "OracleLinux", |_, text, _| {
        word("OracleLinux", "Oracle Linux", text)
    }),
    release("/etc/slackware-version", "Slackware", |_, text, _| {
        let version = text.strip_prefix("Slackware")?.trim();
        named("Slackware").map(|found| found.with_version(version))
    }),
    release("/etc/centos-release", "CentOS", |_, text, _| {
        if text.contains("CentOS Stream") {
            return named("CentOS").map(|found| found.with_release("Stream"));
        }
        text.contains("TencentOS Server")
            .then(|| named("TencentOS"))?
    }),
    release("/etc/redhat-release", "RedHat", |_, text, _| {
        word("RedHat", "Red Hat", text).or_else(|| named(text.split_whitespace().next()?))
    }),
    release("/etc/vmware-release", "VMwareESX", |_, _, _| {
        named("VMwareESX")
    }),
    release("/etc/openwrt_release", "OpenWrt", openwrt),
    release("/etc/os-release", "Amazon", amazon),
    release("/etc/system-release", "Amazon", |_, text, _| {
        text.contains("Amazon").then(|| named("Amazon"))?
    }),
    release("/etc/alpine-release", "Alpine", |_, text, _| {
        named("Alpine").map(|found| found.with_version(text))
    }),
    release("/etc/arch-release", "Archlinux", |_, _, _| {
        named("Archlinux")
    }),
    release("/etc/os-release", "Archlinux", |_, text, _| {
        text.contains("Arch Linux").then(|| named("Archlinux"))?
    }),
    release("/etc/os-release", "SUSE", suse),
    release("/etc/SuSE-release", "SUSE", old_suse),
    release("/etc/os-release", "Debian", debian),
    release("/etc/lsb-release", "Debian", debian),
    release("/etc/sourcemage-release", "SMGL", |_, text, _| {
        word("SMGL", "Source Mage GNU/Linux", text)
    }),
    release("/usr/lib/os-release", "ClearLinux", |_, text, base| {
        (text.contains("clear-linux") || text.contains("Clear Linux")).then_some(Found {
            name: base.owned("NAME")?,
            version: base.owned("VERSION_ID"),
            release: base.owned("ID"),
            ..Found::default()
        })
    }),
    release("/etc/coreos/update.conf", "Coreos", |_, text, base| {
        let group = text.lines().find_map(|line| line.strip_prefix("GROUP="));
        (base.id == "coreos")
            .then(|| named("Coreos"))?
            .map(|found| Found {
                release: group.map(str::to_owned),
                ..found
            })
    }),
    release("/etc/os-release", "Flatcar", |_, text, _| {
        text.contains("Flatcar").then(|| named("Flatcar"))?
    }),
    release("/etc/os-release", "NA", |_, _, base| {
        named(base.get("NAME").unwrap_or("NA"))
    }),
];

/// Files that say something by being there, whatever is in them.
const MARKS: [&str; 2] = ["VMwareESX", "Archlinux"];

fn named(name: &str) -> Option<Found> {
    Some(Found {
        name: name.to_owned(),
        ..Found::default()
    })
}

/// A distribution that is told by a text in its file.
fn word(name: &str, word: &'static str, text: &str) -> Option<Found> {
    text.contains(word)
        .then(|| named(name))?
        .map(|found| Found {
            word: Some(word),
            ..found
        })
}

impl Found {
    fn with_version(self, version: &str) -> Self {
        Self {
            version: Some(version.to_owned()),
            ..self
        }
    }

    fn with_release(self, release: &str) -> Self {
        Self {
            release: Some(release.to_owned()),
            ..self
        }
    }
}

/// `distribution*` and `os_family`.
pub(super) fn distribution(gather: &mut Gather<'_>) {
    let base = base(gather);
    let found = RELEASES.iter().find_map(|release| {
        let text = gather.text(release.path)?;
        let mark = release.path.ends_with("-release")
            && MARKS.contains(&release.variety)
            && release.path != "/etc/os-release";
        let found = (!text.is_empty() || mark).then(|| (release.read)(gather, &text, &base))??;
        Some((release, mark, found))
    });
    if let Some((release, mark, found)) = &found {
        if !mark {
            gather.set("distribution_file_parsed", true);
        }
        gather.set("distribution_file_path", release.path);
        gather.set("distribution_file_variety", release.variety);
        if let Some(word) = found.word {
            gather.set("distribution_file_search_string", word);
        }
        if let Some(minor) = &found.minor {
            gather.set("distribution_minor_version", minor.clone());
        }
    }
    let found = found.map_or_else(
        || Found {
            name: base_name(&base.id),
            ..Found::default()
        },
        |(.., found)| found,
    );
    let family = FAMILIES
        .iter()
        .find(|(_, members)| members.contains(&found.name.as_str()))
        .map_or(found.name.as_str(), |(family, _)| family);
    gather.set("os_family", family);
    gather.set("distribution", found.name);
    let unknown = || "NA".to_owned();
    let major = base
        .version
        .as_deref()
        .and_then(|text| text.split('.').next());
    let major = found.major.or_else(|| major.map(str::to_owned));
    gather.set("distribution_major_version", major.unwrap_or_else(unknown));
    let version = found.version.or(base.version);
    gather.set("distribution_version", version.unwrap_or_else(unknown));
    let codename = found.release.or(base.codename);
    gather.set("distribution_release", codename.unwrap_or_else(unknown));
}

/// What a distribution is called that none of the files tells.
fn base_name(id: &str) -> String {
    let mut letters = id.chars();
    match letters.next() {
        None => "OtherLinux".to_owned(),
        Some(first) => first.to_uppercase().chain(letters).collect(),
    }
}

/// Reads what all distributions of today have, and the first line of the file that older ones have.
fn base(gather: &mut Gather<'_>) -> Base {
    let text = gather
        .text("/etc/os-release")
        .or_else(|| gather.text("/usr/lib/os-release"))
        .unwrap_or_default();
    let mut base = Base {
        values: assignments(&text),
        ..Base::default()
    };
    let mut files = gather.names("/etc");
    crate::order::sort(&mut files);
    let old = files.iter().find_map(|name| old_file(gather, name));
    let old = old.unwrap_or_default();
    base.id = base
        .owned("ID")
        .unwrap_or_else(|| old.id.clone())
        .to_lowercase();
    let bracketed = base.get("VERSION").and_then(bracketed);
    base.codename = ["VERSION_CODENAME", "UBUNTU_CODENAME"]
        .iter()
        .find_map(|key| base.owned(key))
        .or(bracketed)
        .or(old.codename);
    let like = base.get("ID_LIKE").unwrap_or_default();
    let debian = base.id == "debian" || like.split_whitespace().any(|word| word == "debian");
    let mut versions = vec![
        base.owned("VERSION_ID"),
        old.version,
        base.get("PRETTY_NAME")
            .and_then(|name| old_line(name).version),
    ];
    if debian {
        versions.push(gather.text("/etc/debian_version"));
    }
    let mut versions = versions.into_iter().flatten().filter(|one| !one.is_empty());
    base.version = match base.id.as_str() {
        // Their os-release has no point release; the last of the most exact ones counts.
        "debian" => most_exact(versions),
        "centos" => most_exact(versions)
            .map(|version| version.split('.').take(2).collect::<Vec<_>>().join(".")),
        _ => versions.next(),
    };
    base
}

fn most_exact(versions: impl Iterator<Item = String>) -> Option<String> {
    let dots = |text: &String| text.matches('.').count();
    versions.reduce(|best, one| if dots(&one) > dots(&best) { one } else { best })
}

/// The name in `12 (bookworm)` or `14.04.3 LTS, Trusty Tahr`.
fn bracketed(version: &str) -> Option<String> {
    let inner = match version.split_once('(') {
        Some((_, rest)) => rest.split_once(')')?.0,
        None => version.split_once(',')?.1,
    };
    let name = inner.trim();
    let wordy = !name.is_empty() && !name.contains(|letter: char| letter.is_ascii_digit());
    wordy.then(|| name.to_owned())
}

/// Files of `/etc` that look like a distribution's release file and are none.
const NO_RELEASE: [&str; 8] = [
    "debian_version",
    "iredmail-release",
    "lsb-release",
    "oem-release",
    "os-release",
    "plesk-release",
    "system-release",
    "upstream-release",
];

/// What a release file from before os-release says.
fn old_file(gather: &mut Gather<'_>, name: &str) -> Option<Base> {
    let endings = ["-release", "_release", "-version", "_version"];
    let id = endings
        .iter()
        .find_map(|ending| name.strip_suffix(ending))?;
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_';
    if NO_RELEASE.contains(&name) || !id.chars().all(plain) {
        return None;
    }
    let text = gather.text(format!("/etc/{name}"))?;
    let line = text.lines().next().filter(|line| !line.is_empty())?;
    Some(Base {
        id: id.to_owned(),
        ..old_line(line)
    })
}

/// Reads `NAME release VERSION (CODENAME)`.
fn old_line(line: &str) -> Base {
    let (front, codename) = match line
        .rsplit_once(')')
        .and_then(|(rest, _)| rest.rsplit_once('('))
    {
        Some((front, name)) => (front, Some(name.to_owned())),
        None => (line, None),
    };
    let front = front.trim_end();
    let front = front.strip_suffix(" LTS").unwrap_or(front).trim_end();
    let of_version = |letter: char| {
        letter.is_ascii_digit() || letter.is_ascii_lowercase() || "+-.".contains(letter)
    };
    let tail = &front[front.trim_end_matches(of_version).len()..];
    let version = tail.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    if version.is_empty() {
        return Base::default();
    }
    Base {
        version: Some(version.to_owned()),
        codename,
        ..Base::default()
    }
}

fn openwrt(_: &mut Gather<'_>, text: &str, _: &Base) -> Option<Found> {
    let values = assignments(text);
    let get = |key: &str| values.get(key).and_then(Data::as_str).map(str::to_owned);
    text.contains("OpenWrt").then_some(Found {
        name: "OpenWrt".to_owned(),
        version: get("DISTRIB_RELEASE"),
        release: get("DISTRIB_CODENAME"),
        ..Found::default()
    })
}

fn amazon(_: &mut Gather<'_>, text: &str, base: &Base) -> Option<Found> {
    let version = base.get("VERSION_ID")?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "NA"));
    text.contains("Amazon").then(|| Found {
        name: "Amazon".to_owned(),
        major: Some(major.to_owned()),
        minor: Some(minor.to_owned()),
        ..Found::default()
    })
}

fn suse(gather: &mut Gather<'_>, text: &str, base: &Base) -> Option<Found> {
    if !text.to_lowercase().contains("suse") {
        return None;
    }
    let name = base.get("NAME")?;
    let version = base.get("VERSION_ID")?;
    let release = match version.split_once('.') {
        _ if matches!(name, "SL-Micro" | "ALP-Dolomite") => None,
        Some((_, minor)) => Some(minor),
        None if name.starts_with("SLE") => Some("0"),
        None => Some(""),
    };
    let product = gather.link_name("/etc/products.d/baseproduct");
    let sap = product.is_some_and(|name| name == "SLES_SAP.prod");
    Some(Found {
        name: if sap { "SLES_SAP" } else { name }.to_owned(),
        version: Some(version.to_owned()),
        release: release.map(str::to_owned),
        ..Found::default()
    })
}

/// SUSE before os-release.
fn old_suse(_: &mut Gather<'_>, text: &str, base: &Base) -> Option<Found> {
    let values = assignments(text);
    let get = |key: &str| values.get(key).and_then(Data::as_str);
    let version = get("VERSION")?;
    let level = get("PATCHLEVEL");
    let name = match text {
        _ if text.contains("openSUSE") => "openSUSE",
        _ if text.contains("Enterprise Desktop") => "SLED",
        _ if text.contains("Enterprise Server") => "SLES",
        _ => return None,
    };
    let release = level.or_else(|| get("CODENAME")).map(str::to_owned);
    Some(Found {
        name: name.to_owned(),
        version: Some(match level {
            Some(level) => format!("{version}.{level}"),
            None => version.to_owned(),
        }),
        release: release.or_else(|| base.codename.clone()),
        ..Found::default()
    })
}

/// Words of Debian and the distributions made from it, with their names.
const DEBIANS: [(&str, &str); 15] = [
    ("Debian", "Debian"),
    ("Raspbian", "Debian"),
    ("Ubuntu", "Ubuntu"),
    ("SteamOS", "SteamOS"),
    ("Kali", "Kali"),
    ("Parrot", "Parrot"),
    ("Devuan", "Devuan"),
    ("Cumulus", "Cumulus Linux"),
    ("LMDE", "Linux Mint Debian Edition"),
    ("Mint", "Linux Mint"),
    ("UOS", "Uos"),
    ("Uos", "Uos"),
    ("uos", "Uos"),
    ("Deepin", "Deepin"),
    ("deepin", "Deepin"),
];

fn debian(gather: &mut Gather<'_>, text: &str, base: &Base) -> Option<Found> {
    let (_, name) = DEBIANS.iter().find(|(word, _)| text.contains(word))?;
    let mut found = named(name)?;
    match *name {
        "Debian" => {
            let version = gather.text("/etc/debian_version").unwrap_or_default();
            let numbers = version.split_once('.').filter(|(major, minor)| {
                [major, minor]
                    .iter()
                    .all(|part| part.parse::<u32>().is_ok())
            });
            found.minor = numbers.map(|(_, minor)| minor.to_owned());
        }
        "Devuan" => {
            let pretty = base.get("PRETTY_NAME").unwrap_or_default();
            let last = pretty.split_whitespace().next_back();
            found.release = last.map(|word| word.trim_matches(['(', ')']).to_owned());
        }
        "Cumulus Linux" => found.release = base.owned("VERSION"),
        _ => {}
    }
    Some(found)
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

/// Package managers by their programs; the first counts where there are several.
const PACKAGE_MANAGERS: &[(&str, &str)] = &[
    ("/usr/bin/sorcery", "sorcery"),
    ("/usr/sbin/sorcery", "sorcery"),
    ("/usr/bin/swupd", "swupd"),
    ("/usr/bin/xbps-install", "xbps"),
    ("/usr/bin/pkg", "pkg5"),
    ("/usr/sbin/pkgadd", "svr4pkg"),
    ("/usr/bin/emerge", "portage"),
    ("/usr/sbin/pkg", "pkgng"),
    ("/usr/local/sbin/pkg", "pkgng"),
    ("/opt/local/bin/pkgin", "pkgin"),
    ("/usr/pkg/bin/pkgin", "pkgin"),
    ("/opt/local/bin/port", "macports"),
    ("/sbin/apk", "apk"),
    ("/usr/sbin/apk", "apk"),
    ("/usr/local/bin/brew", "homebrew"),
    ("/opt/homebrew/bin/brew", "homebrew"),
    ("/bin/opkg", "opkg"),
    ("/usr/bin/opkg", "opkg"),
    ("/usr/bin/pacman", "pacman"),
    ("/usr/sbin/urpmi", "urpmi"),
    ("/usr/bin/zypper", "zypper"),
    ("/usr/bin/apt-get", "apt"),
    // Those of other families that have it mean a newer program.
    ("/usr/bin/yum", "dnf"),
];

/// `pkg_mgr`.
pub(super) fn pkg_mgr(gather: &mut Gather<'_>) {
    let name = package_manager(gather);
    gather.set("pkg_mgr", name);
}

fn package_manager(gather: &mut Gather<'_>) -> &'static str {
    if gather.exists("/run/ostree-booted") && gather.exists("/usr/bin/rpm-ostree") {
        return "atomic_container";
    }
    // Hosts of one family may carry the tools of another (`apt-get` for building images).
    let family = gather.facts.get("os_family").and_then(Data::as_str);
    match family.map(str::to_owned).as_deref() {
        Some("Debian") => return "apt",
        Some("Altlinux") if gather.exists("/usr/bin/apt-get") => return "apt_rpm",
        Some("RedHat") => return red_hat_manager(gather),
        _ => {}
    }
    let found = PACKAGE_MANAGERS
        .iter()
        .find(|(path, _)| gather.exists(path));
    found.map_or("unknown", |(_, name)| name)
}

fn red_hat_manager(gather: &mut Gather<'_>) -> &'static str {
    if gather.exists("/usr/bin/dnf") {
        return match gather.link_name("/usr/bin/dnf") {
            Some(target) if target == "dnf5" => "dnf5",
            _ => "dnf",
        };
    }
    match () {
        () if gather.exists("/usr/bin/microdnf") => "dnf",
        // CentOS 7 and Amazon Linux 2.
        () if gather.exists("/usr/bin/yum") => "yum",
        () => "unknown",
    }
}

/// `service_mgr`.
pub(super) fn service_mgr(gather: &mut Gather<'_>) {
    let name = service_manager(gather);
    gather.set("service_mgr", name);
}

fn service_manager(gather: &mut Gather<'_>) -> String {
    let first = gather.text("/proc/1/comm").unwrap_or_default();
    let first = first.rsplit('/').next().unwrap_or_default();
    let known = match first {
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
