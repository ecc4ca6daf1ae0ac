//! The filter `ipaddr` of `ansible.utils` with its queries, and those that are one of them.

use super::super::args::Args;
use super::super::fault::{Fault, Outcome};
use super::super::net::Net;
use super::super::value::Value;
use super::dict::python_type;

super::filters! {
    "ipaddr": "it if it is an address or a network, or what a query makes of it" => |_, a| {
        known(a, &["query", "version", "alias"])?;
        let asked = Asked {
            version: optional_int(a, 2, "version")?,
            alias: a.text(3, "alias", "ipaddr"),
            query: query(a),
        };
        answer(a.operand(), &asked)
    };
    "ipv4": "the same of version 4" => |_, a| versioned(a, 4);
    "ipv6": "the same of version 6" => |_, a| versioned(a, 6);
    "ipwrap": "it with brackets around an address of version 6" => |_, a| wrap(a);
}

/// What is asked of an address.
struct Asked {
    version: Option<i128>,
    alias: String,
    query: Value,
}

/// An address as a user wrote it.
pub(super) struct Written {
    pub(super) net: Net,
    /// Whether a network was written with it.
    pub(super) prefixed: bool,
    /// The text that queries about its kind give back.
    pub(super) text: String,
}

/// Refuses names that a filter of this collection does not have.
pub(super) fn known(args: &Args, names: &[&str]) -> Result<(), Fault> {
    let Some((name, _)) = args
        .kw
        .iter()
        .find(|(name, _)| name != "value" && !names.contains(&name.as_str()))
    else {
        return Ok(());
    };
    let mut names = [names, &["value"]].concat();
    names.sort_unstable();
    let message = format!(
        "{name}. Supported parameters include: {}.",
        names.join(", ")
    );
    Err(told(message))
}

/// A message as this collection's filters give it: a list of one.
fn told(message: String) -> Fault {
    Fault::new(Value::list(vec![Value::str(message)]).repr())
}

/// A whole number that may be left out.
pub(super) fn optional_int(args: &Args, index: usize, name: &str) -> Result<Option<i128>, Fault> {
    match args.get(index, name) {
        None | Some(Value::None) => Ok(None),
        Some(Value::Int(number)) => Ok(Some(*number)),
        Some(Value::Bool(value)) => Ok(Some(i128::from(*value))),
        Some(value) => match value.as_str().and_then(|text| text.trim().parse().ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(told(format!(
                "argument '{name}' is of type {} and we were unable to convert to int: \"{}\" cannot be converted to an int",
                value.type_name(),
                value.repr()
            ))),
        },
    }
}

fn query(args: &Args) -> Value {
    args.get(1, "query").cloned().unwrap_or(Value::None)
}

fn versioned(args: &Args, version: i128) -> Outcome {
    known(args, &["query"])?;
    let asked = Asked {
        version: Some(version),
        alias: format!("ipv{version}"),
        query: query(args),
    };
    answer(args.operand(), &asked)
}

/// The address that a value is: text, a number, or a number with a prefix.
pub(super) fn written(value: &Value, version: Option<i128>) -> Option<Written> {
    let text = match value {
        Value::Str(text) => text.as_str().to_owned(),
        Value::Int(number) if *number != 0 => number.to_string(),
        _ => return None,
    };
    let (head, suffix) = match text.split_once('/') {
        Some((head, suffix)) => (head, Some(suffix)),
        None => (text.as_str(), None),
    };
    let digits = !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_digit());
    let found = if digits {
        let net = Net::number(head.parse().ok()?, version)?;
        let net = suffix.map_or(Some(net), |suffix| net.with_suffix(suffix))?;
        Written {
            net,
            prefixed: suffix.is_some(),
            text: net.to_string(),
        }
    } else {
        Written {
            net: Net::parse(&text)?,
            prefixed: suffix.is_some(),
            text,
        }
    };
    let wanted = if found.net.v6 { 6 } else { 4 };
    version
        .is_none_or(|version| version == wanted)
        .then_some(found)
}

/// What a query makes of a value; of a list, what it makes of its items, without those it refuses.
fn answer(value: &Value, asked: &Asked) -> Outcome {
    match value {
        Value::List(items) => {
            let mut out = Vec::new();
            for item in items.to_vec() {
                if matches!(item, Value::None) {
                    continue;
                }
                let item = answer(&item, asked)?;
                if item.is_true() {
                    out.push(item);
                }
            }
            return Ok(Value::list(out));
        }
        Value::Str(_) | Value::Int(_) | Value::Bool(_) => {}
        other => return Err(unrecognized(other, &asked.alias)),
    }
    match written(value, asked.version) {
        Some(written) => one(&written, asked),
        None => Ok(Value::Bool(false)),
    }
}

