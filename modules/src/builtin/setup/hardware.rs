//! Facts about processors, memory, mounts and firmware.

use std::path::Path;

use super::Gather;
use crate::data::{Data, Map};
use crate::map;

/// Everything that the subset `hardware` has.
pub(super) fn hardware(gather: &mut Gather<'_>) {
    processor(gather);
    memory(gather);
    firmware(gather);
    mounts(gather);
    devices(gather);
    logical_volumes(gather);
    if let Some(text) = gather.text("/proc/uptime")
        && let Some(seconds) = text
            .split('.')
            .next()
            .and_then(|whole| whole.parse::<i64>().ok())
    {
        gather.set("uptime_seconds", seconds);
    }
}

/// `loadavg`.
pub(super) fn loadavg(gather: &mut Gather<'_>) {
    let text = gather.text("/proc/loadavg").unwrap_or_default();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .take(3)
        .filter_map(|word| word.parse().ok())
        .collect();
    if let [one, five, fifteen] = numbers[..] {
        gather.set(
            "loadavg",
            map! { "1m" => one, "5m" => five, "15m" => fifteen },
        );
    }
}

/// What the lines of `/proc/cpuinfo` tell.
#[derive(Default)]
struct Processors {
    list: Vec<String>,
    flags: Option<Vec<String>>,
    /// Cores of the sockets, siblings of the cores, by their names.
    sockets: Vec<(String, usize)>,
    siblings: Vec<(String, usize)>,
    vendors: usize,
    models: usize,
    processors: usize,
    /// All entries, or how many the machine itself counts.
    entries: usize,
    /// On mainframes.
    all: usize,
    threads: usize,
}

fn processors(text: &str) -> Processors {
    let mut found = Processors::default();
    // Before their names are told, they have none.
    let (mut socket, mut core) = ("", "");
    let put = |list: &mut Vec<(String, usize)>, name: &str, value: usize, over: bool| match list
        .iter_mut()
        .find(|(other, _)| other == name)
    {
        Some((_, old)) if over => *old = value,
        Some(_) => {}
        None => list.push((name.to_owned(), value)),
    };
    for line in text.lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let (key, value) = (key.trim(), value.trim());
        let number = || value.parse::<usize>().unwrap_or(1);
        match key {
            "flags" => found.flags = Some(value.split_whitespace().map(str::to_owned).collect()),
            "model name" | "Processor" | "vendor_id" | "cpu" | "Vendor" | "processor" => {
                found.list.push(value.to_owned());
                found.entries += 1;
                found.vendors += usize::from(key == "vendor_id");
                found.models += usize::from(key == "model name");
                found.processors += usize::from(key == "processor");
            }
            "physical id" => {
                socket = value;
                put(&mut found.sockets, socket, 1, false);
            }
            "core id" => {
                core = value;
                if !found.sockets.iter().any(|(name, _)| name == core) {
                    put(&mut found.siblings, core, 1, true);
                }
            }
            "cpu cores" => put(&mut found.sockets, socket, number(), true),
            "siblings" => put(&mut found.siblings, core, number(), true),
            "# processors" => found.all = number(),
            "max thread id" => found.threads = number() + 1,
            "ncpus active" => found.entries = number(),
            _ => {}
        }
    }
    found
}

