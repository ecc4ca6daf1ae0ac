//! Facts about virtual machines and containers: `virtualization_*`.

use super::Gather;

/// Vendors and products of virtual machines as their firmware names them.
const PRODUCTS: &[(&str, &str)] = &[
    ("KVM", "kvm"),
    ("KVM Server", "kvm"),
    ("Bochs", "kvm"),
    ("AHV", "kvm"),
    ("RHEV Hypervisor", "RHEV"),
    ("oVirt", "oVirt"),
    ("VMware Virtual Platform", "VMware"),
    ("VMware7,1", "VMware"),
    ("VMware20,1", "VMware"),
    ("OpenStack Compute", "openstack"),
    ("OpenStack Nova", "openstack"),
    ("VirtualBox", "virtualbox"),
    ("Parallels Virtual Platform", "parallels"),
    ("Google Compute Engine", "kvm"),
    ("DO Droplet", "kvm"),
    ("Droplet", "kvm"),
];

const VENDORS: &[(&str, &str)] = &[
    ("QEMU", "kvm"),
    ("innotek GmbH", "virtualbox"),
    ("Amazon EC2", "kvm"),
    ("DigitalOcean", "kvm"),
    ("Hetzner", "kvm"),
    ("Parallels Software International Inc.", "parallels"),
    ("OpenStack Foundation", "openstack"),
    ("Xen", "xen"),
    ("Alibaba Cloud", "kvm"),
    ("Google", "kvm"),
];

/// `virtualization_type`, `virtualization_role` and the techniques.
pub(super) fn virtualization(gather: &mut Gather<'_>) {
    let mut guest: Vec<String> = Vec::new();
    let container = container(gather);
    if let Some(name) = container {
        // Ansible adds the general word for the engines of the container initiative.
        if matches!(name, "docker" | "podman" | "containerd" | "container") {
            guest.push("container".to_owned());
        }
        if name != "container" {
            guest.push(name.to_owned());
        }
    }
    let machine = machine(gather);
    if let Some(name) = machine
        && !guest.iter().any(|one| one == name)
    {
        guest.push(name.to_owned());
    }
    let host = host(gather);
    let (kind, role) = match (container.or(machine), host.first()) {
        (Some(name), _) => (name.to_owned(), "guest"),
        (None, Some(name)) => (name.clone(), "host"),
        (None, None) => ("NA".to_owned(), "NA"),
    };
    gather.set("virtualization_type", kind);
    gather.set("virtualization_role", role);
    gather.set("virtualization_tech_guest", guest);
    gather.set("virtualization_tech_host", host);
}

fn container(gather: &mut Gather<'_>) -> Option<&'static str> {
    let groups = gather.text("/proc/1/cgroup").unwrap_or_default();
    let named = |words: &[&str]| words.iter().any(|word| groups.contains(word));
    if gather.exists("/.dockerenv")
        || gather.exists("/.dockerinit")
        || named(&["/docker/", "/docker-"])
    {
        return Some("docker");
    }
    if gather.exists("/run/.containerenv") || named(&["/libpod-", "/machine.slice/libpod"]) {
        return Some("podman");
    }
    let env = gather.text("/proc/1/environ").unwrap_or_default();
    if env.split('\0').any(|pair| pair == "container=lxc") || named(&["/lxc/"]) {
        return Some("lxc");
    }
    if let Some(kind) = env
        .split('\0')
        .find_map(|pair| pair.strip_prefix("container="))
    {
        return Some(match kind {
            "podman" | "oci" => "podman",
            "docker" => "docker",
            "systemd-nspawn" => "systemd-nspawn",
            _ => "container",
        });
    }
    if gather.exists("/proc/vz") && !gather.exists("/proc/lve") && !gather.exists("/proc/bc") {
        return Some("openvz");
    }
    None
}

fn machine(gather: &mut Gather<'_>) -> Option<&'static str> {
    if gather.exists("/proc/xen")
        && !gather
            .text("/proc/xen/capabilities")
            .is_some_and(|text| text.contains("control_d"))
    {
        return Some("xen");
    }
    let read = |gather: &mut Gather<'_>, file: &str| {
        gather
            .text(format!("/sys/devices/virtual/dmi/id/{file}"))
            .unwrap_or_default()
    };
    let product = read(gather, "product_name");
    let vendor = read(gather, "sys_vendor");
    if vendor == "Microsoft Corporation" && product == "Virtual Machine" {
        return Some("VirtualPC");
    }
    if vendor == "VMware, Inc." {
        return Some("VMware");
    }
    let found = PRODUCTS.iter().find(|(name, _)| {
        *name == product || (*name == "KVM" && product.starts_with("Standard PC"))
    });
    if let Some((_, kind)) = found.or_else(|| VENDORS.iter().find(|(name, _)| *name == vendor)) {
        return Some(kind);
    }
    let bios = read(gather, "bios_vendor");
    match bios.as_str() {
        "Xen" => return Some("xen"),
        "innotek GmbH" => return Some("virtualbox"),
        "Amazon EC2" | "DigitalOcean" | "Hetzner" => return Some("kvm"),
        _ => {}
    }
    let cpu = gather.text("/proc/cpuinfo").unwrap_or_default();
    let emulated = cpu
        .lines()
        .any(|line| line.starts_with("model name") && line.contains("QEMU Virtual CPU"));
    emulated.then_some("kvm")
}

fn host(gather: &mut Gather<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let modules = gather.text("/proc/modules").unwrap_or_default();
    let loaded = |name: &str| {
        modules
            .lines()
            .any(|line| line.split_whitespace().next() == Some(name))
    };
    if gather
        .text("/proc/xen/capabilities")
        .is_some_and(|text| text.contains("control_d"))
    {
        found.push("xen".to_owned());
    }
    if loaded("kvm") || loaded("kvm_intel") || loaded("kvm_amd") || gather.exists("/dev/kvm") {
        found.push("kvm".to_owned());
    }
    if loaded("vboxdrv") {
        found.push("virtualbox".to_owned());
    }
    found
}
