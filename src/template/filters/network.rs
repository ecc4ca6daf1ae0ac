//! Filters of `ansible.utils` that count with addresses and networks.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::net::{self, Net};
use super::super::value::{Entries, Key, Value};
use super::ipaddr::{known, nth, optional_int, written};

super::filters! {
    "ipsubnet": "its network, a part of it, or its place in one" => |_, a| subnet(a);
    "ipmath": "the address so many places further" => |_, a| {
        known(a, &["amount"])?;
        let net = address(a.operand())?;
        let amount = amount(a)?;
        Ok(Value::from(net.show(moved(net, amount).ok_or_else(|| {
            Fault::new("result outside valid IP address boundary!")
        })?)))
    };
    "ipcut": "its first or last bits" => |_, a| cut(a);
    "ipv6form": "it in a longer or shorter form" => |_, a| form(a);
    "ip4_hex": "its bytes in hexadecimal" => |_, a| hexadecimal(a);
    "nthhost": "the address at a place of a network" => |_, a| host(a);
    "next_nth_usable": "the host so many places after it" => |_, a| neighbour(a, 1);
    "previous_nth_usable": "the host so many places before it" => |_, a| neighbour(a, -1);
    "network_in_network": "whether a network has another" => |_, a| {
        Ok(Value::Bool(both(a).is_some_and(|(outer, inner)| outer.spans(inner))))
    };
    "network_in_usable": "whether another is among the hosts of a network" => |_, a| {
        Ok(Value::Bool(both(a).is_some_and(|(outer, inner)| {
            outer.usable().is_some_and(|(first, last)| first <= inner.first() && inner.last() <= last)
        })))
    };
    "reduce_on_network": "the addresses that a network has" => |_, a| reduce(a);
    "usable_range": "all addresses of a network" => |_, a| all(a);
    "cidr_merge": "networks joined where they meet" => |_, a| merge(a);
    "slaac": "the address that a host gives itself" => |_, a| automatic(a);
    "hwaddr": "it if it is a hardware address, or another form of it" => |_, a| hardware(a, "hwaddr");
    "macaddr": "the same as `hwaddr`" => |_, a| hardware(a, "macaddr");
}

/// How many addresses are listed at most.
const LISTED: u128 = 1 << 20;

fn invalid(value: &Value) -> Fault {
    let text = match value {
        Value::None => String::new(),
        value => value.text(),
    };
    Fault::new(format!(
        "You must pass a valid IP address; {text} is invalid"
    ))
}

/// The address that a text writes, perhaps with a prefix.
fn address(value: &Value) -> Result<Net, Fault> {
    let text = value.as_str().ok_or_else(|| invalid(value))?;
    Net::parse(text).ok_or_else(|| invalid(value))
}

/// The same without a prefix.
fn plain_address(value: &Value) -> Result<Net, Fault> {
    match value.as_str() {
        Some(text) if text.contains('/') => Err(invalid(value)),
        _ => address(value),
    }
}

fn amount(args: &Args) -> Result<i128, Fault> {
    optional_int(args, 1, "amount")?.ok_or_else(|| {
        Fault::new("You must pass an integer for arithmetic; None is not a valid integer")
    })
}

/// The address so many places further, if there is one.
fn moved(net: Net, by: i128) -> Option<u128> {
    let address = net.address.checked_add_signed(by)?;
    (address >> (net.bits() - 1) >> 1 == 0 || net.v6).then_some(address)
}

/// The network of a filter's value and that of its argument.
fn both(args: &Args) -> Option<(Net, Net)> {
    let find = |value: &Value| written(value, None).map(|written| written.net);
    Some((find(args.operand())?, find(args.get(1, "test")?)?))
}

