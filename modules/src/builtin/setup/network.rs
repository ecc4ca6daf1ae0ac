//! Facts about network interfaces, addresses and default routes.

use std::net::Ipv4Addr;

use super::Gather;
use crate::data::{Data, Map};
use crate::map;

/// An address as `ip` shows it.
struct Address {
    device: String,
    /// The last word of its line: the device, or an alias of it.
    label: String,
    address: String,
    /// Of version 4: length and broadcast address; of version 6: length and scope.
    prefix: String,
    more: String,
    six: bool,
    secondary: bool,
}

/// What is known of a version for the way out of the machine.
const OUTSIDE: [(&str, &str); 2] = [("-4", "8.8.8.8"), ("-6", "2404:6800:400a:800::1012")];

/// Everything that the subset `network` has; without `ip` there is nothing.
pub(super) fn network(gather: &mut Gather<'_>) {
    let Some(text) = gather.ask(["ip", "-o", "addr", "show"]) else {
        return;
    };
    let all: Vec<Address> = text.lines().filter_map(address).collect();
    let mut defaults = OUTSIDE.map(|(version, target)| {
        let route = gather.ask(["ip", version, "route", "get", target]);
        route.map_or_else(Map::new, |text| way_out(&text, target))
    });
    let names: Vec<String> = gather
        .names("/sys/class/net")
        .into_iter()
        .filter(|name| name != "bonding_masters")
        .collect();
    let mut interfaces = Map::new();
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for name in &names {
        let mut entry = interface(gather, name);
        ethtool(gather, name, &mut entry);
        interfaces.insert(name.clone(), Data::Map(entry));
        let own = |secondary| {
            all.iter()
                .filter(move |one| one.device == *name && one.secondary == secondary)
        };
        for one in own(false).chain(own(true)) {
            add(&mut interfaces, one);
            let default = &mut defaults[usize::from(one.six)];
            if default.get("address").and_then(Data::as_str) == Some(&one.address) {
                let mac = gather.text(format!("/sys/class/net/{name}/address"));
                default.extend(link_facts(&interfaces, name, mac.unwrap_or_default()));
                default.extend(one.facts());
                if !one.six {
                    default.insert("alias".to_owned(), Data::from(one.label.clone()));
                }
            }
            if !one.address.starts_with("127.") && one.address != "::1" {
                let list = if one.six { &mut six } else { &mut four };
                list.push(one.address.clone());
            }
        }
    }
    let [default4, default6] = defaults;
    gather.set("default_ipv4", default4);
    gather.set("default_ipv6", default6);
    gather.set("all_ipv4_addresses", four);
    gather.set("all_ipv6_addresses", six);
    let reachable = map! { "ipv4" => local(gather, "-4"), "ipv6" => local(gather, "-6") };
    gather.set("locally_reachable_ips", reachable);
    let named = |name: &String| name.replace(':', "_");
    let names: Vec<String> = interfaces.keys().map(named).collect();
    gather.set("interfaces", names);
    for (name, entry) in interfaces {
        gather.set(&named(&name).replace('-', "_"), entry);
    }
}

/// Reads a line such as `2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\ ...`.
fn address(line: &str) -> Option<Address> {
    let words: Vec<&str> = line.split('\\').next()?.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|one| *one == word)?;
        words.get(at + 1).copied()
    };
    let six = *words.get(2)? == "inet6";
    if !six && words[2] != "inet" {
        return None;
    }
    // The other end of a line between two machines has the length.
    let (address, own) = match words.get(3)?.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (words[3], None),
    };
    let far = || Some(after("peer")?.split_once('/')?.1);
    let prefix = own.or_else(|| if six { far() } else { None });
    let more = after(if six { "scope" } else { "brd" });
    Some(Address {
        device: words.get(1)?.split('@').next()?.to_owned(),
        label: (*words.last()?).to_owned(),
        address: address.to_owned(),
        prefix: prefix.unwrap_or(if six { "128" } else { "32" }).to_owned(),
        more: more.unwrap_or_default().to_owned(),
        six,
        secondary: words.contains(&"secondary") || words.contains(&"temporary"),
    })
}

impl Address {
    fn facts(&self) -> Map {
        let (address, prefix) = (self.address.clone(), self.prefix.clone());
        if self.six {
            return map! { "address" => address, "prefix" => prefix, "scope" => self.more.clone() };
        }
        let length: u32 = prefix.parse().unwrap_or(32);
        let mask = u32::MAX
            .checked_shl(32_u32.saturating_sub(length))
            .unwrap_or(0);
        let bits = address.parse::<Ipv4Addr>().map_or(0, u32::from);
        map! {
            "address" => address,
            "broadcast" => self.more.clone(),
            "netmask" => Ipv4Addr::from(mask).to_string(),
            "network" => Ipv4Addr::from(bits & mask).to_string(),
            "prefix" => prefix,
        }
    }
}

