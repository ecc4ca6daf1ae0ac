//! Facts about virtual machines and containers: `virtualization_*`.

use super::Gather;

/// What a text of the firmware tells: its file, the text, the technique.
const FIRMWARE: &[(&str, &[&str], &str)] = &[
    (
        "product_name",
        &["KVM", "KVM Server", "Bochs", "AHV"],
        "kvm",
    ),
    (
        "product_name",
        &["VMware Virtual Platform", "VMware7,1", "VMware20,1"],
        "VMware",
    ),
    (
        "product_name",
        &["OpenStack Compute", "OpenStack Nova"],
        "openstack",
    ),
    ("product_name", &["BHYVE"], "bhyve"),
    ("bios_vendor", &["Xen"], "xen"),
    ("bios_vendor", &["innotek GmbH"], "virtualbox"),
    (
        "bios_vendor",
        &["Amazon EC2", "DigitalOcean", "Hetzner"],
        "kvm",
    ),
    ("sys_vendor", &["KubeVirt"], "KubeVirt"),
    ("sys_vendor", &["oVirt"], "oVirt"),
    ("sys_vendor", &["Microsoft Corporation"], "VirtualPC"),
    (
        "sys_vendor",
        &["Parallels Software International Inc."],
        "parallels",
    ),
    ("sys_vendor", &["OpenStack Foundation"], "openstack"),
    (
        "sys_vendor",
        &[
            "QEMU",
            "Amazon EC2",
            "DigitalOcean",
            "Google",
            "Scaleway",
            "Nutanix",
        ],
        "kvm",
    ),
];

/// What a line of `/proc/cpuinfo` tells: how it begins, what it has, the technique.
const PROCESSORS: &[(&str, &str, &str)] = &[
    ("model name", "QEMU Virtual CPU", "kvm"),
    ("vendor_id", "User Mode Linux", "uml"),
    ("model name", "UML", "uml"),
    ("machine", "CHRP IBM pSeries (emulated by qemu)", "kvm"),
    ("vendor_id", "PowerVM Lx86", "powervm_lx86"),
    ("vendor_id", "IBM/S390", "PR/SM"),
];

/// The techniques that were found, in the order of how much they count.
#[derive(Default)]
struct Found {
    guest: Vec<String>,
    host: Vec<String>,
    kind: Option<(String, &'static str)>,
}

impl Found {
    fn guest(&mut self, name: &str) {
        if !self.guest.iter().any(|one| one == name) {
            self.guest.push(name.to_owned());
        }
        let role = if name == "PR/SM" { "LPAR" } else { "guest" };
        self.kind.get_or_insert_with(|| (name.to_owned(), role));
    }

    fn host(&mut self, name: &str) {
        self.host.push(name.to_owned());
    }

    /// The engines of containers count beside the general word.
    fn container(&mut self, name: &str) {
        self.guest(name);
        self.guest("container");
    }
}

/// `virtualization_type`, `virtualization_role` and the techniques.
pub(super) fn virtualization(gather: &mut Gather<'_>) {
    let mut found = Found::default();
    containers(gather, &mut found);
    machines(gather, &mut found);
    hosts(gather, &mut found);
    let (kind, role) = found.kind.unwrap_or_else(|| match found.host.last() {
        Some(name) => (name.clone(), "host"),
        None => ("NA".to_owned(), "NA"),
    });
    // Ansible's have no order.
    crate::order::sort(&mut found.guest);
    crate::order::sort(&mut found.host);
    gather.set("virtualization_type", kind);
    gather.set("virtualization_role", role);
    gather.set("virtualization_tech_guest", found.guest);
    gather.set("virtualization_tech_host", found.host);
}

fn containers(gather: &mut Gather<'_>, found: &mut Found) {
    let groups = gather.text("/proc/1/cgroup").unwrap_or_default();
    let named = |words: &[&str]| words.iter().any(|word| groups.contains(word));
    if named(&["/docker/", "/docker-"]) {
        found.container("docker");
    }
    if named(&["/lxc/", "/machine.slice/machine-lxc"]) {
        found.container("lxc");
    }
    if gather.exists("/.dockerenv") || gather.exists("/.dockerinit") {
        found.container("docker");
    }
    if named(&["/system.slice/containerd.service"]) {
        found.container("containerd");
    }
    let env = gather.text("/proc/1/environ").unwrap_or_default();
    let engine = env
        .split('\0')
        .find_map(|pair| pair.strip_prefix("container="));
    match engine {
        Some("lxc" | "lxc-libvirt") => found.container("lxc"),
        Some("podman") => found.container("podman"),
        Some(name) if !name.is_empty() => found.guest("container"),
        _ => {}
    }
    if gather.exists("/proc/vz") && !gather.exists("/proc/lve") {
        if gather.exists("/proc/bc") {
            found.host("openvz");
        } else {
            found.container("openvz");
        }
    }
    let told = gather.text("/run/systemd/container");
    if let Some(name) = told.filter(|name| !name.is_empty()) {
        found.container(&name);
    }
}

fn machines(gather: &mut Gather<'_>, found: &mut Found) {
    if gather.exists("/proc/xen") {
        let powers = gather.text("/proc/xen/capabilities").unwrap_or_default();
        if powers.contains("control_d") {
            found.host("xen");
        } else {
            found.guest("xen");
        }
    }
    let mut read = |file: &str| {
        gather
            .text(format!("/sys/devices/virtual/dmi/id/{file}"))
            .unwrap_or_default()
    };
    let files = [
        "product_name",
        "bios_vendor",
        "sys_vendor",
        "product_family",
    ];
    let texts = files.map(|file| (file, read(file)));
    let text = |file: &str| {
        let found = texts.iter().find(|(name, _)| *name == file);
        found.map_or("", |(_, text)| text.as_str())
    };
    if text("sys_vendor") == "Red Hat" {
        match (text("product_name"), text("product_family")) {
            (_, "RHV") => found.guest("RHV"),
            ("RHEV Hypervisor", _) => found.guest("RHEV"),
            _ => {}
        }
    }
    for (file, words, name) in FIRMWARE {
        if words.contains(&text(file)) {
            found.guest(name);
        }
    }
    let cpu = gather.text("/proc/cpuinfo").unwrap_or_default();
    for (begin, word, name) in PROCESSORS {
        let says = |line: &str| line.starts_with(begin) && line.contains(word);
        if cpu.lines().any(says) {
            found.guest(name);
        }
    }
}

fn hosts(gather: &mut Gather<'_>, found: &mut Found) {
    let modules = gather.text("/proc/modules").unwrap_or_default();
    let loaded = |name: &str| {
        modules
            .lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    };
    if loaded("kvm") || gather.exists("/dev/kvm") {
        found.host("kvm");
    }
    if loaded("vboxdrv") {
        found.host("virtualbox");
    }
    if loaded("virtio") {
        found.guest("kvm");
    }
}