fn subnet(args: &Args) -> Outcome {
    known(args, &["query", "index"])?;
    let index = optional_int(args, 2, "index")?;
    let Some(written) = written(args.operand(), None) else {
        return Ok(Value::Bool(false));
    };
    let value = written.net.network();
    let query = args.get(1, "query").map(Value::text).unwrap_or_default();
    if query.is_empty() || query == "None" {
        return Ok(Value::from(value.to_string()));
    }
    let Ok(size) = query.parse::<u8>() else {
        return rank(value, &query);
    };
    if size > value.bits() {
        return Ok(Value::Bool(false));
    }
    if value.is_plain() {
        return around(value, size, index);
    }
    let step = value.bits() - size;
    let Some(index) = index else {
        if size < value.prefix {
            return Err(Fault::new(format!(
                "Requested subnet size of {size} is invalid"
            )));
        }
        let count = Net {
            prefix: value.bits() - (size - value.prefix),
            ..value
        }
        .size();
        return Ok(Value::from(count.to_string()));
    };
    // What is larger than the network has nothing but the network's own beginning.
    let count = if size < value.prefix {
        1
    } else {
        1u128 << (size - value.prefix).min(127)
    };
    let at = if index < 0 {
        match count.checked_sub(index.unsigned_abs()) {
            Some(at) if size >= value.prefix => at,
            _ => return Ok(Value::Bool(false)),
        }
    } else {
        index.unsigned_abs()
    };
    if at >= count {
        return Ok(Value::Bool(false));
    }
    let offset = if at == 0 { 0 } else { at << step };
    Ok(Value::from(
        Net {
            address: value.address + offset,
            prefix: size,
            ..value
        }
        .to_string(),
    ))
}

/// One of the networks around a single address, from the largest asked for to the smallest.
fn around(value: Net, size: u8, index: Option<i128>) -> Outcome {
    let count = i128::from(value.bits() - size);
    if count == 0 {
        return Err(Fault::new("list index out of range"));
    }
    let index = index.unwrap_or(0);
    let at = if index < 0 { index + count } else { index };
    Ok(match u8::try_from(at) {
        Ok(at) if i128::from(at) < count => Value::from(
            Net {
                prefix: size + at,
                ..value
            }
            .network()
            .to_string(),
        ),
        _ => Value::Bool(false),
    })
}

/// The place of a network among the networks of its size in another, from one.
fn rank(value: Net, query: &str) -> Outcome {
    let Some(outer) = Net::parse(query) else {
        return Err(Fault::new(format!(
            "You must pass a valid subnet or IP address; {query} is invalid"
        )));
    };
    let outer = outer.network();
    if !outer.contains(value) {
        return Err(Fault::new(format!("{value} is not in the subnet {outer}")));
    }
    let place = (value.first() - outer.first()) / value.size() + 1;
    Ok(Value::from(place.to_string()))
}

fn cut(args: &Args) -> Outcome {
    known(args, &["amount"])?;
    let net = address(args.operand())?;
    let amount = amount(args)?;
    let bits = u32::from(net.bits());
    let taken = u32::try_from(amount.unsigned_abs())
        .unwrap_or(bits)
        .min(bits);
    let rest = bits - taken;
    let mut value = if amount < 0 {
        net.address & u128::MAX.checked_shr(128 - taken).unwrap_or(0)
    } else {
        net.address.checked_shr(rest).unwrap_or(0)
    };
    let width = if net.v6 { 16 } else { 8 };
    let mut left = taken;
    let mut out = Vec::new();
    // Groups are counted from where the cut begins, and the last one may be shorter.
    while left > 0 {
        let size = left.min(width);
        left -= size;
        let group = value.checked_shr(left).unwrap_or(0);
        value -= group << left;
        out.push(if net.v6 {
            format!("{group:x}")
        } else {
            group.to_string()
        });
    }
    Ok(Value::from(out.join(if net.v6 { ":" } else { "." })))
}

fn form(args: &Args) -> Outcome {
    known(args, &["format"])?;
    let Some(format) = args
        .get(1, "format")
        .filter(|format| !matches!(format, Value::None))
    else {
        return Err(Fault::new(
            "You must pass valid format; None is not a valid format",
        ));
    };
    let format = format.text();
    if !matches!(format.as_str(), "compress" | "expand" | "x509") {
        let message =
            format!("value of format must be one of: compress, expand, x509, got: {format}");
        return Err(Fault::new(Value::list(vec![Value::str(message)]).repr()));
    }
    let net = plain_address(args.operand())?;
    if !net.v6 || format == "compress" {
        return Ok(Value::from(net.ip()));
    }
    let groups = (0..8).rev().map(|at| net.address >> (16 * at) & 0xffff);
    let groups: Vec<String> = if format == "expand" {
        groups.map(|group| format!("{group:04x}")).collect()
    } else {
        groups.map(|group| format!("{group:x}")).collect()
    };
    Ok(Value::from(groups.join(":")))
}

