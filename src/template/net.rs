//! IP addresses with their networks, as filters and tests see them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address within a network. A plain address is a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) v6: bool,
    pub(crate) address: u128,
    pub(crate) prefix: u8,
}

impl Net {
    /// A plain address.
    pub(crate) fn plain(v6: bool, address: u128) -> Self {
        let prefix = if v6 { 128 } else { 32 };
        Self {
            v6,
            address,
            prefix,
        }
    }

    /// What a text writes: an address, perhaps with a prefix, a network mask or a host mask.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, suffix) = match text.split_once('/') {
            Some((address, suffix)) => (address, Some(suffix)),
            None => (text, None),
        };
        let net = if let Ok(address) = address.parse::<Ipv4Addr>() {
            Self::plain(false, u128::from(address.to_bits()))
        } else {
            Self::plain(true, address.parse::<Ipv6Addr>().ok()?.to_bits())
        };
        match suffix {
            Some(suffix) => net.with_suffix(suffix),
            None => Some(net),
        }
    }

    /// The same address in the network that a prefix or a mask tells.
    pub(crate) fn with_suffix(self, suffix: &str) -> Option<Self> {
        let prefix = if !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit()) {
            suffix.parse().ok()?
        } else {
            let mask = Self::parse(suffix).filter(|mask| mask.v6 == self.v6 && mask.is_plain())?;
            mask.as_mask()?
        };
        (prefix <= self.bits()).then_some(Self { prefix, ..self })
    }

    /// The address of a number: of the given version, otherwise of the shortest that holds it.
    pub(crate) fn number(number: u128, version: Option<i128>) -> Option<Self> {
        let short = u32::try_from(number).is_ok();
        match version {
            Some(4) if !short => None,
            Some(6) => Some(Self::plain(true, number)),
            _ => Some(Self::plain(!short, number)),
        }
    }

    /// The prefix that it is the mask of: ones, then zeros, or the reverse.
    pub(crate) fn as_mask(self) -> Option<u8> {
        let ones = (0..=self.bits()).find(|prefix| mask(self.bits(), *prefix) == self.address);
        ones.or_else(|| {
            (0..=self.bits()).find(|prefix| {
                mask(self.bits(), 0xff).wrapping_sub(mask(self.bits(), *prefix)) == self.address
            })
        })
    }

    /// How many bits an address of its version has.
    pub(crate) fn bits(self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }

    /// Whether its network is the address alone.
    pub(crate) fn is_plain(self) -> bool {
        self.prefix == self.bits()
    }

    /// Its first address: the network's own.
    pub(crate) fn first(self) -> u128 {
        self.address & self.mask()
    }

    /// Its last address.
    pub(crate) fn last(self) -> u128 {
        self.first() + self.host_mask()
    }

    /// The mask of its network.
    pub(crate) fn mask(self) -> u128 {
        mask(self.bits(), self.prefix)
    }

    /// The bits that the mask leaves.
    pub(crate) fn host_mask(self) -> u128 {
        mask(self.bits(), u8::MAX) - self.mask()
    }

    /// How many addresses it has; too many for a number only where it is all of them.
    pub(crate) fn size(self) -> u128 {
        self.host_mask().saturating_add(1)
    }

    /// Its first and last addresses that hosts can have; none of a single address.
    pub(crate) fn usable(self) -> Option<(u128, u128)> {
        match self.size() {
            1 => None,
            2 => Some((self.first(), self.last())),
            _ => Some((self.first() + 1, self.last() - 1)),
        }
    }

    /// Whether it is a network itself, not an address in one.
    pub(crate) fn is_network(self) -> bool {
        !self.is_plain() && self.address == self.first()
    }

    /// Whether all of another network lies in it.
    pub(crate) fn contains(self, other: Self) -> bool {
        self.v6 == other.v6 && self.spans(other)
    }

    /// The same without looking at the version.
    pub(crate) fn spans(self, other: Self) -> bool {
        self.first() <= other.first() && other.last() <= self.last()
    }

    /// An address of its version as text.
    pub(crate) fn show(self, address: u128) -> String {
        if !self.v6 {
            return Ipv4Addr::from_bits(u32::try_from(address).unwrap_or(u32::MAX)).to_string();
        }
        // The C library writes an address that ends in an old one with dots.
        if address >> 32 == 0 && address >> 16 != 0 {
            let old = Ipv4Addr::from_bits(u32::try_from(address).unwrap_or(u32::MAX));
            return format!("::{old}");
        }
        Ipv6Addr::from_bits(address).to_string()
    }

    /// Its address as text.
    pub(crate) fn ip(self) -> String {
        self.show(self.address)
    }

    /// Its network.
    pub(crate) fn network(self) -> Self {
        Self {
            address: self.first(),
            ..self
        }
    }

    fn within(self, blocks: &[&str]) -> bool {
        blocks
            .iter()
            .filter_map(|block| Self::parse(block))
            .any(|block| block.contains(Self::plain(self.v6, self.address)))
    }

    /// Whether its address is this machine.
    pub(crate) fn is_loopback(self) -> bool {
        self.within(&["127.0.0.0/8", "::1"])
    }

    /// Whether its address is that of a group.
    pub(crate) fn is_multicast(self) -> bool {
        self.within(&["224.0.0.0/4", "ff00::/8"])
    }

    /// Whether its address is good on one link only.
    pub(crate) fn is_link_local(self) -> bool {
        self.within(&["169.254.0.0/16", "fe80::/10"])
    }

    /// Whether its address is kept for later.
    pub(crate) fn is_reserved(self) -> bool {
        const OLD: &[&str] = &["240.0.0.0/4"];
        const NEW: &[&str] = &[
            "::/8", "100::/8", "200::/7", "400::/6", "800::/5", "1000::/4", "4000::/3", "6000::/3",
            "8000::/3", "a000::/3", "c000::/3", "e000::/4", "f000::/5", "f800::/6", "fe00::/9",
        ];
        self.within(if self.v6 { NEW } else { OLD })
    }

    /// Whether the registry of special addresses says that its address is not for the world.
    pub(crate) fn is_private(self) -> bool {
        const PRIVATE: &[&str] = &[
            "0.0.0.0/8",
            "10.0.0.0/8",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "240.0.0.0/4",
            "::/127",
            "::ffff:0:0/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
        ];
        const EXCEPTIONS: &[&str] = &[
            "192.0.0.9",
            "192.0.0.10",
            "2001:1::1",
            "2001:1::2",
            "2001:3::/32",
            "2001:4:112::/48",
            "2001:20::/28",
            "2001:30::/28",
        ];
        self.within(PRIVATE) && !self.within(EXCEPTIONS)
    }

    /// Whether its address is for the world; what carriers share is neither.
    pub(crate) fn is_global(self) -> bool {
        !self.is_private() && !self.within(&["100.64.0.0/10"])
    }
}

