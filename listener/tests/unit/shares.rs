//! Shares per holder and for all.

use super::*;

#[test]
fn each_has_its_bound_and_gets_it_back() {
    let shares = Shares::new(10, 100);
    let first = shares.take(1, 5).unwrap();
    let mut second = shares.take(1, 4).unwrap();
    assert_eq!(shares.take(1, 2).unwrap_err(), Full::Each);
    assert_eq!((second.grow(1), second.grow(1)), (Ok(()), Err(Full::Each)));
    assert!(shares.take(2, 10).is_ok(), "another has its own");
    drop(first);
    assert!(shares.take(1, 5).is_ok());
    drop(second);
    assert!(shares.lock().by_each.is_empty() && shares.lock().all == 0, "nobody is kept who holds nothing");
}

#[test]
fn all_together_have_a_bound() {
    let shares = Shares::new(10, 15);
    let _first = shares.take(1, 10).unwrap();
    let mut second = shares.take(2, 5).unwrap();
    assert_eq!((second.grow(1), shares.take(3, 1).unwrap_err()), (Err(Full::All), Full::All));
}

#[test]
fn peers_without_a_key_leave_half_to_accounts() {
    let shares = Shares::half_for_peers(10, 20);
    let peer = |host| Holder::peer(Some(&SocketAddr::from(([192, 0, 2, host], 1))));
    let first = shares.take(peer(1), 10).unwrap();
    assert_eq!(shares.take(peer(2), 1).unwrap_err(), Full::All);
    let _account = shares.take(Holder::Account("one".into()), 10).unwrap();
    drop(first);
    assert!(shares.take(peer(2), 10).is_ok());
}

#[test]
fn a_host_is_one_address_or_one_network() {
    let check = |address: &str, expected: &str| {
        assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap(), "{address}");
    };
    check("192.0.2.1", "192.0.2.1");
    check("::ffff:192.0.2.1", "192.0.2.1");
    check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    check("::1", "::1");
}
