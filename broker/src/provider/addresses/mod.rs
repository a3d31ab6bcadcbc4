//! Which addresses may be connected to: where a provider or a function's owner says calls go is not trusted, and the
//! broker may stand in a network where such a call could do harm.
//!
//! The check is inside what resolves and connects, and only addresses that passed it are connected to: a name that
//! resolves otherwise a moment later gains nothing. Connections that were made for a trusted endpoint must never serve
//! another one, so that each of the two has a client of its own.
//!
//! Sources: the IANA special-purpose address registries (RFC 6890), and the metadata services of clouds.

mod connector;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub(crate) use connector::{Connector, connector};

/// What may be connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Networks that anybody's endpoint may be in, whatever else they are. Never opens metadata services.
    pub allowed: Vec<Network>,
    /// Whether anybody's endpoint may be on this machine: a market without keys serves nobody else.
    pub allow_loopback: bool,
}

/// Whose word an endpoint rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The operator's: it may be anywhere but at a metadata service.
    Operator,
    /// That of a provider, or of a function's owner.
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

/// Link-local addresses, and others at which clouds tell secrets to whoever asks; also inside of other addresses.
fn is_metadata(address: IpAddr) -> bool {
    /// Of Alibaba Cloud, Azure (its wire server), Oracle Cloud.
    const OTHERS: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
    /// Of AWS and Google Cloud.
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

/// Whether the whole internet is meant by an address.
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

/// The IPv4 addresses that an IPv6 address has inside: mapped, compatible, 6to4, NAT64, Teredo.
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

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Text that is no network.
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
mod tests {
    use super::*;

    fn check(policy: &Policy, trust: Trust, address: &str) -> bool {
        policy.check(address.parse().unwrap(), trust).is_ok()
    }

    const METADATA: [&str; 17] = [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:100.100.100.200",
        "::a9fe:a9fe",
        "64:ff9b::a83f:8110",
        "2002:c000:c0::1",
        "fe80::1",
        "febf::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ];

    const SPECIAL: [&str; 48] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::7f00:1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:0:808:808::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::1",
        "2002:c0a8:101::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
    ];

    const PUBLIC: [&str; 13] = [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.20.0.1",
        "223.255.255.255",
        "2606:4700::1111",
        "2002:808:808::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ];

    #[test]
    fn anybody_s_endpoint_is_a_public_address() {
        let policy = Policy::default();
        for address in METADATA.iter().chain(&SPECIAL) {
            assert!(!check(&policy, Trust::Anybody, address), "{address}");
        }
        for address in PUBLIC {
            assert!(check(&policy, Trust::Anybody, address), "{address}");
        }
    }

    #[test]
    fn the_operator_s_endpoint_is_anything_but_a_metadata_service() {
        for address in SPECIAL.iter().chain(&PUBLIC) {
            assert!(check(&Policy::default(), Trust::Operator, address), "{address}");
        }
        let everything = ["0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap()).to_vec();
        let open = Policy { allowed: everything, allow_loopback: true };
        for address in METADATA {
            assert!(!check(&open, Trust::Operator, address), "{address}");
            assert!(!check(&open, Trust::Anybody, address), "{address}");
        }
        assert!(check(&open, Trust::Anybody, "10.0.0.1") && check(&open, Trust::Anybody, "fd12::1"));
    }

    #[test]
    fn loopback_and_listed_networks_are_opened_and_nothing_else() {
        let loopback = Policy { allow_loopback: true, ..Policy::default() };
        for (address, allowed) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::7f00:1", false),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(check(&loopback, Trust::Anybody, address), allowed, "{address}");
        }
        let allowed = ["10.1.0.0/16", "192.168.7.9", "fd00:1::/32"].map(|network| network.parse().unwrap()).to_vec();
        let listed = Policy { allowed, allow_loopback: false };
        for (address, allowed) in [
            ("10.1.255.9", true),
            ("::ffff:10.1.0.1", true),
            ("10.2.0.0", false),
            ("192.168.7.9", true),
            ("192.168.7.8", false),
            ("fd00:1:2::3", true),
            ("fd00:2::3", false),
            ("127.0.0.1", false),
            ("8.8.8.8", true),
        ] {
            assert_eq!(check(&listed, Trust::Anybody, address), allowed, "{address}");
        }
    }

    #[test]
    fn a_network_is_read_as_people_write_it() {
        let network = |text: &str| text.parse::<Network>();
        for text in ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "fd00::/8", "::1/128", "::1"] {
            assert!(network(text).is_ok(), "{text}");
        }
        for text in ["", "10", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/+8", "::/129", "a/8", "10.0.0.0/8/8"] {
            assert!(network(text).is_err(), "{text}");
        }
        let all = network("::/0").unwrap();
        assert!(all.contains("ffff::1".parse().unwrap()) && !all.contains("1.2.3.4".parse().unwrap()));
    }
}
