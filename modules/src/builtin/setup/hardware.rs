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

fn processor(gather: &mut Gather<'_>) {
    let text = gather.text("/proc/cpuinfo").unwrap_or_default();
    let mut list: Vec<String> = Vec::new();
    let (mut sockets, mut cores, mut siblings, mut count) = (Vec::new(), 1_usize, 1_usize, 0_usize);
    let mut flags: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "processor" => {
                count += 1;
                list.push(value.to_owned());
            }
            "model name" | "Processor" | "vendor_id" | "cpu" | "Vendor" | "cpu model" => {
                list.push(value.to_owned())
            }
            "physical id" if !sockets.contains(&value) => sockets.push(value),
            "cpu cores" => cores = value.parse().unwrap_or(1),
            "siblings" => siblings = value.parse().unwrap_or(1),
            "flags" if flags.is_empty() => {
                flags = value.split_whitespace().map(str::to_owned).collect()
            }
            _ => {}
        }
    }
    let status = gather.text("/proc/self/status").unwrap_or_default();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .map_or(count, |list| width(list.trim()));
    let (sockets, cores, threads) = if sockets.is_empty() {
        (count.max(1), 1, 1)
    } else {
        (sockets.len(), cores, (siblings / cores.max(1)).max(1))
    };
    let number = |value: usize| i64::try_from(value).unwrap_or(0);
    gather.set("processor", list);
    gather.set("processor_count", number(sockets));
    gather.set("processor_cores", number(cores));
    gather.set("processor_threads_per_core", number(threads));
    gather.set("processor_vcpus", number(threads * sockets * cores));
    gather.set("processor_nproc", number(allowed));
    if !flags.is_empty() {
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

/// Names of facts and of the kernel's files they come from.
const FIRMWARE: [(&str, &str); 15] = [
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_name", "product_name"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
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
    let read = |gather: &mut Gather<'_>, file: &str| {
        gather
            .text(format!("/sys/devices/virtual/dmi/id/{file}"))
            .filter(|text| !text.is_empty())
    };
    for (fact, file) in FIRMWARE {
        let value = read(gather, file).unwrap_or_else(|| "NA".to_owned());
        gather.set(fact, value);
    }
    for file in ["product_serial", "product_uuid"] {
        let value = read(gather, file).unwrap_or_else(|| "NA".to_owned());
        gather.set(file, value);
    }
    let kind = read(gather, "chassis_type").and_then(|text| text.parse::<usize>().ok());
    gather.set(
        "form_factor",
        match kind {
            None => "NA".to_owned(),
            Some(kind) => FORM_FACTORS
                .get(kind)
                .map_or_else(|| format!("unknown ({kind})"), |name| (*name).to_owned()),
        },
    );
}

fn mounts(gather: &mut Gather<'_>) {
    let table = gather
        .text("/proc/mounts")
        .or_else(|| gather.text("/etc/mtab"))
        .unwrap_or_default();
    let uuids = uuids(gather);
    let mut mounts: Vec<Data> = Vec::new();
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
        let uuid = uuids
            .iter()
            .find(|(name, _)| device.rsplit('/').next() == Some(name))
            .map_or("N/A", |(_, uuid)| uuid);
        let mut entry = map! {
            "mount" => mount.clone(),
            "device" => device.clone(),
            "fstype" => fstype.clone(),
            "options" => options.clone(),
            "dump" => number(0),
            "passno" => number(1),
            "uuid" => uuid,
        };
        if let Ok(space) = gather.machine.space(Path::new(mount)) {
            entry.extend(map! {
                "size_total" => space.block_size * space.blocks,
                "size_available" => space.block_size * space.blocks_available,
                "block_size" => space.block_size,
                "block_total" => space.blocks,
                "block_available" => space.blocks_available,
                "block_used" => space.blocks.saturating_sub(space.blocks_available),
                "inode_total" => space.inodes,
                "inode_available" => space.inodes_available,
                "inode_used" => space.inodes.saturating_sub(space.inodes_available),
            });
        }
        mounts.push(Data::Map(entry));
    }
    gather.set("mounts", mounts);
}

/// Names of devices with the identifiers of the file systems on them.
fn uuids(gather: &mut Gather<'_>) -> Vec<(String, String)> {
    let folder = "/dev/disk/by-uuid";
    let mut found = Vec::new();
    for uuid in gather.names(folder) {
        if let Some(device) = gather.link_name(format!("{folder}/{uuid}")) {
            found.push((device, uuid));
        }
    }
    found
}

/// The kernel writes white space and backslashes in its tables as octal numbers.
fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (code, letter)| {
            text.replace(code, letter)
        })
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
            get(gather, "queue/logical_block_size").map_or(Data::from(512), Data::Str);
        let scheduler = get(gather, "queue/scheduler").unwrap_or_default();
        let active = scheduler
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .map_or("", |(name, _)| name)
            .to_owned();
        let link = gather.machine.read_link(Path::new(&base));
        let link = link.map(|link| link.to_string_lossy().into_owned());
        let host = host(gather, link.as_deref().unwrap_or_default());
        let made_up = link.is_ok_and(|link| link.contains("/virt"));
        let is_virtual = made_up || !gather.exists(format!("{base}/device"));
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
            "support_discard" => get(gather, "queue/discard_granularity"),
            "scheduler_mode" => active,
            "sectors" => sectors,
            "sectorsize" => sector_size,
            "size" => human(sectors * 512),
            "host" => host,
            "links" => links,
            "holders" => holders(gather, &base),
            "partitions" => partitions(gather, &name, &all),
        };
        for (key, value) in [
            ("wwn", world_wide),
            ("serial", get(gather, "device/serial")),
        ] {
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

/// What is built on a device: logical volumes by their names.
fn holders(gather: &mut Gather<'_>, base: &str) -> Vec<String> {
    let names = gather.names(format!("{base}/holders"));
    names
        .into_iter()
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

/// `lvm`: volume groups, logical and physical volumes.
fn logical_volumes(gather: &mut Gather<'_>) {
    let mut table = |program: &str| -> Option<Vec<Vec<String>>> {
        let format = ["--noheadings", "--nosuffix", "--units", "g", "--separator"];
        let [one, two, three, four, five] = format;
        let text = gather.ask([program, one, two, three, four, five, ","])?;
        let row = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect();
        Some(
            text.lines()
                .filter(|line| line.contains(','))
                .map(row)
                .collect(),
        )
    };
    let (Some(groups), Some(volumes), Some(disks)) = (table("vgs"), table("lvs"), table("pvs"))
    else {
        gather.set("lvm", "N/A");
        return;
    };
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
            (cell(row, 0), Data::Map(disk))
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
