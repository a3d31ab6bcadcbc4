//! The policy on addresses of providers. An endpoint or a target that a provider's owner names is not trusted, because
//! the broker may stand in a network where a call could do harm. A function's owner names no address of its own: its
//! target is at the endpoint, or where the provider's owner allows it.
//!
//! The check is inside the resolver and the connector, so that a name that resolves otherwise a moment later gains
//! nothing. A connection to a trusted endpoint must never serve another one, so each kind has a client of its own.
//!
//! Sources: the IANA special-purpose address registries (RFC 6890), and the metadata services of clouds.

mod connector;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub(crate) use connector::{Connector, connector};

/// The addresses that may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that are open to anybody's endpoint. Never opens metadata services.
    pub allowed: Vec<Network>,
    /// Opens this machine to anybody's endpoint, for a market without keys.
    pub allow_loopback: bool,
}

/// The origin of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The operator: it may be anywhere but at a metadata service.
    Operator,
    /// The provider's owner.
    Anybody,
}

/// An address that may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address that may be called")]
pub struct Forbidden(pub IpAddr);

impl Policy {
    /// Refuses an address that an endpoint of this trust may not have.
    pub fn check(&self, address: IpAddr, trust: Trust) -> Result<(), Forbidden> {
        let canonical = address.to_canonical();
        let allowed = match trust {
            _ if is_metadata(canonical) => false,
            Trust::Operator => true,
            Trust::Anybody => {
                self.allowed.iter().any(|network| network.contains(canonical))
                    || (self.allow_loopback && canonical.is_loopback())
                    || is_public(canonical)
            }
        };
        if allowed { Ok(()) } else { Err(Forbidden(address)) }
    }
}

/// Returns true for link-local addresses and the metadata services of clouds, also inside of other addresses.
fn is_metadata(address: IpAddr) -> bool {
    /// Alibaba Cloud, Azure (its wire server), Oracle Cloud.
    const OTHERS: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
    /// AWS and Google Cloud.
    const OTHERS_V6: [Ipv6Addr; 2] =
        [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
    let v4 = |address: &Ipv4Addr| address.is_link_local() || OTHERS.contains(address);
    match address {
        IpAddr::V4(address) => v4(&address),
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || OTHERS_V6.contains(&address) || embedded(address).iter().any(v4)
        }
    }
}

/// Returns true for an address of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(&address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: &Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        (0 | 10 | 127, ..) => true,
        (100, 64..=127, _) => true, // Carrier-grade NAT.
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        (192, 0, 0 | 2) => true, // Protocol assignments, documentation.
        (192, 88, 99) => true,   // Relays of 6to4, which are gone.
        (192, 168, _) => true,
        (198, 18..=19, _) => true, // Benchmarks.
        (198, 51, 100) => true,    // Documentation.
        (203, 0, 113) => true,     // Documentation.
        (224.., ..) => true,       // Multicast, reserved, broadcast.
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let within = embedded(address);
    let translated = first == 0x64 && second == 0xff9b && address.segments()[2..6] == [0; 4];
    let special = match (first, second) {
        (0x2001, 0..=0x1ff) => true,   // Protocol assignments, Teredo among them.
        (0x2001, 0xdb8) => true,       // Documentation.
        (0x3fff, 0..=0xfff) => true,   // Documentation.
        (0x2000..=0x3fff, _) => false, // What is given out as global.
        _ => !translated,
    };
    !special && within.iter().all(is_public_v4)
}

/// Returns the IPv4 addresses inside an IPv6 address: mapped, compatible, 6to4, NAT64, Teredo.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let segments = address.segments();
    let at = |index: usize| {
        let [high, low] = [segments[index], segments[index + 1]].map(u16::to_be_bytes);
        Ipv4Addr::new(high[0], high[1], low[0], low[1])
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => vec![at(6)],
        [0x2002, ..] => vec![at(1)],
        [0x64, 0xff9b, ..] => vec![at(6)],
        // A server, and a client with every bit turned over.
        [0x2001, 0, ..] => vec![at(2), Ipv4Addr::from_bits(!at(6).to_bits())],
        _ => Vec::new(),
    }
}

/// A network: an address and the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no network, such as 10.1.0.0/16 or fd00::/8")]
pub struct NetworkError(String);

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = u64::from(network.to_bits() ^ address.to_bits());
                differ >> (32 - self.prefix) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - u32::from(self.prefix)).is_none_or(|differ| differ == 0)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| error())?,
            Some(_) => return Err(error()),
            None => most,
        };
        if prefix > most { Err(error()) } else { Ok(Network { address, prefix }) }
    }
}

#[cfg(test)]
#[path = "../../../tests/unit/provider/addresses/mod.rs"]
mod tests;