fn processor(gather: &mut Gather<'_>) {
    let text = gather.text("/proc/cpuinfo").unwrap_or_default();
    let found = processors(&text);
    let machine = gather.facts.get("architecture").and_then(Data::as_str);
    let machine = machine.unwrap_or_default().to_owned();
    let xen = gather.exists("/proc/xen")
        || gather
            .text("/sys/hypervisor/type")
            .is_some_and(|kind| kind.lines().next() == Some("xen"));
    let flagged = |flags: &Vec<String>| !flags.iter().any(|flag| flag.contains("vme"));
    let paravirtual = xen && found.flags.as_ref().is_some_and(flagged);
    let count = match ["armv", "aarch", "ppc"]
        .iter()
        .any(|begin| machine.starts_with(begin))
    {
        true => found.processors,
        false if found.vendors > 0 && found.vendors == found.models => found.vendors,
        false => found.entries,
    };
    let round = |over: usize, under: usize| -> usize {
        // Halves go to the even number, as Python rounds them.
        let (whole, rest) = (over / under.max(1), over % under.max(1));
        whole + usize::from(rest * 2 > under || rest * 2 == under && whole % 2 == 1)
    };
    let (sockets, cores, threads) = if machine == "s390x" {
        (1, round(found.all, found.threads), found.threads)
    } else if paravirtual {
        (count, count, 1)
    } else {
        let sockets = if found.sockets.is_empty() {
            count
        } else {
            found.sockets.len()
        };
        let cores = found
            .sockets
            .first()
            .map_or(1, |(_, cores)| (*cores).max(1));
        (
            sockets,
            cores,
            round(
                found.siblings.first().map_or(1, |(_, number)| *number),
                cores,
            ),
        )
    };
    let all = match (machine.as_str(), paravirtual) {
        ("s390x", _) => found.all,
        (_, true) => count,
        _ => threads * sockets * cores,
    };
    let status = gather.text("/proc/self/status").unwrap_or_default();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map_or(found.processors, |list| width(list.trim()));
    let number = |value: usize| i64::try_from(value).unwrap_or(0);
    gather.set("processor", found.list);
    gather.set("processor_count", number(sockets));
    gather.set("processor_cores", number(cores));
    gather.set("processor_threads_per_core", number(threads));
    gather.set("processor_vcpus", number(all));
    gather.set("processor_nproc", number(allowed));
    if let Some(flags) = found.flags {
        gather.set("flags", flags);
    }
}

/// How many numbers a list such as `0-3,8` means.
fn width(list: &str) -> usize {
    list.split(',')
        .map(|part| match part.split_once('-') {
            Some((low, high)) => match (low.parse::<usize>(), high.parse::<usize>()) {
                (Ok(low), Ok(high)) if high >= low => high - low + 1,
                _ => 0,
            },
            None => usize::from(!part.is_empty()),
        })
        .sum()
}

fn memory(gather: &mut Gather<'_>) {
    let text = gather.text("/proc/meminfo").unwrap_or_default();
    let get = |name: &str| -> i64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok())
            .unwrap_or(0)
            / 1024
    };
    let (total, free, cached, buffers) = (
        get("MemTotal"),
        get("MemFree"),
        get("Cached"),
        get("Buffers"),
    );
    let (swap, swap_free) = (get("SwapTotal"), get("SwapFree"));
    gather.set("memtotal_mb", total);
    gather.set("memfree_mb", free);
    gather.set("swaptotal_mb", swap);
    gather.set("swapfree_mb", swap_free);
    let unused = free + cached + buffers;
    let memory = map! {
        "real" => map! { "total" => total, "used" => total - free, "free" => free },
        "nocache" => map! { "free" => unused, "used" => total - unused },
        "swap" => map! { "total" => swap, "free" => swap_free, "used" => swap - swap_free, "cached" => get("SwapCached") },
    };
    gather.set("memory_mb", memory);
}

/// Names of facts, of the kernel's files they come from, and of `dmidecode`'s words.
const FIRMWARE: [(&str, &str, &str); 18] = [
    ("bios_date", "bios_date", "bios-release-date"),
    ("bios_vendor", "bios_vendor", "bios-vendor"),
    ("bios_version", "bios_version", "bios-version"),
    ("board_asset_tag", "board_asset_tag", "baseboard-asset-tag"),
    ("board_name", "board_name", "baseboard-product-name"),
    ("board_serial", "board_serial", "baseboard-serial-number"),
    ("board_vendor", "board_vendor", "baseboard-manufacturer"),
    ("board_version", "board_version", "baseboard-version"),
    (
        "chassis_asset_tag",
        "chassis_asset_tag",
        "chassis-asset-tag",
    ),
    ("chassis_serial", "chassis_serial", "chassis-serial-number"),
    ("chassis_vendor", "chassis_vendor", "chassis-manufacturer"),
    ("chassis_version", "chassis_version", "chassis-version"),
    ("form_factor", "chassis_type", "chassis-type"),
    ("product_name", "product_name", "system-product-name"),
    ("product_serial", "product_serial", "system-serial-number"),
    ("product_uuid", "product_uuid", "system-uuid"),
    ("product_version", "product_version", "system-version"),
    ("system_vendor", "sys_vendor", "system-manufacturer"),
];

