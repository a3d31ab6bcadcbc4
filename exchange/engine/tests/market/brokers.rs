//! Sessions of brokers: a repeated request gets its lease again, and a lost stream is resumed.

use merit_engine::{Bid, Command};
use merit_kit::{Floor, PRICE};
use merit_terms::{Limits, Refusal};

/// Returns a bid with a new request of the floor's broker.
fn requested(floor: &mut Floor) -> Bid {
    Bid { request: Some(floor.request()), ..floor.bid(Limits::default()) }
}

#[test]
fn a_repeated_request_gets_its_open_lease_again() {
    let mut floor = Floor::new();
    floor.seller("seller", 4, PRICE);
    let bid = requested(&mut floor);
    let first = floor.acquire(bid.clone()).unwrap();
    assert_eq!(floor.acquire(bid.clone()).unwrap(), first);
    assert_eq!(floor.engine.open_leases().count(), 1);
    floor.settle(first.terms.lease, 100);
    assert_ne!(floor.acquire(bid).unwrap().terms.lease, first.terms.lease);
}

#[test]
fn a_resumed_session_finds_its_leases_and_bids() {
    let mut floor = Floor::new();
    let seller = floor.seller("seller", 1, PRICE);
    let bid = requested(&mut floor);
    let lease = floor.acquire(bid).unwrap().terms.lease;
    let resting = floor.rest(PRICE);
    let session = floor.broker;
    floor.apply(Command::BrokerLost { session }).unwrap();
    let resumed = floor.broker_logon(Some(session));
    assert_eq!(resumed.leases.iter().map(|grant| grant.terms.lease).collect::<Vec<_>>(), [lease]);
    assert_eq!((resumed.session, resumed.bids), (session, vec![resting]));
    assert_eq!(floor.engine.pools(seller.id)[0].leases, 1);
}

#[test]
fn a_new_run_ends_broker_sessions_and_keeps_them_resumable() {
    let mut floor = Floor::new();
    floor.rest(PRICE);
    floor.apply(Command::Start { run: 1 }).unwrap();
    let bid = requested(&mut floor);
    assert_eq!(floor.acquire(bid), Err(Refusal::NotInSession));
    let session = floor.broker;
    assert_eq!(floor.broker_logon(Some(session)).bids.len(), 1);
}

#[test]
fn a_session_without_leases_and_bids_is_not_kept() {
    let mut floor = Floor::new();
    let session = floor.broker;
    floor.apply(Command::BrokerLost { session }).unwrap();
    assert_eq!(floor.apply(Command::BrokerLost { session }), Err(Refusal::NotInSession));
    let refusal = floor.apply(Command::BrokerLogon { resumes: Some(session) });
    assert!(matches!(refusal, Err(Refusal::Unknown { what: "broker session", .. })));
    assert!(floor.engine.brokers().is_empty());
}
