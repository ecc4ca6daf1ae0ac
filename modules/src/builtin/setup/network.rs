//! Facts about network interfaces, addresses and default routes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Gather;
use crate::data::{Data, Map};
use crate::map;

/// An address of version 4 with what belongs to it.
struct Address4 {
    interface: String,
    label: String,
    address: Ipv4Addr,
    prefix: u32,
    broadcast: String,
    secondary: bool,
}

impl Address4 {
    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0)
    }

    fn facts(&self) -> Map {
        let network = Ipv4Addr::from(u32::from(self.address) & self.mask());
        map! {
            "address" => self.address.to_string(),
            "broadcast" => self.broadcast.clone(),
            "netmask" => Ipv4Addr::from(self.mask()).to_string(),
            "network" => network.to_string(),
            "prefix" => self.prefix.to_string(),
        }
    }
}

/// An address of version 6.
struct Address6 {
    interface: String,
    address: Ipv6Addr,
    prefix: u32,
    scope: &'static str,
}

/// Everything that the subset `network` has.
pub(super) fn network(gather: &mut Gather<'_>) {
    let names: Vec<String> = gather
        .names("/sys/class/net")
        .into_iter()
        .filter(|name| name != "bonding_masters")
        .collect();
    let v4 = gather
        .ask(["ip", "-o", "-4", "addr", "show"])
        .map(|text| addresses4(&text))
        .unwrap_or_default();
    let v6 = addresses6(&gather.text("/proc/net/if_inet6").unwrap_or_default());
    let mut interfaces = Map::new();
    for name in &names {
        let entry = interface(gather, name, &v4, &v6);
        interfaces.insert(name.clone(), Data::Map(entry));
    }
    let default4 = default4(gather, &v4, &interfaces);
    let default6 = default6(gather, &v6, &interfaces);
    gather.set("interfaces", names);
    gather.set("default_ipv4", default4);
    gather.set("default_ipv6", default6);
    let all4: Vec<String> = v4
        .iter()
        .filter(|one| !one.address.is_loopback())
        .map(|one| one.address.to_string())
        .collect();
    let all6: Vec<String> = v6
        .iter()
        .filter(|one| !one.address.is_loopback())
        .map(|one| one.address.to_string())
        .collect();
    gather.set("all_ipv4_addresses", all4);
    gather.set("all_ipv6_addresses", all6);
    gather.set("locally_reachable_ips", reachable(&v4, &v6));
    for (name, entry) in interfaces {
        gather.set(&name.replace(['-', ':'], "_"), entry);
    }
}

fn reachable(v4: &[Address4], v6: &[Address6]) -> Map {
    let mut four: Vec<String> = Vec::new();
    for one in v4 {
        if one.address.is_loopback() && one.prefix < 32 {
            four.push(format!(
                "{}/{}",
                Ipv4Addr::from(u32::from(one.address) & one.mask()),
                one.prefix
            ));
        }
        four.push(one.address.to_string());
    }
    let mut six: Vec<String> = v6.iter().map(|one| one.address.to_string()).collect();
    six.sort();
    map! { "ipv4" => four, "ipv6" => six }
}

/// Reads lines such as `2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\ ...`.
fn addresses4(text: &str) -> Vec<Address4> {
    text.lines().filter_map(address4).collect()
}

fn address4(line: &str) -> Option<Address4> {
    let line = line.split('\\').next()?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |word: &str| {
        words
            .iter()
            .position(|one| *one == word)
            .and_then(|at| words.get(at + 1))
            .copied()
    };
    let (address, prefix) = after("inet")?
        .split_once('/')
        .unwrap_or((after("inet")?, "32"));
    let name = words.get(1)?.split('@').next()?;
    Some(Address4 {
        interface: name.to_owned(),
        label: (*words.last()?).to_owned(),
        address: address.parse().ok()?,
        prefix: prefix.parse().ok().filter(|prefix| *prefix <= 32)?,
        broadcast: after("brd").unwrap_or_default().to_owned(),
        secondary: words.contains(&"secondary"),
    })
}