/// The kinds of cases that the firmware's standard numbers.
const FORM_FACTORS: [&str; 37] = [
    "Unknown",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

fn firmware(gather: &mut Gather<'_>) {
    let folder = "/sys/devices/virtual/dmi/id";
    let kernel = gather.exists(format!("{folder}/product_name"));
    let program = !kernel && gather.said(&["dmidecode", "--version"]).is_some();
    for (fact, file, word) in FIRMWARE {
        let value = match kernel {
            true => gather
                .text(format!("{folder}/{file}"))
                .filter(|text| !text.is_empty()),
            false if program => gather.ask(["dmidecode", "-s", word]).map(|text| {
                let lines = text.lines().filter(|line| !line.starts_with('#'));
                lines.collect()
            }),
            false => None,
        };
        let value = match value {
            Some(kind) if kernel && fact == "form_factor" => {
                let name = kind
                    .parse()
                    .ok()
                    .and_then(|kind: usize| FORM_FACTORS.get(kind));
                name.map_or_else(|| format!("unknown ({kind})"), |name| (*name).to_owned())
            }
            value => value.unwrap_or_else(|| "NA".to_owned()),
        };
        gather.set(fact, value);
    }
    if gather.exists("/proc/sysinfo") {
        mainframe(gather);
    }
}

/// What mainframes have instead of firmware.
fn mainframe(gather: &mut Gather<'_>) {
    for fact in [
        "system_vendor",
        "product_version",
        "product_serial",
        "product_name",
        "product_uuid",
    ] {
        gather.set(fact, "NA");
    }
    for line in gather.text("/proc/sysinfo").unwrap_or_default().lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim_start();
        match key {
            "Manufacturer" => gather.set("system_vendor", value),
            "Type" => gather.set("product_name", value),
            "Sequence Code" if value.starts_with('0') => {
                gather.set("product_serial", value.trim_start_matches('0'));
            }
            _ => {}
        }
    }
}

fn mounts(gather: &mut Gather<'_>) {
    let table = gather
        .text("/etc/mtab")
        .or_else(|| gather.text("/proc/mounts"))
        .unwrap_or_default();
    let uuids = gather.ask([
        "lsblk",
        "--list",
        "--noheadings",
        "--paths",
        "--output",
        "NAME,UUID",
        "--exclude",
        "2",
    ]);
    let uuids = uuids.unwrap_or_default();
    let binds = gather.ask(["findmnt", "--list", "--noheadings", "--notruncate"]);
    let binds = binds.unwrap_or_default();
    let bound = |mount: &str| {
        binds.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(mount) && words.next().is_some_and(|from| from.contains(']'))
        })
    };
    let mut mounts: Vec<(String, Map)> = Vec::new();
    for line in table.lines() {
        let fields: Vec<String> = line.split_whitespace().map(unescape).collect();
        let [device, mount, fstype, options, rest @ ..] = fields.as_slice() else {
            continue;
        };
        let real = (device.starts_with(['/', '\\']) || device.contains(":/")) && fstype != "none";
        if !real {
            continue;
        }
        let number = |index: usize| {
            rest.get(index)
                .and_then(|text: &String| text.parse::<i64>().ok())
                .unwrap_or(0)
        };
        let bind = if bound(mount) { ",bind" } else { "" };
        let mut entry = map! {
            "mount" => mount.clone(),
            "device" => device.clone(),
            "fstype" => fstype.clone(),
            "options" => format!("{options}{bind}"),
            "dump" => number(0),
            "passno" => number(1),
        };
        space(gather, device, mount, fstype, &mut entry);
        if !entry.contains_key("note") {
            entry.insert("uuid".to_owned(), Data::from(uuid(gather, &uuids, device)));
        }
        // What is mounted over it hides it.
        match mounts.iter_mut().find(|(other, _)| other == mount) {
            Some((_, old)) => *old = entry,
            None => mounts.push((mount.clone(), entry)),
        }
    }
    let mounts: Vec<Data> = mounts
        .into_iter()
        .map(|(_, entry)| Data::Map(entry))
        .collect();
    gather.set("mounts", mounts);
}