/// The address with its prefix.
impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip(), self.prefix)
    }
}

/// So many ones of so many bits; all of them if it is more.
fn mask(bits: u8, prefix: u8) -> u128 {
    let all = u128::MAX >> (128 - u32::from(bits));
    if prefix >= bits {
        return all;
    }
    all ^ (all >> prefix)
}

/// The bits of a hardware address, and how many there are: 48 or 64.
pub(crate) fn hardware(text: &str) -> Option<(u64, u8)> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() && text.len() != 12 {
        let number: u64 = text.parse().ok()?;
        return Some((number, if number >> 48 == 0 { 48 } else { 64 }));
    }
    let (mark, sizes): (Option<char>, &[(usize, usize)]) = match text.find([':', '-', '.']) {
        Some(at) => (
            text[at..].chars().next(),
            &[(6, 2), (8, 2), (3, 4), (4, 4), (2, 6)],
        ),
        None => (None, &[(1, 12), (1, 16)]),
    };
    let parts: Vec<&str> = match mark {
        Some(mark) => text.split(mark).collect(),
        None => vec![text],
    };
    let (count, width) = *sizes.iter().find(|(count, width)| {
        let full = |part: &&str| !part.is_empty() && part.len() <= *width;
        let exact = |part: &&str| part.len() == *width;
        *count == parts.len() && parts.iter().all(full) && (*count > 1 || parts.iter().all(exact))
    })?;
    let mut number = 0u64;
    for part in &parts {
        if !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let bits = u32::try_from(width * 4).ok()?;
        number = number.checked_shl(bits).unwrap_or(0) | u64::from_str_radix(part, 16).ok()?;
    }
    Some((number, if count * width == 12 { 48 } else { 64 }))
}