/// Reads the kernel's table: address, index, prefix, scope, flags, name.
fn addresses6(text: &str) -> Vec<Address6> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, prefix, scope, _, name] = words[..] else {
            return None;
        };
        Some(Address6 {
            interface: name.to_owned(),
            address: Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?),
            prefix: u32::from_str_radix(prefix, 16).ok()?,
            scope: match scope {
                "00" => "global",
                "10" => "host",
                "20" => "link",
                "40" => "site",
                _ => "unknown",
            },
        })
    };
    let mut found: Vec<Address6> = text.lines().filter_map(line).collect();
    // The kernel's order is none; wider scopes first is what users see elsewhere.
    found.sort_by_key(|one| (one.scope == "link", one.interface.clone()));
    found
}

fn interface(gather: &mut Gather<'_>, name: &str, v4: &[Address4], v6: &[Address6]) -> Map {
    let base = format!("/sys/class/net/{name}");
    let get = |gather: &mut Gather<'_>, file: &str| gather.text(format!("{base}/{file}"));
    let mut entry = map! { "device" => name };
    if let Some(mac) =
        get(gather, "address").filter(|mac| !mac.is_empty() && mac != "00:00:00:00:00:00")
    {
        entry.insert("macaddress".to_owned(), Data::Str(mac));
    }
    if let Some(mtu) = get(gather, "mtu").and_then(|text| text.parse::<i64>().ok()) {
        entry.insert("mtu".to_owned(), Data::from(mtu));
    }
    let state = get(gather, "operstate");
    entry.insert(
        "active".to_owned(),
        Data::Bool(state.is_some_and(|state| state != "down")),
    );
    if let Some(module) = gather.link_name(format!("{base}/device/driver/module")) {
        entry.insert("module".to_owned(), Data::Str(module));
    }
    let kind = match get(gather, "type").as_deref() {
        Some("1") => "ether",
        Some("32") => "infiniband",
        Some("512") => "ppp",
        Some("772") => "loopback",
        Some("65534") => "tunnel",
        _ => "unknown",
    };
    entry.insert("type".to_owned(), Data::from(kind));
    masters(gather, &base, &mut entry);
    if let Some(id) = gather.link_name(format!("{base}/device")) {
        entry.insert("pciid".to_owned(), Data::Str(id));
    }
    if let Some(speed) = get(gather, "speed").and_then(|text| text.parse::<i64>().ok()) {
        entry.insert("speed".to_owned(), Data::from(speed));
    }
    let flags = get(gather, "flags")
        .and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    entry.insert(
        "promisc".to_owned(),
        Data::Bool(flags.is_some_and(|flags| flags & 0x100 != 0)),
    );
    addresses(name, v4, v6, &mut entry);
    entry
}