/// Size and use of a file system. One of another machine may never answer: a program with a limit of time asks it.
fn space(gather: &mut Gather<'_>, device: &str, mount: &str, fstype: &str, entry: &mut Map) {
    let far = device.contains(":/") || device.starts_with("//") || fstype.starts_with("fuse.");
    let numbers = if far {
        let said = gather.said(&["stat", "-f", "-c", "%S %b %a %c %d", mount]);
        let Some(said) = said else {
            gather.warnings.push(format!(
                "Timeout exceeded when getting mount info for {mount}"
            ));
            let note = "Could not get extra information due to timeout";
            entry.insert("note".to_owned(), Data::from(note));
            return;
        };
        let text = said.stdout_text();
        text.split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect()
    } else {
        gather
            .machine
            .space(Path::new(mount))
            .map_or(vec![], |space| {
                vec![
                    space.block_size,
                    space.blocks,
                    space.blocks_available,
                    space.inodes,
                    space.inodes_available,
                ]
            })
    };
    if let [size, blocks, blocks_left, inodes, inodes_left] = numbers[..] {
        entry.extend(map! {
            "size_total" => size * blocks,
            "size_available" => size * blocks_left,
            "block_size" => size,
            "block_total" => blocks,
            "block_available" => blocks_left,
            "block_used" => blocks.saturating_sub(blocks_left),
            "inode_total" => inodes,
            "inode_available" => inodes_left,
            "inode_used" => inodes.saturating_sub(inodes_left),
        });
    }
}

/// The identifier of the file system on a device: of `lsblk`'s list, or what `udevadm` knows.
fn uuid(gather: &mut Gather<'_>, list: &str, device: &str) -> String {
    let listed = list.lines().find_map(|line| {
        let (name, uuid) = line.trim().rsplit_once(char::is_whitespace)?;
        (name.trim() == device).then(|| uuid.to_owned())
    });
    let asked = |gather: &mut Gather<'_>| {
        let text = gather.ask(["udevadm", "info", "--query", "property", "--name", device])?;
        let uuid = text
            .lines()
            .find_map(|line| line.strip_prefix("ID_FS_UUID="));
        uuid.map(str::to_owned)
    };
    let found = listed.or_else(|| asked(gather));
    found.unwrap_or_else(|| "N/A".to_owned())
}