fn unrecognized(value: &Value, alias: &str) -> Fault {
    Fault::new(format!(
        "Unrecognized type <{}> for {alias} filter <value>",
        python_type(value)
    ))
}

fn one(written: &Written, asked: &Asked) -> Outcome {
    let text = match &asked.query {
        Value::None => String::new(),
        query => query.text(),
    };
    let Written { net, prefixed, .. } = *written;
    if text.is_empty() {
        return Ok(plain(written));
    }
    if let Ok(index) = text.parse::<i128>() {
        return Ok(match nth(net, index) {
            _ if net.is_plain() => plain(written),
            Some(address) => Value::from(Net { address, ..net }.to_string()),
            None => Value::Bool(false),
        });
    }
    if let Value::Float(_) = asked.query {
        return Ok(Value::Bool(false));
    }
    if let Some(within) = Net::parse(&text) {
        return Ok(kept(written, within.contains(net)));
    }
    if let Some(value) = kind(written, &text).or_else(|| parts(net, prefixed, &text)) {
        return Ok(value);
    }
    hosts(written, &text)?
        .ok_or_else(|| Fault::new(format!("{}: unknown filter type: {text}", asked.alias)))
}

/// The address in the form that no query gives it.
fn plain(written: &Written) -> Value {
    Value::from(if written.prefixed {
        written.net.to_string()
    } else {
        written.net.ip()
    })
}

/// The value as it was written if it passes.
fn kept(written: &Written, passes: bool) -> Value {
    if passes {
        Value::str(written.text.as_str())
    } else {
        Value::None
    }
}

/// The address at a place of a network, from its end where the place is negative.
pub(super) fn nth(net: Net, index: i128) -> Option<u128> {
    let offset = index.unsigned_abs();
    if index < 0 {
        (offset <= net.size()).then(|| net.last() - (offset - 1))
    } else {
        (offset < net.size()).then(|| net.first() + offset)
    }
}

/// Answers about the kind of an address: the value itself, or nothing.
fn kind(written: &Written, query: &str) -> Option<Value> {
    let net = written.net;
    Some(match query {
        "bool" => Value::Bool(true),
        "type" => Value::from(if net.is_network() {
            "network"
        } else {
            "address"
        }),
        "version" => Value::Int(if net.v6 { 6 } else { 4 }),
        "private" => kept(written, !net.is_multicast() && !net.is_global()),
        "public" => kept(written, !net.is_multicast() && net.is_global()),
        "unicast" => kept(written, !net.is_multicast()),
        "multicast" => kept(written, net.is_multicast()),
        "link-local" => kept(written, net.is_link_local()),
        "loopback" | "lo" => kept(written, net.is_loopback()),
        "wrap" => Value::from(wrapped(written)),
        "ipv4" if net.v6 => match u32::try_from(net.address & !(0xffff << 32)) {
            Ok(address) if net.prefix >= 96 => Value::from(
                Net {
                    v6: false,
                    address: u128::from(address),
                    prefix: net.prefix - 96,
                }
                .to_string(),
            ),
            _ => Value::Bool(false),
        },
        "ipv6" if !net.v6 => Value::from(
            Net {
                v6: true,
                address: net.address | 0xffff << 32,
                prefix: net.prefix + 96,
            }
            .to_string(),
        ),
        "ipv4" | "ipv6" => kept(written, true),
        "6to4" => tunnelled(written),
        _ => return None,
    })
}

/// The network of version 6 that every public address of version 4 has.
fn tunnelled(written: &Written) -> Value {
    let net = written.net;
    if net.is_network() || net.is_multicast() {
        return Value::Bool(false);
    }
    if net.v6 {
        return if net.address >> 112 == 0x2002 {
            kept(written, true)
        } else {
            Value::Bool(false)
        };
    }
    let [high, low] = [net.address >> 16, net.address & 0xffff];
    Value::from(format!("2002:{high:04x}:{low:04x}::1/48"))
}