/// Adds an address to its device, or to the alias that its label names.
fn add(interfaces: &mut Map, one: &Address) {
    let list = |interfaces: &mut Map, name: &str, key: &str| {
        if let Some(Data::Map(entry)) = interfaces.get_mut(name)
            && let Data::List(list) = entry
                .entry(key.to_owned())
                .or_insert_with(|| Data::List(Vec::new()))
        {
            list.push(Data::Map(one.facts()));
        }
    };
    if one.six {
        return list(interfaces, &one.device, "ipv6");
    }
    let alias = one.label != one.device;
    if alias {
        interfaces.insert(one.label.clone(), Data::Map(Map::new()));
    }
    match interfaces.get_mut(&one.label) {
        Some(Data::Map(entry)) if !one.secondary && !entry.contains_key("ipv4") => {
            entry.insert("ipv4".to_owned(), Data::Map(one.facts()));
        }
        _ => list(interfaces, &one.label, "ipv4_secondaries"),
    }
    if one.secondary && alias {
        list(interfaces, &one.device, "ipv4_secondaries");
    }
}

/// What the facts of a default route take over from its interface.
fn link_facts(interfaces: &Map, name: &str, mac: String) -> Map {
    let entry = interfaces.get(name).and_then(Data::as_map);
    let get = |key: &str| entry.and_then(|entry| entry.get(key)).cloned();
    map! { "macaddress" => mac, "mtu" => get("mtu"), "type" => get("type") }
}

/// Interface, own address and gateway of the route that `ip route get` shows.
fn way_out(text: &str, target: &str) -> Map {
    let words: Vec<&str> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let mut facts = Map::new();
    if words.first() == Some(&target) {
        for pair in words.windows(2) {
            let name = match pair[0] {
                "dev" => "interface",
                "src" => "address",
                "via" if pair[1] != target => "gateway",
                _ => continue,
            };
            facts.insert(name.to_owned(), Data::from(pair[1]));
        }
    }
    facts
}

/// The addresses and networks that are the machine itself.
fn local(gather: &mut Gather<'_>, version: &str) -> Vec<String> {
    let table = gather.ask(["ip", version, "route", "show", "table", "local"]);
    let mut found: Vec<String> = Vec::new();
    for line in table.unwrap_or_default().lines() {
        if let Some(address) = line
            .strip_prefix("local ")
            .and_then(|rest| rest.split(' ').next())
            && !found.iter().any(|one| one == address)
        {
            found.push(address.to_owned());
        }
    }
    found
}

/// What `ethtool` knows, where it is.
fn ethtool(gather: &mut Gather<'_>, name: &str, entry: &mut Map) {
    if let Some(text) = gather.ask(["ethtool", "-k", name]) {
        let feature = |line: &str| {
            let (key, value) = line.split_once(": ")?;
            let value = Some(value.trim()).filter(|value| !value.is_empty())?;
            Some((key.trim().replace('-', "_"), Data::from(value)))
        };
        let features: Map = text.lines().filter_map(feature).collect();
        entry.insert("features".to_owned(), Data::Map(features));
    }
    let Some(text) = gather.ask(["ethtool", "-T", name]) else {
        return;
    };
    let words = |begin: &str| -> Vec<String> {
        let found = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let found = found.filter_map(|word| word.strip_prefix(begin));
        found.map(str::to_ascii_lowercase).collect()
    };
    entry.extend(map! {
        "timestamping" => words("SOF_TIMESTAMPING_"),
        "hw_timestamp_filters" => words("HWTSTAMP_FILTER_"),
    });
    let clock = text
        .lines()
        .find_map(|line| line.strip_prefix("PTP Hardware Clock: "));
    if let Some(clock) = clock.and_then(|number| number.trim().parse::<i64>().ok()) {
        entry.insert("phc_index".to_owned(), Data::from(clock));
    }
}

fn interface(gather: &mut Gather<'_>, name: &str) -> Map {
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
        let mut words = |file: &str| {
            let text = gather.text(format!("{base}/bonding/{file}"));
            let text = text.unwrap_or_default();
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        entry.insert("type".to_owned(), Data::from("bonding"));
        entry.insert("slaves".to_owned(), Data::from(words("slaves")));
        for key in ["mode", "miimon", "lacp_rate"] {
            entry.insert(key.to_owned(), Data::from(words(key).into_iter().next()));
        }
        if let Some(primary) = words("primary").into_iter().next() {
            entry.insert("primary".to_owned(), Data::Str(primary));
            let active = words("all_slaves_active")
                .first()
                .is_some_and(|word| word == "1");
            entry.insert("all_slaves_active".to_owned(), Data::Bool(active));
        }
    }
    if gather.exists(format!("{base}/bonding_slave")) {
        let address = gather.text(format!("{base}/bonding_slave/perm_hwaddr"));
        entry.insert(
            "perm_macaddress".to_owned(),
            Data::from(address.unwrap_or_default()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let found = address(
            "2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever",
        );
        assert_eq!(found.unwrap().facts()["network"], Data::from("192.0.2.0"));
        let way = way_out(
            "8.8.8.8 via 192.0.2.1 dev eth0 src 192.0.2.2 uid 0 \n    cache",
            "8.8.8.8",
        );
        assert_eq!(way["gateway"], Data::from("192.0.2.1"));
    }
}