/// The kernel writes white space and backslashes in its tables as octal numbers.
fn unescape(field: &str) -> String {
    let (mut text, mut rest) = (String::new(), field);
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        match after
            .get(..3)
            .and_then(|code| u32::from_str_radix(code, 8).ok())
        {
            Some(code) => {
                text.extend(char::from_u32(code));
                rest = &after[3..];
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text + rest
}

/// Kinds of names that a device has beside its own, with the folders that link them.
const LINKS: [(&str, &str); 3] = [
    ("ids", "/dev/disk/by-id"),
    ("uuids", "/dev/disk/by-uuid"),
    ("labels", "/dev/disk/by-label"),
];

/// `device_links`: further names of devices, and the devices that are built on them.
fn links(gather: &mut Gather<'_>) -> Map {
    let mut all = Map::new();
    for (kind, folder) in LINKS {
        let mut found = Map::new();
        for name in gather.names(folder) {
            if let Some(device) = gather.link_name(format!("{folder}/{name}")) {
                push(&mut found, device, name);
            }
        }
        all.insert(kind.to_owned(), Data::Map(found));
    }
    let mut masters = Map::new();
    for device in gather.names("/sys/block") {
        for slave in gather.names(format!("/sys/block/{device}/slaves")) {
            push(&mut masters, slave, device.clone());
        }
    }
    all.insert("masters".to_owned(), Data::Map(masters));
    all
}

fn push(map: &mut Map, key: String, value: String) {
    let list = map.entry(key).or_insert_with(|| Data::List(Vec::new()));
    if let Data::List(list) = list {
        list.push(Data::Str(value));
    }
}

/// What `device_links` has of one device.
fn links_of(all: &Map, device: &str) -> Map {
    let of = |kind: &Data| kind.as_map()?.get(device).cloned();
    all.iter()
        .map(|(kind, devices)| {
            let names = of(devices).unwrap_or_else(|| Data::List(Vec::new()));
            (kind.clone(), names)
        })
        .collect()
}

/// `devices`: the disks with their sizes and partitions.
fn devices(gather: &mut Gather<'_>) {
    let mut devices = Map::new();
    let all = links(gather);
    for name in gather.names("/sys/block") {
        let base = format!("/sys/block/{name}");
        let get = |gather: &mut Gather<'_>, file: &str| {
            gather
                .text(format!("{base}/{file}"))
                .filter(|text| !text.is_empty())
        };
        let sectors = get(gather, "size")
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0);
        let sector_size =
            get(gather, "queue/logical_block_size").or_else(|| get(gather, "queue/hw_sector_size"));
        // The kernel counts in units of 512 bytes, whatever the disk does.
        let unit = sector_size
            .as_ref()
            .and_then(|text| text.parse::<u64>().ok());
        let sectors = sectors * 512 / unit.filter(|unit| *unit > 0).unwrap_or(512);
        let size = sectors * unit.unwrap_or(512);
        let sector_size = sector_size.map_or(Data::from(512), Data::Str);
        let no_discard = get(gather, "queue/discard_max_hw_bytes").as_deref() == Some("0");
        let scheduler = get(gather, "queue/scheduler").unwrap_or_default();
        let active = scheduler
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .map_or("", |(name, _)| name)
            .to_owned();
        let link = gather.machine.read_link(Path::new(&base));
        let link = link.map(|link| link.to_string_lossy().into_owned());
        let host = host(gather, link.as_deref().unwrap_or_default());
        // Ansible looks for a device only where the folder is none of the links that every kernel has by now.
        let is_virtual = link.is_ok() || !gather.exists(format!("{base}/device"));
        let links = links_of(&all, &name);
        let world_wide = links.get("ids").and_then(Data::as_list).and_then(|ids| {
            let name = |id: &Data| Some(id.as_str()?.strip_prefix("wwn-")?.to_owned());
            ids.iter().find_map(name)
        });
        let mut entry = map! {
            "virtual" => i64::from(is_virtual),
            "vendor" => get(gather, "device/vendor"),
            "model" => get(gather, "device/model"),
            "sas_address" => get(gather, "device/sas_address"),
            "sas_device_handle" => get(gather, "device/sas_device_handle"),
            "removable" => get(gather, "removable"),
            "rotational" => get(gather, "queue/rotational"),
            "support_discard" => match no_discard {
                true => Some("0".to_owned()),
                false => get(gather, "queue/discard_granularity"),
            },
            "scheduler_mode" => active,
            "sectors" => sectors,
            "sectorsize" => sector_size,
            "size" => human(size),
            "host" => host,
            "links" => links,
            "holders" => holders(gather, &base),
            "partitions" => partitions(gather, &name, &all),
        };
        for (key, value) in [("wwn", world_wide), ("serial", serial(gather, &name))] {
            if let Some(value) = value {
                entry.insert(key.to_owned(), Data::Str(value));
            }
        }
        devices.insert(name, Data::Map(entry));
    }
    gather.set("devices", devices);
    gather.set("device_links", all);
}

/// What `lspci` calls the controller that a disk hangs on.
fn host(gather: &mut Gather<'_>, link: &str) -> String {
    let address = |part: &&str| {
        let bytes = part.as_bytes();
        bytes.len() == 12 && bytes[4] == b':' && bytes[7] == b':' && bytes[10] == b'.'
    };
    let Some(slot) = link.split('/').rfind(address) else {
        return String::new();
    };
    let list = gather.ask(["lspci", "-D"]).unwrap_or_default();
    let line = list.lines().find_map(|line| line.strip_prefix(slot));
    line.unwrap_or_default().trim().to_owned()
}

/// The serial number of a disk: `sg_inq`'s where that is, else the kernel's.
fn serial(gather: &mut Gather<'_>, name: &str) -> Option<String> {
    let Some(said) = gather.said(&["sg_inq", &format!("/dev/{name}")]) else {
        return gather
            .text(format!("/sys/block/{name}/device/serial"))
            .filter(|text| !text.is_empty());
    };
    let text = said.stdout_text();
    let (_, rest) = text
        .split_once("serial number:")
        .or_else(|| text.split_once("Serial number:"))?;
    let word = rest
        .trim_start()
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .next();
    word.filter(|word| said.code == 0 && !word.is_empty())
        .map(str::to_owned)
}

/// What is built on a device: logical volumes by their names.
fn holders(gather: &mut Gather<'_>, base: &str) -> Vec<String> {
    let names = gather.names(format!("{base}/holders"));
    names
        .into_iter()
        .filter(|name| name.starts_with("dm-"))
        .map(|name| {
            let volume = gather.text(format!("{base}/holders/{name}/dm/name"));
            volume.unwrap_or(name)
        })
        .collect()
}