/// Answers made of an address and its network.
fn parts(net: Net, prefixed: bool, query: &str) -> Option<Value> {
    let network = net.network();
    let (mask, host_mask) = (net.show(net.mask()), net.show(net.host_mask()));
    // The first address of a larger network is the network's own name, no host's.
    let name = net.size() > 2 && net.is_network();
    let last = net.size() > 2 && net.address == net.last();
    let host = |text: String| if name { Value::None } else { Value::from(text) };
    Some(match query {
        "address" | "ip" if name && net.v6 => Value::from(net.ip()),
        "address" | "ip" => host(net.ip()),
        "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
            if name || last {
                Value::Bool(false)
            } else {
                Value::from(net.to_string())
            }
        }
        "broadcast" if net.size() <= 2 => Value::None,
        "broadcast" => Value::from(net.show(net.last())),
        "cidr" => Value::from(net.to_string()),
        "host" => host(net.to_string()),
        "hostmask" | "wildcard" => Value::from(host_mask),
        "int" if prefixed => Value::from(format!("{}/{}", net.address, net.prefix)),
        "int" => number(net.address),
        "ip/prefix" | "ip_netmask" if net.is_plain() => Value::None,
        "ip/prefix" => host(net.to_string()),
        "ip_netmask" => host(format!("{} {mask}", net.ip())),
        "net" if net.is_network() => Value::from(net.to_string()),
        "net" => Value::None,
        "netmask" => Value::from(mask),
        "network" | "network_id" => Value::from(network.ip()),
        "network/prefix" | "subnet" => Value::from(network.to_string()),
        "network_netmask" => Value::from(format!("{} {mask}", network.ip())),
        "network_wildcard" => Value::from(format!("{} {host_mask}", network.ip())),
        "prefix" => Value::Int(i128::from(net.prefix)),
        "revdns" => Value::from(reverse(net)),
        "size" => number(net.size()),
        "size_usable" => match net.usable() {
            Some((first, last)) => number(last - first + 1),
            None => Value::Int(0),
        },
        _ => return None,
    })
}

/// A number; the few beyond what templates count with are text.
fn number(number: u128) -> Value {
    i128::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::Int)
}

/// The name under which an address is looked up for its own name.
fn reverse(net: Net) -> String {
    let (digits, end) = if net.v6 {
        (format!("{:032x}", net.address), "ip6.arpa.")
    } else {
        let octets = (0..4).map(|at| (net.address >> (8 * at) & 0xff).to_string());
        return format!("{}.in-addr.arpa.", octets.collect::<Vec<_>>().join("."));
    };
    let mut out = String::with_capacity(72);
    for digit in digits.chars().rev() {
        out.push(digit);
        out.push('.');
    }
    out + end
}

/// Answers about the hosts of a network.
fn hosts(written: &Written, query: &str) -> Result<Option<Value>, Fault> {
    let net = written.net;
    let wanted = matches!(
        query,
        "first_usable" | "last_usable" | "next_usable" | "previous_usable" | "range_usable"
    );
    if !wanted && query != "peer" {
        return Ok(None);
    }
    if !written.prefixed {
        return Err(Fault::new("Not a network address"));
    }
    if query == "peer" {
        return peer(net).map(Some);
    }
    let Some((first, last)) = net.usable() else {
        return Ok(Some(Value::None));
    };
    let near = |address: Option<u128>| match address {
        Some(address) if (first..=last).contains(&address) => Value::from(net.show(address)),
        _ => Value::None,
    };
    Ok(Some(match query {
        "first_usable" => Value::from(net.show(first)),
        "last_usable" => Value::from(net.show(last)),
        "next_usable" => near(net.address.checked_add(1)),
        "previous_usable" => near(net.address.checked_sub(1)),
        _ => Value::from(format!("{}-{}", net.show(first), net.show(last))),
    }))
}

/// The other end of a line between two.
fn peer(net: Net) -> Outcome {
    match (net.size(), net.address - net.first()) {
        (2, _) => Ok(Value::from(net.show(net.address ^ 1))),
        (4, 0) => Err(Fault::new("Network address of /30 has no peer")),
        (4, 3) => Err(Fault::new("Broadcast address of /30 has no peer")),
        (4, _) => Ok(Value::from(net.show(net.address ^ 3))),
        _ => Err(Fault::new("Not a point-to-point network")),
    }
}

fn wrapped(written: &Written) -> String {
    match (written.net.v6, written.prefixed) {
        (true, true) => format!("[{}]/{}", written.net.ip(), written.net.prefix),
        (true, false) => format!("[{}]", written.net.ip()),
        _ => written.text.clone(),
    }
}

/// Unlike a query it lets pass what is no address.
fn wrap(args: &Args) -> Outcome {
    known(args, &["query"])?;
    let bracketed = |value: &Value| {
        written(value, None).map_or_else(|| value.clone(), |found| Value::from(wrapped(&found)))
    };
    match args.operand() {
        Value::List(items) => Ok(Value::list(items.to_vec().iter().map(bracketed).collect())),
        value @ (Value::Str(_) | Value::Bool(_)) => Ok(bracketed(value)),
        other => Err(unrecognized(other, "ipwrap")),
    }
}
