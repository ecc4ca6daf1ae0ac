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
            "flags" | "Features" if flags.is_empty() => {
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
        gather.text(format!("/sys/devices/virtual/dmi/id/{file}"))
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
        kind.map_or("NA", |kind| {
            FORM_FACTORS.get(kind).copied().unwrap_or("Unknown")
        }),
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

/// `devices`: the disks with their sizes and partitions.
fn devices(gather: &mut Gather<'_>) {
    let mut devices = Map::new();
    for name in gather.names("/sys/block") {
        let base = format!("/sys/block/{name}");
        let get = |gather: &mut Gather<'_>, file: &str| gather.text(format!("{base}/{file}"));
        let sectors = get(gather, "size")
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0);
        let sector_size =
            get(gather, "queue/logical_block_size").unwrap_or_else(|| "512".to_owned());
        let scheduler = get(gather, "queue/scheduler").unwrap_or_default();
        let active = scheduler
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'))
            .map_or("", |(name, _)| name)
            .to_owned();
        let is_virtual = gather
            .machine
            .read_link(Path::new(&base))
            .is_ok_and(|link| {
                link.to_string_lossy().contains("/virtual/") || name.starts_with('v')
            });
        let entry = map! {
            "virtual" => i64::from(is_virtual),
            "vendor" => get(gather, "device/vendor"),
            "model" => get(gather, "device/model"),
            "removable" => get(gather, "removable").unwrap_or_else(|| "0".to_owned()),
            "rotational" => get(gather, "queue/rotational").unwrap_or_else(|| "0".to_owned()),
            "support_discard" => get(gather, "queue/discard_granularity").unwrap_or_else(|| "0".to_owned()),
            "scheduler_mode" => active,
            "sectors" => sectors,
            "sectorsize" => sector_size,
            "size" => human(sectors * 512),
            "holders" => gather.names(format!("{base}/holders")),
            "partitions" => partitions(gather, &name),
        };
        devices.insert(name, Data::Map(entry));
    }
    gather.set("devices", devices);
}

fn partitions(gather: &mut Gather<'_>, disk: &str) -> Map {
    let mut partitions = Map::new();
    for name in gather.names(format!("/sys/block/{disk}")) {
        let base = format!("/sys/block/{disk}/{name}");
        if !name.starts_with(disk) || !gather.exists(format!("{base}/start")) {
            continue;
        }
        let sectors = gather
            .text(format!("{base}/size"))
            .unwrap_or_else(|| "0".to_owned());
        let size = human(sectors.parse::<u64>().unwrap_or(0) * 512);
        let entry = map! {
            "start" => gather.text(format!("{base}/start")).unwrap_or_else(|| "0".to_owned()),
            "sectors" => sectors,
            "sectorsize" => 512,
            "size" => size,
            "holders" => gather.names(format!("{base}/holders")),
        };
        partitions.insert(name, Data::Map(entry));
    }
    partitions
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