fn hexadecimal(args: &Args) -> Outcome {
    known(args, &["delimiter"])?;
    let net = plain_address(args.operand())?;
    if net.v6 {
        return Err(Fault::new(format!(
            "invalid literal for int() with base 10: {}",
            args.operand().repr()
        )));
    }
    let bytes = (0..4)
        .rev()
        .map(|at| format!("{:02x}", net.address >> (8 * at) & 0xff));
    let mark = args.text(1, "delimiter", "");
    Ok(Value::from(bytes.collect::<Vec<_>>().join(&mark)))
}

fn host(args: &Args) -> Outcome {
    known(args, &["query"])?;
    let Some(net) = written(args.operand(), None).map(|written| written.net) else {
        return Ok(Value::Bool(false));
    };
    let Some(index) = args.get(1, "query").and_then(super::super::args::whole) else {
        return Ok(Value::Bool(false));
    };
    match nth(net, index) {
        Some(address) => Ok(Value::from(net.show(address))),
        None if index < 0 => Err(Fault::new("index out range for address range size!")),
        None => Ok(Value::Bool(false)),
    }
}

fn neighbour(args: &Args, sign: i128) -> Outcome {
    known(args, &["offset"])?;
    let offset = optional_int(args, 1, "offset")?;
    let Some(written) = written(args.operand(), None) else {
        return Ok(Value::Bool(false));
    };
    let offset = offset.ok_or_else(|| Fault::new("Must pass in an integer"))?;
    let found = written
        .net
        .usable()
        .zip(moved(written.net, offset.saturating_mul(sign)));
    Ok(match found {
        Some(((first, last), address)) if (first..=last).contains(&address) => {
            Value::from(written.net.show(address))
        }
        _ => Value::None,
    })
}

/// A list, or one value as a list of it.
fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::List(items) => items.to_vec(),
        Value::None => vec![],
        other => vec![other.clone()],
    }
}

fn reduce(args: &Args) -> Outcome {
    known(args, &["network"])?;
    let network = args
        .get(1, "network")
        .and_then(|network| written(network, None));
    let Some(network) = network else {
        return Ok(Value::list(vec![]));
    };
    let mut kept = items(args.operand());
    kept.retain(|item| written(item, None).is_some_and(|item| network.net.spans(item.net)));
    Ok(Value::list(kept))
}

fn all(args: &Args) -> Outcome {
    let text = args.operand().text();
    let problem =
        |what: String| Fault::new(format!("Error while using plugin 'usable_range': {what}"));
    let Some(net) = Net::parse(&text) else {
        return Err(problem(format!(
            "{} does not appear to be an IPv4 or IPv6 network",
            args.operand().repr()
        )));
    };
    if net.address != net.first() {
        return Err(problem(format!("{text} has host bits set")));
    }
    if net.size() > LISTED {
        return Err(problem(format!("rplay lists at most {LISTED} addresses")));
    }
    let addresses: Vec<Value> = (net.first()..=net.last())
        .map(|address| Value::from(net.show(address)))
        .collect();
    let count = Value::from(addresses.len());
    let mut entries = Entries::new();
    entries.insert(Key::from("usable_ips"), Value::list(addresses));
    entries.insert(Key::from("number_of_ips"), count);
    Ok(Value::dict(entries))
}

