//! Tests of `ansible.utils`: what is known of an address or a network.

use std::net::ToSocketAddrs as _;

use super::super::args::Args;
use super::super::fault::Fault;
use super::super::net::Net;
use super::super::ops;
use super::super::value::Value;

super::tests! {
    "ip": "it is an address or a network" => |_, a| Ok(network(a.operand()).is_some());
    "ip_address": "it is an address" => |_, a| Ok(address(a).is_some());
    "ipv4": "it is an address or a network of version 4" => |_, a| Ok(network(a.operand()).is_some_and(|net| !net.v6));
    "ipv4_address": "it is an address of version 4" => |_, a| Ok(address(a).is_some_and(|net| !net.v6));
    "ipv4_hostmask": "it is the host part of a network's mask" => |_, a| Ok(masks(a, false));
    "ipv4_netmask": "it is the mask of a network" => |_, a| Ok(masks(a, true));
    "ipv6": "it is an address or a network of version 6" => |_, a| Ok(network(a.operand()).is_some_and(|net| net.v6));
    "ipv6_address": "it is an address of version 6" => |_, a| Ok(address(a).is_some_and(|net| net.v6));
    "ipv6_ipv4_mapped": "it stands for an address of version 4" => |_, a| Ok(starts(a, 96, 0xffff));
    "ipv6_sixtofour": "it is an address of 6to4" => |_, a| Ok(starts(a, 16, 0x2002));
    "ipv6_teredo": "it is an address of Teredo" => |_, a| Ok(starts(a, 32, 0x2001_0000));
    "loopback": "it is the address of this machine" => |_, a| Ok(address(a).is_some_and(Net::is_loopback));
    "mac": "it is a hardware address" => |_, a| mac(a);
    "multicast": "it is the address of a group" => |_, a| Ok(address(a).is_some_and(Net::is_multicast));
    "private": "it is not for the world" => |_, a| Ok(address(a).is_some_and(Net::is_private));
    "public": "it is for the world" => |_, a| Ok(address(a).is_some_and(Net::is_global));
    "reserved": "it is kept for later" => |_, a| Ok(address(a).is_some_and(Net::is_reserved));
    "unspecified": "it is no address yet" => |_, a| Ok(address(a).is_some_and(|net| net.address == 0));
    "resolvable": "the controller finds an address of this name" => |_, a| Ok((a.operand().text().as_str(), 0).to_socket_addrs().is_ok_and(|mut found| found.next().is_some()));
    "in_network": "a network has it" => |_, a| inside(a.operand(), a.get(1, "network"), "in_network", "network");
    "in_any_network": "one of several networks has it" => |_, a| Ok(networks(a)?.any(|found| found));
    "in_one_network": "exactly one of several networks has it" => |_, a| Ok(networks(a)?.filter(|found| *found).count() == 1);
    "subnet_of": "it is a part of a network" => |_, a| inside(a.operand(), a.get(1, "network_b"), "subnet_of", "network_b");
    "supernet_of": "a network is a part of it" => |_, a| {
        let part = a.get(1, "network_b").ok_or_else(|| missing("supernet_of", "network_b"))?;
        inside(part, Some(a.operand()), "supernet_of", "network_b")
    };
}

/// A network, or an address as the network of its own: nothing may stand behind its prefix.
fn network(value: &Value) -> Option<Net> {
    let text = value.as_str()?;
    let text = text.split_once('%').map_or(text, |(head, _)| head);
    Net::parse(text).filter(|net| net.address == net.first())
}

fn address(args: &Args) -> Option<Net> {
    let text = args.operand().as_str()?;
    network(args.operand()).filter(|_| !text.contains('/'))
}

fn starts(args: &Args, bits: u32, with: u128) -> bool {
    address(args).is_some_and(|net| net.v6 && net.address >> (128 - bits) == with)
}

/// Whether it is a mask with its ones in front, or behind.
fn masks(args: &Args, in_front: bool) -> bool {
    let Some(net) = address(args).filter(|net| !net.v6) else {
        return false;
    };
    let first = net.address >> 31 == 1;
    net.address != 0 && net.as_mask().is_some() && first == in_front
}

fn missing(test: &str, name: &str) -> Fault {
    Fault::new(format!(
        "_{test}() missing 1 required positional argument: '{name}'"
    ))
}

fn inside(inner: &Value, outer: Option<&Value>, test: &str, name: &str) -> Result<bool, Fault> {
    let outer = outer.ok_or_else(|| missing(test, name))?;
    let nets = network(outer).zip(network(inner));
    Ok(nets.is_some_and(|(outer, inner)| outer.contains(inner)))
}

fn networks(args: &Args) -> Result<impl Iterator<Item = bool>, Fault> {
    let inner = network(args.operand());
    let outer = ops::iterate(args.need(1, "networks")?)?;
    Ok(outer.into_iter().map(move |outer| {
        let nets = network(&outer).zip(inner);
        nets.is_some_and(|(outer, inner)| outer.contains(inner))
    }))
}

fn mac(args: &Args) -> Result<bool, Fault> {
    let Some(text) = args.operand().as_str() else {
        return Err(Fault::new(format!(
            "expected string or bytes-like object, got '{}'",
            args.operand().type_name()
        )));
    };
    let digits = |part: &str, count: usize| {
        part.len() == count && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let pairs: Vec<&str> = text.split([':', '-']).collect();
    let fours: Vec<&str> = text.split('.').collect();
    Ok(digits(text, 12)
        || (pairs.len() == 6 && pairs.iter().all(|part| digits(part, 2)))
        || (fours.len() == 3 && fours.iter().all(|part| digits(part, 4))))
}