fn partitions(gather: &mut Gather<'_>, disk: &str, all: &Map) -> Map {
    let mut partitions = Map::new();
    for name in gather.names(format!("/sys/block/{disk}")) {
        let base = format!("/sys/block/{disk}/{name}");
        if !name.starts_with(disk) || !gather.exists(format!("{base}/start")) {
            continue;
        }
        let sectors = gather.text(format!("{base}/size"));
        let sectors = sectors
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0);
        let links = links_of(all, &name);
        let uuid = links.get("uuids").and_then(Data::as_list);
        let entry = map! {
            "uuid" => uuid.and_then(|list| list.first()).cloned(),
            "start" => gather.text(format!("{base}/start")).unwrap_or_else(|| "0".to_owned()),
            "sectors" => sectors,
            "sectorsize" => 512,
            "size" => human(sectors * 512),
            "links" => links,
            "holders" => holders(gather, &base),
        };
        partitions.insert(name, Data::Map(entry));
    }
    partitions
}

/// The rows that one of LVM's programs lists.
fn table(gather: &mut Gather<'_>, program: &str) -> Option<Vec<Vec<String>>> {
    let format = [
        "--noheadings",
        "--nosuffix",
        "--units",
        "g",
        "--separator",
        ",",
    ];
    let said = gather.said(&[&[program], &format[..]].concat())?;
    let row = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect();
    let text = said.stdout_text();
    let lines = text.lines().filter(|line| line.contains(','));
    Some(lines.map(row).collect())
}

/// `lvm`: volume groups, logical and physical volumes.
fn logical_volumes(gather: &mut Gather<'_>) {
    // Only root may look.
    let may = gather.machine.process().uid == 0;
    let Some(groups) = table(gather, "vgs").filter(|_| may) else {
        gather.set("lvm", "N/A");
        return;
    };
    let volumes = table(gather, "lvs").unwrap_or_default();
    let disks = table(gather, "pvs").unwrap_or_default();
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let last = |row: &[String], back: usize| cell(row, row.len().saturating_sub(back));
    let mut vgs: Map = groups
        .iter()
        .map(|row| {
            let group = map! {
                "size_g" => last(row, 2),
                "free_g" => last(row, 1),
                "num_lvs" => cell(row, 2),
                "num_pvs" => cell(row, 1),
                "lvs" => Map::new(),
            };
            (cell(row, 0), Data::Map(group))
        })
        .collect();
    let mut lvs = Map::new();
    for row in &volumes {
        let (name, vg, size) = (cell(row, 0), cell(row, 1), cell(row, 3));
        if let Some(Data::Map(group)) = vgs.get_mut(&vg)
            && let Some(Data::Map(inner)) = group.get_mut("lvs")
        {
            inner.insert(name.clone(), Data::Map(map! { "size_g" => size.clone() }));
        }
        lvs.insert(name, Data::Map(map! { "size_g" => size, "vg" => vg }));
    }
    let pvs: Map = disks
        .iter()
        .map(|row| {
            let disk =
                map! { "size_g" => last(row, 2), "free_g" => last(row, 1), "vg" => cell(row, 1) };
            let name = cell(row, 0);
            let number = name.starts_with("/dev/dm-");
            let asked = number.then(|| {
                gather.ask(["dmsetup", "info", "-C", "--noheadings", "-o", "name", &name])
            });
            let mapped = asked
                .flatten()
                .map(|text| format!("/dev/mapper/{}", text.trim_end()));
            (mapped.unwrap_or(name), Data::Map(disk))
        })
        .collect();
    gather.set("lvm", map! { "lvs" => lvs, "pvs" => pvs, "vgs" => vgs });
}

/// `256.00 GB`, as Ansible writes sizes.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn human(bytes: u64) -> String {
    let units = [
        (1_u64 << 40, "TB"),
        (1 << 30, "GB"),
        (1 << 20, "MB"),
        (1 << 10, "KB"),
    ];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{:.2} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes}.00 Bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(width("0-3,8"), 5);
        assert_eq!(human(274_877_906_944), "256.00 GB");
        assert_eq!(human(0), "0.00 Bytes");
        assert_eq!(unescape("/mnt/a\\040b"), "/mnt/a b");
    }
}