/// What bridges and bonds have in addition.
fn masters(gather: &mut Gather<'_>, base: &str, entry: &mut Map) {
    if gather.exists(format!("{base}/bridge")) {
        entry.insert("type".to_owned(), Data::from("bridge"));
        entry.insert(
            "interfaces".to_owned(),
            Data::from(gather.names(format!("{base}/brif"))),
        );
        entry.insert(
            "id".to_owned(),
            Data::from(
                gather
                    .text(format!("{base}/bridge/bridge_id"))
                    .unwrap_or_default(),
            ),
        );
        let stp = gather
            .text(format!("{base}/bridge/stp_state"))
            .is_some_and(|text| text == "1");
        entry.insert("stp".to_owned(), Data::Bool(stp));
    }
    if gather.exists(format!("{base}/bonding")) {
        let mut first = |file: &str| {
            let text = gather
                .text(format!("{base}/bonding/{file}"))
                .unwrap_or_default();
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        entry.insert("type".to_owned(), Data::from("bonding"));
        entry.insert("slaves".to_owned(), Data::from(first("slaves")));
        entry.insert(
            "mode".to_owned(),
            Data::from(first("mode").into_iter().next()),
        );
        entry.insert(
            "miimon".to_owned(),
            Data::from(first("miimon").into_iter().next()),
        );
        entry.insert(
            "lacp_rate".to_owned(),
            Data::from(first("lacp_rate").into_iter().next()),
        );
    }
}

fn addresses(name: &str, v4: &[Address4], v6: &[Address6], entry: &mut Map) {
    let mut secondaries = Vec::new();
    for one in v4.iter().filter(|one| one.interface == name) {
        if one.secondary || entry.contains_key("ipv4") {
            secondaries.push(Data::Map(one.facts()));
        } else {
            entry.insert("ipv4".to_owned(), Data::Map(one.facts()));
        }
    }
    if !secondaries.is_empty() {
        entry.insert("ipv4_secondaries".to_owned(), Data::List(secondaries));
    }
    let six: Vec<Data> = v6
        .iter()
        .filter(|one| one.interface == name)
        .map(|one| Data::Map(map! { "address" => one.address.to_string(), "prefix" => one.prefix.to_string(), "scope" => one.scope }))
        .collect();
    if !six.is_empty() {
        entry.insert("ipv6".to_owned(), Data::List(six));
    }
}

/// What the facts of a default route take over from its interface.
fn link_facts(interfaces: &Map, name: &str) -> Map {
    let entry = interfaces.get(name).and_then(Data::as_map);
    let keys = ["macaddress", "mtu", "type"];
    keys.iter()
        .filter_map(|key| Some(((*key).to_owned(), entry?.get(*key)?.clone())))
        .collect()
}

fn default4(gather: &mut Gather<'_>, v4: &[Address4], interfaces: &Map) -> Map {
    let table = gather.text("/proc/net/route").unwrap_or_default();
    let Some((name, gateway)) = route4(&table) else {
        return Map::new();
    };
    let mut facts = map! { "gateway" => gateway.to_string(), "interface" => name.clone() };
    if let Some(one) = v4
        .iter()
        .find(|one| one.interface == name && !one.secondary)
    {
        facts.extend(one.facts());
        facts.insert("alias".to_owned(), Data::from(one.label.clone()));
    }
    facts.extend(link_facts(interfaces, &name));
    facts
}

/// Interface and gateway of the default route with the lowest metric.
fn route4(table: &str) -> Option<(String, Ipv4Addr)> {
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let up_with_gateway = u32::from_str_radix(words.get(3)?, 16).ok()? & 3 == 3;
        (words[1] == "00000000" && words.get(7) == Some(&"00000000") && up_with_gateway)
            .then_some(())?;
        let gateway = u32::from_str_radix(words[2], 16).ok()?;
        Some((
            words.get(6)?.parse::<u32>().ok()?,
            words[0].to_owned(),
            Ipv4Addr::from(gateway.to_ne_bytes()),
        ))
    };
    let best = table
        .lines()
        .skip(1)
        .filter_map(route)
        .min_by_key(|(metric, ..)| *metric)?;
    Some((best.1, best.2))
}

fn default6(gather: &mut Gather<'_>, v6: &[Address6], interfaces: &Map) -> Map {
    let table = gather.text("/proc/net/ipv6_route").unwrap_or_default();
    let Some((name, gateway)) = route6(&table) else {
        return Map::new();
    };
    let mut facts = map! { "gateway" => gateway.to_string(), "interface" => name.clone() };
    if let Some(one) = v6
        .iter()
        .find(|one| one.interface == name && one.scope == "global")
    {
        facts.extend(map! { "address" => one.address.to_string(), "prefix" => one.prefix.to_string(), "scope" => one.scope });
    }
    facts.extend(link_facts(interfaces, &name));
    facts
}

fn route6(table: &str) -> Option<(String, Ipv6Addr)> {
    let route = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [target, length, _, _, next, metric, _, _, flags, name] = words[..] else {
            return None;
        };
        let any = target.bytes().all(|byte| byte == b'0') && length == "00";
        let up_with_gateway = u32::from_str_radix(flags, 16).ok()? & 3 == 3;
        (any && up_with_gateway).then_some(())?;
        let gateway = Ipv6Addr::from(u128::from_str_radix(next, 16).ok()?);
        Some((
            u32::from_str_radix(metric, 16).ok()?,
            name.to_owned(),
            gateway,
        ))
    };
    let best = table
        .lines()
        .filter_map(route)
        .min_by_key(|(metric, ..)| *metric)?;
    Some((best.1, best.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let found = addresses4(
            "2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever",
        );
        assert_eq!(found[0].facts()["network"], Data::from("192.0.2.0"));
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(
            route4(table),
            Some(("eth0".to_owned(), Ipv4Addr::new(192, 0, 2, 1)))
        );
    }
}