fn merge(args: &Args) -> Outcome {
    known(args, &["action"])?;
    let action = args.text(1, "action", "merge");
    if !matches!(action.as_str(), "merge" | "span") {
        return Err(Fault::new(format!("cidr_merge: invalid action '{action}'")));
    }
    let problem = |what: String| Fault::new(format!("cidr_merge: error in netaddr:\n{what}"));
    let mut nets = Vec::new();
    for item in items(args.operand()) {
        let text = item.text();
        let net = Net::parse(&text).ok_or_else(|| problem(format!("invalid IPNetwork {text}")))?;
        nets.push(net.network());
    }
    nets.sort_by_key(|net| (net.v6, net.address, net.prefix));
    if action == "span" {
        let [Some(first), Some(last)] = [nets.first(), nets.last()] else {
            return Ok(Value::None);
        };
        if first.v6 != last.v6 {
            return Err(problem(
                "IP sequence cannot contain both IPv4 and IPv6!".to_owned(),
            ));
        }
        let mut span = *first;
        while !nets.iter().all(|net| span.contains(*net)) {
            span.prefix -= 1;
            span = span.network();
        }
        return Ok(Value::from(span.to_string()));
    }
    let mut merged: Vec<Net> = Vec::new();
    for net in nets {
        if merged.last().is_some_and(|last| last.contains(net)) {
            continue;
        }
        merged.push(net);
        while let [.., low, high] = merged[..] {
            let joined = Net {
                prefix: low.prefix.saturating_sub(1),
                ..low
            };
            let meet = low.v6 == high.v6 && low.prefix == high.prefix && low.prefix > 0;
            if !meet || joined.network() != joined || !joined.contains(high) {
                break;
            }
            merged.truncate(merged.len() - 2);
            merged.push(joined);
        }
    }
    let texts = merged.iter().map(|net| Value::from(net.to_string()));
    Ok(Value::list(texts.collect()))
}

/// The address that a host makes of a network and its hardware address (RFC 4862).
fn automatic(args: &Args) -> Outcome {
    known(args, &["query"])?;
    let found = written(args.operand(), Some(6));
    let mac = net::hardware(&args.text(1, "query", ""));
    let (Some(found), Some((mac, size))) = (found, mac) else {
        return Ok(Value::Bool(false));
    };
    let identifier = if size == 48 {
        (mac >> 24) << 40 | 0xfffe << 24 | mac & 0xff_ffff
    } else {
        mac
    };
    let identifier = u128::from(identifier ^ 1 << 57);
    Ok(match found.net.address.checked_add(identifier) {
        Some(address) => Value::from(found.net.show(address)),
        None => Value::Bool(false),
    })
}

fn hardware(args: &Args, default: &str) -> Outcome {
    known(args, &["query", "alias"])?;
    let query = match args.get(1, "query") {
        None | Some(Value::None) => String::new(),
        Some(query) => query.text(),
    };
    let alias = args.text(2, "alias", default);
    let text = args.operand().text();
    let found = net::hardware(&text);
    if query.is_empty() || query == "bool" {
        return Ok(match found {
            None => Value::None,
            Some(_) if query.is_empty() => Value::from(text),
            Some(_) => Value::Bool(true),
        });
    }
    let Some((bits, size)) = found else {
        return Err(Fault::new(format!(
            "{alias}: not a hardware address: {text}"
        )));
    };
    let (width, mark, form) = match query.as_str() {
        "cisco" => (4, ".", Case::Small),
        "linux" => (2, ":", Case::Small),
        "unix" => (2, ":", Case::Short),
        "eui48" => (2, "-", Case::Large),
        "bare" => (12, "", Case::Large),
        "pgsql" | "postgresql" | "psql" => (6, ":", Case::Small),
        "int" => return Ok(Value::Int(i128::from(bits))),
        _ => {
            return Err(Fault::new(format!("{alias}: unknown filter type: {query}")));
        }
    };
    if size != 48 {
        return Err(Fault::new(format!("integer out of bounds: '{bits:#x}'!")));
    }
    Ok(Value::from(spelt(bits, width, mark, form)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Small,
    Large,
    /// Small, without zeros in front.
    Short,
}

/// A hardware address in groups of so many digits.
fn spelt(bits: u64, width: usize, mark: &str, case: Case) -> String {
    let digits = match case {
        Case::Large => format!("{bits:012X}"),
        _ => format!("{bits:012x}"),
    };
    let mut groups = Vec::new();
    for start in (0..12).step_by(width) {
        let group = &digits[start..start + width];
        let short = group.trim_start_matches('0');
        groups.push(match case {
            Case::Short if short.is_empty() => "0",
            Case::Short => short,
            _ => group,
        });
    }
    groups.join(mark)
}
