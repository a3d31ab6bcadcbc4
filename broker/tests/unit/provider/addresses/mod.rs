//! Addresses under policies, by cases.

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
fn the_operator_s_endpoint_is_anything_but_metadata() {
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
